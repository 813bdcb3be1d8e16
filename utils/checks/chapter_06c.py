"""Checks of chapter 6c, recommendation."""

import numpy as np
from keras import ops

from utils.baselines.recommenders import ItemKNN
from utils.checks._feedback import (
    as_array,
    as_number,
    as_values,
    call,
    correct,
    in_half,
    name_value,
    one_sentence,
    reached,
    slope,
    unchanged,
    wrong,
)
from utils.data import interactions
from utils.evaluation import ranking


@one_sentence
def check_6c_1(answer):
    """nDCG@5 of hits at ranks 1 and 3 of three hidden items: 0.704."""
    value = as_number(answer, "Your answer")
    best = 1 + 1 / np.log2(3) + 0.5
    if abs(value - 1.5 / best) < 0.005:
        correct("6c.1", "At which ranks of two hits would nDCG@5 be smallest?")
        return
    full = best + 1 / np.log2(5) + 1 / np.log2(6)
    name_value(
        round(value, 3),
        [
            (1.5, "1.5 is the gain. Divide by the best possible gain."),
            (
                round(2 / 3, 3),
                "That is recall@5, which does not look at the ranks.",
            ),
            (
                round(1.5 / full, 3),
                "You divided by five hits. Only three items are hidden: the "
                "best list has hits at ranks 1, 2, 3.",
            ),
            (
                round(1.5 / (1 + 1 / np.log2(3)), 3),
                "You divided by the best gain of two hits. Three items are "
                "hidden, so the best list has three.",
            ),
            (
                round((1 + 1 / 3) / (1 + 1 / 2 + 1 / 3), 3),
                "You discounted by the rank r itself. nDCG divides by "
                "log2(r + 1).",
            ),
            (
                round((1 / np.log(2) + 1 / np.log(4)) / best, 3),
                "Natural logarithms above, base 2 below: use one base.",
            ),
        ],
    )
    wrong(
        f"{value:g} is not nDCG@5. Gain: 1 / log2(rank + 1) for each hit. "
        "Divide by the gain of a list that has all three hidden items first."
    )


@one_sentence
def check_6c_2(answer):
    """Masked squared error: sum over entries, mean over users."""
    rng = np.random.default_rng(0)
    ratings, predicted = rng.uniform(1, 5, (2, 6, 8)).astype("float32")
    mask = (rng.random((6, 8)) < 0.4).astype("float32")
    squared = (ratings - predicted) ** 2
    right = float((mask * squared).sum() / 6)
    given = np.where(mask > 0, ratings, 0.0).astype("float32")

    def run(rated, x_hat=predicted):
        parts = (rated, x_hat, mask)
        return call(answer, *map(ops.convert_to_tensor, parts))

    result = run(given)
    value = as_values(result, "The loss", False)
    if value.size != 1:
        wrong(f"The loss is one number; yours has shape {value.shape}.")
    value = float(value.reshape(()))
    within = 2e-3 if in_half(result) else 1e-4
    zeros = (given - predicted) ** 2
    name_value(
        value,
        [
            (
                zeros.sum() / 6,
                "The mask is not used: an empty place counts as a rating of "
                "0. Leave those entries out.",
            ),
            (
                ((1 - mask) * zeros).sum() / 6,
                "You summed over the *unobserved* entries.",
            ),
            (
                (mask * squared).sum(),
                "You summed over the batch as well. Divide by the number of "
                "users.",
            ),
            (
                (mask * squared).sum() / mask.sum(),
                "You divided by the number of observed ratings. That is a "
                "useful number; asked is the mean over *users*.",
            ),
            (
                (mask * squared).mean(),
                "You divided by all entries, observed or not. Divide by the "
                "number of users.",
            ),
        ],
    )
    if not np.isclose(value, right, rtol=within):
        wrong(
            f"On a test batch the loss should be {right:.4f}, not {value:.4f}."
        )
    reached("values")
    for anything, name in ((77.0, "77"), (np.nan, "NaN")):
        changed = np.where(mask > 0, ratings, anything).astype("float32")
        other = as_values(run(changed), "The loss", False)
        if other.size != 1:
            wrong(f"The loss is one number; yours has shape {other.shape}.")
        if not np.isclose(float(other.reshape(())), right, rtol=within):
            wrong(
                f"With {name} in the unobserved places the loss became "
                f"{float(other.reshape(())):.4g}. Multiplying by the mask is "
                "not enough: 0 · NaN is NaN. Replace those entries before "
                "you subtract."
            )
    one_silent = mask[:4].copy()
    one_silent[0] = 0.0  # a user without a rating is a user all the same
    parts = (
        np.where(one_silent > 0, ratings[:4], 0.0),
        predicted[:4],
        one_silent,
    )
    parts = [ops.convert_to_tensor(part.astype("float32")) for part in parts]
    fewer = as_number(call(answer, *parts), "The loss")
    if not np.isclose(fewer, (one_silent * squared[:4]).sum() / 4, rtol=within):
        wrong(
            "Right for six users, wrong for four of whom one rated nothing: "
            "divide by the number of rows of the batch."
        )
    right_slope = 2 * mask * (predicted - ratings) / 6
    for anything, name in ((0.0, "0"), (np.nan, "NaN")):
        changed = np.where(mask > 0, ratings, anything).astype("float32")
        gradient = slope(
            lambda x_hat, changed=changed: run(changed, x_hat),
            ops.convert_to_tensor(predicted),
            "The loss",
        )
        if not np.isfinite(gradient).all():
            wrong(
                f"With {name} in the unobserved places the loss is right and "
                "its gradient is NaN: `where` chose the value, but the slope "
                "runs through the branch not taken, and 0 · NaN is NaN. "
                "Replace the *ratings* there before you subtract."
            )
        if not np.allclose(gradient, right_slope, rtol=1e-3, atol=within / 10):
            wrong(
                "The value is right, its gradient is not: a predicted rating "
                "in an unobserved place must have slope 0, in an observed one "
                "2 (r̂ − r) / n."
            )
    correct("6c.2", "What would the penalty of equation (3) add to the slope?")


