"""Check each trap of py-libp2p 0.8.1 against the guard that contains it, with a hostile stock host.

Rule: see tests/README. Each test ends by showing that the two honest nodes still talk.
Spec: docs/spec/p2p.md §8. Deviations: none.
"""

from __future__ import annotations

import os
import struct
import time
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils import encode_varint_prefixed

from p2p import guards, limits, stream_buffers
from p2p import network as network_module
from p2p.containing import attempt
from p2p.host import to_id
from p2p.lanes import LANES, Lane
from p2p.network import Network
from p2p.stream_buffers import Buffers
from primitives.errors import ConfigError
from tests.p2p.p2p_world import (
    PATIENCE_S,
    World,
    attach,
    closes,
    is_whole,
    mesh,
    open_raw,
    stranger,
    until,
)

MESHSUB = "/meshsub/1.1.0"
ROUTER_MEMORIES = (
    "back_off",
    "iwant_request_limits",
    "ihave_message_limits",
    "graft_flood_tracking",
    "dont_send_message_ids",
)


@asynccontextmanager
async def attacked():
    """Two honest nodes and a stranger connected to the first."""
    async with mesh(2) as (_, networks), stranger() as host:
        for network in networks:

            async def ignore(message):
                pass

            await network.subscribe("topic", ignore)
        peer = await attach(host, networks[0])
        yield networks, host, peer
        await until(lambda: all(is_whole(network) for network in networks))
        networks[0].broadcast(Lane.VOTE, b"alive")
        networks[1].broadcast(Lane.VOTE, b"alive")
        for network in networks:
            with trio.fail_after(PATIENCE_S):
                assert (await network.receive(Lane.VOTE)).data == b"alive"


def rpc(**fields) -> bytes:
    message = rpc_pb2.Message(**fields)
    return encode_varint_prefixed(rpc_pb2.RPC(publish=[message]).SerializeToString())


def topic_of(network: Network) -> str:
    return network.gossip._prefix + "topic"


# --- gossip ---------------------------------------------------------------------------------------


async def test_garbage_on_a_gossip_stream_is_contained():
    """No protobuf, an endless length, a huge one, random bytes, a length and then silence."""
    async with attacked() as (networks, host, peer):
        for data in (
            encode_varint_prefixed(b"\xff" * 50),
            b"\xff" * 11,
            b"\xff\xff\xff\xff\x0f",
            os.urandom(3000),
            (1 << 20).to_bytes(4, "little"),
        ):
            stream = await open_raw(host, peer, MESHSUB)
            await stream.write(data)
        await until(lambda: networks[0].counters().get("stream_faults", 0) >= 1)


async def test_gossip_with_an_undecodable_author_or_key_is_contained():
    async with attacked() as (networks, host, peer):
        stream = await open_raw(host, peer, MESHSUB)
        for key in (b"", b"\x08\x09\x12\x01x", b"\xff\xff"):
            for author in (b"\x12\x20" + b"a" * 32, b"", b"\x00\x01x"):
                message = rpc(
                    from_id=author,
                    seqno=b"1",
                    data=b"x",
                    topicIDs=[topic_of(networks[0])],
                    key=key,
                    signature=b"s" * 64,
                )
                await stream.write(message)
        await until(lambda: networks[0].counters().get("gossip_faults", 0) >= 3)


async def test_gossip_above_the_limit_or_the_rate_is_dropped_unread():
    async with attacked() as (networks, host, peer):
        stream = await open_raw(host, peer, MESHSUB)
        topics = [topic_of(networks[0])]
        await stream.write(rpc(data=b"x" * (limits.GOSSIP_BYTES_MAX + 1), topicIDs=topics))
        await until(lambda: networks[0].counters().get("gossip_oversized") == 1)
        batch = b"".join(
            rpc(seqno=b"%d" % i, topicIDs=topics) for i in range(limits.GOSSIP_STRANGER_BURST + 50)
        )
        await stream.write(batch)
        await until(lambda: networks[0].counters().get("gossip_rate_limited", 0) > 3)


