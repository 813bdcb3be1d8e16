"""Losses and metrics over generated inputs: invariances, bounds, oracles.

The examples are the same at every run: hypothesis draws them from a fixed
seed. Shapes are few, so that no backend compiles a function for each.
"""

import keras
import numpy as np
import pytest
import scipy.linalg
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import ops
from sklearn.metrics import roc_auc_score

from utils import metrics
from utils.evaluation import detection, factors, generation
from utils.models.vaes import VAE
from utils.nn import losses
from utils.nn.likelihoods import Gaussian

few = settings(derandomize=True, deadline=None, max_examples=20, database=None)
SHAPES = [(1, 1), (4, 3), (3, 2, 2)]


def numbers(low, high):
    return st.floats(low, high, width=32, allow_subnormal=False)


def arrays(shape, low, high):
    return hnp.arrays("float32", shape, elements=numbers(low, high))


def shares(shape):
    """Numbers in [0, 1], the ends among them more often than not."""
    ends = st.sampled_from([0.0, 1.0])
    return hnp.arrays("float32", shape, elements=ends | numbers(0, 1))


def value_of(function, *arguments, **options):
    """A loss as float64 NumPy array, of float32 arguments."""
    result = function(*map(ops.convert_to_tensor, arguments), **options)
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    return ops.convert_to_numpy(result).astype("float64")


def summed(terms):
    return terms.reshape(len(terms), -1).sum(axis=1)


def wide(*values):
    return [np.asarray(value, "float64") for value in values]


def assert_near(value, oracle, scale):
    """Equal within float32's rounding of numbers as large as ``scale``."""
    np.testing.assert_allclose(
        value, oracle, rtol=2e-5, atol=2e-6 * float(np.max(scale)) + 1e-6
    )


# ------------------------------------------------------------- the losses

WIDTH = 0.25  # of the Gaussian and the logistic below


def level(shares_):
    """Shares as multiples of 1/16."""
    return (np.round(shares_ * 16) / 16).astype("float32")


