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
# # Chapter 6h · Signals: vowels, made-up speech and a nerve cell
#
# Autoencoders, one reads, recognise and synthesise speech. This chapter
# takes sounds, which you can play, and the voltage of a nerve cell, and asks
# each time what a network adds to the simplest thing that works. Mostly
# nothing: with few sounds PCA keeps vowels better, k-means on plain frames
# finds the units of speech as well, the nearest windows clean the voltage as
# well and notice a change better. What you take away works without a network
# too: spectrograms, the way back without phases, and units that nobody wrote
# down.
#
# **We will show**
#
# - spectrograms of synthetic vowels, and the way back to a sound;
# - an autoencoder and a VAE on them against PCA: rebuilding, inventing;
# - units of made-up speech found without transcripts, words from them, and a
#   resynthesis from units alone, with a player;
# - what speech recognition and synthesis need, and what they no longer need;
# - a real recording of a nerve cell: denoising, and a change of behaviour found
#   without labels.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 2](02a_autoencoders.ipynb): autoencoders; [Chapter 4a](04a_from_bound_to_model.ipynb): VAEs |
# | Data | synthetic: vowels and made-up speech, generator in the library; real: matplotlib's `membrane.dat` |
# | Time | under a minute on two CPU cores; two hours of reading and exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Audio, display
from scipy.fft import dct
from scipy.signal import savgol_filter
from scipy.spatial.distance import cdist
from scipy.special import softmax
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_mutual_info_score, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from utils import metrics, plotting
from utils.checks import chapter_06h as checks
from utils.data import sounds
from utils.data.series import load_voltage, windows
from utils.models import VAE, Autoencoder, DenoisingAutoencoder
from utils.nn.likelihoods import Gaussian, SquaredError
from utils.training import recipes
from utils.training.repeats import train_from_seeds, with_spread

plotting.use_style()

# %% [markdown]
# **Parameters.** Everything that differs between the quick and the full
# profile stands in this one cell.

# %% tags=["setup"]
SOUNDS = profile.pick(quick=600, full=3000)  # synthetic vowels to train on
SOUND_EPOCHS = 40
SENTENCES = profile.pick(quick=60, full=300)  # of made-up speech
UNIT_EPOCHS = profile.pick(quick=8, full=15)
VOLTAGE_EPOCHS = profile.pick(quick=25, full=60)
SEEDS = (0, 1, 2)

# %% [markdown]
# ## 1. Vowels, and the way back
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
SAMPLES = 1024
waves, spoken = draw_vowels(SOUNDS + 200, seed=0)
magnitudes = np.array([sounds.spectrogram(wave) for wave in waves])
levels = to_levels(magnitudes)
x_sound, x_sound_test = levels[:-200], levels[-200:]
print("waveforms", waves.shape, "| spectrograms", levels.shape)
assert np.allclose(to_magnitude(levels), magnitudes, atol=1e-3)

# %%
times = sounds.frame_times(SAMPLES)  # middles of the frames, in seconds
figure, axes = plt.subplots(1, 5, figsize=(11, 2.8), sharey=True)
for axis, vowel in zip(axes, range(5), strict=True):
    one = np.flatnonzero(spoken == vowel)[0]
    axis.imshow(
        levels[one],
        origin="lower",
        aspect="auto",
        extent=(1000 * times[0] - 4, 1000 * times[-1] + 4, 0, 4),
        vmin=0,
        vmax=1,
    )
    for formant in sounds.VOWELS[NAMES[vowel]]:
        axis.plot(-16, formant / 1000, "r>", clip_on=False, ms=5)
    axis.set(title=f"[{NAMES[vowel]}]", xlabel="milliseconds")
    axis.grid(False)
axes[0].set_ylabel("kHz")
figure.suptitle("Synthetic vowels; average formants marked", fontsize=11)
plt.show()

# %% [markdown]
# **Figure 6h.1.** Brightness is loudness on a logarithmic scale. Fine stripes are the
# multiples of the voice's pitch; broad bright bands lie near the average formants,
# marked in red, and tell the vowels apart. The sound lasts from 0 to 128 ms; the
# first and last frames, with their middles at −8 and 136 ms, reach beyond it and see
# zeros there: hence the edges, where the stripes blur.
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
            spectral_error(sounds.griffin_lim(m, SAMPLES, iterations=turn), m)
            for m in magnitudes[:10]
        ]
    )
    for turn in turns
]
print("turns", turns, "error", np.round(errors, 2))
assert (np.diff(errors) < 0).all() and errors[-1] < 0.25

