"""Corruption and tied dense: statistics, sharing, errors."""

import keras
import numpy as np
import pytest
from keras import ops

from utils.nn import backend, layers

X = np.full((400, 500), 0.5, "float32")


def corrupted(layer, x=X):
    return ops.convert_to_numpy(layer(x, training=True))


@pytest.mark.parametrize("amount", [0.1, 0.4, 2.5])
def test_corruption_gaussian_noise_has_the_stated_deviation(amount):
    noise = corrupted(layers.Corruption("gaussian", amount, seed=1)) - X
    # 200 000 draws: the standard error of the deviation is 0.16 %
    assert noise.std() == pytest.approx(amount, rel=0.01)
    assert noise.mean() == pytest.approx(0.0, abs=0.012 * amount)


@pytest.mark.parametrize("amount", [0.1, 0.5, 0.9])
def test_corruption_masking_zeroes_the_stated_share(amount):
    damaged = corrupted(layers.Corruption("masking", amount, seed=1))
    # standard error at most 0.0011; entries that stay are not rescaled
    assert np.mean(damaged == 0) == pytest.approx(amount, abs=0.006)
    assert set(np.unique(damaged)) == {0.0, 0.5}


@pytest.mark.parametrize("kind", ["gaussian", "masking"])
class TestCorruption:
    def test_corruption_every_row_gets_its_own_noise(self, kind):
        damaged = corrupted(layers.Corruption(kind, 0.5, seed=1))
        assert len(np.unique(damaged, axis=0)) == len(damaged)

    def test_corruption_two_calls_differ(self, kind):
        layer = layers.Corruption(kind, 0.5, seed=1)
        assert not np.array_equal(corrupted(layer), corrupted(layer))

    def test_corruption_same_seed_repeats_first_call(self, kind):
        first = corrupted(layers.Corruption(kind, 0.5, seed=3))
        second = corrupted(layers.Corruption(kind, 0.5, seed=3))
        np.testing.assert_array_equal(first, second)
        third = corrupted(layers.Corruption(kind, 0.5, seed=4))
        assert not np.array_equal(first, third)

    @pytest.mark.parametrize("training", [False, None])
    def test_corruption_inference_is_identity(self, kind, training):
        layer = layers.Corruption(kind, 0.5, seed=1)
        result = ops.convert_to_numpy(layer(X, training=training))
        np.testing.assert_array_equal(result, X)

    def test_corruption_amount_zero_is_identity(self, kind):
        layer = layers.Corruption(kind, 0, seed=1)
        np.testing.assert_array_equal(corrupted(layer), X)

    def test_corruption_has_one_generator_and_no_weights(self, kind):
        layer = layers.Corruption(kind, 0.5)
        layer(X)
        assert layer.weights == []
        assert len(layer.variables) == 1

    def test_corruption_half_precision_stays_half(self, kind):
        layer = layers.Corruption(kind, 0.5, seed=1, dtype="mixed_bfloat16")
        result = layer(ops.cast(X, "bfloat16"), training=True)
        assert keras.backend.standardize_dtype(result.dtype) == "bfloat16"

    def test_corruption_unknown_batch_size_keeps_shape(self, kind):
        inputs = keras.Input((4, 3))
        assert layers.Corruption(kind)(inputs).shape == (None, 4, 3)


def test_corruption_full_masking_leaves_nothing():
    assert not corrupted(layers.Corruption("masking", 1.0)).any()


def test_corruption_config_round_trip_keeps_every_argument():
    layer = layers.Corruption(
        "masking", 0.7, seed=5, name="damage", dtype="mixed_bfloat16"
    )
    again = layers.Corruption.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.kind, again.amount, again.seed) == ("masking", 0.7, 5)
    assert (again.name, again.compute_dtype) == ("damage", "bfloat16")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"kind": "salt"}, "kind: expected one of 'gaussian', 'masking'"),
        ({"amount": -0.1}, "amount: expected a number ≥ 0"),
        ({"amount": float("nan")}, "amount"),
        ({"amount": "0.3"}, "amount"),
        ({"kind": "masking", "amount": 1.1}, "amount: expected a number from"),
    ],
)
def test_corruption_wrong_argument_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        layers.Corruption(**arguments)


# ------------------------------------------------------------- tied dense


def tied_pair(activation=None, **keywords):
    dense = keras.layers.Dense(3, name="dense")
    inputs = keras.Input((5,))
    code = dense(inputs)
    tied = layers.TiedDense(dense, activation, name="tied", **keywords)
    return keras.Model(inputs, tied(code)), dense, tied


