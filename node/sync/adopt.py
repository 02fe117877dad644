"""Load a fetched snapshot, compare it with what is certified, and make the store go on from it.

Rule: the state is rebuilt and its root computed before anything is adopted; adopting is one
transaction, so a node has the old state or the new one. Before it the signing history is marked as
older than what the key may have signed: the node follows in silence until that cannot matter.
Spec: docs/spec/state-sync.md (Adoption). Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.block import Block, Tip, open_block
from consensus.epoch import Epoch, encode_epoch
from consensus.header import decode_header, hash_header
from consensus.participation.selection import make_committee
from exchange.roots import compute_roots
from node.blocks.records import StoredRoots, make_block_record
from node.network_file import NetworkFile
from node.replica.ledger import Ledger
from node.replica.scorekeeper import make_scorekeeper
from node.replica.tape import Tape
from node.settlement.boundaries import BoundaryProof
from node.sync.messages import Base, Border, Members, Plan
from node.sync.proofs import Target
from primitives import codec
from primitives.errors import InvalidBlock, InvalidMessage
from storage.chain_store import ChainStore
from storage.records import BaseRecord, BorderRecord, FinalRecord
from storage.snapshots import Manifest, Snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A state that passed every check, with what the store needs to go on from it."""

    ledger: Ledger
    base: BaseRecord


def load_snapshot(file: NetworkFile, snapshots: Snapshots, manifest: Manifest) -> Ledger:
    """Rebuild a state from its chunks and compute its root. Raises PeerError, TransientError."""
    seats = tuple((s.address_bytes, s.weight, s.payout_bytes) for s in file.committee)
    ledger = Ledger(file.exchange, seats, make_scorekeeper(file))
    ledger.restore(tuple(snapshots.chunks(manifest)))
    if ledger.height != manifest.height or ledger.roots.state != manifest.state_root:
        raise InvalidMessage(f"the chunks are not the state of height {manifest.height}")
    return ledger


def find_anchor_height(file: NetworkFile, height: int) -> int:
    """Return the height from which the epoch after a final height starts, 0 for genesis."""
    if not file.scoring.rotates:
        return 0
    blocks = file.scoring.period_blocks
    return height // blocks * blocks


def make_epoch(file: NetworkFile, ledger: Ledger, target: Target, plan: Plan) -> Epoch | None:
    """Return the epoch in which the chain goes on; None for the first.

    Raises PeerError when the state's committee is not the one that the headers name.
    """
    height = find_anchor_height(file, target.height)
    if height == 0:
        return None
    keeper = ledger.scorekeeper
    assert keeper is not None, "a node keeps scores"
    committee = make_committee(keeper.participation.seats)
    is_border = height == target.height
    header = target.header
    if committee.hash != (header.next_committee_hash if is_border else header.committee_hash):
        raise InvalidBlock("the committee of the state is not that of the headers")
    return Epoch(
        number=header.epoch + is_border,
        committee=committee,
        seed=keeper.participation.seed,
        anchor=make_anchor(plan.anchor, height),
    )


def make_anchor(words: bytes, height: int) -> Tip:
    """Return the tip that a boundary header stands for. Raises PeerError."""
    header = decode_header(words)
    if header.height != height:
        raise InvalidBlock("the anchor is of another height")
    return Tip(
        view=0,
        height=height,
        hash=hash_header(words),
        time_ms=header.time_ms,
        executed_height=header.executed_height,
    )


def open_base(base: Base, target: Target) -> Block:
    """Return the final block under the snapshot. Raises PeerError when it is another one."""
    block = open_block(base.block)
    if block.hash != target.block_hash:
        raise InvalidBlock(f"another block than the final one of height {target.height}")
    return block


def make_base(file: NetworkFile, ledger: Ledger, target: Target, plan: Plan) -> BaseRecord:
    """Return the rows that go on from a fetched state. Raises PeerError."""
    epoch = make_epoch(file, ledger, target, plan)
    return BaseRecord(
        block=make_base_block(open_base(plan.base, target), ledger.tape),
        epoch=None if epoch is None else (epoch.number, encode_epoch(epoch)),
        borders=tuple(_make_border_record(border) for border in plan.borders),
    )


def make_base_block(block: Block, tape: Tape) -> FinalRecord:
    """Return the row of the block under a snapshot. Raises InvalidMessage for another one."""
    record = make_block_record(block, tape.block.parent)
    if tape.cid is None or record.cid != tape.cid.encode():
        raise InvalidMessage("the snapshot names another block than the final one under it")
    return record


def _make_border_record(border: Border) -> BorderRecord:
    members: Members = border.members
    return BorderRecord(
        epoch=decode_header(border.headers[0]).epoch,
        proof=codec.encode(BoundaryProof(border.headers, border.certificate)),
        members=codec.encode(members),
    )


def adopt(store: ChainStore, fetched: Fetched) -> None:
    """Make the store go on from a fetched state, durably. Raises as `ChainStore.adopt_snapshot`."""
    ledger = fetched.ledger
    state = ledger.state
    words = StoredRoots(compute_roots(state), state.withdrawals.size)
    store.adopt_snapshot(
        height=ledger.height,
        time_ms=state.time_ms,
        state_root=ledger.roots.state,
        fees_root=ledger.roots.fees,
        last_fill=ledger.tape.fills,
        candles=ledger.tape.candles.values(),
        roots=codec.encode(words),
        withdrawal_count=state.withdrawals.size,
        base=fetched.base,
    )
    store.sync()
