"""Join the chat of this node to its API, its peers and its ledger.

Rule: whatever arrives is verified by `chat/`; this file only carries bytes and shows views.
Spec: docs/spec/chat.md. Deviations: none.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from chat.envelope import Verified
from chat.limits import PRUNE_STEP_MESSAGES
from chat.payload import RoomMessage, decode_payload
from chat.service import TOPIC, ChatService
from chat.store import ChatStore, Item
from exchange.state import State
from node.api import chat_views
from node.api.hub import Hub
from node.api.service import Envelope as ApiEnvelope
from node.clock import NodeClock
from node.limits import CHAT_OUTBOX_MAX
from node.metrics import Metrics
from node.peers import PeerWire
from node.replica.ledger import Ledger
from node.wire import FrameKind, encode_frame
from p2p.gossip import GossipMessage
from p2p.network import Network
from primitives.errors import InvalidMessage, LimitExceeded, PeerError

log = logging.getLogger("omnibazaar.chat")

SYNC_S = 30.0
PRUNE_S = 300.0
PRUNE_PAUSE_S = 0.2  # while there is more to delete


class LedgerDirectory:
    """What the ledger knows about who may write for whom (`chat.envelope.Directory`)."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def speaks_for(self, account: bytes, key: bytes, time_ms: int) -> bool:
        """Tell whether `key` is a live session key of the account."""
        state: State = self._ledger.state
        owner, grant = state.by_address.get(account), state.keys.get(key)
        if owner is None or grant is None:
            return False
        return grant.account == owner.number and not grant.revoked and grant.expiry_ms > time_ms

    def admits(self, account: bytes) -> bool:
        """Admit everybody; rates are bounded per author."""
        return True

    def knows(self, account: bytes) -> bool:
        """Tell whether the ledger has the account: it has deposited once."""
        state: State = self._ledger.state
        return account in state.by_address


