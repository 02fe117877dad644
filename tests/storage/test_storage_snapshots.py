from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primitives import dag_cbor
from primitives.cid import DAG_CBOR, Cid
from primitives.errors import InvalidMessage, PeerError, TransientError
from storage.block_store import SNAPSHOT, BlockStore
from storage.snapshots import Snapshots, decode_manifest, make_manifest

ROOT = b"r" * 32


def make_chunks(seed, count=4, size=5_000):
    return [hashlib.shake_128(repr((seed, i)).encode()).digest(size) for i in range(count)]


@pytest.fixture
def store(tmp_path):
    store = BlockStore(tmp_path / "blocks.sqlite")
    yield store
    store.close()


@pytest.fixture
def snapshots(store):
    return Snapshots(store)


def test_snapshot_comes_back_whole(snapshots):
    chunks = make_chunks(1)
    manifest = snapshots.write(100, ROOT, chunks)
    (name,) = snapshots.complete()
    assert (name.height, name.cid) == (100, manifest.cid)
    assert snapshots.verify(name.cid) == manifest
    assert list(snapshots.chunks(manifest)) == chunks
    assert manifest.size_bytes == 20_000


def test_manifest_is_a_pure_function_of_the_state():
    a, b = (make_manifest(100, ROOT, make_chunks(1)) for _ in range(2))
    assert a == b
    assert a.cid == Cid.of(DAG_CBOR, a.encode())
    assert a.cid != make_manifest(101, ROOT, make_chunks(1)).cid
    assert str(make_manifest(1, bytes(32), [b"a"]).cid) == (
        "bafyreifwg35xj4nm6oexsy7kdz2fdpweviq5gjlzwnaaes2woc6d673z5u"
    )


def test_manifest_has_a_link_per_chunk():
    manifest = make_manifest(100, ROOT, make_chunks(1))
    assert dag_cbor.links(dag_cbor.decode(manifest.encode())) == list(manifest.chunks)
    assert decode_manifest(manifest.encode()) == manifest


def test_shared_chunks_are_stored_once_and_survive_pruning(snapshots, store):
    common = make_chunks(0, count=3)
    old = snapshots.write(100, ROOT, [*common, b"old"])
    new = snapshots.write(200, ROOT, [*common, b"new"])
    assert store.used_bytes(SNAPSHOT) == 15_006 + len(old.encode()) + len(new.encode())
    (dropped,) = snapshots.prune(keep=1)
    assert dropped.cid == old.cid
    assert snapshots.verify(new.cid) == new
    assert not store.has(Cid.raw(b"old"))
    assert snapshots.manifest(old.cid) is None


def test_newest_snapshot_is_listed_first(snapshots):
    for height in (100, 1_000, 20):
        snapshots.write(height, ROOT, make_chunks(height))
    assert [name.height for name in snapshots.complete()] == [1_000, 100, 20]


def test_half_written_snapshot_is_not_listed_and_is_collected(store, snapshots):
    def chunks():
        yield b"one"
        raise TransientError("disk full")

    with pytest.raises(TransientError):
        snapshots.write(100, ROOT, chunks())
    assert snapshots.complete() == []
    again = Snapshots(store)  # after a restart
    store.collect(SNAPSHOT)
    assert again.complete() == []
    assert store.used_bytes(SNAPSHOT) == 0


def test_fetched_snapshot_is_listed_when_its_last_chunk_is_here(snapshots):
    chunks = make_chunks(1)
    manifest = make_manifest(100, ROOT, chunks)
    for cid, chunk in zip(manifest.chunks[:-1], chunks[:-1], strict=True):
        snapshots.put_chunk(manifest, cid, chunk)
    with pytest.raises(TransientError, match="missing"):
        snapshots.finish(manifest)
    snapshots.put_chunk(manifest, manifest.chunks[-1], chunks[-1])
    snapshots.finish(manifest)
    assert snapshots.verify(manifest.cid) == manifest


def test_missing_or_damaged_chunk_is_found(snapshots, store):
    manifest = snapshots.write(100, ROOT, make_chunks(1))
    store._database.conn.execute(
        "UPDATE blocks SET data = ? WHERE digest = ?", (b"evil", manifest.chunks[2].digest)
    )
    with pytest.raises(TransientError, match="missing or damaged"):
        snapshots.verify(manifest.cid)


def test_manifest_with_a_wrong_size_is_found(snapshots, store):
    manifest = snapshots.write(100, ROOT, make_chunks(1))
    lie = replace(manifest, size_bytes=manifest.size_bytes - 1)
    store.put(lie.cid, lie.encode(), SNAPSHOT)
    with pytest.raises(InvalidMessage, match="size"):
        snapshots.verify(lie.cid)


def make_value(**changes):
    return {
        "chunks": [Cid.raw(b"a")],
        "height": 1,
        "size": 1,
        "stateRoot": ROOT,
        "version": 1,
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": True},
        {"height": -1},
        {"height": True},
        {"height": "1"},
        {"stateRoot": b"r"},
        {"chunks": {}},
        {"chunks": [1]},
        {"chunks": [Cid.of(DAG_CBOR, b"a")]},
        {"size": 0},
        {"size": 2 << 20},
        {"extra": None},
    ],
)
def test_malformed_manifest_is_refused(changes):
    decode_manifest(dag_cbor.encode(make_value()))
    with pytest.raises(PeerError):
        decode_manifest(dag_cbor.encode(make_value(**changes)))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_a_peers_fault(data):
    with pytest.raises(PeerError):
        decode_manifest(data)


def test_a_snapshot_that_a_peer_fetches_is_kept_but_not_many(snapshots):
    for height in (100, 200, 300, 400):
        snapshots.write(height, ROOT, make_chunks(height))
    assert [snapshots.hold(height) for height in (100, 200, 300, 200)] == [True, True, False, True]
    assert [name.height for name in snapshots.prune(keep=1)] == [300]
    assert snapshots.held() == [200, 100]
