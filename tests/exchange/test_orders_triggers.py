"""Orders that wait for a price or end at a time: one example per rule of docs/spec/orders.md."""

from __future__ import annotations

import pytest

from exchange import limits
from exchange.actions import (
    BUY,
    FOK,
    GTC,
    IOC,
    POST_ONLY,
    SELL,
    STP_NEWEST,
    AnyOp,
    Cancel,
    CancelAfter,
    CancelAll,
    CancelClient,
    Commit,
    Grant,
    Place,
    PlaceTrigger,
    PlaceUntil,
    Replace,
    SetMarket,
    encode_amount,
)
from exchange.outcome import CLOSED, RESTING, Outcome
from exchange.queries import (
    get_cancel_after,
    get_expiry,
    get_open_orders,
    get_trigger,
    has_waiting_batches,
)
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from tests.exchange.world import BASE, QUOTE, World, make_genesis, make_key


def make_world(mode: str = "fair", **market: object) -> World:
    """Reference price 1,000; three traders with money."""
    world = World(make_genesis(mode=mode, **market))
    world.fund("maker", "taker", "stop")
    return world


def stop(
    side: int,
    size: int,
    *,
    above: tuple[int, int] = (0, 0),
    below: tuple[int, int] = (0, 0),
    tif: int = IOC,
    client_id: int = 0,
    expiry_ms: int = 0,
) -> PlaceTrigger:
    return PlaceTrigger(
        0, side, size, *above, *below, tif=tif, client_id=client_id, expiry_ms=expiry_ms
    )


def send(world: World, trader: str, *ops: AnyOp, atomic: bool = False) -> list[int]:
    return world.block(world.act(trader, *ops, atomic=atomic)).receipts[0].statuses


def trade(world: World, price: int, size: int = 1) -> Outcome:
    """Make the last trade one at `price`."""
    world.block(world.act("maker", Place(0, BUY, price, size, GTC)))
    outcome = world.block(world.act("taker", Place(0, SELL, price, size, IOC)))
    assert [fill.price for fill in outcome.fills] == [price]
    return outcome


def closed(outcome: Outcome) -> list[tuple[int, int]]:
    return [(event.order_id, event.reason) for event in outcome.orders if event.kind == CLOSED]


def test_a_stop_loss_sells_in_the_batch_after_the_trade_that_reached_it() -> None:
    world = make_world()
    assert send(world, "stop", stop(SELL, 5, below=(990, 900))) == [Reason.OK]
    world.block(world.act("maker", Place(0, BUY, 980, 50, GTC)))
    assert not world.block().fills
    reached = world.block(world.act("taker", Place(0, SELL, 980, 1, IOC)))
    assert len(reached.fills) == 1
    assert has_waiting_batches(world.state)
    done = world.block()
    assert [(fill.price, fill.size) for fill in done.fills] == [(980, 5)]
    assert world.balance("stop", BASE) == (10**12 - 50, 0)
    assert not has_waiting_batches(world.state)


def test_a_stop_limit_rests_what_its_limit_leaves() -> None:
    world = make_world()
    send(world, "stop", stop(SELL, 5, below=(990, 985), tif=GTC))
    trade(world, 985)
    world.block(world.act("maker", Place(0, BUY, 985, 2, GTC)))
    outcome = world.block()
    resting = [event for event in world.outcomes[-2].orders if event.kind == RESTING]
    assert [(event.price, event.size) for event in resting][-1] == (985, 3)
    assert not outcome.fills
    assert world.balance("stop", BASE)[1] == 30


@pytest.mark.parametrize(
    ("side", "legs", "price"),
    [
        (SELL, {"above": (1_010, 1_000)}, 1_010),
        (BUY, {"below": (990, 1_000)}, 990),
        (BUY, {"above": (1_010, 1_020)}, 1_011),
        (SELL, {"below": (990, 980)}, 990),
    ],
)
def test_each_side_and_direction_waits_for_its_price(
    side: int, legs: dict[str, tuple[int, int]], price: int
) -> None:
    world = make_world()
    send(world, "stop", stop(side, 3, tif=GTC, **legs))
    trade(world, 1_001)
    world.block()
    (order,) = get_open_orders(world.state, make_key("stop").address)
    assert get_trigger(world.state, 0, order.order_id) is not None
    assert {"above": order.above, "below": order.below} == {
        leg: legs.get(leg, (0, 0))[0] for leg in ("above", "below")
    }
    trade(world, price)
    world.block()
    (order,) = get_open_orders(world.state, make_key("stop").address)
    assert order.resting
    assert get_trigger(world.state, 0, order.order_id) is None