# name: value of rows x, outputs and a mask, each of one shape
LOSSES = {
    "squared_error": lambda x, out, mask: value_of(
        losses.squared_error, x, out
    ),
    "masked": lambda x, out, mask: value_of(
        losses.masked_squared_error, x, out, mask
    ),
    "bernoulli": lambda x, out, mask: value_of(losses.bernoulli_nll, x, out),
    "multinomial": lambda x, out, mask: value_of(
        losses.multinomial_nll,
        x.reshape(len(x), -1),
        out.reshape(len(x), -1),
    ),
    "gaussian": lambda x, out, mask: value_of(
        losses.gaussian_nll, x, out, np.float32(WIDTH)
    ),
    "discretized": lambda x, out, mask: value_of(
        losses.discretized_nll, level(x), out, np.float32(WIDTH), levels=17
    ),
    "kl": lambda x, out, mask: value_of(losses.gaussian_kl, x, out),
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@st.composite
def rows_outputs_masks(draw, low=-8, high=8):
    shape = draw(st.sampled_from(SHAPES))
    mask = draw(hnp.arrays("float32", shape, elements=st.sampled_from([0, 1])))
    return draw(shares(shape)), draw(arrays(shape, low, high)), mask


@each_loss
@few
@given(rows_outputs_masks(), st.randoms(use_true_random=False))
def test_losses_belong_to_rows_alone(loss, given_arrays, random):
    value = loss(*given_arrays)
    n = len(value)
    assert value.shape == (len(given_arrays[0]),)
    order = random.sample(range(n), n)
    assert_near(loss(*(a[order] for a in given_arrays)), value[order], value)
    twice = loss(*(np.concatenate([a, a]) for a in given_arrays))
    assert_near(twice, np.tile(value, 2), np.abs(value))
    alone = loss(*(a[:1] for a in given_arrays))
    assert_near(alone, value[:1], np.abs(value))


@each_loss
@few
@given(rows_outputs_masks(), st.randoms(use_true_random=False))
def test_losses_add_up_entries_in_any_order(loss, given_arrays, random):
    value = loss(*given_arrays)
    flat = [a.reshape(len(a), -1) for a in given_arrays]
    assert_near(loss(*flat), value, np.abs(value))
    order = random.sample(range(flat[0].shape[1]), flat[0].shape[1])
    mixed = loss(*(a[:, order] for a in flat))
    assert_near(mixed, value, np.abs(value))


@few
@given(rows_outputs_masks(-1e4, 1e4))
def test_squared_errors_equal_numpy_and_never_look_at_hidden_entries(drawn):
    x, x_hat, mask = drawn
    oracle = summed((np.subtract(*wide(x, x_hat))) ** 2)
    value = value_of(losses.squared_error, x, x_hat)
    assert_near(value, oracle, oracle)
    assert_near(value_of(losses.squared_error, x_hat, x), oracle, oracle)
    hidden = np.where(mask, x, np.nan).astype("float32")
    value = value_of(losses.masked_squared_error, hidden, x_hat, mask)
    parts = mask * np.subtract(*wide(x, x_hat)) ** 2
    assert_near(value, summed(parts), oracle)


@few
@given(rows_outputs_masks(-1e4, 1e4))
def test_bernoulli_nll_equals_numpy_at_extreme_logits(drawn):
    x, logits, _ = drawn
    p, t = wide(x, logits)
    oracle = summed(p * np.logaddexp(0, -t) + (1 - p) * np.logaddexp(0, t))
    value = value_of(losses.bernoulli_nll, x, logits)
    assert_near(value, oracle, np.abs(t).sum())
    assert_near(value_of(losses.bernoulli_nll, 1 - x, -logits), value, t.max())
    entropy = summed(scipy.special.entr(p) + scipy.special.entr(1 - p))
    assert (value >= entropy - 1e-4 - 1e-6 * np.abs(t).sum()).all()


@few
@given(rows_outputs_masks(-1e4, 1e4), numbers(-100, 100))
def test_multinomial_nll_equals_scipy_at_extreme_logits(drawn, shift):
    x, logits, _ = drawn
    x, logits = (
        (4 * np.round(x)).reshape(len(x), -1),
        logits.reshape(len(x), -1),
    )
    counts, t = wide(x, logits)
    oracle = -(counts * scipy.special.log_softmax(t, axis=1)).sum(axis=1)
    value = value_of(losses.multinomial_nll, x, logits)
    size = 8 * np.abs(t).sum() + 1e3
    assert_near(value, oracle, size)
    moved = value_of(losses.multinomial_nll, x, logits + np.float32(shift))
    assert_near(moved, oracle, size)
    # no distribution does better than the observed shares
    total = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(total, 1)
    best = (total * scipy.special.entr(share)).sum(axis=1)
    assert (value >= best - 1e-4 - 2e-6 * size).all()


@few
@given(rows_outputs_masks(-50, 50), st.sampled_from([1e-3, 0.5, 1.0, 40.0]))
def test_gaussian_nll_equals_scipy_for_any_scale(drawn, scale):
    x, mean, _ = drawn
    scale = np.float32(scale)
    oracle = summed(-scipy.stats.norm.logpdf(*wide(x, mean, scale)))
    value = value_of(losses.gaussian_nll, x, mean, scale)
    assert_near(value, oracle, np.abs(oracle))
    least = value_of(losses.gaussian_nll, x, x, scale)
    assert (value >= least - 1e-4).all()
    # a change of units by c adds log c an entry
    other = value_of(losses.gaussian_nll, 4 * x, 4 * mean, 4 * scale)
    d = x[0].size
    assert_near(other, value + d * np.log(4), np.abs(oracle))


def log_logistic_mass(low, high):
    """log(σ(high) − σ(low)), from the side with the smaller numbers."""
    flip = low + high > 0
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    top, bottom = scipy.special.log_expit(high), scipy.special.log_expit(low)
    return top + np.log(-np.expm1(bottom - top))


@few
@given(rows_outputs_masks(-20, 20), st.sampled_from([2, 17, 256]))
def test_discretized_nll_equals_the_logistic_mass_far_from_it_too(
    drawn, levels
):
    x, mean, _ = drawn
    x = (np.round(x * (levels - 1)) / (levels - 1)).astype("float32")
    k, m = np.round(wide(x)[0] * (levels - 1)), wide(mean)[0]
    low = np.where(k == 0, -np.inf, (k - 0.5) / (levels - 1) - m) / WIDTH
    high = np.where(k == levels - 1, np.inf, (k + 0.5) / (levels - 1) - m)
    oracle = summed(-log_logistic_mass(low, high / WIDTH))
    value = value_of(
        losses.discretized_nll, x, mean, np.float32(WIDTH), levels=levels
    )
    assert_near(value, oracle, 10 * np.abs(oracle) + 10)
    assert (value >= 0).all()


@few
@given(rows_outputs_masks(-30, 15))
def test_gaussian_kl_equals_numpy_and_is_never_negative(drawn):
    mean, log_var, _ = drawn
    mean, log_var = (a.reshape(len(a), -1) for a in (40 * mean, log_var))
    m, v = wide(mean, log_var)
    oracle = 0.5 * (m**2 + np.exp(v) - 1 - v)
    units = value_of(losses.gaussian_kl, mean, log_var, per_unit=True)
    assert units.shape == mean.shape
    assert_near(units, oracle, 1.0 + oracle)
    assert (units >= 0).all()
    whole = value_of(losses.gaussian_kl, mean, log_var)
    assert_near(whole, oracle.sum(axis=1), oracle.sum())
    assert_near(value_of(losses.gaussian_kl, -mean, log_var), whole, whole)


@few
@given(numbers(0.0625, 0.9375), shares((5,)))
def test_bernoulli_kl_equals_scipy_and_has_its_zero_at_the_target(p, rates):
    value = value_of(losses.bernoulli_kl, np.float32(p), rates)
    q = np.clip(wide(rates)[0], 1e-6, 1 - 1e-6)
    oracle = scipy.special.rel_entr(p, q) + scipy.special.rel_entr(1 - p, 1 - q)
    # float32 holds 1 − 1e-6 to 6 % of the distance to 1
    np.testing.assert_allclose(value, oracle, rtol=0.01, atol=2e-6)
    other = value_of(losses.bernoulli_kl, np.float32(1 - p), 1 - rates)
    np.testing.assert_allclose(other, value, rtol=0.01, atol=2e-6)
    assert value_of(losses.bernoulli_kl, p, np.array([p])) == pytest.approx(
        0, abs=1e-6
    )


# ------------------------------------------------------------- the bounds


@pytest.fixture(scope="module")
def small_vae():
    model = VAE.dense((3,), 2, widths=(), seed=0, likelihood=Gaussian(0.7))
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.normal(size=w.shape) * 0.3 for w in model.get_weights()]
    )
    return model


