"""Layers that Keras does not ship, or ships with a restriction."""

import math

import keras
from keras import ops

from utils.support import validation as check

__all__ = [
    "Corruption",
    "Embedding",
    "RandomAffine",
    "Sampling",
    "TiedDense",
    "VectorQuantizer",
    "table_shape",
    "take_rows",
]

PACKAGE = "unsupervised"


@keras.saving.register_keras_serializable(package=PACKAGE)
class Corruption(keras.layers.Layer):
    """Damages its input while training; the identity at inference.

    A denoising autoencoder sees the damaged input and is scored against the
    clean one (Vincent et al. 2008). Unlike ``keras.layers.GaussianNoise`` any
    noise level is accepted, and unlike ``Dropout`` masking does not rescale
    what is left.

    Args:
        kind: ``"gaussian"`` adds N(0, amount²) to every entry;
            ``"masking"`` sets each entry to 0 with probability ``amount``.
        amount: Standard deviation ≥ 0, in units of the data, or probability
            in [0, 1].
        seed: Integer seed of the layer's own generator, or ``None``.

    Call arguments:
        inputs: Tensor of any shape.
        training: Corrupt only if true.

    Output shape:
        That of the input.

    Raises:
        ValueError: unknown kind, or an amount out of range.
    """

    KINDS = ("gaussian", "masking")

    def __init__(self, kind="gaussian", amount=0.3, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.kind = check.check_choice(kind, "kind", self.KINDS)
        high = 1.0 if kind == "masking" else None
        self.amount = check.check_number(amount, "amount", 0.0, high)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs, training=False):
        if not training or self.amount == 0.0:
            return inputs
        shape, dtype = ops.shape(inputs), self.compute_dtype
        if self.kind == "gaussian":
            noise = keras.random.normal(
                shape, dtype=dtype, seed=self.seed_generator
            )
            return inputs + self.amount * noise
        uniform = keras.random.uniform(
            shape, dtype=dtype, seed=self.seed_generator
        )
        return inputs * ops.cast(uniform >= self.amount, dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        own = {"kind": self.kind, "amount": self.amount, "seed": self.seed}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package=PACKAGE)
