"""How good is a set of generated examples? Numbers for sets, not for rows.

A generator fails in two ways: its examples are unlike the data, or they are
all alike. No single number shows both, so there are several here. Those that
compare two sets take feature rows: coordinates in the plane, pixels, or the
penultimate layer of a classifier, in which distances mean more than they do
between pixels.
"""

from collections import namedtuple

import numpy as np
import scipy.spatial.distance
from sklearn.metrics import pairwise_distances_argmin_min

from utils.support import validation as check

__all__ = [
    "class_histogram",
    "compare_sets",
    "density_coverage",
    "frechet_distance",
    "modes_covered",
    "nearest_distance",
    "sample_spread",
]

DensityCoverage = namedtuple("DensityCoverage", ["density", "coverage"])
SetComparison = namedtuple("SetComparison", ["frechet", "density", "coverage"])
ModesCovered = namedtuple("ModesCovered", ["modes", "share_within", "counts"])


def _feature_pair(a, b, name_a, name_b, min_rows):
    """Two float64 matrices with equally many columns."""
    a = check.check_array(a, name_a, ndim=2, min_rows=min_rows)
    b = check.check_array(b, name_b, ndim=2, min_rows=min_rows)
    if a.shape[1] != b.shape[1]:
        expected = f"{a.shape[1]} columns, as in {name_a}"
        check.fail(name_b, expected, f"shape {b.shape}")
    return a.astype("float64"), b.astype("float64")


