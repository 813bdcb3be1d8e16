"""What every model that reconstructs its input shares.

The contract of the course: checks before training, the objective in
``compute_loss``, and verbs that return NumPy arrays.
"""

import keras
import numpy as np
from keras import ops

from utils.models._old_base import OwnLossModel
from utils.nn import losses
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = ["ReconstructionModel"]

OUTPUTS = ("linear", "sigmoid", "bernoulli")


class ReconstructionModel(OwnLossModel):
    """A Keras model whose target is its input.

    A subclass sets ``event_shape``, ``latent_dim``, ``output_kind`` (one of
    ``OUTPUTS``), ``encoder`` and ``decoder``, and its ``call`` returns a dict
    with ``"code"``, ``"reconstruction"`` and, for Bernoulli outputs,
    ``"logits"``.

    Loss:
        Sum over the event axes, mean over the batch, plus :meth:`penalty`
        and ``self.losses``. The metric ``mse`` is the mean over both axes.

    Raises:
        ValueError: before any training step, from ``fit``, ``evaluate`` and
            ``score``: an array of wrong shape, with NaN, or out of the
            output's range; a target; a loss given to ``compile``.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.mse_tracker = keras.metrics.Mean(name="mse")

    # ----------------------------------------------------------- objective

    def decoder_outputs(self, code):
        """Decode tensors: ``{"reconstruction"}``, and ``"logits"`` if any."""
        outputs = self.decoder(code)
        if self.output_kind == "linear":
            return {"reconstruction": outputs}
        result = {"reconstruction": ops.sigmoid(outputs)}
        if self.output_kind == "bernoulli":
            result["logits"] = outputs
        return result

    def reconstruction_loss(self, x, outputs):
        """Loss of each example, ``(batch,)``, summed over the event axes."""
        if self.output_kind == "bernoulli":
            return losses.bernoulli_nll(x, outputs["logits"])
        return losses.squared_error(x, outputs["reconstruction"])

    def penalty(self, outputs):
        """Scalar added to the mean reconstruction loss."""
        return 0.0

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        error = self.reconstruction_loss(x, y_pred)  # (batch,)
        self.track_mse(x, y_pred, sample_weight)
        if sample_weight is not None:
            error = error * ops.cast(sample_weight, error.dtype)
        return self.add_losses(ops.mean(error) + self.penalty(y_pred))

    def track_mse(self, x, outputs, sample_weight):
        """Update the metric ``mse``: per pixel, mean over the batch."""
        squared = losses.squared_error(x, outputs["reconstruction"])
        size = float(np.prod(self.event_shape))
        self.mse_tracker.update_state(squared / size, sample_weight)

    # --------------------------------------------------- checks before Keras

    def _check(self, x, name="x"):
        """Check an array; leave data sets, generators and ``None`` alone.

        Arrays that serve as target must fit the range of the output.
        """
        if not check.is_array(x):
            return x
        low, high = (None, None) if self.output_kind == "linear" else (0.0, 1.0)
        return check.check_array(
            x, name, event_shape=self.event_shape, low=low, high=high
        )

    def _refuse_target(self, y):
        if y is not None:
            check.fail(
                "y",
                "no target: an autoencoder's target is its input, fit(x)",
                type(y).__name__,
            )
        self.refuse_loss(
            "the model has its own, which its "
            f"output={self.output_kind!r} fixes"
        )

    def fit(
        self,
        x=None,
        y=None,
        *args,
        validation_data=None,
        sample_weight=None,
        **kwargs,
    ):
        """As ``keras.Model.fit``, for x alone; checks x before training."""
        self._refuse_target(y)
        if check.is_array(validation_data):
            weight = None
            if isinstance(validation_data, tuple):
                validation_data, *rest = validation_data
                self._refuse_target(rest[0] if rest else None)
                weight = rest[1] if len(rest) > 1 else None
            rows = self._check(validation_data, "validation_data")
            validation_data = (rows, _target(rows, weight), weight)
        x = self._check(x)
        self.before_training(x)
        return super().fit(
            x,
            _target(x, sample_weight),
            *args,
            validation_data=validation_data,
            sample_weight=sample_weight,
            **kwargs,
        )

    def before_training(self, x):
        """What ``fit`` does once all arguments are checked."""

    def evaluate(self, x=None, y=None, *args, sample_weight=None, **kwargs):
        """As ``keras.Model.evaluate``, for x alone."""
        self._refuse_target(y)
        x = self._check(x)
        return super().evaluate(
            x,
            _target(x, sample_weight),
            *args,
            sample_weight=sample_weight,
            **kwargs,
        )

    # --------------------------------------------------------------- verbs

    def encode(self, x):
        """Codes of x, of any range: float32 array ``(n, latent_dim)``."""
        x = check.check_array(x, "x", event_shape=self.event_shape)
        return in_batches(self.encoder, x)

    def decode(self, z):
        """Reconstructions from codes: float32 array ``(n, *input_shape)``."""
        z = check.check_array(z, "z", event_shape=(self.latent_dim,))
        return in_batches(
            lambda batch: self.decoder_outputs(batch)["reconstruction"], z
        )

    def reconstruct(self, x):
        """``decode(encode(x))``: float32 array of the shape of x."""
        return self.decode(self.encode(x))

    def score(self, x):
        """Reconstruction loss of each example, ``(n,)``, without penalties."""
        x = self._check(x)
        return in_batches(
            lambda batch: self.reconstruction_loss(batch, self(batch)), x
        )


def _target(x, sample_weight):
    """Target for Keras, which drops weights in silence if there is none."""
    if sample_weight is None:
        return None
    # one array: Keras would give each entry of a dict weights of its own
    return x["x"] if isinstance(x, dict) else x
