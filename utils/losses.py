"""Likelihoods and divergences, in nats, one value per example.

Every function sums over the event axes (all axes but the first) and leaves
the batch axis alone: the caller takes the mean over the batch. Keras's
built-in reconstruction losses average over the event axes instead, which
silently divides the reconstruction term by the number of pixels.
"""

from keras import ops

__all__ = ["bernoulli_kl", "bernoulli_nll", "gaussian_nll", "squared_error"]

_LOG_2PI = 1.8378770664093453


def _sum_event(values):
    return ops.sum(ops.reshape(values, (ops.shape(values)[0], -1)), axis=1)


def squared_error(x, x_hat):
    """Squared Euclidean distance ‖x − x̂‖², summed over the event axes.

    Args:
        x: Tensor ``(batch, …)``.
        x_hat: Tensor of the same shape.

    Returns:
        Tensor ``(batch,)``, in squared units of the data.
    """
    x = ops.cast(x, "float32")
    x_hat = ops.cast(x_hat, "float32")
    return _sum_event(ops.square(x - x_hat))


def bernoulli_nll(x, logits):
    """−log p(x) of independent Bernoulli pixels, in nats.

    With grey levels x strictly between 0 and 1 this is a cross-entropy, not
    a normalised likelihood: its minimum is the entropy of x, not 0.

    Args:
        x: Tensor ``(batch, …)`` with values in [0, 1].
        logits: Tensor of the same shape, log-odds of a bright pixel.

    Returns:
        Tensor ``(batch,)``, nats per example.
    """
    x = ops.cast(x, "float32")
    logits = ops.cast(logits, "float32")
    return _sum_event(ops.softplus(logits) - x * logits)


def gaussian_nll(x, mean, scale=1.0):
    """−log N(x; mean, scale² I), in nats, with its constant.

    Args:
        x: Tensor ``(batch, …)``.
        mean: Tensor of the same shape.
        scale: Standard deviation, a number > 0 or a tensor that broadcasts.

    Returns:
        Tensor ``(batch,)``, nats per example. It may be negative: a density
        can exceed 1.
    """
    x = ops.cast(x, "float32")
    mean = ops.cast(mean, "float32")
    scale = ops.cast(scale, "float32")
    z = (x - mean) / scale
    return _sum_event(0.5 * ops.square(z) + ops.log(scale) + 0.5 * _LOG_2PI)


def bernoulli_kl(target, mean):
    """KL(Bernoulli(target) ‖ Bernoulli(mean)) for each unit, in nats.

    The sparsity penalty of a sparse autoencoder (Ng 2011, CS294A notes).

    Args:
        target: Wanted activation rate, in (0, 1).
        mean: Tensor of observed mean activations, in [0, 1]; kept 1e-6 away
            from both ends so that the penalty stays finite.

    Returns:
        Tensor of the shape of ``mean``: ≥ 0, and 0 where mean = target.
    """
    mean = ops.clip(ops.cast(mean, "float32"), 1e-6, 1.0 - 1e-6)
    target = ops.cast(target, "float32")
    return target * ops.log(target / mean) + (1.0 - target) * ops.log(
        (1.0 - target) / (1.0 - mean)
    )
