"""Who trains in ``to_quality.py``: the course's VAE, and what newcomers copy.

Both public examples are written anew after their settings, in their kindest
form: batches come from one array, their cross-entropy is taken of logits,
and they learn from the training rows alone (keras.io's adds the test rows).
Nothing here imports a backend before a learner is made: each is made in a
process of its own.
"""

import contextlib
import dataclasses
import functools
import io
import os
from collections.abc import Callable

import numpy as np

SHAPE = (28, 28, 1)


@dataclasses.dataclass(frozen=True)
class Contender:
    """One row of the table.

    Attributes:
        name: As printed.
        backend: Of Keras; ``"loop"`` is a plain PyTorch loop.
        build: Makes the Keras model, given a seed; ``None`` for a loop.
        batch: Rows a step.
        rate: Adam's learning rate.
        passes: Over the rows, along which the rate falls to 0 by a cosine;
            ``None``: the rate stays, and time alone ends training.
        betas: Adam's decay rates.
    """

    name: str
    backend: str
    build: Callable | None
    batch: int
    rate: float
    passes: int | None = None
    betas: tuple = (0.9, 0.999)

    def updates(self, num_rows):
        """Steps until the rate is 0, or ``None``."""
        if self.passes is None:
            return None
        return self.passes * -(-num_rows // self.batch)

    @property
    def package(self):
        """What it trains with."""
        return "torch" if self.backend == "loop" else self.backend

    @property
    def settings(self):
        """Batch and rate in words."""
        falls = f" falling over {self.passes} passes" if self.passes else ""
        return f"{self.batch}, {self.rate:g}{falls}"


# ----------------------------------------------------------------- models


def course(seed, **networks):
    """The course's VAE."""
    from utils.models import VAE

    return VAE.dense(SHAPE, **networks, seed=seed)


def keras_io_networks():
    """Encoder and decoder of keras.io's VAE: two numbers a code."""
    import keras
    from keras import layers

    maps = {"strides": 2, "padding": "same", "activation": "relu"}
    x = keras.Input(SHAPE)
    hidden = layers.Conv2D(32, 3, **maps)(x)
    hidden = layers.Flatten()(layers.Conv2D(64, 3, **maps)(hidden))
    hidden = layers.Dense(16, "relu")(hidden)
    heads = {name: layers.Dense(2)(hidden) for name in ("mean", "log_var")}
    decoder = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(7 * 7 * 64, "relu"),
            layers.Reshape((7, 7, 64)),
            layers.Conv2DTranspose(64, 3, **maps),
            layers.Conv2DTranspose(32, 3, **maps),
            layers.Conv2DTranspose(1, 3, padding="same"),
        ]
    )
    return keras.Model(x, heads), decoder


def keras_io(seed):
    """The VAE of keras.io, as one writes it without this course."""
    import keras
    from keras import ops

    class Example(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = keras_io_networks()
            self.draws = keras.random.SeedGenerator(seed)

        def call(self, x):
            heads = self.encoder(x)
            mean, log_var = heads["mean"], heads["log_var"]
            noise = keras.random.normal(ops.shape(mean), seed=self.draws)
            logits = self.decoder(mean + ops.exp(0.5 * log_var) * noise)
            return mean, log_var, logits

        def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
            mean, log_var, logits = y_pred
            nll = keras.losses.binary_crossentropy(x, logits, from_logits=True)
            kl = 1.0 + log_var - ops.square(mean) - ops.exp(log_var)
            return ops.mean(ops.sum(nll, (1, 2)) - 0.5 * ops.sum(kl, 1))

    return Example()


SMALL = functools.partial(course, latent_dim=20, widths=(400,))
LARGE = functools.partial(
    course, latent_dim=32, widths=(512, 512), activation="silu"
)
OF_4A = {"batch": 128, "rate": 3e-3, "passes": 10}
OF_4B = {"batch": 256, "rate": 3e-3, "passes": 36}
OWN = {"batch": 128, "rate": 1e-3}  # of both examples
CONTENDERS = (
    Contender("course 784–400–20, TensorFlow", "tensorflow", SMALL, **OF_4A),
    Contender("course 784–400–20, JAX", "jax", SMALL, **OF_4A),
    Contender(
        "course 784–512–512–32, TensorFlow", "tensorflow", LARGE, **OF_4B
    ),
    Contender("course 784–512–512–32, JAX", "jax", LARGE, **OF_4B),
    Contender("PyTorch's example 784–400–20", "loop", None, **OWN),
    Contender("PyTorch's example, our recipe", "loop", None, **OF_4B),
    Contender("keras.io's example", "tensorflow", keras_io, **OWN),
    Contender(
        "keras.io's example, our recipe", "tensorflow", keras_io, **OF_4B
    ),
)


# --------------------------------------------------------------- learners


class KerasLearner:
    """A Keras model, trained by ``fit``."""

    def __init__(self, contender, seed):
        os.environ["KERAS_BACKEND"] = contender.backend
        from utils import runtime

        with contextlib.redirect_stdout(io.StringIO()):
            runtime.start(seed)
        self.contender, self.seed = contender, seed

    def train(self, x, done):
        """Build the model and train it until ``done`` says so."""
        import keras

        from utils.training import recipes

        contender = self.contender
        self.model = contender.build(self.seed)
        if contender.passes is None:  # as the examples do it
            self.model.compile(keras.optimizers.Adam(contender.rate))
        else:
            recipes.compile(
                self.model, contender.rate, contender.updates(len(x))
            )

        class Watched(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                self.model.stop_training = done()

        self.model.fit(
            x,
            batch_size=contender.batch,
            epochs=contender.passes or 10**6,
            callbacks=[Watched()],
            verbose=0,
        )

    def encode(self, x):
        """Means and log variances of the codes."""
        from keras import ops

        heads = self.model.encoder(x)
        return [ops.convert_to_numpy(heads[n]) for n in ("mean", "log_var")]

    def decode(self, z):
        """Logits of the pixels."""
        from keras import ops

        return ops.convert_to_numpy(self.model.decoder(z))


class TorchLearner:
    """PyTorch's example, 784–400–20, as a loop of ``bench_loops``."""

    def __init__(self, contender, seed):
        import torch

        if torch.cuda.is_available():
            torch.set_default_device("cuda")
        import bench_loops

        self.torch, self.make = torch, bench_loops.VAE
        self.contender, self.seed = contender, seed

    def train(self, x, done):
        """Build the model and train it until ``done`` says so."""
        self.loop = self.make(self.contender, x, self.seed)
        self.loop.decay_steps = self.contender.updates(len(x))
        passes = 0
        while passes != self.contender.passes:
            self.loop.fit(len(x), 1)
            passes += 1
            if done():
                break

    def encode(self, x):
        """Means and log variances of the codes."""
        with self.torch.no_grad():
            hidden = self.loop.body(self._tensor(x).flatten(1))
            heads = self.loop.mean(hidden), self.loop.log_var(hidden)
        return [head.numpy(force=True) for head in heads]

    def decode(self, z):
        """Logits of the pixels."""
        with self.torch.no_grad():
            return self.loop.decoder(self._tensor(z)).numpy(force=True)

    def _tensor(self, array):
        return self.loop.rows.new_tensor(np.asarray(array))


def learner_of(contender, seed):
    """A learner, its backend imported and its seed set."""
    kind = TorchLearner if contender.backend == "loop" else KerasLearner
    return kind(contender, seed)
