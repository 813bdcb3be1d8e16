"""Likelihoods p(x | decoder): from a decoder's raw outputs to nats.

A decoder ends in raw numbers. A likelihood says what they mean: which data
they can describe, the mean they stand for, and −log p(x) of each example. It
is a layer, so that a learned scale is a weight of the model that holds it,
trained, saved and loaded with it. All entries of an example are independent
given the decoder's outputs.

Example:

>>> likelihood = Bernoulli()
>>> raw = np.zeros((3, 4), "float32")  # log-odds 0: every pixel a coin
>>> outputs = likelihood.outputs(raw)
>>> sorted(outputs)
['logits', 'reconstruction']
>>> nats = likelihood.negative_log_likelihood(np.ones((3, 4)), outputs)
>>> [round(float(value), 3) for value in nats]  # 4 log 2
[2.773, 2.773, 2.773]
"""

import keras
import numpy as np
from keras import ops

from utils.nn import losses
from utils.nn.layers import PACKAGE
from utils.support import validation as check

__all__ = [
    "Bernoulli",
    "Categorical",
    "DiscretizedLogistic",
    "Gaussian",
    "Likelihood",
    "LogisticMixture",
    "Multinomial",
    "OneHot",
    "SquaredError",
    "get",
]

FIRST_SCALE = 0.2  # of a learned scale, before training
# Adam moves a weight by about its learning rate a step. The logarithm of a
# scale has farther to go than an entry of a kernel: ten times as far.
SCALE_GAIN = 10.0
LARGE = 50.0  # typical |x| from which on networks overflow before they learn
ROWS = 1000  # of the data, from which typical sizes are taken


class Likelihood(keras.layers.Layer):
    """What every likelihood of the course can do; subclass it for your own.

    A subclass writes :meth:`outputs` and :meth:`negative_log_likelihood`,
    and :meth:`sample` if there is a distribution to draw from. Calling the
    layer gives its ``outputs``.

    Attributes:
        normalized: Whether e^−``negative_log_likelihood`` sums, or
            integrates, to 1 over all data that the likelihood describes.
        low: Smallest value the data may take; ``None`` for no bound.
        high: Largest value, likewise.
    """

    normalized = True
    low = high = None

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True  # weights, if any, do not wait for an input

    # ------------------------------------------------------------- tensors

    def outputs(self, raw):
        """What a model's ``call`` returns: a dict of tensors.

        Args:
            raw: Tensor ``(batch, …)``, the decoder's outputs.

        Returns:
            Dict with ``"reconstruction"``, the mean of x in units of the
            data, and whatever else the likelihood is computed from.
        """
        raise NotImplementedError

    def call(self, inputs):
        return self.outputs(inputs)

    def negative_log_likelihood(self, x, outputs):
        """−log p(x) of each example, in nats: tensor ``(batch,)``, float32.

        Args:
            x: Tensor ``(batch, *event_shape)``.
            outputs: Dict as :meth:`outputs` returns it.

        Raises:
            ValueError: examples of another shape than the outputs.
        """
        raise NotImplementedError

    def sample(self, outputs, rng):
        """Draw x itself, where ``outputs["reconstruction"]`` is its mean.

        Args:
            outputs: Dict as :meth:`outputs` returns it.
            rng: NumPy generator, the same draws on every backend.

        Returns:
            Float32 array of the shape of the data.

        Raises:
            ValueError: no distribution to draw from.
        """
        expected = "a distribution to draw from, such as Bernoulli()"
        check.fail("likelihood", expected, f"{type(self).__name__}()")

    # -------------------------------------------------------------- checks

    def raw_shape(self, event_shape):
        """Shape a decoder must return for data of ``event_shape``."""
        return tuple(event_shape)

    def check_decoder(self, shape, event_shape, name="decoder"):
        """Refuse a decoder that returns examples of another ``shape``.

        Both without the batch axis; ``None`` in ``shape`` is any size.
        """
        expected = self.raw_shape(event_shape)
        if not check.fits(expected, shape):
            check.fail(
                name,
                f"outputs of shape {expected}, for {type(self).__name__} and "
                f"data of shape {tuple(event_shape)}",
                f"shape {tuple(shape)}",
            )

    def check_data(self, x, name="x", *, event_shape=None, fitting=False):
        """Return x as float32 array, or say why it has no likelihood.

        Args:
            x: Array-like ``(n, …)``.
            name: Argument name used in the message.
            event_shape: Expected shape of one row; ``None`` accepts any.
            fitting: Also refuse data from which training cannot start.

        Raises:
            ValueError: wrong type, shape or range, NaN, or anything that
                the subclass names.
        """
        return check.check_array(
            x, name, event_shape=event_shape, low=self.low, high=self.high
        )


