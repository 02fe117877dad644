"""Load a running devnet end to end and say what it did.

python -m bench.load [--folder .devnet] [--accounts 200] [--seconds 60] [--rate 2100] [--ops 1]

Rule: every action is signed before the clock starts and sent over WebSocket in requests of at most
100 to all nodes; orders count when the ledger has accepted them. Prints one JSON line; exits 0 only
if all nodes report the same fills and state root and each has verified every signature itself.
Spec: docs/reference/benchmarks.md (End to end).
Deviations: the generator shares the machine with the nodes, so its CPU time is printed as well.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio

from bench.load_flow import LoadFlow
from bench.load_funding import deposit, share_out
from bench.load_nodes import Agreement, Nodes
from bench.load_runner import STAGES, NodeLoad, split, takers_of
from client.node_client import NodeClient, now_ms, open_node
from devnet.folders import Folder
from devnet.ports import PortBlock
from exchange.genesis import MarketConfig
from primitives.secp256k1 import PrivateKey

SETTLED: Final = ("orders_accepted", "orders_rejected", "fills")
PER_NODE: Final = (*SETTLED, "actions", "verified_signatures", "blocks", "nullified_views")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What to load with."""

    accounts: int = 200
    seconds: float = 60.0
    rate: float = 2_100.0  # orders per second
    ops: int = 1  # orders per action
    seed: int = 1


