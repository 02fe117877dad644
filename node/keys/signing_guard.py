"""Keep the signing guard in a database of its own, beside the keys.

Rule: a vote's record is durable here before the vote is sent; nothing here is ever deleted but what
lies
at or below the floor. A guard file that a bonded key had and that is gone stops the node.
Spec: docs/spec/consensus.md (Guard); docs/spec/wire-consensus.md (Guard database). Deviations:
none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from consensus.guard import Guard, GuardFloor, decode_record
from primitives.errors import GuardMissing, PeerError, TransientError

SCHEMA_VERSION = 1


def verify_guard_present(path: Path, journal: Path) -> None:
    """Raise GuardMissing when a node that has run before has lost its guard."""
    is_missing = not path.exists() or path.stat().st_size == 0  # it is made before the journal
    if is_missing and any(journal.glob("*")):
        raise GuardMissing(
            f"the signing history {path} is missing, but this node has voted before; signing "
            "without it could contradict earlier votes; nothing was signed",
            code="SIG001",
            fix="restore it from a backup: docs/how-to/lost-signing-history.md",
        )


class SigningGuard:
    """The database of one validator key. `save` may run in a worker thread, one call at a time."""

    def __init__(self, path: Path, address: bytes) -> None:
        self._path = path
        self._address = address
        self._connection = self._connect()
        self._prepare()

    def load(self) -> Guard:
        """Return the guard as of the last durable record. Raises GuardMissing on damage."""
        try:
            rows = self._connection.execute("SELECT record FROM records ORDER BY id").fetchall()
        except sqlite3.DatabaseError as error:
            raise self._unusable(str(error)) from error
        try:
            return Guard(bytes(row[0]) for row in rows)
        except PeerError as error:
            raise self._unusable(f"a record cannot be read: {error}") from error

    def save(self, records: Sequence[bytes]) -> None:
        """Return once the records would survive a power cut. Raises TransientError (disk full)."""
        rows = []
        floor: GuardFloor | None = None
        for record in records:
            decoded = decode_record(record)
            rows.append((decoded.epoch, decoded.view, record))
            if isinstance(decoded, GuardFloor):
                floor = decoded
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT INTO records (epoch, view, record) VALUES (?, ?, ?)", rows
                )
                if floor is not None:
                    self._connection.execute(
                        "DELETE FROM records WHERE (epoch, view) < (?, ?)",
                        (floor.epoch, floor.view),
                    )
        except sqlite3.OperationalError as error:
            raise TransientError(f"the signing guard cannot be written: {error}") from error

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self._path, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("PRAGMA synchronous=EXTRA")
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            raise self._unusable(str(error)) from error
        return connection

    def _prepare(self) -> None:
        try:
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._create()
            elif version != SCHEMA_VERSION:
                raise self._unusable(
                    f"it has schema {version}, this program knows {SCHEMA_VERSION}"
                )
            row = self._connection.execute("SELECT address FROM owner").fetchone()
        except sqlite3.DatabaseError as error:
            raise self._unusable(str(error)) from error
        if row is None or bytes(row[0]) != self._address:
            raise self._unusable("it belongs to another validator key")

    def _create(self) -> None:
        with self._connection:
            # Without it every CREATE would commit alone, and a crash would leave half a schema.
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("CREATE TABLE owner (address BLOB NOT NULL)")
            self._connection.execute(
                "CREATE TABLE records (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL,"
                " view INTEGER NOT NULL, record BLOB NOT NULL)"
            )
            self._connection.execute("CREATE INDEX by_place ON records (epoch, view)")
            self._connection.execute("INSERT INTO owner VALUES (?)", (self._address,))
            self._connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def _unusable(self, why: str) -> GuardMissing:
        return GuardMissing(
            f"the signing guard {self._path.name} cannot be used: {why}; nothing was signed",
            code="SIG001",
            fix="restore it from a backup: docs/how-to/lost-signing-history.md",
        )
