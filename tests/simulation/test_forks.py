"""Facts about networks with too many Byzantine members: they can fork, but not unpunished.

Rule: in every fork the signed votes convict members of at least a third of the weight, never an
honest one.
Spec: docs/spec/consensus.md §11. Deviations: none.
"""

from __future__ import annotations

from dataclasses import replace

from consensus.block import open_block
from consensus.evidence import is_conflict
from consensus.messages import Propose
from consensus.vote import Kind, Vote
from tests.simulation.scenario import draw_scenario
from tests.simulation.world import World

SHAPES = (  # weights, Byzantine members, honest members cut off from the other honest ones
    ((1, 1, 1, 1), frozenset({2, 3}), {1}),
    ((2, 3, 2, 2, 3, 1), frozenset({1, 4}), {2, 3}),
    ((1, 1, 1, 1, 1, 1, 1), frozenset({0, 1, 2}), {3, 4}),
)
RUNS = 18
BROKEN_LEAST = 12


class Listener:
    """Write down every vote that anybody ever sent."""

    def __init__(self, world: World) -> None:
        self.votes: dict[tuple[int, int], list[Vote]] = {}
        self.original = world.monitor.on_send
        world.monitor.on_send = self.on_send

    def on_send(self, node, message) -> None:
        if isinstance(message, Propose):
            header = open_block(message.block).header
            block_hash = open_block(message.block).hash
            vote = Vote(
                Kind.NOTARIZE, 1, header.view, block_hash, (), node.index, message.signature
            )
            self.note(vote)
        elif isinstance(message, Vote):
            self.note(message)
        self.original(node, message)

    def note(self, vote: Vote) -> None:
        votes = self.votes.setdefault((vote.signer, vote.view), [])
        if vote not in votes:
            votes.append(vote)

    def convicted(self) -> set[int]:
        return {
            signer
            for (signer, _), votes in self.votes.items()
            if any(is_conflict(one, other) for one in votes for other in votes)
        }


def run(seed: int) -> tuple[World, Listener]:
    """Run a network whose two halves each see one twin of every Byzantine member."""
    weights, byzantine, cut_off = SHAPES[seed % len(SHAPES)]
    scenario = replace(
        draw_scenario(4 * seed),  # twins that run honest code
        stable_ms=14_000,
        weights=weights,
        byzantine=byzantine,
        loss=0,
        tail=0,
        delay_ms=30,
        crash_per_effect=0,
        crash_per_tick=0,
        journal_loss=None,
        has_real_keys=False,
        habit=None,
        calm_delay_ms=0,
        epoch_heights=0,
        spare_weights=(),
    )
    world = World(scenario)
    sides = {
        (index, twin): twin if index in byzantine else int(index in cut_off)
        for index, twin in world.nodes
    }
    world.sides = sides
    world.adversary.split = lambda: None
    listener = Listener(world)
    world.run()
    return world, listener


def is_broken(world: World) -> bool:
    return bool(world.failures) and "no progress" not in world.failures[0]


def test_broken_safety_convicts_a_third_and_no_honest_member():
    broken = 0
    for seed in range(RUNS):
        world, listener = run(seed)
        convicted = listener.convicted()
        assert convicted <= world.scenario.byzantine
        if is_broken(world):
            broken += 1
            assert 3 * world.committee.weight(convicted) >= world.committee.total
    assert broken >= BROKEN_LEAST, f"only {broken} of {RUNS} networks broke"
