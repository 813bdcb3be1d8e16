"""The contract of every autoencoder, by public API alone.

Configuration, saving, weights, shapes, precision: what any Keras user may
rely on, for each model of the library. ``contracts.py`` has the helpers.
"""

import inspect

import contracts
import keras
import numpy as np
import pytest
from contracts import EAGERLY, Case
from keras import ops

from utils import metrics
from utils.models.autoencoders import (
    Autoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
)

BACKEND = keras.backend.backend()
FLAT, IMAGE = (64,), (8, 8, 1)

# Between them the cases of a class move every argument off its default.
CASES = [
    Case(
        "dense",
        Autoencoder,
        {
            "input_shape": IMAGE,
            "latent_dim": 5,
            "widths": (12, 7),
            "activation": "tanh",
            "code_activation": "sigmoid",
            "output": "bernoulli",
            "seed": 3,
        },
        num_weights=12,
    ),
    Case(
        "linear",
        Autoencoder,
        {
            "input_shape": FLAT,
            "latent_dim": 70,
            "widths": (),
            "overcomplete": True,
        },
        num_weights=4,
    ),
    Case(
        "conv",
        Autoencoder,
        {
            "input_shape": IMAGE,
            "latent_dim": 6,
            "widths": (4, 5),
            "network": "conv",
            "activation": "elu",
            "output": "sigmoid",
        },
        num_weights=12,
    ),
    Case(
        "tied",
        Autoencoder,
        {
            "input_shape": FLAT,
            "latent_dim": 6,
            "widths": (10,),
            "tied": True,
            "seed": 1,
        },
        num_weights=6,
    ),
    Case(
        "denoising_gaussian",
        DenoisingAutoencoder,
        {
            "input_shape": FLAT,
            "latent_dim": 9,
            "widths": (10,),
            "amount": 1.5,
            "overcomplete": False,
            "output": "sigmoid",
            "seed": 2,
        },
        num_weights=8,
        num_generators=1,
    ),
    Case(
        "denoising_masking",
        DenoisingAutoencoder,
        {
            "input_shape": FLAT,
            "latent_dim": 9,
            "widths": (10,),
            "corruption": "masking",
            "amount": 0.25,
            "tied": True,
            "code_activation": "tanh",
        },
        num_weights=6,
        num_generators=1,
    ),
    Case(
        "denoising_conv",
        DenoisingAutoencoder,
        {
            "input_shape": IMAGE,
            "latent_dim": 9,
            "widths": (4,),
            "network": "conv",
            "activation": "silu",
        },
        num_weights=8,
        num_generators=1,
    ),
    Case(
        "sparse_kl",
        SparseAutoencoder,
        {
            "input_shape": FLAT,
            "latent_dim": 30,
            "widths": (),
            "weight": 0.7,
            "target": 0.2,
            "overcomplete": False,
            "output": "bernoulli",
            "seed": 4,
        },
        num_weights=4,
    ),
    Case(
        "sparse_l1",
        SparseAutoencoder,
        {
            "input_shape": IMAGE,
            "latent_dim": 66,
            "widths": (4,),
            "network": "conv",
            "sparsity": "l1",
            "weight": 0.02,
            "activation": "tanh",
            "code_activation": "softplus",
        },
        num_weights=8,
    ),
    Case(
        "sparse_tied",
        SparseAutoencoder,
        {"input_shape": FLAT, "latent_dim": 66, "tied": True},
        num_weights=6,
    ),
    Case(
        "contractive",
        ContractiveAutoencoder,
        {
            "input_shape": FLAT,
            "latent_dim": 20,
            "weight": 0.6,
            "overcomplete": False,
            "activation": "tanh",
            "output": "sigmoid",
            "tied": True,
            "seed": 5,
        },
        num_weights=3,
    ),
]
CLASSES = sorted({case.cls for case in CASES}, key=lambda cls: cls.__name__)
FIXED_BY_CLASS = {
    ContractiveAutoencoder: {"network", "widths", "code_activation"}
}

each_case = pytest.mark.parametrize(
    "case", CASES, ids=[case.name for case in CASES]
)


@pytest.fixture(scope="module")
def rows(digits):
    return digits.x_train[:200]


def number(tensor):
    """A scalar tensor as a float; PyTorch's may still carry a gradient."""
    return float(ops.convert_to_numpy(tensor))


def rows_for(case, rows):
    return rows.reshape(-1, *case.config["input_shape"])


def compiled(model, rate=1e-3, **options):
    model.compile(keras.optimizers.Adam(rate), **options)
    return model


# --------------------------------------------------------------- contract


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_cases_move_every_constructor_argument_off_its_default(cls):
    wanted = set(contracts.constructor_defaults(cls))
    wanted -= FIXED_BY_CLASS.get(cls, set())
    tried = set()
    for case in CASES:
        if case.cls is cls:
            tried |= contracts.changed_arguments(case)
    # inherited arguments are the same code; each class tries its own and
    # every argument is tried by some class
    own = set(inspect.signature(cls.__init__).parameters) - {"self", "kwargs"}
    assert own <= tried
    tried_anywhere = set().union(*map(contracts.changed_arguments, CASES))
    assert wanted <= tried_anywhere


