"""Hash typed structured data, so that wallets show what they sign and contracts can check it.

Rule: a value that does not fit its type is refused before anything is hashed.
Spec: EIP-712; docs/spec/encoding.md §3 (Typed data).
Deviations: the project's domain carries a salt (the network id) and no chain id, because one
network has vaults on several EVM chains (docs/adr/0002-salt-instead-of-chain-id.md).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, Final

from primitives.eip712_atoms import Encoder, atomic_encoder
from primitives.errors import InvalidMessage
from primitives.keccak import keccak256
from primitives.typed_data import typed_data_digest

__all__ = ["StructType", "network_domain", "typed_data_digest", "typed_digest"]

_DOMAIN_TYPE: Final = b"EIP712Domain(string name,string version,bytes32 salt)"
_DOMAIN_HEAD: Final = keccak256(_DOMAIN_TYPE) + keccak256(b"OmniBazaar") + keccak256(b"1")
_DECLARATION: Final = re.compile(r"([A-Za-z_]\w*)\(((?:\w+ \w+)(?:,\w+ \w+)*)?\)", re.ASCII)
_PACKED: Final = {"uint8": "31xB", "uint16": "30xH", "uint32": "28xI", "uint64": "24xQ"}
_SIZED_BYTES: Final = re.compile(r"bytes([1-9]|[12][0-9]|3[0-2])")


def network_domain(network_id: bytes) -> bytes:
    """Return the domain separator of one network, from its 32-byte id."""
    if len(network_id) != 32:
        raise ValueError("a network id is 32 bytes")
    return keccak256(_DOMAIN_HEAD + network_id)


def typed_digest(domain: bytes, struct_hash: bytes) -> bytes:
    """Return the digest to sign."""
    return keccak256(b"\x19\x01" + domain + struct_hash)


class StructType:
    """One struct of atomic members, hashed fast: `StructType("Vote(uint8 kind,bytes32 hash)")`.

    One `struct.pack` lays out every word: it checks the range of small integers itself, and only
    byte strings (their length) and the rarer types (their whole encoding) are looked at in Python.
    """

    __slots__ = ("_count", "_encoders", "_lengths", "_pack", "name", "type_hash")

    def __init__(self, declaration: str) -> None:
        """Compile a type string. Raises InvalidMessage when it is not one."""
        match = _DECLARATION.fullmatch(declaration)
        if match is None:
            raise InvalidMessage(f"not a struct type: {declaration}")
        kinds = [member.split(" ")[0] for member in (match[2] or "").split(",") if member]
        layout = ["32s"]
        self._encoders: list[tuple[int, Encoder]] = []
        self._lengths: list[tuple[int, int]] = []
        for i, kind in enumerate(kinds):
            layout.append(self._plan_member(i, kind))
        self._count = len(kinds)
        self._pack: Callable[..., bytes] = struct.Struct(">" + "".join(layout)).pack
        self.name = match[1]
        self.type_hash = keccak256(declaration.encode())

    def _plan_member(self, i: int, kind: str) -> str:
        """Return how `struct` packs a member; note what has to be done before."""
        if kind in _PACKED:
            return _PACKED[kind]
        size = _SIZED_BYTES.fullmatch(kind)
        if size is not None or kind == "address":
            length = 20 if size is None else int(size[1])
            self._lengths.append((i, length))
            return "12x20s" if size is None else f"{length}s{32 - length}x"
        self._encoders.append((i, atomic_encoder(kind)))
        return "32s"

    def hash(self, *values: int | bytes | str | bool) -> bytes:
        """Return hashStruct. Raises InvalidMessage when a value does not fit its member."""
        if len(values) != self._count:
            raise InvalidMessage(f"{self.name} has {self._count} members, not {len(values)}")
        try:
            for i, length in self._lengths:
                if len(values[i]) != length:  # type: ignore[arg-type]
                    raise InvalidMessage(f"member {i} of {self.name} has {length} bytes")
            if self._encoders:
                words: list[Any] = list(values)
                for i, encoder in self._encoders:
                    words[i] = encoder(words[i])
                return keccak256(self._pack(self.type_hash, *words))
            return keccak256(self._pack(self.type_hash, *values))
        except (struct.error, TypeError, OverflowError) as error:
            raise InvalidMessage(f"a member of {self.name} does not fit: {error}") from error
