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
# # Chapter 2b · Autoencoders: losses, layers and codes
#
# Sitting 2a built an autoencoder and held it against PCA. Three choices were
# made in passing: the loss, the layers, and a code without an activation. This
# sitting makes them again with open eyes, then asks what the codes are good
# for.
#
# **We will show**
#
# - which loss belongs to which output and data range, and how a wrong pair
#   puts a floor under the error that no training can break;
# - why a good Bernoulli loss is not zero, and where its own floor lies;
# - why a ReLU code wastes units, and what a transposed convolution does;
# - what codes are good for, as pictures and for walking between digits, and
#   what low reconstruction error does not promise.
#
# | | |
# |---|---|
# | Prerequisites | Sitting [2a](02a_autoencoders.ipynb); cross-entropy and KL from [chapter 1b](01b_gradient_descent.ipynb) |
# | Data | scikit-learn's digits, 1 797 images of 8 × 8 (full profile: MNIST) |
# | Time | under a minute on two CPU cores; 40 minutes of reading, exercises apart |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup", "hide-input"]
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from utils import data, metrics, plotting
from utils.checks import chapter_02 as checks
from utils.models import Autoencoder
from utils.nn import losses
from utils.nn.backend import input_gradient
from utils.nn.likelihoods import Bernoulli, SquaredError
from utils.training import callbacks, recipes, repeats

plotting.use_style()

# %% [markdown]
# **Parameters.** All that differs between the quick and the full profile:
# `profile.pick` takes the value of the one that runs.

# %% tags=["setup"]
DATA = profile.pick(quick="digits", full="mnist")
LATENT_DIM = profile.pick(quick=8, full=32)  # width of the code
WIDTH = profile.pick(quick=256, full=512)  # of the hidden layers
FILTERS = profile.pick(quick=(32, 64), full=(16, 64))  # of the convolutions
EPOCHS = profile.pick(quick=16, full=4)
BATCH = profile.pick(quick=16, full=64)
LEARNING_RATE = profile.pick(quick=6e-3, full=3e-3)
SIDE_ROWS = profile.pick(quick=None, full=20_000)  # side experiments
SEEDS = (0, 1, 2)

# %% tags=["setup"]
digits = data.load(DATA)
flat = digits.flat()  # the same rows as vectors, for scikit-learn
side = digits.x_train[:SIDE_ROWS]
SHAPE = digits.event_shape
PIXELS = int(np.prod(SHAPE))
print("one image", SHAPE, "| code", LATENT_DIM, "| pixels", PIXELS)


# %% tags=["setup", "hide-input"]
def deep_autoencoder(latent_dim, seed, widths=(WIDTH,), **options):
    """Dense encoder and decoder with a Bernoulli output, untrained."""
    options = {"likelihood": Bernoulli(), **options}
    return Autoencoder.dense(
        SHAPE, latent_dim, widths=widths, seed=seed, **options
    )


