"""Compare this node's chain with what a vault has accepted.

Rule: whoever comes back after a long time believes certificates of committees whose members have
left with their stakes long ago; only what the vault accepted while they were bonded tells such a
history from a made-up one. So every accepted block is looked for in the own chain.
Spec: docs/spec/consensus.md (Old keys). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from contracts.settlement_types import VaultStatus
from node.problems import Problems

log = logging.getLogger("omnibazaar.settlement")


class HistoryCheck:
    """Looks at each newly accepted block once; after one that contradicts mine
    this node is not ready.
    """

    def __init__(
        self,
        chain_id: int,
        *,
        epoch_heights: int,
        read_hash: Callable[[int], Awaitable[bytes | None]],
        problems: Problems,
    ) -> None:
        self._code = f"EVM012-{chain_id}"
        self._epoch_heights = epoch_heights
        self._read_hash = read_hash
        self._problems = problems
        self._agreed_height = 0

    async def compare(self, status: VaultStatus) -> None:
        """Raise the problem when the vault accepted another block than mine of that height."""
        height = status.block_height
        if height == self._agreed_height or self._is_border(height):
            return  # of a border the vault may have been shown a seal, which shares its height
        mine = await self._read_hash(height)
        if mine is None:
            return  # not final here yet, or older than what is kept
        if mine == status.block_hash:
            self._agreed_height = height
            self._problems.clear(self._code)
            return
        if not self._problems.is_open(self._code):
            log.error(
                "the vault accepted block %s at height %d, here it is %s",
                status.block_hash.hex(),
                height,
                mine.hex(),
            )
        self._problems.set(
            self._code,
            f"the vault accepted another block of height {height} than this node holds",
            fix="believe neither; compare with other validators, then fetch the state anew",
            stops_duties=True,
        )

    def _is_border(self, height: int) -> bool:
        return self._epoch_heights > 0 and height % self._epoch_heights == 0
