"""What goes wrong on other people's machines, and what is left afterwards.

Killed processes, full disks, damaged files, files from strangers, notebooks
run out of order, machines without network, home or UTF-8. Faults of the
arguments are tested with the functions that refuse them.
"""

import ast
import builtins
import contextlib
import io
import os
import pathlib
import re
import signal
import zipfile

import build_notebooks as tool
import keras
import nbformat
import numpy as np
import pytest
import results_page
import sittings
from contracts import EAGERLY
from keras import ops
from stand_ins import fake
from test_notebooks import code_cells, each_notebook, parsed

from utils import data, runtime
from utils.evaluation.judge import Judge
from utils.models import autoencoders, clustering, gans, vaes
from utils.support import files
from utils.training import callbacks

ROOT = tool.ROOT
BACKEND = keras.backend.backend()
X = np.random.default_rng(0).random((96, 8)).astype("float32")


def values(model):
    """Weights, random states and moments as arrays."""
    return [ops.convert_to_numpy(v) for v in callbacks._state(model)]


def assert_same_state(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


# ---------------------------------------------------- a killed training

KILLED = """
import os, pathlib, signal, sys
from utils import runtime
runtime.start(seed=0)
import keras, numpy as np
from utils.models import VAE
from utils.training import callbacks

class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 3 and batch == 1:
            os.kill(os.getpid(), signal.SIGKILL)

def train(name, *watch):
    keras.utils.set_random_seed(0)
    model = VAE.dense((8,), 2, widths=(16,), seed=1)
    model.compile(keras.optimizers.Adam(1e-2))
    x = np.random.default_rng(0).random((96, 8)).astype("float32")
    return callbacks.resumable_fit(
        model, x, path=folder / name, epochs=5, batch_size=32, callbacks=watch
    )

folder = pathlib.Path(sys.argv[1])
if sys.argv[2] == "kill":
    train("killed.npz", Kill())
history = train("killed.npz", callbacks.ProgressLine("resumed", every=1))
whole = train("whole.npz")
assert history.history == whole.history, (history.history, whole.history)
assert history.epoch == whole.epoch == [0, 1, 2, 3, 4]
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
def test_killed_process_resumes_and_ends_like_an_uninterrupted_one(
    run_process, tmp_path
):
    killed = run_process(KILLED, tmp_path, "kill")
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["killed.npz"]
    _, before = callbacks._read_checkpoint(tmp_path / "killed.npz")
    resumed = run_process(KILLED, tmp_path, "resume")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    epochs = re.findall(r"^resumed: epoch (\d)", resumed.stdout, re.M)
    assert epochs == ["4", "5"], "three epochs were done before"
    about, ends = callbacks._read_checkpoint(tmp_path / "killed.npz")
    _, whole = callbacks._read_checkpoint(tmp_path / "whole.npz")
    assert about["done"] == 5
    assert_same_state(ends, whole)
    assert not all(map(np.array_equal, before, ends)), "it trained on"


class Interrupt(keras.callbacks.Callback):
    """Ends the process's work in the middle of an epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 3 and batch == 1:
            raise KeyboardInterrupt


def plain():
    """An ordinary Keras model, its weights not even built."""
    return keras.Sequential(
        [
            keras.layers.Dense(6, "relu"),
            keras.layers.Dropout(0.3),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(8),
        ]
    )


MODELS = {
    "denoising": lambda: autoencoders.DenoisingAutoencoder.dense(
        (8,), 2, widths=(6,), seed=1
    ),
    "gan": lambda: gans.GAN.dense(
        (8,), 2, generator_widths=(6,), critic_widths=(6,), seed=1
    ),
    "plain": plain,
    "scaled": plain,
}


def compiled(name):
    model = MODELS[name]()
    loss = "mse" if MODELS[name] is plain else None
    optimizer = keras.optimizers.Adam(1e-2)
    if name == "scaled":  # as under mixed_float16
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    # eager: nothing to trace for eighteen steps
    model.compile(optimizer, loss, run_eagerly=EAGERLY)
    return model


def resumable(name, path, *watch, epochs=5, **options):
    model = compiled(name)
    y = X if MODELS[name] is plain else None
    options = {"every": 2, "batch_size": 32, "callbacks": watch, **options}
    history = callbacks.resumable_fit(
        model, X, y, path=path, epochs=epochs, **options
    )
    return model, history


@pytest.mark.parametrize("name", MODELS)
def test_interrupted_fit_ends_like_an_uninterrupted_one(name, tmp_path):
    keras.utils.set_random_seed(5)  # the plain model has no seed of its own
    whole, history = resumable(name, tmp_path / "whole" / "run.npz")
    keras.utils.set_random_seed(5)
    path = tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt):
        resumable(name, path, Interrupt())
    about, _ = callbacks._read_checkpoint(path)
    assert about["done"] == 2
    keras.utils.set_random_seed(6)  # another start, which must not matter
    again, resumed = resumable(name, path)
    assert_same_state(values(again), values(whole))
    assert resumed.history == history.history
    # the optimizer's steps: three batches an epoch
    assert int(again.optimizer.iterations) == 15


