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
# # Chapter 1b · From a loss to a trained network
#
# PCA had a closed solution. Almost nothing else in this course has one, so
# three things are needed: a number that says how wrong a model is, a way to
# make it smaller, and a rule for when to stop. This sitting writes each of
# them out by hand, on a model whose best value is known from chapter 01a, and
# then shows that Keras does the very same, in fewer lines.
#
# **We will show**
#
# - that **cross-entropy and KL divergence** measure how far one distribution is
#   from another, and what their smallest values are;
# - that **gradient descent** on a linear autoencoder arrives at PCA;
# - that an optimizer, and `fit`, take exactly the steps that one can write by
#   hand: **Keras** from its parts;
# - four ways to spoil a training, mostly without an error message, and **when
#   to stop** one.
#
# | Prerequisites | [Chapter 1a](01a_without_labels.ipynb), sections 1 and 2; a derivative. Keras need not be known: sections 2 and 3 introduce it |
# |:---|:---|
# | Data | scikit-learn's digits, 1 797 images of 8 × 8 (full profile: MNIST) |
# | Time | forty minutes of reading, three quarters of an hour for the four exercises; seconds of computing |
#
# ## 0. Set-up
#
# Two folded cells: the imports, and the choices that differ between the quick
# profile (this page) and the full one. The third cell loads the images and
# subtracts their mean. Each section needs these cells and no other section,
# unless it says so.

# %% tags=["setup", "hide-input"]
from utils import runtime

profile = runtime.start(seed=0)

import keras
import matplotlib.pyplot as plt
import numpy as np
import scipy.special
import scipy.stats
from keras import ops
from sklearn.decomposition import PCA

from utils import data, plotting
from utils.checks import chapter_01 as checks
from utils.nn.backend import input_gradient

plotting.use_style()

# %% tags=["setup", "hide-input"]
# all that differs between the profiles
image_set = profile.pick(quick="digits", full="mnist")
num_images = profile.pick(quick=1_169, full=5_000)  # training images
num_steps = profile.pick(quick=100, full=200)  # of gradient descent
seeds = profile.pick(quick=range(3), full=range(5))

# %% tags=["setup"]
images = data.load(image_set, limit=num_images).flat()
x_bar = images.x_train.mean(axis=0)
x = (images.x_train - x_bar).astype("float32")
n, d = x.shape
print(f"{n} training images of {d} grey levels between 0 and 1, centred")

# %% [markdown]
# ## 1. What a loss measures: surprise, cross-entropy, KL
#
# An event of probability p is worth $-\log p$ nats of **surprise**: nothing if it
# was certain, much if it was rare. The mean surprise of events from p, for
# someone who believes in p, is the **entropy** (Shannon 1948); for someone who believes in
# another distribution q it is the **cross-entropy**; what the wrong belief costs
# in excess is the **Kullback–Leibler divergence** (1951):
#
# $$H(p) = -\sum_x p(x)\log p(x), \qquad H(p, q) = -\sum_x p(x) \log q(x),$$
#
# $$\mathrm{KL}(p\,\|\,q) = H(p,q) - H(p) = \sum_x p(x) \log\frac{p(x)}{q(x)}, \tag{5}$$
#
# where terms with p(x) = 0 count as 0.
#
# **KL is never negative**: $\log t \le t - 1$, with equality at t = 1 alone, so
# $-\mathrm{KL} = \sum p \log\frac qp \le \sum p\,(\frac qp - 1) \le 0$, and it is 0
# only for q = p. It is infinite where p allows what q excludes. For densities the
# sums become integrals; KL keeps its sign, but an entropy may be
# negative then. Take a die loaded for six, and someone who believes it fair:

# %%
loaded = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.5])
fair = np.full(6, 1 / 6)
entropy = -np.sum(loaded * np.log(loaded))
cross_entropy = -np.sum(loaded * np.log(fair))
kl = cross_entropy - entropy
throws = np.random.default_rng(0).choice(6, size=5_000, p=loaded)
surprise = -np.log(fair[throws]).mean(), -np.log(loaded[throws]).mean()
print(f"entropy {entropy:.3f}, cross-entropy {cross_entropy:.3f}, KL {kl:.3f}")
print(f"mean surprise of 5000 throws: fair {surprise[0]:.3f}", end=", ")
print(f"loaded {surprise[1]:.3f} nats")
assert np.isclose(kl, scipy.stats.entropy(loaded, fair))
assert abs(surprise[1] - entropy) < 0.03

