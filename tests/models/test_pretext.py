"""Masked autoencoding and rotation prediction: contract and meaning."""

import contracts
import keras
import numpy as np
import pytest
from contracts import EAGERLY
from keras import ops

from utils.models.pretext import MaskedAutoencoder, RotationPredictor
from utils.nn.likelihoods import Bernoulli, SquaredError
from utils.training import recipes

IMAGE = (8, 8, 1)
CASES = {
    "masked_conv": lambda **more: MaskedAutoencoder.conv(
        IMAGE,
        6,
        widths=(4,),
        likelihood=SquaredError("sigmoid"),
        patch=4,
        ratio=0.25,
        activation="elu",
        code_activation="tanh",
        seed=3,
        **more,
    ),
    "masked_dense": lambda **more: MaskedAutoencoder.dense(
        (6, 4, 2), 6, widths=(9,), overcomplete=False, **more
    ),
    "rotation": lambda **more: RotationPredictor.dense(
        IMAGE, 6, widths=(9,), activation="elu", seed=2, **more
    ),
    "rotation_own": lambda **more: RotationPredictor(
        own_encoder(), own_head(), **more
    ),
}
COUNTS = {  # arrays of weights, seed generators
    "masked_conv": (8, 1),
    "masked_dense": (8, 1),
    "rotation": (6, 0),
    "rotation_own": (8, 0),
}
each_case = pytest.mark.parametrize("case", CASES)


def own_encoder():
    return keras.Sequential(
        [
            keras.Input(IMAGE),
            keras.layers.Flatten(),
            keras.layers.Dense(6, "tanh"),
            keras.layers.BatchNormalization(scale=False, center=False),
        ]
    )


def own_head():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, "relu", bias_initializer="ones"),
            keras.layers.Dense(4),
        ]
    )


def number(value):
    return float(ops.convert_to_numpy(value))


def numbers(value):
    return ops.convert_to_numpy(value)


def rows_for(model, rng, n=8):
    return rng.random((n, *model.event_shape), dtype="float32")


# ----------------------------------------------------------------- contract


def test_cases_move_every_argument_off_its_default():
    for cls in (MaskedAutoencoder, RotationPredictor):
        models = [make() for make in CASES.values()]
        configs = [m.get_config() for m in models if type(m) is cls]
        for name, default in contracts.constructor_defaults(cls).items():
            assert any(config[name] != default for config in configs), name


@each_case
def test_model_config_weights_and_generators(case):
    model = CASES[case](name="mine")
    contracts.check_config_round_trip(model)
    assert model.get_config()["name"] == "mine"
    assert len(model.weights) == COUNTS[case][0]
    assert contracts.num_seed_generators(model) == COUNTS[case][1]


@each_case
def test_model_saved_and_loaded_encodes_alike(case, tmp_path, rng):
    model = CASES[case]()
    x = rows_for(model, rng)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.encode(x), model.encode(x), rtol=1e-5)
    configs = [contracts.json_form(m.get_config()) for m in (model, loaded)]
    assert configs[0] == configs[1]


@each_case
def test_model_one_step_moves_every_trainable_weight(case, rng):
    model = CASES[case]()
    contracts.check_fit_moves_all_weights(model, rows_for(model, rng, 16))


@each_case
def test_model_symbolic_and_eager_shapes_agree(case, rng):
    model = CASES[case]()
    contracts.check_symbolic_shapes(model, rows_for(model, rng, 3))


@each_case
def test_model_made_again_differs_by_its_seed_alone(case):
    if case == "rotation_own":
        assert not hasattr(CASES[case](), "remake")
        return
    model = CASES[case](seed=1) if "dense" in case else CASES[case]()
    again, other = model.remake(), model.remake(seed=7)
    for old, new in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    kernels = [model.get_weights()[0], other.get_weights()[0]]
    assert not np.array_equal(*kernels)
    assert type(other) is type(model)


