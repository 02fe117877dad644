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

from exchange.accounts import Account, Trader, make_client_key
from exchange.limits import FOK_LEVELS_MAX

BUY: Final = 0
SELL: Final = 1


class Order:
    """One order: pending (admitted, its funds held), resting (`level` set) or done (`size` 0)."""

    __slots__ = (
        "account",
        "builder",
        "builder_ppm",
        "client_id",
        "client_key",
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

    def __init__(
        self,
        order_id: int,
        trader: Trader,
        side: int,
        price: int,
        size: int,
        tif: int,
        stp: int,
        client_id: int,
        grant: int,
    ) -> None:
        self.id: int = order_id
        self.trader: Trader = trader
        self.account: int = trader.number
        self.side: int = side
        self.price: int = price
        self.size: int = size
        """Lots not yet traded."""
        self.total: int = size
        """Lots asked for in all; total - size is what has traded."""
        self.held: int = 0
        """Quote atoms (a buy) or base atoms (a sell) held for those lots."""
        self.tif: int = tif
        self.stp: int = stp
        self.client_id: int = client_id
        self.client_key: int = 0
        """Key of the client id among its account's, 0 for none."""
        if client_id:
            self.client_key = make_client_key(trader.sub, trader.market, client_id)
        self.grant: int = grant
        """Number of the session key that placed it, 0 for the wallet."""
        self.builder: Account | None = None
        """Who brought it and earns a fee on its fills."""
        self.builder_ppm: int = 0
        """That fee in millionths of the notional."""
        self.place: int = 0
        """Its number in the order in which orders came to rest on this book."""
        self.noted: bool = False
        """True while it stands in the book's list of changed orders."""
        self.tree_place: int = -1
        """Its place as the book's tree knows it, -1 if it does not."""
        self.watched: bool = False
        """True once triggers, times or plans may know it: its end is told to them."""
        self.level: Level | None = None
        self.prev: Order | None = None
        self.next: Order | None = None


class Level:
    """Orders of one price, oldest first, and their total; it has one order at least."""

    __slots__ = ("head", "key", "size", "tail", "touched")

    def __init__(self, key: int, order: Order, size: int) -> None:
        self.key: int = key
        self.size: int = size
        self.touched: bool = True
        """True while its key stands in the side's list of touched levels."""
        self.head: Order = order
        self.tail: Order = order


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
        """Orders that came, changed or left since the book's root was computed, each once."""

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
            level = own.levels[key] = Level(key, order, size)
            keys = own.keys
            if not keys or key > keys[-1]:
                keys.append(key)
            else:
                insort(keys, key)
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
        order.place = self.next_place
        self.next_place += 1
        if not order.noted:
            order.noted = True
            self.changed.append(order)

    def reduce(self, order: Order, size: int) -> None:
        """Take lots off a resting order, which keeps its place; at zero it leaves the book."""
        level = order.level
        assert level is not None
        left = order.size - size
        assert 0 <= left < order.size
        order.size = left
        level.size -= size
        if not order.noted:
            order.noted = True
            self.changed.append(order)
        trader = order.trader
        if order.side:
            trader.selling -= size
            side = self.asks
        else:
            trader.buying -= size
            side = self.bids
        if not level.touched:
            level.touched = True
            side.touched.append(level.key)
        if left:
            return
        before = order.prev
        after = order.next
        order.level = None
        if before is None:
            if after is None:
                assert level.size == 0
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
        else:
            before.next = after
            order.prev = None
            if after is None:
                level.tail = before
                return
            after.prev = before
        order.next = None
