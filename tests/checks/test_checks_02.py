"""Checks of chapter 2: wrong answers are named, unusual right ones pass."""

import keras
import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops

from utils import data
from utils.checks import chapter_02
from utils.models.autoencoders import Autoencoder, DenoisingAutoencoder
from utils.nn.likelihoods import SquaredError

checks = Watched(chapter_02)

# ---------------------------------------------------------------- 2.1


def _pair(
    width,
    *,
    hidden="relu",
    code=None,
    end=None,
    reshape=True,
    back="relu",
    flatten=True,
):
    layers = keras.layers
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            *([layers.Flatten()] if flatten else []),
            layers.Dense(16, activation=hidden),
            layers.Dense(width, activation=code),
        ]
    )
    decoder = keras.Sequential(
        [
            keras.Input((width,)),
            layers.Dense(16, activation=back),
            layers.Dense(64, activation=end),
            *([layers.Reshape((8, 8, 1))] if reshape else []),
        ]
    )
    return encoder, decoder


def _tied(width):
    kernel = keras.layers.Dense(width)
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="tanh"),
            kernel,
        ]
    )

    class Back(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.kernel_of = kernel

        def call(self, z):
            z = ops.tanh(ops.matmul(z, ops.transpose(self.kernel_of.kernel)))
            return ops.reshape(z, (-1, 8, 8, 1))

    return encoder, keras.Sequential([keras.Input((width,)), Back()])


class _Subclassed(keras.Model):
    """Layers are made when they are first called."""

    def __init__(self, last):
        super().__init__()
        self.inside = keras.layers.Dense(9, activation="gelu")
        self.last = last

    def call(self, x):
        flat = ops.reshape(x, (ops.shape(x)[0], -1))
        return self.last(self.inside(flat))


def _subclassed(width):
    return [
        _Subclassed(keras.layers.Dense(width)),
        keras.Sequential(
            [
                _Subclassed(keras.layers.Dense(64, activation="sigmoid")),
                keras.layers.Reshape((8, 8, 1)),
            ]
        ),
    ]


def _convolutional(width):
    return Autoencoder.conv((8, 8, 1), width, widths=(4, 8), seed=0)


def _float64(width):
    encoder, decoder = _pair(width)
    return (
        lambda x: ops.convert_to_numpy(encoder(x)).astype("float64"),
        lambda z: ops.convert_to_numpy(decoder(z)).tolist(),
    )


def _small(width, size=0.01):
    """Small first weights: the codes of a hidden tanh stay within ±1."""
    normal = keras.initializers.RandomNormal(stddev=size, seed=0)
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(16, "tanh", kernel_initializer=normal),
            keras.layers.Dense(width, kernel_initializer=normal),
        ]
    )
    decoder = keras.Sequential(
        [
            keras.Input((width,)),
            keras.layers.Dense(16, "tanh", kernel_initializer=normal),
            keras.layers.Dense(64, "sigmoid"),
            keras.layers.Reshape((8, 8, 1)),
        ]
    )
    return encoder, decoder


def _small_in_numpy(width):
    """The same as functions, whose weights nobody can see."""
    encoder, decoder = _small(width)
    return (
        lambda x: ops.convert_to_numpy(encoder(x)),
        lambda z: ops.convert_to_numpy(decoder(z)),
    )


def _normalized(width):
    encoder, decoder = _pair(width)
    layers = [*encoder.layers, keras.layers.BatchNormalization()]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers]), decoder


def _bent_by_a_layer(width):
    encoder, decoder = _pair(width)
    alpha = keras.initializers.Constant(0.3)
    layers = [*encoder.layers, keras.layers.PReLU(alpha_initializer=alpha)]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers]), decoder


def _shallow(width, end="sigmoid"):
    """A decoder that bends its output and nothing before."""
    layers = [
        keras.Input((width,)),
        keras.layers.Dense(64, activation=end),
        keras.layers.Reshape((8, 8, 1)),
    ]
    return _pair(width)[0], keras.Sequential(layers)


