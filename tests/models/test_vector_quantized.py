"""Vector-quantised autoencoder: objective, code book, prior, errors."""

import keras
import numpy as np
import pytest
from keras import ops

from utils.models import _code_prior as prior
from utils.models.vector_quantized import VQVAE
from utils.nn import losses

BACKEND = keras.backend.backend()
IMAGE = (8, 8, 1)


@pytest.fixture(scope="module")
def rows(digits):
    return digits.x_train[:200].reshape(-1, *IMAGE)


def number(tensor):
    """A scalar tensor as a float; PyTorch's may still carry a gradient."""
    return float(ops.convert_to_numpy(tensor))


def make(**arguments):
    options = {"code_dim": 3, "widths": (4,), "seed": 0, **arguments}
    size = options.pop("codebook_size", 6)
    model = VQVAE(IMAGE, size, **options)
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
    model = VQVAE()
    assert model.grid == (7, 7)
    assert model.quantizer.codebook.shape == (64, 16)


@pytest.mark.parametrize("commitment", [0.0, 0.25, 2.0])
@pytest.mark.parametrize("output", ["bernoulli", "linear"])
def test_loss_equals_numpy(output, commitment, rows):
    model = make(output=output, commitment=commitment)
    outputs = model.predict(rows, verbose=0)
    book = ops.convert_to_numpy(model.quantizer.codebook)
    vectors = outputs["vectors"]
    distances = ((vectors[:, :, :, None] - book) ** 2).sum(axis=-1)
    np.testing.assert_array_equal(outputs["code"], distances.argmin(axis=-1))
    nearest = distances.min(axis=-1).sum(axis=(1, 2))
    if output == "bernoulli":
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
    values = [number(model._perplexity(ids)) for ids in (code, even)]
    np.testing.assert_allclose(values, [1, 6], rtol=1e-3)


def test_encoder_codebook_and_decoder_all_move(rows):
    model = make()
    model._place_codebook(rows)
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
    model._place_codebook(rows)
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
    model._place_codebook(rows)
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
    _, parents, tables = prior.fit(chain(500, rng), 3, tree, 4.0)
    total = np.exp(prior.log_prob(every_row(3, 3), parents, tables)).sum()
    assert total == pytest.approx(1, abs=1e-5)


def test_tree_finds_the_chain_and_its_probabilities(rng):
    ids = chain(20_000, rng)
    order, parents, tables = prior.fit(ids[:, [0, 2, 1]], 3, True, 4.0)
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
        _, parents, tables = prior.fit(train, 3, tree, 4.0)
        values.append(prior.log_prob(test, parents, tables).mean())
    # information of two links, about 0.5 nats each
    assert values[0] > values[1] + 0.8


def test_draws_have_the_probabilities_of_the_prior(rng):
    order, parents, tables = prior.fit(chain(500, rng), 3, True, 4.0)
    ids = prior.draw(60_000, order, parents, tables, rng)
    flat = np.ravel_multi_index(ids.T, (3, 3, 3))
    share = np.bincount(flat, minlength=27) / len(ids)
    exact = np.exp(prior.log_prob(every_row(3, 3), parents, tables))
    np.testing.assert_allclose(share, exact, atol=0.01)


def test_model_prior_kinds_and_bound(trained, rows):
    codes = trained.encode(rows)
    tree = trained.prior_log_prob(codes).mean()
    np.testing.assert_allclose(
        trained.elbo(rows),
        trained.prior_log_prob(codes) - trained.score(rows),
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
        ({"output": "relu"}, "output: expected one of"),
        ({"input_shape": (64,)}, "height, width, channels"),
        ({"seed": -1}, "seed: expected"),
    ],
)
def test_wrong_argument_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        VQVAE(**{"input_shape": IMAGE, "widths": (4,), **arguments})


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
        (lambda m, x: m.decode(np.zeros((2, 4, 4))), "codes: expected integ"),
        (
            lambda m, x: m.decode(np.full((2, 4, 4), 17)),
            "codes: expected integers from 0 to 16",
        ),
        (lambda m, x: m.decode(np.zeros((2, 5), int)), "codes: expected int"),
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
    model = VQVAE(IMAGE, widths=(4,))
    model.compile("adam", loss="mse")
    with pytest.raises(ValueError, match="loss: expected none"):
        model.fit(rows)
    assert int(ops.convert_to_numpy(model.codebook_placed)) == 0


def test_bound_needs_a_likelihood(rows):
    model = make(output="linear").fit_prior(rows)
    with pytest.raises(ValueError, match="output: expected 'bernoulli'"):
        model.elbo(rows)
