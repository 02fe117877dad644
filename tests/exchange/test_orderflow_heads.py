"""The book after each event of two recorded openings is the venue's, row by row.

Only the visible levels are known: a level that falls off the end is forgotten, and the one that
enters there is taken over. Every other level must follow from the events alone.
"""

from __future__ import annotations

import csv
import io
import lzma
from pathlib import Path

import pytest

from exchange.accounts import Account, Trader
from exchange.order_book import BUY, SELL, Book, Order, Side, make_order

NEW, EXECUTED = 1, 4
FIRST_UNKNOWN = 10**12
"""Ids of orders that stood before the recording began."""
Levels = list[tuple[int, int]]


def read(path: Path) -> list[list[int]]:
    text = lzma.decompress(path.read_bytes()).decode()
    return [[int(cell) for cell in row[-40:]] for row in csv.reader(io.StringIO(text))]


def read_messages(path: Path) -> list[list[int]]:
    text = lzma.decompress(path.read_bytes()).decode()
    return [[int(cell) for cell in row[1:6]] for row in csv.reader(io.StringIO(text))]


class Replay:
    def __init__(self, first: list[int], depth: int) -> None:
        account = Account(1, b"\x01" * 20)
        quote, base = account.open_balance(0, 0), account.open_balance(0, 1)
        self.trader = Trader(account, 0, 0, quote, base)
        self.book = Book()
        self.depth = depth
        self.orders: dict[int, Order] = {}
        self.unknown = FIRST_UNKNOWN
        self.taken_over = 0
        for side, levels in enumerate(self.split(first)):
            for price, size in levels:
                self.take_over(side, price, size)
        self.taken_over = 0

    def split(self, row: list[int]) -> tuple[Levels, Levels]:
        """Bids and asks of a row: ask price, ask size, bid price, bid size per level."""
        cells = [row[4 * i : 4 * i + 4] for i in range(self.depth)]
        return [(c[2], c[3]) for c in cells], [(c[0], c[1]) for c in cells]

    def rest(self, order_id: int, side: int, price: int, size: int) -> None:
        order = make_order(order_id, self.trader, side, price, size, 0, 0, 0, 0)
        self.book.rest(order)
        self.orders[order_id] = order

    def take_over(self, side: int, price: int, size: int) -> None:
        self.unknown += 1
        self.taken_over += 1
        self.rest(self.unknown, side, price, size)

    def apply(self, message: list[int]) -> None:
        kind, order_id, size, price, direction = message
        side = BUY if direction == 1 else SELL
        if kind == NEW:
            self.rest(order_id, side, price, size)
        elif kind <= EXECUTED:
            order = self.orders.get(order_id)
            if order is None or order.level is None:
                self.reduce_unknown(side, price, size)
            else:
                self.book.reduce(order, size)

    def reduce_unknown(self, side: int, price: int, size: int) -> None:
        """Take lots off what stood at a price before; nothing if the level is out of sight."""
        level = self.side(side).levels.get(price if side == BUY else -price)
        order = None if level is None else level.head
        while order is not None and size:
            after = order.next
            if order.id > FIRST_UNKNOWN:
                cut = min(size, order.size)
                self.book.reduce(order, cut)
                size -= cut
            order = after
        assert size == 0 or level is None

    def side(self, side: int) -> Side:
        return self.book.asks if side else self.book.bids

    def view(self, side: int) -> Levels:
        own = self.side(side)
        return [(abs(key), own.levels[key].size) for key in reversed(own.keys[-self.depth :])]

    def check(self, row: list[int]) -> None:
        for side, truth in enumerate(self.split(row)):
            own = self.side(side)
            last, size = truth[-1]
            if (last if side == BUY else -last) not in own.levels:
                self.take_over(side, last, size)
            for key in own.keys[: -self.depth]:
                order = own.levels[key].head
                while order is not None:
                    after = order.next
                    self.book.reduce(order, order.size)
                    order = after
            assert self.view(side) == truth


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "depth", "rows"),
    [
        ("AMZN_2012-06-21_{}_5_first1000.csv.xz", 5, 999),
        ("AAPL_2012-06-21_{}_10_first999.csv.xz", 10, 998),
    ],
)
def test_every_book_row_follows_from_the_events(
    data_dir: Path, name: str, depth: int, rows: int
) -> None:
    folder = data_dir / "lobster_heads"
    messages = read_messages(folder / name.format("message"))
    books = read(folder / name.format("orderbook"))
    assert len(messages) == len(books) == rows + 1
    replay = Replay(books[0], depth)
    for message, row in zip(messages[1:], books[1:], strict=True):
        replay.apply(message)
        replay.check(row)
    assert replay.taken_over < rows // 2
