"""Checks of chapter 6c: wrong answers are named, unusual right ones pass."""

import keras
import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops

from utils.baselines.recommenders import ItemKNN
from utils.checks import chapter_06c
from utils.evaluation import ranking
from utils.models.recommenders import MultVAE

checks = Watched(chapter_06c)

# ---------------------------------------------------------------- 6.1

BEST = 1 + 1 / np.log2(3) + 0.5


@pytest.mark.parametrize("answer", [1.5 / BEST, 0.704, np.array([0.7039])])
def test_check_6_1_right_value_passes(answer, capsys):
    checks.check_6_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (1.5, "Divide by the best"),
        (2 / 3, "recall@5"),
        (1.5 / (BEST + 1 / np.log2(5) + 1 / np.log2(6)), "Only three items"),
        (1.5 / (1 + 1 / np.log2(3)), "best gain of two"),
        ((1 + 1 / 3) / (1 + 1 / 2 + 1 / 3), "rank r itself"),
        ((1 / np.log(2) + 1 / np.log(4)) / BEST, "one base"),
        (0.1, "not nDCG@5"),
        (None, "None"),
    ],
)
def test_check_6_1_wrong_value_is_named(answer, match):
    rejects(checks.check_6_1, answer, match=match)


# ---------------------------------------------------------------- 6.2


def _where(r, p, m):
    known = ops.cast(m, "bool")
    return ops.where(known, r, p) - p


def _right(r, p, m):
    return ops.sum(_where(r, p, m) ** 2) / len(r)


def _by_rows(r, p, m):
    known = ops.cast(m, "bool")
    clean = ops.where(known, r, ops.zeros_like(p))
    masked = ops.cast(m, "float32") * (clean - p)
    return ops.mean(ops.sum(ops.square(masked), axis=1))


@pytest.mark.parametrize("answer", [_right, _by_rows])
def test_check_6_2_right_loss_passes(answer):
    checks.check_6_2(answer)


