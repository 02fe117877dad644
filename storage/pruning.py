"""Decide how much of the chain a node keeps, and delete the rest in small steps.

Rule: checkpoints, withdrawals, accounts and candles of a minute and longer are kept for ever; what
restart needs (everything from the oldest snapshot kept on) is never deleted. One step is one
transaction over a bounded number of heights, so the writer is never held up for long.
Spec: docs/spec/storage.md#pruning
Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from storage import limits
from storage.candles import MINUTE_MS
from storage.chain_store import ChainStore
from storage.database import failures_named, transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePolicy:
    """None = no bound. An archive node has neither."""

    age_ms_max: int | None = None
    size_bytes_max: int | None = limits.HOME_BYTES_MAX


ARCHIVE: Final = PrunePolicy(size_bytes_max=None)


def prune_step(store: ChainStore, policy: PrunePolicy, *, now_ms: int, keep_from: int) -> int:
    """Delete the oldest heights that the policy does not keep, a bounded number of them.

    Heights from `keep_from` on stay, and the newest always. Returns the number of heights
    deleted; 0 = nothing to do. Raises TransientError, OperatorError.
    """
    oldest = store.read.oldest_height()
    keep_from = min(keep_from, store.executed_height, store.final_height)
    if oldest is None or oldest >= keep_from:
        return 0
    with failures_named(store.path):
        limit = min(keep_from, oldest + limits.PRUNE_HEIGHTS_PER_STEP)
        below = compute_prune_height(store, policy, now_ms=now_ms, limit=limit)
        if below <= oldest:
            return 0
        delete_below(store.database, store.path, below)
    return below - oldest


def compute_prune_height(store: ChainStore, policy: PrunePolicy, *, now_ms: int, limit: int) -> int:
    """Return the height below which everything may go, at most `limit`; 0 = nothing may."""
    if policy.size_bytes_max is not None and store.size_bytes() > policy.size_bytes_max:
        return limit
    if policy.age_ms_max is None:
        return 0
    row = store.database.execute(
        "SELECT min(height) FROM blocks WHERE height < ? AND time_ms >= ?",
        (limit, now_ms - policy.age_ms_max),
    ).fetchone()
    return limit if row[0] is None else int(row[0])


PRUNED_TABLES: Final = (
    "blocks", "seals", "bundles", "receipts", "account_events", "market_events", "executed",
)  # fmt: skip


def delete_below(database: Database, path: str, height: int) -> None:
    """Delete what belongs to heights below `height`, in one transaction, and shrink the file."""
    connection = database.conn
    with transaction(database, path):
        row = connection.execute(
            "SELECT max(last_fill), max(time_ms) FROM executed WHERE height < ?", (height,)
        ).fetchone()
        for table in PRUNED_TABLES:
            connection.execute(f"DELETE FROM {table} WHERE height < ?", (height,))
        if row[0] is not None:
            connection.execute("DELETE FROM fills WHERE id <= ?", (row[0],))
            for market, interval_ms in connection.execute(
                "SELECT DISTINCT market, interval_ms FROM candles WHERE interval_ms < ?",
                (MINUTE_MS,),
            ).fetchall():
                connection.execute(
                    "DELETE FROM candles WHERE market = ? AND interval_ms = ? AND start_ms < ?",
                    (market, interval_ms, row[1] - row[1] % interval_ms),
                )
    database.execute(f"PRAGMA incremental_vacuum({limits.PRUNE_PAGES_PER_STEP})").fetchall()
