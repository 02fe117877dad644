"""Find the one price of a batch: most volume, least imbalance, nearest to the reference, lower
tick.

Rule: pure arithmetic over (limit, size) pairs; nothing here knows accounts or funds.

Demand and supply only change at limits, so it is enough to look at each limit, the tick beyond it,
and the reference. Resting levels are read from the best one until they could serve all sealed
orders, and one more: beyond that, volume cannot grow and imbalance does.

Spec: docs/spec/exchange.md#uniform-price
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence

from exchange import limits
from exchange.order_book import Side

Quote = tuple[int, int]
"""(limit in ticks, lots)."""


def collect_levels(side: Side, limit_key: int, size: int) -> list[Quote]:
    """List (price, lots) of the levels that sealed orders of `size` lots with this limit can
    reach.
    """
    found: list[Quote] = []
    keys = side.keys
    i = len(keys) - 1
    while i >= 0 and keys[i] >= limit_key:
        found.append((abs(keys[i]), side.levels[keys[i]].size))
        if size <= 0:
            break
        size -= found[-1][1]
        i -= 1
    return found


def find_price(bids: Sequence[Quote], asks: Sequence[Quote], reference: int) -> tuple[int, int]:
    """Return (price, lots traded) of the auction; (0, 0) if nothing trades."""
    candidates = {reference}
    for price, _ in bids:
        candidates.add(price)
        candidates.add(price + 1)
    for price, _ in asks:
        candidates.add(price)
        candidates.add(price - 1)
    falling = sorted(bids)
    rising = sorted(asks)
    demand = sum(size for _, size in bids)
    supply = 0
    b = a = 0
    best = (0, 0, 0, 0)
    for price in sorted(candidates):
        while b < len(falling) and falling[b][0] < price:
            demand -= falling[b][1]
            b += 1
        while a < len(rising) and rising[a][0] <= price:
            supply += rising[a][1]
            a += 1
        if not 1 <= price <= limits.PRICE_TICKS_MAX:
            continue
        volume = min(demand, supply)
        if volume == 0:
            continue
        rank = (volume, -abs(demand - supply), -abs(price - reference), -price)
        if best[0] == 0 or rank > best:
            best = rank
    return -best[3], best[0]


def share_pro_rata(sizes: Sequence[int], available: int) -> list[int]:
    """Share lots in proportion to sizes; odd lots go one each to the first in the given (rank)
    order.
    """
    total = sum(sizes)
    assert 0 <= available <= total
    if total == 0:
        return []
    shares = [available * size // total for size in sizes]
    odd = available - sum(shares)
    for i, size in enumerate(sizes):
        if odd == 0:
            break
        if shares[i] < size:
            shares[i] += 1
            odd -= 1
    assert odd == 0
    return shares
