"""Facts about how scores meet the ledger: facts from real blocks, digest, pay, snapshots."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.block import Block, make_block
from consensus.certificate import assemble_certificate
from consensus.header import ZERO_HASH, Header
from consensus.participation.accumulator import Participation
from consensus.participation.parameters import TRADING
from consensus.seed import compute_next_seed
from consensus.vote import Kind, Vote
from exchange.actions import Heartbeat, RegistryEvent, VerifiedAction, encode_amount, verify
from exchange.outcome import Notes, WindowClosed
from node.network_file import NetworkFile, Scoring, Seat
from node.replica.ledger import Ledger
from node.replica.scorekeeper import (
    Scorekeeper,
    make_facts,
    make_members,
    make_participation,
    make_scorekeeper,
)
from primitives.address import to_checksum
from primitives.errors import InvalidMessage
from tests.exchange.world import DOMAIN, START_MS, World, make_genesis
from tests.node.test_network_file import make as make_network


def network(world: World) -> NetworkFile:
    """A network whose committee is that of the exchange's test world."""
    seats = tuple(
        Seat(name=f"v{index}", address=to_checksum(hot), payout=to_checksum(payout), weight=weight)
        for index, (hot, weight, payout) in enumerate(world.committee)
    )
    scoring = Scoring(period_blocks=30, lead_blocks=5)
    return replace_struct(make_network(), committee=seats, exchange=make_genesis(), scoring=scoring)


def replace_struct(file: NetworkFile, **changes: object) -> NetworkFile:
    fields = {name: getattr(file, name) for name in file.__struct_fields__}
    return NetworkFile(**(fields | changes))


def block(
    height: int, *, voters: tuple[int, ...] = (0, 1, 2, 3), view: int = 0, epoch: int = 1
) -> Block:
    """A final block; every view before it was skipped that `view` leaves room for."""
    votes = tuple(
        Vote(Kind.NOTARIZE, 1, height - 1, bytes(32), (), index, bytes(65)) for index in voters
    )
    attendance = assemble_certificate(votes) if height > 1 and voters else None
    header = Header(
        epoch=epoch,
        view=view or height,
        height=height,
        parent_view=height - 1,
        parent_hash=ZERO_HASH,
        time_ms=START_MS + height * 1_000,
        bundles_root=ZERO_HASH,
        executed_height=max(0, height - 2),
        state_root=ZERO_HASH,
        fees_root=ZERO_HASH,
        attendance_root=ZERO_HASH,
        evidence_root=ZERO_HASH,
        committee_hash=ZERO_HASH,
        next_committee_hash=ZERO_HASH,
        checkpoint_digest=ZERO_HASH,
        proposer=height % 4,
    )
    return make_block(header, (), attendance, ())


def make_ledger(world: World) -> Ledger:
    file = network(world)
    return Ledger(world.genesis, world.committee, make_scorekeeper(file))


def run(ledger: Ledger, until: int, actions: tuple[VerifiedAction, ...] = ()) -> None:
    while ledger.height < until:
        ledger.execute(block(ledger.height + 1), actions)


def test_facts_are_read_from_header_certificate_and_notes():
    event = RegistryEvent(
        number=0,
        change=2,
        owner=b"\1" * 20,
        hot_key=b"\2" * 20,
        payout=b"\3" * 20,
        network_key=bytes(32),
        services=7,
        stake=encode_amount(10**21),
        exiting=False,
    )
    closed = WindowClosed(31337, b"\4" * 20, 3, (b"\5" * 20,))
    notes = Notes((event,), (closed,), (b"\6" * 20,))
    trading = (b"\5" * 20, b"\7" * 20)
    facts = make_facts(block(9, voters=(0, 2, 3), view=11), notes, (5, 6, 7), trading)
    assert facts.attendance == (0, 2, 3)
    assert facts.missed == (5, 6)
    assert facts.registry[0].stake == 10**21
    assert [(one.part, one.credit) for one in facts.services] == [(TRADING, 1_000), (TRADING, 0)]
    assert facts.heartbeats == (b"\6" * 20,)


