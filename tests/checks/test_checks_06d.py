"""Exercises of chapter 6d: wrong answers are named, right ones pass."""

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops

from utils.baselines.ngrams import NGram
from utils.checks import chapter_06d
from utils.data import corpora

checks = Watched(chapter_06d)

PMI = np.log(40)
BITS = 249.5 / 200 / np.log(2)


def test_6d_1_right_answers_pass(capsys):
    checks.check_6d_1([PMI, PMI - np.log(5), BITS])
    checks.check_6d_1(np.array([3.69, 2.08, 1.80]))  # rounded
    assert "6d.1: correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (None, "None"),
        ([PMI, PMI], "shape"),
        ([np.log2(40), 2.08, BITS], "in bits"),
        ([40, 2.08, BITS], "logarithm"),
        ([-PMI, 2.08, BITS], "sign"),
        ([np.log(8 / 2000), 2.08, BITS], "not probabilities"),
        ([1.0, 2.08, BITS], "first number"),
        ([PMI, PMI, BITS], "shifted"),
        ([PMI, PMI + np.log(5), BITS], "Subtract log K"),
        ([PMI, PMI - 5, BITS], "not K"),
        ([PMI, 0.0, BITS], "second number"),
        ([PMI, PMI - np.log(5), 1.2475], "nats per character"),
        ([PMI, PMI - np.log(5), 200 * BITS], "divide by 200"),
        ([PMI, PMI - np.log(5), -BITS], "sign"),
        ([PMI, PMI - np.log(5), 1.2475 * np.log(2)], "do not multiply"),
        ([PMI, PMI - np.log(5), 9.0], "third number"),
    ],
)
def test_6d_1_wrong_answers_are_named(answer, match):
    rejects(checks.check_6d_1, answer, match=match)


def logits(u, real, drawn):
    return ops.sum(u * real, -1), ops.sum(u[:, None] * drawn, -1)


def right_6d_2(u, real, drawn):
    s, noise = logits(u, real, drawn)
    return ops.softplus(-s) + ops.sum(ops.softplus(noise), -1)


def by_cross_entropy(u, real, drawn):
    """Keras's own loss on all logits, with labels 1, 0, 0 …"""
    s, noise = logits(u, real, drawn)
    every = ops.concatenate([s[:, None], noise], -1)
    label = ops.concatenate(
        [ops.ones_like(s[:, None]), ops.zeros_like(noise)], -1
    )
    return ops.sum(ops.binary_crossentropy(label, every, from_logits=True), -1)


def test_6d_2_right_answers_pass():
    checks.check_6d_2(right_6d_2)
    checks.check_6d_2(by_cross_entropy)


def half_stopped(u, real, drawn):
    s, _ = logits(u, real, drawn)
    _, noise = logits(ops.stop_gradient(u), real, drawn)
    return ops.softplus(-s) + ops.sum(ops.softplus(noise), -1)


def of_logits(function):
    return lambda u, real, drawn: function(*logits(u, real, drawn))


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (stub, "waits for your answer"),
        (lambda u, r, d: ops.mean(right_6d_2(u, r, d)), "not their mean"),
        (lambda u, r, d: ops.sum(right_6d_2(u, r, d)), "not their sum"),
        (lambda u, r, d: -right_6d_2(u, r, d), "sign"),
        (of_logits(lambda s, n: ops.softplus(-s)), "missing"),
        (
            of_logits(
                lambda s, n: ops.softplus(-s) + ops.mean(ops.softplus(n), -1)
            ),
            "averaged",
        ),
        (
            of_logits(
                lambda s, n: ops.softplus(-s) + ops.sum(ops.softplus(-n), -1)
            ),
            "minus inside",
        ),
        (
            of_logits(
                lambda s, n: ops.softplus(s) + ops.sum(ops.softplus(-n), -1)
            ),
            "exchanged",
        ),
        (
            of_logits(
                lambda s, n: ops.softplus(s) + ops.sum(ops.softplus(n), -1)
            ),
            "wrong sign",
        ),
        (
            of_logits(
                lambda s, n: (
                    -ops.log(ops.sigmoid(s))
                    - ops.sum(ops.log(ops.sigmoid(-n)), -1)
                )
            ),
            "not finite",
        ),
        (lambda u, r, d: right_6d_2(u, r, d)[:, None], "shape"),
        (lambda u, r, d: right_6d_2(u, r, d) + 0.5, "differ"),
        (half_stopped, "gradient by u"),
        (lambda u, r, d: None, "None"),
    ],
)
def test_6d_2_wrong_answers_are_named(answer, match):
    rejects(checks.check_6d_2, answer, match=match)


