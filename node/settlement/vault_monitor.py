"""Know what a vault has accepted: checkpoints, fee splits, totals.

Rule: everything shown as settled was read from the EVM chain, never inferred from what was sent;
what a re-organisation undoes is forgotten.
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
from primitives.errors import NodeError, TransientError

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
    _seen_hash: bytes = b""
    _status_hash: bytes = b""  # of the block that the status was read at
    _newest: tuple[int, bytes] = (-1, b"")

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
        others = self.rpc.count_sound()
        words = "; ".join(f"{one.name}: {one.last_problem}" for one in doubtful)
        self.problems.set(
            code,
            f"RPC endpoints of the EVM chain {self.chain.chain_id} cannot be relied on: {words}",
            fix="replace them in evm.rpc_urls; "
            + (
                "the others are used meanwhile"
                if others
                else "no other one serves this chain: what concerns it waits"
            ),
        )

    async def _look(self) -> None:
        head = await self._call(self.client.head)
        if head != self._newest:
            has_news = await self._forget_undone()
            has_news |= await self._scan(head[0] - self.chain.confirmations + 1)
            if has_news or self.status is None:
                await self._read_status()
            self.head, self._newest = head[0], head
        if self.status is None or not self.status.executed_height:
            return
        if self.history is not None:
            await self.history.compare(self.status)
        if self.archive is not None:
            await self.archive.keep(self.status.executed_height, self.status.state_root)

    async def _forget_undone(self) -> bool:
        """Tell whether blocks that something was read from are no longer part of the chain.

        What was read from confirmed ones is then forgotten and read again. Raises TransientError
        while the chain is shorter than it was.
        """
        if not await self._is_standing(self._seen_block, self._seen_hash):
            log.warning(
                "chain %d was re-organised below %d confirmations; it is read anew",
                self.chain.chain_id,
                self.chain.confirmations,
            )
            self.fees.clear()
            self.accepted.clear()
            self._seen_block, self._seen_hash = self.chain.first_block - 1, b""
        if self.status is None:
            return False
        return not await self._is_standing(self.status.evm_block, self._status_hash)

    async def _is_standing(self, number: int, known: bytes) -> bool:
        return not known or await self._block_hash(number) == known

    async def _block_hash(self, number: int) -> bytes:
        found = await self._call(self.client.block_hash, number)
        if found is None:
            raise TransientError(f"the EVM chain is shorter than it was: block {number} is gone")
        return found

    async def _scan(self, confirmed: int) -> bool:
        """Read what is new up to a block; tell whether a checkpoint was."""
        has_news = False
        while self._seen_block < confirmed:
            first = self._seen_block + 1
            last = min(confirmed, first + EVM_SCAN_BLOCKS_MAX - 1)
            mark = await self._block_hash(last)
            splits = await self._call(self.client.fee_splits, first, last)
            accepted = await self._call(self.client.checkpoints_in, first, last)
            if await self._block_hash(last) != mark:
                raise TransientError("the EVM chain was re-organised while it was read")
            for split in splits:
                fees = self.fees.setdefault(split.token, SettledFees())
                fees.total += split.total
                fees.validators += split.validators
                fees.company += split.company
                fees.development += split.development
            self.accepted.extend(accepted)
            self._seen_block, self._seen_hash = last, mark
            has_news = has_news or bool(accepted)
        return has_news

    async def _read_status(self) -> None:
        status = await self._call(self.client.status)
        self.announced, _ = await self._call(self.client.succession)
        self._status_hash = await self._block_hash(status.evm_block)
        self.status = status

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(
            function, *arguments, limiter=self.limiter, abandon_on_cancel=True
        )
