"""Keep the ballots that a node has seen or given, so that a restart forgets none.

Rule: nothing here is believed: what is read is decoded and counted like a frame from a stranger,
and an approval counts when the node's own key has signed it. A
box that cannot be read or written costs its memory and nothing else, so a node starts and decides
without it.
Spec: docs/spec/settlement.md §7 (Gathering). Deviations: none.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from node.limits import BALLOTS_MAX, DECISION_FRAME_BYTES_MAX, DECISIONS_MAX
from primitives.errors import NodeError
from storage.database import Migration, failures_named, open_database, transaction

log = logging.getLogger("omnibazaar.settlement")

TABLE: Final = """
CREATE TABLE ballots (
    decision BLOB NOT NULL,
    seat INTEGER NOT NULL,
    frame BLOB NOT NULL,
    PRIMARY KEY (decision, seat)
) WITHOUT ROWID, STRICT
"""


APPROVALS: Final = """
CREATE TABLE approvals (
    name BLOB NOT NULL PRIMARY KEY,
    frame BLOB NOT NULL
) WITHOUT ROWID, STRICT
"""


def _create(database: Database) -> None:
    database.conn.execute(TABLE)


def _add_approvals(database: Database) -> None:
    database.conn.execute(APPROVALS)


MIGRATIONS: Final[Sequence[Migration]] = (_create, _add_approvals)


class BallotBox:
    """A small database of its own, a row for each signature that counted. Single-threaded."""

    def __init__(self, path: Path) -> None:
        """Open it; a damaged one is begun anew, since the other nodes repeat what was in it."""
        self._path = str(path)
        self._database: Database | None = None
        try:
            self._database = open_database(path, MIGRATIONS)
        except NodeError as error:
            log.warning("open decisions are not remembered from before: %s", error)
            with contextlib.suppress(OSError, NodeError):
                for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                    name.unlink(missing_ok=True)
                self._database = open_database(path, MIGRATIONS)

    def frames(self) -> list[bytes]:
        """Return all ballots as they were sent: at most BALLOTS_MAX, none longer than a frame."""
        return self._read("ballots", "decision, seat", BALLOTS_MAX)

    def approvals(self) -> list[bytes]:
        """Return what the operator has approved, as signed last: at most DECISIONS_MAX."""
        return self._read("approvals", "name", DECISIONS_MAX)

    def _read(self, table: str, order: str, most: int) -> list[bytes]:
        query = f"SELECT frame FROM {table} WHERE length(frame) <= ? ORDER BY {order} LIMIT ?"
        found: list[bytes] = []
        if self._database is not None:
            with self._excused(), failures_named(self._path):
                rows = self._database.conn.execute(query, (DECISION_FRAME_BYTES_MAX, most))
                found = [bytes(frame) for (frame,) in rows]
        return found

    def put(self, decision: bytes, seat: int, frame: bytes) -> None:
        """Keep one member's ballot about one decision."""
        row = (decision, seat, frame)
        self._write("INSERT OR REPLACE INTO ballots VALUES (?, ?, ?)", row)

    def forget(self, decision: bytes) -> None:
        """Drop all ballots about a decision."""
        self._write("DELETE FROM ballots WHERE decision = ?", (decision,))

    def drop(self, frame: bytes) -> None:
        """Drop a ballot that counts for nothing."""
        self._write("DELETE FROM ballots WHERE frame = ?", (frame,))

    def put_approval(self, name: bytes, frame: bytes) -> None:
        """Keep what the operator has approved, as signed last."""
        self._write("INSERT OR REPLACE INTO approvals VALUES (?, ?)", (name, frame))

    def drop_approval(self, name: bytes) -> None:
        """Drop what the operator approves no more."""
        self._write("DELETE FROM approvals WHERE name = ?", (name,))

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.conn.close()
            self._database = None

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        if self._database is not None:
            with self._excused(), transaction(self._database, self._path):
                self._database.conn.execute(statement, values)

    @contextlib.contextmanager
    def _excused(self) -> Iterator[None]:
        """A ballot that is not kept here is repeated by others."""
        try:
            yield
        except NodeError as error:
            log.warning("a ballot could not be kept: %s", error)
