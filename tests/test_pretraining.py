"""Greedy stacking and transfer: what is carried over, what moves, what not."""

import keras
import numpy as np
import pytest
from keras import ops

from utils import networks
from utils._classifiers import cross_entropy, update_rows
from utils.autoencoders import Autoencoder
from utils.pretraining import fine_tune, greedy_stack, transfer

BACKEND = keras.backend.backend()


@pytest.fixture(autouse=True)
def eager(monkeypatch, request):
    """Few steps are quicker without tracing; ``traced`` tests trace."""
    if "traced" in request.fixturenames:
        return
    compile_ = keras.Model.compile

    def compile_eagerly(self, *args, **kwargs):
        kwargs.update(run_eagerly=True, jit_compile=False)
        return compile_(self, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "compile", compile_eagerly)


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
    model = Autoencoder((12,), 6, widths=(9,), seed=0)
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
    assert cross_entropy(classifier, x, y) == pytest.approx(
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
    untrained = Autoencoder(
        (64,),
        20,
        widths=(40,),
        activation="sigmoid",
        code_activation="sigmoid",
        output="sigmoid",
        seed=0,
    )
    assert error < 0.9 * x.var(axis=0).mean()
    assert error < ((untrained.reconstruct(x) - x) ** 2).mean()


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
        transfer(Autoencoder((12,), 6), 3)
    with pytest.raises(ValueError, match="encoder: expected a built"):
        transfer("encoder", 3)
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
    ],
    ids=["widths", "range", "masking"],
)
def test_greedy_stack_refuses_bad_input(change, match):
    arguments = {"x": np.zeros((8, 4)), "widths": (3,), "epochs": 1}
    with pytest.raises(ValueError, match=match):
        greedy_stack(**{**arguments, **change})
