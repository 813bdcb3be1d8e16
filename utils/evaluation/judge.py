"""A classifier trained in the course, by which generated images are judged."""

import keras
import numpy as np
from keras import ops

from utils.models.base import CourseModel, builds, shapes_of, weighted_mean
from utils.nn import networks
from utils.nn.layers import PACKAGE, Corruption
from utils.support import validation as check
from utils.support.batches import in_batches
from utils.training import recipes

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

    Example:

    >>> body = keras.Sequential(
    ...     [
    ...         keras.Input((8, 8, 1)),
    ...         keras.layers.Flatten(),
    ...         keras.layers.Dense(32, "relu"),
    ...     ]
    ... )
    >>> head = keras.Sequential([keras.Input((32,)), keras.layers.Dense(10)])
    >>> judge = Judge(body, head)
    >>> judge.features(np.zeros((5, 8, 8, 1))).shape
    (5, 32)

    The course's own, untrained:

    >>> judge = Judge.conv((8, 8, 1), num_classes=10, num_features=32, seed=0)
    >>> judge.features(np.zeros((5, 8, 8, 1))).shape
    (5, 32)

    Args:
        body: Keras model from images to features ``(batch, num_features)``.
        head: Keras model from features to logits ``(batch, num_classes)``.
        seed: Integer seed ≥ 0 of noise and dropout while training, or
            ``None``.

    Loss:
        Cross-entropy of the classes in nats, mean over the batch, plus
        ``self.losses``. The metric ``accuracy`` is the share of images whose
        most probable class is right.

    Raises:
        ValueError: networks whose shapes do not meet, fewer than two
            classes; from ``fit``, :meth:`trained_on` and the verbs, images
            of another shape or with NaN, labels that are no integers from 0
            to ``num_classes − 1``.
    """

    def __init__(self, body, head, *, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.body, self.head = body, head
        self.event_shape, features = shapes_of(body, "body")
        taken, logits = shapes_of(head, "head")
        if len(features) != 1 or taken != features:
            expected = "a vector of features, which the head takes"
            check.fail("body", expected, f"{features}; the head takes {taken}")
        if len(logits) != 1 or logits[0] < 2:
            check.fail("head", "logits of two classes or more", f"{logits}")
        self.num_features, self.num_classes = features[0], logits[0]
        self.seed = check.check_seed(seed)
        # a little noise: generated images are never as clean as real ones
        self.noise = Corruption("gaussian", 0.1, seed=seed)
        self.dropout = keras.layers.Dropout(0.3, seed=seed)
        self.accuracy_tracker = keras.metrics.Mean(name="accuracy")
        self.built = True

    @builds("body", "head")
    def dense(
        input_shape,
        num_classes=10,
        *,
        widths=(512,),
        num_features=64,
        seed=None,
        dtype=None,
    ):
        """Dense layers, features after a ReLU, one linear layer of logits.

        Args:
            input_shape: Shape of one image, such as ``(8, 8, 1)``.
            num_classes: Number of classes ≥ 2.
            widths: Hidden units before the features.
            num_features: Width of the penultimate layer.
            seed: Integer seed ≥ 0 of weights, noise and dropout, or
                ``None``.
            dtype: Dtype policy of networks and model.
        """
        check.check_int(num_features, "num_features")
        shared = {"code_activation": "relu", "seed": seed, "dtype": dtype}
        body, _ = networks.dense_pair(
            input_shape, num_features, widths, **shared
        )
        return body, _head(num_features, num_classes, seed, dtype)

    @builds("body", "head")
    def conv(
        input_shape,
        num_classes=10,
        *,
        widths=(32, 64),
        num_features=64,
        seed=None,
        dtype=None,
    ):
        """As :meth:`dense`, of convolutions of stride 2.

        ``widths`` are filters, at least one; each halves the sides.
        """
        check.check_int(num_features, "num_features")
        shared = {"code_activation": "relu", "seed": seed, "dtype": dtype}
        body, _ = networks.conv_pair(
            input_shape, num_features, widths, **shared
        )
        return body, _head(num_features, num_classes, seed, dtype)

    @classmethod
    def trained_on(
        cls, x_train, y_train, *, network="dense", epochs=None, seed=0
    ):
        """A judge fitted to labelled images; see the class.

        Args:
            x_train: Training images ``(n, …)``. Judge with it only models
                that saw the same training rows or none.
            y_train: Integer labels ``(n,)``; every class from 0 to the
                largest must occur.
            network: Which of the course's own: ``"dense"`` or ``"conv"``.
            epochs: Passes over the rows; ``None`` takes as many as make
                about 450 steps, but at least 4.
            seed: Integer ≥ 0: weights, dropout and order of the rows.

        Returns:
            The fitted judge. Global random state is set by ``seed``.
        """
        x_train = check.check_array(x_train, "x_train", min_rows=2)
        y_train = _check_classes(y_train, len(x_train))
        check.check_choice(network, "network", ("dense", "conv"))
        size = 128 if len(x_train) > 10_000 else 64
        steps = -(-len(x_train) // size)
        if epochs is None:
            epochs = max(4, round(450 / steps))
        epochs = check.check_int(epochs, "epochs")
        keras.utils.set_random_seed(check.check_int(seed, "seed", minimum=0))
        make = cls.dense if network == "dense" else cls.conv
        judge = make(x_train.shape[1:], int(y_train.max()) + 1, seed=seed)
        recipes.compile(judge, 2e-3, updates=epochs * steps)
        judge.fit(x_train, y_train, batch_size=size, epochs=epochs, verbose=0)
        return judge

    # ----------------------------------------------------------- objective

    def call(self, inputs, training=False):
        """Logits of the classes, ``(batch, num_classes)``."""
        inputs = self.noise(inputs, training=training)
        features = self.body(inputs, training=training)
        features = self.dropout(features, training=training)
        return self.head(features, training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        logits, y = ops.cast(y_pred, "float32"), ops.cast(y, "int32")
        error = keras.losses.sparse_categorical_crossentropy(
            y, logits, from_logits=True
        )  # (batch,)
        guess = ops.cast(ops.argmax(logits, axis=-1), "int32")
        right = ops.cast(ops.equal(guess, y), "float32")
        self.accuracy_tracker.update_state(right, sample_weight)
        return self.add_losses(weighted_mean(error, sample_weight))

    # -------------------------------------------------------------- checks

    def check_data(self, x, y=None, name="x"):
        x = self.check_input(x, name)
        if y is None:
            check.fail("y", "a class for each image, fit(x, y)", "None")
        return x, check.check_labels(y, "y", len(x), self.num_classes)

    def check_input(self, x, name="x"):
        return check.check_array(x, name, event_shape=self.event_shape)

    def class_ids(self, y):
        return y[1]

    # --------------------------------------------------------------- verbs

    def features(self, x):
        """Penultimate layer: float32 array ``(n, num_features)``, ≥ 0."""
        return in_batches(self.body, self.check_input(x))

    def classify(self, x):
        """Probabilities of the classes: float32 array ``(n, num_classes)``."""
        return in_batches(
            lambda batch: ops.softmax(self(batch)), self.check_input(x)
        )

    def predict_classes(self, x):
        """Most probable class of each image: int64 array ``(n,)``."""
        return self.classify(x).argmax(axis=1)

    def accuracy(self, x, y):
        """Share of images whose most probable class is y: a float."""
        classes = self.predict_classes(x)
        y = check.check_labels(y, "y", len(classes), self.num_classes)
        return float(np.mean(classes == y))


def _head(num_features, num_classes, seed, dtype):
    """One linear layer from features to logits."""
    layer = keras.layers.Dense(
        check.check_int(num_classes, "num_classes", 2),
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        name="head",
        dtype=dtype,
    )
    inputs = keras.Input((num_features,), name="features")
    return keras.Model(inputs, layer(inputs), name="head")


def _check_classes(y, num_rows):
    """Labels 0, 1, …, all present, at least two."""
    y = check.check_labels(y, "y_train", num_rows=num_rows)
    found = np.unique(y)
    if len(found) < 2 or not np.array_equal(found, np.arange(len(found))):
        listed = ", ".join(str(label) for label in found[:12])
        check.fail("y_train", "labels 0, 1, … without a gap", listed)
    return y
