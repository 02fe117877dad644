"""Hold the blocks above the last final one, and the newest final ones for peers that lag.

Rule: a block enters only after its body was checked against its header; what finality excluded
leaves.
Spec: docs/spec/consensus.md §8. Deviations: none.
"""

from __future__ import annotations

from collections.abc import KeysView
from dataclasses import dataclass

from consensus.block import Block, Tip
from consensus.limits import FINAL_BLOCKS_KEPT
from primitives.errors import StateDiverged


@dataclass(frozen=True, slots=True)
class Path:
    """The blocks above a final tip up to a block, or what is missing of them."""

    blocks: tuple[Block, ...]  # oldest first; the known upper part when one is missing
    missing: bytes | None


class BlockTree:
    """Blocks by hash. Final blocks stay for FINAL_BLOCKS_KEPT heights."""

    def __init__(self) -> None:
        self._open: dict[bytes, Block] = {}
        self._final: dict[bytes, Block] = {}  # in the order of their heights

    def __len__(self) -> int:
        return len(self._open) + len(self._final)

    def get(self, block_hash: bytes) -> Block | None:
        """Return a block in memory."""
        return self._open.get(block_hash) or self._final.get(block_hash)

    def open_hashes(self) -> KeysView[bytes]:
        """Return the hashes of the blocks that are not final."""
        return self._open.keys()

    def newest(self, count: int) -> tuple[Block, ...]:
        """Return the blocks added last, oldest first."""
        return (*self._final.values(), *self._open.values())[-count:]

    def add(self, block: Block) -> None:
        """Keep a block whose body was checked."""
        if block.hash not in self._final:
            self._open.setdefault(block.hash, block)

    def path(self, tip: Tip, block_hash: bytes) -> Path:
        """Walk from a block down to the final tip. Views order a chain; seal blocks share a height.

        Raises StateDiverged when the block's chain passes the tip's view without meeting it.
        """
        walked: list[Block] = []
        wanted = block_hash
        while wanted != tip.hash:
            block = self.get(wanted)
            if block is None:
                return Path(tuple(reversed(walked)), wanted)
            is_last = block.header.parent_view <= tip.view
            if block.view <= tip.view or (is_last and block.parent_hash != tip.hash):
                raise StateDiverged(
                    f"block {block_hash.hex()} does not descend from final block {tip.height}"
                )
            walked.append(block)
            wanted = block.parent_hash
        return Path(tuple(reversed(walked)), None)

    def settle(self, final: tuple[Block, ...]) -> None:
        """Move blocks to the final ones and drop everything that they exclude."""
        for block in final:
            self._final[block.hash] = block
        tip_view = final[-1].view
        for block_hash in [key for key, block in self._open.items() if block.view <= tip_view]:
            del self._open[block_hash]
        for block_hash in list(self._final)[:-FINAL_BLOCKS_KEPT]:
            del self._final[block_hash]