@pytest.mark.parametrize(
    "answer",
    [
        _pair,
        lambda k: _pair(k, end="sigmoid"),
        lambda k: _pair(k, end="relu"),
        lambda k: _pair(k, hidden="sigmoid"),
        _small,
        lambda k: _small(k, 0.001),
        _small_in_numpy,
        _normalized,
        lambda k: dict(zip(("encoder", "decoder"), _pair(k), strict=True)),
        _subclassed,
        _convolutional,
        _float64,
    ],
)
def test_check_2_1_any_two_networks_pass(answer):
    checks.check_2_1(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda k: _pair(k, reshape=False), "Reshape"),
        (lambda k: _pair(k, flatten=False), "Flatten"),
        (lambda k: _pair(5), "Is `latent_dim` used"),
        (lambda k: _pair(k)[::-1], "stopped|wrong way"),
        (lambda k: _pair(k, hidden=None), "The encoder is linear"),
        (lambda k: _pair(k, back=None), "The decoder is linear"),
        (lambda k: _pair(k, code="relu"), "never negative"),
        (lambda k: _pair(k, code="tanh"), "activation on the code"),
        (lambda k: _pair(k, code="sigmoid"), "never negative|activation"),
        (lambda k: _pair(k, code="gelu"), "not downwards"),
        (lambda k: _pair(k, code="leaky_relu"), "such as leaky_relu"),
        (lambda k: _pair(k, code="tanh_shrink"), "activation on the code"),
        (lambda k: _pair(k, code="hard_shrink"), "activation on the code"),
        (lambda k: _pair(k, code="log_softmax"), "activation on the code"),
        (_bent_by_a_layer, "activation on the code"),
        (_shallow, "The decoder has no hidden layer"),
        (lambda k: _shallow(k, "relu"), "The decoder has no hidden layer"),
        (_tied, "share weights"),
        (lambda k: keras.Sequential([*_pair(k)]), "two networks"),
        (lambda k: None, "two networks"),
        (lambda k: ("encoder", "decoder"), "two networks"),
        (
            lambda k: (_pair(k)[0], lambda z: np.zeros((len(z), 8, 8, 1))),
            "linear|same image",
        ),
        (_pair(5), "expects the function itself"),
    ],
)
def test_check_2_1_wrong_networks_are_named(answer, match):
    rejects(checks.check_2_1, answer, match=match)


def test_check_2_1_unanswered_stub_is_named():
    rejects(checks.check_2_1, stub, match="waits for your answer")


# ---------------------------------------------------------------- 2.2


@pytest.mark.parametrize(
    "answer",
    [
        lambda model, x: model.encode(x),
        lambda model, x: model.predict(x, verbose=0)["code"],
        lambda model, x: model.encoder.predict(x, verbose=0),
        lambda model, x: model.encoder(x),
        lambda model, x: ops.convert_to_numpy(model.encoder(x)),
        lambda model, x: model.call(x)["code"],
        lambda model, x: model(x)["code"],
        lambda model, x: keras.Model(
            model.encoder.inputs, model.encoder.outputs
        ).predict(x, verbose=0),
        lambda model, x: model.encode(x).astype("float64").tolist(),
        lambda model, x: np.stack([model.encode(row[None])[0] for row in x]),
    ],
)
def test_check_2_2_any_route_to_the_code_passes(answer):
    checks.check_2_2(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda model, x: model.reconstruct(x), "that is the reconstruction"),
        (
            lambda model, x: model.predict(x, verbose=0)["reconstruction"],
            "reconstruction",
        ),
        (lambda model, x: model.predict(x, verbose=0), "dictionary"),
        (lambda model, x: model.encode(x).T, "shape"),
        (lambda model, x: x[:, :3], "not the model's codes"),
        (lambda model, x: model.encode(x)[::-1], "not the model's codes"),
        (lambda model, x: model.decode(model.encode(x)), "reconstruction"),
        (lambda model, x: "codes", "should be numbers"),
        (lambda model, x: None, "forget the `return`"),
        (lambda model: None, "TypeError"),
        (np.zeros((20, 3)), "expects the function itself"),
    ],
)
def test_check_2_2_wrong_answer_is_named(answer, match):
    rejects(checks.check_2_2, answer, match=match)


