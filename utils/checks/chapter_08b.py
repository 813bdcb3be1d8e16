"""Checks of chapter 8b, rare, attacked, unlabelled."""

import numpy as np
from scipy.spatial.distance import cdist

from utils.checks._feedback import (
    as_array,
    call,
    correct,
    lettered_numbers,
    name_value,
    one_sentence,
    unchanged,
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
        unchanged((x, train), given)
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
        unchanged((log_p, trained, now), given)
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


@one_sentence
def check_8b_4(answer):
    """N / (classes · count) for each row."""
    rng = np.random.default_rng(6)
    for names, shares in (
        ([0, 1, 2], [0.7, 0.25, 0.05]),
        ([3, 7, 12, 40], [0.4, 0.3, 0.2, 0.1]),
        ([5], [1.0]),
    ):
        y = np.r_[names, rng.choice(names, 200, p=shares)]
        kept = y.copy()
        weight = as_array(call(answer, y), "The weights", shape=(len(y),))
        unchanged((y,), (kept,))
        found, place, counts = np.unique(
            y, return_inverse=True, return_counts=True
        )
        right = len(y) / (len(found) * counts[place])
        if np.allclose(weight, right, rtol=2e-3):
            continue
        total = np.bincount(place, weight)
        name_value(
            weight,
            [
                (
                    np.ones(len(y)),
                    "All weights are 1: the common classes have "
                    "the larger totals.",
                ),
                (
                    1 / counts[place],
                    "Classes weigh alike, but the mean weight "
                    "is not 1: that changes the size of the loss.",
                ),
                (
                    len(y) / counts[place],
                    "Classes weigh alike, but the mean "
                    "weight is the number of classes: divide by it.",
                ),
                (
                    counts.max() / counts[place],
                    "Classes weigh alike, but the mean weight is not 1: "
                    "only the largest class has weight 1.",
                ),
                (
                    counts[place] * len(found) / len(y),
                    "You multiply by the "
                    "count of a class: common rows weigh more.",
                ),
            ],
        )
        if np.any(weight <= 0):
            wrong("Weights are positive: every class that occurs counts.")
        if total.max() > 1.01 * total.min():
            wrong(
                f"One class has the total weight {total.max():.1f}, another "
                f"{total.min():.1f}: rare rows weigh more, by 1 / count."
            )
        if abs(weight.mean() - 1) > 5e-3:
            wrong(f"The mean weight is {weight.mean():.3f}; 1 is asked for.")
        wrong("Rows of one class weigh differently.")
    correct("8b.4", "Whose errors become more, if you train with them?")


# ------------------------------------------------------------------- 8b.5


@one_sentence
def check_8b_5(answer):
    """Against the sign of the slope, and back into [0, 1]."""
    rng = np.random.default_rng(7)
    for n, d, delta in ((6, 10, 0.1), (4, 64, 0.03), (3, 5, 0.6)):
        x, slope = rng.random((n, d)), 0.2 * rng.standard_normal((n, d))
        slope[0, :2] = 0  # there any value is as good
        kept = x.copy(), slope.copy()
        moved = call(answer, x, slope, delta)
        unchanged((x, slope), kept)
        moved = as_array(moved, "The moved rows", shape=(n, d))
        signs = np.sign(slope)
        best = np.clip(x - delta * signs, 0, 1)
        reach = np.abs(moved - x).max()
        inside = moved.min() >= -2e-3 and moved.max() <= 1 + 2e-3
        fall = np.sum(slope * (x - moved), axis=1)
        most = np.sum(slope * (x - best), axis=1)
        allowed = reach <= delta + 2e-3 and inside
        if allowed and np.all(fall >= most - 2e-3 * np.abs(slope).sum(axis=1)):
            continue
        length = np.linalg.norm(slope, axis=1, keepdims=True)
        name_value(
            moved,
            [
                (x, "Your rows have not moved."),
                (x - delta * signs, "Some pixels leave [0, 1]: clip them."),
                (
                    np.clip(x + delta * signs, 0, 1),
                    "The score *rises*: move against the slope.",
                ),
                (
                    np.clip(x - delta * slope, 0, 1),
                    "You scale by the slope, so "
                    "most pixels move by less than they may.",
                ),
                (
                    np.clip(x - delta * slope / length, 0, 1),
                    "That is the best move of *length* delta; each pixel "
                    "has a limit of its own.",
                ),
            ],
        )
        if not inside:
            wrong("Some pixels leave [0, 1].")
        if reach > delta + 2e-3:
            wrong(f"A pixel moves by {reach:.3f}; {delta:g} is allowed.")
        row = int(np.argmax(most - fall))
        wrong(
            f"The score of row {row} falls by {fall[row]:.3f}; {most[row]:.3f} "
            "is possible. Each pixel is a decision of its own: up or down?"
        )
    correct("8b.5", "Which move of delta each raises the score most?")
