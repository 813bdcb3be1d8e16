"""Checks of chapter 7d, steering and speed."""

import numpy as np

from utils.checks._feedback import (
    as_array,
    as_parts,
    call,
    close,
    correct,
    lettered_numbers,
    name_value,
    one_sentence,
    reached,
    unchanged,
    wrong,
)


@one_sentence
def check_7d_1(answer):
    """Two guided guesses, a count of evaluations, a landing place."""
    names = ("w = 3", "w = 0", "evaluations", "landing place")
    right = [1.1, 0.2, 38.0, 4.0]
    mistakes = [
        [
            (-0.4, "(a) goes the wrong way: from untold towards told."),
            (
                1.4,
                "(a) starts at the told guess: formula (1) starts at untold.",
            ),
            (1.5, "(a) is 3 times the told guess; the difference is weighted."),
            (
                0.9,
                "(a) lacks the untold guess that the difference is added to.",
            ),
        ],
        [
            (0.5, "(b): w = 0 ignores the label; w = 1 would be the told one."),
            (0.0, "(b): at w = 0 the untold guess itself remains."),
        ],
        [
            (19.0, "(c) counts unguided ones: guidance asks twice."),
            (20.0, "(c): Heun takes two slopes a step, each guided by two."),
            (40.0, "(c): the last step is Euler's, with one slope."),
            (36.0, "(c) lacks the last step: Euler's takes one slope, guided."),
            (39.0, "(c): the slope saved at the end was guided, by two."),
            (
                10.0,
                "(c): Heun takes two slopes a step, and guidance asks twice.",
            ),
        ],
        [
            (-1.0, "(d) walks away: from t = 1 to 0 the step is −1 times v."),
            (-2.5, "(d) is the velocity; the step starts at z."),
            (1.5, "(d): the row moves by −v."),
        ],
    ]
    hint = "Write the formula first."
    lettered_numbers(answer, names, right, mistakes, within=0.005, hint=hint)
    correct("7d.1", "What would (c) be at w = 1, cleverly programmed?")


@one_sentence
def check_7d_2(function):
    """The untold guess and w times the difference to the told one."""
    rng = np.random.default_rng(0)
    untold, told = rng.normal(size=(2, 3, 4))
    for w in (2.5, 0.0, 1.0):
        given = untold.copy(), told.copy()
        answer = call(function, *given, w)
        found = as_array(answer, f"The guess at w = {w:g}", (3, 4))
        unchanged(given, (untold, told), "untold or told")
        if close(answer, found, untold + w * (told - untold)):
            continue
        reached("shape")
        name_value(
            found,
            [
                (
                    untold + w * (untold - told),
                    "The sign: this leads away from the label.",
                ),
                (
                    told + w * (told - untold),
                    "That is the convention in which w = 0 is the model: ours "
                    "starts at the untold guess.",
                ),
                (
                    told + w * (untold - told),
                    "Told and untold have changed places.",
                ),
                (
                    w * (told - untold),
                    "The difference is added to the untold guess: where is it?",
                ),
                (w * told, "Where does the untold guess enter?"),
                (
                    untold + w * told,
                    "Weigh the difference told − untold, not the told guess.",
                ),
                (told, f"At w = {w:g} that is the told guess: w is not used."),
                (untold, f"At w = {w:g} that is the untold guess alone."),
                (untold + 2.5 * (told - untold), "w is not used."),
            ],
        )
        wrong(f"At w = {w:g} it is not untold + w (told − untold).")
    correct("7d.2", "Does it matter for which target it is done?")


