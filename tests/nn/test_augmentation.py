"""Random views: identity at inference, seeded, and where pixels go."""

import keras
import numpy as np
import pytest
from keras import ops

from utils.nn.augmentation import Augmentation


def view(x, training=True, **amounts):
    layer = Augmentation(seed=amounts.pop("seed", 0), **amounts)
    return ops.convert_to_numpy(layer(x, training=training))


@pytest.fixture
def images(rng):
    return rng.random((6, 7, 5, 2), dtype="float32")


def test_augmentation_is_identity_at_inference_and_without_amounts(images):
    still = view(images, training=False, shift=2, affine=0.3, noise=1.0)
    np.testing.assert_array_equal(still, images)
    np.testing.assert_array_equal(view(images), images)


@pytest.mark.parametrize(
    "amounts",
    [
        {"shift": 2.0},
        {"affine": 0.3},
        {"elastic": 1.0},
        {"color": 0.4},
        {"noise": 0.2},
        {"flip": True},
    ],
    ids=lambda amounts: next(iter(amounts)),
)
def test_augmentation_each_kind_is_seeded_and_varies_by_row(amounts, images):
    same = np.repeat(images[:1], 6, axis=0)
    first, again = view(same, **amounts), view(same, **amounts)
    np.testing.assert_array_equal(first, again)
    assert first.shape == same.shape
    assert len({row.tobytes() for row in first}) >= 2
    assert not np.array_equal(first, view(same, seed=1, **amounts))


def test_augmentation_second_call_draws_anew(images):
    layer = Augmentation(shift=2.0, seed=0)
    first, second = (
        ops.convert_to_numpy(layer(images, training=True)) for _ in range(2)
    )
    assert not np.array_equal(first, second)


def test_augmentation_flip_mirrors_about_half_of_the_rows(rng):
    x = rng.random((200, 4, 6, 1), dtype="float32")
    out = view(x, flip=True)
    mirrored = np.isclose(out, x[:, :, ::-1], atol=1e-5).all(axis=(1, 2, 3))
    kept = np.isclose(out, x, atol=1e-5).all(axis=(1, 2, 3))
    assert (mirrored | kept).all()
    assert 70 < mirrored.sum() < 130


def test_augmentation_warp_equals_bilinear_interpolation(rng):
    from scipy.ndimage import map_coordinates

    x = rng.random((3, 9, 8, 2), dtype="float32")
    layer = Augmentation(shift=3.0, affine=0.4, elastic=0.8, seed=3)
    layer.build(x.shape)
    state = ops.convert_to_numpy(layer.seed_generator.state.value).copy()
    row, column = map(ops.convert_to_numpy, layer._places(3))
    layer.seed_generator.state.assign(state)  # the same places again
    out = ops.convert_to_numpy(layer(x, training=True))
    for i in range(3):
        places = np.stack([row[i] + 4.0, column[i] + 3.5])
        for channel in range(2):
            expected = map_coordinates(
                np.pad(x[i, ..., channel], 1), places + 1.0, order=1
            )
            np.testing.assert_allclose(
                out[i, ..., channel], expected, atol=2e-3
            )


def test_augmentation_elastic_field_has_the_stated_deviation():
    layer = Augmentation(elastic=1.5, seed=0)
    layer.build((None, 12, 12, 1))
    row, column = map(ops.convert_to_numpy, layer._places(4000))
    moved = row - layer._rows[None, :, None]
    assert moved.std(axis=0).min() > 1.4
    assert moved.std(axis=0).max() < 1.6
    # smooth: neighbours move nearly alike
    assert np.abs(np.diff(moved, axis=1)).mean() < 0.5


def test_augmentation_color_stays_in_the_unit_interval(images):
    out = view(images, color=0.9)
    assert out.min() >= 0.0
    assert out.max() <= 1.0


def test_augmentation_config_round_trip_and_inside_a_traced_model(images):
    amounts = {
        "shift": 1.0,
        "affine": 0.1,
        "elastic": 0.2,
        "flip": True,
        "color": 0.3,
        "noise": 0.4,
        "seed": 5,
    }
    layer = Augmentation(**amounts)
    again = Augmentation.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert amounts.items() <= layer.get_config().items()
    model = keras.Sequential([keras.Input((7, 5, 2)), layer])
    assert model.predict(images, verbose=0).shape == images.shape


@pytest.mark.parametrize("name", ["shift", "affine", "elastic", "noise"])
def test_augmentation_refuses_negative_amounts(name):
    with pytest.raises(ValueError, match=f"{name}: expected a number ≥ 0"):
        Augmentation(**{name: -1.0})


def test_augmentation_refuses_vectors():
    with pytest.raises(ValueError, match="inputs: expected images"):
        Augmentation(shift=1.0)(np.zeros((4, 64), "float32"), training=True)
