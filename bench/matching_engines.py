"""Run one engine over the workload: our book, our full matching, a reference, engines from PyPI.

python -m bench.matching_engines NAME EVENTS [REFERENCE]

Rule: CPU seconds of the loop alone; what an engine's interface asks for (its order objects, its own
ids) is made inside the loop, prices are converted before it. An engine without immediate-or-cancel
orders gets a limit order and a cancel of the rest. Fills are hashed after the clock stopped.
Spec: docs/reference/benchmarks.md
Deviations: none.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.matching_workload import ADD, CANCEL, TAKE, Event, Fill, Row, hash_fills, make_workload

Run = Callable[[list[Event]], tuple[float, list[Fill] | None]]


def run_light(events: list[Event]) -> tuple[float, list[Fill] | None]:
    """lightmatchingengine: dictionaries of lists, the best price by min() and max()."""
    library: Any = importlib.import_module("lightmatchingengine.lightmatchingengine")
    engine = library.LightMatchingEngine()
    theirs: dict[int, int] = {}
    ours: dict[int, int] = {}
    seen: list[tuple[int, list[Any]]] = []
    add, cancel = engine.add_order, engine.cancel_order
    started = time.process_time()
    for kind, order_id, side, price, size in events:
        if kind == CANCEL:
            cancel(theirs[order_id], "M")
            continue
        order, trades = add("M", price, size, side + 1)
        theirs[order_id] = order.order_id
        ours[order.order_id] = order_id
        if trades:
            seen.append((order_id, trades))
        if kind == TAKE and order.leaves_qty:
            cancel(order.order_id, "M")
    seconds = time.process_time() - started
    fills = [
        (taker, ours[t.order_id], t.trade_price, t.trade_qty)
        for taker, trades in seen
        for t in trades
        if ours[t.order_id] != taker
    ]
    return seconds, fills


def run_pyorderbook(events: list[Event]) -> tuple[float, list[Fill] | None]:
    """pyorderbook: a heap of levels, UUIDs and decimals."""
    library: Any = importlib.import_module("pyorderbook")
    logging.disable(logging.CRITICAL)
    book = library.Book()
    make = (library.bid, library.ask)
    live: dict[int, Any] = {}
    ours: dict[Any, int] = {}
    seen: list[list[Any]] = []
    started = time.process_time()
    for kind, order_id, side, price, size in events:
        if kind == CANCEL:
            book.cancel(live[order_id])
            continue
        order = make[side]("M", price, size)
        live[order_id] = order
        ours[order.id] = order_id
        trades = book.match(order).trades
        if trades:
            seen.append(trades)
        if kind == TAKE and order.quantity:
            book.cancel(order)
    seconds = time.process_time() - started
    fills = [
        (ours[t.incoming_order_id], ours[t.standing_order_id], int(t.fill_price), t.fill_quantity)
        for trades in seen
        for t in trades
    ]
    return seconds, fills


def run_akhil4n(events: list[Event]) -> tuple[float, list[Fill] | None]:
    """akhil4n-orderbook: sorted dictionaries of ordered dictionaries."""
    return _run_limit_orders(importlib.import_module("orderbook"), events)


def run_cython(events: list[Event]) -> tuple[float, list[Fill] | None]:
    """cython-orderbook: the same interface, compiled; its trades cannot be read."""
    seconds, _ = _run_limit_orders(importlib.import_module("cython_orderbook.orderbook"), events)
    return seconds, None


def _run_limit_orders(library: Any, events: list[Event]) -> tuple[float, list[Fill] | None]:
    from decimal import Decimal

    book = library.OrderBook()
    sides = (library.OrderSide.BID, library.OrderSide.ASK)
    make = library.Order
    prices = {event.price: Decimal(event.price) for event in events}
    theirs: dict[int, str] = {}
    add, cancel = book.add_limit_order, book.cancel_order
    started = time.process_time()
    for kind, order_id, side, price, size in events:
        if kind == CANCEL:
            cancel(theirs[order_id])
            continue
        order = make(side=sides[side], price=prices[price], original_quantity=size)
        theirs[order_id] = order.order_id
        add(order)
        if kind == TAKE:
            cancel(order.order_id)
    seconds = time.process_time() - started
    ours = {name: order_id for order_id, name in theirs.items()}
    fills = [
        (ours[t.aggressor_id], ours[t.filler_id], int(t.price), t.quantity_filled)
        for t in getattr(book, "trade_log", ())
    ]
    return seconds, fills


def run_fastlob(events: list[Event]) -> tuple[float, list[Fill] | None]:
    """fastlob: sorted limits with decimals and locks; makers of its trades are not told."""
    library: Any = importlib.import_module("fastlob")
    logging.disable(logging.CRITICAL)
    sides = (library.OrderSide.BID, library.OrderSide.ASK)
    theirs: dict[int, str] = {}
    with library.Orderbook("M") as book:
        started = time.process_time()
        for kind, order_id, side, price, size in events:
            if kind == CANCEL:
                book.cancel(theirs[order_id])
                continue
            result = book(library.OrderParams(sides[side], price, size))
            theirs[order_id] = result.orderid()
            if kind == TAKE:
                book.cancel(result.orderid())
        return time.process_time() - started, None


def run_sorted_container(events: list[Event]) -> tuple[float, list[Fill] | None]:
    """order-book: a sorted container in C without matching; the matching loop here is ours."""
    library: Any = importlib.import_module("order_book")
    book = library.OrderBook()
    sides = (book.bids, book.asks)
    where: dict[int, tuple[Any, int]] = {}
    fills: list[Fill] = []
    started = time.process_time()
    for kind, order_id, side, price, size in events:
        if kind == CANCEL:
            own, at = where.pop(order_id)
            queue = own[at]
            del queue[order_id]
            if not queue:
                del own[at]
            continue
        other = sides[1 - side]
        while size and len(other):
            best, queue = other.index(0)
            if best < price if side else best > price:
                break
            maker = next(iter(queue))
            left = queue[maker]
            traded = size if size < left else left
            fills.append((order_id, maker, best, traded))
            size -= traded
            if traded == left:
                del queue[maker]
                del where[maker]
                if not queue:
                    del other[best]
            else:
                queue[maker] = left - traded
        if size and kind == ADD:
            own = sides[side]
            if price in own:
                own[price][order_id] = size
            else:
                own[price] = {order_id: size}
            where[order_id] = (own, price)
    return time.process_time() - started, fills


def run_reference(events: list[Event]) -> tuple[float, list[Fill] | None]:
    """A reference book given by path: `Book(market, accounts)` with `new` and `cancel`."""
    spec = importlib.util.spec_from_file_location("reference_book", sys.argv[3])
    assert spec is not None
    assert spec.loader is not None
    library: Any = importlib.util.module_from_spec(spec)
    sys.modules["reference_book"] = library
    spec.loader.exec_module(library)
    accounts = [library.Account(1 << 80, [1 << 80]) for _ in range(2)]
    book = library.Book(0, accounts)
    new, cancel = book.new, book.cancel
    owner: dict[int, int] = {}
    started = time.process_time()
    for kind, order_id, side, price, size in events:
        if kind == CANCEL:
            cancel(order_id, owner[order_id])
        else:
            owner[order_id] = side  # all buyers one account, all sellers the other
            new(order_id, side, side, price, size, 1 if kind == TAKE else 0)
    seconds = time.process_time() - started
    out = book.fills
    return seconds, list(zip(out[::6], out[1::6], out[2::6], out[3::6], strict=True))


def run_book(events: list[Event]) -> tuple[float, list[Fill] | None]:
    """Our book without money: rest, take, cancel."""
    from bench.bare_book import run

    rows: list[Row] = [(e.kind, e.order_id, e.side, e.price, e.size) for e in events]
    return run(rows)


def run_matching(events: list[Event]) -> tuple[float, list[Fill] | None]:
    """Our full matching: holds, fees, self-trade prevention, client events, fills."""
    from bench.full_matching import run

    rows: list[Row] = [(e.kind, e.order_id, e.side, e.price, e.size) for e in events]
    return run(rows)


ENGINES: Final[dict[str, Run]] = {
    "book": run_book,
    "matching": run_matching,
    "reference": run_reference,
    "order-book": run_sorted_container,
    "lightmatchingengine": run_light,
    "pyorderbook": run_pyorderbook,
    "akhil4n-orderbook": run_akhil4n,
    "cython-orderbook": run_cython,
    "fastlob": run_fastlob,
}


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; returns the exit code."""
    name, count = arguments[0], int(arguments[1])
    events, expected = make_workload(count)
    gc.collect()
    gc.freeze()
    gc.disable()
    seconds, fills = ENGINES[name](events)
    told = None if fills is None else hash_fills(fills)
    report = {
        "engine": name,
        "events": count,
        "cpu_s": round(seconds, 4),
        "events_per_second": round(count / seconds),
        "fills": None if fills is None else len(fills),
        "fills_equal": None if told is None else told == hash_fills(expected),
        "fills_hash": told,
        "program": Path(sys.executable).parent.parent.name,
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
