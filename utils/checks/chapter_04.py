"""Checks of chapter 4, variational autoencoders."""

import re

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
    nearest,
    one_sentence,
    reached,
    slope,
    wrong,
)
from utils.evaluation.generation import sample_spread
from utils.models import Autoencoder

# ---------------------------------------------------------------- 4.1


@one_sentence
def check_4_1(answer):
    """Two divergences and what three spellings of a loss take for β."""
    numbers = as_array(answer, "Your answer")
    if numbers.shape != (5,):
        wrong(
            "Give a list of five numbers: the KL of the first unit, that of "
            "both, a weight, a β, and one σ; received shape "
            f"{numbers.shape}."
        )
    first, both, beta_scale, beta_mean, sigma = (float(n) for n in numbers)
    log4 = float(np.log(4))
    right = 0.5 * (4 + 0.25 - 1 + log4)
    _name_number(
        first,
        right,
        (
            (2 * right, "The factor ½ in front is missing."),
            (0.5 * (3.5 + log4 / 2), "σ = ½ went in where σ² = ¼ belongs."),
            (0.5 * (3.25 + log4 / 2), "log σ instead of log σ²."),
            (0.5 * (3.25 - log4), "The sign of log σ² is turned: −log σ²."),
            (0.5 * (1.25 + log4), "μ is not squared."),
            (0.5 * (4.25 + log4), "The −1 is missing: then KL(0, 1) ≠ 0."),
            (
                0.5 * (19 - log4),
                "That is KL(p ‖ q). It is not symmetric: q, the code's "
                "distribution, stands first, and the mean is taken under it.",
            ),
            (right / np.log(2), "That is in bits. Logarithms are natural."),
        ),
        "The KL of the first unit",
        "Put μ = 2, σ² = ¼ into ½ (μ² + σ² − 1 − log σ²).",
    )
    _name_number(
        both,
        3.125,
        (
            (
                3.125 / 2,
                "You averaged over the two units; independent units "
                "*add* their divergences.",
            ),
            (0.5 * (3 - log4), "That is the second unit alone."),
            (right, "A unit with μ = 0 still costs if its σ is not 1."),
        ),
        "The KL of both units",
        "Add the second unit's ½ (0 + 4 − 1 − log 4).",
    )
    _name_number(
        beta_scale,
        0.02,
        (
            (
                50.0,
                "50 = 1/(2σ²) is the β that a *bare* squared error plus "
                "KL has. Asked is what to write before the KL so that β is "
                "1: multiply the negative ELBO until the error has weight 1.",
            ),
            (0.01, "Without the ½: −log N has ‖x − x̂‖²/(2σ²), so w = 2σ²."),
            (100.0, "1/σ² is the precision; w = 2σ²."),
            (0.2, "σ is not squared: w = 2σ²."),
            (0.1, "w is not σ itself: w = 2σ²."),
            (2.0, "w = 2 belongs to σ = 1; here σ = 0.1."),
            (
                1.0,
                "1 would belong to a full −log N(x; x̂, σ²I), which a "
                "bare squared error is not.",
            ),
        ),
        "The weight for σ = 0.1",
        "Multiply ‖x − x̂‖²/(2σ²) + KL by whatever frees the error.",
    )
    _name_number(
        beta_mean,
        784.0,
        (
            (
                1 / 784,
                "The other way round: the error was divided by 784, so "
                "relative to it the KL has *grown*.",
            ),
            (
                1.0,
                "β = 1 stands in the code, but beside an error that is 784 "
                "times too small.",
            ),
            (
                784 / 20,
                "The 20 code units are summed, as they should be: "
                "only the pixels were averaged.",
            ),
            (784 * 20.0, "The 20 code units are summed, as they should be."),
            (28.0, "28 is a side; the image has 28 · 28 pixels."),
        ),
        "β of a pixel mean",
        "Multiply the loss by 784 and read off the weight of the KL.",
    )
    _name_number(
        sigma,
        392**0.5,
        (
            (392.0, "That is σ²; its root is wanted."),
            (28.0, "√784: a mean has 1/784 = 1/(2σ²), so σ = √(784/2)."),
            (784.0, "That is 2σ²: σ = √(784/2)."),
            (
                0.5**0.5,
                "σ = √½ belongs to a squared error *summed* over "
                "pixels. Keras's MSE takes their mean.",
            ),
            (
                (0.5 / 784) ** 0.5,
                "Upside down: the mean makes the error "
                "small, as if pixels were *very* uncertain.",
            ),
        ),
        "The σ behind a mean squared error",
        "The error has weight 1/784 there, and 1/(2σ²) in −log N.",
    )
    correct("4.1", "Which σ would you believe of pixels in [0, 1]?")


def _name_number(value, right, named, what, hint):
    """Accept a number within 0.3 %; else its mistake, or a hint."""
    if np.isclose(value, right, rtol=3e-3):
        return
    for mistaken, feedback in named:
        if np.isclose(value, mistaken, rtol=3e-3):
            wrong(f"{what} is not {value:.4g}. {feedback}")
    wrong(f"{what} is not {value:.4g}. {hint}")


# ---------------------------------------------------------------- 4.2


