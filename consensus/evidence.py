"""Convict a member of two votes that no honest member signs.

Rule: an offence is two validly signed votes of one member in one view: N and N or F and F for
different blocks, or X and F. Anything else is no offence, however odd.
Spec: docs/spec/consensus.md §11. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from consensus.committee import Committee
from consensus.signing import Verifier
from consensus.vote import Kind, Vote, digest_of, verify_shape
from primitives.errors import InvalidVote


class Evidence(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=11):
    """Two conflicting votes, in canonical order: by kind, then by block hash."""

    first: Vote
    second: Vote

    @property
    def offender(self) -> int:
        """The index of the member who signed both votes."""
        return self.first.signer


def is_conflict(one: Vote, other: Vote) -> bool:
    """True when no honest member signs both votes. Pending lists and signatures do not matter."""
    if (one.signer, one.epoch, one.view) != (other.signer, other.epoch, other.view):
        return False
    if one.kind is other.kind:
        return one.block_hash != other.block_hash
    return {one.kind, other.kind} == {Kind.NULLIFY, Kind.FINALIZE}


def make_evidence(one: Vote, other: Vote) -> Evidence:
    """Return the canonical pair of two conflicting votes."""
    assert is_conflict(one, other), "evidence is made of votes that conflict"
    first, second = sorted((one, other), key=_order)
    return Evidence(first, second)


def verify_evidence(
    evidence: Evidence, committee: Committee, epoch: int, domain: bytes, verifier: Verifier
) -> None:
    """Check a conviction. Raises InvalidVote or InvalidSignature."""
    first, second = evidence.first, evidence.second
    if first.epoch != epoch or not is_conflict(first, second):
        raise InvalidVote("the two votes are no offence in this epoch")
    if _order(first) >= _order(second):
        raise InvalidVote("the two votes of an offence are in canonical order")
    if first.signer >= len(committee):
        raise InvalidVote("the accused is not a member of the committee")
    for vote in (first, second):
        verify_shape(vote)
        verifier.verify(digest_of(vote, domain), vote.signature, committee.address(vote.signer))


def find_conflicts(one: Iterator[Vote], others: dict[int, Vote]) -> Iterator[Evidence]:
    """Yield the offences that two sets of votes prove together."""
    for vote in one:
        other = others.get(vote.signer)
        if other is not None and is_conflict(vote, other):
            yield make_evidence(vote, other)


def _order(vote: Vote) -> tuple[int, bytes]:
    return (int(vote.kind), vote.block_hash)
