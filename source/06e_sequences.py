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
# | Prerequisites | [Chapter 2](02_autoencoders.ipynb): autoencoders; [Chapter 4](04_vaes.ipynb): VAEs |
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

import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import cbook
from scipy.signal import savgol_filter
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from utils import metrics, plotting, sequences, sounds
from utils.autoencoders import Autoencoder, DenoisingAutoencoder
from utils.checks import chapter_06e as checks
from utils.sequences import MarkovModel, MotifAutoencoder
from utils.vaes import VAE

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
STEPS = 1 if keras.backend.backend() == "torch" else 8

# %% [markdown]
# ## 1. Bases as numbers
#
# A gene is a string over four letters. A network takes arrays. Coding A, C, G,
# T as 0, 1, 2, 3 would claim that C lies between A and G; a column for each
# base claims nothing. A sequence of $n$ bases becomes an array $(n, 4)$ whose
# rows sum to 1.

# %%
print(sequences.one_hot("GATTACA"))
assert sequences.one_hot("GATTACA").shape == (7, 4)
assert (sequences.one_hot("GATTACA").sum(axis=1) == 1).all()
assert sequences.from_one_hot(sequences.one_hot("GATTACA")) == "GATTACA"

# %% [markdown]
# Real files also hold N, for a base that was not read. There is no right
# column for it, so the library refuses instead of guessing, and says
# where:

# %%
try:
    sequences.one_hot("GATNACA")
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
genome = sequences.load_genome()
known, choose, unseen = genome[:5000], genome[5000:6500], genome[6500:]
print(len(genome), "bases:", genome[:50], "…")
for base in sequences.BASES:
    print(base, f"{genome.count(base) / len(genome):.3f}", end="  ")
pairs = sequences.kmer_counts(genome, 2).reshape(4, 4)
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
strings, starts = sequences.planted_motifs(
    MOTIFS, MOTIF_ROWS, LENGTH, noise=0.1, seed=0
)
bases = sequences.one_hot(strings)

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
    counts = sum(sequences.kmer_counts(text, k) for text in texts)
    order = np.argsort(-counts)[:count]
    digits = (order[:, None] // 4 ** np.arange(k - 1, -1, -1)) % 4
    words = ["".join(sequences.BASES[d] for d in row) for row in digits]
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
print(inspect.getsource(MotifAutoencoder.call))

# %% tags=["nbval-ignore-output"]
finders = []
for seed in SEEDS:
    finder = MotifAutoencoder(LENGTH, num_motifs=6, kernel_size=SIZE, seed=seed)
    finder.compile(keras.optimizers.Adam(0.02), steps_per_execution=STEPS)
    finder.fit(bases, batch_size=64, epochs=MOTIF_EPOCHS, verbose=0)
    finders.append(finder)
    print(f"seed {seed}:", *sequences.from_one_hot(finder.motifs()))


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
print("seed by motif, located:\n", found.round(2))
print("exact words:", np.round(exact, 2))

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
nats = np.mean([finder.score(bases).mean() for finder in finders])
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
# it. The VAE can also *generate*: codes from $\mathcal N(0, I)$, decoded,
# phases by Griffin and Lim. PCA with twelve components is the baseline, as
# always; for generation, the baseline is a Gaussian fitted to PCA's scores.

# %% tags=["nbval-ignore-output"]
shape = x_sound.shape[1:]
coder = Autoencoder(shape, 12, widths=(128,), output="sigmoid", seed=0)
vae = VAE(shape, 12, widths=(128,), likelihood="gaussian", scale=0.1, seed=0)
for model in (coder, vae):
    model.compile(keras.optimizers.Adam(2e-3), steps_per_execution=STEPS)
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
for name, value in sound_errors.items():
    print(f"{name:12s} test MSE of the level {value:.5f}")

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
