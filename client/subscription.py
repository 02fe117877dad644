"""Hand the events of one channel to its reader: a snapshot, then every event in order, or an error.

Rule: no event is lost in silence; a reader that falls behind is told so and the subscription ends.
Spec: docs/reference/api.md (Subscriptions). Deviations: none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import trio

from client.errors import ClientError, StreamLagged
from client.limits import EVENTS_WAITING_MAX

Key = int | bytes | str | None
"""Market id, the account's 20 bytes, or a room's name; None where a channel has no key."""
Topic = tuple[str, Key]
OWN_NUMBERS: Final = frozenset({"l2", "l3", "events"})
"""Channels whose numbers all nodes agree on; who reads them checks that none is missing."""
Forget = Callable[["Subscription"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a channel; a snapshot replaces all that was known."""

    channel: str
    key: Key
    seq: int
    is_snapshot: bool
    data: Any  # as `CHANNEL_VIEWS` says


class Subscription:
    """The events of one channel. Iterate over it; close it when done."""

    def __init__(self, topic: Topic, forget: Forget, *, after: int | None = None) -> None:
        self._forget = forget
        self.topic = topic
        self.after = after  # of `events`: the next connection goes on from here
        self._is_numbered = topic[0] in OWN_NUMBERS
        self._send, self._receive = trio.open_memory_channel[Event](EVENTS_WAITING_MAX)
        self._held: list[Event] = []  # events that overtook their snapshot
        self._seq: int | None = None  # of the newest event passed on; None before a snapshot
        self._error: ClientError | None = None

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            if self._error is not None:
                raise self._error from None
            raise StopAsyncIteration from None

    async def receive(self) -> Event:
        """Return the next event. Raises StreamLagged, or ClientError after the end."""
        try:
            return await anext(self)
        except StopAsyncIteration:
            raise ClientError("the subscription has been closed") from None

    def close(self) -> None:
        """End the subscription."""
        self._forget(self)
        self._send.close()

    # Called by the stream

    def interrupt(self) -> None:
        """The connection broke: the next event must be a snapshot."""
        self._seq = None
        self._held.clear()

    def deliver(self, event: Event) -> None:
        """Pass an event on, in order, once its snapshot is here."""
        if self._is_numbered:
            self._pass(event)
        elif event.is_snapshot:
            later = [held for held in self._held if held.seq > event.seq]
            self._held.clear()
            for item in (event, *later):
                self._pass(item)
        elif self._seq is None:
            self._held.append(event)
            if len(self._held) > EVENTS_WAITING_MAX:
                self.fail(StreamLagged("no snapshot came"))
        elif event.seq > self._seq:
            if event.seq != self._seq + 1:
                self.fail(StreamLagged(f"events {self._seq + 1} to {event.seq - 1} are missing"))
            else:
                self._pass(event)

    def fail(self, error: ClientError) -> None:
        """End the subscription with an error that its reader will see."""
        self._error = error
        self.close()

    def _pass(self, event: Event) -> None:
        self._seq = event.seq
        try:
            self._send.send_nowait(event)
        except trio.WouldBlock:
            self.fail(StreamLagged(f"{EVENTS_WAITING_MAX} events were not read"))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._forget(self)
