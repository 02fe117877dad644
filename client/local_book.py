"""Keep a copy of a market's book, by level or by order, and prove it right after every update.

Rule: an update that does not follow, or a checksum that does not agree, raises `BookBroken` and the
copy must be begun anew from a snapshot; a copy is never silently wrong. A side that the snapshot
cut off ends at its last price: what changes beyond it is unknown and ignored.
Spec: docs/spec/market-data.md#books
Deviations: none.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Final

from client.errors import BookBroken
from client.market_views import BookEvent, L2Book, L2Update, L3Book, L3Update
from exchange.book_checksum import LEVELS, sum_levels, sum_orders

BIDS: Final = 0
ASKS: Final = 1


class _Side:
    """Prices of one side, sorted so that the best is the last; `worst` where it was cut off."""

    def __init__(self, side: int, *, is_cut: bool, worst: int) -> None:
        self._sign = 1 if side == BIDS else -1
        self._keys: list[int] = []
        self.is_cut = is_cut
        self._worst = self._sign * worst

    def __iter__(self) -> Iterator[int]:
        return (key * self._sign for key in reversed(self._keys))

    def __len__(self) -> int:
        return len(self._keys)

    def is_beyond(self, price: int) -> bool:
        """Tell whether a price lies behind the place where the snapshot was cut off."""
        return self.is_cut and price * self._sign < self._worst

    def add(self, price: int) -> None:
        insort(self._keys, price * self._sign)

    def remove(self, price: int) -> None:
        key = price * self._sign
        place = bisect_left(self._keys, key)
        assert self._keys[place] == key
        del self._keys[place]

    def verify_long_enough(self) -> None:
        """Raise BookBroken when levels beyond the cut may have come among the best."""
        if self.is_cut and len(self._keys) < LEVELS:
            raise BookBroken("too little is left of a book that was cut off")


class LocalL2:
    """Levels of one market: price → size for bids and asks."""

    def __init__(self, book: L2Book) -> None:
        """Begin with a snapshot. Raises BookBroken when its checksum does not agree."""
        self.market = book.market
        self.update = book.update
        self.height = book.height
        self.time_ms = book.time_ms
        self._sizes: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._sides = tuple(
            _Side(side, is_cut=is_cut, worst=levels[-1].price if levels else 0)
            for side, levels, is_cut in (
                (BIDS, book.bids, book.bids_cut),
                (ASKS, book.asks, book.asks_cut),
            )
        )
        for side, levels in ((BIDS, book.bids), (ASKS, book.asks)):
            for level in levels:
                self._set(side, level.price, level.size)
        self._verify(book.checksum)

    def apply(self, update: L2Update) -> bool:
        """Take the next update; one that the copy contains already returns False.

        Raises BookBroken on a gap or a wrong checksum.
        """
        if update.update <= self.update:
            return False
        if update.update != self.update + 1:
            raise BookBroken(f"updates {self.update + 1} to {update.update - 1} are missing")
        for side, levels in ((BIDS, update.bids), (ASKS, update.asks)):
            for level in levels:
                if not self._sides[side].is_beyond(level.price):
                    self._set(side, level.price, level.size)
        self.update, self.height, self.time_ms = update.update, update.height, update.time_ms
        self._verify(update.checksum)
        return True

    def bids(self, depth: int | None = None) -> list[tuple[int, int]]:
        """Return (price, size) from the best bid."""
        return _take(self._levels(BIDS), depth)

    def asks(self, depth: int | None = None) -> list[tuple[int, int]]:
        """Return (price, size) from the best ask."""
        return _take(self._levels(ASKS), depth)

    def size_at(self, price: int) -> int:
        """Return the lots at a price, 0 for none."""
        return self._sizes[BIDS].get(price) or self._sizes[ASKS].get(price, 0)

    def _levels(self, side: int) -> Iterator[tuple[int, int]]:
        sizes = self._sizes[side]
        return ((price, sizes[price]) for price in self._sides[side])

    def _set(self, side: int, price: int, size: int) -> None:
        sizes = self._sizes[side]
        if price not in sizes:
            if size:
                self._sides[side].add(price)
                sizes[price] = size
        elif size:
            sizes[price] = size
        else:
            self._sides[side].remove(price)
            del sizes[price]

    def _verify(self, checksum: int) -> None:
        for side in self._sides:
            side.verify_long_enough()
        if sum_levels(self._levels(BIDS), self._levels(ASKS)) != checksum:
            raise BookBroken(f"the checksum of update {self.update} does not agree")


class LocalL3:
    """Resting orders of one market in order of priority."""

    def __init__(self, book: L3Book) -> None:
        """Begin with a snapshot. Raises BookBroken when its checksum does not agree."""
        self.market = book.market
        self.update = book.update
        self.height = book.height
        self.time_ms = book.time_ms
        self._places: dict[int, tuple[int, int]] = {}  # order → (side, price)
        self._queues: tuple[dict[int, dict[int, int]], ...] = ({}, {})  # price → order → size
        self._sides = tuple(
            _Side(side, is_cut=is_cut, worst=orders[-1].price if orders else 0)
            for side, orders, is_cut in (
                (BIDS, book.bids, book.bids_cut),
                (ASKS, book.asks, book.asks_cut),
            )
        )
        for side, orders in ((BIDS, book.bids), (ASKS, book.asks)):
            for order in orders:
                self._add(side, order.order, order.price, order.size)
        self._verify(book.checksum)

    def apply(self, update: L3Update) -> bool:
        """Take the next update; one that the copy contains already returns False.

        Raises BookBroken on a gap or a wrong checksum.
        """
        if update.update <= self.update:
            return False
        if update.update != self.update + 1:
            raise BookBroken(f"updates {self.update + 1} to {update.update - 1} are missing")
        for event in update.events:
            self._apply(event)
        self.update, self.height, self.time_ms = update.update, update.height, update.time_ms
        self._verify(update.checksum)
        return True

    def bids(self) -> list[tuple[int, int, int]]:
        """Return (order, price, size) in order of priority."""
        return list(self._orders(BIDS))

    def asks(self) -> list[tuple[int, int, int]]:
        """Return (order, price, size) in order of priority."""
        return list(self._orders(ASKS))

    def queue_ahead(self, order: int) -> int | None:
        """Return the lots that trade before an order at its price; None if it does not rest."""
        place = self._places.get(order)
        if place is None:
            return None
        ahead = 0
        for other, size in self._queues[place[0]][place[1]].items():
            if other == order:
                break
            ahead += size
        return ahead

    def _apply(self, event: BookEvent) -> None:
        if event.type == "fill":
            self._resize(event.order, event.left or 0)
            if event.taker is not None:
                self._resize(event.taker, event.taker_left or 0)
        elif event.type == "add":
            self._resize(event.order, 0)
            side = BIDS if event.side == "buy" else ASKS
            if not self._sides[side].is_beyond(event.price):
                self._add(side, event.order, event.price, event.size)
        else:
            self._resize(event.order, event.size if event.type == "change" else 0)

    def _add(self, side: int, order: int, price: int, size: int) -> None:
        queue = self._queues[side].get(price)
        if queue is None:
            queue = self._queues[side][price] = {}
            self._sides[side].add(price)
        queue[order] = size
        self._places[order] = (side, price)

    def _resize(self, order: int, size: int) -> None:
        """Give an order another size where it stands; at 0 it leaves. Strangers are ignored."""
        place = self._places.get(order)
        if place is None:
            return
        side, price = place
        queue = self._queues[side][price]
        if size:
            queue[order] = size
            return
        del queue[order], self._places[order]
        if not queue:
            del self._queues[side][price]
            self._sides[side].remove(price)

    def _orders(self, side: int) -> Iterator[tuple[int, int, int]]:
        queues = self._queues[side]
        return (
            (order, price, size)
            for price in self._sides[side]
            for order, size in queues[price].items()
        )

    def _verify(self, checksum: int) -> None:
        for side in self._sides:
            side.verify_long_enough()
        if sum_orders(self._orders(BIDS), self._orders(ASKS)) != checksum:
            raise BookBroken(f"the checksum of update {self.update} does not agree")


def _take(levels: Iterable[tuple[int, int]], depth: int | None) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for level in levels:
        if depth is not None and len(found) >= depth:
            break
        found.append(level)
    return found
