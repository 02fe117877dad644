"""Speak to validators over the libp2p network, with or without a seat.

Rule: an address is one whose key the transport has proven; nothing here waits.
Spec: docs/spec/node.md (Frames). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio

from node.wire import FrameKind, split_frame
from p2p.lanes import Lane
from p2p.network import Network
from primitives.errors import PeerError

log = logging.getLogger("omnibazaar.peers")

WATCH_S = 0.5  # between two looks at who is connected

Handler = Callable[[bytes, bytes], None]
"""(address of the sender, body of the frame); must not wait."""


class PeerWire:
    """Frames to and from the other validators (`node.consensus_driver.Wire`)."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._handlers: dict[FrameKind, Handler] = {}

    def on(self, kind: FrameKind, handler: Handler) -> None:
        """Route frames of a kind."""
        self._handlers[kind] = handler

    def send(self, to: Sequence[bytes], frame: bytes, *, bulk: bool) -> None:
        """Queue a frame for each of these validators."""
        self._network.send_to(to, Lane.BULK if bulk else Lane.VOTE, frame)

    def broadcast(self, frame: bytes, *, bulk: bool) -> None:
        """Queue a frame for every other validator."""
        self._network.broadcast(Lane.BULK if bulk else Lane.VOTE, frame)

    def blame(self, peer: bytes, error: PeerError) -> None:
        """Lower a validator's standing and say why in the log."""
        log.info("validator 0x%s broke a rule: %s", peer.hex(), error)
        self._network.report(peer, str(error)[:200])

    def connected(self) -> list[bytes]:
        """Return the validators that can be reached now, in the order of their addresses."""
        return sorted(self._network.reachable())

    async def run_receive(self, lane: Lane) -> None:
        """Hand every inbound frame of a lane to its handler until cancelled."""
        while True:
            inbound = await self._network.receive(lane)
            try:
                kind, body = split_frame(inbound.data)
                handler = self._handlers.get(kind)
                if handler is not None:
                    handler(inbound.sender, body)
            except PeerError as error:
                self.blame(inbound.sender, error)

    async def run_watch(self, on_connected: Callable[[bytes], None]) -> None:
        """Say which validator has just become reachable."""
        before: set[bytes] = set()
        while True:
            now = set(self.connected())
            for peer in sorted(now - before):
                on_connected(peer)
            before = now
            await trio.sleep(WATCH_S)
