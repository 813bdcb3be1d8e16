"""Classical recommenders by hand, and what they owe to a ranking."""

import numpy as np
import pytest

from utils.baselines.recommenders import (
    EASE,
    ItemKNN,
    LatentFactors,
    Popularity,
)
from utils.evaluation.ranking import hide_items, recall_at_k


@pytest.fixture(scope="module")
def feedback():
    rng = np.random.default_rng(0)
    x = (rng.random((60, 30)) < 0.3).astype("float32")
    x[:, 0] = 1.0  # nobody is empty
    return x


def test_popularity_is_the_same_for_everybody_even_for_empty_users(feedback):
    popular = Popularity().fit(feedback)
    scores = popular.predict_scores(np.zeros((2, 30)))
    np.testing.assert_array_equal(scores[0], feedback.sum(0))
    np.testing.assert_array_equal(scores[0], scores[1])


def test_item_knn_hand_computed():
    x = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]])
    knn = ItemKNN(2).fit(x)
    # cosines: (0,1) 2/√6, (0,2) 1/√3, (1,2) 0
    np.testing.assert_allclose(
        knn.predict_scores([[1, 0, 0]]),
        [[0, 2 / np.sqrt(6), 1 / np.sqrt(3)]],
    )
    nearest = ItemKNN(1).fit(x)
    # column 1 keeps its one neighbour 0, and so does column 2
    np.testing.assert_allclose(
        nearest.predict_scores([[0, 1, 0]]), [[2 / np.sqrt(6), 0, 0]]
    )


def test_item_knn_keeps_all_neighbours_that_are_equally_near():
    x = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0]])
    scores = ItemKNN(1).fit(x).predict_scores([[1, 0, 0, 0], [0, 1, 0, 0]])
    # items 1 and 2 have the same users: each is the other's nearest
    assert scores[1, 2] == pytest.approx(1.0) and scores[1, 0] == 0.0
    # item 3's nearest is item 0; items 1 and 2 lean on each other alone
    np.testing.assert_allclose(scores[0], [0, 0, 0, 2 / np.sqrt(6)])


def test_ease_is_the_best_matrix_without_a_diagonal(feedback):
    # column by column: ridge regression of an item on all the others
    weights = EASE(7.0).fit(feedback).predict_scores(np.eye(30))
    for item in (0, 3, 29):
        others = np.delete(np.arange(30), item)
        x = feedback[:, others].astype("float64")
        gram = x.T @ x + 7.0 * np.eye(29)
        ridge = np.linalg.solve(gram, x.T @ feedback[:, item])
        np.testing.assert_allclose(weights[others, item], ridge, atol=1e-9)
        assert weights[item, item] == 0.0


def test_ease_hand_computed():
    # XᵀX + I = [[3, 2], [2, 3]]: its inverse is [[3, −2], [−2, 3]] / 5
    x = np.array([[1, 1], [1, 1]])
    np.testing.assert_allclose(
        EASE(1.0).fit(x).predict_scores([[1, 0], [1, 1]]),
        [[0, 2 / 3], [2 / 3, 2 / 3]],
    )


def test_ease_of_a_heavy_penalty_counts_joint_users(feedback):
    # B → XᵀX / λ off the diagonal
    scores = 1e7 * EASE(1e7).fit(feedback).predict_scores(feedback[:4])
    joint = feedback.T @ feedback
    np.fill_diagonal(joint, 0.0)
    np.testing.assert_allclose(scores, feedback[:4] @ joint, rtol=1e-3)


@pytest.mark.parametrize("penalty", [0, -1.0, np.inf, "much", None])
def test_ease_wrong_penalty_is_named(penalty):
    with pytest.raises(ValueError, match="penalty"):
        EASE(penalty)


def test_latent_factors_of_full_rank_reproduce_the_rows(feedback):
    full = LatentFactors(30).fit(feedback).predict_scores(feedback)
    np.testing.assert_allclose(full, feedback, atol=1e-6)
    narrow = LatentFactors(3).fit(feedback).predict_scores(feedback)
    assert np.linalg.matrix_rank(narrow, tol=1e-6) == 3


def test_classics_find_the_group_of_a_user(rng):
    groups = rng.integers(0, 2, 200)
    chance = np.where(groups[:, None] == (np.arange(20) >= 10), 0.5, 0.05)
    x = (rng.random((200, 20)) < chance).astype("float32")
    x[:, 0] = np.maximum(x[:, 0], x.sum(1) == 0)
    seen, hidden = hide_items(x, 0.3, min_items=4)
    crowd, knn, factors, linear = (
        recall_at_k(method.fit(seen).predict_scores(seen), hidden, seen, k=5)
        for method in (Popularity(), ItemKNN(8), LatentFactors(2), EASE(20.0))
    )
    assert knn > crowd + 0.1
    assert linear > crowd + 0.1
    assert factors > crowd + 0.1


@pytest.mark.parametrize("method", [EASE, ItemKNN, LatentFactors])
def test_classics_empty_user_is_named(feedback, method):
    recommender = method(5).fit(feedback)
    rows = feedback[:3].copy()
    rows[1] = 0
    with pytest.raises(ValueError, match="empty row 1"):
        recommender.predict_scores(rows)


@pytest.mark.parametrize(
    "make",
    [Popularity, EASE, lambda: ItemKNN(2), lambda: LatentFactors(2)],
    ids=["popularity", "ease", "item_knn", "latent_factors"],
)
def test_classics_misuse_is_named(feedback, make):
    with pytest.raises(ValueError, match="fit not called"):
        make().predict_scores(feedback)
    with pytest.raises(ValueError, match="NaN"):
        make().fit(np.full((3, 3), np.nan))
    with pytest.raises(ValueError, match="entries 0 or 1"):
        make().fit(2.0 * feedback)
    with pytest.raises(ValueError, match=r"shape \(n, 30\)"):
        make().fit(feedback).predict_scores(feedback[:, :4])


@pytest.mark.parametrize("method", [ItemKNN, LatentFactors])
def test_classics_wrong_size_is_named(feedback, method):
    for size in (0, 2.0, None):
        with pytest.raises(ValueError, match="size: expected an integer ≥ 1"):
            method(size)
    with pytest.raises(ValueError, match="size: .* from 1 to"):
        method(31).fit(feedback)


def test_item_knn_has_at_most_all_other_items(feedback):
    with pytest.raises(ValueError, match="from 1 to 29"):
        ItemKNN(30).fit(feedback)
