"""Read and write CARv1, the archive format of IPFS.

Rule: sections are written as they come; a reader verifies every block against its CID.
Spec: https://ipld.io/specs/transport/car/carv1/
Deviations: blocks named by another hash than sha2-256 are refused; CIDs are written as CIDv1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from primitives import dag_cbor
from primitives.cid import Cid, encode_varint
from primitives.errors import InvalidMessage, LimitExceeded
from storage import limits
from storage.protobuf import read_varint


def encode_header(roots: Sequence[Cid]) -> bytes:
    """Return the first section."""
    header = dag_cbor.encode({"roots": list(roots), "version": 1})
    return encode_varint(len(header)) + header


def encode_section(cid: Cid, data: bytes) -> bytes:
    """Return one block with its CID."""
    name = cid.encode()
    return encode_varint(len(name) + len(data)) + name + data


def read_roots(archive: bytes) -> tuple[tuple[Cid, ...], int]:
    """Return the roots and where the first block begins. Raises InvalidMessage."""
    length, at = read_varint(archive, 0)
    if length > len(archive) - at:
        raise InvalidMessage("a CAR that ends in its header")
    header = dag_cbor.decode(archive[at : at + length])
    if not isinstance(header, dict) or header.get("version") != 1:
        raise InvalidMessage("not a CARv1")
    roots = header.get("roots")
    if not isinstance(roots, list) or not all(isinstance(root, Cid) for root in roots):
        raise InvalidMessage("the roots of a CAR are CIDs")
    return tuple(roots), at + length


def read_blocks(archive: bytes) -> Iterator[tuple[Cid, bytes]]:
    """Yield the verified blocks of a CARv1. Raises InvalidMessage, LimitExceeded."""
    _, at = read_roots(archive)
    while at < len(archive):
        length, at = read_varint(archive, at)
        if length > len(archive) - at:
            raise InvalidMessage("a CAR that ends in the middle of a block")
        if length > limits.BLOCK_BYTES_MAX + limits.CID_BYTES_MAX:
            raise LimitExceeded(f"a CAR section of {length} bytes")
        cid, data = Cid.decode_prefix(archive[at : at + length])
        cid.verify(data)
        yield cid, data
        at += length
