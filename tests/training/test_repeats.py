"""Starting again from another seed."""

import keras
import numpy as np
import pytest

from utils.models.autoencoders import Autoencoder
from utils.models.compression import Compressor
from utils.nn.likelihoods import Gaussian
from utils.training import recipes
from utils.training.repeats import restart, seeds, train_from_seeds, with_spread


def model(seed=0):
    return Autoencoder.dense((4,), 2, seed=seed)


def scale(made):
    value = made.likelihood.current_scale()
    return float(keras.ops.convert_to_numpy(value))


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


def test_restart_other_arguments_change_the_initial_weights():
    one = Compressor.dense((8, 8, 1), 4, step=0.2, seed=0)
    one.compile(keras.optimizers.Adam(1e-2))
    one.fit(np.ones((8, 8, 8, 1), "float32"), verbose=0)
    restart(one, step=0.5)
    wanted = Compressor.dense((8, 8, 1), 4, step=0.5, seed=0).get_weights()
    for a, b in zip(one.get_weights(), wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_restart_gives_a_learned_scale_its_first_value_again():
    one = Autoencoder.dense((4,), 2, likelihood=Gaussian(), seed=0)
    one.compile(keras.optimizers.Adam(1e-2))
    one.fit(np.random.default_rng(0).random((64, 4)), verbose=0)
    start = pytest.approx(0.2, rel=1e-5)
    assert scale(one) != start
    restart(one, 1)
    assert scale(one) == start
    assert one.remake(seed=3).likelihood is not one.likelihood


def test_restart_needs_known_arguments_and_an_optimizer():
    with pytest.raises(ValueError, match="model: expected a compiled one"):
        restart(model(), 1)
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    plain.compile("adam", "mse")
    with pytest.raises(
        ValueError, match="model: expected one that a class .*Sequential"
    ):
        restart(plain, 1)


def test_from_seeds_trains_like_a_new_model_of_each_seed():
    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    one_batch = {"batch_size": 32, "epochs": 3}  # any order of the rows
    runs = train_from_seeds(model(7), x, seeds=(0, 5), rate=1e-2, **one_batch)
    found = [run.get_weights() for run in runs]
    assert len(found) == 2
    for weights, seed in zip(found, (0, 5), strict=True):
        fresh = recipes.compile(model(seed), 1e-2, updates=3)
        fresh.fit(x, verbose=0, **one_batch)
        for ours, theirs in zip(weights, fresh.get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_seeds_are_numpy_s_spawned_ones_and_differ():
    children = np.random.SeedSequence(7).spawn(5)
    expected = [int(child.generate_state(1)[0]) // 4096 for child in children]
    assert seeds(5, 7) == expected
    assert seeds(5, 8) != expected
    # 1000 of 2^20 would meet with a probability of 0.38
    for seed in range(4):
        many = seeds(1000, seed)
        assert len(set(many)) == 1000 and max(many) < 2**20
        assert many[:10] == seeds(10, seed)
        # offsets as networks add them lead to no other repeat's seed
        near = np.diff(np.sort(seeds(10, seed)))
        assert near.min() > 500


def test_seeds_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="n: expected an integer from 1"):
        seeds(0)
    with pytest.raises(ValueError, match="seed: expected an integer ≥ 0"):
        seeds(3, -1)


def test_with_spread_is_sample_standard_deviation():
    assert with_spread(np.array([0.1, 0.3]), 3) == "0.200 ± 0.141"
