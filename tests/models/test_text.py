"""Models of texts: contract, padding, losses by hand, transfer, errors."""

import inspect

import contracts
import keras
import numpy as np
import pytest
from contracts import EAGERLY, Case
from keras import ops

from utils import data
from utils.models.text import (
    MASK,
    AttentionBlock,
    DenoisingText,
    LanguageModel,
    MaskedLanguageModel,
    Positions,
    TextClassifier,
)
from utils.support.token_ids import draw_token

BACKEND = keras.backend.backend()
SIZE = 12

# Between them the cases of a class move every argument off its default.
CASES = [
    Case(
        "denoiser_bag",
        DenoisingText,
        {"vocabulary_size": SIZE, "embedding_dim": 5, "rate": 0.2, "seed": 3},
        num_weights=3,
        num_generators=1,
        builder="bag",
    ),
    Case(
        "denoiser_gru",
        DenoisingText,
        {"vocabulary_size": SIZE, "units": 6},
        num_weights=6,
        num_generators=2,  # the GRU has one for its dropout
        builder="gru",
    ),
    Case(
        "denoiser_conv",
        DenoisingText,
        {"vocabulary_size": SIZE, "window": 3},
        num_weights=7,
        num_generators=1,
        builder="conv",
    ),
    Case(
        "language_gru",
        LanguageModel,
        {"vocabulary_size": SIZE, "embedding_dim": 4, "units": 6, "seed": 1},
        num_weights=6,
        num_generators=1,
        builder="gru",
    ),
    Case(
        "language_conv",
        LanguageModel,
        {"vocabulary_size": SIZE, "window": 4, "units": 5},
        num_weights=7,
        builder="conv",
    ),
    Case(
        "language_attention",
        LanguageModel,
        {
            "vocabulary_size": SIZE,
            "embedding_dim": 6,
            "heads": 3,
            "causal": True,
            "seed": 1,
        },
        num_weights=21,
        builder="attention",
    ),
    Case(
        "masked_attention",
        MaskedLanguageModel,
        {
            "vocabulary_size": SIZE,
            "embedding_dim": 6,
            "heads": 2,
            "causal": False,
            "rate": 0.4,
            "seed": 5,
        },
        num_weights=21,
        num_generators=1,
        builder="attention",
    ),
    Case(
        "masked_gru",
        MaskedLanguageModel,
        {"vocabulary_size": SIZE, "units": 6},
        num_weights=6,
        num_generators=2,
        builder="gru",
    ),
    Case(
        "classifier_bag",
        TextClassifier,
        {
            "vocabulary_size": SIZE,
            "num_classes": 3,
            "embedding_dim": 5,
            "seed": 2,
        },
        num_weights=3,
        builder="bag",
    ),
    Case(
        "classifier_gru",
        TextClassifier,
        {"vocabulary_size": SIZE, "num_classes": 4, "units": 5},
        num_weights=6,
        num_generators=1,
        builder="gru",
    ),
    Case(
        "classifier_conv",
        TextClassifier,
        {"vocabulary_size": SIZE, "num_classes": 2, "window": 3},
        num_weights=7,
        builder="conv",
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
SELF = [case for case in CASES if case.cls is not TextClassifier]
each_self = pytest.mark.parametrize("case", SELF, ids=lambda case: case.name)


def some_ids(n=16, length=7, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(2, SIZE, (n, length)).astype("int32")
    for row, count in zip(ids, rng.integers(2, length + 1, n), strict=True):
        row[count:] = 0
    return ids


def arguments(case, ids):
    """What ``fit`` and ``evaluate`` get."""
    if case.cls is TextClassifier:
        return ids, np.arange(len(ids)) % case.config["num_classes"]
    return (ids,)


def number(value):
    return float(ops.convert_to_numpy(value))


# ------------------------------------------------------------------ contract


@each_case
def test_model_config_round_trip(case):
    contracts.check_config_kept(case)


def test_cases_move_every_argument():
    for cls in (
        DenoisingText,
        LanguageModel,
        MaskedLanguageModel,
        TextClassifier,
    ):
        moved = set()
        for case in CASES:
            if case.cls is cls:
                moved |= contracts.changed_arguments(case)
        given = set(inspect.signature(cls.__init__).parameters)
        # head and trunk: see the test of networks of one's own
        assert moved >= given - {"self", "trunk", "head", "kwargs"}


@each_case
def test_model_weights_and_generators_are_counted(case):
    model = case.make()
    assert len(model.weights) == case.num_weights
    assert contracts.num_seed_generators(model) == case.num_generators


@each_case
def test_model_saved_and_loaded_gives_the_same(case, tmp_path):
    model, ids = case.make(), some_ids()
    path = str(tmp_path / "model.keras")
    model(ids)
    model.save(path)
    again = keras.saving.load_model(path)
    contracts.assert_same_outputs(
        contracts.numpy_tree(model(ids)), contracts.numpy_tree(again(ids))
    )
    assert contracts.json_form(again.get_config()) == contracts.json_form(
        model.get_config()
    )


@each_case
def test_model_symbolic_shapes_agree(case):
    model, ids = case.make(), some_ids()
    symbolic = model(keras.Input((7,), dtype="int32"))
    eager = model(ops.convert_to_tensor(ids))
    if not isinstance(eager, dict):
        symbolic, eager = {"out": symbolic}, {"out": eager}
    for name, value in eager.items():
        assert tuple(symbolic[name].shape[1:]) == tuple(value.shape[1:])


@pytest.mark.parametrize(
    "name",
    ["denoiser_bag", "language_conv", "language_attention", "masked_attention"],
)
def test_model_fit_moves_all_weights(name):
    case = next(case for case in CASES if case.name == name)
    contracts.check_fit_moves_all_weights(case.make(), some_ids(64))


def test_classifier_fit_evaluate_predict_agree():
    (case,) = (case for case in CASES if case.name == "classifier_bag")
    model = case.make()
    ids, y = arguments(case, some_ids(20))
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=EAGERLY)
    model.fit(ids, y, validation_data=(ids, y), verbose=0)
    found = model.evaluate(ids, y, batch_size=8, verbose=0, return_dict=True)
    logits = model.predict(ids, verbose=0)
    assert np.isclose(found["accuracy"], np.mean(logits.argmax(1) == y))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(model.classify(ids), p, rtol=1e-4)
    # Keras weighs the batch means by their rows
    by_hand = -np.log(p[np.arange(20), y]).mean()
    assert np.isclose(found["loss"], by_hand, rtol=1e-4)


# ------------------------------------------------------- networks of one's own


def own_trunk(units=6, rows=SIZE):
    """Word vectors and a dense layer, as a Keras user writes them."""
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(rows, 4),
            keras.layers.Dense(units, "tanh"),
            keras.layers.Dropout(0.5),
        ]
    )