def train(model, x=digits.x_train, **fit):
    """Fit a model to its own input by the course's recipe; return it."""
    recipes.compile(model, LEARNING_RATE, updates=EPOCHS * -(-len(x) // BATCH))
    model.fit(x, epochs=EPOCHS, batch_size=BATCH, verbose=0, **fit)
    return model


def from_seeds(model, x=side, rate=LEARNING_RATE):
    """Train one model from each seed in turn; yield it each time."""
    common = {"seeds": SEEDS, "epochs": EPOCHS, "batch_size": BATCH}
    return repeats.train_from_seeds(model, x, rate=rate, **common)


def test_error(model):
    """Mean squared error per pixel on the test rows."""
    return metrics.mse(digits.x_test, model.reconstruct(digits.x_test))


# %% [markdown]
# The dense autoencoder of sitting 2a, from three seeds, goes with us, and PCA of the
# same width: sections 1, 3, 4 and 6 use `dense` and `pca`.

# %% tags=["nbval-ignore-output"]
pca = PCA(LATENT_DIM, random_state=0).fit(flat.x_train)
dense = [
    train(
        deep_autoencoder(LATENT_DIM, seed),
        callbacks=[callbacks.ProgressLine(f"dense, seed {seed}")],
    )
    for seed in SEEDS
]

# %% [markdown]
# ## 1. Output, loss and data range
#
# Equation (1) of sitting 2a has a squared error. Many programs use
# cross-entropy. Both are negative log-likelihoods, but for a factor and a
# constant, of different assumptions about a pixel (Goodfellow et al. 2016):
#
# | `likelihood=` | values of $\hat x$ | assumption | data |
# |---|---|---|---|
# | `SquaredError()` | any real number | Gaussian noise | any, e.g. standardised |
# | `SquaredError("sigmoid")` | $(0,1)$ | Gaussian noise | in $[0,1]$ |
# | `Bernoulli()` | $(0,1)$ | coin flips | in $[0,1]$ |
#
# The first two cost $\lVert x-\hat x\rVert^2$ an example, the last
# $-\sum_j [x_j\log\hat x_j+(1-x_j)\log(1-\hat x_j)]$. That is in **nats** and is computed from logits, the values before
# the sigmoid, which stays exact where $\hat x$ rounds to 0 or 1. Note the
# sum over pixels. Keras's built-in losses take the *mean* over pixels; for
# 784 pixels the two differ by a factor of 784. In a plain autoencoder that
# only rescales the loss; as soon as a second term is added to it, as in
# sitting 2c and all of chapter 4, it decides what the model learns.

# %%
x, logits = flat.x_test[:4], np.linspace(-3, 3, 4 * PIXELS).reshape(4, PIXELS)
probability = 1 / (1 + np.exp(-logits))
coins = x * np.log(probability) + (1 - x) * np.log(1 - probability)
by_hand = -coins.sum(axis=1)
nats = ops.convert_to_numpy(losses.bernoulli_nll(x, logits))
mean_over_pixels = ops.convert_to_numpy(
    keras.losses.binary_crossentropy(x, probability)
)
print(f"Keras's mean over pixels × {PIXELS} = the sum:", end=" ")
print(np.allclose(PIXELS * mean_over_pixels, nats, rtol=1e-4))

# %% tags=["hide-input"]
assert np.allclose(nats, by_hand, rtol=1e-4)
assert np.allclose(nats, PIXELS * mean_over_pixels, rtol=1e-4)

# %% [markdown]
# Why train images with the Bernoulli loss and not with squared error behind a
# sigmoid? Look at a pixel that is bright ($x=1$) while the model is convinced
# that it is dark (logit $-8$). Which loss pulls harder?

# %%
losses_by_logit = {
    "squared error behind a sigmoid": lambda a: (1.0 - ops.sigmoid(a)) ** 2,
    "Bernoulli": lambda a: ops.softplus(a) - a,
}
logit = np.float32([-8.0])
pull = {
    name: float(ops.convert_to_numpy(input_gradient(loss, logit))[0])
    for name, loss in losses_by_logit.items()
}
for name, value in pull.items():
    print(f"{name:<31} gradient by the logit {value:.4f}")

# %% tags=["hide-input"]
assert abs(pull["Bernoulli"]) > 1000 * abs(
    pull["squared error behind a sigmoid"]
)

# %% [markdown]
# By the logit, squared error behind a sigmoid has the gradient
# $2(\hat x-x)\,\hat x(1-\hat x)$, which vanishes where the sigmoid is
# saturated, right or wrong; the Bernoulli loss has $\hat x-x$. A network
# whose first steps push the background to black can stay black with the
# former. The same fact returns in chapter 3 as the saturating GAN loss. What is it
# worth to *our* network, whose training starts well?

# %% tags=["nbval-ignore-output"]
behind = deep_autoencoder(LATENT_DIM, 0, likelihood=SquaredError("sigmoid"))
by_loss = {
    "Bernoulli": [test_error(model) for model in dense],
    "squared error": [
        test_error(model) for model in from_seeds(behind, digits.x_train)
    ],
}
for name, errors in by_loss.items():
    print(f"{name:<14} test MSE {repeats.with_spread(errors, 4)}")

# %% tags=["hide-input"]
ours, theirs = map(np.mean, by_loss.values())
assert profile.full or abs(theirs / ours - 1) < 0.12, "next to nothing"

# %% [markdown]
# On the digits next to nothing, in the very error that the second one minimises; and at
# 32 numbers squared error is ahead (sitting 2a, full profile: .0033 against .0037). We
# take the Bernoulli loss for its gradient and because it is a likelihood, not because
# it reconstructs better.
#
# ### The floor
#
# Image pipelines often standardise pixels: subtract the mean, divide by the
# standard deviation. The decoder often ends in a sigmoid. Put both together
# and something quiet happens. A sigmoid cannot produce a negative number or
# one above 1, so every pixel outside $(0,1)$ costs at least its squared
# distance to that interval, whatever the weights:

# %% tags=["nbval-ignore-output"]
raw = flat.x_train[:32]  # in [0, 1]
deviation = flat.x_train.std()
standardised = (raw - flat.x_train.mean()) / deviation
reachable = np.clip(standardised, 0, 1)
floor = metrics.mse(standardised, reachable)
out_of_reach = np.mean(standardised != reachable)
print(f"range {standardised.min():.2f} to {standardised.max():.2f}")
print(f"pixels out of reach of a sigmoid: {out_of_reach:.0%}")
print(f"no weights can bring the MSE below {floor:.3f}")

# %% [markdown]
# To see it, ask small networks for the easiest thing there is: overfit 32
# images. They are plain Keras, because the course's class refuses the wrong
# pair, as we shall see. Is the range to blame, or the sigmoid? Neither alone, we
# claim; so all four pairs of a range and an output, with errors in the same
# unit, a standardised pixel.


# %%
def overfit(rows, activation, unit):
    """Loss curve of a wide autoencoder on a few rows, in units of ``unit``."""
    keras.utils.set_random_seed(0)
    wide = keras.Sequential(
        [
            keras.layers.Dense(256, "relu"),
            keras.layers.Dense(PIXELS, activation),
        ]
    )
    recipes.compile(wide, 1e-3, loss="mse")
    rows = np.tile(rows, (16, 1))  # an epoch is 64 steps on the same rows
    fit = wide.fit(rows, rows, batch_size=8, epochs=20, verbose=0)
    return np.array(fit.history["loss"]) / unit**2


pairs = {
    f"{name}, {activation} output": overfit(rows, activation, unit)
    for name, rows, unit in (
        ("standardised", standardised, 1.0),
        ("in [0, 1]", raw, deviation),
    )
    for activation in ("sigmoid", "linear")
}

# %% tags=["nbval-ignore-output"]
figure = plotting.curves(
    pairs,
    "Only a sigmoid under standardised pixels stops at the floor",
    ylabel="MSE, in standardised pixels",
    log=True,
)
figure.axes[0].axhline(floor, color="black", ls=":", label="floor")
figure.axes[0].legend()
plt.show()

# %% tags=["hide-input"]
stuck, *free = pairs.values()
assert floor < min(stuck) < 1.2 * floor, "just above the floor"
assert all(curve[-1] < 0.1 * floor for curve in free), "far below it"

# %% [markdown]
# **Figure 2.7.** Four networks that differ in range and output alone. Three
# go through the dotted floor as if it were not there; the blue one settles on
# it. Nothing warns: the loss falls, then stops, and looks like convergence. Two
# checks find the fault in a minute. *Is the range of the targets inside the
# range of the output?* And: *can the model overfit one batch?*
#
# ### The floor of a Bernoulli loss
#
# The progress lines above end near 16 nats an image (MNIST: near 60). Is
# that bad? For a pixel $x$ strictly between 0 and 1 even the perfect
# reconstruction $\hat x=x$ costs $-x\log x-(1-x)\log(1-x)$: its own entropy
# as a coin. What a model can lose is the rest, which is the KL divergence of
# chapter 1 between two coins, summed over pixels:
# $\text{loss}=H(x)+\mathrm{KL}(x\,\Vert\,\hat x)$. How is it divided?


# %% tags=["nbval-ignore-output"]
def grey_entropy(rows):
    """Mean entropy of the grey levels, as coins, in nats a row."""
    grey = rows[(rows > 0) & (rows < 1)].astype("float64")
    return -np.sum(grey * np.log(grey) + (1 - grey) * np.log1p(-grey)) / len(
        rows
    )


own = grey_entropy(flat.x_test)
whole = dense[0].example_losses(digits.x_test).mean()
print(
    f"loss {whole:.2f} nats = {own:.2f} of the grey levels "
    f"+ {whole - own:.2f} that a model can change"
)

# %% tags=["hide-input"]
assert own < whole, "nothing gets below the entropy"
assert own > 0.6 * whole, "and most of the loss is entropy"

# %% [markdown]
# Most of the number is the images' own and no model can lower it. So do not
# read Bernoulli losses of grey images as percentages, compare them only on the
# same rows, and subtract the floor before you say "twice as good".
#
# ### Cross-entropy on unscaled data
#
# What if the data leave $[0,1]$ and the loss is cross-entropy all the same? We
# train on standard normal numbers, and change loss and output one at a time.


# %%
x_normal = np.random.default_rng(0).standard_normal((512, 20)).astype("float32")


def cross_entropy(x, p):
    """Mean Bernoulli cross-entropy; nobody asks whether x is in [0, 1]."""
    p = ops.clip(p, 1e-7, 1 - 1e-7)
    return -ops.mean(x * ops.log(p) + (1 - x) * ops.log(1 - p), axis=-1)


def small_network(output):
    """Eight ReLU units, then twenty outputs."""
    return keras.Sequential(
        [
            keras.Input((20,)),
            keras.layers.Dense(8, "relu"),
            keras.layers.Dense(20, output),
        ]
    )


# %%
def loss_and_error(loss, output):
    """Final loss and MSE, from each seed."""
    found = []
    naive = recipes.compile(small_network(output), 1e-2, loss=loss)
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        naive.set_weights(small_network(output).get_weights())
        recipes.forget(naive.optimizer)
        fit = naive.fit(x_normal, x_normal, epochs=15, verbose=0)
        rebuilt = naive.predict(x_normal, verbose=0)
        found.append((fit.history["loss"][-1], metrics.mse(x_normal, rebuilt)))
    return np.transpose(found)


unscaled = {
    ("cross-entropy", "sigmoid"): loss_and_error(cross_entropy, "sigmoid"),
    ("squared error", "sigmoid"): loss_and_error("mse", "sigmoid"),
    ("squared error", "linear"): loss_and_error("mse", "linear"),
}

# %% tags=["nbval-ignore-output"]
eight = PCA(8).fit(x_normal)
rebuilt = eight.inverse_transform(eight.transform(x_normal))
pca_normal = metrics.mse(x_normal, rebuilt)
reach = metrics.mse(x_normal, np.clip(x_normal, 0, 1))
print(f"{'loss':<15}{'output':<10}{'final loss':>14}{'MSE':>15}")
for (loss, output), (final, error) in unscaled.items():
    cells = (repeats.with_spread(values, 2) for values in (final, error))
    print(f"{loss:<15}{output:<10}" + "{:>14}{:>15}".format(*cells))
print(
    f"MSE of zeros {metrics.mse(x_normal, 0 * x_normal):.2f}, of PCA with 8 "
    f"components {pca_normal:.2f}; floor of a sigmoid {reach:.2f}"
)

# %% tags=["hide-input"]
(crossed, crossed_mse), (_, behind_mse), (_, linear_mse) = unscaled.values()
assert crossed.max() < 0, "no cross-entropy of probabilities is negative"
assert abs(crossed_mse.mean() - behind_mse.mean()) < 0.1, "about the same MSE"
assert linear_mse.max() < 0.8 * behind_mse.min(), "the sigmoid costs it"

# %% [markdown]
# Read the last column first. The poor reconstructions come from the
# *sigmoid*: behind it squared error does hardly better than cross-entropy,
# with a linear output it comes near PCA. What cross-entropy adds is a loss
# **below zero**, which no cross-entropy of probabilities can be, and which
# falls on while the reconstruction stays poor: the number on the screen has
# lost its meaning. Keras's own `binary_crossentropy` does the same on TensorFlow
# and JAX: it does not check the range (on PyTorch it raises). The models of
# this course check it on every backend, before the first step:

# %%
try:
    Autoencoder.dense((20,), 8, likelihood=Bernoulli()).fit(
        np.round(x_normal, 1)
    )
except ValueError as error:
    print(error)

# %% [markdown]
# ## 2. Dead ReLU codes
#
# The hidden layers use ReLU, so why not the code as well? Because a ReLU
# passes only positive numbers: half of the code space is closed, and a unit
# pushed to the closed side on every example gets no gradient to come back.
# We count the units that are zero on *all* test images, at twice the code
# width, with the course's learning rate and with a sixth of it.

# %%
WIDER = 2 * LATENT_DIM
codes_by, errors_by = {}, {}
for activation in ("linear", "relu"):
    wider = deep_autoencoder(WIDER, 0, code_activation=activation)
    for rate in (LEARNING_RATE, LEARNING_RATE / 6):
        key = activation, rate
        for model in from_seeds(wider, rate=rate):
            codes_by.setdefault(key, []).append(model.encode(digits.x_test))
            errors_by.setdefault(key, []).append(test_error(model))

# %% tags=["nbval-ignore-output"]
dead = {
    name: [metrics.dead_units(codes) for codes in codes_by[name]]
    for name in codes_by
}
for (name, rate), errors in errors_by.items():
    units = f"dead units {dead[name, rate]} of {WIDER}"
    error = repeats.with_spread(errors, 4)
    print(f"{name:<7}rate {rate:.0e}: {units}, test MSE {error}")
spread = {
    f"{name} code": [
        np.sort(codes.std(axis=0))[::-1]
        for codes in codes_by[name, LEARNING_RATE]
    ]
    for name in ("linear", "relu")
}
fast = dead["relu", LEARNING_RATE]
plotting.curves(
    spread,
    f"ReLU code: {min(fast)} to {max(fast)} of {WIDER} units are dead",
    xlabel="code unit, by spread",
    ylabel="standard deviation over test digits",
)
plt.show()

# %% tags=["hide-input"]
assert not any(sum(dead[key]) for key in dead if key[0] == "linear")
assert min(fast) >= 1 and sum(dead["relu", LEARNING_RATE / 6]) < sum(fast)
linear, slow_linear, relu, slow_relu = map(np.mean, errors_by.values())
assert relu / linear > 1.1 and slow_relu / slow_linear > 1.05
assert profile.full or slow_relu / slow_linear < relu / linear

# %% [markdown]
# **Figure 2.8.** Spread of each code unit over the test digits, sorted; bands span
# three seeds. The linear code uses all its units. In the ReLU code a group stands at
# exactly zero, at the right: paid for, never used, and on the digits the test error is
# twice as high. At a sixth of the rate fewer units die, and the error is a third above
# the linear code's. The model still trains and the loss still falls, which is why
# nobody notices. **Leave the code linear** unless you have a reason, such as wanting
# sparse or bounded codes (sitting 2c).

# %% [markdown]
# ## 3. Convolutional
#
# A dense layer treats pixels as an unordered list. A convolution knows that
# neighbours belong together and uses the same filter everywhere. With stride 2
# it halves height and width. The way back is the **transposed convolution**:
# each input value multiplies the kernel and is *added* into the larger map, two
# pixels further on for each step of the input. The decoder, layer by
# layer:

# %%
SMALL = (SHAPE[0] // 4, SHAPE[1] // 4, FILTERS[1])
up = {"kernel_size": 4, "strides": 2, "padding": "same"}
conv_decoder = keras.Sequential(
    [
        keras.Input((LATENT_DIM,)),
        keras.layers.Dense(int(np.prod(SMALL)), activation="relu"),
        keras.layers.Reshape(SMALL),
        keras.layers.Conv2DTranspose(FILTERS[0], activation="relu", **up),
        keras.layers.Conv2DTranspose(1, **up),  # logits
    ]
)
maps = np.zeros((1, LATENT_DIM), "float32")
for layer in conv_decoder.layers:
    maps = layer(maps)
    print(f"{type(layer).__name__:<16} → {tuple(maps.shape[1:])}")

# %% [markdown]
# The encoder is the mirror: `Conv2D` with `strides=2` twice, `Flatten`, `Dense`.
# `Autoencoder.conv` builds both; with our weights in it, its decoder gives
# our numbers. Why a kernel of 4 and not of 3? Send ones through, with ones
# as weights: each output counts how often it is covered.

# %%
library = Autoencoder.conv(
    SHAPE, LATENT_DIM, widths=FILTERS, seed=0, likelihood=Bernoulli()
)
library.decoder.set_weights(conv_decoder.get_weights())
code = np.random.default_rng(0).standard_normal((5, LATENT_DIM))
ours = ops.sigmoid(conv_decoder(code.astype("float32")))
same = np.allclose(library.decode(code), ops.convert_to_numpy(ours), atol=1e-5)
print("same as the library's:", same)

for size in (3, 4):
    cover = keras.layers.Conv2DTranspose(
        1, size, strides=2, padding="same", kernel_initializer="ones"
    )
    counts = ops.convert_to_numpy(cover(np.ones((1, 5, 5, 1), "float32")))
    print(
        f"kernel {size}, a row of the output:", counts[0, 4, :, 0].astype(int)
    )

# %% tags=["hide-input"]
assert same
assert len(set(counts[0, 2:-2, 2:-2].ravel())) == 1, "4: evenly covered"

# %% [markdown]
# A kernel of 3 covers every second pixel twice as often as its neighbour, a
# checkerboard that the weights must first unlearn (Odena et al. 2016); a
# kernel of 4, a multiple of the stride, covers all alike except at the rim.
# Does the convolution pay?

# %%
by_convolution = Autoencoder.conv(
    SHAPE, LATENT_DIM, widths=FILTERS, seed=0, likelihood=Bernoulli()
)
conv_errors = [
    test_error(model) for model in from_seeds(by_convolution, digits.x_train)
]

# %% tags=["nbval-ignore-output"]
rebuilt = pca.inverse_transform(pca.transform(flat.x_test))
pca_clipped = metrics.mse(flat.x_test, np.clip(rebuilt, 0, 1))
dense_errors = [test_error(model) for model in dense]
rows = {
    "PCA, clipped to [0, 1]": ("-", [pca_clipped]),
    "dense": (dense[0].count_params(), dense_errors),
    "convolutional": (by_convolution.count_params(), conv_errors),
}
runtime.record(
    f"{DATA}, dense or convolutional, {LATENT_DIM} numbers, test MSE per pixel",
    ("model", "parameters", "test MSE"),
    [
        (name, count, repeats.with_spread(errors, 5))
        for name, (count, errors) in rows.items()
    ],
)

# %% tags=["hide-input"]
assert np.mean(conv_errors) < 0.75 * pca_clipped
assert np.mean(conv_errors) < 1.25 * np.mean(dense_errors)
assert not profile.full or np.mean(conv_errors) < np.mean(dense_errors)

# %% [markdown]
# On 8 × 8 images there is little neighbourhood to exploit, and the
# convolutional model is about as good as the dense one, with more parameters.
# On MNIST, in the full profile, it is the better one with fewer
# ([results](../docs/results.md)). Match the architecture to the data, not to
# the fashion.

# %% [markdown]
# ## 4. Codes versus reconstructions
#
# "Use the autoencoder for dimensionality reduction" means: take the *code*.
# A frequent mistake is to take what `predict` of an end-to-end model
# returns, which is the reconstruction and as wide as the input.

# %%
z = dense[0].encode(digits.x_test)
x_hat = dense[0].decode(z)
print("examples        ", digits.x_test.shape)
print("codes           ", z.shape)
print("reconstructions ", x_hat.shape)

# %% tags=["hide-input"]
assert z.shape == (len(digits.x_test), LATENT_DIM)
assert np.allclose(x_hat, dense[0].reconstruct(digits.x_test), atol=1e-6)

# %% [markdown]
# Is the reduced form *good for anything*? Reconstruction error does not say.
# One test: cluster the codes without labels, then compare with the classes
# by the adjusted Rand index of chapter 1.


# %% tags=["nbval-ignore-output"]
def ari(rows):
    """Adjusted Rand index of ten k-means clusters against the classes."""
    ids = KMeans(10, n_init=4, random_state=0).fit_predict(rows)
    return adjusted_rand_score(digits.y_test, ids)


ari_pixels, ari_pca = ari(flat.x_test), ari(pca.transform(flat.x_test))
ari_codes = [ari(model.encode(digits.x_test)) for model in dense]
print(
    f"pixels {ari_pixels:.2f} | PCA {ari_pca:.2f} | "
    f"codes {repeats.with_spread(ari_codes, 2)}"
)

# %% tags=["hide-input"]
assert abs(np.mean(ari_codes) - ari_pca) < 0.15, "no better, no worse"

# %% [markdown]
# The autoencoder's error is far below PCA's, yet for k-means its codes are
# about as good as PCA's, or as the raw pixels. Equation (1) asks for
# reconstruction and gives reconstruction. Nothing in it says that distances
# between codes mean anything. Chapters 5 and 6f have objectives that do.
#
# ## 5. Codes as pictures
#
# A code of two numbers can be drawn. With so narrow a code one more hidden
# layer pays; PCA's first two components are the classical map. Which will
# separate the ten digits better? A number beside the picture: how often do a
# test digit's five nearest training digits *in the plane* vote for its class?


# %%
def vote(train_codes, test_codes):
    """Share of test digits whose five nearest training codes vote right."""
    knn = KNeighborsClassifier(5).fit(train_codes, digits.y_train)
    return knn.score(test_codes, digits.y_test)


plane = PCA(2, random_state=0).fit(flat.x_train)
maps = {"PCA": plane.transform(flat.x_test)}
vote_pca = vote(plane.transform(flat.x_train), maps["PCA"])
vote_ae = []
narrow = deep_autoencoder(2, 0, widths=(WIDTH, 128))
for model in from_seeds(narrow):
    codes = model.encode(digits.x_test)
    maps.setdefault("autoencoder", codes)  # of the first seed
    vote_ae.append(vote(model.encode(digits.x_train), codes))

# %% tags=["nbval-ignore-output"]
plotting.scatter(
    {
        f"PCA: {vote_pca:.0%} right": maps["PCA"][:1000],
        f"autoencoder: {vote_ae[0]:.0%} right": maps["autoencoder"][:1000],
    },
    digits.y_test[:1000],
    "Colours are added afterwards: no model saw a label",
    class_names=digits.classes,
    axes=("$z_1$", "$z_2$"),
)
plt.show()
print(f"votes: PCA {vote_pca:.2f}, codes {repeats.with_spread(vote_ae, 2)}")

# %% tags=["hide-input"]
assert min(vote_ae) > vote_pca + 0.05

# %% [markdown]
# **Figure 2.9.** Test digits in the plane. PCA's map overlaps in the
# middle; the autoencoder's pulls several digits into arms of their own, and
# the vote in the plane is right more often, from each of three seeds. Between
# the arms are gaps, and their shapes follow no rule. What would the decoder
# draw *there*?

# %% [markdown]
# ## 6. From one digit to another
#
# Take two test digits, mix them, half and half. In pixels that is a double
# exposure. In codes, $g\big((1-t)\,f(a)+t\,f(b)\big)$, one hopes for a shape
# in between. PCA's codes can be mixed as well; being linear it gives the
# double exposure of two of its reconstructions.

# %% tags=["nbval-ignore-output"]
first = digits.x_test[digits.y_test == 1][0]
second = digits.x_test[digits.y_test == 0][0]
t = np.linspace(0, 1, 9, dtype="float32")
ends = dense[0].encode(np.stack([first, second]))
along = (1 - t)[:, None] * ends[0] + t[:, None] * ends[1]
pixels = t[:, None, None, None]
plotting.image_rows(
    {
        "pixels mixed": (1 - pixels) * first + pixels * second,
        "codes mixed": dense[0].decode(along),
    },
    "Mixed pixels show two digits at once, mixed codes one shape",
)
plt.show()

# %% [markdown]
# **Figure 2.10.** From a one to a zero. Look at the fifth column: above, one digit
# fades while the other appears; below, there is one shape, blurred, whose inside
# opens column by column. Is the middle of such a walk a digit? We measure how
# far mixtures of random pairs lie from the nearest training image, in units of
# what an unseen real digit has. A picture "mixed with itself" shows what
# each method does to the ends. And a control: is it the mixing of *codes* that
# counts, or the decoder? It sends the mixed pixels, two digits at once, through the
# autoencoder.


# %%
nearest = NearestNeighbors(n_neighbors=1).fit(flat.x_train[:SIDE_ROWS])


def distance_to_real(images):
    """Mean distance of images to their nearest training image."""
    rows = np.reshape(images, (len(images), PIXELS))
    return nearest.kneighbors(rows)[0].mean()


rng = np.random.default_rng(0)
x, y = digits.x_test[:300], digits.y_test[:300]
unit = distance_to_real(x)
partners = {
    "with itself": np.arange(300),
    "any two": rng.permutation(300),
    "of one class": np.array([rng.choice(np.flatnonzero(y == c)) for c in y]),
}

# %% tags=["nbval-ignore-output"]
middle = {}
for pairs_of, other in partners.items():
    mixed = (x + x[other]) / 2
    rebuilt = pca.inverse_transform(pca.transform(mixed.reshape(300, -1)))
    codes = [model.encode(x) for model in dense]
    pictures = (
        [mixed],
        [np.clip(rebuilt, 0, 1)],
        [
            m.decode((z + z[other]) / 2)
            for m, z in zip(dense, codes, strict=True)
        ],
        [model.reconstruct(mixed) for model in dense],
    )
    middle[pairs_of] = [
        [distance_to_real(images) / unit for images in of_one]
        for of_one in pictures
    ]
names = "pixels", "PCA", "codes", "pixels, rebuilt"
print(f"{'mixed':<14}" + "{:>8}{:>8}{:>14}{:>17}".format(*names))
for name, values in middle.items():
    cells = (repeats.with_spread(value, 2) for value in values)
    print(f"{name:<14}" + "{:>8}{:>8}{:>14}{:>17}".format(*cells))

# %% tags=["hide-input"]
pixels_any, pca_any, codes_any, rebuilt_any = map(np.mean, middle["any two"])
ends = [np.mean(values) for values in middle["with itself"]]
assert pca_any < pixels_any and max(middle["any two"][2]) < pixels_any
assert profile.full or max(middle["any two"][2]) < pca_any, "nearer than PCA"
assert abs(codes_any / pca_any - 1) < 0.1 or not profile.full, "MNIST: level"
assert min(middle["any two"][2]) > 1.03, "but no digits"
assert abs(codes_any / rebuilt_any - 1) < 0.1, "the decoder's doing"
assert abs(codes_any / ends[2] / (pixels_any / ends[0]) - 1) < 0.15
assert ends[2] < 0.97 and (profile.full or ends[1] > 0.95)
assert max(middle["of one class"][2]) < 0.9 * min(middle["any two"][2])

# %% [markdown]
# Middles of codes lie nearer to real digits than middles of pixels or, on the small
# digits, of PCA's codes (on MNIST, in the full profile, these two are level: 1.11 ± .01
# and 1.09). But look at the ends: the autoencoder's pictures are near to training digits even
# where nothing was mixed, since this measure forgives blur. From end to middle its
# distance grows by as large a factor as that of pixels. And the double
# exposure, sent through the autoencoder, comes out as near as the decoded middle (on
# MNIST not quite: 1.18). So the gain is the **decoder's**, which draws single strokes
# whatever it is given; that codes lie on a straighter road than pixels is *not* shown.
#
# Half way between any two digits it is no digit either: the decoder is in a gap like
# those of Figure 2.9, where it was never trained. (Within a class a middle lies as
# near as the ends, in pixels too.) Nothing in equation (1) asked it to draw digits
# there. Sitting 2c goes into these gaps on purpose.

# %% [markdown]
# ## What we showed
#
# - Loss, output and data range belong together. A sigmoid under standardised
#   pixels stood on a floor that we computed beforehand, and of four pairs only
#   that one did; cross-entropy on unscaled data fell below zero.
# - Most of a Bernoulli loss on grey images is their own entropy.
# - ReLU codes had dead units and a higher error; transposed convolutions of
#   kernel 4 and stride 2 cover their output evenly.
# - Codes of two numbers separated digits better than two components; for
#   k-means the wider codes were no better than PCA's. Walks between codes stayed
#   nearer to real digits than mixed pixels, thanks to the decoder (PCA's does as much
#   on MNIST).
#
# **References.** Odena, Dumoulin and Olah (2016), *Distill*,
# [doi:10.23915/distill.00003](https://doi.org/10.23915/distill.00003) ·
# Goodfellow, Bengio and Courville (2016), *Deep Learning*, chapters 6 and 14.
#
# **Next:** the exercises below
# ([solved](../solutions/02b_losses_and_codes.ipynb)), then sitting
# [2c](02c_constrained_autoencoders.ipynb): obstacles other than a narrow code,
# and what an autoencoder cannot do. Faults that one meets elsewhere:
# [errata](../docs/errata.md).

# %% [markdown]
# ## Exercises
#
# Each needs only the imports at the top. Write your answer where it says
# `# your answer here`, run the cell, then run the check below it.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.6 · The floor, with a pencil
#
# *You will learn to see a range error before training.* Four standardised
# pixels are $-0.4,\ -0.4,\ 0.5,\ 2.8$. The decoder ends in a sigmoid.
# What is the smallest mean squared error that any weights can approach?

# %% tags=["exercise"]
answer_2_6 = None
### BEGIN SOLUTION
answer_2_6 = (0.4**2 + 0.4**2 + 0.0**2 + 1.8**2) / 4
### END SOLUTION

# %% tags=["check"]
checks.check_2_6(answer_2_6)

# %% [markdown] tags=["discussion"]
# The sigmoid covers $(0,1)$. Each pixel costs at least its squared distance
# to that interval: $0.16+0.16+0+3.24=3.56$, over four pixels $0.89$.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.7 · The floor of a Bernoulli loss
#
# *You will learn to read a loss that cannot be zero.* Write a function that
# takes images with values in $[0,1]$ and returns the smallest Bernoulli loss
# that any reconstruction can have: in nats, summed over the entries of an
# example, averaged over examples. Pixels that are exactly 0 or 1 cost nothing.


# %% tags=["exercise"]
def bernoulli_floor(x):
    """Return the mean entropy of the rows of x, in nats."""
    ### BEGIN SOLUTION
    x = np.asarray(x, "float64")
    grey = x[(x > 0) & (x < 1)]
    entropy = -grey * np.log(grey) - (1 - grey) * np.log1p(-grey)
    return entropy.sum() / len(x)
    ### END SOLUTION


# %% tags=["check"]
checks.check_2_7(bernoulli_floor)

# %% [markdown] tags=["discussion"]
# $0\log 0$ is 0 by continuity, but `0 * np.log(0)` is NaN, so the black and
# white pixels are left out (`scipy.special.entr` knows the limit). A program
# that clips pixels to $[10^{-7}, 1-10^{-7}]$ first is right as well.