async def test_one_rpc_of_many_messages_or_entries_ends_its_stream():
    """Half a megabyte of empty messages, prunes, grafts or ids would keep the loop for minutes."""
    one = rpc_pb2.Message(topicIDs=["topic"])
    floods = [rpc_pb2.RPC(publish=[one] * (limits.GOSSIP_RPC_ENTRIES_MAX + 1))]
    for part in ("prune", "graft", "idontwant"):
        flood = rpc_pb2.RPC()
        for _ in range(limits.GOSSIP_RPC_ENTRIES_MAX + 1):
            getattr(flood.control, part).add()
        floods.append(flood)
    for part in ("ihave", "iwant"):
        flood = rpc_pb2.RPC()
        ids = getattr(flood.control, part).add().messageIDs
        ids.extend([b"x"] * (limits.GOSSIP_RPC_IDS_MAX + 1))
        floods.append(flood)
    async with attacked() as (_, host, peer):
        for flood in floods:
            stream = await open_raw(host, peer, MESHSUB)
            await stream.write(encode_varint_prefixed(flood.SerializeToString()))
            assert await closes(stream)


async def test_topics_nobody_follows_leave_no_trace_and_named_peers_are_not_dialed():
    async with attacked() as (networks, host, peer):
        router = networks[0].gossip._router
        stream = await open_raw(host, peer, MESHSUB)
        message = rpc_pb2.RPC()
        for number in range(40):
            message.control.prune.add(topicID=f"topic-of-nobody-p{number}", backoff=1 << 60)
            message.control.graft.add(topicID=f"topic-of-nobody-g{number}")
            message.control.ihave.add(topicID=f"topic-of-nobody-h{number}").messageIDs.append(b"id")
        message.control.idontwant.add().messageIDs.append(b"id")
        known = message.control.prune.add(topicID=topic_of(networks[0]), backoff=1 << 60)
        dialed: list[Any] = []
        router._do_px = dialed.append
        known.peers.add(peerID=b"\x12\x20" + b"v" * 32)
        await stream.write(encode_varint_prefixed(message.SerializeToString()))
        await until(lambda: host.get_id() in router.back_off.get(topic_of(networks[0]), ()))
        assert not dialed
        wait_s = router.back_off[topic_of(networks[0])][host.get_id()] - time.time()
        assert wait_s <= limits.GOSSIP_BACKOFF_S_MAX + 1
        remembered = "".join(repr(getattr(router, name)) for name in ROUTER_MEMORIES)
        assert "topic-of-nobody" not in remembered
        assert router.dont_send_message_ids.get(host.get_id(), set()) == set()


async def test_a_message_asked_for_a_thousand_times_is_given_once():
    async with attacked() as (networks, host, _):
        router = networks[0].gossip._router
        for mark in range(6):
            await networks[0].publish("topic", bytes([mark]) * limits.GOSSIP_BYTES_MAX)
        ids = list(router.mcache.msgs)
        assert len(ids) == 6
        given: list[Any] = []
        router.pubsub.peers = {host.get_id(): None}
        router.send_rpc = lambda to, packet, *_: given.append(packet)
        wants = rpc_pb2.ControlIWant()
        wants.messageIDs.extend([name for name in ids for _ in range(500)])
        await router.handle_iwant(wants, host.get_id())
        (packet,) = given
        assert len(packet.publish) == limits.GOSSIP_WANTED_BYTES_MAX // limits.GOSSIP_BYTES_MAX


async def test_what_is_known_of_absent_peers_is_forgotten():
    async with attacked() as (networks, host, _):
        router = networks[0].gossip._router
        gone = host.get_id()
        router.iwant_request_limits[gone]["requests"].append(1.0)
        router.ihave_message_limits[gone]["topic"].append(1.0)
        router.graft_flood_tracking[gone]["topic"] = 1.0
        router._add_back_off(gone, "topic", False, 10)
        router.forget()
        assert not any(gone in getattr(router, name) for name in ROUTER_MEMORIES[1:])
        assert gone not in router.back_off["topic"]


