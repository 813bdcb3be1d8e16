"""Recommenders: what the loss sees, what is learned, the common contract."""

import contracts
import keras
import numpy as np
import pytest
import scipy.sparse
from contracts import EAGERLY, Case
from keras import ops

from utils.baselines.recommenders import Popularity
from utils.data import interactions
from utils.evaluation import ranking
from utils.models.recommenders import AutoRec, MatrixFactorization, MultVAE
from utils.nn import backend, losses

BACKEND = keras.backend.backend()
STEPS = 32 if BACKEND == "tensorflow" else 1

CASES = [
    Case(
        "factorisation",
        MatrixFactorization,
        {
            "num_users": 30,
            "num_items": 12,
            "latent_dim": 3,
            "penalty": 0.3,
            "offset": 2.5,
            "seed": 4,
        },
        num_weights=3,
        builder="tables",
    ),
    Case(
        "autorec",
        AutoRec,
        {
            "num_columns": 12,
            "latent_dim": 5,
            "widths": (7,),
            "penalty": 0.3,
            "offset": 2.5,
            "dropout": 0.2,
            "seed": 4,
        },
        num_weights=8,
        num_generators=1,
        builder="dense",
    ),
    Case(
        "multvae",
        MultVAE,
        {
            "num_items": 12,
            "latent_dim": 3,
            "widths": (7, 5),
            "activation": "relu",
            "dropout": 0.3,
            "beta": 0.7,
            "free_bits": 0.1,
            "warmup_steps": 5,
            "seed": 4,
        },
        num_weights=15,
        num_generators=2,
        builder="dense",
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])


@pytest.fixture(scope="module")
def ratings():
    return interactions.make_ratings(30, 12, rank=2, share=0.4, seed=0)


@pytest.fixture(scope="module")
def feedback():
    rng = np.random.default_rng(0)
    x = (rng.random((40, 12)) < 0.4).astype("float32")
    x[:, 0] = 1.0
    return x


def inputs_of(case, ratings, feedback):
    """What the model's ``call`` takes."""
    if case.cls is MatrixFactorization:
        return ratings.pairs()[0]
    if case.cls is AutoRec:
        return {
            "x": ratings.values,
            "observed": ratings.observed.astype("float32"),
        }
    return feedback


def outputs_of(model, x):
    tensors = keras.tree.map_structure(ops.convert_to_tensor, x)
    return contracts.numpy_tree(model(tensors))


def fit_once(model, case, ratings, feedback, **options):
    model.compile(keras.optimizers.Adam(1e-2), **options)
    if case.cls is MatrixFactorization:
        return model.fit(*ratings.pairs(), batch_size=16, verbose=0)
    if case.cls is AutoRec:
        return model.fit(
            ratings.values, ratings.observed, batch_size=16, verbose=0
        )
    return model.fit(feedback, batch_size=16, verbose=0)


def value(tensor):
    return ops.convert_to_numpy(tensor)


# ----------------------------------------------------------------- losses


def test_masked_loss_hand_computed():
    x, x_hat = [[1.0, 5.0, 3.0]], [[2.0, 2.0, 1.0]]
    loss = losses.masked_squared_error(x, x_hat, [[True, False, True]])
    np.testing.assert_allclose(value(loss), [5.0])
    none = losses.masked_squared_error(x, x_hat, [[0, 0, 0]])
    np.testing.assert_array_equal(value(none), [0.0])


@pytest.mark.parametrize("anything", [0.0, 1e6, np.nan, np.inf])
def test_masked_loss_does_not_change_when_an_unobserved_entry_does(anything):
    rng = np.random.default_rng(0)
    x, x_hat = rng.random((2, 6, 5)).astype("float32")
    observed = rng.random((6, 5)) < 0.5
    changed = np.where(observed, x, anything).astype("float32")

    def loss(values, prediction):
        return ops.sum(
            losses.masked_squared_error(values, prediction, observed)
        )

    assert value(loss(x, x_hat)) == value(loss(changed, x_hat))
    slope = backend.input_gradient(
        lambda prediction: loss(changed, prediction),
        ops.convert_to_tensor(x_hat),
    )
    slope = value(slope)
    assert np.isfinite(slope).all()
    assert (slope[~observed] == 0).all()
    np.testing.assert_allclose(
        slope[observed], 2 * (x_hat - x)[observed], rtol=1e-5
    )


def test_multinomial_nll_hand_computed():
    logits = np.log([[0.5, 0.3, 0.2]])
    nll = losses.multinomial_nll([[1.0, 0.0, 2.0]], logits + 7.0)
    np.testing.assert_allclose(
        value(nll), [-(np.log(0.5) + 2 * np.log(0.2))], rtol=1e-5
    )


