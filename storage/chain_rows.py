"""Turn rows of the chain store into records.

Rule: each list of columns stands beside the function that reads it, in the same order.
Spec: docs/spec/storage.md#chain-store
Deviations: none.
"""

from __future__ import annotations

from typing import Any, Final

from storage.integers import decode_integer, decode_numbers
from storage.records import (
    BlockSummary,
    CheckpointRecord,
    Executed,
    FillRecord,
    MarketEventRecord,
    StoredBlock,
    StoredFill,
    StoredMarketEvent,
    StoredReceipt,
    StoredWithdrawal,
    WithdrawalRecord,
)

SUMMARY: Final = (
    "b.height, b.view, b.epoch, b.hash, b.cid, b.time_ms, b.proposer, b.executed_height, b.signers,"
    " b.actions, length(b.bundles) / 32, b.finality_ms, e.fills"
)
BLOCKS: Final = "blocks b LEFT JOIN executed e ON e.height = b.height"
EXECUTED: Final = (
    "height, time_ms, state_root, fees_root, roots, actions, fills, withdrawal_count, fee_totals"
)
RECEIPTS: Final = (
    "SELECT r.id, r.height, r.position, e.time_ms, r.statuses, r.orders, r.is_replay"
    " FROM receipts r JOIN executed e ON e.height = r.height"
)
FILLS: Final = (
    "f.id, f.market, f.price, f.size, m.address, f.maker_sub, f.maker_order, f.maker_fee,"
    " t.address, f.taker_sub, f.taker_order, f.taker_fee, f.taker_side, f.sealed, f.height,"
    " f.time_ms, f.batch, f.maker_left, f.taker_left, f.maker_builder_fee, f.taker_builder_fee"
)
FILL_TABLES: Final = "fills f JOIN accounts m ON m.id = f.maker JOIN accounts t ON t.id = f.taker"
MARKET_EVENTS: Final = (
    "SELECT market, number, height, time_ms, kind, phase, cause, auction_ms, price, size, surplus"
    " FROM market_events"
)
WITHDRAWALS: Final = (
    "SELECT w.id, a.address, w.chain_id, w.vault, w.token, w.amount, w.recipient, w.leaf, w.height"
    " FROM withdrawals w JOIN accounts a ON a.id = w.account"
)


WHOLE: Final = (
    "b.encoded, b.node, b.certificate, b.bundles,"
    " (SELECT s.encoded FROM seals s WHERE s.height = b.height)"
)


def decode_executed(row: tuple[Any, ...]) -> Executed:
    return Executed(
        height=row[0],
        time_ms=row[1],
        state_root=row[2],
        fees_root=row[3],
        roots=row[4],
        actions=row[5],
        fills=row[6],
        withdrawal_count=row[7],
        fee_totals=decode_numbers(row[8]),
    )


def decode_summary(row: tuple[Any, ...]) -> BlockSummary:
    return BlockSummary(
        height=row[0],
        view=row[1],
        epoch=row[2],
        block_hash=row[3],
        cid=row[4],
        time_ms=row[5],
        proposer=row[6],
        executed_height=row[7],
        signers=row[8],
        actions=row[9],
        bundles=row[10],
        finality_ms=row[11],
        fills=row[12],
    )


def decode_block(row: tuple[Any, ...]) -> StoredBlock:
    digests: bytes = row[16]
    return StoredBlock(
        summary=decode_summary(row),
        encoded=row[13],
        node=row[14],
        certificate=row[15],
        bundles=tuple(digests[i : i + 32] for i in range(0, len(digests), 32)),
        seals=row[17] or b"",
    )


def decode_receipt(row: tuple[Any, ...]) -> StoredReceipt:
    return StoredReceipt(
        action_id=row[0],
        height=row[1],
        index=row[2],
        time_ms=row[3],
        statuses=row[4],
        orders=decode_numbers(row[5]) or (0,) * len(row[4]),
        is_replay=bool(row[6]),
    )


def decode_fill(row: tuple[Any, ...]) -> StoredFill:
    fill = FillRecord(
        market=row[1],
        price=row[2],
        size=row[3],
        maker=row[4],
        maker_sub=row[5],
        maker_order=decode_integer(row[6]),
        maker_fee=decode_integer(row[7]),
        taker=row[8],
        taker_sub=row[9],
        taker_order=decode_integer(row[10]),
        taker_fee=decode_integer(row[11]),
        taker_side=row[12],
        sealed=bool(row[13]),
        batch=row[16],
        maker_left=row[17],
        taker_left=row[18],
        maker_builder_fee=decode_integer(row[19]),
        taker_builder_fee=decode_integer(row[20]),
    )
    return StoredFill(id=row[0], fill=fill, height=row[14], time_ms=row[15])


def decode_market_event(row: tuple[Any, ...]) -> StoredMarketEvent:
    event = MarketEventRecord(
        market=row[0],
        number=row[1],
        kind=row[4],
        phase=row[5],
        cause=row[6],
        auction_ms=row[7],
        price=row[8],
        size=decode_integer(row[9]),
        surplus=decode_integer(row[10]),
    )
    return StoredMarketEvent(event=event, height=row[2], time_ms=row[3])


def decode_withdrawal(row: tuple[Any, ...]) -> StoredWithdrawal:
    withdrawal = WithdrawalRecord(
        index=row[0],
        account=row[1],
        chain_id=decode_integer(row[2]),
        vault=row[3],
        token=row[4],
        amount=decode_integer(row[5]),
        to=row[6],
        leaf=row[7],
    )
    return StoredWithdrawal(withdrawal=withdrawal, height=row[8])


def decode_checkpoint(row: tuple[Any, ...]) -> CheckpointRecord:
    numbers = decode_numbers(row[8])
    return CheckpointRecord(
        height=row[0],
        executed_height=row[1],
        state_root=row[2],
        fees_root=row[3],
        cid=row[4],
        status=row[5],
        tx_hash=row[6],
        time_ms=row[7],
        fees=tuple(zip(numbers[::2], numbers[1::2], strict=True)),
    )
