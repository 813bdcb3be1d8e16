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
# # Chapter 8a · Search and insight: who chooses the model, and what does it hold?
#
# Every article closes with promises: models will be *designed automatically* and
# they will become *interpretable*. Both can be asked as questions with a number.
# Does a search find a better model than a sensible default, if both may spend the
# same? Does the loss without labels find the model whose features are best? Do the
# parts of a network mean anything, more than random directions do? And if a map
# says which pixels decided, did they?
#
# **We will show**
#
# - 36 designs of a VAE trained side by side, so that a search can be repeated many
#   times and not once;
# - that a search needs a pruner to be worth its epochs, and that the course's
#   default, trained for all of those epochs, beats every search;
# - how much too good the best of many looks, and that a loss without labels ranks
#   designs regardless of their features;
# - a sparse autoencoder on the page, on known factors: what ICA finds better, what
#   dictionary learning reads better, and that its directions are the best of all;
# - the same on a hidden layer, where random directions and k-means are ahead of it;
# - attributions judged by deletion, beside the rule "brightest pixel first".
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 4a](04a_from_bound_to_model.ipynb); [Chapter 2c](02c_constrained_autoencoders.ipynb) for sparsity |
# | Data | scikit-learn's digits (full profile: MNIST); sparse factors, **synthetic**, their generator on the page |
# | Time | about a minute on two CPU cores; an hour of reading and exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup", "hide-input"]
import itertools
import time
import warnings

import keras
import matplotlib.pyplot as plt
import numpy as np
import optuna
from keras import ops
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata, spearmanr
from sklearn.cluster import KMeans
from sklearn.decomposition import (
    PCA,
    FastICA,
    MiniBatchDictionaryLearning,
    sparse_encode,
)
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning

from utils import data, plotting
from utils.checks import chapter_08a as checks
from utils.models import VAE, Autoencoder
from utils.nn.backend import input_gradient
from utils.training import recipes
from utils.training.repeats import restart, with_spread

plotting.use_style()
optuna.logging.set_verbosity(optuna.logging.WARNING)
# lasso's duality gap of 1e-4 is far below the digits printed here
warnings.filterwarnings("ignore", category=ConvergenceWarning)

# %% tags=["setup"]
DATA = profile.pick(quick="digits", full="mnist")
LIMIT = profile.pick(quick=None, full=4000)  # training rows
HELD = profile.pick(quick=None, full=1000)  # validation and test rows, each
CODE = profile.pick(quick=8, full=16)
WIDTHS = profile.pick(quick=(16, 64), full=(64, 256))
REPEATS = profile.pick(quick=12, full=48)  # searches of each kind
ROWS = profile.pick(quick=4096, full=32_768)  # of sparse factors
BATCH, SEEDS = 64, (0, 1, 2)
RUNGS = (2, 6, 15)  # epochs at which a design is looked at
BUDGET = 5 * RUNGS[-1]  # epochs that each search may spend

digits = data.load(DATA, limit=LIMIT).flat()
x_train, y_train = digits.x_train, digits.y_train
x_held = np.concatenate([digits.x_val[:HELD], digits.x_test[:HELD]])
y_held = np.concatenate([digits.y_val[:HELD], digits.y_test[:HELD]])
PIXELS = x_train.shape[1]

# %% [markdown]
# ## 1. A table of all answers
#
# The space: one or two hidden layers, narrow or wide, three learning rates, three
# weights β of the KL term. The course's default for these data is one wide layer,
# rate 0.005, β = 1.

# %%
SPACE = {
    "depth": (1, 2),
    "width": WIDTHS,
    "rate": (2e-3, 5e-3, 1.25e-2),
    "beta": (0.25, 0.5, 1.0),
}
DEFAULT = (0, 1, 1, 2)  # indices into the four lists
sizes = [len(choices) for choices in SPACE.values()]
print("designs", int(np.prod(sizes)), "| budget", BUDGET, "epochs a search")
assert [SPACE[k][i] for k, i in zip(SPACE, DEFAULT, strict=True)][2:] == [
    0.005,
    1.0,
]

# %% [markdown]
# A search is a random experiment: one run of it proves nothing. But to repeat it
# thirty times we would train hundreds of models. So we train each design *once* for
# each of three seeds, write down its loss after 2, 6 and 15 epochs, and let the
# searches look up what they would have measured (Ying et al. 2019 made such tables
# for networks). Designs that differ in rate and β have arrays of the same shapes; they fit
# into one model with one more axis. Adam works entry by entry, so a rate with that axis gives each
# design its own:


# %%
class Rates(keras.optimizers.schedules.LearningRateSchedule):
    """A rate for each design, all falling along one cosine."""

    def __init__(self, rates, updates):
        self.rates = np.float32(rates)[:, None, None]
        self.updates = updates

    def __call__(self, step):
        done = ops.minimum(ops.cast(step, "float32") / self.updates, 1.0)
        return self.rates * 0.5 * (1 + ops.cos(np.pi * done))


def dense_stack(h, layers):
    """Dense layers of all designs at once: h (designs, batch, width)."""
    for number, (kernel, bias) in enumerate(layers, 1):
        h = ops.matmul(h, kernel) + bias
        h = ops.relu(h) if number < len(layers) else h
    return h


# %%
class Population(keras.Model):
    """VAEs of one shape side by side, each with its β."""

    def __init__(self, depth, width, betas, seed=0):
        super().__init__()
        self.betas = np.float32(betas)
        self.noise = keras.random.SeedGenerator(seed)
        rng = np.random.default_rng(seed)
        hidden = [width] * depth
        self.encoder = self.layers_of([PIXELS, *hidden, 2 * CODE], rng)
        self.decoder = self.layers_of([CODE, *hidden, PIXELS], rng)
        self.built = True

    def layers_of(self, widths, rng):
        layers, n = [], len(self.betas)
        for i, o in itertools.pairwise(widths):  # Glorot's limit
            limit, seed = np.sqrt(6 / (i + o)), int(rng.integers(2**31))
            draw = keras.initializers.RandomUniform(-limit, limit, seed)
            kernel = self.add_weight(shape=(n, i, o), initializer=draw)
            bias = self.add_weight(shape=(n, 1, o), initializer="zeros")
            layers.append((kernel, bias))
        return layers

    def call(self, x):
        every = ops.broadcast_to(x, (len(self.betas), *ops.shape(x)))
        heads = dense_stack(every, self.encoder)
        mean, log_var = ops.split(heads, 2, axis=-1)
        noise = keras.random.normal(ops.shape(mean), seed=self.noise)
        z = mean + ops.exp(0.5 * log_var) * noise
        logits = dense_stack(z, self.decoder)
        nll = ops.sum(ops.softplus(logits) - x * logits, axis=-1)
        square = ops.square(mean) + ops.exp(log_var) - log_var - 1
        kl = 0.5 * ops.sum(square, axis=-1)  # (designs, batch), as is nll
        swapped = {"nll": nll, "kl": kl, "mean": mean}
        return {k: ops.swapaxes(v, 0, 1) for k, v in swapped.items()}

    def compute_loss(
        self, x, y=None, y_pred=None, sample_weight=None, training=True
    ):
        loss = y_pred["nll"] + self.betas * y_pred["kl"]
        return ops.sum(ops.mean(loss, axis=0))  # nobody shares a weight