def test_resumable_fit_finished_training_is_read_and_can_be_lengthened(
    tmp_path,
):
    path = tmp_path / "run.npz"
    done, _ = resumable("denoising", path, epochs=4)
    line = callbacks.Snapshots(lambda model: 1, range(9))
    read, history = resumable("denoising", path, line, epochs=4)
    assert not line.values, "not one epoch more"
    assert_same_state(values(read), values(done))
    assert len(history.history["loss"]) == 4
    _, history = resumable("denoising", path, line, epochs=6)
    assert history.epoch == [0, 1, 2, 3, 4, 5]
    assert sorted(line.values) == [0, 5, 6]


def test_resumable_fit_tells_the_callbacks_of_one_training(tmp_path):
    class Count(keras.callbacks.Callback):
        begun = ended = epochs = 0

        def on_train_begin(self, logs=None):
            self.begun += 1

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1
            self.model.stop_training = epoch == 2

        def on_train_end(self, logs=None):
            self.ended += 1

    count = Count()
    resumable("denoising", tmp_path / "run.npz", count, epochs=9)
    assert (count.begun, count.epochs, count.ended) == (1, 3, 1)
    resumable("denoising", tmp_path / "run.npz", count, epochs=9)
    assert count.epochs == 3, "it had been stopped"


def test_resumable_fit_orders_of_rows_differ_between_parts(tmp_path):
    seen = []

    class Watch(autoencoders.Autoencoder):
        def call(self, inputs, training=False):
            if training:
                seen.append(ops.convert_to_numpy(inputs)[:, 0])
            return super().call(inputs, training)

    model = Watch.dense((8,), 2, widths=(), seed=0)
    model.compile("sgd", run_eagerly=True)  # call reads its input
    path = tmp_path / "run.npz"
    callbacks.resumable_fit(model, X, path=path, epochs=3, batch_size=96)
    orders = {tuple(np.argsort(rows)) for rows in seen[-3:]}
    assert len(orders) == 3


def test_keras_file_does_not_hold_the_state_of_random_generators(tmp_path):
    # why ModelCheckpoint is not enough
    model = vaes.VAE.dense((8,), 2, widths=(), seed=1)
    model(X)
    states = [v for v in model.variables if "seed_generator" in v.path]
    assert states and ops.convert_to_numpy(states[0])[1] > 0
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    states = [v for v in loaded.variables if "seed_generator" in v.path]
    assert [ops.convert_to_numpy(state)[1] for state in states] == [0]


