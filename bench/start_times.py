"""Measure a devnet's first block, trade and checkpoint, and what its nodes cost at rest.

python -m bench.start_times [--rounds 3] [--rest 20]

Rule: the clock starts when the command is typed; every figure is read from the validators' APIs.
Prints one JSON line.
Spec: docs/measurements.md (Start).
Deviations: none.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import trio

from bench.devnets import POLL_S, Running, run_devnet
from bench.load_nodes import Nodes
from devnet.status import DevnetStatus

PATIENCE_S: Final = 180.0
QUIET_S: Final = 5.0  # after the start, before a node at rest is measured
EVENTS: Final[dict[str, Callable[[DevnetStatus], bool]]] = {
    "ready_s": lambda status: all(v.ready for v in status.validators),
    "first_final_s": lambda status: any((v.final or 0) >= 1 for v in status.validators),
    "first_trade_s": lambda status: any(market.trades for market in status.markets),
    "first_checkpoint_s": lambda status: status.settlement.checkpoints >= 1,
}


def measure_start() -> dict[str, float]:
    """Return the seconds from the prompt to each event."""
    found: dict[str, float] = {}
    with run_devnet("--traders", "2") as devnet:
        while len(found) < len(EVENTS):
            assert time.monotonic() - devnet.started < PATIENCE_S, f"only {found} came about"
            status = devnet.status()
            now = round(time.monotonic() - devnet.started, 2)
            if status is not None:
                for name, has_happened in EVENTS.items():
                    if name not in found and has_happened(status):
                        found[name] = now
            time.sleep(POLL_S)
    return found


async def measure_rest(devnet: Running, seconds: float) -> dict[str, float]:
    """Return memory and the share of one core that a node takes when nobody trades."""
    async with Nodes(devnet.urls) as nodes:
        await trio.sleep(QUIET_S)
        before, started = await nodes.all_counters(), trio.current_time()
        await trio.sleep(seconds)
        after, elapsed = await nodes.all_counters(), trio.current_time() - started
    shares = [
        (now["cpu_s"] - then["cpu_s"]) / elapsed for then, now in zip(before, after, strict=True)
    ]
    blocks = after[0]["blocks"] - before[0]["blocks"]
    return {
        "rest_cpu_percent": round(100 * statistics.median(shares), 1),
        "rest_rss_mb": round(statistics.median(end["rss_bytes"] for end in after) / 2**20),
        "rest_blocks_per_s": round(blocks / elapsed, 1),
    }


def measure(rounds: int, rest_s: float) -> dict[str, Any]:
    """Return the medians over some starts, and the figures at rest."""
    starts = [measure_start() for _ in range(rounds)]
    report: dict[str, Any] = {
        name: round(statistics.median(start[name] for start in starts), 2) for name in EVENTS
    }
    report["rounds"] = rounds
    with run_devnet("--traders", "0") as devnet:
        devnet.wait_up()
        report.update(trio.run(measure_rest, devnet, rest_s))
    return report


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.start_times")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rest", type=float, default=20.0, help="seconds at rest")
    given = parser.parse_args()
    print(json.dumps(measure(given.rounds, given.rest)), flush=True)


if __name__ == "__main__":
    main()
