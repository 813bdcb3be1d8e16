"""Autoregressive models: masks, Jacobians, exact sums, draws, errors."""

import itertools

import keras
import numpy as np
import pytest
import scipy.special
from keras import ops

from utils.baselines.mixtures import LevelMixture
from utils.models.autoregressive import (
    Autoregressive,
    MaskedConv2D,
    MaskedDense,
    PlaceBias,
    scan_orders,
)
from utils.nn import likelihoods
from utils.nn.backend import input_gradient
from utils.nn.likelihoods import (
    Bernoulli,
    Categorical,
    DiscretizedLogistic,
    Gaussian,
    LogisticMixture,
    OneHot,
    SquaredError,
)
from utils.training import recipes


def array(tensor):
    return ops.convert_to_numpy(tensor)


def states(levels, shape):
    """All examples there are, ``(levels ** d, *shape)``."""
    size = int(np.prod(shape))
    ids = np.array(list(itertools.product(range(levels), repeat=size)))
    return (ids / (levels - 1)).reshape(-1, *shape).astype("float32")


def jacobian(network, x):
    """Size of d raw_i / d x_j summed over an entry's numbers: ``(D, D)``."""
    size = x.size
    wide = ops.convert_to_tensor(np.repeat(x.reshape(1, *x.shape), size, 0))

    def own(rows):  # row i asks for its entry i alone
        raw = ops.reshape(network(rows), (size, size, -1))
        weight = np.arange(1, raw.shape[-1] + 1) ** 0.5  # no cancelling
        picked = ops.convert_to_tensor(np.eye(size)[:, :, None] * weight)
        return ops.sum(raw * ops.cast(picked, raw.dtype), axis=(1, 2))

    return array(input_gradient(own, wide)).reshape(size, size)


