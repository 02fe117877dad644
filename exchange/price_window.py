"""The recent prices of one market: the reference price, and how far trades strayed in a window.

Rule: the window is cut into `PRICE_SLOTS` slots of block time. The reference is the mean of the
prices in force at the ends of the slots before the present one, so no trade moves it in the slot
in which it happens. What is kept is bounded, and costs nothing while nobody trades.

Spec: docs/spec/markets.md#reference-price
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from exchange.limits import PRICE_SLOTS


class PriceSlot:
    """The trades of one slot of time."""

    __slots__ = ("close", "high", "low", "number")

    def __init__(self, number: int, low: int, high: int, close: int) -> None:
        self.number: int = number
        """Block time // length of a slot."""
        self.low: int = low
        self.high: int = high
        self.close: int = close


class PriceWindow:
    """Prices of the last `PRICE_SLOTS` slots; times are block times in milliseconds."""

    __slots__ = ("_reference", "_reference_slot", "before", "last_ms", "slot_ms", "slots")

    def __init__(self, window_ms: int, price: int) -> None:
        self.slot_ms: Final[int] = window_ms // PRICE_SLOTS
        self.before: int = price
        """Price in force before the first slot kept."""
        self.last_ms: int = 0
        """Time of the last trade, 0 before the first one."""
        self.slots: list[PriceSlot] = []
        """Slots with trades, ascending; those before the window go with the next trade."""
        self._reference: int = 0
        self._reference_slot: int = -1

    def note(self, time_ms: int, low: int, high: int, close: int) -> None:
        """Take in the trades of a clearing; before the first ones no price is known."""
        number = time_ms // self.slot_ms
        if self.last_ms == 0:
            self.restart(close)
        self.last_ms = time_ms
        slots = self.slots
        gone = 0
        while gone < len(slots) and slots[gone].number < number - PRICE_SLOTS:
            self.before = slots[gone].close
            gone += 1
        del slots[:gone]
        if slots and slots[-1].number == number:
            slot = slots[-1]
            slot.low = min(slot.low, low)
            slot.high = max(slot.high, high)
            slot.close = close
        else:
            slots.append(PriceSlot(number, low, high, close))

    def restart(self, price: int) -> None:
        """Forget all prices but this one."""
        self.before = price
        self.slots.clear()
        self._reference_slot = -1

    def get_reference(self, time_ms: int) -> int:
        """Return the mean of the prices at the ends of the slots before the present one."""
        number = time_ms // self.slot_ms
        if number != self._reference_slot:
            self._reference_slot = number
            self._reference = self._compute_reference(number)
        return self._reference

    def get_range(self, time_ms: int) -> tuple[int, int]:
        """Return the lowest and the highest price of the window, the present slot included."""
        first = time_ms // self.slot_ms - PRICE_SLOTS
        low = high = self.before
        for slot in self.slots:
            if slot.number <= first:
                low = high = slot.close
            else:
                low = min(low, slot.low)
                high = max(high, slot.high)
        return low, high

    def _compute_reference(self, number: int) -> int:
        price = self.before
        start = number - PRICE_SLOTS
        total = 0
        for slot in self.slots:
            if slot.number >= number:
                break
            if slot.number > start:
                total += price * (slot.number - start)
                start = slot.number
            price = slot.close
        total += price * (number - start)
        return max(total // PRICE_SLOTS, 1)
