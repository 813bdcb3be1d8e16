# %% tags=["setup"]
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from utils import corpus, tokens
from utils.checks import chapter_05_text as text_checks
from utils.text import DenoisingText, TextClassifier

# %% [markdown] tags=["setup"]
# **Parameters of the section on texts.** `TEXT = "imdb"` reads the film
# reviews instead, from `COURSE_DATA` or over the network; everything below
# stays the same.

# %% tags=["setup"]
TEXT = "definitions"
WORDS = profile.pick(quick=2500, full=6000)  # ids, reserved ones included
TEXT_LENGTH = 24  # tokens of a definition that are read; reviews have 200
VECTOR = 64  # width of a word vector
TEXT_EPOCHS = profile.pick(quick=8, full=30)
PER_CLASS = 10  # labelled texts of each class
TEXT_SEEDS = profile.pick(quick=(0, 1, 2), full=(0, 1, 2, 3, 4))

# %% tags=["setup"]
if TEXT == "imdb":
    texts = data.load("imdb")
    KIND_NAMES, WORDS = texts.classes, 10_000
    ids = {"train": texts.x_train, "val": texts.x_val, "test": texts.x_test}
else:
    texts = corpus.load_definitions()
    KIND_NAMES = texts.classes
    vocabulary = tokens.Vocabulary.fit(texts.texts_train, WORDS)
    ids = {
        part: vocabulary.encode(getattr(texts, f"texts_{part}"), TEXT_LENGTH)
        for part in ("train", "val", "test")
    }

# %% [markdown]
# ## N. Words and texts
#
# *About ten seconds of computing, twenty minutes of reading.* The recipe of
# this chapter says nothing about pixels: learn from many rows without
# labels, keep the encoder, add a new head. On text it has gone further than
# anywhere else, and it started small, with single words.
#
# The texts here are 19 448 dictionary definitions (WordNet 3.0, frozen in
# the repository), each labelled by the kind of thing that it defines: an
# animal, a food, a part of the body … The word defined is not part of its
# text. What kind of thing is "a long slender surgical knife"? We may read
# all training definitions, and know the kind of ten for each class.
#
# ### From text to numbers
#
# A network multiplies numbers. A **tokeniser** cuts a text into tokens, here
# words; a **vocabulary** gives each frequent one an integer id, and all
# others share one id, "unknown". The ids are names, not amounts: word 7 is
# not larger than word 5, so ids are never fed to a layer that multiplies
# them. An **embedding** looks up one row of a table $E$ for each id, a vector
# of width $k$ that is learned like any other weight. Texts have different
# lengths and a batch is rectangular, so short texts are **padded** with the
# id 0. The code of a text is the mean of its words' vectors,
#
# $$z=\frac{\sum_t m_t\,E_{w_t}}{\sum_t m_t},\qquad
# m_t=\begin{cases}1&\text{if }w_t\ne0\\0&\text{where padded.}\end{cases}
# \tag{N.1}$$
#
# The **mask** $m$ is not a detail. Without it, the same sentence has another
# code in a batch with a longer neighbour.

# %%
for word, text, y in list(
    zip(texts.words_test, texts.texts_test, texts.y_test, strict=True)
)[:4]:
    print(f"{KIND_NAMES[y]:>13} | {text}  [{word}]")
row = ids["test"][0]
print("\nids", row.tolist())
print("back", vocabulary.decode(row[None])[0])
unknown = (ids["train"] == tokens.UNKNOWN).sum() / (ids["train"] != 0).sum()
print(f"{len(vocabulary)} ids; {100 * unknown:.0f} % of the words are unknown")

# %%
untrained = TextClassifier(WORDS, len(KIND_NAMES), VECTOR, seed=0)
table = untrained.encoder.get_weights()[0]  # E, one row a word
forms = [row[row != 0][None], row[None], np.pad(row, (0, 40))[None]]
masked = [untrained.classify(x)[0] for x in forms]
plain = [table[x[0]].mean(axis=0) for x in forms]
print("lengths", [x.shape[1] for x in forms])
assert np.allclose(masked, masked[0], atol=1e-6)
assert not np.allclose(plain, plain[0], atol=1e-3)