def test_keras_s_backup_resumes_with_other_noise_and_without_history(tmp_path):
    # what resumable_fit is for: should this fail, Keras's own will do
    def train(*watch):
        keras.utils.set_random_seed(0)  # as at the start of a process
        model = compiled("denoising")
        return model, model.fit(
            X, epochs=5, batch_size=32, verbose=0, callbacks=[*watch]
        )

    whole, history = train()
    folder = tmp_path / "backup"
    with pytest.raises(KeyboardInterrupt):
        train(keras.callbacks.BackupAndRestore(folder), Interrupt())
    again, resumed = train(keras.callbacks.BackupAndRestore(folder))
    assert int(again.optimizer.iterations) == 15, "it did resume"
    assert not folder.exists()
    assert len(resumed.history["loss"]) == 2 < len(history.history["loss"])
    weights = zip(whole.get_weights(), again.get_weights(), strict=True)
    assert max(np.abs(a - b).max() for a, b in weights) > 1e-3


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run.npz"
    resumable("denoising", path, epochs=1)
    return path


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda raw: raw[: len(raw) // 2], "cannot be read .* Remove it"),
        (lambda raw: b"", "cannot be read"),
        (lambda raw: raw[:600] + bytes(99) + raw[699:], "cannot be read"),
    ],
    ids=["truncated", "empty", "overwritten"],
)
def test_damaged_checkpoint_refused_by_name(spoil, match, checkpoint, tmp_path):
    path = tmp_path / "spoilt.npz"
    path.write_bytes(spoil(checkpoint.read_bytes()))
    with pytest.raises(ValueError, match=match) as raised:
        resumable("denoising", path)
    assert "spoilt.npz" in str(raised.value)


def test_other_npz_file_is_no_checkpoint(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=X)
    with pytest.raises(ValueError, match="mnist.npz: expected a checkpoint"):
        resumable("denoising", tmp_path / "mnist.npz")


@pytest.mark.parametrize(
    ("name", "arguments", "match"),
    [
        ("gan", {}, "expected a checkpoint of this model"),
        ("denoising", {"seed": 1}, "seed: expected 0, as in .*run.npz"),
        ("denoising", {"verbose": 1}, "verbose: expected no such argument"),
        ("denoising", {"epochs": 0}, "epochs: expected an integer ≥ 1"),
        ("denoising", {"every": 0}, "every: expected an integer ≥ 1"),
        ("denoising", {"seed": -1}, "seed: expected an integer ≥ 0"),
    ],
)
def test_resumable_fit_wrong_argument_refused(
    name, arguments, match, checkpoint
):
    before = checkpoint.read_bytes()
    with pytest.raises(ValueError, match=match):
        resumable(name, checkpoint, **arguments)
    assert checkpoint.read_bytes() == before


def test_resumable_fit_needs_arrays_and_a_plain_optimizer(tmp_path):
    path = tmp_path / "run.npz"
    model = MODELS["denoising"]()
    with pytest.raises(ValueError, match="model: expected a compiled model"):
        callbacks.resumable_fit(model, X, path=path, epochs=1)
    model.compile("sgd")
    with pytest.raises(ValueError, match="x: expected arrays; .*iterator"):
        callbacks.resumable_fit(model, iter([X]), path=path, epochs=1)
    averaging = keras.optimizers.SGD(use_ema=True)
    # the wrapper is what mixed_float16 puts around it
    for optimizer in (
        averaging,
        keras.optimizers.LossScaleOptimizer(averaging),
    ):
        model.compile(optimizer)
        with pytest.raises(ValueError, match="without use_ema"):
            callbacks.resumable_fit(model, X, path=path, epochs=1)
    assert not path.exists()


# ------------------------------------------- full disk, unwritable folder


@contextlib.contextmanager
def full_disk(size=2_000):
    """No file of this process grows beyond ``size`` bytes, root's neither."""
    resource = pytest.importorskip("resource")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.fixture(scope="module")
def large():
    """A model whose file exceeds two thousand bytes."""
    model = autoencoders.Autoencoder.dense((64,), 2, widths=(), seed=0)
    model.compile("sgd", run_eagerly=EAGERLY)
    return model


ROWS = np.random.default_rng(0).random((40, 64)).astype("float32")


def fit_to(model, path):
    epochs = 2 if path.exists() else 1
    callbacks.resumable_fit(model, ROWS, path=path, epochs=epochs)


