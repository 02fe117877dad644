"""Show the phase of a market, and what bounds and awaits its orders now.

Rule: all of it follows from the state after the newest block.
Spec: docs/spec/markets.md; docs/reference/api.md (Market data). Deviations: none.
"""

from __future__ import annotations

from typing import NamedTuple

from exchange.call_auction import get_indication
from exchange.market import DELISTED, Market
from exchange.price_band import compute_band

PHASES = ("OPEN", "POST_ONLY", "CANCEL_ONLY", "DELISTED", "AUCTION")
CAUSES = ("committee", "breaker", "auction", "opening")


class Safety(NamedTuple):
    """Why a market is in its phase, the next auction, and the band; None where there is none."""

    phase: str
    cause: str
    auction_ms: int
    auction_price: int | None
    auction_size: int
    auction_surplus: int
    band_low: int | None
    band_high: int | None


def describe_safety(market: Market, time_ms: int) -> Safety:
    """Show a market as of a block time; a delisted one says so once its last order has ended.

    A frozen one takes no orders, whatever its status.
    """
    phase = PHASES[market.status]
    if market.status == DELISTED and market.book.orders:
        phase = "DELISTING"
    elif market.is_frozen and market.status != DELISTED:
        phase = "FROZEN"
    call = get_indication(market)
    has_band = market.band_bps and market.window.last_ms
    band = compute_band(market, time_ms) if has_band else (None, None)
    return Safety(
        phase,
        CAUSES[market.cause],
        market.reopens_ms,
        call.price if call and call.price else None,
        call.size if call else 0,
        call.surplus if call else 0,
        *band,
    )
