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
# # Chapter 3a · Adversarial networks: the game
#
# An autoencoder can copy a digit but cannot invent one. A generative
# adversarial network, a GAN, can: one network draws, a second one tells
# drawings from real examples, and each improves because the other does. Nobody
# writes down what a good drawing is. Here you build such a game, ask what it
# aims at and why it circles around its aim, and provoke and cure its famous
# failure.
#
# **We will show**
#
# - a GAN built layer by layer and trained by the loop of most tutorials;
# - what the game's optimum is, and that a computer finds what the algebra says;
# - where the textbook's generator loss falls silent, and that the ring does not mind;
# - that plain gradient play circles, and which penalty makes it converge;
# - the same GAN with one backward pass and `fit`, equal to the loop;
# - mode collapse: provoked, counted, and cured, one factor at a time.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 1b](01b_gradient_descent.ipynb): cross-entropy, KL divergence, gradient descent, first steps in Keras |
# | Data | eight Gaussians on a ring |
# | Time | 50 minutes of reading, another hour for the exercises; a minute to run |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup", "hide-input"]
import functools
import itertools

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops

from utils import data, plotting
from utils.checks import chapter_03 as checks
from utils.evaluation import generation
from utils.models.gans import GAN, RelativisticGAN
from utils.nn.backend import input_gradient, traced, weight_gradients
from utils.training import callbacks, recipes
from utils.training.repeats import restart, with_spread

plotting.use_style()

# %% tags=["setup", "hide-input"]
ring, _ = data.make_toy("gaussians", n=25_600, seed=0)
angles = 2 * np.pi * np.arange(8) / 8
CENTRES = 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
SEEDS = (0, 1, 2)


def quality(samples):
    """Modes covered, share within three standard deviations, counts."""
    return generation.modes_covered(samples, CENTRES, std=0.1)


def ring_panel(axis, samples, title):
    """Samples over the data, in grey."""
    axis.scatter(*ring[:1500].T, s=4, c="0.8", linewidths=0)
    axis.scatter(*samples.T, s=4, c="C0", linewidths=0)
    axis.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal", title=title)
    axis.set(xticks=[-2, 0, 2], yticks=[-2, 0, 2])


print("ring", ring.shape)

# %% [markdown]
# ## 1. A first game
#
# The data are points of the plane, in eight clusters on a ring. The
# **generator** $G$ turns two random numbers $z\sim\mathcal N(0,I)$ into a
# point. It never sees a real one. The **discriminator** $D$ takes a point and
# returns one number, its **score** or *logit* $s$: the logistic function
# $\sigma(s)=1/(1+e^{-s})$ of it is the probability that $D$ gives to "real".


# %%
def build_players(seed):
    """Generator and discriminator of points in the plane."""
    keras.utils.set_random_seed(seed)
    generator = keras.Sequential(
        [
            keras.Input((2,)),  # noise
            keras.layers.Dense(64, "relu"),
            keras.layers.Dense(64, "relu"),
            keras.layers.Dense(2),  # a point
        ]
    )
    discriminator = keras.Sequential(
        [
            keras.Input((2,)),  # a point
            keras.layers.Dense(64, "leaky_relu"),
            keras.layers.Dense(64, "leaky_relu"),
            keras.layers.Dense(1),
            keras.layers.Reshape(()),  # one score a row
        ]
    )
    return generator, discriminator


# %% [markdown]
# $D$ is a classifier: real rows have label 1, generated ones 0, and its loss is
# the cross-entropy. $G$ wants its rows to be *taken* for real: label 1.

# %%
cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)


def d_loss(real, fake):
    """D's loss from its scores of real and of generated rows."""
    ones, zeros = ops.ones_like(real), ops.zeros_like(fake)
    return cross_entropy(ones, real) + cross_entropy(zeros, fake)


def g_loss(fake):
    """G's loss from D's scores of generated rows."""
    return cross_entropy(ops.ones_like(fake), fake)


# %% [markdown]
# ### One training step
#
# Two players, two losses, two optimisers. A step **alternates**: draw noise
# and move $D$, leaving $G$ alone; draw *fresh* noise and move $G$, whose
# gradient arrives through $D$, leaving $D$ alone. `weight_gradients` is the
# course's name for what TensorFlow calls a gradient tape and PyTorch
# `backward`; `traced` only makes the function faster.


# %%
def two_optimisers(generator, discriminator, d_adam, g_adam, noise):
    """The training step of most GAN tutorials."""
    g_weights = generator.trainable_variables
    d_weights = discriminator.trainable_variables
    d_adam.build(d_weights)
    g_adam.build(g_weights)

    @traced
    def step(x):
        z = keras.random.normal((256, 2), seed=noise)
        made = generator(z)
        slopes = weight_gradients(
            lambda: d_loss(discriminator(x), discriminator(made)), d_weights
        )
        d_adam.apply(slopes, d_weights)  # D moves, G does not
        z = keras.random.normal((256, 2), seed=noise)
        slopes = weight_gradients(
            lambda: g_loss(discriminator(generator(z))), g_weights
        )
        g_adam.apply(slopes, g_weights)  # G moves, D does not

    return step


# %% [markdown]
# Eight hundred steps with 256 rows each. The setting `beta_1=0.0` is unusual;
# section 6 measures what it is worth.


# %%
def calm_adam(rate=5e-3):
    """Adam without momentum."""
    return keras.optimizers.Adam(rate, beta_1=0.0)


artist, expert = build_players(seed=0)
noise = keras.random.SeedGenerator(0)
step = two_optimisers(artist, expert, calm_adam(), calm_adam(), noise)
z_seen = np.random.default_rng(1).standard_normal((1000, 2)).astype("float32")
stages = {0: artist.predict(z_seen, verbose=0)}
for count in range(1, 801):
    start = 256 * (count % 100)
    step(ops.convert_to_tensor(ring[start : start + 256]))
    if count in (100, 200, 400, 800):
        stages[count] = artist.predict(z_seen, verbose=0)

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 5, figsize=(12.4, 2.8))
for axis, (count, points) in zip(axes, stages.items(), strict=True):
    ring_panel(axis, points, f"step {count}: {quality(points).modes} of 8")
