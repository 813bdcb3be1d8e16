"""Generation by regression: noise is added, a network learns to undo it.

A row x is moved along a path to noise ε ~ N(0, I): x_t = a(t) x + s(t) ε, from
the data at t = 0 to the noise at t = 1. A network that sees x_t and t predicts
x, ε or the path's slope by least squares. DDPM (Ho et al. 2020), DDIM (Song et
al. 2021) and flow matching (Lipman et al. 2023; Liu et al. 2023) are choices
of path, target and sampler.
"""

import itertools

import keras
import numpy as np
from keras import ops

from utils.models.base import (
    CourseModel,
    builds,
    numpy_generator,
    shapes_of,
    spec_of,
    weighted_mean,
)
from utils.nn.backend import input_gradient, traced
from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = [
    "Diffusion",
    "TimeFeatures",
    "ancestral",
    "coefficients",
    "convert",
    "ddim",
    "euler",
    "heun",
]

SCHEDULES = ("straight", "variance_preserving")
TARGETS = ("velocity", "noise", "data")
SAMPLERS = ("euler", "heun", "ddim", "ancestral")
AT_ONCE = 2**19  # numbers that the network sees at once, outside of fit
LEAST = 1e-5  # what a(t) or s(t) counts as where it is 0 and is divided by

# ------------------------------------------------------------------- paths


def coefficients(t, schedule="straight"):
    """a(t), s(t) of x_t = a x + s ε, and their slopes by t.

    ``"straight"``: a = 1 − t, s = t (Liu et al. 2023).
    ``"variance_preserving"``: a = cos(πt/2), s = sin(πt/2), so that a² + s² =
    1 (Nichol and Dhariwal 2021, without their offset).

    Args:
        t: Times in [0, 1]: number, array or tensor.
        schedule: One of the two.

    Returns:
        ``(a, s, a', s')``, each of the shape of t; arrays or tensors as t is.

    Example:

    >>> [float(value) for value in coefficients(0.25)]
    [0.75, 0.25, -1.0, 1.0]
    """
    check.check_choice(schedule, "schedule", SCHEDULES)
    tensor = ops.is_tensor(t) or isinstance(t, keras.KerasTensor)
    numeric = ops if tensor else np
    if schedule == "straight":
        one = numeric.ones_like(t, dtype=None if tensor else "float64")
        return one - t, t * one, -one, one
    angle = 0.5 * np.pi * t
    a, s = numeric.cos(angle), numeric.sin(angle)
    return a, s, -0.5 * np.pi * s, 0.5 * np.pi * a


def convert(value, noisy, t, *, given, wanted, schedule="straight"):
    """What one prediction says of another: data, noise, velocity.

    With x_t known, x_t = a x + s ε and the velocity v = a' x + s' ε are two
    equations: any one of x, ε and v gives the others. Where the equation
    divides by s = 0 (data given, t = 0) or a = 0 (noise given, t = 1), it is
    taken for 1e-5.

    Args:
        value: Prediction ``(n, …)``, array or tensor.
        noisy: Rows x_t ``(n, …)`` that it belongs to.
        t: One time, or one a row, ``(n,)``.
        given: What ``value`` is: ``"velocity"``, ``"noise"``, ``"data"``.
        wanted: What to return.
        schedule: As for :func:`coefficients`.

    Example:

    From x_t = 1 halfway to noise, with the noise known to be 2:

    >>> half = np.array([0.5])
    >>> known = {"given": "noise", "wanted": "data"}
    >>> convert(np.array([[2.0]]), np.array([[1.0]]), half, **known).tolist()
    [[0.0]]
    """
    for name, choice in (("given", given), ("wanted", wanted)):
        check.check_choice(choice, name, TARGETS)
    a, s, a_slope, s_slope = (
        _as_column(part, noisy) for part in coefficients(t, schedule)
    )
    if given == wanted:
        return value
    if given == "velocity":
        size = a * s_slope - s * a_slope  # 1, or π/2
        data = (s_slope * noisy - s * value) / size
        noise = (a * value - a_slope * noisy) / size
    elif given == "data":
        data, noise = value, (noisy - a * value) / _above_zero(s)
    else:
        data, noise = (noisy - s * value) / _above_zero(a), value
    velocity = a_slope * data + s_slope * noise
    return {"data": data, "noise": noise, "velocity": velocity}[wanted]


