"""Whatever an answer is, its check says one line and nothing else.

The checks are found by looking at the modules, the right answers in the
sources, so that a new exercise comes in by itself. Permitted are "correct"
and feedback; not a traceback, a warning, a word on standard error, a training
or more than a moment.
"""

import array
import ast
import builtins
import collections
import contextlib
import datetime
import decimal
import dis
import enum
import fractions
import functools
import importlib
import inspect
import io
import itertools
import logging
import operator
import pathlib
import pkgutil
import re
import sys
import time
import types
import warnings

import jupytext
import keras
import numpy as np
import pytest
import scipy.sparse
from keras import ops
from sittings import sources, tags
from sklearn.decomposition import PCA

from utils import checks
from utils.checks._feedback import LONGEST, CheckFailed
from utils.models import GAN, VAE, Autoencoder

MODULES = {
    module.name: importlib.import_module(f"utils.checks.{module.name}")
    for module in pkgutil.iter_modules(checks.__path__)
    if module.name.startswith("chapter_")
}
CHECKS = {
    f"{module}.{name}": function
    for module, content in MODULES.items()
    for name, function in vars(content).items()
    if name.startswith("check_")
}
# what the chapter itself passes on, behind the learner's answer
GIVEN = {
    "chapter_06d.check_6d_5": (np.ones((30, 12), int), 9, 4),
    "chapter_06d.check_6d_6": (np.arange(600) % 9, np.arange(20) % 9),
}
SECONDS = 5.0  # for one answer; the slowest takes a third of one


# ------------------------------------------------------------ odd values


class Hostile:
    """Whatever it is asked, it stops."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no array here")

    def __getattr__(self, name):
        raise AssertionError(f"no {name} here")

    def __len__(self):
        raise OSError("no length\nhere")

    def __eq__(self, other):
        raise ArithmeticError("no equality here")

    def __repr__(self):
        raise LookupError("no name here")

    __hash__ = object.__hash__


class Ragged:
    """Claims to be an array of another kind."""

    shape = (3,)

    def __array__(self, dtype=None, copy=None):
        return np.array([[1, 2], "x"], dtype=object)


class Longer:
    """A sequence longer than it says, as a data set may be."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index > 1000:
            raise IndexError
        return 1.0


class Keys(dict):
    """A dict that does not let itself be read."""

    def values(self):
        raise RuntimeError("no values here")

    __getitem__ = keys = __iter__ = values


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Leaving(BaseException):
    """No ordinary error."""


class Colour(enum.Enum):
    RED = 1


def with_itself():
    answer = [1.0]
    answer.append(answer)
    return answer


PLAIN = {
    "text": "0.89",
    "empty text": "",
    "text of two lines": "a\nb",
    "long text": 10_000 * "a",
    "letters": "BDF",
    "bytes": b"1",
    "bytearray": bytearray(b"12"),
    "NumPy's text": np.str_("0.89"),
    "zero": 0,
    "number": 3,
    "negative number": -1.5,
    "huge integer": 10**400,
    "infinite": float("inf"),
    "NaN": float("nan"),
    "half precision": np.float16(0.89),
    "long double": np.longdouble(2),
    "fraction": fractions.Fraction(1, 3),
    "decimal": decimal.Decimal("0.1"),
    "decimal NaN": decimal.Decimal("NaN"),
    "complex": 1 + 2j,
    "boolean": True,
    "ellipsis": ...,
    "not implemented": NotImplemented,
    "object": object(),
    "class": dict,
    "class of arrays": np.ndarray,
    "class of numbers": float,
    "class of models": keras.Model,
    "class of errors": ValueError,
    "error": ValueError("a\nb"),
    "module": np,
    "own module": types.ModuleType("empty"),
    "method": "a".upper,
    "ufunc": np.add,
    "itemgetter": operator.itemgetter(0),
    "member": Colour.RED,
    "date": datetime.date(2024, 1, 1),
    "path": pathlib.Path("a"),
    "pattern": re.compile("a"),
    "slice": slice(3),
    "namespace": types.SimpleNamespace(encode=3, predict=None, optimizer=1),
    "dict": {"a": 1},
    "dict by number": {1: "a", 10: None},
    "dict by mixed keys": {1: 1.0, "a": 2.0, None: 3.0},
    "dict of None": {"a": None},
    "empty dict": {},
    "closed dict": Keys(a=1),
    "values of a dict": {"a": 1.0}.values(),
    "UserDict": collections.UserDict(a=1),
    "deque": collections.deque([1.0, 2.0]),
    "range": range(4),
    "endless range": range(10**12),
    "endless count": itertools.count(),
    "longer sequence": Longer(),
    "map": map(str, range(3)),
    "array of the library": array.array("d", [1.0]),
    "memory": memoryview(b"ab"),
    "list of text": ["a", "b"],
    "list of numbers as text": ["0.89", "1"],
    "list with None": [None, 1.0, 2.0],
    "list of NaN": [float("nan")] * 3,
    "list of functions": [len, len],
    "list of dicts": [{}, {"a": 1}],
    "list of ones": [1, 1, 1, 1, 1],
    "list with itself": with_itself(),
    "ragged list": [[1, 2], [3]],
    "ragged arrays": [np.zeros(2), np.zeros((2, 2))],
    "nested empty": [[], []],
    "deeply nested": [[[[[[1.0]]]]]],
    "empty tuple": (),
    "set": {1, 2},
    "pair of arrays": (np.zeros((2, 2)), np.zeros(3)),
    "pair of texts": ("a", "b"),
    "arrays of objects": np.array([object(), None]),
    "numbers as objects": np.array([1, 2.5, fractions.Fraction(1)], object),
    "dates as objects": np.array([np.datetime64("2024")], object),
    "empty array": np.zeros((0, 3)),
    "wide array": np.broadcast_to(0.0, (10**7, 10**7)),
    "array of rank 0": np.array(0.5),
    "array of rank 7": np.zeros((1,) * 7),
    "structured array": np.zeros(3, dtype=[("a", int)]),
    "array of text": np.array(["a", "b"]),
    "dates": np.array(["2024-01-01"], dtype="datetime64[D]"),
    "masked array": np.ma.masked_all((3, 2)),
    "sparse": scipy.sparse.eye_array(3),
    "hostile": Hostile(),
    "ragged": Ragged(),
}


