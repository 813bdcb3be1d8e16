"""Checks of chapter 4: wrong answers are named, unusual right ones pass."""

import functools

import keras
import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops

from utils import data
from utils.checks import chapter_04
from utils.models.autoencoders import Autoencoder
from utils.models.vaes import VAE
from utils.nn import losses
from utils.nn.layers import Sampling, VectorQuantizer
from utils.nn.likelihoods import Bernoulli

checks = Watched(chapter_04)

BACKEND = keras.backend.backend()


@pytest.mark.parametrize(
    "check",
    [
        checks.check_4_2,
        checks.check_4_3,
        checks.check_4_4,
        checks.check_4_5,
        checks.check_4_8,
    ],
)
def test_checks_name_the_unanswered_stub_and_the_missing_return(check):
    rejects(check, stub, match="waits for your answer")
    rejects(check, lambda *arguments: None, match="return")
    rejects(check, 1.0, match="expects the function itself")


# ---------------------------------------------------------------- 4.1

RIGHT_4_1 = [2.31815, 3.125, 0.02, 784.0, 19.799]


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT_4_1,
        tuple(RIGHT_4_1),
        np.float32([2.32, 3.125, 1 / 50, 28**2, 14 * 2**0.5]),
    ],
)
def test_check_4_1_right_numbers_pass(answer, capsys):
    checks.check_4_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "place, value, match",
    [
        (0, 4.6363, "factor ½"),
        (0, 2.0966, "σ = ½ went in"),
        (0, 1.9716, "log σ instead"),
        (0, 0.9319, "sign of log"),
        (0, 1.3181, "not squared"),
        (0, 2.8181, "−1 is missing"),
        (0, 8.8069, "not symmetric"),
        (0, 3.3444, "in bits"),
        (0, 1.0, "Put μ = 2"),
        (1, 1.5625, "averaged over the two units"),
        (1, 0.80685, "second unit alone"),
        (1, 2.31815, "still costs"),
        (1, 5.0, "Add the second"),
        (2, 50, "\\*bare\\* squared error"),
        (2, 0.01, "Without the ½"),
        (2, 100, "precision"),
        (2, 0.2, "not squared"),
        (2, 0.1, "not σ itself"),
        (2, 2, "belongs to σ = 1"),
        (2, 1, "bare squared error"),
        (2, 7, "frees the error"),
        (3, 1 / 784, "other way round"),
        (3, 1, "784 times too small"),
        (3, 39.2, "only the pixels"),
        (3, 15680, "20 code units are summed"),
        (3, 28, "28 · 28"),
        (3, 3, "Multiply the loss by 784"),
        (4, 392, "its root"),
        (4, 28, "√\\(784/2\\)"),
        (4, 784, "That is 2σ²"),
        (4, 0.70711, "\\*summed\\*"),
        (4, 0.025254, "Upside down"),
        (4, 1, "weight 1/784"),
    ],
)
def test_check_4_1_wrong_number_is_named(place, value, match):
    answer = list(RIGHT_4_1)
    answer[place] = value
    rejects(checks.check_4_1, answer, match=match)


def test_check_4_1_bad_form_is_named():
    rejects(checks.check_4_1, [2.318], match="list of five")
    rejects(checks.check_4_1, None, match="waits for your answer")
    rejects(checks.check_4_1, [np.nan] * 5, match="NaN")


# ---------------------------------------------------------------- 4.2


def kl(mean, log_var):
    terms = ops.square(mean) + ops.exp(log_var) - 1 - log_var
    return 0.5 * ops.sum(terms, axis=1)


