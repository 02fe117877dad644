"""Ask a peer one thing and get one answer: the lane that observers have, and anybody may use.

Rule: a request is a stream of its own with a time limit; requests are bounded per peer and in
total, and validators are served when observers have used up their share.

Spec: docs/spec/p2p.md §10 (Requests).
Deviations: none.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from libp2p.custom_types import TProtocol

from p2p import guards, streams
from p2p.admission import Admission
from p2p.containing import attempt
from p2p.errors import Unreachable
from p2p.host import to_id
from p2p.limits import (
    REQUEST_BURST,
    REQUEST_BYTES_MAX,
    REQUEST_S_MAX,
    REQUESTS_MAX,
    REQUESTS_PER_PEER_MAX,
    REQUESTS_PER_S,
    RESPONSE_BYTES_MAX,
    VALIDATOR_REQUEST_BURST,
    VALIDATOR_REQUESTS_PER_S,
)
from p2p.rates import RateLimit
from primitives.errors import LimitExceeded, PeerError

log = logging.getLogger(__name__)

Answer = Callable[[str, bytes], Awaitable[bytes]]
"""Return the answer to (peer id, request). Raise PeerError for a bad request."""

_OK = b"\x00"
_BUSY = b"\x01"
_BAD = b"\x02"
_FAILED = b"\x03"


class Requests:
    """Both sides of the request protocol of one network."""

    def __init__(self, *, host: Any, admission: Admission, network_id: bytes) -> None:
        self._host = host
        self._admission = admission
        self._protocol = f"/omnibazaar/{network_id[:8].hex()}/request/1"
        self._rate = RateLimit(per_s=REQUESTS_PER_S, burst=REQUEST_BURST)
        self._validators_rate = RateLimit(
            per_s=VALIDATOR_REQUESTS_PER_S, burst=VALIDATOR_REQUEST_BURST
        )
        self._open: Counter[str] = Counter()
        self._answer: Answer | None = None

    def serve(self, answer: Answer) -> None:
        """Answer requests from now on."""
        self._answer = answer
        self._host.set_stream_handler(TProtocol(self._protocol), self._handle)

    async def ask(self, peer_id: str, request: bytes) -> bytes:
        """Return a connected peer's answer.

        Raises Unreachable (no connection, too late, busy), PeerError (it says the request is bad,
        or answers nonsense) and LimitExceeded.
        """
        if not 0 < len(request) <= REQUEST_BYTES_MAX:
            raise LimitExceeded(f"a request of {len(request)} bytes")
        peer = to_id(peer_id)
        if not self._admission.is_open(peer_id):
            raise Unreachable(f"no contact with {peer_id} at the moment")
        if not self._host.get_network().get_connections(peer):
            raise Unreachable(f"{peer_id} is not connected")
        fault: Exception | None = trio.TooSlowError()
        reply: bytes | None = None
        with trio.move_on_after(REQUEST_S_MAX):
            reply, fault = await attempt(self._exchange, peer, request)
        if isinstance(fault, PeerError):
            raise fault
        if reply is None:
            raise Unreachable(f"{peer_id}: {fault!r}") from fault
        return _unwrap(peer_id, reply)

    async def _exchange(self, peer: Any, request: bytes) -> bytes:
        stream = await streams.open_stream(
            self._host, peer, self._protocol, limit_s=REQUEST_S_MAX / 2
        )
        try:
            await streams.write_message(stream, request, bytes_max=REQUEST_BYTES_MAX)
            reader = streams.MessageReader(stream, bytes_max=RESPONSE_BYTES_MAX + 1)
            return await reader.read_one()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1) as scope:
                await attempt(stream.reset)
            if scope.cancelled_caught:
                guards.close_connection(stream.muxed_conn)

    async def _handle(self, stream: Any) -> None:
        peer_id = str(stream.muxed_conn.peer_id)
        self._open[peer_id] += 1
        try:
            _, fault = await attempt(self._serve_in_time, stream, peer_id)
            if isinstance(fault, PeerError):
                self._admission.on_offence(peer_id, f"request: {fault}")
            if isinstance(fault, PeerError | trio.TooSlowError):
                guards.close_connection(stream.muxed_conn)
        finally:
            self._open[peer_id] -= 1
            if not self._open[peer_id]:
                del self._open[peer_id]

    async def _serve_in_time(self, stream: Any, peer_id: str) -> None:
        with trio.fail_after(REQUEST_S_MAX):
            reply = await self._serve(stream, peer_id)
            await streams.write_message(stream, reply, bytes_max=RESPONSE_BYTES_MAX + 1)
            await stream.close_write()

    async def _serve(self, stream: Any, peer_id: str) -> bytes:
        reader = streams.MessageReader(stream, bytes_max=REQUEST_BYTES_MAX)
        request = await reader.read_one()
        self._admission.counters["requests"] += 1
        if self._answer is None or not self._has_room(peer_id):
            self._admission.counters["requests_refused"] += 1
            return _BUSY
        answer, fault = await attempt(self._answer, peer_id, request)
        if isinstance(fault, PeerError):
            return _BAD + str(fault)[:200].encode()
        if answer is None:
            log.warning("answering a request failed: %r", fault)
            return _FAILED
        assert len(answer) <= RESPONSE_BYTES_MAX, "an answer above the limit is our bug"
        return _OK + answer

    def _has_room(self, peer_id: str) -> bool:
        if self._open[peer_id] > REQUESTS_PER_PEER_MAX:
            return False
        if self._admission.validator_at(peer_id) is not None:
            return self._validators_rate.take(peer_id, now_ms=self._admission.now_ms())
        if sum(self._open.values()) > REQUESTS_MAX:
            return False
        return self._rate.take(peer_id, now_ms=self._admission.now_ms())


def _unwrap(peer_id: str, reply: bytes) -> bytes:
    status, body = reply[:1], reply[1:]
    if status == _OK:
        return body
    if status == _BUSY:
        raise Unreachable(f"{peer_id} is busy")
    raise PeerError(f"{peer_id} refused the request: {body[:200].decode(errors='replace')}")
