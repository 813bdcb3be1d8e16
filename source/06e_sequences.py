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
# # Chapter 6e · Sequences: bases, vowels and a nerve cell
#
# Autoencoders, one reads, compress genes and synthesise speech. This chapter
# takes three kinds of sequence, bases, sounds and a voltage, and asks each
# time: how does it become numbers, what does the classical method reach, what
# does a network add? On a real genome the answer will be: a table of 16
# numbers, and nothing beyond. On a nerve cell's voltage the network wins.
#
# **We will show**
#
# - how bases become an array, and what a code length in bits per base is;
# - how far a real genome can be compressed: Markov models, general
#   compressors, and the point where a larger model is worse than none;
# - planted motifs recovered by a convolutional autoencoder (synthetic data),
#   and why its low loss is *no* compression;
# - synthetic vowels: spectrograms, and the way back without phases; an
#   autoencoder and a VAE on them, resynthesis and generation;
# - a real recording of a nerve cell: denoising against smoothing and PCA,
#   and a change of behaviour found without labels.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 2](02a_autoencoders.ipynb): autoencoders; [Chapter 4a](04a_from_bound_to_model.ipynb): VAEs |
# | Data | the genome of HIV-1 (frozen in the course), matplotlib's `membrane.dat`; synthetic motifs and vowels |
# | Time | under a minute on two CPU cores; two hours of reading and exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup"]
import bz2
import inspect
import lzma
import zlib

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import cbook
from scipy.signal import savgol_filter
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier

from utils import metrics, plotting
from utils.baselines.markov import MarkovModel
from utils.checks import chapter_06e as checks
from utils.data import genomes, sounds
from utils.models import (
    VAE,
    Autoencoder,
    DenoisingAutoencoder,
    MotifAutoencoder,
)
from utils.nn.likelihoods import Gaussian, SquaredError
from utils.training import recipes

plotting.use_style()

# %% [markdown]
# **Parameters.** Everything that differs between the quick and the full
# profile stands in this one cell.

# %% tags=["setup"]
MOTIF_ROWS = profile.pick(quick=1500, full=6000)
MOTIF_EPOCHS = profile.pick(quick=25, full=25)
SOUNDS = profile.pick(quick=600, full=3000)  # synthetic vowels to train on
SOUND_EPOCHS = profile.pick(quick=40, full=40)
VOLTAGE_EPOCHS = profile.pick(quick=25, full=60)
SEEDS = (0, 1, 2)

# %% [markdown]
# ## 1. Bases as numbers
#
# A gene is a string over four letters. A network takes arrays. Coding A, C, G,
# T as 0, 1, 2, 3 would claim that C lies between A and G; a column for each
# base claims nothing. A sequence of $n$ bases becomes an array $(n, 4)$ whose
# rows sum to 1.

# %%
print(genomes.one_hot("GATTACA"))
assert genomes.one_hot("GATTACA").shape == (7, 4)
assert (genomes.one_hot("GATTACA").sum(axis=1) == 1).all()
assert genomes.from_one_hot(genomes.one_hot("GATTACA")) == "GATTACA"

# %% [markdown]
# Real files also hold N, for a base that was not read. There is no right
# column for it, so the library refuses instead of guessing, and says
# where:

# %%
try:
    genomes.one_hot("GATNACA")
except ValueError as error:
    print(error)

# %% [markdown]
# **What is unsupervised here, and what is not.** Encoding, compressing and
# finding repeated patterns need no labels: that is this chapter. "This gene
# belongs to that family" or "this variant makes ill" are *classes*; they need
# labelled examples, whatever network reads the bases.
#
# ## 2. Bits per base
#
# A model that gives the next base the probability $p$ can code it in
# $-\log_2 p$ bits. Knowing nothing, every base costs 2 bits. The real data:
# the genome of HIV-1, RefSeq NC_001802, 9 181 bases, frozen in the course with its
# licence and a checksum.

# %%
genome = genomes.load_genome()
known, choose, unseen = genome[:5000], genome[5000:6500], genome[6500:]
print(len(genome), "bases:", genome[:50], "…")
for base in genomes.BASES:
    print(base, f"{genome.count(base) / len(genome):.3f}", end="  ")
pairs = genomes.kmer_counts(genome, 2).reshape(4, 4)
expected = genome.count("C") * genome.count("G") / len(genome)
print(f"\nC followed by G: {pairs[1, 2]} times, by chance {expected:.0f}")
assert pairs[1, 2] < 0.3 * expected

# %% [markdown]
# More than a third of the bases are A, and CG is strikingly rare. So the
# genome is not random, and some compression must be possible. A **Markov model**
# of order $m$ looks at the last $m$ bases and counts what came next. Order 6
# distinguishes 4 096 pasts, from 5 000 bases. Which order will be best on bases it
# has not seen?

