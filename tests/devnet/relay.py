"""Carry TCP between validators as a slow, lossy network would: `python -m tests.devnet.relay`.

One listener per ordered pair of validators; the first line on stdin says where they listen and how
bad the network is (`Weather`), the answer is the table of ports. Every later line is a list of
groups: nothing passes between two of them until they are in one again.

Rule: bytes are delayed, held and passed on in order, never changed, never dropped while a
connection lives.
Spec: docs/measurements.md (A network with delays).
Deviations: what a TCP user sees of a lost packet is a pause, so that is what is made here: a read
of n packets is lost with probability 1 - (1 - loss)^n and then comes `retransmit_ms` later, with
everything behind it. The kernel's own window, congestion control and acknowledgements do not take
part. A connection made while a pair is cut off hangs, like one whose SYN is lost.
"""

from __future__ import annotations

import math
import random
import sys
from collections import deque
from functools import partial

import msgspec
import trio

PACKET_BYTES = 1_448
READ_BYTES = 1 << 16
HELD_BYTES_MAX = 4 << 20  # of one direction; then its sender waits


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """How bad the network is."""

    ports: tuple[int, ...]  # where each validator listens
    delay_ms: float  # one way, on average
    jitter_ms: float  # evenly spread around it
    loss: float  # of packets
    retransmit_ms: float  # until a lost packet is sent again
    seed: int = 1


class Relay:
    """All pairs of validators."""

    def __init__(self, weather: Weather) -> None:
        self.weather = weather
        self.rng = random.Random(weather.seed)
        self.group = [0] * len(weather.ports)
        self.healed = trio.Event()
        self.lost = self.carried = 0

    def is_cut(self, one: int, other: int) -> bool:
        return self.group[one] != self.group[other]

    def split(self, groups: list[list[int]]) -> None:
        """Let each pair through whose ends are in one group; wake whoever waits for that."""
        for number, members in enumerate(groups):
            for member in members:
                self.group[member] = number
        self.healed.set()
        self.healed = trio.Event()

    async def wait_joined(self, one: int, other: int) -> None:
        while self.is_cut(one, other):
            await self.healed.wait()

    def draw_delay_s(self, count: int) -> float:
        """Return how long a read of so many bytes takes to arrive."""
        weather = self.weather
        wait_ms = weather.delay_ms + self.rng.uniform(-weather.jitter_ms, weather.jitter_ms)
        packets = math.ceil(count / PACKET_BYTES)
        self.carried += packets
        if self.rng.random() < 1 - (1 - weather.loss) ** packets:
            self.lost += 1
            wait_ms += weather.retransmit_ms
        return wait_ms / 1_000

    async def serve(self, one: int, other: int, stream: trio.SocketStream) -> None:
        """Carry one connection that `one` made to `other`."""
        await self.wait_joined(one, other)
        try:
            target = await trio.open_tcp_stream("127.0.0.1", self.weather.ports[other])
        except OSError:
            return
        async with target, trio.open_nursery() as nursery:
            for source, sink, ends in (
                (stream, target, (one, other)),
                (target, stream, (other, one)),
            ):
                pipe = Pipe(self, *ends)
                nursery.start_soon(pipe.read, source)
                nursery.start_soon(pipe.write, sink, nursery.cancel_scope)


class Pipe:
    """One direction of one connection."""

    def __init__(self, relay: Relay, source: int, target: int) -> None:
        self.relay = relay
        self.ends = (source, target)
        self.held: deque[tuple[float, bytes]] = deque()
        self.held_bytes = 0
        self.moved = trio.Event()

    def wake(self) -> None:
        self.moved.set()
        self.moved = trio.Event()

    async def read(self, stream: trio.SocketStream) -> None:
        """Take in what was sent until the sender closes; an empty piece is its end."""
        data = b" "
        while data:
            while self.held_bytes > HELD_BYTES_MAX:
                await self.moved.wait()
            try:
                data = await stream.receive_some(READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            self.held.append((trio.current_time() + self.relay.draw_delay_s(len(data)), data))
            self.held_bytes += len(data)
            self.wake()

    async def write(self, stream: trio.SocketStream, connection: trio.CancelScope) -> None:
        """Pass pieces on when they are due; the end of one direction ends the connection."""
        data = b" "
        while data:
            while not self.held:
                await self.moved.wait()
            due, data = self.held.popleft()
            await trio.sleep_until(due)
            if self.relay.is_cut(*self.ends):
                await self.relay.wait_joined(*self.ends)
                await trio.sleep(self.relay.draw_delay_s(len(data)))
            try:
                await stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            self.held_bytes -= len(data)
            self.wake()
        connection.cancel()


async def main() -> None:
    """Serve until stdin ends."""
    lines = trio.wrap_file(sys.stdin)
    relay = Relay(msgspec.json.decode(await lines.readline(), type=Weather))
    members = range(len(relay.weather.ports))
    async with trio.open_nursery() as nursery:
        table: list[list[int]] = [[0] * len(members) for _ in members]
        for one in members:
            for other in members:
                if one != other:
                    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
                    table[one][other] = listeners[0].socket.getsockname()[1]
                    handler = partial(relay.serve, one, other)
                    nursery.start_soon(trio.serve_listeners, handler, listeners)
        say(table)
        async for line in lines:
            relay.split(msgspec.json.decode(line, type=list[list[int]]))
            say([relay.carried, relay.lost])
        nursery.cancel_scope.cancel()


def say(answer: object) -> None:
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    trio.run(main)
