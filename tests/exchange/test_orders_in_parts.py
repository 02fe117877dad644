"""Icebergs and schedules: one example per rule of docs/spec/orders.md (Orders in parts)."""

from __future__ import annotations

import pytest

from exchange import limits
from exchange.actions import (
    BUY,
    GTC,
    IOC,
    SELL,
    AnyOp,
    Cancel,
    CancelAll,
    CancelClient,
    Place,
    PlaceIceberg,
    PlaceSchedule,
    Replace,
    SetMarket,
)
from exchange.outcome import CLOSED, REACHED, RESTING, WAITING, Outcome
from exchange.queries import get_depth, get_open_orders, has_waiting_batches
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from tests.exchange.world import BASE, QUOTE, World, make_genesis, make_key


def make_world(mode: str = "fair", matching: str = "uniform") -> World:
    world = World(make_genesis(mode=mode, matching=matching, tick=3, taker_bps=21))
    world.fund("maker", "taker", "whale")
    return world


def send(world: World, *ops: AnyOp, who: str = "whale", atomic: bool = False) -> Outcome:
    return world.block(world.act(who, *ops, atomic=atomic))


def events(outcome: Outcome, account: int = 3) -> list[tuple[int, int, int]]:
    return [(e.kind, e.order_id, e.size) for e in outcome.orders if e.account == account]


def held(world: World) -> tuple[int, int]:
    return world.balance("whale", QUOTE)[1], world.balance("whale", BASE)[1]


def test_an_iceberg_shows_one_part_and_refills_it_in_the_next_block() -> None:
    world = make_world()
    outcome = send(world, PlaceIceberg(0, SELL, 1_000, 25, 10))
    assert outcome.receipts[0].statuses == [Reason.OK]
    whole = outcome.receipts[0].orders[0]
    assert events(outcome) == [
        (WAITING, whole, 25), (WAITING, whole, 15),
        (REACHED, whole + 1, 10), (RESTING, whole + 1, 10),
    ]  # fmt: skip
    assert get_depth(world.state, 0, 5) == ([], [(1_000, 10)])
    assert held(world) == (0, 250)
    send(world, Place(0, SELL, 1_000, 4, GTC), who="maker")
    taken = send(world, Place(0, BUY, 1_000, 12, IOC), who="taker")
    assert [fill.size for fill in taken.fills] == [10, 2], "hidden lots do not trade in its batch"
    assert events(taken)[-2:] == [(WAITING, whole, 5), (REACHED, whole + 4, 10)]
    assert has_waiting_batches(world.state)
    world.block()
    taken = send(world, Place(0, BUY, 1_000, 12, IOC), who="taker")
    assert [fill.size for fill in taken.fills] == [2, 10], "the new part stands behind"
    assert events(taken)[-2:] == [(CLOSED, whole, 0), (REACHED, whole + 6, 5)]
    world.block()
    assert get_depth(world.state, 0, 5) == ([], [(1_000, 5)])
    send(world, Place(0, BUY, 1_000, 5, IOC), who="taker")
    assert held(world) == (0, 0)
    assert not get_open_orders(world.state, make_key("whale").address)


def test_a_first_part_that_would_take_is_refused_and_with_it_the_whole() -> None:
    world = make_world("sealed")
    send(world, Place(0, BUY, 1_000, 1, GTC), who="maker")
    outcome = send(world, PlaceIceberg(0, SELL, 1_000, 25, 10))
    assert outcome.receipts[0].statuses == [Reason.POST_ONLY_CROSSES]
    assert held(world) == (0, 0)
    assert not world.state.markets[0].plans.by_id


def test_a_refill_that_meets_a_new_order_trades_with_it() -> None:
    world = make_world()
    send(world, PlaceIceberg(0, SELL, 1_000, 25, 10))
    send(world, Place(0, BUY, 1_000, 14, GTC), who="taker")
    outcome = world.block()
    assert [(fill.taker_side, fill.size) for fill in outcome.fills] == [(SELL, 4)]
    assert get_depth(world.state, 0, 5) == ([], [(1_000, 6)])


def test_the_last_part_keeps_the_time_at_which_the_whole_would_have_ended() -> None:
    world = make_world()
    whole = send(world, PlaceIceberg(0, SELL, 1_000, 9, 5, 0, 0, world.time_ms + 3_000))
    send(world, Place(0, BUY, 1_000, 5, IOC), who="taker")
    world.block()
    last = whole.receipts[0].orders[0] + 3
    assert [o.order_id for o in get_open_orders(world.state, make_key("whale").address)] == [last]
    outcome = world.block(gap_ms=5_000)
    assert [(e.order_id, e.reason) for e in outcome.orders] == [(last, Reason.EXPIRED)]
    assert held(world) == (0, 0)


