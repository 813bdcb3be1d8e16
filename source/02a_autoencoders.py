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
# # Chapter 2a · Autoencoders: copy, but not perfectly
#
# An autoencoder learns to copy its input, and is prevented from doing so
# perfectly. What it keeps when it cannot keep everything is a
# representation, learned without a single label. This sitting builds one from
# Keras layers, then holds it against PCA on rows that it has never seen.
#
# **We will show**
#
# - how an autoencoder is built: two stacks of layers, then a short
#   class, then the course's own, with equal numbers;
# - that a linear autoencoder finds the PCA subspace, with and without tied
#   weights;
# - that a deep one leaves about half of PCA's error at the same narrow width;
# - where PCA wins at first, and what it takes to overtake it.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 1a](01a_without_labels.ipynb): PCA; [1b](01b_gradient_descent.ipynb): cross-entropy, gradient descent, Keras's `compile` and `fit` |
# | Data | scikit-learn's digits, 1 797 images of 8 × 8 (full profile: MNIST) |
# | Time | a minute on two CPU cores; 40 minutes of reading, exercises apart |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup", "hide-input"]
import inspect

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops
from sklearn.decomposition import PCA

from utils import data, metrics, plotting
from utils.checks import chapter_02 as checks
from utils.models import Autoencoder, TiedAutoencoder
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
EPOCHS = profile.pick(quick=16, full=4)
BATCH = profile.pick(quick=16, full=64)
LEARNING_RATE = profile.pick(quick=6e-3, full=3e-3)
SWEEP = profile.pick(quick=(2, 8, 16, 32), full=(2, 8, 32, 64))
SWEEP_ROWS = profile.pick(quick=None, full=20_000)
SEEDS = (0, 1, 2)
THIRD_PAIR = profile.pick(quick=False, full=True)  # a control in section 4

# %% tags=["setup"]
digits = data.load(DATA)  # images, values in [0, 1]
flat = digits.flat()  # the same rows as vectors, for scikit-learn
SHAPE = digits.event_shape
PIXELS = int(np.prod(SHAPE))
print("one image", SHAPE, "| code", LATENT_DIM, "| pixels", PIXELS)
print(
    "train, validation, test:",
    *(len(x) for x in (flat.x_train, flat.x_val, flat.x_test)),
)


# %% tags=["setup", "hide-input"]
def pca_error(k, clip, images=digits, count=None):
    """Test error of PCA with k components, fitted on (count) training rows."""
    rows = images.flat()
    pca = PCA(k, random_state=0).fit(rows.x_train[:count])
    rebuilt = pca.inverse_transform(pca.transform(rows.x_test))
    return metrics.mse(rows.x_test, np.clip(rebuilt, 0, 1) if clip else rebuilt)


def test_error(model):
    """Mean squared error per pixel on the test rows."""
    return metrics.mse(digits.x_test, model.reconstruct(digits.x_test))


def deep_autoencoder(latent_dim, seed):
    """Encoder and decoder with one hidden layer each, untrained."""
    return Autoencoder.dense(
        SHAPE, latent_dim, widths=(WIDTH,), seed=seed, likelihood=Bernoulli()
    )


def train(model, x=digits.x_train, epochs=EPOCHS, **fit):
    """Fit a model to its own input by the course's recipe; return it."""
    recipes.compile(model, LEARNING_RATE, updates=epochs * -(-len(x) // BATCH))
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
# What is compared is the *input* with its *reconstruction*, never the encoder
# with the decoder: those are two networks with weights of their own, and
# the decoder is not the encoder's inverse. The target is the input, so no
# labels are needed; one also says *self-supervised*.
#
# With $k\ge d$ and no other constraint, copying the input is a best solution of (1),
# and a useless one. A narrow code ($k<d$, an **undercomplete** autoencoder; Goodfellow
# et al. 2016) stands in its way; sitting [2c](02c_constrained_autoencoders.ipynb) has
# other obstacles. In Keras, layer by layer:


# %%
def two_networks():
    """An encoder and a decoder, with the same first weights at each call."""
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(WIDTH, activation="relu"),
            keras.layers.Dense(LATENT_DIM, name="code"),
        ]
    )
    decoder = keras.Sequential(
        [
            keras.Input((LATENT_DIM,)),
            keras.layers.Dense(WIDTH, activation="relu"),
            keras.layers.Dense(PIXELS),
            keras.layers.Reshape(SHAPE),
        ]
    )
    return encoder, decoder


