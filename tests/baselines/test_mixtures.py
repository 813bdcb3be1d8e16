"""Mixtures against counts made by hand."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from utils.baselines.mixtures import (
    BernoulliMixture,
    LevelMixture,
    choose_gaussian_mixture,
    choose_mixture,
    draw_by_class,
    fill_from_mixture,
)


def prototypes(n=200, seed=0):
    """Rows near two patterns of eight pixels, a tenth of them turned."""
    rng = np.random.default_rng(seed)
    patterns = np.array([[1] * 4 + [0] * 4, [0, 1] * 4])
    which = rng.integers(2, size=n)
    turned = rng.random((n, 8)) < 0.1
    return np.abs(patterns[which] - turned).astype("float32"), which


def test_one_component_is_independent_pixels_with_one_imagined_row():
    x = np.array([[1, 0], [1, 0], [1, 1], [0, 0]], "float64")
    mixture = BernoulliMixture(1).fit(x)
    # counts (3, 1) of 4 rows, and the mean row (¾, ¼) of a fifth
    p = np.array([3.75 / 5, 1.25 / 5])
    assert np.allclose(mixture.white, p)
    right = np.log([p[0] * (1 - p[1]), p[0] * p[1], (1 - p[0]) * (1 - p[1])])
    assert np.allclose(mixture.score_samples(x)[[0, 2, 3]], right)


def test_bernoulli_mixture_is_a_probability_and_finds_two_patterns():
    x, which = prototypes()
    mixture = BernoulliMixture(2, seed=1).fit(x)
    every = np.array([[(n >> b) & 1 for b in range(8)] for n in range(256)])
    total = np.exp(mixture.score_samples(every.astype("float64"))).sum()
    assert np.isclose(total, 1.0)
    assert np.allclose(sorted(mixture.weights), [0.5, 0.5], atol=0.1)
    assert np.allclose(np.sort(mixture.white[:, 0]), [0.1, 0.9], atol=0.08)
    new, _ = prototypes(seed=5)
    alone = BernoulliMixture(1).fit(x).score_samples(new).mean()
    assert mixture.score_samples(new).mean() > alone + 0.5


def test_rounds_never_lower_the_likelihood_much():
    x, _ = prototypes()
    scores = [
        BernoulliMixture(3, rounds=r).fit(x).score_samples(x).mean()
        for r in (1, 3, 10, 30)
    ]
    assert np.all(np.diff(scores) > -0.01)  # the imagined row shifts them


@pytest.mark.parametrize("model", [BernoulliMixture(1), LevelMixture(3, 1)])
def test_mixtures_refuse_what_is_no_grey_level(model):
    with pytest.raises(ValueError, match="x"):
        model.fit(np.array([[0.0, 255.0], [3.0, 1.0]]))
    with pytest.raises(ValueError, match="components"):
        BernoulliMixture(0)


def test_level_mixture_counts_levels_and_sums_to_one():
    x = np.array([[0.0], [0.5], [0.5], [1.0]])
    mixture = LevelMixture(3, 1, smoothing=4.0).fit(x)
    # frequencies of all rows, one imagined of each level: (2, 3, 2) of 7
    right = (np.array([1, 2, 1]) + 4 * np.array([2, 3, 2]) / 7) / 8
    found = np.exp(mixture.score_samples(np.array([[0.0], [0.5], [1.0]])))
    assert np.allclose(found, right) and np.isclose(found.sum(), 1.0)
    two = LevelMixture(3, 2).fit(np.repeat(x, 5, axis=0))
    found = np.exp(two.score_samples(np.array([[0.0], [0.5], [1.0]])))
    assert np.isclose(found.sum(), 1.0)


def test_choice_is_by_held_out_rows():
    x, _ = prototypes()
    held_out, _ = prototypes(seed=9)
    mixtures = [BernoulliMixture(k) for k in (1, 2)]
    assert choose_mixture(mixtures, x, held_out).components == 2
    rng = np.random.default_rng(0)
    centres = np.array([[-5.0, 0.0], [5.0, 0.0]])
    points = centres[rng.integers(2, size=300)] + rng.normal(size=(300, 2))
    chosen = choose_gaussian_mixture(
        points[:200].astype("float32"), points[200:], (1, 2)
    )
    assert chosen.n_components == 2
    assert chosen.means_.dtype == np.float64


# ------------------------------------------------- unknown from known entries

KNOWN = np.array([True, False, True])


def correlated(n=4000, seed=0):
    """Rows of two clusters, three columns that depend on each other."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 3))
    rows = np.stack([z[:, 0], 2 * z[:, 0] + 0.5 * z[:, 1], z[:, 2]], axis=1)
    return rows + 6.0 * rng.integers(2, size=(n, 1))