# %% [markdown]
# ## 2. Twelve numbers a sound: with few sounds PCA keeps them better
#
# An autoencoder and a VAE see the whole spectrogram of a sound and have twelve
# numbers to keep of it. PCA with twelve components is the opponent. The VAE
# can also *generate*, in principle: codes from $\mathcal N(0, I)$, decoded,
# phases by Griffin and Lim.

# %% tags=["nbval-ignore-output"]
shape = x_sound.shape[1:]
flat_sound = x_sound.reshape(len(x_sound), -1)
sound_pca = PCA(12, random_state=0).fit(flat_sound)
flat_test = x_sound_test.reshape(len(x_sound_test), -1)
by_pca = sound_pca.inverse_transform(sound_pca.transform(flat_test))
rebuilt = {
    "mean": np.broadcast_to(x_sound.mean(axis=0), x_sound_test.shape),
    "PCA": by_pca.reshape(x_sound_test.shape),
}
sound_errors = {n: [metrics.mse(x_sound_test, r)] for n, r in rebuilt.items()}
coder = Autoencoder.dense(
    shape, 12, widths=(128,), seed=0, likelihood=SquaredError("sigmoid")
)
vae = VAE.dense(shape, 12, widths=(128,), seed=0, likelihood=Gaussian(0.1))
for name, model in {"autoencoder": coder, "VAE": vae}.items():
    sound_errors[name] = []
    how = {"seeds": SEEDS, "rate": 2e-3, "epochs": SOUND_EPOCHS}
    for trained in train_from_seeds(model, x_sound, **how):
        rebuilt[name] = trained.reconstruct(x_sound_test)
        sound_errors[name].append(metrics.mse(x_sound_test, rebuilt[name]))
runtime.record(
    "Vowels (synthetic) kept in twelve numbers: test MSE of the level",
    ("method", "MSE"),
    [(name, with_spread(values, 5)) for name, values in sound_errors.items()],
)

# %% tags=["nbval-ignore-output"]
test_waves, test_magnitudes = waves[-200:], magnitudes[-200:]
resynthesis = {"phases reused": [], "Griffin-Lim": []}
for i in range(20):
    wanted = to_magnitude(rebuilt["autoencoder"][i])
    guessed = sounds.griffin_lim(wanted, SAMPLES)
    reused = sounds.with_phases_of(wanted, test_waves[i])
    for name, wave in (("phases reused", reused), ("Griffin-Lim", guessed)):
        resynthesis[name].append(spectral_error(wave, test_magnitudes[i]))
for name, values in resynthesis.items():
    print(f"{name:14s} spectral error {np.mean(values):.2f}")

# %% tags=["hide-input"]
level = {name: np.mean(values) for name, values in sound_errors.items()}
assert max(level["PCA"], level["autoencoder"]) < 0.5 * level["mean"]
if profile.full:
    assert level["autoencoder"] < 0.9 * level["PCA"], "many: the network leads"
else:
    assert level["PCA"] < level["autoencoder"], "few sounds: PCA leads"
reused, guessed = (np.mean(values) for values in resynthesis.values())
assert reused < guessed

# %% [markdown]
# Twelve numbers bring the level of a whole sound back with about a quarter (PCA) to a
# third of the error of the average sound. In the quick profile PCA beats either
# network: six hundred synthetic sounds, whose levels move smoothly with pitch
# and formants, are what PCA is good at. With the three thousand of the full
# profile the networks pass it. The phases of the recording help, where there is
# one.


# %%
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

# %%
listener = KNeighborsClassifier(5).fit(
    sound_pca.transform(flat_sound), spoken[:-200]
)
heard = listener.score(sound_pca.transform(flat_test), spoken[-200:])
print(f"a listener, on test vowels: {heard:.0%} right")

# %% tags=["nbval-ignore-output"]
spread = vae.encode(x_sound).std(axis=0)
print("deviation of the VAE's codes:", spread.round(2))
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
made = to_magnitude(drawn["VAE, fitted codes"][0])
display(Audio(sounds.griffin_lim(made, SAMPLES), rate=sounds.RATE))

