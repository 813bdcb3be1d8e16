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

from utils.models.base import CourseModel, builds, shapes_of, spec_of
from utils.nn import networks
from utils.nn.backend import input_gradient
from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = [
    "ConditionalGAN",
    "GAN",
    "RelativisticGAN",
    "WGANGP",
    "check_scores",
    "one_once_known",
    "pure_scores",
]

LOSSES = ("non_saturating", "saturating", "least_squares")
OUTPUTS = ("sigmoid", "tanh", "linear")
RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


@keras.saving.register_keras_serializable(package=PACKAGE)
class GAN(CourseModel):
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

    Example:

    Networks of your own, of any kind, as long as their shapes meet:

    >>> generator = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(2)]
    ... )
    >>> critic = keras.Sequential(
    ...     [
    ...         keras.Input((2,)),
    ...         keras.layers.Dense(8, "leaky_relu"),
    ...         keras.layers.Dense(1),
    ...         keras.layers.Reshape(()),
    ...     ]
    ... )
    >>> gan = GAN(generator, critic, r1=0.1)
    >>> gan.sample(5, seed=1).shape
    (5, 2)

    The course's own, in one call:

    >>> gan = GAN.dense((2,), latent_dim=4, output="linear", seed=0)
    >>> gan.critic_scores(np.zeros((5, 2))).shape
    (5,)

    Args:
        generator: Keras model from noise z ~ N(0, I), ``(batch,
            latent_dim)``, to examples.
        discriminator: Keras model from examples to logits ``(batch,)``,
            linear at its end.
        loss: One of the table.
        r1: Weight γ ≥ 0 of (γ/2) E‖∇D(x)‖² at real rows, added to D's loss;
            it makes the game converge near its solution (Mescheder et al.
            2018).
        r2: The same at generated rows.
        data_range: ``(low, high)`` in which data may lie, each a number or
            ``None`` for no bound. The default is the range of the
            generator's last activation: [0, 1] for a sigmoid, [−1, 1] for a
            tanh, no bounds for any other.
        seed: Integer seed of the noise, or ``None``.

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
            not meet; a discriminator that ends in a sigmoid or softmax; from
            ``fit`` and ``evaluate``, before any step, rows of wrong shape,
            with NaN or outside the range, a target, sample weights, a batch
            of one, or a loss given to ``compile``.
    """

    METRICS = (
        "discriminator_loss",
        "generator_loss",
        "real_accuracy",
        "fake_accuracy",
    )
    weighted = False
    min_batch = 2  # one row has no statistics and no partner in a pair

    def __init__(
        self,
        generator,
        discriminator,
        *,
        loss="non_saturating",
        r1=0.0,
        r2=0.0,
        data_range=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.generator, self.discriminator = generator, discriminator
        self._loss = check.check_choice(loss, "loss", LOSSES)
        self.r1 = check.check_number(r1, "r1", 0.0)
        self.r2 = check.check_number(r2, "r2", 0.0)
        self._check_networks()
        self.data_range = _check_range(data_range, generator)
        self.seed = check.check_seed(seed)
        self.noise = keras.random.SeedGenerator(self.seed)
        for name in self.METRICS:
            setattr(self, f"{name}_tracker", keras.metrics.Mean(name=name))
        self.built = True

    @builds("generator", "discriminator")
    def dense(
        input_shape,
        latent_dim,
        *,
        generator_widths=(128,),
        critic_widths=(128,),
        output="sigmoid",
        seed=None,
        dtype=None,
    ):
        """A game of two dense networks.

        Args:
            input_shape: Shape of one example, such as ``(2,)``.
            latent_dim: Entries of the noise.
            generator_widths: Hidden units of G, noise side first.
            critic_widths: Hidden units of D, data side first.
            output: Activation of G's output: ``"sigmoid"`` for data in
                [0, 1], ``"tanh"`` for [−1, 1], ``"linear"`` for any.
            seed: Integer seed of initial weights and noise, or ``None``.
            dtype: Dtype policy of networks and model.
            **objective: As for the class.
        """
        sizes = (input_shape, latent_dim, generator_widths, critic_widths)
        return _players("dense", *sizes, output, seed, dtype)

    @builds("generator", "discriminator")
    def conv(
        input_shape,
        latent_dim,
        *,
        generator_widths=(64, 32),
        critic_widths=(32, 64),
        output="sigmoid",
        seed=None,
        dtype=None,
    ):
        """As :meth:`dense`, of convolutions of stride 2.

        Widths are filters, at least one; each halves or doubles the sides.
        """
        sizes = (input_shape, latent_dim, generator_widths, critic_widths)
        return _players("conv", *sizes, output, seed, dtype)

    @property
    def loss(self):
        """Name of the losses, of the constructor's table."""
        return self._loss

    @loss.setter
    def loss(self, from_compile):
        """Keras notes here what ``compile`` was given; ``fit`` refuses it."""

    def _check_networks(self):
        noise = self.input_of(self.generator, "z", "generator")
        taken = self.input_of(self.discriminator, "x", "discriminator")
        _, made = shapes_of(self.generator, "generator")
        if len(noise) != 1 or None in noise:
            expected = "noise of shape (latent_dim,) for its input z"
            check.fail("generator", expected, f"{noise}")
        if None in made:
            expected = "a model to examples of a known shape"
            check.fail("generator", expected, f"{made}")
        if not check.agree(taken, made):
            expected = f"inputs of shape {made}, what the generator makes"
            check.fail("discriminator", expected, f"{taken}")
        check_scores(self.discriminator, "discriminator")
        (self.latent_dim,), self.event_shape = noise, made

    # ----------------------------------------------- what the players are told

    def input_of(self, network, key, name):
        """Shape of the input of that name, or say that there are others."""
        shape, _ = shapes_of(network, name)
        if not isinstance(shape, tuple):
            check.fail(name, f"a model of one input, {key}", "more inputs")
        return shape

    def rows(self, inputs):
        """The real rows in what ``fit`` passes on."""
        return inputs

    def told(self, key, value, inputs):
        """Input of a player: z or x, and what else the batch says of it."""
        return value

    # ----------------------------------------------------------- objective

    def call(self, inputs, training=False):
        """Score real and generated rows, the latter once for each player."""
        z = keras.random.normal(
            (ops.shape(self.rows(inputs))[0], self.latent_dim),
            dtype=self.compute_dtype,
            seed=self.noise,
        )
        samples = self.generator(self.told("z", z, inputs), training=training)
        fixed = ops.stop_gradient(samples)  # D's loss must not move G
        real, fake, fooled = (
            self.told("x", x, inputs)
            for x in (self.rows(inputs), fixed, samples)
        )
        return {
            "samples": samples,
            "real_scores": self.discriminator(real, training=training),
            "fake_scores": self.discriminator(fake, training=training),
            "generator_scores": pure_scores(
                self.discriminator, fooled, training, fixed_weights=True
            ),
        }

    def player_losses(self, real, fake, fooled):
        """Losses of D and of G, each ``(batch,)``, from float32 scores."""
        if self.loss == "least_squares":
            d_loss = 0.5 * (ops.square(real - 1.0) + ops.square(fake))
            return d_loss, 0.5 * ops.square(fooled - 1.0)
        # −log σ(s) = softplus(−s) and −log(1 − σ(s)) = softplus(s)
        d_loss = ops.softplus(-real) + ops.softplus(fake)
        if self.loss == "saturating":
            return d_loss, -ops.softplus(fooled)
        return d_loss, ops.softplus(-fooled)

    def boundary(self, real, fake):
        """Score above which a row counts as taken for real."""
        return 0.5 if self.loss == "least_squares" else 0.0

    def squared_gradient_norm(self, x, inputs=None, training=False):
        """‖∇ₓ D(x)‖² of each row, ``(batch,)``, summed over event axes.

        Args:
            x: Rows at which D is differentiated.
            inputs: The batch, for what it says of the rows beside x.
            training: Whether layers of D behave as in training.
        """
        gradient = input_gradient(
            lambda rows: pure_scores(
                self.discriminator, self.told("x", rows, inputs), training
            ),
            x,
        )
        gradient = ops.cast(gradient, "float32")
        axes = list(range(1, len(gradient.shape)))
        return ops.sum(ops.square(gradient), axis=axes)

    def penalty(self, inputs, samples, training):
        """What is added to D's loss: scalar, or ``(batch,)``."""
        total = 0.0
        for weight, x in ((self.r1, self.rows(inputs)), (self.r2, samples)):
            if weight:
                norm = self.squared_gradient_norm(x, inputs, training)
                total = total + 0.5 * weight * norm
        return total

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        real, fake, fooled = (
            ops.cast(y_pred[f"{name}_scores"], "float32")
            for name in ("real", "fake", "generator")
        )
        d_loss, g_loss = self.player_losses(real, fake, fooled)
        samples = ops.stop_gradient(y_pred["samples"])
        d_loss = d_loss + self.penalty(x, samples, training)
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

    # -------------------------------------------------------------- checks

    def check_data(self, x, y=None, name="x"):
        if y is not None:
            expected = f"none: {type(self).__name__} is not conditional"
            check.fail("y", expected, type(y).__name__)
        return self.check_rows(x, name), None

    def check_rows(self, x, name="x"):
        """Examples ``(n, *input_shape)`` in the range, or say what is not."""
        low, high = self.data_range
        return check.check_array(
            x, name, event_shape=self.event_shape, low=low, high=high
        )

    # --------------------------------------------------------------- verbs

    def generate(self, z):
        """G(z): float32 array ``(n, *input_shape)`` from noise ``(n, k)``."""
        z = check.check_array(z, "z", event_shape=(self.latent_dim,))
        return in_batches(self.generator, z)

    def sample(self, n, *, seed=None):
        """Generate from n draws z ~ N(0, I).

        Args:
            n: Number of examples.
            seed: Integer for the same noise on every backend, or ``None``.

        Returns:
            Float32 array ``(n, *input_shape)``, in the range of the output.
        """
        return self.generate(_normal(n, self.latent_dim, seed))

    def critic_scores(self, x):
        """D(x) of each row, ``(n,)``: larger means taken for real."""
        return in_batches(self.discriminator, self.check_rows(x))


