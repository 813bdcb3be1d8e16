"""How clusterings are judged without a label, and shown by one row each."""

import numpy as np
from sklearn.metrics import adjusted_rand_score

from utils.support import validation as check

__all__ = ["key_frames", "row_agreement"]


def row_agreement(method, num_rows, *, seed=0):
    """Agreement of a method with itself on other rows, without a label.

    The rows are cut into three parts at random and each two of them
    clustered; two answers are compared on the part that both have seen. What
    other seeds cannot show of a method without chance, other rows do.

    Args:
        method: Function from int64 row numbers ``(m,)`` to their ids
            ``(m,)``.
        num_rows: Number of rows, at least 6.
        seed: Integer ≥ 0, of the cut.

    Returns:
        Float, the mean of three adjusted Rand indices, at most 1.

    Raises:
        ValueError: too few rows, or ids that are not one a row.

    Example:

    >>> row_agreement(lambda rows: rows % 2, 30)
    1.0
    """
    num_rows = check.check_int(num_rows, "num_rows", minimum=6)
    rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
    parts = np.array_split(rng.permutation(num_rows), 3)
    answers = []
    for i in range(3):
        rows = np.concatenate([parts[i - 1], parts[i]])
        ids = check.check_labels(method(rows), "ids", num_rows=len(rows))
        answers.append(np.split(ids, [len(parts[i - 1])]))
    return float(
        np.mean(
            [
                adjusted_rand_score(answers[i][1], answers[(i + 1) % 3][0])
                for i in range(3)
            ]
        )
    )


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
