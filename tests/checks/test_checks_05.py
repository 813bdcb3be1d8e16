"""Checks of chapter 5: wrong answers are named, unusual right ones pass."""

import types

import keras
import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from contracts import EAGERLY
from keras import ops

from utils.checks import chapter_05
from utils.models.contrastive import nt_xent
from utils.nn import networks

TEXTS = ("check_5_10", "check_5_11", "check_5_12")  # test_checks_05_text
checks = Watched(chapter_05, without=TEXTS)


@pytest.mark.parametrize(
    "check",
    [
        checks.check_5_2,
        checks.check_5_3,
        checks.check_5_4,
        checks.check_5_5,
        checks.check_5_7,
        checks.check_5_8,
    ],
)
def test_checks_name_the_unanswered_stub(check):
    rejects(check, stub, match="waits for your answer")


# ---------------------------------------------------------------- 5.1

SQUARE, EQUAL = np.log(np.e + 2) - 1, np.log(3)
LEAST = np.log(np.e + 2 / np.e) - 1


@pytest.mark.parametrize(
    "answer",
    [
        [SQUARE, EQUAL, LEAST],
        (0.551, 1.099, 0.24),
        np.float32([SQUARE, EQUAL, LEAST]),
    ],
)
def test_check_5_1_right_numbers_pass(answer, capsys):
    checks.check_5_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("place", "value", "match"),
    [
        (0, np.log(2 * np.e + 2) - 1, "counted the view itself"),
        (0, np.log(np.e + 1) - 1, "both of its views"),
        (0, -SQUARE, "the sign"),
        (0, SQUARE / np.log(2), "in bits"),
        (1, np.log(4), "log 4 counts the view itself"),
        (1, np.log(2), "three candidates"),
        (1, 0.0, "three cosines"),
        (2, 0.0, "out of reach"),
        (2, SQUARE, "cosines go down to −1"),
    ],
)
def test_check_5_1_names_the_mistake(place, value, match):
    answer = [SQUARE, EQUAL, LEAST]
    answer[place] = value
    rejects(checks.check_5_1, answer, match=match)


def test_check_5_1_wants_three_numbers():
    rejects(checks.check_5_1, [None, None, None], match="waits for your answer")
    rejects(checks.check_5_1, [1.0, 2.0], match="three numbers")


# ---------------------------------------------------------------- 5.2


def unit(z):
    z = ops.convert_to_tensor(z)
    return z / ops.norm(z, axis=1, keepdims=True)


def loss_with(first, second, temperature, *, diagonal=True, normal=True):
    both = ops.concatenate(
        [ops.convert_to_tensor(first), ops.convert_to_tensor(second)], axis=0
    )
    both = unit(both) if normal else both
    n = first.shape[0]
    scores = ops.matmul(both, ops.transpose(both)) / temperature
    if diagonal:
        scores = scores - 1e9 * ops.eye(2 * n)
    log_p = ops.log_softmax(scores, axis=1)
    return -ops.diagonal(log_p[:n, n:]), -ops.diagonal(log_p[n:, :n])


def pair_by_pair(first, second, temperature):
    """An unusual right answer: one view after the other."""
    views = ops.concatenate([unit(first), unit(second)], axis=0)
    n, losses = first.shape[0], []
    for i in range(n):
        total = 0.0
        for a, b in ((i, i + n), (i + n, i)):
            others = [m for m in range(2 * n) if m != a]
            cosines = ops.stack([ops.sum(views[a] * views[m]) for m in others])
            total = total + ops.logsumexp(cosines / temperature)
            total = total - ops.sum(views[a] * views[b]) / temperature
        losses.append(total / 2)
    return ops.stack(losses)


@pytest.mark.parametrize("answer", [nt_xent, pair_by_pair])
def test_check_5_2_right_answers_pass(answer, capsys):
    checks.check_5_2(answer)
    assert "correct" in capsys.readouterr().out


def across(first, second, temperature):
    scores = ops.matmul(unit(first), ops.transpose(unit(second)))
    return -ops.diagonal(ops.log_softmax(scores / temperature, axis=1))


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda a, b, t: sum(loss_with(a, b, t, diagonal=False)) / 2, "itself"),
        (lambda a, b, t: sum(loss_with(a, b, t, normal=False)) / 2, "length"),
        (lambda a, b, t: sum(loss_with(a, b, 1 / t)) / 2, "Divide by the temp"),
        (across, "second views alone"),
        (lambda a, b, t: loss_with(a, b, t)[0], "Only first views"),
        (lambda a, b, t: -nt_xent(a, b, t), "The sign"),
        (lambda a, b, t: ops.mean(nt_xent(a, b, t)), "That is the mean"),
        (
            lambda a, b, t: ops.concatenate(loss_with(a, b, t)),
            "One value a view",
        ),
        (lambda a, b, t: nt_xent(a, b, t) + 0.3, "first value should be"),
        (lambda a, b, t: None, "forget the `return`"),
    ],
    ids=[
        "self",
        "length",
        "times",
        "across",
        "one_way",
        "sign",
        "mean",
        "views",
        "other",
        "none",
    ],
)
def test_check_5_2_names_the_mistake(answer, match):
    rejects(checks.check_5_2, answer, match=match)


