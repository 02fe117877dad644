"""Read and write the hex values of Ethereum JSON-RPC.

Rule: a value of the wrong form is the RPC node's fault and never reaches the caller: it is a
TransientError, since another node (or the same one later) may answer well.

Spec: Ethereum JSON-RPC (execution-apis), hex encodings
Deviations: leading zeros in quantities are accepted, since some nodes send them.
"""

from __future__ import annotations

from typing import Any

from primitives.errors import TransientError


def quantity(number: int) -> str:
    """Return a number as a hex quantity."""
    return hex(number)


def data(value: bytes) -> str:
    """Return bytes as hex data."""
    return "0x" + value.hex()


def parse_quantity(value: Any) -> int:
    """Return the number of a hex quantity; raises TransientError."""
    if isinstance(value, str) and value.startswith("0x") and 2 < len(value) <= 66:
        try:
            return int(value, 16)
        except ValueError:
            pass
    raise TransientError("EVM RPC: not a quantity")


def parse_data(value: Any, size: int | None = None) -> bytes:
    """Return the bytes of hex data of a fixed or any size; raises TransientError."""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            decoded = bytes.fromhex(value[2:])
        except ValueError:
            decoded = None
        if decoded is not None and (size is None or len(decoded) == size):
            return decoded
    raise TransientError("EVM RPC: not hex data of the expected size")


def parse_object(value: Any) -> dict[str, Any]:
    """Return a JSON object; raises TransientError."""
    if isinstance(value, dict):
        return value
    raise TransientError("EVM RPC: not an object")


def parse_list(value: Any) -> list[Any]:
    """Return a JSON array; raises TransientError."""
    if isinstance(value, list):
        return value
    raise TransientError("EVM RPC: not an array")
