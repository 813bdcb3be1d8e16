"""Synthetic card payments with frauds whose every rule stands here.

Real ones are secret or under terms that forbid copies. What is simulated is
said in :func:`make_transactions`, so that a result can be judged: a detector
that wins here wins against these rules, and no more.
"""

import dataclasses

import numpy as np

from utils.support import validation as check

__all__ = ["FEATURES", "KINDS", "Transactions", "make_transactions"]

CATEGORIES = ("food", "travel", "clothes", "electronics", "gifts", "other")
KINDS = ("honest", "abroad", "testing", "patient")
FEATURES = (
    "log amount",
    "log amount against the card's mean",
    "hour, sine",
    "hour, cosine",
    "online",
    "abroad",
    "log hours since the last payment",
    "share of the card's payments in this category",
    *CATEGORIES,
)
HOURS = 24 * 30  # of a month


@dataclasses.dataclass(frozen=True)
class Transactions:
    """Payments in order of time.

    Attributes:
        x: Float32 ``(n, 14)``, columns as in ``FEATURES``. All of them are
            known when the payment is made: means and shares of a card are
            those of its *earlier* payments.
        month: Int64 ``(n,)`` from 0.
        amount: Float64 ``(n,)`` in euros.
        card: Int64 ``(n,)``.
        kind: Int64 ``(n,)``, an index of ``KINDS``: 0 is honest.
        source: What was simulated.
    """

    x: np.ndarray
    month: np.ndarray
    amount: np.ndarray
    card: np.ndarray
    kind: np.ndarray
    source: str

    @property
    def is_fraud(self):
        """Booleans ``(n,)``."""
        return self.kind > 0


