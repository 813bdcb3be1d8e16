"""Argument checks: what passes, what is refused, and what the message says."""

import numpy as np
import pytest
import scipy.sparse

from utils.support import validation as check

ARRAY = np.zeros((3, 2))


def test_fail_message_names_argument_expectation_and_value():
    with pytest.raises(ValueError) as raised:
        check.fail("rate", "a number > 0", "-1")
    assert str(raised.value) == "rate: expected a number > 0; received -1."


@pytest.mark.parametrize("value", [1, np.int64(3), np.uint8(7)])
def test_check_int_whole_number_returned_as_int(value):
    result = check.check_int(value, "n")
    assert type(result) is int
    assert result == value


@pytest.mark.parametrize("value", [0, -1, 2.5, 2.0, True, "3", None, 6])
def test_check_int_anything_else_refused(value):
    with pytest.raises(ValueError, match=r"^n: expected an integer from 1 to"):
        check.check_int(value, "n", maximum=5)


@pytest.mark.parametrize("value", [0, 0.5, np.float32(1)])
def test_check_number_in_range_returned_as_float(value):
    result = check.check_number(value, "p", 0.0, 1.0)
    assert type(result) is float
    assert result == value


@pytest.mark.parametrize(
    "value", [-0.1, 1.1, float("nan"), float("inf"), True, "0.5", None]
)
def test_check_number_anything_else_refused(value):
    with pytest.raises(ValueError, match="^p: expected a number from 0 to 1"):
        check.check_number(value, "p", 0.0, 1.0)


def test_check_number_one_bound_named_in_message():
    with pytest.raises(ValueError, match="a number ≥ 2; received 1"):
        check.check_number(1, "p", 2)
    with pytest.raises(ValueError, match="a finite number"):
        check.check_number(float("inf"), "p")


@pytest.mark.parametrize("value", ["c", None, 1, ["a"]])
def test_check_choice_unknown_value_lists_choices(value):
    with pytest.raises(ValueError, match="kind: expected one of 'a', 'b'"):
        check.check_choice(value, "kind", ("a", "b"))
    assert check.check_choice("a", "kind", ("a", "b")) == "a"


def test_check_widths_list_returned_as_tuple_of_int():
    assert check.check_widths([np.int64(4), 2], "widths") == (4, 2)
    assert check.check_widths((), "widths") == ()


@pytest.mark.parametrize(
    ("widths", "match"),
    [
        (8, "widths: expected a sequence"),
        ("88", "widths: expected a sequence"),
        (None, "widths: expected a sequence"),
        ((8, 0), r"widths\[1\]: expected an integer ≥ 1; received 0"),
        ((2.5,), r"widths\[0\]"),
    ],
)
def test_check_widths_wrong_value_refused(widths, match):
    with pytest.raises(ValueError, match=match):
        check.check_widths(widths, "widths")


@pytest.mark.parametrize("shape", [64, (), (8, 0), None])
def test_check_shape_wrong_value_refused(shape):
    with pytest.raises(ValueError, match="input_shape"):
        check.check_shape(shape, "input_shape")


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (ARRAY, True),
        ([1, 2], True),
        ((1,), True),
        (iter([1]), False),
        (None, False),
        ("text", False),
    ],
)
def test_is_array_tells_arrays_from_streams(x, expected):
    assert check.is_array(x) is expected


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_check_array_real_numbers_returned_as_float32(dtype):
    result = check.check_array(ARRAY.astype(dtype), "x", ndim=2)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, ARRAY)


class Frame:
    """What a data frame of columns shows of itself."""

    def __init__(self, **columns):
        self.data, self.columns = columns, list(columns)

    def __getitem__(self, column):
        return np.array(self.data[column])

    def __array__(self, dtype=None, copy=None):
        rows = zip(*self.data.values(), strict=True)
        return np.array([list(row) for row in rows], object)


