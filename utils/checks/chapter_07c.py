"""Checks of chapter 7c, generation by regression on noise."""

import numpy as np
from keras import ops

from utils.checks._feedback import (
    as_array,
    as_number,
    call,
    close,
    correct,
    lettered_numbers,
    name_value,
    one_sentence,
    reached,
    slope,
    unchanged,
    wrong,
)
from utils.models import diffusion


@one_sentence
def check_7c_1(answer):
    """Noisy row, velocity, the other schedule, a guess, a score."""
    names = ("x_t", "v", "x_t on the other schedule", "x̂", "score")
    root = np.sqrt(3) / 2
    right = [2.0, -4.0, 3 * root - 0.5, 3.0, -0.625]
    mistakes = [
        [
            (0.0, "(a) mixes up a and s: at t = 0.25 three quarters are data."),
            (2.5, "(a): the noise is −1, so its part is subtracted."),
        ],
        [
            (
                4.0,
                "(b) has the other sign: the slope in t is ε − x, from data to "
                "noise.",
            ),
            (2.0, "(b) is no row but a slope: differentiate (1 − t) x + t ε."),
            (-1.0, "(b) is the noise; the velocity is ε − x."),
        ],
        [
            (
                3 * 0.5 - root,
                "(c) mixes up cosine and sine: near t = 0 the row is nearly x.",
            ),
            (3 * 2 / 3 - 1 / 3, "(c) is the straight schedule's x_t."),
            (
                3 * np.cos(np.pi / 3) - np.sin(np.pi / 3),
                "(c): the angle is πt/2, not πt.",
            ),
            (
                3 * np.cos(1 / 6) - np.sin(1 / 6),
                "(c): the angle is πt/2, with π.",
            ),
        ],
        [
            (0.6, "(d) forgets to divide by a = 0.2."),
            (0.75, "(d) divides by s = 0.8; solve x_t = a x + s ε for x."),
            (0.5, "(d) subtracts the noise itself; x_t holds s ε, and a x."),
            (1.4 / 0.2, "(d) adds the noise instead of subtracting it."),
        ],
        [
            (0.625, "(e) has the other sign: the score leads off the noise."),
            (-0.5, "(e) forgets to divide by s = 0.8."),
            (
                -0.5 / 0.64,
                "(e) divides by s²: that belongs to x_t − a x̂ = s ε̂.",
            ),
        ],
    ]
    hint = "Write the equation first."
    lettered_numbers(answer, names, right, mistakes, within=0.006, hint=hint)
    correct("7c.1", "At which t does x̂ have the error of ε̂?")


def _mean_of_rows(x_t, rows, a, s, power=2.0, centre=True, best=False):
    """E[x | x_t], or what a mistake makes of it."""
    gaps = x_t[:, None] - (a if centre else 1.0) * rows[None]
    exponents = -(gaps**2).sum(axis=2) / (2 * s**power)
    if best:
        return rows[exponents.argmax(axis=1)]
    exponents -= exponents.max(axis=1, keepdims=True)
    weights = np.exp(exponents)
    return weights @ rows / weights.sum(axis=1, keepdims=True)


