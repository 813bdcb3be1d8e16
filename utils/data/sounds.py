"""Sounds as arrays: synthetic vowels, spectrograms, and the way back.

A waveform is float32 ``(samples,)`` in [−1, 1] at ``RATE`` samples a second.
Nothing here was spoken by anybody: the vowels are synthesised.
"""

import numpy as np
import scipy.signal

from utils.support import validation as check

__all__ = [
    "PHONES",
    "RATE",
    "VOWELS",
    "frame_times",
    "griffin_lim",
    "spectrogram",
    "speak",
    "vowel",
    "with_phases_of",
]

RATE = 8000  # samples a second
# the first three formants, in hertz: adult men's means of Peterson and
# Barney (1952), table II
VOWELS = {
    "i": (270.0, 2290.0, 3010.0),
    "ɛ": (530.0, 1840.0, 2480.0),
    "æ": (660.0, 1720.0, 2410.0),
    "ɑ": (730.0, 1090.0, 2440.0),
    "u": (300.0, 870.0, 2240.0),
}
BANDWIDTHS = (60.0, 90.0, 150.0)  # hertz
HUM = (250.0, 1000.0, 2200.0)  # an m, roughly: low and soft
HISS = {"s": (2800.0, 3900.0), "ʃ": (1500.0, 2800.0)}  # bands of noise, hertz
PHONES = (*VOWELS, "m", *HISS)
WINDOW, HOP = 256, 64  # samples: 32 ms, 8 ms


def vowel(formants, pitch=120.0, seconds=0.25, *, breath=0.005, seed=0):
    """Synthesise a vowel: a buzz through three resonances.

    The source-filter model (Fant 1960): a pulse train of the given pitch,
    softened by 1/f² like the flow through the vocal folds, passes one
    two-pole resonator for each formant; a little noise is breath.

    Args:
        formants: Three resonance frequencies in hertz, between 0 and
            ``RATE / 2``, such as ``VOWELS["i"]``.
        pitch: Pulses a second, from 50 to 500.
        seconds: Duration, at least one window of the spectrogram.
        breath: Standard deviation ≥ 0 of the noise, against a pulse of 1.
        seed: Integer ≥ 0, of the noise and the first pulse's place.

    Returns:
        Float32 waveform ``(samples,)``, largest magnitude 1.

    Raises:
        ValueError: an argument out of range.
    """
    formants = check.check_array(formants, "formants", ndim=1)
    if len(formants) != 3 or formants.min() <= 0 or formants.max() >= RATE / 2:
        check.fail("formants", f"three from 0 to {RATE // 2} Hz", f"{formants}")
    pitch = check.check_number(pitch, "pitch", 50.0, 500.0)
    seconds = check.check_number(seconds, "seconds", WINDOW / RATE, 10.0)
    breath = check.check_number(breath, "breath", 0.0)
    rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
    count = round(seconds * RATE)
    phase = rng.random() + np.arange(count) * pitch / RATE
    source = np.diff(np.floor(phase), prepend=0.0)  # 1 at each pulse
    source = source + breath * rng.standard_normal(count)
    wave = scipy.signal.lfilter([1.0], [1.0, -0.9], source)
    for frequency, bandwidth in zip(formants, BANDWIDTHS, strict=True):
        radius = np.exp(-np.pi * bandwidth / RATE)
        angle = 2 * np.pi * float(frequency) / RATE
        poles = [1.0, -2 * radius * np.cos(angle), radius**2]
        wave = scipy.signal.lfilter([sum(poles)], poles, wave)
    return (wave / np.abs(wave).max()).astype("float32")


