"""Hide most patches of an image, encode the rest, guess what was hidden.

He et al. (2022). A transformer takes its patches as a set, each with its
place, so hidden ones are simply left out: the encoder never sees them, nor
anything in their stead.
"""

import keras
import numpy as np
from keras import ops

from utils.models.base import builds, shapes_of, weighted_mean
from utils.models.pretext import (
    PretextModel,
    grid_of_patches,
    number_hidden,
)
from utils.nn.layers import PACKAGE
from utils.nn.networks import Seeds
from utils.support import validation as check

__all__ = ["MaskedPatches", "Places", "image_patches"]


def image_patches(x, patch):
    """Images as rows of square patches.

    Args:
        x: Tensor ``(n, height, width, channels)``, sides divisible by patch.
        patch: Side of a patch, in pixels.

    Returns:
        Tensor ``(n, patches, patch · patch · channels)``, row by row.
    """
    height, width, channels = x.shape[1:]
    down, across = height // patch, width // patch
    x = ops.reshape(x, (-1, down, patch, across, patch, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, down * across, patch * patch * channels))


@keras.saving.register_keras_serializable(package=PACKAGE)
class MaskedPatches(PretextModel):
    """A masked autoencoder that leaves hidden patches out.

    Example:

    >>> model = MaskedPatches.transformer((8, 8, 1), 16, patch=2, seed=0)
    >>> model.encode(np.zeros((5, 8, 8, 1))).shape
    (5, 16)

    Args:
        embed: Keras model from images to tokens ``(batch, patches, k)``, one
            a patch, each knowing its place.
        trunk: Keras model ``(batch, any, k)`` → ``(batch, any, k)``.
        decoder: Keras model ``(batch, patches, k)`` →
            ``(batch, patches, patch · patch · channels)``. What stands for a
            hidden patch is one learned vector.
        patch: Side of a square patch, in pixels.
        ratio: Share of hidden patches in (0, 1), rounded to whole patches;
            at least one is hidden and one is not.
        seed: Integer seed of what is hidden, or ``None``.

    Attributes:
        encoder: Embedding, trunk and the mean over all tokens: images →
            codes ``(batch, k)``. What ``encode`` calls, nothing hidden.

    Loss:
        Squared error summed over the pixels of hidden patches, mean over the
        batch, plus ``self.losses``. Metric ``mse``: a hidden pixel's.

    Raises:
        ValueError: sides that the patch does not divide, networks that do
            not fit together, a ratio that hides nothing or everything; what
            ``PretextModel`` refuses.
    """

    def __init__(
        self, embed, trunk, decoder, *, patch=2, ratio=0.5, seed=None, **kwargs
    ):
        tokens = _tokens_of(embed, trunk, decoder, patch)
        count, width = tokens
        super().__init__(_whole(embed, trunk), **kwargs)
        self.embed, self.trunk, self.decoder = embed, trunk, decoder
        self.patch, self.seed = int(patch), check.check_seed(seed)
        self.ratio = check.check_number(ratio, "ratio", 0.0, 1.0)
        self.count = count
        self.num_hidden = number_hidden(self.ratio, count)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.places = self.add_weight(
            name="places",
            shape=tokens,
            initializer=_scattered(None if seed is None else seed + 250),
        )
        self.blank = self.add_weight(
            name="blank", shape=(width,), initializer="zeros"
        )
        self.mse_tracker = keras.metrics.Mean(name="mse")
        self.built = True

    @builds("embed", "trunk", "decoder")
    def transformer(
        input_shape,
        latent_dim,
        *,
        patch=2,
        depth=2,
        heads=4,
        decoder_depth=1,
        seed=None,
        dtype=None,
    ):
        """Blocks of attention, before and after the hidden patches return.

        Args:
            input_shape: ``(height, width, channels)``.
            latent_dim: Width k of tokens and code, a multiple of ``heads``.
            patch: Side of a patch, in pixels.
            depth: Blocks of the trunk.
            heads: Heads of each attention.
            decoder_depth: Blocks of the decoder.
            seed: Integer seed of initial weights and masks, or ``None``.
            dtype: Dtype policy of networks and model.
        """
        sizes = (patch, depth, heads, decoder_depth)
        return _networks(input_shape, latent_dim, *sizes, seed, dtype)

    def call(self, inputs, training=False):
        """Guesses of all patches and which were hidden.

        ``{"patches": (batch, patches, pixels), "hidden": (batch, patches)}``,
        drawn in ``fit``, ``evaluate`` and ``predict`` alike.
        """
        tokens = self.embed(inputs, training=training)
        noise = keras.random.uniform(
            (ops.shape(tokens)[0], self.count),
            dtype="float32",
            seed=self.seed_generator,
        )
        order = ops.argsort(noise, axis=1)  # seen first, hidden last
        back = ops.argsort(order, axis=1)
        seen = order[:, : self.count - self.num_hidden, None]
        seen = self.trunk(
            ops.take_along_axis(tokens, seen, axis=1), training=training
        )
        blank = ops.cast(self.blank, seen.dtype) + ops.zeros_like(
            tokens[:, : self.num_hidden]
        )
        whole = ops.concatenate([seen, blank], axis=1)
        whole = ops.take_along_axis(whole, back[..., None], axis=1)
        whole = whole + ops.cast(self.places, whole.dtype)
        hidden = ops.cast(back >= self.count - self.num_hidden, "float32")
        guess = self.decoder(whole, training=training)
        return {"patches": guess, "hidden": hidden}

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        right = image_patches(ops.cast(x, "float32"), self.patch)
        guess = ops.cast(y_pred["patches"], "float32")
        error = ops.sum(ops.square(right - guess), axis=2)
        error = ops.sum(error * y_pred["hidden"], axis=1)
        pixels = self.num_hidden * right.shape[2]
        self.mse_tracker.update_state(error / pixels, sample_weight)
        return self.add_losses(weighted_mean(error, sample_weight))


