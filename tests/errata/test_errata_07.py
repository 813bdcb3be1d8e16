"""Traps of the field, L1 to L3: the fault, and the right number beside it."""

import numpy as np
import pytest
from sklearn.neighbors import KernelDensity

STATES = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])


def masses(logits):
    """Probability of each state, its pixels' logits given those before."""
    return np.prod(1 / (1 + np.exp(-(2 * STATES - 1) * logits)), axis=1)


def test_l1_mean_of_logits_over_orders_is_no_distribution():
    # three pixels that are always equal, told in two orders
    copied = np.log(0.99 / 0.01) * (2 * STATES - 1)
    unknown = np.zeros(len(STATES))
    forwards = np.stack([unknown, copied[:, 0], copied[:, 1]], axis=1)
    backwards = np.stack([copied[:, 1], copied[:, 2], unknown], axis=1)
    both = [masses(forwards), masses(backwards)]
    for p in (*both, np.mean(both, axis=0)):
        assert p.sum() == pytest.approx(1.0, abs=1e-9)
    averaged = masses((forwards + backwards) / 2)
    assert averaged.sum() > 1.7
    # the fault flatters: more mass for black pixels than a fair coin has
    assert averaged[0] > 0.7 > 0.5 > max(p[0] for p in both)


def test_l2_test_rows_in_training_raise_the_likelihood(digits):
    train, test = digits.x_train, digits.x_test
    honest = KernelDensity(bandwidth=0.15).fit(train).score(test)
    leaked = np.concatenate([train, test])
    assert KernelDensity(bandwidth=0.15).fit(leaked).score(test) > honest


def test_l3_noise_over_half_a_cell_reports_a_bit_too_little(digits):
    levels, rng = 17, np.random.default_rng(0)
    grey = np.rint(16 * digits.x_train).astype(int)
    shares = np.stack([(grey == k).mean(axis=0) for k in range(levels)])
    place = np.arange(grey.shape[1])
    exact = np.log(shares[grey, place]).sum(axis=1)  # log-mass of a row

    def reported(part):
        """Log-density of rows with noise over ``part`` of each cell."""
        noisy = (grey + part * rng.random(grey.shape)) / levels
        cell = np.floor(noisy * levels).astype(int)
        density = shares[cell, place] * levels / part
        return np.log(density).sum(axis=1) - grey.shape[1] * np.log(levels)

    np.testing.assert_allclose(reported(1.0), exact, atol=1e-9)
    gain = reported(0.5) - exact
    np.testing.assert_allclose(gain, 64 * np.log(2), atol=1e-9)
