"""Checks of chapter 6k, filling in and redrawing."""

import numpy as np
from keras import ops
from scipy.ndimage import grey_dilation

from utils import metrics
from utils.checks._feedback import (
    as_array,
    as_dict,
    as_number,
    as_values,
    call,
    correct,
    kind,
    name_value,
    one_sentence,
    reached,
    slope,
    wrong,
)
from utils.data import images


@one_sentence
def check_6k_1(answer):
    """Cycle consistency of both directions, mean absolute error."""
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 6, 4, 4, 1)).astype("float32")
    x_tensor, y_tensor = map(ops.convert_to_tensor, (x, y))

    def forward(t):
        return 1.3 * t + 0.1

    def backward(t):
        return t**2 - 0.2

    value = call(answer, x_tensor, y_tensor, forward, backward)
    value = as_number(as_values(value, "Your loss"), "Your loss")
    d_x, d_y = backward(forward(x)) - x, forward(backward(y)) - y
    both = np.abs(d_x).mean() + np.abs(d_y).mean()
    mistakes = [
        (np.abs(d_x).mean(), "Only x goes there and back; y has to as well."),
        (np.abs(d_y).mean(), "Only y goes there and back; x has to as well."),
        (
            np.abs(forward(x) - y).mean(),
            "That compares G(x) with y: it would need pairs, and there are "
            "none.",
        ),
        (
            np.abs(forward(x) - y).mean() + np.abs(backward(y) - x).mean(),
            "That compares G(x) with y and F(y) with x: it would need pairs, "
            "and there are none.",
        ),
        (
            np.mean(d_x**2) + np.mean(d_y**2),
            "These are squared errors; equation (2) has absolute ones.",
        ),
        (
            np.abs(forward(backward(x)) - x).mean()
            + np.abs(backward(forward(y)) - y).mean(),
            "F expects a y and G an x: the way of x is first G, then F.",
        ),
        (
            d_x.mean() + d_y.mean(),
            "Without absolute values errors of opposite sign cancel.",
        ),
        (
            both / 2,
            "Equation (2) has the sum of both directions, not the mean.",
        ),
        (16 * both, "Take the mean over pixels, not the sum."),
        (96 * both, "Take the mean over rows and pixels, not the sum."),
    ]
    if not np.isclose(value, both, rtol=1e-4):
        name_value(value, mistakes)
        wrong(
            f"{value:.4f} is not mean|F(G(x)) − x| + mean|G(F(y)) − y|, which "
            f"is {both:.4f} here."
        )
    reached("values")
    gradient = slope(
        lambda t: call(answer, t, y_tensor, forward, backward), x_tensor
    )
    if np.allclose(gradient, 0):
        wrong("No gradient reaches the translators: stay inside `keras.ops`.")
    correct("6k.1", "Which G and F have a loss of 0, besides copies?")


@one_sentence
def check_6k_2(models, errors):
    """Translators to serif from few and many letters, and their errors."""
    for given, what in ((models, "models"), (errors, "errors")):
        if not isinstance(given, dict) or not all(
            isinstance(count, (int, np.integer)) for count in given
        ):
            wrong(
                f"`{what}` should be a dict by the number of letters used, "
                f"such as {{10: …, 50: …}}; received {kind(given)}."
            )
    errors = as_dict(errors, "errors", tuple(models))
    if len(models) < 3 or min(models) > 20 or max(models) < 150:
        wrong("Take three numbers of letters at least, from ≤ 20 to ≥ 150.")
    letters, styles = images.load_glyphs()
    latin = np.array([c.isascii() and c.isalpha() for c in letters])
    x, y = styles["sans"][latin], styles["serif"][latin]
    copy = metrics.mse(y, x)
    measured = {}
    for count, model in models.items():
        if not hasattr(model, "translate"):
            wrong(f"models[{count}] has no `translate`: pass the model itself.")
        made = as_array(
            call(model.translate, x), f"models[{count}].translate", y.shape
        )
        measured[count] = metrics.mse(y, made)
        claimed = as_number(errors[count], f"errors[{count}]")
        if abs(claimed - measured[count]) > 0.02 * copy:
            wrong(
                f"errors[{count}] is {claimed:.4f}, and on the Latin letters I "
                f"measure {measured[count]:.4f}. Did you measure on the "
                "letters of the training, or restart one model and keep it "
                "under every number?"
            )
    few, many = min(models), max(models)
    if measured[many] > 0.85 * copy:
        wrong(
            f"From {many} letters the error is {measured[many] / copy:.0%} of "
            "that of copying: train longer, 384 steps of 16 letters or more."
        )
    if measured[many] >= measured[few]:
        wrong(
            f"{few} letters did no worse than {many}. Give all runs equally "
            "many steps and the same start, and change the letters alone."
        )
    correct(
        "6k.2",
        f"{measured[few] / copy:.0%} of the copying error from {few} letters, "
        f"{measured[many] / copy:.0%} from {many}. Now the same for bold: how "
        "few letters are enough?",
    )


