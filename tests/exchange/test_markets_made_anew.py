"""A market listed at run time, or made anew, trades as one of genesis with the same terms does."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest

from exchange.actions import AnyOp, Cancel, CancelAll, ListMarket, Place, PlaceTrigger, SetTerms
from exchange.limits import LISTING_NOTICE_HEIGHTS
from exchange.market import OPEN
from exchange.outcome import Fill
from tests.conftest import soak_factor
from tests.exchange.world import World, make_genesis

NAMES = ("ann", "bob", "cid")
SEEDS = 5 * soak_factor()
TERMS = {"mode": "fair", "tick": 3, "lot": 5, "maker_bps": 7, "taker_bps": 31}


def make_world(**terms: object) -> World:
    world = World(make_genesis(**terms))
    world.fund(*NAMES, quote=3_000_000, base=30_000)
    return world


def wait(world: World) -> None:
    for _ in range(LISTING_NOTICE_HEIGHTS + 1):
        world.block()


def of_genesis() -> tuple[World, int]:
    world = make_world(**TERMS)
    wait(world)
    world.block()
    return world, 0


def listed() -> tuple[World, int]:
    world = make_world(mode="sealed")
    terms = msgspec.structs.replace(world.state.markets[0].terms, name="NEW", **TERMS)
    op = ListMarket(0, 0, 1, terms)
    world.block(*(world.act(validator, op) for validator in world.validators[:3]))
    wait(world)
    return world, 1


def made_anew() -> tuple[World, int]:
    world = make_world(mode="sealed", tick=1, taker_bps=90)
    world.block(world.act("ann", Place(0, 1, 1_000, 5)))
    market = world.state.markets[0]
    op = SetTerms(0, market.round, 0, msgspec.structs.replace(market.terms, **TERMS))
    world.block(*(world.act(validator, op) for validator in world.validators[:3]))
    wait(world)
    return world, 0


def make_op(rng: random.Random, market: int, orders: list[int]) -> AnyOp:
    draw = rng.random()
    side, price = rng.randrange(2), 1_000 + rng.randrange(-6, 7)
    if draw < 0.7:
        return Place(market, side, price, rng.randrange(1, 40), rng.choice((0, 0, 1, 2, 3)))
    if draw < 0.8:
        return PlaceTrigger(market, side, rng.randrange(1, 9), price, price + 3, 0, 0)
    if draw < 0.97 and orders:
        return Cancel(market, rng.choice(orders))
    return CancelAll(market)


def play(world: World, market: int, seed: int) -> list[tuple[object, ...]]:
    """Trade at random; return all fills with orders by their order of making."""
    assert world.state.markets[market].status == OPEN
    rng = random.Random(seed)
    first = world.state.next_order
    found: list[tuple[object, ...]] = []
    for _ in range(60):
        orders = [first + n for n in range(world.state.next_order - first)]
        actions = [
            world.quick(rng.choice(NAMES), make_op(rng, market, orders[-30:])) for _ in range(6)
        ]
        for number, action in enumerate(actions):
            action.id = bytes([number]) * 32  # ranks within a block must not depend on the nonce
        outcome = world.block(*actions, block_hash=bytes(32))
        found += [show(fill, first) for fill in outcome.fills]
        assert all(fill.market == market for fill in outcome.fills)
    return [*found, *(world.balance(name, asset) for name in NAMES for asset in (0, 1))]


def show(fill: Fill, first: int) -> tuple[object, ...]:
    return (
        fill.price, fill.size, fill.taker_side, fill.maker_order - first, fill.maker_fee,
        fill.taker_order - first, fill.taker_fee, fill.maker_left, fill.taker_left,
    )  # fmt: skip


@pytest.mark.parametrize("make", [listed, made_anew])
def test_it_trades_as_a_market_of_genesis_does(make: Callable[[], tuple[World, int]]) -> None:
    fills = 0
    for seed in range(SEEDS):
        told = play(*of_genesis(), seed)
        fills += len(told)
        assert play(*make(), seed) == told
    assert fills > 50 * SEEDS
