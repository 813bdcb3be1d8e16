"""Checks of chapter 8c, small, exported, many."""

import numpy as np

from utils.checks._feedback import (
    as_array,
    as_number,
    as_parts,
    as_values,
    call,
    correct,
    lettered_numbers,
    name_value,
    one_sentence,
    unchanged,
    wrong,
)


@one_sentence
def check_8c_1(answer):
    """Bytes of a layer in four types: 102800, 51400, 102800, 26400."""
    numbers = 256 * 100
    forgot = (4 * numbers, "(a) is the kernel alone: there is a bias, too.")
    lettered_numbers(
        answer,
        ("bytes in float32", "in float16", "in mixed_float16", "in int8"),
        (4 * (numbers + 100), 2 * (numbers + 100), 4 * (numbers + 100), 26400),
        (
            [
                forgot,
                (numbers + 100, "(a) counts weights: a float32 has 4 bytes."),
                (32 * (numbers + 100), "(a) is in bits: a byte has eight."),
            ],
            [
                (2 * numbers, "(b) is the kernel alone: there is a bias, too."),
                (16 * (numbers + 100), "(b) is in bits: a byte has eight."),
            ],
            [
                (
                    2 * (numbers + 100),
                    "(c): a mixed policy computes in 16 bits and *stores* 32.",
                ),
            ],
            [
                (
                    numbers + 100,
                    "(d): the bias stays in float32; a scale each.",
                ),
                (numbers, "(d) is the kernel alone: bias and scales come too."),
                (numbers + 400, "(d): bias or scales are missing, 400 bytes."),
                (numbers + 404, "(d): one scale a *unit*, not one in all."),
                (
                    numbers + 400 + 4 * 256,
                    "(d): one scale a unit, of which there are 100, not one an "
                    "input.",
                ),
            ],
        ),
        within=0.5,
        hint="Count kernel, bias and scales, each times the bytes of its type.",
    )
    correct("8c.1", "How wide must a layer be for (d) to be below 26 % of (a)?")


def _kernels(rng):
    plain = rng.normal(0, 0.3, (40, 6)).astype("float32")
    uneven = plain * np.array([1, 100, 1e-3, 1, 5, 1], "float32")
    zero = uneven.copy()
    zero[:, 3] = 0
    return plain, uneven, zero


@one_sentence
def check_8c_2(answer):
    """Any rounding to int8 by columns, off by half a scale at most."""
    for kernel in _kernels(np.random.default_rng(3)):
        given = kernel.copy()
        parts = as_parts(call(answer, kernel), "whole", "scale")
        unchanged((kernel,), (given,), "the kernel")
        whole = as_values(parts[0], "`whole`", False)
        scale = as_values(parts[1], "`scale`", False)
        if not np.isfinite(scale).all() and not np.isnan(scale).any():
            wrong("A scale is infinite: for a column of zeros any finite one.")
        if np.isnan(scale).any() or np.isnan(whole).any():
            wrong("A column of zeros became NaN: do not divide by its 0.")
        if whole.shape != kernel.shape:
            wrong(f"`whole` has the shape {kernel.shape}, not {whole.shape}.")
        if scale.size == 1:
            wrong("One scale for all columns lets the largest rule: one each.")
        if scale.size == len(kernel):
            wrong("That is a scale for each input: a *column* is a unit.")
        if scale.size != kernel.shape[1]:
            wrong(f"`scale` should hold {kernel.shape[1]} numbers.")
        scale = scale.ravel()
        if np.abs(whole).max() > 127:
            wrong("`whole` leaves −127 … 127.")
        largest = np.abs(given).max(axis=0) / 127
        off = np.abs(whole * scale - given).max(axis=0)
        filled = largest > 0
        if not np.all(whole == np.round(whole)):
            wrong("`whole` should hold whole numbers.")
        if np.any(off > 0.51 * scale + 1e-7):
            cut = np.trunc(given[:, filled] / largest[filled])
            if np.abs(whole[:, filled] - cut).max() < 0.5:
                wrong("You cut towards zero: round, then change the type.")
            wrong("`whole * scale` is off by more than half a scale.")
        if np.any(scale[filled] > 1.02 * largest[filled]):
            name_value(
                scale,
                [(2 * largest, "Your scales use half of the range: to ±127.")],
            )
            wrong("Your scales are larger than needed: the largest is 127.")
    correct("8c.2", "What does one outlier of 100 do to its column, and why?")


