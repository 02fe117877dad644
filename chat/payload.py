"""The things an author can sign: a room message, a direct message, a prekey bundle.

Rule: these classes say everything about the shape and range of what a stranger may send; a payload
is signed and kept as its exact bytes.
Spec: docs/spec/chat.md (Payloads). Deviations: none.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from chat import limits
from primitives.codec import decode

Domain = Annotated[bytes, Meta(min_length=limits.DOMAIN_BYTES, max_length=limits.DOMAIN_BYTES)]
Address = Annotated[bytes, Meta(min_length=limits.ADDRESS_BYTES, max_length=limits.ADDRESS_BYTES)]
Key = Annotated[bytes, Meta(min_length=limits.KEY_BYTES, max_length=limits.KEY_BYTES)]
Signature = Annotated[
    bytes, Meta(min_length=limits.SIGNATURE_BYTES, max_length=limits.SIGNATURE_BYTES)
]
TimeMs = Annotated[int, Meta(ge=0, le=limits.TIME_MS_MAX)]
Room = Annotated[str, Meta(min_length=1, max_length=limits.ROOM_NAME_CHARS_MAX)]
Text = Annotated[str, Meta(min_length=1, max_length=limits.TEXT_CHARS_MAX)]
Sealed = Annotated[bytes, Meta(min_length=1, max_length=limits.SEALED_BYTES_MAX)]
KeyNumber = Annotated[int, Meta(ge=0, lt=1 << 32)]


class Delegation(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A wallet's word that another key may write for it, good without any ledger."""

    expiry_ms: TimeMs
    signature: Signature


class Payload(
    Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, kw_only=True
):
    """Root of everything signed; on the wire an array led by the tag."""

    domain: Domain
    author: Address
    time_ms: TimeMs
    delegation: Delegation | None


class RoomMessage(Payload, frozen=True, tag=1, kw_only=True):
    """A line in a public room, ordered by (lamport, id)."""

    lamport: TimeMs
    room: Room
    text: Text


class DirectMessage(Payload, frozen=True, tag=2, kw_only=True):
    """A line that only `to` can read; nodes keep and pass on `sealed`."""

    to: Address
    sealed: Sealed


class PrekeyBundle(Payload, frozen=True, tag=3, kw_only=True):
    """The keys under which `author` can be written to while offline; the newest bundle counts."""

    identity: Key
    prekey: Key
    number: KeyNumber
    expiry_ms: TimeMs


AnyPayload = RoomMessage | DirectMessage | PrekeyBundle
_SCHEMA: Final[Any] = AnyPayload


def decode_payload(data: bytes) -> AnyPayload:
    """Read a payload; its author is proven only by `envelope.verify`. Raises PeerError."""
    payload: AnyPayload = decode(data, _SCHEMA, max_bytes=limits.PAYLOAD_BYTES_MAX)
    return payload
