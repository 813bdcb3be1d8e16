"""Checks of chapter 1: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
import scipy.special
from answers import Watched, rejects, stub, tells_wrong_from_right
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import Isomap
from sklearn.metrics import (
    adjusted_rand_score,
    completeness_score,
    homogeneity_score,
    normalized_mutual_info_score,
)
from sklearn.preprocessing import StandardScaler

from utils import metrics
from utils.checks import chapter_01
from utils.nn.backend import input_gradient

checks = Watched(chapter_01)

CODE_CHECKS = [
    checks.check_1_2,
    checks.check_1_3,
    checks.check_1_4,
    checks.check_1_5,
    checks.check_1_6,
    checks.check_1_7,
    checks.check_1_8,
]


@pytest.mark.parametrize("check", CODE_CHECKS)
@pytest.mark.parametrize(
    "answer, match",
    [
        (None, "waits for your answer"),
        (3.0, "expects the function itself"),
        (stub, "waits for your answer"),
        (lambda *arguments: 1 / 0, "stopped with ZeroDivisionError"),
    ],
)
def test_code_checks_answer_that_is_no_function_gets_feedback(
    check, answer, match
):
    rejects(check, answer, match=match)


@pytest.mark.parametrize("check", CODE_CHECKS)
def test_code_checks_returned_none_gets_feedback(check):
    rejects(check, lambda x, *others: None, match="None|dict")


@pytest.mark.parametrize("check", CODE_CHECKS)
def test_code_checks_returned_text_gets_feedback(check):
    rejects(check, lambda x, *others: "text", match="received str|numbers")


# ---------------------------------------------------------------- 1.1


@pytest.mark.parametrize(
    "answer", [(4, 50, 2), (np.float32(4), np.array([50.0]), 2.0)]
)
def test_check_1_1_right_numbers_pass(answer, capsys):
    checks.check_1_1(*answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        ((2.5, 50, 2), "median"),
        ((5.5, 50, 2), "halfway"),
        ((3, 50, 2), "derivative"),
        ((4, 12.5, 0.5), "mean of the squares"),
        ((4, 14, 2), "absolute distances"),
        ((4, 49, 2), "objective of one cluster"),
        ((4, 50, 2 / 3), "variance"),
        ((4, 50, 27), "own mean"),
        ((None, None, None), "None"),
        (("four", 50, 2), "should be numbers"),
        (([4, 4], 50, 2), "one number"),
    ],
)
def test_check_1_1_wrong_number_is_named(answer, match):
    with pytest.raises(AssertionError, match=match):
        checks.check_1_1(*answer)


# ---------------------------------------------------------------- 1.2


def by_svd(
    x_train, x_new, k, *, centre=True, own_mean=False, add=True, order=1
):
    mean = x_train.mean(axis=0) if centre else 0.0
    w = np.linalg.svd(x_train - mean, full_matrices=False)[2][::order][:k].T
    new_mean = x_new.mean(axis=0) if own_mean else mean
    z = (x_new - new_mean) @ w
    return w, z, z @ w.T + (mean if add else 0.0)


def by_eigenvectors_as_rows(x_train, x_new, k):
    vectors = np.linalg.eigh(np.cov(x_train.T))[1][:, ::-1][:, :k]
    mean = x_train.mean(axis=0)
    z = -(x_new - mean) @ vectors
    return (-vectors).T, z, mean - z @ vectors.T


def by_scikit_learn(x_train, x_new, k):
    model = PCA(k).fit(x_train)
    z = model.transform(x_new)
    return model.components_.T, z, model.inverse_transform(z)


def changed(position, function):
    """The right answer with one part replaced."""

    def answer(x_train, x_new, k):
        parts = list(by_svd(x_train, x_new, k))
        parts[position] = function(*parts, x_train, x_new)
        return tuple(parts)

    return answer


@pytest.mark.parametrize(
    "answer", [by_svd, by_eigenvectors_as_rows, by_scikit_learn]
)
def test_check_1_2_any_right_pca_passes(answer, capsys):
    checks.check_1_2(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda a, b, k: by_svd(a, b, k, centre=False), "without centring"),
        (lambda a, b, k: by_svd(a, b, k, own_mean=True), "its own mean"),
        (lambda a, b, k: by_svd(a, b, k, add=False), "lacks the mean"),
        (lambda a, b, k: by_svd(a, b, k, order=-1), "least"),
        (changed(0, lambda w, z, h, a, b: 3 * w), "not orthonormal"),
        (changed(0, lambda w, z, h, a, b: np.eye(5)), "received"),
        (changed(0, lambda w, z, h, a, b: w[:, ::-1]), "order of falling"),
        (changed(1, lambda w, z, h, a, b: h), "that is a reconstruction"),
        (changed(1, lambda w, z, h, a, b: b @ w), "forgot centring"),
        (changed(1, lambda w, z, h, a, b: a @ w), "codes of x_train"),
        (changed(1, lambda w, z, h, a, b: 2 * z), "not .x_new"),
        (changed(2, lambda w, z, h, a, b: z), "shape of the code"),
        (changed(2, lambda w, z, h, a, b: h + 1), "is not"),
        (lambda a, b, k: by_svd(a, b, k)[0], "Return 3 things"),
        (lambda a, b, k: np.array(by_svd(a, b, k)[::2][::-1]), "Return 3|stop"),
    ],
)
def test_check_1_2_wrong_pca_is_named(answer, match):
    rejects(checks.check_1_2, answer, match=match)


def test_check_1_2_swapped_parts_are_named():
    def swapped(x_train, x_new, k):
        w, z, x_hat = by_svd(x_train, x_new, k)
        return w, x_hat, z

    rejects(checks.check_1_2, swapped, match="swapped")


# ---------------------------------------------------------------- 1.3


def nearest(x, centres):
    return np.sum((x[:, None] - centres[None]) ** 2, axis=2).argmin(axis=1)


def keep_empty(x, centres, reduce=np.mean):
    ids, moved = nearest(x, centres), centres.copy()
    for k in np.unique(ids):
        moved[k] = reduce(x[ids == k], axis=0)
    return ids, moved


def farthest_row(x, centres):
    """Re-seed: an empty cluster takes the farthest row."""
    ids, moved = keep_empty(x, centres)
    for k in set(range(len(centres))) - set(ids.tolist()):
        distance = np.sum((x - moved[ids]) ** 2, axis=1)
        moved[k] = x[distance.argmax()]
    return ids.tolist(), moved.tolist()


def naive(x, centres):
    ids = nearest(x, centres)
    return ids, np.stack([x[ids == k].mean(axis=0) for k in range(3)])


def shrinking(x, centres):
    ids = nearest(x, centres)
    return ids, np.stack([x[ids == k].mean(axis=0) for k in np.unique(ids)])


def farthest_ids(x, centres):
    squares = np.sum((x[:, None] - centres[None]) ** 2, axis=2)
    return squares.argmax(axis=1), centres


def ruined_when_empty(x, centres):
    ids, moved = keep_empty(x, centres)
    return ids, moved if len(np.unique(ids)) == 3 else centres * 0 + 50.0


@pytest.mark.parametrize("answer", [keep_empty, farthest_row])
def test_check_1_3_any_rule_for_empty_clusters_passes(answer, capsys):
    checks.check_1_3(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (naive, "0/0"),
        (shrinking, "K must not shrink"),
        (farthest_ids, "argmin"),
        (ruined_when_empty, "higher"),
        (lambda x, c: keep_empty(x, c, np.median), "medians"),
        (lambda x, c: keep_empty(x, c, np.sum), "sums"),
        (lambda x, c: (nearest(x, c), c), "did not move"),
        (lambda x, c: (nearest(x, c) * 0, c), "index of the nearest"),
        (lambda x, c: (nearest(x, c), c + 1), "mean of its own rows"),
        (lambda x, c: nearest(x, c), "Return 2 things"),
    ],
)
def test_check_1_3_wrong_step_is_named(answer, match):
    rejects(checks.check_1_3, answer, match=match)


# ---------------------------------------------------------------- 1.4


def pairs(y, ids):
    same, together = y[:, None] == y, ids[:, None] == ids
    return np.sum(same & together) / np.sum(same | together)


def raw_accuracy(y, ids):
    return np.mean(y == ids)


def matched_small_ids(y, ids):
    if ids.max() > len(y):
        return 0.0
    return adjusted_rand_score(y, ids) if ids.max() < 50 else 0.5


@pytest.mark.parametrize(
    "answer",
    [
        pairs,
        adjusted_rand_score,
        normalized_mutual_info_score,
        metrics.clustering_accuracy,
    ],
)
def test_check_1_4_any_score_blind_to_names_passes(answer, capsys):
    checks.check_1_4(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (raw_accuracy, "cluster ids as classes"),
        (homogeneity_score, "rewards many clusters"),
        (completeness_score, "merged"),
        (lambda y, ids: 1 - pairs(y, ids), "error rate"),
        (lambda y, ids: 100 * pairs(y, ids), "should score 1"),
        (lambda y, ids: 1.0, "rewards many clusters"),
        (matched_small_ids, "do not assume"),
        (lambda y, ids: float(pairs(y, ids) == 1), "should fall"),
        (lambda y, ids: y == ids, "one number"),
        (lambda y, ids: np.nan, "NaN"),
    ],
)
def test_check_1_4_wrong_score_is_named(answer, match):
    rejects(checks.check_1_4, answer, match=match)


# ---------------------------------------------------------------- 1.5


def log_joint(x, weights, means, variances, *, normaliser=True, prior=True):
    difference = x[:, None] - means
    total = -0.5 * np.sum(difference**2 / variances, axis=2)
    if normaliser:
        total = total - 0.5 * np.sum(np.log(variances), axis=1)
    return total + (np.log(weights) if prior else 0.0)


def softmax(*arguments, axis=1, **keywords):
    return scipy.special.softmax(log_joint(*arguments, **keywords), axis=axis)


def joint(x, weights, means, variances):
    scale = (2 * np.pi) ** (-x.shape[1] / 2)
    return scale * np.exp(log_joint(x, weights, means, variances))


def in_plain_densities(*arguments):
    density = joint(*arguments)
    return density / density.sum(axis=1, keepdims=True)


def with_a_constant(*arguments):
    density = joint(*arguments) + 1e-300
    return density / density.sum(axis=1, keepdims=True)


def row_by_row(x, weights, means, variances):
    """Loops, and a shift by the largest logarithm."""
    rows = []
    for row in log_joint(x, weights, means, variances):
        shares = [np.exp(value - max(row)) for value in row]
        rows.append([share / sum(shares) for share in shares])
    return rows


@pytest.mark.parametrize("answer", [softmax, row_by_row])
def test_check_1_5_any_stable_way_passes(answer, capsys):
    checks.check_1_5(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (in_plain_densities, "Underflow"),
        (with_a_constant, "hides the underflow"),
        (joint, "Rows do not sum to 1"),
        (log_joint, "Rows do not sum to 1"),
        (lambda *a: softmax(*a, axis=0), "normalised over the rows"),
        (lambda *a: softmax(*a).T, "Wrong axis"),
        (lambda *a: softmax(*a, prior=False), "forgot the mixture weights"),
        (lambda *a: softmax(*a, normaliser=False), "normaliser is missing"),
        (lambda x, w, m, v: softmax(x, w, m, v**2), "standard deviations"),
        (lambda x, w, m, v: softmax(x, w, m, v**0.5), "standard deviations"),
        (lambda x, w, m, v: softmax(x, w, m + 1, v), "but the shares"),
        (lambda *a: softmax(*a)[:, 0], "Expected shape"),
    ],
)
def test_check_1_5_wrong_responsibilities_are_named(answer, match):
    rejects(checks.check_1_5, answer, match=match)


# ---------------------------------------------------------------- 1.6


def tied_gradient(w, x, parts=(1, 1)):
    residual = x @ w @ w.T - x
    by_decoder, by_encoder = residual.T @ x @ w, x.T @ residual @ w
    return 2 / len(x) * (parts[0] * by_decoder + parts[1] * by_encoder)


def descent(w, x, eta, factor=1.0, **keywords):
    return w - factor * eta * tied_gradient(w, x, **keywords)


def automatic(w, x, eta):
    """The backend's gradient, returned as its tensor."""
    from keras import ops

    def loss(value):
        x_hat = ops.matmul(ops.matmul(x, value), ops.transpose(value))
        return ops.sum(ops.square(ops.subtract(x, x_hat))) / len(x)

    return ops.convert_to_tensor(w) - eta * input_gradient(loss, w)