@one_sentence
def check_6c_3(answer):
    """The best unseen items, best first."""
    rng = np.random.default_rng(0)
    # all negative, as logits are; so many that a partition is not yet sorted
    scores = rng.standard_normal((7, 600)) - 9.0
    seen = (rng.random((7, 600)) < 0.4).astype("float32")
    # four items are left, and nothing scores lower than the last of them
    seen[0], scores[0, -4:] = 1.0, [-9.0, -20.0, -19.0, -30.0]
    seen[0, -4:] = 0.0
    before = scores.copy(), seen.copy()
    right = ranking.top_k(scores, seen, k=4)
    result = as_array(call(answer, scores, seen, 4), "The lists", (7, 4))
    reached("shape")
    unchanged((scores, seen), before)
    if np.array_equal(result, right):
        reached("values")
        other = as_array(call(answer, scores, 0 * seen, 9), "The lists", (7, 9))
        right = ranking.top_k(scores, k=9)
        if not np.array_equal(other, right):
            if np.array_equal(np.sort(other), np.sort(right)):
                wrong("For k = 9 the right items in the wrong order.")
            wrong("Right for k = 4, wrong for k = 9 with nothing seen.")
        correct("6c.3", "What should happen if a user has seen nearly all?")
        return
    if np.array_equal(result, ranking.top_k(scores, k=4)):
        wrong("You recommend what users already have: exclude seen items.")
    if np.array_equal(result, ranking.top_k(scores * (1 - seen), k=4)):
        wrong(
            "You set the scores of seen items to 0. Here all scores are "
            "negative, so 0 is the best of all: use −∞."
        )
    if np.array_equal(result, ranking.top_k(-scores, seen, k=4)):
        wrong("These are the *worst* unseen items: sort the other way.")
    if np.array_equal(np.sort(result), np.sort(right)):
        wrong("The right items in the wrong order: best first.")
    if not (result == np.round(result)).all():
        wrong("Return column numbers, not scores.")
    wrong("These are not the four best unseen items of each row.")


def _cosine_scores(x, diagonal=0.0, norm=True):
    length = np.maximum(np.linalg.norm(x, axis=0), 1e-12) if norm else 1.0
    cosine = (x / length).T @ (x / length)
    if diagonal is not None:
        np.fill_diagonal(cosine, diagonal)
    return x @ cosine


