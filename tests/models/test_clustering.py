"""Clustering: formulas by hand, contracts, errors, and better than chance."""

import contracts
import keras
import numpy as np
import pytest
from contracts import EAGERLY
from keras import ops
from sklearn.datasets import make_blobs, make_moons
from sklearn.metrics import adjusted_rand_score

from utils.baselines import clusterings
from utils.evaluation import clusters
from utils.models import clustering
from utils.models.clustering import (
    DeepEmbeddedClustering,
    NeighborClustering,
    NeighborPairs,
)
from utils.nn.layers import RandomAffine
from utils.nn.likelihoods import Bernoulli

IMAGE = (8, 8, 1)
STEPS = 1 if keras.backend.backend() == "torch" else 16


def deep(**more):
    """A deep embedded clustering with no argument at its default."""
    arguments = {
        "latent_dim": 5,
        "num_clusters": 4,
        "cluster_weight": 0.5,
        "reconstruction_weight": 0.2,
        "overcomplete": True,
        "widths": (12,),
        "likelihood": Bernoulli(),
        "seed": 3,
    }
    return DeepEmbeddedClustering.dense((64,), **{**arguments, **more})


def neighbor(**more):
    """A clustering of neighbours with no argument at its default."""
    arguments = {
        "num_clusters": 4,
        "widths": (6, 5),
        "balance": 2.5,
        "augmentation": RandomAffine(rotation=20.0, shear=0.1, seed=2),
        "activation": "tanh",
        "seed": 2,
    }
    return NeighborClustering.conv(IMAGE, **{**arguments, **more})


WEIGHTS = {deep: 10, neighbor: 6}
GENERATORS = {deep: 0, neighbor: 1}
each_model = pytest.mark.parametrize("make", [deep, neighbor])


def rows_for(make, digits, count=60):
    shape = (64,) if make is deep else IMAGE
    return digits.x_train[:count].reshape(-1, *shape)


def started(make, x, **more):
    """A model that is ready for every verb."""
    model = make(**more)
    if make is deep:
        model.start_clusters(x)
    return model


def fit_arguments(make, x):
    return (x, x[::-1]) if make is neighbor else (x,)


# --------------------------------------------------------------- formulas


def test_soft_assignment_equals_hand_computed_values():
    q = clustering.soft_assignment([[0.0, 0.0]], [[0.0, 1.0], [2.0, 0.0]])
    # kernels 1/2 and 1/5
    np.testing.assert_allclose(
        ops.convert_to_numpy(q), [[5 / 7, 2 / 7]], rtol=1e-6
    )


def test_target_distribution_equals_hand_computed_values():
    q = np.array([[0.5, 0.5], [1.0, 0.0]])
    p = ops.convert_to_numpy(clustering.target_distribution(q))
    # weights: row 0 (.25/1.5, .25/.5) = (1/6, 1/2); row 1 (1/1.5, 0)
    np.testing.assert_allclose(p, [[0.25, 0.75], [1.0, 0.0]], rtol=1e-6)


def test_target_distribution_renaming_clusters_renames_the_target(rng):
    q = rng.dirichlet(np.ones(5), size=30)
    order = rng.permutation(5)
    np.testing.assert_allclose(
        ops.convert_to_numpy(clustering.target_distribution(q[:, order])),
        ops.convert_to_numpy(clustering.target_distribution(q))[:, order],
        rtol=1e-5,
    )


def test_deep_divergence_equals_numpy_and_is_never_negative(rng):
    q = rng.dirichlet(np.ones(4), size=50).astype("float32")
    p = ops.convert_to_numpy(clustering.target_distribution(q))
    expected = (p * np.log(p / q)).sum(axis=1)
    found = ops.convert_to_numpy(deep().divergence(q))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert found.sum() > 0


def neighbor_loss(p, other, balance):
    average = ((p + other) / 2).mean(axis=0)
    entropy = -(average * np.log(average)).sum()
    return -np.log((p * other).sum(axis=1)).mean() - balance * entropy


def test_neighbor_loss_equals_numpy(digits):
    model = NeighborClustering.dense((64,), 3, widths=(8,), balance=1.5, seed=0)
    x, other = digits.x_train[:40], digits.x_train[40:80]
    model.compile("adam")
    result = model.evaluate(x, other, batch_size=64, verbose=0)
    expected = neighbor_loss(model.assign(x), model.assign(other), 1.5)
    assert result[0] == pytest.approx(expected, rel=1e-4)


