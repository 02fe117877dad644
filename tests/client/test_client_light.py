"""A light client believes what follows from the contract's committee, and nothing else.

Rule: proofs are made by the real exchange and real keys; every single bent byte is refused.
Spec: docs/spec/light-client.md. Deviations: none.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import AnchorOutdated, ProofRefused
from client.light import (
    Anchor,
    BalanceProof,
    FinalityProof,
    follow_boundary,
    read_proof,
    verify_balance,
    verify_finality,
    verify_proven_balance,
)
from client.views import Atoms, CommitteeSeat, ProvenBalance
from consensus.certificate import assemble_certificate
from consensus.committee import Committee, Member
from consensus.header import ZERO_HASH, Header, encode_header, hash_header
from consensus.vote import Kind, Vote, digest_of
from exchange.roots import compute_roots, compute_state_root, escape_proof
from primitives import codec
from tests.exchange.world import DOMAIN, QUOTE, World, make_key

KEYS = [make_key(f"validator {i}") for i in range(4)]
MEMBERS = tuple(Member(address=key.address, weight=10 + i) for i, key in enumerate(KEYS))
COMMITTEE = Committee(MEMBERS)
EPOCH = 3
ANCHOR = Anchor(domain=DOMAIN, epoch=EPOCH, committee_hash=COMMITTEE.hash)


def make_header(height: int, state_root: bytes, parent: bytes, **changes: object) -> bytes:
    header = Header(
        epoch=EPOCH,
        view=height + 1,
        height=height,
        parent_view=height,
        parent_hash=parent,
        time_ms=1_700_000_000_000 + height,
        bundles_root=ZERO_HASH,
        executed_height=height - 1,
        state_root=state_root,
        fees_root=ZERO_HASH,
        attendance_root=ZERO_HASH,
        evidence_root=ZERO_HASH,
        committee_hash=COMMITTEE.hash,
        next_committee_hash=ZERO_HASH,
        checkpoint_digest=ZERO_HASH,
        proposer=0,
    )
    return encode_header(replace(header, **changes))  # type: ignore[arg-type]


def certify(words: bytes, *signers: int, kind: Kind = Kind.FINALIZE, epoch: int = EPOCH):
    view = int.from_bytes(words[32:64], "big")
    votes = []
    for signer in signers or (0, 1, 3):
        unsigned = Vote(kind, epoch, view, hash_header(words), (), signer, bytes(65))
        signature = KEYS[signer].sign(digest_of(unsigned, DOMAIN))
        votes.append(msgspec.structs.replace(unsigned, signature=signature))
    return assemble_certificate(votes)


def make_chain(state_root: bytes, **changes: object) -> FinalityProof:
    first = make_header(8, state_root, b"\x01" * 32, **changes)
    second = make_header(9, ZERO_HASH, hash_header(first))
    return FinalityProof(headers=(first, second), certificate=certify(second), members=MEMBERS)


@pytest.fixture(scope="module")
def answer() -> ProvenBalance:
    """What an honest node answers for bob."""
    world = World()
    world.fund("ann", "bob", "cy")
    proof = escape_proof(world.state, make_key("bob").address, 0, QUOTE)
    assert proof is not None
    roots = compute_roots(world.state)
    chain = make_chain(compute_state_root(roots))
    words = proof.words
    return ProvenBalance(
        owner=proof.owner,
        account=proof.account,
        sub=0,
        asset=QUOTE,
        entry=proof.entry,
        free=Atoms(proof.free),
        held=Atoms(proof.held),
        entry_siblings=tuple(proof.entry_siblings),
        account_siblings=tuple(proof.account_siblings),
        roots=(
            words.height.to_bytes(32, "big"),
            words.accounts,
            words.withdrawals,
            words.deposits,
            words.fills,
            words.effects,
            words.rest,
        ),
        headers=chain.headers,
        certificate=codec.encode(chain.certificate),
        members=tuple(CommitteeSeat(address=m.address, weight=m.weight) for m in MEMBERS),
    )


BOB = make_key("bob").address


def verify(anchor: Anchor, found: ProvenBalance, owner: bytes = BOB) -> tuple[int, int, int]:
    return verify_proven_balance(anchor, found, owner=owner, sub=0, asset=QUOTE)


def test_a_good_proof_of_another_balance_is_refused(answer: ProvenBalance) -> None:
    with pytest.raises(ProofRefused, match="another balance"):
        verify(ANCHOR, answer, owner=make_key("ann").address)
    for wrong in ({"owner": BOB, "sub": 1, "asset": QUOTE}, {"owner": BOB, "sub": 0, "asset": 1}):
        with pytest.raises(ProofRefused, match="another balance"):
            verify_proven_balance(ANCHOR, answer, **wrong)  # type: ignore[arg-type]


def test_a_proof_older_than_what_the_contract_accepted_is_refused(answer: ProvenBalance) -> None:
    assert verify(replace(ANCHOR, height=7), answer)[0] == 7
    with pytest.raises(ProofRefused, match="height 7"):
        verify(replace(ANCHOR, height=8), answer)


def test_an_honest_answer_is_believed(answer: ProvenBalance) -> None:
    assert verify(ANCHOR, answer) == (7, 10**12, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"free": Atoms(10**12 + 1)},
        {"held": Atoms(1)},
        {"sub": 1},
        {"asset": 1},
        {"entry": 1},
        {"account": 1},
        {"owner": b"\x07" * 20},
        {"free": Atoms(1 << 256)},
        {"account": -1},
        {"roots": (bytes(32),) * 7},
        {"roots": ()},
        {"entry_siblings": ()},
        {"account_siblings": (bytes(31),) * 32},
        {"headers": ()},
        {"headers": (bytes(512),)},
        {"headers": (b"short",)},
        {"certificate": b""},
        {"certificate": b"\x93" * 40},
        {"members": ()},
    ],
)
def test_a_bent_answer_is_refused(answer: ProvenBalance, change: dict[str, object]) -> None:
    with pytest.raises(ProofRefused):
        verify(ANCHOR, msgspec.structs.replace(answer, **change))


@given(place=st.integers(0, 2**20), bit=st.integers(0, 7))
def test_no_flipped_bit_of_certificate_or_headers_is_believed(
    answer: ProvenBalance, place: int, bit: int
) -> None:
    blobs = [answer.certificate, *answer.headers]
    place %= sum(len(blob) for blob in blobs)
    for index, blob in enumerate(blobs):
        if place < len(blob):
            bent = blob[:place] + bytes([blob[place] ^ 1 << bit]) + blob[place + 1 :]
            blobs[index] = bent
            break
        place -= len(blob)
    changed = msgspec.structs.replace(answer, certificate=blobs[0], headers=tuple(blobs[1:]))
    with pytest.raises(ProofRefused):
        verify(ANCHOR, changed)


@pytest.mark.parametrize(
    "anchor",
    [
        replace(ANCHOR, epoch=EPOCH + 1),
        replace(ANCHOR, committee_hash=b"\x09" * 32),
        replace(ANCHOR, domain=b"\x09" * 32),
    ],
)
def test_another_contract_believes_nothing(answer: ProvenBalance, anchor: Anchor) -> None:
    with pytest.raises(ProofRefused):
        verify(anchor, answer)


def test_an_epoch_that_the_contract_does_not_know_yet_is_told_from_a_lie(
    answer: ProvenBalance,
) -> None:
    with pytest.raises(AnchorOutdated, match="the contract knows"):
        verify(replace(ANCHOR, epoch=EPOCH - 1), answer)
    with pytest.raises(AnchorOutdated, match="the contract knows"):  # of another committee, too
        verify(replace(ANCHOR, epoch=EPOCH - 1, committee_hash=bytes(32)), answer)
    with pytest.raises(ProofRefused) as refused:
        verify(replace(ANCHOR, epoch=EPOCH + 1), answer)
    assert not isinstance(refused.value, AnchorOutdated)


def test_two_of_four_or_another_kind_finalize_nothing() -> None:
    chain = make_chain(ZERO_HASH)
    last = chain.headers[-1]
    verify_finality(ANCHOR, chain)
    for certificate in (
        certify(last, 0, 1),
        certify(last, kind=Kind.NOTARIZE),
        certify(last, epoch=EPOCH + 1),
        certify(chain.headers[0]),
    ):
        with pytest.raises(ProofRefused):
            verify_finality(ANCHOR, replace(chain, certificate=certificate))


def test_a_chain_too_long_for_the_contract_is_too_long_here() -> None:
    headers = [make_header(8, ZERO_HASH, b"\x01" * 32)]
    for height in range(9, 9 + 64):
        headers.append(make_header(height, ZERO_HASH, hash_header(headers[-1])))
    with pytest.raises(ProofRefused, match="65 headers"):
        verify_finality(
            ANCHOR,
            FinalityProof(
                headers=tuple(headers), certificate=certify(headers[-1]), members=MEMBERS
            ),
        )


def test_an_epochs_border_hands_the_anchor_over() -> None:
    successors = tuple(Member(address=bytes([i + 1]) * 20, weight=1) for i in range(5))
    chain = make_chain(ZERO_HASH, next_committee_hash=Committee(successors).hash)
    anchor = follow_boundary(ANCHOR, chain, successors)
    assert (anchor.epoch, anchor.committee_hash) == (EPOCH + 1, Committee(successors).hash)
    with pytest.raises(ProofRefused):
        follow_boundary(ANCHOR, chain, successors[:4])
    with pytest.raises(ProofRefused, match="ends no epoch"):
        follow_boundary(ANCHOR, make_chain(ZERO_HASH), successors)


def test_a_balance_is_checked_against_any_known_root(answer: ProvenBalance) -> None:
    _, balance = read_proof(answer)
    assert isinstance(balance, BalanceProof)
    with pytest.raises(ProofRefused):
        verify_balance(b"\x05" * 32, balance)
