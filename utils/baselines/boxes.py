"""Boxes around things in a picture, by what one tries before a network.

Every function takes scenes ``(n, height, width)`` in [0, 1] and returns a
list of boxes ``(k, 4)``, one entry a scene: top, left, bottom, right, the
last two outside. None of them sees a label, and but for
:class:`TaughtWindows` none sees a box.
"""

import numpy as np
from scipy import ndimage
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge

from utils.data import images
from utils.data.scenes import tight_box
from utils.support import validation as check

__all__ = [
    "PatchClusters",
    "TaughtWindows",
    "components",
    "crop",
    "cut_pieces",
    "peak_places",
    "peaks",
    "templates",
]


def _scenes(scenes):
    scenes = check.check_array(scenes, "scenes")
    if scenes.ndim == 4 and scenes.shape[-1] == 1:
        scenes = scenes[..., 0]
    if scenes.ndim != 3:
        check.fail("scenes", "(n, height, width)", str(scenes.shape))
    return scenes


def components(scenes, threshold, least=1):
    """One box for each connected group of bright pixels.

    Args:
        scenes: Array ``(n, height, width)``, or with a last axis of 1.
        threshold: Brightness above which a pixel counts.
        least: Fewest pixels of a group.

    Raises:
        ValueError: not a stack of scenes.
    """
    found = []
    for scene in _scenes(scenes):
        groups, _ = ndimage.label(scene > threshold, np.ones((3, 3)))
        places = ndimage.find_objects(groups)
        boxes = [[r.start, c.start, r.stop, c.stop] for r, c in places]
        boxes = np.array(boxes, "int64").reshape(-1, 4)
        sizes = np.bincount(groups.ravel(), minlength=len(boxes) + 1)[1:]
        found.append(boxes[sizes >= least])
    return found


def peak_places(score, threshold, distance=5):
    """Rows and columns where a map is largest within a window.

    Args:
        score: Array ``(height, width)``.
        threshold: Smallest value of a peak.
        distance: Side of the window, an odd number of pixels.

    Returns:
        Int64 array ``(k, 2)``.
    """
    top = ndimage.maximum_filter(score, distance, mode="constant", cval=-np.inf)
    return np.argwhere((score == top) & (score > threshold))


def peaks(scenes, threshold, width=2.5, bright=0.25):
    """Blobs: a peak of the blurred scene, and the bright pixels next to it.

    Each bright pixel goes to its nearest peak, 6 pixels away at most; the
    box is tight around a peak's pixels. So touching things are cut apart.

    Args:
        scenes: As for :func:`components`.
        threshold: Smallest blurred brightness of a peak.
        width: Standard deviation of the Gaussian blur, in pixels.
        bright: Brightness above which a pixel counts.
    """
    found = []
    for scene in _scenes(scenes):
        blurred = ndimage.gaussian_filter(scene, width, mode="constant")
        places = peak_places(blurred, threshold)
        pixels = np.argwhere(scene > bright)
        boxes = []
        if len(places) and len(pixels):
            far = np.abs(pixels[:, None] - places).max(axis=-1)
            owner = np.where(far.min(axis=1) <= 6, far.argmin(axis=1), -1)
            for index in range(len(places)):
                own = pixels[owner == index]
                if len(own):
                    boxes.append([*own.min(axis=0), *(own.max(axis=0) + 1)])
        found.append(np.array(boxes, "int64").reshape(-1, 4))
    return found


