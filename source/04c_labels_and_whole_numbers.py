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
# # Chapter 4c · VAEs with labels, and with codes of whole numbers
#
# A VAE ([4a](04a_from_bound_to_model.ipynb)) sees no label, and its code is a cloud of
# real numbers. Both can be changed. Tell it the class and it draws to order; tell it
# a few classes and it may guess the rest; replace the cloud by an index into a table
# and the code is a word. Each change has a bound of its own, and an opponent.
#
# **We will show**
#
# - digits to order, and what the class is worth in nats;
# - fifty labels: a semi-supervised VAE, four opponents and two controls, under one rule;
# - a VQ-VAE written on the page, codebook and commitment included;
# - its bound added up, beside the VAE's;
# - where the road goes on: hierarchies, flows, diffusion.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 4a](04a_from_bound_to_model.ipynb); [Chapter 3b](03b_judging_samples.ipynb), section 3, for the judge |
# | Data | scikit-learn's digits (full profile: MNIST) |
# | Time | about a minute on two CPU cores; 40 minutes of reading, a quarter of an hour for the exercise |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup", "hide-input"]
import itertools
import warnings

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers, ops
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelSpreading
from sklearn.svm import SVC

from utils import data, metrics, plotting
from utils.baselines.clusterings import ClusterThenLabel
from utils.baselines.mixtures import draw_by_class
from utils.checks import chapter_04 as checks
from utils.evaluation import generation
from utils.evaluation.judge import Judge
from utils.models import VAE, VQVAE, ConditionalVAE, SemiSupervisedVAE
from utils.nn import losses, networks
from utils.nn.backend import input_gradient
from utils.training import recipes
from utils.training.repeats import restart, train_from_seeds, with_spread

plotting.use_style()

# %% [markdown]
# **Parameters.** Everything that differs between the quick and the full
# profile stands in this one cell.

# %% tags=["setup"]
DATA = profile.pick(quick="digits", full="mnist")
LATENT_DIM = profile.pick(quick=4, full=20)
WIDTHS = profile.pick(quick=(128,), full=(400,))
TILES = profile.pick(quick=12, full=1)  # copies of the rows in an epoch
EPOCHS = profile.pick(quick=3, full=8)
RATE = profile.pick(quick=5e-3, full=3e-3)
BATCH = profile.pick(quick=64, full=128)
SEEDS = profile.pick(quick=(0, 1, 2), full=(0,))
JUDGED = profile.pick(quick=359, full=2000)  # test rows in each comparison
ROWS_OF_BOOK = profile.pick(quick=32, full=64)  # K of the code book
FILTERS = profile.pick(quick=(32,), full=(16, 32))

# %% tags=["setup", "hide-input"]
digits = data.load(DATA)
SHAPE = digits.event_shape
tiles = (TILES, *(1 for _ in SHAPE))
x_train, y_train = (
    np.tile(digits.x_train, tiles),
    np.tile(digits.y_train, TILES),
)
x_test, y_test = digits.x_test, digits.y_test


def runs(model, y=None):
    """Train one model from each seed; yield it each time."""
    common = {"seeds": SEEDS, "epochs": EPOCHS, "batch_size": BATCH}
    return train_from_seeds(model, x_train, y, rate=RATE, **common)


# %% tags=["setup", "hide-input"]
judge = Judge.trained_on(
    digits.x_train,
    digits.y_train,
    network=profile.pick(quick="dense", full="conv"),
)
reference = judge.features(x_test[:JUDGED])


def verdict(x):
    """Fréchet distance, density, coverage in the judge's features."""
    return generation.compare_sets(reference, judge.features(x[:JUDGED]))


print("images", digits.x_train.shape)

# %% [markdown]
# ## 1. Digits to order
#
# Tell both networks the class and the code need not carry it. The
# **conditional VAE** (Sohn et al. 2015) has $p_\theta(x\mid z,y)$ and
# $q_\phi(z\mid x,y)$; its bound is one of $\log p_\theta(x\mid y)$, and its loss is
# 4a's to the letter. Only the networks have one more input:


