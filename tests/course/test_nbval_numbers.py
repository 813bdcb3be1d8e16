"""Which printed numbers nbval takes for equal, and that it does."""

import pathlib
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbval_numbers import Printed, same_print

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gain 30.6 dB", "gain 30.7 dB"),
        ("30.6", "30.6"),
        ("0.999 1.000", "1.000 0.999"),
        ("9.9 | 1.25", "10.0 | 1.24"),
        ("  9.9\n 11.0", " 10.0\n 11.0"),
        ("0.0", "-0.0"),
        ("-0.1", "0.0"),
        ("-0.1", "-0.2"),
        ("[ 0.50 -0.25]", "[ 0.51 -0.26]"),
        ("1.2e-03", "1.3e-03"),
        ("9.99e-04", "1.00e-03"),
        ("12.5%", "12.6%"),
        (".0168", ".0169"),
        ("(0.5, 1.5)", "(0.6, 1.4)"),
        ("0.5-0.6", "0.5-0.7"),
        ("loss=0.10,", "loss=0.11,"),
    ],
)
def test_same_print_one_unit_of_the_last_digit_is_equal(one, other):
    assert same_print(one, other)
    assert same_print(other, one)
    assert Printed(one) == other
    assert not Printed(one) != other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("30.6", "30.8"),
        ("9.9", "10.1"),
        ("-0.1", "0.1"),
        ("1.2e-03", "1.4e-03"),
        ("9.98e-04", "1.10e-03"),
        ("1.2e-03", "1.2e-04"),
        ("0.5", "0.50"),
        ("0.1", "1.0e-01"),
        # whole numbers: shapes, counts, settings
        ("30", "31"),
        ("(1797, 64)", "(1797, 65)"),
        ("(1797, 64)", "(1796, 64)"),
        ("[1. 2.]", "[1. 3.]"),
        ("1e-3", "2e-3"),
        # how many there are
        ("0.5 0.5", "0.5"),
        ("0.5", "0.5 0.5"),
        ("[0.5, 0.6]", "[0.5]"),
        # within words, names and versions
        ("float1.5x", "float1.6x"),
        ("v1.5", "v1.6"),
        ("b0.5", "b0.6"),
        ("0.5s", "0.6s"),
        ("3.15.1", "3.15.2"),
        ("3.15.1", "3.16.1"),
        # words
        ("gain 30.6 dB", "gain 30.6 bits"),
        ("gain 30.6 dB", "loss 30.7 dB"),
        ("a  b 0.5", "a b 0.5"),
        ("a\nb 9.9", "a b 10.0"),
        ("nan", "0.0"),
        ("0.5", "0.5 "),
        ("", "0.1"),
    ],
)
def test_same_print_anything_else_differs(one, other):
    assert not same_print(one, other)
    assert not same_print(other, one)
    assert Printed(one) != other
    assert not Printed(one) == other


def validate(folder, code, output):
    """Run nbval, as ``make test-notebooks`` does, on a notebook of one cell."""
    shutil.copy(ROOT / "conftest.py", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "tests").mkdir(exist_ok=True)
    shutil.copy(ROOT / "tests" / "nbval_numbers.py", folder / "tests")
    cell = nbformat.v4.new_code_cell(
        code,
        execution_count=1,
        outputs=[nbformat.v4.new_output("stream", name="stdout", text=output)],
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "P"}
    nbformat.write(notebook, folder / "one.ipynb")
    command = "-m pytest --nbval -p no:xdist -p no:cacheprovider".split()
    return subprocess.run(
        [sys.executable, *command, "-W", "default", "one.ipynb"],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


def test_nbval_compares_numbers_of_cells_so(tmp_path):
    done = validate(
        tmp_path, "print('gain', 30.7, (1797, 64))", "gain 30.6 (1797, 64)\n"
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    done = validate(
        tmp_path, "print('gain', 30.8, (1797, 64))", "gain 30.6 (1797, 64)\n"
    )
    assert done.returncode == 1
    assert "gain 30.8" in done.stdout, "the difference is shown"


def test_plugin_is_loaded_wherever_pytest_starts_here(pytestconfig):
    assert pytestconfig.pluginmanager.hasplugin("nbval_numbers")
