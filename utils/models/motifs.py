"""An autoencoder whose code says which motifs a sequence contains."""

import keras
import numpy as np
from keras import ops

from utils.models.reconstruction import ReconstructionModel
from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = ["MotifAutoencoder"]


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
