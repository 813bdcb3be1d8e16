"""Checks of chapter 6g, anomalies in time and money."""

import math

import numpy as np

from utils.checks._feedback import (
    as_number,
    as_parts,
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
def check_6g_1(answer):
    """Precision of a detector at one per cent prevalence: 0.154."""
    value = as_number(answer, "Your answer")
    right = 0.009 / (0.009 + 0.0495)
    if abs(value - 0.009 / (0.009 + 0.05)) < 1e-4:
        wrong(
            "You took 5 % of all payments: only the honest ones, 99 %, can "
            "raise a false alarm."
        )
    if abs(value - right) < 0.005:
        correct(
            "6g.1",
            "Which false-alarm rate would make every second alarm a real one?",
        )
        return
    if abs(value - 100 * right) < 0.5:
        wrong("Right in per cent: give a share between 0 and 1.")
    name_value(
        value,
        [
            (
                0.9,
                "0.9 is the recall: the share of frauds that are found. Asked "
                "is the share of alarms that are frauds.",
            ),
            (
                1 - right,
                "That is the share of alarms that are false. Asked is the "
                "other one.",
            ),
            (
                0.9 / 0.95,
                "You weighed frauds and honest payments alike. There are 99 "
                "honest payments for each fraud.",
            ),
            (
                0.009,
                "0.009 is the share of all payments that are frauds and "
                "found. Divide by the share of payments that raise an alarm.",
            ),
            (
                0.95,
                "0.95 is the share of honest payments left in peace; it says "
                "nothing about the alarms.",
            ),
        ],
    )
    wrong(
        f"{value:g} is not the share. Take 10 000 payments: how many are "
        "frauds and found, and how many honest ones are flagged?"
    )


def _plant(rng, mix, x_train):
    """A normal row with one entry replaced within its usual range."""
    row = rng.standard_normal(2) @ mix + 0.15 * rng.standard_normal(6)
    column = int(rng.integers(6))
    usual = x_train[:, column]
    limits = np.quantile(usual, [0.2, 0.8])
    far = limits[np.abs(limits - row[column]).argmax()]
    row[column] = far
    return row, column


@one_sentence
def check_6g_2(answer):
    """The column that does not fit the others, for most planted rows."""
    rng = np.random.default_rng(3)
    mix = np.array(
        [[1.0, 0.9, 0.8, -0.9, 0.3, -0.4], [0.2, -0.5, 0.6, 0.4, 1.0, 0.9]]
    )
    x_train = rng.standard_normal((600, 2)) @ mix
    x_train = x_train + 0.15 * rng.standard_normal(x_train.shape)
    hits, by_range, planted = 0, 0, 60
    for _ in range(planted):
        row, column = _plant(rng, mix, x_train)
        given = x_train.copy(), row.copy()
        index = as_number(call(answer, *given), "The index")
        unchanged(given, (x_train, row))
        if index != int(index) or not 0 <= index < 6:
            wrong(f"Return the index of a column, 0 to 5; received {index:g}.")
        hits += int(index) == column
        z = np.abs(row - x_train.mean(0)) / x_train.std(0)
        by_range += int(index) == int(z.argmax())
    if hits >= 0.8 * planted:
        correct(
            "6g.2",
            f"{hits} of {planted} found. Would yours find two broken columns "
            "that agree with each other?",
        )
        return
    if by_range > 0.9 * planted:
        wrong(
            f"{hits} of {planted} found. You point to the value farthest out "
            "of its own range, but the broken value is *within* its range. "
            "Predict each column from the others."
        )
    wrong(
        f"{hits} of {planted} found; at least {round(0.8 * planted)} are "
        "needed. Which single column, if repaired, would make the row fit?"
    )


# alarms at these steps of 30, the event, delay, false calls
_CASES = (
    ((12, 13, 14), (10, 20), 2, 0),
    ((2, 3, 12, 25, 27), (10, 20), 2, 3),
    ((8, 9, 10, 11), (10, 20), 0, 0),
    ((18, 19, 20, 21), (10, 20), 8, 0),
    ((0, 20, 29), (10, 20), None, 3),
    ((9,), (10, 20), None, 1),
    ((), (10, 20), None, 0),
    ((0, 1, 2), (0, 1), 0, 0),
)


@one_sentence
def check_6g_3(answer):
    """Delay of the first alarm within an event; runs outside it."""
    later = int(np.random.default_rng(0).integers(1, 20))
    moved = [
        ([s + later for s in steps], (begin + later, end + later), *right)
        for steps, (begin, end), *right in _CASES
    ]
    for steps, (begin, end), delay, false in (*_CASES, *moved):
        alarms = np.isin(np.arange(50), steps)
        given = alarms.copy()
        result = call(answer, alarms, begin, end)
        unchanged((alarms,), (given,), "the alarms")
        late, calls = as_parts(result, "delay", "false calls")
        where = f"With alarms at {list(steps)} and the event {begin, end}"
        _check_delay(late, delay, where, steps, begin)
        count = as_number(calls, "The number of false calls")
        outside = sum(not begin <= step < end for step in steps)
        if count != false and count == outside:
            wrong(
                f"{where} you count {count:g} false calls: those are *steps*. "
                "Alarms that follow each other are one call, and none if one "
                "of them lies in the event."
            )
        if count != false:
            wrong(
                f"{where} there are {false} false calls, not {count:g}. A run "
                "of alarms is none if one of its steps lies in the event."
            )
    correct(
        "6g.3",
        "What would you count if a warning before the event is welcome?",
    )


def _check_delay(late, delay, where, steps, begin):
    """Compare one delay, ``None`` where there is no alarm in the event."""
    if late is None:
        if delay is not None:
            wrong(f"{where} the delay is {delay}, not None.")
        return
    late = as_values(late, "The delay", finite=False)
    if late.size != 1:
        wrong(f"The delay is one number, not an array {late.shape}.")
    late = float(late.reshape(()))
    if delay is None:
        wrong(
            f"{where} no alarm lies within the event (its end is excluded): "
            f"the delay is None, not {late:g}."
        )
    if late == delay:
        return
    if late < 0:
        wrong(
            f"{where} you return a delay of {late:g}: alarms before the event "
            "do not find it. Look from `begin` on."
        )
    if late == delay + begin:
        wrong(
            f"{where} {late:g} is the step of the first alarm; its delay is "
            "counted from `begin`."
        )
    hint = " An alarm at `begin` comes with a delay of 0." * (late == delay + 1)
    wrong(f"{where} the delay is {delay}, not {late:g}.{hint}")


@one_sentence
def check_6g_4(answer):
    """Half of the rate on each side, and a refusal where there are too few."""
    rng = np.random.default_rng(6)
    for n, rate in ((80, 0.05), (39, 0.05), (60, 0.1), (250, 0.02)):
        scores = rng.standard_normal(n) ** 3
        given = scores.copy()
        pair = as_parts(call(answer, scores, rate), "low", "high")
        if not np.array_equal(scores, given):
            wrong("Your function changed the scores: sort a copy.")
        low, high = (
            as_number(value, name)
            for value, name in zip(pair, ("low", "high"), strict=True)
        )
        ranked = np.sort(given)
        out = math.floor(rate / 2 * (n + 1) + 1e-9)
        right = ranked[out - 1], ranked[-out]
        within = 1e-3 if any(map(in_half, pair)) else 1e-6
        if np.allclose((low, high), right, rtol=within, atol=1e-9):
            continue
        if low > high:
            wrong("low lies above high: return them in this order.")
        whole = math.floor(rate * (n + 1) + 1e-9)
        name_value(
            (low, high),
            [
                (
                    (ranked[whole - 1], ranked[-whole]),
                    "Each side has the whole rate, together twice as much as "
                    "promised: share it out.",
                ),
                (
                    np.quantile(ranked, [rate / 2, 1 - rate / 2]),
                    "np.quantile interpolates between the ranks of n rows; the "
                    "next row makes n + 1, so the limits lie farther out.",
                ),
                (
                    (-np.abs(ranked).max(), np.abs(ranked).max()),
                    "Your limits are symmetric about 0; these scores are not.",
                ),
                (
                    (ranked[0], ranked[-1]) if out > 1 else (np.inf, np.inf),
                    "Smallest and largest score keep the promise and waste "
                    "alarms: take the narrowest limits that keep it.",
                ),
            ],
        )
        wrong(
            f"For {n} scores and a rate of {rate:g} an alarm is a score below "
            f"the {out}. smallest or above the {out}. largest; yours leave "
            f"{int(np.sum(ranked < low))} below and "
            f"{int(np.sum(ranked > high))} above."
        )
    reached("values")
    for n, rate in ((38, 0.05), (10, 0.1)):
        try:
            value = answer(rng.standard_normal(n), rate)
        except ValueError:
            continue
        except Exception as error:
            wrong(
                f"{n} rows cannot promise {rate:g} on two sides: raise a "
                f"ValueError; yours raised {type(error).__name__}."
            )
        wrong(
            f"{n} rows cannot promise {rate:g} on two sides, and your function "
            f"returned {value!r:.60}: raise a ValueError."
        )
    correct("6g.4", "For which score of a machine would one side be enough?")


def _saving(threshold, scores, amounts, is_fraud, price):
    alarms = scores > threshold
    return float((amounts * is_fraud)[alarms].sum() - price * alarms.sum())


def _best(grid, amounts, is_fraud, price, alarms):
    """Where it would be best to stop, by one idea of what is saved."""
    gain = amounts * is_fraud - price
    return grid[int(np.argmax([gain[alarms(limit)].sum() for limit in grid]))]


def _misled(grid, scores, amounts, is_fraud, price):
    """Thresholds that mistakes lead to, and what to say of them."""

    def above(limit):
        return scores > limit

    return [
        (
            _best(grid, amounts, is_fraud, 0.0, above),
            "That saves most if alarms are free: subtract their price.",
        ),
        (
            _best(grid, amounts, is_fraud, price * ~is_fraud, above),
            "Every alarm has its price, a fraud that is found as well.",
        ),
        (
            _best(grid, amounts, True, price, above),
            "The amount of an honest payment is not saved: count frauds alone.",
        ),
        (
            _best(grid, amounts, is_fraud, price, lambda g: scores >= g),
            "A row *at* the threshold is no alarm: you count it as one.",
        ),
    ]


@one_sentence
def check_6g_5(answer):
    """Any threshold with the largest net saving; infinite if none pays."""
    rng = np.random.default_rng(8)
    for price, ties in (
        (10.0, False),
        (3.0, True),
        (6.0, True),
        (1e5, False),
        (20.0, False),
        (30.0, False),
        (0.0, False),
    ):
        scores = rng.exponential(size=300).astype("float32").astype("float64")
        is_fraud = rng.random(300) < 0.02 + 0.2 * (scores > 2)
        amounts = np.round(rng.lognormal(3.2, 1.0, 300), 2)
        if ties:
            scores = np.round(8 * scores) / 8  # exact in half precision
        if price == 0.0:  # alarms are free, and the last row is worth one
            is_fraud[scores.argmin()] = True
        month = scores, amounts, is_fraud
        given = [column.copy() for column in month]
        value = as_values(call(answer, *month, price), "The threshold", False)
        unchanged(month, given)
        if value.size != 1 or np.isnan(value).any():
            wrong("The threshold is one number (or infinite, never NaN).")
        value = float(value.reshape(()))
        found = _saving(value, *given, price)
        grid = [np.inf, -np.inf, *np.unique(given[0])]
        net = [_saving(limit, *given, price) for limit in grid]
        pays = max(net) > 0
        if found > max(net) - 1e-6 and (pays or value > max(grid[1:])):
            continue
        hint = "Try every distinct score, and infinity."
        if not pays:
            hint = "No alarm pays at this price: return np.inf."
        elif price == 0.0:
            hint = (
                "Alarms are free here, and the row of the smallest score is a "
                "fraud: try a threshold below it, −∞."
            )
        elif ties:
            hint = (
                "Rows of equal score are alarms together or not at all, and "
                "a row *at* the threshold is none."
            )
        if found < max(net) - 1e-6 and price:
            for limit, told in _misled(grid, *given, price):
                if np.isclose(_saving(limit, *given, price), found):
                    hint = told
                    break
        wrong(
            f"At a price of {price:g} € your threshold {value:g} saves "
            f"{found:.0f} €; {max(net):.0f} € is possible. {hint}"
        )
    correct(
        "6g.5",
        "What does next month save with this month's threshold?",
    )
