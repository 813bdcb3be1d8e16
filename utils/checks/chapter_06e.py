"""Checks of chapter 6e, sequences."""

import numpy as np

from utils.checks._feedback import (
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
from utils.data import genomes


@one_sentence
def check_6e_1(answer):
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
    correct("6e.1", "Which probabilities would suit AACT best, at what cost?")


@one_sentence
def check_6e_2(answer):
    """(n, 4), rows sum to 1, unknown letters refused."""
    result = as_values(call(answer, "GATTACA"), "The array")
    if result.shape == (4, 7):
        wrong("Your array is (4, n): one row a base, please, (n, 4).")
    if result.shape != (7, 4):
        wrong(f"GATTACA should give shape (7, 4), not {result.shape}.")
    reached("shape")
    if not np.allclose(result.sum(axis=1), 1.0):
        wrong("Each base has exactly one 1: the rows should sum to 1.")
    if not np.array_equal(result, genomes.one_hot("GATTACA")):
        wrong(
            "The columns should stand for A, C, G, T in this order: the "
            "first row of GATTACA is 0, 0, 1, 0."
        )
    drawn = "".join(np.random.default_rng(0).choice(list("ACGT"), 20))
    result = as_values(call(answer, drawn), "The array")
    if not np.array_equal(result, genomes.one_hot(drawn)):
        wrong(f"GATTACA is right, and {drawn} is not.")
    reached("values")
    for text in ("GATN", "gatt", "GA T", "GAUT", "R-A", "TXG"):
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
    correct("6e.2", "Compare with `genomes.one_hot`, which names the place.")


@one_sentence
def check_6e_3(answer):
    """Reversed in place and in letters."""
    texts = ["GATTACA", "CCCGTTA"]
    x = genomes.one_hot(texts)
    given = x.copy()
    result = as_values(call(answer, given), "The result")
    unchanged((given,), (x,), "the array")
    if result.shape != x.shape:
        wrong(f"The shape should stay {x.shape}, not {result.shape}.")
    reached("shape")
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
    x = np.eye(4)[np.random.default_rng(0).integers(0, 4, (3, 11))]
    result = as_values(call(answer, x.copy()), "The result")
    if not np.array_equal(result, x[:, ::-1, ::-1]):
        wrong("GATTACA is right, and three sequences of 11 bases are not.")
    correct("6e.3", "Which words of four bases are their own other strand?")


def _pairs(known, pseudocount=1.0):
    counts = genomes.kmer_counts(known, 2).reshape(4, 4) + pseudocount
    return counts, counts / counts.sum(axis=1, keepdims=True)


@one_sentence
def check_6e_4(answer):
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
    begin, end = np.random.default_rng(0).integers(500, 8800, 2)
    known, unseen = genome[begin : begin + 300], genome[end : end + 200]
    p = _pairs(known)[1]
    right = -np.mean(
        [
            np.log2(p["ACGT".index(a), "ACGT".index(b)])
            for a, b in zip(unseen, unseen[1:], strict=False)
        ]
    )
    value = as_number(call(answer, known, unseen), "The code length")
    if not np.isclose(value, right, rtol=1e-3):
        wrong(
            "Right for one pair of sequences; for another it should be "
            f"{right:.4f} bits, not {value:.4f}."
        )
    # a pair that never occurred must stay possible
    reached("values")
    known, unseen = "AACCAACC", "AAC"  # two pairs to code, not three bases
    value = as_number(call(answer, known, "AGTGA"), "The code length")
    if value > 20:
        wrong("A pair that was never seen costs almost infinitely much.")
    p = _pairs(known)[1]
    right = -np.log2(p[0, :2]).mean()
    value = as_number(call(answer, known, unseen), "The code length")
    if not np.isclose(value, right, rtol=2e-3):
        wrong(
            f"Right for long sequences; for {unseen} after {known} it should "
            f"be {right:.4f} bits, not {value:.4f}: the mean is over all bases "
            "but the first, which has none before it."
        )
    correct("6e.4", "Which order would you take with only 100 known bases?")


def _runs(text, stops=("TAA", "TAG", "TGA"), frames=(0, 1, 2)):
    longest = 0
    for frame in frames:
        run = 0
        for i in range(frame, len(text) - 2, 3):
            run = 0 if text[i : i + 3] in stops else run + 1
            longest = max(longest, run)
    return longest


@one_sentence
def check_6e_5(answer):
    """Longest run of codons without a stop, six ways of reading."""
    genome = genomes.load_genome()
    drawn = np.random.default_rng(0).integers(500, 8900, 2)
    for start in (100, 8150, 5771, 300, *drawn):
        text = genome[start : start + 240]
        other = genomes.reverse_complement(text)
        right = max(_runs(text), _runs(other))
        value = as_number(call(answer, text), "The longest run")
        backwards = max(_runs(text), _runs(text[::-1]))
        mistakes = [
            (3 * right, "That is in bases: count codons."),
            (
                _runs(text, frames=(0,)),
                "You read from the first base alone: a gene may begin at any "
                "of three.",
            ),
            (
                _runs(text),
                "Genes stand on both strands: read the other one as well.",
            ),
            (
                backwards,
                "The other strand runs backwards *and* exchanges the bases: "
                "A faces T, C faces G.",
            ),
            (len(text) // 3, "You counted all codons: a stop ends a run."),
        ]
        name_value(value, [pair for pair in mistakes if pair[0] != right])
        if value != right:
            wrong(
                f"In a stretch of 240 bases the longest run has {right} "
                f"codons; you found {value:g}. TAA, TAG and TGA stop, and "
                "after a stop the count begins again."
            )
    reached("values")
    value = as_number(call(answer, "AC"), "The longest run")
    if value != 0:
        wrong("Two bases hold no whole codon: the run is 0.")
    correct(
        "6e.5", "How long is it in random bases with this genome's A and T?"
    )
