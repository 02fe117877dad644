"""Encode what a committee decides about its vault, and what its members sign for it.

Rule: a decision is bound to one network, chain, vault, epoch and number; the contract carries it
out once, in order, before its last second. Hot keys sign nothing else of this shape.

Spec: docs/spec/settlement.md §7
Deviations: none
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.artifact import selectors
from contracts.settlement_calls import encode_members
from contracts.settlement_types import CommitteeMember
from primitives.abi import encode_words
from primitives.eip712 import StructType, network_domain, typed_digest

DECISION_TYPE: Final = StructType(
    "Decision(uint64 epoch,uint64 nonce,uint64 validUntil,uint8 kind,address subject,uint256 value,"
    "uint256 chainId,address vault)"
)
WORD = 32
HEAD_WORDS = 8
"""Six words of the decision and two offsets."""


class DecisionKind(enum.IntEnum):
    """What is decided; `value` is 1 for on and 0 for off."""

    PAUSE = 1
    """Stop deposits, or start them again."""
    LIST = 2
    """Start or stop taking the token `subject`."""
    ANNOUNCE = 3
    """Name the vault `subject` as successor; the zero address calls it off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision, as it is signed."""

    epoch: int  # of the committee that the vault follows
    nonce: int  # decisions that the vault has carried out before
    valid_until_s: int  # EVM time, seconds
    kind: int
    subject: bytes
    value: int


def compute_decision_digest(
    decision: Decision, *, network_id: bytes, chain_id: int, vault: bytes
) -> bytes:
    """Compute what a committee member signs with its hot key."""
    struct_hash = DECISION_TYPE.hash(
        decision.epoch,
        decision.nonce,
        decision.valid_until_s,
        decision.kind,
        decision.subject,
        decision.value,
        chain_id,
        vault,
    )
    return typed_digest(network_domain(network_id), struct_hash)


def encode_decide(
    decision: Decision, signatures: Mapping[int, bytes], members: Sequence[CommitteeMember]
) -> bytes:
    """Return the calldata of `decide`; signatures are by committee index."""
    packed = b"".join(signatures[index] for index in sorted(signatures))
    bitmap = sum(1 << index for index in signatures)
    padding = bytes(-len(packed) % WORD)
    certificate = encode_words(bitmap, 2 * WORD, len(packed)) + packed + padding
    head = encode_words(
        decision.epoch,
        decision.nonce,
        decision.valid_until_s,
        decision.kind,
        decision.subject,
        decision.value,
        HEAD_WORDS * WORD,
        HEAD_WORDS * WORD + len(certificate),
    )
    tail = encode_words(len(members)) + encode_members(members)
    return selectors("Settlement")["decide"] + head + certificate + tail
