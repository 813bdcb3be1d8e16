"""Gradients by inputs and by weights, on whichever backend runs."""

import keras
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


# ------------------------------------------------------------ by the weights


def test_weight_gradients_equal_closed_form():
    w = keras.Variable(np.array([1.0, 3.0], "float32"))
    b = keras.Variable(np.array(2.0, "float32"))
    of_w, of_b = backend.weight_gradients(
        lambda: ops.sum(w**2) * b.value, [w, b]
    )
    np.testing.assert_allclose(ops.convert_to_numpy(of_w), [4.0, 12.0])
    np.testing.assert_allclose(ops.convert_to_numpy(of_b), 10.0)


def test_weight_gradients_of_a_network_move_it_downhill():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    weights = model.trainable_variables

    def loss():
        return ops.mean(model(X) ** 2)

    before = float(ops.convert_to_numpy(loss()))
    slopes = backend.weight_gradients(loss, weights)
    by_bias = 2 * np.mean(ops.convert_to_numpy(model(X)))
    np.testing.assert_allclose(
        ops.convert_to_numpy(slopes[1]), [by_bias], rtol=1e-5
    )
    keras.optimizers.SGD(0.01).apply(slopes, weights)
    assert float(ops.convert_to_numpy(loss())) < before


def test_weight_gradients_zero_where_nothing_depends():
    used = keras.Variable(np.float32(2.0))
    unused = keras.Variable(np.float32(2.0))
    _, zero = backend.weight_gradients(lambda: used.value**2, [used, unused])
    assert float(ops.convert_to_numpy(zero)) == 0.0


def test_weight_gradients_more_than_a_scalar_refused():
    w = keras.Variable(np.array([1.0, 3.0], "float32"))
    with pytest.raises(ValueError, match=r"scalar; received .* \(2,\)"):
        backend.weight_gradients(lambda: w.value**2, [w])


def test_traced_function_gives_the_same_and_moves_weights_each_call():
    w = keras.Variable(np.float32(1.0))

    def step(x):
        (slope,) = backend.weight_gradients(lambda: w.value * x, [w])
        w.assign(w.value - slope)
        return slope

    quick = backend.traced(step)
    for _ in range(3):
        slope = quick(ops.convert_to_tensor(np.float32(0.5)))
    assert float(ops.convert_to_numpy(slope)) == 0.5
    assert float(ops.convert_to_numpy(w.value)) == -0.5


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="others record nothing"
)
def test_traced_function_of_any_shape_is_recorded_twice_at_most():
    shapes = []

    def double(x):
        shapes.append(x.shape)  # in Python: while it is recorded
        return 2 * x

    quick = backend.traced(double, any_shape=True)
    for rows in (2, 3, 4, 5):
        found = quick(ops.ones((rows, 3)))
        assert found.shape == (rows, 3)
    assert len(shapes) == 2