def _by_quadrature(mean, log_var):
    """E_q[log q − log p] by Gauss and Hermite: exact, and no closed form."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    weights = weights / weights.sum()
    sigma = ops.exp(0.5 * log_var)
    total = 0.0
    for node, weight in zip(nodes, weights, strict=True):
        z = mean + sigma * float(node)
        inside = 0.5 * (z**2 - log_var - float(node) ** 2)
        total = total + float(weight) * ops.sum(inside, axis=1)
    return total


def _by_matrices(mean, log_var):
    """Trace, quadratic form, log-determinant, as for any Gaussian."""
    trace = ops.sum(ops.exp(log_var), axis=1)
    square = ops.einsum("nk,nk->n", mean, mean)
    return 0.5 * (trace + square - mean.shape[1] - ops.sum(log_var, axis=1))


def _in_double(mean, log_var):
    return kl(ops.cast(mean, "float64"), ops.cast(log_var, "float64"))


@pytest.mark.parametrize(
    "answer", [kl, losses.gaussian_kl, _by_quadrature, _by_matrices, _in_double]
)
def test_check_4_2_right_divergence_passes(answer, capsys):
    checks.check_4_2(answer)
    assert "correct" in capsys.readouterr().out


def _by_draws(mean, log_var):
    noise = keras.random.normal((200, *mean.shape))
    z = mean + ops.exp(0.5 * log_var) * noise
    inside = 0.5 * (z**2 - log_var - noise**2)
    return ops.mean(ops.sum(inside, axis=2), axis=0)


def _in_numpy(mean, log_var):
    return losses.gaussian_kl(
        ops.convert_to_tensor(ops.convert_to_numpy(mean)),
        ops.convert_to_tensor(ops.convert_to_numpy(log_var)),
    )


def _terms(function, reduce=lambda terms: 0.5 * ops.sum(terms, axis=1)):
    return lambda m, v: reduce(function(m, v))


RIGHT_TERMS = _terms(lambda m, v: m**2 + ops.exp(v) - 1 - v, lambda t: t)

WRONG_4_2 = {
    "mean over units": (
        _terms(RIGHT_TERMS, lambda t: 0.5 * ops.mean(t, axis=1)),
        "mean over code units",
    ),
    "no half": (_terms(RIGHT_TERMS, lambda t: ops.sum(t, axis=1)), "factor ½"),
    "sign": (lambda m, v: -kl(m, v), "never negative"),
    "batch mean": (lambda m, v: ops.mean(kl(m, v)), "averaged over the batch"),
    "batch sum": (lambda m, v: ops.sum(kl(m, v)), "summed over the batch"),
    "all mean": (
        _terms(RIGHT_TERMS, lambda t: 0.5 * ops.mean(t)),
        "averaged over batch \\*and\\*",
    ),
    "wrong axis": (
        _terms(RIGHT_TERMS, lambda t: 0.5 * ops.sum(t, axis=0)),
        "other way round",
    ),
    "per unit": (_terms(RIGHT_TERMS, lambda t: 0.5 * t), "sum over the k"),
    "column": (
        _terms(RIGHT_TERMS, lambda t: 0.5 * ops.sum(t, 1, keepdims=True)),
        "broadcasts",
    ),
    "variance": (
        _terms(lambda m, v: m**2 + v - 1 - ops.log(v)),
        "\\*variance\\*",
    ),
    "deviation": (
        _terms(lambda m, v: m**2 + v**2 - 1 - 2 * ops.log(v)),
        "\\*standard deviation\\*",
    ),
    "exp is sigma": (
        _terms(lambda m, v: m**2 + ops.exp(2 * v) - 1 - 2 * v),
        "taken for the standard deviation; it is",
    ),
    "half the logarithm": (
        _terms(lambda m, v: m**2 + ops.exp(v) - 1 - v / 2),
        "½ log_var instead",
    ),
    "sigma for variance": (
        _terms(lambda m, v: m**2 + ops.exp(v / 2) - 1 - v),
        "is σ;",
    ),
    "plus log_var": (
        _terms(lambda m, v: m**2 + ops.exp(v) - 1 + v),
        "with a minus",
    ),
    "no one": (_terms(lambda m, v: m**2 + ops.exp(v) - v), "k/2 instead of 0"),
    "no square": (_terms(lambda m, v: m + ops.exp(v) - 1 - v), "not squared"),
    "reversed": (
        _terms(lambda m, v: (m**2 + 1) * ops.exp(-v) - 1 + v),
        "stands first",
    ),
    "bits": (lambda m, v: kl(m, v) / np.log(2), "in bits"),
    "draws": (_by_draws, "estimate by draws"),
    "clipped": (lambda m, v: kl(m, ops.clip(v, 0.0, 9.0)), "negative too"),
    "log of exp": (
        _terms(lambda m, v: m**2 + ops.exp(v) - 1 - ops.log(ops.exp(v))),
        "is log_var",
    ),
    "stop": (lambda m, v: ops.stop_gradient(kl(m, v)), "has no gradient"),
    "half stopped": (
        lambda m, v: (
            kl(m, v)
            - ops.sum(0.4 * v, 1)
            + ops.stop_gradient(ops.sum(0.4 * v, 1))
        ),
        "part of its gradient",
    ),
    "NumPy": (_in_numpy, "NumPy"),
    "something else": (lambda m, v: ops.sum(m * v, axis=1), "the KL is"),
}


@pytest.mark.parametrize("name", WRONG_4_2)
def test_check_4_2_wrong_divergence_is_named(name):
    answer, match = WRONG_4_2[name]
    rejects(checks.check_4_2, answer, match=match)


# ---------------------------------------------------------------- 4.3


class Drawn(keras.layers.Layer):
    """A draw with one part exchanged."""

    def __init__(self, scale=lambda v: ops.exp(0.5 * v), noise=None, end=None):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(1)
        self.scale, self.noise, self.end = scale, noise, end

    def call(self, inputs):
        mean, log_var = inputs
        if self.noise is None:
            epsilon = self.normal(ops.shape(mean))
        else:
            epsilon = self.noise(self, mean)
        if self.end is not None:
            return self.end(mean, log_var, epsilon)
        return mean + self.scale(log_var) * epsilon

    def normal(self, shape):
        return keras.random.normal(shape, seed=self.seed_generator)


def _network(
    draw=Drawn,
    activation=None,
    head=None,
    mean_head=None,
    spread_head=None,
    last=None,
    repeat=False,
    decode="code",
    names=checks.PRODUCTS,
    flat=False,
    noisy=False,
    one_head=False,
    skip=False,
    second=False,
):
    """An answer to 4.3 with one part exchanged."""
    layers = keras.layers

    def answer(latent_dim, shape):
        x = keras.Input(shape)
        hidden = layers.Flatten()(x)
        hidden = layers.Dense(16, activation=activation or "relu")(hidden)
        if noisy:
            hidden = Drawn(end=lambda m, v, e: m + e)([hidden, hidden])
        mean = layers.Dense(latent_dim, activation=mean_head or head)(hidden)
        log_var = layers.Dense(
            latent_dim,
            activation=head,
            kernel_initializer="zeros",
            trainable=spread_head is None,
        )(hidden)
        if one_head:
            log_var = mean
        code = draw()([mean, log_var])
        made = {"code": code, "mean": mean, "log_var": log_var}
        if repeat == "code":
            made["code"] = layers.RepeatVector(latent_dim)(code)
        seen = made[decode]
        if second:
            other = draw()
            other.seed_generator = keras.random.SeedGenerator(2)
            seen = other([mean, log_var])
        if skip:
            seen = layers.Concatenate()([seen, hidden])
        if repeat == "decoder":
            seen = layers.RepeatVector(latent_dim)(seen)
        out = layers.Dense(16, activation="relu")(seen)
        out = layers.Dense(int(np.prod(shape)), activation=last)(out)
        if not flat and not repeat:
            out = layers.Reshape(shape)(out)
        made["logits"] = out
        return keras.Model(x, {name: made[name] for name in names})

    return answer


def _subclassed(latent_dim, shape):
    """No functional model, one layer for both heads, softplus units."""

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.body = keras.layers.Dense(12, "softplus")
            self.heads = keras.layers.Dense(2 * latent_dim)
            self.out = keras.layers.Dense(int(np.prod(shape)))
            self.seeds = keras.random.SeedGenerator(4)

        def call(self, x):
            heads = self.heads(
                self.body(ops.reshape(x, (-1, int(np.prod(shape)))))
            )
            mean, log_var = ops.split(heads, 2, axis=1)
            noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
            code = mean + ops.sqrt(ops.exp(log_var)) * noise
            logits = ops.reshape(self.out(code), (-1, *shape))
            return dict(
                zip(checks.PRODUCTS, (mean, log_var, code, logits), strict=True)
            )

    return Own()


@pytest.mark.parametrize(
    "answer",
    [
        _network(),
        _network(draw=Sampling),
        _subclassed,
        lambda k, s: VAE.dense(s, k, widths=(16,), seed=0),
        _network(activation="tanh"),
        lambda k, s: VAE.dense(s, k, widths=(256, 256, 256), seed=1),
    ],
    ids=["plain", "own layer", "subclassed", "library", "tanh", "deep"],
)
def test_check_4_3_right_network_passes(answer, capsys):
    checks.check_4_3(answer)
    assert "correct" in capsys.readouterr().out


def _with(**options):
    return _network(draw=functools.partial(Drawn, **options))


def _fixed(shape=None):
    return lambda layer, mean: keras.random.normal(
        ops.shape(mean) if shape is None else shape, seed=7
    )


def _one_a_row(layer, mean):
    return layer.normal((ops.shape(mean)[0], 1))


def _one_a_batch(layer, mean):
    return layer.normal((1, mean.shape[1]))


def _uniform(low, high):
    return lambda layer, mean: keras.random.uniform(
        ops.shape(mean), low, high, seed=layer.seed_generator
    )


cut = ops.stop_gradient

WRONG_4_3 = {
    "normal as activation": (
        _network(activation="normal"),
        "noise is not one",
    ),
    "normal as head": (_network(head="normal"), "noise is not one"),
    "repeated code": (_network(repeat="code"), "RepeatVector"),
    "repeated in the decoder": (_network(repeat="decoder"), "RepeatVector"),
    "flat": (_network(flat=True), "are flat"),
    "no heads": (_network(names=("code", "logits")), "should return a dict"),
    "mean decoded, called code": (
        _with(end=lambda m, v, e: m + 0 * e),
        "nothing is drawn",
    ),
    "mean decoded": (_network(decode="mean"), "something else"),
    "variance": (_with(scale=ops.exp), "\\*variance\\*"),
    "inverse": (_with(scale=lambda v: ops.exp(-0.5 * v)), "by 1/σ"),
    "root of sigma": (_with(scale=lambda v: ops.exp(0.25 * v)), "by √σ"),
    "log_var as sigma": (_with(scale=lambda v: v), "log_var itself"),
    "root of log_var": (
        _with(scale=lambda v: ops.sqrt(ops.abs(v))),
        "root of log_var",
    ),
    "unit noise": (_with(scale=ops.ones_like), "same size"),
    "softplus": (_with(scale=ops.softplus), "does not grow as"),
    "prior": (_with(end=lambda m, v, e: e + 0 * m), "the \\*prior\\*"),
    "fixed seed": (_with(noise=_fixed()), "noise is a constant"),
    "one a row": (_with(noise=_one_a_row), "share one ε: shape"),
    "one a batch": (_with(noise=_one_a_batch), "All rows of the batch"),
    "uniform": (_with(noise=_uniform(0.0, 1.0)), "noise has mean"),
    "centred uniform": (
        _with(noise=_uniform(-(3**0.5), 3**0.5)),
        "is not normal",
    ),
    "narrow": (
        _with(noise=lambda layer, m: 0.5 * layer.normal(ops.shape(m))),
        "noise has deviation",
    ),
    "cut": (
        _with(end=lambda m, v, e: cut(m + ops.exp(0.5 * v) * e)),
        "No gradient passes",
    ),
    "sigma cut": (
        _with(end=lambda m, v, e: m + cut(ops.exp(0.5 * v)) * e),
        "not the right gradient",
    ),
    "ReLU heads": (_network(head="relu"), "never negative"),
    "ReLU mean": (_network(mean_head="relu"), "may be any real"),
    "one variance for all": (
        _network(spread_head="constant"),
        "same for every example",
    ),
    "sigmoid": (_network(last="sigmoid"), "probabilities already"),
    "ReLU at the end": (_network(last="relu"), "hardly go below zero"),
    "softplus at the end": (_network(last="softplus"), "hardly go below"),
    "ELU at the end": (_network(last="elu"), "hardly go below zero"),
    "tanh at the end": (_network(last="tanh"), "a tanh at the end"),
    "one head": (_network(one_head=True), "one and the same head"),
    "skip past the code": (_network(skip=True), "past the code"),
    "a second draw": (_network(second=True), "given a second draw"),
    "noise in common": (
        _with(
            noise=lambda layer, m: (
                0.8 * layer.normal(ops.shape(m)) + 0.6 * _one_a_row(layer, m)
            )
        ),
        "share a part",
    ),
    "noise before the heads": (_network(noisy=True), "two \\*means\\*"),
    "not a model": (lambda k, s: "VAE", "Return a Keras model"),
    "no arguments": (lambda: None, "TypeError"),
}


@pytest.mark.parametrize("name", WRONG_4_3)
def test_check_4_3_wrong_network_is_named(name):
    answer, match = WRONG_4_3[name]
    rejects(checks.check_4_3, answer, match=match)


class NumPyNoise(keras.Model):
    """Draws by NumPy: well enough when called directly."""

    def __init__(self, latent_dim, shape):
        super().__init__()
        self.event = shape
        self.rng = np.random.default_rng(0)
        self.heads = keras.layers.Dense(2 * latent_dim)
        self.out = keras.layers.Dense(int(np.prod(shape)))

    def call(self, x):
        rows = x.shape[0] or 64
        mean, log_var = ops.split(
            self.heads(ops.reshape(x, (rows, -1))), 2, axis=1
        )
        noise = self.rng.standard_normal((rows, mean.shape[1]))
        code = mean + ops.exp(0.5 * log_var) * noise.astype("float32")
        logits = ops.reshape(self.out(code), (rows, *self.event))
        return {
            "mean": mean,
            "log_var": log_var,
            "code": code,
            "logits": logits,
        }


@pytest.mark.skipif(
    BACKEND == "torch", reason="PyTorch runs each call: NumPy draws afresh"
)
def test_check_4_3_noise_that_compiling_freezes_is_named():
    rejects(checks.check_4_3, NumPyNoise, match="compile it")


def test_check_4_3_draw_outside_a_layer_is_named():
    def answer(latent_dim, shape):
        x = keras.Input(shape)
        mean = keras.layers.Dense(latent_dim)(keras.layers.Flatten()(x))
        return keras.Model(x, np.asarray(mean) + 0.1)

    rejects(checks.check_4_3, answer, match="no values yet")


# ---------------------------------------------------------------- 4.4


def refuse(x):
    if float(ops.min(x)) < 0 or float(ops.max(x)) > 1:
        raise ValueError("x")


def total(values):
    return ops.sum(ops.reshape(values, (len(values), -1)), axis=1)


def entropy(x, logits):
    return ops.softplus(logits) - x * logits


def _loss(
    pixels=entropy,
    over_pixels=total,
    over_code=lambda t: ops.sum(t, axis=1),
    join=lambda nll, kl: ops.mean(nll + kl),
    check=refuse,
):
    """An answer to 4.4 with one part exchanged."""

    def answer(x, logits, mean, log_var):
        check(x)
        terms = 0.5 * (mean**2 + ops.exp(log_var) - 1 - log_var)
        return join(over_pixels(pixels(x, logits)), over_code(terms))

    return answer


def _by_keras(x, logits, mean, log_var):
    """Keras's mean, multiplied back; the KL by log densities' means."""
    refuse(x)
    n, d = len(x), int(np.prod(x.shape[1:]))
    flat = ops.reshape(x, (n, d)), ops.reshape(logits, (n, d))
    nll = d * keras.losses.binary_crossentropy(*flat, from_logits=True)
    return ops.reshape(ops.mean(nll) + ops.mean(kl(mean, log_var)), (1,))


@pytest.mark.parametrize(
    "answer",
    [
        _loss(),
        _by_keras,
        lambda *tensors: _loss()(*(ops.cast(t, "float64") for t in tensors)),
        lambda x, logits, m, v: (
            refuse(x)
            or ops.mean(
                losses.bernoulli_nll(x, logits) + losses.gaussian_kl(m, v)
            )
        ),
    ],
)
def test_check_4_4_right_loss_passes(answer, capsys):
    checks.check_4_4(answer)
    assert "correct" in capsys.readouterr().out


def _as_probabilities(x, logits):
    p = ops.clip(logits, 1e-7, 1 - 1e-7)
    return -(x * ops.log(p) + (1 - x) * ops.log(1 - p))


def _rounded(x, logits):
    p = ops.clip(ops.sigmoid(logits), 1e-7, 1 - 1e-7)
    return -(x * ops.log(p) + (1 - x) * ops.log(1 - p))


def _pixel_mean(values):
    return total(values) / 36


WRONG_4_4 = {
    "pixel mean": ({"over_pixels": _pixel_mean}, "\\*mean\\* over pixels"),
    "batch sum": (
        {"join": lambda r, k: ops.sum(r + k)},
        "Summed over the batch",
    ),
    "first term summed": (
        {"join": lambda r, k: ops.sum(r) + ops.mean(k)},
        "first term is summed",
    ),
    "KL summed": (
        {"join": lambda r, k: ops.mean(r) + ops.sum(k)},
        "KL is summed",
    ),
    "no KL": ({"join": lambda r, k: ops.mean(r)}, "no KL in it"),
    "KL only": ({"join": lambda r, k: ops.mean(k)}, "no reconstruction"),
    "KL averaged": (
        {"over_code": lambda t: ops.mean(t, axis=1)},
        "averaged over the 2 code units",
    ),
    "all averaged": (
        {
            "over_pixels": _pixel_mean,
            "over_code": lambda t: ops.mean(t, axis=1),
        },
        "both averaged",
    ),
    "minus KL": ({"join": lambda r, k: ops.mean(r - k)}, "with a plus"),
    "the ELBO": ({"join": lambda r, k: -ops.mean(r + k)}, "ELBO itself"),
    "minus first term": (
        {"join": lambda r, k: ops.mean(k - r)},
        "first term is turned",
    ),
    "no half": ({"join": lambda r, k: ops.mean(r + 2 * k)}, "½ of the KL"),
    "as probabilities": (
        {"pixels": _as_probabilities},
        "Logits are treated as probabilities",
    ),
    "sigmoid twice": (
        {"pixels": lambda x, s: entropy(x, ops.sigmoid(s))},
        "sigmoid too many",
    ),
    "squared": (
        {"pixels": lambda x, s: (x - ops.sigmoid(s)) ** 2},
        "Squared error: that is a Gaussian",
    ),
    "mean squared": (
        {
            "pixels": lambda x, s: (x - ops.sigmoid(s)) ** 2,
            "over_pixels": _pixel_mean,
        },
        "mean squared error",
    ),
    "one a row": ({"join": lambda r, k: r + k}, "mean over the examples"),
    "table": ({"join": lambda r, k: r[:, None] + k}, "one number"),
    "another": ({"join": lambda r, k: ops.mean(r + 3 * k)}, "−ELBO is"),
    "cut": ({"join": lambda r, k: ops.mean(r + cut(k))}, "reaches mean"),
    "cut in part": (
        {"pixels": lambda x, s: ops.softplus(s) - x * cut(s)},
        "part of the gradient by logits",
    ),
    "six examples": (
        {"join": lambda r, k: ops.sum(r + k) / 6},
        "size written",
    ),
    "only far out": (
        {"check": lambda x: refuse(ops.where(ops.abs(x - 0.5) > 1.4, x, 0.5))},
        "a pixel of",
    ),
    "channel mean": (
        {"over_pixels": lambda v: ops.sum(ops.mean(v, axis=3), axis=(1, 2))},
        "\\*averaged\\* over the channels",
    ),
    "any range": ({"check": lambda x: None}, "without a word"),
    "only beyond 1": (
        {"check": lambda x: refuse(ops.abs(x))},
        "pixels from −1 to 1",
    ),
    "only negative": (
        {"check": lambda x: refuse(ops.minimum(x, 1.0))},
        "bytes from 0 to 255",
    ),
}


@pytest.mark.parametrize("name", WRONG_4_4)
def test_check_4_4_wrong_loss_is_named(name):
    parts, match = WRONG_4_4[name]
    rejects(checks.check_4_4, _loss(**parts), match=match)


def test_check_4_4_other_errors_are_named():
    def asserts(x):
        assert float(ops.max(x)) <= 1 and float(ops.min(x)) >= 0

    rejects(checks.check_4_4, _loss(check=asserts), match="AssertionError")
    # right to five digits, until a probability is 0 or 1 in float32
    rounded = _loss(pixels=_rounded)
    rejects(checks.check_4_4, rounded, match="rounded probability")


# ---------------------------------------------------------------- 4.5


def _by_logaddexp(log_px, log_pz, log_qz):
    ratio = log_px + log_pz - log_qz
    return np.logaddexp.reduce(ratio, axis=1) - np.log(ratio.shape[1])


def _one_by_one(log_px, log_pz, log_qz):
    """Python's own numbers, the mean kept up to date, as a column."""
    bounds = []
    for row in (log_px + log_pz - log_qz).tolist():
        bound = row[0]
        for seen, value in enumerate(row[1:], start=1):
            high, low = max(bound, value), min(bound, value)
            weights = (seen, 1) if bound >= value else (1, seen)
            bound = high + np.log(
                (weights[0] + weights[1] * np.exp(low - high)) / (seen + 1)
            )
        bounds.append([bound])
    return bounds