def test_neighbor_loss_smallest_when_certain_and_balanced():
    model = NeighborClustering.dense((4,), 4, balance=2.0, widths=())
    model.set_weights([100.0 * np.eye(4), np.zeros(4)])
    model.compile("adam")
    x = np.eye(4)[np.arange(20) % 4]
    loss, *_ = model.evaluate(x, x, batch_size=20, verbose=0)
    assert loss == pytest.approx(-2.0 * np.log(4), rel=1e-5)


# --------------------------------------------------------------- contract


@each_model
def test_model_config_round_trip_keeps_arguments_and_counts(make):
    model = make(name="mine", dtype="mixed_bfloat16")
    again = contracts.check_config_round_trip(model)
    assert again.name == "mine" and again.num_clusters == 4
    assert again.dtype_policy.name == "mixed_bfloat16"
    if make is deep:
        found = (again.cluster_weight, again.reconstruction_weight)
        assert found == (0.5, 0.2) and again.overcomplete is True
        assert isinstance(again.likelihood, Bernoulli)
    else:
        assert again.balance == 2.5 and again.augmentation.rotation == 20.0
    assert len(again.weights) == WEIGHTS[make]
    assert contracts.num_seed_generators(again) == GENERATORS[make]


@each_model
def test_model_remade_from_another_seed_is_the_one_made_from_it(make):
    again, expected = make().remake(seed=8), make(seed=8)
    for a, b in zip(again.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@each_model
def test_model_symbolic_and_eager_shapes_agree(make, digits):
    contracts.check_symbolic_shapes(make(), rows_for(make, digits))


@each_model
def test_model_saved_and_loaded_same_assignments(make, digits, tmp_path):
    x = rows_for(make, digits)
    model = started(make, x)
    model.compile("adam")
    model.fit(*fit_arguments(make, x), epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.assign(x), model.assign(x), atol=1e-6)
    assert contracts.json_form(again.get_config()) == contracts.json_form(
        model.get_config()
    )


@each_model
def test_model_one_step_moves_every_trainable_weight(make, digits):
    x = rows_for(make, digits)
    model = started(make, x)
    before = [np.array(w) for w in model.get_weights()]
    model.compile(keras.optimizers.SGD(0.05), run_eagerly=EAGERLY)
    model.fit(*fit_arguments(make, x), batch_size=60, epochs=1, verbose=0)
    trained = {id(w) for w in model.trainable_weights}
    for weight, old, new in zip(
        model.weights, before, model.get_weights(), strict=True
    ):
        moved = not np.array_equal(old, new)
        assert moved == (id(weight) in trained), weight.path


@each_model
def test_model_assignments_are_distributions_and_ids_their_largest(
    make, digits
):
    x = rows_for(make, digits)
    model = started(make, x)
    q = model.assign(x)
    assert q.shape == (60, 4) and q.dtype == np.float32
    np.testing.assert_allclose(q.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(model.cluster(x), q.argmax(axis=1))


@each_model
def test_model_mixed_precision_keeps_memberships_in_float32(make, digits):
    x = rows_for(make, digits)
    model = started(make, x, dtype="mixed_bfloat16")
    assert model.assign(x).dtype == np.float32
    model.compile("adam", run_eagerly=EAGERLY)
    history = model.fit(*fit_arguments(make, x), epochs=1, verbose=0).history
    assert np.isfinite(history["loss"][0])


# ------------------------------------------------ deep embedded clustering


def test_deep_before_the_start_is_an_autoencoder(digits):
    x = digits.x_train[:64]
    model = deep()
    model.compile("adam")
    result = model.evaluate(x, batch_size=64, verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(
        model.example_losses(x).mean(), rel=1e-5
    )
    with pytest.raises(ValueError, match="model: expected start_clusters"):
        model.assign(x)


def test_deep_after_the_start_adds_both_terms_by_their_weights(digits):
    x = digits.x_train[:64]
    model = started(deep, x)
    model.compile("adam")
    result = model.evaluate(x, batch_size=64, verbose=0, return_dict=True)
    expected = 0.5 * result["divergence"] + 0.2 * model.example_losses(x).mean()
    assert result["loss"] == pytest.approx(expected, rel=1e-5)


def test_deep_sample_weight_zero_leaves_rows_out(digits):
    x = digits.x_train[:32]
    model = deep()
    model.compile("adam")
    weight = np.r_[np.full(16, 2.0), np.zeros(16)]
    loss = model.evaluate(
        x, sample_weight=weight, batch_size=32, verbose=0, return_dict=True
    )["loss"]
    assert loss == pytest.approx(model.example_losses(x[:16]).mean(), rel=1e-5)


def test_deep_start_puts_centres_at_the_means_of_k_means(digits):
    x = digits.x_train[:100]
    model = deep()
    ids = model.start_clusters(x, seed=1)
    codes = model.encode(x)
    for k, center in enumerate(ops.convert_to_numpy(model.centers)):
        np.testing.assert_allclose(
            center, codes[ids == k].mean(axis=0), rtol=1e-4, atol=1e-5
        )
    np.testing.assert_array_equal(model.cluster(x), ids)


def test_deep_training_makes_memberships_certain(digits):
    x = digits.x_train[:512]
    model = DeepEmbeddedClustering.dense(
        (64,), 6, num_clusters=10, widths=(32,), seed=0
    )
    model.compile(keras.optimizers.Adam(3e-3), steps_per_execution=STEPS)
    model.fit(x, batch_size=64, epochs=8, verbose=0)
    model.start_clusters(x)
    before = model.assign(x).max(axis=1).mean()
    model.fit(x, batch_size=256, epochs=15, verbose=0)
    assert model.assign(x).max(axis=1).mean() > before + 0.005
    assert np.bincount(model.cluster(x), minlength=10).min() > 0


def test_deep_more_clusters_than_rows_refused(digits):
    with pytest.raises(ValueError, match="num_clusters: expected at most"):
        deep().start_clusters(digits.x_train[:3])


# ----------------------------------------------- a network and neighbours


def test_pairs_neighbours_are_the_nearest_others(rng):
    x = rng.normal(size=(40, 3)).astype("float32")
    pairs = NeighborPairs(x, num_neighbors=4, batch_size=16)
    squared = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squared, np.inf)
    np.testing.assert_array_equal(
        pairs.neighbors, np.argsort(squared, axis=1)[:, :4]
    )


def test_pairs_epoch_visits_each_row_once_with_one_of_its_neighbours(rng):
    x = rng.normal(size=(37, 2)).astype("float32")
    pairs = NeighborPairs(x, num_neighbors=3, batch_size=10, seed=1)
    assert len(pairs) == 4
    visited = []
    for _ in range(2):
        batches = [pairs[index] for index in range(len(pairs))]
        rows, others = (
            np.concatenate(part) for part in zip(*batches, strict=True)
        )
        order = [int(np.argmin(((x - row) ** 2).sum(1))) for row in rows]
        assert sorted(order) == list(range(37))
        for row, other in zip(order, others, strict=True):
            assert (x[pairs.neighbors[row]] == other).all(axis=1).any()
        visited.append(order)
        pairs.on_epoch_end()
    assert visited[0] != visited[1]


def test_pairs_distance_is_measured_in_the_codes(rng):
    x = rng.normal(size=(30, 4)).astype("float32")
    codes = np.arange(30.0)[:, None]
    pairs = NeighborPairs(x, codes, num_neighbors=2)
    assert set(pairs.neighbors[10]) == {9, 11}


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"num_neighbors": 9}, "num_neighbors: expected .* from 1 to 8"),
        ({"codes": np.zeros((4, 1))}, "codes: expected 9 rows"),
        ({"batch_size": 0}, "batch_size"),
        ({"x": np.full((9, 2), np.nan)}, "x: expected finite"),
        ({"x": np.zeros((1, 2))}, "x: expected at least 2 rows"),
    ],
)
def test_pairs_wrong_argument_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        NeighborPairs(**{"x": np.arange(18.0).reshape(9, 2), **arguments})


