"""Use the SDK as a person does who tries again when a node does not answer for a while.

Rule: only what may be repeated is: questions, and orders that the ledger has said did nothing.
Spec: docs/reference/api.md (Errors). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from client.errors import ActionRejected, ConnectionLost
from client.sealed import Taken
from client.trader import Trader
from tests.devnet.local_devnet import PATIENCE_S

T = TypeVar("T")
PAUSE_S = 0.5
TRIES = 20


async def ask_again(question: Callable[[], Awaitable[T]]) -> T:
    """Return the first answer of a node that is away for a moment."""
    with trio.fail_after(PATIENCE_S):
        while True:
            try:
                return await question()
            except ConnectionLost:
                await trio.sleep(PAUSE_S)


async def buy_until_filled(trader: Trader, market: str, price: int, size: int) -> Taken:
    """Buy sealed until something is filled.

    A commit that a stalled network does not execute within its ten seconds is void, an order whose
    opening comes too late has met nobody, and makers take their quotes away for a moment when they
    renew them.
    """
    for _ in range(TRIES):
        try:
            taken = await trader.buy_sealed(market, price, size, timeout_s=PATIENCE_S)
        except ActionRejected:
            continue
        if taken.filled:
            return taken
    raise AssertionError(f"{TRIES} sealed orders found nothing to trade with")
