"""Every fault of chapters 01 and 02 and of the data handling, twice.

Each test first makes the fault happen in a few lines of its own, then shows
the right form beside it. The numbers are those of ``docs/errata.md``.
The faults of chapters 03 and 04 stand in ``test_errata_03.py`` and
``test_errata_04.py``, the tests of the page itself, for all chapters, at the
end of this file.
"""

import pathlib
import re
import types
import warnings

import keras
import numpy as np
import pytest
import scipy.special
import sklearn.cluster
import sklearn.datasets
import sklearn.decomposition
import sklearn.exceptions
import sklearn.metrics
import sklearn.mixture
import sklearn.neighbors
import sklearn.preprocessing
from keras import ops

from utils import data, metrics
from utils.models.autoencoders import Autoencoder, DenoisingAutoencoder
from utils.nn import backend, layers, losses
from utils.nn.likelihoods import Bernoulli, SquaredError

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "errata.md"
SOURCES = {
    f"chapter {path.stem.split('_')[0]}": path
    for path in sorted((ROOT / "source").glob("*.py"))
}
CATEGORIES = {"raises", "silent", "maths", "practice", "data", "claim"}
NEED_A_TEST = CATEGORIES - {"practice", "claim"}
MATTERS_OF_WORDS = 19  # claims and practices that no test can decide


# ------------------------------------------------------------------ helpers


def compiled(model, rate=0.01):
    model.compile(optimizer=keras.optimizers.Adam(rate))
    return model


def plain_network(*dense, width=64):
    """A bare stack of dense layers, as a reader would write it first."""
    return keras.Sequential(
        [keras.Input((width,))]
        + [keras.layers.Dense(units, name) for units, name in dense]
    )


def numpy_of(variable):
    return np.array(ops.convert_to_numpy(variable.value))


def noise(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)).astype("float32")


def pca_residual(x, k):
    pca = sklearn.decomposition.PCA(k).fit(x)
    return metrics.mse(x, pca.inverse_transform(pca.transform(x))), pca


def mean_baseline(train, test):
    """Held-out error of "predict the mean training row"."""
    return metrics.mse(test, np.broadcast_to(train.mean(axis=0), test.shape))


def set_identity(model):
    """Make a square linear autoencoder copy its input exactly."""
    size = model.latent_dim
    pair = [np.eye(size, dtype="float32"), np.zeros(size, "float32")]
    model.encoder.set_weights(pair)
    model.decoder.set_weights(pair)
    return model


@pytest.fixture(scope="module")
def iris():
    return sklearn.datasets.load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def trained(digits):
    """A sound autoencoder on digits after a short fit."""
    model = compiled(Autoencoder.dense((64,), 16, widths=(64,), seed=0), 0.003)
    history = model.fit(
        digits.x_train,
        validation_data=digits.x_val,
        epochs=8,
        batch_size=64,
        verbose=0,
    ).history
    return model, history


@pytest.fixture(scope="module")
def sgd_step():
    """One training step of a linear autoencoder, and its NumPy twin."""
    x, rate = noise(16, 10, seed=3), 0.01
    model = Autoencoder.dense((10,), 4, widths=(), seed=0)
    model.compile(optimizer=keras.optimizers.SGD(rate))
    before = [numpy_of(v).astype("float64") for v in model.trainable_variables]
    loss = float(model.train_on_batch(x, return_dict=True)["loss"])
    after = [numpy_of(v).astype("float64") for v in model.trainable_variables]

    w, b, v, c = before  # z = x w + b, x̂ = z v + c
    z = x @ w + b
    error = 2 * (z @ v + c - x) / len(x)  # ∂L/∂x̂ of L = mean ‖x − x̂‖²
    back = error @ v.T
    gradients = [x.T @ back, back.sum(0), z.T @ error, error.sum(0)]
    return types.SimpleNamespace(
        model=model,
        x=x,
        rate=rate,
        loss=loss,
        before=before,
        after=after,
        gradients=gradients,
    )


def assert_is_sgd_step(step):
    """θ_{t+1} = θ_t − η ∇L, with a finite gradient for every variable."""
    assert np.isfinite(step.loss)
    for old, new, gradient in zip(
        step.before, step.after, step.gradients, strict=True
    ):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-3
        np.testing.assert_allclose(
            new, old - step.rate * gradient, rtol=1e-4, atol=1e-6
        )


# ------------------------------------------- article 000: the autoencoder


def test_e009_formula_says_squared_error_code_says_cross_entropy():
    grey = np.full((3, 4), 0.5, "float32")
    perfect = keras.losses.binary_crossentropy(grey, grey)
    # a perfect reconstruction: 0 by the formula, log 2 a pixel by the code
    assert metrics.mse(grey, grey) == 0.0
    np.testing.assert_allclose(
        ops.convert_to_numpy(perfect), np.log(2), atol=1e-4
    )

    x = np.random.default_rng(0).random((6, 5), dtype="float32")
    linear = Autoencoder.dense((5,), 2, widths=(4,), seed=0)
    bernoulli = Autoencoder.dense(
        (5,), 2, widths=(4,), seed=0, likelihood=Bernoulli()
    )
    error = ((x - linear.reconstruct(x)) ** 2).sum(axis=1)
    np.testing.assert_allclose(linear.example_losses(x), error, rtol=1e-4)
    p = bernoulli.reconstruct(x).astype("float64")
    nats = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)
    np.testing.assert_allclose(bernoulli.example_losses(x), nats, rtol=1e-4)
    assert linear.likelihood.activation == "linear"
    assert isinstance(bernoulli.likelihood, Bernoulli)


def test_e010_bce_without_range_check_goes_negative(digits):
    x = noise(256, 16)
    careless = plain_network((8, "relu"), (16, "sigmoid"), width=16)
    careless.compile(keras.optimizers.Adam(0.03), "binary_crossentropy")
    if keras.backend.backend() == "torch":  # the one backend that checks
        with pytest.raises(RuntimeError, match="between 0 and 1"):
            careless.fit(x, x, verbose=0)
    else:
        history = careless.fit(x, x, epochs=10, verbose=0).history["loss"]
        assert history[-1] < -1.0 < 0.3 < history[0]  # looks like success …
        x_hat = ops.convert_to_numpy(careless(x))
        assert metrics.mse(x, x_hat) > 0.8 * np.mean(x**2)  # … and is none

    careful = compiled(
        Autoencoder.dense((16,), 8, seed=0, likelihood=Bernoulli())
    )
    with pytest.raises(ValueError, match=r"x: expected values in \[0, 1\]"):
        careful.fit(x, verbose=0)
    assert 0.0 <= digits.x_train.min() and digits.x_train.max() <= 1.0
    sound = Autoencoder.dense((64,), 8, seed=0, likelihood=Bernoulli())
    assert (sound.example_losses(digits.x_test) > 0).all()


