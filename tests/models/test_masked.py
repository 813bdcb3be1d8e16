"""Hidden patches: left out of the encoder, put back in their places, scored."""

import keras
import numpy as np
import pytest
from keras import ops

from utils import data, models
from utils.models.masked import image_patches
from utils.training import recipes

X = np.random.default_rng(0).random((6, 8, 4, 3)).astype("float32")


def small(**changes):
    given = {"latent_dim": 4, "heads": 2, "depth": 1, "seed": 0, **changes}
    return models.MaskedPatches.transformer((8, 4, 3), **given)


def test_patches_are_the_pixels_of_squares_row_by_row():
    found = ops.convert_to_numpy(image_patches(X, 2))
    assert found.shape == (6, 8, 12)
    np.testing.assert_array_equal(found[:, 0], X[:, :2, :2].reshape(6, -1))
    np.testing.assert_array_equal(found[:, 1], X[:, :2, 2:].reshape(6, -1))
    np.testing.assert_array_equal(found[:, 7], X[:, 6:, 2:].reshape(6, -1))


@pytest.mark.parametrize(("ratio", "hidden"), [(0.5, 4), (0.75, 6), (0.3, 2)])
def test_every_image_hides_exactly_its_share(ratio, hidden):
    outputs = small(ratio=ratio).predict(X, verbose=0)
    assert (outputs["hidden"].sum(axis=1) == hidden).all()
    assert len({row.tobytes() for row in outputs["hidden"]}) > 1


def test_what_is_hidden_reaches_no_guess():
    """Other pixels in hidden patches: the same guesses, to the last bit."""
    model = small(ratio=0.5)
    state = model.seed_generator.state
    start = ops.convert_to_numpy(state).copy()
    first = model(X)
    hidden = ops.convert_to_numpy(first["hidden"]).astype(bool)
    patches = ops.convert_to_numpy(image_patches(X, 2)).copy()
    patches[hidden] = 9.0
    changed = patches.reshape(6, 4, 2, 2, 2, 3).transpose(0, 1, 3, 2, 4, 5)
    state.assign(start)
    second = model(changed.reshape(X.shape))
    np.testing.assert_array_equal(
        *(ops.convert_to_numpy(o["patches"]) for o in (first, second))
    )


def test_loss_is_the_error_of_hidden_patches_alone():
    model = small()
    outputs = model(X)
    loss = model.compute_loss(ops.convert_to_tensor(X), y_pred=outputs)
    loss = ops.convert_to_numpy(loss)
    guess, hidden = (
        ops.convert_to_numpy(outputs[k]) for k in ("patches", "hidden")
    )
    right = ops.convert_to_numpy(image_patches(X, 2))
    error = ((right - guess) ** 2).sum(axis=2) * hidden
    assert float(loss) == pytest.approx(error.sum(axis=1).mean(), rel=1e-4)


def test_code_is_the_mean_token_and_hides_nothing():
    model = small()
    tokens = ops.convert_to_numpy(model.trunk(model.embed(X)))
    np.testing.assert_allclose(
        model.encode(X), tokens.mean(axis=1), rtol=1e-4, atol=1e-5
    )


def test_training_beats_the_mean_of_each_pixel():
    digits = data.load("digits")
    x = np.tile(digits.x_train, (4, 1, 1, 1))
    model = models.MaskedPatches.transformer(
        (8, 8, 1), 32, depth=1, ratio=0.25, seed=0
    )
    recipes.compile(model, 6e-3)
    model.fit(x, batch_size=64, epochs=12, verbose=0)
    error = model.evaluate(digits.x_val, verbose=0, return_dict=True)["mse"]
    mean = digits.x_train.mean(axis=0)
    assert error < 0.95 * np.mean((digits.x_val - mean) ** 2)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"patch": 3}, "patch: expected a divisor"),
        ({"heads": 3}, "heads: expected a divisor"),
        ({"ratio": 0.01}, "ratio: expected a share"),
        ({"ratio": 1.0}, "ratio: expected a share"),
        ({"depth": 0}, "depth: expected"),
    ],
)
def test_bad_arguments_are_named(change, match):
    with pytest.raises(ValueError, match=match):
        small(**change)


def test_networks_that_do_not_fit_are_refused():
    model, other = small(), small(latent_dim=8)
    with pytest.raises(ValueError, match="trunk: expected"):
        models.MaskedPatches(model.embed, other.trunk, model.decoder)
    with pytest.raises(ValueError, match="decoder: expected"):
        models.MaskedPatches(model.embed, model.trunk, other.decoder)
    flat = keras.Sequential([keras.Input((8, 4, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="embed: expected"):
        models.MaskedPatches(flat, model.trunk, model.decoder)


def test_attention_starts_with_queries_keys_and_values_of_their_own():
    """Keras draws all kernels of a layer from one seeded initialiser."""
    attend = small().trunk.get_layer("attention_1")
    kernels = [
        ops.convert_to_numpy(w).ravel()
        for w in attend.weights
        if "kernel" in w.name
    ]
    assert len(kernels) == 4
    for i, one in enumerate(kernels):
        for other in kernels[i + 1 :]:
            assert np.abs(one - other).max() > 1e-3
