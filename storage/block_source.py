"""Where Bitswap and the gateway find blocks: the block store, and the chain itself.

Rule: a source answers with bytes that match the CID, or None; it never asks the network.
Spec: docs/spec/storage.md#block-store
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import trio

from primitives.cid import DAG_CBOR, RAW, Cid
from storage import limits
from storage.block_store import BlockStore
from storage.chain_reader import ChainReader
from storage.writer import ReadPool


class BlockSource(Protocol):
    """Local blocks by CID."""

    async def get(self, cid: Cid) -> bytes | None:
        """Return the block, verified; None = not here."""
        ...

    async def size(self, cid: Cid) -> int | None:
        """Return the size in bytes of a block that is here."""
        ...


class StoredBlocks:
    """The blocks of a `BlockStore`, read in threads."""

    def __init__(self, store: BlockStore) -> None:
        self._store = store
        self._threads = trio.CapacityLimiter(limits.READERS)

    async def get(self, cid: Cid) -> bytes | None:
        return await trio.to_thread.run_sync(self._store.get, cid, limiter=self._threads)

    async def size(self, cid: Cid) -> int | None:
        return await trio.to_thread.run_sync(self._store.size, cid, limiter=self._threads)


class ChainBlocks:
    """The chain as IPFS blocks: headers as DAG-CBOR nodes, bundles as raw blocks."""

    def __init__(self, readers: ReadPool[ChainReader]) -> None:
        self._readers = readers

    async def get(self, cid: Cid) -> bytes | None:
        data = await self._readers.run(read_chain_block, cid)
        return data if data is not None and Cid.of(cid.codec, data) == cid else None

    async def size(self, cid: Cid) -> int | None:
        data = await self._readers.run(read_chain_block, cid)
        return None if data is None else len(data)


def read_chain_block(reader: ChainReader, cid: Cid) -> bytes | None:
    """Return a header's node or a bundle's bytes."""
    if cid.codec == DAG_CBOR:
        return reader.node(cid.encode())
    if cid.codec == RAW:
        bundle = reader.bundle(cid.digest)
        return None if bundle is None else bundle.data
    return None


class FirstOf:
    """Ask several sources, in order."""

    def __init__(self, sources: Sequence[BlockSource]) -> None:
        self._sources = tuple(sources)

    async def get(self, cid: Cid) -> bytes | None:
        for source in self._sources:
            data = await source.get(cid)
            if data is not None:
                return data
        return None

    async def size(self, cid: Cid) -> int | None:
        for source in self._sources:
            size_bytes = await source.size(cid)
            if size_bytes is not None:
                return size_bytes
        return None
