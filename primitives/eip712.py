"""Hash typed structured data, so that wallets show what they sign and contracts can check it.

Rule: a value that does not fit its type is refused before anything is hashed.
Spec: EIP-712. Deviations: the project's domain carries a salt (the network id) and no chain id, because
one network has vaults on several EVM chains (docs/adr).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from primitives.errors import InvalidMessage, LimitExceeded
from primitives.keccak import keccak256
from primitives.limits import TYPED_DATA_DEPTH_MAX

Encoder = Callable[[Any], bytes]
Types = Mapping[str, list[dict[str, str]]]

_DOMAIN_TYPE: Final = b"EIP712Domain(string name,string version,bytes32 salt)"
_DOMAIN_HEAD: Final = keccak256(_DOMAIN_TYPE) + keccak256(b"OmniBazaar") + keccak256(b"1")
_INTEGER: Final = re.compile(r"(u?)int([0-9]+)")
_FIXED_BYTES: Final = re.compile(r"bytes([0-9]+)")
_STRUCT: Final = re.compile(r"(\w+)\((.*)\)")
_ARRAY: Final = re.compile(r"(.*)\[([0-9]*)\]")
_DOMAIN_FIELDS: Final = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("salt", "bytes32"),
)


def network_domain(network_id: bytes) -> bytes:
    """Return the domain separator of one network, from its 32-byte id."""
    if len(network_id) != 32:
        raise ValueError("a network id is 32 bytes")
    return keccak256(_DOMAIN_HEAD + network_id)


def typed_digest(domain: bytes, struct_hash: bytes) -> bytes:
    """Return the digest to sign."""
    return keccak256(b"\x19\x01" + domain + struct_hash)


class StructType:
    """One struct of atomic members, hashed fast: `StructType("Vote(uint8 kind,bytes32 hash)")`."""

    __slots__ = ("_encoders", "type_hash")

    def __init__(self, declaration: str) -> None:
        match = _STRUCT.fullmatch(declaration)
        if match is None:
            raise ValueError(f"not a struct type: {declaration}")
        kinds = [member.split(" ")[0] for member in match[2].split(",") if member]
        self.type_hash = keccak256(declaration.encode())
        self._encoders: tuple[Encoder, ...] = tuple(_atomic_encoder(kind) for kind in kinds)

    def hash(self, *values: int | bytes | str | bool) -> bytes:
        """Return hashStruct. Raises InvalidMessage when a value does not fit its member."""
        if len(values) != len(self._encoders):
            raise InvalidMessage(f"{len(self._encoders)} values wanted, {len(values)} given")
        words = [self.type_hash]
        for encoder, value in zip(self._encoders, values, strict=True):
            words.append(encoder(value))
        return keccak256(b"".join(words))


def typed_data_digest(document: Mapping[str, Any]) -> bytes:
    """Return the digest of an `eth_signTypedData_v4` document. Raises InvalidMessage."""
    try:
        types, primary = document["types"], document["primaryType"]
        domain, message = document["domain"], document["message"]
        domain_types = dict(types)
        domain_types.setdefault(
            "EIP712Domain",
            [{"name": n, "type": k} for n, k in _DOMAIN_FIELDS if n in domain],
        )
        separator = _hash_struct("EIP712Domain", domain, domain_types, 0)
        if primary == "EIP712Domain":
            return keccak256(b"\x19\x01" + separator)
        return typed_digest(separator, _hash_struct(primary, message, types, 0))
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidMessage(f"not a typed-data document: {error!r}") from None


def encode_type(name: str, types: Types) -> str:
    """Return encodeType: the struct, then what it refers to in alphabetical order."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in found or current not in types:
            continue
        found.add(current)
        waiting += [member["type"].split("[")[0] for member in types[current]]
    order = [name, *sorted(found - {name})]
    return "".join(f"{n}({','.join(m['type'] + ' ' + m['name'] for m in types[n])})" for n in order)


def _hash_struct(name: str, value: Mapping[str, Any], types: Types, depth: int) -> bytes:
    words = [keccak256(encode_type(name, types).encode())]
    for member in types[name]:
        words.append(_encode_value(member["type"], value[member["name"]], types, depth + 1))
    return keccak256(b"".join(words))


def _encode_value(kind: str, value: Any, types: Types, depth: int) -> bytes:
    if depth > TYPED_DATA_DEPTH_MAX:
        raise LimitExceeded("typed data nested too deeply")
    array = _ARRAY.fullmatch(kind)
    if array is not None:
        if array[2] and len(value) != int(array[2]):
            raise InvalidMessage(f"{kind} does not hold {len(value)} values")
        return keccak256(b"".join(_encode_value(array[1], v, types, depth + 1) for v in value))
    if kind in types:
        if value is None:
            return bytes(32)
        return _hash_struct(kind, value, types, depth)
    return _atomic_encoder(kind)(value)


def _atomic_encoder(kind: str) -> Encoder:
    if kind == "bool":
        return _encode_bool
    if kind == "address":
        return _encode_address
    if kind == "string":
        return _encode_string
    if kind == "bytes":
        return _encode_bytes
    integer = _INTEGER.fullmatch(kind)
    if integer is not None:
        bits = int(integer[2])
        if not 8 <= bits <= 256 or bits % 8:
            raise InvalidMessage(f"no such type: {kind}")
        return _unsigned_encoder(bits) if integer[1] else _signed_encoder(bits)
    fixed = _FIXED_BYTES.fullmatch(kind)
    if fixed is not None and 1 <= int(fixed[1]) <= 32:
        return _fixed_encoder(int(fixed[1]))
    raise InvalidMessage(f"no such type: {kind}")


def _to_int(value: Any) -> int:
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            raise InvalidMessage("not an integer") from None
    if not isinstance(value, int):
        raise InvalidMessage("not an integer")
    return int(value)


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return bytes.fromhex(value.removeprefix("0x"))
        except ValueError:
            raise InvalidMessage("not hexadecimal") from None
    if not isinstance(value, bytes | bytearray):
        raise InvalidMessage("not bytes")
    return bytes(value)


def _unsigned_encoder(bits: int) -> Encoder:
    def encode(value: Any) -> bytes:
        number = value if type(value) is int else _to_int(value)
        if number < 0 or number >> bits:
            raise InvalidMessage(f"{number} is no uint{bits}")
        return number.to_bytes(32, "big")

    return encode


def _signed_encoder(bits: int) -> Encoder:
    bound = 1 << (bits - 1)

    def encode(value: Any) -> bytes:
        number = _to_int(value)
        if not -bound <= number < bound:
            raise InvalidMessage(f"{number} is no int{bits}")
        return number.to_bytes(32, "big", signed=True)

    return encode


def _fixed_encoder(size: int) -> Encoder:
    def encode(value: Any) -> bytes:
        data = value if type(value) is bytes else _to_bytes(value)
        if len(data) != size:
            raise InvalidMessage(f"bytes{size} wanted, {len(data)} bytes given")
        return data.ljust(32, b"\0")

    return encode


def _encode_bool(value: Any) -> bytes:
    if value not in (True, False):
        raise InvalidMessage("not a boolean")
    return bytes(31) + (b"\1" if value else b"\0")


def _encode_address(value: Any) -> bytes:
    data = value if type(value) is bytes else _to_bytes(value)
    if len(data) != 20:
        raise InvalidMessage("an address is 20 bytes")
    return bytes(12) + data


def _encode_string(value: Any) -> bytes:
    if not isinstance(value, str):
        raise InvalidMessage("not a string")
    return keccak256(value.encode())


def _encode_bytes(value: Any) -> bytes:
    return keccak256(_to_bytes(value))
