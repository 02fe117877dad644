"""The calculator's figures follow from its assumptions, exactly."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.earnings import Assumptions, estimate

BASE = {
    "volume": 1_000_000,
    "fee_percent": Fraction(3, 10),
    "other_fees": 0,
    "weight": 1,
    "network_weight": 50,
    "score": 80,
    "mean_score": 80,
    "xom_supply": 16_600_000_000,
    "xom_price": Fraction(1, 100),
    "stake": 1_000,
    "costs": 20,
}


def assume(**changes: int | Fraction) -> Assumptions:
    return Assumptions(**{name: Fraction(value) for name, value in {**BASE, **changes}.items()})


def test_figures_by_hand() -> None:
    found = estimate(assume())
    assert found.share == Fraction(1, 50)
    assert found.fees == 3_000 * 365
    assert found.pot == 2_100 * 365
    assert found.fee_income == 42 * 365
    assert found.minted_xom == 332_000_000
    assert found.reward_xom == 6_640_000
    assert found.reward_value == 66_400
    assert found.profit == 42 * 365 + 66_400 - 240
    assert found.return_percent == found.profit * 100 / 10
    assert found.volume_to_break_even == 0


numbers = st.integers(0, 10**6).map(lambda n: Fraction(n, 1_000))
positive = st.integers(1, 10**6).map(lambda n: Fraction(n, 1_000))


@given(weight=positive, others=numbers, costs=numbers, price=numbers, other_fees=numbers)
@settings(max_examples=100, deadline=None)
def test_profit_is_zero_at_the_volume_to_break_even(
    weight: Fraction, others: Fraction, costs: Fraction, price: Fraction, other_fees: Fraction
) -> None:
    terms = {
        "weight": weight,
        "network_weight": weight + others,
        "costs": costs,
        "xom_price": price / 10**6,
        "other_fees": other_fees,
    }
    volume = estimate(assume(**terms)).volume_to_break_even
    assert volume is not None
    found = estimate(assume(**terms, volume=volume))
    assert found.profit == 0 if volume else found.profit >= 0


def test_shares_of_all_validators_are_the_whole_pot() -> None:
    scores = [Fraction(n) for n in (100, 80, 55, 5)]
    mean = sum(scores, Fraction(0)) / 4
    parts = [estimate(assume(network_weight=4, score=s, mean_score=mean)) for s in scores]
    assert sum(part.share for part in parts) == 1
    assert sum(part.fee_income for part in parts) == parts[0].pot
    assert sum(part.reward_xom for part in parts) == parts[0].minted_xom


def test_without_fees_or_price_some_figures_do_not_exist() -> None:
    found = estimate(assume(fee_percent=0, xom_price=0))
    assert found.volume_to_break_even is None
    assert found.return_percent is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"score": 101},
        {"mean_score": 0},
        {"weight": 51},
        {"weight": 50, "mean_score": 79},
        {"validators_percent": 101},
        {"fee_percent": -1},
    ],
)
def test_assumptions_that_contradict_themselves_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        estimate(assume(**wrong))
