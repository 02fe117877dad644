"""What a node's chat takes, refuses, orders and hands to those who come late.

Rule: messages are real signed bytes; nothing reaches into the service.
Spec: docs/spec/chat.md. Deviations: none.
"""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat import limits
from chat.envelope import Envelope, OpenDirectory, delegate, sign
from chat.payload import RoomMessage, decode_payload
from chat.service import TOPIC
from chat.store import ChatStore
from primitives.errors import InvalidMessage, InvalidSignature, LimitExceeded, PeerError
from primitives.secp256k1 import PrivateKey
from tests.chat.network import (
    ALICE,
    BOB,
    CAROL,
    DOMAIN,
    START_MS,
    Peer,
    gossip,
    history,
    message,
    signed,
    sync,
)

SESSION = PrivateKey(b"\x09" * 32)


def test_a_message_sent_to_one_node_is_read_from_another_after_the_first_died():
    v0, v3 = Peer(b"v0"), Peer(b"v3")
    v0.post(signed(text="still here"))
    for data in v0.published:
        v3.hear(data)
    del v0
    assert v3.texts() == ["still here"]


def test_posting_the_same_bytes_again_changes_nothing():
    peer = Peer(b"v0")
    envelope = signed()
    first = peer.post(envelope)
    assert peer.post(envelope).id == first.id
    assert len(peer.published) == len(peer.announced) == 1
    assert peer.service.messages == 1


def test_gossip_of_a_known_message_is_not_new():
    peer = Peer(b"v0")
    assert peer.hear(gossip(signed()))
    assert not peer.hear(gossip(signed()))


def test_history_is_ordered_by_lamport_time_then_id():
    peer = Peer(b"v0")
    late = signed(text="late", ahead_ms=10)
    early = signed(BOB, text="early", ahead_ms=5)
    ties = [signed(key, text="tie", ahead_ms=7) for key in (ALICE, BOB, CAROL)]
    for envelope in (late, *ties, early):
        peer.hear(gossip(envelope))
    items = peer.service.history("lobby", 10)
    assert [(item.lamport, item.id) for item in items] == sorted(
        (item.lamport, item.id) for item in items
    )
    assert peer.texts()[0] == "early"
    assert peer.texts()[-1] == "late"


def test_history_pages_lead_to_the_beginning():
    peer = Peer(b"v0")
    for n in range(25):
        peer.hear(gossip(signed(text=str(n), time_ms=START_MS + n)))
    seen, place = [], None
    while page := peer.service.history("lobby", 7, place):
        seen = [decode_payload(item.payload).text for item in page] + seen
        place = (page[0].lamport, page[0].id)
    assert seen == [str(n) for n in range(25)]


@pytest.mark.parametrize(
    ("envelope", "error"),
    [
        (sign(message(ALICE, author=BOB.address), ALICE), InvalidSignature),
        (Envelope(signed().payload, signed(BOB).signature), InvalidSignature),
        (Envelope(signed().payload, b"\0" * 65), InvalidSignature),
        (Envelope(signed().payload, b"short"), InvalidMessage),
        (sign(message(domain=b"\x08" * 32), ALICE), InvalidMessage),
        (signed(room="no-such-room"), InvalidMessage),
        (signed(room="direct"), InvalidMessage),
        (signed(text=" \n "), InvalidMessage),
        (signed(text="bell\a"), InvalidMessage),
        (signed(text="\u202eesrever"), InvalidMessage),
        (signed(text="\u2028"), InvalidMessage),
        (signed(text="€" * 2_000), None),
        (signed(text="€" * 2_001), InvalidMessage),
        (signed(text="𝄞" * 1_501), LimitExceeded),
        (signed(text="👩\u200d👩\u200d👧 naïve\u00a0text\n\tok"), None),
        (signed(ahead_ms=-1), InvalidMessage),
        (signed(ahead_ms=limits.LAMPORT_AHEAD_MS_MAX + 1), InvalidMessage),
        (signed(time_ms=START_MS + limits.CLOCK_AHEAD_MS_MAX), None),
        (signed(time_ms=START_MS + limits.CLOCK_AHEAD_MS_MAX + 1), InvalidMessage),
        (signed(time_ms=START_MS - limits.POST_AGE_MS_MAX - 1), InvalidMessage),
    ],
)
def test_what_may_be_posted(envelope, error):
    peer = Peer(b"v0")
    if error is None:
        peer.post(envelope)
        assert peer.service.messages == 1
        return
    with pytest.raises(error):
        peer.post(envelope)
    assert peer.service.messages == 0
    assert peer.published == []


def test_old_gossip_is_dropped_without_blame():
    peer = Peer(b"v0")
    assert not peer.hear(gossip(signed(time_ms=START_MS - limits.RETENTION_MS - 1)))
    assert peer.hear(gossip(signed(time_ms=START_MS - limits.RETENTION_MS)))


