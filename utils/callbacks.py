"""Callbacks for notebooks: one line of progress, snapshots while fitting."""

import time

import keras

from utils import _validation as check

__all__ = ["ProgressLine", "Snapshots"]


class ProgressLine(keras.callbacks.Callback):
    """One printed line a fit instead of one an epoch.

    ``verbose=1`` writes control characters into a notebook and ``verbose=2``
    a line for each of a hundred epochs; both drown a chapter.

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
        self._start = time.perf_counter()
        self._last = (0, {})

    def on_epoch_end(self, epoch, logs=None):
        self._last = (epoch + 1, dict(logs or {}))
        if self.every and (epoch + 1) % self.every == 0:
            self._print()

    def on_train_end(self, logs=None):
        epoch, _ = self._last
        if not self.every or epoch % self.every:
            self._print()

    def _print(self):
        epoch, logs = self._last
        seconds = time.perf_counter() - self._start
        numbers = "  ".join(
            f"{name} {value:.4g}" for name, value in logs.items()
        )
        label = f"{self.label}: " if self.label else ""
        print(f"{label}epoch {epoch}  {numbers}  ({seconds:.1f} s)")


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
