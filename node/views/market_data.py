"""Answer for market data: books from memory, history from the store, and where history begins.

Rule: what is missing here because it was pruned, or because this node began later, is refused with
the oldest height it has; it is never passed off as nothing.
Spec: docs/spec/market-data.md; docs/reference/api.md (Market data). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import trio

from exchange.queries import get_open_orders
from exchange.state import State
from node.api import views
from node.api.errors import ApiError
from node.api.limits import PAGE_MAX, REPLAY_EVENTS_MAX, REPLAY_WAIT_S
from node.api.market_views import (
    AccountEvents,
    AccountState,
    FillPage,
    L2Book,
    L3Book,
    LiveCandle,
    MarketEvent,
    MarketEventPage,
    Ticker,
)
from node.replica.tape import Tape
from node.views.account_views import make_account_events, make_fill_side
from node.views.book_views import make_l2, make_l3
from node.views.ledger_views import SIDES, make_balances, make_order
from node.views.market_history import make_stored_event
from node.views.phase_views import describe_safety
from primitives.errors import TransientError
from storage.candles import MINUTE_MS, Candle
from storage.chain_reader import ChainReader
from storage.records import BUY, SELL, StoredAccountEvents, StoredFill, StoredMarketEvent

T = TypeVar("T")


class Books(Protocol):
    """The ledger as market data sees it."""

    @property
    def state(self) -> State: ...

    @property
    def tape(self) -> Tape: ...


class MarketData:
    """`node.api.service.MarketDataService` over a ledger and its store."""

    def __init__(
        self,
        ledger: Books,
        *,
        read: Callable[..., Awaitable[Any]],
        wait_written: Callable[[int], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._read = read
        self._wait_written = wait_written

    # From memory

    def find_market(self, text: str) -> int | None:
        """Return the id of a market named by id or name; None if there is none."""
        name = text.upper()
        for market in self._ledger.state.markets:
            if name == market.name or text == str(market.id):
                return market.id
        return None

    def l2(self, market: int) -> L2Book:
        """Return the levels of a market."""
        return make_l2(self._ledger.state, self._ledger.tape, market)

    def l3(self, market: int) -> L3Book:
        """Return the resting orders of a market."""
        return make_l3(self._ledger.state, self._ledger.tape, market)

    def ticker(self, market: int) -> Ticker:
        """Return a market's figures after the newest block."""
        return make_ticker(self._ledger.state, self._ledger.tape, market)

    def live_candles(self, market: int) -> tuple[LiveCandle, ...]:
        """Return the newest candle of every interval."""
        candles = self._ledger.tape.candles
        keys = sorted(key for key in candles if key[0] == market)
        return tuple(make_live_candle(candles[key]) for key in keys)

    def account_state(self, address: bytes) -> AccountState:
        """Return balances and live orders with the number of the newest event behind them."""
        state, tape = self._ledger.state, self._ledger.tape
        account = state.by_address.get(address)
        return AccountState(
            address=address,
            seq=0 if account is None else tape.get_events(account.number),
            height=state.height,
            time_ms=state.time_ms,
            balances=make_balances(state, address),
            orders=tuple(make_order(order) for order in get_open_orders(state, address)),
        )

    # From the store

    async def trades(
        self, market: int, limit: int, before: int | None, after: int | None
    ) -> views.TradePage:
        """Return trades below `before`, newest first, or above `after`, oldest first."""

        def read(reader: ChainReader) -> tuple[list[StoredFill], int, int]:
            if after is not None:
                rows = reader.market_fills_after(market, after, limit=limit)
            else:
                rows = reader.fills(market, before=before, limit=limit)
            first = reader.first_fill_id()
            return _drop_older(rows, first), first, reader.oldest_executed()

        rows, first, oldest = await self._read(read)
        if after is not None and after + 1 < first:
            raise make_pruned("trades", oldest)
        cursor = _next_cursor(rows, limit, before if after is None else None, first, oldest)
        if after is not None:
            cursor = rows[-1].id if rows else after
        trades = tuple(make_trade(row) for row in rows)
        return views.TradePage(trades=trades, cursor=cursor, oldest_height=oldest)

    async def market_events(
        self, market: int, limit: int, before: int | None, after: int | None
    ) -> MarketEventPage:
        """Return a market's events below `before`, newest first, or above `after`, oldest first."""

        def read(reader: ChainReader) -> tuple[list[StoredMarketEvent], int]:
            if after is not None:
                rows = reader.market_events_after(market, after, limit=limit)
            else:
                rows = reader.market_events(market, before=before, limit=limit)
            return rows, reader.oldest_executed()

        newest = self._ledger.tape.get_market_events(market)
        await self._wait_for(self._ledger.state.height)
        rows, oldest = await self._read(read)
        wanted = newest if before is None else min(before - 1, newest)
        if after is not None:
            is_gone = after < newest and (not rows or rows[0].event.number != after + 1)
        else:
            is_gone = not rows and before is not None and wanted > 0
        if is_gone:
            raise make_pruned("market events", oldest)
        cursor = rows[-1].event.number if rows else after
        if after is None:
            cursor = cursor if cursor is not None and cursor > 1 else None
        return MarketEventPage(
            events=tuple(make_stored_event(row) for row in rows),
            cursor=cursor,
            newest=newest,
            oldest_height=oldest,
        )

    async def newest_market_events(self, limit: int) -> tuple[MarketEvent, ...]:
        """Return the newest events of all markets, oldest first."""
        rows = await self._read(lambda reader: reader.newest_market_events(limit))
        return tuple(make_stored_event(row) for row in reversed(rows))

    async def candles(
        self, market: int, interval_ms: int, limit: int, before_ms: int | None
    ) -> views.Candles:
        """Return the newest candles that begin before `before_ms`, oldest first."""

        def read(reader: ChainReader) -> tuple[list[Candle], int, bool]:
            rows = reader.candles(market, interval_ms, before_ms=before_ms, limit=limit)
            oldest = reader.oldest_executed()
            is_whole = oldest == 1 or (interval_ms >= MINUTE_MS and reader.is_from_genesis())
            return rows, oldest, is_whole

        rows, oldest, is_whole = await self._read(read)
        if not rows and before_ms is not None and not is_whole:
            raise make_pruned("candles", oldest)
        more = rows and (len(rows) == limit or not is_whole)
        return views.Candles(
            market=market,
            interval_ms=interval_ms,
            candles=tuple(make_candle(row) for row in rows),
            cursor=rows[0].start_ms if more else None,
        )

    async def account_fills(self, address: bytes, limit: int, before: int | None) -> FillPage:
        """Return an account's fills, newest first."""

        def read(reader: ChainReader) -> tuple[list[StoredFill], int, int]:
            rows = reader.account_fills(address, before=before, limit=limit)
            first = reader.first_fill_id()
            return _drop_older(rows, first), first, reader.oldest_executed()

        rows, first, oldest = await self._read(read)
        cursor = _next_cursor(rows, limit, before, first, oldest)
        fills = tuple(fill for row in rows for fill in make_fill_side(row, address))
        return FillPage(fills=fills, cursor=cursor, oldest_height=oldest)

    async def account_events(
        self, address: bytes, after: int, limit: int = PAGE_MAX
    ) -> AccountEvents:
        """Return events above `after`. Raises ApiError `pruned`, TransientError."""
        account = self._ledger.state.by_address.get(address)
        newest = 0 if account is None else self._ledger.tape.get_events(account.number)
        await self._wait_for(self._ledger.state.height)

        def read(reader: ChainReader) -> tuple[list[StoredAccountEvents], int]:
            rows = reader.account_events(address, after=after, limit=limit)
            return rows, reader.oldest_executed()

        rows, oldest = await self._read(read)
        if after < newest and not rows:
            raise make_pruned("events", oldest)
        events = make_account_events(self._ledger.state.assets, rows, after, limit)
        return AccountEvents(address=address, events=events, newest=newest, oldest_height=oldest)

    async def missed_events(self, address: bytes, after: int) -> AccountEvents:
        """Return all events above `after` at the time of asking. Raises as `account_events`."""
        account = self._ledger.state.by_address.get(address)
        newest = 0 if account is None else self._ledger.tape.get_events(account.number)
        if newest - after > REPLAY_EVENTS_MAX:
            raise ApiError(
                "limit_exceeded",
                f"{newest - after} events were missed, one subscription repeats "
                f"{REPLAY_EVENTS_MAX}",
                fix="Fetch /v1/accounts/{address}/events first.",
            )
        found: list[Any] = []
        oldest = 1
        at = after
        while at < newest:
            page = await self.account_events(address, at, REPLAY_EVENTS_MAX)
            found += [event for event in page.events if event.seq <= newest]
            at, oldest = page.events[-1].seq, page.oldest_height
        return AccountEvents(
            address=address, events=tuple(found), newest=newest, oldest_height=oldest
        )

    async def _wait_for(self, height: int) -> None:
        with trio.move_on_after(REPLAY_WAIT_S):
            await self._wait_written(height)
            return
        raise TransientError("the store is behind; its disk may be busy or full")


