"""Batches: long arrays piece by piece, and containers that are checked."""

import functools

import keras
import numpy as np
from keras import ops

from utils.support import validation as check

__all__ = [
    "CheckedBatches",
    "checked_generator",
    "feed",
    "first_rows",
    "in_batches",
]


def in_batches(function, *rows, batch_size=1024):
    """Apply ``function`` to equal slices of rows; float32 NumPy result.

    Rows are arrays, or dicts of arrays.
    """
    pieces = []
    for start in range(0, len(keras.tree.flatten(rows)[0]), batch_size):
        part = slice(start, start + batch_size)
        some = keras.tree.map_structure(lambda a, p=part: a[p], rows)
        pieces.append(ops.convert_to_numpy(function(*some)))
    return np.concatenate(pieces).astype("float32", copy=False)


class CheckedBatches(keras.utils.PyDataset):
    """Batches of a ``tf.data`` set, ``PyDataset`` or torch ``DataLoader``.

    Each is checked on its way to Keras. What has no numbered batches is gone
    through in its own order, every epoch from the start.

    Args:
        source: Batches ``x``, ``(x,)``, ``(x, y)`` or ``(x, y,
            sample_weight)``.
        check_batch: Function of those parts and ``name=`` that returns
            ``(x, y, sample_weight)``, or raises.
        steps: Batches an epoch; ``None`` takes all. A source that does not
            know its length is then counted, by going through it once.
        name: What to call the rows in a message.

    Attributes:
        first: Rows of the first batch, checked.

    Raises:
        ValueError: no iterable; no batches; no end and no ``steps``; what
            ``check_batch`` refuses, with the number of the batch.
    """

    def __init__(self, source, check_batch, steps=None, name="x"):
        options = ("workers", "use_multiprocessing", "max_queue_size")
        super().__init__(
            **{o: getattr(source, o) for o in options if hasattr(source, o)}
        )
        self.source, self.check_batch, self.name = source, check_batch, name
        self.numbered = isinstance(source, keras.utils.PyDataset)
        if not self.numbered and not hasattr(source, "__iter__"):
            expected = "rows, or batches of rows"
            check.fail(name, expected, type(source).__name__)
        self.size = self._count(steps)
        if self.size == 0:
            check.fail(name, "at least one batch", "none")
        self.batches, self.taken = iter(()), 0

    def _count(self, steps):
        """Batches an epoch; ``None`` for a ``PyDataset`` without an end."""
        if self.numbered:
            return self.source.num_batches
        if steps is not None:
            return steps
        try:
            return len(self.source)
        except TypeError:
            endless = getattr(self.source, "cardinality", lambda: 0)() == -1
        if endless:
            check.fail("steps_per_epoch", "a number for endless data", "None")
        return sum(1 for _ in self.source)

    @property
    def num_batches(self):
        """Batches an epoch."""
        return self.size

    @functools.cached_property
    def first(self):
        """Rows of the first batch, checked, for what looks at data once."""
        head = self.source[0] if self.numbered else next(iter(self.source))
        return self.checked(head, 1)[0]

    def __getitem__(self, index):
        if self.numbered:
            return self.checked(self.source[index], index + 1)
        if index < self.taken or index == 0:  # Keras looks at some before
            self.batches, self.taken = iter(self.source), 0
        while self.taken <= index:
            batch = next(self.batches)
            self.taken += 1
        return self.checked(batch, self.taken)

    def in_turn(self):
        """Batches that go on where the last epoch ended."""
        while True:
            for number, batch in enumerate(self.source, start=1):
                yield self.checked(batch, number)

    def checked(self, batch, number):
        """A batch as Keras takes it, or the error with its number."""
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        name = f"{self.name}, batch {number}"
        if not 1 <= len(parts) <= 3:
            expected = "(x,), (x, y) or (x, y, sample_weight)"
            check.fail(name, expected, f"{len(parts)} parts")
        try:
            x, y, weight = self.check_batch(*parts, name=name)
        except ValueError:
            if number == 1 and self._is_row(parts):
                expected = "batches of rows: was it batched, .batch(32)?"
                check.fail(self.name, expected, "single rows")
            raise
        if y is None:
            return (x,)
        return (x, y) if weight is None else (x, y, weight)

    def _is_row(self, parts):
        """Whether what was refused would do as a row: two make a batch."""
        try:
            two = keras.tree.map_structure(lambda a: np.stack([a, a]), parts)
            self.check_batch(*two, name=self.name)
        except (TypeError, ValueError):
            return False
        return True

    def on_epoch_begin(self):
        if self.numbered:
            self.source.on_epoch_begin()

    def on_epoch_end(self):
        if self.numbered:
            self.source.on_epoch_end()


def feed(x, steps):
    """What Keras takes of checked data, and whether it may shuffle that."""
    if not isinstance(x, CheckedBatches):
        return x, not hasattr(x, "__next__")
    if x.numbered or steps is None:
        return x, x.numbered
    return x.in_turn(), False


def first_rows(x):
    """Rows to look at before training, from what ``fit`` has checked.

    Returns:
        Arrays as they are, of :class:`CheckedBatches` the first batch, and
        ``None`` of a generator, which can be gone through only once.
    """
    if isinstance(x, CheckedBatches):
        return x.first
    return None if hasattr(x, "__next__") else x


def checked_generator(source, check_batch, name="x"):
    """As :class:`CheckedBatches`, for what can be gone through only once."""
    check_one = CheckedBatches((), check_batch, steps=1, name=name).checked
    for number, batch in enumerate(source, start=1):
        yield check_one(batch, number)
