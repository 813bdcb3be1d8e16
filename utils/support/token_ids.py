"""What token ids mean, for the vocabularies that make and the models that read.

The ids follow ``keras.datasets.imdb``: 0 pads, 1 starts a text, 2 stands for
everything unknown, words or characters begin at 3.
"""

import numpy as np

from utils.support import validation as check

__all__ = ["PAD", "RESERVED", "START", "UNKNOWN", "check_ids", "draw_token"]

PAD, START, UNKNOWN = 0, 1, 2
RESERVED = ("[pad]", "[start]", "[unknown]")


def check_ids(ids, vocabulary_size, name="x", *, empty=False):
    """Return token ids as an int32 array ``(n, length)``, or say what is wrong.

    Args:
        ids: Integers from 0 to ``vocabulary_size`` − 1, one text a row,
            padded with 0.
        vocabulary_size: Number of ids, reserved ones included.
        name: Argument name used in the message.
        empty: Whether rows of padding alone are allowed.

    Raises:
        ValueError: wrong rank or type (vectors of floats are not token ids),
            an id outside the vocabulary, no row, a row of padding alone.
    """
    ids = check.as_array(ids, name)
    if ids.ndim != 2 or 0 in ids.shape:
        check.fail(name, "token ids (n, length)", f"shape {ids.shape}")
    if ids.dtype.kind not in "iu":
        check.fail(name, "integer token ids", f"dtype {ids.dtype}")
    outside = (ids < 0) | (ids >= vocabulary_size)
    if outside.any():
        row = int(np.argwhere(outside)[0][0])
        expected = f"token ids from 0 to {vocabulary_size - 1}, the vocabulary"
        check.fail(name, expected, f"{int(ids[outside][0])} in row {row}")
    if not empty and not (ids != PAD).any(axis=1).all():
        row = int(np.flatnonzero((ids == PAD).all(axis=1))[0])
        check.fail(name, "at least one token a row", f"row {row} is empty")
    return ids.astype("int32", copy=False)


def draw_token(logits, temperature, rng):
    """Draw one id a row of logits, never a reserved one.

    Args:
        logits: Array ``(n, vocabulary_size)``, unnormalised log-probabilities.
        temperature: They are divided by it: below 1 likelier tokens gain, at
            0 the likeliest is taken.
        rng: NumPy generator.

    Returns:
        Int32 array ``(n,)``.
    """
    logits = np.array(logits, dtype="float64")
    logits[:, : len(RESERVED)] = -np.inf
    if temperature == 0.0:
        return logits.argmax(axis=1).astype("int32")
    noise = rng.gumbel(size=logits.shape)  # argmax of it is a softmax draw
    return (logits / temperature + noise).argmax(axis=1).astype("int32")
