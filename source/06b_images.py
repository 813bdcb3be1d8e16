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
# # Chapter 6b · Images: fewer bits, less damage, another style
#
# Six things that are said of autoencoders and adversarial networks when
# images come up: they compress, denoise, sharpen, fill holes, redraw in
# another style, and find the parts of a picture. This chapter does each of
# them, next to the classical way of doing it, on pictures that were kept
# aside. One question runs through all six: **where does the target come
# from?** From the image itself, from somebody who drew it, or from nowhere.
#
# **We will show**
#
# - why a short code is not yet a small file, and what makes it one;
# - a learned code against PCA and against JPEG, in bits and decibels, with
#   the decoder's own size on the bill;
# - one network that denoises, sharpens and redraws, trained on pairs that
#   cost nothing or on pairs that somebody made;
# - holes filled in digits, against PCA and against a membrane;
# - letters made bold and given serifs that the network has never seen;
# - the same translation learned without a single pair;
# - what can be segmented without labels, and where labels have to come in.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 2](02a_autoencoders.ipynb): autoencoders and PCA; for section 7 [Chapter 3a](03a_the_game.ipynb), sections 1 and 5 |
# | Data | scikit-learn's two photographs and digits; letters of the DejaVu fonts (full profile: MNIST for the digits) |
# | Time | about a minute on two CPU cores; two hours of reading and exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup"]
import inspect

import matplotlib.pyplot as plt
import numpy as np
from keras import ops
from scipy.ndimage import gaussian_filter, grey_dilation, median_filter
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge

from utils import data, metrics, plotting
from utils.checks import chapter_06b as checks
from utils.data import images
from utils.models.compression import Compressor, EntropyCoder
from utils.models.translation import Translator, UnpairedTranslator
from utils.training import recipes
from utils.training.repeats import restart

plotting.use_style()

# %% [markdown]
# **Parameters.** Everything that differs between the quick and the full
# profile stands in this one cell.

# %% tags=["setup"]
SEEDS = (0, 1, 2)
STEP_SIZES = profile.pick(quick=(0.2, 0.35, 0.5), full=(0.15, 0.25, 0.35, 0.5))
COMPRESSOR_WIDTHS = profile.pick(quick=(128, 128), full=(192, 192))
COMPRESSOR_STEPS = profile.pick(quick=384, full=3200)
WIDTHS = profile.pick(quick=(32, 32), full=(48, 48, 48))
TRANSLATOR_STEPS = profile.pick(quick=256, full=960)
UNPAIRED_STEPS = profile.pick(quick=416, full=1280)
UNPAIRED_SEEDS = profile.pick(quick=SEEDS[:1], full=SEEDS)
DIGITS = profile.pick(quick="digits", full="mnist")
HOLE = profile.pick(quick=4, full=12)  # side of the hidden square, in pixels
DIGIT_STRIDE = profile.pick(quick=2, full=4)

# %% [markdown]
# The two photographs are cut in two: everything is fitted on the left parts,
# every number below is measured on the right parts, which no model has seen.

# %% tags=["setup"]
CUT = 440  # columns of the left part, of 632
colour = images.load_photographs()
grey = images.load_photographs(grey=True)
left = {name: photo[:, :CUT] for name, photo in grey.items()}
right = {name: photo[:, CUT:] for name, photo in grey.items()}


def patches_of(photos, size, stride=None):
    """Squares of all photographs, stacked."""
    cut = [images.to_patches(p, size, stride) for p in photos.values()]
    return np.concatenate(cut)


def pooled_psnr(photos, treated):
    """PSNR in dB over the pixels of all photographs together."""
    x, x_hat = (
        np.concatenate([p.ravel() for p in group.values()])
        for group in (photos, treated)
    )
    return metrics.psnr(x, np.clip(x_hat, 0, 1))


print({name: photo.shape for name, photo in colour.items()})

# %% [markdown]
# Two helpers train nearly everything: `train` draws the rows of a fixed number
# of steps at random, and `restart` gives a compiled model the initial weights
# of another seed or of other arguments, since compiling takes longer than
# training here.


# %% tags=["setup"]
def train(model, *arrays, steps, batch=64, rate=3e-3, seed=0):
    """Fit for a number of steps on rows drawn with replacement."""
    if not model.compiled:
        recipes.compile(model, rate, updates=steps, beta_2=0.99)
    rows = np.random.default_rng(seed).integers(
        len(arrays[0]), size=steps * batch
    )
    return model.fit(*(a[rows] for a in arrays), batch_size=batch, verbose=0)


# %% [markdown]
# ## 1. Bits, not dimensions
#
# Take squares of $8\times8$ grey pixels: $d=64$ numbers of 8 bits each, 512
# bits, **8 bits a pixel**. An autoencoder whose code has $k=16$ units is said
# to compress them four times. Does it? Its code is 16 numbers of 32 bits:

# %%
pixels, bits_a_pixel, units, bits_a_float = 64, 8, 16, 32
print("the patch:", pixels * bits_a_pixel, "bits")
print("its code: ", units * bits_a_float, "bits")

# %% [markdown]
# Not one bit has been saved. A code counts what it takes to *write it down*, and
# two steps stand between a code and a file.
#
# **Quantisation.** Round each unit to a whole number of steps of size $\Delta$:
# $q=\mathrm{round}(z/\Delta)$. Here information is lost, on purpose, and here
# alone. A finer step costs more bits and less error.
#
# **Entropy coding.** Write frequent integers with few bits. If an integer $q$
# has probability $p(q)$, the shortest code words on average have
# $-\log_2p(q)$ bits (Shannon 1948), and their mean length is the **entropy**
#
# $$H=-\sum_q p(q)\log_2p(q)\quad\text{bits}.\tag{1}$$
#
# (Bits, hence $\log_2$; elsewhere in the course logarithms are natural.) How
# close does a real program come? `EntropyCoder` counts the integers of
# training rows, column by column, and writes bytes.

# %%
rng = np.random.default_rng(0)
p = np.array([0.6, 0.25, 0.1, 0.05])
symbols = rng.choice(4, p=p, size=(20_000, 1))
coder = EntropyCoder(symbols[:10_000])
sent = coder.encode(symbols[10_000:])
received = coder.decode(sent, num_rows=10_000)
print(f"entropy of p           {-np.sum(p * np.log2(p)):.3f} bits a symbol")
print(f"bytes really written   {8 * len(sent) / 10_000:.3f} bits a symbol")
print(f"fixed length           {2:.3f} bits a symbol")

