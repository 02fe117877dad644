"""Brackets: one example per rule of docs/spec/orders.md (Brackets)."""

from __future__ import annotations

import pytest

from exchange.actions import (
    BUY,
    GTC,
    IOC,
    POST_ONLY,
    SELL,
    AnyOp,
    Cancel,
    Place,
    PlaceBracket,
    SetMarket,
)
from exchange.outcome import CLOSED, REACHED, WAITING, Outcome
from exchange.queries import get_open_orders
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from tests.exchange.world import BASE, QUOTE, World, make_genesis, make_key


def make_world(mode: str = "fair", **funds: int) -> World:
    world = World(make_genesis(mode=mode))
    world.fund("maker", "taker")
    world.fund("owner", **funds)
    return world


def send(world: World, *ops: AnyOp, who: str = "owner", atomic: bool = False) -> Outcome:
    return world.block(world.act(who, *ops, atomic=atomic))


def enter(size: int = 10, side: int = BUY, tif: int = GTC) -> PlaceBracket:
    """Buy at 1,000, stop at 950, profit at 1,050; or the reverse."""
    if side == BUY:
        return PlaceBracket(0, BUY, 1_000, size, tif, 0, 7, 1_050, 1_040, 950, 900)
    return PlaceBracket(0, SELL, 1_000, size, tif, 0, 7, 1_050, 1_100, 950, 960)


def waiting(world: World) -> list[tuple[int, int]]:
    orders = get_open_orders(world.state, make_key("owner").address)
    return [(order.side, order.size) for order in orders if order.waits]


def ends(outcome: Outcome) -> list[tuple[int, int]]:
    return [(e.order_id, e.reason) for e in outcome.orders if e.kind == CLOSED and e.account == 3]


def test_each_fill_of_the_entry_is_covered_at_once_and_no_more() -> None:
    world = make_world(base=0)
    entry = send(world, enter()).receipts[0].orders[0]
    assert waiting(world) == []
    first = send(world, Place(0, SELL, 1_000, 3, IOC), who="taker")
    assert [(e.kind, e.size) for e in first.orders if e.account == 3] == [(WAITING, 3)]
    send(world, Place(0, SELL, 1_000, 4, IOC), who="taker")
    assert waiting(world) == [(SELL, 7)]
    assert world.balance("owner", BASE) == (0, 70)
    send(world, Cancel(0, entry))
    assert waiting(world) == [(SELL, 7)]
    assert world.balance("owner", QUOTE)[1] == 0
    assert not world.state.markets[0].plans.live


def test_a_reached_exit_ends_the_rest_of_its_entry_before_it_trades() -> None:
    world = make_world()
    entry = send(world, enter(10)).receipts[0].orders[0]
    send(world, Place(0, SELL, 1_000, 4, IOC), who="taker")
    send(world, Place(0, SELL, 1_060, 9, GTC), who="maker")
    reached = send(world, Place(0, BUY, 1_060, 1, IOC), who="taker")
    assert [(e.price, e.size) for e in reached.orders if e.kind == REACHED] == [(1_040, 4)]
    send(world, Place(0, BUY, 1_045, 9, GTC), who="maker")
    last = world.outcomes[-1]
    assert ends(last)[0] == (entry, Reason.EXIT_REACHED)
    assert [(fill.price, fill.size) for fill in last.fills] == [(1_045, 4)]
    assert not get_open_orders(world.state, make_key("owner").address)


def test_a_stop_that_the_filling_clearing_reaches_joins_the_next_batch() -> None:
    world = make_world()
    send(world, enter(2), Place(0, BUY, 940, 5, GTC))
    send(world, Place(0, BUY, 930, 50, GTC), who="maker")
    sweep = send(world, Place(0, SELL, 940, 7, IOC), who="taker")
    assert [(e.price, e.size) for e in sweep.orders if e.kind == REACHED] == [(900, 2)]
    assert [(fill.price, fill.size) for fill in world.block().fills] == [(930, 2)]


