"""The faults of the articles' pretraining on film reviews, twice.

As ``test_errata.py``: each test makes the fault happen in a few lines of its
own, then shows the right form beside it, with the library's models of texts.
"""

import keras
import numpy as np
import pytest
from contracts import EAGERLY
from keras import ops

from utils.data import corpora
from utils.data.tokens import Vocabulary
from utils.models.text import DenoisingText, TextClassifier

STEPS = 16 if keras.backend.backend() == "tensorflow" else 1


@pytest.fixture(scope="module")
def texts():
    """Animals against artifacts: (ids, labels) for training and test."""
    found = corpora.load_definitions()
    vocabulary = Vocabulary.fit(found.texts_train, 1000)
    parts = []
    for some, y in (
        (found.texts_train, found.y_train),
        (found.texts_test, found.y_test),
    ):
        rows = np.flatnonzero(y < 2)
        ids = vocabulary.encode([some[i] for i in rows], 16)
        parts.append((ids, y[rows]))
    return parts


def trained_head(x, y):
    """A dense classifier of vectors, as the article's would have been."""
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Dense(16, "relu"),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(1e-2),
        "binary_crossentropy",
        steps_per_execution=STEPS,
    )
    model.fit(x, y[:, None], batch_size=64, epochs=6, verbose=0)
    return model


def accuracy(p, y):
    return np.mean((np.ravel(p) > 0.5) == y)


def test_e073_noise_instead_of_texts_teaches_nothing(texts):
    (ids, y), (ids_test, y_test) = texts
    rng = np.random.default_rng(0)
    # the fault: rows as many as there are texts, of Gaussian noise
    noise = rng.standard_normal((1500, 100)).astype("float32")
    noise_test = rng.standard_normal((len(y_test), 100)).astype("float32")
    model = trained_head(noise, y[:1500])
    training = accuracy(model.predict(noise, verbose=0), y[:1500])
    held_out = accuracy(model.predict(noise_test, verbose=0), y_test)
    assert training > 0.65  # it looks like learning
    assert abs(held_out - 0.5) < 0.1
    # the right form: token ids; and shuffled labels, which must fail
    found = {}
    model = TextClassifier.bag(1000, 16, num_classes=2, seed=0)
    model.compile(keras.optimizers.Adam(1e-2), steps_per_execution=STEPS)
    start = model.get_weights()
    for name, labels in (("real", y), ("shuffled", rng.permutation(y))):
        model.set_weights(start)
        model.fit(ids, labels, batch_size=64, epochs=2, verbose=0)
        found[name] = accuracy(model.classify(ids_test)[:, 1], y_test)
    assert found["real"] > 0.85
    assert abs(found["shuffled"] - 0.5) < 0.12
    with pytest.raises(ValueError, match="integer token ids"):
        model.fit(noise, y[:1500], verbose=0)


def test_e074_flatten_does_nothing_and_padding_is_masked(texts):
    rows = np.zeros((4, 100), "float32")
    flat = keras.layers.Flatten()(rows)
    assert tuple(flat.shape) == (4, 100)  # the fault: no layer at all
    (ids, _), _ = texts
    assert ids.shape[1] == 16 and ids.max() < 1000
    model = TextClassifier.bag(1000, 16, num_classes=2, seed=0)
    longer = np.pad(ids[:50], ((0, 0), (0, 30)))
    np.testing.assert_allclose(
        model.classify(ids[:50]), model.classify(longer), atol=1e-6
    )
    # a mean without the mask moves with every zero
    table = model.encoder.get_weights()[0]
    assert not np.allclose(
        table[ids[:50]].mean(1), table[longer].mean(1), atol=1e-3
    )


def test_e075_sixteen_outputs_do_not_fit_a_hundred_targets(texts):
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(16)])
    model.compile("sgd", "mse")
    rows = np.zeros((32, 100), "float32")
    with pytest.raises(Exception, match="16"):
        model.fit(rows, rows, verbose=0)
    # right: the decoder has an output for each word of the vocabulary
    (ids, _), _ = texts
    outputs = DenoisingText.bag(1000, 16, seed=0)(ids[:5])
    assert tuple(outputs["code"].shape) == (5, 16)
    assert tuple(outputs["logits"].shape) == (5, 1000)


def test_e076_a_batch_of_sixteen_hides_the_wrong_shape():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 5)).astype("float32")
    y = rng.integers(0, 2, 64).astype("float32")
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(16, "sigmoid")]
    )
    model.compile("sgd", "mse", run_eagerly=EAGERLY)
    with pytest.raises(Exception, match="32"):
        model.fit(x, y, batch_size=32, verbose=0)
    model.fit(x, y, batch_size=16, verbose=0)  # no complaint
    outputs = ops.convert_to_numpy(model(x[:16]))
    mixed = keras.losses.mean_squared_error(y[:16], outputs)
    columns = ((y[None, :16] - outputs) ** 2).mean(1)  # label j, column j
    np.testing.assert_allclose(ops.convert_to_numpy(mixed), columns, rtol=1e-4)
    # right: one number a text, its label beside it, at any batch size
    ids = rng.integers(3, 50, (16, 6)).astype("int32")
    classifier = TextClassifier.bag(50, 8, num_classes=16, seed=0)
    logits = ops.convert_to_numpy(classifier(ids))
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    labels = rng.integers(0, 16, 16)
    classifier.compile("sgd", run_eagerly=EAGERLY)
    loss = classifier.evaluate(ids, labels, batch_size=16, verbose=0)[0]
    assert np.isclose(loss, -log_p[np.arange(16), labels].mean(), rtol=1e-4)