figure.suptitle("A generator that never saw a real point draws the ring")
plt.show()

# %% tags=["hide-input"]
assert quality(stages[0]).modes <= 2
assert quality(stages[800]).modes >= 6
assert quality(stages[800]).share_within > 0.5

# %% [markdown]
# **Figure 3.1.** A thousand samples (blue) over the data (grey), always from
# the same noise. The titles count the clusters that get at least a fifth of
# their share. All that $G$ was ever told are slopes of $D$'s score.

# %% [markdown]
# ## 2. The game and its optimum
#
# $G:\mathbb R^k\to\mathbb R^d$ turns noise into an example $\tilde x=G(z)$;
# $D(x)=\sigma(s(x))\in(0,1)$ is a *probability* of "real", not a label.
# Goodfellow et al. (2014) let both play for one number,
#
# $$\min_G\max_D\;V(D,G)=\mathbb E_{x\sim p_{\text{data}}}\big[\log D(x)\big]
# +\mathbb E_{z\sim\mathcal N(0,I)}\big[\log\big(1-D(G(z))\big)\big].\tag{1}$$
#
# $D$ *maximises*: it wants $D(x)$ large on real rows and $D(\tilde x)$ small on
# generated ones. $G$ *minimises*: it wants $D$ to err on its products. This is
# not one loss that both lower together, nor a "difference between two
# networks". Written as losses there are two, each with weights of its own:
#
# $$L_D=-\mathbb E\log D(x)-\mathbb E\log\big(1-D(G(z))\big),\qquad
# L_G=\mathbb E\log\big(1-D(G(z))\big).\tag{2}$$
#
# ### The best discriminator
#
# Hold $G$ fixed, and call the distribution of its products $p_g$. On a
# countable set of examples (1) is a sum with one term for each $x$:
#
# $$V(D,G)=\sum_x p_{\text{data}}(x)\log D(x)+p_g(x)\log\big(1-D(x)\big).$$
#
# $D$ may choose each $D(x)$ freely, so each term is maximised by itself. With
# $a=p_{\text{data}}(x)$ and $b=p_g(x)$ the slope of
# $a\log D+b\log(1-D)$ is $a/D-b/(1-D)$. It falls as $D$ grows and vanishes
# where $a(1-D)=bD$, so that
#
# $$D^*(x)=\frac{p_{\text{data}}(x)}{p_{\text{data}}(x)+p_g(x)}\tag{3}$$
#
# is the maximum. Now put $D^*$ back. With the mixture
# $m=\tfrac12(p_{\text{data}}+p_g)$ we have $D^*=p_{\text{data}}/2m$ and
# $1-D^*=p_g/2m$. Each logarithm gives a $-\log2$ and a KL divergence to $m$:
#
# $$V(D^*,G)=-2\log2+\mathrm{KL}(p_{\text{data}}\Vert m)
# +\mathrm{KL}(p_g\Vert m)=-\log4+2\,\mathrm{JS}(p_{\text{data}}\Vert p_g),\tag{4}$$
#
# where the Jensen–Shannon divergence JS is the mean of the two. It is 0 where
# both distributions agree and at most $\log2$. So against a perfect $D$ the
# generator minimises a distance between distributions, although nobody computes
# either of them. The optimum is $p_g=p_{\text{data}}$, $D^*=\tfrac12$
# everywhere, $V=-\log4$.
#
# Algebra can be wrong. Five kinds of examples, two distributions, and a
# thousand discriminators drawn at random: does any of them beat (3)?

# %%
p_data = np.array([0.30, 0.30, 0.20, 0.15, 0.05])
p_g = np.array([0.05, 0.25, 0.20, 0.10, 0.40])


def value(d, p, q):
    """V of equation (1) for discriminators d (…, 5) on a finite set."""
    return np.sum(p * np.log(d) + q * np.log(1 - d), axis=-1)


def js(p, q):
    """Jensen–Shannon divergence in nats."""
    m = (p + q) / 2
    return np.sum(p * np.log(p / m) + q * np.log(q / m)) / 2


d_star = p_data / (p_data + p_g)
by_formula = -np.log(4) + 2 * js(p_data, p_g)
random_d = np.random.default_rng(0).uniform(0.001, 0.999, (1000, 5))
print("D*          ", d_star.round(3))
print(f"V(D*)        {value(d_star, p_data, p_g):.12f}")
print(f"−log 4 + 2JS {by_formula:.12f}")
print(f"best of 1000 random D {value(random_d, p_data, p_g).max():.4f}")

# %% tags=["hide-input"]
assert abs(value(d_star, p_data, p_g) - by_formula) < 1e-12
assert value(random_d, p_data, p_g).max() < by_formula
assert np.isclose(-value(np.full(5, 0.5), p_data, p_g), 2 * np.log(2))
assert np.isclose(value(np.full(5, 0.5), p_data, p_data), -np.log(4))
assert np.mean(value(random_d, p_data, p_g) < -np.log(4)) > 0.5

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
places = np.arange(5)
left.bar(places - 0.2, p_data, width=0.4, label="$p_{data}$", alpha=0.8)
left.bar(places + 0.2, p_g, width=0.4, label="$p_g$", alpha=0.8)
left.plot(places, d_star, "ko", label="$D^*$")
left.set(xlabel="kind of example", ylabel="probability", ylim=(0, 1))
left.set_title("D* is the share of real among real and generated")
left.legend()
right.hist(value(random_d, p_data, p_g), bins=40, alpha=0.8)
right.axvline(by_formula, color="black", ls="--", label="$V(D^*)$")
right.axvline(-np.log(4), color="black", ls=":", label="$-\\log 4$: undecided")
right.set(xlabel="V(D, G), nats", ylabel="random discriminators")
right.set_title("None of 1 000 random D exceeds V(D*)")
right.legend()
plt.show()

# %% [markdown]
# **Figure 3.2.** Left: where both sources are equally frequent, at kind 2,
# $D^*=\tfrac12$. Right: most random discriminators do worse than one that
# answers "$\tfrac12$" to everything. Its loss is $L_D=2\log2\approx1.386$,
# **where a GAN's discriminator loss starts, and where it returns when the
# generator has won**. A loss of 1.386 is either a triumph or a $D$ that has
# learned nothing; the loss alone cannot say which.
#
# One caution. (4) describes the *best* $D$ against a fixed $G$. In practice
# both move at once, and nothing in (3) or (4) promises that such play arrives at
# the equilibrium, where neither gains by moving alone. Section 4 shows the
# smallest game in which it does not.