def _as_column(part, rows):
    """A number, or numbers of rows ``(n,)`` beside rows ``(n, …)``."""
    if not len(part.shape):
        return part
    numeric = np if isinstance(part, np.ndarray) else ops
    return numeric.reshape(part, (-1, *(1 for _ in rows.shape[1:])))


def _above_zero(part):
    numeric = np if isinstance(part, (np.ndarray, np.generic)) else ops
    return numeric.maximum(part, LEAST)


# ---------------------------------------------------------------- samplers


def euler(velocity, x, times):
    """Follow dx/dt = v(x, t) by Euler's steps.

    Args:
        velocity: Function of rows ``(n, …)`` and a time, to rows.
        x: Rows at ``times[0]``.
        times: Times in order, from noise to data falling.

    Returns:
        Rows at ``times[-1]``; as many evaluations as steps.

    Example:

    >>> float(euler(lambda x, t: x, np.ones(1), [1.0, 0.5, 0.0])[0])
    0.25
    """
    for now, then in itertools.pairwise(times):
        x = x + (then - now) * velocity(x, now)
    return x


def heun(velocity, x, times):
    """Follow dx/dt = v(x, t) by Heun's steps, the mean of two slopes.

    The second slope is taken where and *when* Euler's step ends. A step that
    ends at t = 0 is Euler's, as in Karras et al. (2022): there the velocity of
    a network that predicts data is 0/0.

    Args:
        velocity, times: As for :func:`euler`.
        x: Rows at ``times[0]``.

    Returns:
        Rows at ``times[-1]``; two evaluations a step, one in the last.

    Example:

    >>> float(heun(lambda x, t: x, np.ones(1), [1.0, 0.5, 0.0])[0])
    0.3125
    """
    for now, then in itertools.pairwise(times):
        slope = velocity(x, now)
        if then > 0.0:
            guess = x + (then - now) * slope
            slope = 0.5 * (slope + velocity(guess, then))
        x = x + (then - now) * slope
    return x


def ddim(denoiser, x, times, *, schedule="straight"):
    """Deterministic steps by the data and noise predicted (Song et al. 2021).

    x_t' = a(t') x̂ + s(t') ε̂. On the straight path this is Euler's step.

    Args:
        denoiser: Function of rows ``(n, …)`` and a time, to E[x | x_t].
        x: Rows at ``times[0]``.
        times: Falling times; all but the last above 0.
        schedule: As for :func:`coefficients`.
    """
    for now, then in itertools.pairwise(times):
        (a, s, *_), (b, r, *_) = (
            coefficients(time, schedule) for time in (now, then)
        )
        data = denoiser(x, now)
        x = b * data + r * (x - a * data) / s
    return x


def ancestral(denoiser, x, times, *, schedule="straight", seed=None):
    """Draws from q(x_t' | x_t, x̂), new noise at each step (Ho et al. 2020).

    Args:
        denoiser, x, times: As for :func:`ddim`.
        schedule: As for :func:`coefficients`.
        seed: Integer seed ≥ 0 or a NumPy generator; ``None`` for a fresh one.
    """
    rng = np.random.default_rng(seed)
    for now, then in itertools.pairwise(times):
        (a, s, *_), (b, r, *_) = (
            coefficients(time, schedule) for time in (now, then)
        )
        data = denoiser(x, now)
        kept = a / b  # x_t = kept x_t' + noise of this variance:
        added = s**2 - (kept * r) ** 2
        mean = (kept * r**2 * x + b * added * data) / s**2
        noise = rng.standard_normal(np.shape(x))
        x = mean + np.sqrt(max(added, 0.0)) * r / s * noise
    return x


# ---------------------------------------------------------------- networks