# %% tags=["hide-input"]
assert heard > 0.9, "the listener knows the vowels"
assert spread.max() < 0.7, "codes fill only the middle of N(0, I)"
assert nearest["VAE, fitted codes"] < 0.6 * nearest["VAE, from N(0, I)"]

# %% [markdown]
# **Figure 6h.2.** Frequency runs upward, time to the right. Rebuilt sounds keep
# the bands and blur the stripes. Codes drawn from $\mathcal N(0,I)$ decode to
# noise: the printed deviations say why. Trained on few sounds, with a sharp
# likelihood, the encoder uses a small region in the middle of the prior, and
# the decoder has never seen the rest. Draw instead from a mixture of five
# Gaussians *fitted to the codes*, and bands stand where vowels have
# them. PCA with the same mixture is the baseline: in the quick run shown the VAE's
# sounds lie nearer to real ones, about as near as test vowels do (one seed, the last).
# The player holds the first invented sound: an eighth of a second, dull and buzzing.
#
# ## 3. Units without transcripts: a network's codes are no better than plain frames
#
# People hear speech as a row of sounds. Can a machine find these, if nobody
# writes down what was said? No recording of speech ships with the course's
# packages, so this speech is **synthetic** too: six made-up words, built from eight
# phones (single speech sounds), six words a sentence without pauses, three speakers
# of different pitch and throat. Test sentences are by two *other* speakers.

# %%
WORDS = ("mɑs", "siʃu", "ʃæm", "musi", "sɛmɑ", "iʃæ")
SPEAKERS = ((100, 0.95), (130, 1.0), (200, 1.1))  # pitch, length of the throat
STRANGERS = ((115, 0.9), (220, 1.15))


def say(speakers, count, seed):
    """Sentences: triples (wave, levels (frames, 129), phone a frame)."""
    rng, made = np.random.default_rng(seed), []
    for index in range(count):
        pitch, tract = speakers[rng.integers(len(speakers))]
        phones = list("".join(rng.choice(WORDS, size=6)))
        wave, phone = sounds.speak(
            phones, pitch, tract=tract, seed=1000 * seed + index
        )
        middles = np.round(sounds.frame_times(len(wave)) * sounds.RATE)
        middles = middles.clip(0, len(wave) - 1).astype(int)
        made.append(
            (wave, to_levels(sounds.spectrogram(wave)).T, phone[middles])
        )
    return made


known, strange = say(SPEAKERS, SENTENCES, 1), say(STRANGERS, 20, 2)
frames, frames_test = (
    np.concatenate([one[1] for one in some]) for some in (known, strange)
)
truth = np.concatenate([one[2] for one in strange])
print(
    "frames of 129 levels:", frames.shape, "| by strangers:", frames_test.shape
)

# %% [markdown]
# Cluster the frames into eight units (that there are eight phones we know; one
# would not) and compare with the phones by adjusted mutual information (AMI,
# [chapter 6f](06f_clustering.ipynb)). What frames: the levels as they are, thirteen
# cepstra (a cosine transform of the levels, with which recognisers began for decades:
# Davis and Mermelstein 1980), twelve principal components, or twelve numbers of a
# denoising autoencoder (Vincent et al. 2008)?


# %% tags=["nbval-ignore-output"]
def cepstra(levels):
    """The thirteen slowest cosines of each frame: (frames, 13)."""
    return dct(levels, axis=1, norm="ortho")[:, :13]


def found_units(feature, seed):
    """K-means on a feature of frames; a function from frames to units."""
    fit = KMeans(8, n_init=5, random_state=seed).fit(feature(frames))
    return lambda levels: fit.predict(feature(levels))


