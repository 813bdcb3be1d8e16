"""Series in time: a nerve cell's voltage, and windows of any series."""

import numpy as np

from utils.support import validation as check

__all__ = ["load_voltage", "windows"]


def load_voltage():
    """The voltage of a nerve cell, ``membrane.dat`` of matplotlib's samples.

    A real recording without a description: a cell at rest, a current switched
    on, regular spikes until sample 7 048, then irregular ones.

    Returns:
        Float32 array ``(12000,)``, in the unit of the recording.
    """
    from matplotlib import cbook

    with cbook.get_sample_data("membrane.dat") as file:
        return np.frombuffer(file.read(), "float32")


def windows(series, width, stride=1):
    """Overlapping stretches of a series, each a row.

    Args:
        series: Numbers ``(n,)``.
        width: Samples a window, from 1 to n.
        stride: Samples from one window to the next, ≥ 1.

    Returns:
        Float32 array ``((n − width) // stride + 1, width)``.

    Raises:
        ValueError: NaN, another rank, a width beyond the series.

    Example:

    >>> windows([1, 2, 3, 4, 5], 3, stride=2).tolist()
    [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]
    """
    series = check.check_array(series, "series", ndim=1)
    width = check.check_int(width, "width", 1, len(series))
    stride = check.check_int(stride, "stride")
    view = np.lib.stride_tricks.sliding_window_view(series, width)
    return np.ascontiguousarray(view[::stride])
