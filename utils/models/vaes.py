"""Variational autoencoders: latent-variable models in nats.

Every number is per example: summed over pixels and code units, averaged
over the batch. With ``beta=1`` the loss of ``evaluate`` is the negative
evidence lower bound, an upper bound of −log p(x).
"""

import keras
import numpy as np
from keras import ops

from utils.models._latent_models import LabelledModel, LatentModel
from utils.nn import losses, networks
from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = ["ConditionalVAE", "SemiSupervisedVAE", "VAE"]


@keras.saving.register_keras_serializable(package=PACKAGE)
class VAE(LatentModel):
    """Variational autoencoder (Kingma and Welling 2014; Rezende et al. 2014).

    p(z) = N(0, I), p_θ(x | z) by the decoder, q_φ(z | x) = N(μ, diag σ²) by
    the encoder, trained on

        E_q[−log p_θ(x | z)] + β · KL(q_φ(z | x) ‖ p(z)),

    one draw of z a step. The defaults are the 784–400–20 model of the paper.

    ``call`` and ``predict`` draw z and return a dict: ``"mean"`` and
    ``"log_var"`` of q, ``"code"`` z, ``"reconstruction"``, and ``"logits"``
    (Bernoulli) or ``"location"`` (discretised).

    Args:
        input_shape: Shape of one example.
        latent_dim: Width k of the code.
        widths: Hidden widths from input to code, mirrored in the decoder:
            units for ``"dense"``, filters for ``"conv"``.
        network: ``"dense"`` or ``"conv"``.
        activation: Activation of the hidden layers.
        likelihood: p(x | z), independent over entries given z:

            - ``"bernoulli"``: data in [0, 1]. For grey levels a
              cross-entropy, not a normalised likelihood; for binary pixels
              exact.
            - ``"gaussian"``: any data; a density.
            - ``"discretized"``: grey levels k / (levels − 1); a discretised
              logistic, normalised over levels.
        scale: ``"learned"``, one number for all entries, or a number > 0:
            the Gaussian's deviation or the logistic's scale, in units of x.
        levels: Grey levels for ``"discretized"``: 256 for bytes, 17 for the
            bundled digits.
        beta: Weight β ≥ 0 of the KL term (Higgins et al. 2017); 1 is the
            ELBO.
        free_bits: Nats of KL ≥ 0 that each code unit has free while
            training: Σ_j max(free_bits, batch mean of KL_j) (Kingma et al.
            2016).
        warmup_steps: Training steps over which β grows from 0 to its value
            (Sønderby et al. 2016). The count is saved with the model.
        seed: Integer seed of initial weights and draws, or ``None``.

    Loss:
        As above, mean over the batch. ``evaluate`` and validation leave out
        warm-up and free bits. Metrics: ``nll`` and ``kl`` in nats, ``mse``
        per pixel.

    Raises:
        ValueError: a hyperparameter out of range; from the verbs, an array
            of wrong shape or range or with NaN, before any training step.

    Example:

    >>> model = VAE((64,), latent_dim=8, widths=(32,), seed=0)
    >>> model.encode(np.zeros((5, 64))).shape
    (5, 8)
    >>> model.sample(3, seed=1).shape
    (3, 64)
    """

    def __init__(self, input_shape=(28, 28, 1), latent_dim=20, **kwargs):
        super().__init__(input_shape, latent_dim, **kwargs)
        self.make_networks()

    def call(self, inputs, training=False):
        """Draw a code and decode it; see the class."""
        return self.code_and_outputs(inputs)


@keras.saving.register_keras_serializable(package=PACKAGE)
class ConditionalVAE(LabelledModel):
    """A VAE told the class: p(x | z, y), q(z | x, y) (Sohn et al. 2015).

    The class enters encoder and decoder as a one-hot row (for ``"conv"`` the
    encoder sees one constant plane a class), so the code is free to describe
    what the class does not. ``fit(x, y)`` and ``evaluate(x, y)`` take integer
    classes; ``call`` and ``predict`` take ``{"x": x, "label": y}``; the verbs
    take ``labels=``. All numbers are bounds of log p(x | y).

    Args:
        input_shape: Shape of one example.
        latent_dim: Width of the code.
        num_classes: Number of classes C ≥ 2; labels run from 0 to C − 1.
        **kwargs: As for :class:`VAE`.

    Raises:
        ValueError: as :class:`VAE`; labels missing, not integers, of another
            length or out of range, before any training step.
    """

    def __init__(
        self,
        input_shape=(28, 28, 1),
        latent_dim=20,
        *,
        num_classes=10,
        **kwargs,
    ):
        super().__init__(input_shape, latent_dim, **kwargs)
        self._set_classes(num_classes)

    def call(self, inputs, training=False):
        """Draw a code given the class and decode it."""
        one_hot = ops.one_hot(inputs["label"], self.num_classes)
        return self.code_and_outputs(inputs["x"], one_hot)


