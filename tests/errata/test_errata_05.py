"""Every fault of the articles' pretraining on images, twice.

As ``test_errata.py``: each test first makes the fault happen in a few lines
of its own, then shows the right form beside it, with ``pretraining`` of
``utils.training``. The numbers are those of ``docs/errata.md``; texts have a
file of their own.
"""

import keras
import numpy as np
import pytest
from contracts import EAGERLY, QUICKLY
from keras import ops

from utils import data
from utils.evaluation import label_efficiency
from utils.evaluation.label_efficiency import linear_probe
from utils.models.autoencoders import Autoencoder, DenoisingAutoencoder
from utils.models.contrastive import SimCLR
from utils.nn import networks
from utils.nn.augmentation import Augmentation
from utils.nn.likelihoods import SquaredError
from utils.training import recipes
from utils.training.classifiers import mean_cross_entropy
from utils.training.pretraining import fine_tune, transfer

PHOTO = (32, 32, 3)


# ------------------------------------------------------------------ helpers


def photos(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, *PHOTO), dtype="float32")


def one_layer(units=16, last="relu"):
    """The article's network: one dense layer on flattened pixels."""
    return keras.Sequential(
        [
            keras.Input(PHOTO),
            keras.layers.Flatten(),
            keras.layers.Dense(units, last),
        ]
    )


def fit_quickly(model, *arrays, optimizer="sgd", loss=None, **options):
    model.compile(optimizer, loss, **QUICKLY)
    return model.fit(*arrays, verbose=0, **options).history["loss"]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture
def few(digits):
    """Five labelled rows a class and the held-out rows."""
    (rows,) = label_efficiency.draw_labelled(digits.y_train, (5,), draws=1)
    rows = rows[0]
    return (
        digits.x_train[rows],
        digits.y_train[rows],
        digits.x_val,
        digits.y_val,
    )


# ------------------------------------------------------------- the formulas


def test_e033_a_loss_is_minimised(rng):
    x = rng.random((64, 6), dtype="float32")

    def error_after(sign):
        model = Autoencoder.dense((6,), 2, widths=(8,), seed=0)
        before = model.example_losses(x).mean()
        descend = model.compute_loss
        model.compute_loss = lambda *a, **k: sign * descend(*a, **k)
        fit_quickly(
            model, x, optimizer=keras.optimizers.SGD(1e-3), batch_size=16
        )
        return before, model.example_losses(x).mean()

    before, maximised = error_after(-1.0)
    assert maximised > before, "arg max: the stage makes the encoder worse"
    before, minimised = error_after(+1.0)
    assert minimised < before


def test_e034_stage_two_starts_where_stage_one_ended():
    pretrained = networks.dense_encoder((12,), 6, (9,), seed=0)
    # as printed: a minimum over θ with no starting point, and no head
    unrelated = networks.dense_encoder((12,), 6, (9,), seed=1)
    assert not same(unrelated.get_weights(), pretrained.get_weights())
    assert unrelated.output_shape == (None, 6), "codes, no class scores"
    classifiers = [transfer(pretrained, 3, seed=seed) for seed in (0, 1)]
    heads = []
    for classifier in classifiers:
        own = classifier.get_layer("encoder")
        assert same(own.get_weights(), pretrained.get_weights())
        assert classifier.output_shape == (None, 3)
        heads.append(classifier.get_layer("head").get_weights()[0])
    assert not np.array_equal(*heads), "ω is drawn afresh"


# ------------------------------------------------------------------ S001-3


def test_e057_a_picture_is_no_target_for_sixteen_numbers():
    x = photos(8)
    with pytest.raises(Exception, match="(?i)shape|dimension|broadcast|size"):
        fit_quickly(one_layer(), x, x, loss="mse", batch_size=4)
    model = Autoencoder.conv(PHOTO, 16, widths=(4,), seed=0)
    out = model(x)["reconstruction"]
    assert tuple(out.shape) == x.shape
    assert np.isfinite(fit_quickly(model, x, batch_size=4)).all()


def test_e058_labelled_rows_are_training_rows(digits):
    split = data.load("digits")
    # the fault: the test split is the labelled set, so every row that is
    # scored has been fitted
    labelled = held_out = {row.tobytes() for row in split.x_test}
    assert labelled & held_out == held_out
    for rows in label_efficiency.draw_labelled(split.y_train, (2, 20)):
        for draw in rows:
            labelled = {row.tobytes() for row in split.x_train[draw]}
            assert not labelled & held_out
            assert draw.max() < len(split.x_train)


