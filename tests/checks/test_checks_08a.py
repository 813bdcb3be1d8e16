"""Checks of chapter 8a: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

from utils.checks import chapter_08a

checks = Watched(chapter_08a)

# ---------------------------------------------------------------- 8a.1


@pytest.mark.parametrize(
    "answer", [13.845, 14, np.array([13.6]), np.float32(13.9), [13.8]]
)
def test_check_8a_1_right_reading_passes(answer, capsys):
    checks.check_8a_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (0.138, "in per cent"),
        (20, "will show"),
        (26.2, "the largest of the ten"),
        (6.15, "subtract it"),
        (16, "four models"),
        (18.46, "multiply by 4"),
        (18.05, "nothing is averaged"),
        (18.74, "of a \\*mean\\*"),
        (3, "keep the smallest, repeat"),
        (None, "None"),
    ],
)
def test_check_8a_1_wrong_reading_is_named(answer, match):
    rejects(checks.check_8a_1, answer, match=match)


# ---------------------------------------------------------------- 8a.2


def _halving(losses, epochs, *, up=False, restart=False, largest=False):
    alive, spent, past = list(range(len(losses))), 0, 0
    for rung, epoch in enumerate(epochs):
        spent += len(alive) * (epoch if restart else epoch - past)
        past = epoch
        alive.sort(key=lambda i, r=rung: losses[i][r], reverse=largest)
        if rung + 1 < len(epochs):
            third = -(-len(alive) // 3) if up else len(alive) // 3
            alive = alive[: max(1, third)]
    return alive[0], spent


def _by_partition(losses, epochs):
    alive = np.arange(len(losses))
    spent = len(losses) * epochs[0]
    for rung in range(1, len(epochs)):
        keep = max(1, len(alive) // 3)
        best = np.argpartition(losses[alive, rung - 1], keep - 1)[:keep]
        alive = alive[best]
        spent += keep * (epochs[rung] - epochs[rung - 1])
    return np.array([alive[losses[alive, -1].argmin()], spent], "float64")


def _recursive(losses, epochs, past=0, names=None):
    names = np.arange(len(losses)) if names is None else names
    cost = len(losses) * (epochs[0] - past)
    order = np.argsort(losses[:, 0])
    if len(epochs) == 1:
        return [names[order[0]], cost]
    order = order[: max(1, len(order) // 3)]
    rest = _recursive(losses[order, 1:], epochs[1:], epochs[0], names[order])
    return [rest[0], ops.convert_to_tensor(float(rest[1] + cost))]


@pytest.mark.parametrize("answer", [_halving, _by_partition, _recursive])
def test_check_8a_2_right_halving_passes(answer):
    checks.check_8a_2(answer)


def _all_to_the_end(losses, epochs):
    return losses[:, -1].argmin(), len(losses) * epochs[-1]


def _best_at_the_end(losses, epochs):
    return losses[:, -1].argmin(), _halving(losses, epochs)[1]


def _place_among_the_last(losses, epochs):
    return -1, _halving(losses, epochs)[1]


def _sorting_in_place(losses, epochs):
    result = _halving(losses, epochs)
    losses.sort(axis=0)
    return result


@pytest.mark.parametrize(
    "answer, match",
    [
        (_all_to_the_end, "that is no halving"),
        (_best_at_the_end, "was dropped before"),
        (_place_among_the_last, "an index into the rows"),
        (lambda *a: _halving(*a, up=True), "rounded \\*down\\*"),
        (lambda *a: _halving(*a, restart=True), "continues"),
        (lambda *a: _halving(*a, largest=True), "smaller is better"),
        (lambda *a: (_halving(*a)[0], 7), "how many designs reach"),
        (_sorting_in_place, "changed the losses"),
        (lambda *a: 3, "Return 2 things"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8a_2_wrong_halving_is_named(answer, match):
    rejects(checks.check_8a_2, answer, match=match)


# ---------------------------------------------------------------- 8a.3


def _correlations(features, factors):
    k = features.shape[1]
    return np.nan_to_num(np.corrcoef(features.T, factors.T)[:k, k:])


def _by_scipy(features, factors):
    table = np.abs(_correlations(features, factors))
    return table[linear_sum_assignment(table, maximize=True)].mean()


def _by_all_choices(features, factors):
    import itertools

    table = np.abs(_correlations(features, factors))
    k, m = table.shape
    return [
        max(
            sum(table[i, j] for j, i in enumerate(choice)) / m
            for choice in itertools.permutations(range(k), m)
        )
    ]


def _transposed(features, factors):
    table = np.abs(_correlations(features, factors)).T.astype("float32")
    rows, columns = linear_sum_assignment(1 - table)
    return ops.convert_to_tensor(table[rows, columns].mean())


@pytest.mark.parametrize("answer", [_by_scipy, _by_all_choices, _transposed])
def test_check_8a_3_right_matching_passes(answer):
    checks.check_8a_3(answer)


def _greedily(features, factors):
    table, total = np.abs(_correlations(features, factors)), 0.0
    for _ in range(3):
        i, j = np.unravel_index(table.argmax(), table.shape)
        total += table[i, j]
        table[i], table[:, j] = -1, -1
    return total / 3


def _signed(features, factors):
    table = _correlations(features, factors)
    return table[linear_sum_assignment(table, maximize=True)].mean()


def _with_nan(features, factors):
    if features.std(axis=0).min() == 0:
        return np.nan
    return _by_scipy(features, factors)


def _worst(features, factors):
    table = np.abs(_correlations(features, factors))
    return table[linear_sum_assignment(table)].mean()


def _by_squares(features, factors):
    table = np.abs(_correlations(features, factors))
    return table[linear_sum_assignment(-(table**2))].mean()


def _ranks(features, factors):
    table = np.abs(spearmanr(features, factors)[0][:5, 5:])
    return table[linear_sum_assignment(-table)].mean()


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda z, f: np.abs(_correlations(z, f)).max(0).mean(), "no matching"),
        (_greedily, "greedy"),
        (_by_squares, "squared"),
        (_signed, "take absolute"),
        (_with_nan, "NaN"),
        (_worst, "minimises"),
        (lambda z, f: 3 * _by_scipy(z, f), "the sum"),
        (lambda z, f: -_by_scipy(z, f), "itself is positive"),
        (lambda z, f: np.abs(_correlations(z, f)).mean(), "match first"),
        (
            lambda z, f: np.abs(np.diag(_correlations(z, f))).mean(),
            "column number",
        ),
        (_ranks, "absolute, matched, mean"),
        (lambda z, f: z, "one number"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8a_3_wrong_matching_is_named(answer, match):
    rejects(checks.check_8a_3, answer, match=match)


# ---------------------------------------------------------------- 8a.4


def _by_loop(x, k):
    kept = np.zeros(x.shape, "float64")
    for i, row in enumerate(x):
        for j in sorted(range(len(row)), key=lambda j: -row[j])[:k]:
            kept[i, j] = max(row[j], 0.0)
    return kept.tolist()


def _by_keras(x, k):
    x = ops.relu(ops.convert_to_tensor(x))
    least = ops.top_k(x, k)[0][:, -1:]
    return ops.where(x >= least, x, 0.0)


def _by_argpartition(x, k):
    kept = np.zeros_like(x)
    columns = np.argpartition(x, -k, axis=1)[:, -k:]
    np.put_along_axis(kept, columns, np.take_along_axis(x, columns, 1), 1)
    return kept.clip(min=0)


@pytest.mark.parametrize("answer", [_by_loop, _by_keras, _by_argpartition])
def test_check_8a_4_right_choice_passes(answer):
    checks.check_8a_4(answer)


def _ranked(x):
    return np.argsort(np.argsort(-x, axis=1), axis=1)


def _over_the_batch(x, k):
    least = np.sort(x, axis=None)[-k * len(x)]
    return np.where((x >= least) & (x > 0), x, 0)


def _in_place(x, k):
    x[_ranked(x) >= k] = 0
    return np.maximum(x, 0, out=x)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda x, k: np.where(_ranked(x) < k, x, 0), "negative activation"),
        (lambda x, k: np.where(_ranked(np.abs(x)) < k, x, 0), "by \\*size\\*"),
        (lambda x, k: (_by_argpartition(x, k) > 0) * 1, "not ones"),
        (lambda x, k: np.maximum(x, 0), "Nothing was dropped"),
        (lambda x, k: _by_argpartition(x, k + 1), "too many"),
        (_over_the_batch, "each \\*row\\*"),
        (_in_place, "changed the activations"),
        (lambda x, k: x[:, :k], "shape"),
        (lambda x, k: x, "should become"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8a_4_wrong_choice_is_named(answer, match):
    rejects(checks.check_8a_4, answer, match=match)


# ---------------------------------------------------------------- 8a.5


def _shares(
    gradient,
    x,
    baseline,
    steps,
    *,
    at=0.5,
    factor=None,
    start=None,
    total=False,
):
    start = baseline if start is None else start
    t = (np.arange(steps) + at)[:, None] / steps
    slope = gradient(start + t * (x - start))
    slope = slope.sum(axis=0) if total else slope.mean(axis=0)
    return slope * (x - baseline if factor is None else factor)


def _point_by_point(gradient, x, baseline, steps):
    total = [0.0] * len(x)
    for j in range(steps):
        t = (j + 0.5) / steps
        (slope,) = gradient([(t * x + (1 - t) * baseline).tolist()])
        total = [a + s / steps for a, s in zip(total, slope, strict=True)]
    return [a * (p - q) for a, p, q in zip(total, x, baseline, strict=True)]


def _in_place(gradient, x, baseline, steps):
    found = _shares(gradient, x, baseline, steps)
    x -= baseline
    return found


def _as_a_row(gradient, x, baseline, steps):
    return ops.convert_to_tensor(_shares(gradient, x, baseline, steps)[None])


@pytest.mark.parametrize("answer", [_shares, _point_by_point, _as_a_row])
def test_check_8a_5_right_shares_pass(answer):
    checks.check_8a_5(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda g, x, b, s: _shares(g, x, b, s, factor=1.0), "no share yet"),
        (lambda g, x, b, s: (x - b) * g(x[None])[0], "walk the path"),
        (lambda g, x, b, s: _shares(g, x, b, s, factor=x), "not by x"),
        (lambda g, x, b, s: _shares(g, x, b, s, start=0 * x), "starts at"),
        (lambda *a: _shares(*a, total=True), "is their mean"),
        (lambda *a: -_shares(*a), "sign is turned"),
        (lambda *a: np.abs(_shares(*a)), "may be negative"),
        (lambda *a: _shares(*a, at=0.0), "left ends"),
        (lambda *a: _shares(*a, at=1.0), "right ends"),
        (_in_place, "changed an array"),
        (lambda g, x, b, s: g(x), "stopped with"),
        (lambda g, x, b, s: x, "your shares sum to"),
        (lambda g, x, b, s: 1.0, "one share an entry"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8a_5_wrong_shares_are_named(answer, match):
    rejects(checks.check_8a_5, answer, match=match)


# ---------------------------------------------------------------- 8a.6


def _curve(probability, x, importance, baseline, *, order=None, keep=True):
    order = np.argsort(-importance, axis=1) if order is None else order
    rows, values = x.copy(), [probability(x).mean()]
    for column in order.T:
        rows = rows if keep else x.copy()
        rows[np.arange(len(x)), column] = baseline[column]
        values.append(probability(rows).mean())
    return values


def _at_once(probability, x, importance, baseline):
    place = (-importance).argsort(1).argsort(1)
    gone = place < np.arange(x.shape[1] + 1)[:, None, None]
    rows = np.where(gone, baseline, x)
    found = [probability(part) for part in rows]
    return ops.mean(ops.convert_to_tensor(np.array(found)), axis=1)


def _row_by_row(probability, x, importance, baseline):
    curves = []
    for row, value in zip(x, importance, strict=True):
        row, curve = row.copy(), [float(probability(row[None])[0])]
        for i in sorted(range(len(row)), key=lambda i, v=value: -v[i]):
            row[i] = baseline[i]
            curve.append(float(probability(row[None])[0]))
        curves.append(curve)
    return np.mean(curves, axis=0).astype("float32")


@pytest.mark.parametrize("answer", [_curve, _at_once, _row_by_row])
def test_check_8a_6_right_curve_passes(answer):
    checks.check_8a_6(answer)


def _least_first(p, x, importance, baseline):
    return _curve(p, x, -importance, baseline)


def _one_order(p, x, importance, baseline):
    order = np.argsort(-importance.mean(axis=0))
    return _curve(p, x, importance, baseline, order=np.tile(order, (len(x), 1)))


def _by_size(p, x, importance, baseline):
    return _curve(p, x, np.abs(importance), baseline)


def _overwriting(p, x, importance, baseline):
    curve = _curve(p, x, importance, baseline)
    x[:] = baseline
    return curve


def _emptying(p, x, importance, baseline):
    curve = _curve(p, x, importance, baseline)
    baseline *= 0
    return curve


def _falls(*given):
    curve = np.array(_curve(*given))
    return curve[0] - curve


@pytest.mark.parametrize(
    "answer, match",
    [
        (_least_first, "turn the order"),
        (lambda p, x, i, b: _curve(p, x, i, 0 * b), "not to 0"),
        (_one_order, "its own order"),
        (_by_size, "speaks against"),
        (_overwriting, "changed the rows"),
        (_emptying, "changed an array"),
        (_falls, "the probability itself"),
        (lambda *a: _curve(*a, keep=False), "stays deleted"),
        (lambda *a: _curve(*a)[1:], "d \\+ 1 points"),
        (lambda *a: _curve(*a)[::-1], "should be"),
        (lambda p, x, i, b: np.tile(p(x)[:, None], 6), "Average over"),
        (lambda p, x, i, b: p(x), "shape"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8a_6_wrong_curve_is_named(answer, match):
    rejects(checks.check_8a_6, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
