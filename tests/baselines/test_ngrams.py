"""n-grams by counting and their neural mixture, against slow code by hand."""

import collections

import contracts
import keras
import numpy as np
import pytest
from contracts import EAGERLY, Case
from keras import ops

from utils.baselines.ngrams import NGram
from utils.models.ngram_mixture import NGramMixture, mixture_inputs

STREAM = np.random.default_rng(0).integers(0, 5, 400)


def slow_kneser_ney(stream, order, size, context, token):
    """The formula of the docstring with dictionaries, one string at a time."""
    stream = tuple(int(i) for i in stream)

    def strings(length):
        found = range(len(stream) - length + 1)
        return [stream[i : i + length] for i in found]

    def counts_of(length):
        counts = collections.Counter(strings(length))
        if length < order:
            longer = set(strings(length + 1))
            counts = {
                s: max(1, len({t[0] for t in longer if t[1:] == s}))
                for s in counts
            }
        return counts

    p = 1.0 / size
    for length in range(1, order + 1):
        history = tuple(context[len(context) - length + 1 :])
        counts = counts_of(length)
        ones = sum(c == 1 for c in counts.values())
        twos = sum(c == 2 for c in counts.values())
        discount = ones / (ones + 2 * twos) if ones and twos else 0.5
        after = {s: c for s, c in counts.items() if s[:-1] == history}
        if not after:
            break
        total = sum(after.values())
        here = max(after.get((*history, token), 0) - discount, 0)
        p = (here + discount * len(after) * p) / total
    return p


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_ngram_equals_the_formula(order):
    model = NGram(order, 6).fit(STREAM)
    text = np.array([0, 3, 1, 4, 2, 2, 0, 5, 1])  # 5 was never seen
    expected = [
        slow_kneser_ney(
            STREAM, order, 6, tuple(text[max(0, i - order + 1) : i]), text[i]
        )
        for i in range(order - 1, len(text))
    ]
    np.testing.assert_allclose(
        model.score(text)[order - 1 :], -np.log(expected), rtol=1e-9
    )


@pytest.mark.parametrize("order", [1, 2, 5])
def test_ngram_distributions_sum_to_one_and_agree_with_score(order):
    model = NGram(order, 6).fit(STREAM)
    text = np.array([1, 0, 4, 5, 2, 3])
    scores, (experts, _) = model.score(text), model.experts(text)
    for place, token in enumerate(text):
        rows = model.distributions(text[:place])
        assert rows.shape == (order, 6)
        np.testing.assert_allclose(rows.sum(1), 1.0, rtol=1e-12)
        np.testing.assert_allclose(rows[:, token], experts[place], rtol=1e-12)
        assert np.isclose(-np.log(rows[-1, token]), scores[place])


def test_ngram_learns_a_cycle_and_stops_at_what_the_data_hold():
    cycle = np.tile(np.arange(4), 30)
    assert NGram(2, 4).fit(cycle).score(cycle)[1:].mean() < 0.05
    short = NGram(9, 4).fit(np.array([0, 1, 2]))  # longer than the stream
    assert np.isfinite(short.score(cycle)).all()


def test_evidence_does_not_look_at_the_token_itself():
    model = NGram(3, 6).fit(STREAM)
    text = np.array([1, 0, 4, 2])
    other = np.array([1, 0, 4, 5])
    first, second = (model.experts(t)[1] for t in (text, other))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: NGram(0, 5), "order"),
        (lambda: NGram(2, 1), "vocabulary_size"),
        (lambda: NGram(2, 5).fit([]), "one stream"),
        (lambda: NGram(2, 5).fit([0.5, 1.0]), "one stream"),
        (lambda: NGram(2, 5).fit([[0, 1]]), "one stream"),
        (lambda: NGram(2, 5).fit([0, 5]), "from 0 to 4"),
        (lambda: NGram(2, 5).score([0, 1]), "fitted"),
        (lambda: NGram(2, 5).distributions([0, 1]), "fitted"),
        (lambda: mixture_inputs("ngram", [0, 1]), "ngram"),
        (lambda: mixture_inputs(NGram(2, 5), [0, 1]), "fitted"),
    ],
)
def test_ngram_bad_input_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()


# ----------------------------------------------------------------- mixture

CASE = Case(
    "mixture",
    NGramMixture,
    {
        "order": 3,
        "vocabulary_size": 6,
        "window": 4,
        "embedding_dim": 3,
        "widths": (7,),
        "seed": 2,
    },
    num_weights=5,
    builder="dense",
)


@pytest.fixture(scope="module")
def inputs():
    ngram = NGram(3, 6).fit(STREAM[:300])
    return ngram, mixture_inputs(ngram, STREAM[300:], window=4)


def test_mixture_config_counts_and_arguments():
    model = CASE.make()
    contracts.check_config_kept(CASE)
    assert len(model.weights) == CASE.num_weights
    assert (model.order, model.window) == (3, 4)
    other = CASE.make(seed=7).get_weights()
    again = model.remake(seed=7).get_weights()
    assert all(map(np.array_equal, other, again))


def test_mixture_saved_and_loaded_gives_the_same(inputs, tmp_path):
    model, x = CASE.make(), inputs[1]
    model(x)
    path = str(tmp_path / "mixture.keras")
    model.save(path)
    again = keras.saving.load_model(path)
    contracts.assert_same_outputs(
        contracts.numpy_tree(model(x)), contracts.numpy_tree(again(x))
    )


