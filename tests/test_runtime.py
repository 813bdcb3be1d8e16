"""Starting a chapter, the profile, recorded tables, the set-up check."""

import ast
import json
import os
import pathlib
import platform
import re
import socket
import time

import keras
import numpy as np
import pytest

import utils
from utils import runtime

BACKEND = keras.backend.backend()
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def roomy(monkeypatch):
    """Enough memory, and no proxy but a test's own."""
    monkeypatch.setattr(runtime, "_free_memory", lambda: 8 * runtime.GB)
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(("name", "full"), [("quick", False), ("full", True)])
def test_start_profile_is_the_one_named(name, full, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_PROFILE", name)
    profile = runtime.start()
    assert (profile.name, profile.full) == (name, full)
    assert profile.pick(quick=1, full=2) == 1 + full
    assert capsys.readouterr().out.startswith(f"profile {name} |")


def test_start_no_profile_named_is_quick():
    assert runtime.start() == runtime.Profile("quick")


def test_start_prints_backend_versions_and_seed_in_one_line(capsys):
    runtime.start(seed=7)
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out == (
        f"profile quick | backend {BACKEND} | keras {keras.__version__} | "
        f"numpy {np.__version__} | python {platform.python_version()} | "
        "seed 7\n"
    )


def test_start_same_seed_repeats_all_generators():
    def draw():
        runtime.start(seed=5)
        tensor = keras.random.normal((3,))
        return np.random.rand(3), keras.ops.convert_to_numpy(tensor)  # noqa: NPY002

    for first, second in zip(draw(), draw(), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["fast", "", "Quick"])
def test_start_unknown_profile_refused(name, monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", name)
    match = "COURSE_PROFILE: expected one of 'quick', 'full'"
    with pytest.raises(ValueError, match=match):
        runtime.start()


@pytest.mark.parametrize("seed", [-1, 0.5, None, True])
def test_start_wrong_seed_refused(seed):
    with pytest.raises(ValueError, match="seed: expected an integer ≥ 0"):
        runtime.start(seed)


def test_start_in_a_new_process_leaves_stderr_empty(run_process):
    # C++ libraries write to file descriptor 2, which Jupyter would keep
    done = run_process("from utils import runtime; runtime.start()")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("profile quick | backend ")


KERAS_FILE = """
from utils import runtime
{call}
import keras
print(keras.config.floatx(), keras.config.image_data_format(),
      keras.layers.Dense(2).compute_dtype)
"""


@pytest.fixture
def keras_file(tmp_path):
    """Writes a keras.json; returns the environment that reads it."""

    def write(**settings):
        (tmp_path / "keras.json").write_text(json.dumps(settings))
        return {"KERAS_HOME": str(tmp_path)}

    return write


@pytest.mark.parametrize("call", ["runtime.start()", "runtime.main()"])
def test_keras_file_of_other_work_is_undone_and_named(
    run_process, keras_file, call
):
    home = keras_file(floatx="float64", image_data_format="channels_first")
    home["KERAS_MAX_EPOCHS"] = "1"
    done = run_process(KERAS_FILE.format(call=call), **home)
    assert done.returncode == 0, done.stderr
    assert "set to floatx float64" in done.stdout
    assert "set to image_data_format channels_first" in done.stdout
    assert "set to max_epochs 1" in done.stdout
    assert "unset KERAS_MAX_EPOCHS" in done.stdout
    assert f'take "floatx" out of {home["KERAS_HOME"]}' in done.stdout
    assert done.stdout.endswith("float32 channels_last float32\n")


@pytest.mark.parametrize(
    ("name", "words"),
    [("theano", "is 'theano'"), (3, "is 3"), ("no_such", "is 'no_such'")],
)
def test_keras_file_with_a_backend_that_cannot_be_is_named(
    keras_file, monkeypatch, capsys, name, words
):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    home = keras_file(backend=name)
    monkeypatch.setenv(*home.popitem())
    with pytest.raises(ValueError, match=f'"backend" in .*keras.json {words}'):
        runtime.start()
    status, text = report(capsys)
    assert status == 1
    assert f"keras.json {words}: set it to tensorflow, jax or torch" in text


def test_keras_file_with_a_backend_not_installed_is_named(
    keras_file, monkeypatch
):
    home = keras_file(backend="jax")
    monkeypatch.setenv(*home.popitem())
    real = runtime.importlib.util.find_spec
    monkeypatch.setattr(
        runtime.importlib.util,
        "find_spec",
        lambda name: None if name == "jax" else real(name),
    )
    monkeypatch.setenv("KERAS_BACKEND", BACKEND)  # stands above the file
    assert runtime._backend_problem() is None or BACKEND == "jax"
    monkeypatch.delenv("KERAS_BACKEND")
    match = "keras.json asks for jax, which is not installed. Set it to tens"
    with pytest.raises(ValueError, match=match):
        runtime.start()


def test_keras_file_that_cannot_be_read_is_skipped_as_keras_does(
    keras_file, monkeypatch, tmp_path
):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv(*keras_file().popitem())
    for text in ("", "{", "{}"):
        (tmp_path / "keras.json").write_text(text)
        assert runtime._asked_backend()[0] == "tensorflow"


def test_quiet_stderr_holds_back_and_shows_it_on_an_error(capfd):
    with runtime._quiet_stderr():
        os.write(2, b"chatter")
    assert capfd.readouterr().err == ""
    with pytest.raises(RuntimeError), runtime._quiet_stderr():
        os.write(2, b"the reason")
        raise RuntimeError
    assert capfd.readouterr().err == "the reason"


def test_what_keras_3_13_says_of_numpy_stays_silent(run_process):
    done = run_process(
        "import warnings\n"
        "from utils import runtime\n"
        "runtime.start(seed=0)\n"
        "warnings.warn('In the future `np.object` will be', FutureWarning)\n"
        "warnings.warn('something else', FutureWarning)\n"
    )
    assert done.returncode == 0, done.stderr
    assert "np.object" not in done.stderr
    assert "something else" in done.stderr


LEFTOVER = """
import os
from utils import runtime
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
runtime._compile_once()
open(os.path.join(os.environ["JAX_COMPILATION_CACHE_DIR"], "program"), "w")
{end}
"""


def test_folders_of_killed_processes_are_removed_after_a_day(
    run_process, tmp_path
):
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(tmp_path))
    for _ in range(2):
        run_process(LEFTOVER.format(end="os._exit(1)"), **places)
    old, new = tmp_path.iterdir()
    other = tmp_path / "other-compiled-programs"
    other.mkdir()
    two_days_ago = time.time() - 2 * 24 * 3600
    for folder in (old, other):
        os.utime(folder, (two_days_ago, two_days_ago))
    run_process(LEFTOVER.format(end=""), **places)  # one that is not killed
    assert sorted(tmp_path.iterdir()) == sorted([new, other])


def test_record_prints_an_aligned_table(capsys):
    runtime.record("Digits", ("model", "mse"), [("PCA", 0.5), ("AE", "0.1")])
    assert capsys.readouterr().out == (
        "Digits\nmodel  mse\nPCA    0.5\nAE     0.1\n"
    )


def test_record_results_folder_collects_one_line_a_table(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("COURSE_RESULTS", str(tmp_path))
    runtime.record("σ = 0.4", ("a",), [(1,)])
    runtime.record("two", ("a", "b"), [("x", 2)])
    lines = (tmp_path / "results.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"title": "σ = 0.4", "header": ["a"], "rows": [["1"]]},
        {"title": "two", "header": ["a", "b"], "rows": [["x", "2"]]},
    ]


def test_record_row_of_wrong_length_refused():
    with pytest.raises(ValueError, match="rows: expected 2 cells a row"):
        runtime.record("t", ("a", "b"), [("x", 1), ("y",)])


# ------------------------------------------------------------ set-up check


def report(capsys):
    status = runtime.main()
    return status, capsys.readouterr().out


def test_main_good_set_up_names_versions_backend_device_and_data(capsys):
    status, text = report(capsys)
    assert status == 0, text
    assert re.search(rf"^backend +{BACKEND}\b", text, re.M)
    assert re.search(r"^device +\S", text, re.M)
    assert re.search(rf"^keras +{re.escape(keras.__version__)}$", text, re.M)
    assert "digits, iris, breast_cancer: bundled" in text
    assert "All is well" in text


def test_main_course_data_lists_the_files_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert "no .npz files" in report(capsys)[1]
    (tmp_path / "mnist.npz").touch()
    status, text = report(capsys)
    assert status == 0
    assert "in COURSE_DATA: mnist.npz" in text


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("KERAS_BACKEND", "theano", "KERAS_BACKEND is 'theano'"),
        ("COURSE_PROFILE", "fast", "Set it to quick or full"),
        ("COURSE_DATA", "no/such/folder", "which is not a folder"),
    ],
)
def test_main_wrong_setting_explained_in_words(
    variable, value, words, monkeypatch, capsys
):
    monkeypatch.setenv(variable, value)
    status, text = report(capsys)
    assert status == 1
    assert "Problem 1:" in text
    assert words in text
    assert "All is well" not in text