def right_6d_3(fitted, counts, x_max=10.0):
    weight = ops.minimum(1.0, (counts / x_max) ** 0.75)
    return weight * ops.square(fitted - ops.log(counts))


def by_where(fitted, counts, x_max=10.0):
    weight = ops.where(
        counts < x_max, ops.exp(0.75 * ops.log(counts / x_max)), 1.0
    )
    return weight * (ops.log(counts) - fitted) ** 2


def test_6d_3_right_answers_pass():
    checks.check_6d_3(right_6d_3)
    checks.check_6d_3(by_where)


def weight(counts, x_max):
    return ops.minimum(1.0, (counts / x_max) ** 0.75)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (stub, "waits for your answer"),
        (lambda f, c, m: ops.mean(right_6d_3(f, c, m)), "not the mean"),
        (lambda f, c, m: ops.square(f - ops.log(c)), "missing"),
        (
            lambda f, c, m: (c / m) ** 0.75 * ops.square(f - ops.log(c)),
            "upper end",
        ),
        (
            lambda f, c, m: (
                ops.minimum(1.0, c / m) * ops.square(f - ops.log(c))
            ),
            "3/4",
        ),
        (lambda f, c, m: weight(c, m) * ops.square(f - c), "logarithm"),
        (lambda f, c, m: weight(c, m) * ops.abs(f - ops.log(c)), "Square"),
        (
            lambda f, c, m: weight(c, m) * ops.square(f - ops.log1p(c)),
            r"log\(1 \+ X\)",
        ),
        (
            lambda f, c, m: ops.square(weight(c, m) * (f - ops.log(c))),
            "outside the square",
        ),
        (lambda f, c, m: right_6d_3(f, c, 10.0), "does not follow"),
        (lambda f, c, m: right_6d_3(f, c, m)[:, None], "shape"),
        (lambda f, c, m: right_6d_3(f, c, m) + 1, "differ"),
        (
            lambda f, c, m: ops.stop_gradient(right_6d_3(f, c, m)),
            "gradient by `fitted`",
        ),
    ],
)
def test_6d_3_wrong_answers_are_named(answer, match):
    rejects(checks.check_6d_3, answer, match=match)


def right_6d_4(p, tau):
    with np.errstate(divide="ignore"):
        s = np.log(p) / tau
    w = np.exp(s - s.max())
    return w / w.sum()


def by_powers(p, tau):
    """Powers of the ratio to the largest: no logarithm at all."""
    w = (p / p.max()) ** (1 / tau)
    return w / w.sum()


def test_6d_4_right_answers_pass():
    checks.check_6d_4(right_6d_4)
    checks.check_6d_4(by_powers)
    checks.check_6d_4(lambda p, tau: right_6d_4(p, tau).astype("float16"))


def in_place(p, tau):
    p /= p.max()
    p **= 1 / tau
    p /= p.sum()
    return p


def plain_powers(p, tau):
    with np.errstate(all="ignore"):
        w = p ** (1 / tau)
        return w / w.sum()


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (stub, "waits for your answer"),
        (lambda p, t: p / t / (p / t).sum(), "cancels"),
        (lambda p, t: p**t / (p**t).sum(), "exponent is 1/τ"),
        (lambda p, t: p ** (1 / t), "sum"),
        (
            lambda p, t: np.exp(p / t) / np.exp(p / t).sum(),
            "already a probability",
        ),
        (plain_powers, "largest logit"),
        (lambda p, t: p[:2], "shape"),
        (lambda p, t: right_6d_4(p, 0.5 * t), "τ = 0.5"),
        (lambda p, t: right_6d_4(p, 0.5), "τ = 2"),
        (in_place, "make a copy"),
    ],
)
def test_6d_4_wrong_answers_are_named(answer, match):
    rejects(checks.check_6d_4, answer, match=match)