# %% [markdown]
# ## 3. Where the textbook loss falls silent
#
# In terms of scores, with $\mathrm{softplus}(s)=\log(1+e^s)$ and
# $\tilde s=s(G(z))$, the losses (2) are
#
# $$L_D=\mathbb E\,\mathrm{softplus}(-s)+\mathbb E\,\mathrm{softplus}(\tilde s),
# \qquad L_G=-\mathbb E\,\mathrm{softplus}(\tilde s).$$
#
# All that $G$ ever learns comes through $\tilde s$: first the slope of its
# loss by $\tilde s$, then on through $D$ to $G$'s weights. That first factor is
#
# $$\frac{\partial}{\partial\tilde s}\log\big(1-\sigma(\tilde s)\big)
# =-\sigma(\tilde s)=-D(\tilde x).$$
#
# Early in training the generated examples are bad, $D$ knows it, and
# $D(\tilde x)$ is nearly 0: the worse the generator, the *less* it is told.
# The remedy is in the same paper. Let $G$ minimise
#
# $$L_G=-\mathbb E\log D(G(z))=\mathbb E\,\mathrm{softplus}(-\tilde s),\qquad
# \frac{\partial L_G}{\partial\tilde s}=-\big(1-\sigma(\tilde s)\big).\tag{5}$$
#
# This **non-saturating** loss is the `g_loss` of section 1: label 1 for
# generated rows in the generator's step. Label 0 there would ask $G$ to be
# caught. The three slopes, computed by the backend:

# %%
from_score = {
    "saturating: log(1 − D)": lambda s: -ops.softplus(s),
    "non-saturating: −log D, label 1": lambda s: ops.softplus(-s),
    "label 0: −log(1 − D)": lambda s: ops.softplus(s),
}
s = np.linspace(-8, 8, 201).astype("float32")
slopes = {
    name: ops.convert_to_numpy(input_gradient(loss, s))
    for name, loss in from_score.items()
}
caught = np.array([np.log(0.0025 / 0.9975)], "float32")  # D(G(z)) = 0.0025
for name, loss in from_score.items():
    slope = float(ops.convert_to_numpy(input_gradient(loss, caught))[0])
    print(f"slope by the score at D = 0.0025: {slope:+.4f}   {name}")

# %% tags=["hide-input"]
sigma = 1 / (1 + np.exp(-s))
saturating, non_saturating, wrong_label = slopes.values()
assert np.allclose(saturating, -sigma, atol=1e-5)
assert np.allclose(non_saturating, -(1 - sigma), atol=1e-5)
assert np.allclose(wrong_label, sigma, atol=1e-5), "the opposite direction"

# %%
plotting.curves(
    slopes,
    "The saturating loss is silent exactly where G needs to hear",
    x=s,
    xlabel="score of a generated example (left: D is sure it is generated)",
    ylabel="slope of the generator's loss",
)
plt.show()

# %% [markdown]
# **Figure 3.3.** Descent moves against the slope: negative means "raise
# $\tilde s$". At the left, where training begins, the saturating curve is flat at
# zero and the non-saturating one stands at −1: four hundred times the push at
# $D=0.0025$. Label 0 points the wrong way throughout. Section 6 plays the other two.
#
# The non-saturating game is no longer the minimax game (1): the two losses do
# not sum to zero. Its solution is the same: where $p_g=p_{\text{data}}$ and
# $D=\tfrac12$, neither player has a reason to move.

# %% [markdown]
# ## 4. Playing with two numbers
#
# Networks hide what a game does. So shrink both players to one number each
# (the Dirac-GAN of Mescheder et al. 2018). All real examples are $x=0$. The
# generator always produces $\tilde x=\theta$. The discriminator is a line
# through the origin, $s(x)=\psi x$. The solution is $\theta=0$, a perfect
# generator, with $\psi=0$, an undecided discriminator. The losses (2) are
#
# $$L_D(\theta,\psi)=\mathrm{softplus}(\psi\theta)+\log 2,\qquad
# L_G(\theta,\psi)=-\mathrm{softplus}(\psi\theta).$$
#
# Section 1 alternated. One may also let both players move *at the same time*,
# from the same $(\theta,\psi)$. Does the order matter?
#
# ### Around in circles
#
# Near the solution $\sigma(\psi\theta)\approx\tfrac12$, so that the players
# move by $\dot\theta=\psi/2$ and $\dot\psi=-\theta/2$: a rotation. With
# learning rate $\eta$ one step multiplies $(\theta,\psi)$ by
#
# $$\text{together: }\begin{bmatrix}1&\eta/2\cr-\eta/2&1\end{bmatrix},\qquad
# \text{in turn: }\begin{bmatrix}1-\eta^2/4&\eta/2\cr-\eta/2&1\end{bmatrix}.$$
#
# The eigenvalues of the first are $1\pm i\eta/2$, of modulus
# $\sqrt{1+\eta^2/4}>1$: **every step leads away**, however small $\eta$. The
# second has determinant 1 and, for $\eta<4$, complex eigenvalues, so their
# modulus is exactly 1: it **circles for ever**.
#
# Now add to $L_D$ the penalty $R_1=\tfrac\gamma2\,\mathbb E\lVert\nabla_x
# s(x)\rVert^2$ at real rows: $D$ pays for being steep where the data are. Here
# $\nabla_xs=\psi$, so $\dot\psi=-\theta/2-\gamma\psi$. The matrix of the
# simultaneous step has $1-\eta\gamma$ in its last place, and
#
# $$|\lambda|^2=\det=1-\eta\gamma+\tfrac{\eta^2}4\tag{6}$$
#
# while the eigenvalues are complex ($\gamma<1$). That is below 1 as soon as
# $\gamma>\eta/4$: the game **converges**. Predict the three pictures, then look.


# %%
ETA, GAMMA, MOVES = 0.2, 0.3, 150


