"""Autoencoders: architectures, objectives, ways to fit, errors.

What all models promise alike is tested in ``test_contracts.py``.
"""

import keras
import numpy as np
import pytest
from keras import ops

from utils import data, metrics
from utils.models.autoencoders import (
    Autoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
    TiedAutoencoder,
)
from utils.nn import losses, networks
from utils.nn.likelihoods import Bernoulli, Categorical, SquaredError

BACKEND = keras.backend.backend()
FLAT, IMAGE = (64,), (8, 8, 1)


@pytest.fixture(scope="module")
def rows(digits):
    return digits.x_train[:200]


def number(tensor):
    """A scalar tensor as a float; PyTorch's may still carry a gradient."""
    return float(ops.convert_to_numpy(tensor))


def compiled(model, rate=1e-3, **options):
    model.compile(keras.optimizers.Adam(rate), **options)
    return model


# ------------------------------------------------------------ architecture


@pytest.mark.parametrize(
    ("size", "widths", "latent_dim"),
    [
        (100, (), 32),
        (100, (), 50),
        (784, (128,), 64),
        (784, (128, 64), 12),
    ],
)
@pytest.mark.parametrize("tied", [False, True])
def test_dense_widths_of_the_articles_give_the_counted_parameters(
    size, widths, latent_dim, tied
):
    cls = TiedAutoencoder if tied else Autoencoder
    model = cls.dense((size,), latent_dim, widths=widths)
    chain = [size, *widths, latent_dim, *widths[::-1], size]
    pairs = list(zip(chain, chain[1:], strict=False))
    kernels = sum(a * b for a, b in pairs)
    biases = sum(chain[1:])
    expected = kernels // 2 + biases if tied else kernels + biases
    assert model.count_params() == expected


def test_linear_model_is_one_affine_map(rows):
    model = Autoencoder.dense(FLAT, 5, widths=(), seed=0)
    w, b, v, c = model.get_weights()
    np.testing.assert_allclose(
        model.reconstruct(rows), (rows @ w + b) @ v + c, atol=1e-5
    )


LIKELIHOODS = {
    "linear": SquaredError(),
    "sigmoid": SquaredError("sigmoid"),
    "bernoulli": Bernoulli(),
}


@pytest.mark.parametrize("output", LIKELIHOODS)
@pytest.mark.parametrize("network", ["dense", "conv"])
def test_decode_of_encode_equals_reconstruct(network, output, rows):
    shape = FLAT if network == "dense" else IMAGE
    make = getattr(Autoencoder, network)
    model = make(shape, 6, widths=(4,), likelihood=LIKELIHOODS[output], seed=0)
    x = rows.reshape(-1, *shape)
    np.testing.assert_array_equal(
        model.decode(model.encode(x)), model.reconstruct(x)
    )


def test_verbs_more_rows_than_one_piece_keep_their_order(rng):
    model = Autoencoder.dense((6,), 2, widths=(4,), seed=0)
    x = rng.random((2500, 6))
    codes = model.encode(x)
    assert codes.shape == (2500, 2)
    np.testing.assert_allclose(
        codes[2000:2010], model.encode(x[2000:2010]), atol=1e-6
    )
    assert model.example_losses(x).shape == (2500,)


@pytest.mark.parametrize("output", ["sigmoid", "bernoulli"])
def test_bounded_output_stays_in_unit_interval_and_linear_does_not(output, rng):
    codes = 50 * rng.normal(size=(20, 5))
    bounded = Autoencoder.dense(
        FLAT, 5, likelihood=LIKELIHOODS[output], seed=0
    ).decode(codes)
    assert 0 <= bounded.min() <= bounded.max() <= 1
    assert Autoencoder.dense(FLAT, 5, seed=0).decode(codes).max() > 1


