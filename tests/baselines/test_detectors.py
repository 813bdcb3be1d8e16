"""Detectors against hand-computed scores, scikit-learn and their promises."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA

from utils.baselines.detectors import (
    Forest,
    LocalOutlier,
    Mahalanobis,
    NearestNeighbor,
    PCAError,
    Prototypes,
    ZScore,
)

MAKERS = {
    "z_score": ZScore,
    "mahalanobis": Mahalanobis,
    "pca": lambda: PCAError(3),
    "forest": Forest,
    "nearest_neighbor": NearestNeighbor,
    "fifth_neighbor": lambda: NearestNeighbor(5),
    "local_outlier": LocalOutlier,
    "prototypes": lambda: Prototypes(8),
}

each_detector = pytest.mark.parametrize(
    "make", MAKERS.values(), ids=MAKERS.keys()
)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.random((80, 5)).astype("float32")


# --------------------------------------------------------------- formulas


def test_z_score_hand_computed():
    detector = ZScore().fit([[0.0, 10.0], [2.0, 30.0]])
    # μ = (1, 20), σ = (1, 10)
    np.testing.assert_allclose(
        detector.anomaly_scores([[1.0, 20.0], [3.0, 20.0], [2.0, 0.0]]),
        [0, 2, 2.5],
    )


@pytest.mark.parametrize("constant", [5.0, 0.1])
def test_z_score_constant_column_counts_in_its_own_units(constant):
    # seven times 0.1 has a standard deviation of 1e-17 in plain NumPy
    x = np.array([[float(i % 2), constant] for i in range(7)])
    detector = ZScore().fit(x)
    inside = detector.anomaly_scores(x)
    off = detector.anomaly_scores(x + [0.0, 3.0])
    np.testing.assert_allclose(off - inside, 4.5)


def test_pca_error_equals_squared_reconstruction_error(rows):
    rows = rows.astype("float64")
    pca = PCA(3).fit(rows)
    x_hat = pca.inverse_transform(pca.transform(rows))
    np.testing.assert_allclose(
        PCAError(3).fit(rows).anomaly_scores(rows),
        ((rows - x_hat) ** 2).sum(1),
    )


def test_mahalanobis_hand_written(rows):
    rows = rows.astype("float64")
    shrunk = LedoitWolf().fit(rows)
    centred = rows - shrunk.location_
    np.testing.assert_allclose(
        Mahalanobis().fit(rows).anomaly_scores(rows),
        np.sum((centred @ np.linalg.inv(shrunk.covariance_)) * centred, axis=1),
    )


def test_mahalanobis_sees_a_row_that_breaks_a_correlation(rng):
    line = rng.standard_normal(2000)
    x = np.stack([line, line + 0.1 * rng.standard_normal(2000)], axis=1)
    rows = [[2.0, 2.0], [1.0, -1.0]]  # with the correlation, against it
    mahalanobis = Mahalanobis().fit(x).anomaly_scores(rows)
    z_score = ZScore().fit(x).anomaly_scores(rows)
    assert mahalanobis[1] > 20 * mahalanobis[0]
    assert z_score[0] > z_score[1]  # each entry alone is unremarkable


def test_nearest_neighbor_distance_hand_computed():
    detector = NearestNeighbor().fit([[0.0, 0.0], [10.0, 0.0]])
    np.testing.assert_allclose(
        detector.anomaly_scores([[3.0, 4.0], [10, 1]]), [5, 1]
    )


def test_kth_neighbor_is_not_fooled_by_one_strange_training_row():
    line = np.c_[np.arange(9.0), np.zeros(9)]
    dirty = np.concatenate([line, [[0.0, 30.0]]])
    rows = [[0.0, 30.0], [4.0, 0.0]]
    first = NearestNeighbor().fit(dirty).anomaly_scores(rows)
    np.testing.assert_allclose(first, [0.0, 0.0])
    second = NearestNeighbor(2).fit(dirty).anomaly_scores(rows)
    np.testing.assert_allclose(second, [30.0, 1.0])
    third = NearestNeighbor(3).fit(dirty).anomaly_scores([[4.0, 0.0]])
    np.testing.assert_allclose(third, [1.0])


def test_local_outlier_measures_by_the_density_of_the_place(rng):
    dense = 0.1 * rng.standard_normal((300, 2))
    thin = 10.0 + 2.0 * rng.standard_normal((300, 2))
    x = np.concatenate([dense, thin])
    rows = [[1.0, 1.0], [10.0, 13.0]]  # beside the dense cloud, in the thin one
    factor = LocalOutlier().fit(x).anomaly_scores(rows)
    distance = NearestNeighbor(20).fit(x).anomaly_scores(rows)
    assert factor[0] > 3 * factor[1]
    assert factor[1] < 2.0
    assert distance[0] < 2 * distance[1]


def test_prototypes_measure_from_the_middle_of_each_heap():
    heaps = [[0.0, 0.0], [2.0, 0.0], [100.0, 0.0], [102.0, 0.0]]
    scores = Prototypes(2).fit(heaps).anomaly_scores([[1.0, 3.0], [101.0, 0]])
    np.testing.assert_allclose(scores, [3.0, 0.0], atol=1e-9)
    each = Prototypes(4).fit(heaps).anomaly_scores(heaps)  # a centre a row
    np.testing.assert_allclose(each, 0.0, atol=1e-9)


def test_forest_depends_on_its_seed_alone(rows):
    def scores(seed):
        return Forest(seed).fit(rows).anomaly_scores(rows)

    np.testing.assert_array_equal(scores(1), scores(1))
    assert not np.array_equal(scores(1), scores(2))


# --------------------------------------------------------------- promises


@each_detector
def test_detector_scores_an_outlier_highest(make, rng):
    x = rng.standard_normal((200, 4)).astype("float32")
    outlier = np.full((1, 4), 8.0)
    scores = make().fit(x).anomaly_scores(np.concatenate([x, outlier]))
    assert scores.shape == (201,) and scores.dtype == np.float64
    assert scores.argmax() == 200


@each_detector
def test_detector_row_score_does_not_depend_on_other_rows(make, rows):
    detector = make().fit(rows)
    together = detector.anomaly_scores(rows[:10])
    alone = [detector.anomaly_scores(rows[i : i + 1])[0] for i in range(10)]
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-9)


@each_detector
def test_detector_accepts_images(make, rows):
    images = rows[:, :4].reshape(-1, 2, 2, 1)
    flat = make().fit(rows[:, :4]).anomaly_scores(rows[:, :4])
    np.testing.assert_allclose(make().fit(images).anomaly_scores(images), flat)


# float32 knows times of today to two minutes
@pytest.mark.parametrize("width", [4, 20])  # neighbours by trees, by products
@each_detector
def test_detector_keeps_the_digits_of_unix_times(make, width, rng):
    seconds = rng.uniform(0.0, 60.0, (100, width))
    late = np.full((1, width), 600.0)
    small = np.concatenate([seconds, late])
    expected = make().fit(seconds).anomaly_scores(small)
    detector = make().fit(1.7e9 + seconds)
    # 1.7e9 has seven digits left behind the point in float64
    np.testing.assert_allclose(
        detector.anomaly_scores(1.7e9 + small), expected, rtol=1e-4, atol=1e-4
    )


def test_z_score_of_a_late_row_is_that_of_its_seconds():
    times = 1.7e9 + np.arange(61.0)[:, None]
    score = ZScore().fit(times).anomaly_scores([[1.7e9 + 437.0]])
    # variance of 0, …, 60: (61² − 1) / 12 = 310
    np.testing.assert_allclose(score, [(437.0 - 30.0) ** 2 / 310.0])


# ----------------------------------------------------------------- misuse


@each_detector
def test_detector_misuse_is_named(make, rows):
    with pytest.raises(ValueError, match="fit not called"):
        make().anomaly_scores(rows)
    with pytest.raises(ValueError, match="NaN"):
        make().fit(np.full((5, 3), np.nan))
    with pytest.raises(ValueError, match="x: expected at least 2 rows"):
        make().fit(rows[:1])
    with pytest.raises(ValueError, match=r"x: expected shape \(n, 5\)"):
        make().fit(rows).anomaly_scores(rows[:, :3])


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: PCAError(0), "num_components: expected an integer ≥ 1"),
        (lambda: PCAError(2.5), "num_components"),
        (lambda: Forest(-1), "seed: expected an integer ≥ 0"),
        (lambda: NearestNeighbor(0), "k: expected an integer ≥ 1"),
        (lambda: LocalOutlier(0.5), "k: expected an integer"),
        (lambda: Prototypes(0), "k: expected an integer ≥ 1"),
        (lambda: Prototypes(seed=-1), "seed: expected an integer ≥ 0"),
    ],
)
def test_detector_wrong_arguments_are_named(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_pca_error_wider_than_the_rows_is_refused(rows):
    with pytest.raises(ValueError, match="from 1 to 5"):
        PCAError(6).fit(rows)


def test_more_neighbors_than_rows_are_refused(rows):
    with pytest.raises(ValueError, match="k: expected an integer from 1 to 80"):
        NearestNeighbor(81).fit(rows)
    with pytest.raises(ValueError, match="k: expected an integer from 1 to 79"):
        LocalOutlier(80).fit(rows)
    with pytest.raises(ValueError, match="k: expected an integer from 1 to 80"):
        Prototypes(81).fit(rows)
