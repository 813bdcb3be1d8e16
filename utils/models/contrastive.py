"""Two views of one image should have one code, and codes should differ.

The first demand alone is met by a constant code. What prevents it tells the
methods apart: SimCLR compares with other images, VICReg asks for variance.
"""

from collections import namedtuple

import keras
from keras import ops

from utils.models.pretext import PretextModel
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


def _unit(z):
    """Rows of length one; a row of zeros stays zero."""
    squared = ops.sum(ops.square(z), axis=1, keepdims=True)
    return z * ops.rsqrt(ops.maximum(squared, 1e-12))


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


class _TwoViews(PretextModel):
    """Encoder, projection head, and two random views of every row."""

    min_rows = 2  # one row alone has nothing to differ from

    def __init__(
        self,
        input_shape,
        latent_dim,
        *,
        projection=(128, 64),
        augmentation=None,
        **kwargs,
    ):
        super().__init__(input_shape, latent_dim, **kwargs)
        self.projection = check.check_widths(projection, "projection")
        if not self.projection:
            check.fail("projection", "at least one width", "()")
        if len(self.event_shape) != 3:
            check.fail(
                "input_shape",
                "an image (height, width, channels), as views are images",
                f"{self.event_shape}",
            )
        if augmentation is not None and not isinstance(augmentation, dict):
            check.fail(
                "augmentation",
                "a dict of Augmentation's arguments, such as {'shift': 2}",
                repr(augmentation),
            )
        self.augmentation = dict(augmentation or {"shift": 1.0, "affine": 0.2})
        options = {"seed": self.seed, **self.augmentation}
        self.augment = Augmentation(dtype=self.dtype_policy, **options)
        self.augment.build((None, *self.event_shape))
        self.projector = _projector(
            self.latent_dim,
            self.projection,
            self.activation,
            self.seed,
            self.dtype_policy,
        )
        self.built = True

    def call(self, inputs, training=False):
        """Projections of two views: ``{"first", "second"}``, each (batch, p).

        Views are drawn while training and in ``evaluate`` and ``predict``
        alike: without them there is no task. ``encode`` draws none.
        """
        views = ops.concatenate([inputs, inputs], axis=0)
        views = self.augment(views, training=True)
        outputs = self.projector(self.encoder(views, training=training))
        rows = ops.shape(inputs)[0]
        return {"first": outputs[:rows], "second": outputs[rows:]}

    def get_config(self):
        return {
            **super().get_config(),
            "projection": list(self.projection),
            "augmentation": dict(self.augmentation),
        }


def _projector(latent_dim, widths, activation, seed, dtype):
    """Dense layers from the code to the space in which views are compared."""
    inputs = hidden = keras.Input((latent_dim,), name="z")
    for index, units in enumerate(widths, start=1):
        last = index == len(widths)
        start = None if seed is None else 1000 * seed + 500 + index
        hidden = keras.layers.Dense(
            units,
            None if last else activation,
            kernel_initializer=keras.initializers.GlorotUniform(seed=start),
            name=f"projection_{index}",
            dtype=dtype,
        )(hidden)
    return keras.Model(inputs, hidden, name="projector")


@keras.saving.register_keras_serializable(package=PACKAGE)
class SimCLR(_TwoViews):
    """Contrastive learning: find one's partner among the batch.

    Chen et al. (2020): two random views of each image, encoder f, projector
    g, and :func:`nt_xent` between g(f(·)). The projector is thrown away
    afterwards: it may forget whatever the views disagree on, the code in
    front of it forgets less.

    Args:
        input_shape: ``(height, width, channels)``.
        latent_dim: Width of the code.
        widths: Hidden widths of the encoder, as in ``networks``.
        network: ``"conv"`` or ``"dense"``.
        activation: Activation of the hidden layers.
        projection: Widths of the projector, at least one.
        augmentation: Dict of :class:`~utils.augmentation.Augmentation`'s
            arguments; ``None`` takes ``{"shift": 1, "affine": 0.2}``.
        temperature: τ > 0 of the softmax.
        seed: Integer seed of weights and views, or ``None``.

    Loss:
        ``nt_xent``, nats, mean over pairs, plus ``self.losses``. The metric
        ``matched`` is the share of first views whose nearest other view in
        the batch is the partner.

    Raises:
        ValueError: a hyperparameter out of range; from ``fit`` and
            ``evaluate``, rows of another shape, with NaN, fewer rows than one
            batch or a batch of one row, a target, a loss in ``compile``.
    """

    def __init__(self, input_shape, latent_dim, *, temperature=0.5, **kwargs):
        super().__init__(input_shape, latent_dim, **kwargs)
        self.temperature = check.check_number(temperature, "temperature", 1e-3)
        self.matched_tracker = keras.metrics.Mean(name="matched")

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        first, second = y_pred["first"], y_pred["second"]
        loss = nt_xent(first, second, self.temperature)
        self.matched_tracker.update_state(_matched(first, second))
        return self.add_losses(ops.mean(loss))

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


def _matched(first, second):
    """1 where the nearest of the 2n − 1 other views is the partner."""
    first = ops.stop_gradient(_unit(ops.cast(first, "float32")))
    second = ops.stop_gradient(_unit(ops.cast(second, "float32")))
    across = ops.matmul(first, ops.transpose(second))
    within = ops.matmul(first, ops.transpose(first))
    within = within + _SELF * ops.eye(ops.shape(first)[0], dtype="float32")
    best = ops.maximum(ops.max(across, axis=1), ops.max(within, axis=1))
    return ops.cast(ops.diagonal(across) >= best, "float32")


@keras.saving.register_keras_serializable(package=PACKAGE)
class VICReg(_TwoViews):
    """Two views agree, and no entry of the projection may die or repeat.

    Bardes et al. (2022): weight_i · invariance + weight_v · variance +
    weight_c · covariance of :func:`vicreg_terms`, without negatives. With
    ``variance=covariance=0`` a constant code is optimal: collapse.

    Args:
        input_shape: ``(height, width, channels)``.
        latent_dim: Width of the code.
        widths, network, activation, projection, augmentation, seed: As for
            :class:`SimCLR`.
        invariance: Weight ≥ 0 of the agreement.
        variance: Weight ≥ 0 of the missing variance.
        covariance: Weight ≥ 0 of the squared covariances.

    Loss:
        The weighted sum, of no unit, plus ``self.losses``. Metrics
        ``invariance``, ``variance`` and ``covariance``: the bare terms.

    Raises:
        ValueError: as for :class:`SimCLR`.
    """

    def __init__(
        self,
        input_shape,
        latent_dim,
        *,
        invariance=25.0,
        variance=25.0,
        covariance=1.0,
        **kwargs,
    ):
        super().__init__(input_shape, latent_dim, **kwargs)
        self.weights_of = {
            "invariance": check.check_number(invariance, "invariance", 0.0),
            "variance": check.check_number(variance, "variance", 0.0),
            "covariance": check.check_number(covariance, "covariance", 0.0),
        }
        self.invariance_tracker = keras.metrics.Mean(name="invariance")
        self.variance_tracker = keras.metrics.Mean(name="variance")
        self.covariance_tracker = keras.metrics.Mean(name="covariance")

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        terms = vicreg_terms(y_pred["first"], y_pred["second"])
        loss = 0.0
        for name, term in terms._asdict().items():
            getattr(self, f"{name}_tracker").update_state(term)
            loss = loss + self.weights_of[name] * term
        return self.add_losses(loss)

    def get_config(self):
        return {**super().get_config(), **self.weights_of}
