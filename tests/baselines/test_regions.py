"""Features of pixels, on pictures whose regions are plain."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from utils.baselines import regions


@pytest.fixture
def halves(rng):
    """Left red, right blue, with noise; and the truth."""
    picture = rng.normal(0, 0.05, (20, 24, 3))
    picture[:, :12, 0] += 1
    picture[:, 12:, 2] += 1
    return picture, np.arange(24) // 12 * np.ones((20, 1), int)


def test_group_finds_two_colours_and_can_be_fitted_on_few(halves):
    picture, truth = halves
    for ids in (
        regions.group(regions.blur(picture, 1), 2),
        regions.group(picture, 2, fitted_on=picture[::4]),
        regions.group(regions.with_place(picture, 0, 0.1), 2),
    ):
        assert ids.shape == truth.shape
        assert adjusted_rand_score(truth.ravel(), ids.ravel()) > 0.95


def test_with_place_large_weight_leaves_the_place_alone(halves):
    features = regions.with_place(halves[0], 0, 100.0)
    assert features.shape == (20, 24, 5)
    np.testing.assert_allclose(features[:, 6, 4], 100 * 6 / 20)
    np.testing.assert_allclose(features[5, :, 3], 100 * 5 / 20)


def test_energies_tell_stripes_from_flat_grey(rng):
    picture = rng.normal(0, 0.01, (20, 24, 1))
    picture[:, 12:, 0] += np.arange(12) % 2
    found = regions.energies(picture, np.array([[[1.0, -1.0]]]), 1.0)
    assert found[:, 15:, 0].min() > found[:, :9, 0].max() + 2


def test_windows_middle_is_the_pixel(rng):
    picture = rng.random((12, 16, 3)).astype("float32")
    cut = regions.windows(picture, 6)
    assert cut.shape == (6, 8, 6, 6, 3)
    np.testing.assert_array_equal(cut[:, :, 3, 3], picture[::2, ::2])


def test_pairs_beside_are_windows_near_each_other():
    place = np.stack(np.mgrid[:20, :20], axis=-1).astype("float32")
    x, y = regions.pairs_beside([place, place], 4, 30, reach=1, seed=2)
    assert x.shape == y.shape == (60, 4, 4, 2)
    apart = np.abs(x[:, 2, 2] - y[:, 2, 2])
    assert apart.max() == 2
    assert set(apart.ravel()) <= {0, 2}


def test_regions_bad_picture_is_named():
    with pytest.raises(ValueError, match="picture"):
        regions.blur(np.zeros((4, 4)), 1)
    with pytest.raises(ValueError, match="width"):
        regions.blur(np.zeros((4, 4, 1)), -1)