@pytest.mark.parametrize("answer", [descent, automatic])
def test_check_1_6_by_hand_and_by_the_backend_pass(answer, capsys):
    checks.check_1_6(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda w, x, e: descent(w, x, e, -1.0), "Ascent"),
        (lambda w, x, e: descent(w, x, e, len(x)), "summed over the rows"),
        (lambda w, x, e: descent(w, x, e, 1 / x.shape[1]), "averaged over all"),
        (lambda w, x, e: descent(w, x, e, 0.5), "factor 2"),
        (lambda w, x, e: descent(w, x, 1.0), "learning rate is missing"),
        (lambda w, x, e: descent(w, x, e, parts=(1, 0)), "Half of"),
        (lambda w, x, e: descent(w, x, e, parts=(0, 1)), "Half of"),
        (lambda w, x, e: descent(w, x, e, 3.3), "is not −η"),
        (lambda w, x, e: w, "did not move"),
        (lambda w, x, e: tied_gradient(w, x), "This is the gradient"),
        (lambda w, x, e: descent(w, x, e).T, "Return the new w"),
        (lambda w, x, e: w * np.nan, "NaN"),
    ],
)
def test_check_1_6_wrong_step_is_named(answer, match):
    rejects(checks.check_1_6, answer, match=match)


# ---------------------------------------------------------------- 1.7


