"""Name content by its hash, as IPFS does.

Rule: what we make is CIDv1 with sha2-256; a CIDv0 is read as its CIDv1 twin (dag-pb).
Spec: https://github.com/multiformats/cid; RFC 4648 base32 lower-case without padding.
Deviations: other hash functions than sha2-256 are refused.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from primitives.errors import InvalidMessage

RAW: Final = 0x55
DAG_PB: Final = 0x70
DAG_CBOR: Final = 0x71
_SHA2_256: Final = b"\x12\x20"
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_TEXT_CHARS_MAX: Final = 128


@dataclass(frozen=True, slots=True, order=True)
class Cid:
    """A content id: multicodec number and 32-byte sha2-256 digest."""

    codec: int
    digest: bytes

    def __post_init__(self) -> None:
        assert len(self.digest) == 32
        assert 0 <= self.codec < 1 << 63

    @classmethod
    def of(cls, codec: int, data: bytes) -> Cid:
        """Name a block of data."""
        return cls(codec, hashlib.sha256(data).digest())

    @classmethod
    def raw(cls, data: bytes) -> Cid:
        """Name a raw block."""
        return cls.of(RAW, data)

    @classmethod
    def parse(cls, text: str) -> Cid:
        """Read base32, base58btc (also CIDv0) or base16 text. Raises InvalidMessage."""
        if not 2 <= len(text) <= _TEXT_CHARS_MAX:
            raise InvalidMessage("not a CID")
        if len(text) == 46 and text.startswith("Qm"):
            return cls.decode(_from_base58(text))
        prefix, body = text[0], text[1:]
        try:
            if prefix == "b":
                data = base64.b32decode(body.upper() + "=" * (-len(body) % 8))
                if body != body.lower():
                    raise InvalidMessage("base32 of a CID is lower-case")
            elif prefix == "f":
                data = bytes.fromhex(body)
            elif prefix == "z":
                data = _from_base58(body)
            else:
                raise InvalidMessage("a CID starts with b, f, z or Qm")
        except ValueError:
            raise InvalidMessage("not a CID") from None
        return cls.decode(data)

    @classmethod
    def decode(cls, data: bytes) -> Cid:
        """Read the binary form, exactly. Raises InvalidMessage."""
        cid, rest = cls.decode_prefix(data)
        if rest:
            raise InvalidMessage("bytes after a CID")
        return cid

    @classmethod
    def decode_prefix(cls, data: bytes) -> tuple[Cid, bytes]:
        """Read a CID at the start; return it and what follows. Raises InvalidMessage."""
        if data[:2] == _SHA2_256 and len(data) >= 34:
            return cls(DAG_PB, data[2:34]), data[34:]
        version, rest = decode_varint(data)
        if version != 1:
            raise InvalidMessage("a CID is of version 0 or 1")
        codec, rest = decode_varint(rest)
        if rest[:2] != _SHA2_256 or len(rest) < 34:
            raise InvalidMessage("only sha2-256 names content here")
        return cls(codec, rest[2:34]), rest[34:]

    def encode(self) -> bytes:
        """Return the binary CIDv1."""
        return b"\1" + encode_varint(self.codec) + _SHA2_256 + self.digest

    def verify(self, data: bytes) -> None:
        """Raise InvalidMessage unless this names `data`."""
        if hashlib.sha256(data).digest() != self.digest:
            raise InvalidMessage(f"the data is not what {self} names")

    def __str__(self) -> str:
        return "b" + base64.b32encode(self.encode()).decode().rstrip("=").lower()


def encode_varint(number: int) -> bytes:
    """Encode an unsigned LEB128 varint."""
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_varint(data: bytes) -> tuple[int, bytes]:
    """Read a minimal varint of at most nine bytes; return it and the rest. Raises InvalidMessage."""
    number = 0
    for i, byte in enumerate(data[:9]):
        number |= (byte & 127) << 7 * i
        if byte < 128:
            if byte == 0 and i:
                raise InvalidMessage("a varint with needless bytes")
            return number, data[i + 1 :]
    raise InvalidMessage("a varint without end")


def _from_base58(text: str) -> bytes:
    number = 0
    for char in text:
        digit = _BASE58.find(char)
        if digit < 0:
            raise InvalidMessage("not base58")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
