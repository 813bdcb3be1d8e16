"""Checks of chapter 7d: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops

from utils.checks import chapter_07d
from utils.models import diffusion

checks = Watched(chapter_07d)

# ---------------------------------------------------------------- 7d.1

RIGHT = [1.1, 0.2, 38, 4.0]


@pytest.mark.parametrize(
    "answer", [RIGHT, tuple(RIGHT), np.float32(RIGHT), [[v] for v in RIGHT]]
)
def test_check_7d_1_right_numbers_pass(answer, capsys):
    checks.check_7d_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "place, value, match",
    [
        (0, -0.4, "wrong way"),
        (0, 1.4, "starts at the told"),
        (0, 1.5, "difference is weighted"),
        (0, 0.9, "lacks the untold"),
        (1, 0.5, "ignores the label"),
        (2, 19, "asks twice"),
        (2, 20, "two slopes"),
        (2, 40, "Euler's"),
        (2, 36, "lacks the last step"),
        (3, -1.0, "walks away"),
        (3, -2.5, "the velocity"),
        (3, 9.0, "formula first"),
    ],
)
def test_check_7d_1_wrong_numbers_are_named(place, value, match):
    answer = [value if i == place else v for i, v in enumerate(RIGHT)]
    rejects(checks.check_7d_1, answer, match=match)


# ---------------------------------------------------------------- 7d.2


@pytest.mark.parametrize(
    "answer",
    [
        lambda u, c, w: (1 - w) * u + w * c,
        lambda u, c, w: (u + w * (c - u)).tolist(),
        lambda u, c, w: ops.convert_to_tensor(u + w * (c - u)),
        lambda u, c, w: c + (w - 1) * (c - u),
        lambda u, c, w: np.float16(u + w * (c - u)),
    ],
)
def test_check_7d_2_right_guesses_pass(answer, capsys):
    checks.check_7d_2(answer)
    assert "correct" in capsys.readouterr().out


def guided_in_place(untold, told, w):
    untold += w * (told - untold)
    return untold


@pytest.mark.parametrize(
    "answer, match",
    [
        (guided_in_place, "make a copy"),
        (lambda u, c, w: u - w * (c - u), "The sign"),
        (lambda u, c, w: c + w * (c - u), "convention"),
        (lambda u, c, w: c + w * (u - c), "changed places"),
        (lambda u, c, w: w * (c - u), "where is it"),
        (lambda u, c, w: w * c, "untold guess enter"),
        (lambda u, c, w: u + w * c, "Weigh the difference"),
        (lambda u, c, w: c, "w is not used"),
        (lambda u, c, w: u, "untold guess alone"),
        (lambda u, c, w: c + 3.0, "it is not untold"),
        (lambda u, c, w: 0.0, "shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7d_2_wrong_guesses_are_named(answer, match):
    rejects(checks.check_7d_2, answer, match=match)


# ---------------------------------------------------------------- 7d.3


def one_at_a_time(labels, chance, share, num_classes):
    return [
        num_classes if c < share else int(label)
        for label, c in zip(labels, chance, strict=True)
    ]


def by_mask(labels, chance, share, num_classes):
    found = np.array(labels, "float64")
    found[chance < share] = num_classes
    return found


def by_tensors(labels, chance, share, num_classes):
    labels = ops.convert_to_tensor(labels)
    mask = ops.convert_to_tensor(chance < share)
    return ops.where(mask, ops.full_like(labels, num_classes), labels)


@pytest.mark.parametrize("answer", [one_at_a_time, by_mask, by_tensors])
def test_check_7d_3_right_labels_pass(answer, capsys):
    checks.check_7d_3(answer)
    assert "correct" in capsys.readouterr().out


def in_place(labels, chance, share, num_classes):
    labels[chance < share] = num_classes
    return labels


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda y, c, s, n: np.where(c < s, 0, y), "not class 0"),
        (lambda y, c, s, n: np.where(c < s, -1, y), "not −1"),
        (lambda y, c, s, n: np.where(c < s, n - 1, y), "the last class"),
        (lambda y, c, s, n: np.where(c < s, y, n), "what should be kept"),
        (lambda y, c, s, n: y, "No label is withheld"),
        (lambda y, c, s, n: np.full(len(y), n), "All labels"),
        (in_place, "make a copy"),
        (lambda y, c, s, n: np.where(c <= s, n, y), "not below it"),
        (lambda y, c, s, n: np.where(c < s, 5, y), "argument num_classes"),
        (lambda y, c, s, n: np.where(c < s, n, y + 1), "have changed"),
        (lambda y, c, s, n: np.where(c < s, 99, y), "Wrong labels"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7d_3_wrong_labels_are_named(answer, match):
    rejects(checks.check_7d_3, answer, match=match)


# ---------------------------------------------------------------- 7d.4


def by_library(denoiser, x, times, truth, known):
    def guess(x_t, t):
        return np.where(known, truth, denoiser(x_t, t))

    return diffusion.ddim(guess, x, times)


def by_euler(denoiser, x, times, truth, known):
    def velocity(x_t, t):
        return (x_t - np.where(known, truth, denoiser(x_t, t))) / t

    return diffusion.euler(velocity, x, times).tolist()


def recursive(denoiser, x, times, truth, known):
    if len(times) == 1:
        return x
    now, then, *_ = times
    guess = np.array(denoiser(x, now))
    guess[:, known] = truth[:, known]
    noise = (x - (1 - now) * guess) / now
    following = (1 - then) * guess + then * noise
    return recursive(denoiser, following, times[1:], truth, known)


@pytest.mark.parametrize("answer", [by_library, by_euler, recursive])
def test_check_7d_4_right_walks_pass(answer, capsys):
    checks.check_7d_4(answer)
    assert "correct" in capsys.readouterr().out


def made(kind):
    return lambda *arguments: chapter_07d._filled(*arguments, kind)


def truth_in_place(denoiser, x, times, truth, known):
    filled = by_library(denoiser, x, times, truth, known)
    truth[:] = filled
    return truth


def in_halves(*arguments):
    return np.float16(by_library(*arguments))


def test_check_7d_4_takes_half_precision(capsys):
    checks.check_7d_4(in_halves)
    assert "correct" in capsys.readouterr().out


def early(denoiser, x, times, truth, known):
    return by_library(denoiser, x, times[:-1], truth, known)


@pytest.mark.parametrize(
    "answer, match",
    [
        (made("inverted"), "turned around"),
        (made("in the row"), "into the noisy row"),
        (made("at the end"), "at the end"),
        (made("never"), "never used"),
        (made("old noise"), "before its entries"),
        (made("no noise"), "missing"),
        (early, "one step early"),
        (truth_in_place, "make a copy"),
        (lambda d, x, *more: x, "Not the walk"),
        (lambda *more: None, "None"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7d_4_wrong_walks_are_named(answer, match):
    rejects(checks.check_7d_4, answer, match=match)


# ---------------------------------------------------------------- 7d.5


def by_coefficients(z, x, t):
    a, s, p, q = (part[:, None] for part in diffusion.coefficients(t))
    return [(a * x + s * z).tolist(), (p * x + q * z).tolist()]


def stacked(z, x, t):
    return np.stack([x + t[:, None] * (z - x), z - x]).astype("float32")


def of_tensors(z, x, t):
    z, x = map(ops.convert_to_tensor, (z, x))
    t = ops.convert_to_tensor(t[:, None])
    return x + t * (z - x), z - x


def of_halves(z, x, t):
    return [np.float16(part) for part in stacked(z, x, t)]


def over_x(z, x, t):
    noisy, velocity = stacked(z, x, t)
    x[:] = noisy
    return x, velocity


@pytest.mark.parametrize(
    "answer", [by_coefficients, stacked, of_tensors, of_halves]
)
def test_check_7d_5_right_pairs_pass(answer, capsys):
    checks.check_7d_5(answer)
    assert "correct" in capsys.readouterr().out


def fresh(z, x, t, rng=np.random.default_rng(0)):  # noqa: B008
    return stacked(rng.standard_normal(z.shape), x, t)


@pytest.mark.parametrize(
    "answer, match",
    [
        (over_x, "make a copy"),
        (lambda z, x, t: (stacked(x, z, t)[0], z - x), "exchanged"),
        (lambda z, x, t: (x + t[:, None] * z, z - x), "shrinks"),
        (lambda z, x, t: stacked(z, x, t)[::-1], "comes first"),
        (lambda z, x, t: (stacked(z, x, t)[0], x - z), "The sign"),
        (lambda z, x, t: (stacked(z, x, t)[0], z), "That is the noise"),
        (lambda z, x, t: (stacked(z, x, t)[0], x), "That is the row"),
        (lambda z, x, t: (a := stacked(z, x, t)[0], z - a), "whole path"),
        (fresh, "fresh noise"),
        (lambda z, x, t: stacked(z[::-1], x, t), "its own z"),
        (lambda z, x, t: z, "2 things"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7d_5_wrong_pairs_are_named(answer, match):
    rejects(checks.check_7d_5, answer, match=match)


# ---------------------------------------------------------------- 7d.6


@pytest.mark.parametrize(
    "answer",
    [
        lambda z, m, d, f: f(z * d + m),
        lambda z, m, d, f: f(z @ np.diag(d) + m).tolist(),
        lambda z, m, d, f: np.concatenate([f(r[None] * d + m) for r in z]),
        lambda z, m, d, f: ops.convert_to_tensor(f(m + d * z)),
        lambda z, m, d, f: np.float16(f(m + d * z)),
    ],
)
def test_check_7d_6_right_images_pass(answer, capsys):
    checks.check_7d_6(answer)
    assert "correct" in capsys.readouterr().out


def scaled_in_place(z, mean, deviation, decode):
    z *= deviation
    z += mean
    return decode(z)


@pytest.mark.parametrize(
    "answer, match",
    [
        (scaled_in_place, "make a copy"),
        (lambda z, m, d, f: f(z), "still standardised"),
        (lambda z, m, d, f: f((z - m) / d), "once more"),
        (lambda z, m, d, f: f((z + m) * d), "First times"),
        (lambda z, m, d, f: f(z * d), "mean is missing"),
        (lambda z, m, d, f: f(z * m + d), "changed places"),
        (lambda z, m, d, f: f(z * d - m), "mean is added"),
        (lambda z, m, d, f: f(z + m), "deviation is missing"),
        (lambda z, m, d, f: f(z / d + m), "on the way back"),
        (lambda z, m, d, f: f(z * d**2 + m), "variance"),
        (lambda z, m, d, f: z * d + m, "decode them"),
        (lambda z, m, d, f: f(z * d + m) + 1, "Not decode"),
        (stub, "waits for your answer"),
    ],
)
def test_check_7d_6_wrong_images_are_named(answer, match):
    rejects(checks.check_7d_6, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
