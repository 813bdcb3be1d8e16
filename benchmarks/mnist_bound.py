"""−ELBO on MNIST of some VAEs: what was tried for chapter 4b.

    COURSE_DATA=folder python benchmarks/mnist_bound.py conv-skip

Grey levels as bits, test rows, one draw of the code. Each name is a row of
``docs/mnist_bound.md``, in which the numbers stand. Seconds are CPU seconds.
"""

import resource
import sys

import keras
import numpy as np

from utils import data
from utils.models import VAE
from utils.training import recipes

TRIED = {
    "dense": {"rate": 3e-3, "batch": 256, "epochs": 36},
    "dense-skip": {
        "rate": 3e-3,
        "batch": 256,
        "epochs": 60,
        "warmup": 2000,
        "skip": True,
    },
    "conv": {"rate": 3e-3, "batch": 256, "epochs": 40, "conv": True},
    "conv-skip": {
        "rate": 2e-3,
        "batch": 128,
        "epochs": 40,
        "warmup": 4000,
        "conv": True,
        "skip": True,
    },
}
LATENT_DIM = 32


def encoder(conv):
    """784–512–512, or two convolutions of stride 2 and 256 units."""
    layers = keras.layers
    x = keras.Input((28, 28, 1))
    hidden = x
    for filters in (16, 32) if conv else ():
        hidden = layers.Conv2D(
            filters, 4, strides=2, padding="same", activation="silu"
        )(hidden)
    hidden = layers.Flatten()(hidden)
    for width in (256,) if conv else (512, 512):
        hidden = layers.Dense(width, "silu")(hidden)
    heads = [layers.Dense(LATENT_DIM)(hidden) for _ in range(2)]
    return keras.Model(x, heads)


def decoder(skip, share):
    """512–512–784; ``skip``: the second layer sees the code as well.

    Then the last one starts at the log-odds of each pixel's mean, ``share``.
    """
    layers = keras.layers
    z = keras.Input((LATENT_DIM,))
    hidden = layers.Dense(512, "silu")(z)
    if skip:
        hidden = layers.Concatenate()([hidden, z])
    hidden = layers.Dense(512, "silu")(hidden)
    last = layers.Dense(784)
    logits = layers.Reshape((28, 28, 1))(last(hidden))
    if skip:
        last.bias.assign(np.log(share / (1 - share)))
    return keras.Model(z, logits)


def run(rate, batch, epochs, warmup=0, conv=False, skip=False):
    """Train one of them; print −ELBO of training and test rows."""
    keras.utils.set_random_seed(0)
    mnist = data.load("mnist")
    share = np.clip(mnist.x_train.mean(axis=0).ravel(), 1e-3, 1 - 1e-3)
    networks = encoder(conv), decoder(skip, share)
    model = VAE(*networks, warmup_steps=warmup, seed=0)
    recipes.compile(model, rate, epochs * -(-len(mnist.x_train) // batch))
    model.fit(mnist.x_train, batch_size=batch, epochs=epochs, verbose=0)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    found = [
        model.evaluate(rows, batch_size=500, verbose=0, return_dict=True)
        for rows in (mnist.x_train[:5000], mnist.x_test)
    ]
    train, test = (one["loss"] for one in found)
    print(f"train {train:.2f}  test {test:.2f}  {used:.0f} CPU s")


if __name__ == "__main__":
    run(**TRIED[sys.argv[1]])
