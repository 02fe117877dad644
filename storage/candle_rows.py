"""Keep candles in their table.

Rule: they come folded; a write replaces whole rows.
Spec: docs/spec/storage.md#candles
Deviations: none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from storage.candles import Candle
from storage.integers import decode_integer, encode_integer

COLUMNS: Final = (
    "market, interval_ms, start_ms, open, high, low, close, volume, quote_volume, trades"
)


def decode_candle(row: tuple[Any, ...]) -> Candle:
    """Return the candle of a row of `COLUMNS`."""
    return Candle(
        market=row[0],
        interval_ms=row[1],
        start_ms=row[2],
        open=row[3],
        high=row[4],
        low=row[5],
        close=row[6],
        volume=decode_integer(row[7]),
        quote_volume=decode_integer(row[8]),
        trades=row[9],
    )


def upsert(connection: sqlite3.Connection, candles: Iterable[Candle]) -> None:
    """Insert or replace candles."""
    connection.executemany(
        "INSERT OR REPLACE INTO candles VALUES (?,?,?,?,?,?,?,?,?,?)",
        [
            (
                candle.market,
                candle.interval_ms,
                candle.start_ms,
                candle.open,
                candle.high,
                candle.low,
                candle.close,
                encode_integer(candle.volume),
                encode_integer(candle.quote_volume),
                candle.trades,
            )
            for candle in candles
        ],
    )
