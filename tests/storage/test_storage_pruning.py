from __future__ import annotations

from functools import partial

import pytest
import trio

from primitives.errors import OperatorError, TransientError
from storage import limits
from storage.chain_store import ChainStore
from storage.pruning import ARCHIVE, PrunePolicy, prune_step
from storage.pruning_task import keep_pruned
from storage.writer import StoreWriter
from tests.storage.chain_records import (
    BLOCK_MS,
    NETWORK,
    START_MS,
    address,
    make_executed,
    make_final,
)

HEIGHTS = 60


@pytest.fixture
def store(tmp_path):
    store = ChainStore(tmp_path / "chain.sqlite", NETWORK)
    for height in range(1, HEIGHTS + 1):
        store.write_final(make_final(height, bundles=2))
        store.write_executed(make_executed(height))
    yield store
    store.close()


def prune(store, policy, *, now_ms=START_MS, keep_from=HEIGHTS):
    deleted = 0
    while step := prune_step(store, policy, now_ms=now_ms, keep_from=keep_from):
        deleted += step
    return deleted


def age_of(height):
    """Return `now_ms` and a policy by which heights below `height` are too old."""
    return {
        "policy": PrunePolicy(age_ms_max=1_000, size_bytes_max=None),
        "now_ms": START_MS + height * BLOCK_MS + 1_000,
    }


def test_old_heights_go_and_the_rest_is_whole(store):
    assert prune(store, **age_of(21)) == 20
    assert store.read.oldest_height() == 21
    assert store.read.block(20) is None
    assert store.read.bundle(make_final(20).bundles[0].digest) is None
    assert store.read.receipts(20) == []
    assert store.read.executed(20) is None
    assert store.read.bundle(make_final(21).bundles[0].digest) is not None
    fills = store.read.fills_after(0)
    assert [fills[0].height, fills[0].id, len(fills)] == [21, 81, 160]
    oldest = store.read.oldest_event(address(1))
    assert store.read.account_events(address(1), after=oldest - 2) == []
    assert (store.read.oldest_executed(), store.read.first_fill_id()) == (21, 81)
    events = store.read.account_events(address(1), after=oldest - 1)
    assert events[0].height >= 21
    assert events[-1].last == store.read.account_seq(address(1))


def test_what_proofs_and_charts_need_stays(store):
    days = store.read.candles(0, 86_400_000)
    minutes = store.read.candles(0, 60_000)
    prune(store, **age_of(50))
    assert store.read.candles(0, 86_400_000) == days
    assert store.read.candles(0, 60_000) == minutes
    assert store.read.candles(0, 1_000)[0].start_ms >= START_MS + 4_000
    assert len(store.read.withdrawals()) == HEIGHTS


def test_writing_goes_on_after_pruning_and_a_restart(store, tmp_path):
    prune(store, **age_of(50))
    store.write_final(make_final(61))
    assert store.write_executed(make_executed(61))
    store.close()
    again = ChainStore(tmp_path / "chain.sqlite", NETWORK)
    assert (again.final_height, again.executed_height, again.last_fill_id) == (61, 61, 244)
    assert again.write_executed(make_executed(62))
    assert again.last_fill_id == 248
    again.close()


def test_heights_that_restart_needs_are_kept(store):
    assert prune(store, **age_of(50), keep_from=31) == 30
    assert store.read.oldest_height() == 31
    assert prune(store, **age_of(1_000), keep_from=1_000) == HEIGHTS - 31
    assert store.read.oldest_height() == HEIGHTS


def test_size_is_brought_down_step_by_step(store, monkeypatch):
    monkeypatch.setattr(limits, "PRUNE_HEIGHTS_PER_STEP", 7)
    size_bytes = store.size_bytes()
    policy = PrunePolicy(size_bytes_max=size_bytes * 2 // 3)
    assert prune_step(store, policy, now_ms=0, keep_from=HEIGHTS) == 7
    deleted = 7 + prune(store, policy)
    assert 7 <= deleted < HEIGHTS - 1
    assert store.size_bytes() <= size_bytes * 2 // 3


def test_archive_keeps_everything(store):
    assert prune(store, ARCHIVE, now_ms=START_MS * 2) == 0
    assert PrunePolicy().size_bytes_max == limits.HOME_BYTES_MAX
    assert prune(store, PrunePolicy()) == 0


def test_empty_store_has_nothing_to_prune(tmp_path):
    store = ChainStore(tmp_path / "empty.sqlite", NETWORK)
    assert prune(store, **age_of(10)) == 0
    store.close()


async def test_pruning_goes_on_beside_the_writer_and_survives_a_full_disk(store, monkeypatch):
    monkeypatch.setattr(limits, "PRUNE_HEIGHTS_PER_STEP", 10)
    monkeypatch.setattr(limits, "PRUNE_STEP_PAUSE_S", 0.001)
    writer = StoreWriter(store)
    failures = []
    connection = store.database.conn
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            connection.execute("PRAGMA query_only=ON")

            def on_failure(error):
                failures.append(error)
                connection.execute("PRAGMA query_only=OFF")

            def keep_from():
                if len(failures) == 1:  # the snapshots lie on the same disk
                    raise TransientError("database busy")
                return 41

            nursery.start_soon(
                partial(
                    keep_pruned,
                    writer,
                    PrunePolicy(size_bytes_max=0),
                    now_ms=lambda: START_MS,
                    keep_from=keep_from,
                    on_failure=on_failure,
                    pause_s=0.001,
                )
            )
            height = HEIGHTS
            while await writer.run(lambda s: s.read.oldest_height()) != 41:
                if failures:
                    height += 1
                    await writer.run(ChainStore.write_final, make_final(height))
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
    assert [type(error) for error in failures] == [OperatorError, TransientError]
    assert store.final_height == height > HEIGHTS
