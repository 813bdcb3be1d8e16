"""Functional builders of encoders and decoders, generators and critics.

Decoders end *before* their output activation: the model that owns them
decides whether the values are means, probabilities or logits. A generator
is a decoder with its output activation; a critic is an encoder whose code
is one score.
"""

import keras
import numpy as np
from keras import ops

from utils.nn.layers import TiedDense
from utils.support import validation as check

__all__ = [
    "Seeds",
    "classifier",
    "conv_decoder",
    "conv_encoder",
    "conv_pair",
    "critic",
    "dense_decoder",
    "dense_encoder",
    "dense_pair",
    "generator",
    "glorot",
    "grid_pair",
    "image_to_image",
    "last_activation",
    "seed_of",
    "tied_decoder",
    "variational_pair",
]

# steps that only rearrange or average what the step before them made
REARRANGING = (
    "ActivityRegularization Flatten GetItem GlobalAveragePooling1D "
    "GlobalAveragePooling2D Identity Mean Permute Reshape Squeeze Transpose"
).split()


# The offsets of seeds in this file (250, 500, 900, 7000) keep the weights of
# two networks with one seed apart. numpy.random.SeedSequence.spawn would do so
# without such numbers, but they fix the first weights behind every committed
# result, and stand for that alone.


def seed_of(seed, number):
    """The seed of one layer, by its number in the network; or ``None``."""
    return None if seed is None else 1000 * seed + number


def glorot(seed, number):
    """Glorot's initialiser of one layer; see :func:`seed_of`."""
    return keras.initializers.GlorotUniform(seed=seed_of(seed, number))


class Seeds:
    """A fresh seed, or initialiser, for each layer in turn."""

    def __init__(self, seed):
        self.seed, self.count = check.check_seed(seed), 0

    def next(self):
        """The next layer's seed, or ``None``."""
        self.count += 1
        return seed_of(self.seed, self.count)

    def __call__(self, activation=None):
        """He scaling before a ReLU (He et al. 2015), else Glorot."""
        seed = self.next()
        if activation in ("relu", "elu", "gelu", "silu", "leaky_relu"):
            return keras.initializers.HeNormal(seed=seed)
        return keras.initializers.GlorotUniform(seed=seed)


def _dense(units, activation, name, init, dtype):
    """A dense layer whose initialiser fits its activation."""
    return keras.layers.Dense(
        units,
        activation,
        kernel_initializer=init(activation),
        name=name,
        dtype=dtype,
    )


def dense_encoder(
    input_shape,
    latent_dim,
    widths=(128,),
    *,
    activation="relu",
    code_activation="linear",
    seed=None,
    dtype=None,
):
    """Flatten, hidden dense layers, then the code.

    Args:
        input_shape: Shape of one example, such as ``(28, 28, 1)``.
        latent_dim: Width of the code.
        widths: Units of the hidden layers, input side first; may be empty.
        activation: Activation of the hidden layers.
        code_activation: Activation of the code. A ReLU here can kill units.
        seed: Integer seed of the initial weights, or ``None``.
        dtype: Dtype policy of the layers.

    Returns:
        Functional model ``(batch, *input_shape)`` → ``(batch, latent_dim)``.
    """
    init = Seeds(seed)
    inputs = keras.Input(input_shape, name="x")
    hidden = keras.layers.Flatten(name="flatten", dtype=dtype)(inputs)
    for index, units in enumerate(widths, start=1):
        layer = _dense(units, activation, f"hidden_{index}", init, dtype)
        hidden = layer(hidden)
    code = _dense(latent_dim, code_activation, "code", init, dtype)(hidden)
    return keras.Model(inputs, code, name="encoder")


