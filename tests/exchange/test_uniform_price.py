"""The uniform auction: the price is optimal, the allotment is by rule, nothing is left crossed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import auction, uniform_price
from exchange.actions import BUY, FOK, GTC, IOC, SELL, Commit, Place
from exchange.conservation import verify_books, verify_conservation, verify_holds
from exchange.outcome import Outcome
from exchange.queries import get_depth, get_open_orders
from exchange.reasons import Reason
from exchange.uniform_price import find_price, share_pro_rata
from tests.conftest import soak_factor
from tests.exchange.world import World, make_genesis

quotes = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 20)), max_size=8)
BATCHES = 250 * soak_factor()


def scan(
    bids: list[tuple[int, int]], asks: list[tuple[int, int]], reference: int, top: int
) -> tuple[int, int]:
    """Look at every price there is."""
    best = None
    for price in range(1, top):
        demand = sum(size for limit, size in bids if limit >= price)
        supply = sum(size for limit, size in asks if limit <= price)
        volume = min(demand, supply)
        rank = (-volume, abs(demand - supply), abs(price - reference), price)
        if volume and (best is None or rank < best):
            best = rank
    return (0, 0) if best is None else (best[3], -best[0])


@given(quotes, quotes, st.integers(1, 40))
def test_price_is_the_best_of_all_prices(
    bids: list[tuple[int, int]], asks: list[tuple[int, int]], reference: int
) -> None:
    assert find_price(bids, asks, reference) == scan(bids, asks, reference, 60)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=9), st.data())
def test_pro_rata_gives_everything_and_nobody_too_much(
    sizes: list[int], data: st.DataObject
) -> None:
    available = data.draw(st.integers(0, sum(sizes)))
    shares = share_pro_rata(sizes, available)
    assert sum(shares) == available
    for share, size in zip(shares, sizes, strict=True):
        assert 0 <= share <= size
        assert abs(share * sum(sizes) - available * size) <= sum(sizes)


def trade(
    world: World, orders: list[tuple[str, Place]], maker: list[Place] | None = None
) -> Outcome:
    """Commit all in one block, open all in a later one."""
    if maker:
        world.block(world.quick("maker", *maker))
    commits, openings = [], []
    for i, (name, place) in enumerate(orders):
        salt = bytes([i]) * 32
        world.quick(name, place)  # remembers the address
        action = world.quick(name, place)
        action.domain = world_domain(world)
        sealed = world.hash_commit(name, (place,), salt, action.nonce_ms)
        tier = 12 if place.side == BUY else 9
        action.ops = (Commit(0, place.side, tier, sealed),)
        commits.append(action)
        openings.append(world.quick(name, world.opening(sealed, (place,), salt)))
    world.block(*commits)
    return world.block(*openings)


def world_domain(world: World) -> bytes:
    return world.quick("maker", Place(0, 0, 1, 1)).domain


def fresh(*names: str) -> World:
    world = World(make_genesis(lot=1))
    world.check = False
    world.fund("maker", *names, quote=10**16, base=10**16)
    return world


def test_price_better_fill_fully_and_the_margin_is_shared_pro_rata() -> None:
    world = fresh("a", "b", "c")
    maker = [Place(0, SELL, 1_000, 10)]
    orders = [
        ("a", Place(0, BUY, 1_005, 4, IOC)),
        ("b", Place(0, BUY, 1_000, 20, IOC)),
        ("c", Place(0, BUY, 1_000, 10, IOC)),
    ]
    outcome = trade(world, orders, maker)
    got = {f.taker_account: f.size for f in outcome.fills}
    assert {f.price for f in outcome.fills} == {1_000}
    assert got == {world.number("a"): 4, world.number("b"): 4, world.number("c"): 2}


def test_makers_get_the_uniform_price_too_and_time_counts_at_the_margin() -> None:
    world = fresh("a", "b")
    world.block(world.quick("b", Place(0, SELL, 1_001, 5)))
    asks = [Place(0, SELL, 999, 5), Place(0, SELL, 1_001, 5)]
    outcome = trade(world, [("a", Place(0, BUY, 1_010, 8, IOC))], asks)
    assert [(f.price, f.size, f.maker_account) for f in outcome.fills] == [
        (1_001, 5, world.number("maker")),
        (1_001, 3, world.number("b")),
    ]
    assert get_depth(world.state, 0, 5)[1] == [(1_001, 7)]


def test_sealed_orders_trade_with_each_other_at_the_reference() -> None:
    world = fresh("a", "b")
    outcome = trade(
        world, [("a", Place(0, BUY, 1_010, 5, IOC)), ("b", Place(0, SELL, 990, 5, IOC))]
    )
    [fill] = outcome.fills
    assert (fill.price, fill.size) == (1_000, 5)
    assert (fill.maker_fee, fill.taker_fee) == (10, 10)  # both are takers
    assert outcome.batches[0].price == 1_000


def test_fill_or_kill_is_whole_or_nothing() -> None:
    world = fresh("a", "b")
    orders = [("a", Place(0, BUY, 1_000, 6, FOK)), ("b", Place(0, BUY, 1_000, 3, IOC))]
    outcome = trade(world, orders, [Place(0, SELL, 1_000, 5)])
    assert {(f.taker_account, f.size) for f in outcome.fills} == {(world.number("b"), 3)}
    assert Reason.FOK_UNFILLABLE in [s for r in outcome.receipts for s in r.statuses]


@pytest.mark.parametrize("stp", range(4))
def test_sealed_self_trades_take_the_same_lots_off_both_sides(stp: int) -> None:
    world = fresh("a", "b")
    world.block(world.quick("a", Place(0, SELL, 1_000, 5)))
    orders = [("a", Place(0, BUY, 1_000, 7, IOC, stp))]
    outcome = trade(world, orders, [Place(0, SELL, 1_000, 9)])
    assert sum(f.size for f in outcome.fills) == 2
    assert get_open_orders(world.state, world.addresses["a"]) == []
    assert outcome.receipts[0].statuses == [Reason.FILLED]


def test_a_tiny_sealed_order_cannot_undo_a_large_one() -> None:
    """Opening one lot against one's own large commit frees one lot of it, no more."""
    for matching in ("uniform", "shuffle"):
        world = World(make_genesis(lot=1, matching=matching))
        world.fund("maker", "a", quote=10**16, base=10**16)
        tiny = ("a", Place(0, SELL, 990, 1, IOC, 2))
        large = ("a", Place(0, BUY, 1_000, 100, GTC, 2))
        outcome = trade(world, [large, tiny], [Place(0, SELL, 1_000, 100)])
        assert sum(f.size for f in outcome.fills) >= 99