# --------------------------------------------------------------- contract


def test_cases_move_every_constructor_argument_off_its_default():
    for case in CASES:
        parameters = set(contracts.constructor_defaults(case.cls))
        own = parameters & set(case.make().get_config())
        own -= {"name", "dtype", "user_table", "item_table"}
        own -= {"encoder", "decoder"}
        assert own <= contracts.changed_arguments(case), case.name


@each_case
def test_model_config_round_trip(case):
    again = contracts.check_config_kept(case, name="mine")
    assert again.name == "mine"


@each_case
def test_model_counts_weights_and_seed_generators(case):
    model = case.make()
    assert len(model.trainable_weights) == case.num_weights - (
        1 if case.config.get("warmup_steps") else 0
    )
    assert len(model.weights) == case.num_weights
    assert contracts.num_seed_generators(model) == case.num_generators


@each_case
def test_model_fits_saves_and_loads(case, ratings, feedback, tmp_path):
    model = case.make()
    history = fit_once(model, case, ratings, feedback)
    assert np.isfinite(history.history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is case.cls
    assert contracts.json_form(loaded.get_config()) == contracts.json_form(
        model.get_config()
    )
    x = inputs_of(case, ratings, feedback)
    mine, theirs = outputs_of(model, x), outputs_of(loaded, x)
    if case.cls is MultVAE:  # z is drawn; the rest is not
        mine, theirs = (
            {name: made[name] for name in ("mean", "log_var")}
            for made in (mine, theirs)
        )
    contracts.assert_same_outputs(mine, theirs)


@each_case
def test_model_one_step_moves_every_trainable_weight(case, ratings, feedback):
    model = case.make()
    before = [value(w).copy() for w in model.trainable_weights]
    fit_once(model, case, ratings, feedback, run_eagerly=EAGERLY)
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert not np.array_equal(value(weight), old), weight.path


@each_case
def test_model_mixed_precision_keeps_float32_weights(case, ratings, feedback):
    model = case.make(dtype="mixed_bfloat16")
    outputs = outputs_of(model, inputs_of(case, ratings, feedback))
    assert {w.dtype for w in model.trainable_weights} == {"float32"}
    history = fit_once(model, case, ratings, feedback, run_eagerly=EAGERLY)
    assert np.isfinite(history.history["loss"]).all()
    assert all(np.isfinite(made).all() for made in outputs.values())


@each_case
def test_model_evaluate_same_number_at_any_batch_size(case, ratings, feedback):
    model = case.make(**({"beta": 0.0} if case.cls is MultVAE else {}))
    if case.cls is MultVAE:
        model.compile("adam")
        # draws differ between batches: compare a code that never varies
        weights = model.get_weights()
        model.set_weights([0 * w for w in weights])
        arguments = (feedback,)
    else:
        model.compile("adam")
        arguments = (
            ratings.pairs()
            if case.cls is MatrixFactorization
            else (ratings.values, ratings.observed)
        )
    results = [
        model.evaluate(*arguments, batch_size=size, verbose=0, return_dict=True)
        for size in (7, 512)
    ]
    for name, number in results[0].items():
        assert number == pytest.approx(results[1][name], rel=1e-4), name


# ---------------------------------------------------------- factorisation


def test_factorisation_rating_and_loss_hand_computed():
    model = MatrixFactorization.tables(2, 2, 1, penalty=0.5, offset=3.0)
    # last column: biases
    model.user_table.embeddings.assign([[1.0, 0.1], [2.0, -0.1]])
    model.item_table.embeddings.assign([[0.5, 0.2], [-1.0, 0.0]])
    rating = model.rate([[0, 0], [1, 1]])
    np.testing.assert_allclose(
        rating, [3 + 0.1 + 0.2 + 0.5, 3 - 0.1 - 2.0], rtol=1e-5
    )
    model.compile("adam")
    result = model.evaluate([[0, 0]], [4.0], verbose=0, return_dict=True)
    squares = 1.0 + 0.01 + 0.25 + 0.04
    assert result["mse"] == pytest.approx(0.04, rel=1e-4)
    assert result["loss"] == pytest.approx(0.04 + 0.5 * squares, rel=1e-4)


def test_factorisation_beats_biases_on_hidden_ratings():
    made = interactions.make_ratings(120, 60, rank=2, share=0.3, seed=1)
    rng = np.random.default_rng(0)
    test = made.observed & (rng.random(made.values.shape) < 0.2)
    pairs, values = made.pairs(made.observed & ~test)
    new, truth = made.pairs(test)
    errors = {}
    for width in (0, 4):
        keras.utils.set_random_seed(0)
        model = MatrixFactorization.tables(
            120, 60, width, penalty=0.05, offset=values.mean(), seed=0
        )
        model.compile(keras.optimizers.Adam(0.03), steps_per_execution=STEPS)
        model.fit(pairs, values, epochs=25, batch_size=64, verbose=0)
        errors[width] = np.sqrt(np.mean((model.rate(new) - truth) ** 2))
    assert errors[0] < truth.std()
    assert errors[4] < 0.9 * errors[0]


@pytest.mark.parametrize(
    "pairs, y, match",
    [
        ([[0, 12]], [3.0], "items below 12"),
        ([[-1, 0]], [3.0], "users below 30"),
        ([[0.0, 1.0]], [3.0], "dtype float64"),
        ([[0, 1, 2]], [3.0], "integers"),
        ([[0, 1]], None, "1 ratings"),
        ([[0, 1]], [np.nan], "NaN"),
        ([[0, 1]], [3.0, 4.0], "1 ratings"),
    ],
)
def test_factorisation_wrong_pairs_are_named(pairs, y, match):
    model = CASES[0].make()
    model.compile("adam")
    with pytest.raises(ValueError, match=match):
        model.fit(np.array(pairs), y, verbose=0)


def test_factorisation_weights_train_as_repeated_pairs_do(ratings):
    pairs, values = (part[:12] for part in ratings.pairs())
    contracts.check_zero_weights_move_nothing(CASES[0].make(), pairs, values)
    contracts.check_weights_are_repetitions(CASES[0].make, pairs, values)


@pytest.mark.parametrize("kind", ["csr_matrix", "coo_array", "csc_array"])
def test_factorisation_takes_a_sparse_matrix_of_ratings(kind, ratings):
    matrix = getattr(scipy.sparse, kind)(
        np.where(ratings.observed, ratings.values, 0)
    )
    losses = []
    for arguments in ((matrix,), ratings.pairs()):
        model = CASES[0].make()
        model.compile("sgd", run_eagerly=EAGERLY)
        model.fit(
            *arguments,
            validation_data=arguments[0] if len(arguments) == 1 else arguments,
            batch_size=matrix.nnz,
            verbose=0,
        )
        logs = model.evaluate(*arguments, verbose=0, return_dict=True)
        losses.append(list(logs.values()))
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_factorisation_sparse_matrix_that_does_not_fit_is_named():
    model = CASES[0].make()
    model.compile("sgd")
    matrix = scipy.sparse.eye_array(30, 12).tocsr()
    with pytest.raises(ValueError, match=r"\(30, 12\).*\(12, 30\)"):
        model.fit(matrix.T, verbose=0)
    with pytest.raises(ValueError, match="y: expected none beside a matrix"):
        model.fit(matrix, np.ones(12), verbose=0)


def test_factorisation_tables_of_ones_own(ratings):
    def table(rows, width):
        return keras.layers.Embedding(rows, width)

    model = MatrixFactorization(table(30, 4), table(12, 4), offset=2.0)
    assert (model.num_users, model.num_items, model.latent_dim) == (30, 12, 3)
    model.compile(keras.optimizers.Adam(0.05), run_eagerly=EAGERLY)
    history = model.fit(*ratings.pairs(), epochs=3, verbose=0).history
    assert history["mse"][-1] < history["mse"][0]
    with pytest.raises(ValueError, match="item_table.*width 4.*received 5"):
        MatrixFactorization(table(30, 4), table(12, 5))
    with pytest.raises(ValueError, match="user_table.*Embedding.*Dense"):
        MatrixFactorization(keras.layers.Dense(4), table(12, 4))


def test_factorisation_remake_with_another_seed_is_as_made_with_it():
    again, other = CASES[0].make().remake(seed=9), CASES[0].make(seed=9)
    assert all(map(np.array_equal, again.get_weights(), other.get_weights()))
    assert again.penalty == 0.3


def test_factorisation_takes_validation_pairs(ratings):
    model = CASES[0].make()
    model.compile("adam", run_eagerly=EAGERLY)
    pairs, values = ratings.pairs()
    history = model.fit(
        pairs, values, validation_data=(pairs[:5], values[:5]), verbose=0
    )
    assert "val_mse" in history.history
    with pytest.raises(ValueError, match="validation_data"):
        model.fit(pairs, values, validation_data=([[99, 0]], [1.0]), verbose=0)


# ---------------------------------------------------------------- AutoRec


@pytest.fixture(scope="module")
def autorec(ratings):
    model = CASES[1].make(dropout=0.0)
    model.compile(keras.optimizers.SGD(0.01))
    return model


@pytest.mark.parametrize("anything", [1.0, 1e4])
def test_autorec_loss_does_not_change_when_an_unobserved_entry_does(
    autorec, ratings, anything
):
    observed = ratings.observed
    changed = np.where(observed, ratings.values, anything)
    for verb in (autorec.example_losses, autorec.reconstruct, autorec.encode):
        np.testing.assert_array_equal(
            verb(ratings.values, observed), verb(changed, observed)
        )
    first, second = (
        autorec.evaluate(x, observed, verbose=0)
        for x in (ratings.values, changed)
    )
    assert first == second


def test_autorec_unobserved_entry_changes_nothing_inside_the_graph(
    autorec, ratings
):
    # the same, past the checks that blank unobserved entries
    observed = ratings.observed.astype("float32")
    made = []
    for anything in (0.0, 77.0):
        x = np.where(ratings.observed, ratings.values, anything)
        packed = {"x": x.astype("float32"), "observed": observed}
        outputs = autorec(
            keras.tree.map_structure(ops.convert_to_tensor, packed)
        )
        made.append(value(autorec.compute_loss(packed, y_pred=outputs)))
    assert made[0] == made[1]


def test_autorec_observed_entry_does_change_the_loss(autorec, ratings):
    user, item = np.argwhere(ratings.observed)[0]
    changed = ratings.values.copy()
    changed[user, item] += 1.0
    first, second = (
        autorec.example_losses(x, ratings.observed)[user]
        for x in (ratings.values, changed)
    )
    assert first != second


def test_autorec_mse_is_a_mean_over_observed_entries(autorec, ratings):
    result = autorec.evaluate(
        ratings.values, ratings.observed, verbose=0, return_dict=True
    )
    made = autorec.reconstruct(ratings.values, ratings.observed)
    squares = (made - ratings.values)[ratings.observed] ** 2
    assert result["mse"] == pytest.approx(squares.mean(), rel=1e-4)
    kernels = [w for w in autorec.get_weights() if w.ndim == 2]
    penalty = 0.5 * 0.3 * sum((w**2).sum() for w in kernels)
    score = autorec.example_losses(ratings.values, ratings.observed).mean()
    assert result["loss"] == pytest.approx(score + penalty, rel=1e-4)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_autorec_learns_hidden_ratings_better_than_item_means(dropout):
    made = interactions.make_ratings(150, 40, rank=2, share=0.4, seed=2)
    rng = np.random.default_rng(0)
    test = made.observed & (rng.random(made.values.shape) < 0.2)
    test &= (made.observed & ~test).any(axis=0) & (
        (made.observed & ~test).sum(axis=1, keepdims=True) > 0
    )
    train = made.observed & ~test
    kept = np.where(train, made.values, 0)
    x, mask = kept.T, train.T
    mean = made.values[train].mean()
    model = AutoRec.dense(
        150, 30, penalty=0.05, offset=mean, dropout=dropout, seed=0
    )
    model.compile(keras.optimizers.Adam(5e-3), steps_per_execution=STEPS)
    copies = 8 if BACKEND == "tensorflow" else 1
    model.fit(
        np.tile(x, (copies, 1)),
        np.tile(mask, (copies, 1)),
        epochs=80 // copies,
        batch_size=10,
        verbose=0,
    )
    made_up = model.reconstruct(x, mask).T
    error = np.sqrt(np.mean((made_up - made.values)[test] ** 2))
    item = kept.sum(0) / np.maximum(train.sum(0), 1)
    base = np.sqrt(np.mean((item[None] - made.values)[test] ** 2))
    assert error < 0.92 * base


@pytest.mark.parametrize(
    "change, match",
    [
        ({"observed": None}, "observed: expected a mask"),
        ({"x": np.full((4, 12), np.nan)}, "NaN"),
        ({"x": np.zeros((4, 11))}, r"shape \(n, 12\)"),
        ({"observed": np.ones((3, 12))}, "4 rows"),
        ({"observed": np.full((4, 12), 0.5)}, "entries 0 or 1"),
        ({"observed": np.eye(4, 12) * [[1], [1], [0], [1]]}, "empty row 2"),
    ],
)
def test_autorec_wrong_input_is_named(autorec, change, match):
    good = {"x": np.ones((4, 12)), "observed": np.ones((4, 12))}
    arguments = {**good, **change}
    for verb in (autorec.fit, autorec.evaluate, autorec.example_losses):
        with pytest.raises(ValueError, match=match):
            verb(arguments["x"], arguments["observed"])


def test_autorec_predict_takes_the_dict(autorec, ratings):
    packed = {"x": ratings.values, "observed": ratings.observed}
    made = autorec.predict(packed, verbose=0)
    assert set(made) == {"code", "reconstruction"}
    np.testing.assert_allclose(
        made["reconstruction"],
        autorec.reconstruct(ratings.values, ratings.observed),
        rtol=1e-5,
    )


def test_autorec_takes_validation_data(autorec, ratings):
    model = CASES[1].make()
    model.compile("adam", run_eagerly=EAGERLY)
    both = (ratings.values, ratings.observed)
    history = model.fit(*both, validation_data=both, verbose=0)
    assert "val_mse" in history.history


# ---------------------------------------------------------------- MultVAE


def test_multvae_probabilities_sum_to_one(feedback):
    model = CASES[2].make()
    made = model.reconstruct(feedback)
    assert made.shape == feedback.shape and (made > 0).all()
    np.testing.assert_allclose(made.sum(1), 1.0, rtol=1e-5)


def test_multvae_loss_is_the_negative_bound_without_the_coefficient(feedback):
    model = MultVAE.dense(12, 3, widths=(7,), beta=1.0, seed=0)
    model.compile("adam")
    result = model.evaluate(feedback, verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(
        result["nll"] + result["kl"], rel=1e-5
    )
    bound = model.elbo(feedback, 200, seed=0).mean()
    assert result["loss"] == pytest.approx(-bound, rel=0.05)
    # at the code's mean, by hand
    made = model.decode(model.encode(feedback))
    by_hand = -(feedback * np.log(made)).sum(1)
    found = model.likelihood.negative_log_likelihood(
        feedback, {"logits": np.log(made)}
    )
    np.testing.assert_allclose(value(found), by_hand, rtol=1e-4)


def test_multvae_encoder_sees_directions_not_lengths(feedback):
    model = CASES[2].make()
    once, thrice = (
        value(model.posterior(ops.convert_to_tensor(factor * feedback))["mean"])
        for factor in (1.0, 3.0)
    )
    np.testing.assert_allclose(once, thrice, rtol=1e-4, atol=1e-6)


def test_multvae_finds_hidden_items_better_than_popularity(rng):
    groups = rng.integers(0, 3, 240)
    chance = np.where(groups[:, None] == np.arange(24) // 8, 0.5, 0.04)
    x = (rng.random((240, 24)) < chance).astype("float32")
    x = x[x.sum(1) >= 2]
    seen, hidden = ranking.hide_items(x, 0.3, min_items=4)
    model = MultVAE.dense(24, 8, widths=(32,), beta=0.1, seed=0)
    model.compile(keras.optimizers.Adam(1e-2), steps_per_execution=STEPS)
    model.fit(seen, epochs=40, batch_size=32, verbose=0)
    popular = Popularity().fit(seen).predict_scores(seen)
    learned, simple = (
        ranking.recall_at_k(scores, hidden, seen, k=4)
        for scores in (model.reconstruct(seen), popular)
    )
    assert learned > simple + 0.15


@pytest.mark.parametrize(
    "row, match",
    [
        (np.zeros(12), "empty row 1"),
        (np.full(12, np.nan), "NaN"),
        (np.full(12, 2.0), "entries 0 or 1; received 2 in row 1"),
    ],
)
def test_multvae_wrong_rows_are_named(feedback, row, match):
    model = CASES[2].make()
    model.compile("adam")
    x = feedback[:3].copy()
    x[1] = row
    for verb in (model.fit, model.evaluate, model.encode, model.reconstruct):
        with pytest.raises(ValueError, match=match):
            verb(x)


@pytest.mark.parametrize(
    "cls, arguments, match",
    [
        (MultVAE.dense, {"num_items": 1}, "num_items"),
        (MultVAE.dense, {"num_items": 9, "dropout": 1.0}, "dropout"),
        (MultVAE.dense, {"num_items": 9, "beta": -1.0}, "beta"),
        (AutoRec.dense, {"num_columns": 9, "penalty": -1.0}, "penalty"),
        (AutoRec.dense, {"num_columns": 9, "latent_dim": 0}, "latent_dim"),
        (
            MatrixFactorization.tables,
            {"num_users": 0, "num_items": 3},
            "num_users",
        ),
        (
            MatrixFactorization.tables,
            {"num_users": 3, "num_items": 3, "offset": np.nan},
            "offset",
        ),
    ],
)
def test_model_wrong_hyperparameter_is_named(cls, arguments, match):
    with pytest.raises(ValueError, match=match):
        cls(**arguments)
