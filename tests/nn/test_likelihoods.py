"""Likelihoods against scipy.stats, sums over all data, and bad input."""

import inspect

import contracts
import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from sklearn import datasets

from utils.nn import likelihoods
from utils.nn.backend import input_gradient
from utils.nn.likelihoods import (
    Bernoulli,
    Categorical,
    DiscretizedLogistic,
    Gaussian,
    LogisticMixture,
    SquaredError,
)

few = settings(derandomize=True, deadline=None, max_examples=20, database=None)
CASES = [
    contracts.Case("bernoulli", Bernoulli, {}, 0),
    contracts.Case("gaussian", Gaussian, {}, 1),
    contracts.Case("gaussian-fixed", Gaussian, {"scale": 0.3}, 0),
    contracts.Case("discretized", DiscretizedLogistic, {"levels": 17}, 1),
    contracts.Case(
        "discretized-fixed", DiscretizedLogistic, {"levels": 5, "scale": 0.1}, 0
    ),
    contracts.Case("categorical", Categorical, {"levels": 5}, 0),
    contracts.Case(
        "logistic-mixture",
        LogisticMixture,
        {"levels": 17, "components": 3},
        0,
    ),
    contracts.Case("squared-error", SquaredError, {}, 0),
    contracts.Case(
        "squared-sigmoid", SquaredError, {"activation": "sigmoid"}, 0
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def array(tensor):
    return ops.convert_to_numpy(tensor)


def nats(likelihood, x, raw):
    """−log p(x) as float64 NumPy array, of float32 arguments."""
    x, raw = (ops.convert_to_tensor(np.float32(value)) for value in (x, raw))
    value = likelihood.negative_log_likelihood(x, likelihood.outputs(raw))
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    return array(value).astype("float64")


def some_data(likelihood, shape, rng):
    """Data in [0, 1] that every likelihood allows."""
    steps = getattr(likelihood, "levels", 2) - 1
    return (rng.integers(0, steps + 1, shape) / steps).astype("float32")


def raw_for(likelihood, shape, rng, size=1.0):
    batch, *event = shape
    raw = rng.normal(0, size, (batch, *likelihood.raw_shape(event)))
    return raw.astype("float32")


# ------------------------------------------------------ closed forms, scipy


def test_bernoulli_binary_pixels_equal_minus_log_pmf(rng):
    x, logits = rng.integers(0, 2, (6, 4, 4, 3)), rng.normal(0, 2, (6, 4, 4, 3))
    share = scipy.special.expit(logits)
    oracle = -scipy.stats.bernoulli.logpmf(x, share).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(nats(Bernoulli(), x, logits), oracle, rtol=1e-5)
    np.testing.assert_allclose(
        array(Bernoulli().outputs(logits.astype("float32"))["reconstruction"]),
        share,
        rtol=1e-5,
    )


@pytest.mark.parametrize("scale", [0.01, 0.3, 7.0])
def test_gaussian_equals_minus_log_pdf(rng, scale):
    x, mean = rng.normal(0, 1, (2, 5, 3, 2))
    oracle = -scipy.stats.norm.logpdf(x, mean, scale).sum(axis=(1, 2))
    np.testing.assert_allclose(
        nats(Gaussian(scale), x, mean), oracle, rtol=1e-4
    )


def test_gaussian_learned_scale_enters_as_a_fixed_one(rng):
    x, mean = rng.normal(0, 1, (2, 5, 3))
    learned = Gaussian()
    np.testing.assert_allclose(
        nats(learned, x, mean), nats(Gaussian(0.2), x, mean), rtol=1e-5
    )
    learned.log_scale.assign(np.log(1.7) / likelihoods.SCALE_GAIN)
    np.testing.assert_allclose(
        nats(learned, x, mean), nats(Gaussian(1.7), x, mean), rtol=1e-5
    )
    assert float(array(learned.current_scale())) == pytest.approx(1.7)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_discretized_equals_differences_of_the_logistic_cdf(rng, levels):
    x = rng.integers(0, levels, (6, 4, 4, 1)) / (levels - 1)
    location = rng.uniform(-0.2, 1.2, x.shape)
    half = 0.5 / (levels - 1)
    low = np.where(x == 0, -np.inf, x - half)
    high = np.where(x == 1, np.inf, x + half)
    cdf = scipy.stats.logistic(location, 0.1).cdf
    oracle = -np.log(cdf(high) - cdf(low)).sum(axis=(1, 2, 3))
    value = nats(DiscretizedLogistic(levels, 0.1), x, location)
    np.testing.assert_allclose(value, oracle, rtol=1e-4)


def test_categorical_equals_scipy_multinomial_of_one_draw(rng):
    levels = 5
    ids = rng.integers(0, levels, (6, 3, 2))
    raw = rng.normal(0, 2, (6, 3, 2 * levels))
    share = scipy.special.softmax(raw.reshape(6, 3, 2, levels), axis=-1)
    counts = np.eye(levels, dtype=int)[ids]
    oracle = -scipy.stats.multinomial.logpmf(counts, 1, share).sum(axis=(1, 2))
    value = nats(Categorical(levels), ids / (levels - 1), raw)
    np.testing.assert_allclose(value, oracle, rtol=1e-5)


def test_categorical_reconstruction_is_the_expected_grey_level(rng):
    raw = rng.normal(0, 2, (6, 3, 10)).astype("float32")
    outputs = Categorical(5).outputs(ops.convert_to_tensor(raw))
    share = scipy.special.softmax(raw.reshape(6, 3, 2, 5), axis=-1)
    np.testing.assert_allclose(
        array(outputs["reconstruction"]), share @ np.arange(5) / 4, rtol=1e-5
    )
    assert tuple(outputs["logits"].shape) == (6, 3, 2, 5)


def test_categorical_of_two_levels_is_bernoulli(rng):
    x, logits = rng.integers(0, 2, (6, 8)), rng.normal(0, 2, (6, 8))
    raw = np.stack([np.zeros_like(logits), logits], axis=-1).reshape(6, 16)
    np.testing.assert_allclose(
        nats(Categorical(2), x, raw), nats(Bernoulli(), x, logits), rtol=1e-5
    )


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_mixture_equals_differences_of_logistic_cdfs(rng, levels):
    x = rng.integers(0, levels, (6, 4, 2)) / (levels - 1)
    raw = rng.normal(0, 0.5, (6, 4, 2 * 9))
    share, location, log_scale = np.moveaxis(raw.reshape(6, 4, 2, 3, 3), 3, 0)
    share = scipy.special.softmax(share, axis=-1)
    location = location + np.array([1, 3, 5]) / 6
    half = 0.5 / (levels - 1)
    low = np.where(x == 0, -np.inf, x - half)[..., None]
    high = np.where(x == 1, np.inf, x + half)[..., None]
    cdf = scipy.stats.logistic(location, np.exp(log_scale - 2)).cdf
    oracle = -np.log((share * (cdf(high) - cdf(low))).sum(-1)).sum(axis=(1, 2))
    value = nats(LogisticMixture(levels, 3), x, raw)
    np.testing.assert_allclose(value, oracle, rtol=1e-4)


def test_mixture_of_one_is_the_discretised_logistic(rng):
    x = rng.integers(0, 17, (6, 5)) / 16
    location = rng.normal(0.5, 0.5, (6, 5))
    raw = np.stack(
        [0 * x, location - 0.5, 0 * x + 2 + np.log(0.1)], axis=-1
    ).reshape(6, 15)
    np.testing.assert_allclose(
        nats(LogisticMixture(17, 1), x, raw),
        nats(DiscretizedLogistic(17, 0.1), x, location),
        rtol=1e-4,
    )


def test_mixture_draws_its_probabilities(rng):
    likelihood = LogisticMixture(5, 2)
    raw = np.repeat(raw_for(likelihood, (1, 1), rng), 20_000, axis=0)
    drawn = likelihood.sample(likelihood.outputs(raw), rng)
    share = np.bincount(np.round(drawn[:, 0] * 4).astype(int), minlength=5)
    wanted = np.exp(-nats(likelihood, np.arange(5)[:, None] / 4, raw[:5]))
    assert np.abs(share / 20_000 - wanted).max() < 0.015  # four deviations


@pytest.mark.parametrize("activation", ["linear", "sigmoid"])
def test_squared_error_is_summed_over_an_example(rng, activation):
    x, raw = rng.random((2, 5, 3, 2))
    mean = raw if activation == "linear" else scipy.special.expit(raw)
    np.testing.assert_allclose(
        nats(SquaredError(activation), x, raw),
        ((x - mean) ** 2).sum(axis=(1, 2)),
        rtol=1e-5,
    )


def test_squared_error_is_a_gaussian_without_its_constant(rng):
    x, mean = rng.normal(0, 1, (2, 5, 6))
    gaussian = nats(Gaussian(0.5**0.5), x, mean)
    np.testing.assert_allclose(
        nats(SquaredError(), x, mean),
        gaussian - 3 * np.log(np.pi),
        rtol=1e-4,
    )


# --------------------------------------------------- normalised as claimed


@pytest.mark.parametrize("size", [0.0, 1.0, 30.0])
@pytest.mark.parametrize(
    "likelihood",
    [
        Bernoulli(),
        *(DiscretizedLogistic(17, scale) for scale in (1e-4, 0.05, 2.0)),
        DiscretizedLogistic(256),
        Categorical(17),
        Categorical(256),
        LogisticMixture(17, 1),
        LogisticMixture(256, 4),
    ],
    ids=lambda value: str(value.get_config().get("levels", 2)),
)
def test_probabilities_of_all_levels_sum_to_one(likelihood, size, rng):
    levels = getattr(likelihood, "levels", 2)
    x = np.arange(levels)[:, None] / (levels - 1)
    raw = np.repeat(raw_for(likelihood, (1, 1), rng, size), levels, axis=0)
    value = nats(likelihood, x, raw)
    assert likelihood.normalized
    assert value.min() >= 0
    assert np.exp(-value).sum() == pytest.approx(1, abs=1e-4)


def test_gaussian_integrates_to_one():
    likelihood = Gaussian(0.3)
    x = np.linspace(-3, 3, 2001)[:, None]
    density = np.exp(-nats(likelihood, x, np.full_like(x, 0.4)))
    assert likelihood.normalized
    assert density.max() > 1
    assert scipy.integrate.simpson(density, x[:, 0]) == pytest.approx(1)


def test_squared_error_does_not_claim_to_be_normalised():
    x = np.linspace(-9, 9, 2001)[:, None]
    density = np.exp(-nats(SquaredError(), x, np.zeros_like(x)))
    area = scipy.integrate.simpson(density, x[:, 0])
    assert area == pytest.approx(np.pi**0.5)
    assert not SquaredError.normalized


# --------------------------------------------------------------- extremes


@pytest.mark.parametrize(
    "likelihood",
    [
        Bernoulli(),
        Gaussian(),
        Gaussian(1e-6),
        DiscretizedLogistic(256),
        DiscretizedLogistic(256, 1e-6),
        DiscretizedLogistic(2, 1e3),
        Categorical(4),
        LogisticMixture(256, 3),
        SquaredError(),
        SquaredError("sigmoid"),
    ],
    ids=lambda value: value.name,
)
def test_values_and_gradients_stay_finite_at_extremes(likelihood):
    sizes = np.float32([-1e4, -30.0, 0.0, 1.0, 30.0, 1e4])
    raw = np.repeat(sizes, 2)[:, None]  # each beside x = 0 and x = 1
    raw = raw * np.ones(likelihood.raw_shape((3,)), "float32")
    raw[:, ::4] *= -1  # not all logits of an entry alike
    x = np.tile(np.float32([0.0, 1.0]), 6)[:, None] * np.ones((1, 3))
    x = ops.convert_to_tensor(x.astype("float32"))

    def loss(raw):
        outputs = likelihood.outputs(raw)
        return likelihood.negative_log_likelihood(x, outputs)

    assert np.isfinite(array(loss(ops.convert_to_tensor(raw)))).all()
    assert np.isfinite(array(input_gradient(loss, raw))).all()


@pytest.mark.parametrize("log_scale", [-1.4, -0.5, 0.0, 1.0])
@pytest.mark.parametrize(
    "likelihood",
    [Gaussian(), DiscretizedLogistic()],
    ids=lambda value: value.name,
)
def test_gradient_of_a_learned_scale_stays_finite(likelihood, log_scale, rng):
    x = ops.convert_to_tensor(np.float32([[0.0, 0.2, 1.0]]))
    raw = ops.convert_to_tensor(np.float32([[-1.0, 0.6, 3.0]]))
    outputs = likelihood.outputs(raw)

    def loss(log_scale):
        with keras.StatelessScope([(likelihood.log_scale, log_scale)]):
            return likelihood.negative_log_likelihood(x, outputs)

    gradient = array(input_gradient(loss, np.float32(log_scale)))
    assert np.isfinite(gradient)
    assert gradient != 0


def test_gradient_of_bernoulli_is_probability_minus_pixel(rng):
    x = ops.convert_to_tensor(rng.integers(0, 2, (4, 6)).astype("float32"))
    raw = rng.normal(0, 2, (4, 6)).astype("float32")

    def loss(raw):
        return Bernoulli().negative_log_likelihood(x, Bernoulli().outputs(raw))

    np.testing.assert_allclose(
        array(input_gradient(loss, raw)),
        scipy.special.expit(raw) - array(x),
        atol=1e-6,
    )


@each_case
def test_half_precision_outputs_give_nats_in_float32(case, rng):
    likelihood = case.make()
    shape = (3, 40, 2)
    x = some_data(likelihood, shape, rng)
    raw = raw_for(likelihood, shape, rng, 0.5)
    half = likelihood.outputs(ops.cast(raw, "float16"))
    value = likelihood.negative_log_likelihood(ops.cast(x, "float16"), half)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    # 80 entries, each rounded to eleven bits
    np.testing.assert_allclose(
        array(value), nats(likelihood, x, raw), rtol=0.02
    )


def test_learned_scale_is_float32_whatever_the_policy():
    for policy in ("mixed_float16", "float16"):
        weight = Gaussian(dtype=policy).log_scale
        assert keras.backend.standardize_dtype(weight.dtype) == "float32"


# ------------------------------------------------------------- the contract


@each_case
def test_config_round_trip_keeps_every_argument(case):
    again = contracts.check_config_kept(case)
    assert len(again.weights) == case.num_weights
    whole = keras.saving.serialize_keras_object(case.make())
    again = likelihoods.get(whole)
    assert type(again) is case.cls
    for name, value in case.config.items():
        assert getattr(again, name) == value


def test_every_argument_is_changed_by_a_case():
    changed = {}
    for case in CASES:
        found = contracts.changed_arguments(case)
        changed.setdefault(case.cls, set()).update(found)
    for cls, names in changed.items():
        signature = inspect.signature(cls).parameters.values()
        own = {p.name for p in signature if p.kind is not p.VAR_KEYWORD}
        assert own <= names, cls


@each_case
def test_layer_call_gives_outputs_with_symbolic_shapes(case, rng):
    likelihood = case.make()
    raw = raw_for(likelihood, (3, 2, 2), rng)
    contracts.check_symbolic_shapes(likelihood, raw)
    called = contracts.numpy_tree(likelihood(ops.convert_to_tensor(raw)))
    outputs = contracts.numpy_tree(
        likelihood.outputs(ops.convert_to_tensor(raw))
    )
    contracts.assert_same_outputs(called, outputs)
    assert called["reconstruction"].shape == (3, 2, 2)


@each_case
@given(
    event=st.sampled_from([(5,), (2, 3), (2, 2, 1)]),
    seed=st.integers(0, 999),
)
@few
def test_any_event_shape_gives_one_number_an_example(case, event, seed):
    likelihood, rng = case.make(), np.random.default_rng(seed)
    shape = (3, *event)
    x, raw = some_data(likelihood, shape, rng), raw_for(likelihood, shape, rng)
    value = nats(likelihood, x, raw)
    assert value.shape == (3,)
    # an example's number is its own, whatever stands beside it
    order = [2, 0, 1]
    moved = nats(likelihood, x[order], raw[order])
    np.testing.assert_allclose(moved, value[order], rtol=1e-6)
    mean = likelihood.outputs(ops.convert_to_tensor(raw))["reconstruction"]
    assert tuple(mean.shape) == shape


@each_case
@pytest.mark.parametrize("shape", [(3, 4, 2), (3, 4), (3, 1), (3,), (1, 4, 3)])
def test_data_of_another_shape_are_refused(case, shape, rng):
    likelihood = case.make()
    raw = raw_for(likelihood, (3, 4, 3), rng)
    outputs = likelihood.outputs(ops.convert_to_tensor(raw))
    with pytest.raises(ValueError, match="x: expected .*examples"):
        likelihood.negative_log_likelihood(np.zeros(shape, "float32"), outputs)


def test_own_likelihood_needs_two_methods_alone():
    @keras.saving.register_keras_serializable(package="tests")
    class Laplace(likelihoods.Likelihood):
        def outputs(self, raw):
            return {"reconstruction": raw}

        def negative_log_likelihood(self, x, outputs):
            error = ops.abs(x - outputs["reconstruction"])
            return ops.sum(error + float(np.log(2)), axis=1)

    x = np.array([[0.5, 2.0]])
    oracle = -scipy.stats.laplace.logpdf(x).sum()
    assert nats(Laplace(), x, 0 * x) == pytest.approx([oracle])
    whole = keras.saving.serialize_keras_object(Laplace())
    assert type(likelihoods.get(whole)) is Laplace


# ------------------------------------------------------------ in a model


@keras.saving.register_keras_serializable(package="tests")
class Mean(keras.Model):
    """One vector for all rows, and a likelihood as an argument."""

    def __init__(self, size, likelihood, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.likelihood = likelihoods.get(likelihood)
        shape = self.likelihood.raw_shape((size,))
        self.raw = self.add_weight(name="raw", shape=shape, initializer="zeros")
        self.built = True

    def call(self, inputs):
        raw = ops.zeros_like(inputs[:, :1]) + self.raw
        return self.likelihood.outputs(raw)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return ops.mean(self.likelihood.negative_log_likelihood(x, y_pred))

    def get_config(self):
        likelihood = keras.saving.serialize_keras_object(self.likelihood)
        own = {"size": self.size, "likelihood": likelihood}
        return {**super().get_config(), **own}


@each_case
def test_model_trains_saves_and_loads_with_its_likelihood(case, rng, tmp_path):
    likelihood = case.make()
    model = Mean(3, likelihood)
    x = some_data(likelihood, (64, 3), rng)
    x[:, 0] = 1.0
    model.compile(keras.optimizers.Adam(0.05), **contracts.QUICKLY)
    history = model.fit(x, epochs=5, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert len(model.trainable_weights) == 1 + case.num_weights
    if case.num_weights:
        assert float(array(likelihood.current_scale())) != pytest.approx(0.2)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.likelihood) is case.cls
    for first, second in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(array(first), array(second))
    np.testing.assert_array_equal(
        nats(likelihood, x, raw_for(likelihood, (64, 3), rng=_still())),
        nats(again.likelihood, x, raw_for(likelihood, (64, 3), rng=_still())),
    )
    again.fit(x, epochs=1, batch_size=16, verbose=0)  # goes on


def _still():
    return np.random.default_rng(3)


def test_learned_scale_of_a_fixed_mean_approaches_the_deviation(rng):
    x = rng.normal(0, 0.7, (256, 4)).astype("float32")
    model = Mean(4, Gaussian())
    model.compile(keras.optimizers.Adam(0.01), **contracts.QUICKLY)
    model.fit(x, epochs=10, batch_size=32, verbose=0)
    scale = float(array(model.likelihood.current_scale()))
    assert scale == pytest.approx(x.std(), rel=0.05)


def test_frozen_likelihood_keeps_its_scale():
    likelihood = Gaussian(trainable=False)
    model = Mean(2, likelihood)
    assert len(model.trainable_weights) == 1
    model.compile(keras.optimizers.SGD(0.1), **contracts.QUICKLY)
    model.fit(np.ones((4, 2), "float32"), verbose=0)
    assert float(array(likelihood.current_scale())) == pytest.approx(0.2)


# -------------------------------------------------------------- the draws


def test_draws_have_the_means_and_shares_that_they_claim():
    rng = np.random.default_rng(0)
    rows = 40_000
    for case in CASES:
        likelihood = case.make()
        if not likelihood.normalized:
            continue
        one = raw_for(likelihood, (1, 2), np.random.default_rng(1), 0.6)
        outputs = likelihood.outputs(ops.convert_to_tensor(one))
        outputs = {
            name: np.repeat(array(value), rows, axis=0)
            for name, value in outputs.items()
        }
        x = likelihood.sample(outputs, rng)
        assert x.shape == (rows, 2) and x.dtype == np.float32
        likelihood.check_data(x, "draws")
        if case.cls is Gaussian:
            scale = float(array(likelihood.current_scale()))
            z = (x - one) / scale
            assert scipy.stats.kstest(z.ravel(), "norm").pvalue > 1e-3
            continue
        levels = getattr(likelihood, "levels", 2)
        greys = np.arange(levels)[:, None] / (levels - 1) * np.ones(2)
        for entry in range(2):
            # raw of both entries alike: the nats of each are half the whole
            raw = one.reshape(2, -1)[entry]
            both = np.tile(raw, 2)[None].repeat(levels, axis=0)
            share = np.exp(-nats(likelihood, greys, both) / 2)
            ids = np.round(x[:, entry] * (levels - 1)).astype(int)
            seen = np.bincount(ids, minlength=levels)
            spread = np.sqrt(rows * share * (1 - share))
            assert (np.abs(seen - rows * share) <= 5 * spread + 1).all(), case


def test_draws_are_those_of_their_seed(rng):
    for case in CASES:
        likelihood = case.make()
        if likelihood.normalized:
            outputs = likelihood.outputs(
                ops.convert_to_tensor(raw_for(likelihood, (3, 2), rng))
            )
            first, second, third = (
                likelihood.sample(outputs, np.random.default_rng(seed))
                for seed in (1, 1, 2)
            )
            np.testing.assert_array_equal(first, second)
            assert not np.array_equal(first, third)


def test_squared_error_has_nothing_to_draw_from():
    with pytest.raises(ValueError, match=r"received SquaredError\(\)"):
        SquaredError().sample({"reconstruction": np.zeros((1, 2))}, None)


# --------------------------------------------------------------- the checks


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(0), "scale: expected a number ≥ 1e-06; received 0"),
        (lambda: Gaussian("fixed"), "scale: expected 'learned' or a number"),
        (lambda: Gaussian(None), "scale: expected a number"),
        (lambda: Gaussian(np.nan), "scale: expected a number"),
        (lambda: DiscretizedLogistic(1), "levels: expected an integer ≥ 2"),
        (lambda: DiscretizedLogistic(16, -1.0), "scale: expected a number"),
        (lambda: Categorical(2.5), "levels: expected an integer ≥ 2"),
        (lambda: SquaredError("tanh"), "activation: expected one of 'linear'"),
    ],
)
def test_argument_out_of_range_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "likelihood",
    [
        Bernoulli(),
        DiscretizedLogistic(3),
        Categorical(3),
        SquaredError("sigmoid"),
    ],
    ids=lambda value: value.name,
)
@pytest.mark.parametrize(
    ("bad", "message"),
    [(-0.5, "minimum -0.5"), (1.5, "maximum 1.5"), (np.nan, "1 NaN")],
)
def test_data_out_of_range_are_refused(likelihood, bad, message):
    with pytest.raises(ValueError, match=f"rows: expected .*{message}"):
        likelihood.check_data([[0.0, 1.0], [bad, 0.5]], "rows")
    kept = likelihood.check_data([[0.0, 1.0], [1.0, 0.5]], "rows")
    assert kept.dtype == np.float32


