"""Clusters that a network learns together with its codes.

Cluster ids are names without meaning: compare them with classes by a score
that renaming does not change. No function here sees a label.
"""

import keras
import numpy as np
from keras import ops
from sklearn.cluster import KMeans

from utils.models._old_base import OwnLossModel
from utils.models.autoencoders import Autoencoder
from utils.nn import networks
from utils.nn.layers import PACKAGE, RandomAffine
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = [
    "DeepEmbeddedClustering",
    "NeighborClustering",
    "NeighborPairs",
    "soft_assignment",
    "target_distribution",
]

TINY = 1e-9  # keeps a logarithm finite


class NeighborPairs(keras.utils.PyDataset):
    """Batches of rows, each with a random one of its nearest neighbours.

    Every epoch visits each row once, in a new order, with a newly drawn
    neighbour. Neighbours are found once, by Euclidean distance of the codes.

    Args:
        x: Array ``(n, …)`` of rows.
        codes: Array ``(n, …)`` in which distance is measured; ``None``
            takes the rows themselves.
        num_neighbors: Neighbours a row, from 1 to n − 1.
        batch_size: Rows a batch; a last, smaller batch is kept.
        seed: Integer ≥ 0.

    Attributes:
        neighbors: Int64 array ``(n, num_neighbors)``, nearest first.

    Yields:
        Pairs ``(x, neighbor)`` of arrays ``(batch, …)``, as ``fit`` of
        :class:`NeighborClustering` wants them.
    """

    def __init__(
        self, x, codes=None, *, num_neighbors=5, batch_size=128, seed=0
    ):
        super().__init__()
        self.x = check.check_array(x, "x", min_rows=2)
        codes = self.x if codes is None else check.check_array(codes, "codes")
        if len(codes) != len(self.x):
            check.fail("codes", f"{len(self.x)} rows, as in x", f"{len(codes)}")
        num_neighbors = check.check_int(
            num_neighbors, "num_neighbors", maximum=len(codes) - 1
        )
        self.batch_size = check.check_int(batch_size, "batch_size")
        self.neighbors = _nearest(codes, num_neighbors)
        self._rng = np.random.default_rng(
            check.check_int(seed, "seed", minimum=0)
        )
        self.on_epoch_end()

    def on_epoch_end(self):
        """Draw a new order and, for each row, a neighbour."""
        count, width = self.neighbors.shape
        self._order = self._rng.permutation(count)
        drawn = self._rng.integers(width, size=count)
        self._partner = self.neighbors[np.arange(count), drawn]

    def __len__(self):
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, index):
        start = index * self.batch_size
        rows = self._order[start : start + self.batch_size]
        return self.x[rows], self.x[self._partner[rows]]


def _nearest(codes, num_neighbors):
    from sklearn.neighbors import NearestNeighbors

    codes = codes.reshape(len(codes), -1)
    search = NearestNeighbors(n_neighbors=num_neighbors).fit(codes)
    # without an argument a row is no neighbour of itself
    return search.kneighbors(return_distance=False).astype("int64")