# %%
def networks_with_class():
    """x, y → μ, log σ² and z, y → logits; the class as a one-hot row."""
    x, z = keras.Input(SHAPE, name="x"), keras.Input((LATENT_DIM,), name="z")
    labels = keras.Input((), name="labels", dtype="int32")
    one_hot = 10**0.5 * ops.one_hot(labels, 10)  # as large as a code's entries
    hidden = ops.concatenate([layers.Flatten()(x), one_hot], axis=1)
    for width in WIDTHS:
        hidden = layers.Dense(width, "relu")(hidden)
    heads = {
        "mean": layers.Dense(LATENT_DIM)(hidden),
        "log_var": layers.Dense(LATENT_DIM)(hidden),
    }
    encoder = keras.Model({"x": x, "labels": labels}, heads)
    hidden = ops.concatenate([z, one_hot], axis=1)
    for width in WIDTHS[::-1]:
        hidden = layers.Dense(width, "relu")(hidden)
    logits = layers.Reshape(SHAPE)(layers.Dense(int(np.prod(SHAPE)))(hidden))
    return encoder, keras.Model({"z": z, "labels": labels}, logits)


# %% [markdown]
# `ConditionalVAE.dense` makes the same two. Train it, and the VAE without classes,
# from the same seeds. Expect a smaller KL.

# %%
found, by_vae = [], []
vae = VAE.dense(SHAPE, LATENT_DIM, widths=WIDTHS, seed=0)
for model in runs(vae):
    test = model.evaluate(x_test, batch_size=500, verbose=0, return_dict=True)
    found.append((test["loss"], test["kl"]))
    by_vae.append(verdict(model.sample(1000, seed=len(by_vae))))
plain = np.array(found)
asked = np.arange(1000) % 10
delivered, found = [], []
to_order = ConditionalVAE.dense(SHAPE, LATENT_DIM, widths=WIDTHS, seed=0)
for model in runs(to_order, y_train):
    test = model.evaluate(
        x_test, y_test, batch_size=500, verbose=0, return_dict=True
    )
    found.append((test["loss"], test["kl"]))
    delivered.append(model.sample(1000, asked, seed=len(delivered)))
told = np.array(found)

# %% [markdown]
# The opponent of 3b that sees labels as well: one Gaussian for each class, here on
# pixels.

# %%
flat = digits.flat()
options = {"components": 1, "num": 100, "ridge": 1e-3}
by_class = []
for seed in range(3):
    x, _ = draw_by_class(flat.x_train, digits.y_train, seed=seed, **options)
    images = x.clip(0, 1).reshape(-1, *SHAPE).astype("float32")
    by_class.append(images)  # 0, 1, …, 9, 0, … as asked

# %%
mixed = np.random.default_rng(0).permutation(1000)


def as_row(name, nats, ordered, judged):
    """A row of the table; what a model does not have is a dash."""
    cells = (
        [with_spread(v, 1) for v in nats.T] if nats is not None else ["–"] * 2
    )
    seen = [100 * judge.accuracy(x, asked) for x in ordered]
    cells.append(with_spread(seen, 1) if seen else "–")
    judged = zip(np.array(judged).T, (1, 2, 2), strict=True)
    return [name, *cells, *(with_spread(v, n) for v, n in judged)]


# %% tags=["nbval-ignore-output"]
runtime.record(
    f"{DATA}: the class told or not",
    ("model", "−ELBO", "KL", "as ordered, %", "Fréchet", "density", "coverage"),
    [
        as_row("VAE", plain, [], by_vae),
        as_row(
            "conditional VAE",
            told,
            delivered,
            [verdict(x[mixed]) for x in delivered],
        ),
        as_row(
            "one Gaussian a class",
            None,
            by_class,
            [verdict(x[mixed]) for x in by_class],
        ),
    ],
)
recognised = [judge.accuracy(x, asked) for x in delivered]

# %% tags=["nbval-ignore-output", "gallery-vae_conditional"]
inputs = {"x": x_test, "labels": y_test}
units = losses.gaussian_kl(**to_order.posterior(inputs), per_unit=True)
loudest = np.argsort(-ops.convert_to_numpy(units).mean(axis=0))[:2]
pictures = {}
for unit in loudest:
    for value in (-2.0, 2.0):
        z = np.zeros((10, LATENT_DIM), "float32")
        z[:, unit] = value
        label = f"unit {unit + 1} at {value:+.0f}".replace("-", "−")
        pictures[label] = to_order.decode(z, np.arange(10))
plotting.image_rows(pictures, "One code a row, one class a column")
plt.show()

# %% tags=["hide-input"]
mine = ConditionalVAE(*networks_with_class())
mine.set_weights(to_order.get_weights())
codes = [m.encode(x_test[:50], y_test[:50]) for m in (mine, to_order)]
assert np.allclose(*codes, atol=1e-5), "the page's networks are the library's"
assert min(recognised) > (0.8 if profile.full else 0.9)  # one in ten by chance
assert told[:, 1].max() < plain[:, 1].min()
assert told[:, 0].max() < plain[:, 0].min(), "knowing the class is worth nats"

# %% [markdown]
# **Figure 4.12.** Along a row the code stays and the class changes; down a column
# the two units that say most move from one end of the prior to the other.
# Nothing *forbids* the code to know the class too: the bound only makes it expensive.
# The factor $\sqrt{10}$ on the page gives the one-hot row the mean square of a code.
#
# **One Gaussian a class draws better small digits**, by distance and coverage,
# and is recognised as often. On MNIST ([docs/results.md](../docs/results.md)) the
# conditional VAE is nearer and covers more, and the Gaussians are recognised more
# often. The *density* of the conditional VAE, far above the real rows' 1 on the small
# digits, is no praise: its samples are means, smooth digits in the middle of many real ones.
#
# What is a class worth? If $y$ is a fair ten-sided die, then
# $\log p(x)\ge\log p(x\mid y)-\log10$, so knowing it can save *one* model at most
# $\log10\approx2.3$ nats. We see more than that between our two. The excess is
# what the plain model lost elsewhere: add 2.3 nats to the bound given the class
# and you have a bound of $\log p(x)$ that beats the plain VAE's. A
# code with a class in it suits ten kinds of digits better than a Gaussian alone.
#
# ## 2. Five labels a class
#
# VAEs are often listed among classifiers. A VAE classifies nothing: no label
# enters its bound. Labels have to come in somewhere, and the honest form is a
# **semi-supervised** VAE (model M2 of Kingma et al. 2014). Take the
# conditional model and add a classifier $q_\phi(y\mid x)$. With
# $\mathcal L(x,y)$ for the bound of $\log p_\theta(x,y)$,
#
# - a labelled row contributes $-\mathcal L(x,y)-\alpha\log q_\phi(y\mid x)$;
# - an unlabelled row has $y$ as one more hidden variable: all ten classes are
#   tried and weighted by what the classifier thinks,
#   $\sum_yq_\phi(y\mid x)\big[-\mathcal L(x,y)+\log q_\phi(y\mid x)\big]$.
#
# The second line teaches the classifier *without* a label: a class that
# reconstructs the row well gets more weight. Fifty labels, five for each
# class, the other rows with `-1` for "no label", on the small digits in both profiles.
# First the two lines themselves, from what the model returns, beside what it
# calls its loss (which in `evaluate` leaves out $\alpha$):


# %%
small = data.load("digits")


def few_labels(draw, each=5):
    """Labels with −1 everywhere but on five rows of each class."""
    rng = np.random.default_rng(draw)
    y = np.full(len(small.y_train), -1)
    for digit in range(10):
        of_digit = np.flatnonzero(small.y_train == digit)
        y[rng.choice(of_digit, each, replace=False)] = digit
    return y


# %%
SETTINGS = {"classifier_widths": (256,), "dropout": 0.5, "seed": 0}
semi = SemiSupervisedVAE.dense((8, 8, 1), 4, widths=(64,), **SETTINGS)
recipes.compile(semi, 5e-3)
y = few_labels(0)
state = semi.vae.sampler.seed_generator.state
before = ops.convert_to_numpy(state)
in_keras = semi.evaluate(
    small.x_train, y, batch_size=len(y), verbose=0, return_dict=True
)["loss"]
state.assign(before)  # the same noise again
made = semi({"x": small.x_train, "labels": y})
made = {name: ops.convert_to_numpy(value) for name, value in made.items()}
log_q = made["class_logits"] - np.logaddexp.reduce(
    made["class_logits"], 1, keepdims=True
)
bound = made["class_nll"] + made["class_kl"].sum(axis=2) + np.log(10)  # −L
labelled = bound[np.arange(len(y)), y]
unlabelled = (np.exp(log_q) * (bound + log_q)).sum(axis=1)
in_numpy = np.where(y >= 0, labelled, unlabelled).mean()
agree = bool(np.isclose(in_keras, in_numpy, rtol=1e-4))
print("two lines in NumPy equal the library's loss:", agree)
assert agree

