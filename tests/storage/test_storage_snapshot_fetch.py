from __future__ import annotations

import pytest

from primitives.cid import Cid
from primitives.errors import PeerError, TransientError
from storage.block_source import StoredBlocks
from storage.block_store import BlockStore
from storage.snapshot_fetch import fetch_snapshot
from storage.snapshots import Snapshots, make_manifest
from tests.storage.memory_streams import MemoryNetwork


@pytest.fixture
async def network(nursery):
    return MemoryNetwork(nursery)


async def test_snapshot_is_fetched_and_resumed_after_a_peer_left(network, tmp_path):
    chunks = [bytes([i]) * 1_000 for i in range(30)]
    manifest = make_manifest(100, b"r" * 32, chunks)
    held = {Cid.raw(chunk): chunk for chunk in chunks}
    half = dict(list(held.items())[:15])
    a = await network.add("a", {manifest.cid: manifest.encode(), **half})
    store = BlockStore(tmp_path / "blocks.sqlite")
    snapshots = Snapshots(store)
    b = await network.add("b")
    b._source = StoredBlocks(store)
    expected = {"height": 100, "state_root": b"r" * 32}
    with pytest.raises(PeerError, match="another state"):
        await fetch_snapshot(b, snapshots, manifest.cid, height=101, state_root=b"r" * 32)
    with pytest.raises(TransientError):
        await fetch_snapshot(b, snapshots, manifest.cid, **expected)
    assert snapshots.complete() == []
    before = b.received_bytes
    a._source.blocks.update(held)
    assert await fetch_snapshot(b, snapshots, manifest.cid, **expected) == manifest
    assert snapshots.verify(manifest.cid) == manifest
    assert list(snapshots.chunks(manifest)) == chunks
    assert b.received_bytes - before < 31 * 1_000
    store.close()
