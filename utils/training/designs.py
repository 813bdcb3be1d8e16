"""Many designs of a VAE trained side by side: a table for searches.

A search over rates and weights is itself a random experiment, and repeating
it costs as many trainings each time. Designs whose arrays have the same
shapes are trained here at once, with one more axis, and what each would have
shown at each rung is written down.
"""

import itertools
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from utils.nn.losses import gaussian_kl
from utils.support import validation as check
from utils.training import recipes

__all__ = ["Trained", "train_vaes"]


class Trained(NamedTuple):
    """What :func:`train_vaes` measured.

    Attributes:
        losses: Array ``(designs, rungs, rows)``, −ELBO with β = 1 of the
            held-out rows, in nats a row.
        codes: Array ``(designs, n, latent_dim)``, means of q(z | x) of the
            training rows after the last rung.
        held_codes: Array ``(designs, rows, latent_dim)``, of the others.
    """

    losses: np.ndarray
    codes: np.ndarray
    held_codes: np.ndarray


def train_vaes(
    x,
    held,
    *,
    latent_dim,
    widths,
    rates,
    betas,
    rungs,
    epochs=None,
    batch_size=64,
    draws=4,
    seed=0,
):
    """Train a dense Bernoulli VAE for each pair of a rate and a β, together.

    They share batches and nothing else: each has its own initial weights,
    noise, β and rate, which falls along a cosine to 0 at the last rung or
    after ``epochs`` of its own. Adam works entry by entry, so that each design
    is trained as it would be alone.

    Args:
        x: Training rows ``(n, d)`` in [0, 1].
        held: Rows ``(rows, d)`` in [0, 1] that nothing is fitted to.
        latent_dim: Width of the codes.
        widths: Hidden units from input to code, mirrored in the decoder.
        rates: Learning rate of each design, ≥ 0.
        betas: Weight ≥ 0 of the KL term of each design; as many.
        rungs: Numbers of epochs, ascending, after which losses are measured.
        epochs: Whole number of epochs ≥ 1 for each design, after which it
            stands still; all of them the last rung if not given.
        batch_size: Rows a step.
        draws: Draws of z behind each −ELBO.
        seed: Integer ≥ 0.

    Returns:
        :class:`Trained`.

    Raises:
        ValueError: rows out of range or of different width, rates and betas
            of different number, rungs that do not ascend.
    """
    x = check.check_array(x, "x", ndim=2, low=0.0, high=1.0)
    shape = x.shape[1:]
    held = check.check_array(held, "held", event_shape=shape, low=0.0, high=1.0)
    latent_dim = check.check_int(latent_dim, "latent_dim")
    widths = check.check_widths(widths, "widths")
    rates = check.check_array(rates, "rates", ndim=1, low=0.0)
    betas = check.check_array(betas, "betas", ndim=1, low=0.0)
    if len(rates) != len(betas):
        check.fail("betas", f"{len(rates)}, one a rate", f"{len(betas)}")
    rungs = check.check_widths(rungs, "rungs")
    if not rungs or list(rungs) != sorted(set(rungs)):
        check.fail("rungs", "ascending numbers of epochs", f"{rungs}")
    batch_size = check.check_int(batch_size, "batch_size")
    draws = check.check_int(draws, "draws")
    model = _Vaes(x.shape[1], latent_dim, widths, betas, seed)
    epochs = [rungs[-1]] * len(rates) if epochs is None else epochs
    epochs = check.check_array(epochs, "epochs", ndim=1, low=1.0)
    if len(epochs) != len(rates):
        check.fail("epochs", f"{len(rates)}, one a rate", f"{len(epochs)}")
    falling = _Rates(rates, epochs * -(-len(x) // batch_size))
    adam = keras.optimizers.Adam(falling)
    model.compile(adam, steps_per_execution=recipes.steps_at_once())
    adam.build(model.trainable_variables)
    losses = []
    for past, rung in itertools.pairwise((0, *rungs)):
        model.fit(x, batch_size=batch_size, epochs=rung - past, verbose=0)
        made = [model(held) for _ in range(draws)]
        loss = [ops.convert_to_numpy(m["nll"] + m["kl"]) for m in made]
        losses.append(np.mean(loss, axis=0).T)
    codes = (
        ops.convert_to_numpy(model(rows)["mean"]).swapaxes(0, 1)
        for rows in (x, held)
    )
    return Trained(np.stack(losses, axis=1), *codes)


class _Rates(keras.optimizers.schedules.LearningRateSchedule):
    """A rate for each design, falling along a cosine over its updates."""

    def __init__(self, rates, updates):
        self.rates = rates[:, None, None]
        self.updates = updates[:, None, None]

    def __call__(self, step):
        done = ops.minimum(ops.cast(step, "float32") / self.updates, 1.0)
        return self.rates * 0.5 * (1.0 + ops.cos(np.pi * done))

    def get_config(self):
        parts = {"rates": self.rates, "updates": self.updates}
        return {name: part[:, 0, 0] for name, part in parts.items()}


class _Vaes(keras.Model):
    """VAEs of one shape side by side, each with its β."""

    def __init__(self, size, latent_dim, widths, betas, seed):
        super().__init__(name="vaes")
        self.betas = betas
        seed = check.check_int(seed, "seed", minimum=0)
        self.noise = keras.random.SeedGenerator(seed)
        rng = np.random.default_rng(seed)
        up = [size, *widths, 2 * latent_dim]
        self.encoder = self._stack(up, rng)
        self.decoder = self._stack([latent_dim, *widths[::-1], size], rng)
        self.built = True

    def _stack(self, widths, rng):
        layers, n = [], len(self.betas)
        for i, o in itertools.pairwise(widths):  # Glorot's limit
            limit, seed = np.sqrt(6 / (i + o)), int(rng.integers(2**31))
            draw = keras.initializers.RandomUniform(-limit, limit, seed)
            kernel = self.add_weight(shape=(n, i, o), initializer=draw)
            bias = self.add_weight(shape=(n, 1, o), initializer="zeros")
            layers.append((kernel, bias))
        return layers

    def call(self, x):
        """Dict of ``nll``, ``kl`` and ``mean``, ``(batch, designs, …)``."""
        every = ops.broadcast_to(x, (len(self.betas), *ops.shape(x)))
        heads = _through(every, self.encoder)
        mean, log_var = ops.split(heads, 2, axis=-1)
        noise = keras.random.normal(ops.shape(mean), seed=self.noise)
        logits = _through(mean + ops.exp(0.5 * log_var) * noise, self.decoder)
        nll = ops.sum(ops.softplus(logits) - x * logits, axis=-1)
        kl = ops.sum(gaussian_kl(mean, log_var, per_unit=True), axis=-1)
        made = {"nll": nll, "kl": kl, "mean": mean}
        return {name: ops.swapaxes(part, 0, 1) for name, part in made.items()}

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The sum over designs: none shares a weight with another."""
        loss = y_pred["nll"] + self.betas * y_pred["kl"]
        return ops.sum(ops.mean(loss, axis=0))


def _through(h, layers):
    for number, (kernel, bias) in enumerate(layers, 1):
        h = ops.matmul(h, kernel) + bias
        h = ops.relu(h) if number < len(layers) else h
    return h
