"""Keep content-addressed blocks: snapshots, files, archives, and what was fetched for others.

Rule: a block is hashed when it comes in and again when it goes out; what does not match its CID is
never handed on. A pinned block stays; the others of a kind make room, oldest first, at its quota.
One lock serves all threads: a call takes about a millisecond for the largest block.
Spec: docs/spec/storage.md#block-store. docs/adr/0050-blocks-in-sqlite.md
Deviations: blocks are found by digest, whatever the codec in the CID (as Kubo does).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from primitives.cid import Cid
from primitives.errors import LimitExceeded, OperatorError
from storage import limits
from storage.database import (
    Migration,
    failures_named,
    get_size_bytes,
    open_database,
    sync_database,
    transaction,
)

log = logging.getLogger(__name__)

SNAPSHOT: Final = "snapshot"
FILE: Final = "file"
CHAT: Final = "chat"
CACHE: Final = "cache"
DEFAULT_QUOTAS: Final[Mapping[str, int]] = {
    SNAPSHOT: 20 << 30,
    FILE: 20 << 30,
    CHAT: 5 << 30,
    CACHE: 5 << 30,
}
"""Bytes of each kind on a home node, 50 GB together."""

PAGE_BYTES: Final = 16_384

TABLES: Final = """
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,
    kind TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX blocks_by_digest ON blocks (digest);
CREATE INDEX blocks_by_kind ON blocks (kind, id, size_bytes, digest);

