"""Diffusion: schedules, conversions, samplers, densities that are known."""

import keras
import numpy as np
import pytest
import scipy.stats
from contracts import check_config_round_trip
from keras import ops

from utils.models.diffusion import (
    Diffusion,
    TimeFeatures,
    ancestral,
    coefficients,
    convert,
    ddim,
    euler,
    heun,
)
from utils.training import recipes

TARGETS = ("velocity", "noise", "data")
SCHEDULES = ("straight", "variance_preserving")
MEAN = np.array([0.5, -1.0])
TURN = np.array([[0.8, -0.6], [0.6, 0.8]])
VARIANCES = np.array([0.25, 2.0])
COVARIANCE = TURN @ np.diag(VARIANCES) @ TURN.T
each_target = pytest.mark.parametrize("target", TARGETS)
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES)


class OfGaussian(keras.layers.Layer):
    """The best prediction of a target where rows are N(MEAN, COVARIANCE).

    Written by the regression of one Gaussian on another, without `convert`.
    """

    def __init__(self, target, schedule):
        super().__init__()
        self.target, self.schedule = target, schedule

    def call(self, inputs):
        x, t = inputs["x"], inputs["t"][:, None]
        if self.schedule == "straight":
            a, s, a_slope, s_slope = 1.0 - t, t, -1.0, 1.0
        else:
            a, s = ops.cos(np.pi * t / 2), ops.sin(np.pi * t / 2)
            a_slope, s_slope = -np.pi / 2 * s, np.pi / 2 * a
        turn = ops.convert_to_tensor(TURN.astype("float32"))
        back = ops.transpose(turn)
        mean = ops.convert_to_tensor(MEAN.astype("float32"))
        away = ops.matmul(x - a * mean, turn)  # along the axes
        variances = ops.convert_to_tensor(VARIANCES.astype("float32"))
        total = a**2 * variances + s**2
        data = mean + ops.matmul(away * a * variances / total, back)
        noise = ops.matmul(away * s / total, back)
        velocity = a_slope * data + s_slope * noise
        return {"data": data, "noise": noise, "velocity": velocity}[self.target]


def gaussian_model(target, schedule):
    inputs = {"x": keras.Input((2,), name="x"), "t": keras.Input((), name="t")}
    out = OfGaussian(target, schedule)(inputs)
    network = keras.Model(inputs, out)
    return Diffusion(network, target=target, schedule=schedule, seed=0)


class Told(keras.layers.Layer):
    """Predicts the number of the label it is told, wherever it is."""

    def call(self, inputs):
        label = ops.cast(inputs["labels"], inputs["x"].dtype)
        return 0.0 * inputs["x"] + label[:, None]


def told_model(**options):
    inputs = {"x": keras.Input((2,), name="x"), "t": keras.Input((), name="t")}
    inputs["labels"] = keras.Input((), name="labels", dtype="int32")
    network = keras.Model(inputs, Told()(inputs))
    return Diffusion(network, num_classes=3, target="data", seed=0, **options)


# --------------------------------------------------- schedules, conversions


def test_coefficients_by_hand():
    np.testing.assert_allclose(coefficients(0.25), [0.75, 0.25, -1, 1])
    third = coefficients(1 / 3, "variance_preserving")
    root = np.sqrt(3) / 2
    expected = [root, 0.5, -np.pi / 4, np.pi / 2 * root]
    np.testing.assert_allclose(third, expected)


@each_schedule
def test_coefficients_end_in_data_and_noise_and_slopes_are_slopes(schedule):
    for t, ends in ((0.0, (1, 0)), (1.0, (0, 1))):
        np.testing.assert_allclose(
            coefficients(t, schedule)[:2], ends, atol=1e-12
        )
    t, step = np.linspace(0.1, 0.9, 5), 1e-6
    *_, a_slope, s_slope = coefficients(t, schedule)
    after, before = (coefficients(t + d, schedule) for d in (step, -step))
    for found, i in ((a_slope, 0), (s_slope, 1)):
        by_difference = (after[i] - before[i]) / (2 * step)
        np.testing.assert_allclose(found, by_difference, atol=1e-8)


def test_conversions_by_hand():
    # x = 3, ε = −1, t = ¼: x_t = ¾ · 3 − ¼ = 2, v = ε − x = −4
    known = {"data": 3.0, "noise": -1.0, "velocity": -4.0}
    noisy, t = np.array([[2.0]]), np.array([0.25])
    for given in TARGETS:
        for wanted in TARGETS:
            value = np.array([[known[given]]])
            found = convert(value, noisy, t, given=given, wanted=wanted)
            assert found[0, 0] == pytest.approx(known[wanted])


