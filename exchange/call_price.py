"""Find the price of a call auction from the levels that would trade, however deep the book is.

Rule: pure arithmetic over level totals; reads the crossing levels from the best ones until nothing
crosses any more, and one further on each side.

Pairing the best bid with the best ask until they do not cross gives the largest volume that any one
price can have. The prices with that volume lie between the last ask and the last bid that trade;
over them demand falls and supply rises, so the least imbalance stands at one end or where the
excess changes sides, and only the next level on each side can tell which.

Spec: docs/spec/markets.md#the-price-of-an-auction
Deviations: none.
"""

from __future__ import annotations

from typing import NamedTuple

from exchange.limits import PRICE_TICKS_MAX
from exchange.order_book import Book


class CallPrice(NamedTuple):
    """What an auction would give: price in ticks (0 for none), lots, and lots left over there."""

    price: int
    size: int
    surplus: int
    """Lots demanded at the price beyond those offered; negative if more is offered."""


NONE = CallPrice(0, 0, 0)


def find_call_price(book: Book, reference: int, levels_max: int = 0) -> CallPrice | None:
    """Return what the auction over this book gives; None beyond `levels_max` levels (0: any)."""
    bids, asks = book.bids, book.asks
    bid_keys, ask_keys = bids.keys, asks.keys
    bid_levels, ask_levels = bids.levels, asks.levels
    b, a = len(bid_keys) - 1, len(ask_keys) - 1
    buying = selling = volume = 0
    top = bottom = 0
    visited = 0
    while b >= 0 and a >= 0:
        bid, ask = bid_keys[b], ask_keys[a]
        if bid < -ask:
            break
        top, bottom = bid, -ask
        buying = buying or bid_levels[bid].size
        selling = selling or ask_levels[ask].size
        size = buying if buying < selling else selling
        volume += size
        buying -= size
        selling -= size
        if buying == 0:
            b -= 1
        if selling == 0:
            a -= 1
        visited += 1
        if visited == levels_max:
            return None
    if volume == 0:
        return NONE
    next_bid = bids.keys[b] if buying == 0 and b >= 0 else 0
    next_ask = -asks.keys[a] if selling == 0 and a >= 0 else PRICE_TICKS_MAX + 1
    if buying:  # the last bid trades in part: more is bid for at every such price
        below = bids.keys[b - 1] if b > 0 else 0
        price = _clamp(reference, max(below + 1, bottom), top)
        return CallPrice(price, volume, buying)
    if selling:
        above = -asks.keys[a - 1] if a > 0 else PRICE_TICKS_MAX + 1
        price = _clamp(reference, bottom, min(above - 1, top))
        return CallPrice(price, volume, -selling)
    low = max(next_bid + 1, bottom)
    high = min(next_ask - 1, top)
    if low <= high:
        return CallPrice(_clamp(reference, low, high), volume, 0)
    # the next bid and the next ask are neighbours, and both lie within: one of them is left over
    more_bid = bids.levels[next_bid].size
    more_ask = asks.levels[-next_ask].size
    further = -asks.keys[a - 1] if a > 0 else PRICE_TICKS_MAX + 1
    upper = _clamp(reference, next_ask, min(further - 1, top))
    lower = _clamp(reference, max((bids.keys[b - 1] if b > 0 else 0) + 1, bottom), next_bid)
    if (more_bid, abs(lower - reference), lower) < (more_ask, abs(upper - reference), upper):
        return CallPrice(lower, volume, more_bid)
    return CallPrice(upper, volume, -more_ask)


def _clamp(value: int, low: int, high: int) -> int:
    assert low <= high
    return min(max(value, low), high)