@few
@given(seed=st.integers(0, 2**31), samples=st.sampled_from([1, 2, 7]))
def test_bounds_are_ordered_draw_by_draw(small_vae, seed, samples):
    x = np.random.default_rng(seed).normal(size=(4, 3)).astype("float32")
    rng = np.random.default_rng(seed)
    fit, ratio, kl = small_vae._terms(x, samples, rng)
    elbo, weighted = small_vae.bounds(x, samples, seed)
    assert (kl >= 0).all()
    np.testing.assert_allclose(elbo, fit.mean(axis=1) - kl, atol=1e-4)
    each = (fit + ratio).astype("float64")
    oracle = scipy.special.logsumexp(each, axis=1) - np.log(samples)
    np.testing.assert_allclose(weighted, oracle, atol=1e-4)
    # Jensen: mean of logarithms ≤ logarithm of the mean ≤ largest
    assert (each.mean(axis=1) <= weighted + 1e-4).all()
    assert (weighted <= each.max(axis=1) + 1e-4).all()


# ------------------------------------------------------------ the metrics

seeds = st.integers(0, 2**31).map(np.random.default_rng)


@few
@given(rows_outputs_masks(), st.sampled_from([0.25, 2.0, 255.0]))
def test_mse_and_psnr_scale_and_forget_the_order(drawn, peak):
    x, x_hat, _ = drawn
    error = metrics.mse(x, x_hat)
    assert error == pytest.approx(np.mean(np.subtract(*wide(x, x_hat)) ** 2))
    assert metrics.mse(x_hat, x) == error >= 0
    both = [np.concatenate([a, a])[::-1] for a in (x, x_hat)]
    assert metrics.mse(*both) == pytest.approx(error)
    ratio = metrics.psnr(x, x_hat)
    if error == 0:
        assert ratio == float("inf")
        return
    assert 10 ** (-ratio / 10) == pytest.approx(error)
    scaled = metrics.psnr(peak * x, peak * x_hat, peak=peak)
    assert scaled == pytest.approx(ratio, abs=1e-3)
    # half of every error: 6 dB more
    nearer = metrics.psnr(x, x + (x_hat - x) / 2)
    assert nearer == pytest.approx(ratio + 20 * np.log10(2), abs=0.01)


