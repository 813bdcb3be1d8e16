# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Chapter 6d · Text: words, characters and what a summary needs
#
# Words can only be counted: which stands near which, which character follows which.
# How far does counting go, and where does learning go further?
#
# **We will show**
#
# - word vectors by skip-gram and by GloVe, each from its formula, equal to the
#   library's loss;
# - a test of similarity in which a factorised count table is not beaten, once it
#   is factorised as in principal component analysis;
# - what n-grams achieve in bits per character, and that a network alone, briefly
#   trained, does not come near;
# - a network that decides which n-gram to trust, below the best of them on
#   held-out text, for every seed;
# - sampling with a temperature, and what it trades;
# - summaries by choosing sentences, scored against what the authors wrote;
# - what translation, abstractive summaries and GANs for text would need.
#
# | | |
# |---|---|
# | Prerequisites | Chapter 1: principal components ([1a](01a_without_labels.ipynb)), cross-entropy ([1b](01b_gradient_descent.ipynb)); [Chapter 5c](05c_words_and_texts.ipynb) |
# | Data | WordNet 3.0 definitions and docstrings of four libraries, frozen in `utils/data/frozen/texts` with their licences |
# | Time | about a minute on two CPU cores; an hour and a half of reading and exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup"]
import collections

import matplotlib.pyplot as plt
import numpy as np
from keras import ops
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import roc_auc_score

from utils import plotting
from utils.baselines.ngrams import NGram
from utils.checks import chapter_06d as checks
from utils.data import corpora, tokens
from utils.models.ngram_mixture import NGramMixture, mixture_inputs
from utils.models.text import LanguageModel
from utils.models.words import (
    GloVe,
    SkipGram,
    cooccurrence,
    ppmi,
    ppmi_vectors,
    skip_gram_rows,
)
from utils.training import recipes
from utils.training.repeats import restart, with_spread

plotting.use_style()

# %% [markdown]
# **Parameters.** Everything that differs between the quick and the full
# profile stands in this one cell.

# %% tags=["setup"]
VECTOR = 32  # width of a word vector, the one that suits the baseline best
WINDOW = 5  # neighbours on each side; GloVe gets twice as many
SKIP_EPOCHS = profile.pick(quick=3, full=5)
GLOVE_EPOCHS = profile.pick(quick=4, full=6)
CHARACTERS = 48  # ids of the character models, reserved ones included
TEXTS = profile.pick(quick=6000, full=13_614)  # definitions they train on
ORDERS = (1, 3, 5, 7, 10, 13)  # n-grams tried
NETWORK_EPOCHS = profile.pick(quick=1, full=6)
MIXTURE_EPOCHS = profile.pick(quick=3, full=4)
SEEDS = (0, 1, 2)

# %% tags=["setup"]
definitions = corpora.load_definitions()
documents = corpora.load_documents()
sentences = [s for document in documents for s in document.sentences]
every_text = [
    *definitions.texts_train,
    *definitions.texts_val,
    *definitions.texts_test,
    *sentences,
]
vocabulary = tokens.Vocabulary.fit(every_text, min_count=10)
ids = vocabulary.encode(every_text, 40)
print(len(every_text), "texts |", (ids != 0).sum(), "words", end=" | ")
print(len(vocabulary), "ids")


# %% tags=["setup"]
characters = tokens.Vocabulary.fit(
    [corpora.one_stream(definitions.texts_train)], CHARACTERS, unit="character"
)
train_stream, val_stream, test_stream = (
    characters.encode([corpora.one_stream(texts)])[0]
    for texts in (
        definitions.texts_train[:TEXTS],
        definitions.texts_val[:1000],
        definitions.texts_test[:1500],
    )
)
print("characters", len(train_stream), len(val_stream), len(test_stream))


# %% tags=["setup"]
def anneal(model, rate, steps):
    """Compile with Adam and a rate that falls to zero."""
    recipes.compile(model, rate, updates=steps)


# %% [markdown]
# ## 1. Words by the company they keep
#
# Nobody tells the machine what "copper" means. It may see where the word
# stands: "a copper coin", "an alloy of copper and tin". Words in similar
# places mean similar things; that is the whole idea, and it is older than any
# network (Firth 1957).
#
# So count. $X_{wc}$ is the number of times that word $c$ stands within five
# words of $w$. Rows of $X$ are long and dominated by "the" and "of". First, ask not how often, but **how much more often than by
# chance**, the *pointwise mutual information*
#
# $$\mathrm{PMI}(w,c)=\log\frac{p(w,c)}{p(w)\,p(c)},\qquad
# \mathrm{PPMI}=\max(0,\mathrm{PMI}),\tag{1}$$
#
# in nats, with negative values, which small counts cannot tell, set to zero.
# (The code takes $p(c)$ in proportion to the count to the power 3/4, which keeps rare contexts from
# looking too surprising; Levy et al. 2015.) Second, reduce the rows to $k=32$ numbers each by a truncated singular value
# decomposition $U\Sigma V^\top$, the best rank-$k$ approximation. Which are the
# vectors of the words? The rows of $U\Sigma$, as in principal component analysis, or of
# $U\sqrt\Sigma$, which gives the contexts half of $\Sigma$? Both are in use
# (Levy et al. 2015), so both are baselines.

# %%
counts = cooccurrence(ids, len(vocabulary), WINDOW)
information = ppmi(counts)


def neighbours_in_text(word, matrix, n=5):
    """The contexts with the largest entries in a word's row."""
    row = matrix[vocabulary.ids[word]]
    return [vocabulary.tokens[i] for i in np.argsort(-row)[:n]]


print("most often near 'copper' ", neighbours_in_text("copper", counts))
print("most surprisingly        ", neighbours_in_text("copper", information))