def play(rule, moves=MOVES, eta=ETA, momentum=0.0, gamma=GAMMA):
    """Path (moves + 1, 2) of (θ, ψ), starting at (0.8, 0.6)."""
    gamma = gamma if "R1" in rule else 0.0
    theta, psi, speed_g, speed_d = 0.8, 0.6, 0.0, 0.0
    path = [(theta, psi)]
    for _ in range(moves):
        fooled = 1 / (1 + np.exp(-psi * theta))  # D(G(z))
        push_d = -(fooled * theta + gamma * psi)
        speed_d = momentum * speed_d + (1 - momentum) * push_d
        new_psi = psi + eta * speed_d
        if "in turn" in rule:  # G meets the D that has just moved
            psi = new_psi
            fooled = 1 / (1 + np.exp(-psi * theta))
        push_g = psi * (1 - fooled if "non-saturating" in rule else fooled)
        speed_g = momentum * speed_g + (1 - momentum) * push_g
        theta, psi = theta + eta * speed_g, new_psi
        path.append((theta, psi))
    return np.array(path)


rules = ("together", "in turn", "together + R1")
paths = {rule: play(rule) for rule in rules}
radius = {rule: np.linalg.norm(path, axis=1) for rule, path in paths.items()}

# %% tags=["gallery-gan_trajectories"]
figure, axes = plt.subplots(1, 4, figsize=(12.4, 3.4))
for index, rule in enumerate(rules):
    axis, color = axes[index], f"C{index}"
    axis.plot(*paths[rule].T, ".-", color=color, ms=3, lw=0.7)
    axis.plot(*paths[rule][0], "ks", ms=6)
    axis.plot(0, 0, "k*", ms=12)
    axis.set(xlim=(-2.4, 2.4), ylim=(-2.4, 2.4), xlabel="generator θ")
    axis.set_title(f"{rule}:\ndistance 1 → {radius[rule][-1]:.2g}")
    axes[3].semilogy(radius[rule], color=color, label=rule)
axes[0].set_ylabel("discriminator ψ")
axes[3].set(xlabel="step", title="Distance to the solution")
axes[3].legend(fontsize=8)
plt.show()

# %%
theory = {
    "together": np.sqrt(1 + ETA**2 / 4),
    "in turn": 1.0,
    "together + R1": np.sqrt(1 - ETA * GAMMA + ETA**2 / 4),
}
growth = {rule: (r[-1] / r[0]) ** (1 / MOVES) for rule, r in radius.items()}
for rule in rules:
    print(
        f"{rule:<14} distance grows per step by a factor {growth[rule]:.4f}, "
        f"eigenvalues {theory[rule]:.4f}"
    )

# %% tags=["hide-input"]
assert all(abs(growth[rule] - theory[rule]) < 0.002 for rule in rules)
assert np.linalg.norm(play("in turn", 5000)[-1]) > 0.9, "still circling"

# %% [markdown]
# **Figure 3.4.** The same game from the same start (square); the star is the
# solution. Moving together spirals outwards, in turn circles, and the penalty
# turns the outward spiral into an inward one. The measured factors are, within
# .002, the moduli of the eigenvalues.
#
# The non-saturating loss (5) multiplies $G$'s step by $1-\sigma$ in place of
# $\sigma$: the same rotation near the solution, and a faint pull inwards
# further out. With simultaneous steps it comes to rest on a circle of radius
# $\sqrt{2\eta}$: the rate sets the distance.

# %%
for eta in (0.05, 0.1, 0.2):
    rest = np.linalg.norm(play("non-saturating, together", 20_000, eta)[-1])
    print(f"η = {eta:<5} rests at {rest:.3f}   √(2η) = {np.sqrt(2 * eta):.3f}")
    assert abs(rest - np.sqrt(2 * eta)) < 0.02
crept = np.linalg.norm(play("non-saturating, in turn", 20_000)[-1])
print(f"η = 0.2, in turn as in section 1: {crept:.3f}, creeping inwards")
assert crept < 0.1

# %% [markdown]
# **Momentum** keeps pushing the way one went before, which in a rotation is the
# wrong way. Adam's default is $\beta_1=0.9$. Does the penalty still rescue the
# game?

# %%
tried = [(0.0, 0.2, 0.3), (0.5, 0.2, 0.3), (0.9, 0.2, 0.3)]
for beta, eta, gamma in [*tried, (0.9, 0.05, 0.3), (0.9, 0.2, 1.0)]:
    end = np.linalg.norm(play("together + R1", 5000, eta, beta, gamma)[-1])
    print(f"β₁ = {beta}, η = {eta:<4}, γ = {gamma}: distance {end:.4f}")
    assert (end < 1e-2) == ((beta, eta, gamma) != (0.9, 0.2, 0.3))

# %% [markdown]
# Not at this rate and penalty; a smaller rate or a larger penalty wins it back.
# Three suggestions for networks: a penalty on $D$'s slope, a small or falling
# rate, a $\beta_1$ near 0 (Gidel et al. 2019: even below). Section 6 tests the last two,
# [sitting 3b](03b_judging_samples.ipynb) the first.

# %% [markdown]
# ## 5. A GAN in Keras
#
# The loop of section 1 works and has a price: two backward passes, and a
# training step of its own, which published Keras GANs write into
# `train_step`, for one backend. Others set `trainable = False` on one network
# between the calls; Keras 3 on TensorFlow reads that flag when the train function
# is first traced and not again, so that a player frozen at the wrong moment
# never learns, and only a warning says so.
#
# There is another way. Write *one* loss, the sum of both, and cut the paths
# along which one player's loss would reach the other player's weights.
# `ops.stop_gradient` is the pair of scissors: the value passes, the gradient
# does not. (This section uses the functions of section 1.)


# %%
class OnePassGAN(keras.Model):
    """Both players' losses in one sum, each cut off from the other."""

    def __init__(self, generator, discriminator, seed, cut=ops.stop_gradient):
        super().__init__()
        self.cut = cut
        self.generator, self.discriminator = generator, discriminator
        self.noise = keras.random.SeedGenerator(seed)

    def call(self, x):
        z = keras.random.normal((ops.shape(x)[0], 2), seed=self.noise)
        made = self.generator(z)
        d_weights = self.discriminator.trainable_variables
        fixed = [self.cut(weight.value) for weight in d_weights]
        fooled, _ = self.discriminator.stateless_call(fixed, [], made)
        return {
            "real": self.discriminator(x),
            "fake": self.discriminator(self.cut(made)),
            "fooled": fooled,
        }

    def compute_loss(self, x, y, y_pred, *unused):
        d = d_loss(y_pred["real"], y_pred["fake"])
        return d + g_loss(y_pred["fooled"])


