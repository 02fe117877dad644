"""Facts about rules 1 to 5 and 8: how a chain grows when things go well."""

from __future__ import annotations

import pytest

from consensus.application import Roots, Verdict
from consensus.certificate import Certificate
from consensus.effects import Blame, Journal, Protect, Send, SetTimer, Sync
from consensus.header import ZERO_HASH, decode_header
from consensus.messages import Blocks, GetBlock, GetCertificates, Propose
from consensus.records import BlockKept, decode_record
from consensus.rules.propose import choose_checkpoint_digest
from consensus.timers import Timer
from consensus.vote import Kind, Vote
from primitives.errors import StateDiverged
from tests.consensus.desk import GENESIS, ROOTS, START_MS, TIMING, Desk


@pytest.fixture
def desk() -> Desk:
    """A follower in view 1."""
    desk = Desk()
    desk.me = next(index for index in range(4) if index != desk.leader(1))
    desk.replica = desk.make_replica()
    desk.start()
    return desk


@pytest.fixture
def leader() -> Desk:
    """The leader of view 1, before its start."""
    desk = Desk()
    desk.me = desk.leader(1)
    desk.replica = desk.make_replica()
    return desk


# -- rule 1: enter


@pytest.mark.parametrize("kind", list(Kind))
def test_any_certificate_of_the_view_before_enters_a_view(desk: Desk, kind: Kind):
    block_hash = ZERO_HASH if kind is Kind.NULLIFY else b"\x05" * 32
    desk.receive(desk.other(), desk.certificate(kind, 1, block_hash))
    assert desk.replica.view == 2
    assert desk.timers()[Timer.LEADER] == TIMING.leader_ms
    assert desk.timers()[Timer.VIEW] == TIMING.view_ms


def test_a_certificate_ahead_makes_us_jump_and_none_takes_us_back(desk: Desk):
    desk.receive(desk.other(), desk.nullification(40))
    assert desk.replica.view == 41
    desk.receive(desk.other(), desk.nullification(7))
    assert desk.replica.view == 41


def test_a_certificate_without_a_quorum_is_blamed_on_its_sender(desk: Desk):
    effects = desk.receive(2, desk.nullification(1, signers=(1, 2)))
    assert [effect.peer for effect in effects if isinstance(effect, Blame)] == [2]
    assert desk.replica.view == 1


def test_time_outs_grow_with_the_distance_to_finality(desk: Desk):
    desk.receive(desk.other(), desk.nullification(3))
    assert desk.timers()[Timer.LEADER] == TIMING.leader_ms * 1_690 // 1_000


# -- rule 2: propose


def test_the_leader_proposes_at_once_when_there_is_work(leader: Desk):
    leader.ledger.bundles = (b"\x01" * 32,)
    leader.start()
    (proposal,) = leader.sent(Propose)
    assert proposal.block.bundles == leader.ledger.bundles
    assert leader.core.at(1).noted is not None


def test_records_come_before_sync_and_sync_before_the_first_send(leader: Desk):
    effects = leader.start()
    kinds = [type(effect) for effect in effects]
    sync = kinds.index(Sync)
    assert kinds.count(Sync) == 1
    assert all(position < sync for position, k in enumerate(kinds) if k in (Journal, Protect))
    assert all(position > sync for position, k in enumerate(kinds) if k in (Send, SetTimer))


def test_the_block_is_in_the_journal_before_the_vote_for_it(leader: Desk):
    leader.start()
    records = [type(decode_record(record)) for record in leader.journal()]
    assert records.index(BlockKept) < records.index(Vote)


def test_an_idle_leader_waits_half_its_timer_and_wakes_for_work(leader: Desk):
    leader.now = GENESIS.time_ms
    leader.ledger.works = False
    leader.start()
    assert not leader.sent(Propose)
    assert leader.timers()[Timer.PACE] == TIMING.idle_gap_ms
    leader.now += TIMING.gap_ms
    leader.ledger.works = True
    leader.wake()
    assert leader.sent(Propose)


