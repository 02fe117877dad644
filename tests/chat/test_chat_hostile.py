"""Nobody makes chat cost a node its time, its disk, or its life.

Spec: docs/spec/chat.md. Deviations: none.
"""

from __future__ import annotations

import random
import sqlite3

import pytest

from chat import limits, sync
from chat.envelope import Envelope, OpenDirectory, sign
from chat.frame_rate import FrameRate, cost_of
from chat.payload import DirectMessage
from chat.store import ChatStore
from primitives.codec import encode
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey
from tests.chat.network import ALICE, BOB, CAROL, DOMAIN, START_MS, Peer, gossip, message, signed
from tests.chat.network import sync as compare

VALIDATOR = b"v9"


def statements_of(store: ChatStore) -> list[str]:
    """The SQL a store runs from now on."""
    said: list[str] = []
    store._connection.set_trace_callback(said.append)
    return said


def letter(key: PrivateKey, n: int = 0) -> bytes:
    payload = DirectMessage(
        domain=DOMAIN,
        author=key.address,
        time_ms=START_MS + n,
        delegation=None,
        to=CAROL.address,
        sealed=b"sealed" * 20,
    )
    return gossip(sign(payload, key))


# Time


def test_comparing_the_same_histories_again_reads_no_feed():
    peer = Peer(b"v0")
    for n in range(40):
        peer.hear(gossip(signed(text=str(n), time_ms=START_MS - n * 600_000)))
    feeds = peer.service.feeds
    frame = sync.Feeds(0, tuple((feed, b"\1" * limits.DIGEST_BYTES) for feed in feeds))
    sync.answer_feeds(peer.store, feeds, frame)
    said = statements_of(peer.store)
    for _ in range(5):
        assert len(sync.answer_feeds(peer.store, feeds, frame)) == len(feeds)
        assert sync.compute_feeds(peer.store, feeds, 0)
    assert said == []
    peer.hear(gossip(signed(text="new")))
    said.clear()
    sync.compute_feeds(peer.store, feeds, 0)
    assert len(said) == 1  # the hour that changed


def test_remembered_digests_are_those_of_the_messages(monkeypatch):
    monkeypatch.setattr(limits, "ROOM_MESSAGES_MAX", 30)
    chance = random.Random(1)
    peer = Peer(b"v0")
    for n in range(60):
        time_ms = START_MS - chance.randrange(20) * 1_800_000
        peer.hear(gossip(signed(text=str(n), time_ms=time_ms)), START_MS)
        if n % 20 == 19:
            peer.service.prune(START_MS + limits.RETENTION_MS - 8 * limits.HOUR_MS)
        rows = peer.store.after("lobby", (0, b""), limits.TIME_MS_MAX, 1_000)
        hours: dict[int, bytes] = {}
        for row in rows:
            hour = row.lamport // limits.HOUR_MS
            hours[hour] = hours.get(hour, b"") + row.id
        digests = {h: keccak256(ids)[: limits.DIGEST_BYTES] for h, ids in hours.items()}
        assert peer.store.hour_digests("lobby", 0) == digests
        joined = b"".join(h.to_bytes(8, "big") + d for h, d in sorted(digests.items()))
        expected = keccak256(joined)[: limits.DIGEST_BYTES] if rows else bytes(16)
        assert peer.store.feed_digest("lobby", 0) == expected
        assert peer.store.count("lobby") == len(rows)


