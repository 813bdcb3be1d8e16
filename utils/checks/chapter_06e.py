"""Checks of chapter 6e, sequences."""

import numpy as np
from matplotlib import cbook
from scipy.signal import find_peaks

from utils.checks._feedback import (
    as_array,
    as_number,
    as_values,
    call,
    correct,
    name_value,
    one_sentence,
    wrong,
)
from utils.data import genomes, sounds


@one_sentence
def check_6_1(answer):
    """Mean code length of AACT: 1.75 bits."""
    value = as_number(answer, "Your answer")
    name_value(
        value,
        [
            (7, "7 bits is the whole sequence; the question asks per base."),
            (2, "2 bits is what a model without knowledge needs."),
            (
                1.75 * np.log(2),
                "That is in nats: use the logarithm to base 2.",
            ),
            (
                -np.log2((0.5 + 0.5 + 0.25 + 0.125) / 4),
                "You took the logarithm of the mean probability; the code "
                "length is the mean of the logarithms.",
            ),
            (-1.75, "−log₂ p is positive: a code has no negative length."),
        ],
    )
    if abs(value - 1.75) > 1e-6:
        wrong(
            f"{value:g} is not right. Write −log₂ p under each of the four "
            "bases and take the mean; G does not occur."
        )
    correct("6.1", "Which probabilities would suit AACT best, at what cost?")


@one_sentence
def check_6_2(answer):
    """(n, 4), rows sum to 1, unknown letters refused."""
    result = as_values(call(answer, "GATTACA"), "The array")
    if result.shape == (4, 7):
        wrong("Your array is (4, n): one row a base, please, (n, 4).")
    if result.shape != (7, 4):
        wrong(f"GATTACA should give shape (7, 4), not {result.shape}.")
    if not np.allclose(result.sum(axis=1), 1.0):
        wrong("Each base has exactly one 1: the rows should sum to 1.")
    if not np.array_equal(result, genomes.one_hot("GATTACA")):
        wrong(
            "The columns should stand for A, C, G, T in this order: the "
            "first row of GATTACA is 0, 0, 1, 0."
        )
    for text in ("GATN", "gatt", "GA T"):
        try:
            answer(text)
        except ValueError:
            continue
        except (
            Exception,
            SystemExit,
        ) as error:  # the learner's code may raise anything
            wrong(
                f"{text!r} should raise a ValueError; yours raises "
                f"{type(error).__name__}."
            )
        wrong(
            f"{text!r} was accepted. Whatever its row is, it claims something "
            "about a base that nobody read: raise a ValueError."
        )
    correct("6.2", "Compare with `sequences.one_hot`, which names the place.")


@one_sentence
def check_6_3(answer):
    """Reversed in place and in letters."""
    texts = ["GATTACA", "CCCGTTA"]
    x = genomes.one_hot(texts)
    given = x.copy()
    result = as_values(call(answer, given), "The result")
    if not np.array_equal(given, x):
        wrong("Your function changed the array it was given.")
    if result.shape != x.shape:
        wrong(f"The shape should stay {x.shape}, not {result.shape}.")
    name_value(
        result,
        [
            (x, "Nothing has changed."),
            (x[:, ::-1], "You reversed the order; A still faces A, not T."),
            (
                x[:, :, ::-1],
                "You exchanged the bases; the other strand also runs "
                "*backwards*.",
            ),
            (x[::-1], "You reversed the list of sequences, not the bases."),
            (
                x[::-1, ::-1, ::-1],
                "The sequences changed places: leave the first axis alone.",
            ),
            (
                x[:, ::-1][:, :, [2, 3, 0, 1]],
                "A faces T and C faces G: you exchanged A with G.",
            ),
        ],
    )
    if not np.allclose(result, x[:, ::-1, ::-1]):
        wrong("GATTACA should become TGTAATC.")
    correct("6.3", "Which words of four bases are their own other strand?")


def _pairs(known, pseudocount=1.0):
    counts = genomes.kmer_counts(known, 2).reshape(4, 4) + pseudocount
    return counts, counts / counts.sum(axis=1, keepdims=True)


@one_sentence
def check_6_4(answer):
    """Conditional probabilities, smoothed, in bits."""
    genome = genomes.load_genome()
    known, unseen = genome[:400], genome[5000:5400]
    words = [
        4 * "ACGT".index(a) + "ACGT".index(b)
        for a, b in zip(unseen, unseen[1:], strict=False)
    ]
    counts, p = _pairs(known)

    def mean_bits(table):
        with np.errstate(divide="ignore"):
            return float(-np.log2(table.reshape(-1)[words]).mean())

    right = mean_bits(p)
    value = as_number(call(answer, known, unseen), "The code length")
    alone = np.array([known.count(b) + 1 for b in "ACGT"], dtype="float64")
    alone = np.tile(alone / alone.sum(), (4, 1))
    name_value(
        value,
        [
            (
                mean_bits(counts / counts.sum()),
                "That is the probability of a *pair*. Divide each line of "
                "counts by its own sum: given the base before.",
            ),
            (
                mean_bits(counts / counts.sum(axis=0)),
                "You divided by the sums of the columns: the base *before*, "
                "given the one after.",
            ),
            (
                mean_bits(_pairs(known, 0.0)[1]),
                "The pseudocount is missing: add 1 to each of the counts.",
            ),
            (right * np.log(2), "That is in nats: use log2."),
            (
                mean_bits(_pairs(unseen)[1]),
                "You counted in the bases you are to code. The table comes "
                "from `known`.",
            ),
            (mean_bits(alone), "That is order 0: it ignores the base before."),
            (right * len(words), "That is the sum: take the mean."),
            (-right, "The sign: −log₂ p."),
        ],
    )
    if not np.isclose(value, right, rtol=1e-3):
        wrong(
            f"On a test pair of sequences the result should be {right:.4f} "
            f"bits, not {value:.4f}."
        )
    # a pair that never occurred must stay possible
    value = as_number(call(answer, "AACCAACC", "AGTGA"), "The code length")
    if value > 20:
        wrong("A pair that was never seen costs almost infinitely much.")
    correct("6.4", "Which order would you take with only 100 known bases?")


@one_sentence
def check_6_5(answer):
    """A waveform with about the given magnitudes."""
    errors = []
    for index, vowel in enumerate(("i", "u")):
        wave = sounds.vowel(sounds.VOWELS[vowel], 130.0, 0.128, seed=index)
        wanted = sounds.spectrogram(wave)
        result = call(answer, wanted.copy(), len(wave))
        if getattr(result, "dtype", None) in ("complex64", "complex128"):
            wrong("A waveform is real: yours is complex. Keep the real part.")
        result = as_array(result, "The waveform", (len(wave),))
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
    correct("6.5", f"Relative error {worst:.2f}. How few turns would do?")


@one_sentence
def check_6_6(answer):
    """Nine spikes of ten, and no more than one false alarm in ten."""
    with cbook.get_sample_data("membrane.dat") as file:
        voltage = np.frombuffer(file.read(), "float32")
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
        "6.6",
        f"{caught:.0%} of the spikes, {false:.0%} false. Try the irregular "
        "stretch next.",
    )
