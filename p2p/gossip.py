"""Publish and subscribe what is public and small, over GossipSub 1.1.

Rule: no peer can stop the router, fill memory or silence a restarted node; delivery is best effort,
not in order, and at most once per node. What must arrive goes over a lane or is fetched by its
content id.

Spec: docs/spec/p2p.md §9 (Gossip).
Deviations: the adaptive, spam and eclipse features of the library and versions above 1.1 are off
(docs/adr/0040-libp2p-guards.md).
"""

from __future__ import annotations

import functools
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import libp2p.pubsub.pubsub as pubsub_module
import libp2p.pubsub.rpc_queue as rpc_queue_module
import trio
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service

from p2p import guards
from p2p.admission import Admission
from p2p.containing import attempt
from p2p.gossip_reading import set_gate
from p2p.gossip_router import SafeGossipSub
from p2p.limits import (
    GOSSIP_BURST,
    GOSSIP_BYTES_MAX,
    GOSSIP_DEGREE,
    GOSSIP_HOUSEKEEPING_S,
    GOSSIP_INBOX_MAX,
    GOSSIP_MESSAGES_PER_S,
    GOSSIP_OUTBOX_RPCS_MAX,
    GOSSIP_RPC_BYTES_MAX,
    GOSSIP_STRANGER_BURST,
    GOSSIP_STRANGER_PER_S,
    GOSSIP_TOPICS_MAX,
    OBSERVERS_MAX,
    VALIDATORS_MAX,
)
from p2p.rates import RateLimit
from primitives.errors import LimitExceeded

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipMessage:
    """What a handler gets. The origin's transport key signed it; that says nothing about stake."""

    topic: str
    origin: str
    """Peer id of the author."""
    validator: bytes | None
    """Address of the author if it is a validator."""
    data: bytes


Handler = Callable[[GossipMessage], Awaitable[None]]
Validator = Callable[[str, bytes], bool]


class SafePubsub(Pubsub):  # type: ignore[misc]
    """Pubsub that survives undecodable messages, bounds floods, and is heard after a restart."""

    def __init__(self, host: Any, router: Any, admission: Admission) -> None:
        super().__init__(
            host,
            router,
            strict_signing=True,
            max_inbound_rpc_size=GOSSIP_RPC_BYTES_MAX,
            max_subscriptions_per_peer=GOSSIP_TOPICS_MAX,
            max_subscriptions_per_rpc=GOSSIP_TOPICS_MAX,
        )
        self.counter = time.time_ns()  # from seconds, a restarted node would be taken for a replay
        self._opening: set[ID] = set()
        self._admission = admission
        self._rate = RateLimit(per_s=GOSSIP_MESSAGES_PER_S, burst=GOSSIP_BURST)
        self._strangers_rate = RateLimit(per_s=GOSSIP_STRANGER_PER_S, burst=GOSSIP_STRANGER_BURST)

    async def _handle_new_peer(self, peer_id: ID) -> None:
        """Open one stream to a peer, also when a dead one of an older connection is in the way."""
        if peer_id in self._opening:
            return
        self._opening.add(peer_id)
        try:
            self._forget_dead(peer_id)
            await super()._handle_new_peer(peer_id)
        finally:
            self._opening.discard(peer_id)

    def heal(self) -> None:
        """Replace streams that died while their peer came back over another connection."""
        for peer_id in list(self.peers):
            self._forget_dead(peer_id)

    def _forget_dead(self, peer_id: ID) -> None:
        stream = self.peers.get(peer_id)
        if stream is None or not stream.muxed_conn.event_shutting_down.is_set():
            return
        topics = [topic for topic, peers in self.peer_topics.items() if peer_id in peers]
        self._handle_dead_peer(peer_id)  # opens a new stream if the peer is connected
        if self._peer_is_connected(peer_id):
            for topic in topics:  # they may have come over the new connection already
                option = rpc_pb2.RPC.SubOpts(subscribe=True, topicid=topic)
                self.handle_subscription(peer_id, option)

    async def continuously_read_stream(self, stream: Any) -> None:
        """Read a peer's RPCs, no faster than the peer may send."""
        set_gate(stream, functools.partial(self._wait_turn, str(stream.muxed_conn.peer_id)))
        await super().continuously_read_stream(stream)

    async def _wait_turn(self, peer_id: str, entries: int) -> None:
        """Wait while a peer is over its rate."""
        is_known = self._admission.validator_at(peer_id) is not None
        rate = self._rate if is_known else self._strangers_rate
        wait_ms = rate.charge(peer_id, entries, now_ms=self._admission.now_ms())
        if wait_ms:
            self._admission.counters["gossip_rate_limited"] += 1
            await trio.sleep(wait_ms / 1_000)

    async def push_msg(self, msg_forwarder: ID, msg: Any) -> None:
        """Handle one message, ours or a peer's; never raise for a peer's."""
        if msg_forwarder == self.my_id:
            await super().push_msg(msg_forwarder, msg)
            return
        counters = self._admission.counters
        if len(msg.data) > GOSSIP_BYTES_MAX:
            counters["gossip_oversized"] += 1
            return
        _, fault = await attempt(super().push_msg, msg_forwarder, msg)
        if fault is not None:
            counters["gossip_faults"] += 1
            log.debug("a gossip message of %s failed: %r", msg_forwarder, fault)


@dataclass(slots=True)
class _Subscription:
    handler: Handler
    send: trio.MemorySendChannel[GossipMessage]
    scope: trio.CancelScope