@pytest.mark.parametrize(
    "likelihood", [DiscretizedLogistic(17), Categorical(17)]
)
def test_values_between_the_grey_levels_are_refused(likelihood, digits):
    likelihood.check_data(digits.x_train)
    with pytest.raises(
        ValueError,
        match=r"x: expected 17 grey levels, multiples of 1/16; received "
        r"values 0\.4 of a step away",
    ):
        likelihood.check_data([[0.0, 1.4 / 16]])


def test_shape_of_a_row_is_checked_where_it_is_known():
    with pytest.raises(ValueError, match=r"expected shape \(n, 4\)"):
        Gaussian().check_data(np.zeros((3, 5)), event_shape=(4,))


@pytest.mark.parametrize("scale", ["learned", 0.01, 1.0])
def test_columns_in_units_of_their_own_are_refused_for_training(scale):
    x = datasets.load_breast_cancer().data
    likelihood = Gaussian(scale)
    with pytest.raises(
        ValueError,
        match=r"standardise first; received column 23 from 185\.2 to 4254 "
        r"and column 19 from 0\.0008948 to 0\.02984",
    ):
        likelihood.check_data(x, fitting=True)
    likelihood.check_data(x)  # measured, not trained on
    likelihood.check_data((x - x.mean(0)) / x.std(0), fitting=True)
    likelihood.check_data(x / x.max(axis=0), fitting=True)


