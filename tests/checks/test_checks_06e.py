"""Checks of chapter 6e: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right

from utils.baselines import markov
from utils.checks import chapter_06e
from utils.data import genomes

checks = Watched(chapter_06e)


@pytest.mark.parametrize("answer", [1.75, np.float64(7 / 4), [1.75]])
def test_check_6e_1_right_value_passes(answer, capsys):
    checks.check_6e_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (7, "whole sequence"),
        (2, "without knowledge"),
        (1.75 * np.log(2), "in nats"),
        (-1.75, "positive"),
        (1.5, "not right"),
    ],
)
def test_check_6e_1_wrong_value_is_named(answer, match):
    rejects(checks.check_6e_1, answer, match=match)


def _unguarded(text):
    return np.array([[float(b == letter) for b in "ACGT"] for letter in text])


def _guarded(order):
    def encode(text):
        if set(text) - set("ACGT"):
            raise ValueError(text)
        return np.array([[float(b == c) for b in order] for c in text])

    return encode


@pytest.mark.parametrize(
    "answer", [genomes.one_hot, lambda t: _guarded("ACGT")(t).tolist()]
)
def test_check_6e_2_right_answer_passes(answer):
    checks.check_6e_2(answer)


def _blacklist(text):
    if set(text) & set("N acgt"):
        raise ValueError(text)
    return np.array([[float(b == c) for b in "ACGT"] for c in text])


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (_unguarded, "was accepted"),
        (_blacklist, "was accepted"),
        (_guarded("ATGC"), "in this order"),
        (lambda t: _guarded("ACGT")(t).T, "one row a base"),
        (lambda t: 2 * _guarded("ACGT")(t), "sum to 1"),
        (lambda t: np.eye(4)[["ACGT".index(c) for c in t] + [0]], "shape"),
        (
            lambda t: np.eye(4)[
                [{"A": 0, "C": 1, "G": 2, "T": 3}[c] for c in t]
            ],
            "raises KeyError",
        ),
        (stub, "waits for your answer"),
    ],
)
def test_check_6e_2_wrong_answer_is_named(answer, match):
    rejects(checks.check_6e_2, answer, match=match)


def _by_text(x):
    table = str.maketrans("ACGT", "TGCA")
    texts = genomes.from_one_hot(x)
    return genomes.one_hot([t.translate(table)[::-1] for t in texts])


@pytest.mark.parametrize("answer", [_by_text, lambda x: np.flip(x, (1, 2))])
def test_check_6e_3_right_answer_passes(answer):
    checks.check_6e_3(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda x: x, "Nothing has changed"),
        (lambda x: x[:, ::-1], "A still faces A"),
        (lambda x: x[:, :, ::-1], "backwards"),
        (lambda x: x[::-1, ::-1, ::-1], "first axis"),
        (lambda x: x[:, ::-1][:, :, [2, 3, 0, 1]], "A with G"),
        (lambda x: x[0], "shape should stay"),
    ],
)
def test_check_6e_3_wrong_answer_is_named(answer, match):
    rejects(checks.check_6e_3, answer, match=match)


def _counts(text, add=1.0):
    return genomes.kmer_counts(text, 2).reshape(4, 4) + add


def _bits(table, text):
    ids = [genomes.BASES.index(base) for base in text]
    with np.errstate(divide="ignore"):
        return -np.log2(table[ids[:-1], ids[1:]]).mean()


def _lines(counts):
    return counts / counts.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "answer",
    [
        lambda k, u: markov.MarkovModel(1).fit(k).bits_per_base(u),
        lambda k, u: [_bits(_lines(_counts(k)), u)],
    ],
)
def test_check_6e_4_right_answer_passes(answer):
    checks.check_6e_4(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda k, u: _bits(_counts(k) / _counts(k).sum(), u), "of a \\*pair"),
        (
            lambda k, u: _bits(_counts(k) / _counts(k).sum(0), u),
            "sums of the columns",
        ),
        (
            lambda k, u: _bits(_lines(_counts(k)), u) * np.log(2),
            "in nats",
        ),
        (lambda k, u: _bits(_lines(_counts(u)), u), "you are to code"),
        (lambda k, u: -_bits(_lines(_counts(k)), u), "The sign"),
        (lambda k, u: 2.0, "should be"),
        (
            lambda k, u: (
                (_bits(_lines(_counts(k)), u) * (len(u) - 1) + 2) / len(u)
            ),
            "the mean is over all bases but the first",
        ),
    ],
)
def test_check_6e_4_wrong_answer_is_named(answer, match):
    rejects(checks.check_6e_4, answer, match=match)


def _runs(text, strands=2, frames=(0, 1, 2), stops=genomes.STOPS):
    found = []
    for strand in (text, genomes.reverse_complement(text))[:strands]:
        for frame in frames:
            codons = [strand[i : i + 3] for i in range(frame, len(strand), 3)]
            marks = "".join(
                " " if c in stops else "x" for c in codons if len(c) == 3
            )
            found.append(max(map(len, marks.split(" "))))
    return max(found)


@pytest.mark.parametrize(
    "answer",
    [
        genomes.longest_open_frame,
        lambda text: np.array([_runs(text)]),
        lambda text: float(_runs(text)),
    ],
)
def test_check_6e_5_right_answer_passes(answer):
    checks.check_6e_5(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda t: 3 * _runs(t), "count codons"),
        (lambda t: _runs(t, frames=(0,), strands=1), "first base alone"),
        (lambda t: _runs(t, strands=1), "both strands"),
        (lambda t: max(_runs(t, 1), _runs(t[::-1], 1)), "backwards"),
        (lambda t: len(t) // 3, "all codons"),
        (lambda t: _runs(t, stops=("TAA", "TAG")), "longest run has"),
        (lambda t: max(_runs(t), 1), "Two bases hold"),
    ],
)
def test_check_6e_5_wrong_answer_is_named(answer, match):
    rejects(checks.check_6e_5, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
