"""Write the participation state as canonical bytes and read it back.

Rule: equal states give equal bytes, and bytes that `load_parts` takes give the same bytes again.
Spec: docs/spec/participation.md (Snapshot). Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from consensus.limits import COMMITTEE_MAX, WEIGHT_MAX
from consensus.participation.facts import AMOUNT_BYTES
from consensus.participation.parameters import (
    HEARTBEAT_SLOTS,
    SCORE_ONE,
    VALIDATORS_MAX,
    VOTE_WINDOW_HEIGHTS,
)
from consensus.participation.register import PARTS, Validator
from consensus.participation.selection import Seat
from consensus.participation.storage_part import Draw
from primitives import codec
from primitives.errors import InvalidMessage
from primitives.keccak import keccak256

VERSION = 3
DUMP_BYTES_MAX = 8 * 1024 * 1024
COUNT_MAX = (1 << 63) - 1
VOTE_BYTES = VOTE_WINDOW_HEIGHTS // 8

Address = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
Word = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Amount = Annotated[bytes, msgspec.Meta(min_length=AMOUNT_BYTES, max_length=AMOUNT_BYTES)]
Votes = Annotated[bytes, msgspec.Meta(min_length=VOTE_BYTES, max_length=VOTE_BYTES)]
Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]
Score = Annotated[int, msgspec.Meta(ge=0, le=SCORE_ONE)]
Weight = Annotated[int, msgspec.Meta(ge=1, le=WEIGHT_MAX)]
Heights = Annotated[int, msgspec.Meta(ge=0, le=VOTE_WINDOW_HEIGHTS)]
Slots = Annotated[int, msgspec.Meta(ge=0, lt=1 << HEARTBEAT_SLOTS)]
SlotCount = Annotated[int, msgspec.Meta(ge=0, le=HEARTBEAT_SLOTS)]
Measured = Annotated[int, msgspec.Meta(ge=0, lt=1 << PARTS)]
Owed = Annotated[int, msgspec.Meta(ge=0, le=3)]
Counts = Annotated[tuple[Count, ...], msgspec.Meta(min_length=PARTS, max_length=PARTS)]
Ratios = Annotated[tuple[Score, ...], msgspec.Meta(min_length=PARTS, max_length=PARTS)]


class SeatRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A seat on disk."""

    owner: Address
    hot_key: Address
    weight: Weight


class ValidatorRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A validator on disk; the fields are those of `Validator`."""

    owner: Address
    hot_key: Address
    payout: Address
    network_key: Word
    services: Count
    stake: Amount
    is_leaving: bool
    score: Score
    period_score: Score
    convicted_key: Address
    jailed_until_ms: Count
    jail_count: Count
    opportunities: Counts
    credits: Counts
    ratios: Ratios
    kept_periods: Counts
    measured: Measured
    proven: Measured
    was_seated: bool
    heartbeat_slots: Slots
    heartbeat_height: Count
    slots_before: SlotCount
    storage_owed: Owed
    commitment: Word
    commitment_before: Word
    answer: Word
    votes: Votes
    vote_heights: Heights
    missed_in_row: Count


class DrawRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What drew a chunk, on disk."""

    height: Count
    block_hash: Word


SeatList = Annotated[tuple[SeatRecord, ...], msgspec.Meta(max_length=COMMITTEE_MAX)]


class DumpRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The whole state on disk; validators in the order of their registration."""

    version: int
    height: Count
    facts_word: Word
    seed: Word
    seed_hash: Word
    seats: SeatList
    next_seats: SeatList | None
    draws: tuple[DrawRecord, DrawRecord]
    validators: Annotated[tuple[ValidatorRecord, ...], msgspec.Meta(max_length=VALIDATORS_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a dump holds."""

    height: int
    facts_word: bytes
    seed: bytes  # of the leader slots of the epoch in execution
    seed_hash: bytes  # of the block that seeds the next epoch, or of the one before
    seats: tuple[Seat, ...]
    next_seats: tuple[Seat, ...] | None
    draws: tuple[Draw, Draw]  # of the part before the open one, and of the open one
    validators: tuple[Validator, ...]


