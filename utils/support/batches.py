"""Apply a tensor function to large arrays piece by piece."""

import numpy as np
from keras import ops

__all__ = [
    "in_batches",
]


def in_batches(function, *arrays, batch_size=1024):
    """Apply ``function`` to equal slices of arrays; float32 NumPy result."""
    pieces = [
        ops.convert_to_numpy(
            function(*(a[start : start + batch_size] for a in arrays))
        )
        for start in range(0, len(arrays[0]), batch_size)
    ]
    return np.concatenate(pieces).astype("float32", copy=False)
