"""Greedy stacking and transfer: what is carried over, what moves, what not."""

import inspect
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import scipy.special
from contracts import QUICKLY
from keras import ops

from utils.models.autoencoders import Autoencoder, DenoisingAutoencoder
from utils.nn import networks
from utils.nn.likelihoods import SquaredError
from utils.training import pretraining, recipes
from utils.training.classifiers import (
    Standardize,
    check_rows,
    compile_classifier,
    fit_heads,
    fit_updates,
    mean_and_size,
    mean_cross_entropy,
    update_rows,
)
from utils.training.pretraining import fine_tune, greedy_stack, transfer

BACKEND = keras.backend.backend()


@pytest.fixture(autouse=True)
def quick(monkeypatch, request):
    """Few steps are quicker eagerly, but on JAX; ``traced`` tests trace."""
    if "traced" in request.fixturenames:
        return
    compile_ = keras.Model.compile

    def compile_quickly(self, *args, **kwargs):
        kwargs.update(QUICKLY)
        return compile_(self, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "compile", compile_quickly)


@pytest.fixture
def traced():
    """Ask for compiled steps, as outside of tests."""


def encoder(width=6, seed=0, shape=(12,)):
    return networks.dense_encoder(shape, width, (9,), seed=seed)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture
def labelled(rng):
    x = rng.normal(size=(30, 12)).astype("float32")
    return x, (x[:, 0] > 0).astype("int64") + (x[:, 1] > 0)


# ----------------------------------------------------------------- transfer


def test_transfer_starts_at_the_pretrained_weights_with_a_new_head():
    model = Autoencoder.dense((12,), 6, widths=(9,), seed=0)
    model.set_weights([w + 0.1 for w in model.get_weights()])
    classifier = transfer(model.encoder, 3, seed=1)
    own = classifier.get_layer("encoder")
    assert own is not model.encoder
    assert own.count_params() == model.encoder.count_params()
    assert same(own.get_weights(), model.encoder.get_weights())
    kernel, bias = classifier.get_layer("head").get_weights()
    assert kernel.shape == (6, 3)
    assert np.abs(kernel).max() > 0
    assert not bias.any()
    other = transfer(model.encoder, 3, seed=2).get_layer("head").get_weights()
    assert not np.array_equal(kernel, other[0])
    # nothing of the decoder: its last layer is not among the weights
    assert len(classifier.weights) == len(model.encoder.weights) + 2


def test_compiled_classifier_has_its_optimizer_s_variables():
    # made while TensorFlow traces the first step they would cost a second
    classifier = transfer(Autoencoder.dense((6,), 2, widths=(4,)).encoder, 3)
    compile_classifier(classifier, 0.01)
    assert classifier.optimizer.built


def test_fine_tune_frozen_stage_keeps_every_bit_of_the_encoder(
    labelled, traced
):
    source = encoder()
    classifier = transfer(source, 3, x=labelled[0])
    head = classifier.get_layer("head").get_weights()
    fine_tune(classifier, *labelled, frozen_updates=5, tuned_updates=0)
    own = classifier.get_layer("encoder").get_weights()
    assert same(own, source.get_weights())
    assert not same(classifier.get_layer("head").get_weights(), head)


def test_fine_tune_second_stage_moves_the_copy_not_the_original(labelled):
    source = encoder()
    before = source.get_weights()
    classifier = transfer(source, 3, x=labelled[0])
    standard = classifier.get_layer("standardize").get_weights()
    fine_tune(classifier, *labelled, frozen_updates=2, tuned_updates=5)
    for new, old in zip(
        classifier.get_layer("encoder").get_weights(), before, strict=True
    ):
        assert not np.array_equal(new, old)
    assert same(source.get_weights(), before)
    assert same(classifier.get_layer("standardize").get_weights(), standard)


def test_fine_tune_starts_near_log_classes_and_only_falls(labelled):
    classifier = transfer(encoder(), 3, x=labelled[0], seed=0)
    losses = fine_tune(
        classifier, *labelled, frozen_updates=40, tuned_updates=40
    )
    assert abs(losses.start - np.log(3)) < 0.05
    assert losses.start > losses.frozen > losses.tuned


