"""Tasks that unlabelled images set themselves: fill a gap, find what is up."""

import keras
import numpy as np
from keras import ops

from utils.models._old_base import OwnLossModel
from utils.models.autoencoders import Autoencoder
from utils.nn import losses, networks
from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = [
    "MaskedAutoencoder",
    "PatchMask",
    "PretextModel",
    "RotationPredictor",
]


class PretextModel(OwnLossModel):
    """An encoder, a task made from the rows themselves, and no target.

    A subclass builds its head, and its ``call`` returns what its
    ``compute_loss`` needs. ``encode`` is what pretraining is for.
    """

    min_rows = 1

    def __init__(
        self,
        input_shape,
        latent_dim,
        *,
        widths=(32, 64),
        network="conv",
        activation="relu",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.event_shape = check.check_shape(input_shape, "input_shape")
        self.latent_dim = check.check_int(latent_dim, "latent_dim")
        self.network = check.check_choice(
            network, "network", tuple(networks.BUILDERS)
        )
        self.widths = check.check_widths(widths, "widths")
        self.activation = activation
        self.seed = check.check_seed(seed)
        build, _ = networks.BUILDERS[network]
        self.encoder = build(
            self.event_shape,
            self.latent_dim,
            self.widths,
            activation=activation,
            seed=seed,
            dtype=self.dtype_policy,
        )

    def encode(self, x):
        """Codes of x as it is: float32 array ``(n, latent_dim)``."""
        return in_batches(self.encoder, self._check(x))

    def _check(self, x, name="x", min_rows=1):
        if not check.is_array(x):
            return x
        return check.check_array(
            x, name, event_shape=self.event_shape, min_rows=min_rows
        )

    def _refuse_target(self, y):
        if y is not None:
            check.fail(
                "y",
                "no target: the task is made from the rows, fit(x)",
                type(y).__name__,
            )
        self.refuse_loss()

    def _check_batch(self, x, batch_size, name="x"):
        """Rows for at least one whole batch, of enough rows to compare."""
        if not check.is_array(x):
            return x
        size = check.check_int(batch_size or 32, "batch_size", self.min_rows)
        needed = size if self.min_rows > 1 else 1
        return self._check(x, name, needed)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        *args,
        validation_data=None,
        **kwargs,
    ):
        """As ``keras.Model.fit``, for x alone; checks x before training."""
        self._refuse_target(y)
        x = self._check_batch(x, batch_size)
        if check.is_array(validation_data):
            if isinstance(validation_data, tuple):
                validation_data, *rest = validation_data
                self._refuse_target(rest[0] if rest else None)
            validation_data = (
                self._check(validation_data, "validation_data"),
                None,
            )
        return super().fit(
            x,
            None,
            batch_size,
            *args,
            validation_data=validation_data,
            **kwargs,
        )

    def evaluate(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """As ``keras.Model.evaluate``, for x alone."""
        self._refuse_target(y)
        x = self._check_batch(x, batch_size)
        return super().evaluate(x, None, batch_size, *args, **kwargs)

    def get_config(self):
        return {
            **super().get_config(),
            "input_shape": list(self.event_shape),
            "latent_dim": self.latent_dim,
            "widths": list(self.widths),
            "network": self.network,
            "activation": self.activation,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
class PatchMask(keras.layers.Layer):
    """Draws for each image which of its patches are hidden: 1 is hidden.

    Exactly ``round(ratio · patches)`` of every image, chosen without
    replacement, at each call.

    Args:
        patch: Side of a square patch, in pixels.
        ratio: Share of hidden patches, in (0, 1), rounded to whole patches;
            at least one patch is hidden and one is not.
        seed: Integer seed of the layer's own generator, or ``None``.

    Input shape:
        Images ``(batch, height, width, channels)``, both sides divisible by
        ``patch``.

    Output shape:
        ``(batch, height, width, 1)`` of zeros and ones, float32.

    Raises:
        ValueError: sides that the patch does not divide, or a ratio that
            hides nothing or everything.
    """

    def __init__(self, patch, ratio, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.patch = check.check_int(patch, "patch")
        self.ratio = check.check_number(ratio, "ratio", 0.0, 1.0)
        self.seed = check.check_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        sides = tuple(input_shape[1:3])
        if len(input_shape) != 4 or any(side % self.patch for side in sides):
            check.fail(
                "patch",
                f"a divisor of both sides of the images, {sides}",
                f"{self.patch}",
            )
        self.grid = tuple(side // self.patch for side in sides)
        self.num_hidden = round(self.ratio * int(np.prod(self.grid)))
        if not 0 < self.num_hidden < np.prod(self.grid):
            check.fail(
                "ratio",
                f"a share that hides some but not all of the "
                f"{int(np.prod(self.grid))} patches",
                f"{self.ratio:g}",
            )

    def call(self, inputs):
        batch, count = ops.shape(inputs)[0], int(np.prod(self.grid))
        noise = keras.random.uniform(
            (batch, count), dtype="float32", seed=self.seed_generator
        )
        rank = ops.argsort(ops.argsort(noise, axis=1), axis=1)
        hidden = ops.cast(rank < self.num_hidden, "float32")
        hidden = ops.reshape(hidden, (-1, *self.grid, 1))
        hidden = ops.repeat(hidden, self.patch, axis=1)
        return ops.repeat(hidden, self.patch, axis=2)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:3], 1)

    def get_config(self):
        names = ("patch", "ratio", "seed")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own}


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
