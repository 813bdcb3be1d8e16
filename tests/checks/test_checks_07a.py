"""Checks of chapter 7a: wrong answers are named, unusual right ones pass."""

import collections

import keras
import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from scipy.stats import logistic

from utils.checks import chapter_07a

checks = Watched(chapter_07a)


def passes(check, answer, capsys):
    check(answer)
    assert "correct" in capsys.readouterr().out


# ---------------------------------------------------------------- 7a.1

RIGHT = [85 / 64 / np.log(2), 8, 7.84 * np.log(2), 24]


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT,
        tuple(RIGHT),
        np.array(RIGHT, "float32"),
        [1.92, 8.0, 5.43, 24],
        [np.float64(1.916), np.int64(8), 5.434, 24.0],
    ],
)
def test_check_7a_1_right_numbers_pass(answer, capsys):
    passes(checks.check_7a_1, answer, capsys)


@pytest.mark.parametrize(
    "place, value, match",
    [
        (0, 85 / 64, "nats per dimension"),
        (0, 85 / np.log(2), "64 dimensions"),
        (0, 85 * np.log(2) / 64, "divide by log 2"),
        (1, np.log(256), "in nats"),
        (1, 256, "number of levels"),
        (1, np.log2(255), "256 of them"),
        (2, 7.84, "bits an image"),
        (2, 7.84 / np.log(2), "multiplies"),
        (2, 0.01 * np.log(2), "784 of them"),
        (3, 64, "40 pixels are known"),
        (3, 40, "for the others"),
        (3, 3, "each row is too few"),
        (3, 1, "all pixels are there"),
        (3, 17, r"\(d\) is not 17"),
    ],
)
def test_check_7a_1_wrong_number_is_named(place, value, match):
    answer = list(RIGHT)
    answer[place] = value
    rejects(checks.check_7a_1, answer, match=match)


# ---------------------------------------------------------------- 7a.2


def places(order):
    return np.argsort(order)


def good_masks(order, units):
    place = places(order)
    return place[:, None] <= units, units[:, None] < place


def loops(order, units):
    first = [[0] * len(units) for _ in order]
    last = [[0] * len(order) for _ in units]
    for place, entry in enumerate(order):
        for number, m in enumerate(units):
            first[entry][number] = int(place <= m)
            last[number][entry] = int(m < place)
    return [first, last]


def tensors(order, units):
    return tuple(
        ops.convert_to_tensor(mask.astype("float32"))
        for mask in good_masks(order, units)
    )


@pytest.mark.parametrize("answer", [good_masks, loops, tensors])
def test_check_7a_2_right_masks_pass(answer, capsys):
    passes(checks.check_7a_2, answer, capsys)


@pytest.mark.parametrize(
    "answer, match",
    [
        (
            lambda o, u: (o[:, None] <= u, u[:, None] < o),
            "inverse permutation",
        ),
        (
            lambda o, u: (good_masks(o, u)[0], u[:, None] <= places(o)),
            "`last` is off by one",
        ),
        (
            lambda o, u: (places(o)[:, None] < u, good_masks(o, u)[1]),
            "`first` is off by one",
        ),
        (
            lambda o, u: (~good_masks(o, u)[0], good_masks(o, u)[1]),
            "turned round",
        ),
        (
            lambda o, u: tuple(np.ones_like(m) for m in good_masks(o, u)),
            "There is a path from entry",
        ),
        (
            lambda o, u: tuple(np.zeros_like(m) for m in good_masks(o, u)),
            "some allowed connection is closed",
        ),
        (
            lambda o, u: tuple(0.5 * m for m in good_masks(o, u)),
            "nothing else",
        ),
        (lambda o, u: (good_masks(o, u), o.fill(0))[0], "make a copy"),
        (
            lambda o, u: (good_masks(o, u)[0], u[:, None] == places(o) - 1),
            "some allowed connection is closed",
        ),
        (lambda o, u: good_masks(o, u)[0], "Return 2 things"),
        (lambda o, u: tuple(m.T for m in good_masks(o, u)), "shape"),
        (stub, "waits"),
    ],
)
def test_check_7a_2_wrong_masks_are_named(answer, match):
    rejects(checks.check_7a_2, answer, match=match)


