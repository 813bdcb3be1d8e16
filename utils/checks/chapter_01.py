"""Checks of the exercises of chapter 01, concepts."""

from collections.abc import Mapping

import keras
import numpy as np
import scipy.special
from keras import ops
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.metrics import (
    adjusted_rand_score,
    normalized_mutual_info_score,
)
from sklearn.mixture import GaussianMixture

from utils import data
from utils.checks import _feedback as feedback

__all__ = [
    "check_1_1",
    "check_1_2",
    "check_1_3",
    "check_1_4",
    "check_1_5",
    "check_1_6",
    "check_1_7",
    "check_1_8",
    "check_1_9",
    "check_1_10",
    "check_1_11",
    "check_1_12",
]


def _parts(answer, names):
    """The parts of a returned sequence, or feedback on what came instead."""
    if answer is None:
        feedback.wrong("Your function returned None: is the `return` missing?")
    if isinstance(answer, Mapping) and set(answer) == set(names):
        return [answer[name] for name in names]
    if isinstance(answer, np.ndarray) and answer.ndim == 1:
        answer = list(answer)
    if not isinstance(answer, (tuple, list)) or len(answer) != len(names):
        feedback.wrong(
            f"Return {len(names)} things, ({', '.join(names)}); received "
            f"{type(answer).__name__}."
        )
    return answer


def _near(value, target, tolerance=0.01):
    """Whether two numbers are equal, up to a learner's rounding."""
    return abs(value - target) <= tolerance


def _close(a, b, tolerance=1e-4):
    return np.shape(a) == np.shape(b) and np.allclose(
        a, b, rtol=tolerance, atol=tolerance
    )


@feedback.one_sentence
def check_1_1(centre, one_cluster, two_clusters):
    """Pencil: the best centre and the objective of 1, 2, 3, 10."""
    centre = feedback.as_number(centre, "The centre")
    one = feedback.as_number(one_cluster, "The objective of one cluster")
    two = feedback.as_number(two_clusters, "The objective of two clusters")
    if _near(centre, 2.5):
        feedback.wrong(
            "2.5 is the median: it minimises the sum of absolute distances. "
            "Differentiate the sum of *squares*."
        )
    if _near(centre, 5.5):
        feedback.wrong(
            "5.5 is halfway between the extremes: it minimises the largest "
            "distance. Differentiate the sum of squares over all four rows."
        )
    if not _near(centre, 4, 1e-6):
        feedback.wrong(
            "The centre is not right. Set the derivative of Σ (xᵢ − c)² by "
            "c to zero and solve for c."
        )
    if _near(one, 12.5) or _near(two, 0.5):
        feedback.wrong(
            "You took the mean of the squares; objective (2) is their sum."
        )
    if _near(one, 14):
        feedback.wrong(
            "14 is the sum of absolute distances; square each before adding."
        )
    if not _near(one, 50, 1e-6):
        feedback.wrong(
            "The objective of one cluster is not right: add the four squared "
            "distances to your centre."
        )
    if _near(two, 2 / 3):
        feedback.wrong(
            "2/3 is the variance of {1, 2, 3}; objective (2) is the sum of "
            "squares, without dividing by the number of rows."
        )
    if not _near(two, 2, 1e-6):
        feedback.wrong(
            "The objective of two clusters is not right: each cluster has "
            "its own mean, and a cluster of one row costs nothing."
        )
    feedback.correct(
        "1.1", "Try {1, 2}, {3, 10}: is that partition stable under Lloyd?"
    )


def _check_directions(w, exact, x_train, k):
    """Bring directions to (d, k) or say what is wrong with them."""
    d = x_train.shape[1]
    if w.shape == (k, d):
        w = w.T
    if w.shape != (d, k):
        feedback.wrong(
            f"w should hold {k} directions of {d} entries, shape ({d}, {k}); "
            f"received {w.shape}."
        )
    if _close(np.abs(np.sum(w * exact, axis=0)), np.ones(k), 1e-3):
        return w
    if not _close(w.T @ w, np.eye(k), 1e-3):
        feedback.wrong(
            "The directions are not orthonormal: wᵀw should be the identity. "
            "Do not scale them by singular values or eigenvalues."
        )
    raw = np.linalg.svd(x_train, full_matrices=False)[2][:k].T
    if _close(np.abs(np.sum(w * raw, axis=0)), np.ones(k), 1e-3):
        feedback.wrong(
            "These are the directions of the data without centring: the "
            "first one points to the mean. Subtract the training mean first."
        )
    values, vectors = np.linalg.eigh(np.cov(x_train.T))
    if _close(np.abs(np.sum(w * vectors[:, :k], axis=0)), np.ones(k), 1e-3):
        feedback.wrong(
            "These are the directions of *least* variance: np.linalg.eigh "
            "sorts eigenvalues upwards, so take the last columns."
        )
    feedback.wrong(
        "w is orthonormal but does not hold the principal directions in the "
        "order of falling variance."
    )
    return w


@feedback.one_sentence
def check_1_2(answer):
    """Code: PCA by singular value decomposition, on new rows."""
    rng = np.random.default_rng(3)
    scales = np.array([5.0, 3.0, 2.0, 0.5, 0.2])
    basis = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    rows = (rng.standard_normal((80, 5)) * scales) @ basis + [9, -4, 7, 2, 5]
    for k in (2, 3):
        _check_pca(answer, rows[:60], rows[60:] + 1.0, k)
    feedback.correct("1.2", "Which k halves the test error on iris?")


