"""The one file that names TensorFlow, JAX or PyTorch.

Keras 3 runs on all three, but differentiating a function *by its input* has
no backend-neutral call. Everything else in the library is ``keras.ops``.
"""

import contextlib

import keras
from keras import ops

__all__ = ["BATCHES_AT_ONCE", "input_gradient", "values_kept"]

# batches between two returns to Python, `steps_per_execution` of `compile`;
# Keras refuses more than one on PyTorch
BATCHES_AT_ONCE = {"tensorflow": 32, "jax": 32, "torch": 1}


@contextlib.contextmanager
def values_kept(variables):
    """Give variables their values back if the first batch is refused.

    On JAX Keras takes the values away while it works, and returns them only
    from a step that was finished. Elsewhere there is nothing to do.
    """
    if keras.backend.backend() != "jax":
        yield
        return
    values = [variable.value for variable in variables]
    try:
        yield
    except BaseException:
        for variable, value in zip(variables, values, strict=True):
            with contextlib.suppress(TypeError):  # if it has none
                value = variable.value
            variable.assign(value)
        raise


def input_gradient(function, inputs):
    """Gradient of ``sum(function(inputs))`` by ``inputs``, on any backend.

    Rows that ``function`` treats independently get their own gradient, since
    the gradient of a sum is the gradient of each summand.

    Args:
        function: Maps a tensor to a scalar or to one value per row. It must
            stay inside ``keras.ops``: a detour through NumPy cuts the
            gradient.
        inputs: Tensor, array or ``keras.Variable``, any shape.

    Returns:
        Tensor of the shape of ``inputs``.

    Raises:
        ValueError: ``function`` does not depend on its argument through
            differentiable operations.

    Example:

    >>> import numpy as np
    >>> gradient = input_gradient(lambda x: x**2, np.array([1.0, 3.0]))
    >>> ops.convert_to_numpy(gradient).tolist()
    [2.0, 6.0]
    """
    if isinstance(inputs, keras.Variable):
        inputs = inputs.value  # TensorFlow's tape cannot watch the wrapper
    inputs = ops.convert_to_tensor(inputs)
    gradient = _GRADIENTS[keras.backend.backend()](function, inputs)
    if gradient is None:
        raise ValueError(
            "function: expected a result computed from its argument with "
            "keras.ops; received one that has no gradient."
        )
    return gradient


def _tensorflow(function, inputs):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = ops.sum(function(inputs))
    return tape.gradient(total, inputs)


def _jax(function, inputs):
    import jax

    try:
        return jax.grad(lambda value: ops.sum(function(value)))(inputs)
    except jax.errors.TracerArrayConversionError:
        return None


def _torch(function, inputs):
    import torch

    with torch.enable_grad():
        if not inputs.requires_grad:
            inputs = inputs.detach().requires_grad_(True)
        total = ops.sum(function(inputs))
        if not total.requires_grad:
            return None
        (gradient,) = torch.autograd.grad(
            total, inputs, create_graph=True, allow_unused=True
        )
    return gradient


_GRADIENTS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