def test_a_peer_that_asks_without_end_is_not_answered_and_others_are():
    peer, friend = Peer(b"v0"), Peer(b"v1")
    peer.hear(gossip(signed()))
    want = sync.encode_frame(sync.Want("lobby", START_MS // limits.HOUR_MS, 0, b""))
    for _ in range(10_000):
        peer.service.on_frame(VALIDATOR, want, START_MS)
    assert len(peer.frames) == limits.SYNC_COST_BURST // 4
    peer.frames.clear()
    compare(friend, peer)
    assert friend.texts() == ["hello"]
    peer.service.on_frame(VALIDATOR, want, START_MS + 1_000)
    assert len(peer.frames) == 1


def test_all_peers_together_cost_a_bounded_time():
    rate, paid = FrameRate(), 0
    frame = sync.Want("lobby", 1, 0, b"")
    for second in range(10):
        for peer in range(100):
            while rate.take(b"%d" % peer, cost_of(frame), START_MS + second * 1_000):
                paid += cost_of(frame)
    assert paid <= limits.SYNC_COST_BURST_OF_ALL + 9 * limits.SYNC_COST_PER_S_OF_ALL


def test_a_page_costs_by_its_messages():
    envelopes = tuple(signed(text=str(n)) for n in range(40))
    page = sync.Page("lobby", 1, False, envelopes)
    assert cost_of(page) == 11
    assert cost_of(sync.Page("lobby", 1, False, ())) == 1


def test_only_messages_of_now_are_passed_on():
    peer = Peer(b"v0")
    good = gossip(signed())
    assert peer.service.is_timely(good, START_MS)
    assert peer.service.is_timely(good, START_MS + limits.GOSSIP_AGE_MS_MAX)
    assert not peer.service.is_timely(good, START_MS + limits.GOSSIP_AGE_MS_MAX + 1)
    assert not peer.service.is_timely(good, START_MS - limits.CLOCK_AHEAD_MS_MAX - 1)
    for junk in (b"", b"junk", good[:-1], good + b"\0", bytes(60_000)):
        assert not peer.service.is_timely(junk, START_MS)
    foreign = Envelope(encode(message(domain=b"\x08" * 32)), bytes(65))
    assert not peer.service.is_timely(gossip(foreign), START_MS)


# Disk


def write_on(peer: Peer) -> None:
    """Write until something breaks."""
    for n in range(1_000):
        peer.hear(gossip(signed(ALICE, "x" * 1_500, time_ms=START_MS - n * limits.MINUTE_MS)))


def test_rooms_divide_what_all_of_them_may_hold(monkeypatch):
    monkeypatch.setattr(limits, "ROOMS_MESSAGES_MAX", 12)
    peer = Peer(b"v0")
    for n in range(10):
        for room in peer.service.feeds:
            peer.hear(gossip(signed(text=str(n), room=room, time_ms=START_MS + n)))
    assert len(peer.service.feeds) == 3
    assert peer.service.messages == 12
    assert peer.texts() == ["6", "7", "8", "9"]
    peer.store.share_rooms(6)
    peer.hear(gossip(signed(text="10", time_ms=START_MS + 10)))
    assert peer.texts() == ["9", "10"]


def test_addresses_that_cost_nothing_leave_room_for_accounts(monkeypatch):
    monkeypatch.setattr(limits, "DIRECT_MESSAGES_MAX", 6)

    class Accounts(OpenDirectory):
        def knows(self, account: bytes) -> bool:
            return account == BOB.address

    peer = Peer(b"v0", Accounts())
    taken = [peer.hear(letter(PrivateKey(bytes([9] * 31 + [n + 1])))) for n in range(9)]
    assert taken == [True] * 3 + [False] * 6
    assert peer.hear(letter(BOB))


def test_what_is_old_is_deleted_in_steps(monkeypatch):
    monkeypatch.setattr(limits, "PRUNE_STEP_MESSAGES", 4)
    peer = Peer(b"v0")
    for n in range(10):
        peer.hear(gossip(signed(text=str(n), room=peer.service.feeds[n % 3])))
    later = START_MS + limits.RETENTION_MS + 1
    assert [peer.service.prune(later) for _ in range(4)] == [4, 4, 2, 0]


def test_a_full_disk_loses_messages_and_nothing_else(tmp_path):
    store = ChatStore(tmp_path / "chat.sqlite")
    peer = Peer(b"v0", store=store)
    peer.hear(gossip(signed(text="before")))
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.Error):
        write_on(peer)
    held = peer.service.messages
    store._connection.execute("PRAGMA max_page_count = 1000000")
    assert peer.hear(gossip(signed(text="after")))
    assert peer.service.messages == held + 1
    rows = store._connection.execute("SELECT count(*) FROM items").fetchone()[0]
    assert peer.service.messages == rows
    store.close()