def test_check_2_2_unanswered_stub_is_named():
    rejects(checks.check_2_2, stub, match="waits for your answer")


# ---------------------------------------------------------------- 2.3


def _same_shape(x, x_hat):
    if x.shape != x_hat.shape:
        raise ValueError("shapes differ")


def _by_norms(x, x_hat):
    _same_shape(x, x_hat)
    flat = ops.reshape(x - x_hat, (len(x), -1))
    return ops.mean(ops.norm(flat, axis=1) ** 2)


def _by_loop(x, x_hat):
    _same_shape(x, x_hat)
    return sum(
        ((a - b) ** 2).sum() for a, b in zip(x, x_hat, strict=True)
    ) / len(x)


def _reduced(reduction):
    def loss(x, x_hat):
        _same_shape(x, x_hat)
        return reduction((x - x_hat) ** 2)

    return loss


def _by_length_alone(x, x_hat):
    if len(x) != len(x_hat):
        raise ValueError("lengths differ")
    return ((x - x_hat) ** 2).sum() / len(x)


def _by_rank_alone(x, x_hat):
    if x.ndim != x_hat.ndim or len(x) != len(x_hat):
        raise ValueError("ranks differ")
    return ((x - x_hat) ** 2).sum() / len(x)


def _summed_over_three_axes(x, x_hat):
    _same_shape(x, x_hat)
    return ((x - x_hat) ** 2).sum(axis=(1, 2, 3)).mean()


def _by_keras(x, x_hat):
    _same_shape(x, x_hat)
    mean = keras.losses.MeanSquaredError(reduction="sum")(x, x_hat)
    return mean * x.shape[-1] / len(x)  # Keras: a mean over the last axis


@pytest.mark.parametrize(
    "answer",
    [
        _by_norms,
        _by_loop,
        _by_keras,
        lambda x, x_hat: [float(_by_loop(x, x_hat))],
    ],
)
def test_check_2_3_right_loss_passes(answer):
    checks.check_2_3(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (_reduced(np.mean), "mean over pixels"),
        (_reduced(np.sum), "depends on the batch size"),
        (_reduced(lambda s: s.sum((1, 2, 3))), "one number"),
        (_reduced(lambda s: np.sqrt(s.sum((1, 2, 3)).mean())), "square root"),
        (_reduced(lambda s: np.sqrt(s).sum() / 6), "absolute"),
        (_reduced(lambda s: 0.5 * s.sum() / 6), "factor ½"),
        (_reduced(lambda s: s.sum() / 7), "should be|the loss is"),
        (_reduced(lambda s: s.mean() * 16), "written into your function"),
        (_reduced(lambda s: s.sum() / 6), "written into your function"),
        (_summed_over_three_axes, "stopped with AxisError"),
        (_reduced(lambda s: s.reshape(6, -1).sum(1).mean()), "stopped|written"),
        (lambda x, y: ((x - y) ** 2).sum() / len(x), "broadcast"),
        (_by_length_alone, "not only the lengths"),
        (_by_rank_alone, "broadcast"),
        (lambda x, y: None, "None"),
    ],
)
def test_check_2_3_wrong_loss_is_named(answer, match):
    rejects(checks.check_2_3, answer, match=match)


def test_check_2_3_other_error_for_shapes_is_named():
    def loss(x, x_hat):
        if x.shape != x_hat.shape:
            raise IndexError
        return ((x - x_hat) ** 2).sum() / len(x)

    rejects(checks.check_2_3, loss, match="IndexError")


