"""Checks of chapter 6b: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from scipy import ndimage

from utils import metrics
from utils.checks import chapter_06b
from utils.data import images
from utils.models.compression import EntropyCoder

checks = Watched(chapter_06b)

# ---------------------------------------------------------------- 6b.1

P = np.array([0.8, 0.08, 0.08, 0.02, 0.02])
H = float(-np.sum(P * np.log2(P)))


@pytest.mark.parametrize(
    "answer",
    [
        [H, H / 4, 0.75, 8],
        np.array([1.0655, 0.2664, 0.75, 8.0]),
        (np.float32(H), H / 4, 3 / 4, 512 / 64),
    ],
)
def test_check_6b_1_right_values_pass(answer, capsys):
    checks.check_6b_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        ([H * np.log(2), H / 4, 0.75, 8], "in nats"),
        ([-H, H / 4, 0.75, 8], "not negative"),
        ([np.log2(5), 0.58, 0.75, 8], "equally frequent"),
        ([1.5, H / 4, 0.75, 8], "over the five integers"),
        ([H, 16 * H, 0.75, 8], "A pixel has a 64th"),
        ([H, H / 16, 0.75, 8], "16 entropies"),
        ([H, H / 4, np.log2(5) / 4, 8], "whole bits"),
        ([H, H / 4, 3, 8], "Number 3"),
        ([H, H / 4, 0.75, 32], "Number 4"),
        ([H, H / 4, 0.75], "shape"),
        (None, "None"),
    ],
)
def test_check_6b_1_wrong_values_are_named(answer, match):
    rejects(checks.check_6b_1, answer, match=match)


# ---------------------------------------------------------------- 6b.2


def row_bits(train, test, extra=0.5, log=np.log2, reduce=np.sum):
    lengths = []
    for column in range(train.shape[1]):
        values = np.union1d(train[:, column], test[:, column])
        counts = np.array([(train[:, column] == v).sum() for v in values])
        with np.errstate(divide="ignore"):
            bits = -log((counts + extra) / (counts + extra).sum())
        lengths.append(bits[np.searchsorted(values, test[:, column])])
    return reduce(lengths, axis=0)


def with_escape(train, test):
    """A table of the training integers, and 20 bits for all others."""
    total = np.zeros(len(test))
    for column in range(train.shape[1]):
        values, counts = np.unique(train[:, column], return_counts=True)
        table = dict(zip(values, counts / (len(train) + 1), strict=True))
        for row, value in enumerate(test[:, column]):
            p = table.get(value, 2.0**-16 / (len(train) + 1))
            total[row] -= np.log2(p)
    return total


def fixed_range(train, test, extra=1e-2):
    """A count for each integer of a range that was agreed on before."""
    total = np.zeros(len(test))
    for column in range(train.shape[1]):
        counts = np.bincount(train[:, column] + 500, minlength=1000) + extra
        total -= np.log2((counts / counts.sum())[test[:, column] + 500])
    return total


def through_the_coder(train, test):
    return EntropyCoder(train).bits(test)


def unseen_free(train, test):
    """Integers that were not seen cost nothing."""
    total = np.zeros(len(test))
    for column in range(train.shape[1]):
        for row, value in enumerate(test[:, column]):
            p = np.mean(train[:, column] == value)
            total[row] -= np.log2(p) if p else 0.0
    return total


def clipped(train, test):
    """Integers out of range are taken for the last ones in it."""
    low, high = train.min(axis=0), train.max(axis=0)
    return fixed_range(train, np.clip(test, low, high), extra=1e-3)


def both_counted(train, test):
    return fixed_range(np.concatenate([train, test]), test, extra=1e-3)


@pytest.mark.parametrize(
    "answer",
    [
        with_escape,
        lambda a, b: with_escape(a, b).tolist(),
        fixed_range,
        lambda a, b: fixed_range(a, b, extra=1e-3),
        through_the_coder,
    ],
)
def test_check_6b_2_any_finite_table_of_the_training_rows_passes(answer):
    checks.check_6b_2(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda a, b: row_bits(a, b, extra=0.0), "infinitely many"),
        (lambda a, b: row_bits(a, b, log=np.log), "nats"),
        (lambda a, b: row_bits(b, b, extra=1e-9), "held-out rows themselves"),
        (lambda a, b: -row_bits(a, b), "not negative"),
        (
            lambda a, b: (
                row_bits(a.reshape(-1, 1), b.reshape(-1, 1), extra=1.0)
                .reshape(b.shape)
                .sum(axis=1)
            ),
            "share one table",
        ),
        (lambda a, b: row_bits(a, b, reduce=np.mean), "took the mean"),
        (lambda a, b: row_bits(a, b).mean(), "One number for each"),
        (lambda a, b: np.full(len(b), 96.0), "bits a row on average"),
        (unseen_free, "Kraft"),
        (clipped, "Kraft"),
        (both_counted, "other held-out rows"),
        (row_bits, "other held-out rows"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6b_2_wrong_lengths_are_named(answer, match):
    rejects(checks.check_6b_2, answer, match=match)


# ---------------------------------------------------------------- 6b.3


@pytest.mark.parametrize(
    "answer",
    [
        lambda z: z + ops.stop_gradient(ops.round(z) - z),
        lambda z: ops.stop_gradient(ops.round(z)) + z - ops.stop_gradient(z),
        lambda z: z - ops.stop_gradient(z - ops.floor(z + 0.5)),
    ],
)
def test_check_6b_3_straight_through_passes(answer):
    checks.check_6b_3(answer)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda z: z, "nothing has been rounded"),
        (lambda z: ops.round(z), "slope is 0 everywhere"),
        (lambda z: z + ops.stop_gradient(ops.floor(z) - z), "the floor"),
        (
            lambda z: (
                z + ops.stop_gradient(ops.sign(z) * ops.floor(ops.abs(z)) - z)
            ),
            "cuts decimals off",
        ),
        (lambda z: z + 0.3 * ops.sin(z), "whole numbers"),
        (
            lambda z: 3 * z + ops.stop_gradient(ops.round(z) - 3 * z),
            "slope 1",
        ),
        (lambda z: ops.reshape(z, (-1,)), "Keep the shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6b_3_wrong_roundings_are_named(answer, match):
    rejects(checks.check_6b_3, answer, match=match)


# ---------------------------------------------------------------- 6b.4


def from_left(grid):
    missed = grid.copy()
    missed[:, 1:] -= grid[:, :-1]
    missed[1:, 0] -= grid[:-1, 0]
    return missed


def left_back(missed):
    grid = missed.copy()
    grid[:, 0] = np.cumsum(missed[:, 0])
    return np.cumsum(grid, axis=1)


def as_a_snake(grid):
    return np.diff(grid.ravel(), prepend=0).reshape(grid.shape)


def both_neighbours(grid):
    missed = grid.copy()
    for i, j in np.ndindex(grid.shape):
        missed[i, j] -= guess(grid, i, j)
    return missed


def both_back(missed):
    grid = np.zeros_like(missed)
    for i, j in np.ndindex(missed.shape):
        grid[i, j] = missed[i, j] + guess(grid, i, j)
    return grid


def guess(grid, i, j):
    near = [grid[i, j - 1]] * (j > 0) + [grid[i - 1, j]] * (i > 0)
    return int(np.floor(np.mean(near))) if near else 0


@pytest.mark.parametrize(
    ("predict", "restore"),
    [
        (from_left, left_back),
        (
            as_a_snake,
            lambda missed: np.cumsum(missed).reshape(missed.shape),
        ),
        (both_neighbours, both_back),
    ],
)
def test_check_6b_4_any_causal_prediction_passes(predict, restore):
    checks.check_6b_4(predict, restore)


def spoil(grid):
    grid[:, 1:] = np.diff(grid, axis=1)
    return grid


@pytest.mark.parametrize(
    ("predict", "restore", "match"),
    [
        (lambda grid: grid.copy(), lambda missed: missed, "Nothing has been"),
        (from_left, lambda missed: missed, "come back wrong"),
        (
            from_left,
            lambda missed: np.cumsum(missed, axis=1),
            "come back wrong",
        ),
        (spoil, left_back, "overwrites its input"),
        (
            lambda grid: grid - ndimage.uniform_filter(grid.astype(float), 3),
            left_back,
            "have to be integers",
        ),
        (
            lambda grid: grid - 7,
            lambda missed: missed + 7,
            "neighbour to the left",
        ),
        (lambda grid: np.diff(grid, axis=1), left_back, "shape"),
        (stub, left_back, "waits for your answer"),
    ],
)
def test_check_6b_4_wrong_predictions_are_named(predict, restore, match):
    rejects(checks.check_6b_4, predict, restore, match=match)


# ---------------------------------------------------------------- 6b.5


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
def test_check_6b_5_any_form_of_the_loss_passes(answer):
    checks.check_6b_5(answer)


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
def test_check_6b_5_wrong_losses_are_named(answer, match):
    rejects(checks.check_6b_5, answer, match=match)


# ---------------------------------------------------------------- 6b.6


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


def test_check_6b_6_more_letters_less_error_passes(latin_letters):
    models = {5: Drawer(0.0), 60: Drawer(0.1), 208: Drawer(0.3)}
    checks.check_6b_6(models, measured(models, latin_letters))
    models = {
        20: Drawer(0.1),
        40: Drawer(0.1),
        80: Drawer(0.2),
        150: Drawer(0.4),
    }
    checks.check_6b_6(models, measured(models, latin_letters))


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
def test_check_6b_6_faulty_experiments_are_named(
    shares, shift, match, latin_letters
):
    models = {n: Drawer(share) for n, share in shares.items()}
    errors = measured(models, latin_letters)
    errors = {n: error + shift for n, error in errors.items()}
    rejects(checks.check_6b_6, models, errors, match=match)


def test_check_6b_6_other_containers_are_named(latin_letters):
    models = {10: Drawer(0.0), 50: Drawer(0.2), 208: Drawer(0.4)}
    errors = measured(models, latin_letters)
    rejects(
        checks.check_6b_6,
        list(models),
        errors,
        match="a dict by the",
    )
    rejects(checks.check_6b_6, models, {}, match="it lacks 10, 50")
    arrays = dict.fromkeys(models, np.zeros(3))
    rejects(checks.check_6b_6, arrays, errors, match="pass the model itself")


# ---------------------------------------------------------------- 6b.7

RIGHT = {
    task: source if isinstance(source, str) else source[0]
    for task, (source, _) in checks._TASKS.items()
}


def test_check_6b_7_right_sources_pass_with_a_task_of_one_s_own():
    checks.check_6b_7(RIGHT)
    checks.check_6b_7(
        {**RIGHT, "turn summer landscapes into winter": "both made"}
    )
    checks.check_6b_7({**RIGHT, "find the edges of roads": "labels"})


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
def test_check_6b_7_wrong_source_is_named(task, given, match):
    rejects(checks.check_6b_7, {**RIGHT, task: given}, match=match)


def test_check_6b_7_missing_tasks_are_named():
    rejects(
        checks.check_6b_7, {"tell cats from dogs": "labels"}, match="No answer"
    )
    rejects(checks.check_6b_7, "labels", match="a dictionary")


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
