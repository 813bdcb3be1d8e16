"""Checks of the exercises of chapter 01, concepts."""

import numpy as np
import scipy.special
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.metrics import adjusted_rand_score

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
]


def _parts(answer, names):
    """The parts of a returned tuple, or feedback on what came instead."""
    if answer is None:
        feedback.wrong("Your function returned None: is the `return` missing?")
    if not isinstance(answer, (tuple, list)) or len(answer) != len(names):
        feedback.wrong(
            f"Return {len(names)} things, ({', '.join(names)}); received "
            f"{type(answer).__name__}."
        )
    return answer


def _array(value, what, shape=None):
    """Like feedback.as_array, for tensors of every backend too."""
    return feedback.as_array(feedback.as_values(value, what), what, shape)


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
    if np.isclose(centre, 2.5):
        feedback.wrong(
            "2.5 is the median: it minimises the sum of absolute distances. "
            "Differentiate the sum of *squares*."
        )
    if np.isclose(centre, 5.5):
        feedback.wrong(
            "5.5 is halfway between the extremes: it minimises the largest "
            "distance. Differentiate the sum of squares over all four rows."
        )
    if not np.isclose(centre, 4):
        feedback.wrong(
            "The centre is not right. Set the derivative of Σ (xᵢ − c)² by "
            "c to zero and solve for c."
        )
    if np.isclose(one, 12.5) or np.isclose(two, 0.5):
        feedback.wrong(
            "You took the mean of the squares; objective (2) is their sum."
        )
    if np.isclose(one, 14):
        feedback.wrong(
            "14 is the sum of absolute distances; square each before adding."
        )
    if not np.isclose(one, 50):
        feedback.wrong(
            "The objective of one cluster is not right: add the four squared "
            "distances to your centre."
        )
    if np.isclose(two, 2 / 3):
        feedback.wrong(
            "2/3 is the variance of {1, 2, 3}; objective (2) is the sum of "
            "squares, without dividing by the number of rows."
        )
    if not np.isclose(two, 2):
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
    x_train, x_new = rows[:60], rows[60:] + 1.0
    result = feedback.call(answer, x_train.copy(), x_new.copy(), 2)
    parts = _parts(result, ("w", "z", "x_hat"))
    w = _array(parts[0], "w")
    z, x_hat = _array(parts[1], "z"), _array(parts[2], "x_hat")
    exact = PCA(2).fit(x_train).components_.T
    w = _check_directions(w, exact, x_train, 2)
    mean, own = x_train.mean(axis=0), x_new.mean(axis=0)
    if z.shape == x_new.shape and x_hat.shape == (len(x_new), 2):
        feedback.wrong("z and x_hat are swapped: return (w, z, x_hat).")
    if z.shape == x_new.shape:
        feedback.wrong(
            f"z has shape {z.shape}: that is a reconstruction. The code has "
            "only k = 2 columns."
        )
    if z.shape == (60, 2):
        feedback.wrong("z are the codes of x_train; encode x_new.")
    if z.shape != (len(x_new), 2):
        feedback.wrong(f"z should have shape (20, 2), not {z.shape}.")
    if not _close(z, (x_new - mean) @ w):
        if _close(z, (x_new - own) @ w):
            feedback.wrong(
                "You centred x_new by its own mean. New rows are centred by "
                "the mean of the *training* rows, which the model keeps."
            )
        if _close(z, x_new @ w):
            feedback.wrong("You forgot centring: z = (x_new − x̄) w.")
        feedback.wrong("z is not (x_new − x̄) w with the w you returned.")
    if x_hat.shape == z.shape:
        feedback.wrong(
            "x_hat has the shape of the code: decode z back to d columns."
        )
    if x_hat.shape != x_new.shape:
        feedback.wrong(f"x_hat should have shape (20, 5), not {x_hat.shape}.")
    if _close(x_hat, z @ w.T):
        feedback.wrong("x_hat lacks the mean: the decoder has to add x̄ back.")
    if not _close(x_hat, mean + z @ w.T):
        feedback.wrong("x_hat is not x̄ + z wᵀ.")
    feedback.correct("1.2", "Which k halves the test error on iris?")


