"""Generative adversarial networks: two players, one backward pass.

A generator G turns noise z into examples, a discriminator D scores examples,
and each has a loss of its own. Both losses stand in one ``compute_loss``;
``ops.stop_gradient`` cuts the paths along which one player's loss would move
the other's weights. So each weight receives exactly the gradient of its own
player's loss, and ``fit``, ``save`` and ``load_model`` are Keras's own on
every backend. Both players move at the same time: simultaneous, not
alternating, gradient descent.
"""

import keras
import numpy as np
from keras import ops

from utils.models._old_base import OwnLossModel
from utils.nn import networks
from utils.nn.backend import input_gradient
from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = [
    "AdversarialModel",
    "ConditionalGAN",
    "GAN",
    "RelativisticGAN",
    "WGANGP",
    "one_once_known",
    "pure_scores",
]

LOSSES = ("non_saturating", "saturating", "least_squares")
RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "linear": (None, None)}


def pure_scores(network, inputs, training=False, fixed_weights=False):
    """Scores as a pure function of the inputs: no state is updated.

    With ``fixed_weights`` the gradient passes *through* the network to the
    inputs and stops at the network's own weights: what a generator needs.
    """
    weights = [w.value for w in network.trainable_variables]
    if fixed_weights:
        weights = [ops.stop_gradient(w) for w in weights]
    state = [v.value for v in network.non_trainable_variables]
    scores, _ = network.stateless_call(
        weights, state, inputs, training=training
    )
    return scores


