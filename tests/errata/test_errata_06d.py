"""The articles' claims about text, where a few lines can show the fault.

As ``test_errata.py``: the fault first, then the right form beside it.
"""

import numpy as np
import pytest
from contracts import EAGERLY
from keras import ops

from utils.models.autoencoders import Autoencoder
from utils.models.text import LanguageModel
from utils.nn.backend import input_gradient


def scored(choose):
    """Slope of a linear critic's score through the choice of a token."""
    critic = np.array([1.0, -2.0, 3.0], "float32")
    logits = np.array([[0.2, 0.5, 0.1]], "float32")

    def score(x):
        # the zero keeps a path where the choice has none
        judged = choose(x) * ops.convert_to_tensor(critic)
        return ops.sum(judged) + 0.0 * ops.sum(x)

    return ops.convert_to_numpy(input_gradient(score, logits))


def test_e123_a_chosen_token_passes_no_gradient_a_softmax_does():
    # the fault: the recipe of images, with tokens in the place of pixels
    hard = scored(lambda x: ops.one_hot(ops.argmax(x, axis=-1), 3))
    assert np.array_equal(hard, np.zeros((1, 3)))
    # a relaxation, as in Gumbel-softmax, lets the judgement through
    soft = scored(lambda x: ops.softmax(x / 0.5))
    assert np.abs(soft).min() > 0.1
    assert np.isclose(soft.sum(), 0.0, atol=1e-5)


def test_e025_a_language_model_needs_no_slope_through_its_choice():
    # likelihood: the next token is given, nothing is drawn in training
    model = LanguageModel.conv(8, 4, 6, window=2, seed=0)
    ids = np.array([[3, 4, 5, 6]] * 8, "int32")
    model.compile("sgd", run_eagerly=EAGERLY)
    before = [w.copy() for w in model.get_weights()]
    model.fit(ids, verbose=0)
    moved = [
        np.abs(new - old).max()
        for new, old in zip(model.get_weights(), before, strict=True)
    ]
    assert min(moved) > 0


def test_e085_an_autoencoder_returns_its_input_not_a_shorter_one():
    # the claim: autoencoders summarise; their output has the input's shape,
    # and their loss is 0 where the output repeats the input
    model = Autoencoder.dense((6,), 6, widths=(), overcomplete=True, seed=0)
    for layer in (model.encoder, model.decoder):
        weights = [np.eye(6), np.zeros(6)][: len(layer.get_weights())]
        layer.set_weights(weights)
    x = np.random.default_rng(0).random((4, 6)).astype("float32")
    assert model.reconstruct(x).shape == x.shape
    np.testing.assert_allclose(model.example_losses(x), 0.0, atol=1e-8)
    target = x.mean(axis=1, keepdims=True)  # a "summary", one number a row
    with pytest.raises(ValueError, match="no target"):
        model.fit(x, target, verbose=0)
