"""Facts about rules 6, 7, 9, 10 and 12: what happens when views fail and messages are lost."""

from __future__ import annotations

import pytest

from consensus.certificate import Certificate
from consensus.effects import ALL, Blame, Lane, Send, ServeRange
from consensus.limits import (
    ANCESTORS_PER_REPLY_MAX,
    GUEST_FIRST,
    REQUESTS_PER_PEER_MAX,
    STANDSTILL_BYTES_MAX,
    STANDSTILL_CAP_MS,
    VIEWS_AHEAD,
    WANTED_MAX,
)
from consensus.messages import (
    Blocks,
    GetBlock,
    GetCertificates,
    GetRange,
    GetStatus,
    Propose,
    Range,
    Status,
    encode_message,
)
from consensus.timers import Timer
from consensus.vote import Kind, Vote
from primitives.errors import Doppelganger, InvalidMessage
from tests.consensus.desk import GENESIS, TIMING, Desk


@pytest.fixture
def desk() -> Desk:
    """A follower in view 1."""
    desk = Desk()
    desk.me = next(index for index in range(4) if index != desk.leader(1))
    desk.replica = desk.make_replica()
    desk.start()
    return desk


def chain(desk: Desk, count: int, start: int = 1, parent=GENESIS):
    blocks = []
    for view in range(start, start + count):
        blocks.append(desk.block(view, blocks[-1] if blocks else parent))
    return blocks


def feed(desk: Desk, blocks) -> None:
    """Show the replica a chain of notarized blocks."""
    for block in blocks:
        desk.receive(desk.other(), desk.notarization(block))
        desk.core.asked_blocks[block.hash] = desk.now
        desk.receive(desk.other(), Blocks((block.body,)))


# -- rule 6: nullify


def test_no_proposal_in_time_nullifies(desk: Desk):
    desk.fire(Timer.LEADER)
    assert [vote.view for vote in desk.sent(Kind.NULLIFY)] == [1]
    desk.fire(Timer.VIEW)
    assert not desk.sent(Kind.NULLIFY), "one vote is enough; the retry timer repeats it"


def test_a_proposal_in_time_satisfies_the_leader_timer(desk: Desk):
    desk.propose(desk.block(1))
    desk.fire(Timer.LEADER)
    assert not desk.sent(Kind.NULLIFY)
    desk.fire(Timer.VIEW)
    assert desk.sent(Kind.NULLIFY)


def test_after_nullify_no_proposal_is_notarized(desk: Desk):
    desk.fire(Timer.LEADER)
    desk.propose(desk.block(1))
    assert not desk.sent(Kind.NOTARIZE)


def test_after_finalize_a_view_is_never_nullified():
    """Alone in its committee a replica finalizes its own view at once; its timers are then moot."""
    desk = Desk()
    desk.start()
    block = desk.block(1)
    desk.propose(block)
    desk.receive(desk.other(), desk.notarization(block))
    assert desk.core.at(1).finalized == block.hash
    desk.core.view = 1  # the worst case: some bug takes the replica back
    desk.core.deadlines.clear()
    desk.core.deadlines[Timer.VIEW] = desk.now
    desk.fire(Timer.VIEW)
    assert not desk.sent(Kind.NULLIFY)


def test_nullify_votes_above_the_tolerated_weight_pull_me_along(desk: Desk):
    first, second = (index for index in range(4) if index not in (desk.me, desk.leader(1)))
    desk.receive(first, desk.vote(first, Kind.NULLIFY, 1))
    assert not desk.sent(Kind.NULLIFY)
    desk.receive(second, desk.vote(second, Kind.NULLIFY, 1))
    assert desk.sent(Kind.NULLIFY)


def test_an_equivocating_leader_is_given_up_at_once(desk: Desk):
    desk.ledger.held = set()
    desk.propose(desk.block(1, bundles=(b"\x01" * 32,)))
    assert not desk.sent(Vote)
    desk.propose(desk.block(1, bundles=(b"\x02" * 32,)))
    assert desk.sent(Kind.NULLIFY)


def test_a_stale_timer_does_nothing(desk: Desk):
    desk.receive(desk.other(), desk.nullification(1))
    assert not desk.keep(desk.replica.on_timer(desk.now + 1, Timer.VIEW))


# -- rule 7: certificates


def test_a_nullification_is_sent_once_to_all(desk: Desk):
    desk.receive(desk.other(), desk.nullification(1))
    (certificate,) = desk.sent(Certificate)
    assert certificate.kind is Kind.NULLIFY
    desk.receive(desk.other(), desk.nullification(1, signers=(0, 1, 2, 3)))
    assert not desk.sent(Certificate)


