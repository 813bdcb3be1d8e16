"""Checks of chapter 1: wrong answers are named, unusual right ones pass."""

import collections
import itertools
import types

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import Isomap
from sklearn.metrics import (
    adjusted_rand_score,
    completeness_score,
    homogeneity_score,
    normalized_mutual_info_score,
)
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from utils import metrics
from utils.checks import chapter_01
from utils.models import Autoencoder
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
    checks.check_1_9,
    checks.check_1_10,
    checks.check_1_11,
    checks.check_1_12,
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


ODD = [
    object(),
    [[1.0, 2.0], [3.0]],
    (None, None),
    [None] * 3,
    (None,) * 3,
    np.array("text"),
    np.array([None, 1.0]),
    np.full((3, 3), np.nan),
    1j,
    {},
    {"raw": None, "standardised": [1.0, "a"]},
    (1.0, 2.0, [[1.0], 2.0]),
    {1, 2},
    types.SimpleNamespace(shape=(2, 2)),
    (x for x in range(3)),
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]),
]


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("odd", range(len(ODD)))
def test_check_1_1_odd_numbers_get_feedback_never_a_traceback(odd, place):
    numbers = [4, 50, 2]
    numbers[place] = ODD[odd]
    rejects(checks.check_1_1, *numbers, match="^[^\n]+$")


@pytest.mark.parametrize("check", CODE_CHECKS)
@pytest.mark.parametrize("odd", range(len(ODD)))
def test_code_checks_odd_results_get_feedback_never_a_traceback(check, odd):
    rejects(check, lambda *arguments: ODD[odd], match="^[^\\n]+$")


@pytest.mark.parametrize("check", CODE_CHECKS)
@pytest.mark.parametrize("odd", range(len(ODD)))
def test_code_checks_right_first_then_odd_gets_feedback(check, odd):
    """The second call of an answer is read as carefully as the first."""
    calls = []

    def answer(*arguments):
        calls.append(arguments)
        if len(calls) > 1:
            return ODD[odd]
        return RIGHT[check.__name__](*arguments)

    if check.__name__ in ("check_1_8", "check_1_9"):
        check(answer)  # it calls once
        assert len(calls) == 1
    else:
        rejects(check, answer, match="^[^\\n]+$")
        assert len(calls) > 1


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
        ((4, 50, 0.67), "variance"),
        (("4", 50, 2), "text"),
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


def as_tensors(x_train, x_new, k):
    """A list of the backend's tensors, in single precision."""
    parts = by_svd(x_train, x_new, k)
    return [ops.convert_to_tensor(part.astype("float32")) for part in parts]


def by_name(x_train, x_new, k):
    parts = by_svd(x_train, x_new, k)
    named = collections.namedtuple("PCA", ("w", "z", "x_hat"))
    return named(*parts)


