"""What a WebSocket client sees.

Rule: real sockets on loopback, a fake node behind them; no sleeping to wait for something.
Spec: docs/reference/api.md (WebSocket). Deviations: none.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    open_websocket_url,
)

from node.api.access import Access
from node.api.hub import CHANNELS, KEY_FIELD
from node.api.limits import (
    CONNECTIONS_PER_ADDRESS_MAX,
    FRAME_BYTES_MAX,
    FRAME_ERRORS_MAX,
    SUBSCRIPTIONS_PER_CONNECTION_MAX,
)
from node.api.websocket import CLOSE_TOO_MANY_ERRORS, CLOSE_TOO_SLOW
from primitives.errors import TransientError
from tests.node.fake_server import TOKEN, serving
from tests.node.fake_service import FakeService

ALICE_TEXT = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
KEYS: dict[str, Any] = {"market": 1, "account": ALICE_TEXT, "room": "lobby"}
SIGNATURE = "0x" + "11" * 65


@pytest.fixture
async def service() -> FakeService:
    return FakeService(blocks=60)


@asynccontextmanager
async def connected(service: FakeService, **options: Any):
    async with serving(service, Access(token=TOKEN, **options)) as url:
        with trio.fail_after(60):
            address = url.replace("http", "ws") + "/v1/ws"
            async with open_websocket_url(
                address, max_message_size=8 << 20, message_queue_size=4_096
            ) as ws:
                try:
                    yield ws
                finally:  # the library leaves the socket open when the server closes first
                    await trio.aclose_forcefully(ws._stream)


async def ask(ws: WebSocketConnection, frame: dict[str, Any]) -> dict[str, Any]:
    await ws.send_message(json.dumps(frame))
    return json.loads(await ws.get_message())


async def ask_binary(ws: WebSocketConnection, frame: dict[str, Any]) -> dict[str, Any]:
    await ws.send_message(msgspec.msgpack.encode(frame))
    return msgspec.msgpack.decode(await ws.get_message())


async def read_for_ever(ws: WebSocketConnection, seen: list[Any]) -> None:
    while True:
        seen.append(await ws.get_message())


async def test_ping_tells_the_time(service: FakeService) -> None:
    async with connected(service) as ws:
        answer = await ask(ws, {"op": "ping", "request": 7})
        assert answer["request"] == 7
        assert answer["now_ms"] > 1_700_000_000_000


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_snapshot_comes_first_then_events_in_order(
    service: FakeService, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.api.ticker.TICK_S", 0.05)
    frame = {"op": "subscribe", "channel": channel}
    if channel in KEY_FIELD:
        frame[KEY_FIELD[channel]] = KEYS[KEY_FIELD[channel]]
    async with connected(service) as ws:
        snapshot = await ask(ws, frame)
        assert snapshot["channel"] == channel
        assert snapshot["snapshot"] is True
        seq = snapshot["seq"]
        for _ in range(3):
            for _ in range(64):  # enough blocks for a new checkpoint and a chat message
                service.step()
            event = json.loads(await ws.get_message())
            assert event["channel"] == channel
            assert event["seq"] == seq + 1
            if channel != "events":
                assert type(event["data"]) is type(snapshot["data"])
            seq += 1


async def test_binary_frames_push_the_same_with_raw_bytes(service: FakeService) -> None:
    async with connected(service) as ws:
        snapshot = await ask_binary(
            ws, {"op": "subscribe", "channel": "account", "account": ALICE_TEXT}
        )
        assert snapshot["account"] == bytes.fromhex(ALICE_TEXT[2:])
        service.step()
        event = msgspec.msgpack.decode(await ws.get_message())
        assert event["data"]["fills"][0]["fee"] == 12_345


async def test_actions_in_both_encodings_get_equal_answers(service: FakeService) -> None:
    async with connected(service) as ws:
        action = {"payload": "0x0102", "signature": SIGNATURE}
        text = await ask(ws, {"op": "submit", "request": 1, "actions": [action]})
        pair = [b"\x01\x02", b"\x11" * 65]
        binary = await ask_binary(
            ws, {"op": "submit", "request": 2, "actions": [pair, [b"bad", b"\x11" * 65]]}
        )
        assert (text["request"], binary["request"]) == (1, 2)
        assert text["results"][0]["id"] == "0x" + binary["results"][0]["id"].hex()
        assert binary["results"][1]["accepted"] is False
        assert binary["results"][1]["code"] == "MALFORMED"


async def test_many_waiting_requests_reach_the_node_together_and_in_order(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    gate = trio.Event()
    submit = service.submit

    async def slow_submit(envelopes):
        sizes.append(len(envelopes))
        await gate.wait()
        return await submit(envelopes)

    monkeypatch.setattr(service, "submit", slow_submit)
    async with connected(service) as ws:
        for number in range(40):
            pair = [b"%d" % number, b"\x11" * 65]
            frame = {"op": "submit", "request": number, "actions": [pair]}
            await ws.send_message(msgspec.msgpack.encode(frame))
        await ws.send_message(msgspec.msgpack.encode({"op": "ping", "request": 99}))
        assert msgspec.msgpack.decode(await ws.get_message())["request"] == 99
        gate.set()
        answers = [msgspec.msgpack.decode(await ws.get_message()) for _ in range(40)]
    assert [answer["request"] for answer in answers] == list(range(40))
    assert len(sizes) <= 3
    assert sum(sizes) == 40


async def test_unsubscribing_ends_the_events(service: FakeService) -> None:
    async with connected(service) as ws:
        await ask(ws, {"op": "subscribe", "channel": "blocks"})
        assert service.hub.is_wanted("blocks")
        await ask(ws, {"op": "unsubscribe", "channel": "blocks"})
        assert not service.hub.is_wanted("blocks")


async def test_a_closed_connection_leaves_nothing_behind(service: FakeService) -> None:
    async with serving(service) as url:
        address = url.replace("http", "ws") + "/v1/ws"
        async with open_websocket_url(address) as ws:
            await ask(ws, {"op": "subscribe", "channel": "book", "market": 2})
            assert service.hub.is_wanted("book", 2)
        with trio.fail_after(60):
            while service.hub.is_wanted("book", 2):
                await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("frame", "hint"),
    [
        ({"op": "subscribe", "channel": "book"}, "needs 'market'"),
        ({"op": "subscribe", "channel": "book", "market": 99}, "no market"),
        ({"op": "subscribe", "channel": "blocks", "market": 1}, "takes no"),
        ({"op": "subscribe", "channel": "account", "account": "0x" + "zz" * 20}, "40 hex"),
        ({"op": "subscribe", "channel": "secrets"}, "enum"),
        ({"op": "fly"}, "Invalid value"),
        ({"op": "submit", "request": 3, "actions": []}, "length >= 1"),
        ({"op": "submit", "actions": [{"payload": "0x1", "signature": SIGNATURE}]}, "even"),
        ({"op": "ping", "request": -1}, ">= 0"),
        ({"op": "ping", "more": 1}, "unknown field"),
        ([], "Expected"),
    ],
)
async def test_a_bad_frame_is_explained_and_the_connection_lives(
    service: FakeService, frame: Any, hint: str
) -> None:
    async with connected(service) as ws:
        answer = await ask(ws, frame)
        assert hint in answer["error"]["message"]
        assert (await ask(ws, {"op": "ping", "request": 1}))["request"] == 1


async def test_an_error_of_the_node_answers_the_request(service: FakeService) -> None:
    async with connected(service) as ws:
        service.fail_next = TransientError("starting")
        pair = {"payload": "0x01", "signature": SIGNATURE}
        answer = await ask(ws, {"op": "submit", "request": 5, "actions": [pair]})
        assert answer["request"] == 5
        assert answer["error"]["code"] == "unavailable"
        service.fail_next = TransientError("starting")
        answer = await ask(ws, {"op": "subscribe", "channel": "book", "market": 1, "request": 6})
        assert answer["error"]["code"] == "unavailable"
        assert not service.hub.is_wanted("book", 1)


async def test_a_slow_reader_is_closed_and_told(service: FakeService) -> None:
    async with connected(service) as ws:
        for market in range(4):
            await ask(ws, {"op": "subscribe", "channel": "book", "market": market})
        for _ in range(2_000):  # far more than the queue and the socket buffers hold
            service.step()
        seen: list[Any] = []
        with pytest.raises(ConnectionClosed) as closed:
            await read_for_ever(ws, seen)
        assert closed.value.reason.code == CLOSE_TOO_SLOW
        lost = [{"channel": "book", "market": market} for market in range(4)]
        assert json.loads(seen[-1]) == {"resync": lost}
        assert "slow" in closed.value.reason.reason or "faster" in closed.value.reason.reason


async def test_endless_nonsense_closes_the_connection(service: FakeService) -> None:
    async with connected(service) as ws:
        for _ in range(FRAME_ERRORS_MAX):
            await ask(ws, {"op": "nonsense"})
        with pytest.raises(ConnectionClosed) as closed:
            await ask(ws, {"op": "nonsense"})
        assert closed.value.reason.code == CLOSE_TOO_MANY_ERRORS


async def test_a_frame_beyond_the_limit_closes_the_connection(service: FakeService) -> None:
    async with connected(service) as ws:
        await ws.send_message(b"\xc0" * (FRAME_BYTES_MAX + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await ws.get_message()
        assert closed.value.reason.code in (1009, 1006)


async def test_subscriptions_of_a_connection_are_bounded(service: FakeService) -> None:
    async with connected(service) as ws:
        for number in range(SUBSCRIPTIONS_PER_CONNECTION_MAX):
            await ask(ws, {"op": "subscribe", "channel": "chat", "room": f"room{number}"})
        answer = await ask(ws, {"op": "subscribe", "channel": "chat", "room": "one more"})
        assert answer["error"]["code"] == "limit_exceeded"


async def handshake(url: str, *headers: tuple[str, str]) -> httpx.Response:
    """Ask for a WebSocket by hand: the client library leaks its socket when refused."""
    own = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "A" * 22 + "==",
    }
    async with httpx.AsyncClient(base_url=url) as client:
        return await client.get("/v1/ws", headers=own | dict(headers))


async def test_connections_of_an_address_are_bounded(service: FakeService) -> None:
    access = Access(token=TOKEN)
    for _ in range(CONNECTIONS_PER_ADDRESS_MAX):
        access.open_connection("127.0.0.1")
    async with serving(service, access) as url:
        refused = await handshake(url)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "too_many_requests"
        access.close_connection("127.0.0.1")
        async with open_websocket_url(url.replace("http", "ws") + "/v1/ws") as ws:
            assert "now_ms" in await ask(ws, {"op": "ping"})


async def test_a_page_of_another_origin_cannot_open_one(service: FakeService) -> None:
    async with serving(service) as url:
        refused = await handshake(url, ("origin", "http://evil.example"))
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "forbidden_origin"


async def test_too_many_actions_per_second_are_refused(service: FakeService) -> None:
    async with connected(service, actions_per_s=1) as ws:
        pairs = [[b"x", b"\x11" * 65]] * 100
        first = await ask_binary(ws, {"op": "submit", "request": 1, "actions": pairs})
        second = await ask_binary(ws, {"op": "submit", "request": 2, "actions": pairs})
        assert len(first["results"]) == 100
        assert second["error"]["code"] == "too_many_requests"


async def test_missed_account_events_come_before_new_ones(service: FakeService) -> None:
    frame = {"op": "subscribe", "channel": "events", "account": ALICE_TEXT, "after": 1}
    async with connected(service) as ws:
        answer = await ask(ws, frame)
        assert "snapshot" not in answer
        assert (answer["seq"], [event["seq"] for event in answer["data"]]) == (2, [2])
        service.step()
        event = json.loads(await ws.get_message())
        assert event["seq"] == event["data"][-1]["seq"] == service.height


async def test_events_wait_until_their_snapshot_is_sent(service: FakeService) -> None:
    slow = service.missed_events

    async def missed(address: bytes, after: int) -> Any:
        answer = await slow(address, after)
        service.step()  # a block comes while the store is read
        await trio.sleep(0.01)
        return answer

    service.missed_events = missed  # type: ignore[method-assign]
    frame = {"op": "subscribe", "channel": "events", "account": ALICE_TEXT, "after": 0}
    async with connected(service) as ws:
        assert (await ask(ws, frame))["seq"] == 2
        assert json.loads(await ws.get_message())["seq"] == service.height


async def test_only_account_events_can_be_resumed(service: FakeService) -> None:
    async with connected(service) as ws:
        frame = {"op": "subscribe", "channel": "l2", "market": 1, "after": 3}
        assert (await ask(ws, frame))["error"]["code"] == "bad_request"


async def test_subscribing_again_and_again_is_refused(service: FakeService) -> None:
    async with connected(service, requests_per_s=20) as ws:
        frame = {"op": "subscribe", "channel": "l3", "market": 1}
        answers = [await ask(ws, frame) for _ in range(4)]
        assert answers[0]["snapshot"]
        assert answers[-1]["error"]["code"] == "too_many_requests"


async def test_pings_and_endings_count_as_requests(service: FakeService) -> None:
    for frame in ({"op": "ping"}, {"op": "unsubscribe", "channel": "status"}):
        async with connected(service, requests_per_s=1) as ws:
            codes = [(await ask(ws, frame)).get("error", {}).get("code") for _ in range(5)]
            assert codes[0] is None
            assert codes[-1] == "too_many_requests"
