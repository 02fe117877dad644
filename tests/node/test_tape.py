"""Numbers, candles, day's figures and account events are the same wherever a node began.

Spec: docs/spec/market-data.md. Deviations: none.
"""

from __future__ import annotations

import pytest

from exchange.outcome import CLOSED, REACHED, WAITING
from exchange.reasons import Reason
from node.api.errors import ApiError
from node.api.render import encode_json
from node.blocks.startup import restore_snapshot
from node.replica.account_events import (
    BalanceNews,
    FillNews,
    OrderNews,
    ReceiptNews,
    ResolutionNews,
    decode_events,
)
from node.replica.tape_snapshot import unwrap_chunks, wrap_chunks
from node.views.market_data import MarketData
from primitives.errors import PeerError
from storage.block_store import SNAPSHOT, BlockStore
from storage.chain_store import ChainStore
from storage.snapshots import Snapshots
from tests.exchange.world import START_MS
from tests.node.tape_world import NETWORK, ChaosFlow, Flow, adopt, record
from tests.storage.chain_records import make_final

HEIGHTS = 60


def run_two(seed, tmp_path, make_flow=Flow, heights=HEIGHTS):
    """Feed the same blocks to two ledgers and stores; the second begins at height 25."""
    flow = make_flow(seed)
    first, second = flow.ledger(), flow.ledger()
    stores = [ChainStore(tmp_path / f"{name}.sqlite", NETWORK) for name in "ab"]
    joined = False
    for _ in range(heights):
        block, actions = flow.make(first)
        outcome = first.execute(block, actions)
        assert stores[0].write_executed(record(first, outcome))
        if joined:
            other = second.execute(block, actions)
            assert record(second, other) == record(first, outcome)
            assert stores[1].write_executed(record(second, other))
        if outcome.height == 25:
            second.restore(first.snapshot())
            adopt(stores[1], second)
            joined = True
    return flow, (first, second), stores


@pytest.mark.parametrize("seed", range(4))
def test_a_node_that_joined_by_snapshot_has_the_same_numbers(seed, tmp_path):
    _flow, (a, b), (whole, late) = run_two(seed, tmp_path)
    assert a.tape.fills > 50
    assert a.snapshot() == b.snapshot()
    for market in range(2):
        assert a.tape.get_update(market) == b.tape.get_update(market) > 20
        assert a.tape.get_stats(market) == b.tape.get_stats(market)
        assert a.tape.get_stats(market).day(a.state.time_ms) is not None
        ids = [fill.id for fill in late.read.fills(market)]
        assert ids == [f.id for f in whole.read.fills(market) if f.id >= late.read.first_fill_id()]
        for interval_ms in (1_000, 60_000, 86_400_000):
            rows = late.read.candles(market, interval_ms)
            assert rows
            assert rows == whole.read.candles(market, interval_ms)[-len(rows) :]
    for account in a.state.accounts:
        newest = whole.read.account_seq(account.owner)
        assert newest == a.tape.get_events(account.number)
        oldest = late.read.oldest_event(account.owner)
        if oldest:
            assert late.read.account_seq(account.owner) == newest
            batches = late.read.account_events(account.owner, after=oldest - 1)
            assert batches == whole.read.account_events(account.owner, after=oldest - 1)
    for store in (whole, late):
        store.close()


async def test_every_answer_is_the_same_to_the_byte(tmp_path):
    flow, ledgers, stores = run_two(11, tmp_path)
    answers = []
    for ledger, store in zip(ledgers, stores, strict=True):
        data = make_market_data(flow, ledger, store)
        answers.append(
            [encode_json(item) for item in await ask_everything(data, ledger, stores[1].read)]
        )
    assert answers[0] == answers[1]
    assert len(answers[0]) > 20
    late = make_market_data(flow, ledgers[1], stores[1])
    owner = ledgers[1].state.accounts[1].owner
    for ask in (
        late.trades(0, 50, None, 0),
        late.trades(0, 50, 2, None),
        late.account_events(owner, 0),
        late.account_fills(owner, 50, 2),
        late.candles(0, 1_000, 50, START_MS),
    ):
        with pytest.raises(ApiError) as refused:
            await ask
        assert (refused.value.code, refused.value.fields) == ("pruned", {"oldest_height": 26})
    for store in stores:
        store.close()


