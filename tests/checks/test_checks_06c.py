"""Checks of chapter 6c: wrong answers are named, unusual right ones pass."""

import keras
import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops

from utils.baselines.recommenders import EASE, ItemKNN
from utils.checks import chapter_06c
from utils.data import interactions
from utils.evaluation import ranking
from utils.models.recommenders import MultVAE

checks = Watched(chapter_06c)

# ---------------------------------------------------------------- 6c.1

BEST = 1 + 1 / np.log2(3) + 0.5


@pytest.mark.parametrize(
    "answer", [1.5 / BEST, 0.704, np.array([0.7039]), np.float32(0.7039)]
)
def test_check_6c_1_right_value_passes(answer, capsys):
    checks.check_6c_1(answer)
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
def test_check_6c_1_wrong_value_is_named(answer, match):
    rejects(checks.check_6c_1, answer, match=match)


# ---------------------------------------------------------------- 6c.2


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


def _by_selection(r, p, m):
    known = ops.cast(m, "bool")
    r = ops.where(known, r, 0.0)
    p = ops.where(known, p, 0.0)
    return ops.mean(ops.sum((r - p) ** 2, axis=-1))[None]


def _as_dtype(r, p, m):
    zero = ops.cast(0.0, r.dtype)
    seen = ops.not_equal(m, 0)
    error = ops.where(seen, r, zero) - p * ops.cast(seen, p.dtype)
    return ops.sum(error * error) / ops.cast(ops.shape(r)[0], r.dtype)


def _in_half(r, p, m):
    return ops.cast(_right(r, p, m), "float16")


@pytest.mark.parametrize(
    "answer", [_right, _by_rows, _by_selection, _as_dtype, _in_half]
)
def test_check_6c_2_right_loss_passes(answer):
    checks.check_6c_2(answer)


def _trap(r, p, m):
    # the value is right; the slope of the branch not taken is NaN
    return ops.sum(ops.where(m > 0, (r - p) ** 2, 0.0)) / len(r)


