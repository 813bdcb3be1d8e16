"""Random affine changes of images: geometry, randomness, errors."""

import keras
import numpy as np
import pytest
import scipy.ndimage
from keras import ops

from utils.nn.layers import RandomAffine

STILL = {"rotation": 0.0, "shift": 0.0, "scale": 0.0, "shear": 0.0}


def moved(images, **amounts):
    layer = RandomAffine(**{**STILL, "seed": 1, **amounts})
    return ops.convert_to_numpy(layer(images, training=True))


def disc(count=64, side=17):
    """A disc in the middle of a black picture."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    inside = (rows**2 + columns**2 <= 9).astype("float32")
    return np.repeat(inside[None, ..., None], count, axis=0)


def center_of_mass(images):
    rows, columns = np.mgrid[: images.shape[1], : images.shape[2]]
    mass = images[..., 0].sum(axis=(1, 2))
    return (
        (images[..., 0] * rows).sum(axis=(1, 2)) / mass,
        (images[..., 0] * columns).sum(axis=(1, 2)) / mass,
    )


def test_random_affine_all_amounts_zero_changes_nothing(digits):
    x = digits.x_train[:20].reshape(-1, 8, 8, 1)
    np.testing.assert_allclose(moved(x), x, atol=1e-5)


@pytest.mark.parametrize("training", [False, None])
def test_random_affine_inference_is_identity(training):
    x = disc(3)
    layer = RandomAffine(30.0, 0.3, 0.3, 0.3, seed=1)
    result = ops.convert_to_numpy(layer(x, training=training))
    np.testing.assert_array_equal(result, x)


def test_random_affine_shift_moves_up_to_the_stated_share():
    down, across = center_of_mass(moved(disc(500), shift=0.2))
    for place in (down, across):
        offset = place - 8.0
        assert np.abs(offset).max() <= 0.2 * 17 + 0.05
        assert offset.min() < -2.5 and offset.max() > 2.5
    # both directions are drawn, and drawn apart
    assert abs(np.corrcoef(down, across)[0, 1]) < 0.2


def test_random_affine_rotation_keeps_the_middle_and_turns_the_rest():
    bar = np.zeros((300, 17, 17, 1), "float32")
    bar[:, 8, 2:15] = 1.0
    turned = moved(bar, rotation=90.0)
    down, across = center_of_mass(turned)
    np.testing.assert_allclose(down, 8.0, atol=0.05)
    np.testing.assert_allclose(across, 8.0, atol=0.05)
    height = (turned[..., 0] > 0.3).any(axis=2).sum(axis=1)
    assert height.min() <= 2 and height.max() >= 12


def test_random_affine_scale_changes_the_area_by_its_square():
    area = moved(disc(500), scale=0.4).sum(axis=(1, 2, 3))
    ratio = area / disc(1).sum()
    assert ratio.min() == pytest.approx(0.6**2, abs=0.1)
    assert ratio.max() == pytest.approx(1.4**2, abs=0.15)


def test_random_affine_shear_keeps_rows_in_place():
    box = np.zeros((200, 17, 17, 1), "float32")
    box[:, 4:13, 6:11] = 1.0
    slanted = moved(box, shear=0.5)
    # each line keeps its mass: a shear only slides it sideways
    np.testing.assert_allclose(
        slanted.sum(axis=2), box.sum(axis=2), rtol=0.02, atol=0.02
    )
    assert np.abs(slanted - box).max() > 0.5


def test_random_affine_every_image_and_every_call_differ():
    layer = RandomAffine(seed=1)
    first, second = (
        ops.convert_to_numpy(layer(disc(20), training=True)) for _ in range(2)
    )
    assert len(np.unique(first.round(4), axis=0)) == 20
    assert not np.array_equal(first, second)
    again = ops.convert_to_numpy(RandomAffine(seed=1)(disc(20), training=True))
    np.testing.assert_array_equal(first, again)


def test_random_affine_half_precision_and_unknown_batch():
    layer = RandomAffine(seed=1, dtype="mixed_bfloat16")
    result = layer(ops.cast(disc(4), "bfloat16"), training=True)
    assert keras.backend.standardize_dtype(result.dtype) == "bfloat16"
    assert RandomAffine()(keras.Input((8, 8, 1))).shape == (None, 8, 8, 1)


def test_random_affine_config_round_trip_keeps_every_argument():
    layer = RandomAffine(5.0, 0.2, 0.3, 0.4, seed=6, name="move")
    again = RandomAffine.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.rotation, again.shift) == (5.0, 0.2)
    assert (again.scale, again.shear, again.seed) == (0.3, 0.4, 6)
    assert layer.weights == []


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"rotation": 181.0}, "rotation: expected a number from 0 to 180"),
        ({"shift": -0.1}, "shift: expected a number from 0 to 1"),
        ({"scale": 1.0}, "scale: expected a number from 0 to 0.9"),
        ({"shear": 2.0}, "shear"),
        ({"seed": 1.5}, "seed: expected an integer"),
    ],
)
def test_random_affine_wrong_argument_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        RandomAffine(**arguments)


def test_random_affine_equals_scipy_for_given_draws(monkeypatch, rng):
    draws = np.array(
        [[0.7, -0.4], [0.9, -0.6], [0.5, -0.8], [-0.3, 0.2], [0.4, 0.6]],
        "float32",
    )

    def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
        assert tuple(int(size) for size in shape) == draws.shape
        assert (minval, maxval) == (-1.0, 1.0)
        return ops.convert_to_tensor(draws)

    monkeypatch.setattr(keras.random, "uniform", uniform)
    images = np.zeros((2, 11, 14, 1), "float32")
    images[:, 2:-2, 2:-2] = rng.random((2, 7, 10, 1))
    value = moved(images, rotation=40.0, shift=0.2, scale=0.3, shear=0.5)
    center = np.array([5.0, 6.5])  # row, column
    for image, result, (turn, size, slant, right, down) in zip(
        images, value, draws.T.astype("float64"), strict=True
    ):
        angle, slant = np.radians(40.0 * turn), 0.5 * slant
        cos, sin = np.cos(angle), np.sin(angle)
        # of an output point its source, in columns and rows
        matrix = np.array([[cos, sin], [-sin, cos]]) / (1 + 0.3 * size)
        matrix = matrix @ np.array([[1.0, slant], [0.0, 1.0]])
        matrix = matrix[::-1, ::-1]  # in rows and columns
        offset = center - matrix @ center
        offset += 0.2 * np.array([11 * down, 14 * right])
        expected = scipy.ndimage.affine_transform(
            image[..., 0], matrix, offset, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(result[..., 0], expected, atol=1e-4)


def test_random_affine_images_have_their_channels_last_whatever_keras_says():
    images = disc(2)
    expected = moved(images, rotation=20.0)
    keras.config.set_image_data_format("channels_first")
    try:
        np.testing.assert_array_equal(moved(images, rotation=20.0), expected)
    finally:
        keras.config.set_image_data_format("channels_last")


def test_random_affine_defaults_and_smallest_amounts():
    config = RandomAffine().get_config()
    amounts = [config[name] for name in ("rotation", "shift", "scale", "shear")]
    assert amounts == [10.0, 0.1, 0.1, 0.0]
    kept = ops.convert_to_numpy(RandomAffine(seed=1)(disc(2)))
    np.testing.assert_array_equal(kept, disc(2))
    for name in STILL:
        with pytest.raises(ValueError, match=f"{name}: expected a number from"):
            RandomAffine(**{name: -0.1})