def _objective(x, ids, centres):
    return np.sum((x - centres[ids]) ** 2)


@feedback.one_sentence
def check_1_3(answer):
    """Code: one step of Lloyd's algorithm that survives empty clusters."""
    rng = np.random.default_rng(5)
    x = np.vstack([rng.normal(m, 0.5, (m + 6, 2)) for m in (0, 4, 8)])
    start = x[[0, 8, 20]].copy()
    parts = _parts(
        feedback.call(answer, x.copy(), start.copy()), ("ids", "centres")
    )
    ids = _array(parts[0], "ids", (len(x),)).astype("int64")
    centres = parts[1]
    squares = ((x[:, None] - start[None]) ** 2).sum(axis=2)
    nearest = squares.argmin(axis=1)
    if np.array_equal(ids, squares.argmax(axis=1)):
        feedback.wrong("ids are the *farthest* centres: use argmin.")
    if not np.array_equal(ids, nearest):
        feedback.wrong(
            "ids should be the index of the nearest of the centres passed in."
        )
    centres = _array(centres, "centres", (3, 2))
    groups = [x[nearest == k] for k in range(3)]
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
    if not _close(centres, np.stack([g.mean(axis=0) for g in groups])):
        feedback.wrong("Each centre should be the mean of its own rows.")
    remote = np.vstack([start[:2], [[1e4, 1e4]]])
    parts = feedback.call(answer, x.copy(), remote.copy())
    ids, centres = _parts(parts, ("ids", "centres"))
    ids = _array(ids, "ids", (len(x),)).astype("int64")
    centres = np.asarray(centres, dtype="float64")
    if centres.shape != (3, 2):
        feedback.wrong(
            "With an empty cluster your step returned "
            f"{len(centres)} centres instead of 3: K must not shrink."
        )
    if np.isnan(centres).any():
        feedback.wrong(
            "An empty cluster gives NaN: the mean of no rows is 0/0. Keep its "
            "old centre or move it to a far row."
        )
    after = ((x[:, None] - centres[None]) ** 2).sum(axis=2).min(axis=1).sum()
    near = ((x[:, None] - remote[None]) ** 2).sum(axis=2).argmin(axis=1)
    means = remote.copy()
    for k in np.unique(near):
        means[k] = x[near == k].mean(axis=0)
    if not after <= _objective(x, near, means) * (1 + 1e-6):
        feedback.wrong(
            "With an empty cluster the objective after your step is higher "
            "than if the empty one had stayed where it was: the other "
            "centres should be means of their own rows."
        )
    feedback.correct(
        "1.3", "Loop it until ids stop changing, and plot the objective."
    )


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
    if score(np.arange(len(y))) > 0.95:
        feedback.wrong(
            "One cluster for every row gets full marks: majority vote "
            "(purity) rewards many clusters. Match one cluster to one class."
        )
    if score(np.zeros(len(y), dtype="int64")) > 0.95:
        feedback.wrong(
            "Putting everything into one cluster gets full marks: your score "
            "does not punish classes that were merged."
        )
    worse = y.copy()
    worse[:3] = 1
    worst = worse.copy()
    worst[20:28] = 2
    if not perfect > score(worse) > score(worst):
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
    gamma = _array(
        feedback.call(answer, x, weights, means, variances),
        "The responsibilities",
    )
    if gamma.shape == (3, 30):
        feedback.wrong("Wrong axis: one row per example, shape (n, K).")
    if gamma.shape != (30, 3):
        feedback.wrong(f"Expected shape (n, K) = (30, 3), not {gamma.shape}.")
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
    far = np.array([[200.0, -300.0], [1e4, 1e4]])
    value = feedback.call(answer, far, weights, means, variances)
    value = np.asarray(value, dtype="float64")
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
    new = _array(feedback.call(answer, w.copy(), x.copy(), eta), "The new w")
    if new.shape != w.shape:
        feedback.wrong(
            f"Return the new w, shape {w.shape}; received {new.shape}."
        )
    if _close(new, w):
        feedback.wrong("w did not move: return w − η·gradient.")
    if _close(new, gradient):
        feedback.wrong("This is the gradient; return w − η·gradient.")
    mistakes = {
        "Ascent: you added the gradient, which makes the loss grow. "
        "Subtract it.": -1.0,
        "You summed over the rows; equation (5) takes the mean, so divide "
        "by n.": 12.0,
        "You averaged over all n·d entries; equation (5) sums over the d "
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
        feedback.wrong("The step is not −η·∇L of equation (5) with x̂ = x w wᵀ.")
    feedback.correct(
        "1.6", "Take 200 steps: do the columns of w span PCA's subspace?"
    )


def _ari_by_seed(x, y, k, seeds):
    return np.array(
        [
            adjusted_rand_score(
                y, KMeans(k, n_init=10, random_state=seed).fit_predict(x)
            )
            for seed in seeds
        ]
    )


@feedback.one_sentence
def check_1_7(answer):
    """Experiment: k-means on raw and on standardised columns."""
    rng = np.random.default_rng(13)
    y = np.arange(120) % 2
    helps = np.stack([3.0 * y, np.zeros(120)], axis=1)
    helps = (helps + 0.5 * rng.standard_normal((120, 2))) * [1.0, 40.0] + 6.0
    hurts = np.stack([8.0 * y, np.zeros(120)], axis=1)
    noise = rng.standard_normal((120, 8)) * 0.6
    hurts = np.hstack([hurts + rng.standard_normal((120, 2)) * 3.0, noise])
    for name, x in (("in mixed units", helps), ("with noise", hurts)):
        result = feedback.call(answer, x.copy(), y.copy(), 2, (0, 1, 2))
        if not isinstance(result, dict) or set(result) != {
            "raw",
            "standardised",
        }:
            feedback.wrong(
                "Return a dict with the keys 'raw' and 'standardised'; "
                f"received {type(result).__name__}."
            )
        expected = {
            "raw": _ari_by_seed(x, y, 2, (0, 1, 2)),
            "standardised": _ari_by_seed(
                (x - x.mean(axis=0)) / x.std(axis=0), y, 2, (0, 1, 2)
            ),
        }
        found = {}
        for key in expected:
            found[key] = _array(result[key], f"result[{key!r}]")
            if found[key].shape != (3,):
                feedback.wrong(
                    f"result[{key!r}] should hold one ARI for each seed, "
                    f"shape (3,); received shape {found[key].shape}."
                )
        _compare_scalings(name, found, expected)
    feedback.correct(
        "1.7", "Both answers occur: scale is a decision about the problem."
    )


def _compare_scalings(name, found, expected):
    """Feedback on the two rows of scores of one table."""
    good = {key: _close(found[key], expected[key], 0.08) for key in expected}
    if all(good.values()):
        return
    if _close(found["raw"], expected["standardised"], 0.08) and _close(
        found["standardised"], expected["raw"], 0.08
    ):
        feedback.wrong("The two keys are swapped.")
    if good["raw"] and _close(found["standardised"], found["raw"], 0.08):
        feedback.wrong(
            f"On the table {name} scaling changed nothing. One mean and one "
            "standard deviation for the whole table keep the proportions: "
            "standardise each *column* (axis=0)."
        )
    if good["raw"]:
        feedback.wrong(
            f"On the table {name} the standardised scores are off: subtract "
            "each column's mean and divide by its standard deviation."
        )
    feedback.wrong(
        f"On the table {name} the scores are not the ARI of k-means with "
        "restarts. Ids compared with labels entry by entry, or a single "
        "start, give other numbers."
    )


@feedback.one_sentence
def check_1_8(answer):
    """Open: two columns that keep the swiss roll's neighbours."""
    x, stretch = data.make_toy("swiss_roll", n=800, seed=17)
    x = x.astype("float64")
    z = _array(feedback.call(answer, x.copy()), "z")
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
