"""Every number that the chapters quote and scikit-learn does not have."""

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.spatial.distance
import scipy.stats
from sklearn.metrics.cluster import contingency_matrix

from utils.support import validation as check

__all__ = [
    "clustering_accuracy",
    "dead_units",
    "distance_rank_correlation",
    "mse",
    "principal_angle_cosines",
    "psnr",
]


def _pair(x, x_hat):
    x = check.check_array(x, "x")
    x_hat = check.check_array(x_hat, "x_hat")
    if x.shape != x_hat.shape:
        check.fail("x_hat", f"the shape of x, {x.shape}", f"{x_hat.shape}")
    return x.astype("float64"), x_hat.astype("float64")


def mse(x, x_hat):
    """Mean squared error over rows *and* event axes.

    For rows of d entries this is ‖x − x̂‖² averaged over rows, divided by d.

    Args:
        x: Array ``(n, …)``.
        x_hat: Array of the same shape. Shapes that would only broadcast are
            refused: that mistake gives a wrong number without a word.

    Returns:
        Float, in squared units of the data.

    Raises:
        ValueError: shapes differ, or NaN.
    """
    x, x_hat = _pair(x, x_hat)
    return float(np.mean((x - x_hat) ** 2))


def psnr(x, x_hat, peak=1.0):
    """Peak signal-to-noise ratio, 10 log10(peak² / mse), in decibels.

    Args:
        x: Array ``(n, …)``.
        x_hat: Array of the same shape.
        peak: Largest possible value, 1 for images in [0, 1].

    Returns:
        Float; infinite if both are equal. Of all entries together, not the
        mean of per-image values.

    Raises:
        ValueError: shapes differ, NaN, or a peak ≤ 0.
    """
    if check.check_number(peak, "peak", 0.0) == 0.0:
        check.fail("peak", "a number > 0", "0")
    error = mse(x, x_hat)
    return float("inf") if error == 0 else 10 * np.log10(peak**2 / error)


def clustering_accuracy(y, ids):
    """Share of rows whose cluster is matched to their class, at best.

    Cluster ids are arbitrary names, so clusters and classes are matched one
    to one by the Hungarian method (Kuhn 1955) before counting. Renaming the
    clusters changes nothing. Clusters beyond the number of classes stay
    unmatched and count as errors.

    Args:
        y: Integer classes ``(n,)``.
        ids: Integer cluster ids ``(n,)``.

    Returns:
        Float in [0, 1].

    Raises:
        ValueError: float labels, or lengths that differ.
    """
    y = check.check_labels(y, "y")
    ids = check.check_labels(ids, "ids", num_rows=len(y))
    counts = contingency_matrix(y, ids)
    rows, columns = scipy.optimize.linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(y))


def principal_angle_cosines(a, b):
    """Cosines of the principal angles between two column spaces.

    All ones: the same subspace, whatever the bases. A zero: some direction
    of one is orthogonal to all of the other (Björck and Golub 1973).

    Args:
        a: Matrix ``(d, k)`` with linearly independent columns.
        b: Matrix ``(d, m)`` with linearly independent columns.

    Returns:
        Array ``(min(k, m),)``, largest first.

    Raises:
        ValueError: not matrices, or different numbers of rows.
    """
    a = check.check_array(a, "a", ndim=2).astype("float64")
    b = check.check_array(b, "b", ndim=2).astype("float64")
    if len(a) != len(b):
        check.fail("b", f"{len(a)} rows, as in a", f"shape {b.shape}")
    for matrix, name in ((a, "a"), (b, "b")):
        if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
            check.fail(name, "linearly independent columns", "a rank deficit")
    return np.cos(scipy.linalg.subspace_angles(a, b))[::-1]


def distance_rank_correlation(x, z):
    """Spearman correlation of all pairwise distances in x and in z.

    1 means that the code keeps the order of all distances; it says nothing
    of reconstruction. Cost and memory grow with n²: pass at most a few
    thousand rows.

    Args:
        x: Array ``(n, …)``, flattened per row.
        z: Array ``(n, …)``, flattened per row.

    Returns:
        Float in [−1, 1].

    Raises:
        ValueError: fewer than 3 rows, or row counts that differ.
    """
    x = check.check_array(x, "x", min_rows=3)
    z = check.check_array(z, "z", min_rows=3)
    if len(x) != len(z):
        check.fail("z", f"{len(x)} rows, as in x", f"{len(z)} rows")
    distances = (
        scipy.spatial.distance.pdist(rows.reshape(len(rows), -1))
        for rows in (x, z)
    )
    return float(scipy.stats.spearmanr(*distances).statistic)


def dead_units(codes):
    """Number of code units that are exactly 0 on every row.

    Args:
        codes: Array ``(n, k)``.

    Returns:
        Integer from 0 to k.

    Raises:
        ValueError: not a matrix, or NaN.
    """
    codes = check.check_array(codes, "codes", ndim=2)
    return int(np.sum(np.all(codes == 0.0, axis=0)))
