"""The harness: same rows, same head, same updates, and no test row in a fit."""

import keras
import numpy as np
import pytest
from scipy import stats

from utils import data
from utils.data import sets
from utils.evaluation.label_efficiency import (
    LabelRace,
    _first_of_the_best,
    linear_probe,
    paired_interval,
    probe_draws,
)
from utils.models.contrastive import SimCLR
from utils.models.text import DenoisingText
from utils.nn import networks
from utils.training import recipes
from utils.training.classifiers import fit_heads, update_rows
from utils.training.pretraining import fine_tune, transfer


def build(seed, width=8):
    return networks.dense_encoder((6,), width, (7,), seed=seed)


@pytest.fixture
def blobs(rng):
    """Three classes that a line separates: train, validation, test."""
    centres = 3 * np.eye(3, 6)
    y = np.arange(400) % 3
    x = (centres[y] + rng.normal(size=(400, 6))).astype("float32")
    return x[:200], y[:200], x[200:300], y[200:300], x[300:], y[300:]


@pytest.fixture
def small():
    return {
        "budgets": (2, 8),
        "draws": 3,
        "updates": (10, 20),
        "head_updates": (10, 20, 40),
    }


# ---------------------------------------------------------------- the race


def test_race_gives_every_row_for_every_budget_and_draw(blobs, small):
    race = LabelRace(blobs, **small)
    race.frozen("rows", keras.layers.Flatten())
    race.frozen("random, frozen", [build(s) for s in range(3)])
    race.tuned("scratch", [build(s) for s in range(3)], warm=False)
    race.tuned("mine, tuned", build(5))
    for name, values in race.accuracy.items():
        assert values.shape == (2, 3)
        assert ((values >= 0) & (values <= 1)).all()
        stops = 2 if name in ("scratch", "mine, tuned") else 3
        assert [c.shape for c in race.curves[name]] == [(3, stops)] * 2
        assert len(race.chosen[name]) == len(race.risen[name]) == 2
    header, rows = race.table()
    assert header == ["labels a class", "2", "8"]
    assert rows[0][0] == "rows"
    assert all("±" in cell for row in rows for cell in row[1:])
    margin = race.margin("rows", "scratch", 8)
    np.testing.assert_allclose(
        margin, race.accuracy["rows"][1] - race.accuracy["scratch"][1]
    )
    assert race.interval("rows", "scratch", 8)[0] == pytest.approx(
        margin.mean()
    )


def test_race_draws_nested_balanced_rows_of_the_training_split(blobs, small):
    race = LabelRace(blobs, **small)
    y = blobs[1]
    for budget, rows in zip(race.budgets, race.labelled, strict=True):
        assert rows.shape == (3, 3 * budget)
        for draw in rows:
            assert len(set(draw)) == len(draw)
            assert (np.bincount(y[draw]) == budget).all()
    few, many = race.labelled
    for draw in range(3):
        assert set(few[draw]) <= set(many[draw])
    assert len({tuple(row) for row in many}) == 3


def test_race_learns_what_a_line_can_tell_and_is_reproducible(blobs):
    given = {"budgets": (30,), "draws": 2, "updates": (50, 100)}
    found = []
    for seed in (0, 0, 1):
        race = LabelRace(blobs, seed=seed, **given)
        race.frozen("rows", lambda x: x)
        race.tuned("scratch", [build(0), build(1)], rate=1e-2, warm=False)
        assert race.accuracy["rows"].mean() > 0.85
        assert race.accuracy["scratch"].mean() > 0.8
        found.append(race)
    first, again, other = found
    for name, values in first.accuracy.items():
        np.testing.assert_allclose(values, again.accuracy[name], atol=0.03)
    assert not np.array_equal(first.labelled[0], other.labelled[0])


