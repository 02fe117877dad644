"""Facts about messages: strict, bounded, and never more than a PeerError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.evidence import make_evidence
from consensus.limits import MESSAGE_BYTES_MAX, PENDING_IDS_MAX
from consensus.messages import (
    Blocks,
    GetBlock,
    GetCertificates,
    GetRange,
    GetStatus,
    Range,
    Status,
    decode_message,
    encode_message,
)
from consensus.records import decode_record, encode_record
from consensus.vote import Kind
from primitives import codec
from primitives.errors import InvalidMessage, LimitExceeded, PeerError
from tests.consensus.desk import Desk

DESK = Desk()
BLOCK = DESK.block(1, bundles=(b"\x01" * 32,))
CHILD = DESK.block(2, BLOCK)
MESSAGES = [
    DESK.proposal(CHILD),
    DESK.vote(1, Kind.NOTARIZE, 1, BLOCK.hash, (b"\x02" * 32,)),
    DESK.vote(1, Kind.NULLIFY, 1),
    DESK.notarization(BLOCK, pending=(b"\x02" * 32,)),
    DESK.finalization(BLOCK),
    GetCertificates(1, 2),
    GetBlock(BLOCK.hash, 0),
    Blocks((CHILD.body, BLOCK.body)),
    GetRange(7),
    Range((BLOCK.body, CHILD.body), DESK.finalization(CHILD)),
    GetStatus(3),
    Status(3, 1, 5, 4, 3, 2),
    make_evidence(
        DESK.vote(1, Kind.NOTARIZE, 1, BLOCK.hash), DESK.vote(1, Kind.NOTARIZE, 1, CHILD.hash)
    ),
]
IDS = [type(message).__name__ for message in MESSAGES]


@pytest.mark.parametrize("message", MESSAGES, ids=IDS)
def test_a_message_survives_the_wire(message):
    assert decode_message(encode_message(message)) == message


@pytest.mark.parametrize("message", MESSAGES, ids=IDS)
def test_a_cut_or_longer_message_is_refused(message):
    data = encode_message(message)
    for bad in (data[:-1], data + b"\0", data[1:], b""):
        with pytest.raises(PeerError):
            decode_message(bad)


@pytest.mark.parametrize("message", MESSAGES, ids=IDS)
@given(data=st.data())
def test_a_changed_byte_gives_a_message_or_a_peer_error(message, data):
    changed = bytearray(encode_message(message))
    position = data.draw(st.integers(0, len(changed) - 1))
    changed[position] = data.draw(st.integers(0, 255))
    try:
        decode_message(bytes(changed))
    except PeerError:
        return


@given(st.binary(max_size=300))
def test_random_bytes_give_a_message_or_a_peer_error(data: bytes):
    for decode in (decode_message, decode_record):
        try:
            decode(data)
        except PeerError:
            continue


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=30,
)


@given(st.integers(0, 12), st.lists(JUNK, max_size=8))
def test_wrong_types_in_known_tags_are_peer_errors(tag, values):
    data = codec.encode([tag, *values])
    try:
        decode_message(data)
    except PeerError:
        return


def test_deep_nesting_and_oversize_are_peer_errors():
    with pytest.raises(PeerError):
        decode_message(b"\x91" * 100_000)
    with pytest.raises(LimitExceeded):
        decode_message(bytes(MESSAGE_BYTES_MAX + 1))


def test_bounds_of_lists_hold():
    crowd = tuple(index.to_bytes(32, "big") for index in range(PENDING_IDS_MAX + 1))
    with pytest.raises(InvalidMessage):
        decode_message(encode_message(DESK.vote(1, Kind.NOTARIZE, 1, BLOCK.hash, crowd)))
    with pytest.raises(InvalidMessage):
        decode_message(encode_message(Blocks(())))


def test_the_wire_form_of_a_vote_is_a_vector():
    vote = DESK.vote(1, Kind.NULLIFY, 3)
    expected = [2, 2, 1, 3, bytes(32), [], 1, vote.signature]
    assert codec.decode(encode_message(vote), list) == expected


@pytest.mark.parametrize("record", MESSAGES[1:5], ids=IDS[1:5])
def test_votes_and_certificates_are_journal_records_too(record):
    assert decode_record(encode_record(record)) == record
