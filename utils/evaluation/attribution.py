"""Which entries of a row decided? Attributions, and how to judge them."""

import numpy as np
from keras import ops

from utils.nn.backend import input_gradient
from utils.support import validation as check

__all__ = ["attribute", "deletion_curve"]


def attribute(score, x, baseline, *, steps=16):
    """Three attributions of a score to the entries of each row.

    With b the baseline, "not there": (x − b) ∂f(x), ``"gradient × input"``;
    (x − b) ∫ ∂f(b + t (x − b)) dt by the midpoint rule, ``"integrated
    gradients"``, whose sum is f(x) − f(b) (Sundararajan et al. 2017); and
    f(x) less f of x with one entry set to b, ``"occlusion"``.

    Args:
        score: Function from a tensor ``(rows, d)`` to ``(rows,)``, within
            ``keras.ops``. Called with the rows of x, once or d times in a
            row: all rows, then all rows again.
        x: Array ``(n, d)``.
        baseline: Array ``(d,)``.
        steps: Points of the path ≥ 1.

    Returns:
        Dict of name to float array ``(n, d)``, higher is more important.

    Raises:
        ValueError: shapes that do not meet; a score without a gradient.

    Example:

    >>> found = attribute(lambda x: x[:, 0] * x[:, 1], [[1.0, 2.0]], [0.0, 0.0])
    >>> found["integrated gradients"].tolist()
    [[1.0, 1.0]]
    """
    x, baseline = _rows(x, baseline)
    steps = check.check_int(steps, "steps")
    gap = x - baseline

    def slope(rows):
        return ops.convert_to_numpy(input_gradient(score, rows))

    points = (np.arange(steps, dtype="float32") + 0.5) / steps
    path = np.mean([slope(baseline + t * gap) for t in points], axis=0)
    entries = np.arange(x.shape[1])
    without = np.repeat(x[None], len(entries), axis=0)  # (d, n, d)
    without[entries, :, entries] = baseline[:, None]
    left = ops.convert_to_numpy(score(without.reshape(-1, len(entries))))
    left = left.reshape(len(entries), -1)
    return {
        "gradient × input": slope(x) * gap,
        "integrated gradients": path * gap,
        "occlusion": (ops.convert_to_numpy(score(x)) - left).T,
    }


def deletion_curve(probability, x, importance, baseline):
    """Mean probability as entries of each row go, the most important first.

    The steeper it falls, the better the order (Petsiuk et al. 2018). All
    orders meet at the last point, where every row is the baseline.

    Args:
        probability: Function from an array ``(rows, d)`` to ``(rows,)``;
            called once, with all rows d + 1 times in a row.
        x: Array ``(n, d)``.
        importance: Array ``(n, d)``.
        baseline: Array ``(d,)``: what a deleted entry becomes.

    Returns:
        Array ``(d + 1,)``: mean over rows after 0, 1, …, d deletions.

    Raises:
        ValueError: shapes that do not meet.
    """
    x, baseline = _rows(x, baseline)
    importance = check.check_array(importance, "importance", ndim=2)
    if importance.shape != x.shape:
        check.fail("importance", f"shape {x.shape}", f"{importance.shape}")
    place = np.argsort(np.argsort(-importance, axis=1), axis=1)
    gone = place < np.arange(x.shape[1] + 1)[:, None, None]
    rows = np.where(gone, baseline, x).reshape(-1, x.shape[1])
    found = ops.convert_to_numpy(probability(rows))
    return found.reshape(x.shape[1] + 1, len(x)).mean(axis=1)


def _rows(x, baseline):
    x = check.check_array(x, "x", ndim=2)
    baseline = check.check_array(baseline, "baseline", ndim=1)
    if baseline.shape != x.shape[1:]:
        expected = f"{x.shape[1]} numbers, one an entry of a row"
        check.fail("baseline", expected, f"{len(baseline)}")
    return x, baseline
