"""A node of one: the real API over the real exchange, blocks as fast as asked for, no consensus.

Rule: what a trader sends is verified and executed as in a daemon; only agreement is left out.
Spec: docs/reference/api.md. Deviations: chat, chain and settlement answers are invented.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from client.views import Status as ClientStatus
from exchange.actions import SignedAction, verify
from exchange.outcome import Outcome
from exchange.state import State
from node.api import account_views, chain_views, views
from node.api.listing_views import Assets, Listings, MarketTerms
from node.api.service import Envelope
from node.blocks.records import make_executed_record
from node.replica.order_count import OrderCount
from node.replica.tape import Tape
from node.views.ledger_views import (
    make_account,
    make_account_updates,
    make_book,
    make_market,
    make_orders,
    make_trades,
)
from node.views.listing_views import make_assets, make_listings, make_terms
from node.views.market_data import MarketData
from node.views.market_feed import publish_events, publish_market_data, publish_tickers
from node.views.receipts import PendingReceipts, make_receipt
from primitives.secp256k1 import PrivateKey
from storage.chain_store import ChainStore
from tests.exchange.world import DOMAIN, NETWORK_ID, World, make_genesis, make_key
from tests.node.fake_server import serving
from tests.node.fake_service import FakeService

__all__ = ["DOMAIN", "NETWORK_ID", "ClientStatus", "ExchangeNode", "make_key", "node"]


class ExchangeNode(FakeService):
    """A `NodeService` whose ledger is real. `hold` keeps actions out of blocks until released."""

    def __init__(self, *, markets: int = 2, **options: object) -> None:
        super().__init__(blocks=0)
        self.world = World(make_genesis(markets=markets, **options))
        self.world.time_ms = time.time_ns() // 1_000_000
        self.world.nonce = self.world.time_ms
        self.pool: list[SignedAction] = []
        self.receipts: dict[bytes, account_views.ActionReceipt] = {}
        self.known: set[bytes] = set()
        self.hold = False
        self.busy: list[str] = []  # codes with which the next actions are refused; "": taken
        self._pending = PendingReceipts()
        self.tape = Tape()
        self.store = ChainStore(":memory:", NETWORK_ID)
        self.followers: list[ExchangeNode] = []  # nodes that execute the same blocks
        self.lagging: list[tuple[tuple[SignedAction, ...], int]] | None = None
        self._market_data = MarketData(self, read=self._read, wait_written=self._wait_written)
        self._all_trades: list[views.Trade] = []
        self._orders = OrderCount()
        self.verified = 0

    # Blocks

    async def run(self, period_s: float = 0.01) -> None:
        while True:
            if not self.hold:
                self.make_block()
            await trio.sleep(period_s)

    def make_block(self) -> Outcome:
        """Execute whatever waits."""
        actions, self.pool = self.pool, []
        now = time.time_ns() // 1_000_000
        gap = max(1, now - self.world.time_ms)
        outcome = self._execute(*actions, gap_ms=gap)
        accepted, rejected = self._orders.apply(
            tuple(verify(action, DOMAIN) for action in actions), outcome
        )
        self.metrics_.orders_accepted.inc(accepted)
        self.metrics_.orders_rejected.inc(rejected)
        self.metrics_.fills.inc(len(outcome.fills))
        self._publish(outcome)
        return outcome

    def fund(self, *keys: PrivateKey, quote: int = 10**12, base: int = 10**12) -> None:
        """Credit both assets of market 0 to some wallets."""
        deposits = [(key.address, asset, n) for key in keys for asset, n in ((0, quote), (1, base))]
        self._execute(*self.world.attest(*deposits))

    def _execute(self, *actions: SignedAction, gap_ms: int = 100) -> Outcome:
        outcome = self.world.block(*actions, gap_ms=gap_ms, executed=self.world.state.height)
        state = self.world.state
        self.tape.apply(outcome, state.accounts, state.markets)
        self.store.write_executed(make_executed_record(outcome, state, self.tape.block))
        publish_market_data(self._hub, self, outcome)
        publish_tickers(self._hub, self, outcome)
        publish_events(self._hub, self, outcome)
        for follower in self.followers:
            if follower.lagging is None:
                follower._execute(*actions, gap_ms=gap_ms)
            else:
                follower.lagging.append((actions, gap_ms))
        return outcome

    def catch_up(self) -> None:
        """Execute the blocks that a lagging node has put off."""
        waiting, self.lagging = self.lagging or [], None
        for actions, gap_ms in waiting:
            self._execute(*actions, gap_ms=gap_ms)

    def join(self, leader: ExchangeNode) -> None:
        """Execute the blocks of another node from now on, which has none yet."""
        assert leader.world.state.height == self.world.state.height == 0
        self.world.time_ms = leader.world.time_ms
        leader.followers.append(self)

    async def _read(self, query: Callable[..., Any], *arguments: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return query(self.store.read, *arguments)

    async def _wait_written(self, height: int) -> None:
        assert self.store.executed_height >= height
        await trio.lowlevel.checkpoint()

    def _publish(self, outcome: Outcome) -> None:
        state = self.world.state
        first = len(self._all_trades) + 1
        trades = make_trades(outcome.fills, first, outcome)
        self._all_trades += trades
        for trade in trades:
            self._hub.publish("trades", (trade,), trade.market)
        for market in outcome.levels:
            self._hub.publish("book", make_book(state, market, 20), market)
        changed = []
        for receipt in self._pending.apply(outcome):
            shown = make_receipt(
                receipt.action_id, receipt.statuses, receipt.orders, outcome.height, outcome.time_ms
            )
            self.receipts[receipt.action_id] = shown
            changed.append((receipt.account, shown))
        wanted = {key for key in self._hub.wanted_keys("account") if isinstance(key, bytes)}
        updates = make_account_updates(state, outcome, first, wanted)
        for owner in wanted:
            account = state.by_address.get(owner)
            number = -1 if account is None else account.number
            own = tuple(shown for n, shown in changed if n == number)
            update = updates.get(owner)
            if update is None and not own:
                continue
            self._hub.publish(
                "account",
                account_views.AccountUpdate(
                    address=owner,
                    height=outcome.height,
                    time_ms=outcome.time_ms,
                    orders=update.orders if update else (),
                    fills=update.fills if update else (),
                    balances=update.balances if update else (),
                    receipts=own,
                ),
                owner,
            )

    # The service

    @property
    def state(self) -> State:
        return self.world.state

    @property
    def market_data(self) -> MarketData:  # type: ignore[override]
        return self._market_data

    def status(self) -> views.Status:
        fake = super().status()
        fields = {name: getattr(fake, name) for name in fake.__struct_fields__}
        state = self.world.state
        fields.update(
            network_id=NETWORK_ID, height=state.height, final=state.height, executed=state.height,
            ready=True, problems=(), trades=len(self._all_trades),
            verified_signatures=self.verified,
        )  # fmt: skip
        return views.Status(**fields)

    def markets(self) -> tuple[views.Market, ...]:
        state = self.world.state
        return tuple(
            make_market(state, number, self.tape.get_stats(number))
            for number in range(len(state.markets))
        )

    def assets(self) -> Assets:
        return make_assets(self.world.state)

    def terms(self, market: int) -> MarketTerms:
        return make_terms(self.world.state, market)

    def listings(self) -> Listings:
        weights = {member[0]: member[1] for member in self.world.committee}
        return make_listings(self.world.state, weights)

    def book(self, market: int, depth: int) -> views.Book:
        return make_book(self.world.state, market, depth)

    def account(self, address: bytes) -> account_views.Account | None:
        return make_account(self.world.state, address)

    def orders(self, address: bytes) -> tuple[account_views.Order, ...]:
        return make_orders(self.world.state, address)

    async def block(self, reference: int | bytes) -> chain_views.BlockDetail | None:
        assert isinstance(reference, int)
        return self._detail(self._summary(reference, 0))

    async def action(self, action_id: bytes) -> account_views.ActionReceipt | None:
        await trio.lowlevel.checkpoint()
        return self.receipts.get(action_id)

    async def submit(self, envelopes: Sequence[Envelope]) -> Sequence[account_views.SubmitResult]:
        self._maybe_fail()
        await trio.lowlevel.checkpoint()
        results = []
        for payload, signature in envelopes:
            action = verify(SignedAction(payload, signature), DOMAIN)
            self.verified += 1
            if action.error:
                results.append(
                    account_views.SubmitResult(
                        id=action.id, accepted=False, code="bad", error="refused"
                    )
                )
                continue
            busy = self.busy.pop(0) if self.busy else ""
            if busy:
                results.append(
                    account_views.SubmitResult(
                        id=action.id, accepted=False, code=busy, error="later"
                    )
                )
                continue
            if action.id not in self.known:
                self.known.add(action.id)
                self.pool.append(SignedAction(payload, signature))
            results.append(account_views.SubmitResult(id=action.id, accepted=True))
        return results


@asynccontextmanager
async def node(service: ExchangeNode, *, blocks: bool = True, port: int = 0) -> AsyncIterator[str]:
    """Serve a node while inside; gives the base URL."""
    async with serving(service, port=port) as url, trio.open_nursery() as nursery:
        if blocks:
            nursery.start_soon(service.run)
        yield url
        nursery.cancel_scope.cancel()
