"""Checks of chapter 7b, normalising flows."""

import numpy as np
from scipy.stats import kstest

from utils.checks._feedback import (
    as_array,
    as_number,
    as_values,
    call,
    correct,
    in_half,
    name_value,
    one_sentence,
    reached,
    unchanged,
    wrong,
)


@one_sentence
def check_7b_1(answer):
    """Log-density at 0 of what 3x + 1 makes standard normal: −0.320."""
    value = as_number(answer, "Your answer")
    base = -0.5 * np.log(2 * np.pi)
    right = base - 0.5 + np.log(3)
    if abs(value - right) < 0.005:
        correct("7b.1", "At which x is this density highest, and how high?")
        return
    name_value(
        np.round(value, 3),
        [
            (
                np.round(mistaken, 3),
                feedback,
            )
            for mistaken, feedback in (
                (
                    base - 0.5,
                    "That is log N(z): the slope is missing. The line packs a "
                    "stretch of z of length 3 into a stretch of x of length "
                    "1, and the density there is three times as high.",
                ),
                (
                    base - 0.5 - np.log(3),
                    "The logarithm of the slope has the wrong sign: a steep f "
                    "packs more of the base into each piece of x.",
                ),
                (
                    np.exp(right),
                    "That is the density; asked is its logarithm, in nats.",
                ),
                (
                    base + np.log(3),
                    "The base is evaluated at z = f(0) = 1, not at x = 0.",
                ),
                (right / np.log(2), "That is in bits; asked are nats."),
                (
                    base - 0.5 + 3,
                    "Add the *logarithm* of the slope, not the slope.",
                ),
            )
        ],
    )
    wrong(
        f"{value:g} is not the log-density. Three parts: z = f(0), log N(z; 0, "
        "1) = −½ log 2π − ½ z², and log |f′(0)|."
    )


@one_sentence
def check_7b_2(answer):
    """Log-determinant of an affine coupling: log-scales that move, summed."""
    rng = np.random.default_rng(2)
    for rows, mask in ((5, [1, 0, 0, 1]), (3, [0, 1, 0]), (1, [1, 0])):
        mask = np.array(mask, dtype="float64")
        scale = rng.normal(size=(rows, len(mask)))
        given = scale.copy()
        value = call(answer, scale, mask)
        close = 5e-3 if in_half(value) else 1e-4
        value = as_values(value, "The log-determinant")
        unchanged((scale,), (given,), "the log-scales")
        moved = (1 - mask) * given
        right = moved.sum(axis=1)
        if value.shape == (rows, 1):
            value = value[:, 0]
        if value.shape == (rows,) and np.allclose(value, right, atol=close):
            continue
        name_value(
            value,
            [
                (
                    given.sum(axis=1),
                    "You summed all entries. Those under the mask stay as "
                    "they are: their slope is 1, its logarithm 0.",
                ),
                (
                    (mask * given).sum(axis=1),
                    "You summed the entries that *stay*: the mask is 1 there.",
                ),
                (
                    -right,
                    "The sign is that of the way back, from z to x.",
                ),
                (
                    moved.mean(axis=1),
                    "A mean over entries: the determinant is a product over "
                    "entries, its logarithm a sum.",
                ),
                (
                    np.exp(right),
                    "That is the determinant; asked is its logarithm.",
                ),
                (
                    np.exp(moved).sum(axis=1),
                    "The log-scales are logarithms already: no exponential.",
                ),
                (
                    right.sum(),
                    "One number for the batch: each row has a determinant of "
                    "its own.",
                ),
                (moved, "One number for each row: sum over its entries."),
            ],
        )
        if value.shape != (rows,):
            wrong(
                f"{rows} rows have {rows} log-determinants, shape ({rows},); "
                f"yours have shape {value.shape}."
            )
        wrong(
            f"For mask {mask.astype(int).tolist()} and log-scales "
            f"{np.round(given[0], 2).tolist()} the log-determinant is "
            f"{right[0]:.5f}, not {value[0]:.5f}."
        )
    correct("7b.2", "Which mask would make every log-determinant 0?")


