# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Chapter 8d · Without a label: auditing data
#
# One article calls unlabelled data "unknowable". What is unknown are the labels. Whether rows
# occur twice, whether the test set leaks, whether today's rows come from where
# yesterday's came from, whether a value can be true at all: this can be known before
# any training, and it decides what a training is worth. Here are the tools, tried on
# planted faults, of which we know the truth, and then on the data of this course, of
# which we did not.
#
# **We will show**
#
# - copies and leaks, why equality finds a quarter of them, and what a distance has to ignore;
# - drift: column by column, by two classifiers, by a kernel, and what each cannot see;
# - impossible values: two rules beside five detectors;
# - what the audit says of digits, iris and breast cancer, and of this course's results;
# - what no audit can find.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 6a](06a_anomaly_detection.ipynb), sections 1 and 2 |
# | Data | scikit-learn's digits, iris and breast cancer (real); faults planted by us |
# | Time | half a minute on two CPU cores; half an hour of reading, half an hour for the exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup", "hide-input"]
import keras
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import rotate, shift
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp, rankdata
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from utils import data, plotting
from utils.baselines.detectors import (
    Forest,
    Mahalanobis,
    NearestNeighbor,
    ZScore,
)
from utils.checks import chapter_08d as checks
from utils.models import Autoencoder
from utils.training import recipes
from utils.training.repeats import restart, with_spread

plotting.use_style()

# %% [markdown]
# **Parameters.** Both profiles see the same data; the full one has more seeds and draws,
# and trains the only network longer.

# %% tags=["setup"]
SEEDS = profile.pick(quick=(0, 1, 2), full=tuple(range(10)))
EPOCHS = profile.pick(quick=30, full=100)
DRAWS = profile.pick(quick=12, full=60)  # of planted drift
flat = data.load("digits").flat()

# %% [markdown]
# ## 1. Unknowable? Copies need the right distance, not a network
#
# First: does a row occur twice? Within a collection a copy is counted double; across a
# split it is a **leak**, and the test score a memory test. (Barz and Denzler 2020 found
# near copies of training images in the test sets of CIFAR; Kapoor and Narayanan 2023
# found leaks in the papers of many sciences.)
#
# We plant forty copies of training digits among the test digits: ten equal, ten with a
# little noise, ten fainter, ten moved by one pixel. A test row is suspicious if its
# nearest training row is much nearer than its second nearest. We inspect the forty most
# suspicious, so that precision is also the share found. From line to line only the
# distance changes.


# %%
def planted_copies(seed):
    """Training rows; test rows, forty of them copies; kind of each row."""
    rng = np.random.default_rng(seed)
    source = rng.choice(len(flat.x_train), 40, replace=False)
    rows = flat.x_train[source]
    rows[10:20] += 0.05 * rng.standard_normal((10, 64))
    rows[20:30] *= 0.8
    moved_rows = shift(rows[30:].reshape(-1, 8, 8), (0, 0, 1), order=0)
    rows[30:] = moved_rows.reshape(-1, 64)
    kinds = np.repeat(["", *COPIES], [len(flat.x_test), 10, 10, 10, 10])
    return flat.x_train, np.concatenate([flat.x_test, rows]), kinds


COPIES = ("equal", "noisy", "fainter", "moved")


