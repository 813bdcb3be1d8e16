"""How the shared reader of answers calls, reads, refuses and accepts."""

import array
import collections
import itertools
import logging
import sys
import traceback
import warnings
from fractions import Fraction

import keras
import numpy as np
import pytest
import scipy.sparse
from IPython.core.interactiveshell import InteractiveShell
from keras import ops

from tests.answers import rejects, stub
from utils.checks import _feedback as feedback


@feedback.one_sentence
def check_9_1(answer):
    """The number 0.89."""
    value = feedback.as_number(answer, "Your answer")
    if value != 0.89:
        feedback.wrong(f"{value:g} is not 0.89.")
    feedback.correct("9.1", "Now another.")


@feedback.one_sentence
def check_9_2(answer):
    """A function of two arrays that returns their sum."""
    x = np.arange(3.0)
    value = feedback.call(answer, x, x)
    if not np.array_equal(feedback.as_array(value, "The sum", (3,)), 2 * x):
        feedback.wrong("That is not the sum.")
    feedback.correct("9.2", "Now another.")


@feedback.one_sentence
def check_9_3(first, second, third):
    """Three answers that are asked for something they lack."""
    first.no_such_thing(second, third)


def test_check_that_waits_says_for_which_answers():
    rejects(check_9_3, 1, None, None, match="answer: second and third are None")
    rejects(check_9_3, [], {}, [None], match="second and third are empty.")
    rejects(check_9_1, None, match="^Exercise 9.1 .* it is None. Write it in")
    rejects(check_9_2, stub, match="^Exercise 9.2 waits")


def test_check_without_or_with_too_many_answers_says_how_to_write_it():
    rejects(check_9_3, 1, match=r"Write check_9_3\(first, second, third\): mis")
    rejects(check_9_1, 1, 2, match=r"Write check_9_1\(answer\): too many")


def test_check_that_stops_says_why():
    match = r"sense of this answer \(int, list of str, None\): AttributeError"
    with pytest.raises(AssertionError, match=match.replace("None", "float")):
        check_9_3(1, ["a"], 1.0)


def _without_words(x, y):
    raise NotImplementedError("only for squares")


async def _later(x, y):
    return x + y


@pytest.mark.parametrize(
    ("check", "answer", "match"),
    [
        (check_9_1, "0.89", "should be numbers; received the text '0.89'"),
        (check_9_1, ["0.89"], "should be numbers; received list of str"),
        (check_9_1, np.array(["0.89"]), "received an array of <U4"),
        (check_9_1, np.array(["0.89"], object), "received array of str"),
        (check_9_1, [0.89, None], "received list of NoneType and float"),
        (check_9_1, 0.89 + 0j, "should be numbers; received complex"),
        (check_9_1, len, "received builtin_function_or_method: call it first"),
        (check_9_1, dict, "received the class dict: call it first"),
        (check_9_1, [[1, 2], [3]], "as many in each row; received a list of l"),
        (check_9_1, [0.89, 1], r"one number, not an array \(2,\)"),
        (check_9_1, float("nan"), "not contain NaN"),
        (check_9_1, {0.89}, "should be numbers; received set"),
        (check_9_1, {"a": 0.89}, "should be numbers; received dict"),
        (check_9_2, lambda x, y: "a", "received the text 'a'"),
        (check_9_2, lambda x, y: object(), "should be numbers; received obj"),
        (
            check_9_2,
            lambda x, y: None,
            "sum should not be None: did you forget",
        ),
        (check_9_2, lambda x, y: [1, 2], r"have shape \(3,\), not \(2,\)"),
        (check_9_2, lambda x: x, "stopped with TypeError"),
        (check_9_2, lambda x, y: sys.exit(1), "stopped with SystemExit: 1"),
        (check_9_2, _without_words, "NotImplementedError: only for squares"),
        (check_9_2, _later, "is `async def`"),
        (check_9_2, 3.0, "expects the function itself and received float"),
        (check_9_2, "f", "the text 'f': write .* or quotation marks"),
        (check_9_2, np.zeros(3), "received an array of float64, shape"),
    ],
)
def test_check_names_what_it_received(check, answer, match):
    rejects(check, answer, match=match)


