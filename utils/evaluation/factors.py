"""What a code knows of the factors that made the data.

For data whose generating factors are known: how much information each code
unit carries of each factor, and whether every factor has a unit of its own.
"""

import numpy as np
import scipy.stats
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import mutual_info_score

from utils.support import validation as check

__all__ = [
    "factor_information",
    "matched_correlation",
    "mutual_information_gap",
    "single_unit_auroc",
]


def _levels(values, bins):
    """Integer levels: whole numbers as they are, others in equal bins."""
    unique = np.unique(values)
    if len(unique) <= bins:
        return np.searchsorted(unique, values)
    edges = np.linspace(values.min(), values.max(), bins + 1)[1:-1]
    return np.digitize(values, edges)


def _tables(codes, factors, bins):
    codes = check.check_array(codes, "codes", ndim=2, min_rows=2)
    factors = check.check_array(factors, "factors", ndim=2)
    if len(factors) != len(codes):
        check.fail("factors", f"{len(codes)} rows", f"{len(factors)} rows")
    bins = check.check_int(bins, "bins", minimum=2)
    return (
        [_levels(column, bins) for column in array.T]
        for array in (codes, factors)
    )


def factor_information(codes, factors, *, bins=20):
    """Mutual information of every code unit with every factor, in nats.

    Columns of more than ``bins`` different values are cut into so many bins
    of equal width. The estimate from n rows is too high by about
    (b₁ − 1)(b₂ − 1) / 2n for independent columns of b₁ and b₂ levels.

    Args:
        codes: Array ``(n, k)``, such as the means of q(z | x).
        factors: Array ``(n, m)`` of the factors that made the rows.
        bins: Largest number of levels of a column.

    Returns:
        Array ``(k, m)``, ≥ 0.

    Raises:
        ValueError: not matrices, row counts that differ, or NaN.
    """
    codes, factors = _tables(codes, factors, bins)
    return np.array(
        [
            [mutual_info_score(unit, factor) for factor in factors]
            for unit in codes
        ]
    )


def mutual_information_gap(codes, factors, *, bins=20):
    """Mutual information gap: does each factor have one unit of its own?

    For each factor the difference of the two largest mutual informations,
    as a share of the factor's entropy; the mean over factors (Chen et al.
    2018). 1: every factor is known exactly by one unit and by no other. 0:
    two units know it equally well, or none does. A rotated code scores low
    though it holds the same information.

    Args:
        codes: Array ``(n, k)``, k ≥ 2.
        factors: Array ``(n, m)``; no column constant.
        bins: As for :func:`factor_information`.

    Returns:
        Float in [0, 1].

    Raises:
        ValueError: as there; fewer than two units; a constant factor.
    """
    information = factor_information(codes, factors, bins=bins)
    if len(information) < 2:
        check.fail("codes", "at least two units", f"{len(information)}")
    _, columns = _tables(codes, factors, bins)
    entropies = np.array(
        [scipy.stats.entropy(np.bincount(column)) for column in columns]
    )
    if entropies.min() == 0.0:
        column = int(entropies.argmin())
        check.fail("factors", "columns that vary", f"column {column} constant")
    ordered = np.sort(information, axis=0)
    return float(np.mean((ordered[-1] - ordered[-2]) / entropies))


def matched_correlation(codes, factors):
    """Mean |correlation| of factors with one code unit each, none twice.

    Units are matched to factors so that the sum is largest (the Hungarian
    method). A factor for which no unit is left counts 0, as does a unit that
    never moves. Many units match by chance: score random ones beside.

    Args:
        codes: Array ``(n, k)``.
        factors: Array ``(n, m)`` of the factors that made the rows.

    Returns:
        Float in [0, 1].

    Raises:
        ValueError: not matrices, row counts that differ, or NaN.

    Example:

    >>> factors = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])
    >>> round(matched_correlation(-factors[:, ::-1], factors), 6)
    1.0
    """
    codes = check.check_array(
        codes, "codes", ndim=2, min_rows=2, dtype="float64"
    )
    factors = check.check_array(factors, "factors", ndim=2, dtype="float64")
    if len(factors) != len(codes):
        check.fail("factors", f"{len(codes)} rows", f"{len(factors)} rows")
    a, b = (part - part.mean(axis=0) for part in (codes, factors))
    size = np.outer(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0))
    table = np.abs(a.T @ b) / np.maximum(size, 1e-12)
    units, columns = linear_sum_assignment(table, maximize=True)
    return float(table[units, columns].sum() / factors.shape[1])


def single_unit_auroc(codes, labels, held_codes, held_labels):
    """How well one unit alone tells a class from the rest, mean over classes.

    For each class the unit, and its sign, with the best AUROC on the first
    rows is chosen; counted is its AUROC on the held-out ones. Ties count
    half, which costs units that are 0 on most rows.

    Args:
        codes: Array ``(n, k)`` on which units are chosen.
        labels: Integer classes ``(n,)``, 0 to C − 1, each present.
        held_codes: Array ``(rows, k)``.
        held_labels: Their classes, each present.

    Returns:
        Float in [0, 1].

    Raises:
        ValueError: codes of different width, labels of another length, a
            class that is missing.
    """
    codes = check.check_array(codes, "codes", ndim=2)
    width = codes.shape[1:]
    held = check.check_array(
        held_codes, "held_codes", ndim=2, event_shape=width
    )
    labels = check.check_labels(labels, "labels", len(codes))
    classes = int(labels.max()) + 1
    chosen = _auroc(codes, labels, "labels", classes)
    best = np.abs(chosen - 0.5).argmax(axis=0)
    sign = np.sign(chosen[best, np.arange(classes)] - 0.5)
    held_labels = check.check_labels(
        held_labels, "held_labels", len(held), classes
    )
    found = _auroc(held, held_labels, "held_labels", classes)
    return float(np.mean(0.5 + sign * (found[best, np.arange(classes)] - 0.5)))


def _auroc(codes, labels, name, classes):
    """AUROC of each unit for each class against the rest, (k, classes)."""
    truth = np.eye(classes)[labels]
    count = truth.sum(axis=0)
    if classes < 2 or count.min() == 0:
        expected = f"at least two classes, each of 0 to {classes - 1} present"
        check.fail(name, expected, f"{np.unique(labels)}")
    rank = scipy.stats.rankdata(codes, axis=0)
    above = rank.T @ truth - count * (count + 1) / 2
    return above / (count * (len(labels) - count))
