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

# in test_checks_05_text
TEXTS = ("check_5_9", "check_5_10", "check_5_11", "check_5_12")
checks = Watched(chapter_05, without=TEXTS)


@pytest.mark.parametrize(
    "check",
    [
        checks.check_5_2,
        checks.check_5_4,
        checks.check_5_5,
        checks.check_5_6,
        checks.check_5_3,
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


def by_classes(first, second, temperature):
    """An unusual right answer: Keras's loss, a diagonal of −∞."""
    n, u = first.shape[0], unit(ops.concatenate([first, second], axis=0))
    scores = ops.matmul(u, ops.transpose(u)) / temperature
    scores = ops.where(ops.eye(2 * n, dtype="bool"), -np.inf, scores)
    nats = keras.losses.sparse_categorical_crossentropy(
        np.r_[n : 2 * n, :n], scores, from_logits=True
    )
    return ops.mean(ops.reshape(nats, (2, n)), axis=0)


def of_tensors(first, second, temperature):
    """A right answer that asks what it is given, as tensors answer."""
    assert ops.is_tensor(first)
    assert ops.is_tensor(second)
    return nt_xent(first, second, temperature)


@pytest.mark.parametrize(
    "answer", [nt_xent, pair_by_pair, by_classes, of_tensors]
)
def test_check_5_2_right_answers_pass(answer, capsys):
    checks.check_5_2(answer)
    assert "correct" in capsys.readouterr().out


def across(first, second, temperature):
    scores = ops.matmul(unit(first), ops.transpose(unit(second)))
    return -ops.diagonal(ops.log_softmax(scores / temperature, axis=1))


def scored(first, second, temperature, change):
    """The loss of scores on which a mistake was made before the softmax."""
    u = ops.concatenate([unit(first), unit(second)], axis=0)
    n = first.shape[0]
    scores = change(ops.matmul(u, ops.transpose(u)) / temperature, n)
    log_p = ops.log_softmax(scores, axis=1)
    return -(ops.diagonal(log_p[:n, n:]) + ops.diagonal(log_p[n:, :n])) / 2


def without_partner(first, second, temperature):
    u = ops.concatenate([unit(first), unit(second)], axis=0)
    n = first.shape[0]
    scores = ops.matmul(u, ops.transpose(u)) / temperature
    left = np.eye(2 * n) + np.roll(np.eye(2 * n), n, axis=1)
    rest = ops.logsumexp(scores - 1e9 * left.astype("float32"), axis=1)
    found = ops.diagonal(scores[:n, n:])
    return (rest[:n] + rest[n:]) / 2 - found


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda a, b, t: 2 * nt_xent(a, b, t), "two directions"),
        (lambda a, b, t: nt_xent(a, b, t) / np.log(2), "in bits"),
        (lambda a, b, t: nt_xent(a, b, 1.0), "not used"),
        (without_partner, "partner is missing"),
        (
            lambda a, b, t: scored(
                a, b, t, lambda s, n: s * (1 - ops.eye(2 * n))
            ),
            "score of 0",
        ),
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
        "both",
        "bits",
        "one",
        "partner",
        "zero",
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


def float64(first, second, temperature):
    """An unusual right answer: double precision throughout."""
    first, second = (ops.cast(z, "float64") for z in (first, second))
    u = ops.concatenate([first, second], axis=0)
    u = u / ops.norm(u, axis=1, keepdims=True)
    n = u.shape[0] // 2
    scores = ops.matmul(u, ops.transpose(u)) / temperature
    scores = scores - 1e9 * ops.eye(2 * n, dtype="float64")
    log_p = ops.log_softmax(scores, axis=1)
    return -(ops.diagonal(log_p[:n, n:]) + ops.diagonal(log_p[n:, :n])) / 2


def test_check_5_2_takes_double_precision(capsys):
    checks.check_5_2(float64)
    assert "correct" in capsys.readouterr().out


def naive(first, second, temperature):
    u = ops.concatenate([unit(first), unit(second)], axis=0)
    n = u.shape[0] // 2
    e = ops.exp(ops.matmul(u, ops.transpose(u)) / temperature)
    e = e * (1 - ops.eye(2 * n))
    p = e / ops.sum(e, axis=1, keepdims=True)
    ways = ops.log(ops.diagonal(p[:n, n:])) + ops.log(ops.diagonal(p[n:, :n]))
    return -ways / 2


def test_check_5_2_names_what_overflows_and_what_is_cut():
    rejects(checks.check_5_2, naive, match="not finite")

    def half(first, second, temperature):
        second = ops.stop_gradient(ops.convert_to_tensor(second))
        return nt_xent(first, second, temperature)

    rejects(checks.check_5_2, half, match="by the second views")


def test_check_5_2_wants_a_gradient():
    def constant(first, second, temperature):
        return ops.stop_gradient(nt_xent(first, second, temperature))

    rejects(checks.check_5_2, constant, match="gradient|differentiated")


# ---------------------------------------------------------------- 5.5


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


def as_a_set(y, per_class, seed):
    """An unusual right answer: rows have no order."""
    return set(balanced(y, per_class, seed).tolist())


@pytest.mark.parametrize("answer", [balanced, by_sorting, as_a_set])
def test_check_5_5_right_answers_pass(answer, capsys):
    checks.check_5_5(answer)
    assert "correct" in capsys.readouterr().out


def in_blocks(y, per_class, seed):
    rng = np.random.default_rng(seed)
    rows = []
    for c in np.unique(y):
        inside = np.flatnonzero(y == c)
        start = rng.integers(len(inside) - per_class)
        rows.append(inside[start : start + per_class])
    return np.concatenate(rows)


def every_fourth(y, per_class, seed):
    return np.concatenate(
        [
            np.flatnonzero(y == c)[seed % 4 :: 4][:per_class]
            for c in np.unique(y)
        ]
    )


def among_the_first(y, per_class, seed):
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [
            rng.choice(np.flatnonzero(y == c)[:10], per_class, replace=False)
            for c in np.unique(y)
        ]
    )