def all_moves(x):
    """Every image moved by at most one pixel: (9, n, 64)."""
    images = x.reshape(-1, 8, 8)
    steps = [(0, a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    return np.stack([shift(images, s, order=0).reshape(-1, 64) for s in steps])


def unit(rows):
    """Rows of length one, in the same directions."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# %%
coder = Autoencoder.dense((64,), 16, widths=(128,), seed=0)
recipes.compile(coder, 3e-3, EPOCHS * -(-len(flat.x_train) // 64))


def by_codes(train, test):
    """Distances between codes of the network of this seed."""
    return cdist(coder.encode(test), coder.encode(train))


def over_moves(a, b, rows):
    """Smallest distance over nine moves, after a function of rows."""
    of_b = rows(b)
    return np.min([cdist(of_b, rows(m)) for m in all_moves(a)], axis=0)


VIEWS = {
    "equal or not": lambda a, b: 1.0 * (cdist(b, a) > 0),
    "pixels": lambda a, b: cdist(b, a),
    "autoencoder's codes": by_codes,
    "direction": lambda a, b: cdist(unit(b), unit(a)),
    "pixels, nine moves": lambda a, b: over_moves(a, b, np.asarray),
    "direction, nine moves": lambda a, b: over_moves(a, b, unit),
    "the same, of codes": lambda a, b: over_moves(
        a, b, lambda x: unit(coder.encode(x))
    ),
}

# %%
found_copies = {}
for seed in SEEDS:
    train, test, kinds = planted_copies(seed)
    keras.utils.set_random_seed(seed)
    restart(coder, seed)
    coder.fit(train, batch_size=64, epochs=EPOCHS, verbose=0)
    for name, view in VIEWS.items():
        first, second = np.sort(view(train, test), axis=1)[:, :2].T
        closeness = -first / np.maximum(second, 1e-9)
        worst = np.argsort(-closeness, kind="stable")[:40]
        row = [np.mean(kinds[worst] != "")]
        row += [np.sum(kinds[worst] == kind) / 10 for kind in COPIES]
        found_copies.setdefault(name, []).append(row)

# %% tags=["nbval-ignore-output"]
runtime.record(
    "copies of training digits among test digits, the forty most suspicious",
    ("seen by", "precision", *COPIES),
    [
        (name, *(with_spread(v, 2) for v in np.transpose(rows)))
        for name, rows in found_copies.items()
    ],
)

# %% tags=["hide-input"]
precision = {
    n: np.mean([r[0] for r in rows]) for n, rows in found_copies.items()
}
assert precision["equal or not"] == 0.25, "the ten equal ones"
assert precision["pixels"] > precision["autoencoder's codes"] - 0.02
assert precision["direction"] > precision["pixels"] + 0.05
assert precision["direction, nine moves"] > 0.93
assert precision["the same, of codes"] > 0.85, "nor is a network in the way"
assert precision["pixels, nine moves"] < precision["direction, nine moves"]
assert max(np.array(found_copies["direction"])[:, 4]) < 0.2, "moved: unseen"

# %% tags=["nbval-ignore-output"]
train, test, kinds = planted_copies(0)
gaps = VIEWS["direction, nine moves"](train, test)
first, second = np.sort(gaps, axis=1)[:, :2].T
figure, axis = plt.subplots()
for index, kind in enumerate(("", *COPIES)):
    rows = kinds == kind
    axis.scatter(
        second[rows],
        first[rows],
        s=14,
        color=("0.7", "C1", "C2", "C0", "C4")[index],
        label=kind or "honest test digits",
    )
axis.set(xlabel="to the second nearest training row", ylabel="to the nearest")
axis.set_title("A copy has one neighbour that is far nearer than the rest")
axis.legend(fontsize=8)
plt.show()

# %% [markdown]
# **Figure 8d.1.** Distances of test digits to their nearest and second nearest training
# row, in directions and over nine moves. Honest digits lie along the diagonal, since
# they have many neighbours about as near; look at the bottom for the copies. (A copy of
# a row that has a double by nature would be missed: that is the price of the ratio.)
#
# Comparing for equality, which is what `drop_duplicates` and every hash do, finds a
# quarter. The pixel distance adds the noisy ones, the *direction* of the row the fainter,
# and only the smallest distance over nine moves the moved. The autoencoder's codes find no
# more than pixels do; with directions and moves they find nearly as many as pixels with both. So it is the
# distance that finds copies, with a network or without. **A near copy is near in a distance that ignores what the copying
# changed**: say what that may be, and the rest is a search for neighbours. We planted the
# changes and knew them; a list of those that your source can make is the real work. (A
# network trained to ignore such changes, chapter 5b's SimCLR, is the other way; it was
# not tried here.)
#
# And the course's own data? Digits and breast cancer have no equal rows. Iris has:

# %%
iris = data.load("iris").all_rows()[0]
_, counts = np.unique(iris, axis=0, return_counts=True)
print("iris: rows that occur twice:", np.sum(counts == 2))
across = []
for seed in range(4):
    parts = data.load("iris", seed=seed)
    gaps = cdist(np.r_[parts.x_val, parts.x_test], parts.x_train)
    across.append(np.sum(gaps.min(axis=1) == 0))
    print(
        f"split of seed {seed}: {across[-1]} of the held-out rows in training"
    )
assert np.sum(counts == 2) == 1 and 0 <= min(across) <= max(across) <= 1

# %% [markdown]
# Two flowers have the same four measurements, to the millimetre; in the split of seed 3
# one of them is in training and its twin held out. One row of thirty is three
# points of accuracy, if it matters.
#
# ## 2. Drift: four tests, and what each cannot see
#
# Were these two sets of rows drawn from the same source? Training and today's, one
# hospital and the next. The usual answer goes *column by column*: Kolmogorov–Smirnov,
# the smallest p-value times the number of columns. The other answer trains a classifier
# to tell the sets apart (Lopez-Paz and Oquab 2017). On rows that it was not trained on
# its AUROC is ½, up to chance, if there is no difference, and the p-value needs no
# formula: shuffle the held-out labels, and count how often chance does as well. With $B$
# shuffles,
#
# $$p=\frac{1+\#\{b:\mathrm{AUROC}_b\ge\mathrm{AUROC}\}}{1+B}.\tag{1}$$
#
# The 1 is the true order, itself one of the possible orders; without it $p$ could be 0
# (Phipson and Smyth 2010).
#
# A third answer needs no fitting, and so no half of the rows for it: the *maximum mean discrepancy* (Gretton et al.
# 2012) is large if rows are more like their own set than like the other, likeness being a Gaussian kernel of the
# distance; its p-value comes from shuffling, too.


# %%
def permutation_p(scores, second, rng, times=999):
    """How often do shuffled labels give as large a rank sum?"""
    ranks = rankdata(scores)
    shuffled = rng.permuted(np.tile(second, (times, 1)), axis=1)
    larger = np.sum(shuffled @ ranks >= second @ ranks)
    return (1 + larger) / (1 + times)


def told_apart(classifier, a, b, rng):
    """AUROC on held-out halves, and its p-value."""
    rows, second = np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)])
    order = rng.permutation(len(rows))
    fitted, held = np.array_split(order, 2)
    classifier.fit(rows[fitted], second[fitted])
    scores = classifier.predict_proba(rows[held])[:, 1]
    area = roc_auc_score(second[held], scores)
    return area, permutation_p(scores, second[held], rng)


# %%
def by_kernel(a, b, rng, times=199):
    """p-value of the maximum mean discrepancy of two sets as large."""
    gaps = cdist(*[np.concatenate([a, b])] * 2)
    kernel = np.exp(-(gaps**2) / (2 * np.median(gaps) ** 2))
    signs = np.repeat([1.0, -1.0], [len(a), len(b)])
    signs = np.stack([signs, *(rng.permutation(signs) for _ in range(times))])
    found = np.sum(signs @ kernel * signs, axis=1)
    return np.mean(found >= found[0] - 1e-9)  # the true order is the first


def by_columns(a, b):
    """Smallest p-value of all columns, times their number."""
    found = [
        ks_2samp(u, v, method="asymp").pvalue
        for u, v in zip(a.T, b.T, strict=True)
    ]
    return min(1.0, len(found) * min(found))


# %%
def exchanged(x, rng):
    """Upper halves from other rows: every column stays as it was."""
    return np.c_[rng.permutation(x[:, :32]), x[:, 32:]]


def turned(x):
    images = rotate(x.reshape(-1, 8, 8), 10, (1, 2), reshape=False, order=1)
    return images.reshape(-1, 64)


linear = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
trees = ExtraTreesClassifier(50, random_state=0)
everything, labels = flat.all_rows()
rejected = {}
for seed in range(DRAWS):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(everything))
    a, b, rest = np.split(everything[order], [400, 800])
    nines = rest[labels[order[800:]] == 9][:60]
    for name, second in {
        "none": b,
        "fainter by a tenth": 0.9 * b,
        "turned by 10°": turned(b),
        "sixty more nines": np.r_[b[:340], nines],
        "halves exchanged": exchanged(b, rng),
    }.items():
        p = [
            by_columns(a, second),
            told_apart(linear, a, second, rng)[1],
            told_apart(trees, a, second, rng)[1],
            by_kernel(a, second, np.random.default_rng(seed)),
        ]
        rejected.setdefault(name, []).append(np.array(p) <= 0.05)

# %% tags=["nbval-ignore-output"]
power = {name: np.mean(values, axis=0) for name, values in rejected.items()}
runtime.record(
    f"400 digits against 400, share of {DRAWS} draws called drift at 5 %",
    ("planted", "column by column", "linear classifier", "trees", "kernel"),
    [(name, *(f"{v:.1f}" for v in row)) for name, row in power.items()],
)

# %% tags=["hide-input"]
assert (
    min(power["fainter by a tenth"]) == 1 and min(power["turned by 10°"]) == 1
)
assert power["halves exchanged"][2] > 0.9, "trees see it"
assert max(power["halves exchanged"][:2]) < 0.35, "columns and lines do not"
assert max(power["none"]) < 0.35, "about 5 %, of few draws"
*others, kernel = power["sixty more nines"]
assert kernel > max(others) + 0.15 and max(others) < 0.8
assert power["halves exchanged"][3] < 1, "nor does it see all"

# %% [markdown]
# Gross drift is seen by all. When the upper halves of the digits are dealt to other lower
# halves, each column keeps its values, and neither columns nor a linear classifier can
# see it; trees do each time, the kernel in six draws of ten. Sixty nines too many are beyond the first three, most of the time,
# with 400 rows; the kernel sees them in eight draws of ten. No test sees everything. (The first line should be one in twenty.) A p-value says that sets
# differ, not that it matters: with enough rows everything differs. Which rows or columns
# give the difference away is the next question, and the classifier answers that as well.
#
# Now the course's own split, which shuffled, and the file as it was delivered:

# %% tags=["nbval-ignore-output"]
in_file, in_order = load_digits().data / 16, load_digits().target
rng = np.random.default_rng(0)
areas = {}
for name, (a, b) in {
    "training against test rows of the course": (flat.x_train, flat.x_test),
    "first against second half of the file": np.array_split(in_file, 2),
    "the same, shuffled": np.array_split(rng.permutation(in_file), 2),
}.items():
    areas[name] = told_apart(trees, a, b, rng)
    print(f"{name}: AUROC {areas[name][0]:.2f}, p = {areas[name][1]:.3f}")
gaps = cdist(in_file, in_file)
np.fill_diagonal(gaps, np.inf)
places = np.arange(len(in_file))
apart = np.abs(gaps.argmin(axis=1) - places)
by_chance = np.abs(rng.permutation(places) - places)
neighbour = KNeighborsClassifier(1)
folds = {
    "shuffled": KFold(5, shuffle=True, random_state=0),
    "blocks of the file": KFold(5),
}
right = {
    name: cross_val_score(neighbour, in_file, in_order, cv=fold).mean()
    for name, fold in folds.items()
}
print("nearest neighbour, accuracy:", {k: f"{v:.3f}" for k, v in right.items()})

# %% tags=["nbval-ignore-output"]
figure, axis = plt.subplots()
bins = np.arange(0, 1801, 50)
axis.hist(apart, bins, label="as delivered")
axis.hist(by_chance, bins, histtype="step", color="black", label="by chance")
axis.set(
    xlabel="rows between a digit and its nearest neighbour", ylabel="digits"
)
axis.set_title("The digits that look alike were written down together")
axis.legend()
plt.show()

# %% tags=["hide-input"]
mixed, halves, again = areas.values()
assert mixed[1] > 0.05 and again[1] > 0.05 and halves[1] < 0.01
assert halves[0] > 0.7 and np.mean(apart <= 130) > 0.5
assert np.mean(by_chance <= 130) < 0.2
assert right["shuffled"] - right["blocks of the file"] > 0.015

# %% [markdown]
# **Figure 8d.2.** How far apart in the file a digit and its nearest neighbour stand. Look
# at the left end: more than half of the neighbours are within 130 rows, against one in
# seven by chance.
#
# A classifier tells the halves of the file apart at once, and no label was needed to find
# out that one should ask. The file's description answers: these rows come from thirteen
# people, and the picture suggests that each wrote in one stretch. Every split of this
# course shuffles, so the same hands are in training and test. With blocks of the file left
# out, the nearest neighbour loses more than two points of accuracy. That is nearer to the
# truth for a *new* writer, and **the digits results of this course are for known
# writers**. After shuffling, the test finds nothing any more. Keep the order of your rows,
# and whatever else says where they come from.

# %% [markdown]
# ## 3. Impossible values: two rules beat five detectors
#
# A table of measurements: breast cancer, 30 columns, of which the first ten are means
# over the cells of a sample and the last ten the worst values of the same ten. We plant
# 24 faults among 569 rows: a *unit* ten times too large, a *missing* value written as −1,
# a mean and its worst value *exchanged*, or the means of one *patient* beside the rest of another. Two
# rules anybody can write who knows what the columns mean: nothing is below 0, no mean
# exceeds its worst value. Beside them the detectors of chapter 6a, fitted to the faulty
# table itself.

# %%
cells, _ = data.load("breast_cancer").all_rows()
columns = data.load("breast_cancer").features
FAULTS = ("unit", "missing", "exchanged", "two patients")


def planted_faults(seed):
    """Rows, 24 of them with a fault; kind of each."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.float64(cells))
    kinds = np.repeat(["", *FAULTS], [len(rows) - 24, 6, 6, 6, 6])
    for index in np.flatnonzero(kinds != ""):
        row, column = rows[index], rng.integers(10)
        if kinds[index] == "unit":
            row[column] *= 10
        elif kinds[index] == "missing":
            row[column] = -1
        elif kinds[index] == "exchanged":
            row[[column, column + 20]] = row[[column + 20, column]]
        else:
            row[:10] = cells[rng.integers(len(cells)), :10]
    return rows, kinds


def by_rules(rows):
    """Broken rules: nothing below 0, no mean above the worst value."""
    return np.sum(rows < 0, axis=1) + np.sum(
        rows[:, :10] > rows[:, 20:], axis=1
    )


# %%
caught = {}
for seed in range(DRAWS):
    rows, kinds = planted_faults(seed)
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    ranks = rankdata(rows, axis=0) / len(rows)
    by_rank = Mahalanobis().fit(ranks).anomaly_scores(ranks)
    for name, scores in {
        "rules": by_rules(rows),
        "z-score": ZScore().fit(rows).anomaly_scores(rows),
        "isolation forest": Forest().fit(rows).anomaly_scores(rows),
        "5th neighbour": NearestNeighbor(6).fit(scaled).anomaly_scores(scaled),
        "Mahalanobis": Mahalanobis().fit(scaled).anomaly_scores(scaled),
        "… fitted before planting": Mahalanobis()
        .fit((cells - rows.mean(axis=0)) / rows.std(axis=0))
        .anomaly_scores(scaled),
        "Mahalanobis of ranks": by_rank,
        "rules, then ranks": by_rank + by_rank.max() * (by_rules(rows) > 0),
    }.items():
        count = min(24, np.sum(scores > 0))
        worst = np.argsort(-scores, kind="stable")[:count]
        row = [np.mean(kinds[worst] != "")]
        row += [np.sum(kinds[worst] == kind) / 6 for kind in FAULTS]
        caught.setdefault(name, []).append(row)

# %% tags=["nbval-ignore-output"]
runtime.record(
    "24 faults planted among 569 rows, the 24 most suspicious",
    ("found by", "precision", *FAULTS),
    [
        (name, *(with_spread(v, 2) for v in np.transpose(rows)))
        for name, rows in caught.items()
    ],
)

# %% tags=["hide-input"]
caught_mean = {name: np.mean(rows, axis=0) for name, rows in caught.items()}
assert caught_mean["rules"][0] == 1 and min(caught_mean["rules"][1:4]) > 0.95
assert caught_mean["rules"][4] < 0.7
_, *others, before, ranked, both = caught_mean.values()
others = np.array(others)
assert before[0] > others[:, 0].max() and before[4] < ranked[4] - 0.1
assert both[0] > max(before[0], ranked[0]) + 0.1 and both[4] > 0.45
assert ranked[0] > others[:, 0].max() and ranked[4] > others[:, 4].max() + 0.2

# %% [markdown]
# Rules make no false alarm and miss only what breaks none: two patients in one row. For
# those one needs to know how columns go together, and only the Mahalanobis distance of the
# *ranks* finds most of them. A rank cannot be large, so that faults in the fitted rows do
# little harm; but that is not all. Fitted to the table *before* planting, which no audit has, the distance of the
# values finds more than it did, and still only a quarter of the two patients. The isolation
# forest hardly beats chance (24 of 569 is .04). Audits begin with a list of what
# cannot be, and go on with statistics: broken rules first, then the largest distances of ranks, find .93 of
# all. And the table as it is?

# %%
zeros = np.sum(cells == 0, axis=1)
named = [columns[j] for j in np.flatnonzero((cells == 0).any(axis=0))]
print(f"{np.sum(zeros > 0)} rows with zeros, {zeros[zeros > 0].min()} in each:")
print(*named, sep=", ")
assert np.sum(zeros > 0) == 13 and set(zeros) == {0, 6}
assert by_rules(np.float64(cells)).max() == 0, "no rule is broken"

# %% [markdown]
# No rule is broken; but thirteen rows have exactly 0 in the same six columns, all about
# concave outlines. That may be a cell without a dent, or a method that failed. Data
# cannot say which. An audit ends in questions to whoever measured.
#
# ## 4. What no audit finds
#
# Four things cannot be seen in the rows, with any method: a *kind that was never
# collected* (nothing in nine digits says that there is a tenth); what a row *should have
# been called*; *who* is in the data and did not agree; and drift that comes *after* the
# audit. "Unknowable" would be the word for these.

# %% [markdown]
# ## What we showed
#
# - The forty copies were found by a distance that ignores what copying changed: 98 % with
#   nine moves and directions, nearly as many in an autoencoder's codes; 60 % with plain pixels,
#   a quarter by equality.
# - A classifier of trees saw drift that columns and a linear classifier cannot see, and a kernel
#   saw the extra nines that these three mostly missed.
# - Two rules found every impossible value without a false alarm; with the Mahalanobis distance of
#   ranks for the rest they found nine in ten faults.
# - Iris has a twin that leaks in some splits. The digits have writers, and a nearest
#   neighbour loses two points when whole blocks of the file are left out. Breast cancer
#   has thirteen rows to ask about.
#
# **Limits.** The planted faults are ours, and real ones are more inventive. "The most
# suspicious forty" presumes that one knows how many to look at; a budget of inspections is
# the honest form of it.
#
# **References.** Gretton et al. (2012), A kernel two-sample test, *JMLR* 13 · Lopez-Paz
# and Oquab (2017), Revisiting classifier two-sample tests, *ICLR* · Phipson and Smyth (2010), Permutation p-values should never be zero, *SAGMB* 9 ·
# Barz and Denzler (2020), Do we train on test data?, *Journal of Imaging* 6 · Kapoor and
# Narayanan (2023), Leakage and the reproducibility crisis, *Patterns* 4.
#
# Rare classes and attacks: [chapter 8b](08b_rare_and_attacked.ipynb). Which claims one
# meets elsewhere are wrong, and which test proves it: [errata](../docs/errata.md). Answers
# to the exercises: [solutions](../solutions/08d_without_a_label.ipynb).

# %% [markdown]
# ## Exercises
#
# Each needs only the set-up cells at the top. Write your answer where
# it says `# your answer here`, run the cell, then run the check below it: it
# says what is wrong, and with what to go on once it is right.

# %% [markdown] tags=["exercise"]
# ### Exercise 8d.1 · Twins, with a pencil
#
# *You will learn how surely a random split leaks.* A collection holds 1 000 rows, of which
# 200 are 100 pairs of twins. A fifth of the rows, drawn at random, becomes the test set
# (treat the rows as drawn independently). (a) What is the chance that a given pair is divided, one twin in
# training, one in test? (b) How many of the test rows have their twin in training, on average?
# (c) A model knows every training row by heart and is right on 70 % of the other test rows. What
# accuracy do you expect to read?

# %% tags=["exercise"]
answer_8d_1 = None  # three numbers
### BEGIN SOLUTION
answer_8d_1 = [2 * 0.2 * 0.8, 100 * 0.32, (32 + 0.7 * 168) / 200]
### END SOLUTION

# %% tags=["check"]
checks.check_8d_1(answer_8d_1)

# %% [markdown] tags=["discussion"]
# Either twin may be the one in the test set, hence the 2. A fifth of twins among the rows is
# worth almost five points here, and no average over seeds takes them away: every
# random split leaks alike.

# %% [markdown] tags=["exercise"]
# ### Exercise 8d.2 · A p-value without a formula
#
# *You will learn to test by shuffling.* Given scores and booleans `second`, which say
# which rows are of the second set, return the p-value by (1) of the *difference of mean
# scores*, second less first, being as large as it is. Shuffle `times` times with the generator `rng`.


# %% tags=["exercise"]
def p_by_shuffling(scores, second, times, rng):
    """Return the one-sided permutation p-value."""
    ### BEGIN SOLUTION
    scores, second = np.asarray(scores), np.asarray(second, dtype=bool)

    def difference(chosen):
        return scores[chosen].mean() - scores[~chosen].mean()

    # a margin: sums in another order differ in their last digits
    found = difference(second) - 1e-9
    as_large = sum(
        difference(rng.permutation(second)) >= found for _ in range(times)
    )
    return (1 + as_large) / (1 + times)
    ### END SOLUTION


# %% tags=["check"]
checks.check_8d_2(p_by_shuffling)

# %% [markdown] tags=["discussion"]
# Ties count as "as large": if all scores are equal, p is 1. And p is never 0, since the order
# that was found is one of those that chance could give.

# %% [markdown] tags=["exercise"]
# ### Exercise 8d.3 · Copies in a mirror (open)
#
# *You will learn to find what a copyist changed.* Some rows of `test` `(n, 8, 8)` are copies of
# rows of `train` `(m, 8, 8)`, mirrored left to right *or* made fainter, or both, with a
# trace of noise. Return the indices of these test rows. Any method; nine in ten must be
# found, and nine in ten of yours be copies.


# %% tags=["exercise"]
def find_copies(train, test):
    """Return the indices of the test images that are copies."""
    ### BEGIN SOLUTION
    train = np.concatenate([train, train[:, :, ::-1]]).reshape(-1, 64)
    train, test = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for rows in (train, np.reshape(test, (-1, 64)))
    )
    gaps = np.sort(cdist(test, train), axis=1)
    return np.flatnonzero(gaps[:, 0] < 0.5 * gaps[:, 1])
    ### END SOLUTION


# %% tags=["check"]
checks.check_8d_3(find_copies)

# %% [markdown] tags=["discussion"]
# The mirror is handled by adding mirrored training rows, brightness by the direction, and
# the threshold by comparing first and second neighbour: a copy has *one* row that is far nearer
# than all others, while honest rows have many about as near.

# %% [markdown] tags=["exercise"]
# ### Exercise 8d.4 · A split by writers
#
# *You will learn to split what belongs together.* Given `groups` `(n,)`, who wrote each row, a share and a
# generator, return booleans `(n,)`: which rows are for the test. No group may stand on
# both sides, neither side may be empty, and the test rows should be about the share: off by no more than
# the size of the largest group.


# %% tags=["exercise"]
def split_by_group(groups, share, rng):
    """Return booleans: which rows are test rows."""
    ### BEGIN SOLUTION
    groups = np.asarray(groups)
    names, counts = np.unique(groups, return_counts=True)
    order = rng.permutation(len(names))
    before = np.cumsum(counts[order]) - counts[order]
    taken = order[before < share * len(groups)]
    taken = taken[: len(names) - 1]  # leave a group to train on
    return np.isin(groups, names[taken])
    ### END SOLUTION


# %% tags=["check"]
checks.check_8d_4(split_by_group)

# %% [markdown] tags=["discussion"]
# scikit-learn's `GroupShuffleSplit` draws a share of the *groups*, which is no share of the rows where
# groups are unequal. Whole groups make the test set smaller in kind: thirteen
# writers are thirteen observations of "a new writer", however many rows they wrote.

# %% [markdown] tags=["exercise"]
# ### Exercise 8d.5 · Columns that say nothing new
#
# *You will learn to audit columns.* Return the indices of the columns of `x` `(n, d)` that
# are constant, or that are an exact multiple plus a constant of a column *before* them (a length in
# inches after the same in centimetres), up to rounding of one part in a million.


# %% tags=["exercise"]
def empty_columns(x):
    """Return the indices of the columns that add nothing."""
    ### BEGIN SOLUTION
    x = np.asarray(x, dtype="float64")
    middle = x - x.mean(axis=0)
    size = np.sqrt(np.mean(middle**2, axis=0))
    constant = size <= 1e-9 * np.maximum(1, np.abs(x).max(axis=0))
    scaled = middle / np.where(constant, 1, size)
    match = np.abs(scaled.T @ scaled) / len(x) > 1 - 1e-12
    earlier = np.triu(match, 1) & ~constant[:, None]
    return np.flatnonzero(constant | earlier.any(axis=0))
    ### END SOLUTION


# %% tags=["check"]
checks.check_8d_5(empty_columns)

# %% [markdown] tags=["discussion"]
# A correlation of ±1 is an exact line. Such a column is weighed twice by every distance,
# and may be how a label leaks: "days in hospital after diagnosis". Exact copies are the
# easy case; a column that is a *sum* of others is found by the rank of the centred table.
