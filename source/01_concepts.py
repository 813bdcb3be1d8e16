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
# # Chapter 1 · Concepts: learning from data without labels
#
# A table of measurements or a folder of pictures, and nobody has written
# down what any row *is*. What can be learned from it all the same, and how
# would we know that it was learned? This chapter answers with the classical
# methods, each written out in a few lines and measured beside something
# simpler, and ends with the tool that the rest of the course is built on:
# one honest step of gradient descent. In this chapter we will show that
#
# * **PCA** is an optimisation problem with a known solution, and what it
#   keeps of images it has not seen;
# * **k-means and Gaussian mixtures** lower, respectively raise, an objective
#   at every step, yet can end in the wrong place;
# * **cluster ids are names, not classes**, and that the number of clusters,
#   the scale of the columns and the score are all choices that need evidence;
# * **gradient descent** on a linear autoencoder arrives at PCA, and that
#   `fit` does exactly the step one can write by hand.
#
# **Before you start:** NumPy arrays, a matrix product, a derivative. No
# Keras yet. **Data:** `digits` (1 797 images of 8 × 8) and `iris` (150
# flowers), both inside scikit-learn, and toy sets. **Time:** about half a
# minute of CPU in the quick profile. How to run and what the profiles are:
# [README](../README.md).
#
# ## 0. Set-up

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

import itertools
import warnings

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, Isomap, trustworthiness
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from utils import data, metrics, plotting
from utils.checks import chapter_01 as checks
from utils.nn.backend import input_gradient

plotting.use_style()
_ = threadpool_limits(1)  # threads only slow these small matrices down

# %% tags=["setup"]
# all that differs between the profiles
image_set = profile.pick(quick="digits", full="mnist")
num_images = profile.pick(quick=1_169, full=5_000)  # training images
num_embedded = profile.pick(quick=300, full=800)  # images to embed
num_starts = profile.pick(quick=100, full=300)  # single k-means starts
num_steps = profile.pick(quick=100, full=200)  # of gradient descent
seeds = profile.pick(quick=range(3), full=range(10))

# %% tags=["setup"]
images = data.load(image_set, limit=num_images).flat()
flowers = data.load("iris")
x_iris, y_iris = flowers.all_rows()
x_iris = x_iris.astype("float64")
print("images ", images.x_train.shape, images.x_test.shape)
print("flowers", x_iris.shape, flowers.features)

# %% [markdown]
# ## 1. What can be learned without labels?
#
# What a method is *told* separates four settings:
#
# | setting | given | learned |
# |---|---|---|
# | supervised | x and a label y for each row | a map from x to y |
# | unsupervised | x only | structure of x: groups, directions, a density |
# | self-supervised | x only; targets are made from x itself | a map from one part or version of x to another, for the features it needs |
# | semi-supervised | x for all rows, y for a few | a map to y that also uses the unlabelled rows |
#
# **Depth is another axis.** A deep network is a family of functions; any of
# the four settings can use it or do without it. PCA and k-means are
# unsupervised and not deep; image classifiers are deep and supervised;
# recurrent networks are an architecture and serve any of the four.
# "Classification" always needs labels somewhere, even where the *features*
# it uses were learned without them.
#
# **It is older than computers.** Principal components: Pearson 1901 and
# Hotelling 1933. Factor analysis: Spearman 1904. Cluster analysis: Driver
# and Kroeber 1932. Information theory, which gives us the nat: Shannon 1948.
# k-means: Steinhaus 1956, Lloyd 1957 (printed 1982), MacQueen 1967.
#
# **Which library has what.** scikit-learn ships the finished classical
# methods: PCA, k-means, Gaussian mixtures. Keras, TensorFlow and PyTorch ship
# *parts*: layers, losses, optimisers. This course joins the two.
#
# Three words return in every chapter; here is each of them on the irises.
# A **distribution** is a rule that says how probable each value is; we
# estimate it from rows and judge it on rows it has not seen, by the mean
# log-density in nats. A **feature** is a number computed from a row. A
# **representation** is a map from rows to codes, $z = f_\phi(x)$, chosen
# because something is easier to see or to do on z than on x.

# %%
petal_train = flowers.x_train[:, 2:3]  # petal length, cm
petal_test = flowers.x_test[:, 2:3]
density = {
    k: GaussianMixture(k, random_state=0).fit(petal_train) for k in (1, 2)
}
nats = {k: model.score(petal_test) for k, model in density.items()}
area = x_iris[:, 2] * x_iris[:, 3]
codes = PCA(2).fit_transform(x_iris)
print(f"one Gaussian {nats[1]:.1f}, two Gaussians {nats[2]:.1f} nats a row")
assert nats[2] > nats[1] + 0.2

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.2))
grid = np.linspace(0, 8, 200)[:, None]
axes[0].hist(x_iris[:, 2], 30, density=True, alpha=0.4)
for k, model in density.items():
    heights = np.exp(model.score_samples(grid))
    axes[0].plot(grid, heights, "-" if k == 2 else "--", label=f"K = {k}")
axes[0].set(title="a distribution", xlabel="petal length, cm", ylabel="density")
axes[0].legend()
axes[1].hist(area, 30)
axes[1].set(
    title="a feature", xlabel="petal length × width, cm²", ylabel="rows"
)
axes[2].scatter(*codes.T, s=12)
axes[2].set(title="a representation", xlabel="$z_1$, cm", ylabel="$z_2$, cm")
figure.suptitle("Without a single label, all three views show two groups")
plt.show()

# %% [markdown]
# **Figure 1.1.** Look at the gap: it is there in a column, in a product of two
# columns and in a two-dimensional code. Two Gaussians describe flowers
# held back better than one (a higher mean log-density). Note what the picture
# does not say: there are *three* species here. Structure that is in the data
# need not be the structure we have a name for.
#
# ### Notation of the whole course
#
# | symbol | meaning |
# |---|---|
# | n, d | rows; entries of a row |
# | $x$, $x_i$, $X$ | an example; the i-th; all rows as a matrix n × d |
# | $\bar x$, Σ | sample mean; covariance matrix d × d |
# | $z = f_\phi(x)$ | code of width k; encoder with parameters φ |
# | $\hat x = g_\theta(z)$ | reconstruction; decoder with parameters θ |
# | θ alone | all parameters of a model |
# | $L(\theta)$, η | loss, to be made small; learning rate |
# | W | principal directions, d × k, orthonormal columns |
# | K, $\mu_k$ | number of clusters; centre of cluster k |
# | $\pi_k$, $\gamma_{ik}$ | mixture weight; responsibility of k for row i |
# | $p(x)$, $q_\phi(z \mid x)$ | a density; an approximate one, from chapter 04 on |
# | log | natural logarithm; information is in nats |

