"""Decode what clients send: JSON with hex for people and MessagePack with raw bytes for machines.

Rule: every body is decoded into a typed struct that knows its limits; unknown fields, wrong types,
deep nesting and huge numbers are refusals, never crashes.
Spec: docs/reference/api.md (Requests). Deviations: none.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from node.api.errors import ApiError
from node.api.limits import (
    ACTIONS_PER_REQUEST_MAX,
    PAYLOAD_BYTES_MAX,
    ROOM_NAME_CHARS_MAX,
    SIGNATURE_BYTES,
)
from node.api.service import Envelope
from primitives.errors import InvalidMessage
from primitives.nesting import check_json_nesting, check_msgpack_nesting

PayloadHex = Annotated[
    str, msgspec.Meta(pattern="^0x[0-9a-fA-F]*$", max_length=2 + 2 * PAYLOAD_BYTES_MAX)
]
SignatureHex = Annotated[
    str,
    msgspec.Meta(
        pattern="^0x[0-9a-fA-F]*$",
        min_length=2 + 2 * SIGNATURE_BYTES,
        max_length=2 + 2 * SIGNATURE_BYTES,
    ),
]
PayloadBytes = Annotated[bytes, msgspec.Meta(min_length=1, max_length=PAYLOAD_BYTES_MAX)]
SignatureBytes = Annotated[
    bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)
]
PairBytes = tuple[PayloadBytes, SignatureBytes]
OneRequest = msgspec.Meta(min_length=1, max_length=ACTIONS_PER_REQUEST_MAX)


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root of every JSON body."""


class SignedBody(Body, frozen=True, kw_only=True):
    """Exact signed bytes and their signature, in hex."""

    payload: PayloadHex
    signature: SignatureHex


class ActionsBody(Body, frozen=True, kw_only=True):
    """A list of signed actions."""

    actions: Annotated[list[SignedBody], OneRequest]


class SealedBody(Body, frozen=True, kw_only=True):
    """A commit, and the opening the node holds until the commit is final."""

    commit: SignedBody
    opening: SignedBody


class PeerBody(Body, frozen=True, kw_only=True):
    """A peer to dial."""

    multiaddr: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class IsolateBody(Body, frozen=True, kw_only=True):
    """Validators to exchange nothing with; an empty list ends the isolation."""

    addresses: Annotated[
        list[Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{40}$")]],
        msgspec.Meta(max_length=128),
    ]


class BanBody(Body, frozen=True, kw_only=True):
    """A peer to refuse, or to accept again."""

    peer: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    banned: bool = True


RoomName = Annotated[str, msgspec.Meta(min_length=1, max_length=ROOM_NAME_CHARS_MAX)]


def envelope(body: SignedBody) -> Envelope:
    """Return the bytes of a signed body. Raises ApiError for an odd number of digits."""
    try:
        payload = bytes.fromhex(body.payload[2:])
        signature = bytes.fromhex(body.signature[2:])
    except ValueError:
        raise ApiError("bad_request", "hex text has an even number of digits") from None
    if not payload:
        raise ApiError("bad_request", "a payload is not empty")
    return payload, signature


def decode_body(kind: Any, data: bytes, *, is_msgpack: bool) -> Any:
    """Decode a body. Raises ApiError that says what is wrong and where."""
    decode = msgspec.msgpack.decode if is_msgpack else msgspec.json.decode
    check = check_msgpack_nesting if is_msgpack else check_json_nesting
    try:
        check(data)
        return decode(data, type=kind)
    except (
        msgspec.DecodeError,
        ValueError,
        OverflowError,
        RecursionError,
        InvalidMessage,
    ) as error:
        text = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ApiError("bad_request", f"the body cannot be read: {text[:200]}") from None
