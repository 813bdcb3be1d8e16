"""Compression is counted in bits: quantised codes, entropy, a real coder.

A code of k floating-point numbers is no compressed image: each of them holds
32 bits. What counts is what is left after rounding, and how predictable the
rounded numbers are.
"""

import bisect

import keras
import numpy as np
from keras import ops

from utils.models.autoencoders import Autoencoder
from utils.models.base import builds, weighted_mean
from utils.nn import networks
from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import first_rows

__all__ = ["Compressor", "EntropyCoder"]

# Uniform quantisation with step Δ, at high rate: D = Δ²/12 for each number
# and dD/dR = −2 log(2) D, so one more bit is worth log(2)/6 · Δ² of error.
BIT_PRICE = np.log(2.0) / 6.0
COMPONENTS = 2  # logistics in the mixture of each code unit
LINEAR = "linear"  # name of the part of a network that starts at PCA


@keras.saving.register_keras_serializable(package=PACKAGE)
class Compressor(Autoencoder):
    """Autoencoder whose code is rounded to integers and priced in bits.

    While training, the decoder sees the rounded code, through which the
    gradient is handed on unchanged (straight through); the bits are computed
    with uniform noise in place of rounding, which has a gradient of its own
    (Ballé, Laparra and Simoncelli 2017). Each code unit has a mixture of
    two logistic distributions, learned along, whose mass within
    ±½ of an integer is that integer's probability.

    The networks see and return data in units of ``step``. Those of
    :meth:`dense` are each a linear map plus a network whose last layer
    starts at zero; the first ``fit`` sets the linear maps to the principal
    directions of its data. So training starts at PCA with quantised
    coefficients and departs from it only where that pays.

    Example:

    Networks of your own, which start as they are:

    >>> encoder = keras.Sequential([keras.Input((64,)), keras.layers.Dense(8)])
    >>> decoder = keras.Sequential([keras.Input((8,)), keras.layers.Dense(64)])
    >>> model = Compressor(encoder, decoder, step=0.2)
    >>> model.encode(np.zeros((5, 64))).dtype
    dtype('int32')

    The course's own, which start at PCA:

    >>> model = Compressor.dense((8, 8, 1), latent_dim=16, step=0.2, seed=0)
    >>> model.encode(np.zeros((5, 8, 8, 1))).shape
    (5, 16)

    Args:
        encoder: Keras model from ``(batch, *input_shape)`` to codes, linear
            at its end.
        decoder: Keras model from codes to reconstructions, likewise.
        step: Quantisation step Δ > 0 of the PCA that training starts from, in
            units of the data. It sets the price of a bit, log(2)/6 · Δ² of
            squared error, and thereby the rate.
        seed: Integer seed of the noise, or ``None``.

    Loss:
        Sum of squared errors over the event axes + log(2)/6 · Δ² · bits, mean
        over the batch, plus ``self.losses``. Metrics: ``mse``, and ``bits``
        an example.

    Raises:
        ValueError: as for :class:`Autoencoder`, and a number out of range.
    """

    def __init__(self, encoder, decoder, *, step=0.25, seed=None, **kwargs):
        # units that are always 0 cost nothing: the width is no constraint
        super().__init__(encoder, decoder, overcomplete=True, **kwargs)
        self.seed = check.check_seed(seed)
        self.noise = keras.random.SeedGenerator(self.seed)
        self._add_own_weights(check.check_number(step, "step", 1e-4))
        self.bits_tracker = keras.metrics.Mean(name="bits")

    @builds("encoder", "decoder")
    def dense(
        input_shape, latent_dim, *, widths=(128, 128), seed=None, dtype=None
    ):
        """Linear maps that ``fit`` sets to PCA, and networks beside them.

        Args:
            input_shape: Shape of one example, such as ``(8, 8, 1)``.
            latent_dim: Number k of code units, at most the entries of an
                example. Most of them may end up always 0 and cost nothing.
            widths: Hidden ReLU units from input to code, mirrored in the
                decoder; may be empty.
            seed: Integer seed of initial weights and noise, or ``None``.
            dtype: Dtype policy of networks and model.
            **objective: As for the class.
        """
        shape = check.check_shape(input_shape, "input_shape")
        check.check_int(latent_dim, "latent_dim", 1, int(np.prod(shape)))
        linear, bend = (
            networks.dense_pair(shape, latent_dim, w, seed=seed, dtype=dtype)
            for w in ((), widths)
        )
        return _sum(linear[0], bend[0], dtype), _sum(linear[1], bend[1], dtype)

    def _add_own_weights(self, step):
        shape = (*self.code_shape, COMPONENTS)
        for name in ("mixture_logit", "mixture_mean", "mixture_log_scale"):
            # components that start alike would stay alike
            start = 0.7 * np.linspace(-1, 1, COMPONENTS) * ("scale" in name)
            weight = self.add_weight(name=name, shape=shape, autocast=False)
            weight.assign(np.broadcast_to(start, shape))
            setattr(self, name, weight)
        for name, value in (("delta", step), ("started", 0.0)):
            weight = self.add_weight(
                name=name, shape=(), trainable=False, autocast=False
            )
            weight.assign(value)
            setattr(self, name, weight)

    @property
    def step(self):
        """Δ as it stands: a weight, so that ``set_weights`` moves it."""
        return float(str(np.float32(ops.convert_to_numpy(self.delta))))

    # ----------------------------------------------------------- objective

    def call(self, inputs, training=False):
        """Rounded code, its bits ``(batch,)`` and the reconstruction."""
        code = self.unrounded(inputs, training)
        rounded = code + ops.stop_gradient(ops.round(code) - code)
        noisy = rounded
        if training:
            noisy = code + keras.random.uniform(
                ops.shape(code), -0.5, 0.5, seed=self.noise
            )
        outputs = self.decoded(rounded, training)
        return {"code": rounded, "bits": self.bits(noisy), **outputs}

    def unrounded(self, x, training=False):
        """What the encoder says, in float32, before it is rounded."""
        x = ops.cast(x, self.compute_dtype)
        scaled = x / ops.cast(self.delta, self.compute_dtype)
        return ops.cast(self.encoder(scaled, training=training), "float32")

    def bits(self, code):
        """−log₂ of the learned probability of codes, ``(batch,)``."""
        offset = ops.expand_dims(code, -1) - self.mixture_mean
        scale = ops.exp(self.mixture_log_scale)
        # both ends on the side of small σ: no difference of two near-ones
        far = -ops.abs(offset)
        mass = ops.sigmoid((far + 0.5) / scale) - ops.sigmoid(
            (far - 0.5) / scale
        )
        weights = ops.softmax(self.mixture_logit, axis=-1)
        probability = ops.sum(weights * mass, axis=-1)
        nats = -ops.log(ops.maximum(probability, 1e-9))
        return ops.sum(nats, axis=tuple(range(1, len(nats.shape)))) / np.log(
            2.0
        )

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        error = self.likelihood.negative_log_likelihood(x, y_pred)  # (batch,)
        self.track_mse(x, y_pred, sample_weight)
        self.bits_tracker.update_state(y_pred["bits"], sample_weight)
        price = BIT_PRICE * ops.square(self.delta)
        cost = error + price * y_pred["bits"]
        return self.add_losses(weighted_mean(cost, sample_weight))

    # ------------------------------------------------------- start at PCA

    def before_training(self, x):
        """Start from the PCA of x, once in the life of the weights.

        Of batches the first is looked at, which had better be large. A
        generator's rows are not, and networks of your own stay as they are.
        """
        rows = first_rows(x)
        parts = [_linear_part(self.encoder), _linear_part(self.decoder)]
        started = ops.convert_to_numpy(self.started)
        if not (rows is None or None in parts or started):
            flat = np.reshape(rows, (len(rows), -1)).astype("float64")
            self._start_at_pca(flat, *parts)
        self.started.assign(1.0)

    def _start_at_pca(self, x, encoder, decoder):
        centre = x.mean(axis=0)
        _, directions = np.linalg.eigh(np.atleast_2d(np.cov(x.T, bias=True)))
        directions = directions[:, ::-1][:, : self.latent_dim]  # (d, k)
        delta = float(ops.convert_to_numpy(self.delta))
        codes = (x - centre) @ directions / delta
        offset = centre / delta
        encoder.set_weights([directions, -offset @ directions])
        decoder.set_weights([directions.T, offset])
        # a logistic of scale s has standard deviation 1.81 s
        scale = np.log(0.55 * codes.std(axis=0) + 0.05)[:, None]
        spread = np.linspace(-0.7, 0.7, COMPONENTS)
        self.mixture_log_scale.assign(scale + spread)

    # --------------------------------------------------------------- verbs

    def encoded(self, x, training=False):
        """Codes rounded to integers, tensor ``(batch, *code_shape)``."""
        return ops.round(self.unrounded(x, training))

    def decoded(self, code, training=False):
        """``{"reconstruction"}`` in units of the data."""
        code = ops.cast(code, self.compute_dtype)
        raw = self.decoder(code, training=training)
        delta = ops.cast(self.delta, self.compute_dtype)
        return self.likelihood.outputs(delta * raw)

    def encode(self, x):
        """Integers to be sent: int32 array ``(n, *code_shape)``."""
        return super().encode(x).astype("int32")


