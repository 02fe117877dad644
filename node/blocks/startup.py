"""Bring the ledger back to where the chain store is: newest snapshot, then replay.

Rule: a root that comes out different from the one on record stops the node before it can vote.
Spec: docs/spec/node.md (Restart). Deviations: none.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import trio

from consensus.application import Roots
from consensus.block import Block, open_block
from consensus.effects import Final
from exchange.actions import VerifiedAction, decode_bundle
from node.blocks.records import (
    decode_stored_block,
    decode_stored_certificate,
    decode_stored_seals,
    make_executed_record,
)
from node.bundling.inclusion import InclusionWatch
from node.bundling.verifier import Verifier
from node.limits import INCLUSION_RESTORED_HEIGHTS, ROOTS_KEPT_MAX
from node.replica.ledger import Ledger
from node.settlement.checkpointer import CheckpointProofs
from primitives.errors import NodeError, OperatorError, StateDiverged
from storage.chain_store import ChainStore
from storage.database import UNSAFE_HOST_EXIT_CODE
from storage.snapshots import Snapshots

log = logging.getLogger("omnibazaar.startup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """Where the node goes on from."""

    final: Final | None  # the store's last final block, None at genesis
    replayed: int  # blocks executed again


async def restore(
    store: ChainStore,
    snapshots: Snapshots,
    ledger: Ledger,
    proofs: CheckpointProofs,
    verifier: Verifier,
) -> Restored:
    """Restore the ledger. Raises StateDiverged when replay does not give the recorded roots,
    OperatorError when the blocks on disk go on from no state that is there."""
    restore_snapshot(store, snapshots, ledger)
    start = ledger.height
    _check_reach(store, start)
    final: Final | None = None
    for height in range(start + 1, store.final_height + 1):
        stored = store.read.block(height)
        assert stored is not None, "heights in the store have no gap"
        block = decode_stored_block(stored.encoded)
        certificate = decode_stored_certificate(stored.certificate)
        seals = tuple(open_block(body) for body in decode_stored_seals(stored.seals))
        actions = await load_actions(store, block, verifier)
        outcome = ledger.execute(block, actions)
        _check_root(store, height, outcome.state_root)
        store.write_executed(make_executed_record(outcome, ledger.state, ledger.tape.block))
        if outcome.is_checkpoint:
            manifest = snapshots.write(height, outcome.state_root, ledger.snapshot())
            ledger.set_checkpoint_digest(height, manifest.cid.digest)
        proofs.on_executed(outcome)
        proofs.on_final(block, certificate, 0, seals)
        await trio.lowlevel.checkpoint()
    stored = store.read.block(store.final_height)
    if stored is not None:
        final = Final(
            decode_stored_block(stored.encoded),
            decode_stored_certificate(stored.certificate),
            tuple(open_block(body) for body in decode_stored_seals(stored.seals)),
        )
    if ledger.height:
        log.info("restored height %d, replayed %d blocks", ledger.height, ledger.height - start)
    return Restored(final=final, replayed=ledger.height - start)


def restore_snapshot(store: ChainStore, snapshots: Snapshots, ledger: Ledger) -> None:
    """Load the newest snapshot whose root the store confirms; leave genesis when there is none."""
    names = snapshots.complete()
    for name in names:
        executed = store.read.executed(name.height)
        if executed is None or name.height > store.final_height:
            continue
        try:
            chunks = tuple(snapshots.chunks(snapshots.verify(name.cid)))
            ledger.restore(chunks)
        except NodeError as error:
            log.warning("snapshot %d cannot be used: %s", name.height, error)
            continue
        if ledger.roots.state != executed.state_root:
            raise StateDiverged(f"the snapshot of height {name.height} has another root")
        break
    for name in reversed(names):
        ledger.set_checkpoint_digest(name.height, name.cid.digest)
    for height in range(max(1, ledger.height - ROOTS_KEPT_MAX), ledger.height):
        executed = store.read.executed(height)
        if executed is not None:
            ledger.remember(height, Roots(executed.state_root, executed.fees_root))


def restore_inclusion(store: ChainStore, watch: InclusionWatch) -> None:
    """Tell the watch what the newest blocks carry: the parent's voters may have listed any of it
    as pending, and a block must then not be asked to carry it again."""
    first = max(1, store.final_height - INCLUSION_RESTORED_HEIGHTS + 1)
    for height in range(first, store.final_height + 1):
        watch.restore((row.action_id for row in store.read.receipts(height)), height)


async def load_actions(
    store: ChainStore, block: Block, verifier: Verifier
) -> tuple[VerifiedAction, ...]:
    """Return a stored block's actions in order, signatures checked."""
    actions: list[VerifiedAction] = []
    for digest in block.body.bundles:
        stored = store.read.bundle(digest)
        assert stored is not None, "a final block is stored with its bundles"
        assert stored.data is not None, "bundles above the newest snapshot are never pruned"
        actions += await verifier.verify(decode_bundle(stored.data))
    return tuple(actions)


def _check_reach(store: ChainStore, start: int) -> None:
    """Raise OperatorError when replay cannot begin: a lost `blocks.sqlite` takes the snapshots
    with it, and older blocks may be pruned, or never have been here."""
    if start >= store.final_height or store.read.block(start + 1) is not None:
        return
    raise OperatorError(
        f"the blocks in {store.path} begin above height {start + 1} and no snapshot below them is "
        "usable",
        code="DSK007",
        fix="stop the node, move the whole folder chain/ away and start again: it fetches a state "
        "from the network; leave keys/ and signing/ where they are",
        exit_code=UNSAFE_HOST_EXIT_CODE,
    )


def _check_root(store: ChainStore, height: int, state_root: bytes) -> None:
    executed = store.read.executed(height)
    if executed is not None and executed.state_root != state_root:
        raise StateDiverged(
            f"replaying height {height} gives the root {state_root.hex()}, "
            f"on record is {executed.state_root.hex()}"
        )