@each_schedule
@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_conversions_agree_on_rows_with_times_of_their_own(schedule, kind, rng):
    x, noise = rng.normal(size=(2, 5, 3, 2))
    t = rng.uniform(0.1, 0.9, 5)
    a, s, a_slope, s_slope = (
        part[:, None, None] for part in coefficients(t, schedule)
    )
    known = {
        "data": x,
        "noise": noise,
        "velocity": a_slope * x + s_slope * noise,
    }
    noisy = a * x + s * noise
    make = np.asarray if kind == "array" else ops.convert_to_tensor
    for given in TARGETS:
        for wanted in TARGETS:
            found = convert(
                make(known[given]),
                make(noisy),
                make(t),
                given=given,
                wanted=wanted,
                schedule=schedule,
            )
            found = ops.convert_to_numpy(found)
            np.testing.assert_allclose(found, known[wanted], atol=1e-5)


@each_target
def test_conversions_are_finite_where_they_divide_by_zero(target):
    for t in (0.0, 1.0):
        for wanted in TARGETS:
            found = convert(
                np.ones((1, 1)), np.ones((1, 1)), t, given=target, wanted=wanted
            )
            assert np.isfinite(found).all()


def test_functions_refuse_names_they_do_not_know():
    with pytest.raises(ValueError, match="^schedule: expected one of"):
        coefficients(0.5, "curved")
    with pytest.raises(ValueError, match="^wanted: expected one of"):
        convert(1.0, 1.0, 0.5, given="data", wanted="image")


# ---------------------------------------------------------------- samplers


def test_euler_and_heun_by_hand():
    times = [1.0, 0.5, 0.25]

    def slope(x, t):
        return x

    # 1 − ½ = ½; ½ − ¼ · ½ = .375
    assert euler(slope, 1.0, times) == pytest.approx(0.375)
    # 1 − ½ · (1 + ½) / 2 = .625; .625 − ¼ · (.625 + .46875) / 2
    assert heun(slope, 1.0, times) == pytest.approx(0.48828125)
    # a last step to t = 0 is Euler's
    assert heun(slope, 1.0, [1.0, 0.0]) == 0.0


def test_heun_s_second_slope_is_taken_at_the_second_time():
    # dx/dt = t is integrated exactly by a mean of both ends
    found = heun(lambda x, t: t, 0.0, [1.0, 0.6, 0.5])
    assert found == pytest.approx((0.5**2 - 1) / 2)
    assert euler(lambda x, t: t, 0.0, [1.0, 0.5]) == pytest.approx(-0.5)


def some_denoiser(x, t):
    return np.tanh(2 * x) * (1 - t)


def test_ddim_is_euler_on_the_straight_path(rng):
    x, times = rng.normal(size=(6, 2)), np.linspace(1, 0, 8)

    def velocity(x, t):
        data = some_denoiser(x, t)
        return convert(data, x, t, given="data", wanted="velocity")

    found = ddim(some_denoiser, x, times)
    np.testing.assert_allclose(found, euler(velocity, x, times), atol=1e-12)


def test_two_schedules_are_one_path_by_two_clocks(rng):
    # x_t / (a + s) of the circle is the straight row at time s / (a + s)
    times = np.linspace(1, 0, 8)
    a, s, *_ = coefficients(times, "variance_preserving")
    clock = s / (a + s)

    def on_circle(x, t):
        a, s, *_ = coefficients(t, "variance_preserving")
        return some_denoiser(x / (a + s), s / (a + s))

    x = rng.normal(size=(6, 2))
    circle = ddim(on_circle, x, times, schedule="variance_preserving")
    np.testing.assert_allclose(
        circle, ddim(some_denoiser, x, clock), atol=1e-12
    )


@each_schedule
def test_ancestral_step_has_the_moments_of_bayes_rule(schedule):
    # joint Gaussian of (x_t', x_t) given x = 1.5, conditioned on x_t = 0.3
    now, then, data, seen = 0.7, 0.4, 1.5, 0.3
    (a, s, *_), (b, r, *_) = (coefficients(t, schedule) for t in (now, then))
    kept = a / b
    covariance = np.array([[r**2, kept * r**2], [kept * r**2, s**2]])
    mean = b * data + covariance[0, 1] / s**2 * (seen - a * data)
    variance = r**2 - covariance[0, 1] ** 2 / s**2
    found = ancestral(
        lambda x, t: np.full_like(x, data),
        np.full(200_000, seen),
        [now, then],
        schedule=schedule,
        seed=0,
    )
    error = np.sqrt(variance / len(found))
    assert abs(found.mean() - mean) < 5 * error
    assert found.var() == pytest.approx(variance, rel=0.02)