def checkpoint_to(model, path):
    keep = keras.callbacks.ModelCheckpoint(path)
    model.fit(ROWS, epochs=1, verbose=0, callbacks=[keep])


def notebook_to(model, path):
    notebook = tool.build(tool.sources()[0])["chapters"]
    tool.write(notebook, path)


def record_to(model, path):
    os.environ["COURSE_RESULTS"] = str(path.parent)
    try:
        # what is printed goes to a file of pytest's
        with contextlib.redirect_stdout(io.StringIO()):
            runtime.record("T", ("a",), [("x" * 1_500,)])
    finally:
        del os.environ["COURSE_RESULTS"]


def results_to(model, path):
    table = {"title": "T", "header": ["a"], "rows": [["x" * 2_500]]}
    results_page.PAGE, kept = path, results_page.PAGE
    try:
        results_page.write("full", "01a_without_labels", 1.0, [table])
    finally:
        results_page.PAGE = kept


WRITERS = {
    "model.keras": lambda model, path: model.save(path),
    "checkpoint.keras": checkpoint_to,
    "run.npz": fit_to,
    "chapter.ipynb": notebook_to,
    "results.jsonl": record_to,
    "results.md": results_to,
}


@pytest.mark.parametrize("name", WRITERS)
def test_full_disk_leaves_the_earlier_file_whole(name, large, tmp_path):
    path = tmp_path / name
    WRITERS[name](large, path)
    before = path.read_bytes()
    with full_disk(), pytest.raises(OSError) as raised:
        WRITERS[name](large, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [name], "nothing half-written is left"
    message = str(raised.value)
    assert f"{path}: could not be saved" in message
    assert "The earlier file is still there. Free some space" in message
    WRITERS[name](large, path)  # and when there is room again


def test_full_disk_leaves_earlier_weights_whole(large, tmp_path, monkeypatch):
    # by a stand-in: the HDF5 library may end the process where a disk is full
    path = tmp_path / "model.weights.h5"
    large.save_weights(path)
    before = path.read_bytes()

    def fill(self, filepath, *args):
        pathlib.Path(filepath).write_bytes(before[:99])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Model, "save_weights", fill)
    with pytest.raises(OSError, match="earlier file is still there") as raised:
        large.save_weights(path)
    assert raised.value.errno == 28
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", WRITERS)
def test_folder_that_cannot_be_written_is_named(name, large, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file") as raised:
        WRITERS[name](large, tmp_path / "file" / name)
    assert str(tmp_path) in str(raised.value)


MAKE_FOLDERS = {"checkpoint.keras", "run.npz", "chapter.ipynb"}


@pytest.mark.parametrize("name", sorted(MAKE_FOLDERS))
def test_missing_folder_is_made(name, large, tmp_path):
    path = tmp_path / "no such folder" / name
    WRITERS[name](large, path)
    assert path.is_file()


@pytest.mark.parametrize("name", sorted(set(WRITERS) - MAKE_FOLDERS))
def test_missing_folder_is_named_and_nothing_said_of_space(
    name, large, tmp_path
):
    path = tmp_path / "no such folder" / name
    with pytest.raises(FileNotFoundError, match="there is no folder") as raised:
        WRITERS[name](large, path)
    assert str(path.parent) in str(raised.value)


@pytest.mark.parametrize("fault", [PermissionError(13, "denied"), None])
def test_replacing_step_that_fails_leaves_the_earlier_file(
    fault, tmp_path, monkeypatch
):
    path = tmp_path / "notes.txt"
    files.write_whole(path, "σ ≥ 1\n")

    def refuse(*args):
        raise fault or KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", refuse)
    expected = type(fault) if fault else KeyboardInterrupt
    with pytest.raises(expected):
        files.write_whole(path, "other")
    assert path.read_bytes() == "σ ≥ 1\n".encode()
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_save_to_another_format_is_still_keras_s_own(large, tmp_path):
    with pytest.raises(ValueError, match=r"\.keras"):
        large.save(tmp_path / "model.txt")
    large.save_weights(tmp_path / "model.weights.json", max_shard_size=1)
    assert (tmp_path / "model.weights.json").exists()


def test_every_model_of_the_course_saves_whole():
    from utils.models.base import CourseModel

    for cls in (
        vaes.VAE,
        gans.GAN,
        clustering.NeighborClustering,
        Judge,
    ):
        assert issubclass(cls, CourseModel)
        assert cls.save is CourseModel.save
        assert cls.save_weights is CourseModel.save_weights


# ------------------------------------------------------ damaged data files


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_data_file_damaged_anywhere_is_refused_by_name_or_read_whole(
    write, tmp_path, monkeypatch, rng
):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    path = tmp_path / "mnist.npz"
    raw = fake("mnist", rng)
    write(path, **raw)
    sound = path.read_bytes()
    refused = 0
    for _ in range(120):
        spoilt = bytearray(sound)
        start = int(rng.integers(len(sound)))
        if rng.random() < 0.3:
            del spoilt[start:]
        else:  # where zip and NumPy keep their headers
            start = start if rng.random() < 0.5 else -1 - start % 400
            spoilt[start] ^= int(rng.integers(1, 256))
        path.write_bytes(spoilt)
        try:
            loaded = data.load("mnist")
        except ValueError as error:
            refused += 1
            assert "mnist.npz" in str(error), repr(error)
        else:
            np.testing.assert_array_equal(loaded.y_test, raw["y_test"])
    assert refused > 80


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"y_test": np.zeros(0, "uint8")}, "y_test: expected rows"),
        ({"x_test": np.zeros((0, 28, 28), "uint8")}, "x_test: expected rows"),
        ({"x_train": np.uint8(3)}, "x_train: expected rows"),
    ],
    ids=["no_labels", "no_rows", "scalar"],
)
def test_data_file_without_rows_refused(
    arrays, match, tmp_path, monkeypatch, rng
):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    np.savez(tmp_path / "mnist.npz", **{**fake("mnist", rng), **arrays})
    with pytest.raises(ValueError, match=match) as raised:
        data.load("mnist")
    assert "mnist.npz" in str(raised.value)