def test_a_session_key_speaks_for_the_account_that_the_ledger_names():
    class Ledger(OpenDirectory):
        def speaks_for(self, account, key, time_ms):
            return (account, key) == (ALICE.address, SESSION.address) and time_ms < START_MS + 50

        def admits(self, account):
            return True

    peer = Peer(b"v0", Ledger())
    peer.post(sign(message(author=ALICE.address), SESSION))
    with pytest.raises(InvalidSignature):
        peer.post(sign(message(author=BOB.address), SESSION))
    with pytest.raises(InvalidSignature):
        peer.post(sign(message(author=ALICE.address, time_ms=START_MS + 50), SESSION))
    assert not peer.hear(gossip(sign(message(author=BOB.address), SESSION)))


def test_an_account_the_directory_does_not_admit_is_refused():
    class Closed(OpenDirectory):
        def speaks_for(self, account, key, time_ms):
            return False

        def admits(self, account):
            return account == ALICE.address

    peer = Peer(b"v0", Closed())
    peer.post(signed(ALICE))
    with pytest.raises(InvalidMessage):
        peer.post(signed(BOB))


def delegated(expiry_ms: int, *, wallet=ALICE, key=SESSION, claims=ALICE) -> Envelope:
    plain = message(key, author=claims.address)
    delegation = delegate(wallet, key.address, expiry_ms, DOMAIN)
    fields = {name: getattr(plain, name) for name in plain.__struct_fields__}
    return sign(RoomMessage(**{**fields, "delegation": delegation}), key)


def test_a_wallet_can_let_a_key_write_for_it_without_any_ledger():
    peer = Peer(b"v0")
    peer.post(delegated(START_MS + 1_000))
    assert peer.announced[0].payload.author == ALICE.address
    assert peer.announced[0].signer == SESSION.address


@pytest.mark.parametrize(
    "envelope",
    [
        delegated(START_MS - 1),
        delegated(START_MS + limits.DELEGATION_MS_MAX + 1),
        delegated(START_MS + 1_000, wallet=BOB),
        delegated(START_MS + 1_000, claims=BOB),
    ],
)
def test_a_delegation_that_is_late_or_of_another_wallet_is_refused(envelope):
    with pytest.raises(InvalidSignature):
        Peer(b"v0").post(envelope)


def test_the_31st_message_of_a_minute_is_refused():
    peer = Peer(b"v0")
    minute = START_MS // limits.MINUTE_MS * limits.MINUTE_MS
    for n in range(limits.AUTHOR_ROOM_MINUTE_MAX):
        peer.post(signed(text=str(n), time_ms=minute + n), minute)
    with pytest.raises(LimitExceeded):
        peer.post(signed(text="more", time_ms=minute + 59_999), minute + 60_000)
    peer.post(signed(BOB, time_ms=minute), minute)
    peer.post(signed(time_ms=minute + 60_000), minute + 60_000)
    peer.post(signed(time_ms=minute + 1, room="WETH-USDX"), minute)


def test_messages_are_forgotten_after_seven_days():
    peer = Peer(b"v0")
    peer.post(signed())
    assert peer.service.prune(START_MS + limits.RETENTION_MS) == 0
    assert peer.service.prune(START_MS + limits.RETENTION_MS + 1) == 1
    assert peer.texts() == []
    assert peer.service.messages == 0


def test_history_survives_a_restart(tmp_path):
    path = tmp_path / "chat.sqlite"
    peer = Peer(b"v0", store=ChatStore(path))
    peer.post(signed(text="kept"))
    peer.store.close()
    again = Peer(b"v0", store=ChatStore(path))
    assert again.texts() == ["kept"]
    assert again.service.messages == 1
    again.store.close()


def test_a_full_room_loses_its_oldest_message(monkeypatch):
    monkeypatch.setattr(limits, "ROOM_MESSAGES_MAX", 5)
    peer = Peer(b"v0")
    for n in (3, 1, 4, 0, 6, 2, 5, 7):
        peer.hear(gossip(signed(text=str(n), time_ms=START_MS + n)))
    assert peer.texts() == ["3", "4", "5", "6", "7"]


# History


def fill(peer: Peer, count: int, *, step_ms: int = 600_000, key: PrivateKey = ALICE) -> None:
    rooms = peer.service.feeds
    for n in range(count):
        time_ms = START_MS - n * step_ms
        peer.hear(gossip(signed(key, str(n), room=rooms[n % len(rooms)], time_ms=time_ms)))


def test_a_late_joiner_gets_the_history():
    old, new = Peer(b"v0"), Peer(b"v4")
    fill(old, 60)
    sync(new, old)
    assert history(new) == history(old)
    assert new.service.messages == 60


def test_equal_histories_need_one_frame():
    a, b = Peer(b"v0"), Peer(b"v1")
    fill(a, 10)
    fill(b, 10)
    assert sync(a, b) == 1


def test_two_halves_become_one_history():
    a, b = Peer(b"v0"), Peer(b"v1")
    fill(a, 30, key=ALICE)
    fill(b, 30, key=BOB)
    sync(a, b)
    sync(b, a)
    assert history(a) == history(b)
    assert a.service.messages == 60


