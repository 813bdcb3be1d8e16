"""Word vectors: losses by hand, counts by hand, optima that theory knows."""

import contracts
import keras
import numpy as np
import pytest
from contracts import EAGERLY, Case
from keras import ops

from utils.models.words import (
    GloVe,
    SkipGram,
    cooccurrence,
    ppmi,
    ppmi_vectors,
    skip_gram_rows,
)

CASES = [
    Case(
        "skip_gram",
        SkipGram,
        {"vocabulary_size": 9, "latent_dim": 4, "seed": 3},
        num_weights=2,
        builder="tables",
    ),
    Case(
        "glove",
        GloVe,
        {
            "vocabulary_size": 9,
            "latent_dim": 4,
            "x_max": 5.0,
            "power": 0.5,
            "seed": 3,
        },
        num_weights=4,
        builder="tables",
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def some_x(case, n=12):
    rng = np.random.default_rng(0)
    width = 2 if case.cls is GloVe else 5
    return rng.integers(3, 9, (n, width)).astype("int32")


def arguments(case):
    x = some_x(case)
    if case.cls is GloVe:
        return x, np.arange(1.0, len(x) + 1)
    return (x,)


def table(rows=9, width=4):
    return keras.layers.Embedding(rows, width)


@each_case
def test_model_config_counts_and_arguments(case):
    model = case.make()
    contracts.check_config_kept(case)
    assert len(model.weights) == case.num_weights
    moved = contracts.changed_arguments(case)
    plain = {"x_max", "power"}  # the others are tables
    assert moved == plain & set(contracts.constructor_defaults(case.cls))


@each_case
def test_model_saved_and_loaded_gives_the_same(case, tmp_path):
    model, x = case.make(), some_x(case)
    model(x)
    path = str(tmp_path / "model.keras")
    model.save(path)
    again = keras.saving.load_model(path)
    contracts.assert_same_outputs(
        contracts.numpy_tree(model(x)), contracts.numpy_tree(again(x))
    )
    np.testing.assert_array_equal(model.vectors(), again.vectors())


@each_case
def test_model_fit_lowers_the_loss(case):
    model = case.make()
    model.compile(keras.optimizers.Adam(0.05), run_eagerly=EAGERLY)
    losses = model.fit(*arguments(case), epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@each_case
def test_weights_of_rows_train_as_repeated_rows_do(case):
    x, *y = arguments(case)
    y = y[0] if y else None
    contracts.check_zero_weights_move_nothing(case.make(), x, y)
    contracts.check_weights_are_repetitions(case.make, x, y)


@each_case
def test_class_weight_is_refused_and_predict_checks(case):
    model = case.make()
    model.compile("sgd", run_eagerly=EAGERLY)
    with pytest.raises(ValueError, match="class_weight"):
        model.fit(*arguments(case), class_weight={0: 2.0}, verbose=0)
    x = some_x(case)
    np.testing.assert_allclose(
        model.predict(x, verbose=0), ops.convert_to_numpy(model(x)), rtol=1e-5
    )
    with pytest.raises(ValueError, match="vocabulary"):
        model.predict(x + 9)


def test_tables_of_ones_own_are_trained_and_saved(tmp_path):
    model = SkipGram(table(), table())
    x = np.random.default_rng(0).integers(3, 9, (12, 5))
    before = model.vectors()
    model.compile("sgd", run_eagerly=EAGERLY)
    model.fit(x, verbose=0)
    assert np.abs(model.vectors() - before).max() > 0
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.word_table) is keras.layers.Embedding
    np.testing.assert_array_equal(model.vectors(), again.vectors())


@each_case
def test_remake_with_another_seed_is_as_made_with_it(case):
    again, other = case.make().remake(seed=5), case.make(seed=5)
    assert all(map(np.array_equal, again.get_weights(), other.get_weights()))
    assert getattr(again, "x_max", 5.0) == 5.0


def test_skip_gram_loss_equals_the_formula():
    model = SkipGram.tables(6, 2, seed=0)
    u = np.arange(12.0).reshape(6, 2) / 10
    v = np.array([[1.0, -1]] * 6) * np.arange(6)[:, None] / 5
    model.word_table.set_weights([u])
    model.context_table.set_weights([v])
    x = np.array([[3, 4, 5, 3], [5, 3, 4, 4]], "int32")

    def sigma(value):
        return 1 / (1 + np.exp(-value))

    by_hand = [
        -np.log(sigma(u[word] @ v[context]))
        - sum(np.log(sigma(-u[word] @ v[j])) for j in drawn)
        for word, context, *drawn in x
    ]
    loss = model.compute_loss(x=x, y_pred=model(x))
    assert np.isclose(float(ops.convert_to_numpy(loss)), np.mean(by_hand))


def test_glove_loss_equals_the_formula():
    model = GloVe.tables(6, 2, x_max=4.0, power=0.5, seed=0)
    rng = np.random.default_rng(1)
    u, v = rng.standard_normal((2, 6, 2))
    b, a = rng.standard_normal((2, 6, 1))
    for layer, value in zip(
        (
            model.word_table,
            model.context_table,
            model.word_bias,
            model.context_bias,
        ),
        (u, v, b, a),
        strict=True,
    ):
        layer.set_weights([value])
    x = np.array([[3, 4], [5, 3], [4, 4]], "int32")
    counts = np.array([1.0, 4.0, 9.0])  # weights 0.5, 1, 1
    error = [
        u[i] @ v[j] + b[i, 0] + a[j, 0] - np.log(count)
        for (i, j), count in zip(x, counts, strict=True)
    ]
    by_hand = np.mean(np.array([0.5, 1.0, 1.0]) * np.square(error))
    loss = model.compute_loss(x=x, y=counts, y_pred=model(x))
    assert np.isclose(float(ops.convert_to_numpy(loss)), by_hand, rtol=1e-5)


def test_skip_gram_optimum_is_the_shifted_mutual_information():
    # two words, two contexts, drawn so that PMI is known
    joint = np.array([[0.4, 0.1], [0.1, 0.4]])
    rng = np.random.default_rng(0)
    cell = rng.choice(4, 4000, p=joint.ravel())
    noise = rng.integers(3, 5, (4000, 2))  # both contexts have share 1/2
    x = np.c_[3 + cell // 2, 3 + cell % 2, noise].astype("int32")
    model = SkipGram.tables(5, 4, seed=0)
    model.compile(keras.optimizers.Adam(0.05))
    model.fit(x, batch_size=500, epochs=25, verbose=0)
    table = np.array([[3, 3, 4], [4, 3, 4]], "int32")
    logits = ops.convert_to_numpy(model(table))
    expected = np.log(joint / 0.25) - np.log(2)
    np.testing.assert_allclose(logits, expected, atol=0.2)


def test_cooccurrence_by_hand():
    ids = np.array([[3, 4, 5, 0], [4, 2, 3, 3]])
    counts = cooccurrence(ids, 6, window=2)
    expected = np.zeros((6, 6))
    for i, j in ((3, 4), (4, 5), (3, 5), (4, 3), (3, 3)):
        expected[i, j] += 1
        expected[j, i] += 1
    np.testing.assert_array_equal(counts, expected)
    weighted = cooccurrence(ids, 6, window=2, weighted=True)
    assert weighted[3, 5] == 0.5 and weighted[4, 3] == 1.5
    # one more pair at distance three, both ways
    assert cooccurrence(ids, 6, window=50).sum() == expected.sum() + 2


def test_skip_gram_rows_are_neighbours_and_noise():
    ids = np.array([[3, 4, 0], [5, 6, 7]] * 3000)
    rows = skip_gram_rows(ids, 8, window=1, negatives=3, seed=1)
    assert rows.shape[1] == 5 and rows.dtype == np.int32
    allowed = {(3, 4), (4, 3), (5, 6), (6, 5), (6, 7), (7, 6)}
    assert set(map(tuple, rows[:, :2].tolist())) == allowed
    assert set(np.unique(rows[:, 2:])) == {3, 4, 5, 6, 7}
    again = skip_gram_rows(ids, 8, window=1, negatives=3, seed=1)
    np.testing.assert_array_equal(rows, again)


def test_skip_gram_rows_noise_follows_the_three_quarter_power():
    ids = np.repeat([[3, 4]], 30_000, axis=0)
    ids[:3000, 1] = 5  # 30, 27 and 3 thousand occurrences
    rows = skip_gram_rows(ids, 6, window=1, negatives=9, seed=0)
    share = np.bincount(rows[:, 2:].ravel(), minlength=6)[3:] / rows[:, 2:].size
    expected = np.array([30, 27, 3]) ** 0.75
    np.testing.assert_allclose(share, expected / expected.sum(), atol=0.04)


def test_ppmi_by_hand():
    counts = np.array([[2.0, 0.0], [1.0, 1.0]])
    p, q = counts.sum(1) / 4, counts.sum(0) / 4
    expected = np.zeros((2, 2))
    for i, j in ((0, 0), (1, 0), (1, 1)):
        expected[i, j] = max(0, np.log(counts[i, j] / 4 / p[i] / q[j]))
    np.testing.assert_allclose(ppmi(counts, smoothing=1.0), expected, rtol=1e-6)
    smooth = counts.sum(0) ** 0.75
    q = smooth / smooth.sum()
    value = np.log(2 / 4 / p[0] / q[0])
    assert np.isclose(ppmi(counts)[0, 0], value, rtol=1e-6)


def test_ppmi_vectors_are_the_best_low_rank_factors():
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (30, 30)).astype("float32")
    counts += counts.T
    vectors = ppmi_vectors(counts, 7)
    left, values, _ = np.linalg.svd(ppmi(counts))
    gram = (left[:, :7] * values[:7]) @ left[:, :7].T
    np.testing.assert_allclose(vectors @ vectors.T, gram, atol=1e-3)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: SkipGram(table(), table(width=5)), r"\(9, 4\).*\(9, 5\)"),
        (
            lambda: SkipGram(table(), keras.layers.Dense(4)),
            "context_table.*Dense",
        ),
        (
            lambda: GloVe(table(), table(), table(width=2), table(width=2)),
            r"bias.*\(9, 1\).*\(9, 2\)",
        ),
        (lambda: SkipGram.tables(9, seed=-1), "seed"),
        (lambda: SkipGram.tables(3), "vocabulary_size"),
        (lambda: SkipGram.tables(9, 0), "latent_dim"),
        (lambda: GloVe.tables(9, x_max=0.0), "x_max"),
        (lambda: GloVe.tables(9, power=2.0), "power"),
        (lambda: cooccurrence(np.array([[3, 9]]), 9), "vocabulary"),
        (lambda: cooccurrence(np.array([[3, 0]]), 9), "side by side"),
        (lambda: cooccurrence(np.array([[3, 4]]), 9, 0), "window"),
        (lambda: skip_gram_rows(np.array([[3, 4]]), 9, 1, 0), "negatives"),
        (lambda: skip_gram_rows(np.array([[3]]), 9), "side by side"),
        (lambda: ppmi(np.array([[1.0, -1.0]])), "counts"),
        (lambda: ppmi(np.zeros((2, 2))), "counts"),
        (lambda: ppmi(np.array([[np.nan, 1.0]])), "NaN"),
        (lambda: ppmi_vectors(np.ones((4, 4)), 4), "latent_dim"),
    ],
)
def test_bad_input_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        (np.array([[3, 99]]), [1.0], "vocabulary"),
        (np.array([[3, 4, 5]]), [1.0], "pairs"),
        (np.array([[3, 4]]), None, "one count"),
        (np.array([[3, 4]]), [0.0], "above 0"),
        (np.array([[3, 4]]), [np.nan], "NaN"),
        (np.array([[3, 4]]), [1.0, 2.0], "1 counts"),
    ],
)
def test_glove_bad_pairs_are_refused(x, y, match):
    model = GloVe.tables(9, 4)
    model.compile("sgd")
    for verb in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=match):
            verb(x, y, verbose=0)


def test_skip_gram_bad_rows_are_refused():
    model = SkipGram.tables(9, 4)
    model.compile("sgd")
    for x, match in (
        (np.array([[3, 4]]), "columns"),
        (np.array([[3, 4, 9]]), "vocabulary"),
        (np.ones((2, 4)), "integer"),
    ):
        with pytest.raises(ValueError, match=match):
            model.fit(x, verbose=0)
    with pytest.raises(ValueError, match="no target"):
        model.fit(np.array([[3, 4, 5]]), np.ones(1), verbose=0)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="loss"):
        model.fit(np.array([[3, 4, 5]]), verbose=0)
