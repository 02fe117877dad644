"""The day's figures are those of the fills of the last 24 hours.

Spec: docs/reference/api.md (Markets). Deviations: none.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.replica.market_stats import DAY_MS, MINUTE_MS, Day, MarketStats

START = 100 * DAY_MS
trades = st.tuples(st.integers(0, DAY_MS // 3), st.integers(1, 100), st.integers(1, 100))


@given(st.lists(trades, max_size=30))
def test_a_day_is_what_counting_the_fills_gives(steps) -> None:
    stats, now = MarketStats(), START
    fills: list[tuple[int, int, int]] = []
    for pause, price, size in steps:
        now += pause
        fills.append((now, price, size))
        stats.add(price, size, now)
    recent = [f for f in fills if f[0] - f[0] % MINUTE_MS > now - DAY_MS]
    prices = [price for _, price, _ in recent]
    volume = sum(size for _, _, size in recent)
    quote = sum(price * size for _, price, size in recent)
    expected = (
        Day(prices[0], max(prices), min(prices), volume, quote, len(recent)) if recent else None
    )
    assert stats.day(now) == expected
    assert stats.trades == len(fills)
    assert stats.last_price == (fills[-1][1] if fills else None)


def test_the_day_is_that_of_the_moment_asked_for() -> None:
    stats = MarketStats()
    stats.add(5, 1, START)
    stats.add(7, 2, START + MINUTE_MS)
    first = stats.day(START + MINUTE_MS)
    assert first == stats.day(START + MINUTE_MS)
    assert first is not None
    assert (first.open, first.volume) == (5, 3)
    later = stats.day(START + DAY_MS)
    assert later is not None
    assert (later.open, later.volume) == (7, 2)
    stats.add(9, 4, START + DAY_MS)
    now = stats.day(START + DAY_MS)
    assert now is not None
    assert (now.high, now.volume, now.trades) == (9, 6, 2)


def test_after_a_silent_day_there_are_no_figures_but_the_last_price() -> None:
    stats = MarketStats()
    stats.add(5, 1, START)
    assert stats.day(START + DAY_MS) is None
    assert stats.last_price == 5
