"""Clusters of codes: found after training, or learned by a network.

Cluster ids are names without meaning: compare them with classes by a score
that renaming does not change. No function here sees a label.
"""

import itertools
import warnings

import keras
import numpy as np
from keras import ops
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from utils import _validation as check
from utils._batches import in_batches
from utils._neighbor_clustering import (
    TINY,
    NeighborClustering,
    NeighborPairs,
)
from utils.autoencoders import Autoencoder
from utils.layers import PACKAGE

__all__ = [
    "DeepEmbeddedClustering",
    "NeighborClustering",
    "NeighborPairs",
    "cluster_codes",
    "key_frames",
    "soft_assignment",
    "stability",
    "target_distribution",
]

METHODS = ("kmeans", "gmm", "spectral")


# ----------------------------------------------- clusters of given codes


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
    _check_num_clusters(num_clusters, codes)
    check.check_choice(method, "method", METHODS)
    seed = check.check_int(seed, "seed", minimum=0)
    if method == "kmeans":
        model = KMeans(num_clusters, n_init=tries, random_state=seed)
    elif method == "gmm":
        model = GaussianMixture(
            num_clusters,
            n_init=tries,
            reg_covar=1e-3 * float(codes.var(axis=0).mean()) + TINY,
            random_state=seed,
        )
    else:
        model = SpectralClustering(
            num_clusters,
            affinity="nearest_neighbors",
            n_neighbors=min(10, len(codes) - 1),
            assign_labels="cluster_qr",
            random_state=seed,
        )
    with warnings.catch_warnings():
        # a graph in several pieces is an answer, not an accident
        warnings.filterwarnings("ignore", message="Graph is not fully")
        ids = model.fit_predict(codes)
    return ids.astype("int64")


def _check_num_clusters(num_clusters, rows):
    """Refuse more clusters than there are distinct rows."""
    num_clusters = check.check_int(num_clusters, "num_clusters", minimum=2)
    expected = "at most as many clusters as distinct rows"
    if num_clusters > len(rows):
        received = f"{num_clusters} clusters for {len(rows)} rows"
        check.fail("num_clusters", expected, received)
    distinct = len(np.unique(rows, axis=0))
    if num_clusters > distinct:
        received = f"{num_clusters} clusters for {distinct} distinct rows"
        check.fail("num_clusters", expected, received)
    return num_clusters


def stability(labelings):
    """Mean agreement of several clusterings of the same rows.

    Agreement of two is their adjusted Rand index, which renaming the
    clusters leaves alone. High stability says that the method finds the
    same answer again, not that the answer is right.

    Args:
        labelings: At least two vectors of integer ids ``(n,)``.

    Returns:
        Float, at most 1; about 0 for unrelated clusterings.

    Raises:
        ValueError: fewer than two, or lengths that differ.

    Example:

    >>> stability([[0, 0, 1, 1], [1, 1, 0, 0]])
    1.0
    """
    if len(labelings) < 2:
        check.fail("labelings", "at least two", f"{len(labelings)}")
    size = len(labelings[0])
    labelings = [
        check.check_labels(ids, f"labelings[{index}]", num_rows=size)
        for index, ids in enumerate(labelings)
    ]
    scores = [
        adjusted_rand_score(*pair)
        for pair in itertools.combinations(labelings, 2)
    ]
    return float(np.mean(scores))


def key_frames(codes, ids):
    """The row closest to the mean of each cluster, in order of time.

    One real frame stands for each group of similar frames.

    Args:
        codes: Array ``(n, …)`` of frames or their codes, in order of time.
        ids: Integer cluster ids ``(n,)``.

    Returns:
        Increasing int64 row numbers, one a cluster.

    Raises:
        ValueError: lengths that differ, or float ids.

    Example:

    >>> key_frames(np.array([[0.0], [1.0], [2.0], [9.0]]), [5, 5, 5, 2])
    array([1, 3])
    """
    codes = check.check_array(codes, "codes")
    codes = codes.reshape(len(codes), -1)
    ids = check.check_labels(ids, "ids", num_rows=len(codes))
    chosen = []
    for k in np.unique(ids):
        rows = np.flatnonzero(ids == k)
        offsets = codes[rows] - codes[rows].mean(axis=0)
        chosen.append(rows[np.argmin(np.sum(offsets**2, axis=1))])
    return np.sort(np.array(chosen, dtype="int64"))


# ------------------------------------------------ deep embedded clustering


def soft_assignment(codes, centers):
    """Membership of each code in each cluster, by Student's t kernel.

    q_ik = (1 + ‖z_i − μ_k‖²)⁻¹ / Σ_j (1 + ‖z_i − μ_j‖²)⁻¹: the kernel of
    t-SNE with one degree of freedom (Xie et al. 2016, equation 1).

    Args:
        codes: Tensor ``(batch, k)``.
        centers: Tensor ``(K, k)``.

    Returns:
        Tensor ``(batch, K)``: positive, rows sum to 1.
    """
    codes = ops.cast(codes, "float32")
    centers = ops.cast(centers, "float32")
    offsets = ops.expand_dims(codes, 1) - centers  # (batch, K, k)
    kernel = 1.0 / (1.0 + ops.sum(ops.square(offsets), axis=2))
    return kernel / ops.sum(kernel, axis=1, keepdims=True)


