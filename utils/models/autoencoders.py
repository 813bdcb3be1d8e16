"""Autoencoders: learn to copy the input through a constrained code.

One class holds what all share; the others add a constraint. The objective
lives in ``compute_loss``, so ``fit``, ``evaluate``, ``predict``, ``save`` and
``load_model`` are Keras's own and work on every backend.
"""

import keras
import numpy as np
from keras import ops

from utils.models.base import (
    CourseModel,
    batch_average,
    builds,
    check_activation,
    refuse_target,
    shapes_of,
    weighted_mean,
)
from utils.nn import likelihoods, losses, networks
from utils.nn.layers import PACKAGE, Corruption
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = [
    "Autoencoder",
    "ContractiveAutoencoder",
    "DenoisingAutoencoder",
    "SparseAutoencoder",
    "TiedAutoencoder",
]

SPARSITIES = ("kl", "l1")


@keras.saving.register_keras_serializable(package=PACKAGE)
class Autoencoder(CourseModel):
    """Encoder f, code z = f(x), decoder g, reconstruction x̂ = g(z).

    The target is the input, so ``fit(x)`` takes no labels. ``predict`` and
    ``call`` return a dict that names both products: ``"code"`` and
    ``"reconstruction"``. A linear one, ``Autoencoder.dense(…, widths=())``,
    has its best solution in the PCA subspace (Baldi and Hornik 1989).

    Example:

    Networks of your own, of any kind, as long as their shapes meet:

    >>> encoder = keras.Sequential(
    ...     [keras.Input((64,)), keras.layers.Dense(8, "tanh")]
    ... )
    >>> decoder = keras.Sequential([keras.Input((8,)), keras.layers.Dense(64)])
    >>> model = Autoencoder(encoder, decoder)
    >>> model.encode(np.zeros((5, 64))).shape
    (5, 8)

    The course's own, in one call:

    >>> model = Autoencoder.dense((64,), latent_dim=8, widths=(32,), seed=0)
    >>> model.reconstruct(np.zeros((5, 64))).shape
    (5, 64)

    Args:
        encoder: Keras model from ``(batch, *input_shape)`` to codes.
        decoder: Keras model from codes to what the likelihood takes,
            linear at its end.
        likelihood: Object of :mod:`utils.nn.likelihoods`: what the decoder's
            numbers mean, the loss, and which data it allows. The default is
            ``SquaredError()``: ‖x − x̂‖², x̂ any real number.
        overcomplete: Allow a code at least as wide as the example.

    Loss:
        Sum over the event axes, mean over the batch, plus :meth:`penalty`
        and ``self.losses``. The metric ``mse`` is the mean over both axes.

    Raises:
        ValueError: networks whose shapes do not meet; from ``fit`` and
            ``evaluate``, before any step, rows of wrong shape, with NaN or
            outside the likelihood's range, a target, a loss given to
            ``compile``; from the verbs, rows of wrong shape or with NaN.
    """

    def __init__(
        self, encoder, decoder, *, likelihood=None, overcomplete=False, **kwargs
    ):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.likelihood = likelihoods.get(likelihood, likelihoods.SquaredError)
        self.overcomplete = check.check_flag(overcomplete, "overcomplete")
        self._check_networks()
        self.mse_tracker = keras.metrics.Mean(name="mse")
        self.built = True

    @builds("encoder", "decoder")
    def dense(
        input_shape,
        latent_dim,
        *,
        widths=(128,),
        activation="relu",
        code_activation="linear",
        seed=None,
        dtype=None,
    ):
        """An autoencoder of dense layers.

        Args:
            input_shape: Shape of one example, such as ``(64,)``.
            latent_dim: Width of the code.
            widths: Hidden units from input to code, mirrored in the decoder;
                may be empty.
            activation: Activation of the hidden layers.
            code_activation: Activation of the code; linear, since a ReLU
                code cannot be negative and its units can die.
            seed: Integer seed of initial weights and noise, or ``None``.
            dtype: Dtype policy of networks and model.
            **objective: As for the class.
        """
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        shared["code_activation"] = code_activation
        return networks.dense_pair(input_shape, latent_dim, widths, **shared)

    @builds("encoder", "decoder")
    def conv(
        input_shape,
        latent_dim,
        *,
        widths=(32, 64),
        activation="relu",
        code_activation="linear",
        seed=None,
        dtype=None,
    ):
        """As :meth:`dense`, of convolutions of stride 2.

        ``widths`` are filters, at least one; each halves the sides.
        """
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        shared["code_activation"] = code_activation
        return networks.conv_pair(input_shape, latent_dim, widths, **shared)

    def _check_networks(self):
        self.event_shape, self.code_shape = shapes_of(self.encoder, "encoder")
        taken, made = shapes_of(self.decoder, "decoder")
        if taken != self.code_shape:
            expected = f"inputs of shape {self.code_shape}, the encoder's codes"
            check.fail("decoder", expected, f"{taken}")
        self.likelihood.check_decoder(made, self.event_shape)
        self.latent_dim = int(np.prod(self.code_shape))
        size = int(np.prod(self.event_shape))
        if self.latent_dim >= size and not self.overcomplete:
            check.fail(
                "latent_dim",
                f"fewer than the {size} entries of an example (or "
                "overcomplete=True)",
                f"{self.latent_dim}",
            )

    # ----------------------------------------------------------- objective

    def corrupt_input(self, x, training):
        """What the encoder sees; a subclass may damage it while training."""
        return x

    def encoded(self, x, training=False):
        """Codes of rows, tensors; what ``encode`` returns as an array."""
        x = self.corrupt_input(x, training)
        return self.encoder(x, training=training)

    def decoded(self, code, training=False):
        """The likelihood's outputs from codes, tensors; see ``decode``."""
        raw = self.decoder(code, training=training)
        return self.likelihood.outputs(raw)

    def call(self, inputs, training=False):
        """Return ``{"code", "reconstruction"}``, and ``"logits"`` if any."""
        code = self.encoded(inputs, training)
        return {"code": code, **self.decoded(code, training)}

    def reconstruction_loss(self, x, outputs):
        """Loss of each example, ``(batch,)``, summed over the event axes."""
        return self.likelihood.negative_log_likelihood(x, outputs)

    def penalty(self, outputs, sample_weight=None):
        """Scalar added to the mean reconstruction loss."""
        return 0.0

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        error = self.reconstruction_loss(x, y_pred)  # (batch,)
        self.track_mse(x, y_pred, sample_weight)
        loss = weighted_mean(error, sample_weight)
        return self.add_losses(loss + self.penalty(y_pred, sample_weight))

    def track_mse(self, x, outputs, sample_weight):
        """Update the metric ``mse``: per pixel, mean over the batch."""
        squared = losses.squared_error(x, outputs["reconstruction"])
        size = float(np.prod(self.event_shape))
        self.mse_tracker.update_state(squared / size, sample_weight)

    # -------------------------------------------------------------- checks

    def check_data(self, x, y=None, name="x"):
        refuse_target(y, "an autoencoder's target is its input, fit(x)")
        x = self.likelihood.check_data(
            x, name, event_shape=self.event_shape, fitting=True
        )
        return x, None

    def check_input(self, x, name="x"):
        return check.check_array(x, name, event_shape=self.event_shape)

    def check_code(self, z, name="z"):
        """Codes as ``decoded`` takes them, or what is wrong with them."""
        return check.check_array(z, name, event_shape=self.code_shape)

    # --------------------------------------------------------------- verbs

    def encode(self, x):
        """Codes of x, of any range: float32 array ``(n, *code_shape)``."""
        return in_batches(self.encoded, self.check_input(x))

    def decode(self, z):
        """Reconstructions from codes: float32 array ``(n, *input_shape)``."""
        return in_batches(
            lambda codes: self.decoded(codes)["reconstruction"],
            self.check_code(z),
        )

    def reconstruct(self, x):
        """``decode(encode(x))``: float32 array of the shape of x."""
        return self.decode(self.encode(x))

    def example_losses(self, x):
        """Reconstruction loss of each example, ``(n,)``, no penalties."""
        x, _ = self.check_data(x)
        return in_batches(
            lambda batch: self.reconstruction_loss(batch, self(batch)), x
        )