@keras.saving.register_keras_serializable(package=PACKAGE)
class ConditionalGAN(GAN):
    """Both players see the class (Mirza and Osindero 2014).

    The course's own critic takes it by projection (Miyato and Koyama 2018).

    ``fit(x, y)`` takes integer labels, ``call`` and ``predict`` a dict
    ``{"x", "labels"}``. Each batch's labels go to G with fresh noise, and to
    D with the real and with the generated rows, so that D learns to refuse a
    good picture of the wrong class.

    Example:

    >>> gan = ConditionalGAN.dense((2,), latent_dim=4, num_classes=3, seed=0)
    >>> gan.sample(2, labels=[0, 2], seed=1).shape
    (2, 2)

    Args:
        generator: Keras model from a dict ``{"z", "labels"}``, labels
            ``(batch,)`` integers, to examples.
        discriminator: Keras model from a dict ``{"x", "labels"}`` to logits.
        num_classes: Number of classes; labels are 0 … num_classes − 1.
        loss, r1, r2, data_range, seed: As for :class:`GAN`.

    Raises:
        ValueError: as for :class:`GAN`; labels missing, out of range, not
            integers, or not one for each row.
    """

    def __init__(
        self,
        generator,
        discriminator,
        num_classes,
        *,
        loss="non_saturating",
        r1=0.0,
        r2=0.0,
        data_range=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            generator,
            discriminator,
            loss=loss,
            r1=r1,
            r2=r2,
            data_range=data_range,
            seed=seed,
            **kwargs,
        )
        self.num_classes = check.check_int(num_classes, "num_classes", 2)

    @builds("generator", "discriminator")
    def dense(
        input_shape,
        latent_dim,
        num_classes,
        *,
        generator_widths=(128,),
        critic_widths=(128,),
        output="sigmoid",
        seed=None,
        dtype=None,
    ):
        """As :meth:`GAN.dense`, with labels as one-hot vectors."""
        sizes = (input_shape, latent_dim, generator_widths, critic_widths)
        return _players("dense", *sizes, output, seed, dtype, num_classes)

    @builds("generator", "discriminator")
    def conv(
        input_shape,
        latent_dim,
        num_classes,
        *,
        generator_widths=(64, 32),
        critic_widths=(32, 64),
        output="sigmoid",
        seed=None,
        dtype=None,
    ):
        """As :meth:`GAN.conv`, with labels as one-hot vectors."""
        sizes = (input_shape, latent_dim, generator_widths, critic_widths)
        return _players("conv", *sizes, output, seed, dtype, num_classes)

    def input_of(self, network, key, name):
        shape, _ = shapes_of(network, name)
        wanted = sorted({key, "labels"})
        if not isinstance(shape, dict) or sorted(shape) != wanted:
            found = sorted(shape) if isinstance(shape, dict) else "no dict"
            check.fail(name, f"a model of a dict with {wanted}", f"{found}")
        return shape[key]

    def rows(self, inputs):
        return inputs["x"]

    def takes(self):
        labels = spec_of((), "int32")
        return {"x": spec_of(self.event_shape), "labels": labels}

    def told(self, key, value, inputs):
        # JAX run eagerly hands over NumPy rows; Keras wants all tensors or none
        value = ops.convert_to_tensor(value)
        return {key: value, "labels": ops.cast(inputs["labels"], "int32")}

    def check_data(self, x, y=None, name="x"):
        if isinstance(x, dict):
            if y is not None:
                check.fail("y", "none beside a dict, which has labels", "some")
            return self.check_input(x, name), None
        x = self.check_rows(x, name)
        return {"x": x, "labels": self.check_labels(y, len(x), "y")}, None

    def check_input(self, x, name="x"):
        if not isinstance(x, dict) or sorted(x) != ["labels", "x"]:
            found = sorted(x) if isinstance(x, dict) else type(x).__name__
            check.fail(name, "a dict of x and labels", f"{found}")
        rows = self.check_rows(x["x"], name)
        return {"x": rows, "labels": self.check_labels(x["labels"], len(rows))}

    def check_labels(self, labels, num_rows, name="labels"):
        """Classes ``(num_rows,)`` as int32, or say what is wrong with them."""
        if labels is None:
            check.fail(name, f"{num_rows} integer labels", "none")
        labels = check.check_labels(labels, name, num_rows, self.num_classes)
        return labels.astype("int32")

    def generate(self, z, labels):
        """G(z, y): float32 array ``(n, *input_shape)``.

        Args:
            z: Noise ``(n, latent_dim)``.
            labels: Classes ``(n,)``.
        """
        z = check.check_array(z, "z", event_shape=(self.latent_dim,))
        labels = self.check_labels(labels, len(z))
        return in_batches(self.generator, {"z": z, "labels": labels})

    def sample(self, n, *, labels, seed=None):
        """As :meth:`GAN.sample`, of the classes ``labels``, ``(n,)``."""
        return self.generate(_normal(n, self.latent_dim, seed), labels)

    def critic_scores(self, x, labels):
        """D(x, y) of each row, ``(n,)``: larger means taken for real."""
        x = self.check_rows(x)
        labels = self.check_labels(labels, len(x))
        return in_batches(self.discriminator, {"x": x, "labels": labels})


