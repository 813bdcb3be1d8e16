"""Checks of chapter 7b: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from scipy.special import logsumexp
from scipy.stats import norm

from utils.checks import chapter_07b

checks = Watched(chapter_07b)

# ---------------------------------------------------------------- 7b.1

RIGHT = norm(-1 / 3, 1 / 3).logpdf(0.0)  # of x itself


@pytest.mark.parametrize(
    "answer",
    [RIGHT, -0.32, np.array([RIGHT]), np.float32(-0.3203), [-0.3203]],
)
def test_check_7b_1_right_log_density_passes(answer, capsys):
    checks.check_7b_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (norm.logpdf(1), "the slope is missing"),
        (norm.logpdf(1) - np.log(3), "wrong sign"),
        (np.exp(RIGHT), "That is the density"),
        (norm.logpdf(0) + np.log(3), "not at x = 0"),
        (RIGHT / np.log(2), "in bits"),
        (norm.logpdf(1) + 3, "\\*logarithm\\* of the slope"),
        (7.0, "Three parts"),
        ([1.0, 2.0], "one number"),
        (None, "None"),
    ],
)
def test_check_7b_1_wrong_log_density_is_named(answer, match):
    rejects(checks.check_7b_1, answer, match=match)


# ---------------------------------------------------------------- 7b.2


def _by_loop(scale, mask):
    return [
        sum(s for s, kept in zip(row, mask, strict=True) if not kept)
        for row in scale
    ]


def _by_product(scale, mask):
    return np.log(np.prod(np.where(mask == 1, 1.0, np.exp(scale)), axis=1))


def _by_tensors(scale, mask):
    scale, mask = (ops.convert_to_tensor(a, "float32") for a in (scale, mask))
    return ops.matmul(scale, ops.expand_dims(1 - mask, 1))


def _by_slogdet(scale, mask):
    slopes = np.exp(scale * (1 - mask))
    return np.array([np.linalg.slogdet(np.diag(row))[1] for row in slopes])


@pytest.mark.parametrize(
    "answer",
    [
        _by_loop,
        _by_product,
        _by_tensors,
        _by_slogdet,
        lambda s, m: np.float16(_by_loop(s, m)),
    ],
)
def test_check_7b_2_right_log_determinant_passes(answer):
    checks.check_7b_2(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda s, m: s.sum(axis=1), "You summed all entries"),
        (lambda s, m: (m * s).sum(axis=1), "the entries that \\*stay\\*"),
        (lambda s, m: -((1 - m) * s).sum(axis=1), "the way back"),
        (lambda s, m: ((1 - m) * s).mean(axis=1), "A mean over entries"),
        (lambda s, m: np.exp(((1 - m) * s).sum(axis=1)), "the determinant;"),
        (lambda s, m: np.exp((1 - m) * s).sum(axis=1), "logarithms already"),
        (lambda s, m: ((1 - m) * s).sum(), "One number for the batch"),
        (lambda s, m: (1 - m) * s, "One number for each row"),
        (lambda s, m: np.zeros(len(s)), "the log-determinant is"),
        (lambda s, m: np.zeros(99), "log-determinants, shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7b_2_wrong_log_determinant_is_named(answer, match):
    rejects(checks.check_7b_2, answer, match=match)


# ---------------------------------------------------------------- 7b.3


def _plain(z, network, mask):
    shift, scale = network(mask * z)
    return mask * z + (1 - mask) * (z - shift) * np.exp(-scale)


def _with_where(z, network, mask):
    shift, scale = network(np.where(mask == 1, z, 0.0))
    return np.where(mask == 1, z, (z - shift) / np.exp(scale)).tolist()


def _row_by_row(z, network, mask):
    moves = mask == 0
    rows = []
    for row in z:
        shift, scale = network((mask * row)[None])
        new = row.copy()
        new[moves] = ((row - shift[0]) / np.exp(scale[0]))[moves]
        rows.append(new)
    return ops.convert_to_tensor(np.array(rows), "float32")


@pytest.mark.parametrize("answer", [_plain, _with_where, _row_by_row])
def test_check_7b_3_right_inverse_passes(answer):
    checks.check_7b_3(answer)


def _moved(change, masked=True):
    def answer(z, network, mask):
        shift, scale = network(mask * z if masked else z)
        return mask * z + (1 - mask) * change(z, shift, scale)

    return answer


def _all_move(z, network, mask):
    shift, scale = network(mask * z)
    return (z - shift) * np.exp(-scale)


@pytest.mark.parametrize(
    "answer, match",
    [
        (_moved(lambda z, t, s: z * np.exp(-s) - t), "First the shift"),
        (_moved(lambda z, t, s: (z - t) * np.exp(s)), "the way back divides"),
        (_moved(lambda z, t, s: z * np.exp(s) + t), "the way forth"),
        (
            _moved(lambda z, t, s: (z - t) * np.exp(-s), masked=False),
            "The network saw all of z",
        ),
        (_all_move, "moved as well"),
        (
            lambda z, network, mask: (_plain(z, network, mask), mask.fill(0))[
                0
            ],
            "make a copy",
        ),
        (lambda z, network, mask: z, "z itself"),
        (lambda z, network, mask: 0 * z, "the largest difference"),
        (lambda z, network, mask: z[0], "should have shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7b_3_wrong_inverse_is_named(answer, match):
    rejects(checks.check_7b_3, answer, match=match)


# ---------------------------------------------------------------- 7b.4


def _bits(log_p, size, levels):
    return (np.log(levels) - np.mean(log_p) / size) / np.log(2)


@pytest.mark.parametrize(
    "answer",
    [
        _bits,
        lambda p, d, k: [np.log2(k) - np.mean(p) / np.log(2) / d],
        lambda p, d, k: np.float32(np.mean([_bits(one, d, k) for one in p])),
        lambda p, d, k: ops.convert_to_tensor(_bits(p, d, k)),
        lambda p, d, k: np.float16(_bits(p, d, k)),
    ],
)
def test_check_7b_4_right_bits_pass(answer):
    checks.check_7b_4(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda p, d, k: -p.mean() / d / np.log(2), "volume of a cell"),
        (
            lambda p, d, k: (-p.mean() / d - np.log(k)) / np.log(2),
            "volume has the wrong sign",
        ),
        (
            lambda p, d, k: (p.mean() / d + np.log(k)) / np.log(2),
            "sign of log p",
        ),
        (lambda p, d, k: np.log(2) * _bits(p, d, k), "divide by log 2"),
        (lambda p, d, k: d * _bits(p, d, k), "divide by d"),
        (lambda p, d, k: d * np.log(2) * _bits(p, d, k), "nats a row"),
        (lambda p, d, k: _bits(p, d, k - 1), "not K − 1"),
        (lambda p, d, k: _bits(p, d, 2 * k), "half a cell"),
        (
            lambda p, d, k: [_bits(one, d, k) for one in p],
            "take their mean",
        ),
        (lambda p, d, k: (_bits(p, d, k), p.fill(0))[0], "make a copy"),
        (lambda p, d, k: 0.123, "bits a dimension, not"),
        (lambda p, d, k: p[:2], "One number is asked for"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7b_4_wrong_bits_are_named(answer, match):
    rejects(checks.check_7b_4, answer, match=match)


# ---------------------------------------------------------------- 7b.5


@pytest.mark.parametrize(
    "answer",
    [
        lambda k, levels, rng: (k + rng.random(k.shape)) / levels,
        lambda k, levels, rng: rng.uniform(k / levels, (k + 1) / levels),
        lambda k, levels, rng: (
            (k + 1 - rng.random(k.shape)) / levels
        ).tolist(),
        lambda k, levels, rng: ops.convert_to_tensor(
            (k + rng.random(k.shape)) / levels, "float32"
        ),
    ],
)
def test_check_7b_5_right_noise_passes(answer):
    checks.check_7b_5(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda k, n, rng: (k + 0.5 * rng.random(k.shape)) / n, "0.50 of the"),
        (lambda k, n, rng: (k + rng.random(k.shape)) / (n - 1), "divide k \\+"),
        (lambda k, n, rng: (k + 0.95 * rng.random(k.shape)) / n, "0.95 of the"),
        (lambda k, n, rng: (k + rng.random(k.shape) ** 1.1) / n, "not uniform"),
        (
            lambda k, n, rng: ((k + rng.random(k.shape)) / n).astype("float16"),
            "half precision",
        ),
        (lambda k, n, rng: k + rng.random(k.shape), "divide k \\+ u by K"),
        (lambda k, n, rng: k / n, "where is the noise"),
        (lambda k, n, rng: (k + rng.random()) / n, "where is the noise"),
        (lambda k, n, rng: (k + rng.random(4)) / n, "Every row has the same"),
        (
            lambda k, n, rng: (k + rng.random((len(k), 1))) / n,
            "Every entry has the same",
        ),
        (
            lambda k, n, rng: (k * 0.9 + rng.random(k.shape) - 0.5) / n,
            "leave the cell|centred",
        ),
        (
            lambda k, n, rng: (k + rng.random(k.shape) - 0.5) / n,
            "centred on the level",
        ),
        (
            lambda k, n, rng: (k + rng.beta(4, 4, k.shape)) / n,
            "not uniform over the cell",
        ),
        (
            lambda k, n, rng: (
                (k + np.random.default_rng(0).random(k.shape)) / n
            ),
            "draw from the `rng`",
        ),
        (lambda k, n, rng: rng.random(3), "should have shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7b_5_wrong_noise_is_named(answer, match):
    rejects(checks.check_7b_5, answer, match=match)


# ---------------------------------------------------------------- 7b.6


def _by_hand(log_p, volume):
    top = log_p.max(axis=0)
    return top + np.log(np.exp(log_p - top).mean(axis=0)) - volume


def _one_by_one(log_p, volume):
    total = log_p[0]
    for row in log_p[1:]:
        total = np.logaddexp(total, row)
    return (total - np.log(len(log_p)) - volume).tolist()


@pytest.mark.parametrize(
    "answer",
    [
        _by_hand,
        _one_by_one,
        lambda p, v: logsumexp(p - v, axis=0, b=1 / len(p)),
        lambda p, v: ops.convert_to_tensor(_by_hand(p, v), "float64"),
    ],
)
def test_check_7b_6_right_bound_passes(answer):
    checks.check_7b_6(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda p, v: p.mean(axis=0) - v, "mean of the logarithms"),
        (lambda p, v: logsumexp(p, axis=0) - v, "The sum, not the mean"),
        (lambda p, v: _by_hand(p, 0), "is missing"),
        (lambda p, v: _by_hand(p, -v), "wrong sign"),
        (lambda p, v: p.max(axis=0) - v, "the best draw"),
        (lambda p, v: _by_hand(p.T, v), "averaged over rows"),
        (lambda p, v: np.log(np.exp(p).mean(axis=0)) - v, "64 bits"),
        (lambda p, v: _by_hand(p, v).astype("float16"), "half precision"),
        (lambda p, v: 0 * p[0], "the logarithm of their mean"),
        (lambda p, v: p, "one number a row"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7b_6_wrong_bound_is_named(answer, match):
    rejects(checks.check_7b_6, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
