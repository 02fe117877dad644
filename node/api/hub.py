"""Fan out what has changed to whoever listens, without ever waiting for a listener.

Rule: `publish` never blocks and encodes an event once per format, however many listen; a listener
that falls behind its bounded queue is cut off and told so, it never loses single events in silence.
Spec: docs/reference/api.md (Subscriptions). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

import trio

from node.api.limits import SUBSCRIBER_QUEUE_MESSAGES
from node.api.render import encode_json, encode_msgpack

Channel = Literal[
    "book",
    "l2",
    "l3",
    "trades",
    "candles",
    "ticker",
    "blocks",
    "account",
    "events",
    "chat",
    "status",
    "market_events",
    "markets",
    "validators",
    "settlement",
]
CHANNELS: Final[tuple[Channel, ...]] = (
    # Published by the daemon, when a block was executed or a message stored:
    "book",  # key: market id; data: Book (the top BOOK_PUSH_LEVELS levels, whole)
    "l2",  # key: market id; data: L2Book, then L2Update; seq = the market's update number
    "l3",  # key: market id; data: L3Book, then L3Update; seq = the market's update number
    "trades",  # key: market id; data: tuple of Trade, oldest first
    "candles",  # key: market id; data: tuple of LiveCandle, those that changed
    "ticker",  # key: market id; data: Ticker
    "market_events",  # no key; data: tuple of MarketEvent of all markets, oldest first
    "blocks",  # no key; data: tuple of BlockSummary, oldest first
    "account",  # key: address; data: AccountUpdate
    "events",  # key: address; data: AccountState, then tuples of AccountEvent; seq = the last one's
    "chat",  # key: room name; data: tuple of ChatMessage, oldest first
    # Published by the API itself (ticker.py), about once a second:
    "status",  # no key; data: Status
    "markets",  # no key; data: tuple of Market
    "validators",  # no key; data: tuple of Validator
    "settlement",  # no key; data: Settlement, only when it changed
)
KEY_FIELD: Final[dict[Channel, str]] = {
    "book": "market",
    "l2": "market",
    "l3": "market",
    "trades": "market",
    "candles": "market",
    "ticker": "market",
    "account": "account",
    "events": "account",
    "chat": "room",
}

Key = int | bytes | str | None
Topic = tuple[Channel, Key]


class Message:
    """One event, encoded at most once per format and shared by all listeners."""

    __slots__ = ("_fields", "_json", "_msgpack")

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields
        self._json: bytes | None = None
        self._msgpack: bytes | None = None

    def json(self) -> bytes:
        """Return the text frame."""
        if self._json is None:
            self._json = encode_json(self._fields)
        return self._json

    def msgpack(self) -> bytes:
        """Return the binary frame."""
        if self._msgpack is None:
            self._msgpack = encode_msgpack(self._fields)
        return self._msgpack


class Listener:
    """One connection's queue over all its topics."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._send, self.receive = trio.open_memory_channel[Message](SUBSCRIBER_QUEUE_MESSAGES)
        self.topics: set[Topic] = set()
        self.lost: tuple[Topic, ...] = ()
        """What the listener missed when it was cut off for being too slow."""
        self._held: dict[Topic, list[Message]] = {}

    @property
    def is_too_slow(self) -> bool:
        """True once the listener has been cut off."""
        return bool(self.lost)

    def deliver(self, topic: Topic, message: Message) -> None:
        """Queue a message; when the queue is full, end the listener instead."""
        held = self._held.get(topic)
        if held is not None:
            held.append(message)
            if len(held) > SUBSCRIBER_QUEUE_MESSAGES:
                self._cut_off()
            return
        try:
            self._send.send_nowait(message)
        except trio.WouldBlock:
            self._cut_off()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.close()

    def _cut_off(self) -> None:
        self.lost = tuple(sorted(self.topics, key=repr))
        self.close()

    def hold(self, topic: Topic) -> None:
        """Keep a topic's messages back until what comes before them has been sent."""
        self._held.setdefault(topic, [])

    def release(self, topic: Topic) -> None:
        """Queue what was kept back."""
        for message in self._held.pop(topic, ()):
            if topic in self.topics:
                self.deliver(topic, message)

    def subscribe(self, topic: Topic) -> int:
        """Start to receive a topic; return the number of its newest event."""
        self.topics.add(topic)
        return self._hub.add(topic, self)

    def unsubscribe(self, topic: Topic) -> None:
        """Stop receiving a topic."""
        self.topics.discard(topic)
        self._hub.remove(topic, self)

    def close(self) -> None:
        """Leave every topic and end the receiving side after what is queued."""
        for topic in tuple(self.topics):
            self.unsubscribe(topic)
        self._send.close()


class Hub:
    """Topics and their listeners. Single-threaded: call it from the trio thread only."""

    def __init__(self) -> None:
        self._listeners: dict[Topic, dict[Listener, None]] = {}
        self._seq: dict[Topic, int] = {}

    def listener(self) -> Listener:
        """Make a queue for one connection; close it when the connection ends."""
        return Listener(self)

    def is_wanted(self, channel: Channel, key: Key = None) -> bool:
        """True when somebody listens, so that nothing is built for nobody."""
        return (channel, key) in self._listeners

    def wanted_keys(self, channel: Channel) -> tuple[Key, ...]:
        """Return the keys of a channel somebody listens to."""
        return tuple(key for name, key in self._listeners if name == channel)

    def publish(
        self, channel: Channel, data: object, key: Key = None, *, seq: int | None = None
    ) -> None:
        """Send `data` (a view or a tuple of views) to all who listen to (channel, key).

        `seq` is the event's own number where it has one that all nodes agree on.
        """
        topic = (channel, key)
        listeners = self._listeners.get(topic)
        if listeners is None:
            return
        if seq is None:
            self._seq[topic] = seq = self._seq.get(topic, 0) + 1
        message = Message(event_fields(topic, data, seq))
        for listener in tuple(listeners):
            listener.deliver(topic, message)

    def add(self, topic: Topic, listener: Listener) -> int:
        """Attach a listener; return the topic's newest event number."""
        self._listeners.setdefault(topic, {})[listener] = None
        return self._seq.setdefault(topic, 0)

    def remove(self, topic: Topic, listener: Listener) -> None:
        """Detach a listener and forget the topic with its last one."""
        listeners = self._listeners.get(topic)
        if listeners is None:
            return
        listeners.pop(listener, None)
        if not listeners:
            del self._listeners[topic]
            self._seq.pop(topic, None)

    def topics(self) -> Iterable[Topic]:
        """Return every topic with a listener."""
        return self._listeners.keys()


def event_fields(topic: Topic, data: object, seq: int, *, snapshot: bool = False) -> dict[str, Any]:
    """Lay out one pushed event; `data` is a view, a tuple of views or plain values."""
    channel, key = topic
    fields: dict[str, Any] = {"channel": channel}
    if channel in KEY_FIELD:
        fields[KEY_FIELD[channel]] = key
    fields["seq"] = seq
    if snapshot:
        fields["snapshot"] = True
    fields["data"] = data
    return fields