def symbolic():
    return keras.Input((3,))


@functools.cache
def untrained():
    """A model of Keras, built and neither compiled nor trained."""
    return keras.Sequential([symbolic(), keras.layers.Dense(4)])


class Empty(keras.Model):
    """A model without a `call`."""


@functools.cache
def models():
    """Models that are built, and neither compiled nor trained."""
    return {
        "model that is not trained": untrained(),
        "model of the course": Autoencoder.dense((8, 8, 1), 8),
        "model of the course for others": VAE.dense((3,), 2),
        "two networks": GAN.dense((8, 8, 1), 4),
    }


# made afresh for each check, which may build or change them
FRESH = {
    "generator": lambda: (part for part in (1.0, 2.0)),
    "file": io.StringIO,
    "symbolic tensor": symbolic,
    "layer": lambda: keras.layers.Dense(2),
    "model without layers": keras.Sequential,
    "model that is not built": lambda: keras.Sequential(
        [keras.layers.Dense(4)]
    ),
    "model without a call": Empty,
    "PCA that is not fitted": PCA,
    "optimizer": keras.optimizers.Adam,
    "variable": lambda: keras.Variable(np.ones(3, "float32")),
    "variable of another type": lambda: keras.Variable(
        1, dtype="int64", trainable=False
    ),
    **{
        f"tensor of {dtype}, rank {rank}": lambda dtype=dtype, rank=rank: (
            ops.ones((2,) * rank, dtype)
        )
        for dtype in ("float64", "float32", "float16", "bfloat16", "int64")
        + ("bool",)
        for rank in (0, 2)
    },
}
with contextlib.suppress(ImportError):
    import pandas as pd

    PLAIN["series"] = pd.Series([1.0, None])
    PLAIN["frame"] = pd.DataFrame({"a": ["b"]})


def grown(rng, depth=3):
    """Something random: a number, an array, a text, or a container of such."""
    which = rng.integers(9 if depth else 5)
    if which == 0:
        return float(rng.normal() * 10.0 ** rng.integers(-300, 300))
    if which == 1:
        return int(rng.integers(-3, 12))
    if which == 2:
        shape = tuple(rng.integers(0, 4, rng.integers(0, 5)))
        dtype = rng.choice(["float16", "float64", "int8", "bool", "object"])
        return rng.normal(size=shape).astype(dtype)
    if which == 3:
        return "".join(rng.choice(list("ab A1.\n\u2028é"), rng.integers(4)))
    if which == 4:
        return (None, True, float("nan"), len, b"")[rng.integers(5)]
    parts = [grown(rng, depth - 1) for _ in range(rng.integers(0, 5))]
    if which == 5:
        return tuple(parts)
    if which == 6:
        return {f"{part!r:.3}": part for part in parts}
    if which == 7:
        return dict(enumerate(parts))
    return parts


# --------------------------------------------------------- odd functions


