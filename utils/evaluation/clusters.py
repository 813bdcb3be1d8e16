"""How clusterings are judged without a label, and shown by one row each."""

import itertools

import numpy as np
from sklearn.metrics import adjusted_rand_score

from utils.support import validation as check

__all__ = ["key_frames", "stability"]


def stability(labelings):
    """Mean agreement of several clusterings of the same rows.

    Agreement of two is their adjusted Rand index, which renaming the
    clusters leaves alone. High stability says that the method finds the
    same answer again, not that the answer is right.

    Args:
        labelings: At least two vectors of integer ids ``(n,)``.

    Returns:
        Float, at most 1; about 0 for unrelated clusterings.

    Raises:
        ValueError: fewer than two, or lengths that differ.

    Example:

    >>> stability([[0, 0, 1, 1], [1, 1, 0, 0]])
    1.0
    """
    if len(labelings) < 2:
        check.fail("labelings", "at least two", f"{len(labelings)}")
    size = len(labelings[0])
    labelings = [
        check.check_labels(ids, f"labelings[{index}]", num_rows=size)
        for index, ids in enumerate(labelings)
    ]
    scores = [
        adjusted_rand_score(*pair)
        for pair in itertools.combinations(labelings, 2)
    ]
    return float(np.mean(scores))


def key_frames(codes, ids):
    """The row closest to the mean of each cluster, in order of time.

    One real frame stands for each group of similar frames.

    Args:
        codes: Array ``(n, …)`` of frames or their codes, in order of time.
        ids: Integer cluster ids ``(n,)``.

    Returns:
        Increasing int64 row numbers, one a cluster.

    Raises:
        ValueError: lengths that differ, or float ids.

    Example:

    >>> key_frames(np.array([[0.0], [1.0], [2.0], [9.0]]), [5, 5, 5, 2])
    array([1, 3])
    """
    codes = check.check_array(codes, "codes")
    codes = codes.reshape(len(codes), -1)
    ids = check.check_labels(ids, "ids", num_rows=len(codes))
    chosen = []
    for k in np.unique(ids):
        rows = np.flatnonzero(ids == k)
        offsets = codes[rows] - codes[rows].mean(axis=0)
        chosen.append(rows[np.argmin(np.sum(offsets**2, axis=1))])
    return np.sort(np.array(chosen, dtype="int64"))