def test_e011_relu_code_cannot_be_negative(digits):
    relu = Autoencoder.dense((64,), 16, code_activation="relu", seed=0)
    codes = relu.encode(digits.x_test)
    assert codes.min() == 0.0 and np.mean(codes == 0.0) > 0.2

    linear = Autoencoder.dense((64,), 16, seed=0)
    assert linear.encode(digits.x_test).min() < 0.0
    assert linear.encoder.layers[-1].activation is keras.activations.linear


def test_e012_end_to_end_model_has_no_code_to_offer(digits):
    x = digits.x_test[:20]
    only_whole = plain_network((8, "relu"), (64, "sigmoid"))
    assert only_whole(x).shape == (20, 64)  # all one can ask of it
    assert not hasattr(only_whole, "encoder")

    model = Autoencoder.dense((64,), 8, seed=0)
    whole = ops.convert_to_numpy(model(x)["reconstruction"])
    parts = ops.convert_to_numpy(model.decoder(model.encoder(x)))
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        model.decode(model.encode(x)), whole, rtol=1e-5, atol=1e-6
    )


def test_e013_builds_without_a_seed_differ(digits):
    first, second = (Autoencoder.dense((64,), 8) for _ in range(2))
    assert not np.allclose(
        first.encoder.get_weights()[0], second.encoder.get_weights()[0]
    )

    first, second = (
        Autoencoder.dense(digits.event_shape, 8, seed=1) for _ in range(2)
    )
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.encoder.input_shape == (None, 64)


# ------------------------------------------- article 001: the autoencoder


def test_e030_loss_is_not_a_difference_of_encoder_and_decoder():
    x = noise(20, 6)
    model = set_identity(
        Autoencoder.dense((6,), 6, widths=(), overcomplete=True, seed=0)
    )
    assert model.example_losses(x).max() < 1e-9

    # two very different networks, one the inverse of the other: still 0
    square, _ = np.linalg.qr(noise(6, 6, seed=1))
    square = (5.0 * square).astype("float32")
    zero = np.zeros(6, "float32")
    model.encoder.set_weights([square, zero])
    model.decoder.set_weights([np.linalg.inv(square), zero])
    distance = np.linalg.norm(model.encode(x) - model.reconstruct(x))
    assert distance > 10.0  # "encoder minus decoder", as the prose has it
    assert model.example_losses(x).max() < 1e-6  # input minus reconstruction

    model.decoder.set_weights([square, zero])
    assert model.example_losses(x).min() > 1.0


def test_e037_denoising_target_is_clean(digits):
    x = digits.x_train[:200]
    noisy = data.corrupt(x, "gaussian", 0.5, seed=0)
    # noisy in, noisy out: copying is perfect and nothing is denoised
    copier = set_identity(
        Autoencoder.dense((64,), 64, widths=(), overcomplete=True, seed=0)
    )
    assert copier.example_losses(noisy).max() < 1e-9
    copied = metrics.mse(x, copier.reconstruct(noisy))
    assert copied == pytest.approx(0.25, rel=0.05)

    model = set_identity(
        DenoisingAutoencoder.dense((64,), 64, widths=(), amount=0.5, seed=0)
    )
    x_tensor = ops.convert_to_tensor(x)
    outputs = model(x_tensor, training=True)
    loss = model.compute_loss(x_tensor, y_pred=outputs)
    loss = float(ops.convert_to_numpy(loss))
    assert loss == pytest.approx(64 * 0.25, rel=0.05)  # copying now costs


def test_e038_undefined_input_tensor():
    with pytest.raises(NameError, match="name 'inputs' is not defined"):
        keras.Model(
            inputs=keras.Input((64,)),
            outputs=keras.layers.Dense(8)(inputs),  # noqa: F821
        )

    model = Autoencoder.dense((64,), 8, widths=(32,), seed=0)
    assert model.encoder.input_shape == (None, 64)
    assert model.encoder.output_shape == (None, 8)


def test_e039_another_input_is_not_connected():
    elsewhere = keras.Input((64,))
    with pytest.raises(ValueError, match="not connected to"):
        keras.Model(keras.Input((64,)), keras.layers.Dense(8)(elsewhere))

    right = keras.Model(elsewhere, keras.layers.Dense(8)(elsewhere))
    assert right.output_shape == (None, 8)
    model = Autoencoder.dense((64,), 8, widths=(), seed=0)
    whole = keras.Model(
        model.encoder.input, model.decoder(model.encoder.output)
    )
    assert whole.output_shape == (None, 64)


def test_e040_without_activations_only_the_pca_subspace():
    x, _ = data.make_toy("subspace", 400)
    linear = compiled(Autoencoder.dense((20,), 5, widths=(), seed=0), 0.02)
    linear.fit(np.tile(x, (10, 1)), epochs=12, batch_size=200, verbose=0)
    residual, pca = pca_residual(x, 5)
    ratio = metrics.mse(x, linear.reconstruct(x)) / residual
    assert 1.0 - 1e-5 <= ratio < 1.02
    kernel = numpy_of(linear.decoder.get_layer("flat_output").kernel)
    cosines = metrics.principal_angle_cosines(pca.components_.T, kernel.T)
    assert cosines.min() > 0.99

    # a parabola, one code unit: depth without activations gains nothing
    t = np.linspace(-1, 1, 256, dtype="float32")
    curve = np.stack([t, t**2], axis=1)
    residual, _ = pca_residual(curve, 1)
    error = {}
    for activation in ("linear", "relu"):
        model = Autoencoder.dense(
            (2,), 1, widths=(16,), activation=activation, seed=0
        )
        compiled(model).fit(
            np.tile(curve, (10, 1)), epochs=4, batch_size=64, verbose=0
        )
        error[activation] = metrics.mse(curve, model.reconstruct(curve))
    assert error["linear"] > 0.999 * residual
    assert error["relu"] < 0.2 * residual


def test_e041_isotropic_noise_has_nothing_to_compress(digits, trained):
    pca = sklearn.decomposition.PCA(50).fit(noise(20_000, 100, seed=1))
    fresh = noise(4_000, 100, seed=2)
    left = metrics.mse(fresh, pca.inverse_transform(pca.transform(fresh)))
    assert left == pytest.approx(0.5, abs=0.01)  # 50 of 100 equal directions

    model, _ = trained  # a quarter of the 64 entries suffices for digits
    error = metrics.mse(digits.x_test, model.reconstruct(digits.x_test))
    assert error < 0.5 * mean_baseline(digits.x_train, digits.x_test)


def test_e042_training_error_alone_hides_overfitting(trained):
    x, held_out = noise(60, 40), noise(500, 40, seed=1)
    model = compiled(Autoencoder.dense((40,), 20, widths=(), seed=0))
    blind = model.fit(x, epochs=1, verbose=0).history
    assert not any(name.startswith("val_") for name in blind)
    model.fit(np.tile(x, (20, 1)), epochs=4, verbose=0)
    seen = metrics.mse(x, model.reconstruct(x))
    unseen = metrics.mse(held_out, model.reconstruct(held_out))
    assert unseen > 1.3 * seen

    _, history = trained
    assert len(history["val_mse"]) == len(history["mse"])
    assert history["val_mse"][-1] < history["val_mse"][0]


def test_e043_fixed_seed_gives_the_same_loss_twice(digits):
    def losses_of(seed, model_seed):
        if seed is not None:
            keras.utils.set_random_seed(seed)
        model = compiled(
            Autoencoder.dense((64,), 8, widths=(), seed=model_seed)
        )
        return model.fit(digits.x_train[:256], epochs=2, verbose=0).history[
            "loss"
        ]

    unseeded = losses_of(None, None), losses_of(None, None)
    assert float(unseeded[0][-1]) != float(unseeded[1][-1])
    seeded = losses_of(0, 0), losses_of(0, 0)
    np.testing.assert_allclose(*np.array(seeded, "float64"), rtol=1e-6)


def test_e053_uniform_noise_is_not_an_image(tmp_path, monkeypatch):
    fake = np.random.default_rng(0).random((1000, 64))
    real = data.load("digits")
    share = []
    for x in (fake, real.flat().x_train):
        pca = sklearn.decomposition.PCA(8).fit(x)
        share.append(pca.explained_variance_ratio_.sum())
    assert share[0] < 0.25 and share[1] > 0.6  # noise: no structure to learn

    assert real.x_train.dtype == np.float32
    assert real.event_shape == (8, 8, 1)
    assert real.x_train.min() == 0.0 and real.x_train.max() == 1.0
    rows, _ = real.all_rows()
    source = sklearn.datasets.load_digits().images.astype("float32") / 16
    np.testing.assert_array_equal(
        np.sort(rows.reshape(len(rows), -1).sum(axis=1)),
        np.sort(source.reshape(len(source), -1).sum(axis=1)),
    )

    write_images(tmp_path, monkeypatch, "mnist", (28, 28))
    mnist = data.load("mnist")
    assert mnist.event_shape == (28, 28, 1)
    assert mnist.x_train.dtype == np.float32
    assert mnist.x_train.min() == 0.0 and mnist.x_train.max() == 1.0


