"""Translators: the contract, the objectives, who moves whom."""

import dataclasses
import inspect

import contracts
import keras
import numpy as np
import pytest
from contracts import EAGERLY
from keras import ops

from utils import metrics
from utils.models.translation import Translator, UnpairedTranslator
from utils.nn import networks

BACKEND = keras.backend.backend()
SHAPE = (8, 8, 2)


@dataclasses.dataclass(frozen=True)
class Case:
    """A class, the arguments of its ``conv``, the weights they lead to."""

    name: str
    cls: type
    config: dict
    num_weights: int

    def make(self, **more):
        return self.cls.conv(**{**self.config, **more})


CASES = [
    Case(
        "paired",
        Translator,
        {
            "input_shape": SHAPE,
            "out_channels": 1,
            "widths": (5, 4, 3),
            "stride": 4,
            "seed": 3,
        },
        num_weights=8,
    ),
    Case(
        "unpaired",
        UnpairedTranslator,
        {
            "input_shape": SHAPE,
            "widths": (5, 4, 3),
            "stride": 1,
            "critic_widths": (3,),
            "cycle": 2.5,
            "seed": 3,
        },
        num_weights=2 * 8 + 2 * 4,
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((24, *SHAPE), "float32")


def inputs(case, x):
    y = ops.convert_to_tensor(x[::-1].copy())
    x = ops.convert_to_tensor(x)
    return x if case.cls is Translator else {"x": x, "y": y}


def shaken(case):
    """A model whose corrections are not zero any more."""
    model, rng = case.make(), np.random.default_rng(0)
    model.set_weights(
        [w + 0.1 * rng.normal(size=w.shape) for w in model.get_weights()]
    )
    return model


def target(case, x):
    return x[::-1, ..., :1].copy() if case.cls is Translator else 1 - x[:15]


# ------------------------------------------------------------- contract


@each_case
def test_translator_case_moves_every_argument_off_its_default(case):
    parameters = inspect.signature(case.cls.conv).parameters.values()
    for parameter in parameters:
        if parameter.name not in ("name", "dtype"):
            assert case.config[parameter.name] != parameter.default


@each_case
def test_translator_saved_and_loaded_same_config_and_outputs(
    case, images, tmp_path
):
    model = shaken(case)
    config = contracts.json_form(model.get_config())
    for name in set(config) & set(case.config):
        assert config[name] == case.config[name]
    contracts.check_config_round_trip(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert contracts.json_form(loaded.get_config()) == config
    outputs = [
        contracts.numpy_tree(one(inputs(case, images)))
        for one in (model, loaded)
    ]
    contracts.assert_same_outputs(*outputs)
    assert len(model.weights) == case.num_weights


@each_case
def test_translator_fit_moves_every_weight_and_resumes(case, images):
    model = shaken(case)
    before = [ops.convert_to_numpy(w).copy() for w in model.trainable_weights]
    assert len(before) == case.num_weights
    model.compile(keras.optimizers.SGD(0.05), run_eagerly=EAGERLY)
    model.fit(images, target(case, images), batch_size=24, verbose=0)
    for old, weight in zip(before, model.trainable_weights, strict=True):
        new = ops.convert_to_numpy(weight)
        assert not np.array_equal(old, new), weight.path


@each_case
def test_translator_same_seed_same_start_other_seed_other_start(case):
    first, same, other = case.make(), case.make(), case.make(seed=4)
    for a, b in zip(first.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    differ = [
        not np.array_equal(a, b)
        for a, b in zip(first.get_weights(), other.get_weights(), strict=True)
    ]
    assert any(differ)


@each_case
def test_translator_mixed_precision_returns_float32(case, images):
    model = case.make(dtype="mixed_bfloat16")
    assert model.translate(images).dtype == np.float32
    model.compile("sgd", run_eagerly=EAGERLY)
    history = model.fit(images, target(case, images), verbose=0).history
    assert np.isfinite(history["loss"]).all()


@each_case
@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"input_shape": (8, 8)}, "height, width, channels"),
        ({"input_shape": (8, 9, 1), "stride": 2}, "divisible by 2"),
        ({"widths": ()}, "widths: expected at least one"),
        ({"widths": 3}, "widths"),
        ({"stride": 0}, "stride"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_translator_bad_argument_is_named(case, more, match):
    with pytest.raises(ValueError, match=match):
        case.make(**more)


def test_translator_own_arguments_are_checked():
    with pytest.raises(ValueError, match="out_channels"):
        Translator.conv(SHAPE, out_channels=3)
    with pytest.raises(ValueError, match="cycle"):
        UnpairedTranslator.conv(SHAPE, cycle=-1)


@each_case
@pytest.mark.parametrize("bad", ["rank", "nan", "missing", "shape", "loss"])
def test_translator_bad_data_is_named_before_training(case, bad, images):
    model, y = case.make(), target(case, images)
    model.compile("sgd", loss="mse" if bad == "loss" else None)
    broken = {
        "rank": (images[..., 0], y, "x: expected shape"),
        "nan": (np.full_like(images, np.nan), y, "x: expected finite"),
        "missing": (images, None, "y: expected"),
        "shape": (images, y[:, :4], "y: expected shape"),
        "loss": (images, y, "none in compile"),
    }
    x, y, match = broken[bad]
    with pytest.raises(ValueError, match=match):
        model.fit(x, y, verbose=0)


@each_case
def test_translate_refuses_what_does_not_fit_the_network(case):
    model = case.make()
    with pytest.raises(ValueError, match="x: expected"):
        model.translate(np.zeros((1, 8, 8, 5)))
    if case.cls is Translator:
        with pytest.raises(ValueError, match=r"x: expected sides.*\(1, 10, 8"):
            model.translate(np.zeros((1, 10, 8, 2)))


# -------------------------------------------------------------- network


def test_network_untrained_copies_and_takes_any_size():
    network = networks.image_to_image(3, 2, (4,), stride=2, seed=0)
    for shape in ((1, 8, 8, 3), (2, 10, 4, 3)):
        x = np.random.default_rng(0).random(shape, "float32")
        y = ops.convert_to_numpy(network(x))
        np.testing.assert_array_equal(y, x[..., :2])


# --------------------------------------------------------------- paired


def test_paired_loss_is_the_squared_error_summed_over_pixels(images):
    model = shaken(CASES[0])
    model.compile("sgd")
    y = target(CASES[0], images)
    result = model.evaluate(
        images, y, batch_size=24, verbose=0, return_dict=True
    )
    error = (ops.convert_to_numpy(model(images)) - y) ** 2
    assert result["loss"] == pytest.approx(
        error.sum(axis=(1, 2, 3)).mean(), rel=1e-4
    )
    assert result["mse"] == pytest.approx(error.mean(), rel=1e-4)
    half = np.r_[np.ones(12), np.zeros(12)]
    weighted = model.evaluate(
        images,
        y,
        sample_weight=half,
        batch_size=24,
        verbose=0,
        return_dict=True,
    )
    assert weighted["loss"] == pytest.approx(
        error[:12].sum(axis=(1, 2, 3)).sum() / 24, rel=1e-4
    )


def test_paired_adds_penalties_of_its_layers(images):
    model = shaken(CASES[0])
    model.compile("sgd", run_eagerly=True)  # the penalty comes later
    y = target(CASES[0], images)

    def loss():
        result = model.evaluate(
            images, y, batch_size=24, verbose=0, return_dict=True
        )
        return result["loss"]

    plain = loss()
    layer = model.network.get_layer("conv_2")
    layer.kernel.regularizer = keras.regularizers.L2(0.5)
    expected = 0.5 * float(ops.convert_to_numpy(ops.sum(layer.kernel**2)))
    assert loss() == pytest.approx(plain + expected, rel=1e-4)


def test_paired_learns_to_invert_images(images):
    x = np.tile(images[..., :1], (8, 1, 1, 1))
    model = Translator.conv((8, 8, 1), widths=(16,), stride=1, seed=0)
    steps = {} if BACKEND == "torch" else {"steps_per_execution": 6}
    model.compile(keras.optimizers.Adam(0.01), **steps)
    model.fit(
        x, 1 - x, batch_size=32, epochs=6, verbose=0, validation_data=(x, 1 - x)
    )
    copying = metrics.mse(1 - x, x)
    assert metrics.mse(1 - x, model.translate(x)) < 0.3 * copying


def test_paired_translates_a_larger_image_like_its_patches_inside():
    model = Translator.conv((8, 8, 1), widths=(4,), stride=2, seed=0)
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.normal(0, 0.1, w.shape) for w in model.get_weights()]
    )
    x = 0.4 + 0.2 * rng.random((1, 32, 32, 1), "float32")
    whole = model.translate(x)
    part = model.translate(x[:, 8:24, 8:24])
    # away from its border the part has the same neighbours
    np.testing.assert_allclose(
        part[:, 4:-4, 4:-4], whole[:, 12:20, 12:20], atol=1e-5
    )


def test_translate_clips_to_the_range_of_images():
    model = Translator.conv((8, 8, 1), seed=0)
    x = np.stack([np.full((8, 8, 1), -0.3), np.full((8, 8, 1), 1.7)])
    assert model.translate(x).min() == 0 and model.translate(x).max() == 1


# ------------------------------------------------------------- unpaired


def unpaired(**more):
    model = shaken(CASES[1])
    for name, value in more.items():
        setattr(model, name, value)
    return model


def losses_by_hand(model, x, y):
    g, f = model.to_y, model.to_x
    dy, dx = model.critic_y, model.critic_x

    def call(network, value):
        return ops.convert_to_numpy(network(value))

    fake_y, fake_x = call(g, x), call(f, y)
    critics = sum(
        0.5 * (call(d, real) - 1) ** 2 + 0.5 * call(d, fake) ** 2
        for d, real, fake in ((dy, y, fake_y), (dx, x, fake_x))
    )
    fooling = 0.5 * (call(dy, fake_y) - 1) ** 2
    fooling = fooling + 0.5 * (call(dx, fake_x) - 1) ** 2
    cycle = np.abs(call(f, fake_y) - x).mean()
    cycle += np.abs(call(g, fake_x) - y).mean()
    return critics.mean(), fooling.mean(), cycle


def test_unpaired_loss_equals_numpy(images):
    model = unpaired()
    x, y = images, 1 - images
    tensors = {"x": ops.convert_to_tensor(x), "y": ops.convert_to_tensor(y)}
    loss = model.compute_loss(x=tensors, y_pred=model(tensors))
    critics, fooling, cycle = losses_by_hand(model, x, y)
    expected = critics + fooling + 2.5 * cycle
    assert float(ops.convert_to_numpy(loss)) == pytest.approx(
        expected, rel=1e-4
    )
    found = {
        m.name: float(ops.convert_to_numpy(m.result())) for m in model.metrics
    }
    assert found["critic_loss"] == pytest.approx(critics, rel=1e-4)
    assert found["generator_loss"] == pytest.approx(fooling, rel=1e-4)
    assert found["cycle_error"] == pytest.approx(cycle / 2, rel=1e-4)


@pytest.mark.parametrize("player", ["critics", "translators"])
def test_unpaired_each_loss_moves_its_own_networks_alone(player, images):
    model = unpaired(cycle=0.0)
    kind = "real_{}_scores fake_{}_scores generator_{}_scores".split()
    silent = kind[2:] if player == "critics" else kind[:2]
    call = model.call

    def one_player(inputs, training=False):
        outputs = call(inputs, training=training)
        for name in silent:
            for side in "xy":
                key = name.format(side)
                # a gradient of zero and not of None, which Keras warns of
                fixed = ops.stop_gradient(outputs[key])
                outputs[key] = fixed + 0.0 * outputs[key]
        return outputs

    model.call = one_player
    groups = {
        "critics": (model.critic_x, model.critic_y),
        "translators": (model.to_y, model.to_x),
    }
    before = {
        name: [w for network in nets for w in network.get_weights()]
        for name, nets in groups.items()
    }
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=EAGERLY)
    model.fit(images, 1 - images, batch_size=24, verbose=0)
    for name, nets in groups.items():
        after = [w for network in nets for w in network.get_weights()]
        change = max(
            np.abs(a - b).max()
            for a, b in zip(before[name], after, strict=True)
        )
        assert (change > 1e-5) == (name == player), name


