"""What hostile bytes get: a refusal or a closed connection, never a 500, never a dead server.

Rule: after every attack the same server answers an honest client.
Spec: docs/reference/api.md (Limits). Deviations: none.
"""

from __future__ import annotations

import os
import random
from contextlib import suppress

import httpx
import msgspec
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Send

from node.api.access import Access
from node.api.bodies import ActionsBody, decode_body
from node.api.errors import ApiError
from node.api.frames import decode_frame
from node.api.limits import (
    ANSWER_BYTES_PER_REQUEST,
    BODY_BYTES_MAX,
    FRAME_BYTES_MAX,
    SOCKETS_MAX,
    SOCKETS_PER_ADDRESS_MAX,
)
from node.api.server import Slots, open_listeners, serve
from tests.node.fake_server import serving
from tests.node.fake_service import FakeService

PATIENCE_S = 60.0  # on a machine that does much else
SOAK = int(os.environ.get("OMNIBAZAAR_SOAK", "1"))
HEAD = b"Host: 127.0.0.1\r\n"
UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


@pytest.fixture
async def url():
    async with serving(FakeService(blocks=20)) as url:
        yield url


async def send_raw(
    url: str, data: bytes, *, wait_s: float = 0.3, end: bytes = b"\0nothing"
) -> bytes:
    """Send bytes; return what comes back until `end`, or the server closes or is long silent."""
    host, _, port = url.removeprefix("http://").partition(":")
    answer = b""
    stream = await trio.open_tcp_stream(host, int(port))
    async with stream:
        try:
            with trio.move_on_after(PATIENCE_S):
                await stream.send_all(data)
            while len(answer) < 1 << 16 and end not in answer:
                with trio.move_on_after(wait_s) as silence:
                    chunk = await stream.receive_some(1 << 16)
                if silence.cancelled_caught or not chunk:
                    break
                answer += chunk
        except trio.BrokenResourceError:
            pass
    return answer


async def verify_alive(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 4_096,
        b"GET",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HEAD + HEAD + b"\r\n",
        b"GET / HTTP/9.9\r\n" + HEAD + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /v1/status?" + b"a=1&" * 3_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"b" * 100_000 + b"\r\n\r\n",
        b"GET /%ff%fe%00 HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /v1/markets/%f0%9f%92%a9/book HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET http://127.0.0.1/v1/status HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"\x80GET / HTTP/1.1\r\n\r\n",
        b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 500,
        b"GET / HTTP/1.1\r\n" + HEAD + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        b"POST /v1/actions HTTP/1.1\r\n" + HEAD + b"Content-Length: -5\r\n\r\n",
        b"POST /v1/actions HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/actions HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n",
        b"POST /healthz HTTP/1.1\r\n"
        + HEAD
        + b"Content-Length: 3000000\r\n\r\n"
        + b"z" * 3_000_000,
        b"POST /v1/actions HTTP/1.1\r\n" + HEAD + b"Content-Length: 99999999999999999999\r\n\r\n",
        b"GET /v1/ws HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET /v1/ws HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 99\r\nSec-WebSocket-Key: zz\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        UPGRADE + b"\r\n" + b"\xff" * 2_000,
        UPGRADE + b"\r\n\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",  # a text frame of 2^63 bytes
        UPGRADE + b"\r\n\x82\xfe\xff\xff\0\0\0\0" + b"\0" * 100,  # a frame cut short
        UPGRADE + b"\r\n\x81\x01x",  # not masked
        UPGRADE + b"\r\n\x81\x82\0\0\0\0\xff\xfe",  # not UTF-8
        UPGRADE + b"\r\n\x88\x82\0\0\0\0\0\1",  # a close code nobody may use
        UPGRADE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n\xc1\x85\0\0\0\0xxxxx",
        UPGRADE + b"Sec-WebSocket-Protocol: " + b"x," * 4_000 + b"\r\n\r\n",
    ],
)
async def test_malformed_traffic_is_refused_or_closed(url: str, data: bytes) -> None:
    answer = await send_raw(url, data)
    assert not answer.startswith(b"HTTP/1.1 5"), answer[:300]
    await verify_alive(url)