# %%
svd = TruncatedSVD(VECTOR, algorithm="arpack", random_state=0)
root_sigma = ppmi_vectors(counts, VECTOR)
full_sigma = svd.fit_transform(csr_matrix(information))
assert root_sigma.shape == full_sigma.shape == (len(vocabulary), VECTOR)
assert np.all(information >= 0) and np.array_equal(counts, counts.T)

# %% [markdown]
# ## 2. Skip-gram: tell real neighbours from drawn ones
#
# Skip-gram with negative sampling (Mikolov et al. 2013) never builds $X$. It
# walks through the text, takes a word $w$ and a real neighbour $c$, draws
# $K=5$ words $c_1,\dots,c_K$ at random, and asks the vectors to tell the one
# from the others:
#
# $$L=-\log\sigma(u_w^\top v_c)-\sum_{j=1}^{K}\log\sigma(-u_w^\top v_{c_j}).
# \tag{2}$$
#
# Two habits of Mikolov et al. that (2) does not show: frequent words are thinned before pairs are
# taken, and the drawn words come from counts to the power 3/4, not from the counts.
# Every word has two vectors, $u$ as itself and $v$ as somebody's neighbour.
# What does the optimum look like? For a
# pair with probability $p(w,c)$, drawn as noise with $K\,p(w)p(c)$, the best
# logit is the logarithm of the ratio (with $p(c)$ as the noise draws it):
#
# $$u_w^\top v_c=\mathrm{PMI}(w,c)-\log K.\tag{3}$$
#
# So skip-gram factorises a shifted PMI table too, without ever writing it
# down (Levy and Goldberg 2014). Expect the two close.

# %%
small = SkipGram.tables(len(vocabulary), VECTOR, seed=0)
rows = skip_gram_rows(ids[:200], len(vocabulary), WINDOW, seed=0)
u, v = small.get_weights()
logits = np.sum(u[rows[:, :1]] * v[rows[:, 1:]], axis=-1)


def log_sigma(s):
    """log σ(s) in plain NumPy."""
    return -np.log1p(np.exp(-s))


by_formula = -log_sigma(logits[:, 0]) - log_sigma(-logits[:, 1:]).sum(1)
from_library = ops.convert_to_numpy(
    small.compute_loss(x=rows, y_pred=small(rows))
)
print(f"equation (2) {by_formula.mean():.5f} | library {from_library:.5f}")
print(f"a model that knows nothing: 6 log 2 = {6 * np.log(2):.5f}")
assert np.isclose(by_formula.mean(), from_library, rtol=1e-5)

