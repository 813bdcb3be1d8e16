"""What all checks share: how to call an answer, read, reject, accept it."""

import collections.abc
import contextlib
import contextvars
import functools
import inspect
import itertools
import logging
import numbers
import string
import sys
import warnings

import numpy as np
from keras import ops

from utils.nn.backend import input_gradient

LONGEST = 600  # characters of feedback
LARGEST = 10**7  # numbers in an answer
# Share of the points of an answer whose results have the right shape, and of
# one whose values are right too but not yet what is asked besides: that it
# leaves its input alone, holds for extreme input, and the like.
STAGES = {"shape": 0.2, "values": 0.6}
_share = contextvars.ContextVar("share", default=0.0)
_TEXTS = (str, bytes, bytearray)
_LISTS = (collections.abc.Sequence, collections.abc.ValuesView)


class CheckFailed(AssertionError):
    """What a check says of a wrong answer; in Jupyter one line, no more.

    ``share`` is the part of the points that the answer has earned, 0 to 1.
    """

    share = 0.0

    def _render_traceback_(self):
        """The lines that IPython shows in place of a traceback."""
        return [str(self)]


def wrong(message):
    """Reject an answer with feedback, a single line."""
    message = " ".join(message.split())
    if len(message) > LONGEST:
        message = f"{message[:LONGEST]}…"
    failed = CheckFailed(message)
    failed.share = _share.get()
    raise failed from None


def reached(stage):
    """Note that an answer has passed a stage, ``"shape"`` or ``"values"``.

    Its check goes on; if it refuses the answer later, a grader gives the
    stage's share of the points. Learners see nothing of this.
    """
    _share.set(max(_share.get(), STAGES[stage]))


def correct(exercise, message):
    """Accept an answer and say what to try next."""
    print(f"Exercise {exercise}: correct. {message}")


def unchanged(given, kept, what="an array"):
    """Refuse an answer that wrote into the arrays it was given.

    Args:
        given: The arrays as the answer left them.
        kept: Copies from before, in the same order.
        what: What to call them.
    """
    for now, before in zip(given, kept, strict=True):
        floats = np.asarray(before).dtype.kind == "f"  # NaN equals NaN
        if np.array_equal(now, before, equal_nan=floats):
            continue
        wrong(f"Your function changed {what} it was given: make a copy.")


# ------------------------------------------------- around a whole check


def one_sentence(check):
    """A check that answers whatever it is given by one sentence.

    An answer that is ``None``, as the chapter leaves it, still waits. What
    an answer writes to standard error goes to standard output, and its
    warnings and log records are not shown: they would cost its points, and
    the check tries inputs at the limit on purpose. An answer so odd that the
    check itself stops is refused with the reason.
    """
    exercise = check.__name__.removeprefix("check_").replace("_", ".")
    signature = inspect.signature(check)

    @functools.wraps(check)
    def checked(*answers, **named):
        _share.set(0.0)
        try:
            given = signature.bind(*answers, **named).arguments
        except TypeError as error:
            wrong(f"Write {check.__name__}{signature}: {error}.")
        with _quiet():
            try:
                _refuse_waiting(exercise, given)
                check(*answers, **named)
            except (CheckFailed, KeyboardInterrupt):
                raise
            except BaseException as error:  # an answer may be anything at all
                if isinstance(error, NotImplementedError) and not error.args:
                    wrong(
                        f"Exercise {exercise} waits for your answer: replace "
                        "the line `raise NotImplementedError` by your own "
                        "code."
                    )
                wrong(
                    "The check cannot make sense of this answer "
                    f"({', '.join(map(kind, given.values()))}): "
                    f"{_told(error)}. Compare it with what the exercise asks "
                    "for: which type, which shape?"
                )

    return checked


@contextlib.contextmanager
def _quiet():
    """Nothing reaches standard error, where a word costs all points."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            contextlib.redirect_stderr(sys.stdout),
            warnings.catch_warnings(),
            np.errstate(all="ignore"),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _refuse_waiting(exercise, given):
    """Reject answers that are as the chapter leaves them."""
    left = [name for name in given if given[name] is None]
    state = "None"
    if not left and given and all(map(_is_empty, given.values())):
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
    text = type(error).__name__
    with contextlib.suppress(Exception):  # its message may stop as well
        text = f"{text}: {error}".strip(" .:\n")
    return text if len(text) <= 300 else f"{text[:300]}…"


# ------------------------------------------------------ call an answer


def call(answer, *arguments, **keywords):
    """Call a learner's function; turn its errors into feedback."""
    if not callable(answer):
        wrong(
            f"The check expects the function itself and received "
            f"{kind(answer)}: write check(my_function), its name alone, "
            "without parentheses or quotation marks."
        )
    try:
        result = answer(*arguments, **keywords)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it may raise anything
        if isinstance(error, NotImplementedError) and not error.args:
            raise  # the stub of the chapter: `one_sentence` says so
        wrong(
            f"Your function stopped with {_told(error)}. Run it on a small "
            "input and read the last line of the traceback."
        )
    if inspect.iscoroutine(result):
        result.close()  # or Python warns that nobody awaited it
        wrong("Your function is `async def`: a plain `def` is asked for.")
    return result