@one_sentence
def check_4_2(answer):
    """KL(N(μ, diag σ²) ‖ N(0, I)), one value an example, differentiable."""
    rng = np.random.default_rng(2)
    n, k = 5, 3
    mu = rng.normal(0, 1, (n, k)).astype("float32")
    # positive, so that a log_var taken for a variance still has a logarithm
    lv = rng.uniform(0.2, 1.5, (n, k)).astype("float32")

    def run(mean, log_var, finite=True):
        value = call(
            answer, ops.convert_to_tensor(mean), ops.convert_to_tensor(log_var)
        )
        return as_values(value, "The KL", finite)

    found = run(mu, lv)
    terms = 0.5 * (mu**2 + np.exp(lv) - 1 - lv)
    right = terms.sum(axis=1)
    if found.shape == (n, 1):
        wrong(
            "One value an example, shape (n,), not (n, 1): added to an error "
            "of shape (n,) a column broadcasts to an (n, n) table, silently."
        )
    if found.shape == (n, k):
        wrong("One value an example: sum over the k code units as well.")
    if found.shape == (k,):
        wrong(
            "You reduced the batch and kept the code units; it is the other "
            "way round: sum over axis 1, leave axis 0 alone."
        )
    if found.shape == ():
        named = (
            (right.mean(), "averaged over the batch"),
            (right.sum(), "summed over the batch"),
            (terms.mean(), "averaged over batch *and* code units"),
        )
        how = [name for v, name in named if np.isclose(found, v, rtol=1e-4)]
        wrong(
            f"One number for the whole batch{''.join(f', {h}' for h in how)}. "
            "Return one value an example, shape (n,): the caller averages."
        )
    if found.shape != (n,):
        wrong(f"The KL should have shape ({n},), not {found.shape}.")
    v = np.exp(lv)
    reached("shape")
    name_value(
        found,
        (
            (
                terms.mean(axis=1),
                "You took the mean over code units. "
                "Independent units *add* their divergences; a mean divides β "
                "by k.",
            ),
            (2 * right, "The factor ½ is missing."),
            (
                -right,
                "The sign is turned: a divergence is never negative. "
                "The ELBO has −KL, the loss +KL.",
            ),
            (
                right + k / 2,
                "The −1 of each unit is missing: then "
                "KL(0, 0) = k/2 instead of 0.",
            ),
            (0.5 * (mu**2 + v - 1 + lv).sum(1), "log σ² enters with a minus."),
            (0.5 * (mu + v - 1 - lv).sum(1), "μ is not squared."),
            (
                0.5 * (mu**2 + lv - 1 - np.log(lv)).sum(1),
                "log_var is taken "
                "for the *variance*. The variance is exp(log_var), and its "
                "logarithm is log_var itself.",
            ),
            (
                0.5 * (mu**2 + lv**2 - 1 - 2 * np.log(lv)).sum(1),
                "log_var is "
                "taken for the *standard deviation*. σ² = exp(log_var).",
            ),
            (
                0.5 * (mu**2 + v**2 - 1 - 2 * lv).sum(1),
                "exp(log_var) is "
                "taken for the standard deviation; it is the variance.",
            ),
            (
                0.5 * (mu**2 + v - 1 - lv / 2).sum(1),
                "log σ stands where "
                "log σ² belongs: ½ log_var instead of log_var.",
            ),
            (
                0.5 * (mu**2 + v**0.5 - 1 - lv).sum(1),
                "exp(½ log_var) is σ; the formula has σ² = exp(log_var).",
            ),
            (
                0.5 * (mu**2 / v + 1 / v - 1 + lv).sum(1),
                "That is "
                "KL(N(0, I) ‖ q). The code's distribution q stands first.",
            ),
            (right / np.log(2), "That is in bits. Logarithms are natural."),
        ),
    )
    if not np.allclose(found, right, rtol=1e-4):
        if not np.allclose(found, run(mu, lv), rtol=1e-6):
            wrong(
                "Two calls on the same input differ: you estimate by draws. "
                "For Gaussians the integral is known; no chance is needed."
            )
        wrong(f"For one example the KL is {right[0]:.4f}, not {found[0]:.4f}.")
    reached("values")
    _check_kl_ends(run, answer, mu, lv)
    correct("4.2", "Which log_var is best for a unit whose mean is 3?")


def _check_kl_ends(run, answer, mu, lv):
    """Small and tiny variances, and the gradient of the encoder."""
    low = np.float32([[-120.0, -3.0], [-0.5, 0.0]])  # exp(−120) underflows
    right = 0.5 * (np.exp(low.astype("float64")) - 1 - low).sum(axis=1)
    found = run(np.zeros_like(low), low, finite=False)
    if found.shape != right.shape:
        wrong(f"For {len(low)} examples the KL has shape {found.shape}.")
    if not np.allclose(found, right, rtol=1e-4):
        wrong(
            f"For μ = 0 and log_var {low[0].tolist()} the KL is "
            f"{right[0]:.2f}, not {found[0]:.4g}. log_var may be any real "
            "number, negative too; nothing has to be clipped or logged, and "
            "log(exp(log_var)) is log_var."
        )
    mean, log_var = ops.convert_to_tensor(mu), ops.convert_to_tensor(lv)
    by_mean = slope(lambda m: call(answer, m, log_var), mean)
    by_log_var = slope(lambda v: call(answer, mean, v), log_var)
    if not (np.any(by_mean) and np.any(by_log_var)):
        wrong(
            "The value is right but has no gradient: NumPy or stop_gradient "
            "on the way. The encoder would never hear of the KL."
        )
    if not np.allclose(by_mean, mu, atol=1e-4) or not np.allclose(
        by_log_var, 0.5 * (np.exp(lv) - 1), atol=1e-4
    ):
        wrong("The value is right, but part of its gradient is cut.")


# ---------------------------------------------------------------- 4.3

PRODUCTS = ("mean", "log_var", "code", "logits")


def _built(answer, latent_dim, shape):
    """The learner's model; Keras's own errors explained."""
    try:
        model = call(answer, latent_dim, shape)
    except AssertionError as error:
        text = str(error)
        if "interpret activation" in text:
            wrong(
                "Keras knows no such activation: an activation is a fixed "
                "function of its input, and noise is not one. Draw ε in a "
                "layer and return μ + σ ε."
            )
        if "A KerasTensor" in text:
            wrong(
                "While a functional model is put together its tensors have "
                "no values yet: a draw belongs into the `call` of a layer, "
                f"and into keras.random, not NumPy. ({text})"
            )
        raise
    if model is None:
        wrong("Your function returns None: did you forget the `return`?")
    if not isinstance(model, keras.Model):
        wrong(f"Return a Keras model; received {type(model).__name__}.")
    return model


def _products(model, x):
    """What the model makes of x: four finite arrays."""
    made = call(model, ops.convert_to_tensor(x))
    if not isinstance(made, dict) or not set(PRODUCTS) <= set(made):
        got = sorted(made) if isinstance(made, dict) else type(made).__name__
        wrong(
            "Your model should return a dict with 'mean', 'log_var', 'code' "
            f"and 'logits'; received {got}."
        )
    return {name: as_values(made[name], name) for name in PRODUCTS}


def _check_shapes(made, n, latent_dim, shape):
    for name in ("mean", "log_var", "code"):
        if made[name].shape != (n, latent_dim):
            repeated = _repeated(made[name], n)
            wrong(
                f"'{name}' should have one row of width {latent_dim} an "
                f"example, ({n}, {latent_dim}), not {made[name].shape}."
                f"{repeated}"
            )
    found = made["logits"].shape
    if found == (n, *shape):
        return
    if len(found) == 2 and found[1] == np.prod(shape):
        wrong(
            f"'logits' are flat, {found}, and the images are not: a loss "
            f"against x of {(n, *shape)} stops, or broadcasts. End in a "
            "Reshape."
        )
    wrong(
        f"'logits' should have the shape of the data, {(n, *shape)}, not "
        f"{found}: otherwise `fit` has nothing to compare x with."
        f"{_repeated(made['logits'], n)}"
    )


def _repeated(values, n):
    """A hint, if an axis of equal copies was put in."""
    if values.ndim > 2 and values.shape[:1] == (n,) and values.shape[1] > 1:
        if np.allclose(values[:, :1], values, atol=1e-6):
            return (
                " All entries along axis 1 are copies: `RepeatVector` "
                "repeats a vector for a recurrent decoder, one copy a time "
                "step. A code needs no copies; leave it out."
            )
    return ""


def _shake(model, start, size, seed=0):
    """Other weights, so that no head stays at its initial zeros."""
    rng = np.random.default_rng(seed)
    for weight, value in zip(model.trainable_variables, start, strict=True):
        fan_in = np.prod(value.shape[:-1]) if value.ndim > 1 else 100
        noise = rng.normal(0, size / np.sqrt(fan_in), value.shape)
        weight.assign(value + noise.astype("float32"))