# %%
orders = range(7)
fitted = [MarkovModel(order).fit(known) for order in orders]
seen_bits = [model.bits_per_base(known) for model in fitted]
choose_bits = [model.bits_per_base(choose) for model in fitted]
order = int(np.argmin(choose_bits))
unseen_bits = [model.bits_per_base(unseen) for model in fitted]
for m in orders:
    print(
        f"order {m}: seen {seen_bits[m]:.3f}, choosing {choose_bits[m]:.3f}, "
        f"unseen {unseen_bits[m]:.3f} bits per base"
    )
print("chosen:", order)
assert (np.diff(seen_bits) < 0).all(), "on the counted bases always better"
assert 1.9 < unseen_bits[order] < 1.98, "two or three per cent, no more"
assert unseen_bits[6] > 2.0, "worse than knowing nothing"

# %%
figure = plotting.curves(
    {"counted bases": seen_bits, "unseen bases": unseen_bits},
    f"Order {order} saves {1 - unseen_bits[order] / 2:.1%}; order 6 costs more than 2 bits",
    x=list(orders),
    xlabel="order m of the Markov model",
    ylabel="bits per base",
)
figure.axes[0].axhline(2.0, color="black", lw=1, ls="--")
plt.show()

# %% [markdown]
# **Figure 6e.1.** On the counted bases every order is an improvement; on unseen
# ones the best saves two or three per cent and the largest costs *more* than
# two bits a base. That is all there is to find from short contexts. General-purpose
# compressors, which look for repeats, do no better than packing each base
# into two bits:

# %%
packed = {
    "two bits a base": 2.0,
    **{
        name: 8 * len(compress(genome.encode())) / len(genome)
        for name, compress in {
            "zlib": zlib.compress,
            "bz2": bz2.compress,
            "lzma": lzma.compress,
        }.items()
    },
}
for name, bits in packed.items():
    print(f"{name:16s}{bits:.2f} bits per base")
assert min(packed.values()) == 2.0

# %% [markdown]
# A network that predicts the next base has to beat the table of 16
# probabilities, with thousands of weights and 5 000 examples; nothing suggests
# that it could, so we do not pretend. Where networks do gain on DNA, they are
# trained on *many* genomes, and what they know must be counted like a
# decoder is counted in [chapter 6b](06b_images.ipynb).
#
# ## 3. Planted motifs
#
# Proteins that switch genes on recognise short patterns, *motifs*, which vary a
# little from place to place. Finding a pattern that nobody has told you, in
# many sequences, at unknown places: that is unsupervised. The data are
# **synthetic**, so that the truth is known: random bases, in each sequence two
# motifs of eight, and every tenth base of a motif replaced by another.

# %% tags=["setup"]
MOTIFS = ("TATAATGC", "GGCCAATC")
LENGTH, SIZE = 50, 12
strings, starts = genomes.planted_motifs(
    MOTIFS, MOTIF_ROWS, LENGTH, noise=0.1, seed=0
)
bases = genomes.one_hot(strings)

# %%
for text, places in zip(strings[:4], starts[:4], strict=True):
    marked = list(text.lower())
    for place in places:
        marked[place : place + 8] = list(text[place : place + 8])
    print("".join(marked))
print(bases.shape)

# %% [markdown]
# **The classical baseline** counts words of eight bases. A motif that is
# always written without an error would stand out; how many survive with
# every tenth base wrong? About $0.9^8=43\%$. That is plenty:


# %%
def best_words(texts, k=8, count=6):
    """The most frequent words of k bases in many sequences."""
    counts = sum(genomes.kmer_counts(text, k) for text in texts)
    order = np.argsort(-counts)[:count]
    digits = (order[:, None] // 4 ** np.arange(k - 1, -1, -1)) % 4
    words = ["".join(genomes.BASES[d] for d in row) for row in digits]
    return words, counts[order]


words, counts = best_words(strings)
print(*(f"{word} {n}" for word, n in zip(words, counts, strict=True)))
assert set(words[:2]) == set(MOTIFS)
exact = [
    np.mean(
        [text.find(m) == s for text, s in zip(strings, column, strict=True)]
    )
    for m, column in zip(MOTIFS, starts.T, strict=True)
]
print("found by exact search:", *(f"{share:.2f}" for share in exact))

# %% [markdown]
# Counting finds both words at once, but *locates* them in fewer than half
# of the sequences. A convolutional autoencoder slides kernels over the
# sequence; its code says **where** each kernel fits best, one place for each kernel
# or none, and the decoder writes the kernel's pattern there. These are the lines that
# matter:

# %%
print(inspect.getsource(MotifAutoencoder.encoded))

# %% tags=["nbval-ignore-output"]
finders = []
for seed in SEEDS:
    finder = MotifAutoencoder.conv(
        LENGTH, num_motifs=6, kernel_size=SIZE, seed=seed
    )
    recipes.compile(finder, 0.02)
    finder.fit(bases, batch_size=64, epochs=MOTIF_EPOCHS, verbose=0)
    finders.append(finder)
    print(f"seed {seed}:", *genomes.from_one_hot(finder.motifs()))


# %% tags=["nbval-ignore-output"]
def located(finder, column):
    """Share of sequences in which a kernel points at the motif.

    A kernel may hold the motif anywhere inside, so its place may differ
    from the motif's by a constant, at most the kernel's length.
    """
    places = finder.encode(bases).argmax(axis=1)  # (n, kernels)
    shares = [
        np.mean(places[:, kernel] + shift == column)
        for kernel in range(places.shape[1])
        for shift in range(-SIZE, SIZE + 1)
    ]
    return max(shares)


found = np.array([[located(f, column) for column in starts.T] for f in finders])
runtime.record(
    "Two planted motifs (synthetic): share of sequences where each is located",
    ("method", "first motif", "second motif"),
    [
        ("exact search of frequent words", *(f"{v:.2f}" for v in exact)),
        (
            "motif autoencoder, 3 seeds",
            *(
                f"{mean:.2f} ± {spread:.2f}"
                for mean, spread in zip(
                    found.mean(0), found.std(0, ddof=1), strict=True
                )
            ),
        ),
    ],
)

# %%
assert np.mean(found) > np.mean(exact) + 0.1, "more than exact search"

# %% [markdown]
# Kernels hold the motifs, some of them shifted, others only parts or nothing
# of use. They find the motif in far more sequences than exact search does,
# because a pattern of probabilities forgives a wrong base. Not every
# seed gets both: the objective has local minima, as every motif finder's has.
#
# **Is it compression?** The loss says so, loudly. Divide it by $\log 2$
# and by the length. But the receiver also needs the code.

# %% tags=["nbval-ignore-output"]
nats = np.mean([finder.example_losses(bases).mean() for finder in finders])
decoder_bits = nats / np.log(2) / LENGTH
kernels = finders[0].num_motifs
place_bits = kernels * np.log2(finders[0].places + 1) / LENGTH
strength_bits = kernels * 8 / LENGTH  # the winner's value, as one byte
total_bits = decoder_bits + place_bits + strength_bits
print(f"bases given the code   {decoder_bits:.2f} bits per base")
print(f"six places             {place_bits:.2f}")
print(f"six strengths, a byte  {strength_bits:.2f}")
print(f"together               {total_bits:.2f}")

# %%
assert decoder_bits < 1.7 and total_bits > 2.0

# %% [markdown]
# With places and strengths paid for, the autoencoder needs *more* than the two bits
# of a base. A reconstruction loss is a code length only together with the code.
#
# ## 4. Sound
#
# There is no recording of speech in the course, so these vowels are
# **synthetic**, and labelled so: a pulse train, the buzz of the vocal folds,
# through three resonators, the *formants* of the mouth (Fant 1960). Formants of five
# English vowels are the averages that Peterson and Barney measured in 1952;
# pitch and formants vary at random from sound to sound.

# %% tags=["setup"]
SECONDS = 0.128
NAMES = list(sounds.VOWELS)


def draw_vowels(count, seed):
    """Waveforms (count, samples) and vowel numbers (count,)."""
    rng = np.random.default_rng(seed)
    which = rng.integers(len(NAMES), size=count)
    waves = []
    for index, vowel in enumerate(which):
        formants = np.array(sounds.VOWELS[NAMES[vowel]])
        formants = formants * rng.normal(1.0, 0.04, size=3)
        pitch = np.exp(rng.uniform(np.log(90), np.log(220)))
        waves.append(
            sounds.vowel(formants, pitch, SECONDS, seed=1000 * seed + index)
        )
    return np.array(waves), which


def to_levels(magnitude):
    """Loudness in [0, 1]: logarithm of a magnitude, from 0.001 to 100."""
    return np.clip(np.log10(magnitude + 1e-3) / 5 + 0.6, 0, 1).astype("float32")


def to_magnitude(levels):
    """The inverse of to_levels."""
    return np.maximum(10 ** (5 * (np.asarray(levels) - 0.6)) - 1e-3, 0.0)


# %%
waves, spoken = draw_vowels(SOUNDS + 200, seed=0)
magnitudes = np.array([sounds.spectrogram(wave) for wave in waves])
levels = to_levels(magnitudes)
x_sound, x_sound_test = levels[:-200], levels[-200:]
print("waveforms", waves.shape, "| spectrograms", levels.shape)
assert np.allclose(to_magnitude(levels), magnitudes, atol=1e-3)

# %%
figure, axes = plt.subplots(1, 5, figsize=(11, 2.8), sharey=True)
for axis, vowel in zip(axes, range(5), strict=True):
    one = np.flatnonzero(spoken == vowel)[0]
    axis.imshow(
        levels[one],
        origin="lower",
        aspect="auto",
        extent=(0, 128, 0, 4),
        vmin=0,
        vmax=1,
    )
    for formant in sounds.VOWELS[NAMES[vowel]]:
        axis.plot(-4, formant / 1000, "r>", clip_on=False, ms=5)
    axis.set(title=f"[{NAMES[vowel]}]", xlabel="milliseconds")
    axis.grid(False)
axes[0].set_ylabel("kHz")
figure.suptitle("Synthetic vowels; average formants marked", fontsize=11)
plt.show()

# %% [markdown]
# **Figure 6e.2.** Brightness is loudness on a logarithmic scale. Fine stripes are the
# pulses of the voice; broad bright bands lie at the formants, marked in red, and tell the
# vowels apart.
#
# ### The way back
#
# A spectrogram keeps magnitudes and drops phases. To hear a changed or a generated
# one, phases are needed. Either one *reuses* those of a recording, if
# there is one, or one guesses: Griffin and Lim (1984) turn to and fro between waveform and
# spectrogram until the magnitudes fit. `spectral error` is
# $\lVert\,|STFT(\hat w)|-M\rVert/\lVert M\rVert$.


# %%
def spectral_error(wave, magnitude):
    """Relative error of a waveform's spectrogram."""
    error = sounds.spectrogram(wave) - magnitude
    return np.linalg.norm(error) / np.linalg.norm(magnitude)


turns = (1, 3, 10, 30, 100)
errors = [
    np.mean(
        [
            spectral_error(
                sounds.griffin_lim(m, waves.shape[1], iterations=turn), m
            )
            for m in magnitudes[:10]
        ]
    )
    for turn in turns
]
print("turns", turns, "error", np.round(errors, 2))
assert (np.diff(errors) < 0).all() and errors[-1] < 0.25

# %% [markdown]
# ### An autoencoder, and a generator
#
# Both see the whole spectrogram of a sound and have twelve numbers to keep of
# it. PCA with twelve components is the baseline, as always. The VAE can also
# *generate*, in principle: codes from $\mathcal N(0, I)$, decoded, phases by
# Griffin and Lim.

# %% tags=["nbval-ignore-output"]
shape = x_sound.shape[1:]
coder = Autoencoder.dense(
    shape, 12, widths=(128,), seed=0, likelihood=SquaredError("sigmoid")
)
vae = VAE.dense(shape, 12, widths=(128,), seed=0, likelihood=Gaussian(0.1))
for model in (coder, vae):
    recipes.compile(model, 2e-3)
    model.fit(x_sound, epochs=SOUND_EPOCHS, batch_size=32, verbose=0)
flat_sound = x_sound.reshape(len(x_sound), -1)
sound_pca = PCA(12, random_state=0).fit(flat_sound)
flat_test = x_sound_test.reshape(len(x_sound_test), -1)
by_pca = sound_pca.inverse_transform(sound_pca.transform(flat_test))
by_pca = by_pca.reshape(x_sound_test.shape)
rebuilt = {
    "mean": np.broadcast_to(x_sound.mean(axis=0), x_sound_test.shape),
    "PCA": by_pca,
    "autoencoder": coder.reconstruct(x_sound_test),
    "VAE": vae.reconstruct(x_sound_test),
}
sound_errors = {n: metrics.mse(x_sound_test, r) for n, r in rebuilt.items()}
runtime.record(
    "Vowels (synthetic) kept in twelve numbers: test MSE of the level",
    ("method", "MSE"),
    [(name, f"{value:.5f}") for name, value in sound_errors.items()],
)

# %% tags=["nbval-ignore-output"]
test_waves, test_magnitudes = waves[-200:], magnitudes[-200:]
resynthesis = {"phases reused": [], "Griffin-Lim": []}
for i in range(20):
    wanted = to_magnitude(rebuilt["autoencoder"][i])
    guessed = sounds.griffin_lim(wanted, waves.shape[1])
    reused = sounds.with_phases_of(wanted, test_waves[i])
    for name, wave in (("phases reused", reused), ("Griffin-Lim", guessed)):
        resynthesis[name].append(spectral_error(wave, test_magnitudes[i]))
for name, values in resynthesis.items():
    print(f"{name:14s} spectral error {np.mean(values):.2f}")

# %%
assert sound_errors["autoencoder"] < 0.5 * sound_errors["mean"]
assert sound_errors["PCA"] < 0.5 * sound_errors["mean"]
if profile.full:
    assert sound_errors["autoencoder"] < 0.9 * sound_errors["PCA"]
assert np.mean(resynthesis["phases reused"]) < np.mean(
    resynthesis["Griffin-Lim"]
)

# %% [markdown]
# Twelve numbers bring the level of a whole sound back with a third of the error
# of the average sound. In the quick profile PCA does it better than either
# network: six hundred synthetic sounds, whose levels move smoothly with pitch and
# formants, are what PCA is good at. With the three thousand of the full profile
# the networks pass it, the autoencoder with three quarters of PCA's error. The
# phases of the recording help, where there is one; resynthesis without them
# costs a little more.


# %% tags=["nbval-ignore-output"]
def new_rows(codes):
    """200 codes from a mixture of five Gaussians fitted to codes."""
    fresh, _ = GaussianMixture(5, random_state=0).fit(codes).sample(200)
    return np.random.default_rng(0).permutation(fresh)  # they come sorted


normal = np.random.default_rng(0).normal(size=(200, 12))
drawn = {
    "VAE, from N(0, I)": vae.decode(normal),
    "VAE, fitted codes": vae.decode(new_rows(vae.encode(x_sound))),
    "PCA, fitted scores": sound_pca.inverse_transform(
        new_rows(sound_pca.transform(flat_sound))
    ).reshape(-1, *shape),
}
drawn = {name: np.clip(made, 0, 1) for name, made in drawn.items()}
spread = vae.encode(x_sound).std(axis=0)
print("deviation of the VAE's codes:", spread.round(2))

# %% tags=["nbval-ignore-output"]
listener = KNeighborsClassifier(5).fit(
    sound_pca.transform(flat_sound), spoken[:-200]
)
heard = listener.score(sound_pca.transform(flat_test), spoken[-200:])
print(f"listener, on real test vowels: {heard:.0%} right")
nearest = {}
for name, made in drawn.items():
    rows = made.reshape(len(made), -1)
    distance, _ = listener.kneighbors(sound_pca.transform(rows))
    classes = listener.predict(sound_pca.transform(rows))
    nearest[name] = distance[:, 0].mean()
    print(
        f"{name:24s} vowels {np.bincount(classes, minlength=5)}, "
        f"distance to the nearest real one {distance[:, 0].mean():.2f}"
    )
real_distance = listener.kneighbors(sound_pca.transform(flat_test))[0][:, 0]
print(f"{'test vowels':24s} distance {real_distance.mean():.2f}")

# %% tags=["nbval-ignore-output"]
plotting.image_rows(
    {
        name: np.repeat(some[:6, ::-1], 6, axis=2)  # wider frames
        for name, some in {
            "synthesised": x_sound_test,
            "autoencoder": rebuilt["autoencoder"],
            **drawn,
        }.items()
    },
    "Spectrograms: given, rebuilt, invented",
)
plt.show()
new_wave = sounds.griffin_lim(
    to_magnitude(drawn["VAE, fitted codes"][0]), waves.shape[1]
)
print(
    "an invented sound:", new_wave.shape, "samples at", sounds.RATE, "a second"
)

# %%
assert heard > 0.9, "the listener knows the vowels"
assert spread.max() < 0.7, "codes fill only the middle of N(0, I)"
assert nearest["VAE, fitted codes"] < 0.6 * nearest["VAE, from N(0, I)"]

# %% [markdown]
# **Figure 6e.3.** Frequency runs upward, time to the right. Rebuilt sounds keep
# the bands and blur the stripes. Codes drawn from $\mathcal N(0,I)$ decode to
# noise: the printed deviations say why. Trained on few sounds, with a sharp
# likelihood, the encoder uses a small region in the middle of the prior, and
# the decoder has never seen the rest. Draw instead from a mixture of five
# Gaussians *fitted to the codes*, and bands stand where vowels have
# them. PCA with the same mixture is the baseline; compare the distances printed
# above (one seed) before you credit the network.
# `IPython.display.Audio(new_wave, rate=8000)`
# plays the first of them: a dull, buzzing vowel.
#
# **What this is not.** Speech *recognition* needs recordings with transcripts,
# speech *synthesis* text with recordings: pairs, that is supervision. What
# unlabelled audio gives is the representation underneath, learned by
# predicting masked stretches, which afterwards needs fewer transcripts. A voice is
# also personal data: imitating one needs its owner's consent.
#
# ## 5. A nerve cell's voltage
#
# The last sequence is real: `membrane.dat`, among matplotlib's sample
# data, comes as 12 000 numbers without a description. Its shape speaks for itself:
# a cell at rest, a current switched on, regular spikes, then irregular ones. We
# take it in units of its own standard deviation, and by time: the first
# part to train, the next to choose, the last of the regular stretch to test.

# %% tags=["setup"]
with cbook.get_sample_data("membrane.dat") as file:
    voltage = np.frombuffer(file.read(), "float32")
SPAN = 64  # samples a window
signal = (voltage - voltage[1500:5300].mean()) / voltage[1500:5300].std()
to_train, to_choose = signal[1500:5300], signal[5300:6000]
to_test, irregular = signal[6000:7300], signal[7400:10900]
SIGMA = 0.5  # standard deviation of the noise we add


def windows(values, step=1):
    """All stretches of SPAN samples, ``(n, SPAN)``."""
    view = np.lib.stride_tricks.sliding_window_view(values, SPAN)
    return view[::step].astype("float32")


def overlap(pieces):
    """One signal from its windows, step 1: the mean where they overlap."""
    total = np.zeros(len(pieces) + SPAN - 1)
    count = np.zeros_like(total)
    for start, piece in enumerate(pieces):
        total[start : start + SPAN] += piece
        count[start : start + SPAN] += 1
    return total / count


# %%
figure, axis = plt.subplots(figsize=(9, 2.6))
axis.plot(voltage, lw=0.7)
for left, right, name in (
    (1500, 5300, "train"),
    (5300, 6000, "choose"),
    (6000, 7300, "test"),
    (7400, 10900, "irregular"),
):
    axis.axvspan(left, right, alpha=0.12, color=plotting.COLORS[len(name) % 7])
    axis.text((left + right) / 2, -0.65, name, ha="center", fontsize=8)
axis.set(xlabel="sample", ylabel="as recorded", title="A cell at work")
plt.show()
print(len(voltage), "samples")

# %% [markdown]
# **Figure 6e.4.** The whole recording, and what each part is used for.
#
# ### Denoising
#
# We add noise of half a standard deviation and ask for the signal back. Smoothing
# has one setting, the width; PCA the number of components. Both are chosen on
# their own stretch. A spike is a few samples wide: what will smoothing do to it?

# %% tags=["nbval-ignore-output"]
rng = np.random.default_rng(0)
noisy_choose, noisy_test = (
    (part + SIGMA * rng.standard_normal(part.shape)).astype("float32")
    for part in (to_choose, to_test)
)
train_windows = windows(to_train, step=2)


def pca_filter(count):
    """A denoiser: every window by its first principal components."""
    fit = PCA(count, random_state=0).fit(train_windows)
    return lambda values: overlap(
        fit.inverse_transform(fit.transform(windows(values)))
    )


candidates = {
    "Savitzky-Golay": {
        width: lambda values, width=width: savgol_filter(values, width, 2)
        for width in (5, 7, 9, 11, 13, 17, 21)
    },
    "PCA": {count: pca_filter(count) for count in (4, 8, 10, 12, 16, 24)},
}
restored = {"noisy": noisy_test}
for name, settings in candidates.items():
    errors = {
        key: metrics.mse(to_choose[None], denoise(noisy_choose)[None])
        for key, denoise in settings.items()
    }
    best_key = min(errors, key=errors.get)
    restored[name] = settings[best_key](noisy_test)
    print(f"{name}: chosen {best_key}")

# %% tags=["nbval-ignore-output"]
denoisers = []
for seed in SEEDS:
    model = DenoisingAutoencoder.dense(
        (SPAN,), 16, widths=(128,), amount=SIGMA, seed=seed
    )
    recipes.compile(model, 2e-3)
    model.fit(train_windows, epochs=VOLTAGE_EPOCHS, batch_size=32, verbose=0)
    denoisers.append(model)
by_network = [
    overlap(model.reconstruct(windows(noisy_test))) for model in denoisers
]
voltage_errors = {
    name: metrics.mse(to_test[None], values[None])
    for name, values in restored.items()
}
network_errors = [metrics.mse(to_test[None], v[None]) for v in by_network]
for name, value in voltage_errors.items():
    print(f"{name:16s} MSE {value:.3f}")
print(
    f"{'autoencoder':16s} MSE {np.mean(network_errors):.3f} ± "
    f"{np.std(network_errors, ddof=1):.3f}"
)

# %%
best_filter = min(voltage_errors.values())
assert np.mean(network_errors) < 0.5 * best_filter, "less than half the error"

# %% tags=["nbval-ignore-output"]
figure, axis = plt.subplots(figsize=(8, 3.2))
shown = slice(100, 400)
axis.plot(noisy_test[shown], color="0.8", lw=0.8, label="noisy")
axis.plot(to_test[shown], "k", lw=1.5, label="recorded")
axis.plot(restored["Savitzky-Golay"][shown], "--", label="Savitzky-Golay")
axis.plot(by_network[0][shown], label="denoising autoencoder")
axis.set(
    xlabel="sample",
    ylabel="standard deviations",
    title=f"{np.mean(network_errors) / best_filter:.0%} of the best filter's error",
)
axis.legend(fontsize=8)
plt.show()

# %% [markdown]
# **Figure 6e.5.** Smoothing has to choose between noise at rest and the height of a spike.
# The network need not choose: it has seen spikes, and knows that what looks like
# the beginning of one goes on as one. That is also its danger: it
# restores what it *knows*. Which leads to the other use.
#
# ### A change that nobody labelled
#
# Trained on regular firing alone, does the error rise when the cell changes its
# habit? Windows of the regular test stretch against windows of the irregular
# stretch, no noise added; the labels serve the score alone. Baselines: the same by
# PCA, the largest deviation within a window, and the standard deviation.

# %% tags=["nbval-ignore-output"]
regular_windows, odd_windows = windows(to_test, 4), windows(irregular, 8)
every = np.concatenate([regular_windows, odd_windows])
odd = np.r_[np.zeros(len(regular_windows)), np.ones(len(odd_windows))]
linear = PCA(12, random_state=0).fit(train_windows)
back = linear.inverse_transform(linear.transform(every))
odd_scores = {
    "largest deviation": np.abs(every).max(axis=1),
    "standard deviation": every.std(axis=1),
    "PCA": ((every - back) ** 2).mean(axis=1),
}
areas = {n: roc_auc_score(odd, score) for n, score in odd_scores.items()}
network_areas = [
    roc_auc_score(odd, ((every - model.reconstruct(every)) ** 2).mean(axis=1))
    for model in denoisers
]
for name, area in areas.items():
    print(f"{name:20s} AUROC {area:.2f}")
print(
    f"{'autoencoder':20s} AUROC {np.mean(network_areas):.2f} ± "
    f"{np.std(network_areas, ddof=1):.2f}"
)

# %%
assert np.mean(network_areas) > max(areas.values()) + 0.05
assert areas["PCA"] < 0.55, "no better than chance"

# %% [markdown]
# The irregular stretch has *fewer* spikes, so every score that measures size
# points the wrong way: its windows look tamer than the regular ones. The autoencoder's error
# measures unfamiliarity instead of size, and ranks the change of habit well
# above chance. One recording of one cell is no more than an example; windows of one
# stretch overlap, so the AUROC has no honest error bar.
#
# ## Results

# %% tags=["nbval-ignore-output"]
runtime.record(
    "membrane voltage: noise removed, and irregular firing told apart",
    ("method", "test MSE", "AUROC"),
    [
        ("noisy", f"{voltage_errors['noisy']:.3f}", "–"),
        ("Savitzky-Golay", f"{voltage_errors['Savitzky-Golay']:.3f}", "–"),
        ("PCA", f"{voltage_errors['PCA']:.3f}", f"{areas['PCA']:.2f}"),
        (
            "denoising autoencoder, 3 seeds",
            f"{np.mean(network_errors):.3f} ± {np.std(network_errors, ddof=1):.3f}",
            f"{np.mean(network_areas):.2f} ± {np.std(network_areas, ddof=1):.2f}",
        ),
    ],
)
runtime.record(
    "bases: bits per base, model fitted on other bases",
    ("sequence", "model", "bits per base"),
    [
        ("HIV-1", f"Markov, order {m}", f"{unseen_bits[m]:.3f}")
        for m in (0, order, 6)
    ]
    + [("planted motifs", "autoencoder with its code", f"{total_bits:.2f}")],
)

# %% [markdown]
# ## What we showed
#
# - Bases become $(n, 4)$ with rows that sum to 1; an unknown letter is
#   refused, with its place.
# - Of a real genome's two bits a base, short contexts save two or three per cent;
#   order 6 and general compressors cost more than two bits.
# - A convolutional autoencoder located planted motifs in far more sequences than
#   exact search, from three seeds of three. Its low loss was no compression
#   once the code was paid for.
# - Vowels, synthetic ones: PCA was no worse than the networks in rebuilding.
#   The VAE's prior gave noise, a mixture fitted to its codes gave vowels.
#   Phases had to be reused or guessed.
# - A nerve cell's voltage, real: less than half the error of the best filter,
#   and a change of firing found without a label, where amplitude pointed
#   the wrong way.
#
# **Limits.** One genome, one cell, no recorded speech. The motifs were easy: one of each
# in every sequence, uniform background. In real promoters the background is
# what fools a motif finder.
#
# **References.** Shannon (1948), *Bell System Technical Journal* 27, A
# mathematical theory of communication · Bailey and Elkan (1994), *ISMB*, Fitting
# a mixture model by expectation maximization to discover motifs · Makhzani and
# Frey (2015), *NeurIPS*, Winner-take-all autoencoders · Peterson and Barney
# (1952), *JASA* 24, 175–184 · Fant (1960), *Acoustic Theory of Speech
# Production* · Griffin and Lim (1984), *IEEE Transactions on Acoustics, Speech, and Signal
# Processing* 32, 236–243 · Vincent et al. (2008), *ICML*. Data: NCBI RefSeq NC_001802.1
# from Biopython 1.85's test files; matplotlib's sample data.
#
# Claims about sequences that one meets elsewhere, and the tests that answer
# them: [errata](../docs/errata.md). Answers to the exercises are
# [in the solutions](../solutions/06e_sequences.ipynb).

# %% [markdown]
# ## Exercises
#
# Each needs only the set-up cells at the top. Write your answer where
# it says `# your answer here`, run the cell, then run the check below it: it
# says what is wrong, and with what to go on once it is right.

# %% [markdown] tags=["exercise"]
# ### Exercise 6.1 · Bits, with a pencil
#
# *You will learn what a code length is.* A model gives A, C, G, T the
# probabilities ½, ¼, ⅛, ⅛, and the sequence is AACT. How many bits **per
# base** does it cost?

# %% tags=["exercise"]
answer_6_1 = None
### BEGIN SOLUTION
answer_6_1 = (1 + 1 + 2 + 3) / 4
### END SOLUTION

# %% tags=["check"]
checks.check_6_1(answer_6_1)

# %% [markdown] tags=["discussion"]
# $-\log_2$ of the four probabilities is 1, 1, 2 and 3. On *these* bases
# the model saves a quarter of a bit each; on TTTT it would cost 3.

# %% [markdown] tags=["exercise"]
# ### Exercise 6.2 · One-hot, with a guard
#
# *You will learn to refuse what has no right answer.* Encode a string of
# A, C, G, T as an array $(n, 4)$, columns in this order. Raise a
# `ValueError` for any other letter.


# %% tags=["exercise"]
def encode_bases(text):
    """Return the one-hot array of a sequence, shape (n, 4)."""
    ### BEGIN SOLUTION
    rows = np.zeros((len(text), 4))
    for place, letter in enumerate(text):
        if letter not in "ACGT":
            raise ValueError(f"unknown base {letter!r} at position {place}")
        rows[place, "ACGT".index(letter)] = 1.0
    return rows
    ### END SOLUTION


# %% tags=["check"]
checks.check_6_2(encode_bases)

# %% [markdown] tags=["discussion"]
# A row of zeros for N would be accepted by every network without a word, and
# rows would no longer sum to 1. If N is frequent, a row of four quarters says "any
# base" honestly; that is a decision to take, not a default.

# %% [markdown] tags=["exercise"]
# ### Exercise 6.3 · The other strand
#
# *You will learn that DNA is read both ways.* The second strand runs backwards, with
# A facing T and C facing G. Given one-hot arrays `(count, n, 4)`, return the
# one-hot arrays of the other strands.


# %% tags=["exercise"]
def other_strand(x):
    """Return the reverse complement, shape (count, n, 4)."""
    ### BEGIN SOLUTION
    return x[:, ::-1, ::-1]
    ### END SOLUTION


# %% tags=["check"]
checks.check_6_3(other_strand)

# %% [markdown] tags=["discussion"]
# In the order A, C, G, T the complement is the reversed order, so both
# steps are reversals. Adding the other strand to the training rows doubles
# them at no cost, as shifts do for images.

# %% [markdown] tags=["exercise"]
# ### Exercise 6.4 · A Markov model of order 1
#
# *You will learn where a pseudocount goes.* Count pairs in `known`, add 1 to each
# of the 16 counts, and return the mean code length in bits of the bases
# of `unseen` after the first.


# %% tags=["exercise"]
def pair_model_bits(known, unseen):
    """Return bits per base of unseen[1:], given the base before."""
    ### BEGIN SOLUTION
    number = {base: index for index, base in enumerate("ACGT")}
    counts = np.ones((4, 4))
    for before, after in zip(known, known[1:], strict=False):
        counts[number[before], number[after]] += 1
    p = counts / counts.sum(axis=1, keepdims=True)
    bits = [
        -np.log2(p[number[before], number[after]])
        for before, after in zip(unseen, unseen[1:], strict=False)
    ]
    return np.mean(bits)
    ### END SOLUTION


# %% tags=["check"]
checks.check_6_4(pair_model_bits)

# %% [markdown] tags=["discussion"]
# Without the pseudocount one pair that never occurred in `known` costs
# infinitely many bits. Dividing by the sum of *all* counts gives the
# probability of a pair, not of a base given the one before.

# %% [markdown] tags=["exercise"]
# ### Exercise 6.5 · Back to a waveform (experiment)
#
# *You will learn how much magnitudes know.* Return a waveform of `samples`
# samples whose spectrogram comes close to `magnitude`: relative error
# (as in section 4) at most 0.3. One turn of Griffin and Lim gives about 0.4.


# %% tags=["exercise"]
def to_wave(magnitude, samples):
    """Return a waveform with about this spectrogram."""
    ### BEGIN SOLUTION
    return sounds.griffin_lim(magnitude, samples, iterations=60, seed=1)
    ### END SOLUTION


# %% tags=["check", "nbval-ignore-output"]
checks.check_6_5(to_wave)

# %% [markdown] tags=["discussion"]
# The error falls at every turn, quickly at first. The waveform itself may
# be far from the original one: a sound and its negative have the same
# magnitudes.

# %% [markdown] tags=["exercise"]
# ### Exercise 6.6 · Count the spikes (open)
#
# *You will learn that a threshold is a model.* Write a function that
# returns the places of the spikes in a noisy voltage, in standard deviations
# as above. The check adds a little noise to the regular firing and accepts
# any method that finds at least nine spikes of ten, with at most one false alarm
# in ten.


# %% tags=["exercise"]
def find_spikes(values):
    """Return increasing integer places of the spikes in values."""
    ### BEGIN SOLUTION
    smooth = savgol_filter(values, 9, 2)
    above = smooth > 1.75
    places = []
    for start in np.flatnonzero(above & ~np.r_[False, above[:-1]]):
        stop = start + np.argmin(np.r_[above[start:], False])
        peak = start + int(np.argmax(smooth[start:stop]))
        if not places or peak - places[-1] > 40:
            places.append(peak)
    return places
    ### END SOLUTION


# %% tags=["check"]
checks.check_6_6(find_spikes)

# %% [markdown] tags=["discussion"]
# Smooth a little, cut at a height between the hills and the spikes, and allow
# one spike in forty samples: three settings, each a piece of knowledge about
# this cell. The denoising autoencoder would learn them from the recording.