@one_sentence
def check_7d_3(function):
    """Labels replaced by the number of classes where a draw is low."""
    rng = np.random.default_rng(1)
    labels, chance = rng.integers(0, 5, 40), rng.uniform(size=40)
    chance[:4] = 0.0, 0.3, 0.0, 0.3  # draws that equal a share
    for share, classes in ((0.3, 5), (0.0, 5), (0.4, 9)):
        given = labels.copy(), chance.copy()
        found = call(function, *given, share, classes)
        found = as_array(found, "The labels", (40,))
        reached("shape")
        unchanged(given, (labels, chance), "the labels or the draws")
        low = chance < share
        if np.array_equal(found, np.where(low, classes, labels)):
            continue
        name_value(
            found,
            [
                (
                    np.where(low, 0, labels),
                    "Withheld is not class 0: untold rows would be taught to "
                    "be zeros. It is a class of its own, num_classes.",
                ),
                (
                    np.where(low, -1, labels),
                    "Withheld is num_classes, not −1, which reads another row "
                    "of the table.",
                ),
                (
                    np.where(low, classes - 1, labels),
                    "num_classes − 1 is the last class: withheld is "
                    "num_classes.",
                ),
                (
                    np.where(low, labels, classes),
                    "You withhold what should be kept: below the share means "
                    "withheld.",
                ),
                (
                    np.where(chance > share, classes, labels),
                    "You withhold what should be kept: below the share means "
                    "withheld.",
                ),
                (
                    np.where(low, classes + 1, labels),
                    "The classes are 0 to C − 1, so withheld is C, "
                    "num_classes, not one more.",
                ),
                (
                    np.where(chance <= share, classes, labels),
                    "A draw equal to the share is not below it: with `<=` and "
                    "a share of 0 a draw of 0 withholds a label.",
                ),
                (
                    np.where(low, 5, labels),
                    f"With {classes} classes withheld is {classes}: use the "
                    "argument num_classes.",
                ),
                (labels, "No label is withheld."),
                (np.full(40, classes), "All labels are withheld."),
            ],
        )
        if set(np.unique(found[low])) == {classes}:
            wrong("The labels that are not withheld have changed.")
        wrong(f"Wrong labels at share = {share:g}: compare `chance < share`.")
    correct("7d.3", "What does share = 1 make of the model?")


def _filled(denoiser, x, times, truth, known, kind=""):
    """DDIM's walk with known entries, or what a mistake makes of it."""
    if kind == "inverted":
        known = ~known
    for now, then in zip(times[:-1], times[1:], strict=True):
        if kind == "in the row":
            x = np.where(known, truth, x)
        guess = denoiser(x, then if kind == "too late" else now)
        late = kind == "last guess" and then != times[-1]
        if kind not in ("in the row", "at the end", "never") and not late:
            guess = np.where(known, truth, guess)
        noise = (x - (1 - now) * guess) / now
        if kind == "old noise":
            noise = (x - (1 - now) * denoiser(x, now)) / now
        if kind == "no noise":
            noise = 0.0 * x
        x = (1 - then) * guess + then * noise
        if kind == "weights":
            x = then * guess + (1 - then) * noise
    if kind in ("at the end", "in the row"):
        x = np.where(known, truth, x)
    return x


@one_sentence
def check_7d_4(function):
    """Known entries replaced in each guess."""
    rng = np.random.default_rng(2)
    x, truth = rng.normal(size=(2, 6, 4))
    known = np.array([True, False, True, False])
    mix = rng.normal(size=(4, 4)) / 2

    def denoiser(x_t, t):
        return np.tanh(np.asarray(x_t) @ mix) * (1.5 - t)

    sayings = {
        "inverted": "The mask is turned around: known entries come from the "
        "truth.",
        "in the row": "You put clean entries into the noisy row. Put them into "
        "the guess of the clean row.",
        "at the end": "You paste the known entries at the end: the rest was "
        "drawn without knowing them.",
        "never": "The known entries are never used.",
        "old noise": "ε̂ is computed from the guess before its entries were "
        "replaced: use the replaced one.",
        "last guess": "The known entries enter the last guess alone: replace "
        "them in every guess.",
        "too late": "You ask for the guess at t'; x stands at t.",
        "weights": "The weights are exchanged: x at t' is (1 − t') x̂ + t' ε̂.",
        "no noise": "ε̂ is missing: x at t' is (1 − t') x̂ + t' ε̂.",
    }
    for times in ([1.0, 0.6, 0.3], [1.0, 0.7, 0.4, 0.0]):
        given = x.copy(), list(times), truth.copy(), known.copy()
        answer = call(function, denoiser, *given)
        found = as_array(answer, "The rows", (6, 4))
        right = _filled(denoiser, x, times, truth, known)
        unchanged(given, (x, times, truth, known), "x, times, truth or known")
        if close(answer, found, right):
            continue
        named = [
            (_filled(denoiser, x, times, truth, known, kind), told)
            for kind, told in sayings.items()
        ]
        early = _filled(denoiser, x, times[:-1], truth, known)
        named.append((early, "You stop one step early."))
        reached("shape")
        name_value(found, named)
        wrong(
            "Not the walk. Each step: guess, replace the known entries in the "
            "guess, ε̂ from it, then x at the next time."
        )
    correct("7d.4", "What changes with new noise at each step, as in DDPM?")


