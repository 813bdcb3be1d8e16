"""Checks of chapter 6j: wrong answers are named, unusual right ones pass."""

from collections import Counter

import keras
import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from scipy import ndimage
from sklearn.cluster import KMeans

from utils import data
from utils.baselines import boxes as classic
from utils.checks import chapter_06j
from utils.data import scenes
from utils.evaluation.boxes import iou

checks = Watched(chapter_06j)


@pytest.mark.parametrize(
    "answer",
    [
        [36 / 92, 6 / 9],
        np.array([0.391, 0.667], "float32"),
        (np.float64(9 / 23), 2 / 3),
    ],
)
def test_check_6j_1_right_values_pass(answer, capsys):
    checks.check_6j_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        ([36 / 64, 2 / 3], "divides by one box"),
        ([36 / 128, 2 / 3], "twice in the union"),
        ([36, 2 / 3], "in pixels"),
        ([0.36, 2 / 3], "box around both"),
        ([0.9, 2 / 3], "6 × 6"),
        ([36 / 92, 0.6], "precision"),
        ([36 / 92, 0.75], "recall"),
        ([36 / 92, 1 / 3], "two boxes"),
        ([36 / 92, 0.9], "twice the pairs"),
        ([36 / 92], "two numbers"),
        (None, "waits for your answer"),
    ],
)
def test_check_6j_1_wrong_values_are_named(answer, match):
    rejects(checks.check_6j_1, answer, match=match)


def parts(a, b, least=0):
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sizes = [(x[:, 2:] - x[:, :2]).prod(1) for x in (a, b)]
    shared = high - low if least is None else np.maximum(high - low, least)
    return shared.prod(-1), sizes[0][:, None], sizes[1][None]


def with_masks(a, b):
    """Pixel by pixel."""
    grid = np.mgrid[:40, :40]

    def masks(boxes):
        return np.array(
            [
                (grid[0] >= t)
                & (grid[0] < w)
                & (grid[1] >= left)
                & (grid[1] < r)
                for t, left, w, r in boxes
            ]
        ).reshape(len(boxes), -1)

    one, two = masks(a)[:, None], masks(b)[None]
    return (one & two).sum(-1) / (one | two).sum(-1)


def in_place(a, b):
    value = iou(a, b)
    a += 1
    return value


def ratio(shared, first, second):
    return shared / (first + second - shared)


@pytest.mark.parametrize(
    "answer",
    [
        iou,
        with_masks,
        lambda a, b: iou(b, a).T.tolist(),
        lambda a, b: ops.convert_to_tensor(iou(a, b)),
    ],
)
def test_check_6j_2_right_answers_pass(answer):
    checks.check_6j_2(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda a, b: ratio(*parts(a, b, None)), "negative side"),
        (
            lambda a, b: parts(a, b)[0] / sum(parts(a, b)[1:]),
            "counts the shared part once",
        ),
        (lambda a, b: parts(a, b)[0], "the intersection"),
        (
            lambda a, b: parts(a, b)[0] / np.minimum(*parts(a, b)[1:]),
            "smaller box",
        ),
        (lambda a, b: 1 - iou(a, b), "distance"),
        (lambda a, b: iou(b, a), "should have shape"),
        (lambda a, b: iou(a, b) ** 2, "not those of IoU"),
        (in_place, "changes the boxes"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6j_2_wrong_answers_are_named(answer, match):
    rejects(checks.check_6j_2, answer, match=match)


def by_loops(score, least):
    height, width = score.shape
    found = []
    for r in range(height):
        for c in range(width):
            window = score[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2]
            if score[r, c] > least and score[r, c] == window.max():
                found.append([r, c])
    return found[::-1]


def four_neighbours(score, least):
    cross = ndimage.generate_binary_structure(2, 1)
    top = ndimage.maximum_filter(score, footprint=cross)
    return np.argwhere((score == top) & (score > least))


def without_edge(score, least):
    places = classic.peak_places(score, least, 3)
    last = np.array(score.shape) - 1
    return places[((places > 0) & (places < last)).all(axis=1)]


def by_pooling(score, least):
    top = keras.ops.max_pool(
        ops.convert_to_tensor(score[None, ..., None]), 3, 1, "same"
    )
    top = ops.convert_to_numpy(top)[0, ..., 0]
    return np.stack(np.nonzero((score == top) & (score > least)), axis=1)


@pytest.mark.parametrize(
    "answer", [by_loops, by_pooling, lambda s, t: classic.peak_places(s, t, 3)]
)
def test_check_6j_3_right_answers_pass(answer):
    checks.check_6j_3(answer)


def at_least(score, least):
    top = ndimage.maximum_filter(score, 3, mode="constant", cval=-np.inf)
    return np.argwhere((score == top) & (score >= least))


def zeros_beyond(score, least):
    top = ndimage.maximum_filter(score, 3, mode="constant", cval=0)
    return np.argwhere((score == top) & (score > least))


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda s, t: np.argwhere(s > t), "all cells above"),
        (
            lambda s, t: classic.peak_places(s, t, 3)[:, ::-1],
            "Rows first",
        ),
        (without_edge, "at the edge"),
        (four_neighbours, "eight neighbours"),
        (lambda s, t: classic.peak_places(s, -1.0, 3), "not above"),
        (lambda s, t: classic.peak_places(s, t, 7), "are missing"),
        (at_least, "is not \\*above\\*"),
        (zeros_beyond, "nothing, not 0"),
        (
            lambda s, t: classic.peak_places(s, t, 3).ravel(),
            "places \\(k, 2\\)",
        ),
        (
            lambda s, t: classic.peak_places(s, t, 3).repeat(2, axis=0),
            "listed twice",
        ),
        (stub, "waits for your answer"),
    ],
)
def test_check_6j_3_wrong_answers_are_named(answer, match):
    rejects(checks.check_6j_3, answer, match=match)


