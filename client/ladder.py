"""Spread a size over a range of prices: a range order as a ladder of maker orders.

Rule: every order of the ladder rests and never takes; sizes differ by one lot at most and add up to
the whole, prices are as even as ticks allow.
Spec: docs/spec/orders.md (Orders in parts, Range). Deviations: none.
"""

from __future__ import annotations

from client.errors import ClientError
from exchange.actions import BUY, POST_ONLY, STP_NEWEST, Place
from exchange.limits import OPS_PER_ACTION_MAX


def make_ladder(
    market: int, side: int, size: int, low: int, high: int, steps: int, *, stp: int = STP_NEWEST
) -> tuple[Place, ...]:
    """Return the operations of one action, the price that trades first in front (ticks, lots).

    Raises ClientError for a range, a size or a number of steps that makes no ladder.
    """
    if not 2 <= steps <= OPS_PER_ACTION_MAX:
        raise ClientError(f"a ladder has 2 to {OPS_PER_ACTION_MAX} steps")
    if not 1 <= low < high or high - low < steps - 1:
        raise ClientError("the range has fewer ticks than the ladder has steps")
    if size < steps:
        raise ClientError("each step needs a lot at least")
    prices = [low + (high - low) * i // (steps - 1) for i in range(steps)]
    if side == BUY:
        prices.reverse()
    least, more = divmod(size, steps)
    return tuple(
        Place(market, side, price, least + (i < more), POST_ONLY, stp)
        for i, price in enumerate(prices)
    )
