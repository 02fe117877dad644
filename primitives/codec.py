"""Encode and decode MessagePack at the edges.

Rule: bytes from outside become typed values here or fail as `PeerError`; nothing else comes out.
Spec: https://msgpack.org; docs/spec/encoding.md §1 (MessagePack).
Deviations: integers have at most 64 bits.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from primitives.errors import InvalidMessage, LimitExceeded
from primitives.limits import MESSAGE_BYTES_MAX

T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()


def encode(value: object) -> bytes:
    """Encode any msgspec-compatible value."""
    return _encoder.encode(value)


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def decode(data: bytes, kind: type[T], max_bytes: int = MESSAGE_BYTES_MAX) -> T:
    """Decode exactly one value of `kind`. Raises LimitExceeded or InvalidMessage."""
    if len(data) > max_bytes:
        raise LimitExceeded(f"{len(data)} bytes, the limit is {max_bytes}")
    try:
        value: T = _decoder(cast(Any, kind)).decode(data)
    except (msgspec.DecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidMessage(f"not a {getattr(kind, '__name__', kind)}: {error}") from error
    return value