def _normal_rows(n, shape):
    return np.random.default_rng(1).standard_normal((n, *shape), "float32")


def _check_heads(model, start, shape):
    """Neither head has an activation that forbids negative numbers."""
    x = _normal_rows(300, shape)
    lowest = dict.fromkeys(("mean", "log_var"), np.inf)
    for seed in range(6):  # one set of weights may be positive by chance
        _shake(model, start, 1.0, seed)
        made = _products(model, x)
        for name in lowest:
            if np.ptp(made[name]) == 0.0:  # constant: named later
                lowest[name] = -np.inf
            lowest[name] = min(lowest[name], made[name].min())
    for name, told in (
        ("mean", "A posterior's mean may be any real number."),
        ("log_var", "Then σ ≥ 1 always, and no code can be precise."),
    ):
        if lowest[name] >= 0.0:
            wrong(
                f"'{name}' is never negative, whatever the weights: an "
                f"activation sits on this head. {told} Leave it linear."
            )


def _check_logits(model, start, shape):
    """The decoder ends without an activation: log-odds go both ways."""
    x = _normal_rows(300, shape)
    lows, highs = [], []
    for seed in range(6):
        _shake(model, start, 1.5, seed)
        logits = _products(model, x)["logits"]
        lows.append(logits.min())
        highs.append(logits.max())
    low, high = min(lows), max(highs)
    if low >= 0.0 and high <= 1.0:
        wrong(
            "'logits' stay in [0, 1]: they are probabilities already. The "
            "loss takes log-odds; leave out the sigmoid at the end."
        )
    if low >= -1.001 and high <= 1.001:
        wrong(
            "'logits' stay in [−1, 1]: a tanh at the end. Log-odds are any "
            "real number; with these no pixel is ever surer than .73."
        )
    if low > -0.1 * high:
        wrong(
            "'logits' hardly go below zero, whatever the weights: an "
            "activation (ReLU, softplus, ELU) at the end. Then no pixel can "
            "be dark: a logit of 0 is a probability of one half. Leave the "
            "last layer linear."
        )


def _check_one_way(model, start, shape):
    """The logits hear of x through the code alone, and of all of the code."""
    _shake(model, start, 1.0)
    x = ops.convert_to_tensor(_normal_rows(1, shape))
    made = _products(model, x)

    def slopes(name):
        """One row of derivatives by x for each entry of a product."""

        def entry(j):
            return lambda rows: ops.reshape(model(rows)[name], (-1,))[j]

        return np.stack(
            [slope(entry(j), x).ravel() for j in range(made[name].size)]
        )

    # every draw moves the logits along the slopes of the two heads only
    heads = np.concatenate([slopes("mean"), slopes("log_var")])
    inside = np.linalg.svd(heads, full_matrices=False)[2]
    by_x = slopes("logits")
    left = by_x - by_x @ inside.T @ inside
    if np.abs(left).max() > 0.02 * np.abs(by_x).max():
        wrong(
            "The logits depend on x past the code: a skip from the encoder, "
            "or a decoder that is given x. Then the code may stay empty, and "
            "a draw from the prior cannot be decoded."
        )
    # one x, many draws: the code alone says what the logits are
    rows = ops.convert_to_tensor(np.repeat(_normal_rows(1, shape), 2000, 0))
    made = _products(model, rows)
    code = made["code"] - made["code"].mean(axis=0)
    code = code / np.maximum(code.std(axis=0), 1e-9)
    pairs = np.triu_indices(code.shape[1])
    terms = [np.ones((2000, 1)), code, code[:, pairs[0]] * code[:, pairs[1]]]
    terms = np.concatenate(terms, axis=1)
    logits = made["logits"].reshape(2000, -1)
    fit = terms @ np.linalg.lstsq(terms, logits, rcond=None)[0]
    explained = 1 - ((logits - fit) ** 2).sum() / np.maximum(
        ((logits - logits.mean(axis=0)) ** 2).sum(), 1e-12
    )
    if explained < 0.3:
        wrong(
            "The logits vary, but not with the 'code' that you return: the "
            "decoder was given a second draw. One draw a pass; return it and "
            "decode it."
        )


def _spread_rows(model, start, shape):
    """Rows and weights by which the variances differ much; the products."""
    x = _normal_rows(4000, shape)
    for size in (1, 1.5, 2, 3, 4, 6, 8, 12):
        _shake(model, start, size)
        made = _products(model, x)
        if made["log_var"].std() > 1.0:
            break
    if made["log_var"].std() < 1e-6:
        wrong(
            "log_var is the same for every example. Each x has its own "
            "posterior: a second head of the encoder, beside the mean's."
        )
    return x, made


@one_sentence
def check_4_3(answer):
    """Two heads, a draw, a decoder: shapes, statistics, gradient."""
    for latent_dim, shape in ((5, (4, 4, 1)), (4, (30,))):
        model = _built(answer, latent_dim, shape)
        x = np.random.default_rng(0).random((7, *shape)).astype("float32")
        _check_shapes(_products(model, x), len(x), latent_dim, shape)
    start = [ops.convert_to_numpy(w) for w in model.trainable_variables]
    if not start:
        wrong("Your model has no trainable weights.")
    _check_heads(model, start, shape)
    _check_logits(model, start, shape)
    x, made = _spread_rows(model, start, shape)
    if np.allclose(made["mean"], made["log_var"], atol=1e-6):
        wrong(
            "mean and log_var are one and the same head: then a code far "
            "from 0 could never be precise. Two heads, each with weights of "
            "its own."
        )
    _check_draw(model, x, made)
    _check_draw_gradient(model, x[:20])
    _check_one_way(model, start, shape)
    _check_compiled_draw(model, x[:64])
    correct("4.3", "What is the code's distribution if log_var is −60?")


def _readable(mean, log_var):
    """Entries where float32 keeps the digits of the noise."""
    inside = np.abs(log_var) < 6.0
    if inside.sum() > 4000:
        return inside
    return np.exp(0.5 * log_var) > 1e-4 * (1.0 + np.abs(mean))


def _growth(values, log_var, inside):
    """Slope of log |values| by log_var: ½ for noise of size σ."""
    size = np.log(np.maximum(np.abs(values[inside]), 1e-12))
    return float(np.polyfit(log_var[inside], size, 1)[0])


