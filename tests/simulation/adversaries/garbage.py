"""Lead with blocks that break a rule, and send blocks and ranges that nobody asked for.

Rule: every block carries a true signature of its leader, so it is judged by its content.
Spec: docs/spec/consensus.md §3. Deviations: none.
"""

from __future__ import annotations

from consensus.messages import Blocks, Propose, Range
from consensus.vote import Kind
from tests.simulation.evil import Evil

VIEWS_AHEAD = 3


class Garbage:
    """Proposes what must never be notarized."""

    def __init__(self, world) -> None:
        self.world = world
        self.evil = Evil(world)

    def hear(self, source, message) -> bool:
        """Let everything pass."""
        return True

    def act(self, source) -> None:
        """Send a spoiled block in each view that I lead soon, and unasked answers."""
        if not self.evil.aim():
            return
        core, world = self.evil.core, self.world
        for view in range(core.view, core.view + VIEWS_AHEAD):
            if self.evil.leads(source.index, view):
                block = self.evil.build(
                    source.index, view, self.evil.choose_parent(view), spoil_share=1
                )
                vote = self.evil.sign(source.index, Kind.NOTARIZE, view, block.hash)
                self.evil.scatter(source.index, Propose(block.body, (), vote.signature), 1)
                self.evil.scatter(source.index, Blocks((block.body,)), 0.5)
                if core.tip_certificate is not None:
                    answer = Range((block.body,), core.tip_certificate)
                    self.evil.scatter(source.index, answer, 0.5)
                world.stats.garbage += 1