# %% [markdown]
# Three lengths, one prediction with the mask, three codes without it.
#
# ### What to predict
#
# **Denoising.** Remove 30 % of the words, encode the rest, and say which
# words the whole text had. With one softmax over the vocabulary per text,
# the loss is
#
# $$L=-\frac{\sum_{\text{texts}}\sum_t m_t\log p_\theta\big(w_t\mid
# \tilde z\big)}{\sum_{\text{texts}}\sum_t m_t},\tag{N.2}$$
#
# in nats per real token; $\tilde z$ is the code of what was left. A model that
# knows nothing pays $\log|V|$ a word; one that knows how often each word
# occurs pays the entropy of the word frequencies. Anything below that it
# must have read off the words around. This is what we train below.
#
# **Next token.** Predict $w_t$ from $w_1,\dots,w_{t-1}$ (`LanguageModel`):
# the objective of every large language model, used in
# [Chapter 6d](06d_text.ipynb) on characters.
#
# **Neighbours.** For the vectors of single words it is enough to tell real
# pairs of neighbours from made-up ones. *Skip-gram with negative sampling*
# (Mikolov et al. 2013) has a vector $u_w$ for a word and $v_c$ for a word as
# context, and for each pair seen within a few words draws $K$ contexts
# $c_1,\dots,c_K$ at random:
#
# $$L=-\log\sigma(u_w^{\top}v_c)-\sum_{j=1}^{K}\log\sigma(-u_w^{\top}v_{c_j}).
# \tag{N.3}$$
#
# *GloVe* (Pennington, Socher and Manning 2014) counts first, $X_{wc}$ times,
# and then fits the logarithm of the counts, frequent pairs more than rare ones:
#
# $$L=\sum_{w,c:\,X_{wc}>0}f(X_{wc})\big(u_w^{\top}v_c+b_w+a_c
# -\log X_{wc}\big)^2,\quad f(X)=\min\big(1,(X/X_{\max})^{3/4}\big).
# \tag{N.4}$$
#
# Both are pretraining in the sense of this chapter: the table $E=(u_w)$ is
# kept, the rest is thrown away. Chapter 6d trains both and compares them
# with a classical factorisation.

# %% tags=["nbval-ignore-output"]
denoiser = DenoisingText(WORDS, VECTOR, rate=0.3, seed=0)
denoiser.compile(keras.optimizers.Adam(1e-2), steps_per_execution=STEPS)
history = denoiser.fit(
    ids["train"],
    validation_data=ids["val"],
    batch_size=256,
    epochs=TEXT_EPOCHS,
    verbose=0,
).history["val_nats_per_token"]
frequency = np.bincount(ids["train"].ravel(), minlength=WORDS) + 1.0
frequency[tokens.PAD] = 0
log_p = np.log(np.maximum(frequency, 1e-9) / frequency.sum())
seen = ids["val"][ids["val"] != tokens.PAD]
UNIGRAM = -log_p[seen].mean()  # nats a word, knowing frequencies alone
print(f"log |V|           {np.log(WORDS):.2f} nats a word")
print(f"word frequencies  {UNIGRAM:.2f}")
print(f"denoiser          {history[-1]:.2f} (whole texts, unseen)")

# %%
assert history[-1] < UNIGRAM - 0.5 < np.log(WORDS)

# %% [markdown]
# At validation nothing is removed, so part of the gain is copying; what the
# code is worth, the next table has to tell.
#
# ### From ten labels a class
#
# Five ways to use the same labelled rows, all of them from the training
# split; the test texts are read once, here. The budget is 150 updates each.
#
# - *scratch*: all weights from random, rate $10^{-2}$;
# - *random, frozen*: the encoder stays as initialised, only the head learns;
# - *pretrained*: the denoiser's encoder under a **new** head, 75 updates with
#   the encoder frozen, then 75 at a tenth of the rate with all weights free;
# - *pretrained, labels shuffled*: the same on labels that were dealt out at
#   random. If this is above chance, the evaluation leaks;
# - *LSA*: the classical way, TF-IDF counts reduced by a singular value
#   decomposition to as many numbers as our vectors have, and logistic
#   regression.


# %%
def text_classifier(rate, encoder_learns):
    """A compiled classifier, and its untrained weights."""
    model = TextClassifier(WORDS, len(KIND_NAMES), VECTOR, seed=1)
    model.encoder.trainable = encoder_learns
    model.compile(
        keras.optimizers.Adam(rate), steps_per_execution=min(STEPS, 15)
    )
    return model


def fit_text(model, start, x, y, updates):
    """Train a compiled classifier on few rows, from given weights."""
    model.set_weights(start)
    for variable in model.optimizer.variables:
        if not variable.path.endswith("learning_rate"):
            variable.assign(np.zeros(variable.shape))
    rows = np.resize(np.arange(len(x)), 32 * updates)
    model.fit(x[rows], y[rows], batch_size=32, epochs=1, verbose=0)
    return model.get_weights()


