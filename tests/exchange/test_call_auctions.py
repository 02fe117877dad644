"""Call auctions: the price is optimal, nobody trades beyond a limit, nothing is left crossed."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import call_auction
from exchange.accounts import Account
from exchange.actions import (
    BUY,
    FOK,
    GTC,
    IOC,
    POST_ONLY,
    SELL,
    Cancel,
    Commit,
    Place,
    PlaceIceberg,
    PlaceSchedule,
    PlaceTrigger,
    Replace,
    SetMarket,
)
from exchange.call_price import CallPrice, find_call_price
from exchange.execute import execute
from exchange.market import AUCTION, BY_AUCTION, CANCEL_ONLY, OPEN
from exchange.market import POST_ONLY as ONLY_POST
from exchange.order_book import Book, make_order
from exchange.outcome import Fill, Outcome
from exchange.queries import has_waiting_batches
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from exchange.uniform_price import find_price
from tests.conftest import soak_factor
from tests.exchange.chaos import Chaos
from tests.exchange.test_exchange_chaos import verify_all
from tests.exchange.world import QUOTE, World, make_genesis

SEEDS = 5 * soak_factor()
NAMES = ("ann", "bob", "eve", "dan")
prices = st.dictionaries(st.integers(1, 12), st.integers(1, 6), max_size=8)


def make_world(mode: str = "fair", **market: Any) -> World:
    """One market that opens with an auction after ten seconds."""
    world = World(make_genesis(mode=mode, **{"opening_ms": 10_000, **market}))
    world.fund(*NAMES)
    return world


def place(world: World, name: str, *ops: Any) -> list[int]:
    return world.block(world.quick(name, *ops)).receipts[0].statuses


def finish(world: World) -> list[Outcome]:
    """The block of the auction, and those that it needs to end."""
    outcomes = [world.block(gap_ms=20_000)]
    while world.state.markets[0].uncrossing:
        outcomes.append(world.block())
    return outcomes


def fills(outcomes: list[Outcome]) -> list[Fill]:
    return [fill for outcome in outcomes for fill in outcome.fills]


def make_book(bids: dict[int, int], asks: dict[int, int]) -> Book:
    book = Book()
    account = Account(1, bytes(20))
    balance = account.open_balance(0, 0)
    trader = account.add_trader(0, 0, balance, balance)
    for side, levels in ((BUY, bids), (SELL, asks)):
        for price, size in levels.items():
            book.rest(make_order(price, trader, side, price, size, 0, 0, 0, 0))
    return book


@given(bids=prices, asks=prices, reference=st.integers(1, 15))
def test_the_price_is_that_of_a_search_over_all_prices(
    bids: dict[int, int], asks: dict[int, int], reference: int
) -> None:
    """Most volume, least imbalance, nearest to the reference, lower."""
    found = find_call_price(make_book(bids, asks), reference)
    assert found is not None

    def surplus(p: int) -> int:
        return sum(s for q, s in bids.items() if q >= p) - sum(s for q, s in asks.items() if q <= p)

    def volume(p: int) -> int:
        return min(
            sum(s for q, s in bids.items() if q >= p), sum(s for q, s in asks.items() if q <= p)
        )

    best = max(range(1, 20), key=lambda p: (volume(p), -abs(surplus(p)), -abs(p - reference), -p))
    if volume(best) == 0:
        assert found == CallPrice(0, 0, 0)
    else:
        assert found == CallPrice(best, volume(best), surplus(best))
    assert found[:2] == find_price(list(bids.items()), list(asks.items()), reference)


def test_what_a_book_deeper_than_asked_for_gives_is_not_told() -> None:
    book = make_book(dict.fromkeys(range(50, 60), 1), dict.fromkeys(range(1, 11), 1))
    assert find_call_price(book, 30, 5) is None
    assert find_call_price(book, 30, 11) == CallPrice(30, 10, 0)


def test_a_market_opens_by_an_auction_at_one_price() -> None:
    world = make_world()
    assert place(world, "ann", Place(0, BUY, 1_010, 5), Place(0, BUY, 1_005, 5)) == [0, 0]
    assert place(world, "bob", Place(0, SELL, 990, 4), Place(0, SELL, 1_004, 4, POST_ONLY)) == [
        0,
        0,
    ]
    market = world.state.markets[0]
    assert (market.status, market.book.get_best(0), market.book.get_best(1)) == (
        AUCTION,
        1_010,
        990,
    )
    outcome = world.block(gap_ms=20_000)
    assert outcome.auctions[0].price == 1_004
    assert (outcome.auctions[0].size, outcome.auctions[0].surplus) == (8, 2)
    assert [(f.price, f.size) for f in outcome.fills] == [(1_004, 4), (1_004, 1), (1_004, 3)]
    change = outcome.market_changes[0]
    assert (change.status, change.cause, market.status) == (OPEN, BY_AUCTION, OPEN)
    assert market.last_price == 1_004
    assert market.book.get_best(0) == 1_005


def test_who_came_later_is_the_taker_and_holds_come_back() -> None:
    world = make_world(maker_bps=10, taker_bps=20)
    place(world, "ann", Place(0, SELL, 1_000, 100))
    place(world, "bob", Place(0, BUY, 1_100, 100))
    (fill,) = fills(finish(world))
    assert (fill.price, fill.taker_side, fill.maker_account) == (1_000, BUY, world.number("ann"))
    assert (fill.maker_fee, fill.taker_fee) == (100, 200)
    assert world.balance("bob", QUOTE) == (10**12 - 100_000 - 200, 0)
    assert world.balance("ann", QUOTE) == (10**12 + 100_000 - 100, 0)


@pytest.mark.parametrize("mode", ["fair", "sealed"])
def test_what_is_taken_and_refused_while_orders_are_collected(mode: str) -> None:
    world = make_world(mode)
    assert place(
        world,
        "ann",
        Place(0, BUY, 1_000, 1, GTC),
        Place(0, BUY, 1_000, 1, IOC),
        Place(0, BUY, 1_000, 1, FOK),
        Place(0, SELL, 900, 1, POST_ONLY),
        PlaceIceberg(0, BUY, 990, 4, 2, 0, 0, 0),
        PlaceTrigger(0, SELL, 1, 0, 0, 900, 1, IOC),
        PlaceTrigger(0, SELL, 1, 0, 0, 900, 1, FOK),
        PlaceSchedule(0, BUY, 990, 4, 2, 1_000, 0),
    ) == [0, 0, Reason.MARKET_AUCTION, 0, 0, 0, Reason.MARKET_AUCTION, 0]
    commit = place(world, "ann", Commit(0, 0, 4, b"\x01" * 32))
    assert commit == [Reason.MARKET_AUCTION if mode == "sealed" else Reason.NOT_SEALED]
    assert world.state.markets[0].book.orders[1].tif == (POST_ONLY if mode == "sealed" else GTC)


def test_orders_for_the_auction_only_end_with_it() -> None:
    world = make_world()
    place(world, "ann", Place(0, BUY, 1_000, 5, IOC), Place(0, BUY, 990, 5, IOC))
    place(world, "bob", Place(0, SELL, 1_000, 2))
    (outcome,) = finish(world)
    assert [fill.size for fill in outcome.fills] == [2]
    reasons = [event.reason for event in outcome.orders]
    assert reasons == [Reason.PARTLY_FILLED, Reason.IOC_UNFILLED]
    assert world.balance("ann", QUOTE)[1] == 0
    assert not world.state.markets[0].book.bids.keys


def test_collected_orders_are_cancelled_and_replaced_without_a_trade() -> None:
    world = make_world("sealed")
    place(world, "ann", Place(0, BUY, 1_000, 5), Place(0, BUY, 1_001, 5, IOC))
    place(world, "bob", Place(0, SELL, 1_050, 5))
    assert place(world, "ann", Cancel(0, 1), Replace(0, 2, 1_060, 3)) == [0, 0]
    assert place(world, "bob", Replace(0, 3, 1_040, 5)) == [0]
    assert world.state.markets[0].auction_only.keys() == {2}
    assert [(f.price, f.size) for f in fills(finish(world))] == [(1_040, 3)]


def test_self_trades_are_taken_off_before_the_price_is_sought() -> None:
    """Crossing oneself adds nothing to demand and supply: the price is that of what can trade."""
    world = make_world()
    place(world, "eve", Place(0, BUY, 1_200, 500), Place(0, SELL, 1_200, 500))
    place(world, "ann", Place(0, BUY, 1_000, 5))
    place(world, "bob", Place(0, SELL, 1_000, 7))
    outcomes = finish(world)
    assert [(f.price, f.size, f.taker_account) for f in fills(outcomes)] == [
        (1_001, 7, world.number("bob"))
    ]
    assert fills(outcomes)[0].maker_account == world.number("eve"), "its buy was the best bid"
    assert world.state.markets[0].book.get_best(0) == 1_000
    assert world.state.markets[0].book.get_best(1) == 1_200


def test_a_deep_auction_takes_several_blocks_and_lets_nobody_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes while it is carried out waits, and the price does not change: no last look."""
    monkeypatch.setattr(call_auction, "AUCTION_STEPS_PER_BLOCK", 2)
    world = make_world()
    place(world, "ann", *[Place(0, BUY, 1_000 + i, 1) for i in range(5)])
    place(
        world, "bob", *[Place(0, SELL, 1_000 - i, 1) for i in range(5)], Place(0, SELL, 1, 1, IOC)
    )
    first = world.block(gap_ms=20_000)
    assert len(first.fills) == 2
    assert has_waiting_batches(world.state)
    later = world.act("ann", Cancel(0, 1), Place(0, BUY, 1_000, 1))
    second = world.block(later)
    assert second.receipts[0].statuses == [Reason.PENDING, Reason.MARKET_AUCTION]
    third = world.block()
    found = [*first.fills, *second.fills, *third.fills]
    assert {f.price for f in found} == {first.auctions[0].price}
    assert len(found) == 5
    assert [r.status for r in third.resolutions] == [Reason.UNKNOWN_ORDER], "it had traded"
    assert world.state.markets[0].status == OPEN
    assert not has_waiting_batches(world.state)