# %% [markdown]
# $D$ scores the generated rows twice, with equal numbers. `fake` is for $D$'s
# loss: the rows are cut, so that it cannot move $G$. `fooled` is for $G$'s loss:
# $D$'s *weights* are cut. `stateless_call` is a network as a function of its
# weights, so the gradient passes through $D$ to the rows and leaves $D$ alone.
# One Adam is enough, since it keeps separate moments for every weight.
#
# One thing changes. A single pass moves both players at the same time. So
# compare it with a loop that does the same: same initial weights, same rows,
# same noise, twenty steps. The third is the library's class.


# %%
def together(generator, discriminator, d_adam, g_adam, noise):
    """Two passes, two optimisers, but both players move at once."""
    g_weights = generator.trainable_variables
    d_weights = discriminator.trainable_variables

    def step_at_once(x):
        z = keras.random.normal((256, 2), seed=noise)
        made = generator(z)
        d_slopes = weight_gradients(
            lambda: d_loss(discriminator(x), discriminator(made)), d_weights
        )
        g_slopes = weight_gradients(
            lambda: g_loss(discriminator(generator(z))), g_weights
        )
        d_adam.apply(d_slopes, d_weights)
        g_adam.apply(g_slopes, g_weights)

    return step_at_once


# %%
rows = ring[: 20 * 256]
looped, one_pass, library = (build_players(seed=4) for _ in range(3))
seed_of_noise = keras.random.SeedGenerator(9)
step_at_once = together(*looped, calm_adam(), calm_adam(), seed_of_noise)
for batch in rows.reshape(20, 256, 2):
    step_at_once(ops.convert_to_tensor(batch))
for model in (OnePassGAN(*one_pass, seed=9), GAN(*library, seed=9)):
    model.compile(calm_adam(), run_eagerly=True)
    model.fit(rows, batch_size=256, shuffle=False, verbose=0)


def flat(*networks):
    """All weights in one vector."""
    weights = [w.ravel() for network in networks for w in network.get_weights()]
    return np.concatenate(weights)


start_gap = np.abs(flat(*build_players(seed=4)) - flat(*looped)).max()
print(f"twenty steps moved a weight by up to {start_gap:.2f}")
gap = {
    name: np.abs(flat(*players) - flat(*looped)).max()
    for name, players in {"one pass": one_pass, "library": library}.items()
}
for name in gap:
    print(f"{name}: equal to the loop within 0.0001: {gap[name] < 1e-4}")

# %% tags=["hide-input"]
assert start_gap > 0.05 and max(gap.values()) < 1e-4

# %% [markdown]
# Equal, up to rounding. `GAN` does what the class above does, checks what it is
# given, and takes the networks as arguments; it works with `fit`, `evaluate`
# and `save` on every backend. `GAN.dense` builds dense players in one
# call.
#
# ### Who moves when?
#
# The most important property of a GAN implementation is invisible in its
# output, so test it. Let only one player's loss count, take a step, and see
# which network has moved. Then take the scissors away.


# %%
def moved(weight_of_d, weight_of_g, **scissors):
    """Largest change of D and of G in one step on weighted losses."""
    artist, expert = build_players(seed=0)
    probe = OnePassGAN(artist, expert, seed=0, **scissors)
    probe.compute_loss = lambda x, y, y_pred, *unused: (
        weight_of_d * d_loss(y_pred["real"], y_pred["fake"])
        + weight_of_g * g_loss(y_pred["fooled"])
    )
    before = flat(expert), flat(artist)
    probe.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    probe.fit(ring[:32], verbose=0)
    after = flat(expert), flat(artist)
    return [np.abs(a - b).max() for a, b in zip(before, after, strict=True)]


d_alone, g_alone = moved(1, 0), moved(0, 1)
blunt = {"cut": lambda value: value}
no_cut = moved(1, 0, **blunt), moved(0, 1, **blunt)
for name, (d_change, g_change) in {
    "loss of D alone": d_alone,
    "loss of G alone": g_alone,
    "loss of D alone, no cuts": no_cut[0],
    "loss of G alone, no cuts": no_cut[1],
}.items():
    print(f"{name:<25} D moves {d_change > 0!s:<6} G moves {g_change > 0}")

# %% tags=["hide-input"]
assert d_alone[0] > 1e-5 and d_alone[1] == 0.0
assert g_alone[1] > 1e-5 and g_alone[0] == 0.0
assert min(no_cut[0] + no_cut[1]) > 0.0

# %% [markdown]
# Exactly zero, not nearly. Without the cuts each loss moves both: the players
# would descend the *sum* as one team, as some texts describe GAN training. It
# is not a joint minimisation. Programs that fail this pair of tests are
# common: a generator frozen before the loop and never thawed moves by 0.0 for
# ever; a combined model compiled with $D$ trainable moves $D$ towards *accepting*
# fakes.
#
# ### What is not a GAN
#
# Four more frequent mistakes, and what happens to them here. Noise is not
# an activation; a generator whose output does not fit its discriminator cannot
# play; a generator has neither a target nor a loss of its own; and pixels from 0 to
# 255 against a sigmoid's output let $D$ win by the brightness alone.

# %%
sound = GAN.dense((64,), 4)
flat_generator = keras.Sequential([keras.Input((4,)), keras.layers.Dense(10)])
mistakes = {
    "noise as an activation": lambda: keras.layers.Dense(
        8, activation="normal"
    ),
    "G does not fit D": lambda: GAN(flat_generator, sound.discriminator),
    "a target for G": lambda: sound.fit(np.zeros((32, 64)), np.zeros(32, int)),
    "data out of range": lambda: sound.fit(np.full((32, 64), 255.0)),
}
for name, attempt in mistakes.items():
    try:
        attempt()
    except ValueError as error:
        print(f"{name}: {str(error).splitlines()[0]}")

