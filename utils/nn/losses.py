"""Likelihoods and divergences, in nats, one value per example.

Shapes must agree: an array ``(batch, 1)`` beside ``(batch, d)`` is refused
with a ``ValueError``, where broadcasting would give a number in silence.
Every function sums over the event axes (all axes but the first) and leaves
the batch axis alone: the caller takes the mean over the batch. Keras's
built-in reconstruction losses average over the event axes instead, which
silently divides the reconstruction term by the number of pixels.
"""

from keras import ops

from utils.support import validation as check

__all__ = [
    "bernoulli_kl",
    "bernoulli_nll",
    "categorical_nll",
    "discretized_nll",
    "gaussian_kl",
    "gaussian_nll",
    "logistic_mixture_nll",
    "masked_squared_error",
    "multinomial_nll",
    "squared_error",
]

_LOG_2PI = 1.8378770664093453


def _flat(x):
    return ops.reshape(x, (ops.shape(x)[0], -1))


def _sum_event(values):
    return ops.sum(_flat(values), axis=1)


def _same_shape(x, other, name="x"):
    """Both in float32; shapes that differ are refused."""
    x, other = ops.cast(x, "float32"), ops.cast(other, "float32")
    shape, expected = tuple(x.shape), tuple(other.shape)
    if not check.agree(shape[1:], expected[1:]):
        check.fail(name, f"examples of shape {expected[1:]}", f"{shape[1:]}")
    if not check.agree(shape[:1], expected[:1]):
        check.fail(name, f"{expected[0]} examples", f"{shape[0]}")
    return x, other


def _within(scale, x, name="scale"):
    """A scale in float32; it must broadcast to x, not x to it."""
    scale = ops.cast(scale, "float32")
    sizes, shape = tuple(scale.shape), tuple(x.shape)
    padded = (1,) * (len(shape) - len(sizes)) + sizes
    fits = len(padded) == len(shape) and all(
        size == 1 or None in (size, whole) or size == whole
        for size, whole in zip(padded, shape, strict=True)
    )
    if not fits:
        expected = f"a number, or a shape that broadcasts to {shape}"
        check.fail(name, expected, f"shape {sizes}")
    return scale


def _flat_pair(x, other):
    """Both as rows ``(batch, d)`` in float32; their shapes must agree.

    Flat before anything is computed, because XLA is slow at sums over axes
    of length 1, such as the channel of a grey image.
    """
    x, other = _same_shape(x, other)
    return _flat(x), _flat(other)


def squared_error(x, x_hat):
    """Squared Euclidean distance ‖x − x̂‖², summed over the event axes.

    Args:
        x: Tensor ``(batch, …)``.
        x_hat: Tensor of the same shape.

    Returns:
        Tensor ``(batch,)``, in squared units of the data.

    Raises:
        ValueError: examples of two shapes, which broadcasting would hide.
    """
    x, x_hat = _flat_pair(x, x_hat)
    return ops.sum(ops.square(x - x_hat), axis=1)


def masked_squared_error(x, x_hat, observed):
    """Squared distance over the observed entries alone, summed.

    Σ_j m_j (x_j − x̂_j)², m_j = 1 where x_j was observed. What stands in x at
    an unobserved entry, be it NaN, changes neither the value nor a gradient.

    Args:
        x: Tensor ``(batch, …)``.
        x_hat: Tensor of the same shape.
        observed: Booleans, or numbers 0 and 1, of the same shape.

    Returns:
        Tensor ``(batch,)``; 0 for an example without observed entries.

    Raises:
        ValueError: examples of two shapes.
    """
    x, x_hat = _same_shape(x, x_hat)
    observed, _ = _same_shape(observed, x, "observed")
    # x̂ − x̂ = 0: also its gradient is exactly zero there
    x = ops.where(observed != 0.0, x, x_hat)
    return _sum_event(ops.square(x - x_hat))


def multinomial_nll(x, logits):
    """−Σ_j x_j log π_j with π = softmax(logits), in nats.

    The negative log-likelihood of counts under a multinomial, without its
    coefficient, which no parameter changes (Liang et al. 2018). The
    probabilities of an example sum to 1, so items compete.

    Args:
        x: Tensor ``(batch, d)`` of counts ≥ 0; 0 and 1 for implicit feedback.
        logits: Tensor of the same shape.

    Returns:
        Tensor ``(batch,)``, nats per example; it grows with Σ_j x_j.

    Raises:
        ValueError: examples of two shapes.
    """
    x, logits = _same_shape(x, logits)
    return -_sum_event(x * ops.log_softmax(logits, axis=-1))


def bernoulli_nll(x, logits):
    """−log p(x) of independent Bernoulli pixels, in nats.

    With grey levels x strictly between 0 and 1 this is a cross-entropy, not
    a normalised likelihood: its minimum is the entropy of x, not 0.

    Args:
        x: Tensor ``(batch, …)`` with values in [0, 1].
        logits: Tensor of the same shape, log-odds of a bright pixel.

    Returns:
        Tensor ``(batch,)``, nats per example.

    Raises:
        ValueError: examples of two shapes, which broadcasting would hide.
    """
    x, logits = _flat_pair(x, logits)
    return ops.sum(ops.softplus(logits) - x * logits, axis=1)


def gaussian_nll(x, mean, scale=1.0):
    """−log N(x; mean, scale² I), in nats, with its constant.

    Args:
        x: Tensor ``(batch, …)``.
        mean: Tensor of the same shape.
        scale: Standard deviation, a number > 0 or a tensor that broadcasts
            to the shape of x.

    Returns:
        Tensor ``(batch,)``, nats per example. It may be negative: a density
        can exceed 1.

    Raises:
        ValueError: examples of two shapes, or a scale that would enlarge x.
    """
    x, mean = _same_shape(x, mean)
    scale = _within(scale, x)
    z = (x - mean) / scale
    return _sum_event(0.5 * ops.square(z) + ops.log(scale) + 0.5 * _LOG_2PI)


def discretized_nll(x, mean, scale, levels=256):
    """−log P(x) of grey levels under a discretised logistic, in nats.

    Level k of K stands for x = k / (K − 1). Its probability is what a
    logistic distribution with the given location and scale puts between
    half a level below and half a level above; the first and the last level
    take the tails, so the K probabilities of an entry sum to one (Kingma et
    al. 2016). Unlike a density it never exceeds 1: values of two models for
    the same grey levels can be compared.

    Args:
        x: Tensor ``(batch, …)`` of multiples of 1 / (levels − 1) in [0, 1].
        mean: Location, a tensor of the same shape; it may leave [0, 1].
        scale: Scale of the logistic, a number > 0 or a tensor that
            broadcasts to the shape of x, in units of x; the deviation is
            1.81 times as much.
        levels: Number of grey levels, 256 for bytes.

    Returns:
        Tensor ``(batch,)``, nats per example, ≥ 0.

    Raises:
        ValueError: examples of two shapes, or a scale that would enlarge x.
    """
    x, mean = _same_shape(x, mean)
    scale = _within(scale, x)
    return _sum_event(_level_nll(x, mean, scale, levels))


def _level_nll(x, mean, scale, levels):
    """−log of the mass that a logistic puts on a grey level, entry by entry."""
    half = 0.5 / (levels - 1)
    upper = (x + half - mean) / scale
    lower = (x - half - mean) / scale
    # σ(u) − σ(l) = σ(u) · σ(−l) · (1 − e^(l − u)): no difference of numbers
    # that are both nearly one
    below = ops.where(x > 1.0 - half, 0.0, ops.softplus(-upper))
    above = ops.where(x < half, 0.0, ops.softplus(lower))
    inside = ops.logical_and(x >= half, x <= 1.0 - half)
    width = -ops.log(-ops.expm1(-2.0 * half / scale))
    return below + above + ops.where(inside, width, 0.0)