@each_schedule
def test_ancestral_without_noise_to_come_lands_on_the_prediction(schedule):
    x = np.random.default_rng(0).normal(size=(5, 2))
    found = ancestral(
        lambda x, t: np.full_like(x, 2.0), x, [1.0, 0.5, 0.0], schedule=schedule
    )
    np.testing.assert_allclose(found, 2.0)


# ----------------------------------------- a Gaussian, of which all is known


@each_schedule
@each_target
def test_verbs_on_a_gaussian(target, schedule, rng):
    model = gaussian_model(target, schedule)
    x = rng.multivariate_normal(MEAN, COVARIANCE, 40)
    found = model.log_likelihood(x, steps=40)
    truth = scipy.stats.multivariate_normal(MEAN, COVARIANCE).logpdf(x)
    # noise stops at t = .99, where rows are not quite N(0, I)
    room = 0.05 if target == "noise" else 0.01
    np.testing.assert_allclose(found, truth, atol=room)
    a, s, *_ = coefficients(0.6, schedule)
    total = np.linalg.inv(a**2 * COVARIANCE + s**2 * np.eye(2))
    away = x - a * MEAN
    score = model.score(x, 0.6)
    np.testing.assert_allclose(score, -away @ total, atol=1e-4)
    data = MEAN + away @ total @ (a * COVARIANCE)
    found = model.denoise(x, np.full(40, 0.6))
    np.testing.assert_allclose(found, data, atol=1e-4)
    # Tweedie: the mean is what the score says
    tweedie = (x + s**2 * score) / a
    np.testing.assert_allclose(found, tweedie, atol=1e-3)


@each_schedule
@pytest.mark.parametrize("sampler", ["euler", "heun", "ddim", "ancestral"])
def test_samplers_draw_the_gaussian(sampler, schedule):
    model = gaussian_model("velocity", schedule)
    steps = 20 if sampler == "heun" else 60
    made = model.sample(3000, steps=steps, sampler=sampler, seed=1)
    np.testing.assert_allclose(made.mean(axis=0), MEAN, atol=0.1)
    np.testing.assert_allclose(np.cov(made.T), COVARIANCE, atol=0.17)
    assert made.dtype == "float32"


def test_random_signs_estimate_the_exact_trace(rng):
    model = gaussian_model("velocity", "straight")
    x = rng.multivariate_normal(MEAN, COVARIANCE, 20)
    exact = model.log_likelihood(x, steps=8)
    one, many = (
        model.log_likelihood(x, steps=8, probes=k, seed=0) for k in (1, 50)
    )
    assert np.abs(one - exact).max() > 0.05, "an estimate"
    assert np.abs(many - exact).mean() < 0.25 * np.abs(one - exact).mean()


# ------------------------------------------------------------------- model


@each_schedule
@each_target
def test_loss_is_the_mean_squared_error_of_the_target(target, schedule, rng):
    x = rng.normal(size=(8, 3)).astype("float32")
    model = Diffusion.dense(
        (3,), widths=(4,), target=target, schedule=schedule, seed=0
    )
    made = {k: ops.convert_to_numpy(v) for k, v in model(x).items()}
    a, s, a_slope, s_slope = (
        part[:, None] for part in coefficients(made["time"], schedule)
    )
    np.testing.assert_allclose(
        made["noisy"], a * x + s * made["noise"], atol=1e-6
    )
    wanted = {
        "velocity": a_slope * x + s_slope * made["noise"],
        "noise": made["noise"],
        "data": x,
    }[target]
    tensors = {k: ops.convert_to_tensor(v) for k, v in made.items()}
    loss = model.compute_loss(ops.convert_to_tensor(x), None, tensors)
    expected = np.mean((made["prediction"] - wanted) ** 2)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    weight = ops.convert_to_tensor(np.eye(8, dtype="float32")[0])
    loss = model.compute_loss(ops.convert_to_tensor(x), None, tensors, weight)
    first = np.mean((made["prediction"] - wanted)[0] ** 2) / 8
    assert float(loss) == pytest.approx(first, rel=1e-5)