def dense_decoder(
    latent_dim,
    output_shape,
    widths=(128,),
    *,
    activation="relu",
    seed=None,
    dtype=None,
):
    """Hidden dense layers, then one linear output per entry, reshaped.

    Args:
        latent_dim: Width of the code.
        output_shape: Shape of one reconstruction.
        widths: Units of the hidden layers, *code* side first; may be empty.
        activation, seed, dtype: As for :func:`dense_encoder`.

    Returns:
        Functional model ``(batch, latent_dim)`` → ``(batch, *output_shape)``,
        linear in its last layer.
    """
    init = Seeds(None if seed is None else seed + 500)
    inputs = keras.Input((latent_dim,), name="z")
    hidden = inputs
    for index, units in enumerate(widths, start=1):
        layer = _dense(units, activation, f"hidden_{index}", init, dtype)
        hidden = layer(hidden)
    flat = keras.layers.Dense(
        int(np.prod(output_shape)),
        kernel_initializer=init("linear"),
        name="flat_output",
        dtype=dtype,
    )(hidden)
    outputs = keras.layers.Reshape(output_shape, dtype=dtype)(flat)
    return keras.Model(inputs, outputs, name="decoder")


def tied_decoder(encoder, output_shape, *, activation="relu", dtype=None):
    """Mirror a dense encoder with the transposes of its own kernels.

    Args:
        encoder: Model from :func:`dense_encoder`.
        output_shape: Shape of one reconstruction.
        activation, dtype: As for :func:`dense_encoder`.

    Returns:
        Functional model ``(batch, latent_dim)`` → ``(batch, *output_shape)``
        whose only weights of its own are biases.
    """
    mirrored = [
        layer
        for layer in reversed(encoder.layers)
        if isinstance(layer, keras.layers.Dense)
    ]
    inputs = keras.Input((mirrored[0].units,), name="z")
    hidden = inputs
    for index, layer in enumerate(mirrored, start=1):
        last = index == len(mirrored)
        hidden = TiedDense(
            layer,
            None if last else activation,
            name=f"tied_{index}",
            dtype=dtype,
        )(hidden)
    outputs = keras.layers.Reshape(output_shape, dtype=dtype)(hidden)
    return keras.Model(inputs, outputs, name="decoder")


def _check_image_shape(shape, widths, name):
    step = 2 ** len(widths)
    if len(shape) != 3 or shape[0] % step or shape[1] % step:
        check.fail(
            name,
            f"(height, width, channels) with height and width divisible by "
            f"{step}, as {len(widths)} stages halve them",
            f"{tuple(shape)}",
        )


def conv_encoder(
    input_shape,
    latent_dim,
    widths=(32, 64),
    *,
    activation="relu",
    code_activation="linear",
    seed=None,
    dtype=None,
):
    """Convolutions of stride 2, flatten, then the code.

    Args:
        input_shape: ``(height, width, channels)``, both sides divisible by
            ``2 ** len(widths)``.
        latent_dim: Width of the code.
        widths: Filters of the stages, image side first.
        activation, code_activation, seed, dtype: As for
            :func:`dense_encoder`.

    Returns:
        Functional model ``(batch, h, w, c)`` → ``(batch, latent_dim)``.

    Raises:
        ValueError: an image whose sides cannot be halved that often.
    """
    _check_image_shape(input_shape, widths, "input_shape")
    init = Seeds(seed)
    inputs = keras.Input(input_shape, name="x")
    hidden = inputs
    for index, filters in enumerate(widths, start=1):
        hidden = keras.layers.Conv2D(
            filters,
            kernel_size=3,
            strides=2,
            padding="same",
            activation=activation,
            kernel_initializer=init(activation),
            name=f"conv_{index}",
            dtype=dtype,
        )(hidden)  # (batch, h / 2**index, w / 2**index, filters)
    hidden = keras.layers.Flatten(name="flatten", dtype=dtype)(hidden)
    code = _dense(latent_dim, code_activation, "code", init, dtype)(hidden)
    return keras.Model(inputs, code, name="encoder")


