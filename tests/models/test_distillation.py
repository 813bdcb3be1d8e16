"""A slow copy as teacher: what it costs, how it moves, what keeps it apart."""

import keras
import numpy as np
import pytest
from keras import ops

from utils import data, models
from utils.models.distillation import cosine_distance, dino_loss
from utils.nn.backend import weight_gradients
from utils.training import recipes

X = np.random.default_rng(0).random((8, 4, 4, 1)).astype("float32")
ARGUMENTS = {"input_shape": (4, 4, 1), "latent_dim": 3, "widths": (5,)}


def small(cls, **changes):
    return cls.dense(**{**ARGUMENTS, "seed": 0, **changes})


def arrays(variables):
    return [ops.convert_to_numpy(v).copy() for v in variables]


def test_cosine_distance_by_hand():
    student = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    teacher = np.array([[5.0, 0.0], [0.0, -3.0], [1.0, -1.0]])
    found = ops.convert_to_numpy(cosine_distance(student, teacher))
    np.testing.assert_allclose(found, [0.0, 4.0, 2.0], atol=1e-6)


def test_dino_loss_by_hand():
    student, teacher = np.array([[0.0, 0.1]]), np.array([[0.04, 0.0]])
    center = np.array([0.04, 0.0])  # the teacher is left with a tie
    p = np.exp([0.0, 1.0]) / np.exp([0.0, 1.0]).sum()
    found = dino_loss(student, teacher, center)
    assert float(found[0]) == pytest.approx(-0.5 * np.log(p).sum(), rel=1e-5)


@pytest.mark.parametrize("cls", [models.BYOL, models.DINO])
def test_teacher_begins_as_the_student_and_is_not_trained(cls):
    model = small(cls)
    for mine, its in (
        (model.encoder, model.target_encoder),
        (model.projector, model.target_projector),
    ):
        for new, old in zip(mine.weights, its.weights, strict=True):
            np.testing.assert_array_equal(*arrays([new, old]))
            assert new is not old
        assert not its.trainable_variables


@pytest.mark.parametrize("cls", [models.BYOL, models.DINO])
def test_teacher_gets_no_gradient(cls):
    model = small(cls)
    teacher = [*model.target_encoder.weights, *model.target_projector.weights]
    kernels = [w for w in teacher if len(w.shape) == 2]

    def loss():
        return model.compute_loss(X, y_pred=model(X), training=False)

    if keras.backend.backend() == "torch":  # refuses to be asked
        assert not any(w.value.requires_grad for w in kernels)
    else:
        for gradient in weight_gradients(loss, kernels):
            assert not np.any(ops.convert_to_numpy(gradient))
    mine = weight_gradients(loss, model.encoder.trainable_variables)
    assert any(np.any(ops.convert_to_numpy(g)) for g in mine)


@pytest.mark.parametrize("cls", [models.BYOL, models.DINO])
@pytest.mark.parametrize("momentum", [0.0, 0.75, 1.0])
def test_teacher_moves_as_stated_one_step_behind(cls, momentum):
    model = small(cls, momentum=momentum)
    model.compile("sgd", steps_per_execution=1)
    model.fit(X, batch_size=8, verbose=0)  # the two are apart now
    student = arrays([*model.encoder.weights, *model.projector.weights])
    its = [*model.target_encoder.weights, *model.target_projector.weights]
    before = arrays(its)
    model.fit(X, batch_size=8, verbose=0)
    for new, old, now in zip(student, before, arrays(its), strict=True):
        if new.ndim == 2:  # moving statistics are changed in the call
            wanted = momentum * old + (1 - momentum) * new
            np.testing.assert_allclose(now, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cls", [models.BYOL, models.DINO])
def test_evaluate_moves_nothing(cls):
    model = small(cls, momentum=0.5)
    recipes.compile(model, 1e-2)
    model.fit(X, batch_size=8, verbose=0)
    before = model.get_weights()
    model.evaluate(X, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("cls", [models.BYOL, models.DINO])
def test_teacher_is_saved_and_restored(cls, tmp_path):
    model = small(cls, momentum=0.5)
    recipes.compile(model, 1e-2)
    model.fit(X, batch_size=4, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for part in ("encoder", "target_encoder", "target_projector"):
        pair = getattr(model, part), getattr(loaded, part)
        for old, new in zip(*(p.get_weights() for p in pair), strict=True):
            np.testing.assert_array_equal(old, new)
    mine, its = model.encoder.get_weights(), model.target_encoder.get_weights()
    assert not np.array_equal(mine[0], its[0]), "or nothing was tested"


def test_dino_centre_follows_the_scores():
    model = small(models.DINO, center_momentum=0.9, momentum=1.0)
    model.compile(keras.optimizers.SGD(0.0), steps_per_execution=1)
    outputs = {}

    class Seen(keras.layers.Layer):
        def call(self, inputs, training=False):
            return inputs

        def compute_output_shape(self, input_shape):
            return input_shape

    model.augmentation = Seen()  # so that the scores are known
    outputs = ops.convert_to_numpy(model(X)["teacher_first"])
    model.fit(X, batch_size=8, verbose=0)
    np.testing.assert_allclose(
        ops.convert_to_numpy(model.center),
        0.1 * outputs.mean(axis=0),
        rtol=1e-3,
        atol=1e-6,
    )


def test_what_keeps_the_teacher_apart():
    """Without centring one class takes all; with it, several are in use."""
    x = np.tile(data.load("digits").x_train, (4, 1, 1, 1))
    found = {}
    for centring in (True, False):
        model = models.DINO.conv(
            (8, 8, 1), 16, widths=(16, 32), centring=centring, seed=0
        )
        recipes.compile(model, 2e-3)
        model.fit(x, batch_size=128, epochs=3, verbose=0)
        ends = model.evaluate(x[:500], verbose=0, return_dict=True)
        found[centring] = ends["classes"]
    assert found[False] < 8.0 < 20.0 < found[True]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: small(models.BYOL, momentum=1.5), "momentum: expected"),
        (lambda: small(models.BYOL, projection=()), "projection: expected"),
        (lambda: small(models.DINO, temperature=0.0), "temperature: expected"),
        (lambda: small(models.DINO, centring=1), "centring: expected True"),
        (
            lambda: models.BYOL(
                *(
                    getattr(small(models.DINO), n)
                    for n in ("encoder", "projector")
                ),
                keras.Sequential([keras.Input((64,)), keras.layers.Dense(3)]),
            ),
            "predictor: expected 64 numbers in and out",
        ),
    ],
    ids=["momentum", "projection", "temperature", "centring", "predictor"],
)
def test_bad_arguments_are_named(make, match):
    with pytest.raises(ValueError, match=match):
        make()
