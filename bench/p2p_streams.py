"""Measure n-to-n votes: our lanes against GossipSub and against plain trio TCP, in one run.

Rule: one process per node, the clock that all processes share, CPU of all processes together. The
figures are ratios of one run on one machine; absolute ones move with the load of the machine.

    python -m bench.p2p_streams [--nodes 4] [--rate 20] [--seconds 5] [--bytes 200]

Spec: docs/spec/p2p.md §11 (Figures).
Deviations: none.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import trio

from p2p.config import KnownValidator, NetworkConfig
from p2p.gossip import GossipMessage
from p2p.identity import peer_id_from_seed
from p2p.lanes import Lane
from p2p.network import Network
from primitives.secp256k1 import PrivateKey

KINDS = ("lanes", "gossip", "tcp")
_STAMP_BYTES = 8
_SETTLE_S = 1.0


class Plan(NamedTuple):
    """One measurement."""

    kind: str
    node: int
    ports: list[int]
    rate: int
    seconds: int
    size: int


class Tally:
    """What one node received."""

    def __init__(self) -> None:
        self.latencies_us: list[int] = []

    def on_vote(self, data: bytes) -> None:
        sent_ns = int.from_bytes(data[:_STAMP_BYTES], "big")
        self.latencies_us.append((time.monotonic_ns() - sent_ns) // 1000)


async def measure(plan: Plan, send: Callable[[bytes], Awaitable[None]], tally: Tally) -> None:
    """Send at the rate of the plan, then print what was received and the CPU it took."""
    print("ready", flush=True)
    await trio.to_thread.run_sync(sys.stdin.readline)
    cpu_before, started = time.process_time_ns(), trio.current_time()
    for i in range(plan.rate * plan.seconds):
        await trio.sleep_until(started + (i + plan.node / len(plan.ports)) / plan.rate)
        stamp = time.monotonic_ns().to_bytes(_STAMP_BYTES, "big")
        await send(stamp.ljust(plan.size, b"v"))
    await trio.sleep(_SETTLE_S)
    cpu_ns = time.process_time_ns() - cpu_before
    print(json.dumps({"latencies_us": tally.latencies_us, "cpu_ns": cpu_ns}), flush=True)


def build_network(plan: Plan) -> Network:
    """Return node `plan.node` of a network whose keys all processes derive alike."""
    n = len(plan.ports)
    seeds = [bytes([i + 1]) * 32 for i in range(n)]
    keys = [PrivateKey(bytes([i + 101]) * 32) for i in range(n)]
    addresses = [f"/ip4/127.0.0.1/tcp/{port}" for port in plan.ports]
    validators = tuple(
        KnownValidator(address=k.address, peer_id=peer_id_from_seed(s), multiaddrs=(a,))
        for k, s, a in zip(keys, seeds, addresses, strict=True)
    )
    config = NetworkConfig(
        network_id=b"bench".ljust(32, b"\0"),
        seed=seeds[plan.node],
        signer=keys[plan.node],
        validators=validators,
        listen=(addresses[plan.node],),
    )
    return Network(config)


async def run_libp2p(plan: Plan) -> None:
    """Measure the lanes or GossipSub."""
    tally = Tally()

    async def on_gossip(message: GossipMessage) -> None:
        tally.on_vote(message.data)

    async def publish(vote: bytes) -> None:
        await network.publish("votes", vote)

    async def broadcast(vote: bytes) -> None:
        network.broadcast(Lane.VOTE, vote)

    async def collect() -> None:
        async for inbound in network.inbox(Lane.VOTE):
            tally.on_vote(inbound.data)

    others = len(plan.ports) - 1
    async with build_network(plan) as network, trio.open_nursery() as nursery:
        nursery.start_soon(collect)
        if plan.kind == "gossip":
            await network.subscribe("votes", on_gossip)
        for _ in range(600):
            heard = len(network.gossip.peers("votes")) if plan.kind == "gossip" else others
            if heard == others and all(p.sending and p.receiving for p in network.peers()):
                break
            await trio.sleep(0.05)
        await measure(plan, publish if plan.kind == "gossip" else broadcast, tally)
        nursery.cancel_scope.cancel()


async def run_tcp(plan: Plan) -> None:
    """Measure the least that n-to-n votes can cost with trio: length-prefixed frames on TCP."""
    tally = Tally()
    streams: list[trio.SocketStream] = []

    async def serve(stream: trio.SocketStream) -> None:
        buffer = bytearray()
        while data := await stream.receive_some(1 << 18):
            buffer += data
            while len(buffer) >= plan.size:
                tally.on_vote(bytes(buffer[: plan.size]))
                del buffer[: plan.size]

    async def send(vote: bytes) -> None:
        for stream in streams:
            await stream.send_all(vote)

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_tcp, serve, plan.ports[plan.node])
        for i, port in enumerate(plan.ports):
            while i != plan.node:
                try:
                    streams.append(await trio.open_tcp_stream("127.0.0.1", port))
                    break
                except OSError:
                    await trio.sleep(0.05)
        await measure(plan, send, tally)
        nursery.cancel_scope.cancel()


def run_kind(kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all nodes of one kind; return its figures."""
    ports = _free_ports(arguments.nodes)
    children = []
    for node in range(arguments.nodes):
        plan = Plan(kind, node, ports, arguments.rate, arguments.seconds, arguments.bytes)
        command = [sys.executable, "-m", "bench.p2p_streams", "--child", json.dumps(plan)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        children.append(subprocess.Popen(command, **pipes))
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n", "a node did not start"
    time.sleep(_SETTLE_S)
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    results = [json.loads(child.communicate()[0]) for child in children]
    latencies = sorted(x for result in results for x in result["latencies_us"])
    broadcasts = arguments.nodes * arguments.rate * arguments.seconds
    copies = arguments.nodes if kind == "gossip" else arguments.nodes - 1  # gossip tells us too
    return {
        "kind": kind,
        "delivered": len(latencies) / (broadcasts * copies),
        "p50_ms": statistics.median(latencies) / 1000,
        "p99_ms": latencies[len(latencies) * 99 // 100] / 1000,
        "cpu_ms_per_broadcast": sum(r["cpu_ns"] for r in results) / broadcasts / 1e6,
    }


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def main() -> int:
    """Print one JSON line per kind and one with the ratios."""
    parser = argparse.ArgumentParser(description="n-to-n votes: lanes, gossip, plain TCP")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--rate", type=int, default=20, help="broadcasts per second and node")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--bytes", type=int, default=200)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        plan = Plan(*json.loads(arguments.child))
        trio.run(run_tcp if plan.kind == "tcp" else run_libp2p, plan)
        return 0
    figures = {}
    for kind in KINDS:
        figures[kind] = run_kind(kind, arguments)
        print(json.dumps(figures[kind]))
    lanes, gossip, tcp = (figures[kind]["cpu_ms_per_broadcast"] for kind in KINDS)
    ratios = {
        "gossip_over_lanes": round(gossip / lanes, 2),
        "lanes_over_tcp": round(lanes / tcp, 2),
    }
    print(json.dumps({"cpu_ratios": ratios}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
