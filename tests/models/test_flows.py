"""Flows: exact likelihoods, inverses, log-determinants, dequantisation."""

import keras
import numpy as np
import pytest
from contracts import EAGERLY
from keras import ops
from scipy import stats

from utils import data
from utils.data.toy import moons_log_density
from utils.models import flows
from utils.models.flows import (
    AffineCoupling,
    Flow,
    Marginals,
    Scaling,
    SplineCoupling,
)

RNG = np.random.default_rng(0)
CHESS = np.indices((4, 4, 1)).sum(axis=0) % 2


def array(tensor):
    return ops.convert_to_numpy(tensor)


def network(shape, parameters, seed=0, size=1.0):
    """One dense layer whose weights are not zero."""
    wanted = (*shape[:-1], parameters * shape[-1])
    kernel = keras.initializers.RandomNormal(stddev=size, seed=seed)
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Flatten(),
            keras.layers.Dense(8, "tanh", kernel_initializer=kernel),
            keras.layers.Dense(int(np.prod(wanted)), kernel_initializer=kernel),
            keras.layers.Reshape(wanted),
        ]
    )


def adapted(step, rows):
    step.adapt(rows)
    return step


GREY = RNG.integers(0, 5, (200, 3)) / 4.0
STEPS = {  # a step, and rows in its range
    "affine": lambda: (
        AffineCoupling(network((3,), 2), [1, 0, 1]),
        RNG.normal(size=(6, 3)),
    ),
    "affine of images": lambda: (
        AffineCoupling(network((4, 4, 1), 2), CHESS),
        RNG.normal(size=(6, 4, 4, 1)),
    ),
    "spline": lambda: (
        SplineCoupling(
            network((3,), 14, size=0.5), [1, 0, 0], bins=5, bound=2.0
        ),
        1.5 * RNG.normal(size=(6, 3)),
    ),
    "scaling": lambda: (
        adapted(Scaling((3,)), 2 + 3 * RNG.normal(size=(50, 3))),
        RNG.normal(size=(6, 3)),
    ),
    "marginals": lambda: (
        adapted(Marginals((3,), 5), (4 * GREY + RNG.random(GREY.shape)) / 5),
        # away from the cells' edges, where the slope jumps
        (RNG.integers(0, 5, (6, 3)) + 0.2 + 0.6 * RNG.random((6, 3))) / 5,
    ),
}


def numerical_log_dets(function, x, step=2e-3):
    """Log |det| of each row's Jacobian by central differences."""
    found = []
    size = x[0].size
    for row in x:
        moves = step * np.eye(size).reshape(size, *row.shape)
        both = np.concatenate([row + moves, row - moves]).astype("float32")
        z = array(function(ops.convert_to_tensor(both))).astype("float64")
        jacobian = (z[:size] - z[size:]).reshape(size, size) / (2 * step)
        found.append(np.linalg.slogdet(jacobian)[1])
    return np.array(found)


@pytest.mark.parametrize("name", STEPS)
def test_step_undoes_itself_and_knows_its_log_determinant(name):
    step, x = STEPS[name]()
    x = x.astype("float32")
    z, log_det = step.transform(ops.convert_to_tensor(x))
    back = array(step.inverse(z))
    # a flat piece, of slope 0.01, has a hundred times float32's rounding
    np.testing.assert_allclose(back, x, atol=1e-4)
    wanted = numerical_log_dets(lambda rows: step.transform(rows)[0], x)
    # float32 differences of 4e-3 hold three digits
    np.testing.assert_allclose(array(log_det), wanted, atol=2e-2)
    assert np.abs(wanted).min() > 1e-3, "a determinant of 1 tests nothing"


@pytest.mark.parametrize("name", STEPS)
def test_step_made_from_its_config_computes_the_same(name):
    step, x = STEPS[name]()
    again = type(step).from_config(step.get_config())
    again.set_weights(step.get_weights())
    x = ops.convert_to_tensor(x.astype("float32"))
    for one, other in zip(step.transform(x), again.transform(x), strict=True):
        np.testing.assert_allclose(array(one), array(other), rtol=1e-6)


@pytest.mark.parametrize("build", [Flow.real_nvp, Flow.spline])
def test_whole_flow_inverts_and_agrees_with_slogdet(build):
    model = spread(build((3,), 4, widths=(8,), seed=0))
    x = RNG.normal(size=(6, 3)).astype("float32")
    np.testing.assert_allclose(model.decode(model.encode(x)), x, atol=1e-5)
    z, log_det = model.transform(ops.convert_to_tensor(x))
    wanted = numerical_log_dets(lambda rows: model.transform(rows)[0], x)
    np.testing.assert_allclose(array(log_det), wanted, atol=2e-2)
    density = stats.norm.logpdf(array(z)).sum(axis=1) + wanted
    np.testing.assert_allclose(model.log_likelihood(x), density, atol=2e-2)


