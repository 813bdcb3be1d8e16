"""Normalising flows: exact likelihood by a change of variables.

A flow is a bijection f, made of invertible steps, from data to noise:

    log p(x) = log N(f(x); 0, I) + log |det ∂f/∂x|.

Numbers are nats an example, summed over entries, averaged over the batch.
Rows of grey levels are dequantised first, and their numbers are then bounds
of the log *mass*, comparable with those of other models of the same levels.
"""

import keras
import numpy as np
from keras import ops

from utils.models.base import (
    CourseModel,
    builds,
    numpy_generator,
    refuse_target,
    shapes_of,
    weighted_mean,
)
from utils.nn import likelihoods, networks
from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import first_rows, in_batches

__all__ = [
    "AffineCoupling",
    "Flow",
    "Marginals",
    "Scaling",
    "SplineCoupling",
]

LEAST = 0.01  # share of a bin of a spline, and its slope at a knot
MARGIN = 1e-6  # what Marginals keeps away from 0 and 1
RAREST = 2e-6  # least mass of a cell
FIRST = 100_000  # rows that steps adapt to


# ------------------------------------------------------------------- steps


class _Step(keras.layers.Layer):
    """An invertible layer; its mathematics stays in float32."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def call(self, inputs):
        return self.transform(inputs)

    def compute_output_shape(self, input_shape):
        return input_shape, input_shape[:1]

    def transform(self, x):
        """``(z, log_det)`` of a batch: ``(batch, …)`` and ``(batch,)``."""
        raise NotImplementedError

    def inverse(self, z):
        """The batch x with ``transform(x)[0] = z``."""
        raise NotImplementedError


class _Coupling(_Step):
    """Entries under the mask stay, and say what happens to the others."""

    def __init__(self, network, mask, **kwargs):
        super().__init__(**kwargs)
        mask = check.check_array(mask, "mask", low=0.0, high=1.0)
        if set(np.unique(mask)) != {0.0, 1.0}:
            check.fail("mask", "zeros and ones, some of each", f"{mask}")
        taken, made = shapes_of(network, "network")
        wanted = (*mask.shape[:-1], self.parameters() * mask.shape[-1])
        if taken != mask.shape or made != wanted:
            check.fail(
                "network",
                f"one from {mask.shape}, as the mask, to {wanted}, which is "
                f"{self.parameters()} numbers an entry",
                f"{taken} to {made}",
            )
        self.network, self.mask = network, mask
        self.built = True

    def parameters(self):
        """How many numbers the network returns for each entry."""
        raise NotImplementedError

    def answers(self, x):
        """What the network makes of the entries that stay.

        Float32 ``(batch, *event_shape, parameters)``.
        """
        raw = ops.cast(self.network(ops.multiply(x, self.mask)), "float32")
        return ops.reshape(raw, (-1, *self.mask.shape, self.parameters()))

    def total(self, log_slopes):
        """Log-determinant ``(batch,)``: entries that moved, summed."""
        axes = tuple(range(1, self.mask.ndim + 1))
        return ops.sum(ops.multiply(log_slopes, 1.0 - self.mask), axis=axes)

    def mixed(self, x, moved):
        """The old entries under the mask, the new ones elsewhere."""
        return ops.where(self.mask > 0.0, x, moved)

    def get_config(self):
        network = keras.saving.serialize_keras_object(self.network)
        own = {"network": network, "mask": self.mask.tolist()}
        return {**_config(super()), **own}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        network = keras.saving.deserialize_keras_object(config.pop("network"))
        return cls(network, config.pop("mask"), **config)


def _config(parent):
    """A step's part of the config that Keras knows, ``autocast`` left out."""
    config = parent.get_config()
    config.pop("autocast", None)
    return config