@pytest.fixture(scope="module")
def words():
    """Ids of the chapter's texts, and the shares the check expects."""
    vocabulary = checks._vocabulary()
    found = corpora.load_definitions()
    ids = vocabulary.encode(found.texts_train[:6000], 24)
    given = ids, len(vocabulary), 8
    right, mistakes = checks._shares_of_kind(*given)
    with pytest.MonkeyPatch.context() as patch:  # the same for all tests
        patch.setattr(
            chapter_06d, "_shares_of_kind", lambda *_: (right, mistakes)
        )
        yield given, right, [share for share, _ in mistakes]


def as_answer(shares):
    return dict(zip((1, 10), shares, strict=True))


def test_6d_5_right_answers_pass(words):
    given, right, _ = words
    checks.check_6d_5(as_answer(right), *given)
    checks.check_6d_5(as_answer(np.round(right, 2)), *given)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s, m: list(s), "dict"),
        (lambda s, m: {1: s[0]}, "dict"),
        (lambda s, m: as_answer(100 * s), "not in 0"),
        (lambda s, m: as_answer([s[0], s[0]]), "are equal"),
        (lambda s, m: as_answer(m[0]), "exchanged"),
        (lambda s, m: as_answer(m[1]), "own five neighbours"),
        (lambda s, m: as_answer(m[2]), "not product"),
        (lambda s, m: as_answer(m[3]), "by distance"),
        (lambda s, m: as_answer(m[4]), "all words of the vocabulary"),
        (lambda s, m: as_answer(m[5]), "sort the other way"),
        (lambda s, m: as_answer(m[8]), "all neighbours"),
        (lambda s, m: as_answer(1 - s), "should be near"),
        (lambda s, m: as_answer(s + [0.0, 0.03]), "At window 10"),
    ],
)
def test_6d_5_wrong_answers_are_named(words, change, match):
    given, right, mistakes = words
    rejects(checks.check_6d_5, change(right, mistakes), *given, match=match)


@pytest.fixture(scope="module")
def streams():
    """A text that a trigram knows less of than a longer memory does."""
    rng = np.random.default_rng(0)
    words = [rng.integers(4, 9, 6) for _ in range(40)]

    def stream(n):
        pieces = [np.append(words[i], 3) for i in rng.integers(0, 40, n)]
        return np.concatenate(pieces)

    return stream(600), stream(20)


def test_6d_6_right_answers_pass(streams, capsys):
    ngram = NGram(6, 9).fit(streams[0])
    checks.check_6d_6(lambda c: ngram.distributions(c)[-1], *streams)
    several = NGram(5, 48).fit(streams[0])  # more ids than occur
    checks.check_6d_6(lambda c: several.distributions(c)[-2:].mean(0), *streams)
    assert "6d.6: correct" in capsys.readouterr().out


def test_6d_6_wrong_answers_are_named(streams):
    train, test = streams
    bigram = NGram(2, 9).fit(train)
    sharp = np.eye(9)

    ngram = NGram(6, 9).fit(train)

    def in_place(context):
        context.append(3)
        return ngram.distributions(context[:-1])[-1]

    def cheat(context):
        return 0.001 + 0.991 * sharp[test[len(context)]]

    for answer, match in (
        (stub, "waits for your answer"),
        (lambda c: bigram.distributions(c)[-1], "Look further back"),
        (lambda c: bigram.distributions(c)[-1][:5], "should return 9"),
        (lambda c: np.ones(9), "sum to 1"),
        (lambda c: sharp[3], "probability 0"),
        (cheat, "too good"),
        (ngram.distributions, "one row; yours returns shape"),
        (lambda c: np.log(ngram.distributions(c)[-1]), "take `exp`"),
        (lambda c: ngram.distributions(c[::-1])[-1], "\\*end\\* of"),
        (lambda c: np.argmax(ngram.distributions(c)[-1]), "should return 9"),
        (in_place, "make a copy"),
        (lambda c: None, "None"),
    ):
        rejects(checks.check_6d_6, answer, train, test, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
