"""Store integers of any size in SQLite, whose own stop at 63 bits.

Rule: a value within 64 signed bits is an INTEGER; a larger one is its signed big-endian bytes.
Such a column is read back through `decode_integer` and never compared or summed inside SQL.
Spec: docs/spec/storage.md#records
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1


def encode_integer(value: int) -> int | bytes:
    """Return what to bind for `value`."""
    if INT64_MIN <= value <= INT64_MAX:
        return value
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def decode_integer(stored: int | bytes) -> int:
    """Return the integer that `encode_integer` stored."""
    if isinstance(stored, int):
        return stored
    return int.from_bytes(stored, "big", signed=True)


def encode_numbers(numbers: Iterable[int]) -> bytes:
    """Encode a short list of integers of any size."""
    parts = [
        number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True) for number in numbers
    ]
    return b"".join(bytes((len(part),)) + part for part in parts)


def decode_numbers(data: bytes) -> tuple[int, ...]:
    """Return the integers that `encode_numbers` stored."""
    numbers, at = [], 0
    while at < len(data):
        end = at + 1 + data[at]
        numbers.append(int.from_bytes(data[at + 1 : end], "big", signed=True))
        at = end
    return tuple(numbers)


def compute_prefix(digest: bytes) -> int:
    """Return the first 8 bytes as an integer: a small index key for a random 32-byte id."""
    return int.from_bytes(digest[:8], "big", signed=True)
