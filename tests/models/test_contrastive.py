"""Losses of two views by hand, the models' contract, and that they learn."""

import contracts
import keras
import numpy as np
import pytest
from contracts import EAGERLY
from keras import ops

from utils.models.contrastive import SimCLR, VICReg, nt_xent, vicreg_terms
from utils.nn.augmentation import Augmentation
from utils.training import recipes

IMAGE = (8, 8, 1)
CASES = {
    "simclr": lambda **more: SimCLR.conv(
        IMAGE,
        6,
        widths=(4,),
        activation="elu",
        projection=(5,),
        augmentation=Augmentation(shift=2.0, elastic=0.5, seed=3),
        temperature=0.2,
        seed=3,
        **more,
    ),
    "simclr_dense": lambda **more: SimCLR.dense(
        (4, 6, 2), 6, widths=(9,), **more
    ),
    "simclr_own": lambda **more: SimCLR(
        own_encoder(),
        own_projector(),
        augmentation=keras.layers.GaussianNoise(0.3, seed=0),
        seed=0,
        **more,
    ),
    "vicreg": lambda **more: VICReg.conv(
        IMAGE,
        6,
        widths=(4,),
        projection=(7, 5),
        invariance=3.0,
        variance=2.0,
        covariance=0.5,
        seed=1,
        **more,
    ),
}
COUNTS = {  # arrays of weights, seed generators
    "simclr": (6, 1),
    "simclr_dense": (8, 1),
    "simclr_own": (6, 1),
    "vicreg": (8, 1),
}
each_case = pytest.mark.parametrize("case", CASES)


def own_encoder(dtype=None):
    """Rows of a table, not images."""
    return keras.Sequential(
        [keras.Input((12,)), keras.layers.Dense(6, "tanh", dtype=dtype)]
    )


def own_projector():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.BatchNormalization(center=False, scale=False),
            keras.layers.Dense(5),
        ]
    )


def rows_for(model, rng, n=8):
    return rng.random((n, *model.event_shape), dtype="float32")


def number(value):
    return float(ops.convert_to_numpy(value))


def numbers(value):
    return ops.convert_to_numpy(value)


@pytest.fixture
def pairs(rng):
    return rng.normal(size=(2, 9, 5)).astype("float32")


# ------------------------------------------------------------------ NT-Xent


def test_nt_xent_four_vectors_by_hand():
    # views at 0 and 0 degrees, at 90 and 180; lengths must not matter
    first = np.array([[1.0, 0.0], [0.0, 2.0]])
    second = np.array([[3.0, 0.0], [-1.0, 0.0]])
    # cosines: a1·b1 = 1, a1·a2 = 0, a1·b2 = −1, a2·b2 = 0, a2·b1 = 0,
    # b1·b2 = −1; temperature 1/2 doubles them
    e = np.exp
    pair_1 = -2.0 + np.log(e(2) + e(0) + e(-2))  # both directions alike
    pair_2 = 0.5 * (np.log(3.0) + np.log(e(-2) + e(-2) + e(0)))
    np.testing.assert_allclose(
        numbers(nt_xent(first, second, 0.5)), [pair_1, pair_2], rtol=1e-5
    )


def test_nt_xent_is_invariant_under_renaming_and_scaling(pairs, rng):
    first, second = pairs
    loss = numbers(nt_xent(first, second, 0.3))
    order = rng.permutation(len(first))
    np.testing.assert_allclose(
        numbers(nt_xent(first[order], second[order], 0.3)),
        loss[order],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        numbers(nt_xent(second, first, 0.3)), loss, rtol=1e-5
    )
    scales = rng.uniform(0.5, 2.0, (len(first), 1)).astype("float32")
    np.testing.assert_allclose(
        numbers(nt_xent(first * scales, second, 0.3)), loss, rtol=1e-4
    )


def test_nt_xent_batch_as_large_as_the_width_equals_numpy(rng):
    first, second = rng.normal(size=(2, 6, 6)).astype("float32")
    both = np.concatenate([first, second]).astype("float64")
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    expected = []
    for i in range(6):
        terms = []
        for a, b in ((i, i + 6), (i + 6, i)):
            others = [both[a] @ both[m] / 0.4 for m in range(12) if m != a]
            terms.append(np.log(np.exp(others).sum()) - both[a] @ both[b] / 0.4)
        expected.append(np.mean(terms))
    np.testing.assert_allclose(
        numbers(nt_xent(first, second, 0.4)), expected, rtol=1e-5
    )