async def run_load(
    urls: Sequence[str],
    markets: Sequence[MarketConfig],
    wishes: Wishes,
    treasury: PrivateKey | None,
) -> dict[str, Any]:
    """Load the nodes and return the report. `treasury` pays the accounts; None if they are paid."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(open_node(url)) for url in urls]
        flow = LoadFlow(
            domain=clients[0].domain,
            markets=[clients[0].terms(market.name) for market in markets],
            middles=[market.reference_price for market in markets],
            accounts=wishes.accounts,
            seed=wishes.seed ^ (now_ms() & 0xFFFFFFFF) << 8,
            now_ms=now_ms(),
        )
        if treasury is not None:
            await share_out(clients[0], treasury, [key.address for key in flow.keys])
        nodes = await stack.enter_async_context(Nodes(urls))
        await _warm_up(clients, flow, nodes)
        signing = time.perf_counter()
        sends = flow.make(
            orders_per_second=wishes.rate, seconds=wishes.seconds, per_action=wishes.ops
        )
        signing = time.perf_counter() - signing
        gc.collect()
        gc.freeze()
        parts = split(flow, sends, len(urls))
        loads = [
            NodeLoad(client, part, takers_of(flow, index, len(urls)))
            for index, (client, part) in enumerate(zip(clients, parts, strict=True))
        ]
        before = await nodes.all_counters()
        took_s, moved_s = await _drive(loads, nodes)
        after = await nodes.all_counters()
        agreement = await nodes.agree()
    report = make_report(wishes, loads, before, after, agreement, moved_s)
    report["sending_s"] = round(took_s, 1)
    report["signing_s"] = round(signing, 1)
    return report


async def _warm_up(clients: Sequence[NodeClient], flow: LoadFlow, nodes: Nodes) -> None:
    """Lay the resting orders out and wait for them."""
    parts = split(flow, flow.warm_up(), len(clients))
    async with trio.open_nursery() as nursery:
        for client, part in zip(clients, parts, strict=True):
            nursery.start_soon(NodeLoad(client, part, ()).run, trio.current_time())
    await nodes.settle(SETTLED)


async def _drive(loads: Sequence[NodeLoad], nodes: Nodes) -> tuple[float, float]:
    """Send everything; return how long that took and when the last order was executed."""
    async with trio.open_nursery() as followers:
        for load in loads:
            events = []
            for taker in load.takers:
                events.append(trio.Event())
                followers.start_soon(load.follow_account, taker, events[-1])
            events.append(trio.Event())
            followers.start_soon(load.follow_blocks, events[-1])
            for event in events:
                await event.wait()
        started = trio.current_time()
        async with trio.open_nursery() as senders:
            for load in loads:
                senders.start_soon(load.run, started)
        took_s = trio.current_time() - started
        moved_s = await nodes.settle(SETTLED) - started
        followers.cancel_scope.cancel()
    return took_s, moved_s


def make_report(
    wishes: Wishes,
    loads: Sequence[NodeLoad],
    before: Sequence[dict[str, float]],
    after: Sequence[dict[str, float]],
    agreement: Agreement,
    moved_s: float,
) -> dict[str, Any]:
    """Put the figures together."""
    sent, refused, ends = Counter[str](), Counter[str](), Counter[str]()
    for load in loads:
        ends.update(load.ends)
        sent.update(load.sent)
        refused.update(load.refused)
    deltas = [
        {name: now[name] - then[name] for name in now}
        for then, now in zip(before, after, strict=True)
    ]
    rows = [{name: int(delta[name]) for name in PER_NODE} for delta in deltas]
    first = rows[0]
    finality = [ms for load in loads for ms in load.finality_ms]
    stages = {
        stage: summarize([ms for load in loads for ms in load.stages_ms[stage]]) for stage in STAGES
    }
    return {
        "ops_per_action": wishes.ops,
        "accounts": wishes.accounts,
        "rate_wanted": wishes.rate,
        "seconds": wishes.seconds,
        "actions_sent": sent["actions"],
        "orders_sent": sent["orders"],
        "refused": dict(refused),
        "sealed": dict(ends),
        "orders_accepted": first["orders_accepted"],
        "orders_rejected": first["orders_rejected"],
        "fills": first["fills"],
        "executed_s": round(moved_s, 1),
        "orders_per_second": round(first["orders_accepted"] / max(moved_s, 0.001)),
        "finality_ms": summarize(finality),
        "commit_to_fill_ms": stages.pop("commit_to_fill"),
        "sealed_stages_ms": stages,
        "late_s": round(max(load.late_s for load in loads), 2),
        "nodes": rows,
        "cpu_s": [round(delta["cpu_s"], 1) for delta in deltas],
        "generator_cpu_s": round(time.process_time(), 1),
        "rss_mb": [round(count["rss_bytes"] / 2**20) for count in after],
        "same_fills": all(row["fills"] == first["fills"] for row in rows),
        "same_orders": all(row["orders_accepted"] == first["orders_accepted"] for row in rows),
        "all_verified": all(row["verified_signatures"] >= sent["actions"] for row in rows),
        "same_root": agreement.are_equal,
        "height": agreement.executed_height,
        "state_root": agreement.state_root,
    }


def summarize(values: list[int]) -> dict[str, int]:
    """Return median, 95th percentile, maximum and number."""
    if not values:
        return {"median": 0, "p95": 0, "max": 0, "count": 0}
    values = sorted(values)
    return {
        "median": int(statistics.median(values)),
        "p95": values[min(len(values) - 1, len(values) * 95 // 100)],
        "max": values[-1],
        "count": len(values),
    }


def is_good(report: dict[str, Any]) -> bool:
    """Tell whether all nodes did the same, and each did its own checking."""
    return all(report[name] for name in ("same_fills", "same_orders", "all_verified", "same_root"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--folder", type=Path, default=Path(".devnet"))
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=2_100.0, help="orders per second")
    parser.add_argument("--ops", type=int, default=1, help="orders per action, at most 60")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    folder = Folder(given.folder)
    record = folder.load()
    ports = PortBlock(base=record.port_base)
    wishes = Wishes(
        accounts=given.accounts,
        seconds=given.seconds,
        rate=given.rate,
        ops=given.ops,
        seed=given.seed,
    )
    treasury = deposit(folder, wishes.accounts)
    urls = [f"http://127.0.0.1:{ports.api(index)}" for index in range(record.validators)]
    markets = folder.network().exchange.markets
    report = trio.run(run_load, urls, markets, wishes, treasury)
    print(json.dumps(report), flush=True)
    return 0 if is_good(report) else 1


if __name__ == "__main__":
    sys.exit(main())
