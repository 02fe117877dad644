"""Name content by its hash, as IPFS does.

Rule: what we make is CIDv1 with sha2-256; a CIDv0 is read as its CIDv1 twin (dag-pb).
Spec: https://github.com/multiformats/cid; docs/spec/encoding.md §4 (CIDs).
Deviations: only sha2-256, and of the multibases only base16, base32 and base58btc, are read.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from primitives.errors import InvalidMessage
from primitives.limits import CID_CHARS_MAX

RAW: Final = 0x55
DAG_PB: Final = 0x70
DAG_CBOR: Final = 0x71
SHA2_256: Final = 0x12
_SHA2_256: Final = bytes((SHA2_256, 32))
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


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
        if not isinstance(text, str) or not 2 <= len(text) <= CID_CHARS_MAX:
            raise InvalidMessage("not a CID")
        if len(text) == 46 and text.startswith("Qm"):
            return cls.decode(_from_base58(text))
        return cls.decode(_from_multibase(text[0], text[1:]))

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
    """Read a minimal varint of at most nine bytes; return it and the rest.

    Raises InvalidMessage.
    """
    number = 0
    for i, byte in enumerate(data[:9]):
        number |= (byte & 127) << 7 * i
        if byte < 128:
            if byte == 0 and i:
                raise InvalidMessage("a varint with needless bytes")
            return number, data[i + 1 :]
    raise InvalidMessage("a varint without end")


def _from_multibase(prefix: str, body: str) -> bytes:
    """Decode lower-case base16 or base32, or base58btc, exactly as they are written."""
    if prefix == "z":
        return _from_base58(body)
    try:
        if prefix == "b":
            data = base64.b32decode(body.upper() + "=" * (-len(body) % 8))
            canonical = base64.b32encode(data).decode().rstrip("=").lower()
        elif prefix == "f":
            data = bytes.fromhex(body)
            canonical = data.hex()
        else:
            raise InvalidMessage("a CID starts with b, f, z or Qm")
    except ValueError as error:
        raise InvalidMessage("not a CID") from error
    if body != canonical:
        raise InvalidMessage("a CID in a form that is not written so")
    return data


def _from_base58(text: str) -> bytes:
    number = 0
    for char in text:
        digit = _BASE58.find(char)
        if digit < 0:
            raise InvalidMessage("not base58")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
