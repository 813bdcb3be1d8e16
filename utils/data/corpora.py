"""Frozen English texts of the course: offline, checked, with real labels.

``frozen/texts/README.md`` tells where each text comes from, under which
licence, and how it was cut; ``tools/freeze_texts.py`` is how. Texts are plain
strings: :mod:`utils.data.tokens` makes numbers of them.
"""

import dataclasses
import gzip
import pathlib
import re

import numpy as np

from utils.support import validation as check
from utils.support.files import check_frozen

__all__ = [
    "Definitions",
    "Document",
    "LETTERS",
    "as_letters",
    "load_definitions",
    "load_documents",
    "load_word_kinds",
    "one_stream",
]

LETTERS = "abcdefghijklmnopqrstuvwxyz "  # of as_letters, by number

KINDS = tuple(
    "animal artifact body communication food plant state substance".split()
)
FOLDER = pathlib.Path(__file__).resolve().parent / "frozen" / "texts"
# digests of the text, not of the gzip file around it
DIGESTS = {
    "definitions.tsv.gz": (
        "813593dbfe7a8b025422d61f6ccd34fa81915ed5ce7ebd4b23ac80d879992561"
    ),
    "kinds.tsv.gz": (
        "f8c086e938202eef78b71cfd7d61b8f06ae8a6389e6f70a1f40a8dda9029bc5f"
    ),
    "documents.tsv.gz": (
        "8124936b075f182322cbc6ee19b848191667088326be1bfa06bf62f8a9c37769"
    ),
}


@dataclasses.dataclass(frozen=True)
class Definitions:
    """Dictionary definitions, each labelled by the kind of thing it defines.

    Attributes:
        texts_train, texts_val, texts_test: Tuples of definitions; the word
            that is defined is not part of them.
        y_train, y_val, y_test: Int64 labels, one for each definition.
        words_train, words_val, words_test: The words defined.
        classes: Name of each label.
    """

    texts_train: tuple
    y_train: np.ndarray
    words_train: tuple
    texts_val: tuple
    y_val: np.ndarray
    words_val: tuple
    texts_test: tuple
    y_test: np.ndarray
    words_test: tuple
    classes: tuple = KINDS


@dataclasses.dataclass(frozen=True)
class Document:
    """A few paragraphs of documentation and the line that sums them up.

    Attributes:
        library: Package whose docstring this is.
        name: Qualified name of the function or class.
        summary: First line of the docstring, written by its authors.
        sentences: Sentences of the paragraphs below that line.
    """

    library: str
    name: str
    summary: str
    sentences: tuple


def load_definitions(seed=0):
    """Load the dictionary, split 70 / 10 / 20 at random.

    Args:
        seed: Integer ≥ 0, of the split.

    Returns:
        :class:`Definitions`, from WordNet 3.0, eight kinds of nouns.

    Raises:
        ValueError: the frozen file is not the one the course was written for.
    """
    seed = check.check_int(seed, "seed", minimum=0)
    rows = _read("definitions.tsv.gz", 3)
    kinds, words, texts = zip(*rows, strict=True)
    y = np.array([KINDS.index(kind) for kind in kinds], dtype="int64")
    order = np.random.default_rng(seed).permutation(len(rows))
    cuts = (round(0.7 * len(rows)), round(0.8 * len(rows)))
    parts = {}
    for part, ids in zip(
        ("train", "val", "test"), np.split(order, cuts), strict=True
    ):
        parts[f"texts_{part}"] = tuple(texts[i] for i in ids)
        parts[f"words_{part}"] = tuple(words[i] for i in ids)
        parts[f"y_{part}"] = y[ids]
    return Definitions(**parts)


def load_word_kinds():
    """Load the kind of thing that each of some frequent words names.

    The kind is that of the word's most frequent sense in WordNet. It was not
    read off the definitions, so it can judge vectors trained on them.

    Returns:
        Dict of word to kind, such as ``{"zinc": "substance", …}``.

    Raises:
        ValueError: the frozen file is not the one the course was written for.
    """
    return dict(_read("kinds.tsv.gz", 2))


def load_documents():
    """Load documentation texts of at least four sentences each.

    Returns:
        Tuple of :class:`Document`: docstrings of NetworkX, NumPy, SciPy and
        scikit-learn.

    Raises:
        ValueError: the frozen file is not the one the course was written for.
    """
    return tuple(
        Document(library, name, summary, _sentences(body))
        for library, name, summary, body in _read("documents.tsv.gz", 4)
    )


def one_stream(texts):
    r"""Texts in lower case, each ended by a line break, as one string.

    >>> one_stream(["A bird", "a fish"])
    'a bird\na fish\n'
    """
    return "\n".join(texts).lower() + "\n"


def as_letters(texts):
    """Texts as numbers 0 to 26: the letters of LETTERS, nothing else.

    Whatever is no letter, and the end of a text, becomes a single space.

    >>> as_letters(["A b", "(c)"]).tolist()
    [0, 26, 1, 26, 2, 26]
    """
    text = re.sub(r"[^a-z]+", " ", " ".join(texts).lower())
    return np.array([LETTERS.index(letter) for letter in text])


def _sentences(text):
    """Cut after a full stop that a capital letter follows."""
    return tuple(re.split(r"(?<=[.?!]) (?=[A-Z])", text))


def _read(name, columns):
    """Rows of a frozen file, once its digest is right."""
    try:
        raw = gzip.decompress((FOLDER / name).read_bytes())
    except (OSError, EOFError) as error:
        raise ValueError(
            f"{name}: expected the frozen file of the course; received one "
            f"that cannot be read ({error}). Restore it with `git checkout "
            "utils/data/frozen`."
        ) from error
    check_frozen(raw, DIGESTS[name], name)
    rows = [line.split("\t") for line in raw.decode("ascii").splitlines()]
    return [tuple(row[:columns]) for row in rows]
