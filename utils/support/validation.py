"""Argument checks with one message format for the whole library.

Every message reads ``name: expected …; received ….`` so that a learner
sees at once which argument is meant, what would be right and what came.
"""

import numbers

import numpy as np

__all__ = [
    "agree",
    "as_array",
    "check_array",
    "check_choice",
    "check_feedback",
    "check_flag",
    "check_int",
    "check_labels",
    "check_num_clusters",
    "check_number",
    "check_seed",
    "check_shape",
    "check_widths",
    "fail",
    "fits",
    "is_array",
]

LARGEST = float(np.finfo("float32").max)
NUMBERS = "fiub"  # kinds of dtype: floats, integers, booleans


def fail(name, expected, received):
    """Raise the library's one kind of ``ValueError``."""
    raise ValueError(f"{name}: expected {expected}; received {received}.")


def check_int(value, name, minimum=1, maximum=None):
    """Return ``value`` as an ``int`` in ``[minimum, maximum]``."""
    expected = f"an integer ≥ {minimum}"
    if maximum is not None:
        expected = f"an integer from {minimum} to {maximum}"
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < minimum:
        fail(name, expected, repr(value))
    if maximum is not None and value > maximum:
        fail(name, expected, repr(value))
    return int(value)


def check_seed(seed):
    """Return a seed: an ``int`` ≥ 0, or ``None`` for a fresh one."""
    return None if seed is None else check_int(seed, "seed", minimum=0)


def check_number(value, name, low=None, high=None):
    """Return ``value`` as a finite ``float`` in ``[low, high]``."""
    expected = "a finite number"
    if low is not None and high is not None:
        expected = f"a number from {low:g} to {high:g}"
    elif low is not None:
        expected = f"a number ≥ {low:g}"
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    # NaN is not; what float32 cannot hold would be infinite in a loss
    if not real or not abs(value) <= LARGEST:
        fail(name, expected, repr(value))
    if (low is not None and value < low) or (high is not None and value > high):
        fail(name, expected, repr(value))
    return float(value)


def check_flag(value, name):
    """Return ``True`` or ``False``; "no" or 1 would be neither in silence."""
    if not isinstance(value, (bool, np.bool_)):
        fail(name, "True or False", repr(value))
    return bool(value)