@one_sentence
def check_7b_3(answer):
    """The way back through an affine coupling, for any network."""
    rng = np.random.default_rng(3)
    for mask in ([1.0, 0.0, 1.0], [0.0, 1.0, 1.0]):
        mask = np.array(mask)
        first, second = rng.normal(size=(2, 3, 3))

        def network(kept, first=first, second=second):
            kept = np.asarray(kept, dtype="float64")
            return np.sin(kept @ first) + 0.3, np.tanh(kept @ second) + 0.2

        x = rng.normal(size=(6, 3))
        shift, scale = network(mask * x)
        z = mask * x + (1 - mask) * (x * np.exp(scale) + shift)
        given = z.copy()
        lent = mask.copy()
        value = as_array(call(answer, z, network, lent), "x", shape=z.shape)
        reached("shape")
        unchanged((z, lent), (given, mask), "z or the mask")
        if np.allclose(value, x, atol=1e-3):
            continue
        seen = network(given)
        free = 1 - mask

        def back(moved, mask=mask, free=free, z=given):
            return mask * z + free * moved

        name_value(
            value,
            [
                (
                    back(given * np.exp(-scale) - shift),
                    "First the shift is taken off, then the scale: the last "
                    "thing done is the first undone.",
                ),
                (
                    back((given - shift) * np.exp(scale)),
                    "Multiplied by e^s once more: the way back divides.",
                ),
                (
                    back(given * np.exp(scale) + shift),
                    "That is the way forth, a second time.",
                ),
                (
                    back((given - seen[0]) * np.exp(-seen[1])),
                    "The network saw all of z. On the way forth it saw the "
                    "entries under the mask alone: give it mask * z.",
                ),
                (
                    (given - shift) * np.exp(-scale),
                    "The entries under the mask moved as well; they stay.",
                ),
                (given, "That is z itself."),
            ],
        )
        wrong(
            "What comes back is not x: the largest difference is "
            f"{np.abs(value - x).max():.3g}. Solve z = x e^s + t for x, "
            "outside the mask."
        )
    correct(
        "7b.3",
        "How often was the network inverted? (Never: that is the idea.)",
    )


@one_sentence
def check_7b_4(answer):
    """Bits a dimension of grey levels, from log-densities."""
    rng = np.random.default_rng(4)
    for size, levels in ((64, 17), (784, 256), (3, 2)):
        log_p = size * np.log(levels) * 0.3 + rng.normal(size=7)
        lent = log_p.copy()
        value = call(answer, lent, size, levels)
        unchanged((lent,), (log_p,), "the array")
        close = 5e-3 if in_half(value) else 1e-4
        value = as_values(value, "Your result")
        nats = size * np.log(levels) - log_p.mean()
        right = nats / (size * np.log(2))
        if value.size == 1 and abs(value.ravel()[0] - right) < close:
            continue
        name_value(
            value,
            [
                (
                    -log_p.mean() / (size * np.log(2)),
                    "The volume of a cell is missing: a level's mass is the "
                    "density times K^−d, in nats d log K.",
                ),
                (
                    (-log_p.mean() - size * np.log(levels))
                    / (size * np.log(2)),
                    "The volume has the wrong sign: a mass is a density times "
                    "K^−d, so −log P = −log p + d log K.",
                ),
                (
                    (log_p.mean() + size * np.log(levels)) / (size * np.log(2)),
                    "The sign of log p: bits count −log₂ P.",
                ),
                (nats / size, "Those are nats: divide by log 2."),
                (nats / np.log(2), "Those are bits a row: divide by d."),
                (nats, "Those are nats a row: divide by d and by log 2."),
                (
                    (size * np.log(levels - 1) - log_p.mean())
                    / (size * np.log(2)),
                    "K levels make K cells of width 1/K, not K − 1.",
                ),
                (
                    (size * np.log(2 * levels) - log_p.mean())
                    / (size * np.log(2)),
                    "Cells of width 1/(2K) belong to noise over half a cell.",
                ),
                (
                    (size * np.log(levels) - log_p) / (size * np.log(2)),
                    "One number for all rows: take their mean.",
                ),
            ],
        )
        if value.size != 1:
            wrong(f"One number is asked for, not an array {value.shape}.")
        wrong(
            f"For d = {size}, K = {levels} and a mean log p of "
            f"{log_p.mean():.2f} it is {right:.5f} bits a dimension, not "
            f"{value.ravel()[0]:.5f}."
        )
    correct("7b.4", "Which number has a model that calls all levels equal?")


