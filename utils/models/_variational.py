"""What all variational autoencoders share: likelihood, bound, estimates.

The generative side is p(z) = N(0, I) and p_θ(x | z), the inference side
q_φ(z | x) = N(μ, diag σ²). A subclass may condition both on a class, given
as a one-hot row beside the tensors.
"""

import keras
import numpy as np
from keras import ops

from utils.models.reconstruction import ReconstructionModel
from utils.nn import losses, networks
from utils.nn.layers import Sampling
from utils.support import validation as check

OUTPUT_OF = {  # which values the data may take, in words of the base class
    "bernoulli": "bernoulli",
    "gaussian": "linear",
    "discretized": "sigmoid",
}
FIRST_SCALE = 0.2  # of a learned scale, before training
# Adam moves a weight by about its learning rate a step. The logarithm of a
# scale has farther to go than an entry of a kernel: ten times as far.
SCALE_GAIN = 10.0
PIECE = 2048  # codes decoded at once, which bounds memory


class VariationalModel(ReconstructionModel):
    """Likelihood, objective and estimates of a latent-variable model.

    Subclasses call :meth:`make_networks` at the end of their constructor.
    Arguments are those of :class:`utils.vaes.VAE`.
    """

    def __init__(
        self,
        input_shape=(28, 28, 1),
        latent_dim=20,
        *,
        widths=(400,),
        network="dense",
        activation="relu",
        likelihood="bernoulli",
        scale="learned",
        levels=256,
        beta=1.0,
        free_bits=0.0,
        warmup_steps=0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.event_shape = check.check_shape(input_shape, "input_shape")
        self.latent_dim = check.check_int(latent_dim, "latent_dim")
        self.widths = check.check_widths(widths, "widths")
        self.network = check.check_choice(
            network, "network", tuple(networks.BUILDERS)
        )
        self.activation = activation
        self.likelihood = check.check_choice(
            likelihood, "likelihood", tuple(OUTPUT_OF)
        )
        self.output_kind = OUTPUT_OF[likelihood]
        self.scale = self._check_scale(scale)
        self.levels = check.check_int(levels, "levels", minimum=2)
        self.beta = check.check_number(beta, "beta", 0.0)
        self.free_bits = check.check_number(free_bits, "free_bits", 0.0)
        self.warmup_steps = check.check_int(warmup_steps, "warmup_steps", 0)
        self.seed = check.check_seed(seed)
        if self.network == "conv" and not self.widths:
            check.fail("widths", "at least one stage for 'conv'", "()")
        self.num_classes = 0
        self.nll_tracker = keras.metrics.Mean(name="nll")
        self.kl_tracker = keras.metrics.Mean(name="kl")

    def _check_scale(self, scale):
        if scale == "learned":
            return scale
        if self.likelihood == "bernoulli":
            check.fail("scale", "'learned', as Bernoulli has none", repr(scale))
        if isinstance(scale, str):
            check.fail("scale", "'learned' or a number > 0", repr(scale))
        return check.check_number(scale, "scale", 1e-6)

    # ------------------------------------------------------------- networks

    def make_networks(self, num_classes=0):
        """Build encoder, decoder and sampler, for so many classes."""
        self.num_classes = num_classes
        build_encoder, build_decoder = networks.BUILDERS[self.network]
        shared = {
            "activation": self.activation,
            "seed": self.seed,
            "dtype": self.dtype_policy,
        }
        shape = self.event_shape
        if num_classes and self.network == "dense":
            shape = (int(np.prod(shape)) + num_classes,)
        elif num_classes:
            shape = (*shape[:-1], shape[-1] + num_classes)
        self.encoder = self._two_heads(
            build_encoder(shape, self.latent_dim, self.widths, **shared)
        )
        self.decoder = build_decoder(
            self.latent_dim + num_classes,
            self.event_shape,
            self.widths[::-1],
            **shared,
        )
        self.sampler = Sampling(self.seed, dtype=self.dtype_policy)
        self._make_state()
        self.built = True

    def _make_state(self):
        """Weights of the model itself: scale and number of steps, if used."""
        if self.likelihood != "bernoulli" and self.scale == "learned":
            self.log_scale = self.add_weight(
                name="log_scale",
                shape=(),
                initializer=keras.initializers.Constant(
                    np.log(FIRST_SCALE) / SCALE_GAIN
                ),
                autocast=False,
            )
        if self.warmup_steps:
            self.steps_done = self.add_weight(
                name="steps_done",
                shape=(),
                initializer="zeros",
                dtype="int32",
                trainable=False,
                autocast=False,
            )

    def _two_heads(self, encoder):
        """A second head beside the code: the code is μ, its twin log σ²."""
        hidden = encoder.get_layer("code").input
        seed = None if self.seed is None else 1000 * self.seed + 900
        log_var = keras.layers.Dense(
            self.latent_dim,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            name="log_var",
            dtype=self.dtype_policy,
        )(hidden)
        heads = {"mean": encoder.output, "log_var": log_var}
        return keras.Model(encoder.input, heads, name="encoder")

    def posterior(self, x, one_hot=None):
        """Parameters of q(z | x): ``{"mean", "log_var"}``, tensors."""
        if one_hot is not None and self.network == "dense":
            flat = ops.reshape(x, (-1, int(np.prod(self.event_shape))))
            x = ops.concatenate([flat, self.class_input(one_hot, flat)], axis=1)
        elif one_hot is not None:
            planes = self.class_input(one_hot, x)[:, None, None, :]
            planes = ops.ones_like(x[..., :1]) * planes
            x = ops.concatenate([x, planes], axis=-1)
        return self.encoder(x)

    def class_input(self, one_hot, beside):
        """One-hot rows as the networks see them: entries of mean square 1.

        As large as the entries of a code drawn from N(0, I). With plain ones
        the decoder learns to hear the code long before it hears the class,
        and the code keeps the class for good.
        """
        return ops.cast(one_hot, beside.dtype) * self.num_classes**0.5

    def decoder_outputs(self, code, one_hot=None):
        """Parameters of p(x | z): ``{"reconstruction", …}``, tensors."""
        if one_hot is not None:
            label = self.class_input(one_hot, code)
            code = ops.concatenate([code, label], axis=1)
        raw = self.decoder(code)
        if self.likelihood == "bernoulli":
            return {"reconstruction": ops.sigmoid(raw), "logits": raw}
        if self.likelihood == "gaussian":
            return {"reconstruction": raw}
        # a location below 0 makes level 0 almost certain
        return {"reconstruction": ops.clip(raw, 0.0, 1.0), "location": raw}

    def current_scale(self):
        """Scale of the likelihood, tensor or number, in units of x."""
        if self.scale != "learned":
            return self.scale
        return ops.exp(SCALE_GAIN * self.log_scale)

    def code_and_outputs(self, x, one_hot=None):
        """Draw z from q(z | x) and decode it: the products of ``call``."""
        heads = self.posterior(x, one_hot)
        code = self.sampler((heads["mean"], heads["log_var"]))
        return {**heads, "code": code, **self.decoder_outputs(code, one_hot)}

    # ------------------------------------------------------------ objective

    def reconstruction_loss(self, x, outputs):
        """−log p(x | z) of each example, ``(batch,)``, in nats."""
        if self.likelihood == "bernoulli":
            return losses.bernoulli_nll(x, outputs["logits"])
        scale = self.current_scale()
        if self.likelihood == "gaussian":
            return losses.gaussian_nll(x, outputs["reconstruction"], scale)
        location = outputs["location"]
        return losses.discretized_nll(x, location, scale, self.levels)

    def objective(self, nll, kl, sample_weight, training, rest=0.0):
        """Mean of nll + rest ``(batch,)`` + β · KL ``(batch, k)``.

        Warm-up and free bits shape the training loss alone, so that a
        validation loss means the same in every epoch.
        """
        self.nll_tracker.update_state(nll, sample_weight)
        self.kl_tracker.update_state(ops.sum(kl, axis=1), sample_weight)
        nll = nll + rest
        if sample_weight is not None:
            weight = ops.cast(sample_weight, nll.dtype)
            nll, kl = nll * weight, kl * weight[:, None]
        kl = ops.mean(kl, axis=0)  # (k,)
        beta = self.beta
        if training:
            kl = ops.maximum(kl, self.free_bits)
            if self.warmup_steps:
                self.steps_done.assign_add(1)
                done = ops.cast(self.steps_done, "float32")
                beta = beta * ops.minimum(done / self.warmup_steps, 1.0)
        return self.add_losses(ops.mean(nll) + beta * ops.sum(kl))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        x = x["x"] if isinstance(x, dict) else x
        nll = self.reconstruction_loss(x, y_pred)
        kl = losses.gaussian_kl(
            y_pred["mean"], y_pred["log_var"], per_unit=True
        )
        self.track_mse(x, y_pred, sample_weight)
        return self.objective(nll, kl, sample_weight, training)

    # --------------------------------------------------------------- checks

    def _check(self, x, name="x"):
        x = super()._check(x, name)
        if self.likelihood == "discretized" and check.is_array(x):
            steps = x * (self.levels - 1)
            off = np.abs(steps - np.round(steps)).max()
            if off > 1e-3:
                check.fail(
                    name,
                    f"{self.levels} grey levels, multiples of "
                    f"1/{self.levels - 1}",
                    f"values {off:.3g} of a step away from them",
                )
        return x

    def one_hot(self, labels, rows):
        """One-hot rows of checked labels; ``None`` without classes."""
        if labels is not None:
            check.fail(
                "labels", "none: the model knows no classes", f"{labels!r}"
            )

    def generator(self, seed):
        """NumPy generator of a seed; ``None`` goes on with the model's."""
        if seed is None:
            state = self.sampler.seed_generator.next()
            seed = [int(part) for part in ops.convert_to_numpy(state)]
        else:
            seed = check.check_int(seed, "seed", minimum=0)
        return np.random.default_rng(seed)

    # ------------------------------------------------------------ estimates

    def terms(self, x, one_hot, num_samples, rng):
        """Log-likelihoods, log density ratios, KL of a piece of rows.

        Returns NumPy arrays: log p(x | z) and log p(z) − log q(z | x), each
        ``(rows, num_samples)``, and the closed-form KL ``(rows,)``.
        """
        heads = self.posterior(x, one_hot)
        mean, log_var = (
            ops.convert_to_numpy(ops.cast(heads[name], "float32"))
            for name in ("mean", "log_var")
        )
        shape = (len(x), num_samples, self.latent_dim)
        noise = rng.standard_normal(shape, dtype="float32")
        z = mean[:, None] + np.exp(0.5 * log_var)[:, None] * noise
        ratio = 0.5 * (noise**2 + log_var[:, None] - z**2).sum(axis=2)
        many = ops.repeat(ops.convert_to_tensor(x), num_samples, axis=0)
        if one_hot is not None:
            one_hot = np.repeat(one_hot, num_samples, axis=0)
        codes = ops.convert_to_tensor(z.reshape(-1, self.latent_dim))
        outputs = self.decoder_outputs(codes, one_hot)
        nll = ops.convert_to_numpy(self.reconstruction_loss(many, outputs))
        kl = ops.convert_to_numpy(losses.gaussian_kl(mean, log_var))
        return -nll.reshape(len(x), num_samples), ratio, kl

    def bounds(self, x, one_hot, num_samples, rng):
        """ELBO and importance-weighted bound of each row, float64."""
        elbo, weighted = np.zeros(len(x)), np.full(len(x), -np.inf)
        at_once = min(num_samples, PIECE)
        step = PIECE // at_once
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            hot = None if one_hot is None else one_hot[part]
            left = num_samples
            while left:
                size = min(left, at_once)
                fit, ratio, kl = self.terms(x[part], hot, size, rng)
                elbo[part] += (fit - kl[:, None]).sum(axis=1) / num_samples
                weighted[part] = np.logaddexp(
                    weighted[part],
                    np.logaddexp.reduce((fit + ratio).astype("float64"), 1),
                )
                left -= size
        return elbo, weighted - np.log(num_samples)