def make_pruned(what: str, oldest_height: int) -> ApiError:
    """Say that this node has forgotten, or never had, what was asked for."""
    return ApiError(
        "pruned",
        f"this node has {what} from height {oldest_height} on",
        fix="Ask a node that keeps more, for instance an archive node: the numbers are the same.",
        fields={"oldest_height": oldest_height},
    )


def _drop_older(rows: list[StoredFill], first: int) -> list[StoredFill]:
    """Leave out fills from before a state that was fetched: what followed them is not known."""
    return [row for row in rows if row.id >= first]


def _next_cursor(
    rows: list[StoredFill], limit: int, before: int | None, first: int, oldest: int
) -> int | None:
    """Return where the older page begins; refuse a page of which nothing is left here."""
    if not rows:
        if before is not None and first > 1:
            raise make_pruned("trades", oldest)
        return None
    return rows[-1].id if len(rows) == limit or first > 1 else None


def make_trade(row: StoredFill) -> views.Trade:
    """Show a stored fill as a public trade."""
    fill = row.fill
    return views.Trade(
        id=row.id,
        market=fill.market,
        height=row.height,
        time_ms=row.time_ms,
        price=fill.price,
        size=fill.size,
        taker_side=SIDES[fill.taker_side] if fill.taker_side in (BUY, SELL) else "none",
        sealed=fill.sealed,
        maker_order=fill.maker_order,
        taker_order=fill.taker_order,
    )


