"""Serve the inbound lanes: verify who writes, then put messages into the inbox.

Rule: the read task never waits for the application. A peer that breaks the framing or falls silent
loses its connection; a peer whose inbox share is full loses the newest message, and it is counted.

Spec: docs/spec/p2p.md §4 (Handshake), §5 (Links).
Deviations: none.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio
from libp2p.custom_types import TProtocol

from p2p import guards, streams
from p2p.config import KnownValidator
from p2p.containing import attempt
from p2p.errors import HandshakeError, ImpostorKey, NotAdmitted, UnknownPeer
from p2p.handshake import (
    MESSAGE_BYTES_MAX,
    NONCE_BYTES,
    Remote,
    Responder,
    decode_hello,
    encode_refusal,
)
from p2p.lanes import LANES, Lane
from p2p.limits import HANDSHAKE_S_MAX, SILENCE_S_MAX
from p2p.links import Surroundings
from p2p.queues import Inbox
from primitives.errors import PeerError

log = logging.getLogger(__name__)


class Receiver:
    """All inbound lanes of the node."""

    def __init__(self, *, around: Surroundings, inboxes: Mapping[Lane, Inbox]) -> None:
        self._around = around
        self._inboxes = inboxes
        self._current: dict[tuple[bytes, Lane], Any] = {}
        self.bytes_in_total: dict[bytes, int] = {}

    def install(self) -> None:
        """Register the lanes at the host."""
        for lane, rules in LANES.items():
            self._around.host.set_stream_handler(TProtocol(rules.protocol), self._handler(lane))

    def lanes_of(self, address: bytes) -> tuple[Lane, ...]:
        """Return the lanes on which this validator writes to us now."""
        return tuple(lane for (owner, lane) in self._current if owner == address)

    def _handler(self, lane: Lane) -> Callable[[Any], Awaitable[None]]:
        async def handle(stream: Any) -> None:
            await self._serve(stream, lane)

        return handle

    async def _serve(self, stream: Any, lane: Lane) -> None:
        peer_id = str(stream.muxed_conn.peer_id)
        reader = streams.MessageReader(stream, bytes_max=LANES[lane].message_bytes_max)
        _, error = await attempt(self._prove_and_read, stream, reader, lane)
        if isinstance(error, HandshakeError):
            log.info("refused peer %s: %s", peer_id, error)
            if isinstance(error, ImpostorKey) and not error.told:
                self._around.admission.on_offence(peer_id, str(error))
            self._around.admission.counters["refused_lanes"] += 1
            await streams.reset(stream)
            return
        if isinstance(error, PeerError):
            self._around.admission.on_offence(peer_id, f"{type(error).__name__}: {error}")
        else:  # the end of the stream, silence, whatever libp2p raises
            log.debug("inbound lane %s of %s ended: %r", lane.name, peer_id, error)
        guards.close_connection(stream.muxed_conn)

    async def _prove_and_read(self, stream: Any, reader: streams.MessageReader, lane: Lane) -> None:
        with trio.fail_after(HANDSHAKE_S_MAX):
            validator = await self._prove(stream, reader, lane)
        await self._read(stream, reader, validator, lane)

    async def _prove(
        self, stream: Any, reader: streams.MessageReader, lane: Lane
    ) -> KnownValidator:
        """Return the validator that proved its key. Raises PeerError; the peer is told why."""
        try:
            hello = decode_hello(await reader.read_one(), self._around.us.network_id)
            validator = self._expect(str(stream.muxed_conn.peer_id))
            side = Responder(
                us=self._around.us,
                remote=Remote(
                    address=validator.address, peer_id=stream.muxed_conn.peer_id.to_bytes()
                ),
                lane=lane,
                nonce=secrets.token_bytes(NONCE_BYTES),
            )
            welcome = side.on_hello(hello)
            await streams.write_message(stream, welcome, bytes_max=MESSAGE_BYTES_MAX)
            verdict = side.on_proof(await reader.read_one())
        except HandshakeError as error:
            if not error.told:
                refusal = encode_refusal(error)
                await streams.write_message(stream, refusal, bytes_max=MESSAGE_BYTES_MAX)
                await self._let_read(stream)
            raise
        await streams.write_message(stream, verdict, bytes_max=MESSAGE_BYTES_MAX)
        return validator

    def _expect(self, peer_id: str) -> KnownValidator:
        admission = self._around.admission
        if not admission.is_open(peer_id):
            raise NotAdmitted("no contact at the moment")
        validator = admission.validator_at(peer_id)
        if validator is None:
            raise UnknownPeer("this peer id belongs to no validator of the network")
        return validator

    async def _let_read(self, stream: Any) -> None:
        """Give the peer a moment to read the refusal: a reset overtakes what waits unread."""

        async def drain() -> None:
            await stream.close_write()
            while await stream.read(MESSAGE_BYTES_MAX):
                pass

        with trio.move_on_after(1):
            await attempt(drain)

    async def _read(
        self, stream: Any, reader: streams.MessageReader, validator: KnownValidator, lane: Lane
    ) -> None:
        key = (validator.address, lane)
        before, self._current[key] = self._current.get(key), stream
        if before is not None:  # the peer has started anew: its older stream is dead
            await streams.reset(before)
        inbox, counted = self._inboxes[lane], 0
        try:
            while True:
                with trio.fail_after(SILENCE_S_MAX):
                    messages = await reader.read_some()
                for message in messages:
                    inbox.put(validator.address, message)
                total = self.bytes_in_total.get(validator.address, 0)
                self.bytes_in_total[validator.address] = total + reader.bytes_total - counted
                counted = reader.bytes_total
        finally:
            if self._current.get(key) is stream:
                del self._current[key]
