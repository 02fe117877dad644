"""Find the files that remember what one validator key has signed.

Rule: each key of a data directory has its own guard and its own journal, and neither is ever used
for another key; the first key's have plain names.
Spec: docs/reference/data-directory.md; docs/reference/signing.md (Another key).
Deviations: one history per key (ADR 0364).
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from node.datadir import DataDir


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFiles:
    """Where one key's votes are remembered."""

    guard: Path
    journal: Path


def find_history(data: DataDir, address: bytes) -> HistoryFiles:
    """Return the files of a key, there or not yet.

    A validator that changed its hot key begins a new history; with the old key the old one counts.
    """
    own = data.signing / f"signing-{address.hex()}.sqlite"
    if not own.exists() and read_owner(data.guard_file) in (None, address):
        return HistoryFiles(guard=data.guard_file, journal=data.chain / "journal")
    return HistoryFiles(guard=own, journal=data.chain / f"journal-{address.hex()}")


def read_owner(guard: Path) -> bytes | None:
    """Return whose guard a file is; None when that cannot be told, or there is none."""
    if not guard.exists():
        return None
    with contextlib.suppress(sqlite3.DatabaseError):
        connection = sqlite3.connect(guard)
        try:
            row = connection.execute("SELECT address FROM owner").fetchone()
        finally:
            connection.close()
        return None if row is None else bytes(row[0])
    return None