# %%
assert np.array_equal(received, symbols[10_000:]), "nothing is lost here"
written, entropy = 8 * len(sent) / 10_000, -np.sum(p * np.log2(p))
assert abs(written - entropy) < 0.03

# %% [markdown]
# The bytes exceed or undercut the entropy only as much as ten thousand draws
# differ from their probabilities. From here on a rate is the coder's ideal
# length, $-\log_2$ of its table's probabilities, counted **on held-out
# patches with tables from training patches**. Section 3 writes the bytes once
# more and compares.

# %% [markdown]
# ## 2. What there is to beat: PCA and JPEG
#
# The classical transform coder rotates the patch to its principal
# directions, rounds every coefficient with the *same* step $\Delta$, and codes
# each with its own table. Directions of small variance round to 0 nearly
# always and cost nearly nothing, so $\Delta$ alone decides how many of them
# count. For Gaussian data nothing linear is better (Goyal 2001); setting some
# $k$ and storing floats is a straw man.

# %%
x_train = patches_of(left, 8, stride=4)
x_test = patches_of(right, 8)
pca = PCA().fit(x_train.reshape(len(x_train), -1))
z_pca = pca.transform(x_train.reshape(len(x_train), -1))
z_pca_test = pca.transform(x_test.reshape(len(x_test), -1))


def quantise(z, step, rounding=0.5):
    """Integers: |z| / step rounded up from this fraction on, else down."""
    whole = np.floor(np.abs(z) / step + 1 - rounding)
    return (np.sign(z) * whole).astype("int32")


def pca_point(step, rounding=0.5):
    """Bits a pixel and PSNR in dB on the held-out patches."""
    q = quantise(z_pca_test, step, rounding)
    bits = EntropyCoder(quantise(z_pca, step, rounding)).bits(q)
    x_hat = pca.inverse_transform(step * q).reshape(x_test.shape)
    return bits.sum() / x_test.size, metrics.psnr(x_test, np.clip(x_hat, 0, 1))


pca_steps = np.geomspace(0.12, 0.9, 14)
pca_curve = np.array([pca_point(step) for step in pca_steps])
print("patches", x_train.shape[0], "for training,", len(x_test), "held out")
for step, (rate, quality) in zip(pca_steps[::4], pca_curve[::4], strict=True):
    print(f"step {step:.2f}: {rate:.2f} bits a pixel, {quality:.1f} dB")

# %% [markdown]
# One trick of the trade belongs to an honest baseline. A coefficient just above
# $\Delta/2$ gains little by being sent and costs many bits, because a 1 is
# rare. So round up only from two thirds of a step on: a **wider zero**.

# %%
wide_curve = np.array([pca_point(step, 2 / 3) for step in pca_steps])

# %% [markdown]
# JPEG rotates $8\times8$ patches too, to fixed cosines in place of principal
# directions, rounds the fine ones more coarsely, and codes them with tables
# that it fits to each image. It also sends the *difference* between neighbouring
# patches' mean brightness, which nobody here but JPEG does. Its file header is
# not charged; neither is PCA's basis.


# %%
def jpeg_point(quality):
    """Bits a pixel and PSNR in dB of the right parts."""
    coded = {name: images.jpeg(p, quality) for name, p in right.items()}
    bits = sum(bits for _, bits in coded.values())
    size = sum(p.size for p in right.values())
    return bits / size, pooled_psnr(
        right, {name: decoded for name, (decoded, _) in coded.items()}
    )


jpeg_curve = np.array([jpeg_point(q) for q in (2, 5, 8, 12, 20, 30, 50, 70)])

# %% [markdown]
# ## 3. A learned code, priced in bits
#
# PCA rotates. A network can bend. `Compressor` is an autoencoder whose code
# is rounded, and whose loss is the error *plus a price for every bit*:
#
# $$L=\lVert x-\hat x\rVert^2+\lambda\cdot\text{bits},\qquad
# \lambda=\tfrac{\log2}{6}\Delta^2.\tag{2}$$
#
# The price is no free parameter. A finely quantised number has the error
# $D=\Delta^2/12$, and one bit more halves its step, so that
# $D\propto2^{-2R}$ and $-dD/dR=2\log2\cdot D=\tfrac{\log2}6\Delta^2$: that
# is what a bit is worth to PCA with step $\Delta$.
#
# Two things stand in the way of training. Rounding has slope 0 almost
# everywhere, and the number of bits of a rounded code is a staircase. The
# usual remedies are both in these lines:

# %%
print(inspect.getsource(Compressor.call))

# %% [markdown]
# - The decoder sees the *rounded* code, and its gradient is handed on to the
#   encoder as if rounding were the identity: the **straight-through**
#   estimator. It is biased, and works.
# - The bits are computed on the code plus **uniform noise** on
#   $[-\tfrac12,\tfrac12]$, which has a smooth density: that of the code
#   smeared over the width of one integer. At whole numbers it is the
#   probability of the integer (Ballé, Laparra and Simoncelli 2017). Each
#   unit's density is a mixture of two logistic distributions, learned
#   along.
#
# And the model *starts at PCA*: encoder and decoder of `Compressor.dense` are a
# linear map plus a network whose last layer is 0 at first, and the first `fit`
# sets the maps to PCA. What it is worth more than PCA in the end, the bending
# has earned.

# %%
compressor = Compressor.dense(
    (8, 8, 1),
    latent_dim=64,
    step=STEP_SIZES[0],
    widths=COMPRESSOR_WIDTHS,
    seed=0,
)


def compressor_point(model):
    """Bits a pixel and PSNR in dB on the held-out patches."""
    q, q_train = model.encode(x_test), model.encode(x_train)
    bits = EntropyCoder(q_train).bits(q).sum()
    x_hat = np.clip(model.decode(q), 0, 1)
    return bits / x_test.size, metrics.psnr(x_test, x_hat)


# %%
def train_compressor(step, seed):
    """Train for one step size; return the point of its curve."""
    if compressor.compiled:
        restart(compressor, step=step, seed=seed)
    train(
        compressor,
        x_train,
        steps=COMPRESSOR_STEPS,
        batch=256,
        rate=2e-3,
        seed=seed,
    )
    return compressor_point(compressor)


others = [s for s in STEP_SIZES if s != 0.35]
learned_curve = [train_compressor(step, seed=0) for step in others]
by_seed = np.array([train_compressor(0.35, seed) for seed in SEEDS])
learned_curve = np.array(sorted([*learned_curve, tuple(by_seed[0])]))

