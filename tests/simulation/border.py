"""Take the power from one node just behind a border, before its block store kept the border.

Then the node comes back in the old epoch while its journal already speaks of the next one, and
for a while it hears nobody, so that it gives up views in it; soon after the power fails once more,
since what was said in between stands in a section of its own.

Rule: nothing that was synced is lost, so the node has no reason to fall silent.
Spec: docs/spec/consensus.md (Epochs). Deviations: none.
"""

from __future__ import annotations

AFTER_MS = 1_500  # within this time after the epoch began
DEAF_MS = 2_500  # from the start that follows on; the leader's timer ends a view meanwhile
AGAIN_MS = 5_000  # within this time after that start
CRASHES_MAX = 6  # of one node, so that a run goes on


class BorderCrash:
    """The misfortunes of one node at borders."""

    def __init__(self, node) -> None:
        self.node = node
        self.crashes = 0
        self.is_due = False  # the store keeps what comes in memory until the power fails
        self.is_second_due = False
        self.deaf_until_ms = 0

    def on_final(self, height: int) -> None:
        """Decide at a border whether the store will lose it."""
        world = self.node.world
        scenario = world.scenario
        if not scenario.border_crash or world.is_stable or not self.node.is_honest:
            return
        is_border = height % scenario.epoch_heights == 0
        if is_border and not self.is_due and self.crashes < CRASHES_MAX:
            self.is_due = world.rng.random() < scenario.border_crash

    def on_begin(self) -> None:
        """Let the power fail soon after the next epoch began."""
        if self.is_due:
            self._plan(AFTER_MS)

    def on_start(self) -> None:
        """Let it fail once more, wherever the node is by then."""
        if self.is_second_due:
            self.is_second_due = False
            self.deaf_until_ms = self.node.world.now + DEAF_MS
            self._plan(AGAIN_MS)

    def on_crash(self) -> None:
        """Whatever took the power, what was kept in memory is gone."""
        self.is_second_due |= self.is_due
        self.is_due = False

    def _plan(self, within_ms: int) -> None:
        world = self.node.world
        world.after(world.rng.randrange(within_ms), self._fail, (self.node.life,))

    def _fail(self, life: int) -> None:
        node = self.node
        if node.is_up and node.life == life and not node.world.is_stable:
            self.crashes += 1
            node.world.stats.border_crashes += 1
            node.crash(loses_store=True)
