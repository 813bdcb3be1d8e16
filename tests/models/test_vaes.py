"""Variational autoencoders: objective in nats, bounds, labels, errors.

What all models promise alike is tested in ``test_contracts_vaes.py``.
"""

import inspect

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
from contracts import EAGERLY
from keras import ops

from utils.models.vaes import VAE, ConditionalVAE, SemiSupervisedVAE
from utils.nn import backend, losses
from utils.nn.likelihoods import Bernoulli, DiscretizedLogistic, Gaussian

BACKEND = keras.backend.backend()
FLAT, IMAGE = (64,), (8, 8, 1)


@pytest.fixture(scope="module")
def rows(digits):
    return digits.x_train[:200]


@pytest.fixture(scope="module")
def labels(digits):
    return digits.y_train[:200]


def number(tensor):
    """A scalar tensor as a float; PyTorch's may still carry a gradient."""
    return float(ops.convert_to_numpy(tensor))


def compiled(model, rate=1e-3, **options):
    model.compile(keras.optimizers.Adam(rate), **options)
    return model


def spread_weights(model, seed=0, size=0.2):
    """Weights large enough that the two parts of the loss differ clearly."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [w + size * rng.normal(size=w.shape) for w in model.get_weights()]
    )
    return model


def posterior_is_prior(model):
    """Make q(z | x) = N(0, I) whatever x is."""
    for name in ("code", "log_var"):
        layer = model.encoder.get_layer(name)
        layer.set_weights([np.zeros(w.shape) for w in layer.get_weights()])


def at_state(model, function):
    """Call with the sampler's state put back afterwards: the same noise."""
    state = model.sampler.seed_generator.state
    start = ops.convert_to_numpy(state).copy()
    result = function()
    state.assign(start)
    return result


# ------------------------------------------------------------ architecture


def test_defaults_are_the_784_400_20_model():
    model = VAE.dense()
    assert model.event_shape == (28, 28, 1)
    kernels = [
        layer.get_weights()[0].shape
        for part in (model.encoder, model.decoder)
        for layer in part.layers
        if layer.get_weights()
    ]
    assert kernels == [
        (784, 400),
        (400, 20),
        (400, 20),
        (20, 400),
        (400, 784),
    ]
    assert model.count_params() == 652_824


def test_encoder_gives_mean_and_log_variance_and_parts_share_nothing(rows):
    model = VAE.dense(FLAT, 5, widths=(12,), seed=0)
    heads = model.encoder(rows[:7])
    assert set(heads) == {"mean", "log_var"}
    assert {tuple(value.shape) for value in heads.values()} == {(7, 5)}
    inner = {id(weight) for weight in model.encoder.weights}
    outer = {id(weight) for weight in model.decoder.weights}
    assert inner and outer and not inner & outer


def test_same_seed_same_model_and_other_seed_another():
    first, second, third = (
        VAE.dense(FLAT, 5, seed=seed).get_weights() for seed in (1, 1, 2)
    )
    for a, b, c in zip(first, second, third, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.ndim < 2 or not np.array_equal(a, c)


def test_two_heads_start_from_different_weights():
    model = VAE.dense(FLAT, 5, seed=1)
    mean, log_var = (
        model.encoder.get_layer(name).get_weights()[0]
        for name in ("code", "log_var")
    )
    assert not np.array_equal(mean, log_var)


# --------------------------------------------------------------- objective


LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "discretized": lambda: DiscretizedLogistic(levels=17, scale=0.5),
}


def softplus(values):
    return np.logaddexp(0.0, values)


def numpy_loss(model, x, outputs, beta):
    """The objective written out again, from the outputs of the call."""
    x = x.reshape(len(x), -1).astype("float64")
    flat = {
        name: np.asarray(value, "float64").reshape(len(x), -1)
        for name, value in outputs.items()
    }
    if isinstance(model.likelihood, Bernoulli):
        nll = softplus(flat["logits"]) - x * flat["logits"]
    elif isinstance(model.likelihood, Gaussian):
        nll = -scipy.stats.norm.logpdf(
            x, flat["reconstruction"], number(model.likelihood.current_scale())
        )
    else:
        step, top = 0.5 / (model.likelihood.levels - 1), 1 - 1e-6
        cdf = scipy.stats.logistic(
            flat["location"], number(model.likelihood.current_scale())
        ).cdf
        nll = -np.log(
            np.where(x > top, 1, cdf(x + step))
            - np.where(x < 1e-6, 0, cdf(x - step))
        )
    mean, log_var = flat["mean"], flat["log_var"]
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var)
    return np.mean(nll.sum(axis=1) + beta * kl.sum(axis=1))


@pytest.mark.parametrize("beta", [0, 1, 4])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_loss_equals_numpy_with_the_samplers_state_reset(
    likelihood, beta, rows
):
    model = VAE.dense(
        FLAT,
        5,
        widths=(12,),
        likelihood=LIKELIHOODS[likelihood](),
        beta=beta,
        seed=0,
    )
    compiled(spread_weights(model, size=0.02))
    outputs = at_state(model, lambda: model.predict(rows, 200, verbose=0))
    result = at_state(
        model, lambda: model.evaluate(rows, batch_size=200, verbose=0)
    )
    expected = numpy_loss(model, rows, outputs, beta)
    assert abs(expected) > 1
    loss = result[0] if isinstance(result, list) else result
    assert loss == pytest.approx(expected, rel=1e-5)
    by_hand = model.compute_loss(
        x=rows,
        y_pred={k: ops.convert_to_tensor(v) for k, v in outputs.items()},
        training=True,
    )
    assert number(by_hand) == pytest.approx(expected, rel=1e-5)


def test_metrics_are_the_parts_of_the_loss(rows):
    model = compiled(spread_weights(VAE.dense(FLAT, 5, beta=3.0, seed=0)))
    result = model.evaluate(rows, batch_size=200, verbose=0, return_dict=True)
    assert set(result) == {"loss", "nll", "kl", "mse"}
    assert result["kl"] > 0.1
    assert result["loss"] == pytest.approx(
        result["nll"] + 3 * result["kl"], rel=1e-5
    )


def test_loss_does_not_change_when_the_batch_is_repeated(rows):
    model = spread_weights(VAE.dense(FLAT, 5, seed=0))
    outputs = model(rows[:50])
    twice = {k: ops.concatenate([v, v]) for k, v in outputs.items()}
    once = model.compute_loss(x=rows[:50], y_pred=outputs)
    again = model.compute_loss(
        x=np.concatenate([rows[:50], rows[:50]]), y_pred=twice
    )
    assert number(again) == pytest.approx(number(once), rel=1e-5)


def test_log_variance_bias_enters_the_loss_by_the_closed_form(rows):
    model = VAE.dense(FLAT, 5, widths=(), seed=0)
    outputs = model(rows)

    def loss(log_var):
        return number(
            model.compute_loss(x=rows, y_pred={**outputs, "log_var": log_var})
        )

    zero = ops.zeros((200, 5))
    expected = 5 * (np.exp(1.5) - 1 - 1.5) / 2
    assert loss(zero + 1.5) - loss(zero) == pytest.approx(expected, rel=1e-4)


