"""Tell apart what validators send each other on their streams.

Rule: the first byte of a frame says what the rest is; unknown kinds are the sender's fault.
Spec: docs/spec/node.md (Frames). Deviations: none.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from node.limits import FETCH_BUNDLES_MAX
from primitives import codec
from primitives.errors import InvalidMessage


class FrameKind(enum.IntEnum):
    """First byte of a frame."""

    CONSENSUS = 1  # a message of consensus/messages.py
    BUNDLE = 2  # a bundle its maker announces
    GET_BUNDLES = 3  # digests of bundles somebody lacks
    BUNDLE_ANSWER = 4  # one bundle that was asked for
    GET_ACTIONS = 5  # ids of actions whose bundles somebody lacks
    CHAT = 6  # a message of chat/
    DECISION = 7  # a signature for a decision about a vault


Names = Annotated[
    tuple[Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)], ...],
    msgspec.Meta(min_length=1, max_length=FETCH_BUNDLES_MAX),
]


def encode_frame(kind: FrameKind, body: bytes) -> bytes:
    """Prefix a body with its kind."""
    return bytes((kind,)) + body


def split_frame(frame: bytes) -> tuple[FrameKind, bytes]:
    """Return kind and body. Raises InvalidMessage."""
    try:
        return FrameKind(frame[0]), frame[1:]
    except (IndexError, ValueError):
        raise InvalidMessage("a frame of an unknown kind") from None


def encode_names(names: tuple[bytes, ...]) -> bytes:
    """Encode digests or ids, at most FETCH_BUNDLES_MAX."""
    assert 0 < len(names) <= FETCH_BUNDLES_MAX
    return codec.encode(names)


def decode_names(body: bytes) -> tuple[bytes, ...]:
    """Decode digests or ids. Raises PeerError."""
    names: tuple[bytes, ...] = codec.decode(body, Names, max_bytes=64 * FETCH_BUNDLES_MAX)
    return names
