"""Keep one WebSocket to a node: submit actions, follow channels, come back after a break.

Rule: requests are answered or fail with `ConnectionLost`, they never wait for ever; a subscription
starts with a snapshot, also after each reconnect, and loses nothing in between or ends.
Spec: docs/reference/api.md (WebSocket). Deviations: none.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import trio
from msgspec import Struct
from trio_websocket import (
    ConnectionClosed,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from client.errors import ClientError, ConnectionLost, RequestRefused
from client.limits import (
    ACTIONS_PER_REQUEST_MAX,
    CLOSE_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    EVENTS_WAITING_MAX,
    FRAME_BYTES_MAX,
    FRAMES_WAITING_MAX,
    PING_INTERVAL_S,
    RECONNECT_MS_MAX,
    RECONNECT_MS_MIN,
    REQUEST_TIMEOUT_S,
    REQUESTS_WAITING_MAX,
)
from client.market_views import (
    AccountEvent,
    AccountState,
    L2Book,
    L2Update,
    L3Book,
    L3Update,
    LiveCandle,
    MarketEvent,
    Ticker,
)
from client.rest import Pair, Refusal
from client.subscription import Event, Key, Subscription, Topic
from client.views import (
    AccountUpdate,
    BlockSummary,
    Book,
    ChatMessage,
    Market,
    Status,
    SubmitResult,
    Trade,
    decode_view,
)
from primitives.address import to_checksum

ACCOUNT_CHANNELS: Final = ("account", "events")
CHANNEL_VIEWS: Final[dict[str, Any]] = {
    "book": Book,
    "blocks": tuple[BlockSummary, ...],
    "account": AccountUpdate,
    "chat": tuple[ChatMessage, ...],
    "status": Status,
    "markets": tuple[Market, ...],
    "l2": L2Update,
    "l3": L3Update,
    "trades": tuple[Trade, ...],
    "market_events": tuple[MarketEvent, ...],
    "candles": tuple[LiveCandle, ...],
    "ticker": Ticker,
    "events": tuple[AccountEvent, ...],
}
SNAPSHOT_VIEWS: Final[dict[str, Any]] = {"l2": L2Book, "l3": L3Book, "events": AccountState}
"""Of channels whose snapshot has another form than their events."""
WEBSOCKET_PATH: Final = "/v1/ws"
KEY_FIELD: Final = {
    "book": "market",
    "l2": "market",
    "l3": "market",
    "trades": "market",
    "candles": "market",
    "ticker": "market",
    "account": "account",
    "events": "account",
    "chat": "room",
}


class _Frame(Struct, frozen=True, kw_only=True):
    """Anything a node may send."""

    request: int | None = None
    results: tuple[SubmitResult, ...] | None = None
    error: Refusal | None = None
    channel: str = ""
    market: int | None = None
    account: bytes | None = None
    room: str | None = None
    seq: int = 0
    snapshot: bool = False
    data: msgspec.Raw = msgspec.Raw(b"\xc0")


class _Waiting:
    """A request on its way."""

    __slots__ = ("answer", "done")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.answer: _Frame | None = None  # None: the connection was lost


class NodeStream:
    """A connection that mends itself while `run` runs."""

    def __init__(self, url: str) -> None:
        """Take a node's base URL, e.g. `http://127.0.0.1:8640`."""
        parts = urlsplit(url)
        assert parts.scheme in ("http", "https"), "a node's URL begins with http:// or https://"
        self.url = url
        self._is_secure = parts.scheme == "https"
        port = parts.port or (443 if self._is_secure else 80)
        self._address = (parts.hostname or "", port)
        self._socket: WebSocketConnection | None = None
        self._connected = trio.Event()
        self._requests: dict[int, _Waiting] = {}
        self._next_request = 1
        self._topics: dict[Topic, Subscription] = {}
        self._reading: trio.CancelScope | None = None
        self._closing = False
        self._ended = trio.Event()
        self.connections = 0  # made so far; more than one means that there were breaks

    async def run(self) -> None:
        """Connect, read, and connect again until cancelled or closed."""
        wait_ms = RECONNECT_MS_MIN
        try:
            while not self._closing:
                try:
                    await self._run_connection()
                    wait_ms = RECONNECT_MS_MIN
                except* (ConnectionClosed, ConnectionLost, ClientError, OSError):
                    wait_ms = min(2 * wait_ms, RECONNECT_MS_MAX)
                if not self._closing:
                    await trio.sleep(random.uniform(0.5, 1.0) * wait_ms / 1_000)
        finally:
            self._ended.set()

    async def _run_connection(self) -> None:
        """Serve one connection; returns when it was established and has ended."""
        tcp = await self._open_tcp()
        try:
            async with trio.open_nursery() as nursery:  # the library's reader lives in it
                socket = await self._connect(tcp, nursery)
                try:
                    await self._serve(socket)
                finally:
                    self._disconnect()
                    nursery.cancel_scope.deadline = trio.current_time() + CLOSE_TIMEOUT_S
                    await socket.aclose()
        finally:
            # The library leaves closing to the server where that has ended the connection.
            await trio.aclose_forcefully(tcp)

    async def _serve(self, socket: WebSocketConnection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ping)
            nursery.start_soon(self._resubscribe)
            with trio.CancelScope() as self._reading, suppress(ConnectionClosed):
                await self._read(socket)
            nursery.cancel_scope.cancel()

    async def submit(
        self, pairs: Sequence[Pair], timeout_s: float = REQUEST_TIMEOUT_S
    ) -> tuple[SubmitResult, ...]:
        """Send up to 100 signed actions, wait for the node's word on each.

        Raises RequestRefused, ClientError for what cannot be sent, or ConnectionLost when no answer
        came in time: the actions may have arrived, and sending the same bytes again is harmless.
        """
        if not 0 < len(pairs) <= ACTIONS_PER_REQUEST_MAX:
            raise ClientError(f"a request has 1 to {ACTIONS_PER_REQUEST_MAX} actions")
        if any(not payload or len(signature) != 65 for payload, signature in pairs):
            raise ClientError("an action is a payload and a signature of 65 bytes")
        answer = await self._request(
            {"op": "submit", "actions": [list(pair) for pair in pairs]}, timeout_s
        )
        if answer.results is None or len(answer.results) != len(pairs):
            raise RequestRefused("bad_answer", "the node's answer fits no submission")
        return answer.results

    def subscribe(self, channel: str, key: Key = None, *, after: int | None = None) -> Subscription:
        """Follow a channel; events begin with a snapshot as soon as the node is there.

        `key` is the market id, the account's 20 bytes or the room's name, where there is one. The
        channel `events` begins with what came after event `after` instead, where that is given.
        Raises ClientError for another kind of key: its events would never be recognised.
        """
        topic = (channel, key)
        assert channel in CHANNEL_VIEWS, f"the SDK reads {', '.join(CHANNEL_VIEWS)}"
        if channel in ACCOUNT_CHANNELS and not (isinstance(key, bytes) and len(key) == 20):
            raise ClientError("an account is 20 bytes; primitives.address.parse_address reads text")
        assert topic not in self._topics, "one subscription per topic and connection"
        subscription = Subscription(topic, self.forget, after=after)
        self._topics[topic] = subscription
        if self._connected.is_set():
            self._wishes.send_nowait(topic)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Take a subscription off the list; its events are ignored from now on."""
        if self._topics.get(subscription.topic) is subscription:
            del self._topics[subscription.topic]

    @property
    def is_connected(self) -> bool:
        """Tell whether there is a connection now."""
        return self._connected.is_set()

    async def wait_connected(self, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        """Wait for a connection. Raises ConnectionLost."""
        with trio.move_on_after(timeout_s):
            await self._connected.wait()
            return
        raise ConnectionLost(f"no connection to {self.url}")

    # Requests

    async def _request(self, fields: dict[str, Any], timeout_s: float) -> _Frame:
        deadline = trio.current_time() + timeout_s
        await self.wait_connected(timeout_s)
        if len(self._requests) >= REQUESTS_WAITING_MAX:
            raise RequestRefused("too_many_requests", "too many requests without an answer")
        number = self._next_request
        self._next_request += 1
        waiting = self._requests[number] = _Waiting()
        try:
            with trio.move_on_at(deadline):
                await self._write({**fields, "request": number})
                await waiting.done.wait()
        finally:
            self._requests.pop(number, None)
        answer = waiting.answer
        if answer is None:
            raise ConnectionLost(f"no answer from {self.url}")
        if answer.error is not None:
            raise _refused(answer.error)
        return answer

    async def _write(self, fields: dict[str, Any]) -> None:
        socket = self._socket
        if socket is None:
            raise ConnectionLost(f"no connection to {self.url}")
        try:
            await socket.send_message(msgspec.msgpack.encode(fields))
        except (ConnectionClosed, OSError) as error:
            raise ConnectionLost(f"{self.url} went away") from error

    # The connection

    async def _open_tcp(self) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
        host, port = self._address
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S):
                tcp = await trio.open_tcp_stream(host, port)
        except (OSError, trio.TooSlowError) as error:
            raise ConnectionLost(f"no connection to {self.url}") from error
        if not self._is_secure:
            return tcp
        context = ssl.create_default_context()
        return trio.SSLStream(tcp, context, server_hostname=host, https_compatible=True)

    async def _connect(self, tcp: trio.abc.Stream, nursery: trio.Nursery) -> WebSocketConnection:
        host, port = self._address
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S):
                socket = await wrap_client_stream(
                    nursery,
                    tcp,
                    f"{host}:{port}",
                    WEBSOCKET_PATH,
                    message_queue_size=FRAMES_WAITING_MAX,
                    max_message_size=FRAME_BYTES_MAX,
                )
        except (OSError, HandshakeError, trio.BrokenResourceError, trio.TooSlowError) as error:
            raise ConnectionLost(f"no connection to {self.url}") from error
        self._socket = socket
        self._wishes, self._wished = trio.open_memory_channel[Topic](EVENTS_WAITING_MAX)
        for topic in self._topics:
            self._wishes.send_nowait(topic)
        self.connections += 1
        self._connected.set()
        return socket

    def _disconnect(self) -> None:
        self._socket = None
        if self._connected.is_set():
            self._connected = trio.Event()
        for waiting in self._requests.values():
            waiting.done.set()
        for subscription in tuple(self._topics.values()):
            subscription.interrupt()

    async def _resubscribe(self) -> None:
        async for topic in self._wished:
            subscription = self._topics.get(topic)
            if subscription is None:
                continue
            channel, key = topic
            fields: dict[str, Any] = {"op": "subscribe", "channel": channel}
            if key is not None:
                text = to_checksum(key) if isinstance(key, bytes) else key
                fields[KEY_FIELD[channel]] = text
            if subscription.after is not None:
                fields["after"] = subscription.after
            try:
                await self._request(fields, REQUEST_TIMEOUT_S)
            except RequestRefused as error:
                subscription.fail(error)

    async def _ping(self) -> None:
        while True:
            await trio.sleep(PING_INTERVAL_S)
            await self._request({"op": "ping"}, REQUEST_TIMEOUT_S)

    async def _read(self, socket: WebSocketConnection) -> None:
        while True:
            message = await socket.get_message()
            if isinstance(message, str):
                raise ConnectionLost("the node answered binary frames with text")
            self._on_frame(decode_view(message, _Frame))

    def _on_frame(self, frame: _Frame) -> None:
        if frame.error is not None and frame.request is None:
            # Nobody can tell which request the node could not read, so all are asked again.
            raise ConnectionLost(f"the node could not read a frame: {frame.error.message}")
        if frame.channel:
            self._on_event(frame)
        if frame.request is not None:
            waiting = self._requests.get(frame.request)
            if waiting is not None:
                waiting.answer = frame
                waiting.done.set()

    def _on_event(self, frame: _Frame) -> None:
        field = KEY_FIELD.get(frame.channel)
        key: Key = getattr(frame, field) if field else None
        subscription = self._topics.get((frame.channel, key))
        if subscription is None:
            return
        view = CHANNEL_VIEWS[frame.channel]
        if frame.snapshot:
            view = SNAPSHOT_VIEWS.get(frame.channel, view)
        data = decode_view(bytes(frame.data), view)
        subscription.deliver(
            Event(
                channel=frame.channel,
                key=key,
                seq=frame.seq,
                is_snapshot=frame.snapshot,
                data=data,
            )
        )

    async def close(self) -> None:
        """Say goodbye to the node, briefly; `run` then returns."""
        self._closing = True
        if self._reading is not None:
            self._reading.cancel()
            deadline = trio.current_time() + CLOSE_TIMEOUT_S
            with trio.CancelScope(deadline=deadline, shield=True):
                await self._ended.wait()


def _refused(error: Refusal) -> RequestRefused:
    return RequestRefused(
        error.code,
        error.message,
        risk=error.risk,
        fix=error.fix,
        oldest_height=error.oldest_height,
    )
