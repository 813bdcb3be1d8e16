"""Checks of chapter 8c: wrong answers are named, unusual right ones pass."""

import itertools

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from scipy.optimize import least_squares

from utils.checks import chapter_08c

checks = Watched(chapter_08c)

# ---------------------------------------------------------------- 8c.1


@pytest.mark.parametrize(
    "answer",
    [
        [102_800, 51_400, 102_800, 26_400],
        np.array([102_800.0, 51_400, 102_800, 26_400]),
        (102_800, np.float32(51_400), 102_800, np.int64(26_400)),
        ops.convert_to_tensor([102_800, 51_400, 102_800, 26_400]),
    ],
    ids=["list", "array", "mixed", "tensor"],
)
def test_check_8c_1_right_bytes_pass(answer, capsys):
    checks.check_8c_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "place, value, match",
    [
        (0, 102_400, "there is a bias"),
        (0, 25_700, "4 bytes"),
        (0, 822_400, "in bits"),
        (1, 51_200, "there is a bias"),
        (1, 1, "Count kernel"),
        (2, 51_400, "\\*stores\\* 32"),
        (3, 25_700, "bias stays in float32"),
        (3, 26_000, "400 bytes"),
        (3, 26_004, "one scale a \\*unit\\*"),
        (3, 27_024, "not one an input"),
    ],
)
def test_check_8c_1_wrong_bytes_are_named(place, value, match):
    answer = [102_800, 51_400, 102_800, 26_400]
    answer[place] = value
    rejects(checks.check_8c_1, answer, match=match)


def test_check_8c_1_what_is_no_list_of_four_is_refused():
    rejects(checks.check_8c_1, [1, 2], match="4 things")
    rejects(checks.check_8c_1, None, match="waits")


# ---------------------------------------------------------------- 8c.2


def _rounded(kernel, levels=127, dtype="int8", axis=0, cut=False):
    scale = np.abs(kernel).max(axis=axis, keepdims=axis == 1) / levels
    whole = kernel / np.where(scale == 0, 1, scale)
    whole = np.trunc(whole) if cut else np.round(whole)
    return whole.astype(dtype), scale


def _floor(kernel):
    scale = np.abs(kernel).max(0).astype("float64") / 127
    scale[scale == 0] = 1e-9
    return np.floor(kernel / scale + 0.5).astype(np.int8), list(scale)


def _by_columns(kernel):
    columns = [_rounded(column) for column in kernel.T]
    whole = np.array([column[0] for column in columns]).T
    return [whole, np.array([[column[1] for column in columns]])]


def _tensors(kernel):
    whole, scale = _rounded(kernel)
    return ops.convert_to_tensor(whole), ops.convert_to_tensor(scale)


@pytest.mark.parametrize("answer", [_rounded, _floor, _by_columns, _tensors])
def test_check_8c_2_right_rounding_passes(answer):
    checks.check_8c_2(answer)


def _nan(kernel):
    scale = np.abs(kernel).max(axis=0) / 127
    with np.errstate(all="ignore"):
        whole = np.round(kernel / scale)
    return whole if np.isnan(whole).any() else whole.astype("int8"), scale


def _one_scale(kernel):
    scale = np.abs(kernel).max() / 127
    return np.round(kernel / scale).astype("int8"), scale


def _endless(kernel):
    whole, scale = _rounded(kernel)
    return whole, np.where(scale == 0, np.inf, scale)


def _in_place(kernel):
    kernel *= 2
    return _rounded(kernel)


