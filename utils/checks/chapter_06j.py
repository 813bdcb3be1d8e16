"""Checks of chapter 6j, scenes."""

import collections.abc

import numpy as np

from utils import data
from utils.baselines.boxes import peak_places
from utils.checks._feedback import (
    as_number,
    as_values,
    call,
    correct,
    kind,
    name_value,
    one_sentence,
    reached,
    wrong,
)
from utils.data import scenes
from utils.evaluation.boxes import box_scores, iou


@one_sentence
def check_6j_1(answer):
    """IoU 36/92 and F1 6/9."""
    values = as_values(answer, "Your answer").ravel()
    if len(values) != 2:
        wrong(f"Give two numbers, IoU and F1; you gave {len(values)}.")
    name_value(
        values[0],
        [
            (36 / 64, "36/64 divides by one box. The union has both, once."),
            (36 / 128, "36/128 counts the shared part twice in the union."),
            (36, "36 is the intersection, in pixels."),
            (36 / 100, "The union is not the box around both (10 × 10)."),
        ],
    )
    if abs(values[0] - 36 / 92) > 0.003:
        wrong("The first number: 6 × 6 pixels are shared; the union is left.")
    name_value(
        values[1],
        [
            (3 / 5, "3/5 is the precision: the share of found boxes."),
            (3 / 4, "3/4 is the recall: the share of true boxes."),
            (3 / 9, "Each pair has two boxes: twice the pairs."),
            (3 / 6, "3/6 counts what is not paired once, F1 has the sum."),
        ],
    )
    if abs(values[1] - 6 / 9) > 0.004:
        wrong("The second number is twice the pairs over all boxes.")
    correct("6j.1", "By how much may a box of 8 × 8 be shifted along one side?")


@one_sentence
def check_6j_2(answer):
    """IoU of all pairs, also of boxes that do not meet."""
    rng = np.random.default_rng(0)
    for shape in ((5, 7), (1, 3)):
        first, second = (
            np.sort(rng.integers(0, 20, (n, 2, 2)), axis=1).reshape(n, 4)
            + np.array([0, 0, 3, 1])
            for n in shape
        )
        kept = first.copy(), second.copy()
        right = iou(first, second)
        value = as_values(call(answer, first, second), "Your result")
        if not (
            np.array_equal(first, kept[0]) and np.array_equal(second, kept[1])
        ):
            wrong("Your function changes the boxes it was given: copy them.")
        if value.shape != shape:
            wrong(f"The result should have shape {shape}, not {value.shape}.")
        low = np.maximum(first[:, None, :2], second[None, :, :2])
        high = np.minimum(first[:, None, 2:], second[None, :, 2:])
        sizes = [(b[:, 2:] - b[:, :2]).prod(1) for b in (first, second)]
        both = sizes[0][:, None] + sizes[1]
        free = (high - low).prod(-1)
        shared = np.maximum(high - low, 0).prod(-1)
        reached("shape")
        name_value(
            value,
            [
                (
                    free / (both - free),
                    "Boxes that do not meet have a negative side: "
                    "take at least 0, or two of them make an area.",
                ),
                (shared / both, "The union counts the shared part once."),
                (shared, "That is the intersection: divide by the union."),
                (
                    shared / np.minimum(sizes[0][:, None], sizes[1]),
                    "You divided by the smaller box, not by the union.",
                ),
                (1 - right, "That is the distance 1 − IoU."),
            ],
        )
        if not np.allclose(value, right, atol=1e-5):
            wrong("The shape is right, the overlaps are not those of IoU.")
    correct("6j.2", "What is the IoU of a box and one four times as large?")


@one_sentence
def check_6j_3(answer):
    """Local maxima of a map above a threshold."""
    rng = np.random.default_rng(1)
    for shape, least, shift in (
        ((9, 11), 0.6, 0.0),
        ((6, 5), 0.3, 0.0),
        ((4, 4), 2.0, 0.0),
        ((7, 6), -1.6, -2.0),  # logits: all below 0
    ):
        score = rng.random(shape) + shift
        score[0, 0] = 1.5 + shift  # at the edge
        if shift:  # and a peak exactly as high as the threshold
            score[3:, 3:], score[-1, -1] = shift, least
        right = {tuple(p) for p in peak_places(score, least, 3).tolist()}
        places = as_values(call(answer, score.copy(), least), "Your places")
        if not places.size:
            places = places.reshape(0, 2)
        if places.ndim != 2 or places.shape[1] != 2:
            wrong(f"Return places (k, 2), not an array {places.shape}.")
        found = [tuple(int(v) for v in p) for p in places]
        if len(set(found)) < len(found):
            wrong("Some place is listed twice.")
        found = set(found)
        if found == right:
            continue
        above = {tuple(p) for p in np.argwhere(score > least).tolist()}
        if found - above and found - above <= {
            tuple(p) for p in np.argwhere(score == least).tolist()
        }:
            wrong(f"A cell of exactly {least:g} is not *above* {least:g}.")
        if (
            shift
            and found < right
            and right - found
            <= {
                (r, c)
                for r, c in right
                if r in (0, shape[0] - 1) or c in (0, shape[1] - 1)
            }
        ):
            wrong(
                "Where all of the map is below 0 peaks at the edge are "
                "missing: what lies beyond the edge is nothing, not 0."
            )
        if found == above:
            wrong("These are all cells above the threshold, not the peaks.")
        if found == {(c, r) for r, c in right}:
            wrong("Rows first, then columns: you have them the other way.")
        inside = {
            (r, c)
            for r, c in right
            if 0 < r < shape[0] - 1 and 0 < c < shape[1] - 1
        }
        if found == inside:
            wrong("A peak may lie at the edge: it has fewer neighbours there.")
        if found > right and found & above != found:
            wrong("Some of your peaks are not above the threshold.")
        if found > right:
            wrong(
                "Too many peaks: a cell has eight neighbours, four of "
                "them diagonal."
            )
        wrong(
            f"{len(found - right)} of your places are no peaks, and "
            f"{len(right - found)} peaks are missing."
        )
    correct("6j.3", "What would a window of 7 × 7 do to touching digits?")


