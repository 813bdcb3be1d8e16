"""Exercises of chapter 6i: wrong answers are named, right ones pass."""

import itertools

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from scipy.linalg import orthogonal_procrustes

from utils.checks import chapter_06i
from utils.data import corpora

checks = Watched(chapter_06i)

PIECES, CHARACTERS = 5.2 / 2.24 / np.log(2), 1.9 / np.log(2)
PERPLEXITY = 2**PIECES


def test_6i_2_endless_answer_is_refused_before_it_fills_the_memory():
    def endless(pieces, pair):
        return itertools.repeat("a")

    rejects(checks.check_6i_2, endless, match="is there an end to it")


def test_6i_1_right_answers_pass(capsys):
    checks.check_6i_1([PIECES, CHARACTERS, PERPLEXITY])
    checks.check_6i_1(np.array([3.35, 2.74, 10.2]))
    checks.check_6i_1((np.float32(PIECES), np.array(CHARACTERS), PERPLEXITY))
    assert capsys.readouterr().out.count("6i.1: correct") == 3


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (None, "None"),
        ([PIECES, CHARACTERS], "shape"),
        ([5.2, CHARACTERS, PERPLEXITY], "price of a \\*piece"),
        ([5.2 / np.log(2), CHARACTERS, PERPLEXITY], "Bits per piece"),
        ([5.2 / 2.24, CHARACTERS, PERPLEXITY], "Nats per character"),
        ([PIECES, 1.9, PERPLEXITY], "in nats"),
        ([PIECES, 1.9 * np.log(2), PERPLEXITY], "do not multiply"),
        ([PIECES, CHARACTERS, np.exp(5.2)], "per \\*piece"),
        ([PIECES, CHARACTERS, np.exp(PIECES)], "Bits belong to 2"),
        ([PIECES, CHARACTERS, 5.0], "third number"),
    ],
)
def test_6i_1_wrong_answers_are_named(answer, match):
    rejects(checks.check_6i_1, answer, match=match)


def glue(pieces, pair):
    out, i = [], 0
    while i < len(pieces):
        here = tuple(pieces[i : i + 2]) == tuple(pair)
        out.append("".join(pieces[i : i + 2]) if here else pieces[i])
        i += 2 if here else 1
    return out


def glue_recursively(pieces, pair):
    if len(pieces) < 2:
        return tuple(pieces)
    if tuple(pieces[:2]) == tuple(pair):
        return ("".join(pair), *glue_recursively(pieces[2:], pair))
    return (pieces[0], *glue_recursively(pieces[1:], pair))


@pytest.mark.parametrize(
    "answer",
    [
        glue,
        glue_recursively,
        lambda p, pair: np.array(glue(p, pair), dtype=object),
        lambda p, pair: (piece for piece in glue(p, pair)),
    ],
)
def test_6i_2_right_answers_pass(answer, capsys):
    checks.check_6i_2(answer)
    assert "6i.2: correct" in capsys.readouterr().out


def in_place(pieces, pair):
    pieces[:] = glue(pieces, pair)
    return pieces


def first_only(pieces, pair):
    for i in range(len(pieces) - 1):
        if tuple(pieces[i : i + 2]) == pair:
            return [*pieces[:i], "".join(pair), *pieces[i + 2 :]]
    return pieces


def from_the_right(pieces, pair):
    back = glue_recursively(pieces[::-1], pair[::-1])
    return [p if p != "".join(pair[::-1]) else "".join(pair) for p in back][
        ::-1
    ]


def overlapping(pieces, pair):
    out = list(pieces[:1])
    for a, b in zip(pieces, pieces[1:], strict=False):
        if (a, b) == pair:
            out[-1] = a + b
        else:
            out.append(b)
    return out


def in_the_text(pieces, pair):
    text = "".join(pieces).replace("".join(pair), "|")
    return ["".join(pair) if c == "|" else c for c in text]


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (stub, "waits for your answer"),
        (in_place, "changed the list"),
        (first_only, "every"),
        (from_the_right, "left to right"),
        (overlapping, "another text|left to right"),
        (in_the_text, "should become|no such pair|Nothing|left to right"),
        (lambda p, pair: p, "Nothing was glued"),
        (lambda p, pair: "".join(p), "not one text"),
        (lambda p, pair: glue(p, pair[::-1]), "Nothing was glued"),
        (lambda p, pair: [1, 2], "nothing else"),
        (lambda p, pair: 3, "sequence of pieces"),
    ],
)
def test_6i_2_wrong_answers_are_named(answer, match):
    rejects(checks.check_6i_2, answer, match=match)


def rotate(x, y):
    u, _, vt = np.linalg.svd(x.T @ y)
    return u @ vt


def polar(x, y):
    """The orthogonal factor of XᵀY by Newton's iteration."""
    r = x.T @ y
    for _ in range(200):
        r = 0.5 * (r + np.linalg.inv(r).T)
    return r


@pytest.mark.parametrize(
    "answer",
    [
        rotate,
        polar,
        lambda x, y: orthogonal_procrustes(x, y)[0],
        lambda x, y: rotate(x, y).astype("float32").tolist(),
        lambda x, y: rotate(x, y).astype("float16"),
    ],
)
def test_6i_3_right_answers_pass(answer, capsys):
    checks.check_6i_3(answer)
    assert "6i.3: correct" in capsys.readouterr().out


