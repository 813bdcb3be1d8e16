"""Checks of chapter 6b: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from scipy import ndimage, signal

from utils.checks import chapter_06b
from utils.models.compression import EntropyCoder

checks = Watched(chapter_06b)

# ---------------------------------------------------------------- 6b.1

P = np.array([0.8, 0.08, 0.08, 0.02, 0.02])
H = float(-np.sum(P * np.log2(P)))


@pytest.mark.parametrize(
    "answer",
    [
        [H, H / 4, 0.75, 8],
        np.array([1.0655, 0.2664, 0.75, 8.0]),
        (np.float32(H), H / 4, 3 / 4, 512 / 64),
    ],
)
def test_check_6b_1_right_values_pass(answer, capsys):
    checks.check_6b_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        ([H * np.log(2), H / 4, 0.75, 8], "in nats"),
        ([-H, H / 4, 0.75, 8], "not negative"),
        ([np.log2(5), 0.58, 0.75, 8], "equally frequent"),
        ([1.5, H / 4, 0.75, 8], "over the five integers"),
        ([H, 16 * H, 0.75, 8], "A pixel has a 64th"),
        ([H, H / 16, 0.75, 8], "16 entropies"),
        ([H, H / 4, np.log2(5) / 4, 8], "whole bits"),
        ([H, H / 4, 3, 8], "Number 3"),
        ([H, H / 4, 0.75, 32], "Number 4"),
        ([H, H / 4, 0.75], "shape"),
        (None, "None"),
    ],
)
def test_check_6b_1_wrong_values_are_named(answer, match):
    rejects(checks.check_6b_1, answer, match=match)


# ---------------------------------------------------------------- 6b.2


def row_bits(train, test, extra=0.5, log=np.log2, reduce=np.sum):
    lengths = []
    for column in range(train.shape[1]):
        values = np.union1d(train[:, column], test[:, column])
        counts = np.array([(train[:, column] == v).sum() for v in values])
        with np.errstate(divide="ignore"):
            bits = -log((counts + extra) / (counts + extra).sum())
        lengths.append(bits[np.searchsorted(values, test[:, column])])
    return reduce(lengths, axis=0)


def with_escape(train, test):
    """A table of the training integers, and 20 bits for all others."""
    total = np.zeros(len(test))
    for column in range(train.shape[1]):
        values, counts = np.unique(train[:, column], return_counts=True)
        table = dict(zip(values, counts / (len(train) + 1), strict=True))
        for row, value in enumerate(test[:, column]):
            p = table.get(value, 2.0**-16 / (len(train) + 1))
            total[row] -= np.log2(p)
    return total


def fixed_range(train, test, extra=1e-2):
    """A count for each integer of a range that was agreed on before."""
    total = np.zeros(len(test))
    for column in range(train.shape[1]):
        counts = np.bincount(train[:, column] + 500, minlength=1000) + extra
        total -= np.log2((counts / counts.sum())[test[:, column] + 500])
    return total


def through_the_coder(train, test):
    return EntropyCoder(train).bits(test)


def unseen_free(train, test):
    """Integers that were not seen cost nothing."""
    total = np.zeros(len(test))
    for column in range(train.shape[1]):
        for row, value in enumerate(test[:, column]):
            p = np.mean(train[:, column] == value)
            total[row] -= np.log2(p) if p else 0.0
    return total


def clipped(train, test):
    """Integers out of range are taken for the last ones in it."""
    low, high = train.min(axis=0), train.max(axis=0)
    return fixed_range(train, np.clip(test, low, high), extra=1e-3)


def both_counted(train, test):
    return fixed_range(np.concatenate([train, test]), test, extra=1e-3)


@pytest.mark.parametrize(
    "answer",
    [
        with_escape,
        lambda a, b: with_escape(a, b).tolist(),
        fixed_range,
        lambda a, b: fixed_range(a, b, extra=1e-3),
        through_the_coder,
    ],
)
def test_check_6b_2_any_finite_table_of_the_training_rows_passes(answer):
    checks.check_6b_2(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda a, b: row_bits(a, b, extra=0.0), "infinitely many"),
        (lambda a, b: row_bits(a, b, log=np.log), "nats"),
        (lambda a, b: row_bits(b, b, extra=1e-9), "held-out rows themselves"),
        (lambda a, b: -row_bits(a, b), "not negative"),
        (
            lambda a, b: (
                row_bits(a.reshape(-1, 1), b.reshape(-1, 1), extra=1.0)
                .reshape(b.shape)
                .sum(axis=1)
            ),
            "share one table",
        ),
        (lambda a, b: row_bits(a, b, reduce=np.mean), "took the mean"),
        (lambda a, b: row_bits(a, b).mean(), "One number for each"),
        (lambda a, b: np.full(len(b), 96.0), "bits a row on average"),
        (unseen_free, "Kraft"),
        (clipped, "Kraft"),
        (both_counted, "other held-out rows"),
        (row_bits, "other held-out rows"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6b_2_wrong_lengths_are_named(answer, match):
    rejects(checks.check_6b_2, answer, match=match)


# ---------------------------------------------------------------- 6b.3


@pytest.mark.parametrize(
    "answer",
    [
        lambda z: z + ops.stop_gradient(ops.round(z) - z),
        lambda z: ops.stop_gradient(ops.round(z)) + z - ops.stop_gradient(z),
        lambda z: z - ops.stop_gradient(z - ops.floor(z + 0.5)),
    ],
)
def test_check_6b_3_straight_through_passes(answer):
    checks.check_6b_3(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda z: z, "nothing has been rounded"),
        (lambda z: ops.round(z), "slope is 0 everywhere"),
        (lambda z: z + ops.stop_gradient(ops.floor(z) - z), "the floor"),
        (
            lambda z: (
                z + ops.stop_gradient(ops.sign(z) * ops.floor(ops.abs(z)) - z)
            ),
            "cuts decimals off",
        ),
        (lambda z: z + 0.3 * ops.sin(z), "whole numbers"),
        (
            lambda z: 3 * z + ops.stop_gradient(ops.round(z) - 3 * z),
            "slope 1",
        ),
        (lambda z: ops.reshape(z, (-1,)), "Keep the shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6b_3_wrong_roundings_are_named(answer, match):
    rejects(checks.check_6b_3, answer, match=match)


# ---------------------------------------------------------------- 6b.4


def from_left(grid):
    missed = grid.copy()
    missed[:, 1:] -= grid[:, :-1]
    missed[1:, 0] -= grid[:-1, 0]
    return missed


def left_back(missed):
    grid = missed.copy()
    grid[:, 0] = np.cumsum(missed[:, 0])
    return np.cumsum(grid, axis=1)


def as_a_snake(grid):
    return np.diff(grid.ravel(), prepend=0).reshape(grid.shape)


def both_neighbours(grid):
    missed = grid.copy()
    for i, j in np.ndindex(grid.shape):
        missed[i, j] -= guess(grid, i, j)
    return missed


def both_back(missed):
    grid = np.zeros_like(missed)
    for i, j in np.ndindex(missed.shape):
        grid[i, j] = missed[i, j] + guess(grid, i, j)
    return grid


def guess(grid, i, j):
    near = [grid[i, j - 1]] * (j > 0) + [grid[i - 1, j]] * (i > 0)
    return int(np.floor(np.mean(near))) if near else 0


@pytest.mark.parametrize(
    ("predict", "restore"),
    [
        (from_left, left_back),
        (
            as_a_snake,
            lambda missed: np.cumsum(missed).reshape(missed.shape),
        ),
        (both_neighbours, both_back),
    ],
)
def test_check_6b_4_any_causal_prediction_passes(predict, restore):
    checks.check_6b_4(predict, restore)


def spoil(grid):
    grid[:, 1:] = np.diff(grid, axis=1)
    return grid


@pytest.mark.parametrize(
    ("predict", "restore", "match"),
    [
        (lambda grid: grid.copy(), lambda missed: missed, "Nothing has been"),
        (from_left, lambda missed: missed, "come back wrong"),
        (
            from_left,
            lambda missed: np.cumsum(missed, axis=1),
            "come back wrong",
        ),
        (spoil, left_back, "overwrites its input"),
        (
            lambda grid: grid - ndimage.uniform_filter(grid.astype(float), 3),
            left_back,
            "have to be integers",
        ),
        (
            lambda grid: grid - 7,
            lambda missed: missed + 7,
            "neighbour to the left",
        ),
        (lambda grid: np.diff(grid, axis=1), left_back, "shape"),
        (stub, left_back, "waits for your answer"),
    ],
)
def test_check_6b_4_wrong_predictions_are_named(predict, restore, match):
    rejects(checks.check_6b_4, predict, restore, match=match)


# ---------------------------------------------------------------- 6b.5


def moments(x, side, mode="reflect"):
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, side // 2, mode=mode), (side, side)
    )
    return around.mean(axis=(2, 3)), around.var(axis=(2, 3))


def kept(x, sigma, side, mode="reflect", ddof=0):
    m, v = moments(x, side, mode)
    v = v * side**2 / (side**2 - ddof)
    return m + np.maximum(v - sigma**2, 0) / np.maximum(v, 1e-12) * (x - m)


def by_filters(x, sigma, side):
    m = ndimage.uniform_filter(x, side)
    v = ndimage.uniform_filter(x**2, side) - m**2
    return np.where(v > sigma**2, m + (1 - sigma**2 / v) * (x - m), m)


def in_loops(x, sigma, side):
    made, reach = x.astype("float32").tolist(), side // 2
    for i, j in np.ndindex(x.shape):
        square = x[
            max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1
        ]
        m, v = square.mean(), square.var()
        share = max(v - sigma**2, 0) / v if v > 0 else 0
        made[i][j] = float(m + share * (x[i, j] - m))
    return made


def in_tensors(x, sigma, side):
    return ops.convert_to_tensor(kept(x, sigma, side).astype("float32"))


@pytest.mark.parametrize(
    "answer",
    [
        kept,
        lambda x, s, n: kept(x, s, n, mode="edge", ddof=1),
        lambda x, s, n: signal.wiener(x, (n, n), s**2),
        by_filters,
        in_loops,
        in_tensors,
    ],
)
def test_check_6b_5_any_local_wiener_filter_passes(answer):
    checks.check_6b_5(answer)


def overwrites(x, sigma, side):
    x[:] = kept(x, sigma, side)
    return x


def share_of(x, sigma, side):
    m, v = moments(x, side)
    return m, v, np.maximum(v - sigma**2, 0) / np.maximum(v, 1e-12)


def negative_too(x, sigma, side):
    m, v, _ = share_of(x, sigma, side)
    return m + (v - sigma**2) / v * (x - m)


def sigma_not_squared(x, sigma, side):
    m, v, _ = share_of(x, sigma, side)
    return m + np.maximum(v - sigma, 0) / v * (x - m)


def deviations(x, sigma, side):
    m, v, _ = share_of(x, sigma, side)
    return m + np.maximum(np.sqrt(v) - sigma, 0) / np.sqrt(v) * (x - m)


def takes_away(x, sigma, side):
    m, v, share = share_of(x, sigma, side)
    return m + (1 - share) * (x - m)


def of_the_whole(x, sigma, side):
    m, _, _ = share_of(x, sigma, side)
    return m + max(x.var() - sigma**2, 0) / x.var() * (x - m)


def no_guard(x, sigma, side):
    m, v = moments(x, side)
    return m + np.maximum(v - sigma**2, 0) / v * (x - m)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda x, s, n: x.copy(), "as it was"),
        (lambda x, s, n: moments(x, n)[0], "edges are lost"),
        (negative_too, "upside down"),
        (sigma_not_squared, "σ², not σ"),
        (deviations, "standard deviations"),
        (takes_away, "take \\*away"),
        (lambda x, s, n: share_of(x, s, n)[2] * x, "belongs to x − m"),
        (
            lambda x, s, n: share_of(x, s, n)[2] * (x - moments(x, n)[0]),
            "Add the mean",
        ),
        (of_the_whole, "whole picture's"),
        (
            lambda x, s, n: x + share_of(x, s, n)[2] * (moments(x, n)[0] - x),
            "take \\*away",
        ),
        (overwrites, "overwrites"),
        (lambda x, s, n: kept(x, s, n)[1:-1, 1:-1], "Keep the picture's"),
        (lambda x, s, n: kept(x, 0.1, n), "other σ"),
        (lambda x, s, n: kept(x, s, 5), "other σ"),
        (no_guard, "one grey"),
        (lambda x, s, n: ndimage.gaussian_filter(x, 1.0), "differs by up to"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6b_5_wrong_filters_are_named(answer, match):
    rejects(checks.check_6b_5, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
