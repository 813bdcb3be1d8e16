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
# TEXT
#
# **We will show**
#
# - A;
# - B;
# - C.
#
# | | |
# |---|---|
# | Prerequisites | x |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup", "hide-input"]
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers, ops
from scipy.ndimage import gaussian_filter
from scipy.stats import norm
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
MOON_STEPS = profile.pick(quick=600, full=3000)  # updates of a flow
SIZES = profile.pick(quick=(500, 5000), full=(500, 5000, 50_000))
COUPLINGS = profile.pick(quick=6, full=6)  # of the flow of images
WIDTHS = profile.pick(quick=(128,), full=(512,))
EPOCHS = profile.pick(quick=40, full=4)
BATCH = profile.pick(quick=128, full=200)
RATE = profile.pick(quick=3e-3, full=1e-3)
SEEDS = profile.pick(quick=(0, 1, 2), full=(0,))
DRAWS = profile.pick(quick=16, full=4)  # of the noise, in a bound

# %% [markdown]
# ## 1. x

# %%
x = np.linspace(-6, 6, 1201)
z = np.arcsinh(2 * x)  # rising, onto all real numbers
slope = 2 / np.sqrt(1 + (2 * x) ** 2)
p = norm.pdf(z) * slope
step = x[1] - x[0]
print(f"with the slope: {p.sum() * step:.3f}")
print(f"without it:     {norm.pdf(z).sum() * step:.3f}")

# %% tags=["hide-input"]
assert abs(p.sum() * step - 1) < 0.01 < norm.pdf(z).sum() * step - 1

# %%
NOISE = 0.08
moons, _ = data.make_toy("moons", 5000, noise=NOISE, seed=10)
fresh, _ = data.make_toy("moons", 10_000, noise=NOISE, seed=99)
true = moons_log_density(fresh, noise=NOISE)  # nats, by the integral


# %%
def network(seed):
    """From what stays to shift and raw log-scale of each entry."""
    keras.utils.set_random_seed(seed)
    hidden = [layers.Dense(32, "tanh"), layers.Dense(32, "tanh")]
    last = layers.Dense(4, kernel_initializer="zeros")
    return keras.Sequential([keras.Input((2,)), *hidden, last])


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
        for part in zip(self.networks, self.masks):
            shift, log_scale = self.moves(*part, x)
            x = x * ops.exp(log_scale) + shift
            log_det = log_det + ops.sum(log_scale, axis=1)
        return x, log_det

    def inverse(self, z):
        for part in zip(self.networks[::-1], self.masks[::-1]):
            shift, log_scale = self.moves(*part, z)
            z = (z - shift) * ops.exp(-log_scale)
        return z

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        z, log_det = y_pred
        log_base = -0.5 * ops.sum(z * z, axis=1) - np.log(2 * np.pi)
        return -ops.mean(log_base + log_det)


# %%
written = OpenRealNVP(8)
recipes.compile(written, 1e-2, updates=2 * MOON_STEPS)
written.fit(moons, batch_size=250, epochs=MOON_STEPS // 10, verbose=0)
of_library = Flow(
    (2,),
    [
        AffineCoupling(network, mask)
        for network, mask in zip(written.networks, written.masks)
    ],
)
of_library.compile()
pair = [
    model.evaluate(fresh, batch_size=1000, verbose=0, return_dict=True)["loss"]
    for model in (written, of_library)
]
same = bool(np.isclose(*pair, rtol=1e-5))
print("page and library, same weights, same number:", same)

# %% tags=["nbval-ignore-output"]
print(f"−log p of fresh rows {pair[0]:.3f} nats; truth {-true.mean():.3f}")

# %% tags=["hide-input"]
assert same and pair[0] < -true.mean() + 0.12

# %% [markdown]
# ## 3. three checks

# %%
def numerical_log_det(x, h=1e-3):
    """Log |det| of the Jacobian at one point, by central differences."""
    moved = x + h * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    z = of_library.encode(moved)
    return np.linalg.slogdet((z[:2] - z[2:]) / (2 * h))[1]


some = fresh[:50]
back = of_library.decode(of_library.encode(fresh))
by_differences = np.array([numerical_log_det(x) for x in some])
by_sum = ops.convert_to_numpy(written(some)[1])
side = np.arange(-4, 5, 0.04)
grid = np.stack(np.meshgrid(side, side), axis=-1)
density = np.exp(of_library.log_likelihood(grid.reshape(-1, 2)))
mass = density.sum() * 0.04**2
checked = {
    "x comes back to 1e-5": np.abs(back - fresh).max() < 1e-5,
    "sum of log-scales = log |det|, to 0.01": np.allclose(
        by_sum, by_differences, atol=0.01
    ),
    "the density integrates to 1, to 1 %": abs(mass - 1) < 0.01,
}
for name, passed in checked.items():
    print(f"{name}: {bool(passed)}")

# %% tags=["hide-input"]
assert all(checked.values())

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.3))
axes[0].contourf(side, side, density.reshape(len(side), -1), 30, cmap="Blues")
axes[0].set(xlim=(-1.6, 2.6), ylim=(-1.1, 1.6), title="density")
z = of_library.encode(fresh[:2000])
upper = fresh[:2000, 1] > 0.25
for part, color in ((upper, plotting.COLORS[0]), (~upper, plotting.COLORS[1])):
    axes[1].plot(*z[part].T, ".", ms=2, color=color)
