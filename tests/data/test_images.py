"""Photographs, patches, JPEG, bicubic and the frozen letters."""

import numpy as np
import pytest

from utils import metrics
from utils.data import images


@pytest.fixture(scope="module")
def photographs():
    return images.load_photographs()


@pytest.fixture(scope="module")
def grey():
    return images.load_photographs(grey=True)["china"]


def test_photographs_are_the_bundled_two_without_their_first_blocks(
    photographs,
):
    import sklearn.datasets

    raw = sklearn.datasets.load_sample_images().images[0] / 255.0
    assert list(photographs) == ["china", "flower"]
    for image in photographs.values():
        assert image.shape == (424, 632, 3)
        assert image.dtype == np.float32
        assert 0 <= image.min() < 0.1 and 0.9 < image.max() <= 1
    np.testing.assert_allclose(photographs["china"], raw[3:, 4:636], atol=1e-6)


def test_photographs_grey_is_the_weighted_mean_of_the_colours(
    photographs, grey
):
    r, g, b = np.moveaxis(photographs["china"], -1, 0)
    expected = 0.299 * r + 0.587 * g + 0.114 * b
    np.testing.assert_allclose(grey[..., 0], expected, atol=1e-6)
    white = 0.299 + 0.587 + 0.114
    assert white == pytest.approx(1.0)


def test_patches_side_by_side_are_put_back_together(photographs):
    image = photographs["flower"][:41, :50]
    patches = images.to_patches(image, 8)
    assert patches.shape == (30, 8, 8, 3)
    np.testing.assert_array_equal(patches[1], image[:8, 8:16])
    np.testing.assert_array_equal(patches[6], image[8:16, :8])
    again = images.from_patches(patches, image.shape[:2])
    np.testing.assert_array_equal(again, image[:40, :48])


def test_patches_with_a_stride_overlap(grey):
    patches = images.to_patches(grey[:16, :20], 8, stride=4)
    assert patches.shape == (3 * 4, 8, 8, 1)
    np.testing.assert_array_equal(patches[5], grey[4:12, 4:12])


def test_resize_shrinks_a_flat_image_to_a_flat_one_and_keeps_its_mean():
    flat = np.full((2, 8, 8, 3), 0.3)
    np.testing.assert_allclose(images.resize(flat, (4, 2)), 0.3, atol=1e-6)


def test_resize_is_exact_on_a_ramp_away_from_the_border():
    # the cubic kernel reproduces linear functions
    ramp = np.broadcast_to(np.arange(16.0)[:, None, None] / 16, (16, 16, 1))
    large = images.resize(ramp[None], (32, 32))[0, :, 16, 0]
    expected = (np.arange(32) - 0.5) / 32
    np.testing.assert_allclose(large[6:-6], expected[6:-6], atol=1e-5)


def test_resize_by_half_averages_a_checkerboard_away():
    board = np.indices((16, 16)).sum(axis=0)[None, ..., None] % 2
    half = images.resize(board, (8, 8))
    assert half.shape == (1, 8, 8, 1)
    np.testing.assert_allclose(half[:, 2:-2, 2:-2], 0.5, atol=0.05)


def test_jpeg_better_quality_costs_more_and_errs_less(grey):
    results = [
        images.jpeg(grey[:128, :128], quality) for quality in (5, 50, 90)
    ]
    bits = [bits for _, bits in results]
    errors = [metrics.mse(grey[:128, :128], image) for image, _ in results]
    assert bits == sorted(bits) and bits[0] > 0
    assert errors == sorted(errors, reverse=True) and errors[2] < 1e-3
    assert results[0][0].shape == (128, 128, 1)


def test_jpeg_empty_image_costs_nothing():
    image, bits = images.jpeg(np.full((8, 8, 1), 128 / 255), 50)
    assert bits == 0
    np.testing.assert_allclose(image, 128 / 255, atol=1e-6)


def test_jpeg_takes_colours(photographs):
    image, bits = images.jpeg(photographs["china"][:64, :64], 80)
    assert image.shape == (64, 64, 3)
    assert metrics.psnr(photographs["china"][:64, :64], image) > 25
    assert bits > 500


def test_glyphs_are_aligned_in_four_styles():
    characters, glyphs = images.load_glyphs()
    assert list(glyphs) == list(images.STYLES)
    assert len(set(characters)) == len(characters) == 325
    for pictures in glyphs.values():
        assert pictures.shape == (325, 24, 24, 1)
        assert pictures.dtype == np.float32
        assert pictures.min() == 0 and pictures.max() == 1
        assert (pictures.max(axis=(1, 2, 3)) > 0.5).all(), "none is empty"
    latin = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert set(latin) < set(characters)
    # bold has more ink, on every letter
    ink = {style: x.sum(axis=(1, 2, 3)) for style, x in glyphs.items()}
    assert (ink["sans bold"] > ink["sans"]).all()
    assert (ink["serif bold"] > ink["serif"]).all()


def test_glyphs_are_what_the_installed_fonts_still_give():
    characters, glyphs = images.load_glyphs()
    for style, frozen in glyphs.items():
        chosen = [characters.index(letter) for letter in "AgЖω"]
        drawn = images.render_glyphs(style, "AgЖω")
        assert drawn.shape == (4, 24, 24, 1)
        # another release of the font library may draw other greys
        assert metrics.mse(frozen[chosen], drawn) < 0.01
        assert metrics.mse(frozen[chosen], drawn[::-1]) > 0.03


def test_glyphs_of_a_changed_file_are_refused(tmp_path, monkeypatch):
    changed = tmp_path / "glyphs.npz"
    changed.write_bytes(images._GLYPHS.read_bytes() + b" ")
    monkeypatch.setattr(images, "_GLYPHS", changed)
    with pytest.raises(ValueError, match="^glyphs.npz: .*SHA-256"):
        images.load_glyphs()


BAD = np.full((8, 8, 1), np.nan)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: images.to_patches(np.zeros((8, 8)), 4), "height, width"),
        (lambda: images.to_patches(np.zeros((8, 8, 1)), 9), "size: expected"),
        (lambda: images.to_patches(np.zeros((8, 8, 1)), 4, 0), "stride"),
        (lambda: images.to_patches(BAD, 4), "NaN"),
        (
            lambda: images.from_patches(np.zeros((3, 4, 4, 1)), (8, 8)),
            "2 · 2 squares; received 3 squares",
        ),
        (lambda: images.resize(np.zeros((8, 8, 1)), (4, 4)), "4 axes"),
        (lambda: images.resize(np.zeros((1, 8, 8, 1)), 4), "size: expected"),
        (lambda: images.resize(BAD[None], (4, 4)), "NaN"),
        (lambda: images.jpeg(np.full((8, 8, 1), 200.0), 50), "maximum 200"),
        (lambda: images.jpeg(np.zeros((8, 8, 1)), 0), "quality"),
        (lambda: images.jpeg(np.zeros((8, 8, 1)), 100), "quality"),
        (lambda: images.render_glyphs("sans", ""), "characters"),
        (lambda: images.render_glyphs("comic", "A"), "font: expected"),
        (lambda: images.render_glyphs("sans", "A", size=2), "size"),
    ],
)
def test_bad_arguments_are_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