def _sum(linear, bend, dtype):
    """A linear map plus a network that starts at zero."""
    name, linear.name, bend.name = linear.name, LINEAR, "bend"
    last = [layer for layer in bend.layers if layer.weights][-1]
    last.kernel_initializer = keras.initializers.Zeros()  # in configs, too
    last.kernel.assign(ops.zeros(last.kernel.shape))
    inputs = keras.Input(linear.input_shape[1:])
    total = keras.layers.Add(dtype=dtype)([linear(inputs), bend(inputs)])
    return keras.Model(inputs, total, name=name)


def _linear_part(network):
    """The linear map inside a network of ``Compressor.dense``, or ``None``."""
    named = {layer.name: layer for layer in network.layers}
    return named.get(LINEAR)


class EntropyCoder:
    """Turns rows of integers into bytes and back, without loss.

    Each column has a table of frequencies, counted once on training rows
    and known to both sides. The coder (range variant of asymmetric numeral
    systems, Duda 2013) spends −log₂ of the table's probability on each
    integer, to within a fraction of a percent. Integers that the training
    rows did not have are sent by an escape and 16 bits more.

    Args:
        codes: Integers ``(n, k)``, the training rows; magnitudes below
            30 000, so that a column has at most 59 999 different integers
            and each of them has a frequency of 1 at least.

    Raises:
        ValueError: not a matrix of integers, or out of range.

    Example:

    >>> rows = np.array([[0, 2], [0, 3], [0, 2], [1, 2]])
    >>> coder = EntropyCoder(rows)
    >>> coder.decode(coder.encode(rows), num_rows=4).tolist()
    [[0, 2], [0, 3], [0, 2], [1, 2]]
    """

    PRECISION = 16  # frequencies of a table add up to 2**16
    _LOW = 1 << 23  # the state is kept from here to 2**31

    def __init__(self, codes):
        codes = _check_codes(codes)
        self.low = codes.min(axis=0)
        self.frequencies = [
            _table(np.bincount(column - low), 1 << self.PRECISION)
            for column, low in zip(codes.T, self.low, strict=True)
        ]
        self.starts = [
            np.concatenate([[0], np.cumsum(table)[:-1]])
            for table in self.frequencies
        ]

    def _slots(self, codes):
        """Index of each integer in its column's table, last for escapes."""
        codes = _check_codes(codes, len(self.low))
        sizes = np.array([len(table) - 1 for table in self.frequencies])
        index = codes - self.low
        return np.where((index < 0) | (index >= sizes), sizes, index), sizes

    def bits(self, codes):
        """Ideal length of each row under the tables: float array ``(n,)``."""
        index, sizes = self._slots(codes)
        total = self.PRECISION * (index == sizes).sum(axis=1).astype("float64")
        for column, table in enumerate(self.frequencies):
            total += self.PRECISION - np.log2(table[index[:, column]])
        return total

    def encode(self, codes):
        """Bytes that hold all rows, tables not included."""
        index, sizes = self._slots(codes)
        state, out = self._LOW, bytearray()
        top, half = self._LOW >> self.PRECISION, 1 << 15
        tables = [
            list(zip(starts.tolist(), table.tolist(), strict=True))
            for starts, table in zip(self.starts, self.frequencies, strict=True)
        ]
        columns = range(len(tables) - 1, -1, -1)
        escaped = sizes.tolist()
        # what is written last is read first
        for row, slots in zip(
            np.asarray(codes)[::-1].tolist(), index[::-1].tolist(), strict=True
        ):
            for column in columns:
                steps = [tables[column][slots[column]]]
                if slots[column] == escaped[column]:
                    steps.insert(0, (row[column] + half, 1))
                for start, frequency in steps:
                    while state >= (top << 8) * frequency:
                        out.append(state & 255)
                        state >>= 8
                    quotient, rest = divmod(state, frequency)
                    state = (quotient << self.PRECISION) + rest + start
        return bytes(out) + state.to_bytes(4, "little")

    def decode(self, data, num_rows):
        """The integers ``(num_rows, k)``, int32, from :meth:`encode`."""
        num_rows = check.check_int(num_rows, "num_rows")
        state, position = int.from_bytes(data[-4:], "little"), len(data) - 4
        starts = [column.tolist() for column in self.starts]
        mask, low = (1 << self.PRECISION) - 1, self.low.tolist()
        tables = [table.tolist() for table in self.frequencies]
        values = []
        for column in [*range(len(starts))] * num_rows:
            slot = state & mask
            index = bisect.bisect_right(starts[column], slot) - 1
            frequency = tables[column][index]
            state = frequency * (state >> self.PRECISION)
            state += slot - starts[column][index]
            state, position = self._refill(state, position, data)
            value = index + low[column]
            if index == len(tables[column]) - 1:
                value = (state & mask) - (1 << 15)
                state >>= self.PRECISION
                state, position = self._refill(state, position, data)
            values.append(value)
        if position != 0 or state != self._LOW:
            check.fail("data", "the bytes of exactly these rows", "others")
        return np.array(values, "int32").reshape(num_rows, -1)

    def _refill(self, state, position, data):
        while state < self._LOW and position > 0:
            position -= 1
            state = (state << 8) | data[position]
        return state, position


def _check_codes(codes, num_columns=None):
    codes = check.as_array(codes, "codes")
    if codes.ndim != 2 or codes.dtype.kind not in "iu" or not codes.size:
        expected = "a matrix of integers (n, k)"
        check.fail("codes", expected, f"{codes.dtype}, shape {codes.shape}")
    if num_columns is not None and codes.shape[1] != num_columns:
        check.fail("codes", f"{num_columns} columns", f"{codes.shape[1]}")
    if np.abs(codes).max() >= 30_000:
        check.fail("codes", "magnitudes < 30000", f"{np.abs(codes).max()}")
    return codes.astype("int64")


def _table(counts, total):
    """Integer frequencies ≥ 1 that add up to total, the last for escapes."""
    weights = np.append(counts + 0.05, 0.5)
    left = total - len(weights)  # everyone has one of them; the rest is shared
    shares = np.floor(weights / weights.sum() * left).astype("int64")
    shares[shares.argmax()] += left - shares.sum()
    return 1 + shares
