"""Work out what a validator would earn, from assumptions that are all written down.

Rule: exact fractions from the first input to the last figure; nothing here is a forecast.
Spec: docs/explanation/economics.md. Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

DAYS: Final = 365
VALIDATORS_PERCENT: Final = 70
INFLATION_PERCENT: Final = 2
MONTHS: Final = 12
PERCENT: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What somebody assumes. Money is in one currency, that of `volume` and `xom_price`."""

    volume: Fraction  # traded a day, each trade counted once
    fee_percent: Fraction  # of a trade, maker's and taker's fee together
    other_fees: Fraction  # a day: marketplace, storage and whatever else pays into the pot
    weight: Fraction  # of the validator
    network_weight: Fraction  # of all validators, this one included
    score: Fraction  # of the validator, 0 to 100
    mean_score: Fraction  # of all validators by weight, above 0 up to 100
    xom_supply: Fraction  # first supply
    xom_price: Fraction
    stake: Fraction  # XOM
    costs: Fraction  # a month: hardware, power, connection, gas
    inflation_percent: Fraction = Fraction(INFLATION_PERCENT)
    validators_percent: Fraction = Fraction(VALIDATORS_PERCENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What follows from the assumptions, over a year."""

    share: Fraction  # of the pot, 0 to 1
    fees: Fraction  # of the whole network
    pot: Fraction  # the validators' part of them
    fee_income: Fraction
    minted_xom: Fraction  # for all validators
    reward_xom: Fraction  # for this one
    reward_value: Fraction
    income: Fraction
    costs: Fraction
    profit: Fraction
    stake_value: Fraction
    return_percent: Fraction | None  # of the stake; None without a stake of any value
    volume_to_break_even: Fraction | None  # a day; None when no volume does it, 0 without need


def estimate(given: Assumptions) -> Estimate:
    """Return a year's figures. Raises ValueError for assumptions that contradict themselves."""
    _check(given)
    parts = given.network_weight * given.mean_score
    share = given.weight * given.score / parts
    fees = (given.volume * given.fee_percent / PERCENT + given.other_fees) * DAYS
    pot = fees * given.validators_percent / PERCENT
    minted = given.xom_supply * given.inflation_percent / PERCENT
    value = minted * share * given.xom_price
    costs = given.costs * MONTHS
    income = pot * share + value
    stake = given.stake * given.xom_price
    return Estimate(
        share=share,
        fees=fees,
        pot=pot,
        fee_income=pot * share,
        minted_xom=minted,
        reward_xom=minted * share,
        reward_value=value,
        income=income,
        costs=costs,
        profit=income - costs,
        stake_value=stake,
        return_percent=(income - costs) * PERCENT / stake if stake else None,
        volume_to_break_even=_break_even(given, share, costs - value),
    )


def _break_even(given: Assumptions, share: Fraction, missing: Fraction) -> Fraction | None:
    """Return the daily volume whose fees bring what is missing in a year."""
    part = share * given.validators_percent / PERCENT * DAYS
    missing -= given.other_fees * part
    if missing <= 0:
        return Fraction(0)
    gained = part * given.fee_percent / PERCENT
    return missing / gained if gained else None


def _check(given: Assumptions) -> None:
    whole = given.network_weight * given.mean_score
    if not 0 <= given.mean_score <= PERCENT or not 0 <= given.score <= PERCENT:
        raise ValueError("scores are between 0 and 100")
    if whole <= 0 or given.weight > given.network_weight:
        raise ValueError("the network's weight and mean score include the validator's own")
    if given.weight * given.score > whole:
        raise ValueError("this weight and score would be more than the whole network's")
    if min(given.validators_percent, given.fee_percent, given.inflation_percent) < 0:
        raise ValueError("percentages are not negative")
    if given.validators_percent > PERCENT or given.fee_percent > PERCENT:
        raise ValueError("no share or fee is above 100 %")
