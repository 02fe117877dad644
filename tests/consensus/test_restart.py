"""Facts about restarts: promises survive, and who may have forgotten some stays silent."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consensus.certificate import Certificate
from consensus.effects import Final, Protect
from consensus.guard import Guard
from consensus.messages import Blocks, GetStatus, Propose, Status
from consensus.records import Opened, encode_record
from consensus.rules.restore import read_record, split_by_epoch
from consensus.timers import Timer
from consensus.vote import Kind, Vote, compute_vote_digest
from primitives.errors import WouldEquivocate, WrongNetwork
from tests.consensus.desk import TIMING, Desk


@pytest.fixture
def desk() -> Desk:
    """A follower in view 1."""
    desk = Desk()
    desk.me = next(index for index in range(4) if index != desk.leader(1))
    desk.replica = desk.make_replica()
    desk.start()
    return desk


def final_block(desk: Desk, view: int, parent=None):
    block = desk.block(view, parent) if parent is not None else desk.block(view)
    desk.propose(block)
    desk.receive(desk.other(), desk.notarization(block))
    desk.receive(desk.other(), desk.finalization(block))
    return block


def test_a_nullified_view_is_announced_again_and_not_notarized(desk: Desk):
    desk.fire(Timer.LEADER)
    (before,) = desk.sent(Kind.NULLIFY)
    desk.restart()
    assert desk.sent(Kind.NULLIFY) == [before], "the same bytes, not a new signature"
    desk.propose(desk.block(1))
    assert not desk.sent(Kind.NOTARIZE)
    desk.fire(Timer.RETRY)
    assert desk.sent(Kind.NULLIFY) == [before]


def test_a_notarized_view_gets_no_second_vote(desk: Desk):
    block, other = desk.block(1), desk.block(1, bundles=(b"\x01" * 32,))
    desk.propose(block)
    desk.restart()
    assert [vote.block_hash for vote in desk.sent(Kind.NOTARIZE)] == [block.hash]
    desk.propose(other)
    assert not desk.sent(Kind.NOTARIZE)


def test_a_leader_sends_the_block_again_that_it_signed():
    desk = Desk()
    desk.me = desk.leader(1)
    desk.replica = desk.make_replica()
    desk.ledger.bundles = (b"\x01" * 32,)
    desk.start()
    (before,) = desk.sent(Propose)
    desk.ledger.bundles = ()
    desk.now += 5_000
    desk.restart()
    assert desk.sent(Propose) == [before]


def test_view_and_certificates_are_restored(desk: Desk):
    desk.receive(desk.other(), desk.nullification(1))
    desk.receive(desk.other(), desk.nullification(2))
    desk.restart()
    assert desk.replica.view == 3
    assert {(c.kind, c.view) for c in desk.sent(Certificate)} == {
        (Kind.NULLIFY, 1),
        (Kind.NULLIFY, 2),
    }


def test_a_finalized_view_is_never_nullified_after_a_restart(desk: Desk):
    block = desk.block(1)
    desk.propose(block)
    desk.receive(desk.other(), desk.notarization(block))
    desk.restart()
    assert desk.replica.view == 2
    assert desk.core.at(1).finalized == block.hash
    assert desk.core.at(1).notarization is not None, "it lies before the F vote in the journal"


def test_final_blocks_above_the_store_are_handed_out_again(desk: Desk):
    first = final_block(desk, 1)
    second = final_block(desk, 2, first) if desk.leader(2) != desk.me else None
    desk.restart()
    heights = [final.block.height for final in desk.finals()]
    assert heights == ([1, 2] if second else [1])
    desk.restart(Final(first, desk.finalization(first)))
    assert [final.block.height for final in desk.finals()] == heights[1:]


def test_a_store_ahead_of_the_journal_is_believed(desk: Desk):
    block = desk.block(1)
    desk.replica = desk.make_replica()
    desk.start((), Final(block, desk.finalization(block)))
    assert (desk.replica.tip.hash, desk.replica.view) == (block.hash, 2)


def test_a_compacted_journal_restores_the_same_promises(desk: Desk):
    first = final_block(desk, 1)
    desk.fire(Timer.LEADER)
    before = {view: list(state.own_votes(desk.me)) for view, state in desk.core.views.items()}
    snapshot = desk.replica.journal_snapshot()
    final = Final(first, desk.finalization(first))
    desk.guard = Guard(desk.protected())
    desk.replica = desk.make_replica()
    desk.start(snapshot, final)
    assert desk.replica.tip.hash == first.hash
    assert not desk.replica.is_silent
    for view, votes in before.items():
        if view > 1:
            assert list(desk.core.at(view).own_votes(desk.me)) == votes
    assert desk.core.at(1).notarization is not None, "the next leader needs it as attendance"


def test_a_journal_of_another_network_is_refused(desk: Desk):
    for opened in (
        Opened(1, b"\x01" * 32, 1, desk.me),
        Opened(1, desk.config.domain, 2, desk.me),
        Opened(1, desk.config.domain, 1, desk.me + 1),
        Opened(2, desk.config.domain, 1, desk.me),
    ):
        desk.replica = desk.make_replica()
        with pytest.raises(WrongNetwork):
            desk.start([encode_record(opened)])
    with pytest.raises(WrongNetwork):
        desk.make_replica().start(desk.now, [b"\x93\x63\x01\x02"])


def test_the_guard_learns_what_only_the_journal_knows(desk: Desk):
    """A crash between the two halves of a Sync."""
    desk.fire(Timer.LEADER)
    records = desk.journal()
    desk.guard = Guard()
    desk.replica = desk.make_replica()
    effects = desk.start(records)
    assert not desk.replica.is_silent
    assert any(isinstance(effect, Protect) for effect in effects)
    digest = compute_vote_digest(desk.config.domain, Kind.FINALIZE, 1, 1, b"\x01" * 32, ())
    with pytest.raises(WouldEquivocate):
        desk.guard.admit(1, 1, Kind.FINALIZE, digest)


# -- silence


def test_a_vote_that_only_the_guard_knows_silences(desk: Desk):
    desk.fire(Timer.LEADER)
    desk.guard = Guard(desk.protected())
    desk.replica = desk.make_replica()
    desk.start(())
    assert desk.replica.is_silent


def test_a_silent_replica_follows_without_voting(desk: Desk):
    desk.replica = desk.make_replica()
    desk.start((), silent=True)
    final_block(desk, 1)
    desk.fire(Timer.LEADER)
    desk.fire(Timer.VIEW)
    assert desk.replica.tip.height == 1
    assert not [
        m for e in desk.all_effects for m in [getattr(e, "message", None)] if isinstance(m, Vote)
    ]


def others(desk: Desk) -> list[int]:
    return [index for index in range(4) if index != desk.me]


def test_silence_ends_above_all_that_a_quorum_of_peers_was_in_or_saw(desk: Desk):
    desk.replica = desk.make_replica()
    desk.start((), silent=True)
    (question,) = desk.sent(GetStatus)
    first, second, third = others(desk)
    desk.receive(first, Status(question.nonce, 1, 2, 0, 0, 0))
    desk.receive(second, Status(question.nonce, 1, 2, 0, 0, 3))
    parent = final_block(desk, 1)
    desk.skip_to(6)
    late = desk.block(6, parent)
    desk.receive(first, desk.finalization(late))
    desk.receive(first, Blocks((late.body,)))
    assert desk.replica.tip.view == 6
    assert desk.replica.is_silent, "two reports weigh less than a quorum"
    desk.receive(third, Status(question.nonce, 1, 9, 0, 0, 0))
    assert desk.replica.is_silent, "the third peer was in view 9"
    last = desk.block(11, late)
    desk.receive(first, desk.finalization(last))
    desk.receive(first, Blocks((last.body,)))
    assert not desk.replica.is_silent
    assert desk.guard.floor == (1, 11)


def test_what_ends_a_silence_is_not_searched_for_forgotten_votes(desk: Desk):
    """They are in there: the node took its own old votes for those of another node."""
    desk.replica = desk.make_replica()
    desk.start((), silent=True)
    (question,) = desk.sent(GetStatus)
    for peer in others(desk):
        desk.receive(peer, Status(question.nonce, 1, 2, 0, 0, 1))
    first = desk.block(1)
    desk.skip_to(6)
    last = desk.block(6, first)
    desk.receive(1, desk.finalization(last))
    desk.receive(1, Blocks((last.body, first.body)))
    assert not desk.replica.is_silent
    finals = [effect.block for effect in desk.all_effects if isinstance(effect, Final)]
    assert [block.view for block in finals] == [1, 6]
    assert not any(desk.replica.remembers(block.view) for block in finals)
    assert desk.replica.remembers(7)


def test_who_exaggerates_cannot_keep_me_silent_beside_an_honest_quorum():
    desk = Desk(weights=(1, 3, 3, 3, 1, 1, 1))  # a quorum is 9
    small = [one for one in (0, 4, 5, 6) if one not in (desk.leader(1), desk.leader(4))]
    desk.me, liar = small[:2]
    desk.replica = desk.make_replica()
    desk.start((), silent=True)
    (question,) = desk.sent(GetStatus)
    desk.receive(liar, Status(question.nonce, 1, 1 << 60, 1 << 60, 1 << 60, 1 << 60))
    for peer in {0, 1, 2, 4, 5, 6} - {desk.me, liar}:
        desk.receive(peer, Status(question.nonce, 1, 2, 0, 0, 1))
    block = final_block(desk, 1)
    desk.skip_to(4)
    later = desk.block(4, block)
    desk.receive(1, desk.finalization(later))
    desk.receive(1, Blocks((later.body,)))
    assert desk.replica.tip.view == 4
    assert desk.replica.is_silent, "the honest reports weigh 8, so the liar's counts too"
    desk.receive(3, Status(question.nonce, 1, 2, 0, 0, 1))
    assert not desk.replica.is_silent


def test_who_is_silent_is_no_witness_for_others(desk: Desk):
    desk.replica = desk.make_replica()
    desk.start((), silent=True)
    desk.receive(desk.other(), GetStatus(77))
    (status,) = desk.sent(Status)
    assert status.nonce == 0


def test_stale_reports_do_not_end_silence(desk: Desk):
    desk.replica = desk.make_replica()
    desk.start((), silent=True)
    for index in others(desk):
        desk.receive(index, Status(0, 1, 1, 0, 0, 0))
        desk.receive(index, Status(desk.now - 1, 1, 1, 0, 0, 0))
    parent = final_block(desk, 1)
    late = desk.block(5, parent)
    desk.receive(desk.other(), desk.finalization(late))
    desk.receive(desk.other(), Blocks((late.body,)))
    assert desk.replica.is_silent
    desk.fire(Timer.STATUS)
    assert desk.sent(GetStatus), "it goes on asking"


def test_views_that_the_guard_closed_get_no_vote():
    guard = Guard()
    guard.raise_floor(1, 3)
    desk = Desk(guard=guard)
    desk.start()
    desk.propose(desk.block(1))
    desk.fire(Timer.VIEW)
    assert not desk.sent(Vote)
    desk.skip_to(4)
    desk.fire(Timer.VIEW)
    assert [vote.view for vote in desk.sent(Kind.NULLIFY)] == [4]


def test_the_guards_floor_follows_finality(desk: Desk):
    parent = final_block(desk, 1)
    floor = desk.guard.floor
    late = desk.block(40, parent)
    desk.receive(desk.other(), desk.finalization(late))
    desk.receive(desk.other(), Blocks((late.body,)))
    assert floor == (1, 1)
    assert desk.guard.floor == (1, 40)
    assert TIMING.gap_ms


def test_silence_outlives_restarts_and_compaction(desk: Desk):
    desk.all_effects.clear()
    desk.replica = desk.make_replica()
    desk.start((), silent=True)
    desk.restart()
    assert desk.replica.is_silent
    snapshot = desk.replica.journal_snapshot()
    desk.replica = desk.make_replica()
    desk.start(snapshot)
    assert desk.replica.is_silent


# -- epochs


def test_what_is_said_after_a_restart_in_an_older_epoch_stays_in_that_epoch(desk: Desk):
    """The store lost the boundary block, so the journal ends in a later epoch than the one here."""
    later = encode_record(Opened(1, desk.config.domain, 2, desk.me))
    said = desk.journal()
    before = [*said, later]
    desk.replica = desk.make_replica()
    desk.start(split_by_epoch(before)[1])
    desk.fire(Timer.LEADER)
    parts = split_by_epoch([*before, *desk.journal()[len(said) :]])
    assert parts[2] == (later,)
    kinds = [type(read_record(data)) for data in parts[1]]
    assert kinds.count(Opened) == 2
    assert Vote in kinds


def test_records_of_another_epoch_promise_nothing(desk: Desk):
    desk.fire(Timer.LEADER)
    (vote,) = [one for one in map(read_record, desk.journal()) if isinstance(one, Vote)]
    desk.guard = Guard()
    desk.replica = desk.make_replica()
    opened = encode_record(Opened(1, desk.config.domain, 1, desk.me))
    desk.start([opened, encode_record(replace(vote, epoch=2))])
    assert not list(desk.core.at(vote.view).own_votes(desk.me))
