"""Tasks that unlabelled images set themselves: fill a gap, find what is up."""

import keras
import numpy as np
from keras import ops

from utils.models.autoencoders import Autoencoder
from utils.models.base import (
    CourseModel,
    builds,
    refuse_target,
    shapes_of,
    weighted_mean,
)
from utils.nn import likelihoods, losses, networks
from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = [
    "MaskedAutoencoder",
    "PatchMask",
    "PretextModel",
    "RotationPredictor",
    "grid_of_patches",
    "number_hidden",
]


class PretextModel(CourseModel):
    """An encoder, a task made from the rows themselves, and no target.

    A subclass takes what sits on the codes as its own argument, and its
    ``call`` returns what its ``compute_loss`` needs. ``encode`` is what
    pretraining is for.

    Args:
        encoder: Keras model from ``(batch, *input_shape)`` to codes.

    Raises:
        ValueError: from ``fit`` and ``evaluate``, before any step, rows of
            another shape or with NaN, a target, a loss given to ``compile``.
    """

    def __init__(self, encoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.event_shape, self.code_shape = shapes_of(encoder, "encoder")

    def width_on_codes(self, network, name):
        """Width of the vectors that a network makes of the codes.

        Raises:
            ValueError: a network that takes something else than the codes,
                or returns no vectors.
        """
        taken, made = shapes_of(network, name)
        if taken != self.code_shape:
            expected = f"inputs of shape {self.code_shape}, the encoder's codes"
            check.fail(name, expected, f"{taken}")
        if len(made) != 1:
            check.fail(name, "a vector for each code", f"outputs {made}")
        return made[0]

    def check_data(self, x, y=None, name="x"):
        refuse_target(y, "the task is made from the rows, fit(x)")
        x = check.check_array(x, name, event_shape=self.event_shape)
        return x, None

    def encode(self, x):
        """Codes of x as it is: float32 array ``(n, latent_dim)``."""
        return in_batches(self.encoder, self.check_input(x))


@keras.saving.register_keras_serializable(package=PACKAGE)
class RotationPredictor(PretextModel):
    """Tells by how many quarter turns an image was rotated.

    Gidaris et al. (2018): every row is shown at 0, 90, 180 and 270 degrees,
    and a head on the code names the turn. To do so the encoder must find out
    what is in the picture and how it usually stands; what looks the same
    from all sides teaches it nothing.

    Example:

    >>> encoder = keras.Sequential(
    ...     [
    ...         keras.Input((8, 8, 1)),
    ...         keras.layers.Flatten(),
    ...         keras.layers.Dense(6, "tanh"),
    ...     ]
    ... )
    >>> head = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    >>> model = RotationPredictor(encoder, head)
    >>> model(np.zeros((5, 8, 8, 1))).shape == (5, 4, 4)
    True

    The course's own, with one linear layer as head:

    >>> model = RotationPredictor.conv((8, 8, 1), 6, widths=(4,), seed=0)
    >>> model.encode(np.zeros((5, 8, 8, 1))).shape
    (5, 6)

    Args:
        encoder: Keras model from ``(batch, side, side, channels)`` to codes.
        head: Keras model from codes to four logits.

    Loss:
        Cross-entropy of the four turns in nats, mean over turns and batch,
        plus ``self.losses``: log 4 ≈ 1.386 for guessing. Metric ``accuracy``.

    Raises:
        ValueError: images that are not square; a head that does not take
            the codes or has not four outputs; what :class:`PretextModel`
            refuses.
    """

    def __init__(self, encoder, head, **kwargs):
        super().__init__(encoder, **kwargs)
        shape = self.event_shape
        if len(shape) != 3 or shape[0] != shape[1]:
            expected = "one of square images (side, side, channels)"
            check.fail("encoder", expected, f"inputs of shape {shape}")
        width = self.width_on_codes(head, "head")
        if width != 4:
            check.fail("head", "four logits, one a turn", f"{width}")
        self.head = head
        self.accuracy_tracker = keras.metrics.Mean(name="accuracy")
        self.built = True

    @builds("encoder", "head")
    def dense(
        input_shape,
        latent_dim,
        *,
        widths=(128,),
        activation="relu",
        seed=None,
        dtype=None,
    ):
        """A dense encoder and a linear head.

        Args:
            input_shape: ``(side, side, channels)``.
            latent_dim: Width of the code.
            widths: Hidden units of the encoder, input side first.
            activation: Activation of the hidden layers.
            seed: Integer seed of the initial weights, or ``None``.
            dtype: Dtype policy of networks and model.
        """
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        encoder, _ = networks.dense_pair(
            input_shape, latent_dim, widths, **shared
        )
        return encoder, _turn_head(latent_dim, seed, dtype)

    @builds("encoder", "head")
    def conv(
        input_shape,
        latent_dim,
        *,
        widths=(32, 64),
        activation="relu",
        seed=None,
        dtype=None,
    ):
        """As :meth:`dense`, of convolutions of stride 2.

        ``widths`` are filters, at least one; each halves the sides.
        """
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        encoder, _ = networks.conv_pair(
            input_shape, latent_dim, widths, **shared
        )
        return encoder, _turn_head(latent_dim, seed, dtype)

    def call(self, inputs, training=False):
        """Logits of the four turns of every row, ``(batch, 4, 4)``.

        Entry (i, r, c): row i turned r times, logit of "turned c times".
        """
        turned = ops.stack([_turn(inputs, r) for r in range(4)], axis=1)
        flat = ops.reshape(turned, (-1, *self.event_shape))
        codes = self.encoder(flat, training=training)
        logits = self.head(codes, training=training)
        return ops.reshape(logits, (-1, 4, 4))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        logits = ops.cast(y_pred, "float32")
        log_p = ops.log_softmax(logits)
        error = -ops.mean(ops.diagonal(log_p, axis1=1, axis2=2), axis=1)
        guess = ops.cast(ops.argmax(logits, axis=-1), "int32")
        right = ops.cast(ops.equal(guess, ops.arange(4)), "float32")
        self.accuracy_tracker.update_state(
            ops.mean(right, axis=1), sample_weight
        )
        return self.add_losses(weighted_mean(error, sample_weight))


def _turn_head(latent_dim, seed, dtype):
    """One linear layer from the code to the logits of four turns."""
    layer = keras.layers.Dense(
        4,
        kernel_initializer=networks.glorot(seed, 500),
        name="turn",
        dtype=dtype,
    )
    inputs = keras.Input((latent_dim,), name="z")
    return keras.Model(inputs, layer(inputs), name="head")


def _turn(x, quarters):
    """Images turned anticlockwise by quarter turns."""
    if quarters % 2:
        x = ops.flip(ops.transpose(x, (0, 2, 1, 3)), axis=1)
    # one axis at a time: Keras 3.13 refuses two on TensorFlow
    return ops.flip(ops.flip(x, axis=1), axis=2) if quarters >= 2 else x


@keras.saving.register_keras_serializable(package=PACKAGE)
class MaskedAutoencoder(Autoencoder):
    """Sees some patches of an image and is scored on the others.

    The idea of He et al. (2022), in a network that takes whole images:
    hidden pixels are set to 0 and the error is that of hidden pixels alone,
    so copying what is seen earns nothing.

    Example:

    >>> model = MaskedAutoencoder.conv(
    ...     (8, 8, 1), latent_dim=16, widths=(4,), patch=2, ratio=0.75, seed=0
    ... )
    >>> hidden = model.predict(np.zeros((5, 8, 8, 1)), verbose=0)["hidden"]
    >>> print(hidden.mean())
    0.75

    Args:
        encoder: Keras model from ``(batch, height, width, channels)`` to
            codes.
        decoder: As for :class:`Autoencoder`.
        likelihood: ``SquaredError()`` or ``SquaredError("sigmoid")``.
        patch: Side of the square patches, in pixels.
        ratio: Share of hidden patches, in (0, 1).
        overcomplete: Allow a wide code; true here.
        seed: Integer seed of the patches that are drawn, or ``None``.

    Loss:
        ‖x − x̂‖² over the hidden pixels, mean over the batch, plus
        ``self.losses``; ``mse`` is the mean over hidden pixels. Patches are
        drawn in ``fit``, ``evaluate``, ``predict`` and ``example_losses``
        alike; ``encode`` and ``reconstruct`` see the whole image.
        ``predict`` returns ``"hidden"`` beside code and reconstruction: 1
        where hidden.

    Raises:
        ValueError: encoders of something else than images, sides that the
            patch does not divide, another likelihood; what
            :class:`Autoencoder` refuses.
    """

    def __init__(
        self,
        encoder,
        decoder,
        *,
        likelihood=None,
        patch=2,
        ratio=0.5,
        overcomplete=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            encoder,
            decoder,
            likelihood=likelihood,
            overcomplete=overcomplete,
            **kwargs,
        )
        if not isinstance(self.likelihood, likelihoods.SquaredError):
            expected = "SquaredError(), which can be asked of some pixels alone"
            received = f"{type(self.likelihood).__name__}()"
            check.fail("likelihood", expected, received)
        if len(self.event_shape) != 3:
            check.fail(
                "encoder",
                "one of images (height, width, channels), as patches are "
                "square",
                f"inputs of shape {self.event_shape}",
            )
        self.patch, self.ratio, self.seed = patch, ratio, seed
        self.mask = PatchMask(patch, ratio, seed=seed)
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
        size = self.mask.num_hidden * self.patch**2 * self.event_shape[-1]
        error = self.reconstruction_loss(x, outputs)
        self.mse_tracker.update_state(error / size, sample_weight)


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
        self.grid = grid_of_patches(input_shape[1:], self.patch)
        self.num_hidden = number_hidden(self.ratio, int(np.prod(self.grid)))

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


def grid_of_patches(shape, patch):
    """Rows and columns of square patches in an image, if they fit its sides."""
    if len(shape) != 3 or any(side % patch for side in shape[:2]):
        expected = f"a divisor of both sides of the images, {tuple(shape[:2])}"
        check.fail("patch", expected, f"{patch}")
    return shape[0] // patch, shape[1] // patch


def number_hidden(ratio, count):
    """How many of so many patches are hidden: some, but not all."""
    number = round(ratio * count)
    if not 0 < number < count:
        expected = f"a share that hides some but not all of {count} patches"
        check.fail("ratio", expected, f"{ratio:g}")
    return number
