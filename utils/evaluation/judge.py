"""A classifier trained in the course, by which generated images are judged."""

import keras
import numpy as np

from utils.models._old_base import CourseModel
from utils.nn import networks
from utils.nn.layers import PACKAGE, Corruption
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = ["Judge"]


@keras.saving.register_keras_serializable(package=PACKAGE)
class Judge(CourseModel):
    """Tells classes apart, and lends its inner layer as a ruler.

    Two images of a seven may differ in most of their pixels, while a blot
    halfway between two digits is close to both: distances between pixels
    say little about what a picture shows. The penultimate layer of a
    classifier has learned to ignore how a digit is drawn and to keep which
    one it is, so sets of images are compared there: by
    ``generation.frechet_distance``, ``density_coverage`` and others.

    What such a distance is not: it is no Fréchet *Inception* distance and no
    published number compares with it; it depends on this judge, its seed and
    its training rows, so that only numbers of one judge may be compared; and
    a judge of classes is blind to what does not help to tell classes apart.
    It must never share weights with the model that it judges, nor see its
    samples while it is trained.

    The usual way to get one is :meth:`trained_on`.

    Args:
        input_shape: Shape of one image, such as ``(8, 8, 1)``.
        num_classes: Number of classes ≥ 2.
        network: ``"dense"`` or ``"conv"`` (two stages of stride 2: sides
            divisible by 4).
        widths: Hidden units, or filters, before the features; ``None`` takes
            ``(512,)`` for dense and ``(32, 64)`` for conv.
        num_features: Width of the penultimate layer.
        seed: Integer seed ≥ 0 of weights and dropout, or ``None``.

    Raises:
        ValueError: a hyperparameter out of range; from :meth:`trained_on`
            and the verbs, images of another shape or with NaN, labels that
            are no integers from 0 to ``num_classes − 1``.

    Example:

    >>> judge = Judge((8, 8, 1), num_classes=10, num_features=32, seed=0)
    >>> judge.features(np.zeros((5, 8, 8, 1))).shape
    (5, 32)
    """

    def __init__(
        self,
        input_shape,
        num_classes=10,
        *,
        network="dense",
        widths=None,
        num_features=64,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.event_shape = check.check_shape(input_shape, "input_shape")
        self.num_classes = check.check_int(num_classes, "num_classes", 2)
        self.network = check.check_choice(
            network, "network", tuple(networks.BUILDERS)
        )
        if widths is None:
            widths = (512,) if network == "dense" else (32, 64)
        self.widths = check.check_widths(widths, "widths")
        self.num_features = check.check_int(num_features, "num_features")
        self.seed = seed = check.check_seed(seed)
        build, _ = networks.BUILDERS[network]
        self.feature_network = build(
            self.event_shape,
            self.num_features,
            self.widths,
            code_activation="relu",
            seed=seed,
            dtype=self.dtype_policy,
        )
        # a little noise: generated images are never as clean as real ones
        self.noise = Corruption("gaussian", 0.1, seed=seed)
        self.dropout = keras.layers.Dropout(0.3, seed=seed)
        self.head = keras.layers.Dense(
            self.num_classes,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            name="head",
        )
        self.head.build((None, self.num_features))
        self.built = True

    @classmethod
    def trained_on(
        cls,
        x_train,
        y_train,
        *,
        network="dense",
        epochs=None,
        seed=0,
        steps_per_execution=None,
    ):
        """A judge fitted to labelled images; see the class.

        Args:
            x_train: Training images ``(n, …)``. Judge with it only models
                that saw the same training rows or none.
            y_train: Integer labels ``(n,)``; every class from 0 to the
                largest must occur.
            network: ``"dense"`` or ``"conv"``.
            epochs: Passes over the rows; ``None`` takes as many as make
                about 450 steps, but at least 4.
            seed: Integer ≥ 0: weights, dropout and order of the rows.
            steps_per_execution: As in ``compile``; ``None`` takes 32 on
                TensorFlow, elsewhere 1.

        Returns:
            The fitted judge. Global random state is set by ``seed``.
        """
        x_train = check.check_array(x_train, "x_train", min_rows=2)
        y_train = _check_classes(y_train, len(x_train))
        backend = keras.backend.backend()
        size = 128 if len(x_train) > 10_000 else 64
        steps = -(-len(x_train) // size)
        if epochs is None:
            epochs = max(4, round(450 / steps))
        epochs = check.check_int(epochs, "epochs")
        if steps_per_execution is None:
            steps_per_execution = 32 if backend == "tensorflow" else 1
        keras.utils.set_random_seed(check.check_int(seed, "seed", minimum=0))
        judge = cls(
            x_train.shape[1:],
            int(y_train.max()) + 1,
            network=network,
            seed=seed,
        )
        schedule = keras.optimizers.schedules.CosineDecay(2e-3, epochs * steps)
        judge.compile(
            keras.optimizers.Adam(schedule),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=steps_per_execution,
            # compiling costs TensorFlow more than it saves on so few steps
            jit_compile=False if backend == "tensorflow" else "auto",
        )
        judge.fit(x_train, y_train, batch_size=size, epochs=epochs, verbose=0)
        return judge

    def call(self, inputs, training=False):
        """Logits of the classes, ``(batch, num_classes)``."""
        inputs = self.noise(inputs, training=training)
        features = self.feature_network(inputs)
        return self.head(self.dropout(features, training=training))

    def features(self, x):
        """Penultimate layer: float32 array ``(n, num_features)``, ≥ 0."""
        return in_batches(self.feature_network, self._check(x))

    def classes(self, x):
        """Most probable class of each image: int64 array ``(n,)``."""
        return in_batches(self, self._check(x)).argmax(axis=1)

    def accuracy(self, x, y):
        """Share of images whose most probable class is y: a float."""
        classes = self.classes(x)
        y = check.check_labels(y, "y", len(classes), self.num_classes)
        return float(np.mean(classes == y))

    def _check(self, x):
        return check.check_array(x, "x", event_shape=self.event_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "input_shape": list(self.event_shape),
            "num_classes": self.num_classes,
            "network": self.network,
            "widths": list(self.widths),
            "num_features": self.num_features,
            "seed": self.seed,
        }


def _check_classes(y, num_rows):
    """Labels 0, 1, …, all present, at least two."""
    y = check.check_labels(y, "y_train", num_rows=num_rows)
    found = np.unique(y)
    if len(found) < 2 or not np.array_equal(found, np.arange(len(found))):
        listed = ", ".join(str(label) for label in found[:12])
        check.fail("y_train", "labels 0, 1, … without a gap", listed)
    return y