def test_main_missing_packages_named_together(monkeypatch, capsys):
    real = runtime._version
    gone = ("nbval", "matplotlib")
    monkeypatch.setattr(
        runtime, "_version", lambda p: None if p in gone else real(p)
    )
    status, text = report(capsys)
    assert status == 1
    assert re.search(r"^nbval +MISSING$", text, re.M)
    assert "Not installed: matplotlib, nbval." in text


def test_main_unsupported_python_says_which_are(monkeypatch, capsys):
    monkeypatch.setattr(runtime.sys, "version_info", (3, 9, 1, "final", 0))
    status, text = report(capsys)
    assert status == 1
    assert "Python 3.9 is not supported" in text
    assert "3.11, 3.12 or 3.13" in text


def test_main_backend_not_installed_says_how_to_go_on(monkeypatch, capsys):
    real = runtime.importlib.util.find_spec
    monkeypatch.setattr(
        runtime.importlib.util,
        "find_spec",
        lambda name: None if name == "jax" else real(name),
    )
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    status, text = report(capsys)
    assert status == 1
    assert "which is not installed" in text
    assert "pip install jax" in text


def test_main_keras_that_does_not_start_is_reported(monkeypatch, capsys):
    def broken():
        raise ImportError("libsomething not found")

    monkeypatch.setattr(runtime, "_import_keras", broken)
    status, text = report(capsys)
    assert status == 1
    assert "Keras does not start: ImportError: libsomething" in text


