"""Checks of chapter 5, unsupervised pretraining."""

import contextlib
import functools

import keras
import numpy as np
from keras import ops

from utils import data
from utils.checks._feedback import (
    as_array,
    as_dict,
    as_names,
    as_parts,
    as_values,
    call,
    correct,
    kind,
    name_value,
    one_sentence,
    reached,
    slope,
    unchanged,
    wrong,
)
from utils.checks.chapter_05_text import (
    causal_attention,
    masked_mean,
    nats_per_token,
    who_sees_order,
)
from utils.evaluation.label_efficiency import draw_labelled, probe_draws
from utils.models.contrastive import nt_xent
from utils.nn import networks
from utils.nn.backend import weight_gradients


def _same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


# ---------------------------------------------------------------- 5.1


@one_sentence
def check_5_1(answer):
    """Three values of NT-Xent for two images in the plane, τ = 1."""
    numbers = as_array(answer, "Your answer")
    if numbers.shape != (3,):
        wrong(
            "Give a list of three numbers: the loss of the square, of equal "
            f"projections, and the smallest; received shape {numbers.shape}."
        )
    square = np.log(np.e + 2) - 1
    equal = np.log(3)
    least = np.log(np.e + 2 / np.e) - 1
    parts = ("(a), the right angle", "(b), all equal", "(c), the smallest")
    for given, right, part in zip(
        numbers, (square, equal, least), parts, strict=True
    ):
        if np.isclose(given, right, atol=2e-3):
            continue
        if np.isclose(given, -right, atol=2e-3):
            wrong(f"{part}: the sign. A loss −log p is never negative.")
        if np.isclose(given, right / np.log(2), atol=2e-3):
            wrong(f"{part}: that is in bits. Logarithms are natural here.")
        if given in (0.0, 1.0) and part.startswith("(c)"):
            wrong(
                "(c): 0 is out of reach. The partner has cosine 1 at best and "
                "the two others −1 at worst, so its probability stays below "
                "one."
            )
        named = {
            "(a), the right angle": [
                (
                    np.log(2 * np.e + 2) - 1,
                    "(a): you counted the view itself among its candidates. "
                    "The sum of (3) leaves m = i out.",
                ),
                (
                    np.log(np.e + 1) - 1,
                    "(a): you compared with one view of the other image; both "
                    "of its views are candidates.",
                ),
            ],
            "(b), all equal": [
                (
                    np.log(4),
                    "(b): log 4 counts the view itself. It has 2n − 1 = 3 "
                    "candidates.",
                ),
                (np.log(2), "(b): there are three candidates, not two."),
            ],
            "(c), the smallest": [
                (
                    square,
                    "(c): the right angle is not the best: cosines go down to "
                    "−1.",
                )
            ],
        }
        name_value(given, named[part])
        wrong(
            f"{part}: not {given:g}. Write down the three cosines of one view "
            "with the others, divide by τ = 1, and take −log of the softmax."
        )
    correct(
        "5.1",
        "Try the same three with τ = 0.1: which one hardly changes?",
    )


# ---------------------------------------------------------------- 5.2


def _softmax_nll(scores, target):
    top = scores.max(axis=1, keepdims=True)
    total = np.log(np.exp(scores - top).sum(axis=1)) + top[:, 0]
    return total - scores[np.arange(len(scores)), target]


def _wrong_losses(first, second, temperature):
    """What known mistakes give, each as one number a pair."""
    n = len(first)
    both = np.concatenate([first, second])
    both = both / np.linalg.norm(both, axis=1, keepdims=True)
    unit = both[:n], both[n:]
    raw = np.concatenate([first, second])
    partner = np.concatenate([np.arange(n) + n, np.arange(n)])
    masked = -1e9 * np.eye(2 * n)

    def pairs(values):
        return 0.5 * (values[:n] + values[n:])

    full = both @ both.T
    right = _softmax_nll(full / temperature + masked, partner)
    without = full / temperature + masked
    without[np.arange(2 * n), partner] = -1e9
    top = without.max(axis=1)
    rest = np.log(np.exp(without - top[:, None]).sum(axis=1)) + top
    found = full[np.arange(2 * n), partner] / temperature
    empty = full / temperature * (1 - np.eye(2 * n))
    across = _softmax_nll(unit[0] @ unit[1].T / temperature, np.arange(n))
    return {
        "self": pairs(_softmax_nll(full / temperature, partner)),
        "length": pairs(
            _softmax_nll(raw @ raw.T / temperature + masked, partner)
        ),
        "times": pairs(_softmax_nll(full * temperature + masked, partner)),
        "across": across,
        "one way": right[:n],
        "sign": -pairs(right),
        "both ways": 2 * pairs(right),
        "bits": pairs(right) / np.log(2),
        "one": pairs(_softmax_nll(full + masked, partner)),
        "partner": pairs(rest - found),
        "zero": pairs(_softmax_nll(empty, partner)),
    }


