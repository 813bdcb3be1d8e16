"""What models share that learn an encoder from unlabelled rows alone."""

import keras
import numpy as np
from keras import ops

from utils import _validation as check
from utils import networks
from utils._batches import in_batches
from utils._course_model import OwnLossModel
from utils.layers import PACKAGE


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
