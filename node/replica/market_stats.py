"""Follow last price, count and the last 24 hours of one market.

Rule: a function of the fills and the time of the newest block, the same on every node for the same
height; minutes without trades cost nothing. The day is the minutes that began less than 24 hours
before that time.
Spec: docs/spec/market-data.md#ticker
Deviations: none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MINUTE_MS = 60_000
DAY_MS = 86_400_000


@dataclass(slots=True)
class Minute:
    """Prices and volumes of one minute."""

    start_ms: int
    open: int
    high: int
    low: int
    volume: int  # lots
    quote_volume: int  # quote atoms
    trades: int


@dataclass(frozen=True, slots=True)
class Day:
    """Prices and volumes of the last 24 hours."""

    open: int
    high: int
    low: int
    volume: int  # lots
    quote_volume: int  # quote atoms
    trades: int


@dataclass(slots=True)
class MarketStats:
    """One market's figures."""

    trades: int = 0
    last_price: int | None = None
    last_trade_ms: int = 0
    minutes: deque[Minute] = field(default_factory=deque)  # oldest first, at most a day
    _day: tuple[tuple[int, int], Day | None] | None = field(default=None, compare=False, repr=False)
    """The day as of a minute and a number of trades: many ask, few things change it."""

    def add(self, price: int, size: int, time_ms: int, tick: int = 1) -> None:
        """Count one fill; `tick` is the quote atoms of one lot and unit of price."""
        self.trades += 1
        self.last_price = price
        self.last_trade_ms = time_ms
        start_ms = time_ms - time_ms % MINUTE_MS
        if not self.minutes or self.minutes[-1].start_ms != start_ms:
            self.minutes.append(Minute(start_ms, price, price, price, 0, 0, 0))
            while self.minutes[0].start_ms <= time_ms - DAY_MS:
                self.minutes.popleft()
        minute = self.minutes[-1]
        minute.high = max(minute.high, price)
        minute.low = min(minute.low, price)
        minute.volume += size
        minute.quote_volume += price * size * tick
        minute.trades += 1

    def begin_anew(self) -> None:
        """Forget prices and volumes: from now on they are in other units."""
        self.last_price = None
        self.minutes.clear()
        self._day = None

    def day(self, time_ms: int) -> Day | None:
        """Return the last 24 hours before a block's time; None without trades."""
        key = (time_ms // MINUTE_MS, self.trades)
        if self._day is None or self._day[0] != key:
            self._day = (key, self._sum_up(time_ms))
        return self._day[1]

    def _sum_up(self, time_ms: int) -> Day | None:
        minutes = [m for m in self.minutes if m.start_ms > time_ms - DAY_MS]
        if not minutes:
            return None
        return Day(
            open=minutes[0].open,
            high=max(m.high for m in minutes),
            low=min(m.low for m in minutes),
            volume=sum(m.volume for m in minutes),
            quote_volume=sum(m.quote_volume for m in minutes),
            trades=sum(m.trades for m in minutes),
        )
