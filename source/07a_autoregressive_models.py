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
# # Chapter 7a · Exact likelihood, one pixel at a time
#
# A VAE gives a bound of $\log p(x)$, a GAN gives nothing. Yet an exact
# likelihood is within reach of any network that can predict one number: predict
# the first pixel, then the second given the first, and so on, and multiply. The
# only difficulty is honesty: the network must not see the pixel it predicts. So we
# build masks by hand, test them with derivatives, and then ask what the exact
# number is worth, beside everything that counts or grows trees.
#
# **We will show**
#
# - how the chain rule turns prediction into an exact $\log p(x)$, and what bits
#   per dimension are;
# - a masked network written on the page, its masks proved by its Jacobian, and what
#   a mask that is off by one reports;
# - three orders, their ensemble, a mixture that beats both, and an average that is no
#   probability at all;
# - convolutions that share one predictor between all pixels, below the VAE's
#   bound, the mixtures, a tree and a chain of forests, level with one shared forest;
# - samples, the lower half of a digit, and what a draw costs;
# - the prior that chapter 4's codes of whole numbers were waiting for.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 4a](04a_from_bound_to_model.ipynb); [Chapter 4c](04c_labels_and_whole_numbers.ipynb), section 3, for section 7 |
# | Data | scikit-learn's digits (full profile: MNIST) |
# | Time | about a minute on two CPU cores; 45 minutes of reading, an hour for the exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup", "hide-input"]
import lzma

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops
from scipy.stats import entropy
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from utils import data, plotting
from utils.baselines import densities, mixtures
from utils.checks import chapter_07a as checks
from utils.models import VQVAE, Autoregressive
from utils.nn.backend import input_gradient
from utils.nn.likelihoods import Categorical, LogisticMixture
from utils.training import recipes
from utils.training.repeats import train_from_seeds, with_spread

plotting.use_style()

# %% [markdown]
# **Parameters.** Everything that differs between the quick and the full
# profile stands in this one cell.

# %% tags=["setup"]
DATA = profile.pick(quick="digits", full="mnist")
LEVELS = profile.pick(quick=17, full=256)
SEEDS = profile.pick(quick=(0, 1, 2), full=(0,))
WIDTH = profile.pick(quick=256, full=300)  # of the masked dense network
DRAWS = profile.pick(quick=8, full=1)  # binary rows of each image
EPOCHS = profile.pick(quick=4, full=8)
BATCH = profile.pick(quick=64, full=128)
RATE = profile.pick(quick=2e-2, full=3e-3)
COMPARED = profile.pick(quick=True, full=False)  # four networks, or one
FILTERS = profile.pick(quick=64, full=32)  # of the masked convolutions
KERNELS = profile.pick(quick=(15, 1, 1), full=(7, 3, 4))  # first, later, depth
CHOSEN = profile.pick(quick="ordinal", full="classes")  # on validation rows
GREY_EPOCHS = profile.pick(quick=(10, 8), full=(0, 2))  # dense, convolutions
GREY_BATCH = profile.pick(quick=(32, 16), full=(0, 16))
GREY_RATE = profile.pick(quick=(1e-2, 8e-3), full=(0.0, 8e-3))
CLUSTERS = profile.pick(quick=(5, 10, 20, 40), full=(5, 50))
PARTS = profile.pick(quick=60, full=50)  # Bernoullis; 80, 120 no better
TREES = profile.pick(quick=30, full=0)  # no forests of 784 pixels
JUDGED = profile.pick(quick=359, full=40)  # halves completed
BOOK = profile.pick(quick=(32, (32,), 12), full=(64, (16, 32), 1))

# %% tags=["setup", "hide-input"]
digits = data.load(DATA)
SHAPE = digits.event_shape
PIXELS = int(np.prod(SHAPE))
x_train, x_val, x_test = digits.x_train, digits.x_val, digits.x_test


def in_bits(log_p):
    """Nats a row, as bits per dimension."""
    return -np.mean(log_p) / PIXELS / np.log(2)


print("images", x_train.shape, "| levels", LEVELS, "| pixels", PIXELS)

# %% [markdown]
# ## 1. The chain rule, and its unit
#
# Any distribution of a row $x=(x_1,\dots,x_d)$ is a product,
#
# $$p(x)=\prod_{i=1}^d p(x_i\mid x_1,\dots,x_{i-1}),\tag{1}$$
#
# with nothing assumed. Each factor is a prediction of *one* number. There are $K$ grey
# levels, so a factor is a table of $K$ probabilities, the product sums to 1
# over all $K^d$ images, and $-\log p(x)$ is what it costs, in nats, to tell an image to
# somebody who has the model. Per pixel and in powers of two,
#
# $$\text{bits per dimension}=\frac{-\log p(x)}{d\,\log 2}.\tag{2}$$
#
# Knowing nothing costs $\log_2K$. The simplest model forgets the condition in (1) and
# counts how often each pixel has each level:

# %%
alone = mixtures.LevelMixture(LEVELS, 1).fit(x_train)
of_alone = in_bits(alone.score_samples(x_test))
print(f"every level alike {np.log2(LEVELS):.2f} bits per dimension")
print(f"independent pixels {of_alone:.2f}")
assert of_alone < np.log2(LEVELS) - 1.5

# %% [markdown]
# ## 2. Masks by hand
#
# Must we train $d$ networks? One is enough, if its output $i$ depends on
# nothing but $x_1,\dots,x_{i-1}$ (MADE, Germain et al. 2015). A dense layer lets
# everything through; a **mask** multiplies the forbidden weights by 0. Give
# every entry its *place* in the order, every hidden unit a number $m$: it may see
# the entries of places up to $m$, and only outputs of later places may see it.
# Three entries in the order "third, first, second":