@keras.saving.register_keras_serializable(package=PACKAGE)
class TiedAutoencoder(Autoencoder):
    """Decodes with the transposes of the encoder's own kernels.

    The decoder has no weights but its biases. With linear layers the tie
    leaves PCA's subspace and takes away the freedom of scale.

    Args:
        encoder: Sequence of dense layers, such as
            :func:`utils.nn.networks.dense_encoder` makes.
        activation: Activation of the decoder's hidden layers.
        likelihood, overcomplete: As for :class:`Autoencoder`.

    Example:

    >>> model = TiedAutoencoder.dense((64,), latent_dim=8, widths=(), seed=0)
    >>> len(model.trainable_weights)  # kernel, bias, and the decoder's bias
    3
    """

    def __init__(
        self,
        encoder,
        *,
        activation="relu",
        likelihood=None,
        overcomplete=False,
        **kwargs,
    ):
        event_shape, _ = shapes_of(encoder, "encoder")
        check_activation(activation, "activation")
        dtype = kwargs.get("dtype")
        decoder = networks.tied_decoder(
            encoder, event_shape, activation=activation, dtype=dtype
        )
        super().__init__(
            encoder,
            decoder,
            likelihood=likelihood,
            overcomplete=overcomplete,
            **kwargs,
        )
        self.activation = activation

    @builds("encoder")
    def dense(
        input_shape,
        latent_dim,
        *,
        widths=(128,),
        activation="relu",
        code_activation="linear",
        seed=None,
        dtype=None,
    ):
        """As :meth:`Autoencoder.dense`."""
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        shared["code_activation"] = code_activation
        latent_dim = check.check_int(latent_dim, "latent_dim")
        return networks.dense_encoder(input_shape, latent_dim, widths, **shared)