describe = {
    "levels": lambda levels: levels,
    "cepstra": cepstra,
    "PCA": PCA(12, random_state=0).fit(frames).transform,
}
hear = {n: [found_units(f, s) for s in SEEDS] for n, f in describe.items()}
agree = {
    name: [adjusted_mutual_info_score(truth, to(frames_test)) for to in several]
    for name, several in hear.items()
}
net = DenoisingAutoencoder.dense((129,), 12, widths=(128,), amount=0.1, seed=0)
how = {"rate": 1e-3, "epochs": UNIT_EPOCHS, "batch_size": 64}
agree["denoising autoencoder"] = [
    adjusted_mutual_info_score(truth, found_units(one.encode, 0)(frames_test))
    for one in train_from_seeds(net, frames, seeds=SEEDS, **how)
]
runtime.record(
    "Made-up speech (synthetic): eight units of frames against phones, AMI",
    ("frames as", "AMI, speakers not heard"),
    [(name, with_spread(values, 3)) for name, values in agree.items()],
)

# %% tags=["hide-input"]
assert np.mean(agree["levels"]) > 0.55, "units without a transcript"
coded = np.mean(agree["denoising autoencoder"])
assert coded < np.mean(agree["levels"]) + 0.04, "codes are no better"

# %% [markdown]
# Units that nobody wrote down agree well with phones, for speakers never heard,
# and plain levels serve as well as cepstra; the network's codes are no better.
# (On real speech, where speaker, room and neighbouring sounds change the levels,
# learned features win clearly: Hsu et al. 2021.) **Words from units**: write each run
# of equal units once and count the strings of three.


# %%
def runs(ids, shortest=3):
    """Starts and stops of runs of equal units, very short ones left out."""
    edges = np.flatnonzero(np.diff(ids)) + 1
    bounds = np.r_[0, edges, len(ids)]
    pairs = zip(bounds[:-1], bounds[1:], strict=True)
    return [(int(a), int(b)) for a, b in pairs if b - a >= shortest]


print(runs(np.array([3, 3, 3, 1, 5, 5, 5, 5])))

# %% tags=["nbval-ignore-output"]
to_units = hear["levels"][0]


strings = {}
for _, levels, phone in known:
    ids = to_units(levels)
    pieces = runs(ids)
    heard_as = [
        "".join(sounds.PHONES[np.bincount(phone[a:b]).argmax()])
        for a, b in pieces
    ]
    for i in range(len(pieces) - 2):
        key = tuple(int(ids[a]) for a, _ in pieces[i : i + 3])
        strings.setdefault(key, []).append("".join(heard_as[i : i + 3]))
often = sorted(strings.items(), key=lambda item: -len(item[1]))[:8]
shares = []
for units, meant in often:
    best = max(set(meant), key=meant.count)
    shares.append(meant.count(best) / len(meant))
    inside = (
        "in a word" if any(best in word for word in WORDS) else "across words"
    )
    print(units, f"{len(meant):3d} times, {shares[-1]:.0%} {best}, {inside}")

# %% tags=["hide-input"]
assert np.mean(shares) > 0.5, "frequent strings mostly mean one thing"

# %% [markdown]
# Most of these strings stand for one thing each, and most are pieces of the
# made-up words: repetition gives words away, without a letter of text. It also
# shows what eight units cannot: a hiss got two of them.
#
# ### A small resynthesis
#
# Keep of a stranger's sentence nothing but its units and how long each lasts (on real
# speech: Lakhotia et al. 2021). For each unit write the mean levels of its frames, find
# phases by Griffin and Lim, and listen. How much is left to understand? A listener that
# *was* told the phones of the training sentences (the five nearest frames by cepstra)
# says.

# %% tags=["nbval-ignore-output"]
ids_known = to_units(frames)
means = np.array([frames[ids_known == unit].mean(axis=0) for unit in range(8)])
told = KNeighborsClassifier(5).fit(
    cepstra(frames[::4]), np.concatenate([one[2] for one in known])[::4]
)
understood = {"as spoken": [], "resynthesised from units": []}
rates = []
for wave, levels, phone in strange[:10]:
    ids = to_units(levels)
    again = sounds.griffin_lim(to_magnitude(means[ids]).T, len(wave))
    new_levels = to_levels(sounds.spectrogram(again)).T
    for name, some in zip(understood, (levels, new_levels), strict=True):
        understood[name].append(told.score(cepstra(some), phone))
    rates.append(
        (np.diff(ids) != 0).sum() * (3 + 5) / (len(wave) / sounds.RATE)
    )
for name, values in understood.items():
    print(f"{name:26s} {np.mean(values):.0%} of the frames understood")
print(f"{np.mean(rates):.0f} bits a second (3 for a unit, 5 for its length)")

