"""Follow last price, count and the last 24 hours of every market.

Rule: a view of the fills, the same on every node for the same height; minutes without trades cost
nothing.
Spec: docs/reference/api.md (Markets). Deviations: none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from storage.candles import Candle

MINUTE_MS = 60_000
DAY_MS = 86_400_000


@dataclass(slots=True)
class Minute:
    """Prices and volume of one minute."""

    start_ms: int
    open: int
    high: int
    low: int
    volume: int


@dataclass(slots=True)
class MarketStats:
    """One market's figures."""

    trades: int = 0
    last_price: int | None = None
    last_trade_ms: int = 0
    minutes: deque[Minute] = field(default_factory=deque)  # oldest first, at most a day

    def load(self, trades: int, candles: Iterable[Candle]) -> None:
        """Start from the store: the number of fills and the day's minute candles, oldest first."""
        self.trades = trades
        for candle in candles:
            self.minutes.append(
                Minute(candle.start_ms, candle.open, candle.high, candle.low, candle.volume)
            )
            self.last_price = candle.close
            self.last_trade_ms = candle.start_ms

    def add(self, price: int, size: int, time_ms: int) -> None:
        """Count one fill."""
        self.trades += 1
        self.last_price = price
        self.last_trade_ms = time_ms
        start_ms = time_ms - time_ms % MINUTE_MS
        if not self.minutes or self.minutes[-1].start_ms != start_ms:
            self.minutes.append(Minute(start_ms, price, price, price, 0))
            self.forget(time_ms)
        minute = self.minutes[-1]
        minute.high = max(minute.high, price)
        minute.low = min(minute.low, price)
        minute.volume += size

    def forget(self, now_ms: int) -> None:
        """Drop the minutes that are more than a day old."""
        while self.minutes and self.minutes[0].start_ms <= now_ms - DAY_MS:
            self.minutes.popleft()

    def day(self, now_ms: int) -> tuple[int, int, int, int] | None:
        """Return open, high, low and volume of the last 24 hours; None without trades."""
        self.forget(now_ms)
        if not self.minutes:
            return None
        return (
            self.minutes[0].open,
            max(minute.high for minute in self.minutes),
            min(minute.low for minute in self.minutes),
            sum(minute.volume for minute in self.minutes),
        )
