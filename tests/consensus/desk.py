"""Put one replica on a desk: the test is the clock, the disk and all other members.

Rule: everything the test sends is signed with the members' real (fast) keys, so nothing is let
through that a network would not let through.
Spec: docs/spec/consensus.md. Deviations: none.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from consensus.application import Roots, Verdict
from consensus.block import (
    Block,
    Tip,
    compute_attendance_root,
    compute_bundles_root,
    compute_evidence_root,
    make_block,
)
from consensus.certificate import Certificate, assemble_certificate
from consensus.committee import Committee, Member
from consensus.config import Config, Timing
from consensus.effects import Effect, Final, Journal, Protect, Send, SetTimer
from consensus.guard import Guard
from consensus.header import ZERO_HASH, Header
from consensus.messages import Propose
from consensus.replica import Replica
from consensus.timers import Timer
from consensus.vote import Kind, Vote, compute_vote_digest
from tests.simulation.keys import make_keys

START_MS = 1_000_000
TIMING = Timing(
    gap_ms=100, leader_ms=1_000, view_ms=1_500, retry_ms=1_500, standstill_ms=4_000, fetch_ms=200
)
GENESIS = Tip(view=0, height=0, hash=b"\x0a" * 32, time_ms=START_MS - 5_000, executed_height=0)
ROOTS = Roots(b"\x0b" * 32, b"\x0c" * 32)


class StillLedger:
    """An application that says what the test told it to say."""

    def __init__(self) -> None:
        self.roots = {0: ROOTS}
        self.held: set[bytes] | None = None  # None: every bundle
        self.bundles: tuple[bytes, ...] | None = ()
        self.verdict = Verdict.VALID
        self.pending: tuple[bytes, ...] = ()
        self.works = True
        self.required: tuple[bytes, ...] = ()
        self.digests: dict[int, bytes] = {}

    def executed(self) -> tuple[int, Roots]:
        height = max(self.roots)
        return height, self.roots[height]

    def roots_at(self, height: int) -> Roots | None:
        return self.roots.get(height)

    def checkpoint_digest(self, height: int) -> bytes | None:
        return self.digests.get(height)

    def holds_bundles(self, digests: tuple[bytes, ...]) -> bool:
        return self.held is None or set(digests) <= self.held

    def propose_bundles(self, ancestors, required, now):
        self.required = required
        return self.bundles

    def check_inclusion(self, block, ancestors, required) -> Verdict:
        self.required = required
        return self.verdict

    def pending_ids(self, now: int) -> tuple[bytes, ...]:
        return self.pending

    def has_work(self) -> bool:
        return self.works


class Desk:
    """One replica, `me`, of a committee whose other members are played by the test."""

    def __init__(
        self,
        me: int = 0,
        weights: tuple[int, ...] = (1, 1, 1, 1),
        *,
        guard: Guard | None = None,
        checkpoint_interval: int = 1_000,
    ) -> None:
        self.me = me
        self.keys, self.verifier = make_keys(0, len(weights), is_real=False)
        self.committee = Committee(
            tuple(
                Member(address=key.address, weight=weight)
                for key, weight in zip(self.keys, weights, strict=True)
            )
        )
        self.config = Config(
            domain=hashlib.sha256(b"desk").digest(),
            epoch=1,
            anchor=GENESIS,
            seed=b"\x0d" * 32,
            checkpoint_interval=checkpoint_interval,
            timing=TIMING,
        )
        self.ledger = StillLedger()
        self.guard = guard or Guard()
        self.now = START_MS
        self.effects: list[Effect] = []
        self.all_effects: list[Effect] = []
        self.replica = self.make_replica()

    def make_replica(self) -> Replica:
        return Replica(
            self.config,
            self.committee,
            self.me,
            self.keys[self.me],
            self.verifier,
            self.ledger,
            self.guard,
        )

    @property
    def core(self):
        return self.replica.core

    # -- what the replica experiences

    def keep(self, effects: tuple[Effect, ...]) -> list[Effect]:
        self.effects = list(effects)
        self.all_effects += effects
        return self.effects

    def start(self, records=(), final=None, *, silent: bool = False) -> list[Effect]:
        return self.keep(self.replica.start(self.now, records, final, silent=silent))

    def restart(self, final=None, *, silent: bool = False) -> list[Effect]:
        """Crash after the last effect and start from the journal and the guard's database."""
        records, protected = self.journal(), self.protected()
        self.guard = Guard(protected)
        self.replica = self.make_replica()
        return self.start(records, final, silent=silent)

    def receive(self, sender: int, message) -> list[Effect]:
        return self.keep(self.replica.on_message(self.now, sender, message))

    def fire(self, timer: Timer) -> list[Effect]:
        """Let time pass until a timer's deadline and fire it."""
        self.now = max(self.now, self.core.deadlines[timer])
        return self.keep(self.replica.on_timer(self.now, timer))

    def wake(self) -> list[Effect]:
        return self.keep(self.replica.on_application(self.now))

    # -- what the replica did

    def sent(self, kind: type | Kind | None = None, effects=None) -> list:
        """Return the messages of the last event, of one type or votes of one kind."""
        messages = [e.message for e in (effects or self.effects) if isinstance(e, Send)]
        if kind is None:
            return messages
        if isinstance(kind, Kind):
            return [m for m in messages if isinstance(m, Vote) and m.kind is kind]
        return [m for m in messages if isinstance(m, kind)]

    def finals(self) -> list[Final]:
        return [effect for effect in self.effects if isinstance(effect, Final)]

    def timers(self) -> dict[Timer, int]:
        return {e.timer: e.deadline_ms - self.now for e in self.effects if isinstance(e, SetTimer)}

    def journal(self) -> list[bytes]:
        return [effect.record for effect in self.all_effects if isinstance(effect, Journal)]

    def protected(self) -> list[bytes]:
        return [effect.record for effect in self.all_effects if isinstance(effect, Protect)]

    # -- what the others do

    def leader(self, view: int) -> int:
        return self.core.leader(view)

    def view_led_by(self, index: int, after: int = 0) -> int:
        return next(view for view in range(after + 1, after + 99) if self.leader(view) == index)

    def vote(
        self,
        signer: int,
        kind: Kind,
        view: int,
        block_hash: bytes = ZERO_HASH,
        pending: tuple[bytes, ...] = (),
        epoch: int = 1,
    ) -> Vote:
        digest = compute_vote_digest(self.config.domain, kind, epoch, view, block_hash, pending)
        signature = self.keys[signer].sign(digest)
        return Vote(kind, epoch, view, block_hash, pending, signer, signature)

    def certificate(
        self,
        kind: Kind,
        view: int,
        block_hash: bytes = ZERO_HASH,
        signers: tuple[int, ...] = (1, 2, 3),
        pending: tuple[bytes, ...] = (),
    ) -> Certificate:
        votes = [self.vote(signer, kind, view, block_hash, pending) for signer in signers]
        return assemble_certificate(votes)

    def notarization(self, block: Block, signers=(1, 2, 3), pending=()) -> Certificate:
        return self.certificate(Kind.NOTARIZE, block.view, block.hash, signers, pending)

    def finalization(self, block: Block, signers=(1, 2, 3)) -> Certificate:
        return self.certificate(Kind.FINALIZE, block.view, block.hash, signers)

    def nullification(self, view: int, signers=(1, 2, 3)) -> Certificate:
        return self.certificate(Kind.NULLIFY, view, signers=signers)

    def block(
        self,
        view: int,
        parent: Block | Tip = GENESIS,
        *,
        bundles: tuple[bytes, ...] = (),
        attendance: Certificate | None = None,
        evidence=(),
        **changes,
    ) -> Block:
        """Build the valid block of a view, with some header fields changed."""
        tip = parent if isinstance(parent, Tip) else None
        parent_view = tip.view if tip else parent.view
        if attendance is None and parent_view > 0 and not tip:
            attendance = self.notarization(parent)
        header = Header(
            epoch=1,
            view=view,
            height=parent.height + 1,
            parent_view=parent_view,
            parent_hash=parent.hash,
            time_ms=max(self.now, (tip or parent.header).time_ms + 1),
            bundles_root=compute_bundles_root(bundles),
            executed_height=0,
            state_root=ROOTS.state,
            fees_root=ROOTS.fees,
            attendance_root=compute_attendance_root(attendance),
            evidence_root=compute_evidence_root(tuple(evidence)),
            committee_hash=self.committee.hash,
            next_committee_hash=ZERO_HASH,
            checkpoint_digest=ZERO_HASH,
            proposer=self.leader(view),
        )
        return make_block(replace(header, **changes), bundles, attendance, tuple(evidence))

    def proposal(self, block: Block, signer: int | None = None) -> Propose:
        signer = self.leader(block.view) if signer is None else signer
        vote = self.vote(signer, Kind.NOTARIZE, block.view, block.hash)
        return Propose(block.body, (), vote.signature)

    def propose(self, block: Block) -> list[Effect]:
        return self.receive(self.leader(block.view), self.proposal(block))

    def notarize(self, block: Block) -> list[Effect]:
        """Let the replica see a block and its notarization."""
        self.propose(block)
        return self.receive(self.other(), self.notarization(block))

    def other(self) -> int:
        """Return a member that is not me."""
        return (self.me + 1) % len(self.committee)

    def skip_to(self, view: int) -> None:
        """Nullify all views before one."""
        for skipped in range(self.replica.view, view):
            self.receive(self.other(), self.nullification(skipped))
