"""Checks of chapter 2, autoencoders: sittings 2a, 2b and 2c."""

import re

import keras
import numpy as np
from keras import ops

from utils import data, metrics
from utils.checks._feedback import (
    CheckFailed,
    as_array,
    as_number,
    as_values,
    call,
    correct,
    name_value,
    nearest,
    one_sentence,
    reached,
    slope,
    wrong,
)
from utils.models import Autoencoder

# ---------------------------------------------------------------- 2a


def _both(answer, what):
    """Encoder and decoder of a pair, a dict or a model that holds them."""
    if isinstance(answer, dict):
        answer = answer.get("encoder"), answer.get("decoder")
    elif hasattr(answer, "encoder") and hasattr(answer, "decoder"):
        answer = answer.encoder, answer.decoder
    pair = isinstance(answer, (tuple, list)) and len(answer) == 2
    if not pair or not all(map(callable, answer)):
        wrong(f"{what}: two networks, (encoder, decoder).")
    return answer


def _run(network, x, what):
    """What a network makes of rows: a float64 array, or feedback."""
    return as_values(call(network, x), what)


def _bends(network, size, what):
    """Reject a map that is affine: f(a) + f(b) = f(a + b) + f(0)."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((2, 8, *size))
    for scale in (3, 300):  # small weights bend a tanh at large inputs only
        a, b = (scale * rows).astype("float32")
        values = [_run(network, x, what) for x in (a, b, a + b, 0 * a)]
        gap = np.abs(values[0] + values[1] - values[2] - values[3]).max()
        if gap >= 1e-3 * max(np.abs(value).max() for value in values):
            return
    wrong(
        f"{what} is linear: without an activation between them, layers "
        "in a row are one matrix, and the best they can do is PCA. Give "
        'it a hidden layer with activation="relu".'
    )


def _bends_before_its_end(decoder, width):
    """Reject a decoder that bends its output alone, s(W z + b).

    Each pixel of such a one moves with z along one direction and is constant
    along all that are orthogonal to it, whatever the function s.
    """
    what = "The decoder's output"

    def run(codes):
        codes = codes.astype("float32")
        return _run(decoder, codes, what).reshape(len(codes), -1)

    step = 0.05 * np.eye(width)
    slopes = (run(step) - run(-step)).T  # a row for each pixel
    lengths = np.linalg.norm(slopes, axis=1, keepdims=True)
    moves = lengths[:, 0] > 1e-4
    along = slopes[moves] / lengths[moves]
    across = np.random.default_rng(2).standard_normal(along.shape)
    across -= np.sum(across * along, axis=1, keepdims=True) * along
    origin = run(np.zeros((1, width)))

    def change(codes):
        return np.abs(np.diag((run(codes) - origin)[:, moves])).max(initial=0)

    if not moves.any() or any(
        change(far * across) > 0.03 * change(far * along) for far in (30, 300)
    ):
        return
    wrong(
        "The decoder has no hidden layer: only its output is bent, by its last "
        "activation, and each pixel depends on one weighted sum of the code. "
        'Put a layer with activation="relu" between code and output.'
    )


def _is_linear_at_its_end(encoder, images):
    """Whether codes are affine in some weights; None if there are no weights.

    Those of the last layer are, whatever comes before them, unless an
    activation follows.
    """
    rng, known = np.random.default_rng(3), None
    for weights in reversed(list(getattr(encoder, "trainable_weights", ()))):
        start = ops.convert_to_numpy(weights.value).astype("float64")
        move = rng.standard_normal(start.shape)
        known = False
        try:
            codes = []
            for factor in (0, 5, -5, 20, -20):
                weights.assign((start + factor * move).astype("float32"))
                codes.append(_run(encoder, images, "The code"))
        finally:
            weights.assign(start.astype("float32"))
        size = np.abs(codes[1] - codes[0]).max()
        gaps = [
            np.abs(up + down - 2 * codes[0]).max()
            for up, down in (codes[1:3], codes[3:])
        ]
        moved = codes[1] != codes[0]  # all of a row, unlike with a PReLU
        whole = np.array_equal(moved.any(axis=1), moved.all(axis=1))
        if size > 0 and whole and max(gaps) < 1e-3 * size:
            return True
    return known


@one_sentence
def check_2_1(answer):
    """Two networks whose shapes meet, bent inside, with a linear code."""
    rng = np.random.default_rng(0)
    images = rng.random((40, 8, 8, 1)).astype("float32")
    for width in (5, 9):
        pair = _both(call(answer, width), "Return the two of them")
        encoder, decoder = pair
        codes = _run(encoder, images, "The code")
        if codes.shape != (40, width):
            hint = (
                "Is `latent_dim` used?"
                if codes.shape == (40, 5)
                else "Did you forget to `Flatten`, or pass them the wrong way?"
            )
            wrong(
                f"For latent_dim = {width}, 40 images should become codes "
                f"{(40, width)}, not {codes.shape}. {hint}"
            )
        rebuilt = _run(decoder, codes.astype("float32"), "The decoder's output")
        if rebuilt.shape != images.shape:
            wrong(
                f"The decoder should return images {images.shape}, not "
                f"{rebuilt.shape}: subtracted from images, another shape is "
                "refused or broadcast. End with `Reshape((8, 8, 1))`."
            )
    weights = [{id(w) for w in getattr(part, "weights", ())} for part in pair]
    reached("shape")
    if weights[0] & weights[1]:
        wrong(
            "The two share weights. The decoder is a network of its own: "
            "build its layers anew."
        )
    _bends(encoder, (8, 8, 1), "The encoder")
    _bends(decoder, (width,), "The decoder")
    _bends_before_its_end(decoder, width)
    _has_linear_codes(encoder, images, codes)
    others = 30 * rng.standard_normal(codes.shape).astype("float32")
    others = _run(decoder, others, "The decoder's output")
    if np.allclose(others, others[:1], atol=1e-6):
        wrong("The decoder returns the same image whatever the code.")
    correct(
        "2.1",
        "Train it by `fit(x, x)`, or hand it to `Autoencoder(encoder, "
        "decoder)`. Then one with `Conv2D` and `Conv2DTranspose`?",
    )


def _has_linear_codes(encoder, images, codes):
    """Reject codes that an activation bends."""
    linear = _is_linear_at_its_end(encoder, images)
    if linear:
        return
    far = _run(encoder, 1000 * (images - 0.5), "The code")
    if codes.min() >= 0 and far.min() >= 0:
        wrong(
            "Your codes are never negative: an activation on the code closes "
            "half of its space. Leave the last layer of the encoder linear."
        )
    if far.min() > -2 and far.max() > 20:  # ELU, GELU, SiLU and others
        wrong(
            "Your codes grow without limit upwards and not downwards: there "
            "is an activation on the code. Leave the last layer of the "
            "encoder linear."
        )
    size = np.abs(far)  # a tanh of small weights in a hidden layer is free
    if size.max() <= 1.001 and np.mean(size > 0.99) > 0.5:
        wrong(
            "Your codes stay within −1 and 1: there is an activation on the "
            "code. Leave the last layer of the encoder linear."
        )
    if linear is False:
        wrong(
            "Your codes are not linear in the weights of any layer: there is "
            "an activation on the code, such as leaky_relu or log_softmax. "
            "Leave the last layer of the encoder linear."
        )


@one_sentence
def check_2_2(answer):
    """Codes, not reconstructions."""
    x = np.random.default_rng(0).standard_normal((20, 6)).astype("float32")
    model = Autoencoder.dense((6,), latent_dim=3, widths=(4,), seed=0)
    result = call(answer, model, x)
    if isinstance(result, dict):
        wrong(
            "You returned the whole dictionary of `predict`. It names two "
            "products; pick the one that is the reduced form."
        )
    result = as_values(result, "The reduced data")
    if result.shape == x.shape:
        wrong(
            "Your rows are as wide as the input: that is the reconstruction. "
            "Nothing has been reduced. The reduced form is the code."
        )
    if result.shape != (20, 3):
        wrong(
            f"The reduced data should have shape (20, 3), one row each, not "
            f"{result.shape}."
        )
    reached("shape")
    if not np.allclose(result, model.encode(x), atol=1e-4):
        wrong("The shape is right, but these are not the model's codes of x.")
    correct("2.2", "Try k-means on codes and on pixels of the digits.")


@one_sentence
def check_2_3(answer):
    """Sum over the event, mean over the batch, no broadcasting."""
    rng = np.random.default_rng(0)
    x = rng.random((6, 4, 4, 1)).astype("float32")
    x_hat = rng.random((6, 4, 4, 1)).astype("float32")
    right = float(((x - x_hat) ** 2).sum() / 6)
    result = call(answer, x, x_hat)
    result = as_values(result, "The loss")
    if result.size != 1:
        wrong(
            f"The loss of a batch is one number; yours has shape "
            f"{result.shape}. Average over the batch at the end."
        )
    value = float(result.reshape(()))
    if not np.isclose(value, right, rtol=1e-4):
        named = {
            right / 16: "This is the mean over pixels: 16 times too small "
            "here, 784 times for MNIST. Sum over the entries of an example, "
            "then average over the batch.",
            right * 6: "You summed over the batch too: the value depends on "
            "the batch size. Average over the batch.",
            float(((x - x_hat) ** 2).sum((1, 2, 3)).mean() ** 0.5): "There is "
            "a square root too many: equation (1) has squared distances.",
            float(np.abs(x - x_hat).sum() / 6): "These are absolute, not "
            "squared, differences.",
            right / 2: "There is a factor ½ that equation (1) does not have.",
        }
        for mistaken, feedback in named.items():
            if np.isclose(value, mistaken, rtol=1e-4):
                wrong(feedback)
        wrong(
            f"On a test batch the loss should be {right:.4f}, not {value:.4f}."
        )
    reached("values")
    for shape in ((6, 5), (9, 3, 3, 2)):
        x_other, x_hat_other = rng.random((2, *shape)).astype("float32")
        right = float(((x_other - x_hat_other) ** 2).sum() / len(x_other))
        value = as_number(call(answer, x_other, x_hat_other), "The loss")
        if not np.isclose(value, right, rtol=1e-4):
            wrong(
                "Right for images (6, 4, 4, 1); for arrays of shape "
                f"{shape} the loss should be {right:.4f}, not {value:.4f}: "
                "are the axes, the number of entries or that of examples "
                "written into your function?"
            )
    for shape in ((1, 4, 4, 1), (6, 1, 1, 1), (6, 4, 4), (6, 4, 4, 3)):
        _refuses_shape(answer, x, np.resize(x_hat, shape))
    correct(
        "2.3",
        "Which of the two axes would you average if the loss had a second "
        "term?",
    )


def _refuses_shape(answer, x, x_hat):
    """Reject a loss that gives a number for arrays of two shapes."""
    try:
        answer(x, x_hat)
    except ValueError:
        return
    except Exception as error:
        wrong(
            "Arrays of different shape should raise a ValueError; yours "
            f"raises {type(error).__name__} for {x.shape} and {x_hat.shape}."
        )
    wrong(
        f"x of shape {x.shape} with x_hat of shape {x_hat.shape} gave a "
        "number: one was broadcast to the other. Compare the whole shapes, "
        "not only the lengths, and raise a ValueError."
    )


@one_sentence
def check_2_4(answer):
    """PCA error on test rows, fitted on training rows."""
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((6, 6)) * np.array([3, 2, 1, 0.5, 0.4, 0.3])
    x_train = 5.0 + rng.standard_normal((60, 6)) @ mix.T
    x_test = 5.0 + rng.standard_normal((25, 6)) @ mix.T

    def error(fit_on, center=True, k=2):
        mean = fit_on.mean(axis=0) if center else 0.0
        w = np.linalg.svd(fit_on - mean, full_matrices=False)[2][:k].T
        x_hat = mean + (x_test - mean) @ w @ w.T
        return float(np.mean((x_test - x_hat) ** 2))

    value = as_number(call(answer, x_train, x_test, 2), "The error")
    right = error(x_train)
    named = {
        error(x_test): "You fitted PCA on the test rows: the baseline has "
        "seen what it is tested on. Fit it on x_train.",
        error(np.concatenate([x_train, x_test])): "You fitted PCA on training "
        "and test rows together. Fit it on x_train alone.",
        error(x_train, center=False): "The mean is missing: subtract the "
        "training mean before projecting and add it afterwards.",
        right * 6: "You summed over the entries of a row; the error per "
        "entry is the mean over rows and entries.",
        right * 6 * 25: "You summed over everything; take the mean.",
        right**0.5: "This is the root of the mean squared error.",
    }
    if np.isclose(value, right, rtol=1e-4):
        reached("values")
        wider = as_number(call(answer, x_train, x_test, 4), "The error")
        if not np.isclose(wider, error(x_train, k=4), rtol=1e-4):
            wrong("Right for k = 2, wrong for k = 4: is k used everywhere?")
        correct("2.4", "How small can this error get, and at which k?")
        return
    for mistaken, feedback in named.items():
        if np.isclose(value, mistaken, rtol=1e-3):
            wrong(feedback)
    on_train = call(answer, x_train, x_train, 2)
    if np.isclose(value, as_number(on_train, "The error"), rtol=1e-6):
        wrong(
            "The error does not change with x_test: reconstruct the test rows."
        )
    wrong(f"On a test table the error should be {right:.4f}, not {value:.4f}.")


def _takes(function, what):
    """The shape of digits that a network takes."""
    tried = data.load("digits").x_test[:2]
    known = getattr(function, "event_shape", None)
    if known is None:
        known = (getattr(function, "input_shape", None) or (0,))[1:]
    told = ""
    for shape in ((8, 8, 1), (64,), (8, 8)):
        if tuple(known) == shape:
            return shape
    for shape in ((8, 8, 1), (64,), (8, 8)):
        try:
            function(tried.reshape(2, *shape))
            return shape
        except Exception as error:
            told = told or f"{type(error).__name__}: {error}"
    told = " ".join(re.sub(r"\x1b\[\d+m", "", told).split())[:200]
    wrong(
        f"The digits are 8 × 8; {what} takes neither images (8, 8, 1) nor rows "
        f"of 64: {told}"
    )


def _opened(answer):
    """Shape of the rows, reconstruct, and the code's width where it shows."""
    if all(hasattr(answer, verb) for verb in ("encode", "reconstruct")):
        shape = _takes(answer, "your model")
        probe = data.load("digits").x_test[:1].reshape(1, *shape)
        width = as_values(call(answer.encode, probe), "The code").size
        return shape, answer.reconstruct, width
    pair = isinstance(answer, (tuple, list, dict))
    if pair or (hasattr(answer, "encoder") and hasattr(answer, "decoder")):
        encoder, decoder = _both(answer, "Pass the trained model")
        shape = _takes(encoder, "your encoder")
        probe = data.load("digits").x_test[:1].reshape(1, *shape)
        codes = call(encoder, probe)
        width = as_values(codes, "The code").size
        if not isinstance(answer, keras.Model):
            return shape, lambda x: decoder(encoder(x)), width
    elif not callable(answer):
        wrong(
            "Pass the trained model itself, or the pair (encoder, decoder); "
            f"received {type(answer).__name__}."
        )
    else:
        shape, width = _takes(answer, "your model"), None
    return shape, answer, width