@one_sentence
def check_6j_4(answer):
    """Scenes whose multiset of names is right."""
    truth = [[1, 2], [], [3, 3, 4], [5], [7, 7], [0]]
    found = [[2, 1], [], [3, 4, 4], [5, 5], [7, 7], []]
    value = as_number(call(answer, found, truth), "Your share")
    name_value(
        value,
        [
            (2 / 6, "[2, 1] and [1, 2] are the same content: order is free."),
            (
                5 / 6,
                "[3, 4, 4] is not [3, 3, 4], and [5, 5] is not [5]: a set "
                "forgets how often a name occurs.",
            ),
            (4 / 6, "Content, not number: [3, 4, 4] is not [3, 3, 4]."),
            (2 / 5, "A scene without anything, found empty, is right too."),
            (3, "That is a number of scenes; return the share."),
        ],
    )
    if abs(value - 3 / 6) > 1e-6:
        wrong(f"3 of the 6 scenes of the check are right; you say {value:g}.")
    reached("values")
    empty = as_number(call(answer, [[], [9]], [[], [8]]), "Your share")
    if abs(empty - 0.5) > 1e-6:
        wrong("[] found for [] is right, [9] for [8] wrong: one of two.")
    alike = [[1, 4], [2, 2, 5], [6, 1, 6], [0, 8]]
    share = as_number(
        call(answer, alike, [[2, 3], [1, 4, 4], [6, 6, 1], [3, 5]]),
        "Your share",
    )
    if abs(share - 0.25) > 1e-6:
        wrong(
            "[1, 4] is not [2, 3], though both have two names and the sum 5: "
            "compare the names themselves."
        )
    rng = np.random.default_rng(0)
    found, truth = rng.integers(1, 3, (2, 40, 2)).tolist()
    right = np.mean(
        [sorted(a) == sorted(b) for a, b in zip(found, truth, strict=True)]
    )
    share = as_number(call(answer, found, truth), "Your share")
    if abs(share - right) > 1e-6:
        wrong(
            f"Of 40 scenes with two names {right:.1%} are right, not "
            f"{share:.1%}."
        )
    correct("6j.4", "Which errors of section 4 cost most whole scenes?")


@one_sentence
def check_6j_5(answer):
    """Boxes of touching digits, F1 of at least 0.95."""
    rows = data.load("digits")
    pictures, truth = scenes.compose(
        "touching", rows.x_test, rows.y_test, 150, seed=77
    )
    result = call(answer, pictures.copy())
    if not isinstance(result, (list, tuple, collections.abc.Sequence)):
        wrong(f"Return a list of boxes, one entry a scene, not {kind(result)}.")
    if len(result) != len(pictures):
        wrong(f"{len(pictures)} scenes were given, {len(result)} came back.")
    boxes = []
    for some in result:
        some = as_values(some, "The boxes of a scene")
        some = some.reshape(0, 4) if not some.size else some
        if some.ndim != 2 or some.shape[1] != 4:
            wrong(f"The boxes of a scene are (k, 4), not {some.shape}.")
        boxes.append(some)
    true = [b for b, _ in truth]
    score = box_scores(boxes, true)["f1"]
    reached("shape")
    if score < 0.2:
        turned = [b[:, [1, 0, 3, 2]] for b in boxes]
        if box_scores(turned, true)["f1"] > 0.5:
            wrong("Top comes first, then left: you have them the other way.")
        sized = [np.hstack([b[:, :2], b[:, :2] + b[:, 2:]]) for b in boxes]
        if box_scores(sized, true)["f1"] > 0.5:
            wrong("Give bottom and right, not height and width.")
        wrong(f"F1 {score:.2f}: hardly a box is where a digit is.")
    if score < 0.95:
        wrong(
            f"F1 {score:.2f}. Components of bright pixels reach about 0.9: "
            "digits that touch are one component. What size has a digit?"
        )
    correct("6j.5", f"F1 {score:.2f}. And in clutter?")
