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
# # Chapter 4a · Variational autoencoders: from a bound to a model
#
# A variational autoencoder, a VAE, is an autoencoder that had to say in
# advance how its codes are distributed. That one demand turns a copying machine
# into a probability model: it can invent rows, and it can say how probable a row
# is. The price is an objective in which a forgotten sum changes everything while
# the printed loss looks better than before. So we derive the objective line by line,
# write the model in forty lines, train it, and then check every part where the
# answer is known.
#
# **We will show**
#
# - how the evidence lower bound follows from Bayes' rule;
# - a VAE written on the page: two networks, two heads, a draw, a loss of two
#   terms, and that the library's class gives the same number;
# - the KL term in closed form, and why noise can be differentiated through;
# - bound, gap and a tighter bound in a model where all of it is known;
# - the reduction that switches a VAE off, and what β each common spelling of the
#   loss means.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 1a](01a_without_labels.ipynb): Gaussians; [Chapter 1b](01b_gradient_descent.ipynb): cross-entropy, KL; [Chapter 2c](02c_constrained_autoencoders.ipynb) |
# | Data | scikit-learn's digits (full profile: MNIST) |
# | Time | under a minute on two CPU cores; 50 minutes of reading, an hour for the exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup", "hide-input"]
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers, ops
from scipy.stats import multivariate_normal, norm
from sklearn.decomposition import PCA

from utils import data, metrics, plotting
from utils.checks import chapter_04 as checks
from utils.evaluation import generation
from utils.models import VAE, Autoencoder
from utils.nn.backend import input_gradient
from utils.nn.layers import Sampling
from utils.nn.likelihoods import Bernoulli, Gaussian
from utils.training import callbacks, recipes
from utils.training.repeats import restart, with_spread

plotting.use_style()

# %% [markdown]
# **Parameters.** Everything that differs between the quick and the full
# profile stands in this one cell.

# %% tags=["setup"]
DATA = profile.pick(quick="digits", full="mnist")
LATENT_DIM = profile.pick(quick=4, full=20)
WIDTHS = profile.pick(quick=(128,), full=(400,))
TILES = profile.pick(quick=12, full=1)  # copies of the rows in an epoch
EPOCHS = profile.pick(quick=3, full=10)
SIDE_EPOCHS = profile.pick(quick=2, full=3)  # of models beside the main one
RATE = profile.pick(quick=5e-3, full=3e-3)
BATCH = profile.pick(quick=64, full=128)
SEEDS = profile.pick(quick=(0, 1, 2), full=(0,))

# %% tags=["setup", "hide-input"]
digits = data.load(DATA)
flat = digits.flat()
SHAPE = digits.event_shape
PIXELS = int(np.prod(SHAPE))
x_train = np.tile(digits.x_train, (TILES, *(1 for _ in SHAPE)))
x_test, y_test = digits.x_test, digits.y_test


