"""The child processes of ``make bench``: one contender each, kept alive.

A contender is a Keras backend or ``"loop"``, the plain PyTorch loop. It
holds one model and answers requests until it is told to stop, so that all
contenders of a family can take turns.
"""

import contextlib
import io
import os
import time
import traceback
from collections import namedtuple

import numpy as np
from bench_families import DECAY_STEPS, FAMILIES

# wall clock and processor time of the epochs, seconds before the first one,
# mean loss of the last one
Run = namedtuple("Run", ["seconds", "cpu", "setup", "loss"])


class KerasContender:
    """The course's model on one backend, trained by ``fit``."""

    def __init__(self, backend, family, rows):
        os.environ["KERAS_BACKEND"] = backend
        from utils import runtime

        with contextlib.redirect_stdout(io.StringIO()):
            runtime.start(seed=0)
        import keras

        self.family, self.rows = family, rows
        self.model = family.build(rows)
        schedule = keras.optimizers.schedules.CosineDecay(
            family.rate, DECAY_STEPS
        )
        beta_1, beta_2 = family.betas
        self.model.compile(
            keras.optimizers.Adam(schedule, beta_1=beta_1, beta_2=beta_2),
            steps_per_execution=1 if backend == "torch" else family.steps,
        )
        # no epoch, but what a model prepares from the data: a code book
        self.model.fit(rows, batch_size=family.batch, epochs=0, verbose=0)
        self.first = self.model.get_weights()

    def train(self, num_rows, epochs):
        """Train; epochs are timed apart from what ``fit`` does before."""
        clock = epoch_clock()
        start = time.perf_counter()
        history = self.model.fit(
            self.rows[:num_rows],
            batch_size=self.family.batch,
            epochs=epochs,
            callbacks=[clock],
            verbose=0,
        ).history
        total = time.perf_counter() - start
        loss = float(history["loss"][-1])
        return Run(clock.seconds, clock.cpu, total - clock.seconds, loss)

    def restart(self, weights, seed):
        """Begin again: these weights, a fresh optimiser, another seed."""
        import keras

        from utils.training.repeats import restart

        keras.utils.set_random_seed(seed)
        restart(self.model)
        self.model.set_weights(self.first)
        self.load(weights)

    def weights(self):
        """Trained weights as NumPy arrays, in the model's order."""
        import keras

        values = self.model.trainable_weights
        return [np.array(keras.ops.convert_to_numpy(w)) for w in values]

    def load(self, weights):
        """Take over another model's trainable weights."""
        own = self.model.trainable_weights
        for mine, theirs in zip(own, weights, strict=True):
            mine.assign(theirs)


def epoch_clock():
    """A callback that adds up the time of epochs."""
    import keras

    class Clock(keras.callbacks.Callback):
        seconds = cpu = 0.0

        def on_epoch_begin(self, epoch, logs=None):
            self.cpu -= time.process_time()
            self.seconds -= time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds += time.perf_counter()
            self.cpu += time.process_time()

    return Clock()


class LoopContender:
    """The same model as a plain PyTorch loop."""

    def __init__(self, backend, family, rows):
        import torch

        if torch.cuda.is_available():  # where Keras's backends train, too
            torch.set_default_device("cuda")
        from bench_loops import LOOPS

        self.make = lambda: LOOPS[family.name](family, rows)
        self.loop = self.make()

    def flops(self):
        """Operations of products and convolutions, a row."""
        return self.loop.flops()

    def restart(self, weights, seed):
        """Begin again: these weights, a fresh optimiser, another seed."""
        import torch

        self.loop = self.make()
        self.loop.load(weights)
        torch.manual_seed(seed)

    def train(self, num_rows, epochs):
        """Train; there is nothing to set up."""
        cpu, start = time.process_time(), time.perf_counter()
        loss = self.loop.fit(num_rows, epochs)
        seconds = time.perf_counter() - start
        return Run(seconds, time.process_time() - cpu, 0.0, loss)


def peak_memory():
    """Largest resident size of this process so far, MB; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def serve(connection, contender, family_name, path):
    """Answer requests ``(name, *arguments)``; ``None`` ends.

    Every answer is ``(value, None)``, or ``(None, traceback)`` after which
    the process ends.
    """
    try:
        family = next(f for f in FAMILIES if f.name == family_name)
        rows = np.load(path, allow_pickle=False)
        kind = LoopContender if contender == "loop" else KerasContender
        trainer = kind(contender, family, rows)
        connection.send((os.getpid(), None))
        while (request := connection.recv()) is not None:
            name, *arguments = request
            if name == "memory":
                answer = peak_memory()
            else:
                answer = getattr(trainer, name)(*arguments)
            connection.send((answer, None))
    except Exception:  # the parent reports whatever went wrong
        connection.send((None, traceback.format_exc()))
