"""Chow-Liu trees and chains of forests: exact distributions, bad input."""

import itertools

import numpy as np
import pytest

from utils.baselines.densities import (
    ChowLiuTree,
    RegressionChain,
    SharedForest,
    TreeChain,
    _before,
)
from utils.baselines.mixtures import LevelMixture


def states(levels, pixels):
    """All rows there are."""
    ids = itertools.product(range(levels), repeat=pixels)
    return np.array(list(ids)) / (levels - 1)


@pytest.fixture
def chain_rows(rng):
    """Three levels; pixel 2 copies pixel 0, pixel 1 mostly copies pixel 2."""
    first = rng.integers(0, 3, 400)
    second = np.where(rng.random(400) < 0.8, first, rng.integers(0, 3, 400))
    return np.column_stack([first, second, first]) / 2


MODELS = {
    "tree": ChowLiuTree(3),
    "chain": TreeChain(3, trees=5),
    "regressions": RegressionChain(3),
    "shared": SharedForest(3, trees=5),
}


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_of_all_rows_sum_to_one(name, chain_rows):
    model = MODELS[name].fit(chain_rows)
    assert np.exp(model.score_samples(states(3, 3))).sum() == pytest.approx(1)


def test_tree_finds_who_copies_whom(chain_rows):
    tree = ChowLiuTree(3).fit(chain_rows)
    edges = {frozenset((c, p)) for c, p in enumerate(tree.parents) if p >= 0}
    assert frozenset((0, 2)) in edges and len(edges) == 2
    assert sorted(tree.order) == [0, 1, 2] and tree.parents[0] == -1


def test_tree_is_the_best_of_all_trees_by_brute_force(rng):
    rows = rng.integers(0, 2, (60, 4)).astype(float)
    rows[:, 3] = np.where(rng.random(60) < 0.7, rows[:, 1], rows[:, 3])

    def information(a, b):
        joint = np.histogram2d(rows[:, a], rows[:, b], bins=2)[0] / 60
        alone = np.outer(joint.sum(1), joint.sum(0))
        there = joint > 0
        return np.sum(joint[there] * np.log(joint[there] / alone[there]))

    pairs = list(itertools.combinations(range(4), 2))
    best = 0.0
    for edges in itertools.combinations(pairs, 3):
        reached = {0}
        for _ in range(3):
            reached |= {n for e in edges if reached & set(e) for n in e}
        if len(reached) == 4:
            best = max(best, sum(information(*edge) for edge in edges))
    tree = ChowLiuTree(2).fit(rows)
    found = sum(information(c, p) for c, p in enumerate(tree.parents) if p >= 0)
    assert found == pytest.approx(best)


def test_tree_table_by_hand():
    # root: 3 of 4 rows are 1; child given 1: 2 of 3 are 1
    rows = np.array([[0, 0], [1, 1], [1, 1], [1, 0]], float)
    tree = ChowLiuTree(2, smoothing=1e-9).fit(rows)
    root = (3 + 0.5) / 5  # one imagined row, half of it 1
    score = tree.score_samples([[1.0, 1.0]])[0]
    assert score == pytest.approx(np.log(root * 2 / 3), abs=1e-6)


def test_tree_without_dependence_is_the_margins(rng):
    rows = rng.integers(0, 3, (50, 1)) / 2
    counts = np.bincount(np.round(rows[:, 0] * 2).astype(int), minlength=3)
    wanted = np.log((counts + 1 / 3) / 51)
    tree = ChowLiuTree(3).fit(rows)
    np.testing.assert_allclose(tree.score_samples(states(3, 1)), wanted)


def test_tree_draws_what_it_scores(chain_rows):
    tree = ChowLiuTree(3).fit(chain_rows)
    drawn = tree.sample(20_000, seed=1)
    ids = np.round(drawn * 2).astype(int) @ [9, 3, 1]
    share = np.bincount(ids, minlength=27) / 20_000
    wanted = np.exp(tree.score_samples(states(3, 3)))
    assert np.abs(share - wanted).max() < 0.015  # four deviations: .014


def test_chain_blends_forest_and_margin_by_hand():
    rows = np.array([[0.0, 0.0], [1.0, 1.0]] * 10)
    chain = TreeChain(2, trees=3, least=1, blend=0.25).fit(rows)
    # each margin is ½; the forest knows the second pixel for certain
    wanted = np.log(0.5) + np.log(0.75 + 0.25 * 0.5)
    found = chain.score_samples([[0.0, 0.0]])[0]
    assert found == pytest.approx(wanted)


def test_chain_chooses_the_blend_of_least_loss(chain_rows):
    chain = TreeChain(3, trees=5, blend=0.9).fit(chain_rows[:200])
    before = chain.score_samples(chain_rows[200:]).mean()
    chain.choose_blend(chain_rows[200:])
    assert chain.score_samples(chain_rows[200:]).mean() > before
    assert chain.blend < 0.5


def test_tree_and_chain_beat_independent_pixels_on_digits(digits):
    x, test = digits.x_train[:600, :24], digits.x_test[:, :24]
    alone = LevelMixture(17, 1).fit(x).score_samples(test).mean()
    tree = ChowLiuTree(17).fit(x).score_samples(test).mean()
    chain = TreeChain(17, trees=10, blend=0.2).fit(x).score_samples(test).mean()
    assert tree > alone + 1.0
    assert chain > alone + 1.0


def test_regressions_know_levels_without_an_order(rng):
    first = rng.integers(0, 4, 2000)
    rows = np.column_stack([first, np.array([2, 0, 3, 1])[first]]) / 3
    found = RegressionChain(4).fit(rows[:1000]).score_samples(rows[1000:])
    assert -np.log(4) - 0.1 < found.mean() < -np.log(4) + 0.01  # and 0 nats


def test_shared_forest_sees_what_comes_before_and_the_place():
    image = np.array([[1, 2], [3, 4]])  # each pixel: 3 above, 1 left, place
    assert _before(image.reshape(1, -1), (1, 2, 2)).tolist() == [
        [-1, -1, -1, -1, 0, 0],
        [-1, -1, -1, 1, 0, 1],
        [-1, 1, 2, -1, 1, 0],
        [1, 2, -1, 3, 1, 1],
    ]


def test_shared_forest_beats_a_chain_on_digits(digits):
    x, test = digits.x_train[:400], digits.x_test
    chain = TreeChain(17, trees=10, least=5, features=0.6).fit(x)
    shared = SharedForest(17, trees=10).fit(x)
    apart = shared.score_samples(test).mean() - chain.score_samples(test).mean()
    assert apart > 1  # nats an image


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ChowLiuTree(1), "^levels: expected"),
        (lambda: ChowLiuTree(2, smoothing=0.0), "^smoothing: expected"),
        (lambda: ChowLiuTree(3).fit([[0.3, 0.5]]), "^x: expected 3 grey"),
        (lambda: ChowLiuTree(2).fit([[0.0, 2.0]]), r"^x: expected values in"),
        (lambda: ChowLiuTree(2).fit([[0.0, 1.0]]).sample(0), "^n: expected"),
        (lambda: TreeChain(2, trees=0), "^trees: expected"),
        (lambda: TreeChain(2, least=0), "^least: expected"),
        (lambda: TreeChain(2, features=0.0), "^features: expected"),
        (lambda: TreeChain(2, blend=1.0), "^blend: expected"),
        (lambda: RegressionChain(2, strength=0), "^strength: expected"),
        (lambda: TreeChain(2, seed=-1), "^seed: expected"),
    ],
)
def test_bad_arguments_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
