from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primitives.cid import DAG_PB, RAW, Cid, encode_varint
from primitives.errors import InvalidMessage, LimitExceeded, PeerError
from storage import limits
from storage.bitswap_ledger import PeerLedger
from storage.bitswap_want import Want
from storage.bitswap_wire import (
    Entry,
    Frames,
    Message,
    compute_prefix,
    decode_message,
    encode_message,
)
from storage.protobuf import encode_bytes

cids = st.builds(
    Cid, st.sampled_from([RAW, DAG_PB, 0x71]), st.binary(min_size=32, max_size=32)
).map(Cid.encode)
entries = st.builds(
    Entry,
    cid=cids,
    priority=st.integers(0, (1 << 31) - 1),
    cancel=st.booleans(),
    want_have=st.booleans(),
    send_dont_have=st.booleans(),
)


def unframe(framed):
    (body,) = Frames().feed(framed)
    return body


@given(
    st.lists(entries, max_size=5),
    st.booleans(),
    st.lists(st.tuples(cids, st.binary(max_size=40)), max_size=3),
    st.lists(cids, max_size=3),
    st.lists(cids, max_size=3),
)
def test_message_comes_back(wanted, full, blocks, haves, dont_haves):
    framed = encode_message(
        entries=wanted, full=full, blocks=blocks, haves=haves, dont_haves=dont_haves
    )
    assert decode_message(unframe(framed)) == Message(
        entries=tuple(wanted),
        full=full,
        blocks=tuple(data for _, data in blocks),
        haves=tuple(haves),
        dont_haves=tuple(dont_haves),
    )


def test_message_equals_that_of_py_libp2p():
    from libp2p.bitswap.pb.bitswap_pb2 import Message as Reference

    cid, data = Cid.raw(b"data"), b"data"
    body = unframe(
        encode_message(
            entries=[Entry(cid=cid.encode(), want_have=True, send_dont_have=True)],
            full=True,
            blocks=[(cid.encode(), data)],
            haves=[cid.encode()],
            dont_haves=[cid.encode()],
        )
    )
    message = Reference.FromString(body)
    (entry,) = message.wantlist.entries
    assert (entry.block, entry.wantType, entry.sendDontHave) == (cid.encode(), 1, True)
    assert (entry.priority, entry.cancel, message.wantlist.full) == (1, False, True)
    assert (message.payload[0].prefix, message.payload[0].data) == (b"\x01\x55\x12\x20", data)
    assert [p.type for p in message.blockPresences] == [0, 1]
    assert decode_message(message.SerializeToString()) == decode_message(body)


def test_prefix_of_an_old_cid_says_version_zero():
    assert compute_prefix(b"\x12\x20" + bytes(32)) == b"\x00\x70\x12\x20"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_peers_fault(data):
    try:
        message = decode_message(data)
    except PeerError:
        return
    assert len(message.entries) <= 200


@given(st.lists(st.binary(max_size=30), max_size=5), st.integers(1, 7))
def test_frames_are_the_same_however_the_stream_is_cut(bodies, step):
    stream = b"".join(encode_varint(len(body)) + body for body in bodies)
    frames = Frames()
    got = [f for i in range(0, len(stream), step) for f in frames.feed(stream[i : i + step])]
    assert got == bodies
    assert not frames.is_partial


def test_oversized_frame_is_refused_before_it_is_read():
    with pytest.raises(LimitExceeded):
        list(Frames().feed(encode_varint(limits.MESSAGE_BYTES_MAX + 1)))
    with pytest.raises(InvalidMessage):
        list(Frames().feed(b"\xff" * 11))


def test_too_many_of_anything_are_refused():
    cid = Cid.raw(b"x").encode()
    many = [Entry(cid=cid)] * (limits.WANTLIST_ENTRIES_MAX + 1)
    for options in (
        {"entries": many},
        {"haves": [cid] * (limits.PRESENCES_MAX + 1)},
        {"blocks": [(cid, b"")] * (limits.MESSAGE_BLOCKS_MAX + 1)},
        {"haves": [b"x" * (limits.CID_BYTES_MAX + 1)]},
        {"blocks": [(cid, bytes(limits.BLOCK_BYTES_MAX + 1))]},
    ):
        with pytest.raises(LimitExceeded):
            decode_message(unframe(encode_message(**options)))


