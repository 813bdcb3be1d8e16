"""Designs trained side by side: as each would be trained alone."""

import numpy as np
import pytest

from utils.models import VAE
from utils.training import recipes
from utils.training.designs import train_vaes

PLAN = {"latent_dim": 2, "widths": (8,), "rungs": (1, 2), "batch_size": 16}


@pytest.fixture(scope="module")
def rows():
    """Two kinds of rows, (96, 12), that a code can tell apart."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 96)
    chance = np.where(kind[:, None] == np.arange(12) % 2, 0.9, 0.1)
    return (rng.random((96, 12)) < chance).astype("float32")


def test_train_vaes_shapes_and_falling_losses(rows):
    found = train_vaes(
        rows, rows[:10], rates=[1e-2, 0.0], betas=[1.0, 1.0], **PLAN
    )
    assert found.losses.shape == (2, 2, 10)
    assert found.codes.shape == (2, 96, 2)
    assert found.held_codes.shape == (2, 10, 2)
    assert np.allclose(found.codes[:, :10], found.held_codes, atol=1e-5)
    first, last = found.losses.mean(axis=2).T
    assert last[0] < first[0], "it learns"
    assert abs(last[1] - first[1]) < 1.0, "a rate of 0 does not: draws alone"


def test_train_vaes_each_is_what_the_library_trains_alone(rows):
    plan = {**PLAN, "rungs": (40,)}
    pairs = {"rates": [2e-2, 2e-2, 1e-4], "betas": [1.0, 1.0, 1.0]}
    together = train_vaes(rows, rows, **pairs, **plan).losses[:, 0].mean(1)
    alone = VAE.dense((12,), 2, widths=(8,), seed=0)
    recipes.compile(alone, 2e-2, updates=40 * 6)
    alone.fit(rows, batch_size=16, epochs=40, verbose=0)
    by_library = -alone.elbo(rows, 4, seed=0).mean()
    # 8.3 nats know nothing, the truth costs about 4.7
    assert np.abs(together[:2] - by_library).max() < 0.6
    assert together[2] > by_library + 1.0


def test_train_vaes_a_design_stands_still_after_its_epochs(rows):
    pairs = {"rates": [2e-2] * 3, "betas": [1.0] * 3}
    plan = {**PLAN, "rungs": (4, 40), "draws": 64}
    ends = [4, 40, 40]
    short, *long = train_vaes(rows, rows, epochs=ends, **pairs, **plan).losses
    first, last = short.mean(axis=1)
    assert abs(first - last) < 0.1, "other draws of the same model"
    for losses in long:  # a rate that has not fallen goes on
        first, last = losses.mean(axis=1)
        assert first - last > 0.5
    whole = train_vaes(rows, rows, epochs=[40] * 3, **pairs, **plan).losses
    plain = train_vaes(rows, rows, **pairs, **plan).losses
    assert np.abs(whole.mean(2) - plain.mean(2)).max() < 0.6


def test_train_vaes_a_large_beta_empties_the_code(rows):
    pairs = {"rates": [2e-2, 2e-2], "betas": [0.1, 50.0]}
    found = train_vaes(rows, rows, **pairs, **{**PLAN, "rungs": (30,)})
    spread = found.codes.std(axis=1).max(axis=1)
    assert spread[0] > 1.0 and spread[1] < 0.2


def test_train_vaes_same_seed_same_table(rows):
    given = {"rates": [1e-2], "betas": [1.0], **PLAN}
    a, b, c = (
        train_vaes(rows, rows[:4], seed=seed, **given).codes
        for seed in (3, 3, 4)
    )
    assert np.abs(a - c).max() > 0.01
    assert a.shape == b.shape  # batches are shuffled by the global seed


@pytest.mark.parametrize(
    "change, match",
    [
        ({"rates": [1e-2, 1e-2]}, "^betas: expected 2"),
        ({"rates": [-1.0]}, "^rates"),
        ({"betas": [[1.0]]}, "^betas"),
        ({"epochs": [1, 2]}, "^epochs: expected 1"),
        ({"epochs": [0]}, "^epochs"),
        ({"rungs": (2, 2)}, "^rungs: expected ascending"),
        ({"rungs": ()}, "^rungs"),
        ({"latent_dim": 0}, "^latent_dim"),
        ({"held": np.ones((3, 5))}, "^held"),
        ({"x": 2 * np.ones((8, 12))}, "^x"),
        ({"seed": -1}, "^seed"),
        ({"draws": 0}, "^draws"),
    ],
)
def test_train_vaes_bad_arguments_are_named(rows, change, match):
    given = {"x": rows, "held": rows, "rates": [1e-2], "betas": [1.0], **PLAN}
    given.update(change)
    x, held = given.pop("x"), given.pop("held")
    with pytest.raises(ValueError, match=match):
        train_vaes(x, held, **given)