@keras.saving.register_keras_serializable(package=PACKAGE)
class TimeFeatures(keras.layers.Layer):
    """Sines and cosines of a time in [0, 1]: ``(batch,)`` → ``(batch, size)``.

    Frequencies grow geometrically from 1 to ``highest``, in radians over the
    whole path, so that both its course and its ends can be told.

    Args:
        size: Even number of features.
        highest: Highest frequency ≥ 1.

    Example:

    >>> TimeFeatures(4)(np.zeros(1)).shape[1]
    4
    """

    def __init__(self, size=32, *, highest=100.0, **kwargs):
        super().__init__(**kwargs)
        self.size = check.check_int(size, "size", 2)
        if self.size % 2:
            check.fail("size", "an even number", f"{size}")
        self.highest = check.check_number(highest, "highest", 1.0)

    def call(self, t):
        """Sines, then cosines, in 32 bits whatever the policy."""
        rates = np.geomspace(1.0, self.highest, self.size // 2)
        rates = ops.convert_to_tensor(rates.astype("float32"))
        angles = ops.cast(t, "float32")[:, None] * rates
        both = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=1)
        return ops.cast(both, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.size)

    def get_config(self):
        own = {"size": self.size, "highest": self.highest}
        return {**super().get_config(), **own}


class _Layers:
    """Keras layers with one activation and dtype, and seeds of their own."""

    def __init__(self, activation, seed, dtype):
        self.activation = activation
        self.seeds = itertools.count(1000 * seed) if seed is not None else None
        self.options = {"dtype": dtype}

    def start(self):
        seed = None if self.seeds is None else next(self.seeds)
        return keras.initializers.GlorotUniform(seed=seed)

    def dense(self, units, activation=None):
        return keras.layers.Dense(
            units, activation, kernel_initializer=self.start(), **self.options
        )

    def conv(self, filters, size=3, strides=1, up=False):
        kind = keras.layers.Conv2DTranspose if up else keras.layers.Conv2D
        return kind(
            filters,
            size,
            strides=strides,
            padding="same",
            kernel_initializer=self.start(),
            **self.options,
        )

    def active(self, x):
        return keras.layers.Activation(self.activation, **self.options)(x)

    def condition(self, t, labels, width, num_classes):
        """One row from the time, and from the class where there is one."""
        row = TimeFeatures(**self.options)(t)
        row = self.dense(width)(row)
        if labels is not None:
            seed = None if self.seeds is None else next(self.seeds)
            table = keras.layers.Embedding(
                num_classes + 1,  # the last one: no class is told
                width,
                keras.initializers.RandomNormal(stddev=0.5, seed=seed),
                **self.options,
            )
            row = row + table(labels)
        return self.active(row)

    def residual(self, x, row, filters):
        """Two convolutions around an activation, told the condition."""
        inner = self.conv(filters)(self.active(x))
        inner = inner + self.dense(filters)(row)[:, None, None, :]
        return x + self.conv(x.shape[-1])(self.active(inner))


def _inputs(input_shape, num_classes):
    """Inputs of a network by name."""
    inputs = {"x": keras.Input(input_shape, name="x")}
    inputs["t"] = keras.Input((), name="t")
    if num_classes is not None:
        inputs["labels"] = keras.Input((), name="labels", dtype="int32")
    return inputs


# ------------------------------------------------------------------- model