_SOURCES = ("itself", "both made", "two collections", "nobody", "labels")
_TASKS = {
    "remove noise from photographs": (
        "itself",
        "Damage clean photographs yourself: the pairs are free.",
    ),
    "turn sketches into the photographs they were drawn from": (
        "both made",
        "Somebody drew each photograph: the pairs exist, and cost work.",
    ),
    "turn summer landscapes into winter": (
        ("two collections", "both made"),  # a webcam has the same view in both
        "Two piles of pictures are enough for cycle consistency; a webcam "
        "that stands still makes pairs.",
    ),
    "colour the grey photographs of an archive": (
        "itself",
        "Any colour photograph, made grey, is a pair.",
    ),
    "draw boxes around pedestrians": (
        "labels",
        "Boxes around *things* can be found without a person (6j); which "
        "of them are pedestrians, somebody has to say.",
    ),
    "split a picture into regions of similar colour": (
        "nobody",
        "Clustering asks for no target; the regions have no names.",
    ),
    "tell cats from dogs": (
        "labels",
        "Features may be learned without labels, the two names cannot.",
    ),
}


@one_sentence
def check_6k_3(answer):
    """Where the target of each task comes from."""
    if not isinstance(answer, dict):
        wrong(
            "Give a dictionary from each task to where its target comes from; "
            f"received {kind(answer)}."
        )
    missing = set(_TASKS) - set(answer)
    if missing:
        wrong(f"No answer for: {'; '.join(sorted(missing))}.")
    for task, (source, reason) in _TASKS.items():
        given = answer[task]
        if not isinstance(given, str) or given not in _SOURCES:
            wrong(
                f"“{task}”: choose one of {', '.join(_SOURCES)}; "
                f"received {kind(given)}."
            )
        if given not in ((source,) if isinstance(source, str) else source):
            wrong(f"“{task}”: not “{given}”. {reason}")
    correct(
        "6k.3",
        "Read an advertisement for an image model with this list at hand.",
    )


def _holes(seed=0):
    """Pictures with junk in their holes, the masks, complete rows."""
    rng = np.random.default_rng(seed)
    rows = rng.random((60, 12))
    x = rows[rng.integers(60, size=9)] + 0.1 * rng.standard_normal((9, 12))
    mask = np.zeros((9, 12))
    for row in mask:
        row[rng.choice(12, rng.integers(2, 6), replace=False)] = 1
    x[mask > 0] = rng.choice([-9.0, 9.0], int(mask.sum()))
    return x, mask, rows


def _filled(x, mask, rows, k, weight=None, reduce=np.mean, first=0):
    """Fill the holes of x from k rows, near by the entries of ``weight``."""
    weight = 1 - mask if weight is None else weight
    made = x.copy()
    for row, given, hidden in zip(made, weight, mask > 0, strict=True):
        gaps = (given * (rows - row) ** 2).sum(axis=1)
        found = np.argsort(gaps, kind="stable")[first : first + k]
        row[hidden] = reduce(rows[found], axis=0)[hidden]
    return made


@one_sentence
def check_6k_4(answer):
    """Holes filled from the rows that are nearest where x is seen."""
    x, mask, rows = _holes()
    kept = x.copy(), mask.copy(), rows.copy()
    found = as_values(call(answer, x, mask, rows, 3), "Your result")
    for now, before, name in zip(
        (x, mask, rows), kept, ("x", "mask", "rows"), strict=True
    ):
        if not np.array_equal(now, before):
            wrong(f"Your function overwrites `{name}`: work on a copy.")
    if found.shape != x.shape:
        wrong(f"Return pictures {x.shape}, whole; you return {found.shape}.")
    seen, hidden = mask == 0, mask > 0
    reached("shape")
    if np.abs(found - x)[hidden].max() < 1e-6:
        wrong("The holes still hold what was in them.")
    zeroed = np.where(hidden, 0, x)
    mistakes = [
        (
            _filled(x, mask, rows, 3, weight=np.ones_like(mask)),
            "What stands in the hole has decided who is near: leave the "
            "hidden entries out of the distance.",
        ),
        (
            _filled(zeroed, mask, rows, 3, weight=np.ones_like(mask)),
            "With 0 in the hole, rows that are dark there seem near: leave "
            "the hidden entries out of the distance, the rows' as well.",
        ),
        (
            _filled(x, mask, rows, 3, weight=mask),
            "Near in the *hidden* entries: 1 in the mask means hidden.",
        ),
        (_filled(x, mask, rows, 1), "That is the nearest row alone: use k."),
        (
            _filled(x, mask, rows, 3, first=1),
            "The nearest row is left out: these are numbers 2 to 4. It is no "
            "copy of the picture itself here.",
        ),
        (_filled(x, mask, rows, 3, reduce=np.sum), "The mean, not the sum."),
        (
            _filled(x, mask, rows, 3, reduce=np.median),
            "The median minimises another error; take the mean.",
        ),
        (
            np.where(hidden, rows.mean(axis=0), x),
            "That is the mean of *all* rows.",
        ),
        (
            _filled(x, mask, rows, 3, first=len(rows) - 3),
            "Those are the farthest rows.",
        ),
    ]
    right = _filled(x, mask, rows, 3)
    if not np.allclose(found, right, atol=1e-4):
        holes = [(value[hidden], why) for value, why in mistakes]
        if not np.allclose(found[hidden], right[hidden], atol=1e-4):
            name_value(found[hidden], holes)
        if not np.allclose(found[seen], x[seen], atol=1e-4):
            wrong(
                "Entries that were seen have changed: put the mean into the "
                "hole alone."
            )
        gap = np.abs(found - right).max()
        wrong(
            f"The holes differ by up to {gap:.3g} from the mean of the three "
            "rows that are nearest in the seen entries."
        )
    reached("values")
    x, mask, rows = _holes(seed=1)
    for k in (1, 5):
        again = as_values(call(answer, x[:4], mask[:4], rows, k), "Your result")
        if again.shape != (4, 12) or not np.allclose(
            again, _filled(x[:4], mask[:4], rows, k), atol=1e-4
        ):
            wrong(f"It works for one case and not for four pictures, k = {k}.")
    correct(
        "6k.4",
        "Weigh the k rows by how near they are: does the error of section 1 "
        "fall?",
    )


