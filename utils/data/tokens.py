"""From text to token ids and back, with padding that is told apart.

The ids follow ``keras.datasets.imdb``: 0 pads, 1 starts a text, 2 stands for
everything unknown, words or characters begin at 3. NumPy only.
"""

import collections
import re
import unicodedata

import numpy as np

from utils.support import validation as check
from utils.support.token_ids import PAD, RESERVED, START, UNKNOWN, check_ids

__all__ = [
    "Vocabulary",
    "split_words",
]

UNITS = ("word", "character")


def split_words(text):
    """Words of a text, lower case: letters with inner hyphens, numbers.

    A letter and its accent are one letter, also where the text spells them
    as two characters (Unicode's form NFC).

    Args:
        text: A string.

    Returns:
        List of strings; punctuation is left out.

    Raises:
        ValueError: not a string.

    Example:

    >>> split_words("A cat's well-known 9 lives.")
    ['a', 'cat', 's', 'well-known', '9', 'lives']
    """
    if not isinstance(text, str):
        check.fail("text", "a string", type(text).__name__)
    text = unicodedata.normalize("NFC", text.lower())
    return re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*|\d+", text)


class Vocabulary:
    """A fixed list of tokens, each with an id.

    Args:
        tokens: Sequence of different strings: words, or single characters.
            They get the ids 3, 4, …; 0 to 2 are reserved.
        unit: ``"word"`` (lower case, no punctuation, see
            :func:`split_words`) or ``"character"`` (as they stand).

    Attributes:
        tokens: All tokens in the order of their ids, reserved ones included.

    Raises:
        ValueError: no token, a token twice, an unknown unit.

    Example:

    >>> vocabulary = Vocabulary.fit(["a cat", "a dog and a cat"])
    >>> vocabulary.tokens[3:]
    ('a', 'cat', 'and', 'dog')
    >>> vocabulary.encode(["a cow", "a dog and a cat"]).tolist()
    [[3, 2, 0, 0, 0], [3, 6, 5, 3, 4]]
    """

    def __init__(self, tokens, unit="word"):
        self.unit = check.check_choice(unit, "unit", UNITS)
        tokens = tuple(tokens)
        if not tokens:
            check.fail("tokens", "at least one token", "none")
        if len(set(tokens)) < len(tokens):
            twice = collections.Counter(tokens).most_common(1)[0][0]
            check.fail("tokens", "different tokens", f"{twice!r} twice")
        self.tokens = (*RESERVED, *tokens)
        self.ids = {token: i for i, token in enumerate(self.tokens)}

    @classmethod
    def fit(cls, texts, size=None, *, unit="word", min_count=1):
        """Vocabulary of the most frequent tokens of training texts.

        Args:
            texts: Sequence of strings.
            size: Largest number of ids, reserved ones included; ``None``
                keeps every token.
            unit: ``"word"`` or ``"character"``.
            min_count: Occurrences that a token needs.

        Returns:
            A :class:`Vocabulary`, most frequent first, ties by alphabet.

        Raises:
            ValueError: not strings, no token left, size below 4.
        """
        check.check_choice(unit, "unit", UNITS)
        min_count = check.check_int(min_count, "min_count")
        if size is not None:
            size = check.check_int(size, "size", minimum=4) - len(RESERVED)
        counts = collections.Counter()
        for text in _texts(texts):
            counts.update(split_words(text) if unit == "word" else text)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kept = [token for token, count in ranked if count >= min_count]
        if not kept:
            expected = f"a token that occurs {min_count} times or more"
            check.fail("texts", expected, f"{len(texts)} texts without one")
        return cls(kept[:size], unit)

    def __len__(self):
        return len(self.tokens)

    def split(self, text):
        """Tokens of one text, known or not, as a list of strings."""
        if not isinstance(text, str):
            check.fail("text", "a string", type(text).__name__)
        return split_words(text) if self.unit == "word" else list(text)

    def encode(self, texts, length=None):
        """Ids of texts, padded at the end to one length.

        Args:
            texts: Sequence of strings (one string alone is refused).
            length: Longer texts are cut, shorter ones padded with 0;
                ``None`` takes the longest text's length.

        Returns:
            Int32 array ``(n, length)``; 2 for what the vocabulary lacks.

        Raises:
            ValueError: not strings, a text without any token.
        """
        rows = []
        for index, text in enumerate(_texts(texts)):
            tokens = self.split(text)
            if not tokens:
                check.fail(f"texts[{index}]", "at least one token", repr(text))
            rows.append([self.ids.get(token, UNKNOWN) for token in tokens])
        longest = max(map(len, rows))
        if length is None:
            length = longest
        length = check.check_int(length, "length")
        ids = np.full((len(rows), length), PAD, dtype="int32")
        for row, values in zip(ids, rows, strict=True):
            row[: len(values)] = values[:length]
        return ids

    def decode(self, ids):
        """Text of each row of ids ``(n, length)``; padding is left out."""
        ids = check_ids(ids, len(self))
        glue = " " if self.unit == "word" else ""
        return [
            glue.join(self.tokens[i] for i in row if i > START) for row in ids
        ]


def _texts(texts):
    """Texts as they are, if they are a sequence of strings."""
    if isinstance(texts, str) or not hasattr(texts, "__len__"):
        check.fail("texts", "a sequence of strings", type(texts).__name__)
    if len(texts) == 0:
        check.fail("texts", "at least one text", "none")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            check.fail(f"texts[{index}]", "a string", type(text).__name__)
    return texts