def test_e059_class_numbers_broadcast_over_sixteen_outputs(rng):
    y = rng.integers(0, 10, (24, 1)).astype("float32")
    x = photos(24)
    model = one_layer(16, None)
    losses = fit_quickly(
        model,
        x,
        y,
        loss="mse",
        optimizer=keras.optimizers.Adam(1e-3),
        epochs=8,
        batch_size=8,
    )
    assert losses[-1] < 0.8 * losses[0], "it looks like training"
    out = ops.convert_to_numpy(model(x))
    assert out.shape == (24, 16)
    # all sixteen outputs chase the class *number*
    gap = np.abs(out.mean(axis=0) - y.mean())
    assert gap.max() < 3.0
    with pytest.raises(ValueError, match="y: expected a vector"):
        fine_tune(transfer(one_layer(), 10), x, y)
    encoder = networks.conv_encoder(PHOTO, 16, (4,), seed=0)
    right = transfer(encoder, 10, x=x, seed=0)
    scores = ops.softmax(right(x))
    assert tuple(scores.shape) == (24, 10)
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.sum(scores, axis=1)), 1.0, rtol=1e-5
    )
    start = mean_cross_entropy(right, x, y[:, 0].astype("int64"))
    assert start == pytest.approx(np.log(10), abs=0.1)


def test_e060_the_old_output_layer_is_no_head(few):
    # the fault: all weights of stage one, output layer included
    first, second = one_layer(), one_layer()
    second.set_weights(first.get_weights())
    assert second.output_shape == (None, 16), "sixteen classes?"
    model = Autoencoder.dense((64,), 16, widths=(), seed=0)
    with pytest.raises(ValueError, match="heads, decoders and projectors"):
        transfer(model, 10)
    classifier = transfer(model.encoder, 10, seed=0)
    assert classifier.output_shape == (None, 10)
    kernel = classifier.get_layer("head").get_weights()[0]
    assert all(kernel.shape != w.shape for w in model.get_weights())


def test_e061_a_convolution_shares_what_a_flat_layer_repeats():
    flat = one_layer()
    conv = networks.conv_encoder(PHOTO, 16, (8, 16), seed=0)
    local = conv.get_layer("conv_1")
    # 8 filters read every place with 224 numbers; the flat layer needs 3 072
    # for a single output, and a pattern moved by a pixel is new to it
    assert local.count_params() == 8 * (27 + 1)
    assert flat.layers[-1].kernel.shape[0] == 3072
    x = np.zeros((2, *PHOTO), "float32")
    x[0, 8:12, 8:12] = x[1, 8:12, 14:18] = 1.0  # the same, moved
    maps = ops.convert_to_numpy(local(ops.convert_to_tensor(x)))
    np.testing.assert_allclose(
        maps[0, :, 2:10], maps[1, :, 5:13], rtol=1e-5, atol=1e-6
    )


def test_e062_the_harness_gives_both_accuracies_on_the_same_rows(digits):
    shape = digits.x_train.shape[1:]

    def build(seed):
        return networks.dense_encoder(shape, 8, (16,), seed=seed)

    race = label_efficiency.LabelRace(
        tuple(
            getattr(digits, f"{kind}_{part}")
            for part in ("train", "val", "test")
            for kind in "xy"
        ),
        budgets=(3,),
        draws=3,
        updates=(10, 20),
    )
    random = [build(seed) for seed in range(1, 4)]
    race.tuned("scratch", random, warm=False)
    race.frozen("random, frozen", random)
    race.tuned("pretrained, tuned", build(0))
    for name in ("scratch", "random, frozen", "pretrained, tuned"):
        assert race.accuracy[name].shape == (1, 3)
    assert race.labelled[0].shape == (3, 30)