# %% [markdown]
# The comparison has to be made *at an equal rate*: the quality of PCA and JPEG is
# interpolated at the rate of the learned code. PCA's curve is not smooth.
# Much of one photograph is sky of nearly one brightness, and it is luck whether a
# multiple of $\Delta$ lies near it. So each baseline may use its best point up
# to that rate.


# %% tags=["nbval-ignore-output"]
def envelope(curve):
    """Rates in order, and the best quality up to each."""
    rates, quality = np.array(sorted(map(tuple, curve))).T
    return rates, np.maximum.accumulate(quality)


def at_rate(curve, rate):
    """Quality in dB of a curve at a rate between its points."""
    return np.interp(rate, *envelope(curve))


baselines = {"PCA": pca_curve, "PCA, wide zero": wide_curve, "JPEG": jpeg_curve}
rows = []
for rate, quality in learned_curve:
    rows.append(
        [f"{rate:.3f}", f"{quality:.2f}"]
        + [f"{at_rate(c, rate):.2f}" for c in baselines.values()]
    )
runtime.record(
    "Held-out patches of two photographs, PSNR in dB at equal rate",
    ("bits a pixel", "learned", *baselines),
    rows,
)
gains = np.array([q - at_rate(pca_curve, rate) for rate, q in by_seed])
print(
    f"gain over PCA, step 0.35, 3 seeds {gains.mean():.2f} ± {gains.std(ddof=1):.2f} dB"
)

# %%
assert gains.min() > 0.1, "above PCA at an equal rate, for every seed"
for rate, quality in learned_curve:
    assert quality > at_rate(pca_curve, rate) + 0.1
    assert at_rate(jpeg_curve, rate) > at_rate(pca_curve, rate)

# %% tags=["gallery-rate_distortion"]
shown = {**baselines, "learned code": learned_curve}
figure, axis = plt.subplots()
for (name, curve), line in zip(
    shown.items(), ("s--", "d--", "^:", "o-"), strict=True
):
    axis.plot(*np.array(sorted(map(tuple, curve))).T, line, ms=4, label=name)
axis.set(xlim=(0, 0.9), ylim=(21, 36), xlabel="rate, bits a pixel")
axis.set(ylabel="PSNR, dB")
axis.set_title("Rate and distortion on held-out patches")
axis.legend()
plt.show()

# %% [markdown]
# **Figure 6b.1.** Further left is smaller, higher is better. Every method is
# a *curve*: "compresses well" without a rate, or a rate without a quality, says
# nothing. At an equal rate the learned code is better than rounded PCA, at every
# rate and for every seed, by some tenths of a decibel. That is less than it
# sounds: the wider zero, one changed constant, wins back most of it or all, as
# the table shows. Learning found nothing here that fifty years of
# craft had not. JPEG lies above PCA too, although its cosines are made for no picture in particular: it
# predicts each patch's brightness from its neighbour's, which exercise 6b.4
# does. The table says how far a code that takes each patch alone
# gets against that. A detail:

# %% tags=["nbval-ignore-output"]
q = compressor.encode(x_test)
rate, quality = compressor_point(compressor)
nearest = np.abs(pca_curve[:, 0] - rate).argmin()
q_pca = quantise(z_pca_test, pca_steps[nearest])
decoded_pca = pca.inverse_transform(pca_steps[nearest] * q_pca)
rebuilt = {
    "original": x_test,
    f"PCA, {pca_curve[nearest, 0]:.2f} bits": decoded_pca.reshape(x_test.shape),
    f"learned, {rate:.2f} bits": compressor.decode(q),
}
figure, axes = plt.subplots(1, 3, figsize=(6.4, 2.5))
for axis, (name, squares) in zip(axes, rebuilt.items(), strict=True):
    half = squares[: len(squares) // 2]  # the first photograph
    picture = images.from_patches(half, right["china"].shape)
    axis.imshow(picture[200:320, 40:160, 0], vmin=0, vmax=1)
    axis.set(title=name, xticks=[], yticks=[])
    axis.grid(False)
plt.show()

# %% [markdown]
# **Figure 6b.2.** A detail at about the same rate. Both show the seams of
# their patches, since each patch is coded alone. Codecs that predict across
# patches, or that are convolutional throughout (Ballé, Laparra and Simoncelli
# 2017; Minnen, Ballé and Toderici 2018), do not.
#
# ### Bytes, and the bill for the decoder
#
# Are these rates real? Write the file, read it back, count:

# %% tags=["nbval-ignore-output"]
coder = EntropyCoder(compressor.encode(x_train))
sent = coder.encode(q)
received = coder.decode(sent, len(q))
ideal, actual = coder.bits(q).sum() / x_test.size, 8 * len(sent) / x_test.size
decoder_bytes = 4 * compressor.decoder.count_params()
basis_bytes = 4 * (pca.components_.size + pca.mean_.size)
rates, best_quality = envelope(pca_curve)
saved_bits = np.interp(quality, best_quality, rates) - rate
print(f"ideal {ideal:.4f}, written {actual:.4f} bits a pixel")
print(f"decoder {decoder_bytes:,} bytes, PCA's basis {basis_bytes:,} bytes")
print(f"saved at equal quality: {saved_bits:.3f} bits a pixel")
pays_after = 8 * (decoder_bytes - basis_bytes) / saved_bits
print(f"it pays after {pays_after / 1e6:.0f} million pixels")

# %%
assert np.array_equal(received, q), "the receiver has the same integers"
assert np.array_equal(compressor.decode(received), compressor.decode(q))
assert abs(actual / ideal - 1) < 0.01
assert decoder_bytes > 5 * basis_bytes
assert pays_after > 2 * x_test.size, "not for these two photographs"

# %% [markdown]
# Sending one photograph *with* the decoder would be absurd; sending a decoder
# once and pictures for years is what codecs do. Two more caveats. The tables
# come from the left halves of the same two photographs: a third photograph
# of another kind would cost more. And PSNR is not what people see.

# %% [markdown]
# ## 4. Pairs that cost nothing: denoising
#
# From here on the output is another image than the input, and there is *no
# bottleneck*: nothing has to be small. `Translator.conv` is a stack of convolutions
# that **adds a correction** to its input, trained by the squared error on pairs
# $(x,y)$. Untrained it copies. The first layer halves the sides, which makes
# the rest four times cheaper; since there is no dense layer, it takes images of
# any size.
#
# For denoising nobody has to collect pairs: take a clean image as target $y$
# and damage it yourself, $x=y+\sigma\varepsilon$. Such training is called
# self-supervised. No label is involved, but *clean images* are.

# %% tags=["setup"]
PATCH = 24
x_patches = patches_of(left, PATCH, stride=8)
SIGMA = 0.1


def add_noise(x, seed):
    """x plus Gaussian noise of standard deviation SIGMA."""
    noise = np.random.default_rng(seed).standard_normal(x.shape, "float32")
    return x + np.float32(SIGMA) * noise


noisy = {name: add_noise(p, seed=1) for name, p in right.items()}


def translate_all(model, photos):
    """Apply a translator to whole photographs."""
    return {name: model.translate(p[None])[0] for name, p in photos.items()}


# %% [markdown]
# The competitors are a Gaussian blur and a median filter, each with its best
# setting, and one strong classic: rotate overlapping patches to their
# principal directions, set coefficients below $2.7\sigma$ to zero, rotate
# back, average the overlaps (after Donoho and Johnstone 1994, whose
# thresholds are of this size).


# %%
def threshold_denoise(photo, shifts=range(0, 8, 2)):
    """Hard threshold of PCA coefficients, averaged over shifted grids."""
    total, count = np.zeros_like(photo), np.zeros_like(photo)
    for dy, dx in np.ndindex(len(shifts), len(shifts)):
        part = photo[shifts[dy] :, shifts[dx] :]
        part = part[: part.shape[0] // 8 * 8, : part.shape[1] // 8 * 8]
        z = pca.transform(images.to_patches(part, 8).reshape(-1, 64))
        z[np.abs(z) < 2.7 * SIGMA] = 0
        back = pca.inverse_transform(z).reshape(-1, 8, 8, 1)
        where = np.s_[
            shifts[dy] : shifts[dy] + part.shape[0],
            shifts[dx] : shifts[dx] + part.shape[1],
        ]
        total[where] += images.from_patches(back, part.shape[:2])
        count[where] += 1
    return np.where(count > 0, total / np.maximum(count, 1), photo)


# %% tags=["nbval-ignore-output"]
translator = Translator.conv((PATCH, PATCH, 1), widths=WIDTHS, seed=0)
train(translator, add_noise(x_patches, 0), x_patches, steps=TRANSLATOR_STEPS)
denoised = {
    "noisy": noisy,
    "Gaussian blur": {
        n: gaussian_filter(p, (0.8, 0.8, 0)) for n, p in noisy.items()
    },
    "median": {n: median_filter(p, (3, 3, 1)) for n, p in noisy.items()},
    "threshold": {n: threshold_denoise(p) for n, p in noisy.items()},
    "network": translate_all(translator, noisy),
}
denoising = {name: pooled_psnr(right, p) for name, p in denoised.items()}
runtime.record(
    f"Denoising the right parts, σ = {SIGMA}, PSNR in dB",
    tuple(denoising),
    [[f"{value:.2f}" for value in denoising.values()]],
)

# %%
best_filter = max(denoising["Gaussian blur"], denoising["median"])
assert denoising["network"] > best_filter + 0.4
assert denoising["threshold"] > best_filter + 1

# %% tags=["gallery-photo_denoising"]
figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.2))
for axis, name in zip(
    axes, ("noisy", "Gaussian blur", "threshold", "network"), strict=True
):
    axis.imshow(denoised[name]["china"][200:300, 40:140, 0], vmin=0, vmax=1)
    axis.set_title(f"{name}: {denoising[name]:.1f} dB", fontsize=9)
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
plt.show()

# %% [markdown]
# **Figure 6b.3.** The network beats the filters that everybody reaches for. It
# is no match for everything: the thirty-year-old threshold is strong, and
# a few seconds of training on two half photographs may not suffice to pass
# it, as the table tells. Published denoisers have seventeen layers and four
# hundred photographs (Zhang et al. 2017).

# %% [markdown]
# ## 5. Pairs that cost nothing: super-resolution
#
# Shrink an image by two; the original is the target. Enlarging it again by
# **bicubic** interpolation gives the network's input, and the baseline. What
# has been averaged away is gone: the network can only guess what such
# a place *usually* looks like. So the gain depends on how much the images have
# in common. A linear guess is a baseline of its own: ridge regression from
# $7\times7$ small pixels to the $2\times2$ large ones.


