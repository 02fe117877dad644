"""Join the network: the one object through which the node talks to its peers.

Rule: sending never waits, receiving is bounded, and no peer can stop the node. This file only
composes.

    async with Network(config) as network:
        network.broadcast(Lane.VOTE, vote)
        async for message in network.inbox(Lane.VOTE):      # Inbound(sender, lane, data)
            ...

Spec: docs/spec/p2p.md.
Deviations: none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import trio

from p2p import guards
from p2p.admission import Admission
from p2p.config import KnownValidator, NetworkConfig
from p2p.containing import attempt, root_cause
from p2p.errors import Unreachable
from p2p.frames import encode_message
from p2p.gossip import Gossip, Handler, Validator
from p2p.handshake import Identity
from p2p.host import build_host, check_port_free, parse_multiaddrs, to_id
from p2p.identity import decode_peer_id, peer_id_from_seed
from p2p.lanes import LANES, Inbound, Lane
from p2p.limits import DIAL_S_MAX, FORGET_S, REDIAL_S_MAX
from p2p.links import Link, Surroundings
from p2p.peer_book import PeerBook
from p2p.queues import Inbox
from p2p.receiving import Receiver
from p2p.requests import Answer, Requests
from primitives.errors import ConfigError

log = logging.getLogger(__name__)

_BOOK_SAVE_S = 60.0
_OBSERVED_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """One validator as we see it now."""

    address: bytes
    peer_id: str
    connected: bool
    """A transport connection is up."""
    sending: bool
    """Both our lanes to it are open and it has proven its key."""
    receiving: bool
    """Both its lanes to us are open."""
    blocked: bool
    connects_total: int
    dropped_total: int
    queued: int
    bytes_in_total: int
    bytes_out_total: int
    last_error: str
    """Why our lanes to it are not open; empty while they are."""
    multiaddrs: tuple[str, ...]
    """Where it is dialled, first those it was named with."""


class Network:
    """Everything between this node and its peers."""

    def __init__(self, config: NetworkConfig, *, now_ms: Callable[[], int] | None = None) -> None:
        self.config = config
        self.peer_id = peer_id_from_seed(config.seed)
        self._now_ms = now_ms or _wall_clock_ms
        self._admission = Admission(
            observers_max=config.observers_max, now_ms=self._now_ms, own_peer_id=self.peer_id
        )
        self._admission.set_validators(config.validators)
        self._inboxes = {
            lane: Inbox(lane, bytes_max=rules.inbox_bytes_max) for lane, rules in LANES.items()
        }
        self._book = PeerBook(config.peer_book, network_id=config.network_id)
        self._links: dict[bytes, Link] = {}
        self._link_scopes: dict[bytes, trio.CancelScope] = {}
        self._stack = AsyncExitStack()
        listen = parse_multiaddrs(config.listen)
        self._listen = listen
        self.host: Any = build_host(
            seed=config.seed,
            listen=listen,
            announce=parse_multiaddrs(config.announce),
            on_fault=self._admission.on_fault,
        )
        """The libp2p host, for Bitswap."""
        self.gossip = Gossip(
            host=self.host, admission=self._admission, network_id=config.network_id
        )
        self._requests = Requests(
            host=self.host, admission=self._admission, network_id=config.network_id
        )
        self._receiver: Receiver | None = None
        self._surroundings: Surroundings | None = None
        self._nursery: trio.Nursery

    # --- lifetime ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Network:
        """Listen and start to connect. Raises ConfigError."""
        for address in self._listen:
            check_port_free(address)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.host.run(self._listen))
            swarm = self.host.get_network()
            if not swarm.listeners:
                raise ConfigError(
                    f"cannot listen on {self.config.listen}", code="P2P005", fix="check p2p.listen"
                )
            guards.contain_tasks(swarm, self._admission.on_fault)
            swarm.register_notifee(self._admission)
            self._nursery = await stack.enter_async_context(trio.open_nursery())
            await self._nursery.start(self.gossip.run)
            self._nursery.start_soon(self._save_book)
            self._nursery.start_soon(self._forget_strangers)
            self._start_lanes()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Close every socket first, so that no clean-up can wait for a peer, then stop."""
        self._book.save()
        await guards.shut_down(self.host.get_network())
        self._nursery.cancel_scope.cancel()
        try:
            return await self._stack.__aexit__(kind, error, trace)
        except ExceptionGroup as group:
            if error is not None and root_cause(group) is error:
                return False  # the body's own error, without the nurseries it came through
            raise

    def _start_lanes(self) -> None:
        signer = self.config.signer
        if signer is None:
            for validator in self._admission.validators()[:_OBSERVED_MAX]:
                self._nursery.start_soon(self._observe, validator)
            return
        us = Identity(
            network_id=self.config.network_id, signer=signer, peer_id=decode_peer_id(self.peer_id)
        )
        around = Surroundings(host=self.host, us=us, admission=self._admission, book=self._book)
        self._surroundings = around
        self._receiver = Receiver(around=around, inboxes=self._inboxes)
        self._receiver.install()
        for validator in self._admission.validators():
            self._start_link(validator)

    def _start_link(self, validator: KnownValidator) -> None:
        assert self._surroundings is not None, "an observer has no links"
        link = Link(around=self._surroundings, validator=validator)
        scope = trio.CancelScope()
        self._links[validator.address] = link
        self._link_scopes[validator.address] = scope

        async def run() -> None:
            with scope:
                await link.run()

        self._nursery.start_soon(run)

    async def _observe(self, validator: KnownValidator) -> None:
        """Stay connected to a validator without lanes."""
        peer = to_id(validator.peer_id)
        swarm = self.host.get_network()
        while True:
            if not swarm.get_connections(peer) and self._admission.is_open(validator.peer_id):
                try:
                    await self.connect(validator.peer_id, validator.multiaddrs)
                except Unreachable as error:
                    log.debug("observing: %s", error)
            await trio.sleep(REDIAL_S_MAX / 2)

    async def _save_book(self) -> None:
        while True:
            await trio.sleep(_BOOK_SAVE_S)
            self._book.save()

    async def _forget_strangers(self) -> None:
        while True:
            await trio.sleep(FORGET_S)
            guards.forget_absent(self.host.get_network(), self.is_validator)

    # --- lanes ------------------------------------------------------------------------------------

    def send(self, address: bytes, lane: Lane, data: bytes) -> bool:
        """Queue a message for one validator; False when it is dropped."""
        return self.send_to((address,), lane, data) == 1

    def send_to(self, to: Sequence[bytes], lane: Lane, data: bytes) -> int:
        """Queue a message for these validators; return for how many of them."""
        frames = encode_message(data, bytes_max=LANES[lane].message_bytes_max)
        links = (self._links.get(address) for address in to)
        return sum(link.send(lane, frames) for link in links if link is not None)

    def broadcast(self, lane: Lane, data: bytes) -> int:
        """Queue a message for all other validators; return for how many."""
        frames = encode_message(data, bytes_max=LANES[lane].message_bytes_max)
        return sum(link.send(lane, frames) for link in self._links.values())

    def inbox(self, lane: Lane) -> Inbox:
        """Return the messages of one lane that wait for us."""
        return self._inboxes[lane]

    async def receive(self, lane: Lane) -> Inbound:
        """Wait for the next message of a lane."""
        return await self._inboxes[lane].receive()

    # --- gossip and requests ----------------------------------------------------------------------

    async def publish(self, topic: str, data: bytes) -> None:
        """Publish on a gossip topic of this network. Raises LimitExceeded."""
        await self.gossip.publish(topic, data)

    async def subscribe(
        self, topic: str, handler: Handler, validator: Validator | None = None
    ) -> None:
        """Hand each message of a gossip topic to `handler`; see `Gossip.subscribe`."""
        await self.gossip.subscribe(topic, handler, validator)

    async def unsubscribe(self, topic: str) -> None:
        """Stop listening to a gossip topic."""
        await self.gossip.unsubscribe(topic)

    def serve(self, answer: Answer) -> None:
        """Answer the requests of peers."""
        self._requests.serve(answer)

    async def request(self, peer_id: str, data: bytes) -> bytes:
        """Ask a connected peer. Raises Unreachable, PeerError and LimitExceeded."""
        return await self._requests.ask(peer_id, data)

    async def connect(self, peer_id: str, multiaddrs: Iterable[str]) -> None:
        """Connect to any peer, for example to fetch blocks. Raises Unreachable and ConfigError."""
        peer = to_id(peer_id)
        addresses = parse_multiaddrs(tuple(multiaddrs))
        fault: Exception | None = trio.TooSlowError()
        with trio.move_on_after(DIAL_S_MAX):
            for address in addresses:
                _, fault = await attempt(guards.dial, self.host, peer, (address,))
                if fault is None:
                    break
        if fault is not None:
            raise Unreachable(f"{peer_id}: {fault!r}") from fault
        self._book.on_seen(peer_id, tuple(str(a) for a in addresses), now_ms=self._now_ms())

    # --- peers ------------------------------------------------------------------------------------

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        """Return where we really listen, without the `/p2p/` part."""
        return tuple(str(a).split("/p2p/")[0] for a in self.host.get_transport_addrs())

    def peers(self) -> tuple[PeerStatus, ...]:
        """Return every other validator as we see it now."""
        return tuple(self._status(validator) for validator in self._admission.validators())

    def reachable(self) -> tuple[bytes, ...]:
        """Return the validators to whom both our lanes are open; cheap, unlike `peers`."""
        return tuple(address for address, link in self._links.items() if link.is_up)

    def is_reachable(self, address: bytes) -> bool:
        """Tell whether both our lanes to a validator are open."""
        link = self._links.get(address)
        return link is not None and link.is_up

    def is_validator(self, peer_id: str) -> bool:
        """Tell whether a peer id is a validator's, our own included."""
        return peer_id == self.peer_id or self._admission.validator_at(peer_id) is not None

    def observers(self) -> tuple[str, ...]:
        """Return the peer ids of connected peers that are not validators."""
        return self._admission.observers(self.host.get_network())

    def counters(self) -> dict[str, int]:
        """Return totals since the start, by name, for metrics."""
        totals = dict(self._admission.counters)
        for lane, inbox in self._inboxes.items():
            totals[f"inbox_dropped_{lane.name.lower()}"] = inbox.dropped_total
            totals[f"inbox_waiting_{lane.name.lower()}"] = len(inbox)
            totals[f"outbox_dropped_{lane.name.lower()}"] = sum(
                link.queues[lane].dropped_total for link in self._links.values()
            )
        return totals

    def _status(self, validator: KnownValidator) -> PeerStatus:
        link = self._links.get(validator.address)
        receiver = self._receiver
        lanes_in = receiver.lanes_of(validator.address) if receiver else ()
        bytes_in = receiver.bytes_in_total.get(validator.address, 0) if receiver else 0
        queues = tuple(link.queues.values()) if link else ()
        return PeerStatus(
            address=validator.address,
            peer_id=validator.peer_id,
            connected=bool(self.host.get_network().get_connections(to_id(validator.peer_id))),
            sending=link is not None and link.is_up,
            receiving=len(lanes_in) == len(LANES),
            blocked=self._admission.is_blocked(validator.address),
            connects_total=link.connects_total if link else 0,
            dropped_total=sum(queue.dropped_total for queue in queues),
            queued=sum(len(queue) for queue in queues),
            bytes_in_total=bytes_in,
            bytes_out_total=link.bytes_out_total if link else 0,
            last_error=link.last_error if link else "",
            multiaddrs=tuple(
                dict.fromkeys((*validator.multiaddrs, *self._book.addresses(validator.peer_id)))
            ),
        )

    def set_validators(self, validators: Iterable[KnownValidator]) -> None:
        """Replace the committee: stop links that left or moved, start new ones."""
        self._admission.set_validators(validators)
        wanted = {v.address: v for v in self._admission.validators()}
        for address, link in list(self._links.items()):
            if wanted.get(address) != link.validator:
                self._link_scopes.pop(address).cancel()
                del self._links[address]
                self._disconnect(link.validator.peer_id)
        if self._surroundings is not None:
            for address, validator in wanted.items():
                if address not in self._links:
                    self._start_link(validator)

    def learn(self, peer_id: str, multiaddrs: tuple[str, ...]) -> None:
        """Remember where a peer says it can be dialed; used when a connection is wanted."""
        self._book.on_seen(peer_id, multiaddrs, now_ms=self._now_ms())

    def set_blocked(self, addresses: Iterable[bytes]) -> None:
        """Simulate a fault: exchange nothing at all with these validators until told otherwise."""
        for peer_id in self._admission.set_blocked(addresses):
            self._disconnect(peer_id)

    def report(self, address: bytes, reason: str) -> None:
        """A validator sent what the application refused; often enough, it earns a pause."""
        validator = self._admission.validator(address)
        if validator is not None and self._admission.on_complaint(validator.peer_id, reason):
            self._disconnect(validator.peer_id)

    def report_peer(self, peer_id: str, reason: str) -> None:
        """Any peer broke a rule: no contact for a while, longer each time."""
        self._admission.on_offence(peer_id, reason)
        self._disconnect(peer_id)

    def disconnect(self, peer_id: str) -> None:
        """Close the connections to a peer that has stopped reading; it may come back."""
        self._disconnect(peer_id)

    def ban(self, peer_id: str, reason: str) -> None:
        """Do not talk to a peer whose misbehaviour is proven."""
        self._admission.scores.ban(peer_id, reason, now_ms=self._now_ms())
        self._admission.counters["bans"] += 1
        self._disconnect(peer_id)

    def forgive(self, peer_id: str) -> None:
        """Lift a ban."""
        self._admission.scores.forgive(peer_id)

    def _disconnect(self, peer_id: str) -> None:
        guards.force_close(self.host.get_network(), to_id(peer_id))


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000
