"""Reduce the answers of different RPC nodes to what they must agree on.

Rule: two honest nodes on the same chain give equal reductions of a question about a fixed block;
what is theirs alone (total difficulty, formatting, order of keys, wording of errors) is left out.

Spec: docs/spec/settlement.md §10; Ethereum JSON-RPC
Deviations: none
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from contracts.errors import RpcRefused

Reduced: TypeAlias = bytes
"""Equal bytes, equal answers."""

BLOCK_FIELDS = ("number", "hash", "parentHash", "timestamp", "baseFeePerGas")
RECEIPT_FIELDS = ("transactionHash", "blockNumber", "blockHash", "status", "gasUsed")
LOG_FIELDS = ("address", "topics", "data", "blockNumber", "blockHash", "logIndex")
SENT_FIELDS = ("hash", "from", "nonce")
"""Of a transaction inside a block that was asked for with its transactions."""
FIELDS = {
    "eth_getBlockByNumber": BLOCK_FIELDS,
    "eth_getTransactionReceipt": RECEIPT_FIELDS,
    "eth_getLogs": LOG_FIELDS,
}


def reduce_answer(method: str, answer: Any) -> Reduced:
    """Return what an answer says, without how it says it."""
    fields = FIELDS.get(method)
    if fields is not None and isinstance(answer, list):
        rows = [_pick(row, fields) for row in answer]
        return msgspec.json.encode(sorted(msgspec.json.encode(row) for row in rows))
    return msgspec.json.encode(_lower(answer) if fields is None else _pick(answer, fields))


def reduce_refusal(problem: RpcRefused) -> Reduced | None:
    """Return what a revert says; None for a refusal that is the node's own business."""
    if problem.details or "revert" in problem.message.lower():
        return b"revert " + problem.details
    return None


def _pick(row: Any, fields: tuple[str, ...]) -> Any:
    if not isinstance(row, dict):
        return row
    picked = [_lower(row.get(name)) for name in fields]
    return [*picked, *_sent(row)] if fields is BLOCK_FIELDS else picked


def _sent(block: dict[str, Any]) -> list[Any]:
    """The transactions of a block; none if there are only hashes, which its own hash covers."""
    rows = block.get("transactions")
    if not isinstance(rows, list):
        return []
    return [_pick(row, SENT_FIELDS) for row in rows if isinstance(row, dict)]


def _lower(value: Any) -> Any:
    if isinstance(value, str):
        return _plain_quantity(value.lower())
    if isinstance(value, list):
        return [_lower(one) for one in value]
    return value


def _plain_quantity(text: str) -> str:
    """Drop leading zeros of a short quantity; data of 32 bytes and more stays as it is."""
    if text.startswith("0x0") and 3 < len(text) < 20:
        return "0x" + (text[2:].lstrip("0") or "0")
    return text
