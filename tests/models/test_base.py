"""What all models share: steps traced and compiled once, files whole."""

import importlib.util
import inspect
import pathlib
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from utils.evaluation.judge import Judge
from utils.models import gans, recommenders, text, words
from utils.models.autoencoders import Autoencoder
from utils.models.base import (
    CourseModel,
    batch_average,
    shapes_of,
    weighted_mean,
)
from utils.models.contrastive import SimCLR
from utils.models.ngram_mixture import NGramMixture
from utils.models.vaes import VAE
from utils.training.classifiers import compile_classifier
from utils.training.pretraining import transfer

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
ROWS = RNG.random((8, 16)).astype("float32")
IMAGES = RNG.random((8, 8, 8, 1)).astype("float32")
IDS = RNG.integers(3, 9, (8, 6))
PAIRS = RNG.integers(3, 9, (8, 3))
CHANCES = {
    "experts": np.full((8, 2), 0.5, "float32"),
    "evidence": np.zeros((8, 4), "float32"),
    "context": np.ones((8, 3), "int32"),
}


MODELS = {
    "autoencoder": (lambda: Autoencoder.dense((16,), 2, widths=(4,)), (ROWS,)),
    "vae": (lambda: VAE.dense((16,), 2, widths=(4,)), (ROWS,)),
    "gan": (
        lambda: gans.WGANGP.dense(
            (16,), 2, generator_widths=(4,), critic_widths=(4,)
        ),
        (ROWS,),
    ),
    "contrastive": (
        lambda: SimCLR.conv((8, 8, 1), 4, widths=(2, 2)),
        (IMAGES,),
    ),
    "recommender": (
        lambda: recommenders.MultVAE.dense(16, 2, widths=(4,)),
        (np.round(ROWS) + np.eye(8, 16, dtype="float32") > 0,),
    ),
    "language model": (lambda: text.LanguageModel.gru(9, 4, 4), (IDS,)),
    "denoiser": (lambda: text.DenoisingText.bag(9, 4), (IDS,)),
    "classifier of texts": (
        lambda: text.TextClassifier.bag(9, 4, num_classes=3),
        (IDS, np.arange(8) % 3),
    ),
    "word vectors": (lambda: words.SkipGram.tables(9, 4), (PAIRS,)),
    "mixture": (
        lambda: NGramMixture.dense(2, 9, window=3, widths=(4,)),
        (CHANCES,),
    ),
    "judge": (
        lambda: Judge.dense((8, 8, 1), 3, widths=(4,), num_features=4),
        (IMAGES, np.arange(8) % 3),
    ),
}


def count_traces(model):
    """Have a model count how often its training step runs in Python."""
    calls, step = [], model.train_step

    def counted(*arguments):
        calls.append(1)
        return step(*arguments)

    model.train_step = counted
    return calls


@pytest.mark.skipif(BACKEND != "tensorflow", reason="as TensorFlow traces")
@pytest.mark.parametrize("name", MODELS)
def test_first_step_is_traced_once(name):
    build, data = MODELS[name]
    model = build()
    assert isinstance(model, CourseModel)
    model.compile(keras.optimizers.Adam(0.01), steps_per_execution=2)
    calls = count_traces(model)
    model.fit(*data, batch_size=4, epochs=2, verbose=0)
    assert len(calls) == 1
    assert model.optimizer.iterations == 4


@pytest.mark.skipif(BACKEND != "tensorflow", reason="as TensorFlow traces")
def test_classifier_s_first_step_is_traced_once():
    classifier = transfer(Autoencoder.dense((16,), 2, widths=(4,)).encoder, 3)
    compile_classifier(classifier, 0.01)
    calls = count_traces(classifier)
    classifier.fit(ROWS, np.arange(8) % 3, batch_size=4, verbose=0)
    assert len(calls) == 1


