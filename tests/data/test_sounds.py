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


def test_frame_times_are_the_middles_that_the_transform_uses():
    wave = np.zeros(1600, "float32")
    wave[800] = 1.0  # a click at 100 ms
    times = sounds.frame_times(1600)
    loudest = sounds.spectrogram(wave).sum(axis=0)
    assert len(times) == len(loudest)
    assert abs(times[loudest.argmax()] - 0.1) < 0.005  # half a hop
    np.testing.assert_allclose(np.diff(times), 64 / sounds.RATE)
    with pytest.raises(ValueError, match="samples: expected an integer ≥ 256"):
        sounds.frame_times(255)


def test_speak_labels_every_sample_in_the_order_given():
    phones = ["m", "ɑ", "s", "i", "ʃ", "u"]
    wave, labels = sounds.speak(phones, 120.0, seed=3)
    assert wave.dtype == np.float32 and wave.shape == labels.shape
    assert np.abs(wave).max() == pytest.approx(1.0)
    changes = np.flatnonzero(np.diff(labels))
    order = [labels[0], *labels[changes + 1]]
    assert [sounds.PHONES[i] for i in order] == phones
    lengths = np.diff(np.r_[0, changes + 1, len(labels)]) / sounds.RATE
    assert lengths.min() > 0.069 and lengths.max() < 0.131
    again, _ = sounds.speak(phones, 120.0, seed=3)
    np.testing.assert_array_equal(wave, again)
    other, _ = sounds.speak(phones, 120.0, seed=4)
    assert len(other) != len(wave) or not np.allclose(other, wave)


def test_speak_hisses_are_high_and_hums_are_low():
    frequencies = np.arange(129) * sounds.RATE / 256

    def center(phone, **options):
        wave, _ = sounds.speak([phone] * 6, seed=0, **options)
        power = (sounds.spectrogram(wave) ** 2).sum(axis=1)
        return (frequencies * power).sum() / power.sum()

    assert center("s") > 2800 > center("ʃ") > 1500 > center("m")
    assert center("ɑ", tract=0.9) < center("ɑ", tract=1.1)


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        (([],), {}, "phones: expected some of"),
        ((["x"],), {}, "phones: expected one of"),
        ((["i"], 20.0), {}, "pitch: expected"),
        ((["i"],), {"tract": 2.0}, "tract: expected"),
        ((["i"],), {"seed": -1}, "seed: expected"),
    ],
)
def test_speak_wrong_argument_is_refused(arguments, options, match):
    with pytest.raises(ValueError, match=match):
        sounds.speak(*arguments, **options)