@keras.saving.register_keras_serializable(package=PACKAGE)
class WGANGP(GAN):
    """Critic of slope one instead of a classifier (Gulrajani et al. 2017).

    The critic minimises E D(G(z)) − E D(x) + λ E (‖∇D(x̄)‖ − 1)², G
    minimises −E D(G(z)). Each x̄ = α x + (1 − α) G(z) has its *own* α
    ~ U(0, 1). The negated first two terms, the metric ``wasserstein``,
    estimate the Wasserstein-1 distance between data and samples, in units of
    the data, as far as the critic is near its optimum.

    Example:

    >>> gan = WGANGP.dense((2,), 4, output="linear", gradient_penalty=1.0)
    >>> gan.sample(5, seed=1).shape
    (5, 2)

    Args:
        generator, r1, r2, data_range: As for :class:`GAN`.
        discriminator: As for :class:`GAN`; its scores have no natural zero.
        gradient_penalty: Weight λ ≥ 0 of the penalty.
        seed: As for :class:`GAN`, of the α as well.
    """

    METRICS = (*GAN.METRICS, "wasserstein", "gradient_penalty")

    def __init__(
        self,
        generator,
        discriminator,
        *,
        gradient_penalty=10.0,
        r1=0.0,
        r2=0.0,
        data_range=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            generator,
            discriminator,
            r1=r1,
            r2=r2,
            data_range=data_range,
            seed=seed,
            **kwargs,
        )
        self.gradient_penalty = check.check_number(
            gradient_penalty, "gradient_penalty", 0.0
        )

    def player_losses(self, real, fake, fooled):
        self.wasserstein_tracker.update_state(real - fake)
        return fake - real, -fooled

    def boundary(self, real, fake):
        return _halfway(real, fake)

    def penalty(self, inputs, samples, training):
        x = ops.cast(self.rows(inputs), "float32")
        shape = (ops.shape(x)[0], *(1 for _ in self.event_shape))
        alpha = keras.random.uniform(shape, seed=self.noise)
        between = alpha * x + (1.0 - alpha) * ops.cast(samples, "float32")
        squared = self.squared_gradient_norm(between, inputs, training)
        # the small constant keeps the square root's slope finite at zero
        excess = ops.square(ops.sqrt(squared + 1e-12) - 1.0)
        self.gradient_penalty_tracker.update_state(excess)
        extra = super().penalty(inputs, samples, training)
        return self.gradient_penalty * excess + extra


