"""Bitswap over real py-libp2p connections, with ours and with py-libp2p's own client."""

from __future__ import annotations

import hashlib

import pytest
import trio

from primitives.cid import Cid
from primitives.errors import TransientError
from storage.bitswap import Bitswap
from storage.bitswap_host import HostStreams, parse_peer
from tests.storage.hosts import connect, running_network
from tests.storage.memory_blocks import MemoryBlocks


def make_blocks(count, size):
    blocks = [hashlib.shake_128(repr((i, size)).encode()).digest(size) for i in range(count)]
    return {Cid.raw(block): block for block in blocks}


async def fetch_all(client, cids):
    got = {}

    async def fetch(cid):
        got[cid] = await client.fetch(cid, timeout_s=30)

    async with trio.open_nursery() as nursery:
        for cid in cids:
            nursery.start_soon(fetch, cid)
    return got


async def test_blocks_go_from_host_to_host_without_a_stall(capsys):
    held = make_blocks(20, 1 << 20) | make_blocks(100, 200)
    one_by_one = make_blocks(30, 300)
    async with running_network() as a, running_network() as b, trio.open_nursery() as nursery:
        server = Bitswap(HostStreams(a.host), MemoryBlocks(held | one_by_one))
        client = Bitswap(HostStreams(b.host), MemoryBlocks())
        await nursery.start(server.run)
        await nursery.start(client.run)
        await connect(b, a)
        start = trio.current_time()
        assert await fetch_all(client, held) == held
        bulk_s = trio.current_time() - start
        start = trio.current_time()
        for cid, block in one_by_one.items():
            assert await client.fetch(cid, [parse_peer(a.peer_id)]) == block
        small_ms = (trio.current_time() - start) * 1_000 / len(one_by_one)
        with pytest.raises(TransientError, match="no peer has"):
            await client.fetch(Cid.raw(b"nobody has this"))
        nursery.cancel_scope.cancel()
    with capsys.disabled():
        bulk = 20 * 1.048576 / bulk_s
        print(f"\n{bulk:.0f} MB/s in 1 MiB blocks, {small_ms:.1f} ms per small block")
    assert small_ms < 500  # py-libp2p's own client takes 1,000 from the second fetch on


async def test_py_libp2ps_client_fetches_from_us():
    from libp2p.bitswap import BitswapClient

    held = make_blocks(5, 40_000)
    async with running_network() as a, running_network() as b, trio.open_nursery() as nursery:
        server = Bitswap(HostStreams(a.host), MemoryBlocks(held))
        await nursery.start(server.run)
        stock = BitswapClient(b.host)
        stock.set_nursery(nursery)
        await stock.start()
        await connect(b, a)
        for cid, block in held.items():
            session = stock.new_session()
            got = await session.get_block(cid.encode(), peer_id=a.host.get_id(), timeout=20)
            assert got == block
        await stock.stop()
        nursery.cancel_scope.cancel()


async def test_we_fetch_from_py_libp2ps_client():
    from libp2p.bitswap import BitswapClient

    held = make_blocks(5, 40_000)
    async with running_network() as a, running_network() as b, trio.open_nursery() as nursery:
        stock = BitswapClient(a.host)
        stock.set_nursery(nursery)
        await stock.start()
        for cid, block in held.items():
            await stock.add_block(cid.encode(), block)
        client = Bitswap(HostStreams(b.host), MemoryBlocks())
        await nursery.start(client.run)
        await connect(b, a)
        assert await fetch_all(client, held) == held
        await stock.stop()
        nursery.cancel_scope.cancel()


async def test_peer_that_goes_away_in_the_middle_is_replaced_by_the_next():
    held = make_blocks(30, 200_000)
    async with running_network() as a, running_network() as b, trio.open_nursery() as nursery:
        client = Bitswap(HostStreams(b.host), MemoryBlocks())
        other = Bitswap(HostStreams(a.host), MemoryBlocks(held))
        await nursery.start(client.run)
        await nursery.start(other.run)
        await connect(b, a)
        got = {}

        async def fetch(cid, peers):
            got[cid] = await client.fetch(cid, peers, timeout_s=30)

        async with trio.open_nursery() as fetches:  # noqa: SIM117 - `c` leaves before they end
            async with running_network() as c, trio.open_nursery() as serving:
                leaving = Bitswap(HostStreams(c.host), MemoryBlocks(held))
                await serving.start(leaving.run)
                await connect(b, c)
                for cid in held:
                    fetches.start_soon(fetch, cid, [parse_peer(c.peer_id), parse_peer(a.peer_id)])
                while len(got) < 3:
                    await trio.sleep(0.001)
                serving.cancel_scope.cancel()
        assert got == held
        nursery.cancel_scope.cancel()
