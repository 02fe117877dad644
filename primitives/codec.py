"""Encode and decode MessagePack, and JSON at the edges people see.

Rule: bytes from outside become typed values here or fail as `PeerError`; nothing else comes out.
Spec: https://msgpack.org; docs/spec/encoding.md §1 (MessagePack).
Deviations: integers have at most 64 bits; nesting is bounded.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from primitives.errors import InvalidMessage, LimitExceeded
from primitives.limits import MESSAGE_BYTES_MAX
from primitives.nesting import check_json_nesting, check_msgpack_nesting

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_DECODE_ERRORS = (msgspec.DecodeError, ValueError, TypeError, OverflowError, RecursionError)


def encode(value: object) -> bytes:
    """Encode any msgspec-compatible value; equal values give equal bytes."""
    return _encoder.encode(value)


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


@cache
def _json_decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def decode(data: bytes, kind: type[T], max_bytes: int = MESSAGE_BYTES_MAX) -> T:
    """Decode exactly one MessagePack value of `kind`. Raises LimitExceeded or InvalidMessage."""
    _check_size(data, max_bytes)
    check_msgpack_nesting(data)
    try:
        value: T = _decoder(cast(Any, kind)).decode(data)
    except _DECODE_ERRORS as error:
        raise InvalidMessage(f"not a {getattr(kind, '__name__', kind)}: {error}") from error
    return value


def decode_json(data: bytes, kind: type[T], max_bytes: int = MESSAGE_BYTES_MAX) -> T:
    """Decode exactly one JSON value of `kind`. Raises LimitExceeded or InvalidMessage."""
    _check_size(data, max_bytes)
    check_json_nesting(data)
    try:
        value: T = _json_decoder(cast(Any, kind)).decode(data)
    except _DECODE_ERRORS as error:
        raise InvalidMessage(f"not a {getattr(kind, '__name__', kind)}: {error}") from error
    return value


def _check_size(data: bytes, max_bytes: int) -> None:
    if len(data) > max_bytes:
        raise LimitExceeded(f"{len(data)} bytes, the limit is {max_bytes}")