@keras.saving.register_keras_serializable(package=PACKAGE)
class RelativisticGAN(GAN):
    """Real and generated rows scored in pairs, with R1 and R2.

    D minimises the mean of −log σ(s − s̃) over pairs of a real and a
    generated row, G that of −log σ(s̃ − s) (Jolicoeur-Martineau 2018). Each
    generated row is held against a real one, whichever mode that is of.
    Both gradient penalties, which make the game converge near its solution,
    are the addition of Huang et al. (2024, "The GAN is dead; long live the
    GAN!").

    Example:

    >>> gan = RelativisticGAN.dense((2,), latent_dim=4, output="linear")
    >>> gan.sample(5, seed=1).shape
    (5, 2)

    Args:
        generator, data_range, seed: As for :class:`GAN`.
        discriminator: As for :class:`GAN`; its scores have no natural zero.
        r1: Weight of the penalty at real rows.
        r2: Weight of the penalty at generated rows.
    """

    def __init__(
        self,
        generator,
        discriminator,
        *,
        r1=0.1,
        r2=0.1,
        data_range=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            generator,
            discriminator,
            r1=r1,
            r2=r2,
            data_range=data_range,
            seed=seed,
            **kwargs,
        )

    def player_losses(self, real, fake, fooled):
        real_fixed = ops.stop_gradient(real)  # G's loss must not move D
        return ops.softplus(fake - real), ops.softplus(real_fixed - fooled)

    def boundary(self, real, fake):
        return _halfway(real, fake)


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


