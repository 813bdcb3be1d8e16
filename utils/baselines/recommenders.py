"""Classical recommenders: what a model of users has to beat."""

import numpy as np

from utils.support import validation as check

__all__ = ["ClassicRecommender"]


KINDS = ("popularity", "item_knn", "svd")


class ClassicRecommender:
    """A recommender without gradient descent, for implicit feedback.

    Args:
        kind: How a user's items x become scores:

            - ``"popularity"``: number of users of each item, the same for
              everybody.
            - ``"item_knn"``: x S, with S the cosine between columns and only
              the ``size`` largest entries of each column kept (Sarwar et al.
              2001).
            - ``"svd"``: x V Vᵀ, with V the first ``size`` right singular
              vectors of the matrix, zeros taken as values (Cremonesi et al.
              2010).
        size: Neighbours or components; for the last two kinds alone.

    Raises:
        ValueError: an unknown kind; a size missing, too large or given to
            popularity; entries other than 0 and 1; an empty user, of whom
            only popularity knows something; ``score`` before ``fit``.

    Example:

    >>> x = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1]])
    >>> ClassicRecommender("popularity").fit(x).score(x[:1]).tolist()
    [[3.0, 1.0, 1.0]]
    """

    def __init__(self, kind, *, size=None):
        self.kind = check.check_choice(kind, "kind", KINDS)
        if (kind == "popularity") != (size is None):
            expected = "None" if kind == "popularity" else "a number"
            check.fail("size", f"{expected} for kind={kind!r}", repr(size))
        self.size = None if size is None else check.check_int(size, "size")
        self._weights = None

    def fit(self, x):
        """Learn from the training matrix ``(users, items)``; itself."""
        x = check.check_feedback(x, "x", empty=True).astype("float64")
        if self.size is not None:
            most = min(x.shape) if self.kind == "svd" else x.shape[1] - 1
            check.check_int(self.size, "size", 1, most)
        if self.kind == "popularity":
            self._weights = x.sum(axis=0)
        elif self.kind == "svd":
            v = np.linalg.svd(x, full_matrices=False)[2][: self.size].T
            self._weights = v @ v.T
        else:
            self._weights = self._neighbours(x)
        return self

    def _neighbours(self, x):
        length = np.linalg.norm(x, axis=0)
        cosine = x.T @ x / np.maximum(np.outer(length, length), 1e-12)
        np.fill_diagonal(cosine, 0.0)
        limit = -np.sort(-cosine, axis=0)[self.size - 1]
        return np.where(cosine >= limit, cosine, 0.0)

    def score(self, x):
        """Scores of all items for users x: float64 ``(n, items)``."""
        if self._weights is None:
            check.fail(
                "score", "a recommender that was fitted", "fit not called"
            )
        popular = self.kind == "popularity"
        x = check.check_feedback(x, "x", len(self._weights), empty=popular)
        if popular:
            return np.tile(self._weights, (len(x), 1))
        return x.astype("float64") @ self._weights