# %% [markdown]
# ### One rule for seven contenders
#
# Everyone gets the same fifty labels, in five draws. Everyone's knobs are chosen by
# the same rule: the setting with the best mean accuracy over the five draws on the 269
# *validation* rows; reported is the test accuracy of that setting. (So the rule itself
# uses labels that nobody with fifty would have, and all use them alike.)
#
# What would a practitioner try first? **Logistic regression** and an **SVM** with a
# radial kernel, on the fifty alone. With the unlabelled rows, **label spreading**: a
# graph joins each row to its nearest neighbours, and labels diffuse along it (Zhou et
# al. 2004). It has three lines and no training. And **cluster, then label**: k-means on
# all rows, each group called as the labelled row nearest to its centre. Last the
# controls of M2 itself: its **classifier alone** on the fifty, and M2 **without the
# unlabelled rows**.

# %%
small_flat = small.flat()
DRAWS = range(5)


def spread_labels(k, alpha):
    return LabelSpreading(
        kernel="knn", n_neighbors=k, alpha=alpha, max_iter=100
    )


makers = {
    "logistic regression": {
        (c,): LogisticRegression(C=c, max_iter=5000) for c in (0.1, 1, 10, 100)
    },
    "SVM, radial kernel": {
        pair: SVC(C=pair[0], gamma=pair[1])
        for pair in itertools.product((1, 10, 100), (0.03, 0.1, 0.3, 1.0))
    },
    "label spreading": {
        pair: spread_labels(*pair)
        for pair in itertools.product((3, 5, 7, 10, 15), (0.05, 0.2, 0.5))
    },
    "cluster, then label": {
        (k,): ClusterThenLabel(k, n_init=5, random_state=0)
        for k in (10, 20, 30, 50, 80)
    },
}

# %%
accuracy = {}  # contender → setting → (5 draws, validation and test)
for name, settings in makers.items():
    accuracy[name] = {}
    for setting, classifier in settings.items():
        rights = []
        for draw in DRAWS:
            y = few_labels(draw)
            every = name in ("label spreading", "cluster, then label")
            use = slice(None) if every else y >= 0
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of parts without a label
                classifier.fit(small_flat.x_train[use], y[use])
                rights.append(
                    (
                        classifier.score(small_flat.x_val, small.y_val),
                        classifier.score(small_flat.x_test, small.y_test),
                    )
                )
        accuracy[name][setting] = np.array(rights)

# %% [markdown]
# The networks' knob is the length of training: after each stage the accuracies are
# noted, and the stage is chosen like any other setting.

# %%
STAGES, STEPS = 7, 120  # stages, and steps of 64 rows in each


def follow(model, start, rows, targets, draw):
    """Accuracies on validation and test rows after each stage."""
    start(model, draw)
    rng = np.random.default_rng(draw)
    noted = []
    for _ in range(STAGES):
        order = rng.integers(len(rows), size=64 * STEPS)
        model.fit(rows[order], targets[order], batch_size=64, verbose=0)
        classify = getattr(model, "classify", None) or model.predict_on_batch
        noted.append(
            [
                np.mean(classify(x).argmax(axis=1) == t)
                for x, t in (
                    (small.x_val, small.y_val),
                    (small.x_test, small.y_test),
                )
            ]
        )
    return noted


# %%
alone = networks.classifier("dense", (8, 8, 1), 10, (256,), dropout=0.5, seed=0)
recipes.compile(
    alone,
    5e-3,
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)
first = alone.get_weights()


def start_alone(model, draw):
    """Put the first weights back, in other places for each draw."""
    rng = np.random.default_rng(draw)
    model.set_weights(
        [rng.permutation(w.ravel()).reshape(w.shape) for w in first]
    )
    recipes.forget(model.optimizer)


# %%
contenders = {
    "classifier of M2 alone": (alone, start_alone, True),
    "M2 without unlabelled rows": (semi, restart, True),
    "M2": (semi, restart, False),
}
for name, (model, start, labelled_only) in contenders.items():
    curves = []
    for draw in DRAWS:
        y = few_labels(draw)
        use = y >= 0 if labelled_only else slice(None)
        curves.append(follow(model, start, small.x_train[use], y[use], draw))
    accuracy[name] = {
        (STEPS * (stage + 1),): np.array(curves)[:, stage]
        for stage in range(STAGES)
    }

