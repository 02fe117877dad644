"""Read and write the protobuf wire format, as far as IPFS uses it.

Rule: fields come out in the order of their bytes; nothing is copied but the values; anything that a
correct encoder does not write (endless varints, groups, lengths beyond the end) is refused, and the
number of fields is bounded.
Spec: https://protobuf.dev/programming-guides/encoding/
Deviations: varints have at most 10 bytes and 64 bits; wire types 3 and 4 (groups) are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from primitives.cid import encode_varint
from primitives.errors import InvalidMessage, LimitExceeded

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5
_FIXED_BYTES: Final = {FIXED64: 8, FIXED32: 4}


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the varint at `at` and where the next byte is. Raises InvalidMessage."""
    number = shift = 0
    for place in range(at, min(at + 10, len(data))):
        byte = data[place]
        number |= (byte & 127) << shift
        if byte < 128:
            if number >= 1 << 64:
                break
            return number, place + 1
        shift += 7
    raise InvalidMessage("a varint without end, or over 64 bits")


class FieldBudget:
    """How many fields may still be read of one message, those of messages inside it included.

    A field of two bytes costs as much time as a large one, so bytes alone bound nothing.
    """

    __slots__ = ("_most", "left")

    def __init__(self, most: int) -> None:
        self._most = most
        self.left = most

    @property
    def spent(self) -> int:
        """Fields read so far."""
        return self._most - self.left


def read_fields(data: bytes, budget: FieldBudget) -> Iterator[tuple[int, int, int | bytes]]:
    """Yield (field number, wire type, value) of each field. Raises PeerError."""
    at, end = 0, len(data)
    while at < end:
        budget.left -= 1
        if budget.left < 0:
            raise LimitExceeded("a protobuf message of too many fields")
        key, at = read_varint(data, at)
        number, wire_type = key >> 3, key & 7
        if not 0 < number < 1 << 29:
            raise InvalidMessage("a field number out of range")
        if wire_type == VARINT:
            value, at = read_varint(data, at)
            yield number, wire_type, value
            continue
        if wire_type == BYTES:
            length, at = read_varint(data, at)
        elif wire_type in _FIXED_BYTES:
            length = _FIXED_BYTES[wire_type]
        else:
            raise InvalidMessage(f"wire type {wire_type}")
        if length > end - at:
            raise InvalidMessage("a field that ends beyond its message")
        yield number, wire_type, data[at : at + length]
        at += length


def encode_bytes(number: int, value: bytes) -> bytes:
    """Encode one length-delimited field."""
    return encode_varint(number << 3 | BYTES) + encode_varint(len(value)) + value


def encode_number(number: int, value: int) -> bytes:
    """Encode one unsigned varint field."""
    return encode_varint(number << 3 | VARINT) + encode_varint(value)