def test_sample_weight_zero_rows_do_not_count(rows):
    weight = np.repeat([1.0, 0.0], 100)
    results = []
    for x, w in ((rows, weight), (rows[:100], None)):
        model = compiled(spread_weights(VAE.dense(FLAT, 5, seed=0)))
        # without noise the two calls are comparable
        model.encoder.get_layer("log_var").bias.assign(np.full(5, -60.0))
        kernel = model.encoder.get_layer("log_var").kernel
        kernel.assign(np.zeros(kernel.shape))
        results.append(
            model.evaluate(
                x,
                sample_weight=w,
                batch_size=200,
                verbose=0,
                return_dict=True,
            )
        )
    assert results[0]["nll"] == pytest.approx(results[1]["nll"], rel=1e-5)
    assert results[0]["kl"] == pytest.approx(results[1]["kl"], rel=1e-5)
    assert results[0]["mse"] == pytest.approx(results[1]["mse"], rel=1e-5)
    # the loss is the mean over all rows of the batch, as everywhere
    assert 2 * results[0]["loss"] == pytest.approx(results[1]["loss"], rel=1e-5)


def test_free_bits_floor_each_unit_while_training_only(rows):
    model = VAE.dense(FLAT, 3, free_bits=0.5, seed=0)
    outputs = dict(model(rows))
    means = np.array([0.0, 0.1, 2.0])  # KL 0, 0.005 and 2 nats
    outputs["mean"] = ops.convert_to_tensor(np.tile(means, (200, 1)))
    outputs["log_var"] = ops.zeros((200, 3))
    nll = number(ops.mean(losses.bernoulli_nll(rows, outputs["logits"])))
    training, evaluation = (
        number(model.compute_loss(x=rows, y_pred=outputs, training=flag)) - nll
        for flag in (True, False)
    )
    assert training == pytest.approx(0.5 + 0.5 + 2.0, abs=1e-3)
    assert evaluation == pytest.approx(0.0 + 0.005 + 2.0, abs=1e-3)


def test_warm_up_grows_linearly_and_validation_does_not_see_it(rows):
    model = compiled(VAE.dense(FLAT, 3, beta=2.0, warmup_steps=4, seed=0))
    outputs = dict(model(rows))
    outputs["mean"] = ops.ones((200, 3))  # KL 1.5 nats
    outputs["log_var"] = ops.zeros((200, 3))
    nll = number(ops.mean(losses.bernoulli_nll(rows, outputs["logits"])))
    parts = [
        number(model.compute_loss(x=rows, y_pred=outputs, training=True)) - nll
        for _ in range(6)
    ]
    np.testing.assert_allclose(
        parts, [0.75, 1.5, 2.25, 3.0, 3.0, 3.0], atol=1e-3
    )
    whole = model.compute_loss(x=rows, y_pred=outputs, training=False)
    assert number(whole) - nll == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("steps", [1, pytest.param(5, id="steps_at_once")])
def test_warm_up_counts_compiled_steps_and_survives_saving(
    steps, rows, tmp_path
):
    if BACKEND == "torch" and steps > 1:
        pytest.skip("Keras refuses it on PyTorch")
    model = compiled(
        VAE.dense(FLAT, 3, warmup_steps=100, seed=0), steps_per_execution=steps
    )
    model.fit(rows, batch_size=20, epochs=3, verbose=0)
    assert int(ops.convert_to_numpy(model.steps_done)) == 30
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(ops.convert_to_numpy(loaded.steps_done)) == 30
    loaded.fit(rows, batch_size=20, epochs=1, verbose=0)
    assert int(ops.convert_to_numpy(loaded.steps_done)) == 40
    loaded.compile("adam")  # a new optimizer does not start it again
    assert int(ops.convert_to_numpy(loaded.steps_done)) == 40


# ---------------------------------------------------------------- sampling


def test_two_passes_differ_and_a_tiny_variance_gives_the_mean(rows):
    model = VAE.dense(FLAT, 5, seed=0)
    first, second = (
        ops.convert_to_numpy(model(rows)["code"]) for _ in range(2)
    )
    assert not np.allclose(first, second)
    layer = model.encoder.get_layer("log_var")
    layer.kernel.assign(np.zeros(layer.kernel.shape))
    layer.bias.assign(np.full(5, -60.0))
    outputs = model(rows)
    np.testing.assert_allclose(
        ops.convert_to_numpy(outputs["code"]), model.encode(rows), atol=1e-5
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(outputs["reconstruction"]),
        model.reconstruct(rows),
        atol=1e-5,
    )


def test_encoder_and_decoder_both_receive_gradients(rows):
    model = VAE.dense(FLAT, 5, widths=(12,), beta=0.0, seed=0)
    model.compile(keras.optimizers.SGD(0.1))
    before = model.get_weights()
    model.fit(rows, batch_size=200, verbose=0)
    # β = 0: the encoder's gradient comes through the drawn code alone
    for old, new in zip(before, model.get_weights(), strict=True):
        assert not np.array_equal(old, new)


def test_sample_is_seeded_bounded_and_varied():
    model = spread_weights(VAE.dense(IMAGE, 5, widths=(12,), seed=0), size=0.5)
    first = model.sample(10, seed=3)
    assert first.shape == (10, 8, 8, 1)
    assert first.dtype == np.float32
    assert 0 <= first.min() <= first.max() <= 1
    np.testing.assert_array_equal(first, model.sample(10, seed=3))
    assert not np.allclose(first, model.sample(10, seed=4))
    assert np.ptp(first, axis=0).mean() > 0.05


def test_sample_without_seed_goes_on_and_repeats_with_the_models_seed():
    def two():
        model = spread_weights(VAE.dense(FLAT, 5, seed=0))
        return model.sample(4), model.sample(4)

    first, second = two()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(two()[0], first)


def test_sample_decodes_standard_normal_codes():
    # a linear decoder passes the prior's moments on: Cov x = W Wᵀ
    model = spread_weights(
        VAE.dense((6,), 3, widths=(), seed=0, likelihood=Gaussian())
    )
    w, b = model.decoder.get_layer("flat_output").get_weights()
    x = model.sample(100_000, seed=0)
    np.testing.assert_allclose(x.mean(axis=0), b, atol=0.02)
    np.testing.assert_allclose(np.cov(x.T), w.T @ w, atol=0.03)


# ------------------------------------------------- bounds, where all is known


SIGMA = 0.5


@pytest.fixture(scope="module")
def linear_gaussian():
    """p(x | z) = N(W z + b, σ² I) with W's columns at right angles.

    Then the posterior is diagonal and the encoder can hold it exactly.
    """
    rng = np.random.default_rng(0)
    directions, _ = np.linalg.qr(rng.normal(size=(6, 2)))
    w = directions * np.array([1.5, 0.8])  # (6, 2)
    b = rng.normal(size=6)
    x = rng.standard_normal((400, 2)) @ w.T + b
    x = x + SIGMA * rng.standard_normal(x.shape)
    exact = scipy.stats.multivariate_normal(
        b, w @ w.T + SIGMA**2 * np.eye(6)
    ).logpdf(x)
    precision = 1.0 + (w**2).sum(axis=0) / SIGMA**2
    return w, b, x.astype("float32"), exact, precision


def hand_set(w, b, precision, shift=0.0, widen=1.0):
    """The model with its exact posterior, or with one that is off."""
    model = VAE.dense((6,), 2, widths=(), seed=0, likelihood=Gaussian(SIGMA))
    model.decoder.get_layer("flat_output").set_weights([w.T, b])
    kernel = w / SIGMA**2 / precision
    model.encoder.get_layer("code").set_weights([kernel, -b @ kernel + shift])
    log_var = np.log(widen / precision)
    model.encoder.get_layer("log_var").set_weights(
        [np.zeros_like(kernel), log_var]
    )
    return model


