"""Checks of chapter 8d, auditing data without a label."""

import itertools

import numpy as np
from sklearn.datasets import load_digits

from utils.checks._feedback import (
    as_array,
    as_number,
    call,
    correct,
    lettered_numbers,
    one_sentence,
    unchanged,
    wrong,
)


def _indices(found, of, count):
    """Indices of rows or columns, each once, from an array; or feedback."""
    if found.shape == (count,) and np.isin(found, (0, 1)).all():
        wrong(f"Return indices, not one boolean a {of}: np.flatnonzero.")
    if found.ndim != 1:
        wrong(f"Return a vector of indices, not an array {found.shape}.")
    if np.any(found != np.round(found)) or np.any(found < 0):
        wrong("Indices are whole numbers, 0 and above.")
    return np.unique(found.astype(int))


# ------------------------------------------------------------------- 8d.1


@one_sentence
def check_8d_1(answer):
    """0.32 of the pairs, 32 test rows, an accuracy of 0.748.

    Exactly 200 rows drawn without putting any back, as a split does, give
    0.32032, 32.032 and 0.74805: right as well.
    """
    lettered_numbers(
        answer,
        ["the chance", "the number of rows", "the accuracy"],
        [0.32, 32, 0.748],
        [
            [
                (
                    0.16,
                    "(a) Either twin may be the one in the test set: twice "
                    "as much.",
                ),
                (
                    0.04,
                    "(a) That is the chance that *both* are in the test set.",
                ),
                (
                    0.2,
                    "(a) 0.2 is the chance that *one* row is in the test "
                    "set; its twin has to be in training.",
                ),
                (0.64, "(a) That is the chance that both are in training."),
            ],
            [
                (
                    64,
                    "(b) Of a divided pair *one* row is in the test set; "
                    "there are 100 pairs, not 200.",
                ),
                (16, "(b) Count both ways of dividing a pair."),
                (
                    40,
                    "(b) Forty twins are in the test set; some have their "
                    "twin there as well.",
                ),
                (0.32, "(b) Asked is a number of rows: of 100 pairs."),
            ],
            [
                (
                    0.7,
                    "(c) 0.7 is the accuracy on rows whose twin is not in "
                    "training. The others are known by heart.",
                ),
                (74.8, "(c) Right in per cent: give a share."),
                (
                    0.796,
                    "(c) You took 0.32 of the test rows as known; it is 32 "
                    "of 200 of them.",
                ),
                (
                    0.7 + 0.16,
                    "(c) You added 32/200 to 0.7; 70 % of those rows "
                    "were counted already.",
                ),
            ],
        ],
        within=[0.0015, 0.04, 0.0015],
        hint="Draw a pair: test and training, with 0.2 and 0.8 for each twin.",
    )
    correct("8d.1", "How many leaked rows would a test share of one half have?")


# ------------------------------------------------------------------- 8d.2

_TIMES = 2000


def _exact_p(scores, second):
    """Share of all choices of a second set whose mean is as large."""
    m = int(second.sum())
    sums = np.array(
        [sum(c) for c in itertools.combinations(scores.tolist(), m)]
    )
    return np.mean(sums >= scores[second].sum() - 1e-9)


def _few(rng):
    """Eleven scores and the second set, with ties, and with outliers."""
    for shift in (-1.5, 0.0, 0.7, 1.2):
        scores = np.round(8 * rng.standard_normal(11)) / 8
        second = rng.permutation(11) < 4
        scores[second] += shift
        yield scores, second
    # ranks, medians, draws with replacement or of another number differ here
    for four, seven in (
        ([161, 1, 2, 5], [12, 4, 5, 7, 5, 0, 5]),
        ([-2, 165, -7, -8], [1, 0, 6, -3, 2, -3, 2]),
    ):
        yield np.array(four + seven) / 8, np.arange(11) < 4


