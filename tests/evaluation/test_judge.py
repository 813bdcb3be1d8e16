"""The course's own classifier: accurate, repeatable, saved and loaded."""

import keras
import numpy as np
import pytest
from contracts import (
    Case,
    assert_same_outputs,
    changed_arguments,
    check_config_round_trip,
    check_symbolic_shapes,
    constructor_defaults,
    numpy_tree,
)

from utils import data
from utils.evaluation import generation
from utils.evaluation.judge import Judge

CASES = [
    Case(
        "dense",
        Judge,
        {
            "input_shape": (6, 6, 1),
            "num_classes": 3,
            "widths": (20,),
            "num_features": 7,
            "seed": 4,
        },
        num_weights=6,
        num_generators=2,
    ),
    Case(
        "conv",
        Judge,
        {"input_shape": (8, 8, 1), "network": "conv", "widths": (4, 6)},
        num_weights=8,
        num_generators=2,
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def images(shape, n=9):
    return np.random.default_rng(0).random((n, *shape)).astype("float32")


@pytest.fixture(scope="module")
def bundled():
    return data.load("digits")


@pytest.fixture(scope="module")
def judge(bundled):
    return Judge.trained_on(bundled.x_train, bundled.y_train, seed=0)


def test_cases_change_every_argument():
    covered = set().union(*(changed_arguments(case) for case in CASES))
    assert covered == set(constructor_defaults(Judge))


@each_case
def test_judge_contract(case):
    model = case.make()
    x = images(case.config["input_shape"])
    assert len(model.weights) == case.num_weights
    check_config_round_trip(model)
    check_symbolic_shapes(model, x)
    assert model.features(x).dtype == np.float32
    assert model.features(x).shape == (9, model.num_features)
    assert model.classes(x).shape == (9,)
    assert model.classes(x).dtype == np.int64


@each_case
def test_judge_saved_and_loaded_judges_alike(case, tmp_path):
    model = case.make()
    x = images(case.config["input_shape"])
    model.save(tmp_path / "judge.keras")
    loaded = keras.saving.load_model(tmp_path / "judge.keras")
    assert type(loaded) is Judge
    np.testing.assert_allclose(
        loaded.features(x), model.features(x), rtol=1e-5, atol=1e-6
    )
    assert_same_outputs(
        numpy_tree(model(x, training=False)),
        numpy_tree(loaded(x, training=False)),
    )


def test_judge_recognises_digits_that_it_has_not_seen(judge, bundled):
    x = np.concatenate([bundled.x_val, bundled.x_test])
    y = np.concatenate([bundled.y_val, bundled.y_test])
    # measured .976, .981 and .978 for seeds 0, 1 and 2
    assert judge.accuracy(x, y) >= 0.965


def test_judge_accuracy_is_the_share_of_right_classes(judge, bundled):
    x, y = bundled.x_val[:50], bundled.y_val[:50]
    assert judge.accuracy(x, judge.classes(x)) == 1.0
    expected = np.mean(judge.classes(x) == y)
    assert judge.accuracy(x, y) == pytest.approx(expected)


def test_judge_features_are_what_the_head_sees(judge, bundled):
    x = bundled.x_val[:20]
    kernel, bias = judge.head.get_weights()
    logits = judge.features(x) @ kernel + bias
    np.testing.assert_array_equal(logits.argmax(axis=1), judge.classes(x))
    assert judge.features(x).min() >= 0.0


def test_judge_orders_sets_as_a_reader_would(judge, bundled):
    """Real digits, then pixels of the right moments, then one class only."""
    real = bundled.x_val
    n, pixels = len(real), int(np.prod(bundled.event_shape))
    rng = np.random.default_rng(0)
    flat = bundled.x_train.reshape(-1, pixels)
    gaussian = rng.multivariate_normal(flat.mean(0), np.cov(flat.T), n)
    gaussian = np.clip(gaussian, 0, 1).reshape(real.shape)
    other_real = bundled.x_test[:n]
    ones = bundled.x_train[bundled.y_train == 1]
    reference = judge.features(real)

    def distance(x):
        return generation.frechet_distance(reference, judge.features(x))

    assert distance(other_real) < 0.5 * distance(gaussian)
    assert distance(other_real) < 0.2 * distance(ones)


def test_judge_same_seed_same_judge(bundled):
    x, y = bundled.x_train[:300], bundled.y_train[:300]
    first, second, third = (
        Judge.trained_on(x, y, epochs=2, seed=seed).features(x[:5])
        for seed in (3, 3, 4)
    )
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)
    assert np.abs(first - third).max() > 1e-2


def test_judge_training_lowers_its_loss(bundled):
    x, y = bundled.x_train[:300], bundled.y_train[:300]
    fresh = Judge(x.shape[1:], 10, seed=0).accuracy(x, y)
    trained = Judge.trained_on(x, y, network="conv", epochs=6)
    assert trained.network == "conv"
    assert trained.accuracy(x, y) > fresh + 0.3


def test_judge_noise_acts_while_training_only(judge, bundled):
    x = bundled.x_val[:4]
    calm = numpy_tree(judge(x, training=False))["output"]
    np.testing.assert_array_equal(
        calm, numpy_tree(judge(x, training=False))["output"]
    )
    assert not np.allclose(calm, numpy_tree(judge(x, training=True))["output"])


X, Y = images((4, 4, 1)), np.arange(9) % 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Judge((4, 4, 1), num_classes=1), "num_classes: "),
        (lambda: Judge((4, 4, 1), network="resnet"), "network: "),
        (lambda: Judge((4, 4, 1), num_features=0), "num_features: "),
        (lambda: Judge(16), "input_shape: "),
        (
            lambda: Judge((6, 6, 1), network="conv"),
            "input_shape: .*divisible by 4",
        ),
        (lambda: Judge((4, 4, 1), seed=-1), "seed: "),
        (lambda: Judge.trained_on(X * np.nan, Y), "x_train: .*finite"),
        (
            lambda: Judge.trained_on(X, Y[:5]),
            "y_train: expected 9 labels; received 5",
        ),
        (
            lambda: Judge.trained_on(X, Y.astype(float)),
            "y_train: expected integer",
        ),
        (
            lambda: Judge.trained_on(X, Y + 1),
            "y_train: .*without a gap; received 1, 2, 3",
        ),
        (lambda: Judge.trained_on(X, 0 * Y), "y_train: .*received 0"),
        (lambda: Judge.trained_on(X, Y, epochs=0), "epochs: "),
        (lambda: Judge.trained_on(X, Y, seed=-1), "seed: "),
        (
            lambda: Judge((4, 4, 1), 3).features(X[..., 0]),
            r"x: expected shape \(n, 4, 4, 1\)",
        ),
        (lambda: Judge((4, 4, 1), 3).classes(X[0]), "x: "),
        (
            lambda: Judge((4, 4, 1), 3).accuracy(X, Y[:4]),
            "y: expected 9 labels",
        ),
        (
            lambda: Judge((4, 4, 1), 3).accuracy(X, Y + 1),
            "y: expected labels from 0 to 2",
        ),
    ],
)
def test_judge_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
