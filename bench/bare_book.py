"""Drive our order book without money: what the data structure alone costs.

Rule: the book of the exchange with all that it keeps (totals, changed levels, places); only funds,
fees, events and self-trade prevention are left out.
Spec: docs/reference/benchmarks.md
Deviations: none.
"""

from __future__ import annotations

import time
from typing import Final

from bench.matching_workload import ADD, CANCEL, Fill, Row
from exchange.accounts import Account, Trader
from exchange.order_book import Book, make_order

EVENTS_PER_BLOCK: Final = 1_000
"""After so many, changed orders are taken as at the end of a block: else dead ones pile up."""


def run(events: list[Row]) -> tuple[float, list[Fill]]:
    """Apply the events; returns CPU seconds and the fills."""
    account = Account(1, bytes(20))
    balance = account.open_balance(0, 0)
    trader: Trader = account.add_trader(0, 0, balance, balance)
    book = Book()
    orders = book.orders
    bids = book.bids.keys
    asks = book.asks.keys
    fills: list[Fill] = []
    started = time.process_time()
    for start in range(0, len(events), EVENTS_PER_BLOCK):
        for kind, order_id, side, price, size in events[start : start + EVENTS_PER_BLOCK]:
            if kind == CANCEL:
                book.remove(orders[order_id])
                del orders[order_id]
                continue
            if side:
                if bids and bids[-1] >= price:
                    size = take(book, order_id, side, price, size, fills)
            elif asks and -asks[-1] <= price:
                size = take(book, order_id, side, price, size, fills)
            if size and kind == ADD:
                order = make_order(order_id, trader, side, price, size, 0, 0, 0, 0)
                orders[order_id] = order
                book.rest(order)
        book.take_changed()
    return time.process_time() - started, fills


def take(book: Book, taker: int, side: int, price: int, size: int, fills: list[Fill]) -> int:
    """Trade against the book; returns the lots left."""
    opposite = book.bids if side else book.asks
    limit = price if side else -price
    keys = opposite.keys
    levels = opposite.levels
    orders = book.orders
    while size and keys:
        key = keys[-1]
        if key < limit:
            break
        maker = levels[key].head
        have = maker.size
        if have > size:
            fills.append((taker, maker.id, maker.price, size))
            book.reduce(maker, size)
            return 0
        fills.append((taker, maker.id, maker.price, have))
        book.remove(maker)
        del orders[maker.id]
        size -= have
    return size
