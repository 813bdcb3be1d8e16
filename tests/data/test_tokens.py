"""Tokens: words and characters to ids and back, and what is refused."""

import unicodedata

import numpy as np
import pytest

from utils.data.tokens import Vocabulary, split_words
from utils.support.token_ids import PAD, START, UNKNOWN, check_ids

TEXTS = ["a cat and a dog", "a dog", "the cow"]


def test_reserved_ids_are_those_of_keras_imdb():
    assert (PAD, START, UNKNOWN) == (0, 1, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Rock'n'roll, 2 of them!", ["rock", "n", "roll", "2", "of", "them"]),
        ("a web-footed bird", ["a", "web-footed", "bird"]),
        ("Über-naïve café", ["über-naïve", "café"]),
        ("- ... !", []),
        ("", []),
    ],
)
def test_split_words(text, words):
    assert split_words(text) == words


def test_accents_in_two_spellings_are_one_word():
    composed = "café über naïve, Ångström"
    apart = unicodedata.normalize("NFD", composed)
    assert apart != composed
    words = ["café", "über", "naïve", "ångström"]
    assert split_words(apart) == split_words(composed) == words
    vocabulary = Vocabulary.fit([composed])
    assert (vocabulary.encode([apart]) == vocabulary.encode([composed])).all()
    assert UNKNOWN not in vocabulary.encode([apart])


def test_vocabulary_ranks_by_frequency_then_alphabet():
    vocabulary = Vocabulary.fit(TEXTS)
    assert vocabulary.tokens == (
        "[pad]",
        "[start]",
        "[unknown]",
        "a",
        "dog",
        "and",
        "cat",
        "cow",
        "the",
    )
    assert Vocabulary.fit(TEXTS, 5).tokens[3:] == ("a", "dog")
    assert Vocabulary.fit(TEXTS, min_count=2).tokens[3:] == ("a", "dog")


def test_encode_pads_at_the_end_cuts_and_replaces():
    vocabulary = Vocabulary.fit(TEXTS, 5)
    ids = vocabulary.encode(["a dog", "a bird and a dog"], 4)
    assert ids.tolist() == [[3, 4, 0, 0], [3, 2, 2, 3]]
    assert ids.dtype == np.int32
    assert vocabulary.encode(["a", "a dog a"]).shape == (2, 3)


@pytest.mark.parametrize("unit", ["word", "character"])
def test_decode_inverts_encode(unit):
    vocabulary = Vocabulary.fit(TEXTS, unit=unit)
    assert vocabulary.decode(vocabulary.encode(TEXTS, 30)) == TEXTS


def test_characters_keep_case_and_spaces():
    vocabulary = Vocabulary.fit(["Ab a"], unit="character")
    assert vocabulary.tokens[3:] == (" ", "A", "a", "b")
    assert vocabulary.encode(["a!"]).tolist() == [[5, 2]]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda v: v.encode("a dog"), "texts: expected a sequence"),
        (lambda v: v.encode([]), "at least one text"),
        (lambda v: v.encode(["a", ""]), r"texts\[1\]: .*one token"),
        (lambda v: v.encode(["...", "a"]), r"texts\[0\]"),
        (lambda v: v.encode(["a", 3]), r"texts\[1\]: expected a string"),
        (lambda v: v.encode(["a"], 0), "length"),
        (lambda v: v.split(None), "text: expected a string"),
        (lambda v: v.decode([[99]]), "vocabulary"),
        (lambda v: Vocabulary([]), "at least one token"),
        (lambda v: Vocabulary(["a", "b", "a"]), "'a' twice"),
        (lambda v: Vocabulary(["a"], "letter"), "unit"),
        (lambda v: Vocabulary.fit(["a", "b"], 3), "size"),
        (lambda v: Vocabulary.fit(["a"], min_count=2), "2 times"),
        (lambda v: Vocabulary.fit(["!"]), "without one"),
        (lambda v: Vocabulary.fit("a dog"), "sequence of strings"),
        (lambda v: split_words(3), "text"),
    ],
)
def test_bad_input_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call(Vocabulary.fit(TEXTS))


def test_check_ids_passes_good_ids():
    ids = check_ids([[3, 4, 0], [5, 0, 0]], 6)
    assert ids.dtype == np.int32 and ids.shape == (2, 3)
    assert check_ids(np.zeros((1, 2), "int64"), 6, empty=True).sum() == 0


@pytest.mark.parametrize(
    ("ids", "match"),
    [
        ([[3, 6]], "0 to 5, the vocabulary; received 6 in row 0"),
        ([[3], [-1]], "received -1 in row 1"),
        (np.ones((2, 3), "float32"), "integer token ids"),
        ([3, 4], r"\(n, length\)"),
        ([[3], [4, 5]], "unequal|one length"),
        (np.zeros((0, 3), "int32"), r"shape \(0, 3\)"),
        (np.zeros((2, 0), "int32"), r"shape \(2, 0\)"),
        ([[3, 0], [0, 0]], "row 1 is empty"),
        ([[True]], "integer token ids"),
    ],
)
def test_check_ids_names_what_is_wrong(ids, match):
    with pytest.raises(ValueError, match=match):
        check_ids(ids, 6)
