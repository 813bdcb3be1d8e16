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
# # Chapter 2c · Constrained autoencoders, and what none of them can do
#
# So far a narrow code kept an autoencoder from copying. Here the code may be
# wide, even wider than the image, and something else stands in the way: noise
# in the input, a price on active units, a price on steep codes. Each comes as
# a layer or a term of a few lines, and is measured against PCA tuned for the
# same task. At the end we decode random numbers, and are disappointed.
#
# **We will show**
#
# - how noise in the input, and not a narrow code, makes a network learn what
#   digits look like, and what that robustness costs;
# - that the best denoiser is a mean, which classical methods estimate too: on
#   small digits better than our networks, on MNIST no longer;
# - what sparsity and contraction do to a code, and what they do not;
# - what an autoencoder *cannot* do: invent new digits.
#
# | | |
# |---|---|
# | Prerequisites | Sittings [2a](02a_autoencoders.ipynb) and [2b](02b_losses_and_codes.ipynb); KL from [chapter 1b](01b_gradient_descent.ipynb) |
# | Data | scikit-learn's digits, 1 797 images of 8 × 8 (full profile: MNIST) |
# | Time | under a minute on two CPU cores; 45 minutes of reading, exercises apart |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup", "hide-input"]
import functools
import pathlib
import tempfile
import textwrap

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops
from scipy.special import softmax
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

from utils import data, metrics, plotting
from utils.checks import chapter_02 as checks
from utils.models import (
    Autoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
)
from utils.nn import networks
from utils.nn.likelihoods import Bernoulli, SquaredError
from utils.training import recipes, repeats

plotting.use_style()

# %% [markdown]
# **Parameters.** All that differs between the quick and the full profile:
# `profile.pick` takes the value of the one that runs.

# %% tags=["setup"]
DATA = profile.pick(quick="digits", full="mnist")
ROWS = profile.pick(quick=None, full=20_000)  # training rows in use
WIDTH = profile.pick(quick=256, full=512)  # of the hidden layers
EPOCHS = profile.pick(quick=16, full=4)
BATCH = profile.pick(quick=16, full=64)
LEARNING_RATE = profile.pick(quick=6e-3, full=3e-3)
LONG = profile.pick(quick=100, full=16)  # epochs of the patient, batches of 64
LONG_SEEDS = profile.pick(quick=(0, 1), full=(0,))
RANKS = profile.pick(quick=range(2, 33), full=range(5, 101, 5))
HEAD = 64  # principal components that the mixture models one by one
PARTS = profile.pick(quick=(10, 30), full=(20, 50))  # of the mixture
NARROW, CODE = 8, 32  # two widths of the code
NOISE = 0.4  # standard deviation of the damage
SEEDS = (0, 1, 2)

# %% tags=["setup"]
digits = data.load(DATA)
flat = digits.flat()  # the same rows as vectors, for scikit-learn
x_train, flat_train = digits.x_train[:ROWS], flat.x_train[:ROWS]
SHAPE = digits.event_shape
PIXELS = int(np.prod(SHAPE))
WIDE = PIXELS + PIXELS // 2  # an overcomplete code
noisy_val = data.corrupt(digits.x_val, "gaussian", NOISE, seed=1)
noisy_test = data.corrupt(digits.x_test, "gaussian", NOISE, seed=2)
print("one image", SHAPE, "| pixels", PIXELS, "| overcomplete code", WIDE)


# %% tags=["setup", "hide-input"]
def from_seeds(model, epochs=EPOCHS, batch=BATCH, seeds=SEEDS):
    """Train one model from each seed in turn; yield it each time."""
    common = {"rate": LEARNING_RATE, "seeds": seeds, "batch_size": batch}
    return repeats.train_from_seeds(model, x_train, epochs=epochs, **common)