# ---------------------------------------------------------------- 7a.3


def kernel(size, own):
    mask = np.zeros((size, size), bool)
    mask[: size // 2] = True
    mask[size // 2, : size // 2 + own] = True
    return mask


@pytest.mark.parametrize(
    "answer",
    [
        kernel,
        lambda size, own: kernel(size, own).tolist(),
        lambda size, own: ops.convert_to_tensor(kernel(size, own)),
        lambda size, own: (
            np.tri(size * size)[size * size // 2 - 1 + own].reshape(size, size)
            if size > 1 or own
            else np.zeros((1, 1))
        ),
    ],
)
def test_check_7a_3_right_mask_passes(answer, capsys):
    passes(checks.check_7a_3, answer, capsys)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda s, own: kernel(s, not own), "wrong way round"),
        (lambda s, own: kernel(s, own)[::-1, ::-1], "comes .after. the pixel"),
        (lambda s, own: kernel(s, own).T, "Rows and columns"),
        (lambda s, own: np.tri(s), "lower triangle"),
        (lambda s, own: ~kernel(s, own), "turned round"),
        (lambda s, own: np.ones((s, s)), "Not the mask of size 3"),
        (lambda s, own: kernel(s, own)[0], "shape"),
        (
            lambda s, own: kernel(s, own) if s > 1 else [[1]],
            "A kernel of side 1",
        ),
        (stub, "waits"),
    ],
)
def test_check_7a_3_wrong_mask_is_named(answer, match):
    rejects(checks.check_7a_3, answer, match=match)


# ---------------------------------------------------------------- 7a.4


def grid(levels):
    return np.arange(levels) / (levels - 1)


def masses(location, scale, levels):
    half = 0.5 / (levels - 1)
    edges = np.r_[-np.inf, grid(levels)[1:] - half, np.inf]
    return np.diff(logistic.cdf(edges, location, scale))


def by_drawing(location, scale, levels):
    """A million quantiles, counted."""
    drawn = logistic.ppf((np.arange(10**6) + 0.5) / 10**6, location, scale)
    steps = np.clip(np.round(drawn * (levels - 1)), 0, levels - 1)
    return np.bincount(steps.astype(int), minlength=levels) / 10**6


def no_tails(location, scale, levels):
    half = 0.5 / (levels - 1)
    cdf = logistic(location, scale).cdf
    return cdf(grid(levels) + half) - cdf(grid(levels) - half)


@pytest.mark.parametrize(
    "answer",
    [
        masses,
        lambda *given: masses(*given).tolist(),
        lambda *given: ops.convert_to_tensor(masses(*given)),
        by_drawing,
        lambda *given: masses(*given).astype("float16"),
    ],
)
def test_check_7a_4_right_masses_pass(answer, capsys):
    passes(checks.check_7a_4, answer, capsys)


@pytest.mark.parametrize(
    "answer, match",
    [
        (no_tails, "lack their tails"),
        (lambda *g: no_tails(*g) / no_tails(*g).sum(), "divided by the sum"),
        (
            lambda m, s, k: logistic.pdf(grid(k), m, s) / (k - 1),
            "density times a width",
        ),
        (lambda m, s, k: logistic.pdf(grid(k), m, s), "That is the density"),
        (
            lambda m, s, k: (
                logistic.pdf(grid(k), m, s) / logistic.pdf(grid(k), m, s).sum()
            ),
            "divided by its sum",
        ),
        (lambda m, s, k: masses(m, 2 * s, k), "Half a level is"),
        (lambda m, s, k: masses(m, s, k)[::-1], "yours fall"),
        (lambda m, s, k: 2 * masses(m, s, k), "sum to 2.0000"),
        (lambda m, s, k: np.full(k, 1 / k), "not right"),
        (lambda m, s, k: masses(m, s, k + 1), "shape"),
        (stub, "waits"),
    ],
)
def test_check_7a_4_wrong_masses_are_named(answer, match):
    rejects(checks.check_7a_4, answer, match=match)