encoder, decoder = two_networks()
encoder.summary(print_fn=print)

# %% [markdown]
# Chain the two, and fit the chain to its own input: `fit(x, x)`. That is an
# autoencoder, whole.

# %%
chain = keras.Sequential([encoder, decoder])
chain.compile(keras.optimizers.Adam(2e-3), loss="mse")
x = digits.x_train
chain_fit = chain.fit(x, x, epochs=EPOCHS, batch_size=BATCH, verbose=0)

# %% [markdown]
# Codes come from the encoder, reconstructions from the decoder; the chain
# itself returns the reconstructions.

# %%
codes = encoder.predict(digits.x_test, verbose=0)
reconstructions = decoder.predict(codes, verbose=0)
print(digits.x_test.shape, "→", codes.shape, "→", reconstructions.shape)

# %% tags=["nbval-ignore-output"]
plotting.image_rows(
    {"test digit": digits.x_test[:10], "reconstruction": reconstructions[:10]},
    f"{PIXELS} numbers, squeezed through {LATENT_DIM}",
)
plt.show()

# %% [markdown]
# **Figure 2.1.** Ten test digits above, what came back below. The shapes
# survive, fine detail does not. How good is that? Section 3 asks PCA.
#
# ### A class with its own objective
#
# `loss="mse"` is a mean over pixels; equation (1) has a sum. Later models
# have losses with more than one term, and tasks for which a chain has no
# place. So we write the objective ourselves. Keras calls `compute_loss` at
# each step with the batch `x` and what `call` returned for it, `y_pred`:


# %%
class SmallAutoencoder(keras.Model):
    """Encoder, decoder, and equation (1)."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def call(self, x):
        return self.decoder(self.encoder(x))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        squares = ops.square(x - y_pred)
        return ops.mean(ops.sum(squares, axis=(1, 2, 3)))


# %%
def trained(model):
    """Losses of a model that is trained without targets: fit(x)."""
    model.compile(keras.optimizers.Adam(2e-3))
    fit = model.fit(x, epochs=2, batch_size=BATCH, shuffle=False, verbose=0)
    return np.array(fit.history["loss"])


small = SmallAutoencoder(*two_networks())
loss_small = trained(small)

# %% [markdown]
# The course's `Autoencoder` takes the same two networks and does the same
# sum. From the same weights, over the same rows, is the loss the same?

# %%
library = Autoencoder(*two_networks())
loss_library = trained(library)
same = np.allclose(loss_library, loss_small, rtol=1e-3)
print("same losses:", same)

# %% tags=["hide-input"]
assert same
assert np.allclose(
    library.reconstruct(digits.x_test),
    small.predict(digits.x_test, verbose=0),
    atol=1e-3,
)

# %% [markdown]
# So nothing is hidden in it. What it adds:
#
# - `call` returns a dictionary that names *both* products, `"code"` and
#   `"reconstruction"`; the verbs `encode`, `decode` and `reconstruct` return
#   arrays;
# - rows of the wrong shape or range, NaN and labels are refused before the
#   first step, in one line;
# - the loss is exchangeable (`likelihood=`), and a model can be saved and
#   loaded;
# - `Autoencoder.dense(…)` builds the two stacks above, of any widths.

# %%
for size, latent_dim, widths in [
    (100, 32, ()),
    (100, 50, ()),
    (784, 64, (128,)),
    (784, 12, (128, 64)),
]:
    model = Autoencoder.dense((size,), latent_dim, widths=widths)
    units = (size, *widths, latent_dim, *widths[::-1], size)
    print(" – ".join(map(str, units)), "|", model.count_params(), "parameters")

# %% [markdown]
# ## 2. Linear autoencoder = PCA subspace
#
# Before anything deep, a question with a known answer. Take away the hidden
# layers: encoder and decoder are each one matrix. Which $k$-dimensional code
# is then best?
#
# With $\hat x = A B x$ the reconstruction lies in the column space of the
# $d\times k$ matrix $A$, and no $k$-dimensional subspace leaves a smaller
# squared error on the fitted rows than the one PCA finds. The optimum
# therefore spans the **same subspace** as the first $k$ principal components
# (Baldi and Hornik 1989). It need not have the same *axes*: for any
# invertible $M$, $(AM)(M^{-1}B)=AB$.
#
# We test it on data made for the purpose: five strong directions in twenty
# dimensions plus noise, so that the fifth and sixth eigenvalue are clearly
# apart. How close will gradient descent come?

# %%
x_line, _ = data.make_toy("subspace", n=2000, seed=0)
pca_line = PCA(n_components=5).fit(x_line)
rebuilt = pca_line.inverse_transform(pca_line.transform(x_line))
pca_residual = metrics.mse(x_line, rebuilt)

keras.utils.set_random_seed(0)
linear_encoder = keras.Sequential([keras.Input((20,)), keras.layers.Dense(5)])
linear_decoder = keras.Sequential([keras.Input((5,)), keras.layers.Dense(20)])
linear = keras.Sequential([linear_encoder, linear_decoder])
recipes.compile(linear, 0.01, updates=1520, loss="mse")
linear_fit = linear.fit(x_line, x_line, epochs=38, batch_size=50, verbose=0)

# %% [markdown]
# `recipes.compile` stands for Adam with a learning rate that falls along a
# cosine, so that the last steps settle instead of jumping about. The models of
# all chapters are trained so. Its lines:

# %%
print(inspect.getsource(recipes.adam).split('"""')[2])
print(inspect.getsource(recipes.compile).split('"""')[2])

# %% tags=["nbval-ignore-output"]
ratio = metrics.mse(x_line, linear.predict(x_line, verbose=0)) / pca_residual
decoder_matrix = linear_decoder.layers[0].get_weights()[0].T  # (20, 5)
cosines = metrics.principal_angle_cosines(
    decoder_matrix, pca_line.components_.T
)
print(f"squared error, linear autoencoder / PCA: {ratio:.4f}")
print("cosines of the principal angles:", cosines.round(4))

# %% tags=["hide-input"]
assert 0.9999 <= ratio <= 1.02, "never below PCA, and within two per cent of it"
assert cosines.min() > 0.99, "the same subspace"

# %% [markdown]
# The error is within two per cent of PCA's and, on the rows that both were
# fitted to, *never below* it: a theorem, and a test that catches many
# bugs. The principal angles between the two subspaces have cosine 1 to several
# digits.
#
# Does the autoencoder also find PCA's *axes*? Look at the correlations
# between its code and the principal components before you read on.

# %% tags=["nbval-ignore-output"]
linear_codes = linear_encoder.predict(x_line, verbose=0)
correlation = np.corrcoef(linear_codes.T, pca_line.transform(x_line).T)[:5, 5:]
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
# **Figure 2.2.** Each row is one code unit, each column one principal
# component. If the axes agreed, every row would hold a single saturated
# square. Instead the units mix several components, unit 0 the fewest.
#
# ### Tied weights
#
# One can *tie* the two matrices: the decoder uses the encoder's kernel $W$,
# transposed, and has only a bias of its own. The layer:


# %%
class Transposed(keras.layers.Layer):
    """z ↦ W z + b, where W is the kernel of another dense layer."""

    def __init__(self, dense):
        super().__init__()
        self.dense = dense  # the layer, not a copy of its kernel

    def build(self, input_shape):
        self.bias = self.add_weight(shape=(self.dense.kernel.shape[0],))

    def call(self, z):
        return ops.matmul(z, ops.transpose(self.dense.kernel)) + self.bias


# %%
keras.utils.set_random_seed(0)
once = keras.layers.Dense(5)
tied = keras.Sequential([keras.Input((20,)), once, Transposed(once)])
tied.layers[-1].bias.assign(np.zeros(20))

untrained = TiedAutoencoder.dense((20,), latent_dim=5, widths=(), seed=0)
untrained.set_weights(tied.get_weights())
same = np.allclose(
    untrained.reconstruct(x_line), tied.predict(x_line, verbose=0), atol=1e-5
)
print(
    len(tied.trainable_weights), "weights; the library's gives the same:", same
)

# %% [markdown]
# One matrix now does the work of two. Does the tie cost anything, and what does it
# do to the columns of $W$?

# %% tags=["nbval-ignore-output"]
recipes.compile(tied, 0.01, updates=1520, loss="mse")
tied_fit = tied.fit(x_line, x_line, epochs=38, batch_size=50, verbose=0)
tied_ratio = metrics.mse(x_line, tied.predict(x_line, verbose=0)) / pca_residual
kernel = tied.get_weights()[0]  # (20, 5)
print(f"squared error, tied autoencoder / PCA: {tied_ratio:.4f}")
print("WᵀW, tied:")
print((kernel.T @ kernel).round(2) + 0.0)
free = linear_encoder.get_weights()[0]
print(
    "lengths of the columns, not tied:", np.linalg.norm(free, axis=0).round(2)
)

# %% tags=["hide-input"]
assert same and 0.9999 <= tied_ratio <= 1.02
assert np.abs(kernel.T @ kernel - np.eye(5)).max() < 0.1, "orthonormal"
assert len(tied.trainable_weights) == 3

# %% [markdown]
# Nothing lost: the same subspace, with half the matrices. And
# $W^\top W$ has become the identity, because $\hat x=WW^\top x$ can only be a
# projection if the columns are orthonormal; without the tie a long encoder
# column is made good by a short one of the decoder. The axes still are not
# PCA's, which gives in addition uncorrelated axes in order of variance, in
# closed form, in milliseconds. So **for linear codes use PCA**. An autoencoder
# has to earn its cost by being non-linear.

# %% [markdown]
# ## 3. A deep autoencoder against PCA
#
# Now the digits, with a hidden layer on either side of the code: the comparison
# of Hinton and Salakhutdinov (2006), in small. Two opponents: the training mean,
# the floor of common sense; and PCA at the same code width, in two forms. Pixels
# lie in $[0,1]$, and a network that ends in a sigmoid knows that. Whoever uses
# PCA may know it too, and **clip** its output to that range.

# %%
mean_image = np.broadcast_to(digits.x_train.mean(axis=0), digits.x_test.shape)
mean_error = metrics.mse(digits.x_test, mean_image)
pca_plain = pca_error(LATENT_DIM, clip=False)
pca_clipped = pca_error(LATENT_DIM, clip=True)
print(
    f"mean image {mean_error:.4f} | PCA {pca_plain:.4f}, clipped {pca_clipped:.4f}"
)

# %% [markdown]
# `deep_autoencoder` of the set-up cells is `Autoencoder.dense` with one hidden
# layer each way and `likelihood=Bernoulli()`, which puts a sigmoid behind the
# decoder and trains by the cross-entropy of chapter 1; sitting
# [2b](02b_losses_and_codes.ipynb) says why. `train` fits it by the recipe.
# We *judge* by mean squared error all the same, the measure that PCA
# minimises. A single run proves little: initial weights and the order of rows
# are random. So we train from three seeds; one line a fit shows the final
# losses. For the first seed we also follow the validation rows, which are
# never trained on. (`runtime.record`, below, prints a table; `make full` collects
# these tables on a [page of results](../docs/results.md).)

