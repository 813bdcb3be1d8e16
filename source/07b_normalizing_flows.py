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
# # Chapter 7b · Normalising flows: exact likelihood by a change of variables
#
# A VAE could say of a row only that $\log p(x)$ is *at least* so much. A flow says how
# much it is. It bends space until the data look like standard normal noise, in steps
# that can be undone and whose stretching can be counted; then the density of a row is
# the density of the noise times the stretching. That is school mathematics, and the
# model fits into forty lines. What it costs is that nothing may be thrown away, and
# what it tempts one to is comparing numbers that are not comparable.
#
# **We will show**
#
# - a flow (RealNVP) written on the page, its loss equal to the library's, its inverse
#   and its log-determinant checked by other means;
# - on a toy set whose true density is known, how many nats are missing, beside a
#   kernel density and a Gaussian mixture: the mixture wins;
# - why a density of grey levels means nothing before noise is added, and how noise over
#   half a cell makes a report better by one bit a dimension and the model by nothing;
# - digits in bits a dimension beside seven classical densities and the VAE of chapter
#   4;
# - what a likelihood does not say: faded digits are nearly as likely as digits, and to
#   a Gaussian a blank sheet is likelier than both.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 4a](04a_from_bound_to_model.ipynb); [4b](04b_what_it_is_good_for.ipynb), section 5: bits a dimension |
# | Data | two moons, **generated**; scikit-learn's digits (full profile: MNIST) |
# | Time | about a minute on two CPU cores; 45 minutes of reading, an hour for the exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup", "hide-input"]
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers, ops
from scipy.stats import norm, spearmanr
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from utils import data, plotting
from utils.baselines.mixtures import choose_gaussian_mixture, choose_mixture
from utils.checks import chapter_07b as checks
from utils.data.toy import moons_log_density
from utils.models import AffineCoupling, Flow, Marginals
from utils.training import recipes
from utils.training.repeats import restart, with_spread

plotting.use_style()

# %% [markdown]
# **Parameters.** Everything that differs between the quick and the full
# profile stands in this one cell.

# %% tags=["setup"]
DATA = profile.pick(quick="digits", full="mnist")
LEVELS = profile.pick(quick=17, full=256)
MOON_STEPS = profile.pick(quick=800, full=3000)  # updates of a flow
SIZES = profile.pick(quick=(500, 5000), full=(500, 5000, 50_000))
COUPLINGS = profile.pick(quick=8, full=8)  # of the flow of images
WIDTHS = profile.pick(quick=(128,), full=(512,))
EPOCHS = profile.pick(quick=32, full=4)
BATCH = profile.pick(quick=64, full=200)
RATE = profile.pick(quick=2e-3, full=1e-3)
SEEDS = profile.pick(quick=(0, 1, 2), full=(0,))
ROUNDS = profile.pick(quick=8, full=1)  # through the rows, an epoch
COPIES = profile.pick(quick=4, full=1)  # of rows, each with its own noise
PARTS = profile.pick(quick=(5, 10), full=(5,))  # of a mixture
DRAWS = profile.pick(quick=16, full=4)  # of the noise, in a bound

# %% [markdown]
# ## 1. One formula
#
# Let $f$ be smooth, with a smooth inverse, and say that $z=f(x)$ is standard normal. How
# is $x$ distributed? The mass of a small piece of $x$-space is that of the piece of
# $z$-space it is mapped to, and the two have different volumes:
#
# $$\log p(x)=\log\mathcal N\big(f(x);0,I\big)
# +\log\Big|\det\frac{\partial f}{\partial x}\Big|.\tag{1}$$
#
# The second term is the part that is forgotten. In one dimension it is the logarithm of
# the slope. Take $f(x)=\operatorname{arsinh}(2x)$ and integrate with it and without:

# %%
x = np.linspace(-6, 6, 1201)
z = np.arcsinh(2 * x)  # rising, onto all real numbers
slope = 2 / np.sqrt(1 + (2 * x) ** 2)
p = norm.pdf(z) * slope
step = x[1] - x[0]
print(f"with the slope: {p.sum() * step:.3f}")
print(f"without it:     {norm.pdf(z).sum() * step:.3f}")

# %% tags=["hide-input"]
assert abs(p.sum() * step - 1) < 0.01
assert abs(norm.pdf(z).sum() * step - 1) > 0.1

