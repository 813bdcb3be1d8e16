"""Two views of one image should have one code, and codes should differ.

The first demand alone is met by a constant code. What prevents it tells the
methods apart: SimCLR compares with other images, VICReg asks for variance.
"""

from collections import namedtuple

import keras
from keras import ops

from utils.models.base import builds, weighted_mean
from utils.models.pretext import PretextModel
from utils.nn import networks
from utils.nn.augmentation import Augmentation
from utils.nn.layers import PACKAGE
from utils.support import validation as check

__all__ = ["SimCLR", "VICReg", "nt_xent", "vicreg_terms"]

VICRegTerms = namedtuple(
    "VICRegTerms", ["invariance", "variance", "covariance"]
)
_SELF = -1e9  # similarity of a view with itself: never chosen


def nt_xent(first, second, temperature=0.5):
    """Normalised-temperature cross-entropy of pairs, in nats.

    Each of the 2n views picks its partner among the 2n − 1 others by a
    softmax of cosine similarity / temperature:
    −log(exp(s_ij/τ) / Σ_{m≠i} exp(s_im/τ)) (Sohn 2016; Chen et al. 2020).

    Args:
        first: Tensor ``(n, p)``, one view of each image.
        second: Tensor ``(n, p)``, the other view, rows in the same order.
        temperature: τ > 0.

    Returns:
        Tensor ``(n,)``, nats a pair: the mean of both directions. Guessing
        gives log(2n − 1), so that values of different n do not compare.
    """
    first = _unit(ops.cast(first, "float32"))
    second = _unit(ops.cast(second, "float32"))
    n = ops.shape(first)[0]
    both = ops.concatenate([first, second], axis=0)  # (2n, p)
    similarity = ops.matmul(both, ops.transpose(both)) / temperature
    similarity = similarity + _SELF * ops.eye(2 * n, dtype="float32")
    total = ops.logsumexp(similarity, axis=1)  # (2n,)
    partner = ops.sum(first * second, axis=1) / temperature  # (n,)
    return 0.5 * (total[:n] + total[n:]) - partner


def vicreg_terms(first, second):
    """The three terms of VICReg (Bardes et al. 2022), none with negatives.

    - invariance: (z − z′)², mean over pairs and entries;
    - variance: max(0, 1 − √(var_j + 10⁻⁴)), mean over entries j;
    - covariance: Σ_{i≠j} cov_ij² / p.

    The last two are means over both views; variances divide by n − 1.

    Args:
        first: Tensor ``(n, p)``, one view of each image.
        second: Tensor ``(n, p)``, the other view, rows in the same order.

    Returns:
        ``VICRegTerms`` of three scalars ≥ 0. All are 0 if and only if both
        views agree and their entries are uncorrelated with deviation ≥ 1 (up
        to the 10⁻⁴ that keeps the root smooth).
    """
    first, second = ops.cast(first, "float32"), ops.cast(second, "float32")
    invariance = ops.mean(ops.square(first - second))
    spreads, overlaps = zip(*map(_moments, (first, second)), strict=True)
    return VICRegTerms(invariance, sum(spreads) / 2.0, sum(overlaps) / 2.0)


def _moments(z):
    """Missing variance and squared covariances of one set of views."""
    rows = ops.cast(ops.shape(z)[0], "float32")
    z = z - ops.mean(z, axis=0, keepdims=True)
    covariance = ops.matmul(ops.transpose(z), z) / ops.maximum(rows - 1.0, 1.0)
    variance = ops.diagonal(covariance)
    spread = ops.mean(ops.relu(1.0 - ops.sqrt(variance + 1e-4)))
    overlap = ops.sum(ops.square(covariance)) - ops.sum(ops.square(variance))
    return spread, overlap / z.shape[1]


def _dense(
    input_shape,
    latent_dim,
    *,
    widths=(128,),
    activation="relu",
    projection=(128, 64),
    seed=None,
    dtype=None,
):
    """A dense encoder and a dense projector.

    Args:
        input_shape: Shape of one example, ``(height, width, channels)`` for
            the usual views.
        latent_dim: Width of the code.
        widths: Hidden units of the encoder, input side first.
        activation: Activation of the hidden layers.
        projection: Units of the projector's layers, at least one.
        seed: Integer seed of initial weights and of the usual views, or
            ``None``.
        dtype: Dtype policy of networks and model.
        **objective: As for the class.
    """
    shared = {"activation": activation, "seed": seed, "dtype": dtype}
    encoder, _ = networks.dense_pair(input_shape, latent_dim, widths, **shared)
    projector = _projector(latent_dim, projection, activation, seed, dtype)
    return encoder, projector


