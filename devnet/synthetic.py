"""Invent a market: quotes around a walking price, and takers who come now and then.

Rule: the same seed invents the same decisions in the same order; prices in ticks, sizes in lots.
Spec: docs/reference/devnet.md (Traders). Deviations: none.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from devnet.plan import MARKETS
from exchange.actions import BUY, SELL

LEVELS = 4  # quotes of one trader on each side of a market
STEP_BPS = 4  # typical walk of the price between two rounds, hundredths of a percent
SPREAD_BPS = 6  # distance of the best quote from the middle
LEVEL_BPS = 5  # distance between two levels
TAKE_SIZE_SHARE = 3  # a taker wants up to this many times a quote
SIZES = (500, 5_000, 3_000, 5_000)  # lots of one quote, by market


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """One post-only order to place."""

    side: int
    price: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """One sealed order to send."""

    market: int
    side: int
    price: int
    size: int


class SyntheticFlow:
    """The decisions of one trader."""

    def __init__(self, seed: int, trader: int) -> None:
        self._random = random.Random(f"{seed}/{trader}")
        self.middles = [market.reference_price for market in MARKETS]

    def next_quotes(self, market: int, last_price: int | None) -> list[Quote]:
        """Return the quotes of the next round, around the last price or the walking one."""
        base = last_price or self.middles[market]
        walk = round(base * self._random.gauss(0, STEP_BPS) / 10_000)
        middle = max(100, base + walk)
        self.middles[market] = middle
        quotes = []
        for level in range(LEVELS):
            away = max(1, middle * (SPREAD_BPS + LEVEL_BPS * level) // 10_000)
            for side in (BUY, SELL):
                price = middle - away if side == BUY else middle + away
                size = SIZES[market] * self._random.randint(5, 15) // 10
                quotes.append(Quote(side=side, price=price, size=size))
        return quotes

    def next_take(self, market: int, last_price: int | None) -> Take:
        """Return a taker's order that reaches a few levels deep."""
        middle = last_price or self.middles[market]
        side = self._random.choice((BUY, SELL))
        away = max(2, middle * (SPREAD_BPS + 3 * LEVEL_BPS) // 10_000)
        price = middle + away if side == BUY else max(1, middle - away)
        size = SIZES[market] * self._random.randint(2, 10 * TAKE_SIZE_SHARE) // 10
        return Take(market=market, side=side, price=price, size=size)

    def pause_s(self, mean_s: float) -> float:
        """Return a pause with some scatter."""
        return mean_s * self._random.uniform(0.6, 1.4)

    def choose_market(self, markets: Sequence[int]) -> int:
        """Return one of the markets for the next sealed order."""
        return self._random.choice(markets)