def test_same_seed_same_losses_and_samples():
    x = np.random.default_rng(0).normal(size=(32, 2))
    found = []
    for _ in range(2):
        model = Diffusion.dense((2,), widths=(8,), seed=3)
        model.compile("adam")
        model.fit(x, verbose=0, shuffle=False)
        loss = model.evaluate(x, verbose=0)
        found.append((loss, model.sample(4, steps=2, seed=0)))
    assert found[0][0] == pytest.approx(found[1][0])
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-6)
    again = [model.sample(2, steps=2) for _ in range(2)]
    assert not np.allclose(*again), "without a seed the generator goes on"


def test_training_finds_the_best_denoiser_of_two_points():
    # rows ±1: E[x | x_t] = tanh(a x_t / s²), which no line is
    x = np.tile([[1.0], [-1.0]], (2048, 1))
    model = Diffusion.dense((1,), widths=(32, 32), target="data", seed=0)
    recipes.compile(model, 1e-2, 320)
    model.fit(x, batch_size=128, epochs=10, verbose=0)
    rows, worst = np.linspace(-1.5, 1.5, 61)[:, None], 0.0
    for t in (0.2, 0.35, 0.5):
        a, s = 1 - t, t
        best = np.tanh(a * rows / s**2)
        line = a * rows / (a**2 + s**2)
        error = np.abs(model.denoise(rows, t) - best).mean()
        assert error < 0.6 * np.abs(line - best).mean()
        worst = max(worst, error)
    assert worst < 0.2


def test_labels_are_withheld_while_training_alone():
    x, y = np.zeros((6, 2), "float32"), np.arange(6) % 3
    given = {"x": ops.convert_to_tensor(x), "labels": ops.convert_to_tensor(y)}
    for share, expected in ((1.0, np.full(6, 3)), (0.0, y)):
        model = told_model(label_dropout=share)
        found = model(given, training=True)["prediction"]
        np.testing.assert_array_equal(
            ops.convert_to_numpy(found)[:, 0], expected
        )
        found = model(given, training=False)["prediction"]
        np.testing.assert_array_equal(ops.convert_to_numpy(found)[:, 0], y)


def test_guidance_by_hand():
    # told 1, not told 3: 3 + w (1 − 3)
    model, x = told_model(), np.zeros((2, 2))
    for weight, expected in ((0.0, 3), (1.0, 1), (2.5, -2)):
        found = model.denoise(x, 0.5, labels=1, guidance=weight)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(model.denoise(x, 0.5), 3)
    found = model.denoise(x, 0.5, labels=[0, 2])
    np.testing.assert_allclose(found[:, 0], [0, 2])


def test_noise_that_is_given_is_used():
    model = Diffusion.dense((2,), widths=(4,), seed=0)
    x, noise = np.random.default_rng(0).normal(size=(2, 5, 2))
    made = model.predict({"x": x, "noise": noise}, verbose=0)
    np.testing.assert_allclose(made["noise"], noise, atol=1e-6)
    model.compile("sgd")
    assert np.isfinite(model.evaluate({"x": x, "noise": noise}, verbose=0))


class Weights(keras.callbacks.Callback):
    """Weights after each batch."""

    def on_train_begin(self, logs=None):
        self.kept = []

    def on_train_batch_end(self, batch, logs=None):
        self.kept.append(self.model.get_weights())


def test_fit_ends_with_the_moving_average_in_place():
    x = np.random.default_rng(0).normal(size=(32, 2))
    model = Diffusion.dense((2,), widths=(4,), seed=0)
    adam = recipes.adam(1e-2, use_ema=True, ema_momentum=0.5)
    model.compile(adam)
    diary = Weights()
    model.fit(x, batch_size=8, verbose=0, callbacks=[diary])
    average = diary.kept[0]
    for weights in diary.kept[1:]:
        average = [
            0.5 * a + 0.5 * w for a, w in zip(average, weights, strict=True)
        ]
    for found, expected in zip(model.get_weights(), average, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    last = diary.kept[-1]
    assert not np.allclose(model.get_weights()[0], last[0])


def test_dense_and_conv_have_the_networks_they_say():
    model = Diffusion.dense((4, 4, 1), widths=(8, 6), num_classes=3, seed=0)
    assert set(model.network.input) == {"x", "t", "labels"}
    assert model.event_shape == (4, 4, 1)
    units = {
        layer.units
        for layer in model.network.layers
        if isinstance(layer, keras.layers.Dense)
    }
    assert units == {8, 6, 32, 16}
    model = Diffusion.conv((8, 8, 1), widths=(4, 6, 8), seed=0)
    shapes = {
        tuple(layer.output.shape[1:3])
        for layer in model.network.layers
        if isinstance(layer, keras.layers.Conv2D)
    }
    assert shapes == {(8, 8), (4, 4), (2, 2)}
    assert model.sample(2, steps=1, seed=0).shape == (2, 8, 8, 1)


def test_time_features_by_hand():
    layer = TimeFeatures(4, highest=100.0)
    found = ops.convert_to_numpy(layer(np.array([0.0, 0.5], "float32")))
    expected = [
        [0, 0, 1, 1],
        [np.sin(0.5), np.sin(50), np.cos(0.5), np.cos(50)],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    check_config_round_trip(layer)
    for size in (3, 0, 2.0):
        with pytest.raises(ValueError, match="^size: expected"):
            TimeFeatures(size)


# ------------------------------------------------------------------ errors


def network(**changes):
    shapes = {"x": (3,), "t": (), **changes}
    inputs = {
        name: keras.Input(shape, name=name) for name, shape in shapes.items()
    }
    return keras.Model(inputs, keras.layers.Dense(3)(inputs["x"]))


def dense_alone():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])