# %% [markdown]
# The last line is how all losses of this kind are computed: nobody knows p, but
# a mean over *rows from p* estimates $H(p, q_\theta)$. Since H(p) does not
# depend on θ, making the mean of $-\log q_\theta(x_i)$ small, that is
# **maximum likelihood**, is making $\mathrm{KL}(p\,\|\,q_\theta)$ small. The nats of
# chapter 01a were cross-entropies with the sign turned. (Keras has ready losses
# for the usual cases; the next two cells compare with them.)
#
# **With labels** p is 1 at the right class y, and the cross-entropy is the
# surprise at it, $-\log q_y$. A network puts out any numbers a (*logits*); the
# **softmax** $q_k = e^{a_k} / \sum_j e^{a_j}$ makes probabilities of them.

# %%
logits = np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]], dtype="float32")
y = np.array([0, 2])
q = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
of_right_class = -np.log(q[[0, 1], y]).mean()
by_keras = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
    y, logits
)
for row in q:
    print("probabilities", " ".join(f"{value:.2f}" for value in row))
print(f"mean surprise at the right class {of_right_class:.3f} nats")
assert np.isclose(of_right_class, float(by_keras))

# %% [markdown]
# **With grey levels**, each pixel t in [0, 1] counts as a coin that is white
# with probability t, and q is the probability that the model gives to white:
#
# $$-t \log q - (1 - t) \log(1 - q). \tag{6}$$
#
# What is the smallest value it can take? Not 0: this is the cross-entropy of two
# coins, so it is smallest at q = t, and there it equals the coin's own entropy.
# Guess what that floor is for an image of 8 × 8.

# %%
t = np.clip(images.x_test, 0, 1)
floor = np.sum(scipy.special.entr(t) + scipy.special.entr(1 - t), axis=1).mean()
binary = keras.losses.BinaryCrossentropy(reduction="sum")
of_copy = float(binary(t, t)) * d / len(t)  # Keras averages over pixels
of_mean = float(binary(t, np.broadcast_to(x_bar, t.shape))) * d / len(t)
print(
    f"perfect copy {of_copy:.1f}, floor {floor:.1f}, mean image {of_mean:.1f}"
)
assert abs(of_copy - floor) < 0.01 * floor
assert of_mean > 1.2 * floor

# %% [markdown]
# A perfect copy of a test image still costs 13.6 nats on the digits. Subtract the
# floor before you call such a loss large, or say that training has stalled.
#
# **For Gaussians** KL has a closed form, which chapter 04 needs:
#
# $$\mathrm{KL}\big(\mathcal N(\mu, \sigma^2)\,\|\,\mathcal N(0, 1)\big) = \tfrac12\,(\mu^2 + \sigma^2 - 1 - \log \sigma^2). \tag{7}$$
#
# Where there is none, a mean over samples from the *first* distribution
# estimates it:

# %%
mu, sigma = 1.0, 0.5
closed = 0.5 * (mu**2 + sigma**2 - 1 - np.log(sigma**2))
sample = np.random.default_rng(0).normal(mu, sigma, size=10_000)
first, second = scipy.stats.norm(mu, sigma), scipy.stats.norm(0, 1)
ratio = first.logpdf(sample) - second.logpdf(sample)
error = ratio.std() / np.sqrt(len(ratio))
print(f"KL: closed {closed:.3f}, from samples {ratio.mean():.3f} ± {error:.3f}")
assert abs(ratio.mean() - closed) < 4 * error

# %% [markdown]
# **KL is no distance**: $\mathrm{KL}(p\,\|\,q) \ne \mathrm{KL}(q\,\|\,p)$, and which of them one
# minimises decides what a model that is too simple does. Let p have two peaks
# and q be one Gaussian. We try all means and widths on a grid. Where will the
# best q of each direction stand?

# %%
line = np.linspace(-8, 8, 801)
step = line[1] - line[0]
two_peaks = 0.5 * scipy.stats.norm(-2, 0.5).pdf(line)
two_peaks += 0.5 * scipy.stats.norm(2, 0.5).pdf(line)
candidates = [
    (m, s) for m in np.arange(-3, 3.1, 0.25) for s in np.arange(0.25, 4, 0.125)
]
log_p = np.log(two_peaks)
log_q = np.stack([scipy.stats.norm(m, s).logpdf(line) for m, s in candidates])
forward = step * np.sum(two_peaks * (log_p - log_q), axis=1)
reverse = step * np.sum(np.exp(log_q) * (log_q - log_p), axis=1)
covers, seeks = forward.argmin(), reverse.argmin()
for name, best in (("KL(p‖q)", covers), ("KL(q‖p)", seeks)):
    m, s = candidates[best]
    print(f"smallest {name}: mean {m:+.2f}, width {s:.2f}", end="; ")
    print(f"KL(p‖q) {forward[best]:.2f}, KL(q‖p) {reverse[best]:.2f}")
