"""Encode a block header as the sixteen ABI words that every chain of trust starts from.

Rule: the header's hash is keccak256 of its words, so a contract can rebuild it; a header has
exactly one encoding.
Spec: docs/spec/consensus.md (Header). Deviations: none.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from consensus.limits import COMMITTEE_MAX
from primitives.errors import InvalidBlock
from primitives.keccak import keccak256

WORD_BYTES = 32
FIELDS = 16
HEADER_BYTES = FIELDS * WORD_BYTES
UINT_LIMIT = 1 << 63  # so that every store and language holds it in a signed word
ZERO_HASH = bytes(WORD_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a block says of itself, its parent and the executed state, in encoding order."""

    epoch: int
    view: int
    height: int
    parent_view: int  # 0 when the parent is the epoch's first anchor
    parent_hash: bytes
    time_ms: int  # since the Unix epoch, strictly above the parent's
    bundles_root: bytes
    executed_height: int  # the state the two roots below belong to
    state_root: bytes
    fees_root: bytes
    attendance_root: bytes
    evidence_root: bytes
    committee_hash: bytes
    next_committee_hash: bytes  # zero but in an epoch's boundary block and its seals
    checkpoint_digest: (
        bytes  # sha2-256 of the snapshot manifest, zero but in the block that carries one
    )
    proposer: int  # committee index


def encode_header(header: Header) -> bytes:
    """Return the 512 bytes of the header."""
    parts = [
        value.to_bytes(WORD_BYTES, "big") if isinstance(value, int) else value
        for value in astuple(header)
    ]
    words = b"".join(parts)
    assert len(words) == HEADER_BYTES, "a hash in the header has 32 bytes"
    return words


def decode_header(words: bytes) -> Header:
    """Rebuild a header from its words. Raises InvalidBlock for a length or integer out of range."""
    if len(words) != HEADER_BYTES:
        raise InvalidBlock(f"a header has {HEADER_BYTES} bytes, not {len(words)}")
    epoch, view, height, parent_view = (_uint(words, position) for position in range(4))
    header = Header(
        epoch=epoch,
        view=view,
        height=height,
        parent_view=parent_view,
        parent_hash=_word(words, 4),
        time_ms=_uint(words, 5),
        bundles_root=_word(words, 6),
        executed_height=_uint(words, 7),
        state_root=_word(words, 8),
        fees_root=_word(words, 9),
        attendance_root=_word(words, 10),
        evidence_root=_word(words, 11),
        committee_hash=_word(words, 12),
        next_committee_hash=_word(words, 13),
        checkpoint_digest=_word(words, 14),
        proposer=_uint(words, 15),
    )
    if header.proposer >= COMMITTEE_MAX:
        raise InvalidBlock("the proposer's index is beyond any committee")
    return header


def hash_header(words: bytes) -> bytes:
    """Return the block hash."""
    return keccak256(words)


def _word(words: bytes, position: int) -> bytes:
    return words[position * WORD_BYTES : (position + 1) * WORD_BYTES]


def _uint(words: bytes, position: int) -> int:
    value = int.from_bytes(_word(words, position), "big")
    if value >= UINT_LIMIT:
        raise InvalidBlock(f"header field {position} does not fit 63 bits")
    return value
