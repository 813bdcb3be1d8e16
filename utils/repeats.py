"""Several seeds of one experiment: start again, and say mean and spread."""

import numpy as np

from utils import _validation as check

__all__ = ["restart", "with_spread"]


def restart(model, seed):
    """Give a compiled model the initial weights of another seed.

    Compiling and tracing a small model takes longer than training it, so
    experiments over several seeds reuse one. The optimiser starts afresh
    (moments and step count 0); states of seed generators go on.

    Args:
        model: Compiled ``keras.Model`` whose ``get_config`` has a ``seed``.
        seed: Integer ≥ 0.

    Raises:
        ValueError: the model has no seed, or is not compiled.
    """
    config = model.get_config()
    if "seed" not in config:
        name = type(model).__name__
        check.fail("model", "one with a seed in its config", name)
    if getattr(model, "optimizer", None) is None:
        check.fail("model", "a compiled one", "one without an optimiser")
    fresh = type(model).from_config({**config, "seed": seed})
    model.set_weights(fresh.get_weights())
    for variable in model.optimizer.variables:
        if not variable.path.endswith("learning_rate"):
            variable.assign(np.zeros(variable.shape))


def with_spread(values, digits):
    """Text "mean ± standard deviation"; of a single value, the value.

    Example:

    >>> with_spread([1.0, 2.0, 3.0], 2)
    '2.00 ± 0.82'
    >>> with_spread([0.25], 2)
    '0.25'
    """
    text = f"{np.mean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {np.std(values):.{digits}f}"
    return text