def test_fill_one_gaussian_is_linear_regression():
    x = correlated()[:2000]
    mixture = GaussianMixture(1, reg_covar=0.0).fit(x)
    design = np.column_stack([x[:, KNOWN], np.ones(len(x))])
    line = np.linalg.lstsq(design, x[:, 1], rcond=None)[0]
    hidden = np.where(KNOWN, x, 77.0)  # not read
    filled = fill_from_mixture(mixture, hidden, KNOWN)
    assert np.allclose(filled[:, 1], design @ line)
    assert np.allclose(filled[:, KNOWN], x[:, KNOWN])


def test_fill_two_gaussians_is_bayes_rule_over_a_grid():
    x = correlated()
    mixture = GaussianMixture(2, random_state=0).fit(x)
    grid = np.linspace(-15, 30, 9001)
    some = x[:5]
    filled = fill_from_mixture(mixture, some, KNOWN)
    for row, found in zip(some, filled[:, 1], strict=True):
        lines = np.repeat(row[None], len(grid), axis=0)
        lines[:, 1] = grid
        density = np.exp(mixture.score_samples(lines))
        assert np.isclose(found, np.average(grid, weights=density), atol=1e-4)


def test_fill_draws_have_the_conditional_mean_and_spread():
    mixture = GaussianMixture(2, random_state=0).fit(correlated())
    row = np.array([[0.5, 0.0, 0.2]])
    many = fill_from_mixture(mixture, np.repeat(row, 5000, 0), KNOWN, seed=1)
    mean = fill_from_mixture(mixture, row, KNOWN)
    assert abs(many[:, 1].mean() - mean[0, 1]) < 0.05
    assert abs(many[:, 1].std() - 0.5) < 0.05
    again = fill_from_mixture(mixture, np.repeat(row, 5000, 0), KNOWN, seed=1)
    assert np.array_equal(many, again)


@pytest.mark.parametrize(
    "kind, known, match",
    [
        ("full", [True, False], "known"),
        ("full", [True, True, True], "some true and some false"),
        ("full", [1, 0, 1], "booleans"),
        ("diag", KNOWN, "full covariances"),
    ],
)
def test_fill_refuses_what_does_not_fit(kind, known, match):
    mixture = GaussianMixture(1, covariance_type=kind).fit(correlated(50))
    with pytest.raises(ValueError, match=match):
        fill_from_mixture(mixture, correlated(3), known)


def test_fill_refuses_rows_of_another_width():
    mixture = GaussianMixture(1).fit(correlated(50))
    with pytest.raises(ValueError, match="rows"):
        fill_from_mixture(mixture, np.zeros((2, 4)), KNOWN)


def two_classes():
    """Class 3 in two clumps at ±5, class 7 around 1 with unequal spreads."""
    rng = np.random.default_rng(0)
    clumps = rng.choice([-5.0, 5.0], size=(300, 1)) + rng.normal(size=(300, 2))
    other = 1 + rng.normal(size=(200, 2)) * (0.5, 2.0)
    return np.concatenate([clumps, other]), np.repeat([3, 7], [300, 200])


def test_draws_by_class_have_the_moments_of_their_class_and_take_turns():
    x, y = two_classes()
    rows, labels = draw_by_class(x, y, 1, 4000, seed=2)
    assert rows.shape == (8000, 2) and rows.dtype == "float64"
    assert labels[:4].tolist() == [3, 7, 3, 7]
    for c in (3, 7):
        made, real = rows[labels == c], x[y == c]
        error = 4 * real.std(axis=0) / np.sqrt(4000)
        assert (abs(made.mean(axis=0) - real.mean(axis=0)) < error).all()
        assert np.allclose(np.cov(made.T), np.cov(real.T), rtol=0.1, atol=0.2)


def test_draws_by_class_follow_clumps_and_are_mixed():
    x, y = two_classes()
    rows, labels = draw_by_class(x, y, 2, 200)
    clumps = rows[labels == 3]
    assert (abs(abs(clumps) - 5) < 4.5).all(), "none between the clumps"
    left = clumps[:, 0] < 0
    assert 60 < left.sum() < 140
    assert 0.2 < left[:50].mean() < 0.8, "not sorted by component"


def test_draws_by_class_share_no_noise():
    x, y = np.tile(two_classes()[0][:300], (2, 1)), np.repeat([0, 1], 300)
    made = [draw_by_class(x, y, 1, 5, seed=seed)[0] for seed in (0, 0, 1)]
    assert np.array_equal(made[0], made[1])
    every = np.concatenate([made[0], made[2]]).round(6)
    assert len(np.unique(every, axis=0)) == 20


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"components": 250}, "250 rows of class 7"),
        ({"components": 0}, "components"),
        ({"num": 2.5}, "num"),
        ({"y": [0, 1]}, "500 labels"),
        ({"seed": -1}, "seed"),
        ({"x": np.zeros(500)}, "2 axes"),
    ],
)
def test_draws_by_class_say_what_does_not_fit(changed, words):
    x, y = two_classes()
    with pytest.raises(ValueError, match=words):
        draw_by_class(**({"x": x, "y": y, "components": 1, "num": 3} | changed))
