"""Clusters of given codes, by the classical methods of scikit-learn.

Cluster ids are names without meaning: compare them with classes by a score
that renaming does not change. No function here sees a label; the one class
names its clusters afterwards, by few.
"""

import warnings

import numpy as np
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.metrics import pairwise_distances_argmin
from sklearn.mixture import GaussianMixture

from utils.support import validation as check

__all__ = ["ClusterThenLabel", "cluster_codes"]


METHODS = ("kmeans", "gmm", "spectral")


def cluster_codes(codes, num_clusters, method="kmeans", *, seed=0, tries=10):
    """Cluster ids of codes, by a classical method of scikit-learn.

    Args:
        codes: Array ``(n, …)``, flattened per row: codes or raw pixels.
        num_clusters: Number K of clusters, from 2 to the number of distinct
            rows.
        method: ``"kmeans"``; ``"gmm"``, a mixture of Gaussians with full
            covariances; ``"spectral"``, normalised cuts of the graph that
            joins each row to its 10 nearest (Ng et al. 2002). The last one
            labels these rows alone, with no rule for new ones.
        seed: Integer ≥ 0.
        tries: Starts of which the best is kept, for the first two.

    Returns:
        Int64 ids ``(n,)`` from 0 to K − 1.

    Raises:
        ValueError: unknown method, or fewer distinct rows than clusters.
    """
    codes = check.check_array(codes, "codes")
    codes = codes.reshape(len(codes), -1)
    check.check_num_clusters(num_clusters, codes)
    check.check_choice(method, "method", METHODS)
    seed = check.check_int(seed, "seed", minimum=0)
    if method == "kmeans":
        model = KMeans(num_clusters, n_init=tries, random_state=seed)
    elif method == "gmm":
        model = GaussianMixture(
            num_clusters,
            n_init=tries,
            reg_covar=1e-3 * float(codes.var(axis=0).mean()) + 1e-9,
            random_state=seed,
        )
    else:
        model = SpectralClustering(
            num_clusters,
            affinity="nearest_neighbors",
            n_neighbors=min(10, len(codes) - 1),
            assign_labels="cluster_qr",
            # the default fails on graphs in pieces before scikit-learn 1.9
            eigen_solver="lobpcg",
            random_state=seed,
        )
    with warnings.catch_warnings():
        # a graph in several pieces is an answer, not an accident
        warnings.filterwarnings("ignore", message="Graph is not fully")
        ids = model.fit_predict(codes)
    return ids.astype("int64")


class ClusterThenLabel:
    """k-means of all rows; a group is called as the label nearest to it.

    The first thing to try with few labels and many rows.

    Args:
        n_clusters: Number of groups.
        **options: As for ``sklearn.cluster.KMeans``.

    Raises:
        ValueError: from ``fit``, no row has a label.

    Example:

    >>> x = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> model = ClusterThenLabel(2, random_state=0).fit(x, [7, -1, -1, 3])
    >>> model.score(x, [7, 7, 3, 3])
    1.0
    """

    def __init__(self, n_clusters, **options):
        self.groups = KMeans(n_clusters, **options)

    def fit(self, x, y):
        """Group all rows, then name each group; y is −1 where unknown."""
        x, y = np.asarray(x), np.asarray(y)
        if not np.any(y >= 0):
            check.fail("y", "at least one class ≥ 0", "none")
        centres = self.groups.fit(x).cluster_centers_
        x, y = x[y >= 0], y[y >= 0]
        self.names = y[pairwise_distances_argmin(centres, x)]
        return self

    def predict(self, x):
        """The name of each row's group, ``(n,)``."""
        return self.names[self.groups.predict(x)]

    def score(self, x, y):
        """Share of rows whose group is called as they are."""
        return float(np.mean(self.predict(x) == np.asarray(y)))