def write_images(folder, monkeypatch, name, shape):
    """A small file in the form of a full-size data set."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 100), ("test", 20)):
        pixels = rng.integers(0, 256, (n, *shape), dtype="uint8")
        pixels.reshape(n, -1)[:, :2] = (0, 255)
        arrays[f"x_{part}"] = pixels
        arrays[f"y_{part}"] = np.arange(n) % 10
    np.savez(folder / f"{name}.npz", **arrays)
    monkeypatch.setenv("COURSE_DATA", str(folder))
    return arrays


def test_e056_dividing_bytes_by_255_doubles_the_memory(tmp_path, monkeypatch):
    arrays = write_images(tmp_path, monkeypatch, "cifar10", (32, 32, 3))
    careless = arrays["x_train"] / 255.0
    assert careless.dtype == np.float64
    assert careless.nbytes == 8 * arrays["x_train"].nbytes

    loaded = data.load("cifar10")
    for x in (loaded.x_train, loaded.x_val, loaded.x_test):
        assert x.dtype == np.float32
        assert x.min() == 0.0 and x.max() == 1.0
    used = loaded.x_train.nbytes + loaded.x_val.nbytes
    assert used == careless.nbytes // 2


def test_e065_noise_presented_as_handwritten_digits(digits):
    rng = np.random.default_rng(0)
    classify = sklearn.neighbors.KNeighborsClassifier(5)
    fake = rng.standard_normal((1000, 64))
    labels = rng.integers(0, 10, 1000)
    guess = classify.fit(fake[:800], labels[:800]).score(
        fake[800:], labels[800:]
    )
    assert guess < 0.2  # ten classes: chance

    classify.fit(digits.x_train, digits.y_train)
    assert classify.score(digits.x_test, digits.y_test) > 0.95


def test_e067_reconstruction_is_not_the_reduced_data():
    x = noise(30, 100)
    whole = plain_network((50, None), (100, None), width=100)
    assert ops.convert_to_numpy(whole(x)).shape == (30, 100)  # not reduced

    model = Autoencoder.dense((100,), 50, widths=(), seed=0)
    assert model.encode(x).shape == (30, 50)
    assert model.reconstruct(x).shape == (30, 100)
    outputs = model(x)
    assert outputs["code"].shape == (30, 50)
    assert outputs["reconstruction"].shape == (30, 100)


# ------------------------------------------- article 002: the autoencoder


def test_e082_code_is_computed_not_stored(digits):
    model = Autoencoder.dense((64,), 8, seed=0)
    stale = model.encode(digits.x_test)  # the "stored features"
    np.testing.assert_array_equal(stale, model.encode(digits.x_test))
    compiled(model).fit(digits.x_train, epochs=1, verbose=0)
    fresh = model.encode(digits.x_test)
    assert not np.allclose(stale, fresh, atol=1e-2)  # stored ones are stale
    sizes = [int(np.prod(v.shape)) for v in model.encoder.variables]
    assert len(digits.x_train) * 8 not in sizes  # no place that holds codes


def test_e083_decoder_is_a_second_network(digits):
    model = Autoencoder.dense((64,), 8, widths=(32,), seed=0)
    enc = [v.path for v in model.encoder.trainable_variables]
    dec = [v.path for v in model.decoder.trainable_variables]
    own = {id(v) for v in model.encoder.variables}
    assert not any(id(v) in own for v in model.decoder.variables)
    assert len(enc) == len(dec) == 4
    shapes = [w.shape for w in model.encoder.get_weights() if w.ndim == 2]
    mirror = [w.shape for w in model.decoder.get_weights() if w.ndim == 2]
    assert mirror == [shape[::-1] for shape in shapes[::-1]]
    # mirrored sizes are no inverse: untrained, it reconstructs nothing
    error = metrics.mse(digits.x_test, model.reconstruct(digits.x_test))
    assert error > mean_baseline(digits.x_train, digits.x_test)


def test_e090_mse_of_formula_and_of_code_differ_by_the_width():
    rng = np.random.default_rng(0)
    x, x_hat = rng.random((2, 9, 784), dtype="float32")
    per_row = np.mean(np.sum((x - x_hat) ** 2, axis=1))
    library = keras.losses.MeanSquaredError()(x, x_hat)
    assert per_row / float(library) == pytest.approx(784, rel=1e-4)

    summed = ops.convert_to_numpy(losses.squared_error(x, x_hat))
    assert summed.shape == (9,)
    assert summed.mean() == pytest.approx(per_row, rel=1e-4)
    assert metrics.mse(x, x_hat) == pytest.approx(float(library), rel=1e-4)
    model = compiled(Autoencoder.dense((784,), 4, widths=(), seed=0))
    result = model.evaluate(x, verbose=0, return_dict=True)
    assert float(result["loss"]) == pytest.approx(
        784 * float(result["mse"]), rel=1e-4
    )
    expected = np.mean(np.sum((x - model.reconstruct(x)) ** 2, axis=1))
    assert float(result["loss"]) == pytest.approx(expected, rel=1e-4)


def test_e093_ellipsis_for_a_loader():
    loader = ...
    with pytest.raises(TypeError, match="'ellipsis' object is not iterable"):
        for _ in loader:
            pass

    dataset = data.load("digits")  # inside scikit-learn: nothing to fetch
    assert dataset.source == "scikit-learn"
    model = compiled(Autoencoder.dense(dataset.event_shape, 8, seed=0))
    history = model.fit(dataset.x_train[:128], epochs=1, verbose=0).history
    assert np.isfinite(float(history["loss"][0]))


def test_e094_flat_output_against_image_target():
    images = np.random.default_rng(0).random((5, 8, 8, 1), dtype="float32")
    flat = images.reshape(5, 64)
    with pytest.raises(ValueError, match="could not be broadcast"):
        _ = images - flat
    # eight images of height eight: no error at all, and a wrong number
    eight = np.random.default_rng(1).random((8, 8, 8, 1), dtype="float32")
    assert (eight - eight.reshape(8, 64)).shape == (8, 8, 8, 64)
    assert np.mean((eight - eight.reshape(8, 64)) ** 2) > 0.1  # not 0

    model = Autoencoder.dense((8, 8, 1), 8, seed=0)
    assert model.reconstruct(images).shape == images.shape
    with pytest.raises(ValueError, match="x_hat: expected the shape of x"):
        metrics.mse(eight, eight.reshape(8, 64))
    with pytest.raises(ValueError, match=r"x: expected shape \(n, 8, 8, 1\)"):
        compiled(model).fit(flat, verbose=0)


def test_e094_shape_error_of_pytorch():
    torch = pytest.importorskip("torch")
    output, target = torch.zeros(5, 784), torch.zeros(5, 1, 28, 28)
    with (
        pytest.warns(UserWarning, match="target size"),
        pytest.raises(RuntimeError, match="must match the size of tensor b"),
    ):
        torch.nn.functional.mse_loss(output, target)
    loss = torch.nn.functional.mse_loss(output.reshape(target.shape), target)
    assert float(loss) == 0.0


def test_e095_input_moves_to_the_device_and_the_model_does_not():
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(6, 2, device="meta")  # stands in for a GPU
    with pytest.raises(RuntimeError, match="not on the expected device"):
        layer(torch.zeros(3, 6, device="cpu"))

    model = Autoencoder.dense((6,), 2, seed=0)  # Keras places both
    assert np.isfinite(model.encode(np.zeros((3, 6)))).all()
    if keras.backend.backend() == "torch":
        assert len({v.value.device for v in model.variables}) == 1


def test_e096_evaluation_needs_no_global(digits, tmp_path):
    def evaluate(x):
        return criterion(x, x)  # noqa: F821  a script's global

    with pytest.raises(NameError, match="'criterion' is not defined"):
        evaluate(digits.x_test)

    model = compiled(Autoencoder.dense((64,), 8, seed=0))
    model.fit(digits.x_train[:64], verbose=0)
    before = model.evaluate(digits.x_test, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    after = loaded.evaluate(digits.x_test, verbose=0)
    np.testing.assert_allclose(after, before, rtol=1e-5)


def test_e097_evaluation_is_a_mean_weighted_by_batch_size(digits, trained):
    model, _ = trained
    x = digits.x_test  # 359 rows: 5 batches of 64 and one of 39
    rows = model.example_losses(x).astype("float64")
    # sorted by error, the small last batch is the worst one
    order = np.argsort(rows)
    pieces = np.split(rows[order], range(64, len(x), 64))
    careless = np.mean([piece.mean() for piece in pieces])
    assert abs(careless - rows.mean()) > 0.02 * rows.mean()
    per_batch = [piece.mean() for piece in pieces]
    assert max(per_batch) > 2 * min(per_batch)  # a line a batch says little

    for batch_size in (64, 50, 512):
        result = model.evaluate(
            x[order], batch_size=batch_size, verbose=0, return_dict=True
        )
        assert float(result["loss"]) == pytest.approx(rows.mean(), rel=1e-4)
        assert float(result["mse"]) == pytest.approx(rows.mean() / 64, rel=1e-4)


def test_e098_a_loss_means_nothing_without_a_baseline(digits, trained):
    baseline = mean_baseline(digits.x_train, digits.x_test)
    assert baseline == pytest.approx(0.074, abs=0.003)
    barely = compiled(Autoencoder.dense((64,), 16, widths=(64,), seed=0), 0.003)
    barely.fit(digits.x_train[:128], epochs=1, verbose=0)
    before = metrics.mse(digits.x_test, barely.reconstruct(digits.x_test))
    assert before > baseline  # worse than one image for all, and silent

    model, _ = trained
    result = model.evaluate(digits.x_test, verbose=0, return_dict=True)
    assert float(result["mse"]) < 0.5 * baseline


def test_e099_constructor_arguments_are_used():
    class Stubborn:
        def __init__(self, latent_dim):
            self.latent_dim = latent_dim
            self.encoder = plain_network((16, "relu"), (12, None))

    assert Stubborn(3).encoder.output_shape == (None, 12)

    for latent_dim, widths in ((3, (10,)), (7, (20, 11))):
        model = Autoencoder.dense((64,), latent_dim, widths=widths, seed=0)
        assert model.encoder.output_shape == (None, latent_dim)
        hidden = [
            layer.units
            for layer in model.encoder.layers
            if isinstance(layer, keras.layers.Dense)
        ]
        assert hidden == [*widths, latent_dim]
        assert model.decoder.input_shape == (None, latent_dim)


def test_e100_relu_code_units_die(digits):
    dead = {}
    for name, choice in (("relu", {"code_activation": "relu"}), ("ours", {})):
        model = compiled(
            Autoencoder.dense((64,), 32, widths=(64,), seed=0, **choice)
        )
        model.fit(digits.x_train, epochs=4, batch_size=64, verbose=0)
        dead[name] = metrics.dead_units(model.encode(digits.x_test))
    assert dead["relu"] >= 5  # of 32; 18 to 22 seen over seeds and backends
    assert dead["ours"] == 0


def test_e101_labels_are_refused_not_dropped(digits):
    # a plain model takes class numbers for 64 pixels, and says nothing
    plain = plain_network((64, None))
    plain.compile("sgd", "mse")
    ids = digits.y_train[:, None].astype("float32")
    loss = plain.fit(digits.x_train, ids, verbose=0).history["loss"][0]
    assert np.isfinite(float(loss))

    model = compiled(Autoencoder.dense((64,), 8, seed=0))
    with pytest.raises(ValueError, match="y: expected no target"):
        model.fit(digits.x_train, digits.y_train, verbose=0)
    with pytest.raises(ValueError, match="y: expected no target"):
        model.evaluate(digits.x_test, digits.y_test, verbose=0)


# ---------------------------------------- article 003: k-means, mixtures


def assign(x, centres):
    return ((x[:, None] - centres) ** 2).sum(-1).argmin(1)


def inertia(x, centres, ids):
    return float(((x - centres[ids]) ** 2).sum())


def lloyd(x, centres, steps=10, reseed=True):
    """k-means; an empty cluster restarts at the worst-served row."""
    centres, values = np.array(centres, "float64"), []
    for _ in range(steps):
        ids = assign(x, centres)
        values.append(inertia(x, centres, ids))
        for k in range(len(centres)):
            mine = x[ids == k]
            if reseed and not len(mine):
                worst = ((x - centres[ids]) ** 2).sum(-1).argmax()
                centres[k], ids[worst] = x[worst], k
            else:
                centres[k] = mine.mean(axis=0)
    return centres, assign(x, centres), values


def test_e103_centres_and_partition_belong_to_the_objective(iris):
    x, _ = iris
    rng = np.random.default_rng(0)
    ids = assign(x, x[:3])
    means = np.stack([x[ids == k].mean(axis=0) for k in range(3)])
    best = inertia(x, means, ids)
    # a free centre is no minimum …
    for _ in range(20):
        moved = means + rng.normal(0, 0.1, means.shape)
        assert inertia(x, moved, ids) > best
    # … and without the partition constraint the empty sets win with 0
    nothing = [x[:0] for _ in range(3)]
    assert sum(((part - 0) ** 2).sum() for part in nothing) == 0.0

    _, _, values = lloyd(x, x[:3])
    assert (np.diff(values) <= 1e-9).all() and values[-1] < values[0]
    fit = sklearn.cluster.KMeans(3, n_init=10, random_state=0).fit(x)
    for k in range(3):
        np.testing.assert_allclose(
            fit.cluster_centers_[k], x[fit.labels_ == k].mean(0), atol=1e-3
        )


def test_e104_empty_cluster_turns_into_nan(iris):
    x, _ = iris
    start = np.stack([x[0], x[60], np.full(4, 1e3)])  # one remote centre
    with (
        np.errstate(invalid="ignore"),
        pytest.warns(RuntimeWarning, match="Mean of empty slice"),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("always", category=RuntimeWarning)
        centres, _, values = lloyd(x, start, reseed=False)
    assert np.isnan(centres).any() and np.isnan(values[1])

    centres, ids, values = lloyd(x, start)
    assert np.isfinite(centres).all() and np.isfinite(values).all()
    assert np.bincount(ids, minlength=3).min() > 0
    fit = sklearn.cluster.KMeans(3, init=start, n_init=1).fit(x)
    assert np.isfinite(fit.cluster_centers_).all()
    assert sorted(np.bincount(fit.labels_, minlength=3)) == [38, 50, 62]

    two = np.repeat([[0.0, 0.0], [1.0, 1.0]], 10, axis=0)
    with pytest.warns(
        sklearn.exceptions.ConvergenceWarning, match="distinct clusters"
    ):
        fit = sklearn.cluster.KMeans(3, n_init=1, random_state=0).fit(two)
    assert np.isfinite(fit.cluster_centers_).all()


def test_e105_one_random_start_can_end_badly(iris):
    x, _ = iris
    single = np.array(
        [
            sklearn.cluster.KMeans(
                3, init="random", n_init=1, random_state=seed
            )
            .fit(x)
            .inertia_
            for seed in range(30)
        ]
    )
    assert (single > 1.01 * single.min()).sum() >= 3  # 6 of 30 seen
    assert single.max() > 1.5 * single.min()

    restarts = sklearn.cluster.KMeans(
        3, init="random", n_init=30, random_state=0
    ).fit(x)
    assert restarts.inertia_ <= single.min() * (1 + 1e-6)
    plus = [
        sklearn.cluster.KMeans(3, n_init=1, random_state=seed).fit(x).inertia_
        for seed in range(10)
    ]
    assert max(plus) < 1.01 * single.min()


def test_e108_cluster_ids_are_not_classes(iris):
    x, y = iris
    naive, matched, rand = [], [], []
    for seed in range(15):
        fit = sklearn.cluster.KMeans(3, n_init=3, random_state=seed).fit(x)
        naive.append(np.mean(fit.labels_ == y))
        matched.append(metrics.clustering_accuracy(y, fit.labels_))
        rand.append(sklearn.metrics.adjusted_rand_score(y, fit.labels_))
    assert max(naive) - min(naive) > 0.5  # same clusters, other names
    assert max(matched) - min(matched) < 0.02 and min(matched) > 0.85

    renamed = np.array([2, 0, 1])[fit.labels_]
    assert np.mean(renamed == y) != naive[-1]
    assert metrics.clustering_accuracy(y, renamed) == matched[-1]
    assert sklearn.metrics.adjusted_rand_score(y, renamed) == rand[-1]


def test_e109_clusters_are_evaluated(iris):
    x, y = iris
    fits = {
        k: sklearn.cluster.KMeans(k, n_init=10, random_state=0).fit(x)
        for k in range(2, 8)
    }
    values = [fit.inertia_ for fit in fits.values()]
    assert (np.diff(values) < 0).all()  # inertia always prefers a larger K

    silhouette = {
        k: sklearn.metrics.silhouette_score(x, fit.labels_)
        for k, fit in fits.items()
    }
    # two species overlap: the silhouette says 2, not the known 3
    assert max(silhouette, key=silhouette.get) == 2
    assert sklearn.metrics.adjusted_rand_score(y, fits[3].labels_) >= 0.7


def test_e110_units_decide_and_standardising_is_no_cure_all(iris):
    x, y = iris

    def labels(rows):
        return sklearn.cluster.KMeans(3, n_init=10, random_state=0).fit_predict(
            rows
        )

    def ari(rows):
        return sklearn.metrics.adjusted_rand_score(y, labels(rows))

    rescaled = x * np.array([1.0, 100.0, 1.0, 1.0])
    plain, harmed = ari(x), ari(rescaled)
    assert harmed < 0.3 < 0.7 < plain

    scale = sklearn.preprocessing.StandardScaler().fit_transform
    agreement = sklearn.metrics.adjusted_rand_score(
        labels(scale(x)), labels(scale(rescaled))
    )
    assert agreement == pytest.approx(1.0)
    assert harmed < ari(scale(rescaled)) < plain  # cured, yet below plain


def test_e111_predict_on_training_rows_repeats_labels(iris):
    x, _ = iris
    default = sklearn.cluster.KMeans(3)
    assert default.get_params()["n_init"] == "auto"
    single = [
        sklearn.cluster.KMeans(8, random_state=seed).fit(x).inertia_
        for seed in range(10)
    ]
    assert max(single) > 1.01 * min(single)  # "auto" is a single start

    fit = sklearn.cluster.KMeans(8, n_init=20, random_state=0).fit(x)
    assert fit.inertia_ <= 1.005 * min(single)
    np.testing.assert_array_equal(fit.predict(x), fit.labels_)


def test_e112_sigmoid_cannot_reach_standardised_targets(digits):
    x = digits.x_train[:32]
    mean, std = digits.x_train.mean(), digits.x_train.std()
    target = (x - mean) / std
    floor = np.mean((target - np.clip(target, 0, 1)) ** 2)
    assert floor > 0.35
    outside = np.mean((target < 0) | (target > 1))
    assert outside > 0.8
    repeated = np.tile(target, (40, 1))
    trapped = plain_network((128, "relu"), (32, None), (64, "sigmoid"))
    trapped.compile(keras.optimizers.Adam(0.003), "mse")
    trapped.fit(repeated, repeated, epochs=4, batch_size=16, verbose=0)
    stuck = metrics.mse(target, ops.convert_to_numpy(trapped(target)))
    assert stuck >= floor

    model = compiled(
        Autoencoder.dense(
            (64,), 32, widths=(128,), seed=0, likelihood=SquaredError("sigmoid")
        ),
        0.003,
    )
    with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
        model.fit(target, verbose=0)
    model.fit(np.tile(x, (40, 1)), epochs=8, batch_size=16, verbose=0)
    assert metrics.mse(x, model.reconstruct(x)) < 0.01

    linear = compiled(
        Autoencoder.dense((64,), 32, widths=(128,), seed=0), 0.003
    )
    linear.fit(repeated, epochs=8, batch_size=16, verbose=0)
    assert metrics.mse(target, linear.reconstruct(target)) < 0.25 * floor


def test_e113_last_batch_is_not_the_epoch(digits):
    x = digits.x_train[:130]
    model = Autoencoder.dense((64,), 8, seed=0)
    x = x[np.argsort(model.example_losses(x))]
    model.compile(optimizer=keras.optimizers.SGD(0.0))  # weights stay put
    history = model.fit(
        x, batch_size=64, epochs=1, shuffle=False, verbose=0
    ).history
    last_batch = model.example_losses(x[128:]).mean()
    assert last_batch > 1.2 * model.example_losses(x).mean()
    assert float(history["loss"][0]) == pytest.approx(
        model.example_losses(x).mean(), rel=1e-4
    )


def test_e114_codes_of_test_rows_are_computed():
    dataset = data.load("digits")
    counts = [len(dataset.x_train), len(dataset.x_val), len(dataset.x_test)]
    assert sum(counts) == 1797 and min(counts) > 200
    parts = [
        {row.tobytes() for row in x}
        for x in (dataset.x_train, dataset.x_val, dataset.x_test)
    ]
    assert not parts[0] & parts[2] and not parts[1] & parts[2]
    assert not parts[0] & parts[1]

    model = Autoencoder.dense(dataset.event_shape, 12, seed=0)
    whole = ops.convert_to_numpy(model(dataset.x_test)["reconstruction"])
    assert whole.shape == dataset.x_test.shape  # not what was announced
    assert model.encode(dataset.x_test).shape == (counts[2], 12)


def test_e121_mixture_and_pca_have_formulas(iris):
    x, _ = iris
    fit = sklearn.mixture.GaussianMixture(3, random_state=0).fit(x)
    log_density = np.stack(
        [gaussian_log(x, fit.means_[k], fit.covariances_[k]) for k in range(3)],
        axis=1,
    )
    # without the weights π_k these are not the responsibilities
    assert fit.weights_.max() - fit.weights_.min() > 0.02
    weightless = scipy.special.softmax(log_density, axis=1)
    gamma = scipy.special.softmax(log_density + np.log(fit.weights_), axis=1)
    np.testing.assert_allclose(gamma, fit.predict_proba(x), atol=1e-6)
    assert np.abs(weightless - gamma).max() > 1e-3
    np.testing.assert_allclose(gamma.sum(axis=1), 1.0)
    np.testing.assert_allclose(fit.weights_.sum(), 1.0)

    values = em_log_likelihoods(x, steps=25)
    assert (np.diff(values) >= -1e-9).all() and values[-1] > values[0] + 0.1

    pca = sklearn.decomposition.PCA(2).fit(x)
    w = pca.components_.T  # (d, k)
    np.testing.assert_allclose(w.T @ w, np.eye(2), atol=1e-10)
    covariance = np.cov(x.T)
    captured = np.trace(w.T @ covariance @ w)
    rng = np.random.default_rng(0)
    for _ in range(50):
        other, _ = np.linalg.qr(rng.standard_normal((4, 2)))
        assert np.trace(other.T @ covariance @ other) <= captured + 1e-9


def gaussian_log(x, mean, covariance):
    """log N(x; μ, Σ) of each row."""
    difference = x - mean
    quadratic = np.einsum(
        "nd,nd->n", difference, np.linalg.solve(covariance, difference.T).T
    )
    _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
    return -0.5 * (quadratic + log_det)


def em_log_likelihoods(x, steps):
    """Mean log-likelihood of a three-component mixture before each step."""
    means = x[[10, 75, 120]]
    covariances = np.stack([np.cov(x.T)] * 3)
    weights, values = np.full(3, 1 / 3), []
    for _ in range(steps):
        joint = np.log(weights) + np.stack(
            [gaussian_log(x, means[k], covariances[k]) for k in range(3)], 1
        )
        values.append(scipy.special.logsumexp(joint, axis=1).mean())
        gamma = scipy.special.softmax(joint, axis=1)
        mass = gamma.sum(axis=0)
        weights, means = mass / len(x), gamma.T @ x / mass[:, None]
        covariances = np.stack(
            [
                (gamma[:, k, None] * (x - means[k])).T
                @ (x - means[k])
                / mass[k]
                for k in range(3)
            ]
        )
    return values


# --------------------------------- article 004: gradients and one network


def test_e127_keeping_distances_is_one_objective_of_several(digits):
    x = digits.x_test
    pca = sklearn.decomposition.PCA(8).fit(digits.x_train)
    z = pca.transform(x)
    # stretch one axis of the code and undo it in the decoder
    stretch = np.array([1, 1, 1, 1, 1, 1, 1, 100.0])
    stretched = z * stretch
    same = pca.inverse_transform(stretched / stretch)
    assert metrics.mse(x, same) == pytest.approx(
        metrics.mse(x, pca.inverse_transform(z)), rel=1e-5
    )
    kept = metrics.distance_rank_correlation(x, z)
    lost = metrics.distance_rank_correlation(x, stretched)
    assert kept > 0.85 and lost < kept - 0.3


def test_e128_one_sgd_step_is_theta_minus_eta_gradient(sgd_step):
    assert_is_sgd_step(sgd_step)

    def loss(parameters):
        w, b, v, c = parameters
        x_hat = (sgd_step.x @ w + b) @ v + c
        return np.mean(np.sum((sgd_step.x - x_hat) ** 2, axis=1))

    assert sgd_step.loss == pytest.approx(loss(sgd_step.before), rel=1e-4)
    wrong_way = [
        theta + sgd_step.rate * gradient
        for theta, gradient in zip(
            sgd_step.before, sgd_step.gradients, strict=True
        )
    ]
    assert loss(wrong_way) > loss(sgd_step.before) > loss(sgd_step.after)


def test_e129_stop_on_held_out_loss_and_keep_the_best():
    x, held_out = noise(40, 20), noise(200, 20, seed=1)

    def fit(callbacks):
        model = compiled(
            Autoencoder.dense((20,), 10, widths=(64,), seed=0), 0.005
        )
        history = model.fit(
            np.tile(x, (10, 1)),
            validation_data=held_out,
            epochs=12,
            batch_size=20,
            verbose=0,
            callbacks=callbacks,
        ).history
        final = model.evaluate(held_out, verbose=0, return_dict=True)["mse"]
        return [float(value) for value in history["val_mse"]], float(final)

    history, final = fit([])
    assert final > 1.03 * min(history)  # "until the loss is minimal"

    stop = keras.callbacks.EarlyStopping(
        "val_mse", mode="min", patience=3, restore_best_weights=True
    )
    history, final = fit([stop])
    assert len(history) < 12
    assert final == pytest.approx(min(history), rel=1e-4)


def test_e130_input_against_output_needs_the_input_as_target():
    x = noise(32, 6)
    y = x @ noise(6, 6, seed=1)
    regression = plain_network((6, None), width=6)
    regression.set_weights([noise(6, 6, seed=1), np.zeros(6, "float32")])
    y_hat = ops.convert_to_numpy(regression(x))
    assert metrics.mse(y, y_hat) < 1e-9  # its loss is 0 …
    assert metrics.mse(x, y_hat) > 1.0  # … and it reproduces no input

    model = set_identity(
        Autoencoder.dense((6,), 6, widths=(), overcomplete=True, seed=0)
    )
    result = compiled(model).evaluate(x, verbose=0, return_dict=True)
    assert float(result["mse"]) < 1e-9


def test_e139_weights_do_not_fit_the_data():
    x = noise(100, 10)
    with pytest.raises(
        ValueError, match=r"shapes \(100,10\) and \(100,100\) not aligned"
    ):
        np.dot(x, noise(100, 100))

    model = Autoencoder.dense(x.shape[1:], 4, widths=(7,), seed=0)
    assert model.encoder.get_layer("hidden_1").kernel.shape == (10, 7)
    assert model.encode(x).shape == (100, 4)


def test_e140_tf_gradients_in_eager_mode(sgd_step):
    tf = pytest.importorskip("tensorflow")
    w = tf.Variable([2.0])
    with pytest.raises(RuntimeError, match="tf.gradients is not supported"):
        tf.gradients(w * w, [w])

    with tf.GradientTape() as tape:
        loss = w * w
    assert float(tape.gradient(loss, w)[0]) == 4.0
    assert_is_sgd_step(sgd_step)  # and on any backend


def test_e141_a_list_of_gradients_is_not_a_list_of_pairs(sgd_step):
    gradients = [np.ones((4, 4)), np.ones(4)]
    with pytest.raises(ValueError, match="too many values to unpack"):
        gradients, variables = zip(*gradients, strict=False)
    with pytest.raises(TypeError, match="'NoneType' object is not iterable"):
        zip(*[None, None], strict=False)  # what graph mode returns

    assert len(sgd_step.gradients) == len(sgd_step.before) == 4
    assert_is_sgd_step(sgd_step)


def test_e142_optimizer_of_tensorflow_1_is_gone(sgd_step):
    tf = pytest.importorskip("tensorflow")
    with pytest.raises(AttributeError, match="GradientDescentOptimizer"):
        _ = tf.train.GradientDescentOptimizer

    assert isinstance(sgd_step.model.optimizer, keras.optimizers.SGD)
    assert_is_sgd_step(sgd_step)


def test_e143_arrays_are_not_variables(sgd_step):
    w = np.ones((3, 3), "float32")
    gradient = ops.ones((3, 3))
    with pytest.raises(AttributeError, match="numpy.ndarray"):
        keras.optimizers.SGD(0.1).apply_gradients([(gradient, w)])

    variable = keras.Variable(w)
    keras.optimizers.SGD(0.1).apply_gradients([(gradient, variable)])
    np.testing.assert_allclose(numpy_of(variable), 0.9)
    assert all(
        isinstance(v, keras.Variable)
        for v in sgd_step.model.trainable_variables
    )


def test_e144_applying_gradients_is_the_step_there_is_no_run(sgd_step):
    variable = keras.Variable(np.ones(2, "float32"))
    applied = keras.optimizers.SGD(0.5).apply_gradients(
        [(ops.ones((2,)), variable)]
    )
    np.testing.assert_allclose(numpy_of(variable), 0.5)  # already done
    with pytest.raises(AttributeError, match="no attribute 'run'"):
        applied.run()
    assert_is_sgd_step(sgd_step)


def test_e145_the_arrays_returned_were_never_trained(sgd_step):
    def train(weights):
        variable = keras.Variable(weights.copy())
        keras.optimizers.SGD(0.5).apply_gradients(
            [(ops.ones(weights.shape), variable)]
        )
        return weights  # the initial array, not the variable

    initial = np.ones((2, 2), "float32")
    np.testing.assert_array_equal(train(initial), np.ones((2, 2)))

    for old, new in zip(sgd_step.before, sgd_step.after, strict=True):
        assert np.abs(new - old).max() > 1e-6


def test_e146_a_separate_target_is_regression():
    x = noise(64, 6)
    y = x @ noise(6, 2, seed=1)
    supervised = plain_network((2, None), width=6)
    supervised.compile("sgd", "mse")
    supervised.fit(x, y, verbose=0)  # needs y: supervised, whatever its name

    model = compiled(Autoencoder.dense((6,), 2, seed=0))
    with pytest.raises(ValueError, match="y: expected no target"):
        model.fit(x, y, verbose=0)
    assert np.isfinite(float(model.fit(x, verbose=0).history["loss"][0]))


def test_e147_numpy_inside_the_loss_cuts_the_gradient(sgd_step):
    x = noise(5, 4)

    def detour(w):
        return np.sum(np.dot(x, ops.convert_to_numpy(w)) ** 2)

    def straight(w):
        return ops.sum(ops.square(ops.matmul(x, w)))

    w = noise(4, 3, seed=1)
    with pytest.raises(ValueError, match="has no gradient"):
        backend.input_gradient(
            lambda value: ops.convert_to_tensor(detour(value)), w
        )
    gradient = ops.convert_to_numpy(backend.input_gradient(straight, w))
    np.testing.assert_allclose(gradient, 2 * x.T @ x @ w, rtol=1e-4, atol=1e-4)
    assert_is_sgd_step(sgd_step)


def test_e147_np_dot_on_a_tensorflow_variable():
    tf = pytest.importorskip("tensorflow")
    x, w = noise(5, 10), tf.Variable(noise(10, 3, seed=1))
    with tf.GradientTape(persistent=True) as tape:
        off = np.dot(x, w)
        off_loss = tf.reduce_sum(tf.square(off))
        on_loss = tf.reduce_sum(tf.square(tf.matmul(x, w)))
    assert type(off) is np.ndarray
    assert tape.gradient(off_loss, w) is None
    assert tape.gradient(on_loss, w).shape == (10, 3)


def test_e148_relu_output_cannot_reach_negative_targets():
    x = noise(64, 8)
    floor = np.mean(np.minimum(x, 0.0) ** 2)
    assert floor > 0.3
    repeated = np.tile(x, (30, 1))
    trapped = plain_network((64, "relu"), (8, "relu"), width=8)
    trapped.compile(keras.optimizers.Adam(0.01), "mse")
    trapped.fit(repeated, repeated, epochs=3, verbose=0)
    assert metrics.mse(x, ops.convert_to_numpy(trapped(x))) >= floor

    with pytest.raises(
        ValueError, match="activation: expected one of 'linear'"
    ):
        Autoencoder.dense((8,), 4, likelihood=SquaredError("relu"))
    model = compiled(
        Autoencoder.dense((8,), 8, widths=(64,), overcomplete=True, seed=0)
    )
    model.fit(repeated, epochs=3, verbose=0)
    assert metrics.mse(x, model.reconstruct(x)) < 0.2 * floor


def test_e149_a_gram_target_is_as_wide_as_the_sample():
    few, many = noise(20, 10), noise(30, 10, seed=1)
    assert (few @ few.T).shape[1] == 20
    assert (many @ many.T).shape[1] == 30
    fitted, *_ = np.linalg.lstsq(few, few @ few.T, rcond=None)
    np.testing.assert_allclose(few @ fitted, few @ few.T, atol=1e-4)  # linear
    with pytest.raises(ValueError):
        _ = many @ fitted - many @ many.T  # useless on any other data set

    model = Autoencoder.dense((10,), 3, seed=0)
    assert model.reconstruct(few).shape == (20, 10)
    assert model.reconstruct(many).shape == (30, 10)


def test_e150_one_noise_vector_for_all_rows_is_a_bias():
    rng = np.random.default_rng(0)
    clean = np.zeros((50, 100))
    shared = clean + rng.standard_normal(100)
    assert np.mean((shared - shared.mean(axis=0)) ** 2) < 1e-20

    rows = data.corrupt(clean, "gaussian", 1.0, seed=0)
    assert np.mean((rows - rows.mean(axis=0)) ** 2) > 0.9
    assert len({row.tobytes() for row in rows}) == 50
    layer = layers.Corruption("gaussian", 1.0, seed=0)
    rows = ops.convert_to_numpy(layer(ops.zeros((50, 100)), training=True))
    assert len({row.tobytes() for row in rows}) == 50


def test_e151_an_optimizer_made_anew_forgets(digits):
    def walk(fresh):
        variable = keras.Variable(np.zeros(1, "float32"))
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        for _ in range(10):
            if fresh:
                optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
            optimizer.apply_gradients([(ops.ones((1,)), variable)])
        return float(numpy_of(variable)[0]), int(numpy_of(optimizer.iterations))

    (forgetful, counted), (steady, steps) = walk(True), walk(False)
    assert counted == 1 and steps == 10
    assert forgetful == pytest.approx(-1.0, rel=1e-5)  # ten plain steps
    assert steady < -3.0  # the momentum builds up

    model = compiled(Autoencoder.dense((64,), 8, seed=0))
    model.fit(digits.x_train[:128], batch_size=32, epochs=3, verbose=0)
    assert int(numpy_of(model.optimizer.iterations)) == 12

    # N(0, 1) weights against He scaling, at the snippet's width of ten
    x = noise(4000, 10)
    careless = np.maximum(x @ noise(10, 200, seed=1), 0)
    assert careless.std() > 1.7
    wide = Autoencoder.dense((10,), 3, widths=(200,), seed=0)
    hidden = keras.Model(
        wide.encoder.input, wide.encoder.get_layer("hidden_1").output
    )
    scaled = ops.convert_to_numpy(hidden(x))
    assert 0.6 < scaled.std() < 1.2


def test_e152_training_rows_are_no_test(digits):
    few = digits.x_train[:40]
    model = compiled(Autoencoder.dense((64,), 32, widths=(128,), seed=0), 0.003)
    model.fit(np.tile(few, (40, 1)), epochs=6, batch_size=32, verbose=0)
    claimed = metrics.mse(few, model.reconstruct(few))
    actual = metrics.mse(digits.x_test, model.reconstruct(digits.x_test))
    assert actual > 2 * claimed  # what an evaluation on seen rows hides
    result = model.evaluate(digits.x_test, verbose=0, return_dict=True)
    assert float(result["mse"]) == pytest.approx(actual, rel=1e-4)


# ------------------------------------------------------- the page itself

ENTRY = re.compile(
    r"^- \*\*E(?P<number>\d+)\*\* · (?P<place>.+) · (?P<category>[a-z, ]+)\n"
    r"  - Fault: (?P<fault>.+)\n"
    r"  - Right: (?P<right>.+)\n"
    r"  - Taught: (?P<taught>.+) — Test: (?P<test>.+)$",
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def entries():
    return [
        {**match.groupdict(), "number": int(match["number"])}
        for match in ENTRY.finditer(PAGE.read_text(encoding="utf-8"))
    ]


def named_tests(entry):
    return re.findall(r"`(test_\w+)`", entry["test"])


def defined_tests():
    pattern = re.compile(r"^\s*def (test_\w+)\(", re.MULTILINE)
    return {
        name: path
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for name in pattern.findall(path.read_text(encoding="utf-8"))
    }


def test_errata_page_lists_every_id(entries):
    text = PAGE.read_text(encoding="utf-8")
    heads = [int(n) for n in re.findall(r"^- \*\*E(\d+)\*\*", text, re.M)]
    assert heads == list(range(1, 153))
    assert [entry["number"] for entry in entries] == heads  # all four lines
    for entry in entries:
        assert set(entry["category"].split(", ")) <= CATEGORIES, entry
    for letter, last, width in (("F", 17, 2), ("K", 16, 1), ("L", 3, 1)):
        rows = re.findall(rf"^\| ({letter}\d+) \|", text, re.M)
        assert rows == [f"{letter}{n:0{width}}" for n in range(1, last + 1)]
    for name in ("S000-1", "S001-6", "S002-1", "S003-3", "S004-1"):
        assert f"| {name} |" in text


def test_errata_page_names_only_tests_that_exist(entries):
    defined = defined_tests()
    text = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    assert named and named <= set(defined), named - set(defined)
    # and the other way round: every test of a fault stands at its entry
    for name in defined:
        number = re.match(r"test_e(\d{3})_", name)
        if number:
            entry = entries[int(number[1]) - 1]
            assert name in named_tests(entry), name


def test_errata_ids_have_section_and_test(entries):
    headings = {
        chapter: {
            re.sub(r"^\d+( ·|\.) ", "", title)
            for title in re.findall(
                r"^# ##+ (.+)$", path.read_text(encoding="utf-8"), re.M
            )
        }
        for chapter, path in SOURCES.items()
    }
    for entry in entries:
        chapter, _, section = entry["taught"].partition(", ")
        if chapter in headings:
            assert section in headings[chapter], entry
        elif chapter == "data handling":
            assert section == "`utils.data.load`"
        else:
            assert entry["taught"] == "this page" and entry["number"] == 102
        if not named_tests(entry):
            assert not set(entry["category"].split(", ")) & NEED_A_TEST, entry
            assert entry["test"].startswith("none, "), entry
    untested = [entry for entry in entries if not named_tests(entry)]
    assert len(untested) <= MATTERS_OF_WORDS