# %% [markdown]
# ## 2. PCA: which k directions keep most?
#
# Centre the rows and project them on k orthonormal directions, the columns
# of W. The variance kept is $\mathrm{tr}(W^\top \Sigma W)$, so PCA solves
#
# $$\max_{W^\top W = I}\ \mathrm{tr}(W^\top \Sigma W). \tag{1}$$
#
# The solution is known: the eigenvectors of Σ with the k largest eigenvalues
# $\lambda_1 \ge \dots \ge \lambda_k$. Code and reconstruction are
#
# $$z = W^\top (x - \bar x), \qquad \hat x = \bar x + W z, $$
#
# and what is lost on the training rows is the sum of the eigenvalues left
# out, so maximising (1) and minimising the squared reconstruction error are
# one problem. PCA is *linear*, and it is not deep.
#
# The baseline to beat is to predict the mean image for everything (k = 0).
# Before you look at the curve below: how many directions do you need to halve
# its error on images that PCA has *not* seen?

# %%
x_bar = images.x_train.mean(axis=0)
sigma = np.cov(images.x_train - x_bar, rowvar=False, bias=True)
eigenvalues, vectors = np.linalg.eigh(sigma)  # smallest first
eigenvalues, directions = eigenvalues[::-1], vectors[:, ::-1]


def reconstruct(x, k):
    """Encode with the first k directions and decode again."""
    w = directions[:, :k]
    return x_bar + (x - x_bar) @ w @ w.T


kept = eigenvalues[:8].sum() / eigenvalues.sum()
print(f"8 of {len(x_bar)} directions keep {kept:.0%} of the training variance")
# %%
w = directions[:, :8]
library = PCA(8, svd_solver="full").fit(images.x_train)
cosines = metrics.principal_angle_cosines(w, library.components_.T)
training_loss = np.sum((images.x_train - reconstruct(images.x_train, 8)) ** 2)
assert np.allclose(w.T @ w, np.eye(8), atol=1e-5)
assert cosines.min() > 0.999  # the subspace of scikit-learn
assert np.isclose(
    training_loss / len(images.x_train), eigenvalues[8:].sum(), rtol=1e-3
)

# %%
ks = (1, 2, 4, 8, 16, 32)
x_test = images.x_test
mean_error = metrics.mse(x_test, reconstruct(x_test, 0))
errors = {k: metrics.mse(x_test, reconstruct(x_test, k)) for k in ks}
assert all(np.diff(list(errors.values())) < 0)
assert errors[16] < 0.5 * mean_error
assert errors[8] < profile.pick(quick=0.36, full=0.65) * mean_error
plotting.curves(
    {
        "PCA": list(errors.values()),
        "predict the mean": [mean_error] * len(ks),
    },
    "Eight directions remove two thirds of the error"
    if not profile.full
    else "Sixteen directions remove well over half of the error",
    x=ks,
    xlabel="code width k",
    ylabel="test MSE, squared grey levels",
)
plt.show()

# %%
shape = data.load(image_set, limit=10).event_shape
rows = {"original": x_test[:10]}
rows |= {f"k = {k}": reconstruct(x_test[:10], k) for k in (2, 8, 32)}
plotting.image_rows(
    {name: values.reshape(-1, *shape) for name, values in rows.items()},
    "Two numbers give blurs, 32 are nearly the original",
)
plt.show()

# %% [markdown]
# **Figures 1.2 and 1.3.** In the curve, look at the bend: the first directions
# buy most. In the pictures, look at the row k = 2: every
# image is the mean plus two templates, and many look like no digit in particular.
# The error falls with every direction added, on test rows too, because a
# larger W contains the smaller one.
#
# ## 3. k-means: which K centres stand for the rows?
#
# The unknowns are the partition $S_1, \dots, S_K$ of the rows *and* the
# centres:
#
# $$\min_{\{S_k\},\{\mu_k\}}\ \sum_{k=1}^{K}\ \sum_{x \in S_k} \lVert x - \mu_k \rVert^2. \tag{2}$$
#
# With the centres fixed, each row belongs to its nearest centre; with the
# partition fixed, the best centre is the mean. Lloyd's algorithm takes the two
# in turn. Neither can raise the objective, so it stops; where it stops depends
# on where it began. One case needs a decision: the mean of an
# **empty cluster** is 0/0. We move an empty cluster to the row that is
# farthest from its own centre, and take that row out of its old cluster. Then
# we start with one centre far away from all flowers, once with the
# naive mean of no rows and once with our rule. Watch the naive version for two
# steps: NaN wins every `argmin`, so the second step empties the other clusters.


# %%
def update_centres(x, ids, centres):
    """Mean of each cluster; an empty one takes the farthest row."""
    ids = ids.copy()
    distance = np.sum((x - centres[ids]) ** 2, axis=1)
    for k in np.setdiff1d(np.arange(len(centres)), ids):
        shared = np.bincount(ids)[ids] > 1  # never empty another cluster
        row = np.argmax(np.where(shared, distance, -1.0))
        ids[row], distance[row] = k, 0.0
    return np.stack([x[ids == k].mean(axis=0) for k in range(len(centres))])


# %%
def lloyd(x, centres, update=update_centres, max_steps=100):
    """Return centres, ids and the objective after every assignment."""
    if len(np.unique(x, axis=0)) < len(centres):
        warnings.warn("fewer distinct rows than clusters", stacklevel=2)
    history = []
    for _ in range(max_steps):
        squares = np.sum((x[:, None] - centres[None]) ** 2, axis=2)
        ids = squares.argmin(axis=1)
        history.append(squares.min(axis=1).sum())
        if len(history) > 1 and history[-1] >= history[-2]:
            break
        centres = update(x, ids, centres)
    return centres, ids, np.array(history)


# %%
def naive_update(x, ids, centres):
    """Textbook update: the mean, defined or not."""
    with np.errstate(invalid="ignore"):
        sums = [x[ids == k].sum(axis=0) for k in range(len(centres))]
        counts = np.bincount(ids, minlength=len(centres))
        return np.stack(sums) / counts[:, None]


remote = np.vstack([x_iris[:2], [[1e3] * 4]])
naive, _, _ = lloyd(x_iris, remote, naive_update, max_steps=2)
centres, ids, history = lloyd(x_iris, remote)
print("naive   :", np.isnan(naive).sum(), "of 12 coordinates are NaN")
print("re-seeded:", np.isnan(centres).sum(), "NaN, sizes", np.bincount(ids))

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    twins, _, _ = lloyd(np.repeat(x_iris[:2], 5, axis=0), remote)
print("two distinct rows, three clusters:", caught[0].message)
assert np.isnan(naive).any()
assert np.isfinite(centres).all() and np.isfinite(twins).all()
assert np.bincount(ids, minlength=3).min() > 0
assert np.all(np.diff(history) <= 1e-9)  # the objective never rises