def test_notarizations_and_finalizations_are_not_flooded(desk: Desk):
    block = desk.block(1)
    desk.notarize(block)
    assert not desk.sent(Certificate)
    desk.receive(desk.other(), desk.finalization(block))
    assert not desk.sent(Certificate)


# -- rule 9: retry and standstill


def test_a_view_given_up_is_repeated_with_how_i_came_there(desk: Desk):
    desk.receive(desk.other(), desk.nullification(1))
    block = desk.block(2)
    if desk.leader(2) != desk.me:
        desk.propose(block)
    desk.fire(Timer.VIEW)
    for _ in range(2):
        desk.fire(Timer.RETRY)
        kinds = [vote.kind for vote in desk.sent(Vote)]
        assert kinds == [Kind.NOTARIZE, Kind.NULLIFY]
        assert [(c.kind, c.view) for c in desk.sent(Certificate)] == [(Kind.NULLIFY, 1)]
        assert desk.timers()[Timer.RETRY] == TIMING.retry_ms


def test_a_standstill_repeats_everything_above_the_last_final_block(desk: Desk):
    blocks = chain(desk, 3)
    feed(desk, blocks)
    desk.receive(desk.other(), desk.finalization(blocks[0]))
    desk.fire(Timer.STANDSTILL)
    assert not desk.sent(), "something became final in this period"
    desk.fire(Timer.STANDSTILL)
    assert [(m.kind, m.view) for m in desk.sent(Certificate)] == [
        (Kind.FINALIZE, 1),
        (Kind.NOTARIZE, 1),
        (Kind.NOTARIZE, 2),
        (Kind.NOTARIZE, 3),
    ], "each once"
    assert {(m.kind, m.view) for m in desk.sent(Vote)} == {(Kind.FINALIZE, 2), (Kind.FINALIZE, 3)}
    assert all(e.lane is Lane.BACKGROUND for e in desk.effects if isinstance(e, Send))


def test_standstill_periods_grow_to_a_cap_and_end_with_finality(desk: Desk):
    periods = []
    for _ in range(12):
        desk.fire(Timer.STANDSTILL)
        periods.append(desk.timers()[Timer.STANDSTILL])
    assert periods[:3] == [6_000, 9_000, 13_500]
    assert periods[-1] == STANDSTILL_CAP_MS
    block = desk.block(1)
    feed(desk, [block])
    desk.receive(desk.other(), desk.finalization(block))
    desk.fire(Timer.STANDSTILL)
    assert desk.timers()[Timer.STANDSTILL] == TIMING.standstill_ms


def test_a_standstill_is_bounded_in_bytes():
    desk = Desk(me=0, weights=(1,) * 128)
    desk.start()
    for view in range(1, 90):
        if desk.replica.view <= view:
            signers = tuple(range(1, 90))
            desk.receive(1, desk.nullification(view, signers))
    desk.fire(Timer.STANDSTILL)
    assert 0 < sum(len(encode_message(m)) for m in desk.sent()) <= STANDSTILL_BYTES_MAX


# -- rule 10: fetch


def test_a_question_for_a_view_is_answered_with_all_kinds(desk: Desk):
    block = desk.block(1)
    desk.notarize(block)
    desk.receive(desk.other(), desk.nullification(1))
    desk.receive(2, GetCertificates(1, 1))
    assert {m.kind for m in desk.sent(Certificate)} == {Kind.NOTARIZE, Kind.NULLIFY}
    assert {e.to for e in desk.effects if isinstance(e, Send)} == {2}


def test_a_question_for_an_old_view_is_answered_with_the_last_finalization(desk: Desk):
    blocks = chain(desk, 3)
    feed(desk, blocks)
    desk.receive(desk.other(), desk.finalization(blocks[2]))
    desk.receive(2, GetCertificates(1, 1))
    assert [(m.kind, m.view) for m in desk.sent(Certificate)] == [(Kind.FINALIZE, 3)]


def test_a_block_comes_with_its_ancestors(desk: Desk):
    blocks = chain(desk, 12)
    feed(desk, blocks)
    desk.receive(2, GetBlock(blocks[-1].hash, 0))
    (answer,) = desk.sent(Blocks)
    expected = [block.body for block in reversed(blocks[-ANCESTORS_PER_REPLY_MAX:])]
    assert list(answer.blocks) == expected
    desk.receive(2, GetBlock(blocks[-1].hash, 10))
    (answer,) = desk.sent(Blocks)
    assert len(answer.blocks) == 2
    desk.receive(2, GetBlock(b"\x01" * 32, 0))
    assert not desk.sent()


def test_blocks_that_nobody_asked_for_are_dropped(desk: Desk):
    desk.receive(2, Blocks((desk.block(1).body,)))
    assert len(desk.core.tree) == 0