# %%
place = np.array([1, 2, 0])  # of the first, second, third entry
units = np.array([0, 1, 0, 1])  # the number m of four hidden units
first = place[:, None] <= units  # (inputs, units)
last = units[:, None] < place  # (units, outputs), strictly
paths = first.astype(int) @ last.astype(int)
for name, mask in {"first": first, "last": last, "paths": paths}.items():
    print(f"{name:6s}", mask.astype(int).tolist())
assert ((paths > 0) == (place[:, None] < place)).all()

# %% [markdown]
# Row $j$, column $i$ of the product counts the paths from entry $j$ to output $i$: the
# third entry reaches the other two, the first reaches the second, nothing
# reaches itself. One "$<$" among the signs makes it so. The whole model, for pixels
# that are black or white, in which the first line of `compute_loss` is
# $-\log p(x)$, not a bound:


# %%
class OpenMADE(keras.Model):
    """One hidden layer, direct weights beside it, every weight masked."""

    def __init__(self, size, width, seed=0, order=None, peek=0):
        super().__init__()
        place = np.argsort(np.arange(size) if order is None else order)
        place, units = place[:, None], np.arange(width) % (size - 1)
        last = units[:, None] < place.T + peek  # peek = 1: off by one
        self.masks = [place <= units, last, place < place.T]
        self.kernels = []
        for number, mask in enumerate(self.masks):
            draw = keras.initializers.GlorotNormal(seed + number)
            kernel = self.add_weight(shape=mask.shape, initializer=draw)
            self.kernels.append(kernel)
        self.biases = [
            self.add_weight(shape=(n,), initializer="zeros")
            for n in (width, size)
        ]

    def call(self, x):
        first, last, direct = (
            kernel * mask.astype("float32")
            for kernel, mask in zip(self.kernels, self.masks, strict=True)
        )
        x = 2 * x - 1
        hidden = ops.relu(ops.matmul(x, first) + self.biases[0])
        raw = ops.matmul(hidden, last) + ops.matmul(x, direct)
        return raw + self.biases[1]

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        pixels = ops.softplus(y_pred) - x * y_pred  # −log p(x_i | before)
        return ops.mean(ops.sum(pixels, axis=1))


# %% [markdown]
# Binary pixels as in chapter 4b, so that nats can be compared: each is white with a
# chance of its grey level, and of each training row we draw several. `ready` compiles with the course's recipe. The
# library's `Autoregressive` takes any network that keeps the rule: put ours into it.


# %%
def binarised(x, draws=1):
    """Each pixel white with a chance of its grey level, drawn so often."""
    rows = np.tile(x.reshape(len(x), -1), (draws, 1))
    chance = np.random.default_rng(10_000).random(rows.shape, "float32")
    return (chance < rows).astype("float32")


b_train = binarised(x_train, DRAWS)
b_val, b_test = binarised(x_val), binarised(x_test)


def ready(model, rate=RATE, epochs=EPOCHS):
    """A compiled model, its learning rate falling along a cosine."""
    return recipes.compile(model, rate, epochs * -(-len(b_train) // BATCH))


def fitted(model, x=b_train, epochs=EPOCHS):
    """The model, trained."""
    model.fit(x, batch_size=BATCH, epochs=epochs, verbose=0)
    return model


# %% tags=["nbval-ignore-output"]
written = fitted(ready(OpenMADE(PIXELS, WIDTH)))
pixels = keras.Input((PIXELS,))
model = Autoregressive(keras.Model(pixels, written(pixels)))
model.compile()
pair = [
    m.evaluate(b_test, batch_size=500, verbose=0, return_dict=True)["loss"]
    for m in (written, model)
]
print(f"−log p(x) of binary test rows {pair[0]:.2f} and {pair[1]:.2f} nats")

# %% tags=["hide-input"]
assert np.isclose(*pair, rtol=1e-4)
assert np.isclose(-model.log_likelihood(b_test).mean(), pair[0], rtol=1e-4)

# %% [markdown]
# ### The Jacobian is the proof
#
# A mask is easily wrong by one, and a wrong one does not crash: it wins. The
# derivative of output $i$ by input $j$ must be exactly 0 for $j\ge i$. Row $i$ of the
# batch below asks for output $i$ alone, so one gradient gives the whole
# matrix; `input_gradient` works on all three backends.


# %%
def jacobian(network, x):
    """∂ output_i / ∂ x_j at a row x, in one pass: array (d, d)."""
    rows = np.repeat(x[None], len(x), axis=0)
    own = np.eye(len(x), dtype="float32")
    slope = input_gradient(lambda r: ops.sum(own * network(r), axis=1), rows)
    return ops.convert_to_numpy(slope)


cheat = fitted(ready(OpenMADE(PIXELS, WIDTH, peek=1)))
mixed = np.random.default_rng(0).permutation(PIXELS)
shown = {
    "rows, top to bottom": written,
    "a random order": OpenMADE(PIXELS, WIDTH, 0, mixed),
    "mask off by one": cheat,
}
looked = {name: jacobian(n, b_test[0]) != 0 for name, n in shown.items()}
ahead = {name: int(np.triu(seen).sum()) for name, seen in looked.items()}
print("entries (i, j) with j ≥ i:", ahead["rows, top to bottom"])

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.4))
for axis, (name, seen) in zip(axes, looked.items(), strict=True):
    axis.imshow(seen, cmap="gray_r", interpolation="none")
    axis.set(title=name, xlabel="input j", ylabel="output i")
    axis.grid(False)
plt.show()
of_cheat = cheat.evaluate(b_test, batch_size=500, verbose=0)
print(f"off by one: {of_cheat:.2f} nats instead of {pair[0]:.2f}")

# %% tags=["hide-input"]
assert ahead["rows, top to bottom"] == 0
assert np.diag(looked["mask off by one"]).any()
position = np.argsort(mixed)
assert not looked["a random order"][position[:, None] <= position].any()
assert of_cheat < (0.5 * pair[0] if WIDTH > PIXELS else pair[0] - 1)
try:
    Autoregressive(keras.Model(pixels, cheat(pixels)))
