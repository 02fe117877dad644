"""The committee sets the height from which other rules hold; every replica changes there."""

from __future__ import annotations

import pytest

from exchange import protocol as rules
from exchange.actions import SetProtocol, SignedAction, verify
from exchange.limits import PROTOCOL_NOTICE_HEIGHTS
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.roots import compute_roots
from exchange.snapshot import snapshot
from node.problems import Problems
from node.replica.ledger import Ledger
from node.replica.upgrades import ProgramTooOld, note_upgrade
from tests.exchange.world import DOMAIN, World, make_genesis
from tests.node.test_scorekeeper import block

NOTICE = PROTOCOL_NOTICE_HEIGHTS


def say(world: World, who: int, version: int, height: int, number: int = 0) -> SignedAction:
    return world.act(world.validators[who], SetProtocol(number, version, height))


def vote(world: World, version: int, height: int, *who: int, number: int = 0) -> list[int]:
    outcome = world.block(*(say(world, i, version, height, number) for i in who))
    return [receipt.statuses[0] for receipt in outcome.receipts]


def test_more_than_two_thirds_decide_and_the_version_changes_at_the_height():
    world = World()
    height = NOTICE + 5
    assert vote(world, 2, height, 0, 1) == [Reason.COUNTED] * 2
    assert vote(world, 2, height, 2, 3) == [Reason.OK, Reason.NOT_THIS_ROUND]
    protocol = world.state.protocol
    assert (protocol.next_version, protocol.next_height, protocol.round) == (2, height, 1)
    while world.state.height < height - 1:
        world.block()
        assert protocol.version == 1
    world.block()
    assert (protocol.version, protocol.next_version, protocol.round) == (2, 0, 2)


def test_a_quorum_calls_off_what_was_decided():
    world = World()
    vote(world, 2, NOTICE + 9, 0, 1, 2)
    assert vote(world, 1, 0, 0, 1, number=1) == [Reason.COUNTED] * 2
    assert vote(world, 1, 0, 3, number=1) == [Reason.OK]
    assert world.state.protocol.version_at(1 << 40) == 1
    assert vote(world, 1, 0, 3, number=2) == [Reason.NO_CHANGE]


@pytest.mark.parametrize(
    ("version", "height", "number", "reason"),
    [
        (3, 1_000, 0, Reason.BAD_PROTOCOL),
        (2, NOTICE, 0, Reason.BAD_PROTOCOL),
        (2, 0, 0, Reason.BAD_PROTOCOL),
        (1, 1_000, 0, Reason.BAD_PROTOCOL),
        (2, 1_000, 1, Reason.NOT_THIS_ROUND),
        (2, NOTICE + 1, 0, Reason.COUNTED),
    ],
)
def test_only_the_next_version_far_enough_ahead(version, height, number, reason):
    assert vote(World(), version, height, 0, number=number) == [reason]


def test_a_newer_word_replaces_the_older_one_and_strangers_have_none():
    world = World()
    vote(world, 2, 500, 0, 1)
    vote(world, 2, 600, 1)
    assert vote(world, 2, 500, 2) == [Reason.COUNTED]
    stranger = world.act("stranger", SetProtocol(0, 2, 500))
    assert world.block(stranger).receipts[0].statuses == [Reason.NOT_VALIDATOR]
    assert vote(world, 2, 500, 1) == [Reason.OK]


def test_a_snapshot_carries_decision_and_words():
    world = World(make_genesis(checkpoint_interval=4))
    vote(world, 2, NOTICE + 20, 0, 1, 2)
    vote(world, 1, 0, 3, number=1)
    while world.state.height % 4:
        world.block()
    again = restore(world.genesis, snapshot(world.state))
    assert compute_roots(again) == compute_roots(world.state)
    assert snapshot(again) == snapshot(world.state)
    assert again.protocol.votes == world.state.protocol.votes != {}
    assert again.protocol.next_height == NOTICE + 20


def test_a_program_that_is_too_old_stops_before_the_height(monkeypatch: pytest.MonkeyPatch):
    world = World()
    ledger = Ledger(world.genesis, world.committee)
    height = NOTICE + 3
    actions = tuple(verify(say(world, who, 2, height), DOMAIN) for who in range(3))
    ledger.execute(block(1), actions)
    problems = Problems()
    note_upgrade(problems, ledger.state.protocol)
    assert [one.code for one in problems.conditions()] == ["UPG002"]
    while ledger.height < height - 1:
        ledger.execute(block(ledger.height + 1), ())
    before = ledger.roots
    with pytest.raises(ProgramTooOld, match=f"from height {height} on") as stopped:
        ledger.execute(block(height), ())
    assert stopped.value.exit_code == 13
    assert (ledger.height, ledger.roots) == (height - 1, before), "nothing was executed"
    monkeypatch.setattr(rules, "NEWEST", 2)  # the newer program goes on from there
    ledger.execute(block(height), ())
    note_upgrade(problems, ledger.state.protocol)
    assert ledger.state.protocol.version == 2
    assert problems.conditions() == ()
