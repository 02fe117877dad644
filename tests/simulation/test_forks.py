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
BROKEN_LATE_LEAST = 10


class Listener:
    """Write down every vote that anybody ever sent."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.votes: dict[tuple[int, int, int], list[Vote]] = {}
        self.original = world.monitor.on_send
        world.monitor.on_send = self.on_send

    def on_send(self, node, message) -> None:
        if isinstance(message, Propose):
            header = open_block(message.block).header
            block_hash = open_block(message.block).hash
            place = (header.epoch, header.view)
            vote = Vote(Kind.NOTARIZE, *place, block_hash, (), header.proposer, message.signature)
            self.note(vote)
        elif isinstance(message, Vote):
            self.note(message)
        self.original(node, message)

    def note(self, vote: Vote) -> None:
        votes = self.votes.setdefault((vote.epoch, vote.view, vote.signer), [])
        if vote not in votes:
            votes.append(vote)

    def convicted(self) -> dict[int, set[int]]:
        """Return by epoch the validators that their votes in it convict."""
        found: dict[int, set[int]] = {}
        for (epoch, _, signer), votes in self.votes.items():
            if any(is_conflict(one, other) for one in votes for other in votes):
                identity = self.world.identity(epoch, signer)
                if identity is not None:
                    found.setdefault(epoch, set()).add(identity)
        return found


def run(seed: int, *, epoch_heights: int = 0) -> tuple[World, Listener]:
    """Run a network whose two halves each see one twin of every Byzantine member.

    With epochs the halves part only after the first border.
    """
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
        epoch_heights=epoch_heights,
        spare_weights=(),
        stall_share=0,
        border_crash=0,
    )
    world = World(scenario)
    sides = {
        (index, twin): twin if index in byzantine else int(index in cut_off)
        for index, twin in world.nodes
    }
    world.adversary.split = lambda: None
    if epoch_heights:
        begin = world.begin

        def part(node, epoch) -> None:
            begin(node, epoch)
            if len(world.epochs) > 1:
                world.sides = sides

        world.begin = part
    else:
        world.sides = sides
    listener = Listener(world)
    world.run()
    return world, listener


def is_broken(world: World) -> bool:
    return bool(world.failures) and "no progress" not in world.failures[0]


def verify_blame(world: World, listener: Listener) -> bool:
    """True when safety broke; whoever is convicted is guilty, and in a fork weighs a third."""
    convicted = listener.convicted()
    assert set().union(*convicted.values()) <= world.scenario.byzantine
    if not is_broken(world):
        return False
    newest = max(convicted)
    weights = world.scenario.weights
    guilty = sum(weights[identity] for identity in convicted[newest])
    assert 3 * guilty >= world.epochs[newest].committee.total
    return True


def test_broken_safety_convicts_a_third_and_no_honest_member():
    broken = sum(verify_blame(*run(seed)) for seed in range(RUNS))
    assert broken >= BROKEN_LEAST, f"only {broken} of {RUNS} networks broke"


def test_twins_on_both_sides_of_a_later_epoch_are_convicted_in_it():
    broken = 0
    for seed in range(RUNS):
        world, listener = run(seed, epoch_heights=4)
        broken += verify_blame(world, listener) and max(listener.convicted()) > 1
    assert broken >= BROKEN_LATE_LEAST, f"only {broken} of {RUNS} networks broke after a border"