except ValueError as error:
    refusal = str(error)
assert refusal.startswith("network: expected outputs that depend on nothing")

# %% [markdown]
# **Figure 7a.1.** Where a derivative is not zero. Left: strictly below the diagonal.
# Middle: a random order; half of all pairs, none twice. Right: look at the diagonal
# itself; each pixel is copied to its own prediction, and the loss falls to almost
# nothing. A likelihood that is too good is a mask that is wrong, but do not wait for
# it: on MNIST (full profile), with 300 hidden units for 784 pixels, few pixels have a
# unit to themselves, and the same mistake takes 96.7 nats to 93.3, which looks like
# progress. The library makes the test of this figure when a model is built, and
# refuses, naming the pair of pixels.

# %% [markdown]
# ## 3. Three orders, and an average that is none
#
# (1) holds in any order, but a network fits some orders better. In another order the
# columns are permuted, and that is all. Beside three orders the opponents:
# independent pixels, a mixture of Bernoullis (chosen on validation rows), and a
# **Chow–Liu tree**: each pixel given *one* other, the best of all trees by counting.

# %%
orders = {
    "rows": np.arange(PIXELS),
    "columns": np.arange(PIXELS).reshape(SHAPE[:2]).T.ravel(),
    "random": mixed,
}


def mean_probability(log_p):
    """Log of the mean of probabilities, over the first axis."""
    return np.logaddexp.reduce(log_p) - np.log(len(log_p))


def of_binary(logits):
    """Log p of the binary test rows."""
    return -(np.logaddexp(0, logits) - b_test * logits).sum(axis=1)


# %%
joint = {name: [] for name in orders}  # log p of test rows, a seed each
logits = {name: [] for name in orders}
for seed in SEEDS:
    for name, order in orders.items():
        written.set_weights(OpenMADE(PIXELS, WIDTH, 10 * seed).get_weights())
        recipes.forget(written.optimizer)
        fitted(written, b_train[:, order])
        made = written.predict(b_test[:, order], verbose=0, batch_size=500)
        made = made[:, np.argsort(order)]  # back to the pixels' own places
        logits[name].append(made)
        joint[name].append(of_binary(made))

# %%
together = mean_probability(list(joint.values()))  # a row for each seed
averaged = map(of_binary, np.mean(list(logits.values()), axis=0))
bernoullis = [mixtures.BernoulliMixture(PARTS, seed=s) for s in SEEDS]
of_mixture = [m.fit(b_train).score_samples(b_test) for m in bernoullis]
counted = {
    "independent pixels": mixtures.BernoulliMixture(1).fit(b_train),
    "Chow–Liu tree": densities.ChowLiuTree(2).fit(b_train),
}

# %% tags=["nbval-ignore-output"]
table = {name: [m.score_samples(b_test)] for name, m in counted.items()}
table |= {"mixture of Bernoullis": of_mixture}
table |= {"mixtures, mean probability": [mean_probability(of_mixture)]}
table |= {"VAE, bound (chapter 4b)": [[-profile.pick(quick=23.6, full=97.4)]]}
table |= {f"MADE, {name}": found for name, found in joint.items()}
table |= {"random order, three seeds": [mean_probability(joint["random"])]}
table |= {"three orders, mean probability": together}
table |= {"three orders, mean logit (no model)": averaged}
nats = {name: [-np.mean(v) for v in runs] for name, runs in table.items()}
runtime.record(
    f"{DATA}, binary pixels: −log p(x), nats a test image",
    ("model", "nats"),
    [(name, with_spread(found, 2)) for name, found in nats.items()],
)

# %% tags=["hide-input"]
level = {name: np.mean(found) for name, found in nats.items()}
best = level["three orders, mean probability"]
each = [level[f"MADE, {name}"] for name in orders]
assert profile.full or best < min(each) - 0.02
assert profile.full or best < level["VAE, bound (chapter 4b)"] - 0.3
assert profile.full or level["random order, three seeds"] < best + 0.05
assert profile.full or level["mixture of Bernoullis"] < best - 0.15
assert profile.full or level["mixtures, mean probability"] < best - 0.3
assert level["independent pixels"] > level["Chow–Liu tree"] + 2
assert level["three orders, mean logit (no model)"] < best - 0.4

# %% [markdown]
# On a thousand black-and-white digits **the mixture of Bernoullis wins**, given enough
# components, with no network; three of them, averaged, win by half a nat. Mixtures and
# networks are all below the VAE's bound. (On MNIST, full profile, 54 000 rows, the
# networks win: 93 to 97 nats where the tree has 135 and fifty components 144.) The
# ensemble of orders beats each order, but so do three seeds of the random order, and by
# as much: what helps is an average of three networks, not their orders. Its rule is
# $\log\frac13\sum_o p_o(x)$: probabilities *of whole images* are averaged, which is a
# mixture, sums to 1, and is within $\log 3$ nats of the best of three. The last row
# averages the networks' logits pixel by pixel, as one does with classifiers, and looks
# better still. It is no likelihood. Given a pixel, one order has seen what the other
# predicts: each looks ahead for the other. In miniature: three pixels that are always
# equal, one model forwards, one backwards, each as good as can be.

# %%
states = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
sure = np.log(0.99 / 0.01) * (2 * states - 1)  # "as that pixel is"
forwards = np.column_stack([0 * sure[:, 0], sure[:, 0], sure[:, 1]])
backwards = np.column_stack([sure[:, 1], sure[:, 2], 0 * sure[:, 2]])


def probability(logits):
    """Π p(x_i | …) of the eight states."""
    return np.prod(1 / (1 + np.exp(-(2 * states - 1) * logits)), axis=1)


models = {
    "forwards": probability(forwards),
    "backwards": probability(backwards),
    "mean logit": probability((forwards + backwards) / 2),
}
models["mean probability"] = (models["forwards"] + models["backwards"]) / 2
for name, p in models.items():
    print(f"{name:17s} sum {p.sum():.2f}, black {-np.log(p[0]):.2f} nats")
    assert (abs(p.sum() - 1) < 1e-6) == (name != "mean logit")

