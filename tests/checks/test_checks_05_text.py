"""Checks of chapter 5 on texts against right, unusual and wrong answers."""

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops

from utils.checks import chapter_05
from utils.models.text import AttentionBlock, MaskedMean, Positions

MINE = [f"check_5_{number}" for number in (9, 10, 11, 12)]
checks = Watched(chapter_05, only=MINE)


def real(ids):
    return ops.cast(ops.not_equal(ids, 0), "float32")


# ---------------------------------------------------------------- 5.9


def right_mean(states, ids):
    mask = real(ids)[..., None]
    return ops.sum(states * mask, 1) / ops.maximum(ops.sum(mask, 1), 1.0)


def mean_by_product(states, ids):  # weights, then one product
    mask = real(ids)
    weights = mask / (ops.sum(mask, 1, keepdims=True) + 1e-9)
    return ops.einsum("nt,ntk->nk", weights, states)


def mean_in_float64(states, ids):
    return ops.cast(right_mean(states, ids), "float64")


def mean_by_where(states, ids):
    kept = ops.where(ids[..., None] != 0, states, ops.zeros_like(states))
    count = ops.sum(ops.cast(ids != 0, "int32"), axis=1)
    return ops.divide_no_nan(
        ops.sum(kept, axis=1), ops.cast(count, "float32")[:, None]
    )


@pytest.mark.parametrize(
    "answer", [right_mean, mean_by_product, mean_in_float64, mean_by_where]
)
def test_check_5_9_right_answers_pass(answer, capsys):
    checks.check_5_9(answer)
    assert "5.9: correct" in capsys.readouterr().out


def mean_with_a_hidden_nan(states, ids):  # 0/0 in the branch not taken
    count = ops.sum(real(ids), 1, keepdims=True)
    mean = ops.sum(states * real(ids)[..., None], 1) / count
    return ops.where(count > 0, mean, 0.0)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (stub, "waits for your answer"),
        (lambda s, i: ops.mean(s, 1), "average over all positions"),
        (
            lambda s, i: ops.mean(s * real(i)[..., None], 1),
            "still in the count",
        ),
        (lambda s, i: ops.sum(s * real(i)[..., None], 1), "sum of the real"),
        (lambda s, i: ops.mean(s, 2), "shape"),
        (
            lambda s, i: ops.sum(s * real(i)[..., None], 1) / ops.sum(real(i)),
            "whole batch",
        ),
        (
            lambda s, i: (
                ops.sum(s * real(ops.relu(i - 2))[..., None], 1)
                / ops.sum(real(ops.relu(i - 2)), 1, keepdims=True)
            ),
            "ids 1 and 2",
        ),
        (
            lambda s, i: (
                ops.sum(s * real(i)[..., None], 1)
                / ops.sum(real(i), 1, keepdims=True)
            ),
            "padding alone",
        ),
        (
            lambda s, i: (
                ops.sum(s * real(ops.relu(i - 1))[..., None], 1)
                / ops.sum(real(ops.relu(i - 1)), 1, keepdims=True)
            ),
            "id 1 as well",
        ),
        (mean_with_a_hidden_nan, "gradient NaN"),
        (lambda s, i: right_mean(s, i) + 0.1, "by hand"),
        (lambda s, i: None, "None"),
    ],
)
def test_check_5_9_wrong_answers_are_named(answer, match):
    rejects(checks.check_5_9, answer, match=match)


def test_check_5_9_numpy_answer_is_told_about_gradients():
    def detour(states, ids):
        states, ids = (
            ops.convert_to_numpy(ops.stop_gradient(a)) for a in (states, ids)
        )
        mask = (ids != 0)[..., None]
        mean = (states * mask).sum(1) / np.maximum(mask.sum(1), 1)
        return ops.convert_to_tensor(mean.astype("float32"))

    rejects(checks.check_5_9, detour, match="gradient|differentiated")


# ---------------------------------------------------------------- 5.10


def token_nats(logits, ids):
    log_p = ops.log_softmax(logits)
    return -ops.take_along_axis(log_p, ids[..., None], 2)[..., 0]


def right_nats(logits, ids):
    return ops.sum(token_nats(logits, ids) * real(ids)) / ops.sum(real(ids))


def nats_in_numpy(logits, ids):  # one token at a time
    logits, ids = (ops.convert_to_numpy(a) for a in (logits, ids))
    found = [
        np.log(np.exp(row).sum()) - row[i]
        for rows, text in zip(logits, ids, strict=True)
        for row, i in zip(rows, text, strict=True)
        if i
    ]
    return np.mean(found)


def nats_by_keras(logits, ids):
    nats = ops.sparse_categorical_crossentropy(ids, logits, from_logits=True)
    # flat: on PyTorch ops.average with weights keeps all axes but the first
    return ops.average(
        ops.reshape(nats, (-1,)), weights=ops.reshape(real(ids), (-1,))
    )


def seven_typed_in(logits, ids):
    log_p = ops.sum(ops.one_hot(ids, 7) * ops.log_softmax(logits[..., :7]), 2)
    return -ops.sum(log_p * real(ids)) / ops.sum(real(ids))