# %% [markdown]
# ### Where it stops depends on where it starts
#
# We run Lloyd once from each of many random starts (K random rows), do the
# same with k-means++ (Arthur and Vassilvitskii 2007: rows far from the
# centres so far are likelier to be the next), and then keep the best of ten
# random starts. How often do you expect a single random start to miss the
# best solution known by more than one per cent?


# %%
def random_start(seed):
    """Objective after Lloyd from three random rows."""
    rng = np.random.default_rng(seed)
    start = x_iris[rng.choice(len(x_iris), 3, replace=False)]
    return lloyd(x_iris, start)[2][-1]


# %% tags=["nbval-ignore-output"]
single = np.array([random_start(seed) for seed in range(num_starts)])
plus = np.array(
    [
        KMeans(3, n_init=1, random_state=seed).fit(x_iris).inertia_
        for seed in range(num_starts)
    ]
)
best_of_ten = single.reshape(-1, 10).min(axis=1)
best = min(single.min(), plus.min())
missed = {
    "one random start": 100 * np.mean(single > 1.01 * best),
    "one k-means++": 100 * np.mean(plus > 1.01 * best),
    "best of 10 random": 100 * np.mean(best_of_ten > 1.01 * best),
}
print({name: f"{share:.0f} %" for name, share in missed.items()})
print(f"best {best:.2f}, worst {single.max():.2f}")

# %%
assert missed["one random start"] > 10
assert missed["one k-means++"] < missed["one random start"]
assert missed["best of 10 random"] <= missed["one k-means++"] + 1
assert single.max() > 1.5 * best

# %%
plotting.bars(
    missed,
    "A single random start often stops in a worse local optimum",
    ylabel=f"% of {num_starts} starts > 1 % above the best",
)
plt.show()

# %% [markdown]
# **Figure 1.4.** Compare the first bar with the other two (no group of ten
# random starts missed, so the third bar is empty). Nothing *warned*
# us in the bad runs: the objective fell at every step and then stood still. The worst of
# them ends with an objective nearly twice the best. Restarts and a good start
# are part of the method, not decoration; in scikit-learn they are `n_init` and `init`.
#
# ### Cluster ids are names, not classes
#
# Cluster 0 is "0" only because its centre happened to come first. To compare
# clusters with classes one needs a score that does not change
# when clusters are renamed: the adjusted Rand index (ARI, 1 for equal
# partitions, about 0 for random ones; Hubert and Arabie 1985), normalised mutual
# information, or the share of rows that agree after the best one-to-one
# matching (`metrics.clustering_accuracy`). A common mistake is to compare ids
# with labels entry by entry. Here is one partition under its six possible
# namings:

# %%
model = KMeans(3, n_init=10, random_state=0).fit(x_iris)
assert np.array_equal(model.predict(x_iris), model.labels_)

# %%
renamed = [
    np.array(names)[model.labels_] for names in itertools.permutations(range(3))
]
raw = sorted(np.mean(ids == y_iris) for ids in renamed)
ari = [adjusted_rand_score(y_iris, ids) for ids in renamed]
matched = [metrics.clustering_accuracy(y_iris, ids) for ids in renamed]
print("ids read as classes:", " ".join(f"{share:.2f}" for share in raw))
print("ARI                :", " ".join(f"{score:.2f}" for score in ari))
print("matched accuracy   :", " ".join(f"{share:.2f}" for share in matched))
assert raw[0] < 0.1 and raw[-1] > 0.8  # one partition, six namings
assert min(ari) >= 0.7 and np.ptp(ari) < 1e-9

# %% [markdown]
# ## 4. How many clusters, and on which scale?
#
# The objective (2) cannot choose K: at its optimum it falls with every
# cluster added and is 0 at K = n. One looks for a bend ("elbow") in it, or at
# the **silhouette** (Rousseeuw 1987), which for each row compares the mean
# distance a to its own cluster with the mean distance b to the next one,
# $(b - a)/\max(a, b)$. Irises come from three species. Will the two agree on 3?

# %%
candidates = range(2, 8)
fits = {k: KMeans(k, n_init=10, random_state=0).fit(x_iris) for k in candidates}
inertia = [fits[k].inertia_ for k in candidates]
silhouette = [silhouette_score(x_iris, fits[k].labels_) for k in candidates]

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
left.plot(candidates, inertia, "o-")
left.set(xlabel="K", ylabel="objective, cm²", title="elbow near 3")
right.plot(candidates, silhouette, "o-", color="C2")
right.set(xlabel="K", ylabel="mean silhouette", title="silhouette prefers 2")
figure.suptitle("Without labels, iris looks like two groups as much as three")
plt.show()

# %% [markdown]
# **Figure 1.5.** Left, the bend is soft: 2, 3 or 4 could be defended. Right,
# the silhouette is clearly highest at K = 2, because two of the species
# overlap. Neither criterion knows what a species is. Report the curve and say
# which K you took and why; "three, because there are three classes" uses the
# labels.
#
# **Scale.** Distances add squares over columns, so a column in a smaller unit
# (larger numbers) outvotes the others. Standardising each column, that is
# subtracting its mean and dividing by its standard deviation, removes the
# unit. Does that always help?


# %%
def iris_ari(x):
    """Labels of k-means with restarts, and their ARI."""
    ids = KMeans(3, n_init=20, random_state=0).fit_predict(x)
    return ids, adjusted_rand_score(y_iris, ids)


rescaled = x_iris * [1, 100, 1, 1]  # sepal width in units of 0.1 mm
standard = StandardScaler().fit_transform
tables = {
    "as measured": x_iris,
    "standardised": standard(x_iris),
    "one column × 100": rescaled,
    "× 100, then standardised": standard(rescaled),
}

# %%
results = {name: iris_ari(table) for name, table in tables.items()}
for name, (_, score) in results.items():
    print(f"{name:<26} ARI {score:.2f}")

# %%
assert results["as measured"][1] > results["standardised"][1] + 0.05
assert results["one column × 100"][1] < 0.25
assert np.array_equal(
    results["standardised"][0], results["× 100, then standardised"][0]
)

