"""Let a simulated validator write its journal and guard to real files, and cut its power at will.

Rule: a cut comes at the n-th write, sync or commit; what was not synced is lost or kept in part,
cut anywhere, sometimes with rubbish behind it.
Spec: docs/spec/wire-consensus.md (Journal, Guard database). Deviations: the guard's own file is cut
before or after its commit only; what SQLite does inside one is SQLite's to prove.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from consensus.effects import Final
from consensus.epoch import Epoch
from consensus.epochs import Epochs
from consensus.journal import Damage, Scan
from node import segment_log
from node.keys.signing_guard import SigningGuard
from node.segment_log import SegmentLog

COMPACT_BYTES = 6_000  # a segment this long is replaced, so that runs of seconds see it happen
AGAIN = 0.4  # share of cuts that another one follows soon


class PowerCut(Exception):
    """The machine stops here."""


class FragileOs:
    """The module `os` as `node.segment_log` uses it, counting and cutting."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.operations = 0
        self.cut_at: int | None = None
        self.cuts = 0
        self.keeps_sync = True  # False: a disk that says it has synced and has not
        self._paths: dict[int, Path] = {}
        self._synced: dict[Path, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def step(self) -> None:
        """Count one operation; cut the power when its turn has come."""
        self.operations += 1
        if self.operations == self.cut_at:
            self.cuts += 1
            if self._dice.random() < AGAIN:
                self.cut_at += self._dice.randint(1, 30)  # again, perhaps while it starts
            raise PowerCut

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        file = os.open(path, flags, mode)
        self._paths[file] = Path(path)
        self._synced.setdefault(Path(path), os.fstat(file).st_size)
        return file

    def write(self, file: int, data: bytes) -> int:
        try:
            self.step()
        except PowerCut:
            os.write(file, data[: self._dice.randint(0, len(data))])
            raise
        return os.write(file, data)

    def fdatasync(self, file: int) -> None:
        self.step()
        path = self._paths.get(file)
        if path is not None and self.keeps_sync:
            self._synced[path] = os.fstat(file).st_size

    def fsync(self, file: int) -> None:
        self.step()  # what is lost is decided here, so nothing waits for a disk
        path = self._paths.get(file)
        if path is not None and path.is_file():
            self._synced[path] = os.fstat(file).st_size

    def rename(self, path: Path, new: Path) -> None:
        self.step()
        os.rename(path, new)
        self._synced[new] = self._synced.pop(path)
        self._paths = {file: new if old == path else old for file, old in self._paths.items()}

    def lose(self, folder: Path) -> None:
        """Forget what was never synced."""
        for path in sorted(folder.glob("*.log")):
            size = path.stat().st_size
            kept = self._dice.randint(min(self._synced.get(path, size), size), size)
            os.truncate(path, kept)
            if kept > self._synced.get(path, size) and self._dice.random() < 0.3:
                with path.open("ab") as file:
                    file.write(self._dice.randbytes(self._dice.randint(1, 40)))
        self._synced.clear()


class RealDisk:
    """The simulator's disk (`tests.simulation.disk.Disk`), on files."""

    def __init__(self, folder: Path, address: bytes, dice: random.Random) -> None:
        self._folder = folder
        self._address = address
        self._dice = dice
        self.os = FragileOs(dice)
        self.guard_buffer: list[bytes] = []
        self.store: list[Final] = []
        self.store_synced = 0
        self.lost_writes = 0  # never: these disks keep what they have synced
        self.epochs: dict[int, Epoch] = {}
        self.torn_tails = 0
        self.is_journal_lost = False
        self.compactions = 0
        self._log: SegmentLog | None = None
        self._database: SigningGuard | None = None

    @property
    def guard(self) -> list[bytes]:
        """Records of the guard's database, as a start reads them."""
        assert self._database is not None
        rows = self._database._connection.execute("SELECT record FROM records ORDER BY id")
        return [bytes(row[0]) for row in rows.fetchall()]

    def append(self, record: bytes) -> None:
        assert self._log is not None
        self._log.append(record)

    def sync_journal(self) -> None:
        assert self._log is not None
        self._log.sync()

    def sync_guard(self) -> None:
        assert self._database is not None
        self.os.step()
        self._database.save(self.guard_buffer)
        self.guard_buffer.clear()
        self.os.step()

    def keep_final(self, final: Final) -> None:
        if final.block.height > len(self.store):
            self.store.append(final)

    def sync_store(self) -> None:
        self.store_synced = len(self.store)

    def newest_epoch(self) -> Epoch | None:
        """Return the newest epoch whose anchor the store still holds."""
        held = [one for one in self.epochs.values() if one.anchor.height <= len(self.store)]
        return max(held, key=lambda epoch: epoch.number, default=None)

    def compact(self, epochs: Epochs) -> None:
        """Replace a long journal as `node.consensus_driver` does."""
        assert self._log is not None
        if self._log.size_bytes > COMPACT_BYTES:
            self.sync_store()
            self._log.drop_before(self._log.rotate(epochs.journal_snapshot()))
            self.compactions += 1

    def crash(self, rng: random.Random, *, loses_journal: bool, lies: bool) -> None:
        assert not loses_journal, "these runs keep their journals"
        assert not lies, "and what was synced"
        self.guard_buffer.clear()
        self.close()
        self._log = self._database = None
        self.os.lose(self._folder / "journal")
        del self.store[self._dice.randint(self.store_synced, len(self.store)) :]
        self.sync_store()

    def reopen(self) -> Scan:
        self._database = SigningGuard(self._folder / "signing.sqlite", self._address)
        self._database._connection.execute("PRAGMA synchronous=OFF")  # the same
        self._log = SegmentLog(self._folder / "journal")
        scan = self._log.open()
        self.torn_tails += scan.torn_bytes > 0
        damage = Damage.INSIDE if scan.is_damaged else Damage.NONE
        return Scan(records=scan.records, intact_bytes=0, damage=damage)

    def close(self) -> None:
        if self._log is not None and self._log._file >= 0:
            os.close(self._log._file)
        if self._database is not None:
            self._database.close()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Stand between the segment log and the operating system."""
        before = segment_log.os
        segment_log.os = self.os  # type: ignore[assignment]
        try:
            yield
        finally:
            segment_log.os = before
