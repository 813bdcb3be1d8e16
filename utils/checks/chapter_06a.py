"""Checks of chapter 6a, anomaly detection."""

import math

import numpy as np
from sklearn.metrics import roc_auc_score

from utils import data
from utils.checks._feedback import (
    as_array,
    as_dict,
    as_number,
    as_parts,
    call,
    correct,
    in_half,
    name_value,
    one_sentence,
    reached,
    unchanged,
    wrong,
)
from utils.evaluation.detection import hold_out


@one_sentence
def check_6a_1(answer):
    """AUROC by its definition, ties included."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal(60)
    truth = rng.random(60) < 0.3
    scores[truth] += 1.0
    keep = scores.copy(), truth.copy()
    right = roc_auc_score(truth, scores)
    result = call(answer, scores, truth)
    within = 1e-3 if in_half(result) else 1e-6
    value = as_number(result, "The AUROC")
    unchanged((scores, truth), keep, "the arrays")
    threshold = np.median(scores)
    name_value(
        value,
        [
            (
                1 - right,
                "That is 1 − AUROC: you counted the pairs in which the "
                "*normal* row scores higher.",
            ),
            (
                np.mean((scores > threshold) == truth),
                "That is an accuracy at one threshold. AUROC needs none: "
                "compare every anomaly with every normal row.",
            ),
            (
                np.sum(scores[truth][:, None] > scores[~truth]),
                "That is the number of pairs; divide by how many there are.",
            ),
            (
                np.sum(scores[truth][:, None] > scores[~truth]) / 60**2,
                "You divided by all pairs of rows. Pairs of one anomaly and "
                "one normal row count.",
            ),
        ],
    )
    if not np.isclose(value, right, rtol=0, atol=within):
        wrong(f"On a test ranking AUROC is {right:.4f}, not {value:.4f}.")
    tied = np.array([1.0, 1.0, 1.0, 2.0])
    where = np.array([True, False, False, True])
    reached("values")
    below = as_number(call(answer, -scores, truth), "The AUROC")
    if not np.isclose(below, 1 - right, rtol=0, atol=within):
        wrong(
            f"Of the negative scores AUROC is {1 - right:.4f}, not "
            f"{below:.4f}: a ranking may be worse than chance, and the number "
            "has to say so."
        )
    value = as_number(call(answer, tied, where), "The AUROC")
    if np.isclose(value, 0.5):
        wrong(
            "Right without ties. With equal scores you count 0 for a tie; it "
            "counts half."
        )
    if np.isclose(value, 1.0):
        wrong(
            "Right without ties. With equal scores you count 1 for a tie; it "
            "counts half. A constant score would then be perfect."
        )
    if not np.isclose(value, 0.75):
        wrong(f"With ties AUROC should be 0.75, not {value:.4f}.")
    correct(
        "6a.1",
        "Multiply all scores by 10: what changes, and what does that say "
        "about comparing detectors?",
    )


def _table():
    """Normal rows far from zero and anomalies, each marked by an id."""
    rng = np.random.default_rng(0)
    x = 50.0 + rng.standard_normal((200, 3)) * np.array([1.0, 5.0, 0.5])
    truth = np.zeros(200, dtype=bool)
    truth[rng.permutation(200)[:40]] = True
    x[truth] += 20.0
    return x, truth


def _rows_of(part, x, mean, deviation, within):
    """Index in x of each standardised row, or −1; within, in deviations."""
    back = part * deviation + mean
    distance = np.abs((back[:, None] - x[None]) / deviation).max(axis=2)
    return np.where(distance.min(1) < within, distance.argmin(1), -1)


def _scaling(part, x):
    """Mean and deviation that the training part itself implies."""
    return part.mean(axis=0), part.std(axis=0)


@one_sentence
def check_6a_2(answer):
    """Normal rows for training and validation, all anomalies in the test."""
    x, truth = _table()
    given = x.copy(), truth.copy()
    result = call(answer, x, truth, np.random.default_rng(1))
    unchanged((x, truth), given, "the table or its truth")
    names = ("x_train", "x_val", "x_test", "test_truth")
    parts = as_parts(result, *names)
    # half precision leaves three digits, of numbers up to 50 deviations
    within = 5e-2 if any(map(in_half, parts)) else 1e-4
    train, val, test, test_truth = (
        as_array(part, name) for part, name in zip(parts, names, strict=True)
    )
    for part, name in zip((train, val, test), names, strict=False):
        if part.ndim != 2 or part.shape[1] != 3:
            wrong(f"{name} should be rows of 3 columns, not {part.shape}.")
    test_truth = test_truth.astype(bool).ravel()
    _check_sizes(train, val, test, test_truth)
    reached("shape")
    _check_scale(train, val, test, x, truth)
    # find the rows again by the scaling that their normal rows imply
    scale = _recovered_scale(train, x, truth, within)
    if scale is None:
        wrong(
            "The rows of x_train are not standardised rows of the table. Use "
            "(x − mean) / deviation, column by column."
        )
    where = [_rows_of(part, x, *scale, within) for part in (train, val, test)]
    if any(np.any(index < 0) for index in where):
        wrong(
            "Validation or test rows do not match the table under the scaling "
            "of the training rows: use *one* mean and deviation for all parts."
        )
    if truth[where[1]].any():
        wrong(
            "There are anomalies among the validation rows. The threshold "
            "would be set by what it is to find."
        )
    ids = np.concatenate(where)
    if len(np.unique(ids)) < len(ids):
        wrong("Some row stands in two parts, or twice in one.")
    if not np.array_equal(truth[where[2]], test_truth):
        wrong("test_truth does not belong to the rows of x_test, in order.")
    reached("values")
    again = call(answer, x, truth, np.random.default_rng(2))
    again = as_array(as_parts(again, *names)[0], "x_train")
    if np.array_equal(again.shape, train.shape) and np.allclose(again, train):
        wrong(
            "Another generator gave the same training rows: draw them with "
            "the `rng` that is passed in."
        )
    correct("6a.2", "How would you split if the rows came from ten machines?")


def _check_sizes(train, val, test, test_truth):
    if len(test_truth) != len(test):
        wrong(f"{len(test)} test rows but {len(test_truth)} truths.")
    if (len(train), len(val), len(test)) == (100, 50, 50):
        wrong(
            "You split all 200 rows into half, a quarter and a quarter: "
            "anomalies are in every part. Split the 160 normal rows; all 40 "
            "anomalies go to the test."
        )
    if test_truth.sum() != 40:
        wrong(f"All 40 anomalies go to the test, not {test_truth.sum()}.")
    if (len(train), len(val)) != (80, 40):
        wrong(
            f"Of 160 normal rows 80 are for training and 40 for validation; "
            f"yours are {len(train)} and {len(val)}."
        )
    if len(test) != 80:
        wrong(
            f"The test holds {len(test)} rows, and 80 are left: the 40 "
            "anomalies and *all* normal rows that serve for nothing else. "
            "Without normal rows nobody sees a false alarm."
        )


def _check_scale(train, val, test, x, truth):
    if np.abs(train).max() > 30:
        wrong("The rows are not standardised: columns still lie near 50.")
    mean, deviation = _scaling(train, x)
    if np.allclose(mean, 0, atol=1e-3) and np.allclose(deviation, 1, rtol=0.05):
        if np.allclose(test.mean(0), 0, atol=1e-3):
            wrong(
                "Each part was standardised by its own mean. The test rows "
                "then sit around 0 however strange they are: use the "
                "training rows' numbers for all."
            )
        return
    if np.all(mean < -0.2):
        wrong(
            "Mean and deviation come from rows that include anomalies: the "
            "training rows are not centred. Fit the scaling on x_train alone."
        )
    wrong(
        "x_train should have mean 0 and deviation 1 in every column, since "
        "its own rows are what may be used for fitting."
    )


def _recovered_scale(train, x, truth, within):
    """Mean and deviation under which the training rows lie in the table."""
    # standardising keeps the order of a column and all ratios of gaps; try
    # pairs of table rows for the two extremes of the first column
    low, high = train[:, 0].argmin(), train[:, 0].argmax()
    gap = train[high] - train[low]
    for a in np.flatnonzero(~truth):
        deviation = (x - x[a]) / gap
        for b in np.flatnonzero((deviation > 0).all(axis=1) & ~truth):
            mean = x[a] - train[low] * deviation[b]
            if np.all(_rows_of(train[:9], x, mean, deviation[b], within) >= 0):
                return mean, deviation[b]
    return None


@one_sentence
def check_6a_3(answer):
    """Any detector with mean AUROC of at least 0.93 for digits 1 and 9."""
    digits = data.load("digits").flat()
    found = {}
    for digit in (1, 9):
        split = hold_out(digits, digit)
        score = call(answer, split.x_train.copy())
        if not callable(score):
            wrong(
                "Return a *function* of rows, such as a detector's "
                f"`anomaly_scores`; received {type(score).__name__}."
            )
        count = len(split.x_test)
        values = as_array(
            call(score, split.x_test.copy()), "The scores", (count,)
        )
        half = as_array(call(score, split.x_test[:40].copy()), "Scores", (40,))
        if not np.allclose(half, values[:40], rtol=1e-3, atol=1e-6):
            wrong(
                "The score of a row depends on the other rows it comes with. "
                "It must be a function of that row and the training rows."
            )
        found[digit] = roc_auc_score(split.is_anomaly, values)
    mean = np.mean([*found.values()])
    listed = ", ".join(f"{d}: {value:.3f}" for d, value in found.items())
    if mean < 0.35:
        wrong(
            f"AUROC {listed}: far below chance. Your score is larger for "
            "*normal* rows; change its sign."
        )
    if mean < 0.93:
        wrong(
            f"AUROC {listed}; the mean of both should be at least 0.93. What "
            "measures how far a row is from *all* that was seen?"
        )
    correct("6a.3", f"AUROC {listed}. How many numbers does yours store?")


@one_sentence
def check_6a_4(answer):
    """Three seeds each: a few zeros in training hide zeros, trimmed or not."""
    answer = as_dict(answer, "answer", ("clean", "dirty", "trimmed"))
    clean, dirty, trimmed = (
        as_array(value, f'answer["{name}"]').ravel()
        for name, value in answer.items()
    )
    if min(len(clean), len(dirty), len(trimmed)) < 3:
        wrong("Give at least three seeds each: one run proves little.")
    both = np.concatenate([clean, dirty, trimmed])
    if both.min() < 0 or both.max() > 1:
        wrong("AUROC lies between 0 and 1.")
    if len(set(clean.round(12))) == 1:
        wrong("All clean values are equal: did the seed reach the model?")
    if clean.mean() < 0.5:
        wrong(
            f"Clean AUROC {clean.mean():.2f} is below chance: larger scores "
            "should mean stranger rows."
        )
    if clean.mean() < 0.9:
        wrong(
            f"Clean AUROC {clean.mean():.2f}; about 0.99 is possible for the "
            "zero. Was the model trained long enough, is its code narrow (8 "
            "numbers do), and each row scored by its own error?"
        )
    if clean.mean() - dirty.mean() < 0.02:
        wrong(
            f"Clean {clean.mean():.3f}, dirty {dirty.mean():.3f}: hardly a "
            "difference. Are the 30 zeros really among the training rows, "
            "and is the weight of each seed restarted before training?"
        )
    if dirty.mean() < 0.3:  # with 30 of them even principal axes keep 0.4
        wrong(
            f"Dirty {dirty.mean():.3f}: zeros are far *less* strange than "
            "other digits. Are there only 30 of them among the training rows?"
        )
    if len(trimmed) == len(dirty) and np.allclose(trimmed, dirty, atol=1e-9):
        wrong(
            "Trimmed and dirty are the same numbers: drop the rows, then "
            "train again."
        )
    if trimmed.mean() > 0.5 * (clean.mean() + dirty.mean()):
        wrong(
            f"Trimmed {trimmed.mean():.3f} is nearer to clean "
            f"({clean.mean():.3f}) than to dirty ({dirty.mean():.3f}). Did "
            "you drop the zeros by their labels, or rows scored by the clean "
            "model? Nobody knows either in practice."
        )
    if trimmed.mean() < dirty.mean() - 0.15:
        wrong(
            f"Trimmed {trimmed.mean():.3f} is far below dirty "
            f"{dirty.mean():.3f}; to lose a twentieth of the rows does little. "
            "Did you keep the strangest rows and drop the others?"
        )
    correct(
        "6a.4",
        f"{clean.mean():.2f} fell to {dirty.mean():.2f}, and trimming made it "
        f"{trimmed.mean():.2f}. What would score the rows better before you "
        "drop any?",
    )


def _conformal(scores, rate):
    """Rank ⌈(1 − rate)(n + 1)⌉, 1 for the smallest; n + 1 if none."""
    return math.ceil((1 - rate) * (len(scores) + 1) - 1e-9)


@one_sentence
def check_6a_5(answer):
    """The conformal rank, and a refusal where there is none."""
    rng = np.random.default_rng(5)
    for n, rate in ((60, 0.05), (40, 0.05), (20, 0.05), (99, 0.01), (30, 0.2)):
        scores = rng.exponential(size=n)
        given = scores.copy()
        result = call(answer, scores, rate)
        within = 1e-3 if in_half(result) else 1e-6
        value = as_number(result, "The threshold")
        if not np.array_equal(scores, given):
            wrong("Your function changed the scores: sort a copy.")
        ranked = np.sort(given)
        rank = _conformal(ranked, rate)
        named = [
            (
                ranked[max(math.ceil((1 - rate) * n - 1e-9), 1) - 1],
                "That is the rank ⌈q n⌉: it counts the rows it was set on. "
                "The next row is one more, so there are n + 1 ranks.",
            ),
            (
                np.quantile(ranked, 1 - rate),
                "np.quantile interpolates between the ranks of the n rows and "
                "promises too little: take rank ⌈q (n + 1)⌉.",
            ),
            (
                ranked[math.ceil(rate * (n + 1) - 1e-9) - 1],
                "Nearly all new rows would exceed that: the rate is that of "
                "the alarms, not of the rows left in peace.",
            ),
            (
                ranked[-1] if rank < n else np.inf,
                "The largest score keeps the promise and wastes alarms: take "
                "the smallest rank that keeps it.",
            ),
        ]
        if not np.isclose(value, ranked[rank - 1], rtol=within, atol=0):
            name_value(value, named)
            wrong(
                f"For {n} scores and a rate of {rate:g} the threshold is the "
                f"{rank}-th smallest; yours lies above "
                f"{int(np.sum(ranked < value))} of them."
            )
    reached("values")
    for n, rate in ((18, 0.05), (98, 0.01), (3, 0.2)):
        scores = rng.exponential(size=n)
        try:
            value = answer(scores, rate)
        except ValueError:
            continue
        except Exception as error:
            wrong(
                f"{n} rows cannot promise a rate of {rate:g}: raise a "
                f"ValueError; yours raised {type(error).__name__}."
            )
        wrong(
            f"{n} rows cannot promise a rate of {rate:g}, and your function "
            f"returned {value!r:.40}: raise a ValueError."
        )
    correct(
        "6a.5",
        "How many rows does a promise of one false alarm in a thousand need?",
    )
