"""Checks of chapter 2, autoencoders."""

import numpy as np

from utils import data, metrics
from utils.checks._feedback import (
    as_array,
    as_number,
    as_values,
    call,
    correct,
    nearest,
    one_sentence,
    wrong,
)


@one_sentence
def check_2_1(answer):
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
            "2.1",
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


class _TinyModel:
    """A fitted PCA that answers like a trained autoencoder."""

    latent_dim = 3

    def __init__(self, x):
        self.mean = x.mean(axis=0)
        self.w = np.linalg.svd(x - self.mean, full_matrices=False)[2][:3].T
        self.event_shape = x.shape[1:]
        self.encoder = _Network(self.encode)
        self.decoder = _Network(self.decode)

    def encode(self, x):
        return (np.asarray(x) - self.mean) @ self.w

    def encoded(self, x, training=False):
        return self.encode(x)

    def decode(self, z):
        return self.mean + np.asarray(z) @ self.w.T

    def reconstruct(self, x):
        return self.decode(self.encode(x))

    def __call__(self, x, training=False):
        return {"code": self.encode(x), "reconstruction": self.reconstruct(x)}

    def predict(self, x, batch_size=None, verbose="auto", steps=None):
        return self(x)


class _Network:
    """The encoder or decoder of a :class:`_TinyModel`."""

    def __init__(self, function):
        self.function = function

    def __call__(self, x, training=False):
        return self.function(x)

    def predict(self, x, batch_size=None, verbose="auto", steps=None):
        return self.function(x)


@one_sentence
def check_2_2(answer):
    """Codes, not reconstructions."""
    x = np.random.default_rng(0).standard_normal((20, 6))
    model = _TinyModel(x)
    result = call(answer, model, x)
    if isinstance(result, dict):
        wrong(
            "You returned the whole dictionary of `predict`. It names two "
            "products; pick the one that is the reduced form."
        )
    result = as_array(result, "The reduced data")
    if result.shape == x.shape:
        wrong(
            "Your rows are as wide as the input: that is the reconstruction. "
            "Nothing has been reduced. The reduced form is the code."
        )
    result = as_array(result, "The reduced data", (20, 3))
    if not np.allclose(result, model.encode(x), atol=1e-5):
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
    try:
        answer(x, x_hat[:1])
    except ValueError:
        correct(
            "2.3",
            "Which of the two axes would you average if the "
            "loss had a second term?",
        )
        return
    except Exception as error:
        wrong(
            "Arrays of different shape should raise a ValueError; yours "
            f"raises {type(error).__name__}."
        )
    wrong(
        "x of shape (6, 4, 4, 1) with x_hat of shape (1, 4, 4, 1) gave a "
        "number: the one reconstruction was broadcast to six rows. Compare "
        "the shapes first and raise a ValueError."
    )


@one_sentence
def check_2_4(answer):
    """Noisy input, clean target, fresh noise for every row."""
    rng = np.random.default_rng(0)
    clean = rng.uniform(0.4, 0.6, size=(400, 5, 5, 1))
    x = clean.copy()
    result = call(answer, x, 0.1, np.random.default_rng(1))
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        wrong("Return two arrays, (input, target).")
    if not np.array_equal(x, clean):
        wrong(
            "Your function changed the array it was given (`x += …` works in "
            "place). Build a new array: the caller's clean images are gone."
        )
    noisy = as_array(result[0], "The input", clean.shape)
    target = as_array(result[1], "The target", clean.shape)
    if np.allclose(noisy, clean):
        if np.allclose(target, clean):
            wrong("Neither of the two arrays is noisy.")
        wrong(
            "You swapped the two: the network *sees* the noisy image and is "
            "*scored against* the clean one."
        )
    if not np.allclose(target, clean, atol=1e-6):
        wrong(
            "The target is noisy. Scored against noise, the network learns to "
            "reproduce noise; the target is the clean image."
        )
    noise = noisy - clean
    if np.allclose(noise[0], noise[1]):
        wrong(
            "Every row got the same noise, a constant that a bias removes. "
            "Draw noise of the full shape of x."
        )
    if abs(noise.mean()) > 0.02:
        wrong(
            f"The noise has mean {noise.mean():.2f}: use a Gaussian, centred "
            "on 0, not uniform numbers."
        )
    if not 0.09 < noise.std() < 0.11:
        wrong(
            f"With sigma = 0.1 the noise has standard deviation "
            f"{noise.std():.3f}. Multiply a standard normal by sigma (not by "
            "its square or its root)."
        )
    again = call(answer, clean.copy(), 0.1, np.random.default_rng(2))
    if np.allclose(again[0], noisy):
        wrong(
            "Another generator gave the same noise: draw from the `rng` that "
            "is passed in, not from one with a fixed seed inside."
        )
    correct("2.4", "How would you write masking noise instead?")


