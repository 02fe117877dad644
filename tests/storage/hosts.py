"""Real py-libp2p hosts on loopback, guarded as in the daemon."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from p2p.config import NetworkConfig
from p2p.network import Network


@asynccontextmanager
async def running_network() -> AsyncIterator[Network]:
    """A node's network without validators."""
    config = NetworkConfig(network_id=b"n" * 32, seed=os.urandom(32), validators=())
    async with Network(config) as network:
        yield network


def addresses(network: Network) -> tuple[str, ...]:
    """Where a network listens, without the peer id."""
    found: list[Any] = network.host.get_addrs()
    return tuple(str(address).split("/p2p/")[0] for address in found)


async def connect(one: Network, other: Network) -> None:
    await one.connect(other.peer_id, addresses(other))