def test_nt_xent_equal_views_give_the_guess_and_one_pair_nothing():
    same = np.ones((7, 3), "float32")
    np.testing.assert_allclose(
        numbers(nt_xent(same, same)), np.log(13), rtol=1e-5
    )
    np.testing.assert_allclose(numbers(nt_xent(same[:1], same[:1])), 0.0)


def test_nt_xent_of_a_zero_code_is_finite():
    zero = np.zeros((3, 2), "float32")
    assert np.isfinite(numbers(nt_xent(zero, zero))).all()


# ------------------------------------------------------------------- VICReg


def test_vicreg_terms_are_zero_for_equal_spread_uncorrelated_views():
    hadamard = np.array(
        [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], "float32"
    )
    for scale in (1.0, 2.5):  # variance 4/3 · scale² ≥ 1
        terms = vicreg_terms(scale * hadamard + 3.0, scale * hadamard + 3.0)
        for term in terms:
            assert number(term) == pytest.approx(0.0, abs=1e-9)


def test_vicreg_terms_by_hand():
    first = np.array([[0.0, 0.0], [1.0, 1.0]], "float32")
    second = np.array([[0.0, 1.0], [1.0, 1.0]], "float32")
    terms = vicreg_terms(first, second)
    assert number(terms.invariance) == pytest.approx(0.25)
    # variances ½, ½ and ½, 0
    root, zero = np.sqrt(0.5 + 1e-4), np.sqrt(1e-4)
    expected = 0.5 * ((1 - root) + 0.5 * ((1 - root) + (1 - zero)))
    assert number(terms.variance) == pytest.approx(expected, rel=1e-5)
    # covariances ½ and 0, twice squared, over p = 2, mean of two views
    assert number(terms.covariance) == pytest.approx(0.5 * 0.25, rel=1e-5)


def test_vicreg_terms_constant_code_pays_by_variance_alone():
    same = np.full((5, 4), 0.3, "float32")
    terms = vicreg_terms(same, same)
    assert number(terms.invariance) == number(terms.covariance) == 0.0
    assert number(terms.variance) == pytest.approx(0.99, rel=1e-4)


def test_vicreg_terms_equal_numpy_where_batch_equals_width(rng):
    first, second = rng.normal(size=(2, 6, 6)).astype("float32")
    terms = vicreg_terms(first, second)
    spread = overlap = 0.0
    for z in (first, second):
        c = np.cov(z.astype("float64"), rowvar=False)
        root = np.sqrt(np.diag(c) + 1e-4)
        spread += np.maximum(0, 1 - root).mean() / 2
        overlap += (np.sum(c**2) - np.sum(np.diag(c) ** 2)) / 6 / 2
    assert number(terms.variance) == pytest.approx(spread, rel=1e-4)
    assert number(terms.covariance) == pytest.approx(overlap, rel=1e-4)
    expected = np.mean((first - second) ** 2)
    assert number(terms.invariance) == pytest.approx(expected, rel=1e-5)


# ----------------------------------------------------------------- contract


def test_cases_move_every_argument_off_its_default():
    for cls in (SimCLR, VICReg):
        models = [make() for make in CASES.values()]
        configs = [m.get_config() for m in models if type(m) is cls]
        for name, default in contracts.constructor_defaults(cls).items():
            assert any(config[name] != default for config in configs), name


@each_case
def test_model_config_weights_and_generators(case):
    model = CASES[case](name="mine")
    contracts.check_config_round_trip(model)
    assert model.get_config()["name"] == "mine"
    assert len(model.weights) == COUNTS[case][0]
    assert contracts.num_seed_generators(model) == COUNTS[case][1]


@each_case
def test_model_saved_and_loaded_encodes_and_draws_alike(case, tmp_path, rng):
    model = CASES[case]()
    x = rows_for(model, rng)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.encode(x), model.encode(x), rtol=1e-5)
    configs = [contracts.json_form(m.get_config()) for m in (model, loaded)]
    assert configs[0] == configs[1]
    if model.seed is None:
        return  # another seed: other views
    contracts.assert_same_outputs(
        contracts.numpy_tree(loaded(x)), contracts.numpy_tree(model(x))
    )