def in_proportion(y, per_class, seed):
    """As many of each class as its share: balanced where classes are."""
    count = per_class * len(np.unique(y))
    rows = np.argsort(y, kind="stable")
    at = np.linspace(0, len(y), count, endpoint=False).astype(int)
    return np.random.default_rng(seed).permutation(rows[at])


def four_typed_in(y, per_class, seed):
    rng = np.random.default_rng(seed)
    inside = [np.flatnonzero(y == c) for c in range(4)]
    return np.concatenate(
        [rng.permutation(rows)[:per_class] for rows in inside]
    )


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
                [np.flatnonzero(y == c)[:k] for c in np.unique(y)]
            ),
            "first rows of each class",
        ),
        (lambda y, k, s: np.isin(np.arange(len(y)), balanced(y, k, s)), "mask"),
        (lambda y, k, s: y[balanced(y, k, s)], "These are labels"),
        (lambda y, k, s: balanced(y, k, None), "same seed gave other rows"),
        (lambda y, k, s: balanced(y, k + 1, s), "are 24 rows, not 28"),
        (lambda y, k, s: balanced(y, k, s).astype(float), "integer row"),
        (in_place, "work on a copy"),
        (in_blocks, "neighbours"),
        (every_fourth, "every 4th row"),
        (among_the_first, "never came"),
        (in_proportion, "differ in size"),
        (four_typed_in, "are 24 rows, not 18"),
        (lambda y, k, s: [[1, 2], [3]], "row numbers"),
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
        "blocks",
        "stride",
        "first_ten",
        "proportion",
        "typed",
        "ragged",
    ],
)
def test_check_5_5_names_the_mistake(answer, match):
    rejects(checks.check_5_5, answer, match=match)


# ---------------------------------------------------------------- 5.6


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
        inner.trainable = False
    return model


def ending_in(activation, from_logits):
    def answer(encoder, classes):
        inner = copy_of(encoder)
        inputs = keras.Input(encoder.input_shape[1:])
        scores = keras.layers.Dense(classes, activation)(inner(inputs))
        return compiled(keras.Model(inputs, scores), from_logits=from_logits)

    return answer


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


def compiled(model, **options):
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(
            **{"from_logits": True, **options}
        ),
        run_eagerly=EAGERLY,
    )
    return model


def copy_of(encoder):
    copied = keras.models.clone_model(encoder)
    copied.set_weights(encoder.get_weights())
    copied.trainable = False
    return copied


