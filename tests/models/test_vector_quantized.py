"""Vector-quantised autoencoder: objective, code book, prior, errors."""

import contracts
import keras
import numpy as np
import pytest
from contracts import EAGERLY
from keras import ops

from utils import metrics
from utils.models import vector_quantized as module
from utils.models.vector_quantized import VQVAE
from utils.nn import losses
from utils.nn.likelihoods import (
    Bernoulli,
    Categorical,
    DiscretizedLogistic,
    SquaredError,
)

BACKEND = keras.backend.backend()
IMAGE = (8, 8, 1)


@pytest.fixture(scope="module")
def rows(digits):
    return digits.x_train[:200].reshape(-1, *IMAGE)


def number(tensor):
    """A scalar tensor as a float; PyTorch's may still carry a gradient."""
    return float(ops.convert_to_numpy(tensor))


def make(**arguments):
    options = {"codebook_size": 6, "code_dim": 3, "widths": (4,), "seed": 0}
    model = VQVAE.conv(IMAGE, **{**options, **arguments})
    steps = {} if BACKEND == "torch" else {"steps_per_execution": 2}
    model.compile(keras.optimizers.Adam(3e-3), **steps)
    return model


@pytest.fixture(scope="module")
def trained(rows):
    model = make(widths=(8,), codebook_size=8)
    model.fit(rows, batch_size=20, epochs=4, verbose=0)
    return model.fit_prior(rows)


# --------------------------------------------------------------- objective


def test_defaults_give_a_seven_by_seven_grid():
    model = VQVAE.conv((28, 28, 1))
    assert model.grid == (7, 7)
    assert model.quantizer.codebook.shape == (64, 16)


@pytest.mark.parametrize("commitment", [0.0, 0.25, 2.0])
@pytest.mark.parametrize("likelihood", [Bernoulli, SquaredError])
def test_loss_equals_numpy(likelihood, commitment, rows):
    model = make(likelihood=likelihood(), commitment=commitment)
    outputs = model.predict(rows, verbose=0)
    book = ops.convert_to_numpy(model.quantizer.codebook)
    vectors = outputs["vectors"]
    distances = ((vectors[:, :, :, None] - book) ** 2).sum(axis=-1)
    np.testing.assert_array_equal(outputs["code"], distances.argmin(axis=-1))
    nearest = distances.min(axis=-1).sum(axis=(1, 2))
    if likelihood is Bernoulli:
        nll = losses.bernoulli_nll(rows, outputs["logits"])
    else:
        nll = losses.squared_error(rows, outputs["reconstruction"])
    expected = ops.convert_to_numpy(nll) + (1 + commitment) * nearest
    result = model.evaluate(rows, batch_size=200, verbose=0, return_dict=True)
    assert set(result) == {"loss", "mse", "nll", "perplexity"}
    assert result["loss"] == pytest.approx(expected.mean(), rel=1e-5)


def test_perplexity_counts_the_rows_in_use(rows):
    model = make()
    code = np.zeros((6, 4, 4), "int32")
    even = np.arange(96).reshape(6, 4, 4) % 6
    values = [number(model.perplexity(ids)) for ids in (code, even)]
    np.testing.assert_allclose(values, [1, 6], rtol=1e-3)


def test_encoder_codebook_and_decoder_all_move(rows):
    model = make()
    model.before_training(rows)
    before = model.get_weights()
    model.fit(rows, batch_size=200, verbose=0)
    for weight, old in zip(model.weights, before, strict=True):
        if weight.trainable:
            new = ops.convert_to_numpy(weight)
            assert not np.array_equal(new, old), weight.path


def test_unused_rows_of_the_code_book_stay(rows):
    # Adam is left out: its moments would move them on
    model = make()
    model.compile(keras.optimizers.SGD(1e-3))
    model.before_training(rows)
    book = ops.convert_to_numpy(model.quantizer.codebook).copy()
    book[4] = 1000.0  # far from every vector
    model.quantizer.codebook.assign(book)
    model.fit(rows, batch_size=200, verbose=0)
    after = ops.convert_to_numpy(model.quantizer.codebook)
    np.testing.assert_array_equal(after[4], book[4])
    assert not np.array_equal(after, book)


