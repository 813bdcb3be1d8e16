"""Anomaly detection: train on normal rows, score, then choose a threshold.

Every detector has ``fit(x)`` for normal rows and ``anomaly_scores(x)``, one
number a row: **larger means stranger**. Scores of two detectors have different
units; compare their rankings (AUROC, average precision), never their values.
"""

import dataclasses
import math

import numpy as np

from utils.support import validation as check

__all__ = [
    "AnomalySplit",
    "ModelDetector",
    "Events",
    "alarm_rates",
    "find_events",
    "hold_out",
    "quantile_threshold",
    "two_sided_thresholds",
]


@dataclasses.dataclass(frozen=True)
class AnomalySplit:
    """Normal rows to fit and to set a threshold, mixed rows to report.

    Attributes:
        x_train: Normal rows; detectors are fitted on them.
        x_val: Other normal rows; the threshold is chosen on them.
        x_test: Normal and anomalous rows, for the report.
        is_anomaly: Booleans, one for each row of ``x_test``. For evaluation
            alone: neither the detector nor its threshold sees them.
        y_train, y_val, y_test: Class of each row, to look at single classes.
    """

    x_train: np.ndarray
    x_val: np.ndarray
    x_test: np.ndarray
    is_anomaly: np.ndarray
    y_train: np.ndarray
    y_val: np.ndarray
    y_test: np.ndarray


def hold_out(dataset, anomalous):
    """Declare classes anomalous and take them out of training.

    Anomalous rows of the training and validation splits are dropped: not one
    is seen before the test. The test split stays as it is.

    Args:
        dataset: A ``data.Dataset``.
        anomalous: A class, or a sequence of classes.

    Returns:
        An :class:`AnomalySplit`.

    Raises:
        ValueError: a class that does not occur, or no normal class left.
    """
    found = np.unique(dataset.y_train)
    anomalous = check.check_labels(np.atleast_1d(anomalous), "anomalous")
    unknown = sorted(set(anomalous.tolist()) - set(found.tolist()))
    if unknown or not len(anomalous):
        listed = ", ".join(str(label) for label in found[:12])
        check.fail("anomalous", f"classes among {listed}", unknown or "none")
    if len(np.unique(anomalous)) == len(found):
        check.fail("anomalous", "at least one class left as normal", "all")
    train = ~np.isin(dataset.y_train, anomalous)
    val = ~np.isin(dataset.y_val, anomalous)
    return AnomalySplit(
        x_train=dataset.x_train[train],
        x_val=dataset.x_val[val],
        x_test=dataset.x_test,
        is_anomaly=np.isin(dataset.y_test, anomalous),
        y_train=dataset.y_train[train],
        y_val=dataset.y_val[val],
        y_test=dataset.y_test,
    )


class ModelDetector:
    """Scores rows by a model that reconstructs its input.

    Args:
        model: An autoencoder or a variational autoencoder of the course.
        kind: ``"error"``: ‖x − x̂‖², summed over the entries of a row.
            ``"loss"``: the model's own loss of each row, in nats where it is
            a likelihood: cross-entropy for Bernoulli outputs, −ELBO for a
            variational autoencoder.
        num_samples: Draws of z for the −ELBO.
        seed: Integer ≥ 0 of these draws.

    Raises:
        ValueError: not such a model, an unknown kind, and whatever the
            model's verbs refuse: another shape, NaN, values out of range.
    """

    def __init__(self, model, kind="error", *, num_samples=1, seed=0):
        if not hasattr(model, "reconstruct"):
            expected = "a model with reconstruct(x), such as an Autoencoder"
            check.fail("model", expected, type(model).__name__)
        self.model = model
        self.kind = check.check_choice(kind, "kind", ("error", "loss"))
        self.num_samples = check.check_int(num_samples, "num_samples")
        self.seed = check.check_int(seed, "seed", minimum=0)

    def fit(self, x, **options):
        """Fit the compiled model; options go to Keras. Returns itself."""
        self.model.fit(x, **{"verbose": 0, **options})
        return self

    def anomaly_scores(self, x):
        """Strangeness of each row: float64 array ``(n,)``."""
        if self.kind == "error":
            x = check.check_array(x, "x", event_shape=self.model.event_shape)
            squared = (x.astype("float64") - self.model.reconstruct(x)) ** 2
            return squared.reshape(len(x), -1).sum(axis=1)
        if hasattr(self.model, "elbo"):
            bound = self.model.elbo(x, self.num_samples, seed=self.seed)
            return -bound.astype("float64")
        return self.model.example_losses(x).astype("float64")


def quantile_threshold(scores, quantile=0.95):
    """The score that a *new* normal row exceeds with chance 1 − quantile.

    Rows with ``score > threshold`` are alarms. The threshold is the
    ⌈quantile · (n + 1)⌉-th smallest of the n scores (split conformal: Vovk,
    Gammerman and Shafer 2005; Lei et al. 2018). A new row that comes from
    where the n came from is equally likely to take any of the n + 1 ranks, so
    it exceeds the threshold with a chance of at most 1 − quantile, and of at
    least that less 1 / (n + 1) if no two scores are equal. That is an average
    over draws of the n rows: for one draw the rate follows a beta
    distribution around it.

    Args:
        scores: Scores ``(n,)`` of normal *validation* rows. On training rows
            the scores are too small, and the threshold with them.
        quantile: Share in (0, 1), such as 0.95 for 5 % false alarms.

    Returns:
        Float, in the units of the scores.

    Raises:
        ValueError: NaN, a share out of (0, 1), or fewer rows than
            quantile / (1 − quantile), of which not even the largest is
            large enough.
    """
    scores = _check_scores(scores)
    quantile = check.check_number(quantile, "quantile", 0.0, 1.0)
    if quantile in (0.0, 1.0):
        check.fail("quantile", "a share strictly between 0 and 1", quantile)
    # without the margin 0.95 · 20 = 19.000000000000004 would round up
    rank = math.ceil(quantile * (len(scores) + 1) - 1e-9)
    if rank > len(scores):
        needed = math.ceil(quantile / (1.0 - quantile) - 1e-9)
        expected = f"at least {needed} rows for a quantile of {quantile:g}"
        check.fail("scores", expected, f"{len(scores)}")
    return float(np.sort(scores)[rank - 1])