def nats_in_a_list(logits, ids):
    return [float(ops.convert_to_numpy(right_nats(logits, ids)))]


@pytest.mark.parametrize(
    "answer", [right_nats, nats_in_numpy, nats_by_keras, nats_in_a_list]
)
def test_check_5_10_right_answers_pass(answer, capsys):
    checks.check_5_10(answer)
    assert "5.10: correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (stub, "waits for your answer"),
        (lambda s, i: ops.mean(token_nats(s, i)), "averaged in"),
        (lambda s, i: ops.mean(token_nats(s, i) * real(i)), "still count"),
        (
            lambda s, i: ops.mean(
                ops.sum(token_nats(s, i) * real(i), 1) / ops.sum(real(i), 1)
            ),
            "short text",
        ),
        (lambda s, i: ops.sum(token_nats(s, i) * real(i)) / 2, "per text"),
        (lambda s, i: ops.sum(token_nats(s, i) * real(i)), "sum over"),
        (lambda s, i: right_nats(s, i) / np.log(2), "bits"),
        (lambda s, i: -right_nats(s, i), "sign"),
        (
            lambda s, i: (
                -ops.sum(
                    ops.take_along_axis(s, i[..., None], 2)[..., 0] * real(i)
                )
                / ops.sum(real(i))
            ),
            "log_softmax",
        ),
        (lambda s, i: right_nats(s, i) + 1, "small example"),
        (lambda s, i: ops.exp(right_nats(s, i)), "perplexity"),
        (lambda s, i: right_nats(s[:, :-1], i[:, 1:]), "You shifted"),
        (seven_typed_in, "eleven ids"),
    ],
)
def test_check_5_10_wrong_answers_are_named(answer, match):
    rejects(checks.check_5_10, answer, match=match)


# ---------------------------------------------------------------- 5.11


def scores_of(q, k):
    return ops.matmul(q, ops.transpose(k, (0, 2, 1)))


def triangle(t):
    return np.tril(np.ones((t, t), bool))


def right_attention(q, k, v):
    t, width = q.shape[1:]
    scores = scores_of(q, k) / width**0.5
    low = ops.where(triangle(t), scores, -1e9)
    return ops.matmul(ops.softmax(low), v)


def attention_by_einsum(q, k, v):  # the mask is added
    scores = ops.einsum("nik,njk->nij", q, k) / ops.sqrt(q.shape[-1])
    place = ops.arange(q.shape[1])
    later = ops.cast(place[:, None] < place[None, :], "float32")
    return ops.einsum("nij,njk->nik", ops.softmax(scores - 1e30 * later), v)


def attention_by_hand(q, k, v):  # exponentials, then one division
    scores = scores_of(q, k) / q.shape[-1] ** 0.5
    high = ops.exp(scores - ops.max(scores, -1, keepdims=True))
    high = ops.tril(high)
    return ops.matmul(high, v) / ops.sum(high, -1, keepdims=True)


def attention_by_rows(q, k, v):  # token by token, only what is in sight
    rows = []
    for i in range(q.shape[1]):
        scores = ops.sum(q[:, i : i + 1] * k[:, : i + 1], -1)
        weights = ops.softmax(scores / q.shape[-1] ** 0.5)
        rows.append(ops.sum(weights[..., None] * v[:, : i + 1], 1))
    return ops.stack(rows, axis=1)


def attention_of_keras(q, k, v):
    made = ops.dot_product_attention(
        q[:, :, None], k[:, :, None], v[:, :, None], is_causal=True
    )
    return made[:, :, 0]


def attention_with_infinity(q, k, v):
    scores = scores_of(q, k) / q.shape[-1] ** 0.5
    low = ops.where(triangle(q.shape[1]), scores, -np.inf)
    return ops.matmul(ops.softmax(low), v)


@pytest.mark.parametrize(
    "answer",
    [
        right_attention,
        attention_by_einsum,
        attention_by_hand,
        attention_by_rows,
        attention_of_keras,
        attention_with_infinity,
    ],
)
def test_check_5_11_right_answers_pass(answer, capsys):
    checks.check_5_11(answer)
    assert "5.11: correct" in capsys.readouterr().out


def attention(q, k, v, *, mask=triangle, scale=None, low=-1e9, axis=-1):
    """The right answer with one thing changed."""
    t, width = q.shape[1:]
    scores = scores_of(q, k) / (width**0.5 if scale is None else scale)
    weights = ops.softmax(ops.where(mask(t), scores, low), axis=axis)
    return ops.matmul(weights, v)


def masked_afterwards(q, k, v):
    weights = ops.softmax(scores_of(q, k) / q.shape[-1] ** 0.5)
    return ops.matmul(ops.tril(weights), v)


def without_softmax(q, k, v):
    return ops.matmul(ops.tril(scores_of(q, k) / q.shape[-1] ** 0.5), v)