def test_check_5_2_wants_a_gradient():
    def constant(first, second, temperature):
        return ops.stop_gradient(nt_xent(first, second, temperature))

    rejects(checks.check_5_2, constant, match="gradient|differentiated")


# ---------------------------------------------------------------- 5.3


def balanced(y, per_class, seed, replace=False):
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [
            rng.choice(np.flatnonzero(y == c), per_class, replace=replace)
            for c in np.unique(y)
        ]
    )


def by_sorting(y, per_class, seed):
    """An unusual right answer: one permutation, ranks within classes."""
    order = np.random.default_rng(seed).permutation(len(y))
    rank = np.zeros(len(y), int)
    for c in np.unique(y):
        inside = order[y[order] == c]
        rank[inside] = np.arange(len(inside))
    return list(np.flatnonzero(rank < per_class))


@pytest.mark.parametrize("answer", [balanced, by_sorting])
def test_check_5_3_right_answers_pass(answer, capsys):
    checks.check_5_3(answer)
    assert "correct" in capsys.readouterr().out


def in_place(y, per_class, seed):
    y.sort()
    return balanced(y, per_class, seed)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda y, k, s: balanced(y, k, s, replace=True), "occurs twice"),
        (
            lambda y, k, s: np.random.default_rng(s).choice(
                len(y), 4 * k, replace=False
            ),
            "draw in each class",
        ),
        (
            lambda y, k, s: np.concatenate(
                [np.flatnonzero(y == c)[:k] for c in range(4)]
            ),
            "first rows of each class",
        ),
        (lambda y, k, s: np.isin(np.arange(len(y)), balanced(y, k, s)), "mask"),
        (lambda y, k, s: y[balanced(y, k, s)], "These are labels"),
        (lambda y, k, s: balanced(y, k, None), "same seed gave other rows"),
        (lambda y, k, s: balanced(y, k + 1, s), "are 24 rows, not 28"),
        (lambda y, k, s: balanced(y, k, s).astype(float), "integer row"),
        (in_place, "work on a copy"),
    ],
    ids=[
        "replace",
        "unbalanced",
        "first",
        "mask",
        "labels",
        "unseeded",
        "count",
        "float",
        "in_place",
    ],
)
def test_check_5_3_names_the_mistake(answer, match):
    rejects(checks.check_5_3, answer, match=match)


# ---------------------------------------------------------------- 5.4


def stage_one(
    encoder,
    classes,
    *,
    copy=True,
    weights=True,
    freeze="before",
    head=True,
    shrink=0,
):
    inner = keras.models.clone_model(encoder) if copy else encoder
    if weights and copy:
        inner.set_weights(encoder.get_weights())
    inner.trainable = freeze != "before"
    inputs = keras.Input(encoder.input_shape[1:])
    dense = keras.layers.Dense(classes - shrink)
    dense.trainable = head
    model = keras.Model(inputs, dense(inner(inputs)))
    model.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=EAGERLY,
    )
    if freeze == "after":
        inner.trainable = True
    return model


def rebuilt(encoder, classes):
    """An unusual right answer: the architecture from its config, softmax."""
    inner = keras.Model.from_config(encoder.get_config())
    inner.set_weights(encoder.get_weights())
    inner.trainable = False
    model = keras.Sequential(
        [
            keras.Input(encoder.input_shape[1:]),
            inner,
            keras.layers.Dense(classes, "softmax"),
        ]
    )
    model.compile(
        "adam", "sparse_categorical_crossentropy", run_eagerly=EAGERLY
    )
    return model


@pytest.mark.parametrize("answer", [stage_one, rebuilt])
def test_check_5_4_right_answers_pass(answer, capsys):
    checks.check_5_4(answer)
    assert "correct" in capsys.readouterr().out


def uncompiled(encoder, classes):
    inputs = keras.Input(encoder.input_shape[1:])
    return keras.Model(inputs, keras.layers.Dense(classes)(encoder(inputs)))