def make_transactions(
    num_cards=200,
    months=8,
    *,
    share=0.006,
    drift=1.0,
    patient_from=5,
    holiday=7,
    seed=0,
):
    """Synthetic payments of cards over months, some of them frauds.

    *Honest.* A card makes Poisson(15) payments a month at uniform times of a
    month and hours N(h, 3²) around its own h ~ N(14, 2²). The logarithm of an
    amount in euros is N(m, 0.6²) with the card's m ~ N(3.2, 0.4²), a quarter
    more for electronics and travel. Categories follow the card's own
    Dirichlet(1.5) shares, 40 % are online, 3 % abroad. *Drift*: each month
    adds 0.03 · drift to log amounts and 0.05 · drift to the online share. In
    the month ``holiday`` a third of the cards travel: half of their payments
    are abroad, and their log amounts 0.3 higher.

    *Frauds*, of which each month has about ``share`` · payments:
    "abroad", a stolen card at night, log amount N(m + 1.3, 0.5²), electronics
    or gifts; "testing", bursts of four small online amounts, log N(0.7, 0.4²),
    minutes apart; and from month ``patient_from`` on "patient": online, at the
    card's own hours, log amount N(m + 1, 0.4²), gifts and clothes.

    Args:
        num_cards: Integer ≥ 20.
        months: Integer ≥ 2.
        share: Share of frauds, in (0, 0.1].
        drift: Number ≥ 0; 0 leaves honest payments as they were.
        patient_from: First month ≥ 0 of the patient kind.
        holiday: Month ≥ 0 of the journeys, or ``None``.
        seed: Integer ≥ 0.

    Returns:
        :class:`Transactions`, about ``15 · num_cards · months`` rows.

    Raises:
        ValueError: an argument out of range.
    """
    num_cards = check.check_int(num_cards, "num_cards", 20)
    months = check.check_int(months, "months", 2)
    share = check.check_number(share, "share", 0.0, 0.1)
    drift = check.check_number(drift, "drift", 0.0)
    patient_from = check.check_int(patient_from, "patient_from", 0)
    if holiday is not None:
        holiday = check.check_int(holiday, "holiday", 0)
    if share == 0:
        check.fail("share", "a share above 0", share)
    rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
    cards = {
        "mean": rng.normal(3.2, 0.4, num_cards),
        "hour": rng.normal(14, 2, num_cards),
        "taste": rng.dirichlet(np.full(len(CATEGORIES), 1.5), num_cards),
    }
    parts = []
    for month in range(months):
        honest = _honest(rng, cards, drift * month, month == holiday)
        parts.append(_in_month(month, honest))
        count = max(3, round(share * len(honest["card"])))
        kinds = ["abroad", "testing"] + ["patient"] * (month >= patient_from)
        for kind in kinds:
            frauds = _fraud(rng, cards, kind, max(1, count // len(kinds)))
            parts.append(_in_month(month, frauds))
    rows = {
        key: np.concatenate([part[key] for part in parts]) for key in parts[0]
    }
    order = np.argsort(rows["time"], kind="stable")
    rows = {key: column[order] for key, column in rows.items()}
    return Transactions(
        x=_features(rows, num_cards),
        month=rows["month"],
        amount=np.exp(rows["log_amount"]),
        card=rows["card"],
        kind=rows["kind"],
        source=f"synthetic payments, {num_cards} cards, seed {seed}",
    )


def _in_month(month, rows):
    """Rows with their month and their time in hours since the beginning."""
    count = len(rows["card"])
    time = np.clip(24 * rows["day"] + rows["hour"], 0, HOURS - 1e-6)
    return {
        **{key: rows[key] for key in ("card", "log_amount", "hour", "kind")},
        **{key: rows[key] for key in ("category", "online", "abroad")},
        "month": np.full(count, month),
        "time": month * HOURS + time,
    }


def _honest(rng, cards, drift, holiday):
    """One month of honest payments, as columns."""
    num_cards = len(cards["mean"])
    card = np.repeat(np.arange(num_cards), rng.poisson(15, num_cards))
    away = (rng.random(num_cards) < holiday / 3)[card]
    count = len(card)
    edges = np.cumsum(cards["taste"], axis=1)[card]
    category = (rng.random((count, 1)) > edges[:, :-1]).sum(axis=1)
    dear = np.isin(category, (1, 3))
    return {
        "card": card,
        "day": rng.integers(0, 30, count),
        "hour": rng.normal(cards["hour"][card], 3) % 24,
        "log_amount": rng.normal(cards["mean"][card], 0.6)
        + 0.25 * dear
        + 0.03 * drift
        + 0.3 * away,
        "category": category,
        "online": rng.random(count) < min(0.4 + 0.05 * drift, 0.95),
        "abroad": rng.random(count) < np.where(away, 0.5, 0.03),
        "kind": np.zeros(count, dtype="int64"),
    }


def _fraud(rng, cards, kind, count):
    """Frauds of one kind, as columns."""
    burst = 4 if kind == "testing" else 1
    victims = rng.integers(0, len(cards["mean"]), -(-count // burst))
    card = np.repeat(victims, burst)
    count = len(card)
    day = np.repeat(rng.integers(0, 30, len(victims)), burst)
    usual = cards["mean"][card]
    if kind == "abroad":
        hour, online, abroad = rng.normal(3, 1.5, count) % 24, 0.3, 0.9
        log_amount = rng.normal(usual + 1.3, 0.5)
        category = rng.choice((3, 4), count)
    elif kind == "testing":
        hour = np.repeat(rng.uniform(0, 23, len(victims)), burst)
        hour = hour + 0.05 * np.tile(np.arange(burst), len(victims))
        online, abroad = 1.0, 0.2
        log_amount = rng.normal(0.7, 0.4, count)
        category = rng.integers(0, len(CATEGORIES), count)
    else:
        hour = rng.normal(cards["hour"][card], 3) % 24
        online, abroad = 1.0, 0.0
        log_amount = rng.normal(usual + 1.0, 0.4)
        category = rng.choice((2, 4), count)
    return {
        "card": card,
        "day": day,
        "hour": hour,
        "log_amount": log_amount,
        "category": category,
        "online": rng.random(count) < online,
        "abroad": rng.random(count) < abroad,
        "kind": np.full(count, KINDS.index(kind)),
    }


def _features(rows, num_cards):
    """What is known about each payment when it is made."""
    log_amount, category = rows["log_amount"], rows["category"]
    mean, since = np.empty(len(log_amount)), np.empty(len(log_amount))
    usual = np.empty(len(log_amount))
    overall = 3.2  # expected of a card without a past, one payment's worth
    for card in range(num_cards):
        mine = np.flatnonzero(rows["card"] == card)
        before = np.arange(len(mine))
        paid = np.cumsum(log_amount[mine]) - log_amount[mine]
        mean[mine] = (paid + overall) / (before + 1)
        chosen = np.eye(len(CATEGORIES))[category[mine]]
        earlier = np.cumsum(chosen, axis=0) - chosen + 1.0
        usual[mine] = np.sum(chosen * earlier, axis=1) / earlier.sum(axis=1)
        gap = np.diff(rows["time"][mine], prepend=rows["time"][mine][:1] - 48.0)
        since[mine] = np.log(gap + 0.05)
    angle = 2 * np.pi * rows["hour"] / 24
    columns = [
        log_amount,
        log_amount - mean,
        np.sin(angle),
        np.cos(angle),
        rows["online"],
        rows["abroad"],
        since,
        usual,
        *np.eye(len(CATEGORIES))[category].T,
    ]
    return np.stack(columns, axis=1).astype("float32")
