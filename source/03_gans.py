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
# # Chapter 3 · Generative adversarial networks: learning by contest
#
# An autoencoder can copy a digit but cannot invent one. A generative
# adversarial network, a GAN, can: one network draws, a second one tells
# drawings from real examples, and each improves because the other does. Nobody
# writes down what a good drawing is. This chapter plays the game first on
# paper, then with two numbers, then with networks; it provokes the famous
# failures on purpose, measures them, and cures them.
#
# **We will show**
#
# - what the game's optimum is, and that a computer finds what the algebra says;
# - why the textbook's generator loss stalls and what everybody uses instead;
# - that plain gradient play circles around its solution, and which penalty
#   makes it converge;
# - a GAN in Keras with `fit` alone, on every backend, with one backward pass;
# - mode collapse: provoked, counted, cured;
# - digits drawn from noise, at will or by class, judged by numbers beside
#   honest baselines;
# - a critic whose loss tracks quality, and what each failure looks like in
#   the curves.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 1](01_concepts.ipynb): cross-entropy, gradient descent; [Chapter 2](02_autoencoders.ipynb), section 12 |
# | Data | eight Gaussians on a ring; scikit-learn's digits (full profile: MNIST) |
# | Time | about a minute on two CPU cores; two to three hours of reading and exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup"]
import inspect

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops

from utils import callbacks, data, gans, generation, plotting
from utils.backend import input_gradient
from utils.gans import GAN
from utils.judge import Judge

plotting.use_style()

# %% [markdown]
# ## 1. The game and its optimum
#
# The **generator** $G:\mathbb R^k\to\mathbb R^d$ turns noise
# $z\sim\mathcal N(0,I)$ into an example $\tilde x=G(z)$. It never sees a real
# one. The **discriminator** $D$ takes an example, real or generated, and
# returns $D(x)\in(0,1)$: the *probability* it gives to "real", not a label.
# Goodfellow et al. (2014) let both play for one number,
#
# $$\min_G\max_D\;V(D,G)=\mathbb E_{x\sim p_{\text{data}}}\big[\log D(x)\big]
# +\mathbb E_{z\sim\mathcal N(0,I)}\big[\log\big(1-D(G(z))\big)\big].\tag{1}$$
#
# Read the two operators before the sum. $D$ *maximises*: it wants $D(x)$
# large on real rows and $D(\tilde x)$ small on generated ones, that is, to
# make few errors. $G$ *minimises*: it wants $D$ to err on its products. The
# goals are opposed. This is not one loss that both lower together, nor a
# "difference between two networks"; written as losses there are two, each
# with weights of its own to move:
#
# $$L_D=-\mathbb E\log D(x)-\mathbb E\log\big(1-D(G(z))\big),\qquad
# L_G=\mathbb E\log\big(1-D(G(z))\big).\tag{2}$$
#
# ### The best discriminator
#
# Hold $G$ fixed. Its products have some distribution $p_g$, and on a
# countable set of examples (1) is a sum with one term for each $x$:
#
# $$V(D,G)=\sum_x p_{\text{data}}(x)\log D(x)+p_g(x)\log\big(1-D(x)\big).$$
#
# $D$ may choose each $D(x)$ freely, so each term is maximised by itself. With
# $a=p_{\text{data}}(x)$ and $b=p_g(x)$ the slope of
# $a\log D+b\log(1-D)$ is $a/D-b/(1-D)$. It vanishes where $a(1-D)=bD$, and it
# falls as $D$ grows, so that
#
# $$D^*(x)=\frac{p_{\text{data}}(x)}{p_{\text{data}}(x)+p_g(x)}\tag{3}$$
#
# is the maximum. Now put $D^*$ back. With the mixture
# $m=\tfrac12(p_{\text{data}}+p_g)$ we have $D^*=p_{\text{data}}/2m$ and
# $1-D^*=p_g/2m$, hence
#
# $$\begin{aligned}V(D^*,G)&=\sum_x p_{\text{data}}\log\frac{p_{\text{data}}}{2m}
# +p_g\log\frac{p_g}{2m}\\
# &=-2\log2+\mathrm{KL}(p_{\text{data}}\Vert m)+\mathrm{KL}(p_g\Vert m)\\
# &=-\log4+2\,\mathrm{JS}(p_{\text{data}}\Vert p_g),\end{aligned}\tag{4}$$
#
# with the Jensen–Shannon divergence
# $\mathrm{JS}=\tfrac12\mathrm{KL}(p_{\text{data}}\Vert m)
# +\tfrac12\mathrm{KL}(p_g\Vert m)$. It is 0 where both distributions agree
# and at most $\log2$. So against a perfect $D$ the generator minimises a
# distance between distributions, although nobody computes either of them.
# The optimum is $p_g=p_{\text{data}}$, $D^*=\tfrac12$ everywhere, $V=-\log4$.
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