# %% tags=["nbval-ignore-output"]
chosen = {
    name: max(settings, key=lambda key: settings[key][:, 0].mean())
    for name, settings in accuracy.items()
}
tested = {name: accuracy[name][key][:, 1] for name, key in chosen.items()}


def difference(name):
    """Test accuracy minus M2's, paired by draw, with a 95 % interval."""
    apart = tested[name] - tested["M2"]
    half = stats.t.ppf(0.975, len(apart) - 1) * stats.sem(apart)
    return f"{apart.mean():+.3f} ± {half:.3f}" if name != "M2" else "–"


runtime.record(
    "digits, five labels a class: test accuracy, five draws of the labels",
    ["classifier", "chosen", "accuracy", "minus M2, 95 % interval"],
    [
        [
            name,
            ", ".join(f"{value:g}" for value in chosen[name]),
            with_spread(tested[name], 3),
            difference(name),
        ]
        for name in sorted(tested, key=lambda name: -tested[name].mean())
    ],
)

# %% tags=["hide-input"]
mean_of = {name: values.mean() for name, values in tested.items()}
assert mean_of["label spreading"] > mean_of["M2"] - 0.005
assert mean_of["M2"] > mean_of["M2 without unlabelled rows"]
assert mean_of["M2"] > mean_of["logistic regression"]

# %% [markdown]
# **Label spreading comes first**, on average, with three lines and no training; M2 is
# second. Read the intervals before the order: with five draws only logistic regression
# is clearly behind M2, and nobody is clearly ahead. M2's own spread is the widest in the
# table; but each draw has a network seed of its own, so it is not the labels' alone.
# Twenty groups, each called by one labelled row, are level with the SVM: much of what the
# unlabelled rows have to say is where they crowd.
#
# The controls point to where its gain comes from. M2's classifier alone and M2 fed with
# the fifty only are level, and about three points below M2 on average. If that
# gain is real (its intervals still touch zero), it is the unlabelled rows', not the
# architecture's.
#
# Two conditions are easily forgotten. The unlabelled rows must come
# from the same ten classes; and the gain shrinks as labels become plentiful,
# where a plain classifier is the right tool. Chapter 5 asks
# what a label is worth after other kinds of pretraining.
#
# ## 3. Codes made of whole numbers
#
# A Gaussian cloud is one choice of code. Another is a *word*: an index into a
# table. The **VQ-VAE** (van den Oord et al. 2017) encodes an image as a small
# grid of vectors $v$, replaces each by the nearest row $e$ of a **code book**,
# and decodes those. A $4\times4$ grid and $K=32$ make sixteen numbers from 0 to
# 31: at most $16\log_232=80$ bits.
#
# "Nearest" is a choice, and a choice has no slope (4a, section 5). So the decoder's
# gradient is handed to the encoder as if nothing had been chosen, **straight
# through**, and two squared distances do the rest. With $\mathrm{sg}$ for
# `stop_gradient`, the loss of a row is
#
# $$-\log p_\theta(x\mid e)
# +\underbrace{\lVert\mathrm{sg}(v)-e\rVert^2}_{\text{code book to vectors}}
# +\tfrac14\underbrace{\lVert v-\mathrm{sg}(e)\rVert^2}_{\text{commitment}}.\tag{11}$$
#
# The first distance moves the rows of the book to the vectors that chose them, as
# k-means would. The second keeps the encoder from running away from its choices.


# %%
class OpenVQ(keras.Model):
    """Encoder, nearest row of a code book, decoder; the loss (11)."""

    def __init__(self, encoder, decoder, book):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.book = self.add_weight(shape=book.shape, name="book")
        self.book.assign(book)

    def call(self, x):
        vectors = self.encoder(x)  # (n, rows, columns, width)
        apart = ops.expand_dims(vectors, -2) - self.book
        nearest = ops.argmin(ops.sum(ops.square(apart), axis=-1), axis=-1)
        chosen = ops.one_hot(nearest, self.book.shape[0]) @ self.book
        through = vectors + ops.stop_gradient(chosen - vectors)
        return {"v": vectors, "e": chosen, "logits": self.decoder(through)}

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        v, e, logits = y_pred.values()
        pixels = ops.softplus(logits) - x * logits
        to_vectors = ops.square(ops.stop_gradient(v) - e)
        commitment = ops.square(v - ops.stop_gradient(e))
        parts = pixels, to_vectors, 0.25 * commitment
        return ops.mean(sum(ops.sum(part, axis=(1, 2, 3)) for part in parts))