@one_sentence
def check_2_5(answer):
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
        wider = as_number(call(answer, x_train, x_test, 4), "The error")
        if not np.isclose(wider, error(x_train, k=4), rtol=1e-4):
            wrong("Right for k = 2, wrong for k = 4: is k used everywhere?")
        correct("2.5", "How small can this error get, and at which k?")
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


@one_sentence
def check_2_6(answer):
    """A trained autoencoder with eight code units that beats PCA clearly."""
    verbs = ("encode", "reconstruct")
    if not all(hasattr(answer, verb) for verb in verbs):
        wrong(
            "Pass the trained model itself, with `encode` and `reconstruct`; "
            f"received {type(answer).__name__}."
        )
    digits = data.load("digits")
    flat = digits.flat()
    shape = tuple(getattr(answer, "event_shape", digits.event_shape))
    if shape not in (digits.event_shape, flat.event_shape):
        wrong(f"The digits are 8 × 8; your model takes rows of shape {shape}.")
    x_train = digits.x_train.reshape(-1, *shape)
    x_test = digits.x_test.reshape(-1, *shape)
    width = np.asarray(call(answer.encode, x_test[:1])).size
    if width != 8:
        wrong(
            f"Your code has {width} units. A wider code makes any "
            "model better, PCA included: the comparison is at 8."
        )
    mean = flat.x_train.mean(axis=0)
    w = np.linalg.svd(flat.x_train - mean, full_matrices=False)[2][:8].T
    x_hat = mean + (flat.x_test - mean) @ w @ w.T
    pca = metrics.mse(flat.x_test, x_hat)
    reconstruction = answer.reconstruct(x_test)
    error = metrics.mse(x_test, reconstruction)
    on_train = metrics.mse(x_train, answer.reconstruct(x_train))
    constant = metrics.mse(
        x_test, np.broadcast_to(mean.reshape(shape), x_test.shape)
    )
    if error > 0.98 * constant:
        wrong(
            f"Test error {error:.4f} is no better than the mean image's "
            f"{constant:.4f}. Was the model trained? On rows in [0, 1]?"
        )
    if error < 0.9 * on_train:
        wrong(
            f"The error on test rows ({error:.4f}) is lower than on training "
            f"rows ({on_train:.4f}). Did the model see the test rows? Fit on "
            "x_train only."
        )
    if error > pca * 2 / 3:
        hint = (
            "the training error is low, so it overfits: try fewer epochs, a "
            "smaller network, or a denoising autoencoder"
            if on_train < pca / 3
            else "the training error is high too: train longer, with a higher "
            "learning rate or a wider hidden layer, or use "
            "likelihood=Bernoulli()"
        )
        wrong(
            f"Test error {error:.4f} is {error / pca:.2f} of PCA's {pca:.4f}; "
            f"{hint}."
        )
    correct("2.6", "How far down can you go? Half of PCA's error is possible.")


def _digit_codes():
    """PCA codes of the digits: clustered, correlated, not centred."""
    flat = data.load("digits").flat()
    mean = flat.x_train.mean(axis=0)
    w = np.linalg.svd(flat.x_train - mean, full_matrices=False)[2][:6].T
    shift = np.arange(6) / 2.0
    return (flat.x_train - mean) @ w + shift, (flat.x_test - mean) @ w + shift


@one_sentence
def check_2_7(answer):
    """New codes that lie where real codes lie."""
    codes, unseen = _digit_codes()
    count = 300
    drawn = call(answer, codes.copy(), count, np.random.default_rng(0))
    drawn = as_array(drawn, "The codes", (count, codes.shape[1]))
    again = call(answer, codes.copy(), count, np.random.default_rng(1))
    if np.allclose(drawn, as_array(again, "The codes", drawn.shape)):
        wrong("Two generators gave the same codes: draw from the `rng` given.")
    distance = nearest(drawn, codes)[1]
    if np.mean(distance < 1e-6) > 0.02:
        wrong(
            "Some of your codes are copies of training codes. They decode to "
            "reconstructions of training digits, not to new ones."
        )
    spread = drawn.std(axis=0) / codes.std(axis=0)
    if spread.min() < 0.5:
        wrong(
            "Your codes cover only part of the data: their spread is "
            f"{spread.min():.2f} of the real codes' in some direction. Codes "
            "near the mean decode to a blur of all digits."
        )
    real = nearest(unseen, codes)[1].mean()
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
    correct(
        "2.7",
        f"Yours lie {ratio:.2f} times as far from real codes as unseen real "
        "ones do. Decode some with a trained model and look at them.",
    )