# %% [markdown]
# ## 6. Mode collapse, provoked and cured
#
# On the ring we know the truth, so we can *count*. A sample is good if it lies
# within three standard deviations of some centre (98.9 % of the data do), a
# mode covered if it gets at least a fifth of its share.
#
# Section 4 suspected momentum and the rate. Four things may differ between two
# runs: the **rate** (Adam's default 1e-3, or 8e-3), **momentum**
# ($\beta_1=0.9$, the default, or 0.5 or 0), the **schedule** (constant, or
# falling towards zero along a cosine), and the **pairing**. Paired players
# (Jolicoeur-Martineau 2018) compare each generated row with a real one,
#
# $$L_D=\mathbb E\,\mathrm{softplus}\big(s(\tilde x)-s(x)\big),\qquad
# L_G=\mathbb E\,\mathrm{softplus}\big(s(x)-s(\tilde x)\big),\tag{7}$$
#
# so that a generated row has to hold its own whichever mode its partner comes
# from. Everything else is fixed: three hidden layers for $G$, two for $D$, 1 200
# steps, three seeds. The quick profile plays the rows that the text quotes, the
# full one all twenty-four. One row more plays the textbook's loss.


# %%
def ring_model(rule):
    """Dense players of the ring, without any penalty."""
    family, options = GAN, {"loss": rule}
    if rule == "pairs":  # whose default is to penalise slopes
        family, options = RelativisticGAN, {"r1": 0.0, "r2": 0.0}
    return family.dense(
        (2,),
        2,
        generator_widths=(64, 64, 64),
        critic_widths=(64, 64),
        output="linear",
        seed=0,
        **options,
    )


@functools.cache
def compiled(beta_1, rule):
    """A model that is compiled once and started afresh for each run."""
    return recipes.compile(ring_model(rule), 1e-3, beta_1=beta_1)


def follow(rate, beta_1, falling, rule):
    """Samples after each hundred steps, for every seed."""

    def rate_of(epoch, _):
        return rate * (0.5 + 0.5 * np.cos(np.pi * epoch / 12) if falling else 1)

    model, paths = compiled(beta_1, rule), []
    for seed in SEEDS:
        restart(model, seed)
        watch = callbacks.Snapshots(lambda m: m.sample(1000, seed=1), range(13))
        calls = [watch, keras.callbacks.LearningRateScheduler(rate_of)]
        model.fit(ring, batch_size=256, epochs=12, verbose=0, callbacks=calls)
        paths.append(list(watch.values.values()))
    return paths


# %%
PLAIN, TEXTBOOK = "non_saturating", "saturating"
QUOTED = [
    (1e-3, 0.9, False, PLAIN),  # Adam's defaults
    (1e-3, 0.0, False, PLAIN),  # momentum alone
    (1e-3, 0.0, True, PLAIN),
    (8e-3, 0.9, False, PLAIN),  # rate alone
    (8e-3, 0.0, False, PLAIN),
    (8e-3, 0.0, True, PLAIN),
    (8e-3, 0.0, True, "pairs"),
    (1e-3, 0.0, False, TEXTBOOK),
]
yes, rules = (False, True), (PLAIN, "pairs")
EVERY = [*itertools.product((1e-3, 8e-3), (0.9, 0.5, 0.0), yes, rules)]
played = profile.pick(quick=QUOTED, full=[*EVERY, QUOTED[-1]])
runs = {s: follow(*s) for s in played if s[3] == PLAIN}

# %%
runs |= {s: follow(*s) for s in played if s[3] != PLAIN}
found = {
    settings: [quality(path[-1]) for path in paths]
    for settings, paths in runs.items()
}


def modes(*settings):
    """Modes covered at the end, one number a seed."""
    return [end.modes for end in found[settings]]


def shares(*settings):
    """Share of samples in place at the end, one number a seed."""
    return [end.share_within for end in found[settings]]


# %% tags=["nbval-ignore-output"]
table = [
    [
        f"{rate:g}",
        f"{beta_1:g}",
        "falling" if falling else "constant",
        {PLAIN: "(5)", TEXTBOOK: "log(1 − D)"}.get(rule, rule),
        " ".join(map(str, modes(rate, beta_1, falling, rule))),
        with_spread(shares(rate, beta_1, falling, rule), 2),
    ]
    for rate, beta_1, falling, rule in runs
]
runtime.record(
    "Eight Gaussians on a ring, 1 200 steps, three seeds, β₂ = .999",
    ["rate", "β₁", "schedule", "loss of G", "modes of 8", "within 3 σ"],
    table,
)

# %% tags=["hide-input"]
assert max(modes(1e-3, 0.9, False, PLAIN)) <= 4
for rule in (PLAIN, TEXTBOOK):
    assert np.mean(modes(1e-3, 0.0, False, rule)) >= 6
slow = [np.mean(shares(1e-3, 0.0, falls, PLAIN)) for falls in (False, True)]
quick = [np.mean(shares(8e-3, 0.0, falls, PLAIN)) for falls in (False, True)]
assert slow[1] < slow[0] - 0.1 and min(quick) > 0.6
assert min(modes(8e-3, 0.0, True, PLAIN) + modes(8e-3, 0.0, True, "pairs")) >= 7
assert all(np.mean(shares(*s)) < 0.5 for s in runs if s[1] == 0.9), "momentum"

# %% [markdown]
# - **Momentum decides.** Adam's defaults reach two modes at most. Take momentum away,
#   nothing else, and seven or eight are covered. With $\beta_1=0.9$ most runs of the full
#   table end on none or one, whatever the rate, schedule or pairing. One seed of
#   three may reach seven or eight at the larger rate, with half of its samples in
#   place. Half as much, 0.5, is borne there.
# - **The rate comes second.** At $\beta_1=0$, constant, the larger puts a fifth to
#   a quarter more of the samples in place.
# - **A falling rate is no good by itself.** At 1e-3 it *hurts*, in every row of the
#   full table without full momentum: training stops before it has arrived. At 8e-3
#   it changes little without momentum and hurts with half.
# - **Pairs change little at 8e-3**; at 1e-3 with a falling rate they bring some
#   seeds further.
# - **The textbook's loss does as well** as (5) here, in its last row against the second.
#   Figure 3.3's silence is not what decides on this ring.
#
# ### What collapse looks like
#
# Adam's defaults *fail to converge*: their samples run about and serve hardly any
# mode. Collapse is something else: nearly all samples in one place. The larger
# rate with momentum does that, for moments. Try seed after seed, and look every
# twenty steps, until one mode holds four fifths of the samples.


