"""Read a node's market data as typed values.

Rule: as `views.py`.
Spec: docs/spec/market-data.md; docs/reference/api.md (Market data). Deviations: none.
"""

from __future__ import annotations

from client.views import ActionReceipt, Atoms, Balance, Fill, Order, View


class PriceLevel(View, frozen=True, kw_only=True, array_like=True):
    """[price, size]; size 0: the level is gone."""

    price: int
    size: int


class L2Book(View, frozen=True, kw_only=True):
    """Levels of a market, best first."""

    market: int
    update: int
    height: int
    time_ms: int
    bids: tuple[PriceLevel, ...]
    asks: tuple[PriceLevel, ...]
    bids_cut: bool
    asks_cut: bool
    checksum: int


class L2Update(View, frozen=True, kw_only=True):
    """The levels one block changed."""

    market: int
    update: int
    height: int
    time_ms: int
    bids: tuple[PriceLevel, ...]
    asks: tuple[PriceLevel, ...]
    checksum: int


class BookOrder(View, frozen=True, kw_only=True, array_like=True):
    """[order, price, size]"""

    order: int
    price: int
    size: int


class L3Book(View, frozen=True, kw_only=True):
    """Resting orders of a market in order of priority."""

    market: int
    update: int
    height: int
    time_ms: int
    bids: tuple[BookOrder, ...]
    asks: tuple[BookOrder, ...]
    bids_cut: bool
    asks_cut: bool
    checksum: int


class BookEvent(View, frozen=True, kw_only=True):
    """What happened to one order; see docs/spec/market-data.md."""

    type: str  # add | change | remove | fill
    order: int
    price: int
    size: int
    side: str | None = None
    trade: int | None = None
    left: int | None = None
    taker: int | None = None
    taker_left: int | None = None


class L3Update(View, frozen=True, kw_only=True):
    """What one block did to a market's orders."""

    market: int
    update: int
    height: int
    time_ms: int
    events: tuple[BookEvent, ...]
    checksum: int


class Ticker(View, frozen=True, kw_only=True):
    """Best prices, last trade and the last 24 hours."""

    market: int
    update: int
    height: int
    time_ms: int
    bid: int | None
    bid_size: int
    ask: int | None
    ask_size: int
    last_price: int | None
    last_trade_ms: int
    trades: int
    open_24h: int | None
    high_24h: int | None
    low_24h: int | None
    volume_24h: int  # lots
    quote_volume_24h: Atoms
    trades_24h: int
    phase: str = "OPEN"
    phase_cause: str = "committee"  # committee | breaker | auction | opening
    auction_ms: int = 0  # block time of the next auction; 0 = none, or not known yet
    auction_price: int | None = None  # what it would give now; None = no trade
    auction_size: int = 0  # lots that would trade
    auction_surplus: int = 0  # lots demanded there beyond those offered; negative: more offered
    band_low: int | None = None  # lowest limit of a new sell; None = no band now
    band_high: int | None = None  # highest limit of a new buy


class Candle(View, frozen=True, kw_only=True, array_like=True):
    """[start_ms, open, high, low, close, volume, trades, quote_volume]"""

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int  # lots
    trades: int
    quote_volume: Atoms  # quote atoms


class Candles(View, frozen=True, kw_only=True):
    """Oldest first; `cursor` leads to older ones."""

    market: int
    interval_ms: int
    candles: tuple[Candle, ...]
    cursor: int | None = None


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
    quote_volume: Atoms


class DepositView(View, frozen=True, kw_only=True):
    """A vault's deposit became ledger credit."""

    id: int
    chain_id: int
    vault: bytes
    asset: int
    amount: Atoms


class WithdrawalView(View, frozen=True, kw_only=True):
    """A withdrawal entered the tree."""

    index: int
    sub: int
    asset: int
    amount: Atoms
    to: bytes


class IncomeView(View, frozen=True, kw_only=True):
    """A validator's part of fees or block rewards, or a builder's fee on a trade."""

    source: str  # fees | rewards | orders
    asset: int
    amount: Atoms


class Resolution(View, frozen=True, kw_only=True):
    """The end of an operation that had been pending."""

    id: bytes
    index: int
    code: str


class AccountEvent(View, frozen=True, kw_only=True):
    """One event of an account; the field named like `type` is set."""

    seq: int
    height: int
    time_ms: int
    type: str  # receipt | order | fill | deposit | withdrawal | resolution | income | balance
    order: Order | None = None
    fill: Fill | None = None
    balance: Balance | None = None
    deposit: DepositView | None = None
    withdrawal: WithdrawalView | None = None
    receipt: ActionReceipt | None = None
    resolution: Resolution | None = None
    income: IncomeView | None = None


class AccountEvents(View, frozen=True, kw_only=True):
    """Events of one account, oldest first, without a gap."""

    address: bytes
    events: tuple[AccountEvent, ...]
    newest: int
    oldest_height: int


class MarketFee(View, frozen=True, kw_only=True):
    """What an account pays in one market; 10,000 are one basis point of the notional."""

    market: int
    maker_fee_e8: int
    taker_fee_e8: int


class FeeTier(View, frozen=True, kw_only=True):
    """A step of the network's fee schedule; shares are ten-thousandths of a market's fee."""

    volume: Atoms
    maker_share_bps: int
    taker_share_bps: int


class AccountFees(View, frozen=True, kw_only=True):
    """An account's fee tier on one day of block time (UTC), and the volume behind it."""

    address: bytes
    height: int
    day: int
    volume: Atoms
    volume_today: Atoms
    tier: int
    maker_share_bps: int
    taker_share_bps: int
    tiers: tuple[FeeTier, ...]
    markets: tuple[MarketFee, ...]


class Approval(View, frozen=True, kw_only=True):
    """A builder that may charge the account's orders; 100 ppm are one basis point."""

    builder: bytes
    max_fee_ppm: int


class AccountBuilders(View, frozen=True, kw_only=True):
    """The builders an account has approved, and the most that anybody may approve."""

    address: bytes
    height: int
    network_max_ppm: int
    builders: tuple[Approval, ...]


class AccountAllowance(View, frozen=True, kw_only=True):
    """What the ledger lets an account send and leave standing; None for no bound."""

    address: bytes
    height: int
    volume: Atoms
    actions_per_block: int
    orders_per_market: int
    operations_per_hour: int
    operations_used: int
    operations_left: int | None
    cancels_left: int | None
    hour_ends_ms: int


class AccountState(View, frozen=True, kw_only=True):
    """Balances and live orders after event `seq`."""

    address: bytes
    seq: int
    height: int
    time_ms: int
    balances: tuple[Balance, ...]
    orders: tuple[Order, ...]


class FillPage(View, frozen=True, kw_only=True):
    """Fills of an account, newest first."""

    fills: tuple[Fill, ...]
    cursor: int | None
    oldest_height: int


class MarketEvent(View, frozen=True, kw_only=True):
    """Something that happened to a market itself: `phase`, `auction`, `listed` or `terms`."""

    market: int
    number: int  # per market from 1, without gaps
    height: int
    time_ms: int
    kind: str
    phase: str = ""
    cause: str = ""
    auction_ms: int = 0  # block time of the auction to come, 0 for none
    price: int | None = None  # of an auction; None: nothing crossed
    size: int = 0
    surplus: int = 0


class MarketEventPage(View, frozen=True, kw_only=True):
    """Newest first, or oldest first after a number."""

    events: tuple[MarketEvent, ...]
    cursor: int | None
    newest: int
    oldest_height: int