@one_sentence
def check_6c_4(answer):
    """Item-item cosine, without the diagonal."""
    rng = np.random.default_rng(0)
    x = (rng.random((30, 9)) < 0.4).astype("float64")
    x[:, 4] = 0.0  # an item nobody has
    x[~x.any(axis=1), 0] = 1.0
    given = x.copy()
    result = call(answer, x)
    within = 2e-2 if in_half(result) else 1e-5
    unchanged((x,), (given,), "the matrix")
    result = as_values(result, "The scores", finite=False, shape=x.shape)
    reached("shape")
    if not np.isfinite(result).all():
        wrong(
            "There are NaN or infinite scores: an item that nobody has makes "
            "a length of 0. Its score is 0."
        )
    if np.allclose(result, _cosine_scores(x), atol=within):
        correct("6c.4", "Keep only the ten largest similarities of each item.")
        return
    rows = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    users = rows @ rows.T
    named = [
        (
            _cosine_scores(x, diagonal=None),
            "An item counts as its own neighbour: set the diagonal to 0. "
            "Otherwise what a user has always comes first.",
        ),
        (
            _cosine_scores(x, norm=False),
            "These are counts of joint users, not cosines: divide by the "
            "lengths of both columns.",
        ),
        (
            users @ x,
            "You compared users, the rows. Asked are neighbours of *items*.",
        ),
        (
            (users - np.diag(np.diag(users))) @ x,
            "You compared users, the rows. Asked are neighbours of *items*.",
        ),
    ]
    name_value(result, named)
    wrong(
        "The scores are not x S with S the cosine between columns and zeros "
        "on its diagonal."
    )


def _imports(seed):
    x = interactions.load_imports().matrix
    seen, hidden = ranking.hide_items(x, 0.2, min_items=5, seed=seed)
    return seen, hidden


@one_sentence
def check_6c_5(answer):
    """Any recommender with recall@10 of at least 0.58 on the imports."""
    seen, hidden = _imports(seed=2024)
    # in another order, where what was learned from all imports is no help
    rng = np.random.default_rng(2024)
    users, items = map(rng.permutation, seen.shape)
    kept = seen[users][:, items]
    given = kept.copy()
    scores = as_values(
        call(answer, given), "The scores", finite=False, shape=seen.shape
    )
    reached("shape")
    unchanged((given,), (kept,), "the matrix")
    ranked = np.sort(scores, axis=1) == np.arange(len(items))
    scores = np.where(kept > 0, 0.0, scores)  # of no matter, often −∞
    if not np.isfinite(scores).all():
        wrong("Some scores of unseen items are NaN or infinite.")
    back = scores[np.argsort(users)][:, np.argsort(items)]
    found = ranking.recall_at_k(back, hidden, seen)
    if found > 0.9:
        wrong(
            f"recall@10 of {found:.2f} is more than any honest method finds: "
            "did the scores come from the full matrix? Use `seen` alone."
        )
    if found < 0.58:
        if ranked.all():
            wrong(
                f"recall@10 is {found:.3f}. Each row is 0, 1, 2, … in some "
                "order: return the scores, not an `argsort` of them."
            )
        hint = _recall_hint(scores, found, seen, hidden)
        wrong(f"recall@10 is {found:.3f}; needed are 0.58. {hint}")
    ndcg = ranking.ndcg_at_k(back, hidden, seen)
    correct(
        "6c.5",
        f"recall@10 {found:.3f}, nDCG@10 {ndcg:.3f}. Is the gain the same for "
        "rare items?",
    )


def _recall_hint(scores, found, seen, hidden):
    """Why scores, in the order of the check, may find so little."""
    crowd = ranking.recall_at_k(
        np.tile(seen.sum(axis=0), (len(seen), 1)), hidden, seen
    )
    if abs(found - crowd) < 0.005:
        return "That is what popularity finds."
    if found > crowd:
        return "Above popularity, but not yet enough."
    if ranking.recall_at_k(scores, hidden, seen) > 0.3:
        return (
            "Your scores fit all imports in the order of the chapter, not the "
            "users and items of `seen`, which the check has shuffled: use "
            "`seen` alone."
        )
    return (
        "That is below popularity: are larger scores better, and do they come "
        "from `seen` alone? The check has shuffled users and items."
    )


def _list_recall(lists, hidden):
    asked = hidden.any(axis=1)
    hits = np.take_along_axis(hidden, lists, axis=1)[asked].sum(axis=1)
    return np.mean(hits / np.minimum(10, hidden[asked].sum(axis=1)))