def test_two_legs_hold_once_and_one_ends_the_other() -> None:
    world = make_world()
    op = stop(SELL, 5, above=(1_010, 1_010), below=(990, 980), tif=GTC)
    send(world, "stop", op)
    assert world.balance("stop", BASE)[1] == 50
    trade(world, 1_012)
    world.block()
    (order,) = get_open_orders(world.state, make_key("stop").address)
    assert (order.price, order.resting) == (1_010, True)
    world.block(world.act("maker", Place(0, BUY, 1_010, 5, IOC)))
    trade(world, 985)
    assert not get_open_orders(world.state, make_key("stop").address)
    assert not world.state.markets[0].triggers.counts


def test_a_buy_holds_the_dearer_leg_and_gives_back_when_the_other_is_reached() -> None:
    world = make_world()
    send(world, "stop", stop(BUY, 100, above=(1_010, 1_020), below=(990, 990), tif=GTC))
    assert world.balance("stop", QUOTE)[1] == 102_000 + 204
    trade(world, 990)
    assert world.balance("stop", QUOTE)[1] == 99_000 + 198


def test_the_nearest_price_then_the_oldest_is_reached_first() -> None:
    world = make_world()
    ops = [stop(SELL, 1, below=(price, 900)) for price in (980, 990, 990)]
    receipt = world.block(world.act("stop", *ops)).receipts[0]
    trade(world, 970)
    reached = [item.order.id for item in world.state.markets[0].triggered]
    first, second, third = receipt.orders
    assert reached == [second, third, first]


def test_more_than_a_block_takes_are_carried_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACTIVATIONS_PER_BLOCK_MAX", 2)
    world = make_world()
    send(world, "stop", *[stop(SELL, 1, below=(990, 900)) for _ in range(3)])
    trade(world, 980)
    world.block(world.act("maker", Place(0, BUY, 970, 9, GTC)))
    assert has_waiting_batches(world.state)
    assert len(world.block().fills) == 1
    assert not has_waiting_batches(world.state)


@pytest.mark.parametrize("matching", ["uniform", "shuffle"])
def test_in_a_sealed_market_it_takes_part_in_the_next_batch(matching: str) -> None:
    world = make_world("sealed", matching=matching)
    send(world, "stop", stop(SELL, 5, below=(990, 900)))
    world.block(world.act("maker", Place(0, BUY, 980, 20, GTC)))
    order = Place(0, SELL, 980, 1, IOC)
    commit = world.hash_commit("taker", [order], b"s" * 32, world.nonce + 1)
    world.block(world.act("taker", Commit(0, 1, 1, commit)))
    world.block(executed=world.state.height)
    opened = world.block(world.act("taker", world.opening(commit, [order], b"s" * 32)))
    assert [(fill.price, fill.size) for fill in opened.fills] == [(980, 1)]
    assert [(fill.price, fill.size) for fill in world.block().fills] == [(980, 5)]


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (stop(SELL, 1), Reason.BAD_TRIGGER),
        (stop(SELL, 1, below=(990, 0)), Reason.BAD_TRIGGER),
        (stop(SELL, 1, above=(0, 990)), Reason.BAD_TRIGGER),
        (stop(SELL, 1, above=(990, 990), below=(990, 990)), Reason.BAD_TRIGGER),
        (stop(SELL, 1, below=(990, 990), tif=POST_ONLY), Reason.BAD_TRIGGER),
        (stop(SELL, 1, below=(1_000, 990)), Reason.TRIGGER_REACHED),
        (stop(BUY, 1, above=(1_000, 990)), Reason.TRIGGER_REACHED),
        (stop(SELL, 1, below=(990, 990), expiry_ms=1), Reason.BAD_TIME),
        (stop(SELL, 10**12, below=(990, 990)), Reason.INSUFFICIENT_FUNDS),
        (PlaceUntil(0, BUY, 990, 1, False, STP_NEWEST, 0, 1), Reason.BAD_TIME),
        (PlaceTrigger(7, SELL, 1, 0, 0, 990, 990), Reason.UNKNOWN_MARKET),
        (CancelAfter(1), Reason.BAD_TIME),
        (CancelAfter(2 * 10**12), Reason.BAD_TIME),
    ],
)
def test_what_makes_no_sense_is_refused(op: AnyOp, reason: Reason) -> None:
    world = make_world()
    assert send(world, "stop", op) == [reason]
    assert world.balance("stop", BASE)[1] == world.balance("stop", QUOTE)[1] == 0


def test_triggers_per_sub_account_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TRIGGERS_PER_TRADER_MAX", 2)
    world = make_world()
    ops = [stop(SELL, 1, below=(990, 900)) for _ in range(3)]
    assert send(world, "stop", *ops) == [Reason.OK, Reason.OK, Reason.TOO_MANY_TRIGGERS]