@keras.saving.register_keras_serializable(package=PACKAGE)
class AffineCoupling(_Coupling):
    """RealNVP's step (Dinh et al. 2017): z = x e^s + t outside the mask.

    The shift t and the log-scale s come from a network that sees the entries
    under the mask alone. So the Jacobian is triangular, its log-determinant
    the sum of s, and the inverse (z − t) e^−s needs no inverse network.

    Args:
        network: Keras model from ``(batch, *event_shape)``, 0 outside the
            mask, to twice as long a last axis: t and raw s, side by side for
            each entry.
        mask: Array of ``event_shape``: 1 stays, 0 moves.
        limit: Bound > 0 of the log-scale, s = limit · tanh(raw / limit).

    Raises:
        ValueError: a mask of other numbers or of one kind; a network whose
            shapes do not fit the mask.
    """

    def __init__(self, network, mask, *, limit=3.0, **kwargs):
        super().__init__(network, mask, **kwargs)
        self.limit = check.check_number(limit, "limit", 1e-3)

    def parameters(self):
        return 2

    def _shift_and_scale(self, x):
        raw = self.answers(x)
        scale = self.limit * ops.tanh(raw[..., 1] / self.limit)
        return raw[..., 0], scale

    def transform(self, x):
        shift, scale = self._shift_and_scale(x)
        return self.mixed(x, x * ops.exp(scale) + shift), self.total(scale)

    def inverse(self, z):
        shift, scale = self._shift_and_scale(z)
        return self.mixed(z, (z - shift) * ops.exp(-scale))

    def get_config(self):
        return {**super().get_config(), "limit": self.limit}


@keras.saving.register_keras_serializable(package=PACKAGE)
class SplineCoupling(_Coupling):
    """Rational-quadratic splines outside the mask (Durkan et al. 2019).

    Each entry goes through a rising curve of its own, whose ``bins`` widths,
    heights and inner slopes a network chooses by the entries under the mask.
    Beyond ±``bound`` the curve is the identity.

    Args:
        network: As for :class:`AffineCoupling`, with 3 · bins − 1 numbers an
            entry; all 0 make the identity.
        mask: Array of ``event_shape``: 1 stays, 0 moves.
        bins: Number ≥ 2 of pieces.
        bound: Number > 0: the curve bends within [−bound, bound].

    Raises:
        ValueError: as for :class:`AffineCoupling`.
    """

    def __init__(self, network, mask, *, bins=8, bound=4.0, **kwargs):
        self.bins = check.check_int(bins, "bins", 2, 50)
        self.bound = check.check_number(bound, "bound", 1e-3)
        super().__init__(network, mask, **kwargs)

    def parameters(self):
        return 3 * self.bins - 1

    def _knots(self, raw):
        """Left ends and lengths of bins, from ``(…, bins)``: two such."""
        share = ops.softmax(raw, axis=-1)
        share = LEAST + (1.0 - LEAST * self.bins) * share
        length = 2.0 * self.bound * share
        return ops.cumsum(length, axis=-1) - length - self.bound, length

    def _pieces(self, x, by):
        """Of each entry's bin: left, width, bottom, height, two slopes.

        ``by`` says which knots x lies between: 0 the inputs, 1 the outputs.
        """
        raw = self.answers(x)
        axes = [
            self._knots(raw[..., i * self.bins : (i + 1) * self.bins])
            for i in (0, 1)
        ]
        one = float(np.log(np.expm1(1.0 - LEAST)))  # slope 1 for raw 0
        inner = LEAST + ops.softplus(raw[..., 2 * self.bins :] + one)
        ends = ops.ones_like(inner[..., :1])
        below = ops.concatenate([ends, inner], axis=-1)
        above = ops.concatenate([inner, ends], axis=-1)
        inside = ops.clip(x, -self.bound, self.bound)[..., None]
        past = ops.cast(inside >= axes[by][0][..., 1:], "int32")
        at = ops.one_hot(ops.sum(past, axis=-1), self.bins, dtype="float32")
        parts = (*axes[0], *axes[1], below, above)
        return [ops.sum(at * part, axis=-1) for part in parts]

    def _curve(self, x, pieces):
        """The spline's value and the logarithm of its slope at x."""
        left, width, bottom, height, below, above = pieces
        t = (ops.clip(x, -self.bound, self.bound) - left) / width
        slope, both = height / width, t * (1.0 - t)
        under = slope + (below + above - 2.0 * slope) * both
        value = bottom + height * (slope * t * t + below * both) / under
        rise = above * t * t + 2.0 * slope * both + below * (1.0 - t) ** 2
        log_slope = 2.0 * ops.log(slope) + ops.log(rise) - 2.0 * ops.log(under)
        return value, log_slope

    def _within(self, x):
        return ops.abs(x) < self.bound

    def transform(self, x):
        value, log_slope = self._curve(x, self._pieces(x, by=0))
        inside = self._within(x)
        moved = ops.where(inside, value, x)
        log_slope = ops.where(inside, log_slope, ops.zeros_like(log_slope))
        return self.mixed(x, moved), self.total(log_slope)

    def inverse(self, z):
        pieces = self._pieces(z, by=1)
        left, width, bottom, height, below, above = pieces
        y = ops.clip(z, -self.bound, self.bound) - bottom
        slope = height / width
        bend = below + above - 2.0 * slope
        a = height * (slope - below) + y * bend
        b = height * below - y * bend
        c = -slope * y
        root = ops.sqrt(ops.maximum(b * b - 4.0 * a * c, 0.0))
        value = left + width * (2.0 * c / (-b - root))
        found, log_slope = self._curve(value, pieces)
        # the rounding of the root, taken back by one step of Newton's
        value = value + (y + bottom - found) * ops.exp(-log_slope)
        return self.mixed(z, ops.where(self._within(z), value, z))

    def get_config(self):
        own = {"bins": self.bins, "bound": self.bound}
        return {**super().get_config(), **own}