# ---------------------------------------------------------------- 2.4


def _sklearn_pca(x_train, x_test, k, fit_on=None):
    from sklearn.decomposition import PCA

    pca = PCA(k).fit(x_train if fit_on is None else fit_on)
    x_hat = pca.inverse_transform(pca.transform(x_test))
    return np.mean((x_test - x_hat) ** 2)


def _by_eigenvectors(x_train, x_test, k):
    centred = x_train - x_train.mean(0)
    w = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :k]
    rest = (x_test - x_train.mean(0)) @ (np.eye(len(w)) - w @ w.T)
    return (rest**2).mean()


def _uncentred(x_train, x_test, k):
    w = np.linalg.svd(x_train, full_matrices=False)[2][:k].T
    return np.mean((x_test - x_test @ w @ w.T) ** 2)


@pytest.mark.parametrize(
    "answer",
    [
        _sklearn_pca,
        _by_eigenvectors,
        lambda a, b, k: ops.convert_to_tensor(_sklearn_pca(a, b, k)),
        lambda a, b, k: [np.float32(_by_eigenvectors(a, b, k))],
    ],
)
def test_check_2_4_right_baseline_passes(answer):
    checks.check_2_4(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda a, b, k: _sklearn_pca(b, b, k), "on the test rows"),
        (
            lambda a, b, k: _sklearn_pca(a, b, k, np.concatenate([a, b])),
            "training and test rows together",
        ),
        (_uncentred, "mean is missing"),
        (lambda a, b, k: 6 * _sklearn_pca(a, b, k), "summed over the entries"),
        (lambda a, b, k: 150 * _sklearn_pca(a, b, k), "summed over everything"),
        (lambda a, b, k: _sklearn_pca(a, b, k) ** 0.5, "root"),
        (lambda a, b, k: _sklearn_pca(a, b, 2), "wrong for k = 4"),
        (lambda a, b, k: _sklearn_pca(a, a, k), "does not change with x_test"),
        (lambda a, b, k: np.nan, "NaN"),
    ],
)
def test_check_2_4_wrong_baseline_is_named(answer, match):
    rejects(checks.check_2_4, answer, match=match)


# ---------------------------------------------------------------- 2.5


def _fitted(rows, epochs, latent_dim=8):
    model = Autoencoder.dense(
        (8, 8, 1),
        latent_dim,
        widths=(256,),
        seed=1,
        likelihood=SquaredError("sigmoid"),
    )
    model.compile("adam")
    if epochs:
        model.fit(rows, epochs=epochs, batch_size=16, verbose=0)
    return model


@pytest.mark.slow
def test_check_2_5_trained_model_passes():
    digits = data.load("digits")
    checks.check_2_5(_fitted(digits.x_train, 25))


@pytest.mark.slow
def test_check_2_5_flat_denoising_model_passes():
    x = data.load("digits").flat().x_train
    model = DenoisingAutoencoder.dense(
        (64,),
        8,
        amount=0.05,
        widths=(256,),
        seed=1,
        likelihood=SquaredError("sigmoid"),
    )
    model.compile("adam")
    model.fit(x, epochs=25, batch_size=16, verbose=0)
    checks.check_2_5(model)


def test_check_2_5_untrained_model_is_named():
    rejects(checks.check_2_5, _fitted(None, 0), match="Was the model trained")


def test_check_2_5_wider_code_is_named():
    model = _fitted(None, 0, latent_dim=16)
    rejects(checks.check_2_5, model, match="16 units")


def test_check_2_5_short_training_is_named():
    model = _fitted(data.load("digits").x_train, 2)
    rejects(checks.check_2_5, model, match="train longer")


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [25, 60])
def test_check_2_5_training_on_test_rows_is_named(epochs):
    model = _fitted(data.load("digits").x_test, epochs)
    rejects(checks.check_2_5, model, match="see the test rows")