_NT_XENT_FEEDBACK = {
    "self": "Each view also competes with itself, at cosine 1. Leave m = i "
    "out: subtract a large number on the diagonal before the softmax.",
    "length": "You compare dot products. Divide each row by its length first, "
    "or long projections win.",
    "times": "Divide by the temperature: a small one makes the softmax sharp.",
    "across": "The candidates of a first view are the second views alone here. "
    "Equation (3) sums over all 2n − 1 other views, the other first "
    "views among them.",
    "one way": "Only first views look for their partner here. Second views do "
    "so as well; a pair's loss is the mean of both.",
    "sign": "The sign: the loss is −log of a probability.",
    "both ways": "That is the sum of a pair's two directions: return their "
    "mean.",
    "bits": "That is in bits. The loss is in nats: natural logarithms.",
    "one": "The temperature is not used: divide the cosines by it.",
    "partner": "The partner is missing from the sum below: only m = i is left "
    "out of it.",
    "zero": "A score of 0 is a candidate like any other, since exp(0) = 1. "
    "Put a large negative number on the diagonal.",
}


@one_sentence
def check_5_2(answer):
    """NT-Xent of each pair, differentiable."""
    rng = np.random.default_rng(3)
    for n, width, temperature in ((5, 3, 0.5), (4, 4, 0.2), (3, 4, 0.01)):
        first, second = rng.normal(size=(2, n, width)).astype("float32")
        if temperature == 0.01:  # and partners that differ: exp(200)
            second = -first
        pair = map(ops.convert_to_tensor, (first, second))
        given = call(answer, *pair, temperature)
        value = as_values(given, "Your loss", finite=temperature > 0.01)
        if not np.isfinite(value).all():
            wrong(
                "At τ = 0.01 your loss is not finite: exp(100) overflows. Use "
                "`ops.logsumexp` or `ops.log_softmax`, which subtract the "
                "largest score first."
            )
        right = ops.convert_to_numpy(nt_xent(first, second, temperature))
        if value.shape == () and np.isclose(value, right.mean(), rtol=1e-3):
            wrong("That is the mean. Return one value a pair, shape (n,).")
        if value.shape == (2 * n,):
            wrong(
                "One value a view. Return one a pair, the mean of its two "
                "directions, shape (n,)."
            )
        if value.shape != (n,):
            wrong(f"The loss should have shape ({n},), not {value.shape}.")
        reached("shape")
        if not np.allclose(value, right, rtol=1e-3, atol=1e-4):
            mistakes = _wrong_losses(first, second, temperature)
            name_value(
                value,
                [(v, _NT_XENT_FEEDBACK[name]) for name, v in mistakes.items()],
            )
            wrong(
                f"For {n} pairs the first value should be {right[0]:.4f}, not "
                f"{value[0]:.4f}. Compare, for your own two or three pairs, "
                "with the softmax of one view's cosines, written out by hand."
            )
    first, second = rng.normal(size=(2, 4, 4)).astype("float32")
    a, b = map(ops.convert_to_tensor, (first, second))
    reached("values")
    for which, function, right, z in (
        (
            "first",
            lambda z: call(answer, z, b, 0.2),
            lambda z: nt_xent(z, b, 0.2),
            first,
        ),
        (
            "second",
            lambda z: call(answer, a, z, 0.2),
            lambda z: nt_xent(a, z, 0.2),
            second,
        ),
    ):
        gradient = slope(function, z)
        if not np.any(gradient):
            wrong(
                f"Your loss has no gradient by the {which} views: stay inside "
                "`keras.ops`, and stop no gradient. Both views learn."
            )
        if not np.allclose(gradient, slope(right, z), rtol=1e-2, atol=1e-4):
            wrong(
                f"The value is right, its gradient by the {which} views is "
                "not: a part of the loss is cut off by `stop_gradient`."
            )
    correct("5.2", "What does the gradient do to two negatives that coincide?")


