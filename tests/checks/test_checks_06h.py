"""Checks of chapter 6h: wrong answers are named, unusual right ones pass."""

import itertools

import keras
import numpy as np
import pytest
from answers import Watched, rejects, stub
from matplotlib import cbook
from scipy.signal import ShortTimeFFT, find_peaks, savgol_filter
from scipy.signal.windows import hann
from sklearn.neighbors import KNeighborsRegressor

from utils.checks import chapter_06h
from utils.data import sounds

checks = Watched(chapter_06h)


@pytest.mark.parametrize("answer", [13, np.float32(13), [13], 13.0])
def test_check_6h_1_right_value_passes(answer, capsys):
    checks.check_6h_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (12, "both ends"),
        (16, "begin inside"),
        (4, "do not overlap"),
        (19, "reach beyond"),
        (7, "not right"),
        (None, "waits for your answer"),
    ],
)
def test_check_6h_1_wrong_value_is_named(answer, match):
    rejects(checks.check_6h_1, answer, match=match)


def _row(ids, shortest):
    runs = [(u, len(list(g))) for u, g in itertools.groupby(ids)]
    kept = [u for u, n in runs if n >= shortest]
    return [u for u, _ in itertools.groupby(kept)]


def _filter(keep, again=True):
    def answer(ids, shortest):
        runs = [(u, len(list(g))) for u, g in itertools.groupby(ids)]
        kept = [u for u, n in runs if keep(n, shortest)]
        return [u for u, _ in itertools.groupby(kept)] if again else kept

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        _row,
        lambda ids, n: np.array(_row(ids, n), "int8"),
        lambda ids, n: tuple(float(u) for u in _row(ids.tolist(), n)),
    ],
)
def test_check_6h_2_right_answer_passes(answer):
    checks.check_6h_2(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (_filter(lambda n, least: n >= least, again=False), "write them once"),
        (lambda ids, n: _row(ids, 1), "stay in"),
        (_filter(lambda n, least: n > least), "exactly"),
        (lambda ids, n: np.unique(_row(ids, n)), "come again|should give"),
        (lambda ids, n: _row(ids, n)[::-1], "should give"),
        (lambda ids, n: np.eye(3), "one row of units"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6h_2_wrong_answer_is_named(answer, match):
    rejects(checks.check_6h_2, answer, match=f"(?i){match}")


TRANSFORM = ShortTimeFFT(hann(256, sym=False), 64, 8000)


def _without_phases(magnitude, samples):
    """One inverse transform, all phases zero: no answer at most pitches."""
    return TRANSFORM.istft(magnitude.astype(complex), k1=samples)


def _fast(magnitude, samples):
    """Griffin and Lim with momentum (Perraudin et al. 2013)."""
    rng = np.random.default_rng(0)
    angles = np.exp(2j * np.pi * rng.random(magnitude.shape))
    last = 0.0
    for _ in range(60):
        wave = TRANSFORM.istft(magnitude * angles, k1=samples)
        now = TRANSFORM.stft(wave)
        angles = now + 0.9 * (now - last)
        last, angles = now, angles / np.maximum(np.abs(angles), 1e-12)
    return TRANSFORM.istft(magnitude * angles, k1=samples)


@pytest.mark.parametrize(
    "answer",
    [
        lambda m, n: sounds.griffin_lim(m, n, iterations=60),
        lambda m, n: (-sounds.griffin_lim(m, n, iterations=80)).tolist(),
        _fast,
    ],
)
def test_check_6h_3_enough_turns_pass(answer):
    checks.check_6h_3(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (_without_phases, "not enough"),
        (lambda m, n: sounds.griffin_lim(m, n, iterations=1), "not enough"),
        (lambda m, n: sounds.griffin_lim(0 * m, n), "silence"),
        (lambda m, n: np.ones(n) * 1j, "complex"),
        (lambda m, n: 1e-3 * sounds.griffin_lim(m, n), "loudness"),
        (lambda m, n: np.ones(5), "shape"),
    ],
)
def test_check_6h_3_wrong_answer_is_named(answer, match):
    rejects(checks.check_6h_3, answer, match=match)


def _nearest(noisy, clean, k):
    model = KNeighborsRegressor(k).fit(clean, clean)
    return model.predict(noisy)


def _order(noisy, clean):
    return np.argsort(((noisy[:, None] - clean) ** 2).sum(axis=2), axis=1)


@pytest.mark.parametrize(
    "answer",
    [
        _nearest,
        lambda n, c, k: keras.ops.convert_to_tensor(_nearest(n, c, k)),
        lambda n, c, k: [
            c[sorted(range(len(c)), key=lambda i: np.linalg.norm(c[i] - w))[:k]]
            .mean(axis=0)
            .tolist()
            for w in n
        ],
    ],
)
def test_check_6h_4_right_answer_passes(answer):
    checks.check_6h_4(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda n, c, k: c[_order(n, c)[:, -k:]].mean(1), "farthest"),
        (lambda n, c, k: np.tile(c.mean(0), (len(n), 1)), "whole archive"),
        (lambda n, c, k: c[_order(n, c)[:, 1 : k + 1]].mean(1), "nearest one"),
        (lambda n, c, k: c[_order(n, c)[:, 0]], "nearest window alone"),
        (lambda n, c, k: c[_order(n, c)[:, :k]], "mean over the k"),
        (lambda n, c, k: n, "Nothing has changed"),
        (lambda n, c, k: n + 1, "not the means"),
    ],
)
def test_check_6h_4_wrong_answer_is_named(answer, match):
    rejects(checks.check_6h_4, answer, match=match)


def _peaks(values):
    return find_peaks(savgol_filter(values, 9, 2), height=1.75, distance=40)[0]


def _by_comparison(values):
    smooth = np.convolve(values, np.ones(7) / 7, mode="same")
    tops = np.flatnonzero(smooth > 1.6)
    groups = np.split(tops, np.flatnonzero(np.diff(tops) > 25) + 1)
    return [int(group[smooth[group].argmax()]) for group in groups]


@pytest.mark.parametrize(
    "answer",
    [_peaks, _by_comparison, lambda v: np.float64(_peaks(v))],
)
def test_check_6h_5_any_method_passes(answer):
    checks.check_6h_5(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda v: find_peaks(v, height=1.75)[0], "several times"),
        (lambda v: find_peaks(v, height=20)[0], "No spike found"),
        (lambda v: v > 2, "one value a sample"),
        (lambda v: _peaks(v)[::2], "spikes found"),
        (lambda v: _peaks(v) + 30, "spikes found"),
    ],
)
def test_check_6h_5_wrong_answer_is_named(answer, match):
    rejects(checks.check_6h_5, answer, match=match)


def test_sample_data_is_what_the_chapter_describes():
    with cbook.get_sample_data("membrane.dat") as file:
        voltage = np.frombuffer(file.read(), "float32")
    assert voltage.shape == (12000,)
    assert np.isfinite(voltage).all()