def _rebuilt(reconstruct, x):
    """What a model makes of digits, rows of 64, or feedback."""
    images = as_values(_image(call(reconstruct, x)), "The reconstruction")
    if images.size != x.size:
        wrong(
            f"{len(x)} digits of shape {x.shape[1:]} became an array "
            f"{images.shape}: return a reconstruction of each."
        )
    return images.reshape(len(x), 64)


MOST = 14  # directions counted, enough to see that they are more than 8


def _rank(answer, reconstruct, rows):
    """Along how many directions x̂ can move with x: at most the code's width.

    Counted by the gradient, or by differences where NumPy cuts it.
    """
    function = answer if isinstance(answer, keras.Model) else reconstruct
    rng, ranks = np.random.default_rng(0), []
    for row in rows:
        row = row[None].astype("float32")
        try:
            pulls = [
                slope(
                    lambda x, v=v: ops.reshape(_image(function(x)), (-1,)) * v,
                    row,
                    "Your model",
                ).ravel()
                for v in rng.standard_normal((MOST, 64)).astype("float32")
            ]
        except CheckFailed:
            return _rank_by_differences(reconstruct, rows)
        ranks.append(_independent(np.array(pulls, "float64"), 0.01))
    return max(ranks) or _rank_by_differences(reconstruct, rows)