# %% [markdown]
# Standardising makes the answer independent of units: the labels are equal,
# row by row. But "always standardise" is wrong too: here all columns are
# centimetres of one flower, the petals vary more *and* say more, and giving
# the sepals an equal vote costs a tenth of ARI. Standardise when units differ for
# no reason of the problem; think when they do not.
#
# ## 5. Gaussian mixtures and EM: clusters with a shape
#
# k-means gives each row to one centre and measures with a round ruler. A
# Gaussian mixture is a density,
#
# $$p(x) = \sum_{k=1}^K \pi_k\, \mathcal N(x; \mu_k, \Sigma_k), \qquad \pi_k \ge 0,\ \sum_k \pi_k = 1, \tag{3}$$
#
# with soft memberships, the **responsibilities**
#
# $$\gamma_{ik} = \frac{\pi_k\, \mathcal N(x_i; \mu_k, \Sigma_k)}{\sum_j \pi_j\, \mathcal N(x_i; \mu_j, \Sigma_j)}. $$
#
# EM (Dempster, Laird and Rubin 1977) takes turns: the **E step** computes γ, the **M
# step** sets $\pi_k$, $\mu_k$, $\Sigma_k$ to the γ-weighted shares, means and covariances.
# The log-likelihood $\sum_i \log p(x_i)$ cannot fall. Densities of far rows
# underflow to 0, and 0/0 is NaN, so the E step
# works with logarithms: $\log\sum_j e^{a_j}$ is `np.logaddexp.reduce`.
#
# First we let EM start from k-means' own answer on iris and give each cluster
# a covariance of its own. Then we ask whether the gain depends on a lucky seed,
# and what shape a cluster must have to be found: three sheared Gaussians, and
# two rings, which are no Gaussians at all.


# %%
def e_step(x, weights, means, covariances):
    """Responsibilities (n, K) and the log-density of each row (n,)."""
    log_joint = np.empty((len(x), len(weights)))
    for k, (mu, sigma) in enumerate(zip(means, covariances, strict=True)):
        _, log_det = np.linalg.slogdet(2 * np.pi * sigma)
        scaled = np.sum((x - mu) @ np.linalg.inv(sigma) * (x - mu), axis=1)
        log_joint[:, k] = np.log(weights[k]) - 0.5 * (log_det + scaled)
    log_p = np.logaddexp.reduce(log_joint, axis=1)
    return np.exp(log_joint - log_p[:, None]), log_p


# %%
def m_step(x, gamma):
    """Weights, means and covariances from responsibilities."""
    size = gamma.sum(axis=0)
    means = gamma.T @ x / size[:, None]
    centred = x[:, None] - means
    covariances = np.einsum("nk,nki,nkj->kij", gamma, centred, centred)
    return size / len(x), means, covariances / size[:, None, None]


# %%
gamma = np.eye(3)[fits[3].labels_]  # hard memberships of k-means to begin
log_likelihood = []
for _ in range(60):
    parameters = m_step(x_iris, gamma)
    gamma, log_p = e_step(x_iris, *parameters)
    log_likelihood.append(log_p.sum())
ours = adjusted_rand_score(y_iris, gamma.argmax(axis=1))
print(f"ARI: k-means {ari[0]:.2f}, EM by hand {ours:.2f}")
assert np.allclose(gamma.sum(axis=1), 1) and np.isclose(parameters[0].sum(), 1)
assert np.all(np.diff(log_likelihood) > -1e-8)  # never falls
reference = GaussianMixture(3, n_init=5, random_state=0).fit(x_iris)
assert abs(log_p.mean() - reference.score(x_iris)) < 0.01  # nats a row


# %%
def sheared(seed):
    """Three Gaussian clouds pulled along one diagonal."""
    rng = np.random.default_rng(seed)
    y = np.arange(600) % 3
    centre = np.array([[-6.8, -4.1], [0.0, 0.3], [1.4, -7.5]])
    x = rng.standard_normal((600, 2)) + centre[y]
    return x @ np.array([[0.6, -0.64], [-0.41, 0.85]]), y


# %%
def both_scores(x, y, k, seed):
    """ARI of k-means and of the mixture, and their labels."""
    hard = KMeans(k, n_init=10, random_state=seed).fit_predict(x)
    soft = GaussianMixture(k, n_init=5, random_state=seed).fit_predict(x)
    return [adjusted_rand_score(y, ids) for ids in (hard, soft)], hard, soft


# %%
def spread(values):
    """Mean ± standard deviation, two digits."""
    mean = round(np.mean(values), 2) + 0.0  # no negative zero
    return f"{mean:.2f} ± {np.std(values):.2f}"


# %% tags=["nbval-ignore-output"]
score = {"iris": [], "sheared": [], "rings": []}
for seed in seeds:
    rings, y_rings = data.make_toy("rings", n=600, seed=seed)
    score["iris"].append(both_scores(x_iris, y_iris, 3, seed)[0])
    score["sheared"].append(both_scores(*sheared(seed), 3, seed)[0])
    score["rings"].append(both_scores(rings, y_rings, 2, seed)[0])
score = {name: np.array(pairs) for name, pairs in score.items()}
for name, pairs in score.items():
    hard, soft = map(spread, pairs.T)
    print(f"{name:<8} k-means {hard}   mixture {soft}")

# %%
x_sheared, y_sheared = sheared(0)
_, hard, soft = both_scores(x_sheared, y_sheared, 3, 0)
_, _, ring_ids = both_scores(rings, y_rings, 2, 0)
plotting.scatter(
    {
        "k-means: cuts the clouds": x_sheared,
        "mixture: finds them": x_sheared,
        "mixture: fails on rings": rings,
    },
    {
        "k-means: cuts the clouds": hard,
        "mixture: finds them": soft,
        "mixture: fails on rings": ring_ids,
    },
    "Each method finds the shapes that its formula can describe",
    axes=("$x_1$", "$x_2$"),
)
plt.show()

# %% [markdown]
# **Figure 1.6.** Left, look at the ends of the stretched clouds: rows far
# along a cloud go to a neighbour whose centre is nearer. Middle, a
# covariance each removes that. Right, both fail: two rings share one centre, so
# neither a nearest centre nor an ellipse separates them, and ARI is 0.
#
# **BIC** chooses K for a density: $-2\log p(X) + m \log n$ with m free
# parameters (Schwarz 1978); lowest wins. It judges how well the *density* fits, not whether
# species are recovered.

# %%
bic = {
    k: GaussianMixture(k, n_init=3, random_state=0).fit(x_iris).bic(x_iris)
    for k in range(1, 6)
}
print("iris:", {k: round(value) for k, value in bic.items() if k < 4})
bic_sheared = {
    k: GaussianMixture(k, n_init=3, random_state=0)
    .fit(x_sheared)
    .bic(x_sheared)
    for k in range(1, 6)
}
print("lowest: iris", min(bic, key=bic.get), end="; ")
print("sheared", min(bic_sheared, key=bic_sheared.get))

# %%
assert min(bic_sheared, key=bic_sheared.get) == 3
assert np.all(score["iris"][:, 1] > score["iris"][:, 0] + 0.1)
assert np.all(score["sheared"][:, 1] > 0.95)
assert np.all(score["sheared"][:, 0] < 0.9)
assert np.all(np.abs(score["rings"]) < 0.05)

