"""Exact distributions of grey levels by counting and by trees.

Beside the mixtures of :mod:`utils.baselines.mixtures`: a tree of pixels, each
given one other, and forests, each pixel given all before it: one for each
pixel, or one for all. Scores
are log-likelihoods of rows, in nats, summed over pixels; the probabilities of
all possible rows sum to 1.
"""

import numpy as np
from scipy.sparse import csgraph
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from utils.support import validation as check

__all__ = [
    "ChowLiuTree",
    "RegressionChain",
    "SharedForest",
    "TreeChain",
]

BLENDS = (
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.5,
    0.7,
    0.95,
)


def _level_ids(x, levels, name="x"):
    """Rows of numbers in [0, 1] as rows of levels 0 … levels − 1."""
    x = check.check_array(x, name, low=0.0, high=1.0)
    steps = x.reshape(len(x), -1) * (levels - 1)
    if np.abs(steps - np.round(steps)).max() > 1e-3:
        expected = f"{levels} grey levels, multiples of 1/{levels - 1}"
        check.fail(name, expected, "values between them")
    return np.round(steps).astype("int64")


def _margins(ids, levels):
    """Smoothed frequencies of each pixel's levels, ``(pixels, levels)``."""
    counts = np.stack([np.bincount(c, minlength=levels) for c in ids.T])
    return (counts + 1.0 / levels) / (len(ids) + 1.0)


class ChowLiuTree:
    """Each pixel given one other: the best of all trees (Chow and Liu 1968).

    Pairs of pixels are weighed by their mutual information; the spanning tree
    of largest weight is the tree of largest likelihood. ``smoothing``
    imagined rows with a pixel's own frequencies are added to each row of its
    table: where a parent's level is rare, the pixel is on its own.

    Example:

    >>> rows = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    >>> tree = ChowLiuTree(2).fit(rows)
    >>> tree.parents.tolist()  # −1: the root
    [-1, 0]

    Args:
        levels: Number K ≥ 2 of grey levels, evenly spaced on [0, 1].
        smoothing: Imagined rows > 0.
    """

    def __init__(self, levels, *, smoothing=4.0):
        self.levels = check.check_int(levels, "levels", 2)
        self.smoothing = check.check_number(smoothing, "smoothing", 1e-9)

    def fit(self, x):
        """Fit to rows ``(n, …)`` of grey levels; return the tree.

        Its memory grows with the square of pixels times levels.
        """
        ids = _level_ids(x, self.levels)
        pixels, levels = ids.shape[1], self.levels
        one_hot = np.zeros((len(ids), pixels * levels), "float32")
        np.put_along_axis(one_hot, ids + levels * np.arange(pixels), 1.0, 1)
        counts = (one_hot.T @ one_hot).astype("float64")
        counts = counts.reshape(pixels, levels, pixels, levels)
        self.order, self.parents = _best_tree(counts / len(ids))
        alone = _margins(ids, levels)
        self.tables = np.empty((pixels, levels, levels))
        for pixel, parent in enumerate(self.parents):
            table = np.tile(self.smoothing * alone[pixel], (levels, 1))
            if parent >= 0:
                table += counts[parent, :, pixel]
            self.tables[pixel] = table / table.sum(axis=1, keepdims=True)
        return self

    def score_samples(self, x):
        """Log P of each row: float64 ``(n,)``, in nats."""
        ids = _level_ids(x, self.levels)
        at = np.arange(len(self.parents))
        return np.log(self.tables[at, ids[:, self.parents], ids]).sum(axis=1)

    def sample(self, n, *, seed=0):
        """Draw n rows, parents before children: ``(n, pixels)`` in [0, 1]."""
        rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
        ids = np.zeros((check.check_int(n, "n"), len(self.parents)), "int64")
        for pixel in self.order:
            share = self.tables[pixel, ids[:, self.parents[pixel]]]
            ids[:, pixel] = _draw(share, rng)
        return (ids / (self.levels - 1)).astype("float32")