# ---------------------------------------------------------------- 5.5


@one_sentence
def check_5_5(answer):
    """Row numbers of a balanced labelled subset."""
    # classes of unequal size, and one of the four numbers left out
    y = np.repeat((0, 1, 2, 4), (24, 40, 30, 36))
    y = np.random.default_rng(0).permutation(y)
    before = y.copy()

    def drawn(seed):
        given = call(answer, y, 6, seed)
        if isinstance(given, (set, frozenset)):
            given = sorted(given)
        if "float" in str(getattr(given, "dtype", "")):
            wrong("Return integer row numbers: a float is no place in a list.")
        given = as_values(given, "The row numbers")
        if given.ndim != 1:
            wrong(f"Return a vector of row numbers, not {given.shape}.")
        return given

    rows = drawn(0)
    if rows.shape == y.shape and np.isin(rows, (0, 1)).all():
        wrong("That is a mask. Return row numbers, `np.flatnonzero(mask)`.")
    if rows.ndim != 1 or (rows % 1).any():
        wrong("Return a vector of integer row numbers.")
    rows = rows.astype("int64")
    if not np.array_equal(y, before):
        wrong("Your function shuffled `y` itself: work on a copy.")
    if len(rows) != 24:
        wrong(f"Six rows of each of four classes are 24 rows, not {len(rows)}.")
    if np.isin(rows, y).all():
        wrong("These are labels. Return the *numbers of the rows*.")
    if rows.min() < 0 or rows.max() >= len(y):
        wrong(f"Row numbers run from 0 to {len(y) - 1}.")
    if len(set(rows.tolist())) < len(rows):
        wrong(
            "A row occurs twice: `rng.choice` draws with replacement unless "
            "told `replace=False`. Twice the same label is one label."
        )
    kinds = np.unique(y)
    counts = np.array([np.sum(y[rows] == c) for c in kinds])
    reached("shape")
    if (counts != 6).any():
        wrong(
            f"Classes {kinds.tolist()} occur {counts.tolist()} times: draw in "
            "each class, not from all rows together. (Classes may differ in "
            "size.)"
        )
    reached("values")
    if not np.array_equal(np.sort(drawn(0)), np.sort(rows)):
        wrong("The same seed gave other rows: make the generator from `seed`.")
    others = [np.sort(drawn(seed)) for seed in (1, 2)]
    if any(np.array_equal(other, np.sort(rows)) for other in others):
        wrong(
            "Another seed gave the same rows. The first rows of each class "
            "are not a random draw, and the spread over draws would be 0."
        )
    for c in kinds:
        place = np.flatnonzero(np.isin(np.flatnonzero(y == c), rows))
        if place[-1] - place[0] + 1 == len(place):
            wrong(
                "In a class you take neighbours, a block that begins at "
                "random. Files are often sorted, by writer or by day: draw "
                "each row by itself, `rng.choice(…, replace=False)`."
            )
        if len(set(np.diff(place))) == 1:
            wrong(
                f"In a class you take every {np.diff(place)[0]}th row: only "
                "the first is left to the seed. Draw each row by itself."
            )
    seen = np.concatenate([drawn(seed) for seed in range(40)]).astype("int64")
    never = [
        c for c in kinds if np.mean(np.isin(np.flatnonzero(y == c), seen)) < 0.9
    ]
    if never:
        wrong(
            f"In forty draws many rows of class {never[0]} never came: draw "
            "from all rows of a class."
        )
    correct("5.5", "Why draw in each class? Try two labels a class without it.")


# ---------------------------------------------------------------- 5.6


@contextlib.contextmanager
def _compile_watched():
    """What was trainable when models were compiled: id → ids of weights."""
    compiled, original = {}, keras.Model.compile

    def compile_and_note(self, *args, **kwargs):
        compiled[id(self)] = {id(v) for v in self.trainable_variables}
        return original(self, *args, **kwargs)

    keras.Model.compile = compile_and_note
    try:
        yield compiled
    finally:
        keras.Model.compile = original


