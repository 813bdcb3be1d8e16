"""Sequences of bases: encodings, a real genome, planted motifs.

A network takes numbers: a sequence of n bases becomes an array (n, 4) with
one 1 a row. Code lengths are in bits per base; four equally likely bases
cost 2.
"""

import hashlib
import pathlib

import numpy as np

from utils.support import validation as check

__all__ = [
    "BASES",
    "from_one_hot",
    "indices_of",
    "kmer_counts",
    "load_genome",
    "one_hot",
    "planted_motifs",
    "words_of",
]

BASES = "ACGT"
_GENOME = pathlib.Path(__file__).parent / "frozen" / "genomes" / "hiv1.txt"
_GENOME_SHA256 = (
    "0cfba8731832840b1328eac809832dc2b51586d242b5236887f35ae0ae855ea6"
)


# ------------------------------------------------------------- encodings


def indices_of(sequence, name="sequence"):
    """Integers 0 to 3 of one sequence of bases."""
    if not isinstance(sequence, str):
        check.fail(name, "a string of bases", type(sequence).__name__)
    if not sequence:
        check.fail(name, "at least one base", "an empty string")
    found = np.array([BASES.find(base) for base in sequence], dtype="int64")
    if found.min() < 0:
        place = int(np.argmin(found))
        check.fail(
            name,
            f"the letters {BASES} alone",
            f"{sequence[place]!r} at position {place}",
        )
    return found


def one_hot(sequences):
    """Encode bases: one column for each of A, C, G and T.

    Args:
        sequences: A string of n bases, or a list of strings of one length.

    Returns:
        Float32 array ``(n, 4)``, or ``(count, n, 4)`` for a list. Each base
        has one 1: entries along the last axis sum to 1.

    Raises:
        ValueError: no base, a letter other than A, C, G, T (lower case and
            the N of an unknown base included), or unequal lengths.

    Example:

    >>> one_hot("GA").tolist()
    [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    """
    table = np.eye(4, dtype="float32")
    if isinstance(sequences, str):
        return table[indices_of(sequences)]
    rows = [
        indices_of(sequence, f"sequences[{index}]")
        for index, sequence in enumerate(sequences)
    ]
    if not rows:
        check.fail("sequences", "at least one sequence", "none")
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        received = f"lengths {min(lengths)} to {max(lengths)}"
        check.fail("sequences", "sequences of one length", received)
    return table[np.stack(rows)]


def from_one_hot(x):
    """The most likely bases of an array: the inverse of :func:`one_hot`.

    Args:
        x: Array ``(n, 4)`` or ``(count, n, 4)``: one-hot, or probabilities.

    Returns:
        A string, or a list of strings.

    Raises:
        ValueError: a last axis that is not 4.
    """
    x = check.check_array(x, "x")
    if x.ndim not in (2, 3) or x.shape[-1] != 4:
        check.fail("x", "shape (n, 4) or (count, n, 4)", f"shape {x.shape}")
    letters = np.array(list(BASES))[x.argmax(axis=-1)]
    if x.ndim == 2:
        return "".join(letters)
    return ["".join(row) for row in letters]


def kmer_counts(sequence, k):
    """How often each word of k bases occurs, overlaps included.

    Args:
        sequence: String of n bases.
        k: Length of a word, from 1 to 8.

    Returns:
        Int64 array ``(4**k,)`` in alphabetical order of the words; it sums
        to n − k + 1.

    Raises:
        ValueError: an unknown letter, or fewer than k bases.
    """
    k = check.check_int(k, "k", maximum=8)
    indices = indices_of(sequence)
    if len(indices) < k:
        check.fail("sequence", f"at least {k} bases", f"{len(indices)}")
    return np.bincount(words_of(indices, k), minlength=4**k)


def words_of(indices, k):
    """Number, base 4, of the word that starts at each place."""
    places = len(indices) - k + 1
    return sum(indices[i : i + places] * 4 ** (k - 1 - i) for i in range(k))


def load_genome():
    """The genome of HIV-1, 9 181 bases: real, whole, and frozen here.

    RefSeq NC_001802.1, as it stands in the test files of Biopython 1.85 under
    the Biopython licence (``utils/genomes``). The RNA is written as DNA.

    Returns:
        String of A, C, G and T.

    Raises:
        ValueError: the file is not the one that was frozen.
    """
    sequence = _GENOME.read_text(encoding="ascii").replace("\n", "")
    digest = hashlib.sha256(sequence.encode()).hexdigest()
    if digest != _GENOME_SHA256:
        check.fail("genome", f"SHA-256 {_GENOME_SHA256}", digest)
    return sequence


def planted_motifs(motifs, count=500, length=60, *, noise=0.0, seed=0):
    """Draw synthetic sequences that each hide every motif once.

    The background is independent uniform bases; motifs do not overlap. Each
    base of a planted motif is replaced by a random other one with
    probability ``noise``, as real binding sites vary.

    Args:
        motifs: Strings of bases.
        count: Number of sequences.
        length: Bases a sequence, enough for all motifs apart.
        noise: Probability in [0, 1].
        seed: Integer ≥ 0.

    Returns:
        ``(sequences, starts)``: a list of strings, and the int64 first
        positions ``(count, len(motifs))``.

    Raises:
        ValueError: an unknown letter, or motifs longer than a sequence.
    """
    words = [indices_of(m, f"motifs[{i}]") for i, m in enumerate(motifs)]
    count = check.check_int(count, "count")
    needed = sum(map(len, words))
    length = check.check_int(length, "length", minimum=needed)
    noise = check.check_number(noise, "noise", 0.0, 1.0)
    rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
    rows = rng.integers(4, size=(count, length))
    starts = np.zeros((count, len(words)), dtype="int64")
    for i in range(count):
        # gaps before, between and after the motifs, in random order
        gaps = np.sort(rng.integers(length - needed + 1, size=len(words)))
        used = 0
        for gap, j in zip(gaps, rng.permutation(len(words)), strict=True):
            word = words[j]
            shift = rng.integers(1, 4, size=len(word))
            changed = rng.random(len(word)) < noise
            starts[i, j] = gap + used
            place = slice(gap + used, gap + used + len(word))
            rows[i, place] = (word + shift * changed) % 4
            used += len(word)
    letters = np.array(list(BASES))[rows]
    return ["".join(row) for row in letters], starts
