"""Checks of chapter 6f, clustering."""

import numpy as np
from sklearn.metrics import adjusted_rand_score

from utils import data
from utils.checks._feedback import (
    as_number,
    as_values,
    call,
    correct,
    in_half,
    name_value,
    one_sentence,
    reached,
    unchanged,
    wrong,
)


@one_sentence
def check_6f_1(answer):
    """Best one-to-one matching of three clusters: 0.63."""
    value = as_number(answer, "Your answer")
    name_value(
        value,
        [
            (63, "63 rows are right; the question asks for a share."),
            (
                0.40,
                "0.40 takes the largest entry first and then what is left. "
                "Giving class a to cluster 1 instead leaves cluster 0 its 25.",
            ),
            (
                0.68,
                "0.68 lets clusters 0 and 1 both claim class a. That is the "
                "purity; a matching uses each class once.",
            ),
            (
                0.30 + 0.0 + 0.10 + 0.0,
                "That matches cluster 0 with class a. Try the other orders.",
            ),
        ],
    )
    if abs(value - 0.63) > (1e-3 if in_half(answer) else 1e-6):
        wrong(
            f"{value:g} is not the best matching. There are six one-to-one "
            "matchings of three clusters with three classes: add three "
            "entries, no two in one line or column, and take the largest sum."
        )
    correct("6f.1", "What is the accuracy if clusters 1 and 2 are merged?")


def _as_memberships(result, shape, what):
    values = as_values(result, what)
    if values.shape == shape[::-1] and shape[0] != shape[1]:
        wrong(f"{what} has clusters in lines: return one line a row, {shape}.")
    if values.shape != shape:
        wrong(f"{what} should have shape {shape}, not {values.shape}.")
    return values


@one_sentence
def check_6f_2(answer):
    """Student-t memberships, rows summing to 1."""
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((7, 4)).astype("float32")
    centers = rng.standard_normal((3, 4)).astype("float32")
    squared = ((codes[:, None] - centers[None]) ** 2).sum(axis=2)

    def normalised(kernel, axis=1):
        return kernel / kernel.sum(axis=axis, keepdims=True)

    given = codes.copy(), centers.copy()
    result = call(answer, *given)
    values = _as_memberships(result, (7, 3), "q")
    reached("shape")
    unchanged(given, (codes, centers))
    name_value(
        values,
        [
            (
                1 / (1 + squared),
                "These are the kernels before the division: the lines of q "
                "should sum to 1.",
            ),
            (
                normalised(1 / (1 + squared), axis=0),
                "You divided by the sum over the rows. Each *row* spreads its "
                "membership over the clusters: sum over j, the clusters.",
            ),
            (
                normalised(1 / (1 + np.sqrt(squared))),
                "The distance should be squared: 1 + ‖z − μ‖².",
            ),
            (
                normalised(np.exp(-squared)),
                "That is a Gaussian kernel (a softmax of −d²). Equation (1) "
                "has the heavy-tailed 1 / (1 + d²).",
            ),
            (
                normalised(1 + squared),
                "You forgot the power −1: this is largest for the *farthest* "
                "centre.",
            ),
        ],
    )
    right = normalised(1 / (1 + squared))
    if not np.allclose(values, right, atol=1e-3 if in_half(result) else 1e-5):
        wrong("The shape is right, but these are not the q of equation (1).")
    correct("6f.2", "How does q change when all codes are multiplied by 10?")


@one_sentence
def check_6f_3(answer):
    """Squared, divided by the clusters' weights, normalised by row."""
    rng = np.random.default_rng(1)
    q = rng.dirichlet([3.0, 1.0, 1.0], size=8).astype("float32")
    given = q.copy()
    result = call(answer, given)
    values = _as_memberships(result, (8, 3), "p")
    reached("shape")
    if not np.array_equal(q, given):
        wrong(
            "Your function changed the array it was given: q is needed "
            "again. Compute into a new array."
        )
    weight = q**2 / q.sum(axis=0)
    right = weight / weight.sum(axis=1, keepdims=True)
    only = q**2 / (q**2).sum(axis=1, keepdims=True)
    without = (q / q.sum(axis=0)) / (q / q.sum(axis=0)).sum(1, keepdims=True)
    name_value(
        values,
        [
            (
                only,
                "You squared and normalised, but did not divide by f_k: "
                "large clusters keep their advantage.",
            ),
            (
                weight,
                "The last step is missing: divide each line by its sum.",
            ),
            (
                weight / weight.sum(axis=0),
                "You normalised over the rows. The lines of p sum to 1.",
            ),
            (without, "The square is missing: nothing gets sharper."),
            (q, "That is q itself."),
        ],
    )
    if not np.allclose(values, right, atol=2e-3 if in_half(result) else 1e-5):
        wrong("The shape is right, but this is not the p of equation (1).")
    correct("6f.3", "Apply it to its own result ten times: where does p go?")