def test_exact_posterior_both_bounds_equal_log_p(linear_gaussian):
    w, b, x, exact, precision = linear_gaussian
    model = hand_set(w, b, precision)
    # the weights are all equal, so that one draw is enough
    np.testing.assert_allclose(
        model.log_likelihood(x, 1, seed=0), exact, atol=1e-3
    )
    elbo = model.elbo(x, 2000, seed=0)
    np.testing.assert_allclose(elbo, exact, atol=0.15)
    assert elbo.mean() == pytest.approx(exact.mean(), abs=0.01)


def test_gap_of_the_bound_is_the_kl_to_the_posterior(linear_gaussian):
    w, b, x, exact, precision = linear_gaussian
    shift = np.array([0.3, -0.2])
    model = hand_set(w, b, precision, shift=shift, widen=1.5)
    gap = exact.mean() - model.elbo(x, 2000, seed=0).mean()
    kl = 0.5 * np.sum(shift**2 * precision + 1.5 - 1 - np.log(1.5))
    assert gap == pytest.approx(kl, rel=0.02)


def test_bounds_are_ordered_and_rise_with_samples_to_log_p(linear_gaussian):
    w, b, x, exact, precision = linear_gaussian
    shift = np.array([0.3, -0.2])
    model = hand_set(w, b, precision, shift=shift, widen=1.5)
    elbo = model.elbo(x, 1000, seed=0).mean()
    weighted = [
        model.log_likelihood(x, samples, seed=1).mean()
        for samples in (2, 5, 20, 500)
    ]
    chain = [elbo, *weighted]
    assert (np.diff(chain) > 0.01).all(), chain
    assert weighted[-1] <= exact.mean() + 0.01
    assert weighted[-1] == pytest.approx(exact.mean(), abs=0.02)


def test_one_importance_sample_is_the_elbo_in_expectation(linear_gaussian):
    w, b, x, _, precision = linear_gaussian
    model = hand_set(w, b, precision, shift=0.3)
    one = np.mean([model.log_likelihood(x, 1, seed=s) for s in range(50)])
    assert one == pytest.approx(model.elbo(x, 500, seed=0).mean(), abs=0.03)


def test_estimates_do_not_depend_on_the_size_of_pieces(
    linear_gaussian, monkeypatch
):
    w, b, x, _, precision = linear_gaussian
    model = hand_set(w, b, precision, widen=2.0)
    many = model.log_likelihood(x[:20], 3000, seed=0)  # two pieces of samples
    monkeypatch.setattr("utils.models.vaes.PIECE", 500)
    np.testing.assert_allclose(
        model.log_likelihood(x[:20], 3000, seed=1), many, atol=0.1
    )
    assert model.elbo(x, 7, seed=0).shape == (400,)


def test_estimates_are_repeated_by_their_seed_and_ordered_by_row(rows):
    model = VAE.dense(FLAT, 5, seed=0, likelihood=Gaussian(1.0))
    posterior_is_prior(model)
    x = rows * np.linspace(0, 10, 200)[:, None]
    first = model.log_likelihood(x, 20, seed=1)
    np.testing.assert_array_equal(first, model.log_likelihood(x, 20, seed=1))
    assert not np.array_equal(first, model.log_likelihood(x, 20, seed=2))
    # rows differ by hundreds of nats, draws by few
    other = model.log_likelihood(x[::-1], 20, seed=1)[::-1]
    assert np.corrcoef(first, other)[0, 1] > 0.99


def test_score_is_minus_the_elbo_whatever_beta(rows):
    model = compiled(
        spread_weights(VAE.dense(FLAT, 5, beta=70.0, seed=0), size=0.03)
    )
    result = model.evaluate(rows, verbose=0, return_dict=True)
    np.testing.assert_allclose(
        model.example_losses(rows, seed=1), -model.elbo(rows, seed=1), rtol=1e-5
    )
    # other draws for each of 200 rows; β = 70 would be far away
    bound = result["nll"] + result["kl"]
    assert result["loss"] > bound + 10
    assert model.example_losses(rows, seed=1).mean() == pytest.approx(
        bound, abs=3.0
    )


def test_learned_scale_finds_the_noise_of_the_data(rng):
    x = rng.normal(0, 0.6, (2000, 4)).astype("float32")
    model = compiled(
        VAE.dense((4,), 1, widths=(), seed=0, likelihood=Gaussian()), 0.01
    )
    model.fit(x, batch_size=100, epochs=20, verbose=0)
    # nothing to encode: the best model is N(0, 0.6² I), 0.91 nats an entry
    assert number(model.likelihood.current_scale()) == pytest.approx(
        0.6, rel=0.05
    )
    floor = 4 * (0.5 * np.log(2 * np.pi * np.e) + np.log(0.6))
    # 0.03 of standard error of the data, a tenth of noise in the weights
    assert -model.elbo(x, 5, seed=0).mean() == pytest.approx(floor, abs=0.25)


def test_discretized_bound_is_a_probability_over_grey_levels(rng):
    # one pixel: the estimates for all its levels together are one
    model = VAE.dense(
        (1,), 1, widths=(4,), seed=0, likelihood=DiscretizedLogistic(levels=17)
    )
    posterior_is_prior(model)  # the weights are p(x | z)
    every = np.arange(17)[:, None] / 16
    total = np.exp(model.log_likelihood(every, 5000, seed=0)).sum()
    assert total == pytest.approx(1, abs=0.05)


# ---------------------------------------------------------------- learning


def pca_error(train, test, k):
    mean = train.mean(axis=0)
    _, _, directions = np.linalg.svd(train - mean, full_matrices=False)
    w = directions[:k]
    return np.mean((test - mean - (test - mean) @ w.T @ w) ** 2)


def faster(model, rate, steps=18):
    options = {} if BACKEND == "torch" else {"steps_per_execution": steps}
    return compiled(model, rate, **options)


@pytest.mark.slow
def test_digits_training_uses_the_code(digits):
    model = faster(VAE.dense(FLAT, 8, widths=(128,), seed=0), 3e-3)
    model.fit(digits.x_train, batch_size=64, epochs=10, verbose=0)
    result = model.evaluate(digits.x_val, verbose=0, return_dict=True)
    mean_image = digits.x_train.mean(axis=0)
    start = losses.bernoulli_nll(
        digits.x_val,
        scipy.special.logit(
            np.tile(mean_image.clip(1e-3, 1 - 1e-3), (len(digits.x_val), 1))
        ),
    )
    assert result["loss"] < number(ops.mean(start)) - 1.0
    assert result["kl"] > 1.0
    assert model.reconstruct(digits.x_val).std(axis=0).mean() > 0.05


def test_pixel_mean_reduction_is_the_same_as_beta_times_pixels(rows):
    # the trap of every built-in loss: mean over pixels, sum over code units
    # Keras clips probabilities, so they stay away from 0 and 1 here
    model = spread_weights(VAE.dense(FLAT, 5, beta=64.0, seed=0), size=0.02)
    outputs = model(rows)
    trap = ops.mean(
        keras.losses.binary_crossentropy(rows, outputs["reconstruction"])
    ) + ops.mean(losses.gaussian_kl(outputs["mean"], outputs["log_var"]))
    right = model.compute_loss(x=rows, y_pred=outputs, training=False)
    assert 64 * number(trap) == pytest.approx(number(right), rel=1e-4)


# ------------------------------------------------------------- with classes


@pytest.fixture(scope="module")
def conditional():
    return spread_weights(ConditionalVAE.dense(FLAT, 4, widths=(12,), seed=0))


