"""Checks of chapter 6g: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right

from utils.checks import chapter_06g
from utils.evaluation import detection

checks = Watched(chapter_06g)

# ---------------------------------------------------------------- 6g.1


@pytest.mark.parametrize(
    "answer", [90 / 585, 0.154, np.array([0.1538]), np.float32(0.15385)]
)
def test_check_6g_1_right_share_passes(answer, capsys):
    checks.check_6g_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (15.4, "share between 0 and 1"),
        (0.9, "the recall"),
        (495 / 585, "alarms that are false"),
        (0.9 / 0.95, "99 honest payments"),
        (0.009, "Divide by"),
        (0.95, "left in peace"),
        (0.009 / 0.059, "5 % of all payments"),
        (0.5, "10 000 payments"),
        (None, "None"),
    ],
)
def test_check_6g_1_wrong_share_is_named(answer, match):
    rejects(checks.check_6g_1, answer, match=match)


# ---------------------------------------------------------------- 6g.2


def _by_regressions(x_train, row):
    residuals = []
    for j in range(x_train.shape[1]):
        others = np.delete(np.arange(x_train.shape[1]), j)
        a = np.c_[x_train[:, others], np.ones(len(x_train))]
        w, rest, *_ = np.linalg.lstsq(a, x_train[:, j])
        miss = row[j] - np.r_[row[others], 1.0] @ w
        residuals.append(miss**2 / rest[0])
    return np.argmax(residuals)


def _by_repair(x_train, row):
    pulls = []
    for j in range(len(row)):
        others = np.delete(np.arange(len(row)), j)
        near = ((x_train[:, others] - row[others]) ** 2).sum(1).argsort()[:5]
        pulls.append(abs(row[j] - x_train[near, j].mean()))
    return int(np.argmax(pulls))


def _by_leaving_out(x_train, row):
    """The column without which the rest is least strange."""
    strange = []
    for j in range(len(row)):
        rest = np.delete(np.arange(len(row)), j)
        gap = row[rest] - x_train[:, rest].mean(0)
        strange.append(gap @ np.linalg.solve(np.cov(x_train[:, rest].T), gap))
    return np.array([np.argmin(strange)])


@pytest.mark.parametrize(
    "answer", [_by_regressions, _by_repair, _by_leaving_out]
)
def test_check_6g_2_right_explanation_passes(answer):
    checks.check_6g_2(answer)


def _z_score(x_train, row):
    return np.argmax(np.abs(row - x_train.mean(0)) / x_train.std(0))


@pytest.mark.parametrize(
    "answer, match",
    [
        (_z_score, "\\*within\\* its range"),
        (lambda x, row: 0, "are needed"),
        (lambda x, row: 6, "0 to 5"),
        (lambda x, row: row, "one number"),
        (lambda x, row: None, "None"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6g_2_wrong_explanation_is_named(answer, match):
    rejects(checks.check_6g_2, answer, match=match)


# ---------------------------------------------------------------- 6g.3


def _by_loop(alarms, begin, end, *, early=False, late_end=0, steps=False):
    delay, false, run = None, 0, []
    for step, alarm in enumerate([*alarms, False]):
        if alarm:
            run.append(step)
            if delay is None and begin <= step < end + late_end:
                delay = step - begin
        elif run:
            inside = any(begin <= s < end + late_end for s in run)
            false += (len(run) if steps else 1) * (not inside)
            run = []
    if early and any(alarms):
        delay = int(np.flatnonzero(alarms)[0]) - begin
    return delay, false


def _with_library(alarms, begin, end):
    report = detection.find_events(alarms, [(begin, end)])
    delay = report.delays[0] if report.found[0] else None
    return [delay, np.array([report.false_alarms])]


def _by_text(alarms, begin, end):
    text = "".join("x" if a else "." for a in alarms)
    inside = text[begin:end].find("x")
    runs, start = 0, 0
    for run in text.replace(".", " ").split():
        start = text.index(run, start)
        runs += start >= end or start + len(run) <= begin
        start += len(run)
    return None if inside < 0 else np.int8(inside), float(runs)


@pytest.mark.parametrize("answer", [_by_loop, _with_library, _by_text])
def test_check_6g_3_right_counting_passes(answer):
    checks.check_6g_3(answer)


def _steps_outside(alarms, begin, end):
    outside = alarms.copy()
    outside[begin:end] = False
    return _by_loop(alarms, begin, end)[0], outside.sum()


def _absolute(alarms, begin, end):
    delay, false = _by_loop(alarms, begin, end)
    return None if delay is None else delay + begin, false


@pytest.mark.parametrize(
    "answer, match",
    [
        (_steps_outside, "those are \\*steps\\*"),
        (_absolute, "counted from `begin`"),
        (lambda *a: _by_loop(*a, early=True), "before the event"),
        (lambda *a: _by_loop(*a, late_end=1), "its end is excluded"),
        (lambda *a: (None, 0), "not None"),
        (lambda *a: (_by_loop(*a)[0], 0), "false calls, not 0"),
        (lambda *a: (np.zeros(2), 0), "one number"),
        (lambda *a: 3, "Return 2 things"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6g_3_wrong_counting_is_named(answer, match):
    rejects(checks.check_6g_3, answer, match=match)


# ---------------------------------------------------------------- 6g.4


def _by_mirror(scores, rate):
    return np.array(detection.two_sided_thresholds(scores, 1 - rate))


def _by_pairs(scores, rate):
    ranked = sorted(float(score) for score in scores)
    share = np.arange(1, len(ranked) + 1) / (len(ranked) + 1)
    low = [s for s, p in zip(ranked, share, strict=True) if p <= rate / 2]
    if not low:
        raise ValueError("too few")
    return [np.float32(low[-1]), ranked[len(ranked) - len(low)]]


def _by_partition(scores, rate):
    out = int(np.floor(rate / 2 * (len(scores) + 1) + 1e-9))
    if not out:
        raise ValueError("too few")
    return np.sort(scores)[[out - 1, -out]]


@pytest.mark.parametrize("answer", [_by_mirror, _by_pairs, _by_partition])
def test_check_6g_4_right_limits_pass(answer):
    checks.check_6g_4(answer)


def _clipped(scores, rate):
    out = max(1, int(np.floor(rate / 2 * (len(scores) + 1) + 1e-9)))
    return np.sort(scores)[out - 1], np.sort(scores)[-out]


def _stopping(scores, rate):
    if len(scores) < 2 / rate - 1:
        raise KeyError("too few")
    return _clipped(scores, rate)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda s, r: _by_mirror(s, 2 * r), "share it out"),
        (lambda s, r: np.quantile(s, [r / 2, 1 - r / 2]), "interpolates"),
        (lambda s, r: (-np.abs(s).max(), np.abs(s).max()), "symmetric"),
        (lambda s, r: (s.min(), s.max()), "waste alarms"),
        (lambda s, r: _by_mirror(s, r)[::-1], "in this order"),
        (lambda s, r: (s.mean(), s.max()), "smallest or above"),
        (lambda s, r: s.max(), "Return 2 things"),
        (_clipped, "and your function returned"),
        (_stopping, "yours raised KeyError"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6g_4_wrong_limits_are_named(answer, match):
    rejects(checks.check_6g_4, answer, match=match)


# ---------------------------------------------------------------- 6g.5


def _by_trying(scores, amounts, is_fraud, price, free=False):
    best, saved = np.inf, 0.0
    for limit in [-1.0, *np.unique(scores)]:
        alarms = scores > limit
        net = amounts[alarms & is_fraud].sum()
        net -= 0 if free else price * alarms.sum()
        if net > saved:
            best, saved = limit, net
    return best


def _by_sorting(scores, amounts, is_fraud, price):
    order = np.argsort(-scores)
    net = np.cumsum((amounts * is_fraud - price)[order])
    ranked = scores[order]
    last = np.r_[ranked[1:] < ranked[:-1], True]  # of equal scores
    if net[last].max() <= 0:
        return np.float64("inf")
    cut = np.flatnonzero(last)[net[last].argmax()]
    below = ranked[cut + 1] if cut + 1 < len(ranked) else -np.inf
    return [(ranked[cut] + below) / 2]


def _just_below(scores, amounts, is_fraud, price):
    limit = _by_trying(scores, amounts, is_fraud, price)
    higher = scores[scores > limit]
    return higher.min() - 1e-6 if len(higher) else 1e9


@pytest.mark.parametrize("answer", [_by_trying, _by_sorting, _just_below])
def test_check_6g_5_right_threshold_passes(answer):
    checks.check_6g_5(answer)


def _never_infinite(scores, amounts, is_fraud, price):
    return min(_by_trying(scores, amounts, is_fraud, price), 0.5)


def _finite_at_last(scores, amounts, is_fraud, price):
    found = _by_trying(scores, amounts, is_fraud, price)
    return found if np.isfinite(found) else np.sort(scores)[-2]


def _ties_by_order(scores, amounts, is_fraud, price):
    if len(np.unique(scores)) == len(scores):
        return _by_trying(scores, amounts, is_fraud, price)
    return np.unique(scores)[
        np.searchsorted(
            np.unique(scores), _by_trying(scores, amounts, is_fraud, price)
        )
        - 1
    ]


def _false_alarms_priced(scores, amounts, is_fraud, price):
    return max(
        [np.inf, *np.unique(scores)],
        key=lambda t: np.where(is_fraud, amounts, -price)[scores > t].sum(),
    )


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda *m: _by_trying(*m, free=True), "subtract their price"),
        (_false_alarms_priced, "a fraud that is found as well"),
        (_never_infinite, "Try every distinct score"),
        (_finite_at_last, "return np.inf"),
        (_ties_by_order, "together or not at all"),
        (lambda *m: min(_by_trying(*m), m[0].max()), "return np.inf"),
        (lambda *m: max(_by_trying(*m), m[0].min()), "below it, −∞"),
        (
            lambda s, a, f, p: _by_trying(s, a, f | True, p),
            "amount of an honest payment",
        ),
        (lambda *m: np.nan, "never NaN"),
        (lambda s, *m: s, "one number"),
        (stub, "waits for your answer"),
    ],
)
def test_check_6g_5_wrong_threshold_is_named(answer, match):
    rejects(checks.check_6g_5, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
