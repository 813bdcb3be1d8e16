"""What all adversarial models share: networks, checks, verbs.

A subclass adds the objective: ``call`` and ``compute_loss``.
"""

import keras
import numpy as np
from keras import ops

from utils import _validation as check
from utils import networks
from utils._batches import in_batches
from utils._course_model import OwnLossModel

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
