"""Circuit breakers: a move that is too wide halts a market, and an auction opens it again."""

from __future__ import annotations

from typing import Any

import pytest

from exchange import call_auction
from exchange.actions import (
    BUY,
    IOC,
    SELL,
    Commit,
    Place,
    PlaceTrigger,
    SetMarket,
)
from exchange.execute import execute
from exchange.market import AUCTION, BY_AUCTION, BY_BREAKER, OPEN
from exchange.outcome import VOIDED, Outcome
from exchange.price_band import compute_band
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from tests.conftest import soak_factor
from tests.exchange.chaos import Chaos
from tests.exchange.test_exchange_chaos import verify_all
from tests.exchange.world import QUOTE, World, make_genesis

SEEDS = 5 * soak_factor()
WINDOW_MS = 32_000
HALT_MS = 10_000


def make_world(mode: str = "fair", **market: Any) -> World:
    """A market that trips beyond 10 % within 32 s and stands at 1,000."""
    terms = {"breaker_bps": 1_000, "price_window_ms": WINDOW_MS, "halt_ms": HALT_MS, **market}
    world = World(make_genesis(mode=mode, **terms))
    world.fund("ann", "bob", "eve")
    if mode == "fair":
        trade(world, 1_000)
    return world


def trade(world: World, price: int, seller: str = "ann", buyer: str = "bob") -> Outcome:
    world.block(world.quick(seller, Place(0, SELL, price, 1)))
    return world.block(world.quick(buyer, Place(0, BUY, price, 1, IOC)))


def status(world: World) -> int:
    return world.state.markets[0].status


@pytest.mark.parametrize(("fine", "beyond"), [(1_100, 1_101), (900, 899)])
def test_a_range_beyond_the_limit_trips_and_one_at_the_limit_does_not(
    fine: int, beyond: int
) -> None:
    world = make_world()
    assert trade(world, fine).market_changes == ()
    outcome = trade(world, beyond)
    (change,) = outcome.market_changes
    assert (change.status, change.cause) == (AUCTION, BY_BREAKER)
    assert change.reopens_ms == outcome.time_ms + HALT_MS
    assert status(world) == AUCTION


def test_the_range_is_that_of_the_window_and_both_ways_count() -> None:
    world = make_world()
    trade(world, 1_060)
    assert trade(world, 950).market_changes[0].cause == BY_BREAKER
    world = make_world()
    trade(world, 1_060)
    world.block(gap_ms=2 * WINDOW_MS)
    trade(world, 1_060)
    world.block(gap_ms=2 * WINDOW_MS)
    assert trade(world, 960).market_changes == (), "what the window has forgotten does not count"


