"""Encode one value of an atomic EIP-712 type as its 32-byte word.

Rule: what JSON writes as text (numbers, bytes, addresses) is read strictly; nothing is cut or
padded to make it fit, except that the standard pads `bytesN` on the right.
Spec: EIP-712, "Definition of encodeData"; docs/spec/encoding.md §3.
Deviations: `null` is refused; other implementations take it for an empty value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from primitives.errors import InvalidMessage
from primitives.keccak import keccak256

Encoder = Callable[[Any], bytes]

_INTEGER_TYPE: Final = re.compile(r"(u?)int([0-9]{1,3})", re.ASCII)
_BYTES_TYPE: Final = re.compile(r"bytes([0-9]{1,2})", re.ASCII)
_NUMBER: Final = re.compile(r"-?(?:0x[0-9a-fA-F]{1,64}|[0-9]{1,78})", re.ASCII)
_HEXADECIMAL: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)


@lru_cache(maxsize=256)
def atomic_encoder(kind: str) -> Encoder:
    """Return the encoder of a type such as `uint64` or `bytes32`. Raises InvalidMessage."""
    simple = _SIMPLE.get(kind)
    if simple is not None:
        return simple
    integer = _INTEGER_TYPE.fullmatch(kind)
    if integer is not None and _is_width(integer[2], 256) and int(integer[2]) % 8 == 0:
        return _integer_encoder(int(integer[2]), signed=not integer[1])
    sized = _BYTES_TYPE.fullmatch(kind)
    if sized is not None and _is_width(sized[1], 32):
        return _sized_encoder(int(sized[1]))
    raise InvalidMessage(f"no such type: {kind[:40]}")


def _is_width(digits: str, maximum: int) -> bool:
    return digits[0] != "0" and int(digits) <= maximum


def read_integer(value: Any) -> int:
    """Take an integer, or its decimal or 0x text. Raises InvalidMessage."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value, 16 if "x" in value else 10)
    raise InvalidMessage("not an integer")


def read_bytes(value: Any) -> bytes:
    """Take bytes, or their 0x text. Raises InvalidMessage."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and _HEXADECIMAL.fullmatch(value):
        return bytes.fromhex(value[2:])
    raise InvalidMessage("not bytes, nor 0x and an even number of hexadecimal digits")


def _integer_encoder(bits: int, *, signed: bool) -> Encoder:
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)

    def encode(value: Any) -> bytes:
        number = read_integer(value)
        if not low <= number < high:
            raise InvalidMessage(f"the number does not fit {bits} bits")
        return number.to_bytes(32, "big", signed=signed)

    return encode


def _sized_encoder(size: int) -> Encoder:
    def encode(value: Any) -> bytes:
        data = read_bytes(value)
        if len(data) != size:
            raise InvalidMessage(f"bytes{size} is not {len(data)} bytes")
        return data.ljust(32, b"\0")

    return encode


def _encode_bool(value: Any) -> bytes:
    if not isinstance(value, bool):
        raise InvalidMessage("not a boolean")
    return value.to_bytes(32, "big")


def _encode_address(value: Any) -> bytes:
    data = read_bytes(value)
    if len(data) != 20:
        raise InvalidMessage("an address is 20 bytes")
    return data.rjust(32, b"\0")


def _encode_string(value: Any) -> bytes:
    if not isinstance(value, str):
        raise InvalidMessage("not a string")
    try:
        return keccak256(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidMessage("text with half a surrogate pair") from error


def _encode_bytes(value: Any) -> bytes:
    return keccak256(read_bytes(value))


_SIMPLE: Final[dict[str, Encoder]] = {
    "bool": _encode_bool,
    "address": _encode_address,
    "string": _encode_string,
    "bytes": _encode_bytes,
}