def _in_keras(*logs):
    ratio = logs[0] + logs[1] - logs[2]
    high = ratio.max(axis=1, keepdims=True)
    return (
        high[:, 0]
        + np.asarray(
            ops.convert_to_numpy(
                ops.logsumexp(ops.convert_to_tensor(ratio - high), axis=1)
            )
        )
        - np.log(ratio.shape[1])
    )


def _in_place(log_px, log_pz, log_qz):
    log_px += log_pz
    log_px -= log_qz
    return np.logaddexp.reduce(log_px, axis=1) - np.log(log_px.shape[1])


@pytest.mark.parametrize(
    "answer", [_by_logaddexp, _one_by_one, _in_keras, _in_place]
)
def test_check_4_5_right_bound_passes(answer, capsys):
    checks.check_4_5(answer)
    assert "correct" in capsys.readouterr().out


def _bound(function, ratio=lambda x, p, q: x + p - q):
    return lambda x, p, q: function(ratio(x, p, q))


def _safe(r):
    return np.logaddexp.reduce(r, axis=1) - np.log(r.shape[1])


def _top(r):
    return r.max(axis=1, keepdims=True)


def _quiet(function):
    def answer(r):
        with np.errstate(all="ignore"):
            return function(r)

    return answer


def _about(centre):
    """The bound with another number of the row in its maximum's place."""

    def answer(r):
        c = centre(r)
        return c + np.log(np.exp(r - c[:, None]).mean(1))

    return _quiet(answer)