def test_conditional_label_reaches_encoder_and_decoder(conditional, rows):
    zeros, ones = np.zeros(200, int), np.ones(200, int)
    first, second = (conditional.encode(rows, y) for y in (zeros, ones))
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_array_equal(
        conditional.decode(first, zeros), conditional.reconstruct(rows, zeros)
    )
    assert (
        np.abs(
            conditional.decode(first, zeros) - conditional.decode(first, ones)
        ).max()
        > 0.01
    )


@pytest.mark.parametrize("network", ["dense", "conv"])
def test_conditional_label_enters_as_scaled_one_hot(network, rows):
    make = getattr(ConditionalVAE, network)
    model = make(IMAGE, 4, widths=(6,), num_classes=3, seed=0)
    x = rows.reshape(-1, *IMAGE)[:5]
    labels = np.array([2, 0, 1, 1, 2], "int32")
    heads = model.posterior({"x": x, "labels": labels})
    hot = np.eye(3, dtype="float32")[labels]
    hot = hot * np.float32(3**0.5)  # entries of mean square 1
    if network == "dense":
        joined = np.concatenate([x.reshape(5, -1), hot], axis=1)
    else:
        planes = np.broadcast_to(hot[:, None, None, :], (5, 8, 8, 3))
        joined = np.concatenate([x, planes], axis=-1)
    inner = model.encoder.get_layer("encoder")
    np.testing.assert_allclose(
        ops.convert_to_numpy(heads["mean"]),
        ops.convert_to_numpy(inner(joined)["mean"]),
        atol=1e-5,
    )


def test_conditional_fit_predict_and_sample(rows, labels):
    model = compiled(ConditionalVAE.dense(FLAT, 4, widths=(12,), seed=0))
    history = model.fit(
        rows,
        labels,
        validation_data=(rows[:50], labels[:50]),
        epochs=2,
        verbose=0,
    ).history
    assert {"loss", "val_loss", "kl", "val_kl"} <= set(history)
    outputs = model.predict({"x": rows, "labels": labels}, verbose=0)
    assert outputs["reconstruction"].shape == rows.shape
    one, each = model.sample(3, 7, seed=0), model.sample(3, [7, 7, 7], seed=0)
    np.testing.assert_array_equal(one, each)
    assert not np.array_equal(one, model.sample(3, 8, seed=0))
    assert model.log_likelihood(rows, 5, labels=labels).shape == (200,)
    assert model.example_losses(rows, labels).shape == (200,)


def test_conditional_sample_weight_and_validation_weight(rows, labels):
    model = compiled(ConditionalVAE.dense(FLAT, 4, widths=(12,), seed=0))
    history = model.fit(
        rows,
        labels,
        sample_weight=np.ones(200),
        validation_data=(rows[:9], labels[:9], np.zeros(9)),
        verbose=0,
    ).history
    assert history["val_loss"][0] == 0.0
    assert history["loss"][0] > 0


@pytest.mark.slow
def test_conditional_learns_what_the_class_says(digits):
    # without use of the code: the mean image of the class is far better than
    # the mean image of all
    model = faster(ConditionalVAE.dense(FLAT, 2, widths=(64,), seed=0), 5e-3)
    model.fit(
        digits.x_train, digits.y_train, batch_size=64, epochs=10, verbose=0
    )
    classes = np.arange(10).repeat(20)
    made = model.sample(200, classes, seed=0).reshape(10, 20, 64).mean(axis=1)
    real = np.stack(
        [digits.x_train[digits.y_train == c].mean(axis=0) for c in range(10)]
    )
    distances = ((made[:, None] - real[None]) ** 2).sum(axis=2)
    assert (distances.argmin(axis=1) == np.arange(10)).all()


def few_labels(digits, per_class, seed):
    rng = np.random.default_rng(seed)
    chosen = np.concatenate(
        [
            rng.choice(
                np.flatnonzero(digits.y_train == c), per_class, replace=False
            )
            for c in range(10)
        ]
    )
    y = np.full(len(digits.y_train), -1)
    y[chosen] = digits.y_train[chosen]
    return chosen, y


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch", reason="a minute on PyTorch")
def test_semi_supervised_beats_logistic_regression_on_the_same_labels(digits):
    import sklearn.linear_model

    gains = []
    for seed in range(2):  # the chapter shows five draws
        chosen, y = few_labels(digits, 5, seed)
        baseline = sklearn.linear_model.LogisticRegression(max_iter=2000)
        baseline.fit(digits.x_train[chosen], digits.y_train[chosen])
        model = SemiSupervisedVAE.dense(
            FLAT,
            4,
            widths=(128,),
            classifier_widths=(256,),
            dropout=0.5,
            seed=seed,
        )
        faster(model, 5e-3)
        model.fit(digits.x_train, y, batch_size=64, epochs=30, verbose=0)
        right = model.predict_classes(digits.x_val) == digits.y_val
        gains.append(right.mean() - baseline.score(digits.x_val, digits.y_val))
    assert np.mean(gains) > 0.01


@pytest.fixture(scope="module")
def semi():
    model = SemiSupervisedVAE.dense(
        FLAT, 3, widths=(10,), num_classes=4, alpha=5.0, beta=2.0, seed=0
    )
    return spread_weights(model)


def test_semi_supervised_loss_equals_the_sum_over_classes(semi, rows):
    x = rows[:6]
    label = np.array([2, -1, 0, -1, 3, -1])
    outputs = semi({"x": x, "labels": label})
    found = number(
        semi.compute_loss(x={"x": x, "labels": label}, y_pred=outputs)
    )
    logits, nll, kl = (
        np.asarray(ops.convert_to_numpy(outputs[name]), "float64")
        for name in ("class_logits", "class_nll", "class_kl")
    )
    log_q = scipy.special.log_softmax(logits, axis=1)
    bound = nll + 2.0 * kl.sum(axis=2) + np.log(4)  # −L(x, y), β = 2
    total = 0.0
    for i, y in enumerate(label):
        if y >= 0:
            total += bound[i, y] - 5.0 * log_q[i, y]
        else:
            total += np.sum(np.exp(log_q[i]) * (bound[i] + log_q[i]))
    assert found == pytest.approx(total / 6, rel=1e-5)


def test_semi_supervised_class_terms_are_those_of_the_conditional(semi, rows):
    x = rows[:5]
    outputs = at_state(semi.vae, lambda: semi(x))
    heads = semi.vae.posterior({"x": x, "labels": np.full(5, 2, "int32")})
    kl = losses.gaussian_kl(heads["mean"], heads["log_var"], per_unit=True)
    np.testing.assert_allclose(
        ops.convert_to_numpy(outputs["class_kl"])[:, 2],
        ops.convert_to_numpy(kl),
        rtol=1e-4,
        atol=1e-5,
    )
    best = semi.predict_classes(x)
    picked = ops.convert_to_numpy(outputs["class_nll"])[np.arange(5), best]
    nll = losses.bernoulli_nll(x, outputs["logits"])
    np.testing.assert_allclose(ops.convert_to_numpy(nll), picked, rtol=1e-4)


def test_semi_supervised_unlabelled_rows_do_not_touch_the_class_loss(
    semi, rows
):
    unlabelled = np.full(6, -1)
    outputs = semi(rows[:6])
    losses_by_alpha = []
    for alpha in (0.0, 100.0):
        config = {**semi.get_config(), "alpha": alpha}
        twin = SemiSupervisedVAE.from_config(config)
        value = twin.compute_loss(
            x={"x": rows[:6], "labels": unlabelled}, y_pred=outputs
        )
        losses_by_alpha.append(number(value))
    assert losses_by_alpha[0] == losses_by_alpha[1]


