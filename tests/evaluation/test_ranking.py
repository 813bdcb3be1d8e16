"""Ranking metrics by hand, hidden items."""

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from utils.evaluation import ranking
from utils.evaluation.ranking import (
    hide_items,
    hide_latest,
    ndcg_at_k,
    recall_at_k,
)


@pytest.fixture(scope="module")
def feedback():
    rng = np.random.default_rng(0)
    x = (rng.random((60, 30)) < 0.3).astype("float32")
    x[:, 0] = 1.0  # nobody is empty
    return x


# ---------------------------------------------------------------- metrics


def test_ndcg_hand_computed():
    scores = np.array([[5.0, 4.0, 3.0, 2.0]])
    hidden = np.array([[0.0, 1.0, 0.0, 1.0]])
    # hits at ranks 2 and 4; at best at ranks 1 and 2
    gain = 1 / np.log2(3) + 1 / np.log2(5)
    best = 1 / np.log2(2) + 1 / np.log2(3)
    assert ndcg_at_k(scores, hidden, k=4) == pytest.approx(gain / best)
    # k = 3: one hit at rank 2 of two possible
    cut = (1 / np.log2(3)) / best
    assert ndcg_at_k(scores, hidden, k=3) == pytest.approx(cut)
    # k = 1: nothing
    assert ndcg_at_k(scores, hidden, k=1) == 0.0


