"""Checks of chapter 8b: wrong answers are named, unusual right ones pass."""

import itertools

import keras
import numpy as np
import pytest
import scipy.stats
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from utils.checks import chapter_08b

checks = Watched(chapter_08b)

# ---------------------------------------------------------------- 8b.1


@pytest.mark.parametrize(
    "answer",
    [
        (0.4, 0.4, 0.05),
        np.float32([0.4, 0.4, 0.05]),
        [np.array([0.4]), 2 / 5, ops.convert_to_tensor(0.05)],
        keras.ops.convert_to_tensor([0.4, 0.4, 0.05]),
    ],
)
def test_check_8b_1_right_lengths_pass(answer, capsys):
    checks.check_8b_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        ((1.9, 0.4, 0.05), "long before"),
        ((1.5, 0.4, 0.05), "how far is it"),
        ((3.4, 0.4, 0.05), "subtract"),
        ((0.4, 1.36, 0.05), "squares"),
        ((0.4, 1.36**0.5, 0.05), "difference of the roots"),
        ((0.4, 0.16, 0.05), "square of the length"),
        ((0.4, 0.4, 0.4), "all 64 pixels"),
        ((0.4, 0.4, 0.4 / 64), "divided by 64"),
        ((0.4, 0.4, 3.2), "multiplied"),
        ((0.4, 0.4, 0.1), "not 0.1"),
        ((0.4, 0.4), "Return 3 things"),
        (None, "None"),
    ],
)
def test_check_8b_1_wrong_lengths_are_named(answer, match):
    rejects(checks.check_8b_1, answer, match=match)


# ---------------------------------------------------------------- 8b.2


def _by_search(x, train, size):
    search = NearestNeighbors(n_neighbors=1).fit(train)
    far, index = search.kneighbors(x)
    step = np.clip(size / np.maximum(far, 1e-12), 0, 1)
    return ((1 - step) * x + step * train[index[:, 0]]).tolist()


def _by_rows(x, train, size):
    moved = []
    for row in x:
        gap = train - row
        length = np.sqrt((gap**2).sum(axis=1))
        best = length.argmin()
        share = 1.0 if length[best] <= size else size / length[best]
        moved.append(row + share * gap[best])
    return ops.convert_to_tensor(np.array(moved, "float64"))


def _by_steps(x, train, size):
    z = x.copy()
    for _ in range(100):
        goal = train[cdist(z, train).argmin(axis=1)] - z
        far = np.linalg.norm(goal, axis=1, keepdims=True)
        z = z + goal * np.minimum(1, size / 100 / np.maximum(far, 1e-12))
    return z


@pytest.mark.parametrize("answer", [_by_search, _by_rows, _by_steps])
def test_check_8b_2_right_move_passes(answer):
    checks.check_8b_2(answer)


def _towards(x, train, size, *, sign=1, scaled=True, index=None):
    index = cdist(x, train).argmin(axis=1) if index is None else index
    goal = train[index] - x
    far = np.linalg.norm(goal, axis=1, keepdims=True)
    return x + sign * size * (goal / np.maximum(far, 1e-12) if scaled else goal)


def _in_place(x, train, size):
    x += 0.01
    return x


def _to_the_mean(x, train, size):
    goal = train.mean(axis=0) - x
    return x + size * goal / np.linalg.norm(goal, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda x, t, s: x.copy(), "not moved"),
        (_towards, "go past"),
        (lambda x, t, s: _towards(x, t, s, scaled=False), "of length one"),
        (lambda x, t, s: _towards(x, t, s, sign=-1), "away"),
        (lambda x, t, s: t[cdist(x, t).argmin(1)], "training rows themselves"),
        (lambda x, t, s: x + s, "moved by"),
        (_to_the_mean, "is possible"),
        (_in_place, "changed an array"),
        (lambda x, t, s: x[:2], "shape"),
        (lambda x, t, s: x * np.nan, "NaN"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8b_2_wrong_move_is_named(answer, match):
    rejects(checks.check_8b_2, answer, match=match)


# ---------------------------------------------------------------- 8b.3


def _by_probabilities(log_p, trained, now):
    p = np.exp(log_p) / trained * now
    return (p / p.sum(axis=1, keepdims=True)).argmax(axis=1).astype("int8")


def _by_loop(log_p, trained, now):
    return [
        max(range(len(now)), key=lambda c: np.exp(row[c]) * now[c] / trained[c])
        for row in log_p
    ]


def _by_tensors(log_p, trained, now):
    shares = ops.log(ops.convert_to_tensor(now / trained))
    return ops.argmax(ops.convert_to_tensor(log_p) + shares, axis=1)


@pytest.mark.parametrize("answer", [_by_probabilities, _by_loop, _by_tensors])
def test_check_8b_3_right_classes_pass(answer):
    checks.check_8b_3(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda p, t, n: p.argmax(1), "where the classifier was trained"),
        (lambda p, t, n: (p - np.log(t)).argmax(1), "\\*equal\\* shares"),
        (lambda p, t, n: (p + np.log(n)).argmax(1), "divide them out"),
        (lambda p, t, n: (p + np.log(t / n)).argmax(1), "exchanged"),
        (lambda p, t, n: (p - t + n).argmax(1), "logarithms"),
        (lambda p, t, n: (np.exp(p) - t + n).argmax(1), "subtracted"),
        (lambda p, t, n: p + np.log(n / t), "not one number a class"),
        (lambda p, t, n: np.zeros(len(p)), "Bayes"),
        (lambda p, t, n: np.full(len(p), 9), "from 0 to"),
        (lambda p, t, n: np.full(len(p), 0.5), "whole numbers"),
        (
            lambda p, t, n: (p + np.log(np.maximum(n, 0.03) / t)).argmax(1),
            "cannot occur",
        ),
        (stub, "waits for your answer"),
    ],
)
def test_check_8b_3_wrong_classes_are_named(answer, match):
    rejects(checks.check_8b_3, answer, match=match)


# ---------------------------------------------------------------- 8b.4


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
def test_check_8b_4_right_p_value_passes(answer):
    checks.check_8b_4(answer)


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


def _doubled(scores, second, times, rng):
    p = _p(scores, second, times, rng)
    return min(1, 2 * p) if times > 50 else p


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
        (lambda *a: 2.0, "between 0 and 1"),
        (lambda *a: 0.5, "Count ties"),
        (lambda *a: 1.0, "at least as \\*large\\*"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8b_4_wrong_p_value_is_named(answer, match):
    rejects(checks.check_8b_4, answer, match=match)


def test_exact_p_counts_every_order_once():
    scores = np.array([0.0, 1.0, 2.0, 4.0])
    second = np.array([False, False, True, True])
    pairs = list(itertools.combinations(scores, 2))
    by_hand = sum(sum(pair) >= 6 for pair in pairs) / len(pairs)
    assert chapter_08b._exact_p(scores, second) == by_hand == 1 / 6


# ---------------------------------------------------------------- 8b.5


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
def test_check_8b_5_right_search_passes(answer):
    checks.check_8b_5(answer)


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
def test_check_8b_5_wrong_search_is_named(answer, match):
    rejects(checks.check_8b_5, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
