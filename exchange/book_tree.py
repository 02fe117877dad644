"""Commit to the resting orders of one market at a cost of what changed, however many rest.

Rule: the root is a pure function of the resting orders and their places, never of how they came to
be. Every order that comes to rest takes the next place of its book and keeps it until it leaves;
within a level the queue is by place. `ORDERS_PER_GROUP` places in a row make a group, whose leaf is
the hash of its orders' records; the leaves stand in a sparse tree by group number.

Spec: docs/spec/exchange.md#book-root
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from exchange.limits import BOOK_TREE_DEPTH, ORDERS_PER_GROUP
from exchange.order_book import Book, Order
from exchange.snapshot_records import OrderRecord
from primitives.keccak import keccak256
from primitives.merkle import EMPTY_LEAF, leaf_hash
from primitives.sparse_tree import SparseTree

_encoder: Final = msgspec.msgpack.Encoder()


class Group:
    """The resting orders of neighbouring places, and their records as last encoded."""

    __slots__ = ("data", "orders")

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.data: bytes = b""


class BookTree:
    """The groups of one book and the tree over them, as of the last `update`."""

    __slots__ = ("_groups", "_tree")

    def __init__(self) -> None:
        self._groups: dict[int, Group] = {}
        """By number, ascending: places only grow, and a group that emptied never returns but as the
        last one."""
        self._tree: SparseTree = SparseTree(BOOK_TREE_DEPTH)

    @property
    def root(self) -> bytes:
        """Return the root as of the last update."""
        return self._tree.root

    def update(self, book: Book) -> bytes:
        """Take in what changed on the book since the last time; returns the root."""
        if book.changed:
            groups = self._collect(book.take_changed())
            self._tree.update({number: self._make_leaf(number) for number in groups})
        return self._tree.root

    def iterate_groups(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number and the encoded records of every group, in ascending order."""
        for number, group in self._groups.items():
            yield number, group.data

    def _collect(self, changed: list[Order]) -> list[int]:
        """Put orders into the groups of their places; returns the numbers of changed groups."""
        dirty: set[int] = set()
        new: list[Order] = []
        for order in changed:
            known = order.tree_place
            if known >= 0:
                dirty.add(known // ORDERS_PER_GROUP)
            if order.level is None:
                order.tree_place = -1
            elif order.place != known:
                order.tree_place = order.place
                new.append(order)
        new.sort(key=_get_place)
        for order in new:
            number = order.place // ORDERS_PER_GROUP
            dirty.add(number)
            group = self._groups.get(number)
            if group is None:
                group = self._groups[number] = Group()
            if order not in group.orders:
                group.orders.append(order)
        return sorted(dirty)

    def _make_leaf(self, number: int) -> bytes:
        """Drop orders that left, encode the rest and hash them."""
        group = self._groups.get(number)
        if group is None:
            return EMPTY_LEAF
        first = number * ORDERS_PER_GROUP
        after = first + ORDERS_PER_GROUP
        group.orders = [o for o in group.orders if o.level is not None and first <= o.place < after]
        group.orders.sort(key=_get_place)
        if not group.orders:
            del self._groups[number]
            return EMPTY_LEAF
        group.data = _encoder.encode([make_order_record(order) for order in group.orders])
        return hash_group(group.data)


def _get_place(order: Order) -> int:
    return order.place


def hash_group(data: bytes) -> bytes:
    """Hash a group: leaf of the keccak of its records, so that no leaf has an inner node's size."""
    return leaf_hash(keccak256(data))


def make_order_record(order: Order) -> OrderRecord:
    """Describe an order; what it holds follows from price and size."""
    return OrderRecord(
        order.id,
        order.trader.number,
        order.trader.sub,
        order.side,
        order.price,
        order.size,
        order.total,
        order.tif,
        order.stp,
        order.client_id,
        order.grant,
        0 if order.builder is None else order.builder.number,
        order.builder_ppm,
        order.place,
    )
