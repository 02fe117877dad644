"""A network of Bitswap streams in memory, with the real interface and a few faults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from trio.testing import memory_stream_pair

from storage.bitswap import Bitswap
from tests.storage.memory_blocks import MemoryBlocks


class MemoryStream:
    def __init__(self, stream: trio.StapledStream) -> None:
        self._stream = stream

    async def read(self, n: int) -> bytes:
        return bytes(await self._stream.receive_some(n))

    async def write(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def close(self) -> None:
        await self._stream.aclose()

    async def reset(self) -> None:
        await self._stream.aclose()


class MemoryNetwork:
    """Peers are strings. `serve` handlers run in the network's nursery."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.handlers: dict[str, Callable[[str, MemoryStream], Awaitable[None]]] = {}
        self.opened: list[tuple[str, str]] = []

    def join(self, name: str) -> MemoryStreams:
        return MemoryStreams(self, name)

    async def add(self, name: str, blocks=(), **options) -> Bitswap:
        """Run a Bitswap node and return it."""
        node = Bitswap(self.join(name), MemoryBlocks(dict(blocks)), **options)
        await self.nursery.start(node.run)
        return node


class MemoryStreams:
    def __init__(self, network: MemoryNetwork, name: str) -> None:
        self._network = network
        self._name = name

    async def open(self, peer: str) -> MemoryStream:
        await trio.lowlevel.checkpoint()
        handler = self._network.handlers.get(peer)
        if handler is None:
            raise OSError(f"{peer} cannot be reached")
        self._network.opened.append((self._name, peer))
        ours, theirs = memory_stream_pair()
        self._network.nursery.start_soon(handler, self._name, MemoryStream(theirs))
        return MemoryStream(ours)

    def peers(self) -> list[str]:
        return [name for name in self._network.handlers if name != self._name]

    def serve(self, handler: Callable[[str, MemoryStream], Awaitable[None]]) -> None:
        self._network.handlers[self._name] = handler

    def stop(self) -> None:
        self._network.handlers.pop(self._name, None)