@pytest.mark.parametrize(
    "value",
    [
        [1.0, 2.0],
        (1, Fraction(2)),
        collections.deque([1, np.float16(2)]),
        {"a": 1, "b": 2}.values(),
        range(1, 3),
        array.array("d", [1, 2]),
        memoryview(np.array([1.0, 2.0])),
        np.array([1, 2], "int8"),
        np.array([1, 2.0], object),
        ops.convert_to_tensor([1.0, 2.0]),
        ops.cast(ops.convert_to_tensor([1.0, 2.0]), "bfloat16"),
        [ops.convert_to_tensor(1.0), keras.Variable(2.0)],
        keras.Variable([1.0, 2.0]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_as_array_reads_any_container(value):
    found = feedback.as_array(value, "x", (2,))
    assert type(found) is np.ndarray and found.dtype == "float64"
    assert found.tolist() == [1.0, 2.0]


def test_as_array_of_a_tensor_that_tracks_its_gradient():
    class Tracking:
        """What PyTorch's tensors are like to others."""

        def __array__(self, dtype=None, copy=None):
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad"
            )

        def detach(self):
            return self

        def cpu(self):
            return np.ones(2, "float32")

    assert feedback.as_array([Tracking()], "x", (1, 2)).all()


def test_as_array_of_a_memoryview_of_two_axes():
    """Python cannot count through its rows."""
    view = memoryview(np.eye(2))
    assert np.array_equal(feedback.as_array(view, "x"), np.eye(2))
    rejects(check_9_2, view, match="received memoryview: write check")


def test_check_of_a_list_that_cannot_be_read_says_so():
    class Broken(list):
        """Stops when anyone counts through it."""

        def __iter__(self):
            raise ValueError("broken")

    released = memoryview(b"ab")
    released.release()
    for answer in (Broken([1.0]), released):
        rejects(check_9_1, answer, match="Broken|received memoryview")
        rejects(check_9_2, answer, match="Broken|received memoryview")


def test_as_array_of_what_is_sparse_or_masked():
    eye = scipy.sparse.eye_array(2)
    assert np.array_equal(feedback.as_array(eye, "x"), np.eye(2))
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    rejects(feedback.as_array, masked, "x", match="not contain NaN")


class Endless:
    """A sequence without an end."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return 1.0


@pytest.mark.parametrize(
    "value",
    [
        Endless(),
        [Endless()],
        itertools.count(),
        range(10**12),
        np.broadcast_to(0.0, (10**7, 10**7)),
        keras.Input((3,)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_as_array_what_has_no_end_or_no_values(value):
    rejects(feedback.as_array, value, "x", match="^x should be numbers; rec")


def test_check_keeps_warnings_and_standard_error_of_an_answer_off(capsys):
    log = logging.getLogger("loud")
    log.addHandler(logging.StreamHandler(sys.stderr))

    def loud(x, y):
        warnings.warn("a harmless warning", stacklevel=1)
        print("a bar of progress", file=sys.stderr)
        log.error("a record")
        np.log(np.zeros(3))
        return x + y

    check_9_2(loud)
    printed = capsys.readouterr()
    assert "Exercise 9.2: correct" in printed.out
    assert "a bar of progress" in printed.out
    assert not printed.err
    assert log.isEnabledFor(logging.ERROR)


@pytest.mark.parametrize("answer", ["wrong", None])
def test_check_in_jupyter_is_one_line_and_stops_the_run(
    answer, capsys, tmp_path, monkeypatch
):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell()
    shell.user_ns["check"] = check_9_1
    result = shell.run_cell(f"check({answer!r})\nafter = True")
    printed = capsys.readouterr()
    assert isinstance(result.error_in_exec, AssertionError)
    assert "after" not in shell.user_ns
    assert f"{printed.out}{printed.err}" == f"{result.error_in_exec}\n"


def test_check_in_plain_python_is_an_assertion_error_without_a_chain():
    with pytest.raises(AssertionError) as caught:
        check_9_2(lambda x, y: 1 / 0)
    told = "".join(traceback.format_exception(caught.value))
    assert "Your function stopped with ZeroDivisionError" in told
    assert "During handling" not in told


def test_wrong_is_one_line_and_not_too_long():
    rejects(feedback.wrong, " a\n\n b\r c\u2028d", match="^a b c d$")
    rejects(feedback.wrong, "a" * 9999, match=f"^a{{{feedback.LONGEST}}}…$")


def test_as_parts_of_any_container_with_one_part_for_each_name():
    two = ([1, 2], (1, 2), np.array([1, 2]), ops.convert_to_tensor([1, 2]))
    for given in two:
        assert [int(p) for p in feedback.as_parts(given, "a", "b")] == [1, 2]
    for given in ([1], 1.0, "ab", {"a": 1, "b": 2}, {1, 2}, None, len):
        match = r"^Return 2 things, \(a, b\); received "
        rejects(feedback.as_parts, given, "a", "b", match=match)


def test_as_dict_names_keys_that_are_missing_or_too_many():
    given = {"b": 1, "a": 2}
    assert feedback.as_dict(given, "x", ("a", "b")) == given
    many = collections.UserDict(given)
    assert feedback.as_dict(many, "x", ("a", "b")) == given
    rejects(feedback.as_dict, given, "x", ("a", "c"), match="it lacks 'c'.")
    rejects(feedback.as_dict, given, "x", ("a",), match="it has also 'b'.")
    match = "it lacks 1 and has also 'b', 'a'."
    rejects(feedback.as_dict, given, "x", (1,), match=match)
    rejects(feedback.as_dict, [1], "x", ("a",), match="received list of int.")


def test_as_names_one_name_or_several_and_nothing_else():
    allowed = ("a", "b")
    several = (["a"], ("a",), {"a"}, frozenset("a"), {"a": 1}.keys())
    for given in ("a", np.array(["a"]), *several):
        assert feedback.as_names(given, "x", allowed) == {"a"}
    assert feedback.as_names([], "x", allowed) == set()
    for given in ("c", ["a", "c"], [["a"]], {"a": 1}, 2, iter("a"), None):
        rejects(feedback.as_names, given, "x", allowed, match="`x` lists names")


def test_slope_hands_on_what_the_answer_was_told():
    def stops(x):
        return feedback.call(len, x, x)

    rejects(feedback.slope, stops, np.ones(3, "float32"), match="TypeError")