class _Stream:
    """Batches that overwrite each other, and can be had once."""

    def __init__(self, x, sizes):
        self.x, self.sizes, self.over = x, sizes, False
        self.batches = self._batches()

    def __iter__(self):
        if self.over:
            wrong("You went through the batches twice: they come once.")
        return self

    def __next__(self):
        try:
            return next(self.batches)
        except StopIteration:
            self.over = True
            raise

    def _batches(self):
        buffer = np.empty((max(self.sizes), self.x.shape[1]), "float32")
        start = 0
        for size in self.sizes:
            batch = buffer[:size]
            batch[:] = self.x[start : start + size]
            yield batch
            start += size


@one_sentence
def check_8c_3(answer):
    """Mean and covariance of a stream, in one pass."""
    rng = np.random.default_rng(4)
    sizes = [50, 7, 30, 1, 64]
    ends = np.cumsum(sizes)[:-1]
    for offset in (0.0, 300.0):
        x = rng.normal(0, 1, (sum(sizes), 3)) @ rng.normal(0, 1, (3, 3))
        x += offset + np.linspace(0, 3, len(x))[:, None]  # batches differ
        x = x.astype("float32").astype("float64")
        found = call(answer, _Stream(x, sizes))
        mean, cov = as_parts(found, "mean", "covariance")
        mean = as_array(mean, "The mean", (3,))
        cov = as_array(cov, "The covariance", (3, 3))
        pieces = np.split(x, ends)
        means = [piece.mean(axis=0) for piece in pieces]
        right = np.cov(x.T, bias=True)
        inner = [np.cov(p.T, bias=True) for p in pieces]
        raw = right + np.outer(x.mean(axis=0), x.mean(axis=0))
        name_value(
            mean,
            [
                (
                    np.mean(means, axis=0),
                    "You averaged the batches' means: weigh by their rows.",
                ),
                (means[-1], "That is the mean of the last batch."),
            ],
        )
        if not np.allclose(mean, x.mean(axis=0), rtol=1e-4, atol=1e-4):
            wrong(
                "The mean is not that of all rows. Did you keep the batches? "
                "Each overwrites the one before; copy what you need, or add up."
            )
        if np.allclose(cov, right, rtol=2e-3, atol=2e-3):
            continue
        name_value(
            cov,
            [
                (
                    np.mean(inner, axis=0),
                    "You averaged the batches' covariances: the spread "
                    "*between* their means is missing, and their weights.",
                ),
                (
                    np.average(inner, axis=0, weights=sizes),
                    "The spread *between* the batches' means is missing.",
                ),
                (raw, "That is the mean of x xᵀ: subtract the mean's part."),
                (right * len(x), "Divide by the number of rows."),
                (
                    np.cov(x.T),
                    "Divided by the number of rows, not by one less.",
                ),
            ],
        )
        if offset:
            wrong(
                "Far from zero your covariance is wrong: the difference of two "
                "large numbers. Add up in float64, or centre first."
            )
        wrong("The covariance is not that of all rows.")
    correct("8c.3", "How would two machines put their halves together?")


@one_sentence
def check_8c_4(answer):
    """The exponent of a line, and where it reaches a loss."""
    rng = np.random.default_rng(5)
    for alpha, c, wanted in ((0.4, 9.0, 0.3), (0.15, 2.0, 0.5), (1.0, 50.0, 1)):
        sizes = np.array([50, 100, 200, 800])
        losses = c * sizes**-alpha * np.exp(rng.normal(0, 0.2, (3, 4)))
        given = sizes.copy(), losses.copy()
        found = call(answer, sizes, losses, wanted)
        unchanged((sizes, losses), given)
        first, second = as_parts(found, "exponent", "size")
        slope = as_number(first, "The exponent")
        size = as_number(second, "The size")
        x = np.log(sizes)
        line = np.polyfit(x, np.log(losses).mean(axis=0), 1)
        right = np.exp((np.log(wanted) - line[1]) / line[0])
        arithmetic = np.polyfit(x, np.log(losses.mean(axis=0)), 1)
        ends = np.diff(np.log(losses).mean(axis=0)[[0, -1]]) / np.ptp(x)
        if abs(slope + line[0]) > 1e-4:
            name_value(
                slope,
                [
                    (line[0], "That is the slope; α is what it falls by: −."),
                    (
                        -arithmetic[0],
                        "You took the logarithm of the mean: the mean of the "
                        "logarithms is asked for.",
                    ),
                    (
                        -np.polyfit(sizes, losses.mean(axis=0), 1)[0],
                        "That is a slope without logarithms.",
                    ),
                    (
                        -np.polyfit(sizes, np.log(losses).mean(axis=0), 1)[0],
                        "Take the logarithm of the sizes, too.",
                    ),
                    (-ends[0], "First and last point alone: fit all of them."),
                ],
            )
            wrong(f"The exponent should be {-line[0]:.4f}, not {slope:.4f}.")
        if not np.isclose(size, right, rtol=1e-3):
            name_value(
                size,
                [
                    (np.log(right), "That is its logarithm: take exp."),
                    (
                        np.exp(np.polyval(line, np.log(wanted))),
                        "That is the loss at a *size* of `wanted`: turn it "
                        "round.",
                    ),
                ],
            )
            wrong(f"The size should be {right:.6g}, not {size:.6g}.")
    correct("8c.4", "How far would you trust it beyond the last size?")


