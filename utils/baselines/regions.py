"""Features of pixels for segmentation, by what one tries before a network.

Pictures are ``(height, width, channels)``; features have the same height and
width. k-means on them gives each pixel an id.
"""

import numpy as np
from scipy.ndimage import convolve, gaussian_filter
from sklearn.cluster import KMeans

from utils.data import images
from utils.support import validation as check

__all__ = ["blur", "energies", "group", "pairs_beside", "windows", "with_place"]


def _picture(picture):
    return check.check_array(picture, "picture", ndim=3)


def blur(picture, width):
    """Each channel blurred by a Gaussian of this standard deviation.

    Raises:
        ValueError: no picture, or a negative width.
    """
    width = check.check_number(width, "width", 0.0)
    return gaussian_filter(_picture(picture), (width, width, 0))


def with_place(picture, width, weight):
    """Blurred colours, and the place: the features of SLIC (Achanta 2012).

    Args:
        picture: Array ``(height, width, channels)``.
        width: As for :func:`blur`; colours are in units of their spread.
        weight: Factor of the place, in units of the picture's height.
    """
    colours = blur(picture, width) / picture.std()
    height, across = picture.shape[:2]
    place = np.moveaxis(np.mgrid[:height, :across], 0, -1) / height
    return np.concatenate([colours, weight * place], axis=-1)


def energies(picture, filters, width):
    """Log of the blurred squared answers of linear filters, grey picture.

    Args:
        picture: Array ``(height, width, channels)``.
        filters: Array ``(k, size, size)``.
        width: As for :func:`blur`.
    """
    grey = _picture(picture).mean(axis=-1)
    maps = np.stack([convolve(grey, f) ** 2 for f in filters], axis=-1)
    return np.log(blur(maps, width) + 1e-3)


def group(features, count=3, fitted_on=None):
    """k-means ids of pixels, int ``(height, width)``.

    Args:
        features: Array ``(height, width, channels)``, used as scaled.
        count: Number of clusters.
        fitted_on: Features of the pixels that the means are fitted on;
            ``None`` takes all.
    """
    depth = features.shape[-1]
    rows = (features if fitted_on is None else fitted_on).reshape(-1, depth)
    means = KMeans(count, n_init=3, random_state=0).fit(rows)
    return means.predict(features.reshape(-1, depth)).reshape(
        features.shape[:2]
    )


def windows(picture, size):
    """The window around every second pixel.

    Returns:
        Float32 ``(height / 2, width / 2, size, size, channels)``.
    """
    before, after = size // 2, size // 2 - 1
    pad = ((before, after), (before, after), (0, 0))
    padded = np.pad(_picture(picture), pad, mode="reflect")
    cut = images.to_patches(padded, size, 2)
    return cut.reshape(-(-picture.shape[0] // 2), -1, *cut.shape[1:])


def pairs_beside(pictures, size, count, *, reach=2, seed=0):
    """Random windows, and windows beside them.

    Args:
        pictures: List of pictures of one number of channels.
        size: Side of a window, an even number of pixels.
        count: Pairs a picture.
        reach: Largest distance along each axis, in steps of two pixels.
        seed: Integer ≥ 0.

    Returns:
        Two float32 arrays ``(n, size, size, channels)``.
    """
    rng, x, y = np.random.default_rng(seed), [], []
    for picture in pictures:
        cut = windows(picture, size)
        last = np.array(cut.shape[:2])
        one = rng.integers(0, last, (count, 2))
        step = rng.integers(-reach, reach + 1, one.shape)
        x.append(cut[tuple(one.T)])
        y.append(cut[tuple(np.clip(one + step, 0, last - 1).T)])
    return np.concatenate(x), np.concatenate(y)
