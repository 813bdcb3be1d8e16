"""Checks meet any answer with one sentence, in Jupyter with one line."""

import importlib
import inspect
import pkgutil
import sys
import traceback
import warnings

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from tests.answers import rejects, stub
from utils import checks
from utils.checks import _feedback as feedback

CHECKS = {
    f"{module.name}.{name}": function
    for module in pkgutil.iter_modules(checks.__path__)
    if module.name.startswith("chapter_")
    for name, function in vars(
        importlib.import_module(f"utils.checks.{module.name}")
    ).items()
    if name.startswith("check_")
}
# what the chapter itself passes on, behind the learner's answer
GIVEN = {
    "chapter_06d.check_6_5": (np.ones((30, 12), int), 9, 4),
    "chapter_06d.check_6_6": (np.arange(600) % 9, np.arange(20) % 9),
}


class Hostile:
    """Whatever it is asked, it stops."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no array here")

    def __getattr__(self, name):
        raise RuntimeError(f"no {name} here")

    def __len__(self):
        raise OSError("no length\nhere")

    def __eq__(self, other):
        raise ArithmeticError("no equality here")

    __hash__ = object.__hash__


class Ragged:
    """Claims to be an array of another kind."""

    shape = (3,)

    def __array__(self, dtype=None, copy=None):
        return np.array([[1, 2], "x"], dtype=object)


def warner(*arguments, **keywords):
    warnings.warn("a harmless warning", stacklevel=1)
    print("an answer's own words", file=sys.stderr)
    return np.log(np.zeros(3))


def leaver(*arguments, **keywords):
    sys.exit(1)


ODD = {
    "text": "0.89",
    "empty text": "",
    "bytes": b"1",
    "number": 3,
    "huge integer": 10**400,
    "NaN": float("nan"),
    "complex": 1 + 2j,
    "boolean": True,
    "ellipsis": ...,
    "object": object(),
    "class": dict,
    "module": np,
    "type of array": np.ndarray,
    "dict": {"a": 1},
    "dict by number": {1: "a", 10: None},
    "empty dict": {},
    "list of text": ["a", "b"],
    "list with None": [None, 1.0, 2.0],
    "ragged list": [[1, 2], [3]],
    "nested empty": [[], []],
    "set": {1, 2},
    "pair of arrays": (np.zeros((2, 2)), np.zeros(3)),
    "arrays of objects": np.array([object(), None]),
    "empty array": np.zeros((0, 3)),
    "wide array": np.broadcast_to(0.0, (10**7, 10**7)),
    "structured array": np.zeros(3, dtype=[("a", int)]),
    "dates": np.array(["2024-01-01"], dtype="datetime64[D]"),
    "masked array": np.ma.masked_all((3, 2)),
    "hostile": Hostile(),
    "ragged": Ragged(),
}
FUNCTIONS = {
    "no argument": lambda: 1.0,
    "first argument": lambda *a, **k: a[0],
    "all arguments": lambda *a, **k: a,
    "a generator": lambda *a, **k: (part for part in a),
    "a function": lambda *a, **k: lambda *b: "a",
    "an endless recursion": lambda *a, **k: FUNCTIONS["an endless recursion"](),
    "an empty error": lambda *a, **k: exec("raise ValueError"),
    "an error of many lines": lambda *a, **k: exec(
        "raise ValueError('a\\n b')"
    ),
    "a warning": warner,
    "an exit": leaver,
    "a syntax error": lambda *a, **k: exec("1 +"),
}
FUNCTIONS |= {
    f"returns {name}": lambda *a, value=value, **k: value
    for name, value in ODD.items()
}


@pytest.fixture(params=CHECKS)
def given(request):
    """A check, the number of answers it takes, what else it is given."""
    check, more = CHECKS[request.param], GIVEN.get(request.param, ())
    return check, len(inspect.signature(check).parameters) - len(more), more


def test_there_is_a_check_for_every_exercise_and_each_is_guarded():
    assert len(CHECKS) >= 75
    assert all(hasattr(check, "__wrapped__") for check in CHECKS.values())


def test_check_any_answer_gets_one_line(given, capsys):
    check, count, more = given
    refused = 0
    for name, answer in {**ODD, **FUNCTIONS}.items():
        try:
            check(*[answer] * count, *more)
        except feedback.CheckFailed as refusal:
            refused += 1
            assert "\n" not in str(refusal), name
            assert len(str(refusal)) < 600, name
    assert refused >= len(ODD) + len(FUNCTIONS) - 3
    assert not capsys.readouterr().err


def test_check_one_odd_answer_among_others_gets_one_line(given):
    check, count, more = given
    for place in range(count if count > 1 else 0):
        for answer in ODD.values():
            answers = [{"a": 1.0}] * count
            answers[place] = answer
            rejects(check, *answers, *more, match="^.+$")


def test_check_without_an_answer_waits(given):
    check, count, more = given
    exercise = check.__name__.removeprefix("check_").replace("_", ".")
    match = f"^Exercise {exercise} waits for your answer"
    rejects(check, *[None] * count, *more, match=match)
    if not more:
        rejects(check, *[[None, None]] * count, match=match)
        rejects(check, *[{}] * count, match=match)


def test_check_that_waits_says_for_which_answers():
    check = CHECKS["chapter_03.check_3_4"]
    rejects(check, 1, None, None, match="answer: calm and rescued are None.")
    rejects(check, [], {}, [], match="paired and calm and rescued are empty.")
    check = CHECKS["chapter_02.check_2_1"]
    rejects(check, None, match="^Exercise 2.1 .* it is None. Write it in the")


def test_check_of_the_stub_of_a_function_waits():
    rejects(CHECKS["chapter_02.check_2_2"], stub, match="^Exercise 2.2 waits")


def _with_text(x, x_hat):
    raise NotImplementedError("only for squares")


@pytest.mark.parametrize(
    ("name", "answer", "match"),
    [
        ("2_1", "0.89", "should be numbers; received the text '0.89'"),
        ("2_1", ["0.89"], "should be numbers; received list"),
        ("2_1", np.array(["0.89"], object), "should be numbers"),
        ("2_1", 0.89 + 0j, "should be numbers; received complex"),
        ("2_3", lambda x, y: "a", "should be numbers; received the text 'a'"),
        ("2_3", lambda x, y: object(), "should be numbers; received object"),
        ("2_3", _with_text, "NotImplementedError: only for squares"),
        ("2_4", 3.0, "expects the function itself and received float"),
    ],
)
def test_check_names_what_it_received(name, answer, match):
    rejects(CHECKS[f"chapter_02.check_{name}"], answer, match=match)


def test_check_warnings_and_errors_stream_of_an_answer_are_kept_off(capsys):
    def loud(model, x):
        warnings.warn("a harmless warning", stacklevel=1)
        print("a bar of progress", file=sys.stderr)
        np.log(np.zeros(3))
        return model.encode(x)

    CHECKS["chapter_02.check_2_2"](loud)
    printed = capsys.readouterr()
    assert "Exercise 2.2: correct" in printed.out
    assert "a bar of progress" in printed.out
    assert not printed.err


@pytest.mark.parametrize("answer", ["wrong", None])
def test_check_in_jupyter_is_one_line_and_stops_the_run(
    answer, capsys, tmp_path, monkeypatch
):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell()
    shell.user_ns["check"] = CHECKS["chapter_02.check_2_1"]
    result = shell.run_cell(f"check({answer!r})\nafter = True")
    printed = capsys.readouterr()
    assert isinstance(result.error_in_exec, AssertionError)
    assert "after" not in shell.user_ns
    assert f"{printed.out}{printed.err}" == f"{result.error_in_exec}\n"


def test_check_in_plain_python_is_an_assertion_error_without_a_chain():
    with pytest.raises(AssertionError) as caught:
        CHECKS["chapter_02.check_2_3"](lambda x, y: 1 / 0)
    told = "".join(traceback.format_exception(caught.value))
    assert "Your function stopped with ZeroDivisionError" in told
    assert "During handling" not in told


def test_as_names_one_name_or_several_and_nothing_else():
    allowed = ("a", "b")
    for given in ("a", ["a"], ("a",), {"a"}, frozenset("a")):
        assert feedback.as_names(given, "x", allowed) == {"a"}
    assert feedback.as_names([], "x", allowed) == set()
    for given in ("c", ["a", "c"], [["a"]], {"a": 1}, 2, iter("a"), None):
        rejects(feedback.as_names, given, "x", allowed, match="`x` lists names")