# %%
def grid_networks(seed):
    """Convolutions of stride 2 down to a grid of vectors, and back."""
    keras.utils.set_random_seed(seed)
    shared = {"padding": "same", "activation": "relu"}
    encoder, decoder = keras.Sequential(), keras.Sequential()
    encoder.add(keras.Input(SHAPE))
    for filters in FILTERS:
        encoder.add(layers.Conv2D(filters, 4, strides=2, **shared))
    encoder.add(layers.Conv2D(8, 3, padding="same"))
    decoder.add(keras.Input(encoder.output_shape[1:]))
    for filters in FILTERS[::-1]:
        decoder.add(layers.Conv2DTranspose(filters, 4, strides=2, **shared))
    decoder.add(layers.Conv2D(1, 3, padding="same"))
    return encoder, decoder


# %% [markdown]
# The code book starts on vectors of the data: a row far from all of them would never
# be chosen, and never move. Trained, the networks and the book go into the library's
# `VQVAE`, which must give the same loss, and has the verbs we need.


# %%
def start_of_book(encoder, seed):
    """Rows of the book, drawn from the vectors of training images."""
    rng = np.random.default_rng(seed)
    some = rng.permutation(digits.x_train)[:500]
    vectors = encoder.predict(some, verbose=0).reshape(-1, 8)
    return rng.permutation(vectors)[:ROWS_OF_BOOK]


