"""Price bands: whoever takes never trades beyond them, and no market is kept from its price."""

from __future__ import annotations

import random

import pytest

from exchange.actions import (
    BUY,
    GTC,
    IOC,
    POST_ONLY,
    SELL,
    Commit,
    Place,
    PlaceBracket,
    PlaceIceberg,
    PlaceTrigger,
    PlaceUntil,
    Replace,
)
from exchange.execute import execute
from exchange.limits import PRICE_SLOTS, PRICE_TICKS_MAX
from exchange.outcome import Outcome
from exchange.price_band import compute_band
from exchange.price_window import PriceWindow
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from tests.conftest import soak_factor
from tests.exchange.chaos import Chaos
from tests.exchange.test_exchange_chaos import verify_all
from tests.exchange.world import BASE, QUOTE, World, make_genesis

SEEDS = 12 * soak_factor()
WINDOW_MS = 32_000
SLOT_MS = WINDOW_MS // PRICE_SLOTS


def make_world(mode: str = "fair", **market: int | str) -> World:
    """One market with a band of 10 %, whose first trade was at 1,000."""
    world = World(make_genesis(mode=mode, band_bps=1_000, price_window_ms=WINDOW_MS, **market))
    world.fund("ann", "bob", "eve")
    if mode == "fair":
        trade(world, 1_000)
    return world


def trade(world: World, price: int, gap_ms: int = 100) -> Outcome:
    world.block(world.quick("ann", Place(0, SELL, price, 1)))
    return world.block(world.quick("bob", Place(0, BUY, price, 1, IOC)), gap_ms=gap_ms)


def band(world: World) -> tuple[int, int]:
    return compute_band(world.state.markets[0], world.state.time_ms)


def place(world: World, *ops: object) -> list[int]:
    return world.block(world.quick("eve", *ops)).receipts[0].statuses  # type: ignore[arg-type]


def test_orders_beyond_the_band_are_refused_on_the_side_that_harms() -> None:
    world = make_world()
    assert band(world) == (900, 1_100)
    assert (
        place(
            world,
            Place(0, BUY, 1_101, 1, IOC),
            Place(0, BUY, 1_101, 1, POST_ONLY),
            PlaceUntil(0, SELL, 899, 1, False, 0, 0, world.time_ms + 10**6),
            PlaceIceberg(0, SELL, 899, 4, 2, 0, 0, 0),
            PlaceBracket(0, BUY, 1_101, 1, GTC, 0, 0, 2_000, 2_000, 0, 0, IOC),
        )
        == [Reason.OUTSIDE_BAND] * 5
    )
    assert world.balance("eve", QUOTE)[1] == world.balance("eve", BASE)[1] == 0
    fine = (Place(0, BUY, 1_100, 1, IOC), Place(0, BUY, 1, 1), Place(0, SELL, 10**6, 1))
    assert place(world, *fine) == [Reason.IOC_UNFILLED, Reason.OK, Reason.OK]


def test_a_replacement_is_held_to_the_band_unless_its_price_stays() -> None:
    world = make_world()
    world.block(world.quick("eve", Place(0, SELL, 1_050, 9)))
    order = world.state.next_order - 1
    assert place(world, Replace(0, order, 899, 9)) == [Reason.OUTSIDE_BAND]
    assert place(world, Replace(0, order, 1_050, 8)) == [Reason.OK]


def test_a_refusal_fails_an_atomic_action() -> None:
    world = make_world()
    outcome = world.block(
        world.quick("eve", Place(0, SELL, 1_050, 1), Place(0, BUY, 1_101, 1), atomic=True)
    )
    assert outcome.receipts[0].statuses == [Reason.ATOMIC_FAILED, Reason.OUTSIDE_BAND]


def test_no_band_without_a_trade_or_where_none_is_set() -> None:
    world = World(make_genesis(mode="fair", band_bps=1_000))
    assert band(world) == (1, PRICE_TICKS_MAX)
    world = World(make_genesis(mode="fair"))
    world.fund("ann", "bob", "eve")
    trade(world, 1_000)
    assert band(world) == (1, PRICE_TICKS_MAX)
    assert world.state.markets[0].window.last_ms == 0


def test_the_reference_follows_in_time_and_not_in_the_slot_of_the_trade() -> None:
    world = make_world()
    trade(world, 1_080)
    first = band(world)
    assert first == (900, 1_100)
    seen = []
    for _ in range(PRICE_SLOTS + 2):
        world.block(gap_ms=SLOT_MS)
        seen.append(world.state.markets[0].window.get_reference(world.state.time_ms))
    assert seen == sorted(seen)
    assert seen[0] < 1_006
    assert seen[-1] == 1_080