def _independent(moves, share):
    """How many directions move at least a share as far as the first."""
    sizes = np.linalg.svd(moves, compute_uv=False)
    return int(np.sum(sizes > share * max(sizes[0], 1e-6)))


def _rank_by_differences(reconstruct, rows):
    """As ``_rank``, from the outside; the best of several steps.

    A long step crosses the kinks of a ReLU, a short one drowns in rounding:
    either adds directions, some 5% as long as the first.
    """
    ranks = []
    for step in (0.003, 0.01, 0.03, 0.1):
        moves = step * np.eye(64).reshape(64, *rows.shape[1:])
        found = []
        for row in rows:
            ends = np.concatenate([row + moves, row - moves])
            values = _rebuilt(reconstruct, ends.astype("float32"))
            found.append(_independent(values[:64] - values[64:], 0.08))
        ranks.append(min(max(found), MOST))
    return min((rank for rank in ranks if rank), default=0)


def _image(result):
    """The reconstruction, of a model that names its products too."""
    if isinstance(result, dict):
        if "reconstruction" not in result:
            wrong(
                "Your model returns a dictionary without the key "
                '"reconstruction".'
            )
        return result["reconstruction"]
    return result


@one_sentence
def check_2_5(answer):
    """A trained autoencoder with eight code units that beats PCA clearly."""
    digits = data.load("digits")
    flat = digits.flat()
    shape, reconstruct, width = _opened(answer)
    x_train = digits.x_train.reshape(-1, *shape)
    x_test = digits.x_test.reshape(-1, *shape)
    reconstruction = _rebuilt(reconstruct, x_test)
    shown = width
    if shown is None:
        width = _rank(answer, reconstruct, x_test[:3])
    if width > 8:
        least = "at least " if shown is None and width == MOST else ""
        wrong(
            f"Your code has {least}{width} units. A wider code makes any "
            "model better, PCA included: the comparison is at 8."
        )
    mean = flat.x_train.mean(axis=0)
    w = np.linalg.svd(flat.x_train - mean, full_matrices=False)[2][:8].T
    x_hat = mean + (flat.x_test - mean) @ w @ w.T
    pca = metrics.mse(flat.x_test, x_hat)
    error = metrics.mse(flat.x_test, reconstruction)
    on_train = metrics.mse(flat.x_train, _rebuilt(reconstruct, x_train))
    constant = metrics.mse(
        flat.x_test, np.broadcast_to(mean, flat.x_test.shape)
    )
    if error > 0.98 * constant:
        logits = 1 / (1 + np.exp(-np.clip(reconstruction, -50, 50)))
        if metrics.mse(flat.x_test, logits) < 0.9 * constant:
            wrong(
                "Your model returns logits, numbers before the sigmoid: with "
                "a sigmoid behind them they would be reconstructions."
            )
        wrong(
            f"Test error {error:.4f} is no better than the mean image's "
            f"{constant:.4f}. Was the model trained? On rows in [0, 1]?"
        )
    if width == 0:
        wrong(
            "Where x moves a little, what you pass returns the same x̂, so "
            "that no code can be counted: pass the pair (encoder, decoder)."
        )
    if shown and not isinstance(answer, (tuple, list, dict)):
        _goes_through_the_code(answer, reconstruct, width, x_test[:3])
    # models that are fitted honestly, and this good, have at least 1.06
    limit = 1.02 if error <= pca * 2 / 3 else 0.9
    if error < limit * on_train:
        wrong(
            f"The error on test rows ({error:.4f}) is no higher than on "
            f"training rows ({on_train:.4f}). Did the model see the test rows? "
            "Fit on x_train only."
        )
    if error > pca * 2 / 3:
        hint = (
            "the training error is low, so it overfits: try fewer epochs, a "
            "smaller network, or a denoising autoencoder"
            if on_train < pca / 3
            else "the training error is high too: train longer, with a higher "
            "learning rate or a wider hidden layer, or with a sigmoid at the "
            "end"
        )
        wrong(
            f"Test error {error:.4f} is {error / pca:.2f} of PCA's {pca:.4f}; "
            f"{hint}."
        )
    correct("2.5", "How far down can you go? Half of PCA's error is possible.")