def test_an_entry_that_sells_needs_free_quote_for_its_exit_or_is_told() -> None:
    world = make_world(quote=0)
    send(world, enter(10, SELL))
    outcome = send(world, Place(0, BUY, 1_000, 10, IOC), who="taker")
    assert [reason for _, reason in ends(outcome)] == [Reason.INSUFFICIENT_FUNDS]
    assert waiting(world) == []
    rich = make_world()
    send(rich, enter(10, SELL))
    send(rich, Place(0, BUY, 1_000, 10, IOC), who="taker")
    assert waiting(rich) == [(BUY, 10)]


def test_an_entry_refused_at_clearing_leaves_nothing() -> None:
    world = make_world("sealed")
    send(world, Place(0, SELL, 1_000, 1, GTC), who="maker")
    assert send(world, enter()).receipts[0].statuses == [Reason.POST_ONLY_CROSSES]
    world.block()
    assert not world.state.markets[0].plans.live
    assert world.balance("owner", QUOTE)[1] == 0


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (PlaceBracket(0, BUY, 1_000, 1, GTC, 0, 0, 0, 0, 0, 0), Reason.BAD_TRIGGER),
        (PlaceBracket(0, BUY, 1_000, 1, GTC, 0, 0, 900, 900, 950, 900), Reason.BAD_TRIGGER),
        (PlaceBracket(0, BUY, 1_000, 1, GTC, 0, 0, 0, 5, 950, 900), Reason.BAD_TRIGGER),
        (PlaceBracket(0, BUY, 1_000, 1, 0, 0, 0, 0, 0, 950, 900, POST_ONLY), Reason.BAD_TRIGGER),
        (PlaceBracket(3, BUY, 1_000, 1, GTC, 0, 0, 0, 0, 950, 900), Reason.UNKNOWN_MARKET),
        (PlaceBracket(0, BUY, 10**6, 10**9, 0, 0, 0, 0, 0, 1, 1), Reason.INSUFFICIENT_FUNDS),
    ],
)
def test_bad_brackets_are_refused(op: PlaceBracket, reason: Reason) -> None:
    world = make_world()
    assert send(world, op).receipts[0].statuses == [reason]
    assert not world.state.markets[0].plans.live


def test_an_atomic_action_takes_a_bracket_back() -> None:
    world = make_world()
    send(world, enter(), Cancel(0, 99), atomic=True)
    assert world.balance("owner", QUOTE)[1] == 0
    assert not world.state.markets[0].plans.live


def test_a_delisted_market_ends_entry_and_exit() -> None:
    world = make_world()
    send(world, enter())
    send(world, Place(0, SELL, 1_000, 3, IOC), who="taker")
    world.block(*[world.act(v, SetMarket(0, 0, 3)) for v in world.validators[:3]])
    assert world.balance("owner", QUOTE)[1] == world.balance("owner", BASE)[1] == 0
    assert not world.state.markets[0].plans.live


def test_a_snapshot_holds_brackets_and_reached_exits() -> None:
    world = make_world()
    send(world, enter(), PlaceBracket(0, BUY, 999, 5, GTC, 0, 0, 0, 0, 980, 900))
    send(world, Place(0, SELL, 1_000, 3, IOC), who="taker")
    send(world, Place(0, SELL, 1_060, 9, GTC), who="maker")
    send(world, Place(0, BUY, 1_060, 1, IOC), who="taker")
    chunks = snapshot(world.state)
    other = restore(world.genesis, chunks)
    assert snapshot(other) == chunks
    twin = World(world.genesis)
    twin.state, twin.time_ms, twin.nonce = other, world.time_ms, world.nonce
    for _ in range(3):
        action = world.act("taker", Place(0, SELL, 990, 2, IOC))
        assert twin.block(action) == world.block(action)