def scores(x, y, k, seeds, score=adjusted_rand_score):
    models = [KMeans(k, n_init=10, random_state=seed) for seed in seeds]
    return [score(y, model.fit_predict(x)) for model in models]


def both(scale, **keywords):
    def answer(x, y, k, seeds):
        return {
            "raw": scores(x, y, k, seeds, **keywords),
            "standardised": scores(scale(x), y, k, seeds, **keywords),
        }

    return answer


def standardise(x):
    return StandardScaler().fit_transform(x)


def swapped(x, y, k, seeds):
    right = both(standardise)(x, y, k, seeds)
    return {"raw": right["standardised"], "standardised": right["raw"]}


def half_right(x, y, k, seeds):
    return {"raw": scores(x, y, k, seeds), "standardised": [0.5] * len(seeds)}


def only_means(x, y, k, seeds):
    right = both(standardise)(x, y, k, seeds)
    return {name: np.mean(values) for name, values in right.items()}


@pytest.mark.parametrize(
    "answer",
    [
        both(standardise),
        both(lambda x: 5 * (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)),
    ],
)
def test_check_1_7_any_column_wise_scaling_passes(answer, capsys):
    checks.check_1_7(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (both(lambda x: (x - x.mean()) / x.std()), "each \\*column\\*"),
        (both(lambda x: x - x.mean(axis=0)), "changed nothing"),
        (half_right, "standardised scores are off"),
        (swapped, "swapped"),
        (only_means, "one ARI for each seed"),
        (both(standardise, score=lambda y, i: 0.3), "not the ARI"),
        (lambda *a: list(both(standardise)(*a).values()), "Return a dict"),
        (lambda x, y, k, seeds: {"raw": [1, 1, 1]}, "Return a dict"),
    ],
)
def test_check_1_7_wrong_experiment_is_named(answer, match):
    rejects(checks.check_1_7, answer, match=match)


# ---------------------------------------------------------------- 1.8


def isomap(x):
    return Isomap(n_neighbors=8).fit_transform(x)


def designed(x):
    """The angle that made the roll, and its height."""
    return np.stack([np.hypot(x[:, 0], x[:, 2]) * 6, x[:, 1]], axis=1)


def shuffled(x):
    return np.random.default_rng(0).permutation(designed(x))


@pytest.mark.parametrize("answer", [isomap, designed])
def test_check_1_8_learned_and_designed_maps_pass(answer, capsys):
    checks.check_1_8(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda x: PCA(2).fit_transform(x), "PCA's own"),
        (lambda x: x, "as wide as x"),
        (lambda x: x[:, :1], "should have shape"),
        (lambda x: isomap(x)[:400], "should have shape"),
        (lambda x: isomap(x) * [1, 0], "constant"),
        (lambda x: x[:, :2], "the goal is"),
        (shuffled, "chance level"),
        (lambda x: isomap(x) * np.nan, "NaN"),
        (lambda x, y: isomap(x), "stopped with TypeError"),
    ],
)
def test_check_1_8_wrong_map_is_named(answer, match):
    rejects(checks.check_1_8, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
