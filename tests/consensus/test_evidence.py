"""Facts about convictions: who signed what no honest member signs, and nobody else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.evidence import Evidence, is_conflict, make_evidence, verify_evidence
from consensus.guard import Guard
from consensus.vote import ZERO_HASH, Kind, Vote, digest_of
from primitives.errors import InvalidSignature, InvalidVote, WouldEquivocate
from tests.consensus.desk import Desk

A, B = b"\x0a" * 32, b"\x0b" * 32
DESK = Desk()


def check(evidence: Evidence) -> None:
    verify_evidence(evidence, DESK.committee, 1, DESK.config.domain, DESK.verifier)


def vote(kind: Kind, block_hash: bytes = ZERO_HASH, **changes) -> Vote:
    return DESK.vote(
        changes.get("signer", 2),
        kind,
        changes.get("view", 5),
        block_hash,
        changes.get("pending", ()),
        changes.get("epoch", 1),
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (vote(Kind.NOTARIZE, A), vote(Kind.NOTARIZE, B)),
        (vote(Kind.FINALIZE, B), vote(Kind.FINALIZE, A)),
        (vote(Kind.FINALIZE, A), vote(Kind.NULLIFY)),
    ],
)
def test_offences_convict_in_either_order(one: Vote, other: Vote):
    assert make_evidence(one, other) == make_evidence(other, one)
    check(make_evidence(one, other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (vote(Kind.NOTARIZE, A), vote(Kind.NOTARIZE, A)),
        (vote(Kind.NOTARIZE, A), vote(Kind.NOTARIZE, A, pending=(B,))),
        (vote(Kind.NULLIFY), vote(Kind.NULLIFY)),
        (vote(Kind.NOTARIZE, A), vote(Kind.NULLIFY)),
        (vote(Kind.NOTARIZE, A), vote(Kind.FINALIZE, B)),
        (vote(Kind.NOTARIZE, A), vote(Kind.NOTARIZE, B, view=6)),
        (vote(Kind.NOTARIZE, A), vote(Kind.NOTARIZE, B, signer=1)),
        (vote(Kind.FINALIZE, A), vote(Kind.FINALIZE, B, epoch=2)),
    ],
)
def test_odd_but_honest_pairs_convict_nobody(one: Vote, other: Vote):
    assert not is_conflict(one, other)
    with pytest.raises(InvalidVote):
        check(Evidence(one, other))


def test_the_pair_has_one_order_and_two_true_signatures():
    evidence = make_evidence(vote(Kind.NOTARIZE, A), vote(Kind.NOTARIZE, B))
    with pytest.raises(InvalidVote):
        check(Evidence(evidence.second, evidence.first))
    forged = msgspec.structs.replace(evidence.second, signature=evidence.first.signature)
    with pytest.raises(InvalidSignature):
        check(Evidence(evidence.first, forged))
    stranger = [msgspec.structs.replace(v, signer=9) for v in (evidence.first, evidence.second)]
    with pytest.raises(InvalidVote):
        check(Evidence(*stranger))


@given(
    st.lists(
        st.tuples(st.sampled_from(list(Kind)), st.sampled_from([A, B]), st.integers(1, 3)),
        max_size=20,
    )
)
def test_whatever_the_guard_lets_through_never_convicts(wishes):
    guard, signed = Guard(), []
    for kind, block_hash, view in wishes:
        wish = vote(kind, ZERO_HASH if kind is Kind.NULLIFY else block_hash, view=view)
        try:
            guard.admit(1, view, kind, digest_of(wish, DESK.config.domain))
        except WouldEquivocate:
            continue
        signed.append(wish)
    assert not any(is_conflict(one, other) for one in signed for other in signed)