def test_same_seed_same_model_and_other_seed_another():
    first, second, third = (
        Autoencoder.dense(FLAT, 5, seed=seed).get_weights()
        for seed in (1, 1, 2)
    )
    for a, b, c in zip(first, second, third, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.ndim == 1 or not np.array_equal(a, c)


# --------------------------------------------------------------- objectives


def pca_residual(x, k):
    """Mean squared distance of the rows to their best k-dimensional plane."""
    centered = x.astype("float64") - x.mean(axis=0)
    values = np.linalg.svd(centered, compute_uv=False)
    return float((values[k:] ** 2).sum() / len(x))


@pytest.mark.slow  # on PyTorch, which Keras drives slowly
@pytest.mark.parametrize("seed", range(3))
def test_linear_autoencoder_finds_the_pca_subspace(seed):
    x, _ = data.make_toy("subspace", 500, seed=seed)
    model = Autoencoder.dense((20,), 5, widths=(), seed=seed)
    schedule = keras.optimizers.schedules.CosineDecay(0.02, 500)
    model.compile(keras.optimizers.Adam(schedule))
    many = np.tile(x, (100, 1))  # 100 passes as one epoch: less overhead
    model.fit(many, batch_size=100, epochs=1, verbose=0)
    loss = model.evaluate(x, batch_size=500, verbose=0, return_dict=True)
    floor = pca_residual(x, 5)
    assert loss["loss"] >= floor * (1 - 1e-5)  # float32 rounding only
    assert loss["loss"] <= 1.02 * floor
    directions = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][:5]
    decoder = model.decoder.get_layer("flat_output").get_weights()[0]
    cosines = metrics.principal_angle_cosines(decoder.T, directions.T)
    assert cosines.min() > 0.99


def test_bernoulli_loss_is_nats_per_example_and_never_below_entropy(rows):
    model = compiled(
        Autoencoder.dense(FLAT, 8, widths=(32,), seed=0, likelihood=Bernoulli())
    )
    result = model.evaluate(rows, batch_size=200, verbose=0, return_dict=True)
    p = model.predict(rows, batch_size=200, verbose=0)["reconstruction"]
    p = p.astype("float64")
    by_hand = -(rows * np.log(p) + (1 - rows) * np.log(1 - p)).sum(axis=1)
    assert result["loss"] == pytest.approx(by_hand.mean(), rel=1e-4)
    inner = np.clip(rows.astype("float64"), 1e-12, 1 - 1e-12)
    entropy = -(inner * np.log(inner) + (1 - inner) * np.log(1 - inner))
    assert entropy.sum(axis=1).mean() < result["loss"] < 64 * np.log(2) * 2


def test_weight_penalty_of_a_layer_is_in_the_loss(rows):
    model = compiled(Autoencoder.dense(FLAT, 8, widths=(), seed=0))
    plain = model.evaluate(rows, batch_size=200, verbose=0, return_dict=True)
    kernel = model.encoder.get_layer("code").kernel
    kernel.regularizer = keras.regularizers.L2(10.0)
    model = compiled(model)
    penalised = model.evaluate(
        rows, batch_size=200, verbose=0, return_dict=True
    )
    extra = 10.0 * number(ops.sum(ops.square(kernel)))
    assert extra > 1
    assert penalised["loss"] - plain["loss"] == pytest.approx(extra, rel=1e-4)


@pytest.mark.parametrize("corruption", ["gaussian", "masking"])
def test_denoising_training_loss_is_against_the_clean_array(corruption, rows):
    model = DenoisingAutoencoder.dense(
        FLAT, 8, widths=(), corruption=corruption, amount=0.5, seed=0
    )
    twin = DenoisingAutoencoder.dense(
        FLAT, 8, widths=(), corruption=corruption, amount=0.5, seed=0
    )
    # the twin's generator is in the same state: it draws the same damage
    noisy = ops.convert_to_numpy(twin.corruption(rows, training=True))
    fit = compiled(model, 0.0).fit(rows, batch_size=200, epochs=1, verbose=0)
    reconstruction = twin.reconstruct(noisy)
    against_clean = ((rows - reconstruction) ** 2).sum(axis=1).mean()
    against_noisy = ((noisy - reconstruction) ** 2).sum(axis=1).mean()
    # fit shuffles, so the damage meets other rows: exact in the next test
    assert fit.history["loss"][0] == pytest.approx(against_clean, rel=0.06)
    assert abs(against_noisy - against_clean) > 0.12 * against_clean


