"""Information of codes on factors: closed forms and invariances."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from utils.evaluation import factors
from utils.evaluation.factors import matched_correlation, single_unit_auroc


@pytest.fixture
def known(rng):
    return rng.integers(0, [4, 5, 6], (3000, 3))


def entropy(*columns):
    share = np.unique(np.stack(columns), axis=1, return_counts=True)[1] / len(
        columns[0]
    )
    return -np.sum(share * np.log(share))


def test_information_is_what_two_entropies_have_in_common(known, rng):
    codes = rng.integers(0, 3, (3000, 2))
    codes[:, 1] = (codes[:, 1] + known[:, 0]) % 3
    found = factors.factor_information(codes, known)
    assert found.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            a, b = codes[:, i], known[:, j]
            expected = entropy(a) + entropy(b) - entropy(a, b)
            assert found[i, j] == pytest.approx(expected, abs=1e-12)


def test_information_of_few_rows_without_a_warning():
    # every row a level of its own: log 4
    rows = np.arange(4.0)[:, None]
    found = factors.factor_information(rows, rows)
    assert found[0, 0] == pytest.approx(np.log(4))


def test_information_of_a_copy_is_the_entropy(known):
    found = factors.factor_information(known, known)
    assert found[0, 0] == pytest.approx(np.log(4), rel=0.01)


def test_information_of_binned_gaussians_near_closed_form(rng):
    x, noise = rng.standard_normal((2, 50_000))
    y = 0.9 * x + np.sqrt(1 - 0.81) * noise
    found = factors.factor_information(x[:, None], y[:, None], bins=30)[0, 0]
    # binning loses information: a little less than −½ log(1 − ρ²) = 0.83
    assert 0.75 < found < 0.84


def test_gap_one_unit_a_factor_is_one_in_any_order_and_scale(known):
    codes = np.stack([-3.0 * known[:, 2], known[:, 0], 0.1 * known[:, 1]], 1)
    # independent columns share a little by chance
    assert factors.mutual_information_gap(codes, known) > 0.98


def test_gap_two_equal_units_is_zero(known):
    codes = np.concatenate([known, known], axis=1)
    assert factors.mutual_information_gap(codes, known) == pytest.approx(0)


def test_gap_of_a_rotated_code_is_low(rng):
    two = rng.uniform(-1, 1, (5000, 2))
    angle = np.pi / 4
    rotation = [
        [np.cos(angle), -np.sin(angle)],
        [np.sin(angle), np.cos(angle)],
    ]
    straight = factors.mutual_information_gap(two, two)
    turned = factors.mutual_information_gap(two @ np.array(rotation), two)
    assert straight > 0.9
    assert turned < 0.1


def test_gap_of_noise_is_near_zero(known, rng):
    codes = rng.standard_normal((3000, 5))
    assert factors.mutual_information_gap(codes, known) < 0.02


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda c, f: (c[:, :1], f), "codes: expected at least two units"),
        (lambda c, f: (c[:-1], f), "factors: expected 2999 rows"),
        (lambda c, f: (c, 0 * f), "factors: expected columns that vary"),
        (lambda c, f: (c[:, 0], f), "codes: expected an array with 2 axes"),
        (lambda c, f: (c * np.nan, f), "codes: expected finite"),
    ],
)
def test_bad_arrays_refused(spoil, match, known):
    with pytest.raises(ValueError, match=match):
        factors.mutual_information_gap(*spoil(known.astype(float), known))


def test_bad_number_of_bins_refused(known):
    with pytest.raises(ValueError, match="bins: expected an integer ≥ 2"):
        factors.factor_information(known, known, bins=1)


# ------------------------------------------- one unit a factor, one a class


def test_matched_correlation_finds_shuffled_negated_scaled_factors():
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((100, 3))
    codes = np.c_[-2 * factors[:, 2], factors[:, 0] + 1, 5 * factors[:, 1]]
    assert np.isclose(matched_correlation(codes, factors), 1.0)
    # a factor without a unit counts 0, a silent unit as well
    assert np.isclose(matched_correlation(codes[:, :2], factors), 2 / 3)
    codes[:, 0] = 7.0
    found = matched_correlation(codes, factors)
    assert np.isclose(found, 2 / 3)


def test_matched_correlation_is_no_greedy_choice():
    # correlations .7, .65 and .6, 0: greedily .35, matched .625
    noise = np.random.default_rng(0).standard_normal((50, 4))
    a, b, c, d = np.linalg.qr(noise - noise.mean(axis=0))[0].T
    first = 0.7 * a + 0.65 * b + np.sqrt(1 - 0.7**2 - 0.65**2) * c
    second = 0.6 * a + 0.8 * d
    found = matched_correlation(np.c_[first, second], np.c_[a, b])
    assert np.isclose(found, (0.65 + 0.6) / 2, atol=1e-6)


def test_single_unit_auroc_by_hand():
    labels = np.array([0, 0, 1, 1, 2, 2])
    codes = np.c_[
        [9.0, 8, 1, 2, 3, 0], [5, 5, 5, 5, 5, 5.0], [3, 4, 1, 2, 5, 6]
    ]
    # unit 1 tells 0; unit 3, negated, tells 1 and as it is tells 2
    assert single_unit_auroc(codes, labels, codes, labels) == 1.0
    assert single_unit_auroc(codes, labels, -codes, labels) == 0.0
    assert (
        single_unit_auroc(codes[:, 1:2], labels, codes[:, 1:2], labels) == 0.5
    )


def test_single_unit_auroc_is_scikit_learn_s():
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 2
    codes = rng.standard_normal((60, 1)) + labels[:, None]
    held = np.round(rng.standard_normal((60, 1)) + labels[:, None])  # ties
    expected = roc_auc_score(labels, held[:, 0])
    found = single_unit_auroc(codes, labels, held, labels)
    assert np.isclose(found, expected)


@pytest.mark.parametrize(
    "change, match",
    [
        ({"held_codes": np.ones((4, 2))}, "^held_codes"),
        ({"labels": np.zeros(4, int)}, "^labels: expected at least two"),
        ({"labels": np.array([0, 2, 0, 2])}, "^labels"),
        ({"held_labels": np.array([0, 0, 0, 0])}, "^held_labels"),
        ({"held_labels": np.array([0, 1, 0, 5])}, "^held_labels"),
        ({"codes": np.ones(4)}, "^codes"),
    ],
)
def test_single_unit_auroc_bad_arguments_are_named(change, match):
    both = np.array([0, 1, 0, 1])
    given = {"codes": np.ones((4, 3)), "labels": both}
    given |= {"held_codes": np.ones((4, 3)), "held_labels": both, **change}
    with pytest.raises(ValueError, match=match):
        single_unit_auroc(**given)


def test_matched_correlation_row_counts_that_differ_are_named():
    with pytest.raises(ValueError, match="^factors"):
        matched_correlation(np.ones((4, 2)), np.ones((5, 2)))
