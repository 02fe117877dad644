"""Measure how the cost of an order depends on resting orders and on markets.

python -m bench.scale [--resting 1000,1000000] [--markets 1,100] [--blocks N] [--orders N]

Rule: CPU seconds of `execute`, checkpoints included, over operations accepted; every size runs in a
process of its own, with memory collected as in a node. The last line has the ratios of the dearest
to the cheapest.
Spec: docs/reference/benchmarks.md
Deviations: none.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from typing import Any

from bench.resting import CHECKPOINT_INTERVAL, Crowd, get_memory_mb
from exchange.execute import execute
from exchange.reasons import is_accepted
from exchange.snapshot import snapshot
from node.limits import GC_THRESHOLDS


def measure(resting: int, markets: int, blocks: int, orders: int) -> dict[str, Any]:
    """Run the flow beside so many resting orders."""
    crowd = Crowd(resting, markets)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    accepted = 0
    seconds = checkpoint = snapshots = 0.0
    size = 0
    for height in range(1, blocks + 1):
        block = crowd.make_block(height, orders)
        started = time.process_time()
        outcome = execute(crowd.state, block)
        spent = time.process_time() - started
        seconds += spent
        if outcome.is_checkpoint:
            checkpoint = max(checkpoint, spent)
            started = time.process_time()
            size = sum(map(len, snapshot(crowd.state)))
            snapshots += time.process_time() - started
        accepted += sum(is_accepted(s) for r in outcome.receipts for s in r.statuses)
    return {
        "resting": resting,
        "markets": markets,
        "operations": accepted,
        "execute_us": round(seconds / accepted * 1e6, 2),
        "checkpoint_block_ms": round(checkpoint * 1e3, 1),
        "snapshot_ms": round(snapshots / (blocks // CHECKPOINT_INTERVAL) * 1e3, 1),
        "snapshot_bytes": size,
        "rss_mb": get_memory_mb(),
    }


def run(resting: int, markets: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one size in a process of its own."""
    command = [sys.executable, "-m", "bench.scale", "--one", f"{resting},{markets}"]
    command += ["--blocks", str(options.blocks), "--orders", str(options.orders)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    print(json.dumps(found), flush=True)
    return found


def main() -> None:
    """Print one JSON line per size, then the ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale")
    parser.add_argument("--resting", default="1000,10000,100000,1000000")
    parser.add_argument("--markets", default="1,10,100")
    parser.add_argument("--blocks", type=int, default=2 * CHECKPOINT_INTERVAL)
    parser.add_argument("--orders", type=int, default=1_000, help="orders per block")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        resting, markets = map(int, given.one.split(","))
        print(json.dumps(measure(resting, markets, given.blocks, given.orders)))
        return
    by_resting = [run(int(n), 4, given)["execute_us"] for n in given.resting.split(",")]
    by_markets = [run(10_000, int(n), given)["execute_us"] for n in given.markets.split(",")]
    ratios = {
        "dearest by cheapest, resting": round(max(by_resting) / min(by_resting), 2),
        "dearest by cheapest, markets": round(max(by_markets) / min(by_markets), 2),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