def test_first_fit_places_the_code_book_on_the_data_and_only_the_first(rows):
    model = make(codebook_size=16)
    start = np.unique(model.encode(rows)).size
    model.before_training(rows)
    assert np.unique(model.encode(rows)).size == 16 > start
    book = ops.convert_to_numpy(model.quantizer.codebook).copy()
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(rows, verbose=0)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model.quantizer.codebook), book
    )


def test_placing_identical_rows_leaves_the_rest_of_the_book(rows):
    model = make()
    model.fit(np.zeros((5, 8, 8, 1)), verbose=0)
    book = ops.convert_to_numpy(model.quantizer.codebook)
    assert np.isfinite(book).all()


# ------------------------------------------------------------------- prior


def chain(n, rng):
    """Three cells of three values: 0 → 1 → 2, each mostly a copy."""
    ids = np.zeros((n, 3), "int64")
    ids[:, 0] = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    for cell in (1, 2):
        keep = rng.random(n) < 0.8
        ids[:, cell] = np.where(keep, ids[:, cell - 1], rng.integers(0, 3, n))
    return ids


def every_row(size, cells):
    axes = np.meshgrid(*[np.arange(size)] * cells, indexing="ij")
    return np.stack(axes, axis=-1).reshape(-1, cells)


@pytest.mark.parametrize("tree", [True, False])
def test_prior_sums_to_one_over_all_rows(tree, rng):
    _, parents, tables = module._fit_tables(chain(500, rng), 3, tree, 4.0)
    total = np.exp(module._log_prob(every_row(3, 3), parents, tables)).sum()
    assert total == pytest.approx(1, abs=1e-5)


def test_tree_finds_the_chain_and_its_probabilities(rng):
    ids = chain(20_000, rng)
    order, parents, tables = module._fit_tables(ids[:, [0, 2, 1]], 3, True, 4.0)
    # cells now stand in the order 0, 2, 1 of the chain
    np.testing.assert_array_equal(parents, [0, 2, 0])
    np.testing.assert_array_equal(order, [0, 2, 1])
    expected = 0.8 * np.eye(3) + 0.2 / 3
    np.testing.assert_allclose(tables[1], expected, atol=0.03)
    np.testing.assert_allclose(tables[0], [[0.5, 0.3, 0.2]] * 3, atol=0.02)


def test_tree_beats_independent_cells_on_new_rows(rng):
    train, test = chain(2000, rng), chain(2000, rng)
    values = []
    for tree in (True, False):
        _, parents, tables = module._fit_tables(train, 3, tree, 4.0)
        values.append(module._log_prob(test, parents, tables).mean())
    # information of two links, about 0.5 nats each
    assert values[0] > values[1] + 0.8


def test_draws_have_the_probabilities_of_the_prior(rng):
    order, parents, tables = module._fit_tables(chain(500, rng), 3, True, 4.0)
    ids = module._draw(60_000, order, parents, tables, rng)
    flat = np.ravel_multi_index(ids.T, (3, 3, 3))
    share = np.bincount(flat, minlength=27) / len(ids)
    exact = np.exp(module._log_prob(every_row(3, 3), parents, tables))
    np.testing.assert_allclose(share, exact, atol=0.01)


def test_model_prior_kinds_and_bound(trained, rows):
    codes = trained.encode(rows)
    tree = trained.prior_log_prob(codes).mean()
    np.testing.assert_allclose(
        trained.elbo(rows),
        trained.prior_log_prob(codes) - trained.example_losses(rows),
        rtol=1e-5,
    )
    twin = VQVAE.from_config(trained.get_config())
    twin.set_weights(trained.get_weights())
    twin.fit_prior(rows, "independent")
    assert tree > twin.prior_log_prob(codes).mean() + 0.5


def test_sample_is_seeded_and_decodes_codes_of_the_prior(trained):
    codes = trained.sample_codes(5, seed=1)
    assert codes.shape == (5, 4, 4)
    made = trained.sample(5, seed=1)
    assert made.shape == (5, 8, 8, 1)
    assert 0 <= made.min() <= made.max() <= 1
    np.testing.assert_array_equal(made, trained.decode(codes))
    assert not np.array_equal(made, trained.sample(5, seed=2))


