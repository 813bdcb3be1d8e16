"""What the articles claim of images: the method, and what it has to be told.

As ``test_errata.py``: the fault first, in a few lines, then the right form
beside it.
"""

import keras
import numpy as np
import pytest
from contracts import EAGERLY
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from utils import metrics
from utils.data import images
from utils.models.autoencoders import Autoencoder
from utils.models.translation import Translator, UnpairedTranslator

BACKEND = keras.backend.backend()
STEPS = 16 if BACKEND == "tensorflow" else 1


@pytest.fixture(scope="module")
def letters():
    """Regular and bold letters: for training, and Latin ones held out."""
    characters, styles = images.load_glyphs()
    latin = np.array([c.isascii() and c.isalpha() for c in characters])
    return [
        styles[name][chosen][:100]
        for chosen in (~latin, latin)
        for name in ("sans", "sans bold")
    ]


def test_e078_translation_needs_pairs_or_two_collections(letters):
    x, y, x_test, y_test = letters
    copying = metrics.mse(y_test, x_test)

    # the fault: an autoencoder of regular letters is asked for bold ones
    model = Autoencoder.dense((24, 24, 1), 16, widths=(64,), seed=0)
    model.compile(keras.optimizers.Adam(3e-3), steps_per_execution=STEPS)
    model.fit(np.tile(x, (8, 1, 1, 1)), batch_size=50, epochs=4, verbose=0)
    assert metrics.mse(y_test, model.reconstruct(x_test)) > 0.9 * copying

    # with pairs: regression, which asks for them
    paired = Translator.conv((24, 24, 1), widths=(16,), seed=0)
    with pytest.raises(ValueError, match="y: expected a target"):
        paired.fit(x, verbose=0)
    paired.compile(keras.optimizers.Adam(1e-2), steps_per_execution=STEPS)
    rows = np.tile(x, (8, 1, 1, 1)), np.tile(y, (8, 1, 1, 1))
    paired.fit(*rows, batch_size=50, epochs=4, verbose=0)
    assert metrics.mse(y_test, paired.translate(x_test)) < 0.5 * copying

    # without: two collections of different letters and different sizes
    unpaired = UnpairedTranslator.conv(
        (24, 24, 1), widths=(4,), critic_widths=(4,), seed=0
    )
    unpaired.compile("sgd", run_eagerly=EAGERLY)
    with pytest.raises(ValueError, match="y: expected a collection"):
        unpaired.fit(x, verbose=0)
    history = unpaired.fit(x[:40], y[60:], batch_size=40, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_e086_codes_are_features_and_know_no_names(digits):
    model = Autoencoder.dense((64,), 8, seed=0)
    model.compile(keras.optimizers.Adam(3e-3))
    # the fault: labels handed to an autoencoder as if it recognised things
    with pytest.raises(ValueError, match="no target"):
        model.fit(digits.x_train, digits.y_train, verbose=0)

    codes, test_codes = map(model.encode, (digits.x_train, digits.x_test))
    reader = LogisticRegression(max_iter=2000)
    reader.fit(codes, digits.y_train)
    assert reader.score(test_codes, digits.y_test) > 0.6  # even untrained
    # other names for the same digits: the codes cannot tell, the reader can
    renamed = (digits.y_train + 1) % 10
    np.testing.assert_array_equal(model.encode(digits.x_train), codes)
    reader.fit(codes, renamed)
    assert reader.score(test_codes, digits.y_test) < 0.1
    assert reader.score(test_codes, (digits.y_test + 1) % 10) > 0.6


def test_e132_groups_of_colours_have_no_names():
    flower = images.load_photographs()["flower"][::4, ::4]
    pixels = flower.reshape(-1, 3)
    model = KMeans(2, n_init=3, random_state=0).fit(pixels)
    ids = model.labels_.reshape(flower.shape[:2])
    yy, xx = 4 * np.mgrid[: flower.shape[0], : flower.shape[1]]
    blossom = np.hypot(xx - 303, yy - 219) < 138  # drawn by hand
    blossom |= np.hypot(xx - 371, yy - 471) < 98

    def overlap(mask):
        return np.sum(mask & blossom) / np.sum(mask | blossom)

    # the fault: id 1 read as "flower"; ids are interchangeable
    error = [
        np.sum((pixels - model.cluster_centers_[order][names]) ** 2)
        for order, names in (
            ([0, 1], model.labels_),
            ([1, 0], 1 - model.labels_),
        )
    ]
    assert error[0] == pytest.approx(error[1], rel=1e-6)
    assert min(overlap(ids == 0), overlap(ids == 1)) < 0.2
    # the right form: one labelled pixel, on a petal
    assert overlap(ids == ids[70, 75]) > 0.85