def templates(scenes, patterns, threshold, distance=7):
    """Places where a scene looks like one of some patterns.

    The likeness is the correlation of pattern and window, both freed of
    their mean and brought to norm 1 (normalised cross-correlation); a window
    of little contrast counts for less. The box is where the best pattern
    exceeds 0.25.

    Args:
        scenes: As for :func:`components`.
        patterns: Array ``(k, h, w)``, in [0, 1].
        threshold: Smallest likeness.
        distance: Of two places, at least half of it in pixels.
    """
    patterns = check.check_array(patterns, "patterns", ndim=3)
    height, width = patterns.shape[1:]
    flat = patterns.reshape(len(patterns), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9
    extents = [tight_box(pattern) for pattern in patterns]
    found = []
    for scene in _scenes(scenes):
        windows = np.lib.stride_tricks.sliding_window_view(
            scene, (height, width)
        )
        rows, columns = windows.shape[:2]
        rest = windows.reshape(rows * columns, -1)
        rest = rest - rest.mean(axis=1, keepdims=True)
        contrast = np.linalg.norm(rest, axis=1, keepdims=True)
        likeness = (rest / (contrast + 1.0)) @ flat.T
        best = likeness.argmax(axis=1).reshape(rows, columns)
        score = likeness.max(axis=1).reshape(rows, columns)
        boxes = []
        for place in peak_places(score, threshold, distance):
            extent = extents[best[tuple(place)]]
            if extent.any():
                boxes.append(extent + [*place, *place])
        found.append(np.array(boxes, "int64").reshape(-1, 4))
    return found


class PatchClusters:
    """Boxes from clusters of patch features: PCA, k-means, components.

    Args:
        scenes: As for :func:`components`; PCA and k-means are fitted on
            their 5 × 5 patches.
        num_clusters: Number of clusters of patches.
    """

    def __init__(self, scenes, num_clusters=4):
        rows = self._rows(scenes, 3)
        self.pca = PCA(8, random_state=0).fit(rows)
        self.means = KMeans(num_clusters, n_init=3, random_state=0)
        self.means.fit(self.pca.transform(rows))
        bright = self.pca.inverse_transform(self.means.cluster_centers_)
        self.rank = bright.mean(axis=1).argsort().argsort()

    def _rows(self, scenes, stride):
        padded = np.pad(_scenes(scenes), ((0, 0), (2, 2), (2, 2)), "edge")
        cut = [images.to_patches(s[..., None], 5, stride) for s in padded]
        return np.concatenate(cut).reshape(-1, 25)

    def __call__(self, scenes, group, least):
        """Components of pixels in the cluster of this rank or brighter."""
        scenes = _scenes(scenes)
        ids = self.means.predict(self.pca.transform(self._rows(scenes, 1)))
        inside = (self.rank[ids] >= group).reshape(scenes.shape)
        return components(inside.astype("float32"), 0.5, least)


class TaughtWindows:
    """Logistic regression on the pixels around a place, the box by ridge.

    The sliding window that was a detector before networks were (Dalal and
    Triggs 2005; pixels here, no gradients). It has to be given scenes with
    boxes, such as pasted ones, which makes it the control of a network that
    learned from the same: what is left to the network is its shape.

    Args:
        size: Of a thing, at most; its square lies within the scene.
        margin: Pixels around that square that the window sees as well.
        seed: Of the places without a box that it is shown, twelve a scene.

    Example:

    >>> scenes = np.zeros((40, 16, 16))
    >>> scenes[:, 4:9, 6:10] = 1.0
    >>> windows = TaughtWindows(6).fit(scenes, [np.array([[4, 6, 9, 10]])] * 40)
    >>> windows(scenes[:1], 0.5)[0].round().tolist()
    [[4.0, 6.0, 9.0, 10.0]]
    """

    def __init__(self, size=8, margin=2, seed=0):
        self.size = check.check_int(size, "size", minimum=2)
        self.margin = check.check_int(margin, "margin", minimum=0)
        self.seed = check.check_seed(seed)

    def _windows(self, scene):
        """A window for each place of a square: (rows, columns, pixels)."""
        padded = np.pad(scene, self.margin, mode="edge")
        side = self.size + 2 * self.margin
        windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
        return windows.reshape(*windows.shape[:2], -1)

    def fit(self, scenes, boxes):
        """Learn from scenes and their boxes, a list of ``(k, 4)``.

        Raises:
            ValueError: not one entry a scene, or no box at all.
        """
        scenes = _scenes(scenes)
        if len(boxes) != len(scenes):
            check.fail("boxes", f"{len(scenes)} entries", str(len(boxes)))
        rng = np.random.default_rng(self.seed)
        rows, things, sides = [], [], []
        for scene, some in zip(scenes, boxes, strict=True):
            windows = self._windows(scene)
            some = np.asarray(some, "float64").reshape(-1, 4)
            middle = (some[:, :2] + some[:, 2:]) / 2
            inside = np.array(windows.shape[:2]) - 1
            corner = np.rint(middle - self.size / 2).astype(int)
            corner = np.clip(corner, 0, inside)
            free = rng.integers(windows.shape[:2], size=(12, 2))
            gaps = np.abs(free[:, None] - corner).max(axis=2)
            free = free[(gaps > 2).all(axis=1)]
            places = np.concatenate([corner, free])
            rows.append(windows[tuple(places.T)])
            things += [True] * len(corner) + [False] * len(free)
            sides.append(some - np.hstack([corner, corner]))
        if not any(things):
            check.fail("boxes", "at least one box", "none")
        rows, things = np.concatenate(rows), np.array(things)
        self.is_thing = LogisticRegression(C=0.1, max_iter=300)
        self.is_thing.fit(rows, things)
        self.sides = Ridge(10.0).fit(rows[things], np.concatenate(sides))
        return self

    def __call__(self, scenes, threshold, distance=5):
        """Boxes where a thing is more likely than the threshold."""
        found = []
        for scene in _scenes(scenes):
            windows = self._windows(scene)
            flat = windows.reshape(-1, windows.shape[2])
            likely = self.is_thing.predict_proba(flat)[:, 1]
            likely = likely.reshape(windows.shape[:2])
            places = peak_places(likely, threshold, distance)
            made = np.zeros((0, 4))
            if len(places):
                made = self.sides.predict(windows[tuple(places.T)])
                made = made + np.hstack([places, places])
            found.append(made)
        return found


def crop(scene, box, size=8):
    """The square window around the middle of a box, moved into the scene.

    Args:
        scene: Array ``(height, width, 1)`` or ``(height, width)``.
        box: Top, left, bottom, right; whole numbers or not.
        size: Side of the window, in pixels.

    Returns:
        Array ``(size, size)``.
    """
    scene = np.asarray(scene).reshape(np.shape(scene)[:2])
    top, left, bottom, right = np.asarray(box, "float64")
    corner = np.array([top + bottom, left + right]) / 2 - size / 2
    corner = np.floor(corner + 0.5)  # np.round would go to even numbers
    row, column = np.clip(corner, 0, np.array(scene.shape) - size).astype(int)
    return scene[row : row + size, column : column + size]


def cut_pieces(scenes, threshold, least, size=8):
    """What :func:`components` finds, cut out; larger groups are left out.

    Args:
        scenes, threshold, least: As for :func:`components`.
        size: Side of a piece, in pixels.

    Returns:
        Float32 array ``(n, size, size)``.
    """
    scenes = _scenes(scenes)
    pieces = [
        crop(scene, box, size)
        for scene, boxes in zip(
            scenes, components(scenes, threshold, least), strict=True
        )
        for box in boxes
        if (box[2:] - box[:2]).max() <= size
    ]
    return np.array(pieces, "float32").reshape(-1, size, size)
