"""Torment a network until it is left in peace: partitions, crashes, power cuts, evil members.

Rule: Byzantine members use only their own keys, but see everything.
Spec: docs/spec/consensus.md (How it is proven). Deviations: none.
"""

from __future__ import annotations

from tests.simulation.evil import Evil

TICK_MS = 1_000
SUBMIT_MS = 1_000


class Adversary:
    """The misfortunes of one network."""

    def __init__(self, world) -> None:
        self.world = world
        self.evil = Evil(world)
        self.submitted = 0

    def tick(self) -> None:
        world, rng = self.world, self.world.rng
        if not world.is_stable:
            self.split()
            if rng.random() < world.scenario.crash_per_tick:
                self.crash(rng.choice(world.honest))
        if world.scenario.is_evil:
            self.evil.act()
        if world.habit is not None:
            for index in sorted(world.scenario.byzantine):
                if world.nodes[index, 0].is_up:
                    world.habit.act(world.nodes[index, 0])
        world.after(200 + rng.randrange(TICK_MS), self.tick, ())

    def split(self) -> None:
        """Cut the network into sides, or heal it."""
        world, rng = self.world, self.world.rng
        if not world.scenario.has_partitions or rng.random() < 0.5:
            return
        world.cuts = self.draw_cuts() if rng.random() < 0.3 else frozenset()
        if rng.random() < 0.2:
            world.sides = None
            return
        count = rng.choice([2, 2, 3])
        world.sides = {key: rng.randrange(count) for key in world.nodes}
        world.stats.partitions += len(set(world.sides.values())) > 1

    def draw_cuts(self) -> frozenset:
        """Cut some links in one direction only."""
        keys = list(self.world.nodes)
        count = self.world.rng.randint(1, len(keys))
        return frozenset(
            (self.world.rng.choice(keys), self.world.rng.choice(keys)) for _ in range(count)
        )

    def crash(self, node) -> None:
        """Take the power from one node, or from all honest ones at once."""
        world, rng = self.world, self.world.rng
        everybody = rng.random() < world.scenario.power_cut_share
        for victim in world.honest if everybody else [node]:
            loses = victim.index == world.scenario.journal_loss and rng.random() < 0.5
            victim.crash(loses_journal=loses)

    def submit(self) -> None:
        """Let clients send actions that reach the nodes at different times."""
        world, rng = self.world, self.world.rng
        if world.scenario.work:
            self.submitted += 1
            digest = b"bundle %025d" % self.submitted
            world.bundles.add(digest)
            for node in world.nodes.values():
                if rng.random() < 0.8:
                    world.after(rng.randrange(400), node.receive_bundle, (digest,))
            wait_ms = int(rng.expovariate(world.scenario.work / SUBMIT_MS))
            world.after(wait_ms, self.submit, ())