@pytest.mark.slow
def test_check_2_5_training_on_all_rows_is_named():
    digits = data.load("digits")
    rows = np.concatenate([digits.x_train, digits.x_test])
    rejects(checks.check_2_5, _fitted(rows, 15), match="see the test rows")


def test_check_2_5_other_shape_or_type_is_named():
    rejects(checks.check_2_5, Autoencoder.dense((10,), 8), match="8 × 8")
    rejects(checks.check_2_5, "model", match="trained model itself")
    rejects(checks.check_2_5, [1, 2], match="two networks")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def _plain(units=8, end="sigmoid", flat=False):
    shape = (64,) if flat else (8, 8, 1)
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Flatten(),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(units),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(64, activation=end),
            keras.layers.Reshape(shape),
        ]
    )


def _fit_plain(model, rows, epochs=25):
    keras.utils.set_random_seed(0)
    model.compile(keras.optimizers.Adam(2e-3), loss="binary_crossentropy")
    rows = rows.reshape(-1, *model.input_shape[1:])
    model.fit(rows, rows, epochs=epochs, batch_size=16, verbose=0)
    return model


@pytest.mark.slow
def test_check_2_5_plain_keras_of_any_form_passes(digits):
    model = _fit_plain(_plain(), digits.x_train)
    checks.check_2_5(model)  # a model from the web
    checks.check_2_5(lambda x: model(x))
    checks.check_2_5(lambda x: model.predict(x, verbose=0))  # NumPy
    layers = model.layers
    encoder = keras.Sequential([keras.Input((8, 8, 1)), *layers[:3]])
    decoder = keras.Sequential([keras.Input((8,)), *layers[3:]])
    checks.check_2_5((encoder, decoder))
    checks.check_2_5([encoder, lambda z: ops.convert_to_numpy(decoder(z))])

    class Holder(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = encoder, decoder

        def call(self, x):
            return {"reconstruction": self.decoder(self.encoder(x))}

    checks.check_2_5(Holder())
    checks.check_2_5(_fit_plain(_plain(flat=True), digits.x_train))


def test_check_2_5_plain_model_with_a_wider_code_is_named():
    rejects(checks.check_2_5, _plain(12), match="12 units")
    rejects(checks.check_2_5, _plain(32), match="at least 14 units")
    rejects(checks.check_2_5, lambda x: x, match="at least 14 units")


def _rank_32(x):
    """PCA with 32 components, in NumPy: no gradient shows its code."""
    flat = data.load("digits").flat().x_train
    w = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:32].T
    rows = np.asarray(x).reshape(len(x), 64) - flat.mean(0)
    return (rows @ w @ w.T + flat.mean(0)).reshape(-1, 8, 8, 1)


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: np.asarray(x),
        lambda x: np.round(16 * np.asarray(x)) / 16,
        _rank_32,
    ],
)
def test_check_2_5_wide_code_behind_numpy_is_named(answer):
    rejects(checks.check_2_5, answer, match="at least 14 units")


def test_check_2_5_code_that_cannot_be_counted_is_named():
    flat = data.load("digits").flat()
    known = np.concatenate([flat.x_train, flat.x_test])

    def nearest(x):
        rows = np.asarray(x).reshape(-1, 1, 64)
        ids = [((known - row) ** 2).sum(axis=1).argmin() for row in rows]
        return known[ids]

    rejects(checks.check_2_5, nearest, match="pass the pair")


class _PastTheCode(keras.Model):
    """Eight code units, and a skip connection past them."""

    def __init__(self, share):
        super().__init__()
        self.encoder, self.decoder = _pair(8)
        self.share = share

    def call(self, x):
        x_hat = self.decoder(self.encoder(x))
        return self.share * x + (1 - self.share) * x_hat


@pytest.mark.parametrize("share", [0.7, 0.9, 1.0])
def test_check_2_5_skip_connection_is_named(share):
    rejects(checks.check_2_5, _PastTheCode(share), match="past the code")


