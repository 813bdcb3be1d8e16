"""Gradients by the input, on whichever backend runs."""

import numpy as np
import pytest
from keras import ops

from utils.nn import backend


def gradient(function, x):
    return ops.convert_to_numpy(backend.input_gradient(function, x))


X = np.array([[0.5, -1.0, 2.0], [1.5, 0.0, -0.5]], "float32")


@pytest.mark.parametrize(
    ("function", "closed_form"),
    [
        (lambda x: x**3, lambda x: 3 * x**2),
        (lambda x: ops.sum(ops.sin(x), axis=1), np.cos),
        (lambda x: ops.sum(x * x), lambda x: 2 * x),
        (lambda x: ops.logsumexp(x, axis=1), None),
    ],
    ids=["cube", "row_sum_of_sines", "scalar", "logsumexp"],
)
def test_input_gradient_equals_closed_form(function, closed_form):
    if closed_form is None:  # the gradient of logsumexp is the softmax
        expected = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
    else:
        expected = closed_form(X)
    np.testing.assert_allclose(gradient(function, X), expected, rtol=1e-5)


def test_input_gradient_rows_do_not_mix():
    both = gradient(lambda x: ops.sum(x**2, axis=1) ** 2, X)
    one = gradient(lambda x: ops.sum(x**2, axis=1) ** 2, X[:1])
    np.testing.assert_allclose(both[:1], one, rtol=1e-6)


def test_input_gradient_accepts_tensor_and_array_alike():
    tensor = ops.convert_to_tensor(X)
    np.testing.assert_array_equal(
        gradient(lambda x: x**2, tensor), gradient(lambda x: x**2, X)
    )


def test_input_gradient_detour_through_numpy_refused():
    def leaves_ops(x):
        return ops.convert_to_tensor(np.square(ops.convert_to_numpy(x)))

    with pytest.raises(
        ValueError, match="function: expected a result computed"
    ):
        backend.input_gradient(leaves_ops, X)


def test_input_gradient_constant_function_zero_or_refused():
    # the backends differ: JAX knows the zero, the others see no path
    try:
        value = gradient(lambda x: ops.ones((2,)), X)
    except ValueError as error:
        assert "no gradient" in str(error)
    else:
        np.testing.assert_array_equal(value, np.zeros_like(X))
