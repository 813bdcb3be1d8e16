"""Metrics against hand cases, brute force and invariances."""

import itertools

import numpy as np
import pytest
import scipy.stats

from utils import metrics


def test_mse_and_psnr_hand_computed():
    x = np.array([[0.0, 1.0], [0.5, 0.5]])
    x_hat = np.array([[0.1, 1.0], [0.5, 0.2]])
    assert metrics.mse(x, x_hat) == pytest.approx(0.1 / 4)
    assert metrics.psnr(x, x_hat) == pytest.approx(10 * np.log10(4 / 0.1))


def test_psnr_peak_of_bytes_adds_48_decibels():
    x, x_hat = np.zeros((1, 4)), np.full((1, 4), 0.5)
    difference = metrics.psnr(x, x_hat, peak=255) - metrics.psnr(x, x_hat)
    assert difference == pytest.approx(20 * np.log10(255))


def test_psnr_equal_arrays_infinite():
    assert metrics.psnr(np.ones((2, 3)), np.ones((2, 3))) == float("inf")


@pytest.mark.parametrize("num_clusters", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(3))
def test_clustering_accuracy_equals_brute_force(num_clusters, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, 60)
    ids = np.where(rng.random(60) < 0.6, y, rng.integers(0, num_clusters, 60))
    size = max(3, num_clusters)
    brute = max(
        np.mean(np.array(names)[ids] == y)
        for names in itertools.permutations(range(size))
    )
    assert metrics.clustering_accuracy(y, ids) == pytest.approx(brute)


def test_clustering_accuracy_renamed_clusters_unchanged(rng):
    y = rng.integers(0, 4, 80)
    ids = rng.integers(0, 4, 80)
    renamed = np.array([70, -2, 11, 5])[ids]
    assert metrics.clustering_accuracy(y, renamed) == pytest.approx(
        metrics.clustering_accuracy(y, ids)
    )
    assert metrics.clustering_accuracy(y, np.array([3, 0, 1, 2])[y]) == 1.0


def test_clustering_accuracy_surplus_clusters_count_as_errors():
    y = np.array([0, 0, 0, 0, 1, 1])
    ids = np.array([0, 0, 0, 2, 1, 1])
    assert metrics.clustering_accuracy(y, ids) == pytest.approx(5 / 6)


E1, E2, E3 = np.eye(3)


@pytest.mark.parametrize(
    ("a", "b", "cosines"),
    [
        ([E1], [E1], [1.0]),
        ([E1], [E2], [0.0]),
        ([E1], [E1 + E2], [np.sqrt(0.5)]),
        ([E1, E2], [E2 + E1, E1 - 3 * E2], [1.0, 1.0]),
        ([E1, E2], [E1, E2 + np.sqrt(3) * E3], [1.0, 0.5]),
        ([E1, E2], [E3], [0.0]),
    ],
)
def test_principal_angle_cosines_hand_cases(a, b, cosines):
    value = metrics.principal_angle_cosines(np.stack(a, 1), np.stack(b, 1))
    np.testing.assert_allclose(value, cosines, atol=1e-7)


def test_principal_angle_cosines_change_of_basis_unchanged(rng):
    a, b = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    mixed = a @ rng.normal(size=(3, 3))
    np.testing.assert_allclose(
        metrics.principal_angle_cosines(mixed, b),
        metrics.principal_angle_cosines(a, b),
        atol=1e-5,  # inputs pass through float32
    )


def test_distance_rank_correlation_rotated_and_scaled_is_one(rng):
    x = rng.normal(size=(40, 3))
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert metrics.distance_rank_correlation(x, 7 * x @ rotation + 2) == (
        pytest.approx(1.0, abs=1e-6)
    )


def test_distance_rank_correlation_equals_scipy_on_all_pairs(rng):
    x, z = rng.normal(size=(12, 2, 2)), rng.normal(size=(12, 2))
    pairs = list(itertools.combinations(range(12), 2))
    first = [np.linalg.norm(x[i] - x[j]) for i, j in pairs]
    second = [np.linalg.norm(z[i] - z[j]) for i, j in pairs]
    assert metrics.distance_rank_correlation(x, z) == pytest.approx(
        scipy.stats.spearmanr(first, second).statistic, abs=1e-4
    )


def test_distance_rank_correlation_shuffled_rows_near_zero(rng):
    x = rng.normal(size=(200, 3))
    assert abs(metrics.distance_rank_correlation(x, rng.permutation(x))) < 0.1


def test_dead_units_counts_columns_that_are_zero_everywhere():
    codes = np.array([[0, 1, 0, -1], [0, 0, 0, 2.0]])
    assert metrics.dead_units(codes) == 2


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: metrics.mse(np.ones((3, 2)), np.ones((3, 1))), "x_hat: exp"),
        (lambda: metrics.mse(np.ones((3, 2)), np.ones((1, 2))), "x_hat: exp"),
        (lambda: metrics.mse([[np.nan]], [[0.0]]), "x: expected finite"),
        (lambda: metrics.psnr([[0.0]], [[1.0]], peak=0), "peak"),
        (
            lambda: metrics.clustering_accuracy([0.0, 1.0], [0, 1]),
            "y: expected integer labels",
        ),
        (
            lambda: metrics.clustering_accuracy([0, 1], [0, 1, 1]),
            "ids: expected 2 labels",
        ),
        (
            lambda: metrics.principal_angle_cosines(np.eye(3), np.eye(2)),
            "b: expected 3 rows",
        ),
        (
            lambda: metrics.principal_angle_cosines(np.ones((3, 2)), np.eye(3)),
            "a: expected linearly independent columns",
        ),
        (
            lambda: metrics.distance_rank_correlation(np.eye(2), np.eye(2)),
            "at least 3 rows",
        ),
        (
            lambda: metrics.distance_rank_correlation(np.eye(4), np.eye(5)),
            "z: expected 4 rows",
        ),
        (lambda: metrics.dead_units(np.ones(3)), "codes: expected an array"),
    ],
)
def test_metric_wrong_input_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_principal_angle_cosines_never_pass_one(rng):
    # rounding alone would give 1.0000000000000002 for some of these
    for _ in range(50):
        a = rng.normal(size=(8, 3))
        mixed = a @ rng.normal(size=(3, 3))
        assert metrics.principal_angle_cosines(a, mixed).max() <= 1.0


def test_distance_rank_correlation_three_rows_are_enough():
    x = np.array([[0.0], [1.0], [3.0]])
    assert metrics.distance_rank_correlation(x, 2 * x) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: metrics.psnr([[0.0]], [[1.0]], peak=-1), "peak: expected"),
        (
            lambda: metrics.principal_angle_cosines(np.ones((2, 2, 2)), E1),
            "a: expected an array with 2 axes",
        ),
        (
            lambda: metrics.principal_angle_cosines(np.eye(2), np.ones(2)),
            "b: expected an array with 2 axes",
        ),
        (
            lambda: metrics.principal_angle_cosines(np.eye(3), np.ones((3, 2))),
            "b: expected linearly independent columns",
        ),
        (
            lambda: metrics.distance_rank_correlation(np.eye(2), np.eye(2)),
            "x: expected at least 3 rows",
        ),
        (
            lambda: metrics.distance_rank_correlation(np.eye(3), np.eye(2)),
            "z: expected at least 3 rows",
        ),
    ],
)
def test_metric_names_the_argument_that_is_wrong(call, match):
    with pytest.raises(ValueError, match=match):
        call()