def one_once_known(loss):
    """The number 1, or NaN where the loss is not finite.

    As a factor of the loss it makes every gradient wait for the whole of
    it. Otherwise TensorFlow's graph optimiser, seeing that D's update needs
    nothing of G's path through D, drops the order of the two, and now and
    then G is differentiated through a D that has already moved.
    """
    return ops.where(ops.isfinite(ops.stop_gradient(loss)), 1.0, float("nan"))


def check_scores(critic, name):
    """Refuse a critic that does not give one unbounded score an example."""
    _, scores = shapes_of(critic, name)
    if scores != ():
        expected = "scores of shape (batch,): end in keras.layers.Reshape(())"
        check.fail(name, expected, f"{(None, *scores)}")
    last = networks.last_activation(critic)
    if last in ("sigmoid", "hard_sigmoid", "softmax"):
        check.fail(
            name,
            "scores of any size, as of a linear last layer: the loss takes "
            "logits, not probabilities",
            f"one that ends in a {last}",
        )


def _halfway(real, fake):
    """Between the mean scores, for games where only differences count."""
    return 0.5 * (ops.mean(real) + ops.mean(fake))


def _normal(n, latent_dim, seed):
    shape = (check.check_int(n, "n"), latent_dim)
    return np.random.default_rng(seed).standard_normal(shape, "float32")


def _check_range(data_range, generator):
    """``(low, high)``, given or implied by the generator's activation."""
    if data_range is None:
        last = networks.last_activation(generator)
        return RANGES.get(last, (None, None))
    expected = "None, or (low, high), each a number or None"
    if not isinstance(data_range, (tuple, list)) or len(data_range) != 2:
        check.fail("data_range", expected, repr(data_range))
    low, high = (
        None if end is None else check.check_number(end, "data_range")
        for end in data_range
    )
    if None not in (low, high) and low >= high:
        check.fail("data_range", "low < high", f"({low:g}, {high:g})")
    return low, high


def _players(
    network,
    input_shape,
    latent_dim,
    generator_widths,
    critic_widths,
    output,
    seed,
    dtype,
    num_classes=None,
):
    """The course's generator and critic of one kind of network."""
    if num_classes is not None:
        num_classes = check.check_int(num_classes, "num_classes", 2)
    shape = check.check_shape(input_shape, "input_shape")
    widths = {
        "generator_widths": generator_widths,
        "critic_widths": critic_widths,
    }
    for name, given in widths.items():
        widths[name] = check.check_widths(given, name)
        if network == "conv" and not widths[name]:
            check.fail(name, "at least one stage for 'conv'", "()")
    shared = {
        "network": network,
        "num_classes": num_classes,
        "seed": check.check_seed(seed),
        "dtype": dtype,
    }
    generator = networks.generator(
        check.check_int(latent_dim, "latent_dim"),
        shape,
        widths["generator_widths"],
        output=check.check_choice(output, "output", OUTPUTS),
        **shared,
    )
    critic = networks.critic(shape, widths["critic_widths"], **shared)
    return generator, critic