def test_unpaired_collections_are_mixed_apart_and_made_equally_long(images):
    model = CASES[1].make()
    x, y = images[:24], images[:7] / 2
    mixed, target = model.check_data(x, y)
    assert target is None
    assert len(mixed["x"]) == len(mixed["y"]) == 24
    assert {row.tobytes() for row in mixed["x"]} == {r.tobytes() for r in x}
    assert {row.tobytes() for row in mixed["y"]} == {r.tobytes() for r in y}
    met = np.mean(
        [
            np.allclose(a / 2, b)
            for a, b in zip(mixed["x"], mixed["y"], strict=True)
        ]
    )
    assert met < 0.3, "pairs meet by chance alone"


def test_unpaired_refuses_images_out_of_range(images):
    with pytest.raises(ValueError, match="maximum 255"):
        CASES[1].make().fit(255 * np.ones_like(images), images)


def test_unpaired_untrained_translates_both_ways_by_copying(images):
    model = CASES[1].make()
    np.testing.assert_array_equal(model.translate(images), images)
    np.testing.assert_array_equal(model.translate_back(images), images)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="about its graphs"
)
def test_unpaired_tensorflow_reads_no_weight_that_may_have_moved(images):
    from graphs import reads_without_order

    model = UnpairedTranslator.conv(
        SHAPE, widths=(2,), critic_widths=(2,), seed=0
    )
    model.compile(keras.optimizers.SGD(0.1))
    x = np.asarray(images[:4], "float32")
    pairs, without_order = reads_without_order(model, {"x": x, "y": x})
    assert pairs > 30
    assert not without_order