def make_market_data(flow, ledger, store):
    async def read(query):
        return query(store.read)

    async def wait_written(height):
        assert store.executed_height >= height

    return MarketData(ledger, read=read, wait_written=wait_written)


async def ask_everything(data, ledger, late):
    """Ask for all that both nodes can know."""
    found, first_fill = [], late.first_fill_id()
    for market in range(2):
        found += [data.l2(market), data.l3(market), data.ticker(market), data.live_candles(market)]
        found.append((await data.trades(market, 500, None, first_fill - 1)).trades)
        for interval_ms in (1_000, 60_000, 3_600_000):
            found.append((await data.candles(market, interval_ms, 1, None)).candles)
    for account in ledger.state.accounts:
        found.append(data.account_state(account.owner))
        newest = ledger.tape.get_events(account.number)
        oldest = late.oldest_event(account.owner)
        events = await data.account_events(account.owner, oldest - 1 if oldest else newest)
        found += [events.events, events.newest]
        fills = (await data.account_fills(account.owner, 500, None)).fills
        found.append([fill for fill in fills if fill.trade >= first_fill])
    return found


@pytest.mark.parametrize("make_flow", [Flow, ChaosFlow])
@pytest.mark.parametrize("seed", range(4))
def test_an_accounts_events_lead_to_its_balances_and_orders(seed, make_flow, tmp_path):
    _, (ledger, _), (store, other) = run_two(seed, tmp_path, make_flow)
    for account in ledger.state.accounts:
        balances, orders, expected = {}, {}, 1
        for batch in store.read.account_events(account.owner):
            assert batch.first == expected
            for event in decode_events(batch.body):
                expected += 1
                follow(event, balances, orders)
            assert expected == batch.last + 1
        assert expected == ledger.tape.get_events(account.number) + 1
        assert balances == {(b.sub, b.asset): (b.free, b.held) for b in account.entries}
        live = {
            order.id: (order.price, order.size)
            for market in ledger.state.markets
            for order in market.book.orders.values()
            if order.trader.number == account.number and order.level is not None
        }
        assert {number: order for number, order in orders.items() if order[1]} == live
    store.close()
    other.close()


def follow(event, balances, orders):
    if isinstance(event, BalanceNews):
        balances[event.sub, event.asset] = (event.free, event.held)
    elif isinstance(event, OrderNews):
        if event.kind in (WAITING, REACHED):
            return
        orders[event.order] = (event.price, 0 if event.kind == CLOSED else event.size)
    elif isinstance(event, FillNews):
        price = orders[event.order][0] if event.order in orders else event.price
        orders[event.order] = (price, event.left if event.order in orders else 0)


def test_no_end_of_a_pending_operation_is_forgotten(tmp_path):
    _flow, (ledger, late), stores = run_two(2, tmp_path, ChaosFlow, heights=300)
    told = ends = 0
    for account in ledger.state.accounts:
        waiting = {}
        for batch in stores[0].read.account_events(account.owner):
            for event in decode_events(batch.body):
                if isinstance(event, ReceiptNews) and int(Reason.PENDING) in event.statuses:
                    waiting[event.action_id] = event.statuses.count(int(Reason.PENDING))
                    told += 1
                elif isinstance(event, ResolutionNews):
                    waiting[event.action_id] -= 1
                    ends += 1
        left = {number: n for number, n in waiting.items() if n}
        assert left == {i: n for i, (a, n) in ledger.tape.pending.items() if a == account.number}
    assert told > 50
    assert ends > 50
    assert ledger.tape.pending == late.tape.pending
    for store in stores:
        store.close()


