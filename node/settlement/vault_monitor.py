"""Know what a vault has accepted: checkpoints, fee splits, totals.

Rule: everything shown as settled was read from the EVM chain, never inferred from what was sent.
Spec: docs/spec/settlement.md §3-§5; docs/reference/api.md (Settlement). Deviations: none.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from contracts.rpc_pool import RpcPool
from contracts.settlement_client import SettlementClient
from contracts.settlement_types import AcceptedCheckpoint, VaultStatus
from contracts.succession import NONE
from node.limits import EVM_SCAN_BLOCKS_MAX, SETTLED_KEPT_MAX
from node.network_file import Chain
from node.problems import Problems
from node.settlement.escape_archive import ArchiveKeeper
from node.settlement.history_check import HistoryCheck
from primitives.errors import NodeError

log = logging.getLogger("omnibazaar.settlement")
T = TypeVar("T")


@dataclass(slots=True)
class SettledFees:
    """Cumulative fees of one token as the distributor has split them, atoms."""

    total: int = 0
    validators: int = 0
    company: int = 0
    development: int = 0


@dataclass(slots=True)
class VaultMonitor:
    """What this node has seen of one vault."""

    chain: Chain
    client: SettlementClient
    limiter: trio.CapacityLimiter
    poll_ms: int
    rpc: RpcPool
    problems: Problems
    status: VaultStatus | None = None
    announced: bytes = NONE  # the next vault, as the committee has announced on chain
    fees: dict[bytes, SettledFees] = field(default_factory=dict)  # by token
    accepted: deque[AcceptedCheckpoint] = field(
        default_factory=lambda: deque(maxlen=SETTLED_KEPT_MAX)
    )
    archive: ArchiveKeeper | None = None
    history: HistoryCheck | None = None
    is_online: bool = False
    head: int = 0  # newest EVM block
    _seen_block: int = -1

    @property
    def place(self) -> tuple[int, bytes]:
        """Chain and vault."""
        return self.chain.chain_id, self.chain.vault_bytes

    def accepted_height(self) -> int:
        """Return the executed height of the newest confirmed checkpoint, 0 before the first."""
        return self.accepted[-1].executed_height if self.accepted else 0

    async def run(self) -> None:
        """Look until cancelled."""
        self._seen_block = self.chain.first_block - 1
        while True:
            try:
                await self._look()
                self.is_online = True
            except NodeError as error:
                self.is_online = False
                log.debug("vault %d: %s", self.chain.chain_id, error)
            self._report_endpoints()
            await trio.sleep(self.poll_ms / 1_000)

    def _report_endpoints(self) -> None:
        """Name the endpoints that are not to be relied on."""
        code = f"EVM005-{self.chain.chain_id}"
        doubtful = self.rpc.find_doubtful()
        if not doubtful:
            self.problems.clear(code)
            return
        words = "; ".join(f"{one.name}: {one.last_problem}" for one in doubtful)
        self.problems.set(
            code,
            f"RPC endpoints of the EVM chain {self.chain.chain_id} cannot be relied on: {words}",
            fix="replace them in evm.rpc_urls; the others are used meanwhile",
        )

    async def _look(self) -> None:
        head, _ = await self._call(self.client.head)
        confirmed = head - self.chain.confirmations + 1
        has_news = False
        while self._seen_block < confirmed:
            first = self._seen_block + 1
            last = min(confirmed, first + EVM_SCAN_BLOCKS_MAX - 1)
            splits = await self._call(self.client.fee_splits, first, last)
            accepted = await self._call(self.client.checkpoints_in, first, last)
            for split in splits:
                fees = self.fees.setdefault(split.token, SettledFees())
                fees.total += split.total
                fees.validators += split.validators
                fees.company += split.company
                fees.development += split.development
            self.accepted.extend(accepted)
            self._seen_block = last
            has_news = has_news or bool(accepted)
        self.head = head
        if has_news or self.status is None:
            self.status = await self._call(self.client.status)
            self.announced, _ = await self._call(self.client.succession)
        if self.history is not None and self.status.executed_height:
            await self.history.compare(self.status)
        if self.archive is not None and self.status.executed_height:
            await self.archive.keep(self.status.executed_height, self.status.state_root)

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(
            function, *arguments, limiter=self.limiter, abandon_on_cancel=True
        )
