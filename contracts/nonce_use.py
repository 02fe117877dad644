"""Find out which transaction used a nonce, rather than guess from a receipt that is missing.

Rule: a receipt that a lagging node does not know yet looks like one that will never be; so that a
transaction will never happen is believed only when another one was seen in the block that used its
nonce. A block that cannot be read proves nothing.

Spec: docs/spec/settlement.md §10
Deviations: what happened more than `NONCE_SEARCH_BLOCKS` ago is not looked for: no node lags that
far, so the missing receipt is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from contracts.errors import RpcRefused
from contracts.limits import NONCE_SEARCH_BLOCKS
from contracts.rpc import Rpc
from contracts.rpc_values import (
    data,
    parse_data,
    parse_list,
    parse_object,
    parse_quantity,
    quantity,
)
from primitives.errors import TransientError


@dataclass(frozen=True, slots=True)
class NonceUse:
    """That a nonce is used; by which transaction, if that can be seen."""

    transaction_hash: bytes | None


UNSEEN: Final = NonceUse(None)


def count_at(rpc: Rpc, address: bytes, at: str) -> int:
    """Return an account's number of transactions after a block. Raises RpcRefused, TransientError.

    `pending` is unknown to some chains.
    """
    return parse_quantity(rpc.call("eth_getTransactionCount", data(address), at))


def find_use(rpc: Rpc, address: bytes, nonce: int, head: int) -> NonceUse | None:
    """Return what used a nonce up to block `head`; None if nothing did. Raises TransientError."""
    if count_at(rpc, address, quantity(head)) <= nonce:
        return None
    first, last = max(0, head - NONCE_SEARCH_BLOCKS), head
    try:
        if count_at(rpc, address, quantity(first)) > nonce:
            return UNSEEN
        while last - first > 1:
            middle = (first + last) // 2
            if count_at(rpc, address, quantity(middle)) > nonce:
                last = middle
            else:
                first = middle
        return NonceUse(_sent_in(rpc, address, nonce, last))
    except RpcRefused:
        return UNSEEN  # this node does not keep what was


def _sent_in(rpc: Rpc, address: bytes, nonce: int, number: int) -> bytes:
    """The account's transaction with this nonce in a block; raises TransientError without one."""
    block = rpc.call("eth_getBlockByNumber", quantity(number), True)
    if block is not None:
        for one in parse_list(parse_object(block).get("transactions")):
            fields: dict[str, Any] = parse_object(one)
            if parse_data(fields.get("from"), 20) != address:
                continue
            if parse_quantity(fields.get("nonce")) == nonce:
                return parse_data(fields.get("hash"), 32)
    raise TransientError(f"block {number} should have the nonce {nonce}, and it cannot be seen")