def test_recall_hand_computed():
    scores = np.array([[5.0, 4.0, 3.0, 2.0], [1.0, 2.0, 3.0, 4.0]])
    hidden = np.array([[0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
    # first user: 1 of 2 found; second: its only one
    assert recall_at_k(scores, hidden, k=2) == pytest.approx(0.75)
    # k = 1: at most one can be found, so the first user's best is 1, not ½
    assert recall_at_k(scores, hidden, k=1) == pytest.approx(0.5)


def test_metrics_seen_items_are_not_recommended():
    scores = np.array([[9.0, 8.0, 1.0]])
    seen, hidden = np.array([[1, 1, 0]]), np.array([[0, 0, 1]])
    assert recall_at_k(scores, hidden, seen, k=1) == 1.0
    assert recall_at_k(scores, hidden, k=1) == 0.0


def test_metrics_users_with_nothing_hidden_do_not_count():
    scores = np.array([[2.0, 1.0], [2.0, 1.0]])
    hidden = np.array([[1, 0], [0, 0]])
    assert recall_at_k(scores, hidden, k=1) == 1.0
    assert ndcg_at_k(scores, hidden, k=1) == 1.0


@pytest.mark.parametrize("k", [1, 3, 10, 30])
def test_ndcg_equals_scikit_learn(feedback, rng, k):
    scores = rng.standard_normal(feedback.shape)
    expected = ndcg_score(feedback, scores, k=k)
    assert ndcg_at_k(scores, feedback, k=k) == pytest.approx(expected)


def test_metrics_perfect_order_gives_one_and_reversed_nothing(feedback):
    assert recall_at_k(feedback, feedback, k=5) == 1.0
    assert ndcg_at_k(feedback, feedback, k=5) == pytest.approx(1.0)
    few = np.zeros((4, 30))
    few[:, 3] = 1
    assert ndcg_at_k(-few, few, k=10) == 0.0


def test_metrics_of_chance_are_near_k_over_items(rng):
    hidden = np.zeros((4000, 40))
    hidden[np.arange(4000), rng.integers(0, 40, 4000)] = 1
    found = recall_at_k(rng.standard_normal(hidden.shape), hidden, k=10)
    assert found == pytest.approx(0.25, abs=0.03)


def test_top_k_best_first_ties_in_column_order():
    scores = [[1.0, 3.0, 3.0, 2.0]]
    np.testing.assert_array_equal(ranking.top_k(scores, k=4), [[1, 2, 3, 0]])
    seen = [[0, 1, 0, 0]]
    np.testing.assert_array_equal(ranking.top_k(scores, seen, k=2), [[2, 3]])


@pytest.mark.parametrize(
    "arguments, match",
    [
        (([[1.0, np.nan]], [[1, 0]]), "NaN"),
        (([[1.0, 2.0]], [[1, 0, 0]]), "hidden"),
        (([[1.0, 2.0]], [[1, 0], [0, 1]]), "hidden: expected 1 rows"),
        (([[1.0, 2.0]], [[0, 0]]), "at least one hidden item"),
        (([[1.0, 2.0]], [[0.5, 0]]), "entries 0 or 1"),
    ],
)
@pytest.mark.parametrize("metric", [recall_at_k, ndcg_at_k])
def test_metrics_wrong_input_is_named(metric, arguments, match):
    with pytest.raises(ValueError, match=match):
        metric(*arguments, k=1)


def test_metrics_list_longer_than_the_items_is_refused():
    with pytest.raises(ValueError, match="k: expected an integer from 1 to 2"):
        recall_at_k([[1.0, 2.0]], [[1, 0]], k=10)


# ---------------------------------------------------------------- hiding


def test_hide_items_splits_each_user_s_items(feedback):
    seen, hidden = hide_items(feedback, 0.25, min_items=5, seed=1)
    np.testing.assert_array_equal(seen + hidden, feedback)
    assert not (seen * hidden).any()
    count, gone = feedback.sum(1), hidden.sum(1)
    many = count >= 5
    np.testing.assert_array_equal(
        gone[many], np.clip(np.round(0.25 * count[many]), 1, None)
    )
    assert (gone[~many] == 0).all()
    assert seen.any(axis=1).all()


def test_hide_items_depends_on_the_seed_and_is_even(feedback):
    splits = [hide_items(feedback, 0.3, seed=seed)[1] for seed in range(40)]
    assert not np.array_equal(splits[0], splits[1])
    np.testing.assert_array_equal(
        splits[3], hide_items(feedback, 0.3, seed=3)[1]
    )
    rate = np.mean(splits, axis=0)[feedback.sum(1) >= 5]
    inside = rate[feedback[feedback.sum(1) >= 5] > 0]
    assert inside.min() > 0.05 and inside.max() < 0.65


@pytest.mark.parametrize(
    "arguments, match",
    [
        ({"share": 1.0}, "strictly between"),
        ({"share": 2.0}, "share"),
        ({"min_items": 1}, "min_items"),
        ({"min_items": 31}, "a user with 31 items"),
        ({"seed": -1}, "seed"),
    ],
)
def test_hide_items_wrong_arguments_are_named(feedback, arguments, match):
    with pytest.raises(ValueError, match=match):
        hide_items(feedback, **arguments)


def test_hide_items_counts_are_no_implicit_feedback():
    with pytest.raises(ValueError, match="entries 0 or 1; received 3"):
        hide_items(np.array([[3.0, 1.0], [1.0, 1.0]]))


# ------------------------------------------------------------- in order


def test_hide_latest_hand_computed():
    x = np.array([[1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]])
    times = np.array([[50, 10, 20, 90, 70, 999], [1, 2, 3, 4, 5, 6]])
    seen, hidden = hide_latest(x, times, 0.4)
    np.testing.assert_array_equal(
        hidden, [[0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0]]
    )
    np.testing.assert_array_equal(seen + hidden, x)
    assert seen.dtype == hidden.dtype == np.float32


def test_hide_latest_hides_as_many_as_hide_items(feedback, rng):
    times = rng.integers(0, 5, feedback.shape)  # with ties
    seen, hidden = hide_latest(feedback, times, 0.3, min_items=6)
    other = hide_items(feedback, 0.3, min_items=6)[1]
    np.testing.assert_array_equal(hidden.sum(axis=1), other.sum(axis=1))
    late = np.where(hidden > 0, times, 9).min(axis=1)
    early = np.where(seen > 0, times, -1).max(axis=1)
    assert (early <= late)[hidden.any(axis=1)].all()
    again = hide_latest(feedback, times + 1e9, 0.3, min_items=6)[1]
    np.testing.assert_array_equal(again, hidden)


def test_hide_latest_misuse_is_named(feedback):
    with pytest.raises(ValueError, match=r"times: expected shape \(n, 30\)"):
        hide_latest(feedback, feedback[:, :4])
    with pytest.raises(ValueError, match="times: expected 60 rows"):
        hide_latest(feedback, feedback[:3])
    with pytest.raises(ValueError, match="NaN"):
        hide_latest(feedback, np.full(feedback.shape, np.nan))
    with pytest.raises(ValueError, match="share"):
        hide_latest(feedback, feedback, 1.0)
    with pytest.raises(ValueError, match="min_items"):
        hide_latest(feedback, feedback, min_items=1)