async def test_a_validator_or_handler_that_raises_stops_nothing():
    async with mesh(2) as (_, networks):
        heard = []

        def judge(origin: str, data: bytes) -> bool:
            if data == b"judge fails":
                raise RuntimeError("hole in the validator")
            return data != b"no"

        async def handle(message):
            if message.data == b"handler fails":
                raise RuntimeError("hole in the handler")
            heard.append(message.data)

        await networks[1].subscribe("news", handle, judge)
        await until(lambda: networks[0].gossip.peers("news") != ())
        for data in (b"judge fails", b"no", b"handler fails", b"fine"):
            await networks[0].publish("news", data)
        await until(lambda: heard == [b"fine"])
        counters = networks[1].counters()
        assert (counters["gossip_validator_faults"], counters["gossip_handler_faults"]) == (1, 1)


async def test_sequence_numbers_of_a_restarted_node_are_above_all_it_has_used():
    world = World(1)
    async with Network(world.config(0)) as network:
        assert abs(network.gossip._pubsub.counter - time.time_ns()) < 60_000_000_000


# --- streams and connections ----------------------------------------------------------------------


async def test_an_exception_in_any_stream_handler_is_contained():
    async with attacked() as (networks, host, peer):

        async def broken(stream):
            await stream.read(1)
            raise RuntimeError("ours")

        networks[0].host.set_stream_handler("/broken/1", broken)
        stream = await open_raw(host, peer, "/broken/1")
        await stream.write(b"x")
        assert await closes(stream)
        assert networks[0].counters()["stream_faults"] == 1


async def test_more_streams_than_allowed_on_one_connection_are_reset():
    async with attacked() as (networks, host, peer):

        async def idle(stream):
            await stream.read(1)

        networks[0].host.set_stream_handler("/idle/1", idle)
        opened = 0
        for _ in range(2 * limits.STREAMS_PER_CONNECTION_MAX):
            _, fault = await attempt(open_raw, host, peer, "/idle/1")
            if fault is not None:
                break
            opened += 1
        assert limits.STREAMS_PER_CONNECTION_MAX // 2 < opened <= limits.STREAMS_PER_CONNECTION_MAX


async def test_closed_inbound_connections_give_their_slots_back():
    async with mesh(2) as (_, networks):
        node = networks[0]
        swarm = node.host.get_network()
        before = swarm._inbound_limiter.borrowed_tokens
        for i in range(10):
            async with stranger(bytes([i + 60]) * 32) as host:
                await attach(host, node)
                await until(lambda: len(node.observers()) == 1)
            await until(lambda: node.observers() == ())
        await until(lambda: swarm._inbound_limiter.borrowed_tokens == before)


async def test_identities_that_come_and_go_leave_nothing_behind(monkeypatch):
    monkeypatch.setattr(network_module, "FORGET_S", 0.1)
    async with attacked() as (networks, host, _):
        swarm = networks[0].host.get_network()
        memories = (
            swarm.peerstore.peer_data_map,
            swarm.peerstore.peer_record_map,
            swarm.auto_connector._recent_disconnects,
        )
        gone = set()
        for mark in range(3):
            async with stranger(bytes([mark, 77]) * 16) as other:
                await attach(other, networks[0])
                gone.add(other.get_id())
        await until(lambda: not any(gone & set(memory) for memory in memories))
        assert to_id(networks[1].peer_id) in swarm.peerstore.peer_data_map
        assert host.get_id() in swarm.peerstore.peer_data_map


