"""Measure what a call auction costs a block, by how many orders it trades.

python -m bench.auctions [--trading 1000,100000] [--resting 0,1000000]

Rule: CPU seconds of the block that finds the price and of each block that trades, roots included;
half of the trading orders are on each side, one order a level, and the rest of the book does not
cross. Every size runs in a process of its own.
Spec: docs/reference/benchmarks.md
Deviations: none.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from typing import Any

from bench.resting import get_memory_mb
from exchange.accounts import Trader
from exchange.call_auction import get_indication
from exchange.execute import BlockInput, execute
from exchange.genesis import AssetConfig, ExchangeGenesis, MarketConfig
from exchange.market import Market
from exchange.order_book import BUY, SELL, make_order
from exchange.settlement import enlist, hold_funds
from exchange.state import State
from primitives.keccak import keccak256

MIDDLE = 1 << 38
ACCOUNTS = 64
FUNDS = 1 << 120


def make_state(trading: int, resting: int) -> State:
    """A market of mode `auction` with so many orders that will trade and that will not."""
    assets = tuple(
        AssetConfig(name=name, decimals=6, chain_id=1, vault="0x" + "51" * 20, token=token)
        for name, token in (("USDX", "0x" + "01" * 20), ("WETH", "0x" + "02" * 20))
    )
    market = MarketConfig(
        name="WETH-USDX", base=1, quote=0, tick=1, lot=1, mode="auction", reference_price=MIDDLE
    )
    genesis = ExchangeGenesis(assets=assets, markets=(market,), checkpoint_interval=1 << 30)
    state = State(genesis)
    traders = [_open_trader(state, number) for number in range(ACCOUNTS)]
    half = trading // 2
    for place in reversed(range(half + resting // 2)):  # the worst first, for speed
        step = half - place if place < half else -place  # first those that cross, then the others
        for side, sign in ((BUY, 1), (SELL, -1)):
            trader = traders[2 * (place % (ACCOUNTS // 2)) + side]
            _rest(state, state.markets[0], trader, side, MIDDLE + sign * step)
    state.markets[0].book.bids.take_touched()
    state.markets[0].book.asks.take_touched()
    return state


def _open_trader(state: State, number: int) -> Trader:
    account = state.open_account(keccak256(number.to_bytes(4, "big"))[:20])
    quote, base = account.open_balance(0, 0), account.open_balance(0, 1)
    quote.free = base.free = FUNDS
    return account.add_trader(0, 0, quote, base)


def _rest(state: State, market: Market, trader: Trader, side: int, price: int) -> None:
    order = make_order(state.next_order, trader, side, price, 1, 0, 0, 0, 0)
    state.next_order += 1
    assert hold_funds(market, order)
    enlist(market, order)
    market.book.rest(order)


def measure(trading: int, resting: int) -> dict[str, Any]:
    """Hold the auction."""
    state = make_state(trading, resting)
    gc.collect()
    gc.freeze()
    run_block(state, 1_000)
    started = time.process_time()
    get_indication(state.markets[0])
    indication = time.process_time() - started
    blocks = [run_block(state, 100_000)]
    traded = blocks[0][1]
    while state.markets[0].uncrossing:
        blocks.append(run_block(state, 0))
        traded += blocks[-1][1]
    seconds = [block[0] for block in blocks]
    return {
        "trading": trading,
        "resting": resting,
        "trades": traded,
        "blocks": len(blocks),
        "first_block_ms": round(seconds[0] * 1e3, 1),
        "next_block_ms": round(max(seconds[1:], default=0) * 1e3, 1),
        "trade_us": round(sum(seconds) / max(traded, 1) * 1e6, 2),
        "indication_ms": round(indication * 1e3, 2),
        "rss_mb": get_memory_mb(),
    }


def run_block(state: State, gap_ms: int) -> tuple[float, int]:
    """Execute an empty block; returns CPU seconds and trades."""
    height = state.height + 1
    block = BlockInput(
        height=height,
        time_ms=state.time_ms + gap_ms,
        block_hash=keccak256(height.to_bytes(8, "big")),
        proposer=0,
        executed_height=height - 1,
        is_seal=False,
        committee=(),
        actions=(),
    )
    started = time.process_time()
    outcome = execute(state, block)
    return time.process_time() - started, len(outcome.fills)


def main(arguments: list[str]) -> None:
    """Run every size and print one JSON line each."""
    parser = argparse.ArgumentParser(prog="python -m bench.auctions", description=__doc__)
    parser.add_argument("--trading", default="1000,10000,100000,1000000")
    parser.add_argument("--resting", default="0,1000000")
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(measure(*options.one)))
        return
    for resting in options.resting.split(","):
        for trading in options.trading.split(","):
            command = [sys.executable, "-m", "bench.auctions", "--one", trading, resting]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
