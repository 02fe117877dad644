"""A halt, the auction that ends it and what else happens to a market: history, stream, SDK.

Rule: the exchange, its store and the API are the product; blocks are made when a test says so.
Spec: docs/spec/market-data.md#market-events. Deviations: none.
"""

from __future__ import annotations

import pytest
import trio

from client.errors import RequestRefused
from client.history import walk_market_events
from client.node_client import open_node
from exchange.actions import BUY, IOC, SELL, Place, SetMarket
from node.replica.tape_snapshot import unwrap_chunks, wrap_chunks
from storage.pruning import delete_below
from tests.client.exchange_node import ExchangeNode, make_key, node

ALICE, BOB = make_key("alice"), make_key("bob")


def make_halt() -> ExchangeNode:
    """A market whose breaker has tripped."""
    service = ExchangeNode(mode="fair", breaker_bps=100, price_window_ms=3_200, halt_ms=1_000)
    service.fund(ALICE, BOB)
    for price in (1_000, 1_100):
        trade(service, price)
    return service


def trade(service: ExchangeNode, price: int) -> None:
    for key, op in ((ALICE, Place(0, SELL, price, 1)), (BOB, Place(0, BUY, price, 1, IOC))):
        service._execute(service.world.act(key, op))


def end_halt(service: ExchangeNode) -> None:
    """Hold the auction: one lot trades at the price of the halt."""
    for key, side in ((ALICE, SELL), (BOB, BUY)):
        service._execute(service.world.act(key, Place(0, side, 1_100, 2)))
    service._execute(gap_ms=2_000)


async def test_a_halt_and_its_auction_stand_in_the_history_and_the_stream() -> None:
    service = make_halt()
    async with node(service, blocks=False) as here, open_node(here) as client:
        news = client.subscribe("market_events")
        with trio.fail_after(60):
            first = await anext(news)
            assert first.is_snapshot
            assert [(e.kind, e.phase, e.cause) for e in first.data] == [
                ("phase", "AUCTION", "breaker")
            ]
            end_halt(service)
            event = await anext(news)
        assert [(e.number, e.kind, e.phase, e.price, e.size) for e in event.data] == [
            (2, "phase", "OPEN", None, 0),
            (3, "auction", "", 1_100, 2),
        ]
        page = await client.rest.market_events(0, limit=2)
        assert [e.number for e in page.events] == [3, 2]
        assert (page.cursor, page.newest, page.oldest_height) == (2, 3, 1)
        older = await client.rest.market_events(0, limit=2, cursor=page.cursor)
        assert [(e.number, e.auction_ms > e.time_ms) for e in older.events] == [(1, True)]
        assert older.cursor is None
        walked = [e async for e in walk_market_events(client.rest, 0)]
        assert [e.number for e in walked] == [1, 2, 3]


async def test_what_was_pruned_is_refused_with_the_oldest_height() -> None:
    service = make_halt()
    end_halt(service)
    height = service.world.state.height
    delete_below(service.store.database, service.store.path, height)
    async with node(service, blocks=False) as here, open_node(here) as client:
        page = await client.rest.market_events(0, after=1)
        assert [e.number for e in page.events] == [2, 3], "the block of the auction is kept"
        for query in ({"after": 0}, {"cursor": 2}):
            with pytest.raises(RequestRefused) as refused:
                await client.rest.market_events(0, **query)
            assert refused.value.code == "pruned"
            assert refused.value.oldest_height == height


def test_numbers_go_on_after_a_snapshot() -> None:
    service = make_halt()
    _, again, _ = unwrap_chunks(wrap_chunks((), service.tape, b""))
    assert again.market_events == [1]
    words = [SetMarket(0, service.world.state.markets[0].round, 1)] * 3
    actions = [
        service.world.act(key, op) for key, op in zip(service.world.validators, words, strict=False)
    ]
    state = service.world.state
    outcome = service._execute(*actions)
    block = again.apply(outcome, state.accounts, state.markets)
    assert block.market_events == service.tape.block.market_events
    assert [(event.number, event.phase) for event in block.market_events] == [(2, 1)]


async def test_nothing_from_before_a_fetched_state_is_passed_off_as_whole() -> None:
    service = make_halt()
    world = service.world
    base = world.state.height
    missed = [world.block(gap_ms=2_000)]  # the auction ends the halt; no store here sees it
    for outcome in missed:
        service.tape.apply(outcome, world.state.accounts, world.state.markets)
    service.store.adopt_snapshot(
        height=world.state.height, time_ms=world.time_ms, state_root=missed[-1].state_root,
        fees_root=missed[-1].fees_root, last_fill=service.tape.fills, candles=(),
    )  # fmt: skip
    word = SetMarket(0, world.state.markets[0].round, 1)
    service._execute(*[world.act(key, word) for key in world.validators[:3]])
    async with node(service, blocks=False) as here, open_node(here) as client:
        page = await client.rest.market_events(0)
        assert [(e.number, e.phase) for e in page.events] == [(4, "POST_ONLY")]
        assert page.oldest_height == base + 2
        with pytest.raises(RequestRefused) as refused:
            await client.rest.market_events(0, cursor=page.cursor)
        assert refused.value.code == "pruned"
        with pytest.raises(RequestRefused):
            await client.rest.market_events(0, after=0)
        trades = await client.rest.trades(0)
        assert trades.trades == ()
        with pytest.raises(RequestRefused):
            await client.rest.trades(0, cursor=2)
