"""The recipe: a cosine to zero, long runs where the backend takes them."""

import keras
import numpy as np
import pytest
from contracts import QUICKLY
from keras import ops

from utils.models.autoencoders import Autoencoder
from utils.training import recipes


def number(value):
    return float(ops.convert_to_numpy(value))


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_adam_falls_along_half_a_cosine(floor):
    optimizer = recipes.adam(0.2, 40, floor=floor)
    schedule = optimizer.get_config()["learning_rate"]
    schedule = keras.saving.deserialize_keras_object(schedule)
    found = [number(schedule(step)) for step in (0, 10, 20, 40, 50)]
    share = 0.5 * (1 + np.cos(np.pi * np.array([0, 0.25, 0.5, 1, 1])))
    expected = 0.2 * (floor + (1 - floor) * share)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_adam_without_updates_keeps_its_rate_and_takes_options():
    optimizer = recipes.adam(0.2, beta_1=0.5, epsilon=1e-3)
    assert number(optimizer.learning_rate) == pytest.approx(0.2)
    assert (optimizer.beta_1, optimizer.epsilon) == (0.5, 1e-3)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"rate": -0.1}, "rate: expected a number ≥ 0"),
        ({"updates": 0}, "updates: expected an integer ≥ 1"),
        ({"updates": 2.5}, "updates: expected an integer ≥ 1"),
        ({"floor": -0.1}, "floor: expected a number from 0 to 1"),
        ({"floor": 1.1}, "floor: expected a number from 0 to 1"),
    ],
)
def test_adam_refuses_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        recipes.adam(**{"rate": 0.1, "updates": 5, **arguments})


def test_steps_at_once_suit_the_backend(monkeypatch):
    found = {}
    for name in ("tensorflow", "jax", "torch"):
        monkeypatch.setattr(keras.backend, "backend", lambda name=name: name)
        found[name] = recipes.steps_at_once()
    assert found == {"tensorflow": 32, "jax": 32, "torch": 1}


def test_compile_gives_models_of_the_course_and_of_keras_the_same(monkeypatch):
    model = Autoencoder.dense((6,), 2, widths=(4,), seed=0)
    assert recipes.compile(model, 0.1, 8, beta_1=0.5) is model
    assert model.steps_per_execution == recipes.steps_at_once()
    assert model.optimizer.beta_1 == 0.5
    plain = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    recipes.compile(plain, 0.1, loss="mse", metrics=["mae"])
    x = np.ones((8, 6), "float32")
    found = plain.evaluate(x, np.zeros(8), verbose=0, return_dict=True)
    assert set(found) == {"loss", "mae"}


def test_forgotten_optimizer_trains_as_a_fresh_one(rng):
    x = rng.random((8, 6)).astype("float32")

    def losses(model):
        history = model.fit(x, epochs=3, shuffle=False, verbose=0)
        return history.history["loss"]

    model = Autoencoder.dense((6,), 2, widths=(4,), seed=0)
    start = model.get_weights()
    model.compile(recipes.adam(0.1, 3), **QUICKLY)
    first = losses(model)
    model.set_weights(start)
    assert not np.allclose(losses(model), first), "moments and rate go on"
    model.set_weights(start)
    recipes.forget(model.optimizer)
    np.testing.assert_allclose(losses(model), first, rtol=1e-5)
    constant = recipes.adam(0.1)
    constant.build(model.trainable_variables)
    recipes.forget(constant)
    assert number(constant.learning_rate) == pytest.approx(0.1)