WRONG_4_5 = {
    "mean of logs": (_bound(lambda r: r.mean(1)), "is the ELBO"),
    "no log S": (
        _bound(lambda r: np.logaddexp.reduce(r, axis=1)),
        "log S is missing",
    ),
    "largest": (_bound(lambda r: r.max(1)), "largest ratio alone"),
    "largest over S": (
        _bound(lambda r: r.max(1) - np.log(r.shape[1])),
        "add the others",
    ),
    "not added again": (
        _bound(lambda r: np.log(np.exp(r - _top(r)).mean(1))),
        "never added again",
    ),
    "likelihood alone": (
        _bound(_safe, lambda x, p, q: x),
        "not from the prior",
    ),
    "no q": (_bound(_safe, lambda x, p, q: x + p), "q\\(z\\|x\\) is missing"),
    "upside down": (_bound(_safe, lambda x, p, q: x + q - p), "upside down"),
    "q multiplied": (_bound(_safe, lambda x, p, q: x + p + q), "divides"),
    "likelihood": (
        _bound(lambda r: np.exp(_safe(r))),
        "its logarithm is asked",
    ),
    "sign": (_bound(lambda r: -_safe(r)), "sign is turned"),
    "bits": (_bound(lambda r: _safe(r) / np.log(2)), "in bits"),
    "the row's mean": (_bound(_about(lambda r: r.mean(1))), "not its mean"),
    "the row's first": (_bound(_about(lambda r: r[:, 0])), "not its mean"),
    "S written in": (
        _bound(lambda r: np.logaddexp.reduce(r, axis=1) - np.log(8)),
        "S is the length",
    ),
    "underflow": (
        _bound(_quiet(lambda r: np.log(np.exp(r).mean(1)))),
        "leaves the range",
    ),
    "a small constant": (
        _bound(_quiet(lambda r: np.log(np.exp(r).mean(1) + 1e-300))),
        "small constant",
    ),
    "one maximum for all": (
        _bound(_quiet(lambda r: r.max() + np.log(np.exp(r - r.max()).mean(1)))),
        "of its own",
    ),
    "minimum": (
        _bound(_quiet(lambda r: r.min() + np.log(np.exp(r - r.min()).mean(1)))),
        "of its own",
    ),
    "averaged": (_bound(lambda r: _safe(r).mean()), "One bound an example"),
    "wrong axis": (
        _bound(lambda r: np.logaddexp.reduce(r, axis=0)),
        "not over the examples",
    ),
    "no reduction": (_bound(lambda r: r), "should have shape"),
    "another": (_bound(lambda r: _safe(r) + 1), "For one example"),
}


