"""Checks of chapter 6f: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans
from sklearn.manifold import TSNE
from sklearn.metrics import calinski_harabasz_score
from sklearn.mixture import GaussianMixture

from utils.baselines import clusterings
from utils.checks import chapter_06f
from utils.models import clustering

checks = Watched(chapter_06f)


@pytest.mark.parametrize(
    "answer", [0.63, np.float32(0.63), [0.63], np.float16(0.63)]
)
def test_check_6f_1_right_value_passes(answer, capsys):
    checks.check_6f_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (63, "asks for a share"),
        (0.40, "largest entry first"),
        (0.68, "the purity"),
        (0.5, "not the best matching"),
        (None, "waits for your answer"),
    ],
)
def test_check_6f_1_wrong_value_is_named(answer, match):
    rejects(checks.check_6f_1, answer, match=match)


def _squared(codes, centers):
    return ((codes[:, None] - centers[None]) ** 2).sum(axis=2)


def _rows(kernel):
    return kernel / kernel.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "answer",
    [
        clustering.soft_assignment,
        lambda z, m: np.array(_rows(1 / (1 + _squared(z, m)))).tolist(),
        lambda z, m: ops.softmax(-ops.log(1.0 + _squared(z, m)), axis=1),
        lambda z, m: _rows(1 / (1 + _squared(z, m))).astype("float16"),
    ],
)
def test_check_6f_2_right_answer_passes(answer):
    checks.check_6f_2(answer)


def _moved(z, m):
    z -= m[0]
    return _rows(1 / (1 + _squared(z, m - m[0])))


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (_moved, "changed an array"),
        (lambda z, m: 1 / (1 + _squared(z, m)), "before the division"),
        (lambda z, m: _rows(1 / (1 + _squared(z, m)).T).T, "over the rows"),
        (lambda z, m: _rows(1 / (1 + _squared(z, m) ** 0.5)), "be squared"),
        (lambda z, m: _rows(np.exp(-_squared(z, m))), "Gaussian kernel"),
        (lambda z, m: _rows(1 + _squared(z, m)), "farthest"),
        (lambda z, m: _rows(1 / (1 + _squared(z, m))).T, "clusters in lines"),
        (lambda z, m: _rows(1 / (2 + _squared(z, m))), "not the q"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6f_2_wrong_answer_is_named(answer, match):
    rejects(checks.check_6f_2, answer, match=match)


@pytest.mark.parametrize(
    "answer",
    [
        clustering.target_distribution,
        lambda q: _rows(q**2 / q.mean(axis=0)),  # the constant cancels
        lambda q: _rows(np.float64(q) ** 2 / np.float64(q).sum(0)).tolist(),
        lambda q: ops.softmax(2 * ops.log(q) - ops.log(ops.sum(q, 0)), axis=1),
        lambda q: _rows(q**2 / q.sum(axis=0)).astype("float16"),
    ],
)
def test_check_6f_3_right_answer_passes(answer):
    checks.check_6f_3(answer)


def _in_place(q):
    q /= q.sum(axis=0)
    return _rows(q)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda q: _rows(q**2), "divide by f_k"),
        (lambda q: q**2 / q.sum(axis=0), "last step is missing"),
        (lambda q: _rows((q**2 / q.sum(0)).T).T, "over the rows"),
        (lambda q: _rows(q / q.sum(axis=0)), "square is missing"),
        (lambda q: q, "q itself"),
        (_in_place, "changed the array"),
        (lambda q: _rows(q**3), "not the p"),
    ],
)
def test_check_6f_3_wrong_answer_is_named(answer, match):
    rejects(checks.check_6f_3, answer, match=match)


def _loss(p, o, b):
    a = ((p + o) / 2).mean(axis=0)
    return -np.log((p * o).sum(1)).mean() + b * (a * np.log(a)).sum()


def _wrong_sign(p, o, b):
    a = ((p + o) / 2).mean(axis=0)
    return -np.log((p * o).sum(1)).mean() - b * (a * np.log(a)).sum()


def _row_entropies(p, o, b):
    rows = np.concatenate([p, o])
    h = -(rows * np.log(rows)).sum(axis=1).mean()
    return -np.log((p * o).sum(1)).mean() - b * h


def _with_log_of_mean(p, o, b):
    pull = -np.log((p * o).sum(1)).mean()
    return _loss(p, o, b) - pull - np.log((p * o).sum(1).mean())


@pytest.mark.parametrize(
    "answer",
    [
        _loss,
        lambda p, o, b: ops.convert_to_tensor(_loss(p, o, b)),
        lambda p, o, b: np.array([_loss(o, p, b)]),
        lambda p, o, b: _loss(np.float16(p), np.float16(o), b),
    ],
)
def test_check_6f_4_right_answer_passes(answer):
    checks.check_6f_4(answer)


def _emptied(p, o, b):
    loss = _loss(p, o, b)
    p *= 0
    return loss


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (_emptied, "changed an array"),
        (lambda p, o, b: _loss(p, o, 2.0), "argument `balance`"),
        (_wrong_sign, "sign of the entropy"),
        (_row_entropies, "entropies of single rows"),
        (_with_log_of_mean, "logarithm of the mean"),
        (lambda p, o, b: -np.log((p * o).sum(1)).mean(), "entropy is missing"),
        (lambda p, o, b: _loss(p, o, 1.0), "`balance` is missing"),
        (lambda p, o, b: _loss(p, o, b) / np.log(2), "bits"),
        (lambda p, o, b: _loss(p, o, b) + 1, "should be"),
    ],
)
def test_check_6f_4_wrong_answer_is_named(answer, match):
    rejects(checks.check_6f_4, answer, match=match)


def _on_a_map(x, k):
    plane = TSNE(init="pca", random_state=0, max_iter=400).fit_transform(x)
    return clusterings.cluster_codes(plane, k)


@pytest.mark.parametrize(
    "answer",
    [
        lambda x, k: clusterings.cluster_codes(x, k, "spectral"),
        lambda x, k: AgglomerativeClustering(k).fit_predict(x).tolist(),
        lambda x, k: ops.convert_to_tensor(_on_a_map(x, k)),
    ],
)
def test_check_6f_5_right_answer_passes(answer):
    checks.check_6f_5(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (
            lambda x, k: KMeans(k, n_init=5, random_state=0).fit_predict(x),
            "ARI",
        ),
        (lambda x, k: np.arange(len(x)) % k, "no better than chance"),
        (lambda x, k: np.zeros(len(x), int), "returned 1"),
        (lambda x, k: np.eye(k)[np.arange(len(x)) % k], "one integer a row"),
        (lambda x, k: np.arange(5), "ids came back"),
        (lambda x, k: np.arange(len(x)) / 3, "should be integers"),
    ],
)
def test_check_6f_5_wrong_answer_is_named(answer, match):
    rejects(checks.check_6f_5, answer, match=match)


def _choose(score):
    def answer(rows, candidates):
        values = [
            score(rows, clusterings.cluster_codes(rows, k)) for k in candidates
        ]
        return candidates[int(np.argmax(values))]

    return answer


def _inertia(rows, ids):
    return -sum(
        ((rows[ids == k] - rows[ids == k].mean(0)) ** 2).sum()
        for k in np.unique(ids)
    )


def _least_bic(rows, candidates):
    fits = [
        GaussianMixture(
            k, covariance_type="spherical", n_init=5, random_state=0
        ).fit(rows)
        for k in candidates
    ]
    return np.array([candidates[np.argmin([f.bic(rows) for f in fits])]])


def _dense_regions(rows, candidates):
    return np.float32(HDBSCAN(10, copy=True).fit_predict(rows).max() + 1)


@pytest.mark.parametrize(
    "answer",
    [_choose(calinski_harabasz_score), _least_bic, _dense_regions],
)
def test_check_6f_6_another_criterion_passes(answer):
    checks.check_6f_6(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda rows, c: 4, "whatever the rows are"),
        (lambda rows, c: 10, "none of the candidates"),
        (lambda rows, c: c[len(rows) % 2], "well separated groups|whatever"),
        (_choose(_inertia), "whatever the rows|too many"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6f_6_wrong_answer_is_named(answer, match):
    rejects(checks.check_6f_6, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
