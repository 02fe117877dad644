"""Bound what a peer can make the muxer keep: bytes that wait in streams, and streams.

Rule: a connection that sends beyond the window it was given, fills more than its share, or leaves
more streams half closed than anybody needs, is closed. What a stream got is never cut silently.

py-libp2p 0.8.1 only logs a broken window, and the buffer of a stream that nobody reads (an answered
identify, a stream whose handler is busy) grows as long as the peer writes.

Spec: docs/spec/p2p.md §7 (Limits), §8 (The library).
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from libp2p.stream_muxer.yamux import yamux

from p2p.limits import (
    CONNECTION_BUFFER_BYTES_MAX,
    MUXED_STREAMS_MAX,
    STREAM_BUFFER_BYTES_MAX,
)


class Buffer(bytearray):
    """What one stream has received and nobody has read."""

    streams: Buffers

    def extend(self, data: Any) -> None:
        """Add bytes; the connection is closed when they are too many."""
        super().extend(data)
        if len(self) > STREAM_BUFFER_BYTES_MAX or self.streams.size_bytes > self.streams.bytes_max:
            self.streams.overflow()


class Buffers(dict[int, bytearray]):
    """The buffers of all streams of one connection, by stream."""

    def __init__(self, overflow: Callable[[], object]) -> None:
        super().__init__()
        self.overflow = overflow
        self.bytes_max = CONNECTION_BUFFER_BYTES_MAX

    @property
    def size_bytes(self) -> int:
        """Bytes that wait in all streams."""
        return sum(map(len, self.values()))

    def __setitem__(self, stream: int, data: bytearray) -> None:
        buffer = Buffer(data)
        buffer.streams = self
        super().__setitem__(stream, buffer)
        if len(self) > MUXED_STREAMS_MAX:
            self.overflow()


def bound_buffers(close: Callable[[Any], object]) -> None:
    """Bound the buffers of every connection made from now on; `close(muxed)` ends one."""
    begin = yamux.Yamux.__init__
    read_body = yamux.Yamux._read_data_body

    def init(self: Any, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        self.stream_buffers = Buffers(lambda: close(self))

    async def read(self: Any, length: int) -> Any:
        if length > STREAM_BUFFER_BYTES_MAX:
            close(self)
            raise trio.TooSlowError  # what the read loop takes for the end of the connection
        return await read_body(self, length)

    yamux.Yamux.__init__ = init
    yamux.Yamux._read_data_body = read


def allow_bytes(muxed: Any, bytes_max: int) -> None:
    """Let more bytes wait on the connection of a peer that is known."""
    buffers = getattr(muxed, "stream_buffers", None)
    if isinstance(buffers, Buffers):
        buffers.bytes_max = bytes_max
