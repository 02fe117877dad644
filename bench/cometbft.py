"""Measure CometBFT's local network of four and ours, one after the other, and print ratios.

python -m bench.cometbft [--version v0.38.17] [--rate 4000] [--seconds 20] [--folder DIR]

Rule: same machine, same number of validators, same least pause between blocks, transactions
signed before the clock starts and sent to all four nodes over WebSocket; proposal → final is taken
on every node from its own events. What is not comparable is printed. Exits 3 without Go.
Spec: docs/reference/benchmarks.md (Beside CometBFT).
Deviations: CometBFT's times are those at which a client on the same machine hears of the events.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import trio
from trio_websocket import WebSocketConnection, open_websocket_url

from bench.cometbft_network import NODES, CannotBuild, build, run_network
from bench.devnets import run_devnet
from bench.load import summarize
from bench.rows import run_json
from devnet.plan import TIMERS
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

LIGHT_RATE: Final = 20.0
PATIENCE_S: Final = 60.0
PAYLOAD_BYTES: Final = 120  # about one order of ours
TICK_S: Final = 0.02
NOT_COMPARABLE: Final = (
    "kvstore verifies no signature and keeps a map; our nodes verify every one, match orders, and"
    " hash accounts into a state root",
    "CometBFT is compiled Go on all cores; a node of ours is one Python process",
    "ours counts orders (one per action) accepted by the ledger; CometBFT counts committed"
    " transactions of about the same size",
    "CometBFT looks for news for its peers every peer_gossip_sleep_duration (--gossip-ms; 100 by"
    " default), which is most of its finality here; ours sends at once",
    "CometBFT's proposal → final is heard by a client, ours is noted inside the node",
)


class Watch:
    """When each node saw a proposal complete and when it committed."""

    def __init__(self) -> None:
        self.proposed: dict[tuple[int, int], float] = {}
        self.finality_ms: list[int] = []
        self.committed: dict[int, float] = {}  # height → first heard

    def note(self, node: int, event: dict[str, Any]) -> None:
        value = event.get("value", {})
        height = int(value.get("height", 0))
        if event.get("type", "").endswith("CompleteProposal"):
            self.proposed.setdefault((node, height), trio.current_time())
        elif value.get("step") == "RoundStepCommit":
            now = trio.current_time()
            self.committed.setdefault(height, now)
            seen = self.proposed.pop((node, height), None)
            if seen is not None:
                self.finality_ms.append(round((now - seen) * 1_000))


async def follow(url: str, node: int, watch: Watch, ready: trio.Event) -> None:
    """Hear a node's events until cancelled."""
    async with open_websocket_url(url, max_message_size=1 << 26) as socket:
        for number, name in enumerate(("CompleteProposal", "NewRoundStep")):
            await call(socket, number, "subscribe", {"query": f"tm.event='{name}'"})
        ready.set()
        while True:
            answer = json.loads(await socket.get_message())
            watch.note(node, answer.get("result", {}).get("data", {}))


async def call(socket: WebSocketConnection, number: int, method: str, params: object) -> None:
    """Send one call; its answer is read elsewhere."""
    request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    await socket.send_message(json.dumps(request))


async def send(url: str, transactions: Sequence[str], rate: float) -> None:
    """Send a node's share at an even pace; answers are read and thrown away."""
    async with open_websocket_url(url) as socket, trio.open_nursery() as nursery:
        nursery.start_soon(drain, socket)
        started = trio.current_time()
        for number, transaction in enumerate(transactions):
            await call(socket, number, "broadcast_tx_async", {"tx": transaction})
            ahead = started + (number + 1) / rate - trio.current_time()
            if ahead > TICK_S:
                await trio.sleep(ahead)
        nursery.cancel_scope.cancel()


async def drain(socket: WebSocketConnection) -> None:
    """Read answers."""
    while True:
        await socket.get_message()


def sign_transactions(count: int) -> list[str]:
    """Return signed transactions in the kvstore's form, base64 for the RPC."""
    key = PrivateKey.generate()
    made = []
    for number in range(count):
        payload = number.to_bytes(8, "big") + os.urandom(PAYLOAD_BYTES - 8)
        text = f"{payload.hex()}={key.sign(keccak256(payload)).hex()}"
        made.append(base64.b64encode(text.encode()).decode())
    return made


async def count_committed(
    client: httpx.AsyncClient, port: int, low: int, high: int
) -> dict[int, int]:
    """Return the number of transactions in each block of a range."""
    found: dict[int, int] = {}
    while high >= low:
        url = f"http://127.0.0.1:{port}/blockchain?minHeight={low}&maxHeight={high}"
        metas = (await client.get(url)).json()["result"]["block_metas"]
        found.update((int(m["header"]["height"]), int(m["num_txs"])) for m in metas)
        high = min(found) - 1 if metas else 0
    return found


async def read_height(client: httpx.AsyncClient, port: int) -> int:
    """Return a node's newest height, 0 while it does not answer."""
    try:
        answer = (await client.get(f"http://127.0.0.1:{port}/status")).json()
    except (httpx.HTTPError, ValueError):
        return 0
    return int(answer["result"]["sync_info"]["latest_block_height"])