@each_case
def test_model_one_step_moves_every_trainable_weight(case, rng):
    model = CASES[case]()
    contracts.check_fit_moves_all_weights(model, rows_for(model, rng, 16))


@each_case
def test_model_symbolic_and_eager_shapes_agree(case, rng):
    model = CASES[case]()
    contracts.check_symbolic_shapes(model, rows_for(model, rng, 3))


@pytest.mark.parametrize("case", ["simclr", "simclr_dense", "vicreg"])
def test_model_mixed_precision_keeps_float32_weights(case, rng):
    model = CASES[case](dtype="mixed_bfloat16")
    x = rows_for(model, rng)
    outputs = model(x)
    for value in outputs.values():
        assert keras.backend.standardize_dtype(value.dtype) == "bfloat16"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    model.compile("sgd", run_eagerly=EAGERLY)
    history = model.fit(x, batch_size=8, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@each_case
def test_model_regularisers_reach_the_loss(case, rng):
    model = CASES[case]()
    x = rows_for(model, rng)
    outputs = model(x)
    plain = number(model.compute_loss(x, y_pred=outputs))
    kernel = model.encoder.layers[-1].kernel
    kernel.regularizer = keras.regularizers.L2(10.0)
    gained = number(model.compute_loss(x, y_pred=outputs)) - plain
    assert gained == pytest.approx(10 * np.sum(numbers(kernel) ** 2), rel=1e-3)


def test_model_made_again_has_its_weights_and_views(rng):
    model = SimCLR.dense(IMAGE, 4, widths=(6,), seed=3)
    x = rows_for(model, rng)
    again, other = model.remake(), model.remake(seed=4)
    assert again.augmentation is not model.augmentation
    contracts.assert_same_outputs(
        contracts.numpy_tree(again(x)), contracts.numpy_tree(model(x))
    )
    assert (other.seed, other.augmentation.seed) == (4, 4)
    assert not np.allclose(other.encode(x), model.encode(x))


def test_simclr_weights_multiply_the_pairs_terms(rng):
    model = SimCLR.dense(IMAGE, 4, widths=(6,), seed=3)
    x, weights = rows_for(model, rng), rng.random(8).astype("float32")
    outputs = model(x)
    terms = numbers(nt_xent(outputs["first"], outputs["second"], 0.5))
    loss = model.compute_loss(x, y_pred=outputs, sample_weight=weights)
    assert number(loss) == pytest.approx(np.mean(weights * terms), rel=1e-5)
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=EAGERLY)
    model.fit(x, sample_weight=np.zeros(8), verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_vicreg_refuses_weights_of_rows(rng):
    model = CASES["vicreg"]()
    model.compile("sgd", run_eagerly=EAGERLY)
    x = rows_for(model, rng)
    for refused in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="sample_weight: expected None: "):
            refused(x, sample_weight=np.ones(8), verbose=0)


# ------------------------------------------------------------ what they learn


def trained(model, x, steps=90):
    recipes.compile(model, 3e-3)
    rows = np.arange(64 * steps) % len(x)
    history = model.fit(x[rows], batch_size=64, epochs=1, verbose=0)
    return history.history


def test_simclr_finds_partners_better_than_chance(digits):
    x = digits.x_train.reshape(-1, *IMAGE)
    model = SimCLR.dense(IMAGE, 32, widths=(64,), seed=0)
    trained(model, x)
    result = model.evaluate(x[:512], batch_size=64, verbose=0, return_dict=True)
    assert result["loss"] < np.log(127) - 0.5
    assert result["matched"] > 20 / 127


def test_vicreg_without_its_two_guards_collapses(digits):
    x = digits.x_train.reshape(-1, *IMAGE)
    spread = {}
    for guard in (25.0, 0.0):
        model = VICReg.dense(
            IMAGE,
            16,
            widths=(64,),
            variance=guard,
            covariance=guard / 25,
            seed=0,
        )
        trained(model, x)
        out = numbers(model(x[:400])["first"])
        spread[guard] = out.std(axis=0).mean()
    assert spread[0.0] < 0.3 * spread[25.0]