def test_tied_dense_output_equals_numpy(rng):
    model, dense, tied = tied_pair("tanh")
    kernel, bias = dense.get_weights()
    tied.bias.assign(np.arange(5.0))
    x = rng.normal(size=(4, 5)).astype("float32")
    expected = np.tanh((x @ kernel + bias) @ kernel.T + np.arange(5.0))
    value = ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_tied_dense_changed_kernel_changes_both(rng):
    model, dense, _ = tied_pair()
    dense.set_weights([np.zeros((5, 3)), np.zeros(3)])
    assert not ops.convert_to_numpy(model(rng.normal(size=(4, 5)))).any()


def test_tied_dense_owns_a_bias_only():
    model, dense, tied = tied_pair()
    assert model.count_params() == 5 * 3 + 3 + 5
    assert [tuple(w.shape) for w in model.trainable_weights] == [
        (5, 3),
        (3,),
        (5,),
    ]
    assert tied.compute_output_shape((None, 3)) == (None, 5)


def test_tied_dense_gradient_reaches_kernel_through_both_uses(rng):
    # derivative of mean (x W Wᵀ − x)² by W has one term for each use
    model, dense, _ = tied_pair()
    kernel = rng.normal(size=(5, 3)).astype("float32")
    x = rng.normal(size=(8, 5)).astype("float32")
    dense.set_weights([kernel, np.zeros(3, "float32")])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model.fit(x, x, batch_size=8, epochs=1, verbose=0)
    residual = x @ kernel @ kernel.T - x
    scale = 2 / residual.size
    gradient = scale * (x.T @ residual + residual.T @ x) @ kernel
    np.testing.assert_allclose(
        dense.get_weights()[0], kernel - 0.01 * gradient, rtol=1e-4, atol=1e-6
    )


def test_tied_dense_saved_model_keeps_outputs_and_tie(tmp_path, rng):
    model, _, _ = tied_pair("tanh")
    x = rng.normal(size=(4, 5)).astype("float32")
    model.save(tmp_path / "tied.keras")
    loaded = keras.saving.load_model(tmp_path / "tied.keras")
    np.testing.assert_allclose(
        ops.convert_to_numpy(loaded(x)),
        ops.convert_to_numpy(model(x)),
        rtol=1e-6,
    )
    assert loaded.get_layer("tied").tied_to is loaded.get_layer("dense")
    assert loaded.get_layer("tied").activation is keras.activations.tanh
    assert len(loaded.weights) == 3


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float32"])
def test_tied_dense_dtype_decides_output_dtype(dtype):
    model, _, tied = tied_pair(dtype=dtype)
    out = keras.backend.standardize_dtype(model(np.ones((2, 5))).dtype)
    assert out == tied.compute_dtype
    assert tied.bias.dtype == "float32"


@pytest.mark.parametrize(
    "other", [None, keras.layers.Dense(3), keras.layers.Flatten()]
)
def test_tied_dense_without_built_dense_refused(other):
    with pytest.raises(ValueError, match="tied_to: expected a built"):
        layers.TiedDense(other)


# --------------------------------------------------------------- sampling


def drawn(layer, mean, log_var):
    return ops.convert_to_numpy(
        layer((ops.convert_to_tensor(mean), ops.convert_to_tensor(log_var)))
    )


def test_sampling_draws_have_the_stated_mean_and_deviation():
    mean = np.full((200_000, 1), 2.0, "float32")
    log_var = np.full_like(mean, 2 * np.log(0.5))
    z = drawn(layers.Sampling(seed=1), mean, log_var)
    # standard errors 0.0011 and 0.0008
    assert z.mean() == pytest.approx(2.0, abs=0.005)
    assert z.std() == pytest.approx(0.5, abs=0.004)


def test_sampling_log_var_minus_sixty_gives_the_mean(rng):
    mean = rng.normal(size=(50, 3)).astype("float32")
    z = drawn(layers.Sampling(seed=1), mean, np.full_like(mean, -60))
    np.testing.assert_allclose(z, mean, atol=1e-6)


def test_sampling_two_passes_differ_and_a_reset_repeats():
    layer = layers.Sampling(seed=1)
    zeros = np.zeros((20, 3), "float32")
    state = ops.convert_to_numpy(layer.seed_generator.state).copy()
    first, second = drawn(layer, zeros, zeros), drawn(layer, zeros, zeros)
    assert not np.array_equal(first, second)
    layer.seed_generator.state.assign(state)
    np.testing.assert_array_equal(drawn(layer, zeros, zeros), first)
    again = drawn(layers.Sampling(seed=1), zeros, zeros)
    np.testing.assert_array_equal(again, first)


