"""Replay recorded order flow through the exchange's own book and settlement, and compare with the
truth.

python -m bench.orderflow DIR

Rule: the engine runs to its end before any truth file is opened. Every order has an account of its
own with funds, fees are charged and conservation is checked. SEED and FORCED exist here only. The
last line of output is JSON; the exit code is 0 only if every row of every truth file is met.

Spec: docs/how-to/replay-order-flow.md
Deviations: none.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.orderflow_convert import convert, is_market_by_order
from bench.orderflow_data import BadDataSet, Event, read_events
from bench.orderflow_truth import Comparison, compare_books, compare_fills
from exchange.accounts import Trader
from exchange.conservation import verify_books, verify_conservation, verify_holds
from exchange.genesis import AssetConfig, ExchangeGenesis, MarketConfig
from exchange.ledger import credit
from exchange.market import Market
from exchange.matching import (
    end_order,
    process_order,
    reduce_order,
    replace_order,
    rest_order,
)
from exchange.operations import GTC, IOC, SELL
from exchange.order_book import Order, make_order
from exchange.outcome import Fill
from exchange.reasons import Reason
from exchange.settlement import enlist, hold_funds
from exchange.state import State

QUOTE: Final = 0
BASE: Final = 1
UNNAMED_ORDER: Final = 1 << 62
"""Takers whose id the venue does not tell get ids from here on."""
FUNDS: Final = 1 << 90


class Change(NamedTuple):
    """A level's new total after an event."""

    side: int
    price: int
    size: int


class Recording:
    """Everything the engine said, by event."""

    def __init__(self) -> None:
        self.fills: dict[int, tuple[Fill, ...]] = {}
        self.changes: dict[int, tuple[Change, ...]] = {}
        self.cancels = 0
        self.cancels_equal = 0
        self.crossed = 0
        self.seconds = 0.0


class Replay:
    """One market, one account per order."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.state = State(_make_genesis())
        self.market: Market = self.state.markets[0]
        self.traders: dict[int, Trader] = {}
        for event in events:
            order_id = event.order_id or UNNAMED_ORDER + event.seq
            if order_id not in self.traders:
                self.traders[order_id] = self._fund(len(self.traders) + 1)

    def _fund(self, number: int) -> Trader:
        owner = number.to_bytes(20, "big")
        quote = credit(self.state, owner, 0, QUOTE, FUNDS)
        base = credit(self.state, owner, 0, BASE, FUNDS)
        for asset in (QUOTE, BASE):
            self.state.deposited[asset] += FUNDS
        return quote.account.add_trader(0, 0, quote, base)

    def run(self) -> Recording:
        """Apply every event in order."""
        recording = Recording()
        log = self.market.log
        book = self.market.book
        gc.collect()
        started = time.perf_counter()
        for event in self.events:
            before = len(log.fills)
            self._apply(event, recording)
            if len(log.fills) > before:
                recording.fills[event.seq] = tuple(log.fills[before:])
            changes = self._take_changes()
            if changes:
                recording.changes[event.seq] = changes
            ask = book.get_best(SELL)
            if ask and book.get_best(0) >= ask:
                recording.crossed += 1
        recording.seconds = time.perf_counter() - started
        verify_conservation(self.state)
        verify_holds(self.state)
        verify_books(self.state)
        return recording

    def _apply(self, event: Event, recording: Recording) -> None:
        op = event.op
        market = self.market
        if op == "LIMIT":
            self._place(event, GTC)
        elif op == "IOC":
            self._place(event, IOC)
        elif op == "SEED":
            rest_order(market, self._make_order(event, GTC))
        elif op == "HIDDEN":
            return
        else:
            order = market.book.orders.get(event.order_id)
            if op == "CANCEL":
                recording.cancels += 1
                recording.cancels_equal += order is not None and order.size == event.size
            if order is not None:
                self._change(event, order)

    def _make_order(self, event: Event, tif: int) -> Order:
        order_id = event.order_id or UNNAMED_ORDER + event.seq
        trader = self.traders[order_id]
        order = make_order(order_id, trader, event.side, event.price, event.size, tif, 0, 0, 0)
        held = hold_funds(self.market, order)
        assert held, "replayed orders have funds"
        enlist(self.market, order)
        return order

    def _place(self, event: Event, tif: int) -> None:
        process_order(self.market, self._make_order(event, tif), b"", event.seq)

    def _change(self, event: Event, order: Order) -> None:
        """Cancel, reduce or amend a resting order. The venue's FORCED fills only take lots off."""
        market = self.market
        if event.op == "CANCEL":
            end_order(market, order, Reason.CANCELLED)
        elif event.op in ("REDUCE", "FORCED"):
            if event.size >= order.size:
                end_order(market, order, Reason.CANCELLED)
            else:
                reduce_order(market, order, event.size)
        elif event.price == order.price and event.size <= order.size:
            # An amendment in the recorded flow always goes to the end of its queue.
            end_order(market, order, Reason.CANCELLED)
            self._place(event, GTC)
        else:
            replace_order(market, order, event.price, event.size, b"", event.seq)

    def _take_changes(self) -> tuple[Change, ...]:
        found = []
        book = self.market.book
        for number, side in enumerate((book.bids, book.asks)):
            found += [Change(number, abs(key), size) for key, size in side.take_touched()]
        return tuple(found)


def _make_genesis() -> ExchangeGenesis:
    assets = tuple(
        AssetConfig(
            name=name,
            decimals=0,
            chain_id=1,
            vault="0x" + "11" * 20,
            token="0x" + f"{number:040x}",
        )
        for number, name in enumerate(("QUOTE", "BASE"))
    )
    market = MarketConfig(name="REPLAY", base=BASE, quote=QUOTE, tick=1, lot=1, mode="fair")
    return ExchangeGenesis(assets=assets, markets=(market,), freeze_after_ms=0)


def replay_directory(directory: Path) -> tuple[dict[str, object], bool]:
    """Replay a data set. Returns the report and whether everything was equal. Raises BadDataSet."""
    if is_market_by_order(directory):
        with tempfile.TemporaryDirectory(prefix="omnibazaar-orderflow-") as folder:
            return replay_directory(convert(directory, Path(folder)))
    events = read_events(directory)
    replay = Replay(events)
    recording = replay.run()
    fills: Comparison = compare_fills(directory, recording.fills)
    books: Comparison = compare_books(directory, [e.seq for e in events], recording.changes)
    report: dict[str, object] = {
        "set": directory.name,
        "events": len(events),
        "fills": sum(map(len, recording.fills.values())),
        "fills_expected": fills.expected,
        "fills_equal": fills.equal,
        "book_rows": books.expected,
        "book_rows_equal": books.equal,
        "cancels": recording.cancels,
        "cancels_equal": recording.cancels_equal,
        "crossed": recording.crossed,
        "fees": str(replay.state.fees[QUOTE]),
        "events_per_second": round(len(events) / max(recording.seconds, 1e-9)),
    }
    good = (
        fills.is_met
        and books.is_met
        and fills.expected + books.expected > 0
        and recording.cancels == recording.cancels_equal
        and recording.crossed == 0
    )
    return report, good


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m bench.orderflow DIR", file=sys.stderr)
        return 2
    try:
        report, good = replay_directory(Path(arguments[0]))
    except BadDataSet as error:
        print(json.dumps({"error": str(error)}))
        return 1
    print(json.dumps(report))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
