"""Markov chains over bases: what a sequence model has to beat."""

import numpy as np

from utils.data.genomes import BASES, indices_of, kmer_counts, words_of
from utils.support import validation as check

__all__ = ["MarkovModel"]


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
        indices = indices_of(sequence)
        if len(indices) <= self.order:
            received = f"{len(indices)}"
            check.fail("sequence", f"more than {self.order} bases", received)
        words = words_of(indices, self.order + 1)
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
