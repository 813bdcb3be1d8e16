"""Checks of chapter 5, unsupervised pretraining."""

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
    slope,
    wrong,
)
from utils.checks.chapter_05_text import (
    causal_attention,
    masked_mean,
    nats_per_token,
    who_sees_order,
)
from utils.evaluation.label_efficiency import draw_labelled, linear_probe
from utils.models.contrastive import nt_xent
from utils.nn import networks


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
}


@one_sentence
def check_5_2(answer):
    """NT-Xent of each pair, differentiable."""
    rng = np.random.default_rng(3)
    for n, width, temperature in ((5, 3, 0.5), (4, 4, 0.2)):
        first, second = rng.normal(size=(2, n, width)).astype("float32")
        given = call(answer, first, second, temperature)
        value = as_values(given, "Your loss")
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
        if not np.allclose(value, right, rtol=1e-3, atol=1e-4):
            mistakes = _wrong_losses(first, second, temperature)
            name_value(
                value,
                [(v, _NT_XENT_FEEDBACK[name]) for name, v in mistakes.items()],
            )
            wrong(
                f"For {n} pairs the first value should be {right[0]:.4f}, not "
                f"{value[0]:.4f}. Compare with the four vectors of section 6."
            )
    gradient = slope(
        lambda z: call(answer, z, ops.convert_to_tensor(second), 0.2), first
    )
    if not np.any(gradient):
        wrong("Your loss has no gradient: stay inside `keras.ops`.")
    correct("5.2", "What does the gradient do to two negatives that coincide?")


# ---------------------------------------------------------------- 5.3


@one_sentence
def check_5_3(answer):
    """Row numbers of a balanced labelled subset."""
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(4), 30))
    before = y.copy()

    def drawn(seed):
        given = call(answer, y, 6, seed)
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
    if np.isin(rows, (0, 1, 2, 3)).all():
        wrong("These are labels. Return the *numbers of the rows*.")
    if rows.min() < 0 or rows.max() >= len(y):
        wrong(f"Row numbers run from 0 to {len(y) - 1}.")
    if len(set(rows.tolist())) < len(rows):
        wrong(
            "A row occurs twice: `rng.choice` draws with replacement unless "
            "told `replace=False`. Twice the same label is one label."
        )
    counts = np.bincount(y[rows], minlength=4)
    if (counts != 6).any():
        wrong(
            f"Classes occur {counts.tolist()} times: draw in each class, not "
            "from all rows together."
        )
    if not np.array_equal(np.sort(drawn(0)), np.sort(rows)):
        wrong("The same seed gave other rows: make the generator from `seed`.")
    others = [np.sort(drawn(seed)) for seed in (1, 2)]
    if any(np.array_equal(other, np.sort(rows)) for other in others):
        wrong(
            "Another seed gave the same rows. The first rows of each class "
            "are not a random draw, and the spread over draws would be 0."
        )
    correct("5.3", "Why draw in each class? Try two labels a class without it.")


# ---------------------------------------------------------------- 5.4


@one_sentence
def check_5_4(answer):
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
    model = call(answer, encoder, 4)
    if not isinstance(model, keras.Model):
        wrong(f"Return the compiled `keras.Model`; received {kind(model)}.")
    if not model.built:
        wrong("Your model is not built: begin it with `keras.Input`.")
    if model is encoder or tuple(model.output_shape) != (None, 4):
        wrong(
            f"The classifier should map to (None, 4), one score a class, not "
            f"{model.output_shape}: the code is not the class scores."
        )
    if getattr(model, "optimizer", None) is None:
        wrong("The model is not compiled.")
    own = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.Model) and layer.weights
    ] or [model]
    found = {id(w) for layer in own for w in layer.weights}
    values = [w for layer in own for w in layer.get_weights()]
    if not all(
        any(np.array_equal(old, new) for new in values) for old in before
    ):
        wrong(
            "The encoder's weights are not the pretrained ones: a clone starts "
            "afresh until `set_weights(encoder.get_weights())`."
        )
    head = [w for w in model.weights if id(w) not in found]
    head_before = [ops.convert_to_numpy(w).copy() for w in head]
    try:
        model.fit(x, y, batch_size=8, epochs=1, verbose=0)
    except Exception as error:
        wrong(
            f"fit(x, integer labels) stopped with {type(error).__name__}: "
            f"{error}. Integer labels go with SparseCategoricalCrossentropy."
        )
    if not _same(encoder.get_weights(), before):
        wrong(
            "One epoch changed the *original* encoder, and it is not frozen. "
            "Freeze before compiling; and classify on a copy, so that the "
            "pretrained weights survive the second stage."
        )
    after = [w for layer in own for w in layer.get_weights()]
    if not _same(after, values):
        wrong(
            "The encoder moved in the first stage. `trainable = False` counts "
            "when the model is compiled: freeze first, then compile."
        )
    if head and _same([ops.convert_to_numpy(w) for w in head], head_before):
        wrong("The head did not move either: freeze the encoder alone.")
    if any(a is b for a in encoder.weights for b in model.weights):
        wrong(
            "The classifier shares its weights with the encoder. Frozen, all "
            "is well; in the second stage your pretrained encoder would be "
            "gone. Clone it and copy the weights."
        )
    correct("5.4", "Now unfreeze and compile again at a tenth of the rate.")


# ---------------------------------------------------------------- 5.5


@one_sentence
def check_5_5(answer):
    """Hide an exact share of patches of every image."""
    rng = np.random.default_rng(1)
    x = rng.uniform(0.1, 1.0, (40, 8, 12, 2))
    result = call(answer, x.copy(), 2, 0.25, np.random.default_rng(5))
    seen, hidden = as_parts(result, "seen", "hidden")
    seen = as_array(seen, "seen", x.shape)
    hidden = as_array(hidden, "hidden")
    if hidden.shape != (40, 8, 12, 1):
        wrong(
            f"`hidden` should have shape (40, 8, 12, 1), not {hidden.shape}: "
            "one value a pixel, for all channels."
        )
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
    if len({row.tobytes() for row in hidden}) < 20:
        wrong("All images hide the same patches: draw for each image.")
    if not np.allclose(seen, x * (1 - hidden)):
        if np.allclose(seen, x * hidden):
            wrong("`seen` shows what is hidden, and hides the rest.")
        wrong("`seen` is x with hidden pixels 0 and all others as they were.")
    correct("5.5", "At which share does a person no longer see the digit?")


# ---------------------------------------------------------------- 5.6


def _codes(model, x, what):
    """Codes of images by an encoder or by a model that has one."""
    encoder = getattr(model, "encoder", model)
    if not callable(getattr(encoder, "predict", None)):
        wrong(f"{what} should be a trained encoder; received {kind(encoder)}.")
    codes = as_values(call(encoder.predict, x, verbose=0), f"Codes of {what}")
    if codes.ndim < 2 or len(codes) != len(x):
        wrong(f"{what} should give one code a row, not {codes.shape}.")
    return codes.reshape(len(x), -1)


@one_sentence
def check_5_6(encoders, best):
    """Which single kind of view is worth most."""
    names = ("noise", "shift", "warp")
    encoders = as_dict(encoders, "encoders", names)
    best = as_names(best, "best", names)
    if len(best) != 1:
        wrong("`best` is one name: which single kind of view is worth most?")
    best = best.pop()
    digits = data.load("digits")
    rows = draw_labelled(digits.y_train, (5,), draws=5, seed=7)[0]
    found = {}
    for name, encoder in encoders.items():
        z, z_val = (
            _codes(encoder, x, f"encoders[{name!r}]")
            for x in (digits.x_train, digits.x_val)
        )
        found[name] = np.mean(
            [
                linear_probe(z[r], digits.y_train[r], z_val, digits.y_val)
                for r in rows
            ]
        )
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
    correct("5.6", f"Linear probes: {listed}.")


# ------------------------------------------------------- 5.7 and 5.8


@one_sentence
def check_5_7(answer):
    """The mean of a row's real tokens."""
    masked_mean("5.7", answer)


@one_sentence
def check_5_8(answer):
    """Nats per real token of a language model."""
    nats_per_token("5.8", answer)


# ---------------------------------------------------------------- 5.9


def _what_views_hide(my_label, encoder):
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
    pca = PCA(32, random_state=0).fit(digits.x_train.reshape(-1, 64))

    def features(code, x):
        if code == "PCA":
            return pca.transform(x.reshape(-1, 64))
        return _codes(encoder, x, "`encoder`")

    score = {}
    for code in ("PCA", "encoder"):
        x, y = parts["train"]
        z, z_val = features(code, x), features(code, parts["val"][0])
        rows = draw_labelled(y, (40,), draws=5, seed=3)[0]
        score[code] = np.mean(
            [linear_probe(z[r], y[r], z_val, parts["val"][1]) for r in rows]
        )
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
    correct("5.9", f"{listed}. Which augmentation would you have to leave out?")


# ------------------------------------------------- texts, 5.9 to 5.12


@one_sentence
def check_5_9(answer, encoder=...):
    """The mean of a row's real tokens."""
    if encoder is not ...:  # the last exercise on images has this number, too
        return _what_views_hide(answer, encoder)
    return masked_mean("5.9", answer)


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
