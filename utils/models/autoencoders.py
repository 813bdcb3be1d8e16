"""Autoencoders: learn to copy the input through a constrained code.

One class holds what all share; three add an objective. The objective lives
in ``compute_loss``, so ``fit``, ``evaluate``, ``predict``, ``save`` and
``load_model`` are Keras's own and work on every backend.
"""

import keras
import numpy as np
from keras import ops

from utils.models.reconstruction import OUTPUTS, ReconstructionModel
from utils.nn import losses, networks
from utils.nn.layers import PACKAGE, Corruption
from utils.support import validation as check

__all__ = [
    "Autoencoder",
    "ContractiveAutoencoder",
    "DenoisingAutoencoder",
    "SparseAutoencoder",
]


@keras.saving.register_keras_serializable(package=PACKAGE)
class Autoencoder(ReconstructionModel):
    """Encoder f, code z = f(x), decoder g, reconstruction x̂ = g(z).

    The target is the input, so ``fit(x)`` takes no labels. ``predict`` and
    ``call`` return a dict that names both products: ``"code"`` and
    ``"reconstruction"``. With ``widths=()`` and the defaults the model is
    linear and its best solution spans the PCA subspace (Baldi and Hornik
    1989).

    Args:
        input_shape: Shape of one example, such as ``(64,)`` or ``(8, 8, 1)``.
        latent_dim: Width of the code, smaller than the example unless
            ``overcomplete=True``.
        widths: Hidden widths from input to code, mirrored in the decoder:
            units for ``"dense"``, filters for ``"conv"``. May be empty for
            ``"dense"``.
        network: ``"dense"`` or ``"conv"``.
        tied: Use the encoder's transposed kernels in the decoder (dense).
        activation: Activation of the hidden layers.
        code_activation: Activation of the code; linear by default, since a
            ReLU code cannot be negative and its units can die.
        output: Which values the reconstruction can take, and the loss:

            - ``"linear"``: any real number; ‖x − x̂‖².
            - ``"sigmoid"``: (0, 1); ‖x − x̂‖². Data must lie in [0, 1].
            - ``"bernoulli"``: (0, 1); cross-entropy in nats. Data must lie
              in [0, 1].
        overcomplete: Allow a code at least as wide as the example.
        seed: Integer seed of initial weights and noise, or ``None``.

    Loss:
        Sum over the event axes, mean over the batch, plus ``self.losses``.
        The metric ``mse`` is the mean over both, per pixel.

    Raises:
        ValueError: a hyperparameter out of range; from the verbs below, an
            array of wrong shape or with NaN; from ``fit``, ``evaluate`` and
            ``score`` also one out of the output's range, a target, or a loss
            given to ``compile``, before any training step.

    Example:

    >>> model = Autoencoder((64,), latent_dim=8, widths=(32,), seed=0)
    >>> model.encode(np.zeros((5, 64))).shape
    (5, 8)
    >>> model.reconstruct(np.zeros((5, 64))).shape
    (5, 64)
    """

    def __init__(
        self,
        input_shape,
        latent_dim,
        *,
        widths=(128,),
        network="dense",
        tied=False,
        activation="relu",
        code_activation="linear",
        output="linear",
        overcomplete=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.event_shape = check.check_shape(input_shape, "input_shape")
        self.latent_dim = check.check_int(latent_dim, "latent_dim")
        self.widths = check.check_widths(widths, "widths")
        self.network = check.check_choice(network, "network", ("dense", "conv"))
        self.tied = bool(tied)
        self.activation = activation
        self.code_activation = code_activation
        self.output_kind = check.check_choice(output, "output", OUTPUTS)
        self.overcomplete = bool(overcomplete)
        self.seed = check.check_seed(seed)
        self._check_architecture()
        self.encoder, self.decoder = self._build_networks()
        self.built = True

    def _check_architecture(self):
        size = int(np.prod(self.event_shape))
        if self.latent_dim >= size and not self.overcomplete:
            check.fail(
                "latent_dim",
                f"fewer than the {size} entries of an example (or "
                "overcomplete=True)",
                f"{self.latent_dim}",
            )
        if self.network == "conv" and not self.widths:
            check.fail("widths", "at least one stage for 'conv'", "()")
        if self.network == "conv" and self.tied:
            check.fail("tied", "False for network='conv'", "True")

    def _build_networks(self):
        build_encoder, build_decoder = networks.BUILDERS[self.network]
        shared = {"activation": self.activation, "dtype": self.dtype_policy}
        encoder = build_encoder(
            self.event_shape,
            self.latent_dim,
            self.widths,
            code_activation=self.code_activation,
            seed=self.seed,
            **shared,
        )
        if self.tied:
            return encoder, networks.tied_decoder(
                encoder, self.event_shape, **shared
            )
        return encoder, build_decoder(
            self.latent_dim,
            self.event_shape,
            self.widths[::-1],
            seed=self.seed,
            **shared,
        )

    def corrupt_input(self, x, training):
        """What the encoder sees; a subclass may damage it while training."""
        return x

    def call(self, inputs, training=False):
        """Return ``{"code", "reconstruction"}``, and ``"logits"`` if any."""
        code = self.encoder(self.corrupt_input(inputs, training))
        return {"code": code, **self.decoder_outputs(code)}

    def get_config(self):
        return {
            **super().get_config(),
            "input_shape": list(self.event_shape),
            "latent_dim": self.latent_dim,
            "widths": list(self.widths),
            "network": self.network,
            "tied": self.tied,
            "activation": self.activation,
            "code_activation": self.code_activation,
            "output": self.output_kind,
            "overcomplete": self.overcomplete,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
class DenoisingAutoencoder(Autoencoder):
    """Sees a damaged input, is scored against the clean one.

    min E_x E_{x̃ ~ C(x̃|x)} ‖x − g(f(x̃))‖² (Vincent et al. 2008). The damage
    happens inside the model while training, fresh at every step; at
    inference the input is taken as it is, so ``reconstruct(noisy)``
    denoises.

    Args:
        input_shape: Shape of one example.
        latent_dim: Width of the code. It may exceed the example's: the
            damage, not the width, keeps the map from being the identity.
        corruption: ``"gaussian"`` or ``"masking"``.
        amount: Standard deviation ≥ 0, or masking probability in [0, 1].
        overcomplete: Allow a wide code; true here.
        **kwargs: As for :class:`Autoencoder`.

    ``fit`` and ``evaluate`` take clean data and check its range; ``encode``
    and ``reconstruct`` accept damaged inputs that leave it.
    """

    def __init__(
        self,
        input_shape,
        latent_dim,
        *,
        corruption="gaussian",
        amount=0.3,
        overcomplete=True,
        **kwargs,
    ):
        super().__init__(
            input_shape, latent_dim, overcomplete=overcomplete, **kwargs
        )
        self.corruption = Corruption(corruption, amount, seed=self.seed)

    def corrupt_input(self, x, training):
        return self.corruption(x, training=training)

    def get_config(self):
        damage = self.corruption
        own = {"corruption": damage.kind, "amount": damage.amount}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package=PACKAGE)
class SparseAutoencoder(Autoencoder):
    """Constrains how often code units are active instead of their number.

    Args:
        input_shape: Shape of one example.
        latent_dim: Width of the code; usually overcomplete.
        sparsity: ``"kl"`` adds weight · Σ_j KL(target ‖ mean activation of
            unit j over the batch), in nats, for sigmoid codes (Ng 2011).
            ``"l1"`` adds weight · Σ_j |z_j|, mean over the batch.
        weight: Factor ≥ 0 of the penalty, against a summed loss.
        target: Wanted mean activation in (0, 1), for ``"kl"``.
        code_activation: ``None`` takes sigmoid for ``"kl"``, relu for
            ``"l1"``. ``"kl"`` needs sigmoid.
        overcomplete: Allow a wide code; true here.
        **kwargs: As for :class:`Autoencoder`.
    """

    def __init__(
        self,
        input_shape,
        latent_dim,
        *,
        sparsity="kl",
        weight=0.1,
        target=0.05,
        code_activation=None,
        overcomplete=True,
        **kwargs,
    ):
        check.check_choice(sparsity, "sparsity", ("kl", "l1"))
        if code_activation is None:
            code_activation = "sigmoid" if sparsity == "kl" else "relu"
        if sparsity == "kl" and code_activation != "sigmoid":
            check.fail(
                "code_activation",
                "'sigmoid' for sparsity='kl', whose activations are rates",
                repr(code_activation),
            )
        super().__init__(
            input_shape,
            latent_dim,
            code_activation=code_activation,
            overcomplete=overcomplete,
            **kwargs,
        )
        self.sparsity = sparsity
        self.weight = check.check_number(weight, "weight", 0.0)
        self.target = check.check_number(target, "target", 1e-6, 1.0 - 1e-6)

    def penalty(self, outputs):
        code = ops.cast(outputs["code"], "float32")
        if self.sparsity == "l1":
            return self.weight * ops.mean(ops.sum(ops.abs(code), axis=1))
        rate = ops.mean(code, axis=0)  # (latent_dim,)
        return self.weight * ops.sum(losses.bernoulli_kl(self.target, rate))

    def get_config(self):
        names = ("sparsity", "weight", "target")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package=PACKAGE)
