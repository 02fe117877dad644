"""Store integers of any size in SQLite, whose own stop at 63 bits.

Rule: a value within 64 signed bits is an INTEGER; a larger one is its signed big-endian bytes.
Such a column is read back through `decode_integer` and never compared or summed inside SQL.
Spec: docs/spec/storage.md#records
Deviations: none.
"""

from __future__ import annotations

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