# --------------------------------------------------------- own networks


def convolution(shape, channels):
    layer = keras.layers.Conv2D(channels, 3, padding="same")
    return keras.Sequential([keras.Input(shape), layer])


def critic(shape, *last):
    layers = keras.layers.Flatten(), keras.layers.Dense(1, *last)
    return keras.Sequential(
        [keras.Input(shape), *layers, keras.layers.Reshape(())]
    )


def test_paired_own_network_may_shrink_and_change_channels(images, tmp_path):
    layers = keras.layers.MaxPooling2D(), keras.layers.Conv2D(5, 1)
    model = Translator(keras.Sequential([keras.Input(SHAPE), *layers]))
    model.compile("sgd", run_eagerly=EAGERLY)
    model.fit(images, np.zeros((24, 4, 4, 5)), verbose=0)
    with pytest.raises(ValueError, match=r"y: expected shape \(n, 4, 4, 5\)"):
        model.fit(images, images, verbose=0)
    model.save(tmp_path / "own.keras")
    loaded = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_allclose(
        loaded.translate(images), model.translate(images), rtol=1e-5
    )


def test_paired_weights_act_as_repeated_rows(images):
    y, weights = 1 - images[..., :1], np.arange(24) % 3
    ends = []
    for rows, sample_weight in (
        (np.arange(24), weights),
        (np.repeat(np.arange(24), weights), None),
    ):
        model = shaken(CASES[0])
        model.compile(keras.optimizers.SGD(1e-3), run_eagerly=EAGERLY)
        model.fit(
            images[rows],
            y[rows],
            sample_weight=sample_weight,
            batch_size=24,
            shuffle=False,
            verbose=0,
        )
        ends.append(model.get_weights())
    assert weights.sum() == 24  # one batch each
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_paired_takes_only_networks_between_images():
    dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    with pytest.raises(ValueError, match="network: .*images.*4"):
        Translator(dense)