def test_train_function_comes_after_the_optimizer_s_variables():
    model = Autoencoder.dense((16,), 2, widths=(4,), seed=0)
    model.compile(keras.optimizers.Adam(0.01))
    assert not model.optimizer.built
    model.make_train_function()
    assert model.optimizer.built
    model.train_function = function = object()
    model.make_train_function()
    assert model.train_function is function
    model.make_train_function(force=True)
    assert model.train_function is not function


def test_optimizer_is_built_for_what_is_trainable_when_training_starts():
    model = Autoencoder.dense((16,), 2, widths=(4,), seed=0)
    model.compile(keras.optimizers.Adam(0.01))
    model.encoder.trainable = False  # after compile, before fit
    before = model.encoder.get_weights()
    model.fit(ROWS, verbose=0)
    moments = len(model.optimizer.variables) - 2  # steps and rate
    assert moments == 2 * len(model.decoder.trainable_variables)
    for old, new in zip(before, model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_optimizer_waits_for_a_model_that_is_not_built():
    model = CourseModel()
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.make_train_function()
    assert not model.optimizer.built


SAVERS = {  # method, a name that is replaced whole, one that is Keras's own
    "save": ("model.keras", "model.h5", {"include_optimizer": False}),
    "save_weights": ("m.weights.h5", "m.weights.json", {}),
}


@pytest.fixture(params=SAVERS)
def saver(request, monkeypatch, tmp_path):
    """A method of Keras that writes down how it was called."""
    name = request.param
    calls = []

    def record(self, filepath, overwrite=True, max_shard_size=None, **kwargs):
        calls.append((str(filepath), overwrite, max_shard_size, kwargs))
        with open(filepath, "w", encoding="utf-8") as file:
            file.write("whole")

    monkeypatch.setattr(keras.Model, name, record)
    whole, own, kwargs = SAVERS[name]
    model = Autoencoder.dense((16,), 2, widths=(4,), seed=0)
    return SimpleNamespace(
        save=getattr(model, name),
        calls=calls,
        whole=tmp_path / whole,
        own=tmp_path / own,
        kwargs=kwargs,
        shards={"max_shard_size": 1} if name == "save_weights" else {},
    )


def test_saving_writes_beside_and_then_replaces(saver):
    for _ in range(2):  # the second time over a file that is there
        saver.save(saver.whole, **saver.kwargs)
    assert saver.whole.read_text("utf-8") == "whole"
    assert list(saver.whole.parent.iterdir()) == [saver.whole]
    for path, _, _, kwargs in saver.calls:
        assert path != str(saver.whole)
        assert kwargs == saver.kwargs


def test_saving_that_asks_first_or_in_another_format_is_keras_s(saver):
    saver.save(saver.whole, overwrite=False, **saver.kwargs)
    saver.save(saver.own, **saver.kwargs, **saver.shards)
    saver.save(saver.own, overwrite=False, **saver.shards)
    shards = saver.shards.get("max_shard_size")
    assert saver.calls == [
        (str(saver.whole), False, None, saver.kwargs),
        (str(saver.own), True, shards, saver.kwargs),
        (str(saver.own), False, shards, {}),
    ]
    if saver.shards:  # many files, also under the name of one
        saver.save(saver.whole, **saver.shards)
        assert saver.calls[-1] == (str(saver.whole), True, 1, {})


def test_loss_that_is_no_number_ends_fit_under_any_callbacks():
    class Broken(Autoencoder):
        def penalty(self, outputs, sample_weight=None):
            return np.nan

    watch = keras.callbacks.LambdaCallback()
    model = Broken.dense((16,), 2, widths=(4,), seed=0)
    model.compile("sgd", run_eagerly=True)
    listed = keras.callbacks.CallbackList([watch], model=model)
    # a list that comes again, as for a training in parts, watches once
    for callbacks in (None, watch, [watch], (watch,), listed, listed):
        with pytest.raises(FloatingPointError, match="nan after epoch 1"):
            model.fit(ROWS, verbose=0, callbacks=callbacks)
    assert len(listed.callbacks) == 2


def test_class_method_takes_arguments_of_networks_and_constructor():
    found = inspect.signature(VAE.dense).parameters
    assert list(found)[:3] == ["input_shape", "latent_dim", "widths"]
    assert {"beta", "likelihood", "name", "dtype"} <= set(found)
    assert "encoder" not in found
    with pytest.raises(TypeError, match=r"VAE\.dense\(\) .*'network'"):
        VAE.dense((16,), 2, network="conv")


def test_remake_repeats_the_call_with_changes():
    model = VAE.dense((16,), 2, widths=(4,), beta=2.0, seed=0, name="mine")
    other = model.remake(seed=1)
    same = VAE.dense((16,), 2, widths=(4,), beta=2.0, seed=1)
    assert (other.beta, other.seed, other.name) == (2.0, 1, "mine")
    for a, b in zip(other.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not hasattr(VAE(model.encoder, model.decoder), "remake")


def test_shapes_of_a_network_and_of_what_has_none():
    model = VAE.dense((16,), 2, widths=(4,))
    taken, made = shapes_of(model.encoder, "encoder")
    assert (taken, made) == ((16,), {"mean": (2,), "log_var": (2,)})
    stack = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    assert shapes_of(stack, "decoder") == ((3,), (2,))
    unbuilt = keras.Sequential([keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="critic: expected a network that kno"):
        shapes_of(unbuilt, "critic")
    with pytest.raises(ValueError, match="critic: expected a Keras model"):
        shapes_of(keras.layers.Dense(2), "critic")


def test_weights_multiply_a_mean_and_normalise_an_average():
    rows = ops.convert_to_tensor([[1.0, 4.0], [3.0, 8.0]], "float32")
    weight = ops.convert_to_tensor([3.0, 1.0], "float32")
    assert float(weighted_mean(rows[:, 0], None)) == 2.0
    assert float(weighted_mean(rows[:, 0], weight)) == 3.0  # (3 + 3) / 2
    for given, expected in (
        (None, [2.0, 6.0]),
        (weight, [1.5, 5.0]),
        (0 * weight, [0.0, 0.0]),
    ):
        found = ops.convert_to_numpy(batch_average(rows, given))
        assert found.tolist() == expected


def test_model_without_optimizer_only_evaluates():
    model = Autoencoder.dense((16,), 2, widths=(4,), seed=0)
    model.compile(optimizer=None)
    model.make_train_function()  # nothing to prepare, nothing to fail on
    assert model.evaluate(ROWS, verbose=0, return_dict=True)["loss"] > 0


COMPILED = """
import os
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
from utils import runtime
runtime.start(0)
import jax, keras, numpy as np
from jax import monitoring
from utils.models import Autoencoder
found = []
monitoring.register_event_listener(lambda name, **_: found.append(name))
for seed in (0, 1):
    model = Autoencoder.dense((16,), 2, widths=(4,), seed=seed)
    model.compile(keras.optimizers.Adam(0.01))
    found.clear()
    model.fit(np.ones((8, 16), "float32"), verbose=0)
    hits = found.count("/jax/compilation_cache/cache_hits")
    misses = found.count("/jax/compilation_cache/cache_misses")
    print("model", seed, hits, misses)
folder = jax.config.jax_compilation_cache_dir
print("folder", folder, len(os.listdir(folder)))
"""


@pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="JAX is not installed"
)
def test_jax_compiles_models_that_differ_in_their_seed_once(run_python):
    printed = run_python(COMPILED, KERAS_BACKEND="jax").splitlines()
    first, second = (p.split() for p in printed if p.startswith("model"))
    assert int(first[3]) >= 1  # misses: compiled
    assert int(second[2]) >= 1  # hits: found
    assert int(second[3]) == 0
    _, folder, files = next(p for p in printed if p[:6] == "folder").split()
    assert int(files) >= 1
    assert not pathlib.Path(folder).exists()  # gone with the process
