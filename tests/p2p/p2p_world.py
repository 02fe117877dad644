"""Build small real networks on the loopback for the tests of `p2p/`.

Rule: real hosts on ephemeral ports; waiting is for a fact, with a limit, never for a time.
Spec: docs/spec/p2p.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from libp2p import create_yamux_muxer_option, new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.config import ConnectionConfig
from libp2p.peer.peerinfo import PeerInfo
from libp2p.rcmgr.manager import ResourceManager
from multiaddr import Multiaddr

from p2p import guards
from p2p.config import KnownValidator, NetworkConfig
from p2p.host import to_id
from p2p.identity import peer_id_from_seed
from p2p.network import Network
from primitives.secp256k1 import PrivateKey
from tests.free_ports import free_port

PATIENCE_S = 120.0  # on a machine that does much else
NETWORK_ID = b"test-network".ljust(32, b"\0")


class World:
    """Keys, seeds and addresses of `n` validators."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.seeds = [bytes([i + 1]) * 32 for i in range(n)]
        self.keys = [PrivateKey(bytes([i + 101]) * 32) for i in range(n)]
        self.addrs = [f"/ip4/127.0.0.1/tcp/{free_port()}" for _ in range(n)]
        self.validators = tuple(
            KnownValidator(address=key.address, peer_id=peer_id_from_seed(seed), multiaddrs=(addr,))
            for key, seed, addr in zip(self.keys, self.seeds, self.addrs, strict=True)
        )

    def config(self, i: int, **changes: Any) -> NetworkConfig:
        values: dict[str, Any] = {
            "network_id": NETWORK_ID,
            "seed": self.seeds[i],
            "validators": self.validators,
            "signer": self.keys[i],
            "listen": (self.addrs[i],),
        }
        return NetworkConfig(**(values | changes))

    def address(self, i: int) -> bytes:
        return self.keys[i].address

    def by_peer_id(self) -> list[int]:
        """Indices in the order of peer ids: the first one dials everybody."""
        return sorted(range(self.n), key=lambda i: to_id(self.validators[i].peer_id).to_bytes())


@asynccontextmanager
async def mesh(n: int, book: Path | None = None) -> AsyncIterator[tuple[World, list[Network]]]:
    """Run `n` validators that all talk to each other."""
    world = World(n)
    async with AsyncExitStack() as stack:
        networks = [await stack.enter_async_context(Network(world.config(i))) for i in range(n)]
        await until(lambda: all(is_whole(network) for network in networks))
        yield world, networks


def is_whole(network: Network) -> bool:
    return all(peer.sending and peer.receiving for peer in network.peers())


def status(network: Network, address: bytes) -> Any:
    return next(peer for peer in network.peers() if peer.address == address)


async def until(fact: Callable[[], bool], limit_s: float = PATIENCE_S) -> None:
    """Wait for a fact; raise TooSlowError when it does not come true."""
    with trio.fail_after(limit_s):
        while not fact():
            await trio.sleep(0.01)


@asynccontextmanager
async def stranger(seed: bytes = b"s" * 32) -> AsyncIterator[Any]:
    """Run a stock libp2p host without any of our protocols: the attacker."""
    address = Multiaddr(f"/ip4/127.0.0.1/tcp/{free_port()}")
    host = new_host(
        key_pair=create_new_key_pair(seed),
        listen_addrs=[address],
        muxer_opt=create_yamux_muxer_option(),
        connection_config=ConnectionConfig(min_connections=0, low_watermark=0),
        resource_manager=ResourceManager(enable_rate_limiting=False, enable_circuit_breaker=False),
    )
    guards.dial_nobody(host.get_network())
    async with host.run([address]):
        try:
            yield host
        finally:
            await guards.shut_down(host.get_network())


async def attach(host: Any, network: Network) -> Any:
    """Connect a stranger to a node; return the node's peer id object."""
    peer = to_id(network.peer_id)
    addresses = [Multiaddr(a) for a in network.listen_addresses]
    host.get_network().unblock_peer(peer)
    with trio.fail_after(PATIENCE_S):
        await host.connect(PeerInfo(peer, addresses))
    return peer


async def open_raw(host: Any, peer: Any, protocol: str) -> Any:
    with trio.fail_after(PATIENCE_S):
        return await host.new_stream(peer, [TProtocol(protocol)])


async def closes(stream: Any) -> bool:
    """Tell whether the other side ends the stream."""
    with trio.move_on_after(PATIENCE_S):
        try:
            while await stream.read(1 << 16):
                pass
        except Exception:
            return True
        return True
    return False