# %% tags=["nbval-ignore-output"]
skip_gram = SkipGram.tables(len(vocabulary), VECTOR)
by_skip_gram = []
for seed in SEEDS:
    rows = skip_gram_rows(ids, len(vocabulary), WINDOW, seed=seed)
    if seed == SEEDS[0]:
        anneal(skip_gram, 2e-2, SKIP_EPOCHS * -(-len(rows) // 4096))
    restart(skip_gram, seed)
    history = skip_gram.fit(
        rows, batch_size=4096, epochs=SKIP_EPOCHS, verbose=0
    ).history["loss"]
    by_skip_gram.append(skip_gram.vectors())
    print(f"seed {seed}: {len(rows)} pairs, loss {history[-1]:.3f} nats")

# %% tags=["hide-input"]
assert history[-1] < 6 * np.log(2) - 1.5
assert np.isfinite(by_skip_gram).all()

# %% [markdown]
# **A trap that no error reports.** On TensorFlow Adam squares each entry of the gradient of
# Keras's own `Embedding` before it adds them up: $\sum g^2$ where its formula has
# $(\sum g)^2$. The tables of this course add up first; [errata](../docs/errata.md), K10, has the numbers.

# %% [markdown]
# ## 3. GloVe: fit the logarithm of the counts
#
# GloVe (Pennington, Socher and Manning 2014) stands between the two: count
# first, then fit by gradient descent, and only the cells that were seen,
#
# $$L=\sum_{X_{wc}>0}f(X_{wc})\big(u_w^\top v_c+b_w+a_c-\log X_{wc}\big)^2,
# \qquad f(X)=\min\big(1,(X/X_{\max})^{3/4}\big).\tag{4}$$
#
# The biases absorb how frequent a word is. The weight $f$ keeps the countless pairs
# that were seen once from drowning the others. Zeros are left out entirely: that *two words never
# meet* is no part of this loss, while in (2) the drawn pairs say exactly
# that. On a small text most of the table is zeros. Predict what follows. As a
# control, the same table with its zeros: $\log(1+X)$, factorised.

# %%
wide = cooccurrence(ids, len(vocabulary), 2 * WINDOW)
pairs = np.argwhere(wide > 0).astype("int32")
pairs = np.random.default_rng(0).permutation(pairs)
seen = wide[pairs[:, 0], pairs[:, 1]]
glove = GloVe.tables(len(vocabulary), VECTOR, x_max=10.0, seed=0)
u, v, b, a = glove.get_weights()
w, c = pairs[:1000].T
error = (u[w] * v[c]).sum(1) + b[w, 0] + a[c, 0] - np.log(seen[:1000])
weight = np.minimum(1, (seen[:1000] / 10) ** 0.75)
from_library = glove.compute_loss(
    x=pairs[:1000], y=seen[:1000], y_pred=glove(pairs[:1000])
)
from_library = float(ops.convert_to_numpy(from_library))
print(f"equation (4), mean {np.mean(weight * error**2):.5f}", end=" | ")
print(f"library {from_library:.5f}")
assert np.isclose(np.mean(weight * error**2), from_library, rtol=1e-4)
print(f"cells seen {100 * np.mean(wide > 0):.1f} %, of these once", end=" ")
print(f"{100 * np.mean(seen == 1):.0f} %")
with_zeros = svd.fit_transform(csr_matrix(np.log1p(wide)))

# %% tags=["nbval-ignore-output"]
anneal(glove, 1e-2, GLOVE_EPOCHS * -(-len(pairs) // 2048))
by_glove = []
for seed in SEEDS:
    restart(glove, seed)
    history = glove.fit(
        pairs, seen, batch_size=2048, epochs=GLOVE_EPOCHS, verbose=0
    ).history["loss"]
    by_glove.append(glove.vectors())
    print(f"seed {seed}: weighted squared error {history[-1]:.3f}")

# %% tags=["hide-input"]
assert history[-1] < 0.5 * history[0]

# %% [markdown]
# ## 4. Who is near whom?
#
# The nearest words by the cosine between vectors:


# %%
def nearest_words(vectors, word, n=5):
    """The n words whose vectors have the largest cosine with this one."""
    unit = vectors / np.maximum(
        np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9
    )
    cosine = unit @ unit[vocabulary.ids[word]]
    cosine[vocabulary.ids[word]] = -1  # not itself
    cosine[:3] = -1  # nor a reserved id
    return [vocabulary.tokens[i] for i in np.argsort(-cosine)[:n]]


vector_sets = {
    "PPMI, U√Σ": [root_sigma],
    "PPMI, UΣ": [full_sigma],
    "log(1 + X), UΣ": [with_zeros],
    "skip-gram": by_skip_gram,
    "GloVe": by_glove,
}

# %% tags=["nbval-ignore-output"]
for word in ("copper", "lizard", "soup", "fever"):
    print(word)
    for name, sets in vector_sets.items():
        print(f"  {name:<14}", ", ".join(nearest_words(sets[0], word)))

# %% [markdown]
# For a test we need words whose kinship somebody else has judged: WordNet (Fellbaum
# 1998) says of 532 frequent nouns here which of eight kinds they name by their most
# frequent sense. Two numbers:
#
# - **neighbours**: of a word's five nearest among the judged words, the share
#   of the same kind;
# - **pairs**: the probability that two words of one kind have a larger cosine
#   than two words of different kinds, the area under the ROC curve.

# %%
kinds = {
    word: kind
    for word, kind in corpora.load_word_kinds().items()
    if word in vocabulary.ids
}
judged = np.array([vocabulary.ids[word] for word in kinds])
kind_of = np.array([corpora.KINDS.index(kind) for kind in kinds.values()])
same_kind = kind_of[:, None] == kind_of
upper = np.triu_indices(len(judged), 1)


def similarity_test(vectors):
    """Share of five neighbours of the same kind; area under the ROC."""
    unit = vectors[judged]
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1)[:, None], 1e-9)
    cosine = unit @ unit.T
    area = roc_auc_score(same_kind[upper], cosine[upper])
    np.fill_diagonal(cosine, -2)
    nearest = np.argsort(-cosine, axis=1)[:, :5]
    return np.mean(kind_of[nearest] == kind_of[:, None]), area


chance = np.mean(same_kind[upper])
print(f"{len(judged)} judged words; neighbours by chance {chance:.3f}")

# %% tags=["nbval-ignore-output"]
noise = np.random.default_rng(0).standard_normal((3, len(vocabulary), VECTOR))
scores = {
    name: np.array([similarity_test(vectors) for vectors in sets])
    for name, sets in {"random vectors": noise, **vector_sets}.items()
}
table = []
for name, found in scores.items():
    table.append((name, *(with_spread(values, 3) for values in found.T)))
runtime.record(
    "Word vectors: similarity test, three seeds",
    ("vectors", "neighbours", "pairs (AUROC)"),
    table,
)

# %% tags=["hide-input"]
near, area = np.array([found.mean(0) for found in scores.values()]).T
assert abs(near[0] - chance) < 0.02 and abs(area[0] - 0.5) < 0.02
assert min(near[1:]) > 2 * chance and min(area[1:]) > 0.57
_, root, full, zeros, skip, glove_row = range(len(scores))
assert area[root] + 0.01 < area[skip] < area[full] + 0.01, "by the exponent"
assert area[full] > area[root] + 0.02
assert min(near[root], near[full]) > near[skip] + 0.01, "better neighbours"
assert near[glove_row] < near[zeros] - 0.05 and area[zeros] < area[full]
assert area[glove_row] < min(area[zeros], area[skip]) - 0.03

# %%
unit = by_skip_gram[0][judged]
unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
plane = PCA(2, random_state=0).fit_transform(unit)
figure, axis = plt.subplots(figsize=(7.5, 4.4))
for index, kind in enumerate(corpora.KINDS):
    members = kind_of == index
    style = {"s": 14, "alpha": 0.7, "marker": "osD^v<>P"[index % 8]}
    axis.scatter(*plane[members].T, label=kind, **style)
for word in ("copper", "lizard", "soup", "fever", "verb", "lung", "shrub"):
    if word in kinds:
        place = plane[list(kinds).index(word)]
        paper = {"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none"}
        axis.annotate(word, place, bbox={**paper, "alpha": 0.8})
axis.set(
    xlabel="first principal direction", ylabel="second principal direction"
)
axis.set_title("Kinds that no vector was told of lie in regions")
axis.legend(bbox_to_anchor=(1.0, 1.0), loc="upper left")
plt.show()

# %% [markdown]
# **Figure 6d.1.** Skip-gram vectors of the judged words, the two main of 32
# directions; colours not used in training. Regions, not clusters.
#
# **Counting and factorising has the best nearest neighbours, and with $U\Sigma$ it
# sorts pairs of words at least as well as skip-gram, which beats only $U\sqrt\Sigma$; GloVe
# is behind all of them** on a text this small. Half an exponent decided the second race: tune
# the baseline before you name a winner. GloVe is the method that cannot see zeros, and here
# about 95 of 100 cells are zeros; the control, the same window and a logarithm too,
# sees them and is well ahead of it. On billions of words more depends on windows, thinning
# and smoothing than on the formula (Levy et al. 2015).

# %% [markdown]
# ## 5. Characters, by counting
#
# Now the text itself: a probability for every next character. The product
# over a text is the probability of the text, and $-\log_2$ of it the length
# in bits that a perfect coder would need, so models are compared in **bits
# per character**: $-\frac1n\sum_t\log_2p(w_t\mid w_1,\dots,w_{t-1})$. Guessing
# among the 45 characters at equal odds costs $\log_2 45\approx5.5$ bits.
#
# The classical model counts. An **n-gram** of order $n$ looks at the $n-1$
# characters before: $c(hw)/c(h)$. Long contexts know more and are seen more
# rarely; most of what is tested was never seen at all, and a zero there costs
# infinitely many bits. *Smoothing* hands a discount $D$ from every count to the next
# shorter context $h'$,
#
# $$p(w\mid h)=\frac{\max(c(hw)-D,0)}{c(h)}+\frac{D\,N(h)}{c(h)}\,p(w\mid h'),
# \tag{5}$$
#
# where $N(h)$ different characters followed $h$. Below the top
# order, Kneser and Ney (1995) count in how many *different* contexts a string
# occurs: "francisco" is frequent, but only after "san". The order is chosen
# on the validation text; the test text is read at the end.

# %%
order_bits = {}
for order in ORDERS:
    ngram = NGram(order, len(characters)).fit(train_stream)
    order_bits[order] = ngram.score(val_stream).mean() / np.log(2)
best_order = min(order_bits, key=order_bits.get)
print({order: round(float(bits), 3) for order, bits in order_bits.items()})
assert best_order >= 10 and order_bits[1] - order_bits[best_order] > 2
assert order_bits[10] - order_bits[13] < 0.02, "longer contexts add nothing"

# %%
ORDER = best_order
ngram = NGram(ORDER, len(characters)).fit(train_stream)
whole = ngram.distributions(val_stream[:30])
print("sums of p over the alphabet:", whole.sum(1).round(12)[[0, 4, ORDER - 1]])
assert np.allclose(whole.sum(1), 1)
told = [characters.tokens[i] for i in np.argsort(-whole[-1])[:4]]
print(repr(characters.decode(val_stream[None, :30])[0]), "→", told)

# %% [markdown]
# ## 6. Characters, by a network
#
# `LanguageModel` predicts each character from vectors of the ten before it (Bengio et
# al. 2003): an embedding, a causal convolution, a dense layer, a softmax over the
# alphabet; the loss is $-\log p$ of the next character, the objective
# of the large language models. How does it do after about ten seconds?

# %% tags=["nbval-ignore-output"]
LENGTH = 128


def as_rows(stream):
    """A stream cut into rows for the network; the rest is left out."""
    return stream[: len(stream) // LENGTH * LENGTH].reshape(-1, LENGTH)


x = as_rows(train_stream)
network = LanguageModel.conv(len(characters), 24, 128, window=10, seed=0)
anneal(network, 1e-2, NETWORK_EPOCHS * -(-len(x) // 16))
network.fit(x, batch_size=16, epochs=NETWORK_EPOCHS, verbose=0)
rows = as_rows(test_stream)
network_bits = network.example_losses(rows).sum() / rows.size / np.log(2)
ngram_bits = ngram.score(test_stream).mean() / np.log(2)
print(f"network alone  {network_bits:.3f} bits per character, test text")
print(f"best n-gram    {ngram_bits:.3f}")

# %% tags=["hide-input"]
assert ngram_bits < 2 and network_bits > ngram_bits + 0.3
assert network_bits < np.log2(len(characters) - 3)

# %% [markdown]
# The n-gram wins, clearly. Counting learns a string from seeing it once;
# gradient descent needs many small steps.
#
# ### Let the network decide whom to trust
#
# Equation (5) mixes the orders by one fixed rule. But how far to trust a
# long context depends: on how often it was seen, how many characters followed
# it, whether a word just began. Neubig and Dyer (2016): a network reads the last eight characters
# and the counts $c(h),N(h)$ of all contexts, and answers with one weight for
# each order,
#
# $$p(w\mid h)=\sum_{k=1}^{n}g_k(h)\,p_k(w\mid h),\qquad g=\mathrm{softmax}\big(
# f_\theta(h)\big),\tag{6}$$
#
# where $p_k$ is the smoothed n-gram of order $k$. A weighted mean of
# distributions is a distribution, whatever the network says. The loss is
# $-\log p$ again, and its gradient reaches $\theta$ through $g$.
#
# If the network learnt on the text that the n-gram counted, the longest context
# would always have seen the answer. So an n-gram counts the first three quarters of the training text, the
# network learns on the last quarter, and for the test an n-gram of the
# whole training text takes the place of the first.

# %%
cut = int(0.75 * len(train_stream))
partial = NGram(ORDER, len(characters)).fit(train_stream[:cut])
lesson = mixture_inputs(partial, train_stream[cut:])
exam = mixture_inputs(ngram, test_stream)
blind = mixture_inputs(ngram, train_stream[cut:])  # the trap
print({name: array.shape for name, array in lesson.items()})
for name, inputs in (("honest", lesson), ("the trap", blind)):
    bits = -np.log2(inputs["experts"][:, -1]).mean()
    print(f"{name:>8}: the highest order seems to need {bits:.2f} bits")
assert -np.log2(blind["experts"][:, -1]).mean() < 1 < ngram_bits

# %% [markdown]
# Does that take a network? The classical rival (Jelinek and Mercer 1980) keeps the
# weights in a table: one row for each length of the longest context that was seen, how
# often it was, and how many characters followed it, fitted on the same quarter by
# expectation maximisation.


# %%
def buckets(inputs):
    """Row of the table: longest context seen, its count, its followers."""
    evidence = np.rint(np.expm1(inputs["evidence"])).astype(int)
    count, followers = evidence[:, ::2], evidence[:, 1::2]
    longest = np.sum(count > 0, axis=1) - 1
    last = np.arange(len(count)), longest
    often = np.clip(count[last], 1, 4) - 1
    return 12 * longest + 3 * often + np.clip(followers[last], 1, 3) - 1


def fit_table(inputs, rounds=20):
    """Weights (rows, orders) by expectation maximisation."""
    row, p = buckets(inputs), inputs["experts"].astype("float64")
    weights = np.full((12 * ORDER, ORDER), 1 / ORDER)
    for _ in range(rounds):
        share = weights[row] * p
        share /= share.sum(axis=1, keepdims=True)
        total = [np.bincount(row, each, 12 * ORDER) for each in share.T]
        total = np.transpose(total) + 0.05
        weights = total / total.sum(axis=1, keepdims=True)
    return weights


p = np.sum(fit_table(lesson)[buckets(exam)] * exam["experts"], axis=1)
table_bits = -np.log2(p).mean()

# %% tags=["nbval-ignore-output"]
mixture = NGramMixture.dense(ORDER, len(characters))
steps = MIXTURE_EPOCHS * -(-len(lesson["experts"]) // 256)
anneal(mixture, 3e-3, steps)  # at 5e-3 one seed in sixteen got stuck
mixture_bits = []
for seed in SEEDS:
    restart(mixture, seed)
    mixture.fit(lesson, batch_size=256, epochs=MIXTURE_EPOCHS, verbose=0)
    mixture_bits.append(mixture.example_losses(exam).mean() / np.log(2))
equal = -np.log2(exam["experts"].mean(1)).mean()  # all orders alike
runtime.record(
    "Next character, bits per character of the test text",
    ("model", "bits"),
    [
        ("characters at equal odds", f"{np.log2(len(characters) - 3):.3f}"),
        ("network alone", f"{network_bits:.3f}"),
        ("all orders at equal weight", f"{equal:.3f}"),
        (f"best n-gram, order {ORDER}", f"{ngram_bits:.3f}"),
        ("orders mixed by a table", f"{table_bits:.3f}"),
        (
            "network that mixes the orders",
            f"{np.mean(mixture_bits):.3f} ± {np.std(mixture_bits, ddof=1):.3f}",
        ),
    ],
)

# %% tags=["hide-input"]
assert max(mixture_bits) < ngram_bits - 0.04, "every seed below the n-gram"
assert np.std(mixture_bits) < 0.01
assert equal > ngram_bits, "mixing blindly does not help"
assert max(mixture_bits) + 0.01 < table_bits < ngram_bits - 0.01

# %%
gate = ops.convert_to_numpy(
    mixture({name: array[:20_000] for name, array in exam.items()})["gate"]
)
is_first = exam["context"][:20_000, -1] == characters.ids[" "]
top_order = gate[:, -1]
assert top_order[is_first].mean() < top_order[~is_first].mean() - 0.1
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.4))
left.plot(ORDERS, order_bits.values(), "o-", label="n-gram, validation text")
left.axhline(ngram_bits, color="C0", ls=":", label="best n-gram, test text")
left.axhline(
    np.mean(mixture_bits), color="C1", ls="--", label="mixture, test text"
)
left.set(xlabel="order", ylabel="bits per character")
left.set_ylim(np.mean(mixture_bits) - 0.1, order_bits[5] + 0.1)
left.set_title("Longer contexts, then saturation")
left.legend()
places = np.arange(1, ORDER + 1)
right.plot(places, gate[is_first].mean(0), "o-", label="first letter of a word")
right.plot(places, gate[~is_first].mean(0), "s-", label="anywhere else")
right.set(xlabel="order", ylabel="mean weight of the gate")
right.set_title("The network's trust in each order")
right.legend()
plt.show()

# %% [markdown]
# **Figure 6d.2.** Left: what each order of n-gram achieves on the validation
# text (orders 1 and 3 lie above the frame); the two horizontal lines are read on the test text. Right: whom the
# network trusts. The highest order gets most of the weight, and clearly less
# at the first letter of a word, where shorter contexts take over: what comes
# next is then open.
#
# For every seed the network that mixes is at least 0.04 bits below the best
# n-gram, on text that neither has seen. Nearly half of the gain a table of weights
# achieves without a network; the rest is read from the characters and from the counts
# of all contexts at once. It does not replace the counts.

# %% [markdown]
# ## 7. Sampling, with a temperature
#
# A model of the next character writes: draw a character, append it, ask again.
# The **temperature** $\tau$ decides how daring,
#
# $$p_\tau(w)\propto p(w)^{1/\tau}.\tag{7}$$
#
# At $\tau\to0$ the likeliest character is always taken, at 1 one draws from
# the model itself, above 1 from something flatter than the model believes.
# To measure copying, count how many of the eight-character strings of a sample occur
# in the training text.

# %% tags=["nbval-ignore-output"]
prompt = characters.encode(["a small "])[0]
trained_on = corpora.one_stream(definitions.texts_train[:TEXTS])
copied = {}
for temperature in (0.3, 1.0, 1.6):
    sample = mixture.sample(
        ngram, 120, temperature=temperature, prompt=prompt, seed=3
    )
    text = characters.decode(np.array([sample]))[0]
    pieces = [text[i : i + 8] for i in range(len(text) - 7)]
    copied[temperature] = np.mean([p in trained_on for p in pieces])
    print(f"τ = {temperature}: {100 * copied[temperature]:.0f} % copied")
    print("   ", text.replace("\n", " / "))

# %% tags=["hide-input"]
assert copied[0.3] > copied[1.0] > copied[1.6]

# %% [markdown]
# Low temperature recites, high invents letters. There is no right
# value: it trades fluency against variety, and must be named with every sample. At
# another than 1 it is no longer the model whose bits were measured.

# %% [markdown]
# ## 8. A summary by choosing sentences
#
# What word vectors can do is modest: **choose** the sentence that says most
# of what the text says. Represent a sentence by the mean of its words'
# vectors, rare words counting more, the document by the mean of its sentences, and take
# the sentence with the largest cosine to it.
#
# The 182 documents are docstrings, and their authors wrote a summary
# themselves: the first line. It is not part of the text we choose from. The
# score is the overlap of words between the chosen sentence and that line,
# the $F_1$ known as ROUGE-1. The rivals: the first sentence, hard to beat where
# people put the point first; a sentence at random; the longest,
# which shares most by its length; and the central sentence without any vectors of
# words, by the tf-idf weights of the words themselves.


# %%
frequency = np.bincount(ids.ravel(), minlength=len(vocabulary))
rarity = 1e-3 / (1e-3 + frequency / frequency[3:].sum())
rarity[:3] = 0.0


def sentence_vectors(sentences, vectors):
    """One vector a sentence: mean of its words', rare words count more."""
    rows = vocabulary.encode(sentences)
    weight = rarity[rows][..., None]
    mean = (vectors[rows] * weight).sum(1) / np.maximum(weight.sum(1), 1e-9)
    return mean / np.maximum(np.linalg.norm(mean, axis=1)[:, None], 1e-9)


def overlap(sentence, summary):
    """ROUGE-1: F1 of the words that two texts share, each counted as often
    as both have it."""
    first, second = (
        collections.Counter(tokens.split_words(t)) for t in (sentence, summary)
    )
    shared = (first & second).total()
    return 2 * shared / (first.total() + second.total())


# %% tags=["nbval-ignore-output"]
def central_sentence(document, vectors):
    """Index of the sentence nearest to the document's mean vector."""
    z = sentence_vectors(document.sentences, vectors)
    return int(np.argmax(z @ z.mean(0)))


overlaps = collections.defaultdict(list)
by_words = TfidfVectorizer(sublinear_tf=True).fit(sentences)
for document in documents:
    each = [overlap(s, document.summary) for s in document.sentences]
    overlaps["first sentence"].append(each[0])
    overlaps["any sentence, mean"].append(np.mean(each))
    lengths = [len(tokens.split_words(s)) for s in document.sentences]
    overlaps["longest sentence"].append(each[np.argmax(lengths)])
    overlaps["best possible"].append(max(each))
    z = by_words.transform(document.sentences).toarray()
    overlaps["central, tf-idf"].append(each[np.argmax(z @ z.mean(0))])
    for name in ("PPMI, UΣ", "skip-gram", "GloVe"):
        index = central_sentence(document, vector_sets[name][0])
        overlaps[f"central, {name}"].append(each[index])
errors = {n: np.std(v, ddof=1) / len(v) ** 0.5 for n, v in overlaps.items()}
runtime.record(
    f"Summaries of {len(documents)} docstrings by one sentence: ROUGE-1, mean ±"
    " standard error",
    ("sentence chosen", "ROUGE-1"),
    [
        (name, f"{np.mean(values):.3f} ± {errors[name]:.3f}")
        for name, values in overlaps.items()
    ],
)

# %% tags=["hide-input"]
mean_of = {name: np.mean(values) for name, values in overlaps.items()}
central = [v for name, v in mean_of.items() if name.startswith("central")]
assert mean_of["first sentence"] > max(central) + 0.03, "the lead wins"
assert max(central) > mean_of["any sentence, mean"]
gaps = [abs(value - mean_of["longest sentence"]) for value in central]
assert max(gaps) < 0.035, "hardly better than the longest"
assert mean_of["best possible"] < 0.5

# %% tags=["nbval-ignore-output"]
document = max(documents, key=lambda d: len(d.sentences))
chosen = central_sentence(document, vector_sets["PPMI, UΣ"][0])
print("authors' line: ", document.summary)
print("first sentence:", document.sentences[0])
print(f"most central, number {chosen + 1} of {len(document.sentences)}:")
print("              ", document.sentences[chosen])

# %% [markdown]
# The first sentence wins, as in most studies of news and reports. The
# central sentence is little better than an arbitrary one or the longest, whichever
# vectors are used, or none: plain tf-idf does as well. Even an oracle stays below 0.5:
# authors do not summarise by quoting.

# %% [markdown]
# ## 9. What these tasks would need instead
#
# **Translation** and **abstractive summaries**, which write sentences of
# their own, are often listed as uses of autoencoders. A plain autoencoder
# does neither: its decoder returns its input, and nothing in its loss asks
# for another language or fewer words. What works has two parts: (a) a
# sequence-to-sequence network, an encoder that reads the text and a decoder
# that predicts the next token of the *other* text while attending to it,
# pretrained to restore damaged text (BART, Lewis et al. 2020: words deleted,
# sentences shuffled); and (b) **supervision**: pairs of sentences in two
# languages, pairs of article and summary, by the hundred thousand. Only (a)
# is unsupervised. Two ways around (b): translation without pairs (Lample et al. 2018:
# denoising in both languages and translation back and forth; its first step, a dictionary
# from two texts alone, works in [Chapter 6i](06i_without_a_dictionary.ipynb)), which needs
# millions of sentences in each language and stays behind pairs where pairs exist; and large
# language models, which met translations and summaries among what they read and
# write both when asked (Brown et al. 2020).
#
# **Speech recognition** mostly takes a few transcribed
# hours on top of self-supervised pretraining (wav2vec 2.0, Baevski et al. 2020). It has been done
# with none: wav2vec-U (Baevski et al. 2021) matches recordings with unrelated text by a GAN
# on phonemes. Synthesis needs recordings with their text.
#
# **GANs for text** meet a wall at the first step. Choosing a character is an
# $\arg\max$ or a draw: its slope is zero wherever it exists, so the
# discriminator's judgement never reaches the generator.

# %%
logits = np.array([[2.0, 1.5, 0.3]])
nudged = logits + np.array([[0.0, 1e-3, 0.0]])
chosen = [int(value.argmax(1)[0]) for value in (logits, nudged)]
softened = [np.exp(v) / np.exp(v).sum() for v in (logits, nudged)]
print("chosen before and after a nudge:", chosen)
print("slope of the choice 0, of the softmax", end=" ")
print(((softened[1] - softened[0]) / 1e-3).round(3)[0])
assert chosen[0] == chosen[1]

# %% [markdown]
# The ways around it are policy gradients (SeqGAN, Yu et al. 2017), which are noisy, and
# relaxations that replace the draw by a softmax with noise (Gumbel-softmax, Jang, Gu and Poole
# 2017), which are biased. Measured carefully, GANs for text lost to plain likelihood (Caccia
# et al. 2020). **Variational autoencoders for text** have another trouble: a
# strong decoder predicts the next word from the words before and ignores the
# code, the posterior collapse of [Chapter 4b](04b_what_it_is_good_for.ipynb) (Bowman et al. 2016).

# %% [markdown]
# ## What we have shown
#
# - Skip-gram's and GloVe's losses equal their formulas; skip-gram's optimum
#   is a shifted table of mutual information.
# - On twenty thousand short texts a factorised count table had the best nearest
#   neighbours and sorted pairs as well as skip-gram, once factorised as in principal
#   component analysis; GloVe was behind both.
# - A smoothed n-gram needed under two bits a character; the network alone was
#   far above it.
# - A network that mixes the orders was at least 0.04 bits below the best n-gram,
#   for three seeds; a table of weights achieved nearly half of the gain.
# - Low temperature recited, high temperature invented.
# - The first sentence was a better summary than the most central one.
# - Translation and abstractive summaries need pairs, or far more text than this; GANs for
#   text need a way around a choice that has no slope.
#
# **Limits.** One kind of text, definitions, full of stock phrases, which
# favours counting. With a thousand times more text the order of the first two tables
# may turn.
#
# ## References
#
# - Baevski et al. (2020). wav2vec 2.0: a framework for self-supervised learning of speech representations. NeurIPS.
# - Baevski et al. (2021). Unsupervised speech recognition. NeurIPS.
# - Bengio et al. (2003). A neural probabilistic language model. JMLR.
# - Bowman et al. (2016). Generating sentences from a continuous space. CoNLL.
# - Brown et al. (2020). Language models are few-shot learners. NeurIPS.
# - Caccia et al. (2020). Language GANs falling short. ICLR.
# - Fellbaum (ed., 1998). WordNet: an electronic lexical database. MIT Press.
# - Firth (1957). A synopsis of linguistic theory 1930–1955. Studies in Linguistic Analysis.
# - Jang, Gu, Poole (2017). Categorical reparameterization with Gumbel-softmax. ICLR.
# - Jelinek, Mercer (1980). Interpolated estimation of Markov source parameters from sparse data. Pattern Recognition in Practice.
# - Kneser, Ney (1995). Improved backing-off for m-gram language modeling. ICASSP.
# - Lample et al. (2018). Unsupervised machine translation using monolingual corpora only. ICLR.
# - Levy, Goldberg (2014). Neural word embedding as implicit matrix factorization. NeurIPS.
# - Levy, Goldberg, Dagan (2015). Improving distributional similarity with lessons learned from word embeddings. TACL.
# - Lewis et al. (2020). BART: denoising sequence-to-sequence pre-training. ACL.
# - Mikolov et al. (2013). Distributed representations of words and phrases and their compositionality. NeurIPS.
# - Neubig, Dyer (2016). Generalizing and hybridizing count-based and neural language models. EMNLP.
# - Pennington, Socher, Manning (2014). GloVe: global vectors for word representation. EMNLP.
# - Yu et al. (2017). SeqGAN: sequence generative adversarial nets with policy gradient. AAAI.

# %% [markdown]
# ## Exercises
#
# Each needs only the set-up cells at the top. Write your answer where
# it says `# your answer here`, run the cell, then run the check below it: it
# says what is wrong, and with what to go on once it is right.

# %% [markdown] tags=["exercise"]
# ### Exercise 6d.1 · Surprise, with a pencil
#
# *You will learn what the numbers of this chapter are made of.* In a text,
# 10 000 pairs of neighbours were counted. "copper" is the word of 50 of
# them, "alloy" the context of 40, both together in 8. Give three numbers:
# their PMI in **nats**; the logit $u^\top v$ that skip-gram with $K=5$
# approaches for this pair; and, from another model, the **bits** per
# character of a text of 200 characters to which it gives the log-probability
# $-249.5$ nats.

# %% tags=["exercise"]
answer_6d_1 = None
### BEGIN SOLUTION
pmi = np.log((8 / 10_000) / ((50 / 10_000) * (40 / 10_000)))
answer_6d_1 = [pmi, pmi - np.log(5), 249.5 / 200 / np.log(2)]
### END SOLUTION

# %% tags=["check"]
checks.check_6d_1(answer_6d_1)

# %% [markdown] tags=["discussion"]
# $\mathrm{PMI}=\log40=3.69$: the pair is forty times as frequent as chance
# would have it. Skip-gram sees five drawn contexts for each real one, so a
# pair must be five times as frequent as chance to get a logit above 0:
# $3.69-1.61=2.08$. The text costs 1.2475 nats or 1.80 bits a character.

# %% [markdown] tags=["exercise"]
# ### Exercise 6d.2 · Skip-gram's loss
#
# *You will learn which sign belongs to whom.* `u` $(n,k)$ are the vectors of
# the words, `real` $(n,k)$ those of their real contexts, `drawn` $(n,K,k)$
# those of the drawn ones. Return the loss (2) of each pair, $(n,)$, with
# `keras.ops`, and without infinities where a logit is $\pm100$.


# %% tags=["exercise"]
def skip_gram_loss(u, real, drawn):
    """Return −log σ(u·real) − Σ log σ(−u·drawn), one value a pair."""
    ### BEGIN SOLUTION
    logit = ops.sum(u * real, axis=-1)
    noise = ops.sum(u[:, None] * drawn, axis=-1)
    return ops.softplus(-logit) + ops.sum(ops.softplus(noise), axis=-1)
    ### END SOLUTION


# %% tags=["check"]
checks.check_6d_2(skip_gram_loss)

# %% [markdown] tags=["discussion"]
# $-\log\sigma(s)=\mathrm{softplus}(-s)$, which stays finite where
# `ops.log(ops.sigmoid(s))` has rounded $\sigma$ to 0. The drawn contexts are
# *summed*: a mean would make $K$ disappear from (3).

# %% [markdown] tags=["exercise"]
# ### Exercise 6d.3 · GloVe's loss
#
# *You will learn what the weight protects from.* `fitted` $(n,)$ is
# $u^\top v+b+a$ for $n$ pairs, `counts` $(n,)$ are their counts $X>0$.
# Return the weighted squared error of each pair, $(n,)$, as in (4), with
# `x_max` as given and exponent $3/4$; written with `keras.ops`.


# %% tags=["exercise"]
def glove_loss(fitted, counts, x_max=10.0):
    """Return f(X) (fitted − log X)², one value a pair."""
    ### BEGIN SOLUTION
    weight = ops.minimum(1.0, (counts / x_max) ** 0.75)
    return weight * ops.square(fitted - ops.log(counts))
    ### END SOLUTION


# %% tags=["check"]
checks.check_6d_3(glove_loss)

# %% [markdown] tags=["discussion"]
# Without the minimum the pairs with "the" would outweigh everything; without
# the weight the 60 % of cells with a single count would. Why no cell with
# $X=0$? Because $\log0$ is $-\infty$: that is the price of the logarithm, and
# the reason for GloVe's place in the table.

# %% [markdown] tags=["exercise"]
# ### Exercise 6d.4 · Temperature
#
# *You will learn to cool a distribution.* `p` is a vector of probabilities,
# some of which may be 0. Return the distribution (7) at temperature `tau`
# $>0$. At `tau = 0.01` the result must still be a distribution, not NaN.


# %% tags=["exercise"]
def at_temperature(p, tau):
    """Return the distribution in proportion to p ** (1 / tau)."""
    ### BEGIN SOLUTION
    with np.errstate(divide="ignore"):
        logits = np.log(p) / tau
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()
    ### END SOLUTION


# %% tags=["check"]
checks.check_6d_4(at_temperature)

# %% [markdown] tags=["discussion"]
# Dividing the *logits* is the same as taking powers of the probabilities;
# dividing the probabilities themselves changes nothing after normalising. In
# logits one may subtract the largest first, which is what saves
# `tau = 0.01`, where $0.3^{100}$ is $5\cdot10^{-53}$ and float32 would say 0.

# %% [markdown] tags=["exercise"]
# ### Exercise 6d.5 · The window decides what "similar" means (experiment)
#
# *You will learn that a setting can matter more than a method.* Make
# vectors with `ppmi_vectors(cooccurrence(ids, len(vocabulary), window),
# VECTOR)` for windows of 1 and of 10. For each, find the five nearest words
# (largest cosine, among the words in `corpora.load_word_kinds()` that the
# vocabulary has) of each such word, and give the share of the same kind, as a dict
# `{1: …, 10: …}`. What do you expect?

# %% tags=["exercise"]
answer_6d_5 = None
### BEGIN SOLUTION
kinds_6d_5 = {
    word: kind
    for word, kind in corpora.load_word_kinds().items()
    if word in vocabulary.ids
}
rows_6d_5 = [vocabulary.ids[word] for word in kinds_6d_5]
names_6d_5 = np.array(list(kinds_6d_5.values()))
answer_6d_5 = {}
for window in (1, 10):
    table_6d_5 = cooccurrence(ids, len(vocabulary), window)
    z = ppmi_vectors(table_6d_5, VECTOR)[rows_6d_5]
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    cosine = z @ z.T
    np.fill_diagonal(cosine, -2)
    nearest = np.argsort(-cosine, axis=1)[:, :5]
    answer_6d_5[window] = np.mean(names_6d_5[nearest] == names_6d_5[:, None])
### END SOLUTION

# %% tags=["check"]
checks.check_6d_5(answer_6d_5, ids, len(vocabulary), VECTOR)

# %% [markdown] tags=["discussion"]
# About 0.50 with a window of 1, which knows what stands directly beside a
# noun, that is, grammar; a little under the 0.68 of window 5 with a window of 10,
# which knows topics. The difference between settings is as large as that
# between methods: a comparison at one window is a comparison at one window.

# %% [markdown] tags=["exercise"]
# ### Exercise 6d.6 · A better guess of the next character (open)
#
# *You will learn what the counts leave on the table.* Write
# `predict(context)`: it gets a list of ids, what stands before, and returns
# probabilities of all `CHARACTERS` ids. Use whatever you like, but only
# `train_stream`. The check scores it on 400 characters of the validation
# text and asks for less than a trigram's bits. An n-gram of higher order
# does it; so does a mixture, a network, or a list of words.


# %% tags=["exercise"]
def predict(context):
    """Return probabilities of the next id, (CHARACTERS,)."""
    ### BEGIN SOLUTION
    if not hasattr(predict, "model"):  # count once, on the first call
        predict.model = NGram(7, CHARACTERS).fit(train_stream)
    return predict.model.distributions(context)[-1]
    ### END SOLUTION


# %% tags=["check"]
checks.check_6d_6(predict, train_stream, val_stream[:400])

# %% [markdown] tags=["discussion"]
# Order 7 needs over a bit less than order 3. (Its 1.62 on these 400 characters is 1.81 on
# section 5's whole validation text: a small sample.) To go on: remember the words of
# this text so far (a cache), let the weight of each order depend on its
# counts as in section 6, or train a network on what the n-gram leaves over.
# Whatever it is, the probabilities must sum to 1: a model that gives
# everything a little too much is not better, it is no model.
