"""Validators bring their vault over the borders of epochs, from what their stores keep.

Rule: blocks and certificates are made by `consensus/`, stored by the chain store, proven to the
real contract; every validator has its own checkpointer.
Spec: docs/spec/settlement.md §4; docs/spec/node.md (Settlement). Deviations: none.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from consensus.block import Block, make_block, tip_of
from consensus.certificate import Certificate, assemble_certificate
from consensus.committee import Committee, Member
from consensus.epoch import Epoch, encode_epoch
from consensus.header import ZERO_HASH
from consensus.vote import Kind, Vote, compute_vote_digest
from contracts.errors import ContractRefused
from node.blocks.executor import FinalBlock
from node.blocks.records import encode_seals
from node.committee.epoch_book import EpochBook
from node.limits import HEADERS_PER_CHECKPOINT_MAX
from node.problems import Problems
from node.settlement.boundaries import encode_boundary_proof, make_crossing
from node.settlement.checkpointer import Checkpointer, CheckpointProofs
from primitives import codec
from storage.chain_reader import ChainReader
from storage.chain_store import ChainStore
from storage.pruning import delete_below
from storage.records import FinalRecord
from storage.writer import ReadPool
from tests.contracts.harness import RELAYER, World, make_keys
from tests.storage.chain_records import NETWORK, make_final

DIGEST = b"\x0e" * 32
KEYS = make_keys(6)


class Chain:
    """A ledger that goes through epochs, as one validator's store keeps it."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.store = ChainStore(folder / "chain.sqlite", NETWORK)
        self.readers = ReadPool([ChainReader.open(folder / "chain.sqlite")])
        self.tips: list[Block] = []
        self.height = 0
        first = Epoch(
            number=1,
            committee=world.committee,
            seed=bytes(32),
            anchor=tip_of(self.block(height=0)),
        )
        self.book = EpochBook(first)
        self.begins: Epoch | None = None
        self.now_ms = 1_000_000
        self.settled: list[int] = []
        self.proofs = CheckpointProofs(self.book)

    def block(self, *parents: Block, **changes: Any) -> Block:
        """A block like the ledger's, without a body."""
        values = {
            "executed_height": max(0, self.height - 1),
            "height": self.height,
            "bundles_root": ZERO_HASH,
            "attendance_root": ZERO_HASH,
            **changes,
        }
        if parents:
            values |= {"parent_hash": parents[0].hash, "parent_view": parents[0].view}
        return make_block(self.world.header(**values), (), None, ())

    def certify(self, block: Block) -> Certificate:
        """Finalize votes of all but one of the committee."""
        header, seats = block.header, range(1, len(self.world.keys))
        digest = compute_vote_digest(
            self.world.domain, Kind.FINALIZE, header.epoch, header.view, block.hash, ()
        )
        return assemble_certificate(
            Vote(
                Kind.FINALIZE,
                header.epoch,
                header.view,
                block.hash,
                (),
                seat,
                self.world.keys[seat].sign(digest),
            )
            for seat in seats
        )

    def grow(self, seals: int = 0, **changes: Any) -> Block:
        """Add a final block, with its seals the last of its epoch."""
        self.height += 1
        epoch = self.book.current
        block = self.block(
            *self.tips[-1:],
            epoch=epoch.number,
            view=2 * self.height,
            committee_hash=epoch.committee.hash,
            **changes,
        )
        chain = [block]
        for number in range(seals):
            seal = {
                name: getattr(block.header, name)
                for name in ("epoch", "height", "executed_height", "state_root", "fees_root")
            }
            seal |= {"committee_hash": block.header.committee_hash}
            seal |= {"next_committee_hash": block.header.next_committee_hash}
            chain.append(self.block(chain[-1], view=block.view + 1 + number, **seal))
        certificate = self.certify(chain[-1])
        self.store.write_final(self.record(block, tuple(chain[1:]), certificate))
        self.begins = None
        self.proofs.on_executed(
            SimpleNamespace(
                height=block.header.executed_height,
                fee_rows=self.world.fee_totals(),
            )
        )
        self.proofs.on_final(block, certificate, self.now_ms, tuple(chain[1:]))
        self.tips.append(block)
        return block

    def record(
        self, block: Block, seals: tuple[Block, ...], certificate: Certificate
    ) -> FinalRecord:
        return dataclasses.replace(
            make_final(block.height, bundles=0),
            epoch=block.header.epoch,
            block_hash=block.hash,
            encoded=codec.encode(block.body),
            certificate=codec.encode(certificate),
            seals=encode_seals(seals),
            boundary_proof=encode_boundary_proof(
                FinalBlock(
                    block=block,
                    certificate=certificate,
                    proposed_ms=0,
                    final_ms=0,
                    seals=seals,
                )
            ),
            epoch_record=encode_epoch(self.begins) if self.begins is not None else b"",
        )

    def cross(self, *keys: Any, seals: int = 0, **changes: Any) -> None:
        """End the epoch and begin one of these members."""
        committee = Committee(tuple(Member(address=key.address, weight=1) for key in keys))
        boundary = self.grow(seals, next_committee_hash=committee.hash, **changes)
        epoch = Epoch(
            number=self.book.current.number + 1,
            committee=committee,
            seed=bytes(32),
            anchor=tip_of(boundary),
        )
        self.book.begin(epoch)
        self.begins = epoch
        self.world.keys, self.world.committee = tuple(keys), committee

    def checkpointer(self, key: Any, proofs: Any = None) -> Checkpointer:
        """What one validator runs; `proofs` stands for the store's."""
        return Checkpointer(
            self.proofs,
            self.world.make_client(RELAYER),
            trio.CapacityLimiter(1),
            load_proof=proofs or partial(self.readers.run, ChainReader.boundary),
            book=self.book,
            me=key.address,
            interval=2,
            clock=SimpleNamespace(now_ms=lambda: self.now_ms),
            problems=Problems(),
            poll_ms=10,
            on_submitted=lambda candidate, answer: self.settled.append(candidate.height),
        )


