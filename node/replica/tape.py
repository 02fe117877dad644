"""Number and sum up what each block did to markets and accounts, the same on every node.

Rule: a pure function of the outcomes since genesis. A snapshot carries it (`tape_snapshot.py`), so
a node that joins later goes on from the same numbers, candles and day's figures.
Spec: docs/spec/market-data.md#the-tape
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from consensus.block import Block, compute_block_cid
from exchange.accounts import Account
from exchange.market import Market
from exchange.outcome import Outcome, Resolution
from exchange.reasons import Reason
from node.limits import PENDING_ACTIONS_MAX
from node.replica.account_events import AnyEvent, collect_events
from node.replica.market_events import collect_market_events, list_markets
from node.replica.market_stats import MarketStats
from primitives.cid import Cid
from storage.candles import Candle, CandleKey, Trade, advance
from storage.records import MarketEventRecord

PENDING = int(Reason.PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBatch:
    """One account's events of one block, numbered from `first`."""

    account: int
    owner: bytes
    first: int
    events: list[AnyEvent]

    @property
    def last(self) -> int:
        """The number of the newest one."""
        return self.first + len(self.events) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockTape:
    """The numbers that one block's market data got."""

    height: int
    first_fill: int  # id of the block's first fill, used up only if it has one
    updates: dict[int, int]  # market → number of its update, for the markets the block touched
    candles: tuple[Candle, ...]  # every candle the block's fills changed, as it is now
    accounts: tuple[AccountBatch, ...]  # in order of account numbers
    market_events: tuple[MarketEventRecord, ...] = ()
    parent: Cid | None = None  # of the block before it, None for the child of genesis


NOTHING = BlockTape(height=0, first_fill=1, updates={}, candles=(), accounts=())


@dataclass(slots=True)
class Tape:
    """Counters since genesis and what candles and day's figures need of the past."""

    height: int = 0
    fills: int = 0
    updates: list[int] = field(default_factory=list)  # per market
    market_events: list[int] = field(default_factory=list)  # per market
    stats: list[MarketStats] = field(default_factory=list)  # per market
    candles: dict[CandleKey, Candle] = field(default_factory=dict)  # the newest of each interval
    events: list[int] = field(default_factory=list)  # per account number
    pending: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Actions with pending operations, oldest first: account number, how many of them."""
    block: BlockTape = NOTHING
    """The newest block's numbers."""
    cid: Cid | None = None
    """The name of the newest block in IPFS, which its hash does not tell; None at genesis."""

    def apply(
        self, outcome: Outcome, accounts: Sequence[Account], markets: Sequence[Market]
    ) -> BlockTape:
        """Take the next outcome; accounts and markets are those of the state after it."""
        assert outcome.height == self.height + 1, "outcomes are counted in order, once"
        self.block = BlockTape(
            height=outcome.height,
            first_fill=self.fills + 1,
            updates=self._count_updates(outcome),
            candles=self._fold(outcome, markets),
            accounts=self._number_events(outcome, accounts),
            market_events=self._list_market_events(outcome),
            parent=self.cid,
        )
        for one in outcome.listings:
            if one.new_units:
                self._begin_anew(one.id)
        self.height = outcome.height
        self.fills += len(outcome.fills)
        return self.block

    def link(self, block: Block) -> None:
        """Name the block whose outcome was taken last."""
        assert block.height == self.height, "a block is named after its outcome was taken"
        self.cid = compute_block_cid(block, self.block.parent)

    def get_update(self, market: int) -> int:
        """Return the number of a market's newest update; 0 = none yet."""
        return self.updates[market] if market < len(self.updates) else 0

    def get_stats(self, market: int) -> MarketStats:
        """Return a market's figures. Reading never grows the tape: snapshots are equal bytes."""
        return self.stats[market] if market < len(self.stats) else MarketStats()

    def get_market_events(self, market: int) -> int:
        """Return the number of a market's newest event; 0 = none yet."""
        return self.market_events[market] if market < len(self.market_events) else 0

    def get_events(self, account: int) -> int:
        """Return the number of an account's newest event; 0 = none yet."""
        return self.events[account] if account < len(self.events) else 0

    def know_market(self, market: int) -> None:
        """Make room for a market that something happened in."""
        while len(self.updates) <= market:
            self.updates.append(0)
            self.market_events.append(0)
            self.stats.append(MarketStats())

    def _list_market_events(self, outcome: Outcome) -> tuple[MarketEventRecord, ...]:
        for market in sorted(list_markets(outcome)):
            self.know_market(market)
        return collect_market_events(outcome, self.market_events)

    def _count_updates(self, outcome: Outcome) -> dict[int, int]:
        touched = set(outcome.levels)
        touched.update(event.market for event in outcome.orders)
        touched.update(fill.market for fill in outcome.fills)
        found = {}
        for market in sorted(touched):
            self.know_market(market)
            self.updates[market] += 1
            found[market] = self.updates[market]
        return found

    def _fold(self, outcome: Outcome, markets: Sequence[Market]) -> tuple[Candle, ...]:
        time_ms = outcome.time_ms
        trades = []
        for fill in outcome.fills:
            number, price, size = fill.market, fill.price, fill.size
            tick = markets[number].tick  # terms change only after a block without its trades
            self.stats[number].add(price, size, time_ms, tick)
            trades.append(Trade(market=number, time_ms=time_ms, price=price, size=size, tick=tick))
        changed = advance(self.candles, trades)
        for candle in changed:
            self.candles[candle.market, candle.interval_ms] = candle
        return tuple(changed)

    def _begin_anew(self, market: int) -> None:
        """Never join prices and sizes of two units in one figure."""
        self.know_market(market)
        self.stats[market].begin_anew()
        for key in [key for key in self.candles if key[0] == market]:
            del self.candles[key]

    def _resolve(self, outcome: Outcome) -> list[tuple[int, Resolution]]:
        """Return the block's resolutions with the accounts of their actions."""
        pending = self.pending
        for receipt in outcome.receipts:
            count = receipt.statuses.count(PENDING)
            if count and receipt.account >= 0:
                pending[receipt.action_id] = (receipt.account, count)
        resolved = []
        for resolution in outcome.resolutions:
            entry = pending.get(resolution.action_id)
            if entry is None:
                continue
            account, count = entry
            resolved.append((account, resolution))
            if count > 1:
                pending[resolution.action_id] = (account, count - 1)
            else:
                del pending[resolution.action_id]
        while len(pending) > PENDING_ACTIONS_MAX:
            del pending[next(iter(pending))]
        return resolved

    def _number_events(
        self, outcome: Outcome, accounts: Sequence[Account]
    ) -> tuple[AccountBatch, ...]:
        found = collect_events(outcome, self.fills + 1, self._resolve(outcome))
        counts = self.events
        counts.extend([0] * (len(accounts) - len(counts)))
        batches = []
        for number in sorted(found):
            events = found[number]
            first = counts[number] + 1
            counts[number] += len(events)
            owner = accounts[number].owner
            batches.append(AccountBatch(account=number, owner=owner, first=first, events=events))
        return tuple(batches)