def warner(*arguments, **keywords):
    warnings.warn("a harmless warning", stacklevel=1)
    logging.getLogger("answer").error("an answer's own record")
    print("an answer's own words", file=sys.stderr)
    return np.log(np.zeros(3))


def leaver(*arguments, **keywords):
    sys.exit(1)


def raiser(error):
    def raises(*arguments, **keywords):
        raise error

    return raises


def deep(*arguments, **keywords):
    return deep(*arguments, **keywords)


async def waiter(*arguments, **keywords):
    return 1.0


def overwriter(*arguments, **keywords):
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            argument.fill(0)
    return arguments[0]


def changing():
    """Another type at every call."""
    results = itertools.cycle(PLAIN.values())
    return lambda *arguments, **keywords: next(results)


FUNCTIONS = {
    "no argument": lambda: 1.0,
    "one argument": lambda a: a,
    "seven arguments": lambda a, b, c, d, e, f, g: a,
    "keywords alone": lambda **keywords: keywords,
    "all arguments": lambda *a, **k: a,
    "first argument": lambda *a, **k: a[0],
    "last argument": lambda *a, **k: a[-1],
    "a part": lambda *a, **k: a[0][0],
    "a mean": lambda *a, **k: ops.mean(a[0]),
    "a mean of each row": lambda *a, **k: ops.mean(a[0], axis=-1),
    "a mean of each column": lambda *a, **k: np.mean(a[0], axis=0),
    "other rows": lambda *a, **k: np.asarray(a[0])[::-1][:-1],
    "in half precision": lambda *a, **k: ops.cast(a[0], "float16"),
    "integers": lambda *a, **k: ops.cast(a[0], "int64"),
    "a list": lambda *a, **k: np.asarray(a[0]).tolist(),
    "NaN": lambda *a, **k: np.full(np.shape(a[0]), np.nan),
    "a generator": lambda *a, **k: (part for part in a),
    "a coroutine": waiter,
    "a function": lambda *a, **k: lambda *b: "a",
    "a function of None": lambda *a, **k: lambda *b: None,
    "an untrained model": lambda *a, **k: untrained(),
    "an unbuilt model": lambda *a, **k: FRESH["model that is not built"](),
    "a symbolic tensor": lambda *a, **k: symbolic(),
    "a variable": lambda *a, **k: keras.Variable(np.ones(3, "float32")),
    "None": lambda *a, **k: None,
    "another type each time": changing(),
    "overwritten arguments": overwriter,
    "an endless recursion": deep,
    "an exit": leaver,
    "a warning": warner,
    "a syntax error": lambda *a, **k: exec("1 +"),
    "an empty error": raiser(ValueError),
    "an error of many lines": raiser(ValueError("a\n b\r c\u2028 d")),
    "an error without words": raiser(Unprintable()),
    "a failed assertion": raiser(AssertionError("a\nb")),
    "no ordinary error": raiser(Leaving("a\nb")),
    "the end of a loop": raiser(StopIteration()),
    "a group of errors": raiser(Exception([ValueError(), 3])),
    **{
        f"returns {name}": lambda *a, value=value, **k: value
        for name, value in PLAIN.items()
    },
}


def in_time(cases, seconds=0.2):
    """As many cases as a moment allows, three at least."""
    start = time.process_time()
    for index, case in enumerate(cases):
        if index >= 3 and time.process_time() - start > seconds:
            return
        yield case


@contextlib.contextmanager
def one_line(name, capsys):
    """Whatever happens inside is a single line, on standard output."""
    before = time.process_time()
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        try:
            yield
        except CheckFailed as refusal:
            told = str(refusal)
            assert len(told.splitlines()) == 1, name
            assert len(told) <= LONGEST + 1, name
    assert not shown, f"{name}: {shown[0].message}"
    assert time.process_time() - before < SECONDS, name
    assert not capsys.readouterr().err, name


def odd_answers(rng):
    """Every odd answer once, with a name for the report."""
    yield from PLAIN.items()
    yield from ((name, make()) for name, make in FRESH.items())
    yield from models().items()
    yield from FUNCTIONS.items()
    for index in range(8):
        value = grown(rng)
        yield f"grown {index}: {value!r:.80}", value
        yield (
            f"returns grown {index}",
            lambda *a, value=value, **k: value,
        )


@pytest.fixture
def no_training(monkeypatch):
    """An odd answer is refused before anything is trained."""

    def fit(*arguments, **keywords):
        fits.append(arguments)

    fits = []
    monkeypatch.setattr(keras.Model, "fit", fit)
    yield
    assert not fits


