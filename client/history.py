"""Walk through the past page by page.

Rule: cursors mean the same on every node and never repeat or skip a row; where a node's memory
ends, the walk ends with RequestRefused `pruned` and its `oldest_height`.
Spec: docs/reference/api.md (Market data). Deviations: none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from client.limits import HISTORY_PAGE
from client.market_views import AccountEvent, Candle, MarketEvent
from client.rest import RestClient
from client.views import Fill, Trade


async def walk_trades(rest: RestClient, market: int | str) -> AsyncIterator[Trade]:
    """Yield a market's trades, newest first."""
    cursor: int | None = None
    while True:
        page = await rest.trades(market, HISTORY_PAGE, cursor)
        for trade in page.trades:
            yield trade
        cursor = page.cursor
        if cursor is None:
            return


async def walk_trades_after(
    rest: RestClient, market: int | str, after: int
) -> AsyncIterator[Trade]:
    """Yield a market's trades above an id, oldest first, up to the newest."""
    while True:
        page = await rest.trades(market, HISTORY_PAGE, after=after)
        for trade in page.trades:
            yield trade
            after = trade.id
        if len(page.trades) < HISTORY_PAGE:
            return


async def walk_market_events(
    rest: RestClient, market: int | str, after: int = 0
) -> AsyncIterator[MarketEvent]:
    """Yield phases, halts, auctions and terms above a number, oldest first, up to the newest."""
    while True:
        page = await rest.market_events(market, HISTORY_PAGE, after=after)
        for event in page.events:
            yield event
            after = event.number
        if after >= page.newest or not page.events:
            return


async def walk_candles(
    rest: RestClient, market: int | str, interval: str, *, since_ms: int = 0
) -> AsyncIterator[Candle]:
    """Yield candles, newest first, back to those that begin at `since_ms`."""
    before: int | None = None
    while True:
        page = await rest.candles(market, interval, HISTORY_PAGE, before)
        for candle in reversed(page.candles):
            if candle.start_ms < since_ms:
                return
            yield candle
        before = page.cursor
        if before is None:
            return


async def walk_fills(rest: RestClient, account: bytes) -> AsyncIterator[Fill]:
    """Yield an account's fills, newest first."""
    cursor: int | None = None
    while True:
        page = await rest.account_fills(account, HISTORY_PAGE, cursor)
        for fill in page.fills:
            yield fill
        cursor = page.cursor
        if cursor is None:
            return


async def walk_events(
    rest: RestClient, account: bytes, after: int = 0
) -> AsyncIterator[AccountEvent]:
    """Yield an account's events above a number, oldest first, up to the newest."""
    while True:
        page = await rest.account_events(account, after, HISTORY_PAGE)
        for event in page.events:
            yield event
            after = event.seq
        if len(page.events) < HISTORY_PAGE:
            return
