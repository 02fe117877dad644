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
import threading
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
        names = (path.stem for path in folder.glob("*" + SEGMENT_SUFFIX))
        self._segments = sorted(int(name) for name in names if name.isdecimal())
        self._file = -1
        self._framer = Framer()
        self._pending = bytearray()  # framed, not written
        self._unsynced = bytearray()  # written, and not known to be on the disk itself
        self._written_bytes = 0  # of the newest segment
        self._synced_bytes = 0
        self._is_folder_synced = False
        self._is_doubtful = False  # a sync failed: the system may have dropped what was written
        self._lock = threading.Lock()  # a sync never meets a file that is being replaced

    def open(self) -> LogScan:
        """Read every segment, cut a torn tail, and get ready to append.

        A newest segment that is damaged inside stays as it is, so that the next start sees the
        damage too, until the log is replaced; appending begins a new one.
        """
        records: list[bytes] = []
        torn, damaged, must_begin = 0, False, not self._segments
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
            if is_newest and scan.damage is Damage.INSIDE:
                must_begin = True
            elif is_newest:
                os.truncate(path, scan.intact_bytes)
        if must_begin:
            self._segments.append(self._segments[-1] + 1 if self._segments else 1)
        self._open_newest()
        return LogScan(records=tuple(records), torn_bytes=torn, is_damaged=damaged)

    def append(self, record: bytes) -> None:
        """Queue one record; it reaches the file at the next `flush` or `sync`."""
        self._pending += self._framer.frame(record)

    def flush(self) -> None:
        """Hand queued records to the operating system (survives a kill, not a power cut)."""
        if self._is_doubtful:
            self._write_again()
        while self._pending:
            written = os.write(self._file, self._pending)
            self._unsynced += self._pending[:written]
            self._written_bytes += written
            del self._pending[:written]

    def wait_durable(self) -> None:
        """Return once everything flushed so far would survive a power cut. The only method that
        may run in another thread."""
        with self._lock:
            written = self._written_bytes
            try:
                if not self._is_folder_synced:
                    self._sync_folder()
                os.fdatasync(self._file)
            except OSError:
                self._is_doubtful = True
                raise
            self._synced_bytes = written

    def acknowledge(self) -> None:
        """Note how much the last `wait_durable` has made durable."""
        del self._unsynced[: len(self._unsynced) - (self._written_bytes - self._synced_bytes)]
        self._framer.acknowledge(self._synced_bytes)

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
        """Start a new durable segment that begins with `opening`; return its number.

        When the disk refuses, the log goes on as it was, or with both segments.
        """
        self.sync()
        number = (self._segments[-1] if self._segments else 0) + 1
        framer = Framer()
        data = b"".join(framer.frame(record) for record in opening)
        file = self._create(number, data)
        framer.acknowledge(len(data))
        with self._lock:
            old, self._file = self._file, file
            self._written_bytes = self._synced_bytes = len(data)
            self._is_folder_synced = False
        self._framer = framer
        self._segments.append(number)
        os.close(old)
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
            try:
                self.sync()
            finally:
                os.close(self._file)
                self._file = -1

    def _create(self, number: int, data: bytes) -> int:
        """Write a whole segment under another name, then give it its own; return its file."""
        path = self._path(number)
        draft = path.with_suffix(".new")
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        file = os.open(draft, flags, 0o600)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(file, left) :]
            os.fsync(file)
            os.rename(draft, path)
        except BaseException:
            os.close(file)
            raise
        return file

    def _write_again(self) -> None:
        """Write once more what a failed sync leaves uncertain: the system may count it as written
        from then on, and the next sync would return without having done anything."""
        os.ftruncate(self._file, self._synced_bytes)
        self._written_bytes = self._synced_bytes
        self._pending[:0] = self._unsynced
        self._unsynced.clear()
        self._is_doubtful = False

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}{SEGMENT_SUFFIX}"

    def _open_newest(self) -> None:
        path = self._path(self._segments[-1])
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._written_bytes = self._synced_bytes = os.fstat(self._file).st_size
        self._framer = Framer(self._written_bytes)
        self._sync_folder()

    def _sync_folder(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        self._is_folder_synced = True
