"""Collect the votes of one view and say when they are enough.

Rule: everything that decides whether a quorum exists in a view lives in this file; it does not know
which member we are.
Spec: docs/spec/consensus.md §7. Simplex (eprint 2023/463) §3.
Deviations: of conflicting votes of one member and kind only the first counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from consensus.certificate import Certificate, assemble_certificate
from consensus.committee import Committee
from consensus.evidence import Evidence, is_conflict, make_evidence
from consensus.vote import Kind, Vote


@dataclass(slots=True)
class ViewState:
    """Votes, certificates and my own commitments in one view."""

    proposal: bytes | None = None  # the first block its leader signed, or the notarized one
    is_invalid: bool = False  # the proposal breaks a rule
    is_equivocated: bool = False  # its leader signed two blocks
    is_waiting: bool = False  # nothing to do here before something new arrives

    noted: bytes | None = None  # the block I notarized
    nulled: bool = False  # I gave this view up
    finalized: bytes | None = None  # the block I finalized

    notarize: dict[int, Vote] = field(default_factory=dict)
    nullify: dict[int, Vote] = field(default_factory=dict)
    finalize: dict[int, Vote] = field(default_factory=dict)
    notarize_weight: dict[bytes, int] = field(default_factory=dict)
    finalize_weight: dict[bytes, int] = field(default_factory=dict)
    nullify_weight: int = 0

    notarization: Certificate | None = None
    nullification: Certificate | None = None
    finalization: Certificate | None = None

    def votes(self, kind: Kind) -> dict[int, Vote]:
        """Return the counted votes of one kind by signer."""
        if kind is Kind.NOTARIZE:
            return self.notarize
        return self.nullify if kind is Kind.NULLIFY else self.finalize

    def certificate(self, kind: Kind) -> Certificate | None:
        """Return the certificate of one kind, if it is held."""
        if kind is Kind.NOTARIZE:
            return self.notarization
        return self.nullification if kind is Kind.NULLIFY else self.finalization

    def certificates(self) -> Iterator[Certificate]:
        """Yield all certificates held of this view."""
        for certificate in (self.finalization, self.nullification, self.notarization):
            if certificate is not None:
                yield certificate

    def keep(self, certificate: Certificate) -> None:
        """Store the first certificate of its kind."""
        assert self.certificate(certificate.kind) is None, "a certificate is never replaced"
        if certificate.kind is Kind.NOTARIZE:
            self.notarization = certificate
        elif certificate.kind is Kind.NULLIFY:
            self.nullification = certificate
        else:
            self.finalization = certificate

    def certified_hash(self) -> bytes | None:
        """Return the block that is notarized or finalized in this view."""
        certificate = self.finalization or self.notarization
        return certificate.block_hash if certificate is not None else None

    def own_votes(self, me: int) -> Iterator[Vote]:
        """Yield the votes that member `me` cast here."""
        for votes in (self.notarize, self.nullify, self.finalize):
            if me in votes:
                yield votes[me]

    def count(self, vote: Vote, committee: Committee) -> Certificate | None:
        """Add a verified vote; return the certificate if this vote completes it."""
        votes = self.votes(vote.kind)
        if vote.signer in votes:
            return None
        votes[vote.signer] = vote
        weight = self._add_weight(vote, committee.weights[vote.signer])
        if weight < committee.quorum or self.certificate(vote.kind) is not None:
            return None
        return assemble_certificate(
            other for other in votes.values() if other.block_hash == vote.block_hash
        )

    def find_offence(self, vote: Vote) -> Evidence | None:
        """Return the offence that a verified vote proves together with one I hold.

        A leader that shows each half of the network another block is seen through certificates
        only: its other vote came to me inside one.
        """
        for votes in (self.notarize, self.nullify, self.finalize):
            earlier = votes.get(vote.signer)
            if earlier is not None and is_conflict(earlier, vote):
                return make_evidence(earlier, vote)
        for certificate in self.certificates():
            if certificate.block_hash != vote.block_hash and certificate.has_signer(vote.signer):
                for other in certificate.votes():
                    if is_conflict(other, vote):
                        return make_evidence(other, vote)
        return None

    def _add_weight(self, vote: Vote, weight: int) -> int:
        if vote.kind is Kind.NULLIFY:
            self.nullify_weight += weight
            return self.nullify_weight
        table = self.notarize_weight if vote.kind is Kind.NOTARIZE else self.finalize_weight
        table[vote.block_hash] = table.get(vote.block_hash, 0) + weight
        return table[vote.block_hash]