# %%
assert abs(value(d_star, p_data, p_g) - by_formula) < 1e-12
assert value(random_d, p_data, p_g).max() < by_formula
undecided = np.full(5, 0.5)
assert np.isclose(-value(undecided, p_data, p_g), 2 * np.log(2))
assert np.isclose(value(undecided, p_data, p_data), -np.log(4))

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
# **Figure 3.1.** Left: where only real examples occur $D^*$ would be 1, where
# only generated ones occur 0, and where both are equally frequent it is
# $\tfrac12$, the third kind here. Right: most random discriminators do worse
# than one that answers "$\tfrac12$" to everything and has read no example at
# all. That undecided one is worth remembering: its loss is
# $L_D=2\log2\approx1.386$, **the number that a GAN's discriminator loss
# starts from, and returns to when the generator has won**. A discriminator
# loss of 1.386 is therefore either a triumph or a discriminator that has
# learned nothing, and the loss alone cannot say which.
#
# One caution goes with (4). It describes the *best* $D$ against a fixed $G$.
# In practice both move at once, each a small step down its own slope, and
# nothing in (3) or (4) promises that such play arrives at the equilibrium
# ("Nash equilibrium": neither player gains by moving alone). Section 3 shows
# the smallest game in which it does not.

# %% [markdown]
# ## 2. Why the textbook loss stalls
#
# A network does not output $D(x)$ but a number $s(x)$, the **logit**, with
# $D(x)=\sigma(s)=1/(1+e^{-s})$, strictly between 0 and 1 for any finite $s$. In
# terms of logits the losses of (2) are, with
# $\mathrm{softplus}(s)=\log(1+e^s)$ and $\tilde s=s(G(z))$,
#
# $$L_D=\mathbb E\,\mathrm{softplus}(-s)+\mathbb E\,\mathrm{softplus}(\tilde s),
# \qquad L_G=-\mathbb E\,\mathrm{softplus}(\tilde s).$$
#
# All that $G$ ever learns comes through $\tilde s$: first the slope of its
# loss by $\tilde s$, then on through $D$ to the picture and to $G$'s weights.
# If the first factor is zero, so is the rest. That slope is
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
# This **non-saturating** loss is what one gets by giving the generated rows
# the label 1 in the generator's step. It pushes $\tilde s$ the same way,
# upwards, and pushes hardest where the generator is worst. Label 0 in that step
# would ask $G$ to be caught. The three slopes, computed by the backend rather
# than by us:

# %%
from_logit = {
    "saturating: log(1 − D)": lambda s: -ops.softplus(s),
    "non-saturating: −log D, label 1": lambda s: ops.softplus(-s),
    "label 0: −log(1 − D)": lambda s: ops.softplus(s),
}
s = np.linspace(-8, 8, 201).astype("float32")
slopes = {
    name: ops.convert_to_numpy(input_gradient(loss, s))
    for name, loss in from_logit.items()
}
caught = np.array([np.log(0.0025 / 0.9975)], "float32")  # D(G(z)) = 0.0025
for name, loss in from_logit.items():
    slope = float(ops.convert_to_numpy(input_gradient(loss, caught))[0])
    print(f"slope by the logit at D = 0.0025: {slope:+.4f}   {name}")

# %%
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
    xlabel="logit of a generated example (left: D is sure it is generated)",
    ylabel="slope of the generator's loss",
)
plt.show()

# %% [markdown]
# **Figure 3.2.** Slopes by the logit of a generated example; descent moves
# against the slope, so negative means "raise $\tilde s$". At the left, where
# training begins, the blue curve is flat at zero and the orange one stands
# at −1: four hundred times the push at $D=0.0025$. The red one points the
# wrong way throughout.
#
# How long does the difference last? Follow gradient flow on the logit
# itself, $d\tilde s/dt=-\partial L_G/\partial\tilde s$, from
# $\tilde s=-6$ to 0, where $D$ is undecided. Both cases integrate by hand:
# $\int(1+e^{-s})\,ds$ for the saturating loss, $\int(1+e^{s})\,ds$ for the other.

# %%
exact = {"saturating": 5 + np.exp(6), "non-saturating": 7 - np.exp(-6)}
rate = {
    "saturating": lambda s: 1 / (1 + np.exp(-s)),
    "non-saturating": lambda s: 1 / (1 + np.exp(s)),
}
for name, time in exact.items():
    logit, steps = -6.0, 0
    while logit < 0:  # plain descent with small steps
        logit, steps = logit + 0.01 * rate[name](logit), steps + 1
    print(f"{name:<15} time {0.01 * steps:7.2f}   by hand {time:7.2f}")
    assert np.isclose(0.01 * steps, time, rtol=0.01)

# %% [markdown]
# Four hundred units of time against seven. The non-saturating game is no
# longer the minimax game (1): $G$ and $D$ minimise two losses that do not sum
# to zero. Its solution is the same: where $p_g=p_{\text{data}}$ and
# $D=\tfrac12$, neither player has a reason to move.

# %% [markdown]
# ## 3. Playing with two numbers
#
# Networks hide what a game does. So shrink both players to one number each
# (Mescheder et al. 2018 call this the Dirac-GAN). All real examples are
# $x=0$. The generator always produces $\tilde x=\theta$. The discriminator is
# a line through the origin, $s(x)=\psi x$. The solution is $\theta=0$, a
# perfect generator, with $\psi=0$, an undecided discriminator. The losses
# (2) are now
#
# $$L_D(\theta,\psi)=\mathrm{softplus}(\psi\theta)+\log 2,\qquad
# L_G(\theta,\psi)=-\mathrm{softplus}(\psi\theta).$$
#
# ### One training step
#
# Equation (1) does not say what a step is. The recipe of the original paper
# *alternates*:
#
# 1. draw a mini-batch of real rows and fresh noise; move $D$ down
#    $\partial L_D/\partial\psi$, with real rows *and* generated rows in the
#    loss; leave $G$ alone;
# 2. draw fresh noise; move $G$ down $\partial L_G/\partial\theta$, a gradient
#    that arrives *through* $D$; leave $D$'s weights alone.
#
# That means two backward passes, each with its own list of weights, which is
# why published Keras GANs override `train_step` and so bind themselves to one
# backend. Others set `trainable = False` on one network between the calls. In
# Keras 3 on TensorFlow that flag is read when the train function is first
# traced and not again: a discriminator frozen at the wrong moment never
# learns, or is never frozen, and only a warning says so.
#
# There is another way. Write *one* loss, the sum of both, and cut the paths
# along which one player's loss would reach the other player's weights.
# `ops.stop_gradient` is the pair of scissors: the value passes, the gradient
# does not.


# %%
def both_losses(weights, cut):
    """L_D + L_G of the two-number game; cut separates the players."""
    theta, psi = weights[0], weights[1]
    d_loss = ops.softplus(psi * cut(theta)) + np.log(2)
    g_loss = -ops.softplus(cut(psi) * theta)
    return d_loss + g_loss


def gradients(weights, cut=ops.stop_gradient):
    """Gradient of the summed losses by (θ, ψ), in one backward pass."""
    by_weights = input_gradient(lambda w: both_losses(w, cut), weights)
    return ops.convert_to_numpy(by_weights)


start = np.array([0.8, 0.6], "float32")  # θ and ψ
theta, psi = (w.reshape(()) for w in start)
separate = [
    input_gradient(lambda t: -ops.softplus(psi * t), theta),  # L_G by θ
    input_gradient(lambda p: ops.softplus(p * theta), psi),  # L_D by ψ
]
separate = np.array([ops.convert_to_numpy(g) for g in separate])
uncut = gradients(start, cut=lambda w: w)
print("two separate backward passes", separate.round(4))
print("one pass, with the cuts     ", gradients(start).round(4))
print("one pass, without           ", np.abs(uncut).round(4))

# %%
for seed in range(20):
    t, p = np.random.default_rng(seed).normal(0, 2, 2).astype("float32")
    certainty = 1 / (1 + np.exp(-p * t))  # σ(ψθ), the probability of "real"
    by_hand = [-certainty * p, certainty * t]
    assert np.allclose(gradients(np.stack([t, p])), by_hand, atol=1e-5)
assert np.allclose(gradients(start), separate, atol=1e-6)
assert np.allclose(uncut, 0, atol=1e-6), "without the cuts nobody moves"