def spread(model, size=0.1, seed=0):
    """Weights that are not at their start, where couplings do nothing."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        moved = array(variable) + size * rng.normal(size=variable.shape)
        variable.assign(moved)
    return model


# ------------------------------------------------------- by hand, and exact


def test_affine_coupling_by_hand():
    flat = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(4, use_bias=True)]
    )
    # of each entry: shift, raw log-scale; the network sees (1, 0)
    flat.set_weights([np.array([[9.0, 9.0, 2.0, 0.5], [7.0] * 4]), np.zeros(4)])
    step = AffineCoupling(flat, [1, 0], limit=1e3)
    z, log_det = step.transform(ops.convert_to_tensor([[1.0, 3.0]]))
    wanted = [[1.0, 3.0 * np.exp(0.5) + 2.0]]
    np.testing.assert_allclose(array(z), wanted, rtol=1e-5)
    np.testing.assert_allclose(array(log_det), [0.5], rtol=1e-5)


def test_spline_is_the_identity_where_its_network_is_silent_and_outside():
    step = SplineCoupling(network((2,), 11), [1, 0], bins=4, bound=2.0)
    silent = network((2,), 11)
    silent.set_weights([np.zeros(w.shape) for w in silent.get_weights()])
    at_rest = SplineCoupling(silent, [1, 0], bins=4, bound=2.0)
    x = np.stack([np.ones(9), np.linspace(-3, 3, 9)], 1).astype("float32")
    z, log_det = at_rest.transform(ops.convert_to_tensor(x))
    np.testing.assert_allclose(array(z), x, atol=1e-5)
    np.testing.assert_allclose(array(log_det), 0.0, atol=1e-5)
    z, log_det = map(array, step.transform(ops.convert_to_tensor(x)))
    outside = np.abs(x[:, 1]) > 2
    np.testing.assert_allclose(z[outside], x[outside])
    np.testing.assert_allclose(log_det[outside], 0.0)
    assert np.all(np.diff(z[:, 1]) > 0), "a rising curve"
    assert np.abs(z[~outside] - x[~outside]).max() > 0.05


def test_new_flow_of_scaled_rows_is_the_diagonal_gaussian():
    x = (2 + 3 * RNG.normal(size=(500, 3))).astype("float32")
    model = Flow.real_nvp((3,), 2, widths=(4,), seed=0)
    model.before_training(x)
    gaussian = stats.norm(x.mean(axis=0), x.std(axis=0))
    wanted = gaussian.logpdf(x).sum(axis=1)
    # the step adds 0.001 to each deviation, for columns without spread
    np.testing.assert_allclose(model.log_likelihood(x), wanted, atol=0.02)


def test_new_flow_of_grey_levels_is_the_model_of_independent_pixels():
    model = Flow.real_nvp((3,), 2, widths=(4,), levels=5, seed=0)
    model.before_training(GREY)
    level = np.round(4 * GREY).astype(int)
    counts = np.stack([(level == k).sum(axis=0) for k in range(5)]) + 0.1
    tables = np.log(counts / (len(GREY) + 0.5))
    wanted = sum(tables[level[:, j], j] for j in range(3))
    found = model.log_likelihood(GREY, seed=1)
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    bits = -wanted.mean() / (3 * np.log(2))
    assert model.bits_per_dim(GREY, seed=1) == pytest.approx(bits, abs=1e-3)


def test_bound_by_many_draws_nears_masses_that_sum_to_one():
    model = spread(Flow.spline((2,), 2, widths=(4,), levels=3, bins=4, seed=0))
    middles = (np.arange(90) + 0.5) / 90
    v = np.stack(np.meshgrid(middles, middles, indexing="ij"), -1)
    nats = model.log_density(
        ops.convert_to_tensor(v.reshape(-1, 2).astype("float32"))
    )[1]
    fine = np.exp(array(nats)).reshape(3, 30, 3, 30)
    masses = fine.mean(axis=(1, 3)).ravel()  # of the nine pairs of levels
    # the grid's own error: the quantile is steep at the ends of [0, 1]
    assert masses.sum() == pytest.approx(1.0, abs=0.03)
    assert masses.max() > 2 * masses.min()
    pairs = np.stack(np.divmod(np.arange(9), 3), 1) / 2
    once = [model.log_likelihood(pairs, seed=seed) for seed in range(20)]
    often = model.log_likelihood(pairs, 60, seed=0)
    # deviation of the noise within a cell is below a half: of 60 draws .06
    np.testing.assert_allclose(often, np.log(masses), atol=0.3)
    assert np.mean(once) < np.log(masses).mean()


def test_density_integrates_to_one_over_the_plane():
    model = spread(Flow.spline((2,), 4, widths=(8,), seed=0))
    side = np.linspace(-9, 9, 151)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    total = np.exp(model.log_likelihood(grid)).sum() * (side[1] - side[0]) ** 2
    assert total == pytest.approx(1.0, abs=0.01)


def test_dequantisation_fills_the_whole_cell():
    model = Flow.real_nvp((2,), 2, widths=(4,), levels=3, seed=0)
    x = ops.convert_to_tensor(np.tile([[0.5, 1.0]], (4000, 1)))
    v = array(model.dequantized(ops.cast(x, "float32")))
    low, high = v.min(axis=0), v.max(axis=0)
    np.testing.assert_allclose(low, [1 / 3, 2 / 3], atol=1e-3)
    np.testing.assert_allclose(high, [2 / 3, 1.0], atol=1e-3)


def test_loss_is_the_mean_of_what_the_verb_says():
    model = spread(Flow.real_nvp((3,), 2, widths=(4,), seed=0))
    x = RNG.normal(size=(8, 3)).astype("float32")
    model.compile(run_eagerly=EAGERLY)
    loss = model.evaluate(x, verbose=0, return_dict=True)["loss"]
    nats = model.log_likelihood(x)
    assert loss == pytest.approx(-nats.mean(), rel=1e-5)
    assert model.example_losses(x) == pytest.approx(-nats, rel=1e-5)
    found = model.predict(x, verbose=0)["log_likelihood"]
    np.testing.assert_allclose(found, nats, rtol=1e-5)


def test_grey_levels_come_back_whole():
    model = Flow.spline((3,), 2, widths=(4,), levels=5, seed=0)
    model.before_training(GREY)
    np.testing.assert_allclose(model.decode(model.encode(GREY)), GREY)
    drawn = model.sample(50, seed=1)
    assert set(np.unique(4 * drawn)) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    np.testing.assert_array_equal(drawn, model.sample(50, seed=1))


def test_samples_have_the_moments_that_the_flow_was_given():
    model = Flow.real_nvp((2,), 2, widths=(4,), seed=0)
    x = np.array([[1.0, -3.0], [5.0, 1.0]] * 50)
    model.before_training(x.astype("float32"))  # N((3, −1), 2² I)
    drawn = model.sample(4000, seed=0)
    np.testing.assert_allclose(drawn.mean(axis=0), [3.0, -1.0], atol=0.15)
    np.testing.assert_allclose(drawn.std(axis=0), 2.0, atol=0.1)
    cold = model.sample(4000, temperature=0.5, seed=0)
    np.testing.assert_allclose(cold.std(axis=0), 1.0, atol=0.05)
    frozen = model.sample(3, temperature=0.0, seed=0)
    np.testing.assert_allclose(frozen, [[3.0, -1.0]] * 3, atol=0.01)


def test_adapting_steps_look_once():
    model = Flow.real_nvp((3,), 2, widths=(4,), seed=0)
    x = (2 + 3 * RNG.normal(size=(50, 3))).astype("float32")
    model.before_training(x)
    kept = model.get_weights()
    model.before_training(x + 100)
    for one, other in zip(kept, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# -------------------------------------------------------------- it learns


def test_training_comes_nearer_the_truth_than_a_gaussian():
    x, _ = data.make_toy("moons", 2000, seed=0)
    fresh, _ = data.make_toy("moons", 1000, seed=1)
    model = Flow.spline((2,), 2, widths=(16,), seed=0)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(x, batch_size=250, epochs=15, verbose=0)
    true = moons_log_density(fresh)
    gaussian = stats.multivariate_normal(x.mean(axis=0), np.cov(x.T))
    away = np.mean(true - gaussian.logpdf(fresh))
    near = np.mean(true - model.log_likelihood(fresh))
    assert near < 0.6 * away  # .2 of .9


# ------------------------------------------------------------------ errors


class Doubling(keras.layers.Layer):
    """Some step of a user's."""

    def transform(self, x):
        return 2.0 * x, ops.sum(0.0 * x, axis=1) + 3 * float(np.log(2.0))

    def inverse(self, z):
        return 0.5 * z


