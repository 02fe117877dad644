"""Lead without including anything: no bundle, no opening, whatever the others list as pending.

Rule: the block is right in everything but the inclusion duty.
Spec: docs/spec/consensus.md (Inclusion duty). Deviations: none.
"""

from __future__ import annotations


class Censor:
    """Makes the Byzantine members' own replicas propose empty blocks."""

    def __init__(self, world) -> None:
        self.world = world

    def hear(self, source, message) -> bool:
        """Let everything pass."""
        return True

    def act(self, source) -> None:
        """Have the member's ledger offer nothing, also after a restart."""
        if not source.ledger.is_censor:
            source.ledger.is_censor = True
            self.world.stats.censors += 1
