"""The contract of the variational models, by public API alone.

As ``test_contracts.py`` for the autoencoders; these models draw, and some of
them take a class beside the rows.
"""

import inspect

import contracts
import keras
import numpy as np
import pytest
from contracts import EAGERLY, Case
from keras import ops

from utils.models.vaes import VAE, ConditionalVAE, SemiSupervisedVAE

BACKEND = keras.backend.backend()
FLAT, IMAGE = (64,), (8, 8, 1)

# Between them the cases of a class move every argument off its default.
CASES = [
    Case(
        "dense",
        VAE,
        {
            "input_shape": FLAT,
            "latent_dim": 5,
            "widths": (12, 7),
            "activation": "tanh",
            "beta": 2.5,
            "free_bits": 0.25,
            "warmup_steps": 7,
            "seed": 3,
        },
        num_weights=15,
        num_generators=1,
    ),
    Case(
        "conv_gaussian",
        VAE,
        {
            "input_shape": IMAGE,
            "latent_dim": 6,
            "widths": (4, 5),
            "network": "conv",
            "likelihood": "gaussian",
            "scale": 0.3,
        },
        num_weights=14,
        num_generators=1,
    ),
    Case(
        "discretized",
        VAE,
        {
            "input_shape": IMAGE,
            "latent_dim": 3,
            "widths": (9,),
            "likelihood": "discretized",
            "levels": 17,
        },
        num_weights=11,
        num_generators=1,
    ),
    Case(
        "conditional",
        ConditionalVAE,
        {
            "input_shape": FLAT,
            "latent_dim": 4,
            "num_classes": 12,
            "widths": (9,),
            "seed": 1,
        },
        num_weights=10,
        num_generators=1,
    ),
    Case(
        "conditional_conv",
        ConditionalVAE,
        {
            "input_shape": IMAGE,
            "latent_dim": 4,
            "widths": (4,),
            "network": "conv",
            "likelihood": "gaussian",
        },
        num_weights=11,
        num_generators=1,
    ),
    Case(
        "semi_supervised",
        SemiSupervisedVAE,
        {
            "input_shape": FLAT,
            "latent_dim": 4,
            "num_classes": 11,
            "alpha": 3.0,
            "classifier_widths": (8, 6),
            "dropout": 0.25,
            "widths": (9,),
            "warmup_steps": 5,
            "seed": 1,
        },
        num_weights=17,
        num_generators=2,
    ),
    Case(
        "semi_supervised_conv",
        SemiSupervisedVAE,
        {
            "input_shape": IMAGE,
            "latent_dim": 4,
            "widths": (4,),
            "network": "conv",
            "likelihood": "discretized",
            "levels": 17,
        },
        num_weights=15,
        num_generators=1,  # no dropout
    ),
]
CLASSES = sorted({case.cls for case in CASES}, key=lambda cls: cls.__name__)
LABELLED = (ConditionalVAE, SemiSupervisedVAE)
DRAWN = {"code", "reconstruction", "logits", "location", "class_nll"}

each_case = pytest.mark.parametrize(
    "case", CASES, ids=[case.name for case in CASES]
)


@pytest.fixture(scope="module")
def rows(digits):
    return digits.x_train[:200]


@pytest.fixture(scope="module")
def labels(digits):
    return digits.y_train[:200]


def given(case, rows, labels, n=200):
    """Arguments of ``fit`` for the case."""
    x = rows.reshape(-1, *case.config["input_shape"])[:n]
    return (x, labels[:n]) if issubclass(case.cls, LABELLED) else (x,)


def inputs(case, rows, labels, n=200):
    """Argument of ``call`` and ``predict`` for the case."""
    x, *y = given(case, rows, labels, n)
    return {"x": x, "label": y[0]} if y else x


def without_draws(outputs):
    return {k: v for k, v in outputs.items() if k not in DRAWN}


# --------------------------------------------------------------- contract


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_cases_move_every_constructor_argument_off_its_default(cls):
    own = set(inspect.signature(cls.__init__).parameters) - {"self", "kwargs"}
    tried = set()
    for case in CASES:
        if case.cls is cls:
            tried |= contracts.changed_arguments(case)
    assert own <= tried
    tried_anywhere = set().union(*map(contracts.changed_arguments, CASES))
    assert set(contracts.constructor_defaults(cls)) <= tried_anywhere


@each_case
def test_model_config_round_trip_keeps_every_argument(case):
    again = contracts.check_config_kept(
        case, name="mine", dtype="mixed_bfloat16", trainable=False
    )
    assert again.name == "mine"
    assert again.dtype_policy.name == "mixed_bfloat16"
    assert again.trainable is False


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory, run_python, rows, labels):
    """All cases saved here and loaded in one new process."""
    folder = tmp_path_factory.mktemp("saved")
    return folder, contracts.load_elsewhere(
        CASES,
        lambda case: inputs(case, rows, labels, 40),
        folder,
        run_python,
        ["vaes"],
    )


@each_case
def test_model_loaded_in_new_process_same_config_and_outputs(case, reloaded):
    outputs, loaded = contracts.check_loaded(case, *reloaded)
    # Keras saves weights, not the state of a generator: draws differ
    loaded, outputs = without_draws(loaded), without_draws(outputs)
    assert outputs
    contracts.assert_same_outputs(loaded, outputs)