@one_sentence
def check_5_6(answer):
    """A compiled classifier, ready for the frozen stage."""
    rng = np.random.default_rng(0)
    encoder = networks.dense_encoder((12,), 6, (9,), seed=3)
    # not where a clone would start, whose seed is the same
    encoder.set_weights(
        [w + 0.1 * rng.normal(size=w.shape) for w in encoder.get_weights()]
    )
    before = encoder.get_weights()
    x = rng.normal(size=(40, 12)).astype("float32")
    y = rng.integers(0, 4, 40)
    flags = [layer.trainable for layer in (encoder, *encoder.layers)]
    with _compile_watched() as compiled:
        model = call(answer, encoder, 4)
    if not isinstance(model, keras.Model):
        wrong(f"Return the compiled `keras.Model`; received {kind(model)}.")
    scores = as_values(call(model, x), "The class scores")
    if model is encoder or scores.shape != (40, 4):
        wrong(
            f"The classifier should map 40 rows to (40, 4), one score a "
            f"class, not {scores.shape}: the code is not the class scores."
        )
    reached("shape")
    if getattr(model, "optimizer", None) is None:
        wrong("The model is not compiled.")
    values = [ops.convert_to_numpy(w).copy() for w in model.weights]
    places = [
        [i for i, new in enumerate(values) if np.array_equal(old, new)]
        for old in before
    ]
    if not all(places):
        wrong(
            "The encoder's weights are not the pretrained ones: a clone starts "
            "afresh until `set_weights(encoder.get_weights())`."
        )
    inside = {i for found in places for i in found}
    _scores_and_loss(model, x, y, scores)
    try:
        model.fit(x, y, batch_size=8, epochs=1, verbose=0)
    except Exception as error:
        wrong(
            f"fit(x, integer labels) stopped with {type(error).__name__}: "
            f"{error}. Integer labels go with SparseCategoricalCrossentropy."
        )
    after = [ops.convert_to_numpy(w) for w in model.weights]
    still = [np.array_equal(*pair) for pair in zip(values, after, strict=True)]
    if not _same(encoder.get_weights(), before):
        wrong(
            "One epoch changed the *original* encoder, and it is not frozen. "
            "Freeze before compiling; and classify on a copy, so that the "
            "pretrained weights survive the second stage."
        )
    if not all(still[i] for i in inside):
        wrong(
            "The encoder moved in the first stage: freeze it first, then "
            "compile."
        )
    if all(still):
        wrong("The head did not move either: freeze the encoder alone.")
    if any(a is b for a in encoder.weights for b in model.weights):
        wrong(
            "The classifier shares its weights with the encoder. Frozen, all "
            "is well; in the second stage your pretrained encoder would be "
            "gone. Clone it and copy the weights."
        )
    if flags != [layer.trainable for layer in (encoder, *encoder.layers)]:
        wrong(
            "You froze the encoder you were given, and it stays frozen for "
            "whoever uses it next. Freeze the copy."
        )
    of_encoder = {id(model.weights[i]) for i in inside}
    if compiled.get(id(model), set()) & of_encoder:
        wrong(
            "You compiled first and froze afterwards. That works only until "
            "the first `fit`: a step that has been made keeps training the "
            "encoder, whatever its flag says. Freeze, then compile."
        )
    correct("5.6", "Now unfreeze and compile again at a tenth of the rate.")


def _bounded(model, x):
    """Whether no input, however large, gets a score beyond −1 and 1."""
    far = as_values(call(model, 1e4 * x), "The class scores", finite=False)
    return np.abs(far).max() <= 1