@keras.saving.register_keras_serializable(package=PACKAGE)
class Bernoulli(Likelihood):
    """Pixels 1 with probability σ(logit): −x log p − (1 − x) log(1 − p).

    A distribution over binary pixels, whose two probabilities sum to 1. Grey
    levels in [0, 1] are allowed, as in most papers: then the number is a
    cross-entropy, at least the entropy of x, and comparable with nothing
    but itself.

    Outputs: ``"reconstruction"``, the probabilities; ``"logits"``.
    """

    low, high = 0.0, 1.0

    def outputs(self, raw):
        return {"reconstruction": ops.sigmoid(raw), "logits": raw}

    def negative_log_likelihood(self, x, outputs):
        return losses.bernoulli_nll(x, outputs["logits"])

    def sample(self, outputs, rng):
        """Draw pixels 0 or 1."""
        mean = _array(outputs["reconstruction"])
        return (rng.random(mean.shape) < mean).astype("float32")


class _WithScale(Likelihood):
    """A likelihood with one scale for all entries, fixed or a weight."""

    def __init__(self, scale="learned", **kwargs):
        super().__init__(**kwargs)
        if scale != "learned":
            if isinstance(scale, str):
                check.fail("scale", "'learned' or a number > 0", repr(scale))
            scale = check.check_number(scale, "scale", 1e-6)
        self.scale = scale
        if scale == "learned":
            self.log_scale = self.add_weight(
                name="log_scale",
                shape=(),
                dtype="float32",
                initializer=keras.initializers.Constant(
                    np.log(FIRST_SCALE) / SCALE_GAIN
                ),
                autocast=False,
            )

    def current_scale(self):
        """The scale as it stands, tensor or number, in units of x."""
        if self.scale != "learned":
            return self.scale
        return ops.exp(SCALE_GAIN * self.log_scale)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package=PACKAGE)