def test_check_2_5_skip_connection_of_a_model_with_verbs_is_named():
    class Copies(Autoencoder):
        def decoded(self, code, training=False):
            outputs = super().decoded(code, training)
            return {**outputs, "reconstruction": self.seen}

        def call(self, inputs, training=False):
            self.seen = inputs
            return super().call(inputs, training)

        def reconstruct(self, x, **options):
            return np.array(x)

    model = Copies(*_pair(8))
    rejects(checks.check_2_5, model, match="past the code")


def test_check_2_5_untrained_plain_model_is_named():
    rejects(checks.check_2_5, _plain(), match="Was the model trained")


class _Broken:
    """An autoencoder whose verbs do something else."""

    event_shape = (8, 8, 1)

    def __init__(self, result):
        self.result = result

    def __call__(self, x):
        return x

    def encode(self, x):
        return np.zeros((len(x), 8))

    def reconstruct(self, x):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.mark.parametrize(
    "result, match",
    [
        (None, "not be None"),
        (RuntimeError("no"), "stopped with RuntimeError"),
        (np.zeros((3, 64)), "return a reconstruction of each"),
        ("images", "should be numbers"),
        (np.full((359, 8, 8, 1), np.nan), "NaN"),
        ({"code": 1}, "without the key"),
    ],
)
def test_check_2_5_broken_verb_is_named(result, match):
    rejects(checks.check_2_5, _Broken(result), match=match)


def test_check_2_5_logits_are_named(digits):
    class Logits(_Broken):
        def reconstruct(self, x):
            x = np.clip(x, 1e-3, 1 - 1e-3)
            return np.log(x / (1 - x))

    rejects(checks.check_2_5, Logits(None), match="logits")


# ---------------------------------------------------------------- 2.6


@pytest.mark.parametrize(
    "answer", [0.89, np.float32(0.89), np.array([0.89]), [0.89]]
)
def test_check_2_6_right_value_passes(answer, capsys):
    checks.check_2_6(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (3.56, "sum over the four pixels"),
        (0, "never leaves"),
        (0.81, "two lie below 0"),
        (0.08, "one lies above 1"),
        (2.1025, "predicting 0"),
        (0.5, "not the floor"),
        (None, "waits for your answer"),
        ("0.89 or so", "should be numbers"),
    ],
)
def test_check_2_6_wrong_value_is_named(answer, match):
    rejects(checks.check_2_6, answer, match=match)


# ---------------------------------------------------------------- 2.7


def _floor(x):
    x = np.asarray(x, "float64")
    grey = x[(x > 0) & (x < 1)]
    return -np.sum(grey * np.log(grey) + (1 - grey) * np.log1p(-grey)) / len(x)


def _floor_by_scipy(x):
    from scipy.special import entr

    x = x.reshape(len(x), -1)
    return (entr(x) + entr(1 - x)).sum(axis=1).mean()


def _floor_by_keras(x):
    nats = ops.binary_crossentropy(x, ops.clip(x, 1e-7, 1 - 1e-7))
    return ops.sum(nats) / len(x)


def _floor_by_loop(x):
    rows = [np.clip(row.ravel(), 1e-7, 1 - 1e-7).tolist() for row in x]
    return [
        np.mean(
            [
                -sum(p * np.log(p) + (1 - p) * np.log(1 - p) for p in row)
                for row in rows
            ]
        )
    ]


@pytest.mark.parametrize(
    "answer", [_floor, _floor_by_scipy, _floor_by_keras, _floor_by_loop]
)
def test_check_2_7_right_floor_passes(answer):
    checks.check_2_7(answer)


def _naive(x):
    coins = x * np.log(x) + (1 - x) * np.log(1 - x)
    return -coins.reshape(len(x), -1).sum(axis=1).mean()


def _one_half(x):
    grey = x[(x > 0) & (x < 1)]
    return -np.sum(grey * np.log(grey)) / len(x)


