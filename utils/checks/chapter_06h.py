"""Checks of chapter 6h, signals."""

import numpy as np
from scipy.signal import find_peaks

from utils.checks._feedback import (
    as_array,
    as_number,
    as_values,
    call,
    correct,
    name_value,
    one_sentence,
    reached,
    unchanged,
    wrong,
)
from utils.data import series, sounds


@one_sentence
def check_6h_1(answer):
    """Windows wholly inside a sound: 13."""
    value = as_number(answer, "Your answer")
    name_value(
        value,
        [
            (
                12,
                "12 steps of 64 samples lead from the first window to the "
                "last: count both ends.",
            ),
            (
                16,
                "1024 / 64 counts windows that begin inside the sound; the "
                "last ones end beyond it.",
            ),
            (4, "1024 / 256 counts windows that do not overlap."),
            (
                19,
                "19 frames has the spectrogram; the outer ones reach beyond "
                "the sound.",
            ),
            (14, "The fourteenth window would end at sample 1088."),
        ],
    )
    if abs(value - 13) > 1e-6:
        wrong(
            f"{value:g} is not right. The last window begins at sample "
            "1024 − 256: how many steps of 64 samples is that?"
        )
    correct("6h.1", "How many are there if windows stand 16 samples apart?")


def _runs(ids):
    """Units and lengths of runs of equal ids."""
    found = []
    for unit in ids:
        if found and found[-1][0] == unit:
            found[-1][1] += 1
        else:
            found.append([unit, 1])
    return found


def _once(units):
    return [unit for unit, _ in _runs(units)]


@one_sentence
def check_6h_2(answer):
    """Short runs left out first, then equal neighbours written once."""
    rng = np.random.default_rng(0)
    cases = [([3, 3, 1, 3, 3, 5, 5], 2), ([2, 2, 2, 7], 3), ([4], 1)]
    cases += [(rng.integers(3, size=40).tolist(), n) for n in (1, 2, 3)]
    for ids, shortest in cases:
        kept = [[u, n] for u, n in _runs(ids) if n >= shortest]
        right = _once([unit for unit, _ in kept])
        given = np.array(ids)
        result = call(answer, given, shortest)
        unchanged((given,), (ids,), "the frames")
        values = as_values(result, "The row of units")
        if values.ndim != 1:
            wrong(f"Return one row of units, not an array {values.shape}.")
        found = values.tolist()
        shown = f"{ids} with shortest={shortest}"
        if found == right:
            continue
        if found == [unit for unit, _ in kept]:
            wrong(
                f"{shown}: when a short run goes, its neighbours may be equal "
                "and become one run. Write them once."
            )
        if found == _once(ids):
            wrong(f"{shown}: runs shorter than {shortest} frames stay in.")
        if found == [u for u, n in _runs(ids) if n > shortest]:
            wrong(f"{shown}: a run of exactly {shortest} frames is kept.")
        if found == [u for u, n in kept for _ in range(n)]:
            wrong(f"{shown}: write each run once, not once a frame.")
        if sorted(set(found)) == found and len(right) > len(found):
            wrong(f"{shown}: a unit may come again later; keep the order.")
        wrong(f"{shown} should give {right}, not {found[:20]}.")
    correct("6h.2", "How long is the shortest run of a vowel above?")


