"""Encode and decode DAG-CBOR, the form in which IPFS tools walk our chain.

Rule: one value has one encoding; bytes that would not be written the same way again are refused.
Spec: https://ipld.io/specs/codecs/dag-cbor/spec/; docs/spec/encoding.md §5 (DAG-CBOR).
Deviations: nesting is bounded; other links than sha2-256 CIDs of version 1 are not followed.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, Final

from primitives.cid import SHA2_256, Cid, decode_varint
from primitives.errors import InvalidMessage, LimitExceeded
from primitives.limits import CID_BYTES_MAX, NESTING_DEPTH_MAX, NODE_BYTES_MAX

_UINT, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = range(8)
_LINK_TAG: Final = 42
_SIZES: Final = {24: 1, 25: 2, 26: 4, 27: 8}


@dataclass(frozen=True, slots=True)
class ForeignLink:
    """A link by another hash function or CID version; `cid` is its binary form."""

    cid: bytes


def encode(value: Any) -> bytes:
    """Encode 64-bit integers, bytes, text, lists, text-keyed maps, None, bool, floats and links.

    Raises ValueError or TypeError on what DAG-CBOR cannot say.
    """
    out = bytearray()
    _write(out, value, 0)
    return bytes(out)


def decode(data: bytes, max_bytes: int = NODE_BYTES_MAX) -> Any:
    """Decode exactly one strict DAG-CBOR value. Raises InvalidMessage or LimitExceeded."""
    if len(data) > max_bytes:
        raise LimitExceeded(f"{len(data)} bytes, the limit is {max_bytes}")
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise InvalidMessage("bytes after a DAG-CBOR value")
    return value


def links(value: Any) -> list[Cid]:
    """Return every link of ours inside a decoded value, in the order of its bytes."""
    if isinstance(value, Cid):
        return [value]
    if isinstance(value, dict):
        return [cid for item in value.values() for cid in links(item)]
    if isinstance(value, list | tuple):
        return [cid for item in value for cid in links(item)]
    return []


def _head(out: bytearray, major: int, number: int) -> None:
    if number < 24:
        out.append(major << 5 | number)
    elif number < 1 << 8:
        out += bytes((major << 5 | 24, number))
    elif number < 1 << 16:
        out += bytes((major << 5 | 25,)) + number.to_bytes(2, "big")
    elif number < 1 << 32:
        out += bytes((major << 5 | 26,)) + number.to_bytes(4, "big")
    elif number < 1 << 64:
        out += bytes((major << 5 | 27,)) + number.to_bytes(8, "big")
    else:
        raise ValueError("DAG-CBOR integers have 64 bits")


def _map_order(key: str) -> tuple[int, bytes]:
    data = key.encode()
    return len(data), data


def _write(out: bytearray, value: Any, depth: int) -> None:
    if depth > NESTING_DEPTH_MAX:
        raise ValueError("nested too deeply")
    if value is None or value is True or value is False:
        out.append({None: 0xF6, True: 0xF5, False: 0xF4}[value])
    elif isinstance(value, int):
        _head(out, _UINT if value >= 0 else _NEGATIVE, value if value >= 0 else -1 - value)
    elif isinstance(value, bytes):
        _head(out, _BYTES, len(value))
        out += value
    elif isinstance(value, str):
        text = value.encode()
        _head(out, _TEXT, len(text))
        out += text
    elif isinstance(value, Cid | ForeignLink):
        link = b"\0" + (value.encode() if isinstance(value, Cid) else value.cid)
        out += b"\xd8\x2a"
        _head(out, _BYTES, len(link))
        out += link
    elif isinstance(value, list | tuple):
        _head(out, _LIST, len(value))
        for item in value:
            _write(out, item, depth + 1)
    elif isinstance(value, dict):
        _write_map(out, value, depth)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("DAG-CBOR has no infinities and no NaN")
        out += b"\xfb" + struct.pack(">d", value)
    else:
        raise TypeError(f"DAG-CBOR has no {type(value).__name__}")


def _write_map(out: bytearray, value: dict[Any, Any], depth: int) -> None:
    if not all(isinstance(key, str) for key in value):
        raise TypeError("DAG-CBOR map keys are text")
    _head(out, _MAP, len(value))
    for key in sorted(value, key=_map_order):
        _write(out, key, depth + 1)
        _write(out, value[key], depth + 1)


def _read_link(data: bytes) -> Cid | ForeignLink:
    """Tell our links from foreign ones, so that both are written back as they were."""
    if len(data) > CID_BYTES_MAX:
        raise LimitExceeded(f"a CID of {len(data)} bytes")
    if len(data) == 34 and data[:2] == b"\x12\x20":
        return ForeignLink(data)
    version, rest = decode_varint(data)
    _, rest = decode_varint(rest)
    hash_function, rest = decode_varint(rest)
    size, digest = decode_varint(rest)
    if version != 1 or size != len(digest):
        raise InvalidMessage("a link that is no CID")
    if hash_function != SHA2_256 or size != 32:
        return ForeignLink(data)
    return Cid.decode(data)


class _Reader:
    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise InvalidMessage("DAG-CBOR ends in the middle of a value")
        part = self.data[self.at : end]
        self.at = end
        return part

    def number(self, info: int) -> int:
        if info < 24:
            return info
        size = _SIZES.get(info)
        if size is None:
            raise InvalidMessage("indefinite or reserved length in DAG-CBOR")
        number = int.from_bytes(self.take(size), "big")
        if number < (24 if size == 1 else 1 << 4 * size):
            raise InvalidMessage("an integer that is not in its shortest form")
        return number

    def value(self, depth: int) -> Any:
        if depth > NESTING_DEPTH_MAX:
            raise LimitExceeded("DAG-CBOR nested too deeply")
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == _SIMPLE:
            return self.simple(info)
        number = self.number(info)
        if major == _UINT:
            return number
        if major == _NEGATIVE:
            return -1 - number
        if major == _BYTES:
            return self.take(number)
        if major == _TEXT:
            return self.text(number)
        if major == _LIST:
            return self.items(number, depth)
        if major == _MAP:
            return self.map(number, depth)
        return self.link(number, depth)

    def text(self, length: int) -> str:
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise InvalidMessage("text that is not UTF-8") from None

    def items(self, count: int, depth: int) -> list[Any]:
        if count > len(self.data) - self.at:
            raise InvalidMessage("DAG-CBOR ends in the middle of a list")
        return [self.value(depth + 1) for _ in range(count)]

    def map(self, count: int, depth: int) -> dict[str, Any]:
        if 2 * count > len(self.data) - self.at:
            raise InvalidMessage("DAG-CBOR ends in the middle of a map")
        found: dict[str, Any] = {}
        last = (-1, b"")
        for _ in range(count):
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise InvalidMessage("a map key that is not text")
            order = _map_order(key)
            if order <= last:
                raise InvalidMessage("map keys repeated or out of order")
            last = order
            found[key] = self.value(depth + 1)
        return found

    def link(self, tag: int, depth: int) -> Cid | ForeignLink:
        if tag != _LINK_TAG:
            raise InvalidMessage("the only tag of DAG-CBOR is 42")
        data = self.value(depth + 1)
        if not isinstance(data, bytes) or data[:1] != b"\0":
            raise InvalidMessage("a link is a zero byte and a CID")
        return _read_link(data[1:])

    def simple(self, info: int) -> Any:
        if info in (20, 21, 22):
            return {20: False, 21: True, 22: None}[info]
        if info != 27:
            raise InvalidMessage("DAG-CBOR has false, true, null and 64-bit floats only")
        number = struct.unpack(">d", self.take(8))[0]
        if not math.isfinite(number):
            raise InvalidMessage("DAG-CBOR has no infinities and no NaN")
        return number