def _check_pca(answer, x_train, x_new, k):
    """Feedback on directions, codes and reconstructions for one k."""
    result = feedback.call(answer, x_train.copy(), x_new.copy(), k)
    parts = _parts(result, ("w", "z", "x_hat"))
    w = feedback.as_array(parts[0], "w")
    z = feedback.as_array(parts[1], "z")
    x_hat = feedback.as_array(parts[2], "x_hat")
    if k != 2 and 2 in w.shape:
        feedback.wrong(
            f"For k = {k} you return 2 directions: is k = 2 written into your "
            "function?"
        )
    exact = PCA(k).fit(x_train).components_.T
    w = _check_directions(w, exact, x_train, k)
    mean, own = x_train.mean(axis=0), x_new.mean(axis=0)
    codes = (len(x_new), k)
    if z.shape == x_new.shape and x_hat.shape == codes:
        feedback.wrong("z and x_hat are swapped: return (w, z, x_hat).")
    if z.shape == x_new.shape:
        feedback.wrong(
            f"z has shape {z.shape}: that is a reconstruction. The code has "
            f"only k = {k} columns."
        )
    if z.shape == (len(x_train), k):
        feedback.wrong("z are the codes of x_train; encode x_new.")
    if z.shape != codes:
        feedback.wrong(
            f"For k = {k} z should have shape {codes}, not {z.shape}."
        )
    feedback.reached("shape")
    if not _close(z, (x_new - mean) @ w):
        if _close(z, (x_new - own) @ w):
            feedback.wrong(
                "You centred x_new by its own mean. New rows are centred by "
                "the mean of the *training* rows, which the model keeps."
            )
        if _close(z, x_new @ w):
            feedback.wrong("You forgot centring: z = (x_new − x̄) w.")
        feedback.wrong("z is not (x_new − x̄) w with the w you returned.")
    feedback.reached("values")
    if x_hat.shape == z.shape:
        feedback.wrong(
            "x_hat has the shape of the code: decode z back to d columns."
        )
    if x_hat.shape != x_new.shape:
        feedback.wrong(
            f"x_hat should have shape {x_new.shape}, not {x_hat.shape}."
        )
    if _close(x_hat, z @ w.T):
        feedback.wrong("x_hat lacks the mean: the decoder has to add x̄ back.")
    if not _close(x_hat, mean + z @ w.T):
        feedback.wrong("x_hat is not x̄ + z wᵀ.")


def _assigned(x, centres):
    """Squared distances (n, K) to the centres, and the nearest of them."""
    squares = ((x[:, None] - centres[None]) ** 2).sum(axis=2)
    return squares, squares.argmin(axis=1)


def _ids(value, n):
    """Ids of n rows as integers, or feedback."""
    ids = feedback.as_array(value, "ids")
    if ids.shape == (n, 1):
        ids = ids[:, 0]
    if ids.shape != (n,):
        feedback.wrong(
            f"ids should hold one integer for each row, shape ({n},); "
            f"received shape {ids.shape}."
        )
    if not np.array_equal(ids, np.round(ids)):
        feedback.wrong("ids should be whole numbers: an index into centres.")
    return ids.astype("int64")


def _means(x, ids, centres):
    """Mean of each cluster; an empty one stays where it is."""
    moved = centres.copy()
    for k in np.unique(ids):
        moved[k] = x[ids == k].mean(axis=0)
    return moved


def _check_full_step(x, start, ids, centres):
    """Feedback on a step in which no cluster is empty."""
    squares, nearest = _assigned(x, start)
    if np.array_equal(ids, squares.argmax(axis=1)):
        feedback.wrong("ids are the *farthest* centres: use argmin.")
    once = _means(x, nearest, start)
    second = _assigned(x, once)[1]
    twice = _means(x, second, once)
    if np.array_equal(ids, second) and _close(centres, once):
        feedback.wrong(
            "ids belong to the *moved* centres: return the assignment by the "
            "centres passed in, from before they moved."
        )
    if _close(centres, twice):
        feedback.wrong(
            "That is two steps of Lloyd: assign once, move once, return."
        )
    far = twice
    for _ in range(20):
        far = _means(x, _assigned(x, far)[1], far)
    if _close(centres, far):
        feedback.wrong(
            "You ran Lloyd to its end; the exercise asks for one step from "
            "the centres passed in."
        )
    if not np.array_equal(ids, nearest):
        feedback.wrong(
            "ids should be the index of the nearest of the centres passed in."
        )
    groups = [x[nearest == k] for k in range(len(start))]
    if _close(centres, start):
        feedback.wrong(
            "The centres did not move: return the means of the new clusters."
        )
    if _close(centres, np.stack([g.sum(axis=0) for g in groups])):
        feedback.wrong("These are sums; divide by the size of each cluster.")
    if _close(centres, np.stack([np.median(g, axis=0) for g in groups])):
        feedback.wrong(
            "These are medians. Objective (2) has squares: use the mean."
        )
    if not _close(centres, once):
        feedback.wrong("Each centre should be the mean of its own rows.")


