"""Define the three votes and the bytes that a vote signs.

Rule: a vote is the EIP-712 struct `Vote`; everything a signer is held to is inside its digest.
Spec: docs/spec/wire-consensus.md (Vote). Simplex (eprint 2023/463) §3.
Deviations: a notarize vote also signs the hash of the ids its voter wants included.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Annotated

import msgspec

from consensus.limits import COMMITTEE_MAX, PENDING_IDS_MAX
from primitives.eip712 import StructType, typed_digest
from primitives.errors import InvalidVote
from primitives.keccak import keccak256

ZERO_HASH = bytes(32)
SIGNATURE_BYTES = 65
RECOVERY_BYTES = (27, 28)
UINT63_MAX = (1 << 63) - 1

Hash32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=65, max_length=65)]
Counter = Annotated[int, msgspec.Meta(ge=0, le=UINT63_MAX)]
MemberIndex = Annotated[int, msgspec.Meta(ge=0, lt=COMMITTEE_MAX)]
PendingIds = Annotated[tuple[Hash32, ...], msgspec.Meta(max_length=PENDING_IDS_MAX)]

VOTE_TYPE = StructType(
    "Vote(uint8 kind,uint64 epoch,uint64 view,bytes32 blockHash,bytes32 pendingHash)"
)


class Kind(enum.IntEnum):
    """What a vote says: I take this block, I give up this view, I saw the block notarized."""

    NOTARIZE = 1
    NULLIFY = 2
    FINALIZE = 3


class Vote(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """One member's signed vote; `block_hash` is zero and `pending` empty in a nullify vote."""

    kind: Kind
    epoch: Counter
    view: Counter
    block_hash: Hash32
    pending: PendingIds
    signer: MemberIndex
    signature: Signature


def hash_pending(pending: Sequence[bytes]) -> bytes:
    """Return keccak256 of the listed ids, or zero for an empty list."""
    return keccak256(b"".join(pending)) if pending else ZERO_HASH


def compute_vote_digest(
    domain: bytes, kind: Kind, epoch: int, view: int, block_hash: bytes, pending: Sequence[bytes]
) -> bytes:
    """Return the 32 bytes that a member signs."""
    struct_hash = VOTE_TYPE.hash(int(kind), epoch, view, block_hash, hash_pending(pending))
    return typed_digest(domain, struct_hash)


def digest_of(vote: Vote, domain: bytes) -> bytes:
    """Return the digest that a vote's signature covers."""
    return compute_vote_digest(
        domain, vote.kind, vote.epoch, vote.view, vote.block_hash, vote.pending
    )


def verify_shape(vote: Vote) -> None:
    """Check what the schema cannot say. Raises InvalidVote."""
    if vote.view < 1 or vote.epoch < 1:
        raise InvalidVote("views and epochs start at 1")
    if (vote.kind is Kind.NULLIFY) != (vote.block_hash == ZERO_HASH):
        raise InvalidVote("a vote names a block exactly when it is not a nullify vote")
    if vote.signature[-1] not in RECOVERY_BYTES:
        raise InvalidVote("the last byte of a signature is 27 or 28, as contracts demand")
    if vote.pending and vote.kind is not Kind.NOTARIZE:
        raise InvalidVote("only a notarize vote lists pending ids")
    if any(left >= right for left, right in zip(vote.pending, vote.pending[1:], strict=False)):
        raise InvalidVote("pending ids are listed in ascending order, each once")
