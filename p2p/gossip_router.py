"""Route gossip over GossipSub, and do for no peer what costs more than its message.

Rule: what a peer says about topics we do not follow is not remembered, nobody is dialed because a
peer said so, an answer is bounded in bytes, and what is known of peers that are gone is forgotten.

Spec: docs/spec/p2p.md §9 (Gossip), §8 (The library).
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import trio
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.utils import safe_bytes_from_hex

from p2p.containing import attempt
from p2p.limits import GOSSIP_BACKOFF_S_MAX, GOSSIP_WANTED_BYTES_MAX

_BY_PEER: Final = ("iwant_request_limits", "ihave_message_limits", "graft_flood_tracking")
"""Memories of the library by peer, which it never empties."""


class SafeGossipSub(GossipSub):  # type: ignore[misc]
    """A router whose heartbeat survives its own faults, and which peers cannot make grow."""

    on_fault: Callable[[str, str], None]

    async def heartbeat(self) -> None:
        """Run the heartbeat for ever."""
        while True:
            _, fault = await attempt(super().heartbeat)
            self.on_fault("", f"gossip heartbeat: {fault!r}"[:200])
            await trio.sleep(1)

    async def handle_graft(self, graft_msg: Any, sender_peer_id: Any) -> None:
        """Take a peer into the mesh of a topic that we follow."""
        if self._follows(graft_msg.topicID):
            await super().handle_graft(graft_msg, sender_peer_id)

    async def handle_prune(self, prune_msg: Any, sender_peer_id: Any) -> None:
        """Let a peer go; the peers it names instead may be anybody's victims, we dial none."""
        if not self._follows(prune_msg.topicID):
            return
        prune_msg.ClearField("peers")
        prune_msg.backoff = min(prune_msg.backoff, GOSSIP_BACKOFF_S_MAX)
        await super().handle_prune(prune_msg, sender_peer_id)

    async def handle_ihave(self, ihave_msg: Any, sender_peer_id: Any) -> None:
        """Ask for what we lack of a topic that we follow."""
        if self._follows(ihave_msg.topicID):
            await super().handle_ihave(ihave_msg, sender_peer_id)

    async def handle_iwant(self, iwant_msg: Any, sender_peer_id: Any) -> None:
        """Give messages, each once, up to a size: the same id a thousand times is no request."""
        wanted = rpc_pb2.ControlIWant()
        given: set[bytes] = set()
        size = 0
        for message_id in iwant_msg.messageIDs:
            name = safe_bytes_from_hex(message_id)
            message = None if name is None or name in given else self.mcache.get(name)
            if message is None:
                continue
            size += len(message.data)
            if size > GOSSIP_WANTED_BYTES_MAX:
                break
            given.add(name)
            wanted.messageIDs.append(message_id)
        if given:
            await super().handle_iwant(wanted, sender_peer_id)

    async def handle_idontwant(self, idontwant_msg: Any, sender_peer_id: Any) -> None:
        """Nothing: it belongs to a later version than ours."""

    def forget(self) -> None:
        """Empty what the library would keep for ever; of absent peers everything."""
        self.equivocation_detection.clear()
        self.recent_message_deliveries.clear()
        present = self.pubsub.peers if self.pubsub is not None else {}
        memories = [getattr(self, name) for name in _BY_PEER]
        for memory in (*memories, *self.back_off.values()):
            for peer in [peer for peer in memory if peer not in present]:
                del memory[peer]

    def _follows(self, topic: str) -> bool:
        return self.pubsub is not None and topic in self.pubsub.topic_ids