def test_neighbor_model_finds_groups_that_hang_together(digits):
    chosen = digits.y_train < 3
    x, y = digits.x_train[chosen], digits.y_train[chosen]
    model = NeighborClustering.dense((64,), 3, widths=(32,), seed=0)
    model.compile(keras.optimizers.Adam(5e-3), steps_per_execution=STEPS)
    model.fit(NeighborPairs(x, batch_size=64), epochs=20, verbose=0)
    assert adjusted_rand_score(y, model.cluster(x)) > 0.5  # chance: 0


def test_neighbor_model_without_balance_collapses(digits):
    x = digits.x_train[:300]
    model = NeighborClustering.dense(
        (64,), 5, widths=(16,), balance=0.0, seed=0
    )
    model.compile(keras.optimizers.Adam(1e-2), steps_per_execution=STEPS)
    model.fit(NeighborPairs(x, batch_size=50), epochs=15, verbose=0)
    assert len(np.unique(model.cluster(x))) <= 2


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"num_clusters": 1}, "num_clusters: expected an integer ≥ 2"),
        ({"balance": -1.0}, "balance"),
        ({"widths": 6}, "widths"),
        ({"seed": -1}, "seed"),
        ({"augmentation": {"rotation": 20.0}}, "augmentation: expected a Ker"),
    ],
)
def test_neighbor_model_wrong_argument_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        neighbor(**arguments)


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        (np.zeros((9, 8, 8, 1)), None, "y: expected the neighbour"),
        (np.zeros((9, 8, 8, 1)), np.zeros((8, 8, 8, 1)), "y: expected 9 rows"),
        (np.zeros((9, 64)), np.zeros((9, 64)), r"x: expected shape \(n, 8"),
        (np.zeros((3, 8, 8, 1)), np.zeros((3, 8, 8, 1)), "at least 4 rows"),
        (np.full((9, 8, 8, 1), np.nan), np.zeros((9, 8, 8, 1)), "finite"),
    ],
)
def test_neighbor_model_fit_refuses_wrong_arrays(x, y, match):
    model = neighbor()
    model.compile("adam")
    with pytest.raises(ValueError, match=match):
        model.fit(x, y, verbose=0)


