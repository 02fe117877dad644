"""Follow a market's book on a node and keep a proven copy of it.

Rule: what is handed out has passed every checksum; after a gap, a wrong sum, a slow reader or a
broken connection the copy begins anew by itself, and `resyncs` counts how often.
Spec: docs/spec/market-data.md#books
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

import trio

from client.errors import BookBroken, StreamLagged
from client.limits import RESYNC_PAUSE_S
from client.local_book import LocalL2, LocalL3
from client.node_client import NodeClient
from client.subscription import Event, Subscription


class Copy(Protocol):
    """A local book."""

    def apply(self, update: Any) -> bool: ...


B = TypeVar("B", bound=Copy)


class BookFeed(Generic[B]):
    """A local book that follows its market. Iterate for the copy after each change."""

    def __init__(
        self, client: NodeClient, channel: str, market: int, make: Callable[[Any], B]
    ) -> None:
        self._client = client
        self._channel = channel
        self._market = market
        self._make = make
        self._subscription: Subscription | None = None
        self.book: B | None = None
        """The newest copy; None until it has begun, and while it begins anew."""
        self.resyncs = 0

    def __aiter__(self) -> BookFeed[B]:
        return self

    async def __anext__(self) -> B:
        while True:
            if self._subscription is None:
                self._subscription = self._client.subscribe(self._channel, self._market)
            try:
                event = await anext(self._subscription)
                if self._take(event):
                    assert self.book is not None
                    return self.book
            except (BookBroken, StreamLagged):
                await self._begin_anew()

    def _take(self, event: Event) -> bool:
        if event.is_snapshot:
            self.book = None
            self.book = self._make(event.data)
            return True
        return self.book is not None and self.book.apply(event.data)

    async def _begin_anew(self) -> None:
        self.close()
        self.resyncs += 1
        await trio.sleep(RESYNC_PAUSE_S)

    def close(self) -> None:
        """Stop following."""
        self.book = None
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    async def __aenter__(self) -> BookFeed[B]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def follow_l2(client: NodeClient, market: int | str) -> BookFeed[LocalL2]:
    """Follow a market's price levels. Raises UnknownMarket."""
    return BookFeed(client, "l2", client.find_market(market).id, LocalL2)


def follow_l3(client: NodeClient, market: int | str) -> BookFeed[LocalL3]:
    """Follow a market's resting orders. Raises UnknownMarket."""
    return BookFeed(client, "l3", client.find_market(market).id, LocalL3)
