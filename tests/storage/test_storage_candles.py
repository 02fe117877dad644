from __future__ import annotations

import csv
import gzip
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.candles import INTERVALS_MS, MINUTE_MS, Candle, Trade, advance, fold_trades

TICKS_PER_UNIT = 10**8


def build(trades, batches=1):
    """Feed trades in batches, as blocks do; return all candles by (market, interval, start)."""
    current, table = {}, {}
    size = -(-len(trades) // batches) or 1
    for i in range(0, len(trades), size):
        for candle in advance(current, trades[i : i + size]):
            current[candle.market, candle.interval_ms] = candle
            table[candle.market, candle.interval_ms, candle.start_ms] = candle
    return table


def build_slowly(trades, interval_ms):
    """Say what a candle is, without folding."""
    groups: dict[tuple[int, int], list[Trade]] = {}
    for trade in trades:
        groups.setdefault((trade.market, trade.time_ms // interval_ms * interval_ms), []).append(
            trade
        )
    return {
        (market, interval_ms, start_ms): Candle(
            market=market,
            interval_ms=interval_ms,
            start_ms=start_ms,
            open=group[0].price,
            high=max(t.price for t in group),
            low=min(t.price for t in group),
            close=group[-1].price,
            volume=sum(t.size for t in group),
            quote_volume=sum(t.price * t.size for t in group),
            trades=len(group),
        )
        for (market, start_ms), group in groups.items()
    }


def test_candle_is_open_high_low_close_and_volume():
    prices = [(0, 10, 3), (400, 12, 1), (800, 7, 2), (1_000, 8, 1)]
    trades = [Trade(market=0, time_ms=t, price=p, size=s) for t, p, s in prices]
    first, second = fold_trades(trades)
    assert (first.open, first.high, first.low, first.close) == (10, 12, 7, 7)
    assert (first.volume, first.quote_volume, first.trades) == (6, 56, 3)
    assert (second.start_ms, second.open) == (1_000, 8)


def test_every_interval_is_made_of_whole_shorter_ones():
    assert all(interval_ms % INTERVALS_MS[0] == 0 for interval_ms in INTERVALS_MS)
    assert sorted(set(INTERVALS_MS)) == list(INTERVALS_MS)


steps = st.tuples(
    st.integers(0, 3 * 86_400_000), st.integers(1, (1 << 40) - 1), st.integers(1, (1 << 40) - 1)
)


@given(st.lists(st.tuples(st.integers(0, 2), steps), max_size=40), st.integers(1, 8))
def test_candles_equal_their_definition_however_the_trades_are_cut(rows, batches):
    now, trades = 0, []
    for market, (step, price, size) in rows:
        now += step // 997
        trades.append(Trade(market=market, time_ms=now, price=price, size=size))
    expected = {}
    for interval_ms in INTERVALS_MS:
        expected |= build_slowly(trades, interval_ms)
    assert build(trades, batches) == expected


def read(path):
    with gzip.open(path, "rt") as file:
        yield from csv.DictReader(file)


def to_ticks(text):
    ticks = Decimal(text) * TICKS_PER_UNIT
    assert ticks == int(ticks)
    return int(ticks)


@pytest.mark.data
@pytest.mark.parametrize(("name", "interval_ms"), [("1m", MINUTE_MS), ("5m", 5 * MINUTE_MS)])
def test_candles_of_a_real_market_equal_the_venues_own(data_dir, name, interval_ms):
    trades = [
        Trade(
            market=0,
            time_ms=int(row["timestamp_ms"]),
            price=to_ticks(row["price"]),
            size=to_ticks(row["amount"]),
        )
        for row in read(data_dir / "candles" / "XRP_ETH_trades.csv.gz")
    ]
    built = build(trades, batches=500)
    end_ms = trades[-1].time_ms // interval_ms * interval_ms
    compared = 0
    for row in read(data_dir / "candles" / f"XRP_ETH_{name}.csv.gz"):
        start_ms = int(row["open_time_ms"])
        if start_ms >= end_ms:
            continue  # the trades stop before this candle is full
        candle = built.pop((0, interval_ms, start_ms), None)
        if candle is None:
            assert to_ticks(row["volume"]) == 0
            continue
        compared += 1
        expected = [to_ticks(row[k]) for k in ("open", "high", "low", "close", "volume")]
        assert [candle.open, candle.high, candle.low, candle.close, candle.volume] == expected
    left = [key for key in built if key[1] == interval_ms and key[2] < end_ms]
    assert not left
    assert compared > 300