# %% [markdown]
# Without the slope it is no density. With it, (1) is *exact*: no bound, no sampling, and
# one may train on $-\log p(x)$ itself. If $f=f_L\circ\dots\circ f_1$, the
# log-determinants of the steps add up (Rezende and Mohamed 2015). So we need steps that
# are flexible, can be inverted, and whose determinant does not cost $d^3$.
#
# ## 2. RealNVP on the page
#
# An **affine coupling** (Dinh et al. 2017) splits the entries by a mask $m$ of zeros and
# ones. Those under the mask stay. They also decide, through any network, what happens to
# the others:
#
# $$z=m\odot x+(1-m)\odot\big(x\odot e^{s}+t\big),\qquad
# (t,s)=\text{network}(m\odot x).\tag{2}$$
#
# The way back needs no inverse of the network: what it saw is still there, so compute $t$
# and $s$ again and solve for $x$. The Jacobian is triangular once the kept entries are
# written first, with 1 and $e^{s_j}$ on its diagonal:
#
# $$\log\Big|\det\frac{\partial z}{\partial x}\Big|=\sum_j(1-m_j)\,s_j.\tag{3}$$
#
# One coupling leaves half of the entries alone; the next one swaps the roles.
#
# The data are two half circles, blurred by noise of 0.08. We know how they are made, so
# we know their density: an integral over the angle, which
# `moons_log_density` computes to six digits. (Entries are shifted and scaled to mean
# 0 and deviation 1; by (1), the logarithms of the deviations then move all log-densities
# alike.)

# %%
NOISE = 0.08
moons, _ = data.make_toy("moons", 5000, noise=NOISE, seed=10)
fresh, moon = data.make_toy("moons", 10_000, noise=NOISE, seed=99)
true = moons_log_density(fresh, noise=NOISE)  # nats, by the integral
CENTRE, SPREAD = moons.mean(axis=0), moons.std(axis=0)
x_moons, x_fresh = (moons - CENTRE) / SPREAD, (fresh - CENTRE) / SPREAD
true_scaled = true + np.log(SPREAD).sum()  # in units of a deviation


# %%
def network(seed):
    """From what stays to shift and raw log-scale of each entry."""
    keras.utils.set_random_seed(seed)
    hidden = [layers.Dense(32, "tanh"), layers.Dense(32, "tanh")]
    last = layers.Dense(4, kernel_initializer="zeros")
    return keras.Sequential([keras.Input((2,)), *hidden, last])


# %%
class OpenRealNVP(keras.Model):
    """Couplings that move one coordinate, given the other."""

    def __init__(self, count):
        super().__init__()
        self.networks = [network(i) for i in range(count)]
        self.masks = [[i % 2, 1 - i % 2] for i in range(count)]

    def moves(self, network, mask, x):
        """Shift and log-scale, 0 where the mask says 1."""
        mask = ops.convert_to_tensor(mask, "float32")
        raw = ops.reshape(network(x * mask), (-1, 2, 2))
        return (1 - mask) * raw[..., 0], (1 - mask) * 3 * ops.tanh(
            raw[..., 1] / 3
        )

    def call(self, x):
        log_det = 0.0
        for part in zip(self.networks, self.masks, strict=True):
            shift, log_scale = self.moves(*part, x)
            x = x * ops.exp(log_scale) + shift
            log_det = log_det + ops.sum(log_scale, axis=1)
        return x, log_det

    def inverse(self, z):
        for i in reversed(range(len(self.networks))):
            part = self.networks[i], self.masks[i]
            shift, log_scale = self.moves(*part, z)
            z = (z - shift) * ops.exp(-log_scale)
        return z

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        z, log_det = y_pred
        log_base = -0.5 * ops.sum(z * z, axis=1) - np.log(2 * np.pi)
        return -ops.mean(log_base + log_det)


# %% [markdown]
# Forty lines, of which `moves` is (2), the sum in `call` (3), `compute_loss` (1). The
# last layer of each network starts at zero, so an untrained flow is the identity. The
# log-scale is bounded by ±3: $e^s$ must not explode on the way there. Train it, then put
# its networks into the library's couplings, and ask both for the loss of the same rows.

# %%
written = OpenRealNVP(8)
recipes.compile(written, 1e-2, updates=800)
long = np.tile(x_moons, (5, 1))  # a hundred updates an epoch
written.fit(long, batch_size=250, epochs=8, verbose=0)
pairs = zip(written.networks, written.masks, strict=True)
of_library = Flow((2,), [AffineCoupling(*pair) for pair in pairs])
of_library.compile()
options = {"batch_size": 1000, "verbose": 0, "return_dict": True}
losses = [
    model.evaluate(x_fresh, **options)["loss"]
    for model in (written, of_library)
]
same = bool(np.isclose(*losses, rtol=1e-5))
print("page and library, same weights, same number:", same)

# %% tags=["nbval-ignore-output"]
kl_written = losses[0] + true_scaled.mean()
print(f"−log p of fresh rows {losses[0]:.3f} nats, the truth's", end=" ")
print(f"{-true_scaled.mean():.3f}: too much by {kl_written:.3f}")

# %% tags=["hide-input"]
assert same and 0 < kl_written < 0.2

