"""Name what the API shows of market data: whole books, their changes, figures, events.

Rule: as `views.py`. `update` is the market's replicated number, `seq` an account event's: both are
the same on every node and have no gaps.
Spec: docs/spec/market-data.md; docs/reference/api.md (Market data). Deviations: none.
"""

from __future__ import annotations

from typing import Literal

from node.api.account_views import ActionReceipt, Balance, Fill, Order
from node.api.views import Address, Amount, Hex, Side, View


class PriceLevel(View, frozen=True, kw_only=True, array_like=True):
    """[price, size]; size 0: the level is gone."""

    price: int
    size: int


class L2Book(View, frozen=True, kw_only=True):
    """All levels of a market, best first, or as many as a snapshot may hold."""

    market: int
    update: int
    height: int
    time_ms: int
    bids: tuple[PriceLevel, ...]
    asks: tuple[PriceLevel, ...]
    bids_cut: bool  # worse bids exist than those shown
    asks_cut: bool
    checksum: int  # over the best levels


class L2Update(View, frozen=True, kw_only=True):
    """The levels one block changed, with their new sizes."""

    market: int
    update: int
    height: int
    time_ms: int
    bids: tuple[PriceLevel, ...]
    asks: tuple[PriceLevel, ...]
    checksum: int  # over the best levels after the update


class BookOrder(View, frozen=True, kw_only=True, array_like=True):
    """[order, price, size]"""

    order: int
    price: int
    size: int


class L3Book(View, frozen=True, kw_only=True):
    """The resting orders of a market in order of priority; whole levels only."""

    market: int
    update: int
    height: int
    time_ms: int
    bids: tuple[BookOrder, ...]
    asks: tuple[BookOrder, ...]
    bids_cut: bool
    asks_cut: bool
    checksum: int  # over the first orders


class BookEvent(View, frozen=True, kw_only=True, omit_defaults=True):
    """add: to the tail of its level, after leaving its old place · change: new size in place ·
    remove · fill: `size` lots of `order` (with `left` left) and of `taker` (with `taker_left`).
    """

    type: Literal["add", "change", "remove", "fill"]
    order: int
    price: int
    size: int  # of a fill: lots traded; of a removal: lots that were left
    side: Side | None = None  # of an order event
    trade: int | None = None
    left: int | None = None
    taker: int | None = None
    taker_left: int | None = None


class L3Update(View, frozen=True, kw_only=True):
    """What one block did to a market's orders, in the order in which it happened."""

    market: int
    update: int
    height: int
    time_ms: int
    events: tuple[BookEvent, ...]
    checksum: int


class Ticker(View, frozen=True, kw_only=True):
    """Best prices, last trade and the last 24 hours before the newest block."""

    market: int
    update: int
    height: int
    time_ms: int
    bid: int | None
    bid_size: int
    ask: int | None
    ask_size: int
    last_price: int | None
    last_trade_ms: int  # 0 = none yet
    trades: int  # since genesis
    open_24h: int | None
    high_24h: int | None
    low_24h: int | None
    volume_24h: int  # lots
    quote_volume_24h: Amount  # quote atoms
    trades_24h: int
    phase: str = "OPEN"
    phase_cause: str = "committee"  # committee | breaker | auction | opening
    auction_ms: int = 0  # block time of the next auction; 0 = none, or not known yet
    auction_price: int | None = None  # what it would give now; None = no trade
    auction_size: int = 0  # lots that would trade
    auction_surplus: int = 0  # lots demanded there beyond those offered; negative: more offered
    band_low: int | None = None  # lowest limit of a new sell; None = no band now
    band_high: int | None = None  # highest limit of a new buy


class LiveCandle(View, frozen=True, kw_only=True, array_like=True):
    """[interval_ms, start_ms, open, high, low, close, volume, trades, quote_volume]"""

    interval_ms: int
    start_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int
    quote_volume: Amount


class DepositView(View, frozen=True, kw_only=True):
    """A vault's deposit became ledger credit."""

    id: int
    chain_id: int
    vault: Address
    asset: int
    amount: Amount


class WithdrawalView(View, frozen=True, kw_only=True):
    """A withdrawal entered the tree."""

    index: int
    sub: int
    asset: int
    amount: Amount
    to: Address


class IncomeView(View, frozen=True, kw_only=True):
    """A validator's part of fees or block rewards, or a builder's fee on a trade."""

    source: Literal["fees", "rewards", "orders"]
    asset: int
    amount: Amount


class ResolutionView(View, frozen=True, kw_only=True):
    """The end of an operation that had been pending: its action, its place there, its code."""

    id: Hex
    index: int
    code: str


class AccountEvent(View, frozen=True, kw_only=True, omit_defaults=True):
    """One event of an account; the field named like `type` is set."""

    seq: int
    height: int
    time_ms: int
    type: Literal[
        "receipt", "order", "fill", "deposit", "withdrawal", "resolution", "income", "balance"
    ]
    order: Order | None = None
    fill: Fill | None = None
    balance: Balance | None = None
    deposit: DepositView | None = None
    withdrawal: WithdrawalView | None = None
    receipt: ActionReceipt | None = None
    resolution: ResolutionView | None = None
    income: IncomeView | None = None


class AccountEvents(View, frozen=True, kw_only=True):
    """Events of one account, oldest first, without a gap."""

    address: Address
    events: tuple[AccountEvent, ...]
    newest: int  # number of the account's newest event at the time of asking
    oldest_height: int  # the oldest height this node has the events of


class AccountState(View, frozen=True, kw_only=True):
    """Balances and live orders after event `seq`."""

    address: Address
    seq: int
    height: int
    time_ms: int
    balances: tuple[Balance, ...]
    orders: tuple[Order, ...]


class FillPage(View, frozen=True, kw_only=True):
    """One account's side of its trades, newest first; `cursor` leads to older ones."""

    fills: tuple[Fill, ...]
    cursor: int | None
    oldest_height: int


class MarketEvent(View, frozen=True, kw_only=True):
    """Something that happened to a market itself: `phase`, `auction`, `listed` or `terms`."""

    market: int
    number: int  # per market from 1, without gaps, the same on every node; the cursor
    height: int
    time_ms: int
    kind: str
    phase: str = ""  # of a phase: what it came to
    cause: str = ""  # committee, breaker, auction, opening
    auction_ms: int = 0  # block time of the auction to come, 0 for none
    price: int | None = None  # of an auction in ticks; None: nothing crossed
    size: int = 0  # lots
    surplus: int = 0  # lots demanded at the price beyond those offered


class MarketEventPage(View, frozen=True, kw_only=True):
    """Newest first, or oldest first after `after`; `cursor` leads on; None at the end."""

    events: tuple[MarketEvent, ...]
    cursor: int | None
    newest: int  # number of the market's newest event
    oldest_height: int  # the oldest height this node has the events of
