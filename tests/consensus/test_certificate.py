"""Facts about certificates."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.certificate import (
    BITMAP_BYTES,
    Certificate,
    assemble_certificate,
    compute_required_ids,
    verify_certificate,
)
from consensus.vote import ZERO_HASH, Kind, digest_of
from primitives.errors import PeerError
from primitives.secp256k1 import PrivateKey, recover_address
from tests.consensus.desk import Desk

HASH = b"\x22" * 32
IDS = tuple(bytes([index]) * 32 for index in range(1, 9))


def check(desk: Desk, certificate: Certificate, known=None) -> None:
    verify_certificate(certificate, desk.committee, desk.config.domain, desk.verifier, known)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
    st.data(),
    st.sampled_from(list(Kind)),
)
def test_a_certificate_is_valid_exactly_from_a_quorum_on(weights, data, kind):
    desk = Desk(weights=tuple(weights))
    signers = data.draw(st.sets(st.sampled_from(range(len(weights))), min_size=1))
    block_hash = ZERO_HASH if kind is Kind.NULLIFY else HASH
    certificate = desk.certificate(kind, 3, block_hash, tuple(signers))
    assert certificate.signers == tuple(sorted(signers))
    if desk.committee.weight(signers) >= desk.committee.quorum:
        check(desk, certificate)
    else:
        with pytest.raises(PeerError):
            check(desk, certificate)


def test_signatures_stand_in_index_order_for_the_contract():
    desk = Desk()
    votes = [desk.vote(signer, Kind.FINALIZE, 3, HASH) for signer in (3, 0, 2)]
    certificate = assemble_certificate(votes)
    assert certificate.bitmap_word == 0b1101
    assert certificate.packed_signatures == b"".join(votes[i].signature for i in (1, 2, 0))
    assert list(certificate.votes()) == [votes[1], votes[2], votes[0]]


def test_each_signature_recovers_to_its_member():
    desk = Desk()
    keys = [PrivateKey(bytes(31) + bytes([index + 1])) for index in range(4)]
    desk.keys = keys
    certificate = desk.certificate(Kind.FINALIZE, 3, HASH)

    for vote in certificate.votes():
        digest = digest_of(vote, desk.config.domain)
        assert recover_address(digest, vote.signature) == keys[vote.signer].address


def changed(certificate: Certificate, **changes) -> Certificate:
    return msgspec.structs.replace(certificate, **changes)


def bitmap(word: int) -> bytes:
    return word.to_bytes(BITMAP_BYTES, "big")


@pytest.mark.parametrize(
    "change",
    [
        lambda c: changed(c, kind=Kind.NOTARIZE),
        lambda c: changed(c, view=4),
        lambda c: changed(c, epoch=2),
        lambda c: changed(c, block_hash=b"\x23" * 32),
        lambda c: changed(c, bitmap=bitmap(0b1101)),
        lambda c: changed(c, bitmap=bitmap(0b1111)),
        lambda c: changed(c, bitmap=bitmap(0b11100)),
        lambda c: changed(c, bitmap=bitmap(0)),
        lambda c: changed(c, signatures=c.signatures[::-1]),
        lambda c: changed(c, signatures=c.signatures[:2]),
        lambda c: changed(c, signatures=(), bitmap=bitmap(0)),
        lambda c: changed(c, pending=((), (), ())),
        lambda c: changed(c, pending=((IDS[0],), (), ())),
        lambda c: changed(c, signatures=(c.signatures[0],) * 3),
    ],
)
def test_a_certificate_changed_anywhere_is_refused(change):
    desk = Desk()
    certificate = desk.certificate(Kind.FINALIZE, 3, HASH)
    check(desk, certificate)
    with pytest.raises(PeerError):
        check(desk, change(certificate))


def test_known_votes_are_not_verified_again():
    desk = Desk()
    votes = {signer: desk.vote(signer, Kind.NOTARIZE, 3, HASH) for signer in (1, 2, 3)}
    certificate = assemble_certificate(votes.values())

    class Counting:
        calls = 0

        def verify(self, digest, signature, address):
            self.calls += 1
            desk.verifier.verify(digest, signature, address)

    counting = Counting()
    del votes[2]
    verify_certificate(certificate, desk.committee, desk.config.domain, counting, votes)
    assert counting.calls == 1


def test_required_ids_are_those_listed_by_more_than_the_tolerated_weight():
    desk = Desk(weights=(3, 3, 2, 2))  # tolerated: 3
    lists = {0: IDS[:2], 1: IDS[1:3], 2: (IDS[3],), 3: (IDS[3], IDS[4])}
    certificate = assemble_certificate(
        desk.vote(signer, Kind.NOTARIZE, 3, HASH, pending) for signer, pending in lists.items()
    )
    check(desk, certificate)
    assert compute_required_ids(certificate, desk.committee) == (IDS[1], IDS[3])
    assert compute_required_ids(desk.certificate(Kind.NOTARIZE, 3, HASH), desk.committee) == ()