def test_an_answer_must_hang_together(desk: Desk):
    blocks = chain(desk, 3)
    desk.receive(2, desk.finalization(blocks[2]))
    effects = desk.receive(2, Blocks((blocks[2].body, blocks[0].body)))
    assert any(isinstance(effect, Blame) for effect in effects)


def test_questions_are_repeated_while_the_answer_is_needed_and_not_longer(desk: Desk):
    block = desk.block(1)
    desk.receive(desk.other(), desk.finalization(block))
    for _ in range(3):
        desk.fire(Timer.FETCH)
        assert {m.block_hash for m in desk.sent(GetBlock)} == {block.hash}
    desk.receive(desk.other(), Blocks((block.body,)))
    desk.fire(Timer.FETCH)
    assert not desk.sent(GetBlock)
    assert Timer.FETCH not in desk.timers()


def test_only_so_many_questions_are_open_at_once(desk: Desk):
    view = next(v for v in range(80, 200) if desk.leader(v) != desk.me)
    desk.receive(desk.other(), desk.nullification(view - 1))
    desk.propose(desk.block(view))
    assert len({m.view for m in desk.sent(GetCertificates)}) == WANTED_MAX


def test_a_peer_that_asks_too_much_is_not_answered(desk: Desk):
    desk.receive(desk.other(), desk.nullification(1))
    answered = sum(
        bool(desk.receive(2, GetCertificates(1, 1)) and desk.sent(Certificate))
        for _ in range(2 * REQUESTS_PER_PEER_MAX)
    )
    assert answered == REQUESTS_PER_PEER_MAX
    desk.now += 1_000
    assert desk.receive(2, GetCertificates(1, 1))


def test_a_claimed_height_moves_nothing(desk: Desk):
    desk.receive(2, Status(0, 1, 900, 899, 890, 0))
    assert (desk.replica.view, desk.replica.tip.height) == (1, 0)
    assert [m.view for m in desk.sent(GetCertificates)] == [899]
    assert [m.from_height for m in desk.sent(GetRange)] == [1]


def test_a_range_is_proven_by_links_and_one_certificate(desk: Desk):
    blocks = chain(desk, 20)
    desk.receive(2, Status(0, 1, 21, 20, 40, 0))
    message = Range(tuple(block.body for block in blocks), desk.finalization(blocks[-1]))
    desk.receive(2, message)
    assert [final.block.height for final in desk.finals()] == list(range(1, 21))
    assert desk.replica.view == 21
    assert [m.from_height for m in desk.sent(GetRange)] == [21], "and the next one is asked for"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda desk, blocks: (blocks[:2] + blocks[3:], desk.finalization(blocks[-1])),
        lambda desk, blocks: (blocks[:-1], desk.finalization(blocks[-1])),
        lambda desk, blocks: (blocks, desk.notarization(blocks[-1])),
        lambda desk, blocks: (blocks, desk.finalization(blocks[-1], signers=(1, 2))),
    ],
    ids=["gap inside", "other end", "notarization", "weak"],
)
def test_a_false_range_is_blamed_and_moves_nothing(desk: Desk, spoil):
    blocks = chain(desk, 20)
    desk.receive(2, Status(0, 1, 21, 20, 40, 0))
    bodies, certificate = spoil(desk, blocks)
    effects = desk.receive(3, Range(tuple(block.body for block in bodies), certificate))
    assert any(isinstance(effect, Blame) and effect.peer == 3 for effect in effects)
    assert desk.replica.tip.height == 0


def test_a_range_that_answers_a_question_of_another_life_is_ignored(desk: Desk):
    blocks = chain(desk, 20)
    desk.receive(2, Status(0, 1, 21, 20, 40, 0))
    bodies = tuple(block.body for block in blocks[1:])
    effects = desk.receive(3, Range(bodies, desk.finalization(blocks[-1])))
    assert not any(isinstance(effect, Blame) for effect in effects)
    assert desk.replica.tip.height == 0


def test_many_claims_of_peers_without_a_seat_do_not_hide_the_members(desk: Desk):
    """An honest member that is ahead is asked within a bounded number of questions."""
    honest = desk.other()
    for guest in range(200):
        desk.receive(GUEST_FIRST + guest, Status(0, 1, 900, 899, 890, 0))
    desk.receive(honest, Status(0, 1, 900, 899, 890, 0))
    asked = []
    for _ in range(8):
        desk.now += TIMING.fetch_ms
        desk.receive(GUEST_FIRST, Status(0, 1, 900, 899, 890, 0))
        asked += [e.to for e in desk.effects if isinstance(e, Send) and is_get_range(e.message)]
    assert len(asked) == 8
    assert asked.count(honest) == 4
    assert len(set(asked)) == 5, "the others take turns"


def is_get_range(message) -> bool:
    return isinstance(message, GetRange)