def on_its_output(encoder, classes):
    """An unusual right answer: base.output → Dense."""
    copied = copy_of(encoder)
    scores = keras.layers.Dense(classes)(copied.output)
    return compiled(keras.Model(copied.input, scores))


def of_its_layers(encoder, classes):
    """An unusual right answer: a Sequential of the copied layers."""
    layers = copy_of(encoder).layers
    return compiled(keras.Sequential([*layers, keras.layers.Dense(classes)]))


class Subclassed(keras.Model):
    """An unusual right answer: a class of one's own."""

    def __init__(self, encoder, classes):
        super().__init__()
        self.inner = copy_of(encoder)
        self.head = keras.layers.Dense(classes)

    def call(self, x):
        return self.head(self.inner(x))


def subclassed(encoder, classes):
    return compiled(Subclassed(encoder, classes))


@pytest.mark.parametrize(
    "answer", [stage_one, rebuilt, on_its_output, of_its_layers, subclassed]
)
def test_check_5_6_right_answers_pass(answer, capsys):
    checks.check_5_6(answer)
    assert "correct" in capsys.readouterr().out


def freezes_the_given(encoder, classes):
    encoder.trainable = False
    return stage_one(encoder, classes)


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
        (lambda e, c: stage_one(e, c, freeze="after"), "froze afterwards"),
        (ending_in(None, False), "are no probabilities"),
        (ending_in("softmax", True), "A softmax twice"),
        (ending_in("relu", True), "All scores are positive"),
        (ending_in("tanh", True), "between −1 and 1"),
        (freezes_the_given, "Freeze the copy"),
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
        "after",
        "linear",
        "twice",
        "relu",
        "tanh",
        "given",
        "encoder",
        "text",
    ],
)
def test_check_5_6_names_the_mistake(answer, match):
    rejects(checks.check_5_6, answer, match=match)


# ---------------------------------------------------------------- 5.3


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
def test_check_5_3_right_answers_pass(answer, capsys):
    checks.check_5_3(answer)
    assert "correct" in capsys.readouterr().out


def pixels(x, patch, ratio, rng):
    return hide(x, 1, ratio, rng)


def swapped(x, patch, ratio, rng):
    seen, hidden = hide(x, patch, ratio, rng)
    return x - seen, hidden


def cut_off(x, patch, ratio, rng):
    return hide(x, patch, int(ratio * 24) / 24, rng)


def own_generator(x, patch, ratio, rng):
    return hide(x, patch, ratio, np.random.default_rng())


def always_alike(x, patch, ratio, rng):
    return hide(x, patch, ratio, np.random.default_rng(0))


def into_x(x, patch, ratio, rng):
    seen, hidden = hide(x, patch, ratio, rng)
    x[:] = seen
    return x, hidden


def two_typed_in(x, patch, ratio, rng):
    return hide(x, 2, ratio, rng)


def rounded_up(x, patch, ratio, rng):
    return hide(x, patch, np.ceil(ratio * 24) / 24, rng)


def chosen_from(x, patch, ratio, rng, choose):
    """What is hidden as `choose` says, given the number of patches."""
    n, height, width, _ = x.shape
    grid = height // patch, width // patch
    flags = np.zeros((n, grid[0] * grid[1]))
    for row in flags:
        row[choose(len(row), round(ratio * len(row)), rng)] = 1
    hidden = np.kron(flags.reshape(n, *grid), np.ones((1, patch, patch)))
    return x * (1 - hidden[..., None]), hidden[..., None]


def never_the_last(x, patch, ratio, rng):
    return chosen_from(
        *(x, patch, ratio, rng),
        lambda cells, k, rng: rng.choice(cells - 1, k, replace=False),
    )


def in_one_run(x, patch, ratio, rng):
    return chosen_from(
        *(x, patch, ratio, rng),
        lambda cells, k, rng: (np.arange(k) + rng.integers(cells)) % cells,
    )


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
        (cut_off, "`int` cuts off"),
        (rounded_up, "`ceil` adds"),
        (two_typed_in, "read the size from `patch`"),
        (never_the_last, "none of forty"),
        (in_one_run, "one by one"),
        (own_generator, "same generator"),
        (always_alike, "Another generator"),
        (into_x, "wrote into x"),
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
        "int",
        "ceil",
        "typed",
        "last",
        "run",
        "own",
        "alike",
        "into_x",
        "half",
        "one",
        "shape",
    ],
)
def test_check_5_3_names_the_mistake(answer, match):
    rejects(checks.check_5_3, answer, match=match)