assert candidates[covers][0] == 0 and candidates[covers][1] > 1.8
assert abs(candidates[seeks][0]) == 2 and candidates[seeks][1] == 0.5

# %%
figure, axis = plt.subplots()
axis.fill_between(line, two_peaks, alpha=0.3, color="gray", label="p")
axis.plot(line, np.exp(log_q[covers]), label="q of smallest KL(p‖q)")
axis.plot(line, np.exp(log_q[seeks]), "--", label="q of smallest KL(q‖p)")
axis.set(
    title="KL(p‖q) covers both peaks, KL(q‖p) takes one of them",
    xlabel="x",
    ylabel="density",
)
axis.legend()
plt.show()

# %% [markdown]
# **Figure 1.8.** Look at x = 0. Solid: with KL(p‖q), that is with maximum
# likelihood, q may call nothing rare that p brings forth; so it is largest where
# p is almost 0. Dashed: KL(q‖p) asks that q go only where p is, and forgets
# a peak. Samples that lie between the groups, and groups without samples, are two
# ways to be wrong; chapters 03 and 04 meet both.
#
# ## 2. Gradient descent, done right
#
# Most losses have no closed solution. Gradient descent needs only their slope:
#
# $$L(\theta) = \frac1n \sum_{i=1}^n \lVert x_i - \hat x_i \rVert^2, \qquad \theta \leftarrow \theta - \eta\, \nabla L(\theta). \tag{8}$$
#
# The mini-batch version takes the mean over a few random rows. The loss is
# between the input and *its own reconstruction*: that is what makes (8)
# unsupervised. With a separate target y it would be regression.
#
# Our model is a linear autoencoder on centred rows, $\hat x = x\,W_e W_d$, with an
# encoder d × 3 and a decoder 3 × d. PCA tells us the best that any linear code of
# width 3 can do on these rows: the sum of the eigenvalues left out. By hand, with
# $R = X W_e W_d - X$, the slopes are
#
# $$\frac{\partial L}{\partial W_d} = \tfrac2n (X W_e)^\top R, \qquad \frac{\partial L}{\partial W_e} = \tfrac2n X^\top R\, W_d^\top.$$
#
# Nobody wants to derive such formulas for twenty layers. A **backend**
# (TensorFlow, JAX or PyTorch) records the operations of a computation and
# applies the chain rule to them: *automatic differentiation*. Keras runs on all three,
# and `keras.ops` has NumPy's functions for whichever was chosen. The course's
# `input_gradient(function, value)` asks the backend for the slope of a function at a value.

# %%
eigenvalues = np.linalg.eigvalsh(np.cov(x, rowvar=False, bias=True))[::-1]
residual = float(eigenvalues[3:].sum())
eta = 0.2 / float(eigenvalues[0])  # a steeper valley needs a smaller step


def loss(rows, encoder, decoder):
    """Equation (8) for the linear autoencoder."""
    x_hat = ops.matmul(ops.matmul(rows, encoder), decoder)
    return ops.mean(ops.sum(ops.square(ops.subtract(rows, x_hat)), axis=1))


# %%
def gradients(rows, encoder, decoder):
    """By the backend's automatic differentiation."""
    return [
        input_gradient(lambda value: loss(rows, value, decoder), encoder),
        input_gradient(lambda value: loss(rows, encoder, value), decoder),
    ]


def gradients_by_hand(rows, encoder, decoder):
    """By the formulas above, in NumPy."""
    r = rows @ encoder @ decoder - rows
    by_encoder = 2 / len(rows) * rows.T @ r @ decoder.T
    return [by_encoder, 2 / len(rows) * (rows @ encoder).T @ r]


# %%
def initial_weights(seed):
    """Small random weights, scaled by the widths they join (Glorot)."""
    scale = np.sqrt(2 / (d + 3))
    rng = np.random.default_rng(seed)
    shapes = (d, 3), (3, d)
    return [(scale * rng.standard_normal(s)).astype("float32") for s in shapes]


