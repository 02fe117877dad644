"""A block source in memory, with the real interface."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from primitives.cid import Cid


class MemoryBlocks:
    def __init__(self, blocks: Mapping[Cid, bytes] | None = None) -> None:
        self.blocks = dict(blocks or {})

    async def get(self, cid: Cid) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return self.blocks.get(cid)

    async def size(self, cid: Cid) -> int | None:
        await trio.lowlevel.checkpoint()
        block = self.blocks.get(cid)
        return None if block is None else len(block)