@feedback.one_sentence
def check_1_3(answer):
    """Code: one step of Lloyd's algorithm that survives empty clusters."""
    rng = np.random.default_rng(5)
    # clouds that touch, and starts in one of them: no step is the last
    x = np.vstack([rng.normal(m, 1.2, (m + 12, 2)) for m in (0, 3, 6)])
    start = x[[0, 1, 2]].copy()
    for first in (start, x[[0, 1, 2, 3, 4]]):
        given = feedback.call(answer, x.copy(), first.copy())
        ids, centres = _parts(given, ("ids", "centres"))
        ids = _ids(ids, len(x))
        centres = feedback.as_array(centres, "centres")
        if centres.shape != first.shape:
            hint = "" if first is start else ": is K = 3 written into it?"
            feedback.wrong(
                f"For K = {len(first)} centres your step returned centres of "
                f"shape {centres.shape} instead of {first.shape}{hint}"
            )
        feedback.reached("shape")
        _check_full_step(x, first, ids, centres)
    feedback.reached("values")
    # far from 0, where a rule for empty clusters may not put a centre
    x, remote = x + 40, np.vstack([start[:2] + 40, [[1e4, 1e4]]])
    given = feedback.call(answer, x.copy(), remote.copy())
    ids, centres = _parts(given, ("ids", "centres"))
    ids = _ids(ids, len(x))
    centres = _centres_of_empty(centres)
    near = _assigned(x, remote)[1]
    if not np.array_equal(ids, near):
        feedback.wrong(
            "With an empty cluster your ids are not the nearest of the "
            "centres passed in: a rule for empty clusters moves a centre, the "
            "ids stay those of the assignment."
        )
    kept = _assigned(x, _means(x, near, remote))[0].min(axis=1).sum()
    if not _assigned(x, centres)[0].min(axis=1).sum() <= kept * (1 + 1e-6):
        feedback.wrong(
            "With an empty cluster the objective after your step is higher "
            "than if the empty one had stayed where it was: the other "
            "centres should be means of their own rows."
        )
    if _close(centres[2], np.zeros(2)):
        feedback.wrong(
            "You put the centre of an empty cluster at 0, where there are no "
            "rows and none will come: keep its old centre or move it to a "
            "far row."
        )
    feedback.correct(
        "1.3", "Loop it until ids stop changing, and plot the objective."
    )


def _centres_of_empty(centres):
    """Three finite centres, or what went wrong with the empty cluster."""
    if isinstance(centres, (list, tuple)) and any(c is None for c in centres):
        feedback.wrong(
            "With an empty cluster one of your centres is None: K centres, "
            "all finite, should come back. Keep its old centre, or move it "
            "to a far row."
        )
    centres = feedback.as_values(centres, "centres", finite=False)
    if centres.shape != (3, 2):
        feedback.wrong(
            "With an empty cluster your step returned centres of shape "
            f"{centres.shape} instead of (3, 2): K must not shrink."
        )
    if np.isnan(centres).any():
        feedback.wrong(
            "An empty cluster gives NaN: the mean of no rows is 0/0. Keep its "
            "old centre or move it to a far row."
        )
    if np.isinf(centres).any():
        feedback.wrong(
            "An empty cluster gives an infinite centre, and no row can ever "
            "come back to it. Keep its old centre or move it to a far row."
        )
    return centres


@feedback.one_sentence
def check_1_4(answer):
    """Code: a score of clusters against classes that ignores names."""
    y = np.repeat([0, 1, 2], [20, 15, 10])

    def score(ids):
        value = feedback.call(answer, y.copy(), np.asarray(ids))
        return feedback.as_number(value, "The score")

    perfect, renamed = score(y), score(np.array([2, 0, 1])[y])
    if np.isclose(perfect, 0) and np.isclose(renamed, 0):
        feedback.wrong(
            "A perfect clustering should score 1; yours scores 0. Did you "
            "return an error rate?"
        )
    if not np.isclose(perfect, 1):
        feedback.wrong(
            f"A perfect clustering should score 1; yours gives {perfect:.3g}."
        )
    if not np.isclose(renamed, perfect):
        feedback.wrong(
            "The score changes when clusters are renamed: you read cluster "
            "ids as classes. Match clusters to classes first, or compare "
            "which *pairs* of rows are together."
        )
    if not np.isclose(score(np.array([70, 3, 12])[y]), 1):
        feedback.wrong(
            "Names such as 3, 12 and 70 change the score: do not assume that "
            "ids run from 0 to K − 1."
        )
    # each class in two halves: few clusters, so that trying all matchings ends
    if score(2 * y + np.arange(len(y)) % 2) > 0.95:
        feedback.wrong(
            "Each class cut in two gets full marks: majority vote (purity) "
            "rewards many clusters. Match one cluster to one class."
        )
    if score(np.zeros(len(y), dtype="int64")) > 0.95:
        feedback.wrong(
            "Putting everything into one cluster gets full marks: your score "
            "does not punish classes that were merged."
        )
    # ever more rows of the first class in the cluster of the second: the
    # cells of the table stay, and three rows change which cluster is largest
    scores = [perfect]
    for count in (1, 3, 6, 9):
        worse = y.copy()
        worse[:count] = 1
        scores.append(score(worse))
    if np.allclose(scores[1:], scores[1]) and scores[1] < perfect:
        feedback.wrong(
            "1, 3, 6 or 9 rows in a wrong cluster give the same score: count "
            "rows, or pairs of rows, not the cells of the table of classes "
            "and clusters that are filled."
        )
    worst = y.copy()  # sizes as in y, and twelve rows in wrong clusters
    worst[:6], worst[35:41] = 2, 0
    if score(worst) >= scores[2] - 1e-9:
        feedback.wrong(
            f"Three rows in a wrong cluster score {scores[2]:.3g}, twelve in "
            f"wrong clusters {score(worst):.3g}. Do you match clusters to "
            "classes by their size? Match them by the rows they share."
        )
    if not (np.diff(scores) < 0).all():
        feedback.wrong(
            "The score should fall as more rows are put into wrong clusters."
        )
    feedback.correct(
        "1.4", "What does it give for random ids? ARI gives about 0."
    )


def _log_normal(x, means, variances):
    difference = x[:, None] - means
    return -0.5 * np.sum(
        np.log(2 * np.pi * variances) + difference**2 / variances, axis=2
    )