def own_head(outputs, *shape):
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Dense(7, "relu"),
            keras.layers.Dense(outputs),
        ]
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: DenoisingText(own_trunk(), SIZE, head=own_head(SIZE, 6)),
        lambda: LanguageModel(own_trunk(), SIZE, head=own_head(SIZE, None, 6)),
        lambda: TextClassifier(own_trunk(), SIZE, 3, head=own_head(3, 6)),
        lambda: TextClassifier(
            own_trunk(), SIZE, 3, head=keras.layers.Dense(3)
        ),
    ],
)
def test_networks_of_ones_own_train_and_are_saved(make, tmp_path):
    model, ids = make(), some_ids()
    y = np.arange(len(ids)) % 3 if isinstance(model, TextClassifier) else None
    model.compile(keras.optimizers.Adam(0.1), run_eagerly=EAGERLY)
    losses = model.fit(ids, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    contracts.assert_same_outputs(
        contracts.numpy_tree(model(ids)), contracts.numpy_tree(again(ids))
    )
    assert contracts.json_form(again.get_config()) == contracts.json_form(
        model.get_config()
    )


def test_trunk_of_ones_own_has_its_dropout_while_training():
    model, ids = DenoisingText(own_trunk(), SIZE, rate=0.0), some_ids()
    still = [model(ids, training=False)["code"] for _ in range(2)]
    moving = [model(ids, training=True)["code"] for _ in range(2)]
    still, moving = (
        list(map(ops.convert_to_numpy, c)) for c in (still, moving)
    )
    assert np.array_equal(*still) and not np.array_equal(*moving)


def two_ways():
    ids = keras.Input((None,), dtype="int32")
    vectors = keras.layers.Embedding(SIZE, 4)(ids)
    gru = keras.layers.GRU(3, return_sequences=True)
    return keras.Model(ids, keras.layers.Bidirectional(gru)(vectors))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: LanguageModel(two_ways(), SIZE), "trunk.*reads ahead"),
        (lambda: DenoisingText(own_trunk(rows=9), SIZE), "12 rows.*9 rows"),
        (lambda: DenoisingText("gru", SIZE), "trunk: expected a Keras model"),
        (
            lambda: DenoisingText(own_head(3, 6), SIZE),
            r"\(None,\), to states.*received \(6,\) to \(3,\)",
        ),
        (
            lambda: TextClassifier(own_trunk(), SIZE, 3, head=own_head(4, 6)),
            r"head.*\(None, 6\) to \(None, 3\).*one to \(None, 4\)",
        ),
        (
            lambda: TextClassifier(own_trunk(), SIZE, 3, head=own_head(3, 5)),
            r"head.*\(None, 6\) to \(None, 3\)",
        ),
        (
            lambda: TextClassifier(own_trunk(), SIZE, 3, head="linear"),
            "head: expected a Keras layer; received str",
        ),
    ],
)
def test_networks_that_do_not_fit_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_denoiser_may_read_both_ways():
    assert DenoisingText(two_ways(), SIZE).encode(some_ids(3)).shape == (3, 6)


