"""Flood the others with votes that are signed and useless, and questions about everything.

Rule: views far ahead, blocks nobody has, epochs that do not exist; nothing of it may be believed,
kept without bound or answered without end.
Spec: docs/spec/consensus.md §12. Deviations: none.
"""

from __future__ import annotations

from consensus.messages import GetBlock, GetCertificates, GetRange, GetStatus
from consensus.vote import Kind, Vote, compute_vote_digest

VOTES_PER_ACT = 20


class Spammer:
    """Sends a burst of votes and questions in each act."""

    def __init__(self, world) -> None:
        self.world = world

    def hear(self, source, message) -> bool:
        """Let everything pass."""
        return True

    def act(self, source) -> None:
        """Send one burst to one node."""
        world, rng = self.world, self.world.rng
        target = rng.choice(world.honest)
        newest = max(world.epochs)
        seat = world.epochs[newest].committee.index_of(source.address)
        for number in range(VOTES_PER_ACT if seat is not None else 0):
            epoch = newest + rng.choice([0, 0, 1, 2])
            view = rng.choice([1, 50, 1_000, 1 << 40]) + number
            block_hash = rng.randbytes(32)
            digest = compute_vote_digest(
                world.parameters.domain, Kind.NOTARIZE, epoch, view, block_hash, ()
            )
            signature = world.keys[source.index].sign(digest)
            vote = Vote(Kind.NOTARIZE, epoch, view, block_hash, (), seat, signature)
            world.stats.spam += 1
            world.monitor.on_send(source, vote)
            world.deliver(source, target, vote)
        for question in (
            GetBlock(rng.randbytes(32), 0),
            GetCertificates(newest, rng.randrange(1, 99)),
            GetRange(1),
            GetStatus(rng.randrange(99)),
        ):
            world.deliver(source, target, question)
