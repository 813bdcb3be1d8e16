"""Counting language models: interpolated Kneser–Ney, in NumPy.

The baseline that a neural language model has to beat: no gradient, no
epochs, only the counts of short strings and a careful way to fall back on
shorter ones.
"""

import numpy as np

from utils.support import validation as check

__all__ = ["NGram"]

FACTOR = np.uint64(0x9E3779B97F4A7C15)


class NGram:
    """Predicts a token from the ``order`` − 1 before it, by counting.

    Interpolated Kneser–Ney smoothing (Kneser and Ney 1995; Chen and Goodman
    1999). With context h, h' the context less its oldest token, and c the
    counts,

        p(w | h) = max(c(hw) − D, 0) / c(h) + D · N(h) / c(h) · p(w | h'),

    where N(h) is the number of different tokens seen after h. Below the
    highest order c counts in how many *different* contexts a string occurs.
    The discount of each order is D = n₁ / (n₁ + 2 n₂), with n₁ and n₂ the
    numbers of strings of count one and two. At the bottom stands the uniform
    distribution.

    Args:
        order: Tokens that are looked at, the predicted one included, ≥ 1.
        vocabulary_size: Number of ids.

    Raises:
        ValueError: order below 1; in ``fit``, no token or an id outside the
            vocabulary; afterwards, a model that was never fitted.

    Example:

    >>> model = NGram(order=2, vocabulary_size=3).fit([0, 1, 0, 1, 0, 2])
    >>> model.distributions([0])[-1].round(4).tolist()
    [0.0444, 0.6444, 0.3111]
    """

    def __init__(self, order, vocabulary_size):
        self.order = check.check_int(order, "order")
        self.vocabulary_size = check.check_int(
            vocabulary_size, "vocabulary_size", minimum=2
        )
        self.tables = None

    def fit(self, ids):
        """Count all strings of one stream of ids; return the model."""
        ids = self._stream(ids)
        tables, above = [], None
        for length in range(min(self.order, len(ids)), 0, -1):
            strings = _Strings(ids, length)
            counts = strings.counts
            if above is not None:  # different contexts, not occurrences
                counts = strings.count_suffixes_of(above)
            tables.append(_Table(strings, counts))
            above = strings
        self.tables = tables[::-1]
        return self

    def score(self, ids):
        """−log p of each id of a stream, in nats: ``(n,)``.

        The first ``order`` − 1 are scored with the context they have.
        """
        return -np.log(self.experts(ids)[0][:, -1])

    def experts(self, ids):
        """What each order says of each id of a stream.

        Returns:
            ``(p, evidence)``: p ``(n, order)`` is the probability of the id
            that stands there, by contexts of 0, 1, … tokens; evidence
            ``(n, 2 · order)`` is log(1 + c(h)) and log(1 + N(h)) of these
            contexts, 0 where one was never seen. Evidence is computed
            without the id itself.
        """
        ids = self._stream(ids)
        self._check_fitted()
        p = np.empty((len(ids), self.order))
        evidence = np.zeros((len(ids), 2 * self.order), dtype="float32")
        shorter = np.full(len(ids), 1.0 / self.vocabulary_size)
        for index in range(self.order):
            if index < min(len(self.tables), len(ids)):
                table = self.tables[index]
                seen = slice(index, None)
                shorter[seen], total, followers = table.interpolate(
                    _context_keys(ids, index), ids[seen], shorter[seen]
                )
                evidence[seen, 2 * index] = np.log1p(total)
                evidence[seen, 2 * index + 1] = np.log1p(followers)
            p[:, index] = shorter
        return p, evidence

    def distributions(self, context):
        """Give p of every id after one context, by each order: ``(order, V)``.

        Args:
            context: Ids, oldest first; the last ``order`` − 1 are read. The
                last row is the model's own prediction.
        """
        self._check_fitted()
        size, context = self.vocabulary_size, list(context)
        if context:
            context = self._stream(np.asarray(context))
        context = np.asarray(context[-self.order :], dtype="int64")
        tokens = np.arange(size)
        p, result = np.full(size, 1.0 / size), []
        for index in range(self.order):
            if index < len(self.tables) and index <= len(context):
                last = context[len(context) - index :]
                key = _context_keys(np.append(last, 0), index)
                p, *_ = self.tables[index].interpolate(
                    np.repeat(key, size), tokens, p
                )
            result.append(p)
        return np.stack(result)

    def _check_fitted(self):
        if self.tables is None:
            check.fail("model", "a fitted model: call fit(ids)", "unfitted")

    def _stream(self, ids):
        ids = np.asarray(ids)
        if ids.ndim != 1 or len(ids) == 0 or ids.dtype.kind not in "iu":
            expected = "one stream of integer ids"
            check.fail("ids", expected, f"shape {ids.shape}, dtype {ids.dtype}")
        return check.check_labels(ids, "ids", num_classes=self.vocabulary_size)


class _Strings:
    """The different strings of one length: keys, counts, a first place."""

    def __init__(self, ids, length):
        self.ids, self.length = ids, length
        self.context = _context_keys(ids, length - 1)
        self.token = ids[length - 1 :]
        keys = _join(self.context, self.token)
        self.keys, self.place, self.counts = np.unique(
            keys, return_index=True, return_counts=True
        )

    def count_suffixes_of(self, longer):
        """How many different longer strings end in each of ours."""
        # a longer string's place p is our string's place p + 1
        ours = _join(
            self.context[longer.place + 1], self.token[longer.place + 1]
        )
        counts = np.bincount(
            np.searchsorted(self.keys, ours), minlength=len(self.keys)
        )
        return np.maximum(counts, 1)  # the very first has nothing before it


class _Table:
    """Counts of the strings of one length, and of their contexts."""

    def __init__(self, strings, counts):
        self.keys, self.counts = strings.keys, counts
        ones, twos = (counts == 1).sum(), (counts == 2).sum()
        self.discount = ones / (ones + 2 * twos) if ones and twos else 0.5
        self.contexts, inverse, self.followers = np.unique(
            strings.context[strings.place],
            return_inverse=True,
            return_counts=True,
        )
        self.totals = np.bincount(inverse, weights=counts)

    def interpolate(self, contexts, tokens, shorter):
        """Give p of each token, given p by the shorter context; c(h); N(h)."""
        count = _lookup(self.keys, self.counts, _join(contexts, tokens))
        total = _lookup(self.contexts, self.totals, contexts)
        followers = _lookup(self.contexts, self.followers, contexts)
        known = np.maximum(total, 1)
        p = np.maximum(count - self.discount, 0.0) / known
        p = p + self.discount * followers / known * shorter
        return np.where(total > 0, p, shorter), total, followers


def _context_keys(ids, length):
    """64-bit hash of the ``length`` ids before each id that has as many."""
    n = len(ids) - length
    key = np.zeros(n, dtype="uint64")
    for offset in range(length):
        key = _join(key, ids[offset : offset + n])
    return key


def _join(keys, tokens):
    """Hash of a string and one more token; two rarely share one."""
    keys = (keys + tokens.astype("uint64") + np.uint64(1)) * FACTOR
    return keys ^ (keys >> np.uint64(29))


def _lookup(keys, values, wanted):
    """Value of each wanted key, 0 where it is not there."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)
