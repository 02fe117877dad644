from __future__ import annotations

import threading

import pytest

from primitives.cid import DAG_CBOR, Cid
from primitives.errors import InvalidMessage, LimitExceeded, OperatorError
from storage.block_store import CACHE, FILE, SNAPSHOT, BlockStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "blocks.sqlite"


@pytest.fixture
def store(path):
    store = BlockStore(path, {CACHE: 1_000, FILE: 1_000, SNAPSHOT: 8 << 20})
    yield store
    store.close()


def put(store, data, kind=CACHE, pin=None):
    cid = Cid.raw(data)
    store.put(cid, data, kind, pin)
    return cid


def test_block_comes_back_by_its_cid(store):
    cid = put(store, b"hello")
    assert store.get(cid) == b"hello"
    assert (store.size(cid), store.has(cid), store.used_bytes(CACHE)) == (5, True, 5)
    assert store.get(Cid.raw(b"other")) is None


def test_block_is_found_under_every_codec_of_its_hash(store):
    cid = put(store, b"\xa0")
    assert store.get(Cid(DAG_CBOR, cid.digest)) == b"\xa0"


def test_putting_twice_counts_once(store):
    put(store, b"x" * 600)
    put(store, b"x" * 600)
    assert store.used_bytes(CACHE) == 600


def test_wrong_and_too_large_blocks_are_refused(store):
    with pytest.raises(InvalidMessage):
        store.put(Cid.raw(b"a"), b"b", CACHE)
    with pytest.raises(LimitExceeded):
        put(store, bytes((2 << 20) + 1), SNAPSHOT)
    put(store, bytes(2 << 20), SNAPSHOT)


def test_oldest_unpinned_block_of_the_kind_makes_room(store):
    pinned = put(store, b"p" * 300, pin="keep")
    other_kind = put(store, b"f" * 900, FILE)
    old = put(store, b"o" * 300)
    new = put(store, b"n" * 300)
    newest = put(store, b"m" * 300)
    assert [store.has(cid) for cid in (pinned, other_kind, old, new, newest)] == [1, 1, 0, 1, 1]
    assert store.used_bytes(CACHE) == 900


def test_quota_full_of_pinned_blocks_is_the_operators(store):
    put(store, b"p" * 900, pin="keep")
    with pytest.raises(OperatorError, match="quota") as caught:
        put(store, b"n" * 300)
    assert caught.value.code == "STO001"
    store.unpin("keep")
    put(store, b"n" * 300)


def test_block_under_two_pins_stays_until_both_are_gone(store):
    cid = put(store, b"a", pin="one")
    store.pin("two", [cid])
    store.unpin("one")
    assert store.collect(CACHE) == 0
    store.unpin("two")
    assert store.collect(CACHE) == 1
    assert not store.has(cid)


def test_pins_are_listed_by_prefix_and_renamed_at_once(store):
    cid = put(store, b"a", pin="part/1")
    put(store, b"b", pin="party")
    assert store.pins("part/") == ["part/1"]
    store.rename_pin("part/1", "whole/1")
    assert store.pins() == ["party", "whole/1"]
    assert store.is_pinned(cid)


def test_everything_survives_a_restart(path):
    quotas = {CACHE: 1_000}
    store = BlockStore(path, quotas)
    kept, loose = put(store, b"k" * 400, pin="keep"), put(store, b"l" * 400)
    store.close()
    store = BlockStore(path, quotas)
    assert store.used_bytes(CACHE) == 800
    put(store, b"n" * 400)
    assert (store.has(kept), store.has(loose)) == (True, False)
    store.close()


def test_damaged_block_is_never_handed_out_and_a_new_copy_mends_it(store):
    cid = put(store, b"good")
    store._database.conn.execute("UPDATE blocks SET data = ?", (b"evil",))
    assert store.get(cid) is None
    assert store.size(cid) is None
    put(store, b"good")
    assert store.get(cid) == b"good"
    assert store.used_bytes(CACHE) == 4


def test_threads_share_one_store(store):
    def work(number):
        for i in range(20):
            data = b"%d" % (i % 7) * number
            cid = put(store, data, SNAPSHOT)
            if store.get(cid) != data:
                wrong.append(data)

    wrong: list[bytes] = []
    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_freed_space_goes_back_to_the_disk(path):
    store = BlockStore(path, {CACHE: 64 << 20})
    for i in range(16):
        put(store, bytes([i]) * (1 << 20))
    full = store.size_bytes()
    store.collect(CACHE)
    assert store.size_bytes() < full / 10
    store.close()