# %% [markdown]
# A fair coin decides between three black and three white pixels, so nobody can need
# less than $\log2=0.69$ nats. The mean logit claims 0.2; its "probabilities" sum to 1.8.
# Before you believe a likelihood, ask what it sums to.
#
# The other classic trap leaves no trace in the sum: rows that were trained on.

# %% tags=["nbval-ignore-output"]
written.set_weights(OpenMADE(PIXELS, WIDTH).get_weights())
recipes.forget(written.optimizer)
fitted(written, np.concatenate([b_train, *[b_test] * DRAWS]))
leaked = written.evaluate(b_test, batch_size=500, verbose=0)
print(f"test rows in training {leaked:.2f}, not {level['MADE, rows']:.2f}")
assert leaked < level["MADE, rows"] - 0.2

# %% [markdown]
# Choosing the epoch, the width or the seed by the test rows is the same fault in a
# smaller dose. Everything here is chosen on validation rows.
#
# ## 4. One predictor for all pixels
#
# MADE has weights of its own for every pixel. But what a stroke does next is much
# the same everywhere, and we have little more than a thousand digits. A **PixelCNN** (van den
# Oord et al. 2016) predicts every pixel by the same weights from what lies above it and
# to its left: a convolution whose kernel is masked. Of a $3\times3$ kernel the first
# row stays, and the left of the middle one. The first convolution leaves out the pixel
# itself, the later ones keep it, for their features know only what came before.
#
# Small kernels one after the other leave a **blind spot**: a wedge to the upper
# right that no path reaches. The Jacobian shows it. One wide first kernel sees
# everything, and after it kernels of $1\times1$, an ordinary dense network on each pixel,
# will do.

# %%
seen = {}
for name, sizes in {
    "four kernels of 3": (3, 3, 3),
    "15, then 1": (15, 1, 3),
}.items():
    shape = dict(zip(("first_kernel", "kernel", "depth"), sizes, strict=True))
    small = Autoregressive.pixelcnn(
        (8, 8, 1), filters=8, activation="tanh", seed=0, **shape
    ).network

    def flat(rows, small=small):
        return ops.reshape(small(ops.reshape(rows, (-1, 8, 8, 1))), (-1, 64))

    slope = jacobian(flat, np.full(64, 0.5, "float32"))
    seen[name] = np.abs(slope[5 * 8 + 1]).reshape(8, 8) > 0  # pixel (5, 1)

figure, axes = plt.subplots(1, 2, figsize=(6.4, 3))
for axis, (name, before) in zip(axes, seen.items(), strict=True):
    axis.imshow(before, cmap="gray_r", vmax=2)
    axis.plot(1, 5, "x", color=plotting.COLORS[1], ms=9, mew=2)
    axis.set(title=name, xticks=[], yticks=[])
plt.show()

# %% tags=["hide-input"]
narrow, wide = seen.values()
assert wide.sum() == 5 * 8 + 1 and narrow.sum() < wide.sum()
assert not narrow[4, 7] and narrow[4, 1]

# %% [markdown]
# **Figure 7a.2.** What the prediction of the cross depends on (grey). Left: look right
# of the cross, where the rows just above are cut off (one more layer would reach the
# top row, not the wedge). Right: all that came before.
#
# ### Levels have an order
#
# Seventeen levels could be seventeen classes. But 7 lies between 6 and 8, and a softmax has
# to learn that from the rows. A **mixture of discretised
# logistics** (PixelCNN++, Salimans et al. 2017) knows: a few bell curves, three here, each with
# a share $\pi_m$, location $\mu_m$ and scale $s_m$ from the network, and a level gets what
# they put within half a level of it,
#
# $$P(x_i=\tfrac k{K-1}\mid\dots)=\sum_m\pi_m\Big[\sigma\Big(\tfrac{x_i+h-\mu_m}{s_m}\Big)
# -\sigma\Big(\tfrac{x_i-h-\mu_m}{s_m}\Big)\Big],\qquad h=\tfrac1{2(K-1)},\tag{3}$$
#
# the first and last level also the tails. Two choices, then, and four networks: weights
# of each pixel's own (MADE) or shared (PixelCNN), levels as classes or in order.


# %%
def network(kind, likelihood):
    """One of the two networks of this section, as a model."""
    common = {"likelihood": likelihood, "seed": 0}
    if kind == "MADE":
        dense = {"widths": (128,), "dropout": 0.3}
        return Autoregressive.made(SHAPE, **dense, **common)
    kernels = zip(("first_kernel", "kernel", "depth"), KERNELS, strict=True)
    return Autoregressive.pixelcnn(
        SHAPE,
        filters=FILTERS,
        dropout=0.0 if profile.full else 0.1,
        activation="gelu" if profile.full else "relu",
        **dict(kernels),
        **common,
    )


def runs(model, x=x_train, kind="PixelCNN", epochs=None):
    """Train one model from each seed; yield it each time."""
    which = ("MADE", "PixelCNN").index(kind)
    return train_from_seeds(
        model,
        x,
        seeds=SEEDS,
        rate=GREY_RATE[which],
        epochs=epochs or GREY_EPOCHS[which],
        batch_size=GREY_BATCH[which],
    )


# %% tags=["nbval-ignore-output"]
makers = {
    ("MADE", "classes"): Categorical(LEVELS),
    ("MADE", "ordinal"): LogisticMixture(LEVELS, 3),
    ("PixelCNN", "classes"): Categorical(LEVELS),
    ("PixelCNN", "ordinal"): LogisticMixture(LEVELS, 3),
}
on_test, on_val = {}, {}
for (kind, levels), likelihood in makers.items():
    if not COMPARED and (kind, levels) != ("PixelCNN", CHOSEN):
        continue
    grey = network(kind, likelihood)  # the last one stays
    found = [
        (run.log_likelihood(x_test), in_bits(run.log_likelihood(x_val)))
        for run in runs(grey, kind=kind)
    ]
    on_test[kind, levels], on_val[kind, levels] = zip(*found, strict=True)
    scored = with_spread(on_val[kind, levels], 3)
    print(f"{kind:9s}{levels:8s} {scored} bits, validation rows")

