"""Losses against hand-computed numbers, NumPy and scipy."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
from keras import ops

from utils.nn import losses


def as_numpy(tensor):
    return ops.convert_to_numpy(tensor)


def test_squared_error_two_rows_hand_computed():
    x = np.array([[[1.0, 2.0]], [[0.0, 0.0]]], "float32")  # (2, 1, 2)
    x_hat = np.array([[[0.0, 4.0]], [[3.0, 4.0]]], "float32")
    value = as_numpy(losses.squared_error(x, x_hat))
    np.testing.assert_array_equal(value, [5.0, 25.0])


def test_squared_error_row_order_carried_along(rng):
    x, x_hat = rng.random((2, 7, 5)).astype("float32")
    order = rng.permutation(7)
    np.testing.assert_allclose(
        as_numpy(losses.squared_error(x[order], x_hat[order])),
        as_numpy(losses.squared_error(x, x_hat))[order],
        rtol=1e-6,
    )


def test_bernoulli_nll_half_probability_is_log_two_per_entry():
    value = as_numpy(
        losses.bernoulli_nll(np.ones((2, 3, 4)), np.zeros((2, 3, 4)))
    )
    np.testing.assert_allclose(value, 12 * np.log(2), rtol=1e-6)


def test_bernoulli_nll_binary_rows_equal_minus_log_pmf(rng):
    # an RGB-like shape: the channel axis is summed, not averaged
    x = rng.integers(0, 2, (6, 4, 4, 3))
    logits = rng.normal(0, 2, x.shape)
    oracle = -scipy.stats.bernoulli.logpmf(x, scipy.special.expit(logits))
    np.testing.assert_allclose(
        as_numpy(losses.bernoulli_nll(x, logits)),
        oracle.sum(axis=(1, 2, 3)),
        rtol=1e-5,
    )


def test_bernoulli_nll_grey_levels_never_below_their_entropy(rng):
    x = rng.uniform(0.01, 0.99, (5, 8))
    entropy = scipy.special.entr(x) + scipy.special.entr(1 - x)
    best = as_numpy(losses.bernoulli_nll(x, scipy.special.logit(x)))
    np.testing.assert_allclose(best, entropy.sum(axis=1), rtol=1e-4)
    other = as_numpy(losses.bernoulli_nll(x, rng.normal(0, 1, x.shape)))
    assert (other > entropy.sum(axis=1)).all()


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_bernoulli_nll_extreme_logits_stay_finite(logit):
    x = np.array([[0.0], [1.0]])
    value = as_numpy(losses.bernoulli_nll(x, np.full((2, 1), logit)))
    np.testing.assert_allclose(sorted(value), [0.0, 200.0], atol=1e-4)


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_gaussian_nll_equals_scipy_with_its_constant(rng, scale):
    x, mean = rng.normal(0, 1, (2, 5, 3, 2))
    oracle = -scipy.stats.norm.logpdf(x, mean, scale).sum(axis=(1, 2))
    value = as_numpy(losses.gaussian_nll(x, mean, scale))
    np.testing.assert_allclose(value, oracle, rtol=1e-4)


def test_gaussian_nll_scale_per_entry_broadcasts(rng):
    x, mean = rng.normal(0, 1, (2, 5, 3))
    scale = np.array([0.5, 1.0, 2.0])
    oracle = -scipy.stats.norm.logpdf(x, mean, scale).sum(axis=1)
    value = as_numpy(losses.gaussian_nll(x, mean, scale))
    np.testing.assert_allclose(value, oracle, rtol=1e-4)


def test_gaussian_nll_narrow_density_is_negative():
    value = as_numpy(
        losses.gaussian_nll(np.zeros((1, 4)), np.zeros((1, 4)), 0.01)
    )
    assert value[0] < 0


def test_bernoulli_kl_equals_scipy_entropy():
    rates = np.array([0.01, 0.2, 0.5, 0.9])
    oracle = [
        scipy.stats.entropy([0.2, 0.8], [rate, 1 - rate]) for rate in rates
    ]
    value = as_numpy(losses.bernoulli_kl(0.2, rates))
    np.testing.assert_allclose(value, oracle, rtol=1e-4, atol=1e-6)


def test_bernoulli_kl_zero_only_at_the_target():
    value = as_numpy(losses.bernoulli_kl(0.3, np.array([0.1, 0.3, 0.31, 0.9])))
    assert abs(value[1]) < 1e-6
    assert (np.delete(value, 1) > 1e-5).all()


def test_bernoulli_kl_silent_and_saturated_units_stay_finite():
    value = as_numpy(losses.bernoulli_kl(0.05, np.array([0.0, 1.0])))
    assert np.isfinite(value).all()
    assert (value > 0).all()


@pytest.mark.parametrize(
    "loss", [losses.squared_error, losses.bernoulli_nll, losses.gaussian_nll]
)
def test_loss_half_precision_input_gives_float32_per_example(loss):
    x = ops.cast(np.full((2, 300), 0.5), "bfloat16")
    value = loss(x, x)
    assert value.shape == (2,)
    assert "float32" in str(value.dtype)


# ------------------------------------------------------------- variational


@pytest.mark.parametrize("k", [1, 5])
def test_gaussian_kl_known_values(k):
    zeros, ones = np.zeros((2, k)), np.ones((2, k))
    cases = [
        (zeros, zeros, 0.0),
        (ones, zeros, k / 2),
        (zeros, ones, k * (np.e - 2) / 2),
        (zeros, -60 * ones, k * 59 / 2),
    ]
    for mean, log_var, expected in cases:
        value = as_numpy(losses.gaussian_kl(mean, log_var))
        np.testing.assert_allclose(value, [expected] * 2, rtol=1e-6)


def test_gaussian_kl_within_one_percent_of_monte_carlo(rng):
    mean, log_var = rng.normal(0, 1.5, (2, 4))
    deviation = np.exp(0.5 * log_var)
    z = mean + deviation * rng.standard_normal((400_000, 4))
    log_q = scipy.stats.norm.logpdf(z, mean, deviation).sum(axis=1)
    estimate = np.mean(log_q - scipy.stats.norm.logpdf(z).sum(axis=1))
    closed = as_numpy(losses.gaussian_kl(mean[None], log_var[None]))[0]
    assert closed > 1.0
    assert closed == pytest.approx(estimate, rel=0.01)


def test_gaussian_kl_units_sum_to_the_whole_and_are_never_negative(rng):
    mean, log_var = rng.normal(0, 1, (2, 50, 6))
    log_var[:10] = 1e-3 * rng.normal(size=(10, 6))  # rounding shows here
    units = as_numpy(losses.gaussian_kl(mean, log_var, per_unit=True))
    assert units.shape == (50, 6)
    assert units.min() >= 0
    np.testing.assert_allclose(
        units.sum(axis=1),
        as_numpy(losses.gaussian_kl(mean, log_var)),
        rtol=1e-5,
    )


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("scale", [1e-3, 0.05, 2.0])
@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.41, 1.2])
def test_discretized_nll_probabilities_of_all_levels_sum_to_one(
    levels, scale, mean
):
    x = np.arange(levels)[:, None] / (levels - 1)
    value = as_numpy(
        losses.discretized_nll(x, np.full_like(x, mean), scale, levels)
    )
    assert np.isfinite(value).all()
    assert value.min() >= 0
    assert np.exp(-value.astype("float64")).sum() == pytest.approx(1, abs=1e-4)


def test_discretized_nll_equals_differences_of_the_logistic_cdf(rng):
    x = rng.integers(0, 17, (6, 4, 4, 1)) / 16
    mean = rng.uniform(-0.2, 1.2, x.shape)
    low = np.where(x == 0, -np.inf, x - 0.5 / 16)
    high = np.where(x == 1, np.inf, x + 0.5 / 16)
    cdf = scipy.stats.logistic(mean, 0.1).cdf
    oracle = -np.log(cdf(high) - cdf(low)).sum(axis=(1, 2, 3))
    value = as_numpy(losses.discretized_nll(x, mean, 0.1, 17))
    np.testing.assert_allclose(value, oracle, rtol=1e-4)


def test_discretized_nll_half_precision_input_computed_in_float32(rng):
    x = ops.cast(rng.integers(0, 2, (3, 8)), "bfloat16")
    value = losses.discretized_nll(x, ops.cast(x, "bfloat16"), 0.1, 2)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"


# --------------------------------------------------------- defaults, dtypes


def test_losses_defaults_are_unit_scale_and_bytes(rng):
    x, mean = rng.random((2, 3, 4)).astype("float32")
    np.testing.assert_array_equal(
        as_numpy(losses.gaussian_nll(x, mean)),
        as_numpy(losses.gaussian_nll(x, mean, 1.0)),
    )
    x = np.round(x * 255) / 255
    np.testing.assert_array_equal(
        as_numpy(losses.discretized_nll(x, mean, 0.1)),
        as_numpy(losses.discretized_nll(x, mean, 0.1, 256)),
    )


def test_losses_compute_in_float32_whatever_keras_defaults_to(rng):
    # thirds and the like: half precision would round them
    x, t, scale = rng.uniform(0.3, 0.7, (3, 2, 3)).astype("float32")
    seen = np.array([[1, 0, 1], [1, 1, 0]])
    logits = rng.uniform(0.3, 0.7, (2, 3, 2)).astype("float32")
    calls = [
        (losses.squared_error, x, t),
        (losses.masked_squared_error, x, t, seen),
        (losses.multinomial_nll, x, t),
        (losses.bernoulli_nll, x, t),
        (losses.gaussian_nll, x, t, scale),
        (losses.discretized_nll, x, t, scale),
        (losses.categorical_nll, seen, logits),
        (losses.gaussian_kl, x, t),
        (losses.bernoulli_kl, x, t),
    ]
    expected = [as_numpy(loss(*given)) for loss, *given in calls]
    keras.config.set_floatx("float16")
    try:
        values = [as_numpy(loss(*given)) for loss, *given in calls]
    finally:
        keras.config.set_floatx("float32")
    for value, wanted in zip(values, expected, strict=True):
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, wanted, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 8, 8, 1), (3, 2, 4, 3), (3, 7), (3,)])
def test_pairs_of_any_shape_are_summed_over_all_axes_but_the_first(shape, rng):
    x, y = rng.random(shape), rng.normal(0, 1, shape)
    axes = tuple(range(1, len(shape)))
    np.testing.assert_allclose(
        as_numpy(losses.squared_error(x, y)),
        ((x - y) ** 2).sum(axis=axes),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        as_numpy(losses.bernoulli_nll(x, y)),
        (np.logaddexp(0, y) - x * y).sum(axis=axes),
        rtol=1e-5,
    )


# ---------------------------------------------------------- shapes must agree

OF_TWO = {
    "squared_error": losses.squared_error,
    "masked": lambda x, other: losses.masked_squared_error(
        x, other, np.ones(np.shape(other))
    ),
    "mask": lambda x, other: losses.masked_squared_error(
        np.zeros(np.shape(other)), other, x
    ),
    "multinomial": losses.multinomial_nll,
    "bernoulli": losses.bernoulli_nll,
    "categorical": lambda x, other: losses.categorical_nll(
        x, np.zeros((*np.shape(other), 3))
    ),
    "gaussian": losses.gaussian_nll,
    "discretized": lambda x, other: losses.discretized_nll(x, other, 0.1),
    "kl": losses.gaussian_kl,
    "kl-per-unit": lambda x, other: losses.gaussian_kl(x, other, per_unit=True),
}
WITH_SCALE = {
    "gaussian": lambda x, scale: losses.gaussian_nll(x, x, scale),
    "discretized": lambda x, scale: losses.discretized_nll(x, x, scale),
    "bernoulli_kl": lambda x, scale: losses.bernoulli_kl(scale, x),
}


@pytest.mark.parametrize("name", OF_TWO)
@pytest.mark.parametrize(
    "shape", [(3, 4), (3, 4, 1), (3, 1, 5), (3, 1), (3,), (3, 5, 4)]
)
def test_examples_of_two_shapes_are_refused(name, shape):
    argument = {"mask": "observed", "kl": "mean", "kl-per-unit": "mean"}
    expected = rf"{argument.get(name, 'x')}: expected examples of shape \(4, 5"
    with pytest.raises(ValueError, match=expected):
        OF_TWO[name](np.zeros(shape), np.zeros((3, 4, 5)))


@pytest.mark.parametrize("name", OF_TWO)
@pytest.mark.parametrize("rows", [(1, 3), (3, 1), (6, 3)])
def test_two_numbers_of_examples_are_refused(name, rows):
    first, second = rows
    with pytest.raises(
        ValueError, match=f"expected {second} examples; received {first}"
    ):
        OF_TWO[name](np.zeros((first, 5)), np.zeros((second, 5)))


@pytest.mark.parametrize("name", WITH_SCALE)
@pytest.mark.parametrize(
    "shape", [(2,), (4, 1), (2, 3, 1), (5, 2, 3), (1, 4, 2, 3), (1, 1, 1, 1)]
)
def test_scale_that_would_enlarge_the_result_is_refused(name, shape):
    with pytest.raises(
        ValueError,
        match=r"(scale|target): expected a number, or a shape that "
        rf"broadcasts to \(4, 2, 3\); received shape \({shape[0]},",
    ):
        WITH_SCALE[name](np.full((4, 2, 3), 0.5), np.full(shape, 0.5))


@pytest.mark.parametrize("name", WITH_SCALE)
@pytest.mark.parametrize(
    "shape", [(), (1,), (3,), (2, 1), (2, 3), (1, 2, 3), (4, 1, 1), (4, 2, 3)]
)
def test_scale_within_the_shape_counts_as_if_written_out(name, shape, rng):
    x = rng.integers(0, 256, (4, 2, 3)) / 255
    scale = rng.uniform(0.1, 0.9, shape)
    loss = WITH_SCALE[name]
    np.testing.assert_allclose(
        as_numpy(loss(x, scale)),
        as_numpy(loss(x, np.broadcast_to(scale, x.shape))),
        rtol=1e-6,
    )


@pytest.mark.parametrize("name", OF_TWO)
def test_losses_can_be_traced_with_an_unknown_batch(name):
    inputs = keras.Input((2, 3))
    loss = {
        "masked": lambda x, other: losses.masked_squared_error(x, x, other),
        "mask": lambda x, other: losses.masked_squared_error(x, x, other),
        "categorical": losses.categorical_nll,
    }.get(name, OF_TWO[name])
    other = (2, 3, 4) if name == "categorical" else (2, 3)
    result = loss(inputs, keras.Input(other))
    assert result.shape[0] is None


def test_categorical_nll_equals_minus_log_of_the_softmax(rng):
    ids, logits = rng.integers(0, 4, (5, 3)), rng.normal(0, 2, (5, 3, 4))
    share = scipy.special.softmax(logits, axis=-1)
    oracle = -np.log(np.take_along_axis(share, ids[..., None], axis=-1))
    np.testing.assert_allclose(
        as_numpy(losses.categorical_nll(ids / 3, logits)),
        oracle.sum(axis=(1, 2)),
        rtol=1e-5,
    )
