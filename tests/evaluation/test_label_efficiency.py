"""The harness: same rows, same head, same updates, and no test row in a fit."""

import keras
import numpy as np
import pytest

from utils import data
from utils.data import sets
from utils.evaluation import label_efficiency
from utils.evaluation.label_efficiency import knn_probe, linear_probe
from utils.models.contrastive import SimCLR
from utils.nn import networks
from utils.training import recipes
from utils.training.classifiers import fit_head, update_rows
from utils.training.pretraining import fine_tune, transfer


def build(seed, width=8):
    return networks.dense_encoder((6,), width, (7,), seed=seed)


@pytest.fixture
def blobs(rng):
    """Three classes of rows that a line separates, and held-out rows."""
    centres = 3 * np.eye(3, 6)
    y = np.arange(300) % 3
    x = (centres[y] + rng.normal(size=(300, 6))).astype("float32")
    return x[:200], y[:200], x[200:], y[200:]


@pytest.fixture
def small():
    return {"budgets": (2, 8), "draws": 3, "updates": 20}


# ------------------------------------------------------------- the harness


def test_harness_returns_every_row_for_every_budget_and_draw(blobs, small):
    result = label_efficiency.label_efficiency(
        build, {"mine": build(5)}, blobs, fine_tuned=("mine",), **small
    )
    assert list(result.accuracy) == [
        "pixels",
        "PCA",
        "random, frozen",
        "scratch",
        "random, tuned",
        "mine, frozen",
        "mine, tuned",
    ]
    for values in result.accuracy.values():
        assert values.shape == (2, 3)
        assert ((values >= 0) & (values <= 1)).all()
    header, rows = result.table()
    assert header == ["labels a class", "2", "8"]
    assert rows[0][0] == "pixels"
    assert all("±" in cell for row in rows for cell in row[1:])
    margin = result.margin("PCA", "pixels", 8)
    np.testing.assert_allclose(
        margin, result.accuracy["PCA"][1] - result.accuracy["pixels"][1]
    )


def test_harness_draws_nested_balanced_rows_of_the_training_split(blobs, small):
    result = label_efficiency.label_efficiency(build, {}, blobs, **small)
    y = blobs[1]
    for budget, rows in zip(result.budgets, result.labelled, strict=True):
        assert rows.shape == (3, 3 * budget)
        for draw in rows:
            assert len(set(draw)) == len(draw)
            assert (np.bincount(y[draw]) == budget).all()
    few, many = result.labelled
    for draw in range(3):
        assert set(few[draw]) <= set(many[draw])
    assert len({tuple(row) for row in many}) == 3


def test_harness_is_reproducible_and_seeded(blobs, small):
    def run(seed):
        return label_efficiency.label_efficiency(
            build, {}, blobs, seed=seed, **small
        )

    first, again, other = run(0), run(0), run(1)
    for name, values in first.accuracy.items():
        np.testing.assert_allclose(values, again.accuracy[name], atol=0.03)
    assert not np.array_equal(first.labelled[0], other.labelled[0])


def test_harness_learns_what_a_line_can_tell(blobs):
    result = label_efficiency.label_efficiency(
        build, {}, blobs, budgets=(30,), draws=2, updates=150
    )
    assert result.accuracy["pixels"].mean() > 0.85
    assert result.accuracy["scratch"].mean() > 0.8


