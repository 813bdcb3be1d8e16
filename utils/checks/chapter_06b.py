"""Checks of chapter 6b, compression and noise."""

import numpy as np
from keras import ops

from utils.checks._feedback import (
    as_array,
    as_values,
    call,
    correct,
    name_value,
    one_sentence,
    reached,
    slope,
    wrong,
)


@one_sentence
def check_6b_1(answer):
    """Entropy a unit, then bits a pixel: coded, fixed length, floats."""
    values = as_array(answer, "Your answer", (4,))
    p = np.array([0.8, 0.08, 0.08, 0.02, 0.02])
    entropy = -np.sum(p * np.log2(p))
    right = np.array([entropy, 16 * entropy / 64, 16 * 3 / 64, 16 * 32 / 64])
    if abs(values[0] - entropy * np.log(2)) < 0.005:
        wrong(
            "That entropy is in nats. For bits take log₂, or divide by log 2."
        )
    if abs(values[0] + entropy) < 0.005:
        wrong("An entropy is not negative: mind the minus sign before the sum.")
    if abs(values[0] - np.log2(5)) < 0.005:
        wrong(
            "log₂ 5 is the entropy of five values that are equally frequent. "
            "Here 0 takes four fifths of all cases."
        )
    if abs(values[0] - right[0]) > 0.005:
        wrong("The first number is −Σ p log₂ p over the five integers.")
    if abs(values[1] - 16 * entropy) < 0.05:
        wrong(
            "The second number is bits a *patch*. A pixel has a 64th of them."
        )
    if abs(values[1] - entropy / 16) < 0.005:
        wrong("A patch has 16 units, so 16 entropies, spread over 64 pixels.")
    if abs(values[2] - 16 * np.log2(5) / 64) < 0.005:
        wrong(
            "Fixed length means whole bits: two do for four values, five "
            "values need three."
        )
    for index, what in (
        (1, "the entropy of 16 units, divided by 64 pixels"),
        (2, "16 units of whole bits each, divided by 64 pixels"),
        (3, "16 units of 32 bits, divided by 64 pixels"),
    ):
        if abs(values[index] - right[index]) > 0.005:
            wrong(f"Number {index + 1} is {what}; you have {values[index]:g}.")
    correct(
        "6b.1",
        "The floats need as many bits as the pixels did. What would the "
        "entropy be if 0 took all cases?",
    )


def _integers(seed=0):
    """Training and held-out integers with columns of their own."""
    rng = np.random.default_rng(seed)
    scale = np.array([0.4, 1.5, 6.0])
    train = np.rint(scale * rng.laplace(size=(4000, 3)) + [0, 4, -9])
    test = np.rint(1.2 * scale * rng.laplace(size=(500, 3)) + [0, 4, -9])
    return train.astype(int), test.astype(int)


def _counted_bits(train, test, extra=1.0):
    """Bits of each row, tables with ``extra`` counts for every value."""
    total = np.zeros(len(test))
    for column in range(train.shape[1]):
        low = min(train[:, column].min(), test[:, column].min())
        high = max(train[:, column].max(), test[:, column].max())
        counts = np.bincount(train[:, column] - low, minlength=high - low + 1)
        p = (counts + extra) / (counts + extra).sum()
        total -= np.log2(p[test[:, column] - low])
    return total