def centred(x, y):
    return rotate(x - x.mean(0), y - y.mean(0))


def emptying(x, y):
    found = rotate(x, y)
    x *= 0
    return found


def proper(x, y):
    u, _, vt = np.linalg.svd(x.T @ y)
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    return u @ vt


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (stub, "waits for your answer"),
        (lambda x, y: np.linalg.lstsq(x, y, rcond=None)[0], "least squares"),
        (lambda x, y: rotate(y, x), "other way round|turns y to x"),
        (lambda x, y: x.T @ y, "is the start"),
        (lambda x, y: x @ rotate(x, y), "return R itself"),
        (lambda x, y: np.eye(5), "can be had"),
        (lambda x, y: 2 * np.eye(5), "not the identity"),
        (lambda x, y: np.eye(4), "\\(5, 5\\)"),
        (proper, "mirror image|can be had"),
        (centred, "no means off"),
        (emptying, "changed an array"),
    ],
)
def test_6i_3_wrong_answers_are_named(answer, match):
    rejects(checks.check_6i_3, answer, match=match)


def score(secret, key, log_p):
    x = key[secret]
    return log_p[x[:-1], x[1:]].sum()


def score_by_counts(secret, key, log_p):
    table = np.zeros((27, 27))
    for a, b in zip(key[secret], key[secret][1:], strict=False):
        table[a, b] += 1
    return [float((table * log_p).sum())]


def score_by_letters(secret, key, log_p):
    letters = [int(key[c]) for c in secret]
    return sum(
        float(log_p[a][b]) for a, b in zip(letters, letters[1:], strict=False)
    )


def score_in_place(secret, key, log_p):
    secret[:] = key[secret]
    return log_p[secret[:-1], secret[1:]].sum()


def score_in_half(secret, key, log_p):
    return np.float16(score(secret, key, log_p))


@pytest.mark.parametrize(
    "answer", [score, score_by_counts, score_by_letters, score_in_half]
)
def test_6i_4_right_answers_pass(answer, capsys):
    checks.check_6i_4(answer)
    assert "6i.4: correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (stub, "waits for your answer"),
        (lambda s, k, p: p[s[:-1], s[1:]].sum(), "\\*secret\\* text"),
        (lambda s, k, p: score(s, np.argsort(k), p), "backwards"),
        (lambda s, k, p: score(s, k, p) / 49, "the mean"),
        (lambda s, k, p: -score(s, k, p), "The sign"),
        (lambda s, k, p: score(s, k, p.T), "the row"),
        (lambda s, k, p: score(s, k, p) / np.log(2), "in bits"),
        (lambda s, k, p: score(s, k, p) - 1, "is not right"),
        (lambda s, k, p: p, "one number"),
        (score_in_place, "changed an array"),
    ],
)
def test_6i_4_wrong_answers_are_named(answer, match):
    rejects(checks.check_6i_4, answer, match=match)


class Knowing:
    """Reads by the message itself: what an ideal method would find."""

    def __init__(self, end=lambda plain: plain, wrong=0):
        self.stream = corpora.as_letters(corpora.load_definitions().texts_val)
        self.end, self.wrong, self.turn = end, wrong, 0

    def __call__(self, secret):
        rng = np.random.default_rng([65, self.turn % 3])
        self.turn += 1
        first = rng.integers(len(self.stream) - 400)
        plain = self.stream[first : first + 400].copy()
        if self.wrong:  # some letters exchanged throughout
            swap = np.arange(27)
            common = np.argsort(-np.bincount(plain, minlength=27)[:26])
            some = common[: self.wrong]
            swap[some] = np.roll(some, 1)
            plain = swap[plain]
        return self.end(plain)


def as_text(plain):
    return "".join(corpora.LETTERS[i] for i in plain)


@pytest.mark.parametrize(
    "end",
    [lambda x: x, as_text, lambda x: x.astype("float32").tolist(), tuple],
    ids=["numbers", "text", "floats", "tuple"],
)
def test_6i_5_right_answers_pass(end, capsys):
    checks.check_6i_5(Knowing(end))
    assert "6i.5: correct" in capsys.readouterr().out


def upset(plain):
    """One letter read in two ways."""
    plain = plain.copy()
    plain[np.flatnonzero(plain == 4)[0]] = 16
    return plain


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (stub, "waits for your answer"),
        (lambda secret: secret, "as it came"),
        (lambda secret: np.arange(27), "looks like a key"),
        (lambda secret: secret[:10], "400 letters"),
        (Knowing(lambda x: np.where(x == 26, 0, x)), "26 stays 26"),
        (Knowing(upset), "two different ones"),
        (Knowing(wrong=10), "Frequencies alone"),
        (Knowing(wrong=2), "90 are asked"),
        (Knowing(lambda x: as_text(x) + "!"), "letters and spaces only"),
    ],
)
def test_6i_5_wrong_answers_are_named(answer, match):
    rejects(checks.check_6i_5, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