def test_a_busy_leader_keeps_the_minimal_gap(leader: Desk):
    leader.now = GENESIS.time_ms
    leader.start()
    assert leader.timers()[Timer.PACE] == TIMING.gap_ms
    leader.fire(Timer.PACE)
    (proposal,) = leader.sent(Propose)
    assert leader.now == GENESIS.time_ms + TIMING.gap_ms
    assert proposal.block.header[5 * 32 : 6 * 32] == leader.now.to_bytes(32, "big")


def test_a_leader_builds_on_the_newest_notarization_with_its_attendance(desk: Desk):
    block = desk.block(1)
    view = desk.view_led_by(desk.me, after=1)
    desk.notarize(block)
    for skipped in range(2, view):
        desk.receive(desk.other(), desk.nullification(skipped))
    desk.now += TIMING.gap_ms
    desk.fire(Timer.PACE)
    header = desk.core.tree.get(desk.core.at(view).noted).header
    assert (header.parent_hash, header.parent_view, header.height) == (block.hash, 1, 2)
    (proposal,) = desk.sent(Propose)
    attendance = proposal.block.attendance
    assert (attendance.kind, attendance.block_hash) == (Kind.NOTARIZE, block.hash)


def test_a_leader_includes_every_notarize_vote_it_saw(desk: Desk):
    block = desk.block(1)
    desk.propose(block)
    view = desk.view_led_by(desk.me, after=1)
    for signer in range(4):
        if signer not in (desk.me, desk.leader(1)):
            desk.receive(signer, desk.vote(signer, Kind.NOTARIZE, 1, block.hash))
    for skipped in range(2, view):
        desk.receive(desk.other(), desk.nullification(skipped))
    desk.fire(Timer.PACE)
    (proposal,) = desk.sent(Propose)
    assert proposal.block.attendance.signers == (0, 1, 2, 3)


def test_a_leader_asks_for_a_view_of_which_it_knows_nothing(desk: Desk):
    view = desk.view_led_by(desk.me, after=2)
    desk.receive(desk.other(), desk.nullification(view - 1))
    assert not desk.sent(Propose)
    assert {m.view for m in desk.sent(GetCertificates)} == {view - 2}
    for missing in range(view - 2, 0, -1):
        desk.receive(desk.other(), desk.nullification(missing))
    assert desk.sent(Propose)


def test_a_leader_waits_while_its_execution_is_behind_the_parents(leader: Desk):
    leader.ledger.roots = {-1: ROOTS}
    leader.start()
    assert not leader.sent(Propose)
    leader.ledger.roots = {0: ROOTS}
    leader.wake()
    assert leader.sent(Propose)


def test_a_leader_waits_for_a_required_bundle(leader: Desk):
    leader.ledger.bundles = None
    leader.start()
    assert not leader.sent(Propose)
    leader.ledger.bundles = ()
    leader.wake()
    assert leader.sent(Propose)


def test_the_vote_of_a_leader_lists_pending_ids(leader: Desk):
    leader.ledger.pending = (b"\x01" * 32,)
    leader.start()
    (proposal,) = leader.sent(Propose)
    assert proposal.pending == leader.ledger.pending


def test_a_checkpoint_digest_is_stated_when_it_is_due():
    desk = Desk(checkpoint_interval=1)
    desk.me = desk.leader(1)
    desk.replica = desk.make_replica()
    assert desk.config.checkpoint_of(33) == 1

    assert choose_checkpoint_digest(desk.core, 1) == ZERO_HASH
    assert choose_checkpoint_digest(desk.core, 33) is None
    desk.ledger.digests[1] = b"\x07" * 32
    assert choose_checkpoint_digest(desk.core, 33) == b"\x07" * 32


# -- rule 3: notarize


