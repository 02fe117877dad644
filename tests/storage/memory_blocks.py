"""A block source in memory, with the real interface."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from primitives.cid import DAG_CBOR, DAG_PB, RAW, Cid


class MemoryBlocks:
    def __init__(self, blocks: Mapping[Cid, bytes] | None = None) -> None:
        self.blocks = dict(blocks or {})

    async def get(self, cid: Cid) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return self._find(cid)

    async def size(self, cid: Cid) -> int | None:
        await trio.lowlevel.checkpoint()
        block = self._find(cid)
        return None if block is None else len(block)

    def _find(self, cid: Cid) -> bytes | None:
        """Look under every codec, as the block store does."""
        for codec in (cid.codec, RAW, DAG_PB, DAG_CBOR):
            block = self.blocks.get(Cid(codec, cid.digest))
            if block is not None:
                return block
        return None