def vote(world: World, status: int, number: int) -> Outcome:
    return world.block(*(world.act(v, SetMarket(0, number, status)) for v in world.validators[:3]))


def test_the_committee_calls_ends_and_stops_auctions() -> None:
    world = World(make_genesis(mode="fair", halt_ms=5_000))
    world.fund(*NAMES)
    vote(world, AUCTION, 0)
    market = world.state.markets[0]
    assert (market.status, market.reopens_ms) == (AUCTION, world.time_ms + 5_000)
    place(world, "ann", Place(0, BUY, 1_010, 5))
    place(world, "bob", Place(0, SELL, 1_000, 5), Place(0, SELL, 990, 1, IOC))
    vote(world, ONLY_POST, 1)
    world.block(gap_ms=50_000)
    assert (market.status, market.book.get_best(0), market.book.get_best(1)) == (
        ONLY_POST,
        1_010,
        990,
    )
    assert place(world, "ann", Place(0, BUY, 1_005, 5)) == [Reason.POST_ONLY_CROSSES]
    done = vote(world, OPEN, 2)
    assert [f.price for f in done.fills] == [1_000, 1_000], "it opens by the auction, at once"
    assert [c.status for c in done.market_changes] == [AUCTION, OPEN]
    vote(world, AUCTION, 4)
    place(world, "ann", Place(0, BUY, 1_000, 5))
    vote(world, CANCEL_ONLY, 5)
    world.block(gap_ms=50_000)
    assert market.status == CANCEL_ONLY
    assert place(world, "ann", Cancel(0, world.state.next_order - 1)) == [0]