@pytest.mark.parametrize("builder", ["bag", "conv", "gru"])
def test_remake_with_another_seed_is_as_made_with_it(builder):
    make = getattr(LanguageModel, builder)
    again = make(SIZE, 4, seed=1).remake(seed=2)
    for one, other in zip(
        again.get_weights(), make(SIZE, 4, seed=2).get_weights(), strict=True
    ):
        assert np.array_equal(one, other)


# ------------------------------------------------------------------- padding


@each_case
def test_model_more_padding_changes_nothing(case):
    model, ids = case.make(), some_ids()
    longer = np.pad(ids, ((0, 0), (0, 9)))
    np.testing.assert_allclose(
        model.encode(ids), model.encode(longer), rtol=1e-5, atol=1e-6
    )
    if case.cls is TextClassifier:
        first, second = model.classify(ids), model.classify(longer)
    else:
        first, second = model.example_losses(ids), model.example_losses(longer)
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


@each_self
def test_loss_more_padding_changes_nothing(case):
    model, ids = case.make(), some_ids()
    model.compile("sgd", run_eagerly=EAGERLY)
    values = [
        model.evaluate(np.pad(ids, ((0, 0), (0, k))), verbose=0)[0]
        for k in (0, 6)
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)


PAST = {
    "conv": lambda: LanguageModel.conv(SIZE, 4, 6, seed=0),
    "gru": lambda: LanguageModel.gru(SIZE, 4, 6, seed=0),
    "attention": lambda: LanguageModel.attention(SIZE, 8, causal=True, seed=0),
}


@pytest.mark.parametrize("trunk", PAST)
def test_language_model_sees_the_past_alone(trunk):
    model = PAST[trunk]()
    ids = some_ids(4)[:, :6]
    ids[ids == 0] = 5
    changed = ids.copy()
    changed[:, 3] = 3 + (changed[:, 3] - 2) % 9
    first, second = (
        ops.convert_to_numpy(model(x)["logits"]) for x in (ids, changed)
    )
    np.testing.assert_allclose(first[:, :4], second[:, :4], atol=1e-6)
    assert np.abs(first[:, 4] - second[:, 4]).max() > 1e-4


def test_convolution_forgets_what_left_its_window():
    model = LanguageModel.conv(SIZE, 4, 6, window=2, seed=0)
    ids = np.full((1, 6), 5, "int32")
    other = ids.copy()
    other[0, 0] = 7
    first, second = (
        ops.convert_to_numpy(model(x)["logits"])[0] for x in (ids, other)
    )
    far = np.abs(first - second).max(axis=1) > 1e-6
    assert far.tolist() == [False, True, True, False, False, False]


def test_denoiser_ignores_the_order_of_a_bag():
    model = DenoisingText.bag(SIZE, 4, seed=0)
    ids = np.array([[3, 4, 5, 6]], "int32")
    np.testing.assert_allclose(
        model.encode(ids), model.encode(ids[:, ::-1]), rtol=1e-5
    )


# ------------------------------------------------------------------ attention


def softmax(scores):
    high = np.exp(scores - scores.max(-1, keepdims=True))
    return high / high.sum(-1, keepdims=True)


def normalised(states):
    centred = states - states.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3)