class ContractiveAutoencoder(Autoencoder):
    """Penalises how fast the code moves with the input.

    Adds weight · ‖∂z/∂x‖²_F, mean over the batch (Rifai et al. 2011). As in
    the paper the encoder is one sigmoid layer, for which the norm is exact:
    Σ_j (z_j (1 − z_j))² Σ_i W_ij².

    Args:
        input_shape: Shape of one example.
        latent_dim: Width of the code; may be overcomplete.
        weight: Factor ≥ 0 of the penalty, against a summed loss.
        overcomplete: Allow a wide code; true here.
        **kwargs: As for :class:`Autoencoder`, without ``network``,
            ``widths`` and ``code_activation``, which the formula fixes.
    """

    def __init__(
        self,
        input_shape,
        latent_dim,
        *,
        weight=0.1,
        overcomplete=True,
        **kwargs,
    ):
        fixed = {"network": "dense", "widths": (), "code_activation": "sigmoid"}
        for name, value in fixed.items():
            given = kwargs.pop(name, value)
            if given != value and list(given) != list(value):
                check.fail(name, f"{value!r}, as in the paper", repr(given))
        super().__init__(
            input_shape,
            latent_dim,
            overcomplete=overcomplete,
            **fixed,
            **kwargs,
        )
        self.weight = check.check_number(weight, "weight", 0.0)

    def penalty(self, outputs):
        return self.weight * ops.mean(self.jacobian_norm(outputs["code"]))

    def jacobian_norm(self, code):
        """‖∂z/∂x‖²_F of each example, ``(batch,)``, from its code."""
        code = ops.cast(code, "float32")
        kernel = ops.cast(self.encoder.get_layer("code").kernel, "float32")
        slope = ops.square(code * (1.0 - code))  # (batch, latent_dim)
        return ops.matmul(slope, ops.sum(ops.square(kernel), axis=0))

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}