# %% tags=["nbval-ignore-output"]
deep = []
for seed in SEEDS:
    options = {"callbacks": [callbacks.ProgressLine(f"seed {seed}")]}
    if seed == SEEDS[0]:
        options |= {
            "validation_data": digits.x_val,
            "validation_batch_size": 1024,
        }
    deep.append(train(deep_autoencoder(LATENT_DIM, seed), **options))

# %% tags=["nbval-ignore-output"]
deep_errors = [test_error(model) for model in deep]
plotting.bars(
    {
        "mean image": mean_error,
        "PCA": pca_plain,
        "PCA, clipped": pca_clipped,
        "autoencoder": deep_errors,
    },
    f"{LATENT_DIM} numbers a digit: "
    f"{np.mean(deep_errors) / pca_clipped:.0%} of clipped PCA's error",
    ylabel="test MSE per pixel",
)
plt.show()

# %% tags=["nbval-ignore-output"]
runtime.record(
    f"{DATA}, {LATENT_DIM}-dimensional code, test MSE per pixel",
    ("model", "test MSE", "ratio to clipped PCA"),
    [
        (
            name,
            repeats.with_spread(errors, 5),
            f"{np.mean(errors) / pca_clipped:.2f}",
        )
        for name, errors in {
            "mean image": [mean_error],
            "PCA": [pca_plain],
            "PCA, clipped to [0, 1]": [pca_clipped],
            "dense autoencoder": deep_errors,
        }.items()
    ],
)

# %% tags=["hide-input"]
assert np.mean(deep_errors) <= 0.7 * pca_clipped, "clearly below PCA"
assert max(deep_errors) < pca_clipped < pca_plain < mean_error

# %% [markdown]
# **Figure 2.3.** Mean squared error per pixel on test rows; dots are single
# seeds. All three lie close together, well below PCA, clipped or not: the
# digits do not lie on a flat subspace, and a curved one of the same dimension
# fits them better. What does the difference look like?

# %% tags=["nbval-ignore-output", "gallery-reconstructions"]
sample = digits.x_test[:10]
pca = PCA(LATENT_DIM, random_state=0).fit(flat.x_train)
by_pca = pca.inverse_transform(pca.transform(flat.x_test[:10]))
plotting.image_rows(
    {
        "test digit": sample,
        "PCA, clipped": by_pca.reshape(sample.shape),
        "autoencoder": deep[0].reconstruct(sample),
    },
    f"Reconstructions from {LATENT_DIM} numbers",
)
plt.show()

# %% [markdown]
# **Figure 2.4.** PCA's digits are mixtures of fixed ghosts, with grey clouds
# where the background should be black, even after clipping. The autoencoder's
# are cleaner: its decoder can switch a stroke on or off.

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

# %% tags=["hide-input"]
assert history["val_mse"][-1] > history["mse"][-1], "new rows are harder"
assert history["val_mse"][-1] < 1.1 * min(history["val_mse"]), "no turn upwards"

# %% [markdown]
# **Figure 2.5.** Both curves fall, then part. (At first training lies *above*
# validation: Keras averages it over the epoch while the model improves, and
# measures validation at the epoch's end.) While the validation curve does not
# turn upwards, more training costs only time; if it does, stop there
# (`keras.callbacks.EarlyStopping` with `restore_best_weights=True`). The loss
# on training rows alone hides the gap, and on structureless data everything
# ([errata](../docs/errata.md), E41, trains on noise). Exercise 2.4 asks which rows a
# baseline may see.

# %% [markdown]
# ## 4. Width against error
#
# How wide should the code be? There is no label-free answer, only a curve:
# error against width. Predict: will the autoencoder win at every width?

# %%
small_set = digits.x_train[:SWEEP_ROWS]
sweep = {k: train(deep_autoencoder(k, seed=0), small_set) for k in SWEEP}

