"""Synthetic payments keep the rules of their docstring."""

import numpy as np
import pytest

from utils.data import transactions
from utils.data.transactions import FEATURES, KINDS, make_transactions


@pytest.fixture(scope="module")
def paid():
    return make_transactions(400, seed=3)


def column(paid, name):
    return paid.x[:, FEATURES.index(name)]


def test_transactions_have_the_documented_shape_and_order(paid):
    n = len(paid.x)
    assert paid.x.shape == (n, 14) and paid.x.dtype == np.float32
    assert np.isfinite(paid.x).all()
    assert abs(n / (15 * 400 * 8) - 1) < 0.05
    assert np.all(np.diff(paid.month) >= 0)
    assert set(paid.month) == set(range(8))
    np.testing.assert_allclose(
        np.log(paid.amount), column(paid, "log amount"), rtol=1e-4, atol=1e-4
    )
    one_hot = paid.x[:, -len(transactions.CATEGORIES) :]
    np.testing.assert_array_equal(one_hot.sum(axis=1), 1)


def test_transactions_frauds_are_rare_and_of_the_stated_kinds(paid):
    assert 0.004 < paid.is_fraud.mean() < 0.009
    patient = paid.kind == KINDS.index("patient")
    assert patient.any() and paid.month[patient].min() >= 5
    testing = paid.kind == KINDS.index("testing")
    assert paid.amount[testing].mean() < 5 < paid.amount[patient].mean()
    assert column(paid, "abroad")[paid.kind == 1].mean() > 0.75
    assert column(paid, "online")[testing].all()


def test_transactions_drift_and_the_holiday_touch_honest_payments(paid):
    honest = ~paid.is_fraud
    online = [
        column(paid, "online")[honest & (paid.month == m)].mean()
        for m in range(8)
    ]
    np.testing.assert_allclose(online, 0.4 + 0.05 * np.arange(8), atol=0.03)
    abroad = [
        column(paid, "abroad")[honest & (paid.month == m)].mean()
        for m in range(8)
    ]
    assert max(abroad[:7]) < 0.05
    # a third of the cards, half of their payments: 1/6, and 3 % of the rest
    assert abroad[7] == pytest.approx(1 / 6 + 0.02, abs=0.04)
    still = make_transactions(400, drift=0, holiday=None, seed=3)
    for m in (0, 7):
        rows = ~still.is_fraud & (still.month == m)
        assert column(still, "online")[rows].mean() == pytest.approx(
            0.4, abs=0.03
        )
        assert column(still, "abroad")[rows].mean() == pytest.approx(
            0.03, abs=0.02
        )


def test_transactions_features_know_only_the_past(paid):
    mine = np.flatnonzero(paid.card == 7)
    log_amount = np.log(paid.amount[mine])
    for k in (0, 1, 5, 40):
        mean = (3.2 + log_amount[:k].sum()) / (k + 1)
        assert column(paid, "log amount against the card's mean")[
            mine[k]
        ] == pytest.approx(log_amount[k] - mean, abs=1e-4)
    # the same months and no others: what comes later changes no feature
    shorter = make_transactions(400, months=3, seed=3)
    early = paid.month < 3
    np.testing.assert_array_equal(paid.x[early], shorter.x)


def test_transactions_a_share_of_the_category_by_hand(paid):
    mine = np.flatnonzero(paid.card == 11)
    category = paid.x[mine][:, -6:].argmax(axis=1)
    share = column(paid, "share of the card's payments in this category")
    for k in (0, 3, 30):
        before = np.sum(category[:k] == category[k])
        assert share[mine[k]] == pytest.approx((before + 1) / (k + 6))


def test_transactions_follow_their_seed():
    again = make_transactions(30, seed=1)
    np.testing.assert_array_equal(make_transactions(30, seed=1).x, again.x)
    assert make_transactions(30, seed=2).x.shape != again.x.shape


@pytest.mark.parametrize(
    "options, match",
    [
        ({"num_cards": 5}, "num_cards: expected an integer ≥ 20"),
        ({"months": 1}, "months"),
        ({"share": 0}, "share"),
        ({"share": 0.5}, "share"),
        ({"drift": -1}, "drift"),
        ({"holiday": -1}, "holiday"),
        ({"patient_from": 0.5}, "patient_from"),
        ({"seed": -1}, "seed"),
    ],
)
def test_transactions_wrong_arguments_are_named(options, match):
    with pytest.raises(ValueError, match=match):
        make_transactions(**options)
