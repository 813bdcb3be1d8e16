"""Classical boxes on pictures whose boxes are plain."""

import numpy as np
import pytest

from utils.baselines import boxes
from utils.evaluation.boxes import box_scores


@pytest.fixture
def two():
    """Two squares, apart, and one dim pixel."""
    scene = np.zeros((1, 24, 24), "float32")
    scene[0, 2:7, 3:8] = 1.0
    scene[0, 14:19, 12:17] = 0.8
    scene[0, 22, 22] = 0.4
    return scene


BOTH = [[2, 3, 7, 8], [14, 12, 19, 17]]


def test_components_least_leaves_specks_out(two):
    assert boxes.components(two, 0.3)[0].tolist() == [*BOTH, [22, 22, 23, 23]]
    assert boxes.components(two, 0.3, 2)[0].tolist() == BOTH
    assert boxes.components(two[..., None], 0.9)[0].tolist() == BOTH[:1]
    assert boxes.components(two, 2.0)[0].shape == (0, 4)


def test_peaks_find_both_and_cut_touching_squares_apart(two):
    assert boxes.peaks(two, 0.2, 2.0, 0.5)[0].tolist() == BOTH
    touching = np.zeros((1, 24, 24), "float32")
    touching[0, 4:9, 4:9] = touching[0, 9:14, 9:14] = 1.0
    assert len(boxes.components(touching, 0.5)[0]) == 1
    cut = boxes.peaks(touching, 0.2, 1.5, 0.5)[0].tolist()
    assert cut == [[4, 4, 9, 9], [9, 9, 14, 14]]
    assert boxes.peaks(touching, 5.0)[0].shape == (0, 4)


def test_peak_places_of_a_window_and_a_threshold():
    score = np.zeros((7, 7))
    score[1, 1], score[1, 3], score[5, 5] = 1.0, 0.9, 0.2
    assert boxes.peak_places(score, 0.5, 3).tolist() == [[1, 1], [1, 3]]
    assert boxes.peak_places(score, 0.5, 5).tolist() == [[1, 1]]
    assert len(boxes.peak_places(score, 0.1, 3)) == 3


def test_templates_box_is_that_of_the_pattern_where_it_fits(two):
    pattern = np.zeros((2, 8, 8))
    pattern[0, 1:6, 1:6] = 1.0  # the first square
    pattern[1, :, 0] = 1.0
    found = boxes.templates(two, pattern, 0.7)[0].tolist()
    assert BOTH[0] in found
    assert boxes.templates(two, pattern, 1.5)[0].shape == (0, 4)


def test_boxes_bad_scenes_are_named():
    with pytest.raises(ValueError, match="scenes"):
        boxes.components(np.zeros((4, 4)), 0.5)
    with pytest.raises(ValueError, match="patterns"):
        boxes.templates(np.zeros((1, 9, 9)), np.zeros((8, 8)), 0.5)


def test_crop_is_the_same_wherever_the_box_is(two):
    scene = np.zeros((30, 30))
    for top, left in ((3, 4), (4, 3), (11, 15), (12, 12)):
        scene[:] = 0
        scene[top : top + 5, left : left + 6] = 1
        window = boxes.crop(scene, [top, left, top + 5, left + 6])
        assert window[1:6, 1:7].sum() == 30
    assert boxes.crop(scene, [0, 0, 2, 2]).shape == (8, 8)
    assert boxes.crop(scene[..., None], [27, 27, 30, 30], 4).shape == (4, 4)


def test_cut_pieces_leaves_large_groups_out(two):
    two[0, 23:24, 0:12] = 1.0  # a line longer than a piece
    pieces = boxes.cut_pieces(two, 0.5, 4)
    assert pieces.shape == (2, 8, 8)
    np.testing.assert_allclose(sorted(pieces.sum(axis=(1, 2))), [20, 25])
    assert boxes.cut_pieces(two, 2.0, 4).shape == (0, 8, 8)


def test_patch_clusters_bright_patches_become_boxes(rng):
    scenes = np.zeros((6, 24, 24), "float32")
    for scene in scenes:
        top, left = rng.integers(3, 12, 2)
        scene[top : top + 7, left : left + 7] = 1.0
    find = boxes.PatchClusters(scenes, 3)
    found = find(scenes, 2, 3)
    assert [len(one) for one in found] == [1] * 6
    every = find(scenes, 0, 1)
    assert all(one.tolist() == [[0, 0, 24, 24]] for one in every)


# ------------------------------------------------------- TaughtWindows


def stones(n, seed=0, size=24):
    """Scenes with one bright rectangle of 5 × 4 each, and its box."""
    rng = np.random.default_rng(seed)
    pictures, truth = 0.1 * rng.random((n, size, size)), []
    for picture in pictures:
        top, left = rng.integers(0, size - 5, 2)
        picture[top : top + 5, left : left + 4] = 1.0
        truth.append(np.array([[top, left, top + 5, left + 4]]))
    return pictures, truth


def test_taught_windows_find_what_they_were_shown_and_how_large_it_is():
    taught = boxes.TaughtWindows(6).fit(*stones(80))
    pictures, truth = stones(30, seed=1)
    scores = box_scores(taught(pictures, 0.5), truth)
    assert scores["f1"] > 0.95  # one thing a scene, none elsewhere
    assert scores["iou"] > 0.8  # half a pixel a side of 5 × 4 is 0.66


def test_taught_windows_find_nothing_in_the_dark():
    taught = boxes.TaughtWindows(6).fit(*stones(80))
    (found,) = taught(np.zeros((1, 24, 24)), 0.5)
    assert found.shape == (0, 4)


def test_taught_windows_scenes_without_a_thing_teach_too():
    pictures, truth = stones(80)
    dark = np.zeros((5, 24, 24))
    taught = boxes.TaughtWindows(6).fit(
        np.concatenate([pictures, dark]), [*truth, *[np.zeros((0, 4))] * 5]
    )
    assert len(taught(pictures[:3, ..., None], 0.5)) == 3


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ([np.zeros((0, 4))] * 3, "boxes: expected at least one box"),
        ([np.array([[0, 0, 4, 4]])] * 2, "boxes: expected 3 entries"),
    ],
)
def test_taught_windows_refuse_what_teaches_nothing(given, match):
    with pytest.raises(ValueError, match=match):
        boxes.TaughtWindows(6).fit(np.zeros((3, 16, 16)), given)