def test_saved_model_keeps_prior_and_placement(trained, rows, tmp_path):
    trained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.sample_codes(9, seed=3), trained.sample_codes(9, seed=3)
    )
    assert int(ops.convert_to_numpy(loaded.codebook_placed)) == 1


@pytest.mark.slow
def test_digits_reconstruction_beats_the_mean_image_and_uses_the_book(digits):
    x, val = (
        part.reshape(-1, *IMAGE) for part in (digits.x_train, digits.x_val)
    )
    model = make(codebook_size=16, code_dim=8, widths=(16,))
    model.fit(x, batch_size=64, epochs=8, verbose=0)
    error = np.mean((model.reconstruct(val) - val) ** 2)
    assert error < 0.4 * np.mean((x.mean(axis=0) - val) ** 2)
    result = model.evaluate(val, batch_size=512, verbose=0, return_dict=True)
    assert result["perplexity"] > 4


def test_reconstruct_is_decode_of_encode(trained, rows):
    codes = trained.encode(rows)
    assert codes.dtype == np.int64
    assert codes.shape == (200, 4, 4)
    np.testing.assert_array_equal(
        trained.reconstruct(rows), trained.decode(codes)
    )


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"codebook_size": 1}, "codebook_size: expected an integer ≥ 2"),
        ({"code_dim": 0}, "code_dim: expected an integer ≥ 1"),
        ({"commitment": -1}, "commitment: expected a number ≥ 0"),
        ({"widths": ()}, "widths: expected at least one stage"),
        ({"widths": (4, 4, 4, 4)}, "height and width divisible by 16"),
        ({"likelihood": "bernoulli"}, r"likelihood: .* such as Bernoulli\(\)"),
        ({"input_shape": (64,)}, "height, width, channels"),
        ({"seed": -1}, "seed: expected"),
    ],
)
def test_wrong_argument_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        VQVAE.conv(**{"input_shape": IMAGE, "widths": (4,), **arguments})


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda m, x: m.fit(x[:1]),
            "codebook_size: expected at most 16, the vectors of 1 rows; "
            "received 17",
        ),
        (lambda m, x: m.fit(2 * x), r"x: expected values in \[0, 1\]"),
        (lambda m, x: m.fit(x * np.nan), "x: expected finite"),
        (lambda m, x: m.fit(x, x), "y: expected no target"),
        (lambda m, x: m.fit(x, validation_data=2 * x), "validation_data: exp"),
        (lambda m, x: m.sample(3), r"prior: expected fit_prior\(x\)"),
        (lambda m, x: m.elbo(x), r"prior: expected fit_prior\(x\)"),
        (lambda m, x: m.fit_prior(x, "forest"), "kind: expected one of"),
        (lambda m, x: m.fit_prior(x, smoothing=0), "smoothing: expected"),
        (lambda m, x: m.decode(np.zeros((2, 4, 4))), "z: expected integers"),
        (
            lambda m, x: m.decode(np.full((2, 4, 4), 17)),
            "z: expected integers from 0 to 16; received values from 17",
        ),
        (
            lambda m, x: m.decode(np.zeros((2, 5), int)),
            r"z: expected integers of shape \(n, 4, 4\)",
        ),
        (
            lambda m, x: m.prior_log_prob(np.zeros((0, 4, 4), int)),
            "codes: expected integers of shape",
        ),
    ],
)
def test_wrong_call_refused_before_training(call, match, rows):
    model = make(codebook_size=17)
    before = model.get_weights()
    with pytest.raises(ValueError, match=match):
        call(model, rows)
    assert int(model.optimizer.iterations) == 0
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_loss_given_to_compile_refused_by_fit(rows):
    model = VQVAE.conv(IMAGE, widths=(4,))
    model.compile("adam", loss="mse")
    with pytest.raises(ValueError, match="loss: expected none"):
        model.fit(rows)
    assert int(ops.convert_to_numpy(model.codebook_placed)) == 0


def test_bound_needs_a_distribution(rows):
    model = make(likelihood=SquaredError()).fit_prior(rows)
    with pytest.raises(ValueError, match="likelihood: expected a distribution"):
        model.elbo(rows)