def test_scores_enter_every_state_root():
    world = World()
    with_scores, without = make_ledger(world), Ledger(world.genesis, world.committee)
    run(with_scores, 3)
    run(without, 3)
    assert with_scores.roots.state != without.roots.state
    assert with_scores.state.participation == with_scores.scorekeeper.digest  # type: ignore[union-attr]


def test_who_votes_less_is_paid_less():
    world = World()
    ledger = make_ledger(world)
    while ledger.height < 330:
        voters = (0, 1, 2) if ledger.height // 4 % 2 else (0, 1, 2, 3)
        ledger.execute(block(ledger.height + 1, voters=voters), ())
    keeper = ledger.scorekeeper
    assert keeper is not None
    parts = [row[1] for row in keeper.pay]
    assert min(parts[:3]) > parts[3] > 0
    assert [row[2] for row in keeper.pay] == [member[2] for member in world.committee]


def test_a_restored_ledger_goes_on_with_the_same_roots():
    world = World()
    ledger = make_ledger(world)
    interval = world.genesis.checkpoint_interval
    key = world.validators[0]
    run(ledger, interval - 1)
    run(ledger, interval, (verify(world.act(key, Heartbeat()), DOMAIN),))
    assert ledger.state.notes.heartbeats == (key.address,)
    chunks = ledger.snapshot()
    copy = make_ledger(world)
    copy.restore(chunks)
    assert copy.snapshot() == chunks
    run(ledger, interval + 40)
    run(copy, interval + 40)
    assert copy.roots == ledger.roots


def test_a_snapshot_with_other_scores_is_refused():
    world = World()
    ledger = make_ledger(world)
    run(ledger, world.genesis.checkpoint_interval)
    chunks = list(ledger.snapshot())
    chunks[-1] = chunks[-1][:-1] + bytes([chunks[-1][-1] ^ 1])
    fresh = make_ledger(world)
    before = fresh.roots
    with pytest.raises(InvalidMessage):
        fresh.restore(chunks)
    assert fresh.roots == before
    assert fresh.height == 0


def test_a_validator_is_found_by_hot_key_and_by_owner():
    world = World()
    keeper = make_ledger(world).scorekeeper
    assert keeper is not None
    hot, _, payout = world.committee[1]
    found = keeper.find(hot)
    assert found is not None
    assert found is keeper.find(payout), "the owner is the payout address unless the file says so"
    assert keeper.find(bytes(20)) is None


def test_the_next_committee_is_known_from_the_selection_to_the_border():
    world = World()
    file = network(world)
    state = Participation(
        replace(make_participation(file).rules, is_fixed=False), make_members(file)
    )
    seed = state.seed
    ledger = Ledger(world.genesis, world.committee, Scorekeeper(state))
    keeper = ledger.scorekeeper
    assert keeper is not None
    run(ledger, 24)
    assert keeper.next_committee is None
    assert keeper.committee_after(30) is None
    run(ledger, 25)
    chosen = keeper.next_committee
    assert chosen is not None
    assert chosen == keeper.committee_after(30)
    assert keeper.committee_after(60) is None
    assert {member.address for member in chosen.members} == {row[0] for row in world.committee}
    run(ledger, 30)
    assert keeper.next_committee is None
    assert [row[:2] for row in keeper.committee] == [(m.address, m.weight) for m in chosen.members]
    assert keeper.committee_after(30) == chosen
    while ledger.height < 40:
        ledger.execute(block(ledger.height + 1, epoch=2), ())
    assert keeper.committee_after(30) == chosen
    assert state.seed == compute_next_seed(seed, ZERO_HASH), "a short epoch is seeded by its anchor"
    assert state.seed_hash == block(30).hash