@pytest.mark.parametrize("name", WRONG_4_5)
def test_check_4_5_wrong_bound_is_named(name):
    answer, match = WRONG_4_5[name]
    rejects(checks.check_4_5, answer, match=match)


# ---------------------------------------------------------------- 4.6


def _vae(
    active=8,
    steps=228,
    beta=64.0,
    shape=(8, 8, 1),
    width=8,
    rate=0.001,
    **options,
):
    """A VAE with so many active units, without training."""
    options = {"widths": (64,), "seed": 0, **options}
    model = VAE.dense(shape, width, beta=beta, **options)
    head = model.encoder.get_layer("code")
    kernel, bias = head.get_weights()
    kernel = np.random.default_rng(0).normal(0, 1, kernel.shape)
    kernel[:, active:] = 0.0
    head.set_weights([kernel, bias])
    if steps is not None:
        model.compile(keras.optimizers.Adam(rate))
        model.optimizer.iterations.assign(steps)
    return model


def _runs(**changed):
    return {
        "summed": _vae(7, beta=1.0),
        "pixel mean": _vae(0),
        "warm-up": _vae(0, warmup_steps=100),
        "free bits": _vae(6, free_bits=0.5),
        **changed,
    }


RUNS_4_6 = {"summed": 7, "pixel mean": 0, "warm-up": 0, "free bits": 6}


@pytest.fixture(scope="module")
def runs():
    return _runs()


def test_check_4_6_right_experiment_passes(runs, capsys):
    checks.check_4_6(runs, RUNS_4_6, ["free bits"])
    checks.check_4_6(runs, RUNS_4_6, "free bits")
    as_arrays = {name: np.int64(v) for name, v in RUNS_4_6.items()}
    both = {**runs, "warm-up": _vae(5, warmup_steps=50)}
    checks.check_4_6(
        both, {**as_arrays, "warm-up": 5}, {"free bits", "warm-up"}
    )
    assert capsys.readouterr().out.count("correct") == 3


@pytest.mark.parametrize(
    "active, cures, match",
    [
        (dict.fromkeys(RUNS_4_6, 8), ["free bits"], "looked at draws"),
        ({n: 8 - v for n, v in RUNS_4_6.items()}, [], "\\*inactive\\*"),
        ({n: v + 0.1 for n, v in RUNS_4_6.items()}, [], "counts one"),
        ({**RUNS_4_6, "free bits": 3}, [], "has 6 active units, not 3"),
        (RUNS_4_6, [], "cures are \\['free bits'\\]"),
        (RUNS_4_6, ["free bits", "warm-up"], "optimum itself"),
        (RUNS_4_6, ["summed"], "lists names"),
        (RUNS_4_6, 2, "lists names"),
        (RUNS_4_6, None, "waits for your answer: cures is None"),
        ({"summed": 7}, [], "with the keys"),
        ("", [], "with the keys"),
    ],
)
def test_check_4_6_wrong_count_is_named(runs, active, cures, match):
    rejects(checks.check_4_6, runs, active, cures, match=match)