def test_semi_supervised_verbs(semi, rows):
    share = semi.classify(rows)
    assert share.shape == (200, 4)
    np.testing.assert_allclose(share.sum(axis=1), 1, atol=1e-5)
    classes = semi.predict_classes(rows)
    np.testing.assert_array_equal(classes, share.argmax(axis=1))
    np.testing.assert_array_equal(semi.encode(rows), semi.encode(rows, classes))
    np.testing.assert_array_equal(
        semi.reconstruct(rows), semi.reconstruct(rows, classes)
    )
    assert semi.sample(5, seed=0).shape == (5, 64)
    assert semi.sample(5, 3, seed=0).shape == (5, 64)


def test_semi_supervised_bounds_sum_the_class_out(rows):
    semi = SemiSupervisedVAE.dense(FLAT, 3, widths=(10,), num_classes=4, seed=0)
    spread_weights(semi, size=0.05)
    x = rows[:30]
    elbo, weighted = (
        semi.elbo(x, 50, seed=0),
        semi.log_likelihood(x, 50, seed=0),
    )
    assert (elbo <= weighted + 1e-6).all()
    joint = np.stack(
        [
            semi.log_likelihood(x, 50, labels=np.full(30, c), seed=c)
            for c in range(4)
        ]
    )
    whole = np.logaddexp.reduce(joint, axis=0)
    assert weighted.mean() == pytest.approx(whole.mean(), abs=0.5)
    # one class alone holds less: a sum of four near equals is log 4 = 1.4 more
    assert weighted.mean() > joint.mean() + 1.0


def test_semi_supervised_metrics_count_labelled_rows_alone(rows):
    model = compiled(
        spread_weights(SemiSupervisedVAE.dense(FLAT, 3, widths=(10,), seed=0))
    )
    truth = model.predict_classes(rows)
    y = np.where(np.arange(200) < 20, truth, -1)
    result = model.evaluate(rows, y, verbose=0, return_dict=True)
    assert result["accuracy"] == 1.0
    y[:20] = (truth[:20] + np.arange(20) % 2) % 10
    result = model.evaluate(rows, y, verbose=0, return_dict=True)
    assert result["accuracy"] == pytest.approx(0.5)
    share = model.classify(rows[:20])[np.arange(20), y[:20]]
    assert result["class_loss"] == pytest.approx(
        -np.log(share.astype("float64")).mean(), rel=1e-4
    )
    nobody = np.full(200, -1)
    alone = model.evaluate(rows, nobody, verbose=0, return_dict=True)
    assert np.isfinite(alone["loss"])


# ------------------------------------------------------------- ways to fit


def test_fit_from_a_generator_of_fresh_binary_pixels(rows):
    class Binarised(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            rng = np.random.default_rng(index)
            part = rows[50 * index : 50 * index + 50]
            return ((rng.random(part.shape) < part).astype("float32"),)

    model = compiled(VAE.dense(FLAT, 4, seed=0))
    history = model.fit(Binarised(), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][1] < history["loss"][0]


@pytest.mark.parametrize(
    "options",
    [{"jit_compile": True}, {"jit_compile": False}, {"run_eagerly": True}],
    ids=["compiled", "not_compiled", "eager"],
)
@pytest.mark.parametrize("cls", [VAE, ConditionalVAE, SemiSupervisedVAE])
def test_fit_compiled_or_eager_same_loss(cls, options, rows, labels):
    if BACKEND == "torch" and options.get("jit_compile"):
        pytest.skip("torch.compile needs a C++ compiler")
    histories = []
    for chosen in (options, {}):
        model = compiled(cls.dense(FLAT, 4, widths=(8,), seed=0), **chosen)
        given = (rows,) if cls is VAE else (rows, labels)
        histories.append(
            model.fit(
                *given, batch_size=50, epochs=2, shuffle=False, verbose=0
            ).history["loss"]
        )
    # XLA draws other noise on TensorFlow
    np.testing.assert_allclose(*histories, rtol=1e-2)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"beta": -1}, "beta: expected a number ≥ 0; received -1"),
        ({"beta": float("nan")}, "beta: expected"),
        ({"latent_dim": 0}, "latent_dim: expected an integer ≥ 1"),
        ({"input_shape": 64}, "input_shape: expected a tuple"),
        ({"widths": 32}, "widths: expected a sequence"),
        ({"likelihood": "mse"}, r"likelihood: expected .*SquaredError"),
        ({"likelihood": "gaussian"}, r"likelihood: expected .*Gaussian\(\)"),
        ({"free_bits": -0.1}, "free_bits: expected a number ≥ 0"),
        ({"warmup_steps": 0.5}, "warmup_steps: expected an integer ≥ 0"),
        ({"seed": -1}, "seed: expected"),
    ],
)
@pytest.mark.parametrize("cls", [VAE, ConditionalVAE, SemiSupervisedVAE])
def test_wrong_argument_refused(cls, arguments, match):
    with pytest.raises(ValueError, match=match):
        cls.dense(**{"input_shape": FLAT, "latent_dim": 4, **arguments})


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"widths": ()}, "widths: expected at least one"),
        ({"input_shape": FLAT}, "height, width, channels"),
    ],
)
@pytest.mark.parametrize("cls", [VAE, ConditionalVAE, SemiSupervisedVAE])
def test_wrong_argument_of_a_convolutional_one_refused(cls, arguments, match):
    with pytest.raises(ValueError, match=match):
        cls.conv(**{"input_shape": IMAGE, "widths": (4,), **arguments})


@pytest.mark.parametrize(
    ("cls", "arguments", "match"),
    [
        (ConditionalVAE, {"num_classes": 1}, "num_classes: expected an integ"),
        (SemiSupervisedVAE, {"num_classes": 2.5}, "num_classes: expected"),
        (SemiSupervisedVAE, {"alpha": -1}, "alpha: expected a number ≥ 0"),
        (SemiSupervisedVAE, {"dropout": 1}, "dropout: expected a number from"),
        (SemiSupervisedVAE, {"classifier_widths": 5}, "widths: expected a s"),
    ],
)
def test_wrong_argument_of_a_variant_refused(cls, arguments, match):
    with pytest.raises(ValueError, match=match):
        cls.dense(FLAT, 4, **arguments)


def refuses(call, match, model):
    """The call raises, and neither weights nor optimizer have moved."""
    before = model.get_weights()
    with pytest.raises(ValueError, match=match):
        call()
    assert int(model.optimizer.iterations) == 0
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("likelihood", "spoil", "match"),
    [
        ("bernoulli", lambda x: 255 * x, r"values in \[0, 1\]; received max"),
        ("bernoulli", lambda x: x - 0.5, r"values in \[0, 1\]; received min"),
        ("discretized", lambda x: 2 * x, r"values in \[0, 1\]"),
        (
            "discretized",
            lambda x: 0.99 * x,
            "17 grey levels, multiples of 1/16",
        ),
        ("gaussian", lambda x: x * np.nan, "finite numbers"),
        ("gaussian", lambda x: x[:, :63], r"shape \(n, 64\)"),
        ("gaussian", lambda x: x[:0], "at least one row"),
    ],
)
def test_bad_rows_refused_before_training(likelihood, spoil, match, rows):
    likelihood = LIKELIHOODS[likelihood]()
    model = compiled(
        VAE.dense(FLAT, 4, widths=(), likelihood=likelihood, seed=0)
    )
    bad, match = spoil(rows), f"x: expected .*{match}"
    refuses(lambda: model.fit(bad, verbose=0), match, model)
    refuses(lambda: model.evaluate(bad, verbose=0), match, model)
    refuses(lambda: model.elbo(bad), match, model)
    refuses(lambda: model.log_likelihood(bad), match, model)
    refuses(
        lambda: model.fit(rows, validation_data=bad, verbose=0),
        "validation_data: expected",
        model,
    )


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m, x: m.fit(x, x), "y: expected no target"),
        (lambda m, x: m.decode(x), r"z: expected shape \(n, 4\)"),
        (lambda m, x: m.sample(0), "n: expected an integer ≥ 1"),
        (lambda m, x: m.sample(3, seed=-1), "seed: expected"),
        (lambda m, x: m.log_likelihood(x, 0), "num_samples: expected"),
    ],
)
def test_wrong_call_refused(call, match, rows):
    model = compiled(VAE.dense(FLAT, 4, widths=(), seed=0))
    refuses(lambda: call(model, rows), match, model)


