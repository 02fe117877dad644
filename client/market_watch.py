"""Follow what happens to markets, for the list of markets and for whoever else wants to know.

Rule: one subscription of the connection serves all; each listener begins with a snapshot and gets
what follows, as if it had asked the node itself.
Spec: docs/spec/market-data.md#market-events; docs/reference/api.md (Subscriptions). Deviations:
none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import trio

from client.errors import ClientError
from client.limits import MARKET_EVENTS_KEPT, MARKETS_RETRY_S
from client.market_views import MarketEvent
from client.stream import NodeStream
from client.subscription import Event, Subscription
from primitives.errors import TransientError

CHANNEL: Final = "market_events"


class MarketWatch:
    """The newest events of all markets, and those who listen."""

    def __init__(self, stream: NodeStream, reload: Callable[[], Awaitable[None]]) -> None:
        """Take what reads the list of markets anew; it is called when one has changed."""
        self._stream = stream
        self._reload = reload
        self._newest: deque[MarketEvent] = deque(maxlen=MARKET_EVENTS_KEPT)
        self._seq: int | None = None  # of the newest event; None before a snapshot
        self._listeners: list[Subscription] = []

    def subscribe(self) -> Subscription:
        """Listen to the channel `market_events`."""
        listener = Subscription((CHANNEL, None), self._forget)
        self._listeners.append(listener)
        if self._seq is not None:
            listener.deliver(
                Event(
                    channel=CHANNEL,
                    key=None,
                    seq=self._seq,
                    is_snapshot=True,
                    data=tuple(self._newest),
                )
            )
        return listener

    def _forget(self, listener: Subscription) -> None:
        with suppress(ValueError):
            self._listeners.remove(listener)

    async def run(self) -> None:
        """Follow until cancelled.

        What was missed while the line was down is made up for by the snapshot of the next one.
        """
        while True:
            subscription = self._stream.subscribe(CHANNEL)
            try:
                async for event in subscription:
                    await self._on_event(event)
            except (ClientError, TransientError):
                await trio.sleep(MARKETS_RETRY_S)
            finally:
                subscription.close()

    async def _on_event(self, event: Event) -> None:
        news: tuple[MarketEvent, ...] = event.data
        if event.is_snapshot:
            self._newest.clear()
        self._newest.extend(news)
        self._seq = event.seq
        for listener in tuple(self._listeners):
            listener.deliver(event)
        if event.is_snapshot or any(one.kind != "auction" for one in news):
            await self._reload()