def test_a_valid_proposal_gets_one_vote(desk: Desk):
    block = desk.block(1)
    desk.ledger.pending = (b"\x01" * 32,)
    desk.propose(block)
    (vote,) = desk.sent(Kind.NOTARIZE)
    assert (vote.block_hash, vote.pending) == (block.hash, desk.ledger.pending)
    assert not desk.propose(block)


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 2},
        {"parent_view": 1},
        {"parent_hash": b"\x01" * 32},
        {"time_ms": GENESIS.time_ms},
        {"executed_height": 1},
        {"state_root": b"\x01" * 32},
        {"fees_root": b"\x01" * 32},
        {"committee_hash": b"\x01" * 32},
        {"next_committee_hash": b"\x01" * 32},
        {"checkpoint_digest": b"\x01" * 32},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_invalid_proposal_nullifies_at_once(desk: Desk, changes):
    desk.propose(desk.block(1, **changes))
    assert not desk.sent(Kind.NOTARIZE)
    assert desk.sent(Kind.NULLIFY)


def test_a_bundle_listed_twice_is_invalid(desk: Desk):
    desk.propose(desk.block(1, bundles=(b"\x01" * 32,) * 2))
    assert desk.sent(Kind.NULLIFY)


def test_an_executed_height_may_not_go_back_nor_lag(desk: Desk):
    first = desk.block(1, executed_height=0)
    desk.notarize(first)
    desk.ledger.roots[1] = ROOTS
    second = desk.block(2, first, executed_height=1)
    desk.notarize(second)
    desk.propose(desk.block(3, second, executed_height=0))
    assert desk.sent(Kind.NULLIFY)


def test_a_child_without_the_notarization_of_its_parent_is_invalid(desk: Desk):
    block = desk.block(1)
    desk.notarize(block)
    view = next(v for v in range(2, 99) if desk.leader(v) != desk.me)
    desk.skip_to(view)
    child = desk.block(view, block)
    bare = desk.block(view, GENESIS, parent_view=1, parent_hash=block.hash, height=2)
    assert child.body.attendance is not None
    assert bare.body.attendance is None
    desk.propose(bare)
    assert desk.sent(Kind.NULLIFY)


def test_a_forged_attendance_is_blamed_and_nullifies(desk: Desk):
    block = desk.block(1)
    forged = desk.notarization(block, signers=(1, 2))
    view = next(v for v in range(2, 99) if desk.leader(v) != desk.me)
    desk.skip_to(view)
    effects = desk.propose(desk.block(view, block, attendance=forged))
    assert any(isinstance(effect, Blame) for effect in effects)
    assert desk.sent(Kind.NULLIFY)


def test_roots_not_executed_here_are_waited_for(desk: Desk):
    block = desk.block(1)
    del desk.ledger.roots[0]
    desk.propose(block)
    assert not desk.sent(Vote)
    desk.ledger.roots[0] = ROOTS
    desk.wake()
    assert desk.sent(Kind.NOTARIZE)


def test_missing_bundles_are_waited_for_until_the_view_timer(desk: Desk):
    desk.ledger.held = set()
    desk.propose(desk.block(1, bundles=(b"\x01" * 32,)))
    assert not desk.sent(Vote)
    desk.fire(Timer.LEADER)
    assert not desk.sent(Vote)
    desk.fire(Timer.VIEW)
    assert desk.sent(Kind.NULLIFY)


def test_a_block_from_the_future_is_judged_when_its_time_has_come(desk: Desk):
    desk.propose(desk.block(1, time_ms=START_MS + TIMING.drift_ms + 300))
    assert not desk.sent(Vote)
    assert desk.timers()[Timer.PACE] == 300
    desk.fire(Timer.PACE)
    assert desk.sent(Kind.NOTARIZE)


def test_a_chain_ahead_of_true_time_goes_on_by_the_least_step(desk: Desk):
    ahead_ms = START_MS + 3_600_000
    first = desk.block(1, time_ms=ahead_ms)
    desk.notarize(first)  # a quorum's clocks were wrong
    view = next(v for v in range(2, 99) if desk.leader(v) != desk.me)
    desk.skip_to(view)
    desk.propose(desk.block(view, first, time_ms=ahead_ms + 1))
    assert desk.sent(Kind.NOTARIZE)


