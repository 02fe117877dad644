"""End the orders of markets that lose them all, a bounded number in each block.

Rule: a market that is delisted, or whose terms change, takes nothing new; its orders end by
ascending id, so many a block over all markets, and their owners may cancel them meanwhile. What
else waited in it had ended when its status changed.
Spec: docs/spec/markets.md#the-end-of-all-orders
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from exchange.limits import SWEPT_PER_BLOCK_MAX
from exchange.market import DELISTED, Market
from exchange.matching import end_order
from exchange.reasons import Reason
from exchange.slicing import advance_plans
from exchange.state import State

MARKET_DELISTED: Final = int(Reason.MARKET_DELISTED)
TERMS_CHANGED: Final = int(Reason.TERMS_CHANGED)


def is_sweeping(market: Market) -> bool:
    """Tell whether the orders of a market end by themselves now."""
    return market.change.is_sweeping or (market.status == DELISTED and len(market.book.orders) > 0)


def sweep_markets(state: State) -> None:
    """End this block's share of the orders that must."""
    left = SWEPT_PER_BLOCK_MAX
    for market in state.markets:
        if left and is_sweeping(market):
            left -= _sweep(state, market, left)
            if market.status == DELISTED and not market.book.orders:
                market.triggered.clear()


def _sweep(state: State, market: Market, most: int) -> int:
    """End at most so many orders of a market; return how many."""
    reason = MARKET_DELISTED if market.status == DELISTED else TERMS_CHANGED
    orders = market.book.orders
    count = 0
    while count < most and orders:
        if not market.sweep:
            market.sweep = sorted(orders, reverse=True)
        order = orders.get(market.sweep.pop())
        if order is None:
            continue  # its owner was faster
        end_order(market, order, reason)
        count += 1
        if market.plans.ended or market.plans.orphans:
            advance_plans(state, market)
    market.plans.closing.clear()
    return count