def test_race_leaves_the_encoders_alone_and_starts_at_them(blobs, small):
    mine = build(5)
    before = mine.get_weights()
    race = LabelRace(blobs, **{**small, "updates": (1, 2)})
    race.frozen("frozen", mine)
    race.tuned("tuned", mine, rate=1e-9)  # no step worth the name
    for old, new in zip(before, mine.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_allclose(
        race.accuracy["tuned"], race.accuracy["frozen"], atol=0.011
    )


def test_race_traces_an_architecture_once_and_tells_functions_apart(
    blobs, small
):
    def encoder(activation, seed):
        inputs = keras.Input((6,))
        codes = keras.layers.Dense(
            8, activation, kernel_initializer=glorot(seed), name="codes"
        )
        return keras.Model(inputs, codes(inputs))

    glorot = keras.initializers.GlorotUniform
    race = LabelRace(blobs, **small)
    straight = [encoder("linear", seed) for seed in range(3)]
    race.frozen("straight", straight)
    race.tuned("straight, tuned", straight[0])
    assert len(race._networks) == 1
    bent = encoder("tanh", 0)  # weights of the same names, shapes and values
    coder = race._coder(bent)
    assert len(race._networks) == 2
    codes = keras.ops.convert_to_numpy(bent(blobs[2]))
    found = coder.val * coder.scale + coder.mean
    np.testing.assert_allclose(found, codes, atol=1e-5)  # float32


def test_race_takes_the_first_stop_within_a_point_of_the_best():
    assert _first_of_the_best([0.5, 0.895, 0.9, 0.9]) == 1
    assert _first_of_the_best([0.5, 0.88, 0.9]) == 2


def test_race_says_who_was_still_rising(blobs):
    race = LabelRace(
        blobs, budgets=(8,), draws=2, updates=(1, 40), head_rate=0.1
    )
    fresh = [build(0), build(1)]
    race.tuned("slow", fresh, rate=3e-3, warm=False)
    assert race.risen["slow"] == [True]
    assert race.chosen["slow"] == [40]


def test_race_goes_on_while_accuracy_rises_as_if_it_had_never_stopped(blobs):
    given = {"budgets": (8,), "draws": 2, "head_rate": 0.1}
    short = LabelRace(blobs, updates=(5, 20), limit=160, **given)
    long = LabelRace(blobs, updates=(5, 20, 40, 80, 160), **given)
    for race in (short, long):
        fresh = [build(0), build(1)]
        race.tuned("slow", fresh, rate=1e-2, warm=False)
    stops = short.curves["slow"][0].shape[1]
    assert stops > 2
    np.testing.assert_allclose(
        short.curves["slow"][0], long.curves["slow"][0][:, :stops], atol=0.02
    )


def test_race_takes_texts_of_any_length_and_codes_each_encoder_once():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    ids = np.where(rng.random((60, 5)) < 0.6, y[:, None] + 3, 6)
    encoder = DenoisingText.bag(8, 4, seed=0).encoder
    split = (ids, y, ids, y, ids, y)
    race = LabelRace(split, budgets=(4,), draws=2, updates=(5, 40))
    race.frozen("frozen", encoder)
    assert race._coder(encoder) is race._coder(encoder)
    before = race._coder(encoder)
    race.tuned("tuned", encoder, rate=3e-2)
    assert race._coder(encoder) is before, "tuning is done on a copy"
    assert race.accuracy["tuned"].mean() > 0.6
    encoder.set_weights([1.5 * w for w in encoder.get_weights()])
    assert race._coder(encoder) is not before, "other weights, other codes"
    narrow = networks.dense_encoder((6,), 4, (7,), seed=0)
    with pytest.raises(ValueError, match="encoder: expected inputs"):
        race.frozen("narrow", narrow)


def test_race_worth_joins_the_other_s_accuracies_over_log_labels(blobs, small):
    race = LabelRace(blobs, **{**small, "budgets": (1, 4, 16)})
    other = np.array([[0.5, 0.5, 0.5], [0.7, 0.7, 0.7], [0.9, 0.9, 0.9]])
    race.accuracy["other"] = other
    race.accuracy["mine"] = np.array([[0.6, 0.95, 0.4]] * 3)
    found = race.worth("mine", "other", 1)
    assert found[0] == pytest.approx(2.0, rel=1e-3)  # half way, in logarithms
    assert found[1] == np.inf
    assert found[2] == 0.0


def test_race_shows_views_to_those_who_ask(blobs, small):
    class Shifted(keras.layers.Layer):
        def call(self, inputs, training=False):
            return inputs + 100.0 if training else inputs

    race = LabelRace(blobs, views=Shifted(), pool=30, **small)
    x, y, order = race._rows(0, 0, True)
    assert len(x) == len(y) == 6 + 6 * 5
    assert (x[6:].mean() > 90) and (x[:6].mean() < 10)
    assert order.max() < len(x)
    assert race._rows(0, 0, True)[0] is x, "the same views for all"
    with pytest.raises(ValueError, match="views: expected False"):
        LabelRace(blobs, **small).frozen("rows", build(0), views=True)


def test_paired_interval_equals_scipy(rng):
    a, b = rng.normal(size=(2, 7))
    found = paired_interval(a - b)
    right = stats.ttest_rel(a, b).confidence_interval(0.95)
    np.testing.assert_allclose(found[1:], right, rtol=1e-6)
    assert found[0] == pytest.approx(np.mean(a - b))


def test_heads_on_codes_equal_the_frozen_stage_of_keras(blobs):
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
    order = update_rows(20, 25, 8, np.random.default_rng(4)).reshape(1, 25, 8)
    heads = fit_heads(codes[None], y[None], order, 3, rate=0.03, stops=(5, 25))
    found = head.get_weights()
    assert heads.shape == (2, 1, 9, 3)
    np.testing.assert_allclose(heads[1, 0, :-1], found[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(heads[1, 0, -1], found[1], rtol=1e-3, atol=1e-4)


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
    race = LabelRace(
        tuple(
            getattr(digits, f"{kind}_{part}")
            for part in ("train", "val", "test")
            for kind in "xy"
        ),
        budgets=(2,),
        draws=2,
        updates=(2, 4),
    )
    race.tuned("SimCLR, tuned", model.encoder)
    assert seen, "the spy saw nothing"
    assert not seen & (test - doubles)
    assert len(doubles) <= 2
    assert seen <= row_ids(digits.x_train)
    labelled = row_ids(digits.x_train[np.concatenate(race.labelled, axis=1)[0]])
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


def test_probe_tells_blobs_apart_and_chance_from_noise(blobs, rng):
    x, y, _, _, x_eval, y_eval = blobs
    assert linear_probe(x, y, x_eval, y_eval) > 0.9
    noise = rng.normal(size=x.shape)
    other = rng.normal(size=x_eval.shape)
    assert linear_probe(noise, y, other, y_eval) < 0.55


def test_probe_does_not_depend_on_size_or_place_of_the_codes(blobs):
    x, y, _, _, x_eval, y_eval = blobs
    plain = linear_probe(x, y, x_eval, y_eval)
    moved = linear_probe(50 * x + 7, y, 50 * x_eval + 7, y_eval)
    assert moved == pytest.approx(plain, abs=0.02)


def test_probe_draws_is_one_probe_a_draw_on_codes_of_those_rows(blobs):
    x, y, _, _, x_test, y_test = blobs
    drawn = np.array([[0, 1, 2, 3, 4, 5], [30, 31, 32, 60, 61, 62]])
    found = probe_draws(lambda x: 2 * x, (x, y), drawn, (x_test, y_test))
    assert found.shape == (2,)
    for accuracy, rows in zip(found, drawn, strict=True):
        alone = linear_probe(2 * x[rows], y[rows], 2 * x_test, y_test)
        assert accuracy == alone


# ------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"split": None}, "split: expected"),
        ({"x_val": np.zeros((5, 7))}, r"x_val: expected shape \(n, 6\)"),
        ({"y_train": np.zeros(199, "int64")}, "y_train: expected 200 labels"),
        ({"y_test": np.full(100, 3)}, "y_test: expected labels from 0 to 2"),
        ({"budgets": (2, 90)}, "budgets: expected at most 66"),
        ({"draws": 1}, "draws: expected"),
        ({"updates": (20, 10)}, "updates: expected two ascending"),
        ({"head_updates": (20,)}, "head_updates: expected two ascending"),
    ],
    ids=[
        "split",
        "shape",
        "count",
        "class",
        "budget",
        "draws",
        "order",
        "single",
    ],
)
def test_race_refuses_bad_input(change, match, blobs, small):
    names = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
    arrays = dict(zip(names, blobs, strict=True))
    split = tuple(change.pop(name, array) for name, array in arrays.items())
    with pytest.raises(ValueError, match=match):
        LabelRace(**{"split": split, **small, **change})


def test_race_refuses_strangers_by_name(blobs, small):
    race = LabelRace(blobs, **small)
    with pytest.raises(ValueError, match=r"encoder: expected inputs \(6,\)"):
        race.frozen("wide", networks.dense_encoder((7,), 8, (7,)))
    with pytest.raises(ValueError, match="encoder: expected 3, one a draw"):
        race.frozen("two", [build(0), build(1)])
    with pytest.raises(ValueError, match=r"encoder: expected a built keras"):
        race.tuned("no model", keras.layers.Flatten())
    race.frozen("rows", lambda x: x)
    with pytest.raises(ValueError, match="not in the race yet"):
        race.frozen("rows", lambda x: x)
    with pytest.raises(ValueError, match="other: expected one of"):
        race.margin("rows", "nobody", 2)
    with pytest.raises(ValueError, match="budget: expected one of"):
        race.margin("rows", "rows", 3)


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
