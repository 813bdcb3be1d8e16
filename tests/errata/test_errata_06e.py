"""Errata about sequences: the fault, and the corrected behaviour beside it."""

import numpy as np
import pytest

from utils.data import genomes, sounds


def test_e087_bases_are_encoded_one_hot():
    text = "GATTACA"
    # the fault: letters as they are, or numbers that claim an order
    with pytest.raises(ValueError):
        np.array(list(text)).astype("float32")
    numbers = np.array(["ACGT".index(base) for base in text])
    assert abs(numbers[0] - numbers[1]) != abs(numbers[0] - numbers[3])
    # the right form: one column a base, every two bases equally far apart
    x = genomes.one_hot(text)
    assert x.shape == (len(text), 4)
    np.testing.assert_array_equal(x.sum(axis=1), 1.0)
    apart = np.linalg.norm(x[:, None] - x[None], axis=2)
    same = numbers[:, None] == numbers
    np.testing.assert_allclose(apart, np.where(same, 0.0, 2**0.5), rtol=1e-6)


def test_e078_a_spectrogram_alone_is_no_speech():
    # claimed: synthesis by a model of spectrograms. Two different waveforms
    # have one spectrogram, so phases must come from somewhere.
    wave = sounds.vowel(sounds.VOWELS["i"], 120.0)
    np.testing.assert_allclose(
        sounds.spectrogram(-wave), sounds.spectrogram(wave), rtol=1e-5
    )
    magnitude = sounds.spectrogram(wave)
    guessed = sounds.griffin_lim(magnitude, len(wave), iterations=30)
    reused = sounds.with_phases_of(magnitude, wave)
    error = [
        np.linalg.norm(sounds.spectrogram(made) - magnitude)
        for made in (guessed, reused)
    ]
    assert error[1] < 1e-3 * error[0]