def test_neighbor_model_of_few_rows_is_refused_in_pairs_as_well():
    model = NeighborClustering.dense((2,), 10)
    model.compile("adam")
    pairs = NeighborPairs(np.arange(18.0).reshape(9, 2))
    with pytest.raises(ValueError, match="x: expected at least 10 rows"):
        model.fit(pairs, verbose=0)


@pytest.mark.parametrize(
    ("units", "match"),
    [((1,), "logits of shape"), ((5, 3), "logits of shape")],
)
def test_neighbor_model_refuses_a_network_of_other_outputs(units, match):
    network = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(int(np.prod(units))),
            keras.layers.Reshape(units),
        ]
    )
    with pytest.raises(ValueError, match=match):
        NeighborClustering(network)


def test_deep_codes_have_to_be_vectors():
    encoder = keras.Sequential(
        [keras.Input((8, 2)), keras.layers.Conv1D(3, 2, strides=2)]
    )
    decoder = keras.Sequential(
        [keras.Input((4, 3)), keras.layers.Conv1DTranspose(2, 2, strides=2)]
    )
    with pytest.raises(ValueError, match="encoder: expected codes that are"):
        DeepEmbeddedClustering(encoder, decoder, 3)


# ---------------------------------------------------- weights, containers


@each_model
def test_model_weights_act_as_repeated_rows(make, digits):
    x = rows_for(make, digits)
    model = started(make, x)
    model.compile("adam")
    count = np.arange(60) % 3
    data = fit_arguments(make, x)
    options = {"batch_size": 60, "verbose": 0, "return_dict": True}
    found = model.evaluate(*data, sample_weight=count, **options)
    repeated = model.evaluate(
        *(np.repeat(part, count, axis=0) for part in data), **options
    )
    share = count.mean()  # weights are not normalised in a loss
    assert found.pop("loss") == pytest.approx(
        share * repeated.pop("loss"), rel=1e-4
    )
    for name in found:
        assert found[name] == pytest.approx(repeated[name], rel=1e-4), name