def share(same):
    return lambda found, truth: np.mean(
        [same(a, b) for a, b in zip(found, truth, strict=True)]
    )


@pytest.mark.parametrize(
    "answer",
    [
        share(lambda a, b: sorted(a) == sorted(b)),
        share(lambda a, b: Counter(a) == Counter(b)),
        share(
            lambda a, b: np.array_equal(
                np.bincount(np.array(a, int), minlength=10),
                np.bincount(np.array(b, int), minlength=10),
            )
        ),
    ],
)
def test_check_6j_4_right_answers_pass(answer):
    checks.check_6j_4(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (share(lambda a, b: a == b), "order is free"),
        (share(lambda a, b: set(a) == set(b)), "how often"),
        (share(lambda a, b: len(a) == len(b)), "Content, not number"),
        (
            lambda f, t: (
                len(f) * share(lambda a, b: sorted(a) == sorted(b))(f, t)
            ),
            "number of scenes",
        ),
        (
            lambda f, t: share(lambda a, b: sorted(a) == sorted(b))(
                [a for a, b in zip(f, t, strict=True) if b],
                [b for b in t if b],
            ),
            "found empty",
        ),
        (lambda f, t: 0.9, "3 of the 6"),
        (lambda f, t: 0.5 if len(f) == 6 else 1.0, "one of two"),
        (
            share(lambda a, b: (len(a), sum(a)) == (len(b), sum(b))),
            "the names themselves",
        ),
        (stub, "waits for your answer"),
    ],
)
def test_check_6j_4_wrong_answers_are_named(answer, match):
    rejects(checks.check_6j_4, answer, match=match)


@pytest.fixture(scope="module")
def patterns():
    rows = data.load("digits").x_train[..., 0]
    means = KMeans(30, n_init=1, random_state=0).fit(rows.reshape(-1, 64))
    return means.cluster_centers_.reshape(-1, 8, 8)


def test_check_6j_5_right_answers_pass(patterns):
    def find(pictures):
        return classic.templates(pictures, patterns, 0.5)

    checks.check_6j_5(find)
    checks.check_6j_5(lambda p: tuple(b.tolist() for b in find(p)))
    checks.check_6j_5(lambda p: [b[::-1].astype("float32") for b in find(p)])


def test_check_6j_5_wrong_answers_are_named(patterns):
    def find(pictures):
        return classic.templates(pictures, patterns, 0.5)

    for answer, match in (
        (lambda p: classic.components(p, 0.35, 4), "Components"),
        (lambda p: [b[:, [1, 0, 3, 2]] for b in find(p)], "other way"),
        (
            lambda p: [
                np.hstack([b[:, :2], b[:, 2:] - b[:, :2]]) for b in find(p)
            ],
            "height and width",
        ),
        (lambda p: [np.zeros((0, 4))] * len(p), "hardly a box"),
        (lambda p: find(p)[1:], "came back"),
        (lambda p: [b[:, :2] for b in find(p)], "\\(k, 4\\)"),
        (lambda p: 1.0, "list of boxes"),
        (stub, "waits for your answer"),
    ):
        rejects(checks.check_6j_5, answer, match=match)


def test_check_6j_5_its_scenes_are_hard_for_components():
    rows = data.load("digits")
    pictures, _ = scenes.compose(
        "touching", rows.x_test, rows.y_test, 150, seed=77
    )
    assert pictures.shape == (150, 32, 32, 1)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
