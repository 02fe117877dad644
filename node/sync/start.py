"""Compose state sync for a node that has a network and a store, and nothing else yet.

Rule: it runs before consensus exists, so nothing is signed meanwhile; when it has adopted a state,
the node restores itself from the store as after any start.
Spec: docs/spec/state-sync.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from contracts.rpc_pool import RpcPool
from contracts.settlement_client import SettlementClient
from contracts.settlement_types import VaultStatus
from contracts.succession import read_newest
from node.clock import NodeClock
from node.committee.epoch_book import EpochBook
from node.config_schema import Config
from node.datadir import DataDir, write_atomic
from node.limits import EPOCHS_KEPT
from node.network_file import Chain, NetworkFile
from node.sync.named import parse_named
from node.sync.peers import NetworkPeers
from node.sync.progress import Progress
from node.sync.state_sync import Position, StateSync
from node.sync.trust import read_trust
from p2p.network import Network
from primitives.eip712 import network_domain
from primitives.errors import TransientError
from storage.bitswap import Bitswap
from storage.chain_store import ChainStore
from storage.gateway_client import GatewayClient
from storage.snapshots import Snapshots
from storage.writer import StoreWriter

DISTRUST = "a state was fetched: the blocks with this key's last votes were not\n"


def make_sync(
    *,
    config: Config,
    data: DataDir,
    file: NetworkFile,
    store: ChainStore,
    writer: StoreWriter[ChainStore],
    snapshots: Snapshots,
    bitswap: Bitswap,
    network: Network,
    open_rpc: Callable[[Chain], RpcPool],
) -> StateSync | None:
    """Return an attempt to catch up; None where it is off, or nobody could be asked."""
    if not config.sync.state or all(one.peer_id == network.peer_id for one in file.bootstrap):
        return None
    return StateSync(
        file=file,
        domain=network_domain(file.network_id),
        writer=writer,
        store=store,
        snapshots=snapshots,
        bitswap=bitswap,
        peers=NetworkPeers(network),
        progress=Progress(data.sync_file),
        read_trust=partial(read_trust, file, _find_status(config, file, open_rpc)),
        named=parse_named(config.sync.trusted_checkpoint),
        behind_blocks=config.sync.behind_blocks,
        before_adoption=partial(mark_distrusted, data),
        disk=data.chain,
        disk_free_min=config.safety.disk_free_mb_min << 20,
        gateways=GatewayClient(config.sync.gateways) if config.sync.gateways else None,
    )


def mark_distrusted(data: DataDir) -> None:
    """Have the next start be silent. Raises TransientError: then nothing may be adopted."""
    try:
        write_atomic(data.distrust_file, DISTRUST)
    except OSError as error:
        raise TransientError(f"{data.distrust_file} cannot be written: {error}") from error


async def catch_up(sync: StateSync, book: EpochBook, *, clock: NodeClock, stop: trio.Event) -> bool:
    """Fetch a state if this node is far behind; True when one was adopted.

    Raises OperatorError when the disk refuses.
    """
    latest = sync.store.read.latest_final()
    position = Position(
        height=sync.store.final_height,
        time_ms=sync.file.genesis_time_ms if latest is None else latest.time_ms,
        committee=book.current.committee,
    )
    if not sync.may_be_needed(position, clock.now_ms()):
        return False
    adopted: list[int | None] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(sync.bitswap.run)

        async def run() -> None:
            adopted.append(await sync.run(position))
            nursery.cancel_scope.cancel()

        nursery.start_soon(run)
        await stop.wait()
        nursery.cancel_scope.cancel()
    if not adopted or adopted[0] is None:
        return False
    book.load(sync.store.read.epochs(newest=EPOCHS_KEPT))
    return True


def _find_status(
    config: Config, file: NetworkFile, open_rpc: Callable[[Chain], RpcPool]
) -> Callable[[], VaultStatus] | None:
    """Return what reads how far the chain's vault, or its successor, has followed the ledger."""
    if not file.chains or not config.evm.rpc_urls:
        return None
    chain = file.chains[0]

    def open_client(vault: bytes) -> SettlementClient:
        return SettlementClient(
            open_rpc(chain), chain_id=chain.chain_id, vault=vault, network_id=file.network_id
        )

    return lambda: read_newest(open_client, chain.vault_bytes)[1]
