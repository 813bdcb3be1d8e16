"""The course's recipe: Adam, a rate that falls along a cosine, long runs.

Every chapter trains so unless it says why not. The rate starts where steps
are as large as the model bears and ends at 0, where the noise of the batches
no longer shakes the weights (Loshchilov and Hutter 2017): how long training
lasts is decided beforehand, and nothing has to be stopped early.
"""

import keras
import numpy as np

from utils.nn.backend import BATCHES_AT_ONCE
from utils.support import validation as check

__all__ = ["adam", "compile", "forget", "steps_at_once"]


def adam(rate, updates=None, *, floor=0.0, **options):
    """Adam, whose learning rate falls along half a cosine.

    Args:
        rate: Learning rate at the start.
        updates: Number of steps until it has fallen; ``None`` keeps it.
        floor: Share of ``rate`` that it falls to, in [0, 1].
        **options: As for ``keras.optimizers.Adam``, such as ``beta_1=0.5``.
    """
    rate = check.check_number(rate, "rate", 0.0)
    floor = check.check_number(floor, "floor", 0.0, 1.0)
    if updates is not None:
        updates = check.check_int(updates, "updates")
        rate = keras.optimizers.schedules.CosineDecay(rate, updates, floor)
    return keras.optimizers.Adam(rate, **options)


def steps_at_once():
    """Batches handed to the backend at once: fewer returns, same result."""
    return BATCHES_AT_ONCE[keras.backend.backend()]


def compile(model, rate, updates=None, *, loss=None, metrics=None, **options):
    """Compile a model with :func:`adam` and :func:`steps_at_once`; return it.

    Args:
        model: Keras model; those of the course have a loss of their own.
        rate, updates: As for :func:`adam`.
        loss: As in ``keras.Model.compile``, for a plain Keras model.
        metrics: Likewise.
        **options: As for :func:`adam`.
    """
    model.compile(
        adam(rate, updates, **options),
        loss=loss,
        metrics=metrics,
        steps_per_execution=steps_at_once(),
    )
    return model


def forget(optimizer):
    """Take an optimizer back to its start: no moments, step 0.

    A compiled model can then train again without being traced again. A rate
    that is a number stays.
    """
    for variable in optimizer.variables:
        if not variable.path.endswith("learning_rate"):
            variable.assign(np.zeros(variable.shape))
