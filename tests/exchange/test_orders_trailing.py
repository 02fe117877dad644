"""Trailing stops, new terms for what waits, and the events of waiting orders."""

from __future__ import annotations

import pytest

from exchange import limits
from exchange.actions import (
    BUY,
    GTC,
    IOC,
    POST_ONLY,
    SELL,
    Cancel,
    Place,
    PlaceTrailing,
    PlaceTrigger,
    ReplaceTrigger,
    SetMarket,
)
from exchange.outcome import CLOSED, REACHED, WAITING, Outcome
from exchange.queries import get_open_orders, get_trigger
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from tests.exchange.world import BASE, QUOTE, World, make_genesis, make_key


def make_world(mode: str = "fair") -> World:
    world = World(make_genesis(mode=mode))
    world.fund("maker", "taker", "stop")
    return world


def trade(world: World, price: int) -> Outcome:
    """Make the last trade one at `price`."""
    world.block(world.act("maker", Place(0, BUY, price, 1, GTC)))
    return world.block(world.act("taker", Place(0, SELL, price, 1, IOC)))


def send(world: World, *ops: object, atomic: bool = False) -> Outcome:
    return world.block(world.act("stop", *ops, atomic=atomic))


def kinds(outcome: Outcome) -> list[tuple[int, int]]:
    return [(event.kind, event.reason) for event in outcome.orders if event.account == 3]


def test_a_trailing_sell_rises_with_the_price_and_is_reached_when_it_turns() -> None:
    world = make_world()
    outcome = send(world, PlaceTrailing(0, SELL, 5, 800, 20, False))
    order = outcome.receipts[0].orders[0]
    for price, stop in ((1_010, 990), (1_050, 1_030), (1_031, 1_030)):
        assert not [e for e in trade(world, price).orders if e.kind == REACHED]
        view = get_trigger(world.state, 0, order)
        assert view is not None
        assert view.stop == stop
    reached = trade(world, 1_030)
    assert [e.price for e in reached.orders if e.kind == REACHED] == [800]
    world.block(world.act("maker", Place(0, BUY, 900, 9, GTC)))
    assert sum(fill.size for fill in world.outcomes[-1].fills) == 5


def test_a_trailing_buy_falls_with_the_price() -> None:
    world = make_world()
    send(world, PlaceTrailing(0, BUY, 5, 1_200, 100, True))  # one per cent
    trade(world, 900)
    assert not [e for e in trade(world, 908).orders if e.kind == REACHED]
    assert [e.price for e in trade(world, 909).orders if e.kind == REACHED] == [1_200]


def test_it_follows_only_from_its_activation_price() -> None:
    world = make_world()
    order = send(world, PlaceTrailing(0, SELL, 5, 800, 20, False, 1_100)).receipts[0].orders[0]
    trade(world, 900)
    view = get_trigger(world.state, 0, order)
    assert view is not None
    assert (view.stop, view.activation) == (0, 1_100)
    trade(world, 1_110)
    view = get_trigger(world.state, 0, order)
    assert view is not None
    assert (view.stop, view.activation) == (1_090, 0)
    (shown,) = get_open_orders(world.state, make_key("stop").address)
    assert (shown.below, shown.waits, shown.resting) == (1_090, True, False)


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (PlaceTrailing(0, SELL, 5, 800, 20, False, 0, POST_ONLY), Reason.BAD_TRIGGER),
        (PlaceTrailing(0, SELL, 5, 800, 10_000, True), Reason.BAD_TRIGGER),
        (PlaceTrailing(0, SELL, 5, 800, 20, False, expiry_ms=1), Reason.BAD_TIME),
        (PlaceTrailing(0, BUY, 10**9, 10**6, 20, False), Reason.INSUFFICIENT_FUNDS),
        (PlaceTrailing(9, BUY, 1, 1, 20, False), Reason.UNKNOWN_MARKET),
    ],
)
def test_bad_ones_are_refused_and_hold_nothing(op: PlaceTrailing, reason: Reason) -> None:
    world = make_world()
    assert send(world, op).receipts[0].statuses == [reason]
    assert world.balance("stop", QUOTE)[1] == world.balance("stop", BASE)[1] == 0


def test_a_market_takes_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TRAILING_PER_MARKET_MAX", 2)
    world = make_world()
    op = PlaceTrailing(0, SELL, 5, 800, 20, False)
    assert send(world, op, op, op).receipts[0].statuses == [0, 0, Reason.TOO_MANY_TRIGGERS]


def test_new_terms_replace_the_old_ones_and_their_hold() -> None:
    world = make_world()
    op = PlaceTrigger(0, BUY, 5, 1_100, 1_200, 0, 0)
    order = send(world, op).receipts[0].orders[0]
    held = world.balance("stop", QUOTE)[1]
    outcome = send(world, ReplaceTrigger(0, order, 10, 0, 0, 900, 1_200))
    assert outcome.receipts[0].statuses == [Reason.OK]
    assert world.balance("stop", QUOTE)[1] == 2 * held
    assert kinds(outcome) == [(WAITING, Reason.OK)]
    assert not [e for e in trade(world, 1_150).orders if e.kind == REACHED]
    trade(world, 900)
    world.block(world.act("maker", Place(0, SELL, 1_000, 20, GTC)))
    assert sum(fill.size for fill in world.outcomes[-1].fills) == 10