by_backend = gradients(x, *initial_weights(0))
by_formula = gradients_by_hand(x, *initial_weights(0))
for automatic, ours in zip(by_backend, by_formula, strict=True):
    difference = np.abs(ops.convert_to_numpy(automatic) - ours).max()
    print("shape", ours.shape, "| slopes agree:", bool(difference < 1e-4))
    assert difference < 1e-4 < np.abs(ours).max()

# %% [markdown]
# ### The loop
#
# A **variable** (`keras.Variable`) is an array that a step may overwrite. An
# **optimizer** holds the rule for the step, here plain descent (`SGD`); it
# counts steps and, for other rules, remembers past gradients, so *one* is
# made outside the loop. Does the loop reach PCA's value, and from every start?


# %%
def descend(seed):
    """Loss before each of num_steps steps, and after the last."""
    variables = [keras.Variable(value) for value in initial_weights(seed)]
    optimizer = keras.optimizers.SGD(learning_rate=eta)
    history = []
    for _ in range(num_steps):
        history.append(float(loss(x, *variables)))
        optimizer.apply(gradients(x, *variables), variables)
    return [*history, float(loss(x, *variables))]


# %% tags=["nbval-ignore-output"]
descents = np.array([descend(seed) for seed in range(3)])
for step_number in (0, num_steps // 10, num_steps):
    shown = " ".join(f"{value:.3f}" for value in descents[:, step_number])
    print(f"step {step_number:>3}: loss {shown}")
print(f"PCA residual  {residual:.3f}")

# %%
assert np.all(np.diff(descents) < 1e-5)  # the loss falls
assert np.all(descents[:, -1] >= 0.9999 * residual)
assert np.all(descents[:, -1] <= 1.02 * residual)
plotting.curves(
    {
        "linear autoencoder, 3 seeds": descents,
        "PCA residual": [residual] * descents.shape[1],
    },
    "Gradient descent arrives at the PCA residual and stays above it",
    x=np.arange(descents.shape[1]),
    xlabel="step",
    ylabel="loss, squared grey levels an image",
)
plt.show()

# %% [markdown]
# **Figure 1.9.** Look at the end: three starts, one value, the dashed line,
# from above. The minimum is PCA's *subspace* (Baldi and Hornik 1989); the three
# code axes are some basis of it, not the principal directions.
#
# ## 3. Keras from its parts
#
# *(Goes on from section 2.)* In Keras one does not write the loop. Each word
# of it has a line above that it stands for:
#
# | word | what it is | in section 2 |
# |---|---|---|
# | layer | an operation with its variables | `ops.matmul(rows, encoder)` |
# | model | layers in a row (`keras.Sequential`), itself a function | the first line of `loss` |
# | loss | a function of target and output, one number a row | the second line of `loss` |
# | optimizer | the rule for a step | `SGD(learning_rate=eta)` |
# | `compile` | tells the model its loss and its optimizer | their names inside `descend` |
# | `fit` | both loops: over epochs (once through all rows), over batches | `for _ in range(num_steps)` |
# | callback | what is done at the end of an epoch | `history.append` |
# | backend | who computes and differentiates | `input_gradient` |


# %%
def squared_distance(target, output):
    """Sum over entries; Keras then takes the mean over the batch."""
    return ops.sum(ops.square(ops.subtract(target, output)), axis=-1)


linear = keras.Sequential(
    [
        keras.Input((d,)),
        keras.layers.Dense(3, use_bias=False),  # the encoder
        keras.layers.Dense(d, use_bias=False),  # the decoder
    ]
)
linear.compile(optimizer=keras.optimizers.SGD(eta), loss=squared_distance)
for layer in linear.layers:
    print([tuple(v.shape) for v in layer.weights], layer.count_params())

# %% [markdown]
# The model made its own random weights. We overwrite them by ours, so that
# one step can be compared: by our formulas, by the optimizer, by `fit` with all
# rows as one batch.

# %%
linear.set_weights(initial_weights(0))
linear.fit(x, x, batch_size=n, epochs=1, verbose=0)  # input, target
by_hand = [
    weights - eta * slope
    for weights, slope in zip(initial_weights(0), by_formula, strict=True)
]
variables = [keras.Variable(value) for value in initial_weights(0)]
optimizer = keras.optimizers.SGD(learning_rate=eta)
optimizer.apply(by_backend, variables)
for ours, variable, weights, before in zip(
    by_hand, variables, linear.get_weights(), initial_weights(0), strict=True
):
    assert np.allclose(ours, ops.convert_to_numpy(variable), atol=1e-5)
    assert np.allclose(ours, weights, atol=1e-5)
    assert not np.allclose(before, weights, atol=1e-4)  # it did move
print("one step: θ − η·slope = optimizer.apply = fit;", end=" ")
print("steps counted:", int(optimizer.iterations))

# %% [markdown]
# Why not `loss="mse"`? It also averages over the d entries: the gradient
# would be d times smaller, and the same η far too timid.
#
# With smaller batches `fit` shuffles the rows, every epoch anew. (On TensorFlow, once
# a seed is set, every epoch gets the *same* order:
# [what we found](../docs/upstream.md); here it makes no difference that shows.) Without
# the shuffling, three epochs of it are these two loops:

# %%
variables = [keras.Variable(value) for value in initial_weights(0)]
optimizer = keras.optimizers.SGD(learning_rate=eta)
for _ in range(3):
    for start in range(0, n, 128):
        batch = x[start : start + 128]
        optimizer.apply(gradients(batch, *variables), variables)

linear.set_weights(initial_weights(0))
linear.compile(optimizer=keras.optimizers.SGD(eta), loss=squared_distance)
linear.fit(x, x, batch_size=128, epochs=3, shuffle=False, verbose=0)
for variable, weights in zip(variables, linear.get_weights(), strict=True):
    assert np.allclose(ops.convert_to_numpy(variable), weights, atol=1e-3)
print("3 epochs of", -(-n // 128), "batches: the loops and fit agree")

# %% [markdown]
# A **callback** is an object whose methods `fit` calls at fixed moments. This
# one writes down, after every epoch, how far the loss on all rows is above PCA's;
# we use it to compare two optimizers from the same start. Adam (Kingma and Ba
# 2015) gives each weight a step of its own, scaled by the size of its recent slopes.


# %%
class GapToPCA(keras.callbacks.Callback):
    """Loss on all rows after each epoch, over PCA's."""

    def on_train_begin(self, logs=None):
        self.gaps = []

    def on_epoch_end(self, epoch, logs=None):
        x_hat = x @ self.model.get_weights()[0] @ self.model.get_weights()[1]
        self.gaps.append(np.mean(np.sum((x - x_hat) ** 2, axis=1)) / residual)


# %% tags=["nbval-ignore-output"]
gaps = {}
for name, rule in (
    ("SGD", keras.optimizers.SGD(eta)),
    ("Adam", keras.optimizers.Adam(0.01)),
):
    watcher = GapToPCA()
    linear.set_weights(initial_weights(0))
    linear.compile(optimizer=rule, loss=squared_distance)
    linear.fit(x, x, batch_size=128, epochs=20, verbose=0, callbacks=[watcher])
    gaps[name] = watcher.gaps
    after = " ".join(f"{watcher.gaps[e - 1]:.3f}" for e in (1, 5, 10, 20))
    print(f"{name:<5} loss / PCA residual after epochs 1, 5, 10, 20: {after}")

# %% tags=["hide-input"]
for values in gaps.values():
    assert values[0] > values[-1] >= 0.999
    assert values[-1] < 1.06

# %% [markdown]
# Both end close above 1, which no linear code can go below on these rows. (One run each, at
# rates that nobody tuned: no contest.)
#
# ## 4. Four ways to spoil it
#
# *(Uses `initial_weights` of section 2 and `squared_distance` of section 3.)* None
# of them stops with an error by itself, except that JAX objects to the first.
#
# **NumPy in the middle.** Automatic differentiation records the backend's own
# operations. A detour through NumPy computes the right loss and loses the trail
# to θ: there is no gradient. The course's helper says so, on all three
# backends.


# %%
def loss_with_detour(encoder):
    """The product leaves the backend and comes back."""
    codes = np.dot(x, ops.convert_to_numpy(encoder))
    x_hat = ops.matmul(ops.convert_to_tensor(codes), initial_weights(0)[1])
    return ops.sum(ops.square(ops.subtract(x, x_hat)))


try:
    input_gradient(loss_with_detour, initial_weights(0)[0])
except ValueError as error:
    caught_message = str(error)
print(caught_message)
assert "no gradient" in caught_message

# %% [markdown]
# **An output that cannot reach the target.** A ReLU output, max(0, a), is never
# negative. Wherever the target is negative, the best it can do is 0, and the loss
# has a floor that no training lowers. Of our centred grey levels more than half are
# negative.

# %%
lowest = np.mean(np.sum(np.minimum(x, 0) ** 2, axis=1))
total = np.mean(np.sum(x**2, axis=1))
print(f"{np.mean(x < 0):.0%} of the targets are negative", end="; ")
print(f"ReLU output: floor {lowest:.2f} of a total variance of {total:.2f}")
assert np.mean(x < 0) > 0.5
output = keras.layers.Dense(d, activation="relu")
assert float(ops.mean(squared_distance(x, output(x)))) >= lowest > 0.3 * total

# %% [markdown]
# **Weights without fan-in scaling.** A unit sums as many terms as it has inputs
# (its *fan-in*), so weights from N(0, 1) blow the signal up layer by layer;
# variance 2/fan-in keeps it level through ReLUs (He et al. 2015; section 2 took
# Glorot and Bengio's of 2010, 2/(fan-in + fan-out), for layers without).

# %%
rng = np.random.default_rng(0)
plain = scaled = rng.standard_normal((1000, 64))
for _ in range(5):
    weights = rng.standard_normal((64, 64))
    plain = np.maximum(plain @ weights, 0)
    scaled = np.maximum(scaled @ (weights * np.sqrt(2 / 64)), 0)
print(f"after 5 layers: std {plain.std():.0f} unscaled, {scaled.std():.1f} He")
assert plain.std() > 1000 and 0.3 < scaled.std() < 2

# %% [markdown]
# **Noise by broadcasting.** Noise of shape (d,) added to a table is *one*
# vector added to every row: a constant that a bias learns away.

# %%
rng = np.random.default_rng(0)
one_vector = np.zeros((1000, 64)) + rng.standard_normal(64)
full_shape = np.zeros((1000, 64)) + rng.standard_normal((1000, 64))
distinct = [len(np.unique(rows, axis=0)) for rows in (one_vector, full_shape)]
print("different noise rows of 1000:", distinct)
assert distinct == [1, 1000]

# %% [markdown]
# ## 5. When to stop
#
# "Until the loss is minimal" is no rule: for a deep model nobody knows the
# minimum, and the *training* loss is the wrong thing to minimise to the end.
# Here is a small non-linear autoencoder with only 60 training images. The
# callback `EarlyStopping` watches 200 *validation* images that it does not train
# on, stops when they have not improved for 15 epochs (its *patience*) and goes back to the best
# weights. Test images, used once, judge the result; so is its opponent, PCA with the same eight
# numbers and the same 60 images. Which do you expect to win?

# %%
x_val = (images.x_val - x_bar)[:200].astype("float32")
x_test = (images.x_test - x_bar).astype("float32")


def bent_autoencoder(seed):
    """Eight numbers a code, a hidden layer on either side of it."""
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [
            keras.Input((d,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(8),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(d),
        ]
    )
    network.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=lambda x, x_hat: ops.sum(ops.square(x - x_hat), axis=-1),
    )
    return network


# %%
def train_on(few, seed):
    """The network with its best weights, and its history."""
    network = bent_autoencoder(seed)
    stopper = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=15, restore_best_weights=True
    )
    fitted = network.fit(
        x=few,
        y=few,
        batch_size=60,
        epochs=80,
        validation_data=(x_val, x_val),
        validation_batch_size=200,
        callbacks=[stopper],
        verbose=0,
    )
    return network, fitted.history


def distance(rows, x_hat):
    """Mean squared distance, summed over grey levels."""
    return float(np.mean(np.sum((rows - x_hat) ** 2, axis=1)))


# %% tags=["nbval-ignore-output"]
histories, stops = [], []
for seed in seeds:
    order = np.random.default_rng(seed).permutation(n)
    few = x[order[:60]]
    network, history = train_on(few, seed)
    pca = PCA(8, svd_solver="full").fit(few)
    best = int(np.argmin(history["val_loss"]))
    stops.append(
        {
            "training, best epoch": history["loss"][best],
            "training, last epoch": history["loss"][-1],
            "validation, best epoch": history["val_loss"][best],
            "validation, last epoch": history["val_loss"][-1],
            "validation, weights kept": distance(
                x_val, network.predict(x_val, verbose=0)
            ),
            "test, network": distance(
                x_test, network.predict(x_test, verbose=0)
            ),
            "test, PCA": distance(
                x_test, pca.inverse_transform(pca.transform(x_test))
            ),
        }
    )
    histories.append(history)
table = {name: np.array([row[name] for row in stops]) for name in stops[0]}
print(f"squared distance an image, {len(table['test, PCA'])} seeds")
for name, values in table.items():
    print(f"{name:<25} {values.mean():.2f} ± {values.std(ddof=1):.2f}")

# %% tags=["hide-input"]
kept, lowest_val = (
    table["validation, weights kept"],
    table["validation, best epoch"],
)
assert np.allclose(kept, lowest_val, rtol=1e-3)  # restored
assert np.all(table["validation, last epoch"] > lowest_val)
assert np.all(table["training, last epoch"] < 0.5 * lowest_val)
assert np.all(
    table["training, last epoch"] < 0.85 * table["training, best epoch"]
)
assert np.all(table["test, PCA"] < 0.97 * table["test, network"])

# %%
shown = histories[0]
chosen = int(np.argmin(shown["val_loss"])) + 1
plotting.curves(
    {
        "60 training images": shown["loss"],
        "200 validation images": shown["val_loss"],
    },
    "The training loss keeps falling after the validation loss has turned",
    ylabel="loss, squared grey levels an image",
)
plt.axvline(chosen, ls=":", color="black")
plt.show()

# %% [markdown]
# **Figure 1.10.** The dotted line marks the epoch whose weights we keep.
# To its right the network still learns its 60 images, and nothing about others:
# the last number of the training curve promises several times less error than
# new images show. (At the very left the training curve is above: Keras takes the
# training loss *during* an epoch, here before its one step, and the validation
# loss after it.)
#
# ### From 60 images PCA is better
#
# Eight straight directions carry more to new images than the bent code does, with
# every seed: 1.84 against 2.15 on the digits. What early stopping saved is small
# here, a few per cent against 15 epochs later; what it corrects is the promise of
# the training curve. It did not make the network better than the classical
# method. Chapter 02 asks again with all training images. For the results table
# (uses sections 2 and 5):

# %% tags=["nbval-ignore-output"]
runtime.record(
    f"Linear autoencoder of width 3 on {image_set} after {num_steps} steps; "
    "codes of 8 numbers from 60 images, test; squared distance an image",
    ["question", "method", "squared distance", "seeds"],
    [
        ["width 3, training rows", "PCA", f"{residual:.3f}", "-"],
        [
            "width 3, training rows",
            "gradient descent",
            f"{descents[:, -1].mean():.3f} ± {descents[:, -1].std(ddof=1):.3f}",
            3,
        ],
        *(
            [
                "60 images, test rows",
                method,
                f"{values.mean():.2f} ± {values.std(ddof=1):.2f}",
                len(values),
            ]
            for method, values in (
                ("PCA", table["test, PCA"]),
                ("network, stopped early", table["test, network"]),
            )
        ),
    ],
)

# %% [markdown]
# ## What we have shown
#
# * **Cross-entropy** is mean surprise, with the entropy of the data as its floor
#   (13.6 nats for the digits' grey levels); **KL** is the excess, never negative, and its direction
#   decides what a simple model gives up.
# * **Gradient descent** took the linear autoencoder to the PCA residual, from
#   three starts.
# * The hand-written step, the optimizer and **`fit`** agreed, for one batch and for
#   three epochs of many.
# * Four mistakes gave no error of their own; **early stopping** kept the best
#   epoch, and PCA was still better from 60 images.
#
# **Limits.** Plain descent needs a step that fits the steepest direction; nothing here says that a
# deep loss has one minimum. Early stopping spends rows on validation, and its choice is
# slightly optimistic about *them*: hence the test rows.
#
# **References.** Shannon 1948, *Bell Syst. Tech. J.* 27, doi 10.1002/j.1538-7305.1948.tb01338.x ·
# Kullback and Leibler 1951, *Ann. Math. Stat.* 22 · Baldi and Hornik 1989, *Neural Networks* 2 · Glorot and Bengio 2010, *AISTATS* ·
# He, Zhang, Ren and Sun 2015, *ICCV* · Kingma and Ba 2015, *ICLR*.
# Books: Goodfellow, Bengio and Courville, *Deep Learning*, MIT Press 2016; Zhang,
# Lipton, Li and Smola, *Dive into Deep Learning*, d2l.ai. Common mistakes and where
# the course answers them: [errata](../docs/errata.md).
#
# **Next:** the exercises, then [chapter 02, autoencoders](02a_autoencoders.ipynb).
#
# ## Exercises
#
# Write each answer where it says `# your answer here`, run the cell, then run
# the check below it. The set-up cells at the top are all an exercise needs.

# %% [markdown] tags=["exercise"]
# ### Exercise 1.9 (code) · one step for tied weights
#
# A *tied* linear autoencoder uses one matrix twice: $\hat x = x\,w\,w^\top$ for centred
# rows x and w of shape d × k. Return w after one step of (8). By hand or by
# `input_gradient`, as you like.


# %% tags=["exercise"]
def sgd_step(w, x, learning_rate):
    """Return w − η ∇L(w) for L = mean over rows of ‖x − x w wᵀ‖²."""
    ### BEGIN SOLUTION
    residual = x @ w @ w.T - x
    gradient = residual.T @ x @ w + x.T @ residual @ w
    return w - learning_rate * 2 / len(x) * gradient
    ### END SOLUTION


# %% tags=["check"]
checks.check_1_9(sgd_step)

# %% [markdown] tags=["discussion"]
# w stands in the encoder and in the decoder, and the product rule gives one term for each.
# Mean over rows, sum over entries, a factor 2 from the square, a minus from
# *descent*: each of them forgotten gives a step that often still seems to work,
# with another learning rate than the one written down.

# %% [markdown] tags=["exercise"]
# ### Exercise 1.10 (code) · a divergence in nats
#
# Write KL(p‖q) of (5) for two tables of probabilities. Where p is 0 the term is 0,
# whatever q is; where q is 0 and p is not, the result is infinite.


# %% tags=["exercise"]
def kl_divergence(p, q):
    """Return KL(p‖q) in nats; p and q hold probabilities (m,)."""
    ### BEGIN SOLUTION
    possible = p > 0
    with np.errstate(divide="ignore"):
        log_ratio = np.log(p[possible]) - np.log(q[possible])
    return np.sum(p[possible] * log_ratio)
    ### END SOLUTION


# %% tags=["check"]
checks.check_1_10(kl_divergence)

# %% [markdown] tags=["discussion"]
# The limit of $p \log p$ at 0 is 0, but `0 * np.log(0)` is NaN: leave those entries out.
# `scipy.special.rel_entr(p, q).sum()` does the same. A small constant added under the logarithm would hide the infinite
# case, which is the one a reader must hear of: the model excludes what happens.

# %% [markdown] tags=["exercise"]
# ### Exercise 1.11 (Keras) · the model of section 3
#
# Build and compile a linear autoencoder for d columns with a code of width k, and
# return it. Its loss on a batch must be that of (8), its optimizer plain gradient
# descent with the rate given, without momentum, weight decay or regularizer. Bias or
# none is up to you.


# %% tags=["exercise"]
def linear_autoencoder(d, k, learning_rate):
    """Return a compiled Keras model d → k → d."""
    ### BEGIN SOLUTION
    model = keras.Sequential(
        [keras.Input((d,)), keras.layers.Dense(k), keras.layers.Dense(d)]
    )
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate),
        loss=lambda x, x_hat: ops.sum(ops.square(x - x_hat), axis=-1),
    )
    return model
    ### END SOLUTION


