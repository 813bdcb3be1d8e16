"""What all checks share: how to call an answer, reject it, accept it."""

import contextlib
import functools
import inspect
import re
import sys
import warnings

import numpy as np
from keras import ops

from utils.nn.backend import input_gradient


class CheckFailed(AssertionError):
    """What a check says of a wrong answer; in Jupyter one line, no more."""

    def _render_traceback_(self):
        """The lines that IPython shows in place of a traceback."""
        return [str(self)]


def wrong(message):
    """Reject an answer with feedback, a single line."""
    raise CheckFailed(re.sub(r"\s*\n\s*", " ", message)) from None


def correct(exercise, message):
    """Accept an answer and say what to try next."""
    print(f"Exercise {exercise}: correct. {message}")


def one_sentence(check):
    """A check that answers whatever it is given by one sentence.

    An answer that is ``None``, as the chapter leaves it, still waits. What
    an answer writes to standard error goes to standard output, and its
    warnings are not shown: the check tries inputs at the limit on purpose.
    An answer so odd that the check itself stops is refused with the reason.
    """
    exercise = check.__name__.removeprefix("check_").replace("_", ".")
    names = list(inspect.signature(check).parameters)

    @functools.wraps(check)
    def checked(*answers, **named):
        given = {**dict(zip(names, answers, strict=False)), **named}
        _refuse_waiting(exercise, given)
        with contextlib.redirect_stderr(sys.stdout), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                check(*answers, **named)
            except AssertionError:
                raise
            except NotImplementedError:
                wrong(
                    f"Exercise {exercise} waits for your answer: replace the "
                    "line `raise NotImplementedError` by your own code."
                )
            except Exception as error:  # an answer may be anything at all
                kinds = ", ".join(type(a).__name__ for a in given.values())
                wrong(
                    f"The check cannot make sense of this answer ({kinds}): "
                    f"{_told(error)}. Compare it with what the exercise asks "
                    "for: which type, which shape?"
                )

    return checked


def _refuse_waiting(exercise, given):
    """Reject answers that are as the chapter leaves them."""
    left = [name for name in given if given[name] is None]
    state = "None"
    if not left and all(map(_is_empty, given.values())):
        left, state = list(given), "empty"
    if left:
        verb = "is" if len(left) == 1 else "are"
        names = "it" if len(given) == 1 else " and ".join(left)
        wrong(
            f"Exercise {exercise} waits for your answer: {names} {verb} "
            f"{state}. Write it in the cell above, and run that cell."
        )


def _is_empty(answer):
    """Whether a list or dict holds nothing but the ``None`` of a stub."""
    if isinstance(answer, dict):
        answer = list(answer.values())
    return isinstance(answer, (list, tuple)) and all(
        part is None for part in answer
    )


def _told(error):
    """Type and message of an error, at most 300 characters."""
    text = f"{type(error).__name__}: {error}".strip(" .:\n")
    return text if len(text) <= 300 else f"{text[:300]}…"


def call(answer, *arguments, **keywords):
    """Call a learner's function; turn its errors into feedback."""
    if not callable(answer):
        wrong(
            "The check expects the function itself and received "
            f"{_kind(answer)}: write check(my_function), without parentheses "
            "after its name."
        )
    try:
        return answer(*arguments, **keywords)
    except (Exception, SystemExit) as error:  # it may raise anything
        if isinstance(error, NotImplementedError) and not error.args:
            raise  # the stub of the chapter: `one_sentence` says so
        wrong(
            f"Your function stopped with {_told(error)}. Run it on a small "
            "input and read the last line of the traceback."
        )


def _kind(value):
    """An answer in a few words: its type, and a text itself."""
    if isinstance(value, (str, bytes)):
        return f"the text {value[:40]!r}"
    return "None" if value is None else type(value).__name__


def _floats(value, what, received):
    """A float64 array of whatever NumPy can read, or feedback."""
    try:
        value = np.asarray(value)
        # "0.89" and a date could be turned into a float, 1j into its half
        parts = value.flat if value.dtype.kind == "O" else ()
        if value.dtype.kind in "SUmMc" or any(
            isinstance(part, (str, bytes)) for part in parts
        ):
            raise TypeError(value.dtype)
        return value.astype("float64")
    except Exception:  # a class's own __array__ may raise anything
        wrong(f"{what} should be numbers; received {received}.")


def as_array(value, what, shape=None):
    """A finite float64 array from an answer, or feedback."""
    if value is None:
        wrong(f"{what} is None: did you forget the `return`?")
    value = _floats(value, what, _kind(value))
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
    received = _kind(value)
    # a bare exception of Keras says less than `_floats` below
    with contextlib.suppress(Exception):
        value = ops.convert_to_numpy(value)
    value = _floats(value, what, received)
    return as_array(value, what) if finite else value


def as_names(value, what, allowed):
    """A set of some of the allowed names, from one name or several."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple, set, frozenset)) or not all(
        isinstance(name, str) and name in allowed for name in names
    ):
        listed = " and ".join(f'"{name}"' for name in allowed)
        wrong(f"`{what}` lists names: some of {listed}.")
    return set(names)


def name_value(value, named):
    """Reject what a known mistake gives: pairs of a value and its name."""
    for mistaken, feedback in named:
        try:
            same = np.allclose(value, mistaken, rtol=1e-4, atol=1e-5)
        except ValueError:  # shapes that cannot be compared
            same = False
        if same:
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
