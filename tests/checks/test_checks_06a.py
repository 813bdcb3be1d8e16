"""Checks of chapter 6a: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
import scipy.stats
from answers import Watched, rejects, stub, tells_wrong_from_right
from sklearn.metrics import roc_auc_score

from utils.checks import chapter_06a

checks = Watched(chapter_06a)

# ---------------------------------------------------------------- 6a.1


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
    "answer",
    [
        _by_ranks,
        _by_area,
        lambda s, t: roc_auc_score(t, s),
        lambda s, t: np.float16(_by_ranks(s, t)),
    ],
)
def test_check_6a_1_right_auroc_passes(answer):
    checks.check_6a_1(answer)


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
        (lambda s, t: max(_by_ranks(s, t), 1 - _by_ranks(s, t)), "than chance"),
        (lambda s, t: np.array([0.5, 0.5]), "one number"),
        (_sorting, "changed the arrays"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6a_1_wrong_auroc_is_named(answer, match):
    rejects(checks.check_6a_1, answer, match=match)


# ---------------------------------------------------------------- 6a.2


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


def _in_half(x, truth, rng):
    *parts, test_truth = _split(x, truth, rng)
    return *(part.astype("float16") for part in parts), test_truth


def _with_scikit_learn(x, truth, rng):
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    seed = int(rng.integers(1000))
    normal = np.flatnonzero(~truth)
    train, rest = train_test_split(normal, train_size=80, random_state=seed)
    val, rest = train_test_split(rest, train_size=40, random_state=seed)
    test = np.concatenate([np.flatnonzero(truth), rest])
    scaler = StandardScaler().fit(x[train])
    return *(scaler.transform(x[rows]) for rows in (train, val, test)), truth[
        test
    ]


@pytest.mark.parametrize(
    "answer", [_split, _sample_deviation, _with_scikit_learn, _in_half]
)
def test_check_6a_2_right_split_passes(answer):
    checks.check_6a_2(answer)


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


def _anomalies_alone(x, truth, rng):
    *parts, test, test_truth = _split(x, truth, rng)
    return *parts, test[test_truth], test_truth[test_truth]


def _truth_in_place(x, truth, rng):
    parts = _split(x, truth, rng)
    truth[:] = False
    return parts


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
        (_anomalies_alone, "80 are left"),
        (_truth_in_place, "or its truth"),
        (lambda x, t, rng: _split(x, t, rng)[:3], "Return 4 things"),
        (
            lambda x, t, rng: (*_split(x, t, rng)[:3], t[:3]),
            "3 truths",
        ),
        (stub, "waits for your answer"),
    ],
)
def test_check_6a_2_wrong_split_is_named(answer, match):
    rejects(checks.check_6a_2, answer, match=match)


# ---------------------------------------------------------------- 6a.3


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


def _density(x_train):
    from sklearn.neighbors import KernelDensity

    density = KernelDensity(bandwidth=0.3).fit(x_train)
    return lambda rows: [-value for value in density.score_samples(rows)]


@pytest.mark.parametrize("answer", [_mixture, _nearest, _density])
def test_check_6a_3_right_detector_passes(answer):
    checks.check_6a_3(answer)


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
def test_check_6a_3_wrong_detector_is_named(answer, match):
    rejects(checks.check_6a_3, answer, match=match)


# ---------------------------------------------------------------- 6a.4

GOOD = {
    "clean": [0.99, 0.98, 0.99],
    "dirty": [0.7, 0.75, 0.8],
    "trimmed": [0.72, 0.7, 0.79],
}


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        {name: np.array(values)[::-1] for name, values in GOOD.items()},
        {
            "dirty": np.full(5, 0.9, "float32"),
            "trimmed": (0.89, 0.9, 0.88),
            "clean": np.linspace(0.97, 0.99, 5)[:, None],
        },
        {  # of eight principal axes
            "clean": [0.956, 0.955, 0.957],
            "dirty": [0.444, 0.393, 0.422],
            "trimmed": [0.423, 0.48, 0.429],
        },
    ],
)
def test_check_6a_4_plausible_results_pass(answer):
    checks.check_6a_4(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        ("clean", "dict"),
        ({"clean": [0.9] * 3, "dirty": [0.8] * 3}, "it lacks 'trimmed'"),
        (GOOD | {"clean": [0.99, 0.98]}, "three seeds"),
        (GOOD | {"clean": [0.99] * 3}, "seed reach"),
        (GOOD | {"clean": [0.01, 0.02, 0.03]}, "below chance"),
        (GOOD | {"clean": [0.8, 0.81, 0.82]}, "long enough"),
        (GOOD | {"dirty": [0.98] * 3}, "hardly a difference"),
        (GOOD | {"trimmed": GOOD["dirty"]}, "same numbers"),
        (GOOD | {"trimmed": [0.98, 0.97, 0.98]}, "by their labels"),
        (GOOD | {"trimmed": [0.55, 0.55, 0.37]}, "keep the strangest"),
        (GOOD | {"dirty": [0.18, 0.23, 0.24]}, "only 30 of them"),
        ({name: 0.9 for name in GOOD}, "three seeds"),
        ({name: [99, 98, 97] for name in GOOD}, "between 0 and 1"),
    ],
)
def test_check_6a_4_implausible_results_are_named(answer, match):
    rejects(checks.check_6a_4, answer, match=match)


# ---------------------------------------------------------------- 6a.5


def _by_counting(scores, rate):
    for value in sorted(scores):
        above = sum(other > value for other in scores)
        if (above + 1) / (len(scores) + 1) <= rate + 1e-12:
            return value
    raise ValueError("too few")


def _by_partition(scores, rate):
    n = len(scores)
    rank = int(np.ceil(np.round((1 - rate) * (n + 1), 9)))
    if rank > n:
        raise ValueError("too few")
    return np.partition(scores, rank - 1)[rank - 1 : rank]


def _by_quantile(scores, rate):
    n = len(scores)
    level = np.ceil((1 - rate) * (n + 1) - 1e-9) / n
    return np.float32(np.quantile(scores, level, method="inverted_cdf"))


def _in_half_precision(scores, rate):
    return np.float16(_by_counting(scores, rate))


@pytest.mark.parametrize(
    "answer", [_by_counting, _by_partition, _by_quantile, _in_half_precision]
)
def test_check_6a_5_right_threshold_passes(answer):
    checks.check_6a_5(answer)


def _plain_rank(scores, rate):
    return np.sort(scores)[int(np.ceil((1 - rate) * len(scores) - 1e-9)) - 1]


def _largest_at_last(scores, rate):
    rank = min(int(np.ceil((1 - rate) * (len(scores) + 1) - 1e-9)), len(scores))
    return np.sort(scores)[rank - 1]


def _by_index(scores, rate):
    return np.sort(scores)[
        int(np.ceil((1 - rate) * (len(scores) + 1) - 1e-9)) - 1
    ]


def _in_place(scores, rate):
    scores.sort()
    return _by_counting(scores, rate)


@pytest.mark.parametrize(
    "answer, match",
    [
        (_plain_rank, "the rank ⌈q n⌉"),
        (lambda s, rate: np.quantile(s, 1 - rate), "interpolates"),
        (lambda s, rate: _by_counting(s, 1 - rate), "left in peace"),
        (lambda s, rate: np.max(s), "wastes alarms"),
        (lambda s, rate: np.mean(s), "th smallest"),
        (lambda s, rate: s, "one number"),
        (_largest_at_last, "and your function returned"),
        (_by_index, "yours raised IndexError"),
        (_in_place, "sort a copy"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6a_5_wrong_threshold_is_named(answer, match):
    rejects(checks.check_6a_5, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
