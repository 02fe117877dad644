"""Refuse to sign what an honest validator never signs, whatever the rest of the node believes.

Rule: per view at most one notarize and one finalize vote, no N or F after X, no X after F,
nothing at or below the floor. Identical bytes may be signed again.
Spec: docs/spec/consensus.md (Guard). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from consensus.vote import Counter, Hash32, Kind
from primitives import codec
from primitives.errors import WouldEquivocate

RECORD_BYTES_MAX = 128


class GuardVote(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """One digest that was signed."""

    epoch: Counter
    view: Counter
    kind: Kind
    digest: Hash32


class GuardFloor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """Everything at or below this view, and in older epochs, is refused."""

    epoch: Counter
    view: Counter


GuardRecord: TypeAlias = GuardVote | GuardFloor
_SCHEMA: Any = GuardRecord
Place: TypeAlias = tuple[int, int]  # (epoch, view): views restart, so the epoch leads the order


class Guard:
    """The signed digests above a floor. Loaded from the guard's database, fed back into it."""

    def __init__(self, records: Iterable[bytes] = ()) -> None:
        self._floor: Place = (0, 0)
        self._signed: dict[Place, dict[Kind, bytes]] = {}
        for record in records:
            self._apply(decode_record(record))

    @property
    def floor(self) -> Place:
        """The highest (epoch, view) in which nothing is signed any more."""
        return self._floor

    def signed(self) -> Mapping[Place, Mapping[Kind, bytes]]:
        """Return the digests above the floor by (epoch, view) and kind."""
        return self._signed

    def admit(self, epoch: int, view: int, kind: Kind, digest: bytes) -> bytes | None:
        """Allow one signature; return the record to make durable first, None if it is there.

        Raises WouldEquivocate.
        """
        verify_allowed(
            self._floor, self._signed.get((epoch, view), {}), (epoch, view), kind, digest
        )
        signed = self._signed.setdefault((epoch, view), {})
        if signed.get(kind) == digest:
            return None
        signed[kind] = digest
        return codec.encode(GuardVote(epoch, view, kind, digest))

    def raise_floor(self, epoch: int, view: int) -> bytes | None:
        """Refuse everything up to a view from now on; return the record, None for no change."""
        if (epoch, view) <= self._floor:
            return None
        record = GuardFloor(epoch, view)
        self._apply(record)
        return codec.encode(record)

    def _apply(self, record: GuardRecord) -> None:
        place = (record.epoch, record.view)
        if isinstance(record, GuardVote):
            if place > self._floor:
                self._signed.setdefault(place, {})[record.kind] = record.digest
            return
        self._floor = max(self._floor, place)
        for old in [old for old in self._signed if old <= self._floor]:
            del self._signed[old]


def verify_allowed(
    floor: Place, signed: Mapping[Kind, bytes], place: Place, kind: Kind, digest: bytes
) -> None:
    """Apply the rule to one wish. Raises WouldEquivocate."""
    if place <= floor:
        raise WouldEquivocate(f"{kind.name} at {place} is not above the guard's floor {floor}")
    if signed.get(kind) == digest:
        return
    if kind in signed:
        raise WouldEquivocate(f"a different {kind.name} was signed at {place}")
    if kind is not Kind.NULLIFY and Kind.NULLIFY in signed:
        raise WouldEquivocate(f"{kind.name} at {place} after NULLIFY")
    if kind is Kind.NULLIFY and Kind.FINALIZE in signed:
        raise WouldEquivocate(f"NULLIFY at {place} after FINALIZE")


def decode_record(data: bytes) -> GuardRecord:
    """Decode a record of the guard's database. Raises PeerError when it is damaged."""
    record: GuardRecord = codec.decode(data, _SCHEMA, max_bytes=RECORD_BYTES_MAX)
    return record