def slope(function, inputs, what="Your result"):
    """Gradient of a sum; zero where nothing depends on the inputs."""

    def total(x):  # in the type of x, whatever that of the answer
        return ops.cast(ops.sum(function(x)), x.dtype) + 0.0 * ops.sum(x)

    try:
        gradient = input_gradient(total, inputs)
    except Exception as error:  # NumPy in the answer, on JAX and PyTorch
        told = error if isinstance(error, CheckFailed) else _told(error)
        wrong(
            f"{what} cannot be differentiated ({told}). Stay inside "
            "`keras.ops`: NumPy cuts the gradient."
        )
    return ops.convert_to_numpy(gradient)


# ------------------------------------------------------ read an answer


def kind(value):
    """An answer in a few words: a text itself, else type and contents."""
    if value is None:
        return "None"
    if isinstance(value, _TEXTS):
        return f"the text {value[:40]!r}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    if isinstance(value, np.ndarray):
        if value.dtype != object:
            return f"an array of {value.dtype}, shape {value.shape}"
        name, value = "array", value.ravel().tolist()
    if not isinstance(value, _LISTS):
        return name
    try:
        parts = list(itertools.islice(value, 1000))
    except Exception:  # a class of its own, or a memoryview of two axes
        return name
    parts = sorted({type(part).__name__ for part in parts})
    return f"{name} of {' and '.join(parts[:3])}" if parts else f"empty {name}"


def _numpy(value):
    """What NumPy, or the library that made a value, makes of it.

    Lists, tensors of any backend, variables, data frames, sparse matrices and
    numbers of any type are read; what merely can be counted through is not,
    since it may have no end.
    """
    if isinstance(value, _TEXTS):
        raise TypeError("text")
    if isinstance(value, memoryview):  # its rows cannot be counted through
        return np.asarray(value)
    if isinstance(value, _LISTS):
        if len(value) > LARGEST:
            raise ValueError("too long")
        if all(type(part) in (float, int, bool) for part in value):
            return np.asarray(list(value))
        return np.asarray([_numpy(part) for part in value])
    if hasattr(value, "detach"):  # PyTorch's, which may track its gradient
        value = value.detach().cpu()
    if hasattr(value, "toarray"):  # SciPy's sparse ones
        value = value.toarray()
    if ops.is_tensor(value):
        value = ops.convert_to_numpy(value)
    if isinstance(value, numbers.Number) or any(
        hasattr(value, name) for name in ("__array__", "__float__")
    ):
        return np.asanyarray(value)
    raise TypeError(type(value))


def _floats(value, what):
    """A float64 array of whatever holds numbers, or feedback."""
    if value is None:
        wrong(
            f"{what} should not be None: did you forget the `return`, or to "
            "fill it in?"
        )
    try:
        array = _numpy(value)
        # "0.89" and a date could be turned into a float, 1j into its half
        parts = array.flat if array.dtype.kind == "O" else ()
        if array.dtype.kind in "SUmMc" or any(
            isinstance(part, (*_TEXTS, np.generic)) for part in parts
        ):
            raise TypeError(array.dtype)
        if array.size > LARGEST:
            raise ValueError("too many")
        array = np.ma.filled(array.astype("float64"), np.nan)  # masked ones
        return np.array(array)  # no class of its own
    except Exception:  # a class's own __array__ may raise anything
        received = kind(value)
    if isinstance(value, (list, tuple)) and all(
        isinstance(part, (list, tuple, np.ndarray)) for part in value
    ):
        wrong(
            f"{what} should be numbers, as many in each row; received a "
            f"{received}."
        )
    if callable(value):
        wrong(f"{what} should be numbers; received {received}: call it first.")
    wrong(f"{what} should be numbers; received {received}.")


