"""Checks of chapter 8a, search and insight."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from utils.checks._feedback import (
    as_array,
    as_number,
    as_parts,
    as_values,
    call,
    correct,
    name_value,
    one_sentence,
    unchanged,
    wrong,
)

LUCK = 1.53875  # mean of the largest of ten standard normal numbers


@one_sentence
def check_8a_1(answer):
    """Expected reading of the best of ten equal models: 13.8 per cent."""
    value = as_number(answer, "Your answer")
    right = 20 - 4 * LUCK
    if abs(value - right) <= 0.5:
        correct("8a.1", "How many rows would make it one per cent of luck?")
        return
    for mistaken, feedback in (
        (right / 100, "Right as a share: the answer is asked in per cent."),
        (20.0, "20 is the true error, and what *new* rows will show. Asked is "
               "the number that the choice itself reads."),
        (20 + 4 * LUCK, "That is the largest of the ten: you keep the "
                        "smallest."),
        (4 * LUCK, "That is the luck itself: subtract it from the 20."),
        (16.0, "One deviation below: that is the luck with about four "
               "models. With ten it is more."),
        (20 - LUCK, "Luck is counted in deviations: multiply by 4."),
        (20 - 4 * LUCK / np.sqrt(10), "The luck does not shrink with the "
         "number of models: nothing is averaged."),
        (20 - 4 / np.sqrt(10), "That is the error of a *mean* of ten; you "
         "keep the smallest."),
    ):  # fmt: skip
        if abs(value - mistaken) < 0.12:
            wrong(feedback)
    wrong(
        f"{value:g} is not it. Draw ten normal numbers of mean 20 and "
        "deviation 4, keep the smallest, repeat, and take the mean."
    )


def _halved(losses, epochs, *, restart=False, up=False):
    """Winner and epochs; with a usual mistake."""
    alive, spent, past = np.arange(len(losses)), 0, 0
    for rung, epoch in enumerate(epochs):
        spent += len(alive) * (epoch if restart else epoch - past)
        past = epoch
        alive = alive[np.argsort(losses[alive, rung])]
        if rung + 1 < len(epochs):
            third = -(-len(alive) // 3) if up else max(1, len(alive) // 3)
            alive = alive[:third]
    return int(alive[0]), int(spent)


@one_sentence
def check_8a_2(answer):
    """Winner and epochs of successive halving by thirds."""
    rng = np.random.default_rng(82)
    for n, epochs in (
        (9, (2, 6, 18)),
        (10, (1, 3, 9)),
        (2, (1, 2)),
        (29, (1, 4, 5)),
    ):
        losses = rng.random((n, len(epochs)))
        if n == 9:  # the best at the end starts badly
            losses[np.argsort(losses[:, 0])[4], -1] = -1.0
        _one_race(answer, losses, epochs)
    correct("8a.2", "Which design of section 1 is dropped too early, and why?")


def _one_race(answer, losses, epochs):
    given = losses.copy()
    result = call(answer, losses, epochs)
    unchanged((losses,), (given,), "the losses")
    winner, spent = as_parts(result, "winner", "epochs")
    winner = as_number(winner, "The winner")
    spent = as_number(spent, "The epochs")
    right = _halved(given, epochs)
    if (winner, spent) == right:
        return
    n, last = len(losses), given[:, -1]
    if spent == n * epochs[-1]:
        wrong("You trained all designs to the end: that is no halving.")
    if (winner, spent) == _halved(-given, epochs):
        wrong("You kept the largest losses: smaller is better.")
    if winner == int(last.argmin()) != right[0]:
        wrong(
            f"Design {winner:g} is best at the end, but was dropped before: "
            "it is not among the best third at an earlier rung."
        )
    for options, feedback in (
        ({"restart": True}, "A design that goes on continues: it costs the "
                            "epochs between the rungs, not all from 0."),
        ({"up": True}, "A third of the designs is rounded *down* (and is at "
                       "least one)."),
    ):  # fmt: skip
        if (winner, spent) == _halved(given, epochs, **options):
            wrong(feedback)
    if spent == right[1]:
        wrong(
            f"The epochs are right, but of {n} designs number {right[0]} "
            f"wins, not {winner:g}: an index into the rows you were given?"
        )
    wrong(
        f"{n} designs at rungs {epochs} cost {right[1]} epochs, not "
        f"{spent:g}: count how many designs reach each rung."
    )


def _table(features, factors):
    a = features - features.mean(axis=0)
    b = factors - factors.mean(axis=0)
    size = np.outer(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0))
    return a.T @ b / np.maximum(size, 1e-12)


def _paired(table, by=None):
    by = table if by is None else by
    rows, columns = linear_sum_assignment(by, maximize=True)
    return table[rows, columns].mean()


def _greedy(table):
    table, found = table.copy(), []
    for _ in range(table.shape[1]):
        i, j = np.unravel_index(table.argmax(), table.shape)
        found.append(table[i, j])
        table[i], table[:, j] = -1, -1
    return np.mean(found)


def _crowded(rng):
    """Features and factors for which the usual mistakes show."""
    factors = rng.standard_normal((200, 3))
    turn = np.array([[1.0, 0.9, 0.0], [0.6, 0.0, 0.1], [0.1, 0.2, -0.7]])
    turn = np.concatenate([turn, rng.normal(0, 0.1, (2, 3))])
    noise = [0.3, 0.8, 0.3, 0.3, 0.3] * rng.standard_normal((200, 5))
    features = 3 + factors @ turn.T + noise
    return features[:, [3, 0, 1, 2, 4]], factors + 1


def _torn(rng):
    """As many rows, for which squares of correlations match otherwise."""
    x = rng.standard_normal((200, 8))
    x = np.linalg.qr(x - x.mean(axis=0))[0]  # orthogonal, of mean 0
    table = np.zeros((5, 3))
    table[:3] = [[0.73, 0.07, 0.62], [-0.67, 0.34, 0.35], [0.54, 0.05, 0.3]]
    left = np.sqrt(1 - np.sum(table**2, axis=1))
    return x[:, :3] @ table.T + x[:, 3:] * left, x[:, :3]


@one_sentence
def check_8a_3(answer):
    """Mean matched absolute correlation, silent features count as 0."""
    rng = np.random.default_rng(83)
    for kind in ("plain", "silent", "torn"):
        features, factors = _crowded(rng)
        if kind == "silent":
            features[:, 4] = 2.0
        if kind == "torn":
            features, factors = _torn(rng)
        given = features.copy(), factors.copy()
        value = call(answer, features, factors)
        unchanged((features, factors), given)
        value = as_values(value, "Your result", finite=False)
        if value.size != 1:
            wrong(f"Return one number, not an array {value.shape}.")
        value = float(value.reshape(()))
        if np.isnan(value):
            wrong(
                "Your result is NaN: a feature that never moves has deviation "
                "0. Its correlation counts as 0."
            )
        signed = _table(*given)
        table = np.abs(signed)
        right = _paired(table)
        if abs(value - right) < 1e-3:
            continue
        name_value(
            value,
            [
                (table.max(axis=0).mean(), "One feature serves two factors: "
                 "the largest entry of each column is no matching."),
                (_greedy(table), "The best pair first, then the next: that is "
                 "greedy. Another matching has a larger sum."),
                (_paired(table, table**2), "You matched by squared "
                 "correlations: the sum of the correlations themselves is to "
                 "be largest."),
                (_paired(signed), "A feature may be the negative of a factor: "
                 "take absolute correlations."),
                (table.mean(), "That is the mean of *all* correlations: match "
                 "first."),
                (np.diag(table).mean(), "You paired by column number; the "
                 "order of features means nothing."),
                (right * 3, "That is the sum; asked is the mean over "
                 "factors."),
                (right * 3 / 5, "Divide by the number of factors, not of "
                 "features."),
                (-right, "Right but for the sign: minimising −|r| finds the "
                 "matching; the score itself is positive."),
                (table[linear_sum_assignment(table)].mean(), "You looked for "
                 "the smallest sum: linear_sum_assignment minimises."),
            ],
        )  # fmt: skip
        wrong(
            f"For three factors and five features the score is {right:.3f}, "
            f"yours {value:.3f}. Correlations, absolute, matched, mean."
        )
    correct("8a.3", "What do 500 random features score on three factors?")


@one_sentence
def check_8a_4(answer):
    """The k largest positive entries of each row, the rest 0."""
    rng = np.random.default_rng(84)
    for k, low in ((3, 0.0), (1, 0.0), (4, -2.0)):
        x = rng.standard_normal((6, 9)).astype("float32") + np.float32(low)
        x[0] = -np.abs(x[0])  # nothing positive
        given = x.copy()
        found = as_array(call(answer, x, k), "Your result", given.shape)
        unchanged((x,), (given,), "the activations")
        rank = np.argsort(np.argsort(-given, axis=1), axis=1)
        right = np.where((rank < k) & (given > 0), given, 0)
        if np.allclose(found, right, atol=1e-3):
            continue
        size = np.argsort(np.argsort(-np.abs(given), axis=1), axis=1)
        order = np.argsort(-given.ravel())[: k * len(given)]
        flat = np.zeros(given.size)
        flat[order] = given.ravel()[order]
        name_value(
            found,
            [
                (np.where(rank < k, given, 0), "A negative activation was "
                 "kept, in a row with fewer than k positive ones: it is 0."),
                (np.where(size < k, given, 0), "You kept the largest by "
                 "*size*: a strongly negative one is not wanted."),
                (np.where(rank < k, 1, 0), "Keep the activations themselves, "
                 "not ones."),
                ((right > 0).astype(float), "Keep the activations "
                 "themselves, not ones."),
                (np.maximum(given, 0), "Nothing was dropped but what is "
                 "negative: keep only k a row."),
                (np.where((rank < k - 1) & (given > 0), given, 0), "One too "
                 "few a row: the k-th itself stays."),
                (np.where((rank < k + 1) & (given > 0), given, 0), "One too "
                 "many a row."),
                (np.maximum(flat, 0).reshape(given.shape), "The k largest of "
                 "each *row*, not of the whole batch."),
                (np.where(rank >= len(given[0]) - k, given, 0), "Those are "
                 "the k smallest."),
            ],
        )  # fmt: skip
        row = int(np.argmax(np.abs(found - right).max(axis=1)))
        wrong(
            f"With k = {k}, row {np.round(given[row], 2).tolist()} should "
            f"become {np.round(right[row], 2).tolist()}."
        )
    correct("8a.4", "Which units of section 5 are never among the k largest?")


class _Function:
    """A function with its gradient, rows (n, d)."""

    def __init__(self, rng):
        self.w = rng.standard_normal((4, 4))

    def value(self, x):
        return np.sum(np.tanh(x @ self.w), axis=1) + np.prod(x, axis=1)

    def __call__(self, x):
        x = np.asarray(x, "float64")
        if x.ndim != 2 or x.shape[1] != 4:
            raise ValueError(f"gradient takes rows (n, 4), not {x.shape}")
        slope = (1 - np.tanh(x @ self.w) ** 2) @ self.w.T
        others = [np.prod(np.delete(x, i, 1), axis=1) for i in range(4)]
        return slope + np.stack(others, axis=1)


@one_sentence
def check_8a_5(answer):
    """Integrated gradients by the midpoint rule."""
    rng = np.random.default_rng(85)
    for steps in (50, 4):
        gradient = _Function(rng)
        x, base = rng.standard_normal((2, 4))
        given = x.copy(), base.copy()
        found = call(answer, gradient, *given, steps)
        unchanged(given, (x, base))
        found = as_array(found, "The shares")
        if found.size != 4:
            wrong(
                f"Return one share an entry, shape (4,), not {found.shape}: "
                "average over the points of the path."
            )
        found, gap = found.reshape(4), x - base

        def mean_at(t, gradient=gradient, base=base, gap=gap):
            path = base + np.reshape(t, (-1, 1)) * gap
            return gradient(path).mean(axis=0)

        middle = (np.arange(steps) + 0.5) / steps
        right = gap * mean_at(middle)
        if np.allclose(found, right, rtol=1e-3, atol=1e-4):
            continue
        from_zero = gradient(middle[:, None] * x).mean(axis=0)
        name_value(
            found,
            [
                (mean_at(middle), "Multiply by x − baseline: a mean gradient "
                 "has no share yet."),
                (gap * mean_at(1.0), "That is the gradient at x alone times "
                 "the difference: walk the path."),
                (gap * mean_at(0.0), "That is the gradient at the baseline "
                 "alone: walk the path."),
                (x * mean_at(middle), "Multiply by x − baseline, not by x."),
                (x * from_zero, "Your path starts at 0: it starts at the "
                 "baseline."),
                (gap * from_zero, "Your path starts at 0: it starts at the "
                 "baseline."),
                (right * steps, "You summed over the points: the integral "
                 "is their mean."),
                (-right, "The sign is turned: x − baseline."),
                (np.abs(right), "Shares may be negative: without the sign "
                 "they do not add up."),
                (gap * mean_at(np.arange(steps) / steps), "Those are the left "
                 "ends of the steps: the midpoint rule takes j + ½."),
                (gap * mean_at((np.arange(steps) + 1) / steps), "Those are "
                 "the right ends of the steps: the midpoint rule takes "
                 "j + ½."),
                (gap * mean_at(np.linspace(0, 1, steps)), "np.linspace takes "
                 "both ends: the midpoint rule takes j + ½."),
            ],
        )  # fmt: skip
        ends = gradient.value(np.stack([x, base]))
        wrong(
            f"With {steps} steps your shares sum to {found.sum():.3f}; "
            f"f(x) − f(baseline) is {ends[0] - ends[1]:.3f}, and the midpoint "
            f"rule gives {right.sum():.3f}."
        )
    correct("8a.5", "How many steps does the sum need to be right to 1 %?")


@one_sentence
def check_8a_6(answer):
    """The mean probability after 0, 1, … deletions in each row."""
    rng = np.random.default_rng(86)
    weights = rng.random(5) + 0.2

    def probability(rows):
        rows = np.asarray(rows, "float64")
        return 1 / (1 + np.exp(2 - (rows * weights).sum(axis=1)))

    for _ in range(2):
        x, importance = rng.random((2, 7, 5))
        base = -rng.random(5)
        importance[:, 0] -= 0.5
        given = x.copy(), importance.copy(), base.copy()
        found = call(answer, probability, x, importance, base)
        unchanged((x,), given[:1], "the rows")
        unchanged((importance, base), given[1:])
        found = as_array(found, "The curve")
        _judge_curve(found, probability, *given)
    correct("8a.6", "What does the curve look like if pixels are *inserted*?")


def _judge_curve(found, probability, x, importance, base):
    def curve(order, base=base, keep=True):
        rows, values = x.copy(), [probability(x).mean()]
        for column in order.T:
            rows = rows if keep else x.copy()
            rows[np.arange(len(x)), column] = base[column]
            values.append(probability(rows).mean())
        return np.array(values)

    order = np.argsort(-importance, axis=1)
    right = curve(order)
    if found.shape == (len(x), 6):
        wrong("Average over the rows: one curve (d + 1,), not one a row.")
    if found.shape == (5,):
        wrong("Begin with the untouched rows: the curve has d + 1 points.")
    if found.shape != right.shape:
        wrong(f"The curve has shape (6,) for 5 entries, not {found.shape}.")
    if np.allclose(found, right, rtol=1e-3, atol=1e-4):
        return
    shared = np.argsort(-importance.mean(axis=0))
    size = np.argsort(-np.abs(importance), axis=1)
    name_value(
        found,
        [
            (curve(order[:, ::-1]), "The *least* important went first: turn "
             "the order."),
            (curve(order, np.zeros(5)), "Deleted means set to the baseline, "
             "not to 0."),
            (curve(np.tile(shared, (len(x), 1))), "Each row has its own "
             "order; yours is that of the mean importance."),
            (curve(order, keep=False), "What was deleted stays deleted: yours "
             "deletes one entry at a time."),
            (curve(size), "A negative importance speaks against the class: "
             "it comes last, not by its size."),
            (right[0] - right, "That is the fall; asked is the probability "
             "itself."),
            (curve(np.argsort(order, axis=1)), "argsort of argsort gives "
             "ranks, not the columns in order."),
        ],
    )  # fmt: skip
    wrong(
        f"The curve should be {np.round(right, 3).tolist()}; yours is "
        f"{np.round(found, 3).tolist()}."
    )
