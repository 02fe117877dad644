"""Answer the API about decisions, from the running node.

Rule: pure mapping.
Spec: docs/reference/api.md (Decisions). Deviations: none.
"""

from __future__ import annotations

from node.api.decision_views import DecisionSeat, DecisionView, Signature
from node.settlement.decisions import DecisionDesk, Proposal


class DecisionBoard:
    """`node.api.service.DecisionService` over a desk."""

    def __init__(self, desk: DecisionDesk) -> None:
        self._desk = desk

    def all(self) -> tuple[DecisionView, ...]:
        """Return what is open, by chain and nonce."""
        found = self._desk.proposals.values()
        order = sorted(found, key=lambda one: (one.chain_id, one.decision.nonce, one.id))
        return tuple(_view(one) for one in order)

    async def propose(
        self, chain_id: int, vault: bytes, kind: int, subject: bytes, value: int, days: int
    ) -> DecisionView:
        """Sign a new decision. Raises InvalidMessage, TransientError."""
        return _view(await self._desk.propose(chain_id, vault, kind, subject, value, days))

    def approve(self, proposal_id: bytes) -> DecisionView:
        """Sign another's. Raises InvalidMessage."""
        return _view(self._desk.approve(proposal_id))


def _view(one: Proposal) -> DecisionView:
    members, terms = one.committee.members, one.decision
    return DecisionView(
        id=one.id,
        chain_id=one.chain_id,
        vault=one.vault,
        kind=terms.kind,
        subject=terms.subject,
        value=terms.value,
        epoch=terms.epoch,
        nonce=terms.nonce,
        valid_until_s=terms.valid_until_s,
        weight=one.weight,
        quorum=one.committee.quorum,
        signatures=tuple(
            Signature(seat=seat, address=members[seat].address, signature=signature)
            for seat, signature in sorted(one.signatures.items())
        ),
        members=tuple(DecisionSeat(address=m.address, weight=m.weight) for m in members),
    )