CREATE TABLE pins (
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (name, digest)
) WITHOUT ROWID, STRICT;
CREATE INDEX pins_by_digest ON pins (digest);
"""


def create_tables(database: Database) -> None:
    """Create schema 1 of the block store."""
    database.executescript(TABLES)


MIGRATIONS: Final[tuple[Migration, ...]] = (create_tables,)


class BlockStore:
    """Blocks by CID. Every method raises TransientError or OperatorError when the disk fails."""

    def __init__(self, path: Path | str, quotas: Mapping[str, int] = DEFAULT_QUOTAS) -> None:
        self.path = str(path)
        self._quotas = dict(quotas)
        self._lock = threading.Lock()
        self._database = open_database(path, MIGRATIONS, page_size_bytes=PAGE_BYTES)
        self._damaged: set[bytes] = set()
        try:
            with failures_named(self.path):
                self._used = self._sum_sizes()
        except BaseException:
            self.close()
            raise

    def _sum_sizes(self) -> dict[str, int]:
        rows = self._database.execute("SELECT kind, sum(size_bytes) FROM blocks GROUP BY kind")
        return {kind: int(size) for kind, size in rows}

    def sync(self) -> None:
        """Make what was written survive a power cut (a write alone survives only a crash)."""
        with self._lock:
            sync_database(self._database, self.path)

    def close(self) -> None:
        with self._lock:
            self._database.conn.close()

    # Blocks

    def put(self, cid: Cid, data: bytes, kind: str, pin: str | None = None) -> None:
        """Keep a block, under the pin named `pin` if given.

        Raises InvalidMessage when `cid` does not name `data`, LimitExceeded when it is too large,
        OperatorError (STO001) when the kind's quota is full of pinned blocks.
        """
        assert kind in self._quotas, f"{kind!r} has no quota"
        if len(data) > limits.BLOCK_BYTES_MAX:
            raise LimitExceeded(f"{len(data)} bytes, the limit is {limits.BLOCK_BYTES_MAX}")
        cid.verify(data)
        with self._lock:
            self._put(cid.digest, data, kind, pin)

    def _put(self, digest: bytes, data: bytes, kind: str, pin: str | None) -> None:
        held = self._size(digest)
        if held is not None and pin is None and digest not in self._damaged:
            return
        if held is None:
            self._make_room(kind, len(data))
        with transaction(self._database, self.path):
            if held is None:
                self._database.conn.execute(
                    "INSERT INTO blocks (digest, kind, size_bytes, data) VALUES (?,?,?,?)",
                    (digest, kind, len(data), data),
                )
            elif digest in self._damaged:
                self._database.conn.execute(
                    "UPDATE blocks SET data = ? WHERE digest = ?", (data, digest)
                )
            if pin is not None:
                self._pin(pin, (digest,))
        self._damaged.discard(digest)
        if held is None:
            self._used[kind] = self._used.get(kind, 0) + len(data)

    def get(self, cid: Cid) -> bytes | None:
        """Return the block; None = not here, or damaged on disk (then a new `put` mends it)."""
        with self._lock, failures_named(self.path):
            row = self._database.conn.execute(
                "SELECT data FROM blocks WHERE digest = ?", (cid.digest,)
            ).fetchone()
        if row is None:
            return None
        data = bytes(row[0])
        if Cid.of(cid.codec, data) != cid:
            log.warning("block %s is damaged on disk in %s", cid, self.path)
            with self._lock:
                self._damaged.add(cid.digest)
            return None
        return data

    def size(self, cid: Cid) -> int | None:
        """Return the size in bytes of a block that is here; None = not here."""
        with self._lock:
            return None if cid.digest in self._damaged else self._size(cid.digest)

    def has(self, cid: Cid) -> bool:
        return self.size(cid) is not None

    def _size(self, digest: bytes) -> int | None:
        with failures_named(self.path):
            row = self._database.conn.execute(
                "SELECT size_bytes FROM blocks WHERE digest = ?", (digest,)
            ).fetchone()
        return None if row is None else int(row[0])

    # Pins

    def pin(self, name: str, cids: Iterable[Cid]) -> None:
        """Hold these blocks under `name`, besides those it holds already."""
        with self._lock, transaction(self._database, self.path):
            self._pin(name, [cid.digest for cid in cids])

    def _pin(self, name: str, digests: Sequence[bytes]) -> None:
        self._database.conn.executemany(
            "INSERT OR IGNORE INTO pins VALUES (?,?)", [(name, digest) for digest in digests]
        )

    def rename_pin(self, name: str, new_name: str) -> None:
        """Give what `name` holds to `new_name`, at once."""
        with self._lock, transaction(self._database, self.path):
            self._database.conn.execute(
                "INSERT OR IGNORE INTO pins SELECT ?, digest FROM pins WHERE name = ?",
                (new_name, name),
            )
            self._database.conn.execute("DELETE FROM pins WHERE name = ?", (name,))

    def unpin(self, name: str) -> None:
        """Let go of what `name` holds; blocks under no other name become collectable."""
        with self._lock, transaction(self._database, self.path):
            self._database.conn.execute("DELETE FROM pins WHERE name = ?", (name,))

    def pins(self, prefix: str = "") -> list[str]:
        """Return the names that begin with `prefix`, in order."""
        with self._lock, failures_named(self.path):
            rows = self._database.execute(
                "SELECT DISTINCT name FROM pins WHERE name >= ? AND substr(name, 1, ?) = ?"
                " ORDER BY name",
                (prefix, len(prefix), prefix),
            ).fetchall()
        return [row[0] for row in rows]

    def is_pinned(self, cid: Cid) -> bool:
        with self._lock, failures_named(self.path):
            row = self._database.execute(
                "SELECT 1 FROM pins WHERE digest = ? LIMIT 1", (cid.digest,)
            ).fetchone()
        return row is not None

    # Room

    def used_bytes(self, kind: str) -> int:
        """Return the bytes of all blocks of a kind."""
        with self._lock:
            return self._used.get(kind, 0)

    def collect(self, kind: str, keep_bytes: int = 0) -> int:
        """Delete unpinned blocks of a kind, oldest first, until at most `keep_bytes` are left.

        Returns the bytes freed.
        """
        with self._lock:
            before = self._used.get(kind, 0)
            self._collect(kind, keep_bytes)
            return before - self._used.get(kind, 0)

    def _make_room(self, kind: str, size_bytes: int) -> None:
        quota = self._quotas[kind]
        if self._used.get(kind, 0) + size_bytes <= quota:
            return
        self._collect(kind, max(0, quota - size_bytes))
        if self._used.get(kind, 0) + size_bytes > quota:
            raise OperatorError(
                f"the quota of {quota} bytes for {kind} blocks is full of pinned ones",
                code="STO001",
                fix=f"raise the quota for {kind}, or unpin something",
            )

    def _collect(self, kind: str, keep_bytes: int) -> None:
        while self._used.get(kind, 0) > keep_bytes:
            with failures_named(self.path):
                rows = self._database.execute(
                    "SELECT id, size_bytes FROM blocks b WHERE kind = ? AND NOT EXISTS"
                    " (SELECT 1 FROM pins p WHERE p.digest = b.digest) ORDER BY id LIMIT 64",
                    (kind,),
                ).fetchall()
            if not rows:
                return
            self._delete(kind, rows, keep_bytes)

    def _delete(self, kind: str, rows: Sequence[tuple[int, int]], keep_bytes: int) -> None:
        used = self._used[kind]
        chosen: list[tuple[int]] = []
        for row, size_bytes in rows:
            if used <= keep_bytes:
                break
            used -= size_bytes
            chosen.append((row,))
        with transaction(self._database, self.path):
            self._database.conn.executemany("DELETE FROM blocks WHERE id = ?", chosen)
        self._used[kind] = used
        with failures_named(self.path):
            self._database.execute(
                f"PRAGMA incremental_vacuum({limits.PRUNE_PAGES_PER_STEP})"
            ).fetchall()

    def size_bytes(self) -> int:
        """Return the bytes in use by the file."""
        with self._lock, failures_named(self.path):
            return get_size_bytes(self._database)
