"""Read and write messages on one libp2p stream, never waiting for a peer longer than allowed.

Rule: every read, write and open has a time limit. After a write that ran out of time the connection
is closed, because half a Noise frame may be on the wire; so is one on which opening a stream hangs.

Spec: docs/spec/p2p.md §3 (Frames), §8 (The library).
Deviations: none.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import trio
from libp2p.custom_types import TProtocol

from p2p import guards
from p2p.containing import attempt
from p2p.frames import Deframer, encode_message
from p2p.limits import READ_BYTES, WRITE_BYTES, WRITE_S_MAX


class MessageReader:
    """The messages of one stream, in order."""

    __slots__ = ("_deframer", "_ready", "_stream", "bytes_total")

    def __init__(self, stream: Any, *, bytes_max: int) -> None:
        self._stream = stream
        self._deframer = Deframer(bytes_max=bytes_max)
        self._ready: deque[bytes] = deque()
        self.bytes_total = 0

    async def read_some(self) -> list[bytes]:
        """Wait for bytes; return the messages they complete (none for a heartbeat).

        Raises EOFError at the end, PeerError for what is no frame, and what libp2p raises.
        """
        if self._ready:
            messages = list(self._ready)
            self._ready.clear()
            return messages
        data = await self._stream.read(READ_BYTES)
        if not data:
            raise EOFError("the stream ended")
        self.bytes_total += len(data)
        return self._deframer.feed(data)

    async def read_one(self) -> bytes:
        """Wait for one message; what came with it stays for the next call."""
        while not self._ready:
            self._ready.extend(await self.read_some())
        return self._ready.popleft()


async def write_all(stream: Any, data: bytes) -> None:
    """Write in pieces, each within WRITE_S_MAX. Raises trio.TooSlowError and what libp2p raises."""
    for start in range(0, len(data), WRITE_BYTES):
        piece = data if len(data) <= WRITE_BYTES else data[start : start + WRITE_BYTES]
        with trio.fail_after(WRITE_S_MAX):
            await stream.write(piece)


async def write_message(stream: Any, body: bytes, *, bytes_max: int) -> None:
    """Write one message with its frames."""
    await write_all(stream, encode_message(body, bytes_max=bytes_max))


async def open_stream(host: Any, peer: Any, protocol: str, *, limit_s: float) -> Any:
    """Open a stream to a connected peer. Raises what libp2p raises, also when time runs out.

    Cancelling `new_stream` does not end it on a stalled peer: its clean-up is shielded and writes.
    Its sockets are closed instead, which does.
    """
    swarm = host.get_network()

    async def close_late() -> None:
        await trio.sleep(limit_s)
        guards.force_close(swarm, peer)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_late)
        stream, fault = await attempt(host.new_stream, peer, [TProtocol(protocol)])
        nursery.cancel_scope.cancel()
    if fault is not None:
        raise fault
    return stream


async def reset(stream: Any) -> None:
    """Reset a stream; if the peer does not even read that, close its connection."""
    with trio.move_on_after(1) as scope:
        await attempt(stream.reset)
    if scope.cancelled_caught:
        guards.close_connection(stream.muxed_conn)