@pytest.mark.parametrize(
    "answer",
    [by_svd, by_eigenvectors_as_rows, by_scikit_learn, as_tensors, by_name],
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
        (lambda a, b, k: by_svd(a, b, 2), "k = 2 written into"),
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
    rows = [x[ids == k] for k in range(len(centres))]
    return ids, np.stack([part.mean(axis=0) for part in rows])


def shrinking(x, centres):
    ids = nearest(x, centres)
    return ids, np.stack([x[ids == k].mean(axis=0) for k in np.unique(ids)])


def farthest_ids(x, centres):
    squares = np.sum((x[:, None] - centres[None]) ** 2, axis=2)
    return squares.argmax(axis=1), centres


def ruined_when_empty(x, centres):
    ids, moved = keep_empty(x, centres)
    full = len(np.unique(ids)) == len(centres)
    return ids, moved if full else centres * 0 + 50.0


def three_clusters(x, centres):
    ids, moved = keep_empty(x, centres)
    for k in range(3):
        if (ids == k).any():
            moved[k] = x[ids == k].mean(axis=0)
    return ids, moved[:3]


def three_moved(x, centres):
    ids, moved = keep_empty(x, centres)
    return ids, np.vstack([moved[:3], centres[3:]])


def other_ids_when_empty(x, centres):
    ids, moved = keep_empty(x, centres)
    return ids * (len(np.unique(ids)) == len(centres)), moved


def tensors(x, centres):
    ids, moved = keep_empty(x, centres)
    return ops.convert_to_tensor(ids[:, None]), ops.convert_to_tensor(moved)


def named_parts(x, centres):
    ids, moved = keep_empty(x, centres)
    return {"centres": moved.astype("float32"), "ids": ids.astype("uint8")}


def random_row(x, centres):
    ids, moved = keep_empty(x, centres)
    for k in set(range(len(centres))) - set(ids.tolist()):
        moved[k] = x[np.random.default_rng(k).integers(len(x))]
    return [ids.astype("float32"), moved]


def max_iter_one(x, centres):
    """scikit-learn's one iteration: ids of the centres after the move."""
    model = KMeans(len(centres), init=centres, n_init=1, max_iter=1).fit(x)
    return model.labels_, model.cluster_centers_


def twice(x, centres):
    ids, moved = keep_empty(x, centres)
    return ids, keep_empty(x, moved)[1]


def to_the_end(x, centres):
    for _ in range(50):
        ids, centres = keep_empty(x, centres)
    return ids, centres


def when_empty(value):
    def answer(x, centres):
        ids, moved = keep_empty(x, centres)
        parts = list(moved)
        for k in set(range(len(centres))) - set(ids.tolist()):
            parts[k] = value
        return ids, parts

    return answer


@pytest.mark.parametrize(
    "answer", [keep_empty, farthest_row, tensors, named_parts, random_row]
)
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
        (max_iter_one, "moved"),
        (twice, "two steps"),
        (to_the_end, "to its end"),
        (three_clusters, "K = 3 written into"),
        (three_moved, "mean of its own rows"),
        (other_ids_when_empty, "ids are not the nearest"),
        (when_empty([0.0, 0.0]), "at 0, where there are no rows"),
        (when_empty(None), "is None"),
        (when_empty([np.inf, np.inf]), "infinite"),
        (when_empty([np.nan, 0.0]), "0/0"),
        (when_empty([1.0]), "numbers"),
        (lambda x, c: (nearest(x, c) + 0.4, c), "whole numbers"),
        (lambda x, c: (np.eye(3)[nearest(x, c)], c), "one integer for each"),
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


def by_size(y, ids):
    """The largest cluster stands for the largest class, and so on."""
    classes, clusters = (
        names[np.argsort(-counts, kind="stable")]
        for names, counts in (
            np.unique(v, return_counts=True) for v in (y, ids)
        )
    )
    names = dict(zip(clusters, classes, strict=False))
    return np.mean([names.get(i) == t for i, t in zip(ids, y, strict=True)])


def filled_cells(y, ids):
    """Classes, or clusters if fewer, divided by pairs that occur."""
    fewer = min(len(np.unique(y)), len(np.unique(ids)))
    return fewer / len({*zip(y.tolist(), ids.tolist(), strict=True)})


def by_trying_all_matchings(y, ids):
    """Brute force: it ends only while there are few clusters."""
    classes, clusters = np.unique(y), np.unique(ids)
    short, long = sorted((classes, clusters), key=len)
    assert len(long) < 8
    best = 0
    for order in itertools.permutations(long, len(short)):
        names = dict(zip(order, short, strict=True))
        if len(long) == len(clusters):
            agree = [names.get(i) == t for i, t in zip(ids, y, strict=True)]
        else:
            agree = [names.get(t) == i for i, t in zip(ids, y, strict=True)]
        best = max(best, np.mean(agree))
    return best


@pytest.mark.parametrize(
    "answer",
    [
        pairs,
        adjusted_rand_score,
        normalized_mutual_info_score,
        metrics.clustering_accuracy,
        by_trying_all_matchings,
        lambda y, ids: ops.convert_to_tensor([pairs(y, ids)]),
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
        (by_size, "by their size"),
        (filled_cells, "count rows"),
        (lambda y, ids: float(pairs(y, ids) == 1), "count rows"),
        (lambda y, ids: max(pairs(y, ids), 0.75), "should fall"),
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


def by_the_backend(*arguments):
    """A tensor in single precision."""
    joint_ = ops.convert_to_tensor(log_joint(*arguments).astype("float32"))
    return ops.softmax(joint_, axis=1)


def by_scipy_normal(x, weights, means, variances):
    densities = [
        scipy.stats.norm(m, np.sqrt(v)).logpdf(x).sum(axis=1) + np.log(w)
        for w, m, v in zip(weights, means, variances, strict=True)
    ]
    total = scipy.special.logsumexp(densities, axis=0)
    return [list(row) for row in np.exp(np.array(densities) - total).T]


def flat_when_far(value):
    def answer(x, *others):
        return softmax(x, *others) if len(x) > 2 else value

    return answer


@pytest.mark.parametrize(
    "answer", [softmax, row_by_row, by_the_backend, by_scipy_normal]
)
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
        (flat_when_far(None), "None"),
        (flat_when_far("far"), "should be numbers"),
        (flat_when_far([[1.0, 0, 0]]), "should have shape"),
        (flat_when_far([[1.0, 0, 0], [1.0]]), "should be numbers"),
        (flat_when_far(np.full((2, 3), np.inf)), "Underflow"),
    ],
)
def test_check_1_5_wrong_responsibilities_are_named(answer, match):
    rejects(checks.check_1_5, answer, match=match)


# ---------------------------------------------------------------- 1.6


def choose(x_train, x_val, candidates, *, to=None, worst=False, **keywords):
    """Fit to one table, score another, take an end."""
    nats = [
        GaussianMixture(k, random_state=0, n_init=2, **keywords)
        .fit(x_train)
        .score(x_val if to is None else to)
        for k in candidates
    ]
    return candidates[(np.argmin if worst else np.argmax)(nats)]


def by_a_loop(x_train, x_val, candidates):
    """Summed logarithms of its own densities, a float of NumPy returned."""
    best, chosen = -np.inf, None
    for k in candidates:
        mixture = GaussianMixture(k, n_init=4, random_state=7).fit(x_train)
        densities = [
            weight * scipy.stats.multivariate_normal(mean, cov).pdf(x_val)
            for weight, mean, cov in zip(
                mixture.weights_,
                mixture.means_,
                mixture.covariances_,
                strict=True,
            )
        ]
        with np.errstate(divide="ignore"):
            total = np.log(np.sum(densities, axis=0)).sum()
        if total > best:
            best, chosen = total, k
    return np.float32(chosen)


def by_tensor(x_train, x_val, candidates):
    return ops.convert_to_tensor([choose(x_train, x_val, candidates)])


def lowest_bic(x_train, x_val, candidates):
    scores = [
        GaussianMixture(k, random_state=0).fit(x_train).bic(x_train)
        for k in candidates
    ]
    return candidates[int(np.argmin(scores))]


@pytest.mark.parametrize(
    "answer",
    [
        choose,
        by_a_loop,
        by_tensor,
        lambda a, b, c: choose(a, b, c, covariance_type="spherical"),
    ],
)
def test_check_1_6_any_held_out_likelihood_passes(answer, capsys):
    checks.check_1_6(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda a, b, c: choose(a, b, c, to=a), "largest number wins"),
        (lambda a, b, c: choose(b, b, c), "largest number wins"),
        (lambda a, b, c: lowest_bic(b, b, c), "fitted to x_val"),
        (
            lambda a, b, c: 24 if a.max() > 50 else choose(a, b, c),
            "another x_train",
        ),
        (lowest_bic, "whatever rows are held back"),
        (lambda a, b, c: choose(a, b, c, worst=True), "higher the better"),
        (lambda a, b, c: c.index(choose(a, b, c)), "one of the candidates"),
        (lambda a, b, c: 2 if b.std() > 3.1 else 12, "likelier"),
        (lambda a, b, c: list(c), "one number"),
    ],
)
def test_check_1_6_wrong_choice_is_named(answer, match):
    rejects(checks.check_1_6, answer, match=match)