@pytest.fixture(params=CHECKS)
def given(request):
    """A check, the number of answers it takes, what else it is given."""
    check, more = CHECKS[request.param], GIVEN.get(request.param, ())
    return check, len(inspect.signature(check).parameters) - len(more), more


def test_every_exercise_has_a_check_that_is_guarded():
    assert len(CHECKS) >= 75
    assert all(hasattr(check, "__wrapped__") for check in CHECKS.values())


def test_check_any_answer_gets_one_line(given, rng, no_training, capsys):
    check, count, more = given
    for name, answer in in_time(odd_answers(rng), 1.2):
        with one_line(name, capsys):
            check(*[answer] * count, *more)


def test_check_one_odd_answer_among_others_gets_one_line(given, capsys):
    check, count, more = given
    for place in range(count if count > 1 else 0):
        for name, answer in in_time(PLAIN.items()):
            for other in ({"a": 1.0}, 1.0, len):
                answers = [other] * count
                answers[place] = answer
                with one_line(name, capsys):
                    check(*answers, *more)


def test_check_any_number_of_answers_gets_one_line(given, capsys):
    check, count, more = given
    for other in range(count + len(more) + 2):
        with one_line(f"{other} answers", capsys):
            check(*[1.0] * other)
    with one_line("by name", capsys):
        check(nothing=1.0)


def test_check_without_an_answer_waits(given):
    check, count, more = given
    exercise = check.__name__.removeprefix("check_").replace("_", ".")
    match = f"^Exercise {exercise} waits for your answer"
    stubs = [None] if more else [None, [None, None], {}]
    for stub in stubs:
        with pytest.raises(CheckFailed, match=match):
            check(*[stub] * count, *more)


# ---------------------------------------------- right answers, made odd


def imports(cells):
    """The top-level imports of a source, as code."""
    lines = []
    for cell in cells:
        with contextlib.suppress(SyntaxError):
            lines += [
                ast.unparse(node)
                for node in ast.parse(cell.source).body
                if isinstance(node, (ast.Import, ast.ImportFrom))
            ]
    return "\n".join(lines)


def exercises():
    """Each exercise of the sources: code of its answer, call of its check."""
    for path in sources():
        cells = [c for c in jupytext.read(path).cells if c.cell_type == "code"]
        answer = imports(cells)
        for cell in cells:
            if "exercise" in tags(cell):
                answer += f"\n{cell.source}"
            if "check" in tags(cell):
                name = re.search(r"check_\w+", cell.source)[0]
                yield f"{path.stem}.{name}", (name, answer, cell.source)
                answer = imports(cells)


EXERCISES = dict(exercises())


def lacks(answer):
    """Whether a function reads a name that stands nowhere it looks."""
    if not inspect.isfunction(answer):
        return False
    known = {**vars(builtins), **answer.__globals__}
    return any(
        step.opname == "LOAD_GLOBAL" and step.argval not in known
        for step in dis.get_instructions(answer)
    )