@keras.saving.register_keras_serializable(package=PACKAGE)
class DenoisingAutoencoder(Autoencoder):
    """Sees a damaged input, is scored against the clean one.

    min E_x E_{x̃ ~ C(x̃|x)} ‖x − g(f(x̃))‖² (Vincent et al. 2008). The damage
    happens inside the model while training, fresh at every step; at
    inference the input is taken as it is, so ``reconstruct(noisy)``
    denoises.

    Args:
        encoder, decoder, likelihood: As for :class:`Autoencoder`.
        corruption: ``"gaussian"``, ``"masking"``, or any Keras layer that
            damages rows when called with ``training=True``.
        amount: Standard deviation ≥ 0, or masking probability in [0, 1];
            for the first two.
        overcomplete: Allow a wide code; true here, as the damage, not the
            width, keeps the map from being the identity.
        seed: Integer seed of the damage, or ``None``.

    ``fit`` and ``evaluate`` take clean data and check its range; ``encode``
    and ``reconstruct`` accept damaged inputs that leave it.
    """

    def __init__(
        self,
        encoder,
        decoder,
        *,
        likelihood=None,
        corruption="gaussian",
        amount=0.3,
        overcomplete=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            encoder,
            decoder,
            likelihood=likelihood,
            overcomplete=overcomplete,
            **kwargs,
        )
        self.seed = check.check_seed(seed)
        check.check_number(amount, "amount", 0.0)
        if not isinstance(corruption, keras.layers.Layer):
            check.check_choice(corruption, "corruption", Corruption.KINDS)
            corruption = Corruption(corruption, amount, seed=seed)
        self.corruption, self.amount = corruption, amount

    def corrupt_input(self, x, training):
        return self.corruption(x, training=training)