@keras.saving.register_keras_serializable(package=PACKAGE)
class Diffusion(CourseModel):
    """A network that learns to undo noise, and generates by doing so.

    Each step draws t ~ U(0, 1) and ε ~ N(0, I) for every row, sets x_t = a(t)
    x + s(t) ε, and regresses the target on x_t and t. The least-squares
    optimum is a conditional mean, E[x | x_t] for the data; by Tweedie's
    formula (Robbins 1956) it gives the score ∇ log p_t(x_t) = −E[ε | x_t] / s.

    With classes the label is withheld from a share of the training rows
    (Ho and Salimans 2021), so that one network knows both means, and
    ``guidance`` w combines them: ŷ = ŷ(no label) + w (ŷ(label) − ŷ(no label)).

    An average of the weights over steps samples better than the last ones:
    ``recipes.compile(model, rate, steps, use_ema=True, ema_momentum=0.99)``.
    At its end ``fit`` puts the average in place; in a callback, before that,
    the weights are still the last ones.

    Example:

    A network of your own takes ``{"x", "t"}``:

    >>> x, t = keras.Input((2,), name="x"), keras.Input((), name="t")
    >>> both = keras.layers.Concatenate()([x, TimeFeatures(8)(t)])
    >>> hidden = keras.layers.Dense(32, "silu")(both)
    >>> out = keras.layers.Dense(2)(hidden)
    >>> model = Diffusion(keras.Model({"x": x, "t": t}, out))
    >>> model.sample(3, steps=5, seed=1).shape
    (3, 2)

    The course's own, in one call:

    >>> model = Diffusion.dense((8, 8, 1), widths=(32,), target="noise", seed=0)
    >>> model.denoise(np.zeros((5, 8, 8, 1)), 0.5).shape
    (5, 8, 8, 1)

    Args:
        network: Keras model from ``{"x": (batch, *input_shape), "t":
            (batch,)}`` to ``(batch, *input_shape)``; with classes it takes
            ``"labels"`` ``(batch,)`` as well, integers from 0 to
            ``num_classes``, of which the last means "not told".
        target: What it predicts: ``"velocity"`` a' x + s' ε, ``"noise"`` ε or
            ``"data"`` x.
        schedule: ``"straight"`` or ``"variance_preserving"``; see
            :func:`coefficients`.
        num_classes: Number of classes ≥ 2, or ``None`` for no labels.
        label_dropout: Share in [0, 1] of training rows whose label is
            withheld.
        seed: Integer seed of times, noise and withheld labels, or ``None``.

    Call:
        Takes rows, or a dict ``{"x", "labels", "noise"}``: labels where the
        model has classes, noise where a row shall go to a noise of its own (as
        in reflow) and to no other. Returns a dict: ``"noisy"`` x_t, ``"time"``,
        ``"noise"`` and the network's ``"prediction"``.

    Loss:
        Squared error of the target, mean over entries and batch, whatever t
        is. ``evaluate`` withholds no label.

    Raises:
        ValueError: a hyperparameter out of range; a network whose inputs and
            output do not fit; from ``fit`` and the verbs, before any step, rows
            of wrong shape or with NaN, labels missing or out of range; on
            PyTorch, a convolutional network and a batch of one row.
    """

    def __init__(
        self,
        network,
        *,
        target="velocity",
        schedule="straight",
        num_classes=None,
        label_dropout=0.1,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.network = network
        self.target = check.check_choice(target, "target", TARGETS)
        self.schedule = check.check_choice(schedule, "schedule", SCHEDULES)
        if num_classes is not None:
            num_classes = check.check_int(num_classes, "num_classes", 2)
        self.num_classes = num_classes
        self.label_dropout = check.check_number(
            label_dropout, "label_dropout", 0.0, 1.0
        )
        self.seed = check.check_seed(seed)
        self._check_network()
        self.min_batch = _least_rows(network)
        self.draws = keras.random.SeedGenerator(seed)
        self.built = True

    @builds("network")
    def dense(
        input_shape,
        *,
        widths=(128, 128, 128),
        num_classes=None,
        activation="silu",
        seed=None,
        dtype=None,
    ):
        """A residual network of dense layers, told the time in each block.

        Args:
            input_shape: Shape of one example.
            widths: Hidden units of each residual block; the first is also
                the width of what runs past them.
            num_classes: Number of classes ≥ 2, or ``None``.
            activation: Activation of the blocks.
            seed: Integer seed of initial weights and draws, or ``None``.
            dtype: Dtype policy of network and model.
            **objective: As for the class.
        """
        shape, widths = _checked(input_shape, widths)
        part = _Layers(activation, seed, dtype)
        inputs = _inputs(shape, num_classes)
        row = part.condition(
            inputs["t"],
            inputs.get("labels"),
            max(32, widths[0] // 4),
            num_classes,
        )
        flat = keras.layers.Flatten(dtype=dtype)(inputs["x"])
        hidden = part.dense(widths[0])(flat)
        for units in widths:
            inner = part.dense(units)(hidden) + part.dense(units)(row)
            hidden = hidden + part.dense(widths[0])(part.active(inner))
        flat = part.dense(int(np.prod(shape)))(part.active(hidden))
        made = keras.layers.Reshape(shape, dtype=dtype)(flat)
        return keras.Model(inputs, made, name="network")

    @builds("network")
    def conv(
        input_shape,
        *,
        widths=(32, 64),
        num_classes=None,
        activation="silu",
        seed=None,
        dtype=None,
    ):
        """A small U-Net (Ronneberger et al. 2015), told the time in each block.

        Args:
            input_shape: ``(height, width, channels)``, both sides divisible
                by ``2 ** (len(widths) - 1)``.
            widths: Filters of the stages, image side first; from one to the
                next the sides are halved.
            num_classes: Number of classes ≥ 2, or ``None``.
            activation: Activation of the blocks.
            seed: Integer seed of initial weights and draws, or ``None``.
            dtype: Dtype policy of network and model.
            **objective: As for the class.
        """
        shape, widths = _checked(input_shape, widths)
        step = 2 ** (len(widths) - 1)
        if len(shape) != 3 or shape[0] % step or shape[1] % step:
            check.fail(
                "input_shape",
                f"(height, width, channels), both sides divisible by {step}",
                f"{shape}",
            )
        part = _Layers(activation, seed, dtype)
        inputs = _inputs(shape, num_classes)
        row = part.condition(
            inputs["t"], inputs.get("labels"), max(32, widths[-1]), num_classes
        )
        hidden, kept = part.conv(widths[0])(inputs["x"]), []
        for filters in widths[:-1]:
            hidden = part.residual(hidden, row, filters)
            kept.append(hidden)
            following = widths[len(kept)]
            hidden = part.conv(following, strides=2)(hidden)
        hidden = part.residual(hidden, row, widths[-1])
        for filters, beside in zip(widths[-2::-1], kept[::-1], strict=True):
            hidden = part.conv(filters, 4, strides=2, up=True)(hidden)
            hidden = ops.concatenate([hidden, beside], axis=-1)
            hidden = part.residual(part.conv(filters)(hidden), row, filters)
        made = part.conv(shape[-1])(part.active(hidden))
        return keras.Model(inputs, made, name="network")

    def _check_network(self):
        taken, made = shapes_of(self.network, "network")
        names = {"x", "t"} if self.num_classes is None else {"x", "t", "labels"}
        found = set(taken) if isinstance(taken, dict) else taken
        if self.num_classes is None and found == {"x", "t", "labels"}:
            expected = "a number of classes ≥ 2, as the network takes labels"
            check.fail("num_classes", expected, "None")
        if found != names:
            expected = f"inputs {sorted(names)}"
            check.fail("network", expected, f"{taken}")
        self.event_shape = taken["x"]
        if made != self.event_shape:
            expected = f"an output of the shape of x, {self.event_shape}"
            check.fail("network", expected, f"{made}")
        for name in names - {"x"}:
            if taken[name] != ():
                expected = f"input {name!r} of shape (), one number a row"
                check.fail("network", expected, f"{taken[name]}")

    # ------------------------------------------------------------ objective

    def call(self, inputs, training=False):
        """Draw times and noise, predict from noisy rows; see the class."""
        x, labels, noise = _unpacked(inputs)
        rows = ops.shape(x)[0]
        t = keras.random.uniform((rows,), dtype=x.dtype, seed=self.draws)
        if noise is None:
            noise = keras.random.normal(
                ops.shape(x), dtype=x.dtype, seed=self.draws
            )
        a, s, *_ = (
            _as_column(part, x) for part in coefficients(t, self.schedule)
        )
        given = {"x": a * x + s * noise, "t": t}
        if labels is not None:
            given["labels"] = labels
            if training and self.label_dropout:
                chance = keras.random.uniform((rows,), seed=self.draws)
                given["labels"] = ops.where(
                    chance < self.label_dropout,
                    ops.full_like(labels, self.num_classes),
                    labels,
                )
        return {
            "noisy": given["x"],
            "time": t,
            "noise": noise,
            "prediction": self.network(given, training=training),
        }

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        x = ops.cast(_unpacked(x)[0], "float32")
        noise, t, found = (
            ops.cast(y_pred[name], "float32")
            for name in ("noise", "time", "prediction")
        )
        _, _, a_slope, s_slope = (
            _as_column(part, x) for part in coefficients(t, self.schedule)
        )
        wanted = {
            "velocity": a_slope * x + s_slope * noise,
            "noise": noise,
            "data": x,
        }[self.target]
        axes = tuple(range(1, len(x.shape)))
        error = ops.mean(ops.square(found - wanted), axis=axes)  # (batch,)
        return self.add_losses(weighted_mean(error, sample_weight))

    # -------------------------------------------------------------- checks

    def takes(self):
        rows = spec_of(self.event_shape)
        if self.num_classes is None:
            return rows
        return {"x": rows, "labels": spec_of((), "int32")}

    def check_data(self, x, y=None, name="x"):
        more = {}
        if isinstance(x, dict):
            known = {"x", "noise", "labels"}
            if "x" not in x or not set(x) <= known:
                check.fail(name, f"a dict of {sorted(known)}", f"{sorted(x)}")
            if y is not None and "labels" in x:
                check.fail("y", "none beside labels in x", type(y).__name__)
            x, y, more = x["x"], x.get("labels", y), {"noise": x.get("noise")}
        x = self._check_rows(x, name)
        given = {"x": x}
        beside = "y" if name == "x" else f"{name}, y"
        if self.num_classes is not None:
            given["labels"] = self._check_labels(y, len(x), beside)
        elif y is not None:
            check.fail(beside, "no target: fit(x)", type(y).__name__)
        if more.get("noise") is not None:
            noise = self._check_rows(more["noise"], "noise")
            if len(noise) != len(x):
                check.fail("noise", f"{len(x)} rows", f"{len(noise)}")
            given["noise"] = noise
        return (given if len(given) > 1 else x), None

    def _check_rows(self, x, name="x"):
        return check.check_array(x, name, event_shape=self.event_shape)

    def _check_labels(self, labels, rows, name="labels"):
        """Classes as int32 vector; one class stands for all rows."""
        wanted = f"integers from 0 to {self.num_classes - 1}, one a row"
        if labels is None:
            check.fail(name, wanted, "None")
        if isinstance(labels, (int, np.integer)) and name == "labels":
            labels = np.full(rows, labels)
        labels = check.check_labels(labels, name, rows, self.num_classes)
        return labels.astype("int32")

    def _check_times(self, t, rows):
        """One time for all rows, or one a row: float32 ``(rows,)``."""
        if np.ndim(t) == 0:
            t = np.full(rows, check.check_number(t, "t", 0.0, 1.0))
        t = check.check_array(t, "t", ndim=1, low=0.0, high=1.0)
        if len(t) != rows:
            check.fail("t", f"one time, or {rows}", f"{len(t)}")
        return t

    # --------------------------------------------------------------- verbs

    def velocity(self, x, t, *, labels=None, guidance=1.0):
        """Slope of the path through noisy rows, as predicted.

        Args:
            x: Noisy rows x_t, ``(n, *input_shape)``.
            t: Times in [0, 1]: one for all, or one a row ``(n,)``.
            labels: One class, or one a row; ``None`` tells the network none.
            guidance: Weight w ≥ 0 of the label: 0 ignores it, 1 follows the
                model, more than 1 exaggerates.

        Returns:
            Float32 array ``(n, *input_shape)``.
        """
        return self._answer("velocity", x, t, labels, guidance)

    def denoise(self, x, t, *, labels=None, guidance=1.0):
        """Mean of the clean row given a noisy one, E[x | x_t], as predicted.

        Arguments and result as for :meth:`velocity`.
        """
        return self._answer("data", x, t, labels, guidance)

    def score(self, x, t, *, labels=None, guidance=1.0):
        """∇ log p_t at noisy rows, −ε̂ / s(t); t above 0.

        Arguments and result as for :meth:`velocity`.
        """
        noise = self._answer("noise", x, t, labels, guidance)
        t = self._check_times(t, len(noise))
        if t.min() <= 0.0:
            check.fail("t", "times above 0, where there is noise", "0")
        _, s, *_ = coefficients(t, self.schedule)
        return (-noise / _as_column(s, noise)).astype("float32")

    def sample(
        self,
        n,
        *,
        steps=20,
        sampler="heun",
        labels=None,
        guidance=1.0,
        seed=None,
    ):
        """Draw noise and lead it to data along equal steps of time.

        Args:
            n: Number of samples.
            steps: Number of steps; Heun's sampler evaluates the network 2
                ``steps`` − 1 times, the others ``steps`` times.
            sampler: ``"euler"``, ``"heun"``, ``"ddim"`` or ``"ancestral"``.
            labels, guidance: As for :meth:`velocity`.
            seed: Integer seed, the same noise on every backend. ``None`` goes
                on with the model's own generator.

        Returns:
            Float32 array ``(n, *input_shape)``.
        """
        n, steps = check.check_int(n, "n"), check.check_int(steps, "steps")
        check.check_choice(sampler, "sampler", SAMPLERS)
        rng = numpy_generator(seed, self.draws)
        first, last = self._ends()
        times = np.linspace(last, 0.0, steps + 1)
        a, s, *_ = coefficients(last, self.schedule)
        x = np.sqrt(a**2 + s**2) * rng.standard_normal((n, *self.event_shape))

        def answer(wanted):
            return lambda x, t: self._answer(wanted, x, t, labels, guidance)

        if sampler in ("euler", "heun"):
            follow = {"euler": euler, "heun": heun}[sampler]
            x = follow(answer("velocity"), x, times)
        elif sampler == "ddim":
            x = ddim(answer("data"), x, times, schedule=self.schedule)
        else:
            x = ancestral(
                answer("data"), x, times, schedule=self.schedule, seed=rng
            )
        return x.astype("float32")

    def log_likelihood(
        self, x, *, steps=30, probes=None, labels=None, seed=None
    ):
        """Log-density of rows under the deterministic sampler, in nats.

        Along dx/dt = v the log-density falls by div v (Chen et al. 2018), so
        that log p(x) = log N(x_1; 0, I) + ∫ div v(x_t, t) dt from data to
        noise, by Heun's steps. An integral by steps: exact only as they
        become many, and no bound.

        Args:
            x: Rows ``(n, *input_shape)``, not noisy.
            steps: Number of steps.
            probes: ``None`` adds all derivatives ∂v_j/∂x_j, one gradient for
                each of d entries; a number estimates their sum by as many
                random signs (Hutchinson 1989), the same ones at all times.
            labels: As for :meth:`velocity`.
            seed: Integer seed of the signs, or ``None``.

        Returns:
            Float64 array ``(n,)``.
        """
        x = self._check_rows(x)
        steps = check.check_int(steps, "steps")
        signs = self._probes(x, probes, seed)
        label = self._told(labels, len(x))
        slope_of = self._slopes(x, label, signs)
        times = np.linspace(*self._ends(), steps + 1)
        x, total = x.astype("float64"), np.zeros(len(x))
        for now, then in itertools.pairwise(times):
            slope, change = slope_of(x, now)
            guess = x + (then - now) * slope
            slopes, changes = slope_of(guess, then)
            x = x + (then - now) * (slope + slopes) / 2
            total += (then - now) * (change + changes) / 2
        a, s, *_ = coefficients(times[-1], self.schedule)
        variance, flat = a**2 + s**2, x.reshape(len(x), -1)
        squares = (flat**2).sum(axis=1) / variance
        constant = flat.shape[1] * np.log(2 * np.pi * variance)
        return total - 0.5 * (squares + constant)

    # -------------------------------------------------------- their insides

    def _ends(self):
        """First and last time at which the target says what it has to."""
        first = 1e-3 if self.target == "data" else 0.0
        return first, (0.99 if self.target == "noise" else 1.0)

    def _told(self, labels, rows):
        """Labels for the network, or ``None`` where it takes none."""
        if self.num_classes is None:
            if labels is not None:
                expected = "none: the model has no classes"
                check.fail("labels", expected, type(labels).__name__)
            return None
        if labels is None:
            return np.full(rows, self.num_classes, "int32")
        return self._check_labels(labels, rows)

    def _answer(self, wanted, x, t, labels, guidance):
        """The network's prediction, guided, as what is wanted; NumPy."""
        x = self._check_rows(x)
        t = self._check_times(t, len(x))
        guidance = check.check_number(guidance, "guidance", 0.0)
        told = self._told(labels, len(x))
        found = self._predicted(x, t, told)
        if labels is not None and guidance != 1.0:
            plain = self._predicted(x, t, self._told(None, len(x)))
            found = plain + guidance * (found - plain)
        return convert(
            found,
            x,
            t,
            given=self.target,
            wanted=wanted,
            schedule=self.schedule,
        ).astype("float32")

    def _predicted(self, x, t, labels):
        parts = [x, t] if labels is None else [x, t, labels]
        rows = max(64, AT_ONCE // int(np.prod(self.event_shape)))
        return in_batches(self._recorded, *parts, batch_size=rows)

    @property
    def _recorded(self):
        """The network's call as a sampler repeats it: recorded once."""
        kept = vars(self)  # where Keras does not look for layers
        if kept.get("_recording", (None,))[0] is not self.network:
            made = traced(self._forward, any_shape=True)
            kept["_recording"] = (self.network, made)
        return kept["_recording"][1]

    def _forward(self, *parts):
        names = ("x", "t", "labels")
        given = dict(
            zip(names, map(ops.convert_to_tensor, parts), strict=False)
        )
        return ops.cast(self.network(given, training=False), "float32")

    def _probes(self, x, probes, seed):
        """Directions ``(k, 1 or n, *input_shape)`` and the weight of each."""
        size = int(np.prod(self.event_shape))
        if probes is None:
            unit = np.eye(size, dtype="float32")
            return unit.reshape(size, 1, *self.event_shape), 1.0
        probes = check.check_int(probes, "probes")
        rng = numpy_generator(seed, self.draws)
        signs = rng.choice(np.float32([-1.0, 1.0]), (probes, *x.shape))
        return signs, 1.0 / probes

    def _slopes(self, x, labels, probes):
        """Function of rows and a time: velocity and its divergence."""
        more = () if labels is None else (ops.convert_to_tensor(labels),)
        directions, weight = probes

        def field(x, t):
            found = self._forward(x, t, *more)
            to = {"given": self.target, "wanted": "velocity"}
            return convert(found, x, t, **to, schedule=self.schedule)

        @traced
        def along(x, t, direction):
            gradient = input_gradient(lambda x: field(x, t) * direction, x)
            axes = tuple(range(1, len(x.shape)))
            return ops.sum(gradient * direction, axis=axes)

        field_of = traced(field)

        def slope_of(x, time):
            x = ops.convert_to_tensor(x.astype("float32"))
            t = ops.full((x.shape[0],), float(time), dtype="float32")
            parts = [
                along(x, t, ops.convert_to_tensor(direction))
                for direction in directions
            ]
            change = sum(ops.convert_to_numpy(part) for part in parts)
            slope = ops.convert_to_numpy(field_of(x, t))
            return slope.astype("float64"), weight * change.astype("float64")

        return slope_of


def _least_rows(network):
    """Rows a batch must have: PyTorch cannot train a convolution on one.

    It refuses the gradient of a kernel in the layout that Keras keeps it in
    where a batch is a single small image.
    """
    layers = network._flatten_layers(include_self=False)
    convolves = any(isinstance(part, keras.layers.Conv2D) for part in layers)
    return 2 if convolves and keras.backend.backend() == "torch" else 1


def _checked(input_shape, widths):
    shape = check.check_shape(input_shape, "input_shape")
    widths = check.check_widths(widths, "widths")
    if not widths:
        check.fail("widths", "at least one block", "()")
    return shape, widths


def _unpacked(inputs):
    """Rows, labels and noise of what ``call`` takes."""
    if not isinstance(inputs, dict):
        return inputs, None, None
    return inputs["x"], inputs.get("labels"), inputs.get("noise")