@one_sentence
def check_7c_2(function):
    """Softmax over training rows with the variance as temperature."""
    rng = np.random.default_rng(0)
    rows, x_t = rng.normal(size=(5, 3)), rng.normal(size=(7, 3))
    a, s = 0.7, 0.6
    given = x_t.copy(), rows.copy()
    answer = call(function, *given, a, s)
    found = as_array(answer, "The mean of the rows", (7, 3))
    right = _mean_of_rows(x_t, rows, a, s)
    reached("shape")
    unchanged(given, (x_t, rows), "x_t or the rows")
    if not close(answer, found, right):
        gaps = ((x_t[:, None] - a * rows) ** 2).sum(axis=2)
        across = np.exp(-gaps / (2 * s**2))
        name_value(
            found,
            [
                (
                    _mean_of_rows(x_t, rows, a, s, power=1.0),
                    "The temperature is the variance of the noise, s², not s.",
                ),
                (
                    _mean_of_rows(x_t, rows, a, s / np.sqrt(2)),
                    "A Gaussian has −‖…‖² / (2 s²) above: the 2 is missing.",
                ),
                (
                    _mean_of_rows(x_t, rows, a, s, centre=False),
                    "x_t is noise around a · x_i, not around x_i: the row has "
                    "shrunk on its way.",
                ),
                (
                    _mean_of_rows(x_t, rows, a, s, best=True),
                    "That is the most likely row. Asked is the mean, of all "
                    "rows by their weights.",
                ),
                (
                    _mean_of_rows(x_t, rows, a, 1.0),
                    "The noise level s plays no part in your weights.",
                ),
                (
                    a * right,
                    "That is E[a x | x_t]: average the rows themselves.",
                ),
                (
                    across / across.sum(axis=0) @ rows,
                    "The weights of one x_t must sum to one over the rows: "
                    "normalise along the other axis.",
                ),
                (
                    np.tile(rows.mean(axis=0), (7, 1)),
                    "That is the mean of all rows, whatever x_t is.",
                ),
            ],
        )
        wrong(
            "Not the conditional mean. Weigh row i by exp(−‖x_t − a x_i‖² / "
            "(2 s²)), make each x_t's weights sum to one, average the rows."
        )
    reached("values")
    small = call(function, 0.03 * x_t, 0.03 * rows, a, 0.03 * s)
    small = as_array(small, "The mean of small rows", (7, 3))
    if not np.allclose(small, 0.03 * right, atol=2e-4):
        wrong(
            "With rows, x_t and s all 0.03 times as large the answer should be "
            "so too: keep s as it is, without a floor or an added constant."
        )
    # one maximum for the whole table would leave the second row none
    near = a * rows[:2] + np.array([[0.05], [0.08]])
    try:
        with np.errstate(all="ignore"):
            found = call(function, near.copy(), rows.copy(), a, 0.001)
        found = as_array(found, "The mean of the rows at s = 0.001", (2, 3))
    except AssertionError as refusal:
        wrong(
            f"At s = 0.001: {refusal} Subtract the largest exponent of each "
            "x_t before the exponential."
        )
    if not np.allclose(found, rows[:2], atol=2e-3):
        wrong("At s = 0.001 the nearest row alone should remain.")
    correct("7c.2", "What does it become for s → ∞, and for s → 0?")


@one_sentence
def check_7c_3(function):
    """Velocity from data, noise or velocity on both schedules."""
    rng = np.random.default_rng(1)
    x, noise = rng.normal(size=(2, 4, 3))
    for schedule, t in (("variance_preserving", 0.4), ("straight", 0.3)):
        a, s, a_slope, s_slope = map(float, diffusion.coefficients(t, schedule))
        x_t = a * x + s * noise
        right = a_slope * x + s_slope * noise
        known = {"velocity": right, "data": x, "noise": noise}
        for target, value in known.items():
            given = value.copy(), x_t.copy()
            answer = call(function, *given, target, a, s, a_slope, s_slope)
            found = as_array(answer, f"The velocity from {target}", x_t.shape)
            unchanged(given, (value, x_t), "the prediction or x_t")
            if close(answer, found, right):
                continue
            where = f"Given the {target}, schedule {schedule}:"
            reached("shape")
            name_value(
                found,
                [
                    (
                        noise - x,
                        f"{where} ε − x is the velocity of the straight "
                        "schedule alone. Use its slopes a' and s'.",
                    ),
                    (
                        s_slope * x + a_slope * noise,
                        f"{where} a' belongs to x and s' to ε.",
                    ),
                    (-right, f"{where} the sign: v = a' x + s' ε."),
                    (
                        x_t,
                        f"{where} that is a x + s ε, the row; the velocity has "
                        "the slopes a', s'.",
                    ),
                    (
                        value,
                        f"{where} you returned the prediction as it came.",
                    ),
                    (
                        a_slope * (x_t - value) + s_slope * value
                        if target == "noise"
                        else a_slope * value + s_slope * (x_t - value),
                        f"{where} solve x_t = a x + s ε for the other one, "
                        "with a and s in it.",
                    ),
                ],
            )
            wrong(
                f"{where} not the velocity. Find x and ε from x_t = a x + s ε, "
                "then put them into a' x + s' ε."
            )
    correct("7c.3", "Which of the three divides by a number near 0, and when?")


@one_sentence
def check_7c_4(function):
    """Plain mean squared error of ε − x."""
    rng = np.random.default_rng(2)
    x, noise, predicted = rng.normal(size=(3, 6, 4)).astype("float32")
    t = rng.uniform(0.1, 0.9, 6).astype("float32")
    tensors = [ops.convert_to_tensor(v) for v in (x, noise, t, predicted)]
    found = as_number(call(function, *tensors), "The loss")
    squares = (predicted - (noise - x)) ** 2
    right = squares.mean()
    if not np.isclose(found, right, rtol=1e-4):
        column = t[:, None]
        noisy = (1 - column) * x + column * noise
        name_value(
            found,
            [
                (
                    ((predicted - (x - noise)) ** 2).mean(),
                    "The target has the other sign: the slope of (1 − t) x + "
                    "t ε by t is ε − x.",
                ),
                (
                    ((predicted - noise) ** 2).mean(),
                    "That is the loss of a network that predicts noise; ours "
                    "predicts the velocity ε − x.",
                ),
                (
                    ((predicted - x) ** 2).mean(),
                    "That is the loss of a network that predicts data.",
                ),
                (
                    ((predicted - noisy) ** 2).mean(),
                    "The target is not the noisy row but its slope by t.",
                ),
                *(
                    (
                        (squares * weight).mean(),
                        "The loss is weighted by a function of t. The target "
                        "weighs the times already: this does it twice.",
                    )
                    for weight in (
                        column,
                        column**2,
                        1 - column,
                        (1 - column) ** 2,
                        1 / column,
                        1 / column**2,
                        1 / (1 - column) ** 2,
                        (1 - column) / column,
                        ((1 - column) / column) ** 2,
                    )
                ),
                (
                    squares.sum(),
                    "Summed over rows, the loss grows with the batch: take the "
                    "mean.",
                ),
                (
                    squares.sum(axis=1).mean(),
                    "Summed over entries: that is a right loss for another "
                    "learning rate, but asked is the mean over entries.",
                ),
                (
                    np.sqrt(right),
                    "No root: the mean of squares has the conditional mean as "
                    "its optimum.",
                ),
                (
                    np.abs(predicted - (noise - x)).mean(),
                    "Absolute errors lead to a median; the velocity is a mean.",
                ),
            ],
        )
        wrong("Not the mean of (v̂ − (ε − x))² over entries and rows.")
    reached("values")

    def loss(predicted):
        return call(function, *tensors[:3], predicted)

    gradient = slope(loss, tensors[3], "The loss")
    if not np.allclose(gradient, 2 * (predicted - noise + x) / x.size, 1e-3):
        wrong(
            "The number is right, but no network learns from it: its slope in "
            "the prediction is cut. Stay inside `keras.ops`, without "
            "`stop_gradient` or NumPy."
        )
    correct("7c.4", "What is the least value that any network can reach?")


def _walk(velocity, x, times, kind):
    """Heun's walk, or what a mistake makes of it."""
    for now, then in zip(times[:-1], times[1:], strict=True):
        step = (now - then) if kind == "backwards" else (then - now)
        first = velocity(x, now)
        where, when = {
            "earlier time": (x + step * first, now),
            "same row": (x, then),
            "euler": (x, now),
            "midpoint": (x + step * first / 2, (now + then) / 2),
            "wrong trial": (x - step * first, then),
        }.get(kind, (x + step * first, then))
        second = velocity(where, when)
        if kind in ("midpoint", "second alone"):
            first = second
        x = x + step * (first + second) / (1 if kind == "sum" else 2)
    return x


@one_sentence
def check_7c_5(function):
    """The mean of two slopes, the second later and farther on."""
    times = [1.0, 0.6, 0.5, 0.2]

    def velocity(x, t):
        return np.sin(2 * x) + 3.0 * t**2 + x * t

    x = np.random.default_rng(3).normal(size=(5, 2))
    given = x.copy(), times.copy()
    answer = call(function, velocity, *given)
    found = as_array(answer, "The rows at the last time", (5, 2))
    right = _walk(velocity, x, times, "")
    reached("shape")
    if given[1] != times:
        wrong("Your function changed the list of times: make a copy.")
    unchanged(given[:1], (x,), "the rows (`x += …` writes into them)")
    if not close(answer, found, right):
        sayings = {
            "earlier time": "The second slope is taken at the earlier time: it "
            "belongs to the trial row at the *next* time.",
            "same row": "The second slope is taken at the old row: step there "
            "for trial first.",
            "euler": "That is Euler's walk: one slope a step.",
            "second alone": "Only the second slope is used: take the mean of "
            "both.",
            "midpoint": "That is the midpoint method, of the same order; asked "
            "is Heun's, with the slope at the step's end.",
            "wrong trial": "The trial row lies in the wrong direction: it is "
            "x + (t' − t) v, with t' − t negative.",
            "backwards": "You walk away from the data: a step is t' − t, which "
            "is negative as times fall.",
            "sum": "The two slopes are added: take their mean.",
        }
        name_value(
            found,
            [
                (_walk(velocity, x, times, kind), told)
                for kind, told in sayings.items()
            ]
            + [
                (
                    _walk(velocity, x, times[:-1], ""),
                    "You stop one step early: walk to the last of the times.",
                ),
                (x, "The rows have not moved."),
                (
                    _walk(velocity, x, np.linspace(1.0, 0.2, 4), ""),
                    "Steps are not equally long: take t' − t from `times`.",
                ),
            ],
        )
        wrong(
            "Not Heun's walk. Each step: slope here, trial row by Euler, slope "
            "there and then, the mean of both."
        )
    correct("7c.5", "Halve all steps: by how much does the error fall?")


