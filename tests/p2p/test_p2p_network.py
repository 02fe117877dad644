"""Check the network between real hosts: delivery, reconnection, restart, faults, strangers.

Rule: see tests/README. Spec: docs/spec/p2p.md. Deviations: none.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from p2p import guards, limits, links, receiving
from p2p.config import KnownValidator
from p2p.errors import Unreachable
from p2p.host import to_id
from p2p.identity import peer_id_from_seed
from p2p.lanes import Lane
from p2p.network import Network
from primitives.errors import ConfigError, InvalidMessage, LimitExceeded, PeerError
from tests.free_ports import free_port
from tests.p2p.p2p_world import PATIENCE_S, World, attach, is_whole, mesh, status, stranger, until


async def receive(network: Network, lane: Lane, count: int) -> list:
    with trio.fail_after(PATIENCE_S):
        return [await network.receive(lane) for _ in range(count)]


async def test_every_validator_hears_every_other_on_both_lanes():
    async with mesh(4) as (world, networks):
        for i, network in enumerate(networks):
            assert network.broadcast(Lane.VOTE, b"vote %d" % i) == 3
            assert network.broadcast(Lane.BULK, bytes([i]) * 1_000_000) == 3
        for i, network in enumerate(networks):
            others = {world.address(j): j for j in range(4) if j != i}
            votes = await receive(network, Lane.VOTE, 3)
            assert {(m.sender, m.data) for m in votes} == {
                (address, b"vote %d" % j) for address, j in others.items()
            }
            bodies = await receive(network, Lane.BULK, 3)
            assert all(m.data == bytes([others[m.sender]]) * 1_000_000 for m in bodies)


async def test_the_largest_message_arrives_and_a_larger_one_is_our_bug():
    async with mesh(2) as (world, networks):
        body = os.urandom(limits.BULK_MESSAGE_BYTES_MAX)
        assert networks[0].send(world.address(1), Lane.BULK, body)
        assert (await receive(networks[1], Lane.BULK, 1))[0].data == body
        with pytest.raises(ValueError):
            networks[0].broadcast(Lane.BULK, body + b"x")


async def test_both_directions_full_of_bulk_at_the_time_of_a_ping_do_not_wait_for_ever():
    """The muxer pings half a second after a connection opens, on both sides at once."""
    async with mesh(2) as (_, networks):
        body, ends = b"b" * 1_000_000, trio.current_time() + 1

        sent, received = 0, 0

        async def flood(network):
            nonlocal sent
            while trio.current_time() < ends:
                sent += network.broadcast(Lane.BULK, body)
                await trio.sleep(0.01)

        async def drain(network):
            nonlocal received
            async for _ in network.inbox(Lane.BULK):
                received += 1

        def dropped() -> int:
            return sum(network.inbox(Lane.BULK).dropped_total for network in networks)

        async with trio.open_nursery() as nursery:
            for network in networks:
                nursery.start_soon(drain, network)
            async with trio.open_nursery() as senders:
                for network in networks:
                    senders.start_soon(flood, network)
            await until(lambda: received + dropped() == sent)
            nursery.cancel_scope.cancel()
        assert all(peer.connects_total == 1 for n in networks for peer in n.peers())


async def test_lanes_come_back_after_a_forced_close():
    async with mesh(3) as (world, networks):
        guards.force_close(networks[0].host.get_network(), to_id(networks[1].peer_id))
        await until(lambda: status(networks[0], world.address(1)).connects_total == 2)
        await until(lambda: all(is_whole(network) for network in networks))
        networks[0].broadcast(Lane.VOTE, b"again")
        for network in networks[1:]:
            assert (await receive(network, Lane.VOTE, 1))[0].data == b"again"


async def test_a_peer_that_tells_a_dead_address_is_dialed_again_at_the_known_one():
    world = World(2)
    dials, is_dialed = world.by_peer_id()
    told = (f"/ip4/127.0.0.1/tcp/{free_port()}",)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Network(world.config(is_dialed, announce=told)))
        network = await stack.enter_async_context(Network(world.config(dials)))
        await until(lambda: is_whole(network))
        swarm = network.host.get_network()
        peer = to_id(world.validators[is_dialed].peer_id)
        await until(lambda: any(told[0] in str(known) for known in swarm.peerstore.addrs(peer)))
        guards.force_close(swarm, peer)
        await until(lambda: status(network, world.address(is_dialed)).connects_total == 2)


@pytest.mark.parametrize("position", [0, -1], ids=["who_dials", "who_is_dialed"])
async def test_a_restarted_node_is_heard_at_once_on_lanes_and_gossip(position):
    world = World(3)
    restarted = world.by_peer_id()[position]
    others = [i for i in range(3) if i != restarted]
    heard: list[bytes] = []

    async def note(message):
        heard.append(message.data)

    async with AsyncExitStack() as stack:
        networks = [await stack.enter_async_context(Network(world.config(i))) for i in others]
        for network in networks:
            await network.subscribe("chat", note)
        for life in (b"first", b"second"):
            async with Network(world.config(restarted)) as network:
                await until(lambda: is_whole(network) and len(network.gossip.peers("chat")) == 2)
                await network.subscribe("chat", note)
                await until(lambda: all(n.gossip.peers("chat") for n in networks))
                for i in range(20):
                    await network.publish("chat", life + b"%d" % i)
                await until(lambda: len(heard) == 20 * 3)
                assert set(heard) == {life + b"%d" % i for i in range(20)}
                heard.clear()
                await until(lambda: all(is_whole(n) for n in networks))
                network.broadcast(Lane.VOTE, life)
                for other in networks:
                    assert (await receive(other, Lane.VOTE, 1))[0].data == life


async def test_a_blocked_validator_hears_and_says_nothing_until_it_is_unblocked():
    async with mesh(3) as (world, networks):
        left, right, third = networks
        left.set_blocked({world.address(1)})
        await until(lambda: not status(left, world.address(1)).connected)
        await until(lambda: not status(right, world.address(0)).connected)
        assert not left.send(world.address(1), Lane.VOTE, b"lost")
        assert left.broadcast(Lane.VOTE, b"to the third") == 1
        assert (await receive(third, Lane.VOTE, 1))[0].sender == world.address(0)
        with pytest.raises(Unreachable):
            await left.request(right.peer_id, b"anything")
        left.set_blocked(set())
        await until(lambda: is_whole(left) and is_whole(right))
        left.broadcast(Lane.VOTE, b"back")
        assert (await receive(right, Lane.VOTE, 1))[0].data == b"back"


async def test_messages_for_an_absent_peer_are_bounded_dropped_and_counted():
    world = World(2)
    async with Network(world.config(0)) as network:
        body = b"x" * 1_000_000
        sent = [network.send(world.address(1), Lane.BULK, body) for _ in range(20)]
        assert sent.count(True) == limits.BULK_QUEUE_BYTES_MAX // (len(body) + 16)
        assert status(network, world.address(1)).dropped_total == sent.count(False)
        assert network.counters()["outbox_dropped_bulk"] == sent.count(False)


async def test_a_peer_that_stops_reading_delays_nobody_and_is_closed_and_comes_back(monkeypatch):
    monkeypatch.setattr(receiving, "SILENCE_S_MAX", 2.5)
    monkeypatch.setattr(links, "REDIAL_S_MAX", 1.0)
    world = World(3)
    what = {
        "network_id": world.config(0).network_id.hex(),
        "seed": world.seeds[2].hex(),
        "secret": world.keys[2].secret.hex(),
        "listen": world.addrs[2],
        "validators": [(v.address.hex(), v.peer_id, v.multiaddrs) for v in world.validators],
    }
    command = [sys.executable, str(Path(__file__).with_name("stalling_node.py")), json.dumps(what)]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    async with AsyncExitStack() as stack:
        networks = [await stack.enter_async_context(Network(world.config(i))) for i in range(2)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            try:
                await until(lambda: all(is_whole(network) for network in networks))
                process.send_signal(signal.SIGSTOP)
                # Enough to fill the sockets of the stalled peer; the other must not notice.
                slowest = 0.0
                for _ in range(60):
                    started = trio.current_time()
                    networks[0].broadcast(Lane.BULK, b"b" * 200_000)
                    networks[0].send(world.address(1), Lane.VOTE, b"vote")
                    await receive(networks[1], Lane.VOTE, 1)
                    await receive(networks[1], Lane.BULK, 1)
                    slowest = max(slowest, trio.current_time() - started)
                assert slowest < 1.5
                for network in networks:
                    await until(lambda n=network: not status(n, world.address(2)).sending)
                process.send_signal(signal.SIGCONT)
                await until(lambda: all(is_whole(network) for network in networks))
                networks[1].send(world.address(2), Lane.VOTE, b"echo")
                assert (await receive(networks[1], Lane.VOTE, 1))[0].data == b"echo"
            finally:
                process.kill()


async def test_a_node_of_another_network_is_refused_and_both_are_told_why():
    world = World(2)
    other = world.config(1, network_id=b"m" * 32)
    async with Network(world.config(0)) as ours, Network(other) as theirs:
        await until(lambda: "OtherNetwork" in status(ours, world.address(1)).last_error)
        await until(lambda: "OtherNetwork" in status(theirs, world.address(0)).last_error)
        assert not is_whole(ours)


async def test_an_impostor_with_the_peer_id_but_not_the_validator_key_is_refused():
    world = World(2)

    class Impostor:
        address = world.address(1)
        sign = staticmethod(world.keys[0].sign)

    async with Network(world.config(0)) as ours, Network(world.config(1, signer=Impostor())) as eve:
        await until(lambda: "ImpostorKey" in status(ours, world.address(1)).last_error)
        assert not status(ours, world.address(1)).receiving
        eve.broadcast(Lane.VOTE, b"forged")
        assert ours.inbox(Lane.VOTE).receive_nowait() is None


async def test_observers_are_bounded_and_cannot_open_a_lane():
    async with mesh(2) as (_, networks), AsyncExitStack() as stack:
        node = networks[0]
        node._admission._observers_max = 2
        hosts = [
            await stack.enter_async_context(stranger(bytes([i]) * 32)) for i in range(200, 204)
        ]
        for host in hosts:
            await attach(host, node)
        await until(lambda: len(node.observers()) == 2)
        assert node.counters()["refused_observers"] == 2
        assert is_whole(node)


async def test_an_observer_asks_questions_and_follows_gossip():
    async with mesh(2) as (world, networks):

        async def answer(peer_id: str, request: bytes) -> bytes:
            if request == b"bad":
                raise InvalidMessage("no such block")
            if request == b"bug":
                raise RuntimeError("ours")
            return request * 100_000

        networks[0].serve(answer)
        heard = []

        async def note(message):
            heard.append((message.data, message.validator))

        config = world.config(0, seed=b"o" * 32, signer=None, listen=("/ip4/127.0.0.1/tcp/0",))
        async with Network(config) as observer:
            await observer.subscribe("headers", note)
            await until(lambda: all(peer.connected for peer in observer.peers()))
            target = networks[0].peer_id
            assert await observer.request(target, b"abc") == b"abc" * 100_000
            with pytest.raises(PeerError, match="no such block"):
                await observer.request(target, b"bad")
            with pytest.raises(PeerError):
                await observer.request(target, b"bug")
            with pytest.raises(LimitExceeded):
                await observer.request(target, b"x" * (limits.REQUEST_BYTES_MAX + 1))
            await until(lambda: len(networks[1].gossip.peers("headers")) == 1)
            await networks[1].publish("headers", b"height 7")
            await until(lambda: heard == [(b"height 7", world.address(1))])
            assert await observer.request(target, b"still there") is not None


async def test_an_observer_that_asks_too_fast_is_told_to_wait():
    async with mesh(2) as (world, networks):

        async def answer(peer_id: str, request: bytes) -> bytes:
            return request

        networks[0].serve(answer)
        async with (
            stranger() as host,
            Network(
                world.config(0, seed=b"o" * 32, signer=None, listen=("/ip4/127.0.0.1/tcp/0",))
            ) as observer,
        ):
            await attach(host, networks[0])
            await until(lambda: observer.peers()[0].connected)

            async def ask_for_ever():
                while True:
                    await observer.request(networks[0].peer_id, b"x")

            with trio.fail_after(PATIENCE_S), pytest.raises(Unreachable, match="busy"):
                await ask_for_ever()


async def test_the_committee_can_change_while_running():
    world = World(3)
    two = world.validators[:2]
    async with AsyncExitStack() as stack:
        networks = [
            await stack.enter_async_context(Network(world.config(i, validators=two)))
            for i in range(2)
        ]
        await until(lambda: all(is_whole(network) for network in networks))
        for network in networks:
            network.set_validators(world.validators)
            assert all(network.is_validator(one.peer_id) for one in world.validators)
            assert not network.is_validator("a stranger")
        third = await stack.enter_async_context(Network(world.config(2)))
        await until(lambda: all(is_whole(network) for network in (*networks, third)))
        for network in networks:
            network.set_validators(two)
        await until(lambda: not any(peer.sending or peer.receiving for peer in third.peers()))
        assert all(is_whole(network) for network in networks)
        assert networks[0].broadcast(Lane.VOTE, b"x") == 1


async def test_a_port_in_use_is_an_operator_error():
    world = World(2)
    async with Network(world.config(0)):
        with pytest.raises(ConfigError, match="cannot listen"):
            async with Network(world.config(1, listen=(world.addrs[0],))):
                pass


async def test_an_error_of_the_body_comes_out_as_it_is():
    world = World(2)
    with pytest.raises(KeyError, match="mine"):
        async with Network(world.config(0)):
            raise KeyError("mine")


async def test_a_peer_without_an_address_is_dialed_by_nobody_and_reported():
    world = World(1)
    absent = KnownValidator(address=b"a" * 20, peer_id=peer_id_from_seed(b"\xaa" * 32))
    async with Network(world.config(0, validators=(*world.validators, absent))) as network:
        assert not status(network, absent.address).connected
        assert network.peers()[0].address == absent.address
