"""Hash a whole `eth_signTypedData_v4` document: any types, arrays and structs inside structs.

Rule: the document is hostile; its depth, number of types and number of fields are bounded, and
every type that occurs must be atomic or declared in it.
Spec: EIP-712; docs/spec/encoding.md §3 (Typed data).
Deviations: recursive values are bounded in depth; a missing or `null` member is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from primitives.eip712_atoms import atomic_encoder
from primitives.errors import InvalidMessage, LimitExceeded
from primitives.keccak import keccak256
from primitives.limits import (
    TYPED_DATA_DEPTH_MAX,
    TYPED_DATA_FIELDS_MAX,
    TYPED_DATA_TYPES_MAX,
)

Members = tuple[tuple[str, str], ...]  # (type, name) of each member in order

_NAME: Final = re.compile(r"[A-Za-z_$][\w$:]*", re.ASCII)
_TYPE: Final = re.compile(r"([A-Za-z_$][\w$:]*)((?:\[[0-9]{0,6}\])*)", re.ASCII)
_ARRAY: Final = re.compile(r"(.*)\[([0-9]{0,6})\]", re.ASCII)
_DOMAIN: Final = "EIP712Domain"
_DOMAIN_MEMBERS: Final = (
    ("string", "name"),
    ("string", "version"),
    ("uint256", "chainId"),
    ("address", "verifyingContract"),
    ("bytes32", "salt"),
)


def typed_data_digest(document: Mapping[str, Any]) -> bytes:
    """Return the digest to sign of a JSON document with types, primaryType, domain and message.

    Raises InvalidMessage or LimitExceeded.
    """
    if not isinstance(document, Mapping):
        raise InvalidMessage("a typed-data document is an object")
    domain, primary = document.get("domain"), document.get("primaryType")
    if "message" not in document or not isinstance(domain, Mapping) or not isinstance(primary, str):
        raise InvalidMessage("typed data has a domain, a primaryType and a message")
    types = _Types(document.get("types"), domain)
    separator = types.hash_struct(_DOMAIN, domain, 0)
    if primary == _DOMAIN:
        return keccak256(b"\x19\x01" + separator)
    return keccak256(b"\x19\x01" + separator + types.hash_struct(primary, document["message"], 0))


class _Types:
    """The struct types of one document, with their hashes."""

    def __init__(self, declared: Any, domain: Mapping[str, Any]) -> None:
        if not isinstance(declared, Mapping):
            raise InvalidMessage("typed data has types")
        if len(declared) > TYPED_DATA_TYPES_MAX:
            raise LimitExceeded(f"more than {TYPED_DATA_TYPES_MAX} types")
        self._members: dict[str, Members] = {
            _DOMAIN: tuple((kind, name) for kind, name in _DOMAIN_MEMBERS if name in domain)
        }
        for name, members in declared.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise InvalidMessage("a type has a name")
            self._members[name] = _read_members(members)
        self._hashes: dict[str, bytes] = {}

    def hash_struct(self, name: str, value: Any, depth: int) -> bytes:
        """Return hashStruct of one value."""
        members = self._members.get(name)
        if members is None or not isinstance(value, Mapping):
            raise InvalidMessage(f"{name[:40]} is not a declared type, or its value no object")
        words = [self._type_hash(name)]
        for kind, member in members:
            if member not in value:
                raise InvalidMessage(f"{name[:40]} lacks {member[:40]}")
            words.append(self._encode(kind, value[member], depth + 1))
        return keccak256(b"".join(words))

    def _encode(self, kind: str, value: Any, depth: int) -> bytes:
        if depth > TYPED_DATA_DEPTH_MAX:
            raise LimitExceeded(f"typed data nested deeper than {TYPED_DATA_DEPTH_MAX}")
        array = _ARRAY.fullmatch(kind)
        if array is not None:
            return self._encode_array(array[1], array[2], value, depth)
        if kind in self._members:
            return self.hash_struct(kind, value, depth)
        return atomic_encoder(kind)(value)

    def _encode_array(self, kind: str, length: str, value: Any, depth: int) -> bytes:
        if not isinstance(value, list | tuple):
            raise InvalidMessage("the value of an array type is a list")
        if length and len(value) != int(length):
            raise InvalidMessage(f"an array of {length} has {len(value)} elements")
        return keccak256(b"".join([self._encode(kind, item, depth + 1) for item in value]))

    def _type_hash(self, name: str) -> bytes:
        if name not in self._hashes:
            self._hashes[name] = keccak256(self._encode_type(name).encode())
        return self._hashes[name]

    def _encode_type(self, name: str) -> str:
        """Return encodeType: the struct, then all it refers to in alphabetical order."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current in self._members and current not in found:
                found.add(current)
                waiting += [kind.split("[")[0] for kind, _ in self._members[current]]
        order = [name, *sorted(found - {name})]
        return "".join(
            f"{n}({','.join(f'{kind} {member}' for kind, member in self._members[n])})"
            for n in order
        )


def _read_members(members: Any) -> Members:
    if not isinstance(members, list | tuple):
        raise InvalidMessage("a type is a list of members")
    if len(members) > TYPED_DATA_FIELDS_MAX:
        raise LimitExceeded(f"more than {TYPED_DATA_FIELDS_MAX} members")
    return tuple(_read_member(member) for member in members)


def _read_member(member: Any) -> tuple[str, str]:
    if not isinstance(member, Mapping):
        raise InvalidMessage("a member has a name and a type")
    kind, name = member.get("type"), member.get("name")
    if not isinstance(kind, str) or not isinstance(name, str):
        raise InvalidMessage("a member has a name and a type")
    if not _TYPE.fullmatch(kind) or not _NAME.fullmatch(name):
        raise InvalidMessage("a member has a name and a type of letters, digits and brackets")
    return kind, name