def test_a_decision_in_the_block_of_an_order_lets_nothing_match_past_the_auction() -> None:
    world = make_world()
    place(world, "ann", Place(0, BUY, 1_010, 5))
    votes = [world.act(v, SetMarket(0, 0, ONLY_POST)) for v in world.validators[:3]]
    outcome = world.block(world.act("bob", Place(0, SELL, 1_000, 5, IOC)), *votes)
    assert outcome.receipts[0].statuses == [Reason.MARKET_POST_ONLY]
    assert outcome.fills == ()


def test_triggers_wait_for_the_market_to_open_and_see_the_price_of_the_auction() -> None:
    world = make_world()
    place(world, "eve", PlaceTrigger(0, SELL, 2, 0, 0, 950, 900, IOC))
    place(world, "ann", Place(0, BUY, 940, 5))
    place(world, "bob", Place(0, SELL, 940, 1))
    (outcome,) = finish(world)
    assert [f.price for f in outcome.fills] == [940]
    assert [(f.price, f.size) for f in world.block().fills] == [(940, 2)]


class Asked:
    """An order of the brute-force auction."""

    def __init__(self, place: int, name: str, op: Place) -> None:
        self.place, self.name, self.op, self.left = place, name, op, op.size


def brute_force(asked: list[Asked], reference: int) -> tuple[int, dict[tuple[int, int], int]]:
    """Price and lots per pair, from lists that are sorted; one owner per side."""
    bids = sorted((o for o in asked if not o.op.side), key=lambda o: (-o.op.price, o.place))
    asks = sorted((o for o in asked if o.op.side), key=lambda o: (o.op.price, o.place))
    price, volume = find_price(
        [(o.op.price, o.op.size) for o in bids],
        [(o.op.price, o.op.size) for o in asks],
        reference,
    )
    pairs: dict[tuple[int, int], int] = {}
    while volume:
        size = min(bids[0].left, asks[0].left, volume)
        pairs[bids[0].place, asks[0].place] = size
        volume -= size
        for queue in (bids, asks):
            queue[0].left -= size
            if queue[0].left == 0:
                queue.pop(0)
    return price, pairs