async def test_idle_tcp_connections_of_one_address_are_bounded():
    async with mesh(2) as (_, networks):
        port = int(networks[0].listen_addresses[0].split("/")[4])
        before = networks[0].host.get_network()._inbound_limiter.borrowed_tokens
        idle = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(60)]
        limiter = networks[0].host.get_network()._inbound_limiter
        ended: list[trio.SocketStream] = []

        async def read_to_the_end(stream: trio.SocketStream) -> None:
            while await stream.receive_some(100):
                pass
            ended.append(stream)

        async with trio.open_nursery() as nursery:
            for stream in idle:
                nursery.start_soon(read_to_the_end, stream)
            await until(lambda: len(ended) >= 60 - limits.PENDING_PER_IP_MAX)
            nursery.cancel_scope.cancel()
        assert limiter.borrowed_tokens <= before + limits.PENDING_PER_IP_MAX
        for stream in idle:
            await stream.aclose()
        await until(lambda: limiter.borrowed_tokens == before)


async def test_garbage_instead_of_a_handshake_is_contained():
    async with attacked() as (networks, _, _peer):
        port = int(networks[0].listen_addresses[0].split("/")[4])
        for data in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\0" * 100) * 4:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(data)
            await stream.aclose()


async def test_junk_muxer_frames_end_only_the_connection_of_their_sender():
    async with attacked() as (networks, host, peer):
        connection = host.get_network().get_connections(peer)[0]
        await connection.muxed_conn.secured_conn.write(b"\0\0\0\0" + b"\xff" * 8)
        await connection.muxed_conn.secured_conn.write(os.urandom(500))
        await until(lambda: networks[0].observers() == ())


async def test_pings_whose_answers_nobody_reads_end_only_the_connection_of_their_sender():
    async with attacked() as (networks, host, peer):
        connection = host.get_network().get_connections(peer)[0]
        muxed = connection.muxed_conn
        ping = b"\0\x02\0\x01\0\0\0\0\0\0\0\x01"
        muxed._nursery.cancel_scope.cancel()  # the attacker stops reading
        socket = guards_socket(muxed)
        with trio.move_on_after(PATIENCE_S):
            try:
                while networks[0].observers():
                    await muxed.secured_conn.write(ping * 4000)
            except Exception:
                pass
        socket.close()
        await until(lambda: networks[0].observers() == ())


IDENTIFY = "/ipfs/id/1.0.0"


def data_frame(stream_id: int, body: bytes) -> bytes:
    return struct.pack("!BBHLL", 0, 0, 0, stream_id, len(body)) + body


async def raw_stream(host, peer, protocol: str) -> tuple[Any, int]:
    """An open stream's connection and number, to write frames of our own making."""
    stream = await open_raw(host, peer, protocol)
    return stream.muxed_conn, stream.muxed_stream.stream_id


def buffers_of_observers(network: Network) -> list[Buffers]:
    observers = set(network.observers())
    swarm = network.host.get_network()
    return [
        connection.muxed_conn.stream_buffers
        for peer, connections in swarm.connections.items()
        for connection in connections
        if str(peer) in observers
    ]


@pytest.mark.parametrize("size", [1 << 16, 1 << 20, limits.STREAM_BUFFER_BYTES_MAX + 1])
async def test_bytes_beyond_the_window_of_a_stream_nobody_reads_end_the_connection(size):
    """An identify stream is answered and never read."""
    async with attacked() as (networks, host, peer):
        muxed, number = await raw_stream(host, peer, IDENTIFY)
        (buffers,) = buffers_of_observers(networks[0])

        async def flood():
            for _ in range(256):
                await muxed._write_frame(data_frame(number, bytes(size)))
                assert buffers.size_bytes <= 2 * limits.STREAM_BUFFER_BYTES_MAX

        await attempt(flood)
        await until(lambda: networks[0].observers() == ())


async def test_bytes_waiting_in_many_streams_end_the_connection():
    async with attacked() as (networks, host, peer):
        (buffers,) = buffers_of_observers(networks[0])

        async def flood():
            for _ in range(8):
                muxed, number = await raw_stream(host, peer, IDENTIFY)
                for _ in range(15):
                    await muxed._write_frame(data_frame(number, bytes(1 << 16)))
                    assert buffers.size_bytes <= limits.CONNECTION_BUFFER_BYTES_MAX + (1 << 17)

        await attempt(flood)
        await until(lambda: networks[0].observers() == ())