@feedback.one_sentence
def check_1_5(answer):
    """Code: responsibilities that survive rows far away."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((30, 2)) * 2
    weights = np.array([0.7, 0.2, 0.1])
    means = np.array([[0.0, 0.0], [1.5, 1.0], [-1.0, 2.0]])
    variances = np.array([[1.0, 0.5], [2.0, 2.0], [0.3, 3.0]])
    log_normal = _log_normal(x, means, variances)
    log_joint = log_normal + np.log(weights)
    exact = scipy.special.softmax(log_joint, axis=1)
    gamma = feedback.as_array(
        feedback.call(
            answer, x.copy(), weights.copy(), means.copy(), variances.copy()
        ),
        "The responsibilities",
    )
    if gamma.shape == (3, 30):
        feedback.wrong("Wrong axis: one row per example, shape (n, K).")
    if gamma.shape != (30, 3):
        feedback.wrong(f"Expected shape (n, K) = (30, 3), not {gamma.shape}.")
    feedback.reached("shape")
    if not _close(gamma, exact):
        scaled = np.sqrt(variances)
        bare = log_joint + 0.5 * np.sum(np.log(variances), axis=1)
        squared = _log_normal(x, means, variances**2) + np.log(weights)
        swapped = _log_normal(x, means, scaled) + np.log(weights)
        if _close(gamma, scipy.special.softmax(log_joint, axis=0)):
            feedback.wrong(
                "Wrong axis: you normalised over the rows. Each row is shared "
                "among the clusters, so each *row* sums to 1."
            )
        if (gamma < 0).any() or _close(gamma, np.exp(log_joint)):
            feedback.wrong(
                "Rows do not sum to 1: these are joint (log-)densities. "
                "Divide by their sum over k, in logs subtract logsumexp."
            )
        if not _close(gamma.sum(axis=1), np.ones(30)):
            feedback.wrong("Rows do not sum to 1: normalise over k.")
        if _close(gamma, scipy.special.softmax(log_normal, axis=1)):
            feedback.wrong("You forgot the mixture weights π_k.")
        if _close(gamma, scipy.special.softmax(bare, axis=1)):
            feedback.wrong(
                "The normaliser is missing: a Gaussian's log-density has "
                "−½ Σ log variance, which differs between clusters."
            )
        if any(
            _close(gamma, scipy.special.softmax(wrong, axis=1))
            for wrong in (squared, swapped)
        ):
            feedback.wrong(
                "Variances and standard deviations are confused: the last "
                "argument is σ², so do not square it or take its root."
            )
        feedback.wrong(
            "Rows sum to 1 but the shares are not π_k N(x; μ_k, σ²_k) "
            "divided by their sum over k."
        )
    feedback.reached("values")
    far = np.array([[200.0, -300.0], [1e4, 1e4]])
    value = feedback.as_values(
        feedback.call(
            answer, far, weights.copy(), means.copy(), variances.copy()
        ),
        "For rows far from all centres, what you return",
        finite=False,
    )
    if value.shape != (2, 3):
        feedback.wrong(
            "For two rows far from all centres the responsibilities should "
            f"have shape (2, 3), not {value.shape}."
        )
    log_far = _log_normal(far, means, variances) + np.log(weights)
    if not np.isfinite(value).all():
        feedback.wrong(
            "Underflow: far from all centres every density is 0 in floating "
            "point, and 0/0 is NaN. Stay in logarithms and subtract the "
            "largest before np.exp."
        )
    if not _close(value, scipy.special.softmax(log_far, axis=1)):
        feedback.wrong(
            "Far from all centres the shares are wrong: a small constant "
            "added to the densities hides the underflow. Use logarithms."
        )
    feedback.correct("1.5", "Which cluster owns a row at infinity, and why?")


@feedback.one_sentence
def check_1_6(answer):
    """Experiment: the number of components by rows held back."""
    rng = np.random.default_rng(19)
    corners = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0], [6.0, 6.0]])
    x_train = corners[np.arange(80) % 4] + rng.standard_normal((80, 2))
    alike = corners[np.arange(400) % 4] + rng.standard_normal((400, 2))
    # rows that fill the gaps between the clouds: one wide Gaussian
    wide = 3.0 + 3.2 * rng.standard_normal((400, 2))
    # as wide, and a second cloud far away that x_val knows nothing of
    apart = 3.0 + 3.2 * rng.standard_normal((80, 2))
    apart[40:] += 60.0
    candidates = (1, 2, 4, 12, 24)
    chosen = []
    for rows, x_val in ((x_train, alike), (x_train, wide), (apart, wide)):
        value = feedback.as_number(
            feedback.call(answer, rows.copy(), x_val.copy(), candidates),
            "The number of components",
        )
        if value not in candidates:
            feedback.wrong(
                f"Return one of the candidates {candidates}; received "
                f"{value:g}. (A position in the list, or a score?)"
            )
        chosen.append(int(value))
    *chosen, last = chosen
    right = [
        max(nats, key=nats.get)
        for nats in (_nats(x_train, v, candidates) for v in (alike, wide))
    ]
    if chosen == right:
        nats = _nats(apart, wide, candidates)
        if last == 1:
            feedback.wrong(
                "With the same x_val and another x_train, two clouds far from "
                "each other, you still choose 1: are the mixtures fitted to "
                "x_val? Fit to x_train, score x_val."
            )
        if nats[last] < max(nats.values()) - 0.5:
            feedback.wrong(
                f"With the same x_val and another x_train you chose {last}; "
                "under other candidates x_val is likelier. Fit to x_train."
            )
        feedback.correct(
            "1.6", "How many would the training rows themselves have chosen?"
        )
        return
    if chosen == [24, 24]:
        feedback.wrong(
            "The largest number wins on both tables: on the rows it was "
            "fitted to, one more component always looks better. Fit to "
            "x_train and score x_val, and remember that the score of a "
            "mixture is higher the better."
        )
    if chosen[0] == chosen[1]:
        feedback.wrong(
            f"You choose {chosen[0]} whatever rows are held back. Is x_val "
            "used, and is the score computed on it?"
        )
    feedback.wrong(
        f"On the two tables of the check you chose {chosen[0]} and "
        f"{chosen[1]}; under other candidates x_val is likelier. Fit to "
        "x_train alone, and compare the mean log-density of x_val."
    )


def _nats(x_train, x_val, candidates):
    """Mean log-density of x_val for each number of components."""
    return {
        k: GaussianMixture(k, n_init=3, random_state=0)
        .fit(x_train)
        .score(x_val)
        for k in candidates
    }


def _scaling_tables():
    """Name, rows, labels: which scale is right differs from one to another."""
    rng = np.random.default_rng(13)
    y = np.arange(240) // 120
    units = np.stack(
        [
            3.0 * y + 0.5 * rng.standard_normal(240),
            40 * rng.standard_normal(240),
            0.02 * rng.standard_normal(240),
        ],
        axis=1,
    )
    yield "in mixed units", units + 6.0, y
    other = rng.permutation(y)
    small = (2 * other - 1)[:, None] + rng.standard_normal((240, 8))
    large = 9.0 * y[:, None] + 0.5 * rng.standard_normal((240, 2))
    yield "with eight small columns", np.hstack([large, 0.3 * small]), y
    # four groups in a rectangle: the split across is a local optimum
    y, across = np.arange(240) // 120, np.arange(240) // 60 % 2
    spots = np.stack([6.0 * y, 5.0 * across], axis=1)
    noise = rng.standard_normal((240, 2)) * [0.5, 1.2]
    yield "with four groups", spots + noise, y
    # two classes in each group, which no clustering by three can tell apart
    y = np.arange(240) // 40
    spots = np.stack([9.0 * (y // 2), 5.0 * (y // 2 % 2)], axis=1)
    yield "with six classes", spots + 0.5 * rng.standard_normal((240, 2)), y


SCALINGS = {
    "raw": lambda x: x,
    "standardised": lambda x: (x - x.mean(axis=0)) / x.std(axis=0),
    "variance": lambda x: (x - x.mean(axis=0)) / x.var(axis=0),
    "range": lambda x: (x - x.min(axis=0)) / np.ptp(x, axis=0),
}


@feedback.one_sentence
def check_1_7(answer):
    """Experiment: k-means on raw and on standardised columns."""
    seeds = tuple(range(6))
    found, best, shared = {}, {}, {}
    for name, x, y in _scaling_tables():
        k = 3 if name == "with six classes" else 2
        result = feedback.call(answer, x.copy(), y.copy(), k, seeds)
        if not isinstance(result, Mapping) or set(result) != {
            "raw",
            "standardised",
        }:
            feedback.wrong(
                "Return a dict with the keys 'raw' and 'standardised'; "
                f"received {type(result).__name__}."
            )
        for key in ("raw", "standardised"):
            values = feedback.as_array(result[key], f"result[{key!r}]")
            if values.shape != (len(seeds),):
                feedback.wrong(
                    f"result[{key!r}] should hold one ARI for each seed, "
                    f"shape ({len(seeds)},); received shape {values.shape}."
                )
            found[name, key] = values
        for key, scaling in SCALINGS.items():
            model = KMeans(k, n_init=30, random_state=0)
            ids = model.fit_predict(scaling(x))
            best[name, key] = adjusted_rand_score(y, ids)
            if key in ("raw", "standardised"):
                shared[name, key] = normalized_mutual_info_score(y, ids)
    if all(np.allclose(found[key], shared[key], atol=0.08) for key in found):
        feedback.wrong(
            "These are values of the normalised mutual information, NMI: the "
            "exercise asks for the adjusted Rand index, ARI."
        )
    _compare_scalings(found, best)
    feedback.correct(
        "1.7", "Both answers occur: scale is a decision about the problem."
    )


def _compare_scalings(found, best):
    """Feedback on all scores of an answer."""
    names = list(dict.fromkeys(name for name, _ in found))

    def agree(key, scaling):
        return all(
            np.allclose(found[name, key], best[name, scaling], atol=0.08)
            for name in names
        )

    if agree("raw", "raw") and agree("standardised", "standardised"):
        return
    if agree("raw", "standardised") and agree("standardised", "raw"):
        feedback.wrong("The two keys are swapped.")
    if agree("raw", "raw"):
        if agree("standardised", "raw"):
            feedback.wrong(
                "Scaling changed nothing. Means subtracted alone, or one mean "
                "and one standard deviation for the whole table, keep the "
                "proportions: standardise each *column* (axis=0)."
            )
        if agree("standardised", "variance"):
            feedback.wrong(
                "You divided by the variance, which leaves each column a unit "
                "again (one over its own): divide by the standard deviation."
            )
        if agree("standardised", "range"):
            feedback.wrong(
                "You divided by each column's range, which is min-max "
                "scaling: the exercise asks for its standard deviation."
            )
    # a row that is right for some seeds and wrong for others: a bad optimum
    for name, key in found:
        right = np.isclose(found[name, key], best[name, key], atol=0.08)
        if 0 < right.sum() < len(right):
            feedback.wrong(
                f"On the table {name}, {key}, {len(right) - right.sum()} of "
                f"{len(right)} seeds end in a worse optimum: keep the best of "
                "ten starts (n_init=10)."
            )
    if agree("raw", "raw"):
        feedback.wrong(
            "The raw scores are right and the standardised ones are off: "
            "subtract each column's mean and divide by its standard deviation."
        )
    feedback.wrong(
        "The scores are not the ARI of k-means with ten restarts. Ids "
        "compared with labels entry by entry, or one start, give other numbers."
    )


@feedback.one_sentence
def check_1_8(answer):
    """Open: two columns that keep the swiss roll's neighbours."""
    x, stretch = data.make_toy("swiss_roll", n=800, seed=17)
    x = x.astype("float64")
    z = feedback.as_array(feedback.call(answer, x.copy()), "z")
    if z.shape == x.shape:
        feedback.wrong("z is as wide as x: the code has two columns.")
    if z.shape != (800, 2):
        feedback.wrong(f"z should have shape (800, 2), not {z.shape}.")
    if (z.std(axis=0) < 1e-9).any():
        feedback.wrong("A column of z is constant: it says nothing about x.")
    score = trustworthiness(x, z, n_neighbors=10)
    base = trustworthiness(x, PCA(2).fit_transform(x), n_neighbors=10)
    if score < 0.55:
        feedback.wrong(
            f"Trustworthiness {score:.3f} is chance level. Does row i of z "
            "still belong to row i of x?"
        )
    if abs(score - base) < 1e-3:
        feedback.wrong(
            f"Trustworthiness {score:.3f} is PCA's own. No linear map can "
            "unroll the sheet: use distances along the data."
        )
    if score < 0.98:
        feedback.wrong(
            f"Trustworthiness {score:.3f}; PCA has {base:.3f}, the goal is "
            "0.98. Neighbours of the roll should stay neighbours."
        )
    spread = max(z[stretch == label, 0].std() for label in range(5))
    ratio = spread / z[:, 0].std()
    feedback.correct(
        "1.8",
        f"Trustworthiness {score:.3f} (PCA {base:.3f}); within a stretch "
        f"the first column keeps {ratio:.0%} of its spread. Does your map "
        "also keep far distances?",
    )


