"""Gather signatures of the committee's hot keys for decisions about a vault.

Rule: a node signs only what its own operator asked it to; a signature counts when its signer sits
in the committee that the vault follows. Everything is kept and repeated until it is decided or has
expired, so nodes may come and go, and all of them may restart.
Spec: docs/spec/settlement.md §7; docs/how-to/decide.md. Deviations: none.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

import msgspec
import trio

from consensus.committee import Committee
from contracts.decisions import Decision, compute_decision_digest
from contracts.settlement_client import SettlementClient
from node.clock import NodeClock
from node.limits import (
    DECISION_DAYS_MAX,
    DECISION_FRAME_BYTES_MAX,
    DECISION_REPEAT_S,
    DECISIONS_MAX,
    DECISIONS_PER_SIGNER_MAX,
)
from node.network_file import Chain
from node.settlement.ballot_box import BallotBox
from primitives import codec
from primitives.errors import InvalidMessage, NodeError, PeerError
from primitives.secp256k1 import PrivateKey, recover_address

log = logging.getLogger("omnibazaar.settlement")
T = TypeVar("T")
DAY_S = 86_400
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


@dataclass(slots=True, kw_only=True)
class Proposal:
    """One decision and who has signed it."""

    id: bytes  # the digest that is signed
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


@dataclass(slots=True, kw_only=True)
class Place:
    """A vault, and the client with which its state is read."""

    chain: Chain
    client: SettlementClient
    limiter: trio.CapacityLimiter

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Ask the chain in a thread."""
        return await trio.to_thread.run_sync(
            function, *arguments, limiter=self.limiter, abandon_on_cancel=True
        )