def target_distribution(assignment):
    """Sharpened memberships that clusters are trained towards.

    p_ik ∝ q_ik² / f_k with f_k = Σ_i q_ik: squaring raises what is already
    likely, dividing by the cluster's weight keeps large clusters from
    swallowing the rest (Xie et al. 2016, equation 3).

    Args:
        assignment: Tensor ``(batch, K)`` of memberships q.

    Returns:
        Tensor ``(batch, K)``, rows sum to 1.
    """
    assignment = ops.cast(assignment, "float32")
    weight = ops.square(assignment) / ops.sum(assignment, axis=0)
    return weight / ops.sum(weight, axis=1, keepdims=True)


@keras.saving.register_keras_serializable(package=PACKAGE)
class DeepEmbeddedClustering(Autoencoder):
    """An autoencoder whose code is pulled into K clusters.

    Two stages, one model (Xie et al. 2016). Until :meth:`start_clusters` is
    called, ``fit`` trains an autoencoder. That call runs k-means on the
    codes for the centres μ_k; from then on ``fit`` minimises

        cluster_weight · KL(P ‖ Q) + reconstruction_weight · loss(x, x̂)

    per example, with Q from :func:`soft_assignment` and P from
    :func:`target_distribution`. Keeping the second term is the variant of
    Guo et al. (2017); 0 gives the original. P is computed from the batch at
    every step and takes no gradient; the paper computes it from all rows
    every so many steps, so give batches of at least some 25 K rows.

    Args:
        input_shape: Shape of one example.
        latent_dim: Width of the code.
        num_clusters: Number K ≥ 2 of clusters.
        cluster_weight: Factor ≥ 0 of the divergence.
        reconstruction_weight: Factor ≥ 0 of the reconstruction loss once
            the clusters have been started; it is 1 before.
        **kwargs: As for :class:`~utils.autoencoders.Autoencoder`.

    Raises:
        ValueError: an argument out of range; from :meth:`start_clusters`,
            fewer distinct rows than clusters; from :meth:`assign` and
            :meth:`cluster`, a model whose clusters were never started.
    """

    def __init__(
        self,
        input_shape,
        latent_dim,
        num_clusters,
        *,
        cluster_weight=1.0,
        reconstruction_weight=0.0,
        **kwargs,
    ):
        super().__init__(input_shape, latent_dim, **kwargs)
        self.num_clusters = check.check_int(num_clusters, "num_clusters", 2)
        self.cluster_weight = check.check_number(
            cluster_weight, "cluster_weight", 0.0
        )
        self.reconstruction_weight = check.check_number(
            reconstruction_weight, "reconstruction_weight", 0.0
        )
        self.centers = self.add_weight(
            name="centers",
            shape=(self.num_clusters, self.latent_dim),
            initializer="zeros",
            autocast=False,
        )
        self.started = self.add_weight(
            name="started",
            shape=(),
            initializer="zeros",
            trainable=False,
            autocast=False,
        )
        self.divergence_tracker = keras.metrics.Mean(name="divergence")

    def call(self, inputs, training=False):
        """As an autoencoder, and ``"assignment"``: q, ``(batch, K)``."""
        outputs = super().call(inputs, training=training)
        assignment = soft_assignment(outputs["code"], self.centers)
        return {**outputs, "assignment": assignment}

    def divergence(self, assignment):
        """KL(P ‖ Q) of each row of the batch, in nats, ``(batch,)``."""
        target = ops.stop_gradient(target_distribution(assignment))
        ratio = ops.log(target + TINY) - ops.log(assignment + TINY)
        return ops.sum(target * ratio, axis=1)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        error = self.reconstruction_loss(x, y_pred)  # (batch,)
        divergence = self.divergence(y_pred["assignment"])
        self.track_mse(x, y_pred, sample_weight)
        self.divergence_tracker.update_state(divergence, sample_weight)
        keep = 1.0 - self.started * (1.0 - self.reconstruction_weight)
        total = keep * error + self.started * self.cluster_weight * divergence
        if sample_weight is not None:
            total = total * ops.cast(sample_weight, total.dtype)
        return self.add_losses(ops.mean(total))

    def start_clusters(self, x, *, seed=0):
        """Set the centres by k-means on the codes of x.

        Args:
            x: Array ``(n, *input_shape)`` with n ≥ K distinct rows.
            seed: Integer ≥ 0.

        Returns:
            The ids that k-means found, ``(n,)``.
        """
        codes = self.encode(x)
        ids = cluster_codes(codes, self.num_clusters, seed=seed)
        centers = [codes[ids == k].mean(0) for k in range(self.num_clusters)]
        self.centers.assign(np.stack(centers))
        self.started.assign(1.0)
        return ids

    def assign(self, x):
        """Memberships q of each row: float32 array ``(n, K)``."""
        if not float(ops.convert_to_numpy(self.started)):
            check.fail("model", "start_clusters(x) before", "no centres yet")
        return in_batches(
            lambda codes: soft_assignment(codes, self.centers), self.encode(x)
        )

    def cluster(self, x):
        """Cluster id of each row: int64 ``(n,)``."""
        return self.assign(x).argmax(axis=1)

    def get_config(self):
        names = ("num_clusters", "cluster_weight", "reconstruction_weight")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own}
