"""A trader's connection to one node: REST and WebSocket together.

Rule: both speak to the same node of the same network; a node of another network is refused at once.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import trio

from client.actions import MarketTerms
from client.errors import ConnectionLost, UnknownMarket
from client.groups import unwrap
from client.limits import CONNECT_TIMEOUT_S, OUTCOME_TIMEOUT_S, REQUEST_TIMEOUT_S
from client.market_watch import CHANNEL as MARKET_EVENTS
from client.market_watch import MarketWatch
from client.rest import Pair, RestClient
from client.stream import NodeStream
from client.subscription import Key, Subscription
from client.views import Market, SubmitResult
from primitives.eip712 import network_domain
from primitives.errors import WrongNetwork


def now_ms() -> int:
    """Return Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


class NodeClient:
    """One node as a trader sees it. Made by `open_node`."""

    def __init__(
        self, rest: RestClient, stream: NodeStream, network_id: bytes, markets: Sequence[Market]
    ) -> None:
        self.rest = rest
        self.stream = stream
        self.network_id = network_id
        self.domain = network_domain(network_id)
        self.markets = tuple(markets)
        """As of the newest listing, phase or terms that the node told of."""
        self.watch = MarketWatch(stream, self.reload_markets)
        self.markets_changed = trio.Event()
        """Set, and replaced, when `markets` was read anew."""

    def find_market(self, reference: int | str) -> Market:
        """Return a market by id or name. Raises UnknownMarket."""
        for market in self.markets:
            if reference in (market.id, market.name):
                return market
        names = ", ".join(market.name for market in self.markets) or "none"
        raise UnknownMarket(f"there is no market {reference!r}; there are {names}")

    async def reload_markets(self) -> None:
        """Ask the node again what is listed: markets come, go and change while it runs."""
        self.markets = await self.rest.markets()
        self.markets_changed.set()
        self.markets_changed = trio.Event()

    async def resolve_market(self, reference: int | str) -> Market:
        """Return a market by id or name, asking the node again if it is not known here.

        Raises UnknownMarket if the node does not know it either, ConnectionLost.
        """
        with suppress(UnknownMarket):
            return self.find_market(reference)
        await self.reload_markets()
        return self.find_market(reference)

    def terms(self, reference: int | str) -> MarketTerms:
        """Return what sealing an order needs to know of a market."""
        market = self.find_market(reference)
        # Fees are whole basis points on the ledger; the API shows millionths.
        return MarketTerms(
            id=market.id,
            tick=market.tick,
            lot=market.lot,
            taker_bps=-(-max(market.taker_fee_ppm, market.hold_fee_ppm) // 100),
        )

    def subscribe(self, channel: str, key: Key = None, *, after: int | None = None) -> Subscription:
        """Follow a channel; see `NodeStream.subscribe`."""
        if channel == MARKET_EVENTS:
            return self.watch.subscribe()
        return self.stream.subscribe(channel, key, after=after)

    async def submit(
        self, pairs: Sequence[Pair], timeout_s: float = OUTCOME_TIMEOUT_S
    ) -> tuple[SubmitResult, ...]:
        """Send up to 100 signed actions, again after a broken connection, until the node answers.

        Raises RequestRefused, or ConnectionLost when there was no answer within `timeout_s`.
        """
        deadline = trio.current_time() + timeout_s
        while True:
            left_s = deadline - trio.current_time()
            try:
                return await self.stream.submit(pairs, min(max(left_s, 0), REQUEST_TIMEOUT_S))
            except ConnectionLost:
                if trio.current_time() >= deadline:
                    raise


@asynccontextmanager
async def open_node(url: str, *, network_id: bytes | None = None) -> AsyncIterator[NodeClient]:
    """Connect to a node. Raises ConnectionLost, or WrongNetwork unless it is the one expected."""
    async with RestClient(url) as rest:
        status = await rest.status()
        if network_id not in (None, status.network_id):
            raise WrongNetwork(
                f"the node at {url} serves network 0x{status.network_id.hex()[:8]}…",
                fix="use a node of your own network",
            )
        markets = await rest.markets()
        stream = NodeStream(url)
        client = NodeClient(rest, stream, status.network_id, markets)
        with unwrap():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.run)
                await stream.wait_connected(CONNECT_TIMEOUT_S)
                nursery.start_soon(client.watch.run)
                try:
                    yield client
                finally:
                    await stream.close()
                    nursery.cancel_scope.cancel()
