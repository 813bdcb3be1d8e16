"""What all checks share: how to call an answer, reject it, accept it."""

import numpy as np
from keras import ops

from utils.nn.backend import input_gradient


def wrong(message):
    """Reject an answer with feedback."""
    raise AssertionError(message)


def correct(exercise, message):
    """Accept an answer and say what to try next."""
    print(f"Exercise {exercise}: correct. {message}")


def call(answer, *arguments, **keywords):
    """Call a learner's function; turn its errors into feedback."""
    if not callable(answer):
        wrong(
            "The check expects the function itself, not what it returns: "
            "write check(my_function), without parentheses after it."
        )
    try:
        return answer(*arguments, **keywords)
    except NotImplementedError:
        wrong(
            "There is no answer yet: replace the line `raise "
            "NotImplementedError` by your own code."
        )
    except Exception as error:  # the learner's code may raise anything
        wrong(
            f"Your function stopped with {type(error).__name__}: {error}. "
            "Run it on a small input and read the last line of the traceback."
        )


def as_array(value, what, shape=None):
    """A finite float64 array from an answer, or feedback."""
    if value is None:
        wrong(f"{what} is None: did you forget the `return`?")
    try:
        value = np.asarray(value, dtype="float64")
    except (TypeError, ValueError):
        wrong(f"{what} should be numbers; received {type(value).__name__}.")
    if shape is not None and value.shape != tuple(shape):
        wrong(f"{what} should have shape {tuple(shape)}, not {value.shape}.")
    if not np.isfinite(value).all():
        wrong(f"{what} contains NaN or infinite values.")
    return value


def as_number(value, what):
    """A finite float from an answer (0-d and 1-element arrays pass)."""
    array = as_array(value, what)
    if array.size != 1:
        wrong(f"{what} should be one number, not an array {array.shape}.")
    return float(array.reshape(()))


def as_values(value, what, finite=True):
    """A tensor of any backend as a float64 array, or feedback."""
    if value is None:
        wrong(f"{what} is None: did you forget the `return`?")
    try:
        value = ops.convert_to_numpy(value)
    except (TypeError, ValueError, RuntimeError):
        wrong(f"{what} should be numbers; received {type(value).__name__}.")
    return as_array(value, what) if finite else np.asarray(value, "float64")


def name_value(value, named):
    """Reject what a known mistake gives: pairs of a value and its name."""
    for mistaken, feedback in named:
        if np.allclose(value, mistaken, rtol=1e-4, atol=1e-5):
            wrong(feedback)


def slope(function, inputs, what="Your result"):
    """Gradient of a sum; zero where nothing depends on the inputs."""
    try:
        gradient = input_gradient(
            lambda x: ops.sum(function(x)) + 0.0 * ops.sum(x), inputs
        )
    except Exception as error:  # NumPy in the answer, on JAX and PyTorch
        wrong(
            f"{what} cannot be differentiated ({type(error).__name__}). Stay "
            "inside `keras.ops`: NumPy cuts the gradient."
        )
    return ops.convert_to_numpy(gradient)


def nearest(points, others):
    """Index of and distance to each point's nearest other point."""
    squared = (
        (points**2).sum(1)[:, None]
        - 2 * points @ others.T
        + (others**2).sum(1)[None]
    )
    return squared.argmin(1), np.sqrt(np.maximum(squared.min(1), 0))