# %% [markdown]
# With the cuts, one backward pass gives each player exactly the gradient of
# its own loss. Without them both would descend the *sum* of the losses as one
# team; here that sum is the constant $\log2$, and nobody moves at all. Some
# texts describe GAN training as such a joint minimisation. It is not.
#
# One thing does change. A single pass moves both players *at the same
# time*; alternating play lets $G$ answer a discriminator that has just
# moved. Does the order matter?
#
# ### Around in circles
#
# Near the solution $\sigma(\psi\theta)\approx\tfrac12$, so that the players
# move by $\dot\theta=\psi/2$ and $\dot\psi=-\theta/2$: a rotation. With
# learning rate $\eta$ one step multiplies $(\theta,\psi)$ by
#
# $$\text{simultaneous: }\begin{pmatrix}1&\eta/2\\-\eta/2&1\end{pmatrix},\qquad
# \text{alternating: }\begin{pmatrix}1-\eta^2/4&\eta/2\\-\eta/2&1\end{pmatrix}.$$
#
# The eigenvalues of the first are $1\pm i\eta/2$, of modulus
# $\sqrt{1+\eta^2/4}>1$: **every step leads away**, however small $\eta$. The
# second has determinant 1 and complex eigenvalues (for $\eta<4$), which
# therefore have modulus exactly 1: it **circles for ever**. Neither
# converges.
#
# Now add to $L_D$ the penalty $R_1=\tfrac\gamma2\,\mathbb E\lVert\nabla_x
# s(x)\rVert^2$ at real rows: the discriminator pays for being steep where the
# data are. Here $\nabla_xs=\psi$, so $\dot\psi=-\theta/2-\gamma\psi$, and the
# simultaneous step becomes
#
# $$\begin{pmatrix}1&\eta/2\\-\eta/2&1-\eta\gamma\end{pmatrix},\qquad
# |\lambda|^2=\det=1-\eta\gamma+\tfrac{\eta^2}4,\tag{6}$$
#
# where the second formula holds for $\gamma<1$, while the eigenvalues are
# complex. It is below 1 as soon as $\gamma>\eta/4$: the game **converges**.
# Predict the three pictures, then look.


# %%
ETA, GAMMA, MOVES = 0.2, 0.3, 150


def play(rule, moves=MOVES, eta=ETA):
    """Path (moves + 1, 2) of (θ, ψ), starting at (0.8, 0.6)."""
    gamma = GAMMA if "R1" in rule else 0.0
    theta, psi = 0.8, 0.6
    path = [(theta, psi)]
    for _ in range(moves):
        fooled = 1 / (1 + np.exp(-psi * theta))  # D(G(z))
        new_psi = psi - eta * (fooled * theta + gamma * psi)
        if "alternating" in rule:  # G meets the D that has just moved
            psi = new_psi
            fooled = 1 / (1 + np.exp(-psi * theta))
        weight = 1 - fooled if "non-saturating" in rule else fooled
        theta, psi = theta + eta * weight * psi, new_psi
        path.append((theta, psi))
    return np.array(path)


rules = ("simultaneous", "alternating", "simultaneous + R1")
paths = {rule: play(rule) for rule in rules}
radius = {rule: np.linalg.norm(path, axis=1) for rule, path in paths.items()}
first_step = start - ETA * gradients(start)
assert np.allclose(paths["simultaneous"][1], first_step, atol=1e-6)

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
    "simultaneous": np.sqrt(1 + ETA**2 / 4),
    "alternating": 1.0,
    "simultaneous + R1": np.sqrt(1 - ETA * GAMMA + ETA**2 / 4),
}
growth = {rule: (r[-1] / r[0]) ** (1 / MOVES) for rule, r in radius.items()}
for rule in rules:
    print(
        f"{rule:<18} distance grows per step by a factor {growth[rule]:.4f}, "
        f"eigenvalues {theory[rule]:.4f}"
    )
    assert abs(growth[rule] - theory[rule]) < 0.002
assert np.linalg.norm(play("alternating", 5000)[-1]) > 0.9, "still circling"

# %% [markdown]
# **Figure 3.3.** The same game from the same start (square), three ways;
# the star is the solution. Moving together spirals outwards, taking turns
# circles, and the penalty turns the outward spiral into an inward one. The
# measured factors are the moduli of the eigenvalues.
#
# What of the non-saturating loss (5)? It multiplies $G$'s step by $1-\sigma$ in
# place of $\sigma$, which are equal where $D$ is undecided. The rotation near
# the solution is the same, but further out there is a faint pull inwards. With
# simultaneous steps it balances the push outwards on a circle of radius
# $\sqrt{2\eta}$: the distance at which training comes to rest *around* the
# solution is set by the learning rate.

# %%
for eta in (0.05, 0.1, 0.2):
    rest = np.linalg.norm(play("non-saturating, simultaneous", 20_000, eta)[-1])
    print(f"η = {eta:<5} rests at {rest:.3f}   √(2η) = {np.sqrt(2 * eta):.3f}")
    assert abs(rest - np.sqrt(2 * eta)) < 0.02
assert np.linalg.norm(play("non-saturating, R1", 1000)[-1]) < 1e-6

# %% [markdown]
# Three lessons for real networks. A gradient penalty on the discriminator is
# worth more than the order of the moves. A learning rate that falls
# during training lets the circle shrink. And **momentum**, which keeps
# pushing the way one went before, is bad company in a rotation: GANs are
# trained with Adam's $\beta_1$ at or near 0, not at its default 0.9.