@pytest.fixture
def chain(world: World, tmp_path: Path) -> Chain:
    """A chain that begins with the vault."""
    return Chain(world, tmp_path)


def two_borders(chain: Chain) -> None:
    chain.grow()
    chain.cross(*KEYS[1:5], seals=2)
    chain.grow()
    chain.cross(*KEYS[2:6])
    chain.grow()


async def empty(_: int) -> None:
    """A store that began after the borders."""


async def run_until(checkpointer: Checkpointer, is_done: Any) -> None:
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(checkpointer.run)
            while not is_done():
                await trio.sleep(0.02)
            nursery.cancel_scope.cancel()


async def test_a_vault_follows_two_borders_and_takes_the_third_committees_checkpoint(
    chain: Chain,
) -> None:
    two_borders(chain)
    block = chain.grow(checkpoint_digest=DIGEST)
    await run_until(chain.checkpointer(KEYS[2 + block.height // 2 % 4]), lambda: chain.settled)
    status = chain.world.client.status()
    assert (status.epoch, status.committee_hash) == (3, chain.book.current.committee.hash)
    assert (status.block_height, status.snapshot_digest) == (block.height, DIGEST)


async def test_a_border_that_took_more_seals_than_a_vault_takes_headers_is_crossed(
    chain: Chain,
) -> None:
    chain.grow()
    chain.cross(*KEYS[1:5], seals=HEADERS_PER_CHECKPOINT_MAX + 36)
    chain.grow()
    proof = chain.store.read.boundary(1)
    assert proof is not None
    crossing = make_crossing(proof, chain.book, 1)
    assert crossing is not None
    assert len(crossing.submission.headers) == 1
    seat = KEYS[1 + 2 % 4]
    await run_until(chain.checkpointer(seat), lambda: chain.world.client.epoch() == 2)
    status = chain.world.client.status()
    assert status.committee_hash == chain.book.current.committee.hash


async def test_borders_are_brought_without_any_checkpoint(chain: Chain) -> None:
    two_borders(chain)
    await run_until(
        chain.checkpointer(KEYS[2 + 3 % 4]), lambda: chain.world.client.status().epoch == 3
    )
    assert chain.world.client.executed_height() == 0


async def test_the_seals_certificate_proves_a_checkpoint_at_the_border(chain: Chain) -> None:
    chain.grow()
    chain.cross(*KEYS[1:5], seals=3, checkpoint_digest=DIGEST)
    found = chain.proofs.newest
    assert found is not None
    assert (found.height, len(found.submission.headers)) == (2, 4)
    chain.world.client.submit_checkpoint(found.submission)
    assert chain.world.client.status().snapshot_digest == DIGEST


async def test_a_border_that_a_node_cannot_prove_waits_for_one_that_can(chain: Chain) -> None:
    two_borders(chain)
    seat = KEYS[2 + 3 % 4]
    with trio.move_on_after(0.3):
        await chain.checkpointer(seat, proofs=empty).run()
    assert chain.world.client.epoch() == 1
    await run_until(chain.checkpointer(seat), lambda: chain.world.client.epoch() == 3)


async def test_pruning_leaves_the_proofs(chain: Chain) -> None:
    two_borders(chain)
    delete_below(chain.store.database, "chain", 5)
    assert chain.store.read.block(2) is None
    await run_until(chain.checkpointer(KEYS[2 + 3 % 4]), lambda: chain.world.client.epoch() == 3)


async def test_a_forged_next_committee_is_refused(chain: Chain) -> None:
    chain.grow()
    chain.cross(*KEYS[1:5])
    chain.grow()
    proof = chain.store.read.boundary(1)
    assert proof is not None
    crossing = make_crossing(proof, chain.book, 1)
    assert crossing is not None
    forged = crossing.next_members[:3]
    with pytest.raises(ContractRefused, match="WrongNextCommittee"):
        chain.world.client.submit_boundary(crossing.submission, forged, 2)
