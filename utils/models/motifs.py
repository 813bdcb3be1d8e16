"""An autoencoder whose code says which motifs a sequence contains."""

import keras
import numpy as np
from keras import ops

from utils.models.autoencoders import Autoencoder
from utils.models.base import builds
from utils.nn import likelihoods
from utils.nn.layers import PACKAGE
from utils.support import validation as check

__all__ = ["MotifAutoencoder"]


@keras.saving.register_keras_serializable(package=PACKAGE)
class MotifAutoencoder(Autoencoder):
    """Convolutional autoencoder whose code says *where* each motif is.

    The encoder scores every motif at every place of the sequence, and the
    scores of each become a distribution over places, with one more outcome,
    "nowhere", of score 0. The code keeps the best place of each motif, the
    decoder writes a pattern there over a common background. Trained on
    cross-entropy, patterns become the motifs that occur again and again:
    gradient descent on the model of Bailey and Elkan (1994).

    Example:

    Networks of your own, here two layers of scoring:

    >>> encoder = keras.Sequential(
    ...     [
    ...         keras.Input((20, 4)),
    ...         keras.layers.Conv1D(16, 6, activation="relu"),
    ...         keras.layers.Conv1D(3, 1),
    ...     ]
    ... )
    >>> decoder = keras.Sequential(
    ...     [keras.Input((15, 3)), keras.layers.Conv1DTranspose(4, 6)]
    ... )
    >>> MotifAutoencoder(encoder, decoder).motifs().shape
    (3, 6, 4)

    The course's own, one kernel a motif:

    >>> model = MotifAutoencoder.conv(20, num_motifs=3, kernel_size=6, seed=0)
    >>> model.encode(np.full((5, 20, 4), 0.25)).shape
    (5, 15, 3)

    Args:
        encoder: Keras model from ``(batch, length, letters)`` to scores
            ``(batch, places, num_motifs)``, any real numbers.
        decoder: Keras model from codes of that shape to ``(batch, length,
            letters)``, linear at its end.
        likelihood: As for :class:`Autoencoder`; the default is ``OneHot()``.

    ``"code"`` is ``(batch, places, num_motifs)``: the probability that motif
    m starts at place l, zero but for its best place.

    Loss:
        Cross-entropy in nats, sum over the places, mean over the batch, plus
        ``self.losses``.

    Raises:
        ValueError: as for :class:`Autoencoder`; networks of other shapes.
    """

    def __init__(self, encoder, decoder, *, likelihood=None, **kwargs):
        super().__init__(
            encoder,
            decoder,
            likelihood=likelihoods.get(likelihood, likelihoods.OneHot),
            overcomplete=True,  # most of the code is zero
            **kwargs,
        )
        shapes = self.event_shape, self.code_shape
        if not (len(shapes[0]) == len(shapes[1]) == 2) or (
            self.code_shape[0] > self.event_shape[0]
        ):
            check.fail(
                "encoder",
                "one from (length, letters) to (places, motifs), at most "
                "length places",
                f"from {shapes[0]} to {shapes[1]}",
            )
        self.places, self.num_motifs = self.code_shape

    @builds("encoder", "decoder")
    def conv(length, num_motifs=4, kernel_size=8, *, seed=None, dtype=None):
        """One kernel a motif slides over four bases; one writes it.

        Args:
            length: Bases a sequence, at least ``kernel_size``.
            num_motifs: Number of kernels.
            kernel_size: Bases a kernel sees.
            seed: Integer seed of the initial weights, or ``None``.
            dtype: Dtype policy of networks and model.
            **objective: As for the class.
        """
        size = check.check_int(kernel_size, "kernel_size", 2)
        length = check.check_int(length, "length")
        if length < size:
            check.fail(
                "length", f"at least the {size} bases of a kernel", f"{length}"
            )
        motifs = check.check_int(num_motifs, "num_motifs")
        start = keras.initializers.RandomNormal(
            stddev=0.3, seed=check.check_seed(seed)
        )
        scan = keras.layers.Conv1D(
            motifs, size, kernel_initializer=start, name="scan", dtype=dtype
        )
        write = keras.layers.Conv1DTranspose(
            4, size, kernel_initializer="zeros", name="write", dtype=dtype
        )
        x = keras.Input((length, 4), name="x")
        z = keras.Input((length - size + 1, motifs), name="z")
        return (
            keras.Model(x, scan(x), name="encoder"),
            keras.Model(z, write(z), name="decoder"),
        )

    def encoded(self, x, training=False):
        """Probability of each place, zero but for the best of each motif."""
        scores = self.encoder(x, training=training)
        scores = ops.cast(scores, "float32")  # (batch, places, motifs)
        nowhere = ops.zeros_like(scores[:, :1])
        both = ops.concatenate([scores, nowhere], axis=1)
        soft = ops.softmax(both, axis=1)[:, :-1]
        best = ops.max(soft, axis=1, keepdims=True)
        return soft * ops.cast(soft >= best, "float32")

    def motifs(self):
        """Patterns that the decoder writes, as probabilities of the letters.

        Returns:
            Float32 array ``(num_motifs, size, letters)``, where the size is
            what a sequence has beyond its places: length − places + 1.
        """
        codes = np.zeros((self.num_motifs, *self.code_shape), "float32")
        codes[:, 0] = np.eye(self.num_motifs)  # each alone, at the first place
        size = self.event_shape[0] - self.places + 1
        return self.decode(codes)[:, :size]