def test_mixture_is_a_weighted_mean_of_the_orders(inputs):
    ngram, x = inputs
    model = CASE.make()
    outputs = contracts.numpy_tree(model(x))
    np.testing.assert_allclose(outputs["gate"].sum(1), 1.0, rtol=1e-5)
    p = (outputs["gate"] * x["experts"]).sum(1)
    np.testing.assert_allclose(outputs["log_p"], np.log(p), rtol=1e-4)
    np.testing.assert_allclose(model.example_losses(x), -np.log(p), rtol=1e-4)
    text = STREAM[300:]
    whole = model.distribution(ngram, text[:50])
    assert np.isclose(whole.sum(), 1.0, atol=1e-6)
    assert np.isclose(
        -np.log(whole[text[50]]), model.example_losses(x)[50], atol=1e-4
    )


def test_mixture_loss_and_fit(inputs):
    model, x = CASE.make(), inputs[1]
    model.compile(keras.optimizers.Adam(1e-2), run_eagerly=EAGERLY)
    before = model.evaluate(x, verbose=0, batch_size=100)
    assert np.isclose(before, model.example_losses(x).mean(), rtol=1e-4)
    model.fit(x, batch_size=100, epochs=5, verbose=0)
    assert model.example_losses(x).mean() < before


def test_mixture_samples_known_ids_with_a_seed(inputs):
    ngram, _ = inputs
    model = CASE.make()
    first = model.sample(ngram, 20, prompt=[3, 4], seed=1)
    assert first[:2] == [3, 4] and len(first) == 22
    assert set(first) <= {3, 4, 5}  # 0 to 2 are reserved
    assert first == model.sample(ngram, 20, prompt=[3, 4], seed=1)
    assert first != model.sample(ngram, 20, prompt=[3, 4], seed=2)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"experts": np.full((100, 3), 2.0)}, "experts"),
        ({"experts": np.ones((100, 2))}, "experts"),
        ({"evidence": np.full((100, 6), np.nan)}, "evidence"),
        ({"context": np.zeros((99, 4), "int32")}, "as many rows"),
        ({"other": np.zeros(100)}, "arrays experts"),
        ({"context": np.zeros((100, 3), "int32")}, r"context.*\(n, 4\)"),
        ({"context": np.zeros((100, 4))}, "context.*integer"),
        ({"context": np.full((100, 4), 6)}, "context.*from 0 to 5"),
    ],
)
def test_mixture_bad_inputs_are_named(inputs, change, match):
    model = CASE.make()
    model.compile("sgd")
    with pytest.raises(ValueError, match=match):
        model.fit({**inputs[1], **change}, verbose=0)


def test_mixture_target_loss_and_arguments_are_refused(inputs):
    model = CASE.make()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="loss"):
        model.fit(inputs[1], verbose=0)
    model.compile("sgd")
    with pytest.raises(ValueError, match="no target"):
        model.fit(inputs[1], np.zeros(100), verbose=0)
    with pytest.raises(ValueError, match="temperature"):
        model.sample(inputs[0], 3, temperature=-1)
    with pytest.raises(ValueError, match="class_weight"):
        model.fit(inputs[1], class_weight={0: 1.0}, verbose=0)
    with pytest.raises(ValueError, match="x: expected a dict.*ndarray"):
        model.fit(inputs[1]["experts"], verbose=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("order", 0),
        ("vocabulary_size", 1),
        ("window", 0),
        ("embedding_dim", 0),
        ("widths", (7, 0)),
        ("seed", -1),
    ],
)
def test_mixture_argument_out_of_range_is_named(name, value):
    with pytest.raises(ValueError, match=name):
        CASE.make(**{name: value})


def own_gate(evidence=6, orders=3):
    context, of_counts = (
        keras.Input((4,), dtype="int32"),
        keras.Input((evidence,)),
    )
    mean = ops.mean(ops.cast(context, "float32"), axis=1, keepdims=True)
    both = keras.layers.Concatenate()([mean / 100, of_counts])
    return keras.Model([context, of_counts], keras.layers.Dense(orders)(both))


def test_mixture_with_a_gate_of_ones_own(inputs, tmp_path):
    ngram, x = inputs
    model = NGramMixture(own_gate(), 6)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=EAGERLY)
    before = model.example_losses(x).mean()
    model.fit(x, batch_size=100, epochs=10, verbose=0)
    assert model.example_losses(x).mean() < before
    whole = model.distribution(ngram, STREAM[:9])
    assert np.isclose(whole.sum(), 1.0, atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        model.example_losses(x), again.example_losses(x), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("gate", "match"),
    [
        (lambda: own_gate(evidence=5), r"\(5,\).*\(3,\)"),
        (lambda: own_gate(orders=2), r"\(6,\).*\(2,\)"),
        (
            lambda: keras.Sequential(
                [keras.Input((6,)), keras.layers.Dense(3)]
            ),
            "context and the evidence",
        ),
        (lambda: "dense", "gate: expected a Keras model"),
    ],
)
def test_mixture_gate_of_other_shapes_is_refused(gate, match):
    with pytest.raises(ValueError, match=match):
        NGramMixture(gate(), 6)


def test_mixture_weights_train_as_repeated_positions_do(inputs):
    x = {name: part[:12] for name, part in inputs[1].items()}
    contracts.check_zero_weights_move_nothing(CASE.make(), x)
    contracts.check_weights_are_repetitions(CASE.make, x)


def test_mixture_batches_are_checked_and_are_as_arrays(inputs):
    x = inputs[1]
    model = CASE.make()
    model.compile("sgd", run_eagerly=EAGERLY)
    whole = model.evaluate(x, batch_size=100, verbose=0)
    assert np.isclose(model.evaluate(iter([x]), steps=1, verbose=0), whole)
    bad = {**x, "experts": x["experts"] + 1}
    with pytest.raises(ValueError, match=r"x, batch 2\['experts'\]"):
        model.evaluate(iter([x, bad]), steps=2, verbose=0)
