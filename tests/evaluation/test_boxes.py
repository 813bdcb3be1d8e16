"""Overlap, matches and scores of boxes, by hand."""

import numpy as np
import pytest

from utils.evaluation.boxes import box_scores, iou, match, named_share

A, B = [0, 0, 4, 4], [0, 2, 4, 6]  # share 8 of 24 pixels


def test_iou_of_equal_touching_and_distant_boxes():
    found = iou([A, B], [A, [4, 0, 8, 4], [9, 9, 12, 12]])
    np.testing.assert_allclose(found, [[1, 0, 0], [1 / 3, 0, 0]])


def test_iou_of_nothing_has_its_shape():
    assert iou(np.zeros((0, 4)), [A]).shape == (0, 1)
    assert iou([[2, 2, 2, 2]], [[2, 2, 2, 2]]).tolist() == [[0.0]]


def test_match_is_one_to_one_and_takes_the_best():
    pairs = match([B, A, A], [A, [0, 0, 4, 5]], least=0.3)
    assert len(pairs) == 2
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == 2
    assert 0 not in pairs[:, 0]
    assert match([B], [A]).shape == (0, 2)


def test_box_scores_by_hand():
    truth = [[A], [], [A, [10, 10, 14, 14]]]
    found = [[A], [A], [[0, 1, 4, 4]]]
    scores = box_scores(found, truth)
    assert scores["f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert scores["iou"] == pytest.approx((1 + 0.75 + 0) / 3)
    assert scores["count"] == pytest.approx(1 / 3)
    assert box_scores([[]], [[]])["f1"] == 1.0


@pytest.mark.parametrize(
    ("call", "match_"),
    [
        (lambda: iou([[1, 2, 3]], [A]), "first"),
        (lambda: iou([A], [[1, 2]]), "second"),
        (lambda: box_scores([[A]], []), "found"),
    ],
)
def test_boxes_of_other_shape_are_named(call, match_):
    with pytest.raises(ValueError, match=match_):
        call()


def test_named_share_counts_boxes_and_names():
    far = [20, 20, 24, 24]
    truth = [
        (np.array([A, far]), np.array([3, 5])),
        (np.array([A]), np.array([5])),
    ]
    found = [np.array([A, [9, 9, 13, 13]]), np.array([A])]
    # one true box is not found, one found box is no true one
    assert named_share(found, truth, [7, 7, 2]) == pytest.approx(2 / 3)
    assert named_share(found, truth, [7, 2, 7]) == pytest.approx(1 / 3)
    assert named_share([[], []], truth, []) == 0.0
    with pytest.raises(ValueError, match="ids"):
        named_share(found, truth, [7, 2])
