"""Read and write DAG-PB nodes, the form of UnixFS files and directories.

Rule: one node has one encoding: links before data, each link Hash, Name, Tsize in this order; bytes
that would not be written the same way again are refused.
Spec: https://ipld.io/specs/codecs/dag-pb/spec/
Deviations: links name content by sha2-256 only; a CIDv0 link is read as its CIDv1 twin, so a node
with CIDv0 links is never encoded again; links out of the order of their names are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from primitives.cid import Cid
from primitives.errors import InvalidMessage, LimitExceeded
from storage import limits
from storage.protobuf import BYTES, VARINT, FieldBudget, encode_bytes, encode_number, read_fields

_DATA, _LINKS = 1, 2
_HASH, _NAME, _TSIZE = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A child: its id, its name (None = the field is absent) and the bytes of its whole DAG."""

    cid: Cid
    name: str | None = ""
    dag_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    links: tuple[Link, ...]
    data: bytes | None = None


def encode_node(links: Sequence[Link], data: bytes | None) -> bytes:
    """Encode a node; the order of `links` is kept."""
    encoded = b"".join(encode_bytes(_LINKS, encode_link(link)) for link in links)
    return encoded if data is None else encoded + encode_bytes(_DATA, data)


def encode_link(link: Link) -> bytes:
    encoded = encode_bytes(_HASH, link.cid.encode())
    if link.name is not None:
        encoded += encode_bytes(_NAME, link.name.encode())
    if link.dag_bytes is not None:
        encoded += encode_number(_TSIZE, link.dag_bytes)
    return encoded


def decode_node(block: bytes) -> Node:
    """Decode a strict DAG-PB block. Raises InvalidMessage, LimitExceeded."""
    if len(block) > limits.BLOCK_BYTES_MAX:
        raise LimitExceeded(f"{len(block)} bytes, the limit is {limits.BLOCK_BYTES_MAX}")
    links: list[Link] = []
    data: bytes | None = None
    budget = FieldBudget(limits.NODE_FIELDS_MAX)
    for number, wire_type, value in read_fields(block, budget):
        if wire_type != BYTES or not isinstance(value, bytes):
            raise InvalidMessage("a DAG-PB node holds links and data only")
        if number == _LINKS and data is None:
            links.append(decode_link(value, budget))
        elif number == _DATA and data is None:
            data = value
        else:
            raise InvalidMessage("DAG-PB: links, then data, once")
    return Node(links=tuple(links), data=data)


def decode_link(data: bytes, budget: FieldBudget) -> Link:
    """Decode one link. Raises InvalidMessage, LimitExceeded."""
    cid: Cid | None = None
    name: str | None = None
    dag_bytes: int | None = None
    last = 0
    for number, wire_type, value in read_fields(data, budget):
        if number <= last:
            raise InvalidMessage("DAG-PB: a link's fields come once and in order")
        last = number
        if number == _HASH and wire_type == BYTES and isinstance(value, bytes):
            cid = Cid.decode(value)
        elif number == _NAME and wire_type == BYTES and isinstance(value, bytes):
            name = decode_name(value)
        elif number == _TSIZE and wire_type == VARINT and isinstance(value, int):
            dag_bytes = value
        else:
            raise InvalidMessage("DAG-PB: an unknown field in a link")
    if cid is None:
        raise InvalidMessage("DAG-PB: a link without a hash")
    return Link(cid=cid, name=name, dag_bytes=dag_bytes)


def decode_name(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidMessage("DAG-PB: a name that is not UTF-8") from None
