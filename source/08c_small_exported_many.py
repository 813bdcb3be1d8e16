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
# # Chapter 8c · Small, exported, many: what a model weighs and where it runs
#
# "Needs much computing" is a challenge at the end of most articles on deep
# learning, and there it stays a sentence. Here it becomes numbers: bytes, error and
# seconds of one detector in seventeen forms; the same scores from a program that has
# never heard of Keras; more rows than the memory holds; and one training spread
# over several devices that ends with the same weights.
#
# **We will show**
#
# - what eight bits, sixteen bits, a teacher and another shape do to a detector, and
#   that PCA needs a twentieth of the bytes for the same error;
# - a file that any program can score with, equal to Keras within $10^{-5}$, and the
#   one kind of row for which it stays silent;
# - that rows read from disk give the same weights as rows in memory, and that their
#   order matters where a sum would not care;
# - a straight line through four points on logarithmic axes that misses the fifth;
# - why many devices change nothing, and what people change along with them.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 2a](02a_autoencoders.ipynb); [chapter 6a](06a_anomaly_detection.ipynb), sections 1 to 4 |
# | Data | digits (real); a file of jittered digits, written to a temporary folder |
# | Time | under a minute on two CPU cores; two hours of reading and exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup"]
import importlib.util
import pathlib
import tempfile
import time
import tracemalloc
import warnings

import keras
import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
from keras import ops
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.metrics import roc_auc_score

from utils import data, plotting
from utils.baselines.detectors import NearestNeighbor
from utils.checks import chapter_08c as checks
from utils.evaluation.detection import hold_out, quantile_threshold
from utils.models import Autoencoder
from utils.nn.backend import weight_gradients
from utils.training import recipes
from utils.training.repeats import restart, with_spread

plotting.use_style()

# %% tags=["setup"]
SEEDS = profile.pick(quick=(0, 1, 2), full=tuple(range(8)))
UPDATES = profile.pick(quick=800, full=3200)
ON_DISK = profile.pick(quick=40_000, full=400_000)  # rows of the file
CODE, BATCH, UNKNOWN = 12, 64, 4  # the digit four is never trained on


def ready(widths, rate=3e-3, updates=UPDATES):
    """A compiled autoencoder of 64 pixels with so many hidden units."""
    model = Autoencoder.dense((64,), CODE, widths=widths, seed=0)
    return recipes.compile(model, rate, updates=updates)


