"""Walk a DAG depth first, as CAR exports and pins want it.

Rule: a block comes before its children, children in the order of their links, each block once; the
walk is bounded in blocks, bytes and depth.
Spec: docs/spec/storage.md#gateway
Deviations: none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from primitives.cid import Cid
from primitives.errors import LimitExceeded, TransientError
from storage import limits
from storage.block_source import BlockSource
from storage.dag import find_links


async def walk(
    source: BlockSource,
    root: Cid,
    *,
    blocks_max: int = limits.CAR_BLOCKS_MAX,
    bytes_max: int = limits.CAR_BYTES_MAX,
) -> AsyncIterator[tuple[Cid, bytes]]:
    """Yield (cid, block) of the whole DAG.

    Raises TransientError when a block is not here, LimitExceeded beyond a bound, InvalidMessage on
    a block that is not what its codec says.
    """
    seen: set[Cid] = set()
    waiting: list[tuple[Cid, int]] = [(root, 0)]
    total = 0
    while waiting:
        cid, depth = waiting.pop()
        if cid in seen:
            continue
        block = await source.get(cid)
        if block is None:
            raise TransientError(f"block {cid} is not here")
        seen.add(cid)
        total += len(block)
        if len(seen) > blocks_max or total > bytes_max or depth > limits.DAG_DEPTH_MAX:
            raise LimitExceeded(f"the DAG of {root} is larger than one answer may be")
        yield cid, block
        waiting.extend((link, depth + 1) for link in reversed(find_links(cid, block)))
        if len(waiting) > blocks_max + limits.DAG_LINKS_MAX:
            raise LimitExceeded(f"the DAG of {root} has too many links")