def block_by_hand(block, states, ids, causal):
    """One text (t, k), head by head and token by token."""
    weights = {w.path.split("/", 1)[-1]: w for w in block.weights}
    get = {
        "/".join(path.split("/")[-2:]): ops.convert_to_numpy(w)
        for path, w in weights.items()
    }
    h, heads = normalised(states), []
    for head in range(block.heads):
        q, k, v = (
            h @ get[f"{name}/kernel"][:, head]
            for name in ("query", "key", "value")
        )
        made = np.zeros_like(v)
        for i in range(len(ids)):
            seen = [
                j
                for j in range(len(ids))
                if ids[j] != 0 and (j <= i or not causal)
            ]
            scores = q[i] @ k[seen].T / np.sqrt(q.shape[1])
            made[i] = softmax(scores) @ v[seen]
        heads.append(made @ get["attention_output/kernel"][head])
    states = states + sum(heads)
    wide = normalised(states) @ get["wide/kernel"]
    wide = ops.convert_to_numpy(ops.gelu(wide, approximate=False))
    return states + wide @ get["narrow/kernel"]


@pytest.mark.parametrize("causal", [True, False])
def test_block_equals_its_formula(causal):
    block = AttentionBlock(2, causal=causal, seed=3)
    ids = np.array([[4, 5, 6, 7, 0, 0]], "int32")
    states = np.random.default_rng(0).normal(size=(1, 6, 8)).astype("float32")
    found = ops.convert_to_numpy(block(states, ids))[0]
    by_hand = block_by_hand(block, states[0], ids[0], causal)
    np.testing.assert_allclose(found[:4], by_hand[:4], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("causal", [True, False])
def test_block_depends_on_the_tokens_it_may_see(causal):
    block = AttentionBlock(2, causal=causal, seed=0)
    ids = np.array([[4, 5, 6, 7, 0]], "int32")
    states = np.random.default_rng(1).normal(size=(1, 5, 4)).astype("float32")
    first = ops.convert_to_numpy(block(states, ids))[0]
    moved = np.zeros((5, 5), bool)  # state i by token j: where is it not 0?
    for j in range(5):
        other = states.copy()
        other[0, j, 0] += 0.5
        change = np.abs(ops.convert_to_numpy(block(other, ids))[0] - first)
        moved[:, j] = change.max(axis=1) > 1e-5
    seen = np.tril(np.ones((5, 5), bool)) if causal else np.ones((5, 5), bool)
    seen = seen & (ids[0] != 0)[None]
    seen |= np.eye(5, dtype=bool)  # what is added to itself
    assert np.array_equal(moved, seen)


def test_block_query_key_and_value_start_differently():
    block = AttentionBlock(2, seed=0)
    block.build((None, None, 8))
    kernels = [
        ops.convert_to_numpy(w)
        for w in block.attend.weights
        if w.path.endswith(("query/kernel", "key/kernel", "value/kernel"))
    ]
    assert len(kernels) == 3
    for one in range(3):
        for other in range(one):
            assert not np.allclose(kernels[one], kernels[other])
    # what it guards against: one seeded initialiser for all of them
    plain = keras.layers.MultiHeadAttention(
        2, 4, kernel_initializer=keras.initializers.GlorotUniform(seed=0)
    )
    plain.build((None, None, 8), (None, None, 8))
    query, _, key = plain.weights[:3]
    assert np.array_equal(
        ops.convert_to_numpy(query), ops.convert_to_numpy(key)
    )


def test_block_refuses_heads_that_do_not_divide_the_width():
    with pytest.raises(ValueError, match="heads: expected a divisor.*6"):
        LanguageModel.attention(SIZE, 6, causal=True, heads=4)


def test_language_model_refuses_attention_to_both_sides():
    with pytest.raises(ValueError, match="trunk.*reads ahead"):
        LanguageModel.attention(SIZE, 8, causal=False, seed=0)


def test_attention_has_to_be_told_in_which_direction():
    with pytest.raises(TypeError, match="causal"):
        TextClassifier.attention(SIZE, 8, num_classes=2)


def test_positions_are_the_waves_of_the_formula():
    vectors = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")
    found = ops.convert_to_numpy(Positions()(vectors))
    for t in range(5):
        for i in range(6):
            angle = t * 10_000 ** (-2 * (i // 2) / 6)
            wave = np.cos(angle) if i % 2 else np.sin(angle)
            expected = vectors[:, t, i] * np.sqrt(6) + wave
            np.testing.assert_allclose(found[:, t, i], expected, rtol=1e-4)


# -------------------------------------------------------------- hidden tokens


def masked_model(rate=0.34, seed=0):
    return MaskedLanguageModel.attention(
        SIZE, 8, causal=False, rate=rate, seed=seed
    )


def test_masked_model_scores_hidden_places_alone():
    model, ids = masked_model(), some_ids(6)
    made = {
        name: ops.convert_to_numpy(value)
        for name, value in model(ids, training=True).items()
    }
    hidden = made["hidden"]
    assert set(np.unique(hidden)) == {0.0, 1.0} and not hidden[ids == 0].any()
    log_p = np.log(softmax(made["logits"]))
    nats = -np.take_along_axis(log_p, ids[..., None], 2)[..., 0]
    expected = (nats * hidden).sum() / hidden.sum()
    loss = model.compute_loss(x=ops.convert_to_tensor(ids), y_pred=made)
    assert np.isclose(number(loss), expected, rtol=1e-4)
    # whatever is said about tokens in sight costs nothing
    made["logits"] = made["logits"] + 50.0 * (1.0 - hidden)[..., None]
    made["logits"][hidden == 0] = -made["logits"][hidden == 0]
    again = model.compute_loss(x=ops.convert_to_tensor(ids), y_pred=made)
    assert np.isclose(number(again), expected, rtol=1e-4)


def test_masked_model_does_not_see_what_is_hidden():
    model, ids = masked_model(), some_ids(3, 6)
    ids[ids == 0] = 5
    hidden = np.zeros(ids.shape, bool)
    hidden[:, 2] = True
    other = ids.copy()
    other[:, 2] = 3 + (other[:, 2] - 2) % 9
    first, second = (
        ops.convert_to_numpy(model.read(x, hidden)["logits"])
        for x in (ids, other)
    )
    np.testing.assert_array_equal(first, second)
    shown = ops.convert_to_numpy(model(other)["logits"])
    assert np.abs(first - shown).max() > 1e-3


def test_masked_model_hides_the_share_it_was_told():
    model, ids = masked_model(0.3), np.full((400, 10), 5, "int32")
    shares = [
        number(ops.mean(model(ids, training=True)["hidden"])) for _ in range(2)
    ]
    np.testing.assert_allclose(shares, 0.3, atol=0.04)
    assert shares[0] != shares[1]  # a new draw each time
    assert number(ops.sum(model(ids)["hidden"])) == 0.0


def test_masked_model_evaluates_the_same_places_in_any_batch():
    model, ids = masked_model(), some_ids(12)
    hidden = ops.convert_to_numpy(model.hidden_in_evaluation(ids))
    for row, chosen in zip(ids, hidden, strict=True):
        places = [t for t in range(7) if (t + row.sum()) % 3 == 0 and row[t]]
        assert np.flatnonzero(chosen).tolist() == places
    model.compile("sgd", run_eagerly=EAGERLY)
    found = [
        model.evaluate(x, batch_size=size, verbose=0, return_dict=True)
        for x, size in ((ids, 12), (ids, 5), (ids[::-1].copy(), 12))
    ]
    values = [one["nats_per_token"] for one in found]
    np.testing.assert_allclose(values, values[0], rtol=1e-5)
    by_text = model.example_losses(ids)
    assert np.isclose(values[0], by_text.sum() / hidden.sum(), rtol=1e-5)


def test_masked_model_fills_what_it_learned_to_fill():
    ids = np.array([[3, 4, 5, 6], [7, 8, 9, 10]], "int32").repeat(64, axis=0)
    model = masked_model()
    model.compile(keras.optimizers.Adam(0.03), run_eagerly=EAGERLY)
    model.fit(ids, batch_size=16, epochs=12, verbose=0)
    asked = np.array([[3, MASK, 5, 6, 0], [7, 8, 9, MASK, 0]], "int32")
    assert model.fill(asked).tolist() == [[3, 4, 5, 6, 0], [7, 8, 9, 10, 0]]
    assert model.fill(ids[:3]).tolist() == ids[:3].tolist()


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_masked_model_refuses_a_rate_that_hides_nothing_or_all(rate):
    with pytest.raises(ValueError, match="rate"):
        masked_model(rate)


def test_classifier_adopts_a_masked_model():
    model = TextClassifier.attention(
        SIZE, 8, causal=False, num_classes=3, seed=4
    )
    pretrained, ids = masked_model(), some_ids(5)
    assert not np.allclose(model.encode(ids), pretrained.encode(ids))
    model.adopt(pretrained)
    assert np.array_equal(model.encode(ids), pretrained.encode(ids))


# -------------------------------------------------------------------- losses


def test_denoiser_loss_equals_its_formula():
    model, ids = DenoisingText.bag(SIZE, 4, rate=0.0, seed=0), some_ids()
    table, kernel, bias = model.get_weights()
    total, count = 0.0, 0
    for row in ids:
        real = row[row != 0]
        logits = table[real].mean(0) @ kernel + bias
        log_p = logits - np.log(np.exp(logits).sum())
        total, count = total - log_p[real].sum(), count + len(real)
    model.compile("sgd", run_eagerly=EAGERLY)
    found = model.evaluate(ids, batch_size=5, verbose=0, return_dict=True)
    # the metric weighs tokens alike; Keras's loss weighs batches
    assert np.isclose(found["nats_per_token"], total / count, rtol=1e-5)
    whole = model.evaluate(ids, batch_size=16, verbose=0, return_dict=True)
    assert np.isclose(whole["loss"], total / count, rtol=1e-5)
    assert np.isclose(model.example_losses(ids).sum(), total, rtol=1e-5)


def test_language_model_without_trunk_is_a_bigram_table():
    model, ids = LanguageModel.bag(SIZE, 4, seed=0), some_ids(5)
    table, kernel, bias = model.get_weights()
    scores = []
    for row in ids:
        nats, before = 0.0, 1  # the start
        for token in row[row != 0]:
            logits = table[before] @ kernel + bias
            nats -= logits[token] - np.log(np.exp(logits).sum())
            before = token
        scores.append(nats)
    np.testing.assert_allclose(model.example_losses(ids), scores, rtol=1e-5)


def test_loss_sample_weights_weigh_texts():
    model, ids = DenoisingText.bag(SIZE, 4, rate=0.0, seed=0), some_ids(8)
    model.compile("sgd", run_eagerly=EAGERLY)
    weight = np.array([1.0, 0, 2, 0, 0, 0, 0, 1])
    found = model.evaluate(
        ids, sample_weight=weight, verbose=0, return_dict=True
    )
    count = (ids != 0).sum(1)
    expected = (model.example_losses(ids) * weight).sum() / (
        count * weight
    ).sum()
    assert np.isclose(found["loss"], expected, rtol=1e-5)


WEIGHTED = {
    "denoiser": (lambda: DenoisingText.bag(SIZE, 4, rate=0.0, seed=0), None),
    "language model": (lambda: LanguageModel.bag(SIZE, 4, seed=0), None),
    "classifier": (
        lambda: TextClassifier.bag(SIZE, 4, num_classes=3, seed=0),
        np.arange(12) % 3,
    ),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_of_texts_train_as_repeated_texts_do(name):
    make, y = WEIGHTED[name]
    contracts.check_zero_weights_move_nothing(make(), some_ids(12), y)
    contracts.check_weights_are_repetitions(make, some_ids(12), y)


def test_classifier_class_weight_is_the_weight_of_its_texts():
    make, y = WEIGHTED["classifier"]
    found = []
    for more in (
        {"class_weight": {0: 3.0, 2: 0.5}},
        {"sample_weight": np.array([3.0, 1.0, 0.5])[y]},
    ):
        model = make()
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=EAGERLY)
        model.fit(some_ids(12), y, **more, verbose=0)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    model = WEIGHTED["denoiser"][0]()
    model.compile("sgd")
    with pytest.raises(ValueError, match="class_weight"):
        model.fit(some_ids(12), class_weight={0: 2.0}, verbose=0)


def test_classifier_batches_of_texts_and_labels_are_as_arrays():
    make, y = WEIGHTED["classifier"]
    ids, losses = some_ids(12), []
    for data_set in ((ids, y), (iter([(ids, y[:, None])]),)):
        model = make()
        model.compile("sgd", run_eagerly=EAGERLY)
        logs = model.fit(*data_set, steps_per_epoch=1, verbose=0).history
        losses.append(logs["loss"] + logs["accuracy"])
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_loss_has_the_penalties_of_layers():
    plain, ids = CASES[5].make(), some_ids(6)
    y = np.array([0, 1, 2] * 2)
    outputs = plain(ids)
    before = number(plain.compute_loss(ids, ops.convert_to_tensor(y), outputs))
    table = plain.trunk.get_layer("embedding")
    table.embeddings_regularizer = keras.regularizers.L2(1.0)
    table.embeddings.regularizer = keras.regularizers.L2(1.0)
    after = number(plain.compute_loss(ids, ops.convert_to_tensor(y), outputs))
    squares = (plain.encoder.get_weights()[0] ** 2).sum()
    assert np.isclose(after - before, squares, rtol=1e-3)


def test_classifier_batch_as_large_as_it_has_classes_is_per_text():
    # where (n,) labels could be spread over n columns without a word
    model = TextClassifier.bag(SIZE, 4, num_classes=8, seed=0)
    ids, y = some_ids(8), np.arange(8)[::-1]
    logits = ops.convert_to_numpy(model(ids))
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    model.compile("sgd", run_eagerly=EAGERLY)
    loss = model.evaluate(ids, y, batch_size=8, verbose=0)[0]
    assert np.isclose(loss, -log_p[np.arange(8), y].mean(), rtol=1e-5)
    column = model.evaluate(ids, y[:, None], batch_size=8, verbose=0)[0]
    assert np.isclose(loss, column, rtol=1e-6)


def test_denoiser_removes_tokens_in_training_alone():
    model = DenoisingText.bag(SIZE, 4, rate=0.4, seed=0)
    ids = np.full((500, 10), 5, "int32")
    removed = ops.convert_to_numpy(model.damage(ids, training=True)) == 0
    assert abs(removed.mean() - 0.4) < 0.03
    kept = ops.convert_to_numpy(model.damage(ids, training=False))
    assert np.array_equal(kept, ids)


# ------------------------------------------------------------------ learning


def test_language_model_learns_a_cycle_and_samples_it():
    cycle = np.tile(np.arange(3, 9), 40)[:200]
    starts = np.random.default_rng(0).integers(0, 180, 256)
    ids = np.stack([cycle[s : s + 12] for s in starts]).astype("int32")
    model = LanguageModel.conv(9, 8, 16, window=2, seed=0)
    model.compile(keras.optimizers.Adam(3e-2))
    model.fit(ids, batch_size=16, epochs=3, verbose=0)
    later = model.example_losses(ids) / 12
    # one free choice of six at the start, then no doubt
    assert abs(later.mean() - np.log(6) / 12) < 0.1
    text = model.sample(2, 14, prompt=[4, 5], temperature=0.0)
    assert text.shape == (2, 14) and text.dtype == np.int32
    steps = np.diff(text[0])
    assert set(steps.tolist()) <= {1, -5}


def test_sample_same_seed_same_texts_and_gru_runs():
    model = LanguageModel.gru(SIZE, 4, 6, seed=0)
    first, again = (model.sample(3, 5, seed=4) for _ in range(2))
    assert np.array_equal(first, again) and first.min() > 2
    assert not np.array_equal(first, model.sample(3, 5, seed=5))


def test_draw_token_temperature_sharpens_and_flattens():
    rng = np.random.default_rng(0)
    logits = np.tile(np.log([1e-9] * 3 + [0.6, 0.3, 0.1]), (20_000, 1))
    for temperature in (0.5, 1.0, 2.0):
        drawn = draw_token(logits, temperature, rng)
        share = np.bincount(drawn, minlength=6)[3:] / len(drawn)
        expected = np.array([0.6, 0.3, 0.1]) ** (1 / temperature)
        expected /= expected.sum()
        np.testing.assert_allclose(share, expected, atol=0.015)
    assert set(draw_token(logits[:5], 0.0, rng)) == {3}


def test_adopt_copies_the_encoder_and_leaves_the_head():
    denoiser = DenoisingText.bag(SIZE, 5, rate=0.3, seed=0)
    model = TextClassifier.bag(SIZE, 5, num_classes=3, seed=1)
    head = [w.copy() for w in model.head.get_weights()]
    model.adopt(denoiser)
    for ours, theirs in zip(
        model.encoder.get_weights(), denoiser.encoder.get_weights(), strict=True
    ):
        assert np.array_equal(ours, theirs)
    for old, new in zip(head, model.head.get_weights(), strict=True):
        assert np.array_equal(old, new)


def test_frozen_stage_keeps_the_encoder_fine_tuning_moves_it():
    model = TextClassifier.bag(SIZE, 5, num_classes=3, seed=1)
    ids, y = some_ids(24), np.arange(24) % 3
    start = model.encoder.get_weights()[0].copy()
    head = model.head.get_weights()[0].copy()
    for frozen in (True, False):
        model.encoder.trainable = not frozen
        model.compile(keras.optimizers.Adam(1e-2), run_eagerly=EAGERLY)
        model.fit(ids, y, epochs=2, batch_size=12, verbose=0)
        same = np.array_equal(start, model.encoder.get_weights()[0])
        assert same == frozen
    assert not np.array_equal(head, model.head.get_weights()[0])


def test_imdb_runs_on_the_same_path(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    # 1 starts a review; words 10 to 19 are bad, 20 to 29 good
    x = rng.integers(30, 9999, (200, 40))
    x[:, 0] = 1
    x[:, 5:15] = 10 + 10 * y[:, None] + rng.integers(0, 10, (200, 10))
    np.savez(tmp_path / "imdb.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    reviews = data.load("imdb")
    assert reviews.x_train.shape[1] == 200  # padded with 0
    model = TextClassifier.bag(10_000, 8, num_classes=2, seed=0)
    model.compile(keras.optimizers.Adam(0.05))
    model.fit(reviews.x_train, reviews.y_train, epochs=3, verbose=0)
    found = model.evaluate(
        reviews.x_test, reviews.y_test, verbose=0, return_dict=True
    )
    assert found["accuracy"] > 0.9
    denoiser = DenoisingText.bag(10_000, 8, seed=0)
    denoiser.compile("adam", run_eagerly=EAGERLY)
    denoiser.fit(reviews.x_train[:32], verbose=0)
    model.adopt(denoiser)


# -------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "more", "match"),
    [
        (DenoisingText.bag, {"vocabulary_size": 3}, "vocabulary_size"),
        (DenoisingText.bag, {"rate": 1.0}, "rate"),
        (DenoisingText.bag, {"embedding_dim": 0}, "embedding_dim"),
        (LanguageModel.conv, {"window": 0}, "window"),
        (LanguageModel.gru, {"units": 2.5}, "units"),
        (LanguageModel.gru, {"window": 0.5}, "window"),
        (TextClassifier.bag, {"num_classes": 1}, "num_classes"),
        (TextClassifier.bag, {"num_classes": 2, "seed": -1}, "seed"),
    ],
)
def test_bad_argument_is_named(make, more, match):
    with pytest.raises(ValueError, match=match):
        make(**{"vocabulary_size": SIZE, **more})


BAD_IDS = [
    (lambda ids: ids + SIZE, "0 to 11, the vocabulary"),
    (lambda ids: ids.astype("float32"), "integer token ids"),
    (lambda ids: ids[:, :, None], r"\(n, length\)"),
    (lambda ids: ids * 0, "row 0 is empty"),
    (lambda ids: ids[:0], "token ids"),
]


@pytest.mark.parametrize(("spoil", "match"), BAD_IDS)
@pytest.mark.parametrize("cls", [DenoisingText, LanguageModel, TextClassifier])
def test_bad_ids_are_refused_before_training(cls, spoil, match):
    more = {"num_classes": 2} if cls is TextClassifier else {}
    model, ids = cls.bag(SIZE, **more, embedding_dim=4), some_ids(4)
    y = np.arange(4) % 2 if more else None
    model.compile("sgd")
    before = [w.copy() for w in model.get_weights()]
    with pytest.raises(ValueError, match=match):
        model.fit(spoil(ids), y, verbose=0)
    with pytest.raises(ValueError, match="validation_data"):
        bad = spoil(ids) if y is None else (spoil(ids), y)
        model.fit(ids, y, validation_data=bad, verbose=0)
    for verb in (model.encode, model.predict):
        with pytest.raises(ValueError, match=match):
            verb(spoil(ids))
    batches = iter([(ids, y), (spoil(ids), y)])
    with pytest.raises(ValueError, match="x, batch 2"):
        model.evaluate(batches, steps=2, verbose=0)
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (None, "y: expected one label for each text"),
        (np.array([0, 1, 2, 3]), "from 0 to 2; received 3"),
        (np.array([0, 1, 2]), "4 labels"),
        (np.zeros((4, 3)), "vector of integer labels"),
        (np.array([0.0, 1, 2, 0]), "integer labels"),
    ],
)
def test_classifier_bad_labels_are_refused(y, match):
    model = TextClassifier.bag(SIZE, 4, num_classes=3)
    model.compile("sgd")
    with pytest.raises(ValueError, match=match):
        model.fit(some_ids(4), y, verbose=0)


def test_self_supervised_target_and_loss_are_refused():
    model = DenoisingText.bag(SIZE, 4)
    model.compile("sgd")
    with pytest.raises(ValueError, match="no target"):
        model.fit(some_ids(4), np.zeros(4), verbose=0)
    model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match="loss: expected none"):
        model.fit(some_ids(4), verbose=0)


def test_adopt_another_encoder_is_refused():
    model = TextClassifier.bag(SIZE, 5, num_classes=3)
    with pytest.raises(ValueError, match="pretrained"):
        model.adopt(DenoisingText.bag(SIZE, 6))
    with pytest.raises(ValueError, match="pretrained"):
        model.adopt(DenoisingText.bag(SIZE + 1, 5))


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"n": 0}, "n: expected"),
        ({"length": 0}, "length"),
        ({"temperature": -1.0}, "temperature"),
        ({"prompt": [99]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_sample_bad_argument_is_named(more, match):
    with pytest.raises(ValueError, match=match):
        LanguageModel.gru(SIZE, 4, 4).sample(**more)