def test_a_tiny_sealed_order_is_no_last_look_for_a_quote() -> None:
    world = fresh("a", "b")
    world.block(world.quick("a", Place(0, SELL, 1_000, 100)))
    outcome = trade(
        world, [("a", Place(0, BUY, 1_000, 1, IOC, 1)), ("b", Place(0, BUY, 1_000, 90, IOC))]
    )
    assert sum(f.size for f in outcome.fills if f.maker_account == world.number("a")) == 90


def test_many_own_crossings_are_netted_not_dropped() -> None:
    """More self-trades than rounds: the netting takes equal lots, nobody loses a large order."""
    world = fresh("a", "b")
    orders = [("a", Place(0, BUY, 1_000 + i, 1, GTC)) for i in range(12)]
    orders += [("a", Place(0, SELL, 1_011 - i, 1, GTC)) for i in range(12)]
    orders += [("a", Place(0, BUY, 1_020, 50, GTC)), ("b", Place(0, SELL, 1_019, 60, GTC))]
    outcome = trade(world, orders)
    verify_books(world.state)
    verify_holds(world.state)
    assert all(f.maker_account != f.taker_account for f in outcome.fills)
    assert sum(f.size for f in outcome.fills) >= 38


def random_batch(seed: int) -> tuple[World, Outcome, list[tuple[str, Place]]]:
    rng = random.Random(seed)
    names = [f"t{i}" for i in range(6)]
    world = fresh(*names)
    spread = rng.choice((1, 4, 12))
    resting = []
    for _ in range(rng.randrange(12)):
        side = rng.randrange(2)
        away = 1 + rng.randrange(spread)
        price = 1_000 + away if side else 1_000 - away
        resting.append((rng.choice(names), Place(0, side, price, rng.randrange(1, 12))))
    for name, place in resting:
        world.block(world.quick(name, place))
    orders = []
    for _ in range(rng.randrange(1, 9)):
        tif = rng.choice((GTC, GTC, IOC, IOC, FOK))
        price = 1_000 + rng.randrange(-spread, spread + 1)
        side, size = rng.randrange(2), rng.randrange(1, 15)
        orders.append((rng.choice(names), Place(0, side, price, size, tif, rng.randrange(4))))
    return world, trade(world, orders), orders