def fit(model, x, seed, batch=BATCH, rows=UPDATES * BATCH):
    """Start from the weights of a seed, see so many rows; the model."""
    restart(model, seed)
    x = np.tile(x, (-(-rows // len(x)), 1))[:rows]
    model.fit(x, batch_size=batch, shuffle=False, verbose=0)
    return model


def errors(model, x):
    """Squared error of each row, summed over its pixels."""
    return np.sum((x - model.reconstruct(x)) ** 2, axis=1)


# %% [markdown]
# ## 1. How small? A byte of PCA goes farther than a byte of the network
#
# The detector of chapter 6a: trained on nine digits, it gives a row the error of
# its reconstruction, and an unknown digit should have a large one. Three numbers
# count. *Bytes* are what has to be stored and loaded. *Error* is that of test rows
# of the nine digits. *AUROC* is how well the error ranks the fours above them.
#
# Six ways to make a network smaller or otherwise:
#
# - **sixteen bits**: the same weights in half precision. A Keras *dtype policy*
#   says so: `"float16"` stores and computes in it, `"mixed_float16"` computes in it
#   and stores 32 bits, for the sake of training;
# - **eight bits** (Jacob et al. 2018): `model.quantize("int8")` keeps of each column
#   $w$ of a kernel the whole numbers $\operatorname{round}(w/s)$, $s=\max_i|w_i|/127$,
#   and $s$;
# - **narrow**: 24 hidden units in place of 145;
# - **distilled**: the narrow network again, taught to give what the wide one gives
#   (Hinton et al. 2015) instead of the row itself;
# - **deep**: three hidden layers a side with as many weights as the wide one.
#
# And the opponents: PCA with 8 to 24 components, the same in eight bits, which is
# one line of NumPy, the nearest training row, which stores all of them, and the
# nearest of 64 centres of k-means.


# %%
NEAR = "nearest row", "nearest of 64 centres"


def in_eight_bits(matrix):
    """Rows rounded to 255 levels each, and the bytes that this takes."""
    scale = np.abs(matrix).max(axis=1, keepdims=True) / 127
    return np.round(matrix / scale) * scale, matrix.size + 4 * len(matrix)


def pca_errors(x_train, x, k, eight_bits=False):
    """Squared errors of k components, and their bytes."""
    pca = PCA(k, random_state=0).fit(x_train)
    parts, size = pca.components_, 4 * pca.components_.size
    if eight_bits:
        parts, size = in_eight_bits(parts)
    centred = x - pca.mean_
    rest = centred - centred @ parts.T @ parts
    return np.sum(rest**2, axis=1), size + 4 * len(pca.mean_)


def stored(model):
    """Bytes of a model's weights as they are, whatever their types."""
    return sum(ops.convert_to_numpy(w).nbytes for w in model.weights)


# %%
wide, narrow, deep = ready((145,)), ready((24,)), ready((64, 48, 64))
student = keras.Sequential([keras.Input((64,)), narrow.encoder, narrow.decoder])
recipes.compile(
    student, 3e-3, UPDATES, loss=lambda y, x_hat: ops.sum((y - x_hat) ** 2, -1)
)


def smaller(model, kind):
    """The same weights under another policy, or in eight bits."""
    policy = None if kind == "int8" else kind
    other = Autoencoder.dense((64,), CODE, widths=(145,), dtype=policy)
    other.set_weights(model.get_weights())
    if kind == "int8":
        with warnings.catch_warnings():  # layers without weights stay
            warnings.simplefilter("ignore")
            other.quantize("int8")
    return other


# %%
table, splits, forms = {}, {}, {}
for seed in SEEDS:
    every = data.load("digits", seed=seed).flat()
    split = splits[seed] = hold_out(every, UNKNOWN)
    x_train, x_test, strange = split.x_train, split.x_test, split.is_anomaly
    forms = {"wide": wide, "deep": deep, "narrow": narrow}
    found = {
        name: (errors(fit(model, x_train, seed), x_test), stored(model))
        for name, model in forms.items()
    }
    for kind in ("mixed_float16", "float16", "int8"):
        forms[f"wide, {kind}"] = other = smaller(wide, kind)
        found[f"wide, {kind}"] = errors(other, x_test), stored(other)
    restart(narrow, seed)
    recipes.forget(student.optimizer)
    rows = np.tile(x_train, (60, 1))[: UPDATES * BATCH]
    student.fit(rows, wide.reconstruct(rows), BATCH, shuffle=False, verbose=0)
    found["narrow, distilled"] = errors(narrow, x_test), stored(narrow)
    for k in (8, 12, 16, 24):
        for eight in (False, True):
            name = f"PCA, {k}" + ", int8" * eight
            found[name] = pca_errors(x_train, x_test, k, eight)
    means = KMeans(64, n_init=1, random_state=seed).fit(x_train)
    means = np.round(255 * means.cluster_centers_) / 255  # a byte each
    for name, kept in zip(NEAR, (x_train, means), strict=True):
        near = NearestNeighbor(1).fit(kept).anomaly_scores(x_test)
        found[name] = near**2, kept.size  # of rows, too: 17 grey levels
    for name, (score, size) in found.items():
        area = roc_auc_score(strange, score)
        table.setdefault(name, []).append((size, score[~strange].mean(), area))

# %% [markdown]
# Seconds are the third number, and the one that lies most: they belong to a
# machine and to what else it does. So they are *ratios* here, to PCA with 16
# components in NumPy on the same rows, the best of five tries each, and nothing is
# claimed of them that a busy machine could overturn.


# %%
def seconds(function, tries=5):
    """The shortest of several runs, after one that compiles."""
    function()
    taken = []
    for _ in range(tries):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return min(taken)


many = np.tile(splits[SEEDS[0]].x_test, (12, 1))[:4096]
pca = PCA(16).fit(x_train)
base = seconds(lambda: many @ pca.components_.T @ pca.components_)
slower = {"PCA, 16": 1.0}
for name, model in forms.items():
    slower[name] = (
        seconds(lambda model=model: model.predict_on_batch(many)) / base
    )
near = NearestNeighbor(1).fit(x_train)
slower["nearest row"] = seconds(lambda: near.anomaly_scores(many), 2) / base

# %% tags=["nbval-ignore-output"]
result = {name: np.array(values).T for name, values in table.items()}
runtime.record(
    "digits, the four unknown: bytes, test error of the nine, AUROC, seconds",
    ("detector", "bytes", "error", "AUROC", "seconds, PCA = 1"),
    [
        (
            name,
            f"{size.mean():.0f}",
            "–" if name in NEAR else with_spread(error, 2),
            with_spread(area, 3),
            f"{slower[name]:.0f}" if name in slower else "",
        )
        for name, (size, error, area) in result.items()
    ],
)

# %% tags=["hide-input"]
size, error, area = (
    {name: values[i].mean() for name, values in result.items()}
    for i in range(3)
)
assert size["wide, float16"] * 2 == size["wide"] == size["wide, mixed_float16"]
assert size["wide, int8"] < 0.3 * size["wide"]
for kind in ("mixed_float16", "float16", "int8"):
    assert abs(error[f"wide, {kind}"] / error["wide"] - 1) < 0.03
    assert abs(area[f"wide, {kind}"] - area["wide"]) < 0.003
assert error["narrow, distilled"] > 0.85 * error["narrow"], "no gain"
if not profile.full:  # there the network trains four times as long
    assert error["PCA, 16, int8"] < error["wide"]
    assert area["nearest row"] > area["wide"] + 0.005
    assert area["PCA, 16, int8"] > area["wide"] - 0.06
assert error["PCA, 24, int8"] < 0.6 * error["wide"]
assert size["PCA, 24, int8"] < size["wide, int8"] / 10
assert abs(error["PCA, 16, int8"] / error["PCA, 16"] - 1) < 0.02
assert error["wide"] < error["PCA, 12"] and area["wide"] > area["PCA, 12"]
assert error["deep"] > error["wide"] and error["narrow"] > error["deep"]
assert area["nearest row"] > area["PCA, 16"] + 0.005
assert area["nearest of 64 centres"] > area["nearest row"] - 0.01

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 2, figsize=(8.8, 3.6))
families = {
    "PCA": [f"PCA, {k}" for k in (8, 12, 16, 24)],
    "PCA, int8": [f"PCA, {k}, int8" for k in (8, 12, 16, 24)],
    "wide: 32, 16, 8 bits": ["wide", "wide, float16", "wide, int8"],
    "narrow": ["narrow"],
    "deep": ["deep"],
    "nearest row": ["nearest row"],
    "nearest of 64 centres": ["nearest of 64 centres"],
}
for axis, value, title in zip(
    axes, (error, area), ("test error", "AUROC"), strict=True
):
    for mark, (label, names) in zip("o^sDvPX", families.items(), strict=True):
        shown = [n for n in names if title == "AUROC" or n not in NEAR]
        x, y = [size[n] for n in shown], [value[n] for n in shown]
        axis.semilogx(x, y, mark + "-", label=label)
    axis.set(xlabel="bytes", ylabel=title)
axes[0].legend(fontsize=8)
axes[0].set_title("Lower left is better")
axes[1].set_title("Upper left is better")
plt.show()

# %% [markdown]
# **Figure 8c.1.** Mean of three seeds, each with its own split. Look for what lies
# left of what. Eight bits move a point sideways, to less than a third of its bytes,
# and neither down nor up: three seeds cannot see the difference. That holds for PCA
# as for the network, and PCA is so far left that no treatment of the network
# reaches it: 16 components in eight bits, 1 344 bytes, reconstruct *better* than
# the wide network's 25 000. On these three splits they rank as well, too: luck. On six
# others PCA with 16 had .95, as 12 and 24 have here, and the network .98.
#
# What the network has is a shorter code, and patience. With 12 numbers a row it is
# ahead of PCA with 12 in both columns; if codes are what you store, count those
# (chapter 6b). And it is not done: after four times as many updates (the full
# profile) its error is 0.64 and its AUROC 0.991 ± 0.005, above any PCA's, in
# eighteen times the bytes. By ranking alone the nearest row is first, in a byte a
# pixel, after no training at all; and 64 centres of k-means, 4 096 bytes, rank as well
# as all rows and better than anything else here. If fours are all that you are after,
# that is the detector.
#
# The rest is sobering, too. *Deep* has as many weights as *wide* and a larger error
# after as many updates. Fewer units cost error, fewer bits do not: see *narrow*.
# *Distilled* is no better than narrow: the teacher's picture of a row is no better
# target than the row, which is there for the asking. Distillation pays where the
# teacher knows what the data do not say, such as the odds of wrong classes; an
# autoencoder's target has no such secret. `mixed_float16` saves no byte. And on a
# processor without instructions for them, fewer bits are no quicker: look at your own
# last column.

# %% [markdown]
# ## 2. Out of Keras: the same scores from a file
#
# A service that answers in a millisecond should not load TensorFlow. ONNX is a file
# format for computations, read by runtimes in many languages. What has to leave is
# the *detector*, not the network: row in, score out. `export` writes it; it wants
# to know the shape, so the model is called once before. PCA goes the same way, as
# two dense layers without activation. Keras leaves the writing to a package of each
# backend; where it is missing, as with JAX in this course's second environment, the
# cells of this section do nothing.

# %%
folder = pathlib.Path(tempfile.mkdtemp())
inputs = keras.Input((64,), name="pixels")


def exported(name, x_hat):
    """Write a detector with these reconstructions; it and a runtime of it."""
    score = ops.sum((inputs - x_hat) ** 2, axis=1)
    detector = keras.Model(inputs, score, name=name)
    detector(x_test[:1])
    path = folder / f"{name}.onnx"
    with warnings.catch_warnings():  # an old name of NumPy's is asked for
        warnings.simplefilter("ignore")
        detector.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    entry = session.get_inputs()[0].name
    return detector, lambda x: session.run(None, {entry: x})[0], path


pca = PCA(16, random_state=0).fit(x_train)
down, up = keras.layers.Dense(16), keras.layers.Dense(64)
linear = up(down(inputs))
down.set_weights([pca.components_.T, -pca.components_ @ pca.mean_])
up.set_weights([pca.components_, pca.mean_])
made = {"network": wide(inputs)["reconstruction"], "pca": linear}
writer = {"tensorflow": "tf2onnx", "jax": "jax2onnx", "torch": "onnxscript"}
can_write = importlib.util.find_spec(writer[keras.backend.backend()])
outside = {n: exported(n, x_hat) for n, x_hat in made.items() if can_write}

# %%
for name, (detector, run, _) in outside.items():
    here, there = detector.predict(x_test, verbose=0), run(x_test)
    gap = np.max(np.abs(here - there) / here)
    print(f"{name}: equal within 1e-5: {gap < 1e-5}, rows {there.shape}")
    assert run(x_test[:1]).shape == (1,), "any number of rows"

# %% tags=["nbval-ignore-output"]
for name, (detector, run, path) in outside.items():
    inside = seconds(lambda detector=detector: detector.predict_on_batch(many))
    ratio = inside / seconds(lambda run=run: run(many))
    print(
        f"{name}: {path.stat().st_size} bytes, Keras / onnxruntime {ratio:.1f}"
    )

# %% [markdown]
# Equal to five digits, a few thousand bytes more than the weights (PCA's components
# go in twice, down and up), readable without Keras. Quicker it need not be: the ratios
# above. What stays behind is everything that is not arithmetic. Our verbs refuse a row
# with a NaN; a graph computes. Here is what a service does with a row of which one
# sensor is dead:

# %%
limit = quantile_threshold(errors(wide, splits[SEEDS[-1]].x_val), 0.95)
dead = x_test[:1].copy()
dead[0, 20] = np.nan
for name, (_, run, _) in outside.items():
    print(f"{name}: score {run(dead)}, alarm {bool(run(dead)[0] > limit)}")

# %% tags=["hide-input"]
assert all(np.isnan(run(dead)).all() for _, run, _ in outside.values())

# %% [markdown]
# **No alarm, for the strangest row of all**: every comparison with NaN is false.
# Write the rule the other way round, *quiet if* `score <= limit`, else an alarm, and
# ship the limit, the range of the data and a few rows with their scores beside the
# file: whoever loads it can see that it is the same detector.

# %% [markdown]
# ## 3. Rows that do not fit
#
# Forty thousand jittered digits, written to a file in pieces, sorted by class as
# files often are. `np.memmap` opens it like an array: what is read is read from the
# disk, and nothing else takes memory.

# %%
digits = splits[SEEDS[0]]
order = np.argsort(digits.y_train, kind="stable")
rng = np.random.default_rng(0)
disk = np.memmap(folder / "rows.f32", "float32", "w+", shape=(ON_DISK, 64))
for start in range(0, ON_DISK, 4000):
    place = np.arange(start, start + 4000) * len(order) // ON_DISK
    rows = digits.x_train[order[place]]
    noise = rng.normal(0, 0.05, rows.shape)
    disk[start : start + 4000] = np.clip(rows + noise, 0, 1)
disk.flush()
disk = np.memmap(folder / "rows.f32", "float32", "r", shape=(ON_DISK, 64))


def pieces(size=4000):
    for start in range(0, len(disk), size):
        yield disk[start : start + size]


# %% [markdown]
# PCA needs a mean and a covariance, and both are sums: one pass, three
# accumulators, and the result is *exact*. scikit-learn's `IncrementalPCA` keeps
# only the components between pieces, and its `MiniBatchKMeans` moves centres by
# what it has just seen: approximations, and we can say of what size. The peak is
# that of NumPy's memory, by `tracemalloc`.


# %%
def streamed_pca(k):
    """Mean and k components from one pass over the pieces."""
    count, total, outer = 0, np.zeros(64), np.zeros((64, 64))
    for piece in pieces():
        piece = piece.astype("float64")
        count += len(piece)
        total += piece.sum(axis=0)
        outer += piece.T @ piece
    mean = total / count
    vectors = np.linalg.eigh(outer / count - np.outer(mean, mean))[1]
    return mean, vectors[:, ::-1][:, :k].T


def incremental_pca(k):
    model = IncrementalPCA(k)
    for piece in pieces():
        model.partial_fit(piece)
    return model.mean_, model.components_


def whole_pca(k):
    model = PCA(k, svd_solver="full").fit(np.array(disk, "float64"))
    return model.mean_, model.components_


def error_of(mean, parts, x=digits.x_test[~digits.is_anomaly]):
    """Mean squared error of the digits' own test rows."""
    return np.sum((x - mean - (x - mean) @ parts.T @ parts) ** 2, axis=1).mean()


# %%
passes = {}
for function in (whole_pca, streamed_pca, incremental_pca):
    tracemalloc.start()
    mean, parts = function(CODE)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    passes[function.__name__] = error_of(mean, parts), peak, parts.T @ parts
for name, (value, _, _) in passes.items():
    print(f"{name:16} error {value:.4f}")

# %% tags=["nbval-ignore-output"]
for name, (_, peak, _) in passes.items():
    print(f"{name:16} peak {peak:6.1f} MB")

# %%
inertia = {"in file order": [], "in random order": []}
for seed in SEEDS:
    best = KMeans(10, n_init=1, random_state=seed).fit(disk).inertia_
    mixed = np.random.default_rng(seed).permutation(ON_DISK)
    for name, order in zip(inertia, (np.arange(ON_DISK), mixed), strict=True):
        centres = MiniBatchKMeans(10, n_init=1, random_state=seed)
        for rows in order.reshape(-1, 4000):
            centres.partial_fit(disk[np.sort(rows)])
        inertia[name].append(-centres.score(disk) / best)

# %% tags=["nbval-ignore-output"]
for name, values in inertia.items():
    print(f"{name:15} {with_spread(values, 2)} of KMeans's sum of squares")

# %% tags=["hide-input"]
full, streamed, parts = passes.values()
assert np.allclose(full[2], streamed[2], atol=1e-6), "exact"
assert full[0] <= parts[0] * 1.0001 and parts[0] / full[0] < 1.1
assert streamed[1] < full[1] / 3
assert np.mean(inertia["in file order"]) > np.mean(inertia["in random order"])

# %% [markdown]
# For the network a `PyDataset` does it: a class that says how many batches there
# are and hands out each by its number. Whatever its order, it is fixed here, so that
# the run with all rows in memory sees the same batches.


# %%
class FromDisk(keras.utils.PyDataset):
    def __init__(self, order):
        super().__init__()
        self.order = order

    def __len__(self):
        return len(self.order) // BATCH

    def __getitem__(self, index):
        rows = self.order[index * BATCH : (index + 1) * BATCH]
        return (disk[np.sort(rows)],)


reader = ready((145,), updates=ON_DISK // BATCH)
own = digits.x_test[~digits.is_anomaly]
ended = {"file order": [], "random order": []}
for seed in SEEDS:
    mixed = np.random.default_rng(seed).permutation(ON_DISK)
    for name, order in zip(ended, (np.arange(ON_DISK), mixed), strict=True):
        restart(reader, seed)
        reader.fit(FromDisk(order), shuffle=False, verbose=0)
        ended[name].append(errors(reader, own).mean())
on_disk = reader.get_weights()
restart(reader, seed)
batches = np.sort(order[: ON_DISK // BATCH * BATCH].reshape(-1, BATCH), axis=1)
reader.fit(disk[batches.ravel()], batch_size=BATCH, shuffle=False, verbose=0)
gap = max(
    np.abs(a - b).max()
    for a, b in zip(on_disk, reader.get_weights(), strict=True)
)
print("weights from disk and from memory equal within 1e-5:", gap < 1e-5)

# %% tags=["nbval-ignore-output"]
for name, values in ended.items():
    print(f"{name:13} test error {with_spread(values, 2)}")
print(f"PCA, 12, in any order   {passes['streamed_pca'][0]:.2f}")

# %% tags=["hide-input"]
assert gap < 1e-5
assert np.mean(ended["file order"]) > 1.3 * np.mean(ended["random order"])

# %% [markdown]
# Streaming costs nothing but the disk's time: weights are equal. The *order* costs.
# Read as it lies, class after class, the network ends with two and a half times the
# error of rows in random order. PCA's sums do not know what an order is, and
# there is no reason to approximate what a 64 × 64 matrix holds exactly. From a real
# disk, random rows are slow: read large blocks in random order, and shuffle within
# a few of them, which is what `tf.data`'s `shuffle(buffer_size)` does.

# %% [markdown]
# ## 4. More rows, more weights: PCA is ahead of the network while rows are few
#
# "More data" is the usual way on. By how much? A *power law*, $L(n)=c\,n^{-\alpha}$,
# is a straight line on logarithmic axes, and $\alpha$ its slope. Training sets from
# a sixteenth of the rows to all, and networks of four widths; the same updates, the
# same test rows, three seeds; PCA with 12 components on the same rows.


# %%
def normal_error(model, split):
    return errors(model, split.x_test[~split.is_anomaly]).mean()


fewest = min(len(split.x_train) for split in splits.values())
counts = fewest // 16 * np.array([1, 2, 4, 8, 16])
by_rows, by_pca = np.empty((2, len(SEEDS), len(counts)))
for i, (seed, split) in enumerate(splits.items()):
    order = np.random.default_rng(seed).permutation(len(split.x_train))
    for j, count in enumerate(counts):
        rows = split.x_train[order[:count]]
        if count < counts[-1]:
            by_rows[i, j] = normal_error(fit(wide, rows, seed), split)
        known = split.x_test[~split.is_anomaly]
        by_pca[i, j] = pca_errors(rows, known, CODE)[0].mean()
by_rows[:, -1] = result["wide"][1]  # trained in section 1

# %%
widths = (9, 24, 60, 145)
weights = 154 * np.array(widths) + 76  # of 64–width–12–width–64
by_width = np.empty((len(SEEDS), len(widths)))
by_width[:, 1], by_width[:, 3] = result["narrow"][1], result["wide"][1]
for j in (0, 2):
    model = ready((widths[j],))
    for i, (seed, split) in enumerate(splits.items()):
        by_width[i, j] = normal_error(fit(model, split.x_train, seed), split)


def slopes(sizes, losses):
    """The exponent α of each seed: minus the slope in logarithms."""
    return -np.polyfit(np.log(sizes), np.log(losses.T), 1)[0]


# %%
lines = {
    "network, rows": (counts, by_rows),
    "PCA, rows": (counts, by_pca),
    "network, weights": (weights, by_width),
}
table = []
for name, (sizes, losses) in lines.items():
    found = slopes(sizes, losses)  # and the bootstrap of their mean
    means = np.random.default_rng(0).choice(found, (2000, len(found))).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    logs = np.log(sizes[:-1]), np.log(losses[:, :-1]).mean(axis=0)
    guess = np.exp(np.polyval(np.polyfit(*logs, 1), np.log(sizes[-1])))
    local = np.diff(np.log(losses.mean(axis=0))) / np.diff(np.log(sizes))
    table.append((name, found, low, high, -local, guess, losses[:, -1]))

# %% tags=["nbval-ignore-output"]
runtime.record(
    "digits: error against rows and weights, exponent and extrapolation",
    (
        "curve",
        "α",
        "95 % over seeds",
        "α first, last",
        "last point guessed",
        "is",
    ),
    [
        (
            name,
            with_spread(found, 2),
            f"{low:.2f} … {high:.2f}",
            f"{local[0]:.2f}, {local[-1]:.2f}",
            f"{guess:.2f}",
            with_spread(last, 2),
        )
        for name, found, low, high, local, guess, last in table
    ],
)

# %% tags=["hide-input"]
network, linear, wider = table
assert by_rows.mean(0)[0] > 1.3 * by_pca.mean(0)[0]
assert by_rows.mean(0)[-1] < by_pca.mean(0)[-1]
assert 0.2 < network[1].mean() < 0.8 and 0.02 < linear[1].mean() < 0.15
assert network[4][0] > 1.4 * network[4][-1], "no straight line"
assert network[5] < 0.9 * network[6].mean(), "the line promises too much"

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 2, figsize=(8.8, 3.5), sharey=True)
for axis, names, label in (
    (axes[0], ("network, rows", "PCA, rows"), "training rows"),
    (axes[1], ("network, weights",), "weights"),
):
    for color, name in zip(plotting.COLORS, names, strict=False):
        sizes, losses = lines[name]
        mean = losses.mean(axis=0)
        axis.loglog(sizes, losses.T, ".", color=color)
        axis.loglog(sizes, mean, color=color, label=name)
        line = np.polyfit(np.log(sizes[:-1]), np.log(mean[:-1]), 1)
        fitted = np.exp(np.polyval(line, np.log(sizes)))
        axis.loglog(sizes, fitted, "--", color=color, lw=1)
    axis.set_xticks(sizes, sizes)
    axis.minorticks_off()
    axis.set(xlabel=label, yticks=(0.5, 1, 2, 3), yticklabels=(0.5, 1, 2, 3))
    axis.legend()
axes[0].set_ylabel("test error")
plt.show()

# %% [markdown]
# **Figure 8c.2.** Dots: seeds; lines: their mean; dashed: the straight line through
# all points but the last, carried on to it. Look at the right end of each panel. The
# network's curve over rows bends away from its line: the exponent of its first two
# points is several times that of its last two, and the line through four promises
# an error that the fifth does not keep. The interval over seeds is narrow and no
# help: it says how well the *slope of a line* is known, not whether there is one.
# Nor is it a number of the data: after four times as many updates (the full profile)
# it is 0.58 in place of 0.41, and the line promised too much again.
#
# PCA is ahead while rows are few, and its curve is nearly flat: 12 components are
# known after a few hundred rows, and no more rows change what they leave out. The
# two cross, and only there does the network begin to pay. Scaling laws (Kaplan et
# al. 2020; Hoffmann et al. 2022) were fitted over five powers of ten, with width,
# rows and updates chosen together. Over little more than one, at fixed updates, an
# exponent is a summary, not a law.

# %% [markdown]
# ## 5. Many devices: the same training, elsewhere
#
# *Data parallel*: every device holds all weights and a share of each batch; each
# computes the gradient of its share, and the mean of these is the gradient of the
# batch, as a mean of means over equal shares is the mean. Nothing else happens.
# Check it by hand, with four "devices":

# %%
restart(wide, 0)
batch = splits[SEEDS[0]].x_train[:100]


def gradient(x):
    """The gradient of the mean loss of these rows, as one vector."""

    def loss():
        return ops.mean(wide.reconstruction_loss(x, wide(x)))

    found = weight_gradients(loss, wide.trainable_variables)
    return np.concatenate([ops.convert_to_numpy(g).ravel() for g in found])


def distance(shares, weights):
    """Relative distance of the weighted mean of gradients to the batch's."""
    parts = np.array([gradient(share) for share in shares])
    whole = gradient(batch)
    mean = np.average(parts, axis=0, weights=weights)
    return np.linalg.norm(mean - whole) / np.linalg.norm(whole)


even, uneven = np.split(batch, 4), np.split(batch, [30, 60, 90])
sizes = [len(share) for share in uneven]
print("four equal shares, equal weights:", distance(even, None) < 1e-5)
print("30, 30, 30, 10, equal weights:   ", distance(uneven, None) < 1e-5)
print("30, 30, 30, 10, by their rows:   ", distance(uneven, sizes) < 1e-5)

# %% tags=["hide-input"]
assert distance(even, None) < 1e-5 < 1e-3 < distance(uneven, None)
assert distance(uneven, sizes) < 1e-5

# %% [markdown]
# (So the last, smaller batch needs care; most frameworks weigh it wrongly or want
# it dropped.) No engine of our own is needed for it. Keras asks two questions: on
# which devices do rows lie, and how do weights lie on them? This is all of it:
#
# ```python
# names = keras.distribution.list_devices()  # of all hosts
# mesh = keras.distribution.DeviceMesh((4, 2), ["batch", "model"], names)
# layout = keras.distribution.LayoutMap(mesh)
# layout["hidden_1/kernel"] = (None, "model")  # columns shared by two
# many = keras.distribution.ModelParallel(
#     layout_map=layout, batch_dim_name="batch", auto_shard_dataset=False)
# with many.scope():
#     model = Autoencoder.dense((64,), 12)  # and compile, and fit
# ```
#
# With an empty layout it is data parallel (`keras.distribution.DataParallel` for
# short); with one, a layer too wide for a device lies on several, *model parallel*.
# On several hosts the same lines run in every process, after
# `keras.distribution.initialize()` and with each process handing over its share of
# every batch. All this needs JAX, which this notebook need not have: so it is
# [a script](../tools/train_on_many.py), and
# [a test](../tests/training/test_many_devices.py) runs it. What it asserts, with
# virtual devices of one processor and three epochs on the digits:
#
# | placement | losses and weights, against one device |
# |---|---|
# | JAX, rows over 2 and 4 devices | equal within $10^{-5}$ (seen: $10^{-7}$) |
# | JAX, a wide layer over 2 of 4 devices | the same, with fewer bytes a device |
# | JAX, two processes over loopback, half a batch each | equal within $10^{-5}$ |
# | TensorFlow, `tf.distribute.MirroredStrategy`, 2 devices | equal within $10^{-5}$ |
# | TensorFlow, `MultiWorkerMirroredStrategy`, two workers | `fit` stops: Keras 3 cannot turn a `PerReplica` value into a tensor |
#
# Three things had to be put right before they were equal, and each was silent.
# Every process shuffled *for itself*, until `shuffle=False` and one seeded order. A
# new order drawn in `on_epoch_begin` came after the first batches had been fetched;
# `on_epoch_end` is the place. And TensorFlow *adds* the devices' gradients: Keras
# divides its own losses by their number, a `compute_loss` of one's own has to; with
# Adam the training looks healthy and the loss is four times too large.
#
# **Throughput.** Virtual devices share one processor's cores and add no speed; the
# script prints rows a second, and more devices have as often fewer. Real ones pay
# where a step's arithmetic outweighs its messages. With $n$ devices each sends and
# receives about $2\frac{n-1}{n}$ times the bytes of the gradient (a ring: Patarasuk
# and Yuan 2009). For eight devices and our wide network's 90 kB that is 0.13 ms on a wire of
# 10 Gbit/s. The arithmetic of a batch, six operations a weight and row, is 8.6
# million operations, a microsecond on an accelerator: do not distribute it. What to type for a GPU, eight, or a
# cluster: [scaling](../docs/scaling.md).

# %% [markdown]
# ## 6. What people change along with the devices
#
# Eight devices with 64 rows each make batches of 512: as many rows an epoch, an
# eighth of the updates. That is no longer the same training. Three rates, on one
# device, since we now know that it is the same; and two controls, in which only one of
# batch and updates is changed:

# %%
settings = {
    "512 rows, rate 0.003": (512, 8, 1.0),
    "512 rows, √8 times the rate": (512, 8, 8**0.5),
    "512 rows, 8 times the rate": (512, 8, 8.0),
    "512 rows, eight times the epochs": (512, 1, 1.0),
    "64 rows, an eighth of the epochs": (64, 8, 1.0),
}
batches = {"64 rows, rate 0.003": (UPDATES, result["wide"][1])}
for name, (size, fewer, factor) in settings.items():
    updates = UPDATES // fewer
    model, rows = ready((145,), 3e-3 * factor, updates), size * updates
    batches[name] = (
        updates,
        [
            normal_error(fit(model, split.x_train, seed, size, rows), split)
            for seed, split in splits.items()
        ],
    )

# %% tags=["nbval-ignore-output"]
runtime.record(
    "digits: the same rows in larger batches, test error",
    ("batch and rate", "updates", "test error"),
    [(name, n, with_spread(found, 2)) for name, (n, found) in batches.items()],
)

# %% tags=["hide-input"]
means = (np.mean(found) for _, found in batches.values())
small, same, root, eight, longer, short = means
assert longer < 1.1 * small and abs(short / same - 1) < 0.25, "updates count"
assert same > 1.3 * small and small < root < same, "a part is given back"

# %% [markdown]
# The same rows, the same number of epochs, three times the error. What counted was
# the number of updates, as the last two lines say: as many updates of 512 rows end lower
# than those of 64, and batches of 64 with an eighth of the updates end as high. A larger rate gives back a part, $\sqrt 8$ times here and
# not 8 times, which overshoots (Goyal et al. 2017 warm up for that reason). So when
# somebody reports that eight devices train as well, ask what they held fixed: batch
# (nothing changes), epochs, or hours. PCA has no such question.

# %% [markdown]
# ## What we showed
#
# - Eight bits cost nothing that three seeds could see, for the network and for PCA;
#   PCA in 1 344 bytes reconstructs better than the network in 25 000, until the network
#   trains four times as long (24 components stay ahead). It ranks behind the network,
#   but for the three splits shown; the nearest row ranks best, 64 centres as well.
# - Distillation did not help an autoencoder; depth at equal bytes cost error.
# - ONNX: equal scores within $10^{-5}$, and no alarm for a NaN.
# - From disk and from memory: equal weights. PCA's sums are exact in one pass;
#   reading a sorted file in order more than doubled the network's error.
# - Exponents over little more than a decade came with narrow intervals and wrong
#   extrapolations; below about half of our rows PCA was ahead.
# - Two or four devices, two processes: the same losses and weights. Larger batches
#   over as many epochs are fewer updates, and not the same training.
#
# **Limits.** Small images, small networks, one processor; seconds of your machine.
# The recorded placements are virtual devices and loopback: they prove equality, not
# speed. Quantised weights were rounded after training; training *with* rounding, or
# pruning, was not tried.
#
# **References.** Hinton, Vinyals and Dean (2015), Distilling the knowledge in a
# neural network · Chan, Golub and LeVeque (1979), Updating formulae and a pairwise
# algorithm for computing sample variances (exercise 3) · Jacob et al. (2018),
# Quantization and training of neural networks for efficient integer-arithmetic-only
# inference, *CVPR* · Kaplan et al. (2020), Scaling laws for neural language models ·
# Hoffmann et al. (2022), Training compute-optimal large language models · Goyal et al.
# (2017), Accurate, large minibatch SGD · Patarasuk and Yuan (2009), Bandwidth optimal
# all-reduce, *JPDC*.
#
# Which claims one meets elsewhere are wrong, and which test proves it:
# [errata](../docs/errata.md). Answers to the exercises:
# [solutions](../solutions/08c_small_exported_many.ipynb).

# %% [markdown]
# ## Exercises
#
# Each needs only the set-up cells at the top. Write your answer where
# it says `# your answer here`, run the cell, then run the check below it: it
# says what is wrong, and with what to go on once it is right.

# %% [markdown] tags=["exercise"]
# ### Exercise 8c.1 · Bytes, with a pencil
#
# *You will learn what a policy stores.* A dense layer from 256 inputs to 100 units,
# with a bias. How many bytes are its weights (a) in float32, (b) under the policy
# `"float16"`, (c) under `"mixed_float16"`, (d) after `quantize("int8")`, which keeps
# the bias and one scale a unit in float32? A list of four numbers.

# %% tags=["exercise"]
answer_8c_1 = None
### BEGIN SOLUTION
answer_8c_1 = [
    4 * (256 * 100 + 100),
    2 * (256 * 100 + 100),
    4 * (256 * 100 + 100),
    256 * 100 + 4 * 100 + 4 * 100,
]
### END SOLUTION

# %% tags=["check"]
checks.check_8c_1(answer_8c_1)

# %% [markdown] tags=["discussion"]
# 102 800, 51 400, 102 800 and 26 400. Eight bits are *nearly* a quarter: scales and
# biases stay, and the narrower a layer, the more they weigh.

# %% [markdown] tags=["exercise"]
# ### Exercise 8c.2 · Eight bits
#
# *You will learn to round without regret.* Write a function that takes a kernel
# `(inputs, units)` and returns `(whole, scale)`: whole numbers from −127 to 127,
# which int8 holds, and `scale` of shape `(units,)`, such that `whole * scale` is off
# by at most half a scale everywhere, and no scale is larger than needed. A column
# of zeros must not become NaN.


# %% tags=["exercise"]
def eight_bits(kernel):
    """Return (whole numbers of a kernel, scale of each column)."""
    ### BEGIN SOLUTION
    scale = np.abs(kernel).max(axis=0) / 127
    whole = np.round(kernel / np.where(scale == 0, 1, scale))
    return whole.astype("int8"), scale
    ### END SOLUTION


# %% tags=["check"]
checks.check_8c_2(eight_bits)

# %% [markdown] tags=["discussion"]
# One scale a column, since units differ; one for the whole kernel would be ruled by
# its largest weight. `astype` without `round` cuts towards zero and doubles the
# error. Where columns hold one outlier each, a quantile in place of the maximum
# trades a large error of one weight for a smaller one of all others.

# %% [markdown] tags=["exercise"]
# ### Exercise 8c.3 · A covariance that passes by
#
# *You will learn to add up what does not fit.* `batches` yields float32 arrays
# `(rows, d)` of different lengths, once; each *overwrites* the one before. Return
# mean `(d,)` and covariance `(d, d)` of all rows, divided by their number. The
# columns may lie far from zero.


# %% tags=["exercise"]
def streamed_covariance(batches):
    """Return (mean, covariance) of the rows of all batches."""
    ### BEGIN SOLUTION
    count, mean, outer = 0, 0.0, 0.0
    for batch in batches:
        batch = np.array(batch, "float64")
        own = batch.mean(axis=0)
        gap, share = own - mean, len(batch) / (count + len(batch))
        # spread within, and between what was there and what comes
        outer = outer + (batch - own).T @ (batch - own)
        outer = outer + np.outer(gap, gap) * count * share
        mean, count = mean + gap * share, count + len(batch)
    return mean, outer / count
    ### END SOLUTION


# %% tags=["check"]
checks.check_8c_3(streamed_covariance)

# %% [markdown] tags=["discussion"]
# Each batch's spread about its own mean, plus the spread between the means (Chan,
# Golub and LeVeque 1979). $E[xx^\top]-\mu\mu^\top$ is right on paper, in float64
# good enough here, and in float32 the difference of two large numbers.

# %% [markdown] tags=["exercise"]
# ### Exercise 8c.4 · The slope and the promise
#
# *You will learn what an exponent promises.* Losses `(seeds, sizes)` at increasing
# sizes `(sizes,)`. Fit $L=c\,n^{-\alpha}$ by least squares in logarithms to the mean
# over seeds of the log losses; return $\alpha$ and the size at which this line
# reaches a loss `wanted`.


# %% tags=["exercise"]
def rows_needed(sizes, losses, wanted):
    """Return (exponent, size at which the line reaches a loss)."""
    ### BEGIN SOLUTION
    logs = np.log(losses).mean(axis=0)
    slope, start = np.polyfit(np.log(sizes), logs, 1)
    return -slope, np.exp((np.log(wanted) - start) / slope)
    ### END SOLUTION


# %% tags=["check"]
checks.check_8c_4(rows_needed)

# %% [markdown] tags=["discussion"]
# Halving a loss takes $2^{1/\alpha}$ times the rows: five times at the network's 0.41,
# thousands of times at PCA's 0.08. And that is if the line goes on, which in section 4
# it did not.

# %% [markdown] tags=["exercise"]
# ### Exercise 8c.5 · A mean of means
#
# *You will learn what a device has to say.* Each device hands over the gradients of
# the mean loss of *its* rows, a list of arrays, one a weight, and the number of its
# rows, which may be 0: then its gradients are NaN. Return the gradients of the mean
# loss of all rows, a list.


# %% tags=["exercise"]
def all_reduce(gradients, counts):
    """Return the gradients of all rows from those of each device."""
    ### BEGIN SOLUTION
    used = [i for i, count in enumerate(counts) if count]
    weights = [counts[i] / sum(counts) for i in used]
    by_weight = zip(*(gradients[i] for i in used), strict=True)
    return [np.average(parts, axis=0, weights=weights) for parts in by_weight]
    ### END SOLUTION


# %% tags=["check"]
checks.check_8c_5(all_reduce)

# %% [markdown] tags=["discussion"]
# NaN times zero is NaN: an empty share has to be left out, not weighed by 0. Sums
# of losses in place of means need no counts at all, except for the one division at
# the end; that is how many frameworks do it.

# %% [markdown] tags=["exercise"]
# ### Exercise 8c.6 · Does it pay?
#
# *You will learn when eight devices are quicker than one.* A step takes six
# operations a weight and row. $n$ devices share the rows evenly and then exchange
# the gradient, 4 bytes a weight, $2(n-1)/n$ times over a wire. Return how many times
# quicker a step is than on one device, which needs no wire. `flops` are operations
# a second of one device, `wire` bytes a second.


# %% tags=["exercise"]
def speed_up(n, rows, weights, flops, wire):
    """Return the time of a step on one device over that on n."""
    ### BEGIN SOLUTION
    alone = 6 * rows * weights / flops
    messages = 2 * (n - 1) / n * 4 * weights / wire
    return alone / (alone / n + messages)
    ### END SOLUTION


# %% tags=["check"]
checks.check_8c_6(speed_up)

# %% [markdown] tags=["discussion"]
# The number of weights cancels: what counts is rows a step, and the ratio of
# arithmetic to wire. With 10¹³ operations and 10⁹ bytes a second, eight devices are
# quicker only from some 13 000 rows a step on, and larger batches are section 6.