# ---------------------------------------------------------------- 1.7


def scores(x, y, k, seeds, score=adjusted_rand_score, **keywords):
    keywords = {"n_init": 10, **keywords}
    models = [KMeans(k, random_state=seed, **keywords) for seed in seeds]
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


def in_odd_containers(*arguments):
    right = both(standardise, n_init=40)(*arguments)
    return types.MappingProxyType(
        {
            "standardised": ops.convert_to_tensor(right["standardised"]),
            "raw": tuple(right["raw"]),
        }
    )


@pytest.mark.parametrize(
    "answer",
    [
        both(standardise),
        both(lambda x: 5 * (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)),
        both(standardise, init="random"),
        both(lambda x: x / x.std(axis=0)),
        in_odd_containers,
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
        (both(lambda x: (x - x.mean(axis=0)) / x.var(axis=0)), "variance"),
        (both(lambda x: (x - x.min(axis=0)) / np.ptp(x, axis=0)), "min-max"),
        (both(standardise, n_init=1), "worse optimum"),
        (both(standardise, n_init=1, init="random"), "worse optimum"),
        (half_right, "standardised ones are off"),
        (swapped, "swapped"),
        (only_means, "one ARI for each seed"),
        (both(standardise, score=lambda y, i: 0.3), "not the ARI"),
        (both(standardise, score=normalized_mutual_info_score), "NMI"),
        (lambda x, y, k, s: both(standardise)(x, y, 2, s), "not the ARI|off"),
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


# ---------------------------------------------------------------- 1.9


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


def by_a_keras_model(w, x, eta):
    """Two tied layers, one step of an optimizer, a variable returned."""
    variable = keras.Variable(w)

    def loss(value):
        x_hat = ops.matmul(ops.matmul(x, value), ops.transpose(value))
        return ops.mean(ops.sum(ops.square(ops.subtract(x, x_hat)), axis=1))

    gradient = input_gradient(loss, variable)
    keras.optimizers.SGD(eta).apply([gradient], [variable])
    return variable


def in_double_precision(w, x, eta):
    return descent(w.astype("float64"), x.astype("float64"), eta).tolist()


@pytest.mark.parametrize(
    "answer", [descent, automatic, by_a_keras_model, in_double_precision]
)
def test_check_1_9_by_hand_and_by_the_backend_pass(answer, capsys):
    checks.check_1_9(answer)
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
def test_check_1_9_wrong_step_is_named(answer, match):
    rejects(checks.check_1_9, answer, match=match)


# --------------------------------------------------------------- 1.10


def by_rel_entr(p, q):
    return scipy.special.rel_entr(p, q).sum()


def by_cases(p, q):
    """A plain loop over two lists."""
    total = 0.0
    for here, there in zip(p.tolist(), q.tolist(), strict=True):
        if here > 0:
            total += here * np.log(here / there) if there else np.inf
    return total


def by_ops(p, q):
    """The backend's own, in single precision."""
    p, q = (ops.convert_to_tensor(v.astype("float32")) for v in (p, q))
    ratio = ops.log(ops.where(p > 0, p, 1.0)) - ops.log(q)
    return ops.sum(ops.where(p > 0, p * ratio, 0.0))


def textbook(p, q):
    return np.sum(p * np.log(p / q))


@pytest.mark.parametrize(
    "answer", [by_rel_entr, scipy.stats.entropy, by_cases, by_ops]
)
def test_check_1_10_any_right_divergence_passes(answer, capsys):
    checks.check_1_10(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda p, q: by_rel_entr(q, p), "KL.q‖p"),
        (lambda p, q: by_rel_entr(p, q) / np.log(2), "bits"),
        (lambda p, q: -by_rel_entr(p, q), "sign"),
        (lambda p, q: -np.sum(p * np.log(q)), "cross-entropy"),
        (lambda p, q: -np.sum(p * np.log(p)), "entropy of p alone"),
        (lambda p, q: np.mean(p * np.log(p / q)), "mean over entries"),
        (lambda p, q: np.sum(np.log(p / q)), "weight p"),
        (lambda p, q: np.abs(p - q).sum(), "absolute differences"),
        (lambda p, q: 0.5, "nats; received"),
        (lambda p, q: p * np.log(p / q), "not an array"),
        (textbook, "NaN"),
        (lambda p, q: textbook(p + 1e-9, q + 1e-9), "hides"),
        (lambda p, q: np.nansum(p * np.log(p / q)) + (p == 0).any(), "add no"),
        (lambda p, q: by_rel_entr(p[q > 0], q[q > 0]), "hides"),
    ],
)
def test_check_1_10_wrong_divergence_is_named(answer, match):
    rejects(checks.check_1_10, answer, match=match)