def test_sampling_gradients_reach_mean_and_log_var():
    # d/dμ Σ z = 1 and d/d(log σ²) Σ z = ½ σ ε
    state = layers.Sampling(seed=4)
    mean = np.zeros((30, 2), "float32")
    log_var = np.full_like(mean, np.log(4.0))
    start = ops.convert_to_numpy(state.seed_generator.state).copy()
    noise = drawn(state, mean, log_var) / 2.0

    def gradient(function, at):
        state.seed_generator.state.assign(start)
        return ops.convert_to_numpy(backend.input_gradient(function, at))

    np.testing.assert_allclose(
        gradient(lambda m: state((m, ops.convert_to_tensor(log_var))), mean), 1
    )
    np.testing.assert_allclose(
        gradient(lambda v: state((ops.convert_to_tensor(mean), v)), log_var),
        noise,
        atol=1e-5,
    )


def test_sampling_config_and_state():
    layer = layers.Sampling(seed=5, name="z", dtype="mixed_bfloat16")
    again = layers.Sampling.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.seed == 5
    assert (layer.weights, len(layer.variables)) == ([], 1)
    pair = (keras.Input((4,)), keras.Input((4,)))
    symbolic = again(pair)
    assert symbolic.shape == (None, 4)
    assert symbolic.dtype == "bfloat16"


# -------------------------------------------------------- vector quantizer


def test_quantizer_picks_the_nearest_row(rng):
    layer = layers.VectorQuantizer(7, 3, seed=0)
    x = rng.normal(size=(4, 2, 5, 3)).astype("float32")
    chosen, ids = layer(x)
    book = ops.convert_to_numpy(layer.codebook)
    distances = ((x[..., None, :] - book) ** 2).sum(axis=-1)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ids), distances.argmin(axis=-1)
    )
    nearest = book[distances.argmin(axis=-1)]
    np.testing.assert_allclose(ops.convert_to_numpy(chosen), nearest, atol=1e-6)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(layer.lookup(ids)), nearest
    )


def test_quantizer_hands_the_gradient_straight_through(rng):
    layer = layers.VectorQuantizer(7, 3, seed=0)
    x, weight = rng.normal(size=(2, 10, 3)).astype("float32")
    gradient = backend.input_gradient(
        lambda value: ops.multiply(layer(value)[0], weight), x
    )
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), weight)


def test_quantizer_config_round_trip_and_shapes():
    layer = layers.VectorQuantizer(7, 3, seed=2, name="vq")
    again = layers.VectorQuantizer.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.codebook_size, again.code_dim, again.seed) == (7, 3, 2)
    chosen, ids = again(keras.Input((4, 4, 3)))
    assert chosen.shape == (None, 4, 4, 3)
    assert (ids.shape, ids.dtype) == ((None, 4, 4), "int32")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((1, 3), "codebook_size: expected an integer ≥ 2"),
        ((4, 0), "code_dim: expected an integer ≥ 1"),
    ],
)
def test_quantizer_wrong_argument_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        layers.VectorQuantizer(*arguments)


def test_quantizer_starts_from_seeded_rows_of_length_about_one():
    book, same, other = (
        ops.convert_to_numpy(layers.VectorQuantizer(4000, 16, seed).codebook)
        for seed in (0, 0, 1)
    )
    assert book.std() == pytest.approx(16**-0.5, rel=0.02)
    np.testing.assert_array_equal(book, same)
    assert not np.array_equal(book, other)


def test_quantizer_half_precision_still_compares_in_float32():
    layer = layers.VectorQuantizer(2, 1, dtype="mixed_bfloat16")
    assert layer.built is True
    assert layer.codebook.name == "codebook"
    # bfloat16 would hold both rows as 1
    layer.codebook.assign([[1.002], [1.001]])
    chosen, ids = layer(ops.cast([[1.0]], "bfloat16"))
    assert ops.convert_to_numpy(ids).tolist() == [1]
    assert keras.backend.standardize_dtype(chosen.dtype) == "bfloat16"


# ------------------------------------------------------------------- of all


IDS = np.array([[0, 0, 0, 0, 1]])
PULLS = np.array([[1.0, 2.0, -2.5, 1.0, 1.0]])  # dL/d(row), an occurrence


def adam_by_hand(gradient, steps, rate, b1=0.9, b2=0.999):
    """Where Adam (Kingma & Ba 2015) takes zeros under one gradient."""
    value, first, second = (np.zeros_like(gradient) for _ in range(3))
    for t in range(1, steps + 1):
        first = b1 * first + (1 - b1) * gradient
        second = b2 * second + (1 - b2) * gradient**2
        ratio = (first / (1 - b1**t)) / np.sqrt(second / (1 - b2**t))
        value -= rate * np.nan_to_num(ratio)
    return value


