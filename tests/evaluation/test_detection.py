"""Splits, scores of models and thresholds against their promises."""

import dataclasses

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from utils import data
from utils.baselines.detectors import PCAError, ZScore
from utils.evaluation.detection import (
    ModelDetector,
    alarm_rates,
    find_events,
    hold_out,
    quantile_threshold,
    two_sided_thresholds,
)
from utils.models import VAE, Autoencoder
from utils.nn.likelihoods import Bernoulli, Gaussian


@pytest.fixture(scope="module")
def digits_without_six():
    return hold_out(data.load("digits").flat(), 6)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.random((80, 5)).astype("float32")


# ---------------------------------------------------------------- split


def test_hold_out_training_and_validation_rows_are_all_normal():
    digits = data.load("digits")
    split = hold_out(digits, 4)
    assert 4 not in split.y_train and 4 not in split.y_val
    assert len(split.x_train) == np.sum(digits.y_train != 4)
    assert len(split.x_val) == np.sum(digits.y_val != 4)
    np.testing.assert_array_equal(split.x_test, digits.x_test)
    np.testing.assert_array_equal(split.is_anomaly, digits.y_test == 4)


def test_hold_out_rows_keep_their_labels():
    digits = data.load("digits")
    split = hold_out(digits, [1, 7])
    where = np.flatnonzero(~np.isin(digits.y_train, (1, 7)))
    np.testing.assert_array_equal(split.x_train, digits.x_train[where])
    np.testing.assert_array_equal(split.y_train, digits.y_train[where])
    assert split.is_anomaly.sum() == np.isin(digits.y_test, (1, 7)).sum()


def test_hold_out_no_row_stands_in_two_parts():
    digits = data.load("digits")
    marked = dataclasses.replace(
        digits,
        **{
            f"x_{part}": start
            + np.arange(len(getattr(digits, f"y_{part}")))[:, None]
            for part, start in (("train", 0), ("val", 10_000), ("test", 20_000))
        },
    )
    split = hold_out(marked, 0)
    parts = [split.x_train, split.x_val, split.x_test]
    ids = np.concatenate(parts).ravel()
    assert len(np.unique(ids)) == len(ids)


@pytest.mark.parametrize(
    "classes, match",
    [
        (10, "anomalous: expected classes among 0, 1"),
        ([3, 12], "received \\[12\\]"),
        ([], "anomalous"),
        (np.arange(10), "one class left as normal"),
        (0.5, "integer labels"),
    ],
)
def test_hold_out_wrong_classes_are_named(classes, match):
    with pytest.raises(ValueError, match=match):
        hold_out(data.load("digits"), classes)


# ----------------------------------------------------------------- models


def test_model_error_is_the_summed_squared_difference(rows):
    model = Autoencoder.dense((5,), 2, seed=0, likelihood=Bernoulli())
    np.testing.assert_allclose(
        ModelDetector(model).anomaly_scores(rows),
        ((rows - model.reconstruct(rows)) ** 2).sum(1),
        rtol=1e-5,
    )


def test_model_loss_is_the_model_s_own(rows):
    model = Autoencoder.dense((5,), 2, seed=0, likelihood=Bernoulli())
    np.testing.assert_allclose(
        ModelDetector(model, "loss").anomaly_scores(rows),
        model.example_losses(rows),
    )


def test_variational_loss_is_minus_the_bound(rows):
    vae = VAE.dense((5,), 2, widths=(8,), seed=0, likelihood=Gaussian())
    detector = ModelDetector(vae, "loss", num_samples=3, seed=4)
    np.testing.assert_allclose(
        detector.anomaly_scores(rows), -vae.elbo(rows, 3, seed=4), rtol=1e-6
    )
    np.testing.assert_array_equal(
        detector.anomaly_scores(rows), detector.anomaly_scores(rows)
    )


def test_model_detector_fits_normal_rows_and_finds_the_class_left_out(
    digits_without_six,
):
    split = digits_without_six
    model = Autoencoder.dense(
        (64,), 8, widths=(128,), seed=0, likelihood=Bernoulli()
    )
    model.compile(keras.optimizers.Adam(4e-3))
    detector = ModelDetector(model)
    before = detector.anomaly_scores(split.x_val).mean()
    fitted = detector.fit(split.x_train, epochs=6, batch_size=32)
    assert fitted is detector
    assert detector.anomaly_scores(split.x_val).mean() < 0.5 * before
    auroc = roc_auc_score(
        split.is_anomaly, detector.anomaly_scores(split.x_test)
    )
    assert auroc > 0.85


