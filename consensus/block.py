"""Join a header with the body that its roots commit to, and give the block its one CID.

Rule: a block hash stands for exactly one body; a body that differs from the header's roots is no
block.
Spec: docs/spec/wire-consensus.md (Block). Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from consensus.certificate import Certificate
from consensus.evidence import Evidence
from consensus.header import (
    HEADER_BYTES,
    ZERO_HASH,
    Header,
    decode_header,
    encode_header,
    hash_header,
)
from consensus.limits import BUNDLES_PER_BLOCK_MAX, EVIDENCE_PER_BLOCK_MAX
from consensus.vote import Hash32
from primitives import codec, dag_cbor
from primitives.cid import DAG_CBOR, RAW, Cid
from primitives.errors import InvalidBlock
from primitives.keccak import keccak256

Bundles = Annotated[tuple[Hash32, ...], msgspec.Meta(max_length=BUNDLES_PER_BLOCK_MAX)]
EvidenceList = Annotated[tuple[Evidence, ...], msgspec.Meta(max_length=EVIDENCE_PER_BLOCK_MAX)]


class BlockBody(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A block as it travels: header words and what their roots commit to."""

    header: Annotated[bytes, msgspec.Meta(min_length=HEADER_BYTES, max_length=HEADER_BYTES)]
    bundles: Bundles  # sha2-256 digests of the bundles, in execution order
    attendance: Certificate | None  # the parent's notarization with its pending lists
    evidence: EvidenceList


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A block whose body was checked against its header."""

    hash: bytes
    header: Header
    body: BlockBody

    @property
    def view(self) -> int:
        """The view the block was proposed in."""
        return self.header.view

    @property
    def height(self) -> int:
        """The number of blocks before it on its chain, genesis included."""
        return self.header.height

    @property
    def parent_hash(self) -> bytes:
        """The hash of the block it builds on."""
        return self.header.parent_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """What a child needs to know of its parent; genesis is a tip without a block."""

    view: int
    height: int
    hash: bytes
    time_ms: int
    executed_height: int


def tip_of(block: Block) -> Tip:
    """Return the block as the parent of its children."""
    header = block.header
    return Tip(
        view=header.view,
        height=header.height,
        hash=block.hash,
        time_ms=header.time_ms,
        executed_height=header.executed_height,
    )


def compute_bundles_root(bundles: tuple[bytes, ...]) -> bytes:
    """Return keccak256 of the concatenated digests, or zero for none."""
    return keccak256(b"".join(bundles)) if bundles else ZERO_HASH


def compute_attendance_root(attendance: Certificate | None) -> bytes:
    """Return keccak256 of the encoded certificate, or zero without one."""
    return keccak256(codec.encode(attendance)) if attendance is not None else ZERO_HASH


def compute_evidence_root(evidence: tuple[Evidence, ...]) -> bytes:
    """Return keccak256 of the encoded tuple, or zero for none."""
    return keccak256(codec.encode(evidence)) if evidence else ZERO_HASH


def make_block(
    header: Header,
    bundles: tuple[bytes, ...],
    attendance: Certificate | None,
    evidence: tuple[Evidence, ...],
) -> Block:
    """Build a block from a header whose roots are those of the given body."""
    words = encode_header(header)
    body = BlockBody(words, bundles, attendance, evidence)
    return Block(hash_header(words), header, body)


def open_block(body: BlockBody) -> Block:
    """Check a body against its header. Raises InvalidBlock."""
    header = decode_header(body.header)
    if header.bundles_root != compute_bundles_root(body.bundles):
        raise InvalidBlock("the bundles are not those of the header")
    if header.attendance_root != compute_attendance_root(body.attendance):
        raise InvalidBlock("the attendance is not that of the header")
    if header.evidence_root != compute_evidence_root(body.evidence):
        raise InvalidBlock("the evidence is not that of the header")
    return Block(hash_header(body.header), header, body)


def encode_block_node(block: Block, parent: Cid | None) -> bytes:
    """Return the DAG-CBOR node of a block: its words, links to its bundles and to its parent.

    `parent` is None for the child of genesis.
    """
    return dag_cbor.encode(
        {
            "bundles": [Cid(RAW, digest) for digest in block.body.bundles],
            "header": block.body.header,
            "parent": parent,
        }
    )


def compute_block_cid(block: Block, parent: Cid | None) -> Cid:
    """Return the CIDv1 of the block's DAG-CBOR node."""
    return Cid.of(DAG_CBOR, encode_block_node(block, parent))