def make_candle(row: Candle) -> views.Candle:
    """Show a stored candle."""
    return views.Candle(
        start_ms=row.start_ms,
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
        trades=row.trades,
        quote_volume=row.quote_volume,
    )


def make_live_candle(row: Candle) -> LiveCandle:
    """Show a candle with its interval."""
    return LiveCandle(
        interval_ms=row.interval_ms,
        start_ms=row.start_ms,
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
        trades=row.trades,
        quote_volume=row.quote_volume,
    )


def make_ticker(state: State, tape: Tape, market: int) -> Ticker:
    """Show a market's figures after the newest block."""
    book, stats = state.markets[market].book, tape.get_stats(market)
    day = stats.day(state.time_ms)
    bids, asks = book.bids, book.asks
    bid = bids.levels[bids.keys[-1]] if bids.keys else None
    ask = asks.levels[asks.keys[-1]] if asks.keys else None
    safety = describe_safety(state.markets[market], state.time_ms)
    return Ticker(
        market=market,
        update=tape.get_update(market),
        height=state.height,
        time_ms=state.time_ms,
        bid=abs(bid.key) if bid else None,
        bid_size=bid.size if bid else 0,
        ask=abs(ask.key) if ask else None,
        ask_size=ask.size if ask else 0,
        last_price=stats.last_price,
        last_trade_ms=stats.last_trade_ms,
        trades=stats.trades,
        open_24h=day.open if day else None,
        high_24h=day.high if day else None,
        low_24h=day.low if day else None,
        volume_24h=day.volume if day else 0,
        quote_volume_24h=day.quote_volume if day else 0,
        trades_24h=day.trades if day else 0,
        phase=safety.phase,
        phase_cause=safety.cause,
        auction_ms=safety.auction_ms,
        auction_price=safety.auction_price,
        auction_size=safety.auction_size,
        auction_surplus=safety.auction_surplus,
        band_low=safety.band_low,
        band_high=safety.band_high,
    )