# %% [markdown]
# On the clouds, which *are* Gaussian, BIC finds 3; on iris it takes 2 by a
# few units over 3, in line with the silhouette.
#
# ## 6. Representations that keep distances
#
# "A good representation keeps similar things close" is **one objective among
# several**. Autoencoders ask for reconstruction, VAEs for likelihood. Metric
# multidimensional scaling (MDS) asks for distances, by minimising the *stress*
#
# $$\sum_{i<j} \big(\lVert x_i - x_j\rVert - \lVert z_i - z_j\rVert\big)^2 . \tag{4}$$
#
# Isomap (Tenenbaum et al. 2000) does so for distances *along* the
# data; t-SNE (van der Maaten and Hinton 2008) keeps neighbours and gives up
# far distances. Two scores tell these wishes apart. **Trustworthiness** (Venna
# and Kaski 2001): are neighbours in z neighbours in x? **Distance
# correlation** here: the rank correlation of all pairwise distances. Stress
# falls with each SMACOF step, $Z \leftarrow \tfrac1n B(Z)\,Z$:


# %%
def pairwise(x):
    """All Euclidean distances, (n, n)."""
    squares = np.sum(x**2, axis=1)
    gram = squares[:, None] + squares - 2 * x @ x.T
    return np.sqrt(np.maximum(gram, 0))


# %%
def mds(x, steps=100):
    """Metric MDS to the plane from a PCA start; also the stress."""
    target, z, stress = pairwise(x), PCA(2).fit_transform(x), []
    for _ in range(steps):
        now = pairwise(z)
        stress.append(np.sum((target - now) ** 2) / 2)
        b = -np.divide(target, now, out=np.zeros_like(now), where=now > 1e-6)
        np.fill_diagonal(b, 0.0)
        np.fill_diagonal(b, -b.sum(axis=1))
        z = b @ z / len(z)
    return z, np.array(stress)


# %% tags=["nbval-ignore-output"]
roll, stretch = data.make_toy("swiss_roll", n=800)
sets = {"roll": roll, image_set: images.x_train[:num_embedded]}
embedded, quality = {}, {}
for name, x in sets.items():
    x = x.astype("float64")
    z_mds, stress = mds(x)
    embedded[name] = {
        "PCA": PCA(2).fit_transform(x),
        "MDS": z_mds,
        "Isomap": Isomap(n_neighbors=8).fit_transform(x),
        "t-SNE": TSNE(init="pca", random_state=0).fit_transform(x),
    }
    assert np.all(np.diff(stress) <= 1e-6 * stress[0])
    for method, z in embedded[name].items():
        trust = trustworthiness(x, z, n_neighbors=10)
        rank = metrics.distance_correlation(x, z)
        quality[name, method] = trust, rank
        print(f"{name:<7}{method:<7} {trust:.3f}  {rank:.2f}")

# %%
panels = {method: embedded["roll"][method] for method in ("PCA", "Isomap")}
panels["t-SNE"] = embedded["roll"]["t-SNE"]
for name in sets:
    trust = {method: quality[name, method][0] for method in panels}
    rank = {m: quality[name, m][1] for m in embedded[name]}
    assert trust["t-SNE"] > trust["PCA"] + 0.01
    assert max(rank, key=rank.get) == "MDS"
assert quality["roll", "Isomap"][0] > quality["roll", "PCA"][0] + 0.01
height = np.corrcoef(roll[:, 1], embedded["roll"]["PCA"].T)[0, 1:]
assert np.abs(height).max() < 0.3  # PCA has dropped this direction
assert quality["roll", "PCA"][1] > quality["roll", "Isomap"][1] + 0.1

# %%
plotting.scatter(
    panels,
    stretch,
    "PCA drops the height, Isomap unrolls the sheet, t-SNE cuts it into pieces",
    class_names=[f"stretch {number}" for number in range(1, 6)],
    axes=("$z_1$", "$z_2$"),
)
plt.show()

# %% [markdown]
# **Figure 1.7.** Colours mark five stretches along the rolled-up sheet. The two
# directions of largest variance look at the roll from its end, so under PCA
# rows from opposite edges of the sheet, far apart in height, land on each
# other: wrong neighbours. Isomap lays the sheet out flat. In the table
# the order turns round with the question: Isomap and t-SNE beat PCA on
# neighbours, and on distances through space MDS is first on both data sets, as
# its objective asks. Ask which of the two
# your task needs before you ask which picture is prettiest; and read neither
# sizes nor gaps off a t-SNE map.
#
# ## 7. Gradient descent, done right
#
# Most losses have no closed solution like (1). Gradient descent needs only
# their slope:
#
# $$L(\theta) = \frac1n \sum_{i=1}^n \lVert x_i - \hat x_i \rVert^2, \qquad \theta \leftarrow \theta - \eta\, \nabla L(\theta). \tag{5}$$
#
# The mini-batch version takes the mean over a few random rows. The loss is
# between the input and *its own reconstruction*: that is what makes (5)
# unsupervised. With a separate target y it would be regression.
#
# Our model is a linear autoencoder on centred rows, $\hat x = x\,W_e W_d$, with an
# encoder d × 3 and a decoder 3 × d. By hand, with $R = X W_e W_d - X$:
# $\partial L/\partial W_d = \tfrac2n (X W_e)^\top R$ and
# $\partial L/\partial W_e = \tfrac2n X^\top R\, W_d^\top$. Parameters are
# `keras.Variable`s and every operation is from `keras.ops`, so the same lines
# run on TensorFlow, JAX and PyTorch. First one step, three ways; then the loop,
# with *one* optimiser created outside it (it counts steps and, for other
# methods, remembers past gradients) and a loss that is written down. PCA tells
# us the best that any linear code of width 3 can do: the sum of the eigenvalues
# left out.

# %%
x = (images.x_train - x_bar).astype("float32")
n, d = x.shape
eta = 0.2 / float(eigenvalues[0])  # too steep a valley needs a smaller step


def loss(encoder, decoder):
    """Equation (5) for the linear autoencoder."""
    x_hat = ops.matmul(ops.matmul(x, encoder), decoder)
    return ops.mean(ops.sum(ops.square(ops.subtract(x, x_hat)), axis=1))


# %%
def gradients(encoder, decoder):
    """By the backend's automatic differentiation."""
    return [
        input_gradient(lambda value: loss(value, decoder), encoder),
        input_gradient(lambda value: loss(encoder, value), decoder),
    ]


def gradients_by_hand(encoder, decoder):
    """By the formulas above, in NumPy."""
    residual = x @ encoder @ decoder - x
    by_encoder = 2 / n * x.T @ residual @ decoder.T
    return [by_encoder, 2 / n * (x @ encoder).T @ residual]


