"""Keep the EVM chain's state and history in one SQLite file, one transaction per block.

Rule: what a block changed becomes durable all at once or not at all. JSON is kept compressed, since
most of an empty block is an empty bloom filter.

Spec: docs/spec/settlement.md §12
Deviations: state of old blocks is never pruned; a devnet is reset instead.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eth.db.backends.base import BaseDB

from contracts.limits import CHAIN_CACHE_ENTRIES_MAX

SCHEMA = """
CREATE TABLE IF NOT EXISTS state (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, hash BLOB UNIQUE, body BLOB);
CREATE TABLE IF NOT EXISTS transactions (
    hash BLOB PRIMARY KEY, block INTEGER NOT NULL, position INTEGER NOT NULL,
    body BLOB NOT NULL, receipt BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logs (
    block INTEGER NOT NULL, position INTEGER NOT NULL, address BLOB NOT NULL, topics BLOB NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY (block, position)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS transactions_by_block ON transactions (block, position);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLog:
    """One log as it is kept: what filters need, and the JSON that is answered."""

    position: int
    address: bytes
    topics: tuple[bytes, ...]
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTransaction:
    """One mined transaction and its receipt, as JSON."""

    hash: bytes
    body: str
    receipt: str


class ChainStore:
    """The file. Not thread-safe: its owner calls it under one lock."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the file; None keeps everything in memory."""
        self._db = sqlite3.connect(
            ":memory:" if path is None else path, check_same_thread=False, isolation_level=None
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def get_state(self, key: bytes) -> bytes | None:
        """Return the value of a state key, or None."""
        row = self._db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def write_block(
        self,
        number: int,
        block_hash: bytes,
        body: str,
        *,
        state: dict[bytes, bytes | None],
        transactions: tuple[StoredTransaction, ...],
        logs: tuple[StoredLog, ...],
    ) -> None:
        """Make a block and the state that it left durable."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._write_state(state)
            row = (number, block_hash, _pack(body))
            self._db.execute("INSERT INTO blocks VALUES (?, ?, ?)", row)
            self._db.executemany(
                "INSERT INTO transactions VALUES (?, ?, ?, ?, ?)",
                [
                    (tx.hash, number, i, _pack(tx.body), _pack(tx.receipt))
                    for i, tx in enumerate(transactions)
                ],
            )
            self._db.executemany(
                "INSERT INTO logs VALUES (?, ?, ?, ?, ?)",
                [
                    (number, log.position, log.address, b"".join(log.topics), log.body)
                    for log in logs
                ],
            )
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def rewind(self, number: int, *, state: dict[bytes, bytes | None]) -> None:
        """Forget every block above `number`, durably, with the state changes that this takes."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._write_state(state)
            self._db.execute("DELETE FROM blocks WHERE number > ?", (number,))
            self._db.execute("DELETE FROM transactions WHERE block > ?", (number,))
            self._db.execute("DELETE FROM logs WHERE block > ?", (number,))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _write_state(self, state: dict[bytes, bytes | None]) -> None:
        """Apply state changes; None deletes."""
        self._db.executemany(
            "INSERT OR REPLACE INTO state VALUES (?, ?)",
            [(key, value) for key, value in state.items() if value is not None],
        )
        self._db.executemany(
            "DELETE FROM state WHERE key = ?",
            [(key,) for key, value in state.items() if value is None],
        )

    def block_body(self, number: int) -> str | None:
        """Return a block's JSON, or None."""
        row = self._db.execute("SELECT body FROM blocks WHERE number = ?", (number,)).fetchone()
        return None if row is None else _unpack(row[0])

    def block_number(self, block_hash: bytes) -> int | None:
        """Return the number of the block with a hash, or None."""
        row = self._db.execute("SELECT number FROM blocks WHERE hash = ?", (block_hash,)).fetchone()
        return None if row is None else int(row[0])

    def transaction(self, transaction_hash: bytes) -> StoredTransaction | None:
        """Return a mined transaction, or None."""
        row = self._db.execute(
            "SELECT hash, body, receipt FROM transactions WHERE hash = ?", (transaction_hash,)
        ).fetchone()
        return None if row is None else _stored_transaction(row)

    def block_transactions(self, number: int) -> tuple[StoredTransaction, ...]:
        """Return a block's transactions in order."""
        rows = self._db.execute(
            "SELECT hash, body, receipt FROM transactions WHERE block = ? ORDER BY position",
            (number,),
        )
        return tuple(_stored_transaction(row) for row in rows)

    def logs(self, first: int, last: int, address: bytes | None) -> Iterator[StoredLog]:
        """Yield the logs of a range of blocks, of one emitter or of all, in order."""
        query = "SELECT position, address, topics, body FROM logs WHERE block BETWEEN ? AND ?"
        values: list[int | bytes] = [first, last]
        if address is not None:
            query += " AND address = ?"
            values.append(address)
        for row in self._db.execute(query + " ORDER BY block, position", values):
            topics = tuple(bytes(row[2][i : i + 32]) for i in range(0, len(row[2]), 32))
            yield StoredLog(position=row[0], address=row[1], topics=topics, body=row[3])


def _stored_transaction(row: tuple[bytes, bytes, bytes]) -> StoredTransaction:
    """A transaction from its row."""
    return StoredTransaction(hash=row[0], body=_unpack(row[1]), receipt=_unpack(row[2]))


def _pack(text: str) -> bytes:
    """Compressed JSON."""
    return zlib.compress(text.encode(), level=1)


def _unpack(packed: bytes) -> str:
    """JSON again."""
    return zlib.decompress(packed).decode()


class StateDB(BaseDB):  # type: ignore[misc]
    """The key-value view that py-evm works on: writes wait here until their block is stored."""

    def __init__(self, store: ChainStore) -> None:
        """Read through to a store."""
        self._store = store
        self._cache: dict[bytes, bytes] = {}
        self._pending: dict[bytes, bytes | None] = {}

    @property
    def pending(self) -> dict[bytes, bytes | None]:
        """The writes since the last block; None deletes."""
        return self._pending

    def keep_pending(self) -> None:
        """Take the writes over, after they were stored."""
        if len(self._cache) > CHAIN_CACHE_ENTRIES_MAX:
            self._cache.clear()
        for key, value in self._pending.items():
            if value is None:
                self._cache.pop(key, None)
            else:
                self._cache[key] = value
        self._pending = {}

    def drop_pending(self) -> None:
        """Forget the writes since the last block, after a failure to build one."""
        self._pending.clear()

    def _get(self, key: bytes) -> bytes | None:
        """Value of a key in the newest view."""
        if key in self._pending:
            return self._pending[key]
        if key in self._cache:
            return self._cache[key]
        value = self._store.get_state(key)
        if value is not None:
            self._cache[key] = value
        return value

    def __getitem__(self, key: bytes) -> bytes:
        """Return a value; raises KeyError."""
        value = self._get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        """Set a value within the block being built."""
        self._pending[key] = value

    def __delitem__(self, key: bytes) -> None:
        """Delete a value within the block being built."""
        self._pending[key] = None

    def _exists(self, key: bytes) -> bool:
        """Whether a key has a value."""
        return self._get(key) is not None
