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
# # Chapter 2 · Autoencoders: copy, but not perfectly
#
# An autoencoder learns to copy its input, and is prevented from doing so
# perfectly. What it keeps when it cannot keep everything is a
# representation, learned without a single label. This chapter builds the
# whole family, from the linear model that rediscovers PCA to networks that
# remove noise, and holds each of them against PCA on rows it has never seen.
#
# **We will show**
#
# - that a linear autoencoder finds the PCA subspace, and that a deep one
#   halves PCA's error at the same code width;
# - which loss belongs to which output and data range, and how a wrong pair
#   puts a floor under the error that no training can break;
# - how corruption, sparsity and contraction replace a narrow code;
# - what an autoencoder *cannot* do: invent new digits.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 1](01_concepts.ipynb): PCA, gradient descent |
# | Data | scikit-learn's digits, 1 797 images of 8 × 8 (full profile: MNIST) |
# | Time | under a minute on two CPU cores; about two hours of reading and exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup"]
import inspect

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from utils import data, metrics, plotting
from utils.checks import chapter_02 as checks
from utils.models import (
    Autoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
)
from utils.nn import losses
from utils.nn.backend import input_gradient
from utils.nn.layers import Corruption
from utils.nn.likelihoods import Bernoulli, SquaredError
from utils.training import callbacks, recipes

plotting.use_style()

# %% [markdown]
# **Parameters.** Everything that differs between the quick and the full
# profile stands in this one cell.

# %% tags=["setup"]
DATA = profile.pick(quick="digits", full="mnist")
LATENT_DIM = profile.pick(quick=8, full=32)
WIDTHS = profile.pick(quick=(256,), full=(512,))
CONV_WIDTHS = profile.pick(quick=(32, 64), full=(16, 64))
EPOCHS = profile.pick(quick=16, full=4)
BATCH = profile.pick(quick=16, full=64)
LEARNING_RATE = profile.pick(quick=6e-3, full=3e-3)
SIDE_ROWS = profile.pick(quick=None, full=20_000)  # side experiments
SWEEP = profile.pick(quick=(2, 8, 16, 32), full=(2, 8, 32, 64))
NOISE = 0.4  # standard deviation of the damage in the denoising section
SEEDS = (0, 1, 2)

# %% tags=["setup"]
digits = data.load(DATA)
flat = digits.flat()  # the same rows as vectors, for scikit-learn
side = flat.x_train[:SIDE_ROWS]
SHAPE = digits.event_shape
PIXELS = int(np.prod(SHAPE))
print("one image", SHAPE, "| code", LATENT_DIM, "| pixels", PIXELS)
print(
    "train, validation, test:",
    *(len(x) for x in (flat.x_train, flat.x_val, flat.x_test)),
)

# %% [markdown]
# One function trains every model of this chapter. The learning rate falls
# along a cosine, so that the last steps settle instead of jumping about. So do
# the models of all other chapters: the recipe stands once, in
# `utils.training.recipes`, and section 1 prints it.