def test_fine_tune_runs_exactly_the_updates_asked_for(labelled):
    classifier = transfer(encoder(), 3)
    fine_tune(classifier, *labelled, frozen_updates=3, tuned_updates=7)
    assert int(ops.convert_to_numpy(classifier.optimizer.iterations)) == 7
    assert classifier.get_layer("encoder").trainable


def test_fine_tune_is_reproducible(labelled):
    found = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        classifier = transfer(encoder(), 3, x=labelled[0], seed=0)
        fine_tune(classifier, *labelled, frozen_updates=3, tuned_updates=3)
        found.append(classifier.get_weights())
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_transfer_standardises_codes_by_one_number(labelled):
    source = encoder()
    classifier = transfer(source, 3, x=labelled[0])
    codes = ops.convert_to_numpy(source(labelled[0]))
    out = ops.convert_to_numpy(
        classifier.get_layer("standardize")(ops.convert_to_tensor(codes))
    )
    np.testing.assert_allclose(out.mean(axis=0), 0.0, atol=1e-5)
    assert np.mean(out**2) == pytest.approx(1.0, rel=1e-4)
    ratio = codes.std(axis=0) / out.std(axis=0)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)


def test_transfer_classifier_saves_and_loads(tmp_path, labelled):
    classifier = transfer(encoder(), 3, x=labelled[0])
    classifier.save(tmp_path / "classifier.keras")
    loaded = keras.saving.load_model(tmp_path / "classifier.keras")
    np.testing.assert_allclose(
        loaded.predict(labelled[0], verbose=0),
        classifier.predict(labelled[0], verbose=0),
        rtol=1e-5,
    )


def test_transfer_takes_a_head_of_the_user(labelled):
    head = keras.Sequential(
        [keras.layers.Dense(5, "relu"), keras.layers.Dense(3)]
    )
    classifier = transfer(encoder(), head)
    assert classifier.output_shape == (None, 3)
    fine_tune(classifier, *labelled, frozen_updates=1, tuned_updates=1)


def test_transfer_keeps_token_ids_whole():
    inputs = keras.Input((4,), dtype="int32")
    hidden = keras.layers.Embedding(7, 5)(inputs)
    source = keras.Model(
        inputs, keras.layers.GlobalAveragePooling1D()(hidden), name="encoder"
    )
    ids = np.arange(12).reshape(3, 4) % 7
    classifier = transfer(source, 2, x=ids)
    assert classifier.inputs[0].dtype == "int32"
    assert check_rows(classifier, ids.astype("float64")).dtype == np.int32
    fine_tune(
        classifier, ids, np.array([0, 1, 0]), frozen_updates=1, tuned_updates=1
    )


def test_cross_entropy_batch_as_large_as_the_width_equals_numpy(rng):
    # six rows, six codes, six classes: no axis can be told by its length
    classifier = transfer(encoder(6), 6, seed=0)
    x = rng.normal(size=(6, 12)).astype("float32")
    y = rng.integers(0, 6, 6)
    logits = classifier.predict(x, verbose=0).astype("float64")
    by_hand = [
        np.log(np.sum(np.exp(row))) - row[label]
        for row, label in zip(logits, y, strict=True)
    ]
    assert mean_cross_entropy(classifier, x, y) == pytest.approx(
        np.mean(by_hand), rel=1e-6
    )
    fine_tune(
        classifier,
        x,
        y,
        frozen_updates=1,
        tuned_updates=0,
        rate=0.0,
        tuned_rate=0.0,
    )
    keras_loss = classifier.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    assert keras_loss == pytest.approx(np.mean(by_hand), rel=1e-5)


def test_update_rows_are_whole_passes_in_new_orders(rng):
    rows = update_rows(10, updates=5, batch_size=4, rng=rng)
    assert len(rows) == 20
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert not np.array_equal(rows[:10], rows[10:])


# ------------------------------------------------------------------- greedy