# %% [markdown]
# What we write down is the **negative ELBO with β = 1** of rows that nobody was trained
# on, whatever the β of the training: a loss that is itself searched could be made small by its
# own weight. And, for later, whether a linear classifier on the codes gets each row right.


# %%
def negative_elbo(model, draws=4):
    """−ELBO of the held-out rows, (designs, rows), in nats."""
    made = [model(x_held) for _ in range(draws)]
    total = np.mean([ops.convert_to_numpy(m["nll"] + m["kl"]) for m in made], 0)
    return total.T


def trained(depth, width, pairs, rungs=RUNGS, seed=0):
    """Losses (designs, rungs, rows) and right answers (designs, rows)."""
    rates, betas = zip(*pairs, strict=True)
    model = Population(depth, width, betas, seed)
    updates = rungs[-1] * -(-len(x_train) // BATCH)
    adam = keras.optimizers.Adam(Rates(rates, updates))
    model.compile(adam, steps_per_execution=recipes.steps_at_once())
    adam.build(model.trainable_variables)
    losses = []
    for past, rung in itertools.pairwise((0, *rungs)):
        model.fit(x_train, batch_size=BATCH, epochs=rung - past, verbose=0)
        losses.append(negative_elbo(model))
    codes, held = (
        ops.convert_to_numpy(ops.swapaxes(model(x)["mean"], 0, 1))
        for x in (x_train, x_held)
    )
    right = [
        LinearDiscriminantAnalysis().fit(z, y_train).predict(h) == y_held
        for z, h in zip(codes, held, strict=True)
    ]
    return np.stack(losses, axis=1), np.array(right)


# %%
pairs = list(itertools.product(SPACE["rate"], SPACE["beta"]))
shapes = list(itertools.product(SPACE["depth"], SPACE["width"]))
found = [trained(*shape, pairs * len(SEEDS)) for shape in shapes]
# axes: seed, depth, width, rate, β, then rungs and rows
axes = (2, 2, len(SEEDS), 3, 3)
loss, right = (
    np.moveaxis(np.array(part).reshape(*axes, *tail), 2, 0)
    for part, tail in zip(
        zip(*found, strict=True),
        ((len(RUNGS), len(x_held)), (len(x_held),)),
        strict=True,
    )
)
print("seeds, depth, width, rate, β, rungs:", loss.shape[:-1])

# %% [markdown]
# Is the crowd what the library would have trained one by one? The default, alone:

# %% tags=["nbval-ignore-output"]
alone = VAE.dense((PIXELS,), CODE, widths=WIDTHS[-1:], seed=0)
updates = RUNGS[-1] * -(-len(x_train) // BATCH)
recipes.compile(alone, 5e-3, updates)
begin = time.process_time()
alone.fit(x_train, batch_size=BATCH, epochs=RUNGS[-1], verbose=0)
seconds = time.process_time() - begin
by_library = -alone.elbo(x_held, 4, seed=0).mean()
in_crowd = loss[(slice(None), *DEFAULT, -1)].mean(axis=1)
final = loss[..., -1, :].mean(axis=-1)  # (seeds, depth, width, rate, β)
print(f"default: {by_library:.1f} nats alone, {with_spread(in_crowd, 1)} here")
print(
    f"alone it takes {seconds:.1f} s: {36 * 3 * seconds / 60:.0f} min for all"
)
print(f"36 designs: {final.mean(0).min():.1f} to {final.mean(0).max():.1f}")

# %% tags=["hide-input"]
assert abs(by_library - in_crowd.mean()) < 1.0

# %% [markdown]
# ## 2. Search on a budget: pruning pays, and the patient default beats every search
#
# **Optuna** (Akiba et al. 2019) proposes a design, is told a loss, and proposes the
# next. Its *sampler* draws at random or models which values went with small losses
# (TPE, Bergstra et al. 2011). Its *pruner* is told the loss at each rung and may stop a
# design: below the median of those before it, or not in the best third (successive
# halving, Jamieson and Talwalkar 2016). All may spend the same number of **epochs**, the budget
# that is the same on each machine. In each repeat validation rows are drawn anew from those held out; the others
# are its test rows, looked at once.


# %%
def search(sampler, pruner, losses, budget=BUDGET):
    """Ask Optuna until the epochs are spent; the best design, its trials."""
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    paid = {}  # epochs, by design
    while sum(paid.values()) < budget and len(study.trials) < 200:
        trial = study.ask()
        # indices, so that the sampler knows which values are neighbours
        design = tuple(
            trial.suggest_int(k, 0, len(SPACE[k]) - 1) for k in SPACE
        )
        for i, value in enumerate(losses[design]):  # train on, and look
            paid[design] = max(paid.get(design, 0), RUNGS[i])
            trial.report(float(value), RUNGS[i])
            if i + 1 < len(RUNGS) and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, float(value))
    best = study.best_trial.params
    return tuple(best[k] for k in SPACE), len(paid)


def random(seed):
    return optuna.samplers.RandomSampler(seed)


def tpe(seed):
    return optuna.samplers.TPESampler(n_startup_trials=4, seed=seed)


halving = optuna.pruners.SuccessiveHalvingPruner(RUNGS[0], reduction_factor=3)
median = optuna.pruners.MedianPruner(n_startup_trials=3)
whole = optuna.pruners.NopPruner()
KINDS = {
    "random": (random, whole),
    "TPE": (tpe, whole),
    "random, halving": (random, halving),
    "TPE, median": (tpe, median),
    "TPE, halving": (tpe, halving),
}


# %%
def split(repeat, n=None):
    """Validation and test rows of a repeat; n validation rows, or 3 in 7."""
    rows = np.random.default_rng(repeat).permutation(len(x_held))
    n = len(rows) * 3 // 7 if n is None else n
    return rows[:n], rows[n:]


def searched(sampler, pruner, budget=BUDGET):
    """For each repeat: the design, designs seen, test loss, accuracy."""
    for repeat in range(REPEATS):
        seed = repeat % len(SEEDS)
        val, test = split(repeat)
        losses = loss[seed][..., val].mean(axis=-1)
        design, seen = search(sampler(repeat), pruner, losses, budget)
        place = (seed, *design)
        yield (
            design,
            seen,
            loss[place][-1, test].mean(),
            right[place][test].mean(),
        )


begin = time.process_time()
outcome = {
    name: list(zip(*searched(*kind), strict=True))
    for name, kind in KINDS.items()
}
seconds = (time.process_time() - begin) / len(KINDS) / REPEATS

# %% [markdown]
# The opponents are the default, trained as long as one design, and the default trained for the *whole*
# budget, all 75 epochs. A fair search would save some budget for that, too: so we
# also let TPE with halving spend half of the epochs, and train what it chooses most often for the other half.

# %%
place = (slice(None), *DEFAULT)
tests = [split(repeat)[1] for repeat in range(REPEATS)]
long, long_right = trained(1, WIDTHS[-1], [(5e-3, 1.0)] * 3, (BUDGET,), seed=1)
half = [d for d, *_ in searched(tpe, halving, BUDGET // 2)]
often = max(half, key=half.count)  # the design that is chosen most often
depth, width, *pair = (SPACE[k][i] for k, i in zip(SPACE, often, strict=True))
rest = trained(depth, width, [pair] * 3, (BUDGET // 2,), seed=2)
by_rows = {  # losses and right answers of each seed's model, (seeds, rows)
    "default, 15 epochs": (loss[place][:, -1], right[place]),
    "half a search, then 37 epochs": (rest[0][:, -1], rest[1]),
    "default, 75 epochs": (long[:, -1], long_right),
}
for name, (nats, hits) in by_rows.items():
    outcome[name] = [
        [None] * REPEATS,
        [1] * REPEATS,
        [nats[r % 3][rows].mean() for r, rows in enumerate(tests)],
        [hits[r % 3][rows].mean() for r, rows in enumerate(tests)],
    ]

# %% tags=["nbval-ignore-output"]
lost = {}  # nats behind the default of 15 epochs, same seed and rows
base = np.array(outcome["default, 15 epochs"][2])
for name, (_, _, nats, _) in outcome.items():
    lost[name] = np.array(nats) - base
runtime.record(
    f"{DATA}: {BUDGET} epochs spent by a search, {REPEATS} repeats, test rows",
    ("who", "designs seen", "−ELBO, nats", "beside the default", "accuracy"),
    [
        (
            name,
            f"{np.mean(part[1]):.0f}",
            with_spread(part[2], 2),
            with_spread(lost[name], 2),
            with_spread(part[3], 3),
        )
        for name, part in outcome.items()
    ],
)
print(f"Optuna's own thinking: {1000 * seconds:.0f} ms a search")

# %% tags=["hide-input"]
mean_lost = {name: values.mean() for name, values in lost.items()}
assert mean_lost["TPE, halving"] < mean_lost["TPE"]
assert mean_lost["random, halving"] < mean_lost["random"]
patient = mean_lost["default, 75 epochs"]
assert patient < min(mean_lost[name] for name in KINDS) - 0.3
assert mean_lost["half a search, then 37 epochs"] < mean_lost["TPE, halving"]
assert patient < mean_lost["half a search, then 37 epochs"] + 0.2
assert abs(mean_lost["TPE"]) < 0.6 and abs(mean_lost["random"]) < 0.6

# %% tags=["nbval-ignore-output"]
plotting.bars(
    {name.replace(", ", ",\n"): values for name, values in lost.items()},
    "Epochs for the default beat epochs for a search",
    ylabel="nats beside the default of 15 epochs",
).set_size_inches(9.2, 3.8)
plt.xticks(fontsize=8)
plt.show()

# %% [markdown]
# **Figure 8a.1.** Test −ELBO less that of the default after 15 epochs, on the same rows
# with the same seed; lower is better, dots are repeats. The first two bars stand at zero:
# without a pruner the budget pays for five designs, which is too few for either sampler
# to find more than the default. Successive halving looks at about three times as many
# for the same epochs, and then TPE gains half a nat. Saving half of the epochs for the training of what
# was found gains more than a nat. And the last bar is the longest, by a quarter of a nat: **the same epochs, spent on
# the default alone, are worth more than any search here.** All designs were short of
# training, and a search at short trainings compares how fast they start.
#
# Look at the dots, too: a single run of any search may say anything. And be fair to
# the searches: the default is no innocent, we found it in chapter 4 on these data, and
# nobody charged for that. On data of your own, try first how long to train, one
# axis alone; then search with a pruner; then train what it found.

# %% [markdown]
# ## 3. The best of many looks better than it is
#
# The smallest of $k$ noisy numbers is small partly by luck. For $k$ equally good designs
# whose validation scores have independent errors of deviation $\sigma$, the expected smallest lies
# $c_k\sigma$ below the truth, where $c_k$ is the mean of the largest of $k$ standard normal
# numbers:

# %%
draws = np.random.default_rng(0).standard_normal((20_000, 36))
luck = {k: draws[:, :k].max(axis=1).mean() for k in (2, 8, 36)}
print({k: f"{value:.2f}" for k, value in luck.items()})
assert abs(luck[2] - 1 / np.sqrt(np.pi)) < 0.02

# %% [markdown]
# Losses of two designs on the same rows go up and down together, and what is common cannot
# mislead the choice. So we measure. From the table: draw $n$ validation rows, choose the best of
# 36 designs, look at the others: *selection optimism* is its gap between test and validation
# score, less the mean gap of all designs (else it would hold how hard those rows are).


# %%
def optimism(scores, n, repeats=200):
    """Mean optimism of the best (smallest) of designs (designs, rows)."""
    gaps = []
    for repeat in range(repeats):
        val, test = split(repeat, n)
        gap = scores[:, test].mean(axis=1) - scores[:, val].mean(axis=1)
        gaps.append(gap[scores[:, val].mean(axis=1).argmin()] - gap.mean())
    return np.mean(gaps)


COUNTS = (20, 50, 100, 200, 400)
nats = loss[..., -1, :].reshape(len(SEEDS), -1, len(x_held))
errors = ~right.reshape(len(SEEDS), -1, len(x_held))
luck_nats = np.array([[optimism(s, n) for n in COUNTS] for s in nats])
luck_error = np.array([[optimism(s, n) for n in COUNTS] for s in errors])

# %% tags=["nbval-ignore-output"]
figure, (left, other) = plt.subplots(1, 2, figsize=(8.6, 3.2))
for axis, values, label in (
    (left, luck_nats, "nats"),
    (other, 100 * luck_error, "per cent of the rows"),
):
    axis.plot(COUNTS, values.T, color=plotting.COLORS[0], alpha=0.4)
    axis.plot(COUNTS, values.mean(axis=0), "o-", color=plotting.COLORS[0])
    axis.axhline(0, color="black", lw=0.8)
    axis.set(xlabel="validation rows", ylabel=label, xscale="log")
left.set_title("Optimism of a chosen −ELBO")
other.set_title("Optimism of a chosen error rate")
plt.show()
runtime.record(
    f"{DATA}: optimism of the best of 36 designs, three seeds",
    ("validation rows", "−ELBO, nats", "error, per cent"),
    [
        (n, with_spread(a, 2), with_spread(100 * b, 1))
        for n, a, b in zip(COUNTS, luck_nats.T, luck_error.T, strict=True)
    ],
)

# %% tags=["hide-input"]
for values in (luck_nats.mean(axis=0), luck_error.mean(axis=0)):
    assert values[0] > 3 * max(values[-1], 0) and values[0] > 0
assert luck_error.mean(axis=0)[0] > 0.015

# %% [markdown]
# **Figure 8a.2.** Thin lines are training seeds. Right: with 20 labelled validation rows the best of 36
# error rates is eight per cent too good, with 100 two or three; it is almost gone at 400. Left:
# for the ELBO it is a tenth of a nat at most. The losses of two designs differ by nearly the same amount on each row, while right and
# wrong are coins. A chosen score is reported on rows that did not choose; this is the price
# of not doing so, in numbers.

# %% [markdown]
# ## 4. A loss without labels does not pick the best features
#
# The articles hope for both at once: train without labels, choose without labels, classify
# well. Each dot below is one of 36 designs, mean of three seeds.

# %% tags=["nbval-ignore-output"]
accuracy = right.mean(axis=-1)
shown_loss, shown = final.mean(axis=0), accuracy.mean(axis=0)
figure, axis = plt.subplots()
for i, beta in enumerate(SPACE["beta"]):
    axis.scatter(shown_loss[..., i], shown[..., i], label=f"β = {beta:g}")
axis.scatter(shown_loss[DEFAULT], shown[DEFAULT], 140, "none", edgecolors="k")
axis.set(xlabel="−ELBO, nats, held-out rows", ylabel="linear accuracy of codes")
axis.set_title("Loss and features part ways with β")
axis.legend()
plt.show()

# %% tags=["nbval-ignore-output"]
flat_loss, flat_hits = (a.reshape(len(SEEDS), -1) for a in (final, accuracy))
pick = flat_loss.argmin(axis=1)
every = np.arange(len(SEEDS))
rank = [spearmanr(-a, b)[0] for a, b in zip(flat_loss, flat_hits, strict=True)]
best_half = []
for a, b in zip(flat_loss, flat_hits, strict=True):
    rows = a.argsort()[: len(a) // 2]
    best_half.append(spearmanr(-a[rows], b[rows])[0])
by_beta = {  # β as the only guide: smaller is better
    "rank correlation with −ELBO": rank,
    "the same, better half by −ELBO": best_half,
    "accuracy of the smallest −ELBO": flat_hits[every, pick],
    "accuracy of the default": accuracy[(slice(None), *DEFAULT)],
    "best accuracy of all": flat_hits.max(axis=1),
    "mean accuracy with β = 0.25": accuracy[..., 0].mean(axis=(1, 2, 3)),
    "mean accuracy with β = 1": accuracy[..., 2].mean(axis=(1, 2, 3)),
}
runtime.record(
    f"{DATA}: does −ELBO choose features? 36 designs, three seeds",
    ("what", "value"),
    [(name, with_spread(values, 2)) for name, values in by_beta.items()],
)

# %% tags=["hide-input"]
assert abs(np.mean(rank)) < 0.4
assert np.mean(flat_hits.max(axis=1) - flat_hits[every, pick]) > 0.02
assert np.mean(accuracy[..., 0] - accuracy[..., 2]) > 0.15

# %% [markdown]
# **Figure 8a.3.** The circle is the default. Over all designs the rank correlation of −ELBO and accuracy
# is 0.1 to 0.2; among the better half it is larger, since designs that did not learn at all fail in both. Yet the
# design with the smallest −ELBO is no better than the default, and well behind the best. Look at
# the colours: β = 0.25 is the worst of all by the loss and among the best by its codes. The ELBO prices
# each nat in the code as much as a nat in the pixels, and a classifier
# would gladly have bought more. So a small labelled validation set is worth its labels, if
# section 3 is kept in mind; or choose by what the features are for.

# %% [markdown]
# ## 5. With as many factors as dimensions ICA finds them; with more, dictionary learning reads them better than a sparse autoencoder
#
# Now to what a model holds. Suppose a layer of $d$ units stores $m>d$ things, each seldom
# there: as directions, not as units, since a few at a time hardly disturb each other
# (**superposition**, Elhage et al. 2022). Reading units would then be reading mixtures. A
# **sparse autoencoder** is to undo it: many more units than dimensions, of which only the $k$
# largest may speak (TopK, Makhzani and Frey 2014):


# %%
class TopKAutoencoder(keras.Model):
    """x ≈ z D + b with z the k largest of relu((x − b) E + a)."""

    def __init__(self, size, units, k, seed=0):
        super().__init__()
        self.k = k
        start = np.random.default_rng(seed).standard_normal((units, size))
        start /= np.linalg.norm(start, axis=1, keepdims=True)
        self.down = self.add_weight(shape=(units, size))
        self.up = self.add_weight(shape=(size, units))
        self.lift = self.add_weight(shape=(units,), initializer="zeros")
        self.middle = self.add_weight(shape=(size,), initializer="zeros")
        self.down.assign(start)
        self.up.assign(start.T)
        self.built = True

    def pushed(self, x):
        return ops.relu(ops.matmul(x - self.middle, self.up) + self.lift)

    def encode(self, x):
        pushed = self.pushed(x)
        least = ops.top_k(pushed, self.k)[0][:, -1:]
        return ops.where(pushed >= least, pushed, 0.0)

    def call(self, x):
        length = ops.norm(self.down, axis=1, keepdims=True)
        return ops.matmul(self.encode(x), self.down / length) + self.middle

    def compute_loss(
        self, x, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return ops.mean(ops.sum(ops.square(x - y_pred), axis=1))


# %% [markdown]
# A **synthetic** world in which the truth is known: 16 dimensions, 16 or 64 factors, each with a random
# direction, two active on average, strengths from 0.5 to 1.5, a little noise. Each method returns
# features of *test* rows. They are matched to the factors one to one so that the sum of
# absolute correlations is largest (Hungarian method); its mean over factors is the score. The number 3 of active
# units, the rate and the penalties were chosen on a world that does not occur here.

# %%
SIZE, UNITS, TOP = 16, 64, 3


def world(count, seed):
    """Training and test rows, and the factors of the test rows."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((count, SIZE))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    there = rng.random((ROWS + 1024, count)) < 2 / count
    factors = there * rng.uniform(0.5, 1.5, there.shape)
    x = factors @ directions + 0.02 * rng.standard_normal((len(there), SIZE))
    return x[:ROWS], x[ROWS:], factors[ROWS:], directions


def matched(features, factors):
    """Mean |correlation| of factors with one feature each, none twice."""
    k = features.shape[1]
    with np.errstate(invalid="ignore"):  # a silent unit has no deviation
        table = np.corrcoef(features.T, factors.T)[:k, k:]
    table = np.abs(np.nan_to_num(table))
    rows, columns = linear_sum_assignment(table, maximize=True)
    return table[rows, columns].sum() / factors.shape[1]


# %%
sparse = TopKAutoencoder(SIZE, UNITS, TOP)
STEPS = 480
recipes.compile(sparse, 1e-2, STEPS)


def fit_sparse(model, x, seed, steps=STEPS):
    """Start a TopK autoencoder again and train it; return it."""
    size, units = model.up.shape
    fresh = TopKAutoencoder(size, units, model.k, seed)
    model.set_weights(fresh.get_weights())
    recipes.forget(model.optimizer)
    rows = np.resize(np.arange(len(x)), steps * 256)
    model.fit(np.float32(x[rows]), batch_size=256, verbose=0)
    return model


def dictionary(units, alpha, seed):
    """scikit-learn's dictionary learning, codes not negative."""
    return MiniBatchDictionaryLearning(
        units,
        alpha=alpha,
        fit_algorithm="cd",
        transform_algorithm="lasso_cd",
        transform_alpha=0.1,
        positive_code=True,
        batch_size=64,
        max_iter=3,
        tol=0.0,  # all passes: it would stop while codes still improve
        max_no_improvement=None,
        random_state=seed,
    )


# %%
def contenders(x, x_test, true, seed):
    """Features of the test rows by each method."""
    rng = np.random.default_rng(seed)
    yield "single dimensions", x_test
    yield "64 random directions", x_test @ rng.standard_normal((SIZE, UNITS))
    yield "PCA", PCA().fit(x).transform(x_test)
    ica = FastICA(whiten="unit-variance", max_iter=500, random_state=seed)
    yield "ICA", ica.fit(x).transform(x_test)
    model = fit_sparse(sparse, x, seed)
    yield (
        "sparse autoencoder",
        ops.convert_to_numpy(model.encode(np.float32(x_test))),
    )
    d = ops.convert_to_numpy(model.down).astype("float64")
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    centred = x_test - ops.convert_to_numpy(model.middle)
    lasso = {"algorithm": "lasso_cd", "alpha": 0.1, "positive": True}
    yield "its dictionary, lasso codes", sparse_encode(centred, d, **lasso)
    learned = dictionary(UNITS, 0.3, seed).fit(x)
    yield "dictionary learning", learned.transform(x_test)
    yield "true dictionary, lasso codes", sparse_encode(x_test, true, **lasso)


score = {}
for count in (SIZE, UNITS):
    for seed in SEEDS:
        x, x_test, factors, true = world(count, seed)
        for name, features in contenders(x, x_test, true, seed):
            score.setdefault((name, count), []).append(
                matched(features, factors)
            )

# %% tags=["nbval-ignore-output"]
names = list(dict.fromkeys(name for name, _ in score))
runtime.record(
    "synthetic factors in 16 dimensions, matched correlation, three worlds",
    ("features", "16 factors", "64 factors"),
    [
        (name, *(with_spread(score[name, m], 2) for m in (SIZE, UNITS)))
        for name in names
    ],
)

# %% tags=["hide-input"]
mean = {key: np.mean(values) for key, values in score.items()}
equal, many = ({n: mean[n, m] for n in names} for m in (SIZE, UNITS))
assert equal["ICA"] > max(equal["dictionary learning"], equal["PCA"]) + 0.05
assert many["dictionary learning"] > many["sparse autoencoder"] + 0.03
assert many["sparse autoencoder"] > many["64 random directions"] + 0.2
assert many["its dictionary, lasso codes"] > many["sparse autoencoder"] + 0.03
assert many["ICA"] < many["64 random directions"]

# %% [markdown]
# Left column: as many factors as dimensions, and ICA finds all of them in a hundredth of the
# time; the sparse autoencoder is level, with 64 units for 16 factors. Right column: 64 factors in 16
# dimensions. PCA and ICA have 16 components and cannot; random directions score 0.3,
# which is what matching gives for nothing. Dictionary learning is ahead of the sparse autoencoder.
#
# Why? One control: take the autoencoder's *dictionary* and find the codes by lasso, an optimisation for
# each row. That gives 0.96, more than dictionary learning's own. So the directions are excellent and the
# *encoder* is at fault: one matrix product and a ReLU cannot tell 64 overlapping
# directions apart, even with the right ones. Learn directions with the network, if you like; read with lasso.

# %% [markdown]
# ## 6. On a hidden layer: k-means wins, and random directions are ahead of sparse features
#
# Now the 128 hidden units of an autoencoder of this course, trained on digits. Nobody knows its
# true features; but if a feature "means" a digit, then its value alone should tell that digit
# from the rest. For each digit we choose, on training rows, the one feature with the best AUROC, and
# report that feature's AUROC on held-out rows. Every method may offer 64 features; two controls: the
# same layer *before* training, and the pixels themselves.


# %%
def auroc(features, labels):
    """AUROC of each feature for each digit, (features, 10)."""
    truth = np.eye(10)[labels]
    rank = rankdata(features, axis=0)  # ties share their ranks
    n = truth.sum(axis=0)
    return (rank.T @ truth - n * (n + 1) / 2) / (n * (len(labels) - n))


def best_single(train, held):
    """Held-out AUROC of the best single feature, mean over digits."""
    fitted = auroc(train, y_train)
    best = np.abs(fitted - 0.5).argmax(axis=0)
    digit = np.arange(10)
    sign = np.sign(fitted[best, digit] - 0.5)
    found = auroc(held, y_held)[best, digit]
    return np.mean(0.5 + sign * (found - 0.5))


autoencoder = Autoencoder.dense((PIXELS,), CODE, widths=(128,), seed=0)
recipes.compile(autoencoder, 5e-3, 10 * -(-len(x_train) // 64))
hidden = keras.Model(
    autoencoder.encoder.inputs[0], autoencoder.encoder.layers[-2].output
)
reader = TopKAutoencoder(128, 64, 8)
recipes.compile(reader, 5e-3, 200)


# %%
def readings(a, b, seed):
    """Features of training and held-out activations by each method."""
    both = a, b
    yield "single units", both
    rng = np.random.default_rng(seed)
    turn = rng.standard_normal((a.shape[1], 64))
    yield "64 random directions", [z @ turn for z in both]
    pca = PCA(min(64, a.shape[1]), random_state=seed).fit(a)
    yield "PCA", [pca.transform(z) for z in both]
    k_means = KMeans(64, n_init=1, random_state=seed).fit(a)
    yield "k-means, distances", [k_means.transform(z) for z in both]
    if a.shape[1] == 128:  # not for the pixels
        learned = dictionary(64, 0.1, seed).fit(np.float64(a))
        codes = [learned.transform(np.float64(z)) for z in both]
        yield "dictionary learning", codes
        fit_sparse(reader, a, seed, 200)
        for name, verb in {
            "sparse autoencoder": reader.encode,
            "the same, before the choice of 8": reader.pushed,
        }.items():
            yield name, [ops.convert_to_numpy(verb(z)) for z in both]


layers = {"trained": {}, "untrained": {}, "pixels": {}}
learned_weights = {}
for seed in SEEDS:
    restart(autoencoder, seed)
    for state in layers:
        if state == "trained":
            autoencoder.fit(x_train, batch_size=64, epochs=10, verbose=0)
            learned_weights[seed] = autoencoder.get_weights()
        elif state == "untrained":
            restart(autoencoder, seed)
        rows = [x_train, x_held]
        if state != "pixels":
            rows = [ops.convert_to_numpy(hidden(r)) for r in rows]
        middle = rows[0].mean(axis=0)
        size = np.linalg.norm(rows[0] - middle, axis=1).mean()
        rows = [np.float32((r - middle) / size) for r in rows]
        for name, pair in readings(*rows, seed):
            layers[state].setdefault(name, []).append(best_single(*pair))

# %% tags=["nbval-ignore-output"]
runtime.record(
    f"{DATA}: AUROC of the best single feature for a digit, held-out rows",
    ("features", *layers),
    [
        (
            name,
            *(
                with_spread(part[name], 3) if name in part else "–"
                for part in layers.values()
            ),
        )
        for name in layers["trained"]
    ],
)

# %% tags=["hide-input"]
of = {name: np.mean(values) for name, values in layers["trained"].items()}
assert of["k-means, distances"] > max(of["single units"], of["PCA"]) + 0.01
assert of["sparse autoencoder"] < of["64 random directions"] - 0.01
before = np.mean(layers["untrained"]["sparse autoencoder"])
assert abs(of["sparse autoencoder"] - before) < 0.04

# %% [markdown]
# Read the table in both directions. Down: **a distance to one of 64 centres says more about a digit than any single unit,
# any sparse feature or any random direction**, and sparse features are the last but one. Part of that is their silence: on most
# rows a feature is exactly 0, and AUROC counts ties as half; the same units *before* the choice of eight are at best level with
# random directions. Across: before training, after it, and on bare pixels the numbers are the same. What these features show is in
# the data, and a trained layer is not needed for it. A picture of "a unit that likes sevens" therefore proves nothing about a
# network until the same search has been made in an untrained one.

# %% [markdown]
# ## 7. Which pixels decided? Attributions beat "brightest first", and agree
#
# The last question is of one answer: why is this a seven? The model: that encoder with a
# linear classifier on its codes. Its score $f(x)$ is the logit of the digit that it names. An *attribution* gives each
# pixel a share:
#
# $$a_i^{\text{gradient}}=(x_i-b_i)\,\partial_if(x),\qquad
# a_i^{\text{integrated}}=(x_i-b_i)\int_0^1\partial_if(b+t(x-b))\,dt,\qquad
# a_i^{\text{occlusion}}=f(x)-f(x\text{ with }x_i=b_i).\tag{1}$$
#
# The baseline $b$ is what "not there" means: black, or the mean image. The integrated ones add up to $f(x)-f(b)$
# (Sundararajan et al. 2017). The judge: **delete** pixels, the most important first, and watch the
# probability of that digit fall (Petsiuk et al. 2018). The smaller the area below the curve, the better the order.


# %%
def attributions(score, x, base, seed):
    """Importance of each pixel, (rows, pixels), by each method."""
    gap = x - base
    slope = ops.convert_to_numpy(input_gradient(score, x))
    path = [
        ops.convert_to_numpy(input_gradient(score, base + t * gap))
        for t in (np.arange(16, dtype="float32") + 0.5) / 16
    ]
    without = np.repeat(x[None], PIXELS, axis=0)  # (pixels, rows, pixels)
    pixel = np.arange(PIXELS)
    without[pixel, :, pixel] = base[:, None]
    left = ops.convert_to_numpy(score(without.reshape(-1, PIXELS)))
    full = ops.convert_to_numpy(score(x))
    fall = (full - left.reshape(PIXELS, -1)).T
    return {
        "random order": np.random.default_rng(seed).random(x.shape),
        "brightest first": x,
        "farthest from the baseline": np.abs(gap),
        "gradient × input": slope * gap,
        "integrated gradients": np.mean(path, axis=0) * gap,
        "occlusion": fall,
    }


def deletion(probability, x, base, importance):
    """Mean probability after 0, 1, … pixels are deleted."""
    place = np.argsort(np.argsort(-importance, axis=1), axis=1)
    gone = place < np.arange(PIXELS + 1)[:, None, None]
    rows = np.where(gone, base, x).reshape(-1, PIXELS)
    return probability(rows).reshape(PIXELS + 1, -1).mean(axis=1)


# %%
EXPLAINED = profile.pick(quick=200, full=40)
BASES = {"black": np.zeros(PIXELS, "float32"), "mean": x_train.mean(axis=0)}
x_some = x_held[-EXPLAINED:]


def named_by(seed):
    """The score of the digit that is named, and its probability."""
    autoencoder.set_weights(learned_weights[seed])
    head = LinearDiscriminantAnalysis()
    head.fit(autoencoder.encode(x_train), y_train)
    kernel, bias = np.float32(head.coef_.T), np.float32(head.intercept_)

    def logits(x):
        return ops.matmul(autoencoder.encoder(x), kernel) + bias

    names = ops.convert_to_numpy(logits(x_some)).argmax(axis=1)
    names = np.eye(10, dtype="float32")[names]

    def probability(x):
        share = ops.softmax(logits(x))
        return ops.convert_to_numpy(ops.sum(share * named(x), axis=1))

    def named(x):  # the rows may come several times over
        return np.tile(names, (len(x) // EXPLAINED, 1))

    return lambda x: ops.sum(logits(x) * named(x), axis=1), probability


def row_correlation(a, b):
    """Mean over rows of the rank correlation of two maps."""
    return np.mean([spearmanr(*pair)[0] for pair in zip(a, b, strict=True)])


# %%
curves = {name: {} for name in BASES}
alike, gaps = {}, []
for seed in SEEDS:
    of_name, probability = named_by(seed)
    for name, base in BASES.items():
        maps = attributions(of_name, x_some, base, seed)
        for method, importance in maps.items():
            curve = deletion(probability, x_some, base, importance)
            curves[name].setdefault(method, []).append(curve)
    nothing = np.tile(base, (EXPLAINED, 1))
    fall = ops.convert_to_numpy(of_name(x_some) - of_name(nothing))
    shares = maps["integrated gradients"].sum(axis=1)
    gaps.append(np.abs(shares - fall).max())  # of logits
    restart(autoencoder, seed + 10)  # same head, an encoder that knows nothing
    other = attributions(of_name, x_some, base, seed)
    for method in list(maps)[1:]:
        value = row_correlation(maps[method], other[method])
        alike.setdefault(method, []).append(value)

# %% tags=["nbval-ignore-output"]
area = {
    (name, method): np.mean(values, axis=1)
    for name, part in curves.items()
    for method, values in part.items()
}
runtime.record(
    f"{DATA}: area below the deletion curve, {EXPLAINED} rows, three seeds",
    (
        "order",
        "to black",
        "to the mean image",
        "same map from an untrained net",
    ),
    [
        (
            method,
            with_spread(area["black", method], 3),
            with_spread(area["mean", method], 3),
            with_spread(alike[method], 2) if method in alike else "–",
        )
        for method in maps
    ],
)

# %% tags=["hide-input"]
small = {key: values.mean() for key, values in area.items()}
for name in BASES:
    best = small[name, "integrated gradients"]
    assert best < small[name, "farthest from the baseline"] - 0.05
    assert best < small[name, "random order"] - 0.2
    assert abs(best - small[name, "occlusion"]) < 0.04
assert small["black", "brightest first"] < small["black", "random order"] - 0.1
assert max(gaps) < 1.0
assert abs(np.mean(alike["integrated gradients"])) < 0.6

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 2, figsize=(9.2, 3.5), sharey=True)
for axis, (name, part) in zip(axes, curves.items(), strict=True):
    for (method, values), style in zip(
        part.items(), ("-", "--", "-.", ":", "-", "--"), strict=True
    ):
        axis.plot(np.mean(values, axis=0), style, label=method)
    axis.set(xlabel=f"pixels set to the {name} baseline", xlim=(0, PIXELS / 2))
axes[0].set(ylabel="probability of the named digit")
axes[1].legend()
plt.show()

# %% [markdown]
# **Figure 8a.4.** Mean of three networks. Left: deleting to black. "Brightest first" falls fast, since without ink there is no digit; the
# three attributions fall much faster, and one cannot tell them apart. Right: deleted to the mean image, "brightest first" is hardly better than random,
# because a bright pixel that is always bright says nothing; "farthest from the baseline" takes its place, and stays behind. The last column of the table is
# the sanity check of Adebayo et al. (2018): a map that an untrained encoder would also give
# explains the picture, not the model. The two rules give exactly the same map, the attributions
# one without any relation.
#
# What deletion cannot say: whether a person understands more. And since all three agree, take the
# cheapest: gradient × input needs one gradient, the others 16 and 64 passes.

# %% [markdown]
# ## What we showed
#
# - On equal epochs a search without a pruner found nothing better than the default; with
#   successive halving it gained half a nat, and the default with all the epochs more than a nat.
# - The best of 36 error rates on 20 rows was eight per cent too good; for the ELBO next to nothing.
# - The smallest −ELBO did not choose the best features: β moved accuracy, not the loss.
# - Of known factors ICA found as many as there are dimensions; of four times as many a sparse
#   autoencoder learned the directions, which lasso read and its own encoder did not.
# - On a hidden layer k-means told digits best by one feature, and an untrained layer did as well.
# - Three attributions beat two simple rules by deletion, and agreed with each other.
#
# **Limits.** 36 designs of one small model on 1 169 digits: where trainings take days and the default comes
# from another field, searches earn more. Sparse autoencoders were meant for
# language models, with a million times the data; our worlds have factors that are independent and directions that
# are random. Features were judged by digit labels, one question among many.
#
# **References.** Akiba et al. (2019), Optuna, *KDD* · Bergstra et al. (2011), Algorithms for
# hyper-parameter optimization, *NeurIPS* · Jamieson and Talwalkar (2016), Non-stochastic best arm
# identification and hyperparameter optimization, *AISTATS* · Ying et al. (2019), NAS-Bench-101,
# *ICML* · Makhzani and Frey (2014), k-sparse autoencoders, *ICLR* · Elhage et al. (2022), Toy
# models of superposition · Sundararajan et al. (2017), Axiomatic attribution for deep networks,
# *ICML* · Petsiuk et al. (2018), RISE, *BMVC* · Adebayo et al. (2018), Sanity checks for
# saliency maps, *NeurIPS*.
#
# Which claims one meets elsewhere are wrong, and which test proves it:
# [errata](../docs/errata.md). Answers to the exercises:
# [solutions](../solutions/08a_search_and_insight.ipynb).

# %% [markdown]
# ## Exercises
#
# Each needs only the set-up cells at the top. Write your answer where
# it says `# your answer here`, run the cell, then run the check below it: it
# says what is wrong, and with what to go on once it is right.

# %% [markdown] tags=["exercise"]
# ### Exercise 8a.1 · Ten models that are equally good
#
# *You will learn what luck is worth.* Ten models have the same true error, 20 %. Each is
# measured on 100 validation rows of its own, so that the measured error has a standard deviation of
# 4 per cent. You keep the model with the smallest. What error, in per cent, do you expect to
# *read* for it? By simulation or a table of order statistics, to half a per cent; errors may be taken as normal.

# %% tags=["exercise"]
answer_8a_1 = None
### BEGIN SOLUTION
lucky = np.random.default_rng(0).normal(20, 4, (100_000, 10)).min(axis=1)
answer_8a_1 = lucky.mean()
### END SOLUTION

# %% tags=["check"]
checks.check_8a_1(answer_8a_1)

# %% [markdown] tags=["discussion"]
# The smallest of ten standard normal numbers is −1.54 on average: 20 − 1.54 · 4 = 13.8 %. Six
# per cent better than any of them is. On rows that the choice has not seen it is 20 % again.

# %% [markdown] tags=["exercise"]
# ### Exercise 8a.2 · Successive halving
#
# *You will learn where the epochs go.* `losses` `(designs, rungs)` holds what each design would show at
# each rung, `epochs` the rungs' epochs, such as `(2, 6, 18)`. Train all designs to the first
# rung; keep the best third, rounded down but at least one; train those on to the
# next; and so on. Return the index of the best design at the last rung and the number of
# epochs spent. A design trained on continues, it does not start again.


# %% tags=["exercise"]
def successive_halving(losses, epochs):
    """Return (index of the winner, epochs spent)."""
    ### BEGIN SOLUTION
    alive, spent, past = np.arange(len(losses)), 0, 0
    for rung, epoch in enumerate(epochs):
        spent += len(alive) * (epoch - past)
        past = epoch
        alive = alive[np.argsort(losses[alive, rung])]
        if rung + 1 < len(epochs):
            alive = alive[: max(1, len(alive) // 3)]
    return int(alive[0]), int(spent)
    ### END SOLUTION


# %% tags=["check"]
checks.check_8a_2(successive_halving)

# %% [markdown] tags=["discussion"]
# Nine designs at rungs 2, 6, 18 cost 9 · 2 + 3 · 4 + 1 · 12 = 42 epochs instead of 162. The price: a
# design that starts slowly, such as one with a small rate, is gone before it shows what it can.

# %% [markdown] tags=["exercise"]
# ### Exercise 8a.3 · One feature a factor
#
# *You will learn to match without names.* Given features `(n, k)` and factors `(n, m)`,
# $m\le k$, return the mean over factors of the absolute correlation with the feature that
# each is matched to; no feature may serve two factors, and the sum is to be as large as
# possible. A feature that never moves correlates with nothing: 0.


# %% tags=["exercise"]
def matched_correlation(features, factors):
    """Return the mean matched absolute correlation, a float."""
    ### BEGIN SOLUTION
    a = features - features.mean(axis=0)
    b = factors - factors.mean(axis=0)
    size = np.outer(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0))
    table = np.abs(a.T @ b) / np.maximum(size, 1e-12)
    rows, columns = linear_sum_assignment(-table)
    return float(table[rows, columns].mean())
    ### END SOLUTION


# %% tags=["check"]
checks.check_8a_3(matched_correlation)

# %% [markdown] tags=["discussion"]
# The largest entry of each column is easier to write, and flatters: one feature that mixes all factors would be counted for each of
# them. Taking the best pair first, then the next, can miss the best sum.

# %% [markdown] tags=["exercise"]
# ### Exercise 8a.4 · The k largest
#
# *You will learn the one line that makes a code sparse.* Given activations `(n, units)`, return an array
# of the same shape in which each row keeps its `k` largest *positive* entries and is 0
# elsewhere. A row with fewer positive entries keeps those. The values are distinct.


# %% tags=["exercise"]
def keep_largest(activations, k):
    """Return the activations with all but the k largest set to 0."""
    ### BEGIN SOLUTION
    activations = np.maximum(activations, 0.0)
    least = np.sort(activations, axis=1)[:, -k][:, None]
    return np.where(activations >= least, activations, 0.0)
    ### END SOLUTION


# %% tags=["check"]
checks.check_8a_4(keep_largest)

# %% [markdown] tags=["discussion"]
# Largest by value, not by size: a strongly negative activation says "surely not here". With the absolute value the same
# unit would stand for a thing and its opposite.

# %% [markdown] tags=["exercise"]
# ### Exercise 8a.5 · Shares that add up
#
# *You will learn why the path matters.* `gradient(x)` returns the gradient of a
# function at rows `(n, d)`. Return the integrated gradients of one row `x` `(d,)` from a
# baseline `(d,)`, as a vector `(d,)`, by the midpoint rule with `steps` points: equation (1) with the
# integral as a mean over $t=(j+\tfrac12)/\text{steps}$.


# %% tags=["exercise"]
def integrated_gradients(gradient, x, baseline, steps):
    """Return the share of each entry in f(x) − f(baseline)."""
    ### BEGIN SOLUTION
    t = (np.arange(steps)[:, None] + 0.5) / steps
    path = baseline + t * (x - baseline)
    return (x - baseline) * np.mean(gradient(path), axis=0)
    ### END SOLUTION


# %% tags=["check"]
checks.check_8a_5(integrated_gradients)

# %% [markdown] tags=["discussion"]
# The gradient at $x$ alone misses what has saturated: of $f=\min(x_1+x_2,1)$ at (1, 1) it says that
# nothing matters. Along the path each gets a half.

# %% [markdown] tags=["exercise"]
# ### Exercise 8a.6 · Delete and watch
#
# *You will learn to judge an explanation.* `probability(x)` maps rows `(n, d)` to `(n,)`. Given rows,
# importances of the same shape and a baseline `(d,)`, return the curve `(d + 1,)`: mean probability after 0,
# 1, …, d entries of *each row* are set to the baseline, its most important first. Leave the rows that you are given as they are.


# %% tags=["exercise"]
def deletion_curve(probability, x, importance, baseline):
    """Return the mean probability after 0, 1, … deletions."""
    ### BEGIN SOLUTION
    x = np.array(x)
    order = np.argsort(-importance, axis=1)
    curve = [np.mean(probability(x))]
    for column in order.T:
        rows = np.arange(len(x))
        x[rows, column] = baseline[column]
        curve.append(np.mean(probability(x)))
    return np.array(curve)
    ### END SOLUTION


# %% tags=["check"]
checks.check_8a_6(deletion_curve)

# %% [markdown] tags=["discussion"]
# All orders meet at the last point, where every row is the baseline. A row with half of its pixels missing is like no row of
# the training: a part of every fall is surprise and no explanation, which is why the random order stands beside it.