def _check_draw(model, x, made):
    """The noise behind the codes: fresh, normal, one for every entry."""
    again = _products(model, x)
    mean, log_var, code = (made[n] for n in ("mean", "log_var", "code"))
    if np.allclose(code, mean, atol=1e-5):
        wrong(
            "The code equals the mean: nothing is drawn. Then this is a "
            "plain autoencoder with an unused head."
        )
    if not np.allclose(mean, again["mean"], atol=1e-4):
        wrong(
            "Two passes give two *means*: there is noise before the heads. "
            "Only the code is random; its parameters are functions of x."
        )
    if np.allclose(code, again["code"], atol=1e-6):
        wrong(
            "Two passes drew the same code: the noise is a constant (an "
            "integer seed, or an array made once) or a function of x. Draw "
            "afresh at every call, with keras.random.normal and a "
            "SeedGenerator."
        )
    inside = _readable(mean, log_var)
    residual = code - mean
    if (
        abs(np.std(code) - 1) < 0.06
        and abs(_growth(code, log_var, inside)) < 0.1
        and abs(np.corrcoef(code[inside], mean[inside])[0, 1]) < 0.1
    ):
        wrong(
            "The code ignores the mean: you decode the *prior*, ε ~ N(0, I). "
            "That is for sampling. In training z = μ(x) + σ(x) ε, or the "
            "decoder never hears of x."
        )
    epsilon = np.ma.masked_array(residual / np.exp(0.5 * log_var), ~inside)
    for axis, told in (
        (
            1,
            "All units of a row share one ε: shape (n, 1), broadcast. Draw "
            "one for every entry, `ops.shape(mean)`.",
        ),
        (
            0,
            "All rows of the batch share one ε: its shape has no batch axis. "
            "Draw one for every entry, `ops.shape(mean)`.",
        ),
    ):
        if np.ma.ptp(epsilon, axis=axis).max() < 0.05:
            wrong(told)
    growth = _growth(residual, log_var, inside)
    if abs(growth - 0.5) > 0.1:
        _name_scale(growth, residual, log_var, inside)
    alike = np.ma.corrcoef(epsilon, rowvar=False)
    if np.abs(np.ma.filled(alike - np.eye(len(alike)), 0.0)).max() > 0.2:
        wrong(
            "The noise of one unit tells that of another: they share a part. "
            "The KL and the prior speak of independent units; draw one ε for "
            "every entry."
        )
    rows = epsilon.compressed()
    if abs(rows.mean()) > 0.1:
        wrong(f"The noise has mean {rows.mean():.2f}; ε ~ N(0, 1) has 0.")
    if abs(rows.std() - 1) > 0.06:
        wrong(
            f"The noise has deviation {rows.std():.2f}; ε ~ N(0, 1) has 1. "
            "Its size is σ's business."
        )
    if abs(np.mean(rows**4) - 3) > 0.8:
        wrong(
            "The noise has mean 0 and deviation 1 but is not normal: the "
            "closed-form KL speaks of a Gaussian code."
        )
    if np.allclose(made["logits"], again["logits"], atol=1e-6):
        wrong(
            "The codes of two passes differ, the logits do not: your decoder "
            "takes something else than the code."
        )


def _name_scale(slope, residual, log_var, inside):
    """Reject draws whose size does not grow as exp(½ log_var)."""
    for scale, told in (
        (log_var, "log_var itself"),
        (np.sqrt(np.maximum(np.abs(log_var), 1e-9)), "the root of log_var"),
    ):
        noise = (residual / scale)[inside]
        if abs(noise.std() - 1) < 0.06 and abs(noise.mean()) < 0.1:
            wrong(
                f"The noise is multiplied by {told}. It is a logarithm: "
                "σ = exp(½ log_var)."
            )
    if abs(slope - 1.0) < 0.1:
        wrong(
            "The noise is multiplied by exp(log_var), the *variance*. The "
            "deviation is σ = exp(½ log_var)."
        )
    if abs(slope + 0.5) < 0.1:
        wrong("The noise is multiplied by 1/σ: exp(+½ log_var).")
    if abs(slope - 0.25) < 0.05:
        wrong("The noise is multiplied by √σ: exp(½ log_var), not ¼.")
    if abs(slope) < 0.1:
        wrong(
            "The noise has the same size whatever log_var is: multiply ε by "
            "σ = exp(½ log_var)."
        )
    wrong("The noise does not grow as σ = exp(½ log_var).")


def _check_draw_gradient(model, x):
    """The slope of a draw: dμ + ½ σ ε d log σ², ε taken as given."""

    def loss(inputs):
        made = model(inputs)
        mean, log_var, code = (made[n] for n in ("mean", "log_var", "code"))
        share = ops.stop_gradient(0.5 * (code - mean))
        return code - mean - share * log_var

    x = ops.convert_to_tensor(x)
    left = np.abs(slope(loss, x)).max()
    if not np.any(slope(lambda rows: model(rows)["code"], x)):
        wrong(
            "No gradient passes through the draw: NumPy or stop_gradient on "
            "the way. The encoder would learn from the KL alone, and "
            "collapse."
        )
    size = np.abs(slope(lambda rows: model(rows)["mean"], x)).max()
    if left > 1e-3 * max(size, 1e-3):
        wrong(
            "The code has the right distribution but not the right gradient: "
            "both μ and log σ² have to be reached. Only ε is without one."
        )


def _check_compiled_draw(model, x):
    """What is drawn outside keras.random is drawn once, when traced."""
    codes = [
        as_values(call(model.predict, x, verbose=0)["code"], "A code")
        for _ in "ab"
    ]
    if np.allclose(*codes, atol=1e-6):
        wrong(
            "Called directly your model draws afresh; inside `predict` and "
            "`fit` it does not. They compile it, and NumPy's numbers become "
            "constants of the compiled program: one ε for the whole "
            "training. Use keras.random.normal."
        )


# ---------------------------------------------------------------- 4.4