def test_greedy_stack_unrolls_the_layers_it_trained(digits):
    x = digits.x_train[:256]
    stack = greedy_stack(x, (24, 12), epochs=3, seed=0)
    assert len(stack.errors) == 2
    assert stack.model.encode(x).shape == (256, 12)
    first = stack.model.encoder.layers[2]
    assert first.units == 24
    # the first layer is the one that stage one left: training it again with
    # the same seed gives the same weights, whatever follows
    alone = greedy_stack(x, (24,), epochs=3, seed=0)
    np.testing.assert_allclose(
        ops.convert_to_numpy(first.kernel),
        ops.convert_to_numpy(alone.model.encoder.get_layer("code").kernel),
        rtol=1e-4,
        atol=1e-5,
    )
    assert alone.errors[0] == pytest.approx(stack.errors[0], rel=1e-3)


def test_greedy_stack_starts_below_the_mean_image(digits, traced):
    x = digits.x_train
    stack = greedy_stack(x, (40, 20), epochs=12, learning_rate=5e-3, seed=0)
    error = ((stack.model.reconstruct(x) - x) ** 2).mean()
    untrained = Autoencoder.dense(
        (64,),
        20,
        widths=(40,),
        activation="sigmoid",
        code_activation="sigmoid",
        seed=0,
        likelihood=SquaredError("sigmoid"),
    )
    assert error < 0.9 * x.var(axis=0).mean()
    assert error < ((untrained.reconstruct(x) - x) ** 2).mean()


def test_greedy_stack_carries_every_stage_over(monkeypatch, rng, capsys):
    stages, compiled = [], []

    def recorded(*args, **kwargs):
        stages.append(DenoisingAutoencoder.dense(*args, **kwargs))
        return stages[-1]

    monkeypatch.setattr(
        pretraining, "DenoisingAutoencoder", SimpleNamespace(dense=recorded)
    )
    compile_ = keras.Model.compile
    monkeypatch.setattr(
        keras.Model,
        "compile",
        lambda self, optimizer, **options: (
            compiled.append((optimizer, options))
            or compile_(self, optimizer, **options)
        ),
    )
    x = rng.random((8, 7)).astype("float32")
    stack = greedy_stack(
        x, (5, 4), epochs=3, batch_size=4, learning_rate=0.5, seed=3
    )
    model = stack.model
    assert capsys.readouterr().out == ""
    assert [stage.event_shape for stage in stages] == [(7,), (5,)]
    assert [stage.corruption.kind for stage in stages] == ["masking"] * 2
    assert [stage.corruption.amount for stage in stages] == [0.0, 0.0]
    assert [stage.get_config()["seed"] for stage in stages] == [3, 4]
    for stage in stages:
        code = stage.encoder.get_layer("code")
        assert code.activation is keras.activations.sigmoid
        assert stage.likelihood.activation == "sigmoid"
        assert int(ops.convert_to_numpy(stage.optimizer.iterations)) == 6
        rate = ops.convert_to_numpy(stage.optimizer.learning_rate)
        assert rate == pytest.approx(0.5)
    for optimizer, options in compiled:
        assert isinstance(optimizer, keras.optimizers.Adam)
        assert options["steps_per_execution"] == recipes.steps_at_once()
    assert stack.errors == tuple(
        stage.history.history["mse"][-1] for stage in stages
    )
    first, second = stages
    assert same(
        model.encoder.get_weights(),
        first.encoder.get_weights() + second.encoder.get_weights(),
    )
    assert same(
        model.decoder.get_weights(),
        second.decoder.get_weights() + first.decoder.get_weights(),
    )
    dense = [layer for layer in model.encoder.layers if layer.weights]
    assert {layer.activation for layer in dense} == {keras.activations.sigmoid}
    assert model.likelihood.activation == "sigmoid"
    assert model.overcomplete is True
    # every layer's own sigmoid: the codes are those of the stages in turn
    np.testing.assert_allclose(
        model.encode(x), second.encode(first.encode(x)), atol=1e-6
    )
    np.testing.assert_allclose(
        model.reconstruct(x),
        first.decode(second.reconstruct(first.encode(x))),
        atol=1e-6,
    )
    assert (type(stack).__name__, stack._fields) == (
        "Stack",
        ("model", "errors"),
    )