def _tokens_of(embed, trunk, decoder, patch):
    """Number and width of the tokens, if the three networks fit."""
    shape, tokens = shapes_of(embed, "embed")
    patch = check.check_int(patch, "patch")
    count = int(np.prod(grid_of_patches(shape, patch)))
    if len(tokens) != 2 or tokens[0] != count:
        check.fail("embed", f"{count} tokens, one a patch", f"{tokens}")
    width = tokens[1]
    if shapes_of(trunk, "trunk") != ((None, width), (None, width)):
        expected = f"any number of tokens of width {width} in and out"
        check.fail("trunk", expected, f"{shapes_of(trunk, 'trunk')}")
    made = (count, patch**2 * shape[2])
    if shapes_of(decoder, "decoder") != (tokens, made):
        expected = f"tokens {tokens} in, patches {made} out"
        check.fail("decoder", expected, f"{shapes_of(decoder, 'decoder')}")
    return tokens


def _whole(embed, trunk):
    """Images → codes: the mean over what the trunk makes of all tokens."""
    inputs = keras.Input(embed.input_shape[1:], name="x")
    tokens = trunk(embed(inputs))
    pool = keras.layers.GlobalAveragePooling1D(name="mean")
    return keras.Model(inputs, pool(tokens), name="encoder")


def _sizes(width, heads, depth, decoder_depth):
    """Width, heads and depths of a transformer, once they fit each other."""
    width = check.check_int(width, "latent_dim")
    heads = check.check_int(heads, "heads")
    depth = check.check_int(depth, "depth")
    decoder_depth = check.check_int(decoder_depth, "decoder_depth")
    if width % heads:
        check.fail("heads", f"a divisor of the width {width}", f"{heads}")
    return width, heads, depth, decoder_depth


def _networks(
    input_shape, width, patch, depth, heads, decoder_depth, seed, dtype
):
    """Embedding, trunk and decoder of :meth:`MaskedPatches.transformer`."""
    width, heads, depth, decoder_depth = _sizes(
        width, heads, depth, decoder_depth
    )
    patch = check.check_int(patch, "patch")
    count = int(np.prod(grid_of_patches(input_shape, patch)))
    start = Seeds(seed)
    layers = keras.layers
    image = keras.Input(input_shape, name="x")
    tokens = layers.Conv2D(
        width,
        patch,
        patch,
        kernel_initializer=start(),
        name="patches",
        dtype=dtype,
    )(image)
    tokens = layers.Reshape((count, width), dtype=dtype)(tokens)
    tokens = Places(seed=start.next(), name="places", dtype=dtype)(tokens)
    embed = keras.Model(image, tokens, name="embed")
    seen = keras.Input((None, width), name="tokens")
    made = _blocks(seen, depth, heads, start, dtype)
    trunk = keras.Model(seen, made, name="trunk")
    whole = keras.Input((count, width), name="tokens")
    made = _blocks(whole, decoder_depth, heads, start, dtype)
    pixels = layers.Dense(
        patch**2 * input_shape[2],
        kernel_initializer=start(),
        name="pixels",
        dtype=dtype,
    )
    return embed, trunk, keras.Model(whole, pixels(made), name="decoder")


def _scattered(seed):
    """Places far enough apart to be told from each other at once."""
    return keras.initializers.RandomNormal(stddev=0.5, seed=seed)


def _blocks(tokens, depth, heads, start, dtype):
    """Attention and a small network on each token, ``depth`` times."""
    width = tokens.shape[-1]
    layers = keras.layers
    for index in range(1, depth + 1):
        normal = layers.LayerNormalization(dtype=dtype)(tokens)
        attend = layers.MultiHeadAttention(
            heads,
            width // heads,
            seed=start.next(),
            name=f"attention_{index}",
            dtype=dtype,
        )
        attended = attend(normal, normal)
        # one seeded initialiser would make query, key and value the same
        for kernel in (w for w in attend.weights if "kernel" in w.name):
            flat = (width, width)
            kernel.assign(ops.reshape(start()(flat), kernel.shape))
        tokens = layers.Add(dtype=dtype)([tokens, attended])
        normal = layers.LayerNormalization(dtype=dtype)(tokens)
        for units, activation in ((2 * width, "gelu"), (width, None)):
            normal = layers.Dense(
                units, activation, kernel_initializer=start(), dtype=dtype
            )(normal)
        tokens = layers.Add(dtype=dtype)([tokens, normal])
    return layers.LayerNormalization(dtype=dtype)(tokens)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Places(keras.layers.Layer):
    """Adds a learned vector to each token, one a place.

    Args:
        seed: Integer seed of their initial values, or ``None``.

    Input shape:
        ``(batch, tokens, width)``, with a fixed number of tokens.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = check.check_seed(seed)

    def build(self, input_shape):
        self.table = self.add_weight(
            name="table",
            shape=input_shape[1:],
            initializer=_scattered(self.seed),
        )

    def call(self, inputs):
        return inputs + ops.cast(self.table, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
