"""The compressor's objective and the entropy coder."""

import contracts
import keras
import numpy as np
import pytest
from keras import ops

from utils import metrics
from utils.data import images
from utils.models.compression import BIT_PRICE, Compressor, EntropyCoder

BACKEND = keras.backend.backend()
ARGUMENTS = {
    "input_shape": (4, 4, 1),
    "latent_dim": 6,
    "step": 0.4,
    "widths": (9, 7),
    "seed": 3,
}
NUM_WEIGHTS = 6 + 6 + 2 + 2 + 5


@pytest.fixture(scope="module")
def patches():
    photograph = images.load_photographs(grey=True)["china"]
    patches = images.to_patches(photograph[100:300, 100:300], 4)
    return np.random.default_rng(0).permutation(patches)


def fresh(**more):
    return Compressor.dense(**{**ARGUMENTS, **more})


def make(**more):
    steps = {} if BACKEND == "torch" else {"steps_per_execution": 8}
    model = fresh(**more)
    model.compile(keras.optimizers.Adam(2e-3), **steps)
    return model


def started(patches, **more):
    model = fresh(**more)
    model.before_training(patches)
    return model


# ------------------------------------------------------------- contract


def test_compressor_config_round_trip_keeps_every_argument(patches):
    model = fresh(name="mine", dtype="mixed_bfloat16")
    again = contracts.check_config_round_trip(model)
    assert (again.step, again.seed, again.name) == (0.4, 3, "mine")
    assert again.dtype_policy.name == "mixed_bfloat16"
    again = contracts.check_config_round_trip(fresh())
    again.before_training(patches)  # the linear maps are found again
    np.testing.assert_array_equal(
        again.encode(patches), started(patches).encode(patches)
    )


def test_compressor_remake_is_the_one_of_other_arguments():
    again = fresh().remake(seed=5, step=0.1)
    for a, b in zip(
        again.get_weights(), fresh(seed=5, step=0.1).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_compressor_counts_weights_and_moves_the_trainable_ones(patches):
    model = fresh()
    assert len(model.weights) == NUM_WEIGHTS
    assert len(model.trainable_weights) == NUM_WEIGHTS - 2
    assert contracts.num_seed_generators(model) == 1
    model.before_training(patches)
    rng = np.random.default_rng(0)  # the last layers are no longer zero
    for weight in model.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.1, weight.shape))
    contracts.check_fit_moves_all_weights(model, patches[:64])
    contracts.check_symbolic_shapes(model, patches[:3])