@one_sentence
def check_7d_5(function):
    """x_t and velocity from pairs."""
    rng = np.random.default_rng(3)
    z, x = rng.normal(size=(2, 5, 3))
    t = rng.uniform(0.1, 0.9, 5)
    given = z.copy(), x.copy(), t.copy()
    answers = as_parts(call(function, *given), "x_t", "velocity")
    noisy = as_array(answers[0], "x_t", (5, 3))
    target = as_array(answers[1], "The velocity", (5, 3))
    time = t[:, None]
    right = (1 - time) * x + time * z
    reached("shape")
    unchanged(given, (z, x, t), "z, x or t")
    if not close(answers[0], noisy, right):
        name_value(
            noisy,
            [
                (
                    (1 - time) * z + time * x,
                    "The ends are exchanged: the data stand at t = 0.",
                ),
                (x + time * z, "The row shrinks on its way: (1 − t) x + t z."),
                (z - x, "You return the velocity first: x_t comes first."),
            ],
        )
        again = call(function, z.copy(), x.copy(), t.copy())
        again = as_array(as_parts(again, "x_t", "velocity")[0], "x_t")
        if again.shape == noisy.shape and not np.allclose(again, noisy):
            wrong(
                "Your rows differ from call to call: fresh noise is the old "
                "training. Use the z that led to x."
            )
        wrong("Not x_t = (1 − t) x + t z, each row with its own z and t.")
    if not close(answers[1], target, z - x):
        name_value(
            target,
            [
                (x - z, "The sign of the velocity: its slope by t is z − x."),
                (z, "That is the noise; the target is the velocity."),
                (x, "That is the row; the target is the velocity."),
                (
                    z - right,
                    "That leads from x_t to the noise; the velocity is that "
                    "of the whole path, from x to z.",
                ),
                (
                    (z - x) / time,
                    "On a straight path the velocity does not depend on t.",
                ),
                (
                    (right - x) * time,
                    "On a straight path the velocity does not depend on t.",
                ),
            ],
        )
        wrong("Not the velocity of the straight path from x to its z.")
    correct("7d.5", "Would a second reflow help?")


@one_sentence
def check_7d_6(function):
    """Scale back, then decode."""
    rng = np.random.default_rng(4)
    z = rng.normal(size=(6, 3))
    mean, deviation = np.array([2.0, -1.0, 0.5]), np.array([3.0, 0.5, 2.0])
    table = rng.normal(size=(3, 4))

    def decode(codes):
        return np.tanh(np.asarray(codes) @ table)

    given = z.copy(), mean.copy(), deviation.copy()
    answer = call(function, *given, decode)
    found = as_array(answer, "The images")
    unchanged(given, (z, mean, deviation), "z, the mean or the deviation")
    codes = z * deviation + mean
    right = decode(codes)
    if found.shape == codes.shape and np.allclose(found, codes, atol=1e-5):
        wrong("These are the codes: decode them.")
    found = as_array(found, "The images", (6, 4))
    reached("shape")
    if not close(answer, found, right):
        name_value(
            found,
            [
                (decode(z), "The samples are still standardised: scale back."),
                (
                    decode((z - mean) / deviation),
                    "You standardised once more: the way back is z · deviation "
                    "+ mean.",
                ),
                (
                    decode((z + mean) * deviation),
                    "First times the deviation, then plus the mean.",
                ),
                (
                    decode(z * mean + deviation),
                    "Mean and deviation have changed places.",
                ),
                (decode(z * deviation - mean), "The mean is added."),
                (decode(z * deviation), "The mean is missing."),
                (decode(z + mean), "The deviation is missing."),
                (
                    decode(z / deviation + mean),
                    "You divide by the deviation: on the way back multiply.",
                ),
                (
                    decode(z * deviation**2 + mean),
                    "That is the variance: multiply by the deviation.",
                ),
                (
                    decode(z) * deviation.mean() + mean.mean(),
                    "Codes are scaled back before decoding, not images after.",
                ),
            ],
        )
        wrong("Not decode(z · deviation + mean).")
    correct("7d.6", "Why is the noise of deviation 1 in the first place?")
