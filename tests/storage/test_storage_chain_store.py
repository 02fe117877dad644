from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primitives.cid import Cid
from primitives.errors import OperatorError, StateDiverged, WrongNetwork
from storage.chain_reader import ChainReader
from storage.chain_store import ChainStore
from storage.integers import decode_integer, decode_numbers, encode_integer, encode_numbers
from storage.records import (
    AccountEventsRecord,
    CheckpointRecord,
    ReceiptRecord,
    ResolutionRecord,
)
from tests.storage.chain_records import (
    NETWORK,
    address,
    digest,
    make_executed,
    make_fill,
    make_final,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chain.sqlite"


@pytest.fixture
def store(path):
    store = ChainStore(path, NETWORK)
    yield store
    store.close()


def fill_up(store, heights, *, ahead=0):
    for height in range(1, heights + ahead + 1):
        store.write_final(make_final(height, bundles=2))
    for height in range(1, heights + 1):
        store.write_executed(make_executed(height))


def test_block_is_found_by_height_hash_and_cid(store):
    fill_up(store, 2, ahead=1)
    record = make_final(2, bundles=2)
    block = store.read.block(2)
    assert block is not None
    assert block == store.read.block_by_hash(record.block_hash)
    assert block == store.read.block_by_cid(record.cid)
    assert (block.encoded, block.node, block.certificate) == (
        record.encoded,
        record.node,
        record.certificate,
    )
    assert block.bundles == tuple(bundle.digest for bundle in record.bundles)
    assert (block.summary.bundles, block.summary.fills) == (2, 4)
    newest = store.read.latest_final()
    assert newest is not None
    assert (newest.height, newest.fills) == (3, None)
    assert store.read.block(4) is None
    assert store.read.node(record.cid) == record.node


def test_bundle_is_found_by_digest(store):
    fill_up(store, 1)
    bundle = make_final(1).bundles[0]
    stored = store.read.bundle(bundle.digest)
    assert stored is not None
    assert (stored.data, stored.height, stored.actions) == (bundle.data, 1, 3)
    assert store.read.bundle(b"?" * 32) is None


def test_bundle_kept_elsewhere_has_no_bytes_until_they_come(store):
    record = make_final(1)
    bundle = record.bundles[0]
    store.write_final(replace(record, bundles=(replace(bundle, data=None),)))
    assert store.read.bundle(bundle.digest).data is None
    store.write_final(replace(make_final(2), bundles=(bundle,)))
    assert store.read.bundle(bundle.digest).data == bundle.data
    store.write_final(replace(make_final(3), bundles=(replace(bundle, data=None),)))
    assert store.read.bundle(bundle.digest).data == bundle.data
    assert store.read.bundle(bundle.digest).height == 3


def test_restart_finds_the_latest_heights(path):
    store = ChainStore(path, NETWORK)
    fill_up(store, 3, ahead=2)
    store.close()
    store = ChainStore(path, NETWORK)
    assert (store.final_height, store.executed_height) == (5, 3)
    executed = store.read.latest_executed()
    assert executed is not None
    assert executed.state_root == digest("state", 3)
    assert (executed.withdrawal_count, executed.fee_totals) == (3, (3, 1 << 90))
    store.close()


def test_writing_a_height_again_changes_nothing(store):
    fill_up(store, 3)
    assert not store.write_executed(make_executed(2))
    store.write_final(make_final(2, bundles=2))
    assert len(store.read.fills_after(0)) == 12
    assert store.last_fill_id == 12


def test_another_block_or_state_at_a_written_height_is_divergence(store):
    fill_up(store, 3)
    with pytest.raises(StateDiverged, match="height 2"):
        store.write_final(make_final(2, salt=1))
    with pytest.raises(StateDiverged, match="height 2"):
        store.write_executed(make_executed(2, state_root=b"x" * 32))


def test_a_gap_is_our_bug(store):
    with pytest.raises(AssertionError):
        store.write_final(make_final(2))
    with pytest.raises(AssertionError):
        store.write_executed(make_executed(2))


def test_fills_are_numbered_without_gaps_and_keep_every_field(store):
    assert all(store.write_executed(make_executed(height)) for height in (1, 2))
    stored = store.read.fills_after(0)
    assert [fill.id for fill in stored] == list(range(1, 9))
    expected = [make_fill(height, number) for height in (1, 2) for number in range(4)]
    assert [fill.fill for fill in stored] == expected
    assert [fill.height for fill in stored] == [1] * 4 + [2] * 4


def test_account_events_are_numbered_per_account_without_gaps_across_restarts(path):
    seen: dict[bytes, int] = {}
    for height in range(1, 7):
        store = ChainStore(path, NETWORK)
        record = make_executed(height)
        store.write_executed(record)
        for batch in record.events:
            seen[batch.address] = seen.get(batch.address, 0) + batch.count
        store.close()
    reader = ChainReader.open(path)
    for owner, count in seen.items():
        batches = reader.account_events(owner)
        numbers = [n for batch in batches for n in range(batch.first, batch.last + 1)]
        assert numbers == list(range(1, count + 1))
        assert [batch.last for batch in reader.account_events(owner, after=count - 1)] == [count]
        assert reader.account_events(owner, after=count) == []
        assert (reader.oldest_event(owner), reader.account_seq(owner)) == (1, count)
    assert reader.account_events(b"?" * 20) == []
    reader.close()


def test_numbers_that_do_not_go_on_are_divergence(store):
    store.write_executed(make_executed(1))
    with pytest.raises(StateDiverged, match="begin with 7"):
        store.write_executed(make_executed(2, first_fill=7))
    with pytest.raises(StateDiverged, match="comes again"):
        store.write_executed(make_executed(2, events=make_executed(1).events))
    assert store.write_executed(make_executed(2))


def test_events_behind_a_gap_are_not_passed_off_as_the_next_ones(store):
    owner = address(1)
    for height, first in ((1, 1), (2, 9)):
        batch = AccountEventsRecord(address=owner, first=first, count=2, body=b"")
        store.write_executed(make_executed(height, events=(batch,)))
    assert [batch.first for batch in store.read.account_events(owner)] == [1]
    assert store.read.account_events(owner, after=2) == []
    assert [batch.first for batch in store.read.account_events(owner, after=9)] == [9]


def test_a_failed_write_gives_no_numbers_away(store):
    store.write_executed(make_executed(1))
    bad = make_executed(2, withdrawals=make_executed(1).withdrawals)  # the index is taken
    with pytest.raises(sqlite3.IntegrityError):
        store.write_executed(bad)
    assert store.executed_height == 1
    before = {address(i): store.read.account_seq(address(i)) for i in range(6)}
    store.write_executed(make_executed(2))
    for batch in make_executed(2).events:
        assert batch.first == before[batch.address] + 1
        assert store.read.account_seq(batch.address) == before[batch.address] + batch.count
    assert store.read.executed(2) is not None


def test_receipt_tells_the_newest_outcome_that_is_no_replay(store):
    action = digest("action", 1, 0)
    receipt = ReceiptRecord(action_id=action, index=9, statuses=b"\x19", is_replay=True)
    store.write_executed(make_executed(1))
    store.write_executed(make_executed(2, receipts=(receipt,)))
    found = store.read.receipt(action)
    assert found is not None
    assert (found.height, found.statuses, found.orders) == (1, b"\0\1", (0, 7))
    again = replace(receipt, is_replay=False)
    store.write_executed(make_executed(3, receipts=(again,)))
    assert store.read.receipt(action).height == 3
    assert store.read.receipt(b"?" * 32) is None
    assert [r.index for r in store.read.receipts(1)] == [0, 1, 2]


def test_every_record_of_an_action_is_found_oldest_first(store):
    action = digest("action", 1, 0)
    later = ReceiptRecord(action_id=action, index=9, statuses=b"later")
    store.write_executed(make_executed(1))
    store.write_executed(make_executed(2, receipts=(later,)))
    assert [r.statuses for r in store.read.receipts_of(action)] == [b"\0\1", b"later"]
    assert store.read.receipts_of(b"?" * 32) == []


def test_resolution_completes_a_pending_operation(store):
    action = digest("action", 1, 2)
    store.write_executed(make_executed(1))
    resolution = ResolutionRecord(action_id=action, op=1, status=2)
    stranger = ResolutionRecord(action_id=b"?" * 32, op=0, status=2)
    store.write_executed(make_executed(2, resolutions=(resolution, stranger)))
    assert store.read.receipt(action).statuses == b"\2\2"


def test_pages_of_fills_neither_repeat_nor_skip_while_new_ones_come(store):
    for height in range(1, 11):
        store.write_executed(make_executed(height))
    seen, before = [], None
    for height in range(11, 40):
        page = store.read.fills(0, before=before, limit=3)
        if not page:
            break
        seen += [fill.id for fill in page]
        before = seen[-1]
        store.write_executed(make_executed(height))
    expected = [f.id for f in store.read.fills_after(0) if f.fill.market == 0 and f.height <= 10]
    assert seen == expected[::-1]


def test_account_fills_show_both_sides_once(store):
    for height in range(1, 11):
        store.write_executed(make_executed(height))
    owner = address(1)
    everything = store.read.fills_after(0)
    expected = [f for f in everything if owner in (f.fill.maker, f.fill.taker)][::-1]
    assert store.read.account_fills(owner) == expected
    page = store.read.account_fills(owner, limit=3)
    assert page == expected[:3]
    assert store.read.account_fills(owner, before=page[-1].id, limit=3) == expected[3:6]


def test_blocks_page_downwards_and_ranges_upwards(store):
    fill_up(store, 5)
    assert [b.height for b in store.read.blocks(limit=2)] == [5, 4]
    assert [b.height for b in store.read.blocks(before=4, limit=9)] == [3, 2, 1]
    assert [b.summary.height for b in store.read.block_range(2, 3)] == [2, 3, 4]
    assert store.read.oldest_height() == 1


def test_withdrawals_keep_every_field(store):
    fill_up(store, 8)
    records = [make_executed(height).withdrawals[0] for height in range(1, 9)]
    assert [w.withdrawal for w in store.read.withdrawals()] == records
    assert store.read.withdrawal(3).height == 4
    assert store.read.withdrawal(8) is None
    mine = [w.withdrawal.index for w in store.read.account_withdrawals(address(1))]
    assert mine == [6, 0]


def test_checkpoint_is_updated_in_place(store):
    record = CheckpointRecord(
        height=50,
        executed_height=50,
        state_root=b"s" * 32,
        fees_root=b"f" * 32,
        cid=Cid.raw(b"manifest").encode(),
        status="made",
        fees=((0, 12), (3, 1 << 127)),
    )
    store.put_checkpoint(record)
    settled = replace(record, status="settled", tx_hash=b"t" * 32, time_ms=9)
    store.put_checkpoint(settled)
    store.put_checkpoint(replace(record, height=100))
    assert store.read.checkpoint(50) == settled
    assert store.read.checkpoint(51) is None
    assert [c.height for c in store.read.checkpoints()] == [100, 50]


def adopt(store, height):
    history = make_executed(height)
    store.adopt_snapshot(
        height=height,
        time_ms=5,
        state_root=b"s" * 32,
        fees_root=b"f" * 32,
        last_fill=4 * height,
        candles=history.candles,
    )


def test_snapshot_is_a_new_beginning(path):
    store = ChainStore(path, NETWORK)
    adopt(store, 900)
    assert (store.final_height, store.executed_height) == (900, 900)
    store.close()
    store = ChainStore(path, NETWORK)
    assert (store.final_height, store.executed_height) == (900, 900)
    store.write_final(make_final(901))
    store.write_executed(make_executed(901))
    assert store.read.oldest_height() == 901
    assert (store.read.oldest_executed(), store.read.first_fill_id()) == (901, 3_601)
    assert [fill.id for fill in store.read.fills_after(0)] == [3_601, 3_602, 3_603, 3_604]
    owner = make_executed(901).events[0].address
    assert store.read.account_events(owner) == []
    assert store.read.oldest_event(owner) == make_executed(901).events[0].first
    store.close()


def test_snapshot_behind_the_final_blocks_keeps_them(store):
    for height in range(1, 11):
        store.write_final(make_final(height))
    adopt(store, 7)
    assert (store.final_height, store.executed_height) == (10, 7)
    store.write_executed(make_executed(8))
    store.write_final(make_final(11))


def test_candles_survive_a_restart_in_the_middle_of_an_interval(tmp_path):
    whole = ChainStore(tmp_path / "whole.sqlite", NETWORK)
    fill_up(whole, 30)
    for height in range(1, 31):
        parts = ChainStore(tmp_path / "parts.sqlite", NETWORK)
        parts.write_executed(make_executed(height))
        parts.close()
    reader = ChainReader.open(tmp_path / "parts.sqlite")
    for market in (0, 1):
        for interval_ms in (1_000, 60_000, 86_400_000):
            candles = reader.candles(market, interval_ms)
            assert candles == whole.read.candles(market, interval_ms)
            fills = [f for f in whole.read.fills_after(0) if f.fill.market == market]
            assert sum(c.trades for c in candles) == len(fills)
            assert sum(c.volume for c in candles) == sum(f.fill.size for f in fills)
    reader.close()
    whole.close()


def test_reader_sees_whole_heights_only_while_the_writer_writes(path, store):
    reader = ChainReader.open(path)
    for height in range(1, 20):
        store.write_executed(make_executed(height))
        executed = reader.latest_executed()
        assert executed is not None
        assert executed.height == height
        assert len(reader.fills_after(0)) == 4 * height
    reader._database.execute("PRAGMA query_only=OFF")
    with pytest.raises(OperatorError, match="written"):
        reader._all("DELETE FROM fills")
    reader.close()


def test_database_of_another_network_is_refused(path, store):
    with pytest.raises(WrongNetwork, match="belongs to network"):
        ChainStore(path, b"m" * 32)


def test_newer_schema_is_refused_and_left_alone(path, store):
    store.database.conn.execute("PRAGMA user_version=99")
    with pytest.raises(OperatorError, match="schema 99") as caught:
        ChainStore(path, NETWORK)
    assert (caught.value.code, caught.value.exit_code) == ("DSK006", 13)
    assert store.database.conn.execute("PRAGMA user_version").fetchone() == (99,)


def test_file_that_is_no_database_is_refused(path):
    path.write_bytes(b"not a database, by far, " * 100)
    with pytest.raises(OperatorError, match="damaged") as caught:
        ChainStore(path, NETWORK)
    assert caught.value.code == "DSK005"
    assert path.read_bytes().startswith(b"not a database")


def test_damaged_pages_are_an_operator_error_not_a_crash(path, store):
    fill_up(store, 20)
    store.close()
    data = bytearray(path.read_bytes())
    for at in range(8_192, len(data), 4_096):
        data[at : at + 400] = b"\xa5" * 400
    path.write_bytes(data)
    with pytest.raises(OperatorError, match="damaged"):
        ChainStore(path, NETWORK).read.fills_after(0)


def test_migration_failure_leaves_the_old_schema(tmp_path):
    from storage.database import open_database

    def first(database):
        database.executescript("CREATE TABLE a (x);")

    def broken(database):
        database.executescript("CREATE TABLE b (x);")
        raise ZeroDivisionError

    path = tmp_path / "m.sqlite"
    open_database(path, (first,)).conn.close()
    with pytest.raises(ZeroDivisionError):
        open_database(path, (first, broken))
    database = open_database(path, (first,))
    assert database.table_names() == ["a"]
    database.conn.close()
    database = open_database(path, (first, lambda d: d.executescript("CREATE TABLE b(x);")))
    assert database.table_names() == ["a", "b"]
    database.conn.close()


@given(st.integers(-(1 << 200), 1 << 200))
def test_any_integer_is_read_as_it_was_written(number):
    assert decode_integer(encode_integer(number)) == number


@given(st.lists(st.integers(-(1 << 140), 1 << 140)))
def test_lists_of_integers_are_read_as_they_were_written(numbers):
    assert decode_numbers(encode_numbers(numbers)) == tuple(numbers)


@given(st.integers())
def test_page_size_is_always_bounded(limit):
    from storage.chain_reader import bound

    assert 0 <= bound(limit) <= 1_000


def test_event_of_an_account_that_never_traded_is_kept(store):
    batch = AccountEventsRecord(address=b"z" * 20, first=1, count=1, body=b"deposit")
    store.write_executed(make_executed(1, events=(batch,)))
    (stored,) = store.read.account_events(b"z" * 20)
    assert (stored.first, stored.last, stored.body, stored.height) == (1, 1, b"deposit", 1)
