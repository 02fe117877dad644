"""A bot's view of the market and of its own account has no gap, whatever breaks on the way.

Rule: the exchange, its store and the API are the product; blocks are made when a test says so.
Spec: docs/spec/market-data.md. Deviations: none.
"""

from __future__ import annotations

import random
from contextlib import asynccontextmanager

import pytest
import trio

from client.account_feed import AccountFeed
from client.book_feed import follow_l2, follow_l3
from client.errors import RequestRefused
from client.history import walk_candles, walk_events, walk_fills, walk_trades, walk_trades_after
from client.market_views import AccountState
from client.node_client import open_node
from exchange.actions import BUY, SELL, Cancel, CancelAll, Place
from node.views.book_views import iterate_levels, iterate_orders
from storage.pruning import delete_below
from tests.client.exchange_node import ExchangeNode, make_key, node

ALICE, BOB = make_key("alice"), make_key("bob")


def make_node():
    return ExchangeNode(mode="fair")


def trade(service, seed, blocks=10):
    """Make blocks with random orders of two traders; some rest and one at least trades."""
    r = random.Random(seed)
    service.pool += [
        service.world.act(ALICE, CancelAll(0), Place(0, SELL, 1_100, 3), Place(0, BUY, 900, 2)),
        service.world.act(BOB, CancelAll(0)),
    ]
    service.make_block()
    for price in range(1_050, 1_058):
        service.pool.append(service.world.act(ALICE, Place(0, SELL, price, 1)))
        service.make_block()
        service.pool.append(service.world.act(BOB, Place(0, BUY, price, 1)))
        service.make_block()
    for _ in range(blocks):
        for _ in range(r.randrange(1, 6)):
            key, market = r.choice((ALICE, BOB)), r.randrange(2)
            live = sorted(service.state.markets[market].book.orders)
            if r.random() < 0.25 and live:
                op = Cancel(market, r.choice(live))
            elif r.random() < 0.03:
                op = CancelAll(market)
            else:
                side, price = r.choice((BUY, SELL)), r.randrange(990, 1_011)
                op = Place(market, side, price, r.randrange(1, 30), client_id=0)
            service.pool.append(service.world.act(key, op))
        service.make_block()


@asynccontextmanager
async def funded():
    service = make_node()
    service.fund(ALICE, BOB)
    async with node(service, blocks=False) as url, open_node(url) as client:
        yield service, client


async def read_until(feed, seq):
    """Return the events up to a number."""
    found = []
    with trio.fail_after(60):
        while not found or found[-1].seq < seq:
            found.append(await anext(feed))
    return found


def newest(service, key=ALICE):
    account = service.state.by_address[key.address]
    return service.tape.get_events(account.number)


async def everything(service, key=ALICE):
    return (await service.market_data.account_events(key.address, 0, 10_000)).events


def check_books(service, l2, l3, market=0):
    book = service.state.markets[market].book
    assert l2.bids() == list(iterate_levels(book.bids))
    assert l2.asks() == list(iterate_levels(book.asks))
    assert [o[0] for o in l3.bids()] == [order.id for order in iterate_orders(book.bids)]
    assert [o[0] for o in l3.asks()] == [order.id for order in iterate_orders(book.asks)]


async def reach(feed, update):
    with trio.fail_after(60):
        while feed.book is None or feed.book.update < update:
            await anext(feed)
    return feed.book


# Books


async def test_books_follow_the_market():
    async with (
        funded() as (service, client),
        follow_l2(client, 0) as l2,
        follow_l3(client, 0) as l3,
    ):
        await anext(l2)
        await anext(l3)
        for seed in range(5):
            trade(service, seed)
            at = service.tape.get_update(0)
            check_books(service, await reach(l2, at), await reach(l3, at))
        assert l2.resyncs == l3.resyncs == 0


async def test_a_wrong_checksum_begins_the_book_anew():
    async with funded() as (service, client), follow_l2(client, 0) as feed:
        book = await anext(feed)
        trade(service, 1)
        await reach(feed, service.tape.get_update(0))
        price = book.bids()[0][0]
        book._sizes[0][price] += 1  # a bit flips in the copy
        service.pool.append(service.world.act(BOB, Place(0, BUY, 899, 1)))
        service.make_block()
        fixed = await reach(feed, service.tape.get_update(0))
        assert feed.resyncs == 1
        assert fixed.bids() == list(iterate_levels(service.state.markets[0].book.bids))