@one_sentence
def check_8d_2(answer):
    """Close to the exact value, with the 1 above and below."""
    flat = np.full(12, 0.5)
    half = np.arange(12) % 2 == 0
    p = _asked(answer, flat, half, 20)
    if p < 1 - 1e-3:
        wrong(
            f"All scores are equal, so chance always does as well: p is 1, "
            f"not {p:g}. Count ties, ≥ and not >."
        )
    apart = np.r_[np.zeros(40), np.ones(40)]
    late = np.arange(80) >= 40
    p = _asked(answer, apart, late, 49)
    if p == 0:
        wrong(
            "No order of yours does as well, and p is 0. The order that was "
            "found is one of those possible: (1 + …) / (1 + times)."
        )
    if abs(p - 1 / 49) < 2e-4:
        wrong("Add 1 below as well: (1 + …) / (1 + times).")
    if p > 0.9:
        wrong(
            f"The second set is far larger and p is {p:g}: count the orders "
            "whose difference is at least as *large*."
        )
    if abs(p - 0.02) > 2e-4:
        wrong(f"With 49 shuffles, none as large, p is 1/50; yours is {p:g}.")
    p = _asked(answer, apart, late, 99)
    if abs(p - 0.01) > 2e-4:
        wrong(f"With 99 shuffles, none as large, p is 1/100; yours is {p:g}.")
    for scores, second in _few(np.random.default_rng(6)):
        p = _asked(answer, scores, second, _TIMES)
        exact = _exact_p(scores, second)
        noise = np.sqrt(exact * (1 - exact) / _TIMES)
        if abs(p - exact) <= 5 * noise + 0.01:
            continue
        other = _exact_p(-scores, second)
        twice = abs(p - min(1, 2 * min(exact, other))) <= 5 * noise + 0.01
        if twice and np.abs(scores).max() < 10:  # else ranks may say so, too
            wrong(
                "That p counts both sides, or absolute values: one side is "
                "asked for."
            )
        wrong(
            f"p is {p:.3f}, counted over all orders it is {exact:.3f}. Shuffle "
            "`second` anew each time, so that as many rows are in it and each "
            "row counts once, and compare differences of means."
        )
    correct("8d.2", "How many shuffles does a p-value below 0.001 need?")


def _asked(answer, scores, second, times):
    """A p-value from an answer: a number in [0, 1]."""
    given = scores.copy(), second.copy()
    rng = np.random.default_rng(7)
    p = call(answer, scores, second, times, rng)
    unchanged((scores, second), given)
    p = as_number(p, "The p-value")
    if not 0 <= p <= 1 + 1e-3:
        wrong(f"A p-value lies between 0 and 1; yours is {p:g}.")
    return p


# ------------------------------------------------------------------- 8d.3


def _forged(rng):
    """Training images, test images with 40 copies, indices and kinds."""
    images = rng.permutation(load_digits().images / 16)
    train, test = images[:700], images[700:1000].copy()
    places = rng.permutation(300)[:40]
    copies = train[rng.choice(700, 40, replace=False)].copy()
    kinds = np.arange(40) % 3  # mirrored, fainter, both
    mirrored = kinds != 1
    copies[mirrored] = copies[mirrored][:, :, ::-1]
    copies[kinds > 0] *= 0.6
    test[places] = copies + 0.01 * rng.standard_normal(copies.shape)
    return train, test, places, kinds


@one_sentence
def check_8d_3(answer):
    """Nine in ten copies found, nine in ten findings copies."""
    for seed in (0, 1):
        train, test, places, kinds = _forged(np.random.default_rng(seed))
        given = train.copy(), test.copy()
        found = call(answer, train, test)
        unchanged((train, test), given)
        found = as_array(found, "The indices")
        if found.size == 0:
            wrong(
                "You found none. Copies have a trace of noise: no two images "
                "are equal, so look for very near ones."
            )
        found = _indices(found, "row", 300)
        if found.max() >= 300:
            wrong("Return indices of `test`, not of `train`.")
        hit = np.isin(places, found)
        precision = np.mean(np.isin(found, places))
        if hit.mean() >= 0.9 and precision >= 0.9:
            continue
        by_kind = [hit[kinds == kind].mean() for kind in range(3)]
        if precision < 0.9 and hit.mean() >= 0.9:
            wrong(
                f"{precision:.0%} of your {len(found)} rows are copies. Honest "
                "rows have near neighbours, too: compare the first with the "
                "second."
            )
        for kind, hint in (
            (0, "mirrored: look at `train[:, :, ::-1]` as well"),
            (1, "fainter: compare directions, rows of length one"),
            (2, "both mirrored and fainter: undo both at once"),
        ):
            if by_kind[kind] < 0.5:
                wrong(
                    f"{by_kind[kind]:.0%} of the copies are found that are "
                    f"{hint}."
                )
        wrong(
            f"{hit.mean():.0%} of the copies are found, {precision:.0%} of "
            "your rows are copies; nine in ten are needed of both."
        )
    correct("8d.3", "Would yours find a copy that was turned by ten degrees?")


# ------------------------------------------------------------------- 8d.4


