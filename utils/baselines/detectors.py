"""Classical anomaly detectors, one interface.

Every detector has ``fit(x)`` for normal rows and ``anomaly_scores(x)``, one
number a row: **larger means stranger**. Rows of any shape are flattened, and
all statistics are taken in float64.
"""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import StandardScaler

from utils.support import validation as check

__all__ = [
    "Forest",
    "LocalOutlier",
    "Mahalanobis",
    "NearestNeighbor",
    "PCAError",
    "Prototypes",
    "ZScore",
]

TREES = 100


class _Detector:
    """Prepares rows; a detector adds how it learns and what is strange."""

    _event_shape = None

    def fit(self, x):
        """Learn what is normal from rows ``(n, …)``, n ≥ 2; returns itself.

        Raises:
            ValueError: NaN, or a single row.
        """
        x = check.check_array(x, "x", min_rows=2, dtype="float64")
        self._event_shape, rows = x.shape[1:], _flat(x)
        # far from 0, as dates are, the squares in a covariance or a distance
        # lose all digits; a row is a better origin than the mean: equal steps,
        # such as grey levels, stay exact, and ties stay ties
        self._origin = rows[0]
        self._learn(rows - self._origin)
        return self

    def anomaly_scores(self, x):
        """Strangeness of each row: float64 array ``(n,)``.

        Raises:
            ValueError: called before ``fit``, NaN, or rows of another shape.
        """
        if self._event_shape is None:
            received = "fit not called"
            check.fail("anomaly_scores", "a fitted detector", received)
        x = check.check_array(
            x, "x", event_shape=self._event_shape, dtype="float64"
        )
        return self._strangeness(_flat(x) - self._origin)


def _flat(x):
    return x.reshape(len(x), -1)


class ZScore(_Detector):
    """Mean over entries of ((x − μ) / σ)².

    With mean μ and standard deviation σ of the normal rows; a column that is
    constant there gets σ = 1.

    Example:

    >>> rows = [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    >>> ZScore().fit(rows).anomaly_scores([[0.5, 0.5], [0.5, 2.5]]).tolist()
    [0.0, 8.0]
    """

    def _learn(self, rows):
        self._scaler = StandardScaler().fit(rows)

    def _strangeness(self, rows):
        return np.mean(self._scaler.transform(rows) ** 2, axis=1)


class Mahalanobis(_Detector):
    """(x − μ)ᵀ Σ⁻¹ (x − μ), Σ the shrunk covariance of Ledoit, Wolf (2004)."""

    def _learn(self, rows):
        self._covariance = LedoitWolf().fit(rows)

    def _strangeness(self, rows):
        return self._covariance.mahalanobis(rows)


class PCAError(_Detector):
    """‖x − x̂‖², with x̂ from the first principal components.

    Args:
        num_components: Their number ≥ 1; ``fit`` refuses more than there are
            rows or entries of a row.
    """

    def __init__(self, num_components):
        self.num_components = check.check_int(num_components, "num_components")

    def _learn(self, rows):
        largest = min(rows.shape)
        check.check_int(self.num_components, "num_components", 1, largest)
        self._pca = PCA(self.num_components, random_state=0).fit(rows)

    def _strangeness(self, rows):
        x_hat = self._pca.inverse_transform(self._pca.transform(rows))
        return np.sum((rows - x_hat) ** 2, axis=1)


class Forest(_Detector):
    """How few random cuts separate the row, from 0 to 1 (Liu et al. 2008).

    100 trees.

    Args:
        seed: Integer ≥ 0, of the cuts.
    """

    def __init__(self, seed=0):
        self.seed = check.check_seed(seed)

    def _learn(self, rows):
        forest = IsolationForest(n_estimators=TREES, random_state=self.seed)
        self._forest = forest.fit(rows)

    def _strangeness(self, rows):
        return -self._forest.score_samples(rows)


class NearestNeighbor(_Detector):
    """Euclidean distance to the k-th closest normal training row.

    With k = 1 a single strange row among the training rows hides all that
    resemble it; with k larger it takes k of them (Ramaswamy et al. 2000).

    Args:
        k: Integer ≥ 1; ``fit`` refuses more than there are rows.
    """

    def __init__(self, k=1):
        self.k = check.check_int(k, "k")

    def _learn(self, rows):
        check.check_int(self.k, "k", 1, len(rows))
        self._search = NearestNeighbors(n_neighbors=self.k).fit(rows)

    def _strangeness(self, rows):
        return self._search.kneighbors(rows)[0][:, -1]


class Prototypes(_Detector):
    """Euclidean distance to the closest centre of k-means.

    A nearest neighbour that keeps k rows instead of all.

    Args:
        k: Number of centres ≥ 1; ``fit`` refuses more than there are rows.
        seed: Integer ≥ 0, of the first centres.
    """

    def __init__(self, k=100, seed=0):
        self.k = check.check_int(k, "k")
        self.seed = check.check_seed(seed)

    def _learn(self, rows):
        check.check_int(self.k, "k", 1, len(rows))
        means = KMeans(self.k, n_init=1, random_state=self.seed)
        self._means = means.fit(rows)

    def _strangeness(self, rows):
        return self._means.transform(rows).min(axis=1)


class LocalOutlier(_Detector):
    """Local outlier factor (Breunig et al. 2000).

    How much thinner the training rows lie around a row than around its k
    nearest ones: about 1 within a cloud, dense or thin, larger outside.

    Args:
        k: Integer ≥ 1; ``fit`` refuses as many as there are rows.
    """

    def __init__(self, k=20):
        self.k = check.check_int(k, "k")

    def _learn(self, rows):
        check.check_int(self.k, "k", 1, len(rows) - 1)
        factor = LocalOutlierFactor(n_neighbors=self.k, novelty=True)
        self._factor = factor.fit(rows)

    def _strangeness(self, rows):
        return -self._factor.score_samples(rows)
