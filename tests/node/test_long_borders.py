"""A border that took more seals than fit into one answer is passed by a state, not by replay.

Rule: both nodes' stores hold the same chain up to the border; only the wires are in memory.
Spec: docs/spec/state-sync.md; docs/spec/consensus.md (Catching up). Deviations: none.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.long_chain import LongChain
from consensus.block import open_block
from consensus.limits import RANGE_BLOCKS_MAX
from node.blocks.ranges import make_range
from node.blocks.records import decode_stored_block
from node.sync.messages import Border, GetBorder, decode_answer, encode
from tests.node.sync_world import EPOCH, KEYS, Newcomer, make_file, serve
from tests.node.test_state_sync import newest, restore
from tests.storage.memory_streams import MemoryNetwork

BEFORE = EPOCH - 1


def make_peer(folder: Path, seals: int) -> LongChain:
    chain = LongChain(make_file(), KEYS, folder, certified_every=1, seals={EPOCH: seals})
    chain.grow(2 * EPOCH + 30)
    return chain


def served_to(chain: LongChain, height: int) -> int:
    """Return the last height of the blocks that a node at a height is given."""
    found = make_range(chain.store.read.block_range(height + 1, RANGE_BLOCKS_MAX))
    return height if found is None else open_block(found.blocks[-1]).height


@pytest.mark.parametrize(("seals", "is_served"), [(127, True), (128, False)])
def test_a_range_holds_a_border_with_at_most_127_seals(tmp_path: Path, seals: int, is_served: bool):
    chain = make_peer(tmp_path, seals)
    assert served_to(chain, BEFORE) == (EPOCH if is_served else BEFORE)
    chain.close()


async def test_a_node_before_a_border_of_many_seals_comes_back_by_a_state(nursery, tmp_path: Path):
    chain = make_peer(tmp_path / "peer", 130)
    behind = LongChain(make_file(), KEYS, tmp_path / "new", certified_every=1)
    behind.grow(BEFORE)
    behind.close()
    newcomer = Newcomer(make_file(), tmp_path / "new", MemoryNetwork(nursery))
    await newcomer.begin()
    assert newcomer.store.final_height == served_to(chain, BEFORE) == BEFORE
    newcomer.peers.answers["v0"] = await serve(chain, newcomer.network, "v0")
    assert await newcomer.sync().look(newcomer.position, is_stuck=True) == newest(chain)
    assert await newcomer.sync().run(newcomer.position) == newest(chain)
    ledger, book, final = await restore(newcomer)
    assert final.block.hash == chain.store.read.block_hash(newest(chain))
    assert book.current == chain.book.get(newest(chain) // EPOCH + 1)
    border = decode_answer(await newcomer.peers.answers["v0"]("", encode(GetBorder(1))))
    assert isinstance(border, Border)
    assert len(border.headers) == 1, "a border is proven by one header, however many seals"
    while ledger.height < chain.height:
        row = chain.store.read.block(ledger.height + 1)
        assert row is not None
        ledger.execute(decode_stored_block(row.encoded), ())
    assert ledger.roots == chain.ledger.roots
    assert ledger.tape.cid == chain.ledger.tape.cid
    newcomer.close()
    chain.close()