def awake(model, seed=0):
    """Weights of a size, biases included: nothing is 0 by chance."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [w + 0.3 * rng.standard_normal(w.shape) for w in model.get_weights()]
    )
    return model


# ------------------------------------------------------------------ the masks


def test_dense_mask_by_hand():
    # three entries, units that see up to place 0 and 1, in the order 2 0 1
    place = [1, 2, 0]
    hidden = MaskedDense(place, [0, 1]).mask.astype(int)
    assert hidden.tolist() == [[0, 1], [0, 0], [1, 1]]
    last = MaskedDense([0, 1], place, strict=True).mask.astype(int)
    assert last.tolist() == [[1, 1, 0], [0, 1, 0]]
    # a path from j to i exists exactly where j comes before i
    assert ((hidden @ last) > 0).tolist() == [
        [False, True, False],
        [False, False, False],
        [True, True, False],
    ]


def test_conv_masks_by_hand():
    a = MaskedConv2D(1, 3, own=False).mask.astype(int)
    b = MaskedConv2D(1, 3, own=True).mask.astype(int)
    assert a.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert b.tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 0]]


def test_layers_equal_numpy(rng):
    layer = MaskedDense([0, 1, 2], [1, 2, 0, 1], activation="tanh", seed=0)
    x = rng.normal(size=(5, 3)).astype("float32")
    out = array(layer(x))
    kernel, bias = layer.get_weights()
    wanted = np.tanh(x @ (kernel * layer.mask) + bias)
    np.testing.assert_allclose(out, wanted, atol=1e-5)
    conv = MaskedConv2D(2, 3, own=True, seed=0)
    image = rng.normal(size=(1, 3, 3, 1)).astype("float32")
    out = array(conv(image))
    kernel = conv.get_weights()[0][:, :, 0]
    seen = image[0, :2, :, 0] * conv.mask[:2]
    middle = np.einsum("ij,ijf->f", seen, kernel)
    np.testing.assert_allclose(out[0, 1, 1], middle, atol=1e-5)
    place = PlaceBias(seed=0)
    np.testing.assert_allclose(
        array(place(image)), image + place.get_weights()[0], atol=1e-6
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: MaskedDense(
            [0, 1], [1], strict=True, activation="relu", seed=3
        ),
        lambda: MaskedConv2D(2, 5, own=False, scale=0.1, seed=3),
        lambda: PlaceBias(seed=3),
    ],
    ids=["dense", "conv", "places"],
)
def test_layers_are_made_again_from_their_config(make):
    layer = make()
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaskedDense("ab", [0]), "^before: expected a sequence"),
        (lambda: MaskedDense([0], [-1]), "^after: expected"),
        (lambda: MaskedDense([0], [0.5]), "^after: expected"),
        (lambda: MaskedDense([0], []), "^after: expected"),
        (lambda: MaskedDense([0], [0], strict=1), "^strict: expected"),
        (lambda: MaskedConv2D(0, 3, own=True), "^filters: expected"),
        (lambda: MaskedConv2D(2, 4, own=True), "^kernel_size: expected an odd"),
        (lambda: MaskedConv2D(2, 3, own="A"), "^own: expected"),
    ],
)
def test_layers_refuse_wrong_arguments_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ------------------------------------------------------------- the Jacobians

ORDER = [3, 0, 5, 1, 2, 4]
NETWORKS = {
    "made": lambda: Autoregressive.made(
        (6,), widths=(12, 12), order=ORDER, seed=0, activation="tanh"
    ),
    "made, levels": lambda: Autoregressive.made(
        (2, 3, 1),
        likelihood=Categorical(4),
        widths=(12,),
        order=ORDER,
        seed=0,
        activation="tanh",
    ),
    "pixelcnn": lambda: Autoregressive.pixelcnn(
        (3, 4, 1),
        likelihood=LogisticMixture(5, 2),
        filters=4,
        first_kernel=7,
        kernel=1,
        seed=0,
        activation="tanh",
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_jacobian_is_zero_from_the_entry_on_and_nowhere_before(name, rng):
    model = awake(NETWORKS[name]())
    found = jacobian(model.network, rng.random(model.event_shape, "float32"))
    order = model.order or list(range(model.dimensions))
    found = found[np.ix_(order, order)]
    size = model.dimensions
    before = np.tri(size, k=-1, dtype=bool)
    assert np.all(found[~before] == 0.0)
    assert np.all(np.abs(found[before]) > 1e-7)


def test_blind_spot_of_small_kernels(rng):
    """The wedge to the upper right; a wide first kernel closes it."""
    seen = {}
    for first in (3, 9):
        model = Autoregressive.pixelcnn(
            (5, 5, 1),
            filters=4,
            first_kernel=first,
            depth=1,
            activation="tanh",
            seed=0,
        )
        found = jacobian(awake(model).network, rng.random((5, 5, 1), "float32"))
        seen[first] = found[3 * 5 + 1].reshape(5, 5) != 0  # pixel (3, 1)
    # two layers: up to two to the right in the row above, none behind it
    assert seen[3][2].tolist() == [True, True, True, False, False]
    assert not seen[3][0].any(), "and no farther up than two rows"
    assert seen[9][:3].all() and seen[9][3].tolist() == [True] + 4 * [False]


@pytest.mark.parametrize("name", scan_orders(3, 3))
def test_pixelcnn_in_each_of_eight_orders(name, rng):
    order = scan_orders(3, 3)[name]
    model = Autoregressive.pixelcnn(
        (3, 3, 1), order=order, filters=3, first_kernel=5, kernel=1, seed=0
    )  # refused if its network went another way
    assert model.order == order
    total = np.exp(awake(model).log_likelihood(states(2, (3, 3, 1)))).sum()
    assert total == pytest.approx(1, abs=1e-4)


def test_scan_orders_are_eight_and_different():
    orders = scan_orders(2, 3)
    assert orders["right, down"] == [0, 1, 2, 3, 4, 5]
    assert orders["left, down"] == [2, 1, 0, 5, 4, 3]
    assert orders["right, up"] == [3, 4, 5, 0, 1, 2]
    assert orders["down, right"] == [0, 3, 1, 4, 2, 5]
    assert orders["up, right"] == [3, 0, 4, 1, 5, 2]
    assert len({tuple(order) for order in orders.values()}) == 8


# --------------------------------------------------------------- exact numbers


def test_log_likelihood_of_one_layer_by_hand(rng):
    model = awake(Autoregressive.made((3,), widths=(), seed=0))
    kernel, bias = model.get_weights()
    kernel = np.triu(kernel, 1)
    x = states(2, (3,))
    p = scipy.special.expit((2 * x - 1) @ kernel + bias)
    wanted = np.log(np.where(x == 1, p, 1 - p)).sum(axis=1)
    np.testing.assert_allclose(model.log_likelihood(x), wanted, rtol=1e-5)
    bits = -wanted / (3 * np.log(2))
    np.testing.assert_allclose(model.bits_per_dim(x), bits, rtol=1e-5)


@pytest.mark.parametrize(
    ("likelihood", "levels"),
    [
        (Bernoulli(), 2),
        (Categorical(3), 3),
        (DiscretizedLogistic(3), 3),
        (LogisticMixture(3, 2), 3),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_probabilities_of_all_examples_sum_to_one(likelihood, levels):
    model = Autoregressive.made(
        (2, 2), likelihood=likelihood, widths=(7, 5), order=[2, 0, 3, 1], seed=0
    )
    x = states(levels, (2, 2))
    log_p = awake(model).log_likelihood(x)
    assert log_p.std() > 0.1
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-4)


def test_loss_entries_and_bits_are_one_number(rng):
    x = rng.integers(0, 5, (6, 4, 4, 1)).astype("float32") / 4
    model = Autoregressive.pixelcnn(
        (4, 4, 1), likelihood=LogisticMixture(5, 2), filters=4, seed=0
    )
    model.compile()
    found = model.evaluate(x, verbose=0, return_dict=True)
    entries = model.entry_log_likelihood(x)
    assert entries.shape == x.shape
    np.testing.assert_allclose(
        -entries.sum(axis=(1, 2, 3)).mean(), found["loss"], rtol=1e-5
    )
    bits = model.bits_per_dim(x).mean()
    assert found["bits"] == pytest.approx(bits, rel=1e-5)
    np.testing.assert_allclose(
        model.example_losses(x), -model.log_likelihood(x), rtol=1e-6
    )


def test_gaussian_entries_give_a_density_that_integrates_to_one():
    model = Autoregressive.made((2,), likelihood=Gaussian(0.7), seed=0)
    grid = np.linspace(-6, 6, 121)
    x = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    density = np.exp(model.log_likelihood(x))
    assert density.sum() * 0.1**2 == pytest.approx(1, abs=0.01)


# ------------------------------------------------------------------- drawing


def test_draws_have_the_probabilities_that_the_model_gives():
    model = Autoregressive.made(
        (3,), order=[1, 2, 0], widths=(8,), seed=0, one_hot=True
    )
    drawn = awake(model).sample(20_000, seed=1)
    share = np.bincount((drawn @ [4, 2, 1]).astype(int), minlength=8) / 20_000
    wanted = np.exp(model.log_likelihood(states(2, (3,))))
    assert np.abs(share - wanted).max() < 0.015  # four deviations: .014


def test_completion_draws_from_the_conditional_and_keeps_what_is_known():
    model = awake(Autoregressive.made((3,), order=[1, 2, 0], seed=0))
    x = np.tile(np.float32([1, 1, 0]), (10_000, 1))
    drawn = model.complete(x, [0, 1, 0], seed=1)
    assert np.all(drawn[:, 1] == 1)
    all_x = states(2, (3,))
    joint = np.exp(model.log_likelihood(all_x)) * (all_x[:, 1] == 1)
    wanted = joint.reshape(2, 2, 2)[:, 1] / joint.sum()
    ids = (drawn @ [2, 0, 1]).astype(int)
    share = np.bincount(ids, minlength=4) / 10_000
    assert np.abs(share - wanted.ravel()).max() < 0.02  # four deviations


def test_a_sample_takes_a_pass_for_each_entry(monkeypatch):
    from utils.models import autoregressive

    passes = []

    def counted(function):
        return lambda x: (passes.append(len(x)), function(x))[1]

    monkeypatch.setattr(autoregressive, "traced", counted)
    model = Autoregressive.made((6,), seed=0)
    model.sample(5, seed=0)
    assert passes == [5] * 6
    model.complete(np.ones((2, 6)), [1, 1, 1, 1, 0, 0], seed=0)
    assert passes[6:] == [2, 2]


def test_draws_repeat_with_their_seed():
    model = Autoregressive.made((6,), likelihood=LogisticMixture(5), seed=0)
    one, same, other = (model.sample(4, seed=s) for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert set(np.unique(one * 4)) <= set(range(5))


# ------------------------------------------------------------------ refusals


class Leaky(keras.layers.Layer):
    """Hands on its input, and a little of one entry to an earlier one."""

    def call(self, x):
        shifted = ops.pad(x, ((0, 0), (1, 0)))[:, :-1]
        return shifted + 0.01 * ops.pad(x[:, 4:5], ((0, 0), (1, 4)))


def test_network_that_looks_ahead_is_refused_with_the_pair():
    network = keras.Sequential([keras.Input((6,)), Leaky()])
    told = "entry 1, number 1 in the order, change with entry 4, number 4"
    with pytest.raises(ValueError, match=f"^network: expected .*{told}"):
        Autoregressive(network)


@pytest.mark.parametrize("size", [5, 300])
def test_mask_off_by_one_is_refused(size):
    places = np.arange(size)
    layer = MaskedDense(places, places)  # sees its own entry
    network = keras.Sequential([keras.Input((size,)), layer])
    with pytest.raises(ValueError, match="^network: .* change with entry"):
        Autoregressive(network)


def test_order_of_another_network_is_refused():
    network = Autoregressive.made((4,), order=[3, 2, 1, 0], seed=0).network
    assert Autoregressive(network, order=[3, 2, 1, 0]).order == [3, 2, 1, 0]
    with pytest.raises(ValueError, match="^network: expected"):
        Autoregressive(network)


def test_zero_weights_hide_nothing():
    layer = keras.layers.Dense(3, kernel_initializer="zeros")
    network = keras.Sequential([keras.Input((3,)), layer])
    with pytest.raises(ValueError, match="^network: expected"):
        Autoregressive(network)
    assert np.all(layer.get_weights()[0] == 0), "its weights are put back"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Autoregressive.made((3,), order=[0, 1]), "^order: expected"),
        (lambda: Autoregressive.made((3,), order=[0, 1, 1]), "^order: exp"),
        (lambda: Autoregressive.made((3,), likelihood=OneHot()), "^likelihood"),
        (
            lambda: Autoregressive.made((3,), likelihood=SquaredError()),
            "^likelihood: expected",
        ),
        (
            lambda: Autoregressive.made(
                (3,), likelihood=Gaussian(), one_hot=True
            ),
            "^one_hot: expected",
        ),
        (lambda: Autoregressive.pixelcnn((4, 4, 3)), "^input_shape: expected"),
        (lambda: Autoregressive.pixelcnn((4, 4)), "^input_shape: expected"),
        (
            lambda: Autoregressive.pixelcnn((2, 2, 1), order=[0, 3, 1, 2]),
            "^order: expected one of scan_orders",
        ),
        (
            lambda: Autoregressive.pixelcnn((4, 4, 1), first_kernel=4),
            "^first_kernel: expected an odd",
        ),
        (
            lambda: Autoregressive(
                Autoregressive.made((3,)).network,
                likelihood=likelihoods.Categorical(4),
            ),
            r"^network: expected outputs of shape \(12,\)",
        ),
        (lambda: Autoregressive("network"), "^network: expected a Keras"),
    ],
)
def test_bad_arguments_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_known_entries_behind_unknown_ones_are_refused():
    model = Autoregressive.made((3,), order=[2, 0, 1])
    x = np.zeros((2, 3))
    assert model.complete(x, [True, False, True], seed=0).shape == (2, 3)
    with pytest.raises(ValueError, match="^known: expected .* entry 0 behind"):
        model.complete(x, [True, False, False])
    with pytest.raises(ValueError, match="^known: expected booleans"):
        model.complete(x, [0.5, 0, 1])
    with pytest.raises(ValueError, match="^y: expected no target"):
        model.check_data(x, x)


# ------------------------------------------------------------------ learning


def test_pixelcnn_beats_independent_pixels_on_small_digits(digits):
    x, test = (
        rows.reshape(-1, 8, 8, 1)[:, 2:5]
        for rows in (digits.x_train, digits.x_test)
    )
    model = Autoregressive.pixelcnn(
        (3, 8, 1),
        likelihood=LogisticMixture(17, 2),
        filters=24,
        first_kernel=5,
        kernel=1,
        depth=1,
        seed=0,
    )
    recipes.compile(model, 1e-2, updates=4 * 37)
    model.fit(x, batch_size=32, epochs=4, verbose=0)
    alone = LevelMixture(17, 1).fit(x).score_samples(test).mean()
    assert model.log_likelihood(test).mean() > alone + 2


def test_made_learns_a_rule_in_an_order_that_suits_it(rng):
    """The last entry says how many of the others are 1: parity."""
    bits = rng.integers(0, 2, (600, 3)).astype("float32")
    x = np.column_stack([bits, bits.sum(axis=1) % 2])
    model = Autoregressive.made((4,), widths=(32,), seed=0)
    recipes.compile(model, 3e-2, updates=30 * 10)
    model.fit(x, batch_size=60, epochs=30, verbose=0)
    # log 8 nats for three coins, nothing for the rule
    assert -model.log_likelihood(x).mean() < np.log(8) + 0.1
