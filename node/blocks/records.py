"""Turn executed blocks into rows of the chain store, and rows back.

Rule: pure mapping; whatever the API shows of the past was written here from the outcome of
execution.
Spec: docs/spec/node.md (Records); docs/spec/storage.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, TypeAlias

import msgspec

from consensus.block import Block, BlockBody, encode_block_node, open_block
from consensus.certificate import Certificate
from consensus.epoch import encode_epoch
from exchange.accounts import Account
from exchange.outcome import Fill, Outcome, StateRoots
from exchange.state import State
from node.blocks.executor import Execution
from node.replica.account_events import encode_events, list_builder_fees
from node.replica.tape import BlockTape
from node.settlement.boundaries import encode_boundary_proof
from primitives import codec
from primitives.cid import DAG_CBOR, Cid
from storage.records import (
    NO_SIDE,
    AccountEventsRecord,
    BundleRecord,
    ExecutedRecord,
    FillRecord,
    FinalRecord,
    ReceiptRecord,
    StoredReceipt,
    WithdrawalRecord,
)

Code = Annotated[int, msgspec.Meta(ge=0, le=255)]


class ReceiptBody(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Statuses of an action's operations and the orders they concern."""

    statuses: tuple[Code, ...]
    orders: tuple[int, ...]


class ResolutionBody(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The end of one operation that had been pending."""

    op: int
    status: Code


StoredBody: TypeAlias = ReceiptBody | ResolutionBody


class StoredRoots(msgspec.Struct, frozen=True, array_like=True):
    """The seven words of a state root and the withdrawals under it."""

    words: StateRoots
    withdrawals: int


def make_block_record(block: Block, parent: Cid | None) -> FinalRecord:
    """Lay out a block by itself: nothing of how it became final, nor of its bundles."""
    header = block.header
    node = encode_block_node(block, parent)
    return FinalRecord(
        height=header.height,
        view=header.view,
        epoch=header.epoch,
        block_hash=block.hash,
        cid=Cid.of(DAG_CBOR, node).encode(),
        time_ms=header.time_ms,
        proposer=header.proposer,
        executed_height=header.executed_height,
        encoded=codec.encode(block.body),
        node=node,
        certificate=b"",
        signers=0,
        actions=0,
    )


def make_final_record(execution: Execution) -> FinalRecord:
    """Lay out a final block."""
    final = execution.final
    certificate = final.certificate
    return replace(
        make_block_record(final.block, execution.tape.parent),
        certificate=codec.encode(certificate) if certificate is not None else b"",
        signers=len(certificate.signatures) if certificate is not None else 0,
        seals=encode_seals(final.seals),
        boundary_proof=encode_boundary_proof(final),
        epoch_record=encode_epoch(final.begins) if final.begins is not None else b"",
        actions=len(execution.actions),
        finality_ms=max(0, final.final_ms - final.proposed_ms) if final.proposed_ms else 0,
        bundles=tuple(
            BundleRecord(
                digest=bundle.digest,
                size_bytes=len(bundle.data),
                actions=len(bundle.actions or ()),
                data=bundle.data,
            )
            for bundle in execution.bundles
        ),
    )


def make_executed_record(outcome: Outcome, state: State, tape: BlockTape) -> ExecutedRecord:
    """Lay out what a block did, with the numbers the tape gave it."""
    assert tape.height == outcome.height, "numbers and outcome are of one block"
    accounts = state.accounts
    return ExecutedRecord(
        height=outcome.height,
        time_ms=outcome.time_ms,
        state_root=outcome.state_root,
        fees_root=outcome.fees_root,
        roots=codec.encode(StoredRoots(outcome.roots, outcome.withdrawal_count)),
        first_fill=tape.first_fill,
        actions=len(outcome.receipts),
        receipts=_receipts(outcome),
        fills=_fills(outcome, accounts),
        withdrawals=tuple(
            WithdrawalRecord(
                index=w.index,
                account=accounts[w.account].owner,
                chain_id=state.assets[w.asset].chain_id,
                vault=state.assets[w.asset].vault,
                token=state.assets[w.asset].token,
                amount=w.amount,
                to=w.to,
                leaf=state.withdrawals.leaf(w.index),
            )
            for w in outcome.withdrawals
        ),
        candles=tape.candles,
        market_events=tape.market_events,
        events=tuple(
            AccountEventsRecord(
                address=batch.owner,
                first=batch.first,
                count=len(batch.events),
                body=encode_events(batch.events),
            )
            for batch in tape.accounts
        ),
    )


def _receipts(outcome: Outcome) -> tuple[ReceiptRecord, ...]:
    rows = [
        ReceiptRecord(
            action_id=receipt.action_id,
            index=index,
            statuses=codec.encode(ReceiptBody(tuple(receipt.statuses), tuple(receipt.orders))),
        )
        for index, receipt in enumerate(outcome.receipts)
    ]
    for resolution in outcome.resolutions:
        rows.append(
            ReceiptRecord(
                action_id=resolution.action_id,
                index=len(rows),
                statuses=codec.encode(ResolutionBody(resolution.op, resolution.status)),
            )
        )
    return tuple(rows)


def _fills(outcome: Outcome, accounts: Sequence[Account]) -> tuple[FillRecord, ...]:
    charges = list_builder_fees(outcome)
    return tuple(
        _fill(
            fill,
            outcome.height,
            accounts,
            charges.get((index, fill.maker_order), 0),
            charges.get((index, fill.taker_order), 0),
        )
        for index, fill in enumerate(outcome.fills)
    )


def _fill(
    fill: Fill, height: int, accounts: Sequence[Account], maker_charge: int, taker_charge: int
) -> FillRecord:
    return FillRecord(
        market=fill.market,
        price=fill.price,
        size=fill.size,
        maker=accounts[fill.maker_account].owner,
        maker_sub=fill.maker_sub,
        maker_order=fill.maker_order,
        maker_fee=fill.maker_fee,
        taker=accounts[fill.taker_account].owner,
        taker_sub=fill.taker_sub,
        taker_order=fill.taker_order,
        taker_fee=fill.taker_fee,
        taker_side=fill.taker_side if fill.taker_side in (0, 1) else NO_SIDE,
        maker_left=fill.maker_left,
        taker_left=fill.taker_left,
        batch=fill.batch,
        sealed=fill.batch != height,
        maker_builder_fee=maker_charge,
        taker_builder_fee=taker_charge,
    )


def decode_stored_block(encoded: bytes) -> Block:
    """Read a block of the store. Raises PeerError when the store is damaged."""
    return open_block(codec.decode(encoded, BlockBody))


def decode_stored_certificate(data: bytes) -> Certificate | None:
    """Read a certificate of the store; None where a descendant's proves the block."""
    return codec.decode(data, Certificate) if data else None


def encode_seals(seals: tuple[Block, ...]) -> bytes:
    """Lay out the seal blocks behind a boundary block; empty when there are none."""
    return codec.encode(tuple(seal.body for seal in seals)) if seals else b""


def decode_stored_seals(data: bytes) -> tuple[BlockBody, ...]:
    """Read the seal blocks of a boundary block. Raises PeerError when the store is damaged."""
    if not data:
        return ()
    bodies: tuple[BlockBody, ...] = codec.decode(data, tuple[BlockBody, ...])
    return bodies


def decode_roots(data: bytes) -> StoredRoots:
    """Read the words under a stored state root."""
    return codec.decode(data, StoredRoots)


def merge_receipts(rows: Sequence[StoredReceipt]) -> tuple[StoredReceipt, ReceiptBody] | None:
    """Return an action's first receipt with its later resolutions applied."""
    first: StoredReceipt | None = None
    statuses: list[int] = []
    orders: tuple[int, ...] = ()
    for row in rows:
        body: StoredBody = codec.decode(row.statuses, StoredBody)  # type: ignore[arg-type]
        if isinstance(body, ReceiptBody):
            if first is None:
                first, statuses, orders = row, list(body.statuses), body.orders
        elif first is not None and body.op < len(statuses):
            statuses[body.op] = body.status
    return None if first is None else (first, ReceiptBody(tuple(statuses), orders))