ids = hnp.arrays("int64", 12, elements=st.integers(0, 3))


@few
@given(ids, ids, st.permutations(range(4)), st.permutations(range(12)))
def test_clustering_accuracy_knows_no_names_and_no_order(y, z, names, order):
    value = metrics.clustering_accuracy(y, z)
    names, order = np.array(names), np.array(order)
    assert metrics.clustering_accuracy(y, 10 * names[z] - 7) == value
    assert metrics.clustering_accuracy(names[y], z) == value
    assert metrics.clustering_accuracy(y[order], z[order]) == value
    assert metrics.clustering_accuracy(z, y) == value
    assert metrics.clustering_accuracy(y, names[y]) == 1.0
    # one pair can be matched at least: the most frequent one
    pairs = np.unique(np.stack([y, z]), axis=1, return_counts=True)[1]
    assert pairs.max() / 12 <= value <= 1
    assert value >= np.mean(y == z)


@few
@given(seeds, st.integers(1, 4), st.integers(1, 4))
def test_principal_angles_by_orthonormal_bases_whatever_the_basis(rng, k, m):
    a, b = rng.normal(size=(6, k)), rng.normal(size=(6, m))
    value = metrics.principal_angle_cosines(a, b)
    assert value.shape == (min(k, m),)
    assert ((value >= 0) & (value <= 1)).all()
    assert (np.diff(value) <= 0).all()
    q_a, q_b = np.linalg.qr(a)[0], np.linalg.qr(b)[0]
    oracle = np.linalg.svd(q_a.T @ q_b, compute_uv=False)
    np.testing.assert_allclose(value, oracle, atol=1e-4)
    swapped = metrics.principal_angle_cosines(-3 * b, a[:, ::-1])
    np.testing.assert_allclose(swapped, value, atol=1e-4)


@few
@given(seeds, st.sampled_from([0.01, 1.0, 50.0]))
def test_distance_rank_correlation_sees_distances_only(rng, scale):
    x, z = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    value = metrics.distance_rank_correlation(x, z)
    assert -1 <= value <= 1
    assert metrics.distance_rank_correlation(z, x) == pytest.approx(value)
    assert metrics.distance_rank_correlation(x, x) == pytest.approx(1)
    turn = scipy.stats.ortho_group.rvs(3, random_state=rng)
    moved = scale * (x @ turn + 0.5)
    order = rng.permutation(9)
    # float32 may swap two distances that differ in the seventh digit
    assert metrics.distance_rank_correlation(moved[order], z[order]) == (
        pytest.approx(value, abs=0.01)
    )


@few
@given(hnp.arrays("float32", (3, 4), elements=st.sampled_from([-2, 0, 0, 1])))
def test_dead_units_are_those_that_nothing_wakes(codes):
    value = metrics.dead_units(codes)
    assert value == sum(not column.any() for column in codes.T)
    assert metrics.dead_units(-5 * codes[::-1]) == value
    assert metrics.dead_units(np.abs(codes) + 1) == 0
    assert metrics.dead_units(0 * codes) == 4