def deep(kind, latent_dim, seed, **options):
    """A model with one hidden layer in encoder and decoder, trained."""
    options = {"widths": (WIDTH,), "likelihood": Bernoulli(), **options}
    model = kind.dense(SHAPE, latent_dim, seed=seed, **options)
    updates = EPOCHS * -(-len(x_train) // BATCH)
    recipes.compile(model, LEARNING_RATE, updates=updates)
    model.fit(x_train, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    return model


def clean_error(model, given=digits.x_test):
    """MSE per pixel of what a model makes of rows, against the clean ones."""
    return metrics.mse(digits.x_test, model.reconstruct(given))


# %% [markdown]
# Six plain autoencoders, two widths from three seeds each, are the opponents
# of sections 1, 4, 5 and 6: `plain`.

# %%
plain = {
    k: [deep(Autoencoder, k, seed) for seed in SEEDS] for k in (NARROW, CODE)
}

# %% [markdown]
# ## 1. Denoising
#
# Damage the input, and ask for the *undamaged* original (Vincent et al. 2008):
#
# $$\min_{\phi,\theta}\;\mathbb E_{x}\,\mathbb E_{\tilde x\sim C(\tilde x\mid x)}
# \lVert x-g_\theta(f_\phi(\tilde x))\rVert^2 .\tag{2}$$
#
# Copying is no longer a solution, however wide the code. To remove noise the
# network has to know what digits look like. The target is the clean $x$;
# with the noisy $\tilde x$ as target, (2) would teach it to reproduce noise.
# The damage $C$ is a layer that draws anew at every step and is active only
# while training. Any loss of sitting 2b can stand in the place of the squared
# error.


# %%
class Damage(keras.layers.Layer):
    """Adds Gaussian noise while training."""

    def __init__(self, amount, seed):
        super().__init__()
        self.amount = amount
        self.random = keras.random.SeedGenerator(seed)  # new draws each call

    def call(self, x, training=False):
        if not training:
            return x
        return x + self.amount * keras.random.normal(
            ops.shape(x), seed=self.random
        )


# %%
class SmallDenoiser(keras.Model):
    """Equation (2), with the Bernoulli loss."""

    def __init__(self, encoder, decoder, amount, seed):
        super().__init__()
        self.damage = Damage(amount, seed)
        self.encoder, self.decoder = encoder, decoder

    def call(self, x, training=False):
        return self.decoder(self.encoder(self.damage(x, training=training)))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        nats = ops.binary_crossentropy(x, y_pred, from_logits=True)
        return ops.mean(ops.sum(nats, axis=(1, 2, 3)))  # x is clean


# %% [markdown]
# The library's `DenoisingAutoencoder` from the same weights and with the same
# noise:

# %%
runs = []
for kind in (SmallDenoiser, DenoisingAutoencoder):
    pair = networks.dense_pair(SHAPE, CODE, (WIDTH,), seed=0)
    options = {} if kind is SmallDenoiser else {"likelihood": Bernoulli()}
    denoiser = kind(*pair, amount=NOISE, seed=0, **options)
    recipes.compile(denoiser, 1e-3)
    keras.utils.set_random_seed(0)  # the order of the rows
    fit = denoiser.fit(x_train, epochs=2, batch_size=BATCH, verbose=0)
    runs.append(fit.history["loss"])
same = np.allclose(*runs, rtol=1e-4)
print("same losses:", same)

# %% tags=["hide-input"]
assert same
damage = Damage(NOISE, seed=0)
damaged = ops.convert_to_numpy(damage(digits.x_test, training=True))
assert abs((damaged - digits.x_test).std() - NOISE) < 0.01
assert np.array_equal(damage(digits.x_test), digits.x_test)

# %% [markdown]
# ### The opponents
#
# Which function of $\tilde x$ makes (2) smallest, if *any* function is allowed? The
# conditional mean, here for Gaussian damage of standard deviation σ,
#
# $$\mathbb E[x\mid\tilde x]=\int x\,p(x\mid\tilde x)\,dx,\qquad
# p(x\mid\tilde x)\propto p(x)\,\mathcal N(\tilde x;x,\sigma^2I).\tag{3}$$
#
# A denoising network estimates this mean without knowing $p(x)$. So does whoever puts
# a simple model in the place of $p(x)$:
#
# - **PCA**: project onto a few components, whatever noise lies outside them is gone;
# - one **Gaussian**: (3) is then linear, the *Wiener filter* (1949);
# - a **mixture of Gaussians**: one such filter for each part, weighted by how likely the part is;
# - the **training images themselves**, each with the same probability: a mean of them,
#   weighted by $\exp(-\lVert\tilde x-x_i\rVert^2/2h^2)$. With $h=\sigma$ it is (3) exactly;
#   a larger $h$ owns up to there being other digits than these.
#
# Whatever has to be chosen, ranks, parts, $h$, is chosen on *validation* rows. Pixels lie in
# $[0,1]$, so everybody's output is clipped.


# %%
def as_rows(images):
    """Images as vectors of float64."""
    return np.reshape(images, (len(images), -1)).astype("float64")


basis = PCA(random_state=0).fit(flat_train)
scores = basis.transform(flat_train)[:, :HEAD]


def by_pca(given, k):
    """What the first k components, of clean training rows, make of rows."""
    rows, w = as_rows(given), basis.components_[:k].T  # (pixels, k)
    return basis.mean_ + (rows - basis.mean_) @ w @ w.T


def by_images(given, h):
    """Mean of the training images, weighted by how near they are."""
    known, means = as_rows(x_train), []
    squares = (known**2).sum(axis=1) / 2  # the given row's own cancel
    for rows in np.array_split(as_rows(given), 20):  # to spare memory
        weights = softmax((rows @ known.T - squares) / h**2, axis=1)
        means.append(weights @ known)
    return np.concatenate(means)


# %%
@functools.cache
def mixture_of(parts):
    """A Gaussian mixture of the clean scores."""
    options = {"reg_covar": 1e-2, "max_iter": 30, "tol": 1e-2}
    return GaussianMixture(parts, random_state=0, **options).fit(scores)


def by_mixture(given, parts):
    """Equation (3) where the first HEAD scores of x follow a mixture."""
    mixture = mixture_of(parts)
    z = basis.transform(as_rows(given))
    head, tail = z[:, :HEAD], z[:, HEAD:]
    likely, filtered = [], []
    for weight, mean, covariance in zip(
        mixture.weights_, mixture.means_, mixture.covariances_, strict=True
    ):
        noisy = covariance + NOISE**2 * np.eye(HEAD)
        density = multivariate_normal(mean, noisy).logpdf(head)
        likely.append(np.log(weight) + density)
        gain = np.linalg.solve(noisy, covariance)
        filtered.append(mean + (head - mean) @ gain)
    share = softmax(likely, axis=0)
    head = np.einsum("kn,knd->nd", share, filtered)
    rest = basis.explained_variance_[HEAD:]  # one Gaussian for the others
    z = np.hstack([head, tail * rest / (rest + NOISE**2)])
    return basis.inverse_transform(z)


# %%
methods = {
    "PCA, rank": (by_pca, RANKS),
    "Wiener filter, parts": (by_mixture, (1,)),
    "training images, h =": (by_images, NOISE * np.arange(1, 6.1, 0.5)),
    "Gaussian mixture, parts": (by_mixture, PARTS),
}
classical, errors_of = {}, {}
for name, (method, choices) in methods.items():
    clean, given = as_rows(digits.x_val[:2000]), noisy_val[:2000]
    on_val = [
        metrics.mse(clean, np.clip(method(given, choice), 0, 1))
        for choice in choices
    ]
    chosen = choices[int(np.argmin(on_val))]
    images = np.clip(method(noisy_test, chosen), 0, 1)
    classical[name] = images.reshape(digits.x_test.shape)
    error = metrics.mse(flat.x_test, images)
    errors_of[f"{name} {chosen:.2g}"] = [error]

# %% [markdown]
# Against them the network: with a code of 32 numbers, **overcomplete** with a code half
# as wide again as the image, both as long as the plain models, and overcomplete
# with patience: the validation error of the short ones was still falling.

# %%
denoisers = [
    deep(DenoisingAutoencoder, CODE, seed, amount=NOISE) for seed in SEEDS
]
wide = DenoisingAutoencoder.dense(
    SHAPE, WIDE, seed=0, widths=(WIDTH,), likelihood=Bernoulli(), amount=NOISE
)
at_code = [clean_error(model, noisy_test) for model in denoisers]
at_wide = [clean_error(model, noisy_test) for model in from_seeds(wide)]
at_length = [
    clean_error(model, noisy_test)
    for model in from_seeds(wide, LONG, 64, LONG_SEEDS)
]

# %% [markdown]
# All three squeeze the picture through a vector. What practitioners train first today
# is a **U-Net** (Ronneberger et al. 2015): convolutions down and up again,
# with *skip connections*, so that what is clean in the picture need not pass the
# bottleneck. It takes minutes, and runs in the full profile.


# %%
def convolution(filters, x, strides=1):
    """Three by three pixels, ReLU, same size."""
    layer = keras.layers.Conv2D(filters, 3, strides, "same", activation="relu")
    return layer(x)


def u_net(filters=16):
    """A denoiser with one halving, a dense bottleneck and two skips."""
    dense, join = keras.layers.Dense, keras.layers.concatenate
    x = keras.Input(SHAPE)
    fine = convolution(filters, keras.layers.GaussianNoise(NOISE)(x))
    half = convolution(2 * filters, convolution(2 * filters, fine, strides=2))
    code = dense(128, "relu")(keras.layers.Flatten()(half))
    code = dense(int(np.prod(half.shape[1:])), "relu")(code)
    half = join([half, keras.layers.Reshape(half.shape[1:])(code)])
    back = keras.layers.Conv2DTranspose(filters, 4, 2, "same")(half)
    fine = convolution(filters, join([fine, back]))
    return keras.Model(x, dense(1, "sigmoid")(fine))  # on each pixel


# %%
print("numbers in the U-Net:", u_net().count_params())

# %% tags=["nbval-ignore-output"]
denoised = {
    "noisy, clipped": [metrics.mse(digits.x_test, np.clip(noisy_test, 0, 1))],
    **errors_of,
    f"network, code {CODE}, {EPOCHS} epochs": at_code,
    f"network, code {WIDE}, {EPOCHS} epochs": at_wide,
    f"network, code {WIDE}, {LONG} epochs": at_length,
}
if profile.full:
    keras.utils.set_random_seed(0)
    net, updates = u_net(), EPOCHS * -(-len(x_train) // 64)
    recipes.compile(net, 3e-3, updates=updates, loss="mse")
    net.fit(x_train, x_train, epochs=EPOCHS, batch_size=64, verbose=0)
    error = metrics.mse(digits.x_test, net.predict(noisy_test, verbose=0))
    denoised[f"U-Net, {EPOCHS} epochs"] = [error]
runtime.record(
    f"{DATA}, Gaussian noise of {NOISE} removed, test MSE against the clean image",
    ("method", "test MSE"),
    [(k, repeats.with_spread(v, 4)) for k, v in denoised.items()],
)

# %% tags=["nbval-ignore-output"]
plotting.bars(
    {
        textwrap.fill(name, 14): values
        for name, values in list(denoised.items())[1:]
    },
    "Who estimates the mean of (3) best?",
    ylabel="test MSE against the clean image",
).set_size_inches(10, 3.8)
plt.show()

# %% tags=["hide-input"]
best_pca, wiener, by_training, by_parts = (v[0] for v in errors_of.values())
assert max(at_code) < 0.95 * best_pca, "below PCA's best, every seed"
assert abs(np.mean(at_wide) / np.mean(at_code) - 1) < 0.25, "no narrow code"
if not profile.full:
    assert wiener < 0.9 * best_pca
    assert max(by_training, by_parts) < 0.9 * min(at_code), "short: it loses"
    assert by_parts < np.mean(at_length) < 0.92 * np.mean(at_code)
    assert abs(np.mean(at_length) / by_training - 1) < 0.1, "long: level"

# %% [markdown]
# **Figure 2.11.** Test error; dots are single seeds. **The two methods
# that take the most general view of $p(x)$ win**, a mixture of Gaussians fitted in a second, and
# the training images with no fit at all. PCA, which is the usual opponent of a denoising
# autoencoder, is a weak one: the Wiener filter, no less linear, leaves a sixth less. The
# network beats these and, given time, draws level with the mean of training images.
# The overcomplete code does as well as the one with 32 numbers: the
# damage, and not the width, kept it from copying.
#
# On MNIST ([results](../docs/results.md), 20 000 rows) the order changes. No training
# image is near enough to a new one, so their mean leaves .0177; the Wiener filter leaves .0140,
# the mixture .0115. The networks of four epochs stand at .0142 and .0125, behind
# it; sixteen epochs bring .0099, and the U-Net **.0069**. With more pixels and more
# rows, what a network can learn and a mixture cannot say begins to count.

# %% tags=["nbval-ignore-output", "gallery-denoising"]
rows = {"clean": digits.x_test[:10], "given": noisy_test[:10]}
for name in classical:
    rows[name.split(",")[0]] = classical[name][:10]
rows["network"] = wide.reconstruct(noisy_test[:10])
plotting.image_rows(rows, "Everybody fills in what usually stands there")
plt.show()

# %% [markdown]
# **Figure 2.12.** The second row is all that the methods see; the network of the
# last row is the patient one. Where the noise
# has hidden a stroke completely each decides for the digits it
# finds most likely, and is sometimes wrong: it fills in what *usually*
# stands there. For the mean of training images nobody can doubt it, as it has nothing
# else to show. That is no retrieval of lost information, and worth
# remembering before denoising a medical image.
#
# ### What robustness costs
#
# A model knows the damage that it was trained on. We give noise of several
# strengths to the denoiser and to a plain autoencoder *of the same width*; the
# plain one of 8 numbers shows what a narrow code does by itself.

# %% tags=["nbval-ignore-output"]
levels = np.array([0.0, 0.1, 0.2, 0.4, 0.6, 0.8])
given = [data.corrupt(digits.x_test, amount=level, seed=3) for level in levels]
tested = {
    f"plain, code {CODE}": plain[CODE],
    f"plain, code {NARROW}": plain[NARROW],
    f"denoising, code {CODE}": denoisers,
}
robustness = {
    name: np.array([[clean_error(m, x) for x in given] for m in models])
    for name, models in tested.items()
}
plotting.curves(
    robustness,
    "Robustness is bought in training, and paid for on clean images",
    x=levels,
    xlabel="standard deviation of the noise in the input",
    ylabel="test MSE against clean",
)
plt.show()

# %% tags=["nbval-ignore-output"]
print(f"{'':<20}{'clean':>16}{f'noise {NOISE}':>16}")
for name, errors in robustness.items():
    cells = (repeats.with_spread(errors[:, level], 4) for level in (0, 3))
    print(f"{name:<20}" + "{:>16}{:>16}".format(*cells))

# %% tags=["hide-input"]
same_width, narrower, denoising = robustness.values()
assert denoising[:, 3].max() < 0.6 * same_width[:, 3].min()
assert denoising[:, 3].max() < 0.8 * narrower[:, 3].min()
assert denoising[:, 0].min() > 1.5 * same_width[:, 0].max(), "the price"

# %% [markdown]
# **Figure 2.13.** Bands span three seeds. At the trained level the denoiser
# makes well under half the error of the plain model of its width. On clean
# images it pays: on the digits its error there is nearly four times the plain
# one's. The narrow
# plain code lies between: what has no room for noise passes less of it on.
#
# ## 2. Sparse
#
# Now a price on the code instead of damage (Goodfellow et al. 2016). **Sparse** (Ng
# 2011): units may be
# on only rarely. With sigmoid codes and mean activation $\hat\rho_j$ of unit
# $j$ over a batch, add $\lambda\sum_j \mathrm{KL}(\rho\,\Vert\,\hat\rho_j)$ for
# a small wanted rate $\rho$. A layer that hands the code on unchanged can add
# such a term to whatever loss the model has, by `add_loss`:


# %%
class SparseRate(keras.layers.Layer):
    """Adds weight · Σ_j KL(target ‖ mean of code unit j over the batch)."""

    def __init__(self, weight, target):
        super().__init__()
        self.weight, self.target = weight, target

    def call(self, code):
        rate, wanted = ops.mean(code, axis=0), self.target
        kl = wanted * ops.log(wanted / rate)
        kl += (1 - wanted) * ops.log((1 - wanted) / (1 - rate))
        self.add_loss(self.weight * ops.sum(kl))
        return code


sparse_chain = keras.Sequential(
    [
        keras.Input(SHAPE),
        keras.layers.Flatten(),
        keras.layers.Dense(WIDE, activation="sigmoid"),
        SparseRate(weight=0.3, target=0.05),
        keras.layers.Dense(PIXELS, activation="sigmoid"),
        keras.layers.Reshape(SHAPE),
    ]
)

# %% [markdown]
# That chain could be trained by `fit(x, x)`, with a loss that *sums* over pixels:
# beside Keras's mean the same weight would count 64 times as much. The library's
# `SparseAutoencoder` adds the same number to its loss:

# %%
common = {"widths": (), "likelihood": SquaredError("sigmoid")}
sparsity = {"weight": 0.3, "target": 0.05}
sparse = SparseAutoencoder.dense(SHAPE, WIDE, seed=0, **sparsity, **common)
sparse.set_weights(sparse_chain.get_weights())
batch = x_train[:32]
sparse_chain(batch)
added = float(ops.convert_to_numpy(sparse_chain.losses[0]))
penalty = float(ops.convert_to_numpy(sparse.penalty(sparse(batch))))
print("same penalty:", np.isclose(added, penalty, rtol=1e-4))

# %% tags=["hide-input"]
assert np.isclose(added, penalty, rtol=1e-4)

# %% [markdown]
# With ReLU codes the usual price is $\lambda\sum_j|z_j|$
# (`keras.layers.Dense(…, activity_regularizer="l1")`, or `sparsity="l1"`).
#
# ## 3. Contractive
#
# **Contractive** (Rifai et al. 2011): the code may move only slowly when the
# input moves, $\lambda\,\lVert\partial z/\partial x\rVert_F^2$. For one sigmoid
# layer the norm is exact: $\sum_j \big(z_j(1-z_j)\big)^2\sum_i W_{ij}^2$. We
# check that formula by moving each pixel a little:


# %%
def squared_slope(code, kernel):
    """‖∂z/∂x‖² of each row, for z = sigmoid(x W + b)."""
    return ((code * (1 - code)) ** 2) @ (kernel**2).sum(axis=0)


rng = np.random.default_rng(0)
kernel = rng.standard_normal((5, 3))


def sigmoid_code(x):
    """Three sigmoid units on five pixels."""
    return 1 / (1 + np.exp(-x @ kernel))


point, step = rng.standard_normal(5), 1e-5
moved = (sigmoid_code(point + step * np.eye(5)) - sigmoid_code(point)) / step
formula = squared_slope(sigmoid_code(point)[None], kernel)[0]
print(f"formula {formula:.4f} | by differences {np.sum(moved**2):.4f}")

# %% tags=["hide-input"]
assert np.isclose(formula, np.sum(moved**2), rtol=1e-3)

# %% [markdown]
# ## 4. Sparse, contractive, overcomplete
#
# All in one frame: a code half as wide again as the image, one sigmoid layer
# each way, no hidden layer, two seeds. The first has no constraint at all, once as
# long as the others and once four times as long; sparsity comes at two weights; the
# last has the damage of section 1. (This section uses what sections 1 to 3 made.)
# Which will copy best, and which will clean best?

# %%
free = {"overcomplete": True, "code_activation": "sigmoid"}
kinds = {
    "none": (Autoencoder, free),
    "none, longer": (Autoencoder, free),
    "sparse": (SparseAutoencoder, sparsity),
    "sparse, a tenth": (SparseAutoencoder, {**sparsity, "weight": 0.03}),
    "contractive": (ContractiveAutoencoder, {"weight": 0.1}),
    "noise": (
        DenoisingAutoencoder,
        {"amount": NOISE, "code_activation": "sigmoid"},
    ),
}


def columns(model):
    """Errors on clean and noisy rows, mean of the code, its squared slope."""
    code = model.encode(digits.x_test)
    kernel = model.encoder.get_layer("code").get_weights()[0]
    slope = squared_slope(code, kernel).mean()
    errors = clean_error(model), clean_error(model, noisy_test)
    return (*errors, code.mean(), slope)


def filters(model, count=10):
    """Incoming weights of the units that vary most, as images."""
    kernel = model.encoder.get_layer("code").get_weights()[0]  # (pixels, k)
    order = np.argsort(-model.encode(digits.x_test).std(axis=0))[:count]
    return kernel[:, order].T.reshape(count, *SHAPE)


# %%
summary, kernels = {}, {}
for name, (kind, options) in kinds.items():
    options = {"likelihood": SquaredError("sigmoid"), **options}
    if kind is not ContractiveAutoencoder:  # which has no hidden layers
        options["widths"] = ()
    rows = []
    epochs = 4 * EPOCHS if name == "none, longer" else EPOCHS
    start = kind.dense(SHAPE, WIDE, seed=0, **options)
    for model in from_seeds(start, epochs, seeds=LONG_SEEDS):
        rows.append(columns(model))
        kernels[name] = filters(model)
    summary[name] = np.array(rows)

# %% tags=["nbval-ignore-output"]
runtime.record(
    f"{DATA}, sigmoid codes of {WIDE} units, no hidden layer, test rows",
    ("constraint", "test MSE", "from noisy", "mean code", "|dz/dx|²"),
    [
        (name, *map(repeats.with_spread, values.T, (4, 4, 3, 1)))
        for name, values in summary.items()
    ],
)
# %% tags=["hide-input"]
average = {name: values.mean(axis=0) for name, values in summary.items()}
clean = {name: values[0] for name, values in average.items()}
assert clean["none, longer"] == min(clean.values()), "closest to a copy"
assert clean["none"] < min(clean[k] for k in clean if "none" not in k)
assert average["sparse"][2] < 0.5 * average["none"][2], "fewer active units"
assert average["contractive"][3] < 0.3 * average["none"][3], "a flatter code"
from_noisy = {name: values[1] for name, values in average.items()}
assert from_noisy["noise"] == min(from_noisy.values())
assert from_noisy["none, longer"] == max(from_noisy.values()), "a copy of noise"
if not profile.full:
    assert from_noisy["none"] < 0.8 * from_noisy["none, longer"]
    assert from_noisy["sparse, a tenth"] < from_noisy["none"]
    assert from_noisy["noise"] > np.mean(at_code), "depth helps"

# %% [markdown]
# Read the table, of the small digits, by columns. *Test MSE*: without a constraint the
# model comes closest to a copy, and closer the longer it trains. *Mean code* and *slope*:
# each penalty moves the
# quantity that it names, and pays with a larger clean error. *From noisy*: the
# column that one would buy. Trained noise does best, contraction
# second. The unconstrained model, trained briefly, cleans as well as PCA; four times
# as long, and it copies the noise too. What had protected it was **early
# stopping**, the oldest constraint of all. Sparsity at the first weight gains nothing over it, at a
# tenth of that a little: one weight is no verdict. None
# reaches the deep denoiser of section 1.
#
# What do single units look for? The weights into a unit, as an image:


# %% tags=["nbval-ignore-output"]
reach = float(np.quantile(np.abs(kernels["none"]), 0.98))
plotting.image_rows(
    kernels, "What ten code units respond to", low=-reach, high=reach
)
plt.show()

# %% [markdown]
# **Figure 2.14.** Bright pixels switch a unit on, dark ones off; grey is
# zero; all rows share one scale. The contractive row is flat and smooth:
# that is its penalty at work. The sparse row is *not* the gallery of clean
# strokes that textbooks show; those come from larger images and far more of
# them. A picture of weights is a place to look for ideas, not a proof.

# %% [markdown]
# ## 5. What an autoencoder cannot do
#
# The decoder turns numbers into digits. So draw numbers at random, decode
# them, and get new digits? We try it with the plain codes of 8 numbers. First
# $z\sim\mathcal N(0, I)$, the natural guess. Then with mean and spread of each
# unit as in real codes. Then a Gaussian with their covariances too. PCA's codes, drawn
# in that last way, are the opponent.


# %%
def random_codes(model, count, rng):
    """Codes of three kinds: standard, matched in each unit, matched in all."""
    z = model.encode(x_train)
    normal = rng.standard_normal((count, NARROW))
    return {
        "z ~ N(0, I)": normal,
        "mean and\nspread of\nreal codes": z.mean(axis=0)
        + z.std(axis=0) * normal,
        "covariances\ntoo": rng.multivariate_normal(
            z.mean(axis=0), np.cov(z.T), size=count
        ),
    }


# %% tags=["nbval-ignore-output"]
narrow = plain[NARROW][0]
drawn = random_codes(narrow, 12, np.random.default_rng(0))
plotting.image_rows(
    {
        "real": digits.x_test[:12],
        **{name: narrow.decode(codes) for name, codes in drawn.items()},
    },
    "Decoding random codes: strokes, but few digits",
)
plt.show()

# %% [markdown]
# **Figure 2.15.** A few could pass, most are blots between digits; the lower
# rows, which know more of the real codes, are little better. Put a number on
# it: the distance from a picture to the nearest real training digit, in units
# of what a real test digit has. (It forgives blur: reconstructions come out
# below 1.)

# %% tags=["nbval-ignore-output"]
nearest = NearestNeighbors(n_neighbors=1).fit(flat_train)


def distance_to_real(images):
    """Mean distance of images to their nearest training image."""
    rows = np.reshape(images, (len(images), PIXELS))
    return nearest.kneighbors(rows)[0].mean()


count = 300
unit = distance_to_real(digits.x_test[:count])
scale = np.sqrt(basis.explained_variance_[:NARROW])
far = {}
for seed, model in zip(SEEDS, plain[NARROW], strict=True):
    rng = np.random.default_rng(seed)
    drawn = random_codes(model, count, rng)
    images = {
        "rebuilt\ntest digits": model.reconstruct(digits.x_test[:count]),
        **{name: model.decode(codes) for name, codes in drawn.items()},
    }
    z = rng.standard_normal((count, NARROW)) * scale
    linear = basis.mean_ + z @ basis.components_[:NARROW]
    images["PCA's codes"] = np.clip(linear, 0, 1)
    for name, values in images.items():
        far.setdefault(name, []).append(distance_to_real(values) / unit)
plotting.bars(
    far,
    "Random codes decode to something farther from real digits",
    ylabel="distance to nearest training digit\n(real test digit = 1)",
    reference=("real test digits", 1.0),
)
plt.show()

# %% tags=["hide-input"]
reconstructed, standard, matched, gaussian, linear = map(np.array, far.values())
assert min(matched.min(), gaussian.min()) > 1.15 * reconstructed.max()
assert matched.mean() < standard.mean(), "knowing the spread helps"
least = profile.pick(quick=1.05, full=1.0)
assert min(matched.min(), gaussian.min()) > least, "not enough"
assert profile.full or abs(linear.mean() / gaussian.mean() - 1) < 0.1

# %% [markdown]
# **Figure 2.16.** Dots are three seeds. Reconstructions of real digits stay
# close to the data. Decoded random codes do not; knowing the spread of each
# unit helps, knowing the covariances helps a little more, and both stay far
# off: they say nothing about which *combinations* occur. PCA's codes, drawn so,
# stay as far off. (On MNIST the covariances bring 1.03, where PCA's codes stand at 1.15;
# but reconstructions stand at .84 there: most of it is blur.) The reason is in
# equation (1): the decoder was trained on the codes of real digits and
# nowhere else, and nothing was asked of the code's *distribution*. A plain
# autoencoder is no generative model: it has no prior over codes to sample
# from.
#
# One can fit a richer distribution to the codes afterwards, and exercise 2.9
# asks you to: it works better than this figure makes you expect. Or one can
# *make* the codes follow a distribution while training. That is **chapter 4**.

# %% [markdown]
# ## 6. Judging a model
#
# The comparisons of this chapter follow four rules, short enough to remember.
#
# 1. **Held-out rows.** Fit on training rows, choose on validation rows,
#    report test rows.
# 2. **A baseline**, classical and tuned, that may use what the model uses:
#    the mean image, PCA at the same width, PCA at its best rank, clipped.
# 3. **The whole split, weighted.** The loss of the last batch is not the
#    loss of the epoch, and a mean of batch means is wrong when the last batch
#    is smaller. `evaluate` must not depend on the batch size.
# 4. **Several seeds**, or a word that it was one. And keep what you trained: a
#    `.keras` file holds architecture, weights and hyperparameters, and gives the
#    same outputs after loading.

# %%
narrow = plain[NARROW][0]
by_batch = [
    narrow.evaluate(digits.x_test, batch_size=n, verbose=0, return_dict=True)
    for n in (50, 64, 512)
]
agree = np.ptp([result["mse"] for result in by_batch]) < 1e-5
print("the same for each batch size:", agree)

with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "autoencoder.keras"
    narrow.save(path)
    loaded = keras.saving.load_model(path)
sample = digits.x_test[:10]
kept = np.array_equal(loaded.reconstruct(sample), narrow.reconstruct(sample))
print("the same after loading:", kept)

# %% tags=["hide-input"]
assert agree and kept
assert np.isclose(by_batch[0]["mse"], clean_error(narrow), rtol=1e-4)
assert loaded.latent_dim == NARROW

# %% [markdown]
# ## What we showed
#
# - A network that saw damaged digits learned to clean them, with a code wider
#   than the image as well as with 32 numbers. It paid on clean images.
# - Denoising estimates a conditional mean. On small digits a mixture of Gaussians did
#   it best, a mean of training images nearly as well, and the network only
#   with patience. On MNIST the patient network passed them, and a U-Net left seven
#   tenths of its error.
# - Sparsity and contraction each moved the quantity they name. Contraction made
#   the code more robust; early stopping did about as well as sparsity.
# - Decoded random codes were no digits: a plain autoencoder has no
#   distribution over its codes.
#
# **Limits.** The images are tiny and the models small. The penalties' weights
# were not tuned. A low error does not make a code useful for clustering or
# classification, as sitting 2b measured.
#
# **References.** Vincent et al. (2008), *ICML*,
# [doi:10.1145/1390156.1390294](https://doi.org/10.1145/1390156.1390294) ·
# Rifai et al. (2011), *ICML*, Contractive auto-encoders ·
# Ng (2011), Sparse autoencoder, CS294A lecture notes ·
# Ronneberger, Fischer and Brox (2015), U-Net, *MICCAI* ·
# Wiener (1949), *Extrapolation, Interpolation, and Smoothing of Stationary Time
# Series*, MIT Press ·
# Goodfellow, Bengio and Courville (2016), *Deep Learning*, chapter 14.
#
# Which claims about autoencoders one meets elsewhere are wrong, and which
# test proves it: [errata](../docs/errata.md).
#
# **Next:** the exercises below
# ([solved](../solutions/02c_constrained_autoencoders.ipynb)), then chapter 3:
# two networks that play against each other.

# %% [markdown]
# ## Exercises
#
# Each needs only the imports at the top. Write your answer where it says
# `# your answer here`, run the cell, then run the check below it.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.8 · A batch for a denoiser
#
# *You will learn what is input and what is target.* Return the pair
# (input, target) with which a denoising autoencoder is trained: Gaussian
# noise of standard deviation `sigma`, drawn from `rng`, the NumPy generator
# that is passed in, for each pixel of each image anew. Do not clip the noisy
# image: clipped noise is no longer Gaussian.


# %% tags=["exercise"]
def denoising_pair(x, sigma, rng):
    """Return (input, target), both of the shape of x."""
    ### BEGIN SOLUTION
    noise = sigma * rng.standard_normal(x.shape)
    return x + noise, x
    ### END SOLUTION


# %% tags=["check"]
checks.check_2_8(denoising_pair)

# %% [markdown] tags=["discussion"]
# The noise has the shape of the whole array: `rng.standard_normal(x.shape[1:])`
# would add the *same* pattern to every image, a constant that a bias removes.
# And `x += noise` would damage the caller's clean images, and with them the
# target.

# %% [markdown] tags=["exercise"]
# ### Exercise 2.9 · Better random codes (open)
#
# *You will meet the question of chapter 4.* Section 5 drew codes from three
# Gaussians and got blots. Write a sampler that, given the codes (n, latent_dim) of
# the training rows, draws `count` **new** codes that lie where real codes
# lie, all over where they lie. Any method is welcome: a mixture of
# distributions, a density estimate, interpolation. Copies of training codes,
# or codes hardly moved from them, do not count as new: at most a third of yours
# may lie less than a quarter as far from a training code as unseen real codes do.


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
checks.check_2_9(draw_codes)

# %% [markdown] tags=["discussion"]
# This answer walks part of the way from one code to a close neighbour. A
# Gaussian mixture fitted to the codes passes too. Both repair the sampling
# *after* training. A variational autoencoder instead trains the code to
# follow a distribution that is easy to sample, and can then state a
# likelihood as well.