@each_case
def test_weights_of_rows_act_as_rows_do(case, rng):
    model = CASES[case]()
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=EAGERLY)
    x, before = rows_for(model, rng), model.get_weights()
    model.fit(x, sample_weight=np.zeros(8), verbose=0)
    trained = [w.path for w in model.trainable_weights]
    assert trained
    for weight, old in zip(model.weights, before, strict=True):
        if weight.path in trained:
            np.testing.assert_array_equal(numbers(weight), old)
    if "masked" in case:
        return  # every row draws its own patches
    weights = np.array([2.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    found = model.evaluate(
        x, sample_weight=weights, verbose=0, return_dict=True
    )
    repeated = x[[0, 0, 1, 3, 4, 5, 6, 7]]
    expected = model.evaluate(repeated, verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-5)


# -------------------------------------------------------------------- masks


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75])
def test_mask_hides_the_stated_fraction_of_every_row(ratio, rng):
    model = MaskedAutoencoder.dense(IMAGE, 4, patch=2, ratio=ratio, seed=0)
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
    model = MaskedAutoencoder.dense(IMAGE, 4, patch=4, ratio=0.5, seed=1)
    hidden = numbers(model(np.zeros((4000, *IMAGE), "float32"))["hidden"])
    often = hidden.mean(axis=0)
    assert often.min() > 0.46
    assert often.max() < 0.54


def test_masked_encoder_sees_nothing_of_the_hidden_pixels(rng):
    model = MaskedAutoencoder.dense(IMAGE, 4, widths=(8,), seed=0)
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
    model = MaskedAutoencoder.dense(IMAGE, 16, widths=(), patch=2, seed=0)
    x = rng.random((16, *IMAGE), dtype="float32")
    state = numbers(model.mask.seed_generator.state).copy()
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
    model.mask.seed_generator.state.assign(state)
    np.testing.assert_allclose(model.example_losses(x), expected, rtol=1e-5)


def test_masked_metric_is_the_mean_over_hidden_pixels(rng):
    model = MaskedAutoencoder.dense(IMAGE, 4, ratio=0.25, seed=0)
    model.compile("sgd", run_eagerly=EAGERLY)
    x = rng.random((40, *IMAGE), dtype="float32")
    result = model.evaluate(x, batch_size=40, verbose=0, return_dict=True)
    assert result["mse"] == pytest.approx(result["loss"] / 16, rel=1e-5)


def test_masked_autoencoder_beats_the_mean_image(digits):
    x = digits.x_train.reshape(-1, *IMAGE)
    model = MaskedAutoencoder.dense(
        IMAGE, 32, widths=(64,), likelihood=SquaredError("sigmoid"), seed=0
    )
    recipes.compile(model, 5e-3)
    model.fit(np.tile(x, (6, 1, 1, 1)), batch_size=64, verbose=0)
    held_out = digits.x_val.reshape(-1, *IMAGE)
    found = model.evaluate(held_out, verbose=0, return_dict=True)["mse"]
    baseline = ((held_out - x.mean(axis=0)) ** 2).mean()
    assert found < 0.9 * baseline


# ----------------------------------------------------------------- rotation


def test_rotation_shows_all_four_turns(rng):
    model = RotationPredictor.dense((4, 4, 1), 5, widths=(6,), seed=0)
    x = rng.random((3, 4, 4, 1), dtype="float32")
    logits = numbers(model(x))
    assert logits.shape == (3, 4, 4)
    for turns in range(4):
        turned = np.rot90(x, turns, axes=(1, 2)).copy()
        expected = numbers(model.head(model.encoder(turned)))
        np.testing.assert_allclose(logits[:, turns], expected, rtol=1e-4)


def test_rotation_loss_equals_numpy_where_batch_equals_turns(rng):
    model = RotationPredictor.dense((4, 4, 1), 4, widths=(4,), seed=0)
    x = rng.random((4, 4, 4, 1), dtype="float32")
    logits = numbers(model(x)).astype("float64")
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -np.mean([[row[r, r] for r in range(4)] for row in log_p])
    found = number(model.compute_loss(x, y_pred=model(x)))
    assert found == pytest.approx(expected, rel=1e-5)