@one_sentence
def check_6b_2(answer):
    """Bits of held-out integers under tables of training integers."""
    train, test = _integers()
    found = as_values(call(answer, train, test), "Your result", finite=False)
    if found.shape != (len(test),):
        wrong(
            f"One number for each held-out row, ({len(test)},): you returned "
            f"{found.shape}. Sum the bits of a row over its columns."
        )
    reached("shape")
    if not np.isfinite(found).all():
        wrong(
            "Some rows cost infinitely many bits: an integer that the training "
            "rows never had has probability 0 in your table. Give every value "
            "some count."
        )
    low, high = (
        _counted_bits(train, test, extra).mean() for extra in (1e-3, 1e-12)
    )
    rough = _counted_bits(train, test, 1.0).mean()
    nats = _counted_bits(train, test, 0.5).mean() * np.log(2)
    own = _counted_bits(test, test, 1e-9).mean()
    mean = found.mean()
    if abs(mean / nats - 1) < 0.03:
        wrong("These are nats: a bit is log 2 = 0.693 of them.")
    if abs(mean / own - 1) < 0.01:
        wrong(
            "Your tables were counted on the held-out rows themselves. The "
            "receiver does not have those; count on the training rows."
        )
    if mean < 0:
        wrong("A length is not negative: the code word has −log₂ p bits.")
    pooled = _counted_bits(train.reshape(-1, 1), test.reshape(-1, 1), 1.0)
    if abs(mean / pooled.reshape(test.shape).sum(1).mean() - 1) < 0.03:
        wrong(
            "All columns share one table. Each column has a distribution of "
            "its own, and mixing them wastes bits."
        )
    if abs(mean * 3 / rough - 1) < 0.03:
        wrong("Sum the bits of a row over its columns; you took the mean.")
    if not 0.97 * rough < mean < 1.03 * high:
        wrong(
            f"{mean:.2f} bits a row on average, where tables of the training "
            f"rows give about {rough:.2f} (to {low:.2f} when unseen integers "
            "are made very rare)."
        )
    alone = np.array(train), np.concatenate([test[:5], 30 + test[5:]])
    reached("values")
    again = as_values(call(answer, *alone), "Your result", finite=False)
    few = as_values(call(answer, train, test[:5]), "Your result", finite=False)
    if not (
        np.allclose(again[:5], found[:5], rtol=1e-5)
        and np.allclose(few, found[:5], rtol=1e-5)
    ):
        wrong(
            "The length of a row changes with the other held-out rows. The "
            "receiver has the tables before any of them: neither their counts "
            "nor their range may come in."
        )
    for column in range(train.shape[1]):
        every = np.arange(-300, 301)[:, None]
        lengths = call(answer, train[:, [column]], every)
        lengths = as_values(lengths, "Your result", shape=(len(every),))
        total = np.sum(2.0**-lengths)
        if total > 1.001:
            wrong(
                "Over the integers from −300 to 300 your probabilities "
                f"2^−bits of column {column} sum to {total:.4g}, which no code "
                "has (Kraft). Does an unseen integer cost nothing, or as "
                "little as another one that stands for it?"
            )
    correct(
        "6b.2",
        "How much does the first column alone cost, and how much would it "
        "cost at one whole bit at least?",
    )


@one_sentence
def check_6b_3(answer):
    """Rounding whose gradient is that of the identity."""
    drawn = np.random.default_rng(0).uniform(-9, 9, 3).round(1) + 0.02
    z = np.array([[-1.6, -0.4, 0.2], [0.7, 2.4, 7.0], drawn], "float32")
    tensor = ops.convert_to_tensor(z)
    value = as_values(call(answer, tensor), "Your result")
    if value.shape != z.shape:
        wrong(f"Keep the shape {z.shape}; you returned {value.shape}.")
    reached("shape")
    name_value(
        value,
        [
            (z, "The values are unchanged: nothing has been rounded."),
            (np.floor(z), "That is the floor: 0.7 rounds to 1."),
            (np.trunc(z), "That cuts decimals off: −1.6 rounds to −2."),
        ],
    )
    if np.abs(value - np.rint(z)).max() > 0.02:
        wrong(
            "The decoder must get whole numbers, "
            f"{np.rint(z[0]).tolist()} in the first row and not "
            f"{value[0].round(2).tolist()}: it is what will be sent."
        )
    reached("values")
    gradient = slope(lambda t: call(answer, t), tensor)
    if np.allclose(gradient, 0):
        wrong(
            "The value is right and the slope is 0 everywhere: no encoder will "
            "learn through this. Add the difference to z behind "
            "`ops.stop_gradient`."
        )
    if not np.allclose(gradient, 1, atol=1e-4):
        wrong("The gradient should be handed on unchanged: slope 1.")
    correct(
        "6b.3",
        "Exchange it for uniform noise in the Compressor's decoder, and see "
        "what the mismatch at the end costs.",
    )


def _brightness():
    """Brightness of patches of a smooth picture, as integers (20, 24)."""
    yy, xx = np.mgrid[:20, :24] / 10.0
    rng = np.random.default_rng(0)
    smooth = 30 * np.sin(yy) + 25 * np.cos(1.3 * xx + yy)
    return np.rint(smooth + rng.normal(0, 0.7, yy.shape)).astype(int)


def _entropy(values):
    _, counts = np.unique(values, return_counts=True)
    p = counts / counts.sum()
    return -np.sum(p * np.log2(p))


@one_sentence
def check_6b_4(predict, restore):
    """Integers to prediction errors and back, without loss."""
    grid = _brightness()
    kept = grid.copy()
    errors = call(predict, grid)
    if not np.array_equal(grid, kept):
        wrong("Your first function overwrites its input: work on a copy.")
    errors = as_array(errors, "The prediction errors", grid.shape)
    reached("shape")
    if not np.array_equal(errors, np.rint(errors)):
        wrong("Prediction errors have to be integers to be coded: round.")
    if np.array_equal(errors, grid):
        wrong("Nothing has been predicted: these are the integers themselves.")
    again = as_array(call(restore, errors.astype(int)), "restore", grid.shape)
    if not np.array_equal(again, grid):
        wrong(
            f"{np.mean(again != grid):.0%} of the integers come back wrong. "
            "The receiver has only what came before: predict each from "
            "neighbours that are already restored, and send the first one as "
            "it is."
        )
    other = np.random.default_rng(1).integers(-50, 50, (5, 7))
    reached("values")
    sent = as_array(call(predict, other), "The prediction errors")
    again = as_array(call(restore, sent.astype(int)), "restore")
    if not np.array_equal(again, other):
        wrong("It works for the one picture and not for another shape.")
    before, after = _entropy(grid), _entropy(errors)
    if after > before - 1:
        wrong(
            f"The entropy goes from {before:.2f} to {after:.2f} bits only. In "
            "a smooth picture the neighbour to the left, or above, is a good "
            "guess."
        )
    correct(
        "6b.4",
        f"{before:.2f} bits became {after:.2f}. Try the mean of the left and "
        "the upper neighbour, rounded.",
    )


