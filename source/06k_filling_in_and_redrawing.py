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
# # Chapter 6k · Filling in and redrawing: where does the target come from?
#
# A network that turns one image into another needs to be told which other. In
# this chapter the target comes, section by section, from the image itself, from
# somebody who drew both images, from two collections without pairs, and from
# nowhere. Each time a method without a network stands beside it, its settings chosen on
# rows that no test uses, and each time the heading says who was ahead.
#
# **We will show**
#
# - holes filled in digits, by a network, by the nearest digits, and by what a
#   mixture of Gaussians expects there;
# - letters enlarged, made bold and given serifs, all of them letters that
#   nothing was fitted to;
# - the same translation learned without a single pair, and what the way back is
#   worth in it;
# - what can be segmented without labels, and where labels have to come in.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 6b](06b_compression_and_noise.ipynb), sections 4 and 5; for section 4 [Chapter 3a](03a_the_game.ipynb), sections 1 and 5 |
# | Data | scikit-learn's digits and two photographs, letters of the DejaVu fonts, all real (full profile: MNIST for the digits) |
# | Time | about a minute on two CPU cores; an hour and a half of reading and exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup"]
import inspect

import matplotlib.pyplot as plt
import numpy as np
from keras import ops
from scipy.ndimage import grey_dilation
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsRegressor

from utils import data, metrics, plotting
from utils.checks import chapter_06k as checks
from utils.data import images
from utils.models.translation import Translator, UnpairedTranslator
from utils.training import recipes
from utils.training.repeats import restart, with_spread

plotting.use_style()

# %% [markdown]
# **Parameters.** Everything that differs between the quick and the full
# profile stands in this one cell.

# %% tags=["setup"]
SEEDS = (0, 1, 2)
DIGITS = profile.pick(quick="digits", full="mnist")
HOLE = profile.pick(quick=4, full=12)  # side of the hidden square, in pixels
DIGIT_STRIDE = profile.pick(quick=2, full=4)
GAUSSIANS = profile.pick(quick=(1, 10, 30, 60), full=(1, 3))
FILLER_STEPS = profile.pick(quick=768, full=1088)
WIDTHS = profile.pick(quick=(32, 32), full=(48, 48, 48))
LETTER_STEPS = profile.pick(quick=512, full=960)
BATCH = profile.pick(quick=16, full=64)
UNPAIRED_STEPS = profile.pick(quick=256, full=1280)
PATCH = 24

# %% [markdown]
# `train` draws the rows of a fixed number of steps at random; `restart` gives a
# compiled model the initial weights of another seed, since compiling takes
# longer than training here.


# %% tags=["setup"]
def train(model, *arrays, steps, batch=BATCH, rate=3e-3, seed=0):
    """Fit for a number of steps on rows drawn with replacement."""
    if not model.compiled:
        recipes.compile(model, rate, updates=steps, beta_2=0.99)
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(arrays[0]), size=steps * batch)
    return model.fit(*(a[rows] for a in arrays), batch_size=batch, verbose=0)


# %% [markdown]
# ## 1. Filling a hole: a mixture and the nearest digits beat the network
#
# Hide a square of a digit, at a random place, and ask for the whole digit. The
# target is the image itself, so that pairs cost nothing. The
# network gets two channels: the picture with the hole set to 0, and a mask
# that says where the hole is. Without the mask a black pixel and a hidden one
# would look the same.

# %% tags=["setup"]
digits = data.load(DIGITS, limit=20_000)


def punch(x, seed):
    """Masks (n, h, w, 1): 1 in a square hole at a random place, else 0."""
    side = x.shape[1]
    corners = np.random.default_rng(seed).integers(
        side - HOLE + 1, size=(len(x), 2)
    )
    mask = np.zeros(x.shape, "float32")
    for row, (top, start) in zip(mask, corners, strict=True):
        row[top : top + HOLE, start : start + HOLE] = 1
    return mask


def with_mask(x, mask):
    """What the network sees: the picture with its hole, and the mask."""
    return np.concatenate([x * (1 - mask), mask], axis=-1)


def hole_error(x, filled, mask):
    """Mean squared error over the hidden pixels alone."""
    return float(np.sum(mask * (x - filled) ** 2) / np.sum(mask))


# %% [markdown]
# Five competitors. The mean digit. A **membrane**, which solves Laplace's
# equation in the hole: every hidden pixel is the mean of its four neighbours.
# **Iterated PCA** projects on $k$ directions and puts the known pixels back,
# again and again. The mean of the $k$ **nearest** training digits, near in the
# pixels that are seen. And what a **mixture of Gaussians** expects in the hole,
# given the rest. With $P$ the inverse of a component's covariance, $h$ the
# hidden pixels and $d=x-\mu$, set to 0 in the hole,
#
# $$\mathbb E(x_h\mid\text{rest})=\mu_h-P_{hh}^{-1}(Pd)_h,\tag{1}$$
#
# averaged over the components with their probability given what is seen. One
# Gaussian is linear regression on the seen pixels.