@one_sentence
def check_4_4(answer):
    """−ELBO of a Bernoulli VAE: sums in an example, mean over the batch."""
    rng = np.random.default_rng(4)
    n, shape, k = 6, (4, 3, 3), 2  # channels, so that the last axis counts
    d = int(np.prod(shape))
    x = rng.random((n, *shape)).astype("float32")
    logits = rng.normal(0, 2, (n, *shape)).astype("float32")
    mean = rng.normal(0, 1, (n, k)).astype("float32")
    log_var = rng.normal(0, 1, (n, k)).astype("float32")

    def run(*arrays):
        arrays = [ops.convert_to_tensor(array) for array in arrays]
        return as_values(call(answer, *arrays), "The loss")

    found = run(x, logits, mean, log_var)
    pixels = np.logaddexp(0, logits) - x * logits
    nll = pixels.reshape(n, -1).sum(1)
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var)
    if found.shape in ((n,), (n, 1)):
        wrong("One loss a batch: take the mean over the examples.")
    if found.size != 1:
        wrong(f"The loss should be one number, not an array {found.shape}.")
    value = float(found.reshape(()))
    nll, kl_mean, kl = nll.mean(), kl.mean(), kl.sum(1).mean()
    p = np.clip(logits, 1e-7, 1 - 1e-7)  # logits read as probabilities
    confused = -(x * np.log(p) + (1 - x) * np.log(1 - p))
    s = 1 / (1 + np.exp(-logits))
    twice = np.logaddexp(0, s) - x * s
    squared = (x - s) ** 2
    last = pixels.mean(axis=-1).reshape(n, -1).sum(1).mean()
    mean_pixels = (
        "A *mean* over pixels beside a summed KL: the KL counts "
        f"{d} times too much here, 784 times on MNIST. This is β = {d}, and "
        "the code collapses. Sum over pixels, then average over the batch."
    )
    name_value(
        value,
        (
            (nll / d + kl, mean_pixels),
            (
                last + kl,
                "Summed over height and width, but *averaged* over the "
                f"channels: Keras's loss takes the mean of the last axis. This "
                f"is β = {shape[-1]}. With one channel nobody would notice.",
            ),
            (
                n * (nll + kl),
                "Summed over the batch: the loss grows with the "
                "batch size, and so does the step. Take the mean.",
            ),
            (
                n * nll + kl,
                "The first term is summed over the batch, the KL "
                f"averaged: β = 1/{n}, and other batches another β.",
            ),
            (
                nll + n * kl,
                "The KL is summed over the batch, the first term "
                f"averaged: β = {n}, and other batches another β.",
            ),
            (
                nll,
                "There is no KL in it. Then σ → 0 is best, the draws "
                "disappear, and what is left is a plain autoencoder.",
            ),
            (kl, "There is no reconstruction in it: q = p is best."),
            (
                nll + kl_mean,
                f"The KL is averaged over the {k} code units: "
                f"β = 1/{k}. Independent units add.",
            ),
            (
                (nll / d) + kl_mean,
                "Pixels and code units are both averaged: "
                f"β = {d}/{k}. Sum both, then average over the batch.",
            ),
            (
                nll - kl,
                "The KL enters the *loss* with a plus: the ELBO has "
                "−KL, the loss is −ELBO.",
            ),
            (
                -(nll + kl),
                "That is the ELBO itself. A loss is minimised: return −ELBO.",
            ),
            (
                kl - nll,
                "The sign of the first term is turned: minimising "
                "would make x as improbable as possible.",
            ),
            (nll + 2 * kl, "The ½ of the KL is missing."),
            (
                confused.reshape(n, -1).sum(1).mean() + kl,
                "Logits are treated "
                "as probabilities: say `from_logits=True`, or use softplus.",
            ),
            (
                twice.reshape(n, -1).sum(1).mean() + kl,
                "A sigmoid too many: "
                "probabilities are given where logits are expected.",
            ),
            (
                d * squared.mean() + kl,
                "Squared error: that is a Gaussian "
                "pixel, with β in units of 2σ². Here pixels are Bernoulli.",
            ),
            (
                squared.mean() + kl,
                "A mean squared error: a Gaussian pixel "
                f"with σ = √({d}/2). Here pixels are Bernoulli, and summed.",
            ),
        ),
    )
    if not np.isclose(value, nll + kl, rtol=1e-4):
        wrong(
            f"On a test batch −ELBO is {nll:.4f} + {kl:.4f} = "
            f"{nll + kl:.4f}, not {value:.4f}."
        )
    reached("values")
    _check_loss_ends(answer, run, x, logits, mean, log_var)
    correct("4.4", "Where do 784 and 20 enter, if nothing is averaged?")


def _negative_elbo(x, logits, mean, log_var):
    """Both sums of 4.4, each a number per example."""
    n = len(x)
    nll = (np.logaddexp(0, logits) - x * logits).reshape(n, -1).sum(1)
    return nll, 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum(1)


def _check_loss_ends(answer, run, x, logits, mean, log_var):
    """Certain logits, the encoder's gradient, data out of range."""
    black = np.round(x)
    wrongly = np.where(black > 0.5, -60.0, 60.0).astype("float32")
    right = np.mean(sum(_negative_elbo(black, wrongly, mean, log_var)))
    value = run(black, wrongly, mean, log_var)
    if value.size != 1:
        wrong(f"The loss should be one number, not an array {value.shape}.")
    value = value.reshape(())
    if not np.isclose(value, right, rtol=1e-3):
        wrong(
            "Black and white pixels, logits of ±60, all of them wrong: each "
            f"pixel costs 60 nats, {right:.0f} in all, and yours is "
            f"{value:.0f}: the logarithm of a rounded probability. Use "
            "softplus(l) − x l, or `from_logits=True`."
        )
    tensors = [ops.convert_to_tensor(a) for a in (x, logits, mean, log_var)]
    for place, name in ((1, "logits"), (2, "mean"), (3, "log_var")):

        def loss(value, place=place):
            return call(answer, *tensors[:place], value, *tensors[place + 1 :])

        found = slope(loss, tensors[place])
        if not np.any(found):
            wrong(
                f"The value is right, but no gradient reaches {name}: NumPy "
                "or stop_gradient on the way."
            )
        expected = {
            "logits": 1 / (1 + np.exp(-logits)) - x,
            "mean": mean,
            "log_var": 0.5 * (np.exp(log_var) - 1),
        }[name] / len(x)
        if not np.allclose(found, expected, atol=1e-4):
            wrong(
                f"The value is right, but part of the gradient by {name} is "
                "cut: stop_gradient inside a term."
            )
    for n, shape, k in ((5, (2, 2, 1), 3), (3, (5, 4, 2), 4)):
        rng = np.random.default_rng(n)
        other = rng.random((n, *shape)), rng.normal(size=(n, *shape))
        other += rng.normal(size=(n, k)), rng.normal(size=(n, k))
        other = [array.astype("float32") for array in other]
        right = np.mean(sum(_negative_elbo(*other)))
        value = run(*other)
        if value.size != 1 or not np.isclose(
            value.reshape(()), right, rtol=1e-4
        ):
            wrong(
                f"Right for six images (4, 3, 3), wrong for {n} of shape "
                f"{shape} with {k} code units: is a size written into your "
                "function?"
            )
    beyond = x.copy(), x.copy()
    beyond[0].flat[0], beyond[1].flat[0] = 1.5, -0.05
    for name, bad in (
        ("pixels from −1 to 1", 2 * x - 1),
        ("standardised pixels", (x - 0.1307) / 0.3081),
        ("bytes from 0 to 255", np.round(255 * x)),
        ("a pixel of 1.5", beyond[0]),
        ("a pixel of −0.05", beyond[1]),
    ):
        try:
            answer(ops.convert_to_tensor(bad), *tensors[1:])
        except ValueError:
            continue
        except (
            Exception,
            SystemExit,
        ) as error:  # the learner's code may raise anything
            wrong(
                f"For {name} expected a ValueError; received "
                f"{type(error).__name__}: {error}"
            )
        wrong(
            f"Your loss takes {name} without a word. Out of [0, 1] a "
            "cross-entropy has no lower end: it falls below zero while the "
            "pictures get worse. Raise a ValueError."
        )


# ---------------------------------------------------------------- 4.5


