"""Autoregressive models: log p(x) exactly, one entry after the other.

The chain rule writes any distribution as a product,

    p(x) = Π_k p(x_o(k) | x_o(1), …, x_o(k−1)),

in any order o of the entries. A network whose outputs for entry i depend on
nothing but the entries before i gives all factors in one pass, because the
data are there. Masks see to it: weights that would look ahead are multiplied
by 0. Drawing x has to go entry by entry, one pass for each.
"""

import keras
import numpy as np
from keras import ops

from utils.models.base import (
    CourseModel,
    builds,
    refuse_target,
    shapes_of,
    weighted_mean,
)
from utils.nn import likelihoods, networks
from utils.nn.backend import traced
from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = [
    "Autoregressive",
    "MaskedConv2D",
    "MaskedDense",
    "PlaceBias",
    "scan_orders",
]

PIECE = 256  # rows whose likelihood is computed at once, which bounds memory
TRIED = 128  # places in the order at which a network is tested


@keras.saving.register_keras_serializable(package=PACKAGE)
class Autoregressive(CourseModel):
    """A network that never looks ahead, and the likelihood of each entry.

    Example:

    A network of your own. One layer, and entry i is predicted from the
    entries before it:

    >>> first, second = [0, 1, 2], [0, 1, 2]  # places in the order
    >>> layer = MaskedDense(first, second, strict=True)
    >>> layer.mask.astype(int).tolist()
    [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    >>> network = keras.Sequential([keras.Input((3,)), layer])
    >>> model = Autoregressive(network)
    >>> states = np.array([[a, b, c] for a in (0, 1) for b in (0, 1)
    ...                    for c in (0, 1)], "float32")
    >>> round(float(np.exp(model.log_likelihood(states)).sum()), 4)
    1.0

    The course's own, in one call:

    >>> model = Autoregressive.made((4,), widths=(16,), seed=0)
    >>> model.sample(2, seed=1).shape
    (2, 4)

    Args:
        network: Keras model from x, ``(batch, *event_shape)``, to the raw
            numbers of the likelihood. Those of an entry must depend on
            nothing but the entries before it in ``order``.
        likelihood: p of one entry given the others before it, an object of
            :mod:`utils.nn.likelihoods`; ``Bernoulli()`` where none is given.
        order: The entries of a flattened row in the order in which they
            come, a permutation of 0 … D − 1; ``None`` as they stand.

    Call:
        What the likelihood makes of the network's outputs;
        ``"reconstruction"`` is the mean of each entry given the true ones
        before it.

    Loss:
        −log p(x) in nats, summed over entries, mean over the batch. Metric
        ``bits``: bits per dimension, −log₂ p(x) / D.

    Raises:
        ValueError: a network whose shapes do not fit the likelihood; one
            that looks ahead, with the first pair of entries that shows it;
            an order that is no permutation; a likelihood whose entries have
            no distribution each; from ``fit`` and the verbs, rows of wrong
            shape or range or with NaN.
    """

    def __init__(self, network, *, likelihood=None, order=None, **kwargs):
        super().__init__(**kwargs)
        self.network = network
        self.likelihood = _checked_likelihood(likelihood)
        self.event_shape, made = shapes_of(network, "network")
        self.likelihood.check_decoder(made, self.event_shape, "network")
        self.dimensions = int(np.prod(self.event_shape))
        self.order = _check_order(order, self.dimensions)
        self._check_causality()
        self.bits_tracker = keras.metrics.Mean(name="bits")
        self.built = True

    @builds("network")
    def made(
        input_shape,
        *,
        likelihood=None,
        order=None,
        widths=(256,),
        skip=True,
        one_hot=False,
        dropout=0.0,
        activation="relu",
        seed=None,
        dtype=None,
    ):
        """Masked dense layers: MADE (Germain et al. 2015).

        A hidden unit has a number m in 0 … D − 2 and sees the entries whose
        place in the order is at most m; an output sees the units whose number
        is below its own place. Numbers are dealt out in turn.

        Args:
            input_shape: Shape of one example.
            likelihood: As for the class.
            order: As for the class; any will do.
            widths: Hidden units, input side first; may be empty.
            skip: Whether entries also reach the outputs directly.
            one_hot: Whether the network is given a level as K numbers 0 and
                1, one of them 1; for levels without an order, such as codes.
            dropout: Share of inputs of a layer, the first apart, that is
                dropped while training.
            activation: Activation of the hidden layers.
            seed: Integer seed of the initial weights, or ``None``.
            dtype: Dtype policy of network and model.
        """
        likelihood = _checked_likelihood(likelihood)
        size = int(np.prod(input_shape))
        # place of each entry in the order: the inverse permutation
        place = np.argsort(_check_order(order, size) or np.arange(size))
        draw = networks.Seeds(seed)
        x = keras.Input(input_shape, name="x")
        seen, each = _as_channels(x, likelihood, one_hot)
        hidden = keras.layers.Reshape((size * each,), dtype=dtype)(seen)
        entries, known = hidden, np.repeat(place, each)
        before = known
        for units in widths:
            after = np.arange(units) % max(size - 1, 1)
            layer = MaskedDense(
                before,
                after,
                activation=activation,
                seed=draw.next(),
                dtype=dtype,
            )
            # units without an input of their own are all that sees nothing
            hidden = _dropped(layer(hidden), dropout, draw, dtype)
            before = after
        last = np.repeat(place, likelihood.raw_shape((size,))[0] // size)
        raw = MaskedDense(
            before, last, strict=True, seed=draw.next(), dtype=dtype
        )
        raw = raw(hidden)
        if check.check_flag(skip, "skip") and widths:
            direct = MaskedDense(
                known, last, strict=True, seed=draw.next(), dtype=dtype
            )
            raw = raw + direct(entries)
        shape = likelihood.raw_shape(input_shape)
        raw = keras.layers.Reshape(shape, dtype=dtype)(raw)
        return keras.Model(x, raw, name="made")

    @builds("network")
    def pixelcnn(
        input_shape=(28, 28, 1),
        *,
        likelihood=None,
        order=None,
        filters=64,
        first_kernel=7,
        kernel=3,
        depth=2,
        places=True,
        one_hot=False,
        dropout=0.0,
        activation="relu",
        seed=None,
        dtype=None,
    ):
        """Masked convolutions (van den Oord et al. 2016): shared weights.

        The first convolution sees the pixels before its own, the later ones
        the features of their own pixel too; each of these adds to what it
        was given. Every pixel is predicted by the same weights, save for a
        bias of its own (``places``).

        A pixel sees what the kernels reach, no more: ``first_kernel // 2``
        pixels to each side, and one step farther for each layer of
        ``kernel`` 3. Within the rows above, a stack of small kernels leaves
        out a wedge to the right, its blind spot; a first kernel of twice
        the image's width, less one, sees everything, and then a ``kernel``
        of 1 will do.

        Args:
            input_shape: ``(height, width, 1)``.
            likelihood: As for the class.
            order: As for the class, one of :func:`scan_orders`: the picture
                line by line, from one of its corners.
            filters: Channels of the convolutions.
            first_kernel: Side of the first kernel, odd.
            kernel: Side of the kernels after it, odd.
            depth: Number of layers after the first.
            places: Whether every pixel has a bias of its own in the first
                and the last layer.
            one_hot: As for :meth:`made`.
            dropout: Share of channels dropped before each later layer,
                while training.
            activation: Activation of the convolutions.
            seed: Integer seed of the initial weights, or ``None``.
            dtype: Dtype policy of network and model.
        """
        likelihood = _checked_likelihood(likelihood)
        _check_image(input_shape)
        transposed, flipped = _scan(order, input_shape)
        places = check.check_flag(places, "places")
        _check_side(first_kernel, "first_kernel")
        _check_side(kernel, "kernel")
        draw = networks.Seeds(seed)
        x = keras.Input(input_shape, name="x")
        hidden, _ = _as_channels(x, likelihood, one_hot)
        if transposed:
            hidden = ops.transpose(hidden, (0, 2, 1, 3))
        if flipped:
            hidden = ops.flip(hidden, flipped)
        first = MaskedConv2D(
            filters, first_kernel, own=False, seed=draw.next(), dtype=dtype
        )
        hidden = first(hidden)
        if places:
            hidden = PlaceBias(seed=draw.next(), dtype=dtype)(hidden)
        act = keras.layers.Activation
        hidden = act(activation, dtype=dtype)(hidden)
        for _ in range(check.check_int(depth, "depth", 0)):
            more = _dropped(hidden, dropout, draw, dtype)
            more = MaskedConv2D(
                filters, kernel, own=True, seed=draw.next(), dtype=dtype
            )(more)
            hidden = hidden + act(activation, dtype=dtype)(more)
        hidden = _dropped(hidden, dropout, draw, dtype)
        size = likelihood.raw_shape(input_shape)[-1]
        raw = MaskedConv2D(
            size, 1, own=True, scale=0.1, seed=draw.next(), dtype=dtype
        )(hidden)
        if places:
            raw = PlaceBias(seed=draw.next(), dtype=dtype)(raw)
        if flipped:
            raw = ops.flip(raw, flipped)
        if transposed:
            raw = ops.transpose(raw, (0, 2, 1, 3))
        return keras.Model(x, raw, name="pixelcnn")

    # ------------------------------------------------------------ objective

    def call(self, inputs, training=False):
        """Distribution of each entry given those before it; see the class."""
        return self.likelihood.outputs(self.network(inputs, training=training))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        nll = self.likelihood.negative_log_likelihood(x, y_pred)  # (batch,)
        bits = nll / (self.dimensions * np.log(2.0))
        self.bits_tracker.update_state(bits, sample_weight=sample_weight)
        return self.add_losses(weighted_mean(nll, sample_weight))

    # -------------------------------------------------------------- checks

    def check_data(self, x, y=None, name="x"):
        refuse_target(y, "the target is the input, fit(x)")
        x = self.likelihood.check_data(
            x, name, event_shape=self.event_shape, fitting=True
        )
        return x, None

    def _check_causality(self):
        """Refuse a network that looks ahead in the order.

        Rows that share a beginning must get the same outputs up to its end
        and one beyond. The trainable weights are shaken for the test, or a
        last layer of zeros would hide what it is connected to.
        """
        order = np.arange(self.dimensions) if not self.order else self.order
        variables = self.network.trainable_variables
        kept = [ops.convert_to_numpy(variable) for variable in variables]
        rng = np.random.default_rng(0)
        for variable, value in zip(variables, kept, strict=True):
            rows = max(int(np.prod(value.shape[:-1])), 1)
            noise = rng.standard_normal(value.shape) * 0.5 / rows**0.5
            variable.assign(value + noise)
        try:
            pair = _first_look_ahead(self.network, self.likelihood, order, rng)
        finally:
            for variable, value in zip(variables, kept, strict=True):
                variable.assign(value)
        if pair is not None:
            seer, seen = pair
            check.fail(
                "network",
                "outputs that depend on nothing but the entries before their "
                "own in the order",
                f"one whose outputs for entry {order[seer]}, number {seer} in "
                f"the order, change with entry {order[seen]}, number {seen}",
            )

    # --------------------------------------------------------------- verbs

    def log_likelihood(self, x):
        """Log p(x) of each example, exact: float64 ``(n,)``, in nats.

        The probability itself for discrete likelihoods (of 0 and 1, for
        ``Bernoulli``; of grey levels it is a cross-entropy), a density for
        ``Gaussian``.
        """
        terms = self.entry_log_likelihood(x).astype("float64")
        return terms.reshape(len(terms), -1).sum(axis=1)

    def entry_log_likelihood(self, x):
        """Log p of each entry given those before it: ``(n, *event_shape)``.

        Float32, in nats. Their sum over a row is its log p(x).
        """
        x, _ = self.check_data(x)

        def entries(rows):
            raw = self.network(rows, training=False)
            count = len(rows) * self.dimensions
            outputs = self.likelihood.outputs(ops.reshape(raw, (count, -1)))
            flat = ops.reshape(rows, (count, 1))
            nll = self.likelihood.negative_log_likelihood(flat, outputs)
            return -ops.reshape(nll, rows.shape)

        return in_batches(entries, x, batch_size=PIECE)

    def bits_per_dim(self, x):
        """−log₂ p(x) / D of each example: float64 ``(n,)``."""
        return -self.log_likelihood(x) / (self.dimensions * np.log(2.0))

    def example_losses(self, x):
        """−log p(x) of each example: float32 ``(n,)``, in nats."""
        return -self.log_likelihood(x).astype("float32")

    def sample(self, n, *, seed=None):
        """Draw n examples, entry by entry: D passes of the network.

        Args:
            n: Number of samples.
            seed: Integer seed, the same draws on every backend, or ``None``.

        Returns:
            Float32 array ``(n, *event_shape)``.
        """
        n = check.check_int(n, "n")
        rows = np.zeros((n, *self.event_shape), "float32")
        return self._drawn(rows, np.zeros(self.dimensions, bool), seed)

    def complete(self, x, known, *, seed=None):
        """Draw the entries of x that are not known, given those that are.

        Args:
            x: Array ``(n, *event_shape)``; what stands in unknown entries
                does not matter.
            known: Booleans, or 0 and 1, ``event_shape``. In the model's order
                the known entries come first: the chain rule conditions on
                what came before, and on nothing else.
            seed: As for :meth:`sample`.

        Returns:
            Float32 array of the shape of x, its known entries unchanged. It
            takes a pass of the network for each unknown entry.

        Raises:
            ValueError: a known entry behind an unknown one.
        """
        x = check.check_array(x, "x", event_shape=self.event_shape)
        known = check.check_array(known, "known")
        if known.shape != self.event_shape or np.any(known * (1 - known)):
            expected = f"booleans of shape {self.event_shape}"
            check.fail("known", expected, f"shape {known.shape}, {known.dtype}")
        given = known.ravel() > 0
        places = np.arange(self.dimensions) if not self.order else self.order
        late = np.flatnonzero(given[places] > np.sort(given)[::-1])
        if len(late):
            expected = "entries that come first in the model's order"
            received = f"entry {places[late[0]]} behind an unknown one"
            check.fail("known", expected, received)
        x, _ = self.check_data(np.where(known > 0, x, 0).astype("float32"))
        return self._drawn(x.copy(), given, seed)

    def _drawn(self, rows, given, seed):
        """Fill the entries that are not given, in the model's order."""
        rng = np.random.default_rng(check.check_seed(seed))
        network = traced(lambda x: self.network(x, training=False))
        flat = rows.reshape(len(rows), -1)
        for entry in self.order or range(self.dimensions):
            if not given[entry]:
                raw = ops.convert_to_numpy(network(ops.convert_to_tensor(rows)))
                raw = raw.reshape(len(rows), self.dimensions, -1)[:, entry]
                outputs = self.likelihood.outputs(ops.convert_to_tensor(raw))
                flat[:, entry] = self.likelihood.sample(outputs, rng)[:, 0]
        return rows


# ---------------------------------------------------------------- the layers


@keras.saving.register_keras_serializable(package=PACKAGE)
class MaskedDense(keras.layers.Layer):
    """Dense, with weights only from what comes before: x (W ∘ M) + b.

    ``M[i, j]`` is 1 where ``before[i] ≤ after[j]``, with ``strict`` where
    ``before[i] < after[j]`` (Germain et al. 2015).

    Args:
        before: Place in the order of each input, integers ≥ 0: how far what
            it knows reaches.
        after: Place of each output.
        strict: Whether an output must not see its own place: in the layer
            that predicts.
        activation: Any of Keras.
        seed: Integer seed of the initial weights, or ``None``.

    Attributes:
        mask: Booleans ``(inputs, outputs)``.

    Input shape:
        ``(batch, inputs)``; output ``(batch, outputs)``.
    """

    def __init__(
        self,
        before,
        after,
        *,
        strict=False,
        activation=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.before = _places(before, "before")
        self.after = _places(after, "after")
        self.strict, self.seed = check.check_flag(strict, "strict"), seed
        self.activation = keras.activations.get(activation)
        compare = np.less if self.strict else np.less_equal
        self.mask = compare.outer(np.array(self.before), np.array(self.after))

    def build(self, shape):
        seen = max(self.mask.sum(axis=0).mean(), 1.0)
        gain = 1.0 if self.activation is keras.activations.linear else 2.0
        self.kernel = self.add_weight(
            name="kernel",
            shape=self.mask.shape,
            initializer=keras.initializers.RandomNormal(
                stddev=float((gain / seen) ** 0.5), seed=self.seed
            ),
        )
        self.bias = self.add_weight(
            name="bias", shape=(len(self.after),), initializer="zeros"
        )

    def call(self, inputs):
        kernel = self.kernel * ops.cast(self.mask, self.kernel.dtype)
        return self.activation(ops.matmul(inputs, kernel) + self.bias)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], len(self.after))

    def get_config(self):
        return {
            **super().get_config(),
            "before": self.before,
            "after": self.after,
            "strict": self.strict,
            "activation": keras.activations.serialize(self.activation),
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
class MaskedConv2D(keras.layers.Layer):
    """A convolution that sees rows above, and its own row up to itself.

    van den Oord et al. (2016): mask A without the pixel itself, for the first
    layer, mask B with it, for all later ones.

    Args:
        filters: Channels of the output.
        kernel_size: Side of the kernel, odd.
        own: Whether a pixel sees itself: mask B. A first layer must not.
        scale: Factor of the initial weights' deviation.
        seed: Integer seed of the initial weights, or ``None``.

    Attributes:
        mask: Booleans ``(kernel_size, kernel_size)``.

    Input shape:
        ``(batch, height, width, channels)``; output with ``filters``.

    Raises:
        ValueError: a size out of range, an even kernel.
    """

    def __init__(
        self, filters, kernel_size, *, own, scale=1.0, seed=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.filters = check.check_int(filters, "filters")
        self.kernel_size = _check_side(kernel_size, "kernel_size")
        self.own = check.check_flag(own, "own")
        size = self.kernel_size
        self.scale, self.seed = scale, seed
        before = np.arange(size * size) < size * size // 2 + self.own
        self.mask = before.reshape(size, size)

    def build(self, shape):
        inputs = shape[-1]
        seen = max(self.mask.sum() * inputs, 1)
        # rows below the middle are masked whole: they are not even stored
        above = self.kernel_size // 2 + 1
        self.kernel = self.add_weight(
            name="kernel",
            shape=(above, self.kernel_size, inputs, self.filters),
            initializer=keras.initializers.RandomNormal(
                stddev=float(self.scale * (2.0 / seen) ** 0.5), seed=self.seed
            ),
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.filters,), initializer="zeros"
        )

    def call(self, inputs):
        reach = self.kernel_size // 2
        mask = ops.cast(self.mask[: reach + 1, :, None, None], inputs.dtype)
        around = ((0, 0), (reach, 0), (reach, reach), (0, 0))
        padded = ops.pad(inputs, around) if reach else inputs
        kernel = ops.cast(self.kernel, inputs.dtype) * mask
        return ops.conv(padded, kernel, padding="valid") + self.bias

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        names = ("filters", "kernel_size", "own", "scale", "seed")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package=PACKAGE)
class PlaceBias(keras.layers.Layer):
    """Adds a learned number to each place and channel: x + b.

    What tells a network of shared weights where it is.

    Args:
        seed: Integer seed of the initial numbers, or ``None``.

    Input shape:
        ``(batch, …)``; the output's is the same.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, shape):
        self.bias = self.add_weight(
            name="bias",
            shape=tuple(shape[1:]),
            initializer=keras.initializers.RandomNormal(
                stddev=0.05, seed=self.seed
            ),
        )

    def call(self, inputs):
        return inputs + self.bias

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


# ---------------------------------------------------------------- the orders


def scan_orders(height, width):
    """The eight ways to read an image line by line, from a corner.

    Args:
        height, width: Sides of the image.

    Returns:
        Dict from names, such as ``"right, down"`` (along a line, then from
        line to line), to orders: lists of the entries of a flattened image.

    Example:

    >>> orders = scan_orders(2, 2)
    >>> orders["right, down"], orders["up, left"]
    ([0, 1, 2, 3], [3, 1, 2, 0])
    >>> len(orders)
    8
    """
    height = check.check_int(height, "height")
    width = check.check_int(width, "width")
    grid = np.arange(height * width).reshape(height, width)
    return {
        name: np.flip(grid.T if transposed else grid, flipped).ravel().tolist()
        for name, (transposed, flipped) in _SCANS.items()
    }


# name: whether rows and columns change places, and which axes then turn
_SCANS = {
    "right, down": (False, ()),
    "left, down": (False, (1,)),
    "right, up": (False, (0,)),
    "left, up": (False, (0, 1)),
    "down, right": (True, ()),
    "up, right": (True, (1,)),
    "down, left": (True, (0,)),
    "up, left": (True, (0, 1)),
}


def _scan(order, shape):
    """Transposition and axes (of a batch) that make an order a plain scan."""
    order = _check_order(order, int(np.prod(shape)))
    if order is None:
        return False, ()
    for name, scan in scan_orders(*shape[:2]).items():
        if scan == order:
            transposed, flipped = _SCANS[name]
            return transposed, tuple(axis + 1 for axis in flipped)
    check.fail("order", "one of scan_orders(height, width)", "another")


def _check_order(order, size):
    """An order as a list of integers, or ``None`` for 0 … size − 1."""
    if order is None:
        return None
    expected = f"None, or a permutation of 0 … {size - 1}"
    if not check.is_array(order) or np.ndim(order) != 1:
        check.fail("order", expected, type(order).__name__)
    order = check.as_array(order, "order")
    if order.shape != (size,) or np.any(np.sort(order) != np.arange(size)):
        check.fail("order", expected, f"an array of shape {order.shape}")
    return [int(entry) for entry in order]


# ------------------------------------------------------------------- helpers


def _places(places, name):
    """A list of integers ≥ 0, or say why not."""
    expected = "a sequence of places, integers ≥ 0"
    if not check.is_array(places) or np.ndim(places) != 1 or not len(places):
        check.fail(name, expected, f"{places!r:.60}")
    places = check.as_array(places, name)
    if places.dtype.kind not in "iu" or places.min() < 0:
        check.fail(name, expected, f"{places.dtype}, from {places.min()}")
    return [int(place) for place in places]


def _checked_likelihood(likelihood):
    """A likelihood whose entries have a distribution each."""
    given = likelihoods.get(likelihood, likelihoods.Bernoulli)
    if not given.normalized or isinstance(given, likelihoods.OneHot):
        expected = "one with a distribution for each entry, such as Bernoulli()"
        check.fail("likelihood", expected, f"{type(given).__name__}()")
    return given


def _check_image(shape):
    if len(shape) != 3 or shape[2] != 1:
        check.fail("input_shape", "(height, width, 1)", f"{tuple(shape)}")


def _check_side(size, name):
    """The side of a kernel with a middle."""
    size = check.check_int(size, name)
    if size % 2 == 0:
        check.fail(name, "an odd side, with a middle", f"{size}")
    return size


def _dropped(x, dropout, draw, dtype):
    """Dropout, where there is any."""
    seed = draw.next()
    dropout = check.check_number(dropout, "dropout", 0.0, 0.99)
    if not dropout:
        return x
    return keras.layers.Dropout(dropout, seed=seed, dtype=dtype)(x)


def _as_channels(x, likelihood, one_hot):
    """What the first layer is given for each entry, and how many numbers.

    Data in [0, 1] as 2 x − 1, about as often negative as positive; or levels
    as one-hot rows.
    """
    if not check.check_flag(one_hot, "one_hot"):
        in_unit = likelihood.low == 0.0 and likelihood.high == 1.0
        return (2.0 * x - 1.0 if in_unit else 1.0 * x), 1
    levels = getattr(likelihood, "levels", 2)
    if likelihood.high != 1.0:
        received = f"{type(likelihood).__name__}()"
        check.fail("one_hot", "False, as there are no levels", received)
    if x.shape[-1] == 1:  # an axis of channels to put them in
        x = ops.squeeze(x, -1)
    ids = ops.cast(ops.round(x * (levels - 1)), "int32")
    return ops.one_hot(ids, levels), levels


def _first_look_ahead(network, likelihood, order, rng):
    """Places (i, j), j ≥ i, of which the outputs at i depend on entry j.

    ``None`` if there are none. Every row shares a beginning of the order with
    the first and is drawn anew from there on; of long orders a hundred or so
    beginnings are tried.
    """
    size = len(order)
    cuts = np.arange(size)
    if size > TRIED:
        cuts = np.unique(np.linspace(0, size - 1, TRIED).round().astype(int))
    shape = network.input_shape[1:]
    first, *others = _some_rows(likelihood, len(cuts) + 1, size, rng)
    place = np.argsort(order)
    mixed = np.where(place >= cuts[:, None], np.stack(others), first)
    changed = _changes(network, np.vstack([first, mixed]), shape, order)
    early = changed & (np.arange(size) <= cuts[:, None])
    if not early.any():
        return None
    seer = int(np.argmax(early.any(axis=0)))
    # which one is it? Change the entries from there on, one at a time
    ahead = np.arange(seer, size)
    single = np.tile(first, (len(ahead), 1))
    columns = np.asarray(order)[ahead]
    other = 1.0 - first if likelihood.high == 1.0 else first + 1.0
    single[np.arange(len(ahead)), columns] = other[columns]
    changed = _changes(network, np.vstack([first, single]), shape, order)
    return seer, int(ahead[np.argmax(changed[:, seer])])


def _some_rows(likelihood, count, size, rng):
    """Rows that the likelihood allows, entries far from each other."""
    if likelihood.high == 1.0:
        return rng.integers(0, 2, (count, size)).astype("float32")
    return rng.standard_normal((count, size)).astype("float32")


def _changes(network, rows, shape, order):
    """Whether outputs differ from the first row's: (rows − 1, places)."""

    def raw(part):
        out = network(part.reshape(-1, *shape), training=False)
        return ops.reshape(ops.cast(out, "float32"), (len(part), -1))

    found = in_batches(raw, rows, batch_size=PIECE)
    found = found.reshape(len(rows), len(order), -1)[:, order]
    apart = np.abs(found[1:] - found[:1]).max(axis=2)
    return ~(apart <= 1e-5 * max(np.abs(found).max(), 1e-6))
