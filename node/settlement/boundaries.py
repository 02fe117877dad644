"""Bring a vault over the borders between epochs, in order, in turn with the other validators.

Rule: a vault knows one committee; each border is proven to it by the committee before, so none can
be left out, and a checkpoint of a new epoch waits until the vault has arrived there.
Spec: docs/spec/settlement.md §5; docs/spec/node.md (Settlement). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from consensus.certificate import Certificate
from consensus.committee import Committee
from consensus.header import HEADER_BYTES, ZERO_HASH
from contracts.settlement_types import CheckpointSubmission, CommitteeMember
from node.blocks.executor import FinalBlock
from node.clock import NodeClock
from node.committee.epoch_book import EpochBook
from node.limits import CHECKPOINT_TURN_MS
from primitives import codec

log = logging.getLogger("omnibazaar.settlement")

Words = Annotated[bytes, msgspec.Meta(min_length=HEADER_BYTES, max_length=HEADER_BYTES)]


class BoundaryProof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The header that a certificate finalizes: a boundary block's, or that of a seal on it.

    Both name the next committee, so however many seals it took, one header proves the border.
    """

    headers: Annotated[tuple[Words, ...], msgspec.Meta(min_length=1, max_length=1)]
    certificate: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """One border as a vault takes it."""

    submission: CheckpointSubmission
    next_members: tuple[CommitteeMember, ...]
    next_epoch: int


def encode_boundary_proof(final: FinalBlock) -> bytes:
    """Lay out the proof of a final boundary block; empty for every other block."""
    if final.block.header.next_committee_hash == ZERO_HASH:
        return b""
    assert final.certificate is not None, "a boundary block always comes with its proof"
    certified = final.seals[-1] if final.seals else final.block
    return codec.encode(BoundaryProof((certified.body.header,), final.certificate))


def make_crossing(data: bytes, book: EpochBook, epoch: int) -> Crossing | None:
    """Return the way out of an epoch; None when this node does not know both committees."""
    before, after = book.get(epoch), book.get(epoch + 1)
    if before is None or after is None:
        return None
    proof: BoundaryProof = codec.decode(data, BoundaryProof)
    submission = CheckpointSubmission(
        headers=proof.headers,
        executed_height=0,  # not asked for at a border, like the fees
        signers=proof.certificate.bitmap_word,
        signatures=proof.certificate.packed_signatures,
        members=to_members(before.committee),
        fees=(),
    )
    return Crossing(
        submission=submission, next_members=to_members(after.committee), next_epoch=epoch + 1
    )


def to_members(committee: Committee) -> tuple[CommitteeMember, ...]:
    """Return a committee as contracts know it."""
    return tuple(CommitteeMember(address=m.address, weight=m.weight) for m in committee.members)


class HandOver:
    """Watches one vault's epoch and brings it to the present one."""

    def __init__(
        self,
        *,
        book: EpochBook,
        me: bytes,
        clock: NodeClock,
        read_epoch: Callable[[], Awaitable[int]],
        load_proof: Callable[[int], Awaitable[bytes | None]],
        submit: Callable[[Crossing], Awaitable[None]],
    ) -> None:
        self._book = book
        self._me = me
        self._clock = clock
        self._read_epoch = read_epoch
        self._load_proof = load_proof
        self._submit = submit
        self._behind_since_ms: int | None = None
        self.vault_epoch = 0  # as last read

    async def step(self) -> bool:
        """Take at most one border; True when the vault is in the present epoch.

        Raises TransientError, ContractRefused.
        """
        if self.vault_epoch < self._book.current.number:
            self.vault_epoch = await self._read_epoch()
        if self.vault_epoch >= self._book.current.number:
            self._behind_since_ms = None
            return True
        if self._is_my_turn():
            await self._cross(self.vault_epoch)
        return False

    def _is_my_turn(self) -> bool:
        """Members take turns by epoch; who is absent costs the others a few seconds."""
        now_ms, epoch = self._clock.now_ms(), self._book.current
        if self._behind_since_ms is None:
            self._behind_since_ms = now_ms
        seat = epoch.committee.index_of(self._me)
        if seat is None:
            return False
        turn = (seat - epoch.number) % len(epoch.committee)
        return now_ms - self._behind_since_ms >= turn * CHECKPOINT_TURN_MS

    async def _cross(self, epoch: int) -> None:
        data = await self._load_proof(epoch)
        crossing = None if data is None else make_crossing(data, self._book, epoch)
        if crossing is None:
            return  # it was final before this node's time: others hold the proof
        await self._submit(crossing)
        self._behind_since_ms = None
        log.info("the vault follows the committee of epoch %d", crossing.next_epoch)