# %%
def initial_weights(seed):
    """Small random weights, scaled by the widths they join (Glorot)."""
    scale = np.sqrt(2 / (d + 3))
    rng = np.random.default_rng(seed)
    shapes = (d, 3), (3, d)
    return [(scale * rng.standard_normal(s)).astype("float32") for s in shapes]


by_hand = [
    value - eta * gradient
    for value, gradient in zip(
        initial_weights(0), gradients_by_hand(*initial_weights(0)), strict=True
    )
]

# %%
variables = [keras.Variable(value) for value in initial_weights(0)]
optimizer = keras.optimizers.SGD(learning_rate=eta)
optimizer.apply(gradients(*variables), variables)
stepped = [ops.convert_to_numpy(value) for value in variables]
for ours, keras_value, before in zip(
    by_hand, stepped, initial_weights(0), strict=True
):
    assert np.allclose(ours, keras_value, atol=1e-5)  # θ − η·grad
    assert not np.allclose(before, keras_value, atol=1e-4)  # it did move
print("one SGD step equals θ − η·grad; steps taken:", int(optimizer.iterations))


# %%
def descend(seed):
    """Loss before each of num_steps steps, and after the last."""
    variables = [keras.Variable(value) for value in initial_weights(seed)]
    optimizer = keras.optimizers.SGD(learning_rate=eta)
    history = []
    for _ in range(num_steps):
        history.append(float(loss(*variables)))
        optimizer.apply(gradients(*variables), variables)
    return [*history, float(loss(*variables))]