@each_model
def test_model_weights_of_zero_move_nothing(make, digits):
    x = rows_for(make, digits)
    model = started(make, x)
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=EAGERLY)
    before = model.get_weights()
    model.fit(*fit_arguments(make, x), sample_weight=np.zeros(60), verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


@each_model
def test_model_trains_on_batches_as_on_arrays(make, digits):
    x = rows_for(make, digits)
    data = fit_arguments(make, x)
    batches = [tuple(part[i : i + 20] for part in data) for i in (0, 20, 40)]
    weights = []
    for given in (data, (iter(batches),)):
        model = started(make, x)
        model.compile(keras.optimizers.SGD(1e-3), run_eagerly=EAGERLY)
        model.fit(*given, batch_size=20, shuffle=False, verbose=0) if (
            given is data
        ) else model.fit(*given, steps_per_epoch=3, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_neighbor_model_validation_pairs_are_used_and_checked(digits):
    x = digits.x_train[:60]
    model = NeighborClustering.dense((64,), 3, widths=(8,), seed=0)
    model.compile("adam")
    history = model.fit(
        x, x[::-1], validation_data=(x[:20], x[20:40]), verbose=0
    ).history
    assert "val_agreement" in history
    with pytest.raises(ValueError, match="y: expected the neighbour of each"):
        model.fit(x, x, validation_data=x, verbose=0)


# ----------------------------------------------------- classical methods


@pytest.mark.parametrize("method", clusterings.METHODS)
def test_cluster_codes_finds_separated_groups(method):
    x, y = make_blobs(150, 5, centers=3, cluster_std=0.5, random_state=0)
    ids = clusterings.cluster_codes(x, 3, method)
    assert ids.dtype == np.int64
    assert adjusted_rand_score(y, ids) == 1.0
    np.testing.assert_array_equal(ids, clusterings.cluster_codes(x, 3, method))


def test_cluster_codes_spectral_follows_a_bent_group():
    x, y = make_moons(300, noise=0.04, random_state=0)
    assert (
        adjusted_rand_score(y, clusterings.cluster_codes(x, 2, "spectral"))
        > 0.9
        > adjusted_rand_score(y, clusterings.cluster_codes(x, 2))
    )


@pytest.mark.parametrize(
    ("codes", "arguments", "match"),
    [
        (np.eye(3), (4,), "at most as many.*received 4 clusters for 3 rows"),
        (np.ones((9, 2)), (2,), "2 clusters for 1 distinct rows"),
        (np.eye(5), (1,), "num_clusters: expected an integer ≥ 2"),
        (np.eye(5), (2, "ward"), "method: expected one of"),
        (np.full((5, 2), np.nan), (2,), "codes: expected finite"),
    ],
)
def test_cluster_codes_wrong_argument_refused(codes, arguments, match):
    with pytest.raises(ValueError, match=match):
        clusterings.cluster_codes(codes, *arguments)


def test_row_agreement_compares_answers_on_the_part_that_both_have_seen():
    classes = np.random.default_rng(0).integers(4, size=90)
    assert (
        clusters.row_agreement(lambda rows: (classes[rows] + 1) % 4, 90) == 1.0
    )

    rng = np.random.default_rng(1)  # other ids at every call
    drawn = clusters.row_agreement(
        lambda rows: rng.integers(4, size=len(rows)), 900
    )
    assert abs(drawn) < 0.02
    seen = []
    clusters.row_agreement(lambda rows: seen.append(rows) or rows % 2, 31)
    assert all(len(np.unique(rows)) == len(rows) for rows in seen)
    shared = [np.intersect1d(seen[i], seen[i - 1]) for i in range(3)]
    assert np.array_equal(np.sort(np.concatenate(shared)), np.arange(31))
    with pytest.raises(ValueError, match="num_rows"):
        clusters.row_agreement(lambda rows: rows, 3)
    with pytest.raises(ValueError, match="ids"):
        clusters.row_agreement(lambda rows: rows[1:], 30)


def test_key_frames_one_row_a_cluster_in_order_of_time(rng):
    ids = rng.integers(6, size=80)
    frames = rng.normal(size=(80, 4, 4))
    keys = clusters.key_frames(frames, ids)
    assert (np.diff(keys) > 0).all()
    assert sorted(ids[keys]) == sorted(np.unique(ids))
    with pytest.raises(ValueError, match="ids"):
        clusters.key_frames(frames, ids[:-1])