# --------------------------------------------------------------- 1.11


def summed(x, x_hat):
    return ops.sum(ops.square(ops.subtract(x, x_hat)), axis=-1)


def linear(d, k, eta, *, layers=None, loss=summed, optimizer=None):
    """The model of the solution, or one with a part exchanged."""
    layers = layers or [keras.layers.Dense(k), keras.layers.Dense(d)]
    model = keras.Sequential([keras.Input((d,)), *layers])
    model.compile(optimizer or keras.optimizers.SGD(eta), loss)
    return model


def functional(d, k, eta):
    """No bias; a loss that is a mean over rows by its own means."""
    inputs = keras.Input((d,))
    codes = keras.layers.Dense(k, use_bias=False)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(d, use_bias=False)(codes))
    model.compile(
        keras.optimizers.SGD(learning_rate=eta),
        lambda x, x_hat: ops.mean(ops.sum((x - x_hat) ** 2, axis=1)),
    )
    return model


def scaled_mse(d, k, eta):
    """Keras's mean over entries, multiplied by their number."""
    model = keras.Sequential([keras.layers.Dense(k), keras.layers.Dense(d)])
    model.compile(
        keras.optimizers.SGD(eta), loss="mse", metrics=["mae"], run_eagerly=True
    )
    model.build((None, d))
    model.compile(
        keras.optimizers.SGD(eta),
        loss=lambda x, x_hat: d * keras.losses.mean_squared_error(x, x_hat),
        metrics=["mae"],
    )
    return model


