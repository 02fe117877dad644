"""A certificate proves a checkpoint and all headers from there to its own block.

Rule: blocks are linked and certified by the consensus tests' desk.
Spec: docs/spec/settlement.md §4. Deviations: none.
"""

from __future__ import annotations

from consensus.block import Block
from consensus.epoch import Epoch
from node.committee.epoch_book import EpochBook
from node.limits import HEADERS_PER_CHECKPOINT_MAX
from node.settlement.checkpointer import CheckpointProofs
from tests.consensus.desk import GENESIS, Desk
from tests.exchange.world import World

DIGEST = b"\x0e" * 32


def make_book(desk: Desk) -> EpochBook:
    return EpochBook(Epoch(number=1, committee=desk.committee, seed=bytes(32), anchor=GENESIS))


def make_chain(desk: Desk, length: int, checkpoint: int = 1) -> list[Block]:
    blocks: list[Block] = []
    for view in range(1, length + 1):
        changes = {"checkpoint_digest": DIGEST, "executed_height": 1} if view == checkpoint else {}
        parents = blocks[-1:]
        blocks.append(desk.block(view, *parents, **changes))
    return blocks


def prove(length: int, *, checkpoint: int = 1, with_fees: bool = True):
    world, desk = World(), Desk()
    proofs = CheckpointProofs(make_book(desk))
    if with_fees:
        proofs.on_executed(world.block())
    blocks = make_chain(desk, length, checkpoint)
    for block in blocks[:-1]:
        proofs.on_final(block, None, 5)
    assert proofs.newest is None
    certificate = desk.finalization(blocks[-1])
    proofs.on_final(blocks[-1], certificate, 5)
    return proofs, blocks, certificate


def test_a_descendants_certificate_proves_the_checkpoint() -> None:
    proofs, blocks, certificate = prove(4, checkpoint=2)
    found = proofs.newest
    assert found is not None
    assert (found.height, found.executed_height, found.digest) == (2, 1, DIGEST)
    assert found.submission.headers == tuple(block.body.header for block in blocks[1:])
    assert found.submission.signers == certificate.bitmap_word
    assert len(found.submission.fees) == 3


def test_the_chain_of_headers_is_never_longer_than_the_vault_takes() -> None:
    found = prove(HEADERS_PER_CHECKPOINT_MAX)[0].newest
    assert found is not None
    assert len(found.submission.headers) == HEADERS_PER_CHECKPOINT_MAX
    assert prove(HEADERS_PER_CHECKPOINT_MAX + 1)[0].newest is None


def test_without_the_fees_under_its_root_nothing_is_proven() -> None:
    assert prove(3, with_fees=False)[0].newest is None