def test_harness_frozen_row_leaves_the_encoders_alone(blobs, small):
    mine = build(5)
    before = mine.get_weights()
    label_efficiency.label_efficiency(
        build, {"mine": mine}, blobs, fine_tuned=("mine",), **small
    )
    for old, new in zip(before, mine.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_head_on_codes_equals_the_frozen_stage_of_keras(blobs):
    # the same batches, the same Adam: NumPy and Keras must agree
    x, y = blobs[0][:20], blobs[1][:20]
    classifier = transfer(build(0), 3, x=blobs[0])
    head = classifier.get_layer("head")
    head.set_weights([np.zeros_like(w) for w in head.get_weights()])
    fine_tune(
        classifier,
        x,
        y,
        frozen_updates=25,
        tuned_updates=0,
        rate=0.03,
        batch_size=8,
        seed=4,
    )
    codes = keras.ops.convert_to_numpy(
        classifier.get_layer("standardize")(classifier.get_layer("encoder")(x))
    )
    rows = update_rows(20, 25, 8, np.random.default_rng(4))
    kernel, bias = fit_head(codes[rows], y[rows], 3, 8, 0.03)
    found = head.get_weights()
    np.testing.assert_allclose(kernel, found[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(bias, found[1], rtol=1e-3, atol=1e-4)


# ------------------------------------------------------- who sees which rows


def row_ids(rows):
    return {row.tobytes() for row in np.ascontiguousarray(rows)}


def test_no_test_row_enters_any_fit(monkeypatch):
    """Index sets over the real loader, and what ``fit`` really received."""
    digits = data.load("digits")
    test = row_ids(digits.x_test)
    # two digits of the set may be drawn alike to the last pixel
    doubles = test & row_ids(digits.x_train)
    seen = set()
    fit = keras.Model.fit

    def spy(self, x=None, *args, **kwargs):
        seen.update(row_ids(x))
        validation = kwargs.get("validation_data")
        if validation is not None:
            seen.update(row_ids(validation[0]))
        return fit(self, x, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "fit", spy)
    model = SimCLR.dense((8, 8, 1), 4, widths=(4,), seed=0)
    recipes.compile(model, 1e-3)
    model.fit(digits.x_train, batch_size=256, verbose=0)
    result = label_efficiency.label_efficiency(
        lambda seed: networks.dense_encoder((8, 8, 1), 4, (4,), seed=seed),
        {"SimCLR": model.encoder},
        (digits.x_train, digits.y_train, digits.x_test, digits.y_test),
        budgets=(2,),
        draws=2,
        updates=4,
        fine_tuned=("SimCLR",),
    )
    assert seen, "the spy saw nothing"
    assert not seen & (test - doubles)
    assert len(doubles) <= 2
    assert seen <= row_ids(digits.x_train)
    labelled = row_ids(
        digits.x_train[np.concatenate(result.labelled, axis=1)[0]]
    )
    assert labelled <= row_ids(digits.x_train)
    assert not labelled & row_ids(digits.x_val)


@pytest.mark.parametrize("name", ["digits", "iris", "breast_cancer"])
def test_loader_splits_are_disjoint_index_sets(name):
    """Every row of the source stands in exactly one split."""
    split = data.load(name)
    parts = [split.x_train, split.x_val, split.x_test]
    x, _, _ = sets._load_bundled(name)
    everything = sorted(row.tobytes() for row in np.ascontiguousarray(x))
    stacked = np.ascontiguousarray(np.concatenate(parts))
    assert sorted(row.tobytes() for row in stacked) == everything


# ------------------------------------------------------------------- probes


def test_probes_tell_blobs_apart_and_chance_from_noise(blobs, rng):
    x, y, x_eval, y_eval = blobs
    assert linear_probe(x, y, x_eval, y_eval) > 0.9
    assert knn_probe(x, y, x_eval, y_eval) > 0.85
    noise = rng.normal(size=x.shape)
    other = rng.normal(size=x_eval.shape)
    assert linear_probe(noise, y, other, y_eval) < 0.55


def test_probes_do_not_depend_on_size_or_place_of_the_codes(blobs):
    x, y, x_eval, y_eval = blobs
    for probe in (linear_probe, knn_probe):
        plain = probe(x, y, x_eval, y_eval)
        moved = probe(50 * x + 7, y, 50 * x_eval + 7, y_eval)
        assert moved == pytest.approx(plain, abs=0.02)


def test_knn_probe_with_one_neighbour_by_hand():
    z = np.array([[1.0, 0.1], [0.0, 1.0], [-1.0, -1.1]])
    y = np.array([0, 1, 2])
    nearer = np.array([[2.0, 0.0], [0.1, 3.0], [-5.0, -5.0], [-1.0, -0.9]])
    assert knn_probe(z, y, nearer, np.array([0, 1, 2, 0]), k=1) == 0.75


# ------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"split": None}, "split: expected"),
        ({"x_eval": np.zeros((5, 7))}, r"x_eval: expected shape \(n, 6\)"),
        ({"y_train": np.zeros(199, "int64")}, "y_train: expected 200 labels"),
        ({"y_eval": np.full(100, 3)}, "y_eval: expected labels from 0 to 2"),
        ({"budgets": (2, 90)}, "budgets: expected at most 66"),
        ({"draws": 0}, "draws: expected"),
        (
            {"encoders": {"wide": networks.dense_encoder((7,), 8, (7,))}},
            r"encoders\['wide'\]: expected inputs \(6,\)",
        ),
        (
            {"encoders": {"other": build(0, 5)}, "fine_tuned": ("other",)},
            r"encoders\['other'\]: expected the architecture of build",
        ),
        ({"fine_tuned": ("nobody",)}, "fine_tuned: expected one of"),
    ],
    ids=[
        "split",
        "shape",
        "count",
        "class",
        "budget",
        "draws",
        "input",
        "architecture",
        "unknown",
    ],
)
def test_harness_refuses_bad_input(change, match, blobs, small):
    names = ("x_train", "y_train", "x_eval", "y_eval")
    arrays = dict(zip(names, blobs, strict=True))
    split = tuple(change.pop(name, array) for name, array in arrays.items())
    arguments = {"encoders": {"mine": build(5)}, "split": split, **small}
    with pytest.raises(ValueError, match=match):
        label_efficiency.label_efficiency(build, **{**arguments, **change})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"z_test": np.zeros((4, 3))}, "z_test: expected shape"),
        ({"y_train": np.zeros(5, "int64")}, "y_train: expected 6 labels"),
        ({"y_train": np.zeros(6, "int64")}, "y_train: expected at least two"),
    ],
    ids=["width", "count", "one_class"],
)
def test_linear_probe_refuses_bad_input(change, match):
    arguments = {
        "z_train": np.zeros((6, 2)),
        "y_train": np.arange(6) % 2,
        "z_test": np.zeros((4, 2)),
        "y_test": np.arange(4) % 2,
    }
    with pytest.raises(ValueError, match=match):
        linear_probe(**{**arguments, **change})


def test_knn_probe_refuses_more_neighbours_than_rows():
    z, y = np.zeros((4, 2)), np.arange(4)
    with pytest.raises(ValueError, match="k: expected an integer from 1 to 4"):
        knn_probe(z, y, z, y, k=5)