def with_mse(encoder, classes):
    model = stage_one(encoder, classes)
    model.compile("sgd", "categorical_crossentropy", run_eagerly=EAGERLY)
    return model


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda e, c: stage_one(e, c, weights=False), "not the pretrained"),
        (lambda e, c: stage_one(e, c, freeze="never"), "moved in the first"),
        (lambda e, c: stage_one(e, c, copy=False), "shares its weights"),
        (
            lambda e, c: stage_one(e, c, copy=False, freeze="never"),
            "changed the \\*original\\*",
        ),
        (lambda e, c: stage_one(e, c, shrink=1), "one score a class"),
        (uncompiled, "not compiled"),
        (with_mse, "Integer labels go with"),
        (lambda e, c: e, "one score a class"),
        (lambda e, c: "model", "Return the compiled"),
    ],
    ids=[
        "clone",
        "moving",
        "shared",
        "original",
        "classes",
        "uncompiled",
        "loss",
        "encoder",
        "text",
    ],
)
def test_check_5_4_names_the_mistake(answer, match):
    rejects(checks.check_5_4, answer, match=match)


# ---------------------------------------------------------------- 5.5


def hide(x, patch, ratio, rng, *, per_image=True, invert=False, coin=False):
    n, height, width, _ = x.shape
    grid = height // patch, width // patch
    cells = grid[0] * grid[1]
    noise = rng.random((n if per_image else 1, cells))
    if coin:
        chosen = noise < ratio
    else:
        chosen = noise.argsort(1).argsort(1) < round(ratio * cells)
    hidden = np.repeat(chosen, 1 if per_image else n, axis=0)
    hidden = hidden.reshape(n, *grid, 1).repeat(patch, 1).repeat(patch, 2)
    if invert:
        hidden = ~hidden
    return x * ~hidden, hidden


def one_by_one(x, patch, ratio, rng):
    """An unusual right answer: a loop, integers, a Kronecker product."""
    n, height, width, _ = x.shape
    shape = (height // patch, width // patch)
    hidden = np.zeros((n, height, width, 1), int)
    for row in hidden:
        flags = np.zeros(shape[0] * shape[1], int)
        count = round(ratio * flags.size)
        flags[rng.choice(flags.size, count, replace=False)] = 1
        row[..., 0] = np.kron(flags.reshape(shape), np.ones((patch, patch)))
    return np.where(hidden, 0, x), hidden


@pytest.mark.parametrize("answer", [hide, one_by_one])
def test_check_5_5_right_answers_pass(answer, capsys):
    checks.check_5_5(answer)
    assert "correct" in capsys.readouterr().out


def pixels(x, patch, ratio, rng):
    return hide(x, 1, ratio, rng)


def swapped(x, patch, ratio, rng):
    seen, hidden = hide(x, patch, ratio, rng)
    return x - seen, hidden


def halved(x, patch, ratio, rng):
    seen, hidden = hide(x, patch, ratio, rng)
    return x * (1 - 0.5 * hidden), hidden


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda *a: hide(*a, coin=True), "tossing a coin"),
        (lambda *a: hide(*a, invert=True), "You hid three quarters"),
        (lambda *a: hide(*a, per_image=False), "the same patches"),
        (pixels, "Single pixels"),
        (swapped, "shows what is hidden"),
        (halved, "as they were"),
        (lambda x, p, r, g: hide(x, p, 0.5, g), "A quarter should be hidden"),
        (lambda *a: hide(*a)[0], "Return 2 things"),
        (
            lambda *a: (hide(*a)[0], hide(*a)[1][..., 0]),
            "one value a pixel",
        ),
    ],
    ids=[
        "coin",
        "inverted",
        "same",
        "pixels",
        "swapped",
        "halved",
        "half",
        "one",
        "shape",
    ],
)
def test_check_5_5_names_the_mistake(answer, match):
    rejects(checks.check_5_5, answer, match=match)


# ---------------------------------------------------------------- 5.6


class Coder:
    """Stands for an encoder: a function of images."""

    def __init__(self, function):
        self.function = function

    def predict(self, x, verbose=0):
        return self.function(np.asarray(x).reshape(len(x), -1))


def noisy(amount):
    def function(rows):
        rng = np.random.default_rng(0)
        return rows + amount * rng.normal(size=rows.shape)

    return function


@pytest.fixture
def trio():
    return {
        "warp": Coder(lambda rows: rows),
        "shift": Coder(noisy(0.3)),
        "noise": Coder(noisy(0.6)),
    }


def test_check_5_6_right_answers_pass(trio, capsys):
    checks.check_5_6(trio, "warp")
    # whole models are as good as their encoders
    models = {k: types.SimpleNamespace(encoder=v) for k, v in trio.items()}
    checks.check_5_6(models, "warp")
    assert capsys.readouterr().out.count("correct") == 2


def test_check_5_6_names_the_mistake(trio):
    rejects(checks.check_5_6, trio, "noise", match="Not 'noise'")
    rejects(checks.check_5_6, trio, "Warp", match="`best` lists names")
    rejects(checks.check_5_6, "a", "b", match="should be a dict")
    alike = dict.fromkeys(trio, trio["warp"])
    rejects(checks.check_5_6, alike, "warp", match="all|All three")
    poor = {
        name: Coder(noisy(2.0 + i)) for i, name in enumerate(("warp", "shift"))
    }
    poor["noise"] = Coder(noisy(9.0))
    rejects(checks.check_5_6, poor, "warp", match="Train for")
    broken = {**trio, "noise": "encoder"}
    rejects(checks.check_5_6, broken, "warp", match="trained encoder")


