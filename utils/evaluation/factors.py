"""What a code knows of the factors that made the data.

For data whose generating factors are known: how much information each code
unit carries of each factor, and whether every factor has a unit of its own.
"""

import numpy as np
import scipy.stats
from sklearn.metrics import mutual_info_score

from utils.support import validation as check

__all__ = ["factor_information", "mutual_information_gap"]


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