def test_e063_frozen_then_tuned_needs_compiling_again(few):
    x, y, _, _ = few
    source = networks.dense_encoder((64,), 8, (16,), seed=0)
    # K1: once a step has been made, `trainable` changes nothing until the
    # next compile; before that, on TensorFlow, it still does
    classifier = transfer(source, 10, seed=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile("sgd", loss, run_eagerly=EAGERLY)
    classifier.fit(x, y, verbose=0)
    classifier.get_layer("encoder").trainable = False
    assert len(classifier.trainable_variables) == 2
    if keras.backend.backend() == "tensorflow" and not EAGERLY:
        before = classifier.get_layer("encoder").get_weights()
        classifier.fit(x, y, verbose=0)
        after = classifier.get_layer("encoder").get_weights()
        assert not same(before, after), "frozen too late"
    classifier = transfer(source, 10, x=x, seed=0)
    fine_tune(classifier, x, y, frozen_updates=4, tuned_updates=0)
    own = classifier.get_layer("encoder")
    assert same(own.get_weights(), source.get_weights()), "bit-identical"
    fine_tune(classifier, x, y, frozen_updates=0, tuned_updates=4)
    for new, old in zip(own.get_weights(), source.get_weights(), strict=True):
        assert not np.array_equal(new, old)
    with pytest.raises(ValueError, match="tuned_rate: expected"):
        fine_tune(classifier, x, y, rate=1e-3, tuned_rate=1e-2)


def test_e064_one_function_builds_the_architecture():
    # typed twice, a slip goes unseen until the weights are copied
    first = networks.dense_encoder((64,), 8, (16,))
    slip = networks.dense_encoder((64,), 8, (18,))
    assert first.output_shape == slip.output_shape
    assert first.count_params() != slip.count_params()
    with pytest.raises(ValueError, match="shape"):
        slip.set_weights(first.get_weights())

    def build(seed):
        return networks.dense_encoder((64,), 8, (16,), seed=seed)

    classifier = transfer(build(0), 10)
    own = classifier.get_layer("encoder")
    assert own.count_params() == build(1).count_params()


# ------------------------------------------------------------------- claims


def test_e080_pretraining_may_not_help(digits):
    """A plain autoencoder's codes lose to the pixels they were made of."""
    model = Autoencoder.dense(
        (64,), 16, widths=(32,), seed=0, likelihood=SquaredError("sigmoid")
    )
    recipes.compile(model, 3e-3)
    x = np.tile(digits.x_train, (8, 1))
    model.fit(x, batch_size=128, verbose=0)
    z, z_val = model.encode(digits.x_train), model.encode(digits.x_val)
    margins = []
    for rows in label_efficiency.draw_labelled(digits.y_train, (5,), draws=5)[
        0
    ]:
        y = digits.y_train[rows]
        codes = linear_probe(z[rows], y, z_val, digits.y_val)
        pixels = linear_probe(
            digits.x_train[rows], y, digits.x_val, digits.y_val
        )
        margins.append(codes - pixels)
    assert np.mean(margins) < -0.02


def test_e081_a_new_task_is_measured_not_asserted(digits):
    """Bold or thin: what the views vary, the projections forget."""
    shape = (8, 8, 1)
    images = {
        part: getattr(digits, f"x_{part}").reshape(-1, *shape)
        for part in ("train", "val")
    }
    views = Augmentation(shift=1.0, affine=0.3, seed=0)
    model = SimCLR.dense(shape, 32, widths=(64,), augmentation=views, seed=0)
    recipes.compile(model, 3e-3)
    x = np.tile(images["train"], (8, 1, 1, 1))
    model.fit(x, batch_size=128, verbose=0)
    ink = {part: v.sum((1, 2, 3)) for part, v in images.items()}
    limit = np.median(ink["train"])
    y, y_val = ((ink[part] > limit).astype(int) for part in images)
    (draws,) = label_efficiency.draw_labelled(y, (40,), draws=3)

    def accuracy(place):
        z, z_val = place(images["train"]), place(images["val"])
        return np.mean([linear_probe(z[r], y[r], z_val, y_val) for r in draws])

    pixels = accuracy(lambda rows: rows.reshape(len(rows), -1))
    projections = accuracy(
        lambda rows: ops.convert_to_numpy(model.projector(model.encode(rows)))
    )
    assert projections < pixels - 0.05


def test_e080_the_schedule_has_a_control(digits):
    """Denoising codes against a random encoder: the features' share."""
    model = DenoisingAutoencoder.dense(
        (64,),
        32,
        widths=(64,),
        amount=0.4,
        seed=0,
        likelihood=SquaredError("sigmoid"),
    )
    random = networks.dense_encoder((64,), 32, (64,), seed=0)
    assert same(model.encoder.get_weights(), random.get_weights())
    recipes.compile(model, 3e-3)
    model.fit(np.tile(digits.x_train, (8, 1)), batch_size=128, verbose=0)
    (draws,) = label_efficiency.draw_labelled(digits.y_train, (2,), draws=5)
    margins = []
    for rows in draws:
        found = []
        for encoder in (model.encoder, random):
            z, z_val = (
                ops.convert_to_numpy(encoder(part))
                for part in (digits.x_train[rows], digits.x_val)
            )
            y = digits.y_train[rows]
            found.append(linear_probe(z, y, z_val, digits.y_val))
        margins.append(found[0] - found[1])
    assert np.mean(margins) > 0.0
