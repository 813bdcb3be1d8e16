"""Claims of the articles on recommendation and behaviour, tried.

As ``test_errata.py``: each test first lets the claim fail in a few lines of
its own, then shows the right form beside it.
"""

import keras
import numpy as np
import pytest
from contracts import EAGERLY
from keras import ops
from sklearn.linear_model import LogisticRegression

from utils.baselines.recommenders import ItemKNN, Popularity
from utils.data import interactions
from utils.evaluation import ranking
from utils.models.recommenders import AutoRec
from utils.nn import losses


@pytest.fixture(scope="module")
def imports():
    return interactions.load_imports()


@pytest.fixture(scope="module")
def hidden(imports):
    return ranking.hide_items(imports.matrix, 0.2, seed=0)


def neighbours(seen):
    return ItemKNN(80).fit(seen).predict_scores(seen)


# ------------------------------------------------------------------ E124


def test_e124_content_based_needs_features_and_a_label():
    # one user's liking is a function of an item's features: with the label
    # it is learned, without it there is nothing to learn it from
    rng = np.random.default_rng(0)
    features = rng.standard_normal((400, 5))
    liked = features @ [2.0, -1.0, 0.0, 0.0, 0.5] > 0
    supervised = LogisticRegression().fit(features[:300], liked[:300])
    assert supervised.score(features[300:], liked[300:]) > 0.9
    directions = np.linalg.svd(features[:300], full_matrices=False)[2]
    unsupervised = features[300:] @ directions[0] > 0
    agreement = np.mean(unsupervised == liked[300:])
    assert max(agreement, 1 - agreement) < 0.9
    # collaborative filtering has no features at all
    assert set(np.unique(interactions.load_imports().matrix)) == {0.0, 1.0}


@pytest.mark.parametrize("anything", [0.0, 5.0, 1e6])
def test_e124_unobserved_entry_changes_a_plain_loss_and_not_a_masked_one(
    anything,
):
    made = interactions.make_ratings(30, 20, share=0.3)
    predicted = np.full(made.values.shape, 3.5, dtype="float32")
    changed = np.where(made.observed, made.values, anything)

    def plain(values):
        return float(((values - predicted) ** 2).mean())

    def masked(values):
        loss = losses.masked_squared_error(values, predicted, made.observed)
        return float(np.mean(ops.convert_to_numpy(loss)))

    other = np.where(made.observed, made.values, anything + 1.0)
    assert plain(changed) != plain(other)
    assert masked(changed) == masked(other)


def test_e124_autoencoder_of_ratings_trains_on_observed_entries_only():
    made = interactions.make_ratings(60, 20, share=0.3, seed=1)
    weights = []
    for anything in (0.0, 4.0):
        keras.utils.set_random_seed(0)
        model = AutoRec.dense(20, 6, offset=3.5, seed=0)
        model.compile(keras.optimizers.SGD(0.01), run_eagerly=EAGERLY)
        values = np.where(made.observed, made.values, anything)
        model.fit(values, made.observed, batch_size=20, verbose=0)
        weights.append(model.get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


def test_e124_zeros_for_unobserved_ratings_are_worse_than_the_mean():
    made = interactions.make_ratings(seed=3)
    rng = np.random.default_rng(0)
    test = made.observed & (rng.random(made.values.shape) < 0.1)
    train = made.observed & ~test
    truth = made.values[test]
    u, s, vt = np.linalg.svd(np.where(train, made.values, 0.0), False)
    naive = ((u[:, :4] * s[:4]) @ vt[:4])[test]
    mean = made.values[train].mean()
    assert np.sqrt(np.mean((naive - truth) ** 2)) > 2 * truth.std()
    assert np.sqrt(np.mean((mean - truth) ** 2)) < 1.05 * truth.std()


# ------------------------------------------------------------------ E133


def test_e133_prediction_of_behaviour_has_a_target(hidden):
    # the hidden items are labels, made from the data themselves; with
    # another user's labels what was personal is gone
    seen, target = hidden
    rows = np.flatnonzero(target.any(axis=1))
    swapped = target.copy()
    moved = np.random.default_rng(0).permutation(rows)
    swapped[rows] = target[moved] * (seen[rows] == 0)
    scores = neighbours(seen)
    own = ranking.recall_at_k(scores, target, seen)
    other = ranking.recall_at_k(scores, swapped, seen)
    popular = Popularity().fit(seen).predict_scores(seen)
    crowd = ranking.recall_at_k(popular, swapped, seen)
    assert own > other + 0.1
    assert crowd > other - 0.02


def test_e133_accuracy_of_a_prediction_needs_the_crowd_beside_it(hidden):
    seen, target = hidden
    popular = Popularity().fit(seen).predict_scores(seen)
    crowd = ranking.recall_at_k(popular, target, seen)
    assert crowd > 0.45  # looks like prediction, knows nobody
    assert ranking.recall_at_k(neighbours(seen), target, seen) > crowd + 0.05