def test_loss_given_to_compile_refused_by_fit(rows):
    model = VAE.dense(FLAT, 4, seed=0)
    model.compile("adam", loss="mse")
    refuses(lambda: model.fit(rows), "loss: expected none", model)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m, x, y: m.fit(x), "y: expected integers from 0 to 9.*None"),
        (lambda m, x, y: m.fit(x, y + 1), "y: expected integers from 0 to 9"),
        (lambda m, x, y: m.fit(x, y - 1), "y: expected integers from 0 to 9"),
        (lambda m, x, y: m.fit(x, y[:-1]), "y: expected 200 labels"),
        (lambda m, x, y: m.fit(x, y / 2), "y: expected integer labels"),
        (lambda m, x, y: m.fit(x, np.eye(10)[y]), "y: expected a vector"),
        (lambda m, x, y: m.fit(2 * x, y), r"x: expected values in \[0, 1\]"),
        (lambda m, x, y: m.evaluate(x), "y: expected integers"),
        (lambda m, x, y: m.predict(x), "labels: expected integers"),
        (
            lambda m, x, y: m.predict({"x": x, "labels": y + 10}),
            "labels: expected integers",
        ),
        (
            lambda m, x, y: m.fit(x, y, validation_data=(x, y + 9)),
            "validation_data, y: expected integers",
        ),
        (
            lambda m, x, y: m.fit(x, y, validation_data=(x,)),
            "validation_data, y: expected integers",
        ),
        (lambda m, x, y: m.encode(x, None), "labels: expected integers"),
        (lambda m, x, y: m.sample(5, None), "labels: expected inte.*None"),
        (lambda m, x, y: m.sample(5, 10), "labels: expected integers"),
        (lambda m, x, y: m.sample(5, [1, 2]), "labels: expected 5 labels"),
        (lambda m, x, y: m.elbo(x, labels=None), "labels: expected integ"),
    ],
)
def test_conditional_labels_checked_before_training(call, match, rows, labels):
    y = labels.copy()
    y[:10] = np.arange(10)  # so that a shift leaves the range
    model = compiled(ConditionalVAE.dense(FLAT, 4, widths=(6,), seed=0))
    refuses(lambda: call(model, rows, y), match, model)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m, x, y: m.fit(x), "y: expected integers from -1 to 9.*None"),
        (
            lambda m, x, y: m.fit(x, np.full(200, -1)),
            "y: expected .*received no labelled row",
        ),
        (lambda m, x, y: m.fit(x, y - 2), "y: expected integers from -1 to 9"),
        (lambda m, x, y: m.fit(x, y + 1), "y: expected integers from -1 to 9"),
        (lambda m, x, y: m.sample(2, -1), "labels: expected integers from 0"),
    ],
)
def test_semi_supervised_labels_checked_before_training(
    call, match, rows, labels
):
    y = labels.copy()
    y[:10] = np.arange(10)
    model = compiled(SemiSupervisedVAE.dense(FLAT, 4, widths=(6,), seed=0))
    refuses(lambda: call(model, rows, y), match, model)


def test_posterior_gradient_by_the_input_is_there(rows):
    model = VAE.dense(FLAT, 4, widths=(6,), seed=0)
    gradient = backend.input_gradient(
        lambda x: model.posterior(x)["mean"], rows[:4]
    )
    assert np.abs(ops.convert_to_numpy(gradient)).max() > 0


# ------------------------------------------- defaults, draws, small print


def defaults(make):
    return {
        name: parameter.default
        for name, parameter in inspect.signature(make).parameters.items()
    }


def test_defaults_are_those_of_the_paper_and_the_docstrings():
    plain = {
        "input_shape": (28, 28, 1),
        "latent_dim": 20,
        "widths": (400,),
        "activation": "relu",
        "likelihood": None,
        "beta": 1.0,
        "free_bits": 0.0,
        "warmup_steps": 0,
        "seed": None,
        "dtype": None,
        "name": None,
    }
    classes = {"num_classes": 10}
    semi = {"alpha": 20.0, "classifier_widths": None, "dropout": 0.0}
    assert defaults(VAE.dense) == plain
    assert defaults(ConditionalVAE.dense) == plain | classes
    assert defaults(SemiSupervisedVAE.dense) == plain | classes | semi
    assert defaults(VAE.conv) == plain | {"widths": (32, 64)}
    assert isinstance(VAE.dense(FLAT, 2, widths=()).likelihood, Bernoulli)
    samples = [
        inspect.signature(verb).parameters["num_samples"].default
        for verb in (VAE.elbo, VAE.log_likelihood)
    ]
    assert samples == [1, 100]


def test_first_scale_and_its_gain():
    model = VAE.dense(FLAT, 2, widths=(), seed=0, likelihood=Gaussian())
    assert number(model.likelihood.current_scale()) == pytest.approx(0.2)
    weight = model.likelihood.log_scale
    assert number(weight.value) == pytest.approx(np.log(0.2) / 10)
    assert weight.name == "log_scale"
    assert any(weight is one for one in model.trainable_weights)
    warm = VAE.dense(FLAT, 2, widths=(), warmup_steps=3)
    assert warm.steps_done.name == "steps_done"
    assert warm.steps_done.dtype == "int32"
    assert not warm.steps_done.trainable
    assert int(ops.convert_to_numpy(warm.steps_done)) == 0


def test_parts_have_names_activations_and_the_models_precision():
    model = SemiSupervisedVAE.dense(
        FLAT,
        3,
        widths=(5,),
        num_classes=4,
        activation="tanh",
        classifier_widths=(6,),
        dropout=0.25,
        dtype="mixed_bfloat16",
        seed=1,
    )
    vae = model.vae
    assert (vae.encoder.name, model.classifier.name) == (
        "encoder",
        "classifier",
    )
    parts = vae.encoder.get_layer("encoder"), vae.decoder.get_layer("decoder")
    for part in (*parts, model.classifier):
        hidden = [
            layer
            for layer in part.layers
            if isinstance(layer, keras.layers.Dense) and layer.units in (5, 6)
        ]
        assert [layer.activation for layer in hidden] == [
            keras.activations.tanh
        ]
        for layer in part.layers:
            if not isinstance(layer, keras.layers.InputLayer):
                assert layer.dtype_policy.name == "mixed_bfloat16"
    assert vae.sampler.dtype_policy.name == "mixed_bfloat16"
    (drop,) = (
        layer
        for layer in model.classifier.layers
        if isinstance(layer, keras.layers.Dropout)
    )
    assert (drop.rate, drop.seed) == (0.25, 1)
    assert model.classifier.layers[-1].name == "code"


