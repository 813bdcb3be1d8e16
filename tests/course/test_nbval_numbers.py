"""Notebooks under pytest: which printed numbers are equal, one run for all."""

import os
import pathlib
import re
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


@pytest.fixture
def course(tmp_path):
    """A course of our plugins, tools and nothing else."""
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / "tests").mkdir()
    return tmp_path


def write_notebook(path, code, output):
    """A notebook of one cell that has printed ``output``."""
    cell = nbformat.v4.new_code_cell(
        code,
        execution_count=1,
        outputs=[nbformat.v4.new_output("stream", name="stdout", text=output)],
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "P"}
    nbformat.write(notebook, path)


def run_pytest(folder, *arguments, **environment):
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])  # for utils
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=200,
    )


def test_nbval_compares_numbers_of_cells_so(course):
    path = course / "one.ipynb"
    write_notebook(path, "print('gain', 30.7, (9, 64))", "gain 30.6 (9, 64)\n")
    done = run_pytest(course, "-p", "no:xdist", path.name)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    write_notebook(path, "print('gain', 30.8, (9, 64))", "gain 30.6 (9, 64)\n")
    done = run_pytest(course, "-p", "no:xdist", path.name)
    assert done.returncode == 1
    assert "gain 30.8" in done.stdout, "the difference is shown"


def test_notebooks_and_unit_tests_share_one_run(course):
    threads = "import os; print(os.environ['OMP_NUM_THREADS'])"
    (course / "chapters").mkdir()
    write_notebook(course / "chapters" / "one.ipynb", threads, "3\n")
    (course / "tests" / "test_small.py").write_text(
        "import warnings\n"
        "def test_warning_is_an_error():\n"
        "    warnings.warn('w', stacklevel=1)\n"
    )
    (course / "tests" / "test_large.py").write_text(
        "import gc\n"
        "def test_nothing_of_the_notebook_is_left():\n"
        "    gc.collect()\n" + "#\n" * 500
    )
    done = run_pytest(
        course,
        *("-p", "xdist", "-n", "1", "--dist", "loadscope", "-v"),
        *("--no-loadscope-reorder", "tests", "chapters"),
        OMP_NUM_THREADS="3",
    )
    order = re.findall(r"(PASSED|FAILED) \w+/(\w+)", done.stdout)
    assert order[:3] == [
        ("PASSED", "one"),
        ("PASSED", "test_large"),
        ("FAILED", "test_small"),
    ], done.stdout
    assert "UserWarning: w" in done.stdout


def test_plugin_is_loaded_wherever_pytest_starts_here(pytestconfig):
    assert pytestconfig.pluginmanager.hasplugin("nbval_numbers")
