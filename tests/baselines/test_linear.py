"""Linear repair and directions told of views, against hand and scikit-learn."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from utils.baselines import linear


def test_fill_in_two_columns_is_the_regression_line():
    rng = np.random.default_rng(0)
    first = rng.normal(size=2000)
    train = np.stack([first, 3 + 2 * first], axis=1)
    x = np.array([[1.0, 99.0], [99.0, 7.0]])
    seen = np.array([[True, False], [False, True]])
    found = linear.gaussian_guess(train, x, seen, ridge=1e-9)
    np.testing.assert_allclose(found, [[1, 5], [2, 7]], atol=1e-5)


def test_fill_in_reads_no_hidden_entry_and_keeps_the_given_rows():
    rng = np.random.default_rng(1)
    train, x = rng.normal(size=(50, 4)), rng.normal(size=(3, 4))
    seen = np.array([[True, True, False, False]] * 3)
    kept, other = x.copy(), np.where(seen, x, 7.0)
    found = linear.gaussian_guess(train, x, seen)
    np.testing.assert_array_equal(x, kept)
    again = linear.gaussian_guess(train, other, seen)
    np.testing.assert_array_equal(again, found)
    np.testing.assert_allclose(found[seen], x[seen], rtol=1e-6)  # float32


def test_fill_in_without_a_seen_entry_is_the_mean():
    train = np.array([[0.0, 1.0], [2.0, 5.0], [4.0, 0.0]])
    found = linear.gaussian_guess(
        train, np.ones((1, 2)), np.zeros((1, 2), bool)
    )
    np.testing.assert_allclose(found, [[2.0, 2.0]])


def test_fill_in_refuses_numbers_for_booleans():
    with pytest.raises(ValueError, match="seen"):
        linear.gaussian_guess(np.eye(3), np.eye(3), np.ones((3, 3)))


def test_unlike_views_finds_the_column_that_views_leave_alone():
    rng = np.random.default_rng(2)
    images = rng.normal(size=(40, 3))
    noise = rng.normal(size=(10, 40, 3)) * (1.0, 0.05, 2.0)
    found = linear.unlike_views(images + noise, 1, shrinkage=0.0)[:, 0]
    assert np.argmax(np.abs(found)) == 1


def test_unlike_views_spans_what_scikit_learn_finds():
    rng = np.random.default_rng(3)
    views = rng.normal(size=(30, 5)) + rng.normal(size=(6, 30, 5))
    ours = linear.unlike_views(views, 2, shrinkage=0.0)
    theirs = LinearDiscriminantAnalysis(solver="eigen", n_components=2).fit(
        views.reshape(-1, 5), np.tile(np.arange(30), 6)
    )
    both = np.hstack([ours, theirs.scalings_[:, :2]])
    values = np.linalg.svd(both, compute_uv=False)
    assert values[2] < 1e-6 * values[0], "the same plane"


def test_unlike_views_wants_two_views_and_a_number_of_directions():
    with pytest.raises(ValueError, match="views"):
        linear.unlike_views(np.zeros((1, 4, 3)), 1)
    with pytest.raises(ValueError, match="directions"):
        linear.unlike_views(np.zeros((2, 4, 3)), 4)