class MarketRooms:
    """A room per market that was ever listed; markets keep their names and become only more."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._names: tuple[str, ...] = ()

    def list_rooms(self) -> tuple[str, ...]:
        """Return the names of all rooms."""
        markets = self._ledger.state.markets
        if len(markets) != len(self._names):
            self._names = tuple(market.name for market in markets)
        return self._names


class ChatRoom:
    """The chat of one node."""

    def __init__(
        self,
        *,
        store: ChatStore,
        domain: bytes,
        ledger: Ledger,
        network: Network,
        wire: PeerWire,
        hub: Hub,
        clock: NodeClock,
        metrics: Metrics,
    ) -> None:
        self._network = network
        self._wire = wire
        self._hub = hub
        self._clock = clock
        self._metrics = metrics
        self._outbox: deque[bytes] = deque(maxlen=CHAT_OUTBOX_MAX)
        self._wake = trio.Event()
        self._service = ChatService(
            domain=domain,
            rooms=MarketRooms(ledger).list_rooms,
            store=store,
            directory=LedgerDirectory(ledger),
            publish=self._publish,
            send=self._send,
            announce=self._announce,
        )
        wire.on(FrameKind.CHAT, self._on_frame)

    # To and from the network

    def _publish(self, topic: str, data: bytes) -> None:
        self._outbox.append(data)
        self._wake.set()

    def _send(self, peer: bytes, data: bytes) -> None:
        self._wire.send((peer,), encode_frame(FrameKind.CHAT, data), bulk=True)

    def _announce(self, verified: Verified) -> None:
        self._metrics.chat_messages.inc()
        payload = verified.payload
        if isinstance(payload, RoomMessage):
            message = chat_views.ChatMessage(
                id=verified.id,
                room=payload.room,
                author=payload.author,
                time_ms=payload.time_ms,
                lamport=payload.lamport,
                text=payload.text,
                payload=verified.envelope.payload,
                signature=verified.envelope.signature,
            )
            self._hub.publish("chat", (message,), payload.room)

    def _on_frame(self, sender: bytes, body: bytes) -> None:
        with _no_disk_no_chat():
            self._service.on_frame(sender, body, self._clock.now_ms())

    def start_sync(self, peer: bytes) -> None:
        """Compare histories with a validator that has just become reachable."""
        with _no_disk_no_chat():
            self._service.start_sync(peer, self._clock.now_ms())

    async def run(self) -> None:
        """Publish and receive gossip, compare histories, forget the old."""
        async with trio.open_nursery() as nursery:
            await self._network.subscribe(TOPIC, self._on_gossip, self._is_worth_passing)
            nursery.start_soon(self._run_publish)
            nursery.start_soon(self._run_sync)
            nursery.start_soon(self._run_prune)

    def _is_worth_passing(self, _origin: str, data: bytes) -> bool:
        """Tell whether others should get it: else every node would repeat anybody's bytes."""
        return self._service.is_timely(data, self._clock.now_ms())

    async def _on_gossip(self, message: GossipMessage) -> None:
        try:
            self._service.on_gossip(TOPIC, message.data, self._clock.now_ms())
        except PeerError as error:
            log.debug("a gossiped message was refused: %s", error)

    async def _run_publish(self) -> None:
        while True:
            while self._outbox:
                data = self._outbox.popleft()
                try:
                    await self._network.publish(TOPIC, data)
                except LimitExceeded as error:
                    log.debug("a message was not gossiped: %s", error)
            self._wake = trio.Event()
            await self._wake.wait()

    async def _run_sync(self) -> None:
        turn = 0
        while True:
            await trio.sleep(SYNC_S)
            connected = self._wire.connected()
            if connected:
                turn += 1
                self.start_sync(connected[turn % len(connected)])

    async def _run_prune(self) -> None:
        while True:
            deleted = 0
            with _no_disk_no_chat():
                deleted = self._service.prune(self._clock.now_ms())
            await trio.sleep(PRUNE_PAUSE_S if deleted >= PRUNE_STEP_MESSAGES else PRUNE_S)

    # For the API

    @property
    def messages(self) -> int:
        """How many messages this node holds."""
        return self._service.messages

    def rooms(self) -> tuple[chat_views.ChatRoom, ...]:
        """Show the public rooms."""
        return tuple(
            chat_views.ChatRoom(
                name=feed.feed, title=feed.feed, messages=feed.messages, last_ms=feed.last_ms
            )
            for feed in self._service.rooms()
        )

    def messages_of(self, room: str, limit: int, cursor: str | None) -> chat_views.ChatPage:
        """Show a page of a room, oldest first. Raises InvalidMessage."""
        items = self._service.history(room, limit, _parse_cursor(cursor))
        more = f"{items[0].lamport}-{items[0].id.hex()}" if len(items) == limit else None
        return chat_views.ChatPage(messages=tuple(_message(item) for item in items), cursor=more)

    def post(self, envelope: ApiEnvelope, room: str | None) -> chat_views.ChatReceipt:
        """Take a message from its author. Raises PeerError."""
        payload, signature = envelope
        content = decode_payload(payload)
        if (content.room if isinstance(content, RoomMessage) else None) != room:
            raise InvalidMessage("the message is for another room")
        verified = self._service.post(payload, signature, self._clock.now_ms())
        return chat_views.ChatReceipt(id=verified.id, stored=True)

    def inbox(
        self, address: bytes, limit: int, after_ms: int
    ) -> tuple[chat_views.DirectMessage, ...]:
        """Show sealed messages to an address."""
        return tuple(
            chat_views.DirectMessage(
                id=item.id,
                sender=item.author,
                to=item.target,
                time_ms=item.time_ms,
                payload=item.payload,
                signature=item.signature,
            )
            for item in self._service.inbox(address, after_ms, limit)
        )

    def prekeys(self, owner: bytes) -> tuple[chat_views.Prekey, ...]:
        """Show the bundle under which an owner can be written to."""
        item = self._service.bundle(owner, self._clock.now_ms())
        if item is None:
            return ()
        return (
            chat_views.Prekey(owner=item.author, payload=item.payload, signature=item.signature),
        )


@contextmanager
def _no_disk_no_chat() -> Iterator[None]:
    """Go on without chat when its database fails, as on a full disk: the node does not need it."""
    try:
        yield
    except sqlite3.Error as error:
        log.warning("the chat database failed: %s", error)


def _message(item: Item) -> chat_views.ChatMessage:
    payload = decode_payload(item.payload)
    assert isinstance(payload, RoomMessage), "a room holds room messages only"
    return chat_views.ChatMessage(
        id=item.id,
        room=item.feed,
        author=item.author,
        time_ms=item.time_ms,
        lamport=item.lamport,
        text=payload.text,
        payload=item.payload,
        signature=item.signature,
    )


def _parse_cursor(cursor: str | None) -> tuple[int, bytes] | None:
    if cursor is None:
        return None
    lamport, _, item_id = cursor.partition("-")
    try:
        return int(lamport), bytes.fromhex(item_id)
    except ValueError:
        raise InvalidMessage("not a cursor of this list") from None
