"""Several seeds of one experiment: draw them, start again, say the spread."""

import numpy as np

from utils.support import validation as check
from utils.training import recipes

__all__ = ["restart", "seeds", "train_from_seeds", "with_spread"]


def seeds(n, seed=0):
    """Seeds for n repeats of an experiment, far from each other's streams.

    0, 1, 2 will do where a seed goes into one generator. Where a function
    adds to it, for a second network or the next fold, neighbours meet: 0 + 1
    is 1. These are spawned by ``numpy.random.SeedSequence`` and cut to 20
    bits, so that sums and multiples stay what every backend takes. The first
    ones do not depend on n.

    Args:
        n: Number of repeats ≥ 1.
        seed: Integer ≥ 0 of the whole experiment.

    Returns:
        List of n different integers from 0 to 2²⁰ − 1.

    Example:

    >>> seeds(2) == seeds(3)[:2]
    True
    """
    n = check.check_int(n, "n", maximum=1000)
    root = np.random.SeedSequence(check.check_int(seed, "seed", minimum=0))
    found = {}  # an ordered set
    while len(found) < n:
        (child,) = root.spawn(1)
        found[int(child.generate_state(1)[0]) >> 12] = None
    return list(found)


def restart(model, seed=None, **changes):
    """Give a compiled model the initial weights of another seed.

    Compiling and tracing a small model takes longer than training it, so
    experiments over several seeds reuse one. The optimiser starts afresh
    (moments and step count 0); states of seed generators go on.

    Args:
        model: Compiled model that a class method made, such as
            ``VAE.dense(…)``: it is made anew with other arguments.
        seed: Integer ≥ 0; ``None`` for the model's own.
        **changes: Other arguments of the class method. Only what they do to
            the initial *weights* takes effect, and shapes have to stay.

    Raises:
        ValueError: a model around networks of one's own, arguments that its
            class method does not know, or a model that is not compiled.
    """
    if seed is not None:
        changes["seed"] = check.check_seed(seed)
    kind = type(model).__name__
    if not hasattr(model, "remake"):
        expected = "one that a class method made, such as VAE.dense(…)"
        check.fail("model", expected, kind)
    if getattr(model, "optimizer", None) is None:
        check.fail("model", "a compiled one", "one without an optimiser")
    unknown = sorted(set(changes) - set(model.remake.keywords))
    if unknown:
        check.fail("model", f"one with {', '.join(unknown)}", kind)
    fresh = model.remake(**changes)
    model.set_weights(fresh.get_weights())
    recipes.forget(model.optimizer)


def train_from_seeds(model, x, y=None, *, seeds, rate, epochs, batch_size=32):
    """Train one model from the initial weights of each seed; yield it.

    It is compiled once, by :func:`recipes.compile`, with a rate that falls
    over the updates of one run. What is yielded is the same model each time:
    read off it what is wanted before asking for the next.

    Args:
        model: As for :func:`restart`; need not be compiled.
        x, y: Arrays for ``fit``.
        seeds: Integers ≥ 0.
        rate: Learning rate > 0 at the start.
        epochs, batch_size: As for ``fit``.

    Example:

    >>> from utils.models import Autoencoder
    >>> model, x = Autoencoder.dense((4,), 2, seed=0), np.ones((8, 4))
    >>> runs = train_from_seeds(model, x, seeds=(0, 1), rate=1e-3, epochs=1)
    >>> [run is model for run in runs]
    [True, True]
    """
    recipes.compile(model, rate, updates=epochs * -(-len(x) // batch_size))
    for seed in seeds:
        restart(model, seed)  # first weights, no moments
        model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)
        yield model


def with_spread(values, digits):
    """Text "mean ± standard deviation"; of a single value, the value.

    The deviation is that of a sample, divided by n − 1: what ± means wherever
    the course prints it.

    Example:

    >>> with_spread([1.0, 2.0, 3.0], 2)
    '2.00 ± 1.00'
    >>> with_spread([0.25], 2)
    '0.25'
    """
    text = f"{np.mean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {np.std(values, ddof=1):.{digits}f}"
    return text
