"""Books, figures and events of a node that is played in memory.

Rule: numbers are heights; nothing here agrees with anything else.
Spec: node/api/service.py. Deviations: checksums are invented.
"""

from __future__ import annotations

from typing import Any

from node.api.limits import DEPTH_MAX
from node.api.market_views import (
    AccountEvent,
    AccountEvents,
    AccountState,
    BookEvent,
    BookOrder,
    FillPage,
    L2Book,
    L2Update,
    L3Book,
    L3Update,
    LiveCandle,
    MarketEvent,
    MarketEventPage,
    PriceLevel,
    Ticker,
)


class FakeMarketData:
    """The part of `FakeService` that shows market data."""

    height: int
    now_ms: Any
    markets: Any
    markets_: Any
    orders: Any
    _hub: Any
    _update: Any
    _balances: Any

    def find_market(self, text: str) -> int | None:
        found = [m.id for m in self.markets() if text.upper() == m.name or text == str(m.id)]
        return found[0] if found else None

    def l2(self, market: int) -> L2Book:
        book = self.markets_[market].book(DEPTH_MAX, self.height, self.now_ms)
        bids = tuple(PriceLevel(price=level.price, size=level.size) for level in book.bids)
        asks = tuple(PriceLevel(price=level.price, size=level.size) for level in book.asks)
        return L2Book(
            market=market, update=self.height, height=self.height, time_ms=self.now_ms, bids=bids,
            asks=asks, bids_cut=False, asks_cut=False, checksum=7,
        )  # fmt: skip

    def l3(self, market: int) -> L3Book:
        return L3Book(
            market=market, update=self.height, height=self.height, time_ms=self.now_ms,
            bids=(BookOrder(order=3, price=99, size=5),), asks=(), bids_cut=False, asks_cut=True,
            checksum=7,
        )  # fmt: skip

    def ticker(self, market: int) -> Ticker:
        return Ticker(
            market=market, update=self.height, height=self.height, time_ms=self.now_ms, bid=99,
            bid_size=5, ask=None, ask_size=0, last_price=99, last_trade_ms=self.now_ms,
            trades=len(self.markets_[market].trades), open_24h=90, high_24h=101, low_24h=90,
            volume_24h=500, quote_volume_24h=10**30, trades_24h=7,
        )  # fmt: skip

    def live_candles(self, market: int) -> tuple[LiveCandle, ...]:
        return (
            LiveCandle(
                interval_ms=1_000, start_ms=self.now_ms - self.now_ms % 1_000, open=1, high=3,
                low=1, close=2, volume=9, trades=2, quote_volume=10**30,
            ),
        )  # fmt: skip

    def account_state(self, address: bytes) -> AccountState:
        return AccountState(
            address=address, seq=self.height, height=self.height, time_ms=self.now_ms,
            balances=self._balances(), orders=self.orders(address),
        )  # fmt: skip

    async def market_events(
        self, market: int, limit: int, before: int | None, after: int | None
    ) -> MarketEventPage:
        return MarketEventPage(events=(), cursor=after, newest=0, oldest_height=1)

    async def newest_market_events(self, limit: int) -> tuple[MarketEvent, ...]:
        return ()

    async def account_fills(self, address: bytes, limit: int, before: int | None) -> FillPage:
        fills = self._update(self.height).fills
        return FillPage(fills=fills, cursor=None, oldest_height=1)

    async def account_events(self, address: bytes, after: int, limit: int) -> AccountEvents:
        height, now = self.height, self.now_ms
        update = self._update(height)
        made = (
            AccountEvent(seq=1, height=height, time_ms=now, type="fill", fill=update.fills[0]),
            AccountEvent(
                seq=2, height=height, time_ms=now, type="balance", balance=update.balances[0]
            ),
        )
        events = tuple(event for event in made if event.seq > after)[:limit]
        return AccountEvents(address=address, events=events, newest=2, oldest_height=1)

    async def missed_events(self, address: bytes, after: int) -> AccountEvents:
        return await self.account_events(address, after, 500)

    def _publish_market_data(self, market: int) -> None:
        height, now = self.height, self.now_ms
        common: dict[str, int] = {
            "market": market, "update": height, "height": height, "time_ms": now, "checksum": 7,
        }  # fmt: skip
        level = PriceLevel(price=99, size=5)
        self._hub.publish("l2", L2Update(bids=(level,), asks=(), **common), market, seq=height)
        event = BookEvent(type="add", order=height, price=99, size=5, side="buy")
        self._hub.publish("l3", L3Update(events=(event,), **common), market, seq=height)
        self._hub.publish("ticker", self.ticker(market), market)
        self._hub.publish("candles", self.live_candles(market), market)
        news = MarketEvent(market=market, number=height, height=height, time_ms=now, kind="terms")
        self._hub.publish("market_events", (news,))