def train(model, x=x_train, *, epochs=EPOCHS, name=None):
    """Adam with a rate that falls along a cosine; return the model."""
    recipes.compile(model, RATE, updates=epochs * -(-len(x) // BATCH))
    shown = [callbacks.ProgressLine(name)] if name else []
    fit = {"batch_size": BATCH, "verbose": 0, "callbacks": shown}
    model.fit(x, epochs=epochs, **fit)
    return model


print("images", digits.x_train.shape, "| pixels", PIXELS, "| code", LATENT_DIM)

# %% [markdown]
# ## 1. From random codes to a prior
#
# [Chapter 2](02c_constrained_autoencoders.ipynb) ended with a disappointment. A plain
# autoencoder's decoder turns codes into digits, so one would like to draw codes
# at random and get new digits. Train one and try $z\sim\mathcal N(0,I)$ again.

# %% tags=["nbval-ignore-output"]
plain = Autoencoder.dense(
    SHAPE, LATENT_DIM, widths=WIDTHS, seed=0, likelihood=Bernoulli()
)
train(plain, name="autoencoder")
noise = np.random.default_rng(1).standard_normal((1000, LATENT_DIM))
plain_codes = plain.encode(digits.x_train)
by_plain = plain.decode(noise)


# %% tags=["nbval-ignore-output", "hide-input"]
def sheet(images, columns):
    """Images side by side and below each other, with white gaps."""
    tall, wide = images.shape[1:3]
    gaps = ((0, 0), (0, tall // 8), (0, wide // 8))
    padded = np.pad(images[..., 0], gaps, constant_values=1.0)
    padded = padded.reshape(-1, columns, *padded.shape[1:])
    return np.concatenate(np.concatenate(padded, axis=1), axis=1)


figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.5))
for digit in (0, 1, 4, 7):
    chosen = plain_codes[digits.y_train == digit]
    left.plot(*chosen[:300, :2].T, ".", ms=4, label=f"digit {digit}")
left.plot(*noise[:300, :2].T, "k+", ms=4, label="N(0, I)")
left.set(xlabel="code unit 1", ylabel="code unit 2")
left.set_title("Codes of a plain autoencoder lie where they like")
left.legend(fontsize=8)
right.imshow(sheet(by_plain[:32], 8), vmin=0, vmax=1)
right.set(xticks=[], yticks=[], title="32 decoded draws from N(0, I)")
right.set(frame_on=False)
right.grid(False)
plt.show()

# %% tags=["hide-input"]
off_plain = generation.frechet_distance(plain_codes, noise)
print("codes far from N(0, I), in Fréchet distance:", off_plain > 2)
assert off_plain > 2

# %% [markdown]
# **Figure 4.1.** Two of the code's units (left): nothing in the objective fixed
# the scale of the codes, nor their centre, nor what lies between the clouds.
# Standard normal draws (crosses) crowd into one region and miss the others; the
# decoder makes of them what it likes (right).
#
# One remedy is to look *afterwards* where the codes lie and to fit a
# distribution there. It is a good remedy; [4b](04b_what_it_is_good_for.ipynb) will
# hold it against ours. But it says nothing about how probable a given *picture* is.
# The other way round: fix the distribution first, and demand of the
# decoder that codes drawn from it become data. Such a distribution, chosen
# before any row is seen, is called a **prior**.

# %% [markdown]
# ## 2. A model, its posterior and a bound
#
# A **latent-variable model** tells how each row came about, in two steps:
#
# $$z\sim p(z)=\mathcal N(0,I),\qquad x\sim p_\theta(x\mid z).\tag{1}$$
#
# First a code that nobody sees, then a row given the code. The decoder
# $g_\theta$ does not output a row; it outputs the *parameters* of a
# distribution of rows, for instance the probability of "white" for each pixel.
# The two together give each row a probability (or density), the **marginal
# likelihood**
#
# $$p_\theta(x)=\int p_\theta(x\mid z)\,p(z)\,dz,\tag{2}$$
#
# and Bayes' rule says which codes may have produced a row,
# the **posterior** $p_\theta(z\mid x)=p_\theta(x\mid z)\,p(z)/p_\theta(x)$.
# Keep three things apart: $p_\theta(x\mid z)$ is *not* the distribution of the
# data, the prior $p(z)$ knows no row, and the data's own distribution is unknown: it
# can be averaged over, by taking rows, but never be evaluated.
#
# We want the $\theta$ that makes the observed rows probable. The obstacle is the
# integral (2). Drawing codes from the prior and averaging $p_\theta(x\mid z)$ is
# right on average and soon too dear: a code of 3 nats needs some $e^3$ = 20 draws
# before one explains *this* row, and MNIST takes 25 nats. One should draw codes that
# could have produced the row, but those come from the posterior, which needs (2).
#
# ### The bound, line by line
#
# So take a substitute. Let $q_\phi(z\mid x)$ be a density that puts no mass where the
# posterior has none (with a Gaussian prior and a positive likelihood it has some
# everywhere): the **encoder** will supply it. Then
#
# $$\begin{aligned}
# \log p_\theta(x)
# &=\mathbb E_{q_\phi(z\mid x)}\big[\log p_\theta(x)\big]
# &&\text{(no } z \text{ in it, and } q \text{ integrates to 1)}\\
# &=\mathbb E_{q_\phi(z\mid x)}\Big[\log\frac{p_\theta(x\mid z)\,p(z)}
# {p_\theta(z\mid x)}\Big]
# &&\text{(Bayes' rule, true for every } z)\\
# &=\mathbb E_{q_\phi(z\mid x)}\Big[\log\frac{p_\theta(x\mid z)\,p(z)}
# {q_\phi(z\mid x)}\Big]
# +\mathbb E_{q_\phi(z\mid x)}\Big[\log\frac{q_\phi(z\mid x)}
# {p_\theta(z\mid x)}\Big]
# &&\text{(multiply and divide by } q)\\
# &=\underbrace{\mathbb E_{q_\phi(z\mid x)}\big[\log p_\theta(x\mid z)\big]
# -\mathrm{KL}\big(q_\phi(z\mid x)\,\Vert\,p(z)\big)}_{\text{ELBO}(x)}
# +\mathrm{KL}\big(q_\phi(z\mid x)\,\Vert\,p_\theta(z\mid x)\big).
# \end{aligned}\tag{3}$$
#
# No approximation so far: (3) is an identity. The last term cannot be computed,
# but a KL divergence is never negative (chapter 1b), so
# $\log p_\theta(x)\ge\text{ELBO}(x)$: the **evidence lower bound**, with equality
# exactly where $q_\phi(z\mid x)=p_\theta(z\mid x)$. The training loss is its
# negative, averaged over the data:
#
# $$\min_{\theta,\phi}\;\mathbb E_{x\sim p_{\text{data}}}\Big[
# \mathbb E_{q_\phi(z\mid x)}\big[-\log p_\theta(x\mid z)\big]
# +\beta\,\mathrm{KL}\big(q_\phi(z\mid x)\,\Vert\,p(z)\big)\Big],
# \qquad\beta=1.\tag{4}$$
#
# Moving $\phi$ cannot change $\log p_\theta(x)$, so by (3) it only closes the
# gap; moving $\theta$ raises the bound. The first term asks for codes from which
# the row can be told, the second for codes that look like the prior's. A
# factor $\beta\ne1$ (Higgins et al. 2017) leaves the theory: for $\beta<1$ the loss is
# no bound of $-\log p_\theta(x)$ any more, for $\beta>1$ a looser one.
#
# Five ways to get (4) wrong are in circulation. The KL compares $q_\phi(z\mid x)$
# with the *prior*, not with the data. It depends on $x$ and belongs *inside* the
# average over data. The first term is an *expectation* over codes, not the loss of
# one code. The two networks have weights of their own. And $-\log p_\theta$ is a
# sum over the pixels of a row; section 7 shows what a mean does.

# %% [markdown]
# ## 3. A VAE in Keras
#
# The encoder returns, for each row, *two* vectors: the mean $\mu$ and $\log\sigma^2$
# of $q_\phi(z\mid x)=\mathcal N(\mu,\operatorname{diag}\sigma^2)$. Not a point as in a
# plain autoencoder, but a cloud of codes. (A logarithm, because a network's output
# may be any number and a variance may not.) So it ends in two heads. The decoder ends
# in one number a pixel, the log-odds of "white".


# %%
def two_networks(seed):
    """Encoder x → μ, log σ² and decoder z → logits, each with its weights."""
    keras.utils.set_random_seed(seed)
    x = keras.Input(SHAPE)
    hidden = layers.Flatten()(x)
    for width in WIDTHS:
        hidden = layers.Dense(width, "relu")(hidden)
    heads = layers.Dense(LATENT_DIM)(hidden), layers.Dense(LATENT_DIM)(hidden)
    z = keras.Input((LATENT_DIM,))
    hidden = z
    for width in WIDTHS[::-1]:
        hidden = layers.Dense(width, "relu")(hidden)
    logits = layers.Reshape(SHAPE)(layers.Dense(PIXELS)(hidden))
    return keras.Model(x, heads), keras.Model(z, logits)


# %% [markdown]
# The two terms of (4), each *summed* within a row:
#
# $$-\log p_\theta(x\mid z)=-\sum_{j=1}^d\big[x_j\log\hat x_j
# +(1-x_j)\log(1-\hat x_j)\big],\tag{5}$$
#
# $$\mathrm{KL}=\sum_{j=1}^k\tfrac12\big(\mu_j^2+\sigma_j^2-1-\log\sigma_j^2\big).
# \tag{6}$$
#
# (5) is a binary cross-entropy; with $\hat x=\operatorname{sigmoid}(l)$ one pixel is
# $\operatorname{softplus}(l)-x\,l$. Section 4 derives (6). One code a row and step
# stands for the expectation, written as $z=\mu+\sigma\odot\epsilon$ with
# $\epsilon\sim\mathcal N(0,I)$; section 5 says why.


# %%
class OpenVAE(keras.Model):
    """Two networks, a draw between them, a loss of two terms."""

    def __init__(self, encoder, decoder, seed=0):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.draws = keras.random.SeedGenerator(seed)

    def call(self, x):
        mean, log_var = self.encoder(x)
        epsilon = keras.random.normal(ops.shape(mean), seed=self.draws)
        code = mean + ops.exp(0.5 * log_var) * epsilon
        return {"mean": mean, "log_var": log_var, "logits": self.decoder(code)}

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        mean, log_var, logits = y_pred.values()
        pixels = ops.softplus(logits) - x * logits  # (n, h, w, 1)
        units = 0.5 * (ops.square(mean) + ops.exp(log_var) - 1 - log_var)
        nll = ops.sum(pixels, axis=(1, 2, 3))  # (n,), nats
        kl = ops.sum(units, axis=1)  # (n,), nats
        return ops.mean(nll + kl)


# %% tags=["nbval-ignore-output"]
written = OpenVAE(*two_networks(seed=0))
train(written, name="VAE on the page")
written_loss = written.evaluate(x_test, batch_size=500, verbose=0)
print(f"−ELBO of test rows: {written_loss:.1f} nats an image")

# %% [markdown]
# That is a VAE. `VAE` of the library is the same with its arguments checked, and with
# verbs such as `sample`; `VAE(encoder, decoder)` takes any two networks. Put ours into
# it, and the state of our random numbers, and ask both for the loss of the same rows.

# %%
of_library = VAE(written.encoder, written.decoder)
of_library.compile()
some = digits.x_val[:100]
same_draws = ops.copy(written.draws.state)
of_library.sampler.seed_generator.state.assign(same_draws)
pair = [
    model.evaluate(some, batch_size=100, verbose=0, return_dict=True)["loss"]
    for model in (written, of_library)
]
same = bool(np.isclose(*pair, rtol=1e-5))
print("page and library, same weights and noise, same number:", same)

# %% tags=["hide-input"]
assert same and np.isfinite(pair).all()
assert written.encoder.count_params() != written.decoder.count_params()
owners = [{id(w) for w in part.weights} for part in written.layers[:2]]
assert owners[0].isdisjoint(owners[1]), "weights of their own"

# %% [markdown]
# From here on the library's class, from several seeds (`restart` gives a compiled
# model the weights of another one; the full profile has one seed). Beside it PCA with
# as many numbers, and the plain autoencoder with the same layers and steps.

# %%
vae = train(VAE.dense(SHAPE, LATENT_DIM, widths=WIDTHS, seed=0))
scores, rebuilt = [], []
for seed in SEEDS:
    if seed != SEEDS[0]:
        restart(vae, seed)
        vae.fit(x_train, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    scores.append(
        vae.evaluate(x_test, batch_size=500, return_dict=True, verbose=0)
    )
    rebuilt.append(vae.reconstruct(x_test))
pca = PCA(LATENT_DIM, random_state=0).fit(flat.x_train)
by_pca = pca.inverse_transform(pca.transform(flat.x_test)).reshape(x_test.shape)

# %% tags=["nbval-ignore-output"]
errors = {
    f"PCA, {LATENT_DIM} components": [metrics.mse(x_test, by_pca)],
    "VAE, codes at the mean": [metrics.mse(x_test, x) for x in rebuilt],
    "plain autoencoder": [metrics.mse(x_test, plain.reconstruct(x_test))],
}
parts = {
    name: with_spread([s[name] for s in scores], 2)
    for name in ("loss", "nll", "kl")
}
runtime.record(
    f"{DATA}: {LATENT_DIM} numbers an image, test rows",
    ["model", "MSE", "−ELBO, nats", "first term", "KL"],
    [
        [
            name,
            with_spread(values, 4),
            *(parts.values() if "VAE" in name else "–––"),
        ]
        for name, values in errors.items()
    ],
)

# %% tags=["hide-input"]
pca_error, vae_error, plain_error = errors.values()
assert max(vae_error) < 0.9 * pca_error[0], "better than PCA, every seed"
assert min(vae_error) > plain_error[0], "the plain autoencoder copies better"
assert min(s["kl"] for s in scores) > 0.1
if profile.full:
    assert scores[0]["loss"] <= 106, "−ELBO in nats, grey-level convention"

# %% tags=["nbval-ignore-output", "gallery-vae_reconstructions"]
again = [
    ops.convert_to_numpy(vae(x_test[:12])["reconstruction"]) for _ in range(2)
]
plotting.image_rows(
    {
        "real": x_test[:12],
        "code at the mean": rebuilt[-1][:12],
        "a code drawn": again[0],
        "another drawn": again[1],
        f"PCA, {LATENT_DIM}": by_pca[:12],
    },
    "A VAE codes a row by a cloud, and each draw is a reading of it",
)
plt.show()

# %% [markdown]
# **Figure 4.2.** Rows three and four are two passes over the same digits. They
# differ, as they must: a code is drawn. Where the readings disagree the
# encoder was unsure. Decoding the mean gives the calmest picture and a squared
# error below PCA's. The plain autoencoder pays for no noise and no KL, and copies
# better than both.
#
# ### A map and a slider
#
# With two units one can see everything at once. Train a VAE with $k=2$ and
# decode a grid of codes, spaced so that each cell holds the same share of the
# prior.

# %% tags=["nbval-ignore-output", "gallery-vae_map"]
planar = VAE.dense(SHAPE, 2, widths=WIDTHS, seed=0)
train(planar, epochs=SIDE_EPOCHS)
quantiles = norm.ppf((np.arange(11) + 0.5) / 11)
grid = np.stack(np.meshgrid(quantiles, quantiles[::-1]), axis=-1)
atlas = sheet(planar.decode(grid.reshape(-1, 2)), 11)
figure, (left, right) = plt.subplots(1, 2, figsize=(10.4, 5))
left.imshow(atlas, vmin=0, vmax=1, extent=(0, 1, 0, 1))
left.set(xlabel="unit 1, quantile of the prior", ylabel="unit 2")
left.set_title("Decoded: a map of codes")
left.grid(False)
codes = planar.encode(x_test[:2000])
for digit in range(10):
    right.plot(*codes[y_test[:2000] == digit].T, ".", ms=5, label=digit)
right.add_patch(plt.Circle((0, 0), 2, fill=False, ls="--"))
right.set(xlabel="unit 1", ylabel="unit 2", aspect="equal")
right.set_title("Encoded: test digits, by class")
right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# **Figure 4.3.** Left: neighbours in the map look alike; it is soft in the middle, where
# classes overlap. Right: where the test
# digits lie; the dashed circle holds 86 % of the prior. The clouds touch, as the
# prior asks, and overlap where two numbers are too few to tell classes apart. The
# labels coloured the picture; the training never saw them.
#
# In a running notebook the next cell is a slider for each unit.

# %% tags=["nbval-ignore-output"]
panel = plotting.sliders(lambda code: planar.decode(code[None])[0], units=2)
panel

# %% [markdown]
# ## 4. The KL term in closed form
#
# Both Gaussians being diagonal, the KL is a sum over units, and for one unit, with
# $\mathbb E_q z^2=\mu^2+\sigma^2$ and $\mathbb E_q(z-\mu)^2=\sigma^2$,
#
# $$\begin{aligned}\mathrm{KL}\big(\mathcal N(\mu,\sigma^2)\Vert\mathcal N(0,1)\big)
# &=\mathbb E_q\Big[-\tfrac12\log2\pi\sigma^2-\tfrac{(z-\mu)^2}{2\sigma^2}
# +\tfrac12\log2\pi+\tfrac{z^2}2\Big]\\
# &=\tfrac12\big(\mu^2+\sigma^2-1-\log\sigma^2\big).\end{aligned}\tag{7}$$
#
# Check it by what KL *means*, the average of $\log q(z)-\log p(z)$ over draws:


# %%
def kl_in_numpy(mean, log_var):
    """Equation (7), summed over units: one number a row."""
    return 0.5 * np.sum(mean**2 + np.exp(log_var) - 1 - log_var, axis=-1)


rng = np.random.default_rng(0)
for _ in range(3):
    mean, log_var = rng.normal(size=3), rng.normal(-1, 1, size=3)
    z = mean + np.exp(log_var / 2) * rng.standard_normal((1_000_000, 3))
    log_q = -0.5 * (log_var + (z - mean) ** 2 / np.exp(log_var)).sum(axis=1)
    log_prior = -0.5 * (z**2).sum(axis=1)
    by_draws = np.mean(log_q - log_prior)  # the constants cancel
    closed = kl_in_numpy(mean, log_var)
    print(f"closed form {closed:.3f}   a million draws {by_draws:.3f}")
    assert abs(by_draws / closed - 1) < 0.01

# %% tags=["hide-input"]
mean, std = np.meshgrid(np.linspace(-2, 2, 81), np.linspace(0.1, 2.5, 81))
surface = 0.5 * (mean**2 + std**2 - 1 - np.log(std**2))
figure, axis = plt.subplots(figsize=(5.6, 3.8))
lines = axis.contour(mean, std, surface, levels=[0.05, 0.2, 0.5, 1, 1.5, 2, 3])
axis.clabel(lines, fontsize=8)
axis.plot(0, 1, "k*", ms=12)
axis.set(xlabel="mean μ", ylabel="deviation σ")
axis.set_title("Nats of KL for one code unit: 0 at the prior alone")
plt.show()

# %% [markdown]
# **Figure 4.4.** A unit pays for a mean away from 0, and it pays for being *sure*,
# a small $\sigma$: the lines crowd together at the bottom. The KL is
# what a unit spends, in nats, to tell something about its row; at the star it
# tells nothing, at no cost. This reading explains most of the chapter.

# %% [markdown]
# ## 5. Differentiating through noise
#
# The first term of (4) is an average over codes drawn from a distribution that
# depends on $\phi$. Draw $z$, evaluate, differentiate: but by what? The
# draw is not a function of $\phi$. The way out, **reparameterisation**
# (Kingma and Welling 2014; Rezende et al. 2014), is to draw the noise first:
#
# $$z=\mu_\phi(x)+\sigma_\phi(x)\odot\epsilon,\qquad
# \epsilon\sim\mathcal N(0,I).\tag{8}$$
#
# The same distribution, but now $z$ is a differentiable function of $\mu$ and
# $\sigma$, and the noise an input without parameters. (The library has (8) as a layer,
# `Sampling`; that is a convenience.) Are the gradients right? Take $f(z)=z^2$, whose
# average is known, $\mathbb E z^2=\mu^2+\sigma^2$: the gradient by $\mu$ is $2\mu$, by
# $\log\sigma^2$ it is $\sigma^2$. Beside it the older way, the score function
# (chapter 3c), which needs no derivative of $f$:
# $\nabla_\mu\,\mathbb E f=\mathbb E\big[f(z)\,(z-\mu)/\sigma^2\big]$.

# %%
mean, log_var = np.full((20_000, 1), 1.5), np.full((20_000, 1), np.log(0.49))


def average_square(parameters):
    """z² of one draw a row, z = μ + σ ε."""
    return ops.square(Sampling(seed=0)((parameters[:, :1], parameters[:, 1:])))


parameters = np.concatenate([mean, log_var], axis=1).astype("float32")
slopes = ops.convert_to_numpy(input_gradient(average_square, parameters))
z = 1.5 + 0.7 * np.random.default_rng(0).standard_normal(20_000)
by_score = z**2 * (z - 1.5) / 0.49
print(
    f"by the mean:      exact 3.0, reparameterised {slopes[:, 0].mean():.1f}"
    f", score function {by_score.mean():.1f}"
)
print(
    f"noise of one draw:            reparameterised {slopes[:, 0].std():.1f}"
    f",  score function {by_score.std():.0f}"
)
print(f"by log σ²:        exact 0.5, reparameterised {slopes[:, 1].mean():.1f}")

# %% tags=["hide-input"]
assert abs(slopes[:, 0].mean() - 3) < 0.05
assert abs(slopes[:, 1].mean() - 0.49) < 0.05
assert abs(by_score.mean() - 3) < 0.3
assert by_score.std() > 3 * slopes[:, 0].std(), "right as well, but noisier"

# %% [markdown]
# Both are right on average; (8) is several times calmer for this smooth $f$, which need not
# hold for one that oscillates. The trick needs a *differentiable* path from
# the parameters to the draw. For words or classes there is none;
# [4c](04c_labels_and_whole_numbers.ipynb) meets that again.

# %% [markdown]
# ## 6. A model in which everything is known
#
# Derivations deserve a test. In the **linear-Gaussian** model
# $p_\theta(x\mid z)=\mathcal N(Wz+b,\sigma^2I)$ all of it is a Gaussian: the
# marginal is $\mathcal N(b,\,WW^\top+\sigma^2I)$, and the posterior has
# covariance $C=(I+W^\top W/\sigma^2)^{-1}$ and mean
# $CW^\top(x-b)/\sigma^2$. (Fitted to data it is *probabilistic PCA*, Tipping
# and Bishop 1999.) Take $d=6$, $k=2$, and a $q$ that is wrong on purpose: its
# mean is shifted and its variance half as large again.

# %%
rng = np.random.default_rng(0)
directions, _ = np.linalg.qr(rng.normal(size=(6, 2)))
W = directions * [1.5, 0.8]  # columns at right angles: a diagonal posterior
b, SIGMA = rng.normal(size=6), 0.5
x_linear = rng.standard_normal((400, 2)) @ W.T + b
x_linear = x_linear + SIGMA * rng.standard_normal(x_linear.shape)

log_p = multivariate_normal(b, W @ W.T + SIGMA**2 * np.eye(6)).logpdf(x_linear)
posterior_var = 1 / (1 + (W**2).sum(axis=0) / SIGMA**2)  # diagonal of C
posterior_mean = (x_linear - b) @ W / SIGMA**2 * posterior_var


# %%
def kl_of_normals(m, v, m0, v0):
    """KL(N(m, diag v) ‖ N(m0, diag v0)) of each row, in nats."""
    terms = np.log(v0 / v) + (v + (m - m0) ** 2) / v0 - 1
    return 0.5 * terms.sum(axis=-1)


def exact_elbo(m, v):
    """ELBO of q = N(m, diag v), every expectation in closed form."""
    residual = ((x_linear - b - m @ W.T) ** 2).sum(axis=1) + v @ (W**2).sum(0)
    fit = -residual / (2 * SIGMA**2) - 3 * np.log(2 * np.pi * SIGMA**2)
    return fit - kl_of_normals(m, v, 0.0, 1.0)


m, v = posterior_mean + np.array([0.3, -0.2]), 1.5 * posterior_var
gap = kl_of_normals(m, v, posterior_mean, posterior_var)
print(f"log p(x), mean over rows   {log_p.mean():.6f}")
print(f"ELBO of the wrong q        {exact_elbo(m, v).mean():.6f}")
print(f"KL(q ‖ posterior)          {gap.mean():.6f}")
print(f"ELBO + KL                  {(exact_elbo(m, v) + gap).mean():.6f}")

# %% tags=["hide-input"]
assert np.allclose(exact_elbo(m, v) + gap, log_p, atol=1e-10), "row by row"
assert np.allclose(exact_elbo(posterior_mean, posterior_var), log_p)
rng = np.random.default_rng(1)
for _ in range(200):  # and no q whatever exceeds log p(x)
    guess_m = posterior_mean + rng.normal(size=2)
    guess_v = np.exp(rng.normal(size=2))
    assert np.all(exact_elbo(guess_m, guess_v) <= log_p + 1e-10)

# %% [markdown]
# The identity holds for each of the 400 rows to ten digits.
#
# ### A tighter bound
#
# With $S$ codes from $q$ one can do better than the ELBO. Weight each
# by how much likelier it is under the model than under $q$, and take the
# logarithm *after* the mean (Burda et al. 2016):
#
# $$\log p_\theta(x)\;\ge\;\mathbb E\,\log\frac1S\sum_{s=1}^S
# \frac{p_\theta(x\mid z_s)\,p(z_s)}{q_\phi(z_s\mid x)},
# \qquad z_s\sim q_\phi(z\mid x).\tag{9}$$
#
# Where $q$ is positive wherever the posterior is, the mean of the weights is an
# unbiased estimate of $p_\theta(x)$, and the logarithm of an unbiased estimate is
# too low on average (Jensen). For $S=1$ it is the ELBO; it rises with $S$ towards
# $\log p_\theta(x)$. In the library it is `log_likelihood(x, num_samples)`. Drawing
# from the *prior* instead gives the dear estimate from above. `VAE` without hidden
# layers *is* the linear model if one sets its weights by hand, so both can be held
# against the truth: the mean of forty draws of everything.

# %%
linear = VAE.dense((6,), 2, widths=(), seed=0, likelihood=Gaussian(SIGMA))
linear.decoder.get_layer("flat_output").set_weights([W.T, b])
kernel = W / SIGMA**2 * posterior_var
linear.encoder.get_layer("code").set_weights([kernel, [0.3, -0.2] - b @ kernel])
linear.encoder.get_layer("log_var").set_weights([0 * kernel, np.log(v)])

COUNTS = (1, 2, 5, 20, 100)
forty = np.tile(x_linear, (40, 1))  # each row forty times, by other noise
weighted = [linear.log_likelihood(forty, s, seed=1).mean() for s in COUNTS]
rng = np.random.default_rng(2)
from_prior = []
for s in COUNTS:
    z = rng.standard_normal((len(x_linear), s, 2))
    squared = ((x_linear[:, None] - b - z @ W.T) ** 2).sum(axis=2)
    fits = -squared / (2 * SIGMA**2) - 3 * np.log(2 * np.pi * SIGMA**2)
    from_prior.append(np.mean(np.logaddexp.reduce(fits, axis=1) - np.log(s)))
elbo = exact_elbo(m, v).mean()
print(f"ELBO, exact           {elbo:.2f}")
print(f"(9), S = 1 and 100    {weighted[0]:.2f} and {weighted[-1]:.2f}")
print(f"log p(x)              {log_p.mean():.2f}")

# %% tags=["hide-input"]
figure, axis = plt.subplots()
axis.axhline(log_p.mean(), color="black", ls="--", label="exact log p(x)")
axis.axhline(elbo, color="C3", ls=":", label="exact ELBO")
axis.semilogx(COUNTS, weighted, "o-", label="S codes from q, equation (9)")
axis.semilogx(COUNTS, from_prior, "s-", label="S codes from the prior")
axis.set(xlabel="codes S for each row", ylabel="nats, mean over rows")
axis.set(ylim=(log_p.mean() - 3, log_p.mean() + 0.3))
axis.set_title("ELBO ≤ importance-weighted bound ≤ log p(x)")
axis.legend()
plt.show()

# %% tags=["hide-input"]
assert np.isclose(weighted[0], elbo, atol=0.04), "S = 1 is the ELBO"
assert np.isclose(linear.elbo(forty, 1, seed=2).mean(), elbo, atol=0.04)
assert np.all(np.diff(weighted[:4]) > 0.03), "rising with S"
assert weighted[-1] <= log_p.mean() + 0.01, "and never above the truth"
assert log_p.mean() - weighted[-1] < 0.05
assert from_prior[2] < elbo, "five codes of the prior, one of q"

# %% [markdown]
# **Figure 4.5.** The curve starts at the ELBO and ends at the truth. One code from a
# moderately good $q$ says more about $\log p(x)$ than five from the prior, although
# there are only two dimensions to miss in. So (9) asks "is the model
# bad, or only its encoder?": where it is far above the ELBO, the encoder is to blame; one
# that is far off leaves (9) low as well.

# %% [markdown]
# ## 7. The reduction trap
#
# Here is a common error in VAE programs. It runs, it prints a small loss,
# and it trains no VAE. Keras's built-in reconstruction losses take the *mean*
# over pixels. The KL is a *sum* over code units. Add the two and the sum is
#
# $$\frac1d\sum_{j}(\dots)_j+\mathrm{KL}
# =\frac1d\Big[-\log p_\theta(x\mid z)+d\cdot\mathrm{KL}\Big]:\tag{10}$$
#
# the number of pixels has become $\beta$, 64 for our digits, 784 for MNIST. Train
# exactly that: the same network with $\beta=d$, and print the loss that such a
# program would print, the bracket in (10) over $d$. What will its reconstructions
# look like?

# %% tags=["nbval-ignore-output"]
trapped = VAE.dense(SHAPE, LATENT_DIM, widths=WIDTHS, beta=PIXELS, seed=0)
train(trapped, epochs=SIDE_EPOCHS)
found = trapped.evaluate(x_test, batch_size=500, verbose=0, return_dict=True)
rebuilt_trapped = trapped.reconstruct(x_test)
print(
    f"printed loss: {found['loss'] / PIXELS:.2f} (mean + KL), against "
    f"{scores[0]['loss']:.1f} of the right VAE"
)
print(f"KL            {found['kl']:.5f} against {scores[0]['kl']:.2f} nats")
bounds = [
    -model.elbo(x_test[:1000], 10, seed=0).mean() for model in (trapped, vae)
]
print(f"true −ELBO    {bounds[0]:.1f} against {bounds[1]:.1f} nats")

# %% tags=["nbval-ignore-output", "gallery-vae_reduction_trap"]
plotting.image_rows(
    {
        "real": x_test[:12],
        "sum over pixels": rebuilt[-1][:12],
        "mean over pixels": rebuilt_trapped[:12],
    },
    "Mean instead of sum: one picture for everybody",
)
plt.show()

# %% tags=["hide-input"]
spreads = [
    generation.sample_spread(x) for x in (rebuilt_trapped, rebuilt[-1], x_test)
]
assert found["kl"] < 0.01, "the code says nothing"
assert spreads[0] < 0.1 * spreads[1], "so all reconstructions are alike"
assert found["loss"] / PIXELS < 0.05 * scores[0]["loss"], "and prints well"
assert bounds[0] > bounds[1] + 1.5

# %% [markdown]
# **Figure 4.6.** In the last row every digit is the mean image. The program is not
# broken in any way it could notice: with $\beta=d$ a nat of code costs $d$ nats and
# buys a few, so the best code says nothing. The printed loss is a fraction of the right
# one, because it is in another unit. Losses of two programs may be compared only if
# both say what is summed and what is averaged.
#
# ### Which β is that?
#
# Every such loss is $a\cdot(-\log p_\theta(x\mid z))+b\cdot\mathrm{KL}$ and a constant.
# Divide by $a$: $\beta=b/a$. That is all there is to derive. For Gaussian pixels
# $-\log p_\theta=\lVert x-\hat x\rVert^2/2\sigma_x^2+\text{const}$, so a bare squared
# error has $a=2\sigma_x^2$ and a plain sum with the KL has $\beta=1/(2\sigma_x^2)$: for
# $\sigma_x=0.1$ that is **50**, a code punished fifty times, and $\beta=1$ only if one
# believes in $\sigma_x^2=\tfrac12$. Who wants $\beta=1$ must write
# $\lVert x-\hat x\rVert^2+2\sigma_x^2\,\mathrm{KL}$, with the weight 0.02.
#
# Do not trust the algebra: measure. Evaluate each spelling on forty random rows,
# and fit $a$ and $b$ by least squares.

# %%
D, K, S2 = PIXELS, LATENT_DIM, 0.1**2


def mean_bce(x, p):
    return keras.losses.binary_crossentropy(x, p)  # a mean over pixels


def squares(x, p):
    return ops.sum(ops.square(x - p), axis=1)


spellings = {  # loss of rows from x, p and summed KL; is p Gaussian?; β
    "sum of cross-entropy + KL": (
        lambda x, p, kl: D * mean_bce(x, p) + kl,
        0,
        1,
    ),
    "mean cross-entropy + KL": (lambda x, p, kl: mean_bce(x, p) + kl, 0, D),
    "mean cross-entropy + mean KL": (
        lambda x, p, kl: mean_bce(x, p) + kl / K,
        0,
        D / K,
    ),
    "Σ(x − x̂)² + KL": (lambda x, p, kl: squares(x, p) + kl, 1, 1 / (2 * S2)),
    "Σ(x − x̂)² + 0.02 KL": (lambda x, p, kl: squares(x, p) + 0.02 * kl, 1, 1),
    "½ Σ(x − x̂)² + KL": (lambda x, p, kl: squares(x, p) / 2 + kl, 1, 1 / S2),
    "mean squared error + KL": (
        lambda x, p, kl: keras.losses.mean_squared_error(x, p) + kl,
        1,
        D / (2 * S2),
    ),
}

# %%
rng = np.random.default_rng(0)
measured = {name: [] for name in spellings}
truth = {0: [], 1: []}  # −log p(x | z) of Bernoulli and Gaussian pixels
divergences = []
for _ in range(40):
    x, p = rng.uniform(0.05, 0.95, (2, 1, D)).astype("float32")
    mean, log_var = rng.normal(0, 3, (2, 1, K)).astype("float32")
    divergences.append(float(kl_in_numpy(mean, log_var)[0]))
    truth[0].append(-np.sum(x * np.log(p) + (1 - x) * np.log(1 - p)))
    truth[1].append(np.sum((x - p) ** 2) / (2 * S2))
    for name, (loss, _, _) in spellings.items():
        value = ops.convert_to_numpy(loss(x, p, divergences[-1]))
        measured[name].append(value[0])

ratios = {}
for name, (_, kind, expected) in spellings.items():
    table = np.column_stack([truth[kind], divergences, np.ones(40)])
    a, weight, _ = np.linalg.lstsq(table, measured[name], rcond=None)[0]
    ratios[name] = weight / a / expected
    print(f"{name:30s} β = {expected:7.6g}, measured the same:", end=" ")
    print(bool(abs(ratios[name] - 1) < 0.01))

# %% tags=["hide-input"]
assert all(abs(ratio - 1) < 0.01 for ratio in ratios.values())

# %% [markdown]
# Gaussian rows are read with $\sigma_x=0.1$. Larger than 1: the code is punished, unit by
# unit, up to silence. Smaller: it is nearly free, and the draws of section 3 hardly matter. A
# $\beta$ has no meaning until the scale of the first term is stated.
#
# One more such trap: a loss *summed over the batch* doubles with the batch. Ours does
# not, and a control that sums does:


# %%
class Summed(OpenVAE):
    """The same, but summed over the rows of a batch."""

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        return len(x) * super().compute_loss(x, y, y_pred)


twice = np.concatenate([some, some])
for name, model in {
    "page": written,
    "library": of_library,
    "summed": Summed(written.encoder, written.decoder),
}.items():
    model.compile(run_eagerly=True)
    once = model.evaluate(some, batch_size=100, verbose=0)
    both = model.evaluate(twice, batch_size=200, verbose=0)
    growth = np.ravel(both)[0] / np.ravel(once)[0]
    print(f"{name:8s} every row twice: the loss grows {growth:.1f} times")
    assert abs(growth - (2 if name == "summed" else 1)) < 0.1

# %% [markdown]
# ## What we showed
#
# - The ELBO followed from Bayes' rule, and the gap was the KL to the posterior,
#   to ten digits, in a model where all is known.
# - A VAE is two networks, a draw and a loss of two sums; the library's class gave the
#   same number from the same weights and noise.
# - With equally many numbers its squared error was below PCA's and above the plain
#   autoencoder's.
# - The KL term agreed with a million draws; noise written as
#   $\mu+\sigma\epsilon$ let gradients through.
# - The importance-weighted bound began at the ELBO and rose to the truth.
# - Pixel *means* multiplied $\beta$ by the number of pixels, silenced the code, and
#   printed a lovely loss; a bare squared error hides a $\beta$ of $1/(2\sigma_x^2)$.
#
# **Next.** The exercises; then [4b](04b_what_it_is_good_for.ipynb) asks what the
# model is good for: samples, walks, silent units, factors, likelihoods.
#
# ## References
#
# Burda, Grosse, Salakhutdinov (2016), *Importance weighted autoencoders*, ICLR ·
# Higgins et al. (2017), *β-VAE*, ICLR · Kingma, Welling (2014), *Auto-encoding
# variational Bayes*, ICLR · Rezende, Mohamed, Wierstra (2014), *Stochastic
# backpropagation and approximate inference in deep generative models*, ICML · Tipping,
# Bishop (1999), *Probabilistic principal component analysis*, JRSS B.

# %% [markdown]
# ## Exercises
#
# Each needs only the set-up cells at the top. Write your answer where
# it says `# your answer here`, run the cell, then run the check below it: it
# says what is wrong, and with what to go on once it is right.

# %% [markdown] tags=["exercise"]
# ### Exercise 4.1 · Five numbers, with a pencil
#
# *You will learn to read a β off a loss.* A code has two units with
# $q=\mathcal N(\mu,\operatorname{diag}\sigma^2)$, $\mu=(2,0)$ and
# $\sigma=(\tfrac12,2)$; the prior is $\mathcal N(0,I)$. Give (a) the KL of
# the first unit and (b) of both, in nats. Then three losses:
# (c) $\lVert x-\hat x\rVert^2+w\,\mathrm{KL}$, summed over pixels, is
# the negative ELBO of Gaussian pixels with $\sigma=0.1$, up to a factor and a
# constant, for which weight $w$? (d) A program adds the *mean* cross-entropy of 784
# pixels to the KL summed over 20 code units. Which β is that? (e) Another
# adds Keras's `mean_squared_error` of 784 pixels to the summed KL. Which σ of
# a Gaussian pixel does it believe in?

# %% tags=["exercise"]
answer_4_1 = None
### BEGIN SOLUTION
first = 0.5 * (2**2 + 0.25 - 1 - np.log(0.25))
second = 0.5 * (0**2 + 4 - 1 - np.log(4))
answer_4_1 = [first, first + second, 2 * 0.1**2, 784, np.sqrt(784 / 2)]
### END SOLUTION

# %% tags=["check"]
checks.check_4_1(answer_4_1)

# %% [markdown] tags=["discussion"]
# 2.318 and 3.125 nats: in the sum the two logarithms cancel. (c)
# $-\log\mathcal N(x;\hat x,\sigma^2I)=\lVert x-\hat x\rVert^2/2\sigma^2$ and a
# constant; times $2\sigma^2$ the negative ELBO is $\lVert x-\hat x\rVert^2
# +2\sigma^2\,\mathrm{KL}$, so $w=0.02$. With $w=1$, the bare sum, β would be
# $1/(2\sigma^2)=50$: section 7's table, read backwards. (d) Times 784 the program
# minimises the sum plus 784 KL. (e) The mean has weight 1/784 where $-\log\mathcal N$
# has $1/2\sigma^2$: σ = 19.8 for pixels between 0 and 1. Such a model has no reason to
# look at x at all, and does not.

# %% [markdown] tags=["exercise"]
# ### Exercise 4.2 · The divergence of a code
#
# *You will learn which axis is summed, and what log_var is.* Return
# $\mathrm{KL}(\mathcal N(\mu,\operatorname{diag}\sigma^2)\,\Vert\,\mathcal N(0,I))$
# in nats, one value an example, for tensors `mean` and `log_var` of shape
# $(n,k)$ with `log_var` $=\log\sigma^2$. The encoder is trained on it: use
# `keras.ops`.


# %% tags=["exercise"]
def code_divergence(mean, log_var):
    """Return the KL of each example, (n,)."""
    ### BEGIN SOLUTION
    terms = ops.square(mean) + ops.exp(log_var) - 1.0 - log_var
    return 0.5 * ops.sum(terms, axis=1)
    ### END SOLUTION


# %% tags=["check"]
checks.check_4_2(code_divergence)

# %% [markdown] tags=["discussion"]
# Three worlds live in one formula: the mean is squared, the variance is
# exponentiated, its logarithm is there already. Their order of magnitude is
# easy to test: KL(0, 0) = 0, and a unit with μ = 1, σ = 1 costs ½.

# %% [markdown] tags=["exercise"]
# ### Exercise 4.3 · Two heads, a draw, a decoder
#
# *You will learn where the chance enters.* A popular sketch of a VAE has one
# layer with `activation="normal"` and a `RepeatVector`, and neither heads nor
# a draw. Build the network properly, for data of any `shape` with values in
# [0, 1]: a Keras model that takes x and returns a dict of `"mean"` and
# `"log_var"` (each $(n,k)$), `"code"`, a draw
# $z=\mu+\sigma\odot\varepsilon$ with fresh $\varepsilon\sim\mathcal N(0,I)$
# at every call, and `"logits"`, the decoder's answer to z, of the shape of x.
# Randomness needs a layer of its own, since a functional model's tensors have
# no values yet; its `call` is yours too.


# %% tags=["exercise"]
class Draw(keras.layers.Layer):
    """Takes [mean, log_var], returns a draw."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, inputs):
        mean, log_var = inputs
        ### BEGIN SOLUTION
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_var) * noise
        ### END SOLUTION


def make_vae(latent_dim, shape):
    """Return a Keras model: x → mean, log_var, code and logits."""
    ### BEGIN SOLUTION
    x = keras.Input(shape)
    hidden = keras.layers.Flatten()(x)
    hidden = keras.layers.Dense(32, activation="relu")(hidden)
    mean = keras.layers.Dense(latent_dim)(hidden)
    log_var = keras.layers.Dense(latent_dim)(hidden)
    code = Draw()([mean, log_var])
    hidden = keras.layers.Dense(32, activation="relu")(code)
    logits = keras.layers.Dense(int(np.prod(shape)))(hidden)
    logits = keras.layers.Reshape(shape)(logits)
    names = ("mean", "log_var", "code", "logits")
    products = zip(names, (mean, log_var, code, logits), strict=True)
    return keras.Model(x, dict(products))
    ### END SOLUTION


# %% tags=["check"]
checks.check_4_3(make_vae)

# %% [markdown] tags=["discussion"]
# `RepeatVector` makes one copy for each time step of a recurrent decoder. A
# code has no time steps: all copies are decoded alike, the output has the
# shape (n, k, d), and `fit(x, x)` stops because target and output differ in
# rank. The check looks at the codes alone: how the size of $z-\mu$ grows with
# `log_var` tells σ from σ², a second pass tells a draw from a constant, and
# `predict` tells `keras.random` from NumPy, whose numbers are baked into the
# compiled program. The gradient reaches μ and log σ² because ε depends on
# neither; that way of writing a draw, not a layer, is the
# reparameterisation.

# %% [markdown] tags=["exercise"]
# ### Exercise 4.4 · The loss, to the last axis
#
# *You will learn what is summed and what is averaged.* Return the negative
# ELBO of Bernoulli pixels, one scalar: for each example the cross-entropy
# summed over all pixels plus the KL summed over all code units; then the mean
# over the batch. `x` and `logits` have shape $(n,h,w,c)$, `mean` and
# `log_var` $(n,k)$. Raise a `ValueError` if x leaves [0, 1]: Keras does not.


# %% tags=["exercise"]
def negative_elbo(x, logits, mean, log_var):
    """Return −ELBO in nats, mean over the batch; refuse other x."""
    ### BEGIN SOLUTION
    if ops.min(x) < 0.0 or ops.max(x) > 1.0:
        raise ValueError("x: expected values in [0, 1]")
    cross_entropy = ops.softplus(logits) - x * logits
    nll = ops.sum(cross_entropy, axis=(1, 2, 3))
    terms = ops.square(mean) + ops.exp(log_var) - 1.0 - log_var
    kl = 0.5 * ops.sum(terms, axis=1)
    return ops.mean(nll + kl)
    ### END SOLUTION


# %% tags=["check"]
checks.check_4_4(negative_elbo)

# %% [markdown] tags=["discussion"]
# `keras.losses.binary_crossentropy` averages over the last axis, which on
# $(n,h,w,1)$ is an average over one number, and on flat rows $(n,784)$ over all
# pixels: the same line means β = 1 in one program and β = 784 in the other.
# With flat logits against images (n, 1, 28, 28) PyTorch stops, and with
# standardised pixels too if it is given probabilities; given logits no
# backend does, and the cross-entropy falls below zero. A range check costs
# one pass; inside a compiled `fit` values are unknown, so the course's models
# make it before the first step.

# %% [markdown] tags=["exercise"]
# ### Exercise 4.5 · Closer to log p(x)
#
# *You will learn to average numbers as small as* $e^{-1500}$. For each of n
# examples, S codes were drawn from $q(z\mid x)$. Given three NumPy arrays
# $(n,S)$, $\log p(x\mid z_s)$, $\log p(z_s)$ and $\log q(z_s\mid x)$, return
# the importance-weighted bound
# $\log\frac1S\sum_s p(x\mid z_s)\,p(z_s)/q(z_s\mid x)$, shape $(n,)$. It has
# to survive logarithms of −1 500 and of +900.


# %% tags=["exercise"]
def weighted_bound(log_px, log_pz, log_qz):
    """Return the importance-weighted bound of each example, (n,)."""
    ### BEGIN SOLUTION
    log_ratio = log_px + log_pz - log_qz
    largest = log_ratio.max(axis=1, keepdims=True)
    mean_ratio = np.exp(log_ratio - largest).mean(axis=1)
    return largest[:, 0] + np.log(mean_ratio)
    ### END SOLUTION


# %% tags=["check"]
checks.check_4_5(weighted_bound)

# %% [markdown] tags=["discussion"]
# The largest ratio becomes $e^0=1$, so the mean lies between 1/S and 1 and
# its logarithm is harmless. The mean of the *logarithms* would be the ELBO,
# estimated with S draws: the same arrays, another order of two operations,
# and a lower number.