def test_replacing_what_does_not_wait_or_is_not_covered_changes_nothing() -> None:
    world = make_world()
    send(
        world, PlaceTrigger(0, SELL, 5, 1_100, 1_000, 0, 0), PlaceTrailing(0, SELL, 1, 1, 1, False)
    )
    chunks = snapshot(world.state)[1]
    first, second = (o.order_id for o in get_open_orders(world.state, make_key("stop").address))
    outcome = send(
        world,
        ReplaceTrigger(0, first, 5, 0, 0, 0, 0),
        ReplaceTrigger(0, first, 5, 900, 900, 0, 0),
        ReplaceTrigger(0, first, 10**12, 1_100, 1_000, 0, 0),
        ReplaceTrigger(0, second, 5, 1_100, 1_000, 0, 0),
        ReplaceTrigger(0, 99, 5, 1_100, 1_000, 0, 0),
    )
    assert outcome.receipts[0].statuses == [
        Reason.BAD_TRIGGER, Reason.TRIGGER_REACHED, Reason.INSUFFICIENT_FUNDS, Reason.BAD_TRIGGER,
        Reason.UNKNOWN_ORDER,
    ]  # fmt: skip
    theirs = world.block(world.act("taker", ReplaceTrigger(0, first, 5, 1_100, 1_000, 0, 0)))
    assert theirs.receipts[0].statuses == [Reason.UNKNOWN_ORDER]
    assert snapshot(world.state)[1] == chunks


def test_an_atomic_action_takes_new_terms_and_their_events_back() -> None:
    world = make_world()
    order = send(world, PlaceTrigger(0, SELL, 5, 1_100, 1_000, 0, 0)).receipts[0].orders[0]
    before = get_trigger(world.state, 0, order)
    outcome = send(
        world,
        ReplaceTrigger(0, order, 50, 0, 0, 900, 900),
        PlaceTrailing(0, SELL, 5, 800, 20, False),
        Cancel(0, 999),
        atomic=True,
    )
    assert outcome.receipts[0].statuses == [
        Reason.ATOMIC_FAILED, Reason.ATOMIC_FAILED, Reason.UNKNOWN_ORDER,
    ]  # fmt: skip
    assert get_trigger(world.state, 0, order) == before
    assert not outcome.orders
    assert world.balance("stop", BASE)[1] == 50


def test_every_step_of_a_waiting_order_is_an_event() -> None:
    world = make_world()
    later = world.time_ms + 2_000
    op = PlaceTrigger(0, SELL, 5, 0, 0, 990, 900)
    armed = send(world, op, PlaceTrigger(0, SELL, 1, 0, 0, 100, 100, expiry_ms=later))
    assert kinds(armed) == [(WAITING, 0), (WAITING, 0)]
    assert kinds(trade(world, 980)) == [(REACHED, 0)]
    assert kinds(world.block()) == [(CLOSED, Reason.IOC_UNFILLED)]
    assert kinds(world.block(gap_ms=5_000)) == [(CLOSED, Reason.EXPIRED)]


def test_a_snapshot_holds_how_far_a_trailing_stop_has_followed() -> None:
    world = make_world("sealed")
    send(
        world,
        PlaceTrailing(0, SELL, 5, 800, 20, False, 1_100),
        PlaceTrailing(0, BUY, 5, 900, 5, True),
    )
    chunks = snapshot(world.state)
    other = restore(world.genesis, chunks)
    assert snapshot(other) == chunks


def test_a_delisted_market_keeps_no_reached_order() -> None:
    world = make_world()
    send(world, PlaceTrigger(0, SELL, 5, 0, 0, 990, 900))
    world.block(world.act("maker", Place(0, BUY, 980, 1, GTC)))
    restrict = [world.act(v, SetMarket(0, 0, 1)) for v in world.validators[:3]]
    world.block(world.act("taker", Place(0, SELL, 980, 1, IOC)), *restrict)
    market = world.state.markets[0]
    assert world.outcomes[-1].fills
    assert market.triggered, "reached in a block that closed the market to takers"
    world.block()
    assert market.triggered, "it waits until the market is open again"
    outcome = world.block(*[world.act(v, SetMarket(0, 1, 3)) for v in world.validators[:3]])
    assert [e.reason for e in outcome.orders if e.kind == CLOSED] == [Reason.MARKET_DELISTED]
    assert not market.triggered
    assert not market.book.orders
    assert world.balance("stop", BASE)[1] == 0
    chunks = snapshot(world.state)
    assert snapshot(restore(world.genesis, chunks)) == chunks
