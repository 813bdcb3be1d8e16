"""Masked autoencoding and rotation prediction: contract and meaning."""

import contracts
import keras
import numpy as np
import pytest
from contracts import EAGERLY, Case
from keras import ops

from utils.models.pretext import MaskedAutoencoder, RotationPredictor

IMAGE = (8, 8, 1)
BACKEND = keras.backend.backend()
FAST = {
    "steps_per_execution": 8 if BACKEND == "tensorflow" else 1,
    "jit_compile": BACKEND == "jax",
}
CASES = [
    Case(
        "masked_conv",
        MaskedAutoencoder,
        {
            "input_shape": IMAGE,
            "latent_dim": 6,
            "widths": (4,),
            "network": "conv",
            "patch": 4,
            "ratio": 0.25,
            "output": "sigmoid",
            "activation": "elu",
            "code_activation": "tanh",
            "seed": 3,
        },
        num_weights=8,
        num_generators=1,
    ),
    Case(
        "masked_tied",
        MaskedAutoencoder,
        {
            "input_shape": (6, 4, 2),
            "latent_dim": 6,
            "widths": (9,),
            "tied": True,
            "overcomplete": False,
        },
        num_weights=6,
        num_generators=1,
    ),
    Case(
        "rotation",
        RotationPredictor,
        {
            "input_shape": IMAGE,
            "latent_dim": 6,
            "widths": (9,),
            "network": "dense",
            "activation": "elu",
            "seed": 2,
        },
        num_weights=6,
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def number(value):
    return float(ops.convert_to_numpy(value))


def numbers(value):
    return ops.convert_to_numpy(value)


# ----------------------------------------------------------------- contract


def test_cases_move_every_argument_off_its_default():
    for cls in (MaskedAutoencoder, RotationPredictor):
        wanted = set(contracts.constructor_defaults(cls))
        tried = set().union(
            *(contracts.changed_arguments(c) for c in CASES if c.cls is cls)
        )
        assert wanted <= tried


@each_case
def test_model_config_weights_and_generators(case):
    contracts.check_config_kept(case, name="mine")
    model = case.make()
    assert len(model.weights) == case.num_weights
    assert contracts.num_seed_generators(model) == case.num_generators


@each_case
def test_model_saved_and_loaded_encodes_alike(case, tmp_path, rng):
    model = case.make()
    x = rng.random((8, *case.config["input_shape"]), dtype="float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.encode(x), model.encode(x), rtol=1e-5)
    assert loaded.get_config() == model.get_config()


@each_case
def test_model_one_step_moves_every_trainable_weight(case, rng):
    x = rng.random((16, *case.config["input_shape"]), dtype="float32")
    contracts.check_fit_moves_all_weights(case.make(), x)


@each_case
def test_model_symbolic_and_eager_shapes_agree(case, rng):
    x = rng.random((3, *case.config["input_shape"]), dtype="float32")
    contracts.check_symbolic_shapes(case.make(), x)


# -------------------------------------------------------------------- masks


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75])
def test_mask_hides_the_stated_fraction_of_every_row(ratio, rng):
    model = MaskedAutoencoder(IMAGE, 4, patch=2, ratio=ratio, seed=0)
    x = rng.random((50, *IMAGE), dtype="float32")
    hidden = numbers(model(x)["hidden"])
    assert set(np.unique(hidden)) == {0.0, 1.0}
    shares = hidden.mean(axis=(1, 2, 3))
    assert (shares == round(ratio * 16) / 16).all()
    blocks = hidden.reshape(50, 4, 2, 4, 2)
    assert (blocks == blocks[:, :, :1, :, :1]).all(), "whole patches"
    assert len({row.tobytes() for row in hidden}) > 15
    assert not np.array_equal(hidden, numbers(model(x)["hidden"]))


def test_mask_every_patch_is_hidden_equally_often(rng):
    model = MaskedAutoencoder(IMAGE, 4, patch=4, ratio=0.5, seed=1)
    hidden = numbers(model(np.zeros((4000, *IMAGE), "float32"))["hidden"])
    often = hidden.mean(axis=0)
    assert often.min() > 0.46
    assert often.max() < 0.54


def test_masked_encoder_sees_nothing_of_the_hidden_pixels(rng):
    model = MaskedAutoencoder(IMAGE, 4, widths=(8,), seed=0)
    x = rng.random((20, *IMAGE), dtype="float32")
    state = numbers(model.mask.seed_generator.state).copy()
    outputs = model(x)
    hidden = numbers(outputs["hidden"])
    model.mask.seed_generator.state.assign(state)
    changed = model(np.where(hidden == 1, 0.9, x).astype("float32"))
    np.testing.assert_array_equal(numbers(changed["hidden"]), hidden)
    np.testing.assert_array_equal(
        numbers(changed["code"]), numbers(outputs["code"])
    )


def test_masked_loss_counts_hidden_pixels_alone(rng):
    # as many rows as the code is wide: a mixed-up axis would go unseen
    model = MaskedAutoencoder(IMAGE, 16, widths=(), patch=2, seed=0)
    x = rng.random((16, *IMAGE), dtype="float32")
    outputs = {k: numbers(v) for k, v in model(x).items()}
    squared = (x - outputs["reconstruction"]) ** 2 * outputs["hidden"]
    expected = squared.sum(axis=(1, 2, 3))
    found = numbers(model.reconstruction_loss(x, outputs))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    outputs["reconstruction"] = np.where(
        outputs["hidden"] == 1, outputs["reconstruction"], 100.0
    )
    again = numbers(model.reconstruction_loss(x, outputs))
    np.testing.assert_allclose(again, expected, rtol=1e-5)


def test_masked_metric_is_the_mean_over_hidden_pixels(rng):
    model = MaskedAutoencoder(IMAGE, 4, ratio=0.25, seed=0)
    model.compile("sgd", run_eagerly=EAGERLY)
    x = rng.random((40, *IMAGE), dtype="float32")
    result = model.evaluate(x, batch_size=40, verbose=0, return_dict=True)
    assert result["mse"] == pytest.approx(result["loss"] / 16, rel=1e-5)


def test_masked_autoencoder_beats_the_mean_image(digits):
    x = digits.x_train.reshape(-1, *IMAGE)
    model = MaskedAutoencoder(IMAGE, 32, widths=(64,), output="sigmoid", seed=0)
    model.compile(keras.optimizers.Adam(5e-3), **FAST)
    model.fit(np.tile(x, (6, 1, 1, 1)), batch_size=64, verbose=0)
    held_out = digits.x_val.reshape(-1, *IMAGE)
    found = model.evaluate(held_out, verbose=0, return_dict=True)["mse"]
    baseline = ((held_out - x.mean(axis=0)) ** 2).mean()
    assert found < 0.9 * baseline


# ----------------------------------------------------------------- rotation


def test_rotation_shows_all_four_turns(rng):
    model = RotationPredictor(
        (4, 4, 1), 5, widths=(6,), network="dense", seed=0
    )
    x = rng.random((3, 4, 4, 1), dtype="float32")
    logits = numbers(model(x))
    assert logits.shape == (3, 4, 4)
    for turns in range(4):
        turned = np.rot90(x, turns, axes=(1, 2)).copy()
        expected = numbers(model.head(model.encoder(turned)))
        np.testing.assert_allclose(logits[:, turns], expected, rtol=1e-4)


def test_rotation_loss_equals_numpy_where_batch_equals_turns(rng):
    model = RotationPredictor(
        (4, 4, 1), 4, widths=(4,), network="dense", seed=0
    )
    x = rng.random((4, 4, 4, 1), dtype="float32")
    logits = numbers(model(x)).astype("float64")
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -np.mean([[row[r, r] for r in range(4)] for row in log_p])
    found = number(model.compute_loss(x, y_pred=model(x)))
    assert found == pytest.approx(expected, rel=1e-5)


def test_rotation_untrained_guesses_and_symmetric_images_stay_a_guess():
    model = RotationPredictor(
        (4, 4, 1), 5, widths=(6,), network="dense", seed=0
    )
    x = np.ones((8, 4, 4, 1), "float32")  # the same from all sides
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=EAGERLY)
    model.fit(x, batch_size=8, epochs=20, verbose=0)
    result = model.evaluate(x, verbose=0, return_dict=True)
    assert result["loss"] >= np.log(4) - 1e-3
    assert result["accuracy"] == pytest.approx(0.25)


