"""Chat of one node: take messages from authors, gossip and peers; keep them; tell who listens.

Rule: no clock, no waiting, no network: time and bytes come in as arguments, whatever goes out goes
through the callbacks. Call it from one thread.
Spec: docs/spec/chat.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from chat import limits, sync
from chat.envelope import (
    Directory,
    Envelope,
    Unproven,
    Verified,
    compute_id,
    decode_envelope,
    encode_envelope,
    verify,
)
from chat.frame_rate import FrameRate, cost_of
from chat.payload import PrekeyBundle, RoomMessage, decode_payload
from chat.store import (
    DIRECT_FEED,
    PREKEY_FEED,
    RESERVED_FEEDS,
    ChatStore,
    FeedSummary,
    Item,
    to_item,
)
from primitives.errors import InvalidMessage, LimitExceeded, PeerError

LOBBY: Final = "lobby"
TOPIC: Final = "chat"
"""The one gossip topic of chat."""

Publish = Callable[[str, bytes], None]
"""(topic, data): hand to gossip; must not wait."""
Send = Callable[[bytes, bytes], None]
"""(peer, frame): queue for one peer; must not wait, may drop."""
Announce = Callable[[Verified], None]
"""A message was stored just now."""


class Untimely(InvalidMessage):
    """A message too old, from the future, or for a room that a market listed meanwhile may have
    opened elsewhere: refused, but no reason to blame who passed it on.
    """


class ChatService:
    """Rooms, inboxes and prekeys of one node."""

    def __init__(
        self,
        *,
        domain: bytes,
        rooms: Callable[[], Sequence[str]],
        store: ChatStore,
        directory: Directory,
        publish: Publish,
        send: Send,
        announce: Announce,
    ) -> None:
        """Serve the lobby and what `rooms` returns (the names of the markets): the same object
        until there are more."""
        self._domain = domain
        self._list_rooms = rooms
        self._listed: Sequence[str] | None = None
        self._known: tuple[str, ...] = ()
        self._store = store
        self._directory = directory
        self._publish = publish
        self._send = send
        self._announce = announce
        self._frame_rate = FrameRate()

    @property
    def _rooms(self) -> tuple[str, ...]:
        listed = self._list_rooms()
        if listed is not self._listed:
            rooms = tuple(dict.fromkeys((LOBBY, *listed)))
            assert not RESERVED_FEEDS & set(rooms), "a room has the name of an internal feed"
            assert len(rooms) <= limits.ROOMS_MAX, "more rooms than limits.ROOMS_MAX"
            self._listed, self._known = listed, rooms
            self._store.share_rooms(len(rooms))
        return self._known

    @property
    def _feeds(self) -> tuple[str, ...]:
        return (*self._rooms, DIRECT_FEED, PREKEY_FEED)

    # From authors, through the API of this node

    def post(self, payload: bytes, signature: bytes, now_ms: int) -> Verified:
        """Take a message from its author, store it and pass it on. Raises PeerError.

        Posting the same bytes again is no error: a client may repeat what it got no answer to.
        """
        if len(signature) != limits.SIGNATURE_BYTES:
            raise InvalidMessage("a signature has 65 bytes")
        verified = verify(Envelope(payload, signature), self._domain, self._directory)
        if now_ms - verified.payload.time_ms > limits.POST_AGE_MS_MAX:
            raise InvalidMessage("the message is too old; check your clock")
        item = self._admit(verified, now_ms)
        if self._store.has(item.id):
            return verified
        self._verify_rate(item)
        if not self._store.add(item):
            raise LimitExceeded("the author has used up a share, or a newer bundle is known")
        self._announce(verified)
        self._publish(TOPIC, encode_envelope(verified.envelope))
        return verified

    def _verify_rate(self, item: Item) -> None:
        most = {
            DIRECT_FEED: limits.AUTHOR_DIRECT_MINUTE_MAX,
            PREKEY_FEED: limits.AUTHOR_PREKEY_MINUTE_MAX,
        }.get(item.feed, limits.AUTHOR_ROOM_MINUTE_MAX)
        if self._store.count_minute(item.feed, item.author, item.time_ms) >= most:
            raise LimitExceeded(f"at most {most} messages a minute here")

    # From the network

    def on_gossip(self, topic: str, data: bytes, now_ms: int) -> bool:
        """Take a gossiped message; True if it was new. Raises PeerError on a bad one."""
        if topic != TOPIC:
            raise InvalidMessage(f"no chat topic: {topic[:64]!r}")
        return self._take(decode_envelope(data), now_ms)

    def is_timely(self, data: bytes, now_ms: int) -> bool:
        """Tell whether gossip has the form of a message of now; its signature is checked later."""
        try:
            envelope = decode_envelope(data)
            payload = decode_payload(envelope.payload)
        except PeerError:
            return False
        if payload.domain != self._domain or len(envelope.signature) != limits.SIGNATURE_BYTES:
            return False
        return -limits.GOSSIP_AGE_MS_MAX <= payload.time_ms - now_ms <= limits.CLOCK_AHEAD_MS_MAX

    def on_frame(self, peer: bytes, data: bytes, now_ms: int) -> None:
        """Take a frame of the history exchange and answer it. Raises PeerError on a bad one."""
        frame = sync.decode_frame(data)
        if not self._frame_rate.take(peer, cost_of(frame), now_ms):
            return
        if isinstance(frame, sync.Feeds):
            for answer in sync.answer_feeds(self._store, self._feeds, frame):
                self._send(peer, sync.encode_frame(answer))
            return
        if frame.feed not in self._feeds:
            return  # the peer may know of a market that this node has not reached
        if isinstance(frame, sync.Hours):
            for want in sync.answer_hours(self._store, frame):
                self._send(peer, sync.encode_frame(want))
        elif isinstance(frame, sync.Want):
            self._send(peer, sync.encode_frame(sync.answer_want(self._store, frame)))
        else:
            self._on_page(peer, frame, now_ms)

    def start_sync(self, peer: bytes, now_ms: int) -> None:
        """Compare histories with a peer; do so on connecting and every half minute or so."""
        frame = sync.compute_feeds(self._store, self._feeds, sync.horizon_ms(now_ms))
        self._send(peer, sync.encode_frame(frame))

    def prune(self, now_ms: int) -> int:
        """Forget what is past its time; call every few minutes. Return how many messages."""
        return self._store.prune(now_ms)

    def _on_page(self, peer: bytes, page: sync.Page, now_ms: int) -> None:
        """Keep what is good even if something in the page is not, then blame the peer."""
        blame = None
        for envelope in page.envelopes:
            try:
                self._take(envelope, now_ms)
            except PeerError as error:
                blame = error
        if blame is not None:
            raise blame
        if page.has_more and page.envelopes:
            self._send(peer, sync.encode_frame(sync.compute_next(page, self._domain)))

    def _take(self, envelope: Envelope, now_ms: int) -> bool:
        """Store a message if it is new; what is known costs a hash and no signature check."""
        if self._store.has(compute_id(self._domain, envelope.payload)):
            return False
        try:
            verified = verify(envelope, self._domain, self._directory)
            item = self._admit(verified, now_ms)
        except (Unproven, Untimely):
            return False  # an honest peer with another clock or ledger height may pass it on
        if not self._store.add(item):
            return False
        self._announce(verified)
        return True

    def _admit(self, verified: Verified, now_ms: int) -> Item:
        """Apply the rules that need the clock and the list of rooms. Raises InvalidMessage."""
        payload = verified.payload
        if isinstance(payload, RoomMessage) and payload.room not in self._rooms:
            raise Untimely(f"there is no room {payload.room!r}")
        if payload.time_ms > now_ms + limits.CLOCK_AHEAD_MS_MAX:
            raise Untimely("the message comes from the future; check your clock")
        is_bundle = isinstance(payload, PrekeyBundle)
        kept_ms = limits.PREKEY_LIFETIME_MS_MAX if is_bundle else limits.RETENTION_MS
        if payload.time_ms < now_ms - kept_ms:
            raise Untimely("the message is older than what is kept")
        item = to_item(verified)
        self._verify_share(item)
        return item

    def _verify_share(self, item: Item) -> None:
        """Keep room for who has an account: fresh addresses cost nothing. Raises Untimely."""
        most = {DIRECT_FEED: limits.DIRECT_MESSAGES_MAX, PREKEY_FEED: limits.PREKEYS_MAX}
        if item.feed not in most or self._directory.knows(item.author):
            return
        if self._store.count(item.feed) * 100 >= most[item.feed] * limits.STRANGERS_SHARE_PERCENT:
            raise Untimely("no room for authors without an account")

    # Reading

    @property
    def feeds(self) -> tuple[str, ...]:
        """The rooms, the lobby first."""
        return self._rooms

    def rooms(self) -> tuple[FeedSummary, ...]:
        """Return size and age of every room."""
        return tuple(self._store.summary(room) for room in self._rooms)

    def history(
        self, room: str, limit: int, before: tuple[int, bytes] | None = None
    ) -> tuple[Item, ...]:
        """Return the last messages of a room before (lamport, id), oldest first.

        Raises InvalidMessage for a room that does not exist.
        """
        if room not in self._rooms:
            raise InvalidMessage(f"there is no room {room[:64]!r}")
        if before is not None and not 0 <= before[0] <= limits.TIME_MS_MAX:
            raise InvalidMessage("no place in a history")
        return self._store.before(room, before, limit)

    def inbox(self, address: bytes, after_ms: int, limit: int) -> tuple[Item, ...]:
        """Return the sealed messages to an address newer than `after_ms`, oldest first."""
        return self._store.inbox(address, after_ms, limit)

    def bundle(self, owner: bytes, now_ms: int) -> Item | None:
        """Return the bundle under which an owner can be written to, unless it has expired."""
        item = self._store.bundle(owner)
        if item is None:
            return None
        bundle = decode_payload(item.payload)
        assert isinstance(bundle, PrekeyBundle), "the prekey feed holds bundles only"
        return item if bundle.expiry_ms > now_ms else None

    @property
    def messages(self) -> int:
        """How many messages this node holds."""
        return self._store.count_all()