# %% tags=["nbval-ignore-output"]
ids = to_units(strange[0][1])
again = sounds.griffin_lim(to_magnitude(means[ids]).T, len(strange[0][0]))
figure, axes = plt.subplots(2, 1, figsize=(9, 4), sharex=True)
for axis, some in zip(axes, (strange[0][0], again), strict=True):
    shown = to_levels(sounds.spectrogram(some))
    box = 0, shown.shape[1], 0, 4
    axis.imshow(shown, origin="lower", aspect="auto", extent=box).set_clim(0, 1)
    axis.set_ylabel("kHz")
    axis.grid(False)
axes[0].set_title("A stranger's sentence, and what its units keep of it")
axes[1].set_xlabel("frame of 8 ms")
plt.show()
display(*(Audio(x, rate=sounds.RATE) for x in (strange[0][0], again)))

# %% tags=["hide-input"]
spoken_right, units_right = map(np.mean, understood.values())
assert spoken_right > units_right > 0.5, "chance is an eighth"

# %% [markdown]
# **Figure 6h.3.** Above the sentence as spoken, below from its units: one picture a unit,
# wherever it stands, and none of the stranger's stripes, for neither pitch nor speaker was
# kept. At less than a five-hundredth of the bits of the waveform (8 000 samples a second
# of 16 bits) most frames are still understood; with units from a fourth seed of k-means,
# which ended in a poorer optimum, 65 %.
#
# **What this is not.** Recognising speech means *text*, and text needs some link
# to sound. For long that meant hours of transcribed recordings. It no longer
# must: wav2vec-U (Baevski et al. 2021) learns from recordings and unrelated text
# alone, by a GAN whose generator turns units into phones until a discriminator
# cannot tell them from real sentences. *Synthesis* has followed the same way
# (Ni et al. 2022). To a pretrained network ten minutes of transcripts are enough
# (Baevski et al. 2020). A voice is also personal data: imitating
# one needs its owner's consent.
#
# ## 4. A nerve cell's voltage: the windows one has kept do what the network does
#
# The last signal is real: `membrane.dat`, among matplotlib's sample
# data, comes as 12 000 numbers without a description. Its shape speaks for itself:
# a cell at rest, a current switched on, regular spikes, then irregular ones. We
# take it in units of its own standard deviation, and by time: the first
# part to train, the next to choose, the last of the regular stretch to test.

# %% tags=["setup"]
voltage = load_voltage()
SPAN = 64  # samples a window
signal = (voltage - voltage[1500:5300].mean()) / voltage[1500:5300].std()
to_train, to_choose = signal[1500:5300], signal[5300:6000]
to_test, irregular = signal[6000:7300], signal[7400:10900]
SIGMA = 0.5  # standard deviation of the noise we add


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
# **Figure 6h.4.** The whole recording, and what each part is used for.
#
# ### Denoising
#
# We add noise of half a standard deviation and ask for the signal back. Smoothing
# has one setting, the width; PCA the number of components; and whoever has no
# model keeps the clean training windows and takes the mean of the k nearest to
# a noisy one, or the mean of all, each window $t$ weighted by how likely noise would
# have made the noisy $x$ of it, $e^{-\lVert x-t\rVert^2/2h^2}$: with $h$ the noise's
# deviation that is the posterior mean, if the archive were all there is. Every setting
# is chosen on the stretch marked *choose*. A spike is a few samples wide: what will
# smoothing do to it?

# %%
rng = np.random.default_rng(0)
noisy_choose, noisy_test = (
    (part + SIGMA * rng.standard_normal(part.shape)).astype("float32")
    for part in (to_choose, to_test)
)
train_windows = windows(to_train, SPAN, 2)


def pca_filter(count):
    """A denoiser: every window by its first principal components."""
    fit = PCA(count, random_state=0).fit(train_windows)
    return lambda values: overlap(
        fit.inverse_transform(fit.transform(windows(values, SPAN)))
    )


archive = NearestNeighbors().fit(train_windows)


def nearest_filter(count):
    """A denoiser: the mean of the nearest clean training windows."""

    def denoise(values):
        nearest = archive.kneighbors(windows(values, SPAN), count, False)
        return overlap(train_windows[nearest].mean(axis=1))

    return denoise