# ---------------------------------------------------------------- 7a.5


def mixture(log_p):
    top = log_p.max(axis=0)
    return top + np.log(np.exp(log_p - top).mean(axis=0))


@pytest.mark.parametrize(
    "answer",
    [
        mixture,
        lambda p: np.logaddexp.reduce(p, axis=0) - np.log(len(p)),
        lambda p: ops.logsumexp(ops.convert_to_tensor(p), 0) - np.log(len(p)),
        lambda p: collections.deque(mixture(p).tolist()),
    ],
)
def test_check_7a_5_right_ensemble_passes(answer, capsys):
    passes(checks.check_7a_5, answer, capsys)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda p: p.mean(axis=0), "geometric mean"),
        (lambda p: p.max(axis=0), "more than 1"),
        (lambda p: np.logaddexp.reduce(p, axis=0), "log of the .sum."),
        (lambda p: np.exp(mixture(p)), "return their logarithm"),
        (lambda p: p.sum(axis=0), "the product"),
        (lambda p: -mixture(p), "The sign"),
        (lambda p: np.log(np.exp(p).mean(axis=0)), "At 2 000 nats"),
        (lambda p: mixture(p) - 1, "Not the log of the mean"),
        (lambda p: mixture(p).astype("float16"), "half precision"),
        (lambda p: (mixture(p), p.fill(0))[0], "make a copy"),
        (lambda p: mixture(p.T), "shape"),
        (stub, "waits"),
    ],
)
def test_check_7a_5_wrong_ensemble_is_named(answer, match):
    rejects(checks.check_7a_5, answer, match=match)


# ---------------------------------------------------------------- 7a.6


def pairs(network, d, sizes=(1.0, -1.0, 7.0), low=0):
    found = set()
    for base in (np.zeros(d), np.linspace(-1, 1, d)):
        for size in sizes:
            for j in range(d):
                moved = base.copy()
                moved[j] += size
                two = np.asarray(network(np.stack([base, moved])))
                apart = np.abs(two[1] - two[0]) > 1e-9
                found |= {(i, j) for i in np.flatnonzero(apart) if j - i >= low}
    return found


def around_zero(network, d):
    rows = network(np.vstack([np.zeros((1, d)), np.eye(d)]))
    return [
        (i, j)
        for j in range(d)
        for i in range(j + 1)
        if rows[j + 1, i] != rows[0, i]
    ]


def by_differences(network, d):
    rng = np.random.default_rng(6)
    found = []
    for _ in range(12):
        x = rng.normal(0, 2, d)
        for j in range(d):
            for i in range(j + 1):
                step = np.eye(d)[j] * 1e-2
                slope = network(x + step[None])[0, i] - network(x[None])[0, i]
                if abs(slope) > 1e-9 and [i, j] not in found:
                    found.append([i, j])
    return found


@pytest.mark.parametrize(
    "answer",
    [
        pairs,
        by_differences,
        lambda net, d: sorted(pairs(net, d)),
        lambda net, d: dict.fromkeys(pairs(net, d)),
        lambda net, d: (pair for pair in pairs(net, d)),
        lambda net, d: np.array(sorted(pairs(net, d))).reshape(-1, 2),
    ],
)
def test_check_7a_6_right_pairs_pass(answer, capsys):
    passes(checks.check_7a_6, answer, capsys)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda net, d: set(), "off by one passes"),
        (lambda net, d: pairs(net, d, low=1), "off by one passes"),
        (lambda net, d: pairs(net, d, low=-9), "pairs with j < i"),
        (lambda net, d: {(j, i) for i, j in pairs(net, d)}, "turned round"),
        (lambda net, d: pairs(net, d, sizes=(-0.1,)), "a path through a ReLU"),
        (around_zero, "a product of two entries"),
        (lambda net, d: bool(pairs(net, d)), "the pairs themselves"),
        (lambda net, d: [1, 2, 3], "pairs"),
        (lambda net, d: pairs(net, d) | {(0, 0)}, "you add"),
        (stub, "waits"),
    ],
)
def test_check_7a_6_wrong_pairs_are_named(answer, match):
    if match.startswith("a path"):

        def sleepy(net, d):
            moved = {
                (i, j)
                for i, j in pairs(net, d)
                if not np.allclose(
                    net(np.zeros((1, d)) - 0.1 * np.eye(d)[j]), 0
                )
                and (i, j) != (0, 2)
            }
            return moved

        answer = sleepy
    rejects(checks.check_7a_6, answer, match=match)