# %% tags=["check"]
checks.check_1_11(linear_autoencoder)

# %% [markdown] tags=["discussion"]
# A loss function gives one number a row, and Keras averages over rows. With `loss="mse"` the
# model learns the same thing d times more slowly. The check takes a few steps of `fit` and compares it with θ − η∇L.

# %% [markdown] tags=["exercise"]
# ### Exercise 1.12 (code) · patience
#
# Given the validation losses that a training *would* have, one an epoch, say when early
# stopping ends it and which epoch it keeps. Count epochs from 1. An epoch improves if its loss is
# smaller than every one before; after `patience` epochs in a row without improvement the training ends.


# %% tags=["exercise"]
def early_stopping(losses, patience):
    """Return (epochs trained, epoch whose weights are kept)."""
    ### BEGIN SOLUTION
    kept = 1
    for epoch, value in enumerate(losses, start=1):
        if value < losses[kept - 1]:
            kept = epoch
        if epoch - kept == patience:
            return epoch, kept
    return len(losses), kept
    ### END SOLUTION


# %% tags=["check"]
checks.check_1_12(early_stopping)

# %% [markdown] tags=["discussion"]
# The epoch kept is the best *seen*, which need not be the best of the list: a training that
# was stopped never learns what came later. That is the price of patience that is too short.
