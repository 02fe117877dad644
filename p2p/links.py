"""Keep the two outbound lanes to one validator alive.

Rule: one task writes to a stream, nothing here waits for the application, and whatever fails on a
lane ends the whole connection: what comes after is a fresh one. Only the lower peer id dials, so
that a pair has one connection; the higher one steps in when nobody came for PATIENCE_S.

Spec: docs/spec/p2p.md §5 (Links).
Deviations: none.
"""

from __future__ import annotations

import logging
import random
import secrets
from dataclasses import dataclass
from typing import Any

import trio

from p2p import guards, streams
from p2p.admission import Admission
from p2p.config import KnownValidator
from p2p.containing import attempt
from p2p.errors import HandshakeError
from p2p.frames import HEARTBEAT
from p2p.handshake import MESSAGE_BYTES_MAX, NONCE_BYTES, Identity, Initiator, Remote
from p2p.host import parse_multiaddrs, to_id
from p2p.identity import decode_peer_id
from p2p.lanes import LANES, Lane
from p2p.limits import (
    AWAY_S,
    CLOSE_POLL_S,
    CLOSE_POLLS_MAX,
    DIAL_S_MAX,
    HANDSHAKE_S_MAX,
    HEARTBEAT_S,
    PATIENCE_S,
    REDIAL_S_MAX,
    REDIAL_S_MIN,
    REFUSED_S,
    WRITE_BYTES,
)
from p2p.peer_book import PeerBook
from p2p.queues import SendQueue
from primitives.errors import PeerError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every link works with."""

    host: Any
    us: Identity
    admission: Admission
    book: PeerBook


class Link:
    """Our outbound half of the conversation with one validator."""

    def __init__(self, *, around: Surroundings, validator: KnownValidator) -> None:
        self.validator = validator
        self.peer = to_id(validator.peer_id)
        self.queues = {
            lane: SendQueue(frames_max=r.queue_frames_max, bytes_max=r.queue_bytes_max)
            for lane, r in LANES.items()
        }
        self.open_lanes: set[Lane] = set()
        self.connects_total = 0
        self.bytes_out_total = 0
        self.last_error = ""
        self._around = around
        self._swarm = around.host.get_network()
        self._refused = False
        self._used: set[Any] = set()
        self._away_since = trio.current_time()
        self._dials_total = 0
        self._dials = around.us.peer_id < decode_peer_id(validator.peer_id)

    @property
    def is_up(self) -> bool:
        """Both lanes are open and proven."""
        return len(self.open_lanes) == len(LANES)

    def send(self, lane: Lane, frames: bytes) -> bool:
        """Queue one framed message; False when it is dropped (queue full, peer away or cut off)."""
        queue = self.queues[lane]
        blocked = self._around.admission.is_blocked(self.validator.address)
        away = lane not in self.open_lanes and trio.current_time() - self._away_since > AWAY_S
        if blocked or away:
            queue.dropped_total += 1
            return False
        return queue.put(frames)

    async def run(self) -> None:
        """Connect, open the lanes, write until something fails, close, again. Never returns."""
        pause_s = REDIAL_S_MIN
        while True:
            await self._wait_admitted()
            opened = self.connects_total
            self._refused = False
            _, fault = await attempt(self._connect)
            if fault is None:
                await self._run_lanes()
            else:
                self._on_failure(fault)
                guards.force_close(self._swarm, self.peer)
            if self.connects_total > opened:
                pause_s = REDIAL_S_MIN
            await trio.sleep((REFUSED_S if self._refused else pause_s) * random.uniform(0.5, 1.5))
            pause_s = min(pause_s * 2, REDIAL_S_MAX)

    async def _close(self) -> None:
        """Close the sockets we used and wait until the swarm has noticed.

        A connection that the peer has opened meanwhile, after a restart, stays.
        """
        self._close_used()
        for _ in range(CLOSE_POLLS_MAX):
            connections = self._swarm.get_connections(self.peer)
            if not any(c.muxed_conn in self._used for c in connections):
                break
            await trio.sleep(CLOSE_POLL_S)
        self._used.clear()

    def _close_used(self) -> None:
        if not self.is_up:  # something may hang while opening, and only this frees it
            guards.force_close(self._swarm, self.peer)
        for muxed in self._used:
            guards.close_connection(muxed)

    # --- connecting -------------------------------------------------------------------------------

    async def _wait_admitted(self) -> None:
        admission = self._around.admission
        while not admission.is_open(self.validator.peer_id):
            with trio.move_on_after(1):  # a ban runs out without a signal
                await admission.wait_change()

    async def _connect(self) -> None:
        """Return when a connection is up. Raises TooSlowError and what libp2p raises."""
        if self._swarm.get_connections(self.peer):
            return
        if not self._dials:
            with trio.move_on_after(PATIENCE_S * random.uniform(1, 1.5)):
                await self._around.admission.wait_arrival(self.validator.peer_id)
                return
        addresses = (*self.validator.multiaddrs, *self._around.book.addresses(str(self.peer)))
        if not addresses:
            raise ConnectionError("no address to dial")
        known = tuple(dict.fromkeys(addresses))
        address = known[self._dials_total % len(known)]
        self._dials_total += 1
        with trio.fail_after(DIAL_S_MAX):
            await guards.dial(self._around.host, self.peer, parse_multiaddrs((address,)))

    async def _run_lanes(self) -> None:
        async with trio.open_nursery() as nursery:
            for lane in LANES:
                nursery.start_soon(self._run_lane, lane, nursery)
        await self._close()
        self.open_lanes.clear()
        self._away_since = trio.current_time()

    async def _run_lane(self, lane: Lane, nursery: trio.Nursery) -> None:
        try:
            _, fault = await attempt(self._open_and_write, lane, nursery)
            if fault is not None:
                self._on_failure(fault)
        finally:
            # The sockets first: what still hangs in a shielded clean-up is freed by that alone.
            self._close_used()
            nursery.cancel_scope.cancel()

    async def _open_and_write(self, lane: Lane, nursery: trio.Nursery) -> None:
        stream = await streams.open_stream(
            self._around.host, self.peer, LANES[lane].protocol, limit_s=DIAL_S_MAX
        )
        self._used.add(stream.muxed_conn)
        with trio.fail_after(HANDSHAKE_S_MAX):
            await self._prove(stream, lane)
        self._on_open(lane)
        nursery.start_soon(self._watch, stream.muxed_conn, nursery.cancel_scope)
        await self._write(stream, self.queues[lane])

    async def _prove(self, stream: Any, lane: Lane) -> None:
        side = Initiator(
            us=self._around.us,
            remote=Remote(address=self.validator.address, peer_id=self.peer.to_bytes()),
            lane=lane,
            nonce=secrets.token_bytes(NONCE_BYTES),
        )
        reader = streams.MessageReader(stream, bytes_max=MESSAGE_BYTES_MAX)
        await streams.write_message(stream, side.hello(), bytes_max=MESSAGE_BYTES_MAX)
        proof = side.on_welcome(await reader.read_one())
        await streams.write_message(stream, proof, bytes_max=MESSAGE_BYTES_MAX)
        side.on_verdict(await reader.read_one())

    async def _write(self, stream: Any, queue: SendQueue) -> None:
        while True:
            with trio.move_on_after(HEARTBEAT_S):
                await queue.wait()
            batch = queue.take(WRITE_BYTES) or HEARTBEAT
            await streams.write_all(stream, batch)
            self.bytes_out_total += len(batch)

    async def _watch(self, muxed: Any, scope: trio.CancelScope) -> None:
        """Notice the end of the connection at once, not at the next write."""
        await muxed.event_shutting_down.wait()
        self.last_error = "the connection ended"
        scope.cancel()

    # --- what happened ----------------------------------------------------------------------------

    def _on_open(self, lane: Lane) -> None:
        if trio.current_time() - self._away_since > AWAY_S:
            self.queues[lane].clear()
        self.open_lanes.add(lane)
        if self.is_up:
            self.connects_total += 1
            self.last_error = ""
            book, now_ms = self._around.book, self._around.admission.now_ms()
            addresses = self.validator.multiaddrs or book.addresses(str(self.peer))
            book.on_seen(str(self.peer), addresses, now_ms=now_ms)
            log.info("both lanes to validator 0x%s are open", self.validator.address.hex())

    def _on_failure(self, error: Exception) -> None:
        self.last_error = f"{type(error).__name__}: {error}"[:300]
        self._refused = self._refused or isinstance(error, HandshakeError)
        if isinstance(error, HandshakeError):
            log.warning("validator 0x%s: %s", self.validator.address.hex(), self.last_error)
        elif isinstance(error, PeerError):
            self._around.admission.on_offence(str(self.peer), self.last_error)
        else:
            log.debug("link to %s: %r", self.peer, error)
