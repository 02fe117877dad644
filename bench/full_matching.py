"""Drive our full matching without blocks: what an order costs once it is admitted.

Rule: `hold_funds`, `enlist`, `process_order` and `end_order` as clearing calls them: funds, fees,
self-trade prevention, events and fills; the log is emptied as at the end of a block.
Spec: docs/reference/benchmarks.md
Deviations: none.
"""

from __future__ import annotations

import time
from typing import Final

from bench.matching_workload import CANCEL, TAKE, Fill, Row
from bench.pipeline import make_genesis
from exchange.ledger import credit
from exchange.market import Market
from exchange.matching import end_order, process_order
from exchange.operations import GTC, IOC
from exchange.order_book import make_order
from exchange.outcome import Fill as Trade
from exchange.reasons import Reason
from exchange.settlement import enlist, hold_funds
from exchange.state import State

EVENTS_PER_BLOCK: Final = 1_000
FUNDS: Final = 1 << 90


def run(events: list[Row]) -> tuple[float, list[Fill]]:
    """Apply the events; all buyers are one account and all sellers another."""
    state = State(make_genesis(markets=1))
    market: Market = state.markets[0]
    traders = []
    for side in range(2):
        quote = credit(state, bytes([side + 1] * 20), 0, market.quote, FUNDS)
        base = credit(state, bytes([side + 1] * 20), 0, market.base, FUNDS)
        traders.append(quote.account.add_trader(0, 0, quote, base))
    orders = market.book.orders
    cancelled = int(Reason.CANCELLED)
    trades: list[list[Trade]] = []
    started = time.process_time()
    for start in range(0, len(events), EVENTS_PER_BLOCK):
        for kind, order_id, side, price, size in events[start : start + EVENTS_PER_BLOCK]:
            if kind == CANCEL:
                end_order(market, orders[order_id], cancelled)
                continue
            tif = IOC if kind == TAKE else GTC
            order = make_order(order_id, traders[side], side, price, size, tif, 0, 0, 0)
            if not hold_funds(market, order):
                raise AssertionError("the traders have funds")
            enlist(market, order)
            process_order(market, order, b"", 0)
        trades.append(market.log.fills)
        for balance in market.log.touched:
            balance.touched = False
        market.log.clear()
    seconds = time.process_time() - started
    fills = [(t.taker_order, t.maker_order, t.price, t.size) for block in trades for t in block]
    return seconds, fills
