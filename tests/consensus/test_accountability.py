"""Facts about rule 11: conflicting votes are kept, told and put into a block, once."""

from __future__ import annotations

import pytest

from consensus.effects import Accuse, Blame, Sync
from consensus.evidence import Evidence, make_evidence
from consensus.messages import Blocks, Propose
from consensus.rules.accuse import choose_evidence
from consensus.vote import Kind
from primitives.errors import StateDiverged
from tests.consensus.desk import Desk

A, B = b"\x1a" * 32, b"\x1b" * 32


@pytest.fixture
def desk() -> Desk:
    """A follower in view 1."""
    desk = Desk()
    desk.me = next(index for index in range(4) if index != desk.leader(1))
    desk.replica = desk.make_replica()
    desk.start()
    return desk


def offender(desk: Desk) -> int:
    return next(index for index in range(4) if index not in (desk.me, desk.leader(1)))


def double(desk: Desk, view: int = 1) -> Evidence:
    signer = offender(desk)
    return make_evidence(
        desk.vote(signer, Kind.NOTARIZE, view, A), desk.vote(signer, Kind.NOTARIZE, view, B)
    )


def accusations(desk: Desk) -> list[Evidence]:
    return [effect.evidence for effect in desk.effects if isinstance(effect, Accuse)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((Kind.NOTARIZE, A), (Kind.NOTARIZE, B)),
        ((Kind.FINALIZE, A), (Kind.FINALIZE, B)),
        ((Kind.NULLIFY, bytes(32)), (Kind.FINALIZE, A)),
        ((Kind.FINALIZE, A), (Kind.NULLIFY, bytes(32))),
    ],
)
def test_two_conflicting_votes_convict(desk: Desk, first, second):
    signer = offender(desk)
    desk.receive(signer, desk.vote(signer, first[0], 1, first[1]))
    assert not accusations(desk)
    effects = desk.receive(signer, desk.vote(signer, second[0], 1, second[1]))
    (evidence,) = accusations(desk)
    assert evidence.offender == signer
    assert [type(effect) for effect in effects].index(Sync) < effects.index(Accuse(evidence))
    assert desk.sent(Evidence) == [evidence]
    assert desk.journal(), "it is durable before it is told"


def test_the_same_block_with_other_pending_ids_convicts_nobody(desk: Desk):
    signer = offender(desk)
    desk.receive(signer, desk.vote(signer, Kind.NOTARIZE, 1, A))
    desk.receive(signer, desk.vote(signer, Kind.NOTARIZE, 1, A, (B,)))
    assert not desk.effects


def test_one_conviction_per_member(desk: Desk):
    desk.receive(desk.other(), double(desk, 1))
    assert accusations(desk)
    desk.receive(desk.other(), double(desk, 2))
    assert not accusations(desk)


def test_a_false_accusation_is_blamed_on_its_teller(desk: Desk):
    vote = desk.vote(offender(desk), Kind.NOTARIZE, 1, A)
    effects = desk.receive(2 if desk.me != 2 else 1, Evidence(vote, vote))
    assert [type(effect) for effect in effects] == [Blame]


def test_only_the_first_vote_of_an_offender_counts(desk: Desk):
    signer = offender(desk)
    desk.receive(signer, desk.vote(signer, Kind.NOTARIZE, 1, A))
    desk.receive(signer, desk.vote(signer, Kind.NOTARIZE, 1, B))
    assert desk.core.at(1).notarize_weight == {A: 1}


def test_the_next_leader_puts_a_conviction_into_its_block_and_only_once(desk: Desk):
    desk.receive(desk.other(), double(desk))
    view = desk.view_led_by(desk.me)
    desk.skip_to(view)
    (proposal,) = desk.sent(Propose)
    assert proposal.block.evidence == (double(desk),)
    block = desk.core.tree.get(desk.core.at(view).noted)
    desk.receive(desk.other(), desk.finalization(block))
    assert desk.core.accused == {offender(desk)}

    assert choose_evidence(desk.core, ()) == ()


def test_a_block_with_false_evidence_is_invalid(desk: Desk):
    vote = desk.vote(offender(desk), Kind.NOTARIZE, 1, A)
    desk.propose(desk.block(1, evidence=(Evidence(vote, vote),)))
    assert desk.sent(Kind.NULLIFY)


def test_a_block_with_true_evidence_is_valid(desk: Desk):
    desk.propose(desk.block(1, evidence=(double(desk),)))
    assert desk.sent(Kind.NOTARIZE)


@pytest.mark.parametrize("is_certificate_first", [True, False])
def test_a_vote_and_a_certificate_convict_together(desk: Desk, is_certificate_first: bool):
    """A leader shows each half of the network another block."""
    leader = desk.leader(1)
    shown, other = desk.block(1), desk.block(1, bundles=(A,))
    signers = tuple(sorted({leader, *(i for i in range(4) if i != desk.me)}))
    events = [
        lambda: desk.receive(desk.other(), desk.notarization(other, signers)),
        lambda: desk.receive(leader, desk.proposal(shown)),
    ]
    for event in events if is_certificate_first else events[::-1]:
        event()
    (evidence,) = accusations(desk)
    assert evidence.offender == leader


def test_two_certificates_of_one_view_convict_everybody_in_both(desk: Desk):
    desk.receive(desk.other(), desk.certificate(Kind.NOTARIZE, 1, A, (0, 1, 2)))
    desk.receive(desk.other(), desk.certificate(Kind.NOTARIZE, 1, B, (1, 2, 3)))
    assert {evidence.offender for evidence in accusations(desk)} == {1, 2}


def test_two_final_blocks_of_one_view_stop_the_node(desk: Desk):
    desk.receive(desk.other(), desk.certificate(Kind.FINALIZE, 1, A, (0, 1, 2)))
    with pytest.raises(StateDiverged):
        desk.receive(desk.other(), desk.certificate(Kind.FINALIZE, 1, B, (1, 2, 3)))
    assert set(desk.core.offences) == {1, 2}


def test_a_final_block_beside_my_chain_stops_the_node(desk: Desk):
    mine, other = desk.block(1), desk.block(1, bundles=(A,))
    desk.propose(mine)
    desk.receive(desk.other(), desk.notarization(mine))
    desk.receive(desk.other(), desk.finalization(mine))
    child = desk.block(2, other)
    desk.receive(desk.other(), desk.finalization(child))
    with pytest.raises(StateDiverged):
        desk.receive(desk.other(), Blocks((child.body, other.body)))