@pytest.mark.parametrize("how", ["whole", "part", "client", "all", "time"])
def test_the_end_of_either_ends_both(how: str) -> None:
    world = make_world()
    later = world.time_ms + 3_000
    expiry = later if how == "time" else 0
    whole = send(world, PlaceIceberg(0, BUY, 999, 25, 7, 0, 5, expiry)).receipts[0].orders[0]
    assert held(world)[0] > 0
    ops = {
        "whole": Cancel(0, whole),
        "part": Cancel(0, whole + 1),
        "client": CancelClient(0, 5),
        "all": CancelAll(0),
    }
    if how == "time":
        world.block(gap_ms=5_000)
    else:
        assert send(world, ops[how]).receipts[0].statuses == [Reason.OK]
    assert held(world) == (0, 0)
    assert get_depth(world.state, 0, 5) == ([], [])


def test_the_last_part_takes_over_the_client_id() -> None:
    world = make_world()
    send(world, PlaceIceberg(0, SELL, 1_000, 15, 10, 0, 5))
    send(world, Place(0, BUY, 1_000, 10, IOC), who="taker")
    world.block()
    assert send(world, CancelClient(0, 5)).receipts[0].statuses == [Reason.OK]
    assert held(world) == (0, 0)


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (PlaceIceberg(0, SELL, 1_000, 10, 10), Reason.BAD_PLAN),
        (PlaceIceberg(0, SELL, 1_000, 2_561, 10), Reason.BAD_PLAN),
        (PlaceIceberg(0, SELL, 1_000, 20, 10, expiry_ms=1), Reason.BAD_TIME),
        (PlaceIceberg(0, SELL, 1_000, 10**12, 10**11), Reason.INSUFFICIENT_FUNDS),
        (PlaceIceberg(4, SELL, 1_000, 20, 10), Reason.UNKNOWN_MARKET),
        (PlaceSchedule(0, SELL, 1_000, 9, 10, 1_000), Reason.BAD_PLAN),
        (PlaceSchedule(0, BUY, 10**6, 10**9, 10, 1_000), Reason.INSUFFICIENT_FUNDS),
    ],
)
def test_bad_ones_are_refused_and_hold_nothing(op: AnyOp, reason: Reason) -> None:
    world = make_world()
    assert send(world, op).receipts[0].statuses == [reason]
    assert held(world) == (0, 0)
    assert not get_open_orders(world.state, make_key("whale").address)


def test_plans_are_bounded_per_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PLANS_PER_TRADER_MAX", 2)
    world = make_world()
    op = PlaceIceberg(0, SELL, 1_000, 25, 10)
    outcome = send(world, op, PlaceSchedule(0, SELL, 900, 9, 3, 1_000), op)
    assert outcome.receipts[0].statuses == [Reason.OK, Reason.OK, Reason.TOO_MANY_PLANS]


def test_a_schedule_trades_equal_parts_at_its_times_and_spreads_what_it_missed() -> None:
    world = make_world()
    whole = send(world, PlaceSchedule(0, BUY, 1_000, 10, 4, 1_000)).receipts[0].orders[0]
    send(world, Place(0, SELL, 1_000, 5, GTC), who="maker")
    assert not world.block(gap_ms=500).fills
    first = world.block(gap_ms=500)
    assert [fill.size for fill in first.fills] == [3]
    second = world.block(gap_ms=1_000)
    assert [fill.size for fill in second.fills] == [2]
    assert (WAITING, whole, 5) in events(second), "7 were left, 3 went, 1 came back"
    send(world, Place(0, SELL, 1_000, 50, GTC), who="maker")
    third = world.block(gap_ms=1_000)
    assert [fill.size for fill in third.fills] == [3]
    last = world.block(gap_ms=1_000)
    assert [fill.size for fill in last.fills] == [2]
    assert (CLOSED, whole, 0) in events(last)
    assert held(world) == (0, 0)


def test_a_schedule_by_volume_takes_its_share_of_what_others_traded() -> None:
    world = make_world()
    op = PlaceSchedule(0, BUY, 1_000, 100, 3, 1_000, 2_500)
    send(world, op, Place(0, BUY, 500, 1, GTC))
    assert not world.block(gap_ms=1_000).fills, "nothing traded, nothing taken"
    send(world, Place(0, SELL, 1_000, 90, GTC), who="maker")
    send(world, Place(0, BUY, 1_000, 40, IOC), who="taker")
    assert [fill.size for fill in world.block(gap_ms=1_000).fills] == [10]
    end = world.block(gap_ms=1_000)
    assert not end.fills, "its own volume does not count"
    assert [e.reason for e in end.orders if e.kind == CLOSED] == [Reason.EXPIRED]
    assert world.balance("whale", QUOTE)[1] == 1_504  # the resting order alone


