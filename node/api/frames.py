"""Decode and encode WebSocket frames: JSON in text frames, MessagePack in binary ones.

Rule: both carry the same maps with an `op`; only the form of bytes differs (hex text or raw), so
that a machine never pays for hex or JSON.
Spec: docs/reference/api.md (WebSocket). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, cast

import msgspec

from node.api.account_views import SubmitResult
from node.api.bodies import OneRequest, PairBytes, RoomName, SignedBody, envelope
from node.api.errors import ApiError
from node.api.hub import Channel
from node.api.limits import FRAME_BYTES_MAX
from node.api.render import encode_json, encode_msgpack
from node.api.service import Envelope
from primitives.errors import InvalidMessage
from primitives.nesting import check_json_nesting, check_msgpack_nesting

RequestNumber = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]
MarketName = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
MarketId = Annotated[int, msgspec.Meta(ge=0, le=1 << 32)]
EventNumber = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
AccountText = Annotated[str, msgspec.Meta(min_length=42, max_length=42)]


class Frame(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op"):
    """Root of every frame a client may send; `request` comes back in the answer."""

    request: RequestNumber | None = None


class Subscribe(Frame, frozen=True, kw_only=True, tag="subscribe"):
    """Ask for a channel; a snapshot comes first, or what came after event `after`."""

    channel: Channel
    market: MarketId | MarketName | None = None
    account: AccountText | None = None
    room: RoomName | None = None
    after: EventNumber | None = None


class Unsubscribe(Subscribe, frozen=True, kw_only=True, tag="unsubscribe"):
    """End a subscription."""


class Ping(Frame, frozen=True, kw_only=True, tag="ping"):
    """Ask for a sign of life and the node's clock."""


class SubmitText(Frame, frozen=True, kw_only=True, tag="submit"):
    """Signed actions in hex."""

    actions: Annotated[list[SignedBody], OneRequest]


class SubmitBinary(Frame, frozen=True, kw_only=True, tag="submit"):
    """Signed actions as [payload, signature] pairs of raw bytes."""

    actions: Annotated[list[PairBytes], OneRequest]


class SealedText(Frame, frozen=True, kw_only=True, tag="sealed"):
    """A commit and the opening the node holds."""

    commit: SignedBody
    opening: SignedBody


class SealedBinary(Frame, frozen=True, kw_only=True, tag="sealed"):
    """The same with raw bytes."""

    commit: PairBytes
    opening: PairBytes


TextFrame = Subscribe | Unsubscribe | Ping | SubmitText | SealedText
BinaryFrame = Subscribe | Unsubscribe | Ping | SubmitBinary | SealedBinary

_text: Final = msgspec.json.Decoder(TextFrame)
_binary: Final = msgspec.msgpack.Decoder(BinaryFrame)


def decode_frame(data: str | bytes) -> TextFrame | BinaryFrame:
    """Decode a client's frame. Raises ApiError that says what is wrong."""
    if len(data) > FRAME_BYTES_MAX:
        raise ApiError("too_large", f"a frame has at most {FRAME_BYTES_MAX} bytes")
    try:
        if isinstance(data, str):
            check_json_nesting(data.encode())
            return cast("TextFrame", _text.decode(data))
        check_msgpack_nesting(data)
        return cast("BinaryFrame", _binary.decode(data))
    except (
        msgspec.DecodeError,
        ValueError,
        OverflowError,
        RecursionError,
        InvalidMessage,
    ) as error:
        text = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ApiError("bad_request", f"the frame cannot be read: {text[:200]}") from None


def envelopes_of(frame: SubmitText | SubmitBinary) -> Sequence[Envelope]:
    """Return the signed bytes of a submit frame. Raises ApiError."""
    if isinstance(frame, SubmitText):
        return [envelope(item) for item in frame.actions]
    return frame.actions


def sealed_of(frame: SealedText | SealedBinary) -> tuple[Envelope, Envelope]:
    """Return commit and opening of a sealed frame. Raises ApiError."""
    if isinstance(frame, SealedText):
        return envelope(frame.commit), envelope(frame.opening)
    return frame.commit, frame.opening


def encode_results(
    request: int | None, results: Sequence[SubmitResult], *, is_binary: bool
) -> str | bytes:
    """Encode the answer to a submit frame."""
    return encode_frame({"request": request, "results": results}, is_binary=is_binary)


def encode_frame(fields: dict[str, Any], *, is_binary: bool) -> str | bytes:
    """Encode one frame to a client."""
    return encode_msgpack(fields) if is_binary else encode_json(fields).decode()
