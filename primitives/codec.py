"""Encode and decode MessagePack, the one encoding on the wire.

Rule: bytes from outside become objects only here, by a typed schema and under a maximum.
Spec: docs/spec/encoding.md §1 (MessagePack); msgpack.org.
Deviations: none. Schemas are msgspec structs (`array_like=True`), integers have at most 64 bits.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from primitives.errors import InvalidMessage, LimitExceeded
from primitives.limits import CODEC_BYTES_MAX

T = TypeVar("T")

_encode = msgspec.msgpack.Encoder().encode


def encode(value: Any) -> bytes:
    """Return the MessagePack bytes of `value`; equal values give equal bytes."""
    return _encode(value)


@lru_cache(maxsize=256)
def _decoder(schema: Any) -> Any:
    """Compile a schema once: it costs a hundred times what one small decode does."""
    return msgspec.msgpack.Decoder(schema).decode


def decode(data: bytes, schema: type[T] | Any, *, max_bytes: int = CODEC_BYTES_MAX) -> T:
    """Decode one whole message of type `schema`.

    Raises LimitExceeded above `max_bytes` and InvalidMessage on anything that is not exactly one
    value of the schema, nesting too deep for the interpreter included.
    """
    if len(data) > max_bytes:
        raise LimitExceeded(f"a message of {len(data)} bytes, at most {max_bytes} are allowed")
    try:
        value: T = _decoder(schema)(data)
    except (msgspec.DecodeError, RecursionError, ValueError, TypeError, OverflowError) as error:
        raise InvalidMessage(f"not a message of the expected form: {error}") from error
    return value