def test_the_band_widens_while_nobody_trades_and_then_starts_anew() -> None:
    """A market whose true price left the band finds it again within a few windows."""
    world = make_world()
    assert place(world, Place(0, SELL, 750, 1)) == [Reason.OUTSIDE_BAND]
    world.block(gap_ms=2 * WINDOW_MS)
    assert band(world) == (700, 1_300)
    outcome = trade(world, 750)
    assert [fill.price for fill in outcome.fills] == [750]
    assert band(world) == (675, 825), "the band goes with the market"


def test_triggers_join_their_batch_within_the_band_of_that_time() -> None:
    """A stop with a limit of one tick does not fall through an empty book."""
    world = make_world()
    world.block(
        world.quick("eve", PlaceTrigger(0, SELL, 5, 0, 0, 990, 1, IOC)),
        world.quick("ann", Place(0, BUY, 950, 2), Place(0, BUY, 880, 9)),
    )
    trade(world, 990)
    outcome = world.block()
    assert [fill.price for fill in outcome.fills] == [950]
    assert outcome.orders[-1].reason == Reason.PARTLY_FILLED


@pytest.mark.parametrize("matching", ["uniform", "shuffle"])
def test_opened_orders_are_clipped_and_neither_void_nor_forfeited(matching: str) -> None:
    """A limit beyond the band is no way out of a commit."""
    world = make_world("sealed", matching=matching, open_window_ms=0)

    def seal(trader: str, order: Place, salt: bytes) -> Outcome:
        world.nonce += 1
        nonce = world.nonce
        sealed = world.hash_commit(trader, (order,), salt, nonce)
        hold = 1 if order.side else 0
        commit = Commit(0, hold, 3 if hold else 6, sealed)
        world.block(world.act(trader, commit, nonce=nonce))
        world.block()
        return world.block(world.act(trader, world.opening(sealed, (order,), salt)))

    world.block(world.quick("ann", Place(0, SELL, 1_000, 1)))
    seal("bob", Place(0, BUY, 1_000, 1, IOC), b"\x01" * 32)
    assert band(world) == (900, 1_100)
    world.block(world.quick("ann", Place(0, SELL, 1_090, 2), Place(0, SELL, 1_150, 2)))
    outcome = seal("bob", Place(0, BUY, 1_200, 4, IOC), b"\x02" * 32)
    assert {fill.price for fill in outcome.fills} <= {1_090, 1_091, 1_100}
    assert sum(fill.size for fill in outcome.fills) == 2
    assert world.insurance(QUOTE) == 0
    assert world.balance("bob", QUOTE)[1] == 0


def test_the_mean_of_the_slots_is_that_of_a_list_of_all_prices() -> None:
    rng = random.Random(7)
    for _ in range(60):
        window = PriceWindow(32 * 10, 500)
        prices: dict[int, int] = {}
        lows: dict[int, int] = {}
        highs: dict[int, int] = {}
        now = 10_000
        start = last = 0
        for _ in range(rng.randrange(1, 60)):
            now += rng.choice((0, 1, 5, 10, 40, 400))
            slot = now // 10
            price = rng.randrange(300, 700)
            low, high = price - rng.randrange(5), price + rng.randrange(5)
            start = start or price
            window.note(now, low, high, price)
            prices[slot] = price
            lows[slot] = min(lows.get(slot, low), low)
            highs[slot] = max(highs.get(slot, high), high)
            assert len(window.slots) <= PRICE_SLOTS + 1
            last = slot

            def price_at(number: int) -> int:
                known = [s for s in prices if s <= number]  # noqa: B023
                return prices[max(known)] if known else start  # noqa: B023

            mean = sum(price_at(n) for n in range(last - 32, last)) // 32
            assert window.get_reference(now) == mean
            inside = [n for n in prices if n > last - 32]
            low = min([price_at(last - 32), *(lows[n] for n in inside)])
            high = max([price_at(last - 32), *(highs[n] for n in inside)])
            assert window.get_range(now) == (low, high)


def test_no_taker_trades_beyond_the_band_whatever_traders_send() -> None:
    """A buyer who takes pays at most the upper edge, a seller gets at least the lower one."""
    refused = 0
    for seed in range(SEEDS):
        chaos = Chaos(seed, band_bps=30, price_window_ms=3_200)
        chaos.first_block()
        state = chaos.world.state
        for number in range(50):
            block = chaos.make_block()
            edges = [compute_band(market, block.time_ms) for market in state.markets]
            outcome = execute(state, block)
            verify_all(state)
            first: dict[int, int] = {}
            for fill in outcome.fills:
                low, high = edges[fill.market]
                if first.setdefault(fill.market, fill.batch) == fill.batch:
                    assert fill.price >= low if fill.taker_side else fill.price <= high
            refused += sum(r.statuses.count(Reason.OUTSIDE_BAND) for r in outcome.receipts)
            if number % 16 == 7:
                again = restore(chaos.world.genesis, snapshot(state))
                assert snapshot(again) == snapshot(state)
    assert refused > SEEDS
