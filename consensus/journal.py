"""Frame the records that a replica must find again after a power cut.

Rule: a scan returns the longest prefix of intact records; bytes lost behind it are a torn tail
unless a later record proves that they had been acknowledged as durable.
Spec: docs/spec/wire-consensus.md (Journal). Deviations: CRC-32 instead of CRC-32C (ADR 0030).
"""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import dataclass

MAGIC = b"\xa5OBJ"
RECORD_BYTES_MAX = 1 << 20  # one record; a longer length is damage
_HEAD = struct.Struct(">4sIQI")  # magic, payload bytes, acknowledged bytes before, CRC-32
HEAD_BYTES = _HEAD.size


class Damage(enum.Enum):
    """What a scan found behind the last intact record."""

    NONE = "none"
    TORN_TAIL = "torn tail"  # never acknowledged: cut it and go on
    INSIDE = "inside"  # acknowledged records are lost: the replica must stay silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The records of a journal, and where to cut the file before appending to it."""

    records: tuple[bytes, ...]
    intact_bytes: int
    damage: Damage


class Framer:
    """Frame records for one file and remember how much of it is durable."""

    def __init__(self, written_bytes: int = 0) -> None:
        self._written_bytes = written_bytes
        self._durable_bytes = written_bytes

    @property
    def written_bytes(self) -> int:
        """Bytes framed so far, those already in the file included."""
        return self._written_bytes

    def frame(self, payload: bytes) -> bytes:
        """Return the bytes to append for one record."""
        framed = frame_record(payload, self._durable_bytes)
        self._written_bytes += len(framed)
        return framed

    def acknowledge(self, durable_bytes: int | None = None) -> None:
        """Note that so much of the file was synced; None: everything framed so far."""
        self._durable_bytes = self._written_bytes if durable_bytes is None else durable_bytes


def frame_record(payload: bytes, durable_bytes: int) -> bytes:
    """Return head and payload; `durable_bytes` says how much of the file was synced before."""
    assert len(payload) <= RECORD_BYTES_MAX, "records are bounded by the message limits"
    checksum = _checksum(len(payload), durable_bytes, payload)
    return _HEAD.pack(MAGIC, len(payload), durable_bytes, checksum) + payload


def scan_journal(data: bytes) -> Scan:
    """Return the intact prefix of a journal file's bytes. Never raises."""
    records: list[bytes] = []
    offset = 0
    while (record := _read_record(data, offset)) is not None:
        payload, _ = record
        records.append(payload)
        offset += HEAD_BYTES + len(payload)
    damage = Damage.NONE if offset == len(data) else _classify(data, offset)
    return Scan(records=tuple(records), intact_bytes=offset, damage=damage)


def _classify(data: bytes, cut: int) -> Damage:
    """Look behind the cut for an intact record that knew the cut bytes to be durable."""
    offset = data.find(MAGIC, cut + 1)
    while offset != -1:
        record = _read_record(data, offset)
        if record is not None and record[1] > cut:
            return Damage.INSIDE
        offset = data.find(MAGIC, offset + 1)
    return Damage.TORN_TAIL


def _read_record(data: bytes, offset: int) -> tuple[bytes, int] | None:
    """Return payload and durable mark of the record at an offset, or None."""
    if offset + HEAD_BYTES > len(data):
        return None
    magic, length, durable_bytes, checksum = _HEAD.unpack_from(data, offset)
    start = offset + HEAD_BYTES
    if magic != MAGIC or length > RECORD_BYTES_MAX or start + length > len(data):
        return None
    payload = data[start : start + length]
    if checksum != _checksum(length, durable_bytes, payload) or durable_bytes > offset:
        return None
    return payload, durable_bytes


def _checksum(length: int, durable_bytes: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack(">IQ", length, durable_bytes)))