def test_units_are_told_by_most_rows_not_by_an_outlier(rng):
    x = rng.normal(0, 1, (5000, 6))
    x[7] = 1e6
    Gaussian().check_data(x, fitting=True)
    x[:, 3] = 400 + 0.1 * x[:, 3]
    with pytest.raises(ValueError, match="column 3 from 399.* and column "):
        Gaussian().check_data(x, fitting=True)
    Gaussian(10.0).check_data(x, fitting=True)  # 40 scales away


def test_one_column_in_large_units_is_named_once():
    with pytest.raises(ValueError, match=r"received column 0 from 90 to 110\."):
        Gaussian().check_data([[90.0], [100.0], [110.0]], fitting=True)


@given(
    columns=st.integers(1, 5),
    rows=st.integers(2, 50),
    power=st.integers(1, 9),
    seed=st.integers(0, 99),
)
@few
def test_standardised_columns_are_never_refused(columns, rows, power, seed):
    # heavy tails: odd powers of a normal number
    x = np.random.default_rng(seed).normal(0, 1, (rows, columns)) ** (
        2 * power + 1
    )
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    assert np.median(np.abs(x), axis=0).max() <= 2**0.5 + 1e-6
    Gaussian().check_data(x, fitting=True)


@each_case
def test_decoder_of_another_shape_is_refused_with_both_shapes(case):
    likelihood = case.make()
    event = (4, 4, 3)
    expected = likelihood.raw_shape(event)
    likelihood.check_decoder(expected, event)
    likelihood.check_decoder((None, None, expected[-1]), event)
    for wrong in [(4, 4, 2), (4, 4), (48,), (1, *expected)]:
        with pytest.raises(ValueError, match="decoder: expected") as caught:
            likelihood.check_decoder(wrong, event)
        for part in (expected, event, wrong):
            assert str(part) in str(caught.value)


