"""Name the orders that wait for a price, as traders call them.

Rule: each function says one well-known order in terms of the exchange's trigger; prices are ticks,
sizes lots. A market order is one with a slippage bound as its limit.
Spec: docs/spec/orders.md (Triggers). Deviations: none.
"""

from __future__ import annotations

from client.errors import ClientError
from exchange.actions import (
    BUY,
    GTC,
    IOC,
    POST_ONLY,
    SELL,
    STP_NEWEST,
    PlaceBracket,
    PlaceTrailing,
    PlaceTrigger,
)

NO_LEG = 0


def make_stop(
    market: int,
    side: int,
    size: int,
    at: int,
    limit: int,
    *,
    rests: bool = False,
    client_id: int = 0,
    expiry_ms: int = 0,
) -> PlaceTrigger:
    """Return a stop-loss (`limit` = the worst price) or, if it `rests`, a stop-limit order.

    A sell is reached by a trade at or below `at`, a buy by one at or above.
    """
    is_above = side == BUY
    return _make(market, side, size, is_above, at, limit, rests, client_id, expiry_ms)


def make_take_profit(
    market: int,
    side: int,
    size: int,
    at: int,
    limit: int,
    *,
    rests: bool = False,
    client_id: int = 0,
    expiry_ms: int = 0,
) -> PlaceTrigger:
    """Return a take-profit order: a sell reached at or above `at`, a buy at or below."""
    is_above = side == SELL
    return _make(market, side, size, is_above, at, limit, rests, client_id, expiry_ms)


def make_one_cancels_other(
    market: int,
    side: int,
    size: int,
    *,
    above: tuple[int, int],
    below: tuple[int, int],
    rests: bool = False,
    client_id: int = 0,
    expiry_ms: int = 0,
) -> PlaceTrigger:
    """Return one order with two legs, each (price that reaches it, limit); one hold, one trade.

    Raises ClientError when the legs are not apart.
    """
    if below[0] >= above[0]:
        raise ClientError("the leg below lies below the leg above")
    tif = GTC if rests else IOC
    return PlaceTrigger(
        market, side, size, *above, *below, tif, client_id=client_id, expiry_ms=expiry_ms
    )


def make_trailing_stop(
    market: int,
    side: int,
    size: int,
    distance: int,
    limit: int,
    *,
    in_bps: bool = False,
    activation: int = 0,
    rests: bool = False,
    client_id: int = 0,
    expiry_ms: int = 0,
) -> PlaceTrailing:
    """Return a stop that follows the price at `distance` ticks, or basis points of it.

    A sell is reached when the price falls so far from its highest since, a buy when it rises from
    its lowest; it follows from the first trade as good as `activation`.
    """
    tif = GTC if rests else IOC
    return PlaceTrailing(
        market, side, size, limit, distance, in_bps, activation, tif,
        client_id=client_id, expiry_ms=expiry_ms,
    )  # fmt: skip


def make_bracket(
    market: int,
    side: int,
    price: int,
    size: int,
    *,
    above: tuple[int, int] = (NO_LEG, NO_LEG),
    below: tuple[int, int] = (NO_LEG, NO_LEG),
    rests: bool = False,
    client_id: int = 0,
) -> PlaceBracket:
    """Return a maker order whose fills arm an exit with legs of (price that reaches it, limit).

    Raises ClientError for no leg, or legs that are not apart.
    """
    if above[0] == below[0] == NO_LEG or (above[0] and below[0] >= above[0]):
        raise ClientError("a bracket has a leg; the leg below lies below the leg above")
    return PlaceBracket(
        market, side, price, size, POST_ONLY, STP_NEWEST, client_id, *above, *below,
        GTC if rests else IOC,
    )  # fmt: skip


def _make(
    market: int,
    side: int,
    size: int,
    is_above: bool,
    at: int,
    limit: int,
    rests: bool,
    client_id: int,
    expiry_ms: int,
) -> PlaceTrigger:
    above = (at, limit) if is_above else (NO_LEG, NO_LEG)
    below = (NO_LEG, NO_LEG) if is_above else (at, limit)
    tif = GTC if rests else IOC
    return PlaceTrigger(
        market, side, size, *above, *below, tif, client_id=client_id, expiry_ms=expiry_ms
    )