def weighted_filter(width):
    """A denoiser: all clean windows, weighted by the noise's likelihood."""

    def denoise(values):
        squared = cdist(windows(values, SPAN), train_windows, "sqeuclidean")
        return overlap(softmax(-squared / (2 * width**2), 1) @ train_windows)

    return denoise


print("training windows", train_windows.shape)

# %%
candidates = {
    "Savitzky-Golay": {
        width: lambda values, width=width: savgol_filter(values, width, 2)
        for width in (5, 7, 9, 11, 13, 17, 21)
    },
    "PCA": {count: pca_filter(count) for count in (4, 8, 10, 12, 16, 24)},
    "nearest windows": {n: nearest_filter(n) for n in (1, 3, 5, 10, 20, 40)},
    "weighted windows": {w: weighted_filter(w) for w in (0.35, 0.5, 0.7, 1)},
}
restored, chosen = {"noisy": noisy_test}, {}
for name, settings in candidates.items():
    errors = {
        key: metrics.mse(to_choose[None], denoise(noisy_choose)[None])
        for key, denoise in settings.items()
    }
    chosen[name] = min(errors, key=errors.get)
    restored[name] = settings[chosen[name]](noisy_test)

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
    overlap(model.reconstruct(windows(noisy_test, SPAN))) for model in denoisers
]
voltage_errors = {
    name: metrics.mse(to_test[None], values[None])
    for name, values in restored.items()
}
network_errors = [metrics.mse(to_test[None], v[None]) for v in by_network]
for name, value in voltage_errors.items():
    print(f"{name:16s} MSE {value:.4f}  setting {chosen.get(name, '–')}")
print(f"{'autoencoder':16s} MSE {with_spread(network_errors, 4)}")

# %% tags=["hide-input"]
best_filter = min(voltage_errors["Savitzky-Golay"], voltage_errors["PCA"])
assert np.mean(network_errors) < 0.5 * best_filter, "less than half the error"
for archived in ("nearest windows", "weighted windows"):
    assert voltage_errors[archived] < np.mean(network_errors) + 0.003

# %% tags=["nbval-ignore-output"]
figure, axis = plt.subplots(figsize=(8, 3.2))
shown = slice(100, 400)
axis.plot(noisy_test[shown], color="0.8", lw=0.8, label="noisy")
axis.plot(to_test[shown], "k", lw=1.5, label="recorded")
axis.plot(restored["Savitzky-Golay"][shown], "--", label="Savitzky-Golay")
axis.plot(by_network[0][shown], label="denoising autoencoder")
axis.plot(restored["nearest windows"][shown], ":", label="nearest windows")
axis.set(
    xlabel="sample",
    ylabel="standard deviations",
    title=f"{np.mean(network_errors) / best_filter:.0%} of the best filter's error left",
)
axis.legend(fontsize=8)
plt.show()

# %% [markdown]
# **Figure 6h.5.** Smoothing has to choose between noise at rest and the height of a spike.
# Network and archive need not choose: they have seen spikes, and what looks like
# the beginning of one goes on as one. The archive, which nobody trained, has about the
# network's error, by its nearest window and by all of them with weights: six seeds of
# the network, measured apart from this page, came to 0.0200 to 0.0221. (A mixture of
# fifty Gaussians on the same windows came to 0.0175, ahead of all.) All share a danger:
# they restore what they *know*. Which leads to the other use.
#
# ### A change that nobody labelled
#
# Trained on regular firing alone, does the error rise when the cell changes its
# habit? Windows of the regular test stretch against windows of the irregular
# stretch, no noise added; the labels serve the score alone. Baselines: the same by
# PCA, the largest deviation within a window, the standard deviation, and the
# winner of [chapter 6a](06a_anomaly_detection.ipynb): the distance to the nearest
# training window.

