"""Speak to committee members by index over the libp2p network.

Rule: an index stands for the address whose key the transport has proven; nothing here waits.
Spec: docs/spec/node.md (Frames). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from consensus.committee import Committee
from node.wire import FrameKind, split_frame
from p2p.lanes import Lane
from p2p.network import Network
from primitives.errors import PeerError

log = logging.getLogger("omnibazaar.peers")

WATCH_S = 0.5  # between two looks at who is connected

Handler = Callable[[int, bytes], None]
"""(committee index of the sender, body of the frame); must not wait."""


class CommitteeWire:
    """Frames to and from the other members (`node.consensus_driver.Wire`)."""

    def __init__(self, network: Network, committee: Committee) -> None:
        self._network = network
        self._addresses = [member.address for member in committee.members]
        self._index_of = {address: i for i, address in enumerate(self._addresses)}
        self._handlers: dict[FrameKind, Handler] = {}

    def on(self, kind: FrameKind, handler: Handler) -> None:
        """Route frames of a kind."""
        self._handlers[kind] = handler

    def send(self, index: int, frame: bytes, *, bulk: bool) -> None:
        """Queue a frame for one member."""
        self._network.send(self._addresses[index], Lane.BULK if bulk else Lane.VOTE, frame)

    def broadcast(self, frame: bytes, *, bulk: bool) -> None:
        """Queue a frame for every other member."""
        self._network.broadcast(Lane.BULK if bulk else Lane.VOTE, frame)

    def blame(self, index: int, error: PeerError) -> None:
        """Lower a member's score and say why in the log."""
        log.info("member %d broke a rule: %s", index, error)
        self._network.report(self._addresses[index], str(error)[:200])

    def connected(self) -> list[int]:
        """Return the indices of the members that can be reached now."""
        index_of = self._index_of
        return sorted(index_of[a] for a in self._network.reachable() if a in index_of)

    async def run_receive(self, lane: Lane) -> None:
        """Hand every inbound frame of a lane to its handler until cancelled."""
        while True:
            inbound = await self._network.receive(lane)
            index = self._index_of.get(inbound.sender)
            if index is None:
                continue
            try:
                kind, body = split_frame(inbound.data)
                handler = self._handlers.get(kind)
                if handler is not None:
                    handler(index, body)
            except PeerError as error:
                self.blame(index, error)

    async def run_watch(self, on_connected: Callable[[int], None]) -> None:
        """Say which member has just become reachable."""
        before: set[int] = set()
        while True:
            now = set(self.connected())
            for index in sorted(now - before):
                on_connected(index)
            before = now
            await trio.sleep(WATCH_S)