def test_compressor_saved_and_loaded_gives_the_same_bytes(patches, tmp_path):
    model = make()
    model.fit(patches, batch_size=125, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert contracts.json_form(loaded.get_config()) == contracts.json_form(
        model.get_config()
    )
    codes = model.encode(patches)
    np.testing.assert_array_equal(loaded.encode(patches), codes)
    np.testing.assert_allclose(
        loaded.decode(codes), model.decode(codes), rtol=1e-5, atol=1e-6
    )


def test_compressor_mixed_precision_keeps_codes_and_bits_in_float32(patches):
    model = started(patches, dtype="mixed_bfloat16")
    outputs = model(ops.convert_to_tensor(patches[:5]))
    for name in ("code", "bits"):
        dtype = keras.backend.standardize_dtype(outputs[name].dtype)
        assert dtype == "float32"
    assert np.isfinite(model.example_losses(patches)).all()


# ------------------------------------------------------------ objective


def test_compressor_starts_at_pca_with_rounded_coefficients(patches):
    model = started(patches)
    flat = patches.reshape(len(patches), -1).astype("float64")
    centre = flat.mean(axis=0)
    _, _, rows = np.linalg.svd(flat - centre, full_matrices=False)
    exact = (flat - centre) @ rows[:6].T / 0.4
    codes = model.encode(patches)
    signs = np.sign((codes * exact).sum(axis=0))
    signs[signs == 0] = 1
    clear = np.abs(exact - np.rint(exact)) < 0.49  # float32 may round others
    np.testing.assert_array_equal(
        codes[clear], np.rint(exact * signs)[clear].astype(int)
    )
    expected = centre + 0.4 * (codes * signs) @ rows[:6]
    np.testing.assert_allclose(
        model.decode(codes).reshape(len(codes), -1), expected, atol=1e-5
    )


def test_compressor_start_happens_once(patches):
    model = started(patches)
    before = model.get_weights()
    model.before_training(1 - patches)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_compressor_step_is_a_weight_so_that_set_weights_moves_it(patches):
    model, other = started(patches), started(patches, step=0.2)
    model.set_weights(other.get_weights())
    assert model.get_config()["step"] == 0.2
    np.testing.assert_array_equal(model.encode(patches), other.encode(patches))


def test_compressor_bits_are_those_of_a_probability(patches):
    model = started(patches)
    rng = np.random.default_rng(0)
    for name in ("mixture_logit", "mixture_mean"):
        weight = getattr(model, name)
        weight.assign(rng.normal(0, 0.7, weight.shape))
    values = np.arange(-400, 401)
    rows = np.zeros((len(values), 6), "float32")
    rows[:, 2] = values
    bits = ops.convert_to_numpy(model.bits(ops.convert_to_tensor(rows)))
    others = bits.min() - 0.0
    mass = 2.0 ** -(bits - bits[400])
    # relative to the value 0, times its own probability, they add up to one
    logits, mean, scale = (
        ops.convert_to_numpy(getattr(model, f"mixture_{part}"))[2]
        for part in ("logit", "mean", "log_scale")
    )
    weights = np.exp(logits) / np.exp(logits).sum()

    def sigmoid(t):
        return 1 / (1 + np.exp(-t))

    scale = np.exp(scale)
    at_zero = weights @ (
        sigmoid((0.5 - mean) / scale) - sigmoid((-0.5 - mean) / scale)
    )
    assert mass.sum() * at_zero == pytest.approx(1.0, abs=1e-3)
    assert others >= 0


def test_compressor_loss_is_error_plus_the_price_of_its_bits(patches):
    model = make()
    model.before_training(patches)
    result = model.evaluate(
        patches, batch_size=500, verbose=0, return_dict=True
    )
    codes = model.encode(patches)
    bits = ops.convert_to_numpy(model.bits(codes.astype("float32")))
    error = ((patches - model.decode(codes)) ** 2).sum(axis=(1, 2, 3))
    expected = (error + np.log(2) / 6 * 0.4**2 * bits).mean()
    assert result["loss"] == pytest.approx(expected, rel=1e-4)
    assert result["bits"] == pytest.approx(bits.mean(), rel=1e-4)
    assert result["mse"] == pytest.approx(error.mean() / 16, rel=1e-4)
    assert pytest.approx(np.log(2) / 6) == BIT_PRICE


def test_compressor_sample_weight_weights_error_and_bits(patches):
    model = make()
    model.before_training(patches)
    half = np.r_[np.ones(50), np.zeros(50)]
    weighted = model.evaluate(
        patches[:100],
        sample_weight=half,
        batch_size=100,
        verbose=0,
        return_dict=True,
    )
    alone = model.evaluate(
        patches[:50], batch_size=50, verbose=0, return_dict=True
    )
    assert weighted["loss"] == pytest.approx(alone["loss"] / 2, rel=1e-4)
    assert weighted["bits"] == pytest.approx(alone["bits"], rel=1e-4)


def test_compressor_code_is_integers_and_noise_only_in_training(patches):
    model = started(patches)
    x = ops.convert_to_tensor(patches[:50])
    codes = ops.convert_to_numpy(model(x)["code"])
    np.testing.assert_array_equal(codes, np.rint(codes))
    still = [ops.convert_to_numpy(model(x)["bits"]) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    noisy = [
        ops.convert_to_numpy(model(x, training=True)["bits"]) for _ in range(2)
    ]
    assert np.abs(noisy[0] - noisy[1]).max() > 0.1


def test_compressor_weights_act_as_repeated_rows_and_zeros_move_nothing(
    patches,
):
    model = make()
    model.before_training(patches)
    x, count = patches[:60], np.arange(60) % 3
    options = {"verbose": 0, "return_dict": True, "batch_size": 100}
    found = model.evaluate(x, sample_weight=count, **options)
    repeated = model.evaluate(np.repeat(x, count, axis=0), **options)
    expected = count.mean() * repeated["loss"]
    assert found["loss"] == pytest.approx(expected, rel=1e-4)
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1.0))
    model.fit(x, sample_weight=np.zeros(60), verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


class Batches(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return len(self.x) // 100

    def __getitem__(self, index):
        return (self.x[100 * index : 100 * index + 100],)


def test_compressor_of_batches_starts_at_the_pca_of_the_first(patches):
    expected, model = started(patches[:100]), fresh()
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(Batches(patches), shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_compressor_of_a_generator_starts_where_it_is_for_good(patches):
    model = fresh()
    model.compile(keras.optimizers.SGD(0.0))
    before = model.encode(patches)
    one = iter([(patches[:100],)])
    model.fit(one, steps_per_epoch=1, verbose=0)
    model.fit(patches, verbose=0)
    np.testing.assert_array_equal(model.encode(patches), before)


def test_compressor_own_networks_and_codes_of_any_shape(patches):
    encoder = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Conv2D(3, 2, strides=2)]
    )
    decoder = keras.Sequential(
        [keras.Input((2, 2, 3)), keras.layers.Conv2DTranspose(1, 2, strides=2)]
    )
    model = Compressor(encoder, decoder, step=0.2)
    model.compile("adam")
    before = model.get_weights()
    model.before_training(patches)  # nothing there to set to PCA
    for a, b in zip(model.weights, before, strict=True):
        same = np.array_equal(ops.convert_to_numpy(a), b)
        assert same or a.path.endswith("started")
    history = model.fit(patches, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    codes = model.encode(patches)
    assert codes.shape == (len(patches), 2, 2, 3) and codes.dtype == np.int32
    outputs = model.predict(patches, verbose=0)
    assert outputs["bits"].shape == (len(patches),)
    np.testing.assert_allclose(
        model.decode(codes), outputs["reconstruction"], rtol=1e-4, atol=1e-5
    )


def test_compressor_training_lowers_the_cost_below_that_of_pca(patches):
    model = make(widths=(32,))
    model.before_training(patches)
    rows = np.tile(patches, (2, 1, 1, 1))

    def cost():
        return model.evaluate(patches, verbose=0, return_dict=True)["loss"]

    before = cost()
    model.fit(rows, batch_size=50, epochs=4, verbose=0)
    assert cost() < 0.97 * before


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"latent_dim": 17}, "from 1 to 16"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"step": 0.0}, "step: expected"),
        ({"step": float("nan")}, "step"),
        ({"widths": 5}, "widths"),
        ({"input_shape": 16}, "input_shape"),
        ({"seed": -1}, "seed"),
    ],
)
def test_compressor_bad_argument_is_named(more, match):
    with pytest.raises(ValueError, match=match):
        fresh(**more)


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        (np.zeros((5, 8, 8, 1)), None, r"shape \(n, 4, 4, 1\)"),
        (np.full((5, 4, 4, 1), np.nan), None, "NaN"),
        (np.zeros((5, 4, 4, 1)), np.zeros(5), "no target"),
    ],
)
def test_compressor_bad_data_is_named_before_training(x, y, match):
    model = make()
    with pytest.raises(ValueError, match=match):
        model.fit(x, y, verbose=0)
    assert not ops.convert_to_numpy(model.started)


