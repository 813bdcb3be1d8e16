"""Exercises on texts of chapter 5: wrong answers are named, right ones pass."""

import numpy as np
import pytest
from answers import rejects, stub
from keras import ops

from utils.checks import chapter_05_text as checks


def masked(check):
    return lambda answer: check("5.8", answer)


mean_check = masked(checks.masked_mean)
nats_check = masked(checks.nats_per_token)


def real(ids):
    return ops.cast(ops.not_equal(ids, 0), "float32")


def right_mean(states, ids):
    mask = real(ids)[..., None]
    return ops.sum(states * mask, 1) / ops.maximum(ops.sum(mask, 1), 1.0)


def test_masked_mean_right_answers_pass(capsys):
    mean_check(right_mean)
    assert "5.8: correct" in capsys.readouterr().out

    def by_matrix_product(states, ids):  # weights, then one product
        mask = real(ids)
        weights = mask / (ops.sum(mask, 1, keepdims=True) + 1e-9)
        return ops.einsum("nt,ntk->nk", weights, states)

    mean_check(by_matrix_product)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (stub, "no answer yet"),
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
        (lambda s, i: right_mean(s, i) + 0.1, "by hand"),
        (lambda s, i: None, "None"),
    ],
)
def test_masked_mean_wrong_answers_are_named(answer, match):
    rejects(mean_check, answer, match=match)


def test_masked_mean_numpy_answer_is_told_about_gradients():
    def detour(states, ids):
        states, ids = (
            ops.convert_to_numpy(ops.stop_gradient(a)) for a in (states, ids)
        )
        mask = (ids != 0)[..., None]
        mean = (states * mask).sum(1) / np.maximum(mask.sum(1), 1)
        return ops.convert_to_tensor(mean.astype("float32"))

    rejects(mean_check, detour, match="gradient|differentiated")


def token_nats(logits, ids):
    log_p = ops.log_softmax(logits)
    return -ops.take_along_axis(log_p, ids[..., None], 2)[..., 0]


def right_nats(logits, ids):
    return ops.sum(token_nats(logits, ids) * real(ids)) / ops.sum(real(ids))


def test_nats_per_token_right_answers_pass():
    nats_check(right_nats)

    def in_numpy(logits, ids):  # one token at a time
        logits, ids = (ops.convert_to_numpy(a) for a in (logits, ids))
        found = [
            np.log(np.exp(row).sum()) - row[i]
            for rows, text in zip(logits, ids, strict=True)
            for row, i in zip(rows, text, strict=True)
            if i
        ]
        return np.mean(found)

    nats_check(in_numpy)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (stub, "no answer yet"),
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
    ],
)
def test_nats_per_token_wrong_answers_are_named(answer, match):
    rejects(nats_check, answer, match=match)