def test_pretraining_defaults_are_those_the_chapter_states():
    def defaults(function):
        return {
            name: parameter.default
            for name, parameter in inspect.signature(
                function
            ).parameters.items()
            if parameter.default is not parameter.empty
        }

    assert defaults(greedy_stack) == {
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 3e-3,
        "masking": 0.0,
        "seed": 0,
    }
    assert defaults(transfer) == {"x": None, "seed": None}
    assert defaults(fine_tune) == {
        "frozen_updates": 100,
        "tuned_updates": 100,
        "rate": 1e-2,
        "tuned_rate": 1e-3,
        "batch_size": 32,
        "seed": 0,
    }


def test_fine_tune_stages_have_their_own_rate_and_shuffle_by_the_seed(
    monkeypatch, labelled, capsys
):
    calls = []

    def recorded(classifier, x, y, updates, batch_size, rng):
        body = classifier.get_layer("encoder").trainable
        rate = float(ops.convert_to_numpy(classifier.optimizer.learning_rate))
        first = rng.integers(2**31)
        calls.append((body, round(rate, 6), updates, batch_size, first))

    monkeypatch.setattr(pretraining, "fit_updates", recorded)
    classifier = transfer(encoder(), 3)
    stages = fine_tune(
        classifier,
        *labelled,
        frozen_updates=3,
        tuned_updates=2,
        rate=0.25,
        tuned_rate=0.125,
        batch_size=5,
        seed=4,
    )
    draws = np.random.default_rng(4).integers(2**31, size=2)
    assert calls == [
        (False, 0.25, 3, 5, draws[0]),
        (True, 0.125, 2, 5, draws[1]),
    ]
    # nothing was trained: all three are the cross-entropy at the start
    start = mean_cross_entropy(classifier, *labelled)
    assert stages == (start, start, start)
    assert (type(stages).__name__, stages._fields) == (
        "Stages",
        ("start", "frozen", "tuned"),
    )
    assert capsys.readouterr().out == ""


