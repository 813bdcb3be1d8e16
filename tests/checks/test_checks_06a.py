"""Checks of chapter 6a: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
import scipy.stats
from answers import Watched, rejects, stub, tells_wrong_from_right
from sklearn.metrics import roc_auc_score

from utils.checks import chapter_06a

checks = Watched(chapter_06a)

# ---------------------------------------------------------------- 6.1


@pytest.mark.parametrize("answer", [90 / 585, 0.154, np.array([0.1538])])
def test_check_6_1_right_share_passes(answer, capsys):
    checks.check_6_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (15.4, "share between 0 and 1"),
        (0.9, "the recall"),
        (495 / 585, "alarms that are false"),
        (0.9 / 0.95, "99 honest payments"),
        (0.009, "Divide by"),
        (0.95, "left in peace"),
        (0.5, "10 000 payments"),
        (None, "None"),
    ],
)
def test_check_6_1_wrong_share_is_named(answer, match):
    rejects(checks.check_6_1, answer, match=match)


# ---------------------------------------------------------------- 6.2


def _by_ranks(scores, truth):
    ranks = scipy.stats.rankdata(scores)
    n = truth.sum()
    pairs = n * (len(truth) - n)
    return (ranks[truth].sum() - n * (n + 1) / 2) / pairs


def _by_area(scores, truth):
    limits = np.unique(scores)[::-1]
    found = np.array([(scores[truth] >= t).mean() for t in limits])
    false = np.array([(scores[~truth] >= t).mean() for t in limits])
    return np.trapezoid(np.r_[0, found], np.r_[0, false])


@pytest.mark.parametrize(
    "answer", [_by_ranks, _by_area, lambda s, t: roc_auc_score(t, s)]
)
def test_check_6_2_right_auroc_passes(answer):
    checks.check_6_2(answer)


def _strict(s, t):
    return np.mean(s[t][:, None] > s[~t])


def _sorting(s, t):
    s.sort()
    return 0.5


@pytest.mark.parametrize(
    "answer, match",
    [
        (_strict, "0 for a tie"),
        (lambda s, t: np.mean(s[t][:, None] >= s[~t]), "1 for a tie"),
        (lambda s, t: 1 - _by_ranks(s, t), "1 − AUROC"),
        (lambda s, t: np.mean((s > np.median(s)) == t), "one threshold"),
        (lambda s, t: np.sum(s[t][:, None] > s[~t]), "number of pairs"),
        (lambda s, t: np.sum(s[t][:, None] > s[~t]) / 3600, "all pairs"),
        (lambda s, t: 0.5, "AUROC is"),
        (lambda s, t: np.array([0.5, 0.5]), "one number"),
        (_sorting, "changed the arrays"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6_2_wrong_auroc_is_named(answer, match):
    rejects(checks.check_6_2, answer, match=match)


# ---------------------------------------------------------------- 6.3


def _split(x, truth, rng, *, scale="train", val_anomalies=0, shuffle=True):
    normal = np.flatnonzero(~truth)
    strange = np.flatnonzero(truth)
    if shuffle:
        normal = rng.permutation(normal)
    train, val, rest = normal[:80], normal[80:120], normal[120:]
    if val_anomalies:
        val = np.concatenate([val[val_anomalies:], strange[:val_anomalies]])
    test = rng.permutation(np.concatenate([rest, strange]))
    source = {"train": train, "all": np.arange(len(x)), "normal": normal}
    if scale == "own":
        parts = [
            (x[r] - x[r].mean(0)) / x[r].std(0) for r in (train, val, test)
        ]
        return *parts, truth[test]
    rows = x[source.get(scale, train)]
    mean, deviation = rows.mean(0), rows.std(0)
    if scale == "none":
        mean, deviation = 0.0, 1.0
    parts = [(x[r] - mean) / deviation for r in (train, val, test)]
    return *parts, truth[test]


def _sample_deviation(x, truth, rng):
    normal = rng.permutation(np.flatnonzero(~truth))
    train, val = np.sort(normal[:80]), normal[80:120]
    test = np.setdiff1d(np.arange(len(x)), np.concatenate([train, val]))
    mean, deviation = x[train].mean(0), x[train].std(0, ddof=1)
    parts = [
        ((x[r] - mean) / deviation).astype("float32")
        for r in (train, val, test)
    ]
    return [*parts, truth[test].astype(int)]


@pytest.mark.parametrize("answer", [_split, _sample_deviation])
def test_check_6_3_right_split_passes(answer):
    checks.check_6_3(answer)


def _of_all_rows(x, truth, rng):
    rows = rng.permutation(200)
    x = (x - x.mean(0)) / x.std(0)
    return x[rows[:100]], x[rows[100:150]], x[rows[150:]], truth[rows[150:]]


def _wrong_truth(x, truth, rng):
    *parts, test_truth = _split(x, truth, rng)
    return *parts, np.sort(test_truth)


def _twice(x, truth, rng):
    train, _, test, test_truth = _split(x, truth, rng)
    return train, train[:40], test, test_truth


def _with(**options):
    return lambda x, truth, rng: _split(x, truth, rng, **options)


@pytest.mark.parametrize(
    "answer, match",
    [
        (_of_all_rows, "Split the 160 normal rows"),
        (_with(scale="all"), "include anomalies"),
        (_with(scale="own"), "its own mean"),
        (_with(scale="none"), "not standardised"),
        (_with(val_anomalies=5), "among the validation rows"),
        (_with(shuffle=False), "draw them with"),
        (_wrong_truth, "does not belong"),
        (_twice, "stands in two parts"),
        (lambda x, t, rng: _split(x, t, rng)[:3], "Return 4 things"),
        (
            lambda x, t, rng: (*_split(x, t, rng)[:3], t[:3]),
            "3 truths",
        ),
        (stub, "waits for your answer"),
    ],
)
def test_check_6_3_wrong_split_is_named(answer, match):
    rejects(checks.check_6_3, answer, match=match)


# ---------------------------------------------------------------- 6.4


def _mixture(x_train):
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(
        40, covariance_type="diag", random_state=0, reg_covar=1e-2
    ).fit(x_train)
    return lambda rows: -mixture.score_samples(rows)


def _nearest(x_train):
    return lambda rows: np.array(
        [((row - x_train) ** 2).sum(1).min() for row in rows]
    )


@pytest.mark.parametrize("answer", [_mixture, _nearest])
def test_check_6_4_right_detector_passes(answer):
    checks.check_6_4(answer)


def _by_rank(x_train):
    score = _nearest(x_train)
    return lambda rows: scipy.stats.rankdata(score(rows))


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda x: lambda rows: -_nearest(x)(rows), "change its sign"),
        (lambda x: lambda rows: ((rows - x.mean(0)) ** 2).sum(1), "0.93"),
        (_by_rank, "depends on the other rows"),
        (lambda x: lambda rows: rows, "shape"),
        (lambda x: np.zeros(359), "Return a \\*function\\*"),
        (lambda x: lambda rows: np.full(len(rows), np.nan), "NaN"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6_4_wrong_detector_is_named(answer, match):
    rejects(checks.check_6_4, answer, match=match)


# ---------------------------------------------------------------- 6.5


@pytest.mark.parametrize(
    "answer",
    [
        {"clean": [0.99, 0.98, 0.99], "dirty": [0.7, 0.75, 0.8]},
        {"dirty": np.full(5, 0.9), "clean": np.linspace(0.97, 0.99, 5)},
    ],
)
def test_check_6_5_plausible_results_pass(answer):
    checks.check_6_5(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        ("clean", "dict"),
        ({"clean": [0.9] * 3}, "it lacks 'dirty'"),
        ({"clean": [0.99, 0.98], "dirty": [0.7, 0.7]}, "three seeds"),
        ({"clean": [0.99] * 3, "dirty": [0.7, 0.8, 0.7]}, "seed reach"),
        ({"clean": [0.01, 0.02, 0.03], "dirty": [0.2] * 3}, "below chance"),
        ({"clean": [0.8, 0.81, 0.82], "dirty": [0.7] * 3}, "long enough"),
        (
            {"clean": [0.99, 0.98, 0.97], "dirty": [0.98] * 3},
            "hardly a difference",
        ),
        ({"clean": [99, 98, 97], "dirty": [80] * 3}, "between 0 and 1"),
    ],
)
def test_check_6_5_implausible_results_are_named(answer, match):
    rejects(checks.check_6_5, answer, match=match)


# ---------------------------------------------------------------- 6.6


def _by_regressions(x_train, row):
    residuals = []
    for j in range(x_train.shape[1]):
        others = np.delete(np.arange(x_train.shape[1]), j)
        a = np.c_[x_train[:, others], np.ones(len(x_train))]
        w, rest, *_ = np.linalg.lstsq(a, x_train[:, j])
        miss = row[j] - np.r_[row[others], 1.0] @ w
        residuals.append(miss**2 / rest[0])
    return np.argmax(residuals)


def _by_repair(x_train, row):
    pulls = []
    for j in range(len(row)):
        others = np.delete(np.arange(len(row)), j)
        near = ((x_train[:, others] - row[others]) ** 2).sum(1).argsort()[:5]
        pulls.append(abs(row[j] - x_train[near, j].mean()))
    return int(np.argmax(pulls))


@pytest.mark.parametrize("answer", [_by_regressions, _by_repair])
def test_check_6_6_right_explanation_passes(answer):
    checks.check_6_6(answer)


def _z_score(x_train, row):
    return np.argmax(np.abs(row - x_train.mean(0)) / x_train.std(0))


@pytest.mark.parametrize(
    "answer, match",
    [
        (_z_score, "\\*within\\* its range"),
        (lambda x, row: 0, "are needed"),
        (lambda x, row: 6, "0 to 5"),
        (lambda x, row: row, "one number"),
        (lambda x, row: None, "None"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6_6_wrong_explanation_is_named(answer, match):
    rejects(checks.check_6_6, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