@few
@given(seeds, st.integers(1, 4))
def test_frechet_distance_is_a_squared_distance_of_gaussians(rng, width):
    a = rng.normal(size=(12, width)) @ rng.normal(size=(width, width))
    b = rng.normal(size=(15, width)) + rng.normal(size=width)
    value = generation.frechet_distance(a, b)
    near = {"rel": 1e-3, "abs": 1e-4}
    assert value >= 0
    assert generation.frechet_distance(b, a) == pytest.approx(value, **near)
    assert generation.frechet_distance(a, a[::-1]) == pytest.approx(0, abs=1e-4)
    shift = rng.normal(size=width)
    assert generation.frechet_distance(a, a + shift) == pytest.approx(
        np.sum(shift**2), **near
    )
    assert generation.frechet_distance(3 * a, 3 * b) == pytest.approx(
        9 * value, **near
    )
    cov_a, cov_b = (np.cov(f.T).reshape(width, width) for f in (a, b))
    # tr (Σ_a Σ_b)^½ by eigenvalues, which are real and not negative
    values = np.linalg.eigvals(cov_a @ cov_b).real
    oracle = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a + cov_b)
    oracle -= 2 * np.sqrt(np.maximum(values, 0)).sum()
    assert value == pytest.approx(oracle, **near)


@few
@given(
    st.lists(st.integers(-6, 6), min_size=8, max_size=8),
    hnp.arrays("bool", 8, elements=st.booleans()),
)
def test_alarm_rates_trace_the_roc_curve_under_any_rising_map(scores, kinds):
    kinds[:2] = [True, False]
    scores = np.array(scores, "float64")
    curves = []
    for rising in (lambda s: s, np.exp, lambda s: s**3 + s):
        mapped = rising(scores)
        cuts = [*np.unique(mapped)[::-1], mapped.min() - 1]
        rates = [detection.alarm_rates(mapped, kinds, cut) for cut in cuts]
        curves.append([(r["false_alarms"], r["recall"]) for r in rates])
        for rate in rates:
            assert 0 <= min(rate.values()) <= max(rate.values()) <= 1
        area = np.trapezoid(*np.transpose(curves[-1])[::-1])
        assert area == pytest.approx(roc_auc_score(kinds, scores))
    assert curves[0] == curves[1] == curves[2]
    assert curves[0][-1] == (1.0, 1.0)


@few
@given(
    st.lists(numbers(-1e3, 1e3), min_size=25, max_size=25),
    st.sampled_from([0.1, 0.5, 0.8, 0.95]),
)
def test_quantile_threshold_raises_no_more_alarms_than_asked(scores, quantile):
    scores = np.array(scores)
    value = detection.quantile_threshold(scores, quantile)
    assert value in scores
    assert np.mean(scores > value) <= 1 - quantile + 1e-9
    assert np.mean(scores <= value) >= quantile - 1e-9
    moved = detection.quantile_threshold(8 * scores[::-1] + 3, quantile)
    assert moved == 8 * value + 3


@few
@given(ids, ids, st.permutations(range(4)))
def test_factor_information_is_symmetric_and_at_most_the_entropy(y, z, names):
    value = factors.factor_information(y[:, None], z[:, None])[0, 0]
    swapped = factors.factor_information(z[:, None], y[:, None])[0, 0]
    renamed = factors.factor_information(
        np.array(names)[y][:, None], z[:, None]
    )
    assert value >= 0
    assert swapped == pytest.approx(value, abs=1e-9)
    assert renamed[0, 0] == pytest.approx(value, abs=1e-9)
    entropy = scipy.stats.entropy(np.unique(y, return_counts=True)[1])
    assert value <= entropy + 1e-9
    itself = factors.factor_information(y[:, None], y[:, None])[0, 0]
    assert itself == pytest.approx(entropy, abs=1e-9)
