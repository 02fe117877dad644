"""Decide with whom we talk: validators, a few observers, nobody who is blocked or banned.

Rule: every connection passes here when it opens, so votes, bulk, gossip, Bitswap and requests obey
one decision; a peer that is not admitted loses its connection, not just a stream.

Spec: docs/spec/p2p.md §6 (Admission).
Deviations: none.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import trio

from p2p import guards
from p2p.config import KnownValidator
from p2p.limits import VALIDATOR_BUFFER_BYTES_MAX
from p2p.scores import Scores
from p2p.stream_buffers import allow_bytes

log = logging.getLogger(__name__)


class Admission:
    """Who is who, and who is not talked to. Also a libp2p notifee (see `connected`)."""

    def __init__(self, *, observers_max: int, now_ms: Callable[[], int], own_peer_id: str) -> None:
        self.scores = Scores()
        self.counters: Counter[str] = Counter()
        self.now_ms = now_ms
        self._own_peer_id = own_peer_id
        self._observers_max = observers_max
        self._by_peer_id: dict[str, KnownValidator] = {}
        self._by_address: dict[bytes, KnownValidator] = {}
        self._blocked: frozenset[bytes] = frozenset()
        self._blocked_peers: frozenset[str] = frozenset()
        self._arrivals: dict[str, trio.Event] = {}
        self._changed = trio.Event()

    # --- who is who -------------------------------------------------------------------------------

    def set_validators(self, validators: Iterable[KnownValidator]) -> None:
        """Replace the validators; ourselves are left out."""
        others = [v for v in validators if v.peer_id != self._own_peer_id]
        self._by_peer_id = {v.peer_id: v for v in others}
        self._by_address = {v.address: v for v in others}
        self._refresh_blocked()

    def validators(self) -> tuple[KnownValidator, ...]:
        """Return all validators but ourselves."""
        return tuple(self._by_peer_id.values())

    def validator_at(self, peer_id: str) -> KnownValidator | None:
        """Return the validator that the configuration binds to a peer id."""
        return self._by_peer_id.get(peer_id)

    def validator(self, address: bytes) -> KnownValidator | None:
        """Return the validator with this address."""
        return self._by_address.get(address)

    # --- who may talk -----------------------------------------------------------------------------

    def is_open(self, peer_id: str) -> bool:
        """Tell whether we talk to this peer now."""
        if peer_id in self._blocked_peers:
            return False
        return not self.scores.is_shunned(peer_id, now_ms=self.now_ms())

    def is_blocked(self, address: bytes) -> bool:
        """Tell whether a simulated fault cuts this validator off."""
        return address in self._blocked

    def set_blocked(self, addresses: Iterable[bytes]) -> tuple[str, ...]:
        """Cut validators off; return the peer ids whose connections must be closed."""
        self._blocked = frozenset(addresses)
        self._refresh_blocked()
        return tuple(self._blocked_peers)

    def _refresh_blocked(self) -> None:
        found = (self._by_address.get(address) for address in self._blocked)
        self._blocked_peers = frozenset(v.peer_id for v in found if v is not None)
        self._changed.set()
        self._changed = trio.Event()

    async def wait_change(self) -> None:
        """Return when blocks or validators change."""
        await self._changed.wait()

    # --- what they did ----------------------------------------------------------------------------

    def on_fault(self, peer_id: str, reason: str) -> None:
        """Count an exception in a peer's stream; it may be our fault, so it is not judged."""
        self.counters["stream_faults"] += 1
        log.warning("contained a fault of peer %s: %s", peer_id, reason)

    def on_offence(self, peer_id: str, reason: str) -> None:
        """Note that a peer broke a rule on its own connection."""
        pause_ms = self.scores.on_offence(peer_id, reason, now_ms=self.now_ms())
        self.counters["offences"] += 1
        log.warning("peer %s broke a rule (%s), no contact for %d ms", peer_id, reason, pause_ms)

    def on_complaint(self, peer_id: str, reason: str) -> bool:
        """Note a message that the application refused; True when that was one too many."""
        self.counters["complaints"] += 1
        pause_ms = self.scores.on_complaint(peer_id, reason, now_ms=self.now_ms())
        if pause_ms:
            log.warning("peer %s: too many bad messages (%s), pause", peer_id, reason)
        return pause_ms > 0

    # --- notifee of the swarm ---------------------------------------------------------------------

    async def connected(self, network: Any, connection: Any) -> None:
        """Close what is not admitted; wake the link that waits for this peer."""
        peer_id = str(connection.muxed_conn.peer_id)
        self.counters["connections"] += 1
        if not self.is_open(peer_id):
            self.counters["refused_connections"] += 1
            guards.close_connection(connection.muxed_conn)
            return
        if peer_id not in self._by_peer_id and self._count_observers(network) > self._observers_max:
            self.counters["refused_observers"] += 1
            guards.close_connection(connection.muxed_conn)
            return
        if peer_id in self._by_peer_id:
            allow_bytes(connection.muxed_conn, VALIDATOR_BUFFER_BYTES_MAX)
        event = self._arrivals.pop(peer_id, None)
        if event is not None:
            event.set()

    async def disconnected(self, network: Any, connection: Any) -> None:
        """Nothing: links watch their own connection."""

    async def opened_stream(self, network: Any, stream: Any) -> None:
        """Nothing: streams are bounded in `guards.contain_streams`."""

    async def closed_stream(self, network: Any, stream: Any) -> None:
        """Nothing."""

    async def listen(self, network: Any, multiaddr: Any) -> None:
        """Nothing."""

    async def listen_close(self, network: Any, multiaddr: Any) -> None:
        """Nothing."""

    async def wait_arrival(self, peer_id: str) -> None:
        """Return when a new connection with this peer is up."""
        event = self._arrivals.setdefault(peer_id, trio.Event())
        await event.wait()

    def observers(self, network: Any) -> tuple[str, ...]:
        """Return the connected peers that are not validators."""
        found = (str(peer) for peer, conns in network.connections.items() if conns)
        return tuple(peer_id for peer_id in found if peer_id not in self._by_peer_id)

    def _count_observers(self, network: Any) -> int:
        return len(self.observers(network))