def _conv(
    input_shape,
    latent_dim,
    *,
    widths=(32, 64),
    activation="relu",
    projection=(128, 64),
    seed=None,
    dtype=None,
):
    """As :meth:`dense`, the encoder of convolutions of stride 2.

    ``widths`` are filters, at least one; each halves the sides.
    """
    shared = {"activation": activation, "seed": seed, "dtype": dtype}
    encoder, _ = networks.conv_pair(input_shape, latent_dim, widths, **shared)
    projector = _projector(latent_dim, projection, activation, seed, dtype)
    return encoder, projector


@keras.saving.register_keras_serializable(package=PACKAGE)
class SimCLR(PretextModel):
    """Contrastive learning: find one's partner among the batch.

    Chen et al. (2020): two random views of each image, encoder f, projector
    g, and :func:`nt_xent` between g(f(·)). The projector is thrown away
    afterwards: it may forget whatever the views disagree on, the code in
    front of it forgets less.

    Example:

    Networks and views of your own:

    >>> encoder = keras.Sequential(
    ...     [keras.Input((64,)), keras.layers.Dense(8, "tanh")]
    ... )
    >>> projector = keras.Sequential([keras.Input((8,)), keras.layers.Dense(5)])
    >>> views = keras.layers.GaussianNoise(0.3)
    >>> model = SimCLR(encoder, projector, augmentation=views)
    >>> model.encode(np.zeros((5, 64))).shape
    (5, 8)

    The course's own, in one call:

    >>> model = SimCLR.conv(
    ...     (8, 8, 1), 6, widths=(4,), augmentation=Augmentation(shift=2.0)
    ... )
    >>> model.encode(np.zeros((5, 8, 8, 1))).shape
    (5, 6)

    Args:
        encoder: Keras model from ``(batch, *input_shape)`` to codes.
        projector: Keras model from codes to vectors ``(batch, p)``.
        augmentation: Keras layer that draws another view at each call with
            ``training=True``; it keeps the shape. ``None`` takes
            ``Augmentation(shift=1, affine=0.2)``, for images.
        temperature: τ > 0 of the softmax.
        seed: Integer seed of those usual views, or ``None``; a layer of your
            own has its own.

    Loss:
        ``nt_xent``, nats, mean over pairs, plus ``self.losses``. A pair's
        weight multiplies its own term; it still is an alternative to all
        others. The metric ``matched`` is the share of first views whose
        nearest other view in the batch is the partner.

    Raises:
        ValueError: a projector that does not take the codes, views of
            another shape, a temperature out of range; from ``fit`` and
            ``evaluate``, a batch of one row, which has no alternatives; what
            :class:`PretextModel` refuses.
    """

    min_batch = 2

    def __init__(
        self,
        encoder,
        projector,
        *,
        augmentation=None,
        temperature=0.5,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        _project_views(self, projector, augmentation, seed)
        self.temperature = check.check_number(temperature, "temperature", 1e-3)
        self.matched_tracker = keras.metrics.Mean(name="matched")
        self.built = True

    dense = builds("encoder", "projector")(_dense)
    conv = builds("encoder", "projector")(_conv)

    def call(self, inputs, training=False):
        """Projections of two views: ``{"first", "second"}``, each (batch, p).

        Views are drawn while training and in ``evaluate`` and ``predict``
        alike: without them there is no task. ``encode`` draws none.
        """
        return _two_views(self, inputs, training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        first, second = y_pred["first"], y_pred["second"]
        error = nt_xent(first, second, self.temperature)  # (batch,)
        found = _matched(first, second)
        self.matched_tracker.update_state(found, sample_weight)
        return self.add_losses(weighted_mean(error, sample_weight))


@keras.saving.register_keras_serializable(package=PACKAGE)
class VICReg(PretextModel):
    """Two views agree, and no entry of the projection may die or repeat.

    Bardes et al. (2022): weight_i · invariance + weight_v · variance +
    weight_c · covariance of :func:`vicreg_terms`, without negatives. With
    ``variance=covariance=0`` a constant code is optimal: collapse.

    Example:

    >>> model = VICReg.dense((8, 8, 1), 6, widths=(16,), seed=0)
    >>> model.encode(np.zeros((5, 8, 8, 1))).shape
    (5, 6)

    Args:
        encoder, projector, augmentation, seed: As for :class:`SimCLR`.
        invariance: Weight ≥ 0 of the agreement.
        variance: Weight ≥ 0 of the missing variance.
        covariance: Weight ≥ 0 of the squared covariances.

    Loss:
        The weighted sum, of no unit, plus ``self.losses``. Variances belong
        to a batch, not to a row: sample weights are refused. Metrics
        ``invariance``, ``variance`` and ``covariance``: the bare terms.

    Raises:
        ValueError: as for :class:`SimCLR`; weights of rows.
    """

    min_batch = 2
    weighted = False

    def __init__(
        self,
        encoder,
        projector,
        *,
        augmentation=None,
        invariance=25.0,
        variance=25.0,
        covariance=1.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        _project_views(self, projector, augmentation, seed)
        self.invariance = check.check_number(invariance, "invariance", 0.0)
        self.variance = check.check_number(variance, "variance", 0.0)
        self.covariance = check.check_number(covariance, "covariance", 0.0)
        self.invariance_tracker = keras.metrics.Mean(name="invariance")
        self.variance_tracker = keras.metrics.Mean(name="variance")
        self.covariance_tracker = keras.metrics.Mean(name="covariance")
        self.built = True

    dense = builds("encoder", "projector")(_dense)
    conv = builds("encoder", "projector")(_conv)

    def call(self, inputs, training=False):
        """As :meth:`SimCLR.call`."""
        return _two_views(self, inputs, training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        terms = vicreg_terms(y_pred["first"], y_pred["second"])
        self.invariance_tracker.update_state(terms.invariance)
        self.variance_tracker.update_state(terms.variance)
        self.covariance_tracker.update_state(terms.covariance)
        return self.add_losses(
            self.invariance * terms.invariance
            + self.variance * terms.variance
            + self.covariance * terms.covariance
        )


def _projector(latent_dim, widths, activation, seed, dtype):
    """Dense layers from the code to the space in which views are compared."""
    widths = check.check_widths(widths, "projection")
    if not widths:
        check.fail("projection", "at least one width", "()")
    inputs = hidden = keras.Input((latent_dim,), name="z")
    for index, units in enumerate(widths, start=1):
        last = index == len(widths)
        hidden = keras.layers.Dense(
            units,
            None if last else activation,
            kernel_initializer=networks.glorot(seed, 500 + index),
            name=f"projection_{index}",
            dtype=dtype,
        )(hidden)
    return keras.Model(inputs, hidden, name="projector")


def _project_views(model, projector, augmentation, seed):
    """What all families with two views keep: a projector, and the views."""
    model.width = model.width_on_codes(projector, "projector")
    model.projector, model.seed = projector, check.check_seed(seed)
    model.augmentation = _views(
        augmentation, model.event_shape, seed, model.dtype_policy
    )


def _views(augmentation, event_shape, seed, dtype):
    """The layer that draws views, checked against the rows it is to change."""
    if augmentation is None:
        if len(event_shape) != 3:
            check.fail(
                "augmentation",
                f"a layer for rows of shape {event_shape}, as the usual "
                "views are of images",
                "None",
            )
        augmentation = Augmentation(
            shift=1.0, affine=0.2, seed=seed, dtype=dtype
        )
    if not isinstance(augmentation, keras.layers.Layer):
        check.fail(
            "augmentation",
            "a Keras layer that draws views, such as Augmentation(shift=2.0)",
            repr(augmentation),
        )
    shape = (None, *event_shape)
    if not augmentation.built:
        augmentation.build(shape)
    made = tuple(augmentation.compute_output_shape(shape))
    if made != shape:
        check.fail("augmentation", f"views of shape {shape}", f"{made}")
    return augmentation


def _two_views(model, inputs, training):
    """Projections of two views of each row: ``{"first", "second"}``."""
    views = ops.concatenate([inputs, inputs], axis=0)
    views = model.augmentation(views, training=True)
    codes = model.encoder(views, training=training)
    outputs = model.projector(codes, training=training)
    rows = ops.shape(inputs)[0]
    return {"first": outputs[:rows], "second": outputs[rows:]}


def _matched(first, second):
    """1 where the nearest of the 2n − 1 other views is the partner."""
    first = ops.stop_gradient(_unit(ops.cast(first, "float32")))
    second = ops.stop_gradient(_unit(ops.cast(second, "float32")))
    across = ops.matmul(first, ops.transpose(second))
    within = ops.matmul(first, ops.transpose(first))
    within = within + _SELF * ops.eye(ops.shape(first)[0], dtype="float32")
    best = ops.maximum(ops.max(across, axis=1), ops.max(within, axis=1))
    return ops.cast(ops.diagonal(across) >= best, "float32")


def _unit(z):
    """Rows of length one; a row of zeros stays zero."""
    squared = ops.sum(ops.square(z), axis=1, keepdims=True)
    return z * ops.rsqrt(ops.maximum(squared, 1e-12))
