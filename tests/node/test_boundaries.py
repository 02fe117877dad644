"""A vault is brought over every border in order, by the member whose turn it is.

Rule: blocks and certificates come from the consensus tests' desk, the vault is a number.
Spec: docs/spec/settlement.md §5. Deviations: none.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import trio

from consensus.block import Block, Tip
from consensus.committee import Committee, Member
from consensus.epoch import Epoch
from node.blocks.executor import FinalBlock
from node.committee.epoch_book import EpochBook
from node.limits import CHECKPOINT_TURN_MS
from node.settlement.boundaries import Crossing, HandOver, encode_boundary_proof, make_crossing
from primitives.errors import TransientError
from tests.consensus.desk import GENESIS, Desk

NEXT = Committee(tuple(Member(address=bytes([n]) * 20, weight=5) for n in (7, 8, 9)))


def make_epoch(number: int, committee: Committee) -> Epoch:
    anchor = Tip(view=0, height=number, hash=bytes(32), time_ms=1, executed_height=0)
    return Epoch(number=number, committee=committee, seed=bytes(32), anchor=anchor)


def make_chain(desk: Desk, seals: int) -> list[Block]:
    blocks = [desk.block(1, next_committee_hash=NEXT.hash)]
    for view in range(2, 2 + seals):
        blocks.append(desk.block(view, blocks[-1], height=1, next_committee_hash=NEXT.hash))
    return blocks


def make_final(desk: Desk, seals: int) -> tuple[FinalBlock, list[Block]]:
    blocks = make_chain(desk, seals)
    certificate = desk.finalization(blocks[-1])
    final = FinalBlock(
        block=blocks[0],
        certificate=certificate,
        proposed_ms=0,
        final_ms=0,
        seals=tuple(blocks[1:]),
    )
    return final, blocks


@pytest.mark.parametrize("seals", [0, 1, 3, 200])
def test_a_proof_is_the_certified_header_however_many_seals_it_took(seals: int) -> None:
    desk = Desk()
    final, blocks = make_final(desk, seals)
    book = EpochBook(Epoch(number=1, committee=desk.committee, seed=bytes(32), anchor=GENESIS))
    data = encode_boundary_proof(final)
    assert make_crossing(data, book, 1) is None, "the next committee is not known yet"
    book.begin(make_epoch(2, NEXT))
    crossing = make_crossing(data, book, 1)
    assert crossing is not None
    assert crossing.next_epoch == 2
    assert crossing.submission.headers == (blocks[-1].body.header,)
    assert final.certificate is not None
    assert crossing.submission.signers == final.certificate.bitmap_word
    assert [one.address for one in crossing.next_members] == [m.address for m in NEXT.members]
    assert len(crossing.submission.members) == len(desk.committee)


def test_other_blocks_have_no_proof() -> None:
    desk = Desk()
    plain = desk.block(1)
    final = FinalBlock(block=plain, certificate=desk.finalization(plain), proposed_ms=0, final_ms=0)
    assert encode_boundary_proof(final) == b""


class Border:
    """A vault some epochs behind, and the members that look at it."""

    def __init__(self, vault_epoch: int, present: int) -> None:
        desk = Desk()
        self.vault_epoch = vault_epoch
        self.is_online = True
        self.crossed: list[int] = []
        self.proof = encode_boundary_proof(make_final(desk, 0)[0])
        self.book = EpochBook(make_epoch(1, NEXT))
        for number in range(2, present + 1):
            self.book.begin(make_epoch(number, NEXT))
        self.clock = SimpleNamespace(time=0, now_ms=lambda: self.clock.time)

    def member(self, address: bytes) -> HandOver:
        async def read_epoch() -> int:
            if not self.is_online:
                raise TransientError("no chain")
            return self.vault_epoch

        async def load(epoch: int) -> bytes:
            return self.proof

        async def submit(crossing: Crossing) -> None:
            self.crossed.append(crossing.next_epoch)
            self.vault_epoch = max(self.vault_epoch, crossing.next_epoch)

        return HandOver(
            book=self.book,
            me=address,
            clock=self.clock,  # type: ignore[arg-type]
            read_epoch=read_epoch,
            load_proof=load,
            submit=submit,
        )


async def test_borders_are_taken_one_by_one() -> None:
    border = Border(1, present=4)
    first = border.member(bytes([7 + 4 % 3]) * 20)
    steps = [await first.step() for _ in range(4)]
    assert steps == [False, False, False, True]
    assert border.crossed == [2, 3, 4]


async def test_the_others_step_in_when_the_first_is_away_and_then_find_it_done() -> None:
    border = Border(1, present=2)
    second = border.member(bytes([7 + (2 + 1) % 3]) * 20)
    third = border.member(bytes([7 + (2 + 2) % 3]) * 20)
    assert not await second.step()
    border.clock.time = CHECKPOINT_TURN_MS - 1
    assert not await second.step()
    assert border.crossed == []
    border.clock.time += 1
    assert not await second.step()
    assert border.crossed == [2]
    assert await second.step()
    assert await third.step(), "it reads that the vault is there"


async def test_who_has_no_seat_sends_nothing() -> None:
    border = Border(1, present=2)
    outsider = border.member(b"\x01" * 20)
    for _ in range(5):
        border.clock.time += 10 * CHECKPOINT_TURN_MS
        assert not await outsider.step()
    assert border.crossed == []


async def test_a_chain_that_is_away_is_asked_again() -> None:
    border = Border(1, present=2)
    first = border.member(bytes([7 + 2 % 3]) * 20)
    border.is_online = False
    with pytest.raises(TransientError):
        await first.step()
    border.is_online = True
    await first.step()
    assert await first.step()
    border.is_online = False
    assert await first.step(), "in the present epoch nothing is asked"
    await trio.lowlevel.checkpoint()
