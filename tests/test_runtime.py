"""Starting a chapter, the profile, recorded tables, the set-up check."""

import json
import os
import platform
import re
import time

import keras
import numpy as np
import pytest

from utils import runtime

BACKEND = keras.backend.backend()


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
    done = run_process(KERAS_FILE.format(call=call), **home)
    assert done.returncode == 0, done.stderr
    assert "set to floatx float64" in done.stdout
    assert "set to image_data_format channels_first" in done.stdout
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
    assert re.search(rf"^backend +{BACKEND}$", text, re.M)
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