# %% tags=["nbval-ignore-output", "gallery-width_against_error"]
curve = {
    name: [pca_error(k, clip, count=SWEEP_ROWS) for k in SWEEP]
    for name, clip in (("PCA", False), ("PCA, clipped", True))
}
curve["autoencoder"] = [test_error(sweep[k]) for k in SWEEP]
figure = plotting.curves(
    curve,
    profile.pick(
        quick="Ahead where the code is narrow, behind PCA at 32",
        full="The lead over PCA shrinks where the code is wide",
    ),
    x=SWEEP,
    xlabel="code width k",
    ylabel="test MSE per pixel",
    log=True,
)
figure.axes[0].set_xscale("log", base=2)
figure.axes[0].set_xticks(SWEEP, [str(k) for k in SWEEP])
plt.show()

# %% tags=["nbval-ignore-output"]
gain = np.array(curve["autoencoder"]) / np.array(curve["PCA, clipped"])
runtime.record(
    f"{DATA}, {len(small_set)} training rows, test MSE per pixel by code width",
    ("k", *curve, "ratio to clipped"),
    [
        (k, *(f"{error:.4f}" for error in errors), f"{share:.2f}")
        for k, *errors, share in zip(SWEEP, *curve.values(), gain, strict=True)
    ],
)

# %% tags=["hide-input"]
assert gain.min() < 0.7, "clearly ahead somewhere"
assert gain[-1] > 1.05 * gain.min(), "and less so at the widest code"
assert profile.full or gain[-1] > 1.2, "on the small digits PCA wins at 32"

# %% [markdown]
# **Figure 2.6.** Test error by code width, one seed each, both axes
# logarithmic. Where the code is narrow the autoencoder is clearly ahead. With
# 32 of the small digits' 64 components **PCA wins** by a wide margin, for now.
#
# ### Why PCA wins at 32
#
# Two suspects. *Too little training*: the network approaches by steps what PCA
# computes at once. *Too much model*: it fits the thousand training images
# better than the digits. Longer training would help against the first and
# do nothing, or harm, with the second. And PCA has a linear output and a squared
# error, our network neither. So we change one thing at a time, on the small digits
# whatever the profile, from three seeds.


# %%
eight = data.load("digits")


def short_and_long(likelihood, *lengths):
    """Errors by number of epochs, three seeds: training, test, clipped."""
    model = Autoencoder.dense(
        (8, 8, 1), 32, widths=(256,), seed=0, likelihood=likelihood
    )
    found, settings = {}, {"seeds": SEEDS, "rate": 8e-3}
    for epochs in lengths:
        for run in repeats.train_from_seeds(
            model, eight.x_train, epochs=epochs, **settings
        ):
            on_train = run.reconstruct(eight.x_train)
            on_test = run.reconstruct(eight.x_test)
            errors = (
                metrics.mse(eight.x_train, on_train),
                metrics.mse(eight.x_test, on_test),
                metrics.mse(eight.x_test, np.clip(on_test, 0, 1)),
            )
            found.setdefault(epochs, []).append(errors)
    return {epochs: np.transpose(errors) for epochs, errors in found.items()}


control = {"sigmoid, cross-entropy": short_and_long(Bernoulli(), 16, 48)}

# %%
control["linear, squared error"] = short_and_long(SquaredError(), 16, 100)
if THIRD_PAIR:
    between = short_and_long(SquaredError("sigmoid"), 16, 48)
    control["sigmoid, squared error"] = between

# %% tags=["nbval-ignore-output"]
pca_32 = {clip: pca_error(32, clip, eight) for clip in (False, True)}
runtime.record(
    "digits, 32-dimensional code, MSE per pixel, in thousandths",
    ("output, loss", "epochs", "training", "test", "test, clipped"),
    [
        (name, epochs, *(repeats.with_spread(1000 * e, 2) for e in errors))
        for name, found in control.items()
        for epochs, errors in found.items()
    ]
    + [("PCA", "-", "-", *(f"{1000 * e:.2f}" for e in pca_32.values()))],
)