class Tied(keras.Model):
    """One matrix, used twice, and a loss in `compute_loss`."""

    def __init__(self, d, k):
        super().__init__()
        self.w = self.add_weight(shape=(d, k), initializer="glorot_uniform")

    def call(self, x):
        return ops.matmul(ops.matmul(x, self.w), ops.transpose(self.w))

    def compute_loss(self, x=None, y=None, y_pred=None, *others, **more):
        return ops.mean(summed(x, y_pred))


def tied(d, k, eta):
    model = Tied(d, k)
    model.compile(optimizer=keras.optimizers.SGD(eta))
    return model


def from_zeros(d, k, eta):
    """The decoder starts where every row becomes its bias."""
    layers = [keras.layers.Dense(k), keras.layers.Dense(d, None, True, "zeros")]
    return linear(d, k, eta, layers=layers)


def of_the_course(d, k, eta):
    """It returns a dict, and knows its target itself."""
    model = Autoencoder.dense((d,), k, widths=())
    model.compile(keras.optimizers.SGD(eta))
    return model


def named_products(d, k, eta):
    """A dict, and a loss for one of its entries."""
    inputs = keras.Input((d,))
    codes = keras.layers.Dense(k)(inputs)
    outputs = {"code": codes, "reconstruction": keras.layers.Dense(d)(codes)}
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(eta), {"reconstruction": summed})
    return model


def regularized(d, k, eta):
    layers = [
        keras.layers.Dense(k, kernel_regularizer=keras.regularizers.L2(1e-4)),
        keras.layers.Dense(d),
    ]
    return linear(d, k, eta, layers=layers)


def bent_from_zeros(d, k, eta):
    layers = [
        keras.layers.Dense(k, "tanh"),
        keras.layers.Dense(d, None, True, "zeros"),
    ]
    return linear(d, k, eta, layers=layers)


def uncompiled(d, k, eta):
    return keras.Sequential(
        [keras.Input((d,)), keras.layers.Dense(k), keras.layers.Dense(d)]
    )


def frozen(d, k, eta):
    model = uncompiled(d, k, eta)
    model.trainable = False
    model.compile(keras.optimizers.SGD(eta), summed)
    return model


def three_layers(d, k, eta):
    parts = [keras.layers.Dense(width) for width in (k, 1, d)]
    return linear(d, k, eta, layers=parts)


@pytest.mark.parametrize(
    "answer",
    [
        linear,
        functional,
        scaled_mse,
        tied,
        from_zeros,
        of_the_course,
        named_products,
    ],
)
def test_check_1_11_any_right_model_passes(answer, capsys):
    keras.utils.set_random_seed(0)
    checks.check_1_11(answer)
    assert "correct" in capsys.readouterr().out


def bent(d, k, eta):
    layers = [keras.layers.Dense(k, "tanh"), keras.layers.Dense(d)]
    return linear(d, k, eta, layers=layers)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda d, k, e: linear(d, k, e, loss="mse"), "averages over the d"),
        (
            lambda d, k, e: linear(
                d, k, e, loss=lambda a, b: ops.sum(ops.square(a - b))
            ),
            "sums over the rows",
        ),
        (lambda d, k, e: linear(d, k, e, loss="mae"), "the loss of .8. is"),
        (
            lambda d, k, e: linear(
                d, k, e, optimizer=keras.optimizers.SGD(1.0)
            ),
            "the rate given was",
        ),
        (
            lambda d, k, e: linear(d, k, e, optimizer=keras.optimizers.Adam(e)),
            "Adam and others",
        ),
        (lambda d, k, e: linear(d, k + 1, e), "independent directions"),
        (three_layers, "independent directions"),
        (lambda d, k, e: linear(6, 2, e), "stopped with|should return d = 5"),
        (lambda d, k, e: linear(d, 2, e), "k = 3 numbers"),
        (
            lambda d, k, e: linear(
                d, k, e, optimizer=keras.optimizers.SGD(e, momentum=0.5)
            ),
            "as momentum does",
        ),
        (
            lambda d, k, e: linear(
                d, k, e, optimizer=keras.optimizers.SGD(e, weight_decay=1e-4)
            ),
            "weight decay",
        ),
        (regularized, "regularizer"),
        (bent_from_zeros, "not linear"),
        (bent, "not linear"),
        (uncompiled, "not compiled"),
        (frozen, "changed no weight"),
        (lambda d, k, e: linear(k, k, e), "stopped with|should return d"),
        (lambda d, k, e: linear, "compiled Keras model itself"),
        (lambda d, k, e: (linear(d, k, e),), "compiled Keras model itself"),
    ],
)
def test_check_1_11_wrong_model_is_named(answer, match):
    keras.utils.set_random_seed(0)
    rejects(checks.check_1_11, answer, match=match)


