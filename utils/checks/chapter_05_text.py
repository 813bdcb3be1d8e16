"""Checks of the exercises on texts of chapter 5.

Each takes the exercise's number, for its feedback, and the answer.
"""

import numpy as np
from keras import ops

from utils.checks._feedback import (
    as_number,
    as_values,
    call,
    correct,
    name_value,
    slope,
    wrong,
)


def masked_mean(exercise, answer):
    """Exercise on (N.1): mean over real tokens, (n, k)."""
    rng = np.random.default_rng(1)
    ids = np.array([[5, 3, 2, 0, 0, 0], [7, 8, 9, 2, 3, 4]], "int32")
    states = rng.standard_normal((2, 6, 4)).astype("float32")
    real = (ids != 0)[..., None]
    expected = (states * real).sum(1) / real.sum(1)
    value = as_values(_answer(answer, states, ids), "The mean", finite=False)
    if value.shape != expected.shape:
        wrong(
            f"The mean should have shape {expected.shape}, (n, k); yours has "
            f"{value.shape}. Sum over axis 1, the tokens."
        )
    known = (ids > 2)[..., None]
    with np.errstate(all="ignore"):
        name_value(
            value,
            (
                (
                    states.mean(1),
                    "You average over all positions. Those with id 0 are "
                    "padding: they must neither be summed nor counted.",
                ),
                (
                    (states * real).mean(1),
                    "The padding is out of the sum but still in the count: "
                    "divide by the number of real tokens, not by t.",
                ),
                (
                    (states * real).sum(1),
                    "That is the sum of the real tokens. Divide each row by "
                    "the number of its real tokens.",
                ),
                (
                    (states * known).sum(1) / known.sum(1),
                    "You left out ids 1 and 2 as well. They are real tokens; "
                    "0 alone is padding.",
                ),
                (
                    (states * real).sum(1) / real.sum(),
                    "You divide by the real tokens of the whole batch. Every "
                    "row has a count of its own: sum the mask over axis 1.",
                ),
            ),
        )
    if not np.allclose(value, expected, atol=1e-4):
        wrong(
            "The values differ from the mean of the vectors whose id is not "
            "0. Compute the first row, with its three tokens, by hand."
        )
    longer = np.pad(ids, ((0, 0), (0, 5)))
    wider = np.pad(states, ((0, 0), (0, 5), (0, 0)), constant_values=9.0)
    again = as_values(
        _answer(answer, wider, longer), "The mean", False, expected.shape
    )
    if not np.allclose(again, expected, atol=1e-4):
        wrong("Five more columns of padding change your result.")
    empty = as_values(
        _answer(answer, states, np.zeros_like(ids)),
        "The mean",
        False,
        expected.shape,
    )
    if not np.isfinite(empty).all() or np.abs(empty).max() > 1e-3:
        wrong(
            "A row of padding alone gives NaN or something else than zeros. "
            "Divide by the larger of the count and 1."
        )
    if np.abs(slope(lambda s: call(answer, s, _ids(ids)), states)).max() == 0:
        wrong("Your result has no gradient by the states: use keras.ops.")
    correct(
        exercise,
        "Try the maximum instead of the mean: which padding would be neutral?",
    )


def nats_per_token(exercise, answer):
    """Exercise on the language model's loss: nats over real tokens."""
    rng = np.random.default_rng(2)
    ids = np.array([[3, 4, 0, 0, 0], [5, 2, 6, 3, 4]], "int32")
    logits = (2 * rng.standard_normal((2, 5, 7))).astype("float32")
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nats = -np.take_along_axis(log_p, ids[..., None], -1)[..., 0]
    real = ids != 0
    expected = (nats * real).sum() / real.sum()
    value = as_number(
        as_values(_answer(answer, logits, ids), "The loss"), "The loss"
    )
    raw = -np.take_along_axis(logits, ids[..., None], -1)[..., 0]
    rows = (nats * real).sum(1)
    name_value(
        value,
        (
            (
                nats.mean(),
                "Padding is averaged in. Leave out the positions with id 0, "
                "in the sum and in the count.",
            ),
            (
                (nats * real).mean(),
                "The padding's loss is out, its positions still count: "
                "divide by the number of real tokens.",
            ),
            (
                (rows / real.sum(1)).mean(),
                "You average each text first, then the texts: a short text "
                "then weighs as much as a long one. Divide the sum over all "
                "real tokens by their number.",
            ),
            (
                rows.mean(),
                "That is nats per text. Per token: divide by the number of "
                "real tokens.",
            ),
            (
                rows.sum(),
                "That is the sum over the real tokens. Divide by their number.",
            ),
            (
                expected / np.log(2),
                "That is in bits. The question is in nats: natural logarithm.",
            ),
            (-expected, "The sign: the loss is −log p, a positive number."),
            (
                (raw * real).sum() / real.sum(),
                "Logits are not log-probabilities: use log_softmax first.",
            ),
        ),
    )
    if not np.isclose(value, expected, rtol=1e-4):
        wrong(
            f"On a small example your loss is {value:.4f}, not "
            f"{expected:.4f}. Take −log_softmax at each real token's id and "
            "average over all of them."
        )
    correct(
        exercise,
        "Divide by log 2 for bits. What is the loss of equal logits?",
    )


def _ids(ids):
    return ops.convert_to_tensor(ids)


def _answer(answer, values, ids):
    return call(answer, ops.convert_to_tensor(values), _ids(ids))