def generator_states(model):
    """Variables that are neither weights nor a metric's nor an optimizer's."""
    known = {id(value) for value in model.weights}
    for metric in model.metrics:
        known |= {id(value) for value in metric.variables}
    return [value for value in model.variables if id(value) not in known]


@each_case
def test_model_loaded_continues_training_where_it_stopped(
    case, tmp_path, rows, labels
):
    data = given(case, rows, labels, 64)
    options = {"batch_size": 16, "epochs": 1, "verbose": 0, "shuffle": False}
    model = case.make()
    model.compile("adam")
    model.fit(*data, **options)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == 4
    for a, b in zip(
        generator_states(model), generator_states(loaded), strict=True
    ):
        b.assign(ops.convert_to_numpy(a).copy())  # the same noise
    for one in (model, loaded):
        one.fit(*data, **options)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@each_case
def test_model_one_step_moves_every_trainable_weight(case, rows, labels):
    model = case.make()
    before = [
        ops.convert_to_numpy(weight).copy()
        for weight in model.trainable_weights
    ]
    model.compile(keras.optimizers.SGD(1e-2), run_eagerly=EAGERLY)
    model.fit(*given(case, rows, labels, 64), batch_size=64, verbose=0)
    still = [
        weight.path
        for weight, old in zip(model.trainable_weights, before, strict=True)
        if np.array_equal(old, ops.convert_to_numpy(weight))
    ]
    assert not still, f"did not move: {still}"


@each_case
def test_model_counts_weights_and_seed_generators(case):
    model = case.make()
    assert len(model.weights) == case.num_weights
    assert contracts.num_seed_generators(model) == case.num_generators


@each_case
def test_model_symbolic_and_eager_shapes_agree(case, rows, labels):
    model = case.make()
    eager_inputs = contracts.as_tensors(inputs(case, rows, labels, 3))
    symbolic_inputs = keras.tree.map_structure(
        lambda t: keras.Input(
            tuple(t.shape[1:]), dtype=keras.backend.standardize_dtype(t.dtype)
        ),
        eager_inputs,
    )
    eager, symbolic = model(eager_inputs), model(symbolic_inputs)
    assert symbolic.keys() == eager.keys()
    for name, value in eager.items():
        assert symbolic[name].shape[0] is None, name
        assert tuple(symbolic[name].shape[1:]) == tuple(value.shape[1:]), name
        assert keras.backend.standardize_dtype(
            symbolic[name].dtype
        ) == keras.backend.standardize_dtype(value.dtype), name


@each_case
def test_model_predict_names_its_products(case, rows, labels):
    model = case.make()
    x, *y = given(case, rows, labels, 70)
    outputs = model.predict(
        inputs(case, rows, labels, 70), batch_size=32, verbose=0
    )
    assert outputs["reconstruction"].shape == x.shape
    keys = {"mean", "log_var", "code", "reconstruction"}
    extra = {"bernoulli": "logits", "discretized": "location"}
    likelihood = case.config.get("likelihood", "bernoulli")
    keys |= {extra[likelihood]} if likelihood in extra else set()
    if case.cls is SemiSupervisedVAE:
        keys |= {"class_logits", "class_nll", "class_kl"}
    assert set(outputs) == keys
    np.testing.assert_allclose(
        outputs["mean"], model.encode(x, *y), rtol=1e-4, atol=1e-5
    )


@each_case
def test_model_evaluate_same_means_at_any_batch_size(case, rows, labels):
    model = case.make()
    model.compile("adam")
    data = given(case, rows, labels)
    results = [
        model.evaluate(*data, batch_size=size, verbose=0, return_dict=True)
        for size in (50, 200, 512)
    ]
    for result in results:
        assert result["kl"] == pytest.approx(results[0]["kl"], rel=1e-4)
        # the loss of drawn codes: no more than the draws differ
        assert result["loss"] == pytest.approx(results[0]["loss"], rel=0.3)


@each_case
@pytest.mark.parametrize("how", ["argument", "global"])
def test_model_mixed_precision_computes_half_and_keeps_float32(
    case, how, rows, labels
):
    if how == "global":
        keras.config.set_dtype_policy("mixed_bfloat16")
        model = case.make()
    else:
        model = case.make(dtype="mixed_bfloat16")
    data = given(case, rows, labels, 64)
    outputs = model(contracts.as_tensors(inputs(case, rows, labels, 64)))
    for name in ("mean", "log_var", "reconstruction", "logits"):
        if name in outputs:
            dtype = keras.backend.standardize_dtype(outputs[name].dtype)
            assert dtype == "bfloat16", name
    assert {weight.dtype for weight in model.weights} <= {"float32", "int32"}
    assert model.reconstruct(*data).dtype == np.float32
    full = case.make(dtype="float32")
    full.set_weights(model.get_weights())
    model.compile("sgd", run_eagerly=EAGERLY)
    full.compile("sgd", run_eagerly=EAGERLY)
    # without draws: bfloat16 has 8 bits of mantissa
    half_value, full_value = (
        one.evaluate(*data, verbose=0, return_dict=True)["kl"]
        for one in (model, full)
    )
    assert half_value == pytest.approx(full_value, rel=0.1)
    history = model.fit(*data, batch_size=64, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
