"""Make a long chain with real certificates on disk, as a node that was there would hold it.

Rule: every block passes the rules of consensus, every signature is real, every root comes from
execution, every epoch's committee from the scores; only the votes' journey over a network is left
out. The newest snapshots are on disk with the blocks.
Spec: docs/spec/consensus.md; docs/spec/state-sync.md. Deviations: blocks are empty; one block in
`certified_every` carries its own finality certificate, its ancestors are proven by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from consensus.block import Block, compute_attendance_root, make_block, tip_of
from consensus.certificate import Certificate, assemble_certificate
from consensus.committee import Committee
from consensus.epoch import Epoch, compute_next_epoch, make_config
from consensus.header import ZERO_HASH, Header
from consensus.leader import compute_slots
from consensus.vote import Kind, Vote, compute_vote_digest
from node.blocks.executor import Execution, FinalBlock
from node.blocks.records import make_executed_record, make_final_record
from node.committee.epoch_book import EpochBook, make_genesis_epoch, make_parameters
from node.committee.succession import ScoredSuccession
from node.network_file import NetworkFile, Seat
from node.replica.ledger import Ledger
from node.replica.scorekeeper import make_scorekeeper
from node.settlement.checkpointer import CheckpointProofs
from primitives.address import to_checksum
from primitives.eip712 import network_domain
from primitives.secp256k1 import PrivateKey
from storage.block_store import BlockStore
from storage.chain_reader import ChainReader
from storage.chain_store import ChainStore
from storage.snapshots import Snapshots
from storage.writer import ReadPool

VOTERS = 3  # of four: a quorum of equal weights


def make_keys(count: int = 4) -> tuple[PrivateKey, ...]:
    """Return the same keys every time."""
    return tuple(PrivateKey(bytes([index + 1]) * 32) for index in range(count))


def make_seats(keys: tuple[PrivateKey, ...]) -> tuple[Seat, ...]:
    """Return the genesis committee of these keys."""
    return tuple(
        Seat(
            name=f"v{index}",
            address=to_checksum(key.address),
            payout=to_checksum(PrivateKey(bytes([index + 101]) * 32).address),
        )
        for index, key in enumerate(keys)
    )


class LongChain:
    """One node's stores and the ledger behind them; `grow` makes them longer."""

    def __init__(
        self,
        file: NetworkFile,
        keys: tuple[PrivateKey, ...],
        folder: Path,
        *,
        certified_every: int = 8,
        snapshots_kept: int = 3,
        seals: Mapping[int, int] | None = None,
    ) -> None:
        """`seals` says how many seal blocks it took to finalize some borders."""
        folder.mkdir(parents=True, exist_ok=True)
        self.file = file
        self.domain = network_domain(file.network_id)
        self._keys = {key.address: key for key in keys}
        self._every = certified_every
        self._kept = snapshots_kept
        self._seals = seals or {}
        path = folder / "chain.sqlite"
        self.store = ChainStore(path, file.network_id)
        self.readers = ReadPool([ChainReader.open(path)])
        self.blocks = BlockStore(folder / "blocks.sqlite")
        self.snapshots = Snapshots(self.blocks)
        self.book = EpochBook(make_genesis_epoch(file))
        seats = tuple((s.address_bytes, s.weight, s.payout_bytes) for s in file.committee)
        self.ledger = Ledger(file.exchange, seats, make_scorekeeper(file))
        self.proofs = CheckpointProofs(self.book)
        self._succession = ScoredSuccession(self.ledger, self.book)
        self._parameters = make_parameters(file)
        self._begins: Epoch | None = None
        self._enter(self.book.current)

    @property
    def height(self) -> int:
        """The final height."""
        return self._tip.height

    def grow(self, count: int) -> None:
        """Add blocks."""
        for _ in range(count):
            self._add()

    def close(self) -> None:
        """Close the files."""
        self.store.close()
        self.blocks.close()

    def _enter(self, epoch: Epoch) -> None:
        self._epoch = epoch
        self._config = make_config(self._parameters, epoch)
        self._slots = compute_slots(epoch.committee, epoch.seed)
        self._tip = epoch.anchor
        self._attendance: Certificate | None = None

    def _add(self) -> None:
        block = self._make_block()
        is_border = self._config.is_border(block.height)
        is_certified = is_border or block.height % self._every == 0
        seals = self._make_seals(block) if is_border else ()
        last = seals[-1] if seals else block
        certificate = self._certify(Kind.FINALIZE, last) if is_certified else None
        outcome = self.ledger.execute(block, ())
        chunks = self.ledger.snapshot() if outcome.is_checkpoint else ()
        execution = Execution(
            final=FinalBlock(
                block=block,
                certificate=certificate,
                proposed_ms=0,
                final_ms=0,
                seals=seals,
                begins=self._begins,
            ),
            bundles=(),
            actions=(),
            outcome=outcome,
            tape=self.ledger.tape.block,
            chunks=chunks,
        )
        record = make_final_record(execution)
        self.store.write_final(record)
        self.store.write_executed(
            make_executed_record(outcome, self.ledger.state, self.ledger.tape.block)
        )
        if chunks:
            manifest = self.snapshots.write(outcome.height, outcome.state_root, chunks)
            self.snapshots.prune(self._kept)
            self.ledger.set_checkpoint_digest(outcome.height, manifest.cid.digest)
        self._begins = None
        self._tip, self._attendance = tip_of(block), self._certify(Kind.NOTARIZE, block)
        if is_border:
            self._cross(block)

    def _cross(self, boundary: Block) -> None:
        epoch = compute_next_epoch(self._epoch, boundary, self._succession)
        assert epoch is not None, "the committee was selected before the border"
        self.book.begin(epoch)
        self._begins = epoch
        self._enter(epoch)

    def _make_block(self) -> Block:
        parent, committee = self._tip, self._epoch.committee
        height, view = parent.height + 1, parent.view + 1
        roots = self.ledger.roots
        checkpoint = self._config.checkpoint_of(height)
        digest = self.ledger.checkpoint_digest(checkpoint) if checkpoint is not None else None
        return make_block(
            Header(
                epoch=self._epoch.number,
                view=view,
                height=height,
                parent_view=parent.view,
                parent_hash=parent.hash,
                time_ms=parent.time_ms + self.file.timers.gap_ms,
                bundles_root=ZERO_HASH,
                executed_height=self.ledger.height,
                state_root=roots.state,
                fees_root=roots.fees,
                attendance_root=compute_attendance_root(self._attendance),
                evidence_root=ZERO_HASH,
                committee_hash=committee.hash,
                next_committee_hash=self._next_hash(height),
                checkpoint_digest=digest or ZERO_HASH,
                proposer=self._slots[view % len(self._slots)],
            ),
            (),
            self._attendance,
            (),
        )

    def _make_seals(self, boundary: Block) -> tuple[Block, ...]:
        """Return empty blocks on a boundary block, the last of which gets its certificate."""
        chain = [boundary]
        for _ in range(self._seals.get(boundary.height, 0)):
            parent, attendance = chain[-1], self._certify(Kind.NOTARIZE, chain[-1])
            header = replace(
                parent.header,
                view=parent.view + 1,
                parent_view=parent.view,
                parent_hash=parent.hash,
                time_ms=parent.header.time_ms + self.file.timers.gap_ms,
                bundles_root=ZERO_HASH,
                attendance_root=compute_attendance_root(attendance),
                checkpoint_digest=ZERO_HASH,
                proposer=self._slots[(parent.view + 1) % len(self._slots)],
            )
            chain.append(make_block(header, (), attendance, ()))
        return tuple(chain[1:])

    def _next_hash(self, height: int) -> bytes:
        if not self._config.is_border(height):
            return ZERO_HASH
        committee: Committee | None = self._succession.next_committee(height)
        assert committee is not None, "the committee was selected before the border"
        return committee.hash

    def _certify(self, kind: Kind, block: Block) -> Certificate:
        """Sign with the members of lowest index that make a quorum."""
        committee, epoch = self._epoch.committee, self._epoch.number
        digest = compute_vote_digest(self.domain, kind, epoch, block.view, block.hash, ())
        votes: list[Vote] = []
        for index in range(len(committee)):
            if committee.weight(range(len(votes))) >= committee.quorum:
                break
            signature = self._keys[committee.address(index)].sign(digest)
            votes.append(Vote(kind, epoch, block.view, block.hash, (), index, signature))
        return assemble_certificate(votes)