async def test_streams_left_half_closed_end_the_connection(monkeypatch):
    monkeypatch.setattr(stream_buffers, "MUXED_STREAMS_MAX", 20)
    async with attacked() as (networks, host, peer):

        async def flood():
            for _ in range(40):
                await open_raw(host, peer, IDENTIFY)

        await attempt(flood)
        await until(lambda: networks[0].observers() == ())


async def test_what_waits_between_two_validators_may_be_more():
    async with mesh(2) as (_, networks):
        await until(lambda: all(is_whole(network) for network in networks))
        for network in networks:
            for connections in network.host.get_network().connections.values():
                for connection in connections:
                    buffers = connection.muxed_conn.stream_buffers
                    assert buffers.bytes_max == limits.VALIDATOR_BUFFER_BYTES_MAX
                    assert len(buffers) < 32


def guards_socket(muxed):
    layer = muxed.secured_conn
    while not isinstance(layer, trio.SocketStream):
        layer = next(
            x
            for n in ("conn", "stream", "read_writer", "read_write_closer")
            if (x := getattr(layer, n, None)) is not None
        )
    return layer.socket


# --- lanes ----------------------------------------------------------------------------------------


async def test_a_stranger_on_a_lane_is_refused():
    lane = Lane.BULK
    async with attacked() as (networks, host, peer):
        for data in (b"\0\0\0\x05hello", b"\xff" * 2000, b"\xff\xff\xff\xff"):
            stream = await open_raw(host, peer, LANES[lane].protocol)
            await stream.write(data)
            assert await closes(stream)
            await until(lambda: not host.get_network().get_connections(peer))
            networks[0].forgive(str(host.get_id()))
            await attach(host, networks[0])


@pytest.mark.parametrize(
    "data",
    [os.urandom(5000), b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\x80\x07\0\0" + b"x" * 0x70000],
    ids=["random", "oversized", "empty_more", "one_message_too_long"],
)
async def test_a_proven_validator_that_breaks_the_framing_is_shunned_and_the_node_lives(data):
    async with mesh(3) as (world, networks):
        evil, victim, third = networks
        queue = evil._links[world.address(1)].queues[Lane.VOTE]
        if data.startswith(b"\x80\x07"):
            data = data * 2
        queue.put(data)
        await until(lambda: victim.counters().get("offences", 0) >= 1)
        await until(lambda: evil.peer_id and not _connected(victim, evil))
        assert not victim._admission.is_open(evil.peer_id)
        victim.broadcast(Lane.VOTE, b"alive")
        with trio.fail_after(PATIENCE_S):
            assert (await third.receive(Lane.VOTE)).data == b"alive"


def _connected(network: Network, other: Network) -> bool:
    return bool(network.host.get_network().get_connections(to_id(other.peer_id)))


async def test_a_banned_peer_loses_its_connection_and_cannot_come_back():
    async with attacked() as (networks, host, peer):
        networks[0].ban(str(host.get_id()), "two votes in one view")
        await until(lambda: networks[0].observers() == ())
        await until(lambda: not host.get_network().get_connections(peer))
        await attach(host, networks[0])
        await until(lambda: networks[0].counters().get("refused_connections", 0) >= 1)
        await until(lambda: networks[0].observers() == ())


async def test_a_fault_mixed_with_a_cancellation_is_contained():
    """A group of both is no Exception: a plain `except` would let it end the process."""

    async def fail_while_cancelled():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.lowlevel.checkpoint()
            outer.cancel()
            try:
                await trio.sleep_forever()
            finally:
                raise RuntimeError("ours")

    with trio.CancelScope() as outer:
        await attempt(fail_while_cancelled)
    assert outer.cancelled_caught or outer.cancel_called


def test_an_untested_version_of_the_library_is_refused(monkeypatch):
    monkeypatch.setattr(guards.importlib.metadata, "version", lambda name: "0.9.0")
    with pytest.raises(ConfigError, match=r"0\.9\.0"):
        guards.apply()