@one_sentence
def check_6c_6(answer):
    """A fifth of the places for rare items at nearly the plain recall."""
    seen, hidden = _imports(seed=7)
    knn = ItemKNN(80).fit(seen)
    scores, popularity = knn.predict_scores(seen), seen.sum(axis=0)
    plain = ranking.top_k(scores, seen)
    kept = scores, seen, popularity
    given = [array.copy() for array in kept]
    lists = as_array(call(answer, *given), "The lists", plain.shape)
    unchanged(given, kept)
    items = seen.shape[1]
    if (lists != np.round(lists)).any() or lists.min() < 0:
        wrong("Return column numbers, not scores.")
    if lists.max() >= items:
        wrong("There are column numbers beyond the last item.")
    lists = lists.astype("int64")
    if np.take_along_axis(seen, lists, axis=1).any():
        wrong("Some lists contain items that the user already has.")
    if any(len(set(row)) < 10 for row in lists.tolist()):
        wrong("Some list names an item twice.")
    reached("shape")
    left = _list_recall(lists, hidden) / _list_recall(plain, hidden)
    # 193 items have no exact fifth: 38 are popular, the 39th may be rare
    rare = popularity <= np.sort(popularity)[::-1][items // 5]
    share, before = np.mean(rare[lists]), np.mean(rare[plain])
    if share < 0.2:
        wrong(
            f"Rare items have {share:.1%} of the places, {before:.1%} in the "
            "plain lists; needed are 20 %. Reserve some places for them."
        )
    if left < 0.9:
        wrong(
            f"Rare items have {share:.1%} of the places, but only {left:.1%} "
            "of the recall is left; needed are 90 %. Change fewer places, "
            "the last ones, and choose the rare items by their scores."
        )
    correct(
        "6c.6",
        f"Rare items: {share:.0%} of the places for {left:.0%} of the recall. "
        "What would you show to an owner who only looks at recall?",
    )


@one_sentence
def check_6c_7(answer):
    """Smoothed transition probabilities, sequence by sequence."""
    rng = np.random.default_rng(4)
    sequences = [rng.integers(0, 5, size) for size in (7, 1, 12, 4, 2)]
    sequences.append(np.array([5, 5, 5, 0, 5, 5]))  # 6 is never there
    given = [events.copy() for events in sequences]
    popular = np.bincount(np.concatenate(given), minlength=7) / 32
    pairs = np.zeros((7, 7))
    for events in given:
        np.add.at(pairs, (events[:-1], events[1:]), 1)
    once = np.minimum(pairs, 1)
    joined = np.zeros((7, 7))
    whole = np.concatenate(given)
    np.add.at(joined, (whole[:-1], whole[1:]), 1)

    def smooth(counts, prior, a=2.0):
        made = counts + a * prior
        return made / made.sum(axis=1, keepdims=True)

    result = call(answer, sequences, 7, 2.0)
    if any(map(np.any, map(np.not_equal, sequences, given))):
        wrong("Your function changed a sequence it was given.")
    within = 1e-3 if in_half(result) else 1e-6
    result = as_values(result, "The probabilities", False, shape=(7, 7))
    reached("shape")
    if not np.isfinite(result).all():
        wrong(
            "There are NaN or infinite values: nothing followed some items, "
            "so their counts add up to 0. Add the pseudo-calls first."
        )
    right = smooth(pairs, popular)
    name_value(
        result,
        [
            (
                right.T,
                "Rows and columns are swapped: row i is what comes *after* i.",
            ),
            (
                pairs + 2.0 * popular,
                "These are counts: divide each row by its sum.",
            ),
            (
                smooth(joined, popular),
                "You counted pairs across the end of a sequence and the "
                "beginning of the next one.",
            ),
            (
                smooth(pairs, np.full(7, 1 / 7)),
                "The pseudo-calls go to items in proportion to *popularity*, "
                "not alike to all.",
            ),
            (
                smooth(pairs, np.ones(7)),
                "You added a to every count: a pseudo-calls a row are shared "
                "out by popularity.",
            ),
            (
                smooth(once, popular),
                "A pair that occurs twice in a sequence was counted once: "
                "`pairs[i, j] += 1` with arrays does that. Use np.add.at.",
            ),
        ],
    )
    if not np.allclose(result, right, rtol=1e-4, atol=within):
        if not np.allclose(result.sum(axis=1), 1, atol=100 * within):
            wrong("The rows are probabilities and have to sum to 1.")
        row = int(np.abs(result - right).max(axis=1).argmax())
        wrong(
            f"After item {row} the probabilities should be "
            f"{right[row].round(3).tolist()}, not "
            f"{result[row].round(3).tolist()}."
        )
    reached("values")
    other = as_values(
        call(answer, sequences, 7, 0.5), "The probabilities", shape=(7, 7)
    )
    if not np.allclose(other, smooth(pairs, popular, 0.5), atol=within):
        wrong("Right for a = 2 and wrong for a = 0.5: use the argument.")
    correct("6c.7", "What would a chain of the last *two* calls need?")
