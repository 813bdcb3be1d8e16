"""Checks of chapter 7c: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
import scipy.special
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops

from utils.checks import chapter_07c
from utils.models import diffusion

checks = Watched(chapter_07c)

# ---------------------------------------------------------------- 7c.1

RIGHT = [2.0, -4.0, 2.0981, 3.0, -0.625]


@pytest.mark.parametrize(
    "answer",
    [RIGHT, tuple(RIGHT), np.float32(RIGHT), [np.array([v]) for v in RIGHT]],
)
def test_check_7c_1_right_numbers_pass(answer, capsys):
    checks.check_7c_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "place, value, match",
    [
        (0, 0.0, "mixes up a and s"),
        (0, 2.5, "subtracted"),
        (1, 4.0, "other sign"),
        (1, -1.0, "is the noise"),
        (2, 1.5 - np.sqrt(3) / 2, "cosine and sine"),
        (2, 5 / 3, "straight schedule"),
        (3, 0.6, "divide by a"),
        (3, 0.75, "divides by s"),
        (3, 7.0, "adds the noise"),
        (4, 0.625, "other sign"),
        (4, -0.5, "divide by s"),
        (4, -0.78125, "s²"),
        (4, 9.0, "Write the equation"),
        (0, None, "None"),
    ],
)
def test_check_7c_1_wrong_numbers_are_named(place, value, match):
    answer = [value if i == place else v for i, v in enumerate(RIGHT)]
    rejects(checks.check_7c_1, answer, match=match)


def test_check_7c_1_wants_five():
    rejects(checks.check_7c_1, RIGHT[:4], match="Return 5 things")


# ---------------------------------------------------------------- 7c.2


def exponents(x_t, rows, a, s):
    return -((x_t[:, None] - a * rows) ** 2).sum(axis=2) / (2 * s**2)


def by_scipy(x_t, rows, a, s):
    return scipy.special.softmax(exponents(x_t, rows, a, s), axis=1) @ rows


def by_tensors(x_t, rows, a, s):
    found = exponents(x_t, rows, a, s)
    return ops.matmul(ops.softmax(ops.convert_to_tensor(found), axis=1), rows)


def by_loops(x_t, rows, a, s):
    found = []
    for one in x_t:
        logs = np.array([-np.sum((one - a * r) ** 2) / 2 / s**2 for r in rows])
        weights = np.exp(logs - logs.max())
        found.append((weights[:, None] * rows).sum(axis=0) / weights.sum())
    return [row.tolist() for row in found]


def in_halves(answer):
    return lambda *given: np.float16(answer(*given))


@pytest.mark.parametrize(
    "answer", [by_scipy, by_tensors, by_loops, in_halves(by_scipy)]
)
def test_check_7c_2_right_means_pass(answer, capsys):
    checks.check_7c_2(answer)
    assert "correct" in capsys.readouterr().out


def without_care(x_t, rows, a, s):
    weights = np.exp(exponents(x_t, rows, a, s))
    return weights @ rows / weights.sum(axis=1, keepdims=True)


def one_maximum(x_t, rows, a, s):
    found = exponents(x_t, rows, a, s)
    weights = np.exp(found - found.max())
    return weights @ rows / weights.sum(axis=1, keepdims=True)


def in_place(x_t, rows, a, s):
    x_t[:] = by_scipy(x_t, rows, a, s)
    return x_t


@pytest.mark.parametrize(
    "answer, match",
    [
        (one_maximum, "largest exponent of each"),
        (in_place, "make a copy"),
        (lambda x, r, a, s: by_scipy(x, r, a, max(s, 0.05)), "without a floor"),
        (lambda x, r, a, s: by_scipy(x, r, a, s**0.5), "variance of the noise"),
        (lambda x, r, a, s: by_scipy(x, r, a, s / 2**0.5), "the 2 is missing"),
        (lambda x, r, a, s: by_scipy(x, r, 1.0, s), "shrunk"),
        (
            lambda x, r, a, s: r[exponents(x, r, a, s).argmax(axis=1)],
            "most likely row",
        ),
        (lambda x, r, a, s: by_scipy(x, r, a, 1.0), "plays no part"),
        (lambda x, r, a, s: a * by_scipy(x, r, a, s), "rows themselves"),
        (
            lambda x, r, a, s: (
                scipy.special.softmax(exponents(x, r, a, s), axis=0) @ r
            ),
            "other axis",
        ),
        (lambda x, r, a, s: np.tile(r.mean(0), (len(x), 1)), "mean of all"),
        (lambda x, r, a, s: x, "Not the conditional mean"),
        (without_care, "Subtract the largest exponent"),
        (lambda x, r, a, s: r, "shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7c_2_wrong_means_are_named(answer, match):
    rejects(checks.check_7c_2, answer, match=match)


# ---------------------------------------------------------------- 7c.3


def solved(value, x_t, target, a, s, a_slope, s_slope):
    """x and ε from two equations by linear algebra."""
    if target == "velocity":
        return value
    known = {"data": [1, 0], "noise": [0, 1]}[target]
    table = np.array([[a, s], known])
    both = np.linalg.solve(table, np.stack([x_t.ravel(), value.ravel()]))
    return (np.array([a_slope, s_slope]) @ both).reshape(x_t.shape)


def of_library(value, x_t, target, a, s, *slopes):
    schedule = "straight" if slopes[0] == -1.0 else "variance_preserving"
    t = s if slopes[0] == -1.0 else np.arcsin(s) * 2 / np.pi
    return diffusion.convert(
        value, x_t, t, given=target, wanted="velocity", schedule=schedule
    )


def as_lists(*arguments):
    return np.asarray(solved(*arguments), "float32").tolist()


@pytest.mark.parametrize(
    "answer", [solved, of_library, as_lists, in_halves(solved)]
)
def test_check_7c_3_right_velocities_pass(answer, capsys):
    checks.check_7c_3(answer)
    assert "correct" in capsys.readouterr().out


def straight_always(value, x_t, target, a, s, *slopes):
    if target == "velocity":
        return value
    x = value if target == "data" else (x_t - s * value) / a
    return (x_t - a * x) / s - x


def undivided(value, x_t, target, a, s, a_slope, s_slope):
    if target == "velocity":
        return value
    x = value if target == "data" else x_t - value
    noise = value if target == "noise" else x_t - value
    return a_slope * x + s_slope * noise


def over_x_t(value, x_t, *given):
    x_t[:] = solved(value, x_t, *given)
    return x_t


@pytest.mark.parametrize(
    "answer, match",
    [
        (over_x_t, "make a copy"),
        (straight_always, "straight schedule alone"),
        (lambda *p: -solved(*p), "the sign"),
        (lambda v, x_t, *p: x_t, "that is a x"),
        (lambda v, *p: v, "as it came"),
        (undivided, "with a and s in it"),
        (lambda *p: 2 * solved(*p), "Given the velocity"),
        (
            lambda v, x, t, a, s, p, q: solved(v, x, t, a, s, q, p),
            "a' belongs to x",
        ),
        (lambda *p: 3.0, "shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7c_3_wrong_velocities_are_named(answer, match):
    rejects(checks.check_7c_3, answer, match=match)


# ---------------------------------------------------------------- 7c.4


def by_numpy(x, noise, t, predicted):
    x, noise, predicted = map(ops.convert_to_numpy, (x, noise, predicted))
    return float(np.mean((noise - x - predicted) ** 2, dtype="float64"))


def by_parts(x, noise, t, predicted):
    rows = ops.sum(ops.square(predicted - noise + x), axis=1)
    return ops.sum(rows) / (x.shape[0] * x.shape[1])


def by_keras(x, noise, t, predicted):
    import keras

    return keras.losses.MeanSquaredError()(noise - x, predicted)


def in_float16(*given):
    return ops.cast(by_parts(*given), "float16")


@pytest.mark.parametrize("answer", [by_parts, by_keras, in_float16])
def test_check_7c_4_right_losses_pass(answer, capsys):
    checks.check_7c_4(answer)
    assert "correct" in capsys.readouterr().out


def weighted(power):
    def loss(x, noise, t, v):
        return ops.mean(t[:, None] ** power * ops.square(v - noise + x))

    return loss


@pytest.mark.parametrize(
    "answer, match",
    [
        (by_numpy, "NumPy"),
        (lambda x, e, t, v: by_parts(x, e, t, ops.stop_gradient(v)), "is cut"),
        (lambda x, e, t, v: ops.mean(ops.square(v - x + e)), "other sign"),
        (lambda x, e, t, v: ops.mean(ops.square(v - e)), "predicts noise"),
        (lambda x, e, t, v: ops.mean(ops.square(v - x)), "predicts data"),
        (weighted(1), "does it twice"),
        (weighted(-2), "does it twice"),
        (lambda x, e, t, v: ops.sum(ops.square(v - e + x)), "with the batch"),
        (lambda *p: ops.sqrt(by_parts(*p)), "No root"),
        (lambda x, e, t, v: ops.mean(ops.abs(v - e + x)), "median"),
        (
            lambda x, e, t, v: ops.mean(ops.sum(ops.square(v - e + x), 1)),
            "mean over entries",
        ),
        (lambda x, e, t, v: ops.square(v - e + x), "one number"),
        (lambda *p: 3.0, "Not the mean"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7c_4_wrong_losses_are_named(answer, match):
    rejects(checks.check_7c_4, answer, match=match)


# ---------------------------------------------------------------- 7c.5


def one_by_one(velocity, x, times):
    rows = x.astype("float64")
    for index in range(len(times) - 1):
        step = times[index + 1] - times[index]
        slope = velocity(rows, times[index])
        slope = slope + velocity(rows + step * slope, times[index + 1])
        rows = rows + 0.5 * step * slope
    return rows


def recursive(velocity, x, times):
    if len(times) == 1:
        return x
    step = times[1] - times[0]
    first = velocity(x, times[0])
    second = velocity(x + step * first, times[1])
    return recursive(velocity, x + step * (first + second) / 2, times[1:])


@pytest.mark.parametrize(
    "answer", [one_by_one, recursive, diffusion.heun, in_halves(one_by_one)]
)
def test_check_7c_5_right_walks_pass(answer, capsys):
    checks.check_7c_5(answer)
    assert "correct" in capsys.readouterr().out


def made(kind):
    return lambda v, x, times: chapter_07c._walk(v, x, times, kind)


def writing(velocity, x, times):
    x += one_by_one(velocity, x, times) - x
    return x


def eating(velocity, x, times):
    x = one_by_one(velocity, x, times)
    times.pop()
    return x


@pytest.mark.parametrize(
    "answer, match",
    [
        (writing, "writes into them"),
        (eating, "list of times"),
        (diffusion.euler, "Euler's walk"),
        (made("earlier time"), "earlier time"),
        (made("same row"), "at the old row"),
        (made("second alone"), "Only the second"),
        (made("midpoint"), "midpoint method"),
        (made("wrong trial"), "wrong direction"),
        (made("backwards"), "away from the data"),
        (made("sum"), "added"),
        (lambda v, x, t: diffusion.heun(v, x, t[:-1]), "one step early"),
        (lambda v, x, t: x, "not moved"),
        (lambda v, x, t: x + 1.0, "Not Heun's walk"),
        (lambda v, x, t: None, "None"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7c_5_wrong_walks_are_named(answer, match):
    rejects(checks.check_7c_5, answer, match=match)


# ---------------------------------------------------------------- 7c.6


def by_weights(history, m):
    n = len(history)
    weights = (1 - m) * m ** np.arange(n - 1, -1, -1)
    weights[0] = m ** (n - 1)
    return weights @ history


def by_differences(history, m):
    average = history[0].copy()
    for row in history[1:]:
        average += (1 - m) * (row - average)
    return average.tolist()


def by_lfilter(history, m):
    import scipy.signal

    start = m * history[:1]
    found = scipy.signal.lfilter([1 - m], [1, -m], history, axis=0, zi=start)
    return np.float32(found[0][-1])


@pytest.mark.parametrize(
    "answer",
    [by_weights, by_differences, by_lfilter, in_halves(by_weights)],
)
def test_check_7c_6_right_averages_pass(answer, capsys):
    checks.check_7c_6(answer)
    assert "correct" in capsys.readouterr().out


def from_zero(history, m):
    average = 0.0
    for row in history:
        average = m * average + (1 - m) * row
    return average


def over_the_first(history, m):
    average = history[0]
    for row in history[1:]:
        average += (1 - m) * (row - average)
    return average


@pytest.mark.parametrize(
    "answer, match",
    [
        (over_the_first, "changed the history"),
        (lambda h, m: h[-1], "the average is not used"),
        (from_zero, "starts at zero"),
        (lambda h, m: from_zero(h, m) / (1 - m ** len(h)), "as in Adam"),
        (lambda h, m: by_weights(h, 1 - m), "to the old average"),
        (lambda h, m: h.mean(axis=0), "plain mean"),
        (lambda h, m: by_weights(h[:-1], m), "last step's weights"),
        (lambda h, m: h[0], "first weights"),
        (lambda h, m: h[1], "Not the moving average"),
        (lambda h, m: h, "shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7c_6_wrong_averages_are_named(answer, match):
    rejects(checks.check_7c_6, answer, match=match)


# ---------------------------------------------------------------- 7c.7


def sines(t, rates):
    angles = np.asarray(t)[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def hats(t):
    places = np.linspace(0, 1, 40)
    return np.maximum(0, 1 - 39 * np.abs(np.asarray(t)[:, None] - places))


def bumps(t):
    places = np.linspace(-0.05, 1.05, 50)
    return np.exp(-(((np.asarray(t)[:, None] - places) / 0.03) ** 2))


@pytest.mark.parametrize(
    "answer",
    [
        lambda t: sines(t, np.geomspace(1, 100, 16)),
        hats,
        bumps,
        lambda t: diffusion.TimeFeatures(32)(t.astype("float32")),
        lambda t: sines(t, np.pi * np.arange(1, 31)).tolist(),
        lambda t: np.float16(sines(t, np.geomspace(1, 100, 16))),
    ],
)
def test_check_7c_7_features_that_tell_pass(answer, capsys):
    checks.check_7c_7(answer)
    assert "correct" in capsys.readouterr().out


def scaled_in_place(t):
    t *= 100
    return sines(t, np.geomspace(0.01, 1, 16))


@pytest.mark.parametrize(
    "answer, match",
    [
        (scaled_in_place, "changed the times"),
        (lambda t: sines(t, np.geomspace(1e-4, 1, 16)), "fed unscaled"),
        (lambda t: t[:, None], "1 features"),
        (lambda t: np.stack([t, t**2], axis=1), "fed unscaled"),
        (lambda t: sines(t, np.geomspace(500, 10_000, 16)), "rates from about"),
        (lambda t: t, "shape"),
        (lambda t: np.ones((len(t), 65)), "65 features"),
        (lambda t: 1000 * sines(t, np.arange(1, 20)), "drown"),
        (
            lambda t: sines((t - t.mean()) / (t.std() + 1e-9), np.arange(20.0)),
            "other times in the batch",
        ),
        (stub, "waits for your answer"),
    ],
)
def test_check_7c_7_features_that_do_not_are_named(answer, match):
    rejects(checks.check_7c_7, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