# %% tags=["nbval-ignore-output"]
descents = np.array([descend(seed) for seed in range(3)])
residual = float(eigenvalues[3:].sum())
for step in (0, num_steps // 10, num_steps):
    print(f"step {step:>3}: loss {descents[0, step]:.3f}")
print(f"PCA residual  {residual:.3f}")

# %%
assert np.all(np.diff(descents) < 1e-5)  # the loss falls
assert np.all(descents[:, -1] >= 0.9999 * residual)
assert np.all(descents[:, -1] <= 1.02 * residual)
plotting.curves(
    {
        "linear autoencoder, 3 seeds": descents,
        "PCA residual": [residual] * descents.shape[1],
    },
    "Gradient descent arrives at the PCA residual and stays above it",
    x=np.arange(descents.shape[1]),
    xlabel="step",
    ylabel="loss, squared grey levels an image",
)
plt.show()

# %% [markdown]
# **Figure 1.8.** Look at the end: three starts, one value, the dashed line,
# from above. The minimum is PCA's *subspace*; the three code axes are
# some basis of it, not the principal directions. In Keras one would not
# write the loop. The next cell shows that `fit` takes the very same step.


# %%
def squared_distance(x, x_hat):
    """Sum over entries; Keras then takes the mean over the batch."""
    return ops.sum(ops.square(ops.subtract(x, x_hat)), axis=-1)


autoencoder = keras.Sequential(
    [
        keras.Input((d,)),
        keras.layers.Dense(3, use_bias=False),
        keras.layers.Dense(d, use_bias=False),
    ]
)

# %%
autoencoder.set_weights(initial_weights(0))
autoencoder.compile(keras.optimizers.SGD(eta), loss=squared_distance)
autoencoder.fit(x, x, batch_size=n, epochs=1, verbose=0)  # one full batch
pairs = zip(autoencoder.get_weights(), by_hand, strict=True)
assert all(np.allclose(a, b, atol=1e-5) for a, b in pairs)
print("one step of fit equals the step by hand")

# %% [markdown]
# Why not `loss="mse"`? It also averages over the d entries: the gradient
# would be d times smaller, and the same η far too timid.
#
# ### Four ways to spoil it
#
# **NumPy in the middle.** Automatic differentiation records the backend's own
# operations. A detour through NumPy computes the right loss and loses the trail
# to θ; there is no gradient, and the course's helper says so on all three
# backends.
#
# **An output that cannot reach the target.** A ReLU output is never negative.
# Wherever the target is negative, the best it can do is 0, and the loss has
# a floor that no training lowers.
#
# **Weights without fan-in scaling.** A unit
# sums as many terms as it has inputs, so weights from N(0, 1) blow the
# signal up layer by layer; variance 2/fan-in keeps it level through ReLUs (He et al. 2015).
#
# **Noise by broadcasting.** Noise of shape (d,) added to a table is *one*
# vector added to every row: a constant that a bias learns away.


# %%
def loss_with_detour(encoder):
    """The product leaves the backend and comes back."""
    codes = np.dot(x, ops.convert_to_numpy(encoder))
    x_hat = ops.matmul(ops.convert_to_tensor(codes), initial_weights(0)[1])
    return ops.sum(ops.square(ops.subtract(x, x_hat)))


try:
    input_gradient(loss_with_detour, initial_weights(0)[0])
except ValueError as error:
    caught_message = str(error)
print(caught_message)
assert "no gradient" in caught_message

# %%
floor = np.mean(np.sum(np.minimum(x, 0) ** 2, axis=1))
total = np.mean(np.sum(x**2, axis=1))
print(f"ReLU output: floor {floor:.2f} of a total variance of {total:.2f}")
output = keras.layers.Dense(d, activation="relu")
assert float(ops.mean(squared_distance(x, output(x)))) >= floor > 0.3 * total

# %%
rng = np.random.default_rng(0)
plain = scaled = rng.standard_normal((1000, 64))
for _ in range(5):
    weights = rng.standard_normal((64, 64))
    plain = np.maximum(plain @ weights, 0)
    scaled = np.maximum(scaled @ (weights * np.sqrt(2 / 64)), 0)
print(f"after 5 layers: std {plain.std():.0f} unscaled, {scaled.std():.1f} He")
assert plain.std() > 1000 and 0.3 < scaled.std() < 2

# %%
one_vector = np.zeros((1000, 64)) + rng.standard_normal(64)
full_shape = np.zeros((1000, 64)) + rng.standard_normal((1000, 64))
distinct = [len(np.unique(rows, axis=0)) for rows in (one_vector, full_shape)]
print("different noise rows of 1000:", distinct)
assert distinct == [1, 1000]

# %% [markdown]
# ### When to stop
#
# "Until the loss is minimal" is no rule: for a deep model nobody knows the
# minimum, and the *training* loss is the wrong thing to minimise to the end.
# Here is a small non-linear autoencoder with only 60 training images. We
# watch rows that it does not train on, stop when they have not improved for 15
# epochs and go back to the best weights.

# %%
few, x_val = x[:60], (images.x_val - x_bar)[:200]
keras.utils.set_random_seed(0)
network = keras.Sequential(
    [
        keras.Input((d,)),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(8),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(d),
    ]
)

# %% tags=["nbval-ignore-output"]
network.compile(keras.optimizers.Adam(0.01), loss=squared_distance)
stopper = keras.callbacks.EarlyStopping(
    monitor="val_loss", patience=15, restore_best_weights=True
)
fitted = network.fit(
    *(few, few, 60, 80, 0),  # x, y, batch size, epochs, verbose
    callbacks=[stopper],
    validation_data=(x_val, x_val),
    validation_batch_size=200,
)
training, validation = fitted.history["loss"], fitted.history["val_loss"]
chosen = int(np.argmin(validation))
print(f"stopped after {len(validation)} epochs, best was {chosen + 1}")

# %%
kept_loss = network.evaluate(x_val, x_val, batch_size=200, verbose=0)
assert np.isclose(kept_loss, min(validation), rtol=1e-4)  # restored
assert validation[-1] > min(validation)
assert training[-1] < 0.5 * min(validation)
assert training[-1] < 0.8 * training[chosen]
plotting.curves(
    {"60 training images": training, "200 validation images": validation},
    "The training loss keeps falling after the validation loss has turned",
    ylabel="loss, squared grey levels an image",
)
plt.axvline(chosen + 1, ls=":", color="black")
plt.show()

# %% [markdown]
# **Figure 1.9.** The dotted line marks the epoch whose weights we keep.
# To its right the network still learns its 60 images, and nothing about others.
# The last number of the training curve would have promised several times less error
# than new images show. Numbers worth a place in the results table:


# %% tags=["nbval-ignore-output"]
runtime.record(
    f"PCA on {image_set}, fitted on {len(images.x_train)} images, test MSE; "
    "clusterings, ARI against labels that no method saw",
    ["data", "method", "score", "seeds"],
    [
        [image_set, "predict the mean", f"MSE {mean_error:.4f}", "-"],
        [image_set, "PCA, k = 8", f"MSE {errors[8]:.4f}", "-"],
        [image_set, "PCA, k = 32", f"MSE {errors[32]:.4f}", "-"],
        *(
            [name, method, f"ARI {spread(score[name][:, column])}", len(seeds)]
            for name in ("iris", "sheared", "rings")
            for column, method in enumerate(("k-means", "mixture"))
        ),
    ],
)

# %% [markdown]
# ## What we have shown
#
# * **PCA** solved (1) by an eigendecomposition; on held-out images it beat the
#   mean at every width.
# * **k-means and Gaussian mixtures** improved at every step, and single starts
#   still ended in poor local optima; rings defeated both.
# * **Cluster ids** read as classes gave any number we liked; ARI gave one.
#   Elbow, silhouette and BIC did not agree with the species, and
#   standardising hurt iris.
# * **Gradient descent** took the linear autoencoder to the PCA residual; the
#   hand-written step, the optimiser and `fit` agreed.
#
# **Limits.** No criterion without labels says that a result is *useful*: every score
# here measures one wish (variance, compactness, density, neighbours), and
# labels, where we had them, served for evaluation alone. Scaling and starts
# change answers silently. Clusters are always returned, even from noise. Deep models, from
# the next chapter on, bend the straight code of PCA; they add their own
# failures: dead or collapsed codes, missing modes, samples hard to judge.
#
# **References.** Pearson 1901, *Phil. Mag.* 2(11), doi 10.1080/14786440109462720 ·
# Hotelling 1933, *J. Educ. Psychol.* 24, doi 10.1037/h0071325 · Shannon 1948,
# *Bell Syst. Tech. J.* 27, doi 10.1002/j.1538-7305.1948.tb01338.x · Lloyd 1982,
# *IEEE Trans. Inf. Theory* 28, doi 10.1109/TIT.1982.1056489 · Dempster, Laird and Rubin 1977,
# *J. R. Stat. Soc. B* 39 · Rousseeuw 1987, *J. Comput. Appl. Math.* 20,
# doi 10.1016/0377-0427(87)90125-7 · Tenenbaum, de Silva and Langford 2000, *Science* 290,
# doi 10.1126/science.290.5500.2319 · van der Maaten and Hinton 2008, *JMLR* 9.
# Books: Goodfellow, Bengio and Courville, *Deep Learning*, MIT Press 2016; Zhang,
# Lipton, Li and Smola, *Dive into Deep Learning*, d2l.ai. Common mistakes and where
# the course answers them: [errata](../docs/errata.md).
#
# **Next:** [chapter 02, autoencoders](02_autoencoders.ipynb).
#
# ## Exercises
#
# Write each answer where it says `# your answer here`, run the cell, then run
# the check below it. A check looks at what your function does on data of its own. The
# set-up cells at the top are all an exercise needs.

# %% [markdown] tags=["exercise"]
# ### Exercise 1.1 (pencil) · the best centre
#
# Four readings: 1, 2, 3, 10. With paper: which c minimises
# $J(c) = \sum_i (x_i - c)^2$? What is J there? And what is objective (2) for the
# two clusters {1, 2, 3} and {10} with their best centres?

# %% tags=["exercise"]
centre, one_cluster, two_clusters = None, None, None
### BEGIN SOLUTION
centre, one_cluster, two_clusters = 4, 50, 2
### END SOLUTION

# %% tags=["check"]
checks.check_1_1(centre, one_cluster, two_clusters)

# %% [markdown] tags=["discussion"]
# $J'(c) = -2\sum_i (x_i - c) = 0$ gives the mean, c = 16/4 = 4, and
# J = 9 + 4 + 1 + 36 = 50. With two clusters the centres are 2 and 10 and only
# 1 + 0 + 1 = 2 is left. The single far reading had cost 48 of the 50: squared
# distances listen to outliers more than to anything else.

# %% [markdown] tags=["exercise"]
# ### Exercise 1.2 (code) · PCA by singular values
#
# If $X - \bar x = U S V^\top$, the rows of $V^\top$ are the principal directions.
# Fit on `x_train`, then encode and decode rows the model has not seen.


# %% tags=["exercise"]
def pca(x_train, x_new, k):
    """Return directions w (d, k), codes z (m, k) and x_hat (m, d) of x_new."""
    ### BEGIN SOLUTION
    mean = x_train.mean(axis=0)
    _, _, v_transposed = np.linalg.svd(x_train - mean, full_matrices=False)
    w = v_transposed[:k].T
    z = (x_new - mean) @ w
    return w, z, mean + z @ w.T
    ### END SOLUTION


# %% tags=["check"]
checks.check_1_2(pca)

# %% [markdown] tags=["discussion"]
# $\Sigma = \tfrac1n V S^2 V^\top$, so singular vectors of the centred rows are
# eigenvectors of the covariance, and NumPy returns singular values largest
# first. The mean belongs to the model: new rows are centred by the *training*
# mean, and the decoder adds it back. Signs are free: −w is as good as w.

# %% [markdown] tags=["exercise"]
# ### Exercise 1.3 (code) · one step of Lloyd
#
# Assign every row to the nearest of the given centres, then move each centre to
# the mean of its rows. A cluster may be empty: choose any rule that
# keeps K centres, all finite.


# %% tags=["exercise"]
def lloyd_step(x, centres):
    """Return ids (n,) by the centres given, and the new centres (K, d)."""
    ### BEGIN SOLUTION
    squares = np.sum((x[:, None] - centres[None]) ** 2, axis=2)
    ids = squares.argmin(axis=1)
    moved = centres.astype("float64")
    for k in np.unique(ids):  # an empty cluster stays where it is
        moved[k] = x[ids == k].mean(axis=0)
    return ids, moved
    ### END SOLUTION


# %% tags=["check"]
checks.check_1_3(lloyd_step)

# %% [markdown] tags=["discussion"]
# `np.unique(ids)` visits the clusters that have rows, so no mean of nothing is
# ever taken. Leaving an empty centre where it was is safe but wastes it; moving
# it to the farthest row, as in section 3, puts it to work.

# %% [markdown] tags=["exercise"]
# ### Exercise 1.4 (code) · a score that does not read names
#
# Write a score that is 1 exactly when clusters and classes are the same partition,
# lower the more rows are misplaced, and unchanged when clusters are renamed. Any such
# score is welcome; try it without calling a library's.


# %% tags=["exercise"]
def partition_score(y, ids):
    """Agreement of clusters ids (n,) with classes y (n,), at most 1."""
    ### BEGIN SOLUTION
    same_class = y[:, None] == y[None]
    same_cluster = ids[:, None] == ids[None]
    both = np.sum(same_class & same_cluster)
    either = np.sum(same_class | same_cluster)
    return both / either
    ### END SOLUTION


# %% tags=["check"]
checks.check_1_4(partition_score)

# %% [markdown] tags=["discussion"]
# Pairs have no names: two rows are together or they are not. This is the Jaccard
# index of the pairs. ARI counts pairs as well, and subtracts what chance would
# give, so that random partitions score about 0 whatever K is.

# %% [markdown] tags=["exercise"]
# ### Exercise 1.5 (code) · responsibilities of far rows
#
# For a mixture of Gaussians with *diagonal* covariances, compute
# $\gamma_{ik}$. It must also work for a row so far away that every density is
# 0 in floating point.


# %% tags=["exercise"]
def responsibilities(x, weights, means, variances):
    """Return γ (n, K). weights (K,), means and variances (K, d)."""
    ### BEGIN SOLUTION
    difference = x[:, None] - means  # (n, K, d)
    log_density = -0.5 * np.sum(
        np.log(2 * np.pi * variances) + difference**2 / variances, axis=2
    )
    log_joint = np.log(weights) + log_density
    log_p = np.logaddexp.reduce(log_joint, axis=1, keepdims=True)
    return np.exp(log_joint - log_p)
    ### END SOLUTION


# %% tags=["check"]
checks.check_1_5(responsibilities)

# %% [markdown] tags=["discussion"]
# Products become sums, and `logaddexp` subtracts the largest logarithm before it
# exponentiates, so that at least one term is 1 and the quotient is defined. For a
# row at infinity the cluster with the largest variance in that direction
# takes all: its density falls most slowly.

# %% [markdown] tags=["exercise"]
# ### Exercise 1.6 (code) · one step for tied weights
#
# A *tied* linear autoencoder uses one matrix twice: $\hat x = x\,w\,w^\top$ for centred
# rows x and w of shape d × k. Return w after one step of (5). By hand or by
# `input_gradient`, as you like.


# %% tags=["exercise"]
def sgd_step(w, x, learning_rate):
    """Return w − η ∇L(w) for L = mean over rows of ‖x − x w wᵀ‖²."""
    ### BEGIN SOLUTION
    residual = x @ w @ w.T - x
    gradient = residual.T @ x @ w + x.T @ residual @ w
    return w - learning_rate * 2 / len(x) * gradient
    ### END SOLUTION


# %% tags=["check"]
checks.check_1_6(sgd_step)

# %% [markdown] tags=["discussion"]
# w stands in the encoder and in the decoder, and the product rule gives one term for each.
# Mean over rows, sum over entries, a factor 2 from the square, a minus from
# *descent*: each of them forgotten gives a step that often still seems to work,
# with another learning rate than the one written down.

# %% [markdown] tags=["exercise"]
# ### Exercise 1.7 (experiment) · to scale or not to scale
#
# Run k-means (ten restarts) on a table as it is and with each column standardised, once for
# every seed, and return the ARI values. Before you run the check: on a table with
# columns in mixed units, which wins? And on a table with two informative columns
# of large spread and eight of small noise?


# %% tags=["exercise"]
def compare_scalings(x, y, k, seeds):
    """Return {"raw": ARI by seed, "standardised": ARI by seed}."""
    ### BEGIN SOLUTION
    tables = {"raw": x, "standardised": StandardScaler().fit_transform(x)}
    scores = {}
    for name, table in tables.items():
        models = [KMeans(k, n_init=10, random_state=seed) for seed in seeds]
        scores[name] = [
            adjusted_rand_score(y, model.fit_predict(table)) for model in models
        ]
    return scores
    ### END SOLUTION


# %% tags=["check"]
checks.check_1_7(compare_scalings)

# %% [markdown] tags=["discussion"]
# In mixed units the column with the larger numbers drowns the one that separates
# the groups, and standardising rescues it. With large informative and small noisy columns the raw
# scale already carries the right weights, and standardising gives
# the noise an equal vote. The labels served to see this; without them it has to
# come from what the columns mean.

# %% [markdown] tags=["exercise"]
# ### Exercise 1.8 (open) · unroll the roll
#
# Return two columns for each row of a swiss roll (800 rows) so that neighbours in the code
# are neighbours in space: trustworthiness (ten neighbours) of at least 0.98, where PCA
# stays below 0.97. The method is up to you.


# %% tags=["exercise"]
def unroll(x):
    """Return a representation (n, 2) of the rows x (n, 3)."""
    ### BEGIN SOLUTION
    return Isomap(n_neighbors=8, n_components=2).fit_transform(x)
    ### END SOLUTION


# %% tags=["check"]
checks.check_1_8(unroll)

# %% [markdown] tags=["discussion"]
# Isomap measures distances along a graph of neighbours, and along the sheet
# those are the distances of the unrolled plane. (With too few rows or too many
# neighbours the graph jumps between layers, and the map folds.) t-SNE passes too. Knowing how
# the roll was made one can even compute the angle, $t = \sqrt{x_1^2 + x_3^2}$,
# and return (t, x₂): a representation designed rather than learned.