def test_ranges_pause_while_execution_is_far_behind(desk: Desk):
    blocks = chain(desk, 20)
    desk.receive(2, Status(0, 1, 2_000, 1_999, 2_000, 0))
    desk.receive(2, Range(tuple(block.body for block in blocks), desk.finalization(blocks[-1])))
    assert desk.sent(GetRange)
    desk.core.tip = type(desk.core.tip)(
        view=20, height=600, hash=blocks[-1].hash, time_ms=desk.now, executed_height=0
    )
    desk.core.asked_range_ms = None
    desk.wake()
    assert not desk.sent(GetRange)


def test_old_ranges_are_served_by_the_store(desk: Desk):
    blocks = chain(desk, 2)
    feed(desk, blocks)
    desk.receive(2, GetRange(1))
    assert not desk.effects, "nothing is final yet"
    desk.receive(desk.other(), desk.finalization(blocks[1]))
    desk.receive(2, GetRange(1))
    assert desk.effects == [ServeRange(2, 1)]
    desk.receive(2, GetRange(3))
    assert not desk.effects


def test_a_status_is_answered_with_its_nonce_and_what_was_seen(desk: Desk):
    desk.receive(2, desk.vote(2, Kind.NULLIFY, 9))
    desk.receive(2, GetStatus(77))
    assert desk.sent(Status) == [Status(77, 1, 1, 0, 0, 9)]


def test_everybody_is_told_now_and_then_where_i_stand(desk: Desk):
    desk.fire(Timer.STATUS)
    (effect,) = [e for e in desk.effects if isinstance(e, Send)]
    assert (effect.to, effect.message) == (ALL, Status(0, 1, 1, 0, 0, 0))
    assert desk.timers()[Timer.STATUS] == TIMING.retry_ms


def test_a_peer_reached_again_is_told_where_i_stand(desk: Desk):
    effects = desk.keep(desk.replica.on_connected(desk.now, 2))
    assert effects == [Send(2, Status(0, 1, 1, 0, 0, 0))]


# -- rule 12: bounds


def test_votes_and_proposals_far_ahead_are_ignored_certificates_never(desk: Desk):
    far = 1 + VIEWS_AHEAD + 1
    desk.receive(2, desk.vote(2, Kind.NULLIFY, far))
    desk.propose(desk.block(next(v for v in range(far, far + 99) if desk.leader(v) != desk.me)))
    assert max(desk.core.views) == 1
    desk.receive(2, desk.nullification(far))
    assert desk.replica.view == far + 1


def test_a_vote_counted_once_is_never_verified_again(desk: Desk):
    class Counting:
        calls = 0

        def verify(self, digest, signature, address):
            self.calls += 1
            desk.verifier.verify(digest, signature, address)

    counting = desk.core.verifier = Counting()
    vote = desk.vote(2, Kind.NULLIFY, 1)
    for _ in range(3):
        desk.receive(2, vote)
    assert counting.calls == 1
    assert desk.core.at(1).nullify_weight == 1


def test_a_vote_is_taken_from_its_signer_only(desk: Desk):
    effects = desk.receive(2, desk.vote(3, Kind.NULLIFY, 1))
    assert isinstance(effects[0], Blame)
    assert desk.core.at(1).nullify_weight == 0


def test_a_forged_vote_is_blamed(desk: Desk):
    vote = desk.vote(3, Kind.NULLIFY, 1)
    forged = Vote(vote.kind, 1, 1, vote.block_hash, (), 2, vote.signature)
    assert isinstance(desk.receive(2, forged)[0], Blame)


def test_messages_of_another_epoch_are_ignored(desk: Desk):
    assert not desk.receive(2, desk.vote(2, Kind.NULLIFY, 1, epoch=2))
    assert not desk.receive(2, GetCertificates(2, 1))
    assert not desk.receive(2, Status(0, 2, 9, 9, 9, 0))


def test_a_sender_outside_the_committee_is_blamed(desk: Desk):
    (effect,) = desk.receive(9, GetStatus(1))
    assert isinstance(effect, Blame)
    assert isinstance(effect.error, InvalidMessage)


def test_another_node_with_my_key_stops_me(desk: Desk):
    with pytest.raises(Doppelganger):
        desk.receive(desk.me, GetStatus(1))


def test_a_leader_that_signs_many_blocks_costs_two_signatures(desk: Desk):
    class Counting:
        calls = 0

        def verify(self, digest, signature, address):
            self.calls += 1
            desk.verifier.verify(digest, signature, address)

    counting = desk.core.verifier = Counting()
    for number in range(20):
        desk.propose(desk.block(1, bundles=(bytes([number]) * 32,)))
    assert counting.calls == 2
    assert len(desk.core.tree) == 1
    assert not desk.sent(Propose)