def test_decoder_of_one_size_for_images_of_any_is_refused():
    Bernoulli().check_decoder((None, None, 3), (None, None, 3))
    with pytest.raises(ValueError, match="decoder: expected"):
        Bernoulli().check_decoder((8, 8, 3), (None, None, 3))


def test_categorical_decoder_returns_all_logits_as_channels():
    assert Categorical(16).raw_shape((8, 8, 3)) == (8, 8, 48)
    assert Categorical(17).raw_shape((64,)) == (64 * 17,)


def test_get_hands_on_objects_and_configs():
    likelihood = Bernoulli()
    assert likelihoods.get(likelihood) is likelihood


@pytest.mark.parametrize(
    ("given_", "meant"),
    [
        ("bernoulli", r"Bernoulli\(\); received 'bernoulli'"),
        ("Gaussian", r"Gaussian\(\); received 'Gaussian'"),
        ("discretized", r"DiscretizedLogistic\(levels=256\)"),
        ("mse", r"SquaredError\(\); received 'mse'"),
        (Bernoulli, r"Bernoulli\(\); received <class"),
        (None, "received None"),
        (0.5, "received 0.5"),
        (
            keras.saving.serialize_keras_object(keras.layers.Flatten()),
            "received <Flatten",
        ),
    ],
)
def test_get_answers_a_string_with_the_object_to_use(given_, meant):
    with pytest.raises(ValueError, match=f"likelihood: expected .*{meant}"):
        likelihoods.get(given_)
