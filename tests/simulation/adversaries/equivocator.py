"""Lead with two blocks in one view, each shown to another half of the honest members.

Rule: both blocks are right in everything and have the best parent known, so that only the second
signature is wrong.
Spec: docs/spec/consensus.md §11. Deviations: none.
"""

from __future__ import annotations

from consensus.messages import Propose
from consensus.vote import Kind
from tests.simulation.evil import Evil

VIEWS_AHEAD = 3


class Equivocator:
    """Signs two blocks in every view that a Byzantine member leads."""

    def __init__(self, world) -> None:
        self.world = world
        self.evil = Evil(world)
        self.done: set[tuple[int, int]] = set()

    def hear(self, source, message) -> bool:
        """Let everything pass."""
        return True

    def act(self, source) -> None:
        """Show both halves their own block in the views to come."""
        if not self.evil.aim():
            return
        core = self.evil.core
        for view in range(core.view, core.view + VIEWS_AHEAD):
            place = (core.config.epoch, view)
            if place not in self.done and self.evil.leads(source.index, view):
                self.done.add(place)
                self.show_two(source, view)

    def show_two(self, source, view: int) -> None:
        """Send one block to every second honest member and another one to the rest."""
        world, evil = self.world, self.evil
        parent = evil.best_parent(view)
        halves = (world.honest[::2], world.honest[1::2])
        for half in halves:
            block = evil.build(source.index, view, parent, spoil_share=0)
            vote = evil.sign(source.index, Kind.NOTARIZE, view, block.hash)
            message = Propose(block.body, (), vote.signature)
            world.monitor.on_send(source, message)
            world.stats.equivocations += 1
            for target in half:
                world.deliver(source, target, message)