def weights_alone(q, k, v):
    scores = scores_of(q, k) / q.shape[-1] ** 0.5
    return ops.softmax(ops.where(triangle(q.shape[1]), scores, -1e9))


def five_tokens(q, k, v):  # sizes of the example typed in
    scores = scores_of(q, k) / 2.0
    size = q.shape[1]
    mask = np.ones((size, size), bool)
    mask[:5, :5] = triangle(5)[:size, :size]
    return ops.matmul(ops.softmax(ops.where(mask, scores, -1e9)), v)


def in_numpy(q, k, v):
    q, k, v = (ops.convert_to_numpy(ops.stop_gradient(a)) for a in (q, k, v))
    scores = q @ k.transpose(0, 2, 1) / q.shape[-1] ** 0.5
    high = np.exp(scores) * triangle(q.shape[1])
    made = high / high.sum(-1, keepdims=True) @ v
    return ops.convert_to_tensor(made.astype("float32"))


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (stub, "waits for your answer"),
        (
            lambda q, k, v: attention(q, k, v, mask=lambda t: True),
            "tokens to come",
        ),
        (
            lambda q, k, v: attention(q, k, v, mask=lambda t: triangle(t).T),
            "wrong way round",
        ),
        (lambda q, k, v: attention(q, k, v, scale=1.0), "not divided"),
        (lambda q, k, v: attention(q, k, v, scale=q.shape[-1]), "square root"),
        (
            lambda q, k, v: attention(q, k, v, scale=q.shape[1] ** 0.5),
            "number of tokens",
        ),
        (lambda q, k, v: attention(q, k, v, low=0.0), "score of 0"),
        (lambda q, k, v: attention(q, k, v, axis=1), "last axis"),
        (masked_afterwards, "before it"),
        (without_softmax, "no softmax"),
        (weights_alone, "each pair of tokens"),
        (
            lambda q, k, v: attention(
                q, k, v, mask=lambda t: np.tril(triangle(t), -1)
            ),
            "No token sees itself",
        ),
        (
            lambda q, k, v: attention(
                q,
                k,
                v,
                mask=lambda t: np.tril(triangle(t), -1),
                low=-np.inf,
            ),
            "NaN",
        ),
        (lambda q, k, v: right_attention(q, k, k), "average the keys"),
        (lambda q, k, v: right_attention(q, k, q), "average the queries"),
        (lambda q, k, v: right_attention(k, q, v), "changed places"),
        (
            lambda q, k, v: right_attention(q, ops.stop_gradient(k), v),
            "gradient by the keys",
        ),
        (lambda q, k, v: right_attention(q, k, v) + 0.1, "first token"),
        (lambda q, k, v: ops.sum(right_attention(q, k, v), 1), "shape"),
        (five_tokens, "other sizes"),
        (in_numpy, "gradient|differentiated"),
        (lambda q, k, v: None, "None"),
    ],
)
def test_check_5_11_wrong_answers_are_named(answer, match):
    rejects(checks.check_5_11, answer, match=match)


# ---------------------------------------------------------------- 5.12

SEES = {"bag": False, "both sides": False, "causal": True, "positions": True}


@pytest.mark.parametrize(
    "answer",
    [
        SEES,
        {name: int(value) for name, value in SEES.items()},
        {name: np.bool_(value) for name, value in SEES.items()},
        dict(reversed(SEES.items())),
        {name: ops.convert_to_tensor(value) for name, value in SEES.items()},
    ],
)
def test_check_5_12_right_answers_pass(answer, capsys):
    checks.check_5_12(answer)
    assert "5.12: correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (dict.fromkeys(SEES), "waits for your answer"),
        ({**SEES, "bag": None}, "is None"),
        ({**SEES, "bag": True}, "what came first"),
        ({**SEES, "both sides": True}, "their mean stays"),
        ({**SEES, "causal": False}, "mask knows the order"),
        ({**SEES, "positions": False}, "another vector"),
        ({**SEES, "bag": 0.5}, "True or False"),
        ({**SEES, "bag": "no"}, "numbers"),
        ({"bag": False}, "lacks"),
        ([False, False, True, True], "dict"),
    ],
)
def test_check_5_12_wrong_answers_are_named(answer, match):
    rejects(checks.check_5_12, answer, match=match)


def test_5_12_is_what_the_layers_do():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((1, 4, 8)).astype("float32")
    swapped = vectors[:, [0, 2, 1, 3]]
    ids = np.full((1, 4), 5, "int32")
    readers = {
        "bag": [],
        "both sides": [AttentionBlock(2, seed=0)],
        "causal": [AttentionBlock(2, causal=True, seed=0)],
        "positions": [Positions(), AttentionBlock(2, seed=0)],
    }
    for name, layers in readers.items():
        codes = []
        for states in (vectors, swapped):
            for layer in layers:
                one = isinstance(layer, Positions)
                states = layer(states) if one else layer(states, ids)
            codes.append(ops.convert_to_numpy(MaskedMean()(states, ids)))
        changed = not np.allclose(*codes, atol=1e-4)
        assert changed == SEES[name], name


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