def test_model_detector_misuse_is_named(rows):
    with pytest.raises(ValueError, match="model: expected a model with"):
        ModelDetector(ZScore())
    model = Autoencoder.dense((5,), 2, seed=0)
    with pytest.raises(ValueError, match="kind: expected one of 'error'"):
        ModelDetector(model, "elbo")
    with pytest.raises(ValueError, match=r"shape \(n, 5\)"):
        ModelDetector(model).anomaly_scores(rows[:, :4])
    with pytest.raises(ValueError, match="NaN"):
        ModelDetector(model).anomaly_scores(np.full((2, 5), np.nan))


# -------------------------------------------------------------- threshold


@pytest.mark.parametrize("quantile", [0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [100, 101, 260, 997])
def test_threshold_is_the_conformal_rank(n, quantile):
    scores = np.random.default_rng(n).exponential(size=n)
    threshold = quantile_threshold(scores, quantile)
    # a new row takes any of n + 1 ranks: those above rank r have n + 1 − r
    above = int(np.sum(scores > threshold)) + 1
    assert above / (n + 1) <= 1 - quantile + 1e-9 < (above + 1) / (n + 1)
    assert threshold in scores


def test_threshold_of_real_scores_flags_at_most_its_share(digits_without_six):
    split = digits_without_six
    detector = PCAError(8).fit(split.x_train)
    scores = detector.anomaly_scores(split.x_val)
    for quantile in (0.9, 0.95):
        flagged = np.mean(scores > quantile_threshold(scores, quantile))
        assert 1 - quantile - 2 / len(scores) < flagged <= 1 - quantile


@pytest.mark.parametrize("n", [20, 40, 100])
def test_threshold_new_normal_rows_keep_the_promised_rate(n):
    rng = np.random.default_rng(n)
    new = np.sort(rng.exponential(size=100_000))
    limits = [
        quantile_threshold(rng.exponential(size=n), 0.95) for _ in range(2000)
    ]
    rates = 1 - np.searchsorted(new, limits, side="right") / len(new)
    # half a point is five standard errors of the mean of 2 000 draws at n = 20
    assert np.mean(rates) == pytest.approx(0.05, abs=0.005)
    # the rank ⌈q n⌉, as articles have it, promises too little: 2 / 21 at 20
    plain = [
        np.sort(rng.exponential(size=n))[int(np.ceil(0.95 * n - 1e-9)) - 1]
        for _ in range(2000)
    ]
    rates = 1 - np.searchsorted(new, plain, side="right") / len(new)
    assert np.mean(rates) > 0.05 + 0.5 / (n + 1)


@pytest.mark.parametrize("n", [39, 60, 199])
def test_two_sided_thresholds_keep_the_promise_on_both_sides(n):
    rng = np.random.default_rng(n)
    low, high = np.transpose(
        [two_sided_thresholds(rng.normal(size=n), 0.95) for _ in range(2000)]
    )
    new = np.sort(rng.normal(size=100_000))
    below = np.searchsorted(new, low, side="left") / len(new)
    above = 1 - np.searchsorted(new, high, side="right") / len(new)
    assert 0.05 - 2 / (n + 1) - 0.004 < np.mean(below + above) < 0.054
    assert np.mean(below) == pytest.approx(np.mean(above), abs=0.004)


def test_two_sided_thresholds_by_hand():
    # ⌈0.95 · 20⌉ = 19th of 19 on either side
    assert two_sided_thresholds(np.arange(19.0), 0.9) == (0.0, 18.0)
    with pytest.raises(ValueError, match="at least 39 rows"):
        two_sided_thresholds(np.arange(38.0), 0.95)


def test_threshold_follows_order_not_scale(rng):
    scores = rng.exponential(size=300)
    assert quantile_threshold(np.log(scores), 0.9) == pytest.approx(
        np.log(quantile_threshold(scores, 0.9))
    )


def test_threshold_with_ties_flags_at_most_its_share():
    scores = np.array([1.0] * 50 + [2.0] * 50)
    assert np.mean(scores > quantile_threshold(scores, 0.9)) == 0.0


@pytest.mark.parametrize(
    "scores, quantile, match",
    [
        ([1.0, np.nan, 2.0], 0.5, "NaN"),
        (np.arange(30), 1.0, "strictly between"),
        (np.arange(30), 95, "quantile"),
        (np.arange(18), 0.95, "at least 19 rows"),
        (np.arange(98), 0.99, "at least 99 rows"),
        (np.ones((30, 2)), 0.5, "1 axes"),
        ([], 0.5, "scores"),
    ],
)
def test_threshold_wrong_input_is_named(scores, quantile, match):
    with pytest.raises(ValueError, match=match):
        quantile_threshold(scores, quantile)


def test_threshold_of_just_enough_rows_is_the_largest():
    assert quantile_threshold(np.arange(19.0), 0.95) == 18.0
    assert quantile_threshold(np.arange(39.0), 0.95) == 37.0


def test_alarm_rates_hand_computed():
    scores = [1, 2, 3, 4, 5, 6]
    truth = np.array([False, False, False, True, False, True])
    rates = alarm_rates(scores, truth, 3.5)
    assert rates == {
        "false_alarms": 0.25,
        "recall": 1.0,
        "precision": pytest.approx(2 / 3),
    }
    assert alarm_rates(scores, truth, 9)["precision"] == 1.0
    assert alarm_rates(scores, truth, 9)["recall"] == 0.0


@pytest.mark.parametrize(
    "truth, match",
    [
        ([0, 1, 0], "booleans"),
        ([True, False], "shape"),
        ([True, True, True], "both kinds"),
    ],
)
def test_alarm_rates_wrong_labels_are_named(truth, match):
    with pytest.raises(ValueError, match=match):
        alarm_rates([1.0, 2.0, 3.0], truth, 1.5)


# ----------------------------------------------------------------- events


def alarms_at(*steps, count=20):
    return np.isin(np.arange(count), steps)


def test_events_hand_computed():
    report = find_events(
        alarms_at(1, 2, 6, 7, 15), [(5, 8), (10, 12), (14, 20)]
    )
    assert report.found.tolist() == [True, False, True]
    np.testing.assert_array_equal(report.delays, [1.0, np.nan, 1.0])
    assert report.false_alarms == 1  # 1 and 2 are one call


def test_events_a_gap_joins_runs():
    alarms = alarms_at(0, 2, 4, 9)
    assert find_events(alarms, []).false_alarms == 4
    assert find_events(alarms, [], gap=1).false_alarms == 2
    assert find_events(alarms, [], gap=4).false_alarms == 1


def test_events_a_run_that_lasts_into_an_event_is_not_false():
    report = find_events(alarms_at(3, 4, 5, 6), [(5, 9)])
    assert report.false_alarms == 0 and report.delays[0] == 0.0
    # ends are excluded: an alarm at the end is outside
    report = find_events(alarms_at(9), [(5, 9)])
    assert report.false_alarms == 1 and not report.found[0]
    # but one that joins over a gap touches both
    report = find_events(alarms_at(3, 9), [(5, 8)], gap=9)
    assert report.false_alarms == 0 and not report.found[0]


def test_events_of_silence():
    report = find_events(alarms_at(), [(0, 20)])
    assert not report.found[0] and report.false_alarms == 0
    assert find_events(alarms_at(), []).found.shape == (0,)


@pytest.mark.parametrize(
    "alarms, events, match",
    [
        (np.zeros(4), [], "alarms: expected booleans"),
        (np.zeros((2, 2), bool), [], "alarms"),
        (np.zeros(0, bool), [], "alarms"),
        (np.zeros(4, bool), [(2, 2)], "events: expected begin < end"),
        (np.zeros(4, bool), [(-1, 2)], "events"),
        (np.zeros(4, bool), [(1, 5)], "events"),
        (np.zeros(9, bool), [(4, 6), (1, 5)], "do not overlap"),
    ],
)
def test_events_wrong_input_is_named(alarms, events, match):
    with pytest.raises(ValueError, match=match):
        find_events(alarms, events)