# %% tags=["nbval-ignore-output"]
regular_windows = windows(to_test, SPAN, 4)
odd_windows = windows(irregular, SPAN, 8)
every = np.concatenate([regular_windows, odd_windows])
odd = np.r_[np.zeros(len(regular_windows)), np.ones(len(odd_windows))]
linear = PCA(12, random_state=0).fit(train_windows)
back = linear.inverse_transform(linear.transform(every))
odd_scores = {
    "largest deviation": np.abs(every).max(axis=1),
    "standard deviation": every.std(axis=1),
    "PCA": ((every - back) ** 2).mean(axis=1),
    "nearest windows": archive.kneighbors(every, 1)[0][:, 0],
}
areas = {n: roc_auc_score(odd, score) for n, score in odd_scores.items()}
network_areas = [
    roc_auc_score(odd, ((every - model.reconstruct(every)) ** 2).mean(axis=1))
    for model in denoisers
]
for name, area in areas.items():
    print(f"{name:20s} AUROC {area:.2f}")
print(f"{'autoencoder':20s} AUROC {with_spread(network_areas, 2)}")

# %% tags=["hide-input"]
assert areas["nearest windows"] > np.mean(network_areas) + 0.02
assert np.mean(network_areas) > areas["PCA"] + 0.2
assert areas["PCA"] < 0.55, "no better than chance"
assert 1 - areas["PCA"] < np.mean(network_areas) - 0.05, "turned round, too"

# %% [markdown]
# The irregular stretch has *fewer* spikes, so every score that measures size
# points the wrong way: its windows look tamer than the regular ones. Turned round, by
# somebody who knows that, they stay behind the network all the same. The
# autoencoder's error measures unfamiliarity instead of size, and ranks the change
# of habit well above chance; the distance to the nearest window measures it
# directly, and does better. One recording of one cell is no more than an example;
# windows of one stretch overlap, so the AUROC has no honest error bar.
#
# ## Results

# %% tags=["nbval-ignore-output"]
runtime.record(
    "membrane voltage: noise removed, and irregular firing told apart",
    ("method", "test MSE", "AUROC"),
    [
        (name, f"{error:.3f}", f"{areas[name]:.2f}" if name in areas else "–")
        for name, error in voltage_errors.items()
    ]
    + [
        (
            "denoising autoencoder, 3 seeds",
            with_spread(network_errors, 3),
            with_spread(network_areas, 2),
        )
    ],
)

# %% [markdown]
# ## What we showed
#
# - A spectrogram forgets phases; Griffin and Lim guess them, and the error falls
#   at every turn.
# - Vowels, synthetic ones: with few sounds PCA rebuilt better than the networks.
#   The VAE's prior gave noise, a mixture fitted to its codes gave vowels.
# - Eight units of made-up speech, found without transcripts, agreed with the
#   phones of unknown speakers; k-means on plain frames was as good as any
#   feature. Units alone gave back a sentence that can be followed.
# - A nerve cell's voltage, real: the windows one has kept and the network both made
#   less than half the error of the best filter; a change of firing was found
#   without a label, best by the nearest windows.
#
# **Limits.** No recorded speech, one cell. Synthetic phones are far cleaner than
# spoken ones: features that work here may fail on a telephone.
#
# **References.** Peterson and Barney (1952), *JASA* 24, 175–184 · Fant (1960),
# *Acoustic Theory of Speech Production* · Griffin and Lim (1984), *IEEE
# Transactions on Acoustics, Speech, and Signal Processing* 32, 236–243 · Davis
# and Mermelstein (1980), the same 28, 357–366, cepstra · Baevski et al. (2020),
# *NeurIPS*, wav2vec 2.0 · Hsu et al. (2021), *IEEE/ACM TASLP* 29, HuBERT ·
# Baevski et al. (2021), *NeurIPS*, Unsupervised speech recognition · Ni et al.
# (2022), *Interspeech*, Unsupervised text-to-speech synthesis by unsupervised
# automatic speech recognition · Lakhotia et al. (2021), *TACL* 9, speech from
# units · Vincent et al. (2008), *ICML*. Data: matplotlib's sample data.
#
# Claims about signals that one meets elsewhere, and the tests that answer
# them: [errata](../docs/errata.md). Answers to the exercises are
# [in the solutions](../solutions/06h_signals.ipynb).

# %% [markdown]
# ## Exercises
#
# Each needs only the set-up cells at the top. Write your answer where
# it says `# your answer here`, run the cell, then run the check below it: it
# says what is wrong, and with what to go on once it is right.