def test_data_file_of_another_set_refused(tmp_path, monkeypatch, rng):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    np.savez(tmp_path / "mnist.npz", **fake("cifar10", rng))
    with pytest.raises(ValueError, match=r"rows of shape \(28, 28, 1\)"):
        data.load("mnist")


def test_data_file_whose_arrays_are_text_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "mnist.npz", "w") as file:
        for key in ("x_train", "y_train", "x_test", "y_test"):
            file.writestr(f"{key}.npy", b"1,2,3")
    with pytest.raises(ValueError, match="mnist.npz: "):
        data.load("mnist")


def test_relative_course_data_is_shown_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_DATA", "data")

    def refuse():
        raise OSError("no network in tests")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", refuse)
    with pytest.raises(FileNotFoundError) as raised:
        data.load("mnist")
    assert str(pathlib.Path.cwd() / "data" / "mnist.npz") in str(raised.value)


# ------------------------------------------------ models from elsewhere


def test_keras_file_with_code_in_it_is_refused(tmp_path):
    # importing the course must not have opened the door
    mark = tmp_path / "executed"
    name = str(mark)
    inputs = keras.Input((2,))
    outputs = keras.layers.Lambda(
        lambda x: (__import__("pathlib").Path(name).touch(), x)[1]
    )(inputs)
    model = keras.Model(inputs, outputs)
    mark.unlink(missing_ok=True)
    model.save(tmp_path / "stranger.keras")
    with pytest.raises(ValueError, match="safe_mode"):
        keras.saving.load_model(tmp_path / "stranger.keras")
    assert not mark.exists()