async def test_compression_is_not_offered(url: str) -> None:
    request = UPGRADE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    answer = await send_raw(url, request, wait_s=PATIENCE_S, end=b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101")
    assert b"deflate" not in answer.lower()


async def test_a_body_beyond_the_limit_is_told_so(url: str) -> None:
    size = BODY_BYTES_MAX + 1
    head = b"POST /v1/actions HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\n"
    answer = await send_raw(
        url,
        head + b"Content-Length: %d\r\n\r\n" % size + b"x" * size,
        wait_s=PATIENCE_S,
        end=b"\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 413")
    await verify_alive(url)


async def test_a_body_nobody_takes_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that never reads would hold the connection for ever without the fence."""

    async def never_reads(scope: object, receive: object, send: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr("node.api.server.READ_STALL_S", 0.2)
    listeners = await open_listeners("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, never_reads, listeners)
        head = b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 3000000\r\n\r\n"
        assert await send_raw(url, head + b"y" * 3_000_000, wait_s=PATIENCE_S) == b""
        nursery.cancel_scope.cancel()


async def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = trio.Event()

    async def talks_for_ever(scope: object, receive: object, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"z" * 65_536, "more_body": True})
        finally:
            ended.set()

    monkeypatch.setattr("node.api.server.SEND_TIMEOUT_S", 0.2)
    listeners = await open_listeners("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, talks_for_ever, listeners)
        host, _, port = url.removeprefix("http://").partition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n")
            with trio.fail_after(PATIENCE_S):
                await ended.wait()
        nursery.cancel_scope.cancel()


async def test_random_bytes_never_kill_the_server(url: str) -> None:
    rng = random.Random(11)
    prefixes = (b"", b"GET / HTTP/1.1\r\n" + HEAD, UPGRADE + b"\r\n", b"PRI * HTTP/2.0\r\n\r\n")
    for number in range(40 * SOAK):
        data = prefixes[number % 4] + rng.randbytes(rng.randint(1, 3_000))
        answer = await send_raw(url, data, wait_s=0.02)
        assert not answer.startswith(b"HTTP/1.1 5"), answer[:300]
    await verify_alive(url)


async def test_deep_nesting_and_huge_numbers_are_400(url: str) -> None:
    bodies = (
        b"[" * 100_000,
        b'{"actions":' * 50_000,
        b'{"actions":[' + b"[" * 50_000,
        b'{"actions":1e99999}',
        b'{"actions":' + b"9" * 10_000 + b"}",
        b'{"actions":[{"payload":' + b"9" * 400 + b',"signature":"0x"}]}',
        b'{"actions":[{"payload":"0x' + b"a" * 200_000 + b'","signature":"0x"}]}',
        b"\xff\xfe",
        b'"\\ud800"',
        b"",
    )
    async with httpx.AsyncClient(base_url=url) as client:
        for body in bodies:
            for kind in ("application/json", "application/msgpack"):
                answer = await client.post(
                    "/v1/actions", content=body, headers={"content-type": kind}
                )
                assert answer.status_code == 400, (body[:40], answer.text)
                assert answer.json()["error"]["code"] == "bad_request"
        for byte in (b"\x91", b"\x81\xa1a", b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"):
            answer = await client.post(
                "/v1/actions",
                content=byte * 50_000,
                headers={"content-type": "application/msgpack"},
            )
            assert answer.status_code == 400


@settings(max_examples=150 * SOAK, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_any_frame_decodes_or_is_refused(data: bytes | str) -> None:
    with suppress(ApiError):
        decode_frame(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@settings(max_examples=150 * SOAK, suppress_health_check=list(HealthCheck), deadline=None)
@given(json_values)
def test_any_json_is_a_body_or_a_refusal(value: object) -> None:
    data = msgspec.json.encode({"actions": value})
    with suppress(ApiError):
        decode_body(ActionsBody, data, is_msgpack=False)


def test_a_frame_beyond_the_limit_is_not_even_decoded() -> None:
    with pytest.raises(ApiError) as refused:
        decode_frame(b"\xc0" * (FRAME_BYTES_MAX + 1))
    assert refused.value.code == "too_large"


def test_one_address_cannot_take_every_connection() -> None:
    slots = Slots()
    taken = [slots.take("203.0.113.7") for _ in range(SOCKETS_PER_ADDRESS_MAX + 1)]
    assert taken == [True] * SOCKETS_PER_ADDRESS_MAX + [False]
    assert slots.take("203.0.113.8")
    slots.give_back("203.0.113.7")
    assert slots.take("203.0.113.7")
    here = sum(slots.take("127.0.0.1") for _ in range(SOCKETS_MAX))  # a proxy brings everybody
    assert here == SOCKETS_MAX - SOCKETS_PER_ADDRESS_MAX - 1
    assert not slots.take("203.0.113.9")


async def test_a_large_answer_counts_as_many_requests() -> None:
    access = Access(token="t" * 43, requests_per_s=1)
    access.charge_request("mallory")
    access.charge_answer("mallory", 100 * ANSWER_BYTES_PER_REQUEST)
    with pytest.raises(ApiError, match="too many requests"):
        access.charge_request("mallory")
    access.charge_request("alice")


async def test_large_answers_are_charged_over_rest() -> None:
    service = FakeService(blocks=1_000)
    access = Access(token="t" * 43, requests_per_s=5)
    async with serving(service, access) as url, httpx.AsyncClient(base_url=url) as client:
        query = {"limit": 500}
        codes = [(await client.get("/v1/blocks", params=query)).status_code for _ in range(4)]
    assert codes[0] == 200
    assert codes[-1] == 429
