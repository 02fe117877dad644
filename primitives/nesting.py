"""Refuse deep nesting before a recursive decoder sees it.

Rule: no decoder written in C gets bytes from outside that nest deeper than `MESSAGE_DEPTH_MAX`.
Such decoders trust the interpreter's recursion limit, and libraries raise it: py_ecc (behind web3
and eth-account) to 100,000, where msgspec and `json.loads` overflow the stack and kill the process.
The limit also makes the answer a property of the bytes alone, not of how deeply the caller stands.
Spec: docs/spec/encoding.md §1 (MessagePack).
Deviations: none.
"""

from __future__ import annotations

import re
from typing import Final

from primitives.errors import InvalidMessage
from primitives.limits import MESSAGE_DEPTH_MAX

_OPENERS: Final = bytes([*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF])
"""First bytes of MessagePack maps and arrays."""

_FIXED_SIZES: Final = {
    **{0xC0 + i: 0 for i in range(4)},
    0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
    0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17,
}  # fmt: skip
"""Bytes that follow the first one of numbers, nil, bool and fixed extensions."""

_LENGTH_SIZES: Final = {
    0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1),
    0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0),
}  # fmt: skip
"""Size of the length of bytes, extensions and text, and what stands between length and content."""

_JSON_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_JSON_BRACKET: Final = re.compile(rb"[\[\]{}]")


def check_msgpack_nesting(data: bytes) -> None:
    """Raise InvalidMessage when MessagePack nests too deeply; malformed bytes pass."""
    if len(data) - len(data.translate(None, _OPENERS)) <= MESSAGE_DEPTH_MAX:
        return  # the usual case, at a nanosecond a byte: not even enough bytes that could open
    waiting: list[int] = []  # elements still to come, per open container
    at, end = 0, len(data)
    while at < end:
        first = data[at]
        at += 1
        if first in _OPENERS:
            count, at = _read_count(data, first, at)
            waiting.append(count)
            if len(waiting) > MESSAGE_DEPTH_MAX:
                raise InvalidMessage(f"nested deeper than {MESSAGE_DEPTH_MAX}")
        else:
            at = _skip_atom(data, first, at)
            if waiting:
                waiting[-1] -= 1
        while waiting and waiting[-1] <= 0:
            waiting.pop()
            if waiting:
                waiting[-1] -= 1


def _read_count(data: bytes, first: int, at: int) -> tuple[int, int]:
    """Return how many elements a container has, and where they begin."""
    if first < 0xA0:
        return (first & 15) * (2 if first < 0x90 else 1), at
    size = 2 if first in (0xDC, 0xDE) else 4
    count = int.from_bytes(data[at : at + size], "big")
    return count * (2 if first >= 0xDE else 1), at + size


def _skip_atom(data: bytes, first: int, at: int) -> int:
    """Return where the value after this one begins."""
    if first < 0x80 or first >= 0xE0:
        return at
    if first < 0xC0:
        return at + (first & 31)
    if first in _FIXED_SIZES:
        return at + _FIXED_SIZES[first]
    size, extra = _LENGTH_SIZES[first]
    return at + size + extra + int.from_bytes(data[at : at + size], "big")


def check_json_nesting(data: bytes) -> None:
    """Raise InvalidMessage when JSON nests too deeply; malformed text passes."""
    if data.count(b"[") + data.count(b"{") <= MESSAGE_DEPTH_MAX:
        return
    depth = 0
    for bracket in _JSON_BRACKET.findall(_JSON_STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MESSAGE_DEPTH_MAX:
            raise InvalidMessage(f"nested deeper than {MESSAGE_DEPTH_MAX}")