def _best_tree(joint):
    """Order and parents of the tree of largest mutual information.

    ``joint``: frequencies ``(pixels, levels, pixels, levels)`` of pairs.
    """
    pixels = len(joint)
    own = np.stack([np.diagonal(joint[p, :, p]) for p in range(pixels)])
    weights = np.empty((pixels, pixels))
    for a in range(pixels):
        product = own[a][:, None, None] * own
        ratio = np.where(joint[a] > 0, joint[a], 1.0) / np.where(
            joint[a] > 0, product, 1.0
        )
        weights[a] = (joint[a] * np.log(ratio)).sum(axis=(0, 2))
    # the spanning tree is a minimum; an entry of 0 would mean "no edge"
    costs = np.triu(weights.max() + 1.0 - weights, 1)
    tree = csgraph.minimum_spanning_tree(costs)
    order, parents = csgraph.breadth_first_order(tree, 0, directed=False)
    parents[0] = -1
    return order, parents


def _draw(shares, rng):
    """A column index for each row of probabilities."""
    edges = shares.cumsum(axis=1)
    edges /= edges[:, -1:]
    return (rng.random((len(shares), 1)) >= edges).sum(axis=1)


class _Chain:
    """Each pixel given all before it, by a classifier, blended with its margin.

    The chain rule with scikit-learn: pixel i is a class, the pixels before it
    are the features, and ``predict_proba`` is a distribution. It may be 0
    where a level was never seen, so p = (1 − w) classifier + w margin, with
    one w, ``blend``, for all pixels.
    """

    def __init__(self, levels, blend):
        self.levels = check.check_int(levels, "levels", 2)
        self.blend = check.check_number(blend, "blend", 1e-6, 1 - 1e-6)

    def fit(self, x):
        """Fit to rows ``(n, …)`` of grey levels; return the chain."""
        ids = _level_ids(x, self.levels)
        self.margins = _margins(ids, self.levels)
        self.classifiers = [None]  # nothing comes before the first pixel
        for pixel in range(1, ids.shape[1]):
            classifier = None
            if len(np.unique(ids[:, pixel])) > 1:
                classifier = self._classifier(pixel)
                classifier.fit(ids[:, :pixel], ids[:, pixel])
            self.classifiers.append(classifier)
        return self

    def choose_blend(self, x):
        """Take the weight w under which these rows are likeliest; return self.

        Validation rows: on the training rows a forest knows every answer.
        """
        found, margin = self._masses(x)
        score = [np.log((1 - w) * found + w * margin).sum() for w in BLENDS]
        self.blend = BLENDS[int(np.argmax(score))]
        return self

    def score_samples(self, x):
        """Log P of each row: float64 ``(n,)``, in nats."""
        found, margin = self._masses(x)
        blended = (1 - self.blend) * found + self.blend * margin
        return np.log(blended).sum(axis=1)

    def _masses(self, x):
        """What classifiers and margins give: two ``(n, pixels)``."""
        ids = _level_ids(x, self.levels)
        pixels = np.arange(ids.shape[1])
        margin = self.margins[pixels, ids]
        found = margin.copy()
        for pixel, classifier in enumerate(self.classifiers):
            if classifier is not None:
                share = np.zeros((len(ids), self.levels))
                share[:, classifier.classes_] = classifier.predict_proba(
                    ids[:, :pixel]
                )
                found[:, pixel] = share[np.arange(len(ids)), ids[:, pixel]]
        return found, margin


class TreeChain(_Chain):
    """Each pixel given all before it, by a forest of extra-trees.

    The forest's distribution is blended with the pixel's margin.

    Example:

    >>> rows = np.array([[0.0, 0.0], [1.0, 1.0]] * 10)
    >>> chain = TreeChain(2, trees=5).fit(rows)
    >>> bool(np.exp(chain.score_samples(rows)).max() < 0.5)
    True

    Args:
        levels: Number K ≥ 2 of grey levels, evenly spaced on [0, 1].
        trees: Trees of each forest.
        least: Rows in the smallest leaf.
        features: Share of the pixels before that a split looks at.
        blend: Weight w of the margin in (0, 1).
        seed: Integer ≥ 0.
    """

    def __init__(
        self, levels, *, trees=50, least=2, features=0.3, blend=0.1, seed=0
    ):
        super().__init__(levels, blend)
        self.trees = check.check_int(trees, "trees")
        self.least = check.check_int(least, "least")
        self.features = check.check_number(features, "features", 1e-3, 1.0)
        self.seed = check.check_int(seed, "seed", minimum=0)

    def _classifier(self, pixel):
        """That of one pixel, not fitted."""
        return ExtraTreesClassifier(
            self.trees,
            min_samples_leaf=self.least,
            max_features=self.features,
            random_state=self.seed + pixel,
        )


class RegressionChain(_Chain):
    """Each pixel given all before it, one-hot, by a logistic regression.

    For levels without an order, such as indices into a codebook.

    Args:
        levels: Number K ≥ 2 of levels, as numbers evenly spaced on [0, 1].
        strength: Inverse C > 0 of the penalty, as in scikit-learn.
        blend: Weight of the pixel's margin in (0, 1).
    """

    def __init__(self, levels, *, strength=1.0, blend=0.02):
        super().__init__(levels, blend)
        self.strength = check.check_number(strength, "strength", 1e-9)

    def _classifier(self, pixel):
        """That of one pixel, not fitted."""
        return make_pipeline(
            OneHotEncoder(categories=[np.arange(self.levels)] * pixel),
            LogisticRegression(C=self.strength),
        )


class SharedForest(TreeChain):
    """Each pixel given all before it, by one forest for all pixels.

    What a masked convolution does, with scikit-learn: the features are the
    pixels above and to the left, by their distance from the pixel that is
    predicted (−1 outside the image), and its row and column. So every pixel
    of every image is an example, and ``least`` counts pixels.

    Example:

    >>> rows = np.array([[0.0, 0.0], [1.0, 1.0]] * 10)
    >>> forest = SharedForest(2, trees=5).fit(rows)
    >>> bool(np.exp(forest.score_samples(rows)).max() < 0.5)
    True

    Args:
        levels, trees, features, blend, seed: As for :class:`TreeChain`.
        least: Pixels in the smallest leaf.
    """

    def __init__(
        self, levels, *, trees=50, least=10, features=0.6, blend=0.01, seed=0
    ):
        super().__init__(
            levels,
            trees=trees,
            least=least,
            features=features,
            blend=blend,
            seed=seed,
        )

    def fit(self, x):
        """Fit to images ``(n, h, w, …)`` or rows ``(n, d)``; return it."""
        ids = _level_ids(x, self.levels)
        self.margins = _margins(ids, self.levels)
        self.forest = self._classifier(0)
        self.forest.fit(_before(ids, np.shape(x)), ids.ravel())
        return self

    def _masses(self, x):
        """What the forest and margins give the pixels: two ``(n, pixels)``."""
        ids = _level_ids(x, self.levels)
        share = np.zeros((ids.size, self.levels))
        share[:, self.forest.classes_] = self.forest.predict_proba(
            _before(ids, np.shape(x))
        )
        forest = share[np.arange(ids.size), ids.ravel()].reshape(ids.shape)
        return forest, self.margins[np.arange(ids.shape[1]), ids]


def _before(ids, shape):
    """What lies above and left of each pixel, and its place: float32 rows."""
    h = shape[1] if len(shape) > 2 else 1
    w = ids.shape[1] // h
    ids = ids.reshape(len(ids), h, w)
    around = np.full((len(ids), 2 * h - 1, 3 * w - 2), -1, "float32")
    around[:, h - 1 :, w - 1 : 2 * w - 1] = ids
    seen = np.lib.stride_tricks.sliding_window_view(
        around, (h, 2 * w - 1), axis=(1, 2)
    ).reshape(len(ids) * h * w, -1)[:, :-w]  # not the pixel nor what follows
    place = np.indices((h, w)).reshape(2, -1).T
    return np.hstack([seen, np.tile(place, (len(ids), 1))]).astype("float32")