def test_main_names_who_asks_for_another_backend(
    keras_file, monkeypatch, capsys
):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv(*keras_file(backend=BACKEND).popitem())
    status, text = report(capsys)
    assert status == 0, text
    asked = re.search(r'\(asked for by "backend" in .*keras.json\)', text)
    assert bool(asked) == (BACKEND != "tensorflow")


# ---------------------------------------------- what else may be wrong


def test_little_memory_is_named_with_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(runtime, "_free_memory", lambda: 0.2 * runtime.GB)
    status, text = report(capsys)
    assert status == 1
    assert "Only 0.2 GB of memory are free" in text
    assert "close other programs" in text
    runtime.start()
    assert "Only 0.2 GB of memory" in capsys.readouterr().out


def test_memory_that_is_not_known_is_no_problem(monkeypatch, capsys):
    monkeypatch.setattr(runtime, "_free_memory", lambda: None)
    assert report(capsys)[0] == 0


def test_a_full_disk_is_named_with_what_to_do(monkeypatch, capsys):
    usage = runtime.shutil.disk_usage(".")._replace(free=10**7)
    monkeypatch.setattr(runtime.shutil, "disk_usage", lambda path: usage)
    status, text = report(capsys)
    assert status == 1
    assert "Only 0.01 GB are free on the disk of" in text
    assert "delete what you no longer need" in text
    runtime.start()
    assert "Only 0.01 GB are free" in capsys.readouterr().out


def test_a_proxy_that_does_not_answer_is_named(monkeypatch, capsys):
    monkeypatch.setenv("https_proxy", "http://me:secret@localhost:9")
    status, text = report(capsys)
    assert status == 1
    assert "proxy for https, http://localhost:9, does not answer" in text
    assert "unset HTTPS_PROXY" in text
    assert "secret" not in text


def test_a_proxy_that_answers_is_shown(monkeypatch, capsys):
    with socket.create_server(("localhost", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
        monkeypatch.setenv("http_proxy", address)
        status, text = report(capsys)
    assert status == 0, text
    assert f"http by http://{address}" in text


@pytest.mark.parametrize("value", ["http://[", "http://host:port", "::"])
def test_a_proxy_that_is_none_is_named(value, monkeypatch, capsys):
    monkeypatch.setenv("http_proxy", value)
    status, text = report(capsys)
    assert status == 1
    assert "The proxy for http" in text


def another_utils(folder, runtime_too):
    package = folder / "utils"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    if runtime_too:
        (package / "runtime.py").touch()
    return package


def test_another_utils_in_front_of_this_one_is_named(
    tmp_path, monkeypatch, capsys
):
    package = another_utils(tmp_path, runtime_too=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    status, text = report(capsys)
    assert status == 1
    assert f"another `utils`, {package / '__init__.py'}: start with" in text


def test_another_copy_of_the_course_is_named(tmp_path, monkeypatch, capsys):
    another_utils(tmp_path, runtime_too=True)
    (tmp_path / "chapters").mkdir()
    monkeypatch.chdir(tmp_path / "chapters")
    status, text = report(capsys)
    assert status == 1
    assert f"`make lab` in {tmp_path}, or" in text
    runtime.start()
    assert "another copy of the course" in capsys.readouterr().out


OLD = """
import sys
sys.version_info = (3, 9, 1, "final", 0)
sys.argv = [{argument!r}]
import utils
"""


def test_an_old_python_ends_in_one_sentence(run_process):
    done = run_process(OLD.format(argument="notebook"))
    sentence = "The course needs Python 3.11, 3.12 or 3.13, and this is 3.9: "
    assert f"ImportError: {sentence}install one" in done.stderr
    done = run_process(OLD.format(argument="-m"))
    assert done.returncode == 1
    assert done.stderr.startswith("The course needs Python 3.11")


def test_the_package_can_be_read_by_an_old_python():
    text = pathlib.Path(utils.__file__).read_text("utf-8")
    ast.parse(text, feature_version=(3, 7))


def test_no_numpy_ends_in_one_sentence(run_process):
    code = (
        "import runpy, sys\nsys.modules['numpy'] = None\n"
        "runpy.run_module('utils.runtime', run_name='__main__')"
    )
    done = run_process(code)
    assert done.returncode == 1
    assert done.stderr.startswith("Not installed: numpy. Run `make run`")
