"""Answer for markets: list, book, trades, candles.

Rule: prices are ticks, sizes are lots; the market says what these are worth in atoms.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from node.api.endpoint import Call, Endpoint, Parameter
from node.api.limits import CANDLES_MAX, DEPTH_DEFAULT, DEPTH_MAX, PAGE_DEFAULT, PAGE_MAX
from node.api.views import Book, Candles, Markets, TradePage

MARKET = Parameter(name="market", kind="market", about="id or name, e.g. 1 or WETH-USDX")
DEPTH = Parameter(
    name="depth",
    kind="integer",
    about="price levels per side",
    minimum=1,
    maximum=DEPTH_MAX,
    default=DEPTH_DEFAULT,
)
LIMIT = Parameter(
    name="limit",
    kind="integer",
    about="rows per page",
    minimum=1,
    maximum=PAGE_MAX,
    default=PAGE_DEFAULT,
)
CURSOR = Parameter(name="cursor", kind="integer", about="the cursor of the page before")
INTERVAL = Parameter(name="interval", kind="interval", about="length of one candle", default=60_000)
CANDLE_LIMIT = Parameter(
    name="limit",
    kind="integer",
    about="newest candles",
    minimum=1,
    maximum=CANDLES_MAX,
    default=200,
)


async def get_markets(call: Call) -> Markets:
    """Return all markets."""
    return Markets(markets=call.service.markets())


async def get_book(call: Call) -> Book:
    """Return the top of a book."""
    return call.service.book(call.values["market"], call.values["depth"])


async def get_trades(call: Call) -> TradePage:
    """Return a page of trades, newest first."""
    values = call.values
    return await call.service.trades(values["market"], values["limit"], values["cursor"])


async def get_candles(call: Call) -> Candles:
    """Return candles, oldest first."""
    market, interval_ms = call.values["market"], call.values["interval"]
    candles = await call.service.candles(market, interval_ms, call.values["limit"])
    return Candles(market=market, interval_ms=interval_ms, candles=candles)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/markets",
        summary="All markets with their last figures",
        handler=get_markets,
        answer=Markets,
    ),
    Endpoint(
        method="GET",
        path="/v1/markets/{market}/book",
        summary="The top of a book",
        handler=get_book,
        answer=Book,
        parameters=(MARKET, DEPTH),
    ),
    Endpoint(
        method="GET",
        path="/v1/markets/{market}/trades",
        summary="Trades, newest first",
        handler=get_trades,
        answer=TradePage,
        parameters=(MARKET, LIMIT, CURSOR),
    ),
    Endpoint(
        method="GET",
        path="/v1/markets/{market}/candles",
        summary="Candles, oldest first",
        handler=get_candles,
        answer=Candles,
        parameters=(MARKET, INTERVAL, CANDLE_LIMIT),
    ),
)