@one_sentence
def check_6h_3(answer):
    """A waveform with about the given magnitudes."""
    errors = []
    # pitches whose pulses do not fall into step with the hop of 64 samples:
    # at 130 Hz a single inverse transform without any phases would do
    for index, (vowel, pitch) in enumerate([("i", 97.0), ("u", 151.0)]):
        wave = sounds.vowel(sounds.VOWELS[vowel], pitch, 0.128, seed=index)
        wanted = sounds.spectrogram(wave)
        result = call(answer, wanted.copy(), len(wave))
        if getattr(result, "dtype", None) in ("complex64", "complex128"):
            wrong("A waveform is real: yours is complex. Keep the real part.")
        result = as_array(result, "The waveform", (len(wave),))
        reached("shape")
        if not np.any(result):
            wrong("Your waveform is silence.")
        found = sounds.spectrogram(result)
        errors.append(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
    worst = max(errors)
    if worst > 0.9:
        wrong(
            f"Relative error {worst:.2f}: is the loudness right? The "
            "magnitudes are not logarithms."
        )
    if worst > 0.3:
        wrong(
            f"Relative error {worst:.2f}. One pass with guessed phases is not "
            "enough: take the phases of your waveform's own spectrogram, put "
            "the wanted magnitudes back, and repeat."
        )
    correct("6h.3", f"Relative error {worst:.2f}. How few turns would do?")


@one_sentence
def check_6h_4(answer):
    """Mean of the k nearest clean windows of each noisy one."""
    rng = np.random.default_rng(0)
    clean = rng.standard_normal((30, 6)) * np.linspace(0.5, 3.0, 30)[:, None]
    noisy = clean[[3, 11, 20, 27]] + 0.6 * rng.standard_normal((4, 6))
    for k in (4, 1):
        squared = ((noisy[:, None] - clean[None]) ** 2).sum(axis=2)
        order = np.argsort(squared, axis=1)
        right = clean[order[:, :k]].mean(axis=1)
        given = noisy.copy(), clean.copy()
        values = as_values(call(answer, *given, k), "The windows")
        unchanged(given, (noisy, clean), "the windows")
        if values.shape == (4, k, 6) or values.shape == (4, k):
            wrong(
                f"Shape {values.shape}: take the mean over the k windows, and "
                "return windows, not places."
            )
        if values.shape != (4, 6):
            wrong(f"The result should have shape (4, 6), not {values.shape}.")
        product = np.argsort(-(noisy @ clean.T), axis=1)[:, :k]
        reached("shape")
        name_value(
            values,
            [
                (
                    clean[order[:, -k:]].mean(axis=1),
                    "These are the *farthest* windows: sort upwards.",
                ),
                (
                    np.repeat(clean.mean(axis=0)[None], 4, axis=0),
                    "That is the mean of the whole archive: take k of it.",
                ),
                (
                    clean[order[:, 1 : k + 1]].mean(axis=1),
                    "You left the nearest one out. A noisy window is not "
                    "itself in the archive.",
                ),
                (
                    clean[product].mean(axis=1),
                    "You took the largest products: loud windows win. Take the "
                    "smallest distances.",
                ),
                (noisy, "Nothing has changed."),
            ],
        )
        if k > 1:
            name_value(
                values,
                [
                    (
                        clean[order[:, 0]],
                        "That is the nearest window alone, for k = 4.",
                    )
                ],
            )
        if not np.allclose(values, right, atol=1e-4):
            wrong(
                f"For k = {k} these are not the means of the nearest windows. "
                "Distances are Euclidean, over the samples of a window."
            )
    correct("6h.4", "Which k suits the voltage, and how would you choose it?")


@one_sentence
def check_6h_5(answer):
    """Nine spikes of ten, and no more than one false alarm in ten."""
    voltage = series.load_voltage()
    part = voltage[1500:5300]
    signal = (voltage[1600:7200] - part.mean()) / part.std()
    true, _ = find_peaks(signal, height=1.75, distance=40)
    rng = np.random.default_rng(0)
    noisy = signal + 0.3 * rng.standard_normal(len(signal))
    result = call(answer, noisy.astype("float32"))
    places = as_array(result, "The places")
    if places.ndim != 1:
        wrong(f"Return one list of places, not an array {places.shape}.")
    if len(places) == len(signal):
        wrong(
            "You returned one value a sample: return the *places* "
            "(np.flatnonzero turns one into the other)."
        )
    if len(places) == 0:
        wrong("No spike found. The spikes are about 4 deviations high.")
    near = np.abs(true[:, None] - places[None]) <= 10
    caught, false = near.any(axis=1).mean(), 1 - near.any(axis=0).mean()
    if caught < 0.9:
        wrong(
            f"{caught:.0%} of the {len(true)} spikes found: is the threshold "
            "too high, or does your smoothing flatten them?"
        )
    if len(places) > 1.1 * len(true) + 1:
        wrong(
            f"{len(places)} places for {len(true)} spikes: one spike is "
            "counted several times, or hills are counted as well."
        )
    if false > 0.1:
        wrong(f"{false:.0%} of your places are no spikes.")
    correct(
        "6h.5",
        f"{caught:.0%} of the spikes, {false:.0%} false. Try the irregular "
        "stretch next.",
    )
