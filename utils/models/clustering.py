"""Clusters that a network learns together with its codes.

Cluster ids are names without meaning: compare them with classes by a score
that renaming does not change. No function here sees a label.
"""

import keras
import numpy as np
from keras import ops
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from utils.models.autoencoders import Autoencoder
from utils.models.base import (
    CourseModel,
    batch_average,
    builds,
    shapes_of,
    weighted_mean,
)
from utils.nn import networks
from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import CheckedBatches, in_batches

__all__ = [
    "DeepEmbeddedClustering",
    "NeighborClustering",
    "NeighborPairs",
    "soft_assignment",
    "target_distribution",
]

TINY = 1e-9  # keeps a logarithm finite


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

    Example:

    Networks of your own:

    >>> encoder = keras.Sequential([keras.Input((64,)), keras.layers.Dense(5)])
    >>> decoder = keras.Sequential([keras.Input((5,)), keras.layers.Dense(64)])
    >>> model = DeepEmbeddedClustering(encoder, decoder, num_clusters=3)
    >>> ids = model.start_clusters(np.random.default_rng(0).random((40, 64)))
    >>> model.assign(np.zeros((5, 64))).shape
    (5, 3)

    The course's own, ``dense`` or ``conv``:

    >>> model = DeepEmbeddedClustering.dense((64,), 5, num_clusters=3, seed=0)
    >>> model.encode(np.zeros((5, 64))).shape
    (5, 5)

    Args:
        encoder: As for :class:`Autoencoder`; codes are vectors.
        decoder, likelihood, overcomplete: As for :class:`Autoencoder`.
        num_clusters: Number K ≥ 2 of clusters.
        cluster_weight: Factor ≥ 0 of the divergence.
        reconstruction_weight: Factor ≥ 0 of the reconstruction loss once
            the clusters have been started; it is 1 before.

    Loss:
        As above, in nats, mean over the batch, plus ``self.losses``. The
        metric ``divergence`` is KL(P ‖ Q). P counts a row of weight 2 twice.

    Raises:
        ValueError: as for :class:`Autoencoder`; an argument out of range;
            from :meth:`start_clusters`, fewer distinct rows than clusters;
            from :meth:`assign` and :meth:`cluster`, a model whose clusters
            were never started.
    """

    def __init__(
        self,
        encoder,
        decoder,
        num_clusters,
        *,
        likelihood=None,
        cluster_weight=1.0,
        reconstruction_weight=0.0,
        overcomplete=False,
        **kwargs,
    ):
        super().__init__(
            encoder,
            decoder,
            likelihood=likelihood,
            overcomplete=overcomplete,
            **kwargs,
        )
        if len(self.code_shape) != 1:
            expected = "codes that are vectors, (batch, latent_dim)"
            check.fail("encoder", expected, f"codes {self.code_shape}")
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

    # ----------------------------------------------------------- objective

    def call(self, inputs, training=False):
        """As an autoencoder, and ``"assignment"``: q, ``(batch, K)``."""
        outputs = super().call(inputs, training=training)
        assignment = soft_assignment(outputs["code"], self.centers)
        return {**outputs, "assignment": assignment}

    def divergence(self, assignment, sample_weight=None):
        """KL(P ‖ Q) of each row of the batch, in nats, ``(batch,)``."""
        target = target_distribution(assignment, sample_weight)
        target = ops.stop_gradient(target)
        ratio = ops.log(target + TINY) - ops.log(assignment + TINY)
        return ops.sum(target * ratio, axis=1)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        error = self.likelihood.negative_log_likelihood(x, y_pred)  # (batch,)
        divergence = self.divergence(y_pred["assignment"], sample_weight)
        self.track_mse(x, y_pred, sample_weight)
        self.divergence_tracker.update_state(divergence, sample_weight)
        keep = 1.0 - self.started * (1.0 - self.reconstruction_weight)
        total = keep * error + self.started * self.cluster_weight * divergence
        return self.add_losses(weighted_mean(total, sample_weight))

    # --------------------------------------------------------------- verbs

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


def target_distribution(assignment, sample_weight=None):
    """Sharpened memberships that clusters are trained towards.

    p_ik ∝ q_ik² / f_k with f_k = Σ_i q_ik: squaring raises what is already
    likely, dividing by the cluster's weight keeps large clusters from
    swallowing the rest (Xie et al. 2016, equation 3).

    Args:
        assignment: Tensor ``(batch, K)`` of memberships q.
        sample_weight: Tensor ``(batch,)``: how often each row counts in f_k;
            ``None`` for once.

    Returns:
        Tensor ``(batch, K)``, rows sum to 1.
    """
    assignment = ops.cast(assignment, "float32")
    counted = assignment
    if sample_weight is not None:
        counted = assignment * ops.cast(sample_weight, "float32")[:, None]
    frequency = ops.maximum(ops.sum(counted, axis=0), TINY)
    weight = ops.square(assignment) / frequency
    return weight / ops.sum(weight, axis=1, keepdims=True)


@keras.saving.register_keras_serializable(package=PACKAGE)
class NeighborClustering(CourseModel):
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

    Example:

    A network of your own:

    >>> network = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])
    >>> NeighborClustering(network).assign(np.zeros((5, 64))).shape
    (5, 10)

    The course's own, ``dense`` or ``conv``:

    >>> model = NeighborClustering.dense((64,), 10, widths=(32,), seed=0)
    >>> model.cluster(np.zeros((5, 64))).shape
    (5,)

    Args:
        classifier: Keras model from ``(batch, *input_shape)`` to logits
            ``(batch, K)``, K ≥ 2, linear at its end.
        balance: Factor ≥ 0 of the entropy.
        augmentation: Keras layer with which both images of a pair are
            changed while training, such as ``RandomAffine(rotation=10)``;
            ``None`` for no change. Which changes leave the class alone is
            knowledge about the data, if not a label.

    Loss:
        Mean over the batch, in nats, plus ``self.losses``. Metrics:
        ``agreement``, the mean of Σ_k p_k(x) p_k(x′), and ``entropy``,
        H(mean p), in which a row of weight 2 counts twice.

    Raises:
        ValueError: an argument out of range; a network of other shapes; from
            ``fit`` and the verbs, arrays of wrong shape or with NaN, or no
            neighbours.
    """

    def __init__(self, classifier, *, balance=5.0, augmentation=None, **kwargs):
        super().__init__(**kwargs)
        self.event_shape, logits = shapes_of(classifier, "classifier")
        if len(logits) != 1 or logits[0] < 2:
            expected = "logits of shape (batch, K), K ≥ 2"
            check.fail("classifier", expected, f"outputs {logits} a row")
        if not isinstance(augmentation, (keras.layers.Layer, type(None))):
            expected = "a Keras layer, or None"
            check.fail("augmentation", expected, repr(augmentation))
        self.classifier, self.augmentation = classifier, augmentation
        self.num_clusters = logits[0]
        self.balance = check.check_number(balance, "balance", 0.0)
        self.agreement_tracker = keras.metrics.Mean(name="agreement")
        self.entropy_tracker = keras.metrics.Mean(name="entropy")
        self.built = True

    @builds("classifier")
    def dense(
        input_shape,
        num_clusters,
        *,
        widths=(256,),
        activation="relu",
        seed=None,
        dtype=None,
    ):
        """A classifier of dense layers.

        Args:
            input_shape: Shape of one example.
            num_clusters: Number K ≥ 2 of clusters.
            widths: Hidden units, input side first; may be empty.
            activation: Activation of the hidden layers.
            seed: Integer seed of the initial weights, or ``None``.
            dtype: Dtype policy of network and model.
            **objective: As for the class.
        """
        return networks.dense_encoder(
            check.check_shape(input_shape, "input_shape"),
            check.check_int(num_clusters, "num_clusters", 2),
            check.check_widths(widths, "widths"),
            activation=activation,
            seed=check.check_seed(seed),
            dtype=dtype,
        )

    @builds("classifier")
    def conv(
        input_shape,
        num_clusters,
        *,
        widths=(16, 32),
        activation="relu",
        seed=None,
        dtype=None,
    ):
        """As :meth:`dense`, of convolutions of stride 2.

        ``widths`` are filters; each halves the sides.
        """
        return networks.conv_encoder(
            check.check_shape(input_shape, "input_shape"),
            check.check_int(num_clusters, "num_clusters", 2),
            check.check_widths(widths, "widths"),
            activation=activation,
            seed=check.check_seed(seed),
            dtype=dtype,
        )

    # ----------------------------------------------------------- objective

    def call(self, inputs, training=False):
        """Distribution over the clusters, ``(batch, K)``."""
        if self.augmentation is not None:
            inputs = self.augmentation(inputs, training=training)
        logits = self.classifier(inputs, training=training)
        return ops.softmax(ops.cast(logits, "float32"), axis=-1)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        other = self(y, training=training)  # (batch, K)
        agreement = ops.sum(y_pred * other, axis=1)
        average = batch_average(0.5 * (y_pred + other), sample_weight)
        entropy = -ops.sum(average * ops.log(average + TINY))
        surprise = weighted_mean(-ops.log(agreement + TINY), sample_weight)
        share = weighted_mean(ops.ones_like(agreement), sample_weight)
        loss = surprise - self.balance * share * entropy
        self.agreement_tracker.update_state(agreement, sample_weight)
        self.entropy_tracker.update_state(entropy)
        return self.add_losses(loss)

    # -------------------------------------------------------------- checks

    def check_data(self, x, y=None, name="x"):
        x = self.check_input(x, name)
        if y is None:
            check.fail("y", f"the neighbour of each row of {name}", "None")
        y = check.check_array(y, "y", event_shape=self.event_shape)
        if len(x) != len(y):
            check.fail("y", f"{len(x)} rows, as in {name}", f"{len(y)} rows")
        return x, y

    def check_input(self, x, name="x"):
        return check.check_array(x, name, event_shape=self.event_shape)

    def before_training(self, x):
        """Refuse fewer rows than clusters, where their number is known."""
        if isinstance(x, CheckedBatches) and isinstance(
            x.source, NeighborPairs
        ):
            x = x.source.x
        if check.is_array(x) and len(x) < self.num_clusters:
            expected = f"at least {self.num_clusters} rows, one a cluster"
            check.fail("x", expected, f"{len(x)}")

    # --------------------------------------------------------------- verbs

    def assign(self, x):
        """Distribution over the clusters: float32 array ``(n, K)``."""
        return in_batches(self, self.check_input(x))

    def cluster(self, x):
        """Cluster id of each row: int64 ``(n,)``."""
        return self.assign(x).argmax(axis=1)


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
    codes = codes.reshape(len(codes), -1)
    search = NearestNeighbors(n_neighbors=num_neighbors).fit(codes)
    # without an argument a row is no neighbour of itself
    return search.kneighbors(return_distance=False).astype("int64")
