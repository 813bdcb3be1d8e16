"""Composed scenes: the truth is what was pasted."""

import numpy as np
import pytest

from utils.data import images, scenes
from utils.evaluation.boxes import iou


@pytest.fixture(scope="module")
def photo():
    return images.load_photographs(grey=True)["china"]


@pytest.fixture
def squares():
    """Pictures of one filled rectangle each, 3 to 7 pixels a side."""
    digits = np.zeros((5, 8, 8), "float32")
    for index, side in enumerate(range(3, 8)):
        digits[index, 1 : 1 + side, : side + 1] = 1.0
    return digits


def test_tight_box_is_the_extent_of_what_is_above_the_threshold():
    picture = np.zeros((9, 9))
    picture[2:5, 3:9] = 0.5
    picture[0, 0] = 0.2
    assert scenes.tight_box(picture).tolist() == [2, 3, 5, 9]
    assert scenes.tight_box(picture, 0.1).tolist() == [0, 0, 5, 9]
    assert scenes.tight_box(np.zeros((4, 4))).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("kind", scenes.KINDS)
def test_compose_boxes_hold_what_was_pasted(kind, squares, photo):
    pictures, truth = scenes.compose(
        kind, squares, np.arange(5), 40, photo=photo, seed=3
    )
    assert pictures.shape == (40, 32, 32, 1)
    assert pictures.dtype == np.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    counts = [len(boxes) for boxes, _ in truth]
    assert set(counts) <= set(range(5))
    assert len(set(counts)) == 5
    for picture, (boxes, classes) in zip(pictures, truth, strict=True):
        for (top, left, bottom, right), label in zip(
            boxes, classes, strict=True
        ):
            assert (bottom - top, right - left) == (label + 3, label + 4)
            assert picture[top:bottom, left:right].mean() > 0.9


def test_compose_seed_repeats_and_another_differs(squares):
    first = scenes.compose("clutter", squares, np.arange(5), 5, seed=1)
    again = scenes.compose("clutter", squares, np.arange(5), 5, seed=1)
    other = scenes.compose("clutter", squares, np.arange(5), 5, seed=2)
    np.testing.assert_array_equal(first[0], again[0])
    assert np.abs(first[0] - other[0]).max() > 0.5


def test_compose_only_touching_digits_come_near(squares):
    def nearest(kind):
        full = np.ones((1, 8, 8))
        _, truth = scenes.compose(kind, full, [0], 60, seed=0)
        return max(
            (iou(b, b) - np.eye(len(b))).max() for b, _ in truth if len(b) > 1
        )

    assert nearest("clean") == 0
    assert nearest("touching") > 0.1


def test_backgrounds_are_empty_but_for_their_kind(photo):
    assert scenes.backgrounds("clean", 3).max() == 0
    strokes = scenes.backgrounds("clutter", 20, seed=1)
    assert 0.02 < (strokes > 0).mean() < 0.2
    cuts = scenes.backgrounds("texture", 3, photo=photo, seed=1)
    assert cuts.max() <= 0.7


def test_mosaic_pixels_come_from_the_texture_that_ids_names():
    textures = [np.full((40, 40, 3), level) for level in (0.1, 0.5, 0.9)]
    picture, ids = scenes.mosaic(textures, 32, seed=4)
    levels = np.array([0.1, 0.5, 0.9], "float32")[ids]
    np.testing.assert_allclose(picture, levels[..., None].repeat(3, -1))
    assert set(ids.ravel()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: scenes.backgrounds("dark", 3), "kind"),
        (lambda: scenes.backgrounds("texture", 3), "photo"),
        (lambda: scenes.mosaic([np.zeros((9, 9, 1))], 16), "textures"),
        (
            lambda: scenes.compose("clean", np.zeros((3, 8, 8)), [0, 1], 2),
            "labels",
        ),
    ],
)
def test_scenes_bad_arguments_are_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_paste_shows_the_piece_and_the_ground_behind_it():
    pieces = np.zeros((50, 8, 8), "float32")
    pieces[:, 2:6, 2:6] = 1.0
    seen = scenes.paste(pieces, np.full((3, 32, 32), 0.4), seed=1)
    assert seen.shape == (50, 8, 8)
    assert seen[:, 2:6, 2:6].mean() > 0.95
    assert abs(seen[:, :2].mean() - 0.4) < 0.02
    with pytest.raises(ValueError, match="grounds"):
        scenes.paste(pieces, np.zeros((32, 32)))
