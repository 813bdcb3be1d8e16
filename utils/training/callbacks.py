"""For long fits: one line of progress, snapshots, going on after a crash."""

import json
import pathlib
import sys
import time
import zipfile

import keras
import numpy as np
from keras import ops

from utils.support import validation as check
from utils.support.files import replacing

__all__ = ["ProgressLine", "Snapshots", "resumable_fit"]

REFRESH = 0.3  # seconds between two states of a moving line


class ProgressLine(keras.callbacks.Callback):
    """One line a fit: it moves while the model trains, and stays at the end.

    ``verbose=1`` writes control characters into a notebook and ``verbose=2``
    a line for each of a hundred epochs; both drown a chapter. This line is
    written over itself with the time left, where standard output is a
    terminal or a notebook; elsewhere the printed lines appear alone.

    Args:
        label: Name of the model in the line.
        every: Print also after every so many epochs; ``None`` prints once,
            at the end.
    """

    def __init__(self, label="", every=None):
        super().__init__()
        self.label = label
        if every is not None:
            every = check.check_int(every, "every")
        self.every = every

    def on_train_begin(self, logs=None):
        self._start = self._shown = time.perf_counter()
        self._last = (0, {})
        self._marks = []  # (time, place) of two batches: the first compiles
        self._width = 0  # of what stands in the line, to be wiped out

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        now = time.perf_counter()
        steps = self.params.get("steps")  # None for a generator
        place = self._epoch + (batch / steps if steps else 0.0)
        if len(self._marks) < 2:
            self._marks.append((now, place))
        if now - self._shown >= REFRESH and _shows_lines_over_lines():
            self._shown = now
            self._move(self._left(now, place))

    def on_epoch_end(self, epoch, logs=None):
        self._last = (epoch + 1, dict(logs or {}))
        if self.every and (epoch + 1) % self.every == 0:
            self._print()

    def on_train_end(self, logs=None):
        epoch, _ = self._last
        if not self.every or epoch % self.every:
            self._print()

    def _left(self, now, place):
        """Words for the time left, by the speed since the second batch."""
        start, done = self._marks[-1]
        if len(self._marks) < 2 or place <= done:
            return ""
        ahead = self.params["epochs"] - place
        seconds = ahead * (now - start) / (place - done)
        return f", about {seconds:.0f} s left"

    def _text(self, more=""):
        epoch, logs = self._last
        seconds = time.perf_counter() - self._start
        numbers = [f"{name} {value:.4g}" for name, value in logs.items()]
        label = f"{self.label}: " if self.label else ""
        time_told = f"({seconds:.1f} s{more})"
        return "  ".join([f"{label}epoch {epoch}", *numbers, time_told])

    def _move(self, more):
        """Write the line over itself."""
        text = self._text(more)
        print(f"\r{text.ljust(self._width)}", end="", flush=True)
        self._width = len(text)

    def _print(self):
        if self._width:
            print(f"\r{' ' * self._width}\r", end="")
            self._width = 0
        print(self._text())


def _shows_lines_over_lines():
    """Whether standard output is a terminal or a notebook."""
    in_notebook = type(sys.stdout).__module__ == "ipykernel.iostream"
    return in_notebook or sys.stdout.isatty()


class Snapshots(keras.callbacks.Callback):
    """Keeps what a function of the model returns, while it trains.

    Args:
        function: Called with the model, such as
            ``lambda model: model.reconstruct(x)``.
        epochs: Numbers of completed epochs at which to call it; 0 is before
            training.

    Attributes:
        values: Dict of epoch to what ``function`` returned.
    """

    def __init__(self, function, epochs):
        super().__init__()
        self.function = function
        self.epochs = frozenset(
            check.check_int(epoch, "epochs", minimum=0) for epoch in epochs
        )
        self.values = {}

    def _keep(self, epoch):
        if epoch in self.epochs:
            self.values[epoch] = self.function(self.model)

    def on_train_begin(self, logs=None):
        self._keep(0)

    def on_epoch_end(self, epoch, logs=None):
        self._keep(epoch + 1)


class _OneTraining(keras.callbacks.CallbackList):
    """Callbacks that see the parts of one training as one training.

    ``fit`` announces a beginning and an end for each part; these are kept
    from the callbacks, which are told by ``begin`` and ``end``.
    """

    def on_train_begin(self, logs=None):
        pass

    def on_train_end(self, logs=None):
        pass

    def begin(self):
        super().on_train_begin()

    def end(self):
        super().on_train_end()