def _piles(seed=0):
    """Two piles of letters with no letter in common, and windows."""
    letters, styles = images.load_glyphs()
    order = np.random.default_rng(seed).permutation(len(letters))
    regular = styles["sans"][order[:60], ..., 0]
    bold = styles["sans bold"][order[60:150], ..., 0]
    return regular, bold, [(1, 1), (3, 3), (1, 3), (1, 5), (3, 1)]


def _thick(x, window):
    return grey_dilation(x, size=(1, *window))


@one_sentence
def check_6k_5(answer):
    """The window whose dilation has as much ink as the bold letters."""
    cases = [_piles(), _piles(seed=1)]
    regular, bold, windows = cases[0]
    # a pile as thick as another window makes it, of other letters
    other = images.load_glyphs()[1]["sans"][150:260, ..., 0]
    for window in ((3, 3), (1, 5), (1, 1), (3, 1)):
        cases.append((regular, _thick(other, window), windows))
    cases.append((regular, bold[:40], [(3, 3), (1, 3)]))
    cases.append((0.5 * regular, 0.5 * bold, windows[::-1]))
    given = []
    for regular, bold, windows in cases:
        kept = regular.copy()
        found = call(answer, regular, bold, list(windows))
        if not np.array_equal(regular, kept):
            wrong("Your function overwrites the letters: work on a copy.")
        values = as_array(found, "Your result").ravel()
        if values.shape != (2,) or tuple(values.astype(int)) not in windows:
            wrong(
                "Return one window of the list, such as (1, 3): (rows, "
                f"columns). Received {kind(found)}."
            )
        given.append(tuple(int(v) for v in values))
    ink = [
        [abs(_thick(r, w).mean() - b.mean()) for w in ws] for r, b, ws in cases
    ]
    right = [
        ws[int(np.argmin(gaps))]
        for (_, _, ws), gaps in zip(cases, ink, strict=True)
    ]
    if given == right:
        correct(
            "6k.5",
            "Which statistic besides ink would tell a letter that was moved?",
        )
        return

    def choices(gap):
        return [min(ws, key=lambda w: gap(r, b, w)) for r, b, ws in cases]

    mistakes = [
        (
            choices(lambda r, b, w: -_thick(r, w).mean()),
            "That is the window with the most ink, whatever the bold letters "
            "have.",
        ),
        (
            choices(lambda r, b, w: _thick(r, w).mean() - b.mean()),
            "The *distance* of two inks has no sign: take its absolute value.",
        ),
        (
            choices(lambda r, b, w: b.mean() - _thick(r, w).mean()),
            "The *distance* of two inks has no sign: take its absolute value.",
        ),
        (
            choices(lambda r, b, w: abs(_thick(r, w).sum() - b.sum())),
            "The piles have different numbers of letters: compare means, not "
            "sums.",
        ),
        (
            choices(lambda r, b, w: abs(_thick(r, w[::-1]).mean() - b.mean())),
            "A window is (rows, columns): you have turned it.",
        ),
        (
            choices(
                lambda r, b, w: abs(
                    grey_dilation(r, size=(*w, 1)).mean() - b.mean()
                )
            ),
            "The first axis counts letters: a window over it mixes one letter "
            "with the next. Its size is (1, rows, columns).",
        ),
        (
            choices(
                lambda r, b, w: np.mean(
                    (_thick(r, w)[:40] - b[: len(r)][:40]) ** 2
                )
            ),
            "That compares letter with letter: no regular letter here belongs "
            "to a bold one. Compare how much ink the piles have.",
        ),
        (
            choices(lambda r, b, w: -np.argmin([abs(r.mean() - b.mean())])),
            "That is always the first of the list.",
        ),
    ]
    for value, why in mistakes:
        if given == value:
            wrong(why)
    number = next(i for i, w in enumerate(right) if given[i] != w)
    near = min(ink[number])
    wrong(
        f"You choose {given[number]} where {right[number]} brings the mean "
        f"grey to within {near:.3f} of the bold letters'."
    )