def _cut(r, p, m):
    return ops.sum(_where(r, ops.stop_gradient(p), m) ** 2) / len(r)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda r, p, m: ops.sum((r - p) ** 2) / len(r), "mask is not used"),
        (
            lambda r, p, m: ops.sum((1 - m) * (r - p) ** 2) / len(r),
            "\\*unobserved\\*",
        ),
        (lambda r, p, m: ops.sum(_where(r, p, m) ** 2), "over the batch"),
        (
            lambda r, p, m: ops.sum(_where(r, p, m) ** 2) / ops.sum(m),
            "number of observed",
        ),
        (lambda r, p, m: ops.mean(_where(r, p, m) ** 2), "all entries"),
        (lambda r, p, m: ops.sum(m * (r - p) ** 2) / len(r), "NaN is NaN"),
        (_cut, "gradient"),
        (lambda r, p, m: _where(r, p, m), "one number"),
        (lambda r, p, m: 3.0, "should be"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6_2_wrong_loss_is_named(answer, match):
    rejects(checks.check_6_2, answer, match=match)


# ---------------------------------------------------------------- 6.3


def _loop(scores, seen, k):
    lists = []
    for row, had in zip(scores, seen, strict=True):
        new = [i for i in np.argsort(-row) if not had[i]]
        lists.append(new[:k])
    return lists


def _in_place(scores, seen, k):
    scores[seen > 0] = -np.inf
    return np.argsort(-scores, axis=1)[:, :k]


@pytest.mark.parametrize("answer", [_loop, ranking.top_k])
def test_check_6_3_right_lists_pass(answer):
    checks.check_6_3(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda s, m, k: ranking.top_k(s, k=k), "already have"),
        (lambda s, m, k: ranking.top_k(s * (1 - m), k=k), "use −∞"),
        (lambda s, m, k: ranking.top_k(-s, m, k=k), "worst"),
        (lambda s, m, k: ranking.top_k(s, m, k)[:, ::-1], "wrong order"),
        (lambda s, m, k: -np.sort(-s, axis=1)[:, :k], "not scores"),
        (_in_place, "changed an array"),
        (lambda s, m, k: ranking.top_k(s, m, 5), "shape"),
        (lambda s, m, k: ranking.top_k(s, m, 4), "shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6_3_wrong_lists_are_named(answer, match):
    rejects(checks.check_6_3, answer, match=match)


# ---------------------------------------------------------------- 6.4


def _by_sklearn(x):
    from sklearn.metrics.pairwise import cosine_similarity

    similarity = cosine_similarity(x.T)
    return x @ (similarity - np.diag(np.diag(similarity)))


def _nan(x):
    length = np.linalg.norm(x, axis=0)
    with np.errstate(invalid="ignore"):
        cosine = x.T @ x / np.outer(length, length)
    return x @ cosine


def _of_users(x):
    rows = x / np.linalg.norm(x, axis=1, keepdims=True)
    return rows @ rows.T @ x


@pytest.mark.parametrize("answer", [_by_sklearn, checks._cosine_scores])
def test_check_6_4_right_scores_pass(answer):
    checks.check_6_4(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda x: checks._cosine_scores(x, diagonal=None), "own neighbour"),
        (lambda x: checks._cosine_scores(x, norm=False), "joint users"),
        (_of_users, "compared users"),
        (_nan, "length of 0"),
        (lambda x: x, "not x S"),
        (lambda x: x.T, "shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6_4_wrong_scores_are_named(answer, match):
    rejects(checks.check_6_4, answer, match=match)


# ---------------------------------------------------------------- 6.5


def _neighbours(seen):
    return ItemKNN(60).fit(seen).predict_scores(seen)


@pytest.mark.slow
def test_check_6_5_variational_autoencoder_passes():
    fast = keras.backend.backend() == "tensorflow"

    def recommend(seen):
        model = MultVAE.dense(seen.shape[1], 32, widths=(128,), seed=0)
        model.compile(
            keras.optimizers.Adam(5e-3),
            steps_per_execution=10 if fast else 1,
        )
        model.fit(seen, batch_size=128, epochs=25, verbose=0)
        return model.reconstruct(seen)

    checks.check_6_5(recommend)


def test_check_6_5_neighbours_pass():
    checks.check_6_5(_neighbours)


def _popularity(seen):
    return np.tile(seen.sum(axis=0), (len(seen), 1))


def _full_matrix(seen):
    from utils.data import interactions

    return interactions.load_imports().matrix


@pytest.mark.parametrize(
    "answer, match",
    [
        (_popularity, "what popularity finds"),
        (lambda seen: -_neighbours(seen), "below popularity"),
        (_full_matrix, "full matrix"),
        (lambda seen: _neighbours(seen)[:, :10], "shape"),
        (lambda seen: np.full(seen.shape, np.nan), "NaN"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6_5_wrong_recommender_is_named(answer, match):
    rejects(checks.check_6_5, answer, match=match)


# ---------------------------------------------------------------- 6.6


def _reserve(places, by_score=True):
    def lists(scores, seen, popularity):
        plain = np.where(seen > 0, -np.inf, scores)
        made = np.argsort(-plain, axis=1)[:, :10]
        rare = popularity <= np.quantile(popularity, 0.8)
        kept = 10 - places
        value = np.where(rare, plain if by_score else -plain, -np.inf)
        value = np.where(np.isfinite(plain), value, -np.inf)
        for user, row in enumerate(np.argsort(-value, axis=1)):
            fresh = [i for i in row[:25] if i not in made[user, :kept]]
            made[user, kept:] = fresh[:places]
        return made

    return lists


@pytest.mark.parametrize("answer", [_reserve(3), _reserve(2)])
def test_check_6_6_right_lists_pass(answer):
    checks.check_6_6(answer)


def _plain(scores, seen, popularity):
    return ranking.top_k(scores, seen)


def _twice(scores, seen, popularity):
    lists = ranking.top_k(scores, seen)
    lists[:, 1] = lists[:, 0]
    return lists


@pytest.mark.parametrize(
    "answer, match",
    [
        (_plain, "needed are 20 %"),
        (_reserve(8), "is left"),
        (lambda s, m, p: ranking.top_k(s / np.maximum(p, 1), m), "is left"),
        (lambda s, m, p: ranking.top_k(s), "already has"),
        (_twice, "names an item twice"),
        (lambda s, m, p: s[:, :10] + 0.5, "not scores"),
        (lambda s, m, p: ranking.top_k(s, m, k=5), "shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6_6_wrong_lists_are_named(answer, match):
    rejects(checks.check_6_6, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
