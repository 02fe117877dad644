"""Measure who keeps the newest snapshot by answers that are committed to before they are shown.

Rule: the truth is the answer that validators in office with more than a third of all weight show
for themselves; where there is none, nobody has an opportunity. A commitment is bound to its owner,
so whoever has no chunk can neither answer nor copy what others commit to.
Spec: docs/spec/participation.md (Storage). Deviations: an answer proves a
copy that its sender can have read, not one copy per key (ADR 0310).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consensus.limits import CHECKPOINT_LAG
from consensus.participation.facts import ZERO32, StorageWord
from consensus.participation.parameters import CREDIT_ONE, STORAGE
from consensus.participation.register import Validator
from consensus.participation.selection import Seat
from primitives.keccak import keccak256

OWES_COMMITMENT = 1  # offered storage when the open part began
OWES_ANSWER = 2  # and when the part before it began


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What chose the chunk of one part: the final block before its first height."""

    height: int = 0
    block_hash: bytes = ZERO32

    def snapshot_height(self, interval: int) -> int:
        """Return the newest checkpoint whose snapshot was stated by then; 0 where there is none."""
        return max(0, self.height - CHECKPOINT_LAG) // interval * interval


def choose_chunk(block_hash: bytes, count: int) -> int:
    """Return the index of the chunk that is asked for; `count` is at least one."""
    return int.from_bytes(block_hash, "big") % count


def compute_answer(block_hash: bytes, chunk: bytes) -> bytes:
    """Return what only a holder of the chunk can compute once the block is final."""
    return keccak256(block_hash + chunk)


def compute_commitment(answer: bytes, owner: bytes) -> bytes:
    """Return the word that binds an answer to one registration before it is shown."""
    return keccak256(answer + owner)


def note_word(validator: Validator, word: StorageWord, part: int) -> None:
    """Take in what a validator says about storage; words for another part say nothing."""
    if word.part != part:
        return
    if word.commitment != ZERO32:
        validator.commitment = word.commitment
    if word.answer != ZERO32 and validator.commitment_before == compute_commitment(
        word.answer, validator.owner
    ):
        validator.answer = word.answer


def find_truth(seats: Sequence[Seat], by_owner: Mapping[bytes, Validator]) -> bytes | None:
    """Return the answer of most weight if that is more than a third of all; None otherwise."""
    weights: dict[bytes, int] = {}
    for seat in seats:
        holder = by_owner.get(seat.owner)
        if holder is not None and holder.answer != ZERO32 and holder.offers(STORAGE):
            weights[holder.answer] = weights.get(holder.answer, 0) + seat.weight
    best = max(weights.values(), default=0)
    found = [answer for answer, weight in weights.items() if weight == best]
    if len(found) != 1 or 3 * best <= sum(seat.weight for seat in seats):
        return None
    return found[0]


def close_part(validators: Iterable[Validator], truth: bytes | None) -> None:
    """Credit the answers shown in the part that ends, and begin the next one."""
    for one in validators:
        if truth is not None and one.storage_owed & OWES_ANSWER and one.offers(STORAGE):
            one.opportunities[STORAGE] += 1
            one.credits[STORAGE] += CREDIT_ONE if one.answer == truth else 0
        owed = OWES_ANSWER if one.storage_owed & OWES_COMMITMENT else 0
        one.storage_owed = owed | (OWES_COMMITMENT if one.offers(STORAGE) else 0)
        one.commitment_before, one.commitment, one.answer = one.commitment, ZERO32, ZERO32