# %% [markdown] tags=["exercise"]
# ### Exercise 6h.1 · Frames, with a pencil
#
# *You will learn where a spectrogram's edges come from.* A sound of 128 ms has
# 1 024 samples. Windows of 256 samples stand 64 samples apart. How many of them
# lie *wholly inside* the sound, the first one beginning with the first sample?

# %% tags=["exercise"]
answer_6h_1 = None
### BEGIN SOLUTION
answer_6h_1 = (1024 - 256) // 64 + 1
### END SOLUTION

# %% tags=["check"]
checks.check_6h_1(answer_6h_1)

# %% [markdown] tags=["discussion"]
# Thirteen. The spectrograms above have 19 frames: the other six reach beyond
# the sound.

# %% [markdown] tags=["exercise"]
# ### Exercise 6h.2 · From frames to a row of units
#
# *You will learn why a unit a frame is not a unit a sound.* Given the units of
# the frames in order, leave out every run shorter than `shortest` frames, then
# write each run of what remains once: `[3, 3, 1, 3, 3, 5, 5]` with
# `shortest=2` gives `[3, 5]`, since the two runs of 3 have become neighbours.


# %% tags=["exercise"]
def row_of_units(ids, shortest):
    """Return the units of the runs, a list of integers."""
    ### BEGIN SOLUTION
    ids = np.asarray(ids)
    bounds = np.r_[0, np.flatnonzero(np.diff(ids)) + 1, len(ids)]
    units = []
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        if stop - start >= shortest and units[-1:] != [ids[start]]:
            units.append(ids[start])
    return units
    ### END SOLUTION


# %% tags=["check"]
checks.check_6h_2(row_of_units)

# %% [markdown] tags=["discussion"]
# A click of one frame would otherwise cut a vowel in two. How short is too
# short is knowledge about speech: a phone lasts five frames or more.

# %% [markdown] tags=["exercise"]
# ### Exercise 6h.3 · Back to a waveform (experiment)
#
# *You will learn how much magnitudes know.* Return a waveform of `samples`
# samples whose spectrogram comes close to `magnitude`: relative error
# (as in section 1) at most 0.3. One turn of Griffin and Lim gives about 0.4.


# %% tags=["exercise"]
def to_wave(magnitude, samples):
    """Return a waveform with about this spectrogram."""
    ### BEGIN SOLUTION
    return sounds.griffin_lim(magnitude, samples, iterations=60, seed=1)
    ### END SOLUTION


# %% tags=["check", "nbval-ignore-output"]
checks.check_6h_3(to_wave)

# %% [markdown] tags=["discussion"]
# The error falls at every turn, quickly at first. The waveform itself may
# be far from the original one: a sound and its negative have the same
# magnitudes.

# %% [markdown] tags=["exercise"]
# ### Exercise 6h.4 · The mean of the nearest
#
# *You will learn the opponent that has no training.* Given noisy windows
# `(n, span)` and an archive of clean ones `(m, span)`, return for each noisy
# window the mean of the `k` clean windows nearest to it, shape `(n, span)`.


# %% tags=["exercise"]
def nearest_mean(noisy, clean, k):
    """Return the mean of the k nearest clean windows of each noisy one."""
    ### BEGIN SOLUTION
    squared = ((noisy[:, None] - clean[None]) ** 2).sum(axis=2)
    return clean[np.argsort(squared, axis=1)[:, :k]].mean(axis=1)
    ### END SOLUTION


# %% tags=["check"]
checks.check_6h_4(nearest_mean)

# %% [markdown] tags=["discussion"]
# A large `k` smooths as a filter does, `k=1` copies one window and its own
# chance. The answer is an equal vote of memories; section 4's weighted windows are an
# attention layer, with nothing learned.

# %% [markdown] tags=["exercise"]
# ### Exercise 6h.5 · Count the spikes (open)
#
# *You will learn that a threshold is a model.* Write a function that
# returns the places of the spikes in a noisy voltage, in standard deviations
# as above. The check adds a little noise to the regular firing and accepts
# any method that finds at least nine spikes of ten, to within ten samples, with at most
# one false alarm in ten.


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
checks.check_6h_5(find_spikes)

# %% [markdown] tags=["discussion"]
# Smooth a little, cut at a height between the hills and the spikes, and allow
# one spike in forty samples: three settings, each a piece of knowledge about
# this cell. The denoising autoencoder would learn them from the recording.