def test_semi_supervised_classifier_drops_out_while_training_only(rows):
    model = SemiSupervisedVAE.dense(
        FLAT, 2, widths=(9,), num_classes=2, dropout=0.9, seed=0
    )
    spread_weights(model)
    x = rows[:5]
    calm = ops.convert_to_numpy(model.classifier(x, training=False))
    for outputs in (model(x), model.call(x), model(x, training=False)):
        found = ops.convert_to_numpy(outputs["class_logits"])
        np.testing.assert_allclose(found, calm, rtol=1e-5)
    for outputs in (model(x, training=True), model.call(x, training=True)):
        wild = ops.convert_to_numpy(outputs["class_logits"])
        assert not np.allclose(wild, calm)


def test_sample_decodes_numpys_own_draws():
    model = spread_weights(VAE.dense(FLAT, 5, widths=(), seed=0))
    z = np.random.default_rng(3).standard_normal((4, 5), dtype="float32")
    np.testing.assert_array_equal(model.sample(4, seed=3), model.decode(z))
    assert (
        model.example_losses(model.sample(4, seed=3), seed=0).dtype
        == np.float32
    )


def test_terms_equal_densities_of_scipy_for_numpys_own_draws(rng):
    model = VAE.dense((6,), 2, widths=(), seed=0, likelihood=Gaussian(0.5))
    spread_weights(model)
    x = rng.normal(size=(3, 6)).astype("float32")
    fit, ratio, kl = model._terms(x, 4, np.random.default_rng(9))
    noise = np.random.default_rng(9).standard_normal((3, 4, 2), "float32")
    heads = model.encoder(x)
    mean, log_var = (
        ops.convert_to_numpy(heads[name])[:, None].astype("float64")
        for name in ("mean", "log_var")
    )
    deviation = np.exp(0.5 * log_var)
    z = mean + deviation * noise
    norm = scipy.stats.norm.logpdf
    decoded = model.decode(z.reshape(12, 2)).reshape(3, 4, 6)
    np.testing.assert_allclose(
        fit, norm(x[:, None], decoded, 0.5).sum(axis=2), rtol=1e-4
    )
    np.testing.assert_allclose(
        ratio,
        (norm(z) - norm(z, mean, deviation)).sum(axis=2),
        rtol=1e-4,
        atol=1e-4,
    )
    closed = 0.5 * (mean**2 + deviation**2 - 1 - log_var).sum(axis=(1, 2))
    np.testing.assert_allclose(kl, closed, rtol=1e-4)


@pytest.mark.parametrize(
    ("piece", "calls"), [(4, 15), (5, 10), (25, 3), (2048, 1)]
)
def test_bounds_add_up_pieces_of_rows_and_of_samples(
    piece, calls, rng, monkeypatch
):
    model = ConditionalVAE.dense(
        (6,), 2, num_classes=3, widths=(), seed=0, likelihood=Gaussian(0.5)
    )
    x = rng.normal(size=(5, 6)).astype("float32")
    ratio = rng.normal(size=(5, 9))
    fit = x[:, :1] + np.arange(9.0) - 4
    kl = np.arange(5.0)
    monkeypatch.setattr("utils.models.vaes.PIECE", piece)
    done = {row: 0 for row in range(5)}
    sizes = []

    def terms(inputs, num_samples, generator):
        rows = inputs["x"]
        sizes.append(len(rows) * num_samples)
        found = [int(np.flatnonzero((x == row).all(axis=1))[0]) for row in rows]
        assert (inputs["labels"] == np.array(found) % 3).all()
        part = slice(done[found[0]], done[found[0]] + num_samples)
        for row in found:
            done[row] += num_samples
        return fit[found, part], ratio[found, part], kl[found]

    model._terms = terms
    labels = np.arange(5) % 3
    elbo, weighted = model.bounds({"x": x, "labels": labels}, 9, 0)
    assert set(done.values()) == {9}
    assert (len(sizes), sum(sizes)) == (calls, 45)
    assert max(sizes) <= piece
    np.testing.assert_allclose(elbo, fit.mean(axis=1) - kl)
    expected = scipy.special.logsumexp(fit + ratio, axis=1) - np.log(9)
    np.testing.assert_allclose(weighted, expected)


def test_semi_supervised_bound_of_a_known_class_counts_its_probability(semi):
    x = semi.sample(6, seed=0)
    y = np.arange(6) % 4
    given_class = [
        semi.vae.bounds({"x": x, "labels": y.astype("int32")}, 3, 1),
        semi._bounds(x, 3, y, 1),
    ]
    for without, joint in zip(*given_class, strict=True):
        np.testing.assert_allclose(joint, without - np.log(4), rtol=1e-6)
    with pytest.raises(ValueError, match="labels: expected 6 labels"):
        semi.elbo(x, labels=y[:5])


def test_semi_supervised_bounds_weigh_the_classes(semi, rows):
    x = rows[:4]
    draws = np.random.default_rng(5)
    parts = np.array(
        [
            semi.vae.bounds(
                {"x": x, "labels": np.full(4, c, "int32")},
                2,
                int(draws.integers(2**31)),
            )
            for c in range(4)
        ]
    )  # (class, bound, row)
    share = semi.classify(x).astype("float64").T
    each = parts[:, 0] - np.log(4) - np.log(share)
    np.testing.assert_allclose(
        semi.elbo(x, 2, seed=5), (share * each).sum(axis=0), rtol=1e-5
    )
    np.testing.assert_allclose(
        semi.log_likelihood(x, 2, seed=5),
        scipy.special.logsumexp(parts[:, 1] - np.log(4), axis=0),
        rtol=1e-5,
    )


def test_semi_supervised_draws_classes_after_the_codes(semi):
    rng = np.random.default_rng(0)
    z = rng.standard_normal((200, 3), dtype="float32")
    drawn = rng.integers(0, 4, 200)
    assert set(drawn) == {0, 1, 2, 3}
    np.testing.assert_array_equal(
        semi.sample(200, seed=0), semi.decode(z, drawn)
    )
    np.testing.assert_array_equal(
        semi.sample(200, 3, seed=0), semi.decode(z, np.full(200, 3))
    )