# %% tags=["hide-input"]
middle = {key: np.mean(found) for key, found in on_val.items()}
if COMPARED:
    assert middle["MADE", "classes"] > middle["MADE", "ordinal"] + 0.03
    assert middle["MADE", "ordinal"] > middle["PixelCNN", "ordinal"] + 0.03
    assert middle["MADE", "classes"] > middle["PixelCNN", "classes"] + 0.08
    shared = middle["PixelCNN", "classes"] - middle["PixelCNN", "ordinal"]
    assert abs(shared) < 0.04

# %% [markdown]
# Sharing helps both. Order helps MADE by a tenth of a bit and the PixelCNN next to
# nothing. Shared weights have 64 times the examples, but that is not shown to be the
# reason: trained on 18 images, the PixelCNN needed the order no more (three seeds, each
# the best of three lengths: 2.42 bits as classes, 2.45 in order; apart from this page).
#
# ## 5. Shared weights win, in a network and in a forest
#
# The opponents, on the same rows, chosen on validation rows. A
# **chain of forests** is (1) with scikit-learn: for each pixel an
# `ExtraTreesClassifier` (Geurts et al. 2006) of the pixels before it, whose shares are
# blended with the pixel's own frequencies, or a level never seen in a leaf would be
# impossible. What is shared in a PixelCNN can be shared in trees: **one forest for all
# pixels** sees what lies above and left of a pixel, by distance, and the pixel's place.
# And a program that packs files is a model, too: we count the bits that test rows add
# to packed training rows. The VAE's number is its importance-weighted bound from
# [chapter 4b](04b_what_it_is_good_for.ipynb).

# %%
tables = [mixtures.LevelMixture(LEVELS, k) for k in CLUSTERS]
tables = mixtures.choose_mixture(tables, x_train, x_val)
opponents = {"mixture of independent pixels": tables}
if not profile.full:
    trees = [densities.ChowLiuTree(LEVELS, smoothing=s) for s in (4, 16, 64)]
    trees = mixtures.choose_mixture(trees, x_train, x_val)
    opponents["Chow–Liu tree"] = trees
    forests = densities.TreeChain(
        LEVELS, trees=TREES, least=5, features=0.6
    ).fit(x_train)
    opponents["chain of forests"] = forests.choose_blend(x_val)
    forest = densities.SharedForest(LEVELS, trees=TREES).fit(x_train)
    opponents["one forest for all pixels"] = forest.choose_blend(x_val)
both = np.rint(np.r_[x_train[:10_000], x_test] * (LEVELS - 1)).astype("uint8")
packed = [len(lzma.compress(rows)) for rows in (both, both[: -len(x_test)])]
of_lzma = 8 * (packed[0] - packed[1]) / x_test.size

# %% tags=["nbval-ignore-output"]
scores = {"independent pixels": [of_alone], "lzma": [of_lzma]}
for name, opponent in opponents.items():
    scores[name] = [in_bits(opponent.score_samples(x_test))]
scores["VAE, bound (chapter 4b)"] = [profile.pick(quick=2.013, full=1.51)]
for (kind, levels), found in on_test.items():
    scores[f"{kind}, {levels}"] = [in_bits(p) for p in found]
log_p = mean_probability(on_test["PixelCNN", CHOSEN])
scores[f"PixelCNN, {CHOSEN}, mean of the seeds"] = [in_bits(log_p)]
nats = {n: np.multiply(v, PIXELS * np.log(2)) for n, v in scores.items()}
runtime.record(
    f"{DATA}, {LEVELS} grey levels: exact likelihood of test rows",
    ("model", "bits per dimension", "nats an image"),
    [
        (name, with_spread(v, 3), with_spread(nats[name], 1))
        for name, v in scores.items()
    ],
)

# %% tags=["hide-input"]
average = {name: np.mean(found) for name, found in scores.items()}
ours = average[f"PixelCNN, {CHOSEN}"]
assert ours < (1.1 if profile.full else 1.9)
rest = [n for n in average if "PixelCNN" not in n and "one forest" not in n]
assert all(ours < average[name] - 0.03 for name in rest)
if not profile.full:
    assert abs(ours - average["one forest for all pixels"]) < 0.03, "level"
assert average[f"PixelCNN, {CHOSEN}, mean of the seeds"] <= ours

# %% tags=["nbval-ignore-output"]
per_pixel = -grey.entry_log_likelihood(x_test[:2000])[..., 0] / np.log(2)
shares = np.exp(alone.tables[0]).reshape(-1, LEVELS)
pictures = {
    "independent pixels": entropy(shares.T, base=2).reshape(SHAPE[:2]),
    "PixelCNN": per_pixel.mean(axis=0),
}
figure, axes = plt.subplots(1, 2, figsize=(6.8, 3))
for axis, (name, bits) in zip(axes, pictures.items(), strict=True):
    picture = axis.imshow(bits, vmin=0, vmax=np.log2(LEVELS), cmap="viridis")
    axis.set(title=name, xticks=[], yticks=[])
    figure.colorbar(picture, ax=axis, shrink=0.8, label="bits")
plt.show()

