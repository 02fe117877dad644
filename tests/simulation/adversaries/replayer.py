"""Say again, to anybody, what was true in an earlier view or epoch.

Rule: certificates and the votes in them, whole and in the name of this epoch's members.
Spec: docs/spec/consensus.md (Epochs). Deviations: none.
"""

from __future__ import annotations

from consensus.certificate import Certificate
from consensus.vote import Vote

KEPT = 64
PER_ACT = 4


class Replayer:
    """Keeps what the network said and sends it again at a bad time."""

    def __init__(self, world) -> None:
        self.world = world
        self.kept: list[Certificate | Vote] = []

    def hear(self, source, message) -> bool:
        """Note a message on its way; let it pass."""
        if isinstance(message, Certificate | Vote):
            rng = self.world.rng
            if len(self.kept) < KEPT:
                self.kept.append(message)
            elif rng.random() < 0.05:
                self.kept[rng.randrange(KEPT)] = message
        return True

    def act(self, source) -> None:
        """Send old certificates to random nodes, and my own old votes."""
        rng = self.world.rng
        for _ in range(PER_ACT):
            if not self.kept:
                return
            message = rng.choice(self.kept)
            if isinstance(message, Vote):
                owner = self.world.identity(message.epoch, message.signer)
                if owner != source.index:
                    continue
            self.world.stats.replays += 1
            self.world.deliver(source, rng.choice(list(self.world.nodes.values())), message)