# ---------------------------------------------------------------- 5.9


def ink_to_the_right(images):
    ink = images.sum(axis=(1, 2, 3))
    columns = (images.sum(axis=(1, 3)) * np.arange(8)).sum(axis=1)
    return (columns / ink > 3.6).astype(int)


def bold(images):
    return images.sum(axis=(1, 2, 3)) > 19.5


@pytest.fixture
def centred():
    """An encoder that removes the place and the amount of the ink."""

    def function(rows):
        rows = rows.reshape(-1, 8, 8)
        spectrum = np.abs(np.fft.fft2(rows)).reshape(len(rows), -1)
        return spectrum / spectrum.sum(axis=1, keepdims=True)

    return Coder(function)


@pytest.mark.parametrize("question", [ink_to_the_right, bold])
def test_check_5_9_right_answers_pass(question, centred, capsys):
    checks.check_5_9(question, centred)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("question", "match"),
    [
        (lambda x: np.zeros(len(x), int), "at least a fifth"),
        (lambda x: ink_to_the_right(x)[:-1], "one label for each"),
        (lambda x: ink_to_the_right(x) * 2, "integers 0 and 1"),
        (lambda x: np.arange(len(x)) % 2, "images around it"),
        (
            lambda x: (np.round(x.sum((1, 2, 3)) * 16) % 2).astype(int),
            "Neither code answers",
        ),
    ],
    ids=["constant", "short", "twos", "place", "parity"],
)
def test_check_5_9_names_the_mistake(question, match, centred):
    rejects(checks.check_5_9, question, centred, match=match)


def test_check_5_9_refuses_a_question_the_encoder_answers():
    rejects(
        checks.check_5_9,
        ink_to_the_right,
        Coder(lambda rows: rows),
        match="nearly as well",
    )


def test_checks_leave_the_encoder_of_5_4_to_the_answer():
    # the check builds its own encoder: running it twice must not differ
    for _ in range(2):
        rejects(
            checks.check_5_4,
            lambda encoder, classes: networks.dense_encoder((12,), classes),
            match="not compiled",
        )


# ---------------------------------------------------------------- 5.7, 5.8


def real(ids):
    return ops.cast(ops.not_equal(ids, 0), "float32")


def right_mean(states, ids):
    mask = real(ids)[..., None]
    return ops.sum(states * mask, 1) / ops.maximum(ops.sum(mask, 1), 1.0)


def test_check_5_7_right_answers_pass(capsys):
    checks.check_5_7(right_mean)
    assert "5.7: correct" in capsys.readouterr().out

    def by_matrix_product(states, ids):  # weights, then one product
        mask = real(ids)
        weights = mask / (ops.sum(mask, 1, keepdims=True) + 1e-9)
        return ops.einsum("nt,ntk->nk", weights, states)

    checks.check_5_7(by_matrix_product)


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
        (lambda s, i: right_mean(s, i) + 0.1, "by hand"),
        (lambda s, i: None, "None"),
    ],
)
def test_check_5_7_wrong_answers_are_named(answer, match):
    rejects(checks.check_5_7, answer, match=match)


def test_check_5_7_numpy_answer_is_told_about_gradients():
    def detour(states, ids):
        states, ids = (
            ops.convert_to_numpy(ops.stop_gradient(a)) for a in (states, ids)
        )
        mask = (ids != 0)[..., None]
        mean = (states * mask).sum(1) / np.maximum(mask.sum(1), 1)
        return ops.convert_to_tensor(mean.astype("float32"))

    rejects(checks.check_5_7, detour, match="gradient|differentiated")


def token_nats(logits, ids):
    log_p = ops.log_softmax(logits)
    return -ops.take_along_axis(log_p, ids[..., None], 2)[..., 0]


def right_nats(logits, ids):
    return ops.sum(token_nats(logits, ids) * real(ids)) / ops.sum(real(ids))


def test_check_5_8_right_answers_pass():
    checks.check_5_8(right_nats)

    def in_numpy(logits, ids):  # one token at a time
        logits, ids = (ops.convert_to_numpy(a) for a in (logits, ids))
        found = [
            np.log(np.exp(row).sum()) - row[i]
            for rows, text in zip(logits, ids, strict=True)
            for row, i in zip(rows, text, strict=True)
            if i
        ]
        return np.mean(found)

    checks.check_5_8(in_numpy)


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
    ],
)
def test_check_5_8_wrong_answers_are_named(answer, match):
    rejects(checks.check_5_8, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
