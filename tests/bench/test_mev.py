"""The extraction model says what it is built to tell apart, and the same thing twice.

Rule: few and short runs; only differences that are many times their interval are asserted.
Spec: docs/explanation/mev.md. Deviations: none.
"""

from __future__ import annotations

import random

import pytest

from bench.mev import estimate
from bench.mev_model import ACCOUNTS, PRICE, THIN, Plan, Result, Run
from bench.mev_venue import CONTINUOUS, FAIR, SHUFFLE, UNIFORM, VENUES, Venue

BLOCKS = 150
SANDWICH = Plan(levels=3, steps=50, covers=True)


def play(venue: str, seed: int, plan: Plan | None = None, **options: int) -> Result:
    market = Venue(venue, seed, PRICE, ACCOUNTS)
    return Run(market, random.Random(seed), plan, levels=THIN, **options).run(BLOCKS)  # type: ignore[arg-type]


@pytest.mark.parametrize("venue", VENUES)
def test_a_run_is_a_function_of_its_seed(venue: str) -> None:
    assert play(venue, 1, SANDWICH) == play(venue, 1, SANDWICH)
    assert play(venue, 1, SANDWICH) != play(venue, 2, SANDWICH)


@pytest.mark.parametrize("venue", VENUES)
def test_victims_trade_and_nobody_else_earns_without_an_attacker(venue: str) -> None:
    result = play(venue, 3)
    assert result.victims > 5
    assert result.victim_filled > result.victim_lots * 0.8
    assert result.attacker == 0


def test_a_covering_sandwich_pays_where_the_order_is_seen_and_loses_where_it_is_sealed() -> None:
    gains = {
        venue: sum(play(venue, seed, SANDWICH).attacker for seed in range(3)) for venue in VENUES
    }
    assert gains[CONTINUOUS] > 0
    assert gains[CONTINUOUS] > gains[FAIR]
    assert gains[SHUFFLE] < 0
    assert gains[UNIFORM] < 0


def test_a_sniper_earns_from_stale_quotes_only_where_cancels_do_not_come_first() -> None:
    gains = {venue: play(venue, 4, snipes=True).attacker for venue in VENUES}
    assert gains[CONTINUOUS] > 0
    assert gains[FAIR] == gains[SHUFFLE] == 0


def test_an_interval_shrinks_with_the_number_of_runs() -> None:
    assert estimate([1.0, 2.0] * 8).half < estimate([1.0, 2.0] * 2).half
    assert estimate([3.0]).mean == 3.0