# %% tags=["hide-input"]
mean = {
    name: [errors.mean(axis=1) for errors in found.values()]
    for name, found in control.items()
}
few, many = mean["sigmoid, cross-entropy"]
assert many[0] < 0.7 * few[0] and many[1] > 0.8 * few[1], "it overfits"
assert min(few[1], many[1]) > 1.2 * pca_32[False], "and loses to PCA"
few, many = mean["linear, squared error"]
assert few[1] > 1.2 * pca_32[False], "linear, short: loses too"
assert many[1] < 0.95 * pca_32[False], "long: below PCA"
assert many[2] < 0.95 * pca_32[True], "clipped, below clipped PCA"
if THIRD_PAIR:
    few, many = mean["sigmoid, squared error"]
    assert many[0] < 0.7 * few[0] and many[1] > 0.7 * few[1], "overfits too"
    assert min(few[1], many[1]) > 1.05 * pca_32[False], "and loses too"

# %% [markdown]
# **Behind a sigmoid it overfits**: three times as long, and the training error
# falls by half, the test error by a tenth, and stays far above PCA's: what is learnt
# longer is learnt for the training images. **With a linear output** the same networks
# did need the longer training: after six times as many steps they are a sixth *below*
# PCA, raw against raw and clipped against clipped. (Output *and* loss
# differ between the two. The third pair, a sigmoid with squared error, takes as long
# as the first and runs in the full profile: it overfits as well and ends at 3.25
# thousandths, above PCA's 2.54, between 3.66 with cross-entropy and 2.10 with a linear
# output.)
# Which suspect is guilty depends on the output, then. "PCA wins at 32" was a statement
# about one output and one length of training: a table with one length for everybody
# would have hidden that.
#
# A width that is good enough for *your* purpose, judged on validation rows, is
# the right width. A narrow code makes whatever model comes *after* it smaller.
# It does not make the whole system simpler: the autoencoder is one more model
# to train and to keep.

# %% [markdown]
# ## What we showed
#
# - An autoencoder is two stacks of layers and `fit(x, x)`. Our class with its
#   own `compute_loss` and the library's `Autoencoder` gave equal losses.
# - A linear one found the PCA subspace, with principal-angle cosines above
#   0.99, but not PCA's axes; tying the weights made its columns orthonormal.
# - A deep one left about half of PCA's error at the same narrow width, from
#   three seeds of three, and still clearly less than clipped PCA.
# - At 32 of 64 numbers PCA won against a sigmoid, behind which the network
#   overfitted. With a linear output, trained six times as long, the network won.
#
# **Limits.** The images are tiny and the models small. Reconstruction error
# rewards what covers many pixels, not what matters to you.
#
# **References.** Baldi and Hornik (1989), *Neural Networks* 2, 53–58,
# [doi:10.1016/0893-6080(89)90014-2](https://doi.org/10.1016/0893-6080(89)90014-2) ·
# Hinton and Salakhutdinov (2006), *Science* 313, 504–507,
# [doi:10.1126/science.1127647](https://doi.org/10.1126/science.1127647) ·
# Goodfellow, Bengio and Courville (2016), *Deep Learning*, chapter 14.
#
# Which claims about autoencoders one meets elsewhere are wrong, and which
# test proves it: [errata](../docs/errata.md).
#
# **Next:** the exercises below
# ([solved](../solutions/02a_autoencoders.ipynb)), then sitting
# [2b](02b_losses_and_codes.ipynb): which loss belongs to which data, and what
# codes are good for.

# %% [markdown]
# ## Exercises
#
# Each needs only the set-up cells. Write your answer where it says
# `# your answer here`, run the cell, then run the check below it: it says
# what is wrong, and with what to go on once it is right.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.1 · Build one from layers
#
# *You will be able to write an autoencoder from memory.* For images of shape
# `(8, 8, 1)`, build with `keras.layers` an encoder to `latent_dim` numbers
# and a decoder back to images, each with at least one hidden layer that is not
# linear. The code itself stays linear, and the two share no weights. Nothing
# is trained yet.


