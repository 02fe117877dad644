"""Look for the receipt of a transaction, and whether it can be relied on.

Rule: a receipt counts only while its block is part of the chain, and deep enough.

Spec: docs/spec/settlement.md §10
Deviations: none
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.rpc import Rpc
from contracts.rpc_values import data, parse_data, parse_object, parse_quantity, quantity
from primitives.errors import TransientError


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A mined transaction that is `confirmations` deep."""

    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    succeeded: bool
    gas_used: int


def find_receipt(rpc: Rpc, hashes: Sequence[bytes]) -> Receipt | None:
    """Return the receipt of whichever was mined, the newest first. Raises like `Rpc.call`."""
    for transaction_hash in reversed(hashes):
        answer = rpc.call("eth_getTransactionReceipt", data(transaction_hash))
        if answer is None:
            continue
        fields = parse_object(answer)
        if fields.get("transactionHash", data(transaction_hash)) != data(transaction_hash):
            raise TransientError("EVM RPC: the receipt of another transaction")
        return Receipt(
            transaction_hash=transaction_hash,
            block_number=parse_quantity(fields.get("blockNumber")),
            block_hash=parse_data(fields.get("blockHash"), 32),
            succeeded=parse_quantity(fields.get("status")) == 1,
            gas_used=parse_quantity(fields.get("gasUsed")),
        )
    return None


def is_confirmed(rpc: Rpc, receipt: Receipt, confirmations: int) -> bool:
    """Return whether the receipt's block is deep enough and still part of the chain."""
    head = parse_quantity(rpc.call("eth_blockNumber"))
    if head < receipt.block_number + confirmations - 1:
        return False
    block = rpc.call("eth_getBlockByNumber", quantity(receipt.block_number), False)
    return block is not None and (
        parse_data(parse_object(block).get("hash"), 32) == receipt.block_hash
    )