def test_denoising_loss_exact_when_rows_keep_their_order(rows):
    settings = {"widths": (), "amount": 0.5, "seed": 0}
    model = DenoisingAutoencoder.dense(FLAT, 8, **settings)
    twin = DenoisingAutoencoder.dense(FLAT, 8, **settings)
    noisy = ops.convert_to_numpy(twin.corruption(rows, training=True))
    fit = compiled(model, 0.0).fit(
        rows, batch_size=200, epochs=1, verbose=0, shuffle=False
    )
    error = ((rows - twin.reconstruct(noisy)) ** 2).sum(axis=1).mean()
    assert fit.history["loss"][0] == pytest.approx(error, rel=1e-4)


def test_denoising_evaluate_and_predict_leave_the_input_undamaged(rows):
    settings = {"widths": (16,), "seed": 0}
    denoising = compiled(
        DenoisingAutoencoder.dense(FLAT, 8, amount=5.0, **settings)
    )
    plain = compiled(Autoencoder.dense(FLAT, 8, **settings))
    for model in (denoising, plain):
        model.evaluate(rows, batch_size=64, verbose=0)
    first = denoising.evaluate(rows, verbose=0, return_dict=True)
    assert first == pytest.approx(
        plain.evaluate(rows, verbose=0, return_dict=True), rel=1e-5
    )
    np.testing.assert_allclose(
        denoising.predict(rows, verbose=0)["code"],
        plain.predict(rows, verbose=0)["code"],
        atol=1e-5,
    )


def test_denoising_noisy_rows_beyond_the_range_are_reconstructed(rows):
    model = DenoisingAutoencoder.dense(FLAT, 8, seed=0, likelihood=Bernoulli())
    noisy = data.corrupt(rows, "gaussian", 0.8)
    assert noisy.min() < 0
    assert model.reconstruct(noisy).shape == rows.shape


def test_sparse_kl_penalty_equals_hand_computation(rows):
    model = SparseAutoencoder.dense(
        FLAT, 30, widths=(), weight=0.7, target=0.2, seed=0
    )
    rate = model.encode(rows).astype("float64").mean(axis=0)
    kl = 0.2 * np.log(0.2 / rate) + 0.8 * np.log(0.8 / (1 - rate))
    penalty = model.penalty(model(ops.convert_to_tensor(rows)))
    assert number(penalty) == pytest.approx(0.7 * kl.sum(), rel=1e-4)


def test_sparse_l1_penalty_equals_hand_computation(rows):
    model = SparseAutoencoder.dense(FLAT, 30, sparsity="l1", weight=0.2, seed=0)
    codes = model.encode(rows).astype("float64")
    penalty = model.penalty(model(ops.convert_to_tensor(rows)))
    assert number(penalty) == pytest.approx(
        0.2 * np.abs(codes).sum(axis=1).mean(), rel=1e-4
    )


@pytest.mark.parametrize("sparsity", ["kl", "l1"])
def test_sparse_larger_weight_gives_less_active_codes(sparsity, rows):
    activity = []
    for weight in (0.0, 5.0):
        model = SparseAutoencoder.dense(
            FLAT, 20, sparsity=sparsity, weight=weight, widths=(), seed=0
        )
        compiled(model, 0.01).fit(rows, batch_size=50, epochs=6, verbose=0)
        activity.append(np.abs(model.encode(rows)).mean())
    assert activity[1] < 0.8 * activity[0]