def test_rotation_untrained_guesses_and_symmetric_images_stay_a_guess():
    model = RotationPredictor.dense((4, 4, 1), 5, widths=(6,), seed=0)
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
        (
            lambda: MaskedAutoencoder.dense(IMAGE, 4, patch=3),
            "patch: expected a div",
        ),
        (
            lambda: MaskedAutoencoder.dense(IMAGE, 4, ratio=0.01),
            "ratio: expected a",
        ),
        (
            lambda: MaskedAutoencoder.dense(IMAGE, 4, ratio=1.5),
            "ratio: expected a nu",
        ),
        (
            lambda: MaskedAutoencoder.dense(IMAGE, 4, likelihood=Bernoulli()),
            r"likelihood: expected SquaredError\(\)",
        ),
        (
            lambda: MaskedAutoencoder.dense((64,), 4),
            "encoder: expected one of images",
        ),
        (
            lambda: RotationPredictor.conv((8, 4, 1), 4),
            "encoder: expected one of square",
        ),
        (
            lambda: RotationPredictor.dense((64,), 4),
            "encoder: expected one of square",
        ),
        (
            lambda: RotationPredictor(
                own_encoder(), keras.Sequential([keras.layers.Dense(4)])
            ),
            "head: expected a network that knows its shapes",
        ),
        (
            lambda: RotationPredictor(
                own_encoder(),
                keras.Sequential([keras.Input((5,)), keras.layers.Dense(4)]),
            ),
            r"head: expected inputs of shape \(6,\), the encoder's codes; "
            r"received \(5,\)",
        ),
        (
            lambda: RotationPredictor(
                own_encoder(),
                keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)]),
            ),
            "head: expected four logits, one a turn; received 3",
        ),
        (
            lambda: RotationPredictor(
                own_encoder(),
                keras.Sequential(
                    [keras.Input((6,)), keras.layers.Reshape((3, 2))]
                ),
            ),
            r"head: expected a vector for each code; received outputs \(3, 2\)",
        ),
        (lambda: RotationPredictor("encoder", own_head()), "a Keras model"),
    ],
    ids=[
        "patch",
        "none",
        "range",
        "bernoulli",
        "vector",
        "oblong",
        "flat",
        "unbuilt",
        "misfit",
        "turns",
        "matrix",
        "string",
    ],
)
def test_model_refuses_bad_arguments(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_rotation_fit_refuses_labels_and_other_shapes():
    model = RotationPredictor.conv(IMAGE, 4, widths=(4,))
    model.compile("adam")
    with pytest.raises(ValueError, match="y: expected no target"):
        model.fit(np.zeros((8, *IMAGE)), np.zeros(8))
    with pytest.raises(ValueError, match="x: expected shape"):
        model.fit(np.zeros((8, 9, 9, 1)))
    with pytest.raises(ValueError, match="x: expected shape"):
        model.predict(np.zeros((8, 9, 9, 1)))
    with pytest.raises(ValueError, match="x: expected finite"):
        model.encode(np.full((8, *IMAGE), np.nan))
    with pytest.raises(ValueError, match="class_weight: expected None"):
        model.fit(np.zeros((8, *IMAGE)), class_weight={0: 1.0})


class Labelled(keras.utils.PyDataset):
    """Batches with labels, of which the second is the wrong one."""

    num_batches = 2

    def __getitem__(self, index):
        x = np.zeros((4, *IMAGE), "float32")
        return (x, np.zeros(4)) if index else (x,)


def test_rotation_fit_refuses_labels_in_batches_by_number():
    model = RotationPredictor.conv(IMAGE, 4, widths=(4,))
    model.compile("adam", run_eagerly=EAGERLY)
    with pytest.raises(ValueError, match="y: expected no target"):
        model.fit(Labelled(), verbose=0)
