"""Catch up with a long chain twice: by a state over libp2p, and by replaying its blocks.

python -m bench.catch_up [--blocks 100000] [--replay 5000]

Rule: certificates, headers, snapshots and hashes are checked as a node checks them; the peer is
another libp2p host on loopback, replay takes ranges as they come from the wire and writes a store.
Exits 1 if a root differs.
Spec: docs/reference/benchmarks.md
Deviations: one process plays both nodes, so the peer's work is in the seconds of the state.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trio

from bench.catch_up_replay import replay
from bench.long_chain import LongChain, make_keys, make_seats
from exchange.genesis import AssetConfig, ExchangeGenesis, MarketConfig
from node.blocks import startup
from node.bundling.verifier import Verifier
from node.clock import NodeClock
from node.committee.epoch_book import EpochBook, make_genesis_epoch
from node.config_schema import Config, EvmSettings, SyncSettings
from node.datadir import DataDir
from node.keys.signing_key import KeySigner
from node.network_file import Bootstrap, Chain, NetworkFile, Scoring, Timers, make_network
from node.replica.ledger import Ledger
from node.replica.scorekeeper import make_scorekeeper
from node.settlement.checkpointer import CheckpointProofs
from node.sync.server import SyncServer
from node.sync.start import catch_up, make_sync
from p2p.config import KnownValidator, NetworkConfig
from p2p.identity import peer_id_from_seed
from p2p.network import Network
from primitives.eip712 import network_domain
from storage.bitswap import Bitswap
from storage.bitswap_host import HostStreams
from storage.block_source import StoredBlocks
from storage.block_store import BlockStore
from storage.chain_store import ChainStore
from storage.snapshots import Snapshots
from storage.writer import StoreWriter

KEYS = make_keys()
SEEDS = (b"\x51" * 32, b"\x52" * 32)
VAULT = "0x" + "9" * 40


def make_file() -> NetworkFile:
    """Return a network of four validators whose committee changes every hour of blocks."""
    assets = tuple(
        AssetConfig(name=name, decimals=6, chain_id=31337, vault=VAULT, token="0x" + digit * 40)
        for name, digit in (("USDX", "1"), ("WETH", "2"))
    )
    chain = Chain(
        chain_id=31337, vault=VAULT, registry="0x" + "7" * 40, distributor="0x" + "8" * 40
    )
    return make_network(
        name="long",
        network_id=b"\x07" * 32,
        genesis_time_ms=1_700_000_000_000,
        committee=make_seats(KEYS),
        timers=Timers(gap_ms=1_000),
        chains=(chain,),
        exchange=ExchangeGenesis(
            assets=assets,
            markets=(MarketConfig(name="WETH-USDX", base=1, quote=0, tick=1, lot=1),),
            checkpoint_interval=64,
        ),
        scoring=Scoring(rotates=True),
        bootstrap=(
            Bootstrap(
                address="0x" + KEYS[0].address.hex(),
                peer_id=peer_id_from_seed(SEEDS[0]),
                multiaddrs=(),
            ),
        ),
    )


def open_network(file: NetworkFile, index: int, place: tuple[str, ...], folder: Path) -> Network:
    """Return the network side of one of the two; `place` is where the first one listens."""
    known = tuple(
        KnownValidator(
            address=KEYS[one].address,
            peer_id=peer_id_from_seed(SEEDS[one]),
            multiaddrs=place if one == 0 else (),
        )
        for one in (0, 1)
    )
    return Network(
        NetworkConfig(
            network_id=file.network_id,
            seed=SEEDS[index],
            validators=known,
            signer=KeySigner(KEYS[index]),
            listen=("/ip4/127.0.0.1/tcp/0",),
            peer_book=folder / f"peers{index}.json",
        )
    )


async def fetch_state(chain: LongChain, folder: Path) -> dict[str, Any]:
    """Let an empty node catch up over libp2p; return seconds and what it has then."""
    file = chain.file
    data = DataDir(folder / "new")
    data.create(file.name, file.genesis_hash)
    store = ChainStore(data.chain / "chain.sqlite", file.network_id)
    blocks = BlockStore(data.chain / "blocks.sqlite")
    snapshots, book = Snapshots(blocks), EpochBook(make_genesis_epoch(file))
    async with open_network(file, 0, (), folder) as peer, trio.open_nursery() as nursery:
        peer.serve(SyncServer(chain.readers, chain.snapshots, chain.book).answer)
        serving = Bitswap(HostStreams(peer.host), StoredBlocks(chain.blocks))
        await nursery.start(serving.run)
        async with open_network(file, 1, peer.listen_addresses, folder) as network:
            began = time.perf_counter()
            sync = make_sync(
                config=Config(evm=EvmSettings(rpc_urls=()), sync=SyncSettings(behind_blocks=100)),
                data=data,
                file=file,
                store=store,
                writer=StoreWriter(store),
                snapshots=snapshots,
                bitswap=Bitswap(HostStreams(network.host), StoredBlocks(blocks)),
                network=network,
                open_rpc=lambda _: _refuse(),
            )
            assert sync is not None, "there is a peer to ask"
            adopted = await catch_up(sync, book, clock=NodeClock(), stop=trio.Event())
            assert adopted, "the chain is far ahead"
            seats = tuple((s.address_bytes, s.weight, s.payout_bytes) for s in file.committee)
            ledger = Ledger(file.exchange, seats, make_scorekeeper(file))
            verifier = Verifier(network_domain(file.network_id))
            await startup.restore(store, snapshots, ledger, CheckpointProofs(book), verifier)
            seconds = time.perf_counter() - began
        nursery.cancel_scope.cancel()
    known = chain.store.read.executed(ledger.height)
    found = {
        "state_s": round(seconds, 2),
        "state_height": ledger.height,
        "borders": ledger.height // file.scoring.period_blocks,
        "equal": known is not None and known.state_root == ledger.roots.state,
    }
    store.close()
    blocks.close()
    return found


def _refuse() -> Any:
    raise AssertionError("no EVM chain is configured")


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.catch_up")
    parser.add_argument("--blocks", type=int, default=100_000)
    parser.add_argument("--replay", type=int, default=5_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="omnibazaar-catch-up-") as name:
        folder = Path(name)
        began = time.perf_counter()
        chain = LongChain(make_file(), KEYS, folder / "peer")
        chain.grow(given.blocks)
        made_s = time.perf_counter() - began
        state = trio.run(fetch_state, chain, folder)
        replayed = replay(chain, folder / "replay", given.replay)
        chain.close()
    load = round(os.getloadavg()[0], 1)
    rate = {"blocks": given.blocks, "made_blocks_per_s": round(given.blocks / made_s), "load": load}
    print(json.dumps({**rate, **state, **replayed}))
    return 0 if state["equal"] and replayed["replay_equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
