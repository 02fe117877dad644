"""Check that messages survive cutting and joining, and that bad frames are refused.

Rule: see tests/README. Spec: docs/spec/p2p.md §3. Deviations: none.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.frames import HEARTBEAT, Deframer, encode_message
from p2p.limits import BULK_MESSAGE_BYTES_MAX, FRAME_BYTES_CUT, FRAME_BYTES_MAX
from primitives.errors import InvalidMessage, LimitExceeded, PeerError


def test_a_message_is_length_and_body():
    assert encode_message(b"vote", bytes_max=10) == b"\0\0\0\x04vote"
    assert Deframer(bytes_max=10).feed(b"\0\0\0\x04vote") == [b"vote"]


def test_a_large_message_is_cut_and_joined_again():
    body = bytes(range(256)) * 4096  # 1 MiB
    frames = encode_message(body, bytes_max=BULK_MESSAGE_BYTES_MAX)
    assert len(frames) == len(body) + 4 * (len(body) // FRAME_BYTES_CUT)
    assert Deframer(bytes_max=BULK_MESSAGE_BYTES_MAX).feed(frames) == [body]


def test_a_heartbeat_is_no_message():
    assert Deframer(bytes_max=10).feed(HEARTBEAT * 3 + b"\0\0\0\x01a" + HEARTBEAT) == [b"a"]


def test_a_frame_above_the_limit_is_refused_before_it_arrives():
    with pytest.raises(LimitExceeded):
        Deframer(bytes_max=1 << 30).feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))


def test_a_message_above_the_limit_is_refused_at_its_first_frame_too_many():
    frame = (0x8000_0000 | 6).to_bytes(4, "big") + b"aaaaaa"
    deframer = Deframer(bytes_max=10)
    assert deframer.feed(frame) == []
    with pytest.raises(LimitExceeded):
        deframer.feed(frame)


@pytest.mark.parametrize("data", [b"\x80\0\0\0", b"\x80\0\0\x01a\0\0\0\0"])
def test_an_empty_frame_inside_a_message_is_refused(data):
    with pytest.raises(InvalidMessage):
        Deframer(bytes_max=10).feed(data)


@pytest.mark.parametrize("body", [b"", b"x" * 11])
def test_we_never_send_an_empty_or_oversized_message(body):
    with pytest.raises(ValueError):
        encode_message(body, bytes_max=10)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=20), st.data())
def test_messages_come_out_as_they_went_in_however_the_bytes_are_split(messages, data):
    stream = b"".join(encode_message(m, bytes_max=50) for m in messages)
    deframer, got = Deframer(bytes_max=50), []
    while stream:
        n = data.draw(st.integers(1, len(stream)))
        got += deframer.feed(stream[:n])
        stream = stream[n:]
    assert got == messages


@given(st.binary(max_size=200))
def test_garbage_yields_messages_or_a_peer_error(data):
    deframer = Deframer(bytes_max=100)
    try:
        messages = deframer.feed(data)
    except PeerError:
        return
    assert all(0 < len(m) <= 100 for m in messages)