def as_values(value, what, finite=True, shape=None):
    """Numbers in any container or tensor as a float64 array, or feedback."""
    value = _floats(value, what)
    if shape is not None and value.shape != tuple(shape):
        wrong(f"{what} should have shape {tuple(shape)}, not {value.shape}.")
    if finite and not np.isfinite(value).all():
        wrong(f"{what} must not contain NaN or infinite values.")
    return value


def as_array(value, what, shape=None):
    """A finite float64 array, of a shape if one is asked, or feedback."""
    return as_values(value, what, shape=shape)


def in_half(value):
    """Whether an answer is in half precision, three digits and no more."""
    return "float16" in str(getattr(value, "dtype", ""))  # TensorFlow's, too


def close(answer, found, right):
    """Equal up to rounding, to three digits where they come in halves.

    Args:
        answer: What was returned, for its precision.
        found: The same as a NumPy array.
        right: What it should be.
    """
    within = 3e-3 if in_half(answer) else 1e-4
    return np.allclose(found, right, rtol=within, atol=within / 10)


def as_number(value, what):
    """A finite float from an answer (0-d and 1-element arrays pass)."""
    array = as_values(value, what)
    if array.size != 1:
        wrong(f"{what} should be one number, not an array {array.shape}.")
    return float(array.reshape(()))


def as_parts(value, *names):
    """The parts of a returned tuple, list or stack of arrays, or feedback."""
    if not isinstance(value, (list, tuple)):
        with contextlib.suppress(Exception):
            array = _numpy(value)
            value = list(array) if len(array) <= 1000 else array
    if not isinstance(value, (list, tuple)) or len(value) != len(names):
        wrong(
            f"Return {len(names)} things, ({', '.join(names)}); received "
            f"{kind(value)}."
        )
    return tuple(value)


def lettered_numbers(answer, names, right, mistakes, *, within, hint):
    """Refuse the first wrong of several numbers, called (a), (b), … .

    Args:
        answer: What should hold the numbers, in order.
        names: What each number is.
        right: The right numbers.
        mistakes: For each a list as :func:`name_value` takes it.
        within: How far off a right number may be; one for all or for each.
        hint: What is said of a number that no mistake explains.
    """
    letters = string.ascii_lowercase[: len(names)]
    parts = as_parts(answer, *names)
    values = [
        as_number(part, f"({letter}), {name},")
        for letter, name, part in zip(letters, names, parts, strict=True)
    ]
    good = np.abs(np.subtract(values, right)) <= within
    _share.set(float(np.mean(good)))
    for value, fine, named, letter in zip(
        values, good, mistakes, letters, strict=True
    ):
        if not fine:
            name_value(value, named)
            wrong(f"({letter}) is not {value:g}. {hint}")


def as_dict(value, what, keys):
    """A dict with exactly these keys, or feedback that names the others."""
    listed = ", ".join(map(repr, keys))
    if not isinstance(value, collections.abc.Mapping):
        wrong(
            f"`{what}` should be a dict with the keys {listed}; received "
            f"{kind(value)}."
        )
    lacking = [key for key in keys if key not in value]
    others = [key for key in value if key not in keys]
    if lacking or others:
        told = " and ".join(
            f"{word} {', '.join(map(repr, part[:5]))}"
            for word, part in (("lacks", lacking), ("has also", others))
            if part
        )
        wrong(f"`{what}` should be a dict with the keys {listed}; it {told}.")
    return {key: value[key] for key in keys}


def as_names(value, what, allowed):
    """A set of some of the allowed names, from one name or several."""
    names = [value] if isinstance(value, str) else value
    if isinstance(names, np.ndarray):
        names = names.ravel().tolist()
    if not isinstance(names, (list, tuple, collections.abc.Set)) or not all(
        isinstance(name, str) and name in allowed for name in names
    ):
        listed = " and ".join(f'"{name}"' for name in allowed)
        wrong(
            f"`{what}` lists names, some of {listed}; received {kind(value)}."
        )
    return set(names)


# ---------------------------------------------------- judge an answer


def name_value(value, named):
    """Reject what a known mistake gives: pairs of a value and its name."""
    for mistaken, feedback in named:
        try:
            same = np.allclose(value, mistaken, rtol=1e-4, atol=1e-5)
        except ValueError:  # shapes that cannot be compared
            same = False
        if same:
            wrong(feedback)


def nearest(points, others):
    """Index of and distance to each point's nearest other point."""
    squared = (
        (points**2).sum(1)[:, None]
        - 2 * points @ others.T
        + (others**2).sum(1)[None]
    )
    return squared.argmin(1), np.sqrt(np.maximum(squared.min(1), 0))