@pytest.mark.parametrize(
    "answer, match",
    [
        (_naive, "0 · log 0"),
        (_one_half, "second half of each coin"),
        (lambda x: _one_half(1 - x), "first half of each coin"),
        (lambda x: _floor(x) / x[0].size, "mean over pixels"),
        (lambda x: _floor(x) * len(x), "summed over the examples"),
        (lambda x: _floor(x) / np.log(2), "bits"),
        (lambda x: -_floor(x), "sign"),
        (lambda x: _floor(x.mean(axis=0, keepdims=True)), "mean image"),
        (lambda x: 0.0, "only black and white"),
        (lambda x: x.reshape(len(x), -1).sum(axis=1), "one number"),
        (lambda x: _floor(x) if x.ndim == 4 else 0.0, "by heart"),
        (lambda x: 1.0, "should be"),
        (lambda x: None, "None"),
        (lambda x: "6 nats", "should be numbers"),
        (6.0, "expects the function itself"),
    ],
)
def test_check_2_7_wrong_floor_is_named(answer, match):
    rejects(checks.check_2_7, answer, match=match)


# ---------------------------------------------------------------- 2.8


def _noise(x, sigma, rng):
    return sigma * rng.standard_normal(x.shape)


def _in_place(x, sigma, rng):
    target = x
    x += _noise(x, sigma, rng)
    return x, target


def _along(x, sigma, rng, *axes):
    """Noise that is the same along these axes of an image."""
    shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    return sigma * rng.standard_normal(shape)


@pytest.mark.parametrize(
    "answer",
    [
        lambda x, s, rng: (
            ops.convert_to_tensor((x + _noise(x, s, rng)).astype("float32")),
            x.tolist(),
        ),
        lambda x, s, rng: (x + rng.normal(0, s, x.shape), x),
        lambda x, s, rng: [x + _noise(x, s, rng), x.copy()],
        lambda x, s, rng: (rng.normal(x, s).astype("float32"), x),
    ],
)
def test_check_2_8_right_pair_passes(answer):
    checks.check_2_8(answer)


def _noisy_target(x, sigma, rng):
    noisy = x + _noise(x, sigma, rng)
    return noisy, noisy


def _same_pattern(x, sigma, rng):
    return x + sigma * rng.standard_normal(x.shape[1:]), x


@pytest.mark.parametrize(
    "answer, match",
    [
        (_noisy_target, "target is noisy"),
        (lambda x, s, rng: (x, x + _noise(x, s, rng)), "swapped"),
        (lambda x, s, rng: (x, x), "Neither"),
        (
            lambda x, s, rng: (np.clip(x + _noise(x, s, rng), 0, 1), x),
            "clipped",
        ),
        (
            lambda x, s, rng: (np.maximum(x + _noise(x, s, rng), 0), x),
            "clipped",
        ),
        (_same_pattern, "Every row got the same noise"),
        (_in_place, "changed the array"),
        (lambda x, s, rng: (x + rng.uniform(0, s, x.shape), x), "mean"),
        (
            lambda x, s, rng: (x + s * 3**0.5 * rng.uniform(-1, 1, x.shape), x),
            "the shape is not",
        ),
        (
            lambda x, s, rng: (x + s * rng.choice([-1, 1], x.shape), x),
            "the shape is not",
        ),
        (lambda x, s, rng: (x + _along(x, s, rng, 1, 2), x), "each pixel"),
        (lambda x, s, rng: (x + _along(x, s, rng, 2), x), "image's row"),
        (lambda x, s, rng: (x + _along(x, s, rng, 1), x), "image's column"),
        (
            lambda x, s, rng: (x + s * np.random.randn(*x.shape), x),  # noqa: NPY002
            "not from `np.random`",
        ),
        (lambda x, s, rng: (x + _noise(x, 0.1, rng), x), "from the arguments"),
        (lambda x, s, rng: ("noisy", x), "should be numbers"),
        (lambda x, s, rng: (x[:5], x[:5]), "shape"),
        (lambda x, s, rng: (x + s * _noise(x, s, rng), x), "deviation"),
        (
            lambda x, s, rng: (x + _noise(x, s, np.random.default_rng(0)), x),
            "draw from the `rng`",
        ),
        (lambda x, s, rng: x + _noise(x, s, rng), "two arrays"),
    ],
)
def test_check_2_8_wrong_pair_is_named(answer, match):
    rejects(checks.check_2_8, answer, match=match)