# ------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: SimCLR.dense(IMAGE, 4, temperature=0.0), "temperature: exp"),
        (
            lambda: SimCLR.dense(IMAGE, 4, projection=()),
            "projection: expected at least one width",
        ),
        (
            lambda: SimCLR.dense(IMAGE, 4, augmentation={"shift": 2.0}),
            "augmentation: expected a Keras layer",
        ),
        (
            lambda: SimCLR.dense((64,), 4),
            r"augmentation: expected a layer for rows of shape \(64,\)",
        ),
        (
            lambda: SimCLR.dense(
                IMAGE, 4, augmentation=keras.layers.ZeroPadding2D(1)
            ),
            r"augmentation: expected views of shape \(None, 8, 8, 1\); "
            r"received \(None, 10, 10, 1\)",
        ),
        (
            lambda: SimCLR.dense((64,), 4, augmentation=Augmentation()),
            "inputs: expected images",
        ),
        (lambda: SimCLR.conv(IMAGE, 4, widths=()), "widths: expected at least"),
        (lambda: SimCLR.dense(IMAGE, 4, seed=-1), "seed: expected"),
        (
            lambda: SimCLR(own_encoder(), own_encoder()),
            r"projector: expected inputs of shape \(6,\), the encoder's "
            r"codes; received \(12,\)",
        ),
        (
            lambda: VICReg(
                own_encoder(),
                keras.Sequential(
                    [keras.Input((6,)), keras.layers.Reshape((3, 2))]
                ),
            ),
            "projector: expected a vector for each code",
        ),
        (lambda: VICReg.dense(IMAGE, 4, invariance=-1.0), "invariance: exp"),
        (lambda: VICReg.dense(IMAGE, 4, variance=-1.0), "variance: exp"),
        (lambda: VICReg.dense(IMAGE, 4, covariance=-1.0), "covariance: exp"),
    ],
)
def test_model_refuses_bad_arguments(make, match):
    with pytest.raises(ValueError, match=match):
        make()


class OneRow(keras.utils.PyDataset):
    """A batch that has nothing to compare."""

    num_batches = 1

    def __getitem__(self, index):
        return (np.zeros((1, *IMAGE), "float32"),)


@pytest.mark.parametrize("cls", [SimCLR, VICReg])
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"x": np.zeros((1, *IMAGE))}, "x: expected at least 2 rows"),
        (
            {"x": np.zeros((33, *IMAGE))},
            "batch_size: expected one that leaves no batch of fewer than 2",
        ),
        (
            {"x": np.zeros((20, *IMAGE)), "batch_size": 1},
            "batch_size: expected",
        ),
        ({"x": np.zeros((40, 7, 7, 1))}, r"x: expected shape \(n, 8, 8, 1\)"),
        ({"x": np.full((40, *IMAGE), np.nan)}, "x: expected finite"),
        ({"x": np.zeros((40, *IMAGE)), "y": np.zeros(40)}, "y: expected no"),
        (
            {
                "x": np.zeros((40, *IMAGE)),
                "validation_data": np.zeros((40, 3)),
            },
            "validation_data: expected shape",
        ),
        (
            {
                "x": np.zeros((40, *IMAGE)),
                "validation_data": np.zeros((33, *IMAGE)),
            },
            "batch_size: expected one that leaves no batch",
        ),
        (
            {"x": OneRow(), "shuffle": False},
            "x, batch 1: expected at least 2 rows; received 1",
        ),
    ],
    ids=[
        "one_row",
        "last_of_one",
        "batches_of_one",
        "shape",
        "nan",
        "target",
        "validation",
        "validation_last_of_one",
        "batches",
    ],
)
def test_fit_refuses_bad_rows_before_training(cls, arguments, match):
    model = cls.dense(IMAGE, 4, widths=(4,), seed=0)
    model.compile("adam", run_eagerly=EAGERLY)
    before = model.get_weights()
    with pytest.raises(ValueError, match=match):
        model.fit(**arguments, verbose=0)
    if keras.backend.backend() == "jax" and isinstance(arguments["x"], OneRow):
        return  # Keras holds the weights elsewhere until an epoch has ended
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_evaluate_refuses_a_last_batch_of_one_row():
    model = SimCLR.dense(IMAGE, 4, widths=(4,))
    model.compile("adam")
    with pytest.raises(ValueError, match="leaves no batch of fewer than 2"):
        model.evaluate(np.zeros((33, *IMAGE)), verbose=0)


def test_fit_refuses_a_loss_of_the_user():
    model = VICReg.conv(IMAGE, 4, widths=(4,))
    model.compile("adam", loss="mse")
    with pytest.raises(ValueError, match="loss: expected none in compile"):
        model.fit(np.zeros((40, *IMAGE)))
