"""What straight lines make of images: repair, and codes told of views.

Opponents of pretext tasks. Neither has a network or a gradient step: one needs
the mean and covariance of the pixels, the other those of views of images.
"""

import numpy as np
from scipy.linalg import eigh

from utils.support import validation as check

__all__ = ["gaussian_guess", "unlike_views"]


def gaussian_guess(train, x, seen, *, ridge=1e-3):
    """Hidden entries' means, given the seen ones, if rows were Gaussian.

    Args:
        train: Rows ``(m, d)``; their mean and covariance are used.
        x: Rows ``(n, d)``, of which only the seen entries are read.
        seen: Booleans ``(n, d)``.
        ridge: Added to each variance, ≥ 0.

    Returns:
        Array ``(n, d)``: the seen entries as they were, guesses elsewhere.
    """
    train = check.check_array(train, "train", ndim=2, min_rows=2)
    x = check.check_array(x, "x", event_shape=train.shape[1:])
    seen = np.asarray(seen)
    if seen.dtype != bool or seen.shape != x.shape:
        check.fail("seen", f"booleans {x.shape}", f"{seen.dtype} {seen.shape}")
    ridge = check.check_number(ridge, "ridge", 0.0)
    mean, guess = train.mean(axis=0), np.array(x)
    covariance = np.cov(train.T) + ridge * np.eye(len(mean))
    for row, s in zip(guess, seen, strict=True):
        known = np.linalg.solve(covariance[np.ix_(s, s)], row[s] - mean[s])
        row[~s] = mean[~s] + covariance[np.ix_(~s, s)] @ known
    return guess


def unlike_views(views, directions, *, shrinkage=0.1):
    """Directions in which images differ most and their own views least.

    Linear discriminant analysis in which every image is a class of its own
    and its views are the members. Within-class covariance is shrunk towards
    its mean variance.

    Args:
        views: Array ``(v, n, …)``: v ≥ 2 views of each of n images.
        directions: Number of them, from 1 to the number of pixels.
        shrinkage: Mean variance added to each variance, ≥ 0, as a share.

    Returns:
        Matrix ``(pixels, directions)``, the best direction last. Pixels
        times it are codes.
    """
    views = check.check_array(views, "views", min_rows=2)
    views = views.reshape(*views.shape[:2], -1)
    pixels = views.shape[2]
    directions = check.check_int(directions, "directions", 1, pixels)
    shrinkage = check.check_number(shrinkage, "shrinkage", 0.0)
    centres = views.mean(axis=0)
    within = np.cov((views - centres).reshape(-1, pixels).T)
    within += shrinkage * np.trace(within) / pixels * np.eye(pixels)
    between = np.cov(centres.T)
    return eigh(between, within)[1][:, pixels - directions :]
