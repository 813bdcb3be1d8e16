"""Claims of the articles on anomaly detection and its challenges, tried.

As ``test_errata.py``: each test first lets the claim fail in a few lines of
its own, then shows the right form beside it.
"""

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from utils import data
from utils.baselines.detectors import (
    Mahalanobis,
    NearestNeighbor,
    PCAError,
    ZScore,
)
from utils.evaluation.detection import (
    ModelDetector,
    alarm_rates,
    hold_out,
    quantile_threshold,
)
from utils.models.autoencoders import Autoencoder
from utils.nn.likelihoods import Bernoulli

STEPS = 32 if keras.backend.backend() == "tensorflow" else 1


@pytest.fixture(scope="module")
def split():
    return hold_out(data.load("digits").flat(), 6)


@pytest.fixture(scope="module")
def trained(split):
    """A small autoencoder of nine digits."""
    keras.utils.set_random_seed(0)
    model = Autoencoder.dense(
        (64,), 8, widths=(96,), seed=0, likelihood=Bernoulli()
    )
    model.compile(keras.optimizers.Adam(5e-3), steps_per_execution=STEPS)
    return ModelDetector(model).fit(split.x_train, epochs=10, batch_size=32)


# ------------------------------------------------------------------ E125


def test_e125_threshold_is_a_quantile_of_normal_validation_rows(split, trained):
    # the articles stop at a large error: how large, nobody says. A level
    # guessed in the units of one detector means nothing for another
    scores = trained.anomaly_scores(split.x_val)
    pca = PCAError(4).fit(split.x_train)
    guess = np.quantile(scores, 0.95)
    assert np.mean(pca.anomaly_scores(split.x_val) > guess) > 0.3
    for detector in (trained, pca):
        val = detector.anomaly_scores(split.x_val)
        threshold = quantile_threshold(val, 0.95)
        assert np.sum(val > threshold) == int(0.05 * (len(val) + 1)) - 1
        rates = alarm_rates(
            detector.anomaly_scores(split.x_test), split.is_anomaly, threshold
        )
        # binomial spread of 323 rows, and that of the threshold itself
        assert rates["false_alarms"] < 0.05 + 4 * np.sqrt(0.05 / 242)


def test_e125_threshold_on_training_rows_breaks_its_promise(split):
    search = NearestNeighbor().fit(split.x_train)
    on_train = search.anomaly_scores(split.x_train)
    assert on_train.max() < 1e-5  # every training row is its own neighbour
    normal = split.x_test[~split.is_anomaly]
    wrong = quantile_threshold(on_train + 0.0, 0.95)
    assert np.mean(search.anomaly_scores(normal) > wrong) == 1.0
    right = quantile_threshold(search.anomaly_scores(split.x_val), 0.95)
    assert np.mean(search.anomaly_scores(normal) > right) < 0.15


def test_e125_ranking_is_reported_before_any_threshold(split, trained):
    auroc = roc_auc_score(
        split.is_anomaly, trained.anomaly_scores(split.x_test)
    )
    assert auroc > 0.8
    threshold = quantile_threshold(trained.anomaly_scores(split.x_val), 0.95)
    rates = alarm_rates(
        trained.anomaly_scores(split.x_test), split.is_anomaly, threshold
    )
    assert rates["recall"] < auroc  # one point of the curve, not the curve


def test_e125_anomaly_along_the_learned_directions_has_no_error(rng):
    plane = np.linalg.qr(rng.standard_normal((6, 2)))[0].T
    x = rng.standard_normal((500, 2)) @ plane
    x = x + 0.05 * rng.standard_normal(x.shape)
    far_inside = 12.0 * plane[:1]  # twelve deviations out, within the plane
    pca = PCAError(2).fit(x)
    limit = quantile_threshold(pca.anomaly_scores(x), 0.95)
    assert pca.anomaly_scores(far_inside)[0] < 8 * limit
    assert pca.anomaly_scores(0.3 * far_inside)[0] < limit
    mahalanobis = Mahalanobis().fit(x)
    limit = quantile_threshold(mahalanobis.anomaly_scores(x), 0.95)
    assert mahalanobis.anomaly_scores(far_inside)[0] > 5 * limit


# ------------------------------------------------------------------- E91


def test_e091_imbalance_shows_per_class_and_not_in_the_mean():
    digits = data.load("digits").flat()
    rare = np.flatnonzero(digits.y_train == 8)
    few = np.setdiff1d(np.arange(len(digits.y_train)), rare[4:])
    errors = {}
    for name, rows in (("all", slice(None)), ("few", few)):
        pca = PCAError(16).fit(digits.x_train[rows])
        errors[name] = pca.anomaly_scores(digits.x_test)
    eights = digits.y_test == 8
    mean_ratio = errors["few"].mean() / errors["all"].mean()
    class_ratio = errors["few"][eights].mean() / errors["all"][eights].mean()
    assert mean_ratio < 1.1
    assert class_ratio > 1.2


def test_e091_robustness_noise_breaks_the_threshold_before_the_ranking(
    split, trained
):
    limit = quantile_threshold(trained.anomaly_scores(split.x_val), 0.95)
    rates, areas = [], []
    for sigma in (0.0, 0.1, 0.2):
        noisy = data.corrupt(split.x_test, "gaussian", sigma, seed=1)
        scores = trained.anomaly_scores(noisy)
        areas.append(roc_auc_score(split.is_anomaly, scores))
        rates.append(
            alarm_rates(scores, split.is_anomaly, limit)["false_alarms"]
        )
    assert rates[0] < 0.15 < rates[1] < rates[2]
    assert rates[2] > 0.8
    assert areas[2] < areas[0]
    assert areas[1] > areas[0] - 0.1


def test_e091_interpretability_a_score_is_a_sum_over_entries():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 5)) * np.array([1, 10, 0.1, 1, 1])
    detector = ZScore().fit(x)
    row = x[:1].copy()
    before = detector.anomaly_scores(row)[0]
    row[0, 2] += 1.0  # ten deviations, though the smallest number of all
    raised = detector.anomaly_scores(row)[0] - before
    terms = ((row[0] - x.mean(0)) / x.std(0)) ** 2
    assert terms.argmax() == 2
    assert detector.anomaly_scores(row)[0] == pytest.approx(
        terms.mean(), rel=1e-4
    )
    assert raised > 10


# ------------------------------------------------------------------ E137


def test_e137_cost_is_a_number(trained):
    # 64–96–8–96–64: weights and biases, by hand
    hand = 64 * 96 + 96 + 96 * 8 + 8 + 8 * 96 + 96 + 96 * 64 + 64
    assert trained.model.count_params() == hand
    stored = sum(weight.nbytes for weight in trained.model.get_weights())
    assert stored == 4 * hand  # float32


def test_e137_interpretability_of_a_code_unit_is_a_change_of_pixels(
    split, trained
):
    model = trained.model
    codes = model.encode(split.x_val)
    effect = []
    for unit in range(model.latent_dim):
        z = np.tile(codes[:1], (2, 1))
        z[:, unit] = np.quantile(codes[:, unit], [0.05, 0.95])
        low, high = model.decode(z)
        effect.append(np.abs(high - low))
    effect = np.array(effect)  # (units, pixels)
    assert (effect.max(axis=1) > 0.2).all()  # every unit does something
    # and none is "slant" or "thickness" alone: each moves many pixels
    assert ((effect > 0.05).sum(axis=1) > 8).all()