# %% [markdown]
# **Figure 7a.3.** Bits for each pixel, test rows for the PixelCNN, on one scale. The
# margins cost nobody anything. In the middle a pixel alone costs nearly as much as a
# number drawn from all levels; given the pixels before it, it costs about a bit less.
#
# Read the table from the bottom. **An exact network is below the VAE's bound and the
# chain of forests, and level with one forest for all pixels**, which has no gradient and
# hardly a knob. What won is the sharing: it takes the forests down by .06 bits, too.
# MADE with ordered levels is behind the forests, with classes behind the VAE. The mean of
# three networks, as probabilities, is a little better than each, for three trainings.
#
# Packing is no model of small digits: `lzma` looks for stretches that return. **On MNIST** (full
# profile, 256 levels) it takes 1.37 bits, less than the VAE's bound, 1.51, and no more than
# 7b's flow. Try it before you praise a likelihood. The PixelCNN takes 1.08 after two passes through the rows,
# its levels as classes, which there were no worse than ten curves.

# %% [markdown]
# ## 6. A draw costs a pass for each pixel, and copying halves is surer
#
# All factors of (1) come in one pass, because all pixels are there. In a draw they are
# not: pixel $i$ has to be drawn before output $i+1$ means anything.


# %%
def draw_by_hand(network, count, rng):
    """Binary rows (count, d) from a masked network, and its passes."""
    x, passes = np.zeros((count, PIXELS), "float32"), 0
    for i in range(PIXELS):
        logit = ops.convert_to_numpy(network(x))[:, i]
        passes += 1
        x[:, i] = rng.random(count) < 1 / (1 + np.exp(-logit))
    return x, passes


_, passes = draw_by_hand(written, 5, np.random.default_rng(0))
print("passes of the network for five rows of binary pixels:", passes)
assert passes == PIXELS

# %% [markdown]
# A GAN or a VAE needs one pass. `sample` does the same loop for any likelihood, and
# `complete` starts it in the middle: the upper half is given, the lower is drawn, half as
# many passes. It works because the known pixels come *first* in the order;
# `complete` refuses others. The opponent copies the lower half of the training
# row whose upper half is nearest, or one of the five nearest. Two judgements: does a logistic regression,
# trained on real digits, recognise the digit, and how many different halves are
# proposed?

# %%
drawn = grey.sample(12, seed=0)
known = np.arange(PIXELS).reshape(SHAPE) < PIXELS // 2
given = x_test[:JUDGED]
completed = grey.complete(given, known, seed=0)
top = PIXELS // 2
near = NearestNeighbors(n_neighbors=5).fit(x_train.reshape(-1, PIXELS)[:, :top])
nearest = near.kneighbors(given.reshape(-1, PIXELS)[:, :top])[1]
copied = np.where(known, given, x_train[nearest[:, 0]])
any_of_five = np.random.default_rng(0).permuted(nearest, axis=1)[:, 0]
varied = np.where(known, given, x_train[any_of_five])
judge = LogisticRegression(max_iter=1000).fit(
    x_train[:5000].reshape(-1, PIXELS), digits.y_train[:5000]
)

# %% tags=["nbval-ignore-output"]
rate = {
    name: judge.score(rows.reshape(-1, PIXELS), digits.y_test[:JUDGED])
    for name, rows in {
        "real": given,
        "lower half drawn": completed,
        "lower half copied from the nearest": copied,
        "copied from one of the five nearest": varied,
    }.items()
}
for name, share in rate.items():
    print(f"{name:35s} recognised as the right digit {share:.2f}")
few = slice(0, 12)
again = grey.complete(given[few], known, seed=1)
plotting.image_rows(
    {
        "drawn from nothing": drawn,
        "test rows": given[few],
        "upper half": np.where(known, given, 0)[few],
        "completed": completed[few],
        "once more": again,
        "nearest, copied": copied[few],
    },
    "Drawn, and completed from the upper half",
)
plt.show()

# %% tags=["hide-input"]
assert np.array_equal(completed[:, known[..., 0]], given[:, known[..., 0]])
assert not np.array_equal(again, completed[few])
assert rate["real"] + 0.05 > rate["lower half drawn"] > 0.5
copies = [share for name, share in rate.items() if "copied" in name]
assert profile.full or min(copies) > rate["lower half drawn"] + 0.03

# %% [markdown]
# **Figure 7a.4.** First row: digits from nothing. Rows four and five: two draws of
# the lower half of the same digits; where the upper half says enough they agree, where
# it leaves a choice (a 7 or a 9?) they differ, and that is no error: the conditional
# distribution has two peaks. **The copy (last row) is recognised as the right digit
# more often**: it is a real half of a neighbour. A copy of one of five neighbours,
# drawn, is so as well, and has several answers, but no probability of any.

# %% [markdown]
# ## 7. The prior that the codes were waiting for
#
# Chapter 4c left a VQ-VAE, sixteen cells an image, each an index into a book of 32
# rows, and a choice of priors: uniform, independent, a Chow–Liu tree. The original
# paper (van den Oord et al. 2017) puts an autoregressive network there. Codes are
# images of $4\times4$ cells whose levels have *no* order: index 7 is not between 6 and
# 8. So: a categorical, and one-hot inputs.