def test_labelled_models_take_two_classes_and_class_zero_alone(rows):
    model = ConditionalVAE.dense(FLAT, 2, num_classes=2, widths=(4,), seed=0)
    assert model.check_labels([1, 0], 2).tolist() == [1, 0]
    assert model.check_labels(0, 2).tolist() == [0, 0]
    semi = SemiSupervisedVAE.dense(FLAT, 2, num_classes=2, widths=(4,), seed=0)
    semi.compile("sgd", run_eagerly=EAGERLY)
    y = np.array([0, -1, -1, -1])
    history = semi.fit(rows[:4], y, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_labelled_models_pass_arguments_on_in_their_order(rows, labels, capsys):
    model = ConditionalVAE.dense(FLAT, 2, num_classes=10, widths=(4,), seed=0)
    model.compile("sgd", run_eagerly=EAGERLY)
    x, y = rows[:30], labels[:30]
    model.evaluate(x, y, 10, 0)
    model.predict({"x": x, "labels": y}, 10, 0)
    model.predict({"x": x, "labels": y}, verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("cls", [ConditionalVAE, SemiSupervisedVAE])
def test_labelled_models_take_pairs_or_a_dict(cls, rows, labels):
    model = cls.dense(FLAT, 2, num_classes=10, widths=(4,), seed=0)
    x, y = rows[:30], labels[:30]
    for given in ((x, y), ({"x": x, "labels": y}, None)):
        found, target = model.check_data(*given)
        assert target is None
        np.testing.assert_array_equal(found["labels"], y)
    with pytest.raises(ValueError, match="x: expected .* and no y"):
        model.check_data({"x": x, "labels": y}, y)
    with pytest.raises(ValueError, match="x: expected .*labels.*'label'"):
        model.check_data({"x": x, "label": y})


@pytest.mark.parametrize("cls", [ConditionalVAE, SemiSupervisedVAE])
def test_labelled_models_name_the_validation_data(cls, rows, labels):
    model = cls.dense(FLAT, 2, num_classes=10, widths=(4,), seed=0)
    model.compile("sgd", run_eagerly=EAGERLY)
    x, y = rows[:4], labels[:4]
    for wrong, match in (
        ((x[:, :3], y), "validation_data: expected shape"),
        ((x, y[:3]), "validation_data, y: expected 4 labels"),
        ((x,), "validation_data, y: expected integers"),
        ((x, y, y, y), "validation_data: expected .x,., .x, y"),
    ):
        with pytest.raises(ValueError, match=match):
            model.fit(x, y, validation_data=wrong, verbose=0)
    with pytest.raises(ValueError, match="x: expected shape"):
        model.encode(x[:, :3], y)
    with pytest.raises(ValueError, match="x: expected shape"):
        VAE.dense(FLAT, 2, widths=()).encode(x[:, :3])
    with pytest.raises(ValueError, match="labels: expected 4 labels"):
        model.encode(x, y[:3])


def test_semi_supervised_free_bits_are_of_units_and_weights_of_rows(rows):
    model = SemiSupervisedVAE.dense(
        FLAT, 3, widths=(10,), num_classes=4, alpha=0.0, free_bits=0.4, seed=0
    )
    x, y, weight = rows[:5], np.array([2, -1, 0, -1, 3]), np.arange(5.0)
    packed = {"x": x, "labels": y}
    outputs = dict(model(packed))
    kl = np.random.default_rng(0).random((5, 4, 3))
    kl[:, :, 1] = 0.01  # a unit below its free bits
    outputs["class_kl"] = ops.convert_to_tensor(kl.astype("float32"))
    share = model.classify(x).astype("float64")
    share[y >= 0] = np.eye(4)[y[y >= 0]]
    entropy = scipy.special.entr(share).sum(axis=1)
    rest = (share * ops.convert_to_numpy(outputs["class_nll"])).sum(axis=1)
    rest += np.log(4) - entropy
    units = (share[:, :, None] * kl).sum(axis=1)  # (row, unit)
    floor = np.maximum(units.mean(axis=0), 0.4).sum()
    found = model.compute_loss(packed, y_pred=outputs, training=True)
    assert number(found) == pytest.approx(rest.mean() + floor, rel=1e-5)
    whole = units.mean(axis=0).sum()
    found = model.compute_loss(packed, y_pred=outputs, training=False)
    assert number(found) == pytest.approx(rest.mean() + whole, rel=1e-5)
    for metric in model.metrics:
        metric.reset_state()
    found = model.compute_loss(
        packed,
        y_pred=outputs,
        sample_weight=ops.convert_to_tensor(weight.astype("float32")),
        training=False,
    )
    each = weight * (rest + units.sum(axis=1))
    assert number(found) == pytest.approx(each.mean(), rel=1e-5)
    squared = np.square(x - ops.convert_to_numpy(outputs["reconstruction"]))
    assert number(model.mse_tracker.result()) == pytest.approx(
        np.average(squared.mean(axis=1), weights=weight), rel=1e-5
    )


def test_semi_supervised_reconstructs_the_class_it_is_given(semi, rows):
    x = rows[:4]
    other = (semi.predict_classes(x) + 1) % 4
    found = semi.reconstruct(x, other)
    np.testing.assert_array_equal(
        found, semi.decode(semi.encode(x, other), other)
    )
    assert not np.allclose(found, semi.reconstruct(x))


def test_discretized_reconstructions_stay_in_range_and_use_it_all():
    model = VAE.dense(
        FLAT, 2, widths=(), seed=0, likelihood=DiscretizedLogistic()
    )
    decoded = model.decode(np.array([[50.0, -50.0]]))
    assert (decoded.min(), decoded.max()) == (0.0, 1.0)


@pytest.mark.parametrize("cls", [ConditionalVAE, SemiSupervisedVAE])
def test_labelled_fit_passes_arguments_on_in_their_order(
    cls, rows, labels, capsys
):
    model = cls.dense(FLAT, 2, widths=(4,), seed=0)
    model.compile("sgd", run_eagerly=EAGERLY)
    model.fit(rows[:30], labels[:30], 15, 1, 0)
    assert int(ops.convert_to_numpy(model.optimizer.iterations)) == 2
    assert capsys.readouterr().out == ""


def test_semi_supervised_rows_alone_are_rows_without_labels(semi, rows):
    x = rows[:4]
    packed = {"x": x, "labels": np.full(4, -1)}
    outputs = semi(x)
    alone, among = (
        number(semi.compute_loss(given, y_pred=outputs))
        for given in (x, packed)
    )
    assert alone == pytest.approx(among, rel=1e-6)
    with pytest.raises(ValueError, match=r"x: expected shape \(n, 64\)"):
        semi.classify(x[:, :3])


def test_semi_supervised_class_metrics_weigh_the_labelled_rows(semi, rows):
    x, y = rows[:4], np.array([0, -1, 2, 3])
    weight = np.array([1.0, 5.0, 2.0, 3.0], "float32")
    for metric in semi.metrics:
        metric.reset_state()
    packed = {"x": x, "labels": y}
    semi.compute_loss(
        packed, y_pred=semi(packed), sample_weight=ops.convert_to_tensor(weight)
    )
    share = semi.classify(x).astype("float64")
    seen = [0, 2, 3]
    expected = np.average(-np.log(share[seen, y[seen]]), weights=weight[seen])
    assert number(semi.class_loss_tracker.result()) == pytest.approx(
        expected, rel=1e-5
    )
    right = share.argmax(axis=1)[seen] == y[seen]
    assert number(semi.accuracy_tracker.result()) == pytest.approx(
        np.average(right, weights=weight[seen])
    )


def test_decoder_mirrors_the_widths_and_planes_stand_beside_any_channels():
    model = VAE.dense(FLAT, 2, widths=(9, 5), seed=0)
    sizes = [
        [w.shape for w in part.get_weights() if w.ndim == 2]
        for part in (model.encoder, model.decoder)
    ]
    assert sizes == [
        [(64, 9), (9, 5), (5, 2), (5, 2)],
        [(2, 5), (5, 9), (9, 64)],
    ]
    colour = ConditionalVAE.conv(
        (8, 8, 2), 3, num_classes=4, widths=(4,), seed=0
    )
    x = np.zeros((2, 8, 8, 2), "float32")
    assert colour.encode(x, [0, 3]).shape == (2, 3)


def test_loss_counts_as_training_unless_told_and_tracks_the_mean_square(rows):
    model = VAE.dense(FLAT, 3, widths=(), free_bits=50.0, seed=0)
    outputs = model(rows[:5])
    plain, training, evaluation = (
        number(model.compute_loss(rows[:5], y_pred=outputs, **flag))
        for flag in ({}, {"training": True}, {"training": False})
    )
    assert plain == pytest.approx(training)
    assert plain > evaluation + 100
    image = ops.convert_to_numpy(outputs["reconstruction"])
    assert number(model.mse_tracker.result()) == pytest.approx(
        np.mean((rows[:5] - image) ** 2), rel=1e-5
    )