@feedback.one_sentence
def check_1_9(answer):
    """Code: one step of gradient descent for a tied linear autoencoder."""
    rng = np.random.default_rng(11)
    x = rng.standard_normal((12, 4)).astype("float32")
    x -= x.mean(axis=0)
    w = (0.5 * rng.standard_normal((4, 2))).astype("float32")
    eta = 0.05
    residual = x @ w @ w.T - x
    decoder_part = residual.T @ (x @ w)
    encoder_part = x.T @ (residual @ w)
    gradient = 2 / 12 * (decoder_part + encoder_part)
    new = feedback.as_array(
        feedback.call(answer, w.copy(), x.copy(), eta), "The new w"
    )
    if new.shape != w.shape:
        feedback.wrong(
            f"Return the new w, shape {w.shape}; received {new.shape}."
        )
    feedback.reached("shape")
    if _close(new, w):
        feedback.wrong("w did not move: return w − η·gradient.")
    if _close(new, gradient):
        feedback.wrong("This is the gradient; return w − η·gradient.")
    mistakes = {
        "Ascent: you added the gradient, which makes the loss grow. "
        "Subtract it.": -1.0,
        "You summed over the rows; equation (8) takes the mean, so divide "
        "by n.": 12.0,
        "You averaged over all n·d entries; equation (8) sums over the d "
        "entries of a row and averages over rows only.": 1 / 4,
        "A factor 2 is missing: the derivative of r² is 2r.": 0.5,
        "The learning rate is missing: multiply the gradient by η.": 1 / eta,
    }
    step = w - new
    if not _close(step, eta * gradient, 1e-5):
        for message, factor in mistakes.items():
            if _close(step, factor * eta * gradient, 1e-5):
                feedback.wrong(message)
        for part in (decoder_part, encoder_part):
            if _close(step, eta * 2 / 12 * part, 1e-5):
                feedback.wrong(
                    "Half of the gradient: w stands in the encoder *and* in "
                    "the decoder, so the product rule gives two terms."
                )
        feedback.wrong("The step is not −η·∇L of equation (8) with x̂ = x w wᵀ.")
    feedback.correct(
        "1.9", "Take 200 steps: do the columns of w span PCA's subspace?"
    )


