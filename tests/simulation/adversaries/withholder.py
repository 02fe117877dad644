"""Keep blocks and certificates from most of the network, and answer no question.

Rule: a proposal of mine reaches one other node at most; whoever asks me gets nothing.
Spec: docs/spec/consensus.md §10. Deviations: none.
"""

from __future__ import annotations

from consensus.certificate import Certificate
from consensus.messages import Blocks, Propose, Range


class Withholder:
    """Swallows what a Byzantine member should have sent."""

    def __init__(self, world) -> None:
        self.world = world

    def hear(self, source, message) -> bool:
        """Swallow answers and certificates, and most proposals."""
        if source.is_honest:
            return True
        is_kept = isinstance(message, Certificate | Blocks | Range)
        is_kept = is_kept or (isinstance(message, Propose) and self.world.rng.random() < 0.7)
        self.world.stats.withheld += is_kept
        return not is_kept

    def act(self, source) -> None:
        """Do nothing else."""
