"""Give each address a small row number, and remember the number of its newest event.

Rule: numbers handed out inside a transaction count only once it is committed; after a rollback they
are forgotten, as the database forgets them.
Spec: docs/spec/storage.md#chain-store
Deviations: none.
"""

from __future__ import annotations

from sqlite_utils import Database

from primitives.errors import StateDiverged
from storage import limits


class AccountRows:
    """A write-through cache of the table `accounts`, used by the one writer only."""

    def __init__(self, database: Database) -> None:
        self._connection = database.conn
        self._known: dict[bytes, tuple[int, int]] = {}  # address -> (row, newest event)
        self._changed: dict[bytes, tuple[int, int]] = {}

    def get_row(self, address: bytes) -> int:
        """Return the row number of an address; a new one is inserted."""
        return self._find(address)[0]

    def add_events(self, address: bytes, first: int, count: int) -> int:
        """Note events numbered from `first`; return the row. Raises StateDiverged if known."""
        row, events = self._find(address)
        if first <= events:
            raise StateDiverged(
                f"event {first} of 0x{address.hex()} comes again after event {events}"
            )
        self._changed[address] = (row, first + count - 1)
        return row

    def _find(self, address: bytes) -> tuple[int, int]:
        found = self._changed.get(address) or self._known.get(address)
        if found is not None:
            return found
        assert len(address) == 20, "an address has 20 bytes"
        stored = self._connection.execute(
            "SELECT id, events FROM accounts WHERE address = ?", (address,)
        ).fetchone()
        if stored is None:
            cursor = self._connection.execute(
                "INSERT INTO accounts (address) VALUES (?)", (address,)
            )
            assert cursor.lastrowid is not None
            stored = (cursor.lastrowid, 0)
        self._changed[address] = (int(stored[0]), int(stored[1]))
        return self._changed[address]

    def flush(self) -> None:
        """Write the counters; call inside the transaction, before its commit."""
        self._connection.executemany(
            "UPDATE accounts SET events = ? WHERE id = ?",
            [(events, row) for row, events in self._changed.values()],
        )

    def on_commit(self) -> None:
        if len(self._known) + len(self._changed) > limits.ACCOUNT_CACHE_MAX:
            self._known.clear()
        self._known.update(self._changed)
        self._changed.clear()

    def on_rollback(self) -> None:
        self._changed.clear()