quantised = []
for seed in SEEDS:
    parts = grid_networks(seed)
    fresh = OpenVQ(*parts, start_of_book(parts[0], seed))
    if not quantised:
        written = fresh
        recipes.compile(written, 6e-3, updates=2 * -(-len(x_train) // BATCH))
    else:
        written.set_weights(fresh.get_weights())
        recipes.forget(written.optimizer)
    written.fit(x_train, epochs=2, batch_size=BATCH, verbose=0)
    model = VQVAE(*grid_networks(seed), codebook_size=ROWS_OF_BOOK)
    model.encoder.set_weights(written.encoder.get_weights())
    model.decoder.set_weights(written.decoder.get_weights())
    model.quantizer.codebook.assign(ops.copy(written.book))
    quantised.append(model)

# %%
model.compile()
pair = [
    m.evaluate(x_test, batch_size=500, verbose=0, return_dict=True)["loss"]
    for m in (written, model)
]
same = bool(np.isclose(*pair, rtol=1e-4))
print("page and library give the same loss:", same)
assert same

# %%
toy = OpenVQ(layers.Identity(), layers.Identity(), np.eye(3, 2))
vectors = np.array([[[[0.8, 0.1], [0.1, 1.6]]]], "float32")
slope = input_gradient(
    lambda v: ops.sum(3.0 * toy(v)["logits"], axis=(1, 2, 3)), vectors
)
print("chosen", ops.convert_to_numpy(toy(vectors)["e"]).tolist())
print("slope ", ops.convert_to_numpy(slope).tolist())
assert np.allclose(ops.convert_to_numpy(slope), 3.0), "as if by identity"

# %% [markdown]
# ### The bound, added up
#
# So far this is an autoencoder: it reconstructs, and there is no prior, so it cannot
# sample. The remedy is to fit a distribution to the codes *afterwards*. The original
# paper uses a large autoregressive network; ours is the smallest that knows
# anything about the neighbourhood of cells: a **tree** (Chow and Liu 1968), in which
# each cell depends on one other, fitted by counting. Beside it cells drawn
# independently, and uniformly. With $P(\text{code})$ there is a bound again: a code
# that is chosen for certain has $\mathrm{KL}=-\log P(\text{code})$, so
#
# $$-\log p_\theta(x)\;\le\;-\log P(\text{code}(x))-\log p_\theta(x\mid e),\tag{12}$$
#
# in nats, and comparable with the VAE's, term by term.

# %% tags=["nbval-ignore-output"]
KINDS = ("uniform", "independent", "tree")
terms = {kind: [] for kind in KINDS}
judged = {kind: [] for kind in KINDS}
in_use, errors, by_prior = [], [], {}
rng = np.random.default_rng(1)
for model in quantised:
    codes = model.encode(x_test)
    cells = int(np.prod(model.grid))
    reconstruction = model.example_losses(x_test).mean()
    errors.append(metrics.mse(x_test, model.reconstruct(x_test)))
    counts = np.bincount(model.encode(digits.x_train).ravel())
    share = counts[counts > 0] / counts.sum()
    in_use.append((len(share), np.exp(-np.sum(share * np.log(share)))))
    for kind in KINDS:
        if kind == "uniform":
            drawn = rng.integers(ROWS_OF_BOOK, size=(1000, *model.grid))
            by_prior[kind] = model.decode(drawn)
            price = cells * np.log(ROWS_OF_BOOK)
        else:
            model.fit_prior(digits.x_train, kind)
            by_prior[kind] = model.sample(1000, seed=len(errors))
            price = -model.prior_log_prob(codes).mean()
        terms[kind].append((price, reconstruction))
        judged[kind].append(verdict(by_prior[kind]))
used, perplexity = np.array(in_use).T
print(f"grid {model.grid}, rows of the book in use {with_spread(used, 0)}")
print(f"perplexity {with_spread(perplexity, 1)}, MSE {with_spread(errors, 4)}")


# %%
def summed(name, nats, judged):
    """Price of the code, of the row given the code, their sum; verdicts."""
    nats = np.array(nats)
    nats = np.column_stack([nats, nats.sum(axis=1)])
    judged = zip(np.array(judged).T, (1, 2, 2), strict=True)
    return [
        name,
        *(with_spread(column, 1) for column in nats.T),
        *(with_spread(v, n) for v, n in judged),
    ]


# %% tags=["nbval-ignore-output"]
vae_terms = np.column_stack([plain[:, 1], plain[:, 0] - plain[:, 1]])
runtime.record(
    f"{DATA}: two bounds of −log p(x), nats a test image, grey levels as bits",
    [
        "model",
        "code",
        "row, given code",
        "sum",
        "Fréchet",
        "density",
        "coverage",
    ],
    [
        summed(f"VAE, {LATENT_DIM} clouds", vae_terms, by_vae),
        *(
            summed(f"VQ-VAE, {kind} prior", terms[kind], judged[kind])
            for kind in KINDS[::-1]
        ),
    ],
)

# %% tags=["nbval-ignore-output", "gallery-vae_vq"]
plotting.image_rows(
    {
        "real": x_test[:12],
        "reconstructed": quantised[-1].reconstruct(x_test[:12]),
        **{f"{kind} prior": x[:12] for kind, x in by_prior.items()},
    },
    "VQ-VAE: sharp copies; samples are as good as the prior over the codes",
)
plt.show()

# %% tags=["hide-input"]
prices = {kind: np.mean([t[0] for t in terms[kind]]) for kind in KINDS}
sums = {kind: np.mean([sum(t) for t in terms[kind]]) for kind in KINDS}
assert used.min() >= 0.4 * ROWS_OF_BOOK
assert prices["tree"] < prices["independent"] < prices["uniform"]
assert sums["tree"] > 1.2 * plain[:, 0].max(), "the VAE's bound is far better"
assert vae_terms[:, 0].max() < prices["tree"]
direct = -quantised[-1].elbo(x_test).mean()
assert np.isclose(direct, sum(terms["tree"][-1]), rtol=1e-4), "`elbo` is (12)"
frechet = {kind: np.mean([v[0] for v in judged[kind]]) for kind in KINDS}
assert frechet["tree"] < frechet["independent"]

# %% [markdown]
# **Figure 4.13, and the table.** The reconstructions are sharper than a VAE's (Figure
# 4.2): given its code, a row costs the VQ-VAE some five nats less. But the code itself
# costs ten times as much, and **the sum is about twice the VAE's**. That is no verdict on
# whole numbers: the code is also *longer*, sixteen cells against four units, and with a single
# cell the model would be a mixture. Sixteen choices made for
# certain are paid for in full. So as a *density* this VQ-VAE is a poor model, and a
# better prior cannot lift it above the VAE unless it saves more than twenty nats.
#
# As a *sampler* it depends on the prior alone. Uniformly drawn codes decode to rubble:
# most combinations of indices occur in no digit. Each step towards a better prior
# saves nats *and* improves the samples; on the small digits the tree's have a smaller
# Fréchet distance than the VAE's, and a smaller density and coverage. Models that follow
# this recipe put a large network there.
#
# Codes that are never chosen are this model's silent units ("index collapse"). Here
# all rows of the book are in use; the **perplexity**, exp of the indices' entropy,
# counts how many are in fair use.
#
# ## 4. A door
#
# Three roads lead on from the VAE, and each mends one of its weaknesses.
#
# - **One layer of codes, independent units.** *Hierarchical* VAEs stack codes: coarse
#   ones, and finer ones given those, each with an encoder and a prior of its own
#   (Sønderby et al. 2016; NVAE, Vahdat and Kautz 2020). The bound is (4) of 4a with one
#   KL for each layer.
# - **A bound instead of a likelihood.** A *normalising flow* (Rezende and Mohamed 2015)
#   decodes by an invertible map, so the integral over codes becomes a
#   change of variables: $\log p(x)$ is exact, and code and row must have the same
#   width.
# - **An encoder that must be learned.** *Diffusion* (Ho et al. 2020) fixes the encoder:
#   add a little noise, a thousand times, until nothing is left. The decoder
#   learns to undo one step. It is a deep hierarchical VAE with a $q$ without
#   weights, and its bound turns into a regression on noise.
#
# Chapter 7 takes up flows and diffusion.
#
# ## What we showed
#
# - With the class given the code said less, and the bound gained more than the
#   $\log10$ nats that a class can be worth; one Gaussian a class drew better digits.
# - With fifty labels, label spreading was first on average; M2 was some three points
#   above its own controls, which five draws cannot tell from none.
# - A VQ-VAE of sixteen cells reconstructed more sharply, from a longer code; added up, its
#   bound was about twice the VAE's.
#
# **Limits.** Small digits, five draws of labels, the simplest of priors.
#
# **Next.** The exercise; then chapter 5: what labels are worth after pretraining.
#
# ## References
#
# Chow, Liu (1968), *Approximating discrete probability distributions with dependence
# trees*, IEEE Transactions on Information Theory · Ho, Jain, Abbeel (2020), *Denoising
# diffusion probabilistic models*, NeurIPS · Kingma et al. (2014), *Semi-supervised
# learning with deep generative models*, NeurIPS · van den Oord, Vinyals, Kavukcuoglu
# (2017), *Neural discrete representation learning*, NeurIPS · Rezende, Mohamed (2015),
# *Variational inference with normalizing flows*, ICML · Sohn, Lee, Yan (2015),
# *Learning structured output representation using deep conditional generative models*,
# NeurIPS · Sønderby et al. (2016), *Ladder variational autoencoders*, NeurIPS · Vahdat,
# Kautz (2020), *NVAE: a deep hierarchical variational autoencoder*, NeurIPS · Zhou et
# al. (2004), *Learning with local and global consistency*, NeurIPS.
#
# ## Exercises
#
# It needs only the set-up cells at the top. Write your answer where it says
# `# your answer here`, run the cell, then the check below it.

# %% [markdown] tags=["exercise"]
# ### Exercise 4.8 · The nearest row, and the way back
#
# *You will learn where the gradient of a choice goes.* Given `vectors`, a tensor of
# shape $(n,\text{width})$, and a `book` of shape $(K,\text{width})$, return two
# things: the nearest rows of the book, $(n,\text{width})$, through which a gradient
# reaches `vectors` as if nothing had been chosen and does not reach `book`; and their
# indices, $(n,)$, integers. Use `keras.ops`.


# %% tags=["exercise"]
def quantise(vectors, book):
    """Return the chosen rows (straight through) and their indices."""
    ### BEGIN SOLUTION
    apart = ops.expand_dims(vectors, 1) - book  # (n, K, width)
    index = ops.argmin(ops.sum(ops.square(apart), axis=2), axis=1)
    chosen = ops.take(book, index, axis=0)
    return vectors + ops.stop_gradient(chosen - vectors), index
    ### END SOLUTION


# %% tags=["check"]
checks.check_4_8(quantise)

# %% [markdown] tags=["discussion"]
# The value is `chosen`, the slope that of `vectors`: the difference is added with its
# gradient cut. Nothing here moves the book. That is the business of the loss (11),
# whose two distances each stop one side. Without the second the vectors may grow for
# ever, and the book runs after them.