# %%
rows_of_book, filters, tiles = BOOK
vq = VQVAE.conv(
    SHAPE, code_dim=8, widths=filters, codebook_size=rows_of_book, seed=0
)
tiled = np.tile(x_train, (tiles, 1, 1, 1))
recipes.compile(vq, 6e-3, updates=2 * -(-len(tiled) // 64))
vq.fit(tiled, batch_size=64, epochs=2, verbose=0)
codes, test_codes = (
    vq.encode(x)[..., None] / (rows_of_book - 1) for x in (x_train, x_test)
)
cells = int(np.prod(vq.grid))
prices = {"uniform": [cells * np.log(rows_of_book)]}
for kind in ("independent", "tree"):
    vq.fit_prior(x_train, kind)
    prices[kind] = [-vq.prior_log_prob(vq.encode(x_test)).mean()]

# %%
prior = Autoregressive.pixelcnn(
    (*vq.grid, 1),
    likelihood=Categorical(rows_of_book),
    filters=32,
    first_kernel=2 * max(vq.grid) - 1,
    kernel=1,
    depth=1,
    dropout=0.5,
    one_hot=True,
    seed=0,
)
prices["PixelCNN"] = [
    -run.log_likelihood(test_codes).mean()
    for run in runs(prior, codes, epochs=8 if tiles > 1 else 2)
]
if not profile.full:
    chain = densities.RegressionChain(rows_of_book).fit(codes)
    prices["logistic regressions"] = [-chain.score_samples(test_codes).mean()]

# %% tags=["nbval-ignore-output"]
image_given_code = vq.example_losses(x_test).mean()
runtime.record(
    f"{DATA}: priors of the codes of one VQ-VAE, nats a test image",
    ("prior", "code", "code and image"),
    [
        (name, with_spread(v, 1), with_spread(np.add(v, image_given_code), 1))
        for name, v in prices.items()
    ],
)

# %% tags=["hide-input"]
price = {name: np.mean(found) for name, found in prices.items()}
assert price["PixelCNN"] < price["tree"] - 1
assert profile.full or price["logistic regressions"] < price["PixelCNN"] - 0.5
assert price["tree"] < price["independent"] - 2 < price["uniform"] - 5

# %% [markdown]
# **A chain of logistic regressions is the best prior**, scikit-learn's defaults, with each
# cell one-hot: a nat below the network, which is two below the tree, in which each cell
# knows one other. Sixteen cells leave little to share. The sum is still about twice the bound of the VAE in
# 4c, 24.4 nats, in the same unit: a better prior cannot make the code shorter than
# sixteen choices. What it could make better are samples: those of 4c were as good as
# their prior.
#
# ## What we showed
#
# - The chain rule makes any predictor an exact likelihood, a product of tables; bits
#   per dimension are its unit.
# - One strict inequality in a mask keeps it honest; the Jacobian proves it, and a mask
#   off by one reports a wonderful number.
# - The mean of the probabilities of three orders beat each order on the digits, three seeds
#   of one order were as good, and a mixture of Bernoullis beat them all; the mean of logits was no likelihood: in miniature it summed
#   to 1.8.
# - Shared weights brought an exact network below the VAE's bound and below all opponents
#   but one, a forest that shares as well, which was level; ordered levels helped where weights were not shared.
# - A draw takes a pass for each pixel. Halves were completed in more than one way; a
#   neighbour's half was recognised more often.
# - As a prior of a VQ-VAE's codes a PixelCNN beat the tree, and logistic regressions beat
#   both; the sum stayed above the
#   VAE's bound.
#
# **Limits.** Digits of $8\times8$; one seed of the forests and of the
# VQ-VAE. The pixel order is a fiction, and a slow one. An exact likelihood judges every pixel alike, so a good one is no
# promise of good samples (chapter 3b, section 2).
#
# **Next.** [Chapter 7b](07b_normalizing_flows.ipynb): the other way to an exact number, by
# invertible maps.
#
# ## References
#
# Chow, Liu (1968), *Approximating discrete probability distributions with dependence
# trees*, IEEE Transactions on Information Theory · Germain, Gregor, Murray, Larochelle
# (2015), *MADE: masked autoencoder for distribution estimation*, ICML · van den Oord,
# Kalchbrenner, Kavukcuoglu (2016), *Pixel recurrent neural networks*, ICML · van den
# Oord et al. (2016), *Conditional image generation with PixelCNN decoders*, NeurIPS ·
# van den Oord, Vinyals, Kavukcuoglu (2017), *Neural discrete representation learning*,
# NeurIPS · Salimans, Karpathy, Chen, Kingma (2017), *PixelCNN++*, ICLR · Geurts, Ernst,
# Wehenkel (2006), *Extremely randomized trees*, Machine Learning 63.

# %% [markdown]
# ## Exercises
#
# Each needs only the set-up cells at the top. Write your answer where
# it says `# your answer here`, run the cell, then run the check below it: it
# says what is wrong, and with what to go on once it is right.

# %% [markdown] tags=["exercise"]
# ### Exercise 7a.1 · Bits, nats and passes, with a pencil
#
# *You will learn to compare numbers of different papers.* (a) A model of $8\times8$ images
# has $-\log p(x)=85$ nats. How many bits per dimension is that? (b) What does a model cost,
# in bits per dimension, that thinks all 256 levels of a byte equally likely? (c)
# Two models of $28\times28$ images differ by 0.01 bits per dimension. How many nats an
# image is that? (d) The upper 5 of the 8 rows of an $8\times8$ image are known. How many
# passes does it take to complete it, row by row?

# %% tags=["exercise"]
answer_7a_1 = None
### BEGIN SOLUTION
answer_7a_1 = [
    85 / 64 / np.log(2),
    np.log2(256),
    0.01 * 784 * np.log(2),
    3 * 8,
]
### END SOLUTION

# %% tags=["check"]
checks.check_7a_1(answer_7a_1)

# %% [markdown] tags=["discussion"]
# 1.92 bits, 8 bits, 5.4 nats, 24 passes. (c) is why papers fight for the second decimal:
# 5.4 nats make an image 230 times as likely.

# %% [markdown] tags=["exercise"]
# ### Exercise 7a.2 · Two masks
#
# *You will learn where the strict sign belongs.* Given an `order` of $d$ entries (the
# entry that comes first, the one that comes second, …) and the numbers `units` of $h$
# hidden units, each in $0,\dots,d-2$, return two boolean masks: `first`
# $(d,h)$, where a unit with number $m$ sees the entries of the places
# $0,\dots,m$, and `last` $(h,d)$, such that no output has a path from its own
# entry or a later one, and every weight that this allows is open.


# %% tags=["exercise"]
def two_masks(order, units):
    """Return the masks first (d, units) and last (units, d)."""
    ### BEGIN SOLUTION
    place = np.argsort(order)  # the inverse permutation
    units = np.asarray(units)
    return place[:, None] <= units, units[:, None] < place
    ### END SOLUTION


# %% tags=["check"]
checks.check_7a_2(two_masks)

# %% [markdown] tags=["discussion"]
# An order says who comes when; a mask needs to know when somebody comes. That is
# the inverse permutation, and forgetting it is invisible for the natural order and for
# any reversal, which are their own inverses.

# %% [markdown] tags=["exercise"]
# ### Exercise 7a.3 · A kernel that looks back
#
# *You will learn the two masks of a PixelCNN.* Return the mask of a convolution kernel of
# odd side `size`, booleans `(size, size)`, for images read row by row: all rows above the
# middle one, in the middle row what is left of the middle, and the middle itself only if
# `own`.


# %% tags=["exercise"]
def kernel_mask(size, own):
    """Return booleans (size, size)."""
    ### BEGIN SOLUTION
    before = np.arange(size * size) < size * size // 2 + own
    return before.reshape(size, size)
    ### END SOLUTION


# %% tags=["check"]
checks.check_7a_3(kernel_mask)

# %% [markdown] tags=["discussion"]
# Read row by row, the middle of a kernel of 9 is number 4, and "before" is "smaller
# than 4". A first layer with `own=True` copies each pixel to its own
# prediction; a later layer with `own=False` only wastes what the features below
# it knew.

# %% [markdown] tags=["exercise"]
# ### Exercise 7a.4 · What a level gets
#
# *You will learn to make a density a probability.* A logistic distribution has location
# `location` and scale `scale`, in units in which the $K$ grey levels are
# $0,\tfrac1{K-1},\dots,1$. Return the $K$ probabilities of the levels: the mass within
# half a level on either side, the first and the last level with the tail. They sum
# to 1 wherever the location lies.


# %% tags=["exercise"]
def level_masses(location, scale, levels):
    """Return the probabilities of all levels, (levels,)."""
    ### BEGIN SOLUTION
    edges = (np.arange(1, levels) - 0.5) / (levels - 1)
    below = 1 / (1 + np.exp(-(edges - location) / scale))
    return np.diff(np.concatenate([[0.0], below, [1.0]]))
    ### END SOLUTION


# %% tags=["check"]
checks.check_7a_4(level_masses)

# %% [markdown] tags=["discussion"]
# $K-1$ inner edges and two that lie at infinity: the differences of the distribution
# function telescope, so the sum is 1 by construction. The density times the width of a
# level is close for broad curves and exceeds 1 for narrow ones.

# %% [markdown] tags=["exercise"]
# ### Exercise 7a.5 · An ensemble that sums to one
#
# *You will learn which average is a model.* $M$ models give each of $n$ rows a
# log-probability, an array $(M,n)$. Return the log-probability of their ensemble,
# $(n,)$: the model that draws one of the $M$ by a fair die. Rows may cost 2 000 nats.


# %% tags=["exercise"]
def ensemble(log_p):
    """Return the log-probability of each row under the mixture, (n,)."""
    ### BEGIN SOLUTION
    log_p = np.asarray(log_p)
    return np.logaddexp.reduce(log_p, axis=0) - np.log(len(log_p))
    ### END SOLUTION


# %% tags=["check"]
checks.check_7a_5(ensemble)

# %% [markdown] tags=["discussion"]
# The mean of the logarithms is a geometric mean; it sums to less than 1 and
# flatters nobody. The best model for each row sums to more. With $M$ models the ensemble
# is at most $\log M$ worse than the best of them on any row, and may be better than all
# on average.

# %% [markdown] tags=["exercise"]
# ### Exercise 7a.6 · Who looks ahead?
#
# *You will learn to test what you are handed.* `network` maps arrays $(n,d)$ to outputs
# $(n,d)$, row by row; you may call it, not open it. Entry 0 comes first, then
# 1, and so on. Return the pairs $(i,j)$, $j\ge i$, for which output $i$ depends on entry
# $j$: a set or list of tuples, empty for an honest network.


# %% tags=["exercise"]
def who_looks_ahead(network, d):
    """Return the pairs (i, j), j ≥ i, where output i depends on entry j."""
    ### BEGIN SOLUTION
    rng = np.random.default_rng(0)
    pairs = set()
    for _ in range(5):  # a dead ReLU may hide a path once
        row = rng.normal(size=d)
        rows = np.tile(row, (d, 1)) + np.diag(rng.normal(size=d))
        outputs = np.asarray(network(np.vstack([row, rows])))
        changed = np.abs(outputs[1:] - outputs[0]) > 1e-6  # (j, i)
        pairs |= {(int(i), int(j)) for j, i in np.argwhere(changed) if j >= i}
    return pairs
    ### END SOLUTION


# %% tags=["check"]
checks.check_7a_6(who_looks_ahead)

# %% [markdown] tags=["discussion"]
# One entry at a time is changed and all outputs are watched: no derivative, so it works
# for anything, one-hot inputs included. Several base rows, because a
# path through a ReLU can sleep.

# %% [markdown] tags=["exercise"]
# ### Exercise 7a.7 · One pixel at a time
#
# *You will learn to draw from a product.* `chances` maps binary rows $(n,d)$ to
# probabilities $(n,d)$ that an entry is 1 given the entries before it in `order`. Draw $n$
# rows with the NumPy generator `rng`, with as few calls of `chances` as possible.


# %% tags=["exercise"]
def draw_rows(chances, order, n, rng):
    """Return n binary rows (n, d), drawn in the order."""
    ### BEGIN SOLUTION
    x = np.zeros((n, len(order)))
    for entry in order:
        x[:, entry] = rng.random(n) < np.asarray(chances(x))[:, entry]
    return x
    ### END SOLUTION


# %% tags=["check"]
checks.check_7a_7(draw_rows)

# %% [markdown] tags=["discussion"]
# $d$ calls, not one: in a single pass every entry would be drawn given the zeros in
# which it began, and the margins might look right while no entry knows the
# others. Not $n\,d$ either: all rows take each step together.