def two_sided_thresholds(scores, quantile=0.95):
    """Thresholds below and above, each with half of the false alarms.

    For scores that are suspicious when small, too: a row is an alarm if
    ``score < low`` or ``score > high``. New normal rows raise one with a
    chance of at most 1 − quantile, as for :func:`quantile_threshold`.

    Args:
        scores: Scores ``(n,)`` of normal *validation* rows.
        quantile: Share in (0, 1) that is left in peace.

    Returns:
        ``(low, high)``, two floats.

    Raises:
        ValueError: as :func:`quantile_threshold`, for half the rate.
    """
    scores = _check_scores(scores)
    quantile = check.check_number(quantile, "quantile", 0.0, 1.0)
    half = (1.0 + quantile) / 2.0
    return -quantile_threshold(-scores, half), quantile_threshold(scores, half)


def alarm_rates(scores, is_anomaly, threshold):
    """What a threshold does to rows whose kind is known.

    Args:
        scores: Scores ``(n,)``.
        is_anomaly: Booleans ``(n,)``.
        threshold: A number; rows above it are alarms.

    Returns:
        Dict of shares: ``"false_alarms"`` of the normal rows, ``"recall"``
        of the anomalous rows, ``"precision"`` of the alarms (1 if there is
        no alarm).

    Raises:
        ValueError: lengths that differ, labels that are not boolean, only
            one kind of row.
    """
    scores = _check_scores(scores)
    is_anomaly = _check_truth(is_anomaly, scores)
    if is_anomaly.all() or not is_anomaly.any():
        check.fail("is_anomaly", "both kinds of rows", "only one")
    alarms = scores > check.check_number(threshold, "threshold")
    hits = float(np.sum(alarms & is_anomaly))
    return {
        "false_alarms": float(np.mean(alarms[~is_anomaly])),
        "recall": float(np.mean(alarms[is_anomaly])),
        "precision": hits / alarms.sum() if alarms.any() else 1.0,
    }


@dataclasses.dataclass(frozen=True)
class Events:
    """What a stretch of alarms means to whoever has to answer them.

    Attributes:
        found: Booleans ``(events,)``: was there an alarm within the event?
        delays: Float ``(events,)``: steps from the beginning of an event to
            its first alarm, 0 for the first step; NaN where there was none.
        false_alarms: Number of runs of alarms, each counted once, that touch
            no event.
    """

    found: np.ndarray
    delays: np.ndarray
    false_alarms: int


def find_events(alarms, events, gap=0):
    """Score alarms over time by events and runs, not by single steps.

    Alarms that follow each other, or with at most ``gap`` quiet steps
    between, are one *run*: one call to the person on duty. A run that begins
    before an event and lasts into it is not false; it finds the event at its
    first alarm within.

    Args:
        alarms: Booleans ``(n,)``, one for each step in time.
        events: Pairs ``(begin, end)`` of steps, end excluded, that do not
            overlap; none at all is allowed.
        gap: Integer ≥ 0.

    Returns:
        :class:`Events`.

    Raises:
        ValueError: alarms that are not booleans, or events that are empty,
            overlap or leave the series.
    """
    alarms = np.asarray(alarms)
    if alarms.dtype != bool or alarms.ndim != 1 or not len(alarms):
        received = f"{alarms.dtype} of shape {alarms.shape}"
        check.fail("alarms", "booleans of shape (n,)", received)
    gap = check.check_int(gap, "gap", 0)
    spans = sorted(tuple(map(int, pair)) for pair in events)
    for begin, end in spans:
        if not 0 <= begin < end <= len(alarms):
            expected = f"begin < end within 0 … {len(alarms)}"
            check.fail("events", expected, f"({begin}, {end})")
    if any(a[1] > b[0] for a, b in zip(spans, spans[1:], strict=False)):
        check.fail("events", "events that do not overlap", f"{spans}")
    steps = np.flatnonzero(alarms)
    delays = np.full(len(events), np.nan)
    for index, (begin, end) in enumerate(events):
        inside = steps[(steps >= begin) & (steps < end)]
        if len(inside):
            delays[index] = inside[0] - begin
    runs = np.split(steps, np.flatnonzero(np.diff(steps) > gap + 1) + 1)
    touched = [
        any(run[0] < end and run[-1] >= begin for begin, end in spans)
        for run in runs
        if len(run)
    ]
    return Events(~np.isnan(delays), delays, touched.count(False))


def _check_truth(is_anomaly, scores):
    is_anomaly = np.asarray(is_anomaly)
    if is_anomaly.dtype != bool or is_anomaly.shape != scores.shape:
        received = f"{is_anomaly.dtype} of shape {is_anomaly.shape}"
        check.fail("is_anomaly", f"booleans of shape {scores.shape}", received)
    return is_anomaly


def _check_scores(scores):
    check.check_array(scores, "scores", ndim=1)
    return np.asarray(scores, dtype="float64")