def test_a_leader_ahead_of_true_time_waits_one_gap_only(desk: Desk):
    first = desk.block(1, time_ms=START_MS + 3_600_000)
    desk.notarize(first)
    desk.skip_to(next(v for v in range(2, 99) if desk.leader(v) == desk.me))
    desk.fire(Timer.PACE)
    [proposal] = desk.sent(Propose)
    header = decode_header(proposal.block.header)
    assert header.time_ms == first.header.time_ms + 1


def test_inclusion_duty_is_judged_by_the_parents_attendance(desk: Desk):
    block = desk.block(1)
    ids = (b"\x01" * 32,)
    view = next(v for v in range(2, 99) if desk.leader(v) != desk.me)
    desk.notarize(block)
    desk.skip_to(view)
    desk.ledger.verdict = Verdict.INVALID
    desk.propose(desk.block(view, block, attendance=desk.notarization(block, pending=ids)))
    assert desk.ledger.required == ids
    assert desk.sent(Kind.NULLIFY)


def test_every_skipped_view_must_be_nullified(desk: Desk):
    view = next(v for v in range(3, 99) if desk.leader(v) != desk.me)
    desk.receive(desk.other(), desk.nullification(view - 1))
    desk.propose(desk.block(view))
    assert not desk.sent(Vote)
    assert {m.view for m in desk.sent(GetCertificates)} == set(range(1, view - 1))
    for skipped in range(1, view - 1):
        desk.receive(desk.other(), desk.nullification(skipped))
    assert desk.sent(Kind.NOTARIZE)


def test_a_parent_that_is_not_certified_gets_no_vote(desk: Desk):
    parent = desk.block(1)
    desk.propose(parent)
    view = next(v for v in range(2, 99) if desk.leader(v) != desk.me)
    desk.skip_to(view)
    other = desk.block(1, bundles=(b"\x01" * 32,))
    attendance = desk.notarization(other)
    desk.propose(desk.block(view, parent, attendance=attendance))
    assert not desk.sent(Kind.NOTARIZE)


def test_a_proposal_for_a_later_view_waits_for_that_view(desk: Desk):
    block = desk.block(1)
    view = next(v for v in range(2, 99) if desk.leader(v) != desk.me)
    child = desk.block(view)
    desk.propose(child)
    assert not desk.sent(Vote)
    for skipped in range(1, view):
        desk.receive(desk.other(), desk.nullification(skipped))
    assert [vote.block_hash for vote in desk.sent(Kind.NOTARIZE)] == [child.hash]
    assert desk.core.at(1).noted is None
    assert block.view == 1


def test_only_the_leader_proposes(desk: Desk):
    wrong = next(index for index in range(4) if index not in (desk.me, desk.leader(1)))
    block = desk.block(1, proposer=wrong)
    effects = desk.receive(wrong, desk.proposal(block, signer=wrong))
    assert isinstance(effects[0], Blame)
    assert desk.core.at(1).proposal is None


# -- rule 4: a notarization overrides what was seen first


def test_a_notarization_overrides_the_proposal_and_fetches_the_block(desk: Desk):
    seen, notarized = desk.block(1), desk.block(1, bundles=(b"\x01" * 32,))
    desk.propose(seen)
    desk.receive(desk.other(), desk.notarization(notarized))
    assert desk.core.at(1).proposal == notarized.hash
    assert desk.replica.view == 2
    assert {m.block_hash for m in desk.sent(GetBlock)} == {notarized.hash}


# -- rule 5: finalize


def test_a_notarized_block_that_is_held_is_finalized(desk: Desk):
    block = desk.block(1)
    desk.notarize(block)
    assert [vote.block_hash for vote in desk.sent(Kind.FINALIZE)] == [block.hash]


def test_a_past_view_is_finalized_as_soon_as_its_block_is_there(desk: Desk):
    block = desk.block(1)
    desk.receive(desk.other(), desk.notarization(block))
    desk.skip_to(4)
    assert not desk.sent(Kind.FINALIZE)

    desk.receive(desk.other(), Blocks((block.body,)))
    assert [vote.block_hash for vote in desk.sent(Kind.FINALIZE)] == [block.hash]


