"""The WebSocket side of the SDK against nodes that break off, lag, lie or talk nonsense.

Rule: hostile nodes are real servers on the loopback.
Spec: docs/reference/api.md (WebSocket). Deviations: none.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from functools import partial

import msgspec
import pytest
import trio
from trio_websocket import ConnectionClosed, serve_websocket

from client.errors import ClientError, ConnectionLost, RequestRefused, StreamLagged
from client.node_client import open_node
from client.rest import RestClient
from client.stream import NodeStream
from client.subscription import Event, Subscription
from tests.client.exchange_node import ExchangeNode, node


def event(seq, *, is_snapshot=False):
    return Event(channel="blocks", key=None, seq=seq, is_snapshot=is_snapshot, data=seq)


async def take(subscription, count):
    return [(await subscription.receive()).seq for _ in range(count)]


# Subscriptions


async def test_events_that_overtake_their_snapshot_come_after_it():
    subscription = Subscription(("blocks", None), lambda _: None)
    subscription.deliver(event(6))
    subscription.deliver(event(7))
    subscription.deliver(event(5, is_snapshot=True))
    subscription.deliver(event(8))
    assert await take(subscription, 4) == [5, 6, 7, 8]


async def test_events_a_snapshot_contains_are_not_repeated():
    subscription = Subscription(("blocks", None), lambda _: None)
    subscription.deliver(event(4))
    subscription.deliver(event(5, is_snapshot=True))
    subscription.deliver(event(5))
    subscription.deliver(event(6))
    assert await take(subscription, 2) == [5, 6]


async def test_a_gap_ends_the_subscription_with_an_error():
    forgotten = []
    subscription = Subscription(("blocks", None), forgotten.append)
    subscription.deliver(event(5, is_snapshot=True))
    subscription.deliver(event(7))
    assert await take(subscription, 1) == [5]
    with pytest.raises(StreamLagged):
        await subscription.receive()
    assert forgotten == [subscription]


async def test_a_reader_that_falls_behind_is_told(monkeypatch):
    monkeypatch.setattr("client.subscription.EVENTS_WAITING_MAX", 3)
    subscription = Subscription(("blocks", None), lambda _: None)
    subscription.deliver(event(0, is_snapshot=True))
    for seq in range(1, 6):
        subscription.deliver(event(seq))
    assert await take(subscription, 3) == [0, 1, 2]
    with pytest.raises(StreamLagged):
        await subscription.receive()


async def test_after_a_break_everything_begins_with_a_snapshot():
    subscription = Subscription(("blocks", None), lambda _: None)
    subscription.deliver(event(5, is_snapshot=True))
    subscription.interrupt()
    subscription.deliver(event(1))
    subscription.deliver(event(0, is_snapshot=True))
    assert await take(subscription, 3) == [5, 0, 1]


# The real API


async def test_a_subscription_follows_the_blocks_of_a_node():
    service = ExchangeNode()
    async with node(service, blocks=False) as url, open_node(url) as client:
        subscription = client.subscribe("book", 0)
        first = await subscription.receive()
        assert first.is_snapshot
        assert first.data.market == 0
        subscription.close()
        with pytest.raises(ClientError):
            await subscription.receive()


async def test_a_channel_the_node_refuses_ends_with_the_nodes_own_words():
    async with node(ExchangeNode()) as url, open_node(url) as client:
        with pytest.raises(RequestRefused) as refused:
            await client.subscribe("book", 99).receive()
        assert refused.value.code == "not_found"
        assert refused.value.fix


async def test_a_garbage_action_is_refused_and_the_connection_stays():
    async with node(ExchangeNode()) as url, open_node(url) as client:
        (result,) = await client.submit([(b"garbage", b"\0" * 65)])
        assert not result.accepted
        for pairs in ([], [(b"", b"\0" * 65)], [(b"x", b"short")], [(b"x", b"\0" * 65)] * 101):
            with pytest.raises(ClientError):
                await client.submit(pairs)
        assert client.stream.is_connected
        (result,) = await client.rest.submit([(b"garbage", b"\0" * 65)])
        assert not result.accepted


async def test_a_refusal_over_rest_has_code_and_fix():
    async with node(ExchangeNode()) as url, RestClient(url) as rest:
        with pytest.raises(RequestRefused) as refused:
            await rest.book("NO-SUCH")
        assert (refused.value.code, refused.value.status) == ("not_found", 404)
        assert await rest.account(b"\x77" * 20) is None
        assert await rest.action(b"\x00" * 32) is None


async def test_a_node_that_is_not_there_is_a_lost_connection():
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(ConnectionLost):
        async with open_node(f"http://127.0.0.1:{port}"):
            pass


# Hostile nodes


@asynccontextmanager
async def hostile(behave):
    """A WebSocket server that does what `behave(socket)` does; gives a stream connected to it."""

    async def handler(request):
        socket = await request.accept()
        with suppress(ConnectionClosed):
            await behave(socket)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, handler, "127.0.0.1", 0, None))
        stream = NodeStream(f"http://127.0.0.1:{server.port}")
        nursery.start_soon(stream.run)
        await stream.wait_connected()
        yield stream
        await stream.close()
        nursery.cancel_scope.cancel()


async def test_a_node_that_never_answers_is_a_lost_connection():
    async def behave(socket):
        while True:
            await socket.get_message()

    async with hostile(behave) as stream:
        with pytest.raises(ConnectionLost):
            await stream.submit([(b"x", b"\0" * 65)], timeout_s=0.2)


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xff",
        b"\x91" * 5_000,
        msgspec.msgpack.encode({"request": 1, "results": "no list"}),
        msgspec.msgpack.encode([1, 2, 3]),
        msgspec.msgpack.encode({"error": {"code": "bad_request", "message": "unreadable"}}),
        "text",
    ],
)
async def test_nonsense_breaks_the_connection_and_a_new_one_is_made(answer):
    connections = []

    async def behave(socket):
        connections.append(socket)
        frame = msgspec.msgpack.decode(await socket.get_message())
        if len(connections) == 1:
            await socket.send_message(answer)
            await socket.get_message()
        result = {"id": b"\x05" * 32, "accepted": True}
        await socket.send_message(
            msgspec.msgpack.encode({"request": frame["request"], "results": [result]})
        )
        await socket.get_message()

    async with hostile(behave) as stream:
        with pytest.raises(ConnectionLost):
            await stream.submit([(b"x", b"\0" * 65)], timeout_s=60)
        (result,) = await stream.submit([(b"x", b"\0" * 65)], timeout_s=60)
        assert result.accepted
        assert stream.connections == 2


async def test_an_answer_with_too_few_results_is_refused():
    async def behave(socket):
        frame = msgspec.msgpack.decode(await socket.get_message())
        await socket.send_message(
            msgspec.msgpack.encode({"request": frame["request"], "results": []})
        )
        await socket.get_message()

    async with hostile(behave) as stream:
        with pytest.raises(RequestRefused):
            await stream.submit([(b"x", b"\0" * 65)], timeout_s=60)


async def test_answers_to_nothing_and_events_of_nobody_are_ignored():
    async def behave(socket):
        for odd in ({"request": 77}, {"channel": "blocks", "seq": 3, "data": []}, {}):
            await socket.send_message(msgspec.msgpack.encode(odd))
        frame = msgspec.msgpack.decode(await socket.get_message())
        result = {"id": b"\x05" * 32, "accepted": False, "code": "mempool_full"}
        await socket.send_message(
            msgspec.msgpack.encode({"request": frame["request"], "results": [result]})
        )
        await socket.get_message()

    async with hostile(behave) as stream:
        (result,) = await stream.submit([(b"x", b"\0" * 65)], timeout_s=60)
        assert (result.accepted, result.code) == (False, "mempool_full")
