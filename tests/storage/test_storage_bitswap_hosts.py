"""Bitswap between two real py-libp2p hosts on loopback, and against py-libp2p's own client."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager

import pytest
import trio

from primitives.cid import Cid
from primitives.errors import TransientError
from storage.bitswap import Bitswap
from storage.bitswap_host import HostStreams
from tests.storage.memory_blocks import MemoryBlocks


def make_blocks(count, size):
    blocks = [hashlib.shake_128(bytes([i % 256, i // 256])).digest(size) for i in range(count)]
    return {Cid.raw(block): block for block in blocks}


@asynccontextmanager
async def running_host():
    from libp2p import new_host
    from libp2p.crypto.ed25519 import create_new_key_pair
    from multiaddr import Multiaddr

    host = new_host(key_pair=create_new_key_pair())
    async with host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        yield host


async def connect(one, other):
    from libp2p.peer.peerinfo import PeerInfo

    await one.connect(PeerInfo(other.get_id(), other.get_addrs()))


async def test_blocks_go_from_host_to_host():
    held = make_blocks(40, 1 << 20) | make_blocks(100, 200)
    async with running_host() as a, running_host() as b, trio.open_nursery() as nursery:
        server = Bitswap(HostStreams(a), MemoryBlocks(held))
        client = Bitswap(HostStreams(b), MemoryBlocks())
        await nursery.start(server.run)
        await nursery.start(client.run)
        await connect(b, a)
        got = {}

        async def fetch(cid):
            got[cid] = await client.fetch(cid, timeout_s=30)

        start = trio.current_time()
        async with trio.open_nursery() as fetches:
            for cid in held:
                fetches.start_soon(fetch, cid)
        took = trio.current_time() - start
        print(f"{sum(map(len, held.values())) / took / 1e6:.1f} MB/s")
        for _ in range(20):
            cid = Cid.raw(bytes([_]))
            server._source.blocks[cid] = bytes([_])
            start = trio.current_time()
            await client.fetch(cid)
            print(f"{1000 * (trio.current_time() - start):.1f} ms", end=" ")
        assert got == held
        with pytest.raises(TransientError, match="no peer has"):
            await client.fetch(Cid.raw(b"nobody has this"))
        nursery.cancel_scope.cancel()