class AdversarialModel(OwnLossModel):
    """A generator and a discriminator, built or given, and their checks.

    Arguments are those of :class:`utils.gans.GAN`.
    """

    def __init__(
        self,
        input_shape,
        latent_dim,
        *,
        generator_widths=(128,),
        critic_widths=(128,),
        network="dense",
        output="sigmoid",
        loss="non_saturating",
        r1=0.0,
        r2=0.0,
        generator=None,
        discriminator=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.event_shape = check.check_shape(input_shape, "input_shape")
        self.latent_dim = check.check_int(latent_dim, "latent_dim")
        self.generator_widths = check.check_widths(
            generator_widths, "generator_widths"
        )
        self.critic_widths = check.check_widths(critic_widths, "critic_widths")
        self.network = check.check_choice(network, "network", ("dense", "conv"))
        self.output_kind = check.check_choice(output, "output", tuple(RANGES))
        self.loss_kind = check.check_choice(loss, "loss", LOSSES)
        self.r1 = check.check_number(r1, "r1", 0.0)
        self.r2 = check.check_number(r2, "r2", 0.0)
        self.seed = check.check_seed(seed)
        self._given = {"generator": generator, "discriminator": discriminator}
        self.generator = generator or self._build_generator()
        self.discriminator = discriminator or self._build_discriminator()
        self._check_networks()
        self.noise = keras.random.SeedGenerator(self.seed)
        for name in self.METRICS:
            setattr(self, f"{name}_tracker", keras.metrics.Mean(name=name))
        self.built = True

    METRICS = (
        "discriminator_loss",
        "generator_loss",
        "real_accuracy",
        "fake_accuracy",
    )
    num_classes = None

    # ------------------------------------------------------------ networks

    def _build_generator(self):
        return networks.generator(
            self.latent_dim,
            self.event_shape,
            self.generator_widths,
            network=self.network,
            num_classes=self.num_classes,
            output=self.output_kind,
            seed=self.seed,
            dtype=self.dtype_policy,
        )

    def _build_discriminator(self):
        return networks.critic(
            self.event_shape,
            self.critic_widths,
            network=self.network,
            num_classes=self.num_classes,
            seed=self.seed,
            dtype=self.dtype_policy,
        )

    def _check_networks(self):
        """Say that a given network does not fit before training meets it."""
        noise, rows = (None, self.latent_dim), (None, *self.event_shape)
        for name, key, shape, wanted in (
            ("generator", "z", noise, rows),
            ("discriminator", "x", rows, (None,)),
        ):
            if self._given[name] is None:
                continue
            labels = keras.Input((), dtype="int32")
            inputs = self._join(key, keras.Input(shape[1:]), labels)
            expected = f"a model from {key} {shape} to {wanted}"
            try:
                found = self._given[name].compute_output_spec(inputs).shape
            except (TypeError, ValueError, AttributeError) as error:
                check.fail(name, expected, str(error).splitlines()[0])
            if tuple(found) != wanted:
                check.fail(name, expected, f"one to {tuple(found)}")

    def _join(self, name, value, labels):
        """Input of a network: the value alone, or beside its labels."""
        if self.num_classes is None:
            return value
        # JAX run eagerly hands over NumPy rows; Keras wants all tensors or none
        value, labels = ops.convert_to_tensor(value), ops.cast(labels, "int32")
        return {name: value, "labels": labels}

    def _split(self, inputs):
        """Rows, and labels or ``None``, of what ``fit`` passes on."""
        if self.num_classes is None:
            return inputs, None
        return inputs["x"], inputs["labels"]

    # --------------------------------------------------- checks before Keras

    def _check_rows(self, x, name="x", min_rows=1):
        low, high = RANGES[self.output_kind]
        return check.check_array(
            x,
            name,
            event_shape=self.event_shape,
            low=low,
            high=high,
            min_rows=min_rows,
        )

    def _check_labels(self, labels, name, num_rows):
        """Refuse labels; a conditional model demands them instead."""
        if labels is not None:
            check.fail(
                name,
                f"none: {type(self).__name__} is not conditional",
                type(labels).__name__,
            )

    def _inputs(self, x, y, names=("x", "y")):
        """Checked input of ``fit``; data sets and ``None`` are left alone."""
        if not check.is_array(x):
            return x
        x = self._check_rows(x, names[0], min_rows=2)
        labels = self._check_labels(y, names[1], len(x))
        return x if labels is None else {"x": x, "labels": labels}

    def _refuse(self, sample_weight):
        if sample_weight is not None:
            check.fail("sample_weight", "none in an adversarial game", "some")
        name = type(self).__name__
        self.refuse_loss(f"{name} has its own, one for each player")

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        *,
        validation_data=None,
        validation_split=0.0,
        sample_weight=None,
        **kwargs,
    ):
        """As ``keras.Model.fit``; checks everything before training.

        ``y`` are the labels of a conditional model, else nothing. All other
        arguments are those of Keras.
        """
        self._refuse(sample_weight)
        if check.is_array(validation_data):
            rows, labels = validation_data, None
            if isinstance(rows, tuple):
                rows, labels = (*rows, None)[:2]
            names = ("validation_data[0]", "validation_data[1]")
            validation_data = (self._inputs(rows, labels, names), None)
        inputs = self._inputs(x, y)
        if check.is_array(x):
            num_rows = int(len(x) * (1.0 - validation_split))
            _check_batches(num_rows, batch_size or 32)
        return super().fit(
            inputs,
            batch_size=batch_size,
            validation_data=validation_data,
            validation_split=validation_split,
            **kwargs,
        )

    def evaluate(self, x=None, y=None, *, sample_weight=None, **kwargs):
        """As ``keras.Model.evaluate``, with fresh noise at every call."""
        self._refuse(sample_weight)
        return super().evaluate(self._inputs(x, y), **kwargs)

    # --------------------------------------------------------------- verbs

    def generate(self, z, labels=None):
        """G(z): float32 array ``(n, *input_shape)`` from noise ``(n, k)``."""
        z = check.check_array(z, "z", event_shape=(self.latent_dim,))
        labels = self._check_labels(labels, "labels", len(z))
        arrays = (z,) if labels is None else (z, labels)
        return in_batches(
            lambda z, labels=None: self.generator(self._join("z", z, labels)),
            *arrays,
        )

    def sample(self, n, *, seed=None, labels=None):
        """Generate from n draws z ~ N(0, I).

        Args:
            n: Number of examples.
            seed: Integer for the same noise on every backend, or ``None``.
            labels: Classes ``(n,)`` of a conditional model, else ``None``.

        Returns:
            Float32 array ``(n, *input_shape)``, in the range of the output.
        """
        n = check.check_int(n, "n")
        shape = (n, self.latent_dim)
        z = np.random.default_rng(seed).standard_normal(shape, "float32")
        return self.generate(z, labels)

    def score(self, x, labels=None):
        """D(x) of each row, ``(n,)``: larger means taken for real."""
        x = self._check_rows(x)
        labels = self._check_labels(labels, "labels", len(x))
        arrays = (x,) if labels is None else (x, labels)
        return in_batches(
            lambda x, labels=None: self.discriminator(
                self._join("x", x, labels)
            ),
            *arrays,
        )

    def get_config(self):
        given = {
            name: model and keras.saving.serialize_keras_object(model)
            for name, model in self._given.items()
        }
        return {
            **super().get_config(),
            "input_shape": list(self.event_shape),
            "latent_dim": self.latent_dim,
            "generator_widths": list(self.generator_widths),
            "critic_widths": list(self.critic_widths),
            "network": self.network,
            "output": self.output_kind,
            "loss": self.loss_kind,
            "r1": self.r1,
            "r2": self.r2,
            "seed": self.seed,
            **given,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("generator", "discriminator"):
            if config.get(name) is not None:
                config[name] = keras.saving.deserialize_keras_object(
                    config[name]
                )
        return cls(**config)


def _check_batches(num_rows, batch_size):
    """A batch of one has no statistics and no partner to be paired with."""
    batch_size = check.check_int(batch_size, "batch_size", minimum=2)
    if num_rows % batch_size == 1:
        check.fail(
            "batch_size",
            f"one that leaves no batch of one row from {num_rows} rows",
            f"{batch_size}",
        )


def one_once_known(loss):
    """The number 1, or NaN where the loss is not finite.

    As a factor of the loss it makes every gradient wait for the whole of
    it. Otherwise TensorFlow's graph optimiser, seeing that D's update needs
    nothing of G's path through D, drops the order of the two, and now and
    then G is differentiated through a D that has already moved.
    """
    return ops.where(ops.isfinite(ops.stop_gradient(loss)), 1.0, float("nan"))


@keras.saving.register_keras_serializable(package=PACKAGE)
class GAN(AdversarialModel):
    """Generator G against discriminator D (Goodfellow et al. 2014).

    With s = D(x) the logit of "real" and σ the logistic function:

    ====================  ===========================  =====================
    loss                  D minimises the mean of      G minimises that of
    ====================  ===========================  =====================
    ``"non_saturating"``  −log σ(s) − log(1 − σ(s̃))    −log σ(s̃)
    ``"saturating"``      −log σ(s) − log(1 − σ(s̃))    log(1 − σ(s̃))
    ``"least_squares"``   ½ (s − 1)² + ½ s̃²            ½ (s̃ − 1)²
    ====================  ===========================  =====================

    where s̃ = D(G(z)), in nats for the first two. The last is that of Mao et
    al. (2017).

    Args:
        input_shape: Shape of one example, such as ``(2,)`` or ``(8, 8, 1)``.
        latent_dim: Entries of the noise z ~ N(0, I).
        generator_widths: Hidden widths of G, noise side first.
        critic_widths: Hidden widths of D, data side first.
        network: ``"dense"`` or ``"conv"``, of both.
        output: Activation of G's output: ``"sigmoid"`` for data in [0, 1],
            ``"tanh"`` for [−1, 1], ``"linear"`` for any.
        loss: One of the table.
        r1: Weight γ ≥ 0 of (γ/2) E‖∇D(x)‖² at real rows, added to D's loss;
            it makes the game converge near its solution (Mescheder et al.
            2018).
        r2: The same at generated rows.
        generator: A Keras model to use as G instead of the built one.
        discriminator: A Keras model to use as D instead of the built one,
            with outputs ``(batch,)``.
        seed: Integer seed of initial weights and noise, or ``None``.

    Call arguments:
        inputs: Real rows ``(batch, *input_shape)``.

    Output:
        Dict of ``"real_scores"`` D(x), ``"fake_scores"`` D(G(z)) as D sees
        it, ``"generator_scores"`` the same numbers as G sees them, each
        ``(batch,)``, and ``"samples"`` G(z).

    Metrics:
        ``discriminator_loss`` (penalties included), ``generator_loss``,
        ``real_accuracy`` and ``fake_accuracy``, the shares of real and
        generated rows on their side of :meth:`boundary`. ``loss`` is the sum
        of both losses: no measure of quality.

    Raises:
        ValueError: a hyperparameter out of range; networks whose shapes do
            not meet; from ``fit`` and ``evaluate``, before any step, rows of
            wrong shape, with NaN or outside the generator's range, a target,
            sample weights, a batch of one, or a loss given to ``compile``.

    Example:

    >>> gan = GAN((2,), latent_dim=4, output="linear", seed=0)
    >>> gan.sample(5, seed=1).shape
    (5, 2)
    """

    def call(self, inputs, training=False):
        """Score real and generated rows, the latter once for each player."""
        x, labels = self._split(inputs)
        z = keras.random.normal(
            (ops.shape(x)[0], self.latent_dim),
            dtype=self.compute_dtype,
            seed=self.noise,
        )
        samples = self.generator(self._join("z", z, labels), training=training)
        fixed = ops.stop_gradient(samples)  # D's loss must not move G
        score = self.discriminator
        return {
            "samples": samples,
            "real_scores": score(self._join("x", x, labels), training=training),
            "fake_scores": score(
                self._join("x", fixed, labels), training=training
            ),
            "generator_scores": self._scores(
                samples, labels, training, fixed_weights=True
            ),
        }

    def _scores(self, x, labels, training, fixed_weights=False):
        """D(x) as a pure function of x, see :func:`pure_scores`."""
        return pure_scores(
            self.discriminator,
            self._join("x", x, labels),
            training,
            fixed_weights,
        )

    def player_losses(self, real, fake, fooled):
        """Losses of D and of G, each ``(batch,)``, from float32 scores."""
        if self.loss_kind == "least_squares":
            d_loss = 0.5 * (ops.square(real - 1.0) + ops.square(fake))
            return d_loss, 0.5 * ops.square(fooled - 1.0)
        # −log σ(s) = softplus(−s) and −log(1 − σ(s)) = softplus(s)
        d_loss = ops.softplus(-real) + ops.softplus(fake)
        if self.loss_kind == "saturating":
            return d_loss, -ops.softplus(fooled)
        return d_loss, ops.softplus(-fooled)

    def squared_gradient_norm(self, x, labels=None, training=False):
        """‖∇ₓ D(x)‖² of each row, ``(batch,)``, summed over event axes."""
        gradient = input_gradient(
            lambda rows: self._scores(rows, labels, training), x
        )
        gradient = ops.cast(gradient, "float32")
        axes = list(range(1, len(gradient.shape)))
        return ops.sum(ops.square(gradient), axis=axes)

    def penalty(self, x, samples, labels, training):
        """What is added to D's loss: scalar, or ``(batch,)``."""
        total = 0.0
        for weight, rows in ((self.r1, x), (self.r2, samples)):
            if weight:
                norm = self.squared_gradient_norm(rows, labels, training)
                total = total + 0.5 * weight * norm
        return total

    def boundary(self, real, fake):
        """Score above which a row counts as taken for real."""
        return 0.5 if self.loss_kind == "least_squares" else 0.0

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        x, labels = self._split(x)
        real, fake, fooled = (
            ops.cast(y_pred[f"{name}_scores"], "float32")
            for name in ("real", "fake", "generator")
        )
        d_loss, g_loss = self.player_losses(real, fake, fooled)
        samples = ops.stop_gradient(y_pred["samples"])
        d_loss = d_loss + self.penalty(x, samples, labels, training)
        boundary = self.boundary(real, fake)
        for name, values in (
            ("discriminator_loss", d_loss),
            ("generator_loss", g_loss),
            ("real_accuracy", ops.cast(real > boundary, "float32")),
            ("fake_accuracy", ops.cast(fake < boundary, "float32")),
        ):
            getattr(self, f"{name}_tracker").update_state(values)
        loss = self.add_losses(ops.mean(d_loss) + ops.mean(g_loss))
        return loss * one_once_known(loss)


@keras.saving.register_keras_serializable(package=PACKAGE)
class ConditionalGAN(GAN):
    """Both players see the class (Mirza and Osindero 2014).

    ``fit(x, y)`` takes integer labels. Each batch's labels go to G with
    fresh noise, and to D with the real and with the generated rows, so that
    D learns to refuse a good picture of the wrong class.

    Args:
        input_shape: Shape of one example.
        latent_dim: Entries of the noise.
        num_classes: Number of classes; labels are 0 … num_classes − 1.
        **kwargs: As for :class:`GAN`. A given ``generator`` takes a dict
            ``{"z", "labels"}``, a given ``discriminator`` ``{"x",
            "labels"}``.

    Raises:
        ValueError: as for :class:`GAN`; labels missing, out of range, not
            integers, or not one for each row.
    """

    def __init__(self, input_shape, latent_dim, num_classes, **kwargs):
        num_classes = check.check_int(num_classes, "num_classes", minimum=2)
        # Keras tracks attributes only after its own constructor has run
        object.__setattr__(self, "num_classes", num_classes)
        super().__init__(input_shape, latent_dim, **kwargs)

    def _check_labels(self, labels, name, num_rows):
        if labels is None:
            check.fail(name, f"{num_rows} integer labels", "none")
        labels = check.check_labels(labels, name, num_rows, self.num_classes)
        return labels.astype("int32")

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


class _OwnLossGAN(GAN):
    """A game that fixes its loss and whose scores have no natural zero."""

    def __init__(self, input_shape, latent_dim, **kwargs):
        if "loss" in kwargs:
            check.fail(
                "loss", "none: this class fixes it", repr(kwargs["loss"])
            )
        super().__init__(input_shape, latent_dim, **kwargs)

    def boundary(self, real, fake):
        """Half-way between the mean scores: only differences count."""
        return 0.5 * (ops.mean(real) + ops.mean(fake))

    def get_config(self):
        config = super().get_config()
        config.pop("loss")
        return config


@keras.saving.register_keras_serializable(package=PACKAGE)
class WGANGP(_OwnLossGAN):
    """Critic of slope one instead of a classifier (Gulrajani et al. 2017).

    The critic minimises E D(G(z)) − E D(x) + λ E (‖∇D(x̄)‖ − 1)², G
    minimises −E D(G(z)). Each x̄ = α x + (1 − α) G(z) has its *own* α
    ~ U(0, 1). The negated first two terms, the metric ``wasserstein``,
    estimate the Wasserstein-1 distance between data and samples, in units of
    the data, as far as the critic is near its optimum.

    Args:
        input_shape: Shape of one example.
        latent_dim: Entries of the noise.
        gradient_penalty: Weight λ > 0 of the penalty.
        **kwargs: As for :class:`GAN`, without ``loss``.
    """

    METRICS = (*GAN.METRICS, "wasserstein", "gradient_penalty")

    def __init__(
        self, input_shape, latent_dim, *, gradient_penalty=10.0, **kwargs
    ):
        super().__init__(input_shape, latent_dim, **kwargs)
        self.gradient_penalty = check.check_number(
            gradient_penalty, "gradient_penalty", 0.0
        )

    def player_losses(self, real, fake, fooled):
        self.wasserstein_tracker.update_state(real - fake)
        return fake - real, -fooled

    def penalty(self, x, samples, labels, training):
        shape = (ops.shape(x)[0], *(1 for _ in self.event_shape))
        alpha = keras.random.uniform(shape, seed=self.noise)
        x = ops.cast(x, "float32")
        between = alpha * x + (1.0 - alpha) * ops.cast(samples, "float32")
        squared = self.squared_gradient_norm(between, labels, training)
        # the small constant keeps the square root's slope finite at zero
        excess = ops.square(ops.sqrt(squared + 1e-12) - 1.0)
        self.gradient_penalty_tracker.update_state(excess)
        extra = super().penalty(x, samples, labels, training)
        return self.gradient_penalty * excess + extra

    def get_config(self):
        own = {"gradient_penalty": self.gradient_penalty}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package=PACKAGE)
class RelativisticGAN(_OwnLossGAN):
    """Real and generated rows scored in pairs, with R1 and R2.

    D minimises the mean of −log σ(s − s̃) over pairs of a real and a
    generated row, G that of −log σ(s̃ − s). Each generated row is held
    against a real one, so no mode of the data can be given up; with both
    gradient penalties the game converges near its solution (Huang et al.
    2024, "The GAN is dead; long live the GAN!").

    Args:
        input_shape: Shape of one example.
        latent_dim: Entries of the noise.
        r1: Weight of the penalty at real rows.
        r2: Weight of the penalty at generated rows.
        **kwargs: As for :class:`GAN`, without ``loss``.
    """

    def __init__(self, input_shape, latent_dim, *, r1=0.1, r2=0.1, **kwargs):
        super().__init__(input_shape, latent_dim, r1=r1, r2=r2, **kwargs)

    def player_losses(self, real, fake, fooled):
        real_fixed = ops.stop_gradient(real)  # G's loss must not move D
        return ops.softplus(fake - real), ops.softplus(real_fixed - fooled)
