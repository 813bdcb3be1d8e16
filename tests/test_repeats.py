"""Starting again from another seed."""

import keras
import numpy as np
import pytest

from utils.autoencoders import Autoencoder
from utils.repeats import restart, with_spread


def model(seed=0):
    return Autoencoder((4,), 2, output="linear", seed=seed)


def test_restarted_model_trains_as_a_new_one():
    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    first, second = model(0), model(7)
    for one in (first, second):
        one.compile(keras.optimizers.Adam(1e-2))
    first.fit(x, batch_size=8, epochs=2, shuffle=False, verbose=0)
    restart(first, 7)
    assert int(first.optimizer.iterations) == 0
    for one in (first, second):
        one.fit(x, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_restart_keeps_a_learning_rate_that_was_set():
    one = model()
    one.compile(keras.optimizers.Adam(0.03))
    one.fit(np.zeros((8, 4), "float32"), verbose=0)
    restart(one, 1)
    assert float(one.optimizer.learning_rate) == pytest.approx(0.03)


def test_restart_needs_a_seed_and_an_optimizer():
    with pytest.raises(ValueError, match="model: expected a compiled one"):
        restart(model(), 1)
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    plain.compile("adam", "mse")
    with pytest.raises(ValueError, match="a seed in its config; .*Sequential"):
        restart(plain, 1)


def test_with_spread_is_population_standard_deviation():
    assert with_spread(np.array([0.1, 0.3]), 3) == "0.200 ± 0.100"