# %% tags=["exercise"]
def build_autoencoder(latent_dim):
    """Return (encoder, decoder), two Keras models."""
    ### BEGIN SOLUTION
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(latent_dim),
        ]
    )
    decoder = keras.Sequential(
        [
            keras.Input((latent_dim,)),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(64),
            keras.layers.Reshape((8, 8, 1)),
        ]
    )
    return encoder, decoder
    ### END SOLUTION


# %% tags=["check"]
checks.check_2_1(build_autoencoder)

# %% [markdown] tags=["discussion"]
# Without the `Reshape` the decoder returns rows of 64, and subtracting them
# from images `(8, 8, 1)` would broadcast. A ReLU on the code closes half of
# the code space; sitting 2b counts the dead units.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.2 · Reduce the dimension
#
# *You will learn to keep the two products of an autoencoder apart.* Write a
# function that takes a trained `Autoencoder` and rows `x`, and returns the
# **reduced** data, one row each.


# %% tags=["exercise"]
def reduce_dimension(model, x):
    """Return the low-dimensional form of x, shape (n, latent_dim)."""
    ### BEGIN SOLUTION
    return model.encode(x)
    ### END SOLUTION


# %% tags=["check"]
checks.check_2_2(reduce_dimension)

# %% [markdown] tags=["discussion"]
# `model.predict(x)["code"]` and `model.encoder(x)` are right as well.
# `reconstruct` is not: its rows are as wide as the input, so nothing has been
# reduced.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.3 · The loss, with its reduction
#
# *You will learn to say over what a loss is summed and averaged.* Write
# equation (1) for one batch: squared error **summed** over all entries of an
# example, **averaged** over the batch. Rows may have any shape, such as
# `(8, 8, 1)`. Refuse arrays of different shape with a `ValueError`:
# broadcasting would give a number without a word.


# %% tags=["exercise"]
def reconstruction_loss(x, x_hat):
    """Return equation (1) for a batch, as one number."""
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
# would shrink). Comparing only `len(x)` lets `(6, 1, 1, 1)` pass.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.4 · A fair baseline
#
# *You will learn which rows a baseline may see.* Compute the test MSE of a
# PCA reconstruction with `k` components, fitted on the training rows, not
# clipped. Both arrays hold rows as vectors, shape (n, d).


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
checks.check_2_4(pca_baseline)

# %% [markdown] tags=["discussion"]
# Fitting PCA on the test rows makes the baseline look better than it is;
# forgetting the mean makes it look worse. Either way the comparison with the
# autoencoder says nothing.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.5 · Beat PCA by a third (experiment)
#
# *You will learn what moves the error at a fixed width.* On the **digits**
# (`data.load("digits")`, whatever the profile), train an autoencoder with
# eight code units whose test MSE is at most two thirds of PCA's (not clipped).
# The rest is yours: an `Autoencoder`, a pair `(encoder, decoder)`, a plain Keras
# model with a layer of eight units. Everything the decoder sees comes through those
# eight; a function that goes through NumPy is better passed as a pair. Fit on the
# training rows only.

# %% tags=["exercise"]
model_2_5 = None
### BEGIN SOLUTION
rows_2_5 = data.load("digits").x_train
model_2_5 = Autoencoder.dense(
    (8, 8, 1), latent_dim=8, widths=(256,), seed=7, likelihood=Bernoulli()
)
model_2_5.compile(keras.optimizers.Adam(3e-3))
_ = model_2_5.fit(rows_2_5, batch_size=16, epochs=25, verbose=0)
### END SOLUTION

# %% tags=["check"]
checks.check_2_5(model_2_5)

# %% [markdown] tags=["discussion"]
# An output in $(0,1)$ helps, because the digits' background is exactly 0.
# One wide hidden layer is enough; a second adds little on a thousand images.