def test_slots_pass_while_the_market_takes_no_takers() -> None:
    world = make_world()
    send(world, PlaceSchedule(0, SELL, 900, 9, 3, 1_000))
    world.block(*[world.act(v, SetMarket(0, 0, 1)) for v in world.validators[:3]])
    world.block(gap_ms=1_000)
    assert not world.state.markets[0].triggered
    world.block(*[world.act(v, SetMarket(0, 1, 0)) for v in world.validators[:3]])
    send(world, Place(0, BUY, 1_000, 50, GTC), who="maker")
    assert [fill.size for fill in world.block(gap_ms=1_000).fills] == [5]


@pytest.mark.parametrize("status", [2, 3])
def test_a_closed_market_gives_back_every_atom(status: int) -> None:
    world = make_world()
    send(world, PlaceIceberg(0, BUY, 999, 25, 7), PlaceSchedule(0, SELL, 900, 9, 3, 1_000))
    world.block(*[world.act(v, SetMarket(0, 0, status)) for v in world.validators[:3]])
    if status == 2:
        send(world, CancelAll(0))
    assert held(world) == (0, 0)
    assert not world.state.markets[0].book.orders


@pytest.mark.parametrize("matching", ["uniform", "shuffle"])
def test_parts_of_a_schedule_join_sealed_batches(matching: str) -> None:
    world = make_world("sealed", matching)
    send(world, PlaceSchedule(0, BUY, 1_010, 10, 2, 1_000))
    send(world, Place(0, SELL, 1_000, 50, GTC), who="maker")
    done = world.block(gap_ms=1_000)
    assert [(fill.price, fill.size, fill.taker_side) for fill in done.fills] == [(1_000, 5, BUY)]


def test_an_atomic_action_takes_plans_back() -> None:
    world = make_world()
    outcome = send(
        world,
        PlaceIceberg(0, BUY, 999, 25, 7),
        PlaceSchedule(0, SELL, 900, 9, 3, 1_000),
        Cancel(0, 99),
        atomic=True,
    )
    assert outcome.receipts[0].statuses[:2] == [Reason.ATOMIC_FAILED] * 2
    assert held(world) == (0, 0)
    assert not outcome.orders
    assert not world.state.markets[0].plans.due.queue


def test_the_whole_cannot_be_replaced() -> None:
    world = make_world()
    whole = send(world, PlaceIceberg(0, BUY, 999, 25, 7)).receipts[0].orders[0]
    assert send(world, Replace(0, whole, 998, 5)).receipts[0].statuses == [Reason.UNKNOWN_ORDER]


def test_a_snapshot_holds_plans_and_their_parts() -> None:
    world = make_world()
    send(
        world,
        PlaceIceberg(0, SELL, 1_000, 25, 7),
        PlaceSchedule(0, BUY, 990, 9, 3, 1_000),
        PlaceSchedule(0, BUY, 999, 9, 3, 1_000, 5_000),
    )
    send(world, Place(0, BUY, 1_000, 7, IOC), who="taker")
    assert world.state.markets[0].triggered
    chunks = snapshot(world.state)
    other = restore(world.genesis, chunks)
    assert snapshot(other) == chunks
    twin = World(world.genesis)
    twin.state, twin.time_ms, twin.nonce = other, world.time_ms, world.nonce
    for gap in (100, 1_000, 1_000, 5_000):
        assert twin.block(gap_ms=gap) == world.block(gap_ms=gap)


def test_a_query_shows_the_parts_of_an_iceberg_and_the_slots_of_a_schedule() -> None:
    world = make_world()
    send(world, PlaceIceberg(0, SELL, 1_000, 50, 20))
    send(world, PlaceSchedule(0, BUY, 900, 30, 3, 2_000))
    found = get_open_orders(world.state, make_key("whale").address)
    whole = next(order for order in found if order.visible)
    part = next(order for order in found if order.order_id == whole.part)
    assert (whole.size, whole.visible, whole.slots, part.size) == (30, 20, 0, 20)
    assert (part.visible, part.slots, part.part) == (0, 0, 0)
    schedule = next(order for order in found if order.slots)
    assert (schedule.size, schedule.visible) == (30, 0)
    assert schedule.next_slot_ms > world.state.time_ms
    before = schedule.slots
    world.block(gap_ms=2_100)
    again = next(o for o in get_open_orders(world.state, make_key("whale").address) if o.slots)
    assert again.slots == before - 1