@pytest.mark.parametrize(
    "name, options, match",
    [
        ("summed", {"beta": 64.0}, "β = 1"),
        ("pixel mean", {"beta": 1 / 64}, "β = 64"),
        ("free bits", {"beta": 1.0, "free_bits": 0.5}, "the \\*same\\* loss"),
        ("free bits", {}, "One change at a time"),
        (
            "warm-up",
            {"warmup_steps": 100, "free_bits": 0.5},
            "One change at a time",
        ),
        ("warm-up", {"warmup_steps": 5000}, "are warm-up"),
        ("warm-up", {"warmup_steps": 1}, "1 steps is none"),
        ("free bits", {"free_bits": 0.001}, "half a nat"),
        ("pixel mean", {"widths": (32,)}, "differ in their layers"),
        ("pixel mean", {"seed": 3}, "differ in their seed"),
        ("pixel mean", {"rate": 0.1}, "differ in their learning rate"),
        ("pixel mean", {"steps": 600}, "differ in their number of steps"),
        ("pixel mean", {"steps": 10}, "10 steps"),
        ("pixel mean", {"steps": None}, "0 steps"),
        ("pixel mean", {"active": 3}, "Not collapsed yet"),
        ("summed", {"beta": 1.0, "active": 1}, "hardly used"),
        ("summed", {"beta": 1.0, "width": 4}, "width 4"),
        ("summed", {"beta": 1.0, "shape": (64,)}, "VAE of the digits"),
    ],
)
def test_check_4_6_wrong_run_is_named(runs, name, options, match):
    changed = {**runs, name: _vae(**{"active": 0, **options})}
    rejects(checks.check_4_6, changed, RUNS_4_6, [], match=match)


def test_check_4_6_another_model_is_named(runs):
    other = {**runs, "summed": Autoencoder.dense((8, 8, 1), 4, seed=0)}
    rejects(checks.check_4_6, other, RUNS_4_6, [], match="should be a VAE")


# ---------------------------------------------------------------- 4.7


class Decoder:
    """Decodes to test digits: as near as digits are, moved by some noise."""

    def __init__(self, noise, blend=0.0, end=lambda images: images):
        self.noise, self.blend, self.end = noise, blend, end

    def encode(self, x):
        return np.zeros((len(x), 3), "float32")

    def decode(self, z):
        digits = data.load("digits")
        rng = np.random.default_rng(0)
        rows = digits.x_test[rng.integers(len(digits.x_test), size=len(z))]
        mean = digits.x_train.mean(axis=0)
        rows = (1 - self.blend) * rows + self.blend * mean
        rows = rows + self.noise * rng.standard_normal(rows.shape)
        return self.end(np.clip(rows, 0, 1))


class Copying(Decoder):
    """As a model whose reconstructions are better than its draws."""

    def encode(self, x):
        return np.ones((len(x), 3), "float32")

    def decode(self, z):
        if np.ptp(z):
            return super().decode(z)
        return data.load("digits").x_test


class Untrained(Decoder):
    """Grey noise, whatever the code."""

    def __init__(self):
        super().__init__(0.0)

    def decode(self, z):
        rng = np.random.default_rng(0)
        return 0.5 + 0.02 * rng.standard_normal((len(z), 8, 8, 1))


class Wide(Decoder):
    """The same with another width of the code."""

    def encode(self, x):
        return np.zeros((len(x), 5), "float32")


AUTOENCODER, VAE_LIKE = Decoder(0.2), Decoder(0.05, 0.3)


def _measured(model, n=500):
    digits = data.load("digits")
    z = np.random.default_rng(3).standard_normal((n, 3))
    return tuple(checks._judged(model.decode(z), digits))


@pytest.fixture(scope="module")
def numbers():
    return {"autoencoder": _measured(AUTOENCODER), "vae": _measured(VAE_LIKE)}


def test_check_4_7_right_judgement_passes(numbers, capsys):
    checks.check_4_7(AUTOENCODER, VAE_LIKE, numbers, "BDF")
    checks.check_4_7(AUTOENCODER, VAE_LIKE, numbers, {"F", "B", "D"})
    flat = Decoder(0.05, 0.3, end=lambda images: images.reshape(-1, 64))
    lists = {name: np.array(pair) for name, pair in numbers.items()}
    checks.check_4_7(AUTOENCODER, flat, lists, ["D", "F", "B"])
    checks.check_4_7(AUTOENCODER, flat, lists, "B, D and F")
    assert capsys.readouterr().out.count("correct") == 4


@pytest.mark.parametrize(
    "justified, match",
    [
        ("ABDF", "Sentence A is not justified. A VAE is trained without"),
        ("DF", "Sentence B is justified"),
        ("BCDF", "Sentence C is not justified. Your own numbers"),
        ("BF", "Sentence D is justified"),
        ("BDEF", "Sentence E is not"),
        ("BD", "Sentence F is justified"),
        ("BDFG", "Sentence G is not"),
        ("BDFH", "Sentence H is not justified. A Bernoulli cross-entropy"),
        ("BDX", "letters from A to H"),
        ("Z", "letters from A to H"),
        (3, "letters from A to H"),
        (None, "waits for your answer: justified is None"),
    ],
)
def test_check_4_7_wrong_sentence_is_named(numbers, justified, match):
    rejects(
        checks.check_4_7,
        AUTOENCODER,
        VAE_LIKE,
        numbers,
        justified,
        match=match,
    )


