"""The one file that names TensorFlow, JAX or PyTorch.

Keras 3 runs on all three, but differentiating a function *by its input* has
no backend-neutral call. Everything else in the library is ``keras.ops``.
"""

import contextlib

import keras
from keras import ops

__all__ = [
    "BATCHES_AT_ONCE",
    "input_gradient",
    "replicas",
    "steps_to_tell",
    "traced",
    "values_kept",
    "weight_gradients",
]

# batches between two returns to Python, `steps_per_execution` of `compile`;
# Keras refuses more than one on PyTorch
BATCHES_AT_ONCE = {"tensorflow": 32, "jax": 32, "torch": 1}


def steps_to_tell(rows, batch_size):
    """What ``fit`` of arrays is told as ``steps_per_epoch``, or ``None``.

    Keras opens the rows of an epoch twice on TensorFlow and reads one of the
    two, unless it has been told how many batches there are: a quarter of the
    time of a small network. The rows and their order are the same.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    return -(-rows // (batch_size or 32))


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


def weight_gradients(loss, variables):
    """Gradients of a loss by the weights of a model, on any backend.

    What ``GradientTape`` does on TensorFlow and ``backward`` on PyTorch. On
    JAX states that ``loss`` changes, such as a seed's, stay as they were:
    draw noise before.

    Args:
        loss: Function of nothing that returns a scalar tensor, computed with
            Keras models and ``keras.ops``.
        variables: List of ``keras.Variable``, such as
            ``model.trainable_variables``.

    Returns:
        List of tensors, one a variable, as ``optimizer.apply`` takes them.
        Zeros where the loss does not depend on a variable.

    Raises:
        ValueError: no scalar.

    Example:

    >>> weight = keras.Variable([1.0, 3.0])
    >>> (gradient,) = weight_gradients(lambda: ops.sum(weight**2), [weight])
    >>> ops.convert_to_numpy(gradient).tolist()
    [2.0, 6.0]
    """

    def scalar():
        value = ops.convert_to_tensor(loss())
        if len(value.shape):
            raise ValueError(
                "loss: expected a function that returns a scalar; received "
                f"a tensor of shape {tuple(value.shape)}."
            )
        return value

    variables = list(variables)
    found = _BY_WEIGHTS[keras.backend.backend()](scalar, variables)
    return [
        ops.zeros_like(variable) if gradient is None else gradient
        for gradient, variable in zip(found, variables, strict=True)
    ]


def _tensorflow_by_weights(loss, variables):
    import tensorflow as tf

    values = [variable.value for variable in variables]
    with tf.GradientTape() as tape:
        total = loss()
    return tape.gradient(total, values)


def _jax_by_weights(loss, variables):
    import jax

    def of_values(values):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return loss()

    return jax.grad(of_values)([variable.value for variable in variables])


def _torch_by_weights(loss, variables):
    import torch

    values = [variable.value for variable in variables]
    with torch.enable_grad():
        total = loss()
    if not total.requires_grad:
        return [None] * len(values)
    return torch.autograd.grad(total, values, allow_unused=True)


_BY_WEIGHTS = {
    "tensorflow": _tensorflow_by_weights,
    "jax": _jax_by_weights,
    "torch": _torch_by_weights,
}


def traced(function, *, any_shape=False):
    """The same function, quicker where the backend can record its steps.

    TensorFlow runs the function once, records what it does with tensors and
    plays that back for further calls: what Keras does with a training step.
    JAX records functions without side effects only, and PyTorch needs no
    recording: there the function comes back as it is. Build optimizers
    first: a recorded function makes no variables.

    Args:
        function: Maps tensors to tensors. What it does besides, in Python,
            happens while it is recorded and not again.
        any_shape: Whether the second shape that is met is recorded as "any
            shape". Else each new one is recorded anew.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, reduce_retracing=any_shape)


def replicas():
    """Copies of a model that train in step under ``tf.distribute``; else 1.

    TensorFlow adds up the copies' gradients. Keras divides the losses that it
    computes itself by their number, and leaves a loss of one's own as it is.
    """
    if keras.backend.backend() != "tensorflow":
        return 1  # on JAX the mean runs over all devices by itself
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync
