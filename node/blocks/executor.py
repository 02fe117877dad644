"""Execute final blocks one after the other and hand what they did to the store and to listeners.

Rule: a block is executed when all its bundles are held and checked; executing never waits for the
disk,
and the store receives every height exactly once, in order.
Spec: docs/spec/node.md (Execution). Deviations: execution runs in the event loop, not in a thread:
the
state is then never read half-changed, and one block takes a few milliseconds (ADR 0010).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from consensus.block import Block
from consensus.certificate import Certificate
from consensus.epoch import Epoch
from exchange.actions import VerifiedAction
from exchange.outcome import Outcome
from node.bundling.bundle_pool import Bundle
from node.limits import EXECUTION_QUEUE_BLOCKS_MAX
from node.replica.ledger import Ledger
from node.replica.tape import BlockTape

log = logging.getLogger("omnibazaar.execution")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalBlock:
    """A final block on its way through execution; the certificate is None when a descendant's
    proves it."""

    block: Block
    certificate: Certificate | None
    proposed_ms: int  # when this node first saw the proposal, 0 = never
    final_ms: int
    seals: tuple[Block, ...] = ()  # of a boundary block that a seal's certificate proves
    begins: Epoch | None = None  # the epoch whose first block it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One executed block with everything the store and the API need of it."""

    final: FinalBlock
    bundles: tuple[Bundle, ...]
    actions: tuple[VerifiedAction, ...]
    outcome: Outcome
    tape: BlockTape  # its numbers
    chunks: tuple[bytes, ...]  # the snapshot at a checkpoint height, else empty


class Executor:
    """A queue of final blocks and the task that executes them."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        load_bundles: Callable[[tuple[bytes, ...]], Awaitable[tuple[Bundle, ...]]],
        on_executed: Callable[[Execution], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._load_bundles = load_bundles
        self._on_executed = on_executed
        self._put, self._take = trio.open_memory_channel[FinalBlock](EXECUTION_QUEUE_BLOCKS_MAX)
        self._overflow: list[FinalBlock] = []

    @property
    def waiting(self) -> int:
        """Final blocks not executed yet."""
        return self._put.statistics().current_buffer_used + len(self._overflow)

    def submit(self, final: FinalBlock) -> None:
        """Queue the next final block. Consensus stops catching up long before this grows large."""
        if self._overflow:
            self._overflow.append(final)
            return
        try:
            self._put.send_nowait(final)
        except trio.WouldBlock:
            self._overflow.append(final)

    async def run(self) -> None:
        """Execute until cancelled."""
        while True:
            final = await self._take.receive()
            self._refill()
            if final.block.height <= self._ledger.height:
                continue  # known from the store after a restart
            await self._execute(final)

    async def _execute(self, final: FinalBlock) -> None:
        bundles = await self._load_bundles(final.block.body.bundles)
        actions = tuple(a for bundle in bundles for a in bundle.actions or ())
        outcome = self._ledger.execute(final.block, actions)
        chunks = self._ledger.snapshot() if outcome.is_checkpoint else ()
        await self._on_executed(
            Execution(
                final=final,
                bundles=bundles,
                actions=actions,
                outcome=outcome,
                tape=self._ledger.tape.block,
                chunks=chunks,
            )
        )

    def _refill(self) -> None:
        while self._overflow:
            try:
                self._put.send_nowait(self._overflow[0])
            except trio.WouldBlock:
                return
            self._overflow.pop(0)
