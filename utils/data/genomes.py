"""Sequences of bases: encodings, two real genomes, planted motifs.

A network takes numbers: a sequence of n bases becomes an array (n, 4) with
one 1 a row. Code lengths are in bits per base; four equally likely bases
cost 2.
"""

import csv
import pathlib
from typing import NamedTuple

import numpy as np

from utils.support import validation as check
from utils.support.files import check_frozen

__all__ = [
    "BASES",
    "Gene",
    "from_one_hot",
    "indices_of",
    "kmer_counts",
    "load_chloroplast",
    "load_genome",
    "longest_open_frame",
    "one_hot",
    "planted_motifs",
    "reverse_complement",
    "words_of",
]

BASES = "ACGT"
STOPS = ("TAA", "TAG", "TGA")
_FROZEN = pathlib.Path(__file__).parent / "frozen" / "genomes"
_DIGESTS = {  # SHA-256, line ends left out
    "hiv1.txt": (
        "0cfba8731832840b1328eac809832dc2b51586d242b5236887f35ae0ae855ea6"
    ),
    "chloroplast.txt": (
        "56e0a1bea23c5caf180a4df1488142de09c6146031a82d3c2555bdc52ac31640"
    ),
    "chloroplast_genes.csv": (
        "3f2b5ad33eccef9143cc25b3d60afd67a1e8c77097d2c587b1500feae75b5054"
    ),
}


class Gene(NamedTuple):
    """A gene of a genome: its kind, its name, and where its pieces stand.

    ``kind`` is ``"CDS"`` (makes a protein), ``"rRNA"`` or ``"tRNA"``; ``exons``
    are triples ``(start, stop, strand)`` in the order of reading, ``genome[
    start:stop]`` the bases, strand 1 or −1, read backwards.
    """

    kind: str
    name: str
    exons: tuple

    def bases(self, genome):
        """The gene's own bases: exons joined, in the order of reading."""
        pieces = []
        for start, stop, strand in self.exons:
            piece = genome[start:stop]
            pieces.append(piece if strand > 0 else reverse_complement(piece))
        return "".join(pieces)


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
        expected = f"the letters {BASES} alone"
        check.fail(name, expected, f"{sequence[place]!r} at position {place}")
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


def reverse_complement(sequence):
    """The other strand: backwards, A facing T and C facing G.

    Raises:
        ValueError: no base, or a letter other than A, C, G, T.

    Example:

    >>> reverse_complement("GATTACA")
    'TGTAATC'
    """
    return "".join(BASES[3 - i] for i in indices_of(sequence)[::-1])


def longest_open_frame(sequence):
    """Most codons in a row without a stop, over the six reading frames.

    A gene is read in steps of three and ends at TAA, TAG or TGA. In random
    bases one codon of 21 is a stop; a long stretch without one, in one of
    three frames of one of two strands, is the oldest sign of a gene.

    Args:
        sequence: String of bases.

    Returns:
        Number of codons, an integer ≥ 0.

    Raises:
        ValueError: no base, or a letter other than A, C, G, T.

    Example:

    >>> longest_open_frame("ATGGCCTAAGGA")  # TCC TTA GGC CAT, turned round
    4
    """
    longest = 0
    for strand in (sequence, reverse_complement(sequence)):
        for frame in range(3):
            codons = [
                strand[i : i + 3] for i in range(frame, len(strand) - 2, 3)
            ]
            run = 0
            for codon in codons:
                run = 0 if codon in STOPS else run + 1
                longest = max(longest, run)
    return longest


def _frozen(name):
    """Lines of a frozen file that is what it was."""
    lines = (_FROZEN / name).read_text(encoding="ascii").split()
    check_frozen("".join(lines).encode(), _DIGESTS[name], name)
    return lines


def load_genome():
    """The genome of HIV-1, 9 181 bases: real, whole, and frozen here.

    RefSeq NC_001802.1, as it stands in the test files of Biopython 1.85 under
    the Biopython licence (``frozen/genomes``). The RNA is written as DNA.

    Returns:
        String of A, C, G and T.

    Raises:
        ValueError: the file is not the one that was frozen.
    """
    return "".join(_frozen("hiv1.txt"))


def load_chloroplast():
    """The chloroplast genome of thale cress, 154 478 bases, and its genes.

    RefSeq NC_000932.1, *Arabidopsis thaliana* (Sato et al. 1999), from the
    same archive as :func:`load_genome`. It is a ring. Bases 84 170 to 110 433
    (from 0) stand a second time, as their other strand, from 128 214 to the
    end: rows of both copies must not be divided among training and test.

    Returns:
        ``(genome, genes)``: a string of A, C, G and T, and a list of
        :class:`Gene`.

    Raises:
        ValueError: the files are not those that were frozen.

    Example:

    >>> genome, genes = load_chloroplast()
    >>> rbcl = next(gene for gene in genes if gene.name == "rbcL")
    >>> rbcl.bases(genome)[:12]
    'ATGTCACCACAA'
    """
    found = {}
    for row in csv.DictReader(_frozen("chloroplast_genes.csv")):
        exon = tuple(int(row[name]) for name in ("start", "stop", "strand"))
        found.setdefault((row["gene"], row["kind"], row["name"]), []).append(
            exon
        )
    genes = [Gene(*key[1:], tuple(exons)) for key, exons in found.items()]
    return "".join(_frozen("chloroplast.txt")), genes


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