class _Adapting(_Step):
    """A step whose weights start from the first rows that it sees."""

    def __init__(self, event_shape, **kwargs):
        super().__init__(**kwargs)
        self.event_shape = check.check_shape(event_shape, "event_shape")

    def _weight(self, name, shape, value=0.0, trainable=False):
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=keras.initializers.Constant(value),
            dtype="float32",
            trainable=trainable,
            autocast=False,
        )

    def adapt(self, x):
        """Start from rows ``(n, *event_shape)``, once."""
        if not float(ops.convert_to_numpy(self.adapted.value)):
            self.start_from(np.asarray(x, "float64"))
            self.adapted.assign(1.0)

    def start_from(self, x):
        """Set the weights by rows, float64."""
        raise NotImplementedError

    def get_config(self):
        return {**_config(super()), "event_shape": list(self.event_shape)}


@keras.saving.register_keras_serializable(package=PACKAGE)
class Scaling(_Adapting):
    """z = (x + shift) e^log_scale, two weights an entry.

    Glow's activation normalisation (Kingma and Dhariwal 2018): the first
    rows leave it with mean 0 and deviation 1.

    Args:
        event_shape: Shape of one example.
    """

    def __init__(self, event_shape, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.shift = self._weight("shift", self.event_shape, trainable=True)
        self.log_scale = self._weight(
            "log_scale", self.event_shape, trainable=True
        )
        self.adapted = self._weight("adapted", ())
        self.built = True

    def start_from(self, x):
        self.shift.assign(-x.mean(axis=0))
        self.log_scale.assign(-np.log(x.std(axis=0) + 1e-3))

    def transform(self, x):
        z = (x + self.shift) * ops.exp(self.log_scale)
        log_det = ops.sum(self.log_scale) * ops.ones_like(_first(x))
        return z, log_det

    def inverse(self, z):
        return z * ops.exp(-self.log_scale) - self.shift


@keras.saving.register_keras_serializable(package=PACKAGE)
class Marginals(_Adapting):
    """Each entry of [0, 1] through its own distribution: then it is N(0, 1).

    A histogram of ``levels`` equal cells, whose running sum makes an entry
    uniform, and the normal quantile of that (Gaussianisation; Chen and
    Gopinath 2000). After this step alone a flow of dequantised grey levels
    *is* the model of independent pixels, exactly; what follows learns how
    pixels hang together.

    No cell holds less than two millionths: what is rarer a running sum in
    single precision cannot tell from nothing, and the way back would miss it.

    Args:
        event_shape: Shape of one example.
        levels: Number of cells ≥ 2.
        smoothing: Imagined rows > 0, spread evenly over the cells.
    """

    def __init__(self, event_shape, levels, *, smoothing=0.5, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.levels = check.check_int(levels, "levels", 2)
        self.smoothing = check.check_number(smoothing, "smoothing", 1e-6)
        shape = (*self.event_shape, self.levels)
        self.mass = self._weight("mass", shape, 1.0 / self.levels)
        self.adapted = self._weight("adapted", ())
        self.built = True

    def start_from(self, x):
        cell = np.clip(np.floor(x * self.levels), 0, self.levels - 1)
        imagined = self.smoothing / self.levels
        counts = [
            (cell == k).sum(axis=0) + imagined for k in range(self.levels)
        ]
        mass = np.stack(counts, -1) / (len(x) + self.smoothing)
        mass = np.maximum(mass, RAREST)
        self.mass.assign(mass / mass.sum(axis=-1, keepdims=True))

    def _of_cell(self, number):
        """Mass and running sum at each entry's cell: ``(batch, …)`` each."""
        before = ops.cumsum(self.mass, axis=-1) - self.mass
        entry = np.arange(int(np.prod(self.event_shape)), dtype="int32")
        place = ops.add(number, self.levels * entry.reshape(self.event_shape))
        return [
            ops.take(ops.reshape(table, (-1,)), place, axis=0)
            for table in (ops.convert_to_tensor(self.mass), before)
        ]

    def transform(self, x):
        number = ops.clip(ops.floor(x * self.levels), 0, self.levels - 1)
        mass, before = self._of_cell(ops.cast(number, "int32"))
        share = before + mass * (x * self.levels - number)
        share = ops.clip(share, MARGIN, 1.0 - MARGIN)
        z = float(np.sqrt(2.0)) * ops.erfinv(2.0 * share - 1.0)
        slope = ops.log(mass * self.levels) + 0.5 * z * z
        return z, _summed(slope + 0.5 * float(np.log(2 * np.pi)))

    def inverse(self, z):
        share = 0.5 * (1.0 + ops.erf(z / float(np.sqrt(2.0))))
        edges = ops.cumsum(self.mass, axis=-1)[..., :-1]
        past = ops.greater_equal(share[..., None], edges)
        number = ops.sum(ops.cast(past, "int32"), axis=-1)
        mass, before = self._of_cell(number)
        within = ops.clip((share - before) / mass, 0.0, 1.0)
        return (ops.cast(number, "float32") + within) / self.levels

    def get_config(self):
        own = {"levels": self.levels, "smoothing": self.smoothing}
        return {**super().get_config(), **own}


def _first(x):
    """The first entry of each row: ``(batch,)``."""
    return ops.reshape(x, (-1, int(np.prod(x.shape[1:]))))[:, 0]


def _summed(values):
    """Sum of each row: ``(batch, …)`` → ``(batch,)``."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))


# ---------------------------------------------------------------- networks


def _dense_network(shape, parameters, widths, activation, rate, seed, dtype):
    """Hidden layers, then numbers for each entry, 0 at the start."""
    wanted = (*shape[:-1], parameters * shape[-1])
    inputs = keras.Input(shape)
    hidden = keras.layers.Flatten(dtype=dtype)(inputs)
    for count, units in enumerate(widths, start=1):
        hidden = keras.layers.Dense(
            units,
            activation,
            kernel_initializer=keras.initializers.HeNormal(
                networks.seed_of(seed, count)
            ),
            dtype=dtype,
        )(hidden)
        if rate:
            drop = keras.layers.Dropout(rate, seed=seed, dtype=dtype)
            hidden = drop(hidden)
    outputs = keras.layers.Dense(
        int(np.prod(wanted)), kernel_initializer="zeros", dtype=dtype
    )(hidden)
    outputs = keras.layers.Reshape(wanted, dtype=dtype)(outputs)
    return keras.Model(inputs, outputs)


def _masks(shape, count, seed):
    """Masks for couplings in turn, each followed by its opposite.

    Images have chessboards, every other time; what else there is, is drawn.
    """
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    masks = []
    while len(masks) < count:
        mask = (np.arange(size) % 2).reshape(shape)
        if len(shape) == 3:
            mask = np.indices(shape).sum(axis=0) % 2
        if size > 2 and len(masks) % 4 >= (2 if len(shape) == 3 else 0):
            mask = rng.permutation(np.arange(size) % 2).reshape(shape)
        masks += [mask, 1 - mask]
    return [mask.astype("float32") for mask in masks[:count]]


# ------------------------------------------------------------------- model


@keras.saving.register_keras_serializable(package=PACKAGE)
class Flow(CourseModel):
    """Normalising flow (Rezende and Mohamed 2015; Dinh et al. 2017).

    z = f(x) = f_K ∘ … ∘ f_1(x) ~ N(0, I), trained on −log p(x), where

        log p(x) = Σ_j log N(z_j; 0, 1) + Σ_k log |det ∂f_k|.

    With ``levels`` rows are grey levels k / (K − 1), and f begins with
    uniform noise over the whole cell, v = (k + u) / K (Theis et al. 2016).
    A cell of d entries has volume K^−d, so by Jensen

        log P(k) ≥ E_u[log p(v)] − d log K,

    a bound of the mass of the grey levels themselves.

    Example:

    Steps of your own; the last axis of a network's output is twice as long.

    >>> def network():
    ...     layers = [keras.Input((2,)), keras.layers.Dense(16, "tanh")]
    ...     return keras.Sequential([*layers, keras.layers.Dense(4)])
    >>> steps = [AffineCoupling(network(), m) for m in ([1, 0], [0, 1])]
    >>> model = Flow((2,), steps)
    >>> x = np.array([[0.5, -1.0], [2.0, 0.0]])
    >>> bool(np.allclose(model.decode(model.encode(x)), x, atol=1e-5))
    True

    The course's own, in one call:

    >>> model = Flow.real_nvp((2,), num_couplings=4, widths=(16,), seed=0)
    >>> model.log_likelihood(x).shape
    (2,)

    Args:
        event_shape: Shape of one example.
        steps: Layers in the order from data to noise, each with
            ``transform(x) -> (z, log_det)`` and ``inverse(z) -> x``: tensors
            ``(batch, …)``, log-determinants ``(batch,)``.
        levels: Number K ≥ 2 of grey levels in [0, 1]: 256 for bytes, 17 for
            the bundled digits. ``None`` for real-valued rows.
        seed: Integer seed of the dequantisation, or ``None``.

    Call:
        Returns a dict: ``"z"``, of the shape that the steps end in, and
        ``"log_likelihood"`` ``(batch,)`` in nats; with ``levels`` both by
        one draw of the noise.

    Loss:
        −log p(x), with ``levels`` its bound, mean over the batch.

    Raises:
        ValueError: a step without the two methods; steps that do not return
            where they came from; from ``fit`` and the verbs, before any
            step, rows of wrong shape or range or with NaN.
    """

    def __init__(self, event_shape, steps, *, levels=None, seed=None, **kwargs):
        kwargs.setdefault("autocast", False)  # small differences count here
        super().__init__(**kwargs)
        self.event_shape = check.check_shape(event_shape, "event_shape")
        if levels is not None:
            levels = check.check_int(levels, "levels", 2)
        self.levels = levels
        self.seed = check.check_seed(seed)
        self.steps = _check_steps(steps)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.latent_shape = self._check_round_trip()
        self.built = True

    @builds("steps")
    def real_nvp(
        event_shape,
        num_couplings=8,
        *,
        widths=(64, 64),
        activation="relu",
        dropout=0.0,
        levels=None,
        seed=None,
        dtype=None,
    ):
        """A flow of affine couplings with dense networks.

        Args:
            event_shape: Shape of one example.
            num_couplings: Number ≥ 2; their masks alternate.
            widths: Hidden units of each coupling's network.
            activation: Activation of the hidden layers.
            dropout: Share of hidden units left out in training, from 0 to
                0.9.
            levels: As for the class; the couplings then follow
                :class:`Marginals`, else :class:`Scaling`.
            seed: Integer seed of initial weights and draws, or ``None``.
            dtype: Dtype policy of networks and model.
        """
        rest = (widths, activation, dropout, levels, seed, dtype)
        return _couplings(AffineCoupling, 2, event_shape, num_couplings, *rest)

    @builds("steps")
    def spline(
        event_shape,
        num_couplings=8,
        *,
        widths=(64, 64),
        bins=8,
        activation="relu",
        dropout=0.0,
        levels=None,
        seed=None,
        dtype=None,
    ):
        """As :meth:`real_nvp`, of rational-quadratic spline couplings.

        ``bins`` is the number of pieces of each curve.
        """
        parameters = 3 * check.check_int(bins, "bins", 2, 50) - 1
        sizes = (parameters, event_shape, num_couplings, widths)
        rest = (activation, dropout, levels, seed, dtype)
        return _couplings(SplineCoupling, *sizes, *rest, bins=bins)

    def _check_round_trip(self):
        """The shape of z; refuses steps that do not undo themselves."""
        rng = np.random.default_rng(0)  # every range has these points
        x = 0.1 + 0.8 * rng.random((8, *self.event_shape), dtype="float32")
        for number, step in enumerate(self.steps):
            name = f"steps[{number}]"
            parts = step.transform(ops.convert_to_tensor(x))
            if not isinstance(parts, (tuple, list)) or len(parts) != 2:
                check.fail(
                    name, "transform(x) → (z, log_det)", f"{parts!r:.60}"
                )
            z, log_det = map(_array, parts)
            back = _array(step.inverse(parts[0]))
            if log_det.shape != (8,) or z.size != x.size:
                check.fail(
                    name,
                    "z with as many numbers as x and one log_det a row",
                    f"z {z.shape} and log_det {log_det.shape} for x {x.shape}",
                )
            if back.shape != x.shape or not (
                np.isfinite(log_det).all()
                and np.allclose(back, x, rtol=1e-3, atol=1e-3)
            ):
                off = "another shape"
                if back.shape == x.shape:
                    off = f"a difference of {np.abs(back - x).max():.3g}"
                check.fail(
                    name, "inverse(transform(x)[0]) = x, finite log_det", off
                )
            x = z
        return x.shape[1:]

    # ------------------------------------------------------------ objective

    def transform(self, x):
        """``(z, log_det)`` of rows in the steps' own range, tensors."""
        total = 0.0
        for step in self.steps:
            x, log_det = step.transform(x)
            total = total + log_det
        return x, total

    def inverse(self, z):
        """Rows of codes, tensors: the steps undone, the last one first."""
        for step in reversed(self.steps):
            z = step.inverse(z)
        return z

    def dequantized(self, x, noise=None):
        """Grey levels as points of their cells, v = (k + noise) / K.

        ``noise`` in [0, 1) has the shape of x; ``None`` draws it.
        """
        if self.levels is None:
            return x
        if noise is None:
            noise = keras.random.uniform(ops.shape(x), seed=self.seed_generator)
        level = ops.round(x * (self.levels - 1))
        return ops.add(level, noise) / self.levels

    def log_density(self, v):
        """``(z, log p)`` of rows in the steps' own range, tensors.

        With ``levels`` less d log K, the volume of a cell: nats of mass.
        """
        z, log_det = self.transform(v)
        size = int(np.prod(self.event_shape))
        constant = 0.5 * size * float(np.log(2.0 * np.pi))
        if self.levels is not None:
            constant += size * float(np.log(self.levels))
        return z, log_det - 0.5 * _summed(z * z) - constant

    def call(self, inputs, training=False):
        """Rows to z and log-likelihoods; see the class."""
        x = ops.cast(inputs, "float32")
        z, log_likelihood = self.log_density(self.dequantized(x))
        return {"z": z, "log_likelihood": log_likelihood}

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        nll = -y_pred["log_likelihood"]  # (batch,)
        return self.add_losses(weighted_mean(nll, sample_weight))

    def before_training(self, x):
        """Look at the first rows: steps that adapt do so, once.

        A column without spread is refused: nothing bounds a density there.
        """
        rows = first_rows(x)
        if rows is None:
            return
        if self.levels is None and rows is x and np.ptp(x, axis=0).min() == 0:
            at = np.argwhere(np.ptp(x, axis=0) == 0)[0].tolist()
            check.fail(
                "x",
                "columns that vary, as nothing bounds the density of one that "
                "does not: give levels=, or leave the column out",
                f"one value in column {at[0] if len(at) == 1 else tuple(at)}",
            )
        adapting = [hasattr(step, "adapt") for step in self.steps]
        if not any(adapting):
            return
        rows = np.asarray(rows[:FIRST], "float32")
        noise = np.random.default_rng(self.seed).random(rows.shape, "float32")
        rows = _array(self.dequantized(ops.convert_to_tensor(rows), noise))
        last = len(adapting) - adapting[::-1].index(True)
        for number, step in enumerate(self.steps[:last], start=1):
            if adapting[number - 1]:
                step.adapt(rows)
            if number < last:
                rows = in_batches(
                    lambda x, f=step.transform: f(ops.convert_to_tensor(x))[0],
                    rows,
                )

    # -------------------------------------------------------------- checks

    def check_data(self, x, y=None, name="x"):
        refuse_target(y, "a flow is fitted to its input, fit(x)")
        if self.levels is None:
            x = check.check_array(x, name, event_shape=self.event_shape)
        else:
            x = likelihoods.Categorical(self.levels).check_data(
                x, name, event_shape=self.event_shape
            )
        return x, None

    # --------------------------------------------------------------- verbs

    def encode(self, x):
        """Codes of rows, float32 ``(n, …)``; of levels, of the cell's middle.

        ``decode`` returns the rows again.
        """
        x = self.check_input(x)
        return in_batches(
            lambda rows: self.transform(
                self.dequantized(ops.convert_to_tensor(rows), 0.5)
            )[0],
            x,
        )

    def decode(self, z):
        """Rows of z: float32 ``(n, *event_shape)``, with ``levels`` whole."""
        z = check.check_array(z, "z", event_shape=self.latent_shape)
        x = in_batches(
            lambda codes: self.inverse(ops.convert_to_tensor(codes)),
            z,
            batch_size=128 if self.levels else 1024,  # cells are compared
        )
        if self.levels is None:
            return x
        level = np.clip(np.floor(x * self.levels), 0, self.levels - 1)
        return (level / (self.levels - 1)).astype("float32")

    def sample(self, n, *, temperature=1.0, seed=None):
        """Decode n draws from the base.

        Args:
            n: Number of samples.
            temperature: Deviation ≥ 0 of the draws: below 1 they keep to
                what is likely, and are no longer draws from the model.
            seed: Integer seed, the same draws on every backend. ``None``
                goes on with the model's own generator.

        Returns:
            Float32 array ``(n, *event_shape)``.
        """
        n = check.check_int(n, "n")
        temperature = check.check_number(temperature, "temperature", 0.0)
        z = numpy_generator(seed, self.seed_generator).standard_normal(
            (n, *self.latent_shape), dtype="float32"
        )
        return self.decode(np.float32(temperature) * z)

    def log_likelihood(self, x, num_samples=None, *, seed=None):
        """Log-likelihood of each row, ``(n,)``, in nats.

        Of real rows the log-density, exactly. Of grey levels a lower bound of
        the log mass, log 1/S Σ_s p(v_s) K^−d with S draws of the noise: its
        expectation grows with S towards log P (Burda et al. 2016; Ho et al.
        2019), and S = 1 is the loss.

        Args:
            x: Array ``(n, *event_shape)``.
            num_samples: S ≥ 1, with ``levels`` alone; ``None`` is 1.
            seed: Integer seed of the noise, or ``None``.

        Returns:
            Float64 array ``(n,)``.

        Raises:
            ValueError: ``num_samples`` without ``levels``.
        """
        x = self.check_input(x)
        if self.levels is None and num_samples is not None:
            expected = "None: a density without levels is exact"
            check.fail("num_samples", expected, repr(num_samples))
        draws = check.check_int(num_samples or 1, "num_samples")
        rng = numpy_generator(seed, self.seed_generator)
        total = np.full(len(x), -np.inf)
        for _ in range(draws):
            noise = rng.random(x.shape, dtype="float32")
            found = in_batches(self._log_likelihoods, x, noise)
            total = np.logaddexp(total, found.astype("float64"))
        return total - np.log(draws)

    def _log_likelihoods(self, rows, noise):
        rows, noise = map(ops.convert_to_tensor, (rows, noise))
        return self.log_density(self.dequantized(rows, noise))[1]

    def bits_per_dim(self, x, num_samples=None, *, seed=None):
        """−log₂ P(x) / d, mean over rows: a float, an upper bound.

        Arguments as for :meth:`log_likelihood`.

        Raises:
            ValueError: a model without ``levels``: bits of a density move
                with the units of x.
        """
        if self.levels is None:
            check.fail("levels", "grey levels, for bits of a mass", "None")
        nats = self.log_likelihood(x, num_samples, seed=seed)
        size = np.prod(self.event_shape)
        return float(-np.mean(nats) / (size * np.log(2.0)))

    def example_losses(self, x, *, seed=None):
        """−log p of each row, ``(n,)``, float32, in nats."""
        return -self.log_likelihood(x, seed=seed).astype("float32")


def _array(tensor):
    return ops.convert_to_numpy(tensor)


def _check_steps(steps):
    """A list of layers with the two methods of a step."""
    if not isinstance(steps, (list, tuple)) or not len(steps):
        check.fail("steps", "a list of invertible layers", f"{steps!r:.60}")
    for number, step in enumerate(steps):
        lacks = [
            name
            for name in ("transform", "inverse")
            if not callable(getattr(step, name, None))
        ]
        if not isinstance(step, keras.layers.Layer) or lacks:
            kind = type(step).__name__
            check.fail(
                f"steps[{number}]",
                "a Keras layer with transform and inverse",
                f"{kind} without {' and '.join(lacks)}" if lacks else kind,
            )
    return list(steps)


def _couplings(
    coupling,
    parameters,
    event_shape,
    count,
    widths,
    activation,
    dropout,
    levels,
    seed,
    dtype,
    **options,
):
    """Scaling or marginals, then couplings with dense networks."""
    shape = check.check_shape(event_shape, "event_shape")
    count = check.check_int(count, "num_couplings", 2)
    dropout = check.check_number(dropout, "dropout", 0.0, 0.9)
    if int(np.prod(shape)) < 2:
        check.fail("event_shape", "at least two entries", f"{shape}")
    first = Scaling(shape) if levels is None else Marginals(shape, levels)
    seeds = [None if seed is None else 100 * seed + i for i in range(count)]
    return [
        first,
        *(
            coupling(
                _dense_network(
                    shape, parameters, widths, activation, dropout, own, dtype
                ),
                mask,
                **options,
            )
            for mask, own in zip(_masks(shape, count, seed), seeds, strict=True)
        ),
    ]