# --------------------------------------------------------- entropy coder


def test_coder_decodes_what_it_encoded_escapes_included(rng):
    train = rng.geometric(0.4, (300, 5)) * rng.choice([-1, 1], (300, 5))
    train[:, 3] = 7  # a column that never changes
    coder = EntropyCoder(train)
    other = rng.integers(-60, 60, (100, 5))
    other[0] = [29_999, -29_999, 0, 7, 1]
    for rows in (train, other, train[:1]):
        data = coder.encode(rows)
        assert isinstance(data, bytes)
        np.testing.assert_array_equal(coder.decode(data, len(rows)), rows)


def test_coder_length_is_the_entropy_to_a_fraction_of_a_percent(rng):
    p = np.array([0.7, 0.2, 0.06, 0.04])
    rows = rng.choice(4, p=p, size=(4000, 3))
    coder = EntropyCoder(rows)
    counted = np.stack([(rows == value).mean(axis=0) for value in range(4)])
    entropy = -(counted * np.log2(counted)).sum()  # of a row
    ideal = coder.bits(rows).sum()
    assert ideal == pytest.approx(len(rows) * entropy, rel=1e-3)
    # four bytes of state are written whatever the rows
    assert 8 * len(coder.encode(rows)) == pytest.approx(ideal + 32, rel=2e-3)


