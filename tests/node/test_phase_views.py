"""The API says why a market is in its phase, which auction is to come, and what bounds orders.

Spec: docs/spec/markets.md. Deviations: none.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from exchange.actions import BUY, IOC, SELL, Place
from exchange.outcome import Outcome
from node.api.hub import Hub
from node.replica.market_stats import MarketStats
from node.views.market_feed import publish_tickers
from node.views.phase_views import PHASES, Safety, describe_safety
from tests.exchange.world import World, make_genesis


def make_world() -> World:
    world = World(make_genesis(mode="fair", band_bps=3_000, breaker_bps=1_000, halt_ms=5_000))
    world.fund("ann", "bob")
    return world


def trade(world: World, price: int) -> Outcome:
    world.block(world.quick("ann", Place(0, SELL, price, 1)))
    return world.block(world.quick("bob", Place(0, BUY, price, 1, IOC)))


def show(world: World) -> Safety:
    return describe_safety(world.state.markets[0], world.state.time_ms)


def test_a_halt_its_auction_and_the_band_are_shown() -> None:
    world = make_world()
    assert show(world) == Safety("OPEN", "committee", 0, None, 0, 0, None, None)
    trade(world, 1_000)
    assert show(world) == Safety("OPEN", "committee", 0, None, 0, 0, 700, 1_300)
    trade(world, 1_200)
    due = world.time_ms + 5_000
    assert show(world) == Safety("AUCTION", "breaker", due, None, 0, 0, 840, 1_560)
    world.block(
        world.quick("ann", Place(0, SELL, 1_100, 4)), world.quick("bob", Place(0, BUY, 1_150, 3))
    )
    assert show(world)[:6] == ("AUCTION", "breaker", due, 1_150, 3, -1)
    world.block(gap_ms=5_000)
    assert show(world)[:3] == ("OPEN", "auction", 0)


def test_a_ticker_is_published_when_the_phase_changes_though_no_level_does() -> None:
    world = make_world()
    trade(world, 1_000)
    trade(world, 1_200)
    outcome = world.block(gap_ms=5_000)
    assert outcome.levels == {}
    published: list[Any] = []
    hub = SimpleNamespace(
        is_wanted=lambda topic, key: topic == "ticker",
        publish=lambda topic, view, key: published.append((topic, view.phase, key)),
    )
    tape = SimpleNamespace(
        block=SimpleNamespace(updates={}),
        get_stats=lambda market: MarketStats(),
        get_update=lambda market: 4,
    )
    ledger = SimpleNamespace(state=world.state, tape=tape)
    publish_tickers(cast(Hub, hub), cast(Any, ledger), outcome)
    assert published == [("ticker", "OPEN", 0)]


def test_every_status_has_a_name_that_votes_use() -> None:
    from client.governance import PHASES as VOTED

    assert PHASES == VOTED