# ------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: MaskedAutoencoder(IMAGE, 4, patch=3), "patch: expected a div"),
        (lambda: MaskedAutoencoder(IMAGE, 4, ratio=0.01), "ratio: expected a"),
        (
            lambda: MaskedAutoencoder(IMAGE, 4, ratio=1.5),
            "ratio: expected a nu",
        ),
        (
            lambda: MaskedAutoencoder(IMAGE, 4, output="bernoulli"),
            "output: expected one of",
        ),
        (lambda: MaskedAutoencoder((64,), 4), "input_shape: expected an image"),
        (
            lambda: RotationPredictor((8, 4, 1), 4),
            "input_shape: expected a square",
        ),
        (
            lambda: RotationPredictor((64,), 4, network="dense"),
            "input_shape: expected a square",
        ),
    ],
    ids=["patch", "none", "range", "bernoulli", "vector", "oblong", "flat"],
)
def test_model_refuses_bad_arguments(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_rotation_fit_refuses_labels_and_other_shapes():
    model = RotationPredictor(IMAGE, 4, widths=(4,))
    model.compile("adam")
    with pytest.raises(ValueError, match="y: expected no target"):
        model.fit(np.zeros((8, *IMAGE)), np.zeros(8))
    with pytest.raises(ValueError, match="x: expected shape"):
        model.fit(np.zeros((8, 9, 9, 1)))
