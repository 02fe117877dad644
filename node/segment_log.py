"""Append records to numbered segment files and make them durable on request.

Rule: a record handed to `append` is on disk once a later `sync` has returned; nothing else here
promises
durability. What a crash left half-written at the end of the newest segment is cut off when it is
opened.
Spec: docs/spec/wire-consensus.md (Journal); design "what is on disk before what".
Deviations: none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from consensus.journal import Damage, Framer, scan_journal

SEGMENT_SUFFIX = ".log"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogScan:
    """What an opened log held: its records oldest first, and how it ended."""

    records: tuple[bytes, ...]
    torn_bytes: int  # bytes cut off the end of the newest segment
    is_damaged: bool  # a bad record stood before a good one: acknowledged data is gone


class SegmentLog:
    """One append-only log in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._segments = sorted(int(p.stem) for p in folder.glob("*" + SEGMENT_SUFFIX))
        self._file = -1
        self._pending = bytearray()
        self._framer = Framer()

    def open(self) -> LogScan:
        """Read every segment, cut a torn tail, and get ready to append."""
        records: list[bytes] = []
        torn, damaged = 0, False
        for number in self._segments:
            path = self._path(number)
            data = path.read_bytes()
            scan = scan_journal(data)
            records.extend(scan.records)
            if scan.damage is Damage.NONE:
                continue
            is_newest = number == self._segments[-1]
            damaged = damaged or scan.damage is Damage.INSIDE or not is_newest
            torn += len(data) - scan.intact_bytes
            if is_newest:
                os.truncate(path, scan.intact_bytes)
        self._open_newest()
        return LogScan(records=tuple(records), torn_bytes=torn, is_damaged=damaged)

    def append(self, record: bytes) -> None:
        """Queue one record; it reaches the file at the next `flush` or `sync`."""
        self._pending += self._framer.frame(record)

    def flush(self) -> None:
        """Hand queued records to the operating system (survives a kill, not a power cut)."""
        while self._pending:
            written = os.write(self._file, self._pending)
            del self._pending[:written]

    def wait_durable(self) -> None:
        """Return once everything flushed so far would survive a power cut. The only method that
        may run in another thread."""
        os.fdatasync(self._file)

    def acknowledge(self) -> None:
        """Note that `wait_durable` has returned after the last `flush`."""
        self._framer.acknowledge()

    def sync(self) -> None:
        """Make everything appended so far durable, in one go."""
        self.flush()
        self.wait_durable()
        self.acknowledge()

    @property
    def size_bytes(self) -> int:
        """Bytes in the newest segment."""
        return self._framer.written_bytes

    def rotate(self, opening: Iterable[bytes]) -> int:
        """Start a new durable segment that begins with `opening`; return its number."""
        self.sync()
        number = (self._segments[-1] if self._segments else 0) + 1
        framer = Framer()
        data = b"".join(framer.frame(record) for record in opening)
        temporary = self._path(number).with_suffix(".new")
        with open(temporary, "wb", opener=_open_private) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._path(number))
        self._segments.append(number)
        self._open_newest()
        self._sync_folder()
        return number

    def drop_before(self, number: int) -> None:
        """Delete every segment older than `number`."""
        old = [n for n in self._segments if n < number]
        self._segments = [n for n in self._segments if n >= number]
        for n in old:
            self._path(n).unlink(missing_ok=True)
        if old:
            self._sync_folder()

    def close(self) -> None:
        """Make everything durable and give the file back."""
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}{SEGMENT_SUFFIX}"

    def _open_newest(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        if not self._segments:
            self._segments.append(1)
        path = self._path(self._segments[-1])
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._framer = Framer(os.fstat(self._file).st_size)
        self._sync_folder()

    def _sync_folder(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