async def load_cometbft(ports: Sequence[int], rate: float, seconds: float) -> dict[str, Any]:
    """Send for a while, wait for the last commit, and count."""
    transactions = sign_transactions(round(rate * seconds))
    watch = Watch()
    urls = [f"ws://127.0.0.1:{port}/websocket" for port in ports]
    async with httpx.AsyncClient(timeout=10.0, trust_env=False) as client:
        await wait_running(client, ports)
        first = await read_height(client, ports[0]) + 1
        async with trio.open_nursery() as followers:
            for node, url in enumerate(urls):
                ready = trio.Event()
                followers.start_soon(follow, url, node, watch, ready)
                await ready.wait()
            started = trio.current_time()
            async with trio.open_nursery() as senders:
                for node, url in enumerate(urls):
                    senders.start_soon(send, url, transactions[node::NODES], rate / NODES)
            sent_s = trio.current_time() - started
            counts = await wait_committed(client, ports[0], first, len(transactions))
            followers.cancel_scope.cancel()
    last = max((height for height, count in counts.items() if count), default=first)
    took_s = watch.committed.get(last, trio.current_time()) - started
    return {
        "sent": len(transactions),
        "committed": sum(counts.values()),
        "sending_s": round(sent_s, 1),
        "committed_s": round(took_s, 1),
        "per_second": round(sum(counts.values()) / took_s),
        "finality_ms": summarize(watch.finality_ms),
    }


async def wait_running(client: httpx.AsyncClient, ports: Sequence[int]) -> None:
    """Wait until every node has committed. Raises TooSlowError."""
    with trio.fail_after(PATIENCE_S):
        for port in ports:
            while await read_height(client, port) < 2:  # noqa: ASYNC110  another process
                await trio.sleep(0.2)


async def wait_committed(
    client: httpx.AsyncClient, port: int, first: int, wanted: int
) -> dict[int, int]:
    """Return transactions by height once all are committed or patience is over."""
    counts: dict[int, int] = {}
    with trio.move_on_after(PATIENCE_S):
        while sum(counts.values()) < wanted:
            await trio.sleep(0.5)
            low = max(counts, default=first - 1) + 1
            high = await read_height(client, port)
            if high >= low:
                counts |= await count_committed(client, port, low, high)
    return counts


def measure_cometbft(
    program: Path, rate: float, seconds: float, gossip_ms: int
) -> list[dict[str, Any]]:
    """Return figures at light load and at the wanted rate, each on a new network."""
    rows = []
    for wanted in (LIGHT_RATE, rate):
        with (
            tempfile.TemporaryDirectory(prefix="cometbft-bench-") as home,
            run_network(program, Path(home), TIMERS.gap_ms, gossip_ms) as ports,
        ):
            rows.append(trio.run(load_cometbft, ports, wanted, seconds))
    return rows


def measure_ours(rate: float, seconds: float) -> list[dict[str, Any]]:
    """Return the same of a devnet of four."""
    rows = []
    for wanted in (LIGHT_RATE, rate):
        with run_devnet("--traders", "0") as devnet:
            devnet.wait_up()
            command = f"bench.load --ops 1 --rate {wanted} --seconds {seconds}"
            code, found = run_json(f"{command} --folder {devnet.folder.root}")
            assert code == 0, "the nodes of the devnet differ"
            rows.append({**found, "per_second": found["orders_per_second"]})
    return rows


def compare(theirs: Sequence[dict[str, Any]], ours: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the ratios: above 1 means that CometBFT is better."""
    return {
        "finality_light": ratio(
            ours[0]["finality_ms"]["median"], theirs[0]["finality_ms"]["median"]
        ),
        "finality_loaded": ratio(
            ours[1]["finality_ms"]["median"], theirs[1]["finality_ms"]["median"]
        ),
        "throughput": ratio(theirs[1]["per_second"], ours[1]["per_second"]),
    }


def ratio(one: float, other: float) -> float:
    """Return a quotient with two digits."""
    return round(one / max(other, 0.001), 2)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.cometbft")
    parser.add_argument("--version", default="v0.38.17")
    parser.add_argument("--rate", type=float, default=4_000.0, help="transactions per second")
    parser.add_argument("--our-rate", type=float, default=2_100.0, help="orders per second")
    parser.add_argument("--gossip-ms", type=int, default=100, help="CometBFT's default is 100")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "cometbft")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    try:
        program = build(given.version, given.folder)
    except CannotBuild as error:
        print(error, file=sys.stderr)
        return 3
    theirs = measure_cometbft(program, given.rate, given.seconds, given.gossip_ms)
    ours = measure_ours(given.our_rate, given.seconds)
    for name, rows in (("CometBFT", theirs), ("ours", ours)):
        for row, load in zip(rows, ("light", "loaded"), strict=True):
            found = row["finality_ms"]
            print(
                f"{name:9} {load:7} {row['per_second']:6}/s   proposal → final"
                f" {found['median']} ms (p95 {found['p95']}, {found['count']} samples)"
            )
    ratios = compare(theirs, ours)
    print(f"CometBFT is better by (below 1: ours is): {ratios}")
    for line in NOT_COMPARABLE:
        print(f"not comparable: {line}")
    print(json.dumps({"date": time.strftime("%Y-%m-%d"), "cometbft": theirs, "ratios": ratios}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
