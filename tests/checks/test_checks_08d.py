"""Checks of chapter 8d: wrong answers are named, unusual right ones pass."""

import itertools

import numpy as np
import pytest
import scipy.stats
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from scipy.spatial.distance import cdist
from sklearn.model_selection import GroupShuffleSplit

from utils.checks import chapter_08d

checks = Watched(chapter_08d)

# ---------------------------------------------------------------- 8d.1


@pytest.mark.parametrize(
    "answer",
    [
        (0.32, 32, 0.748),
        # 200 of 1 000 rows drawn, none put back
        (2 * 200 * 800 / (1000 * 999), 32.032032, 0.748048),
        np.float32([0.32, 32, 0.748]),
        [np.array([0.32]), 32.0, ops.convert_to_tensor(0.748)],
    ],
)
def test_check_8d_1_right_numbers_pass(answer, capsys):
    checks.check_8d_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        ((0.16, 32, 0.748), "Either twin"),
        ((0.04, 32, 0.748), "both"),
        ((0.2, 32, 0.748), "one"),
        ((0.64, 32, 0.748), "both are in training"),
        ((0.32, 64, 0.748), "100 pairs"),
        ((0.32, 16, 0.748), "both ways"),
        ((0.32, 40, 0.748), "as well"),
        ((0.32, 32.1, 0.748), "Draw a pair"),
        ((0.32, 0.32, 0.748), "of 100 pairs"),
        ((0.32, 32, 0.7), "by heart"),
        ((0.32, 32, 74.8), "per cent"),
        ((0.32, 32, 0.796), "of 200"),
        ((0.32, 32, 0.86), "already"),
        ((0.5, 32, 0.748), "Draw a pair"),
        (None, "None"),
    ],
)
def test_check_8d_1_wrong_numbers_are_named(answer, match):
    rejects(checks.check_8d_1, answer, match=match)


# ---------------------------------------------------------------- 8d.2


def _difference(scores, second):
    return scores[second].mean() - scores[~second].mean()


def _by_indices(scores, second, times, rng):
    m, count = second.sum(), 0
    for _ in range(times):
        order = rng.permutation(len(scores))
        shuffled = np.isin(np.arange(len(scores)), order[:m])
        found = _difference(scores, second) - 1e-9
        count += _difference(scores, shuffled) >= found
    return np.float32((1 + count) / (1 + times))


def _by_scipy(scores, second, times, rng):
    result = scipy.stats.permutation_test(
        (scores[second], scores[~second]),
        lambda a, b: np.mean(a) - np.mean(b),
        n_resamples=times,
        alternative="greater",
        rng=rng,
    )
    p = result.pvalue  # exact if there are few orders
    return max(p, 1 / (1 + times))


def _by_sums(scores, second, times, rng):
    many = rng.permuted(np.tile(scores, (times, 1)), axis=1)
    sums = many[:, second].sum(axis=1)
    count = np.sum(sums >= scores[second].sum() - 1e-9)
    return [(count + 1) / (times + 1)]


@pytest.mark.parametrize("answer", [_by_indices, _by_scipy, _by_sums])
def test_check_8d_2_right_p_value_passes(answer):
    checks.check_8d_2(answer)


def _shuffled(scores, second, times, rng, found=None, measure=_difference):
    found = measure(scores, second) - 1e-9 if found is None else found
    draws = [rng.permutation(second) for _ in range(times)]
    return np.array([measure(scores, d) for d in draws]), found


def _p(scores, second, times, rng, *, add=(1, 1), measure=_difference):
    values, found = _shuffled(scores, second, times, rng, measure=measure)
    return (add[0] + np.sum(values >= found)) / (add[1] + times)


def _strict(scores, second, times, rng):
    values, found = _shuffled(scores, second, times, rng)
    return (1 + np.sum(values > found + 2e-9)) / (1 + times)


def _smaller(scores, second, times, rng):
    values, found = _shuffled(scores, second, times, rng)
    return (1 + np.sum(values <= found + 2e-9)) / (1 + times)


def _absolute(scores, second):
    return abs(_difference(scores, second))