class Squaring(Doubling):
    def transform(self, x):
        return x * x, ops.sum(0.0 * x, axis=1)


class OneNumber(Doubling):
    def transform(self, x):
        return 2.0 * x, 1.0


class Bare(Doubling):
    def transform(self, x):
        return 2.0 * x


class Losing(Doubling):
    def transform(self, x):
        return x[:, :2], ops.sum(0.0 * x, axis=1)


def test_step_of_ones_own_is_taken():
    x = np.ones((2, 3))
    found = Flow((3,), [Doubling()]).log_likelihood(x)
    wanted = stats.norm(scale=0.5).logpdf(x).sum(axis=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize(
    "steps, message",
    [
        ([Squaring()], r"steps\[0\]: expected inverse"),
        ([Doubling(), Squaring()], r"steps\[1\]: expected inverse"),
        ([OneNumber()], r"steps\[0\]: .* one log_det a row"),
        ([Bare()], r"steps\[0\]: expected transform\(x\) → \(z, log_det\)"),
        ([Losing()], r"steps\[0\]: .* as many numbers"),
        ([keras.layers.Dense(3)], "without transform and inverse"),
        ([lambda x: x], "a Keras layer with transform and inverse"),
        ([], "a list of invertible layers"),
        (Doubling(), "a list of invertible layers"),
    ],
)
def test_flow_refuses_steps_that_are_none(steps, message):
    with pytest.raises(ValueError, match=message):
        Flow((3,), steps)


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: AffineCoupling(network((3,), 2), [1, 1, 1]),
            "mask: expected zeros and ones",
        ),
        (
            lambda: AffineCoupling(network((3,), 2), [1, 0.5, 0]),
            "mask: expected zeros and ones",
        ),
        (
            lambda: AffineCoupling(network((3,), 1), [1, 0, 1]),
            r"network: expected one from \(3,\).* to \(6,\)",
        ),
        (
            lambda: SplineCoupling(network((3,), 2), [1, 0, 1], bins=4),
            r"network: expected .* to \(33,\)",
        ),
        (lambda: Marginals((3,), 1), "levels: expected"),
        (lambda: Flow((3,), [Doubling()], levels=1), "levels: expected"),
        (lambda: Flow.real_nvp((1,), 2), "event_shape: expected at least two"),
        (lambda: Flow.spline((2,), 2, bins=1), "bins: expected"),
        (lambda: Flow.real_nvp((2,), 1), "num_couplings: expected"),
    ],
)
def test_wrong_arguments_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_data_are_refused_before_training():
    grey = Flow.real_nvp((3,), 2, widths=(4,), levels=5, seed=0)
    real = Flow.real_nvp((3,), 2, widths=(4,), seed=0)
    for model in (grey, real):
        model.compile(keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match="5 grey levels"):
        grey.fit(np.full((8, 3), 0.3), verbose=0)
    with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
        grey.fit(4 * GREY, verbose=0)
    with pytest.raises(ValueError, match="one value in column 1"):
        real.fit(np.array([[1.0, 2.0, 3.0], [0.0, 2.0, 1.0]] * 4), verbose=0)
    with pytest.raises(ValueError, match="y: expected no target"):
        real.fit(GREY, GREY, verbose=0)
    with pytest.raises(ValueError, match="num_samples: expected None"):
        real.log_likelihood(GREY, 3)
    with pytest.raises(ValueError, match="levels: expected grey levels"):
        real.bits_per_dim(GREY)


def test_masks_alternate_and_images_have_chessboards():
    masks = flows._masks((4, 4, 1), 6, seed=0)
    for one, other in zip(masks[::2], masks[1::2], strict=True):
        np.testing.assert_array_equal(one + other, 1.0)
    np.testing.assert_array_equal(masks[0], CHESS)
    assert not np.array_equal(masks[0], masks[2])


def test_marginals_of_pixels_that_never_change_can_be_undone():
    # MNIST's corners: one of 256 levels in 20 000 rows
    rows = np.zeros((20_000, 2), "float32")
    rows[:, 1] = 1.0
    cells = (255 * rows + RNG.random(rows.shape)) / 256
    step = adapted(Marginals((2,), 256), cells)
    x = np.linspace(0.1, 0.9, 999)[:, None] * np.ones(2)
    x = ops.convert_to_tensor(x.astype("float32"))
    back = step.inverse(step.transform(x)[0])
    np.testing.assert_allclose(array(back), array(x), atol=1e-3)
    assert Flow((2,), [step]).latent_shape == (2,)