class RandomAffine(keras.layers.Layer):
    """Turns, shifts and scales images at random while training.

    At inference it is the identity. What comes in from beyond the edge is
    0. No gradient passes to the input: the layer belongs before a network.

    Args:
        rotation: Largest angle in degrees, from 0 to 180; each image draws
            its own from [−rotation, rotation].
        shift: Largest shift along each axis, as a share of the side, from 0
            to 1.
        scale: Largest change of size, from 0 to 0.9: each image draws its
            factor from [1 − scale, 1 + scale].
        shear: Largest horizontal slant, from 0 to 1, in columns a row.
        seed: Integer seed of the layer's own generator, or ``None``.

    Call arguments:
        inputs: Images ``(batch, height, width, channels)``.
        training: Transform only if true.

    Output shape:
        That of the input.

    Raises:
        ValueError: an amount out of range.
    """

    def __init__(
        self,
        rotation=10.0,
        shift=0.1,
        scale=0.1,
        shear=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.rotation = check.check_number(rotation, "rotation", 0.0, 180.0)
        self.shift = check.check_number(shift, "shift", 0.0, 1.0)
        self.scale = check.check_number(scale, "scale", 0.0, 0.9)
        self.shear = check.check_number(shear, "shear", 0.0, 1.0)
        self.seed = check.check_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        batch, height, width, _ = ops.shape(inputs)
        draws = keras.random.uniform(
            (5, batch), -1.0, 1.0, dtype="float32", seed=self.seed_generator
        )
        angle = draws[0] * (self.rotation * math.pi / 180.0)
        size = 1.0 + self.scale * draws[1]
        # rows of the 2 × 2 matrix that maps an output point to its source
        a0, a1 = ops.cos(angle) / size, ops.sin(angle) / size
        b0, b1 = -a1, a0
        slant = self.shear * draws[2]
        a1, b1 = a1 + slant * a0, b1 + slant * b0
        across, down = (width - 1) / 2.0, (height - 1) / 2.0
        a2 = across - a0 * across - a1 * down + self.shift * width * draws[3]
        b2 = down - b0 * across - b1 * down + self.shift * height * draws[4]
        zeros = ops.zeros_like(a0)
        rows = [a0, a1, a2, b0, b1, b2, zeros, zeros]
        moved = ops.image.affine_transform(
            ops.cast(inputs, "float32"),
            ops.stack(rows, axis=1),  # (batch, 8)
            interpolation="bilinear",
            fill_mode="constant",
            data_format="channels_last",
        )
        return ops.cast(moved, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        names = ("rotation", "shift", "scale", "shear", "seed")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package=PACKAGE)
class TiedDense(keras.layers.Layer):
    """Dense layer whose kernel is the transpose of another layer's.

    Tying decoder to encoder halves the weights and makes a linear
    autoencoder's map symmetric, x̂ = W Wᵀ x (+ biases), as in PCA.

    The other layer is held, not copied: the kernel is read at each call, so
    both move together. Only the bias is this layer's own.

    Args:
        tied_to: A built ``keras.layers.Dense`` with kernel
            ``(features, units)``.
        activation: Name of an activation, or ``None`` for linear.

    Input shape:
        ``(batch, units)``.

    Output shape:
        ``(batch, features)``.

    Raises:
        ValueError: ``tied_to`` is not a built dense layer.
    """

    def __init__(self, tied_to, activation=None, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(tied_to, keras.layers.Dense) or not tied_to.built:
            check.fail("tied_to", "a built keras.layers.Dense", repr(tied_to))
        self.tied_to = tied_to
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        features = self.tied_to.kernel.shape[0]
        self.bias = self.add_weight(
            name="bias", shape=(features,), initializer="zeros"
        )

    def call(self, inputs):
        kernel = ops.cast(self.tied_to.kernel, self.compute_dtype)
        outputs = ops.matmul(inputs, ops.transpose(kernel))
        return self.activation(outputs + self.bias)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.tied_to.kernel.shape[0])

    def get_config(self):
        return {
            **super().get_config(),
            "tied_to": keras.saving.serialize_keras_object(self.tied_to),
            "activation": keras.activations.serialize(self.activation),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        tied_to = keras.saving.deserialize_keras_object(config.pop("tied_to"))
        return cls(tied_to, **config)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Sampling(keras.layers.Layer):
    """Draws z = μ + σ ε with ε ~ N(0, I): the reparameterised Gaussian.

    The noise has no parameters, so gradients reach both μ and log σ²
    (Kingma and Welling 2014). It draws at inference too: a sample is the
    layer's output, not a regulariser.

    Args:
        seed: Integer seed of the layer's own generator, or ``None``.

    Call arguments:
        inputs: Pair ``(mean, log_var)`` of tensors of one shape, log_var
            being log σ².

    Output shape:
        That of ``mean``.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs):
        mean, log_var = inputs
        noise = keras.random.normal(
            ops.shape(mean), dtype=self.compute_dtype, seed=self.seed_generator
        )
        return mean + ops.exp(0.5 * log_var) * noise

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


def take_rows(table, ids):
    """Rows of a table, with a gradient that is one array.

    TensorFlow gives the gradient of a plain ``ops.take`` as a list of rows,
    one an occurrence, and Keras's Adam then squares each before it adds up
    those of one row: its second moment becomes Σ g² where Kingma & Ba (2015)
    have (Σ g)², and a row that a batch holds often learns at another rate
    than on JAX and PyTorch. ``reshape`` has them added up first.

    Args:
        table: Tensor or variable ``(rows, width)``.
        ids: Integer tensor ``(…)`` of values in 0 … rows − 1.

    Returns:
        Tensor ``(…, width)``.
    """
    return ops.take(ops.reshape(table, table.shape), ids, axis=0)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Embedding(keras.layers.Embedding):
    """Keras's ``Embedding``, looked up by :func:`take_rows`."""

    def call(self, inputs):
        ids = ops.cast(inputs, "int32")
        rows = take_rows(self.embeddings, ids)
        return ops.cast(rows, self.compute_dtype)


def table_shape(table, name):
    """``(rows, width)`` of an ``Embedding``, which is built if need be.

    Raises:
        ValueError: another layer.
    """
    if not isinstance(table, keras.layers.Embedding):
        check.fail(name, "an Embedding layer", type(table).__name__)
    if not table.built:
        table.build()
    return table.input_dim, table.output_dim


@keras.saving.register_keras_serializable(package=PACKAGE)
class VectorQuantizer(keras.layers.Layer):
    """Replaces each vector by the nearest row of a code book.

    The choice has no gradient, so the output's gradient is handed to the
    input unchanged ("straight through"; van den Oord et al. 2017). It
    follows that the code book gets none from here: the model's loss has to
    pull rows and vectors together, by :meth:`lookup`.

    Args:
        codebook_size: Number K ≥ 2 of rows of the code book.
        code_dim: Width of a row.
        seed: Integer seed of the initial code book, or ``None``.

    Input shape:
        ``(batch, …, code_dim)``.

    Returns:
        Pair: the chosen rows, of the shape of the input, and their indices
        ``(batch, …)``, int32.

    Raises:
        ValueError: a size out of range.
    """

    def __init__(self, codebook_size, code_dim, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.codebook_size = check.check_int(codebook_size, "codebook_size", 2)
        self.code_dim = check.check_int(code_dim, "code_dim")
        self.seed = seed
        self.codebook = self.add_weight(
            name="codebook",
            shape=(self.codebook_size, self.code_dim),
            initializer=keras.initializers.RandomNormal(
                stddev=1.0 / self.code_dim**0.5, seed=seed
            ),
            autocast=False,
        )
        self.built = True

    def call(self, inputs):
        vectors = ops.cast(inputs, "float32")
        # ‖v − e‖² without ‖v‖², which is the same for every row
        scores = ops.sum(ops.square(self.codebook), axis=1) - 2.0 * ops.matmul(
            vectors, ops.transpose(self.codebook)
        )
        ids = ops.cast(ops.argmin(scores, axis=-1), "int32")
        chosen = ops.cast(self.lookup(ids), inputs.dtype)
        return inputs + ops.stop_gradient(chosen - inputs), ids

    def lookup(self, ids):
        """Rows of the code book, ``(…, code_dim)``, with their gradient."""
        return take_rows(self.codebook, ids)

    def get_config(self):
        names = ("codebook_size", "code_dim", "seed")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own}