# %% tags=["setup"]
def train(model, x=flat.x_train, epochs=EPOCHS, **fit):
    """Fit a model to its own input with Adam; return it."""
    steps = epochs * -(-len(x) // BATCH)
    recipes.compile(model, LEARNING_RATE, updates=steps)
    x = x.reshape(-1, *model.event_shape)
    model.history = model.fit(
        x, epochs=epochs, batch_size=BATCH, verbose=0, **fit
    )
    return model


# %% [markdown]
# ## 1. The idea and its objective
#
# Two networks in a row: an **encoder** $f_\phi$ maps an example
# $x\in\mathbb R^d$ to a **code** $z=f_\phi(x)\in\mathbb R^k$, and a
# **decoder** $g_\theta$ maps the code to a **reconstruction**
# $\hat x=g_\theta(z)$. Both are trained together to bring $\hat x$ close to
# $x$:
#
# $$\min_{\phi,\theta}\;\frac1n\sum_{i=1}^n
# \lVert x_i-g_\theta(f_\phi(x_i))\rVert^2 .\tag{1}$$
#
# Note what is compared: the *input* with its *reconstruction*, never the
# encoder with the decoder. Those two are different networks with weights of
# their own; they need not mirror each other, and the decoder is not the
# encoder's inverse. The target is the input, so the method needs no labels;
# one also calls it *self-supervised*.
#
# With $k\ge d$ and no other constraint the best solution of (1) is useless:
# copy the input. Something has to stand in the way. A narrow code
# ($k<d$, an **undercomplete** autoencoder) is the oldest answer, and sections
# 9 and 10 meet three others.
#
# In this course an autoencoder is one call: `Autoencoder(encoder, decoder)`
# around two Keras networks of your own, or `Autoencoder.dense(…)`, which makes
# them as well. The four architectures that tutorials print most often:

# %%
for size, latent_dim, widths in [
    (100, 32, ()),
    (100, 50, ()),
    (784, 64, (128,)),
    (784, 12, (128, 64)),
]:
    model = Autoencoder.dense((size,), latent_dim, widths=widths)
    chain = (size, *widths, latent_dim, *widths[::-1], size)
    print(" – ".join(map(str, chain)), "|", model.count_params(), "parameters")

# %% [markdown]
# The model is an ordinary `keras.Model`. Its `call` returns a dictionary that
# names *both* products, so that nobody mistakes one for the other, and its
# objective lives in `compute_loss`, which asks the model's likelihood what a
# reconstruction costs. These are the lines that matter; the last function,
# which the default `SquaredError()` calls, is equation (1), summed over pixels:

# %%
print(inspect.getsource(Autoencoder.call))
print(inspect.getsource(Autoencoder.reconstruction_loss))
print(inspect.getsource(losses.squared_error))

# %% [markdown]
# And this is the recipe by which `train` compiles it, for this chapter and all
# that follow: Adam, a rate that falls to nothing at the last update, and as
# many batches between two returns to Python as the backend takes.

# %%
print(inspect.getsource(recipes.adam))
print(inspect.getsource(recipes.compile))

# %% [markdown]
# ## 2. Linear autoencoder = PCA subspace
#
# Before anything deep, a question with a known answer. Take away all hidden
# layers and activations: encoder and decoder are each one matrix. Which
# $k$-dimensional code is then best?
#
# With $\hat x = A B x$ the reconstruction lies in the column space of the
# $d\times k$ matrix $A$, and no $k$-dimensional subspace leaves a smaller
# squared error than the one PCA finds. The optimum must therefore span the
# **same subspace** as the first $k$ principal components (Baldi and Hornik
# 1989). It need not have the same *axes*: for any invertible $M$,
# $(AM)(M^{-1}B)=AB$.
#
# We test it on data made for the purpose: five strong directions in twenty
# dimensions plus noise, so that the fifth and sixth eigenvalue are clearly
# apart. How close will gradient descent come?

# %%
x_line, _ = data.make_toy("subspace", n=2000, seed=0)
pca = PCA(n_components=5).fit(x_line)
pca_residual = metrics.mse(x_line, pca.inverse_transform(pca.transform(x_line)))

linear = Autoencoder.dense((20,), latent_dim=5, widths=(), seed=0)
recipes.compile(linear, 0.01, updates=1500)
history = linear.fit(x_line, epochs=38, batch_size=50, verbose=0)

# %% tags=["nbval-ignore-output"]
ratio = metrics.mse(x_line, linear.reconstruct(x_line)) / pca_residual
decoder_matrix = (
    linear.decoder.get_layer("flat_output").get_weights()[0].T
)  # (20, 5)
cosines = metrics.principal_angle_cosines(decoder_matrix, pca.components_.T)
print(f"squared error, linear autoencoder / PCA: {ratio:.4f}")
print("cosines of the principal angles:", cosines.round(4))

# %%
assert 0.9999 <= ratio <= 1.02, "never below PCA, and within two per cent of it"
assert cosines.min() > 0.99, "the same subspace"

# %% [markdown]
# The error is within two per cent of PCA's and *never below* it: that is a
# theorem, and a test that catches many bugs. The principal angles between
# the two subspaces have cosine 1 to several digits.
#
# Does the autoencoder also find PCA's *axes*? Look at the correlations
# between its code and the principal components before you read on.

# %% tags=["nbval-ignore-output"]
codes, scores = linear.encode(x_line), pca.transform(x_line)
correlation = np.corrcoef(codes.T, scores.T)[:5, 5:]
figure, axis = plt.subplots(figsize=(4.6, 3.4))
image = axis.imshow(correlation, vmin=-1, vmax=1, cmap="RdBu")
axis.set(
    xlabel="principal component",
    ylabel="code unit",
    title="Same subspace, other axes",
)
axis.grid(False)
figure.colorbar(image, label="correlation")
plt.show()

# %% [markdown]
# **Figure 2.1.** Each row is one code unit, each column one principal
# component. If the axes agreed, every row would hold a single saturated
# square. Instead each unit mixes several components. A linear autoencoder
# gives you the subspace; PCA gives you, in addition, uncorrelated axes in
# order of variance, in closed form, in milliseconds. So **for linear codes
# use PCA**. An autoencoder has to earn its cost by being non-linear.

# %% [markdown]
# ## 3. A deep autoencoder against PCA
#
# Now the digits, with a hidden layer on either side of the code. PCA at the
# same code width is the opponent, the training mean the floor of
# common sense: a model that cannot beat "predict the average image" has
# learned nothing. `likelihood=Bernoulli()` keeps every reconstructed pixel in
# $(0,1)$, where the data are, and trains by cross-entropy; section 5 says why.
# We *judge* by mean squared error all the same, the measure that PCA
# minimises.


# %% tags=["setup"]
def pca_error(k, x_clean=flat.x_test, x_given=None):
    """Test error of PCA with k components, fitted on the training rows."""
    pca = PCA(k, random_state=0).fit(flat.x_train)
    x_given = x_clean if x_given is None else x_given
    return metrics.mse(x_clean, pca.inverse_transform(pca.transform(x_given)))


# %%
mean_image = np.broadcast_to(flat.x_train.mean(axis=0), flat.x_test.shape)
mean_error = metrics.mse(flat.x_test, mean_image)
print(
    f"predict the mean image {mean_error:.3f} | PCA {pca_error(LATENT_DIM):.3f}"
)

# %% [markdown]
# A single run proves little: initial weights and batch order are random. We
# train from three seeds and report mean and spread. One line a fit shows the
# final losses. For the first seed we also follow the validation rows, which
# are never trained on.


# %% tags=["nbval-ignore-output"]
def deep_autoencoder(seed):
    """The model of this section, untrained."""
    return Autoencoder.dense(
        SHAPE, LATENT_DIM, widths=WIDTHS, seed=seed, likelihood=Bernoulli()
    )


deep = []
for seed in SEEDS:
    options = {"callbacks": [callbacks.ProgressLine(f"seed {seed}")]}
    if seed == SEEDS[0]:
        options |= {
            "validation_data": digits.x_val,
            "validation_batch_size": 1024,
        }
    deep.append(train(deep_autoencoder(seed), **options))

# %% tags=["nbval-ignore-output"]
deep_errors = [
    metrics.mse(digits.x_test, model.reconstruct(digits.x_test))
    for model in deep
]
pca_test = pca_error(LATENT_DIM)
plotting.bars(
    {"mean image": mean_error, "PCA": pca_test, "autoencoder": deep_errors},
    f"{LATENT_DIM} numbers a digit: {np.mean(deep_errors) / pca_test:.0%} of PCA's error",
    ylabel="test MSE per pixel",
)
plt.show()

# %%
assert np.mean(deep_errors) <= 0.6 * pca_test, (
    "clearly below PCA, mean of three seeds"
)
assert max(deep_errors) < pca_test < mean_error, (
    "every seed beats PCA, PCA beats the mean"
)

# %% [markdown]
# **Figure 2.2.** Mean squared error per pixel on test rows; dots are single
# seeds. All three lie close together, well below PCA: the digits do not lie
# on a flat subspace, and a curved one of the same dimension fits them
# better. What does the difference look like?

# %% tags=["nbval-ignore-output", "gallery-reconstructions"]
sample = digits.x_test[:10]
pca = PCA(LATENT_DIM, random_state=0).fit(flat.x_train)
by_pca = pca.inverse_transform(pca.transform(flat.x_test[:10])).reshape(
    sample.shape
)
plotting.image_rows(
    {
        "test digit": sample,
        "PCA": by_pca,
        "autoencoder": deep[0].reconstruct(sample),
    },
    f"Reconstructions from {LATENT_DIM} numbers",
)
plt.show()

# %% [markdown]
# **Figure 2.3.** PCA's digits are mixtures of fixed ghosts, with grey clouds
# where the background should be black. The autoencoder's are cleaner,
# because its output cannot leave $[0,1]$ and its decoder can switch
# a stroke on or off.

# %% [markdown]
# ### Watch it overfit, or not
#
# The gap between training and validation error is the price of a flexible
# model on a thousand images.

# %% tags=["nbval-ignore-output"]
history = deep[0].history.history
plotting.curves(
    {"training": history["mse"], "validation": history["val_mse"]},
    "Validation error flattens before training error does",
    ylabel="MSE per pixel",
    log=True,
)
plt.show()

# %%
assert history["val_mse"][-1] > history["mse"][-1], "new rows are harder"
assert history["val_mse"][-1] < 1.1 * min(history["val_mse"]), "no turn upwards"

# %% [markdown]
# **Figure 2.4.** Both curves fall, then part. As long as the validation curve
# does not turn upwards, more training costs only time; if it does, stop
# there (`keras.callbacks.EarlyStopping` with `restore_best_weights=True`). A
# loss reported on training rows alone would have hidden the gap, and on
# structureless data it hides everything: give a linear autoencoder pure
# noise and the training loss falls below what any model can reach on new
# rows. Exercise 2.5 makes you careful about which rows a baseline may see.

# %% [markdown]
# ## 4. Width against error
#
# How wide should the code be? There is no label-free answer, only a curve:
# error against width, for PCA and for the autoencoder. Predict: will the
# autoencoder win at every width?

# %%
sweep = (
    {LATENT_DIM: deep[0]} if SIDE_ROWS is None else {}
)  # same rows, same seed
for k in set(SWEEP) - set(sweep):
    model = Autoencoder.dense(
        SHAPE, k, widths=WIDTHS, seed=0, likelihood=Bernoulli()
    )
    sweep[k] = train(model, side)

# %% tags=["nbval-ignore-output", "gallery-width_against_error"]
ks = sorted(sweep)
curve_ae = [
    metrics.mse(digits.x_test, sweep[k].reconstruct(digits.x_test)) for k in ks
]
curve_pca = [pca_error(k) for k in ks]
figure = plotting.curves(
    {"PCA": curve_pca, "autoencoder": curve_ae},
    "The lead over PCA shrinks where the code is wide",
    x=ks,
    xlabel="code width k",
    ylabel="test MSE per pixel",
    log=True,
)
figure.axes[0].set_xscale("log", base=2)
figure.axes[0].set_xticks(ks, [str(k) for k in ks])
plt.show()

# %% tags=["nbval-ignore-output"]
gain = np.array(curve_ae) / np.array(curve_pca)
runtime.record(
    f"{DATA}, {len(side)} training rows, test MSE per pixel by code width k",
    ("k", "PCA", "autoencoder", "ratio"),
    [
        (k, f"{pca:.4f}", f"{ae:.4f}", f"{ratio:.2f}")
        for k, pca, ae, ratio in zip(ks, curve_pca, curve_ae, gain, strict=True)
    ],
)

# %%
assert gain.min() < 0.6, "clearly ahead somewhere"
assert gain[-1] > gain.min(), "and less so at the widest code"
assert all(np.diff(curve_pca) < 0), "PCA improves with every component"

# %% [markdown]
# **Figure 2.5.** Test error by code width, one seed each, both axes
# logarithmic. Where the code is narrow the autoencoder leaves half to three
# quarters of PCA's error. Towards the right PCA catches up, and for the small
# digits it wins in the end: with 32 of 64 components there is little left to
# lose, and the network still has to approach by small steps what PCA computes
# exactly. A width that is good enough for *your* purpose, judged on
# validation rows, is the right width.
#
# A narrow code makes whatever model comes *after* it smaller. It does not
# make the whole system simpler: the autoencoder is one more model to train
# and to keep.

# %% [markdown]
# ## 5. Output, loss and data range
#
# Equation (1) uses squared error. Many programs use cross-entropy. Both are
# negative log-likelihoods, of different assumptions about a pixel:
#
# | `likelihood=` | values of $\hat x$ | loss per example | assumption | data |
# |---|---|---|---|---|
# | `SquaredError()` | any real number | $\lVert x-\hat x\rVert^2$ | Gaussian noise | any, e.g. standardised |
# | `SquaredError("sigmoid")` | $(0,1)$ | $\lVert x-\hat x\rVert^2$ | Gaussian noise | in $[0,1]$ |
# | `Bernoulli()` | $(0,1)$ | $-\sum_j [x_j\log\hat x_j+(1-x_j)\log(1-\hat x_j)]$ | coin flips | in $[0,1]$ |
#
# The last loss is in **nats** and is computed from logits, the values before
# the sigmoid, which stays exact where $\hat x$ rounds to 0 or 1. Note the
# sum over pixels. Keras's built-in losses take the *mean* over pixels
# instead; for 784 pixels the two differ by a factor of 784. In a plain
# autoencoder that only rescales the loss; as soon as a second term is
# added to it, as in section 10 and in all of chapter 4, it decides what the
# model learns.

# %%
x, logits = flat.x_test[:4], np.linspace(-3, 3, 4 * PIXELS).reshape(4, PIXELS)
probability = 1 / (1 + np.exp(-logits))
by_hand = -(x * np.log(probability) + (1 - x) * np.log(1 - probability)).sum(
    axis=1
)
nats = ops.convert_to_numpy(losses.bernoulli_nll(x, logits))
mean_over_pixels = ops.convert_to_numpy(
    keras.losses.binary_crossentropy(x, probability)
)

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
assert abs(pull["Bernoulli"]) > 1000 * abs(
    pull["squared error behind a sigmoid"]
)

# %% [markdown]
# By the logit, squared error behind a sigmoid has the gradient
# $2(\hat x-x)\,\hat x(1-\hat x)$, which vanishes where the sigmoid is
# saturated, right or wrong; the Bernoulli loss has $\hat x-x$. A network
# whose first steps push the background to black can stay black with the
# former. The same fact returns in chapter 3 as the saturating GAN loss.
#
# ### The floor
#
# Image pipelines often standardise pixels: subtract the mean, divide by the
# standard deviation. The decoder often ends in a sigmoid. Put both together
# and something quiet happens. A sigmoid cannot produce a negative number or
# one above 1, so every pixel outside $(0,1)$ costs at least its distance to
# that interval, whatever the weights:

# %% tags=["nbval-ignore-output"]
batch = flat.x_train[:32]
standardised = (batch - flat.x_train.mean()) / flat.x_train.std()
reachable = np.clip(standardised, 0, 1)
floor = metrics.mse(standardised, reachable)
print(f"range {standardised.min():.2f} to {standardised.max():.2f}")
print(
    f"pixels out of reach of a sigmoid: {np.mean(standardised != reachable):.0%}"
)
print(f"no weights can bring the MSE below {floor:.3f}")

# %% [markdown]
# To see it, ask two small networks for the easiest thing there is: overfit
# 32 images. They are written in plain Keras here, because our own class
# refuses the wrong one, as we shall see. The only differences are the range of the
# data and whether the loss can reach zero.


# %%
def overfit(x, activation, epochs=20):
    """Loss curve of a wide plain-Keras autoencoder on a few rows."""
    model = keras.Sequential(
        [
            keras.layers.Dense(256, "relu"),
            keras.layers.Dense(PIXELS, activation),
        ]
    )
    recipes.compile(model, 1e-3, loss="mse")
    rows = np.tile(x, (16, 1))  # an epoch is 64 steps on the same rows
    fit = model.fit(rows, rows, batch_size=8, epochs=epochs, verbose=0)
    return fit.history["loss"]


# %% tags=["nbval-ignore-output"]
wrong = overfit(standardised, "sigmoid")
right = overfit(standardised, "linear")
figure = plotting.curves(
    {
        "standardised, sigmoid output": wrong,
        "standardised, linear output": right,
    },
    "A sigmoid under standardised pixels cannot pass its floor",
    ylabel="MSE, standardised pixels",
    log=True,
)
figure.axes[0].axhline(floor, color="black", ls=":", label="floor")
figure.axes[0].legend()
plt.show()

# %%
assert floor < min(wrong) < 1.2 * floor, "stuck just above the floor"
assert right[-1] < 0.1 * floor, "the linear output passes it easily"

# %% [markdown]
# **Figure 2.6.** The orange curve goes through the dotted floor as if it
# were not there; the blue one settles on it. Nothing warns: the loss falls,
# then stops, and looks like convergence. Two checks find the fault in a
# minute. *Is the range of the targets inside the range of the output?* And:
# *can the model overfit one batch?*
#
# Cross-entropy on unscaled data is worse, because it does not even stop:

# %% tags=["nbval-ignore-output"]
x_normal = np.random.default_rng(0).standard_normal((512, 20)).astype("float32")


def cross_entropy(x, p):
    """Mean Bernoulli cross-entropy; nobody asks whether x is in [0, 1]."""
    p = ops.clip(p, 1e-7, 1 - 1e-7)
    return -ops.mean(x * ops.log(p) + (1 - x) * ops.log(1 - p), axis=-1)


naive = keras.Sequential(
    [keras.layers.Dense(8, "relu"), keras.layers.Dense(20, "sigmoid")]
)
recipes.compile(naive, 1e-2, loss=cross_entropy)
naive_loss = naive.fit(x_normal, x_normal, epochs=25, verbose=0).history["loss"]
naive_mse = metrics.mse(x_normal, naive.predict(x_normal, verbose=0))
print(f"'cross-entropy' {naive_loss[0]:.2f} → {naive_loss[-1]:.2f}")
print(
    f"MSE {naive_mse:.2f}, against {metrics.mse(x_normal, 0 * x_normal):.2f} for predicting zero"
)

# %%
assert naive_loss[-1] < 0, (
    "a negative cross-entropy: the targets are no probabilities"
)
assert naive_mse > 0.75, (
    "little better than predicting zero, under a falling loss"
)

# %% [markdown]
# The loss dives below zero, which no cross-entropy of probabilities can do,
# while the reconstruction is little better than all zeros. Keras's own
# `binary_crossentropy` does the same on TensorFlow and JAX: it does not check
# the range (on PyTorch it raises). The models of this course check it on every
# backend, before the first training step:

# %%
try:
    Autoencoder.dense((20,), 8, likelihood=Bernoulli()).fit(
        np.round(x_normal, 1)
    )
except ValueError as error:
    print(error)

# %% [markdown]
# ## 6. Dead ReLU codes
#
# The hidden layers use ReLU, so why not the code as well? Because a ReLU
# passes only positive numbers: half of the code space is closed, and a unit
# pushed to the closed side on every example gets no gradient to come back.
# We count the units that are zero on *all* test images.

# %%
WIDER = 2 * LATENT_DIM
relu_code = train(
    Autoencoder.dense(
        SHAPE,
        WIDER,
        widths=WIDTHS,
        code_activation="relu",
        seed=0,
        likelihood=Bernoulli(),
    ),
    side,
)
# the same model with a linear code was trained in section 4
codes_by = {
    "linear": sweep[WIDER].encode(digits.x_test),
    "relu": relu_code.encode(digits.x_test),
}

# %% tags=["nbval-ignore-output"]
dead = {name: metrics.dead_units(codes) for name, codes in codes_by.items()}
spread = {
    f"{name} code": np.sort(codes.std(axis=0))[::-1]
    for name, codes in codes_by.items()
}
plotting.curves(
    spread,
    f"ReLU code: {dead['relu']} of {WIDER} units are dead",
    xlabel="code unit, by spread",
    ylabel="standard deviation over test digits",
)
plt.show()

# %%
assert dead["linear"] == 0 and dead["relu"] >= 1

# %% [markdown]
# **Figure 2.7.** Spread of each code unit over the test digits, sorted. The
# linear code uses all its units about equally. In the ReLU code a whole group
# stands at exactly zero: paid for, never used. The model still trains and
# the loss still falls, which is why nobody notices. **Leave the code
# linear** unless you have a reason, such as wanting sparse or bounded codes
# (section 10).

# %% [markdown]
# ## 7. Codes versus reconstructions
#
# "Use the autoencoder for dimensionality reduction" means: take the *code*.
# A frequent mistake is to take what `predict` of an end-to-end model
# returns, which is the reconstruction and as wide as the input.

# %%
model = deep[0]
z = model.encode(digits.x_test)
x_hat = model.decode(z)
print("examples        ", digits.x_test.shape)
print("codes           ", z.shape)
print("reconstructions ", x_hat.shape)
print("predict returns ", sorted(model.predict(digits.x_test[:2], verbose=0)))

# %%
assert z.shape == (len(digits.x_test), LATENT_DIM)
assert np.allclose(x_hat, model.reconstruct(digits.x_test), atol=1e-6)

# %% [markdown]
# Is the reduced form *good for anything*? Reconstruction error does not say.
# One test: cluster the codes without labels, then compare with the classes
# by the adjusted Rand index of chapter 1.


# %% tags=["nbval-ignore-output"]
def ari(rows):
    """Adjusted Rand index of ten k-means clusters against the classes."""
    ids = KMeans(10, n_init=4, random_state=0).fit_predict(rows)
    return adjusted_rand_score(digits.y_test, ids)


ari_codes = [ari(model.encode(digits.x_test)) for model in deep]
ari_pca = ari(
    PCA(LATENT_DIM, random_state=0).fit(flat.x_train).transform(flat.x_test)
)
ari_pixels = ari(flat.x_test)
print(
    f"pixels {ari_pixels:.2f} | PCA codes {ari_pca:.2f} | "
    f"autoencoder codes {np.mean(ari_codes):.2f} ± {np.std(ari_codes):.2f}"
)

# %% [markdown]
# The autoencoder halves PCA's reconstruction error, yet for k-means its codes
# are about as good as PCA's, or as the raw pixels. Equation (1) asks for
# reconstruction and gives reconstruction. Nothing in it says that distances
# between codes mean anything. Chapters 5 and 6f return to this with
# objectives that do.

# %% [markdown]
# ## 8. Convolutional
#
# A dense layer treats pixels as an unordered list. A convolution knows that
# neighbours belong together and uses the same filter everywhere. Each stage
# of the encoder halves height and width; the decoder doubles them again with
# transposed convolutions.

# %% tags=["nbval-ignore-output"]
convolutional = [
    train(
        Autoencoder.conv(
            SHAPE,
            LATENT_DIM,
            widths=CONV_WIDTHS,
            seed=seed,
            likelihood=Bernoulli(),
        ),
        callbacks=[callbacks.ProgressLine(f"convolutional, seed {seed}")],
    )
    for seed in SEEDS[: profile.pick(quick=1, full=3)]
]
conv_errors = [
    metrics.mse(digits.x_test, m.reconstruct(digits.x_test))
    for m in convolutional
]

# %% tags=["nbval-ignore-output"]
sizes = {
    "dense": deep[0].count_params(),
    "convolutional": convolutional[0].count_params(),
}
print("parameters:", sizes)
print(
    f"test MSE: PCA {pca_test:.4f} | dense {np.mean(deep_errors):.4f} | "
    f"convolutional {np.mean(conv_errors):.4f}"
)

# %%
assert np.mean(conv_errors) < 0.75 * pca_test
assert not profile.full or np.mean(conv_errors) <= 0.33 * pca_test

# %% [markdown]
# On 8 × 8 images there is little neighbourhood to exploit, and the
# convolutional model is about as good as the dense one. On MNIST, in the full
# profile, it leaves a third of PCA's error or less
# ([results](../docs/results.md)). Match the architecture to the data, not to
# the fashion.

# %% [markdown]
# ## 9. Denoising
#
# Now the first constraint that is not a narrow code. Damage the input, and
# ask for the *undamaged* original (Vincent et al. 2008):
#
# $$\min_{\phi,\theta}\;\mathbb E_{x}\,\mathbb E_{\tilde x\sim C(\tilde x\mid x)}
# \lVert x-g_\theta(f_\phi(\tilde x))\rVert^2 .\tag{2}$$
#
# Copying is no longer a solution, however wide the code. To remove noise the
# network has to know what digits look like. The target is the clean $x$;
# with the noisy $\tilde x$ as target, (2) would teach it to reproduce noise.
# The damage $C$ lives in a layer that is active only while training and
# draws anew at every step. Any loss of section 5 can stand in the place of
# the squared error.

# %%
print(inspect.getsource(DenoisingAutoencoder.corrupt_input))
corruption = Corruption("gaussian", NOISE, seed=0)
x_tilde = ops.convert_to_numpy(corruption(digits.x_test, training=True))
unchanged = ops.convert_to_numpy(corruption(digits.x_test, training=False))

assert abs((x_tilde - digits.x_test).std() - NOISE) < 0.01, (
    "the noise we asked for"
)
assert np.array_equal(unchanged, digits.x_test), "identity at inference"

# %% [markdown]
# PCA can denoise too: project onto a few components, and whatever noise lies
# outside them is gone. With too few components the digits go with it, so
# PCA's rank has to be chosen, on *validation* rows, as any setting should.

# %%
noisy_val = data.corrupt(flat.x_val, "gaussian", NOISE, seed=1)
noisy_test = data.corrupt(flat.x_test, "gaussian", NOISE, seed=2)
ranks = profile.pick(quick=range(2, 33), full=range(5, 61, 5))
rank = min(ranks, key=lambda k: pca_error(k, flat.x_val, noisy_val))
pca_denoised = pca_error(rank, flat.x_test, noisy_test)
print(f"PCA's best rank on validation rows: {rank}")

# %% tags=["nbval-ignore-output"]
denoisers = [
    train(
        DenoisingAutoencoder.dense(
            SHAPE,
            PIXELS // 2,
            amount=NOISE,
            widths=WIDTHS,
            seed=seed,
            likelihood=Bernoulli(),
        ),
        side,
    )
    for seed in SEEDS
]
noisy_images = noisy_test.reshape(digits.x_test.shape)
denoised_errors = [
    metrics.mse(digits.x_test, m.reconstruct(noisy_images)) for m in denoisers
]
plotting.bars(
    {
        "noisy input": metrics.mse(flat.x_test, noisy_test),
        f"PCA, rank {rank}": pca_denoised,
        "denoising\nautoencoder": denoised_errors,
    },
    f"Noise of {NOISE}: what is left after cleaning",
    ylabel="test MSE against the clean image",
)
plt.show()

# %%
assert max(denoised_errors) < 0.8 * pca_denoised, "below PCA's best, every seed"
assert max(denoised_errors) < 0.2 * metrics.mse(flat.x_test, noisy_test)

# %% [markdown]
# **Figure 2.8.** Error against the clean image; dots are single seeds. The
# autoencoder leaves less than a fifth of the noise power and beats the best
# PCA by a wide margin.

# %% tags=["nbval-ignore-output", "gallery-denoising"]
pca = PCA(rank, random_state=0).fit(flat.x_train)
by_pca = pca.inverse_transform(pca.transform(noisy_test[:10])).reshape(
    sample.shape
)
cleaned = denoisers[0].reconstruct(noisy_images[:10])
plotting.image_rows(
    {
        "clean": sample,
        "given": noisy_images[:10],
        "PCA": by_pca,
        "autoencoder": cleaned,
    },
    f"PSNR {metrics.psnr(sample, by_pca):.1f} dB for PCA, {metrics.psnr(sample, cleaned):.1f} dB for the autoencoder",
)
plt.show()

# %% [markdown]
# **Figure 2.9.** The second row is all that the models see. Where the noise
# has hidden a stroke completely the autoencoder decides for the digit it
# finds most likely, and is sometimes wrong: it fills in what *usually*
# stands there. That is no retrieval of lost information, and worth
# remembering before denoising a medical image.
#
# How far does it carry? A model knows the damage that it was trained on:

# %% tags=["nbval-ignore-output"]
levels = np.array([0.0, 0.1, 0.2, 0.4, 0.6, 0.8])
tested = {
    "trained on clean images": deep[0],
    f"trained with noise {NOISE}": denoisers[0],
}
robustness = {
    name: [
        metrics.mse(
            digits.x_test,
            m.reconstruct(data.corrupt(digits.x_test, amount=s, seed=3)),
        )
        for s in levels
    ]
    for name, m in tested.items()
}
plotting.curves(
    robustness,
    "Robustness is bought in training",
    x=levels,
    xlabel="standard deviation of the noise in the input",
    ylabel="test MSE against clean",
)
plt.show()

# %%
plain_curve, denoising_curve = robustness.values()
assert denoising_curve[3] < 0.7 * plain_curve[3], (
    "far better at the noise it has seen"
)

# %% [markdown]
# **Figure 2.10.** Without noise the two are close; at the trained level the
# denoising model makes a fraction of the other's error, and beyond it both
# degrade. A model is robust to what it was trained to resist.

# %% [markdown]
# ## 10. Sparse, contractive, overcomplete
#
# Two more ways to forbid copying, both for **overcomplete** codes, wider
# than the input. Here $k=100$ for the small digits and no hidden layer.
#
# - **Sparse** (Ng 2011): units may be on only rarely. With sigmoid codes and
#   mean activation $\hat\rho_j$ over a batch, add
#   $\lambda\sum_j \mathrm{KL}(\rho\,\Vert\,\hat\rho_j)$ for a small wanted
#   rate $\rho$; or, with ReLU codes, $\lambda\sum_j|z_j|$.
# - **Contractive** (Rifai et al. 2011): the code may move only slowly when
#   the input moves, $\lambda\,\lVert\partial z/\partial x\rVert_F^2$. For one
#   sigmoid layer this is exact:
#   $\sum_j \big(z_j(1-z_j)\big)^2\sum_i W_{ij}^2$.

# %%
OVERCOMPLETE = PIXELS + PIXELS // 2
common = {"likelihood": SquaredError("sigmoid"), "seed": 0}
regularised = {
    "none": Autoencoder.dense(
        SHAPE,
        OVERCOMPLETE,
        widths=(),
        code_activation="sigmoid",
        overcomplete=True,
        **common,
    ),
    "sparse": SparseAutoencoder.dense(
        SHAPE, OVERCOMPLETE, widths=(), weight=0.3, target=0.05, **common
    ),
    "contractive": ContractiveAutoencoder.dense(
        SHAPE, OVERCOMPLETE, weight=0.1, **common
    ),
}
for model in regularised.values():
    train(model, side)

# %% tags=["nbval-ignore-output"]
print(
    f"{'penalty':<14}{'test MSE':>9}{'from noisy':>12}{'mean code':>11}{'|dz/dx|²':>10}"
)
summary = {}
jacobian_norm = ContractiveAutoencoder.jacobian_norm
for name, model in regularised.items():
    code = model.encode(digits.x_test)
    summary[name] = (
        metrics.mse(digits.x_test, model.reconstruct(digits.x_test)),
        metrics.mse(digits.x_test, model.reconstruct(noisy_images)),
        code.mean(),
        ops.convert_to_numpy(jacobian_norm(model, code)).mean(),
    )
    print(
        f"{name:<14}"
        + "{:>9.4f}{:>12.4f}{:>11.3f}{:>10.2f}".format(*summary[name])
    )

# %%
assert summary["none"][0] < min(summary["sparse"][0], summary["contractive"][0])
assert summary["sparse"][2] < 0.5 * summary["none"][2], "fewer active units"
assert summary["contractive"][3] < 0.3 * summary["none"][3], "a flatter code"

# %% [markdown]
# Read the table by columns. Without a penalty the wide model comes closest
# to the identity map, which is best by equation (1) and worth nothing. Each
# penalty moves the quantity it names: the sparse model's units are mostly
# off, the contractive model's code hardly moves with the input. Both pay
# with a larger error on clean images.
#
# What do single units look for? The weights into a unit, as an image:


# %% tags=["nbval-ignore-output"]
def filters(model, count=10):
    """Incoming weights of the units that vary most, as images."""
    kernel = model.encoder.get_layer("code").get_weights()[0]  # (pixels, k)
    order = np.argsort(-model.encode(digits.x_test).std(axis=0))[:count]
    return kernel[:, order].T.reshape(count, *SHAPE)


rows = {name: filters(model) for name, model in regularised.items()}
reach = float(np.quantile(np.abs(rows["none"]), 0.98))
plotting.image_rows(
    rows, "What ten code units respond to", low=-reach, high=reach
)
plt.show()

# %% [markdown]
# **Figure 2.11.** Bright pixels switch a unit on, dark ones off; grey is
# zero; all rows share one scale. The contractive row is flat and smooth:
# that is its penalty at work. The sparse row is *not* the gallery of clean
# strokes that textbooks show; those come from larger images and far more of
# them. A picture of weights is a place to look for ideas, not a proof.

# %% [markdown]
# ## 11. Codes as pictures
#
# A code of two numbers can be drawn. With so narrow a code one more hidden
# layer pays; PCA's first two components are the classical map. Which will
# separate the ten digits better?

# %%
drawn = Autoencoder.dense(
    SHAPE, 2, widths=(*WIDTHS, 128), seed=0, likelihood=Bernoulli()
)
drawn = train(drawn, side)

# %% tags=["nbval-ignore-output"]
shown = slice(0, 1000)
maps = {
    "PCA, 2 components": PCA(2, random_state=0)
    .fit(flat.x_train)
    .transform(flat.x_test)[shown],
    "autoencoder, 2 code units": drawn.encode(digits.x_test)[shown],
}
plotting.scatter(
    maps,
    digits.y_test[shown],
    "Colours are added afterwards: no model saw a label",
    class_names=digits.classes,
    axes=("first", "second"),
)
plt.show()

# %% tags=["nbval-ignore-output"]
from sklearn.neighbors import KNeighborsClassifier


def neighbour_accuracy(encode):
    """Share of test digits whose five nearest training codes vote right."""
    knn = KNeighborsClassifier(5).fit(encode(digits.x_train), digits.y_train)
    return knn.score(encode(digits.x_test), digits.y_test)


plane = PCA(2, random_state=0).fit(flat.x_train)
knn_pca = neighbour_accuracy(lambda x: plane.transform(x.reshape(len(x), -1)))
knn_ae = neighbour_accuracy(drawn.encode)
print(
    f"five nearest neighbours in the plane: PCA {knn_pca:.2f}, autoencoder {knn_ae:.2f}"
)

# %%
assert knn_ae > knn_pca + 0.08

# %% [markdown]
# **Figure 2.12.** Test digits in the plane. PCA's map overlaps in the
# middle; the autoencoder's pulls several digits into arms of their own, and
# a nearest-neighbour vote in the plane is right more often. Between the arms
# are gaps, and their shapes follow no rule. Hold on to the gaps: what would the
# decoder draw *there*?

# %% [markdown]
# ## 12. What an autoencoder cannot do
#
# The decoder turns numbers into digits. So draw numbers at random, decode
# them, and get new digits? Try $z\sim\mathcal N(0, I)$, the natural guess.

# %% tags=["nbval-ignore-output"]
rng = np.random.default_rng(0)
model = deep[0]
random_codes = rng.standard_normal((12, LATENT_DIM))
matched = model.encode(digits.x_train)
matched = matched.mean(axis=0) + matched.std(axis=0) * random_codes
plotting.image_rows(
    {
        "real": digits.x_test[:12],
        "z ~ N(0, I)": model.decode(random_codes),
        "mean and spread\nof real codes": model.decode(matched),
    },
    "Decoding random codes: strokes, but few digits",
)
plt.show()

# %% [markdown]
# **Figure 2.13.** A few could pass, most are blots between digits. The third
# row even uses the right mean and spread for each code unit, and is no
# better: knowing each coordinate's range says nothing about which
# *combinations* occur. Put a number on it: the distance from a picture to the
# nearest real training digit, in units of what a real test digit has.

# %% tags=["nbval-ignore-output"]
from sklearn.neighbors import NearestNeighbors

nearest = NearestNeighbors(n_neighbors=1).fit(flat.x_train)


def distance_to_real(images):
    """Mean distance of images to their nearest training image."""
    return nearest.kneighbors(images.reshape(len(images), -1))[0].mean()


count = 500
draws = rng.standard_normal((count, LATENT_DIM))
z_train = model.encode(digits.x_train)
far = {
    "reconstructed\ntest digits": model.reconstruct(digits.x_test[:count]),
    "z ~ N(0, I)": model.decode(draws),
    "matched mean\nand spread": model.decode(
        z_train.mean(0) + z_train.std(0) * draws
    ),
}
reference = distance_to_real(flat.x_test[:count])
far = {
    name: distance_to_real(images) / reference for name, images in far.items()
}
plotting.bars(
    far,
    "Random codes decode to something unlike any digit",
    ylabel="distance to nearest training digit\n(real test digit = 1)",
    reference=("real test digits", 1.0),
)
plt.show()

# %%
reconstructed, standard, matched_far = far.values()
assert min(standard, matched_far) > 1.15 * reconstructed

# %% [markdown]
# **Figure 2.14.** Reconstructions of real digits stay close to the data;
# decoded random codes do not. The reason is in equation (1): the decoder was
# trained on the codes of real digits and nowhere else, and nothing was asked
# of the code's *distribution*. A plain autoencoder is no generative model:
# it has no prior over codes to sample from.
#
# What if we *made* the codes follow a distribution that we can sample?
# That question is **chapter 4**.

# %% [markdown]
# ## 13. Judging a model
#
# Every number above followed the same four rules. They are short enough to
# remember and are what most programs on this subject lack.
#
# 1. **Held-out rows.** Fit on training rows, choose on validation rows,
#    report test rows.
# 2. **A baseline**, classical and tuned: the mean image, PCA at the same
#    width, PCA at its best rank.
# 3. **The whole split, weighted.** The loss of the last batch is not the
#    loss of the epoch, and a mean of batch means is wrong when the last batch
#    is smaller. `evaluate` must not depend on the batch size:

# %%
by_batch = [
    deep[0].evaluate(
        digits.x_test, batch_size=size, verbose=0, return_dict=True
    )["mse"]
    for size in (50, 64, 512)
]
assert np.allclose(by_batch, deep_errors[0], rtol=1e-4)

# %% [markdown]
# 4. **Several seeds.** And keep what you trained: a `.keras` file holds
#    architecture, weights and hyperparameters, and gives the same outputs
#    after loading.

# %%
import pathlib
import tempfile

with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "autoencoder.keras"
    deep[0].save(path)
    loaded = keras.saving.load_model(path)

assert np.array_equal(loaded.reconstruct(sample), deep[0].reconstruct(sample))
assert loaded.latent_dim == LATENT_DIM


# %% tags=["nbval-ignore-output"]
def cell(values):
    """Mean, with the spread over seeds where there is more than one."""
    values = np.atleast_1d(values)
    spread = f" ± {values.std():.5f}" if len(values) > 1 else ""
    return f"{values.mean():.5f}{spread}"


runtime.record(
    f"{DATA}, {LATENT_DIM}-dimensional code, test MSE per pixel",
    ("model", "test MSE", "ratio to PCA"),
    [
        (name, cell(values), f"{np.mean(values) / pca_test:.2f}")
        for name, values in {
            "mean image": mean_error,
            "PCA": pca_test,
            "dense autoencoder": deep_errors,
            "convolutional autoencoder": conv_errors,
        }.items()
    ],
)

# %% tags=["nbval-ignore-output"]
runtime.record(
    f"{DATA}, denoising Gaussian noise of {NOISE}, test MSE against the clean image",
    ("model", "test MSE"),
    [
        ("noisy input", cell(metrics.mse(flat.x_test, noisy_test))),
        (f"PCA, rank {rank} chosen on validation", cell(pca_denoised)),
        ("denoising autoencoder", cell(denoised_errors)),
    ],
)

# %% [markdown]
# ## What we showed
#
# - A linear autoencoder found the PCA subspace to within two per cent of its
#   error and with principal-angle cosines above 0.99, but not PCA's axes; a
#   deep one cut PCA's error roughly in half at the same width, from three
#   seeds of three, and lost that lead where the code was wide.
# - Loss, output and data range belong together. A sigmoid under standardised
#   pixels stood on a floor that we computed beforehand; cross-entropy on
#   unscaled data fell below zero.
# - Corruption, sparsity and contraction constrained codes wider than the
#   input, and each moved the quantity it names.
# - Decoded random codes were no digits: a plain autoencoder has no
#   distribution over its codes.
#
# **Limits.** The images are tiny and the models small. Reconstruction error
# rewards what covers many pixels, not what matters to you. A low error does
# not make a code useful for clustering or classification, as section 7
# measured; with little data or a wide code an autoencoder can be worse than
# PCA, as section 4 measured.
#
# **References.** Baldi and Hornik (1989), *Neural Networks* 2, 53–58,
# [doi:10.1016/0893-6080(89)90014-2](https://doi.org/10.1016/0893-6080(89)90014-2) ·
# Hinton and Salakhutdinov (2006), *Science* 313, 504–507,
# [doi:10.1126/science.1127647](https://doi.org/10.1126/science.1127647) ·
# Vincent et al. (2008), *ICML*,
# [doi:10.1145/1390156.1390294](https://doi.org/10.1145/1390156.1390294) ·
# Rifai et al. (2011), *ICML*, Contractive auto-encoders ·
# Ng (2011), Sparse autoencoder, CS294A lecture notes ·
# Goodfellow, Bengio and Courville (2016), *Deep Learning*, chapter 14.
#
# Which claims about autoencoders one meets elsewhere are wrong, and which
# test proves it: [errata](../docs/errata.md). Next in line are
# [the exercises' solutions](../solutions/02_autoencoders.ipynb), then GANs.

# %% [markdown]
# ## Exercises
#
# Each needs only the set-up cells at the top. Write your answer where
# it says `# your answer here`, run the cell, then run the check below it: it
# says what is wrong, and with what to go on once it is right.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.1 · The floor, with a pencil
#
# *You will learn to see a range error before training.* Four standardised
# pixels are $-0.4,\ -0.4,\ 0.5,\ 2.8$. The decoder ends in a sigmoid.
# What is the smallest mean squared error that any weights can approach?

# %% tags=["exercise"]
answer_2_1 = None
### BEGIN SOLUTION
answer_2_1 = (0.4**2 + 0.4**2 + 0.0**2 + 1.8**2) / 4
### END SOLUTION

# %% tags=["check"]
checks.check_2_1(answer_2_1)

# %% [markdown] tags=["discussion"]
# The sigmoid covers $(0,1)$. Each pixel costs at least its squared distance
# to that interval: $0.16+0.16+0+3.24=3.56$, over four pixels $0.89$.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.2 · Reduce the dimension
#
# *You will learn to keep the two products of an autoencoder apart.* Write a
# function that takes a trained model and rows `x`, and returns the
# **reduced** data, one row each, as a NumPy array.


# %% tags=["exercise"]
def reduce_dimension(model, x):
    """Return the low-dimensional form of x, shape (n, latent_dim)."""
    ### BEGIN SOLUTION
    return model.encode(x)
    ### END SOLUTION


# %% tags=["check"]
checks.check_2_2(reduce_dimension)

# %% [markdown] tags=["discussion"]
# `model.predict(x)["code"]` and `model.encoder.predict(x)` are right as
# well. `reconstruct` is not: its rows are as wide as the input, so nothing
# has been reduced.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.3 · The loss, with its reduction
#
# *You will learn to say over what a loss is summed and averaged.* Write
# equation (1) for one batch with `keras.ops`: squared error **summed** over
# all entries of an example, **averaged** over the batch. Rows may have any
# shape, such as `(8, 8, 1)`. Refuse arrays of different shape with a
# `ValueError`: broadcasting would give a number without a word.


# %% tags=["exercise"]
def reconstruction_loss(x, x_hat):
    """Return equation (1) for a batch, as a scalar tensor."""
    ### BEGIN SOLUTION
    if tuple(x.shape) != tuple(x_hat.shape):
        raise ValueError(f"x has shape {x.shape}, x_hat {x_hat.shape}")
    squares = ops.square(x - x_hat)
    event_axes = tuple(range(1, len(x.shape)))
    return ops.mean(ops.sum(squares, axis=event_axes))
    ### END SOLUTION


# %% tags=["check"]
checks.check_2_3(reconstruction_loss)

# %% [markdown] tags=["discussion"]
# Two properties tell a right reduction: repeating every row of the batch
# changes nothing (a mean over examples), and appending constant zero pixels
# to both arrays changes nothing either (a sum over entries; a pixel mean
# would shrink).

# %% [markdown] tags=["exercise"]
# ### Exercise 2.4 · A batch for a denoiser
#
# *You will learn what is input and what is target.* Return the pair
# (input, target) with which a denoising autoencoder is trained: Gaussian
# noise of standard deviation `sigma`, drawn from `rng`, the NumPy generator
# that is passed in.


# %% tags=["exercise"]
def denoising_pair(x, sigma, rng):
    """Return (input, target), both of the shape of x."""
    ### BEGIN SOLUTION
    noise = sigma * rng.standard_normal(x.shape)
    return x + noise, x
    ### END SOLUTION


# %% tags=["check"]
checks.check_2_4(denoising_pair)

# %% [markdown] tags=["discussion"]
# The noise has the shape of the whole array: `rng.standard_normal(x.shape[1:])`
# would add the *same* pattern to every image, a constant that a bias removes.
# And `x += noise` would damage the caller's clean images, and with them the
# target.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.5 · A fair baseline
#
# *You will learn which rows a baseline may see.* Compute the test MSE of a
# PCA reconstruction with `k` components, fitted on the training rows.


# %% tags=["exercise"]
def pca_baseline(x_train, x_test, k):
    """Return the mean squared error per entry on x_test."""
    ### BEGIN SOLUTION
    mean = x_train.mean(axis=0)
    _, _, directions = np.linalg.svd(x_train - mean, full_matrices=False)
    w = directions[:k].T  # (d, k)
    x_hat = mean + (x_test - mean) @ w @ w.T
    return np.mean((x_test - x_hat) ** 2)
    ### END SOLUTION


# %% tags=["check"]
checks.check_2_5(pca_baseline)

# %% [markdown] tags=["discussion"]
# Fitting PCA on the test rows makes the baseline look better than it is;
# forgetting the mean makes it look worse. Either way the comparison with the
# autoencoder says nothing.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.6 · Beat PCA by a third (experiment)
#
# *You will learn what moves the error at a fixed width.* On the **digits**
# (`data.load("digits")`, whatever the profile), train an autoencoder with
# `latent_dim=8` whose test error is at most two thirds of PCA's. Widths,
# likelihood, learning rate and epochs are yours. Fit on the training rows only.
# `train` of the set-up cells fits any model; under the full profile its
# learning rate and batch size are made for MNIST, so write your own there.

# %% tags=["exercise"]
model_2_6 = None
### BEGIN SOLUTION
small = data.load("digits")
model_2_6 = Autoencoder.dense(
    (8, 8, 1), latent_dim=8, widths=(256,), seed=7, likelihood=Bernoulli()
)
model_2_6.compile(keras.optimizers.Adam(3e-3))
model_2_6.fit(small.x_train, batch_size=16, epochs=25, verbose=0)
### END SOLUTION

# %% tags=["check"]
checks.check_2_6(model_2_6)

# %% [markdown] tags=["discussion"]
# An output in $(0,1)$ helps most, because the digits' background is exactly 0.
# One wide hidden layer is enough; a second adds little on a thousand images.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.7 · Better random codes (open)
#
# *You will meet the question of chapter 4.* Section 12 drew codes from
# $\mathcal N(0, I)$ and got blots. Write a sampler that, given the codes of
# the training rows, draws `count` **new** codes that lie where real codes
# lie. Any method is welcome: a mixture of distributions, a density estimate,
# interpolation. Copies of training codes do not count as new.


# %% tags=["exercise"]
def draw_codes(codes, count, rng):
    """Return new codes, shape (count, latent_dim), from rng alone."""
    ### BEGIN SOLUTION
    chosen = codes[rng.integers(len(codes), size=count)]
    distances = np.linalg.norm(chosen[:, None] - codes[None], axis=2)
    friends = np.argsort(distances, axis=1)[:, 1:6]  # five nearest others
    friend = codes[friends[np.arange(count), rng.integers(5, size=count)]]
    return chosen + rng.uniform(0.2, 0.8, size=(count, 1)) * (friend - chosen)
    ### END SOLUTION


# %% tags=["check"]
checks.check_2_7(draw_codes)

# %% [markdown] tags=["discussion"]
# This answer walks part of the way from one code to a close neighbour. A
# Gaussian mixture fitted to the codes passes too. Both repair the sampling
# *after* training. A variational autoencoder instead trains the code to
# follow a distribution that is easy to sample, and can then state a
# likelihood as well.
