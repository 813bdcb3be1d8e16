"""Heads on codes: standardised, compiled, trained for a number of updates."""

import keras
import numpy as np
from keras import ops
from scipy.special import log_softmax

from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import in_batches
from utils.training import recipes

__all__ = [
    "Standardize",
    "check_labelled",
    "check_rows",
    "compile_classifier",
    "mean_cross_entropy",
    "fit_heads",
    "fit_updates",
    "input_dtype",
    "mean_and_size",
    "update_rows",
]


def mean_and_size(codes):
    """Mean vector ``(k,)`` of codes and one number: their size around it.

    The root mean square deviation over all entries, at least 10⁻⁶. One
    number for all keeps their proportions, which per-entry scaling would
    level.
    """
    mean = codes.mean(axis=0)
    return mean, np.float32(max((codes - mean).std(), 1e-6))


@keras.saving.register_keras_serializable(package=PACKAGE)
class Standardize(keras.layers.Layer):
    """Subtracts a mean vector and divides by one number; neither is trained.

    A head's learning rate means the same for every encoder only if their
    codes have the same size.

    Before :meth:`adapt` it is the identity.
    """

    def build(self, input_shape):
        width = input_shape[-1]
        self.mean = self.add_weight(
            name="mean", shape=(width,), initializer="zeros", trainable=False
        )
        self.scale = self.add_weight(
            name="scale", shape=(), initializer="ones", trainable=False
        )

    def adapt(self, codes):
        """Take both from codes ``(n, k)``: see :func:`mean_and_size`."""
        codes = check.check_array(codes, "codes", ndim=2, min_rows=2)
        if not self.built:
            self.build(codes.shape)
        mean, scale = mean_and_size(codes)
        self.mean.assign(mean)
        self.scale.assign(scale)

    def call(self, inputs):
        return (inputs - ops.cast(self.mean, inputs.dtype)) / ops.cast(
            self.scale, inputs.dtype
        )

    def compute_output_shape(self, input_shape):
        return input_shape


def check_rows(model, x):
    """Rows that fit a model's input, in its dtype: token ids stay whole."""
    x = check.check_array(x, "x", event_shape=model.input_shape[1:])
    return x.astype(input_dtype(model), copy=False)


def input_dtype(model):
    """Name of the dtype of a functional model's first input."""
    return keras.backend.standardize_dtype(model.inputs[0].dtype)


def check_labelled(classifier, x, y):
    """Rows and labels that fit a classifier."""
    x = check_rows(classifier, x)
    classes = classifier.output_shape[-1]
    return x, check.check_labels(y, "y", len(x), num_classes=classes)


def compile_classifier(classifier, rate):
    """Adam and the cross-entropy of logits, with the accuracy."""
    recipes.compile(
        classifier,
        rate,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    # Variables made while TensorFlow traces a step have it trace it twice:
    # hence a metric instead of its name, and the optimizer's moments here.
    classifier.optimizer.build(classifier.trainable_variables)


def update_rows(num_rows, updates, batch_size, rng):
    """Row numbers of a given number of batches: passes, each shuffled."""
    needed = updates * batch_size
    passes = -(-needed // num_rows)
    rows = [rng.permutation(num_rows) for _ in range(passes)]
    return np.concatenate(rows)[:needed]


def fit_updates(classifier, x, y, updates, batch_size, rng):
    """Exactly ``updates`` steps of a compiled classifier."""
    if not updates:
        return
    rows = update_rows(len(x), updates, batch_size, rng)
    classifier.fit(
        x[rows], y[rows], batch_size=batch_size, shuffle=False, verbose=0
    )


def mean_cross_entropy(classifier, x, y):
    """Mean −log p(y|x) in nats over all rows, a float."""
    logits = in_batches(lambda rows: classifier(rows, training=False), x)
    log_p = log_softmax(logits.astype("float64"), axis=1)
    return float(-log_p[np.arange(len(y)), y].mean())


def fit_heads(codes, labels, order, classes, *, rate, stops):
    """Softmax layers on several runs' codes, trained side by side by Adam.

    What Keras does for a dense layer, in NumPy and for all runs at once: a
    race for labels trains hundreds of heads, and five of 800 steps take
    0.1 s here and 10 s in ``fit`` on TensorFlow.

    Args:
        codes: Array ``(runs, rows, k)``.
        labels: Their labels ``(runs, rows)``.
        order: Rows of each step, integers ``(runs, steps, batch)``.
        classes: Number of outputs.
        rate: Adam's learning rate; other settings are Keras's.
        stops: Numbers of steps after which a copy is kept, ascending, none
            above ``steps``.

    Returns:
        Array ``(stops, runs, k + 1, classes)``: kernels, the bias as their
        last row, from a start at zero.
    """
    runs, rows, width = codes.shape
    codes = np.concatenate([codes, np.ones((runs, rows, 1), codes.dtype)], 2)
    targets = np.eye(classes, dtype=codes.dtype)[labels]
    weights = np.zeros((runs, width + 1, classes), codes.dtype)
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    run, kept = np.arange(runs)[:, None], []
    for step in range(1, stops[-1] + 1):
        rows = order[:, step - 1]
        x = codes[run, rows]  # (runs, batch, k + 1)
        logits = x @ weights
        p = np.exp(logits - logits.max(axis=2, keepdims=True))
        p /= p.sum(axis=2, keepdims=True)
        error = (p - targets[run, rows]) / rows.shape[1]
        slope = np.swapaxes(x, 1, 2) @ error
        first += 0.1 * (slope - first)
        second += 0.001 * (slope**2 - second)
        size = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weights = weights - size * first / (np.sqrt(second) + 1e-7)
        if step in stops:
            kept.append(weights)
    return np.stack(kept)