# %%
whole = text_classifier(1e-2, encoder_learns=True)
head_only = text_classifier(1e-2, encoder_learns=False)
careful = text_classifier(1e-3, encoder_learns=True)
raw_start = whole.get_weights()
whole.adopt(denoiser)
good_start = whole.get_weights()
print("encoder", raw_start[0].shape, "| head", [w.shape for w in raw_start[1:]])
assert np.array_equal(good_start[0], denoiser.encoder.get_weights()[0])
assert all(map(np.array_equal, good_start[1:], raw_start[1:])), "a new head"


# %%
def two_stages(x, y):
    """Frozen stage, then all weights at a tenth of the rate."""
    staged = fit_text(head_only, good_start, x, y, 75)
    assert np.array_equal(staged[0], good_start[0]), "bit-identical"
    tuned = fit_text(careful, staged, x, y, 75)
    assert not np.array_equal(tuned[0], staged[0])
    return careful


def labelled_rows(rng):
    """Row numbers of PER_CLASS training texts of each class."""
    return np.concatenate(
        [
            rng.choice(np.flatnonzero(texts.y_train == y), PER_CLASS, False)
            for y in range(len(KIND_NAMES))
        ]
    )


def accuracy_of(model):
    """Share of test texts classified right."""
    return np.mean(model.classify(ids["test"]).argmax(1) == texts.y_test)


# %% tags=["nbval-ignore-output"]
text_scores = {}
for seed in TEXT_SEEDS:
    rng = np.random.default_rng(seed)
    rows = labelled_rows(rng)
    x, y = ids["train"][rows], texts.y_train[rows]
    order = rng.permutation(len(rows))  # the same for all: mixed batches
    x, y = x[order], y[order]
    found = {"pretrained": accuracy_of(two_stages(x, y))}
    found["labels shuffled"] = accuracy_of(two_stages(x, rng.permutation(y)))
    fit_text(whole, raw_start, x, y, 150)
    found["scratch"] = accuracy_of(whole)
    fit_text(head_only, raw_start, x, y, 150)
    found["random, frozen"] = accuracy_of(head_only)
    for name, value in found.items():
        text_scores.setdefault(name, []).append(value)

# %% tags=["nbval-ignore-output"]
if TEXT == "definitions":
    counts = TfidfVectorizer(sublinear_tf=True)
    weighted = counts.fit_transform(texts.texts_train)
    reduce = TruncatedSVD(VECTOR, random_state=0).fit(weighted)
    lsa, lsa_test = (
        reduce.transform(part)
        for part in (weighted, counts.transform(texts.texts_test))
    )
    for seed in TEXT_SEEDS:
        rows = labelled_rows(np.random.default_rng(seed))
        model = make_pipeline(LogisticRegression(C=100, max_iter=300))
        model.fit(lsa[rows], texts.y_train[rows])
        score = model.score(lsa_test, texts.y_test)
        text_scores.setdefault("LSA", []).append(score)
for name, values in text_scores.items():
    mean, spread = 100 * np.mean(values), 100 * np.std(values)
    print(f"{name:<16} {mean:5.1f} ± {spread:.1f} % of the test texts")

# %%
text_mean = {name: np.mean(values) for name, values in text_scores.items()}
chance = 1 / len(KIND_NAMES)
assert text_mean["pretrained"] > text_mean["scratch"] + 0.12
assert text_mean["pretrained"] > text_mean["random, frozen"] + 0.25
assert text_mean["pretrained"] > text_mean["labels shuffled"] + 0.35
assert text_mean["labels shuffled"] < chance + 0.10
if TEXT == "definitions":
    assert text_mean["pretrained"] > text_mean["LSA"] + 0.10
    runtime.record(
        f"Texts: {PER_CLASS} labels a class, accuracy on test definitions",
        ("method", "accuracy", "spread"),
        [
            (name, f"{np.mean(values):.3f}", f"{np.std(values):.3f}")
            for name, values in text_scores.items()
        ],
    )