@one_sentence
def check_4_5(answer):
    """The bound log 1/S Σ p(x|z) p(z) / q(z|x), without underflow."""
    rng = np.random.default_rng(5)
    n, size = 4, 8
    log_px, log_pz, log_qz = (
        rng.normal(centre, 1.5, (n, size)) for centre in (-6, -4, -3)
    )

    def run(*logs):
        result = call(answer, *(log.copy() for log in logs))
        result = as_values(result, "The bound", finite=False)
        if result.shape == (n, 1):
            result = result[:, 0]
        if result.shape == ():
            wrong("One bound an example, shape (n,): leave out the last mean.")
        if result.shape == (size,):
            wrong("Reduce over the samples, axis 1, not over the examples.")
        if result.shape != (n,):
            wrong(f"The bound should have shape ({n},), not {result.shape}.")
        return result

    found = run(log_px, log_pz, log_qz)
    ratio = log_px + log_pz - log_qz
    total = np.logaddexp.reduce(ratio, axis=1)
    right = total - np.log(size)
    reached("shape")
    name_value(
        found,
        (
            (
                ratio.mean(1),
                "The mean of the logarithms is the ELBO. The "
                "bound is the logarithm of the *mean*, which is larger "
                "(Jensen): average the ratios first.",
            ),
            (
                total,
                f"log S is missing: a sum over {size} samples instead of "
                "their mean. It would grow for ever with S.",
            ),
            (
                ratio.max(1),
                "The largest ratio alone. It is where the sum is "
                "factored out; the rest belongs in it.",
            ),
            (
                ratio.max(1) - np.log(size),
                "The largest ratio alone: add the "
                "others, each as exp(its difference to the largest).",
            ),
            (
                np.logaddexp.reduce(ratio - ratio.max(1)[:, None], 1)
                - np.log(size),
                "The largest ratio was subtracted before exp, "
                "and never added again.",
            ),
            (
                np.logaddexp.reduce(log_px, 1) - np.log(size),
                "p(z) and q(z|x) "
                "are missing: the draws come from q, not from the prior, and "
                "have to be weighted for it.",
            ),
            (
                np.logaddexp.reduce(log_px + log_pz, 1) - np.log(size),
                "q(z|x) "
                "is missing: divide by the density that the draws come from.",
            ),
            (
                np.logaddexp.reduce(log_px + log_qz - log_pz, 1) - np.log(size),
                "The ratio is upside down: p(z) / q(z|x).",
            ),
            (
                np.logaddexp.reduce(log_px + log_pz + log_qz, 1) - np.log(size),
                "q(z|x) is multiplied; it divides.",
            ),
            (np.exp(right), "That is the likelihood; its logarithm is asked."),
            (-right, "The sign is turned: a bound *of* log p(x)."),
            (right / np.log(2), "That is in bits. Logarithms are natural."),
        ),
    )
    if not np.isfinite(found).all() or not np.allclose(found, right, 1e-5):
        wrong(f"For one example it is {right[0]:.4f}, not {found[0]:.4f}.")
    reached("values")
    for shift, word in ((-1500.0, "−1500"), (900.0, "+900")):
        found = run(log_px + shift, log_pz, log_qz)
        if not np.isfinite(found).all():
            wrong(
                f"With ratios near e^{word} your bound is {found[0]:g}: exp "
                "leaves the range of floats. Subtract the largest logarithm "
                "of the row, exponentiate, add it again (log-sum-exp)."
            )
        if not np.allclose(found, right + shift, atol=2e-3):
            wrong(
                f"Adding {shift:g} to every log p(x|z) should add it to the "
                "bound; yours changed otherwise. Is one maximum (or a small "
                "constant) used for all rows?"
            )
    spread = np.linspace(-3000.0, 0.0, n)[:, None]
    found = run(log_px + spread, log_pz, log_qz)
    if not np.allclose(found, right + spread[:, 0], atol=2e-3):
        wrong(
            "With rows of very different size the small ones are lost: each "
            "row needs a maximum of its own (`axis=1, keepdims=True`)."
        )
    alone = np.zeros((n, size))
    alone[:, 0] = -8000.0  # a mean of the row is no maximum
    found = run(log_px + alone, log_pz, log_qz)
    rest = np.logaddexp.reduce(ratio[:, 1:], axis=1) - np.log(size)
    if not np.allclose(found, rest, atol=2e-3):
        wrong(
            "With one ratio of a row near e^−8000 and the others as before the "
            f"bound is {rest[0]:.4f}, not {found[0]:g}: subtract the row's "
            "*largest* logarithm, not its mean or its first."
        )
    few = log_px[:, :3], log_pz[:, :3], log_qz[:, :3]
    fewer = np.logaddexp.reduce(ratio[:, :3], axis=1) - np.log(3)
    if not np.allclose(run(*few), fewer, atol=2e-3):
        wrong(
            f"Right for {size} samples and wrong for 3: S is the length of "
            "axis 1, not a number written into the function."
        )
    correct("4.5", "What is the bound for S = 1?")


# ---------------------------------------------------------------- 4.6

RUNS = ("summed", "pixel mean", "warm-up", "free bits")
ACTIVE = 0.01  # variance of a unit's mean over the data (Burda et al. 2016)


def _active(model, x):
    """Fewest and most units that may be called active, by both margins."""
    variance = as_values(call(model.encode, x), "A code").var(axis=0)
    return int((variance > 2 * ACTIVE).sum()), int(
        (variance > ACTIVE / 2).sum()
    )


def _steps(model):
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return 0
    return int(ops.convert_to_numpy(optimizer.iterations))


def _check_run(name, model):
    """One of the four VAEs: its β, its cure, and that it was trained."""
    known = ("encode", "beta", "warmup_steps", "free_bits")
    shape = getattr(model, "event_shape", None)
    if shape != (8, 8, 1) or not all(hasattr(model, part) for part in known):
        wrong(
            f"models[{name!r}] should be a VAE of the digits, (8, 8, 1); "
            f"received {type(model).__name__}."
        )
    if model.latent_dim != 8:
        wrong(f"{name!r} has a code of width {model.latent_dim}, not 8.")
    beta = 1.0 if name == "summed" else 64.0
    if not np.isclose(model.beta, beta):
        why = (
            "A mean over 64 pixels beside a summed KL is β = 64."
            if beta > 1
            else "Sums in both terms are β = 1."
        )
        if name in ("warm-up", "free bits"):
            why = (
                "The cure is tried on the *same* loss, or one cannot tell "
                "which of two changes helped: β = 64."
            )
        wrong(f"{name!r} has β = {model.beta:g}. {why}")
    for option, owner in (("warmup_steps", "warm-up"), ("free_bits", RUNS[3])):
        value = getattr(model, option)
        if bool(value) != (name == owner):
            wrong(
                f"{name!r} has {option} = {value:g}. One change at a time: "
                f"only {owner!r} has it, with a value above 0."
            )
    if name == "free bits" and not np.isclose(model.free_bits, 0.5):
        wrong(
            f"'free bits' leaves {model.free_bits:g} nats a unit free; half a "
            "nat is asked for, and with next to nothing there is no cure."
        )
    if name == "warm-up" and model.warmup_steps < 20:
        wrong(
            f"A warm-up of {model.warmup_steps} steps is none: let β grow over "
            "the first 100 steps."
        )
    steps = _steps(model)
    if steps < 100:
        wrong(f"{name!r} was trained for {steps} steps; take 200 or so.")
    if model.warmup_steps > 0.7 * steps:
        wrong(
            f"Of {steps} steps {model.warmup_steps} are warm-up: training "
            "ended while β was still low. That shows a small β, not what "
            "warming up does; leave it a third of the steps at full β."
        )