def test_safe_mode_is_switched_off_nowhere():
    unsafe = re.compile(r"safe_mode|enable_unsafe|allow_pickle=True|pickle\.l")
    paths = [
        path
        for folder in ("utils", "source", "tools")
        for path in (ROOT / folder).rglob("*.py")
    ]
    found = [p.name for p in paths if unsafe.search(p.read_text("utf-8"))]
    assert len(paths) > 50 and not found


@pytest.mark.parametrize(
    "content", [b"", b"\x89HDF\r\n\x1a\n", b"not a model", None]
)
def test_file_renamed_to_keras_gives_a_plain_error(content, tmp_path):
    path = tmp_path / "renamed.keras"
    if content is None:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("holiday.txt", "photographs")
    else:
        path.write_bytes(content)
    with pytest.raises((ValueError, KeyError)) as raised:
        keras.saving.load_model(path)
    message = str(raised.value)
    assert "renamed.keras" in message or "no item named" in message


def test_truncated_keras_file_gives_an_error_that_names_it(large, tmp_path):
    path = tmp_path / "short.keras"
    large.save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="short.keras"):
        keras.saving.load_model(path)


# -------------------------------------------- notebooks, any order, any folder


def names_stored(node):
    """Names that the code binds, at any depth."""
    found = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and not isinstance(child.ctx, ast.Load):
            found.add(child.id)
        elif isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            found.add(child.name)
        elif isinstance(child, ast.arg):
            found.add(child.arg)
        elif isinstance(child, (ast.Import, ast.ImportFrom)):
            for alias in child.names:
                found.add((alias.asname or alias.name).split(".")[0])
    return found


def names_loaded(node):
    return {
        child.id
        for child in ast.walk(node)
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load)
    }


def is_solution(path):
    return path.parent.name == "solutions"


@each_notebook
def test_exercises_need_the_set_up_cells_and_no_other_exercise(path):
    if not is_solution(path):
        return  # the stubs hold no code yet
    known = set(dir(builtins)) | {"display", "get_ipython"}
    own = set()
    for cell in code_cells(path):
        tags, tree = tool.tags(cell), parsed(cell)
        if "setup" in tags:
            known |= names_stored(tree)
            continue
        if "exercise" in tags:
            own = names_stored(tree)  # of the exercise before: gone
        missing = names_loaded(tree) - known - own - names_stored(tree)
        assert not missing, f"{cell.id}: {missing}"


@each_notebook
def test_cell_before_the_set_up_says_which_name_is_missing(path):
    checks = [c for c in code_cells(path) if "check" in tool.tags(c)]
    for cell in checks:
        with pytest.raises(NameError, match="name '.+' is not defined"):
            exec(cell.source, {})


def test_no_source_names_a_file_by_a_relative_path():
    for path in (ROOT / "source").glob("*.py"):
        text = path.read_text("utf-8")
        code = "\n".join(
            line for line in text.splitlines() if not line.startswith("#")
        )
        assert not re.search(r"\bopen\(|os\.chdir|\.\./|__file__", code)


# --------------- another folder, no network, no home, no UTF-8: all at once

HOSTILE = """
import pathlib, socket, sys

def outside(address):
    host = address[0] if isinstance(address, tuple) else "localhost"
    return host not in ("localhost", "127.0.0.1", "::1")

def guard(name):
    real = getattr(socket.socket, name)
    def connect(self, address):
        if self.family != getattr(socket, "AF_UNIX", None) and outside(address):
            raise OSError("Network is unreachable")
        return real(self, address)
    setattr(socket.socket, name, connect)

guard("connect"), guard("connect_ex")
real_lookup = socket.getaddrinfo
def lookup(host, *args, **kwargs):
    if host not in (None, "localhost", "127.0.0.1", "::1"):
        raise socket.gaierror("Temporary failure in name resolution")
    return real_lookup(host, *args, **kwargs)
socket.getaddrinfo = lookup

for path in sys.argv[1:]:
    space = {"__name__": "__main__"}
    exec(compile(pathlib.Path(path).read_text("utf-8"), path, "exec"), space)

from utils import data, runtime
from utils.data import corpora, genomes, images, interactions
from utils.checks import chapter_01
for name in ("digits", "iris", "breast_cancer"):
    assert len(data.load(name).x_train)
assert len(corpora.load_definitions().texts_train) == 13614
assert corpora.load_word_kinds() and corpora.load_documents()
assert interactions.load_imports() and images.load_glyphs()
assert len(genomes.load_genome())
runtime.record("\\u03c3 \\u2265 0.4", ("\\u03b2",), [("\\u03bc \\u00b1 1",)])
try:
    data.load("mnist")
except FileNotFoundError as error:
    print("ERROR", error)
"""
SET_UPS = ("01a_without_labels", "06d_text")


