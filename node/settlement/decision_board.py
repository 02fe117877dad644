"""Answer the API about decisions, from the running node.

Rule: pure mapping.
Spec: docs/reference/api.md (Decisions). Deviations: none.
"""

from __future__ import annotations

from node.api.decision_views import DecisionSeat, DecisionView, Signature
from node.settlement.ballots import Proposal
from node.settlement.decisions import DecisionDesk
from primitives.errors import InvalidMessage


class DecisionBoard:
    """`node.api.service.DecisionService` over a desk."""

    def __init__(self, desk: DecisionDesk) -> None:
        self._desk = desk

    def all(self) -> tuple[DecisionView, ...]:
        """Return what is open, by chain and nonce."""
        names = {one.name for one in self._desk.proposals.values()}
        found = [one for one in map(self._desk.find, names) if one is not None]
        order = sorted(found, key=lambda one: (one.chain_id, one.decision.nonce, one.name))
        return tuple(self._view(one) for one in order)

    async def propose(
        self, chain_id: int, vault: bytes, kind: int, subject: bytes, value: int, days: int
    ) -> DecisionView:
        """Sign a new decision. Raises InvalidMessage, TransientError."""
        return self._view(await self._desk.propose(chain_id, vault, kind, subject, value, days))

    async def approve(self, name: bytes) -> DecisionView:
        """Sign another's. Raises InvalidMessage, TransientError."""
        return self._view(await self._desk.approve(name))

    def withdraw(self, name: bytes) -> DecisionView:
        """Sign it no more in the epochs to come. Raises InvalidMessage."""
        proposal = self._desk.find(name)
        if proposal is None or not self._desk.withdraw(name):
            raise InvalidMessage("this node has not signed such a decision")
        return self._view(proposal)

    def _view(self, one: Proposal) -> DecisionView:
        return _show(one, is_approved=one.name in self._desk.approvals)


def _show(one: Proposal, *, is_approved: bool) -> DecisionView:
    members, terms = one.committee.members, one.decision
    return DecisionView(
        id=one.name,
        approved_here=is_approved,
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
