"""Facts about a hostile member: whatever it sends, nothing is raised and memory stays bounded."""

from __future__ import annotations

import random

import msgspec
import pytest

from consensus.block import tip_of
from consensus.certificate import BITMAP_BYTES, Certificate
from consensus.effects import Blame, Send
from consensus.evidence import Evidence
from consensus.limits import VIEWS_AHEAD
from consensus.messages import (
    Blocks,
    GetBlock,
    GetCertificates,
    GetRange,
    GetStatus,
    Message,
    Propose,
    Range,
    Status,
    decode_message,
    encode_message,
)
from consensus.timers import Timer
from consensus.vote import Kind, Vote
from primitives.errors import PeerError
from tests.consensus.desk import GENESIS, Desk

MESSAGES = 1_500
BIG = (1 << 63) - 1


class Hostile:
    """One member that knows every format and no shame; it signs with its own key only."""

    def __init__(self, desk: Desk, me: int, rng: random.Random) -> None:
        self.desk, self.me, self.rng = desk, me, rng
        self.blocks = [desk.block(view) for view in range(1, 4)]

    def number(self) -> int:
        near = self.desk.replica.view + self.rng.randint(-3, 70)
        return self.rng.choice([0, 1, max(0, near), max(0, near), max(0, near), BIG])

    def hash(self) -> bytes:
        known = [block.hash for block in self.blocks] + [GENESIS.hash, bytes(32)]
        return self.rng.choice([*known, self.rng.randbytes(32)])

    def vote(self) -> Vote:
        pending = tuple(self.rng.randbytes(32) for _ in range(self.rng.choice([0, 0, 2])))
        kind = self.rng.choice(list(Kind))
        signed = self.desk.vote(
            self.me, kind, self.number(), self.hash(), pending, self.rng.choice([1, 1, 1, 2])
        )
        return msgspec.structs.replace(signed, signer=self.rng.choice([self.me, self.me, 0, 127]))

    def certificate(self) -> Certificate:
        votes = [self.vote() for _ in range(self.rng.randint(0, 4))]
        first = self.vote()
        return Certificate(
            first.kind,
            first.epoch,
            first.view,
            first.block_hash,
            self.rng.choice([7, 15, 1 << 127, 0, 14]).to_bytes(BITMAP_BYTES, "big"),
            tuple(vote.signature for vote in votes),
            tuple(vote.pending for vote in votes) if self.rng.random() < 0.3 else (),
        )

    def block(self):
        rng = self.rng
        changes = rng.choice(
            [
                {},
                {"parent_view": self.number()},
                {"height": self.number()},
                {"executed_height": self.number()},
                {"time_ms": self.number()},
                {"parent_hash": self.hash()},
                {"state_root": self.hash()},
                {"epoch": 2},
            ]
        )
        view = max(1, self.number())
        attendance = self.certificate() if rng.random() < 0.5 else None
        evidence = (Evidence(self.vote(), self.vote()),) if rng.random() < 0.2 else ()
        parent = rng.choice([GENESIS, *map(tip_of, self.blocks)])
        block = self.desk.block(
            view,
            parent,
            attendance=attendance,
            evidence=evidence,
            **{"proposer": self.me, **changes},
        )
        self.blocks = [*self.blocks[-20:], block]
        return block

    def message(self) -> Message:
        rng = self.rng
        block = self.block()
        vote = self.desk.vote(self.me, Kind.NOTARIZE, max(1, block.view), block.hash)
        return rng.choice(
            [
                lambda: Propose(block.body, (), vote.signature),
                lambda: Propose(block.body, (self.hash(),), vote.signature),
                self.vote,
                self.vote,
                self.certificate,
                lambda: GetCertificates(1, self.number()),
                lambda: GetBlock(self.hash(), self.number()),
                lambda: Blocks((block.body, self.block().body)),
                lambda: GetRange(self.number()),
                lambda: Range((block.body, self.block().body), self.certificate()),
                lambda: GetStatus(self.number()),
                lambda: Status(*(self.number() for _ in range(6))),
                lambda: Evidence(self.vote(), self.vote()),
            ]
        )()


@pytest.mark.parametrize("seed", range(6))
def test_a_hostile_member_cannot_crash_or_fill_a_replica(seed: int):
    rng = random.Random(seed)
    desk = Desk()
    desk.me = next(index for index in range(4) if index != desk.leader(1))
    desk.replica = desk.make_replica()
    desk.start()
    hostile = Hostile(desk, desk.leader(1), rng)
    blamed = sent = 0
    for _ in range(MESSAGES):
        desk.now += rng.randint(0, 40)
        message = hostile.message()
        try:
            message = decode_message(encode_message(message))
        except PeerError:
            continue
        effects = desk.receive(hostile.me, message)
        blamed += sum(isinstance(effect, Blame) for effect in effects)
        sent += sum(isinstance(effect, Send) for effect in effects)
        for timer, deadline_ms in list(desk.core.deadlines.items()):
            if deadline_ms <= desk.now and timer is not Timer.STANDSTILL:
                desk.keep(desk.replica.on_timer(desk.now, timer))
    core = desk.core
    assert blamed > MESSAGES // 10
    assert sent < 4 * MESSAGES
    assert core.tip.height == 0, "one member of four decides nothing"
    assert core.view == 1
    assert len(core.views) <= VIEWS_AHEAD + 2
    assert len(core.tree) <= VIEWS_AHEAD
    assert set(core.offences) <= {hostile.me}