@pytest.mark.parametrize("likelihood", [DiscretizedLogistic, Categorical])
def test_bound_of_any_distribution_is_prior_minus_loss(likelihood, rows):
    decoder = keras.Sequential(
        [
            keras.Input((2, 2, 3)),
            keras.layers.Conv2DTranspose(
                17 if likelihood is Categorical else 1, 4, strides=4
            ),
        ]
    )
    encoder = keras.Sequential(
        [keras.Input(IMAGE), keras.layers.Conv2D(3, 4, strides=4)]
    )
    model = VQVAE(encoder, decoder, 5, likelihood=likelihood(levels=17))
    model.fit_prior(rows)
    expected = model.prior_log_prob(model.encode(rows))
    expected = expected - model.example_losses(rows)
    np.testing.assert_allclose(model.elbo(rows), expected, rtol=1e-6)


# ---------------------------------------------------------------- contract

ARGUMENTS = {
    "codebook_size": 9,
    "code_dim": 5,
    "widths": (4,),
    "activation": "elu",
    "commitment": 0.5,
    "seed": 2,
}


def off_default(**more):
    """A model of which no argument has its default."""
    likelihood = SquaredError("sigmoid")
    return VQVAE.conv(IMAGE, likelihood=likelihood, **{**ARGUMENTS, **more})


def test_config_round_trip_keeps_every_argument():
    again = contracts.check_config_round_trip(
        off_default(name="mine", dtype="mixed_bfloat16")
    )
    assert (again.name, again.dtype_policy.name) == ("mine", "mixed_bfloat16")
    found = (again.codebook_size, again.code_dim, again.commitment, again.seed)
    assert found == (9, 5, 0.5, 2)
    assert again.likelihood.activation == "sigmoid"
    assert again.encoder.layers[1].activation is keras.activations.elu


def test_counts_of_weights_shapes_and_one_step(rows):
    model = off_default()
    assert len(model.weights) == 14
    assert contracts.num_seed_generators(model) == 0
    contracts.check_symbolic_shapes(model, rows[:3])
    contracts.check_fit_moves_all_weights(model, rows[:64])


def test_remake_is_the_model_of_the_other_seed():
    again = off_default().remake(seed=5, codebook_size=7)
    expected = off_default(seed=5, codebook_size=7)
    for a, b in zip(again.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_saved_and_loaded_in_a_new_process_same_outputs(
    rows, tmp_path, run_python
):
    model = off_default()
    model.compile("adam")
    model.fit(rows, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "rows.npy", rows)
    code = (
        "import sys, numpy as np\nfrom utils import runtime\n"
        "keras = runtime._import_keras()\n"
        "from utils.models import vector_quantized\n"
        "model = keras.saving.load_model(sys.argv[1] + '/model.keras')\n"
        "rows = np.load(sys.argv[1] + '/rows.npy')\n"
        "np.savez(sys.argv[1] + '/out.npz', **model.predict(rows, verbose=0))"
    )
    run_python(code, tmp_path, KERAS_BACKEND=BACKEND)
    with np.load(tmp_path / "out.npz") as found:
        assert set(found) == {"code", "vectors", "reconstruction"}
        contracts.assert_same_outputs(
            dict(found), model.predict(rows, verbose=0)
        )


def test_loaded_model_continues_where_it_stopped(rows, tmp_path):
    options = {"batch_size": 50, "epochs": 1, "verbose": 0, "shuffle": False}
    model = off_default()
    model.compile("adam")
    model.fit(rows, **options)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == 4
    for one in (model, loaded):
        one.fit(rows, **options)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_evaluate_same_means_at_any_batch_size(rows):
    model = off_default()
    model.compile("adam")
    results = [
        model.evaluate(rows, batch_size=size, verbose=0, return_dict=True)
        for size in (50, 200)
    ]
    error = metrics.mse(rows, model.reconstruct(rows))
    assert results[0]["mse"] == pytest.approx(error, rel=1e-4)
    assert results[0]["loss"] == pytest.approx(results[1]["loss"], rel=1e-4)


def test_mixed_precision_computes_half_and_keeps_float32(rows):
    model = make(dtype="mixed_bfloat16")
    outputs = model(ops.convert_to_tensor(rows[:64]))
    for name in ("vectors", "reconstruction", "logits"):
        dtype = keras.backend.standardize_dtype(outputs[name].dtype)
        assert dtype == "bfloat16", name
    assert {weight.dtype for weight in model.weights} <= {"float32", "int32"}
    assert model.reconstruct(rows).dtype == np.float32
    full = make(dtype="float32")
    full.set_weights(model.get_weights())
    model.compile("sgd", run_eagerly=EAGERLY)
    full.compile("sgd", run_eagerly=EAGERLY)
    half_value, full_value = (
        one.evaluate(rows, verbose=0, return_dict=True)["loss"]
        for one in (model, full)
    )
    assert half_value == pytest.approx(full_value, rel=0.1)
    history = model.fit(rows, batch_size=64, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()


# ------------------------------------------------- own networks, containers


def test_networks_whose_shapes_do_not_meet_are_refused():
    encoder = keras.Sequential([keras.Input((64,)), keras.layers.Dense(3)])
    decoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(64)])
    with pytest.raises(ValueError, match=r"decoder: .*\(3,\).*\(4,\)"):
        VQVAE(encoder, decoder, 8)