def check_choice(value, name, choices):
    """Return ``value`` if it is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        fail(name, f"one of {listed}", repr(value))
    return value


def check_widths(widths, name):
    """Return a tuple of integers ≥ 1 (empty is allowed)."""
    if isinstance(widths, (str, numbers.Number)) or not hasattr(
        widths, "__iter__"
    ):
        fail(name, "a sequence of integers ≥ 1, such as (128, 64)", widths)
    return tuple(
        check_int(width, f"{name}[{index}]")
        for index, width in enumerate(widths)
    )


def check_shape(shape, name):
    """Return an event shape: a tuple of at least one integer ≥ 1."""
    if isinstance(shape, numbers.Integral):
        fail(name, "a tuple such as (64,) or (28, 28, 1)", repr(shape))
    shape = check_widths(shape, name)
    if not shape:
        fail(name, "a tuple such as (64,) or (28, 28, 1)", "()")
    return shape


def is_array(x):
    """Tell whether ``x`` is array-like (not a data set or a generator).

    A sparse matrix of scipy's is.
    """
    array = hasattr(x, "__array__") or hasattr(x, "toarray")
    return array or isinstance(x, (list, tuple))


def as_array(x, name):
    """Return ``x`` as a NumPy array of numbers, of the dtype that it has.

    A sparse matrix is filled up, a torch tensor taken off its graph.

    Raises:
        ValueError: rows of unequal length, text, missing or masked entries,
            objects; of a data frame the columns are named.
    """
    if np.ma.is_masked(x):
        masked = f"{np.ma.count_masked(x)} of {x.size} masked"
        fail(name, "no masked entries: fill them, or leave out rows", masked)
    if hasattr(x, "toarray"):
        x = x.toarray()
    if hasattr(x, "detach"):
        x = x.detach().cpu()
    try:
        array = np.asarray(x)
    except (TypeError, ValueError):
        fail(name, "a rectangular array of numbers", "rows of unequal length")
    if array.dtype.kind not in NUMBERS:
        fail(name, "an array of real numbers", _not_numbers(x, array))
    return array


def _not_numbers(x, array):
    """What stands in place of numbers, for a message."""
    if x is None or isinstance(x, (dict, str)):
        return "None" if x is None else type(x).__name__
    received = f"dtype {array.dtype}"
    if not hasattr(x, "columns"):
        return received
    for column in x.columns:
        kind = np.asarray(x[column]).dtype
        if kind.kind not in NUMBERS:
            return f"{received}: text or missing values in column {column!r}"
    return received


def fits(shape, wanted):
    """Is this the shape wanted, in which ``None`` is an axis of any length?"""
    return len(shape) == len(wanted) and all(
        want in (None, size) for size, want in zip(shape, wanted, strict=True)
    )


def agree(one, other):
    """May two shapes be one, where ``None`` is an axis not known yet?"""
    return len(one) == len(other) and all(
        None in pair or pair[0] == pair[1]
        for pair in zip(one, other, strict=True)
    )


def check_array(
    x,
    name,
    *,
    ndim=None,
    event_shape=None,
    low=None,
    high=None,
    min_rows=1,
    dtype="float32",
):
    """Return ``x`` as a finite float32 array, or say what is wrong with it.

    Args:
        x: Array-like of real numbers, rows first.
        name: Argument name used in the message.
        ndim: Expected number of axes, counting rows; ``None`` accepts any.
        event_shape: Expected shape of one row, ``None`` for an axis of any
            length; ``None`` accepts any shape.
        low: Smallest allowed value; ``None`` for no bound.
        high: Largest allowed value; ``None`` for no bound.
        min_rows: Smallest allowed number of rows.
        dtype: Of the result; ``"float64"`` for statistics, in which dates
            and other large numbers keep their digits.

    Raises:
        ValueError: what :func:`as_array` refuses; wrong rank, shape, range,
            NaN, numbers too large for the dtype, or too few rows.
    """
    x = as_array(x, name)
    if ndim is not None and x.ndim != ndim:
        fail(name, f"an array with {ndim} axes", f"shape {x.shape}")
    if event_shape is not None and not fits(x.shape[1:], event_shape):
        sizes = ", ".join("…" if n is None else str(n) for n in event_shape)
        fail(name, f"shape (n, {sizes})", f"shape {x.shape}")
    if x.ndim == 0 or len(x) < min_rows:
        rows = "one row" if min_rows == 1 else f"{min_rows} rows"
        fail(name, f"at least {rows}", f"shape {x.shape}")
    if not x.size:
        fail(name, "at least one number a row", f"shape {x.shape}")
    finite = np.isfinite(x)
    if not finite.all():
        row = int(np.argwhere(~finite)[0][0])
        bad = int((~finite).sum())
        fail(
            name, "finite numbers", f"{bad} NaN or infinite, first in row {row}"
        )
    largest = np.finfo(dtype).max
    if x.dtype.kind == "f" and np.finfo(x.dtype).max > largest:
        beyond = np.argwhere(np.abs(x) > largest)
        if len(beyond):
            received = f"{x[tuple(beyond[0])]:g} in row {beyond[0][0]}"
            fail(name, f"numbers up to {largest:.2g}, as {dtype}", received)
    x = x.astype(dtype, copy=False)
    span = f"values ≥ {low:g}" if high is None and low is not None else ""
    if high is not None:
        span = f"values ≤ {high:g}"
        if low is not None:
            span = f"values in [{low:g}, {high:g}]"
    if low is not None and x.min() < low:
        fail(name, span, f"minimum {x.min():.4g}")
    if high is not None and x.max() > high:
        fail(name, span, f"maximum {x.max():.4g}")
    return x


def check_labels(labels, name, num_rows=None, num_classes=None):
    """Return integer class or cluster ids as an int64 vector.

    Float labels are refused even when whole: they usually mean that a
    regression target or a softmax output was passed by mistake. With
    ``num_classes``, labels must lie in 0 … num_classes − 1.
    """
    labels = as_array(labels, name)
    if labels.ndim != 1:
        fail(name, "a vector of integer labels", f"shape {labels.shape}")
    if labels.dtype.kind not in "iu":
        fail(name, "integer labels", f"dtype {labels.dtype}")
    if num_rows is not None and len(labels) != num_rows:
        fail(name, f"{num_rows} labels", f"{len(labels)}")
    if num_classes is not None and len(labels):
        for value in (labels.min(), labels.max()):
            if not 0 <= value < num_classes:
                fail(name, f"labels from 0 to {num_classes - 1}", f"{value}")
    return labels.astype("int64")


def check_feedback(x, name, num_items=None, empty=False):
    """Implicit feedback as float32 ``(n, items)`` of 0 and 1, or say why not.

    Without ``empty`` a row of zeros is refused: it says nothing of its user.
    """
    shape = None if num_items is None else (num_items,)
    x = check_array(x, name, ndim=2, event_shape=shape)
    strange = (x != 0) & (x != 1)
    if strange.any():
        row = int(np.argwhere(strange)[0][0])
        fail(name, "entries 0 or 1", f"{x[strange][0]:g} in row {row}")
    if not empty and not x.any(axis=1).all():
        row = int(np.flatnonzero(~x.any(axis=1))[0])
        received = f"an empty row {row}: recommend it what is popular"
        fail(name, "at least one item for every user", received)
    return x


def check_num_clusters(num_clusters, rows):
    """Refuse more clusters than there are distinct rows."""
    num_clusters = check_int(num_clusters, "num_clusters", minimum=2)
    expected = "at most as many clusters as distinct rows"
    if num_clusters > len(rows):
        received = f"{num_clusters} clusters for {len(rows)} rows"
        fail("num_clusters", expected, received)
    distinct = len(np.unique(rows, axis=0))
    if num_clusters > distinct:
        received = f"{num_clusters} clusters for {distinct} distinct rows"
        fail("num_clusters", expected, received)
    return num_clusters