def _scores_and_loss(model, x, y, scores):
    """Refuse outputs and a loss that do not belong together."""
    shares = (
        np.allclose(scores.sum(axis=1), 1, atol=1e-3) and (scores >= 0).all()
    )
    if np.abs(scores).max() <= 1 and not shares and _bounded(model, x):
        wrong(
            "Scores stay between −1 and 1, as after a tanh. A score has to be "
            "free to grow: a linear layer, or a softmax."
        )
    if (scores >= 0).all() and not shares:
        wrong(
            "All scores are positive, as after a ReLU or a sigmoid. A score "
            "has to be free to fall: a linear layer, or a softmax."
        )
    try:
        loss = model.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    except Exception:
        return  # fit says what is wrong
    rows = np.arange(len(y))
    of_logits = _softmax_nll(scores, y).mean()
    if shares:
        config = getattr(model.loss, "get_config", dict)()
        double = np.isclose(loss, of_logits, rtol=1e-3) and np.ptp(scores) > 0.2
        if config.get("from_logits") or double:
            wrong(
                "A softmax twice: your outputs are probabilities, and the "
                "loss has from_logits=True, which applies another. (Where "
                "Keras notices it takes the first one back.) Leave out one."
            )
        return
    clipped = np.clip(scores, 1e-7, None)
    clipped = np.clip(clipped / clipped.sum(1, keepdims=True), 1e-7, 1 - 1e-7)
    taken = -np.log(clipped[rows, y]).mean()
    direct = -np.log(np.clip(scores[rows, y], 1e-7, 1 - 1e-7)).mean()
    total = scores.sum(axis=1, keepdims=True)
    total = np.where(np.abs(total) > 1e-12, total, 1e-12)
    shared = np.clip(scores / total, 1e-7, 1 - 1e-7)  # JAX and PyTorch
    shared = -np.log(shared[rows, y]).mean()
    named = [
        value
        for value in (taken, direct, shared)
        if abs(value - of_logits) > 0.05
    ]
    if not np.isclose(loss, of_logits, rtol=1e-3) and any(
        np.isclose(loss, value, rtol=0.05) for value in named
    ):
        wrong(
            "Linear scores are no probabilities: tell the loss, "
            "SparseCategoricalCrossentropy(from_logits=True), or end in a "
            "softmax."
        )


# ---------------------------------------------------------------- 5.3


@one_sentence
def check_5_3(answer):
    """Hide an exact share of patches of every image."""
    rng = np.random.default_rng(1)
    x = rng.uniform(0.1, 1.0, (40, 8, 12, 2))
    given = x.copy()
    result = call(answer, given, 2, 0.25, np.random.default_rng(5))
    seen, hidden = as_parts(result, "seen", "hidden")
    if not np.array_equal(given, x):
        wrong(
            "Your function wrote into x, the caller's images: work on a copy, "
            "or multiply."
        )
    seen = as_array(seen, "seen", x.shape)
    hidden = as_array(hidden, "hidden")
    if hidden.shape != (40, 8, 12, 1):
        wrong(
            f"`hidden` should have shape (40, 8, 12, 1), not {hidden.shape}: "
            "one value a pixel, for all channels."
        )
    reached("shape")
    if not np.isin(hidden, (0.0, 1.0)).all():
        wrong("`hidden` holds zeros and ones.")
    shares = hidden.mean(axis=(1, 2, 3))
    if np.allclose(shares, 0.75):
        wrong("You hid three quarters: 1 marks *hidden* pixels, a quarter.")
    if not np.allclose(shares, 0.25):
        if abs(shares.mean() - 0.25) < 0.05:
            wrong(
                f"Rows hide from {shares.min():.2f} to {shares.max():.2f} of "
                "their pixels: tossing a coin for each patch is right on "
                "average only. Choose exactly a quarter, without replacement."
            )
        wrong(f"A quarter should be hidden, not {shares.mean():.2f}.")
    blocks = hidden.reshape(40, 4, 2, 6, 2)
    if not (blocks == blocks[:, :, :1, :, :1]).all():
        wrong(
            "Single pixels are hidden, not patches of 2 × 2: neighbours give "
            "a pixel away."
        )
    different = len({row.tobytes() for row in hidden})
    if different == 1:
        wrong("All images hide the same patches: draw for each image.")
    if different < 35:
        wrong(
            f"Forty images share {different} arrangements; there are 134596. "
            "Draw the patches one by one, for each image."
        )
    if not np.allclose(seen, x * (1 - hidden)):
        if np.allclose(seen, x * hidden):
            wrong("`seen` shows what is hidden, and hides the rest.")
        wrong("`seen` is x with hidden pixels 0 and all others as they were.")

    reached("values")

    def hidden_by(seed, ratio=0.25, patch=2):
        rng = np.random.default_rng(seed)
        result = call(answer, x.copy(), patch, ratio, rng)
        hidden = as_parts(result, "seen", "hidden")[1]
        return as_array(hidden, "hidden", (40, 8, 12, 1))

    if not np.array_equal(hidden_by(5), hidden):
        wrong(
            "The same generator gave other patches: draw from `rng`, from "
            "nothing else."
        )
    if np.array_equal(hidden_by(6), hidden):
        wrong("Another generator hid the same patches: draw from `rng`.")
    for ratio, exact, count in ((0.36, 8.64, 9), (0.35, 8.4, 8)):
        found = hidden_by(5, ratio).mean(axis=(1, 2, 3)) * 24
        if not np.allclose(found, count):
            wrong(
                f"{100 * ratio:.0f} % of 24 patches are {exact}, rounded "
                f"{count}, not {found.mean():.3g}: `int` cuts off, `ceil` "
                "adds, `round` rounds."
            )
    if not hidden.max(axis=0).all():
        wrong(
            "Some patch is hidden in none of forty images: draw from all of "
            "them, the first and the last too."
        )
    large = hidden_by(5, 0.5, patch=4)
    blocks = large.reshape(40, 2, 4, 3, 4)
    whole = (blocks == blocks[:, :, :1, :, :1]).all()
    if not whole or not np.allclose(large.mean(axis=(1, 2, 3)), 0.5):
        wrong(
            "With patches of 4 × 4, half of them to be hidden, others are: "
            "read the size from `patch`."
        )
    correct("5.3", "At which share does a person no longer see the digit?")


