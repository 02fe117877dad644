"""Facts about the border between two epochs: who names it, who proves it, what comes after.

Rule: blocks and votes are those of `desk.Desk` and of whole small networks in virtual time.
Spec: docs/spec/consensus.md (Epochs). Deviations: none.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.addressed import BeginEpoch, Deliver
from consensus.block import tip_of
from consensus.committee import Committee, Member
from consensus.early import EarlyMessages
from consensus.epoch import (
    Epoch,
    compute_next_epoch,
    decode_epoch,
    encode_epoch,
    find_seed_height,
)
from consensus.guard import Guard
from consensus.limits import EARLY_GUESTS_MAX, EARLY_PER_PEER_MAX, OBSERVER
from consensus.messages import GetStatus, Range, Status
from consensus.replica import Replica
from consensus.seed import compute_next_seed
from consensus.timers import Timer
from consensus.vote import ZERO_HASH, Kind, Vote
from primitives.errors import StateDiverged, WouldEquivocate
from tests.consensus.desk import GENESIS, Desk
from tests.simulation.scenario import draw_scenario
from tests.simulation.world import World

NEXT = Committee(tuple(Member(address=bytes([n]) * 20, weight=n) for n in (1, 2, 3, 4)))


class StillSuccession:
    """Answers about the next epoch that the test gave."""

    def __init__(self) -> None:
        self.committee: Committee | None = NEXT
        self.hash: bytes | None = b"\x0e" * 32

    def next_committee(self, border: int) -> Committee | None:
        return self.committee

    def hash_at(self, height: int) -> bytes | None:
        return self.hash


class BorderDesk(Desk):
    """A desk whose epoch ends with height 1."""

    def __init__(self, me: int | None = 0, border: int = 1, **options) -> None:
        self.succession = StillSuccession()
        self.border = border
        self.seat = me
        super().__init__(0, **options)

    def make_replica(self) -> Replica:
        self.config = replace(self.config, border=self.border)
        return Replica(
            self.config,
            self.committee,
            self.seat,
            self.keys[0],
            self.verifier,
            self.ledger,
            self.guard,
            self.succession,
        )

    def boundary(self, view: int, **changes):
        return self.block(view, **{"next_committee_hash": NEXT.hash, **changes})

    def seal(self, view: int, parent, **changes):
        return self.block(
            view, parent, **{"height": self.border, "next_committee_hash": NEXT.hash, **changes}
        )


def started(**options) -> BorderDesk:
    desk = BorderDesk(**options)
    desk.start()
    return desk


def told(desk: BorderDesk) -> list[tuple]:
    """Return the final blocks of the last event with their proofs."""
    return [(f.block.hash, f.certificate, [s.hash for s in f.seals]) for f in desk.finals()]


def votes_on(desk: BorderDesk, block) -> list[Vote]:
    desk.propose(block)
    return desk.sent(Kind.NOTARIZE)


def test_the_boundary_block_names_the_next_committee():
    desk = started()
    desk.skip_to(desk.view_led_by(1))
    assert votes_on(desk, desk.boundary(desk.replica.view))


@pytest.mark.parametrize("named", [ZERO_HASH, b"\x07" * 32])
def test_a_boundary_block_with_another_committee_is_given_up(named: bytes):
    desk = started()
    desk.skip_to(desk.view_led_by(1))
    assert not votes_on(desk, desk.boundary(desk.replica.view, next_committee_hash=named))
    assert desk.sent(Kind.NULLIFY)


def test_a_block_before_the_border_names_no_committee():
    desk = started(border=5)
    desk.skip_to(desk.view_led_by(1))
    assert not votes_on(desk, desk.boundary(desk.replica.view))
    assert desk.sent(Kind.NULLIFY)


def test_a_voter_waits_until_it_knows_the_next_committee():
    desk = started()
    desk.succession.committee = None
    desk.skip_to(desk.view_led_by(1))
    assert not votes_on(desk, desk.boundary(desk.replica.view))
    assert not desk.sent(Kind.NULLIFY)
    desk.succession.committee = NEXT
    desk.wake()
    assert desk.sent(Kind.NOTARIZE)


def test_a_leader_waits_until_it_knows_the_next_committee():
    desk = started()
    desk.succession.committee = None
    desk.skip_to(desk.view_led_by(0))
    desk.now += 10_000
    desk.wake()
    assert not desk.sent(Kind.NOTARIZE)
    desk.succession.committee = NEXT
    desk.wake()
    proposal = next(message for message in desk.sent() if hasattr(message, "block"))
    assert proposal.block.header[13 * 32 : 14 * 32] == NEXT.hash


def test_on_the_boundary_block_only_empty_seals_are_built():
    desk = started()
    first = desk.view_led_by(1)
    desk.skip_to(first)
    boundary = desk.boundary(first)
    desk.notarize(boundary)
    view = desk.view_led_by(1, first)
    desk.skip_to(view)
    assert votes_on(desk, desk.seal(view, boundary))


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 2},
        {"bundles": (b"\x01" * 32,)},
        {"next_committee_hash": ZERO_HASH},
        {"next_committee_hash": b"\x07" * 32},
        {"checkpoint_digest": b"\x01" * 32},
    ],
)
def test_a_block_after_the_border_that_is_no_seal_is_given_up(changes):
    desk = started()
    first = desk.view_led_by(1)
    desk.skip_to(first)
    boundary = desk.boundary(first)
    desk.notarize(boundary)
    view = desk.view_led_by(1, first)
    desk.skip_to(view)
    assert not votes_on(desk, desk.seal(view, boundary, **changes))
    assert desk.sent(Kind.NULLIFY)


def test_the_finalization_of_a_seal_proves_the_boundary_block():
    desk = started()
    first = desk.view_led_by(1)
    desk.skip_to(first)
    boundary = desk.boundary(first)
    desk.notarize(boundary)
    view = desk.view_led_by(1, first)
    desk.skip_to(view)
    seal = desk.seal(view, boundary)
    desk.notarize(seal)
    proof = desk.finalization(seal)
    desk.receive(1, proof)
    assert told(desk) == [(boundary.hash, proof, [seal.hash])]
    assert desk.replica.is_closed
    assert desk.replica.tip.height == 1


def test_a_closed_epoch_casts_no_vote_and_still_answers():
    desk = started()
    first = desk.view_led_by(1)
    desk.skip_to(first)
    boundary = desk.boundary(first)
    desk.notarize(boundary)
    desk.receive(1, desk.finalization(boundary))
    assert desk.replica.is_closed
    for timer in (Timer.LEADER, Timer.VIEW):
        assert not desk.fire(timer)
    desk.receive(2, GetStatus(7))
    assert desk.sent(Status)[0].final_height == 1


def test_a_range_may_end_with_the_seals_of_the_border():
    desk = started()
    boundary = desk.boundary(3)
    seal = desk.seal(5, boundary)
    desk.receive(1, Status(0, 2, 9, 9, 9, 0))
    desk.receive(1, Range((boundary.body, seal.body), desk.finalization(seal)))
    assert told(desk) == [(boundary.hash, desk.finalization(seal), [seal.hash])]


def test_an_observer_follows_and_never_votes():
    desk = started(me=None)
    assert desk.core.me == OBSERVER
    desk.skip_to(4)
    block = desk.boundary(4)
    desk.propose(block)
    desk.fire(Timer.VIEW)
    desk.receive(1, Status(0, 1, 5, 4, 1, 0))
    desk.receive(1, Range((block.body,), desk.finalization(block)))
    assert told(desk) == [(block.hash, desk.finalization(block), [])]
    said = [e.message for e in desk.all_effects if hasattr(e, "message")]
    assert not [message for message in said if isinstance(message, Vote)]


def test_the_next_epoch_follows_from_final_blocks_alone():
    desk = BorderDesk()
    boundary = desk.boundary(1)
    epoch = Epoch(number=1, committee=desk.committee, seed=b"\x0d" * 32, anchor=GENESIS)
    following = compute_next_epoch(epoch, boundary, desk.succession)
    assert following is not None
    assert following.number == 2
    assert following.committee == NEXT
    assert following.anchor == replace(tip_of(boundary), view=0)
    assert following.seed == compute_next_seed(epoch.seed, desk.succession.hash)
    assert decode_epoch(encode_epoch(following)) == following


def test_an_unknown_committee_or_seed_is_waited_for_and_a_false_one_stops_the_node():
    desk = BorderDesk()
    boundary = desk.boundary(1)
    epoch = Epoch(number=1, committee=desk.committee, seed=b"\x0d" * 32, anchor=GENESIS)
    desk.succession.hash = None
    assert compute_next_epoch(epoch, boundary, desk.succession) is None
    desk.succession.hash, desk.succession.committee = b"\x01" * 32, desk.committee
    with pytest.raises(StateDiverged):
        compute_next_epoch(epoch, boundary, desk.succession)


def test_the_seed_comes_from_well_before_the_border():
    assert find_seed_height(0, 3_600) == 3_536
    assert find_seed_height(3_600, 3_610) == 3_600


def test_peers_without_a_seat_cannot_take_the_room_of_members_for_early_messages():
    early = EarlyMessages()
    for number in range(1_000):
        early.keep(b"guest %d" % number, Status(0, 2, 1, 0, 0, 0), is_member=False)
    for _ in range(9):
        early.keep(b"member", Status(0, 2, 1, 0, 0, 0), is_member=True)
    senders = [sender for sender, _ in early.take()]
    assert len(senders) == EARLY_GUESTS_MAX + EARLY_PER_PEER_MAX
    assert senders.count(b"member") == EARLY_PER_PEER_MAX
    early.keep(b"guest 999", Status(0, 3, 1, 0, 0, 0), is_member=False)
    assert len(early.take()) == 1, "the next border has room again"


def test_a_floor_of_a_later_epoch_closes_every_view_of_the_older():
    guard = Guard()
    guard.raise_floor(2, 0)
    with pytest.raises(WouldEquivocate):
        guard.admit(1, 999, Kind.NULLIFY, b"\x01" * 32)
    assert guard.admit(2, 1, Kind.NULLIFY, b"\x01" * 32)


def peaceful(seed: int, epoch_heights: int) -> World:
    """Return a network without faults whose epochs are short."""
    scenario = replace(
        draw_scenario(seed),
        weights=(1, 1, 1, 1, 1),
        spare_weights=(1, 1),
        byzantine=frozenset(),
        epoch_heights=epoch_heights,
        calm_delay_ms=0,
        stable_ms=1_000,
        crash_per_effect=0,
        crash_per_tick=0,
        journal_loss=None,
        loss=0,
        tail=0,
        has_partitions=False,
        border_crash=0,
    )
    world = World(scenario)
    for node in world.nodes.values():
        original = node.perform

        def perform(effects, original=original, node=node):
            seen[node.index].extend(effects)
            original(effects)

        node.perform = perform
    seen = world.seen = {node.index: [] for node in world.nodes.values()}
    world.run()
    return world


def test_members_join_and_leave_and_whoever_has_no_seat_follows():
    world = peaceful(3, 2)
    assert not world.failures
    assert len(world.epochs) >= 3
    assert world.stats.joins >= 1
    assert world.stats.leaves >= 1
    outside = [n for n in world.nodes.values() if n.address not in addresses(world, 1)]
    assert len(outside) == 2
    for node in world.nodes.values():
        assert node.replica.tip.height >= world.goal
        begun = [e for e in world.seen[node.index] if isinstance(e, BeginEpoch)]
        assert [e.epoch.number for e in begun] == list(range(2, 2 + len(begun)))
        for effect in world.seen[node.index]:
            if isinstance(effect, Deliver) and isinstance(effect.message, Vote):
                assert node.address in addresses(world, effect.message.epoch)


def addresses(world: World, number: int) -> set[bytes]:
    return {member.address for member in world.epochs[number].committee.members}
