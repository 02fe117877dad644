"""A frame is a known kind and a body; whatever else comes is the sender's fault.

Spec: docs/spec/node.md (Frames). Deviations: none.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.limits import FETCH_BUNDLES_MAX
from node.wire import FrameKind, decode_names, encode_frame, encode_names, split_frame
from primitives import codec
from primitives.errors import InvalidMessage, PeerError


@given(st.sampled_from(FrameKind), st.binary(max_size=64))
def test_frames_come_apart_as_they_were_put_together(kind: FrameKind, body: bytes) -> None:
    assert split_frame(encode_frame(kind, body)) == (kind, body)


@pytest.mark.parametrize("frame", [b"", b"\x00", b"\x08body", b"\xff"])
def test_unknown_kinds_are_refused(frame: bytes) -> None:
    with pytest.raises(InvalidMessage):
        split_frame(frame)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=FETCH_BUNDLES_MAX))
def test_names_come_back(names: list[bytes]) -> None:
    assert decode_names(encode_names(tuple(names))) == tuple(names)


@pytest.mark.parametrize(
    "names", [(), (b"short",), (bytes(33),), (bytes(32),) * (FETCH_BUNDLES_MAX + 1), (7,), "text"]
)
def test_other_names_are_refused(names: object) -> None:
    with pytest.raises(PeerError):
        decode_names(codec.encode(names))


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    with contextlib.suppress(PeerError):
        decode_names(body)