class DecisionDesk:
    """All open decisions as this node knows them. Single-threaded."""

    def __init__(
        self,
        *,
        network_id: bytes,
        key: PrivateKey,
        clock: NodeClock,
        committee_of: Callable[[int], Committee | None],
        broadcast: Callable[[bytes], None],
        box: BallotBox,
    ) -> None:
        """`committee_of` returns the committee of an epoch, `broadcast` sends to all validators.

        What `box` has from before counts as soon as its vault and its committee are known.
        """
        self._network_id = network_id
        self._key = key
        self._clock = clock
        self._committee_of = committee_of
        self._broadcast = broadcast
        self._box = box
        self._kept = box.frames()  # from before the restart, not counted yet
        self.places: dict[tuple[int, bytes], Place] = {}  # by chain and vault
        self.proposals: dict[bytes, Proposal] = {}

    # What the operator wants

    async def propose(
        self, chain_id: int, vault: bytes, kind: int, subject: bytes, value: int, days: int
    ) -> Proposal:
        """Sign a new decision and tell the others. Raises InvalidMessage, TransientError."""
        place = self.places.get((chain_id, vault))
        if place is None:
            raise InvalidMessage(f"this network has no vault 0x{vault.hex()} on chain {chain_id}")
        if not 1 <= days <= DECISION_DAYS_MAX:
            raise InvalidMessage(f"a decision is open for 1 to {DECISION_DAYS_MAX} days")
        epoch, nonce, now_s = await place.call(place.client.decision_terms)
        decision = Decision(
            epoch=epoch,
            nonce=nonce,
            valid_until_s=now_s + days * DAY_S,
            kind=kind,
            subject=subject,
            value=value,
        )
        return self._sign(chain_id, vault, decision)

    def approve(self, proposal_id: bytes) -> Proposal:
        """Sign what somebody else has proposed. Raises InvalidMessage."""
        proposal = self.proposals.get(proposal_id)
        if proposal is None:
            raise InvalidMessage("this node knows no such decision; it may have expired")
        return self._sign(proposal.chain_id, proposal.vault, proposal.decision)

    def _sign(self, chain_id: int, vault: bytes, decision: Decision) -> Proposal:
        ballot = Ballot(
            chain_id=chain_id,
            vault=vault,
            epoch=decision.epoch,
            nonce=decision.nonce,
            valid_until_s=decision.valid_until_s,
            kind=decision.kind,
            subject=decision.subject,
            value=decision.value.to_bytes(32, "big"),
            signature=self._key.sign(self._digest(chain_id, vault, decision)),
        )
        proposal = self._count(ballot)
        self._broadcast(codec.encode(ballot))
        log.info("signed the decision 0x%s about chain %d", proposal.id.hex(), chain_id)
        return proposal

    # What others have signed

    def on_frame(self, _sender: bytes, body: bytes) -> None:
        """Take a ballot. Raises PeerError for one that nobody could have sent by mistake."""
        ballot = codec.decode(body, Ballot, max_bytes=DECISION_FRAME_BYTES_MAX)
        is_known = (ballot.chain_id, ballot.vault) in self.places
        if is_known and self._is_open(ballot.valid_until_s):
            self._count(ballot)

    def _count(self, ballot: Ballot) -> Proposal:
        decision = ballot.decision
        digest = self._digest(ballot.chain_id, ballot.vault, decision)
        signer = recover_address(digest, ballot.signature)
        proposal = self.proposals.get(digest)
        if proposal is None:
            committee = self._committee_of(decision.epoch)
            if committee is None:
                raise InvalidMessage(f"epoch {decision.epoch} is not known here")
            proposal = Proposal(
                id=digest,
                chain_id=ballot.chain_id,
                vault=ballot.vault,
                decision=decision,
                committee=committee,
            )
        seat = proposal.committee.index_of(signer)
        if seat is None:
            raise InvalidMessage("the signer has no seat in the committee that decides")
        if digest not in self.proposals:
            self._make_room(signer)
            self.proposals[digest] = proposal
        if seat not in proposal.signatures:  # others that the key makes say nothing new
            signature = _as_on_chain(ballot.signature)
            proposal.signatures[seat] = signature
            kept = msgspec.structs.replace(ballot, signature=signature)
            self._box.put(digest, seat, codec.encode(kept))
        return proposal

    def _make_room(self, signer: bytes) -> None:
        """Few signers must not fill the table for the others: when it is full, a decision that only
        those have signed who have signed more than the newcomer gives way, never one of our own.
        """
        signed = Counter(who for one in self.proposals.values() for who in one.signers)
        if signed[signer] >= DECISIONS_PER_SIGNER_MAX:
            raise InvalidMessage("this signer has too many open decisions")
        if len(self.proposals) < DECISIONS_MAX:
            return
        crowds = {
            one.id: min(signed[who] for who in one.signers)
            for one in self.proposals.values()
            if self._key.address not in one.signers
        }
        victim = max(crowds, key=lambda one: (crowds[one], one), default=None)
        if victim is None or crowds[victim] <= signed[signer]:
            raise InvalidMessage("too many decisions are open")
        del self.proposals[victim]
        self._box.forget(victim)

    def _is_open(self, valid_until_s: int) -> bool:
        now_s = self._clock.now_ms() // 1_000
        return now_s <= valid_until_s <= now_s + (DECISION_DAYS_MAX + 1) * DAY_S

    def _digest(self, chain_id: int, vault: bytes, decision: Decision) -> bytes:
        return compute_decision_digest(
            decision, network_id=self._network_id, chain_id=chain_id, vault=vault
        )

    # What was kept

    def recall(self) -> None:
        """Count what was kept, as if it had just been heard; what cannot be true is dropped."""
        kept, self._kept = self._kept, []
        for frame in kept:
            try:
                ballot = codec.decode(frame, Ballot, max_bytes=DECISION_FRAME_BYTES_MAX)
                if not self._is_open(ballot.valid_until_s):
                    self._box.drop(frame)
                elif (ballot.chain_id, ballot.vault) not in self.places:
                    self._kept.append(frame)  # a vault that is followed later
                elif self._committee_of(ballot.epoch) is None:
                    self._kept.append(frame)  # this node has not caught up yet
                else:
                    self._count(ballot)
            except PeerError as error:
                log.warning("a kept ballot counts for nothing: %s", error)
                self._box.drop(frame)

    # Time

    async def run(self) -> None:
        """Repeat all signatures and forget what is over, until cancelled."""
        while True:
            self.recall()
            await trio.sleep(DECISION_REPEAT_S)
            for where, place in list(self.places.items()):
                try:
                    epoch, nonce, now_s = await place.call(place.client.decision_terms)
                except NodeError as error:
                    log.debug("decisions of chain %d: %s", place.chain.chain_id, error)
                    continue
                self._forget(where, epoch, nonce, now_s)
            self._repeat()

    def _forget(self, where: tuple[int, bytes], epoch: int, nonce: int, now_s: int) -> None:
        for one in list(self.proposals.values()):
            terms = one.decision
            is_over = terms.nonce < nonce or terms.epoch < epoch or terms.valid_until_s < now_s
            if (one.chain_id, one.vault) == where and is_over:
                del self.proposals[one.id]
                self._box.forget(one.id)

    def _repeat(self) -> None:
        for one in self.proposals.values():
            terms = one.decision
            for signature in one.signatures.values():
                ballot = Ballot(
                    chain_id=one.chain_id,
                    vault=one.vault,
                    epoch=terms.epoch,
                    nonce=terms.nonce,
                    valid_until_s=terms.valid_until_s,
                    kind=terms.kind,
                    subject=terms.subject,
                    value=terms.value.to_bytes(32, "big"),
                    signature=signature,
                )
                self._broadcast(codec.encode(ballot))


def _as_on_chain(signature: bytes) -> bytes:
    """With 27 or 28 at the end: the vault refuses 0 and 1, which are as good here."""
    return signature[:64] + bytes([27 + signature[64] % 27])
