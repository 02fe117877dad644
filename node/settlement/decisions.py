"""Gather signatures of the committee's hot keys for decisions about a vault.

Rule: a node signs only what its own operator has approved, and signs it again in every epoch that
the vault comes to until it is carried out, expires or is withdrawn. A signature counts when its
signer sits in the committee of its epoch. Everything is kept and repeated, so nodes may come and
go, and all of them may restart.
Spec: docs/spec/settlement.md §7; docs/how-to/decide.md. Deviations: none.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

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
from node.settlement.ballots import Ballot, Proposal, as_on_chain, name_decision
from primitives import codec
from primitives.errors import InvalidMessage, NodeError, PeerError
from primitives.secp256k1 import PrivateKey, recover_address

log = logging.getLogger("omnibazaar.settlement")
T = TypeVar("T")
DAY_S = 86_400


@dataclass(slots=True, kw_only=True)
class Place:
    """A vault, and the client with which its state is read."""

    chain: Chain
    client: SettlementClient
    limiter: trio.CapacityLimiter
    epoch: int = 0  # of the committee that it follows, as last read

    async def read_terms(self) -> tuple[int, int, int]:
        """Ask for epoch, next nonce and EVM time in seconds. Raises NodeError."""
        epoch, nonce, now_s = await self.call(self.client.decision_terms)
        self.epoch = epoch
        return epoch, nonce, now_s

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
        self.proposals: dict[bytes, Proposal] = {}  # by digest
        self._told: deque[bytes] = deque(maxlen=DECISIONS_MAX)  # names that the log has
        self.approvals: dict[bytes, Ballot] = {}  # the operator's, by name: as last signed

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
        epoch, nonce, now_s = await place.read_terms()
        decision = Decision(
            epoch=epoch,
            nonce=nonce,
            valid_until_s=now_s + days * DAY_S,
            kind=kind,
            subject=subject,
            value=value,
        )
        return self._give(chain_id, vault, decision)

    async def approve(self, name: bytes) -> Proposal:
        """Sign what somebody else has proposed. Raises InvalidMessage, TransientError."""
        proposal = self.find(name)
        if proposal is None:
            raise InvalidMessage("this node knows no such decision; it may have expired")
        place = self.places[(proposal.chain_id, proposal.vault)]
        epoch, nonce, now_s = await place.read_terms()
        terms = proposal.decision
        if terms.nonce < nonce or terms.valid_until_s < now_s:
            raise InvalidMessage("the decision has expired, or another was carried out before it")
        return self._give(proposal.chain_id, proposal.vault, replace(terms, epoch=epoch))

    def withdraw(self, name: bytes) -> bool:
        """Approve a decision no more; what was signed stands until the vault's next epoch. Returns
        whether it was approved.
        """
        self._box.drop_approval(name)
        return self.approvals.pop(name, None) is not None

    def find(self, name: bytes) -> Proposal | None:
        """Return a decision in the epoch of its vault, or where most have signed it."""
        found = [one for one in self.proposals.values() if one.name == name]
        return max(found, key=self._rank, default=None)

    def waiting(self) -> set[bytes]:
        """Return the names of decisions that this node could sign and its operator has not
        approved.
        """
        return {
            one.name
            for one in self.proposals.values()
            if one.name not in self.approvals
            and one.committee.index_of(self._key.address) is not None
        }

    def _rank(self, one: Proposal) -> tuple[bool, int, int]:
        place = self.places.get((one.chain_id, one.vault))
        is_current = place is not None and place.epoch == one.decision.epoch
        return is_current, one.weight, one.decision.epoch

    def _give(self, chain_id: int, vault: bytes, decision: Decision) -> Proposal:
        """Sign now, and again in every epoch to come."""
        ballot = self._sign(chain_id, vault, decision)
        proposal = self._count(ballot)
        self.approvals[proposal.name] = ballot
        self._box.put_approval(proposal.name, codec.encode(ballot))
        self._broadcast(codec.encode(ballot))
        log.info("signed the decision 0x%s about chain %d", proposal.name.hex(), chain_id)
        return proposal

    def _sign(self, chain_id: int, vault: bytes, decision: Decision) -> Ballot:
        digest = self._digest(chain_id, vault, decision)
        return Ballot.of(chain_id, vault, decision, self._key.sign(digest))

    # What others have signed

    def on_frame(self, _sender: bytes, body: bytes) -> None:
        """Take a ballot. Raises PeerError for one that nobody could have sent by mistake."""
        ballot = codec.decode(body, Ballot, max_bytes=DECISION_FRAME_BYTES_MAX)
        place = self.places.get((ballot.chain_id, ballot.vault))
        if place is None or ballot.epoch < place.epoch:
            return
        if self._is_open(ballot.valid_until_s):
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
                name=self._name(ballot),
                digest=digest,
                chain_id=ballot.chain_id,
                vault=ballot.vault,
                decision=decision,
                committee=committee,
            )
        seat = proposal.committee.index_of(signer)
        if seat is None:
            raise InvalidMessage("the signer has no seat in the committee that decides")
        if digest not in self.proposals:
            self._make_room(signer, proposal.name)
            if proposal.name not in self._told and signer != self._key.address:
                self._told.append(proposal.name)
                log.info("0x%s asks to decide 0x%s", signer.hex(), proposal.name.hex())
            self.proposals[digest] = proposal
        if seat not in proposal.signatures:  # others that the key makes say nothing new
            signature = as_on_chain(ballot.signature)
            proposal.signatures[seat] = signature
            kept = msgspec.structs.replace(ballot, signature=signature)
            self._box.put(digest, seat, codec.encode(kept))
        return proposal

    def _make_room(self, signer: bytes, name: bytes) -> None:
        """Few signers must not fill the table for the others: when it is full, a decision that only
        those have signed who have signed more than the newcomer gives way, never one of our own.
        """
        known = {(who, one.name) for one in self.proposals.values() for who in one.signers}
        signed = Counter(who for who, _ in known)
        if (signer, name) not in known and signed[signer] >= DECISIONS_PER_SIGNER_MAX:
            raise InvalidMessage("this signer has too many open decisions")
        if len(self.proposals) < DECISIONS_MAX:
            return
        crowds = {
            one.digest: min(signed[who] for who in one.signers)
            for one in self.proposals.values()
            if self._key.address not in one.signers
        }
        victim = max(crowds, key=lambda one: (crowds[one], one), default=None)
        if victim is None or crowds[victim] <= signed[signer]:
            raise InvalidMessage("too many decisions are open")
        self._drop(victim)

    def _drop(self, digest: bytes) -> None:
        del self.proposals[digest]
        self._box.forget(digest)

    def _is_open(self, valid_until_s: int) -> bool:
        now_s = self._clock.now_ms() // 1_000
        return now_s <= valid_until_s <= now_s + (DECISION_DAYS_MAX + 1) * DAY_S

    def _digest(self, chain_id: int, vault: bytes, decision: Decision) -> bytes:
        return compute_decision_digest(
            decision, network_id=self._network_id, chain_id=chain_id, vault=vault
        )

    def _name(self, ballot: Ballot) -> bytes:
        return name_decision(
            ballot.decision,
            network_id=self._network_id,
            chain_id=ballot.chain_id,
            vault=ballot.vault,
        )

    # What was kept

    def recall(self) -> None:
        """Count what was kept, as if it had just been heard; what cannot be true is dropped."""
        self._recall_approvals()
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

    def _recall_approvals(self) -> None:
        """Believe of the approvals on disk those that this node's own key has signed."""
        for frame in self._box.approvals():
            with suppress(PeerError):
                ballot = codec.decode(frame, Ballot, max_bytes=DECISION_FRAME_BYTES_MAX)
                digest = self._digest(ballot.chain_id, ballot.vault, ballot.decision)
                if recover_address(digest, ballot.signature) == self._key.address:
                    self.approvals.setdefault(self._name(ballot), ballot)

    # Time

    async def run(self) -> None:
        """Repeat signatures, sign again in a new epoch, forget what is over; until cancelled."""
        while True:
            self.recall()
            await trio.sleep(DECISION_REPEAT_S)
            for where, place in list(self.places.items()):
                try:
                    epoch, nonce, now_s = await place.read_terms()
                except NodeError as error:
                    log.debug("decisions of chain %d: %s", place.chain.chain_id, error)
                    continue
                self._forget(where, epoch, nonce, now_s)
                self._renew(where, epoch)
            self._repeat()

    def _forget(self, where: tuple[int, bytes], epoch: int, nonce: int, now_s: int) -> None:
        def is_over(terms: Decision) -> bool:
            return terms.nonce < nonce or terms.valid_until_s < now_s

        for one in list(self.proposals.values()):
            if (one.chain_id, one.vault) != where:
                continue
            if is_over(one.decision) or self._is_outlived(one, epoch):
                self._drop(one.digest)
        for name, approval in list(self.approvals.items()):
            if (approval.chain_id, approval.vault) == where and is_over(approval.decision):
                self.withdraw(name)

    def _is_outlived(self, one: Proposal, epoch: int) -> bool:
        """Whether signatures are of an epoch that is over. Right after a border they are kept until
        somebody has signed again, so that operators still find the decision and can approve it;
        what this operator has approved is kept for longer, so that it can be withdrawn.
        """
        if one.decision.epoch + 1 < epoch and one.name not in self.approvals:
            return True
        found = self.find(one.name)
        return one.decision.epoch < epoch and found is not one

    def _renew(self, where: tuple[int, bytes], epoch: int) -> None:
        """Sign in this epoch what was approved in an earlier one."""
        for approval in list(self.approvals.values()):
            if (approval.chain_id, approval.vault) != where or approval.epoch == epoch:
                continue
            try:
                self._give(*where, replace(approval.decision, epoch=epoch))
            except InvalidMessage as error:  # no seat in this epoch; perhaps in a later one
                log.debug("a decision cannot be signed in epoch %d: %s", epoch, error)

    def _repeat(self) -> None:
        for one in self.proposals.values():
            if one.decision.epoch < self.places[one.chain_id, one.vault].epoch:
                continue  # nobody takes them any more
            for signature in one.signatures.values():
                ballot = Ballot.of(one.chain_id, one.vault, one.decision, signature)
                self._broadcast(codec.encode(ballot))