# %% [markdown]
# The number to compare with is not 0: even the true density pays its entropy. What is too
# much is $\mathrm{KL}(p_{\text{true}}\Vert p)=\mathbb E[\log p_{\text{true}}(x)-\log p(x)]$,
# over fresh draws, in nats.
#
# `Flow(event_shape, steps)` takes any list of layers with `transform` (to $z$ and
# log-determinant) and `inverse`, refuses steps that do not undo themselves, and adds
# verbs: `encode`, `decode`, `sample`, `log_likelihood`.
#
# ## 3. Three checks that need no trust
#
# A flow with a wrong log-determinant trains happily, and its loss is lower than it should
# be. So check: that rows come back; that (3) agrees with the determinant of a Jacobian
# made of differences; that the density integrates to 1.


# %%
def numerical_log_det(x, h=1e-3):
    """Log |det| of the Jacobian at each row, by central differences."""
    moved = x[:, None] + h * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    z = of_library.encode(moved.reshape(-1, 2)).reshape(-1, 4, 2)
    return np.linalg.slogdet((z[:, :2] - z[:, 2:]) / (2 * h))[1]


back = of_library.decode(of_library.encode(x_fresh))
by_differences = numerical_log_det(x_fresh[:50])
by_sum = ops.convert_to_numpy(written(x_fresh[:50])[1])
side = np.arange(-4, 4, 0.05)
grid = np.stack(np.meshgrid(side, side), axis=-1)
density = np.exp(of_library.log_likelihood(grid.reshape(-1, 2)))
checked = {
    "x comes back, to 1e-5": np.abs(back - x_fresh).max() < 1e-5,
    "sum of log-scales is log |det|, to 0.02": np.allclose(
        by_sum, by_differences, atol=0.02
    ),
    "the density integrates to 1, to 1 %": abs(density.sum() * 0.05**2 - 1)
    < 0.01,
}
for name, passed in checked.items():
    print(f"{name}: {bool(passed)}")

# %% tags=["hide-input"]
assert all(checked.values())

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.4))
axes[0].contourf(side, side, density.reshape(grid.shape[:2]), 30, cmap="Blues")
z = of_library.encode(x_fresh[:3000])
upper = moon[:3000] == 0
for part, color in ((upper, plotting.COLORS[0]), (~upper, plotting.COLORS[1])):
    axes[1].plot(*z[part].T, ".", ms=2, color=color)
along = np.linspace(-3, 3, 300)
for at in np.linspace(-3, 3, 13):
    for line in ([0 * along + at, along], [along, 0 * along + at]):
        line = of_library.decode(np.stack(line, axis=1))
        axes[2].plot(*line.T, color="black", lw=0.4)
axes[2].plot(*of_library.sample(1000, seed=0).T, ".", ms=2)
for axis, title, name in zip(
    axes, ("density", "rows as z", "z-grid, samples"), "xzx", strict=True
):
    axis.set(title=title, xlim=(-2.8, 2.8), ylim=(-2.8, 2.8), aspect="equal")
    axis.set(xlabel=f"${name}_1$", ylabel=f"${name}_2$")
plt.show()

# %% [markdown]
# **Figure 7b.1.** Left, the learned density: two arcs. Middle, fresh rows as the flow
# sees them, a colour a moon: one round cloud of noise, and the seam between the colours
# is where the flow had to tear apart what a bijection cannot tear. Right, a square grid of $z$ carried
# back: cells crowd where the density is high, and the thin bridge between the arcs is
# the price of continuity: a few samples lie there.
#
# ## 4. Against the truth: the mixture wins
#
# A straight line in each coordinate, as in (2), is a stiff step. A **spline coupling**
# (Durkan et al. 2019) sends each moved entry through a rising curve of 16 pieces, whose
# knots and slopes the network chooses; inverse and slope are closed formulas, too. Two of
# them do more here than eight affine ones. Against them a kernel density estimate
# and a Gaussian mixture, bandwidth and number of components chosen on validation
# rows, by which the flow's training is stopped as well; three seeds, two sizes.


# %%
def fit_best(model, x, val):
    """Train in ten stages; keep the weights likeliest for validation rows."""
    x, best, worse = x[np.arange(25 * MOON_STEPS) % len(x)], -np.inf, 0
    for _ in range(10):
        model.fit(x, batch_size=250, verbose=0)
        found = model.log_likelihood(val).mean()
        if found > best:
            best, kept, worse = found, model.get_weights(), 0
        elif (worse := worse + 1) == 3:
            break
    model.set_weights(kept)