@pytest.mark.parametrize(
    "autoencoder, vae, match",
    [
        ("model", VAE_LIKE, "encode and decode"),
        (Untrained(), VAE_LIKE, "train it first"),
        (Wide(0.2), VAE_LIKE, "have 5 and 3 numbers"),
        (AUTOENCODER, Decoder(0.0, 0.9), "collapsed or hardly trained"),
        (VAE_LIKE, AUTOENCODER, "train the VAE longer"),
        (
            AUTOENCODER,
            Decoder(0.05, end=lambda i: np.repeat(i[:, None], 3, 1)),
            "RepeatVector",
        ),
        (AUTOENCODER, Decoder(0.05, end=lambda i: i[:, :4]), "64 pixels"),
        (
            AUTOENCODER,
            Decoder(0.05, end=lambda i: (i - 0.13) / 0.31),
            "Standardised data",
        ),
        (AUTOENCODER, Decoder(0.05, end=lambda i: i * np.nan), "NaN"),
    ],
)
def test_check_4_7_wrong_model_is_named(numbers, autoencoder, vae, match):
    rejects(checks.check_4_7, autoencoder, vae, numbers, "BDF", match=match)


def test_check_4_7_two_models_of_one_kind_are_named(numbers):
    shape = (8, 8, 1)
    plain = Autoencoder.dense(shape, 4, seed=0, likelihood=Bernoulli())
    drawn = VAE.dense(shape, 4, widths=(8,), seed=0)
    for pair, match in (
        ((drawn, VAE_LIKE), "that is a VAE"),
        ((AUTOENCODER, plain), "no prior"),
    ):
        rejects(checks.check_4_7, *pair, numbers, "BDF", match=match)


def test_check_4_7_wrong_numbers_are_named(numbers):
    def given(**changed):
        return AUTOENCODER, VAE_LIKE, {**numbers, **changed}, "BDF"

    distance, spread = numbers["vae"]
    rejects(
        checks.check_4_7,
        *given(vae=(spread, distance)),
        match="in this order",
    )
    rejects(
        checks.check_4_7, *given(vae=(2 * distance, spread)), match="not scaled"
    )
    rejects(checks.check_4_7, *given(vae=distance), match="shape")
    rejects(checks.check_4_7, *given(GAN=(1, 1)), match="with the keys")
    copying = Copying(0.2)
    copies = (1.0, float(data.load("digits").x_test.std(axis=0).mean()))
    pair = {**numbers, "autoencoder": copies}
    rejects(
        checks.check_4_7,
        copying,
        VAE_LIKE,
        pair,
        "BDF",
        match="reconstructions",
    )


# ---------------------------------------------------------------- 4.8


def _nearest(vectors, book):
    apart = ops.expand_dims(vectors, 1) - book
    return ops.argmin(ops.sum(ops.square(apart), axis=2), axis=1)


def _quantised(
    index=_nearest,
    through=lambda v, e: v + ops.stop_gradient(e - v),
    swap=False,
    end=lambda index: index,
):
    """An answer to 4.8 with one part exchanged."""

    def answer(vectors, book):
        found = index(vectors, book)
        rows = through(vectors, ops.take(book, found, axis=0))
        return (end(found), rows) if swap else (rows, end(found))

    return answer


def _by_layer(vectors, book):
    layer = VectorQuantizer(book.shape[0], book.shape[1])
    layer.codebook.assign(book)
    return layer(vectors)


@pytest.mark.parametrize(
    "answer",
    [
        _quantised(),
        _quantised(through=lambda v, e: cut(e) + v - cut(v)),
        _quantised(end=lambda index: ops.cast(index, "float32")),
        lambda v, b: _quantised()(
            ops.cast(v, "float64"), ops.cast(b, "float64")
        ),
        _by_layer,
    ],
    ids=["plain", "other order", "float index", "float64", "library"],
)
def test_check_4_8_right_choice_passes(answer, capsys):
    checks.check_4_8(answer)
    assert "correct" in capsys.readouterr().out


WRONG_4_8 = {
    "farthest": (
        {
            "index": lambda v, b: ops.argmax(
                ops.sum(ops.square(ops.expand_dims(v, 1) - b), axis=2), axis=1
            )
        },
        "farthest",
    ),
    "product": (
        {"index": lambda v, b: ops.argmax(v @ ops.transpose(b), axis=1)},
        "largest product",
    ),
    "no way back": ({"through": lambda v, e: e}, "No gradient reaches"),
    "all cut": ({"through": lambda v, e: cut(e)}, "No gradient reaches"),
    "both": ({"through": lambda v, e: e + v - cut(v)}, "reaches the book"),
    "the vectors": ({"through": lambda v, e: v}, "nothing is quantised"),
    "half the slope": (
        {"through": lambda v, e: 0.5 * v + cut(e - 0.5 * v)},
        "unchanged",
    ),
    "swapped": ({"swap": True}, "come first"),
    "always the first": (
        {"index": lambda v, b: 0 * _nearest(v, b)},
        "nearest rows are",
    ),
    "one-hot": ({"end": lambda i: ops.one_hot(i, 5)}, "one number a vector"),
    "five rows": ({"index": lambda v, b: _nearest(v, b[:5])}, "size written"),
}


@pytest.mark.parametrize("name", WRONG_4_8)
def test_check_4_8_wrong_choice_is_named(name):
    parts, match = WRONG_4_8[name]
    rejects(checks.check_4_8, _quantised(**parts), match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