def test_fine_tune_thaws_the_encoder_even_if_a_stage_fails(
    monkeypatch, labelled
):
    def broken(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(pretraining, "fit_updates", broken)
    classifier = transfer(encoder(), 3)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(classifier, *labelled)
    assert classifier.get_layer("encoder").trainable is True


def normalized_encoder():
    """With statistics that move in training, in a model inside the model."""
    inside = keras.Sequential(
        [
            keras.Input((9,)),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(6, name="code"),
        ],
        name="inside",
    )
    inputs = keras.Input((12,))
    hidden = keras.layers.Dense(9, "tanh", name="hidden")(inputs)
    return keras.Model(inputs, inside(hidden), name="encoder")


def frozen_and_moved(classifier, labelled, **options):
    """Names of the weights of the encoder that moved in both stages."""
    own = classifier.get_layer("encoder")
    before = own.get_weights()
    fine_tune(
        classifier, *labelled, frozen_updates=3, tuned_updates=3, **options
    )
    return {
        "/".join(weight.path.split("/")[-2:])
        for weight, old in zip(own.weights, before, strict=True)
        if not np.array_equal(old, ops.convert_to_numpy(weight))
    }


NORM = {f"norm/{w}" for w in ("gamma", "beta", "moving_mean")}
NORM |= {"norm/moving_variance"}
DENSE = {
    f"{name}/{w}" for name in ("hidden", "code") for w in ("kernel", "bias")
}


@pytest.mark.parametrize("when", ["before", "after"])
def test_fine_tune_leaves_frozen_what_was_frozen_by_hand(when, labelled):
    source = normalized_encoder()
    free = transfer(source, 3, seed=0)
    assert frozen_and_moved(free, labelled) == NORM | DENSE
    norm = source.get_layer("inside").get_layer("norm")
    if when == "before":
        norm.trainable = False
    classifier = transfer(source, 3, seed=0)
    inside = classifier.get_layer("encoder").get_layer("inside")
    if when == "after":
        inside.get_layer("norm").trainable = False
    assert frozen_and_moved(classifier, labelled) == DENSE
    assert inside.get_layer("norm").trainable is False
    assert inside.get_layer("code").trainable is True
    assert inside.trainable is True


def test_fine_tune_leaves_a_frozen_weight_and_a_frozen_encoder(labelled):
    classifier = transfer(normalized_encoder(), 3, seed=0)
    own = classifier.get_layer("encoder")
    own.get_layer("hidden").kernel.trainable = False
    moved = frozen_and_moved(classifier, labelled)
    assert moved == (NORM | DENSE) - {"hidden/kernel"}
    assert own.get_layer("hidden").kernel.trainable is False
    own.trainable = False
    assert frozen_and_moved(classifier, labelled) == set()
    assert own.trainable is False


def test_transfer_thaws_a_frozen_encoder_and_names_the_parts():
    source = encoder()
    source.trainable = False
    classifier = transfer(source, 3, seed=1)
    assert classifier.get_layer("encoder").trainable is True
    assert source.trainable is False
    assert classifier.name == "classifier"
    assert [layer.name for layer in classifier.layers[1:]] == [
        "encoder",
        "head",
    ]
    named = transfer(source, 3, x=np.eye(12))
    assert [layer.name for layer in named.layers[1:]] == [
        "encoder",
        "standardize",
        "head",
    ]
    wide = transfer(encoder(200), 100, seed=1).get_layer("head")
    assert np.std(wide.get_weights()[0]) == pytest.approx(0.01, rel=0.03)
    again = transfer(encoder(200), 100, seed=1).get_layer("head")
    assert same(wide.get_weights(), again.get_weights())


@pytest.mark.parametrize("width", [6, 16])
@pytest.mark.parametrize("kind", ["dense", "model", "no_kernel"])
def test_transfer_compares_a_built_heads_width_where_it_has_one(kind, width):
    head = {
        "dense": lambda: keras.layers.Dense(3),
        "model": lambda: keras.Sequential([keras.layers.Dense(3)]),
        "no_kernel": lambda: keras.layers.Activation("linear"),
    }[kind]()
    head.build((None, width))
    if width == 16 and kind != "no_kernel":
        with pytest.raises(ValueError, match="head: expected inputs of width"):
            transfer(encoder(6), head)
        return
    classifier = transfer(encoder(6), head)
    assert classifier.get_layer("head") is head
    assert head.name == "head"


# ---------------------------------------------------------- heads on codes


def test_mean_and_size_by_hand_and_never_zero():
    codes = np.array([[1.0, 10.0], [3.0, 10.0]], "float32")
    mean, size = mean_and_size(codes)
    np.testing.assert_array_equal(mean, [2.0, 10.0])
    assert size == pytest.approx(np.sqrt(0.5))
    assert mean_and_size(np.ones((3, 2), "float32"))[1] == np.float32(1e-6)


def test_standardize_takes_one_mean_vector_and_one_scale():
    layer = Standardize()
    codes = np.array([[1.0, 10.0], [3.0, 10.0]], "float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(codes)), codes)
    layer.adapt(codes)
    # deviations ∓1, ∓1, 0, 0: root mean square √½
    expected = np.array([[-1.0, 0.0], [1.0, 0.0]]) * np.sqrt(2)
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(codes)), expected, rtol=1e-6
    )
    assert layer.trainable_weights == []
    assert [w.name for w in layer.weights] == ["mean", "scale"]
    assert layer.compute_output_shape((None, 2)) == (None, 2)
    layer.adapt(np.ones((3, 2)))  # all alike: no division by zero
    assert float(ops.convert_to_numpy(layer.scale)) == pytest.approx(1e-6)
    half = Standardize(dtype="mixed_bfloat16")(ops.cast(codes, "bfloat16"))
    assert keras.backend.standardize_dtype(half.dtype) == "bfloat16"
    layer.adapt(codes[:2])  # two rows are enough
    for wrong in (np.ones((1, 2)), np.ones(4), [[np.nan, 1.0]] * 2):
        with pytest.raises(ValueError, match="codes: expected"):
            Standardize().adapt(wrong)
    assert (
        keras.saving.get_registered_name(Standardize)
        == "unsupervised>Standardize"
    )