class LookUp(keras.layers.Layer):
    """Rows of a quantizer's code book, by their numbers."""

    def __init__(self):
        super().__init__()
        self.quantizer = layers.VectorQuantizer(3, 1)
        self.quantizer.codebook.assign(np.zeros((3, 1)))

    def call(self, ids):
        return self.quantizer.lookup(ops.cast(ids, "int32"))


def three_steps_of_adam(layer, eagerly):
    """The table after row 0 was pulled four times a step, row 1 once."""
    model = keras.Sequential([layer, keras.layers.Flatten()])
    model.compile(
        keras.optimizers.Adam(0.1),
        lambda pulls, rows: ops.sum(pulls * rows),
        run_eagerly=eagerly,
    )
    model.fit(IDS, PULLS, epochs=3, verbose=0)
    (table,) = model.get_weights()
    return table


@pytest.mark.parametrize("eagerly", [True, False])
@pytest.mark.parametrize(
    "layer",
    [LookUp, lambda: layers.Embedding(3, 1, embeddings_initializer="zeros")],
    ids=["code book", "embedding"],
)
def test_k10_row_looked_up_often_learns_as_adam_says(layer, eagerly):
    with np.errstate(invalid="ignore"):  # the row that nobody looks up
        expected = adam_by_hand(np.array([[1.5], [1.0], [0.0]]), 3, 0.1)
    table = three_steps_of_adam(layer(), eagerly)
    assert table == pytest.approx(expected, abs=1e-4)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a trap of TensorFlow"
)
def test_k10_plain_embedding_squares_each_occurrence():
    """Should this fail one day, Keras adds up first: drop our layer."""
    plain = keras.layers.Embedding(3, 1, embeddings_initializer="zeros")
    table = three_steps_of_adam(plain, eagerly=False)
    # every step moves by rate · g/√Σ gᵢ², the same in all three
    expected = 0.3 * 1.5 / np.sqrt(np.sum(PULLS[0, :4] ** 2))
    assert table[0, 0] == pytest.approx(-expected, abs=1e-4)


def test_take_rows_keeps_the_shape_of_the_numbers(rng):
    table = rng.random((4, 3))
    ids = rng.integers(0, 4, (2, 5))
    rows = ops.convert_to_numpy(layers.take_rows(table, ids))
    assert np.array_equal(rows, table[ids].astype(rows.dtype))


def test_embedding_half_precision_and_config():
    layer = layers.Embedding(4, 3, mask_zero=True, dtype="mixed_float16")
    again = layers.Embedding.from_config(layer.get_config())
    ids = np.array([[0.0, 3.0]])
    assert keras.backend.standardize_dtype(again(ids).dtype) == "float16"
    mask = ops.convert_to_numpy(again.compute_mask(ids))
    assert mask.tolist() == [[False, True]]


def test_layers_are_registered_under_the_name_that_files_hold():
    assert layers.PACKAGE == "unsupervised"
    for name in set(layers.__all__) - {"table_shape", "take_rows"}:
        registered = keras.saving.get_registered_name(getattr(layers, name))
        assert registered == f"unsupervised>{name}"


@pytest.mark.parametrize("kind", ["gaussian", "masking"])
def test_corruption_without_a_word_is_inference_and_keeps_masks(kind):
    layer = layers.Corruption(kind, 0.5, seed=1)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(X)), X)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.call(X)), X)
    assert layer.supports_masking is True


def test_tied_dense_names_its_bias_and_takes_more_axes():
    _, _, tied = tied_pair()
    assert tied.bias.name == "bias"
    assert tied.compute_output_shape((None, 7, 3)) == (None, 7, 5)


def test_sampling_half_precision_stays_half():
    layer = layers.Sampling(seed=1, dtype="mixed_bfloat16")
    zeros = ops.zeros((2, 3), "bfloat16")
    assert keras.backend.standardize_dtype(layer((zeros, zeros)).dtype) == (
        "bfloat16"
    )


def test_table_shape_builds_a_table_and_refuses_other_layers():
    table = layers.Embedding(4, 3)
    assert layers.table_shape(table, "table") == (4, 3)
    assert table.embeddings.shape == (4, 3)
    with pytest.raises(ValueError, match="table: .*Embedding.*Dense"):
        layers.table_shape(keras.layers.Dense(3), "table")
