"""The resting orders of one market, in price-time priority.

Rule: this file knows order, level and side, and nothing of money. Every operation costs the same
however many orders rest: no lazy deletion, no walk over orders.

Keys grow towards "better" on both sides (bids +price, asks -price): the best level is `keys[-1]`,
and one loop serves both directions.

Spec: docs/spec/exchange.md#the-book
Deviations: none.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final

from exchange.accounts import Account, Trader
from exchange.limits import FOK_LEVELS_MAX

BUY: Final = 0
SELL: Final = 1


class Order:
    """One order: pending (admitted, its funds held), resting (`level` set) or done (`size` 0).

    `make_order` makes it: a function that sets the fields costs two thirds of an `__init__`.
    """

    __slots__ = (
        "builder",
        "builder_ppm",
        "client_id",
        "grant",
        "held",
        "id",
        "level",
        "next",
        "noted",
        "place",
        "prev",
        "price",
        "side",
        "size",
        "stp",
        "tif",
        "total",
        "trader",
        "tree_place",
        "watched",
    )

    id: int
    trader: Trader
    side: int
    price: int
    size: int
    """Lots not yet traded."""
    total: int
    """Lots asked for in all; total - size is what has traded."""
    held: int
    """Quote atoms (a buy) or base atoms (a sell) held for those lots."""
    tif: int
    stp: int
    client_id: int
    """0 for none."""
    grant: int
    """Number of the session key that placed it, 0 for the wallet."""
    builder: Account | None
    """Who brought it and earns a fee on its fills."""
    builder_ppm: int
    """That fee in millionths of the notional."""
    place: int
    """Its number in the order in which orders came to rest on this book."""
    noted: bool
    """True while it stands in the book's list of changed orders."""
    tree_place: int
    """Its place as the book's tree knows it, -1 if it does not."""
    watched: bool
    """True once triggers, times or plans may know it: its end is told to them."""
    level: Level | None
    prev: Order | None
    next: Order | None


def make_order(
    order_id: int,
    trader: Trader,
    side: int,
    price: int,
    size: int,
    tif: int,
    stp: int,
    client_id: int,
    grant: int,
) -> Order:
    """Make a pending order that holds nothing yet."""
    order = Order()
    order.id = order_id
    order.trader = trader
    order.side = side
    order.price = price
    order.size = size
    order.total = size
    order.held = 0
    order.tif = tif
    order.stp = stp
    order.client_id = client_id
    order.grant = grant
    order.builder = None
    order.builder_ppm = 0
    order.place = 0
    order.noted = False
    order.tree_place = -1
    order.watched = False
    order.level = None
    order.prev = None
    order.next = None
    return order


class Level:
    """Orders of one price, oldest first, and their total; it has one order at least."""

    __slots__ = ("head", "key", "size", "tail", "touched")

    key: int
    size: int
    touched: bool
    """True while its key stands in the side's list of touched levels."""
    head: Order
    tail: Order


class Side:
    """Levels by key; keys sorted so that the best is the last."""

    __slots__ = ("keys", "levels", "touched")

    def __init__(self) -> None:
        self.levels: dict[int, Level] = {}
        self.keys: list[int] = []
        self.touched: list[int] = []
        """Keys whose total changed in this block; a level that came anew stands here again."""

    def take_touched(self) -> list[tuple[int, int]]:
        """Return (key, total) of the levels that changed since the last time, each once, best
        first; a level that is gone has a total of 0.
        """
        found = []
        levels = self.levels
        for key in sorted(set(self.touched), reverse=True):
            level = levels.get(key)
            if level is None:
                found.append((key, 0))
            else:
                level.touched = False
                found.append((key, level.size))
        self.touched.clear()
        return found

    def is_fillable(self, limit: int, size: int) -> bool:
        """Tell whether the best levels with keys at or above `limit` hold `size` lots, by their
        totals.
        """
        keys = self.keys
        levels = self.levels
        i = len(keys) - 1
        last = max(i - FOK_LEVELS_MAX, -1)
        while i > last:
            key = keys[i]
            if key < limit:
                return False
            size -= levels[key].size
            if size <= 0:
                return True
            i -= 1
        return False