# %%
def largest_mode(samples):
    """Share of the samples that lie in the fullest mode."""
    return quality(samples).counts.max() / len(samples)


def fullest_moment(seed):
    """Of forty moments, that with most samples in one mode: (step, samples)."""
    restart(wild, seed)
    watch = callbacks.Snapshots(lambda m: m.sample(1000, seed=1), range(1, 41))
    wild.fit(
        ring[:5120], batch_size=256, epochs=40, verbose=0, callbacks=[watch]
    )
    epoch = max(watch.values, key=lambda e: largest_mode(watch.values[e]))
    return 20 * epoch, watch.values[epoch]


wild = compiled(beta_1=0.9, rule=PLAIN)
wild.optimizer.learning_rate = 8e-3
for seed in range(20):
    when, collapsed = fullest_moment(seed)
    if largest_mode(collapsed) >= 0.8:
        break

# %% tags=["nbval-ignore-output", "gallery-gan_ring"]
figure, axes = plt.subplots(1, 4, figsize=(11.2, 3.1))
drifting = runs[1e-3, 0.9, False, PLAIN][0]
for axis, epoch in zip(axes, (6, 12), strict=False):
    n = quality(drifting[epoch]).modes
    ring_panel(axis, drifting[epoch], f"defaults, step {100 * epoch}\n{n} of 8")
title = f"collapse, step {when}\n{largest_mode(collapsed):.0%} in one mode"
ring_panel(axes[2], collapsed, title)
calm_end = runs[8e-3, 0.0, True, PLAIN][0][-1]
n = quality(calm_end).modes
ring_panel(axes[3], calm_end, f"no momentum, falling\n{n} of 8")
plt.show()

# %% tags=["hide-input"]
assert largest_mode(collapsed) >= 0.8

# %% [markdown]
# **Figure 3.5.** Left, two moments of Adam's defaults: rays and arcs that miss
# the clusters, no convergence. Third, true **mode collapse**: a thousand noise
# vectors, one place. $D$ learns that this region is suspect, $G$ leaves for
# another: the rotation of section 4, in the large. Right,
# the cure. Look closely at it: threads of samples run between modes. A
# continuous generator maps connected noise to a connected set; it cannot jump,
# only hurry across the gaps.

# %% tags=["nbval-ignore-output"]
lines = {
    "Adam's defaults": runs[1e-3, 0.9, False, PLAIN],
    "no momentum": runs[1e-3, 0.0, False, PLAIN],
    "no momentum, 8e-3": runs[8e-3, 0.0, False, PLAIN],
    "no momentum, 8e-3, falling": runs[8e-3, 0.0, True, PLAIN],
}
plotting.curves(
    {
        name: [[quality(x).share_within for x in path] for path in paths]
        for name, paths in lines.items()
    },
    "Dropping momentum matters most, then the rate",
    x=100 * np.arange(13),
    xlabel="step",
    ylabel="share of samples within 3 σ of a mode",
)
plt.show()

# %% [markdown]
# **Figure 3.6.** Mean of three seeds, the band from worst to best. Each line
# differs from the one above it in the legend in one setting. The lowest never
# settles; the larger rate arrives in half the steps.
#
# ## What we have shown
#
# - A GAN is two networks, two losses and two optimisers; the loop of most
#   tutorials drew the ring in 800 steps.
# - Against the best discriminator the generator minimises
#   $-\log4+2\,\mathrm{JS}$; an undecided one has the loss $2\log2$, at the start
#   and again at the solution.
# - The textbook loss passes on $D(\tilde x)$ of its slope, next to nothing
#   where $D$ is sure; with label 1 it passes on $1-D(\tilde x)$.
# - With the textbook loss moving together spirals outwards, in turn circles; a
#   penalty on $D$'s slope converges at the eigenvalues' rate. Momentum of 0.9 undoes
#   it, a smaller rate or a larger penalty wins it back.
# - One loss with two cuts gave, with `fit`, the weights of the loop.
# - On the ring momentum decided, the rate came second, and pairs and the textbook's loss
#   changed little.
#
# **Limits.** One ring, small networks, 1 200 steps: with other networks the order
# of the factors may change.
#
# **Next.** The exercises; then [3b](03b_judging_samples.ipynb) draws digits and
# asks how good they are.
#
# ## References
#
# Gidel et al. (2019), *Negative momentum*, AISTATS · Goodfellow et al. (2014),
# *Generative adversarial nets*, NeurIPS · Jolicoeur-Martineau (2019), *The relativistic
# discriminator*, ICLR (arXiv 2018) · Mescheder, Geiger, Nowozin (2018), *Which
# training methods for GANs do actually converge?*, ICML.
#
# ## Exercises
#
# Each needs only the set-up cells at the top. Write your answer where it says
# `# your answer here`, run the cell, then the check below it.

# %% [markdown] tags=["exercise"]
# ### Exercise 3.1 · Two kinds of examples, with a pencil
#
# *You will learn what D answers, and what G hears of it.* The data are of
# kind A with probability 0.9 and of kind B with 0.1; the generator produces A
# with 0.3 and B with 0.7. Give five numbers, to three decimals or as fractions:
# $D^*(A)$, $D^*(B)$, the value $V(D^*,G)$ in nats; then, for a generated row of
# kind B scored by $D^*$, the slope by its *score* of the saturating loss
# $\log(1-D)$ and of the non-saturating loss $-\log D$.

# %% tags=["exercise"]
answer_3_1 = None
### BEGIN SOLUTION
d_a = 0.9 / (0.9 + 0.3)
d_b = 0.1 / (0.1 + 0.7)
value_3_1 = (
    0.9 * np.log(d_a)
    + 0.1 * np.log(d_b)
    + 0.3 * np.log(1 - d_a)
    + 0.7 * np.log(1 - d_b)
)
answer_3_1 = [d_a, d_b, value_3_1, -d_b, -(1 - d_b)]
### END SOLUTION