def test_a_view_that_was_given_up_is_never_finalized(desk: Desk):
    block = desk.block(1)
    desk.fire(Timer.LEADER)
    assert desk.sent(Kind.NULLIFY)
    desk.notarize(block)
    assert desk.replica.view == 2
    assert not desk.sent(Kind.FINALIZE)


def test_a_view_is_finalized_without_having_been_notarized_by_me(desk: Desk):
    desk.ledger.held = set()
    block = desk.block(1, bundles=(b"\x01" * 32,))
    desk.notarize(block)
    assert desk.core.at(1).noted is None
    assert desk.core.at(1).finalized == block.hash


def test_one_event_needs_one_sync_for_all_its_votes(desk: Desk):
    """The vote that completes a notarization and my F for it share an fsync."""
    block = desk.block(1)
    signers = [index for index in range(4) if index not in (desk.me, desk.leader(1))]
    for signer in signers:
        desk.receive(signer, desk.vote(signer, Kind.NOTARIZE, 1, block.hash))
    effects = desk.propose(block)
    assert {vote.kind for vote in desk.sent(Vote)} == {Kind.FINALIZE}
    desk.core.application.held = None
    assert sum(isinstance(effect, Sync) for effect in effects) == 1


# -- rule 8: commit


def grow(desk: Desk, count: int):
    """Notarize a chain of blocks in consecutive views and return them."""
    blocks = []
    for view in range(1, count + 1):
        block = desk.block(view, blocks[-1] if blocks else GENESIS)
        desk.receive(desk.other(), desk.notarization(block))
        desk.core.asked_blocks[block.hash] = desk.now

        desk.receive(desk.other(), Blocks((block.body,)))
        blocks.append(block)
    return blocks


def test_a_finalization_commits_all_ancestors_in_order(desk: Desk):
    blocks = grow(desk, 3)
    desk.receive(desk.other(), desk.finalization(blocks[-1]))
    finals = desk.finals()
    assert [final.block.hash for final in finals] == [block.hash for block in blocks]
    assert [final.certificate is not None for final in finals] == [False, False, True]
    assert desk.replica.tip.height == 3
    assert min(desk.core.views) == 3


def test_finalize_votes_of_a_quorum_commit(desk: Desk):
    (block,) = grow(desk, 1)
    for signer in range(4):
        if signer != desk.me:
            desk.receive(signer, desk.vote(signer, Kind.FINALIZE, 1, block.hash))
    assert desk.replica.tip.hash == block.hash
    assert isinstance(desk.core.tip_certificate, Certificate)


def test_a_finalization_waits_for_blocks_that_are_missing(desk: Desk):
    block = desk.block(1)
    desk.receive(desk.other(), desk.finalization(block))
    assert not desk.finals()
    assert {m.block_hash for m in desk.sent(GetBlock)} == {block.hash}

    desk.receive(desk.other(), Blocks((block.body,)))
    assert [final.block.hash for final in desk.finals()] == [block.hash]


def test_a_final_root_that_differs_from_mine_stops_the_node(desk: Desk):
    block = desk.block(1, state_root=b"\x01" * 32)
    desk.receive(desk.other(), desk.finalization(block))
    with pytest.raises(StateDiverged):
        desk.receive(desk.other(), Blocks((block.body,)))


def test_roots_executed_later_are_compared_later(desk: Desk):
    del desk.ledger.roots[0]
    desk.ledger.roots[-1] = ROOTS
    block = desk.block(1, state_root=b"\x01" * 32)
    desk.receive(desk.other(), desk.finalization(block))

    desk.receive(desk.other(), Blocks((block.body,)))
    assert desk.finals()
    desk.ledger.roots[0] = Roots(b"\x09" * 32, ROOTS.fees)
    with pytest.raises(StateDiverged):
        desk.wake()