def _once(scores, second, times, rng):
    """One shuffle, used again and again."""
    other = rng.permutation(second)
    count = times * (
        _difference(scores, other) >= _difference(scores, second) - 1e-9
    )
    return (1 + count) / (1 + times)


def _with_replacement(scores, second, times, rng):
    made = rng.choice(scores, (times, len(scores)))
    values = made[:, second].mean(axis=1) - made[:, ~second].mean(axis=1)
    found = _difference(scores, second) - 1e-9
    return (1 + np.sum(values >= found)) / (1 + times)


def _coins(scores, second, times, rng):
    """Labels drawn anew, so that the second set has another size."""
    found, count = _difference(scores, second) - 1e-9, 0
    for _ in range(times):
        drawn = rng.random(len(scores)) < second.mean()
        if drawn.any() and not drawn.all():
            count += _difference(scores, drawn) >= found
        else:
            count += found <= 0
    return (1 + count) / (1 + times)


def _of_ranks(scores, second, times, rng):
    return _p(scipy.stats.rankdata(scores), second, times, rng)


def _doubled(scores, second, times, rng):
    p = _p(scores, second, times, rng)
    return min(1, 2 * p) if times > 100 else p


@pytest.mark.parametrize(
    "answer, match",
    [
        (_strict, "Count ties"),
        (lambda *a: _p(*a, add=(0, 0)), "p is 0"),
        (lambda *a: _p(*a, add=(1, 0)) if a[2] > 20 else 1.0, "below as well"),
        (_smaller, "at least as \\*large\\*"),
        (lambda *a: _p(*a, measure=_absolute), "both sides"),
        (_once, "anew each time"),
        (_doubled, "both sides"),
        (_with_replacement, "each row counts once"),
        (_coins, "as many rows"),
        (_of_ranks, "differences of means"),
        (lambda s, y, n, r: _p(s, y, min(n, 49), r), "1/100"),
        (lambda *a: 2.0, "between 0 and 1"),
        (lambda *a: 0.5, "Count ties"),
        (lambda *a: 1.0, "at least as \\*large\\*"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8d_2_wrong_p_value_is_named(answer, match):
    rejects(checks.check_8d_2, answer, match=match)


def test_exact_p_counts_every_order_once():
    scores = np.array([0.0, 1.0, 2.0, 4.0])
    second = np.array([False, False, True, True])
    pairs = list(itertools.combinations(scores, 2))
    by_hand = sum(sum(pair) >= 6 for pair in pairs) / len(pairs)
    assert chapter_08d._exact_p(scores, second) == by_hand == 1 / 6


# ---------------------------------------------------------------- 8d.3


def _views(train):
    return np.concatenate([train, train[:, :, ::-1]]).reshape(-1, 64)


def _by_correlation(train, test):
    wide = _views(train)
    c = np.corrcoef(np.r_[test.reshape(-1, 64), wide])[: len(test), len(test) :]
    return [int(i) for i in np.flatnonzero(c.max(axis=1) > 0.985)]


def _by_projection(train, test):
    """What is left of a test image after the best multiple of one row."""
    wide, rows = _views(train), test.reshape(-1, 64)
    wide = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    left = np.sum(rows**2, 1) - np.max(rows @ wide.T, axis=1) ** 2
    return np.flatnonzero(left / np.sum(rows**2, 1) < 0.02)[::-1]


def _by_ranks(train, test):
    """By which pixels are bright: no length needed."""
    wide, rows = (
        np.argsort(np.argsort(a, axis=1), axis=1).astype(float)
        for a in (np.round(_views(train), 2), np.round(test.reshape(-1, 64), 2))
    )
    wide, rows = (
        a / np.maximum(a.max(axis=1, keepdims=True), 1e-9)
        for a in (_views(train), np.maximum(test.reshape(-1, 64), 0))
    )
    first, second = np.sort(cdist(rows, wide), axis=1)[:, :2].T
    return ops.convert_to_tensor(np.flatnonzero(first < 0.6 * second))


@pytest.mark.parametrize("answer", [_by_correlation, _by_projection, _by_ranks])
def test_check_8d_3_right_search_passes(answer):
    checks.check_8d_3(answer)


def _directions(train, test, limit=0.5):
    train, test = train.reshape(-1, 64), test.reshape(-1, 64)
    train = train / np.linalg.norm(train, axis=1, keepdims=True)
    test = test / np.linalg.norm(test, axis=1, keepdims=True)
    first, second = np.sort(cdist(test, train), axis=1)[:, :2].T
    return np.flatnonzero(first < limit * second)


def _mirrors_only(train, test):
    first, second = np.sort(cdist(test.reshape(-1, 64), _views(train)), 1)[
        :, :2
    ].T
    return np.flatnonzero(first < 0.5 * second)


def _either(train, test):
    return np.union1d(_directions(train, test), _mirrors_only(train, test))


def _equal(train, test):
    return np.flatnonzero(
        (cdist(test.reshape(-1, 64), _views(train)) == 0).any(1)
    )


def _of_train(train, test):
    return (
        np.argsort(cdist(test.reshape(-1, 64), _views(train)).min(0))[:60] % 700
    )


@pytest.mark.parametrize(
    "answer, match",
    [
        (_equal, "You found none"),
        (_directions, "mirrored: look"),
        (_mirrors_only, "fainter: compare"),
        (_either, "undo both at once"),
        (lambda a, b: np.arange(len(b)), "are copies. Honest"),
        (lambda a, b: np.arange(len(a)), "not of `train`"),
        (lambda a, b: np.arange(len(b)) % 2 == 0, "not one boolean"),
        (lambda a, b: np.eye(3), "a vector"),
        (lambda a, b: [-1, 2], "Indices are whole"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8d_3_wrong_search_is_named(answer, match):
    rejects(checks.check_8d_3, answer, match=match)


# ---------------------------------------------------------------- 8d.4


def _by_filling(groups, share, rng):
    """Groups in random order, until the share is reached."""
    names = rng.permutation(sorted(set(groups.tolist())))
    chosen, count = [], 0
    for name in names[:-1]:
        if count < share * len(groups):
            chosen.append(name)
            count += np.sum(groups == name)
    return [name in chosen for name in groups.tolist()]


def _by_best(groups, share, rng):
    """The best of many random sets of groups."""
    names, place = np.unique(groups, return_inverse=True)
    draws = rng.random((200, len(names))) < share
    draws = draws[draws.any(axis=1) & ~draws.all(axis=1)]
    off = [abs(d[place].mean() - share) for d in draws]
    return draws[int(np.argmin(off))][place].astype(int)


def _by_library(groups, share, rng):
    largest = np.unique(groups, return_counts=True)[1].max()
    for _ in range(100):
        seed = int(rng.integers(1000))
        split = GroupShuffleSplit(1, test_size=share, random_state=seed)
        _, test = next(split.split(groups, groups=groups))
        if abs(len(test) - share * len(groups)) <= largest:
            break
    mask = np.zeros(len(groups), dtype=bool)
    mask[test] = True
    return ops.convert_to_tensor(mask)


@pytest.mark.parametrize("answer", [_by_filling, _by_best, _by_library])
def test_check_8d_4_right_split_passes(answer):
    checks.check_8d_4(answer)


def _rows(groups, share, rng):
    return rng.random(len(groups)) < share


def _first(groups, share, rng):
    return _by_filling(groups, share, np.random.default_rng(0))


def _share_of_groups(groups, share, rng):
    names = np.unique(groups)
    count = max(1, round(share * len(names)))
    return np.isin(groups, rng.permutation(names)[:count])


def _one_group(groups, share, rng):
    sizes = np.unique(groups, return_counts=True)
    return groups == sizes[0][sizes[1].argmin()]


@pytest.mark.parametrize(
    "answer, match",
    [
        (_rows, "on both sides"),
        (_first, "same groups"),
        (_one_group, "about"),
        (_share_of_groups, "count rows"),
        (lambda g, s, r: np.zeros(len(g), bool), "empty"),
        (lambda g, s, r: np.ones(len(g), bool), "empty"),
        (lambda g, s, r: np.flatnonzero(g == g[0]), "a boolean for each"),
        (lambda g, s, r: np.arange(len(g)), "not indices"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8d_4_wrong_split_is_named(answer, match):
    rejects(checks.check_8d_4, answer, match=match)


# ---------------------------------------------------------------- 8d.5


def _by_fitting(x):
    found = []
    for j in range(x.shape[1]):
        y = x[:, j]
        if np.ptp(y) < 1e-9:
            found.append(j)
            continue
        for i in range(j):
            if np.ptp(x[:, i]) > 1e-9:
                line = np.polyval(np.polyfit(x[:, i], y, 1), x[:, i])
                if np.abs(line - y).max() < 1e-6 * np.abs(y).max():
                    found.append(j)
                    break
    return found


def _by_rank(x):
    """Each column against each earlier one, by singular values."""
    middle = x - x.mean(axis=0)
    middle = middle / np.maximum(np.abs(middle).max(axis=0), 1e-12)
    constant = np.abs(x - x.mean(axis=0)).max(axis=0) < 1e-9
    twice = [
        any(
            np.linalg.svd(middle[:, [i, j]], compute_uv=False)[1] < 1e-6
            for i in range(j)
            if not constant[i]
        )
        for j in range(x.shape[1])
    ]
    return ops.convert_to_tensor(np.flatnonzero(constant | twice))


def _correlated_slowly(x):
    found = []
    for j in range(x.shape[1]):
        flat = np.ptp(x[:, j]) < 1e-9
        pairs = (
            abs(scipy.stats.pearsonr(x[:, i], x[:, j])[0])
            for i in range(j)
            if not flat and np.ptp(x[:, i]) > 1e-9
        )
        found += [j] * bool(flat or max(pairs, default=0) > 1 - 1e-10)
    return np.array(found, "int8")


@pytest.mark.parametrize("answer", [_by_fitting, _by_rank, _correlated_slowly])
def test_check_8d_5_right_columns_pass(answer):
    checks.check_8d_5(answer)


def _correlated(x, limit=1 - 1e-10, both=False, signed=False):
    with np.errstate(all="ignore"):
        c = np.nan_to_num(np.corrcoef(x.T))
    c = c if signed else np.abs(c)
    c = c - np.eye(len(c))
    pairs = c if both else np.triu(c)
    return np.flatnonzero((pairs > limit).any(axis=0) | (np.ptp(x, 0) < 1e-9))


def _of_all_before(x):
    """Columns that any of those before make together."""
    kept, found = [np.ones(len(x))], []
    for j, column in enumerate(x.T):
        basis = np.array(kept).T
        fitted = basis @ np.linalg.lstsq(basis, column, rcond=None)[0]
        if np.abs(fitted - column).max() < 1e-6 * np.abs(column).max():
            found.append(j)
        else:
            kept.append(column)
    return found


def _in_order(x):
    found = []
    for j in range(x.shape[1]):
        ranks = [scipy.stats.rankdata(c) for c in x[:, : j + 1].T]
        same = (abs(np.corrcoef(r, ranks[j])[0, 1]) > 0.9999 for r in ranks[:j])
        if np.ptp(x[:, j]) < 1e-9 or any(same):
            found.append(j)
    return found


def _equal_columns(x):
    return [
        j
        for j in range(x.shape[1])
        if np.ptp(x[:, j]) < 1e-9
        or any(np.array_equal(x[:, i], x[:, j]) for i in range(j))
    ]


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda x: np.flatnonzero(np.ptp(x, axis=0) < 1e-9), "an equal copy"),
        (_equal_columns, "a multiple"),
        (lambda x: _correlated(x, signed=True), "turned and moved"),
        (lambda x: _correlated(x, 0.9999), "resembles"),
        (lambda x: _correlated(x, 0.99999), "resembles"),
        (_of_all_before, "\\*two\\* columns"),
        (_in_order, "no straight line"),
        (lambda x: _correlated(x, both=True), "\\*first\\*"),
        (lambda x: np.arange(12) > 7, "not one boolean"),
        (lambda x: [8.5], "whole numbers"),
        (lambda x: np.eye(3), "a vector"),
        (lambda x: [], "You miss 4"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8d_5_wrong_columns_are_named(answer, match):
    rejects(checks.check_8d_5, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