def test_every_pair_is_that_of_a_brute_force_auction(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(SEEDS):
        rng = random.Random(seed)
        monkeypatch.setattr(call_auction, "AUCTION_STEPS_PER_BLOCK", rng.choice((1, 3, 4_096)))
        world = make_world(tick=3)
        asked: list[Asked] = []
        for number in range(rng.randrange(2, 40)):
            side = rng.randrange(2)
            name = NAMES[2 * rng.randrange(2) + side]
            op = Place(
                0, side, 1_000 + rng.randrange(-9, 10), rng.randrange(1, 30), rng.choice((0, 1, 3))
            )
            assert place(world, name, op) == [0]
            asked.append(Asked(number + 1, name, op))
        price, pairs = brute_force(asked, world.state.markets[0].last_price)
        found = fills(finish(world))
        got = {}
        for fill in found:
            pair = (fill.taker_order, fill.maker_order)
            assert pair[0] > pair[1]
            assert fill.price == price
            got[pair if fill.taker_side == BUY else pair[::-1]] = fill.size
        assert got == pairs
        for fill in found:
            for order_id in (fill.taker_order, fill.maker_order):
                op = asked[order_id - 1].op
                assert price >= op.price if op.side else price <= op.price
        book = world.state.markets[0].book
        assert not (book.bids.keys and book.asks.keys) or book.get_best(0) < book.get_best(1)
        assert all(order.tif != IOC for order in book.orders.values())


def test_the_auction_mode_collects_and_matches_at_its_interval() -> None:
    world = World(make_genesis(mode="auction", auction_interval_ms=5_000))
    world.fund(*NAMES)
    stop = PlaceTrigger(0, BUY, 3, 1_000, 1_100, 0, 0, IOC)
    assert place(world, "eve", Place(0, BUY, 990, 1, FOK)) == [Reason.MARKET_AUCTION]
    assert place(world, "eve", PlaceTrigger(0, BUY, 3, 1_000, 1_100, 0, 0, FOK)) == [
        Reason.MARKET_AUCTION
    ]
    place(world, "ann", Place(0, BUY, 995, 5))
    place(world, "bob", Place(0, SELL, 990, 2), Place(0, SELL, 1_000, 9))
    assert world.state.markets[0].last_price == 1_000
    assert place(world, "eve", stop) == [Reason.TRIGGER_REACHED]
    first = world.block(gap_ms=5_000)
    assert [(f.price, f.size) for f in first.fills] == [(995, 2)]
    assert place(world, "eve", stop) == [Reason.OK]
    place(world, "ann", Place(0, BUY, 1_000, 9, IOC))
    second = world.block(gap_ms=5_000)
    assert [(f.price, f.size) for f in second.fills] == [(1_000, 9)]
    assert second.orders[-1].order_id == world.state.next_order - 2, "the stop was reached"
    world.block()
    assert world.state.markets[0].auction_only, "its order waits for the next auction"
    place(world, "bob", Place(0, SELL, 1_050, 9))
    third = world.block(gap_ms=5_000)
    assert [(f.price, f.size, f.taker_side) for f in third.fills] == [(1_050, 3, SELL)]


def test_the_next_auction_is_due_an_interval_after_the_end_of_the_one_before() -> None:
    world = World(make_genesis(mode="auction", auction_interval_ms=5_000))
    world.fund(*NAMES)
    assert world.state.markets[0].reopens_ms == world.time_ms + 5_000
    assert world.block(gap_ms=5_000).auctions
    assert world.state.markets[0].reopens_ms == world.time_ms + 5_000, "told at once"
    assert not world.block(gap_ms=4_999).auctions
    assert world.block(gap_ms=1).auctions


def test_in_the_auction_mode_nothing_matches_in_any_phase_but_in_auctions() -> None:
    world = World(make_genesis(mode="auction", auction_interval_ms=5_000))
    world.fund(*NAMES)
    place(world, "ann", Place(0, BUY, 1_010, 5))
    votes = [world.act(v, SetMarket(0, 0, ONLY_POST)) for v in world.validators[:3]]
    outcome = world.block(world.act("bob", Place(0, SELL, 1_000, 5)), *votes)
    assert outcome.fills == ()
    assert place(world, "bob", Place(0, SELL, 1_000, 5, IOC)) == [Reason.MARKET_POST_ONLY]
    assert place(world, "bob", Place(0, SELL, 1_001, 5)) == [Reason.OK]
    assert world.block(gap_ms=50_000).fills == ()
    done = vote(world, OPEN, 1)
    assert [f.size for f in done.fills] == [5]


def test_invariants_and_restarts_hold_in_auctions_whatever_traders_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Snapshot and restore after every block, also in the middle of auctions."""
    monkeypatch.setattr(call_auction, "AUCTION_STEPS_PER_BLOCK", 5)
    auctions = middles = traded = 0
    for seed in range(SEEDS):
        chaos = Chaos(seed, mode="auction", auction_interval_ms=1_000, opening_ms=seed % 2 * 2_000)
        chaos.first_block()
        state = chaos.world.state
        other = restore(chaos.world.genesis, snapshot(state))
        for _ in range(50):
            block = chaos.make_block()
            outcome = execute(state, block)
            verify_all(state)
            assert execute(other, block).state_root == outcome.state_root
            other = restore(chaos.world.genesis, snapshot(other))
            assert snapshot(other) == snapshot(state)
            auctions += len(outcome.auctions)
            for market in state.markets:
                middles += market.uncrossing
                bid, ask = market.book.get_best(0), market.book.get_best(1)
                if (
                    outcome.auctions
                    and not market.uncrossing
                    and market.id in {a.market for a in outcome.auctions}
                ):
                    assert not (bid and ask) or bid < ask
            for fill in outcome.fills:
                assert fill.maker_account != fill.taker_account
            traded += len(outcome.fills)
    assert auctions > 8 * SEEDS
    assert middles > SEEDS
    assert traded > 20 * SEEDS