# %% tags=["check"]
checks.check_3_1(answer_3_1)

# %% [markdown] tags=["discussion"]
# $D^*(A)=0.9/1.2=0.75$ and $D^*(B)=0.1/0.8=0.125$;
# $V=-0.976=-\log4+2\cdot0.205$. The slopes are $-D=-0.125$ and
# $-(1-D)=-0.875$. B is what the generator makes too much of, so $D^*$ doubts
# it, and there the non-saturating loss speaks seven times louder. Both slopes
# are $-\tfrac12$ at $D=\tfrac12$.

# %% [markdown] tags=["exercise"]
# ### Exercise 3.2 · Two losses, one backward pass
#
# *You will learn which path belongs to whom.* `generator(z, theta)` returns
# rows, `discriminator(x, psi)` returns **scores** of shape $(n,1)$; both are
# written with `keras.ops`, all arguments tensors. Return the two losses as scalars: $L_D$ of
# equation (2) and the non-saturating $L_G$ of (5). Their *sum* will be
# differentiated in one pass, so cut the paths: $L_D$ must not move $\theta$
# and $L_G$ must not move $\psi$.


# %% tags=["exercise"]
def players_losses(generator, discriminator, theta, psi, x, z):
    """Return (d_loss, g_loss), each the gradient of its own player only."""
    ### BEGIN SOLUTION
    made = generator(z, theta)
    real = discriminator(x, psi)
    fake = discriminator(ops.stop_gradient(made), psi)
    fooled = discriminator(made, ops.stop_gradient(psi))
    d_loss = ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))
    return d_loss, ops.mean(ops.softplus(-fooled))
    ### END SOLUTION


# %% tags=["check"]
checks.check_3_2(players_losses)

# %% [markdown] tags=["discussion"]
# The generated rows are scored twice, with the same value: once cut before
# $D$, for $L_D$, once with $D$'s weights cut, for $L_G$. Keras's
# `BinaryCrossentropy(from_logits=True)` against ones and zeros gives the same
# numbers. Three popular shortcuts fail here: real rows only (then $D$ learns
# to say "real" to everything), label 0 in the generator's step (then $G$
# learns to be caught), and no cuts (then each player works against itself).

# %% [markdown] tags=["exercise"]
# ### Exercise 3.3 · Build the step
#
# *You will learn to write the heart of every GAN program.* Write one
# alternating step with two optimisers: move $D$ on the rows `x` and on what $G$
# makes of `z_d`, then move $G$ on `z_g` against the $D$ that has just moved.
# The networks are Keras models, `discriminator` returns scores; take the losses
# (2) for $D$ and (5) for $G$, means over the batch. Nothing need be returned.


# %% tags=["exercise"]
def gan_step(generator, discriminator, d_optimizer, g_optimizer, x, z_d, z_g):
    """One step of D, then one of G; the networks' weights change in place."""
    ### BEGIN SOLUTION
    made = generator(z_d)
    slopes = weight_gradients(
        lambda: (
            ops.mean(ops.softplus(-discriminator(x)))
            + ops.mean(ops.softplus(discriminator(made)))
        ),
        discriminator.trainable_variables,
    )
    d_optimizer.apply(slopes, discriminator.trainable_variables)
    slopes = weight_gradients(
        lambda: ops.mean(ops.softplus(-discriminator(generator(z_g)))),
        generator.trainable_variables,
    )
    g_optimizer.apply(slopes, generator.trainable_variables)
    ### END SOLUTION


# %% tags=["check"]
checks.check_3_3(gan_step)

# %% [markdown] tags=["discussion"]
# `made` is computed before the loss, outside what is differentiated, so that
# $D$'s step cannot reach $G$; and `apply` is given one player's weights, which
# does the rest. Fresh noise matters: with `z_d` again, $G$ would train on the
# very rows for which $D$ has just been prepared.

# %% [markdown] tags=["exercise"]
# ### Exercise 3.4 · Which of the two cures? (experiment)
#
# *You will learn to change one thing at a time.* Can pairs replace calm? Train
# two models of the `ring`, both with a learning rate that falls to zero,
# $\beta_2=0.999$ and 1 500 steps or more: `paired`, a `RelativisticGAN` without
# penalties (`r1=0, r2=0`) and with Adam's default $\beta_1=0.9$, and `calm`,
# a plain `GAN` with $\beta_1=0$. Count 2 000 samples of each with
# `quality`. A model is rescued if it covers 8 modes and has at least 80 % of its
# samples within three standard deviations. List the rescued ones by name.

# %% tags=["exercise"]
paired, calm, rescued = None, None, None
### BEGIN SOLUTION
nets = {
    "generator_widths": (64, 64, 64),
    "critic_widths": (64, 64),
    "output": "linear",
    "seed": 1,
}
paired = RelativisticGAN.dense((2,), 2, r1=0.0, r2=0.0, **nets)
calm = GAN.dense((2,), 2, **nets)
for model, beta_1 in ((paired, 0.9), (calm, 0.0)):
    recipes.compile(model, 5e-3, updates=1500, beta_1=beta_1)
    model.fit(ring, batch_size=256, epochs=15, verbose=0)
rescued = []
for name, model in {"paired": paired, "calm": calm}.items():
    counted = quality(model.sample(2000, seed=1))
    if counted.modes == 8 and counted.share_within >= 0.8:
        rescued.append(name)
### END SOLUTION

# %% tags=["check", "nbval-ignore-output"]
checks.check_3_4(paired, calm, rescued)

# %% [markdown] tags=["discussion"]
# Over four seeds, 1 500 steps and this rate: the plain game *with* momentum
# ended with 0 or 1 mode; pairs with momentum with 0 to 2; the calm plain game
# with 8 and 87 to 94 % of the samples in place. Yet pairs are not idle. With
# $\beta_2=0.9$ in place of 0.999, momentum left the plain game 0, 1, 6 and 8
# modes, pairs 5, 7, 8 and 8, with 35 to 57 % in place: they keep modes, calm
# lets the players settle. Had one changed both at once, the newer loss would
# have got all the credit.