@one_sentence
def check_6f_4(answer):
    """Mean of logarithms, entropy of the mean, both with the right sign."""
    rng = np.random.default_rng(2)
    p = rng.dirichlet([1.0, 2.0, 3.0, 1.0], size=6)
    other = rng.dirichlet([1.0, 2.0, 3.0, 1.0], size=6)

    def parts(balance):
        agreement = (p * other).sum(axis=1)
        average = ((p + other) / 2).mean(axis=0)
        return (
            -np.log(agreement).mean(),
            -(average * np.log(average)).sum() * balance,
        )

    pull, spread = parts(2.0)
    agreement = (p * other).sum(axis=1)
    rows = np.concatenate([p, other])
    mean_entropy = -(rows * np.log(rows)).sum(axis=1).mean()
    first = p.mean(axis=0)
    given = p.copy(), other.copy()
    result = call(answer, *given, 2.0)
    value = as_number(result, "The loss")
    unchanged(given, (p, other))
    within = 3e-3 if in_half(result) else 1e-4
    name_value(
        value,
        [
            (
                pull + spread,
                "The sign of the entropy: it should be *large*, so the loss "
                "subtracts it. As it stands, one cluster takes everything.",
            ),
            (
                pull - 2.0 * mean_entropy,
                "You averaged the entropies of single rows. Equation (2) has "
                "the entropy of the average prediction.",
            ),
            (
                -np.log(agreement.mean()) - spread,
                "That is the logarithm of the mean agreement; equation (2) "
                "averages the logarithms.",
            ),
            (
                -np.log(agreement).sum() - spread,
                "You summed over the batch: divide by the number of rows.",
            ),
            (pull, "The entropy is missing: this loss is 0 at a collapse."),
            (pull - spread / 2.0, "The factor `balance` is missing."),
            (-agreement.mean() - spread, "The logarithm is missing."),
            (
                pull + 2.0 * (first * np.log(first)).sum(),
                "The average p̄ runs over both: rows and their neighbours.",
            ),
            (
                (pull - spread) / np.log(2.0),
                "These are bits: use the natural logarithm.",
            ),
        ],
    )
    if not np.isclose(value, pull - spread, rtol=within):
        wrong(
            f"On a test batch the loss should be {pull - spread:.4f}, not "
            f"{value:.4f}."
        )
    reached("values")
    value = as_number(call(answer, p, other, 0.5), "The loss")
    if not np.isclose(value, pull - spread / 4, rtol=10 * within):
        wrong(
            "Right for a balance of 2 and wrong for one of 0.5: use the "
            "argument `balance`."
        )
    correct("6f.4", "What is its smallest value for K clusters?")


def _as_ids(result, size, what):
    ids = as_values(result, what)
    if ids.ndim != 1:
        wrong(
            f"{what} should be one integer a row, not an array {ids.shape}. "
            "Take the arg max over the clusters."
        )
    if len(ids) != size:
        wrong(f"{what}: {size} rows were given, {len(ids)} ids came back.")
    if not np.array_equal(ids, ids.round()):
        wrong(f"{what} should be integers.")
    return ids.astype("int64")


@one_sentence
def check_6f_5(answer):
    """At least 0.70 ARI on the digits, without labels."""
    rows, y = data.load("digits").flat().all_rows()
    order = np.random.default_rng(0).permutation(len(rows))  # no known order
    rows, y = rows[order], y[order]
    ids = _as_ids(call(answer, rows.copy(), 10), len(rows), "Your clustering")
    count = len(np.unique(ids))
    reached("shape")
    if count != 10:
        wrong(
            f"You were asked for K = 10 clusters and returned {count}. More "
            "clusters than classes raise some scores without helping anyone."
        )
    score = adjusted_rand_score(y, ids)
    if score < 0.05:
        wrong(
            f"ARI {score:.2f}: no better than chance. Do the ids belong to "
            "the rows in the order in which they were given?"
        )
    if score < 0.64:
        wrong(f"ARI {score:.2f} is below k-means on raw pixels (0.67).")
    if score < 0.70:
        wrong(
            f"ARI {score:.2f} is where k-means on raw pixels stands. Use who "
            "is whose neighbour instead of centres: section 2 has a method, "
            "section 5 another."
        )
    correct(
        "6f.5", f"ARI {score:.2f}. Does it stay there for other seeds or rows?"
    )


def _groups(count, seed):
    """Well separated groups of different size and width."""
    rng = np.random.default_rng(seed)
    centers = 12.0 * rng.permutation(np.eye(8))[:count]
    sizes = rng.integers(30, 80, size=count)
    rows = [
        center + rng.uniform(0.5, 1.2) * rng.standard_normal((size, 8))
        for center, size in zip(centers, sizes, strict=True)
    ]
    return rng.permutation(np.concatenate(rows))


@one_sentence
def check_6f_6(answer):
    """The number of clearly separated groups."""
    candidates = [2, 3, 4, 5, 6, 7]
    found = []
    for seed, count in enumerate((3, 6, 4)):
        value = call(answer, _groups(count, seed), list(candidates))
        value = as_number(value, "Your number of clusters")
        if value not in candidates:
            wrong(f"{value:g} is none of the candidates {candidates}.")
        found.append((count, int(value)))
    if len({value for _, value in found}) == 1:
        wrong(
            f"Your function says {found[0][1]} whatever the rows are: 3, 6 "
            "and 4 groups."
        )
    if all(value == 7 for count, value in found if count != 7) or all(
        value > count for count, value in found
    ):
        wrong(
            "You always take too many. The within-cluster sum of squares "
            "falls with every further cluster: it has no minimum to find."
        )
    for count, value in found:
        if value != count:
            wrong(
                f"{count} well separated groups, and your function says "
                f"{value}. Plot your criterion over the candidates."
            )
    correct("6f.6", "Bring the groups closer until your criterion fails.")
