"""Synthetic vowels and spectrograms: pitch, formants, phases, errors."""

import numpy as np
import pytest

from utils.data import sounds


def test_vowel_has_the_stated_length_range_and_pitch():
    wave = sounds.vowel(sounds.VOWELS["i"], 125.0, 0.5, breath=0.0)
    assert wave.shape == (4000,) and wave.dtype == np.float32
    assert np.abs(wave).max() == pytest.approx(1.0)
    steady = wave[1000:]
    # a period of 64 samples: the waveform repeats
    np.testing.assert_allclose(steady[64:], steady[:-64], atol=0.02)


@pytest.mark.parametrize("name", sounds.VOWELS)
def test_vowel_is_loudest_near_its_first_formant(name):
    wave = sounds.vowel(sounds.VOWELS[name], 60.0, 0.5)
    level = sounds.spectrogram(wave).mean(axis=1)
    above = level[5:]  # leave out the voice's own fundamental
    peak = (5 + above.argmax()) * sounds.RATE / 256
    assert abs(peak - sounds.VOWELS[name][0]) < 110


def test_vowel_seed_changes_breath_and_phase():
    one, two = (sounds.vowel(sounds.VOWELS["u"], seed=s) for s in (1, 2))
    assert not np.allclose(one, two)
    np.testing.assert_array_equal(one, sounds.vowel(sounds.VOWELS["u"], seed=1))


def test_spectrogram_of_a_tone_peaks_at_its_frequency():
    time = np.arange(4000) / sounds.RATE
    magnitude = sounds.spectrogram(np.sin(2 * np.pi * 1000 * time))
    assert magnitude.shape[0] == 129 and magnitude.min() >= 0
    middle = magnitude[:, magnitude.shape[1] // 2]
    assert middle.argmax() * sounds.RATE / 256 == pytest.approx(1000, abs=16)


def test_phases_of_the_wave_itself_give_the_wave_back():
    wave = sounds.vowel(sounds.VOWELS["æ"], 150.0)
    again = sounds.with_phases_of(sounds.spectrogram(wave), wave)
    np.testing.assert_allclose(again, wave, atol=1e-4)


def test_griffin_lim_error_falls_with_every_turn():
    wave = sounds.vowel(sounds.VOWELS["ɑ"], 140.0)
    wanted = sounds.spectrogram(wave)

    def error(turns):
        made = sounds.griffin_lim(wanted, len(wave), iterations=turns, seed=0)
        return np.linalg.norm(sounds.spectrogram(made) - wanted)

    errors = [error(turns) for turns in (1, 2, 5, 20, 60)]
    assert (np.diff(errors) < 0).all()
    assert errors[-1] < 0.3 * np.linalg.norm(wanted)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: sounds.vowel((300.0, 900.0)), "formants: expected three"),
        (lambda: sounds.vowel((300.0, 900.0, 4500.0)), "formants"),
        (lambda: sounds.vowel(sounds.VOWELS["i"], 20.0), "pitch"),
        (lambda: sounds.vowel(sounds.VOWELS["i"], seconds=0.01), "seconds"),
        (lambda: sounds.spectrogram(np.zeros(100)), "wave: expected at least"),
        (lambda: sounds.spectrogram(np.zeros((2, 900))), "wave"),
        (
            lambda: sounds.griffin_lim(np.ones((129, 3)), 1024),
            r"magnitude: expected shape \(129, 19\)",
        ),
        (
            lambda: sounds.griffin_lim(-np.ones((129, 19)), 1024),
            "magnitude",
        ),
        (
            lambda: sounds.with_phases_of(np.ones((129, 3)), np.ones(1024)),
            "magnitude: expected shape",
        ),
    ],
)
def test_sounds_wrong_arguments_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