# ---------------------------------------------------------------- 7a.7


def draw(chances, order, n, rng):
    x = np.zeros((n, len(order)))
    for entry in order:
        x[:, entry] = rng.random(n) < chances(x)[:, entry]
    return x


def as_lists(chances, order, n, rng):
    rows = [[0] * len(order) for _ in range(n)]
    for entry in order:
        p = np.asarray(chances(rows))[:, entry]
        for row, one in zip(rows, p, strict=True):
            row[entry] = int(rng.binomial(1, one))
    return rows


def in_float32(chances, order, n, rng):
    x = np.full((n, len(order)), 0, "float32")
    for entry in order:
        x[:, entry] = np.floor(rng.random(n) + chances(x)[:, entry])
    return keras.ops.convert_to_tensor(x)


@pytest.mark.parametrize("answer", [draw, as_lists, in_float32])
def test_check_7a_7_right_draws_pass(answer, capsys):
    passes(checks.check_7a_7, answer, capsys)


def at_once(chances, order, n, rng):
    return rng.random((n, 4)) < chances(np.zeros((n, 4)))


def row_by_row(chances, order, n, rng):
    return np.concatenate([draw(chances, order, 1, rng) for _ in range(n)])


def most_likely(chances, order, n, rng):
    x = np.zeros((n, 4))
    for entry in order:
        x[:, entry] = chances(x)[:, entry] > 0.5
    return x


def the_chances(chances, order, n, rng):
    x = np.zeros((n, 4))
    for entry in order:
        x[:, entry] = chances(x)[:, entry]
    return x


def turned(chances, order, n, rng):
    x = np.zeros((n, 4))
    for entry in order:
        x[:, entry] = rng.random(n) > chances(x)[:, entry]
    return x


def with_seed(chances, order, n, rng):
    return draw(chances, order, n, np.random.default_rng(3))


def with_blanks(chances, order, n, rng):
    x = np.full((n, 4), np.nan)
    for entry in order:
        x[:, entry] = rng.random(n) < chances(x)[:, entry]
    return x


def few_rows(chances, order, n, rng):
    return np.tile(draw(chances, order, n // 20, rng), (20, 1))


def one_row(chances, order, n, rng):
    return np.tile(draw(chances, order, 1, rng), (n, 1))


@pytest.mark.parametrize(
    "answer, match",
    [
        (at_once, "One call gives every entry"),
        (row_by_row, "calls of `chances` for four"),
        (most_likely, "does not hold that entry 2"),
        (the_chances, "compare a uniform number"),
        (turned, "does not hold that entry 2"),
        (lambda c, o, n, r: draw(c, [0, 1, 2, 3], n, r), "You went 0, 1, 2, 3"),
        (one_row, "does not hold"),
        (with_seed, "Another generator gives the same rows"),
        (with_blanks, "rows with NaN"),
        (few_rows, "every row is drawn anew"),
        (
            lambda *given: np.repeat(draw(*given)[::20], 20, axis=0),
            "every row is drawn anew",
        ),
        (lambda c, o, n, r: draw(c, o, n, r)[:10], "shape"),
        (stub, "waits"),
    ],
)
def test_check_7a_7_wrong_draws_are_named(answer, match):
    rejects(checks.check_7a_7, answer, match=match)


def test_each_check_saw_right_and_wrong_answers():
    tells_wrong_from_right(checks)