def logistic_mixture_nll(x, logits, means, scales, levels=256):
    """−log P(x) of grey levels under mixtures of logistics, in nats.

    Each entry has M discretised logistics of its own, as in
    :func:`discretized_nll`, and shares softmax(logits) between them
    (Salimans et al. 2017, PixelCNN++, without its coupling of colours): the
    K probabilities of an entry sum to one. Levels near each other get
    probabilities near each other, which a categorical has to learn.

    Args:
        x: Tensor ``(batch, …)`` of multiples of 1 / (levels − 1) in [0, 1].
        logits: Tensor ``(batch, …, M)``.
        means: Locations, of the same shape; they may leave [0, 1].
        scales: Scales > 0 in units of x, of the same shape.
        levels: Number of grey levels, 256 for bytes.

    Returns:
        Tensor ``(batch,)``, nats per example, ≥ 0.

    Raises:
        ValueError: examples of two shapes.
    """
    logits = ops.cast(logits, "float32")
    means, logits = _same_shape(means, logits, "means")
    scales, _ = _same_shape(scales, logits, "scales")
    x, _ = _same_shape(x, logits[..., 0])
    mass = -_level_nll(ops.expand_dims(x, -1), means, scales, levels)
    total = ops.logsumexp(logits, axis=-1)
    return _sum_event(total - ops.logsumexp(logits + mass, axis=-1))


def categorical_nll(x, logits):
    """−log P(x) of grey levels with a probability each, in nats.

    Level k of K stands for x = k / (K − 1), π = softmax(logits) over the last
    axis: −Σ log π_k(x).

    Args:
        x: Tensor ``(batch, …)`` of multiples of 1 / (K − 1) in [0, 1].
        logits: Tensor ``(batch, …, K)``.

    Returns:
        Tensor ``(batch,)``, nats per example, ≥ 0.

    Raises:
        ValueError: examples of two shapes.
    """
    logits = ops.cast(logits, "float32")
    levels = logits.shape[-1]
    x, _ = _same_shape(x, logits[..., 0])
    steps = ops.round(x * (levels - 1))
    return _sum_event(
        ops.sparse_categorical_crossentropy(
            ops.cast(steps, "int32"), logits, from_logits=True
        )
    )


def gaussian_kl(mean, log_var, *, per_unit=False):
    """KL(N(mean, diag e^log_var) ‖ N(0, I)) in closed form, in nats.

    ½ Σ_j (μ_j² + σ_j² − 1 − log σ_j²) (Kingma and Welling 2014, appendix B).

    Args:
        mean: Tensor ``(batch, k)``.
        log_var: Tensor of the same shape, log σ².
        per_unit: Keep the k terms apart.

    Returns:
        Tensor ``(batch,)``, or ``(batch, k)`` with ``per_unit``: ≥ 0, and 0
        where the two distributions agree.

    Raises:
        ValueError: examples of two shapes.
    """
    mean, log_var = _same_shape(mean, log_var, "mean")
    # expm1(v) − v keeps its digits where the variance is nearly one
    terms = 0.5 * (ops.square(mean) + ops.expm1(log_var) - log_var)
    return terms if per_unit else _sum_event(terms)


def bernoulli_kl(target, mean):
    """KL(Bernoulli(target) ‖ Bernoulli(mean)) for each unit, in nats.

    The sparsity penalty of a sparse autoencoder (Ng 2011, CS294A notes).

    Args:
        target: Wanted activation rate, in (0, 1): a number, or a tensor that
            broadcasts to the shape of ``mean``.
        mean: Tensor of observed mean activations, in [0, 1]; kept 1e-6 away
            from both ends so that the penalty stays finite.

    Returns:
        Tensor of the shape of ``mean``: ≥ 0, and 0 where mean = target.

    Raises:
        ValueError: a target that would enlarge ``mean``.
    """
    mean = ops.clip(ops.cast(mean, "float32"), 1e-6, 1.0 - 1e-6)
    target = _within(target, mean, "target")
    return target * ops.log(target / mean) + (1.0 - target) * ops.log(
        (1.0 - target) / (1.0 - mean)
    )