@functools.cache
def solution(exercise):
    """The check and what the solutions give it; None if that is trained."""
    name, answer, call = EXERCISES[exercise]
    found, space = [], {}
    recorder = types.SimpleNamespace(**{name: lambda *a: found.extend(a)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "fit", raiser(NameError("no training")))
        try:
            exec(answer, space)
            check = getattr(space["checks"], name)
            exec(call, {**space, "checks": recorder})
        except NameError:  # it needs what the chapter made before
            return None
    return None if any(map(lacks, found)) else (check, found)


@pytest.fixture(params=EXERCISES)
def solved(request):
    """A check and its right answers, made anew by what they are made of."""
    if solution(request.param) is None:
        pytest.skip("is trained, or needs the chapter's data")
    return solution(request.param)


def test_most_exercises_have_a_right_answer_without_training():
    assert sum(solution(name) is not None for name in EXERCISES) >= 50


def is_numeric(value):
    """Whether a value is a number, or an array or list of numbers."""
    if isinstance(value, tuple):
        return False
    try:
        return np.asarray(value).dtype.kind in "fiub"
    except Exception:
        return False


INTEGERS = {
    "int32": lambda v: np.asarray(v, "int32"),
    "int64": lambda v: np.asarray(v, "int64"),
    "a list": lambda v: np.asarray(v).tolist(),
    "a deque": lambda v: (
        np.asarray(v).tolist()
        if np.ndim(v) == 0
        else collections.deque(np.asarray(v).tolist())
    ),
    "objects": lambda v: np.asarray(v).astype(object),
    "a tensor": lambda v: ops.convert_to_tensor(np.asarray(v, "int64")),
}
NUMBERS = {
    "float64": lambda v: np.asarray(v, "float64"),
    "float32": lambda v: np.asarray(v, "float32"),
    "a list": INTEGERS["a list"],
    "a deque": INTEGERS["a deque"],
    "objects": INTEGERS["objects"],
    "fractions": lambda v: np.vectorize(fractions.Fraction, otypes=[object])(
        np.asarray(v, "float64")
    ),
    "a tensor": lambda v: ops.convert_to_tensor(np.asarray(v, "float64")),
    "a tensor of float32": lambda v: ops.convert_to_tensor(
        np.asarray(v, "float32")
    ),
    "a variable": lambda v: keras.Variable(
        np.asarray(v, "float32"), dtype="float32"
    ),
}
TENSORS = {
    "float32": lambda v: ops.cast(v, "float32"),
    "float64": lambda v: ops.cast(v, "float64"),
}
for library, make in (
    ("torch", lambda m: lambda v: m.tensor(np.asarray(v), requires_grad=True)),
    ("jax.numpy", lambda m: m.asarray),
    ("tensorflow", lambda m: m.constant),
):
    with contextlib.suppress(ImportError):
        NUMBERS[library] = make(importlib.import_module(library))


def kinds(value):
    """The names of the kinds in which a value may be given."""
    if isinstance(value, (tuple, list)) and not is_numeric(value):
        return {name for part in value for name in kinds(part)} | {"a list"}
    if isinstance(value, dict):
        return {name for part in value.values() for name in kinds(part)}
    if isinstance(value, (str, keras.Model)):
        return set()
    if callable(value):
        return {*NUMBERS, *INTEGERS}
    if ops.is_tensor(value):
        return set(TENSORS)
    integers = np.asarray(value).dtype.kind in "iu"
    return set(INTEGERS if integers else NUMBERS) if is_numeric(value) else ()


def as_kind(value, name):
    """The same numbers in another type; functions return it."""
    if isinstance(value, (tuple, list)) and not is_numeric(value):
        parts = [as_kind(part, name) for part in value]
        return parts if name == "a list" else tuple(parts)
    if isinstance(value, dict):
        return {key: as_kind(part, name) for key, part in value.items()}
    if isinstance(value, (str, keras.Model)):
        return value
    if callable(value):
        return lambda *a, **k: as_kind(value(*a, **k), name)
    if ops.is_tensor(value):
        return TENSORS.get(name, lambda v: v)(value)
    if not is_numeric(value) or np.asarray(value).dtype == bool:
        return value
    if isinstance(value, np.ndarray):
        value = value.copy()  # PyTorch takes no array that runs backwards
    table = INTEGERS if np.asarray(value).dtype.kind in "iu" else NUMBERS
    if name == "fractions" and not np.isfinite(value).all():
        return value  # there is no such fraction
    return table.get(name, lambda v: v)(value)


def test_check_right_answer_in_any_container(solved, capsys):
    check, answers = solved
    names = sorted({name for answer in answers for name in kinds(answer)})
    for name in in_time(names):
        try:
            check(*[as_kind(answer, name) for answer in answers])
        except CheckFailed as refusal:
            pytest.fail(f"{name}: {refusal}")
        out, err = capsys.readouterr()
        assert ": correct. " in out and not err, name


def turning(answer, calls, value):
    """The right answer, and after so many calls something else."""
    left = itertools.repeat(None, calls)

    def turns(*arguments, **keywords):
        try:
            next(left)
        except StopIteration:
            return value(*arguments) if callable(value) else value
        return answer(*arguments, **keywords)

    return turns


LATER = {
    "None": None,
    "text": "a",
    "texts": ["a", "b"],
    "number": 1.0,
    "ragged list": [[1, 2], [3]],
    "NaN": np.full((2, 2), np.nan),
    "empty array": np.zeros((0, 3)),
    "dict": {1: "a"},
    "pair": (None, 1.0),
    "function": lambda *a: len,
    "argument": lambda *a: a[0],
    "error": raiser(ValueError("a\nb")),
    "exit": leaver,
    "failed assertion": raiser(AssertionError("a\nb")),
    "half precision": lambda *a: ops.cast(a[0], "float16"),
}


def test_check_answer_that_changes_gets_one_line(solved, capsys):
    check, answers = solved
    for place, answer in enumerate(answers):
        if not callable(answer) or isinstance(answer, keras.Model):
            continue
        for calls, (name, value) in in_time(
            itertools.product(range(5), LATER.items())
        ):
            turned = turning(answer, calls, value)
            with one_line(f"{name} after {calls}", capsys):
                check(*answers[:place], turned, *answers[place + 1 :])
