"""Talk to one client over WebSocket: take frames, push events.

Rule: frames are read in order and answered in order; a client that does not read what it asked for
is closed, one that sends too fast is simply read more slowly.
Spec: docs/reference/api.md (WebSocket). Deviations: none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import trio
from starlette.types import Receive, Scope, Send

from node.api.access import Access
from node.api.errors import ApiError, from_node_error
from node.api.frames import (
    Ping,
    SealedBinary,
    SealedText,
    SubmitBinary,
    SubmitText,
    Subscribe,
    Unsubscribe,
    decode_frame,
    encode_frame,
    encode_results,
    envelopes_of,
    sealed_of,
)
from node.api.hub import KEY_FIELD, Listener, Topic, event_fields
from node.api.limits import (
    EVENTS_WEIGHT,
    FRAME_ERRORS_MAX,
    IDLE_TIMEOUT_S,
    L2_WEIGHT,
    L3_WEIGHT,
    SUBMIT_BATCH_ACTIONS_MAX,
    SUBMITS_WAITING_MAX,
    SUBSCRIPTIONS_PER_CONNECTION_MAX,
)
from node.api.service import Envelope, NodeService
from node.api.topics import build_snapshot, own_number, resolve_topic
from primitives.errors import NodeError

SUBSCRIBE_WEIGHTS: Final = {"l2": L2_WEIGHT, "l3": L3_WEIGHT, "events": EVENTS_WEIGHT}
"""Requests that a subscription counts as, for its snapshot; others count as one."""
CLOSE_GOING_AWAY: Final = 1001
CLOSE_INTERNAL: Final = 1011
CLOSE_TOO_SLOW: Final = 4001
CLOSE_IDLE: Final = 4002
CLOSE_TOO_MANY_ERRORS: Final = 4003


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A submit frame on its way to the node."""

    request: int | None
    envelopes: list[Envelope]
    is_binary: bool


class Closing(Exception):
    """End the connection with a WebSocket close code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class WebSocketApp:
    """The ASGI application behind `/v1/ws`."""

    def __init__(self, service: NodeService, access: Access) -> None:
        self._service = service
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until either side ends it."""
        remote = self._access.remote(scope)
        self._access.open_connection(remote)
        try:
            await Session(self._service, self._access, remote, receive, send).run()
        finally:
            self._access.close_connection(remote)


class Session:
    """One open connection."""

    def __init__(
        self, service: NodeService, access: Access, remote: str, receive: Receive, send: Send
    ) -> None:
        self._service = service
        self._access = access
        self._remote = remote
        self._receive = receive
        self._send = send
        self._listener: Listener = service.hub.listener()
        self._to_node, self._from_client = trio.open_memory_channel[Waiting](SUBMITS_WAITING_MAX)
        self._pushes_binary = False
        self._errors = 0

    async def run(self) -> None:
        """Accept and serve. Returns when the connection has ended."""
        event = await self._receive()
        assert event["type"] == "websocket.connect"
        await self._send({"type": "websocket.accept"})
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._push)
                nursery.start_soon(self._submit)
                await self._read()
                nursery.cancel_scope.cancel()
        except* Closing as group:
            closing = group.exceptions[0]
            assert isinstance(closing, Closing)
            await self._send(
                {"type": "websocket.close", "code": closing.code, "reason": closing.reason}
            )
        finally:
            self._listener.close()

    # Reading

    async def _read(self) -> None:
        while True:
            event = await self._next_event()
            if event["type"] == "websocket.disconnect":
                return
            data: str | bytes | None = event.get("bytes")
            is_binary = data is not None
            if data is None:
                data = event.get("text") or ""
            request = None
            try:
                frame = decode_frame(data)
                request = frame.request
                await self._on_frame(frame, is_binary)
            except ApiError as error:
                await self._refuse(error, request, is_binary)
            except NodeError as error:
                await self._refuse(from_node_error(error), request, is_binary)

    async def _next_event(self) -> Any:
        if self._listener.topics:
            return await self._receive()
        with trio.move_on_after(IDLE_TIMEOUT_S):
            return await self._receive()
        raise Closing(CLOSE_IDLE, f"no frame and no subscription for {IDLE_TIMEOUT_S} s")

    async def _on_frame(self, frame: Any, is_binary: bool) -> None:
        if isinstance(frame, SubmitBinary | SubmitText):
            envelopes = list(envelopes_of(frame))
            self._access.charge_actions(self._remote, len(envelopes))
            await self._to_node.send(
                Waiting(request=frame.request, envelopes=envelopes, is_binary=is_binary)
            )
        elif isinstance(frame, Unsubscribe):
            self._access.charge_request(self._remote)
            self._listener.unsubscribe(resolve_topic(self._service, frame))
            await self._reply({"request": frame.request, "unsubscribed": frame.channel}, is_binary)
        elif isinstance(frame, Subscribe):
            await self._subscribe(frame, is_binary)
        elif isinstance(frame, SealedBinary | SealedText):
            commit, opening = sealed_of(frame)
            self._access.charge_actions(self._remote, 2)
            result = await self._service.submit_sealed(commit, opening)
            await self._reply({"request": frame.request, "results": [result]}, is_binary)
        else:
            assert isinstance(frame, Ping)
            self._access.charge_request(self._remote)
            now_ms = time.time_ns() // 1_000_000
            await self._reply({"request": frame.request, "now_ms": now_ms}, is_binary)

    async def _subscribe(self, frame: Subscribe, is_binary: bool) -> None:
        topic = resolve_topic(self._service, frame)
        if len(self._listener.topics | {topic}) > SUBSCRIPTIONS_PER_CONNECTION_MAX:
            raise ApiError(
                "limit_exceeded",
                f"a connection has at most {SUBSCRIPTIONS_PER_CONNECTION_MAX} subscriptions",
            )
        self._access.charge_request(self._remote, SUBSCRIBE_WEIGHTS.get(topic[0], 1))
        self._pushes_binary = is_binary
        self._listener.hold(topic)
        try:
            fields = await self._first_event(topic, frame.after)
            if frame.request is not None:
                fields["request"] = frame.request
            data = encode_frame(fields, is_binary=is_binary)
            self._access.charge_answer(self._remote, len(data))
            await self._write(data)
        except (NodeError, ApiError):
            self._listener.unsubscribe(topic)
            raise
        finally:
            self._listener.release(topic)

    async def _first_event(self, topic: Topic, after: int | None) -> dict[str, Any]:
        """Subscribe; return what comes before the events: a snapshot, or those missed."""
        seq = self._listener.subscribe(topic)
        if after is None:
            snapshot = await build_snapshot(self._service, topic)
            return event_fields(topic, snapshot, own_number(snapshot, seq), snapshot=True)
        assert isinstance(topic[1], bytes)
        missed = await self._service.market_data.missed_events(topic[1], after)
        return event_fields(topic, missed.events, missed.newest)

    # Writing

    async def _submit(self) -> None:
        """Hand waiting frames to the node, as many at once as have piled up, and answer each."""
        while True:
            batch = [await self._from_client.receive()]
            count = len(batch[0].envelopes)
            while count < SUBMIT_BATCH_ACTIONS_MAX:
                try:
                    batch.append(self._from_client.receive_nowait())
                except trio.WouldBlock:
                    break
                count += len(batch[-1].envelopes)
            await self._submit_batch(batch)

    async def _submit_batch(self, batch: list[Waiting]) -> None:
        envelopes = [item for waiting in batch for item in waiting.envelopes]
        try:
            results = await self._service.submit(envelopes)
        except NodeError as error:
            for waiting in batch:
                await self._refuse(from_node_error(error), waiting.request, waiting.is_binary)
            return
        assert len(results) == len(envelopes), "one result per action"
        start = 0
        for waiting in batch:
            end = start + len(waiting.envelopes)
            part = results[start:end]
            start = end
            await self._write(encode_results(waiting.request, part, is_binary=waiting.is_binary))

    async def _push(self) -> None:
        async for message in self._listener.receive:
            if self._pushes_binary:
                await self._write(message.msgpack())
            else:
                await self._write(message.json().decode())
        if self._listener.is_too_slow:
            await self._reply({"resync": lost_topics(self._listener.lost)}, self._pushes_binary)
            raise Closing(CLOSE_TOO_SLOW, "events came faster than they were read; subscribe again")

    async def _refuse(self, error: ApiError, request: int | None, is_binary: bool) -> None:
        self._errors += 1
        if self._errors > FRAME_ERRORS_MAX:
            raise Closing(CLOSE_TOO_MANY_ERRORS, "too many frames that could not be served")
        await self._reply({"request": request, **error.body()}, is_binary)

    async def _reply(self, fields: dict[str, Any], is_binary: bool) -> None:
        await self._write(encode_frame(fields, is_binary=is_binary))

    async def _write(self, data: str | bytes) -> None:
        kind = "text" if isinstance(data, str) else "bytes"
        await self._send({"type": "websocket.send", kind: data})


def lost_topics(topics: Sequence[Topic]) -> list[dict[str, Any]]:
    """Name the subscriptions that a client which was too slow has to begin again."""
    return [
        {"channel": channel, **({KEY_FIELD[channel]: key} if channel in KEY_FIELD else {})}
        for channel, key in topics
    ]