@pytest.mark.parametrize(
    "body",
    [
        b"\x50\x00" * (2 << 20),  # fields nobody knows
        b"\x0a\x00" * (2 << 20),  # empty wantlists
        encode_bytes(1, b"\x50\x00" * (2 << 20)),
        encode_bytes(1, encode_bytes(1, encode_bytes(1, b"cid") + b"\x50\x00" * 2_000) * 1_000),
    ],
    ids=["unknown", "empty", "in a wantlist", "in wants"],
)
def test_a_message_of_tiny_fields_is_refused_before_it_costs_seconds(body):
    with pytest.raises(LimitExceeded, match="too many fields"):
        decode_message(body)


def test_the_fullest_message_of_an_honest_peer_is_read():
    cid = Cid.raw(b"x").encode()
    entry = Entry(cid=cid, priority=2, want_have=True, send_dont_have=True, cancel=True)
    message = decode_message(
        unframe(
            encode_message(
                entries=[entry] * limits.WANTLIST_ENTRIES_MAX,
                full=True,
                blocks=[(cid, b"")] * limits.MESSAGE_BLOCKS_MAX,
                dont_haves=[cid] * limits.PRESENCES_MAX,
            )
        )
    )
    assert len(message.entries) == limits.WANTLIST_ENTRIES_MAX
    assert message.fields <= limits.MESSAGE_FIELDS_MAX


@pytest.mark.parametrize(
    "prefix", [b"", b"\x01\x55\x12", b"\x01\x55\x00\x20", b"\x01\x55\x12\x20\x01"]
)
def test_block_of_another_hash_is_refused(prefix):
    payload = b"\x0a" + bytes([len(prefix)]) + prefix + b"\x12\x01x"
    with pytest.raises(InvalidMessage):
        decode_message(b"\x1a" + bytes([len(payload)]) + payload)


# The ledger of what a peer wants


def want(data, **options):
    return Entry(cid=Cid.raw(data).encode(), **options)


def test_want_is_due_once_and_waits_for_its_block():
    ledger = PeerLedger()
    ledger.on_message(Message(entries=(want(b"a"),)))
    assert ledger.take() == want(b"a")
    assert ledger.take() is None
    assert ledger.on_new_block(want(b"a").cid)
    entry = ledger.take()
    ledger.on_answered(entry)
    assert not ledger.on_new_block(want(b"a").cid)


def test_cancelled_want_is_not_served():
    ledger = PeerLedger()
    ledger.on_message(Message(entries=(want(b"a"), want(b"b"), want(b"a", cancel=True))))
    assert (ledger.take(), ledger.take()) == (want(b"b"), None)


def test_full_wantlist_replaces_the_one_before():
    ledger = PeerLedger()
    ledger.on_message(Message(entries=(want(b"a"),)))
    ledger.on_message(Message(entries=(want(b"b"),), full=True))
    assert (ledger.take(), ledger.take(), len(ledger)) == (want(b"b"), None, 1)


def test_wants_of_a_peer_are_bounded_and_the_oldest_give_way():
    ledger = PeerLedger()
    for number in range(limits.WANTS_PER_PEER_MAX + 10):
        ledger.on_message(Message(entries=(want(b"%d" % number),)))
    assert len(ledger) == limits.WANTS_PER_PEER_MAX
    assert not ledger.on_new_block(want(b"0").cid)
    served = []
    while (entry := ledger.take()) is not None:
        served.append(entry)
    assert len(served) == limits.WANTS_PER_PEER_MAX


# Whom to ask


def test_next_peer_is_asked_when_one_refuses():
    asked = Want(["a", "b", "a", "c"])
    assert asked.ask_next() == "a"
    assert asked.on_refusal("a") == "b"
    assert asked.on_refusal("stranger") is None
    assert asked.on_refusal("b") == "c"
    assert not asked.has_failed
    assert asked.on_refusal("c") is None
    assert asked.has_failed


def test_late_peer_stays_asked_beside_the_next():
    asked = Want(["a", "b"])
    asked.ask_next()
    assert asked.ask_next() == "b"
    assert asked.asked == {"a", "b"}
    assert asked.on_refusal("b") is None
    assert not asked.has_failed
    assert asked.ask_next() is None


def test_want_without_peers_has_failed():
    assert Want([]).has_failed
