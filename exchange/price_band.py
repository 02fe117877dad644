"""Keep orders from trading far from the reference price of their market.

Rule: a band binds whoever would do harm: no new buy has a limit above it, no new sell one below it,
and what joins a batch later is held to the band of that time. It never takes an order off the book,
and it widens while nobody trades, so that it cannot keep a market from finding its price.

Spec: docs/spec/markets.md#price-bands
Deviations: none.
"""

from __future__ import annotations

from exchange.limits import BPS, PRICE_TICKS_MAX
from exchange.market import OPEN, Market
from exchange.order_book import Order
from exchange.outcome import Fill
from exchange.settlement import shrink_hold


def compute_band(market: Market, time_ms: int) -> tuple[int, int]:
    """Return the lowest limit of a sell and the highest of a buy; (1, maximum) without a band."""
    window = market.window
    if market.band_bps == 0 or window.last_ms == 0:
        return 1, PRICE_TICKS_MAX
    quiet = (time_ms - window.last_ms) // market.window_ms
    reference = window.get_reference(time_ms)
    distance = reference * market.band_bps * (1 + quiet) // BPS
    return max(reference - distance, 1), min(reference + distance, PRICE_TICKS_MAX)


def is_outside(market: Market, side: int, price: int, time_ms: int) -> bool:
    """Tell whether a new order's limit is beyond the band."""
    low, high = compute_band(market, time_ms)
    return price < low if side else price > high


def clip_to_band(market: Market, order: Order, time_ms: int) -> None:
    """Bring the limit of an order that joins a batch to the edge of the band if it is beyond."""
    low, high = compute_band(market, time_ms)
    if order.side:
        order.price = max(order.price, low)
    elif order.price > high:
        order.price = high
        shrink_hold(market, order)


def note_prices(market: Market, time_ms: int, fills: list[Fill]) -> bool:
    """Take in the trades of one clearing. Returns whether they trip the breaker.

    Else a price beyond the plain band starts a new window.

    That happens where the band had widened, or where the resting order had the better of it: the
    band must not keep others from the price at which the market trades.
    """
    prices = [fill.price for fill in fills]
    close = prices[-1]
    window = market.window
    window.note(time_ms, min(prices), max(prices), close)
    reference = window.get_reference(time_ms)
    if market.breaker_bps and market.status == OPEN:
        low, high = window.get_range(time_ms)
        if (high - low) * BPS > market.breaker_bps * reference:
            return True
    if market.band_bps and abs(close - reference) * BPS > reference * market.band_bps:
        window.restart(close)
    return False
