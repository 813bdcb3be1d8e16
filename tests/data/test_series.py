"""The nerve cell's voltage, and windows of a series."""

import numpy as np
import pytest

from utils.data import series


def test_voltage_fires_like_a_clock_until_it_does_not():
    voltage = series.load_voltage()
    assert voltage.shape == (12_000,) and voltage.dtype == np.float32
    assert np.isfinite(voltage).all()
    regular = voltage[1500:5300]
    high = voltage > regular.mean() + 1.75 * regular.std()
    spikes = np.flatnonzero(high[1:] & ~high[:-1])
    gaps = np.diff(spikes[(spikes > 1500) & (spikes < 7100)])
    assert np.ptp(gaps) < 15 and abs(np.median(gaps) - 143) < 5
    assert np.ptp(np.diff(spikes[(spikes > 7500) & (spikes < 10_900)])) > 20


def test_windows_by_hand():
    rows = series.windows(np.arange(6), 4)
    assert rows.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
    assert rows.dtype == np.float32 and rows.flags["C_CONTIGUOUS"]
    assert series.windows(np.arange(7), 3, stride=3).tolist() == [
        [0, 1, 2],
        [3, 4, 5],
    ]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (([1.0, np.nan], 1), "series: expected finite"),
        ((np.ones((3, 3)), 2), "series: expected an array with 1 axes"),
        ((np.ones(3), 4), "width: expected an integer"),
        ((np.ones(3), 2, 0), "stride: expected an integer"),
    ],
)
def test_windows_refuse_bad_input_by_name(arguments, match):
    with pytest.raises(ValueError, match=match):
        series.windows(*arguments)