class Book:
    """Both sides of one market and its resting orders by id."""

    __slots__ = ("asks", "bids", "changed", "next_place", "orders")

    def __init__(self) -> None:
        self.bids: Final = Side()
        self.asks: Final = Side()
        self.orders: Final[dict[int, Order]] = {}
        """Live orders by id, resting and pending."""
        self.next_place: int = 0
        self.changed: Final[list[Order]] = []
        """Orders that came, changed or left since they were taken for the root, each once."""

    def take_changed(self) -> list[Order]:
        """Return the orders that came, changed or left since the last time, each once."""
        found = self.changed.copy()
        for order in found:
            order.noted = False
        self.changed.clear()
        return found

    def get_opposite(self, side: int) -> Side:
        """Return the side against which an order of `side` trades."""
        return self.bids if side else self.asks

    def is_crossing(self, side: int, price: int) -> bool:
        """Tell whether an order would trade at once."""
        if side:
            keys = self.bids.keys
            return bool(keys) and keys[-1] >= price
        keys = self.asks.keys
        return bool(keys) and keys[-1] >= -price

    def get_best(self, side: int) -> int:
        """Return the best price of a side in ticks, or 0 if it is empty."""
        keys = self.asks.keys if side else self.bids.keys
        if not keys:
            return 0
        return -keys[-1] if side else keys[-1]

    def rest(self, order: Order) -> None:
        """Put an order at the tail of its level."""
        size = order.size
        assert size > 0
        assert order.level is None
        trader = order.trader
        if order.side:
            own = self.asks
            key = -order.price
            trader.selling += size
        else:
            own = self.bids
            key = order.price
            trader.buying += size
        level = own.levels.get(key)
        if level is None:
            level = own.levels[key] = Level()
            level.key = key
            level.size = size
            level.touched = True
            level.head = order
            level.tail = order
            keys = own.keys
            if keys and key < keys[-1]:
                insort(keys, key)
            else:
                keys.append(key)
            own.touched.append(key)
        else:
            tail = level.tail
            tail.next = order
            order.prev = tail
            level.tail = order
            level.size += size
            if not level.touched:
                level.touched = True
                own.touched.append(key)
        order.level = level
        place = self.next_place
        order.place = place
        self.next_place = place + 1
        if not order.noted:
            order.noted = True
            self.changed.append(order)

    def reduce(self, order: Order, size: int) -> None:
        """Take lots off a resting order, which keeps its place; at zero it leaves the book."""
        left = order.size - size
        if not left:
            self.remove(order)
            return
        assert 0 < left < order.size
        level = order.level
        assert level is not None
        order.size = left
        level.size -= size
        if not order.noted:
            order.noted = True
            self.changed.append(order)
        if order.side:
            order.trader.selling -= size
            side = self.asks
        else:
            order.trader.buying -= size
            side = self.bids
        if not level.touched:
            level.touched = True
            side.touched.append(level.key)

    def remove(self, order: Order) -> None:
        """Take a resting order off the book; no lots of it are left."""
        level = order.level
        assert level is not None
        size = order.size
        assert size > 0
        order.size = 0
        order.level = None
        if not order.noted:
            order.noted = True
            self.changed.append(order)
        if order.side:
            order.trader.selling -= size
            side = self.asks
        else:
            order.trader.buying -= size
            side = self.bids
        if not level.touched:
            level.touched = True
            side.touched.append(level.key)
        before = order.prev
        after = order.next
        if before is None:
            if after is None:
                assert level.size == size
                keys = side.keys
                key = level.key
                if keys[-1] == key:
                    keys.pop()
                else:
                    del keys[bisect_left(keys, key)]
                del side.levels[key]
                return
            level.head = after
            after.prev = None
            order.next = None
        else:
            before.next = after
            order.prev = None
            if after is None:
                level.tail = before
            else:
                after.prev = before
                order.next = None
        level.size -= size
