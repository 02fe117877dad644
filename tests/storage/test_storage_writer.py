from __future__ import annotations

import threading

import pytest
import trio

from primitives.cid import DAG_CBOR, RAW, Cid
from primitives.errors import TransientError
from storage import limits
from storage.block_source import ChainBlocks, FirstOf, StoredBlocks
from storage.block_store import CACHE, BlockStore
from storage.chain_reader import ChainReader
from storage.chain_store import ChainStore
from storage.writer import ReadPool, StoreWriter
from tests.storage.chain_records import NETWORK, make_executed, make_final


class Recorder:
    def __init__(self):
        self.seen = []
        self.threads = set()
        self.busy = False
        self.begun = threading.Event()

    def write(self, number, gate=None):
        assert not self.busy
        self.busy = True
        self.threads.add(threading.get_ident())
        self.begun.set()
        if gate is not None:
            gate.wait(60)
        self.seen.append(number)
        self.busy = False
        return -number


async def test_writes_happen_one_at_a_time_in_the_order_asked_for():
    recorder = Recorder()
    writer = StoreWriter(recorder)
    results = {}

    async def write(number):
        results[number] = await writer.run(Recorder.write, number)

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(write, number)
            await trio.testing.wait_all_tasks_blocked(0.0)
    assert recorder.seen == list(range(50))
    assert results == {number: -number for number in range(50)}
    assert trio.lowlevel.current_trio_token() is not None
    assert threading.get_ident() not in recorder.threads


async def test_queue_is_bounded(monkeypatch):
    monkeypatch.setattr(limits, "WRITE_QUEUE_MAX", 3)
    recorder, gate = Recorder(), threading.Event()
    writer = StoreWriter(recorder)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run, Recorder.write, 0, gate)
        for number in range(1, 6):
            nursery.start_soon(writer.run, Recorder.write, number)
        while writer.waiting < 3:
            await trio.sleep(0)
        assert writer.waiting == 3
        gate.set()
    assert writer.waiting == 0
    assert sorted(recorder.seen) == list(range(6))


async def test_cancelled_caller_does_not_interrupt_a_write():
    recorder, gate = Recorder(), threading.Event()
    writer = StoreWriter(recorder)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run, Recorder.write, 1, gate)
        await trio.to_thread.run_sync(recorder.begun.wait, 60)
        nursery.cancel_scope.cancel()
        gate.set()
    assert recorder.seen == [1]
    assert await writer.run(Recorder.write, 2) == -2


async def test_failure_reaches_the_caller_and_the_next_write_works():
    recorder = Recorder()
    writer = StoreWriter(recorder)

    def fail(store):
        raise TransientError("disk full")

    with pytest.raises(TransientError):
        await writer.run(fail)
    assert await writer.run(Recorder.write, 1) == -1


async def test_store_and_readers_work_through_their_shells(tmp_path):
    path = tmp_path / "chain.sqlite"
    store = ChainStore(path, NETWORK)
    writer = StoreWriter(store)
    pool = ReadPool([ChainReader.open(path) for _ in range(2)])

    async def read(heights):
        while (executed := await pool.run(ChainReader.latest_executed)) is None or (
            executed.height < heights
        ):
            if executed is not None:
                fills = await pool.run(lambda r: r.fills_after(0))
                assert len(fills) % 4 == 0

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(read, 40)
        for height in range(1, 41):
            await writer.run(ChainStore.write_final, make_final(height))
            assert await writer.run(ChainStore.write_executed, make_executed(height))
    await writer.run(ChainStore.close)
    await pool.run(ChainReader.close)
    await pool.run(ChainReader.close)


async def test_chain_is_served_as_ipfs_blocks(tmp_path):
    path = tmp_path / "chain.sqlite"
    store = ChainStore(path, NETWORK)
    record = make_final(1)
    store.write_final(record)
    blocks = BlockStore(tmp_path / "blocks.sqlite")
    file = Cid.raw(b"file")
    blocks.put(file, b"file", CACHE)
    reader = ChainReader.open(path)
    source = FirstOf([ChainBlocks(ReadPool([reader])), StoredBlocks(blocks)])
    bundle = record.bundles[0]
    for cid, data in (
        (Cid.decode(record.cid), record.node),
        (Cid(RAW, bundle.digest), bundle.data),
        (file, b"file"),
    ):
        assert await source.get(cid) == data
        assert await source.size(cid) == len(data)
    assert await source.get(Cid(DAG_CBOR, b"?" * 32)) is None
    assert await source.size(Cid.raw(b"?")) is None
    reader.close()
    blocks.close()
    store.close()
