"""Read the chain: by height, hash, CID, id, or in pages whose cursors stay valid.

Rule: a cursor is a height, an id or a number that never changes its meaning, so a page read later
neither repeats nor skips a row; every query is bounded. One reader serves one thread at a time.
Spec: docs/spec/storage.md#reading
Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlite_utils import Database

from storage import limits
from storage.candle_rows import COLUMNS as CANDLE_COLUMNS
from storage.candle_rows import decode_candle
from storage.candles import Candle
from storage.chain_rows import (
    BLOCKS,
    EXECUTED,
    FILL_TABLES,
    FILLS,
    MARKET_EVENTS,
    RECEIPTS,
    SUMMARY,
    WHOLE,
    WITHDRAWALS,
    decode_block,
    decode_checkpoint,
    decode_executed,
    decode_fill,
    decode_market_event,
    decode_receipt,
    decode_summary,
    decode_withdrawal,
)
from storage.database import failures_named, get_size_bytes, is_sound, open_reader
from storage.integers import compute_prefix
from storage.records import (
    BlockSummary,
    CheckpointRecord,
    Executed,
    StoredAccountEvents,
    StoredBlock,
    StoredBundle,
    StoredFill,
    StoredMarketEvent,
    StoredReceipt,
    StoredWithdrawal,
)


class ChainReader:
    """Queries over one connection. Every method raises TransientError or OperatorError."""

    def __init__(self, database: Database, path: str) -> None:
        self._database = database
        self._path = path

    @classmethod
    def open(cls, path: Path | str) -> ChainReader:
        """Open a database that a `ChainStore` has made, read-only."""
        return cls(open_reader(path), str(path))

    def close(self) -> None:
        self._database.conn.close()

    def _all(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with failures_named(self._path):
            return list(self._database.execute(sql, parameters))

    def _one(self, sql: str, *parameters: Any) -> tuple[Any, ...] | None:
        rows = self._all(sql, *parameters)
        return rows[0] if rows else None

    # Where we are

    def meta(self, key: str) -> bytes | None:
        row = self._one("SELECT value FROM meta WHERE key = ?", key)
        return None if row is None else bytes(row[0])

    def latest_executed(self) -> Executed | None:
        """Return the newest executed height with its roots; None = nothing executed."""
        row = self._one(f"SELECT {EXECUTED} FROM executed ORDER BY height DESC LIMIT 1")
        return None if row is None else decode_executed(row)

    def executed(self, height: int) -> Executed | None:
        row = self._one(f"SELECT {EXECUTED} FROM executed WHERE height = ?", height)
        return None if row is None else decode_executed(row)

    def latest_final(self) -> BlockSummary | None:
        """Return the newest final block; None = none on record."""
        page = self.blocks(before=None, limit=1)
        return page[0] if page else None

    def latest_final_height(self) -> int:
        """Return the newest final height, or that of the snapshot we began from; 0 = genesis."""
        base = self.meta("base_height")
        row = self._one("SELECT max(height) FROM blocks")
        newest = 0 if row is None or row[0] is None else int(row[0])
        return max(newest, 0 if base is None else int.from_bytes(base, "big"))

    def oldest_height(self) -> int | None:
        """Return the oldest final height that has not been pruned; None = no blocks."""
        row = self._one("SELECT min(height) FROM blocks")
        return None if row is None or row[0] is None else int(row[0])

    def last_fill_id(self) -> int:
        row = self._one("SELECT last_fill FROM executed ORDER BY height DESC LIMIT 1")
        return 0 if row is None else int(row[0])

    # Blocks and bundles

    def total_actions(self) -> int:
        """Return how many actions were executed, over the heights on record."""
        row = self._one("SELECT coalesce(sum(actions), 0) FROM executed")
        return 0 if row is None else int(row[0])

    def block_hash(self, height: int) -> bytes | None:
        row = self._one("SELECT hash FROM blocks WHERE height = ?", height)
        return None if row is None else bytes(row[0])

    def block(self, height: int) -> StoredBlock | None:
        return self._block("b.height = ?", height)

    def block_by_hash(self, block_hash: bytes) -> StoredBlock | None:
        return self._block("b.hash = ?", block_hash)

    def block_by_cid(self, cid: bytes) -> StoredBlock | None:
        return self._block("b.cid = ?", cid)

    def _block(self, condition: str, value: int | bytes) -> StoredBlock | None:
        row = self._one(
            f"SELECT {SUMMARY}, {WHOLE} FROM {BLOCKS} WHERE {condition}",
            value,
        )
        return None if row is None else decode_block(row)

    def blocks(
        self, *, before: int | None = None, limit: int = limits.PAGE_ROWS_MAX
    ) -> list[BlockSummary]:
        """Return final blocks downwards from below height `before` (None = the newest)."""
        rows = self._all(
            f"SELECT {SUMMARY} FROM {BLOCKS} WHERE b.height < ? ORDER BY b.height DESC LIMIT ?",
            (1 << 62) if before is None else before,
            bound(limit),
        )
        return [decode_summary(row) for row in rows]

    def block_range(self, first: int, count: int) -> list[StoredBlock]:
        """Return up to `count` whole blocks upwards from `first`, for replay and for peers."""
        rows = self._all(
            f"SELECT {SUMMARY}, {WHOLE} FROM {BLOCKS}"
            " WHERE b.height >= ? ORDER BY b.height LIMIT ?",
            first,
            min(count, limits.BLOCKS_PER_READ_MAX),
        )
        return [decode_block(row) for row in rows]

    def bundle(self, digest: bytes) -> StoredBundle | None:
        row = self._one(
            "SELECT digest, height, size_bytes, actions, data FROM bundles WHERE digest = ?", digest
        )
        if row is None:
            return None
        return StoredBundle(
            digest=row[0], height=row[1], size_bytes=row[2], actions=row[3], data=row[4]
        )

    def node(self, cid: bytes) -> bytes | None:
        """Return a block's DAG-CBOR node by its binary CID."""
        row = self._one("SELECT node FROM blocks WHERE cid = ?", cid)
        return None if row is None else bytes(row[0])

    # Epochs

    def epochs(self, newest: int = -1) -> list[bytes]:
        """Return the records of the newest epochs that have begun, the first one is not among
        them, oldest first; -1: of all."""
        rows = self._all("SELECT record FROM epochs ORDER BY number DESC LIMIT ?", newest)
        return [bytes(row[0]) for row in reversed(rows)]

    def epoch(self, number: int) -> bytes | None:
        """Return the record of an epoch; None when it is not on record."""
        row = self._one("SELECT record FROM epochs WHERE number = ?", number)
        return None if row is None else bytes(row[0])

    def boundary(self, epoch: int) -> bytes | None:
        """Return the proof of the boundary block that ends an epoch."""
        row = self._one("SELECT proof FROM boundaries WHERE epoch = ?", epoch)
        return None if row is None else bytes(row[0])

    def committee(self, epoch: int) -> bytes | None:
        """Return who sat in an epoch from before the state this store began with."""
        row = self._one("SELECT members FROM committees WHERE epoch = ?", epoch)
        return None if row is None else bytes(row[0])

    # What was executed

    def receipt(self, action_id: bytes) -> StoredReceipt | None:
        """Return the newest receipt of an action that is no replay, else a replay's."""
        row = self._one(
            f"{RECEIPTS} WHERE r.prefix = ? AND r.id = ?"
            " ORDER BY r.is_replay, r.height DESC, r.position DESC LIMIT 1",
            compute_prefix(action_id),
            action_id,
        )
        return None if row is None else decode_receipt(row)

    def receipts_of(self, action_id: bytes) -> list[StoredReceipt]:
        """Return every record of an action, oldest first, at most a page."""
        rows = self._all(
            f"{RECEIPTS} WHERE r.prefix = ? AND r.id = ? ORDER BY r.height, r.position LIMIT ?",
            compute_prefix(action_id),
            action_id,
            limits.PAGE_ROWS_MAX,
        )
        return [decode_receipt(row) for row in rows]

    def receipts(self, height: int) -> list[StoredReceipt]:
        """Return all receipts of a block, in its order."""
        rows = self._all(f"{RECEIPTS} WHERE r.height = ? ORDER BY r.position", height)
        return [decode_receipt(row) for row in rows]

    def fills(
        self, market: int, *, before: int | None = None, limit: int = limits.PAGE_ROWS_MAX
    ) -> list[StoredFill]:
        """Return a market's fills with an id below `before` (None = the newest), newest first."""
        rows = self._all(
            f"SELECT {FILLS} FROM {FILL_TABLES} WHERE f.market = ? AND f.id < ?"
            " ORDER BY f.id DESC LIMIT ?",
            market,
            (1 << 62) if before is None else before,
            bound(limit),
        )
        return [decode_fill(row) for row in rows]

    def fills_after(self, after: int, *, limit: int = limits.PAGE_ROWS_MAX) -> list[StoredFill]:
        """Return the fills of all markets with an id above `after`, oldest first."""
        rows = self._all(
            f"SELECT {FILLS} FROM {FILL_TABLES} WHERE f.id > ? ORDER BY f.id LIMIT ?",
            after,
            bound(limit),
        )
        return [decode_fill(row) for row in rows]

    def account_fills(
        self, address: bytes, *, before: int | None = None, limit: int = limits.PAGE_ROWS_MAX
    ) -> list[StoredFill]:
        """Return an account's fills on either side, newest first, with an id below `before`."""
        account = self._one("SELECT id FROM accounts WHERE address = ?", address)
        if account is None:
            return []
        below, rows_max = (1 << 62) if before is None else before, bound(limit)
        side = "SELECT id FROM fills WHERE {} = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
        rows = self._all(
            f"SELECT {FILLS} FROM {FILL_TABLES} WHERE f.id IN"
            f" (SELECT id FROM ({side.format('maker')})"
            f" UNION SELECT id FROM ({side.format('taker')})) ORDER BY f.id DESC LIMIT ?3",
            account[0],
            below,
            rows_max,
        )
        return [decode_fill(row) for row in rows]

    def market_fills_after(
        self, market: int, after: int, *, limit: int = limits.PAGE_ROWS_MAX
    ) -> list[StoredFill]:
        """Return a market's fills with an id above `after`, oldest first."""
        rows = self._all(
            f"SELECT {FILLS} FROM {FILL_TABLES} WHERE f.market = ? AND f.id > ?"
            " ORDER BY f.id LIMIT ?",
            market,
            after,
            bound(limit),
        )
        return [decode_fill(row) for row in rows]

    def market_events(
        self, market: int, *, before: int | None = None, limit: int = limits.PAGE_ROWS_MAX
    ) -> list[StoredMarketEvent]:
        """Return a market's events with a number below `before`, newest first.

        Those from before a state that was fetched are left out: what followed them is not known.
        """
        rows = self._all(
            f"{MARKET_EVENTS} WHERE market = ? AND number < ? AND height > ?"
            " ORDER BY number DESC LIMIT ?",
            market,
            (1 << 62) if before is None else before,
            self._executed_base(),
            bound(limit),
        )
        return [decode_market_event(row) for row in rows]

    def market_events_after(
        self, market: int, after: int, *, limit: int = limits.PAGE_ROWS_MAX
    ) -> list[StoredMarketEvent]:
        """Return a market's events with a number above `after`, oldest first."""
        rows = self._all(
            f"{MARKET_EVENTS} WHERE market = ? AND number > ? AND height > ?"
            " ORDER BY number LIMIT ?",
            market,
            after,
            self._executed_base(),
            bound(limit),
        )
        return [decode_market_event(row) for row in rows]

    def newest_market_events(self, limit: int = limits.PAGE_ROWS_MAX) -> list[StoredMarketEvent]:
        """Return the newest events of all markets, newest first."""
        rows = self._all(
            f"{MARKET_EVENTS} ORDER BY height DESC, market DESC, number DESC LIMIT ?", bound(limit)
        )
        return [decode_market_event(row) for row in rows]

    def first_fill_id(self) -> int:
        """Return the id from which on all fills are on record; 1 = since genesis."""
        row = self._one(
            "SELECT last_fill - fills FROM executed WHERE height >= ? ORDER BY height LIMIT 1",
            self._executed_base(),
        )
        return 1 if row is None else int(row[0]) + 1

    def candles(
        self,
        market: int,
        interval_ms: int,
        *,
        before_ms: int | None = None,
        limit: int = limits.PAGE_ROWS_MAX,
    ) -> list[Candle]:
        """Return the newest candles that start below `before_ms`, oldest first."""
        rows = self._all(
            f"SELECT {CANDLE_COLUMNS} FROM candles WHERE market = ? AND interval_ms = ?"
            " AND start_ms < ? ORDER BY start_ms DESC LIMIT ?",
            market,
            interval_ms,
            (1 << 62) if before_ms is None else before_ms,
            bound(limit),
        )
        return [decode_candle(row) for row in reversed(rows)]

    def account_events(
        self, address: bytes, *, after: int = 0, limit: int = limits.PAGE_ROWS_MAX
    ) -> list[StoredAccountEvents]:
        """Return an account's batches that reach above event `after`, oldest first.

        They follow each other without a gap, and the first holds event `after` + 1; the list is
        empty if that one is not on record here.
        """
        rows = self._all(
            "SELECT v.last - v.count + 1, v.count, v.height, v.time_ms, v.body"
            " FROM account_events v JOIN accounts a ON a.id = v.account"
            " WHERE a.address = ? AND v.last > ? ORDER BY v.last LIMIT ?",
            address,
            after,
            bound(limit),
        )
        found, next_event = [], after + 1
        for first, count, height, time_ms, body in rows:
            if first > next_event:
                break
            next_event = first + count
            found.append(
                StoredAccountEvents(
                    first=first, count=count, height=height, time_ms=time_ms, body=body
                )
            )
        return found

    def oldest_event(self, address: bytes) -> int:
        """Return the number of an account's oldest event on record; 0 = none."""
        rows = self._all(
            "SELECT v.last, v.count FROM account_events v JOIN accounts a ON a.id = v.account"
            " WHERE a.address = ? ORDER BY v.last LIMIT 1",
            address,
        )
        return rows[0][0] - rows[0][1] + 1 if rows else 0

    def account_seq(self, address: bytes) -> int:
        """Return the number of the account's newest event on record; 0 = none yet."""
        row = self._one("SELECT events FROM accounts WHERE address = ?", address)
        return 0 if row is None else int(row[0])

    def oldest_executed(self) -> int:
        """Return the oldest height whose trades and events are on record; 1 = all are."""
        base = self._executed_base()
        row = self._one("SELECT min(height) FROM executed WHERE height > ?", base)
        return base + 1 if row is None or row[0] is None else int(row[0])

    def is_from_genesis(self) -> bool:
        """Tell whether this store was there from the first block."""
        return self._executed_base() == 0

    def _executed_base(self) -> int:
        """Return the height of the state this store went on from; 0 = genesis."""
        base = self.meta("executed_base")
        return 0 if base is None else int.from_bytes(base, "big")

    # Settlement

    def withdrawal(self, index: int) -> StoredWithdrawal | None:
        page = self.withdrawals(first=index, limit=1)
        return page[0] if page and page[0].withdrawal.index == index else None

    def withdrawals(
        self, *, first: int = 0, limit: int = limits.PAGE_ROWS_MAX
    ) -> list[StoredWithdrawal]:
        """Return withdrawals upwards from index `first`; leaves are never pruned."""
        rows = self._all(
            f"{WITHDRAWALS} WHERE w.id >= ? ORDER BY w.id LIMIT ?",
            first,
            bound(limit),
        )
        return [decode_withdrawal(row) for row in rows]

    def account_withdrawals(
        self, address: bytes, *, before: int | None = None, limit: int = limits.PAGE_ROWS_MAX
    ) -> list[StoredWithdrawal]:
        """Return an account's withdrawals with an index below `before`, newest first."""
        rows = self._all(
            f"{WITHDRAWALS} WHERE a.address = ? AND w.id < ? ORDER BY w.id DESC LIMIT ?",
            address,
            (1 << 62) if before is None else before,
            bound(limit),
        )
        return [decode_withdrawal(row) for row in rows]

    def checkpoint(self, height: int) -> CheckpointRecord | None:
        page = self.checkpoints(before=height + 1, limit=1)
        return page[0] if page and page[0].height == height else None

    def checkpoints(
        self, *, before: int | None = None, limit: int = limits.PAGE_ROWS_MAX
    ) -> list[CheckpointRecord]:
        """Return checkpoints below height `before`, newest first; they are never pruned."""
        rows = self._all(
            "SELECT height, executed_height, state_root, fees_root, cid, status, tx_hash, time_ms,"
            " fees FROM checkpoints WHERE height < ? ORDER BY height DESC LIMIT ?",
            (1 << 62) if before is None else before,
            bound(limit),
        )
        return [decode_checkpoint(row) for row in rows]

    # Care

    def size_bytes(self) -> int:
        """Return the bytes in use by the database."""
        with failures_named(self._path):
            return get_size_bytes(self._database)

    def is_sound(self) -> bool:
        """Tell whether SQLite's quick check passes; takes seconds on a large database."""
        with failures_named(self._path):
            return is_sound(self._database)


def bound(limit: int) -> int:
    """Return how many rows a page may have."""
    return max(0, min(limit, limits.PAGE_ROWS_MAX))
