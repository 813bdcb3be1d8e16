"""Checks of chapter 8b: wrong answers are named, unusual right ones pass."""

import keras
import numpy as np
import pytest
import scipy.optimize
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.class_weight import compute_sample_weight

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


def _by_library(y):
    return compute_sample_weight("balanced", y).astype("float32")


def _by_counting(y):
    y = y.tolist()
    kinds = len(set(y))
    return [len(y) / (kinds * y.count(label)) for label in y]


def _by_normalising(y):
    _, place, counts = np.unique(y, return_inverse=True, return_counts=True)
    weight = 1 / counts[place]
    return ops.convert_to_tensor(weight / weight.mean())


@pytest.mark.parametrize("answer", [_by_library, _by_counting, _by_normalising])
def test_check_8b_4_right_weights_pass(answer):
    checks.check_8b_4(answer)


def _counts(y):
    _, place, counts = np.unique(y, return_inverse=True, return_counts=True)
    return counts[place], counts


def _root(y):
    weight = 1 / np.sqrt(_counts(y)[0])
    return weight / weight.mean()


def _unequal(y):
    weight = len(y) / (len(_counts(y)[1]) * _counts(y)[0])
    first = np.flatnonzero(y == y[0])
    weight[first[:2]] += [0.1, -0.1]
    return weight


def _negative(y):
    return -_by_library(y)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda y: np.ones(len(y)), "All weights are 1"),
        (lambda y: 1 / _counts(y)[0], "size of the loss"),
        (lambda y: len(y) / _counts(y)[0], "number of classes"),
        (
            lambda y: max(_counts(y)[1]) / _counts(y)[0],
            "only the largest class",
        ),
        (lambda y: _counts(y)[0] * len(_counts(y)[1]) / len(y), "multiply"),
        (_root, "total weight"),
        (_unequal, "weigh differently"),
        (_negative, "positive"),
        (lambda y: 3 * _by_library(y) / 2, "mean weight is 1.5"),
        (lambda y: _counts(y)[1], "shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8b_4_wrong_weights_are_named(answer, match):
    rejects(checks.check_8b_4, answer, match=match)


# ---------------------------------------------------------------- 8b.5


def _by_choice(x, slope, delta):
    down, up = np.maximum(x - delta, 0), np.minimum(x + delta, 1)
    return np.where(slope > 0, down, up).astype("float32")


def _by_program(x, slope, delta):
    """A linear program, row by row."""
    rows = []
    for row, costs in zip(x, slope, strict=True):
        bounds = [(max(v - delta, 0), min(v + delta, 1)) for v in row]
        rows.append(scipy.optimize.linprog(costs, bounds=bounds).x)
    return rows


def _by_tensor(x, slope, delta):
    return ops.clip(ops.convert_to_tensor(x - delta * np.sign(slope)), 0, 1)


@pytest.mark.parametrize("answer", [_by_choice, _by_program, _by_tensor])
def test_check_8b_5_right_move_passes(answer):
    checks.check_8b_5(answer)


def _length(x, slope, delta):
    size = np.linalg.norm(slope, axis=1, keepdims=True)
    return np.clip(x - delta * slope / size, 0, 1)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda x, s, d: x.copy(), "not moved"),
        (lambda x, s, d: x - d * np.sign(s), "clip them"),
        (lambda x, s, d: np.clip(x + d * np.sign(s), 0, 1), "rises"),
        (lambda x, s, d: np.clip(x - d * s, 0, 1), "scale by the slope"),
        (_length, "of \\*length\\* delta"),
        (lambda x, s, d: np.clip(x - 2 * d * np.sign(s), 0, 1), "is allowed"),
        (lambda x, s, d: np.clip(x - d / 2 * np.sign(s), 0, 1), "is possible"),
        (lambda x, s, d: x - 3, "leave"),
        (lambda x, s, d: x[0], "shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8b_5_wrong_move_is_named(answer, match):
    rejects(checks.check_8b_5, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
