"""Counting language models: interpolated Kneser–Ney, in NumPy.

The baseline that a neural language model has to beat: no gradient, no
epochs, the counts of short strings and a careful way to fall back on shorter
ones.
"""

import numpy as np

from utils import _validation as check

__all__ = ["NGram"]


class NGram:
    """Predicts a token from the ``order`` − 1 before it, by counting.

    Interpolated Kneser–Ney smoothing (Kneser and Ney 1995; Chen and Goodman
    1999). With context h, h' the context less its oldest token, and c the
    counts,

        p(w | h) = max(c(hw) − D, 0) / c(h) + D · N(h) / c(h) · p(w | h'),

    where N(h) is the number of different tokens seen after h. Below the
    highest order c counts in how many *different* contexts a string occurs.
    The discount of each order is D = n₁ / (n₁ + 2 n₂), with n₁ and n₂ the
    strings of count one and two. At the bottom stands the uniform
    distribution.

    Args:
        order: Tokens that are looked at, the predicted one included, ≥ 1.
        vocabulary_size: Number of ids.

    Raises:
        ValueError: order below 1 or too high for 64-bit keys; in ``fit``, no
            token or an id outside the vocabulary.

    Example:

    >>> model = NGram(order=2, vocabulary_size=3).fit([0, 1, 0, 1, 0, 2])
    >>> bool(np.isclose(model.probabilities([0]).sum(), 1.0))
    True
    """

    def __init__(self, order, vocabulary_size):
        self.vocabulary_size = check.check_int(
            vocabulary_size, "vocabulary_size", minimum=2
        )
        highest = int(62 / np.log2(self.vocabulary_size))
        self.order = check.check_int(order, "order", 1, highest)
        self.tables = None

    def fit(self, ids):
        """Count all strings of one stream of ids; return the model."""
        ids = self._stream(ids)
        size = self.vocabulary_size
        tables = []
        keys, counts = _unique(_keys(ids, self.order, size))
        for length in range(self.order, 0, -1):
            ones, twos = (counts == 1).sum(), (counts == 2).sum()
            discount = ones / (ones + 2 * twos) if ones and twos else 0.5
            tables.append(_Table(keys, counts, discount, size))
            # continuation counts: how many strings end in each shorter one
            seen = np.concatenate([keys, self._openings(ids, length)])
            keys, counts = _unique(seen % size ** (length - 1))
        self.tables = tables[::-1]
        return self

    def _openings(self, ids, length):
        """Keys of the first string, which has nothing before it."""
        return _keys(ids[: length - 1], length - 1, self.vocabulary_size)

    def score(self, ids):
        """−log p of each id of a stream, in nats: ``(n,)``.

        The first ``order`` − 1 are scored with the context they have.
        """
        ids = self._stream(ids)
        self._check_fitted()
        p = np.full(len(ids), 1.0 / self.vocabulary_size)
        for length, table in enumerate(self.tables, start=1):
            if length > len(ids):
                break
            keys = _keys(ids, length, self.vocabulary_size)
            p[length - 1 :] = table.interpolate(keys, p[length - 1 :])
        return -np.log(p)

    def distributions(self, ids):
        """p of every id at every position of a stream: float32 ``(n, V)``.

        Row i is computed from the ids before position i; ``score`` is −log of
        its entry for the id that stands there.
        """
        ids = self._stream(ids)
        self._check_fitted()
        size = self.vocabulary_size
        p = np.full((len(ids), size), 1.0 / size, dtype="float32")
        for length, table in enumerate(self.tables, start=1):
            contexts = _keys(ids[:-1], length - 1, size)
            if length == 1:
                contexts = np.zeros(len(ids), dtype="int64")
            table.refine(contexts, p[len(ids) - len(contexts) :])
        return p

    def probabilities(self, context):
        """Distribution of the id after a context: ``(vocabulary_size,)``."""
        context = list(context)[-self.order :]  # plenty: order − 1 are read
        return self.distributions(np.array([*context, 0], "int64"))[-1]

    def _check_fitted(self):
        if self.tables is None:
            check.fail("model", "a fitted model: call fit(ids)", "unfitted")

    def _stream(self, ids):
        ids = np.asarray(ids)
        if ids.ndim != 1 or len(ids) == 0 or ids.dtype.kind not in "iu":
            check.fail(
                "ids",
                "one stream of integer ids",
                f"shape {ids.shape}, dtype {ids.dtype}",
            )
        return check.check_labels(
            ids, "ids", num_classes=self.vocabulary_size
        )


class _Table:
    """Counts of the strings of one length, and of their contexts."""

    def __init__(self, keys, counts, discount, size):
        self.keys, self.counts, self.size = keys, counts, size
        self.discount = discount
        self.contexts, start = np.unique(keys // size, return_index=True)
        self.totals = np.add.reduceat(counts, start)
        self.start, self.followers = start, np.diff([*start, len(keys)])

    def interpolate(self, keys, shorter):
        """p of each string's last token, given p by the shorter context."""
        count = _lookup(self.keys, self.counts, keys)
        total = _lookup(self.contexts, self.totals, keys // self.size)
        followers = _lookup(self.contexts, self.followers, keys // self.size)
        known = np.maximum(total, 1)
        p = np.maximum(count - self.discount, 0.0) / known
        p = p + self.discount * followers / known * shorter
        return np.where(total > 0, p, shorter)


    def refine(self, contexts, p):
        """Replace the rows of p, given by the shorter contexts, in place."""
        at, known = _find(self.contexts, contexts)
        rows, at = np.flatnonzero(known), at[known]
        count, total = self.followers[at], self.totals[at]
        p[rows] *= (self.discount * count / total)[:, None].astype(p.dtype)
        # every string that begins with one of these contexts
        first = np.repeat(self.start[at], count)
        within = np.arange(count.sum()) - np.repeat(
            np.cumsum(count) - count, count
        )
        strings = first + within
        gain = (self.counts[strings] - self.discount) / np.repeat(total, count)
        p[np.repeat(rows, count), self.keys[strings] % self.size] += gain


def _keys(ids, length, size):
    """One integer for each string of this length, in order."""
    if len(ids) < length or length == 0:
        return np.zeros(0, dtype="int64")
    key = np.zeros(len(ids) - length + 1, dtype="int64")
    for offset in range(length):
        key = key * size + ids[offset : len(ids) - length + 1 + offset]
    return key


def _unique(keys):
    return np.unique(keys, return_counts=True)


def _lookup(keys, values, wanted):
    """Value of each wanted key, 0 where it is not there."""
    at, known = _find(keys, wanted)
    return np.where(known, values[at], 0)


def _find(keys, wanted):
    """Places of wanted keys in sorted keys, and whether they are there."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted
