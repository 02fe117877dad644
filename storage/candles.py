"""Build candles from trades, all intervals at once.

Rule: a candle is a fold over trades in order; folding two neighbouring spans and joining them gives
the same candle as folding the whole (so a longer interval is the join of its shorter ones).
An interval without a trade has no candle. Everything is an integer: ticks, lots, atoms, ms.
Spec: docs/spec/storage.md#candles
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
INTERVALS_MS: Final = (
    SECOND_MS,
    5 * SECOND_MS,
    15 * SECOND_MS,
    MINUTE_MS,
    5 * MINUTE_MS,
    15 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    4 * HOUR_MS,
    DAY_MS,
)
"""Every one is a multiple of the first; days begin at midnight UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """What a candle needs to know of a trade."""

    market: int
    time_ms: int
    price: int  # ticks
    size: int  # lots
    tick: int = 1  # quote atoms of one lot and unit of price


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """Trades of one market in [start_ms, start_ms + interval_ms)."""

    market: int
    interval_ms: int
    start_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int  # lots of base
    quote_volume: int  # quote atoms
    trades: int


CandleKey = tuple[int, int]
"""(market, interval_ms): one candle is open per key."""


def fold_trades(trades: Iterable[Trade], interval_ms: int = SECOND_MS) -> list[Candle]:
    """Return candles of one interval, in order of first appearance."""
    rows: dict[tuple[int, int], list[int]] = {}
    for trade in trades:
        key = (trade.market, trade.time_ms - trade.time_ms % interval_ms)
        row = rows.get(key)
        price, size = trade.price, trade.size
        quote = price * size * trade.tick
        if row is None:
            rows[key] = [price, price, price, price, size, quote, 1]
            continue
        if price > row[1]:
            row[1] = price
        if price < row[2]:
            row[2] = price
        row[3] = price
        row[4] += size
        row[5] += quote
        row[6] += 1
    return [_make_candle(key, interval_ms, row) for key, row in rows.items()]


def _make_candle(key: tuple[int, int], interval_ms: int, row: list[int]) -> Candle:
    return Candle(
        market=key[0],
        interval_ms=interval_ms,
        start_ms=key[1],
        open=row[0],
        high=row[1],
        low=row[2],
        close=row[3],
        volume=row[4],
        quote_volume=row[5],
        trades=row[6],
    )


def widen(candle: Candle, interval_ms: int) -> Candle:
    """Return the same trades as the beginning of the longer interval that contains them."""
    assert interval_ms % candle.interval_ms == 0, "intervals nest"
    return Candle(
        market=candle.market,
        interval_ms=interval_ms,
        start_ms=candle.start_ms - candle.start_ms % interval_ms,
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
        quote_volume=candle.quote_volume,
        trades=candle.trades,
    )


def join(earlier: Candle, later: Candle) -> Candle:
    """Join two parts of one interval; every trade of `earlier` precedes those of `later`."""
    assert earlier.market == later.market, "one market"
    assert (earlier.interval_ms, earlier.start_ms) == (later.interval_ms, later.start_ms)
    return Candle(
        market=earlier.market,
        interval_ms=earlier.interval_ms,
        start_ms=earlier.start_ms,
        open=earlier.open,
        high=max(earlier.high, later.high),
        low=min(earlier.low, later.low),
        close=later.close,
        volume=earlier.volume + later.volume,
        quote_volume=earlier.quote_volume + later.quote_volume,
        trades=earlier.trades + later.trades,
    )


def advance(current: Mapping[CandleKey, Candle], trades: Iterable[Trade]) -> list[Candle]:
    """Return every candle that `trades` change, oldest first per key, given the newest ones so far.

    `trades` are in order and none is older than the candles in `current`. The last candle returned
    for a key is the new current one.
    """
    newest: dict[CandleKey, Candle] = {}
    closed: list[Candle] = []
    for part in fold_trades(trades):
        for interval_ms in INTERVALS_MS:
            key = (part.market, interval_ms)
            wide = widen(part, interval_ms)
            before = newest.get(key) or current.get(key)
            if before is None or before.start_ms < wide.start_ms:
                if key in newest:
                    closed.append(newest[key])
                newest[key] = wide
            else:
                assert before.start_ms == wide.start_ms, "trades come in order of time"
                newest[key] = join(before, wide)
    return closed + list(newest.values())
