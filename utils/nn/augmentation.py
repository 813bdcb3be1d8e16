"""Random views of an image: what a label does not depend on, as a layer.

One layer of a few array operations rather than a chain of resampling layers:
on two cores the pretraining of small networks otherwise spends most of its
time here.
"""

import keras
import numpy as np
from keras import ops

from utils.nn.layers import PACKAGE
from utils.support import validation as check

__all__ = ["Augmentation"]

_GRID = 4  # knots of the elastic field along each side


@keras.saving.register_keras_serializable(package=PACKAGE)
class Augmentation(keras.layers.Layer):
    """Draws a random view of each image while training.

    All geometry is one warp: output pixel p reads the image at A p + t + e(p),
    by bilinear interpolation, with black outside. Every image draws its own.
    With all amounts 0 the layer is the identity, as it is at inference.

    Args:
        shift: Largest |t| along each side ≥ 0, in pixels; uniform.
        affine: Largest deviation ≥ 0 of each of the four entries of A from
            the identity; uniform. 0.3 turns by up to 17 degrees, slants and
            zooms by up to 30 %, all at once.
        elastic: Standard deviation ≥ 0 of the smooth field e, in pixels.
        flip: Mirror left and right, every second image. Not for digits.
        color: Largest change ≥ 0 of each channel's brightness and of the
            contrast; the result is clipped to [0, 1].
        noise: Standard deviation ≥ 0 of Gaussian noise on every entry.
        seed: Integer seed of the layer's own generator, or ``None``.

    Call arguments:
        inputs: Images ``(batch, height, width, channels)``.
        training: Draw views only if true.

    Output shape:
        That of the input.

    Raises:
        ValueError: an amount below 0; inputs that are no images.

    Example:

    >>> layer = Augmentation(shift=2.0, affine=0.2, seed=0)
    >>> layer(np.zeros((3, 8, 8, 1)), training=True).shape == (3, 8, 8, 1)
    True
    """

    def __init__(
        self,
        shift=0.0,
        affine=0.0,
        elastic=0.0,
        *,
        flip=False,
        color=0.0,
        noise=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.shift = check.check_number(shift, "shift", 0.0)
        self.affine = check.check_number(affine, "affine", 0.0)
        self.elastic = check.check_number(elastic, "elastic", 0.0)
        self.flip = bool(flip)
        self.color = check.check_number(color, "color", 0.0)
        self.noise = check.check_number(noise, "noise", 0.0)
        self.seed = check.check_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        if len(input_shape) != 4:
            expected = "images (batch, height, width, channels)"
            check.fail("inputs", expected, f"shape {tuple(input_shape)}")
        _, height, width, _ = input_shape
        # places of the pixels, measured from the centre of the image
        self._rows = np.arange(height, dtype="float32") - (height - 1) / 2
        self._columns = np.arange(width, dtype="float32") - (width - 1) / 2
        self._spread = [_smooth(height), _smooth(width)]

    def call(self, inputs, training=False):
        if not training:
            return inputs
        x = ops.cast(inputs, "float32")
        if self.shift or self.affine or self.elastic or self.flip:
            x = self._warp(x)
        if self.color:
            x = self._recolor(x)
        if self.noise:
            x = x + self.noise * keras.random.normal(
                ops.shape(x), seed=self.seed_generator
            )
        return ops.cast(x, self.compute_dtype)

    def _uniform(self, *shape):
        """Numbers from −1 to 1."""
        return keras.random.uniform(
            shape, -1.0, 1.0, dtype="float32", seed=self.seed_generator
        )

    def _places(self, batch):
        """Where each output pixel reads: two tensors ``(batch, h, w)``."""
        v = ops.convert_to_tensor(self._rows[None, :, None])
        u = ops.convert_to_tensor(self._columns[None, None, :])
        linear = self.affine * self._uniform(batch, 4, 1, 1)
        moved = self.shift * self._uniform(batch, 2, 1, 1)
        row = v + linear[:, 0] * v + linear[:, 1] * u + moved[:, 0]
        column = u + linear[:, 2] * v + linear[:, 3] * u + moved[:, 1]
        if self.flip:
            column = column * ops.sign(self._uniform(batch, 1, 1))
        if self.elastic:
            knots = keras.random.normal(
                (batch, 2, _GRID, _GRID), seed=self.seed_generator
            )
            down, across = map(ops.convert_to_tensor, self._spread)
            field = ops.matmul(ops.matmul(down, knots), ops.transpose(across))
            row = row + self.elastic * field[:, 0]
            column = column + self.elastic * field[:, 1]
        return row, column

    def _warp(self, x):
        """Bilinear interpolation by one gather of 2 × 2 neighbourhoods."""
        batch = ops.shape(x)[0]
        height, width, channels = x.shape[1:]
        row, column = self._places(batch)
        x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        corners = ops.stack(
            [x[:, :-1, :-1], x[:, :-1, 1:], x[:, 1:, :-1], x[:, 1:, 1:]], axis=3
        )  # (batch, h + 1, w + 1, 4, channels)
        row = ops.clip(row + (height + 1) / 2, 0.0, height + 0.999)
        column = ops.clip(column + (width + 1) / 2, 0.0, width + 0.999)
        top, left = ops.floor(row), ops.floor(column)
        down, right = (row - top)[..., None], (column - left)[..., None]
        first = ops.arange(batch, dtype="int32") * ((height + 1) * (width + 1))
        place = ops.cast(top * (width + 1) + left, "int32")
        place = place + ops.reshape(first, (-1, 1, 1))
        table = ops.reshape(corners, (-1, 4 * channels))
        found = ops.take(table, ops.reshape(place, (-1,)), axis=0)
        found = ops.reshape(found, (-1, height, width, 4, channels))
        upper = found[..., 0, :] * (1 - right) + found[..., 1, :] * right
        lower = found[..., 2, :] * (1 - right) + found[..., 3, :] * right
        return upper * (1 - down) + lower * down

    def _recolor(self, x):
        batch, channels = ops.shape(x)[0], x.shape[-1]
        contrast = 1.0 + self.color * self._uniform(batch, 1, 1, 1)
        brightness = self.color * self._uniform(batch, 1, 1, channels)
        mean = ops.mean(x, axis=(1, 2, 3), keepdims=True)
        return ops.clip(mean + contrast * (x - mean) + brightness, 0.0, 1.0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        names = ("shift", "affine", "elastic", "flip", "color", "noise", "seed")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own}


def _smooth(size):
    """Matrix ``(size, knots)`` that spreads knots; rows of unit length.

    Independent knots of deviation 1 give a field of deviation 1 everywhere.
    """
    knots = np.linspace(0.0, size - 1.0, _GRID)
    reach = max((size - 1.0) / (_GRID - 1), 1.0)
    gaps = (np.arange(size)[:, None] - knots) / reach
    weights = np.exp(-(gaps**2))
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(
        "float32"
    )