@feedback.one_sentence
def check_1_10(answer):
    """Code: the Kullback-Leibler divergence of two tables."""
    p = np.array([0.5, 0.25, 0.125, 0.125])
    q = np.array([0.1, 0.2, 0.3, 0.4])

    def divergence(p, q, what="KL(p‖q)", finite=True):
        value = feedback.call(answer, p.copy(), q.copy())
        value = feedback.as_values(value, what, finite)
        if value.size != 1:
            feedback.wrong(
                f"{what} is one number, not an array {value.shape}: sum over "
                "the entries."
            )
        return float(value.reshape(()))

    value, right = divergence(p, q), np.sum(scipy.special.rel_entr(p, q))
    mistakes = (
        (
            np.sum(scipy.special.rel_entr(q, p)),
            "That is KL(q‖p): the weight "
            "before the logarithm is p, and p stands above q.",
        ),
        (right / np.log(2), "These are bits: nats need the natural logarithm."),
        (-right, "The sign is turned: log(p/q), not log(q/p)."),
        (
            -np.sum(p * np.log(q)),
            "That is the cross-entropy H(p, q); subtract the entropy H(p).",
        ),
        (-np.sum(p * np.log(p)), "That is the entropy of p alone."),
        (
            right / 4,
            "You took the mean over entries; (5) is a sum, weighted "
            "by p already.",
        ),
        (
            np.sum(np.log(p / q)),
            "The weight p before the logarithm is missing.",
        ),
        (np.sum(np.abs(p - q)), "That is a sum of absolute differences."),
    )
    if not _near(value, right, 1e-4):
        for mistaken, message in mistakes:
            if _near(value, mistaken, 1e-4):
                feedback.wrong(message)
        feedback.wrong(
            f"For p = {p.tolist()} and q = {q.tolist()} KL is {right:.4f} "
            f"nats; received {value:.4f}."
        )
    for p, q in np.random.default_rng(0).dirichlet(np.ones(5), (3, 2)):
        value, right = divergence(p, q), np.sum(scipy.special.rel_entr(p, q))
        if not _near(value, right, 1e-4):
            feedback.wrong(
                f"For two tables of five entries KL is {right:.4f} nats; "
                f"received {value:.4f}."
            )
    feedback.reached("values")
    lacks = np.array([0.5, 0.5, 0.0, 0.0])
    uniform = np.full(4, 0.25)
    for other, target in ((uniform, np.log(2)), (lacks, 0.0)):
        value = divergence(lacks, other, "KL where p has a 0", finite=False)
        if np.isnan(value):
            feedback.wrong(
                "NaN where p is 0: there 0 · log 0 counts as 0, whatever q is. "
                "Leave these entries out."
            )
        if not _near(value, target, 1e-4):
            feedback.wrong(
                f"For p = {lacks.tolist()} and q = {other.tolist()} KL is "
                f"{target:.4f}; received {value:.4f}. Entries where p is 0 "
                "add nothing."
            )
    value = divergence(uniform, lacks, "KL where q has a 0", finite=False)
    if not np.isposinf(value):
        feedback.wrong(
            f"Where q is 0 and p is not, KL is infinite; received {value:.4g}. "
            "A small constant under the logarithm, or an entry left out, hides "
            "that the model excludes what happens."
        )
    feedback.correct(
        "1.10", "Which direction does maximum likelihood make small?"
    )


