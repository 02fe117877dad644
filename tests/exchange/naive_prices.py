"""Reference price, bands and breakers of the naive exchange, from the list of all trades.

Rule: every question is answered from the trades since the window began anew.
Spec: docs/spec/markets.md#reference-price, #price-bands, #circuit-breakers
Deviations: none.
"""

from __future__ import annotations

from tests.exchange.naive_orders import BUY, OPEN
from tests.exchange.naive_waiting import WaitingOrders

SLOTS = 32


class Prices(WaitingOrders):
    """What happened to the price, and what follows from it."""

    clearings: list[tuple[int, int, int, int]]
    """(slot, low, high, last trade) of each clearing since the window began."""
    base: int
    """The price with which it began."""
    traded_ms: int
    """Time of the last trade, 0 before the first."""

    def slot(self) -> int:
        return self.now // (self.terms.price_window_ms // SLOTS)

    def price_at(self, slot: int) -> int:
        """The price in force at the end of a slot."""
        return [self.base, *(c[3] for c in self.clearings if c[0] <= slot)][-1]

    def reference(self) -> int:
        now = self.slot()
        return max(sum(self.price_at(slot) for slot in range(now - SLOTS, now)) // SLOTS, 1)

    def band(self) -> tuple[int, int]:
        bps = self.terms.band_bps
        if not bps or not self.traded_ms:
            return 1, 1 << 62
        quiet = (self.now - self.traded_ms) // self.terms.price_window_ms
        reference = self.reference()
        distance = reference * bps * (1 + quiet) // 10_000
        return max(1, reference - distance), reference + distance

    def is_outside(self, side: int, price: int) -> bool:
        low, high = self.band()
        return price < low if side else price > high

    def begin_window(self) -> None:
        self.base, self.clearings = self.last, []

    def note_trades(self, prices: list[int]) -> None:
        if not self.traded_ms:
            self.base = prices[-1]
        self.traded_ms = self.now
        self.clearings.append((self.slot(), min(prices), max(prices), prices[-1]))

    def is_tripped(self) -> bool:
        """Whether the trades of a clearing in an open market trip the breaker."""
        if self.terms.breaker_bps and self.phase == OPEN:
            first = self.slot() - SLOTS + 1
            seen = [self.price_at(first - 1)]
            for slot, low, high, _ in self.clearings:
                if slot >= first:
                    seen += [low, high]
            move = (max(seen) - min(seen)) * 10_000
            if move > self.terms.breaker_bps * self.reference():
                return True
        reference = self.reference()
        bps = self.terms.band_bps
        if bps and abs(self.last - reference) * 10_000 > reference * bps:
            self.begin_window()
        return False

    def clip(self, side: int, price: int) -> int:
        low, high = self.band()
        return min(price, high) if side == BUY else max(price, low)