def test_it_opens_by_itself_through_an_auction_and_forgets_what_tripped_it() -> None:
    world = make_world()
    trade(world, 1_200)
    world.block(world.quick("ann", Place(0, SELL, 1_150, 3)))
    world.block(world.quick("bob", Place(0, BUY, 1_250, 2)))
    assert world.block(gap_ms=HALT_MS // 2).fills == ()
    outcome = world.block(gap_ms=HALT_MS)
    assert [(f.price, f.size) for f in outcome.fills] == [(1_200, 2)]
    assert [(c.status, c.cause) for c in outcome.market_changes] == [(OPEN, BY_AUCTION)]
    assert trade(world, 1_150).market_changes == ()


def test_it_opens_without_a_trade_if_nothing_crosses() -> None:
    world = make_world()
    trade(world, 1_200)
    outcome = world.block(gap_ms=HALT_MS)
    assert (outcome.fills, outcome.auctions[0].price, status(world)) == ((), 0, OPEN)
    assert world.state.markets[0].last_price == 1_200
    assert trade(world, 1_201).market_changes == ()


def test_a_halt_gives_commits_back_whole_and_keeps_reached_orders() -> None:
    world = make_world("sealed", open_window_ms=0)

    def seal(trader: str, order: Place, salt: bytes) -> tuple[Any, Any]:
        world.nonce += 1
        nonce = world.nonce
        sealed = world.hash_commit(trader, (order,), salt, nonce)
        hold = (1, 3) if order.side else (0, 6)
        commit = world.act(trader, Commit(0, *hold, sealed), nonce=nonce)
        return commit, world.opening(sealed, (order,), salt)

    def clear(trader: str, order: Place, salt: bytes) -> Outcome:
        commit, opening = seal(trader, order, salt)
        world.block(commit)
        world.block()
        return world.block(world.act(trader, opening))

    world.block(world.quick("ann", Place(0, SELL, 1_000, 1), Place(0, SELL, 1_200, 1)))
    clear("bob", Place(0, BUY, 1_000, 1, IOC), b"\x01" * 32)
    stop = PlaceTrigger(0, BUY, 1, 1_100, 1_300, 0, 0, IOC)
    world.block(world.quick("eve", stop))
    first, opening = seal("bob", Place(0, BUY, 1_200, 1, IOC), b"\x02" * 32)
    world.block(first)
    late, _ = seal("eve", Place(0, BUY, 1_000, 1, IOC), b"\x03" * 32)
    before = world.balance("eve", QUOTE)
    world.block(late, world.quick("ann", Place(0, SELL, 1_150, 5)))
    outcome = world.block(world.act("bob", opening))
    assert outcome.market_changes[0].cause == BY_BREAKER
    assert [e.kind for e in outcome.commits][-1] == VOIDED
    assert outcome.resolutions[-1].status in (Reason.MARKET_AUCTION, Reason.OK)
    free, held = world.balance("eve", QUOTE)
    assert held == before[1]
    assert free == before[0] - 10, "only the fee of the commit is gone"
    assert world.insurance(QUOTE) == 0
    market = world.state.markets[0]
    assert market.book.get_best(1) == 1_150, "visible orders of later batches are collected"
    world.block(gap_ms=HALT_MS)
    assert [f.price for f in world.block().fills] == [1_200], "the stop acts once it is open"


def test_the_committee_may_end_a_halt_and_no_bot_can_extend_it() -> None:
    world = make_world()
    trade(world, 1_200)
    due = world.state.markets[0].reopens_ms
    trade(world, 1_400)
    assert world.state.markets[0].reopens_ms == due
    votes = [world.act(v, SetMarket(0, 1, OPEN)) for v in world.validators[:3]]
    outcome = world.block(*votes)
    assert [f.price for f in outcome.fills] == [1_400]
    assert status(world) == OPEN


def test_tripping_it_with_two_own_accounts_costs_fees_and_the_book_between() -> None:
    """In an empty book two fees of one lot; else everything that stands up to the limit.

    The halt that it buys is bounded, cancels and withdrawals go on, and a commit gains nothing by
    it but its release.
    """
    world = make_world(maker_bps=10, taker_bps=20)
    fees = world.state.fees[QUOTE]
    trade(world, 1_101, "eve", "bob")
    assert status(world) == AUCTION
    assert world.state.fees[QUOTE] - fees == 2 + 3
    world = make_world(maker_bps=10, taker_bps=20)
    depth = [Place(0, SELL, 1_000 + 10 * i, 50) for i in range(1, 11)]
    world.block(world.quick("ann", *depth))
    before = world.balance("eve", QUOTE)[0]
    world.block(world.quick("bob", Place(0, SELL, 1_101, 1)))
    outcome = world.block(world.quick("eve", Place(0, BUY, 1_101, 501, IOC)))
    assert status(world) == AUCTION
    paid = before - world.balance("eve", QUOTE)[0]
    assert paid > sum(p.price * p.size for p in depth)
    assert sum(f.size for f in outcome.fills) == 501


def test_a_self_trade_of_one_account_trips_nothing() -> None:
    world = make_world()
    assert trade(world, 1_500, "eve", "eve").fills == ()
    assert status(world) == OPEN


def test_halts_restarts_and_replays_agree_under_random_flow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Trips and reopenings in all modes; snapshot and restore after every block."""
    monkeypatch.setattr(call_auction, "AUCTION_STEPS_PER_BLOCK", 4)
    trips = reopened = 0
    for seed in range(SEEDS):
        chaos = Chaos(seed, breaker_bps=18, band_bps=60, price_window_ms=3_200, halt_ms=1_000)
        chaos.first_block()
        state = chaos.world.state
        other = restore(chaos.world.genesis, snapshot(state))
        for _ in range(50):
            block = chaos.make_block()
            statuses = [market.status for market in state.markets]
            uncrossing = [market.uncrossing for market in state.markets]
            outcome = execute(state, block)
            verify_all(state)
            assert execute(other, block).state_root == outcome.state_root
            other = restore(chaos.world.genesis, snapshot(other))
            assert snapshot(other) == snapshot(state)
            trips += sum(change.cause == BY_BREAKER for change in outcome.market_changes)
            reopened += sum(change.cause == BY_AUCTION for change in outcome.market_changes)
            held = {auction.market for auction in outcome.auctions}
            for fill in outcome.fills:
                if statuses[fill.market] == AUCTION:
                    assert uncrossing[fill.market] or fill.market in held
            for market in state.markets:
                low, high = compute_band(market, state.time_ms)
                assert 0 < low <= high
    assert trips > 2 * SEEDS
    assert reopened >= SEEDS
