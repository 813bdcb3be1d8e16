"""What all tests share: quiet backends, fixed seed, tiny data."""

import os
import pathlib
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from utils import runtime

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for _name in ("COURSE_DATA", "COURSE_PROFILE", "COURSE_RESULTS"):
    os.environ.pop(_name, None)  # tests set what they need themselves
matplotlib.use("Agg")  # no variable: kernels of notebooks would inherit it

ROOT = pathlib.Path(__file__).resolve().parent.parent


THIRD_PARTY_WARNINGS = (
    # TensorFlow's and PyTorch's tensors implement NumPy 1's __array__; Keras
    # calls np.array on them when it saves a model.
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
)


def pytest_configure(config):
    for line in THIRD_PARTY_WARNINGS:
        config.addinivalue_line("filterwarnings", line)
    runtime._compile_once()  # here, so that all workers share one folder


@pytest.fixture(autouse=True)
def fixed_start():
    """Every test starts from the same seed and the default precision."""
    keras = sys.modules.get("keras")
    if keras is None or not hasattr(keras, "utils"):
        yield
        return
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind():
    """A file of tests leaves no traced functions: a worker runs dozens."""
    yield
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "utils"):
        keras.utils.clear_session()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def digits():
    """The bundled digits, flat rows of 64 pixels in [0, 1]."""
    from utils import data

    return data.load("digits").flat()


@pytest.fixture(scope="session")
def run_process():
    """Run Python code in a new process; return the finished process."""

    def run(code, *arguments, **environment):
        return python("-c", code, *arguments, **environment)

    return run


@pytest.fixture(scope="session")
def run_script():
    """Run a file of ours in a new process; return the finished process."""

    def run(path, *arguments, **environment):
        return python(ROOT / path, *arguments, **environment)

    return run


def python(*command, **environment):
    """A finished process of Python's."""
    path = os.pathsep.join(
        [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env={
            **os.environ,
            "MPLBACKEND": "Agg",
            "PYTHONPATH": path,
            **environment,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.fixture(scope="session")
def run_python(run_process):
    """Run Python code in a new process; return what it printed."""

    def run(code, *arguments, **environment):
        done = run_process(code, *arguments, **environment)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    return run
