"""Carry final blocks from consensus through execution into the store, and tell everybody.

Rule: what listeners are told has been executed; what is on record was executed; the order is that
of the
heights everywhere.
Spec: docs/spec/node.md (Execution). Deviations: none.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable

import trio

from consensus.effects import Final
from consensus.epoch import Epoch
from consensus.header import hash_header
from node.blocks.executor import Execution, Executor, FinalBlock
from node.blocks.records import make_executed_record, make_final_record
from node.bundling.bundles import BundleExchange
from node.bundling.inclusion import InclusionWatch
from node.clock import NodeClock
from node.limits import (
    FINAL_BLOCKS_WAITING_MAX,
    FINAL_BLOCKS_WAITING_MIN,
    FINALITY_SAMPLES,
    POOL_AHEAD_BYTES_MAX,
    POOL_UNEXECUTED_BYTES_MAX,
    STORE_QUEUE_BLOCKS_MAX,
)
from node.problems import Problems
from node.replica.ledger import Ledger
from node.settlement.checkpointer import CheckpointProofs
from primitives.errors import OperatorError, TransientError
from storage.chain_store import ChainStore
from storage.records import ExecutedRecord, FinalRecord
from storage.snapshots import Manifest, Snapshots, make_manifest
from storage.writer import StoreWriter

log = logging.getLogger("omnibazaar.chain")

PROPOSALS_KEPT = 512  # proposals whose arrival time is remembered
RETRY_S = 1.0


class FinalBlocks:
    """The way of a final block through this node."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        bundles: BundleExchange,
        watch: InclusionWatch,
        proofs: CheckpointProofs,
        writer: StoreWriter[ChainStore],
        snapshots: Snapshots,
        snapshots_kept: int,
        clock: NodeClock,
        problems: Problems,
        stored_height: int,
        on_executed: Callable[[Execution, FinalRecord], None],
    ) -> None:
        self._ledger = ledger
        self._bundles = bundles
        self._watch = watch
        self._proofs = proofs
        self._writer = writer
        self._snapshots = snapshots
        self._snapshots_kept = snapshots_kept
        self._clock = clock
        self._problems = problems
        self._tell = on_executed
        self.executor = Executor(ledger, load_bundles=bundles.load, on_executed=self._on_executed)
        self.stored_height = stored_height
        self.finality_ms: deque[int] = deque(maxlen=FINALITY_SAMPLES)
        self._stored = trio.Event()
        self._proposed: OrderedDict[bytes, int] = OrderedDict()
        self._begun: Epoch | None = None
        self._to_store, self._store_queue = trio.open_memory_channel[
            tuple[FinalRecord, ExecutedRecord, tuple[bytes, ...], Manifest | None]
        ](STORE_QUEUE_BLOCKS_MAX)

    def on_proposal(self, header_words: bytes, now_ms: int) -> None:
        """Remember when a proposal was first seen here."""
        self._proposed.setdefault(hash_header(header_words), now_ms)
        if len(self._proposed) > PROPOSALS_KEPT:
            self._proposed.popitem(last=False)

    def on_epoch(self, epoch: Epoch) -> None:
        """Note that the next final block is the first of an epoch."""
        self._begun = epoch

    def on_final(self, final: Final) -> None:
        """Take the next final block from consensus; never waits."""
        block, now_ms = final.block, self._clock.now_ms()
        digests = block.body.bundles
        for digest in digests:
            bundle = self._bundles.pool.get(digest)
            if bundle is not None and bundle.actions is not None:
                self._watch.included(bundle.actions, block.height, block.header.time_ms)
        self._bundles.pool.mark_included(digests, block.height)
        if self._bundles.pool.included_bytes < POOL_AHEAD_BYTES_MAX:
            self._bundles.want(digests)  # long before it is executed
        proposed_ms = self._proposed.pop(block.hash, 0)
        if proposed_ms:
            self.finality_ms.append(max(0, now_ms - proposed_ms))
        self.executor.submit(
            FinalBlock(
                block=block,
                certificate=final.certificate,
                proposed_ms=proposed_ms,
                final_ms=now_ms,
                seals=final.seals,
                begins=self._begun,
            )
        )
        self._begun = None

    async def _on_executed(self, execution: Execution) -> None:
        block, outcome = execution.final.block, execution.outcome
        self._bundles.pool.mark_included(block.body.bundles, block.height)
        self._watch.included(execution.actions, block.height, block.header.time_ms)
        self._proofs.on_executed(outcome)
        final = execution.final
        self._proofs.on_final(block, final.certificate, self._clock.now_ms(), final.seals)
        final_record = make_final_record(execution)
        manifest = None
        if execution.chunks:
            manifest = make_manifest(outcome.height, outcome.state_root, execution.chunks)
            self._ledger.set_checkpoint_digest(outcome.height, manifest.cid.digest)
        executed_record = make_executed_record(outcome, self._ledger.state, execution.tape)
        self._tell(execution, final_record)
        await self._to_store.send((final_record, executed_record, execution.chunks, manifest))

    async def run_store(self) -> None:
        """Write what was executed, waiting for the disk when it refuses."""
        async for final_record, executed_record, chunks, manifest in self._store_queue:
            await self._write(self._write_block, final_record, executed_record)
            if manifest is not None:
                await self._write(self._write_snapshot, manifest, chunks)
            self.stored_height = final_record.height
            self._bundles.pool.forget_executed(self.stored_height)
            self._bundles.compact_log(self.stored_height)
            self._stored.set()
            self._stored = trio.Event()

    async def _write(self, write: Callable[..., None], *arguments: object) -> None:
        while True:
            try:
                await self._writer.run(write, *arguments)
            except (TransientError, OperatorError) as error:
                self._problems.set(
                    "DSK003",
                    f"executed blocks cannot be stored: {error}; they wait in memory",
                    fix=error.fix
                    if isinstance(error, OperatorError)
                    else "free some space or make the disk writable",
                )
                await trio.sleep(RETRY_S)
                continue
            self._problems.clear("DSK003")
            return

    @staticmethod
    def _write_block(
        store: ChainStore, final_record: FinalRecord, executed_record: ExecutedRecord
    ) -> None:
        store.write_final(final_record)
        store.write_executed(executed_record)

    def _write_snapshot(
        self, store: ChainStore, manifest: Manifest, chunks: tuple[bytes, ...]
    ) -> None:
        self._snapshots.write(manifest.height, manifest.state_root, chunks)
        self._snapshots.sync()  # before an older one goes, and with it the blocks only it needs
        self._snapshots.prune(self._snapshots_kept)

    @property
    def has_room(self) -> bool:
        """False when so much that is final waits for execution or the disk that memory is at risk.

        A node whose store refuses for hours would else collect the chain, with all its bundles.
        """
        waiting = self.executor.waiting
        if waiting <= FINAL_BLOCKS_WAITING_MIN:
            return True
        is_few = waiting <= FINAL_BLOCKS_WAITING_MAX
        return is_few and self._bundles.pool.included_bytes <= POOL_UNEXECUTED_BYTES_MAX

    async def wait_room(self) -> None:
        """Return once more final blocks can be taken."""
        while not self.has_room:
            await self._stored.wait()

    async def wait_written(self, height: int) -> None:
        """Return once the store holds everything up to a height; a power cut may take it back."""
        while self.stored_height < height:
            await self._stored.wait()

    async def wait_stored(self, height: int) -> None:
        """Return once the store holds everything up to a height, safe from a power cut."""
        await self.wait_written(height)
        await self._writer.run(ChainStore.sync)