# ---------------------------------------------------------------- 2.9


def _gaussian(codes, count, rng):
    covariance = np.cov(codes.T)
    return rng.multivariate_normal(codes.mean(0), covariance, size=count)


def _mixture(codes, count, rng):
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(30, random_state=0, reg_covar=1e-4).fit(codes)
    seed = int(rng.integers(2**31))
    return mixture.set_params(random_state=seed).sample(count)[0]


def _kernel(codes, count, rng):
    chosen = codes[rng.integers(len(codes), size=count)]
    return chosen + 0.1 * rng.standard_normal(chosen.shape)


def _walks(codes, count, rng):
    chosen = codes[rng.integers(len(codes), size=count)]
    distances = np.linalg.norm(chosen[:, None] - codes[None], axis=2)
    friend = codes[np.argsort(distances, axis=1)[:, 2]]
    return ops.convert_to_tensor((chosen + friend).astype("float32") / 2)


def _hardly(codes, count, rng, size=1e-4):
    """Each a step of one length away from a code."""
    chosen = codes[rng.integers(len(codes), size=count)]
    step = rng.standard_normal(chosen.shape)
    return chosen + size * step / np.linalg.norm(step, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "answer",
    [
        _mixture,
        _kernel,
        _walks,
        lambda z, n, rng: _hardly(z, n, rng, 0.3 * 0.37),
        lambda z, n, rng: _kernel(z, n, rng).astype("float32").tolist(),
    ],
)
def test_check_2_9_right_sampler_passes(answer):
    checks.check_2_9(answer)


def _independent(codes, count, rng):
    noise = rng.standard_normal((count, codes.shape[1]))
    return codes.mean(0) + codes.std(0) * noise


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda z, n, rng: z[rng.integers(len(z), size=n)], "copies"),
        (lambda z, n, rng: rng.standard_normal((n, z.shape[1])), "cover|far"),
        (_hardly, "next to one"),
        (lambda z, n, rng: _hardly(z, n, rng, 0.11 * 0.37), "hardly moved"),
        (lambda z, n, rng: _hardly(z, n, rng, 0.2 * 0.37), "hardly moved"),
        (lambda z, n, rng: _kernel(z[:20], n, rng), "gather round only"),
        (lambda z, n, rng: _kernel(z[: len(z) // 2], n, rng), "first half"),
        (lambda z, n, rng: _kernel(z[1::2], n, rng), "odd index"),
        (
            lambda z, n, rng: _kernel(z[z[:, 3] > np.median(z[:, 3])], n, rng),
            "leave part of the data out",
        ),
        (
            lambda z, n, rng: _kernel(z, n, np.random.default_rng()),
            "nothing else|the `rng` given",
        ),
        (lambda z, n, rng: np.sort(z, axis=0)[:n] + z.sum() * 0, "Two gen"),
        (lambda z, n, rng: None, "None"),
        (_independent, "independent coordinates"),
        (_gaussian, "combinations"),
        (
            lambda z, n, rng: z.mean(0) + 0.01 * rng.standard_normal((n, 6)),
            "near the mean",
        ),
        (lambda z, n, rng: z[:n] + 0.1, "two generators|Two generators"),
        (lambda z, n, rng: rng.standard_normal((n, 2)), "shape"),
    ],
)
def test_check_2_9_wrong_sampler_is_named(answer, match):
    rejects(checks.check_2_9, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