def _check_alike(models):
    """Refuse runs that differ in more than one thing."""

    def shapes(model):
        return [tuple(w.shape) for w in model.trainable_variables]

    def rate(model):
        return str(model.optimizer.get_config().get("learning_rate"))

    first = models[RUNS[0]]
    if not any(64 in shape for shape in shapes(first)):
        wrong("The networks should have 64 hidden units: widths=(64,).")
    for name in RUNS[1:]:
        other = models[name]
        for what, read in (
            ("layers", shapes),
            ("seed", lambda model: model.seed),
            ("learning rate", rate),
            ("number of steps", _steps),
        ):
            if read(other) != read(first):
                wrong(
                    f"{name!r} and 'summed' differ in their {what} as well. "
                    "One change at a time, or one cannot tell which helped."
                )


@one_sentence
def check_4_6(models, active, cures):
    """Collapse provoked, two cures tried, counted one by one."""
    models = as_dict(models, "models", RUNS)
    active = as_dict(active, "active", RUNS)
    x = data.load("digits").x_train
    counts = {}
    for name in RUNS:
        _check_run(name, models[name])
    _check_alike(models)
    for name in RUNS:
        counts[name] = _active(models[name], x)
    told = ", ".join(f"{name}: {low}" for name, (low, _) in counts.items())
    if counts["pixel mean"][1] > 0:
        wrong(f"Not collapsed yet ({told}): train a little longer.")
    if counts["summed"][0] < 4:
        wrong(
            f"Even with sums the code is hardly used ({told}). Train longer "
            "or with a larger learning rate: at first every VAE ignores its "
            "code."
        )
    claimed = {
        name: as_array(active[name], f"active[{name!r}]", ()) for name in RUNS
    }
    off = [
        name
        for name, (low, high) in counts.items()
        if not low <= claimed[name] <= high
    ]
    if off and all(value == 8 for value in claimed.values()):
        wrong(
            "Eight active units in *every* model, the collapsed one too: you "
            "looked at draws. Their noise varies even where nothing is "
            "said. Take the means: `model.encode(x).var(axis=0)`."
        )
    if off and all(claimed[name] == 8 - counts[name][0] for name in RUNS):
        wrong("You counted the *inactive* units.")
    if off and any(value % 1 for value in claimed.values()):
        wrong("An active unit counts one: compare each variance with 0.01.")
    if off:
        name = off[0]
        wrong(
            f"{name!r} has {counts[name][0]} active units, not "
            f"{claimed[name]:g}: units whose mean has a variance above 0.01 "
            "over the data."
        )
    cures = as_names(cures, "cures", RUNS[2:])
    good = {name for name in RUNS[2:] if counts[name][0] >= 4}
    if cures != good:
        more = ""
        if "warm-up" in cures - good:
            more = (
                " Warm-up helps a code that is lost on the way to a good "
                "optimum; at β = 64 the optimum itself has no code."
            )
        wrong(
            f"Active units: {told}. By the rule (at least 4 of 8) the cures "
            f"are {sorted(good)}, not {sorted(cures)}.{more}"
        )
    correct(
        "4.6",
        f"Active units: {told}. Which of the four would you hand to a user?",
    )


# ---------------------------------------------------------------- 4.7

JUSTIFIED = frozenset("BDF")
_SENTENCES = {
    "A": "A VAE is trained without labels and says nothing of classes. Its "
    "code may help a classifier, and that one needs labels.",
    "B": "Labels enter a semi-supervised VAE twice: the class is an input of "
    "encoder and decoder, and the labelled rows are targets of q(y | x).",
    "C": "Your own numbers contradict it: the plain autoencoder copies better "
    "and its draws lie farther from digits. Nothing in its loss speaks of "
    "codes that no training row has.",
    "D": "It is what you measured, on these digits, by these two numbers, and "
    "claims no more.",
    "E": "A KL of zero is the *lowest* price and buys nothing: q(z | x) is "
    "the prior for every x. That is collapse.",
    "F": "If q(z | x) = p(z) for every x, then x and z are independent under "
    "the encoder.",
    "G": "Both are bounds: log p(x) = ELBO + gap, and the gaps are unknown. "
    "An importance-weighted bound of both would say more.",
    "H": "A Bernoulli cross-entropy is never negative on [0, 1]. Below zero "
    "it says that the targets left that range, and nothing else.",
}


def _judged(images, digits):
    """Distance to digits, in units of that of unseen ones; spread."""
    images = images.reshape(len(images), 64).astype("float64")
    train, test = (
        rows.reshape(len(rows), 64).astype("float64")
        for rows in (digits.x_train, digits.x_test)
    )
    far = nearest(images, train)[1].mean() / nearest(test, train)[1].mean()
    return np.array([far, images.std(axis=0).mean()])


def _decoded(name, model, z):
    """What a model decodes from prior draws: shape and range checked."""
    images = as_values(call(model.decode, z), "A decoded code")
    if images.ndim > 4 or images.size != len(z) * 64:
        wrong(
            f"{len(z)} codes decoded by `{name}` should give {len(z)} images "
            f"of 64 pixels; the shape is {images.shape}."
            f"{_repeated(images, len(z))}"
        )
    if images.min() < -1e-4 or images.max() > 1 + 1e-4:
        wrong(
            f"`{name}` decodes values from {images.min():.2f} to "
            f"{images.max():.2f}; the digits lie in [0, 1]. Standardised "
            "data, or logits instead of probabilities?"
        )
    return images