async def test_a_reader_that_slept_gets_its_book_back(monkeypatch):
    monkeypatch.setattr("client.subscription.EVENTS_WAITING_MAX", 3)
    async with funded() as (service, client), follow_l2(client, 0) as feed:
        await anext(feed)
        trade(service, 3, blocks=20)
        await trio.testing.wait_all_tasks_blocked(0.05)
        book = await reach(feed, service.tape.get_update(0))
        assert feed.resyncs >= 1
        assert book.asks() == list(iterate_levels(service.state.markets[0].book.asks))


async def test_figures_and_candles_are_pushed():
    async with funded() as (service, client):
        ticker, candles = client.subscribe("ticker", 0), client.subscribe("candles", 0)
        assert (await ticker.receive()).data.trades == 0
        assert (await candles.receive()).data == ()
        trade(service, 4, blocks=30)
        shown = [(await candles.receive()).data for _ in range(3)]
        assert all(candle.trades for batch in shown for candle in batch)
        figures = await client.rest.ticker(0)
        assert figures.trades == figures.trades_24h == service.tape.get_stats(0).trades
        assert figures.update == service.tape.get_update(0)


# Accounts


async def test_an_account_is_followed_from_its_state_on():
    async with funded() as (service, client):
        trade(service, 5)
        async with AccountFeed(client, ALICE.address) as feed:
            state = await anext(feed)
            assert isinstance(state, AccountState)
            assert state.seq == newest(service)
            trade(service, 6)
            events = await read_until(feed, newest(service))
            stored = await everything(service)
            assert [e.seq for e in events] == list(range(state.seq + 1, newest(service) + 1))
            fills = [(e.fill.trade, e.fill.size) for e in events if e.type == "fill"]
            assert fills == [
                (e.fill.trade, e.fill.size) for e in stored if e.fill and e.seq > state.seq
            ]
            assert fills