# %%
def soften(x, factor=2):
    """Shrink images by a factor and enlarge them again, bicubic."""
    height, width = x.shape[1:3]
    small = images.resize(x, (height // factor, width // factor))
    return images.resize(small, (height, width))


soft_left, soft = (
    {name: soften(p[None])[0] for name, p in part.items()}
    for part in (left, right)
)


def neighbourhoods(photo):
    """7 × 7 neighbours of each pixel of the half-size photograph."""
    half = images.resize(
        photo[None], (photo.shape[0] // 2, photo.shape[1] // 2)
    )[0]
    return images.to_patches(
        np.pad(half, ((3, 3), (3, 3), (0, 0)), mode="reflect"), 7, stride=1
    ).reshape(-1, 49)


ridge = Ridge(1e-3).fit(
    np.concatenate([neighbourhoods(p) for p in left.values()]),
    patches_of(left, 2).reshape(-1, 4),
)
by_ridge = {
    name: images.from_patches(
        ridge.predict(neighbourhoods(p)).reshape(-1, 2, 2, 1), p.shape[:2]
    )
    for name, p in right.items()
}
bicubic, linear = pooled_psnr(right, soft), pooled_psnr(right, by_ridge)
print(f"photographs: bicubic {bicubic:.2f} dB, ridge {linear:.2f} dB")

# %% [markdown]
# Letters have far more in common than photographs. The course carries 325
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
# The same compiled network, set back to its start each time: once on the
# photographs, shrunk by two, once on the letters, shrunk by three.

# %%
restart(translator)
train(
    translator,
    patches_of(soft_left, PATCH, 8),
    x_patches,
    steps=TRANSLATOR_STEPS,
)
sharpened = translate_all(translator, soft)

restart(translator)
sans, soft_sans = styles["sans"], soften(styles["sans"], 3)
many = np.resize(known, 4000)
train(translator, *shifted(many, soft_sans, sans), steps=TRANSLATOR_STEPS)
sharp_letters = translator.translate(soft_sans[latin])

# %% tags=["nbval-ignore-output"]
letters_bicubic = metrics.psnr(sans[latin], np.clip(soft_sans[latin], 0, 1))
letters_network = metrics.psnr(sans[latin], sharp_letters)
network = pooled_psnr(right, sharpened)
runtime.record(
    "Super-resolution on held-out images, PSNR in dB",
    ("images", "bicubic", "ridge", "network"),
    [
        [
            "photographs, 2 ×",
            f"{bicubic:.2f}",
            f"{linear:.2f}",
            f"{network:.2f}",
        ],
        [
            "letters, 3 ×",
            f"{letters_bicubic:.2f}",
            "–",
            f"{letters_network:.2f}",
        ],
    ],
)

# %%
assert network > bicubic + 0.05
assert letters_network > letters_bicubic + 2

# %% tags=["nbval-ignore-output"]
some = np.arange(0, 52, 7)
plotting.image_rows(
    {
        "bicubic": np.clip(soft_sans[latin][some], 0, 1),
        "network": sharp_letters[some],
        "truth": sans[latin][some],
    },
    f"Letters enlarged 3 ×: {letters_bicubic:.1f} dB by interpolation, "
    f"{letters_network:.1f} dB learned",
)
plt.show()

# %% [markdown]
# **Figure 6b.4.** Latin letters, enlarged three times by a network that was
# trained on Greek, Cyrillic, Armenian and Georgian ones. Strokes with sharp
# edges are what all of them share, and the network has learned that. On
# the photographs the network gains less than two tenths of a decibel on
# interpolation, and **ridge regression gains a little more**: what is linear in
# this task, 4 × 49 weights find. Where a decibel more is claimed, ask on which
# images, and against what.

# %% [markdown]
# ## 6. Pairs that cost nothing: filling a hole
#
# Hide a square of a digit, at a random place, and ask for the whole digit. The
# network gets two channels: the picture with the hole set to 0, and a mask
# that says where the hole is. Without the mask a black pixel and a hidden one
# would look the same. Three competitors: the mean digit; a **membrane**, which
# solves Laplace's equation in the hole, so that every hidden pixel is the mean of
# its four neighbours; and **iterated PCA**, which starts with the mean digit in
# the hole and repeatedly projects on $k$ directions and puts the known pixels
# back, $k$ chosen on validation rows.


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


rows_train = digits.x_train.reshape(len(digits.x_train), -1)
x_val, x_digits = digits.x_val[:1000], digits.x_test[:1000]
mask_val, mask_digits = punch(x_val, 1), punch(x_digits, 2)
on_val = {}
for k in (5, 10, 15, 20, 30, 40):
    model = PCA(k, random_state=0).fit(rows_train)
    filled = iterated_pca(x_val, mask_val, model)
    on_val[k] = hole_error(x_val, filled, mask_val), model
best = min(on_val, key=lambda k: on_val[k][0])
print(f"iterated PCA: k = {best} of {list(on_val)} on validation rows")

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
train(filler, seen, targets, steps=TRANSLATOR_STEPS + 128)
mean_digit = np.broadcast_to(digits.x_train.mean(axis=0), x_digits.shape)
fillings = {
    "mean digit": mean_digit,
    "membrane": membrane(x_digits, mask_digits),
    "iterated PCA": iterated_pca(x_digits, mask_digits, on_val[best][1]),
    "network": filler.translate(with_mask(x_digits, mask_digits)),
}
errors = {
    name: hole_error(x_digits, filled, mask_digits)
    for name, filled in fillings.items()
}
runtime.record(
    f"Squared error in the hole, held-out {DIGITS}",
    tuple(errors),
    [[f"{error:.4f}" for error in errors.values()]],
)

# %%
others = [error for name, error in errors.items() if name != "network"]
assert errors["network"] < 0.95 * min(others)

# %% tags=["nbval-ignore-output"]
first = np.arange(10)
pictures = {"seen": np.where(mask_digits > 0, 0.5, x_digits)[first]}
for name, filled in fillings.items():
    pictures[name] = np.where(mask_digits > 0, filled, x_digits)[first]
pictures["truth"] = x_digits[first]
plotting.image_rows(
    pictures,
    f"Error in the hole: membrane {errors['membrane']:.3f}, iterated PCA "
    f"{errors['iterated PCA']:.3f}, network {errors['network']:.3f}",
)
plt.show()

# %% [markdown]
# **Figure 6b.5.** The hole in grey, then four ways to fill it. The membrane knows
# what is smooth, not what a digit is. PCA and the network know digits. Where
# several digits fit what is left, the squared error asks for their *mean*, and
# the filling is grey: not a flaw of the network but what was asked for. A model
# that draws one of the possibilities needs a generator
# ([Chapter 3b](03b_judging_samples.ipynb), [Chapter 4b](04b_what_it_is_good_for.ipynb)).

# %% [markdown]
# ## 7. Pairs that somebody made: letters in another style
#
# "Image-to-image translation" with pairs needs somebody who made both
# images: here the designer of the fonts, who drew every letter regular and
# bold, with serifs and without. That is *supervision*, if not by labels. The
# first baseline is to **copy the input**, the second, for bold, to thicken it: a
# grey dilation, whose size we let it choose on the training letters.

# %% tags=["nbval-ignore-output"]
tasks = {"bold": styles["sans bold"], "serif": styles["serif"]}
results, drawn = {}, {}


def dilate(x, size):
    """Largest value in a window of (rows, columns) around each pixel."""
    return grey_dilation(x, size=(1, *size, 1))


sizes = ((1, 1), (1, 2), (2, 1), (1, 3), (2, 2), (2, 3), (3, 3))
for name, target in tasks.items():
    size = min(
        sizes, key=lambda s: metrics.mse(target[known], dilate(sans[known], s))
    )
    restart(translator)
    train(translator, *shifted(many, sans, target), steps=TRANSLATOR_STEPS)
    drawn[name] = translator.translate(sans[latin])
    results[name] = {
        "copy": metrics.mse(target[latin], sans[latin]),
        "dilation": metrics.mse(target[latin], dilate(sans[latin], size)),
        "network": metrics.mse(target[latin], drawn[name]),
    }
runtime.record(
    "Held-out Latin letters, mean squared error",
    ("from sans to", *results["bold"]),
    [[n, *(f"{e:.4f}" for e in r.values())] for n, r in results.items()],
)

# %%
bold, serif = results["bold"], results["serif"]
assert bold["network"] < 0.35 * bold["copy"], "the error less than halved"
assert bold["network"] < bold["dilation"]
assert serif["network"] < 0.85 * serif["copy"]
assert serif["dilation"] >= serif["copy"], "thickening does not help here"

# %% tags=["gallery-letters"]
some = np.arange(2, 52, 7)
plotting.image_rows(
    {
        "input": sans[latin][some],
        "bold": drawn["bold"][some],
        "true bold": styles["sans bold"][latin][some],
        "serif": drawn["serif"][some],
        "true serif": styles["serif"][latin][some],
    },
    f"Held-out letters: {bold['network'] / bold['copy']:.0%} of the error of "
    f"copying for bold, {serif['network'] / serif['copy']:.0%} for serif",
)
plt.show()

# %% [markdown]
# **Figure 6b.6.** The network has seen no Latin letter, in any style. Bold is a
# local affair, thicker strokes, and carries over well. Serifs are harder: where
# one goes depends on what kind of stroke ends there, other scripts end their
# strokes otherwise, and where the network is in doubt it draws half
# a serif, in grey.

# %% [markdown]
# ## 8. No pairs at all: two games and a way back
#
# Now take the pairs away. There are two *collections*, regular letters and bold
# ones, with no letter in common: half of the training letters are seen only
# regular, the other half only bold. Nothing says what any bold letter should
# look like in regular. Zhu et al. (2017) put three demands in the place
# of the target, `UnpairedTranslator` writes them into one loss:
#
# 1. $G(x)$ has to look like a bold letter to a critic $D_Y$ that sees real
#    bold ones;
# 2. $F(y)$ has to look regular to a critic $D_X$;
# 3. there and back has to be a return trip: $F(G(x))\approx x$ and
#    $G(F(y))\approx y$, the **cycle consistency**.
#
# $$L_{G,F}=\tfrac12\mathbb E(D_Y(G(x))-1)^2+\tfrac12\mathbb E(D_X(F(y))-1)^2
# +\lambda\,\mathbb E|F(G(x))-x|+\lambda\,\mathbb E|G(F(y))-y|.\tag{3}$$
#
# The first two alone would allow any bold letter for any regular one. The
# third forbids to forget which letter it was. It does *not* forbid a code of
# one's own: a $G$ that turned every A into a bold B and an $F$ that undoes it
# would pay nothing. What speaks against that is only that the networks start as
# copies and change little. The cuts that let one backward pass serve four
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

# %% tags=["nbval-ignore-output"]
without_pairs = []
for seed in UNPAIRED_SEEDS:
    restart(unpaired, seed=seed)
    unpaired.fit(regular, heavy, batch_size=16, verbose=0)
    made = unpaired.translate(sans[latin])
    without_pairs.append(metrics.mse(styles["sans bold"][latin], made))
back = unpaired.translate_back(made)
there_and_back = metrics.mse(sans[latin], back)
runtime.record(
    "Regular to bold, held-out Latin letters: share of the copying error",
    ("method", "share", "needs"),
    [
        ["copy", "100 %", "nothing"],
        [
            "dilation",
            f"{bold['dilation'] / bold['copy']:.0%}",
            "pairs, for its size",
        ],
        [
            "cycle consistency",
            ", ".join(f"{e / bold['copy']:.0%}" for e in without_pairs),
            "two collections",
        ],
        ["regression", f"{bold['network'] / bold['copy']:.0%}", "pairs"],
    ],
)

# %%
assert max(without_pairs) < 0.75 * bold["copy"], "better than copying"
assert min(without_pairs) > bold["network"], "pairs are worth something"
assert there_and_back < 0.2 * bold["copy"]

# %% tags=["gallery-unpaired_letters"]
plotting.image_rows(
    {
        "input": sans[latin][some],
        "no pairs": made[some],
        "with pairs": drawn["bold"][some],
        "truth": styles["sans bold"][latin][some],
        "and back": back[some],
    },
    f"Bold without a single pair: {without_pairs[-1] / bold['copy']:.0%} of "
    f"the error of copying, with pairs {bold['network'] / bold['copy']:.0%}",
)
plt.show()

# %% [markdown]
# **Figure 6b.7.** Nobody has told this network that bold is thicker. It found
# out from two piles of letters with no letter in common. It is further from
# the truth than regression on pairs and it should be: the critic asks that a
# letter look bold, not that it look like *this* font's bold A. On this task
# the error is a fair judge, because there is one right answer; for horses and
# zebras there is none, and claims about such models rest on pictures. Nor does
# the game end the same way every time: three seeds of the full profile came to
# 52, 35 and 27 % of the copying error, and the picture is of the last.

# %% [markdown]
# ## 9. Parts of a picture, without labels and with
#
# Segmentation, detection, recognition: all three are called applications
# of unsupervised learning, and all three end in *names*: this pixel is flower,
# here is a pagoda. A name has to come from somewhere. What can be had without
# one is *grouping*: k-means on the colours, $n$ pixels with $d=3$ entries.

# %%
groups, ids = {}, {}
for name, photo in colour.items():
    pixels = photo.reshape(-1, 3)
    model = KMeans(n_clusters=4, n_init=3, random_state=0).fit(pixels[::29])
    ids[name] = model.predict(pixels).reshape(photo.shape[:2])
    groups[name] = model.cluster_centers_[ids[name]]

# %%
figure, axes = plt.subplots(2, 2, figsize=(4.2, 3.2))
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
# **Figure 6b.8.** The groups are there: sky, flower, leaves in shade and in
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
# The grouping is excellent, for this photograph. But which of the two groups is
# *the flower*? The last assertion says why the method cannot know: swap the two
# ids and every number that k-means looks at stays the same. One labelled pixel
# settles it. The same holds for recognition: a code is the same whatever
# the classes are called. How far do features without labels carry, and how
# many labels do the names take?

# %%
small = data.load("digits").flat()
features = PCA(16, random_state=0).fit(small.x_train)  # no labels so far
z_train, z_test = map(features.transform, (small.x_train, small.x_test))
rng = np.random.default_rng(0)
shares = {}
for per_class in (1, 5, 20):
    scores = []
    for _ in range(10):
        chosen = np.concatenate(
            [
                rng.choice(np.flatnonzero(small.y_train == c), per_class)
                for c in range(10)
            ]
        )
        reader = LogisticRegression(max_iter=500)
        reader.fit(z_train[chosen], small.y_train[chosen])
        scores.append(reader.score(z_test, small.y_test))
    shares[per_class] = np.mean(scores)
    print(
        f"{per_class:>2} labels a class: {shares[per_class]:.0%} of test digits"
    )

# %%
renamed = (small.y_train + 1) % 10  # call every digit by its neighbour's name
again = PCA(16, random_state=0).fit(small.x_train).transform(small.x_test)
assert np.allclose(again, z_test), "the features do not know the names"
assert shares[1] < shares[5] < shares[20]
assert shares[1] > 0.3 and shares[20] > 0.85

# %% [markdown]
# Without labels: features. With ten: some names. With two hundred: nine digits
# in ten. Object *detection* asks for boxes in addition. These need no person: CutLER
# (Wang et al. 2023) trains a detector of photographs on masks that it found
# itself, and [chapter 6j](06j_scenes.ipynb) trains one on pieces that it cut out
# and pasted. What needs labels are the *names*.
#
# ### Who needs what
#
# | task | method | where the target comes from |
# |---|---|---|
# | compression | autoencoder with priced bits | the image itself |
# | denoising, super-resolution, filling holes | regression on damaged copies | clean images, damaged by us |
# | translation with pairs | regression, or pix2pix (Isola et al. 2017) | somebody made both images |
# | translation without pairs | cycle consistency | two collections, sorted by somebody |
# | grouping of pixels | k-means on colours or features | nowhere; groups have no names |
# | boxes around things | a detector trained on found masks or pasted pieces ([6j](06j_scenes.ipynb)) | the image itself; the boxes have no names |
# | naming regions, boxes, images | a classifier on such features | labels |

# %% [markdown]
# ## What we have shown
#
# - A code of 16 floats is as long as the 64 bytes that it replaces; rounding and
#   entropy coding make it short, and real bytes agreed with the entropy.
# - A learned code, started at PCA, had the higher PSNR at an equal rate than
#   rounded PCA on held-out patches, for each of three seeds. A wider zero
#   and JPEG stood in the same table, and the decoder on the bill.
# - One network of a few convolutions denoised better than two standard filters,
#   enlarged better than bicubic interpolation, and redrew letters that it had
#   never seen. On the photographs thresholds in a PCA basis denoised better than
#   the network, and ridge regression enlarged a little better.
# - Holes in digits were filled with less error than by a membrane or by
#   iterated PCA.
# - With pairs, bold letters came with less than half the error of copying; serifs
#   remained harder. Without any pair the error was between both.
# - Colours group without labels. Which group is the flower takes a label.
#
# ### Limits, each with a number above
#
# What was unknown here are the *labels*, never the data; that pictures are
# large is a matter of cost, and
# the cost was printed: the decoder in bytes, the pixels after which it pays.
# Two photographs are no corpus: everything in sections 2 to 5 holds for
# these two and their like. PSNR is the error of a pixel, not a judgement
# of the eye. Squared error draws the mean of what is possible, in grey.
#
# ## References
#
# - Ballé, Laparra, Simoncelli (2017). End-to-end optimized image compression. ICLR.
# - Donoho, Johnstone (1994). Ideal spatial adaptation by wavelet shrinkage. Biometrika 81.
# - Duda (2013). Asymmetric numeral systems. arXiv:1311.2540.
# - Goyal (2001). Theoretical foundations of transform coding. IEEE Signal Processing Magazine 18.
# - Isola et al. (2017). Image-to-image translation with conditional adversarial networks. CVPR.
# - Keys (1981). Cubic convolution interpolation for digital image processing. IEEE Transactions on Acoustics, Speech, and Signal Processing 29.
# - Minnen, Ballé, Toderici (2018). Joint autoregressive and hierarchical priors for learned image compression. NeurIPS.
# - Shannon (1948). A mathematical theory of communication. Bell System Technical Journal 27.
# - Wang, Girdhar, Yu, Misra (2023). Cut and learn for unsupervised object detection and instance segmentation. CVPR.
# - Zhang et al. (2017). Beyond a Gaussian denoiser: residual learning of deep CNN for image denoising. IEEE Transactions on Image Processing 26.
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
# ### Exercise 6b.1 · What a code weighs, with a pencil
#
# *You will learn to count a code in bits.* An encoder turns patches of
# $8\times8$ pixels into 16 integers. Each is 0 with probability 0.8, $+1$ and
# $-1$ with 0.08 each, $+2$ and $-2$ with 0.02 each. Give four numbers: the entropy
# of one integer in bits; then bits *a pixel* if all are coded at their entropy; if
# each is written with a fixed number of whole bits; if each is kept as a
# 32-bit float.

# %% tags=["exercise"]
answer_6b_1 = None
### BEGIN SOLUTION
p_6b_1 = np.array([0.8, 0.08, 0.08, 0.02, 0.02])
entropy_6b_1 = -np.sum(p_6b_1 * np.log2(p_6b_1))
answer_6b_1 = [entropy_6b_1, 16 * entropy_6b_1 / 64, 16 * 3 / 64, 16 * 32 / 64]
### END SOLUTION

# %% tags=["check"]
checks.check_6b_1(answer_6b_1)

# %% [markdown] tags=["discussion"]
# 1.07 bits, 0.27, 0.75 and 8 bits a pixel. The same sixteen numbers: thirty
# times between the first way of writing them and the last.

# %% [markdown] tags=["exercise"]
# ### Exercise 6b.2 · The length of what was not seen
#
# *You will learn to charge a code honestly.* Write a function of two
# matrices of integers, `train` and `test`, of equally many columns. Count
# on `train` how frequent each integer is **in each column**; return how many
# bits each row of `test` takes at $-\log_2p$, summed over its columns. The
# test rows have integers that the training rows never had: they must cost a
# finite number of bits, and the probabilities of a column must not sum to more than 1
# over *all* integers.


# %% tags=["exercise"]
def row_bits(train, test):
    """Return bits (n_test,) of test rows under tables of train."""
    ### BEGIN SOLUTION
    total = np.zeros(len(test))
    for column, values in enumerate(test.T):
        seen = (train[:, column] == values[:, None]).sum(axis=1)
        rare = 2.0 ** -np.abs(values) / 3  # over all integers: sums to 1
        total -= np.log2((seen + rare) / (len(train) + 1))
    return total
    ### END SOLUTION


# %% tags=["check"]
checks.check_6b_2(row_bits)

# %% [markdown] tags=["discussion"]
# One count is given to all integers together, $2^{-|q|}/3$ of it to each $q$: the
# probabilities still sum to 1. `EntropyCoder` has an escape instead, a symbol that says "a
# number that is not in the table follows". What no honest count may do is to look
# at the test rows, at their frequencies or at their range: the receiver has
# the tables before the first of them arrives.

# %% [markdown] tags=["exercise"]
# ### Exercise 6b.3 · A slope for a staircase
#
# *You will learn how a rounded code can be trained.* Return `z` rounded to whole
# numbers, in such a way that the gradient by `z` is that of the identity.
# `z` is a tensor of any shape; stay inside `keras.ops`.


# %% tags=["exercise"]
def round_through(z):
    """Return round(z), with the gradient of z."""
    ### BEGIN SOLUTION
    return z + ops.stop_gradient(ops.round(z) - z)
    ### END SOLUTION


# %% tags=["check"]
checks.check_6b_3(round_through)

# %% [markdown] tags=["discussion"]
# A gradient that belongs to another function than the one computed is a lie, and
# it works because the lie is small: within one integer the identity and
# the staircase differ by half a step at most.

# %% [markdown] tags=["exercise"]
# ### Exercise 6b.4 · What JPEG does in addition
#
# *You will learn why prediction saves bits.* The first number of each patch is
# its brightness, and neighbours are alike. Write two functions for a grid of
# integers `(rows, columns)`: `predict` returns prediction errors of the same
# shape, integers; `restore` gets these errors alone and returns the grid. Any
# prediction is welcome that uses only what the receiver already has.


# %% tags=["exercise"]
def predict(grid):
    """Return integers (rows, columns): what the prediction misses."""
    ### BEGIN SOLUTION
    missed = grid.copy()
    missed[:, 1:] = grid[:, 1:] - grid[:, :-1]  # from the left
    missed[1:, 0] = grid[1:, 0] - grid[:-1, 0]  # first column: from above
    return missed
    ### END SOLUTION


def restore(missed):
    """Return the grid from its prediction errors."""
    ### BEGIN SOLUTION
    grid = missed.copy()
    grid[:, 0] = np.cumsum(missed[:, 0])
    return np.cumsum(grid, axis=1)
    ### END SOLUTION


# %% tags=["check"]
checks.check_6b_4(predict, restore)

# %% [markdown] tags=["discussion"]
# Try it on the first column of PCA's integers in section 2, one grid of
# $53\times24$ for each photograph: the first coefficient is the dearest of
# all, and much of JPEG's lead over PCA at low rates goes away. The learned code
# could do the same. Codecs of today predict everything, and what they learn is
# the prediction.

# %% [markdown] tags=["exercise"]
# ### Exercise 6b.5 · There and back
#
# *You will learn what replaces a pair.* `forward` is $G$, `backward` is $F$; both
# take and return tensors. Return the cycle part of equation (3) without $\lambda$,
# a scalar: both directions, absolute errors, means over rows and pixels.


# %% tags=["exercise"]
def cycle_loss(x, y, forward, backward):
    """Return mean|F(G(x)) − x| + mean|G(F(y)) − y|."""
    ### BEGIN SOLUTION
    there = ops.mean(ops.abs(backward(forward(x)) - x))
    return there + ops.mean(ops.abs(forward(backward(y)) - y))
    ### END SOLUTION


# %% tags=["check"]
checks.check_6b_5(cycle_loss)

# %% [markdown] tags=["discussion"]
# No $x$ meets a $y$ in this formula, so that pairs cannot help it, nor shuffling
# hurt. Every $G$ with an inverse has cycle loss 0, turning pictures upside down
# included: only the critics, and a start near the copy, keep $G$ from that.

# %% [markdown] tags=["exercise"]
# ### Exercise 6b.6 · How many pairs? (experiment)
#
# *You will learn what a pair is worth.* Train a translator from `sans` to
# `serif` on the first 10, 50 and all of the letters of `known`, with 192 steps
# or more each, the same for all. `shifted(np.resize(chosen, 3000), a, b)` makes
# moved copies of pairs, `train` trains. Put the models into `models_6b_6` and
# their mean squared errors on the *Latin* letters into `errors_6b_6`, both by
# number of letters.

# %% tags=["exercise"]
models_6b_6, errors_6b_6 = {}, {}
### BEGIN SOLUTION
regular_6b_6, serif_6b_6 = styles["sans"], styles["serif"]
for count in (10, 50, len(known)):
    model = Translator.conv((24, 24, 1), widths=(32, 32), seed=0)
    chosen = np.resize(known[:count], 3000)
    train(model, *shifted(chosen, regular_6b_6, serif_6b_6), steps=192)
    models_6b_6[count] = model
    errors_6b_6[count] = metrics.mse(
        serif_6b_6[latin], model.translate(regular_6b_6[latin])
    )
### END SOLUTION

# %% tags=["check", "nbval-ignore-output"]
checks.check_6b_6(models_6b_6, errors_6b_6)

# %% [markdown] tags=["discussion"]
# From ten letters, the digits, hardly anything is learned that holds for Latin
# ones; fifty bring something, all of them more. Now put `"sans bold"` in the place of
# `"serif"`: thickening a stroke is nearly learned from *one* letter, and
# letters of scripts with other strokes may even do harm. "How much data does it
# take?" has no answer without "for what?".

# %% [markdown] tags=["exercise"]
# ### Exercise 6b.7 · Where does the target come from? (open)
#
# *You will learn to ask the question of this chapter of any claim.* For
# each task name the cheapest source of a target: `"itself"` (made from the
# images alone), `"both made"` (somebody made both images of a pair),
# `"two collections"` (sorted, not paired), `"nobody"` (there is no target), or
# `"labels"` (names, boxes or masks by a person). Then find an eighth task of
# your own.

# %% tags=["exercise"]
answer_6b_7 = {
    "remove noise from photographs": None,
    "turn sketches into the photographs they were drawn from": None,
    "turn summer landscapes into winter": None,
    "colour the grey photographs of an archive": None,
    "draw boxes around pedestrians": None,
    "split a picture into regions of similar colour": None,
    "tell cats from dogs": None,
}
### BEGIN SOLUTION
answer_6b_7 = {
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
checks.check_6b_7(answer_6b_7)

# %% [markdown] tags=["discussion"]
# "Unsupervised" is a word about the third column of the table in section 9, not
# about the network: the same stack of convolutions stood in three of its rows.
