"""Write the chain: final blocks, and what executing them brought.

Rule: one final block is one transaction, one executed height is one transaction; heights follow
each other without a gap. Writing a height again changes nothing, if it says the same.
This file is synchronous and used by one thread; `writer.py` is its trio shell.
Spec: docs/spec/storage.md#chain-store
Deviations: none.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from primitives.errors import StateDiverged, WrongNetwork
from storage import candle_rows
from storage.account_rows import AccountRows
from storage.candles import Candle
from storage.chain_reader import ChainReader
from storage.database import (
    failures_named,
    get_size_bytes,
    open_database,
    sync_database,
    transaction,
)
from storage.integers import compute_prefix, encode_integer, encode_numbers
from storage.records import BaseRecord, CheckpointRecord, ExecutedRecord, FinalRecord
from storage.schema import CHAIN_MIGRATIONS

NETWORK_KEY = "network_id"
BASE_KEY = "base_height"
"""Height of the snapshot this store was started from; 0 = genesis."""
EXECUTED_BASE_KEY = "executed_base"
"""Height of the state that was adopted last: what was executed before may be missing."""


class ChainStore:
    """The writing side of the chain database; `read` queries through the same connection."""

    def __init__(self, path: Path | str, network_id: bytes) -> None:
        """Open or create. Raises WrongNetwork, TransientError, OperatorError."""
        self.path = str(path)
        self.database = open_database(path, CHAIN_MIGRATIONS)
        try:
            self.read = ChainReader(self.database, self.path)
            self._accounts = AccountRows(self.database)
            self._bind_network(network_id)
            self._load_heights()
        except BaseException:
            self.close()
            raise

    def _bind_network(self, network_id: bytes) -> None:
        stored = self.read.meta(NETWORK_KEY)
        if stored is None:
            self.put_meta(NETWORK_KEY, network_id)
        elif stored != network_id:
            raise WrongNetwork(
                f"{self.path} belongs to network {stored.hex()}, not {network_id.hex()}",
                fix="use the data directory of this network",
            )

    def _load_heights(self) -> None:
        with failures_named(self.path):
            executed = self.read.latest_executed()
            self._final_height = self.read.latest_final_height()
            self._executed_height = executed.height if executed else 0
            self._last_fill = self.read.last_fill_id()

    @property
    def final_height(self) -> int:
        """Newest final height on record; 0 = none."""
        return self._final_height

    @property
    def executed_height(self) -> int:
        """Newest executed height on record; 0 = none."""
        return self._executed_height

    @property
    def last_fill_id(self) -> int:
        """Id of the newest fill on record; 0 = none."""
        return self._last_fill

    def write_final(self, record: FinalRecord) -> None:
        """Record a final block, its certificate and its bundles.

        Raises StateDiverged when another block is on record at its height, TransientError when the
        disk is full or busy (nothing is written then; call again), OperatorError when read-only.
        """
        if record.height <= self._final_height:
            self._check_same_block(record)
            return
        assert record.height == self._final_height + 1, "final heights have no gap"
        assert hashlib.sha256(record.node).digest() == record.cid[-32:], "the CID is of the node"
        with transaction(self.database, self.path):
            self._insert_bundles(record)
            self._insert_block(record)
            self._insert_border(record)
        self._final_height = record.height

    def _insert_block(self, record: FinalRecord) -> None:
        self.database.conn.execute(
            "INSERT INTO blocks VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                record.height,
                record.view,
                record.epoch,
                record.block_hash,
                record.cid,
                record.time_ms,
                record.proposer,
                record.executed_height,
                record.signers,
                record.actions,
                b"".join(bundle.digest for bundle in record.bundles),
                record.finality_ms,
                record.encoded,
                record.node,
                record.certificate,
            ),
        )

    def _insert_border(self, record: FinalRecord) -> None:
        """Record what lies between two epochs."""
        if record.seals:
            self.database.conn.execute(
                "INSERT INTO seals VALUES (?,?)", (record.height, record.seals)
            )
        if record.boundary_proof:
            self.database.conn.execute(
                "INSERT INTO boundaries VALUES (?,?)", (record.epoch, record.boundary_proof)
            )
        if record.epoch_record:
            self.database.conn.execute(
                "INSERT INTO epochs VALUES (?,?)", (record.epoch, record.epoch_record)
            )

    def _check_same_block(self, record: FinalRecord) -> None:
        stored = self.read.block_hash(record.height)
        if stored is not None and stored != record.block_hash:
            raise StateDiverged(
                f"two final blocks at height {record.height}: "
                f"{stored.hex()} on record, {record.block_hash.hex()} offered"
            )

    def _insert_bundles(self, record: FinalRecord) -> None:
        self.database.conn.executemany(
            "INSERT INTO bundles (digest, height, size_bytes, actions, data) VALUES (?,?,?,?,?)"
            " ON CONFLICT (digest) DO UPDATE SET height = excluded.height,"
            " data = coalesce(excluded.data, data)",
            [
                (bundle.digest, record.height, bundle.size_bytes, bundle.actions, bundle.data)
                for bundle in record.bundles
            ],
        )

    def write_executed(self, record: ExecutedRecord) -> bool:
        """Record what one height brought; tell whether that was news.

        A height written before changes nothing. Raises StateDiverged when its state root differs
        from the one on record or its numbers do not go on from there, else as `write_final`.
        """
        if record.height <= self._executed_height:
            self._check_same_state(record)
            return False
        assert record.height == self._executed_height + 1, "executed heights have no gap"
        if record.first_fill != self._last_fill + 1:
            raise StateDiverged(
                f"the fills of height {record.height} begin with {record.first_fill}, "
                f"the last one on record is {self._last_fill}"
            )
        last_fill = self._last_fill + len(record.fills)
        with self._account_transaction():
            self._insert_receipts(record)
            self._resolve_receipts(record)
            self._insert_fills(record)
            candle_rows.upsert(self.database.conn, record.candles)
            self._insert_events(record)
            self._insert_withdrawals(record)
            self._insert_market_events(record)
            self._insert_executed(record, last_fill)
        self._executed_height, self._last_fill = record.height, last_fill
        return True

    def _check_same_state(self, record: ExecutedRecord) -> None:
        stored = self.read.executed(record.height)
        if stored is not None and stored.state_root != record.state_root:
            raise StateDiverged(
                f"height {record.height} was executed to {stored.state_root.hex()} before, "
                f"now to {record.state_root.hex()}"
            )

    @contextlib.contextmanager
    def _account_transaction(self) -> Iterator[None]:
        try:
            with transaction(self.database, self.path):
                yield
                self._accounts.flush()
        except BaseException:
            self._accounts.on_rollback()
            raise
        self._accounts.on_commit()

    def _insert_executed(self, record: ExecutedRecord, last_fill: int) -> None:
        self.database.conn.execute(
            "INSERT INTO executed VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                record.height,
                record.time_ms,
                record.state_root,
                record.fees_root,
                record.roots,
                record.actions,
                len(record.fills),
                last_fill,
                record.withdrawal_count,
                encode_numbers(record.fee_totals),
            ),
        )

    def _insert_receipts(self, record: ExecutedRecord) -> None:
        height = record.height
        self.database.conn.executemany(
            "INSERT INTO receipts VALUES (?,?,?,?,?,?,?)",
            [
                (
                    height,
                    receipt.index,
                    compute_prefix(receipt.action_id),
                    receipt.action_id,
                    receipt.statuses,
                    encode_numbers(receipt.orders) if any(receipt.orders) else b"",
                    receipt.is_replay,
                )
                for receipt in record.receipts
            ],
        )

    def _resolve_receipts(self, record: ExecutedRecord) -> None:
        connection = self.database.conn
        for resolution in record.resolutions:
            row = connection.execute(
                "SELECT height, position, statuses FROM receipts WHERE prefix = ? AND id = ?"
                " AND is_replay = 0 ORDER BY height DESC, position DESC LIMIT 1",
                (compute_prefix(resolution.action_id), resolution.action_id),
            ).fetchone()
            if row is None:
                continue  # its block is older than the snapshot this store began from, or pruned
            statuses = bytearray(row[2])
            statuses[resolution.op] = resolution.status
            connection.execute(
                "UPDATE receipts SET statuses = ? WHERE height = ? AND position = ?",
                (bytes(statuses), row[0], row[1]),
            )

    def _insert_fills(self, record: ExecutedRecord) -> None:
        height, time_ms, row_of = record.height, record.time_ms, self._accounts.get_row
        self.database.conn.executemany(
            "INSERT INTO fills VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    number,
                    height,
                    time_ms,
                    fill.market,
                    fill.price,
                    fill.size,
                    row_of(fill.maker),
                    fill.maker_sub,
                    encode_integer(fill.maker_order),
                    encode_integer(fill.maker_fee),
                    row_of(fill.taker),
                    fill.taker_sub,
                    encode_integer(fill.taker_order),
                    encode_integer(fill.taker_fee),
                    fill.taker_side,
                    fill.maker_left,
                    fill.taker_left,
                    fill.batch,
                    fill.sealed,
                    encode_integer(fill.maker_builder_fee),
                    encode_integer(fill.taker_builder_fee),
                )
                for number, fill in enumerate(record.fills, start=self._last_fill + 1)
            ],
        )

    def _insert_events(self, record: ExecutedRecord) -> None:
        rows = []
        for batch in record.events:
            assert batch.count > 0, "a batch has events"
            row = self._accounts.add_events(batch.address, batch.first, batch.count)
            last = batch.first + batch.count - 1
            rows.append((row, last, batch.count, record.height, record.time_ms, batch.body))
        self.database.conn.executemany("INSERT INTO account_events VALUES (?,?,?,?,?,?)", rows)

    def _insert_market_events(self, record: ExecutedRecord) -> None:
        self.database.conn.executemany(
            "INSERT INTO market_events VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    event.market,
                    event.number,
                    record.height,
                    record.time_ms,
                    event.kind,
                    event.phase,
                    event.cause,
                    event.auction_ms,
                    event.price,
                    encode_integer(event.size),
                    encode_integer(event.surplus),
                )
                for event in record.market_events
            ],
        )

    def _insert_withdrawals(self, record: ExecutedRecord) -> None:
        self.database.conn.executemany(
            "INSERT INTO withdrawals VALUES (?,?,?,?,?,?,?,?,?)",
            [
                (
                    withdrawal.index,
                    record.height,
                    self._accounts.get_row(withdrawal.account),
                    encode_integer(withdrawal.chain_id),
                    withdrawal.vault,
                    withdrawal.token,
                    encode_integer(withdrawal.amount),
                    withdrawal.to,
                    withdrawal.leaf,
                )
                for withdrawal in record.withdrawals
            ],
        )

    def adopt_snapshot(
        self,
        *,
        height: int,
        time_ms: int,
        state_root: bytes,
        fees_root: bytes,
        last_fill: int,
        candles: Iterable[Candle],
        roots: bytes = b"",
        withdrawal_count: int = 0,
        base: BaseRecord | None = None,
    ) -> None:
        """Go on from a state that was fetched, not executed, with its numbers and open candles.

        The next executed height is `height + 1`, and the next final one too, unless newer final
        blocks are on record already. `base` is the final block of that height.
        """
        assert height > self._executed_height, "a snapshot leads forward"
        with transaction(self.database, self.path):
            self.database.conn.execute(
                "INSERT INTO executed VALUES (?,?,?,?,?,0,0,?,?,?)",
                (
                    height,
                    time_ms,
                    state_root,
                    fees_root,
                    roots,
                    last_fill,
                    withdrawal_count,
                    encode_numbers(()),
                ),
            )
            candle_rows.upsert(self.database.conn, candles)
            self._put_meta(EXECUTED_BASE_KEY, height.to_bytes(8, "big"))
            if height > self._final_height:
                self._put_meta(BASE_KEY, height.to_bytes(8, "big"))
                if base is not None:
                    self._insert_base(base)
        self._load_heights()

    def _insert_base(self, base: BaseRecord) -> None:
        """Record the block under a fetched state and how its epoch came about."""
        connection = self.database.conn
        self._insert_block(base.block)
        if base.epoch is not None:
            connection.execute("INSERT OR REPLACE INTO epochs VALUES (?,?)", base.epoch)
        for table, rows in (
            ("boundaries", [(border.epoch, border.proof) for border in base.borders]),
            ("committees", [(border.epoch, border.members) for border in base.borders]),
        ):
            connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?,?)", rows)

    def put_checkpoint(self, record: CheckpointRecord) -> None:
        """Insert or replace a checkpoint. Raises as `write_final`."""
        fees = encode_numbers([number for pair in record.fees for number in pair])
        with transaction(self.database, self.path):
            self.database.conn.execute(
                "INSERT OR REPLACE INTO checkpoints VALUES (?,?,?,?,?,?,?,?,?)",
                (
                    record.height,
                    record.executed_height,
                    record.state_root,
                    record.fees_root,
                    record.cid,
                    record.status,
                    record.tx_hash,
                    record.time_ms,
                    fees,
                ),
            )

    def drop_meta(self, key: str) -> None:
        """Forget a small value. Raises as `write_final`."""
        with transaction(self.database, self.path):
            self.database.conn.execute("DELETE FROM meta WHERE key = ?", (key,))

    def put_meta(self, key: str, value: bytes) -> None:
        """Remember a small value. Raises as `write_final`."""
        with transaction(self.database, self.path):
            self._put_meta(key, value)

    def _put_meta(self, key: str, value: bytes) -> None:
        self.database.conn.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (key, value))

    def sync(self) -> None:
        """Make what was written survive a power cut (a write alone survives only a crash).

        Raises TransientError, OperatorError. A checkpoint would not do: a reader in the way makes
        SQLite skip it, and its sync.
        """
        sync_database(self.database, self.path)

    def size_bytes(self) -> int:
        """Return the bytes in use."""
        with failures_named(self.path):
            return get_size_bytes(self.database)

    def close(self) -> None:
        """Close the file; what was written stays."""
        self.database.conn.close()
