"""Classical anomaly detectors, one interface.

Every detector has ``fit(x)`` for normal rows and ``score(x)``, one number a
row: **larger means stranger**.
"""

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

from utils.support import validation as check

__all__ = ["Baseline"]


KINDS = (
    "z_score",
    "mahalanobis",
    "pca",
    "isolation_forest",
    "nearest_neighbor",
)


TREES = 100


class Baseline:
    """A classical detector.

    Args:
        kind: What strangeness means, for a row x:

            - ``"z_score"``: mean over entries of ((x − μ) / σ)², with mean
              and standard deviation of the normal rows; a column that is
              constant there gets σ = 1.
            - ``"mahalanobis"``: (x − μ)ᵀ Σ⁻¹ (x − μ), with the shrunk
              covariance of Ledoit and Wolf (2004).
            - ``"pca"``: ‖x − x̂‖², x̂ from ``num_components`` components.
            - ``"isolation_forest"``: how few random cuts separate the row,
              from 0 to 1 (Liu et al. 2008), 100 trees.
            - ``"nearest_neighbor"``: Euclidean distance to the closest
              normal training row.
        num_components: Width of the PCA; for ``"pca"`` alone.
        seed: Integer ≥ 0, for the forest alone.

    Raises:
        ValueError: an unknown kind, ``num_components`` missing, too large or
            given to another kind; NaN; rows of another width than fitted;
            ``score`` before ``fit``.

    Example:

    >>> rows = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    >>> detector = Baseline("z_score").fit(rows)
    >>> detector.score([[0.5, 0.5], [0.5, 2.5]]).tolist()
    [0.0, 8.0]
    """

    def __init__(self, kind, *, num_components=None, seed=0):
        self.kind = check.check_choice(kind, "kind", KINDS)
        if (kind == "pca") != (num_components is not None):
            expected = "a number" if kind == "pca" else "None"
            check.fail(
                "num_components",
                f"{expected} for kind={kind!r}",
                repr(num_components),
            )
        if num_components is not None:
            num_components = check.check_int(num_components, "num_components")
        self.num_components = num_components
        self.seed = check.check_int(seed, "seed", minimum=0)
        self._score = None

    def fit(self, x):
        """Learn what is normal from rows ``(n, …)``; returns itself."""
        x = check.check_array(x, "x", min_rows=2)
        self._event_shape = x.shape[1:]
        self._score = getattr(self, f"_fit_{self.kind}")(_flat(x))
        return self

    def score(self, x):
        """Strangeness of each row: float64 array ``(n,)``."""
        if self._score is None:
            check.fail("score", "a detector that was fitted", "fit not called")
        x = check.check_array(x, "x", event_shape=self._event_shape)
        return np.asarray(self._score(_flat(x)), dtype="float64")

    def _fit_z_score(self, x):
        mean, deviation = x.mean(axis=0), x.std(axis=0)
        deviation = np.where(deviation > 0.0, deviation, 1.0)
        return lambda rows: np.mean(((rows - mean) / deviation) ** 2, axis=1)

    def _fit_mahalanobis(self, x):
        shrunk = LedoitWolf().fit(x)
        precision = shrunk.precision_

        def score(rows):
            centred = rows - shrunk.location_
            return np.sum((centred @ precision) * centred, axis=1)

        return score

    def _fit_pca(self, x):
        largest = min(x.shape)
        check.check_int(self.num_components, "num_components", 1, largest)
        pca = PCA(self.num_components, random_state=0).fit(x)

        def score(rows):
            x_hat = pca.inverse_transform(pca.transform(rows))
            return np.sum((rows - x_hat) ** 2, axis=1)

        return score

    def _fit_isolation_forest(self, x):
        forest = IsolationForest(n_estimators=TREES, random_state=self.seed)
        forest.fit(x)
        return lambda rows: -forest.score_samples(rows)

    def _fit_nearest_neighbor(self, x):
        search = NearestNeighbors(n_neighbors=1).fit(x)
        return lambda rows: search.kneighbors(rows)[0][:, 0]


def _flat(x):
    return x.reshape(len(x), -1).astype("float64")
