"""Checks of the exercises on texts of chapter 5.

Each takes the exercise's number, for its feedback, and the answer.
"""

import numpy as np
from keras import ops

from utils.checks._feedback import (
    as_dict,
    as_number,
    as_values,
    call,
    correct,
    name_value,
    reached,
    slope,
    wrong,
)


def masked_mean(exercise, answer):
    """Exercise on (N.1): mean over real tokens, (n, k)."""
    rng = np.random.default_rng(1)
    ids = np.array([[5, 1, 2, 0, 0, 0], [7, 8, 9, 2, 3, 4]], "int32")
    states = rng.standard_normal((2, 6, 4)).astype("float32")
    real = (ids != 0)[..., None]
    expected = (states * real).sum(1) / real.sum(1)
    value = as_values(_answer(answer, states, ids), "The mean", finite=False)
    if value.shape != expected.shape:
        wrong(
            f"The mean should have shape {expected.shape}, (n, k); yours has "
            f"{value.shape}. Sum over axis 1, the tokens."
        )
    known, above = (ids > 2)[..., None], (ids > 1)[..., None]
    with np.errstate(all="ignore"):
        reached("shape")
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
                    (states * above).sum(1) / above.sum(1),
                    "You left out id 1 as well. It is a real token; 0 alone "
                    "is padding.",
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
    reached("values")
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
    none = _ids(np.zeros_like(ids))
    if not np.isfinite(slope(lambda s: call(answer, s, none), states)).all():
        wrong(
            "A row of padding alone has the right mean and the gradient NaN: "
            "`where` hides 0/0 in the value, not in the gradient. Divide by "
            "the larger of the count and 1."
        )
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
            (np.exp(expected), "That is the perplexity: leave out the exp."),
            (
                (
                    -np.take_along_axis(log_p[:, :-1], ids[:, 1:, None], -1)[
                        ..., 0
                    ]
                    * real[:, 1:]
                ).sum()
                / real[:, 1:].sum(),
                "You shifted: here `logits` at a place are about the token of "
                "that same place.",
            ),
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
    logits = rng.standard_normal((3, 4, 11)).astype("float32")
    ids = np.array([[10, 7, 8, 9], [1, 0, 0, 0], [2, 10, 0, 0]], "int32")
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nats = -np.take_along_axis(log_p, ids[..., None], -1)[..., 0]
    expected = nats[ids != 0].mean()
    value = as_number(
        as_values(_answer(answer, logits, ids), "The loss"), "The loss"
    )
    if not np.isclose(value, expected, rtol=1e-4):
        wrong(
            "With three texts and eleven ids your result is another: read all "
            "sizes from the shapes."
        )
    correct(
        exercise,
        "Divide by log 2 for bits. What is the loss of equal logits?",
    )


def _softmax(scores, axis=-1):
    high = np.exp(scores - scores.max(axis, keepdims=True))
    return high / high.sum(axis, keepdims=True)