def test_networks_that_do_not_fit_are_refused_with_both_shapes():
    for made, match in (
        (network(t=(1,)), r"input 't' of shape \(\).*received \(1,\)"),
        (network(y=()), r"inputs \['t', 'x'\]; received .*'y'"),
        (network(x=(4,)), r"shape of x, \(4,\); received \(3,\)"),
        (dense_alone(), r"^network: expected inputs"),
        ("a", "^network: expected a Keras model"),
    ):
        with pytest.raises(ValueError, match=match):
            Diffusion(made)
    with pytest.raises(ValueError, match="^num_classes: .* takes labels"):
        Diffusion(network(labels=()))
    with pytest.raises(ValueError, match=r"^network: .*'labels'"):
        Diffusion(network(), num_classes=3)


def test_bad_arguments_are_refused_by_name():
    model, x = Diffusion.dense((2,), widths=(4,), seed=0), np.zeros((3, 2))
    labelled = told_model()
    for call, match in (
        (lambda: model.denoise(x, 1.5), "^t: expected a number from 0 to 1"),
        (lambda: model.denoise(x, [0.1, 0.2]), "^t: expected one time, or 3"),
        (lambda: model.denoise(x, [[0.1]]), "^t: expected an array with 1"),
        (lambda: model.score(x, 0.0), "^t: expected times above 0"),
        (lambda: model.denoise(x, 0.5, labels=1), "^labels: expected none"),
        (lambda: model.sample(0), "^n: expected"),
        (lambda: model.sample(2, steps=0), "^steps: expected"),
        (lambda: model.sample(2, sampler="rk4"), "^sampler: expected one of"),
        (lambda: model.log_likelihood(x, probes=0), "^probes: expected"),
        (
            lambda: labelled.denoise(x, 0.5, labels=1, guidance=-1.0),
            "^guidance: expected a number ≥ 0",
        ),
        (lambda: labelled.denoise(x, 0.5, labels=3), "^labels: expected"),
        (lambda: labelled.denoise(x, 0.5, labels=[0, 1]), "^labels: expected"),
        (lambda: labelled.check_data(x), "^y: expected integers from 0 to 2"),
        (lambda: model.check_data(x, [0, 1, 2]), "^y: expected no target"),
        (
            lambda: model.check_data({"x": x, "noise": x[:2]}),
            "^noise: expected 3 rows",
        ),
        (lambda: model.check_data({"rows": x}), "^x: expected a dict of"),
        (
            lambda: Diffusion.conv((6, 7, 1), widths=(4, 4)),
            "^input_shape: expected .* divisible by 2",
        ),
        (lambda: Diffusion.dense((2,), widths=()), "^widths: expected at"),
        (lambda: Diffusion.dense((2,), target="x"), "^target: expected one of"),
        (
            lambda: Diffusion.dense((2,), schedule="cosine"),
            "^schedule: expected one of",
        ),
    ):
        with pytest.raises(ValueError, match=match):
            call()


def test_another_network_is_asked_at_once():
    rows = np.zeros((3, 2), "float32")
    model = Diffusion.dense((2,), widths=(8,), seed=0)
    first = model.velocity(rows, 0.5)
    model.network = Diffusion.dense((2,), widths=(8,), seed=1).network
    other = model.velocity(rows, 0.5)
    assert np.abs(first - other).max() > 1e-3
    twin = Diffusion.dense((2,), widths=(8,), seed=1)
    np.testing.assert_allclose(other, twin.velocity(rows, 0.5), atol=1e-6)