@keras.saving.register_keras_serializable(package=PACKAGE)
class SemiSupervisedVAE(LabelledModel):
    """A conditional VAE and a classifier, with labels where there are some.

    Model M2 of Kingma et al. (2014), with p(y) uniform. With the bound
    L(x, y) = E_q[log p(x | y, z)] − KL(q(z | x, y) ‖ p(z)) + log p(y), the
    loss of a labelled row is −L(x, y) − alpha · log q(y | x), that of an
    unlabelled one Σ_y q(y | x) (−L(x, y) + log q(y | x)): the sum over
    classes is exact, so every class is decoded at every step.

    ``fit(x, y)`` takes integer classes with −1 where the label is missing;
    ``evaluate(x, y)`` likewise, or x alone. ``call`` takes x or
    ``{"x", "label"}`` and returns, beside the products of :class:`VAE` for
    the given or else the most probable class, ``"class_logits"``
    ``(batch, C)``, ``"class_nll"`` ``(batch, C)`` and ``"class_kl"``
    ``(batch, C, k)``, the two parts of −L for each class.

    Args:
        input_shape: Shape of one example.
        latent_dim: Width of the code.
        num_classes: Number of classes C ≥ 2.
        alpha: Weight ≥ 0 of the classification loss of a labelled row.
        classifier_widths: Hidden widths of q(y | x); ``None`` takes
            ``widths``.
        dropout: Rate in [0, 1) on the classifier's last hidden layer.
        **kwargs: As for :class:`VAE`.

    Loss:
        Mean over the batch. Metrics: those of :class:`VAE` in expectation
        over q(y | x), ``class_loss`` in nats and ``accuracy``, both over
        labelled rows.

    Raises:
        ValueError: as :class:`VAE`; labels missing altogether, not integers,
            or out of range, before any training step.
    """

    lowest_label = -1

    def __init__(
        self,
        input_shape=(28, 28, 1),
        latent_dim=20,
        *,
        num_classes=10,
        alpha=20.0,
        classifier_widths=None,
        dropout=0.0,
        **kwargs,
    ):
        super().__init__(input_shape, latent_dim, **kwargs)
        self.alpha = check.check_number(alpha, "alpha", 0.0)
        self.dropout = check.check_number(dropout, "dropout", 0.0, 0.99)
        if classifier_widths is not None:
            classifier_widths = check.check_widths(
                classifier_widths, "classifier_widths"
            )
        self.classifier_widths = classifier_widths
        self._set_classes(num_classes)
        self.classifier = self._make_classifier()
        self.class_tracker = keras.metrics.Mean(name="class_loss")
        self.accuracy_tracker = keras.metrics.Mean(name="accuracy")

    def _make_classifier(self):
        widths = self.classifier_widths
        seed = None if self.seed is None else self.seed + 7000
        build, _ = networks.BUILDERS[self.network]
        body = build(
            self.event_shape,
            self.num_classes,
            self.widths if widths is None else widths,
            activation=self.activation,
            seed=seed,
            dtype=self.dtype_policy,
        )
        head = body.get_layer("code")
        drop = keras.layers.Dropout(
            self.dropout, seed=self.seed, dtype=self.dtype_policy
        )
        return keras.Model(
            body.input, head(drop(head.input)), name="classifier"
        )

    def call(self, inputs, training=False):
        """Classify, then draw and decode a code for every class."""
        if not isinstance(inputs, dict):
            x, known = inputs, None
        else:
            x, known = inputs["x"], inputs["label"]
        logits = self.classifier(x, training=training)  # (batch, C)
        best = ops.argmax(logits, axis=1)
        if known is not None:
            known = ops.cast(known, best.dtype)
            best = ops.where(known >= 0, known, best)
        size = self.num_classes
        classes = ops.eye(size, dtype=logits.dtype)
        every = ops.ones_like(logits)[:, :, None] * classes  # (batch, C, C)
        many = ops.repeat(x, size, axis=0)
        made = self.code_and_outputs(many, ops.reshape(every, (-1, size)))
        kl = losses.gaussian_kl(made["mean"], made["log_var"], per_unit=True)
        nll = self.reconstruction_loss(many, made)
        index = ops.one_hot(best, size, dtype=logits.dtype)
        return {
            **{name: self._pick(value, index) for name, value in made.items()},
            "class_logits": logits,
            "class_nll": ops.reshape(nll, (-1, size)),
            "class_kl": ops.reshape(kl, (-1, size, self.latent_dim)),
        }

    def _pick(self, values, index):
        """Of ``(batch · C, …)`` the rows of the class in a one-hot index."""
        event = values.shape[1:]
        values = ops.reshape(values, (-1, self.num_classes, *event))
        index = ops.reshape(index, (-1, self.num_classes, *(1 for _ in event)))
        return ops.sum(values * ops.cast(index, values.dtype), axis=1)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        label = x["label"] if isinstance(x, dict) else None
        x = x["x"] if isinstance(x, dict) else x
        log_q = ops.log_softmax(ops.cast(y_pred["class_logits"], "float32"))
        share = ops.exp(log_q)  # (batch, C), q(y | x)
        entropy = -ops.sum(share * log_q, axis=1)
        class_loss = ops.zeros_like(entropy)
        if label is not None:
            seen = ops.cast(label >= 0, "float32")
            truth = ops.one_hot(label, self.num_classes, dtype="float32")
            class_loss = -ops.sum(truth * log_q, axis=1)
            share = ops.where(label[:, None] >= 0, truth, share)
            entropy = (1.0 - seen) * entropy
            right = ops.equal(ops.argmax(log_q, axis=1), ops.argmax(truth, 1))
            weight = seen if sample_weight is None else seen * sample_weight
            self.class_tracker.update_state(class_loss, weight)
            self.accuracy_tracker.update_state(right, weight)
        self.track_mse(x, y_pred, sample_weight)
        nll = ops.sum(share * y_pred["class_nll"], axis=1)
        kl = ops.sum(share[:, :, None] * y_pred["class_kl"], axis=1)
        # KL(q(y | x) ‖ p(y)), and −log p(y) for a known class
        rest = float(np.log(self.num_classes)) - entropy
        if training:
            rest = rest + self.alpha * class_loss
        return self.objective(nll, kl, sample_weight, training, rest)

    def _pack(self, x, y, name="x", label_name="y"):
        """As for labelled data; without labels every row is unlabelled."""
        if not isinstance(x, dict) and check.is_array(x) and y is None:
            y = np.full(len(x), -1)
        return super()._pack(x, y, name, label_name)

    def fit(self, x=None, y=None, *args, **kwargs):
        """As ``keras.Model.fit``, for x and y with −1 for "no label"."""
        if check.is_array(x) and (y is None or np.max(y) < 0):
            check.fail(
                "y",
                "integer classes, −1 where there is none, with at least one "
                "labelled row",
                "None" if y is None else "no labelled row",
            )
        return super().fit(x, y, *args, **kwargs)

    # --------------------------------------------------------------- verbs

    def classify(self, x):
        """q(y | x): float32 array ``(n, num_classes)``, rows sum to one."""
        x = check.check_array(x, "x", event_shape=self.event_shape)
        return in_batches(
            lambda rows: ops.softmax(
                ops.cast(self.classifier(rows), "float32")
            ),
            x,
        )

    def predict_classes(self, x):
        """Most probable class of each example, int64 ``(n,)``."""
        return self.classify(x).argmax(axis=1)

    def _labels_for(self, x, labels):
        return self.predict_classes(x) if labels is None else labels

    def encode(self, x, labels=None):
        """Means of q(z | x, y), y predicted where no labels are given."""
        return super().encode(x, self._labels_for(x, labels))

    def reconstruct(self, x, labels=None):
        return super().reconstruct(x, self._labels_for(x, labels))

    def _labels_to_sample(self, labels, n, rng):
        if labels is None:
            return rng.integers(0, self.num_classes, n)
        return super()._labels_to_sample(labels, n, rng)

    def _estimate(self, x, num_samples, labels, seed):
        """Bounds of log p(x), or of log p(x, y) where labels are given."""
        prior = -np.log(self.num_classes)
        if labels is not None:
            return [
                bound + prior
                for bound in super()._estimate(x, num_samples, labels, seed)
            ]
        rng = self.generator(seed)
        share = self.classify(x).astype("float64")
        elbos, weighted = np.stack(
            [
                super(SemiSupervisedVAE, self)._estimate(
                    x, num_samples, np.full(len(x), c), int(rng.integers(2**31))
                )
                for c in range(self.num_classes)
            ],
            axis=2,
        )
        log_share = np.log(np.maximum(share, 1e-300))
        return (
            (share * (elbos + prior - log_share)).sum(axis=1),
            np.logaddexp.reduce(weighted + prior, axis=1),
        )

    def get_config(self):
        widths = self.classifier_widths
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "classifier_widths": None if widths is None else list(widths),
            "dropout": self.dropout,
        }