def test_an_hour_longer_than_a_page_arrives_whole_even_if_only_its_end_is_missing(monkeypatch):
    monkeypatch.setattr(limits, "SYNC_PAGE_MESSAGES_MAX", 8)
    hour = START_MS // limits.HOUR_MS * limits.HOUR_MS
    a, b = Peer(b"v0"), Peer(b"v1")
    for n in range(50):
        data = gossip(signed(text=str(n), time_ms=hour + n * 10_000))
        a.hear(data, hour + limits.HOUR_MS)
        if n < 49:
            b.hear(data, hour + limits.HOUR_MS)
    sync(b, a, hour + limits.HOUR_MS)
    assert history(b) == history(a)


def test_pages_stay_below_the_frame_limit():
    a, b = Peer(b"v0"), Peer(b"v1")
    hour = START_MS // limits.HOUR_MS * limits.HOUR_MS
    for n in range(100):
        time_ms = hour + n * 30_000
        a.hear(gossip(signed(text="€" * 1_999, time_ms=time_ms)), hour + limits.HOUR_MS)
    sizes = []
    send = a.service._send
    a.service._send = lambda peer, frame: (sizes.append(len(frame)), send(peer, frame))
    sync(b, a, hour + limits.HOUR_MS)
    assert history(b) == history(a)
    assert max(sizes) <= limits.SYNC_FRAME_BYTES_MAX


def test_history_that_one_is_about_to_forget_is_not_compared():
    a, b = Peer(b"v0"), Peer(b"v1")
    a.hear(gossip(signed(time_ms=START_MS - limits.RETENTION_MS + 1)))
    assert sync(b, a) == 1


def test_a_forged_message_in_a_page_is_refused_and_the_rest_kept():
    from chat.sync import Page, encode_frame

    peer = Peer(b"v0")
    good, bad = signed(text="good"), Envelope(signed(text="bad").payload, signed(BOB).signature)
    worse = sign(message(domain=b"\x08" * 32), ALICE)
    hour = START_MS // limits.HOUR_MS
    peer.service.on_frame(b"p", encode_frame(Page("lobby", hour, False, (bad,))), START_MS)
    page = encode_frame(Page("lobby", hour, False, (worse, bad, good)))
    with pytest.raises(InvalidMessage):
        peer.service.on_frame(b"evil", page, START_MS)
    assert peer.texts() == ["good"]


# Properties


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_any_delivery_order_leads_to_the_same_history(seed, count):
    rng = random.Random(seed)
    envelopes = [
        signed(
            rng.choice((ALICE, BOB, CAROL)),
            str(n),
            room=rng.choice(("lobby", "WETH-USDX")),
            time_ms=START_MS + rng.randrange(0, 5),
            ahead_ms=rng.randrange(0, 3),
        )
        for n in range(count)
    ]
    peers = [Peer(b"v0"), Peer(b"v1")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "AUTHOR_ROOM_MINUTE_MAX", 4)
        for peer in peers:
            deliveries = envelopes + rng.choices(envelopes, k=5)
            rng.shuffle(deliveries)
            for envelope in deliveries:
                peer.hear(gossip(envelope))
    assert history(peers[0]) == history(peers[1])
    for peer in peers:
        peer.store.close()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_lossy_gossip_and_sync_lead_to_the_same_history(seed):
    rng = random.Random(seed)
    peers = [Peer(bytes([n])) for n in range(3)]
    for n in range(30):
        data = gossip(signed(rng.choice((ALICE, BOB)), str(n), time_ms=START_MS - n * 400_000))
        hearers = [peer for peer in peers if rng.random() < 0.5] or [peers[0]]
        for peer in hearers:
            peer.hear(data)
    for a, b in [(0, 1), (1, 2), (2, 0), (1, 0), (0, 1)]:
        sync(peers[a], peers[b])
        sync(peers[b], peers[a])
    assert history(peers[0]) == history(peers[1]) == history(peers[2])
    assert all(not peer.errors for peer in peers)
    for peer in peers:
        peer.store.close()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_are_a_peer_error(data):
    peer = Peer(b"v0")
    with pytest.raises(PeerError):
        peer.service.on_gossip(TOPIC, data, START_MS)
    with pytest.raises(PeerError):
        peer.service.on_frame(b"evil", data, START_MS)
    with pytest.raises(PeerError):
        peer.service.post(data, b"\1" * 65, START_MS)
    peer.store.close()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_flipped_or_cut_message_is_never_stored(data):
    peer = Peer(b"v0")
    good = gossip(signed())
    at = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[at] ^= 1 << data.draw(st.integers(0, 7))
    for hostile in (bytes(bad), good[:at]):
        # A changed signature is that of another key, which may speak for the author elsewhere.
        with suppress(PeerError):
            assert not peer.hear(hostile)
    assert peer.service.messages == 0
    peer.store.close()


def test_deep_nesting_and_huge_frames_are_a_peer_error():
    peer = Peer(b"v0")
    for data in (b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff", b"\0" * 300_000):
        with pytest.raises(PeerError):
            peer.hear(data)
        with pytest.raises(PeerError):
            peer.service.on_frame(b"evil", data, START_MS)