class Tensor:
    """A torch tensor that belongs to a graph, from which NumPy may not read."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self):
        return self

    def cpu(self):
        return ARRAY


@pytest.mark.parametrize(
    "x",
    [
        scipy.sparse.csr_matrix(ARRAY),
        scipy.sparse.coo_array(ARRAY),
        np.ma.masked_less(ARRAY, -1.0),  # nothing masked
        ARRAY.astype("float16"),
        ARRAY.tolist(),
        Tensor(),
    ],
)
def test_check_array_takes_what_holds_numbers(x):
    found = check.check_array(x, "x", ndim=2)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, ARRAY)


def test_check_array_keeps_digits_in_float64():
    times = 1.7e9 + np.arange(3.0)
    found = check.check_array(times, "x", dtype="float64")
    np.testing.assert_array_equal(found, times)
    assert check.check_array([1e300], "x", dtype="float64")[0] == 1e300


def _with(value, row=1):
    x = np.full((3, 2), 0.5)
    x[row, 0] = value
    return x


@pytest.mark.parametrize(
    ("x", "options", "match"),
    [
        ([[1, 2], [3]], {}, "rectangular array"),
        (["a"], {}, "real numbers; received dtype"),
        (np.array([None]), {}, "real numbers; received dtype object"),
        (np.zeros(2, dtype="complex64"), {}, "dtype complex64"),
        (ARRAY, {"ndim": 3}, r"3 axes; received shape \(3, 2\)"),
        (ARRAY, {"event_shape": (8, 8)}, r"shape \(n, 8, 8\); received"),
        (ARRAY, {"min_rows": 4}, "at least 4 rows"),
        (np.zeros((0, 2)), {}, "at least one row"),
        (np.float32(1), {}, "at least one row"),
        (_with(np.nan), {}, "1 NaN or infinite, first in row 1"),
        (_with(np.inf, 2), {}, "first in row 2"),
        (_with(-0.25), {"low": 0, "high": 1}, r"\[0, 1\]; received minimum -0"),
        (_with(255.0), {"low": 0, "high": 1}, "maximum 255"),
        (_with(1e300), {}, r"up to 3.4e\+38, as float32; received 1e\+300 in"),
        (_with(-1e300), {}, r"received -1e\+300 in row 1"),
        (np.ma.masked_equal(_with(9.0), 9.0), {}, "1 of 6 masked"),
        (None, {}, "received None"),
        ({"x": ARRAY}, {}, "received dict"),
        ("text", {}, "received str"),
        (Frame(age=[1, 2], town=["a", "b"]), {}, "in column 'town'"),
        (
            Frame(age=[1, None], town=[1, 2]),
            {},
            "missing values in column 'age",
        ),
    ],
)
def test_check_array_wrong_value_refused(x, options, match):
    with pytest.raises(ValueError, match=match) as raised:
        check.check_array(x, "x", **options)
    assert str(raised.value).startswith("x: expected ")


def test_check_labels_integers_returned_as_int64():
    result = check.check_labels(np.array([2, 0], "uint8"), "y", num_rows=2)
    assert result.dtype == np.int64
    assert result.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([0.0, 1.0], "integer labels; received dtype float64"),
        ([[0], [1]], "a vector of integer labels"),
        ([True, False], "integer labels; received dtype bool"),
        ([0, 1, 2], "2 labels; received 3"),
    ],
)
def test_check_labels_wrong_value_refused(labels, match):
    with pytest.raises(ValueError, match=match):
        check.check_labels(labels, "y", num_rows=2)


def test_shape_fits_with_axes_of_any_length():
    assert check.fits((3, 4), (None, 4)) and check.fits((3, 4), (3, 4))
    assert not check.fits((3, 4), (3,)) and not check.fits((3, 4), (None, 5))
    assert not check.fits((None, 4), (3, 4)) and check.agree((None, 4), (3, 4))
    assert not check.agree((4,), (4, 1)) and not check.agree((3, 4), (None, 5))
    rows = check.check_array(np.ones((2, 7)), "x", event_shape=(None,))
    assert rows.shape == (2, 7)
    with pytest.raises(ValueError, match=r"x: expected shape \(n, …, 3\)"):
        check.check_array(np.ones((2, 7, 4)), "x", event_shape=(None, 3))