def conv_decoder(
    latent_dim,
    output_shape,
    widths=(64, 32),
    *,
    activation="relu",
    seed=None,
    dtype=None,
):
    """Dense to the smallest map, then transposed convolutions of stride 2.

    The kernel size 4 is a multiple of the stride, so that every output pixel
    is covered equally often (Odena et al. 2016): no checkerboard.

    Args:
        latent_dim: Width of the code.
        output_shape: ``(height, width, channels)``, both sides divisible by
            ``2 ** len(widths)``.
        widths: Filters of the stages, *code* side first.
        activation, seed, dtype: As for :func:`dense_encoder`.

    Returns:
        Functional model ``(batch, latent_dim)`` → ``(batch, h, w, c)``,
        linear in its last layer.

    Raises:
        ValueError: an image whose sides cannot be halved that often.
    """
    _check_image_shape(output_shape, widths, "output_shape")
    init = Seeds(None if seed is None else seed + 500)
    step = 2 ** len(widths)
    height, width, channels = output_shape
    small = (height // step, width // step, widths[0])
    inputs = keras.Input((latent_dim,), name="z")
    size = int(np.prod(small))
    hidden = _dense(size, activation, "small_map", init, dtype)(inputs)
    hidden = keras.layers.Reshape(small, dtype=dtype)(hidden)
    filters_out = [*widths[1:], channels]
    for index, filters in enumerate(filters_out, start=1):
        last = index == len(filters_out)
        stage_activation = "linear" if last else activation
        hidden = keras.layers.Conv2DTranspose(
            filters,
            kernel_size=4,
            strides=2,
            padding="same",
            activation=stage_activation,
            kernel_initializer=init(stage_activation),
            name="output_map" if last else f"conv_{index}",
            dtype=dtype,
        )(hidden)  # (batch, small * 2**index, small * 2**index, filters)
    return keras.Model(inputs, hidden, name="decoder")


def dense_pair(
    input_shape,
    latent_dim,
    widths=(128,),
    *,
    activation="relu",
    code_activation="linear",
    seed=None,
    dtype=None,
):
    """A dense encoder and the decoder that mirrors it.

    Args:
        widths: Hidden units, input side first; mirrored in the decoder.
        input_shape, latent_dim, activation, code_activation, seed, dtype: As
            for :func:`dense_encoder`.

    Returns:
        ``(encoder, decoder)``; see :func:`dense_encoder`.
    """
    shape, latent_dim, widths = _checked(input_shape, latent_dim, widths, seed)
    shared = {"activation": activation, "seed": seed, "dtype": dtype}
    encoder = dense_encoder(
        shape, latent_dim, widths, code_activation=code_activation, **shared
    )
    return encoder, dense_decoder(latent_dim, shape, widths[::-1], **shared)


def conv_pair(
    input_shape,
    latent_dim,
    widths=(32, 64),
    *,
    activation="relu",
    code_activation="linear",
    seed=None,
    dtype=None,
):
    """As :func:`dense_pair`, of convolutions; see :func:`conv_encoder`."""
    shape, latent_dim, widths = _checked(input_shape, latent_dim, widths, seed)
    if not widths:
        check.fail("widths", "at least one stage for 'conv'", "()")
    shared = {"activation": activation, "seed": seed, "dtype": dtype}
    encoder = conv_encoder(
        shape, latent_dim, widths, code_activation=code_activation, **shared
    )
    return encoder, conv_decoder(latent_dim, shape, widths[::-1], **shared)


def variational_pair(
    kind,
    input_shape,
    latent_dim,
    widths,
    num_classes=None,
    *,
    activation="relu",
    seed=None,
    dtype=None,
):
    """Encoder with two heads, mean and log variance, and its decoder.

    Where there are classes both also take ``"labels"``, which enter as
    one-hot rows with entries of mean square 1 (in a convolutional encoder as
    constant planes). Entries of a code drawn from N(0, I) are as large: with
    plain ones the decoder learns to hear the code long before it hears the
    class, and the code keeps the class for good.

    Args:
        kind: ``"dense"`` or ``"conv"``.
        input_shape: Shape of one example.
        latent_dim: Width of the code.
        widths: Hidden units or filters, input side first.
        num_classes: Number of classes ≥ 2, or ``None``.
        activation, seed, dtype: As for :func:`dense_encoder`.

    Returns:
        ``(encoder, decoder)``: from ``(batch, *input_shape)`` to ``{"mean",
        "log_var"}``, each ``(batch, latent_dim)``, and from there to
        ``(batch, *input_shape)``, linear at its end. With classes the inputs
        are dicts ``{"x", "labels"}`` and ``{"z", "labels"}``.
    """
    shape, latent_dim, widths = _checked(input_shape, latent_dim, widths, seed)
    if kind == "conv" and not widths:
        check.fail("widths", "at least one stage for 'conv'", "()")
    shared = {"activation": activation, "seed": seed, "dtype": dtype}
    build_encoder, build_decoder = BUILDERS[kind]
    if num_classes is None:
        encoder = _two_heads(
            build_encoder(shape, latent_dim, widths, **shared), seed, dtype
        )
        return encoder, build_decoder(latent_dim, shape, widths[::-1], **shared)
    num_classes = check.check_int(num_classes, "num_classes", minimum=2)
    if kind == "conv":
        _check_image_shape(shape, widths, "input_shape")
    x, z = keras.Input(shape, name="x"), keras.Input((latent_dim,), name="z")
    labels = keras.Input((), name="labels", dtype="int32")
    one_hot = ops.one_hot(labels, num_classes, dtype=z.dtype)
    one_hot = one_hot * num_classes**0.5
    if kind == "dense":
        flat = keras.layers.Flatten(dtype=dtype)(x)
        joined = ops.concatenate([flat, one_hot], axis=1)
    else:
        planes = ops.ones_like(x[..., :1]) * one_hot[:, None, None, :]
        joined = ops.concatenate([x, planes], axis=-1)
    inner = build_encoder(joined.shape[1:], latent_dim, widths, **shared)
    heads = _two_heads(inner, seed, dtype)(joined)
    encoder = keras.Model({"x": x, "labels": labels}, heads, name="encoder")
    inner = build_decoder(
        latent_dim + num_classes, shape, widths[::-1], **shared
    )
    raw = inner(ops.concatenate([z, one_hot], axis=1))
    return encoder, keras.Model({"z": z, "labels": labels}, raw, name="decoder")


def _two_heads(encoder, seed, dtype):
    """A second head beside the code: the code is μ, its twin log σ²."""
    hidden = encoder.get_layer("code").input
    log_var = keras.layers.Dense(
        encoder.output.shape[-1],
        kernel_initializer=glorot(seed, 900),
        name="log_var",
        dtype=dtype,
    )(hidden)
    heads = {"mean": encoder.output, "log_var": log_var}
    return keras.Model(encoder.input, heads, name="encoder")


def classifier(
    kind,
    input_shape,
    num_classes,
    widths,
    *,
    dropout=0.0,
    activation="relu",
    seed=None,
    dtype=None,
):
    """Logits of classes: an encoder with dropout before its last layer.

    Args:
        kind: ``"dense"`` or ``"conv"``.
        input_shape: Shape of one example.
        num_classes: Number of classes.
        widths: Hidden units or filters, input side first.
        dropout: Rate in [0, 1) on the last hidden layer.
        activation: Activation of the hidden layers.
        seed: Integer seed of weights and dropout, or ``None``.
        dtype: Dtype policy of the layers.

    Returns:
        Functional model ``(batch, *input_shape)`` → ``(batch, num_classes)``.
    """
    shape, num_classes, widths = _checked(
        input_shape, num_classes, widths, seed
    )
    rate = check.check_number(dropout, "dropout", 0.0, 0.99)
    body = BUILDERS[kind][0](
        shape,
        num_classes,
        widths,
        activation=activation,
        seed=None if seed is None else seed + 7000,
        dtype=dtype,
    )
    head = body.get_layer("code")
    hidden = keras.layers.Dropout(rate, seed=seed, dtype=dtype)(head.input)
    return keras.Model(body.input, head(hidden), name="classifier")


def _checked(input_shape, latent_dim, widths, seed):
    check.check_seed(seed)
    return (
        check.check_shape(input_shape, "input_shape"),
        check.check_int(latent_dim, "latent_dim"),
        check.check_widths(widths, "widths"),
    )


# encoder and decoder of each kind of network
BUILDERS = {
    "dense": (dense_encoder, dense_decoder),
    "conv": (conv_encoder, conv_decoder),
}


def generator(
    latent_dim,
    output_shape,
    widths=(128,),
    *,
    network="dense",
    num_classes=None,
    output="sigmoid",
    activation="relu",
    seed=None,
    dtype=None,
):
    """Map noise, and a label if there are classes, to an example.

    Args:
        latent_dim: Entries of the noise vector z.
        output_shape: Shape of one generated example.
        widths: Hidden widths, noise side first: units for ``"dense"``,
            filters for ``"conv"``.
        network: ``"dense"`` or ``"conv"``.
        num_classes: Number of classes of a conditional generator, whose
            label joins the noise as a one-hot vector; ``None`` for none.
        output: Activation of the output: ``"sigmoid"`` for data in [0, 1],
            ``"tanh"`` for [−1, 1], ``"linear"`` for any.
        activation, seed, dtype: As for :func:`dense_encoder`.

    Returns:
        Functional model ``(batch, latent_dim)`` → ``(batch,
        *output_shape)``. With classes its input is a dict ``{"z",
        "labels"}``, labels ``(batch,)`` integers.
    """
    _, build = BUILDERS[network]
    decoder = build(
        latent_dim + (num_classes or 0),
        output_shape,
        widths,
        activation=activation,
        seed=seed,
        dtype=dtype,
    )
    inputs = z = keras.Input((latent_dim,), name="z")
    if num_classes:
        labels = keras.Input((), name="labels", dtype="int32")
        inputs = {"z": z, "labels": labels}
        one_hot = ops.one_hot(labels, num_classes)
        z = keras.layers.Concatenate(dtype=dtype)([z, one_hot])
    outputs = keras.layers.Activation(output, dtype=dtype)(decoder(z))
    return keras.Model(inputs, outputs, name="generator")


def critic(
    input_shape,
    widths=(128,),
    *,
    network="dense",
    num_classes=None,
    activation="leaky_relu",
    seed=None,
    dtype=None,
):
    """Map an example, and its label if there are classes, to one score.

    With classes the last layer has one score for each class and the label
    picks its own, which is the projection of Miyato and Koyama (2018) with
    the class-free part written into every class. A ReLU passes no gradient
    to the generator where it is off, hence the leaky default.

    Args:
        input_shape: Shape of one example.
        widths: Hidden widths, data side first: units for ``"dense"``,
            filters for ``"conv"``.
        network: ``"dense"`` or ``"conv"``.
        num_classes: Number of classes, or ``None``.
        activation, seed, dtype: As for :func:`dense_encoder`.

    Returns:
        Functional model ``(batch, *input_shape)`` → ``(batch,)``, any real
        number: the logit of "real" for a discriminator. With classes its
        input is a dict ``{"x", "labels"}``.
    """
    build, _ = BUILDERS[network]
    encoder = build(
        input_shape,
        num_classes or 1,
        widths,
        activation=activation,
        seed=None if seed is None else seed + 250,
        dtype=dtype,
    )
    inputs = x = keras.Input(input_shape, name="x")
    scores = encoder(x)  # (batch, num_classes or 1)
    if num_classes:
        labels = keras.Input((), name="labels", dtype="int32")
        inputs = {"x": x, "labels": labels}
        one_hot = ops.one_hot(labels, num_classes)
        scores = keras.layers.Multiply(dtype=dtype)([scores, one_hot])
    return keras.Model(inputs, ops.sum(scores, axis=-1), name="critic")


def image_to_image(
    channels,
    out_channels,
    widths=(32, 32),
    *,
    stride=2,
    activation="leaky_relu",
    seed=None,
    dtype=None,
):
    """Convolutions that correct an image of any size.

    The first layer shrinks the image by ``stride``, the hidden layers work
    there, the last layer enlarges again, and the result is *added* to the
    first channels of the input. The last layer starts at zero: untrained,
    the network hands its input on. No code in between, no bottleneck.

    Args:
        channels: Channels of the input.
        out_channels: Channels of the output, at most those of the input.
        widths: Filters of the layers but the last, image side first.
        stride: Factor by which sides shrink inside; it must divide them.
        activation: Activation of the hidden layers. A ReLU may be off
            everywhere at the start, and then the copy stays a copy.
        seed: Integer seed of the initial weights, or ``None``.
        dtype: Dtype policy of the layers.

    Returns:
        Functional model ``(batch, h, w, channels)`` → ``(batch, h, w,
        out_channels)``, linear at its end.
    """
    init = Seeds(seed)
    inputs = keras.Input((None, None, channels), name="x")
    hidden = inputs
    for index, filters in enumerate(widths, start=1):
        hidden = keras.layers.Conv2D(
            filters,
            kernel_size=max(3, 2 * stride) if index == 1 else 3,
            strides=stride if index == 1 else 1,
            padding="same",
            activation=activation,
            kernel_initializer=init(activation),
            name=f"conv_{index}",
            dtype=dtype,
        )(hidden)  # (batch, h / stride, w / stride, filters)
    correction = keras.layers.Conv2DTranspose(
        out_channels,
        kernel_size=max(3, 2 * stride),
        strides=stride,
        padding="same",
        kernel_initializer="zeros",
        name="correction",
        dtype=dtype,
    )(hidden)
    kept = inputs[..., :out_channels]
    outputs = keras.layers.Add(name="y", dtype=dtype)([kept, correction])
    return keras.Model(inputs, outputs, name="image_to_image")


def grid_pair(
    input_shape,
    code_dim,
    widths=(32, 64),
    *,
    activation="relu",
    seed=None,
    dtype=None,
):
    """As :func:`conv_pair`, around a grid of vectors in place of one.

    The stages are those of :func:`conv_encoder` and :func:`conv_decoder`; a
    convolution at each side of the grid takes the place of their dense
    layers.

    Args:
        input_shape: ``(height, width, channels)``, both sides divisible by
            ``2 ** len(widths)``.
        code_dim: Width of a vector.
        widths: Filters of the stages, image side first; at least one.
        activation, seed, dtype: As for :func:`dense_encoder`.

    Returns:
        ``(encoder, decoder)``: ``(batch, height, width, channels)`` →
        ``(batch, h, w, code_dim)`` and back, linear at both ends.
    """
    shared = {"activation": activation, "seed": seed, "dtype": dtype}
    code_dim = check.check_int(code_dim, "code_dim")
    trunk, fan = conv_pair(input_shape, code_dim, widths, **shared)

    def convolution(filters, name, number, activation):
        return keras.layers.Conv2D(
            filters,
            kernel_size=3,
            padding="same",
            activation=activation,
            kernel_initializer=glorot(seed, number),
            name=name,
            dtype=dtype,
        )

    stages = trunk.get_layer("flatten").input  # (batch, h, w, filters)
    vectors = convolution(code_dim, "vectors", 900, "linear")(stages)
    grid = keras.Input(vectors.shape[1:], name="chosen")
    hidden = convolution(widths[-1], "from_grid", 901, activation)(grid)
    names = [layer.name for layer in fan.layers]
    # what follows the dense layer and its reshape
    for layer in fan.layers[names.index("small_map") + 2 :]:
        hidden = layer(hidden)
    return (
        keras.Model(trunk.input, vectors, name="encoder"),
        keras.Model(grid, hidden, name="decoder"),
    )


def last_activation(network):
    """Name of the activation a network ends in, ``None`` if there is none.

    Steps after it that only rearrange or average its values are passed over.

    Example:

    >>> layers = [keras.layers.Dense(6, "tanh"), keras.layers.Reshape((2, 3))]
    >>> last_activation(keras.Sequential([keras.Input((4,)), *layers]))
    'tanh'
    """
    steps = getattr(network, "operations", None) or network.layers
    for step in reversed(steps):
        if isinstance(step, keras.Model):
            return last_activation(step)
        kind = type(step).__name__
        if kind in ("Sigmoid", "Softmax", "Tanh"):  # not in another layer
            return kind.lower()
        if kind not in REARRANGING:
            found = getattr(step, "activation", None)
            return getattr(found, "__name__", None)
    return None