def test_the_store_goes_on_where_a_crash_cut_it_off(tmp_path):
    flow = Flow(7)
    ledger = flow.ledger()
    whole = ChainStore(tmp_path / "whole.sqlite", NETWORK)
    broken = ChainStore(tmp_path / "broken.sqlite", NETWORK)
    lost = []
    for height in range(1, HEIGHTS + 1):
        block, actions = flow.make(ledger)
        made = record(ledger, ledger.execute(block, actions))
        whole.write_executed(made)
        lost.append(made)
        if height % 7 == 0:  # the process ended somewhere in between; replay makes them again
            broken.close()
            broken = ChainStore(tmp_path / "broken.sqlite", NETWORK)
            for again in lost:
                broken.write_executed(again)
            lost = lost[-3:]  # some of them a second time
    for again in lost:
        broken.write_executed(again)
    for account in ledger.state.accounts:
        rows = whole.read.account_events(account.owner)
        assert broken.read.account_events(account.owner) == rows
    assert broken.read.fills_after(0) == whole.read.fills_after(0)
    for interval_ms in (1_000, 300_000):
        assert broken.read.candles(0, interval_ms) == whole.read.candles(0, interval_ms)
    whole.close()
    broken.close()


@pytest.mark.parametrize("seed", range(4))
def test_sealed_batches_are_taped_alike(seed, tmp_path):
    _, (a, b), stores = run_two(seed, tmp_path, ChaosFlow, heights=300)
    assert a.tape.get_stats(0).trades
    assert a.tape.get_stats(2).trades
    assert a.snapshot() == b.snapshot()
    for store in stores:
        store.close()


def test_a_restarted_node_takes_its_numbers_from_the_snapshot(tmp_path):
    flow = Flow(12)
    ledger, again = flow.ledger(), flow.ledger()
    store = ChainStore(tmp_path / "chain.sqlite", NETWORK)
    blocks = BlockStore(tmp_path / "blocks.sqlite", {SNAPSHOT: 32 << 20})
    snapshots = Snapshots(blocks)
    for height in range(1, 31):
        outcome = ledger.execute(*flow.make(ledger))
        store.write_final(make_final(height))
        store.write_executed(record(ledger, outcome))
        if outcome.is_checkpoint:
            snapshots.write(height, outcome.state_root, ledger.snapshot())
            snapshots.prune(keep=2)
    for _ in range(8):
        outcome = ledger.execute(*flow.make(ledger))
        store.write_final(make_final(outcome.height))
        store.write_executed(record(ledger, outcome))
    restore_snapshot(store, snapshots, again)
    assert again.height == 30
    for block, actions in flow.blocks[30:]:
        outcome = again.execute(block, actions)
        assert not store.write_executed(record(again, outcome))
    assert again.snapshot() == ledger.snapshot()
    outcome = again.execute(*flow.make(again))
    store.write_final(make_final(outcome.height))
    assert store.write_executed(record(again, outcome))
    store.close()
    blocks.close()


def test_reading_changes_no_snapshot():
    flow = Flow(1)
    ledger = flow.ledger()
    before = ledger.snapshot()
    data = make_market_data(flow, ledger, None)
    for market in range(2):
        assert data.ticker(market).trades == 0
        assert (data.l2(market).update, data.l3(market).update) == (0, 0)
        assert data.live_candles(market) == ()
    data.account_state(b"\x01" * 20)
    assert ledger.snapshot() == before


def test_a_snapshot_of_another_shape_is_refused():
    flow = Flow(1)
    ledger = flow.ledger()
    for _ in range(5):
        ledger.execute(*flow.make(ledger))
    chunks = ledger.snapshot()
    state, tape, scores = unwrap_chunks(chunks)
    assert wrap_chunks(state, tape, scores) == chunks
    for damaged in ((), chunks[:-1], chunks[1:], (*chunks, b"\xc0"), (chunks[0], *chunks[:0:-1])):
        with pytest.raises(PeerError):
            flow.ledger().restore(damaged)
    tape.height += 1
    with pytest.raises(PeerError, match="not of its state"):
        flow.ledger().restore(wrap_chunks(state, tape, scores))


def test_reading_figures_changes_no_snapshot():
    flow = Flow(3)
    asked, other = flow.ledger(), flow.ledger()
    for market in range(len(asked.state.markets)):
        asked.tape.get_stats(market)
        asked.tape.get_update(market)
    asked.tape.get_events(7)
    assert asked.snapshot() == other.snapshot()