def test_one_vector_an_example_is_a_grid_without_axes(digits):
    x = digits.x_train[:60]
    encoder = keras.Sequential([keras.Input((64,)), keras.layers.Dense(3)])
    decoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(64)])
    model = VQVAE(encoder, decoder, 8, seed=0)
    model.compile("adam")
    model.fit(x, epochs=1, verbose=0)
    codes = model.encode(x)
    assert codes.shape == (60,) and len(np.unique(codes)) == 8
    assert model.fit_prior(x).sample(5, seed=0).shape == (5, 64)
    shares = np.exp(model.prior_log_prob(np.arange(8)))
    assert shares.sum() == pytest.approx(1.0, abs=1e-5)


def batches(x, size=50):
    return [(x[i : i + size],) for i in range(0, len(x), size)]


class Batches(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.batches = batches(x)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def test_batches_train_as_arrays_and_place_the_book_on_the_first(rows):
    options = {"verbose": 0, "shuffle": False}
    placed = make(codebook_size=16)
    placed.before_training(rows[:50])
    by_array, by_batch = make(codebook_size=16), make(codebook_size=16)
    by_array.set_weights(placed.get_weights())
    by_array.fit(rows, batch_size=50, **options)
    by_batch.fit(Batches(rows), **options)
    for a, b in zip(
        by_array.get_weights(), by_batch.get_weights(), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_generator_leaves_the_book_where_it_is_and_later_fits_as_well(rows):
    model = make()
    model.compile(keras.optimizers.SGD(0.0))
    book = ops.convert_to_numpy(model.quantizer.codebook).copy()
    model.fit(iter(batches(rows)), steps_per_epoch=4, verbose=0)
    model.fit(rows, verbose=0)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model.quantizer.codebook), book
    )


def test_bad_batch_is_refused_by_its_number(rows):
    x = rows.copy()
    x[120] = np.nan
    model = make()
    with pytest.raises(Exception, match="x, batch 3: expected finite"):
        model.fit(Batches(x), verbose=0)


# ----------------------------------------------------------------- weights


def results_of(model, x, weight=None):
    return model.evaluate(
        x,
        sample_weight=weight,
        batch_size=len(x),
        verbose=0,
        return_dict=True,
    )


def test_weights_act_as_repeated_rows_commitment_included(rows):
    model = make(commitment=2.0)
    x, count = rows[:40], np.arange(40) % 3
    found = results_of(model, x, count)
    repeated = results_of(model, np.repeat(x, count, axis=0))
    share = count.mean()  # weights are not normalised in a loss
    assert found["loss"] == pytest.approx(share * repeated["loss"], rel=1e-4)
    for name in ("mse", "nll", "perplexity"):
        assert found[name] == pytest.approx(repeated[name], rel=1e-4), name


def test_weights_of_zero_move_nothing(rows):
    model = make()
    model.before_training(rows)
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1.0))
    model.fit(rows, sample_weight=np.zeros(200), verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