@one_sentence
def check_7b_5(answer):
    """Uniform noise over the whole cell of each grey level."""
    for levels in (17, 4):
        k = np.random.default_rng(5).integers(0, levels, (3000, 4))
        given = k.copy()
        v = call(answer, k, levels, np.random.default_rng(6))
        half = in_half(v)
        v = as_array(v, "v", shape=k.shape)
        reached("shape")
        unchanged((k,), (given,), "the levels")
        if v.max() > 1 + 1e-6:
            wrong(
                f"v reaches {v.max():.2f}: points lie in [0, 1). K levels "
                "have K cells of width 1/K, so divide k + u by K."
            )
        share = v * levels - given  # within its cell, from 0 to 1
        if np.ptp(share) < 1e-4:
            wrong(
                "All points lie at the same place of their cells: where is "
                "the noise, uniform over the cell?"
            )
        if share.min() < -0.02 and abs(share.mean()) < 0.1:
            wrong(
                "The noise is centred on the level, so points fall into the "
                "neighbour's cell, or below 0: let it run from 0 to 1."
            )
        if half and abs(share - 0.5).max() > 0.5:
            wrong(
                "In half precision points near the border of a cell round to "
                "its neighbour: return float32 or float64."
            )
        if share.min() < -1e-3 or share.max() > 1 + 1e-3:
            wrong(
                "Points leave the cell of their level, [k/K, (k + 1)/K): "
                f"v·K − k runs from {share.min():.2f} to {share.max():.2f}."
            )
        alike_rows = np.ptp(share, axis=0).max() < 1e-4
        alike_columns = np.ptp(share, axis=1).max() < 1e-4
        if alike_rows or alike_columns:
            which = "row" if alike_rows else "entry"
            wrong(f"Every {which} has the same noise: draw as many as entries.")
        if share.min() < 0.005 and share.max() < 0.995:  # of 12 000
            wrong(
                f"The noise fills {share.max():.2f} of the cell only: the "
                "density can be higher there, and the reported bits lower, "
                "without any gain."
            )
        if kstest(share.ravel(), "uniform").pvalue < 1e-5:
            wrong(
                "The noise is not uniform over the cell: its mean is "
                f"{share.mean():.2f} and its deviation {share.std():.2f} of "
                "the cell, where uniform noise has 0.50 and 0.29."
            )
        reached("values")
        if levels == 17:
            again = call(answer, k, levels, np.random.default_rng(7))
            if np.allclose(as_array(again, "v"), v):
                wrong(
                    "Another generator gives the same noise: draw from the "
                    "`rng` that the function is given."
                )
    correct("7b.5", "What would a model learn from noise drawn once for all?")


@one_sentence
def check_7b_6(answer):
    """Log of the mean of densities over draws, without underflow."""
    rng = np.random.default_rng(8)
    for draws, rows, level in ((6, 4, -1.0), (5, 3, -2000.0), (1, 4, 900.0)):
        log_p = level + 2 * rng.normal(size=(draws, rows))
        given = log_p.copy()
        result = call(answer, log_p, 3.0)
        value = as_values(result, "The bound", finite=False)
        unchanged((log_p,), (given,), "the array")
        top = given.max(axis=0)
        right = top + np.log(np.exp(given - top).mean(axis=0)) - 3.0
        if value.shape == (rows,) and not np.isfinite(value).all():
            wrong(
                f"Densities around e^{level:.0f} are 0 or infinite in 64 "
                "bits: take the largest out of the sum first, or use "
                "scipy.special.logsumexp or np.logaddexp.reduce."
            )
        if value.shape == (rows,) and np.allclose(value, right, atol=2e-3):
            continue
        name_value(
            value,
            [
                (
                    given.mean(axis=0) - 3.0,
                    "That is the mean of the logarithms, the bound for one "
                    "draw. Asked is the logarithm of the mean.",
                ),
                (
                    right + np.log(draws),
                    "The sum, not the mean: subtract log S, or more draws "
                    "make any model look better.",
                ),
                (
                    right + 3.0,
                    "The volume of the cell, d log K, is missing.",
                ),
                (right + 6.0, "The volume has the wrong sign: subtract it."),
                (top - 3.0, "That is the best draw, not their mean."),
                (
                    given.max(axis=1)
                    + np.log(
                        np.exp(given - given.max(axis=1, keepdims=True)).mean(
                            axis=1
                        )
                    )
                    - 3.0,
                    "You averaged over rows: draws are the first axis.",
                ),
            ],
        )
        if value.shape != (rows,):
            wrong(
                f"{draws} draws of {rows} rows: return one number a row, "
                f"shape ({rows},), not {value.shape}."
            )
        if in_half(result) and np.allclose(value, right, rtol=1e-3):
            wrong(
                "In half precision −2 000.8 becomes −2 001: return float32 or "
                "float64."
            )
        wrong(
            f"For densities e^{np.round(given[:, 0], 1).tolist()} of a row "
            f"the logarithm of their mean, less 3, is {right[0]:.3f}, not "
            f"{value[0]:.3f}."
        )
    correct("7b.6", "How many draws until the third digit stands still?")