def test_contractive_jacobian_norm_equals_central_differences(rng):
    model = ContractiveAutoencoder.dense((6,), 3, seed=0)
    kernel, _ = (np.float64(w) for w in model.encoder.get_weights())
    bias = rng.normal(size=3)
    model.encoder.get_layer("code").bias.assign(bias)
    x, step = rng.random((4, 6)), 1e-5

    def encode(rows):
        return 1 / (1 + np.exp(-(rows @ kernel + bias)))

    columns = [
        (encode(x + step * e) - encode(x - step * e)) / (2 * step)
        for e in np.eye(6)
    ]
    oracle = (np.stack(columns, axis=-1) ** 2).sum(axis=(1, 2))
    norm = ops.convert_to_numpy(model.jacobian_norm(model.encode(x)))
    np.testing.assert_allclose(norm, oracle, rtol=1e-4)


def test_contractive_larger_weight_gives_flatter_codes(rows):
    norms = []
    for weight in (0.0, 20.0):
        model = ContractiveAutoencoder.dense(FLAT, 16, weight=weight, seed=0)
        compiled(model, 0.01).fit(rows, batch_size=50, epochs=5, verbose=0)
        norms.append(number(ops.mean(model.jacobian_norm(model.encode(rows)))))
    assert norms[1] < 0.5 * norms[0]


@pytest.mark.slow  # on PyTorch, which Keras drives slowly
@pytest.mark.parametrize(
    "make",
    [
        lambda: Autoencoder.dense(FLAT, 16, widths=(64,), seed=0),
        lambda: Autoencoder.dense(
            FLAT, 16, widths=(64,), seed=0, likelihood=SquaredError("sigmoid")
        ),
        lambda: DenoisingAutoencoder.dense(FLAT, 32, widths=(64,), seed=0),
        lambda: SparseAutoencoder.dense(
            FLAT, 64, widths=(), weight=0.01, seed=0
        ),
        lambda: ContractiveAutoencoder.dense(FLAT, 32, weight=0.01, seed=0),
        lambda: TiedAutoencoder.dense(FLAT, 16, widths=(64,), seed=0),
    ],
    ids=["dense", "sigmoid", "denoising", "sparse", "contractive", "tied"],
)
def test_training_beats_the_mean_image_on_held_out_digits(make, digits):
    baseline = metrics.mse(
        digits.x_val,
        np.broadcast_to(digits.x_train.mean(axis=0), digits.x_val.shape),
    )
    model = compiled(make(), 0.005)
    model.fit(digits.x_train, batch_size=64, epochs=6, verbose=0)
    error = metrics.mse(digits.x_val, model.reconstruct(digits.x_val))
    assert error < 0.85 * baseline


@pytest.mark.slow  # on PyTorch, which Keras drives slowly
def test_conv_training_beats_the_mean_image_on_held_out_digits(digits):
    shape = (-1, *IMAGE)
    train, val = digits.x_train.reshape(shape), digits.x_val.reshape(shape)
    mean = np.broadcast_to(train.mean(axis=0), val.shape)
    model = compiled(Autoencoder.conv(IMAGE, 16, widths=(8, 16), seed=0), 0.005)
    model.fit(train, batch_size=64, epochs=5, verbose=0)
    assert metrics.mse(val, model.reconstruct(val)) < 0.85 * metrics.mse(
        val, mean
    )


# ------------------------------------------------------ fit's other inputs


@pytest.fixture
def small():
    return compiled(Autoencoder.dense(FLAT, 6, widths=(), seed=0))