@keras.saving.register_keras_serializable(package=PACKAGE)
class SparseAutoencoder(Autoencoder):
    """Constrains how often code units are active instead of their number.

    Args:
        encoder: As for :class:`Autoencoder`; for ``"kl"`` it ends in a
            sigmoid, whose activations are rates.
        decoder, likelihood: As for :class:`Autoencoder`.
        sparsity: ``"kl"`` adds weight · Σ_j KL(target ‖ mean activation of
            unit j over the batch), in nats, for sigmoid codes (Ng 2011).
            ``"l1"`` adds weight · Σ_j |z_j|, mean over the batch.
        weight: Factor ≥ 0 of the penalty, against a summed loss.
        target: Wanted mean activation in (0, 1), for ``"kl"``.
        overcomplete: Allow a wide code; true here.
    """

    def __init__(
        self,
        encoder,
        decoder,
        *,
        likelihood=None,
        sparsity="kl",
        weight=0.1,
        target=0.05,
        overcomplete=True,
        **kwargs,
    ):
        super().__init__(
            encoder,
            decoder,
            likelihood=likelihood,
            overcomplete=overcomplete,
            **kwargs,
        )
        self.sparsity = check.check_choice(sparsity, "sparsity", SPARSITIES)
        self.weight = check.check_number(weight, "weight", 0.0)
        self.target = check.check_number(target, "target", 1e-6, 1.0 - 1e-6)
        last = getattr(encoder.layers[-1], "activation", None)
        if sparsity == "kl" and last is not keras.activations.sigmoid:
            check.fail(
                "encoder",
                "one that ends in a sigmoid for sparsity='kl', whose "
                "activations are rates",
                getattr(last, "__name__", repr(last)),
            )

    @builds("encoder", "decoder")
    def dense(
        input_shape,
        latent_dim,
        *,
        widths=(128,),
        activation="relu",
        code_activation=None,
        sparsity="kl",
        seed=None,
        dtype=None,
    ):
        """As :meth:`Autoencoder.dense`.

        Without ``code_activation`` codes are sigmoid for ``"kl"``, ReLU for
        ``"l1"``.
        """
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        shared["code_activation"] = _sparse_code(code_activation, sparsity)
        return networks.dense_pair(input_shape, latent_dim, widths, **shared)

    @builds("encoder", "decoder")
    def conv(
        input_shape,
        latent_dim,
        *,
        widths=(32, 64),
        activation="relu",
        code_activation=None,
        sparsity="kl",
        seed=None,
        dtype=None,
    ):
        """As :meth:`Autoencoder.conv`, with the codes of :meth:`dense`."""
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        shared["code_activation"] = _sparse_code(code_activation, sparsity)
        return networks.conv_pair(input_shape, latent_dim, widths, **shared)

    def penalty(self, outputs, sample_weight=None):
        code = ops.cast(outputs["code"], "float32")
        if self.sparsity == "l1":
            size = ops.sum(ops.abs(code), axis=1)
            return self.weight * weighted_mean(size, sample_weight)
        rate = batch_average(code, sample_weight)  # (latent_dim,)
        kl = ops.sum(losses.bernoulli_kl(self.target, rate))
        share = weighted_mean(ops.ones_like(code[:, 0]), sample_weight)
        return self.weight * share * kl


def _sparse_code(activation, sparsity):
    check.check_choice(sparsity, "sparsity", SPARSITIES)
    if activation is not None:
        return activation
    return "sigmoid" if sparsity == "kl" else "relu"


@keras.saving.register_keras_serializable(package=PACKAGE)
class ContractiveAutoencoder(Autoencoder):
    """Penalises how fast the code moves with the input.

    Adds weight · ‖∂z/∂x‖²_F, mean over the batch (Rifai et al. 2011). As in
    the paper the encoder is one sigmoid layer, for which the norm is exact:
    Σ_j (z_j (1 − z_j))² Σ_i W_ij².

    Args:
        encoder: One dense sigmoid layer, after a ``Flatten`` if need be.
        decoder, likelihood: As for :class:`Autoencoder`.
        weight: Factor ≥ 0 of the penalty, against a summed loss.
        overcomplete: Allow a wide code; true here.
    """

    def __init__(
        self,
        encoder,
        decoder,
        *,
        likelihood=None,
        weight=0.1,
        overcomplete=True,
        **kwargs,
    ):
        super().__init__(
            encoder,
            decoder,
            likelihood=likelihood,
            overcomplete=overcomplete,
            **kwargs,
        )
        self.weight = check.check_number(weight, "weight", 0.0)
        found = [layer for layer in encoder.layers if layer.weights]
        sigmoid = keras.activations.sigmoid
        if (
            len(found) != 1
            or not isinstance(found[0], keras.layers.Dense)
            or found[0].activation is not sigmoid
        ):
            expected = "one dense sigmoid layer, as in the paper"
            received = ", ".join(layer.name for layer in found) or "no weights"
            check.fail("encoder", expected, received)

    @builds("encoder", "decoder")
    def dense(input_shape, latent_dim, *, seed=None, dtype=None):
        """The paper's: one sigmoid layer and a linear decoder."""
        return networks.dense_pair(
            input_shape,
            latent_dim,
            (),
            code_activation="sigmoid",
            seed=seed,
            dtype=dtype,
        )

    def penalty(self, outputs, sample_weight=None):
        norm = self.jacobian_norm(outputs["code"])
        return self.weight * weighted_mean(norm, sample_weight)

    def jacobian_norm(self, code):
        """‖∂z/∂x‖²_F of each example, ``(batch,)``, from its code."""
        code = ops.cast(code, "float32")
        layer = next(layer for layer in self.encoder.layers if layer.weights)
        kernel = ops.cast(layer.kernel, "float32")
        slope = ops.square(code * (1.0 - code))  # (batch, latent_dim)
        return ops.matmul(slope, ops.sum(ops.square(kernel), axis=0))