def _scene(shape=(40, 52), seed=0):
    """A picture with an edge, a ramp and noise of 0.1."""
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    clean = 0.2 + 2.0 * (xx > shape[1] // 2) + 0.2 * np.sin(yy / 4)
    rng = np.random.default_rng(seed)
    return clean + 0.1 * rng.standard_normal(shape)


def _moments(x, side):
    """Mean and variance of the square around each pixel, borders mirrored."""
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, side // 2, mode="reflect"), (side, side)
    )
    return around.mean(axis=(2, 3)), around.var(axis=(2, 3))


def _kept(x, sigma, side, unbiased=False):
    """The right answer, with v divided by n or by n − 1."""
    m, v = _moments(x, side)
    v = v * side**2 / (side**2 - 1) if unbiased else v
    return m + np.maximum(v - sigma**2, 0) / v * (x - m)


def _is_wiener(found, x, sigma, side):
    """Whether a result is right inside, by either variance."""
    inside = np.s_[side:-side, side:-side]
    return found.shape == x.shape and any(
        np.allclose(found[inside], _kept(x, sigma, side, u)[inside], atol=1e-4)
        for u in (False, True)
    )


@one_sentence
def check_6b_5(answer):
    """Local Wiener filter: mean and variance around, and the noise's."""
    x, sigma, side = _scene(), 0.1, 5
    kept = x.copy()
    found = as_values(call(answer, x, sigma, side), "Your result")
    if not np.array_equal(x, kept):
        wrong("Your function overwrites its input: work on a copy.")
    if found.shape != x.shape:
        wrong(f"Keep the picture's shape {x.shape}; you have {found.shape}.")
    reached("shape")
    m, v = _moments(x, side)
    inside = np.s_[side:-side, side:-side]
    share = np.maximum(v - sigma**2, 0) / v
    everywhere = np.maximum(x.var() - sigma**2, 0) / x.var()
    count = side**2
    mistakes = [
        (x, "The picture comes back as it was."),
        (m, "That is the mean around each pixel alone: edges are lost."),
        (
            m + (v - sigma**2) / v * (x - m),
            "Where the variance is below σ² by chance your share is negative, "
            "and the noise comes back upside down: take the larger of it and "
            "0.",
        ),
        (
            m + np.maximum(v - sigma, 0) / v * (x - m),
            "A variance is compared with a variance: σ², not σ.",
        ),
        (
            m + np.maximum(np.sqrt(v) - sigma, 0) / np.sqrt(v) * (x - m),
            "Those are standard deviations; variances are what add up, v − σ².",
        ),
        (
            m + np.minimum(sigma**2 / v, 1) * (x - m),
            "That is the share to take *away*: keep 1 − σ²/v of x − m.",
        ),
        (share * x, "The share belongs to x − m, not to x, and m is missing."),
        (share * (x - m), "Add the mean m again."),
        (
            m + everywhere * (x - m),
            "That variance is the whole picture's; v is the one around each "
            "pixel.",
        ),
        (
            m + np.maximum(v * count - sigma**2, 0) / (v * count) * (x - m),
            "v is the mean of squared deviations, not their sum.",
        ),
    ]
    if not _is_wiener(found, x, sigma, side):
        name_value(
            found[inside], [(value[inside], why) for value, why in mistakes]
        )
        gap = np.abs(found - _kept(x, sigma, side))[inside].max()
        wrong(
            f"Away from the borders your answer differs by up to {gap:.3g} "
            "from m + max(v − σ², 0)/v · (x − m)."
        )
    reached("values")
    other = _scene((31, 24), seed=1)
    again = as_values(call(answer, other, 0.25, 3), "Your result")
    if not _is_wiener(again, other, 0.25, 3):
        wrong("It works for one picture, and not for other σ, side or shape.")
    flat = as_values(
        call(answer, np.full((12, 12), 0.5), 0.1, 3),
        "Your result",
        finite=False,
    )
    if not np.allclose(flat[3:-3, 3:-3], 0.5, atol=1e-4):
        wrong(
            "On a picture of one grey v is 0, and the answer should be that "
            "grey: mind the division."
        )
    correct(
        "6b.5",
        "Which side would you take at twice the noise? Section 4 lets the left "
        "parts choose.",
    )
