"""Mixtures: classical densities of images, exact and without a network.

scikit-learn has Gaussian mixtures alone; :func:`choose_gaussian_mixture` picks
one of those. Scores are log-likelihoods of rows, in nats, summed over pixels.
"""

import copy
import warnings

import numpy as np
from scipy.special import softmax
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from utils.support import validation as check

__all__ = [
    "BernoulliMixture",
    "LevelMixture",
    "choose_gaussian_mixture",
    "choose_mixture",
    "draw_by_class",
    "draw_from_mixture",
    "fill_from_mixture",
]


class BernoulliMixture:
    """Mixture of independent Bernoulli pixels, fitted by EM.

    log p(x) = log Σ_k π_k Π_j p_kj^x_j (1 − p_kj)^(1 − x_j). Each component's
    table counts one imagined row, the mean of the data. Grey levels in [0, 1]
    are taken as well, with the formula as it stands, as a Bernoulli likelihood
    takes them; then it is no probability.

    Example:

    >>> rows = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> BernoulliMixture(1).fit(rows).score_samples(rows).shape
    (3,)

    Args:
        components: Number K ≥ 1 of components.
        rounds: Rounds ≥ 1 of expectation and maximisation.
        seed: Integer ≥ 0 of the rows that the tables start at.
    """

    def __init__(self, components, *, rounds=30, seed=0):
        self.components = check.check_int(components, "components")
        self.rounds = check.check_int(rounds, "rounds")
        self.seed = check.check_int(seed, "seed", minimum=0)

    def fit(self, x):
        """Fit to rows ``(n, d)`` in [0, 1]; return the mixture.

        Raises:
            ValueError: values out of range, or fewer rows than components.
        """
        x = check.check_array(
            x, "x", low=0.0, high=1.0, min_rows=self.components
        ).reshape(len(x), -1)
        mean = x.mean(axis=0)
        rng = np.random.default_rng(self.seed)
        start = rng.choice(len(x), self.components, replace=False)
        self.weights = np.full(self.components, 1.0 / self.components)
        self.white = 0.5 * (x[start] + mean)
        for _ in range(self.rounds):
            joint = self._joint(x)
            total = np.logaddexp.reduce(joint, axis=1, keepdims=True)
            share = np.exp(joint - total)  # (n, K)
            counts = share.sum(axis=0)
            self.weights = (counts + 1e-9) / (counts + 1e-9).sum()
            self.white = (share.T @ x + mean) / (counts[:, None] + 1.0)
        return self

    def _joint(self, x):
        """Log p(k) + log p(x | k): ``(n, K)``."""
        p = np.clip(self.white, 1e-4, 1.0 - 1e-4)
        odds = np.log(p / (1.0 - p)).T.astype(x.dtype)
        return x @ odds + np.log1p(-p).sum(axis=1) + np.log(self.weights)

    def score_samples(self, x):
        """Log p of each row: float64 ``(n,)``, in nats."""
        x = check.check_array(x, "x")
        joint = self._joint(x.reshape(len(x), -1)).astype("float64")
        return np.logaddexp.reduce(joint, axis=1)


class LevelMixture:
    """Mixture of independent tables of grey levels, one for each cluster.

    k-means splits the rows; each cluster counts how often each pixel has each
    level. ``smoothing`` imagined rows with the frequencies of all rows are
    added, so that no level is impossible.

    Args:
        levels: Number L ≥ 2 of grey levels, evenly spaced on [0, 1].
        components: Number K ≥ 1 of clusters.
        smoothing: Imagined rows > 0 in each cluster.
        fitted_rows: Rows that k-means looks at, the first ones.
        seed: Integer ≥ 0 of k-means.
    """

    def __init__(
        self, levels, components, *, smoothing=4.0, fitted_rows=10_000, seed=0
    ):
        self.levels = check.check_int(levels, "levels", 2)
        self.components = check.check_int(components, "components")
        self.smoothing = check.check_number(smoothing, "smoothing", 1e-9)
        self.fitted_rows = check.check_int(fitted_rows, "fitted_rows")
        self.seed = check.check_int(seed, "seed", minimum=0)

    def _index(self, x):
        """Place of each pixel's level in a table of pixels × levels."""
        x = check.check_array(x, "x", low=0.0, high=1.0).reshape(len(x), -1)
        level = np.round(x * (self.levels - 1)).astype("int64")
        return level + self.levels * np.arange(x.shape[1])

    def fit(self, x):
        """Fit to rows ``(n, d)`` in [0, 1]; return the mixture."""
        index = self._index(x)
        flat = np.reshape(x, (len(x), -1))
        size = index.shape[1] * self.levels
        means = KMeans(self.components, n_init=1, random_state=self.seed)
        groups = means.fit(flat[: self.fitted_rows]).predict(flat)
        everything = np.bincount(index.ravel(), minlength=size) + 1.0
        prior = everything / (len(x) + self.levels)
        self.tables = np.empty((self.components, size))
        counts = np.bincount(groups, minlength=self.components)
        for group, rows in enumerate(counts):
            inside = index[groups == group].ravel()
            found = np.bincount(inside, minlength=size)
            found = found + self.smoothing * prior
            self.tables[group] = np.log(found / (rows + self.smoothing))
        self.weights = (counts + 1e-9) / (counts + 1e-9).sum()
        return self

    def score_samples(self, x):
        """Log P of each row: float64 ``(n,)``, in nats."""
        index = self._index(x)
        joint = np.stack([table[index].sum(axis=1) for table in self.tables])
        joint = joint + np.log(self.weights)[:, None]
        return np.logaddexp.reduce(joint, axis=0)


