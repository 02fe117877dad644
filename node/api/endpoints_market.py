"""Answer for markets: list, books, figures, trades, candles.

Rule: prices are ticks, sizes are lots; the market says what these are worth in atoms.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from node.api.endpoint import Call, Endpoint, Parameter
from node.api.errors import ApiError
from node.api.limits import (
    CANDLES_MAX,
    DEPTH_DEFAULT,
    DEPTH_MAX,
    L2_WEIGHT,
    L3_WEIGHT,
    PAGE_DEFAULT,
    PAGE_MAX,
)
from node.api.market_views import L2Book, L3Book, MarketEventPage, Ticker
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
CURSOR = Parameter(name="cursor", kind="integer", about="only trades with a lower id")
AFTER = Parameter(name="after", kind="integer", about="only trades with a higher id, oldest first")
EVENT_CURSOR = Parameter(name="cursor", kind="integer", about="only events with a lower number")
EVENT_AFTER = Parameter(
    name="after", kind="integer", about="only events with a higher number, oldest first"
)
BEFORE = Parameter(
    name="before", kind="integer", about="only candles that begin before this time (ms)"
)
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
    if values["cursor"] is not None and values["after"] is not None:
        raise ApiError("bad_request", "cursor and after lead in opposite directions")
    return await call.service.market_data.trades(
        values["market"], values["limit"], values["cursor"], values["after"]
    )


async def get_market_events(call: Call) -> MarketEventPage:
    """Return a page of what happened to a market, newest first."""
    values = call.values
    if values["cursor"] is not None and values["after"] is not None:
        raise ApiError("bad_request", "cursor and after lead in opposite directions")
    return await call.service.market_data.market_events(
        values["market"], values["limit"], values["cursor"], values["after"]
    )


async def get_candles(call: Call) -> Candles:
    """Return candles, oldest first."""
    values = call.values
    return await call.service.market_data.candles(
        values["market"], values["interval"], values["limit"], values["before"]
    )


async def get_l2(call: Call) -> L2Book:
    """Return all levels of a market."""
    return call.service.market_data.l2(call.values["market"])


async def get_l3(call: Call) -> L3Book:
    """Return the resting orders of a market."""
    return call.service.market_data.l3(call.values["market"])


async def get_ticker(call: Call) -> Ticker:
    """Return a market's figures."""
    return call.service.market_data.ticker(call.values["market"])


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
        summary="Trades, newest first; oldest first with `after`",
        handler=get_trades,
        answer=TradePage,
        parameters=(MARKET, LIMIT, CURSOR, AFTER),
    ),
    Endpoint(
        method="GET",
        path="/v1/markets/{market}/events",
        summary="Phases, halts, auctions, listing, terms; newest first, oldest first with `after`",
        handler=get_market_events,
        answer=MarketEventPage,
        parameters=(MARKET, LIMIT, EVENT_CURSOR, EVENT_AFTER),
    ),
    Endpoint(
        method="GET",
        path="/v1/markets/{market}/l2",
        summary="All price levels with update number and checksum",
        handler=get_l2,
        weight=L2_WEIGHT,
        answer=L2Book,
        parameters=(MARKET,),
    ),
    Endpoint(
        method="GET",
        path="/v1/markets/{market}/l3",
        summary="All resting orders with update number and checksum",
        handler=get_l3,
        weight=L3_WEIGHT,
        answer=L3Book,
        parameters=(MARKET,),
    ),
    Endpoint(
        method="GET",
        path="/v1/markets/{market}/ticker",
        summary="Best prices, last trade and the last 24 hours",
        handler=get_ticker,
        answer=Ticker,
        parameters=(MARKET,),
    ),
    Endpoint(
        method="GET",
        path="/v1/markets/{market}/candles",
        summary="Candles, oldest first",
        handler=get_candles,
        answer=Candles,
        parameters=(MARKET, INTERVAL, CANDLE_LIMIT, BEFORE),
    ),
)
