"""Find the one price of a batch: most volume, least imbalance, nearest to the reference, lower
tick.

Rule: pure arithmetic over (limit, size) pairs; nothing here knows accounts or funds.

Only from the lowest ask to the highest bid is there volume. Demand and supply only change at
limits, so it is enough to look at each limit there, the tick beyond it, and the reference. Resting
levels are read from the best one until they could serve all sealed orders, and one more: beyond
that, volume cannot grow and imbalance does.

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
    levels = side.levels
    while i >= 0:
        key = keys[i]
        if key < limit_key:
            break
        lots = levels[key].size
        found.append((abs(key), lots))
        if size <= 0:
            break
        size -= lots
        i -= 1
    return found


def find_price(bids: Sequence[Quote], asks: Sequence[Quote], reference: int) -> tuple[int, int]:
    """Return (price, lots traded) of the auction; (0, 0) if nothing trades."""
    if not bids or not asks:
        return 0, 0
    lowest = max(1, min(asks)[0])
    highest = min(limits.PRICE_TICKS_MAX, max(bids)[0])
    falling = sorted([quote for quote in bids if quote[0] >= lowest])
    rising = sorted([quote for quote in asks if quote[0] <= highest])
    candidates = {lowest, highest, reference}
    for price, _ in falling:
        candidates.add(price)
        candidates.add(price + 1)
    for price, _ in rising:
        candidates.add(price)
        candidates.add(price - 1)
    demand = sum([size for _, size in falling])
    supply = 0
    b = a = 0
    found = best_volume = least = nearest = 0
    for price in sorted(candidates):
        if price < lowest:
            continue
        if price > highest:
            break
        while b < len(falling) and falling[b][0] < price:
            demand -= falling[b][1]
            b += 1
        while a < len(rising) and rising[a][0] <= price:
            supply += rising[a][1]
            a += 1
        volume = demand if demand < supply else supply
        if volume < best_volume or volume == 0:
            continue
        imbalance = abs(demand - supply)
        distance = abs(price - reference)
        if volume == best_volume and (imbalance, distance) >= (least, nearest):
            continue
        found, best_volume, least, nearest = price, volume, imbalance, distance
    return found, best_volume


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