@pytest.fixture(scope="module")
def hostile(run_process, tmp_path_factory):
    """Set-up cells of chapters where hardly anything is as it should be."""
    folder = tmp_path_factory.mktemp("elsewhere")
    files = []
    for stem in SET_UPS:
        path = ROOT / "chapters" / f"{stem}.ipynb"
        cells = [c for c in code_cells(path) if "setup" in tool.tags(c)]
        files.append(folder / f"{stem}.py")
        source = "\n\n".join(cell.source for cell in cells)
        files[-1].write_text(source, "utf-8")
    (folder / "home").touch()  # a file: not even root writes into it
    code = f"import os\nos.chdir({str(folder)!r})\n{HOSTILE}"
    return run_process(
        code,
        *files,
        HOME=str(folder / "home" / "of" / "nobody"),
        KERAS_HOME=str(folder / "home" / "keras"),
        MPLCONFIGDIR=str(folder / "home" / "matplotlib"),
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
        PYTHONIOENCODING="ascii",
    )


def test_hostile_machine_set_up_cells_run_and_are_quiet(hostile):
    assert hostile.returncode == 0, hostile.stderr
    assert hostile.stderr == ""
    assert hostile.stdout.count("profile quick | backend") == len(SET_UPS)


def test_hostile_machine_letters_it_lacks_become_question_marks(hostile):
    assert "? ? 0.4\n?\n? ? 1\n" in hostile.stdout


def test_hostile_machine_missing_data_set_is_explained(hostile):
    (line,) = re.findall(r"^ERROR (.*)$", hostile.stdout, re.M)
    assert "Data set 'mnist' was not found" in line
    assert "COURSE_DATA (not set)" in line
    assert "connect to the internet" in line
    assert "the quick profile needs neither" in line


@pytest.mark.filterwarnings("ignore:IPython parent")  # it takes another folder
def test_notebook_runs_without_home_and_without_utf_8(tmp_path, monkeypatch):
    (tmp_path / "home").touch()
    for name in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name))
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    cell = nbformat.v4.new_code_cell("print('σ ≥ 0.4')\n1 + 1")
    notebook = tool._clean([cell])
    sitting = sittings.Sitting("one", notebook, tmp_path)
    sitting.execute()
    assert sitting.error is None, sitting.details
    printed, result = notebook.cells[0].outputs
    assert (printed.name, printed.text) == ("stdout", "σ ≥ 0.4\n")
    assert result.data["text/plain"] == "2"


def test_every_text_file_is_opened_as_what_it_is():
    for folder in ("utils", "tools", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text("utf-8"))
            for node in ast.walk(tree):
                assert not opens_by_locale(node), f"{path.name}:{node.lineno}"


def opens_by_locale(node):
    """Whether a call reads or writes text without naming an encoding."""
    if not isinstance(node, ast.Call):
        return False
    method = isinstance(node.func, ast.Attribute)
    name = node.func.attr if method else getattr(node.func, "id", None)
    if name not in ("open", "read_text", "write_text"):
        return False
    if method and ast.unparse(node.func) in ("Image.open", "os.open"):
        return False
    named = {keyword.arg for keyword in node.keywords}
    plain = [a.value for a in node.args if isinstance(a, ast.Constant)]
    binary = any(isinstance(a, str) and a.endswith(("b", "b+")) for a in plain)
    return not ("encoding" in named or binary or "utf-8" in plain)