def test_a_waiting_order_is_cancelled_like_any_other_and_never_replaced() -> None:
    world = make_world()
    leg = {"below": (990, 900)}
    receipt = world.block(
        world.act("stop", *[stop(SELL, 1, client_id=i, **leg) for i in (7, 8, 0)])
    ).receipts[0]
    assert send(world, "stop", stop(SELL, 1, client_id=7, **leg)) == [Reason.DUPLICATE_CLIENT_ID]
    assert send(world, "stop", Replace(0, receipt.orders[0], 995, 1)) == [Reason.UNKNOWN_ORDER]
    assert send(world, "taker", Cancel(0, receipt.orders[0])) == [Reason.UNKNOWN_ORDER]
    assert send(world, "stop", Cancel(0, receipt.orders[0]), CancelClient(0, 8)) == [Reason.OK] * 2
    assert send(world, "stop", CancelAll(0)) == [Reason.OK]
    assert world.balance("stop", BASE) == (10**12, 0)
    index = world.state.markets[0].triggers
    assert not index.by_id
    assert not index.above + index.below
    assert not index.counts


def test_a_reached_order_is_cancelled_before_it_trades() -> None:
    world = make_world()
    send(world, "stop", stop(SELL, 5, below=(990, 900)))
    world.block(world.act("maker", Place(0, BUY, 980, 9, GTC)))
    world.block(world.act("taker", Place(0, SELL, 980, 1, IOC)))
    outcome = world.block(world.act("stop", CancelAll(0)))
    assert not outcome.fills
    assert world.balance("stop", BASE) == (10**12, 0)


def test_a_reached_fill_or_kill_that_cannot_fill_ends() -> None:
    world = make_world()
    (order,) = (
        world.block(world.act("stop", stop(SELL, 5, below=(990, 900), tif=FOK))).receipts[0].orders
    )
    trade(world, 980)
    assert closed(world.block()) == [(order, Reason.FOK_UNFILLABLE)]
    assert world.balance("stop", BASE) == (10**12, 0)


def test_an_atomic_action_takes_its_waiting_orders_back() -> None:
    world = make_world()
    later = world.time_ms + 10**6
    until = PlaceUntil(0, BUY, 990, 1, False, STP_NEWEST, 0, later)
    ops = (stop(SELL, 1, below=(990, 900)), until, CancelAfter(later), Cancel(0, 999))
    failed = Reason.ATOMIC_FAILED
    assert send(world, "stop", *ops, atomic=True) == [failed] * 3 + [Reason.UNKNOWN_ORDER]
    assert not get_open_orders(world.state, make_key("stop").address)
    assert not world.state.markets[0].expiries.due
    assert get_cancel_after(world.state, make_key("stop").address, 0) == 0


def test_orders_end_when_the_block_clock_passes_their_time() -> None:
    world = make_world()
    end = world.time_ms + 1_000
    receipt = world.block(
        world.act(
            "stop",
            PlaceUntil(0, BUY, 990, 1, False, STP_NEWEST, 0, end),
            PlaceUntil(0, BUY, 991, 1, True, STP_NEWEST, 0, end + 500),
            stop(SELL, 1, below=(990, 900), expiry_ms=end),
        )
    ).receipts[0]
    first, second, third = receipt.orders
    assert get_expiry(world.state, 0, first) == end
    assert not closed(world.block(gap_ms=800))
    assert closed(world.block(gap_ms=100)) == [(first, Reason.EXPIRED), (third, Reason.EXPIRED)]
    assert closed(world.block(gap_ms=500)) == [(second, Reason.EXPIRED)]
    assert world.balance("stop", QUOTE) == (10**12, 0)


def test_a_filled_or_cancelled_order_leaves_no_expiry() -> None:
    world = make_world()
    end = world.time_ms + 10_000
    receipt = world.block(
        world.act("maker", *[PlaceUntil(0, BUY, 990, 1, False, 0, 0, end) for _ in range(2)])
    ).receipts[0]
    world.block(world.act("taker", Place(0, SELL, 990, 1, IOC)))
    world.block(world.act("maker", Cancel(0, receipt.orders[1])))
    assert not world.state.markets[0].expiries.queue
    assert not closed(world.block(gap_ms=20_000))


def test_a_passed_cancel_after_time_cancels_every_order_of_the_sub_account_once() -> None:
    world = World(make_genesis(markets=2, mode="fair"))
    world.fund("maker", "stop")
    later = world.time_ms + 1_000
    receipt = world.block(
        world.act(
            "stop",
            CancelAfter(later),
            Place(0, BUY, 990, 1, GTC),
            Place(1, BUY, 990, 1, GTC),
            stop(SELL, 1, below=(980, 900)),
        )
    ).receipts[0]
    assert receipt.statuses[0] == Reason.OK
    assert send(world, "stop", CancelAfter(later + 1_000)) == [Reason.OK]
    assert not closed(world.block(gap_ms=1_000))
    gone = closed(world.block(gap_ms=1_000))
    assert sorted(gone) == [(order, Reason.SWITCHED_OFF) for order in receipt.orders[1:]]
    assert get_cancel_after(world.state, make_key("stop").address, 0) == 0
    assert send(world, "stop", Place(0, BUY, 990, 1, GTC)) == [Reason.OK]
    assert not closed(world.block(gap_ms=5_000))