def test_random_batches_keep_every_invariant() -> None:
    """No crossed book, exact holds, conservation, limits respected, nobody trades with itself."""
    volume = 0
    for seed in range(BATCHES):
        world, outcome, orders = random_batch(seed)
        verify_books(world.state)
        verify_holds(world.state)
        verify_conservation(world.state)
        assert len({f.price for f in outcome.fills}) <= 1
        limits = {}
        for receipt, (_, place) in zip(outcome.receipts, orders, strict=True):
            limits[receipt.orders[0]] = place
        for fill in outcome.fills:
            assert fill.maker_account != fill.taker_account
            for number in (fill.maker_order, fill.taker_order):
                place = limits.get(number)
                if place is not None:
                    assert place.price <= fill.price if place.side else place.price >= fill.price
        volume += sum(f.size for f in outcome.fills)
        for receipt, (_, place) in zip(outcome.receipts, orders, strict=True):
            got = sum(
                f.size for f in outcome.fills if receipt.orders[0] in (f.maker_order, f.taker_order)
            )
            if place.tif == FOK:
                assert got in (0, place.size)
    assert volume > BATCHES


def test_auction_that_runs_out_of_rounds_keeps_every_invariant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(auction, "AUCTION_ROUNDS_MAX", 0)
    netted = 0
    for seed in range(BATCHES):
        world, outcome, _ = random_batch(seed)
        verify_books(world.state)
        verify_holds(world.state)
        verify_conservation(world.state)
        assert all(f.maker_account != f.taker_account for f in outcome.fills)
        netted += any(Reason.SELF_TRADE in r.statuses for r in outcome.receipts)
    assert netted > 5


def test_random_batches_trade_at_the_best_price() -> None:
    """Volume and price are those of a scan of all prices (no self-trades, no fill-or-kill)."""
    checked = 0
    for seed in range(BATCHES):
        rng = random.Random(seed)
        names = [f"t{i}" for i in range(8)]
        world = fresh("rest", *names)
        book: list[tuple[int, int, int]] = []
        for _ in range(rng.randrange(10)):
            side = rng.randrange(2)
            away = 1 + rng.randrange(6)
            book.append((side, 1_000 + away if side else 1_000 - away, rng.randrange(1, 12)))
        for side, price, size in book:
            world.block(world.quick("rest", Place(0, side, price, size)))
        orders = [
            (
                name,
                Place(
                    0, rng.randrange(2), 1_000 + rng.randrange(-9, 10), rng.randrange(1, 15), IOC
                ),
            )
            for name in names[: rng.randrange(1, 9)]
        ]
        reference = world.state.markets[0].last_price
        outcome = trade(world, orders)
        bids = [(p, s) for side, p, s in book if side == BUY]
        asks = [(p, s) for side, p, s in book if side == SELL]
        bids += [(p.price, p.size) for _, p in orders if p.side == BUY]
        asks += [(p.price, p.size) for _, p in orders if p.side == SELL]
        price, size = scan(bids, asks, reference, 1_100)
        assert (outcome.batches[0].price, outcome.batches[0].size) == (price, size)
        checked += size > 0
    assert checked > BATCHES // 3


def test_wrong_price_rule_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        uniform_price, "abs", lambda n: n if n > 0 else 0, raising=False
    )  # ignores an excess of supply
    bids, asks = [(10, 5), (8, 5)], [(7, 9), (9, 9)]
    assert uniform_price.find_price(bids, asks, 9) != scan(bids, asks, 9, 60)