class Batches(keras.utils.PyDataset):
    """Rows in batches of 50, as Keras's own data-set class."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return len(self.x) // 50

    def __getitem__(self, index):
        return self.x[50 * index : 50 * (index + 1)]


def test_fit_data_set_gives_the_same_weights_as_the_array(rows, small):
    twin = compiled(Autoencoder.dense(FLAT, 6, widths=(), seed=0))
    small.fit(rows, batch_size=50, epochs=2, verbose=0, shuffle=False)
    twin.fit(Batches(rows), epochs=2, verbose=0, shuffle=False)
    for a, b in zip(small.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_fit_generator_accepted(rows, small):
    def batches():
        while True:
            yield (rows[:50],)

    small.fit(batches(), steps_per_epoch=3, epochs=1, verbose=0, shuffle=False)
    assert int(small.optimizer.iterations) == 3


def test_fit_list_of_lists_accepted(rows, small):
    small.fit(rows[:32].tolist(), epochs=1, verbose=0)
    assert int(small.optimizer.iterations) == 1


@pytest.mark.parametrize("form", ["array", "tuple", "data_set"])
def test_fit_validation_rows_reported_as_val_metrics(form, rows, small):
    validation = {
        "array": rows[100:],
        "tuple": (rows[100:],),
        "data_set": Batches(rows[100:]),
    }[form]
    history = small.fit(
        rows[:100], epochs=1, verbose=0, validation_data=validation
    ).history
    assert set(history) == {"loss", "mse", "val_loss", "val_mse"}
    after = small.evaluate(rows[100:], verbose=0, return_dict=True)
    assert history["val_loss"][0] == pytest.approx(after["loss"], rel=1e-4)


def test_evaluate_sample_weight_zero_removes_the_row(rows, small):
    weights = np.repeat([2.0, 0.0], 100)
    weighted = small.evaluate(
        rows, batch_size=200, sample_weight=weights, verbose=0
    )
    kept = small.evaluate(rows[:100], batch_size=200, verbose=0)
    assert weighted == pytest.approx(kept, rel=1e-4)


def test_fit_sample_weight_zero_teaches_nothing(rows, small):
    before = small.get_weights()
    small.fit(rows, sample_weight=np.zeros(200), epochs=1, verbose=0)
    for a, b in zip(small.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_fit_sample_weight_two_equals_the_row_twice(rows, small):
    twin = Autoencoder.dense(FLAT, 6, widths=(), seed=0)
    for model in (small, twin):
        model.compile(keras.optimizers.SGD(0.01))
    settings = {"epochs": 1, "verbose": 0, "shuffle": False}
    small.fit(rows[:4], sample_weight=np.array([2.0, 1, 1, 0]), **settings)
    twin.fit(rows[[0, 0, 1, 2]], **settings)
    for a, b in zip(small.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras refuses it on PyTorch")
def test_fit_several_steps_per_execution_gives_the_same_weights(rows, small):
    twin = compiled(
        Autoencoder.dense(FLAT, 6, widths=(), seed=0), steps_per_execution=4
    )
    for model in (small, twin):
        model.fit(rows, batch_size=50, epochs=2, verbose=0, shuffle=False)
    for a, b in zip(small.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"jit_compile": True}, {"jit_compile": False}, {"run_eagerly": True}],
    ids=["compiled", "not_compiled", "eager"],
)
def test_fit_compiled_or_eager_same_loss(options, rows):
    if BACKEND == "torch" and options.get("jit_compile"):
        pytest.skip("torch.compile needs a C++ compiler")
    model = compiled(Autoencoder.dense(FLAT, 6, widths=(), seed=0), **options)
    reference = compiled(Autoencoder.dense(FLAT, 6, widths=(), seed=0))
    settings = {"batch_size": 100, "epochs": 1, "verbose": 0}
    first, second = (
        one.fit(rows, shuffle=False, **settings).history["loss"][0]
        for one in (model, reference)
    )
    assert first == pytest.approx(second, rel=1e-4)


def test_early_stopping_returns_to_the_best_weights(rows, small):
    class Spoil(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch >= 2:  # the third epoch and those after are worse
                weights = self.model.get_weights()
                self.model.set_weights([w + 1.0 for w in weights])

    best = keras.callbacks.EarlyStopping(
        "val_loss", patience=2, restore_best_weights=True
    )
    history = small.fit(
        rows[:100],
        batch_size=50,
        epochs=12,
        verbose=0,
        validation_data=rows[100:],
        callbacks=[best, Spoil()],
    ).history["val_loss"]
    assert len(history) == 4
    assert np.argmin(history) == 1
    value = small.evaluate(rows[100:], verbose=0, return_dict=True)["loss"]
    assert value == pytest.approx(history[1], rel=1e-4)


def test_interrupted_fit_leaves_the_saved_file_readable(rows, small, tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations >= 6:
                raise KeyboardInterrupt

    path = tmp_path / "model.keras"
    keep = keras.callbacks.ModelCheckpoint(path)
    with pytest.raises(KeyboardInterrupt):
        small.fit(
            rows,
            batch_size=50,
            epochs=5,
            verbose=0,
            callbacks=[keep, Interrupt()],
        )
    loaded = keras.saving.load_model(path)
    assert int(loaded.optimizer.iterations) == 4
    assert np.isfinite(loaded.example_losses(rows)).all()
    # and the interrupted model goes on
    small.fit(rows, batch_size=50, epochs=1, verbose=0)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"latent_dim": 0}, "latent_dim: expected an integer ≥ 1"),
        ({"latent_dim": 2.5}, "latent_dim: expected an integer ≥ 1"),
        ({"latent_dim": True}, "latent_dim: expected an integer ≥ 1"),
        ({"latent_dim": 64}, "latent_dim: expected fewer than the 64"),
        ({"latent_dim": 100}, "latent_dim: expected fewer than the 64"),
        ({"input_shape": 64}, "input_shape: expected a tuple"),
        ({"input_shape": (8, 0)}, "input_shape"),
        ({"widths": 32}, "widths: expected a sequence"),
        ({"widths": (32, 0)}, r"widths\[1\]"),
        ({"likelihood": "mse"}, r"likelihood: expected .*SquaredError\(\)"),
        ({"seed": -1}, "seed"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_autoencoder_wrong_argument_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        Autoencoder.dense(**{"input_shape": FLAT, "latent_dim": 8, **arguments})


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"widths": ()}, "widths: expected at least one stage"),
        ({"input_shape": (9, 8, 1)}, "height and width divisible by 2"),
        ({"input_shape": FLAT}, "height, width, channels"),
    ],
)
def test_convolutional_autoencoder_wrong_argument_refused(arguments, match):
    arguments = {"input_shape": IMAGE, "widths": (4,), **arguments}
    with pytest.raises(ValueError, match=match):
        Autoencoder.conv(latent_dim=8, **arguments)


def test_unknown_keyword_is_named_with_the_class_method():
    match = r"Autoencoder.dense\(\) got an unexpected keyword .*'network'"
    with pytest.raises(TypeError, match=match):
        Autoencoder.dense(FLAT, 8, network="conv")


@pytest.mark.parametrize(
    ("cls", "arguments", "match"),
    [
        (
            DenoisingAutoencoder,
            {"corruption": "salt"},
            "corruption: expected one",
        ),
        (DenoisingAutoencoder, {"amount": -1}, "amount: expected"),
        (
            DenoisingAutoencoder,
            {"corruption": "masking", "amount": 2},
            "amount: expected a number from 0 to 1",
        ),
        (SparseAutoencoder, {"sparsity": "l2"}, "sparsity: expected one of"),
        (SparseAutoencoder, {"weight": -1}, "weight: expected"),
        (SparseAutoencoder, {"target": 0}, "target: expected"),
        (SparseAutoencoder, {"target": 1.5}, "target: expected"),
        (
            SparseAutoencoder,
            {"code_activation": "relu"},
            "encoder: expected one that ends in a sigmoid for sparsity='kl'",
        ),
        (ContractiveAutoencoder, {"weight": float("nan")}, "weight: expec"),
        (
            ContractiveAutoencoder,
            {"latent_dim": 80, "overcomplete": False},
            "latent_dim: expected fewer",
        ),
    ],
)
def test_variant_wrong_argument_refused(cls, arguments, match):
    with pytest.raises(ValueError, match=match):
        cls.dense(**{"input_shape": FLAT, "latent_dim": 8, **arguments})


@pytest.mark.parametrize(
    "encoder",
    [
        networks.dense_encoder(FLAT, 8, (16,), code_activation="sigmoid"),
        networks.dense_encoder(FLAT, 8, (), code_activation="relu"),
    ],
    ids=["two_layers", "relu"],
)
def test_contractive_needs_the_papers_encoder(encoder):
    decoder = networks.dense_decoder(8, FLAT, ())
    with pytest.raises(ValueError, match="encoder: expected one dense sigm"):
        ContractiveAutoencoder(encoder, decoder)


# ------------------------------------------------------ networks of one's own


@keras.saving.register_keras_serializable(package="tests")
class Doubled(keras.layers.Layer):
    """A layer of the user's, with a weight and an argument."""

    def __init__(self, power=1.0, **kwargs):
        super().__init__(**kwargs)
        self.power = power

    def build(self, shape):
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, x):
        return 2.0**self.power * self.factor * x

    def get_config(self):
        return {**super().get_config(), "power": self.power}