axes[1].set(title="2 000 rows, as z", xlim=(-4, 4), ylim=(-4, 4))
lines = np.linspace(-3, 3, 13)
along = np.linspace(-3, 3, 400)
for at in lines:
    for line in ([0 * along + at, along], [along, 0 * along + at]):
        axes[2].plot(*of_library.decode(np.stack(line, 1)).T, "k", lw=0.4)
axes[2].plot(*of_library.sample(1000, seed=0).T, ".", ms=2)
axes[2].set(xlim=(-1.6, 2.6), ylim=(-1.1, 1.6), title="grid of z, as x")
plt.show()

# %% [markdown]
# ## 4. Against the truth


# %%
def fit_best(model, x, val, stages=10):
    """Train in stages; keep the weights likeliest for validation rows."""
    x = np.tile(x, (5000 // len(x) or 1, 1))[:5000]
    best = -np.inf
    for _ in range(stages):
        model.fit(
            x,
            batch_size=250,
            epochs=MOON_STEPS // (20 * stages),
            verbose=0,
        )
        found = model.log_likelihood(val).mean()
        if found > best:
            best, kept = found, model.get_weights()
    model.set_weights(kept)


spline = Flow.spline((2,), 2, widths=(32, 32), bins=16, seed=0)
recipes.compile(spline, 1e-2, updates=MOON_STEPS)
kl = {}
for rows in SIZES:
    for seed in (0, 1, 2):
        x, _ = data.make_toy("moons", rows, noise=NOISE, seed=10 + seed)
        val, _ = data.make_toy("moons", rows // 5, noise=NOISE, seed=50 + seed)
        widths = (0.03, 0.04, 0.05, 0.06, 0.08)
        kernels = [KernelDensity(bandwidth=h, rtol=1e-3) for h in widths]
        restart(spline, seed)
        fit_best(spline, x, val)
        for name, log_p in {
            "kernel density": choose_mixture(kernels, x, val).score_samples,
            "Gaussian mixture": choose_gaussian_mixture(
                x, val, (4, 8, 12, 16, 24, 32), ridge=1e-4, seed=seed
            ).score_samples,
            "spline flow": spline.log_likelihood,
        }.items():
            kl.setdefault((name, rows), []).append(
                np.mean(true - log_p(fresh))
            )

# %% tags=["nbval-ignore-output"]
runtime.record(
    "moons: KL(true ‖ model) in nats, 10 000 fresh draws, three seeds",
    ["model", *(f"{rows} rows" for rows in SIZES)],
    [
        [name, *(with_spread(kl[name, rows], 3) for rows in SIZES)]
        for name in ("kernel density", "Gaussian mixture", "spline flow")
    ]
    + [["RealNVP of section 2, one seed", "", f"{pair[0] + true.mean():.3f}"]],
)

# %% [markdown]
# ## 5. Grey levels

# %%
digits = data.load(DATA).flat()
x_train, x_val, x_test = digits.x_train, digits.x_val, digits.x_test
x_val, x_test = x_val[:2000], x_test[:2000]
PIXELS = x_train.shape[1]
constant = np.sum(np.ptp(x_train, axis=0) == 0)
for ridge in (1e-2, 1e-4, 1e-6):
    model = GaussianMixture(1, reg_covar=ridge).fit(x_train.astype("float64"))
    found = model.score_samples(x_test[:300].astype("float64"))
    print(ridge, np.median(found))
print("constant pixels", constant)

# %%
pixels = Flow((PIXELS,), [Marginals((PIXELS,), LEVELS)], levels=LEVELS)
pixels.before_training(x_train)
print(pixels.bits_per_dim(x_test, seed=0))

# %%
class Stretch(layers.Layer):
    """Half a cell to a whole one, v → (k + 2 (K v − k)) / K."""

    def forward(self, v):
        k = ops.floor(v * LEVELS)
        twice = (2 * v * LEVELS - k) / LEVELS
        return twice, ops.sum(0 * v, axis=1) + v.shape[1] * float(np.log(2))

    def inverse(self, v):
        k = ops.floor(v * LEVELS)
        return (v * LEVELS + k) / (2 * LEVELS)


rng = np.random.default_rng(0)
noise = rng.random(x_test.shape)
k = np.round(x_test * (LEVELS - 1))
bare = Flow((PIXELS,), pixels.steps)
whole = bare.log_likelihood((k + noise) / LEVELS)
half_v = ((k + 0.5 * noise) / LEVELS).astype("float32")
z, log_det = Stretch().forward(ops.convert_to_tensor(half_v))
print(np.abs(ops.convert_to_numpy(z) - (k + noise) / LEVELS).max())
print((log_det[0]), PIXELS * np.log(2))
