"""Metrics of generated sets: hand cases, closed forms, oracles, symmetry."""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from utils import data
from utils.evaluation import generation


def rows_with_moments(mean, covariance, n=200, seed=0):
    """Rows whose *sample* mean and covariance are exactly the given ones."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, len(mean)))
    x -= x.mean(axis=0)
    whitened = x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / (n - 1)).T)
    return whitened @ np.linalg.cholesky(covariance).T + mean


# ------------------------------------------------------------ Fréchet distance


def test_frechet_distance_hand_computed_in_one_dimension():
    # means 1 and 4, standard deviations √2 and √8: 9 + (√8 − √2)² = 11
    a, b = np.array([[0.0], [2.0]]), np.array([[2.0], [6.0]])
    assert generation.frechet_distance(a, b) == pytest.approx(11.0)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("dims", [1, 2, 7])
def test_frechet_distance_of_isotropic_gaussians_is_closed_form(dims, scale):
    # N(0, I) against N(m, s² I): ‖m‖² + d (s − 1)²
    mean = np.arange(dims) - 1.5
    a = rows_with_moments(np.zeros(dims), np.eye(dims), seed=1)
    b = rows_with_moments(mean, scale**2 * np.eye(dims), seed=2)
    expected = mean @ mean + dims * (scale - 1) ** 2
    assert generation.frechet_distance(a, b) == pytest.approx(
        expected, rel=1e-4, abs=1e-5
    )


def test_frechet_distance_equals_the_formula_with_scipy_sqrtm(rng):
    a = rng.standard_normal((80, 6)) @ rng.standard_normal((6, 6))
    b = rng.standard_normal((70, 6)) @ rng.standard_normal((6, 6)) + 1
    sigma_a, sigma_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(sigma_a @ sigma_b).real
    shift = a.mean(axis=0) - b.mean(axis=0)
    expected = shift @ shift + np.trace(sigma_a + sigma_b - 2 * root)
    assert generation.frechet_distance(a, b) == pytest.approx(
        expected, rel=1e-5
    )


def test_frechet_distance_survives_singular_covariances(rng):
    # fewer rows than columns, and a constant column: sqrtm gives up here
    a = rng.standard_normal((5, 30)).astype("float32")
    a[:, 3] = 1.0
    assert generation.frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)
    moved = generation.frechet_distance(a, a + np.float32(2.0))
    assert moved == pytest.approx(30 * 4.0, rel=1e-5)


def test_frechet_distance_is_symmetric_and_ignores_order_and_rotation(rng):
    a, b = rng.standard_normal((60, 4)), 2 * rng.standard_normal((50, 4))
    turn = scipy.stats.ortho_group.rvs(4, random_state=0)
    distance = generation.frechet_distance(a, b)
    for other in (
        generation.frechet_distance(b, a),
        generation.frechet_distance(rng.permutation(a), b),
        generation.frechet_distance(a @ turn + 3, b @ turn + 3),
    ):
        assert other == pytest.approx(distance, rel=1e-4)


def test_frechet_distance_of_two_draws_shrinks_with_their_number(rng):
    def of_size(n):
        return generation.frechet_distance(*rng.standard_normal((2, n, 8)))

    few = np.mean([of_size(20) for _ in range(10)])
    many = np.mean([of_size(500) for _ in range(10)])
    assert few > 5 * many > 0


# -------------------------------------------- density, coverage and their like

LINE = np.array([[0.0], [1.0], [2.0], [10.0]])
# nearest other row: radii 1, 1, 1, 8, hence balls [−1, 1], [0, 2], [1, 3],
# [2, 18]


def test_density_coverage_hand_computed():
    generated = np.array([[0.5], [1.5], [30.0]])
    # .5 lies in two balls, 1.5 in two, 30 in none; three balls are reached
    result = generation.density_coverage(LINE, generated, k=1)
    assert result.density == pytest.approx(4 / 3)
    assert result.coverage == pytest.approx(3 / 4)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_density_coverage_equal_brute_force(k, rng):
    real, made = rng.standard_normal((40, 3)), rng.standard_normal((30, 3)) + 1
    real, made = real.astype("float32"), made.astype("float32")

    def radius(rows, i):
        distances = [
            np.linalg.norm(rows[i].astype("float64") - other) for other in rows
        ]
        return sorted(distances)[k]

    def holds(rows, i, point):
        distance = np.linalg.norm(rows[i].astype("float64") - point)
        return distance <= radius(rows, i)

    inside = np.array([[holds(real, i, y) for y in made] for i in range(40)])
    density, coverage = generation.density_coverage(real, made, k=k)
    assert density == pytest.approx(inside.sum() / (k * 30))
    assert coverage == pytest.approx(inside.any(axis=1).mean())


def test_density_coverage_second_real_set_gives_one_and_nearly_one(rng):
    real, second = rng.standard_normal((2, 1500, 4))
    result = generation.density_coverage(real, second)
    assert result.density == pytest.approx(1.0, abs=0.1)
    assert result.coverage == pytest.approx(1 - 2**-5, abs=0.02)


def test_density_coverage_tell_a_missing_mode_from_bad_samples(rng):
    real = rng.standard_normal((400, 2)) + 20 * (np.arange(400) % 2)[:, None]
    one_mode = rng.standard_normal((400, 2))
    blurred = 8 * rng.standard_normal((400, 2)) + 10
    collapsed = generation.density_coverage(real, one_mode)
    assert collapsed.density > 0.8 and 0.4 < collapsed.coverage < 0.55
    assert generation.density_coverage(real, blurred).density < 0.3


def test_density_coverage_ignore_order_scale_and_rotation(rng):
    real, made = rng.standard_normal((2, 1100, 3))  # more than one block
    turn = scipy.stats.ortho_group.rvs(3, random_state=1)
    expected = generation.density_coverage(real, made)
    moved = generation.density_coverage(
        4 * rng.permutation(real) @ turn, 4 * rng.permutation(made) @ turn
    )
    # float32 rounding may move a point across the edge of a ball
    assert moved == pytest.approx(expected, abs=2e-3)


def test_density_coverage_of_a_set_with_itself_are_full(rng):
    rows = rng.standard_normal((50, 4))
    density, coverage = generation.density_coverage(rows, rows)
    assert coverage == 1.0
    # each ball holds its own centre and k others
    assert density == pytest.approx(6 / 5)


# --------------------------------------------------------------- known modes

CENTRES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


def test_modes_covered_hand_computed():
    samples = np.array([[0.2, 0.0]] * 6 + [[10.0, 3.0]] * 5 + [[5.0, 5.0]])
    # [10, 3] lies exactly at three standard deviations, [5, 5] nowhere
    result = generation.modes_covered(samples, CENTRES, std=1.0)
    assert result.modes == 2
    assert result.share_within == pytest.approx(11 / 12)
    assert result.counts.tolist() == [6, 5, 0]


def test_modes_covered_needs_a_part_of_an_equal_share():
    samples = np.repeat(CENTRES, [26, 32, 2], axis=0)  # an equal share is 20
    assert generation.modes_covered(samples, CENTRES, 1.0).modes == 2
    generous = generation.modes_covered(samples, CENTRES, 1.0, min_share=0.1)
    assert generous.modes == 3


def test_modes_covered_by_the_toy_set_itself():
    x, _ = data.make_toy("gaussians", n=20_000, seed=3)
    t = 2 * np.pi * np.arange(8) / 8
    centres = 2.0 * np.stack([np.cos(t), np.sin(t)], axis=1)
    result = generation.modes_covered(x, centres, std=0.1)
    assert result.modes == 8
    inside = scipy.stats.chi2(2).cdf(9)  # .989
    assert result.share_within == pytest.approx(inside, abs=0.003)


# ---------------------------------------------------- histogram and spread


def test_class_histogram_counts_absent_classes():
    counts = generation.class_histogram(np.array([2, 0, 2]), 4)
    assert counts.tolist() == [1, 0, 2, 0]
    empty = generation.class_histogram(np.array([], dtype=int), 2)
    assert empty.tolist() == [0, 0]


def test_sample_spread_hand_computed():
    x = np.array([[[0.0, 5.0]], [[2.0, 5.0]]])  # deviations 1 and 0
    assert generation.sample_spread(x) == pytest.approx(0.5)


def test_sample_spread_of_digits_is_known(digits):
    everything, _ = data.load("digits").all_rows()
    assert generation.sample_spread(everything) == pytest.approx(
        0.230, abs=5e-4
    )
    mean_image = np.repeat(everything.mean(axis=0, keepdims=True), 9, axis=0)
    assert generation.sample_spread(mean_image) == pytest.approx(0.0, abs=1e-6)


# ------------------------------------------------------------------ bad input

ROWS = np.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: generation.frechet_distance(ROWS[:, 0], ROWS),
            "features_a: .*2 axes",
        ),
        (
            lambda: generation.frechet_distance(ROWS, ROWS[:1]),
            "features_b: .*2 rows",
        ),
        (
            lambda: generation.frechet_distance(ROWS, ROWS[:, :1]),
            "features_b: expected 2 columns",
        ),
        (
            lambda: generation.frechet_distance(ROWS * np.nan, ROWS),
            "features_a: .*finite",
        ),
        (
            lambda: generation.density_coverage(ROWS, ROWS, k=6),
            "real: expected more than k = 6 rows; received 6",
        ),
        (lambda: generation.density_coverage(ROWS, ROWS, k=0), "k: "),
        (
            lambda: generation.density_coverage(ROWS, ROWS[:, :1]),
            "generated: expected 2 columns",
        ),
        (
            lambda: generation.modes_covered(ROWS, CENTRES, 0.0),
            "std: expected a number > 0",
        ),
        (
            lambda: generation.modes_covered(ROWS, CENTRES[:, :1], 1.0),
            "centres: ",
        ),
        (
            lambda: generation.modes_covered(ROWS, CENTRES, 1.0, min_share=2),
            "min_share: ",
        ),
        (
            lambda: generation.modes_covered(ROWS, CENTRES, 1.0, min_share=0),
            "min_share: ",
        ),
        (
            lambda: generation.class_histogram([0, 4], 4),
            "classes: expected labels from 0 to 3; received 4",
        ),
        (lambda: generation.class_histogram([-1, 2], 4), "received -1"),
        (
            lambda: generation.class_histogram([0.0, 1.0], 4),
            "classes: expected integer labels",
        ),
        (
            lambda: generation.sample_spread(ROWS[:1]),
            "x: expected at least 2 rows",
        ),
    ],
)
def test_generation_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_compare_sets_is_the_mean_over_sets_as_large_as_the_real_one(rng):
    real, made = rng.normal(size=(40, 3)), rng.normal(0.5, 1.2, size=(95, 3))
    found = generation.compare_sets(real, made)
    both = made[:40], made[40:80]  # fifteen are left over
    distances = [generation.frechet_distance(real, part) for part in both]
    near = [generation.density_coverage(real, part) for part in both]
    assert np.isclose(found.frechet, np.mean(distances))
    assert np.isclose(found.density, np.mean([n.density for n in near]))
    assert np.isclose(found.coverage, np.mean([n.coverage for n in near]))
    made[80:] = 1e6
    assert generation.compare_sets(real, made) == found


def test_compare_sets_does_not_hang_on_the_number_drawn(rng):
    real, made = rng.normal(size=(100, 8)), rng.normal(size=(1000, 8))
    few = generation.compare_sets(real, made[:100]).frechet
    many = generation.compare_sets(real, made).frechet
    assert 0.7 * few < many < 1.4 * few
    assert generation.frechet_distance(real, made) < 0.8 * many, "biased"


def test_k16_classes_in_turn_flatter_every_set(rng):
    centres = 4 * rng.normal(size=(10, 4))

    def of_classes(classes):
        return centres[classes] + rng.normal(size=(len(classes), 4))

    real, in_turn = (of_classes(np.arange(n) % 10) for n in (200, 4000))
    shuffled = rng.permutation(in_turn)
    # random counts of ten classes move a mean of 200 rows, equal ones do not
    flattered = generation.compare_sets(real, in_turn).frechet
    assert flattered < 0.5 * generation.compare_sets(real, shuffled).frechet


def test_compare_sets_needs_a_whole_set(rng):
    with pytest.raises(ValueError, match="generated: .*at least 40 rows"):
        generation.compare_sets(rng.normal(size=(40, 3)), np.zeros((39, 3)))


def test_nearest_distance_of_images_by_hand():
    others = np.zeros((2, 2, 2))
    others[1] = 9.0
    x = np.stack([others[1], others[0] + [[0, 3], [4, 0]], others[0]])
    found = generation.nearest_distance(x, others)
    assert np.allclose(found, [0, 5, 0]), "3 and 4 off, the other 15 away"
    with pytest.raises(ValueError, match="others"):
        generation.nearest_distance(x, np.zeros((2, 4)))
