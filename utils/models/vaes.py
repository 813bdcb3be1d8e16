"""Variational autoencoders: latent-variable models in nats.

Every number is per example: summed over pixels and code units, averaged
over the batch. With ``beta=1`` the loss of ``evaluate`` is the negative
evidence lower bound, an upper bound of −log p(x).
"""

import keras
import numpy as np
from keras import ops

from utils.models.base import (
    CourseModel,
    builds,
    numpy_generator,
    refuse_target,
    shapes_of,
    spec_of,
)
from utils.nn import likelihoods, losses, networks
from utils.nn.layers import PACKAGE, Sampling
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = ["ConditionalVAE", "SemiSupervisedVAE", "VAE"]

PIECE = 2048  # codes decoded at once, which bounds memory


@keras.saving.register_keras_serializable(package=PACKAGE)
class VAE(CourseModel):
    """Variational autoencoder (Kingma and Welling 2014; Rezende et al. 2014).

    p(z) = N(0, I), p_θ(x | z) by the decoder, q_φ(z | x) = N(μ, diag σ²) by
    the encoder, trained on

        E_q[−log p_θ(x | z)] + β · KL(q_φ(z | x) ‖ p(z)),

    one draw of z a step.

    Example:

    Networks of your own: the encoder has two heads, the decoder is linear at
    its end.

    >>> x = keras.Input((64,))
    >>> hidden = keras.layers.Dense(32, "relu")(x)
    >>> heads = [keras.layers.Dense(8)(hidden), keras.layers.Dense(8)(hidden)]
    >>> encoder = keras.Model(x, heads)  # mean and log variance
    >>> decoder = keras.Sequential([keras.Input((8,)), keras.layers.Dense(64)])
    >>> model = VAE(encoder, decoder, likelihood=likelihoods.Bernoulli())
    >>> model.sample(3, seed=1).shape
    (3, 64)

    The course's own, in one call:

    >>> model = VAE.dense((64,), latent_dim=8, widths=(32,), seed=0)
    >>> model.encode(np.zeros((5, 64))).shape
    (5, 8)

    Args:
        encoder: Keras model from ``(batch, *input_shape)`` to mean and log
            variance of q, each ``(batch, latent_dim)``: a dict ``{"mean",
            "log_var"}``, or two outputs in that order. The log of the
            *variance*, not of the deviation.
        decoder: Keras model from ``(batch, latent_dim)`` to what the
            likelihood takes, linear at its end.
        likelihood: p(x | z), an object of :mod:`utils.nn.likelihoods`;
            ``Bernoulli()`` where none is given.
        beta: Weight β ≥ 0 of the KL term (Higgins et al. 2017); 1 is the
            ELBO.
        free_bits: Nats of KL ≥ 0 that each code unit has free while
            training: Σ_j max(free_bits, batch mean of KL_j) (Kingma et al.
            2016).
        warmup_steps: Training steps over which β grows from 0 to its value
            (Sønderby et al. 2016). The count is saved with the model.
        seed: Integer seed of the draws of z, or ``None``.

    Call:
        Draws z and returns a dict: ``"mean"`` and ``"log_var"`` of q,
        ``"code"`` z, ``"reconstruction"``, and what else the likelihood
        needs: ``"logits"`` or ``"location"``.

    Loss:
        As above, mean over the batch. ``evaluate`` and validation leave out
        warm-up and free bits. Metrics: ``nll`` and ``kl`` in nats, ``mse``
        per pixel.

    Raises:
        ValueError: a hyperparameter out of range; networks whose shapes do
            not meet; from ``fit`` and the verbs, before any step, rows of
            wrong shape or range or with NaN.
    """

    def __init__(
        self,
        encoder,
        decoder,
        *,
        likelihood=None,
        beta=1.0,
        free_bits=0.0,
        warmup_steps=0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.likelihood = likelihoods.get(likelihood, likelihoods.Bernoulli)
        self.beta = check.check_number(beta, "beta", 0.0)
        self.free_bits = check.check_number(free_bits, "free_bits", 0.0)
        self.warmup_steps = check.check_int(warmup_steps, "warmup_steps", 0)
        self.seed = check.check_seed(seed)
        self._check_networks()
        self.sampler = Sampling(seed, dtype=self.dtype_policy)
        if self.warmup_steps:
            self.steps_done = self.add_weight(
                name="steps_done",
                shape=(),
                initializer="zeros",
                dtype="int32",
                trainable=False,
                autocast=False,
            )
        for name in ("nll", "kl", "mse"):
            setattr(self, f"{name}_tracker", keras.metrics.Mean(name=name))
        self.built = True

    @builds("encoder", "decoder")
    def dense(
        input_shape=(28, 28, 1),
        latent_dim=20,
        *,
        widths=(400,),
        activation="relu",
        seed=None,
        dtype=None,
    ):
        """A VAE of dense layers; the defaults are the paper's 784–400–20.

        Args:
            input_shape: Shape of one example.
            latent_dim: Width k of the code.
            widths: Hidden units from input to code, mirrored in the decoder.
            activation: Activation of the hidden layers.
            seed: Integer seed of initial weights and draws, or ``None``.
            dtype: Dtype policy of networks and model.
            **objective: As for the class.
        """
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        return networks.variational_pair(
            "dense", input_shape, latent_dim, widths, **shared
        )

    @builds("encoder", "decoder")
    def conv(
        input_shape=(28, 28, 1),
        latent_dim=20,
        *,
        widths=(32, 64),
        activation="relu",
        seed=None,
        dtype=None,
    ):
        """As :meth:`dense`, of convolutions of stride 2.

        ``widths`` are filters, at least one; each halves the sides.
        """
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        return networks.variational_pair(
            "conv", input_shape, latent_dim, widths, **shared
        )

    def _check_networks(self):
        taken, heads = shapes_of(self.encoder, "encoder")
        self.event_shape = self.rows_of(taken)
        heads = list(heads.values() if isinstance(heads, dict) else heads)
        if len(heads) != 2 or len(heads[0]) != 1 or heads[0] != heads[1]:
            expected = "two outputs (batch, latent_dim), mean and log variance"
            check.fail("encoder", expected, f"{heads}")
        self.latent_dim = heads[0][0]
        taken, made = shapes_of(self.decoder, "decoder")
        taken = taken["z"] if isinstance(taken, dict) else taken
        if taken != (self.latent_dim,):
            check.fail(
                "decoder",
                f"inputs of shape {(self.latent_dim,)}, the encoder's codes",
                f"{taken}",
            )
        self.likelihood.check_decoder(made, self.event_shape)

    # ------------------------------------------------------------ objective

    def rows_of(self, inputs):
        """The rows x among what ``call`` takes."""
        return inputs

    def decoder_input(self, code, inputs):
        """What the decoder takes beside a code; the code alone here."""
        return code

    def posterior(self, inputs):
        """Parameters of q(z | x): ``{"mean", "log_var"}``, tensors."""
        heads = self.encoder(inputs)
        if not isinstance(heads, dict):
            heads = dict(zip(("mean", "log_var"), heads, strict=True))
        return heads

    def likelihood_outputs(self, code, inputs=None):
        """Parameters of p(x | z): ``{"reconstruction", …}``, tensors."""
        raw = self.decoder(self.decoder_input(code, inputs))
        return self.likelihood.outputs(raw)

    def call(self, inputs, training=False):
        """Draw z from q(z | x) and decode it; see the class."""
        heads = self.posterior(inputs)
        code = self.sampler((heads["mean"], heads["log_var"]))
        return {
            **heads,
            "code": code,
            **self.likelihood_outputs(code, inputs),
        }

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        x = self.rows_of(x)
        nll = self.likelihood.negative_log_likelihood(x, y_pred)  # (batch,)
        kl = losses.gaussian_kl(
            y_pred["mean"], y_pred["log_var"], per_unit=True
        )  # (batch, latent_dim)
        _track(self, x, y_pred, nll, kl, sample_weight)
        return self.add_losses(self.objective(nll, kl, sample_weight, training))

    def objective(self, nll, kl, sample_weight=None, training=True):
        """Mean of nll ``(batch,)`` + β · KL ``(batch, latent_dim)``: scalar.

        Warm-up and free bits shape the training loss alone, so that a
        validation loss means the same in every epoch.
        """
        if sample_weight is not None:
            weight = ops.cast(sample_weight, nll.dtype)
            nll, kl = nll * weight, kl * weight[:, None]
        kl = ops.mean(kl, axis=0)  # (latent_dim,)
        beta = self.beta
        if training:
            kl = ops.maximum(kl, self.free_bits)
            if self.warmup_steps:
                self.steps_done.assign_add(1)
                done = ops.cast(self.steps_done, "float32")
                beta = beta * ops.minimum(done / self.warmup_steps, 1.0)
        return ops.mean(nll) + beta * ops.sum(kl)

    # -------------------------------------------------------------- checks

    def check_data(self, x, y=None, name="x"):
        refuse_target(y, "a VAE's target is its input, fit(x)")
        return self.check_rows(x, name), None

    def check_rows(self, x, name="x"):
        """Rows that the likelihood allows, float32."""
        return self.likelihood.check_data(
            x, name, event_shape=self.event_shape, fitting=True
        )

    def check_input(self, x, name="x"):
        return check.check_array(x, name, event_shape=self.event_shape)

    # --------------------------------------------------------------- verbs

    def encode(self, x):
        """Means of q(z | x): float32 array ``(n, latent_dim)``."""
        return self.means(self.check_input(x))

    def means(self, inputs):
        """``encode`` of checked arrays, as ``call`` takes them."""
        return in_batches(lambda rows: self.posterior(rows)["mean"], inputs)

    def decode(self, z):
        """Means of p(x | z): float32 array ``(n, *input_shape)``."""
        z = check.check_array(z, "z", event_shape=(self.latent_dim,))
        return in_batches(
            lambda codes: self.likelihood_outputs(codes)["reconstruction"], z
        )

    def reconstruct(self, x):
        """Decode the means of q(z | x), without noise; shape of x."""
        return self.decode(self.encode(x))

    def sample(self, n, *, seed=None):
        """Decode n draws from the prior: means of p(x | z), not pixels drawn.

        Args:
            n: Number of samples.
            seed: Integer seed, the same draws on every backend. ``None``
                goes on with the model's own generator.

        Returns:
            Float32 array ``(n, *input_shape)``.
        """
        n = check.check_int(n, "n")
        return self.decode(_prior(n, self.latent_dim, self.generator(seed)))

    def elbo(self, x, num_samples=1, *, seed=None):
        """Evidence lower bound of each example, ``(n,)``, in nats.

        E_q[log p(x | z)] by ``num_samples`` draws, the KL in closed form,
        whatever β is.
        """
        return self.bounds(self.check_rows(x), num_samples, seed)[0]

    def log_likelihood(self, x, num_samples=100, *, seed=None):
        """Importance-weighted lower bound of log p(x), ``(n,)``, in nats.

        log 1/S Σ_s p(x | z_s) p(z_s) / q(z_s | x), z_s ~ q (Burda et al.
        2016). Its expectation grows with the number S of samples towards
        log p(x); S = 1 is the ELBO. Memory does not grow with S.

        Args:
            x: Array ``(n, *input_shape)``, in the range of the likelihood.
            num_samples: S ≥ 1.
            seed: Integer seed, or ``None``.

        Returns:
            Float64 array ``(n,)``.
        """
        return self.bounds(self.check_rows(x), num_samples, seed)[1]

    def example_losses(self, x, *, seed=None):
        """−ELBO of each example by one draw, ``(n,)``, in nats."""
        return -self.elbo(x, seed=seed).astype("float32")

    # ----------------------------------------------------------- estimates

    def generator(self, seed):
        """NumPy generator of a seed; ``None`` goes on with the model's."""
        return numpy_generator(seed, self.sampler.seed_generator)

    def bounds(self, inputs, num_samples, seed):
        """ELBO and importance-weighted bound of checked rows, float64."""
        num_samples = check.check_int(num_samples, "num_samples")
        rng = self.generator(seed)
        rows = len(self.rows_of(inputs))
        elbo, weighted = np.zeros(rows), np.full(rows, -np.inf)
        at_once = min(num_samples, PIECE)
        step = PIECE // at_once
        for start in range(0, rows, step):
            part = slice(start, start + step)
            piece = keras.tree.map_structure(lambda a, p=part: a[p], inputs)
            left = num_samples
            while left:
                size = min(left, at_once)
                fit, ratio, kl = self._terms(piece, size, rng)
                elbo[part] += (fit - kl[:, None]).sum(axis=1) / num_samples
                weighted[part] = np.logaddexp(
                    weighted[part],
                    np.logaddexp.reduce((fit + ratio).astype("float64"), 1),
                )
                left -= size
        return elbo, weighted - np.log(num_samples)

    def _terms(self, inputs, num_samples, rng):
        """Log-likelihoods, log density ratios, KL of a piece of rows.

        Returns NumPy arrays: log p(x | z) and log p(z) − log q(z | x), each
        ``(rows, num_samples)``, and the closed-form KL ``(rows,)``.
        """
        heads = self.posterior(inputs)
        mean, log_var = (
            ops.convert_to_numpy(ops.cast(heads[name], "float32"))
            for name in ("mean", "log_var")
        )
        rows = len(mean)
        shape = (rows, num_samples, self.latent_dim)
        noise = rng.standard_normal(shape, dtype="float32")
        z = mean[:, None] + np.exp(0.5 * log_var)[:, None] * noise
        ratio = 0.5 * (noise**2 + log_var[:, None] - z**2).sum(axis=2)
        many = keras.tree.map_structure(
            lambda a: ops.repeat(ops.convert_to_tensor(a), num_samples, axis=0),
            inputs,
        )
        codes = ops.convert_to_tensor(z.reshape(-1, self.latent_dim))
        outputs = self.likelihood_outputs(codes, many)
        nll = ops.convert_to_numpy(
            self.likelihood.negative_log_likelihood(self.rows_of(many), outputs)
        )
        kl = ops.convert_to_numpy(losses.gaussian_kl(mean, log_var))
        return -nll.reshape(rows, num_samples), ratio, kl


@keras.saving.register_keras_serializable(package=PACKAGE)
class ConditionalVAE(VAE):
    """A VAE told the class: p(x | z, y), q(z | x, y) (Sohn et al. 2015).

    The class enters encoder and decoder, so the code is free to describe
    what the class does not. ``fit(x, y)`` and ``evaluate(x, y)`` take integer
    classes, in any container; ``call`` and ``predict`` take ``{"x": x,
    "labels": y}``; the verbs take ``labels``. All numbers are bounds of
    log p(x | y).

    Example:

    >>> model = ConditionalVAE.dense((64,), 8, num_classes=3, seed=0)
    >>> model.sample(2, labels=1, seed=0).shape
    (2, 64)

    Args:
        encoder: As for :class:`VAE`, with inputs ``{"x", "labels"}``, labels
            integers ``(batch,)``.
        decoder: As for :class:`VAE`, with inputs ``{"z", "labels"}``.
        num_classes: Number of classes C ≥ 2; labels run from 0 to C − 1.
        likelihood, beta, free_bits, warmup_steps, seed: As for :class:`VAE`.

    Raises:
        ValueError: as :class:`VAE`; labels missing, not integers, of another
            length or out of range, before any training step.
    """

    def __init__(
        self,
        encoder,
        decoder,
        *,
        num_classes=10,
        likelihood=None,
        beta=1.0,
        free_bits=0.0,
        warmup_steps=0,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            encoder,
            decoder,
            likelihood=likelihood,
            beta=beta,
            free_bits=free_bits,
            warmup_steps=warmup_steps,
            seed=seed,
            **kwargs,
        )
        self.num_classes = check.check_int(num_classes, "num_classes", 2)

    @builds("encoder", "decoder")
    def dense(
        input_shape=(28, 28, 1),
        latent_dim=20,
        *,
        num_classes=10,
        widths=(400,),
        activation="relu",
        seed=None,
        dtype=None,
    ):
        """As :meth:`VAE.dense`; the class enters as a one-hot row."""
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        sizes = (input_shape, latent_dim, widths, num_classes)
        return networks.variational_pair("dense", *sizes, **shared)

    @builds("encoder", "decoder")
    def conv(
        input_shape=(28, 28, 1),
        latent_dim=20,
        *,
        num_classes=10,
        widths=(32, 64),
        activation="relu",
        seed=None,
        dtype=None,
    ):
        """As :meth:`VAE.conv`; the encoder sees a constant plane a class."""
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        sizes = (input_shape, latent_dim, widths, num_classes)
        return networks.variational_pair("conv", *sizes, **shared)

    def _check_networks(self):
        for name, key in (("encoder", "x"), ("decoder", "z")):
            taken, _ = shapes_of(getattr(self, name), name)
            if not isinstance(taken, dict) or set(taken) != {key, "labels"}:
                expected = f'inputs {{"{key}", "labels"}}'
                check.fail(name, expected, f"{taken}")
        super()._check_networks()

    def rows_of(self, inputs):
        return inputs["x"]

    def decoder_input(self, code, inputs):
        # rows may come from NumPy; Keras wants all tensors or none
        pair = {"z": code, "labels": inputs["labels"]}
        return {key: ops.convert_to_tensor(pair[key]) for key in pair}

    def check_labels(self, labels, rows, name="labels"):
        """Classes as int32 vector; one class stands for all rows."""
        if isinstance(labels, (int, np.integer)):
            labels = np.full(rows, labels)
        return _check_classes(labels, self.num_classes, rows, name)

    def takes(self):
        labels = spec_of((), "int32")
        return {"x": spec_of(self.event_shape), "labels": labels}

    def class_ids(self, data):
        return data[0]["labels"]

    def _labelled(self, x, labels):
        """Checked rows and labels, as a verb names them."""
        x = self.check_rows(x)
        return {"x": x, "labels": self.check_labels(labels, len(x))}

    def check_data(self, x, y=None, name="x"):
        x, y = _unpacked(x, y)
        x = self.check_rows(x, name)
        y = self.check_labels(y, len(x), _beside(name))
        return {"x": x, "labels": y}, None

    def check_input(self, x, name="x"):
        x, y = _unpacked(x, None)
        x = super().check_input(x, name)
        return {"x": x, "labels": self.check_labels(y, len(x))}

    def encode(self, x, labels):
        """Means of q(z | x, y): float32 array ``(n, latent_dim)``."""
        return self.means(self.check_input({"x": x, "labels": labels}))

    def decode(self, z, labels):
        """Means of p(x | z, y): float32 array ``(n, *input_shape)``."""
        z = check.check_array(z, "z", event_shape=(self.latent_dim,))
        return in_batches(
            lambda codes, labels: self.likelihood_outputs(
                codes, {"labels": labels}
            )["reconstruction"],
            z,
            self.check_labels(labels, len(z)),
        )

    def reconstruct(self, x, labels):
        """Decode the means of q(z | x, y), without noise; shape of x."""
        return self.decode(self.encode(x, labels), labels)

    def sample(self, n, labels, *, seed=None):
        """As :meth:`VAE.sample`; ``labels`` is one class, or one a sample."""
        n = check.check_int(n, "n")
        z = _prior(n, self.latent_dim, self.generator(seed))
        return self.decode(z, labels)

    def elbo(self, x, num_samples=1, *, labels, seed=None):
        """Lower bound of log p(x | y) of each example, ``(n,)``, in nats."""
        return self.bounds(self._labelled(x, labels), num_samples, seed)[0]

    def log_likelihood(self, x, num_samples=100, *, labels, seed=None):
        """As :meth:`VAE.log_likelihood`, of log p(x | y)."""
        return self.bounds(self._labelled(x, labels), num_samples, seed)[1]

    def example_losses(self, x, labels, *, seed=None):
        """−ELBO of each example by one draw, ``(n,)``, in nats."""
        return -self.elbo(x, labels=labels, seed=seed).astype("float32")


@keras.saving.register_keras_serializable(package=PACKAGE)
class SemiSupervisedVAE(CourseModel):
    """A conditional VAE and a classifier, with labels where there are some.

    Model M2 of Kingma et al. (2014), with p(y) uniform. With the bound
    L(x, y) = E_q[log p(x | y, z)] − KL(q(z | x, y) ‖ p(z)) + log p(y), the
    loss of a labelled row is −L(x, y) − alpha · log q(y | x), that of an
    unlabelled one Σ_y q(y | x) (−L(x, y) + log q(y | x)): the sum over
    classes is exact, so every class is decoded at every step.

    ``fit(x, y)`` and ``evaluate(x, y)`` take integer classes, −1 where the
    label is missing. ``call`` takes x or ``{"x", "labels"}`` and returns,
    beside the products of :class:`VAE` for the given or else the most
    probable class, ``"class_logits"`` ``(batch, C)``, ``"class_nll"``
    ``(batch, C)`` and ``"class_kl"`` ``(batch, C, latent_dim)``, the two
    parts of −L for each class.

    Example:

    >>> model = SemiSupervisedVAE.dense((64,), 8, num_classes=3, seed=0)
    >>> model.classify(np.zeros((2, 64))).shape
    (2, 3)

    Args:
        vae: A :class:`ConditionalVAE`.
        classifier: Keras model of q(y | x) from ``(batch, *input_shape)`` to
            logits ``(batch, num_classes)``.
        alpha: Weight ≥ 0 of the classification loss of a labelled row.

    Loss:
        Mean over the batch. Metrics: those of :class:`VAE` in expectation
        over q(y | x), ``class_loss`` in nats and ``accuracy``, both over
        labelled rows.

    Raises:
        ValueError: as :class:`VAE`; labels missing altogether, not integers,
            or out of range, before any training step.
    """

    def __init__(self, vae, classifier, *, alpha=20.0, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(vae, ConditionalVAE):
            check.fail("vae", "a ConditionalVAE", type(vae).__name__)
        self.vae, self.classifier = vae, classifier
        self.alpha = check.check_number(alpha, "alpha", 0.0)
        self.event_shape, self.latent_dim = vae.event_shape, vae.latent_dim
        self.num_classes = vae.num_classes
        shapes = shapes_of(classifier, "classifier")
        wanted = (self.event_shape, (self.num_classes,))
        if shapes != wanted:
            expected = f"a model from {wanted[0]} to {wanted[1]}"
            check.fail(
                "classifier", expected, f"from {shapes[0]} to {shapes[1]}"
            )
        for name in ("nll", "kl", "mse", "class_loss", "accuracy"):
            setattr(self, f"{name}_tracker", keras.metrics.Mean(name=name))
        self.built = True

    @builds("vae", "classifier")
    def dense(
        input_shape=(28, 28, 1),
        latent_dim=20,
        *,
        num_classes=10,
        widths=(400,),
        classifier_widths=None,
        dropout=0.0,
        activation="relu",
        likelihood=None,
        beta=1.0,
        free_bits=0.0,
        warmup_steps=0,
        seed=None,
        dtype=None,
    ):
        """Both parts of dense layers.

        Args:
            input_shape: Shape of one example.
            latent_dim: Width of the code.
            num_classes: Number of classes C ≥ 2.
            widths: Hidden units of the VAE.
            classifier_widths: Hidden units of q(y | x); ``None`` takes
                ``widths``.
            dropout: Rate in [0, 1) on the classifier's last hidden layer.
            activation: Activation of all hidden layers.
            likelihood, beta, free_bits, warmup_steps: As for :class:`VAE`.
            seed: Integer seed of initial weights and draws, or ``None``.
            dtype: Dtype policy of networks and model.
            alpha: As for the class.
        """
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        vae = ConditionalVAE.dense(
            input_shape,
            latent_dim,
            num_classes=num_classes,
            widths=widths,
            likelihood=likelihood,
            beta=beta,
            free_bits=free_bits,
            warmup_steps=warmup_steps,
            **shared,
        )
        widths = widths if classifier_widths is None else classifier_widths
        return vae, networks.classifier(
            "dense", input_shape, num_classes, widths, dropout=dropout, **shared
        )

    @builds("vae", "classifier")
    def conv(
        input_shape=(28, 28, 1),
        latent_dim=20,
        *,
        num_classes=10,
        widths=(32, 64),
        classifier_widths=None,
        dropout=0.0,
        activation="relu",
        likelihood=None,
        beta=1.0,
        free_bits=0.0,
        warmup_steps=0,
        seed=None,
        dtype=None,
    ):
        """As :meth:`dense`, of convolutions of stride 2."""
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        vae = ConditionalVAE.conv(
            input_shape,
            latent_dim,
            num_classes=num_classes,
            widths=widths,
            likelihood=likelihood,
            beta=beta,
            free_bits=free_bits,
            warmup_steps=warmup_steps,
            **shared,
        )
        widths = widths if classifier_widths is None else classifier_widths
        return vae, networks.classifier(
            "conv", input_shape, num_classes, widths, dropout=dropout, **shared
        )

    # ------------------------------------------------------------ objective

    def call(self, inputs, training=False):
        """Classify, then draw and decode a code for every class."""
        x, known = _unpacked(inputs, None)
        logits = self.classifier(x, training=training)  # (batch, C)
        best = ops.argmax(logits, axis=1)
        if known is not None:
            known = ops.cast(known, best.dtype)
            best = ops.where(known >= 0, known, best)
        size = self.num_classes
        every = ops.zeros_like(logits, "int32") + ops.arange(
            size, dtype="int32"
        )
        many = {
            "x": ops.repeat(x, size, axis=0),
            "labels": ops.reshape(every, (-1,)),
        }  # (batch · C, …)
        made = self.vae(many, training=training)
        kl = losses.gaussian_kl(made["mean"], made["log_var"], per_unit=True)
        nll = self.vae.likelihood.negative_log_likelihood(many["x"], made)
        index = ops.one_hot(best, size, dtype=logits.dtype)
        return {
            **{name: self._pick(value, index) for name, value in made.items()},
            "class_logits": logits,
            "class_nll": ops.reshape(nll, (-1, size)),
            "class_kl": ops.reshape(kl, (-1, size, self.latent_dim)),
        }

    def _pick(self, values, index):
        """Of ``(batch · C, …)`` the rows of the class in a one-hot index."""
        event = values.shape[1:]
        values = ops.reshape(values, (-1, self.num_classes, *event))
        index = ops.reshape(index, (-1, self.num_classes, *(1 for _ in event)))
        return ops.sum(values * ops.cast(index, values.dtype), axis=1)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        x, label = _unpacked(x, None)
        log_q = ops.log_softmax(ops.cast(y_pred["class_logits"], "float32"))
        share = ops.exp(log_q)  # (batch, C), q(y | x)
        entropy = -ops.sum(share * log_q, axis=1)
        class_loss = ops.zeros_like(entropy)
        if label is not None:
            seen = ops.cast(label >= 0, "float32")
            truth = ops.one_hot(label, self.num_classes, dtype="float32")
            class_loss = -ops.sum(truth * log_q, axis=1)
            share = ops.where(label[:, None] >= 0, truth, share)
            entropy = (1.0 - seen) * entropy
            right = ops.equal(ops.argmax(log_q, axis=1), ops.argmax(truth, 1))
            weight = seen if sample_weight is None else seen * sample_weight
            self.class_loss_tracker.update_state(class_loss, weight)
            self.accuracy_tracker.update_state(right, weight)
        nll = ops.sum(share * y_pred["class_nll"], axis=1)
        kl = ops.sum(share[:, :, None] * y_pred["class_kl"], axis=1)
        _track(self, x, y_pred, nll, kl, sample_weight)
        # KL(q(y | x) ‖ p(y)), and −log p(y) for a known class
        rest = float(np.log(self.num_classes)) - entropy
        if training:
            rest = rest + self.alpha * class_loss
        loss = self.vae.objective(nll + rest, kl, sample_weight, training)
        return self.add_losses(loss)

    # -------------------------------------------------------------- checks

    def class_ids(self, data):
        return data[0]["labels"]

    def check_data(self, x, y=None, name="x"):
        x, y = _unpacked(x, y)
        x = self.vae.check_rows(x, name)
        y = _check_classes(y, self.num_classes, len(x), _beside(name), low=-1)
        return {"x": x, "labels": y}, None

    def check_input(self, x, name="x"):
        x, y = _unpacked(x, None)
        x = check.check_array(x, name, event_shape=self.event_shape)
        if y is None:
            return x
        labels = _check_classes(y, self.num_classes, len(x), "labels", low=-1)
        return {"x": x, "labels": labels}

    def before_training(self, x):
        if isinstance(x, dict) and x["labels"].max() < 0:
            check.fail(
                "y",
                "integer classes, −1 where there is none, with at least one "
                "labelled row",
                "no labelled row",
            )

    # --------------------------------------------------------------- verbs

    def classify(self, x):
        """q(y | x): float32 array ``(n, num_classes)``, rows sum to one."""
        x = check.check_array(x, "x", event_shape=self.event_shape)
        return in_batches(
            lambda rows: ops.softmax(
                ops.cast(self.classifier(rows), "float32")
            ),
            x,
        )

    def predict_classes(self, x):
        """Most probable class of each example, int64 ``(n,)``."""
        return self.classify(x).argmax(axis=1)

    def encode(self, x, labels=None):
        """Means of q(z | x, y), y predicted where no labels are given."""
        return self.vae.encode(x, self._labels_for(x, labels))

    def decode(self, z, labels):
        """Means of p(x | z, y): float32 array ``(n, *input_shape)``."""
        return self.vae.decode(z, labels)

    def reconstruct(self, x, labels=None):
        """Decode the means of q(z | x, y), y predicted if not given."""
        return self.vae.reconstruct(x, self._labels_for(x, labels))

    def _labels_for(self, x, labels):
        return self.predict_classes(x) if labels is None else labels

    def sample(self, n, labels=None, *, seed=None):
        """As :meth:`ConditionalVAE.sample`; classes at random if not given."""
        n = check.check_int(n, "n")
        rng = self.vae.generator(seed)
        z = _prior(n, self.latent_dim, rng)
        if labels is None:
            labels = rng.integers(0, self.num_classes, n)
        return self.vae.decode(z, labels)

    def elbo(self, x, num_samples=1, *, labels=None, seed=None):
        """Lower bound of log p(x), or of log p(x, y) where y is given."""
        return self._bounds(x, num_samples, labels, seed)[0]

    def log_likelihood(self, x, num_samples=100, *, labels=None, seed=None):
        """As :meth:`VAE.log_likelihood`; of log p(x, y) where y is given."""
        return self._bounds(x, num_samples, labels, seed)[1]

    def example_losses(self, x, labels=None, *, seed=None):
        """−ELBO of each example by one draw, ``(n,)``, in nats."""
        return -self.elbo(x, labels=labels, seed=seed).astype("float32")

    def _bounds(self, x, num_samples, labels, seed):
        prior = -np.log(self.num_classes)
        if labels is not None:
            inputs = self.vae._labelled(x, labels)
            both = self.vae.bounds(inputs, num_samples, seed)
            return [bound + prior for bound in both]
        rng = self.vae.generator(seed)
        share = self.classify(x).astype("float64")
        x = self.vae.check_rows(x)
        elbos, weighted = np.stack(
            [
                self.vae.bounds(
                    {"x": x, "labels": np.full(len(x), c, "int32")},
                    num_samples,
                    int(rng.integers(2**31)),
                )
                for c in range(self.num_classes)
            ],
            axis=2,
        )
        log_share = np.log(np.maximum(share, 1e-300))
        return (
            (share * (elbos + prior - log_share)).sum(axis=1),
            np.logaddexp.reduce(weighted + prior, axis=1),
        )


def _track(model, x, outputs, nll, kl, sample_weight):
    """Update the metrics ``nll`` and ``kl`` in nats, ``mse`` per pixel."""
    squared = losses.squared_error(x, outputs["reconstruction"])
    size = float(np.prod(model.event_shape))
    model.nll_tracker.update_state(nll, sample_weight)
    model.kl_tracker.update_state(ops.sum(kl, axis=1), sample_weight)
    model.mse_tracker.update_state(squared / size, sample_weight)


def _unpacked(x, y):
    """Rows and labels of what ``fit`` or ``call`` was given."""
    if not isinstance(x, dict):
        return x, y
    if y is not None or not {"x"} <= set(x) <= {"x", "labels"}:
        expected = '{"x": rows, "labels": classes} and no y'
        check.fail("x", expected, f"{sorted(x)}{' and y' * (y is not None)}")
    return x["x"], x.get("labels")


def _beside(name):
    """What to call y in a message, where x is called ``name``."""
    return "y" if name == "x" else f"{name}, y"


def _check_classes(labels, num_classes, rows, name, low=0):
    """Labels as int32 vector from ``low`` to ``num_classes`` − 1."""
    wanted = f"integers from {low} to {num_classes - 1}, one a row"
    if labels is None:
        check.fail(name, wanted, "None")
    labels = check.check_labels(labels, name, num_rows=rows)
    if labels.min() < low or labels.max() >= num_classes:
        received = f"values from {labels.min()} to {labels.max()}"
        check.fail(name, wanted, received)
    return labels.astype("int32")


def _prior(n, latent_dim, rng):
    return rng.standard_normal((n, latent_dim), dtype="float32")