@pytest.mark.parametrize(
    "answer, match",
    [
        (_nan, "became NaN"),
        (_one_scale, "largest rule"),
        (lambda k: _rounded(k, axis=1), "a \\*column\\* is a unit"),
        (
            lambda k: (k / np.abs(k).max(0), np.abs(k).max(0) + 1e-9),
            "NaN|whole numbers",
        ),
        (lambda k: _rounded(k, cut=True), "cut towards zero"),
        (lambda k: _rounded(k, levels=63.5), "half of the range"),
        (lambda k: (_rounded(k)[0], np.ones(6)), "half a scale"),
        (lambda k: _rounded(k.T), "has the shape"),
        (_in_place, "changed the kernel"),
        (_endless, "infinite"),
        (lambda k: _rounded(k)[0], "2 things"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8c_2_wrong_rounding_is_named(answer, match):
    rejects(checks.check_8c_2, answer, match=match)


# ---------------------------------------------------------------- 8c.3


def _sums(batches, dtype="float64"):
    count, total, outer = 0, 0, 0
    for batch in batches:
        batch = batch.astype(dtype)
        count += len(batch)
        total = total + batch.sum(0)
        outer = outer + batch.T @ batch
    mean = total / count
    return mean, outer / count - np.outer(mean, mean)


def _copies(batches):
    x = np.concatenate([batch.copy() for batch in batches]).astype("float64")
    return [x.mean(0), np.cov(x.T, bias=True)]


def _shifted(batches):
    """Sums about the first row, row by row."""
    first, count, total, outer = None, 0, 0, 0
    for batch in batches:
        for row in batch.astype("float64").tolist():
            row = np.array(row)
            first = row if first is None else first
            count, total = count + 1, total + row - first
            outer = outer + np.outer(row - first, row - first)
    mean = total / count
    return mean + first, ops.convert_to_tensor(
        outer / count - np.outer(mean, mean)
    )


def _first_apart(batches):
    """The first by ``next``, as of any generator, and then the others."""
    first = next(batches).astype("float64")
    x = np.concatenate([first, *(batch.copy() for batch in batches)])
    return x.mean(0), np.cov(x.T, bias=True)


@pytest.mark.parametrize("answer", [_sums, _copies, _shifted, _first_apart])
def test_check_8c_3_right_sums_pass(answer):
    checks.check_8c_3(answer)


def _means_of_batches(batches, weigh=False, last=False):
    rows, means, covs = [], [], []
    for batch in batches:
        batch = batch.astype("float64")
        rows.append(len(batch))
        means.append(batch.mean(0))
        covs.append(np.cov(batch.T, bias=True))
    right = np.average(means, axis=0, weights=rows)
    if last:
        return means[-1], covs[-1]
    if weigh:
        return right, np.average(covs, axis=0, weights=rows)
    return np.mean(means, axis=0), np.mean(covs, axis=0)


def _kept(batches):
    x = np.concatenate(list(batches))
    return x.mean(0), np.cov(x.T, bias=True)


def _twice(batches):
    mean = np.concatenate([batch.copy() for batch in batches]).mean(0)
    return mean, sum((b - mean).T @ (b - mean) for b in batches)


def _changed(change):
    def answer(batches):
        mean, cov = _copies(batches)
        return mean, change(mean, cov)

    return answer


@pytest.mark.parametrize(
    "answer, match",
    [
        (_means_of_batches, "weigh by their rows|weigh by"),
        (lambda b: _means_of_batches(b, last=True), "the last batch"),
        (lambda b: _means_of_batches(b, weigh=True), "\\*between\\*|between"),
        (_kept, "overwrites"),
        (_twice, "twice"),
        (_changed(lambda m, c: c + np.outer(m, m)), "subtract"),
        (_changed(lambda m, c: 152 * c), "Divide by the number"),
        (_changed(lambda m, c: c * 152 / 151), "one less"),
        (_changed(lambda m, c: c + 1), "not that of all rows"),
        (lambda b: _sums(b, "float32"), "Far from zero"),
        (lambda b: _sums(b)[0], "2 things"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8c_3_wrong_sums_are_named(answer, match):
    rejects(checks.check_8c_3, answer, match=match)


# ---------------------------------------------------------------- 8c.4


def _line(sizes, losses, wanted):
    x = np.log(np.asarray(sizes, float))
    slope, start = np.polyfit(x, np.log(losses).mean(0), 1)
    return -slope, np.exp((np.log(wanted) - start) / slope)


def _by_ten(sizes, losses, wanted):
    x = np.tile(np.log10(sizes), len(losses))
    a = np.c_[x, np.ones(len(x))]
    slope, start = np.linalg.lstsq(a, np.log10(losses).ravel())[0]
    return [np.float32(-slope), 10 ** ((np.log10(wanted) - start) / slope)]


def _by_search(sizes, losses, wanted):
    x, y = np.log(sizes), np.log(losses).mean(0)
    fit = least_squares(lambda p: p[0] + p[1] * x - y, [0, 0], xtol=1e-12).x
    return np.array([-fit[1], np.exp((np.log(wanted) - fit[0]) / fit[1])])


@pytest.mark.parametrize("answer", [_line, _by_ten, _by_search])
def test_check_8c_4_right_lines_pass(answer):
    checks.check_8c_4(answer)


def _other(slope=lambda s, x, y: s, size=lambda n, wanted, s: n):
    def answer(sizes, losses, wanted):
        found, n = _line(sizes, losses, wanted)
        return slope(found, sizes, losses), size(n, wanted, found)

    return answer


def _polyfit(x, y):
    return -np.polyfit(x, y, 1)[0]


@pytest.mark.parametrize(
    "answer, match",
    [
        (_other(lambda s, x, y: -s), "what it falls by"),
        (
            _other(lambda s, x, y: _polyfit(np.log(x), np.log(y.mean(0)))),
            "logarithm of the mean",
        ),
        (_other(lambda s, x, y: _polyfit(x, y.mean(0))), "without logarithms"),
        (
            _other(lambda s, x, y: _polyfit(x, np.log(y).mean(0))),
            "of the sizes, too",
        ),
        (
            _other(
                lambda s, x, y: (
                    -(np.log(y).mean(0)[-1] - np.log(y).mean(0)[0])
                    / np.log(x[-1] / x[0])
                )
            ),
            "First and last",
        ),
        (_other(lambda s, x, y: s + 1), "should be"),
        (_other(size=lambda n, w, s: np.log(n)), "take exp"),
        (_other(size=lambda n, w, s: n * (n / w) ** 0.5), "The size should"),
        (lambda *a: _line(*a)[0], "2 things"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8c_4_wrong_lines_are_named(answer, match):
    rejects(checks.check_8c_4, answer, match=match)


# ---------------------------------------------------------------- 8c.5


def _average(gradients, counts, weigh=True, divide=True):
    used = [i for i, count in enumerate(counts) if count]
    weights = np.array([counts[i] if weigh else 1.0 for i in used])
    total = weights.sum() if divide else 1.0
    return [
        np.tensordot(weights / total, np.stack(parts), 1)
        for parts in zip(*(gradients[i] for i in used), strict=True)
    ]


def _running(gradients, counts):
    """One device after the other, as a chain of pairs."""
    done, mean = 0, None
    for parts, count in zip(gradients, counts, strict=True):
        if not count:
            continue
        done += count
        if mean is None:
            mean = [part * 1.0 for part in parts]
        else:
            pairs = zip(mean, parts, strict=True)
            mean = [m + (p - m) * count / done for m, p in pairs]
    return tuple(mean)


def _cleaned(gradients, counts):
    columns = itertools.zip_longest(*gradients)
    return [
        ops.convert_to_tensor(
            sum(
                np.nan_to_num(g) * c
                for g, c in zip(column, counts, strict=True)
            )
            / sum(counts)
        )
        for column in columns
    ]


@pytest.mark.parametrize("answer", [_average, _running, _cleaned])
def test_check_8c_5_right_means_pass(answer):
    checks.check_8c_5(answer)


def _naive(gradients, counts):
    return [
        sum(c * g for c, g in zip(counts, parts, strict=True)) / sum(counts)
        for parts in zip(*gradients, strict=True)
    ]


def _in_a_buffer(gradients, counts):
    found = _average(gradients, counts)
    for parts in gradients:
        for part in parts:
            part *= 0
    return found


def _by_devices(gradients, counts):
    found = _average(gradients, counts, divide=False)
    return [part / len(counts) for part in found]


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda g, c: _average(g, c, weigh=False), "weigh by rows"),
        (lambda g, c: _average(g, c, False, False), "the sum of the"),
        (lambda g, c: _average(g, c, divide=False), "number of all rows"),
        (_by_devices, "not of devices"),
        (_in_a_buffer, "changed the gradients"),
        (_naive, "leave out a device"),
        (lambda g, c: g[0][::-1], "has the shape"),
        (lambda g, c: g[0], "not that of the mean"),
        (lambda g, c: _average(g, c)[0], "2 things"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8c_5_wrong_means_are_named(answer, match):
    rejects(checks.check_8c_5, answer, match=match)


# ---------------------------------------------------------------- 8c.6


def _ratio(n, rows, weights, flops, wire, six=6, ring=None, four=4, share=True):
    alone = six * rows * weights / flops
    times = 2 * (n - 1) / n if ring is None else ring(n)
    each = alone / n if share else alone
    return alone / (each + times * four * weights / wire)


def _cancelled(n, rows, weights, flops, wire):
    return np.array([1 / (1 / n + 8 * (n - 1) / n * flops / wire / 6 / rows)])


def _tensor(*given):
    return ops.convert_to_tensor(_ratio(*given))


@pytest.mark.parametrize("answer", [_ratio, _cancelled, _tensor])
def test_check_8c_6_right_ratio_passes(answer):
    checks.check_8c_6(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda n, *a: n, "messages take time"),
        (lambda *a: 1 / _ratio(*a), "Turned round"),
        (lambda *a: _ratio(*a, share=False), "share the arithmetic"),
        (lambda *a: _ratio(*a, ring=lambda n: 2 * (n - 1)), "not 2\\(n−1\\)"),
        (lambda *a: _ratio(*a, four=1), "4 bytes"),
        (lambda *a: _ratio(*a, four=8), "counted twice"),
        (lambda *a: _ratio(*a, ring=lambda n: n > 1), "not once"),
        (lambda *a: _ratio(*a, ring=lambda n: 1), "needs no wire"),
        (lambda *a: _ratio(*a, six=2), "twice that back"),
        (lambda *a: _ratio(*a, four=5), "the answer is"),
        (lambda *a: [1, 2], "one number"),
        (stub, "waits for your answer"),
    ],
)
def test_check_8c_6_wrong_ratio_is_named(answer, match):
    rejects(checks.check_8c_6, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
