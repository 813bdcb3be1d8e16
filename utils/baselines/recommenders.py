"""Classical recommenders: what a model of users has to beat.

Without gradient descent, for implicit feedback: a matrix of users by items
with entries 0 and 1. Every recommender has ``fit(x)`` and
``predict_scores(x)``, users by items: **larger means more wanted**.
"""

import numpy as np

from utils.support import validation as check

__all__ = ["EASE", "ItemKNN", "LatentFactors", "Popularity"]


class _Recommender:
    """Checks feedback; a recommender turns it into weights of the items."""

    _weights = None

    def fit(self, x):
        """Learn from the training matrix ``(users, items)``; itself.

        Raises:
            ValueError: entries other than 0 and 1, or a size too large.
        """
        x = check.check_feedback(x, "x", empty=True).astype("float64")
        self._weights = self._weigh(x)
        return self

    def predict_scores(self, x):
        """Scores of all items for users x: float64 ``(n, items)``.

        Raises:
            ValueError: called before ``fit``; entries other than 0 and 1,
                another number of items, or a user without any item.
        """
        return self._feedback(x).astype("float64") @ self._weights

    def _feedback(self, x, empty=False):
        if self._weights is None:
            received = "fit not called"
            check.fail("predict_scores", "a fitted recommender", received)
        return check.check_feedback(x, "x", len(self._weights), empty)


class Popularity(_Recommender):
    """Number of users of each item, the same for everybody.

    It alone has something to say to a user without any item.

    Example:

    >>> x = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1]])
    >>> Popularity().fit(x).predict_scores(x[:1]).tolist()
    [[3.0, 1.0, 1.0]]
    """

    def _weigh(self, x):
        return x.sum(axis=0)

    def predict_scores(self, x):
        """As of every recommender; users without any item are welcome."""
        return np.tile(self._weights, (len(self._feedback(x, empty=True)), 1))


class ItemKNN(_Recommender):
    """x S: neighbours among the items (Sarwar et al. 2001).

    S holds the cosine between columns of the training matrix, of which only
    the largest entries of each column are kept.

    Args:
        size: How many are kept, ≥ 1 and less than the number of items.
    """

    def __init__(self, size):
        self.size = check.check_int(size, "size")

    def _weigh(self, x):
        check.check_int(self.size, "size", 1, x.shape[1] - 1)
        length = np.linalg.norm(x, axis=0)
        # cosine_similarity divides first: its rounding breaks ties of counts
        cosine = x.T @ x / np.maximum(np.outer(length, length), 1e-12)
        np.fill_diagonal(cosine, 0.0)
        limit = -np.sort(-cosine, axis=0)[self.size - 1]
        return np.where(cosine >= limit, cosine, 0.0)


class LatentFactors(_Recommender):
    """x V Vᵀ, with V the first right singular vectors of the matrix.

    Zeros are taken as values (Cremonesi et al. 2010).

    Args:
        size: Number of vectors ≥ 1, at most that of users and of items.
    """

    def __init__(self, size):
        self.size = check.check_int(size, "size")

    def _weigh(self, x):
        check.check_int(self.size, "size", 1, min(x.shape))
        v = np.linalg.svd(x, full_matrices=False)[2][: self.size].T
        return v @ v.T


class EASE(_Recommender):
    """x B: a linear autoencoder without a diagonal, in closed form.

    Of all matrices B (items, items) with zeros on the diagonal the one with
    the smallest ‖X − X B‖² + λ‖B‖² (Steck 2019). With P = (Xᵀ X + λ I)⁻¹ it
    is B_ij = −P_ij / P_jj. The diagonal must be zero, or every item would be
    predicted by itself.

    Args:
        penalty: Weight λ > 0, in numbers of users.

    Example:

    >>> x = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    >>> EASE(1.0).fit(x).predict_scores([[1, 0, 0]]).round(2).tolist()
    [[0.0, 0.67, 0.0]]
    """

    def __init__(self, penalty=100.0):
        self.penalty = check.check_number(penalty, "penalty", 0.0)
        if self.penalty == 0:
            check.fail("penalty", "a number above 0", penalty)

    def _weigh(self, x):
        gram = x.T @ x + self.penalty * np.eye(x.shape[1])
        precision = np.linalg.inv(gram)
        weights = -precision / np.diag(precision)
        np.fill_diagonal(weights, 0.0)
        return weights