def _of_raters(r, p, m):
    raters = ops.sum(ops.cast(ops.any(m > 0, axis=1), "float32"))
    return ops.sum(_where(r, p, m) ** 2) / raters


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
        (_cut, "slope 0, in an observed one"),
        (_trap, "runs through the branch not taken"),
        (_of_raters, "number of rows"),
        (lambda r, p, m: ops.sum(_where(r, p, m) ** 2) / 6, "number of rows"),
        (lambda r, p, m: _where(r, p, m), "one number"),
        (lambda r, p, m: 3.0, "should be"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6c_2_wrong_loss_is_named(answer, match):
    rejects(checks.check_6c_2, answer, match=match)


# ---------------------------------------------------------------- 6c.3


def _loop(scores, seen, k):
    lists = []
    for row, had in zip(scores, seen, strict=True):
        new = [i for i in np.argsort(-row) if not had[i]]
        lists.append(new[:k])
    return lists


def _in_place(scores, seen, k):
    scores[seen > 0] = -np.inf
    return np.argsort(-scores, axis=1)[:, :k]


def _floats(scores, seen, k):
    order = np.lexsort((-scores, seen > 0), axis=1)
    return order[:, :k].astype("float32")


def _partitioned(scores, seen, k):
    left = np.where(seen > 0, -np.inf, scores)
    return np.argpartition(-left, k, axis=1)[:, :k]


@pytest.mark.parametrize("answer", [_loop, ranking.top_k, _floats])
def test_check_6c_3_right_lists_pass(answer):
    checks.check_6c_3(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda s, m, k: ranking.top_k(s, k=k), "already have"),
        (lambda s, m, k: ranking.top_k(s * (1 - m), k=k), "use −∞"),
        (lambda s, m, k: ranking.top_k(-s, m, k=k), "worst"),
        (lambda s, m, k: ranking.top_k(s, m, k)[:, ::-1], "wrong order"),
        (lambda s, m, k: -np.sort(-s, axis=1)[:, :k], "not scores"),
        (_in_place, "changed an array"),
        (_partitioned, "wrong order"),
        (
            lambda s, m, k: ranking.top_k(np.where(m > 0, s.min(), s), k=k),
            "not the four best",
        ),
        (lambda s, m, k: ranking.top_k(s, m, 5), "shape"),
        (lambda s, m, k: ranking.top_k(s, m, 4), "shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6c_3_wrong_lists_are_named(answer, match):
    rejects(checks.check_6c_3, answer, match=match)


# ---------------------------------------------------------------- 6c.4


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


def _by_columns(x):
    made = np.zeros_like(x, dtype="float32")
    for j in range(x.shape[1]):
        for i in range(x.shape[1]):
            joint = x[:, i] @ x[:, j]
            if i != j and joint:
                made[:, j] += (
                    x[:, i] * joint / np.sqrt(x[:, i].sum() * x[:, j].sum())
                )
    return made.tolist()


def _scores_in_half(x):
    return _by_sklearn(x).astype("float16")


@pytest.mark.parametrize(
    "answer",
    [_by_sklearn, checks._cosine_scores, _by_columns, _scores_in_half],
)
def test_check_6c_4_right_scores_pass(answer):
    checks.check_6c_4(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda x: checks._cosine_scores(x, diagonal=None), "own neighbour"),
        (lambda x: checks._cosine_scores(x, norm=False), "joint users"),
        (_of_users, "compared users"),
        (_nan, "length of 0"),
        (lambda x: x, "not x S"),
        (lambda x: x.T, "shape"),
        (lambda x: "scores", "should be numbers"),
        (lambda x: [[1.0, 2.0], [3.0]], "as many in each row"),
        (lambda x: {"scores": x}, "should be numbers"),
        (lambda x: None, "not be None"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6c_4_wrong_scores_are_named(answer, match):
    rejects(checks.check_6c_4, answer, match=match)


# ---------------------------------------------------------------- 6c.5


def _neighbours(seen):
    return ItemKNN(60).fit(seen).predict_scores(seen)


@pytest.mark.slow
def test_check_6c_5_variational_autoencoder_passes():
    fast = keras.backend.backend() == "tensorflow"

    def recommend(seen):
        model = MultVAE.dense(seen.shape[1], 32, widths=(128,), seed=0)
        model.compile(
            keras.optimizers.Adam(5e-3),
            steps_per_execution=10 if fast else 1,
        )
        model.fit(seen, batch_size=128, epochs=25, verbose=0)
        return model.reconstruct(seen)

    checks.check_6c_5(recommend)


def _linear(seen):
    return EASE(30.0).fit(seen).predict_scores(seen).astype("float32")


def _mixed(seen):
    return (_neighbours(seen) + 3 * _linear(seen)).tolist()


def _without_seen(seen):
    return np.where(seen > 0, -np.inf, _neighbours(seen))


def _as_memory(seen):
    return memoryview(_neighbours(seen))


@pytest.mark.parametrize(
    "answer", [_neighbours, _linear, _mixed, _without_seen, _as_memory]
)
def test_check_6c_5_right_recommender_passes(answer):
    checks.check_6c_5(answer)


def _popularity(seen):
    return np.tile(seen.sum(axis=0), (len(seen), 1))


IMPORTS = interactions.load_imports().matrix


def _shuffled_imports(seen):
    """By one who knows how the check shuffles them."""
    rng = np.random.default_rng(2024)
    users, items = map(rng.permutation, IMPORTS.shape)
    return IMPORTS[users][:, items]


def _in_place(seen):
    scores = _neighbours(seen)
    seen[seen == 0] = -1
    return scores


@pytest.mark.parametrize(
    "answer, match",
    [
        (_popularity, "what popularity finds"),
        (lambda seen: -_neighbours(seen), "below popularity"),
        (lambda seen: IMPORTS, "use `seen` alone"),
        (lambda seen: _neighbours(IMPORTS), "order of the chapter"),
        (
            lambda seen: ItemKNN(60).fit(IMPORTS).predict_scores(seen),
            "come from `seen` alone",
        ),
        (_shuffled_imports, "more than any honest"),
        (lambda seen: np.argsort(-_neighbours(seen), axis=1), "`argsort`"),
        (_in_place, "make a copy"),
        (lambda seen: _neighbours(seen)[:, :10], "shape"),
        (lambda seen: np.full(seen.shape, np.nan), "NaN"),
        (lambda seen: _neighbours(seen) / 0, "NaN"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6c_5_wrong_recommender_is_named(answer, match):
    rejects(checks.check_6c_5, answer, match=match)


# ---------------------------------------------------------------- 6c.6


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


def _as_lists(scores, seen, popularity):
    return [
        list(map(float, row)) for row in _reserve(2)(scores, seen, popularity)
    ]


def _just_enough(scores, seen, popularity):
    """A bonus for all but the 38 most popular of 193, as small as it may be."""
    rare = np.ones(len(popularity))
    rare[np.argsort(-popularity)[: len(popularity) // 5]] = 0

    def lists(bonus):
        raised = np.where(seen > 0, -np.inf, scores + bonus * rare)
        return np.argsort(-raised, axis=1)[:, :10]

    low, high = 0.0, 1.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        enough = rare[lists(middle)].mean() >= 0.2
        low, high = (low, middle) if enough else (middle, high)
    return lists(high)


@pytest.mark.parametrize(
    "answer", [_reserve(3), _reserve(2), _as_lists, _just_enough]
)
def test_check_6c_6_right_lists_pass(answer):
    checks.check_6c_6(answer)


def _plain(scores, seen, popularity):
    return ranking.top_k(scores, seen)


def _masked_in_place(scores, seen, popularity):
    scores[seen > 0] = -np.inf
    return _reserve(2)(scores, seen, popularity)


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
        (lambda s, m, p: ranking.top_k(s, m) - 193, "not scores"),
        (lambda s, m, p: np.full((len(s), 10), 1e30), "beyond the last"),
        (_masked_in_place, "make a copy"),
        (_reserve(1), "needed are 20 %"),
        (lambda s, m, p: ranking.top_k(s, m, k=5), "shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6c_6_wrong_lists_are_named(answer, match):
    rejects(checks.check_6c_6, answer, match=match)


# ---------------------------------------------------------------- 6c.7


def _chain(sequences, num_items, a, prior=None, count=1.0, sums=True):
    pairs = np.zeros((num_items, num_items))
    popular = np.zeros(num_items)
    for events in sequences:
        np.add.at(popular, events, 1)
        np.add.at(pairs, (events[:-1], events[1:]), count)
    popular = popular / popular.sum() if prior is None else prior
    made = pairs + a * popular
    return made / made.sum(axis=1, keepdims=True) if sums else made


def _by_dict(sequences, num_items, a):
    from collections import Counter

    events = Counter(e for s in sequences for e in s.tolist())
    pairs = Counter()
    for s in sequences:
        pairs.update(zip(s[:-1].tolist(), s[1:].tolist(), strict=True))
    total = sum(events.values())
    rows = []
    for i in range(num_items):
        row = [pairs[i, j] + a * events[j] / total for j in range(num_items)]
        rows.append([value / sum(row) for value in row])
    return rows


def _by_sparse(sequences, num_items, a):
    import scipy.sparse

    shape = (num_items, num_items)
    last = np.concatenate([s[:-1] for s in sequences])
    after = np.concatenate([s[1:] for s in sequences])
    pairs = scipy.sparse.coo_matrix((np.ones(len(last)), (last, after)), shape)
    share = np.bincount(np.concatenate(sequences), minlength=num_items)
    made = pairs.toarray() + a * share / share.sum()
    return ops.convert_to_tensor(
        (made / made.sum(1)[:, None]).astype("float32")
    )


def _chain_in_half(sequences, num_items, a):
    return _chain(sequences, num_items, a).astype("float16")


@pytest.mark.parametrize(
    "answer", [_chain, _by_dict, _by_sparse, _chain_in_half]
)
def test_check_6c_7_right_probabilities_pass(answer):
    checks.check_6c_7(answer)


def _across(sequences, num_items, a):
    whole = np.concatenate(sequences)
    share = np.bincount(whole, minlength=num_items) / len(whole)
    return _chain([whole], num_items, a, share)


def _once(sequences, num_items, a):
    pairs = np.zeros((num_items, num_items))
    for events in sequences:
        for last, following in zip(events[:-1], events[1:], strict=True):
            pairs[last, following] = 1
    whole = np.concatenate(sequences)
    made = pairs + a * np.bincount(whole, minlength=num_items) / len(whole)
    return made / made.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda s, n, a: _chain(s, n, a).T, "swapped"),
        (lambda s, n, a: _chain(s, n, a, sums=False), "divide each row"),
        (_across, "across the end"),
        (lambda s, n, a: _chain(s, n, a, np.full(n, 1 / n)), "popularity"),
        (lambda s, n, a: _chain(s, n, a, np.ones(n)), "to every count"),
        (_once, "counted once"),
        (lambda s, n, a: _chain(s, n, 0.0), "pseudo-calls first"),
        (lambda s, n, a: _chain(s, n, 2.0), "use the argument"),
        (lambda s, n, a: np.ones((n, n)), "sum to 1"),
        (lambda s, n, a: np.full((n, n), 1 / n), "After item"),
        (lambda s, n, a: np.ones(n), "shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6c_7_wrong_probabilities_are_named(answer, match):
    rejects(checks.check_6c_7, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