def own_networks():
    encoder = keras.Sequential(
        [
            keras.Input(IMAGE),
            keras.layers.Flatten(),
            keras.layers.Dense(6, "tanh"),
            Doubled(2.0),
        ]
    )
    z = keras.Input((6,))
    grid = keras.layers.Reshape(IMAGE)(keras.layers.Dense(64)(z))
    return encoder, keras.Model(z, grid)


@pytest.mark.parametrize(
    "cls", [Autoencoder, DenoisingAutoencoder], ids=lambda cls: cls.__name__
)
def test_own_networks_are_trained_saved_and_loaded(cls, rows, tmp_path):
    x = rows.reshape(-1, *IMAGE)
    model = compiled(cls(*own_networks(), likelihood=Bernoulli()), 0.01)
    model.fit(x, batch_size=50, epochs=2, verbose=0)
    model.save(tmp_path / "own.keras")
    loaded = keras.saving.load_model(tmp_path / "own.keras")
    assert loaded.encoder.layers[-1].power == 2.0
    assert isinstance(loaded.likelihood, Bernoulli)
    np.testing.assert_allclose(
        loaded.reconstruct(x), model.reconstruct(x), atol=1e-6
    )
    # the optimizer's moments are there too: both go on alike
    for one in (model, loaded):
        if cls is Autoencoder:
            one.fit(x, batch_size=50, epochs=1, verbose=0, shuffle=False)
    if cls is Autoencoder:
        np.testing.assert_allclose(loaded.encode(x), model.encode(x), atol=1e-5)


