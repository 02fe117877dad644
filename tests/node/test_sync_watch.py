"""A running node stops only for a state that is proven and out of reach of replay.

Rule: the chain and its certificates are real; only wires and clocks are not.
Spec: docs/spec/state-sync.md (While running). Deviations: none.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from bench.long_chain import LongChain
from node.sync import watch as sync_watch
from node.sync.messages import Offer, decode_answer, encode
from node.sync.proofs import Trust
from node.sync.state_sync import Position
from node.sync.watch import SyncWatch
from primitives.errors import PeerError
from tests.node.sync_world import EPOCH, KEYS, Newcomer, make_file, serve
from tests.storage.memory_streams import MemoryNetwork

HEIGHT = 2 * EPOCH + 30
LOOK_S = 0.02
LOOKS = 20


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory):
    chain = LongChain(make_file(), KEYS, tmp_path_factory.mktemp("peer"))
    chain.grow(HEIGHT)
    yield chain
    chain.close()


@pytest.fixture
async def newcomer(nursery, tmp_path: Path):
    newcomer = Newcomer(make_file(), tmp_path / "new", MemoryNetwork(nursery))
    await newcomer.begin()
    yield newcomer
    newcomer.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads do not know of a virtual clock."""
    monkeypatch.setattr(sync_watch, "SYNC_WATCH_S_MIN", LOOK_S)
    monkeypatch.setattr(sync_watch, "SYNC_WATCH_S_MAX", LOOK_S)


class Watched:
    """A node of which only the tip and the clock matter."""

    def __init__(self, newcomer: Newcomer, height: int, late_blocks: int, step: int = 0) -> None:
        self.newcomer, self.height, self.step = newcomer, height, step
        self.time_ms = newcomer.file.genesis_time_ms
        self.now_ms = self.time_ms + late_blocks * newcomer.file.timers.gap_ms
        self.ends = trio.Event()

    def find(self) -> Position:
        self.height += self.step
        committee = self.newcomer.position.committee
        return Position(height=self.height, time_ms=self.time_ms, committee=committee)

    async def stops(self) -> bool:
        """Whether it stops within a few looks."""
        watch = SyncWatch(
            self.newcomer.sync,
            find_position=self.find,
            now_ms=lambda: self.now_ms,
            on_behind=self.ends.set,
        )
        with trio.move_on_after(LOOKS * LOOK_S + 1):
            await watch.run()
        return self.ends.is_set()


async def test_a_node_far_behind_stops_for_a_proven_state(
    newcomer: Newcomer, chain: LongChain
) -> None:
    newcomer.peers.answers["v0"] = await serve(chain, newcomer.network, "v0")
    assert await Watched(newcomer, 1, HEIGHT, step=1).stops()


async def test_a_node_with_a_fresh_block_asks_nobody(newcomer: Newcomer, chain: LongChain) -> None:
    newcomer.peers.answers["v0"] = await serve(chain, newcomer.network, "v0")
    assert not await Watched(newcomer, 1, late_blocks=5).stops()
    assert not newcomer.peers.asked


async def test_what_a_peer_has_pruned_counts_for_stuck_nodes_only(
    newcomer: Newcomer, chain: LongChain
) -> None:
    """A liar that says so cannot have a node stop that takes blocks."""
    newcomer.peers.answers["v0"] = await serve(chain, newcomer.network, "v0")
    true = newcomer.peers.answers["v0"]

    async def claim(peer: str, request: bytes) -> bytes:
        answer = decode_answer(await true(peer, request))
        if isinstance(answer, Offer):
            answer = Offer(answer.final_height, HEIGHT, answer.checkpoint)
        return encode(answer)

    newcomer.peers.answers["v0"] = claim
    near = chain.height // 16 * 16 - 50
    assert not await Watched(newcomer, near, HEIGHT, step=1).stops()
    assert await Watched(newcomer, near, HEIGHT).stops()


async def test_a_state_that_nobody_proves_stops_nobody(
    newcomer: Newcomer, chain: LongChain
) -> None:
    newcomer.peers.answers["v0"] = await serve(chain, newcomer.network, "v0")
    newcomer.trust = Trust(epoch=1, committee_hash=bytes(32))
    assert not await Watched(newcomer, 1, HEIGHT).stops()

    async def refuse(peer: str, request: bytes) -> bytes:
        raise PeerError("no")

    newcomer.peers.answers["v0"] = refuse
    assert not await Watched(newcomer, 1, HEIGHT).stops()