def test_coder_constant_column_is_almost_free():
    coder = EntropyCoder(np.full((1000, 1), 3))
    assert coder.bits(np.full((1000, 1), 3)).sum() < 2


def test_coder_unseen_integer_costs_its_escape_and_sixteen_bits():
    coder = EntropyCoder(np.zeros((1000, 1), int))
    assert 16 + 9 < coder.bits(np.array([[500]]))[0] < 16 + 13


def test_coder_tables_add_up_and_have_no_zero(rng):
    coder = EntropyCoder(rng.poisson(30, (50, 2)))
    for table in coder.frequencies:
        assert table.sum() == 2**16
        assert table.min() >= 1


@pytest.mark.parametrize("reach", [28_971, 29_999])
def test_coder_wide_columns_have_finite_bits_and_come_back(rng, reach):
    rows = rng.integers(-reach, reach, (400, 2))
    rows[:2, 0] = -reach, reach
    rows[:, 1] = 3  # a narrow column beside it
    coder = EntropyCoder(rows)
    for table in coder.frequencies:
        assert table.min() >= 1
        assert table.sum() == 2**16
    assert len(coder.frequencies[0]) == 2 * reach + 2
    assert np.isfinite(coder.bits(rows)).all()
    assert (coder.bits(rows) > 0).all()
    sent = coder.encode(rows)
    np.testing.assert_array_equal(coder.decode(sent, len(rows)), rows)


def test_coder_one_frequent_integer_in_a_wide_column_pays_for_no_other(rng):
    rows = np.zeros((50_000, 1), int)
    rows[:2, 0] = -29_999, 29_999
    coder = EntropyCoder(rows)
    assert coder.frequencies[0].min() == 1
    np.testing.assert_array_equal(
        coder.decode(coder.encode(rows[:100]), 100), rows[:100]
    )


def test_coder_wrong_tables_cost_more_than_the_right_ones(rng):
    rows = rng.poisson(2, (2000, 1))
    right = EntropyCoder(rows).bits(rows).sum()
    wrong = EntropyCoder(rng.integers(0, 12, (2000, 1))).bits(rows).sum()
    assert wrong > 1.3 * right


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: EntropyCoder(np.zeros((3, 2))), "a matrix of integers"),
        (lambda: EntropyCoder(np.zeros(3, int)), "a matrix of integers"),
        (lambda: EntropyCoder(np.zeros((0, 3), int)), "a matrix of integers"),
        (lambda: EntropyCoder(np.full((3, 2), 30_000)), "magnitudes"),
        (
            lambda: EntropyCoder(np.zeros((3, 2), int)).bits(
                np.zeros((3, 1), int)
            ),
            "2 columns; received 1",
        ),
        (
            lambda: EntropyCoder(np.eye(3, dtype=int)).decode(
                EntropyCoder(np.eye(3, dtype=int)).encode(
                    np.eye(3, dtype=int).repeat(200, axis=0)
                ),
                num_rows=10,
            ),
            "exactly these rows",
        ),
    ],
)
def test_coder_bad_rows_are_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_compressor_code_through_the_coder_gives_the_same_image(patches):
    model = started(patches, step=0.2)
    codes = model.encode(patches)
    coder = EntropyCoder(codes[:1000])
    data = coder.encode(codes[1000:])
    received = coder.decode(data, len(codes) - 1000)
    np.testing.assert_array_equal(received, codes[1000:])
    assert metrics.psnr(patches[1000:], model.decode(received)) > 20