def test_networks_that_do_not_meet_are_refused_with_both_shapes():
    encoder, decoder = own_networks()
    narrow = networks.dense_decoder(5, IMAGE, ())
    with pytest.raises(ValueError, match=r"decoder.*\(6,\).*\(5,\)"):
        Autoencoder(encoder, narrow)
    small = networks.dense_decoder(6, (7, 8, 1), ())
    with pytest.raises(ValueError, match=r"\(8, 8, 1\).*\(7, 8, 1\)"):
        Autoencoder(encoder, small)
    grey = Categorical(levels=17)  # wants 17 channels
    with pytest.raises(ValueError, match=r"\(8, 8, 17\).*\(8, 8, 1\)"):
        Autoencoder(encoder, decoder, likelihood=grey)
    with pytest.raises(ValueError, match="encoder: expected a Keras model"):
        Autoencoder((8, 8, 1), 6)
    with pytest.raises(ValueError, match="encoder: .*keras.Sequential"):
        Autoencoder(keras.Sequential([keras.layers.Dense(6)]), decoder)


def _damaged(x, value):
    x = x.copy()
    x[3, 5] = value
    return x


BAD_ROWS = [
    ("sigmoid", lambda x: x * 255, r"values in \[0, 1\]; received maximum"),
    ("bernoulli", lambda x: x - 0.5, r"values in \[0, 1\]; received minimum"),
    ("bernoulli", lambda x: _damaged(x, 1.001), "received maximum 1.001"),
    ("linear", lambda x: _damaged(x, np.nan), "finite .* first in row 3"),
    ("linear", lambda x: _damaged(x, np.inf), "finite numbers"),
    ("linear", lambda x: x.reshape(-1, 8, 8), r"shape \(n, 64\)"),
    ("linear", lambda x: x[0], r"shape \(n, 64\)"),
    ("linear", lambda x: x[:, :63], r"shape \(n, 64\)"),
    ("linear", lambda x: x[:0], "at least one row"),
    ("linear", lambda x: x.astype(str), "real numbers"),
    ("linear", lambda x: x.astype(object), "real numbers"),
    ("linear", lambda x: [[1.0] * 64, [1.0] * 63], "rectangular"),
]
BAD_IDS = [
    "bytes",
    "standardised",
    "just_above_one",
    "nan",
    "infinite",
    "wrong_rank",
    "one_row",
    "wrong_width",
    "no_rows",
    "text",
    "objects",
    "ragged",
]