def test_classifier_is_compiled_with_adam_and_a_loss_of_logits(
    labelled, monkeypatch
):
    classifier, options = transfer(encoder(), 3, seed=0), {}
    compile_ = keras.Model.compile
    monkeypatch.setattr(
        keras.Model,
        "compile",
        lambda self, *args, **kwargs: (
            options.update(kwargs) or compile_(self, *args, **kwargs)
        ),
    )
    compile_classifier(classifier, 0.25)
    assert options["steps_per_execution"] == recipes.steps_at_once()
    assert isinstance(classifier.optimizer, keras.optimizers.Adam)
    rate = ops.convert_to_numpy(classifier.optimizer.learning_rate)
    assert rate == pytest.approx(0.25)
    found = classifier.evaluate(*labelled, verbose=0, return_dict=True)
    assert set(found) == {"loss", "accuracy"}
    x, y = labelled
    logits = ops.convert_to_numpy(classifier(x)).astype("float64")
    log_p = scipy.special.log_softmax(logits, axis=1)[np.arange(30), y]
    assert found["loss"] == pytest.approx(-log_p.mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx(np.mean(logits.argmax(1) == y))


def test_fit_updates_trains_on_the_drawn_batches_in_order(labelled, rng):
    x, y = labelled
    batches = []

    class Recorder:
        def fit(self, x, y, *, batch_size, shuffle, verbose):
            batches.append((x, y, batch_size, shuffle, verbose))

    fit_updates(Recorder(), x, y, 0, 4, rng)
    assert batches == []
    fit_updates(Recorder(), x, y, 9, 4, np.random.default_rng(7))
    ((rows, targets, *options),) = batches
    order = update_rows(30, 9, 4, np.random.default_rng(7))
    np.testing.assert_array_equal(rows, x[order])
    np.testing.assert_array_equal(targets, y[order])
    assert (len(rows), options) == (36, [4, False, 0])


@pytest.mark.parametrize(
    ("updates", "batch_size", "passes"), [(5, 2, 1), (5, 4, 2), (1, 11, 2)]
)
def test_update_rows_draws_no_more_passes_than_it_needs(
    updates, batch_size, passes
):
    rng, other = np.random.default_rng(3), np.random.default_rng(3)
    rows = update_rows(10, updates, batch_size, rng)
    drawn = np.concatenate([other.permutation(10) for _ in range(passes)])
    np.testing.assert_array_equal(rows, drawn[: updates * batch_size])
    assert rng.integers(2**31) == other.integers(2**31)


def test_cross_entropy_survives_logits_of_any_size():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Activation(None)])
    x = np.array([[1e4, 0.0, 0.0], [0.0, -1e4, 0.0]], "float32")
    value = mean_cross_entropy(model, x, np.array([0, 1]))
    assert value == pytest.approx((0.0 + 1e4 + np.log(2)) / 2)
    assert isinstance(value, float)


def test_cross_entropy_drops_nothing_out():
    drop = keras.layers.Dropout(0.9, seed=0)
    model = keras.Sequential([keras.Input((3,)), drop])
    x = np.full((4, 3), np.log(2.0), "float32")
    # equal logits: a third each, unless some are dropped
    found = mean_cross_entropy(model, x, np.zeros(4, int))
    assert found == pytest.approx(np.log(3))


@pytest.mark.parametrize("size", [1e4, 1e-5], ids=["large", "small"])
def test_fit_heads_equal_adam_written_out(rng, size):
    codes = rng.normal(size=(9, 2)) * size
    labels = np.array([0, 1, 2, 1, 0, 2, 2, 0, 1])
    order = np.arange(8).reshape(1, 2, 4)
    made = fit_heads(codes[None], labels[None], order, 3, rate=0.1, stops=(2,))
    w, m, v = np.zeros((3, 3, 3))
    for step, rows in enumerate(([0, 1, 2, 3], [4, 5, 6, 7]), start=1):
        # the ninth row fills no batch
        x = np.concatenate([codes[rows], np.ones((4, 1))], axis=1)
        p = scipy.special.softmax(x @ w, axis=1)
        slope = np.mean(
            [
                np.outer(x[i], p[i] - np.eye(3)[labels[rows[i]]])
                for i in range(4)
            ],
            axis=0,
        )
        m = 0.9 * m + 0.1 * slope
        v = 0.999 * v + 0.001 * slope**2
        rate = 0.1 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        w = w - rate * m / (np.sqrt(v) + 1e-7)
    np.testing.assert_allclose(made[0, 0], w, rtol=1e-6)