# ---------------------------------------------------------------- 5.4


def step(x, views, encoder, projector, temperature):
    first, second = (
        projector(encoder(views(x, training=True))) for _ in range(2)
    )
    return ops.mean(nt_xent(first, second, temperature))


def in_one_call(x, views, encoder, projector, temperature):
    """An unusual right answer: all views at once, as the library does."""
    both = views(ops.concatenate([x, x]), training=True)
    u = projector(encoder(both))
    return ops.mean(nt_xent(u[: len(x)], u[len(x) :], temperature))


def interleaved(x, views, encoder, projector, temperature):
    """An unusual right answer: partners are neighbours."""
    u = projector(encoder(views(ops.repeat(x, 2, axis=0), training=True)))
    return ops.mean(nt_xent(u[::2], u[1::2], temperature))


def by_hand(x, views, encoder, projector, temperature):
    """An unusual right answer: another loss, the sum divided."""
    a, b = (projector(encoder(views(x, training=True))) for _ in range(2))
    return ops.sum(pair_by_pair(a, b, temperature)) / len(x)


@pytest.mark.parametrize("answer", [step, in_one_call, interleaved, by_hand])
def test_check_5_4_right_answers_pass(answer, capsys):
    checks.check_5_4(answer)
    assert "correct" in capsys.readouterr().out


def into_the_images(x, views, encoder, projector, temperature):
    x *= 0.5
    return step(x, views, encoder, projector, temperature)


def pairs_of(a, b, temperature):
    return ops.mean(nt_xent(a, b, temperature))


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (
            lambda x, v, e, p, t: pairs_of(*(p(e(v(x))) for _ in "ab"), t),
            "without `training=True`",
        ),
        (
            lambda x, v, e, p, t: pairs_of(
                p(e(x)), p(e(v(x, training=True))), t
            ),
            "One view of each",
        ),
        (
            lambda x, v, e, p, t: pairs_of(
                *(e(v(x, training=True)) for _ in "ab"), t
            ),
            "You compare codes",
        ),
        (lambda *a: len(a[0]) * step(*a), "sum over pairs"),
        (lambda *a: -step(*a), "The sign"),
        (lambda *a: step(*a) / np.log(2), "in bits"),
        (lambda *a: step(*a) / 2, "half of it"),
        (into_the_images, "changed the images"),
        (
            lambda x, v, e, p, t: nt_xent(
                *(p(e(v(x, training=True))) for _ in "ab"), t
            ),
            "One loss a pair",
        ),
        (lambda x, v, e, p, t: step(x, v, e, p, 1.0), "the loss is"),
        (
            lambda x, v, e, p, t: pairs_of(
                p(e(v(x, training=True))),
                ops.stop_gradient(p(e(v(x, training=True)))),
                t,
            ),
            "something is cut off",
        ),
        (
            lambda x, v, e, p, t: pairs_of(
                *(p(ops.stop_gradient(e(v(x, training=True)))) for _ in "ab"),
                t,
            ),
            "no gradient",
        ),
        (lambda x, v, e, p, t: ops.mean(x), "never called"),
    ],
    ids=[
        "still",
        "image",
        "codes",
        "sum",
        "sign",
        "bits",
        "half_of_it",
        "into_x",
        "pairs",
        "temperature",
        "half",
        "frozen",
        "nothing",
    ],
)
def test_check_5_4_names_the_mistake(answer, match):
    rejects(checks.check_5_4, answer, match=match)


# ---------------------------------------------------------------- 5.7


class Coder:
    """Stands for an encoder: a function of images."""

    def __init__(self, function):
        self.function = function
        self.encoder = self

    def predict(self, x, verbose=0):
        return self.function(np.asarray(x).reshape(len(x), -1))


def noisy(amount):
    def function(rows):
        rng = np.random.default_rng(0)
        return rows + amount * rng.normal(size=rows.shape)

    return function