# ---------------------------------------------------------------- 5.7


def _codes(model, x, what):
    """Codes of images by an encoder or by a model that has one."""
    encoder = getattr(model, "encoder", model)
    if not callable(getattr(encoder, "predict", None)):
        wrong(f"{what} should be a trained encoder; received {kind(encoder)}.")
    codes = as_values(call(encoder.predict, x, verbose=0), f"Codes of {what}")
    if codes.ndim < 2 or len(codes) != len(x):
        wrong(f"{what} should give one code a row, not {codes.shape}.")
    return codes.reshape(len(x), -1)


_KINDS = {
    "noise": {"noise": 0.3},
    "shift": {"shift": 1.0},
    "warp": {"affine": 0.2, "elastic": 0.4},
}


def _one_kind_of_view(name, model):
    """Refuse a model that saw other views than its name says, or no steps."""
    views = getattr(model, "augmentation", None)
    if not hasattr(model, "encoder") or views is None:
        wrong(
            f"trio[{name!r}] should be the trained SimCLR model itself, so "
            f"that its views can be looked at; received {kind(model)}."
        )
    amounts = ("shift", "affine", "elastic", "noise", "color", "flip")
    used = {a for a in amounts if getattr(views, a, 0)}
    if hasattr(views, "shift") and used != set(_KINDS[name]):
        wrong(
            f"trio[{name!r}] has views by {', '.join(sorted(used)) or 'none'}"
            f", not by {' and '.join(sorted(_KINDS[name]))} alone."
        )
    for amount, asked in _KINDS[name].items():
        given = getattr(views, amount, asked)
        if not np.isclose(given, asked):
            wrong(
                f"trio[{name!r}] has {amount} {given:g}, not {asked:g}: the "
                "three should be as the exercise says, or stronger views win."
            )
    steps = getattr(getattr(model, "optimizer", None), "iterations", None)
    steps = 0 if steps is None else int(ops.convert_to_numpy(steps))
    if steps < 500:
        wrong(
            f"trio[{name!r}] was trained for {steps} steps. Train for at "
            "least 500 steps."
        )


@one_sentence
def check_5_7(encoders, best):
    """Which single kind of view is worth most."""
    names = ("noise", "shift", "warp")
    encoders = as_dict(encoders, "trio", names)
    best = as_names(best, "best", names)
    if len(best) != 1:
        wrong("`best` is one name: which single kind of view is worth most?")
    best = best.pop()
    digits = data.load("digits")
    train, val = (
        (getattr(digits, f"x_{part}"), getattr(digits, f"y_{part}"))
        for part in ("train", "val")
    )
    (drawn,) = draw_labelled(digits.y_train, (5,), draws=5, seed=7)
    found = {}
    for name, encoder in encoders.items():
        _one_kind_of_view(name, encoder)
        code = functools.partial(_codes, encoder, what=f"trio[{name!r}]")
        found[name] = probe_draws(code, train, drawn, val).mean()
    listed = ", ".join(f"{k} {100 * v:.1f} %" for k, v in found.items())
    if len({round(v, 6) for v in found.values()}) == 1:
        wrong(f"All three encoders are the same ({listed}): train three.")
    if max(found.values()) < 0.75:
        wrong(
            f"Linear probes give {listed}: below the pixels' 85 %. Train for "
            "at least 500 steps."
        )
    if found[best] < max(found.values()) - 0.01:
        wrong(f"Probed with five labels a class: {listed}. Not {best!r}.")
    correct("5.7", f"Linear probes: {listed}.")