# ------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("head", "match"),
    [
        (1, "head: expected an integer ≥ 2"),
        ("ten", "head: expected an integer ≥ 2"),
    ],
)
def test_transfer_refuses_bad_heads(head, match):
    with pytest.raises(ValueError, match=match):
        transfer(encoder(), head)


def test_transfer_refuses_a_head_for_another_width():
    head = keras.layers.Dense(3)
    head.build((None, 16))
    with pytest.raises(ValueError, match="head: expected inputs of width 6"):
        transfer(encoder(6), head)


def test_transfer_refuses_what_is_no_encoder():
    with pytest.raises(ValueError, match="model.encoder"):
        transfer(Autoencoder.dense((12,), 6), 3)
    with pytest.raises(ValueError, match="encoder: expected a built"):
        transfer("encoder", 3)
    with pytest.raises(ValueError, match="encoder: expected a built"):
        transfer(keras.Sequential([keras.layers.Dense(3)]), 3)
    loose = keras.Model()  # built by hand: no shape is known
    loose.built = True
    with pytest.raises(ValueError, match="encoder: expected codes"):
        transfer(loose, 3)
    images = networks.dense_decoder(6, (4, 3))
    with pytest.raises(ValueError, match="encoder: expected codes"):
        transfer(images, 3)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"x": np.zeros((4, 11))}, r"x: expected shape \(n, 12\)"),
        ({"y": np.array([0, 1, 2, 3])}, "y: expected labels from 0 to 2"),
        ({"y": np.array([0, 1, 2])}, "y: expected 4 labels"),
        ({"y": np.zeros((4, 1), "int64")}, "y: expected a vector"),
        ({"y": np.zeros(4)}, "y: expected integer labels"),
        ({"x": np.full((4, 12), np.nan)}, "x: expected finite"),
        ({"tuned_rate": 0.5}, "tuned_rate: expected a number from 0 to 0.01"),
        ({"frozen_updates": 0, "tuned_updates": 0}, "at least 1"),
        ({"frozen_updates": -1}, "frozen_updates: expected"),
        ({"tuned_updates": -1}, "tuned_updates: expected"),
        ({"rate": -1.0, "tuned_rate": -2.0}, "rate: expected a number ≥ 0"),
        ({"tuned_rate": -1.0}, "tuned_rate: expected a number from 0"),
        ({"seed": -1}, "seed: expected an integer ≥ 0"),
        ({"x": np.zeros((3, 12))}, "y: expected 3 labels"),
    ],
    ids=[
        "shape",
        "class",
        "count",
        "column",
        "float",
        "nan",
        "rate",
        "none",
        "negative",
        "negative_tuned",
        "negative_rate",
        "negative_tuned_rate",
        "seed",
        "rows",
    ],
)
def test_fine_tune_refuses_bad_input(change, match):
    classifier = transfer(encoder(), 3)
    arguments = {"x": np.zeros((4, 12)), "y": np.array([0, 1, 2, 0])}
    with pytest.raises(ValueError, match=match):
        fine_tune(classifier, **{**arguments, **change})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"widths": ()}, "widths: expected at least one"),
        ({"x": np.full((8, 4), 2.0)}, r"x: expected values in \[0, 1\]"),
        ({"masking": 1.5}, "amount: expected a number from 0 to 1"),
        ({"x": np.full((8, 4), -0.5)}, r"x: expected values in \[0, 1\]"),
        ({"widths": (0,)}, r"widths\[0\]: expected an integer ≥ 1"),
        ({"seed": -1}, "seed: expected an integer ≥ 0"),
    ],
    ids=["widths", "range", "masking", "below", "width", "seed"],
)
def test_greedy_stack_refuses_bad_input(change, match):
    arguments = {"x": np.zeros((8, 4)), "widths": (3,), "epochs": 1}
    with pytest.raises(ValueError, match=match):
        greedy_stack(**{**arguments, **change})