def shown(kind, function, steps=544):
    """Stands for a SimCLR that saw one kind of view."""
    used = {"noise": {"noise": 0.3}, "shift": {"shift": 1.0}}
    used = used.get(kind, {"affine": 0.2, "elastic": 0.4})
    amounts = dict.fromkeys(("shift", "affine", "elastic", "noise"), 0.0)
    views = types.SimpleNamespace(**{**amounts, **used})
    optimizer = types.SimpleNamespace(iterations=np.array(steps))
    return types.SimpleNamespace(
        encoder=Coder(function), augmentation=views, optimizer=optimizer
    )


@pytest.fixture
def trio():
    return {
        "warp": shown("warp", lambda rows: rows),
        "shift": shown("shift", noisy(0.3)),
        "noise": shown("noise", noisy(0.6)),
    }


def test_check_5_7_right_answers_pass(trio, capsys):
    checks.check_5_7(trio, "warp")
    checks.check_5_7(trio, ["warp"])
    gaussian = types.SimpleNamespace(**vars(trio["noise"]))
    gaussian.augmentation = keras.layers.GaussianNoise(0.3)
    checks.check_5_7({**trio, "noise": gaussian}, "warp")
    assert capsys.readouterr().out.count("correct") == 3


def test_check_5_7_names_the_mistake(trio):
    rejects(checks.check_5_7, trio, "noise", match="Not 'noise'")
    rejects(checks.check_5_7, trio, "Warp", match="`best` lists names")
    rejects(checks.check_5_7, "a", "b", match="should be a dict")
    alike = dict.fromkeys(trio, trio["warp"])
    rejects(checks.check_5_7, alike, "warp", match="not by noise alone")
    swapped = {**trio, "noise": trio["shift"], "shift": trio["noise"]}
    rejects(checks.check_5_7, swapped, "warp", match="has views by shift")
    fresh = {k: shown(k, lambda rows: rows, steps=0) for k in trio}
    rejects(checks.check_5_7, fresh, "warp", match="0 steps")
    poor = {k: shown(k, noisy(2.0 + i)) for i, k in enumerate(trio)}
    rejects(checks.check_5_7, poor, "warp", match="Train for")
    faint = shown("noise", noisy(0.6))
    faint.augmentation.noise = 0.05
    faint = {**trio, "noise": faint}
    rejects(checks.check_5_7, faint, "warp", match="noise 0.05, not 0.3")
    bare = {**trio, "noise": trio["noise"].encoder}
    rejects(checks.check_5_7, bare, "warp", match="SimCLR model itself")
    rejects(
        checks.check_5_7, {**trio, "noise": "x"}, "warp", match="SimCLR model"
    )


# ---------------------------------------------------------------- 5.8


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


def ink_below(images):
    ink = images.sum(axis=(1, 2, 3))
    lines = (images.sum(axis=(2, 3)) * np.arange(8)).sum(axis=1)
    return (lines / ink > 3.5).astype(float)


@pytest.mark.parametrize("question", [ink_to_the_right, ink_below])
def test_check_5_8_right_answers_pass(question, centred, capsys):
    checks.check_5_8(question, centred)
    out = capsys.readouterr().out
    assert "correct" in out
    assert "without any training" in out


@pytest.mark.parametrize(
    ("question", "match"),
    [
        (lambda x: np.zeros(len(x), int), "at least a fifth"),
        (lambda x: ink_to_the_right(x)[:-1], "one label for each"),
        (bold, "question of section 5"),
        (lambda x: 1 - bold(x), "question of section 5"),
        (lambda x: ink_to_the_right(x) * 2, "integers 0 and 1"),
        (lambda x: np.arange(len(x)) % 2, "images around it"),
        (
            lambda x: (np.round(x.sum((1, 2, 3)) * 16) % 2).astype(int),
            "Neither code answers",
        ),
    ],
    ids=["constant", "short", "ink", "thin", "twos", "place", "parity"],
)
def test_check_5_8_names_the_mistake(question, match, centred):
    rejects(checks.check_5_8, question, centred, match=match)


def test_check_5_8_refuses_a_question_the_encoder_answers():
    rejects(
        checks.check_5_8,
        ink_to_the_right,
        Coder(lambda rows: rows),
        match="nearly as well",
    )


def test_checks_leave_the_encoder_of_5_6_to_the_answer():
    # the check builds its own encoder: running it twice must not differ
    for _ in range(2):
        rejects(
            checks.check_5_6,
            lambda encoder, classes: networks.dense_encoder((12,), classes),
            match="not compiled",
        )


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
