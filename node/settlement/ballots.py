"""Name a decision about a vault, and hold who has signed it.

Rule: what operators speak of keeps its name over epochs; what is signed is of one epoch.
Spec: docs/spec/settlement.md §7 (Gathering). Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

import msgspec

from consensus.committee import Committee
from contracts.decisions import Decision, compute_decision_digest

Unsigned = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]


class Ballot(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True
):
    """A decision with one signature, as nodes send it to each other."""

    chain_id: Unsigned
    vault: Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
    epoch: Unsigned
    nonce: Unsigned
    valid_until_s: Unsigned
    kind: Annotated[int, msgspec.Meta(ge=1, le=3)]
    subject: Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
    value: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]  # big-endian
    signature: Annotated[bytes, msgspec.Meta(min_length=65, max_length=65)]

    @property
    def decision(self) -> Decision:
        """What is signed."""
        return Decision(
            epoch=self.epoch,
            nonce=self.nonce,
            valid_until_s=self.valid_until_s,
            kind=self.kind,
            subject=self.subject,
            value=int.from_bytes(self.value, "big"),
        )

    @classmethod
    def of(cls, chain_id: int, vault: bytes, decision: Decision, signature: bytes) -> Ballot:
        """Make one member's."""
        return cls(
            chain_id=chain_id,
            vault=vault,
            epoch=decision.epoch,
            nonce=decision.nonce,
            valid_until_s=decision.valid_until_s,
            kind=decision.kind,
            subject=decision.subject,
            value=decision.value.to_bytes(32, "big"),
            signature=signature,
        )


def name_decision(decision: Decision, *, network_id: bytes, chain_id: int, vault: bytes) -> bytes:
    """Compute the name of a decision: its digest with epoch 0, the same in every epoch."""
    timeless = replace(decision, epoch=0)
    return compute_decision_digest(timeless, network_id=network_id, chain_id=chain_id, vault=vault)


@dataclass(slots=True, kw_only=True)
class Proposal:
    """One decision in one epoch, and who has signed it."""

    name: bytes  # in every epoch
    digest: bytes  # that is signed in this one
    chain_id: int
    vault: bytes
    decision: Decision
    committee: Committee
    signatures: dict[int, bytes] = field(default_factory=dict)  # by seat

    @property
    def signers(self) -> list[bytes]:
        """Addresses of those who have signed."""
        return [self.committee.address(seat) for seat in self.signatures]

    @property
    def weight(self) -> int:
        """Weight of those who have signed."""
        return self.committee.weight(self.signatures)

    @property
    def is_carried(self) -> bool:
        """Whether the vault would take it."""
        return self.weight >= self.committee.quorum


def as_on_chain(signature: bytes) -> bytes:
    """With 27 or 28 at the end: the vault refuses 0 and 1, which are as good here."""
    return signature[:64] + bytes([27 + signature[64] % 27])
