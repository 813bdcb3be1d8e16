"""Tasks that unlabelled images set themselves: fill a gap, find what is up."""

import keras
from keras import ops

from utils import _validation as check
from utils import losses
from utils._pretext import PatchMask, PretextModel
from utils.autoencoders import Autoencoder
from utils.layers import PACKAGE

__all__ = ["MaskedAutoencoder", "RotationPredictor"]


@keras.saving.register_keras_serializable(package=PACKAGE)
class MaskedAutoencoder(Autoencoder):
    """Sees some patches of an image and is scored on the others.

    The idea of He et al. (2022), in a network that takes whole images:
    hidden pixels are set to 0 and the error is that of hidden pixels alone,
    so copying what is seen earns nothing.

    Args:
        input_shape: ``(height, width, channels)``.
        latent_dim: Width of the code; it may exceed the image's.
        patch: Side of the square patches, in pixels.
        ratio: Share of hidden patches, in (0, 1).
        output: ``"linear"`` or ``"sigmoid"``.
        overcomplete: Allow a wide code; true here.
        **kwargs: As for :class:`~utils.autoencoders.Autoencoder`.

    Loss:
        ‖x − x̂‖² over the hidden pixels, mean over the batch, plus
        ``self.losses``; ``mse`` is the mean over hidden pixels. Patches are
        drawn in ``fit``, ``evaluate``, ``predict`` and ``score`` alike;
        ``encode`` and ``reconstruct`` see the whole image. ``predict``
        returns ``"hidden"`` beside code and reconstruction: 1 where hidden.
    """

    def __init__(
        self,
        input_shape,
        latent_dim,
        *,
        patch=2,
        ratio=0.5,
        output="linear",
        overcomplete=True,
        **kwargs,
    ):
        check.check_choice(output, "output", ("linear", "sigmoid"))
        super().__init__(
            input_shape,
            latent_dim,
            output=output,
            overcomplete=overcomplete,
            **kwargs,
        )
        if len(self.event_shape) != 3:
            check.fail(
                "input_shape",
                "an image (height, width, channels), as patches are square",
                f"{self.event_shape}",
            )
        self.mask = PatchMask(patch, ratio, seed=self.seed)
        self.mask.build((None, *self.event_shape))

    def call(self, inputs, training=False):
        """Return ``{"code", "reconstruction", "hidden"}``."""
        hidden = self.mask(inputs)
        seen = inputs * ops.cast(1.0 - hidden, inputs.dtype)
        outputs = super().call(seen, training=training)
        return {**outputs, "hidden": hidden}

    def reconstruction_loss(self, x, outputs):
        hidden = ops.cast(outputs["hidden"], "float32")
        guess = ops.cast(outputs["reconstruction"], "float32")
        x = ops.cast(x, "float32")
        return losses.squared_error(x * hidden, guess * hidden)

    def track_mse(self, x, outputs, sample_weight):
        height, width, channels = self.event_shape
        size = self.mask.num_hidden * self.mask.patch**2 * channels
        error = self.reconstruction_loss(x, outputs)
        self.mse_tracker.update_state(error / size, sample_weight)

    def get_config(self):
        own = {"patch": self.mask.patch, "ratio": self.mask.ratio}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package=PACKAGE)
class RotationPredictor(PretextModel):
    """Tells by how many quarter turns an image was rotated.

    Gidaris et al. (2018): every row is shown at 0, 90, 180 and 270 degrees,
    and a linear head on the code names the turn. To do so the encoder must
    find out what is in the picture and how it usually stands; what looks the
    same from all sides teaches it nothing.

    Args:
        input_shape: ``(side, side, channels)``.
        latent_dim: Width of the code.
        widths: Hidden widths of the encoder, as in ``networks``.
        network: ``"conv"`` or ``"dense"``.
        activation: Activation of the hidden layers.
        seed: Integer seed of the initial weights, or ``None``.

    Loss:
        Cross-entropy of the four turns in nats, mean over turns and batch,
        plus ``self.losses``: log 4 ≈ 1.386 for guessing. Metric ``accuracy``.

    Raises:
        ValueError: images that are not square; from ``fit`` and ``evaluate``,
            rows of another shape or with NaN, a target, a loss in
            ``compile``.
    """

    def __init__(self, input_shape, latent_dim, **kwargs):
        super().__init__(input_shape, latent_dim, **kwargs)
        shape = self.event_shape
        if len(shape) != 3 or shape[0] != shape[1]:
            check.fail(
                "input_shape", "a square image (side, side, channels)", shape
            )
        start = None if self.seed is None else 1000 * self.seed + 500
        self.head = keras.layers.Dense(
            4,
            kernel_initializer=keras.initializers.GlorotUniform(seed=start),
            name="turn",
            dtype=self.dtype_policy,
        )
        self.head.build((None, self.latent_dim))
        self.accuracy_tracker = keras.metrics.Mean(name="accuracy")
        self.built = True

    def call(self, inputs, training=False):
        """Logits of the four turns of every row, ``(batch, 4, 4)``.

        Entry (i, r, c): row i turned r times, logit of "turned c times".
        """
        turned = ops.stack([_turn(inputs, r) for r in range(4)], axis=1)
        flat = ops.reshape(turned, (-1, *self.event_shape))
        logits = self.head(self.encoder(flat, training=training))
        return ops.reshape(logits, (-1, 4, 4))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        logits = ops.cast(y_pred, "float32")
        turns = ops.arange(4)
        error = -ops.diagonal(ops.log_softmax(logits), axis1=1, axis2=2)
        right = ops.cast(
            ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), turns),
            "float32",
        )
        self.accuracy_tracker.update_state(ops.mean(right, axis=1))
        return self.add_losses(ops.mean(error))


def _turn(x, quarters):
    """Images turned anticlockwise by quarter turns."""
    if quarters % 2:
        x = ops.flip(ops.transpose(x, (0, 2, 1, 3)), axis=1)
    return ops.flip(x, axis=(1, 2)) if quarters >= 2 else x
