"""Orders that wait for a price mean what traders mean by their names.

Rule: each one is executed by the real exchange around real trades.
Spec: docs/spec/orders.md. Deviations: none.
"""

from __future__ import annotations

import pytest

from client.errors import ClientError
from client.waiting import (
    make_one_cancels_other,
    make_stop,
    make_take_profit,
    make_trailing_stop,
)
from exchange.actions import BUY, GTC, IOC, SELL, Place, PlaceTrailing, PlaceTrigger
from exchange.reasons import Reason
from tests.exchange.world import World, make_genesis


@pytest.fixture
def world() -> World:
    """A fair market with a maker on both sides and a last trade at 1,000."""
    world = World(make_genesis(mode="fair"))
    world.fund("maker", "taker", "holder")
    orders = [Place(0, SELL, 1_000 + 10 * i, 10, GTC) for i in range(20)]
    orders += [Place(0, BUY, 990 - 10 * i, 10, GTC) for i in range(20)]
    world.block(world.act("maker", *orders))
    world.block(world.act("taker", Place(0, BUY, 1_000, 1, IOC)))
    return world


def trade_at(world: World, side: int, price: int) -> None:
    """Move the last trade to a price, then let what was reached join the next block."""
    world.block(world.act("taker", Place(0, side, price, 100, IOC)))


def fills_of(world: World, name: str) -> list[tuple[int, int]]:
    number = world.number(name)
    return [
        (fill.price, fill.size)
        for outcome in world.outcomes
        for fill in outcome.fills
        if fill.taker_account == number
    ]


def place(world: World, order: PlaceTrigger | PlaceTrailing) -> int:
    outcome = world.block(world.act("holder", order))
    return outcome.receipts[0].statuses[0]


def test_a_stop_loss_sells_when_the_market_falls_and_not_when_it_rises(world: World) -> None:
    assert place(world, make_stop(0, SELL, 3, at=970, limit=900)) < 16
    trade_at(world, BUY, 1_020)
    world.block()
    assert not fills_of(world, "holder")
    trade_at(world, SELL, 970)
    world.block()
    assert sum(size for _, size in fills_of(world, "holder")) == 3


def test_a_stop_that_rests_never_sells_below_its_limit(world: World) -> None:
    place(world, make_stop(0, SELL, 3, at=970, limit=965, rests=True))
    trade_at(world, SELL, 940)
    world.block()
    assert not fills_of(world, "holder")
    assert world.balance("holder", 1)[1] == 30  # it rests with its base held


def test_a_stop_buys_when_the_market_rises(world: World) -> None:
    place(world, make_stop(0, BUY, 2, at=1_030, limit=1_100))
    trade_at(world, BUY, 1_030)
    world.block()
    assert sum(size for _, size in fills_of(world, "holder")) == 2


def test_a_take_profit_sells_when_the_market_rises(world: World) -> None:
    place(world, make_take_profit(0, SELL, 2, at=1_020, limit=900))
    trade_at(world, SELL, 980)
    world.block()
    assert not fills_of(world, "holder")
    trade_at(world, BUY, 1_020)
    world.block()
    assert sum(size for _, size in fills_of(world, "holder")) == 2


def test_one_leg_cancels_the_other(world: World) -> None:
    place(world, make_one_cancels_other(0, SELL, 2, above=(1_020, 900), below=(960, 900)))
    trade_at(world, BUY, 1_020)
    world.block()
    assert sum(size for _, size in fills_of(world, "holder")) == 2
    trade_at(world, SELL, 950)
    world.block()
    assert sum(size for _, size in fills_of(world, "holder")) == 2  # nothing is left of it


def test_a_price_already_reached_is_refused(world: World) -> None:
    assert place(world, make_stop(0, SELL, 1, at=1_000, limit=900)) == Reason.TRIGGER_REACHED


def test_legs_that_overlap_are_refused_before_anything_is_signed() -> None:
    with pytest.raises(ClientError):
        make_one_cancels_other(0, SELL, 1, above=(900, 900), below=(900, 900))


def test_a_trailing_stop_sells_what_has_risen_and_turned(world: World) -> None:
    place(world, make_trailing_stop(0, SELL, 3, 25, 900))
    trade_at(world, BUY, 1_050)
    trade_at(world, SELL, 980)
    world.block()
    assert sum(size for _, size in fills_of(world, "holder")) == 3