def causal_attention(exercise, answer):
    """Exercise on (N.5): one head that looks back, (n, t, k)."""
    rng = np.random.default_rng(3)
    q, k, v = 1.5 * rng.standard_normal((3, 2, 5, 4)).astype("float32")
    raw = q @ k.transpose(0, 2, 1)
    scores = raw / 2.0  # the root of 4
    back = np.tril(np.ones((5, 5), bool))
    low = np.where(back, scores, -1e9)
    weights = _softmax(low)
    expected = weights @ v

    def given(*arrays):
        arrays = map(ops.convert_to_tensor, arrays)
        return as_values(call(answer, *arrays), "Your result", finite=False)

    value = given(q, k, v)
    if value.shape == (2, 5, 5):
        wrong(
            "That is one number for each pair of tokens, (n, t, t): the "
            "weights, or the scores. Average `values` with the weights."
        )
    if value.shape != expected.shape:
        wrong(
            f"The result should have shape {expected.shape}, (n, t, k): a "
            f"vector for each token; yours has {value.shape}."
        )
    if np.isnan(value).any():
        wrong(
            "Your result contains NaN: a row of weights without any token, "
            "or infinity less infinity. Every token sees itself; put a large "
            "negative number, such as -1e9, where it must not look."
        )
    strict = _softmax(np.where(np.tril(back, -1), scores, -1e9)) @ v
    cut = _softmax(scores) * back
    reached("shape")
    name_value(
        value,
        (
            (
                _softmax(scores) @ v,
                "Every token sees the whole text, the tokens to come as well. "
                "Mask the scores of places after its own before the softmax.",
            ),
            (
                _softmax(np.where(back.T, scores, -1e9)) @ v,
                "Your mask is the wrong way round: token i sees i, i + 1, … "
                "It may see those up to i only: keep j ≤ i.",
            ),
            (
                _softmax(np.where(back, raw, -1e9)) @ v,
                "The scores are not divided by √k, the root of the vectors' "
                "width.",
            ),
            (
                _softmax(np.where(back, raw / 4.0, -1e9)) @ v,
                "You divide the scores by k. Divide by its square root.",
            ),
            (
                _softmax(np.where(back, raw / 5**0.5, -1e9)) @ v,
                "You divide by the root of the number of tokens. It is the "
                "width k of the vectors, the last axis.",
            ),
            (
                cut @ v,
                "You mask after the softmax: the weights of a row no longer "
                "add up to one. Mask the scores before it.",
            ),
            (
                _softmax(np.where(back, scores, 0.0)) @ v,
                "A masked score of 0 is a score like any other: exp(0) = 1. "
                "Put a large negative number there, such as -1e9.",
            ),
            (
                _softmax(low, axis=1) @ v,
                "Your softmax runs over the tokens that look. The weights of "
                "one token add up to one over those it looks at: the last "
                "axis.",
            ),
            (
                low @ v,
                "There is no softmax: the masked scores are used as weights.",
            ),
            (
                np.where(back, scores, 0.0) @ v,
                "There is no softmax: the masked scores are used as weights.",
            ),
            (
                weights.transpose(0, 2, 1) @ v,
                "The weights are transposed in the average: row i of the "
                "weights belongs to token i.",
            ),
            (
                weights @ k,
                "You average the keys. What is averaged are the values.",
            ),
            (
                weights @ q,
                "You average the queries. What is averaged are the values.",
            ),
            (
                _softmax(np.where(back, scores.transpose(0, 2, 1), -1e9)) @ v,
                "Queries and keys have changed places: row i of the scores is "
                "the query of token i with all keys.",
            ),
        ),
    )
    if np.allclose(value[:, 1:], strict[:, 1:], atol=1e-4):
        wrong(
            "No token sees itself in your result. Token i sees all j ≤ i, "
            "its own place among them; the first has nothing else."
        )
    if not np.allclose(value, expected, atol=1e-3):
        wrong(
            "The values differ from softmax(q kᵀ / √k, masked) v. Compute "
            "the first token by hand: it sees itself alone, so its result is "
            "its own value."
        )
    reached("values")
    for shape in ((1, 1, 3), (3, 8, 2)):
        q, k, v = rng.standard_normal((3, *shape)).astype("float32")
        low = q @ k.transpose(0, 2, 1) / shape[-1] ** 0.5
        back = np.tril(np.ones((shape[1],) * 2, bool))
        right = _softmax(np.where(back, low, -1e9)) @ v
        value = given(q, k, v)
        if value.shape != right.shape or not np.allclose(value, right, 0, 1e-3):
            wrong(
                f"With other sizes, {shape}, your result is another: read "
                "the number of tokens and the width from the shapes."
            )
    given = [q, k, v]
    for place, name in enumerate(("queries", "keys", "values")):

        def by_one(z, place=place):
            arrays = [*map(ops.convert_to_tensor, given)]
            arrays[place] = z
            return call(answer, *arrays)

        if np.abs(slope(by_one, given[place])).max() == 0:
            wrong(f"Your result has no gradient by the {name}: use keras.ops.")
    correct(
        exercise,
        "Several heads do this side by side, each on a part of the columns.",
    )


ORDER = {
    "bag": (
        False,
        "a mean of word vectors is the same in any order: a sum does not know "
        "what came first",
    ),
    "both sides": (
        False,
        "without positions, every score depends on two words and not on where "
        "they stand: the states move with the words, and their mean stays",
    ),
    "causal": (
        True,
        "the mask knows the order: the first word sees itself alone, so a "
        "word's state depends on which words came before it",
    ),
    "positions": (
        True,
        "the wave of its place is added to each word, so a word in another "
        "place is another vector",
    ),
}


def who_sees_order(exercise, answer):
    """Exercise on order: does the code change if two words change places?"""
    given = as_dict(answer, "sees_order", ORDER)
    left = [name for name, value in given.items() if value is None]
    if left:
        wrong(f"`sees_order[{left[0]!r}]` is None: write True or False.")
    read = {}
    for name, value in given.items():
        number = as_number(value, f"sees_order[{name!r}]")
        if number not in (0.0, 1.0):
            wrong(f"sees_order[{name!r}] should be True or False.")
        read[name] = bool(number)
    for name, (right, because) in ORDER.items():
        if read[name] != right:
            wrong(f"{name!r} is not {read[name]}: {because}.")
    correct(
        exercise,
        "Try it: encode a text and the same text with two words exchanged.",
    )


def _ids(ids):
    return ops.convert_to_tensor(ids)


def _answer(answer, values, ids):
    return call(answer, ops.convert_to_tensor(values), _ids(ids))