@one_sentence
def check_4_7(autoencoder, vae, numbers, justified):
    """Both decoders fed with N(0, I), measured, and judged in words."""
    models = {"autoencoder": autoencoder, "vae": vae}
    for name, model in models.items():
        if not all(hasattr(model, v) for v in ("encode", "decode")):
            wrong(
                f"`{name}` should be a trained model with encode and decode; "
                f"received {kind(model)}."
            )
    digits = data.load("digits")
    rng = np.random.default_rng(0)
    right, copies, widths = {}, {}, {}
    for name, model in models.items():
        codes = as_values(call(model.encode, digits.x_test), "The codes")
        if codes.ndim != 2 or len(codes) != len(digits.x_test):
            wrong(f"`{name}` should give one code a row, not {codes.shape}.")
        width = codes.shape[1]
        z = rng.standard_normal((1000, width)).astype("float32")
        right[name] = _judged(_decoded(name, model, z), digits)
        copies[name] = _judged(
            _decoded(name, model, call(model.encode, digits.x_test)), digits
        )
        widths[name] = width
    if hasattr(autoencoder, "elbo"):
        wrong("`autoencoder` draws its code: that is a VAE.")
    if isinstance(vae, Autoencoder) and not hasattr(vae, "sample"):
        wrong("`vae` is a plain autoencoder: no prior, no draw, no KL.")
    if len(set(widths.values())) > 1:
        wrong(
            f"The codes have {widths['autoencoder']} and {widths['vae']} "
            "numbers. Networks alike, or one cannot tell what the draw and "
            "the KL did."
        )
    if copies["autoencoder"][1] < 0.5 * sample_spread(digits.x_test):
        wrong(
            "The autoencoder's copies of the test digits hardly differ "
            f"(spread {copies['autoencoder'][1]:.3f}): train it first. A "
            "comparison with an untrained model shows nothing."
        )
    if right["vae"][1] < 0.08:
        wrong(
            f"The VAE's draws hardly differ (spread {right['vae'][1]:.3f}): "
            "it is collapsed or hardly trained. Is β = 1, with pixels summed?"
        )
    if right["vae"][0] >= right["autoencoder"][0]:
        wrong(
            f"The VAE's draws lie {right['vae'][0]:.2f} times as far from "
            "digits as unseen digits do, the autoencoder's "
            f"{right['autoencoder'][0]:.2f}: train the VAE longer."
        )
    numbers = as_dict(numbers, "numbers", tuple(models))
    for name in models:
        given = as_array(numbers[name], f"numbers[{name!r}]", (2,))
        _check_judgement(name, given, right[name], copies[name])
    _check_sentences(justified)
    correct(
        "4.7",
        "Which draw would score perfectly by the first number, and be "
        "useless by the second?",
    )


def _check_judgement(name, given, right, copies):
    """The two numbers of a model, with the margin of 500 draws."""
    if np.allclose(given, right, rtol=0.06):
        return
    if np.allclose(given, right[::-1], rtol=0.06):
        wrong("The pair is (distance, spread), in this order.")
    if np.allclose(given, copies, rtol=0.06):
        wrong(
            f"These are the numbers of `{name}`'s *reconstructions*: its "
            "decoder was fed with codes of real digits. Feed it with draws "
            "from N(0, I): that is what generating means."
        )
    wrong(
        f"Of 1 000 draws of `{name}` the distance is {right[0]:.2f} times "
        f"that of unseen digits and the spread {right[1]:.3f}; yours are "
        f"{given[0]:.2f} and {given[1]:.3f}. Decode z ~ N(0, I), not scaled."
    )


def _check_sentences(justified):
    if isinstance(justified, np.ndarray):
        justified = justified.ravel().tolist()
    letters = (str, list, tuple, set, frozenset)
    if isinstance(justified, str):  # "BDF", "b d f", "B, D and F"
        words = re.findall(r"\w+", justified.upper())
        justified = "".join(word for word in words if word != "AND")
    if not isinstance(justified, letters) or not set(justified) <= set(
        _SENTENCES
    ):
        wrong('`justified` is a string of letters from A to H, such as "AH".')
    for letter in sorted(set(justified) ^ JUSTIFIED):
        verdict = "is not" if letter in justified else "is"
        wrong(f"Sentence {letter} {verdict} justified. {_SENTENCES[letter]}")


# ---------------------------------------------------------------- 4.8


def _squared_distances(vectors, book):
    """Of each vector to each row of the book."""
    return ((vectors[:, None] - book) ** 2).sum(axis=2)


@one_sentence
def check_4_8(answer):
    """The nearest row of a book, and a gradient that passes it by."""
    rng = np.random.default_rng(8)
    n, width, size = 7, 3, 5
    book = rng.normal(0, 1, (size, width)).astype("float32")
    book[0] *= 1.5  # a long row: largest product is not nearest
    vectors = rng.normal(0, 1, (n, width)).astype("float32")
    apart = _squared_distances(vectors, book)
    index, chosen = apart.argmin(axis=1), book[apart.argmin(axis=1)]

    def run(vectors, book):
        made = call(answer, vectors, book)
        if made is None:
            wrong("Your function returns None: did you forget the `return`?")
        return as_parts(made, "rows", "indices")

    inputs = ops.convert_to_tensor(vectors), ops.convert_to_tensor(book)
    rows, found = run(*inputs)
    rows = as_values(rows, "The rows")
    found = as_values(found, "The indices")
    if rows.shape == (n,) and found.shape == (n, width):
        wrong("The rows come first, then their indices.")
    if found.shape == (n, size):
        wrong("The indices are one number a vector: argmin over the rows.")
    if found.shape != (n,):
        wrong(f"The indices should have shape ({n},), not {found.shape}.")
    if rows.shape != (n, width):
        wrong(f"The rows should have shape {(n, width)}, not {rows.shape}.")
    reached("shape")
    name_value(
        found,
        (
            (apart.argmax(axis=1), "That is the *farthest* row: argmin."),
            (
                (vectors @ book.T).argmax(axis=1),
                "You took the largest product, which favours long rows. "
                "Nearest is the smallest squared distance; ‖e‖² is in it.",
            ),
        ),
    )
    if not np.array_equal(found, index):
        wrong(
            f"The nearest rows are {index.tolist()}, by squared distance; "
            f"yours are {found.astype(int).tolist()}."
        )
    name_value(
        rows,
        (
            (
                vectors,
                "The values are those of the vectors: nothing is quantised. "
                "Add the difference to the chosen row with its gradient cut.",
            ),
        ),
    )
    if not np.allclose(rows, chosen, atol=1e-5):
        wrong("The indices are right, but the rows are not book[indices].")
    weights = ops.convert_to_tensor(
        rng.normal(0, 1, (n, width)).astype("float32")
    )

    def weighted(vectors, book):
        made = run(vectors, book)[0]
        return ops.cast(made, weights.dtype) * weights

    reached("values")
    by_vectors = slope(lambda v: weighted(v, inputs[1]), inputs[0])
    by_book = slope(lambda b: weighted(inputs[0], b), inputs[1])
    if not np.any(by_vectors):
        wrong(
            "No gradient reaches the vectors: the choice has none. Write "
            "vectors + stop_gradient(rows − vectors)."
        )
    expected = ops.convert_to_numpy(weights)
    if not np.allclose(by_vectors, expected, atol=1e-4):
        wrong(
            "The gradient by the vectors should be that of the output, "
            "unchanged, as if nothing had been chosen."
        )
    if np.abs(by_book).max() > 1e-5:
        wrong(
            "A gradient reaches the book as well. The reconstruction must not "
            "move it: that is what the two distances of the loss are for."
        )
    longer = rng.normal(0, 1, (9, 4)).astype("float32")
    other = rng.normal(0, 1, (3, 4)).astype("float32")
    other[0] = longer[8]  # the last row is one of the nearest
    nearest = _squared_distances(other, longer).argmin(axis=1)
    _, found = run(*map(ops.convert_to_tensor, (other, longer)))
    if not np.array_equal(as_values(found, "The indices"), nearest):
        wrong(
            f"Right for {n} vectors and a book of {size} rows, wrong for 3 "
            "and 9: is a size written into your function?"
        )
    correct("4.8", "What moves a row of the book that no vector chooses?")