class Gossip:
    """Topics of one network."""

    def __init__(self, *, host: Any, admission: Admission, network_id: bytes) -> None:
        _size_queues()
        self.counters: Counter[str] = admission.counters
        self._admission = admission
        self._prefix = f"/omnibazaar/{network_id[:8].hex()}/"
        self._router = SafeGossipSub(
            protocols=[TProtocol("/meshsub/1.1.0")],
            degree=GOSSIP_DEGREE,
            degree_low=GOSSIP_DEGREE - 2,
            degree_high=VALIDATORS_MAX + OBSERVERS_MAX,  # fewer would prune and isolate peers
            heartbeat_interval=1,
            spam_protection_enabled=False,
            adaptive_gossip_enabled=False,
            eclipse_protection_enabled=False,
        )
        self._router.on_fault = admission.on_fault
        self._pubsub = SafePubsub(host, self._router, admission)
        self._subscriptions: dict[str, _Subscription] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        async with (
            background_trio_service(self._pubsub),
            background_trio_service(self._router),
            trio.open_nursery() as nursery,
        ):
            guards.contain_tasks(self._pubsub, self._admission.on_fault)
            guards.contain_tasks(self._router, self._admission.on_fault)
            await self._pubsub.wait_until_ready()
            self._nursery = nursery
            nursery.start_soon(self._keep_house)
            task_status.started()

    async def publish(self, topic: str, data: bytes) -> None:
        """Send to all subscribers, ourselves too if we are one. Raises LimitExceeded."""
        if not 0 < len(data) <= GOSSIP_BYTES_MAX:
            raise LimitExceeded(f"gossip of {len(data)} bytes, 1 to {GOSSIP_BYTES_MAX} are allowed")
        self.counters["gossip_published"] += 1
        await self._pubsub.publish(self._prefix + topic, data)

    async def subscribe(
        self, topic: str, handler: Handler, validator: Validator | None = None
    ) -> None:
        """Hand each message of `topic` to `handler`, one after the other.

        `validator(origin, data)` runs before a message is passed on to others; it must be quick. A
        handler or validator that raises is counted and goes on. Raises LimitExceeded.
        """
        assert self._nursery is not None, "the gossip task is not running"
        if topic in self._subscriptions:
            raise ValueError(f"subscribed to {topic} already")
        if len(self._subscriptions) >= GOSSIP_TOPICS_MAX:
            raise LimitExceeded(f"at most {GOSSIP_TOPICS_MAX} topics")
        name = self._prefix + topic
        if validator is not None:
            self._pubsub.set_topic_validator(name, self._guard(validator), False)
        send, receive = trio.open_memory_channel[GossipMessage](GOSSIP_INBOX_MAX)
        subscription = _Subscription(handler, send, trio.CancelScope())
        self._subscriptions[topic] = subscription
        messages = await self._pubsub.subscribe(name)
        self._nursery.start_soon(self._collect, topic, messages, subscription)
        self._nursery.start_soon(self._deliver, receive, subscription)

    async def unsubscribe(self, topic: str) -> None:
        """Stop listening to a topic."""
        subscription = self._subscriptions.pop(topic, None)
        if subscription is not None:
            subscription.scope.cancel()
            subscription.send.close()
            await self._pubsub.unsubscribe(self._prefix + topic)
            self._pubsub.remove_topic_validator(self._prefix + topic)

    def peers(self, topic: str) -> tuple[str, ...]:
        """Return the peers that subscribe to a topic, as far as we know."""
        return tuple(str(p) for p in self._pubsub.peer_topics.get(self._prefix + topic, ()))

    # --- tasks ------------------------------------------------------------------------------------

    async def _collect(self, topic: str, messages: Any, subscription: _Subscription) -> None:
        """Move messages to our own bounded inbox, never waiting for the handler."""
        with subscription.scope:
            async for raw in messages:
                try:
                    subscription.send.send_nowait(self._to_message(topic, raw))
                except trio.WouldBlock:
                    self.counters["gossip_dropped"] += 1
                except trio.ClosedResourceError:
                    return

    async def _deliver(
        self, receive: trio.MemoryReceiveChannel[GossipMessage], subscription: _Subscription
    ) -> None:
        async for message in receive:
            _, fault = await attempt(subscription.handler, message)
            if fault is not None:
                self.counters["gossip_handler_faults"] += 1
                log.warning("the handler of %s failed: %r", message.topic, fault)

    def _to_message(self, topic: str, raw: Any) -> GossipMessage:
        origin = str(ID(raw.from_id))
        known = self._admission.validator_at(origin)
        return GossipMessage(
            topic=topic,
            origin=origin,
            validator=known.address if known else None,
            data=bytes(raw.data),
        )

    def _guard(self, validator: Validator) -> Callable[[Any, Any], bool]:
        """A validator that raises would end the service; an asynchronous one would let twins in."""

        def check(_forwarder: Any, raw: Any) -> bool:
            try:
                return bool(validator(str(ID(raw.from_id)), bytes(raw.data)))
            except Exception as error:  # noqa: BLE001 - hostile data found a hole in the validator
                self.counters["gossip_validator_faults"] += 1
                log.warning("a gossip validator failed: %r", error)
                return False

        return check

    async def _keep_house(self) -> None:
        """Empty what the router would keep for ever: whole messages, in one of the two."""
        while True:
            await trio.sleep(GOSSIP_HOUSEKEEPING_S)
            self._router.forget()
            self._pubsub.heal()


def _size_queues() -> None:
    """Deepen the queues that drop silently, and count what they drop, once per process."""
    pubsub_module.SUBSCRIPTION_CHANNEL_SIZE = GOSSIP_INBOX_MAX
    pubsub_module.RpcQueue = functools.partial(
        rpc_queue_module.RpcQueue, max_size=GOSSIP_OUTBOX_RPCS_MAX
    )
