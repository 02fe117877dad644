"""Let validators join and leave at the borders of a simulated network, one of each at most.

Rule: a pure function of the seed and the border; the weight of whoever is Byzantine or loses its
journal stays tolerated throughout.
Spec: docs/spec/consensus.md (How it is proven). Deviations: scores play no part here; they have
tests of their own.
"""

from __future__ import annotations

import random

from consensus.committee import Committee, Member
from consensus.participation.selection import compute_move_limit


class Rotation:
    """Who sits in which epoch."""

    def __init__(self, scenario, keys) -> None:
        self.scenario = scenario
        self.keys = keys
        self.weights = (*scenario.weights, *scenario.spare_weights)
        self.seats = [list(range(len(scenario.weights)))]
        self.committees: dict[int, Committee] = {}

    def committee(self, number: int) -> Committee:
        """Return the committee of an epoch, the first being 1."""
        while len(self.seats) < number:
            self.seats.append(self.rotate(self.seats[-1], len(self.seats)))
        if number not in self.committees:
            self.committees[number] = self.seat(self.seats[number - 1])
        return self.committees[number]

    def seat(self, identities: list[int]) -> Committee:
        return Committee(
            tuple(
                Member(address=self.keys[one].address, weight=self.weights[one])
                for one in identities
            )
        )

    def rotate(self, before: list[int], number: int) -> list[int]:
        """Try a few exchanges; take the first within the limit and the tolerated weight."""
        rng = random.Random(f"rotation {self.scenario.seed} {number}")
        outside = [one for one in range(len(self.weights)) if one not in before]
        for _ in range(8):
            after = list(before)
            if outside and rng.random() < 0.8:
                after += rng.sample(outside, rng.randint(1, len(outside)))
            if len(after) > 4 and rng.random() < 0.8:
                after.remove(rng.choice(before))
            rng.shuffle(after)
            if after != before and self.is_allowed(before, after):
                return after
        return before

    def is_allowed(self, before: list[int], after: list[int]) -> bool:
        weights = {one: self.weights[one] for one in before}
        gone = sum(self.weights[one] for one in before if one not in after)
        new = sum(self.weights[one] for one in after if one not in before)
        faulty = self.scenario.byzantine | {self.scenario.journal_loss}
        weight = sum(self.weights[one] for one in after if one in faulty)
        is_slow = max(gone, new) <= compute_move_limit(weights)
        return is_slow and weight <= self.seat(after).tolerated


class Successor:
    """One node's answers about epochs, from its own state and store."""

    def __init__(self, node) -> None:
        self.node = node

    def next_committee(self, border: int) -> Committee | None:
        executed, _ = self.node.ledger.executed()
        world = self.node.world
        if executed < border - world.scenario.epoch_heights:
            return None
        return world.rotation.committee(1 + border // world.scenario.epoch_heights)

    def hash_at(self, height: int) -> bytes | None:
        if height == 0:
            return self.node.world.genesis.anchor.hash
        store = self.node.disk.store
        return store[height - 1].block.hash if height <= len(store) else None
