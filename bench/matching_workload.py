"""Make the one workload that every matching engine gets, with the fills it must give.

Rule: a seeded stream of integers; the expected fills come from a book of this file that shares no
code with any engine measured. Only the standard library: it runs in every engine's environment.
Spec: docs/reference/benchmarks.md
Deviations: none.
"""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Final, NamedTuple

ADD: Final = 0
CANCEL: Final = 1
TAKE: Final = 2
"""An immediate-or-cancel order."""
BUY: Final = 0
SELL: Final = 1

Fill = tuple[int, int, int, int]
"""(taker id, maker id, price, size)."""


class Event(NamedTuple):
    """One order or cancel; an added order's id is its place in the stream."""

    kind: int
    order_id: int
    side: int
    price: int
    size: int


Row = tuple[int, int, int, int, int]
"""An event's fields, as compiled loops read them best."""


class PlainBook:
    """Price-time priority with a dictionary per level: slow enough to be obviously right."""

    def __init__(self) -> None:
        self.levels: tuple[dict[int, dict[int, int]], dict[int, dict[int, int]]] = ({}, {})
        self.keys: tuple[list[int], list[int]] = ([], [])
        self.where: dict[int, tuple[int, int]] = {}
        self.live: list[int] = []
        """Ids in any order, so that one is drawn and removed at once."""
        self.index: dict[int, int] = {}

    def place(self, event: Event, fills: list[Fill]) -> None:
        """Match an order and rest what is left unless it only takes."""
        size = event.size
        other = 1 - event.side
        keys = self.keys[other]
        limit = event.price if event.side else -event.price
        while size and keys and keys[-1] >= limit:
            queue = self.levels[other][keys[-1]]
            maker = next(iter(queue))
            traded = min(size, queue[maker])
            fills.append((event.order_id, maker, abs(keys[-1]), traded))
            size -= traded
            queue[maker] -= traded
            if not queue[maker]:
                self.remove(maker)
        if size and event.kind == ADD:
            key = -event.price if event.side else event.price
            if key not in self.levels[event.side]:
                self.levels[event.side][key] = {}
                insort(self.keys[event.side], key)
            self.levels[event.side][key][event.order_id] = size
            self.where[event.order_id] = (event.side, key)
            self.index[event.order_id] = len(self.live)
            self.live.append(event.order_id)

    def remove(self, order_id: int) -> None:
        """Take an order off the book."""
        side, key = self.where.pop(order_id)
        queue = self.levels[side][key]
        del queue[order_id]
        if not queue:
            del self.levels[side][key]
            keys = self.keys[side]
            del keys[bisect_left(keys, key)]
        i = self.index.pop(order_id)
        last = self.live.pop()
        if last != order_id:
            self.live[i] = last
            self.index[last] = i


def make_workload(count: int, seed: int = 7) -> tuple[list[Event], list[Fill]]:
    """Make `count` events: 55 % new orders around a wandering price, 35 % cancels of live orders,
    10 % takers; and the fills they cause.
    """
    rng = random.Random(seed)
    book = PlainBook()
    fills: list[Fill] = []
    events: list[Event] = []
    mid = 100_000
    for order_id in range(1, count + 1):
        draw = rng.random()
        if draw < 0.35 and book.live:
            victim = book.live[rng.randrange(len(book.live))]
            book.remove(victim)
            events.append(Event(CANCEL, victim, 0, 0, 0))
            continue
        mid += rng.choice((-1, 0, 0, 0, 1))
        side = rng.randrange(2)
        size = rng.randrange(1, 100)
        if draw < 0.9:
            away = int(rng.expovariate(0.02)) - 2
            event = Event(ADD, order_id, side, mid + away if side else mid - away, size)
        else:
            price = mid - 200 if side else mid + 200
            event = Event(TAKE, order_id, side, price, rng.randrange(1, 165))
        book.place(event, fills)
        events.append(event)
    return events, fills


def hash_fills(fills: Iterable[Fill]) -> str:
    """Hash fills in order."""
    digest = hashlib.blake2b(digest_size=8)
    for fill in fills:
        digest.update(b"%d,%d,%d,%d;" % fill)
    return digest.hexdigest()