def test_session_keys_need_the_bit_of_each_kind_and_respect_scope() -> None:
    world = make_world()
    session = make_key("session")
    grant = Grant(session.address, world.time_ms + 10**6, 1 << 8, (), encode_amount(5_000), False)
    world.block(world.act("stop", grant))
    owner = make_key("stop").address
    later = world.time_ms + 10**5
    ops = (
        stop(SELL, 5, below=(990, 900)),
        stop(SELL, 6, below=(990, 900)),
        PlaceUntil(0, BUY, 990, 1, False, STP_NEWEST, 0, later),
        CancelAfter(later),
    )
    assert world.block(world.act(session, *ops, account=owner)).receipts[0].statuses == [
        Reason.OK, Reason.OVER_KEY_NOTIONAL, Reason.KEY_LACKS_ACTION, Reason.KEY_LACKS_ACTION,
    ]  # fmt: skip


def test_a_trigger_spends_the_budget_of_its_key_at_its_dearer_limit() -> None:
    world = make_world()
    session = make_key("session")
    total = encode_amount(5_000)
    free = encode_amount(0)
    expiry = world.time_ms + 10**6
    world.block(
        world.act("stop", Grant(session.address, expiry, 1 << 8, (), free, False, total, 0))
    )
    ops = (stop(BUY, 4, above=(1_100, 1_200), below=(900, 900)), stop(SELL, 1, below=(990, 900)))
    receipt = world.block(world.act(session, *ops, account=make_key("stop").address)).receipts[0]
    assert receipt.statuses == [Reason.OK, Reason.OVER_KEY_TOTAL]


def test_a_snapshot_holds_all_that_waits() -> None:
    world = make_world()
    later = world.time_ms + 3_000
    send(
        world,
        "stop",
        CancelAfter(later + 10_000),
        stop(SELL, 5, above=(1_100, 1_100), below=(990, 900), expiry_ms=later),
        stop(SELL, 2, below=(900, 900)),
        PlaceUntil(0, BUY, 950, 3, True, STP_NEWEST, 4, later),
    )
    world.block(world.act("maker", Place(0, BUY, 980, 9, GTC)))
    world.block(world.act("taker", Place(0, SELL, 980, 1, IOC)))
    assert world.state.markets[0].triggered
    chunks = snapshot(world.state)
    other = restore(world.genesis, chunks)
    assert snapshot(other) == chunks
    twin = World(world.genesis)
    twin.state, twin.time_ms, twin.nonce = other, world.time_ms, world.nonce
    for gap in (100, 5_000, 20_000):
        assert twin.block(gap_ms=gap) == world.block(gap_ms=gap)


@pytest.mark.parametrize("status", [1, 2])
def test_reached_triggers_wait_until_the_market_is_open_again(status: int) -> None:
    world = make_world()
    send(world, "stop", stop(SELL, 5, below=(990, 900)), stop(SELL, 1, below=(900, 900)))
    world.block(world.act("maker", Place(0, BUY, 980, 9, GTC)))
    world.block(world.act("taker", Place(0, SELL, 980, 1, IOC)))
    voided = set_phase(world, 0, status)
    refused = Reason.MARKET_POST_ONLY if status == 1 else Reason.MARKET_CANCEL_ONLY
    assert send(world, "stop", stop(SELL, 1, below=(900, 900))) == [refused]
    if status == 1:  # its batch was there before the phase
        assert [fill.size for fill in voided.fills] == [5]
    else:
        assert [reason for _, reason in closed(voided)] == [refused]
    assert len(world.state.markets[0].triggers.by_id) == 1
    assert not has_waiting_batches(world.state)


def test_delisting_frees_what_waits() -> None:
    world = make_world()
    later = world.time_ms + 10**6
    send(world, "stop", stop(SELL, 5, below=(990, 900), expiry_ms=later))
    send(world, "stop", stop(SELL, 1, below=(900, 900)))
    trade(world, 980)
    set_phase(world, 0, 3)
    assert world.balance("stop", BASE) == (10**12, 0)
    market = world.state.markets[0]
    assert not market.triggers.by_id
    assert not market.expiries.queue


def set_phase(world: World, number: int, status: int) -> Outcome:
    votes = [world.act(v, SetMarket(0, number, status)) for v in world.validators[:3]]
    return world.block(*votes)