@keras.saving.register_keras_serializable(package=PACKAGE)
class NeighborClustering(OwnLossModel):
    """A classifier without labels: neighbours belong together.

    The network gives each row a distribution p(x) over K clusters and is
    trained on pairs of a row x and a neighbour x′ to make them agree while
    all clusters stay in use:

        −mean log Σ_k p_k(x) p_k(x′) − balance · H(mean p),

    H the entropy of the average distribution, in nats, at most log K. This
    is the clustering loss of Van Gansbeke et al. (2020), who search for
    neighbours in the codes of a network trained by self-supervision. The
    second term is an assumption about the data: clusters of similar size.

    ``fit`` takes the neighbour where a classifier takes the label,
    ``fit(x, neighbor)``, or a :class:`NeighborPairs`.

    Args:
        input_shape: Shape of one example.
        num_clusters: Number K ≥ 2 of clusters.
        widths: Hidden widths: units for ``"dense"``, filters for ``"conv"``.
        network: ``"dense"`` or ``"conv"``.
        balance: Factor ≥ 0 of the entropy.
        affine: Arguments of ``RandomAffine`` as a dict, such as
            ``{"rotation": 10.0}``, with which both images of a pair are
            turned, shifted and scaled while training; ``None`` for no
            change. Which changes leave the class alone is knowledge about
            the data, if not a label.
        activation: Activation of the hidden layers.
        seed: Integer seed of initial weights and changes, or ``None``.

    Loss:
        Mean over the batch, in nats. Metrics: ``agreement``, the mean of
        Σ_k p_k(x) p_k(x′), and ``entropy``, H(mean p).

    Raises:
        ValueError: an argument out of range; from ``fit`` and the verbs,
            arrays of wrong shape or with NaN, or no neighbours.
    """

    def __init__(
        self,
        input_shape,
        num_clusters,
        *,
        widths=(256,),
        network="dense",
        balance=5.0,
        affine=None,
        activation="relu",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.event_shape = check.check_shape(input_shape, "input_shape")
        self.num_clusters = check.check_int(num_clusters, "num_clusters", 2)
        self.widths = check.check_widths(widths, "widths")
        self.network = check.check_choice(network, "network", ("dense", "conv"))
        self.balance = check.check_number(balance, "balance", 0.0)
        if affine is not None and len(self.event_shape) != 3:
            check.fail(
                "affine",
                "None unless examples are (height, width, channels)",
                f"examples {self.event_shape}",
            )
        self.affine = None if affine is None else dict(affine)
        self.activation = activation
        self.seed = check.check_seed(seed)
        build, _ = networks.BUILDERS[self.network]
        self.classifier = build(
            self.event_shape,
            self.num_clusters,
            self.widths,
            activation=activation,
            seed=self.seed,
            dtype=self.dtype_policy,
        )
        self.random_affine = (
            None if affine is None else RandomAffine(**affine, seed=self.seed)
        )
        self.agreement_tracker = keras.metrics.Mean(name="agreement")
        self.entropy_tracker = keras.metrics.Mean(name="entropy")
        self.built = True

    def call(self, inputs, training=False):
        """Distribution over the clusters, ``(batch, K)``."""
        if self.random_affine is not None:
            inputs = self.random_affine(inputs, training=training)
        logits = ops.cast(self.classifier(inputs), "float32")
        return ops.softmax(logits, axis=-1)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        other = self(y, training=training)  # (batch, K)
        agreement = ops.sum(y_pred * other, axis=1)
        average = ops.mean(0.5 * (y_pred + other), axis=0)
        entropy = -ops.sum(average * ops.log(average + TINY))
        self.agreement_tracker.update_state(agreement, sample_weight)
        self.entropy_tracker.update_state(entropy)
        surprise = -ops.log(agreement + TINY)
        if sample_weight is not None:
            surprise = surprise * ops.cast(sample_weight, "float32")
        loss = ops.mean(surprise) - self.balance * entropy
        return self.add_losses(loss)

    def fit(self, x=None, y=None, *args, **kwargs):
        """As ``keras.Model.fit``, for pairs; checks arrays before training."""
        if check.is_array(x):
            x = check.check_array(x, "x", event_shape=self.event_shape)
            if y is None:
                check.fail("y", "the neighbour of each row of x", "None")
            y = check.check_array(y, "y", event_shape=self.event_shape)
            if len(x) != len(y):
                check.fail("y", f"{len(x)} rows, as in x", f"{len(y)} rows")
        rows = x.x if isinstance(x, NeighborPairs) else x
        if check.is_array(rows) and len(rows) < self.num_clusters:
            check.fail(
                "x",
                f"at least {self.num_clusters} rows, one a cluster",
                f"{len(rows)}",
            )
        return super().fit(x, y, *args, **kwargs)

    def assign(self, x):
        """Distribution over the clusters: float32 array ``(n, K)``."""
        x = check.check_array(x, "x", event_shape=self.event_shape)
        return in_batches(self, x)

    def cluster(self, x):
        """Cluster id of each row: int64 ``(n,)``."""
        return self.assign(x).argmax(axis=1)

    def get_config(self):
        names = ("num_clusters", "network", "balance", "affine", "activation")
        own = {name: getattr(self, name) for name in (*names, "seed")}
        return {
            **super().get_config(),
            **own,
            "input_shape": list(self.event_shape),
            "widths": list(self.widths),
        }


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
        check.check_num_clusters(self.num_clusters, codes)
        kmeans = KMeans(self.num_clusters, n_init=10, random_state=seed)
        ids = kmeans.fit_predict(codes)
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