def _distance_loss(x, x_hat):
    return np.mean(np.sum((x - x_hat) ** 2, axis=1))


def _map_of(model, d):
    """The affine map of a model: its matrix (d, d) and offset (d,)."""
    probes = np.vstack([np.zeros((1, d)), np.eye(d)]).astype("float32")
    values = feedback.as_array(
        _predicted(model, probes), "What your model returns"
    )
    if values.shape != (d + 1, d):
        feedback.wrong(
            f"The model should return d = {d} columns for each row; for "
            f"{d + 1} rows it returned shape {values.shape}."
        )
    return values[1:] - values[0], values[0]


def _predicted(model, x):
    """What a model makes of rows, also one that names its products."""
    result = feedback.call(model, ops.convert_to_tensor(x))
    if isinstance(result, Mapping) and "reconstruction" in result:
        return result["reconstruction"]
    return result


def _fitted_once(model, x):
    """The loss of one step of ``fit``, whether x is the target or nothing."""
    options = {"batch_size": len(x), "epochs": 1, "verbose": 0}
    for targets in ((x,), (), ({"reconstruction": x},)):
        try:
            history = model.fit(x, *targets, **options)
            break
        except Exception:  # the model may know its target itself
            continue
    else:
        history = feedback.call(model.fit, x, x, **options)
    return feedback.as_number(history.history["loss"], "The loss of fit")


def _values(model):
    return [
        ops.convert_to_numpy(variable.value).copy()
        for variable in model.trainable_variables
    ]


def _assign(model, values):
    for variable, value in zip(model.trainable_variables, values, strict=True):
        variable.assign(value)


def _slopes(model, x):
    """Gradient of equation (8) by each trainable weight, numerically."""
    slopes = []
    for variable in model.trainable_variables:
        start = ops.convert_to_numpy(variable.value).astype("float64")
        slope = np.zeros_like(start)
        for place in np.ndindex(start.shape):
            values = []
            for sign in (1, -1):
                moved = start.copy()
                moved[place] += sign * 0.01
                variable.assign(moved.astype("float32"))
                x_hat = ops.convert_to_numpy(_predicted(model, x))
                values.append(_distance_loss(x, x_hat.astype("float64")))
            slope[place] = (values[0] - values[1]) / 0.02
        variable.assign(start.astype("float32"))
        slopes.append(slope)
    return slopes


@feedback.one_sentence
def check_1_11(answer):
    """Keras: a linear autoencoder, compiled for plain gradient descent."""
    for d, k, eta in ((6, 2, 0.02), (5, 3, 0.1)):
        model = feedback.call(answer, d, k, eta)
        if isinstance(model, (tuple, list)) or not isinstance(
            model, keras.Model
        ):
            feedback.wrong(
                "Return the compiled Keras model itself; received "
                f"{type(model).__name__}."
            )
        rng = np.random.default_rng(23)
        x = rng.standard_normal((16, d)).astype("float32")
        _map_of(model, d)  # builds it
        values = _values(model)
        # weights from zeros hide what the model can do
        _assign(
            model,
            [0.5 * rng.standard_normal(np.shape(v)) for v in values],
        )
        _check_map(model, x, k)
        _assign(model, values)
        if not getattr(model, "compiled", False):
            feedback.wrong("The model is not compiled: call model.compile(…).")
        _check_one_fit(model, x, eta)
        _check_memory(model, x, eta, values)
    feedback.correct(
        "1.11", "Fit it to the digits: how near does it come to PCA's residual?"
    )


def _check_map(model, x, k):
    """Feedback on a map that is not affine of rank k."""
    matrix, offset = _map_of(model, x.shape[1])
    x_hat = feedback.as_array(_predicted(model, x), "What your model returns")
    if not _close(x_hat, x @ matrix + offset, 1e-3):
        feedback.wrong(
            "The model is not linear: an activation bends it, or a layer "
            "draws at random. Dense without activation is linear."
        )
    sizes = np.linalg.svd(matrix)[1]
    rank = int((sizes > 1e-4 * max(sizes[0], 1e-4)).sum())
    if rank != k:
        feedback.wrong(
            f"For d = {x.shape[1]} the code should have k = {k} numbers; what "
            f"comes out has {rank} independent directions. Is there a layer of "
            "width k, and none narrower?"
        )