def speak(phones, pitch=120.0, *, tract=1.0, seed=0):
    """Synthesise a row of phones: made-up speech, spoken by nobody.

    Vowels and the hum of an m are :func:`vowel`, s and ʃ bands of noise. Each
    lasts 70 to 130 ms at random, its formants and its pitch vary by 3 and 5 per
    cent, and neighbours fade into each other over 10 ms.

    Args:
        phones: Sequence of members of ``PHONES``, at least one.
        pitch: Mean pulses a second, from 60 to 400.
        tract: Factor of all formants, from 0.7 to 1.3: a longer throat has
            lower ones.
        seed: Integer ≥ 0.

    Returns:
        ``(wave, labels)``: a float32 waveform ``(samples,)``, and the int64
        number of the phone in ``PHONES`` at each sample.

    Raises:
        ValueError: no phone, an unknown one, or a number out of range.

    Example:

    >>> wave, labels = speak(["m", "ɑ", "s"], seed=0)
    >>> len(wave) == len(labels), [PHONES[i] for i in np.unique(labels)]
    (True, ['ɑ', 'm', 's'])
    """
    phones = list(phones)
    if not phones:
        check.fail("phones", f"some of {', '.join(PHONES)}", "none")
    for phone in phones:
        check.check_choice(phone, "phones", PHONES)
    pitch = check.check_number(pitch, "pitch", 60.0, 400.0)
    tract = check.check_number(tract, "tract", 0.7, 1.3)
    rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
    fade = RATE // 100
    wave, labels = np.zeros(fade), []
    for phone in phones:
        seconds = rng.uniform(0.07, 0.13)
        if phone in HISS:
            band = np.array(HISS[phone]) * min(tract, 1.0)
            noise = rng.standard_normal(round(seconds * RATE) + fade)
            parts = scipy.signal.butter(4, band, "bandpass", fs=RATE)
            piece = 0.15 * scipy.signal.lfilter(*parts, noise)
        else:
            formants = tract * np.array(VOWELS.get(phone, HUM))
            piece = vowel(
                formants * rng.normal(1.0, 0.03, size=3),
                pitch * rng.normal(1.0, 0.05),
                seconds + fade / RATE,
                seed=int(rng.integers(2**31)),
            ) * (0.3 if phone == "m" else 1.0)
        ramp = np.linspace(0.0, 1.0, fade)
        piece = piece.astype("float64")
        piece[:fade] *= ramp
        piece[-fade:] *= 1.0 - ramp
        wave[-fade:] += piece[:fade]
        wave = np.concatenate([wave, piece[fade:]])
        labels += [PHONES.index(phone)] * (len(piece) - fade)
    wave = wave[fade // 2 : fade // 2 + len(labels)]
    return (wave / np.abs(wave).max()).astype("float32"), np.array(labels)


def frame_times(samples):
    """Middle of each frame of a spectrogram, in seconds from the start.

    The first and the last few windows reach beyond the sound and see zeros
    there: a sound of 128 ms has frames from −8 to 136 ms.

    Args:
        samples: Length of the waveform, at least one window.

    Returns:
        Float64 array ``(frames,)``.

    Raises:
        ValueError: too few samples.

    Example:

    >>> frame_times(1024)[[0, 1, -1]].round(3).tolist()
    [-0.008, 0.0, 0.136]
    """
    samples = check.check_int(samples, "samples", minimum=WINDOW)
    return _transform().t(samples)


def _transform():
    return scipy.signal.ShortTimeFFT(
        scipy.signal.windows.hann(WINDOW, sym=False), HOP, RATE
    )


def _complex_spectrogram(wave):
    if len(wave) < WINDOW:
        check.fail("wave", f"at least {WINDOW} samples", f"{len(wave)}")
    return _transform().stft(wave)


def spectrogram(wave):
    """Magnitude of each frequency in each short stretch of a sound.

    Hann windows of 32 ms, 8 ms apart; frequencies from 0 to 4 000 Hz in
    steps of 31.25 Hz.

    Args:
        wave: Array ``(samples,)``, at least one window long.

    Returns:
        Float32 array ``(129, frames)``, ≥ 0. Phases are left out.

    Raises:
        ValueError: not a vector, NaN, or too short.
    """
    wave = check.check_array(wave, "wave", ndim=1)
    return np.abs(_complex_spectrogram(wave)).astype("float32")


def with_phases_of(magnitude, wave):
    """A waveform from magnitudes and the phases of a recording.

    Args:
        magnitude: Array ``(129, frames)``, ≥ 0.
        wave: Array ``(samples,)`` whose spectrogram has this shape.

    Returns:
        Float32 waveform ``(samples,)``; with the wave's own spectrogram as
        magnitude, the wave itself.

    Raises:
        ValueError: a shape that is not that of the wave's spectrogram.
    """
    wave = check.check_array(wave, "wave", ndim=1)
    spectrum = _complex_spectrogram(wave)
    magnitude = _check_magnitude(magnitude, len(wave))
    turned = magnitude * np.exp(1j * np.angle(spectrum))
    return _transform().istft(turned, k1=len(wave)).astype("float32")


def _check_magnitude(magnitude, samples):
    magnitude = check.check_array(magnitude, "magnitude", ndim=2, low=0.0)
    shape = spectrogram(np.zeros(samples)).shape
    if magnitude.shape != shape:
        expected = f"shape {shape}, that of {samples} samples"
        check.fail("magnitude", expected, f"shape {magnitude.shape}")
    return magnitude


def griffin_lim(magnitude, samples, *, iterations=50, seed=0):
    """A waveform whose spectrogram is close to the one given.

    Magnitudes alone fix no sound: phases are missing. From random ones, turn
    to and fro between waveform and spectrogram, each time keeping the
    phases and putting the wanted magnitudes back (Griffin and Lim 1984).
    The error never grows, and does not reach 0 for magnitudes that belong
    to no waveform.

    Args:
        magnitude: Array ``(129, frames)``, ≥ 0, from :func:`spectrogram`.
        samples: Length of the waveform; it must give as many frames.
        iterations: Number of turns.
        seed: Integer ≥ 0, of the first phases.

    Returns:
        Float32 waveform ``(samples,)``.

    Raises:
        ValueError: a shape that does not belong to that many samples, or a
            negative magnitude.
    """
    samples = check.check_int(samples, "samples", minimum=WINDOW)
    iterations = check.check_int(iterations, "iterations")
    magnitude = _check_magnitude(magnitude, samples)
    rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
    transform = _transform()
    angles = rng.uniform(-np.pi, np.pi, size=magnitude.shape)
    for _ in range(iterations):
        wave = transform.istft(magnitude * np.exp(1j * angles), k1=samples)
        angles = np.angle(_complex_spectrogram(wave))
    wave = transform.istft(magnitude * np.exp(1j * angles), k1=samples)
    return wave.astype("float32")