class Gaussian(_WithScale):
    """Density N(x; mean, scale² I) over all real x; one scale for all.

    A density integrates to 1 and may exceed it: its nats can be negative,
    and they move with the units of x.

    Outputs: ``"reconstruction"``, the mean: what the decoder returns.

    Args:
        scale: Standard deviation in units of x: a number > 0, or
            ``"learned"``, a weight that starts at 0.2.

    Raises:
        ValueError: a scale out of range; from ``check_data(fitting=True)``,
            a column whose median |x| is above 50, or above 50 scales if
            those are more: one scale cannot serve columns of different
            units, and networks overflow. Standardised data and data in
            [0, 1] never are: a standardised column's is at most √2.
    """

    def outputs(self, raw):
        return {"reconstruction": raw}

    def negative_log_likelihood(self, x, outputs):
        mean = outputs["reconstruction"]
        return losses.gaussian_nll(x, mean, self.current_scale())

    def sample(self, outputs, rng):
        """Draw mean + scale · noise."""
        mean, scale = _array(outputs["reconstruction"]), self.current_scale()
        noise = rng.standard_normal(mean.shape, dtype="float32")
        return mean + _array(scale) * noise

    def check_data(self, x, name="x", *, event_shape=None, fitting=False):
        x = super().check_data(x, name, event_shape=event_shape)
        limit = LARGE if self.scale == "learned" else LARGE * max(1, self.scale)
        if fitting and np.abs(x).max() > limit:
            self._check_units(x, name, limit)
        return x

    def _check_units(self, x, name, limit):
        """Refuse columns in units of their own; medians ignore outliers."""
        x = x.reshape(len(x), -1)
        typical = np.median(np.abs(x[:: len(x) // ROWS + 1]), axis=0)
        if typical.max() <= limit:
            return
        spans = [
            f"column {at} from {x[:, at].min():.4g} to {x[:, at].max():.4g}"
            for at in dict.fromkeys([typical.argmax(), typical.argmin()])
        ]
        check.fail(
            name,
            "columns of one size, as one scale serves them all: standardise "
            "first",
            " and ".join(spans),
        )


class _GreyLevels(Likelihood):
    """A likelihood of grey levels k / (K − 1), and of nothing in between."""

    low, high = 0.0, 1.0

    def __init__(self, levels, **kwargs):
        super().__init__(**kwargs)
        self.levels = check.check_int(levels, "levels", minimum=2)

    def check_data(self, x, name="x", *, event_shape=None, fitting=False):
        x = super().check_data(x, name, event_shape=event_shape)
        steps = x * (self.levels - 1)
        off = np.abs(steps - np.round(steps)).max()
        if off > 1e-3:
            expected = (
                f"{self.levels} grey levels, multiples of 1/{self.levels - 1}"
            )
            received = f"values {off:.3g} of a step away from them"
            check.fail(name, expected, received)
        return x

    def get_config(self):
        return {**super().get_config(), "levels": self.levels}


@keras.saving.register_keras_serializable(package=PACKAGE)
class DiscretizedLogistic(_GreyLevels, _WithScale):
    """Grey levels k / (K − 1) with the masses of a logistic distribution.

    Each level takes what the logistic puts within half a level of it, the
    first and the last also the tails (Kingma et al. 2016): the K
    probabilities of an entry sum to 1 and can be compared between models.

    Outputs: ``"location"`` of the logistic, which may leave [0, 1];
    ``"reconstruction"``, the location clipped to [0, 1].

    Args:
        levels: Number K ≥ 2 of grey levels: 256 for bytes, 17 for the
            bundled digits.
        scale: Scale of the logistic in units of x, whose deviation is 1.81
            times as much: a number > 0, or ``"learned"``, a weight that
            starts at 0.2.

    Raises:
        ValueError: an argument out of range; from :meth:`check_data`, values
            between the grey levels.
    """

    def __init__(self, levels=256, scale="learned", **kwargs):
        super().__init__(levels, scale=scale, **kwargs)

    def outputs(self, raw):
        # a location below 0 makes level 0 almost certain
        return {"reconstruction": ops.clip(raw, 0.0, 1.0), "location": raw}

    def negative_log_likelihood(self, x, outputs):
        return losses.discretized_nll(
            x, outputs["location"], self.current_scale(), self.levels
        )

    def sample(self, outputs, rng):
        """Draw grey levels: a logistic number, rounded to the nearest."""
        location, scale = _array(outputs["location"]), self.current_scale()
        drawn = location + _array(scale) * rng.logistic(size=location.shape)
        return _nearest_levels(drawn, self.levels)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Categorical(_GreyLevels):
    """Grey levels k / (K − 1), each with a probability of its own.

    The decoder returns K logits an entry, as K times as many channels (or
    columns): for images ``(28, 28, 1)`` of 256 levels it ends in 256
    channels, for rows ``(64,)`` of 17 in 64 · 17 columns, those of one entry
    side by side. No order of the levels is built in.

    Outputs: ``"logits"`` ``(batch, *event_shape, K)``;
    ``"reconstruction"``, the expected grey level.

    Args:
        levels: Number K ≥ 2 of grey levels; 2 for binary pixels.

    Raises:
        ValueError: levels out of range; from :meth:`check_data`, values
            between the grey levels.
    """

    def raw_shape(self, event_shape):
        """Shape a decoder must return: the last axis K times as long."""
        return (*event_shape[:-1], event_shape[-1] * self.levels)

    def outputs(self, raw):
        *sizes, last = raw.shape[1:]
        shape = (-1, *sizes, last // self.levels, self.levels)
        logits = ops.reshape(raw, shape)
        shares = ops.softmax(ops.cast(logits, "float32"), axis=-1)
        greys = ops.arange(self.levels, dtype="float32") / (self.levels - 1)
        mean = ops.sum(shares * greys, axis=-1)
        return {"reconstruction": mean, "logits": logits}

    def negative_log_likelihood(self, x, outputs):
        return losses.categorical_nll(x, outputs["logits"])

    def sample(self, outputs, rng):
        """Draw a grey level for each entry, by Gumbel's maximum."""
        logits = _array(outputs["logits"])
        drawn = np.argmax(logits + rng.gumbel(size=logits.shape), axis=-1)
        return (drawn / (self.levels - 1)).astype("float32")


@keras.saving.register_keras_serializable(package=PACKAGE)
class LogisticMixture(_GreyLevels):
    """Grey levels k / (K − 1) under a mixture of logistics for each entry.

    The masses of :class:`DiscretizedLogistic`, but M of them with location,
    scale and share from the decoder (Salimans et al. 2017, PixelCNN++). Like
    a :class:`Categorical` it can have several peaks and an exact 0 and 1;
    unlike it, it knows that level 7 lies between 6 and 8. With one component
    it is a logistic whose scale is learned for each entry.

    The decoder returns 3 M numbers an entry, those of one entry side by side:
    M logits of the shares, M locations, M logarithms of scales. Outputs of 0
    mean equal shares, locations spread evenly over [0, 1] and scales of 0.14.

    Outputs: ``"logits"``, ``"locations"``, ``"scales"``, each
    ``(batch, *event_shape, M)``; ``"reconstruction"``, the mean of the
    locations, clipped to [0, 1].

    Args:
        levels: Number K ≥ 2 of grey levels.
        components: Number M ≥ 1 of logistics.

    Raises:
        ValueError: an argument out of range; from :meth:`check_data`, values
            between the grey levels.
    """

    def __init__(self, levels=256, components=5, **kwargs):
        super().__init__(levels, **kwargs)
        self.components = check.check_int(components, "components")

    def raw_shape(self, event_shape):
        """Shape a decoder must return: the last axis 3 M times as long."""
        return (*event_shape[:-1], event_shape[-1] * 3 * self.components)

    def outputs(self, raw):
        *sizes, last = raw.shape[1:]
        shape = (-1, *sizes, last // (3 * self.components), 3, self.components)
        raw = ops.reshape(ops.cast(raw, "float32"), shape)
        count = self.components
        start = (np.arange(count, dtype="float32") + 0.5) / count
        locations = raw[..., 1, :] + ops.convert_to_tensor(start)
        # from a hundredth of a level's width, where it is certain, to 20,
        # where all levels are alike
        least = float(np.log(0.01 / (self.levels - 1)))
        scales = ops.exp(ops.clip(raw[..., 2, :] - 2.0, least, 3.0))
        logits = raw[..., 0, :]
        # softmax by hand: Keras warns of one over a single component
        total = ops.logsumexp(logits, axis=-1, keepdims=True)
        mean = ops.exp(logits - total) * ops.clip(locations, 0.0, 1.0)
        return {
            "reconstruction": ops.sum(mean, axis=-1),
            "logits": logits,
            "locations": locations,
            "scales": scales,
        }

    def negative_log_likelihood(self, x, outputs):
        return losses.logistic_mixture_nll(
            x,
            outputs["logits"],
            outputs["locations"],
            outputs["scales"],
            self.levels,
        )

    def sample(self, outputs, rng):
        """Draw grey levels: a component, its logistic number, rounded."""
        logits, locations, scales = (
            _array(outputs[name]) for name in ("logits", "locations", "scales")
        )
        noisy = logits + rng.gumbel(size=logits.shape)
        chosen = np.argmax(noisy, axis=-1)[..., None]
        location, scale = (
            np.take_along_axis(values, chosen, axis=-1)[..., 0]
            for values in (locations, scales)
        )
        drawn = location + scale * rng.logistic(size=location.shape)
        return _nearest_levels(drawn, self.levels)

    def get_config(self):
        return {**super().get_config(), "components": self.components}


@keras.saving.register_keras_serializable(package=PACKAGE)
class OneHot(Likelihood):
    """One of K letters at each place: −Σ_k x_k log softmax(logits)_k.

    Data are one-hot along their last axis, or probabilities in its place:
    then the number is a cross-entropy, at least the entropy of x.

    Outputs: ``"reconstruction"``, the probabilities, along the last axis of
    sum 1; ``"logits"``.
    """

    low, high = 0.0, 1.0

    def outputs(self, raw):
        shares = ops.softmax(ops.cast(raw, "float32"), axis=-1)
        return {"reconstruction": shares, "logits": raw}

    def negative_log_likelihood(self, x, outputs):
        return losses.multinomial_nll(x, outputs["logits"])

    def sample(self, outputs, rng):
        """Draw one-hot rows, by Gumbel's maximum."""
        logits = _array(outputs["logits"])
        drawn = np.argmax(logits + rng.gumbel(size=logits.shape), axis=-1)
        return np.eye(logits.shape[-1], dtype="float32")[drawn]


@keras.saving.register_keras_serializable(package=PACKAGE)
class SquaredError(Likelihood):
    """‖x − x̂‖²: a loss, not a likelihood, though it stands in its place.

    It is −log N(x; x̂, ½ I) without the constant ½ d log π: its minimum over
    a decoder is that of a Gaussian, its value is no number of nats, and
    nothing can be drawn from it.

    Outputs: ``"reconstruction"``.

    Args:
        activation: ``"linear"``: x̂ is what the decoder returns, any real
            number. ``"sigmoid"``: x̂ lies in (0, 1), and data must lie in
            [0, 1].

    Raises:
        ValueError: an unknown activation.
    """

    normalized = False

    def __init__(self, activation="linear", **kwargs):
        super().__init__(**kwargs)
        self.activation = check.check_choice(
            activation, "activation", ("linear", "sigmoid")
        )
        if activation == "sigmoid":
            self.low, self.high = 0.0, 1.0

    def outputs(self, raw):
        if self.activation == "linear":
            return {"reconstruction": raw}
        return {"reconstruction": ops.sigmoid(raw)}

    def negative_log_likelihood(self, x, outputs):
        """‖x − x̂‖² of each example, ``(batch,)``, squared units of x."""
        return losses.squared_error(x, outputs["reconstruction"])

    def get_config(self):
        return {**super().get_config(), "activation": self.activation}


@keras.saving.register_keras_serializable(package=PACKAGE)
class Multinomial(Likelihood):
    """Counts of items that compete: −Σ_j x_j log π_j, π = softmax(logits).

    Without the multinomial coefficient, which no parameter changes: the
    number ranks models of the same rows and sums to 1 over single draws.

    Outputs: ``"reconstruction"``, the shares π; ``"logits"``.
    """

    normalized = False
    low = 0.0

    def outputs(self, raw):
        return {"reconstruction": ops.softmax(raw, axis=-1), "logits": raw}

    def negative_log_likelihood(self, x, outputs):
        return losses.multinomial_nll(x, outputs["logits"])


# what people write in other libraries, for the message alone
_WRITTEN = {
    "bernoulli": "Bernoulli()",
    "binary_crossentropy": "Bernoulli()",
    "categorical": "Categorical(levels=256)",
    "discretized": "DiscretizedLogistic(levels=256)",
    "gaussian": "Gaussian()",
    "linear": "SquaredError()",
    "mse": "SquaredError()",
    "sigmoid": "SquaredError('sigmoid')",
}


def get(likelihood, default=None):
    """Return a likelihood, also from its serialised config.

    Args:
        likelihood: Object of a subclass of :class:`Likelihood`, or the dict
            that ``keras.saving.serialize_keras_object`` makes of one.
        default: Class whose object stands where ``likelihood`` is ``None``.

    Raises:
        ValueError: anything else; a string is answered with the object that
            it probably means.
    """
    if likelihood is None and default is not None:
        return default()
    if isinstance(likelihood, dict):
        likelihood = keras.saving.deserialize_keras_object(likelihood)
    if not isinstance(likelihood, Likelihood):
        meant = _WRITTEN.get(str(likelihood).lower(), "Bernoulli()")
        expected = f"an object of utils.nn.likelihoods, such as {meant}"
        check.fail("likelihood", expected, repr(likelihood))
    return likelihood


def _nearest_levels(drawn, levels):
    """Numbers as the nearest of ``levels`` grey levels, float32."""
    steps = np.round(np.clip(drawn, 0.0, 1.0) * (levels - 1))
    return (steps / (levels - 1)).astype("float32")


def _array(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))