def refuses(call, match, *models):
    """The call raises, and neither weights nor optimizers have moved."""
    before = [model.get_weights() for model in models]
    with pytest.raises(ValueError, match=match):
        call()
    for model, weights in zip(models, before, strict=True):
        assert int(model.optimizer.iterations) == 0
        for a, b in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("output", "spoil", "match"), BAD_ROWS, ids=BAD_IDS)
@pytest.mark.parametrize("cls", [Autoencoder, DenoisingAutoencoder])
def test_bad_rows_refused_before_training(cls, output, spoil, match, rows):
    likelihood = LIKELIHOODS[output]
    model = compiled(
        cls.dense(FLAT, 6, widths=(), likelihood=likelihood, seed=0)
    )
    bad = spoil(rows)
    match = f"x: expected .*{match}"
    refuses(lambda: model.fit(bad, verbose=0), match, model)
    refuses(lambda: model.evaluate(bad, verbose=0), match, model)
    refuses(lambda: model.example_losses(bad), match, model)
    refuses(
        lambda: model.fit(rows, validation_data=bad, verbose=0),
        "validation_data: expected",
        model,
    )
    if "values in" not in match and "maximum" not in match:
        refuses(lambda: model.encode(bad), match, model)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m, x: m.fit(x, x), "y: expected no target"),
        (lambda m, x: m.fit(x, np.zeros(len(x))), "y: expected no target"),
        (lambda m, x: m.fit(x, y=x), "y: expected no target"),
        (lambda m, x: m.evaluate(x, x), "y: expected no target"),
        (
            lambda m, x: m.fit(x, validation_data=(x, x)),
            "y: expected no target",
        ),
        (lambda m, x: m.decode(x), r"z: expected shape \(n, 6\)"),
        (lambda m, x: m.decode(x[:, :6] * np.nan), "z: expected finite"),
    ],
)
def test_wrong_call_refused_before_training(call, match, rows, small):
    refuses(lambda: call(small, rows), match, small)


def test_loss_given_to_compile_refused_by_fit(rows):
    model = Autoencoder.dense(FLAT, 6, seed=0)
    model.compile("adam", loss="mse")
    refuses(lambda: model.fit(rows), "loss: expected none", model)


def test_refused_call_leaves_the_model_usable(rows, small):
    with pytest.raises(ValueError, match="finite"):
        small.fit(rows * np.nan, verbose=0)
    small.fit(rows, batch_size=100, epochs=1, verbose=0)
    assert int(small.optimizer.iterations) == 2


def test_standardised_rows_with_bounded_output_have_a_floor(rows):
    # why the range is checked: no weights bring the loss below this
    x = rows - rows.mean(axis=0)
    nearest = np.clip(x, 0, 1)
    floor = number(ops.mean(losses.squared_error(x, nearest)))
    assert floor > 0.3 * float((x**2).sum(axis=1).mean())


def test_fit_of_arrays_is_keras_own_fit():
    """Telling Keras the number of batches changes neither rows nor order."""
    rows = np.random.default_rng(0).random((70, 6)).astype("float32")
    found = []
    for fit in (Autoencoder.fit, keras.Model.fit):
        model = Autoencoder.dense((6,), 2, widths=(), seed=0)
        model.compile("adam", steps_per_execution=1)
        keras.utils.set_random_seed(3)
        history = fit(model, rows, batch_size=32, epochs=3, verbose=0).history
        assert len(history["loss"]) == 3
        found.append([history["loss"], *model.get_weights()])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