def _check_memory(model, x, eta, values):
    """Feedback on steps that depend on more than the gradient.

    The model has taken one step from ``values``; plain gradient descent takes
    the same again, and next to none where rows and gradients are small.
    """
    first = [new - old for old, new in zip(values, _values(model), strict=True)]
    _assign(model, values)
    _fitted_once(model, x)
    second = [
        new - old for old, new in zip(values, _values(model), strict=True)
    ]
    if not all(_close(*pair, 1e-5) for pair in zip(first, second, strict=True)):
        feedback.wrong(
            "A second step from the same weights, on the same rows, is not "
            "the first again: the optimizer remembers, as momentum does. "
            "Plain gradient descent is keras.optimizers.SGD(learning_rate)."
        )
    _assign(model, values)
    small = x / 1000
    slopes = _slopes(model, small)
    loss = _distance_loss(small, ops.convert_to_numpy(_predicted(model, small)))
    value = _fitted_once(model, small)
    steps = [old - new for old, new in zip(values, _values(model), strict=True)]
    decays = getattr(model.optimizer, "weight_decay", None)
    if (
        decays
        or not all(
            np.allclose(step, eta * slope, rtol=1e-2, atol=1e-6)
            for step, slope in zip(steps, slopes, strict=True)
        )
        or not np.isclose(value, loss, rtol=1e-3, atol=1e-7)
    ):
        feedback.wrong(
            "Where the rows are near 0 a step of fit still shrinks your "
            "weights: weight decay or a regularizer adds a term that (8) does "
            "not have. Leave it out."
        )


def _check_one_fit(model, x, eta):
    """Feedback on the loss and on one step of ``fit``."""
    x_hat = ops.convert_to_numpy(_predicted(model, x)).astype("float64")
    right = _distance_loss(x, x_hat)
    slopes = _slopes(model, x)
    before = _values(model)
    value = _fitted_once(model, x)
    d = x.shape[1]
    for factor, message in (
        (
            1 / d,
            "Your loss averages over the d entries ('mse'); (8) sums over "
            "entries and takes the mean over rows only.",
        ),
        (
            len(x),
            "Your loss sums over the rows as well; (8) takes their mean. "
            "Return one number a row, and Keras averages.",
        ),
    ):
        if _near(value, factor * right, 1e-3 * right):
            feedback.wrong(message)
    if not _near(value, right, 1e-3 * right):
        feedback.wrong(
            f"On the rows of the check the loss of (8) is {right:.4f}; your "
            f"model's is {value:.4f}."
        )
    steps = [
        old - ops.convert_to_numpy(variable.value)
        for old, variable in zip(before, model.trainable_variables, strict=True)
    ]
    if not any(np.abs(step).max() > 1e-7 for step in steps):
        feedback.wrong("One step of fit changed no weight: is anything frozen?")
    if all(
        _close(step, eta * slope, 2e-4)
        for step, slope in zip(steps, slopes, strict=True)
    ):
        return
    ratio = np.median(
        np.concatenate(
            [
                (step / (eta * slope))[np.abs(slope) > 0.1]
                for step, slope in zip(steps, slopes, strict=True)
            ]
        )
    )
    if all(
        _close(step, ratio * eta * slope, 1e-3)
        for step, slope in zip(steps, slopes, strict=True)
    ):
        feedback.wrong(
            f"The step is −η∇L with η = {ratio * eta:.3g}; the rate given was "
            f"{eta}: pass learning_rate to the optimizer."
        )
    feedback.wrong(
        "One step of fit is not θ − η∇L: plain gradient descent is "
        "keras.optimizers.SGD(learning_rate). Adam and others take other steps."
    )


def _stopped(losses, patience):
    """Epochs trained and epoch kept, by Keras's rule."""
    best, kept = np.inf, 0
    for epoch, value in enumerate(losses, start=1):
        if value < best:
            best, kept = value, epoch
        if epoch - kept == patience:
            return epoch, kept
    return len(losses), kept


@feedback.one_sentence
def check_1_12(answer):
    """Code: when early stopping stops, and what it keeps."""
    cases = (
        ([5.0, 4.0, 3.0, 3.5, 3.4, 3.3, 1.0, 0.5], 3),
        ([5.0, 4.0, 4.0, 4.0, 4.0], 2),
        ([3.0, 2.0, 1.0], 2),
        ([2.0, 3.0, 4.0, 5.0], 1),
        ([5.0, 4.0, 4.5, 3.9, 4.2, 4.1, 4.0, 3.95], 4),
        ([9.0, 8.0, 8.5, 8.4, 7.0, 7.5, 7.4, 7.3, 6.0], 3),
    )
    drawn = np.random.default_rng(0).integers(1, 9, (3, 9)).astype(float)
    cases += tuple(zip(drawn.tolist(), (1, 2, 3), strict=True))
    for losses, patience in cases:
        given = feedback.call(answer, list(losses), patience)
        parts = _parts(given, ("epochs trained", "epoch kept"))
        trained = feedback.as_number(parts[0], "The number of epochs trained")
        kept = feedback.as_number(parts[1], "The epoch kept")
        right = _stopped(losses, patience)
        if (trained, kept) == right:
            continue
        told = f"For losses {losses} and patience {patience}: "
        if (trained, kept) == right[::-1]:
            feedback.wrong(told + "return (epochs trained, epoch kept).")
        if (trained + 1, kept + 1) == right:
            feedback.wrong(told + "you count epochs from 0; count from 1.")
        if (trained, kept + 1) == right:
            feedback.wrong(told + "the epoch kept is counted from 0.")
        if trained == right[0] and kept == 1 + int(np.argmin(losses)):
            feedback.wrong(
                told + "the epoch kept lies after the end: a training that "
                "stopped never saw it."
            )
        if trained == right[0] and kept == trained:
            feedback.wrong(
                told + "you keep the last epoch; the best one is kept."
            )
        if kept == right[1] and trained == right[0] + 1:
            feedback.wrong(
                told + "you wait one epoch too long: it ends with the "
                "patience-th epoch in a row without improvement."
            )
        if trained == len(losses) and right[0] < len(losses):
            feedback.wrong(told + "it should have ended before the list does.")
        feedback.wrong(
            told + f"it ends after {right[0]} epochs and keeps epoch "
            f"{right[1]}; received {trained:g} and {kept:g}. Only a loss below "
            "*all* before counts as better, and the count begins anew then."
        )
    feedback.correct("1.12", "Which patience would have been right for case 1?")