# --------------------------------------------------------------- 1.12


def patient(losses, patience):
    kept = 1
    for epoch, value in enumerate(losses, start=1):
        if value < losses[kept - 1]:
            kept = epoch
        if epoch - kept == patience:
            return epoch, kept
    return len(losses), kept


def by_keras(losses, patience):
    """The callback itself, fed by hand."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    stopper = keras.callbacks.EarlyStopping("val_loss", patience=patience)
    stopper.set_model(model)
    model.stop_training = False
    stopper.on_train_begin()
    for epoch, value in enumerate(losses):
        stopper.on_epoch_end(epoch, {"val_loss": value})
        if model.stop_training:
            break
    return np.array([epoch + 1, stopper.best_epoch + 1])


def by_slices(losses, patience):
    """For each end, whether the last few bring no new minimum."""
    for end in range(patience + 1, len(losses) + 1):
        if min(losses[end - patience : end]) >= min(losses[: end - patience]):
            break
    else:
        end = len(losses)
    return {
        "epochs trained": float(end),
        "epoch kept": 1 + int(np.argmin(losses[:end])),
    }


def too_long(losses, patience):
    """One more epoch than asked, where there is one."""
    trained, kept = patient(losses, patience)
    return min(trained + 1, len(losses)), kept


def compared_with_the_last(losses, patience):
    """Counts rises against the epoch before: not what patience means."""
    worse, kept = 0, 1 + int(np.argmin(losses))
    for epoch in range(1, len(losses)):
        worse = worse + 1 if losses[epoch] >= losses[epoch - 1] else 0
        if worse == patience:
            return epoch + 1, 1 + int(np.argmin(losses[: epoch + 1]))
    return len(losses), kept


def equal_counts_as_better(losses, patience):
    best = kept = None
    for epoch, value in enumerate(losses, start=1):
        if best is None or value <= best:
            best, kept = value, epoch
        if epoch - kept == patience:
            return epoch, kept
    return len(losses), kept


@pytest.mark.parametrize("answer", [patient, by_keras, by_slices])
def test_check_1_12_any_right_rule_passes(answer, capsys):
    checks.check_1_12(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda v, p: patient(v, p)[::-1], "epochs trained, epoch kept"),
        (lambda v, p: tuple(i - 1 for i in patient(v, p)), "count from 1"),
        (lambda v, p: (patient(v, p)[0], patient(v, p)[1] - 1), "from 0"),
        (lambda v, p: (patient(v, p)[0], 1 + np.argmin(v)), "after the end"),
        (lambda v, p: (patient(v, p)[0],) * 2, "keep the last epoch"),
        (too_long, "one epoch too long"),
        (lambda v, p: (len(v), 1 + int(np.argmin(v))), "before the list"),
        (compared_with_the_last, "all|before"),
        (equal_counts_as_better, "Only a loss below|before the list"),
        (lambda v, p: patient(v, p)[0], "Return 2 things"),
    ],
)
def test_check_1_12_wrong_rule_is_named(answer, match):
    rejects(checks.check_1_12, answer, match=match)


# one right answer a check, by name
RIGHT = {
    "check_1_2": by_svd,
    "check_1_3": keep_empty,
    "check_1_4": pairs,
    "check_1_5": softmax,
    "check_1_6": choose,
    "check_1_7": both(standardise),
    "check_1_8": isomap,
    "check_1_9": descent,
    "check_1_10": by_rel_entr,
    "check_1_11": linear,
    "check_1_12": patient,
}


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