def choose_mixture(mixtures, x, held_out):
    """Fit mixtures to x; return the one under which other rows are likeliest.

    Args:
        mixtures: Objects with ``fit(x)`` and ``score_samples(x)``.
        x: Rows to fit to.
        held_out: Validation rows to choose by.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, of few rounds
        fitted = [mixture.fit(x) for mixture in mixtures]
    return max(fitted, key=lambda m: np.mean(m.score_samples(held_out)))


def choose_gaussian_mixture(
    x, held_out, components, *, ridge=1e-2, rounds=50, seed=0
):
    """The Gaussian mixture under which held-out rows are most likely.

    Args:
        x: Rows ``(n, d)``; fitted in 64 bits, where covariances stay definite.
        held_out: Validation rows ``(m, d)``.
        components: Numbers of components to choose from.
        ridge: Added to the diagonal of each covariance.
        rounds: Most rounds of EM.
        seed: Integer ≥ 0.

    Returns:
        A fitted ``sklearn.mixture.GaussianMixture``.
    """
    options = {"reg_covar": ridge, "max_iter": rounds, "random_state": seed}
    mixtures = [GaussianMixture(k, **options) for k in components]
    x, held_out = (np.asarray(rows, "float64") for rows in (x, held_out))
    return choose_mixture(mixtures, x, held_out)


def draw_from_mixture(mixture, num, seed=0):
    """Draws of a fitted mixture in random order: float64 ``(num, d)``.

    scikit-learn sorts its draws by component, so that a part of them would be
    no sample. The mixture stays as it is.

    Args:
        mixture: Fitted ``GaussianMixture``.
        num: Number of draws ≥ 1.
        seed: Integer ≥ 0.

    Raises:
        ValueError: ``num`` or ``seed`` out of range.
    """
    num, seed = check.check_int(num, "num"), check.check_seed(seed)
    mixture = copy.copy(mixture).set_params(random_state=seed)
    order = np.random.default_rng(seed).permutation(num)
    return mixture.sample(num)[0][order]


def draw_by_class(x, y, components, num, *, ridge=1e-2, seed=0):
    """New rows to order: a Gaussian mixture for each class, and its draws.

    The first thing to put beside a generator that is told labels.

    Args:
        x: Rows ``(n, d)``; fitted in 64 bits, where covariances stay definite.
        y: Labels ``(n,)``.
        components: Number of Gaussians ≥ 1 in each class.
        num: Draws ≥ 1 of each class.
        ridge: Added to the diagonal of each covariance.
        seed: Integer ≥ 0; no two classes or seeds share their noise.

    Returns:
        Rows float64 ``(num C, d)`` and their labels, the C classes in turn:
        first one of each, then the next of each.

    Raises:
        ValueError: a class with fewer than two rows or than ``components``.
    """
    components = check.check_int(components, "components")
    num, seed = check.check_int(num, "num"), check.check_seed(seed)
    x = check.check_array(x, "x", ndim=2, dtype="float64")
    y, drawn = check.check_labels(y, "y", len(x)), []
    classes, least = np.unique(y), max(components, 2)
    for number, c in enumerate(classes, seed * len(classes)):
        inside = x[y == c]
        if len(inside) < least:
            check.fail("x", f"{least} rows of class {c}", f"{len(inside)}")
        mixture = GaussianMixture(
            components, reg_covar=ridge, random_state=number
        ).fit(inside)
        drawn.append(draw_from_mixture(mixture, num, number))
    rows = np.stack(drawn, axis=1).reshape(-1, x.shape[1])
    return rows, np.tile(classes, num)


def fill_from_mixture(mixture, rows, known, seed=None):
    """Unknown entries of rows from a Gaussian mixture, given the known ones.

    Given some entries, a Gaussian mixture is a mixture again: component k
    weighs π_k N(x_known; μ_k, Σ_k) and has the mean that linear regression
    inside it gives, μ_u + Σ_uk Σ_kk⁻¹ (x_known − μ_known).

    Args:
        mixture: Fitted ``GaussianMixture`` of d columns, full covariances.
        rows: Array ``(n, d)``; its unknown entries are not read.
        known: Boolean vector ``(d,)``, some true and some false.
        seed: ``None`` fills in the conditional mean; an integer ≥ 0 a draw.

    Returns:
        Float64 array ``(n, d)``.

    Raises:
        ValueError: other covariances, shapes that do not fit, NaN.
    """
    if mixture.covariance_type != "full":
        check.fail("mixture", "full covariances", mixture.covariance_type)
    size = mixture.means_.shape[1]
    rows = check.check_array(rows, "rows", event_shape=(size,))
    known = np.asarray(known)
    if known.shape != (size,) or known.dtype != bool or len(set(known)) < 2:
        expected = f"{size} booleans, some true and some false"
        check.fail("known", expected, f"{known.dtype} of shape {known.shape}")
    filled = rows.astype("float64")
    given, rng = filled[:, known], np.random.default_rng(seed)
    logs, guesses = np.log(mixture.weights_) + np.zeros((len(rows), 1)), []
    for k, (mean, sigma) in enumerate(
        zip(mixture.means_, mixture.covariances_, strict=True)
    ):
        inside, across = sigma[known][:, known], sigma[known][:, ~known]
        slopes = np.linalg.solve(inside, across)
        logs[:, k] += multivariate_normal(mean[known], inside).logpdf(given)
        guess = mean[~known] + (given - mean[known]) @ slopes
        if seed is not None:
            left = sigma[~known][:, ~known] - across.T @ slopes
            nothing = np.zeros(len(left))
            guess += rng.multivariate_normal(nothing, left, size=len(rows))
        guesses.append(guess)
    weights = softmax(logs, axis=1)  # (n, K)
    if seed is not None:
        weights = np.stack([rng.multinomial(1, row) for row in weights])
    filled[:, ~known] = np.einsum("nk,knu->nu", weights, guesses)
    return filled
