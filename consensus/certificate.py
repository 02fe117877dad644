"""Prove with distinct signatures of a quorum that a view was notarized, nullified or finalized.

Rule: a certificate is canonical: signers ascending in a bitmap, one signature each in the same
order, and pending lists present only when one of them is not empty.
Spec: docs/spec/wire-consensus.md (Certificate). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import msgspec

from consensus.committee import Committee
from consensus.limits import COMMITTEE_MAX
from consensus.signing import Verifier
from consensus.vote import (
    Counter,
    Hash32,
    Kind,
    PendingIds,
    Signature,
    Vote,
    digest_of,
    verify_shape,
)
from primitives.errors import InvalidVote

BITMAP_BYTES = COMMITTEE_MAX // 8


class Certificate(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """Votes of one kind, view and block whose signers weigh at least a quorum."""

    kind: Kind
    epoch: Counter
    view: Counter
    block_hash: Hash32
    bitmap: Annotated[bytes, msgspec.Meta(min_length=BITMAP_BYTES, max_length=BITMAP_BYTES)]
    signatures: Annotated[tuple[Signature, ...], msgspec.Meta(max_length=COMMITTEE_MAX)]
    pending: Annotated[tuple[PendingIds, ...], msgspec.Meta(max_length=COMMITTEE_MAX)]

    @property
    def bitmap_word(self) -> int:
        """The signers as the uint256 a contract reads: bit i stands for member i."""
        return int.from_bytes(self.bitmap, "big")

    @property
    def signers(self) -> tuple[int, ...]:
        """The signers' indices, ascending."""
        word = self.bitmap_word
        return tuple(index for index in range(word.bit_length()) if word >> index & 1)

    def has_signer(self, index: int) -> bool:
        """True when a member's vote is inside."""
        return bool(self.bitmap_word >> index & 1)

    @property
    def packed_signatures(self) -> bytes:
        """The signatures one after the other, 65 bytes each, in index order."""
        return b"".join(self.signatures)

    def votes(self) -> Iterator[Vote]:
        """Yield the votes the certificate was made of, by ascending signer."""
        lists = self.pending or ((),) * len(self.signatures)
        for signer, signature, pending in zip(self.signers, self.signatures, lists, strict=True):
            yield Vote(
                self.kind, self.epoch, self.view, self.block_hash, pending, signer, signature
            )


def assemble_certificate(votes: Iterable[Vote]) -> Certificate:
    """Build the certificate of votes that agree in kind, epoch, view and block."""
    ordered = sorted(votes, key=lambda vote: vote.signer)
    first = ordered[0]
    word = 0
    for vote in ordered:
        word |= 1 << vote.signer
    lists = tuple(vote.pending for vote in ordered)
    return Certificate(
        kind=first.kind,
        epoch=first.epoch,
        view=first.view,
        block_hash=first.block_hash,
        bitmap=word.to_bytes(BITMAP_BYTES, "big"),
        signatures=tuple(vote.signature for vote in ordered),
        pending=lists if any(lists) else (),
    )


def verify_certificate(
    certificate: Certificate,
    committee: Committee,
    domain: bytes,
    verifier: Verifier,
    known: Mapping[int, Vote] | None = None,
) -> None:
    """Check form, weight and every signature that is not `known` already.

    Raises InvalidVote or InvalidSignature.
    """
    signers = certificate.signers
    verify_form(certificate, signers, committee)
    for vote in certificate.votes():
        if known is not None and known.get(vote.signer) == vote:
            continue
        verify_shape(vote)
        verifier.verify(digest_of(vote, domain), vote.signature, committee.address(vote.signer))


def verify_form(certificate: Certificate, signers: tuple[int, ...], committee: Committee) -> None:
    """Check everything but the signatures. Raises InvalidVote."""
    if not signers or signers[-1] >= len(committee):
        raise InvalidVote("a certificate names a signer outside the committee")
    if len(certificate.signatures) != len(signers):
        raise InvalidVote("a certificate has one signature per signer")
    if certificate.pending and (
        len(certificate.pending) != len(signers) or not any(certificate.pending)
    ):
        raise InvalidVote("pending lists come for all signers or not at all")
    if committee.weight(signers) < committee.quorum:
        raise InvalidVote("a certificate weighs less than a quorum")


def compute_required_ids(certificate: Certificate, committee: Committee) -> tuple[bytes, ...]:
    """Return the ids that members of more than the tolerated weight listed, ascending."""
    if not certificate.pending:
        return ()
    weight_of_id: dict[bytes, int] = {}
    for signer, pending in zip(certificate.signers, certificate.pending, strict=True):
        weight = committee.weights[signer]
        for action_id in pending:
            weight_of_id[action_id] = weight_of_id.get(action_id, 0) + weight
    return tuple(
        sorted(
            action_id for action_id, weight in weight_of_id.items() if weight > committee.tolerated
        )
    )
