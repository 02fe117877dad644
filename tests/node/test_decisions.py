"""Signatures for a decision are gathered from those who may decide, and from nobody else."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio

from consensus.committee import Committee, Member
from contracts.decisions import DecisionKind
from node.limits import BALLOTS_MAX
from node.settlement import decisions
from node.settlement.ballot_box import BallotBox
from node.settlement.ballots import Ballot
from node.settlement.decisions import DecisionDesk, Place
from primitives import codec
from primitives.errors import InvalidMessage, PeerError
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey
from tests.node.test_network_file import make

NETWORK = make()
CHAIN = NETWORK.chains[0]
PLACE = (CHAIN.chain_id, CHAIN.vault_bytes)
KEYS = [PrivateKey(keccak256(b"decider" + bytes([i]))) for i in range(4)]
STRANGER = PrivateKey(keccak256(b"stranger"))
COMMITTEE = Committee(tuple(Member(address=key.address, weight=1) for key in KEYS))
NOW_S = 1_000_000
NOBODY = bytes(20)


class Table:
    """Desks that hear each other."""

    def __init__(self, keys: list[PrivateKey] = KEYS, folder: Path | None = None) -> None:
        self.folder = folder
        self.frames: list[bytes] = []
        self.terms = (1, 5, NOW_S)
        self.committees = {1: COMMITTEE}
        self.desks = [self._make(key) for key in keys]

    def _make(self, key: PrivateKey) -> DecisionDesk:
        desk = DecisionDesk(
            network_id=NETWORK.network_id,
            key=key,
            clock=SimpleNamespace(now_ms=lambda: NOW_S * 1_000),  # type: ignore[arg-type]
            committee_of=self.committees.get,
            broadcast=self.frames.append,
            box=self.box(key),
        )
        client: Any = SimpleNamespace(decision_terms=lambda: self.terms)
        place = Place(chain=CHAIN, client=client, limiter=trio.CapacityLimiter(1))
        desk.places[PLACE] = place
        return desk

    def box(self, key: PrivateKey) -> BallotBox:
        if self.folder is None:
            return BallotBox(Path(":memory:"))
        return BallotBox(self.folder / f"{key.address.hex()}.sqlite")

    def restart(self) -> None:
        for desk in self.desks:
            desk._box.close()
        self.frames.clear()
        self.desks = [self._make(desk._key) for desk in self.desks]

    def deliver(self) -> None:
        frames, self.frames[:] = list(self.frames), []
        for desk in self.desks:
            for frame in frames:
                desk.on_frame(b"", frame)


async def propose(desk: DecisionDesk, kind: DecisionKind = DecisionKind.PAUSE, value: int = 1):
    return await desk.propose(*PLACE, kind, NOBODY, value, 7)


async def test_a_decision_is_carried_when_more_than_two_thirds_have_signed() -> None:
    table = Table()
    made = await propose(table.desks[0])
    assert (made.decision.epoch, made.decision.nonce) == (1, 5)
    table.deliver()
    for count, desk in enumerate(table.desks[1:3], start=2):
        assert not desk.proposals[made.digest].is_carried
        assert (await desk.approve(made.name)).weight == count
        table.deliver()
    for desk in table.desks:
        assert desk.proposals[made.digest].is_carried
        assert sorted(desk.proposals[made.digest].signatures) == [0, 1, 2]


async def test_operators_are_told_what_waits_for_their_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = Table()
    with caplog.at_level(logging.INFO):
        made = await propose(table.desks[0])
        table.deliver()
        cross(table, 2)
    assert caplog.text.count("asks to decide") == 3  # one line on each of the others
    assert [len(desk.waiting()) for desk in table.desks] == [0, 1, 1, 1]
    await table.desks[1].approve(made.name)
    assert not table.desks[1].waiting()
    cross(table, 3, Committee(COMMITTEE.members[:3]))
    assert [len(desk.waiting()) for desk in table.desks] == [0, 0, 1, 0]  # the last has no seat


async def test_nobody_signs_what_its_operator_has_not_approved() -> None:
    table = Table()
    made = await propose(table.desks[0])
    table.deliver()
    table.deliver()
    assert table.desks[1].proposals[made.digest].weight == 1


async def test_ballots_of_strangers_and_altered_ones_count_for_nothing() -> None:
    table = Table([*KEYS[:1], STRANGER])
    with pytest.raises(InvalidMessage, match="no seat"):
        await propose(table.desks[1])
    await propose(table.desks[0])
    ballot = codec.decode(table.frames[0], Ballot)
    desk = Table().desks[1]
    for change in ({"value": bytes(32)}, {"nonce": 9}, {"kind": 2}):
        altered = msgspec.structs.replace(ballot, **change)
        with pytest.raises(PeerError):
            desk.on_frame(b"", codec.encode(altered))
    with pytest.raises(PeerError):
        desk.on_frame(b"", codec.encode(msgspec.structs.replace(ballot, epoch=2)))
    with pytest.raises(PeerError):
        desk.on_frame(b"", b"\xff" * 600)
    late = msgspec.structs.replace(ballot, valid_until_s=NOW_S - 1)
    desk.on_frame(b"", codec.encode(late))
    foreign = msgspec.structs.replace(ballot, chain_id=77)
    desk.on_frame(b"", codec.encode(foreign))
    assert not desk.proposals


async def test_one_signer_cannot_fill_the_table() -> None:
    table = Table()
    for value in range(16):
        await propose(table.desks[0], DecisionKind.LIST, value)
    with pytest.raises(InvalidMessage, match="too many"):
        await propose(table.desks[0], DecisionKind.LIST, 16)
    await propose(table.desks[1], DecisionKind.LIST, 99)
    table.deliver()
    assert len(table.desks[2].proposals) == 17


async def test_few_signers_cannot_fill_the_table_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decisions, "DECISIONS_MAX", 8)
    monkeypatch.setattr(decisions, "DECISIONS_PER_SIGNER_MAX", 4)
    table = Table()
    for value in range(4):
        for crowd in (0, 1):
            await propose(table.desks[crowd], DecisionKind.LIST, 10 * crowd + value)
    crowded = list(table.frames)
    table.deliver()
    wanted = await propose(table.desks[2], DecisionKind.LIST, 99)
    table.deliver()
    for frame in crowded:  # what gave way comes again
        with suppress(InvalidMessage):
            table.desks[3].on_frame(b"", frame)
    assert all(wanted.digest in desk.proposals for desk in table.desks)
    assert all(len(desk.proposals) == 8 for desk in table.desks)
    assert (
        sum(table.desks[0]._key.address in p.signers for p in table.desks[0].proposals.values())
        == 4
    )


async def test_what_is_over_is_forgotten_and_what_is_open_is_repeated() -> None:
    table = Table()
    desk = table.desks[0]
    made = await propose(desk)
    table.frames.clear()
    desk._forget(PLACE, 1, 5, NOW_S)
    desk._repeat()
    assert len(table.frames) == 1
    late = Table().desks[3]  # it was away when the others signed
    late.on_frame(b"", table.frames[0])
    assert late.proposals[made.digest].weight == 1
    for terms in ((1, 6, NOW_S), (3, 5, NOW_S), (1, 5, NOW_S + 8 * 86_400)):
        later = Table().desks[3]
        later.on_frame(b"", table.frames[0])
        later._forget(PLACE, *terms)
        assert not later.proposals


def cross(table: Table, epoch: int, committee: Committee = COMMITTEE) -> None:
    """The vault comes to another epoch, and the nodes notice one after the other."""
    table.committees[epoch] = committee
    table.terms = (epoch, *table.terms[1:])
    for desk in table.desks:
        desk.places[PLACE].epoch = epoch
        desk._forget(PLACE, *table.terms)
        desk._renew(PLACE, epoch)
        table.deliver()
    for desk in table.desks:
        desk._forget(PLACE, *table.terms)


async def test_what_is_approved_is_signed_again_in_every_epoch(tmp_path: Path) -> None:
    table = Table(folder=tmp_path)
    made = await propose(table.desks[0])
    table.deliver()
    await table.desks[1].approve(made.name)
    table.deliver()
    cross(table, 2)
    for desk in table.desks:
        found = desk.find(made.name)
        assert found is not None
        assert (found.decision.epoch, sorted(found.signatures)) == (2, [0, 1])
        assert len(desk.proposals) == 1
    table.restart()
    for desk in table.desks:
        desk.recall()
    cross(table, 3)
    approved = await table.desks[3].approve(made.name)
    assert (approved.decision.epoch, approved.is_carried) == (3, True)
    table.deliver()
    for desk in table.desks:  # carried out: nobody signs it ever again
        desk._forget(PLACE, 3, 6, NOW_S)
    table.restart()
    for desk in table.desks:
        desk.recall()
    cross(table, 4)
    assert not any(desk.proposals or desk.approvals for desk in table.desks)


async def test_an_approval_outlives_an_epoch_without_a_seat() -> None:
    table = Table()
    made = await propose(table.desks[0])
    table.deliver()
    cross(table, 2, Committee(COMMITTEE.members[1:]))
    late = await table.desks[2].approve(made.name)  # it is still found, and signed anew
    assert (late.decision.epoch, late.weight) == (2, 1)
    assert not table.desks[0].withdraw(bytes(32))
    table.desks[2].withdraw(made.name)
    table.frames.clear()
    cross(table, 3)
    assert all(
        sorted(desk.proposals[one].signatures) == [0]
        for desk in table.desks[:1]
        for one in desk.proposals
    )
    assert all(desk.find(made.name) for desk in table.desks)


async def test_what_nobody_signs_any_more_can_still_be_withdrawn() -> None:
    table = Table()
    made = await propose(table.desks[0])
    table.deliver()
    for epoch in (2, 3, 4):  # without a seat for whom has approved it
        cross(table, epoch, Committee(COMMITTEE.members[1:]))
    assert [desk.find(made.name) is not None for desk in table.desks] == [True, False, False, False]
    assert table.desks[0].withdraw(made.name)
    cross(table, 5)
    assert not any(desk.proposals for desk in table.desks)


async def test_what_is_withdrawn_is_not_signed_again(tmp_path: Path) -> None:
    table = Table(folder=tmp_path)
    made = await propose(table.desks[0])
    table.deliver()
    await table.desks[1].approve(made.name)
    table.deliver()
    assert table.desks[0].withdraw(made.name)
    assert not table.desks[0].withdraw(made.name)
    table.restart()
    for desk in table.desks:
        desk.recall()  # its signature of this epoch stands
        assert sorted(desk.proposals[made.digest].signatures) == [0, 1]
    cross(table, 2)
    found = table.desks[2].find(made.name)
    assert found is not None
    assert sorted(found.signatures) == [1]


async def test_an_early_ballot_of_the_next_epoch_hides_nothing() -> None:
    table = Table()
    table.committees[2] = COMMITTEE
    made = await propose(table.desks[0])
    table.deliver()
    await table.desks[1].approve(made.name)
    table.deliver()
    desk = table.desks[2]
    hasty = table.desks[3]
    early = hasty._sign(*PLACE, replace(made.decision, epoch=2))
    desk.on_frame(b"", codec.encode(early))
    found = desk.find(made.name)
    assert found is not None
    assert found.digest == made.digest
    assert (await desk.approve(made.name)).is_carried
    desk.places[PLACE].epoch = 2
    table.frames.clear()
    hasty.on_frame(b"", codec.encode(hasty._sign(*PLACE, made.decision)))
    desk._forget(PLACE, 2, 5, NOW_S)
    desk.on_frame(b"", codec.encode(hasty._sign(*PLACE, made.decision)))  # of an epoch that is over
    assert made.digest not in desk.proposals


async def test_what_is_over_cannot_be_approved() -> None:
    table = Table()
    made = await propose(table.desks[0])
    table.deliver()
    for terms in ((1, 6, NOW_S), (1, 5, NOW_S + 8 * 86_400)):
        table.terms = terms
        with pytest.raises(InvalidMessage, match="expired"):
            await table.desks[1].approve(made.name)
        assert not table.desks[1].approvals


async def test_approvals_that_the_own_key_has_not_signed_count_for_nothing(tmp_path: Path) -> None:
    table = Table(folder=tmp_path)
    made = await propose(table.desks[0])
    foreign = table.frames[0]
    box = table.desks[1]._box
    for number, frame in enumerate((foreign, b"\xff" * 40, foreign[:-1] + b"\x05")):
        box.put_approval(bytes([number]), frame)
    table.restart()
    for desk in table.desks:
        desk.recall()
    assert list(table.desks[0].approvals) == [made.name]
    assert not table.desks[1].approvals


async def test_wishes_that_make_no_sense_are_refused() -> None:
    desk = Table().desks[0]
    with pytest.raises(InvalidMessage, match="no vault"):
        await desk.propose(77, CHAIN.vault_bytes, DecisionKind.PAUSE, NOBODY, 1, 7)
    with pytest.raises(InvalidMessage, match="days"):
        await desk.propose(*PLACE, DecisionKind.PAUSE, NOBODY, 1, 31)
    with pytest.raises(InvalidMessage, match="knows no"):
        await desk.approve(bytes(32))


async def test_a_network_that_restarts_has_forgotten_no_ballot(tmp_path: Path) -> None:
    table = Table(folder=tmp_path)
    made = await propose(table.desks[0])
    table.deliver()
    await table.desks[1].approve(made.name)
    table.deliver()
    table.restart()
    for desk in table.desks:
        assert not desk.proposals
        desk.recall()
        assert sorted(desk.proposals[made.digest].signatures) == [0, 1]
    assert (await table.desks[2].approve(made.name)).is_carried
    table.deliver()
    table.restart()
    for desk in table.desks:
        desk.recall()
        assert desk.proposals[made.digest].is_carried
        desk._forget(PLACE, 1, 6, NOW_S)  # it has been carried out
    table.restart()
    for desk in table.desks:
        desk.recall()
        assert not desk.proposals
        assert not desk._kept


async def test_kept_ballots_wait_for_their_vault_and_their_committee(tmp_path: Path) -> None:
    table = Table(KEYS[:1], tmp_path)
    made = await propose(table.desks[0])
    table.restart()
    desk = table.desks[0]
    place = desk.places.pop(PLACE)
    desk.recall()
    assert not desk.proposals
    desk.places[PLACE] = place
    desk._committee_of, known = (lambda epoch: None), desk._committee_of
    desk.recall()
    assert not desk.proposals
    desk._committee_of = known
    desk.recall()
    assert desk.proposals[made.digest].weight == 1


async def test_only_the_first_signature_of_a_member_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(folder=tmp_path)
    made = await propose(table.desks[0])
    written: list[bytes] = []
    monkeypatch.setattr(BallotBox, "put", lambda box, decision, seat, frame: written.append(frame))
    desk = table.desks[1]
    ballot = codec.decode(table.frames[0], Ballot)
    twin = ballot.signature[:64] + bytes([ballot.signature[64] - 27])
    for signature in (twin, ballot.signature, twin):  # the vault takes 27 and 28 only
        desk.on_frame(b"", codec.encode(msgspec.structs.replace(ballot, signature=signature)))
    assert written == [codec.encode(ballot)]
    assert desk.proposals[made.digest].signatures == {0: ballot.signature}


async def test_what_is_found_in_the_box_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table(KEYS[:1], tmp_path)
    made = await propose(table.desks[0])
    ballot = codec.decode(table.frames[0], Ballot)
    altered = msgspec.structs.replace(ballot, value=bytes(32))
    late = msgspec.structs.replace(ballot, valid_until_s=NOW_S - 1)
    table.desks[0]._box.close()
    path = tmp_path / f"{KEYS[0].address.hex()}.sqlite"
    with sqlite3.connect(path) as connection:
        rows = [b"\xff" * 40, b"\xff" * 600, codec.encode(altered), codec.encode(late)]
        for number, frame in enumerate(rows):
            connection.execute("INSERT INTO ballots VALUES (?, ?, ?)", (b"bad", number, frame))
    desk = table._make(KEYS[0])
    with caplog.at_level(logging.WARNING):
        desk.recall()
    assert list(desk.proposals) == [made.digest]
    assert desk.proposals[made.digest].weight == 1
    assert len(desk._box.frames()) == 1
    assert "counts for nothing" in caplog.text


def test_a_box_that_cannot_be_read_is_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ballots.sqlite"
    path.write_bytes(b"no database at all" * 999)
    with caplog.at_level(logging.WARNING):
        box = BallotBox(path)
    assert "not remembered" in caplog.text
    box.put(b"one", 0, b"frame")
    assert box.frames() == [b"frame"]
    box.close()
    nowhere = BallotBox(tmp_path / "missing" / "ballots.sqlite")
    nowhere.put(b"one", 0, b"frame")
    assert nowhere.frames() == []
    nowhere.close()


def test_a_full_box_is_read_as_far_as_decisions_go(tmp_path: Path) -> None:
    path = tmp_path / "ballots.sqlite"
    BallotBox(path).close()
    with sqlite3.connect(path) as connection:
        rows = ((b"%d" % number, 0, b"x") for number in range(BALLOTS_MAX + 9))
        connection.executemany("INSERT INTO ballots VALUES (?, ?, ?)", rows)
    box = BallotBox(path)
    assert len(box.frames()) == BALLOTS_MAX
    box.close()