# ---------------------------------------------------------------- 5.4


@keras.saving.register_keras_serializable(package="checks")
class _Drawing(keras.layers.Layer):
    """Views that are noise, and a record of what was asked and drawn."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.rng = np.random.default_rng(4)
        self.calls = []

    def call(self, inputs, training=False):
        if not training:
            self.calls.append((inputs, inputs, False))
            return inputs
        noise = self.rng.normal(size=tuple(inputs.shape)).astype("float32")
        views = inputs + 0.5 * noise
        self.calls.append((inputs, views, True))
        return views


@one_sentence
def check_5_4(answer):
    """The loss of one contrastive step."""
    rng = np.random.default_rng(2)
    x = rng.uniform(size=(6, 4, 4, 1)).astype("float32")
    kept = x.copy()
    encoder = networks.dense_encoder((4, 4, 1), 5, (7,), seed=1)
    projector = networks.dense_encoder((5,), 3, (4,), seed=2)
    for temperature in (0.5, 0.1):
        views = _Drawing()
        given = call(answer, x, views, encoder, projector, temperature)
        unchanged([x], [kept], "the images")
        value = as_values(given, "The loss of the step")
        first, second = _two_views_of(views.calls, x)

        def loss(network, first=first, second=second, tau=temperature):
            pair = (network(ops.convert_to_tensor(v)) for v in (first, second))
            return ops.convert_to_numpy(nt_xent(*pair, tau))

        right = loss(lambda v: projector(encoder(v)))
        if value.shape == (len(x),) and np.allclose(value, right, rtol=1e-3):
            wrong("One loss a pair. A step has one number: take the mean.")
        if value.shape != ():
            wrong(f"Return one number, a scalar, not shape {value.shape}.")
        reached("shape")
        name_value(
            value,
            [
                (right.sum(), "That is the sum over pairs: take the mean."),
                (-right.mean(), "The sign: the loss is −log of a probability."),
                (right.mean() / np.log(2), "That is in bits; take nats."),
                (
                    right.mean() / 2,
                    "That is half of it: a pair's loss is a mean over its two "
                    "views already.",
                ),
                (
                    loss(encoder).mean(),
                    "You compare codes. Equation (3) is about projections: "
                    "projector(encoder(view)).",
                ),
            ],
        )
        if not np.isclose(value, right.mean(), rtol=1e-3, atol=1e-4):
            wrong(
                f"For the views that were drawn the loss is {right.mean():.4f}"
                f", not {float(value):.4f}. Are both views encoded by the same "
                "networks, partners in the same rows, and the temperature used?"
            )
    reached("values")
    views = _Drawing()
    variables = [*encoder.trainable_variables, *projector.trainable_variables]
    try:
        gradients = weight_gradients(
            lambda: call(answer, x, views, encoder, projector, 0.5), variables
        )
    except Exception:
        wrong("The loss has no gradient: stay inside `keras.ops`.")
    first, second = _two_views_of(views.calls, x)
    wanted = weight_gradients(
        lambda: ops.mean(
            nt_xent(projector(encoder(first)), projector(encoder(second)), 0.5)
        ),
        variables,
    )
    for found, expected in zip(gradients, wanted, strict=True):
        found, expected = map(ops.convert_to_numpy, (found, expected))
        if not np.any(found):
            wrong(
                "Some weights get no gradient: call encoder and projector on "
                "both views, inside `keras.ops`, and stop nothing."
            )
        if not np.allclose(found, expected, rtol=1e-2, atol=1e-4):
            wrong(
                "The value is right and its gradient is not: something is "
                "cut off, as by `stop_gradient` on one of the two views."
            )
    correct("5.4", "Now add an optimizer: `fit` does nothing else.")


def _two_views_of(calls, x):
    """First and second view of each image, from what was drawn."""
    if not calls:
        wrong("`views` was never called: draw two views of every image.")
    if not all(training for _, _, training in calls):
        wrong(
            "`views` was called without `training=True`: it then returns the "
            "images as they are."
        )
    shown = {row.tobytes(): [] for row in x}
    for inputs, views, _ in calls:
        pair = (ops.convert_to_numpy(part) for part in (inputs, views))
        for image, view in zip(*pair, strict=True):
            if image.astype("float32").tobytes() not in shown:
                wrong("Draw views of the images themselves, not of views.")
            shown[image.astype("float32").tobytes()].append(view)
    counts = {len(views) for views in shown.values()}
    if counts == {1}:
        wrong(
            "One view of each image was drawn. Its partner is a *second* "
            "draw, not the image nor the same view again."
        )
    if counts != {2}:
        wrong(f"Draw two views of each image, not {sorted(counts)}.")
    return [np.stack([shown[row.tobytes()][i] for row in x]) for i in (0, 1)]


# ---------------------------------------------------------------- 5.8


@one_sentence
def check_5_8(my_label, encoder):
    """A binary question for which PCA codes beat the encoder's."""
    from sklearn.decomposition import PCA

    digits = data.load("digits")
    parts = {}
    for part in ("train", "val"):
        x = getattr(digits, f"x_{part}")
        given = as_values(call(my_label, x.copy()), "The labels")
        if given.shape != (len(x),):
            wrong(
                f"Return one label for each of the {len(x)} images, not an "
                f"array {given.shape}."
            )
        if not np.isin(given, (0, 1)).all():
            wrong("Labels are the integers 0 and 1.")
        if not 0.2 <= given.mean() <= 0.8:
            wrong(
                f"Ones make up {100 * given.mean():.0f} % of the rows: each "
                "answer should occur in at least a fifth."
            )
        parts[part] = x, given.astype("int64")
    again = as_values(call(my_label, x[7:96].copy()), "The labels")
    if not np.array_equal(again, given[7:96]):
        wrong(
            "The label of an image changes with the images around it, or by "
            "chance: it should be a property of the image. (A threshold taken "
            "from the rows at hand depends on them: write a fixed number.)"
        )
    x, y = parts["train"]
    order = np.argsort(x.sum(axis=(1, 2, 3)))
    ones = np.concatenate([[0], np.cumsum(y[order])])
    below = np.arange(len(y) + 1)  # rows with less ink than a threshold
    right = (below - ones + ones[-1] - ones) / len(y)
    if max(right.max(), 1 - right.min()) > 0.95:
        wrong(
            "That is the amount of ink, the question of section 5: ask about "
            "something else that the views vary."
        )
    pca = PCA(32, random_state=0).fit(digits.x_train.reshape(-1, 64))

    untrained = networks.conv_encoder((8, 8, 1), 64, (32, 64), seed=0)

    def features(code, x):
        if code == "PCA":
            return pca.transform(x.reshape(-1, 64))
        if code == "untrained":
            return ops.convert_to_numpy(untrained(x))
        return _codes(encoder, x, "`encoder`")

    (drawn,) = draw_labelled(parts["train"][1], (40,), draws=5, seed=3)
    score = {
        code: probe_draws(
            functools.partial(features, code),
            parts["train"],
            drawn,
            parts["val"],
        ).mean()
        for code in ("PCA", "encoder", "untrained")
    }
    of_random = score.pop("untrained")
    listed = ", ".join(f"{k} {100 * v:.1f} %" for k, v in score.items())
    if score["PCA"] < 0.6:
        wrong(
            f"Neither code answers it ({listed}). Ask something that the "
            "picture shows."
        )
    if score["PCA"] < score["encoder"] + 0.02:
        wrong(
            f"The encoder answers nearly as well or better: {listed}. Which "
            "properties were the views told to ignore?"
        )
    correct(
        "5.8",
        f"{listed}; a convolutional encoder without any training "
        f"{100 * of_random:.1f} %. Only what is lost beyond that can be the "
        "views' doing: which would you have to leave out?",
    )


# ------------------------------------------------- texts, 5.9 to 5.12


@one_sentence
def check_5_9(answer):
    """The mean of a row's real tokens."""
    masked_mean("5.9", answer)


@one_sentence
def check_5_10(answer):
    """Nats per real token of a language model."""
    nats_per_token("5.10", answer)


@one_sentence
def check_5_11(answer):
    """One head of causal attention."""
    causal_attention("5.11", answer)


@one_sentence
def check_5_12(answer):
    """Which readers of a text see the order of its words?"""
    who_sees_order("5.12", answer)
