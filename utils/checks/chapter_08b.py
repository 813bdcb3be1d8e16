"""Checks of chapter 8b, rare, attacked, unlabelled."""

import itertools

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from utils.checks._feedback import (
    as_array,
    as_number,
    call,
    correct,
    lettered_numbers,
    name_value,
    one_sentence,
    wrong,
)


def _labels(value, what, n, k):
    """Integer class of each row as an array, or feedback."""
    value = as_array(value, what, shape=(n,))
    if np.any(value != np.round(value)):
        wrong(f"{what} should be whole numbers, the index of a class.")
    if value.min() < 0 or value.max() >= k:
        wrong(f"{what} should lie from 0 to {k - 1}.")
    return value.astype(int)


def _unchanged(given, kept):
    """Refuse an answer that wrote into what it was given."""
    for now, before in zip(given, kept, strict=True):
        if not np.array_equal(now, before):
            wrong("Your function changed an array it was given: copy it first.")


# ------------------------------------------------------------------- 8b.1


@one_sentence
def check_8b_1(answer):
    """0.4, 0.4 and 0.05: lengths by the triangle inequality."""
    lettered_numbers(
        answer,
        ["the length", "the same from squares", "the change of each pixel"],
        [0.4, 0.4, 0.05],
        [
            [
                (
                    1.9,
                    "(a) A move to the training row ends the alarm, but the "
                    "threshold is reached long before.",
                ),
                (
                    1.5,
                    "(a) 1.5 is where the score must get to; how far is it "
                    "from 1.9?",
                ),
                (3.4, "(a) The score has to *fall*: subtract."),
                (
                    1.36,
                    "(a) 1.36 is the difference of the squares; the length "
                    "of a move is no square.",
                ),
            ],
            [
                (
                    1.36,
                    "(b) 1.36 is the difference of the *squares*: it is not "
                    "a length. Take the roots first.",
                ),
                (
                    1.36**0.5,
                    "(b) You took the root of the difference: take "
                    "the difference of the roots.",
                ),
                (0.16, "(b) 0.16 is the square of the length."),
            ],
            [
                (
                    0.4,
                    "(c) A change of δ in all 64 pixels is a longer move "
                    "than δ: how long?",
                ),
                (
                    0.4 / 64,
                    "(c) You divided by 64. The length of 64 equal "
                    "changes is a root of a sum of squares.",
                ),
                (
                    3.2,
                    "(c) You multiplied by the root of 64: then each pixel "
                    "would move farther than the whole row.",
                ),
            ],
        ],
        within=0.0021,
        hint="A training row comes nearer by the length of the move at most.",
    )
    correct("8b.1", "Which δ would be safe for images of 28 × 28 pixels?")


# ------------------------------------------------------------------- 8b.2


@one_sentence
def check_8b_2(answer):
    """Straight to the nearest training row, and no farther than it."""
    rng = np.random.default_rng(4)
    for n, m, d, size in ((30, 50, 6, 0.4), (20, 9, 2, 1.5), (5, 1, 3, 0.1)):
        train, x = rng.standard_normal((m, d)), rng.standard_normal((n, d))
        x[0] = train[0]  # nothing to gain, nothing to divide by
        given = x.copy(), train.copy()
        moved = call(answer, x, train, size)
        _unchanged((x, train), given)
        moved = as_array(moved, "The moved rows", shape=(n, d))
        gaps = cdist(x, train)
        far = gaps.min(axis=1)
        goal = train[gaps.argmin(axis=1)]
        away = np.maximum(far, 1e-12)[:, None]
        best = np.maximum(far - size, 0)
        length = np.linalg.norm(moved - x, axis=1)
        after = cdist(moved, train).min(axis=1)
        if np.all(length <= size + 1e-3) and np.all(after <= best + 2e-3):
            continue
        name_value(
            moved,
            [
                (x, "Your rows have not moved."),
                (
                    x + size * (goal - x) / away,
                    "Where the training row is nearer than the length, yours "
                    "go past it: stop *at* it.",
                ),
                (
                    x + size * (goal - x),
                    "You scaled the difference, not the direction: make it "
                    "of length one first.",
                ),
                (
                    x - size * (goal - x) / away,
                    "Your rows move *away* from the nearest training row.",
                ),
                (
                    goal,
                    "You return the training rows themselves: the length "
                    "of a move is limited.",
                ),
            ],
        )
        row = int(np.argmax(length))
        if length[row] > size + 1e-3:
            wrong(
                f"Row {row} moved by {length[row]:.3f}; at most {size:g} is "
                "allowed, as the length √Σδ² of the whole row."
            )
        row = int(np.argmax(after - best))
        wrong(
            f"Row {row} is at {after[row]:.3f} from its nearest training "
            f"row; {best[row]:.3f} is possible with a move of {size:g}. "
            "In which direction does that distance fall fastest?"
        )
    correct("8b.2", "What is the best move *away* from all training rows?")


# ------------------------------------------------------------------- 8b.3


@one_sentence
def check_8b_3(answer):
    """Old shares divided out, new ones multiplied in."""
    rng = np.random.default_rng(5)
    for k, absent in ((3, False), (5, False), (4, True)):
        logits = 2 * rng.standard_normal((400, k))
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        trained = rng.dirichlet(np.ones(k)) * 0.8 + 0.2 / k
        now = rng.dirichlet(np.ones(k)) * 0.8 + 0.2 / k
        if absent:
            now[1] = 0
            now = now / now.sum()
        given = log_p.copy(), trained.copy(), now.copy()
        found = call(answer, log_p, trained, now)
        _unchanged((log_p, trained, now), given)
        if np.shape(found) == (400, k):
            wrong("Return the class of each row, (n,), not one number a class.")
        found = _labels(found, "The classes", 400, k)
        score = log_p - np.log(trained) + np.log(now)
        if absent and np.any(found == 1):
            wrong("A class of share 0 is still chosen, where it cannot occur.")
        clear = np.diff(np.sort(score, axis=1)[:, -2:], axis=1)[:, 0] > 1e-2
        if np.array_equal(found[clear], score.argmax(axis=1)[clear]):
            continue
        for other, feedback in (
            (log_p, "That is the class where the classifier was trained."),
            (
                log_p - np.log(trained),
                "That is right for *equal* shares: "
                "multiply by those of `now` as well.",
            ),
            (
                log_p + np.log(now),
                "The shares of training are still in the "
                "probabilities: divide them out.",
            ),
            (
                log_p + np.log(trained) - np.log(now),
                "Old and new shares are exchanged.",
            ),
            (
                log_p - trained + now,
                "To log-probabilities one adds *logarithms* of shares.",
            ),
            (
                np.exp(log_p) - trained + now,
                "Shares divide and multiply "
                "probabilities; you subtracted and added them.",
            ),
        ):
            if np.array_equal(found[clear], other.argmax(axis=1)[clear]):
                wrong(feedback)
        share = np.mean(found == score.argmax(axis=1))
        wrong(
            f"{share:.0%} of the classes are right. By Bayes' rule p(x | c) is "
            "proportional to p(c | x) divided by the shares of training; then "
            "multiply by the new shares."
        )
    correct("8b.3", "What if you do not know the new shares, only new rows?")


# ------------------------------------------------------------------- 8b.4

_TIMES = 400


def _exact_p(scores, second):
    """Share of all choices of a second set whose mean is as large."""
    m = int(second.sum())
    sums = np.array(
        [sum(c) for c in itertools.combinations(scores.tolist(), m)]
    )
    return np.mean(sums >= scores[second].sum() - 1e-9)


@one_sentence
def check_8b_4(answer):
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
    rng = np.random.default_rng(6)
    for shift in (-1.5, 0.0, 0.7, 1.2):
        scores = np.round(8 * rng.standard_normal(11)) / 8
        second = rng.permutation(11) < 4
        scores[second] += shift
        p = _asked(answer, scores, second, _TIMES)
        exact = _exact_p(scores, second)
        noise = np.sqrt(exact * (1 - exact) / _TIMES)
        if abs(p - exact) <= 5 * noise + 0.01:
            continue
        other = _exact_p(-scores, second)
        if abs(p - min(1, 2 * min(exact, other))) <= 10 * noise + 0.02:
            wrong(
                "That p counts both sides, or absolute values: asked is one side."
            )
        wrong(
            f"p is {p:.3f}, counted over all orders it is {exact:.3f}. Shuffle "
            "`second` anew each time, and compare differences of means."
        )
    correct("8b.4", "How many shuffles does a p-value below 0.001 need?")


def _asked(answer, scores, second, times):
    """A p-value from an answer: a number in [0, 1]."""
    given = scores.copy(), second.copy()
    rng = np.random.default_rng(7)
    p = call(answer, scores, second, times, rng)
    _unchanged((scores, second), given)
    p = as_number(p, "The p-value")
    if not 0 <= p <= 1 + 1e-3:
        wrong(f"A p-value lies between 0 and 1; yours is {p:g}.")
    return p


# ------------------------------------------------------------------- 8b.5


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
def check_8b_5(answer):
    """Nine in ten copies found, nine in ten findings copies."""
    for seed in (0, 1):
        train, test, places, kinds = _forged(np.random.default_rng(seed))
        given = train.copy(), test.copy()
        found = call(answer, train, test)
        _unchanged((train, test), given)
        found = as_array(found, "The indices")
        if found.size == 0:
            wrong(
                "You found none. Copies have a trace of noise: no two images "
                "are equal, so look for very near ones."
            )
        if found.ndim != 1:
            wrong(f"Return a vector of indices, not an array {found.shape}.")
        if found.shape == (300,) and np.isin(found, (0, 1)).all():
            wrong("Return indices, not one boolean a row: np.flatnonzero.")
        if np.any(found != np.round(found)) or found.min() < 0:
            wrong("Indices are whole numbers, 0 and above.")
        if found.max() >= 300:
            wrong("Return indices of `test`, not of `train`.")
        found = np.unique(found.astype(int))
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
    correct("8b.5", "Would yours find a copy that was turned by ten degrees?")