# %%
def membrane(x, mask, sweeps=200):
    """Fill holes with the mean of four neighbours, until nothing changes."""
    filled = x * (1 - mask)
    for _ in range(sweeps):
        p = np.pad(filled, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        mean = (p[:, :-2, 1:-1] + p[:, 2:, 1:-1]) / 4
        mean += (p[:, 1:-1, :-2] + p[:, 1:-1, 2:]) / 4
        filled = np.where(mask > 0, mean, filled)
    return filled


def iterated_pca(x, mask, model, sweeps=30):
    """Project and put the known pixels back, again and again."""
    known, flat_mask = x.reshape(len(x), -1), mask.reshape(len(x), -1)
    filled = np.where(flat_mask > 0, model.mean_, known)
    for _ in range(sweeps):
        projected = model.inverse_transform(model.transform(filled))
        filled = np.where(flat_mask > 0, projected, known)
    return filled.reshape(x.shape)


# %%
def nearest(x, mask, k):
    """Mean of the k training digits that are nearest where x is seen."""
    seen = 1 - mask.reshape(len(x), -1)
    flat = x.reshape(len(x), -1) * seen
    squared = seen @ (rows_train**2).T - 2 * flat @ rows_train.T  # + const
    found = np.argpartition(squared, k, axis=1)[:, :k]
    return rows_train[found].mean(axis=1).reshape(x.shape)


def expected(x, mask, mixture):
    """Mean of the hidden pixels given the others, equation (1)."""
    filled, p = x.reshape(len(x), -1).astype("float64"), mixture.precisions_
    prior = np.log(mixture.weights_) + np.linalg.slogdet(p)[1] / 2
    for row, h in zip(filled, mask.reshape(len(x), -1) > 0, strict=True):
        d = np.where(h, 0, row - mixture.means_)  # (K, pixels)
        q, p_hh = np.einsum("kij,kj->ki", p, d), p[:, h][:, :, h]
        step = np.linalg.solve(p_hh, q[:, h, None])[..., 0]
        squared = np.sum(d * q, 1) - np.sum(q[:, h] * step, 1)
        log_share = prior - (squared + np.linalg.slogdet(p_hh)[1]) / 2
        share = np.exp(log_share - log_share.max())
        row[h] = share / share.sum() @ (mixture.means_[:, h] - step)
    return np.clip(filled, 0, 1).reshape(x.shape)


# %%
rows_train = digits.x_train.reshape(len(digits.x_train), -1)
x_val, x_digits = digits.x_val[:1000], digits.x_test[:1000]
mask_val, mask_digits = punch(x_val, 1), punch(x_digits, 2)
mixtures = {
    k: GaussianMixture(k, reg_covar=0.03, max_iter=30, random_state=0).fit(
        rows_train[:5000]
    )
    for k in GAUSSIANS
}

# %%
settings = {
    "iterated PCA": (
        iterated_pca,
        {k: PCA(k, random_state=0).fit(rows_train) for k in (2, 5, 10, 20)},
    ),
    "nearest": (nearest, {k: k for k in (1, 3, 5, 10, 20)}),
    "mixture": (expected, mixtures),
}
fillings = {
    "mean digit": np.broadcast_to(digits.x_train.mean(axis=0), x_digits.shape),
    "membrane": membrane(x_digits, mask_digits),
}
for name, (fill, models) in settings.items():
    on_val = {
        k: hole_error(x_val, fill(x_val, mask_val, m), mask_val)
        for k, m in models.items()
    }
    best = min(on_val, key=on_val.get)
    fillings[name] = fill(x_digits, mask_digits, models[best])
    print(f"{name}: {best} of {list(on_val)} on validation rows")

# %% tags=["nbval-ignore-output"]
filler = Translator.conv(
    (*digits.event_shape[:2], 2),
    out_channels=1,
    widths=(64, 64, 64),
    stride=DIGIT_STRIDE,
    seed=0,
)
targets = np.resize(digits.x_train, (8000, *digits.event_shape))
seen = with_mask(targets, punch(targets, 0))
by_seed = []
for seed in SEEDS:
    if filler.compiled:
        restart(filler, seed)
    train(filler, seen, targets, steps=FILLER_STEPS, seed=seed)
    fillings["network"] = filler.translate(with_mask(x_digits, mask_digits))
    by_seed.append(hole_error(x_digits, fillings["network"], mask_digits))
errors = {
    name: hole_error(x_digits, filled, mask_digits)
    for name, filled in fillings.items()
}
runtime.record(
    f"Squared error in the hole, held-out {DIGITS}",
    tuple(errors),
    [
        [f"{error:.4f}" for error in list(errors.values())[:-1]]
        + [with_spread(by_seed, 4)]
    ],
)

# %%
weak = [errors[name] for name in ("mean digit", "membrane", "iterated PCA")]
assert max(by_seed) < 0.9 * min(weak)
assert profile.full or errors["nearest"] < 0.8 * min(by_seed)
assert profile.full or errors["mixture"] < 0.7 * min(by_seed)

# %% tags=["nbval-ignore-output"]
first = np.arange(10)
pictures = {"seen": np.where(mask_digits > 0, 0.5, x_digits)[first]}
for name, filled in fillings.items():
    if name != "mean digit":
        pictures[name] = np.where(mask_digits > 0, filled, x_digits)[first]
pictures["truth"] = x_digits[first]
plotting.image_rows(
    pictures,
    f"Error in the hole: network {errors['network']:.3f}, nearest "
    f"{errors['nearest']:.3f}, mixture {errors['mixture']:.3f}",
)
plt.show()

# %% [markdown]
# **Figure 6k.1.** The hole in grey, then five ways to fill it. The membrane knows
# what is smooth, not what a digit is. The others know digits, and those that have
# kept every training digit, or the covariances of groups of them, know them better than
# a network after a few seconds of training: it learns slowly what they look up.
# (4 000 steps of 64, in one run, brought it to .040, level with the
# neighbours and behind the mixture. On MNIST, in holes of $12\times12$, ten
# neighbours came to .062, three Gaussians to .061, one run of the full profile's
# network to .076.) Where
# several digits fit what is left, the squared error asks for their *mean*, and
# the filling is grey: not a flaw of any method but what was asked for. A model
# that draws one of the possibilities needs a generator
# ([Chapter 3b](03b_judging_samples.ipynb), [Chapter 4b](04b_what_it_is_good_for.ipynb)).

# %% [markdown]
# ## 2. Enlarging letters: a quick network and a table of patches are close
#
# [Chapter 6b](06b_compression_and_noise.ipynb) enlarged photographs and found
# that ridge regression does what a quick network does. Letters have far more in
# common than photographs. The course carries 325
# letters of four styles of the DejaVu fonts, $24\times24$ pixels each. All
# **Latin letters are held out**, and with them every letter of another alphabet
# that looks like one of them (a Greek or Cyrillic А is a Latin A): two
# letters are look-alikes if in some position, one pixel to any side, their
# mean squared difference is below 0.01.

# %% tags=["setup"]
letters, styles = images.load_glyphs()
latin = np.array([c.isascii() and c.isalpha() for c in letters])


def distance_to_latin():
    """Smallest mean squared difference to a Latin letter, sans or bold."""
    nearest = np.full(len(letters), np.inf)
    for style in ("sans", "sans bold"):
        every, held_out = styles[style], styles[style][latin]
        for shift in np.ndindex(3, 3):
            moved = np.roll(every, np.array(shift) - 1, axis=(1, 2))
            squared = (moved[:, None] - held_out[None]) ** 2
            nearest = np.minimum(nearest, squared.mean(axis=(2, 3, 4)).min(1))
    return nearest


known = np.flatnonzero(~latin & (distance_to_latin() >= 0.01))
print(latin.sum(), "letters held out,", len(known), "for training")


def shifted(rows, *pictures, size=2):
    """Copies of pictures, moved together by up to two pixels."""
    moves = np.random.default_rng(0).integers(-size, size + 1, (len(rows), 2))
    return [
        np.stack(
            [
                np.roll(x[i], move, axis=(0, 1))
                for i, move in zip(rows, moves, strict=True)
            ]
        )
        for x in pictures
    ]


# %% [markdown]
# Shrink a letter by three; the original is the target. Bicubic enlargement is
# the first baseline and the network's input. Two more look at the pixels around a
# place and answer with a square of the target: **ridge regression**, and the mean
# of the $k$ **nearest patches** of the training letters, as Freeman, Jones and
# Pasztor (2002) did it. Both stand in one helper. Side
# and $k$ are chosen on an eighth of the training letters, fitted on another quarter.


# %% tags=["setup"]
def pixels_around(x, side):
    """The pixels around each pixel, 0 outside: (n · h · w, side²)."""
    reach = side // 2
    padded = np.pad(x[..., 0], ((0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, (side, side), axis=(1, 2)
    )
    return windows.reshape(-1, side**2)


def by_patches(model, side, x, y, x_new):
    """Fit squares of y to the pixels around a place in x; squares for x_new."""
    size = y.shape[1] // x.shape[1]
    squares = images.to_patches(y.reshape(-1, y.shape[2], 1), size)
    around, new = pixels_around(x, side), pixels_around(x_new, side)
    inked, drawn_on = around.max(axis=1) > 0, new.max(axis=1) > 0
    model.fit(around[inked], squares.reshape(len(around), -1)[inked])
    made = np.zeros((len(new), size, size, 1), "float32")  # blank stays blank
    made[drawn_on] = model.predict(new[drawn_on]).reshape(-1, size, size, 1)
    shape = len(x_new), x_new.shape[1] * size, x_new.shape[2] * size, 1
    pasted = images.from_patches(made, (shape[0] * shape[1], shape[2]))
    return np.clip(pasted, 0, 1).reshape(shape)


# %% tags=["setup"]
PATCH_MODELS = {
    "ridge": [(lambda: Ridge(1e-2), side) for side in (3, 5, 7, 9)],
    "nearest patches": [
        (lambda k=k: KNeighborsRegressor(k, algorithm="brute"), side)
        for side, k in ((3, 5), (5, 5), (5, 20), (5, 60), (7, 20))
    ],
}


def patch_opponents(x, y):
    """What ridge and the nearest patches make of the Latin letters of x."""
    fitted, chosen = known[::4], known[1::8]
    made = {}
    for name, options in PATCH_MODELS.items():
        errors = [
            metrics.mse(
                y[chosen],
                by_patches(new(), side, x[fitted], y[fitted], x[chosen]),
            )
            for new, side in options
        ]
        new, side = options[np.argmin(errors)]
        made[name] = by_patches(new(), side, x[known], y[known], x[latin])
        print(f"{name}: option {np.argmin(errors) + 1} of {len(options)}")
    return made


# %%
sans = styles["sans"]
small = images.resize(sans, (8, 8))
soft_sans = images.resize(small, (24, 24))
letters_made = {"bicubic": np.clip(soft_sans[latin], 0, 1)}
letters_made |= patch_opponents(small, sans)
translator = Translator.conv((PATCH, PATCH, 1), widths=WIDTHS, seed=0)
many = np.resize(known, 8000)


def from_seeds(x, y):
    """Train the translator from each seed; its errors, its last letters."""
    rows, errors = shifted(many, x, y), []
    for seed in SEEDS:
        if translator.compiled:
            restart(translator, seed)
        train(translator, *rows, steps=LETTER_STEPS, seed=seed)
        made = translator.translate(x[latin])
        errors.append(metrics.mse(y[latin], made))
    return errors, made


# %% tags=["nbval-ignore-output"]
enlarging, letters_made["network"] = from_seeds(soft_sans, sans)
quality = {n: metrics.psnr(sans[latin], x) for n, x in letters_made.items()}
in_decibels = -10 * np.log10(enlarging)
runtime.record(
    "Held-out Latin letters enlarged 3 ×, PSNR in dB",
    tuple(quality),
    [
        [f"{value:.2f}" for value in list(quality.values())[:-1]]
        + [with_spread(in_decibels, 2)]
    ],
)

# %% tags=["hide-input"]
assert min(in_decibels) > max(quality["bicubic"], quality["ridge"]) + 2
assert quality["nearest patches"] > quality["ridge"] + 2
assert profile.full or abs(in_decibels.mean() - quality["nearest patches"]) < 1

# %% tags=["nbval-ignore-output"]
some = np.arange(0, 52, 7)
plotting.image_rows(
    {name: made[some] for name, made in letters_made.items()}
    | {"truth": sans[latin][some]},
    "Letters enlarged 3 ×: "
    + ", ".join(f"{name} {value:.1f}" for name, value in quality.items())
    + " dB",
)
plt.show()

# %% [markdown]
# **Figure 6k.2.** Latin letters, enlarged three times by what was fitted to
# Greek, Cyrillic, Armenian and Georgian ones. Strokes with sharp edges are what
# all of them share. No linear rule turns grey into an edge; the network and the
# nearest patches do, within half a decibel of each other after a few seconds.
# Training is where they part: in the full profile, with a third layer and 960 steps, one run of the network came to
# 22.95 dB, and a table of patches does not get better by waiting.

# %% [markdown]
# ## 3. Pairs that somebody made: ahead for bold, level for serifs
#
# "Image-to-image translation" with pairs needs somebody who made both
# images: here the designer of the fonts, who drew every letter regular and
# bold, with serifs and without. That is *supervision*, if not by labels. The
# first baseline is to **copy the input**, the second to thicken it: a
# grey dilation, whose size the training letters choose. And ridge and the nearest
# patches, as before.

# %% tags=["nbval-ignore-output"]
tasks = {"bold": styles["sans bold"], "serif": styles["serif"]}
results, drawn, by_seed = {}, {}, {}


def dilate(x, size):
    """Largest value in a window of (rows, columns) around each pixel."""
    return grey_dilation(x, size=(1, *size, 1))


sizes = ((1, 1), (1, 2), (2, 1), (1, 3), (2, 2), (2, 3), (3, 3))
for name, target in tasks.items():
    size = min(
        sizes, key=lambda s: metrics.mse(target[known], dilate(sans[known], s))
    )
    made = {"copy": sans[latin], "dilation": dilate(sans[latin], size)}
    made |= patch_opponents(sans, target)
    by_seed[name], made["network"] = from_seeds(sans, target)
    results[name] = {n: metrics.mse(target[latin], x) for n, x in made.items()}
    drawn[name] = made
runtime.record(
    "Held-out Latin letters, mean squared error",
    ("from sans to", *results["bold"]),
    [
        [n, *(f"{e:.4f}" for e in list(r.values())[:-1])]
        + [with_spread(by_seed[n], 4)]
        for n, r in results.items()
    ],
)

# %%
bold, serif = results["bold"], results["serif"]
assert max(by_seed["bold"]) < 0.25 * bold["copy"], "a quarter of the error"
assert max(by_seed["bold"]) < 0.8 * min(bold["dilation"], bold["ridge"])
assert max(by_seed["bold"]) < bold["nearest patches"]
assert max(by_seed["serif"]) < 0.85 * serif["copy"]
assert serif["dilation"] >= serif["copy"], "thickening does not help here"
gap = np.mean(by_seed["serif"]) - serif["nearest patches"]
assert abs(gap) < 0.1 * serif["copy"], "patches do as well"

# %% tags=["gallery-letters"]
some = np.arange(2, 52, 7)
plotting.image_rows(
    {
        "input": sans[latin][some],
        "bold": drawn["bold"]["network"][some],
        "true bold": styles["sans bold"][latin][some],
        "serif": drawn["serif"]["network"][some],
        "nearest": drawn["serif"]["nearest patches"][some],
        "true serif": styles["serif"][latin][some],
    },
    f"Held-out letters: {bold['network'] / bold['copy']:.0%} of the error of "
    f"copying for bold, {serif['network'] / serif['copy']:.0%} for serif",
)
plt.show()

# %% [markdown]
# **Figure 6k.3.** Nothing here was fitted to a Latin letter, in any style. Bold is a
# local affair, thicker strokes; a dilation and a linear filter get three quarters
# of the way, and the network is ahead of the nearest patches. Serifs are harder: where
# one goes depends on what kind of stroke ends there, other scripts end their
# strokes otherwise, and where network or patches (row *nearest*) are in doubt they
# draw half a serif, in grey. For these the two are level to three per cent, at two
# thirds of the error of copying.

# %% [markdown]
# ## 4. No pairs at all: two games and a way back, behind a dilation that knows the direction
#
# Now take the pairs away. There are two *collections*, regular letters and bold
# ones, with no letter in common: half of the training letters are seen only
# regular, the other half only bold. Nothing says what any bold letter should
# look like in regular. Zhu et al. (2017) put three demands in the place of the target;
# `UnpairedTranslator` writes them into one loss:
#
# 1. $G(x)$ has to look like a bold letter to a critic $D_Y$ that sees real
#    bold ones;
# 2. $F(y)$ has to look regular to a critic $D_X$;
# 3. there and back has to be a return trip: $F(G(x))\approx x$ and
#    $G(F(y))\approx y$, the **cycle consistency**.
#
# $$L_{G,F}=\tfrac12\mathbb E(D_Y(G(x))-1)^2+\tfrac12\mathbb E(D_X(F(y))-1)^2
# +\lambda\,\mathbb E|F(G(x))-x|+\lambda\,\mathbb E|G(F(y))-y|.\tag{2}$$
#
# The first two alone would allow any bold letter for any regular one. The
# third forbids to forget which letter it was. It does *not* forbid a code of
# one's own: a $G$ that turned every A into a bold B and an $F$ that undoes it
# would pay nothing. What speaks against that is only that the networks start as
# copies and change little.
#
# Is there a simple opponent that sees no pair either? Whoever knows that bold
# letters are *thicker* dilates, and asks the bold collection only **how much ink**
# it has: the window whose mean grey comes nearest. (Odd windows, since even
# ones move a letter by half a pixel.) Whoever knows type knows more: stems grow
# sideways, so the window is one row high.
#
# The cuts that let one backward pass serve four
# networks are those of [Chapter 3a](03a_the_game.ipynb), section 5.

# %%
print(inspect.getsource(UnpairedTranslator.call))

# %%
order = np.random.default_rng(0).permutation(known)
only_regular, only_bold = order[::2], order[1::2]
assert not set(only_regular) & set(only_bold)
size = 16 * UNPAIRED_STEPS
(regular,) = shifted(np.resize(only_regular, size), sans)
(heavy,) = shifted(np.resize(only_bold, size), styles["sans bold"])
unpaired = UnpairedTranslator.conv(
    (PATCH, PATCH, 1), widths=(24, 24), critic_widths=(16, 32), seed=0
)
recipes.compile(unpaired, 3e-3, updates=UNPAIRED_STEPS, beta_1=0.5)

# %%
ink, by_ink = styles["sans bold"][only_bold].mean(), {}
for name, windows in (
    ("any", ((1, 1), (1, 3), (3, 1), (3, 3))),
    ("sideways", ((1, 1), (1, 3), (1, 5))),
):
    inks = [dilate(sans[only_regular], w).mean() for w in windows]
    window = windows[np.argmin(np.abs(np.array(inks) - ink))]
    thick = dilate(sans[latin], window)
    by_ink[name] = metrics.mse(styles["sans bold"][latin], thick)
    print(f"{name} window with the ink of the bold letters: {window}")

# %% tags=["nbval-ignore-output"]
without_pairs = []
for seed in SEEDS:
    restart(unpaired, seed=seed)
    unpaired.fit(regular, heavy, batch_size=16, verbose=0)
    made = unpaired.translate(sans[latin])
    without_pairs.append(metrics.mse(styles["sans bold"][latin], made))
back = unpaired.translate_back(made)
there_and_back = metrics.mse(sans[latin], back)
copying = bold["copy"]
shares = {
    ("copy", "nothing"): [copying],
    ("dilation by ink", "two collections"): [by_ink["any"]],
    ("cycle consistency", "two collections"): without_pairs,
    ("dilation sideways, by ink", "and the direction"): [by_ink["sideways"]],
    ("dilation", "pairs, for its window"): [bold["dilation"]],
    ("regression", "pairs"): by_seed["bold"],
}
runtime.record(
    "Regular to bold, held-out Latin letters: % of the copying error",
    ("method", "needs", "share"),
    [
        [*method, with_spread(100 * np.array(errors) / copying, 0)]
        for method, errors in shares.items()
    ],
)

# %% tags=["hide-input"]
assert max(without_pairs) < 0.85 * copying, "better than copying"
assert min(without_pairs) > max(by_seed["bold"]), "pairs are worth something"
assert by_ink["any"] > 0.9 * copying > np.mean(without_pairs)
assert np.mean(without_pairs) > by_ink["sideways"], "direction is worth more"
assert there_and_back < 0.2 * copying

# %% tags=["gallery-unpaired_letters"]
plotting.image_rows(
    {
        "input": sans[latin][some],
        "no pairs": made[some],
        "sideways": thick[some],
        "with pairs": drawn["bold"]["network"][some],
        "truth": styles["sans bold"][latin][some],
        "and back": back[some],
    },
    f"Bold without a single pair, last seed: {without_pairs[-1] / copying:.0%} "
    f"of the error of copying, with pairs {bold['network'] / copying:.0%}",
)
plt.show()

# %% [markdown]
# **Figure 6k.4.** Nobody has told this network that bold is thicker. It found
# out from two piles of letters with no letter in common, and more: ink alone picks
# a window that thickens bars and leaves stems, hardly better than copying.
# Whoever knows the direction beats the network by one dilation (row *sideways*),
# without a pair too: two games and a way back
# buy less than a sentence by a typographer. And regression on pairs is nearer
# the truth, as it should be: the critic asks that a
# letter look bold, not that it look like *this* font's bold A. On this task
# the error is a fair judge, because there is one right answer; for horses and
# zebras there is none, nor a window to dilate with, and claims about such models
# rest on pictures. Nor does the game end the same way every time: the spread over three
# seeds is that of the table, and in the full profile they came to 52, 35 and 27 %.
# (Last row: there and back, the input again, but fainter.)

# %% [markdown]
# ## 5. Parts of a picture, without labels and with
#
# Segmentation, detection, recognition: all three are called applications
# of unsupervised learning, and all three end in *names*: this pixel is flower,
# here is a pagoda. A name has to come from somewhere. What can be had without
# one is *grouping*: k-means on the colours, $n$ pixels with $d=3$ entries.

# %%
colour = images.load_photographs()
groups, ids = {}, {}
for name, photo in colour.items():
    pixels = photo.reshape(-1, 3)
    model = KMeans(n_clusters=4, n_init=3, random_state=0).fit(pixels[::29])
    ids[name] = model.predict(pixels).reshape(photo.shape[:2])
    groups[name] = model.cluster_centers_[ids[name]]

# %%
figure, axes = plt.subplots(2, 2, figsize=(5.6, 4.2))
for column, name in enumerate(colour):
    for axis, picture in zip(
        axes[:, column], (colour[name], groups[name]), strict=True
    ):
        axis.imshow(picture)
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
    axes[0, column].set_title(name)
    axes[1, column].set_title("four groups")
plt.show()

# %% [markdown]
# **Figure 6k.5.** The groups are there: sky, flower, leaves in shade and in
# light. And they are groups of *colours*: the pagoda shares one with
# the bushes, the flower has two. How good is that as a segmentation? It takes
# a reference to say. Ours is drawn by hand, two circles around the two
# blossoms, and it serves for measuring alone. With $K=2$:

# %%
yy, xx = np.mgrid[:424, :632]
blossom = np.hypot(xx - 303, yy - 219) < 138
blossom |= np.hypot(xx - 371, yy - 471) < 98


def overlap(a, b):
    """Intersection over union of two masks."""
    return np.sum(a & b) / np.sum(a | b)


pixels = colour["flower"].reshape(-1, 3)
two = KMeans(n_clusters=2, n_init=3, random_state=0).fit(pixels[::29])
halves = two.predict(pixels).reshape(blossom.shape)
by_name = {name: overlap(halves == name, blossom) for name in (0, 1)}
print("overlap of each group with the blossoms, sorted:")
print([f"{value:.2f}" for value in sorted(by_name.values())])

# %%
assert max(by_name.values()) > 0.85 and min(by_name.values()) < 0.2
swapped = {name: overlap(1 - halves == name, blossom) for name in (0, 1)}
assert sorted(swapped.values()) == sorted(by_name.values())

# %% [markdown]
# The grouping is good, for this photograph and by two circles. But which of the two groups is
# *the flower*? The last assertion says why the method cannot know: swap the two
# ids and every number that k-means looks at stays the same. One labelled pixel
# settles it. The same holds for recognition: a code is the same whatever
# the classes are called. How many labels do the names take, and do features
# that were found without labels save some? PCA's sixteen, beside the
# 64 pixels themselves, with the same labelled rows for both:

# %%
flat = data.load("digits").flat()
features = PCA(16, random_state=0).fit(flat.x_train)  # no labels so far
z_train, z_test = map(features.transform, (flat.x_train, flat.x_test))
inputs = {"pixels": (flat.x_train, flat.x_test), "PCA": (z_train, z_test)}
rng = np.random.default_rng(0)
shares = {}
for per_class in (1, 5, 20):
    scores = {name: [] for name in inputs}
    for _ in range(10):
        rows = [
            rng.choice(np.flatnonzero(flat.y_train == c), per_class)
            for c in range(10)
        ]
        rows = np.concatenate(rows)
        for name, (x, x_test) in inputs.items():
            reader = LogisticRegression(max_iter=500)
            reader.fit(x[rows], flat.y_train[rows])
            scores[name].append(reader.score(x_test, flat.y_test))
    shares[per_class] = {name: np.mean(s) for name, s in scores.items()}
    print(f"{per_class:>2} labels a class, share of test digits: ", end="")
    print({name: f"{share:.2f}" for name, share in shares[per_class].items()})

# %%
again = PCA(16, random_state=0).fit(flat.x_train).transform(flat.x_test)
assert np.allclose(again, z_test), "no label has come in"
by_pca = [shares[n]["PCA"] for n in (1, 5, 20)]
assert by_pca == sorted(by_pca) and by_pca[0] > 0.3 and by_pca[-1] > 0.85
for share in shares.values():
    assert abs(share["PCA"] - share["pixels"]) < 0.04, "PCA saves no label"

# %% [markdown]
# Without labels: no name. With ten: some names. With two hundred: nine digits
# in ten, from PCA's features as from pixels: not every feature that was found without
# labels is worth one ([chapter 5b](05b_what_a_label_is_worth.ipynb) measures which are). Object *detection* asks for boxes in addition. These need no person: CutLER
# (Wang et al. 2023) trains a detector of photographs on masks that it found
# itself, and [chapter 6j](06j_scenes.ipynb) trains one on pieces that it cut out
# and pasted. What needs labels are the *names*.
#
# ### Who needs what
#
# | task | method | where the target comes from |
# |---|---|---|
# | compression ([6b](06b_compression_and_noise.ipynb)) | autoencoder with priced bits | the image itself |
# | denoising, super-resolution, filling holes | regression on damaged copies | clean images, damaged by us |
# | translation with pairs | regression, or pix2pix (Isola et al. 2017) | somebody made both images |
# | translation without pairs | cycle consistency | two collections, sorted by somebody |
# | grouping of pixels | k-means on colours or features | nowhere; groups have no names |
# | boxes around things | a detector trained on found masks or pasted pieces ([6j](06j_scenes.ipynb)) | the image itself; the boxes have no names |
# | naming regions, boxes, images | a classifier on such features | labels |

# %% [markdown]
# ## What we have shown
#
# - Holes in digits were filled with less error than by a membrane or by
#   iterated PCA, and with more than by the nearest digits or by what a mixture of
#   Gaussians expects. Those have no training to wait for.
# - Letters that nothing had seen were enlarged with sharp edges, by a network and, less
#   than half a decibel behind, by a table of patches; linear rules left them grey.
# - With pairs, bold letters came with a sixth of the error of copying, ahead of
#   every opponent; serifs with two thirds, level with the nearest patches.
# - Without any pair the error was between both, and above that of one dilation by
#   somebody who knows that stems grow sideways; ink alone did not know.
# - Colours group without labels. Which group is the flower takes a label, and
#   PCA's features saved none.
#
# ### Limits
#
# 325 letters of one family of fonts, 1 797 small digits and two photographs are no
# corpus. The opponents had seconds and so had the networks: what more training
# brings is said where it was measured. Squared error draws the mean of what is
# possible, in grey, whoever draws.
#
# ## References
#
# - Freeman, Jones, Pasztor (2002). Example-based super-resolution. IEEE Computer Graphics and Applications 22.
# - Isola et al. (2017). Image-to-image translation with conditional adversarial networks. CVPR.
# - Wang, Girdhar, Yu, Misra (2023). Cut and learn for unsupervised object detection and instance segmentation. CVPR.
# - Zhu et al. (2017). Unpaired image-to-image translation using cycle-consistent adversarial networks. ICCV.
#
# The photographs are by Yann Forget and Dark Sevier, CC BY, distributed with
# scikit-learn; the letters are drawn from the DejaVu fonts 2.37.

# %% [markdown]
# ## Exercises
#
# Each needs only the set-up cells at the top. Write your answer where
# it says `# your answer here`, run the cell, then run the check below it: it
# says what is wrong, and with what to go on once it is right.

# %% [markdown] tags=["exercise"]
# ### Exercise 6k.1 · There and back
#
# *You will learn what replaces a pair.* `forward` is $G$, `backward` is $F$; both
# take and return tensors. Return the cycle part of equation (2) without $\lambda$,
# a scalar: both directions, absolute errors, means over rows and pixels.


# %% tags=["exercise"]
def cycle_loss(x, y, forward, backward):
    """Return mean|F(G(x)) − x| + mean|G(F(y)) − y|."""
    ### BEGIN SOLUTION
    there = ops.mean(ops.abs(backward(forward(x)) - x))
    return there + ops.mean(ops.abs(forward(backward(y)) - y))
    ### END SOLUTION


# %% tags=["check"]
checks.check_6k_1(cycle_loss)

# %% [markdown] tags=["discussion"]
# No $x$ meets a $y$ in this formula, so that pairs cannot help it, nor shuffling
# hurt. Every $G$ that has its inverse for $F$ has cycle loss 0, turning pictures upside down
# included: only the critics, and a start near the copy, keep $G$ from that.

# %% [markdown] tags=["exercise"]
# ### Exercise 6k.2 · How many pairs? (experiment)
#
# *You will learn what a pair is worth.* Train a translator from `sans` to
# `serif` on the first 10, 50 and all of the letters of `known`, with 384 steps
# of 16 letters or more each, the same for all. `shifted(np.resize(chosen, 3000), a, b)` makes
# moved copies of pairs, `train` trains. Put the models into `models_6k_2` and
# their mean squared errors on the *Latin* letters into `errors_6k_2`, both by
# number of letters.

# %% tags=["exercise"]
models_6k_2, errors_6k_2 = {}, {}
### BEGIN SOLUTION
regular_6k_2, serif_6k_2 = styles["sans"], styles["serif"]
for count in (10, 50, len(known)):
    model = Translator.conv((24, 24, 1), widths=(32, 32), seed=0)
    chosen = np.resize(known[:count], 3000)
    train(
        model,
        *shifted(chosen, regular_6k_2, serif_6k_2),
        steps=384,
        batch=16,
    )
    models_6k_2[count] = model
    errors_6k_2[count] = metrics.mse(
        serif_6k_2[latin], model.translate(regular_6k_2[latin])
    )
### END SOLUTION

# %% tags=["check", "nbval-ignore-output"]
checks.check_6k_2(models_6k_2, errors_6k_2)

# %% [markdown] tags=["discussion"]
# From ten letters, the digits, hardly anything is learned that holds for Latin
# ones; fifty bring something, all of them more. Now put `"sans bold"` in the place of
# `"serif"`: thickening a stroke is nearly learned from *one* letter, and
# letters of scripts with other strokes may even do harm. "How much data does it
# take?" has no answer without "for what?".

# %% [markdown] tags=["exercise"]
# ### Exercise 6k.3 · Where does the target come from? (open)
#
# *You will learn to ask the question of this chapter of any claim.* For
# each task name the cheapest source of a target: `"itself"` (made from the
# images alone), `"both made"` (somebody made both images of a pair),
# `"two collections"` (sorted, not paired), `"nobody"` (there is no target), or
# `"labels"` (names, boxes or masks by a person). Then find an eighth task of
# your own.

# %% tags=["exercise"]
answer_6k_3 = {
    "remove noise from photographs": None,
    "turn sketches into the photographs they were drawn from": None,
    "turn summer landscapes into winter": None,
    "colour the grey photographs of an archive": None,
    "draw boxes around pedestrians": None,
    "split a picture into regions of similar colour": None,
    "tell cats from dogs": None,
}
### BEGIN SOLUTION
answer_6k_3 = {
    "remove noise from photographs": "itself",
    "turn sketches into the photographs they were drawn from": "both made",
    "turn summer landscapes into winter": "two collections",
    "colour the grey photographs of an archive": "itself",
    "draw boxes around pedestrians": "labels",
    "split a picture into regions of similar colour": "nobody",
    "tell cats from dogs": "labels",
}
### END SOLUTION

# %% tags=["check"]
checks.check_6k_3(answer_6k_3)

# %% [markdown] tags=["discussion"]
# "Unsupervised" is a word about the third column of the table in section 5, not
# about the network: the same stack of convolutions stood in three of its rows. Boxes
# alone need no person; that one holds a pedestrian does.

# %% [markdown] tags=["exercise"]
# ### Exercise 6k.4 · The nearest that fit
#
# *You will learn to compare pictures in which something is missing.* Write a
# function of pictures `x` `(n, d)`, of `mask` of the same shape (1 where
# hidden), of complete pictures `rows` `(m, d)` and of `k`. Return `x` with its hidden
# entries replaced by the mean of the $k$ rows that are nearest in squared
# distance over the *seen* entries of each picture. What `x` has in the hole must not
# matter: it may be anything.


# %% tags=["exercise"]
def fill_from_nearest(x, mask, rows, k):
    """Return x (n, d) with its hidden entries filled."""
    ### BEGIN SOLUTION
    filled = np.array(x, "float64")
    for row, hidden in zip(filled, mask > 0, strict=True):
        gaps = ((rows[:, ~hidden] - row[~hidden]) ** 2).sum(axis=1)
        found = np.argsort(gaps, kind="stable")[:k]
        row[hidden] = rows[found][:, hidden].mean(axis=0)
    return filled
    ### END SOLUTION


# %% tags=["check"]
checks.check_6k_4(fill_from_nearest)

# %% [markdown] tags=["discussion"]
# Section 1 needs no loop: where $s$ is 1 for seen pixels,
# $\sum_j s_j(x_j-r_j)^2=\text{const}-2\,(sx)\cdot r+s\cdot r^2$, two products of
# matrices for all pictures and all rows. Larger $k$ gives a smoother mean, $k=1$
# a real digit with its seams.

# %% [markdown] tags=["exercise"]
# ### Exercise 6k.5 · As much ink
#
# *You will learn what two collections say without a pair.* Write a function of
# `regular` `(n, h, w)` and `bold` `(m, h, w)`, letters that have nothing to do
# with each other, and of a list of `windows` `(rows, columns)`. Dilate the regular
# letters with each window, as `grey_dilation` does: the largest value around each
# pixel, letter by letter. Return the window for which the mean grey
# comes nearest to that of the bold ones.


# %% tags=["exercise"]
def window_by_ink(regular, bold, windows):
    """Return the window, one of the list, whose ink is that of bold."""

    ### BEGIN SOLUTION
    def gap(window):
        thick = grey_dilation(regular, size=(1, *window))
        return abs(thick.mean() - bold.mean())

    return min(windows, key=gap)
    ### END SOLUTION


# %% tags=["check"]
checks.check_6k_5(window_by_ink)

# %% [markdown] tags=["discussion"]
# On the two piles of section 4 ink picks (3, 1), which thickens bars and leaves
# stems: hardly better than copying, where (1, 3) has a quarter of that error. Ink does
# not see which strokes have grown. What one statistic
# does not see another may, and a critic that *learns* which statistic tells
# the piles apart is the idea of section 4.