def test_unpaired_collections_may_differ_in_their_channels(tmp_path):
    grey, colour = (8, 8, 1), (8, 8, 3)
    model = UnpairedTranslator(
        convolution(grey, 3),
        convolution(colour, 1),
        critic(colour),
        critic(grey),
        cycle=1.0,
    )
    rng = np.random.default_rng(0)
    x, y = rng.random((6, *grey)), rng.random((4, *colour))
    model.compile("sgd", run_eagerly=EAGERLY)
    history = model.fit(x, y, batch_size=3, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert model.translate(x).shape == (6, *colour)
    model.save(tmp_path / "own.keras")
    loaded = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_allclose(
        loaded.translate_back(y), model.translate_back(y), rtol=1e-5
    )


def test_unpaired_networks_that_do_not_meet_are_named():
    shape, other = (8, 8, 1), (8, 8, 2)
    parts = {
        "to_y": convolution(shape, 1),
        "to_x": convolution(shape, 1),
        "critic_y": critic(shape),
        "critic_x": critic(shape),
    }
    for name, wrong, match in (
        ("to_y", convolution(shape, 2), r"received .*to \(8, 8, 2\)"),
        ("to_x", convolution(other, 1), r"received \(8, 8, 2\) to"),
        ("critic_y", critic(shape, "sigmoid"), "logits, not probabilities"),
        ("critic_x", convolution(shape, 1), r"\(batch,\)"),
    ):
        with pytest.raises(ValueError, match=f"{name}: .*{match}"):
            UnpairedTranslator(**{**parts, name: wrong})


def test_unpaired_takes_a_dict_and_batches_and_refuses_weights(images):
    model = CASES[1].make()
    model.compile("sgd", run_eagerly=EAGERLY)
    x, y = images[:8], images[8:16]
    model.fit({"x": x, "y": y}, verbose=0)
    model.fit(iter([(x, y), (x, y[:3])]), steps_per_epoch=2, verbose=0)
    outputs = model.predict({"x": x, "y": y}, verbose=0)
    made = np.clip(outputs["fake_y"], 0, 1)  # in the order of x
    np.testing.assert_allclose(made, model.translate(x), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(x, y, sample_weight=np.ones(8), verbose=0)
    with pytest.raises(ValueError, match="y: expected 8 images"):
        model.predict({"x": x, "y": y[:3]}, verbose=0)
    with pytest.raises(ValueError, match="x: expected a dict of images"):
        model.predict(x, verbose=0)
