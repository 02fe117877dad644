"""A newcomer, a long chain on a peer's disk, and peers of every character between them.

Rule: the chain, its certificates and its snapshots are real; only the wires are in memory.
Spec: docs/spec/state-sync.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from bench.long_chain import LongChain, make_keys, make_seats
from consensus.committee import Committee
from node.committee.epoch_book import make_genesis_epoch
from node.network_file import NetworkFile, Scoring, Timers
from node.sync.peers import Peers
from node.sync.progress import Progress
from node.sync.proofs import Trust
from node.sync.server import SyncServer
from node.sync.state_sync import Position, StateSync
from node.sync.trust import trust_genesis
from primitives.errors import TransientError
from storage.block_source import StoredBlocks
from storage.block_store import BlockStore
from storage.chain_store import ChainStore
from storage.snapshots import Snapshots
from storage.writer import StoreWriter
from tests.node.test_network_file import make as make_network
from tests.storage.memory_streams import MemoryNetwork

KEYS = make_keys()
EPOCH = 40
INTERVAL = 16


def make_file(*, rotates: bool = True, epoch: int = EPOCH) -> NetworkFile:
    network = make_network()
    exchange = msgspec.structs.replace(network.exchange, checkpoint_interval=INTERVAL)
    return make_network(
        committee=make_seats(KEYS),
        exchange=exchange,
        timers=Timers(gap_ms=100),
        scoring=Scoring(period_blocks=epoch, lead_blocks=33, rotates=rotates),
    )


Asked = Callable[[str, bytes], Awaitable[bytes]]


class FakePeers(Peers):
    """Peers by name; the first four are the validators."""

    def __init__(self) -> None:
        self.answers: dict[str, Asked] = {}
        self.asked: list[str] = []

    def near(self) -> Sequence[str]:
        return list(self.answers)

    def address(self, peer: str) -> bytes | None:
        return KEYS[int(peer[1:])].address if peer in ("v0", "v1", "v2", "v3") else None

    async def ask(self, peer: str, request: bytes) -> bytes:
        self.asked.append(peer)
        return await self.answers[peer](peer, request)


async def stay_away(peer: str, request: bytes) -> bytes:
    raise TransientError(f"{peer} does not answer")


class Newcomer:
    """The stores of a node that catches up; `reopen` is what a kill leaves."""

    def __init__(self, file: NetworkFile, folder: Path, network: MemoryNetwork) -> None:
        self.file = file
        self.folder = folder
        self.network = network
        self.peers = FakePeers()
        self.trust: Trust = trust_genesis(file)
        self.named: tuple[int, bytes] | None = None
        self.marks = 0
        folder.mkdir(exist_ok=True)
        self._open()

    def _open(self) -> None:
        self.store = ChainStore(self.folder / "chain.sqlite", self.file.network_id)
        self.writer = StoreWriter(self.store)
        self.blocks = BlockStore(self.folder / "blocks.sqlite")
        self.snapshots = Snapshots(self.blocks)

    async def begin(self) -> None:
        self.bitswap = await self.network.add("newcomer")
        self.bitswap._source = StoredBlocks(self.blocks)

    def reopen(self) -> None:
        self.close()
        self._open()
        self.bitswap._source = StoredBlocks(self.blocks)

    def close(self) -> None:
        self.store.close()
        self.blocks.close()

    @property
    def position(self) -> Position:
        committee: Committee = make_genesis_epoch(self.file).committee
        return Position(
            height=self.store.final_height,
            time_ms=self.file.genesis_time_ms,
            committee=committee,
        )

    def sync(self) -> StateSync:
        async def read_trust() -> Trust:
            return self.trust

        def mark() -> None:
            self.marks += 1

        return StateSync(
            file=self.file,
            domain=self.domain,
            writer=self.writer,
            store=self.store,
            snapshots=self.snapshots,
            bitswap=self.bitswap,
            peers=self.peers,
            progress=Progress(self.folder / "sync.json"),
            read_trust=read_trust,
            named=self.named,
            behind_blocks=20,
            before_adoption=mark,
            disk=self.folder,
            disk_free_min=0,
        )

    @property
    def domain(self) -> bytes:
        from primitives.eip712 import network_domain

        return network_domain(self.file.network_id)


async def serve(chain: LongChain, network: MemoryNetwork, name: str) -> Asked:
    """Let a chain's node give its blocks under a name; return how it answers."""
    node = await network.add(name)
    node._source = StoredBlocks(chain.blocks)
    return SyncServer(chain.readers, chain.snapshots, chain.book).answer