@each_case
def test_model_config_round_trip_keeps_every_argument(case):
    again = contracts.check_config_kept(
        case, name="mine", dtype="mixed_bfloat16", trainable=False
    )
    assert again.name == "mine"
    assert again.dtype_policy.name == "mixed_bfloat16"
    assert again.trainable is False


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory, run_python, rows):
    """All cases saved here and loaded in one new process."""
    folder = tmp_path_factory.mktemp("saved")
    return folder, contracts.load_elsewhere(
        CASES,
        lambda case: rows_for(case, rows)[:40],
        folder,
        run_python,
        ["autoencoders"],
    )


@each_case
def test_model_loaded_in_new_process_same_config_and_outputs(case, reloaded):
    contracts.assert_same_outputs(*contracts.check_loaded(case, *reloaded))


@pytest.mark.parametrize("case", CASES[:1], ids=["dense"])
def test_model_loaded_continues_training_where_it_stopped(case, tmp_path, rows):
    x = rows_for(case, rows)[:64]
    model = compiled(case.make())
    model.fit(x, batch_size=16, epochs=1, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == 4
    for one in (model, loaded):
        one.fit(x, batch_size=16, epochs=1, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@each_case
def test_model_one_step_moves_every_trainable_weight(case, rows):
    contracts.check_fit_moves_all_weights(
        case.make(), rows_for(case, rows)[:64]
    )


@each_case
def test_model_counts_weights_and_seed_generators(case):
    model = case.make()
    assert len(model.weights) == case.num_weights
    assert len(model.trainable_weights) == case.num_weights
    assert contracts.num_seed_generators(model) == case.num_generators


@each_case
def test_model_symbolic_and_eager_shapes_agree(case, rows):
    contracts.check_symbolic_shapes(case.make(), rows_for(case, rows)[:3])


@each_case
def test_model_predict_names_its_products(case, rows):
    x = rows_for(case, rows)[:70]
    model = case.make()
    outputs = model.predict(x, batch_size=32, verbose=0)
    keys = {"code", "reconstruction"}
    if case.config.get("output") == "bernoulli":
        keys.add("logits")
    assert set(outputs) == keys
    assert outputs["code"].shape == (70, case.config["latent_dim"])
    assert outputs["reconstruction"].shape == x.shape
    np.testing.assert_allclose(
        outputs["code"], model.encode(x), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        outputs["reconstruction"], model.reconstruct(x), rtol=1e-4, atol=1e-5
    )


@pytest.fixture(scope="module")
def evaluated():
    """One compiled model a case: ``evaluate`` changes nothing in it."""
    made = {}

    def get(case):
        if case.name not in made:
            made[case.name] = compiled(case.make())
        return made[case.name]

    return get


@each_case
def test_model_evaluate_same_number_at_any_batch_size(case, rows, evaluated):
    model = evaluated(case)
    x = rows_for(case, rows)
    results = [
        model.evaluate(x, batch_size=size, verbose=0, return_dict=True)
        for size in (64, 50, 512)
    ]
    for result in results:
        assert set(result) == {"loss", "mse"}
        assert result["mse"] == pytest.approx(results[0]["mse"], rel=1e-5)
        if case.cls is SparseAutoencoder and case.name != "sparse_l1":
            # KL of the batch's mean rate: convex, so larger in small batches
            assert result["loss"] >= results[-1]["loss"] - 1e-4
        else:
            assert result["loss"] == pytest.approx(results[0]["loss"], rel=1e-5)


@each_case
def test_model_evaluate_equals_score_plus_penalty(case, rows, evaluated):
    model = evaluated(case)
    x = rows_for(case, rows)
    result = model.evaluate(x, batch_size=512, verbose=0, return_dict=True)
    penalty = number(model.penalty(model(ops.convert_to_tensor(x))))
    assert result["loss"] == pytest.approx(
        model.score(x).mean() + penalty, rel=1e-5
    )
    assert result["mse"] == pytest.approx(
        metrics.mse(x, model.reconstruct(x)), rel=1e-5
    )


@each_case
@pytest.mark.parametrize("how", ["argument", "global"])
def test_model_mixed_precision_computes_half_and_keeps_float32(case, how, rows):
    if how == "global":
        keras.config.set_dtype_policy("mixed_bfloat16")
        model = case.make()
    else:
        model = case.make(dtype="mixed_bfloat16")
    x = rows_for(case, rows)[:64]
    outputs = model(ops.convert_to_tensor(x))
    for name, value in outputs.items():
        dtype = keras.backend.standardize_dtype(value.dtype)
        assert dtype == "bfloat16", name
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model.encode(x).dtype == np.float32
    assert model.reconstruct(x).dtype == np.float32
    full = case.make(dtype="float32")
    full.set_weights(model.get_weights())
    # bfloat16 has 8 bits of mantissa: about 1 % after a few layers
    np.testing.assert_allclose(
        model.score(x).mean(), full.score(x).mean(), rtol=0.03
    )
    model.compile("sgd", run_eagerly=EAGERLY)
    history = model.fit(x, batch_size=64, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