@one_sentence
def check_8c_5(answer):
    """The mean gradient of all rows, by any way of adding."""
    rng = np.random.default_rng(6)
    shapes = (3, 2), (2,)
    for counts in ([4, 4], [30, 30, 10], [5, 0, 11]):
        parts = [[rng.normal(size=s) for s in shapes] for _ in counts]
        for part, count in zip(parts, counts, strict=True):
            if not count:
                part[:] = [np.full(s, np.nan) for s in shapes]
        filled = [i for i, count in enumerate(counts) if count]
        weights = np.array([counts[i] for i in filled], "float64")
        given = [[g.copy() for g in part] for part in parts]
        found = as_parts(call(answer, given, list(counts)), *"ab")
        unchanged(sum(given, []), sum(parts, []), "the gradients")
        for index, shape in enumerate(shapes):
            what = f"The gradient of weight {index + 1}"
            value = as_values(found[index], what, False)
            if np.isnan(value).any():
                wrong("NaN times 0 is NaN: leave out a device without rows.")
            stack = np.array([parts[i][index] for i in filled])
            if value.shape != shape:
                wrong(f"{what} has the shape {shape}, not {value.shape}.")
            right = np.average(stack, axis=0, weights=weights)
            if np.allclose(value, right, rtol=1e-3, atol=1e-3):
                continue
            name_value(
                value,
                [
                    (
                        stack.mean(axis=0),
                        "You weighed all devices alike: weigh by rows.",
                    ),
                    (stack.sum(axis=0), "That is the sum of the gradients."),
                    (
                        right * weights.sum(),
                        "Divide by the number of all rows.",
                    ),
                    (
                        right * weights.sum() / len(counts),
                        "Divide by the number of all *rows*, not of devices.",
                    ),
                ],
            )
            wrong(f"{what} is not that of the mean loss of all rows.")
    correct("8c.5", "What if one device never answers?")


@one_sentence
def check_8c_6(answer):
    """Time of a step on one device over that on several."""
    drawn = np.random.default_rng(0).uniform(1, 20)
    cases = (
        (1, 64, 22406, 1e13, 1.25e9),
        (8, 64, 22406, 1e13, 1.25e9),
        (8, 10**5, 10**8, 1e13, 1e10),
        (2, 4096, 10**6, 1e12, 1e9),
        (3 + int(drawn), 64 * int(drawn), 10**6, 1e12, 1e9 * drawn),
    )
    for n, rows, weights, flops, wire in cases:
        result = call(answer, n, rows, weights, flops, wire)
        value = as_number(result, "The speed-up")
        alone = 6 * rows * weights / flops
        sent = 4 * weights / wire
        ring = 2 * (n - 1) / n * sent
        right = alone / (alone / n + ring)
        if np.isclose(value, right, rtol=1e-3):
            continue
        if n == 1:
            wrong("One device needs no wire: its speed-up is 1.")
        named = [
            (n, "That is n: messages take time as well."),
            (1 / right, "Turned round: time on one over time on n."),
            (alone / (alone + ring), "n devices share the arithmetic."),
            (alone / (alone / n + 2 * (n - 1) * sent), "2(n−1)/n, not 2(n−1)."),
            (alone / (alone / n + ring / 4), "A weight has 4 bytes."),
            (alone / (alone / n + 2 * ring), "Each message is counted twice."),
            (alone / (alone / n + sent), "Sent 2(n−1)/n times, not once."),
            (
                alone / 3 / (alone / 3 / n + ring),
                "Six operations a weight and row: forward and twice that back.",
            ),
        ]
        for mistaken, feedback in named:  # relative: values are small
            if np.isclose(value, mistaken, rtol=1e-4, atol=0):
                wrong(feedback)
        wrong(
            f"For {n} devices and {rows} rows a step the answer is "
            f"{right:.4g}, not {value:.4g}."
        )
    correct("8c.6", "From how many rows a step are two devices quicker?")