# %% [markdown]
# Pretraining is worth at least twelve points here over the same network from
# scratch, and the control says where they come from: a *random* frozen
# encoder does not have them, so it is the features, not the schedule.
# Shuffled labels bring the whole pipeline down to about one in eight, as they
# must: what was measured above is the labels' doing. The spread over draws of
# the labelled rows stands beside each mean.
#
# Two cautions. The definitions are short and their words say much about
# their kind, which suits a bag of words; a film review that turns on "not"
# does not. And the
# classes follow from single words, which need not hold for yours.
#
# ### Three faults that run
#
# A program that circulates for this task loads the reviews, then puts random
# normal numbers of the same shape in their place and keeps the labels. It
# trains, the training loss falls, and held-out accuracy stays at one half:
# numbers that were never words have nothing to say about opinions. The test
# with shuffled labels finds such a fault in one line, since real labels then
# do no better.
#
# The same program scores labels of shape $(n,)$ against sixteen outputs of
# shape $(n,16)$. That raises an error, **unless the batch has sixteen rows**:
# then $(16,)$ is spread over the *columns* (squared error does it, Keras's
# cross-entropy refuses), and every example is compared with every other
# example's label. One output for each class, or a single one with labels
# $(n,1)$, and a shape check before the loss. Our models check: floats are
# refused as token ids, and so is a label outside the classes.

# %%
rng = np.random.default_rng(0)
labels = rng.integers(0, 2, 16).astype("float32")
sixteen = rng.uniform(0.05, 0.95, (16, 16)).astype("float32")
mixed = keras.losses.mean_squared_error(labels, sixteen)
mixed = ops.convert_to_numpy(mixed).mean()
columns = np.mean([(labels[j] - sixteen[:, j]) ** 2 for j in range(16)])
one = sixteen[:, :1]  # a single output, labels (16, 1)
right = keras.losses.binary_crossentropy(labels[:, None], one)
right = ops.convert_to_numpy(right).mean()
p_of_label = np.where(labels == 1, one[:, 0], 1 - one[:, 0])
print(f"16 outputs, labels (16,): {mixed:.4f}, no complaint")
print(f"label j against column j: {columns:.4f}, the same")
print(f"1 output, labels (16, 1): {right:.4f} nats, per text")
assert np.isclose(mixed, columns, rtol=1e-4)
assert np.isclose(right, -np.log(p_of_label).mean(), rtol=1e-4)
try:
    denoiser.fit(rng.standard_normal((4, 100)))
except ValueError as error:
    print(error)

# %% [markdown] tags=["exercise"]
# ### Exercise N.a · A mean that ignores padding
#
# *You will learn to keep padding out of a code.* `states` is a tensor
# $(n,t,k)$, one vector for each token, `ids` an integer tensor $(n,t)$ in
# which 0 is padding. Return the mean vector of each row's real tokens,
# $(n,k)$, written with `keras.ops`. A row of padding alone gets zeros, not NaN.


# %% tags=["exercise"]
def mean_of_tokens(states, ids):
    """Return the mean over real tokens, (n, k)."""
    ### BEGIN SOLUTION
    real = ops.cast(ops.not_equal(ids, 0), "float32")[..., None]
    count = ops.maximum(ops.sum(real, axis=1), 1.0)
    return ops.sum(states * real, axis=1) / count
    ### END SOLUTION


# %% tags=["check"]
text_checks.masked_mean("N.a", mean_of_tokens)

# %% [markdown] tags=["discussion"]
# The maximum with 1 matters for the empty row alone. Dividing by $t$ instead
# of the count keeps the *direction* of the code and shrinks short texts: a
# linear head sees them as less certain, for no reason but their neighbours'
# length. Id 2, "unknown", is a real token: something stood there.

# %% [markdown] tags=["exercise"]
# ### Exercise N.b · Nats per token
#
# *You will learn to weigh tokens, not rows.* `logits` $(n,t,V)$ are a
# language model's scores for each position, `ids` $(n,t)$ the tokens that
# really stood there, 0 where padded. Return one number: the mean of
# $-\log p$, in nats, over all **real** tokens of the batch.


# %% tags=["exercise"]
def mean_token_nats(logits, ids):
    """Return −log p of the real tokens, averaged over all of them."""
    ### BEGIN SOLUTION
    log_p = ops.log_softmax(logits, axis=-1)
    nats = -ops.take_along_axis(log_p, ids[..., None], axis=-1)[..., 0]
    real = ops.cast(ops.not_equal(ids, 0), nats.dtype)
    return ops.sum(nats * real) / ops.sum(real)
    ### END SOLUTION


# %% tags=["check"]
text_checks.nats_per_token("N.b", mean_token_nats)

# %% [markdown] tags=["discussion"]
# Averaging rows first gives the two-word text as much weight as the
# twenty-word text, and the result is no longer $-\log p$ of the corpus
# divided by its length. Counting padding is worse: a model soon predicts it
# with certainty, and the loss falls with every zero that is appended.