@one_sentence
def check_8d_4(answer):
    """Whole groups on one side, both sides used, about the share."""
    rng = np.random.default_rng(9)
    even, uneven = np.repeat(np.arange(20), 15), [120, 60, 40, 30, 20, 10, 5, 5]
    uneven = np.repeat(np.arange(8) * 3 + 2, uneven)
    names = np.array(["ann", "bob", "cem"])[rng.integers(3, size=60)]
    many = np.repeat(np.arange(90), np.r_[np.ones(60, int), [20] * 30])
    seen = set()
    for groups, share in (
        (even, 0.2),
        (uneven, 0.3),
        (names, 0.3),
        (many, 0.5),
    ):
        for seed in range(8):
            rows = rng.permutation(groups)
            kept = rows.copy()
            mask = call(answer, rows, share, np.random.default_rng(seed))
            unchanged((rows,), (kept,))
            mask = as_array(mask, "The test rows")
            if mask.shape != (len(rows),):
                wrong(
                    f"Return a boolean for each of the {len(rows)} rows, not "
                    f"an array {mask.shape}."
                )
            if not np.isin(mask, (0, 1)).all():
                wrong("Return booleans, not indices.")
            mask = mask > 0.5
            both = set(rows[mask].tolist()) & set(rows[~mask].tolist())
            if both:
                wrong(
                    f"{len(both)} groups have rows on both sides: draw groups, "
                    "not rows."
                )
            if mask.all() or not mask.any():
                wrong("One side is empty: there must be rows on both.")
            largest = max(np.unique(rows, return_counts=True)[1])
            off = abs(mask.sum() - share * len(rows))
            if off > largest:
                wrong(
                    f"{mask.sum()} of {len(rows)} rows are test rows; about "
                    f"{share * len(rows):.0f} are asked for, within "
                    f"{largest}, the largest group. Groups may be unequal: "
                    "count rows."
                )
            if groups is even:
                seen.add(tuple(sorted(set(rows[mask].tolist()))))
    if len(seen) == 1:
        wrong("Every generator gives the same groups: draw them with `rng`.")
    correct("8d.4", "How many writers does your test set hold?")


# ------------------------------------------------------------------- 8d.5


def _table(rng):
    """A table, and the columns that say nothing new, with their kind."""
    x = rng.standard_normal((80, 8)) * [1, 50, 1e-3, 1, 3, 1, 1, 1]
    x[:, 7] = x[:, 3] + 0.004 * rng.standard_normal(80)  # nearly: stays
    x[:, 5] = x[:, 0] + x[:, 4]  # of two columns: stays
    x[:, 6] = np.exp(x[:, 4])  # in the same order, no line: stays
    empty = {
        "constant": np.full(80, 36.6),
        "an equal copy": x[:, 1],
        "a multiple": 2.54 * x[:, 2],
        "turned and moved": 32 - 1.8 * x[:, 4],
    }
    x = np.c_[x, np.stack([*empty.values()], axis=1)]
    return x, dict(zip(range(8, 12), empty, strict=True))


@one_sentence
def check_8d_5(answer):
    """Constant columns, and lines in an earlier column."""
    mixed = [8, 1, 9, 0, 2, 3, 10, 4, 5, 11, 6, 7]
    for seed, order in ((1, np.arange(12)), (2, mixed)):
        x, kinds = _table(np.random.default_rng(seed))
        x = x[:, order]
        kinds = {list(order).index(c): kind for c, kind in kinds.items()}
        kept = x.copy()
        found = call(answer, x)
        unchanged((x,), (kept,))
        found = as_array(found, "The indices")
        found = set(_indices(found, "column", 12).tolist())
        missed = [kinds[c] for c in kinds if c not in found]
        if missed:
            wrong(
                f"You miss {len(missed)} of {len(kinds)} columns; the first is "
                f"{missed[0]}."
            )
        more = sorted(found - set(kinds))
        if more:
            hint = "it is no line in a column before it"
            if order[more[0]] in (3, 7):
                hint = "it only resembles another, off by 4 in a thousand"
            elif order[more[0]] in (5, 0, 4):
                hint = "it is a sum of *two* columns, or one of those"
            elif order[more[0]] == 6:
                hint = "it goes up with another, but on no straight line"
            if len(more) > 2:
                hint = "the *first* of two equal columns stays"
            wrong(f"Column {more[0]} says something new: {hint}.")
    correct("8d.5", "What about a column that is the sum of two others?")