@one_sentence
def check_7c_6(function):
    """A moving average that starts at the first weights."""
    history = np.random.default_rng(4).normal(size=(6, 3)) + 2.0
    momentum = 0.8
    given = history.copy()
    answer = call(function, given, momentum)
    found = as_array(answer, "The average", (3,))

    def average(start, rows, m):
        for row in rows:
            start = m * start + (1 - m) * row
        return start

    right = average(history[0], history[1:], momentum)
    reached("shape")
    unchanged((given,), (history,), "the history")
    if not close(answer, found, right):
        zero = average(np.zeros(3), history, momentum)
        name_value(
            found,
            [
                (
                    history[-1],
                    "These are the last weights: the average is not used.",
                ),
                (
                    zero,
                    "Your average starts at zero and is too small for long: "
                    "start at the first weights.",
                ),
                (
                    zero / (1 - momentum**6),
                    "Corrected as in Adam, from a start at zero: asked is one "
                    "that starts at the first weights.",
                ),
                (
                    average(history[0], history[1:], 1 - momentum),
                    "Momentum m belongs to the old average, 1 − m to the new "
                    "weights.",
                ),
                (
                    history.mean(axis=0),
                    "That is the plain mean of all steps: early weights should "
                    "fade.",
                ),
                (
                    average(history[0], history[1:-1], momentum),
                    "The last step's weights are missing.",
                ),
                (history[0], "These are the first weights."),
            ],
        )
        wrong("Not the moving average: m times the old, 1 − m times the new.")
    reached("values")
    answer = call(function, history[:1].copy(), 0.9)
    if not close(answer, as_array(answer, "The average", (3,)), history[0]):
        wrong("After a single step the average is that step's weights.")
    correct("7c.6", "How far back does m = 0.99 look?")


@one_sentence
def check_7c_7(function):
    """Linear maps of the features follow a cosine and a narrow bump."""
    rng = np.random.default_rng(5)
    t, other = np.sort(rng.uniform(0, 1, 400)), np.sort(rng.uniform(0, 1, 150))
    curves = {
        "a slow cosine": (lambda t: np.cos(np.pi * t / 2), 0.02),
        "a bump at t = 0.06, 0.05 wide": (
            lambda t: np.exp(-(((t - 0.06) / 0.05) ** 2)),
            0.15,
        ),
        "a step at t = 0.5": (lambda t: np.tanh((t - 0.5) / 0.06), 0.15),
    }
    tables = []
    for times in (t, other):
        given = times.copy()
        table = as_array(call(function, given), "The features")
        unchanged((given,), (times,), "the times")
        if table.ndim != 2 or len(table) != len(times):
            wrong(
                f"The features should have shape ({len(times)}, k), one row a "
                f"time, not {table.shape}."
            )
        tables.append(table)
    width = tables[0].shape[1]
    reached("shape")
    if tables[1].shape[1] != width or not 2 <= width <= 64:
        wrong(f"{width} features: asked are 2 to 64, as many for every time.")
    if np.abs(tables[0]).max() > 100:
        wrong(
            f"Features as large as {np.abs(tables[0]).max():.3g} drown the "
            "rows beside them: sines and cosines stay in [−1, 1]."
        )
    single = as_array(call(function, t[:1].copy()), "The features of one time")
    if not np.allclose(single, tables[0][:1], rtol=1e-3, atol=1e-3):
        wrong(
            "The features of a time depend on the other times in the batch; in "
            "sampling all rows have one time."
        )
    ones = [np.column_stack([table, np.ones(len(table))]) for table in tables]
    # as a network would: no weights of a thousand
    gram = ones[0].T @ ones[0] + 1e-4 * np.eye(width + 1)
    for name, (curve, room) in curves.items():
        weights = np.linalg.solve(gram, ones[0].T @ curve(t))
        error = np.sqrt(np.mean((ones[1] @ weights - curve(other)) ** 2))
        error = error / curve(other).std()
        if error > room:
            near = np.abs(np.diff(tables[0], axis=0)).max() < 0.05
            reason = (
                "All features change slowly between 0 and 1: the time is fed "
                "unscaled. Rates up to about 100 are needed."
                if near
                else "Take rates from about 1 to 100, sines *and* cosines."
            )
            wrong(
                f"A linear map of them misses {name} by {error:.0%}. {reason}"
            )
    correct("7c.7", "What goes wrong with rates up to 10 000?")