def three_densities(rows, seed):
    """Log-densities by name, each fitted to so many moons."""
    x, _ = data.make_toy("moons", rows, noise=NOISE, seed=10 + seed)
    val, _ = data.make_toy("moons", rows // 5, noise=NOISE, seed=50 + seed)
    kernels = [
        KernelDensity(bandwidth=h, rtol=1e-3) for h in (0.03, 0.04, 0.06, 0.09)
    ]
    restart(spline, seed)
    fit_best(spline, x, val)
    return {
        "kernel density": choose_mixture(kernels, x, val).score_samples,
        "Gaussian mixture": choose_gaussian_mixture(
            x, val, (4, 8, 12, 16, 24, 32), ridge=1e-4, seed=seed
        ).score_samples,
        "spline flow": spline.log_likelihood,
    }


# %%
spline = Flow.spline((2,), 2, widths=(32, 32), bins=16, seed=0)
recipes.compile(spline, 1e-2, updates=MOON_STEPS)
kl = {}
for rows in SIZES:
    for seed in (0, 1, 2):
        for name, log_density in three_densities(rows, seed).items():
            missing = np.mean(true - log_density(fresh))
            kl.setdefault((name, rows), []).append(missing)

# %% tags=["nbval-ignore-output"]
runtime.record(
    "moons: KL(true ‖ model) in nats, 10 000 fresh draws, three seeds",
    ["model", *(f"{rows} rows" for rows in SIZES)],
    [
        [name, *(with_spread(kl[name, rows], 3) for rows in SIZES)]
        for name in ("kernel density", "Gaussian mixture", "spline flow")
    ],
)

# %% tags=["hide-input"]
mean_kl = {key: np.mean(values) for key, values in kl.items()}
assert mean_kl["spline flow", 5000] < 0.07
assert mean_kl["spline flow", 5000] < 0.5 * mean_kl["spline flow", 500]
for rows in (500, 5000):
    best = mean_kl["Gaussian mixture", rows]
    assert best < 0.8 * mean_kl["spline flow", rows]
    assert best < mean_kl["kernel density", rows]

# %% [markdown]
# **With 5 000 rows all three are near the truth, and the mixture, in half a second, is
# nearest; with 500 rows the flow is far behind both.** (From other seeds one training of six
# ended at 0.08.) No wonder: a blurred curve in two
# dimensions *is* a chain of Gaussians, and a network has to learn from rows that space is
# smooth. In two dimensions take a mixture. What
# follows has 64 (or 784).

# %% [markdown]
# ## 5. Grey levels have no density
#
# A pixel of the digits takes 17 values. A density may put spikes on them, as high and thin
# as it likes. Fit one Gaussian, with less and less added to the diagonal of its
# covariance, and look at *test* rows.

# %%
images = data.load(DATA)
SHAPE, flat = images.event_shape, images.flat()
x_train, x_val, x_test = flat.x_train, flat.x_val[:1000], flat.x_test[:1000]
PIXELS = x_train.shape[1]
constant = np.sum(np.ptp(x_train, axis=0) == 0)
print("pixels with a single value:", constant, "of", PIXELS)

# %% tags=["nbval-ignore-output"]
grows = []
for ridge in (1e-2, 1e-4, 1e-6, 1e-8):
    gaussian = GaussianMixture(1, reg_covar=ridge).fit(x_train[:3000])
    grows.append(np.median(gaussian.score_samples(x_test)))
    print(f"ridge {ridge:.0e}: median log-density {grows[-1]:.0f} nats")

# %% tags=["hide-input"]
assert np.all(np.diff(grows) > 0.9 * constant * np.log(10))

# %% [markdown]
# Nothing ends this climb: each pixel that never changes adds $\tfrac12\log10$ nats for each
# power of ten. A "better" likelihood here is a thinner spike. (`fit` refuses such columns.)
#
# The cure is to spread each level $k$ over a cell of its own before any density
# is fitted, **dequantisation**: $v=(k+u)/K$ with $u$ uniform on $[0,1)^d$. A model of $v$
# then gives each row of levels a *mass*, the integral over its cell, and by Jensen
#
# $$\log P(k)=\log\mathbb E_u\big[p(v)\big]-d\log K\;\ge\;
# \mathbb E_u\big[\log p(v)\big]-d\log K.\tag{4}$$
#
# So $-\log p(v)+d\log K$ bounds the nats of a *discrete* model (Theis et al. 2016), to be
# compared with those of 4b; with $S$ draws of $u$, the log of the mean of $p(v)$ is a
# tighter bound.
#
# The noise has to fill the **whole** cell. A published example fills half of it. Here are
# tables of independent pixels, whose masses are known exactly, and the same tables with
# noise over half of each cell: half a cell is stretched to a whole one, slope 2, before
# it goes to the same model.


# %%
def noisy(x, rng, part=1.0):
    """Points of the cells, (k + part · u) / K, float32."""
    k = np.round(x * (LEVELS - 1))
    return ((k + part * rng.random(x.shape)) / LEVELS).astype("float32")


def of_half_cells(v):
    """Log-density of v in half cells: stretch them, then the same model."""
    k = np.floor(v * LEVELS)
    return of_whole_cells(2 * v - k / LEVELS) + PIXELS * np.log(2)


marginals = Marginals((PIXELS,), LEVELS)
tables = Flow((PIXELS,), [marginals], levels=LEVELS, seed=0)
tables.before_training(x_train)
CELL = PIXELS * np.log(LEVELS)  # −log of a cell's volume, nats
rng = np.random.default_rng(0)
of_whole_cells = Flow((PIXELS,), [marginals]).log_likelihood
honest = CELL - of_whole_cells(noisy(x_test, rng))
claimed = CELL - of_half_cells(noisy(x_test, rng, part=0.5))
gain = np.mean(honest - claimed)
print(f"reported less: {gain:.2f} nats; {PIXELS} log 2 = ", end="")
print(f"{PIXELS * np.log(2):.2f}, one bit for each of {PIXELS} pixels")

# %% tags=["hide-input"]
assert abs(gain - PIXELS * np.log(2)) < 0.1
exact = -tables.log_likelihood(x_test, seed=1)
# float32 rounds a draw in a million up to the next cell
same = np.isclose(exact, honest, atol=0.5)
assert same.mean() > 0.95, "masses, whatever the noise"

# %% [markdown]
# `marginals` is one and the same object: not a single probability has changed. The cells
# are half as wide in each direction, the honest volume is $(2K)^{-d}$, and who
# goes on subtracting $d\log K$ reports a bit a dimension too little.
#
# ## 6. Digits: the first step matters more than the flow
#
# What should be the first step of a flow of images? `Marginals` sends each pixel through
# its own running histogram and on to a normal variable: **Gaussianisation** (Chen and
# Gopinath 2000). A flow of that step alone *is* the model of independent pixels, exactly,
# without the quarter of a bit that a Gaussian wastes on each pixel with flat noise over a
# cell; couplings after it have only the dependence to learn. In fairness the classical
# densities may have that step as well. All are judged by bound (4) of the same
# noise, with one draw and with `DRAWS`.


# %%
def log_mass(log_density, x, draws, seed=0):
    """Bound (4) of log P, (n,), in nats, from a log-density of v."""
    rng = np.random.default_rng(seed)
    found = [log_density(noisy(x, rng)) for _ in range(draws)]
    return np.logaddexp.reduce(found, axis=0) - np.log(draws) - CELL


def gaussianised(v):
    """Pixels after their marginals, float64, and the log-determinant."""
    parts = marginals.transform(np.asarray(v, "float32"))
    z, log_det = map(ops.convert_to_numpy, parts)
    return z.astype("float64"), log_det


def after_marginals(model):
    """The log-density of v, from a model of Gaussianised pixels."""

    def log_density(v):
        z, log_det = gaussianised(v)
        return model.score_samples(z) + log_det

    return log_density


def mixtures(counts, ridges):
    """Gaussian mixtures with full covariances, to choose from."""
    options = {"max_iter": 20, "random_state": 0}
    return [
        GaussianMixture(k, reg_covar=ridge, **options)
        for k in counts
        for ridge in ridges
    ]


# %%
rng = np.random.default_rng(1)
v = noisy(np.concatenate([x_train[:10_000]] * COPIES), rng).astype("float64")
v_val = noisy(x_val, rng).astype("float64")
z, z_val = gaussianised(v)[0], gaussianised(v_val)[0]
kernels = [KernelDensity(bandwidth=h) for h in (0.05, 0.1, 0.15)]
flats = [PCA(k) for k in (10, 20, 40)]
small, large = (1e-4, 1e-3), (0.05, 0.1)  # ridges
copula = choose_mixture(mixtures([1], (0.01, 0.05)), z, z_val)
mixed = choose_mixture(mixtures(PARTS, large), z, z_val)
densities = {
    "kernel density": choose_mixture(kernels, v[:5000], v_val),
    "PCA-Gaussian": choose_mixture(flats, v, v_val),
    "Gaussian": choose_mixture(mixtures([1], small), v, v_val),
    "Gaussian mixture": choose_mixture(mixtures(PARTS, small), v, v_val),
}
densities = {name: m.score_samples for name, m in densities.items()}
densities["independent pixels"] = of_whole_cells
densities["Gaussian, after marginals"] = after_marginals(copula)
densities["mixture, after marginals"] = after_marginals(mixed)

# %%
flow = Flow.real_nvp(
    (PIXELS,), COUPLINGS, widths=WIDTHS, dropout=0.2, levels=LEVELS, seed=0
)
updates = EPOCHS * -(-len(x_train) // BATCH)
recipes.compile(flow, RATE, updates=updates)
by_flow = []
for seed in SEEDS:
    restart(flow, seed)
    again = np.tile(x_train, (ROUNDS, 1))
    flow.fit(again, batch_size=BATCH, epochs=EPOCHS // ROUNDS, verbose=0)
    by_flow.append([flow.bits_per_dim(x_test, n, seed=0) for n in (1, DRAWS)])


# %% tags=["nbval-ignore-output"]
def bits(log_p):
    """Log-masses in nats, (n,), to bits a dimension."""
    return -np.mean(log_p) / (PIXELS * np.log(2))


found = {
    name: [[bits(log_mass(density, x_test, n)) for n in (1, DRAWS)]]
    for name, density in densities.items()
}
found["RealNVP, after marginals"] = by_flow
of_vae = profile.pick(quick="2.01", full="1.51")
of_7a = {"forest of chapter 7a, exact": "1.86", "PixelCNN, exact": "1.86"}
OF_7A = profile.pick(quick=of_7a, full={})  # no draws of noise
runtime.record(
    f"{DATA}: bits a dimension of {len(x_test)} test rows, {LEVELS} levels",
    ["model", "S = 1", f"S = {DRAWS}"],
    [
        [name, *(with_spread(column, 2) for column in np.transpose(values))]
        for name, values in found.items()
    ]
    + [["VAE of chapter 4b, importance-weighted", "", of_vae]]
    + [[name, bits, bits] for name, bits in OF_7A.items()],
)

# %% tags=["hide-input"]
score = {name: np.mean(values, axis=0)[1] for name, values in found.items()}
flow_bits = score["RealNVP, after marginals"]
plain = min(score[name] for name in list(score)[:4])
assert flow_bits < score["independent pixels"] - 0.1
if not profile.full:
    assert score["Gaussian, after marginals"] < plain - 0.1
    assert flow_bits < score["Gaussian, after marginals"] - 0.03
    assert max(row[1] for row in by_flow) < 2.0, "below the VAE's bound"
    assert abs(flow_bits - score["mixture, after marginals"]) < 0.1

# %% [markdown]
# Read the table from the top. Densities of the bare noisy pixels pay more than tables that
# know no dependence at all. **One step, the marginals, moves the same Gaussian by more
# than half a bit, and takes a mixture of Gaussians below the VAE** (whose bound had
# 100 draws of codes). The couplings add a hundredth to that mixture: RealNVP is the
# best of the densities, by that, and not with one draw of the noise. **Both lose to the
# exact models of [chapter 7a](07a_autoregressive_models.ipynb)**, forest or network, by
# a tenth of a bit, and the noise costs those nothing. With 1 169 rows the flow needed
# dropout; what it has ahead of the mixture, networks of any form and as many rows as
# there are, does not come to bear here.
#
# ## 7. Samples, and a temperature

# %% tags=["nbval-ignore-output"]
drawn = mixed.sample(12)[0].astype("float32")
of_mixture = ops.convert_to_numpy(marginals.inverse(drawn))
sheets = {
    "real": x_test[:12],
    "flow": flow.sample(12, seed=1),
    "flow, temperature 0.7": flow.sample(12, temperature=0.7, seed=1),
    "mixture": np.floor(of_mixture * LEVELS) / (LEVELS - 1),
}
plotting.image_rows(
    {name: rows.reshape(-1, *SHAPE) for name, rows in sheets.items()},
    "Noise sent back through a flow, and draws from the mixture",
)
plt.show()

# %% [markdown]
# **Figure 7b.2.** Row two: draws from the flow, $f^{-1}$ of standard normal noise. Row
# three: the same noise times 0.7, nearer to the middle of the base, with calmer pixels and
# less variety: no draws from the model any more. Row four: the mixture, whose strokes
# are the better ones, at a hundredth of a bit a dimension more. A likelihood ranks
# models by how few bits *test rows* need, and the noise in the pixels decides that more
# than the form of a 7. Samples are judged as in chapter 3b.
#
# ## 8. What the likelihood does not say
#
# If $p(x)$ is the density of digits, one would like to use it to tell what is *no* digit.
# Try: the test rows, the same faded, upside down, with their pixels shuffled, and a blank
# sheet. Beside the flow the Gaussian after marginals, and, as a control that knows no
# digit, the number of pixels that are not 0. "Told" is the share of pairs in which the
# strange row is less likely than the test digit: 0.5 is a coin, 0 is certainly wrong.

# %%
ink = 1 / (LEVELS - 1)
others = {
    "test digits": x_test,
    "faded by a quarter": np.round(np.clip(x_test - 0.25, 0, 1) / ink) * ink,
    "upside down": x_test.reshape(-1, *SHAPE)[:, ::-1].reshape(x_test.shape),
    "pixels shuffled": np.random.default_rng(0).permuted(x_test, axis=1),
    "blank sheet": np.zeros_like(x_test[:100]),
}
nats = {name: -flow.log_likelihood(x, 4, seed=0) for name, x in others.items()}
density = densities["Gaussian, after marginals"]
simple = {name: -log_mass(density, x, 4) for name, x in others.items()}
inked = {name: np.sum(x > 0, axis=1) for name, x in others.items()}


def told(strange, usual):
    """Share of pairs in which the strange row needs more nats."""
    return np.mean(strange[:, None] > usual) + 0.5 * np.mean(
        strange[:, None] == usual
    )


# %% tags=["nbval-ignore-output"]
scores = [nats, simple, inked]
seen = {
    name: [told(score[name], score["test digits"]) for score in scores]
    for name in others
}
runtime.record(
    f"{DATA}: bits a dimension of other rows (fewer: likelier), and told",
    ["rows", "flow", "told", "Gaussian, after marginals", "told", "by ink"],
    [
        [
            name,
            f"{bits(-nats[name]):.2f}",
            f"{seen[name][0]:.2f}",
            f"{bits(-simple[name]):.2f}",
            *(f"{share:.2f}" for share in seen[name][1:]),
        ]
        for name in others
    ],
)
rank = spearmanr(nats["test digits"], inked["test digits"])[0]
print(f"rank correlation of nats and inked pixels, test digits: {rank:.2f}")

# %% tags=["hide-input"]
assert seen["pixels shuffled"][0] > 0.9
if not profile.full:
    assert seen["blank sheet"][1] < 0.1, "likelier than nearly every digit"
    assert 0.3 < seen["faded by a quarter"][0] < 0.75, "hardly told"
    assert rank > 0.25

# %% [markdown]
# **To the Gaussian a blank sheet is likelier than nearly every digit**, and nothing is
# wrong with it: the mean of a Gaussian is its likeliest point, and a mean need not look
# like any of the rows. What the flow thinks of the blank sheet, far from all rows, differs
# from one training to the next: here unlikely. And faded digits, which no
# test row resembles in its greys, it hardly tells from digits, and much of what
# makes one test digit less likely than another is how much ink there is. This is
# known from large flows, which find house numbers likelier than the photographs they
# were trained on (Nalisnick et al. 2019). A density is a mass for each unit of *volume*:
# "likelier than a test row" is not "one of them". For alarms use chapter 6a, where each
# score has a threshold and opponents.
#
# ## What we showed
#
# - A flow is trained on its exact log-density; forty lines on the page gave the library's
#   number, the inverse came back to 1e-5, the log-determinant agreed with differences and
#   the density integrated to 1.
# - On the moons 0.04 nats were missing with 5 000 rows and 0.2 with 500; a Gaussian mixture
#   was nearer both times, in half a second.
# - Grey levels without noise have no density worth a number; noise over half a cell takes
#   64 log 2 nats off the report and changes no probability.
# - On digits one step, each pixel's own distribution, gave a Gaussian more than half a bit;
#   a flow after it needed 1.95 bits a dimension, a mixture after it 1.96, the VAE 2.01,
#   a forest or a PixelCNN of chapter 7a 1.86.
# - To a Gaussian a blank sheet was likelier than digits; to the flow faded digits were
#   nearly as likely as digits.
#
# **Limits.** Dense couplings know no neighbourhood; large flows of images (Kingma and
# Dhariwal 2018; Ho et al. 2019) have convolutions, squeezing and days of training, and
# reach about 1.0 on MNIST. Choices were made on validation rows, but the flow had more
# of them than the mixture. Chapter 7a factorises $p(x)$ pixel by pixel instead, with no
# bound at all.
#
# **References.** Rezende and Mohamed (2015), Variational inference with normalizing
# flows, *ICML* · Dinh, Sohl-Dickstein and Bengio (2017), Density estimation using Real
# NVP, *ICLR* · Durkan et al. (2019), Neural spline flows, *NeurIPS* · Chen and Gopinath
# (2000), Gaussianization, *NIPS* · Theis, van den Oord and Bethge (2016), A note on the
# evaluation of generative models, *ICLR* · Ho et al. (2019), Flow++, *ICML* · Kingma and
# Dhariwal (2018), Glow, *NeurIPS* · Nalisnick et al. (2019), Do deep generative models
# know what they don't know?, *ICLR*.
#
# Answers to the exercises: [solutions](../solutions/07b_normalizing_flows.ipynb).

# %% [markdown]
# ## Exercises
#
# Each needs only the set-up cells at the top. Write your answer where
# it says `# your answer here`, run the cell, then run the check below it: it
# says what is wrong, and with what to go on once it is right.

# %% [markdown] tags=["exercise"]
# ### Exercise 7b.1 · One slope, with a pencil
#
# *You will learn to use (1).* The line $z=3x+1$ makes $x$ standard normal. What is
# $\log p(x)$ at $x=0$, in nats?

# %% tags=["exercise"]
answer_7b_1 = None
### BEGIN SOLUTION
answer_7b_1 = norm.logpdf(3 * 0 + 1) + np.log(3)
### END SOLUTION

# %% tags=["check"]
checks.check_7b_1(answer_7b_1)

# %% [markdown] tags=["discussion"]
# $-\tfrac12\log2\pi-\tfrac12+\log3=-0.32$. The other way to see it: $x=(z-1)/3$ is normal
# with mean $-1/3$ and deviation $1/3$, and a normal density of a third of the width is
# three times as high.

# %% [markdown] tags=["exercise"]
# ### Exercise 7b.2 · The log-determinant
#
# *You will learn what counts and what does not.* A coupling has log-scales `(n, d)`, for
# *all* entries, and a mask `(d,)`, 1 where an entry stays. Return the log-determinant
# of each row, `(n,)`.


# %% tags=["exercise"]
def coupling_log_det(log_scale, mask):
    """Return log |det ∂z/∂x| of each row, (n,)."""
    ### BEGIN SOLUTION
    return ((1 - mask) * log_scale).sum(axis=1)
    ### END SOLUTION


# %% tags=["check"]
checks.check_7b_2(coupling_log_det)

# %% [markdown] tags=["discussion"]
# A product of slopes is a sum of logarithms; an entry that stays has slope 1. With a mean
# in place of the sum the loss would look better the more entries a row has.

# %% [markdown] tags=["exercise"]
# ### Exercise 7b.3 · The way back
#
# *You will learn why nothing has to be inverted but a line.* Given `z` of shape `(n, d)`
# by formula (2), the mask `(d,)` and the network, a function from masked rows to a pair
# `(shift, log_scale)`, each `(n, d)`, return `x`.


# %% tags=["exercise"]
def uncouple(z, network, mask):
    """Return the x that the coupling maps to z."""
    ### BEGIN SOLUTION
    shift, log_scale = network(mask * z)
    return mask * z + (1 - mask) * (z - shift) * np.exp(-log_scale)
    ### END SOLUTION


# %% tags=["check"]
checks.check_7b_3(uncouple)

# %% [markdown] tags=["discussion"]
# `mask * z` is `mask * x`: the kept entries went through unchanged, so the network says
# the same both ways. The shift came last and is undone first.

# %% [markdown] tags=["exercise"]
# ### Exercise 7b.4 · Bits a dimension
#
# *You will learn to make a density comparable.* A model gives log-densities `(n,)`, in
# nats, of rows $v=(k+u)/K$ with $d$ entries and $K$ levels. Return the bits a dimension
# of the levels, one number for all rows.


# %% tags=["exercise"]
def bits_a_dimension(log_p, size, levels):
    """Return the mean bits a dimension; size is d, levels is K."""
    ### BEGIN SOLUTION
    nats = size * np.log(levels) - np.mean(log_p)
    return nats / (size * np.log(2))
    ### END SOLUTION


# %% tags=["check"]
checks.check_7b_4(bits_a_dimension)

# %% [markdown] tags=["discussion"]
# A model that spreads its mass evenly over $[0,1)^d$ has $\log p=0$ and pays $\log_2K$ bits,
# as it should: 8 for bytes. A number above that is worse than no model.

# %% [markdown] tags=["exercise"]
# ### Exercise 7b.5 · Noise for the whole cell
#
# *You will learn to dequantise.* Given whole numbers $k$ from 0 to $K-1$, an array
# `(n, d)`, and a NumPy generator, return points $v$, each uniform in the cell of its
# level within $[0,1)$.


# %% tags=["exercise"]
def dequantise(k, levels, rng):
    """Return points of the cells of k, the same shape."""
    ### BEGIN SOLUTION
    return (k + rng.random(k.shape)) / levels
    ### END SOLUTION


# %% tags=["check"]
checks.check_7b_5(dequantise)

# %% [markdown] tags=["discussion"]
# Centred noise, $k\pm\frac12$, is as good if the cells are shifted with it; mixed with a
# logit on $[0,1]$ it is not. New noise in every epoch belongs to it: noise drawn once is
# one more thing to learn by heart.

# %% [markdown] tags=["exercise"]
# ### Exercise 7b.6 · Many draws, one bound
#
# *You will learn to average probabilities, not their logarithms.* Given log-densities
# `(S, n)` of $S$ noisy copies of $n$ rows, and the number `volume`, $d\log K$, return the
# bound (4) of $\log P$ by all $S$ draws, `(n,)`. Densities may be as small as $e^{-2000}$.


# %% tags=["exercise"]
def log_mass_by_draws(log_p, volume):
    """Return log of the mean density over draws, less the volume, (n,)."""
    ### BEGIN SOLUTION
    total = np.logaddexp.reduce(log_p, axis=0)
    return total - np.log(len(log_p)) - volume
    ### END SOLUTION


# %% tags=["check"]
checks.check_7b_6(log_mass_by_draws)

# %% [markdown] tags=["discussion"]
# The mean of the logarithms is the bound for $S=1$, only less noisy; the logarithm of the
# mean tightens with $S$. It is the same step as from the ELBO to the importance-weighted
# bound in chapter 4, with uniform noise as the code.