async def test_a_feed_goes_on_on_another_node_where_it_stopped():
    first, second = make_node(), make_node()
    second.join(first)
    first.fund(ALICE, BOB)
    async with node(first, blocks=False) as here, node(second, blocks=False) as there:
        async with open_node(here) as client, AccountFeed(client, ALICE.address, after=0) as feed:
            trade(first, 7)
            events = await read_until(feed, newest(first) // 2)
        trade(first, 8)
        async with (
            open_node(there) as client,
            AccountFeed(client, ALICE.address, after=events[-1].seq) as feed,
        ):
            trade(first, 9)
            events += await read_until(feed, newest(first))
    assert [e.seq for e in events] == list(range(1, newest(first) + 1))
    assert await everything(first) == await everything(second)
    assert [e.type for e in events] == [e.type for e in await everything(second)]


async def test_a_node_that_is_behind_repeats_nothing():
    first, second = make_node(), make_node()
    second.join(first)
    first.fund(ALICE, BOB)
    trade(first, 20, blocks=1)
    behind = newest(second)
    second.lagging = []
    trade(first, 21, blocks=1)
    known = newest(first)
    assert behind == newest(second) < known
    async with (
        node(second, blocks=False) as url,
        open_node(url) as client,
        AccountFeed(client, ALICE.address, after=known) as feed,
        trio.open_nursery() as nursery,
    ):
        events = []

        async def read():
            events.extend(await read_until(feed, known + 3))

        nursery.start_soon(read)
        while not second.hub.is_wanted("events", ALICE.address):
            await trio.sleep(0)
        trade(first, 22, blocks=1)
        second.catch_up()
    assert [event.seq for event in events][:3] == [known + 1, known + 2, known + 3]


async def test_a_client_that_the_node_cuts_off_comes_back_without_a_gap(monkeypatch):
    monkeypatch.setattr("node.api.hub.SUBSCRIBER_QUEUE_MESSAGES", 4)
    async with (
        funded() as (service, client),
        AccountFeed(client, ALICE.address, after=0) as account,
        follow_l3(client, 0) as book,
    ):
        events = await read_until(account, newest(service))
        await anext(book)
        trade(service, 23, blocks=20)  # all at once: more than the node keeps for a connection
        with trio.fail_after(60):
            while client.stream.connections < 2:
                await trio.sleep(0.01)
        events += await read_until(account, newest(service))
        copy = await reach(book, service.tape.get_update(0))
        side = iterate_orders(service.state.markets[0].book.asks)
        assert [order[0] for order in copy.asks()] == [order.id for order in side]
    assert [event.seq for event in events] == list(range(1, newest(service) + 1))


async def test_a_broken_connection_repeats_and_loses_nothing():
    service = make_node()
    service.fund(ALICE, BOB)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    url = f"http://127.0.0.1:{port}"
    events = []
    async with trio.open_nursery() as nursery:
        async with node(service, blocks=False, port=port):
            client = await nursery.start(hold_client, url)
            feed = AccountFeed(client, ALICE.address, after=0)
            trade(service, 10)
            events += await read_until(feed, newest(service))
        trade(service, 11)  # while nobody listens
        async with node(service, blocks=False, port=port):
            events += await read_until(feed, newest(service))
            trade(service, 12)
            events += await read_until(feed, newest(service))
            feed.close()
            nursery.cancel_scope.cancel()
    assert [e.seq for e in events] == list(range(1, newest(service) + 1))
    assert client.stream.connections == 2


async def hold_client(url, *, task_status):
    async with open_node(url) as client:
        task_status.started(client)
        await trio.sleep_forever()


async def test_more_missed_events_than_one_answer_holds_are_fetched(monkeypatch):
    monkeypatch.setattr("node.views.market_data.REPLAY_EVENTS_MAX", 5)
    monkeypatch.setattr("client.account_feed.HISTORY_PAGE", 7)
    async with funded() as (service, client):
        trade(service, 13, blocks=20)
        async with AccountFeed(client, ALICE.address, after=0) as feed:
            events = await read_until(feed, newest(service))
            trade(service, 14, blocks=1)
            events += await read_until(feed, newest(service))
    assert [e.seq for e in events] == list(range(1, newest(service) + 1))


async def test_a_reader_that_slept_gets_its_events(monkeypatch):
    monkeypatch.setattr("client.subscription.EVENTS_WAITING_MAX", 2)
    async with funded() as (service, client), AccountFeed(client, ALICE.address, after=0) as feed:
        events = await read_until(feed, newest(service))
        trade(service, 15, blocks=20)
        await trio.testing.wait_all_tasks_blocked(0.05)
        events += await read_until(feed, newest(service))
    assert [e.seq for e in events] == list(range(1, newest(service) + 1))


async def test_forgotten_events_are_an_error_with_the_oldest_height():
    async with funded() as (service, client):
        trade(service, 16, blocks=20)
        delete_below(service.store.database, service.store.path, 12)
        feed = AccountFeed(client, ALICE.address, after=0)
        with pytest.raises(RequestRefused) as refused:
            await anext(feed)
        assert (refused.value.code, refused.value.oldest_height) == ("pruned", 12)
        with pytest.raises(RequestRefused) as refused:
            await client.rest.account_events(ALICE.address)
        assert (refused.value.status, refused.value.oldest_height) == (410, 12)
        known = service.store.read.oldest_event(ALICE.address) - 1
        events = [event async for event in walk_events(client.rest, ALICE.address, known)]
        assert [e.seq for e in events] == list(range(known + 1, newest(service) + 1))


# History


async def test_walks_lead_through_the_whole_past(monkeypatch):
    monkeypatch.setattr("client.history.HISTORY_PAGE", 4)
    async with funded() as (service, client):
        trade(service, 17, blocks=60)
        rest = client.rest
        back = [t.id async for t in walk_trades(rest, 0)]
        assert back == sorted(back, reverse=True)
        assert len(back) == service.tape.get_stats(0).trades > 5
        assert [t.id async for t in walk_trades_after(rest, 0, 0)] == back[::-1]
        middle = back[len(back) // 2]
        assert [t.id async for t in walk_trades_after(rest, 0, middle)] == [
            n for n in back[::-1] if n > middle
        ]
        candles = [c async for c in walk_candles(rest, 0, "1s")]
        assert sum(c.trades for c in candles) == len(back)
        fills = [f async for f in walk_fills(rest, ALICE.address)]
        told = [e.fill for e in await everything(service) if e.fill]
        assert sorted((f.trade, f.order, f.left) for f in fills) == sorted(
            (f.trade, f.order, f.left) for f in told
        )


async def collect(walk, found):
    async for one in walk:
        found.append(one)


async def test_where_memory_ends_a_walk_says_so():
    async with funded() as (service, client):
        trade(service, 18, blocks=40)
        delete_below(service.store.database, service.store.path, 20)
        seen = []
        with pytest.raises(RequestRefused) as refused:
            await collect(walk_trades(client.rest, 0), seen)
        assert (refused.value.code, refused.value.oldest_height) == ("pruned", 20)
        assert min(one.height for one in seen) >= 20
        with pytest.raises(RequestRefused) as refused:
            await client.rest.trades(0, after=0)
        assert refused.value.oldest_height == 20
        page = await client.rest.trades(0)
        assert page.oldest_height == 20
