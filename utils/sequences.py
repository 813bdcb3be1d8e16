"""Sequences of bases: encodings, baselines in bits, an autoencoder of motifs.

A network takes numbers: a sequence of n bases becomes an array (n, 4) with
one 1 a row. Code lengths are in bits per base; four equally likely bases
cost 2.
"""

import hashlib
import pathlib

import keras
import numpy as np
from keras import ops

from utils import _validation as check
from utils._batches import in_batches
from utils.layers import PACKAGE
from utils.reconstruction import ReconstructionModel

__all__ = [
    "BASES",
    "MarkovModel",
    "MotifAutoencoder",
    "from_one_hot",
    "kmer_counts",
    "load_genome",
    "one_hot",
    "planted_motifs",
]

BASES = "ACGT"
_GENOME = pathlib.Path(__file__).parent / "genomes" / "hiv1.txt"
_GENOME_SHA256 = (
    "0cfba8731832840b1328eac809832dc2b51586d242b5236887f35ae0ae855ea6"
)


# ------------------------------------------------------------- encodings


def _indices(sequence, name="sequence"):
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
        return table[_indices(sequences)]
    rows = [
        _indices(sequence, f"sequences[{index}]")
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
    indices = _indices(sequence)
    if len(indices) < k:
        check.fail("sequence", f"at least {k} bases", f"{len(indices)}")
    return np.bincount(_words(indices, k), minlength=4**k)


def _words(indices, k):
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
    words = [_indices(m, f"motifs[{i}]") for i, m in enumerate(motifs)]
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


# ------------------------------------------------------------- baselines


class MarkovModel:
    """Next base from the last few: counts, smoothed (Shannon 1948).

    p(b | the ``order`` bases before) = (count + pseudocount) / (sum of the
    four counts + 4 · pseudocount). Order 0 is a table of four frequencies.

    Args:
        order: Number of bases looked back at, from 0 to 7.
        pseudocount: Number > 0 added to every count, so that nothing is
            impossible.

    Attributes:
        probabilities: Array ``(4**order, 4)`` after ``fit``.
    """

    def __init__(self, order, pseudocount=1.0):
        self.order = check.check_int(order, "order", 0, 7)
        self.pseudocount = check.check_number(pseudocount, "pseudocount", 1e-9)
        self.probabilities = None

    def fit(self, sequence):
        """Count the words of one sequence; return the model."""
        counts = kmer_counts(sequence, self.order + 1).reshape(-1, 4)
        smooth = counts + self.pseudocount
        self.probabilities = smooth / smooth.sum(axis=1, keepdims=True)
        return self

    def bits_per_base(self, sequence):
        """Mean code length, in bits, of the bases after the first few.

        −log₂ p of each base given those before it; the first ``order``
        bases, which have too little before them, are left out.
        """
        self._need_fit()
        indices = _indices(sequence)
        if len(indices) <= self.order:
            received = f"{len(indices)}"
            check.fail("sequence", f"more than {self.order} bases", received)
        words = _words(indices, self.order + 1)
        chosen = self.probabilities.reshape(-1)[words]
        return float(-np.log2(chosen).mean())

    def sample(self, length, *, seed=0):
        """Draw a sequence of bases; the first few are uniform."""
        self._need_fit()
        length = check.check_int(length, "length", minimum=self.order + 1)
        rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
        drawn = list(rng.integers(4, size=self.order))
        for _ in range(length - self.order):
            last = drawn[len(drawn) - self.order :]
            state = sum(b * 4**i for i, b in enumerate(reversed(last)))
            drawn.append(int(rng.choice(4, p=self.probabilities[state])))
        return "".join(BASES[base] for base in drawn)

    def _need_fit(self):
        if self.probabilities is None:
            check.fail("model", "fit(sequence) before", "no counts yet")


# ------------------------------------------------- an autoencoder of motifs


@keras.saving.register_keras_serializable(package=PACKAGE)
class MotifAutoencoder(ReconstructionModel):
    """Convolutional autoencoder whose code says *where* each motif is.

    The encoder slides ``num_motifs`` kernels over the sequence and turns
    the scores of each into a distribution over places, with one more
    outcome, "nowhere", of score 0. The decoder writes a pattern of its own
    at these places over a common background. Trained on cross-entropy,
    patterns become the motifs that occur again and again: gradient descent
    on the model of Bailey and Elkan (1994).

    Args:
        length: Bases a sequence, at least ``kernel_size``.
        num_motifs: Number of kernels.
        kernel_size: Bases a kernel sees.
        seed: Integer seed of the initial weights, or ``None``.

    Loss:
        Cross-entropy in nats, sum over the bases, mean over the batch.

    Raises:
        ValueError: a sequence shorter than the kernel, or an argument out
            of range; from ``fit`` and the verbs, an array that is not
            ``(n, length, 4)``, has NaN or leaves [0, 1].
    """

    output_kind = "bernoulli"  # inputs in [0, 1], a loss from logits

    def __init__(
        self, length, num_motifs=4, kernel_size=8, *, seed=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.kernel_size = check.check_int(kernel_size, "kernel_size", 2)
        self.length = check.check_int(length, "length")
        if self.length < self.kernel_size:
            check.fail(
                "length",
                f"at least the {self.kernel_size} bases of a kernel",
                f"{self.length}",
            )
        self.num_motifs = check.check_int(num_motifs, "num_motifs")
        self.seed = check.check_seed(seed)
        self.event_shape = (self.length, 4)
        self.places = self.length - self.kernel_size + 1
        self.latent_dim = self.places * self.num_motifs
        kernel = keras.initializers.RandomNormal(stddev=0.3, seed=self.seed)
        self.encoder = keras.layers.Conv1D(
            self.num_motifs,
            self.kernel_size,
            kernel_initializer=kernel,
            name="scan",
            dtype=self.dtype_policy,
        )
        self.decoder = keras.layers.Conv1DTranspose(
            4,
            self.kernel_size,
            kernel_initializer="zeros",
            name="write",
            dtype=self.dtype_policy,
        )
        self.encoder.build((None, self.length, 4))
        self.decoder.build((None, self.places, self.num_motifs))
        self.built = True

    def call(self, inputs, training=False):
        """Return ``{"code", "logits", "reconstruction"}``.

        The code is ``(batch, places, num_motifs)``: probability that motif
        m starts at place l.
        """
        scores = ops.cast(self.encoder(inputs), "float32")
        nowhere = ops.zeros_like(scores[:, :1])
        both = ops.concatenate([scores, nowhere], axis=1)
        soft = ops.softmax(both, axis=1)[:, :-1]
        best = ops.max(soft, axis=1, keepdims=True)
        code = soft * ops.cast(soft >= best, "float32")
        return {"code": code, **self.decoder_outputs(code)}

    def decoder_outputs(self, code):
        logits = ops.cast(self.decoder(code), "float32")  # (batch, length, 4)
        return {
            "logits": logits,
            "reconstruction": ops.softmax(logits, axis=-1),
        }

    def reconstruction_loss(self, x, outputs):
        log_p = ops.log_softmax(outputs["logits"], axis=-1)
        return -ops.sum(ops.cast(x, "float32") * log_p, axis=(1, 2))

    def encode(self, x):
        """Where each motif is: float32 ``(n, places, num_motifs)``."""
        x = self._check(x)
        return in_batches(lambda batch: self(batch)["code"], x)

    def decode(self, z):
        """Probabilities of the bases: float32 ``(n, length, 4)``."""
        shape = (self.places, self.num_motifs)
        z = check.check_array(z, "z", event_shape=shape)
        return in_batches(
            lambda batch: self.decoder_outputs(batch)["reconstruction"], z
        )

    def motifs(self):
        """Patterns written by the decoder, as probabilities of the bases.

        Returns:
            Float32 array ``(num_motifs, kernel_size, 4)``.
        """
        kernel = ops.convert_to_numpy(self.decoder.kernel)  # (size, 4, motifs)
        logits = kernel + ops.convert_to_numpy(self.decoder.bias)[:, None]
        values = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.moveaxis(values / values.sum(axis=1, keepdims=True), 2, 0)

    def get_config(self):
        names = ("length", "num_motifs", "kernel_size", "seed")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own}