def _goes_through_the_code(answer, reconstruct, width, rows):
    """Reject a model that has a narrow code and a way past it."""
    rank = _rank(answer, reconstruct, rows)
    if rank > 8:
        wrong(
            f"Your code has {width} units, but x̂ follows x along {rank} "
            "directions or more: something leads past the code, such as a "
            "skip connection from encoder to decoder. Everything that the "
            "decoder sees has to come through the eight numbers."
        )


# ---------------------------------------------------------------- 2b


@one_sentence
def check_2_6(answer):
    """Floor of a sigmoid under four standardised pixels: 0.89."""
    value = as_number(answer, "Your answer")
    mistakes = {
        3.56: "3.56 is the sum over the four pixels; the mean divides by 4.",
        0.0: (
            "A sigmoid never leaves (0, 1), so pixels at −0.4 and 2.8 cannot "
            "be reached: each costs at least its squared distance to that "
            "interval."
        ),
        0.81: "You counted only the pixel above 1; two lie below 0.",
        0.08: "You counted only the pixels below 0; one lies above 1.",
        2.1025: (
            "That is the squared size of the pixels themselves, the error of "
            "predicting 0. A sigmoid can come closer: to 0.5, and to 1 for "
            "the pixel at 2.8."
        ),
    }
    if abs(value - 0.89) < 0.005:
        correct(
            "2.6",
            "Now compute the floor for MNIST, whose standardised "
            "pixels run from −0.42 to 2.82.",
        )
        return
    for mistaken, feedback in mistakes.items():
        if abs(value - mistaken) < 0.005:
            wrong(feedback)
    wrong(
        f"{value:g} is not the floor. Write the distance of each pixel to the "
        "interval (0, 1), square it, and average over the four pixels."
    )


@one_sentence
def check_2_7(answer):
    """The grey levels' own entropy, in nats an image."""
    rng = np.random.default_rng(0)
    x = np.clip(rng.uniform(-0.5, 1.5, (12, 4, 4, 1)), 0, 1).astype("float32")
    value = as_values(call(answer, x.copy()), "The floor", finite=False)
    if value.size != 1:
        wrong(
            f"The floor is one number; yours has shape {value.shape}. Sum over "
            "the entries of an example, average over the examples."
        )
    value = float(value.reshape(()))
    if not np.isfinite(value):
        wrong(
            f"The floor came out as {value}: 0 · log 0 is 0 in the limit and "
            "NaN in NumPy. Leave pixels that are exactly 0 or 1 out."
        )
    grey = x[(x > 0) & (x < 1)].astype("float64")
    on, off = (
        -np.sum(grey * np.log(grey)),
        -np.sum((1 - grey) * np.log1p(-grey)),
    )
    right, mean = (on + off) / 12, x.mean(axis=0).astype("float64")
    if not np.isclose(value, right, rtol=1e-3):
        crossed = -(mean * np.log(mean) + (1 - mean) * np.log1p(-mean)).sum()
        named = {
            right / 16: "This is a mean over pixels. Sum over the entries of "
            "an example.",
            right * 12: "You summed over the examples too: average them.",
            right * 12 / len(grey): "You averaged over the grey pixels. Sum "
            "over the entries of an example, average over the examples.",
            right / np.log(2): "These are bits; nats use the natural "
            "logarithm.",
            -right: "The sign is wrong: an entropy is not negative.",
            on / 12: "The second half of each coin is missing: (1 − x) log(1 "
            "− x).",
            off / 12: "The first half of each coin is missing: x log x.",
            float(crossed): "That is the entropy of the mean image. Take the "
            "entropy of each image, then the mean.",
            0.0: "0 is the floor of images that are only black and white. A "
            "grey pixel costs something even where x̂ = x.",
        }
        name_value(value, named.items())
        wrong(
            f"On test images the floor should be {right:.4f}, not {value:.4f}."
        )
    reached("values")
    flat = as_number(call(answer, x.reshape(12, 16)), "The floor")
    black = as_number(call(answer, np.zeros((3, 5), "float32")), "The floor")
    if not np.isclose(flat, right, rtol=1e-3) or abs(black) > 1e-3:
        wrong(
            "Right for images (n, 4, 4, 1), not for rows (n, 16) or for "
            "black images: does your function know the shape by heart?"
        )
    correct(
        "2.7",
        "Take the floor of the digits from the losses of section 1: by how "
        "much is the convolutional model better now?",
    )


# ---------------------------------------------------------------- 2c


def _one_draw(answer, x, sigma, seed):
    """(input, target) of an answer as arrays; x itself stays as it is."""
    given = x.copy()
    result = call(answer, given, sigma, np.random.default_rng(seed))
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        wrong("Return two arrays, (input, target).")
    if not np.array_equal(given, x):
        wrong(
            "Your function changed the array it was given (`x += …` works in "
            "place). Build a new array: the caller's clean images are gone."
        )
    names = ("The input", "The target")
    return [
        as_array(as_values(part, name), name, x.shape)
        for part, name in zip(result, names, strict=True)
    ]


@one_sentence
def check_2_8(answer):
    """Noisy input, clean target, Gaussian noise for every pixel."""
    rng = np.random.default_rng(0)
    clean = rng.uniform(0.4, 0.6, size=(400, 5, 6, 1))
    noisy, target = _one_draw(answer, clean, 0.1, 1)
    reached("shape")
    if np.allclose(noisy, clean, atol=1e-6):
        if np.allclose(target, clean, atol=1e-6):
            wrong("Neither of the two arrays is noisy.")
        wrong(
            "You swapped the two: the network *sees* the noisy image and is "
            "*scored against* the clean one."
        )
    if not np.allclose(target, clean, atol=1e-3):
        wrong(
            "The target is noisy. Scored against noise, the network learns to "
            "reproduce noise; the target is the clean image."
        )
    noise = noisy - clean
    _fresh_everywhere(noise)
    if abs(noise.mean()) > 0.01:
        wrong(
            f"The noise has mean {noise.mean():.2f}: use a Gaussian, centred "
            "on 0, not uniform numbers."
        )
    if not 0.095 < noise.std() < 0.105:
        wrong(
            f"With sigma = 0.1 the noise has standard deviation "
            f"{noise.std():.3f}. Multiply a standard normal by sigma (not by "
            "its square or its root)."
        )
    tails = np.mean((noise / noise.std()) ** 4)  # 3 for a Gaussian
    if not 2.6 < tails < 3.5:
        kind = "±σ has 1, a uniform distribution 1.8"
        wrong(
            "Mean and standard deviation are right, the shape is not: the "
            f"fourth moment is {tails:.1f} σ⁴, a Gaussian's is 3 ({kind})."
        )
    reached("values")
    if not np.allclose(_one_draw(answer, clean, 0.1, 1)[0], noisy):
        wrong(
            "The same generator, started again, gave other noise: draw from "
            "the `rng` that is passed in, not from `np.random`."
        )
    if np.allclose(_one_draw(answer, clean, 0.1, 2)[0], noisy):
        wrong(
            "Another generator gave the same noise: draw from the `rng` that "
            "is passed in, not from one with a fixed seed inside."
        )
    full = rng.uniform(0, 1, size=(400, 5, 6, 1))
    clipped = _one_draw(answer, full, 0.3, 3)[0]
    if clipped.min() >= 0 or clipped.max() <= 1:
        wrong(
            "You clipped the noisy image to [0, 1]: at black and white pixels "
            "half of the noise is gone, and what is left is not Gaussian. "
            "Return x + noise as it is."
        )
    rows = rng.uniform(0.4, 0.6, size=(500, 12))
    wider = (_one_draw(answer, rows, 0.05, 3)[0] - rows).std()
    if not 0.045 < wider < 0.055:
        wrong(
            f"For rows (500, 12) and sigma = 0.05 the noise has standard "
            f"deviation {wider:.3f}: are shape and sigma taken from the "
            "arguments?"
        )
    correct("2.8", "How would you write masking noise instead?")


def _fresh_everywhere(noise):
    """Reject noise that repeats along an axis."""
    feedback = (
        "Every row got the same noise, a constant that a bias removes. "
        "Draw noise of the full shape of x.",
        "All pixels of an image's column got the same noise.",
        "All pixels of an image's row got the same noise.",
    )
    repeats = [
        np.abs(np.diff(noise, axis=axis)).mean() < 0.3 * noise.std()
        for axis in range(3)
    ]
    if repeats[1] and repeats[2]:
        wrong(
            "Every pixel of an image got the same number: that makes it "
            "brighter or darker, not noisy. Draw one for each pixel."
        )
    for repeated, message in zip(repeats, feedback, strict=True):
        if repeated:
            wrong(message)


def _digit_codes():
    """PCA codes of the digits: clustered, correlated, not centred."""
    flat = data.load("digits").flat()
    mean = flat.x_train.mean(axis=0)
    w = np.linalg.svd(flat.x_train - mean, full_matrices=False)[2][:6].T
    shift = np.arange(6) / 2.0
    return (flat.x_train - mean) @ w + shift, (flat.x_test - mean) @ w + shift


def _drawn(answer, codes, count, seed):
    """New codes of an answer as an array, or feedback."""
    given = codes.copy()
    drawn = call(answer, given, count, np.random.default_rng(seed))
    if not np.array_equal(given, codes):
        wrong(
            "Your function changed the codes it was given. Build a new array."
        )
    drawn = as_values(drawn, "The codes")
    return as_array(drawn, "The codes", (count, codes.shape[1]))


@one_sentence
def check_2_9(answer):
    """New codes that lie where real codes lie, all over."""
    codes, unseen = _digit_codes()
    count = 300
    drawn = _drawn(answer, codes, count, 0)
    reached("shape")
    if np.allclose(drawn, _drawn(answer, codes, count, 1)):
        wrong("Two generators gave the same codes: draw from the `rng` given.")
    if not np.allclose(drawn, _drawn(answer, codes, count, 0)):
        wrong(
            "The same generator, started again, gave other codes: draw from "
            "the `rng` given, and from nothing else."
        )
    friend, distance = nearest(drawn, codes)
    real = nearest(unseen, codes)[1].mean()
    spread = drawn.std(axis=0) / codes.std(axis=0)
    if spread.min() < 0.5:
        wrong(
            "Your codes cover only part of the data: their spread is "
            f"{spread.min():.2f} of the real codes' in some direction. Codes "
            "near the mean decode to a blur of all digits."
        )
    close = np.mean(distance < 0.1 * real)
    if close > 0.1:
        wrong(
            f"{close:.0%} of your codes are copies of training codes, or lie "
            "next to one, less than a tenth as far as unseen real codes do. "
            "They decode to reconstructions of training digits, not to new "
            "ones."
        )
    hardly = np.mean(distance < 0.25 * real)
    if hardly > 1 / 3:
        wrong(
            f"{hardly:.0%} of your codes are hardly moved from a training "
            "code: they lie less than a quarter as far from one as unseen real "
            "codes do, and at most a third may. They decode to training "
            "digits, a little changed."
        )
    ratio = distance.mean() / real
    if ratio > 1.3:
        independent = codes.mean(0) + codes.std(0) * np.random.default_rng(
            0
        ).standard_normal(drawn.shape)
        limit = nearest(independent, codes)[1].mean() / real
        hint = (
            "That is what independent coordinates give: mean and spread of "
            "each are right, their combinations are not."
            if abs(ratio - limit) < 0.1 * limit
            else "Look at which combinations of coordinates occur in `codes`."
        )
        wrong(
            f"Your codes lie {ratio:.2f} times as far from the nearest real "
            f"code as unseen real codes do; at most 1.3 passes. {hint}"
        )
    _all_over(drawn, friend, codes, unseen)
    correct(
        "2.9",
        f"Yours lie {ratio:.2f} times as far from real codes as unseen real "
        "ones do. Decode some with a trained model and look at them.",
    )


def _all_over(drawn, friend, codes, unseen):
    """Reject codes that leave out some of the rows, or some of the space."""
    different = len(np.unique(friend))
    if different < len(drawn) / 3:
        wrong(
            f"The {len(drawn)} codes gather round only {different} training "
            f"codes of {len(codes)}. Draw from all over the data."
        )
    half = len(codes) // 2
    rows = np.arange(len(codes))
    for name, chosen in (
        ("first half", rows < half),
        ("second half", rows >= half),
        ("rows with an even index", rows % 2 == 0),
        ("rows with an odd index", rows % 2 == 1),
    ):
        share = chosen[friend].mean()
        if share > 0.75:
            wrong(
                f"{share:.0%} of your codes lie next to training codes of the "
                f"{name}. Use all the rows."
            )
    reach = nearest(unseen, drawn)[1]
    as_many = codes[:: len(codes) // len(drawn)][: len(drawn)]
    expected = nearest(unseen, as_many)[1]
    if reach.mean() > 1.3 * expected.mean():
        wrong(
            "Your codes leave part of the data out: unseen real codes lie "
            f"{reach.mean() / expected.mean():.2f} times as far from the "
            "nearest of yours as from the nearest of as many training codes."
        )