def dump_parts(parts: Parts) -> bytes:
    """Encode the state."""
    waiting = parts.next_seats
    return codec.encode(
        DumpRecord(
            VERSION,
            parts.height,
            parts.facts_word,
            parts.seed,
            parts.seed_hash,
            _dump_seats(parts.seats),
            None if waiting is None else _dump_seats(waiting),
            (_dump_draw(parts.draws[0]), _dump_draw(parts.draws[1])),
            tuple(_dump_validator(one) for one in parts.validators),
        )
    )


def load_parts(data: bytes, digest: bytes) -> Parts:
    """Decode a dump and check it against the digest that a state root commits to.

    Raises InvalidMessage or LimitExceeded.
    """
    record = codec.decode(data, DumpRecord, max_bytes=DUMP_BYTES_MAX)
    if record.version != VERSION:
        raise InvalidMessage(f"a participation dump of version {record.version} is not readable")
    if keccak256(record.facts_word + keccak256(data)) != digest:
        raise InvalidMessage("the participation dump is not the one that the state root names")
    waiting = record.next_seats
    return Parts(
        height=record.height,
        facts_word=record.facts_word,
        seed=record.seed,
        seed_hash=record.seed_hash,
        seats=_load_seats(record.seats),
        next_seats=None if waiting is None else _load_seats(waiting),
        draws=(_load_draw(record.draws[0]), _load_draw(record.draws[1])),
        validators=tuple(_load_validator(one) for one in record.validators),
    )


def _dump_seats(seats: tuple[Seat, ...]) -> tuple[SeatRecord, ...]:
    return tuple(SeatRecord(seat.owner, seat.hot_key, seat.weight) for seat in seats)


def _load_seats(records: tuple[SeatRecord, ...]) -> tuple[Seat, ...]:
    return tuple(Seat(owner=one.owner, hot_key=one.hot_key, weight=one.weight) for one in records)


def _dump_draw(draw: Draw) -> DrawRecord:
    return DrawRecord(draw.height, draw.block_hash)


def _load_draw(record: DrawRecord) -> Draw:
    return Draw(height=record.height, block_hash=record.block_hash)


def _dump_validator(one: Validator) -> ValidatorRecord:
    return ValidatorRecord(
        one.owner,
        one.hot_key,
        one.payout,
        one.network_key,
        one.services,
        one.stake.to_bytes(AMOUNT_BYTES, "big"),
        one.is_leaving,
        one.score,
        one.period_score,
        one.convicted_key,
        one.jailed_until_ms,
        one.jail_count,
        tuple(one.opportunities),
        tuple(one.credits),
        tuple(one.ratios),
        tuple(one.kept_periods),
        one.measured,
        one.proven,
        one.was_seated,
        one.heartbeat_slots,
        one.heartbeat_height,
        one.slots_before,
        one.storage_owed,
        one.commitment,
        one.commitment_before,
        one.answer,
        one.votes.to_bytes(VOTE_BYTES, "big"),
        one.vote_heights,
        one.missed_in_row,
    )


def _load_validator(record: ValidatorRecord) -> Validator:
    return Validator(
        owner=record.owner,
        hot_key=record.hot_key,
        payout=record.payout,
        network_key=record.network_key,
        services=record.services,
        stake=int.from_bytes(record.stake, "big"),
        is_leaving=record.is_leaving,
        score=record.score,
        period_score=record.period_score,
        convicted_key=record.convicted_key,
        jailed_until_ms=record.jailed_until_ms,
        jail_count=record.jail_count,
        opportunities=list(record.opportunities),
        credits=list(record.credits),
        ratios=list(record.ratios),
        kept_periods=list(record.kept_periods),
        measured=record.measured,
        proven=record.proven,
        was_seated=record.was_seated,
        heartbeat_slots=record.heartbeat_slots,
        heartbeat_height=record.heartbeat_height,
        slots_before=record.slots_before,
        storage_owed=record.storage_owed,
        commitment=record.commitment,
        commitment_before=record.commitment_before,
        answer=record.answer,
        votes=int.from_bytes(record.votes, "big"),
        vote_heights=record.vote_heights,
        missed_in_row=record.missed_in_row,
    )
