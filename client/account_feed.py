"""Follow an account's events without missing or repeating one, over breaks and over nodes.

Rule: events come in order of their numbers, each once; what was missed is fetched, from whatever
node is asked, and if that node does not have it any more the reader is told (`pruned`), never
skipped ahead.
Spec: docs/spec/market-data.md#account-events
Deviations: none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from types import TracebackType

import trio

from client.errors import ConnectionLost, RequestRefused, StreamLagged
from client.limits import HISTORY_PAGE, RESYNC_PAUSE_S
from client.market_views import AccountEvent, AccountState
from client.node_client import NodeClient
from client.subscription import Subscription


class AccountFeed:
    """One account's events. Iterate: first its state (unless `after` is given), then every event.

    To go on later, or on another node, make a new feed with `after` = the `seq` of the last event
    you have dealt with.
    """

    def __init__(self, client: NodeClient, account: bytes, *, after: int | None = None) -> None:
        self._client = client
        self._account = account
        self._known = after  # the newest event taken from the node; None before the state
        self._waiting: deque[AccountEvent] = deque()
        self._subscription: Subscription | None = None
        self.seq = after
        """Number of the event handed out last; None before the state."""

    def __aiter__(self) -> AccountFeed:
        return self

    async def __anext__(self) -> AccountState | AccountEvent:
        """Return what comes next. Raises RequestRefused `pruned` when the node lacks it."""
        while not self._waiting:
            state = await self._receive()
            if state is not None:
                self.seq = state.seq
                return state
        event = self._waiting.popleft()
        assert self.seq is not None
        assert event.seq == self.seq + 1, "events are handed out without a gap"
        self.seq = event.seq
        return event

    async def _receive(self) -> AccountState | None:
        """Take the next frame; return the state if it is the first one."""
        if self._subscription is None:
            self._subscription = self._client.subscribe("events", self._account, after=self._known)
        try:
            frame = await anext(self._subscription)
        except StreamLagged:
            await self._begin_anew()
            return None
        except RequestRefused as error:
            if error.code != "limit_exceeded" or self._known is None:
                raise
            await self._begin_anew()
            await self._catch_up()
            return None
        if not frame.is_snapshot:
            await self._take(frame.data)
            return None
        state: AccountState = frame.data
        if self._known is not None:  # a break between the state and this feed's note of it
            await self._begin_anew()
            return None
        self._know(state.seq)
        return state

    async def _take(self, events: Iterable[AccountEvent]) -> None:
        """Queue events that follow those known; fetch what is missing between them."""
        for event in events:
            if self._known is None or event.seq <= self._known:
                continue
            if event.seq > self._known + 1:
                await self._catch_up()
                if event.seq <= self._known:
                    continue
            assert event.seq == self._known + 1
            self._waiting.append(event)
            self._know(event.seq)

    async def _catch_up(self) -> None:
        """Fetch all events after those known. Raises RequestRefused `pruned`."""
        assert self._known is not None
        while True:
            try:
                page = await self._client.rest.account_events(
                    self._account, self._known, HISTORY_PAGE
                )
            except ConnectionLost:
                await trio.sleep(RESYNC_PAUSE_S)
                continue
            for event in page.events:
                if event.seq != self._known + 1:
                    raise RequestRefused("bad_answer", "the node's events have a gap")
                self._waiting.append(event)
                self._know(event.seq)
            if len(page.events) < HISTORY_PAGE:
                return

    def _know(self, seq: int) -> None:
        self._known = seq
        if self._subscription is not None:
            self._subscription.after = seq

    async def _begin_anew(self) -> None:
        self.close()
        await trio.sleep(RESYNC_PAUSE_S)

    def close(self) -> None:
        """Stop following."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    async def __aenter__(self) -> AccountFeed:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
