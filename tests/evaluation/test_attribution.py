"""Attributions of functions whose shares are known by hand."""

import numpy as np
import pytest
from keras import ops

from utils.evaluation.attribution import attribute, deletion_curve

X = np.array([[1.0, 2.0, 0.5], [-1.0, 3.0, 2.0]])
BASE = np.array([0.0, 1.0, 0.5])
WEIGHTS = np.array([2.0, -1.0, 5.0])


def test_attribute_of_a_linear_score_all_three_agree():
    found = attribute(lambda x: ops.matmul(x, WEIGHTS.astype("f4")), X, BASE)
    assert list(found) == [
        "gradient × input",
        "integrated gradients",
        "occlusion",
    ]
    for importance in found.values():
        assert np.allclose(importance, (X - BASE) * WEIGHTS, atol=1e-5)


def test_attribute_of_a_product_by_hand():
    # f = x₀ x₁ from (0, 1): gradient (x₁, x₀); path mean of x₁ is (1 + 2)/2
    found = attribute(lambda x: x[:, 0] * x[:, 1], X[:1], BASE)
    assert np.allclose(found["gradient × input"], [[2.0, 1.0, 0.0]])
    shares = found["integrated gradients"]
    assert np.allclose(shares, [[1.5, 0.5, 0.0]], atol=1e-5)
    assert np.allclose(found["occlusion"], [[2.0, 1.0, 0.0]])


def test_attribute_integrated_gradients_add_up():
    def score(x):
        return ops.sum(ops.tanh(x) * ops.square(x), axis=1)

    shares = attribute(score, X, BASE, steps=200)["integrated gradients"]
    ends = score(ops.convert_to_tensor(X)), score(ops.convert_to_tensor([BASE]))
    first, last = map(ops.convert_to_numpy, ends)
    assert np.allclose(shares.sum(axis=1), first - last, atol=1e-3)


def test_deletion_curve_by_hand():
    def probability(rows):
        return rows.sum(axis=1)

    importance = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    # row 1: 3.5 → 2.5 → 1.5 → 1.5; row 2: 4 → 2.5 → .5 → 1.5
    curve = deletion_curve(probability, X, importance, BASE)
    assert np.allclose(curve, [3.75, 2.5, 1.0, 1.5])


def test_deletion_curve_leaves_the_rows_alone_and_takes_tensors():
    x, importance = X.copy(), -X
    curve = deletion_curve(
        lambda rows: ops.convert_to_tensor(rows)[:, 0], x, importance, BASE
    )
    assert np.array_equal(x, X)
    assert curve.shape == (4,) and curve[-1] == BASE[0]


@pytest.mark.parametrize(
    "change, match",
    [
        ({"baseline": np.zeros(2)}, "^baseline: expected 3"),
        ({"x": np.ones(3)}, "^x"),
        ({"x": X * np.nan}, "^x"),
        ({"importance": X[:1]}, "^importance"),
    ],
)
def test_bad_arguments_are_named(change, match):
    given = {"x": X, "importance": X, "baseline": BASE, **change}
    with pytest.raises(ValueError, match=match):
        deletion_curve(lambda rows: rows[:, 0], **given)


def test_attribute_bad_steps_are_named():
    with pytest.raises(ValueError, match="^steps"):
        attribute(lambda x: x[:, 0], X, BASE, steps=0)
