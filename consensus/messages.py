"""Define what replicas say to each other and decode it without trust.

Rule: a message is a MessagePack array led by its tag; bytes that are not exactly one known message
within its bounds raise PeerError and nothing else.
Spec: docs/spec/wire-consensus.md (Messages). Deviations: none.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from consensus.block import BlockBody
from consensus.certificate import Certificate
from consensus.evidence import Evidence
from consensus.limits import ANCESTORS_PER_REPLY_MAX, MESSAGE_BYTES_MAX, RANGE_BLOCKS_MAX
from consensus.vote import Counter, Hash32, PendingIds, Signature, Vote
from primitives import codec


class Propose(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """The leader's block with its notarize vote; there is no other proposal signature."""

    block: BlockBody
    pending: PendingIds
    signature: Signature


class GetCertificates(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4
):
    """Ask for every certificate held of a view."""

    epoch: Counter
    view: Counter


class GetBlock(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """Ask for a block and the ancestors that are still in memory, down to a height exclusively."""

    block_hash: Hash32
    above_height: Counter


class Blocks(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=6):
    """Answer GetBlock: the block, then its ancestors."""

    blocks: Annotated[
        tuple[BlockBody, ...], msgspec.Meta(min_length=1, max_length=ANCESTORS_PER_REPLY_MAX)
    ]


class GetRange(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=7):
    """Ask for final blocks from a height on."""

    from_height: Counter


class Range(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=8):
    """Answer GetRange: consecutive blocks, ascending, and the finalization of the last one."""

    blocks: Annotated[
        tuple[BlockBody, ...], msgspec.Meta(min_length=1, max_length=RANGE_BLOCKS_MAX)
    ]
    finalization: Certificate


class GetStatus(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=9):
    """Ask for a status that repeats the nonce, so that it is known to be fresh."""

    nonce: Counter


class Status(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=10):
    """Where a replica stands. A claim: it moves nothing, it only says what is worth asking for."""

    nonce: Counter  # 0 when nobody asked
    epoch: Counter
    view: Counter
    final_view: Counter
    final_height: Counter
    seen_view: Counter  # the highest view in which I saw a vote of the receiver


Message: TypeAlias = (
    Propose
    | Vote
    | Certificate
    | GetCertificates
    | GetBlock
    | Blocks
    | GetRange
    | Range
    | GetStatus
    | Status
    | Evidence
)
_SCHEMA: Any = Message


def encode_message(message: Message) -> bytes:
    """Return the bytes of a message."""
    return codec.encode(message)


def decode_message(data: bytes) -> Message:
    """Decode a peer's bytes. Raises PeerError."""
    message: Message = codec.decode(data, _SCHEMA, max_bytes=MESSAGE_BYTES_MAX)
    return message
