"""Ranking items for users: hidden items, metrics, classical recommenders."""

import numpy as np

from utils.support import validation as check

__all__ = [
    "hide_items",
    "hide_latest",
    "ndcg_at_k",
    "recall_at_k",
    "top_k",
]


def hide_items(x, share=0.2, *, min_items=5, seed=0):
    """Hide a share of each user's items, to be found again.

    Args:
        x: Feedback ``(users, items)`` of 0 and 1.
        share: Share in (0, 1) of a user's items to hide, rounded, at least
            one and never all.
        min_items: Users with fewer items (≥ 2) keep all of theirs.
        seed: Integer ≥ 0.

    Returns:
        ``(seen, hidden)``, float32 and of the shape of x, with
        ``seen + hidden = x``.

    Raises:
        ValueError: entries other than 0 and 1, a share out of (0, 1), or
            nobody with ``min_items`` items.
    """
    x = check.check_feedback(x, "x", empty=True)
    rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
    return _hide_first(x, rng.random(x.shape), share, min_items)


def hide_latest(x, times, share=0.2, *, min_items=5):
    """Hide each user's *latest* items, as one who predicts them must.

    Hiding at random lets a method learn from what a user took later. Of equal
    times the later column counts as later. What other users took meanwhile
    stays visible: to predict from a day on, cut everybody at that day.

    Args:
        x: Feedback ``(users, items)`` of 0 and 1.
        times: Numbers of the same shape, larger is later; ignored where x
            is 0.
        share, min_items: As for :func:`hide_items`.

    Returns:
        ``(seen, hidden)`` as of :func:`hide_items`.

    Raises:
        ValueError: as :func:`hide_items`; NaN or times of another shape.
    """
    x = check.check_feedback(x, "x", empty=True)
    times = check.check_array(
        times, "times", event_shape=x.shape[1:], dtype="float64"
    )
    _same_rows(x, times, "times")
    later = np.argsort(np.argsort(times, axis=1, kind="stable"), axis=1)
    return _hide_first(x, -later.astype("float64"), share, min_items)


def _hide_first(x, order, share, min_items):
    """Hide a share of each user's items, those of the smallest order."""
    share = check.check_number(share, "share", 0.0, 1.0)
    if share in (0.0, 1.0):
        check.fail("share", "a share strictly between 0 and 1", share)
    min_items = check.check_int(min_items, "min_items", minimum=2)
    counts = x.sum(axis=1).astype("int64")
    if counts.max() < min_items:
        check.fail("x", f"a user with {min_items} items", f"{counts.max()}")
    number = np.clip(np.round(share * counts), 1, counts - 1)
    number = np.where(counts >= min_items, number, 0)
    # each user's own items in this order, all others behind them
    rank = np.where(x > 0, order, np.inf).argsort(axis=1).argsort(axis=1)
    hidden = ((rank < number[:, None]) & (x > 0)).astype("float32")
    return x - hidden, hidden


def top_k(scores, seen=None, k=10):
    """The k best items of each user, best first.

    Args:
        scores: ``(users, items)``, larger is better.
        seen: Items not to recommend, ``(users, items)`` of 0 and 1.
        k: Length of the list, at most the number of items.

    Returns:
        Int64 ``(users, k)``. Equal scores keep the order of the columns. If
        fewer than k items are left, seen ones fill the end.

    Raises:
        ValueError: NaN, shapes that differ, a k out of range.
    """
    scores = check.check_array(scores, "scores", ndim=2)
    k = check.check_int(k, "k", 1, scores.shape[1])
    if seen is not None:
        seen = check.check_array(seen, "seen", event_shape=scores.shape[1:])
        _same_rows(scores, seen, "seen")
        scores = np.where(seen > 0, -np.inf, scores)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def _same_rows(first, second, name):
    if len(first) != len(second):
        check.fail(name, f"{len(first)} rows", f"{len(second)}")


def _hits(scores, hidden, seen, k):
    """Hits in the list and number of hidden items, users with any."""
    ranked = top_k(scores, seen, k)
    hidden = check.check_feedback(
        hidden, "hidden", num_items=np.shape(scores)[1], empty=True
    )
    _same_rows(ranked, hidden, "hidden")
    asked = hidden.any(axis=1)
    if not asked.any():
        check.fail("hidden", "at least one hidden item", "none")
    hits = np.take_along_axis(hidden, ranked, axis=1)[asked]
    return hits.astype("float64"), hidden[asked].sum(axis=1)


def recall_at_k(scores, hidden, seen=None, k=10):
    """Share of the hidden items among the k recommended, mean over users.

    |list ∩ hidden| / min(k, |hidden|): 1 is reachable for every user (Liang
    et al. 2018). Users with nothing hidden do not count.

    Args:
        scores: ``(users, items)``, larger is better.
        hidden: Items to be found, ``(users, items)`` of 0 and 1.
        seen: Items not to recommend; ``None`` excludes none.
        k: Length of the list.

    Returns:
        Float in [0, 1].

    Raises:
        ValueError: NaN, shapes that differ, nothing hidden, k out of range.
    """
    hits, number = _hits(scores, hidden, seen, k)
    return float(np.mean(hits.sum(axis=1) / np.minimum(k, number)))


def ndcg_at_k(scores, hidden, seen=None, k=10):
    """Normalised discounted cumulative gain of the list, mean over users.

    Σ_r hit_r / log2(r + 1) over ranks r = 1 … k, divided by its largest
    possible value, all hidden items first (Järvelin and Kekäläinen 2002).

    Arguments and errors as for :func:`recall_at_k`.

    Returns:
        Float in [0, 1].
    """
    hits, number = _hits(scores, hidden, seen, k)
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(k, number).astype("int64") - 1]
    return float(np.mean(hits @ discount / ideal))