def _root(covariance):
    """Symmetric square root; rounding below 0 is cut off."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T


def frechet_distance(features_a, features_b):
    """Squared Fréchet distance of the Gaussians fitted to two sets of rows.

    ‖m_a − m_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a^½ Σ_b Σ_a^½)^½): the squared
    2-Wasserstein distance of two Gaussians (Dowson and Landau 1982). The
    trace of the last root is the sum of the singular values of Σ_a^½ Σ_b^½,
    which stays accurate where a covariance is singular.

    Called *Fréchet Inception distance*, FID, only where the features are
    those of the Inception network (Heusel et al. 2017). In other features
    the number is of another size and not comparable with published ones.

    Args:
        features_a: Array ``(n, width)``, n ≥ 2.
        features_b: Array ``(m, width)``, m ≥ 2. The fewer the rows the larger
            the distance, even of two draws from one source: compare only
            numbers from equally many rows, and state the distance of two
            *real* sets beside them.

    Returns:
        Float ≥ 0, in squared units of the features. Covariances divide by
        n − 1. It sees two moments and no more: 0 does not mean that the sets
        are alike.

    Raises:
        ValueError: not matrices, different widths, fewer than 2 rows, NaN.

    Example:

    >>> a = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]])
    >>> round(frechet_distance(a, a + [3.0, 4.0]), 6)
    25.0
    """
    a, b = _feature_pair(features_a, features_b, "features_a", "features_b", 2)
    sigma_a = np.cov(a, rowvar=False).reshape(a.shape[1], -1)
    sigma_b = np.cov(b, rowvar=False).reshape(b.shape[1], -1)
    product = _root(sigma_a) @ _root(sigma_b)
    overlap = np.linalg.svd(product, compute_uv=False).sum()
    shift = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
    distance = shift + np.trace(sigma_a) + np.trace(sigma_b) - 2.0 * overlap
    return float(max(distance, 0.0))


def _radii(rows, k, name):
    """Distance of each row to its k-th nearest *other* row."""
    if len(rows) <= k:
        check.fail(name, f"more than k = {k} rows", f"{len(rows)} rows")
    return np.concatenate(
        [
            np.partition(block, k, axis=1)[:, k]  # column 0: the row itself
            for block in _distance_blocks(rows, rows)
        ]
    )


def _distance_blocks(a, b, size=1024):
    """Euclidean distances from a to b, some rows of a at a time."""
    # not scikit-learn's neighbours or pairwise_distances_chunked: they take
    # distances from products, and a row on the surface of a ball falls off
    for start in range(0, len(a), size):
        yield scipy.spatial.distance.cdist(a[start : start + size], b)


def density_coverage(real, generated, k=5):
    """Density and coverage of a generated set (Naeem et al. 2020).

    Draw around each real row the ball that reaches its k-th nearest real
    neighbour. *Density* counts in how many of these balls a generated row
    lies, divided by k, on average. *Coverage* is the share of balls that
    hold at least one generated row: it falls when a mode is missing.

    Args:
        real: Feature rows ``(n, width)``, n > k.
        generated: Feature rows ``(m, width)``. Coverage rises with m: use
            m = n, and compare only numbers of equal n, m and k.
        k: Number of neighbours ≥ 1.

    Returns:
        Named tuple ``(density, coverage)``: density ≥ 0, about 1 for a second
        real set, above 1 if samples crowd where the data are dense; coverage
        in [0, 1], about 1 − 2^(−k) for a second real set of equal size.
        Balls include their surface.

    Raises:
        ValueError: not matrices, different widths, n ≤ k, NaN.
    """
    k = check.check_int(k, "k")
    real, generated = _feature_pair(real, generated, "real", "generated", 1)
    radii = _radii(real, k, "real")
    hits, covered = 0, np.zeros(len(real), dtype=bool)
    for distances in _distance_blocks(generated, real):
        inside = distances <= radii  # (block, n)
        hits += inside.sum()
        covered |= inside.any(axis=0)
    density = hits / (k * len(generated))
    return DensityCoverage(float(density), float(covered.mean()))


def compare_sets(real, generated):
    """Fréchet distance, density and coverage, over sets of one size.

    All three depend on the number of rows. So generated rows are cut into
    sets as large as the real one; the result is the mean over these sets, and
    rows left over are not used. Their order must mean nothing.

    Args:
        real: Feature rows ``(n, d)`` of real examples.
        generated: Feature rows ``(m, d)``, m ≥ n.

    Returns:
        ``SetComparison(frechet, density, coverage)`` of floats.

    Raises:
        ValueError: fewer generated rows than real ones, or what
            :func:`frechet_distance` and :func:`density_coverage` refuse.
    """
    real, generated = _feature_pair(real, generated, "real", "generated", 2)
    count, left = divmod(len(generated), len(real))
    if not count:
        found = f"{len(generated)} rows"
        check.fail("generated", f"at least {len(real)} rows", found)
    sets = np.split(generated[: len(generated) - left], count)
    found = [
        (frechet_distance(real, part), *density_coverage(real, part))
        for part in sets
    ]
    return SetComparison(*map(float, np.mean(found, axis=0)))


def modes_covered(samples, centres, std, *, min_share=0.2):
    """Count the modes of a known mixture that a set of samples reaches.

    A sample belongs to its nearest centre if it lies within three standard
    deviations of it, else to none.

    Args:
        samples: Array ``(n, d)``.
        centres: Array ``(K, d)``, one centre a mode.
        std: Standard deviation > 0 of a mode in each direction.
        min_share: A mode counts as covered if it holds at least this part of
            an equal share, ``n / K``; in (0, 1].

    Returns:
        Named tuple ``(modes, share_within, counts)``: number of modes
        covered; share of samples within three standard deviations of some
        centre, which in the plane is .989 for the mixture itself; samples of
        each mode, int64 ``(K,)``.

    Raises:
        ValueError: not matrices, different widths, ``std`` ≤ 0, NaN.
    """
    samples, centres = _feature_pair(samples, centres, "samples", "centres", 1)
    if check.check_number(std, "std", 0.0) == 0.0:
        check.fail("std", "a number > 0", "0")
    if check.check_number(min_share, "min_share", 0.0, 1.0) == 0.0:
        check.fail("min_share", "a number > 0", "0")
    distances = scipy.spatial.distance.cdist(samples, centres)
    within = distances.min(axis=1) <= 3.0 * std
    counts = np.bincount(
        distances.argmin(axis=1)[within], minlength=len(centres)
    )
    needed = min_share * len(samples) / len(centres)
    modes = int(np.sum(counts >= needed))
    return ModesCovered(modes, float(within.mean()), counts.astype("int64"))


def nearest_distance(x, others):
    """Distance of each row to the nearest of other rows.

    A generator that copies is near its training rows: compare with how far
    real rows that it never saw are from them.

    Args:
        x: Array ``(n, …)``; rows may be images.
        others: Array ``(m, …)`` of rows of the same shape.

    Returns:
        Euclidean distances ``(n,)``, in units of the data.

    Raises:
        ValueError: rows of two shapes, NaN, or none.
    """
    x = check.check_array(x, "x")
    others = check.check_array(others, "others", event_shape=x.shape[1:])
    x, others = (rows.reshape(len(rows), -1) for rows in (x, others))
    return pairwise_distances_argmin_min(x, others)[1]


def class_histogram(classes, num_classes):
    """How many samples of each class, those without any included.

    Args:
        classes: Integer classes ``(n,)`` from 0 to ``num_classes − 1``, such
            as a classifier's verdict on generated images.
        num_classes: Number of classes ≥ 1.

    Returns:
        Int64 array ``(num_classes,)`` with sum n.

    Raises:
        ValueError: float labels, or one out of range.
    """
    num_classes = check.check_int(num_classes, "num_classes")
    classes = check.check_labels(classes, "classes", num_classes=num_classes)
    return np.bincount(classes, minlength=num_classes).astype("int64")


def sample_spread(x):
    """Standard deviation across samples, averaged over the entries.

    The quickest sign of a generator that ignores its noise: 0 if all samples
    are equal. On the bundled digits the data have .23, and a network trained
    to regress images on noise, which learns the mean image, about .01.

    Args:
        x: Array ``(n, …)``, n ≥ 2.

    Returns:
        Float ≥ 0, in units of the data (divides by n).

    Raises:
        ValueError: fewer than 2 rows, or NaN.
    """
    x = check.check_array(x, "x", min_rows=2)
    rows = x.reshape(len(x), -1).astype("float64")
    return float(rows.std(axis=0).mean())