def resumable_fit(
    model, x, y=None, *, path, epochs, every=1, seed=0, callbacks=(), **options
):
    """As ``model.fit``, and when run again after a crash, it goes on.

    Every so many epochs all that the training has become is written to
    ``path``: weights, the optimizer's moments, the state of every random
    generator in the model (a ``.keras`` file does not hold it), the history.
    Run the same lines again, in a new process too, and the training
    continues there; what was done since is done again. The order of the
    rows is drawn anew at these points, from ``seed`` and the number of the
    epoch, so that an interrupted training ends with the weights of one that
    was not interrupted.

    ``keras.callbacks.BackupAndRestore`` takes less to set up and any data.
    But it holds neither the random states nor the history: dropout, noise
    and the order of rows begin again, and a resumed training ends
    elsewhere. It writes over its only file, so that a process killed at that
    moment leaves none that can be read, and at the end it removes it.

    The file is replaced in one step: a full disk or a killed process leave
    the one before. It belongs to one model, one data set and one set of
    arguments: to change any of them, remove it or name another. A finished
    training is read from it without another epoch; raise ``epochs`` to go
    on. What callbacks remember, such as the patience of ``EarlyStopping``,
    is not in it and begins again.

    Args:
        model: A compiled model; its optimizer without ``use_ema``, whose
            averages are taken into the weights when ``fit`` ends.
        x: Array, or a dict or tuple of arrays, as ``fit`` takes it.
        y: Target, if the model has one.
        path: File of the checkpoint, ``.npz``. Its folder is made.
        epochs: Number of epochs ≥ 1 of the whole training.
        every: Number of epochs ≥ 1 between two checkpoints.
        seed: Integer ≥ 0. Python's, NumPy's and the backend's generators
            are set from it at every checkpoint.
        callbacks: Callbacks, as for ``fit``.
        **options: Further arguments of ``fit``, such as ``batch_size``.

    Returns:
        The ``keras.callbacks.History`` of all epochs, those before the
        crash included.

    Raises:
        ValueError: a wrong argument; a checkpoint that is damaged, or of
            another model or seed.
        OSError: the checkpoint cannot be written; the one before is whole.
    """
    path = pathlib.Path(path)
    epochs = check.check_int(epochs, "epochs")
    every = check.check_int(every, "every")
    seed = check.check_int(seed, "seed", minimum=0)
    _check_resumable(model, x, options)
    told = _OneTraining(
        list(callbacks), add_history=True, model=model, epochs=epochs, verbose=0
    )
    options = {**options, "verbose": 0, "callbacks": told}
    # trains nothing; in the first fit of a model Keras draws an order more
    model.fit(x, y, epochs=0, **options)
    history = model.history
    about = {"done": 0, "epoch": [], "history": {}}
    if path.exists():
        about = _restore(model, x, path, seed)
    done = about["done"]
    if done < epochs:
        told.begin()
    history.epoch, history.history = about["epoch"], about["history"]
    while done < epochs:
        state = np.random.SeedSequence((seed, done)).generate_state(1)
        keras.utils.set_random_seed(int(state[0]))
        stop = min(epochs, done - done % every + every)
        model.fit(x, y, initial_epoch=done, epochs=stop, **options)
        done = epochs if model.stop_training else stop
        if done == epochs:
            told.end()
        _keep(model, path, seed, done, history)
    return history


def _check_resumable(model, x, options):
    """Refuse what could not be continued."""
    for name in ("initial_epoch", "verbose"):
        if name in options:
            check.fail(name, "no such argument: see ProgressLine", "one")
    if getattr(model, "optimizer", None) is None:
        check.fail("model", "a compiled model", "one without an optimizer")
    if _innermost(model.optimizer).use_ema:
        check.fail("model", "an optimizer without use_ema", "use_ema=True")
    if not all(check.is_array(part) for part in keras.tree.flatten(x)):
        received = f"{type(x).__name__}, whose order cannot be restored"
        check.fail("x", "arrays", received)


def _innermost(optimizer):
    """The optimizer itself: mixed precision wraps it to scale the loss."""
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer


def _own_state(model):
    """Weights and random states of a model, in the order they were made."""
    metrics = {id(variable) for variable in model.metrics_variables}
    return [v for v in model.variables if id(v) not in metrics]


def _state(model):
    """All that a training changes, the optimizer's moments included."""
    return _own_state(model) + list(model.optimizer.variables)


def _keep(model, path, seed, done, history):
    """Write the checkpoint, whole or not at all."""
    values = [ops.convert_to_numpy(variable) for variable in _state(model)]
    about = {
        "seed": seed,
        "done": done,
        "own": len(_own_state(model)),
        "epoch": history.epoch,
        "history": history.history,
    }
    arrays = {f"value_{index}": value for index, value in enumerate(values)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, open(partial, "wb") as file:
        np.savez(file, about=json.dumps(about, default=float), **arrays)


def _restore(model, x, path, seed):
    """Bring the model to the checkpoint; return what is known of it."""
    about, values = _read_checkpoint(path)
    if about["seed"] != seed:
        check.fail("seed", f"{about['seed']}, as in {path}", f"{seed}")
    if len(_own_state(model)) != about["own"] and not model.built:
        model(keras.tree.map_structure(lambda part: np.asarray(part[:1]), x))
    if not model.optimizer.built:  # a wrapped one would add variables again
        model.optimizer.build(model.trainable_variables)
    state = _state(model)
    if [tuple(v.shape) for v in state] != [v.shape for v in values]:
        check.fail(
            f"{path}",
            f"a checkpoint of this model, {len(state)} arrays of its shapes",
            f"one of another model, {len(values)} arrays. Remove the file to "
            "start again",
        )
    for variable, value in zip(state, values, strict=True):
        variable.assign(value)
    return about


def _read_checkpoint(path):
    """What was kept: a dict about the training, the list of arrays."""
    try:
        with open(path, "rb") as file:
            arrays = dict(np.load(file, allow_pickle=False))
        about = json.loads(str(arrays.pop("about")))
        values = [arrays[f"value_{index}"] for index in range(len(arrays))]
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(
            f"{path}: expected a checkpoint of resumable_fit; received a file "
            f"that cannot be read ({error}). Remove it to start again."
        ) from error
    return about, values
