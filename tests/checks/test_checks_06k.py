"""Checks of chapter 6k: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from scipy.ndimage import grey_dilation
from sklearn.neighbors import NearestNeighbors

from utils import metrics
from utils.checks import chapter_06k
from utils.data import images

checks = Watched(chapter_06k)

# ---------------------------------------------------------------- 6k.1


def mean_abs(t):
    return ops.mean(ops.abs(t))


@pytest.mark.parametrize(
    "answer",
    [
        lambda x, y, g, f: mean_abs(f(g(x)) - x) + mean_abs(g(f(y)) - y),
        lambda x, y, g, f: ops.mean(
            ops.abs(f(g(x)) - x) + ops.abs(g(f(y)) - y)
        ),
        lambda x, y, g, f: (
            ops.sum(ops.abs(x - f(g(x)))) / 96
            + ops.sum(ops.maximum(g(f(y)) - y, y - g(f(y)))) / 96
        ),
    ],
)
def test_check_6k_1_any_form_of_the_loss_passes(answer):
    checks.check_6k_1(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda x, y, g, f: mean_abs(f(g(x)) - x), "Only x"),
        (lambda x, y, g, f: mean_abs(g(f(y)) - y), "Only y"),
        (lambda x, y, g, f: mean_abs(g(x) - y), "would need pairs"),
        (
            lambda x, y, g, f: mean_abs(g(x) - y) + mean_abs(f(y) - x),
            "would need pairs",
        ),
        (
            lambda x, y, g, f: (
                ops.mean((f(g(x)) - x) ** 2) + ops.mean((g(f(y)) - y) ** 2)
            ),
            "squared",
        ),
        (
            lambda x, y, g, f: mean_abs(g(f(x)) - x) + mean_abs(f(g(y)) - y),
            "first G, then F",
        ),
        (
            lambda x, y, g, f: ops.mean(f(g(x)) - x) + ops.mean(g(f(y)) - y),
            "opposite sign",
        ),
        (
            lambda x, y, g, f: (
                ops.sum(ops.abs(f(g(x)) - x)) + ops.sum(ops.abs(g(f(y)) - y))
            ),
            "not the sum",
        ),
        (lambda x, y, g, f: ops.mean(x) + 7, "which is"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6k_1_wrong_losses_are_named(answer, match):
    rejects(checks.check_6k_1, answer, match=match)


# ---------------------------------------------------------------- 6k.2


class Drawer:
    """Answers like a translator that closes a share of the gap."""

    def __init__(self, share, style="serif"):
        _, styles = images.load_glyphs()
        self.known = {
            x.tobytes(): y
            for x, y in zip(styles["sans"], styles[style], strict=True)
        }
        self.share = share

    def translate(self, x):
        truth = np.stack([self.known[row.tobytes()] for row in x])
        return x + self.share * (truth - x)


@pytest.fixture(scope="module")
def latin_letters():
    letters, styles = images.load_glyphs()
    latin = np.array([c.isascii() and c.isalpha() for c in letters])
    return styles["sans"][latin], styles["serif"][latin]


def measured(models, letters):
    x, y = letters
    return {n: metrics.mse(y, m.translate(x)) for n, m in models.items()}


def test_check_6k_2_more_letters_less_error_passes(latin_letters):
    models = {5: Drawer(0.0), 60: Drawer(0.1), 208: Drawer(0.3)}
    checks.check_6k_2(models, measured(models, latin_letters))
    models = {
        20: Drawer(0.1),
        40: Drawer(0.1),
        80: Drawer(0.2),
        150: Drawer(0.4),
    }
    checks.check_6k_2(models, measured(models, latin_letters))


@pytest.mark.parametrize(
    ("shares", "shift", "match"),
    [
        ({10: 0.0, 208: 0.4}, 0.0, "three numbers"),
        ({100: 0.0, 150: 0.3, 208: 0.4}, 0.0, "three numbers"),
        ({10: 0.0, 50: 0.02, 208: 0.05}, 0.0, "train longer"),
        ({10: 0.4, 50: 0.3, 208: 0.3}, 0.0, "did no worse"),
        ({10: 0.0, 50: 0.2, 208: 0.4}, -0.004, "Did you measure"),
    ],
)
def test_check_6k_2_faulty_experiments_are_named(
    shares, shift, match, latin_letters
):
    models = {n: Drawer(share) for n, share in shares.items()}
    errors = measured(models, latin_letters)
    errors = {n: error + shift for n, error in errors.items()}
    rejects(checks.check_6k_2, models, errors, match=match)


def test_check_6k_2_other_containers_are_named(latin_letters):
    models = {10: Drawer(0.0), 50: Drawer(0.2), 208: Drawer(0.4)}
    errors = measured(models, latin_letters)
    rejects(
        checks.check_6k_2,
        list(models),
        errors,
        match="a dict by the",
    )
    rejects(checks.check_6k_2, models, {}, match="it lacks 10, 50")
    arrays = dict.fromkeys(models, np.zeros(3))
    rejects(checks.check_6k_2, arrays, errors, match="pass the model itself")


# ---------------------------------------------------------------- 6k.3

RIGHT = {
    task: source if isinstance(source, str) else source[0]
    for task, (source, _) in checks._TASKS.items()
}


def test_check_6k_3_right_sources_pass_with_a_task_of_one_s_own():
    checks.check_6k_3(RIGHT)
    checks.check_6k_3(
        {**RIGHT, "turn summer landscapes into winter": "both made"}
    )
    checks.check_6k_3({**RIGHT, "find the edges of roads": "labels"})


@pytest.mark.parametrize(
    ("task", "given", "match"),
    [
        ("remove noise from photographs", "labels", "Damage clean"),
        ("turn summer landscapes into winter", "itself", "Two piles"),
        ("draw boxes around pedestrians", "nobody", "are pedestrians"),
        ("tell cats from dogs", "two collections", "names cannot"),
        ("colour the grey photographs of an archive", "labels", "made grey"),
        ("tell cats from dogs", None, "choose one of"),
        ("tell cats from dogs", "unsupervised", "choose one of"),
    ],
)
def test_check_6k_3_wrong_source_is_named(task, given, match):
    rejects(checks.check_6k_3, {**RIGHT, task: given}, match=match)


def test_check_6k_3_missing_tasks_are_named():
    rejects(
        checks.check_6k_3, {"tell cats from dogs": "labels"}, match="No answer"
    )
    rejects(checks.check_6k_3, "labels", match="a dictionary")


# ---------------------------------------------------------------- 6k.4


def fill(x, mask, rows, k, near=None, reduce=np.mean, first=0):
    filled = x.copy()
    for row, hidden in zip(filled, mask > 0, strict=True):
        used = np.ones_like(hidden) if near == "all" else ~hidden
        used = hidden if near == "hidden" else used
        gaps = ((rows[:, used] - row[used]) ** 2).sum(axis=1)
        found = np.argsort(gaps)[first : first + k]
        row[hidden] = reduce(rows[found][:, hidden], axis=0)
    return filled


def by_products(x, mask, rows, k):
    seen = 1 - mask
    gaps = seen @ (rows**2).T - 2 * np.where(mask > 0, 0, x) @ rows.T
    found = np.argpartition(gaps, k, axis=1)[:, :k]
    return np.where(mask > 0, rows[found].mean(axis=1), x).tolist()


def by_neighbors(x, mask, rows, k):
    made = np.array(x, "float32")
    for i, hidden in enumerate(mask.astype(bool)):
        model = NearestNeighbors(n_neighbors=k).fit(rows[:, ~hidden])
        found = model.kneighbors(x[i : i + 1, ~hidden], return_distance=False)
        made[i, hidden] = rows[found[0]][:, hidden].mean(axis=0)
    return made


def in_tensors(x, mask, rows, k):
    return ops.convert_to_tensor(fill(x, mask, rows, k).astype("float32"))


@pytest.mark.parametrize(
    "answer", [fill, by_products, by_neighbors, in_tensors]
)
def test_check_6k_4_any_way_to_the_nearest_passes(answer):
    checks.check_6k_4(answer)


def whole_rows(x, mask, rows, k):
    return np.stack(
        [
            rows[np.argsort(((rows - p)[:, h == 0] ** 2).sum(axis=1))[:k]].mean(
                axis=0
            )
            for p, h in zip(x, mask, strict=True)
        ]
    )


def in_place(x, mask, rows, k):
    x[:] = fill(x, mask, rows, k)
    return x


def zeros_count(x, mask, rows, k):
    made = fill(np.where(mask > 0, 0, x), mask, rows, k, near="all")
    return np.where(mask > 0, made, x)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda x, m, r, k: x.copy(), "still hold"),
        (lambda x, m, r, k: fill(x, m, r, k, near="all"), "What stands in"),
        (zeros_count, "dark there"),
        (lambda x, m, r, k: fill(x, m, r, k, near="hidden"), "1 in the mask"),
        (lambda x, m, r, k: fill(x, m, r, 1), "use k"),
        (lambda x, m, r, k: fill(x, m, r, k, first=1), "left out"),
        (lambda x, m, r, k: fill(x, m, r, k, reduce=np.sum), "not the sum"),
        (lambda x, m, r, k: fill(x, m, r, k, reduce=np.median), "median"),
        (lambda x, m, r, k: np.where(m > 0, r.mean(axis=0), x), "\\*all\\*"),
        (lambda x, m, r, k: fill(x, m, r, k, first=len(r) - k), "farthest"),
        (whole_rows, "have changed"),
        (in_place, "overwrites `x`"),
        (lambda x, m, r, k: fill(x, m, r, k)[m > 0], "whole"),
        (lambda x, m, r, k: fill(x, m, r, 3), "k = 1"),
        (lambda x, m, r, k: np.where(m > 0, 0.5, x), "differ by up to"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6k_4_wrong_fillings_are_named(answer, match):
    rejects(checks.check_6k_4, answer, match=match)


# ---------------------------------------------------------------- 6k.5


def thick(x, window):
    return grey_dilation(x, size=(1, *window))


def chooses(gap):
    return lambda r, b, ws: min(ws, key=lambda w: gap(r, b, w))


def ink_gap(r, b, w):
    return abs(thick(r, w).mean() - b.mean())


def in_a_loop(regular, bold, windows):
    best, smallest = None, np.inf
    for rows, columns in windows:
        made = np.stack(
            [grey_dilation(x, size=(rows, columns)) for x in regular]
        )
        gap = (made.mean() - bold.mean()) ** 2
        if gap < smallest:
            best, smallest = [rows, columns], gap
    return best


def by_shifts(regular, bold, windows):
    def made(rows, columns):
        a, b = rows // 2, columns // 2
        x = np.pad(regular, ((0, 0), (a, a), (b, b)))
        views = np.lib.stride_tricks.sliding_window_view(
            x, (rows, columns), axis=(1, 2)
        )
        return views.max(axis=(3, 4))

    gaps = [abs(made(*w).mean() - bold.mean()) for w in windows]
    return np.array(windows)[np.argmin(gaps)]


@pytest.mark.parametrize(
    "answer",
    [
        chooses(ink_gap),
        in_a_loop,
        by_shifts,
        lambda r, b, ws: ops.convert_to_tensor(chooses(ink_gap)(r, b, ws)),
    ],
)
def test_check_6k_5_any_way_to_the_ink_passes(answer):
    checks.check_6k_5(answer)


def overwrites(regular, bold, windows):
    window = chooses(ink_gap)(regular, bold, windows)
    regular[:] = thick(regular, window)
    return window


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (chooses(lambda r, b, w: -thick(r, w).mean()), "most ink"),
        (chooses(lambda r, b, w: thick(r, w).mean() - b.mean()), "no sign"),
        (chooses(lambda r, b, w: b.mean() - thick(r, w).mean()), "most ink"),
        (chooses(lambda r, b, w: abs(thick(r, w).sum() - b.sum())), "not sums"),
        (
            chooses(lambda r, b, w: abs(thick(r, w[::-1]).mean() - b.mean())),
            "turned it",
        ),
        (
            chooses(
                lambda r, b, w: abs(
                    grey_dilation(r, size=(*w, 1)).mean() - b.mean()
                )
            ),
            "mixes one letter",
        ),
        (
            chooses(lambda r, b, w: np.mean((thick(r, w)[:40] - b[:40]) ** 2)),
            "letter with letter",
        ),
        (lambda r, b, ws: ws[0], "always the first"),
        (lambda r, b, ws: ws[-1], "You choose"),
        (lambda r, b, ws: (1, 7), "one window of the list"),
        (lambda r, b, ws: 3, "one window of the list"),
        (overwrites, "overwrites"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6k_5_wrong_choices_are_named(answer, match):
    rejects(checks.check_6k_5, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
