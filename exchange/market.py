"""One market: its terms, its book, its waiting batches.

Rule: a market's parameters are read from genesis once, as plain integers; nothing here moves money.
Spec: docs/spec/exchange.md#markets
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from exchange import limits
from exchange.accounts import Balance
from exchange.batch import Batch, Commitment
from exchange.book_tree import BookTree
from exchange.genesis import FeeTier, MarketConfig, VolumeTerms
from exchange.operations import RegistryEvent
from exchange.order_book import Book, Order
from exchange.outcome import (
    AuctionHeld,
    BatchCleared,
    CommitEvent,
    DepositCredited,
    Fill,
    Listing,
    MarketChanged,
    OrderEvent,
    Receipt,
    Resolution,
    Share,
    StorageNote,
    VaultFrozen,
    VaultMoved,
    WindowClosed,
    Withdrawal,
)
from exchange.plans import PlanIndex
from exchange.price_window import PriceWindow
from exchange.proposals import TermsChange
from exchange.timetable import Timetable
from exchange.triggers import Triggered, TriggerIndex
from exchange.volume import compute_weight

OPEN: Final = 0
POST_ONLY: Final = 1
"""New orders may only rest; there are no new commits."""
CANCEL_ONLY: Final = 2
"""Nothing new; everything may be cancelled."""
DELISTED: Final = 3
"""For ever: no order is left and none is taken."""
AUCTION: Final = 4
"""Orders are collected for the auction that opens the market."""

BY_COMMITTEE: Final = 0
"""Why a market has its status: decided, or as in genesis."""
BY_BREAKER: Final = 1
BY_AUCTION: Final = 2
"""An auction ended."""
BY_OPENING: Final = 3
"""The market is new."""


class BlockLog:
    """What happens during one block, collected in order."""

    __slots__ = (
        "auctions",
        "batches",
        "commits",
        "day",
        "deposits",
        "fills",
        "freezes",
        "heartbeats",
        "height",
        "listings",
        "market_changes",
        "moves",
        "orders",
        "receipts",
        "registry",
        "resolutions",
        "shares",
        "storage",
        "touched",
        "windows",
        "withdrawals",
    )

    def __init__(self) -> None:
        self.height: int = 0
        self.day: int = 0
        """Days since the Unix epoch, by block time."""
        self.clear()

    def clear(self) -> None:
        """Forget the block before."""
        self.fills: list[Fill] = []
        self.orders: list[OrderEvent] = []
        self.receipts: list[Receipt] = []
        self.resolutions: list[Resolution] = []
        self.commits: list[CommitEvent] = []
        self.batches: list[BatchCleared] = []
        self.auctions: list[AuctionHeld] = []
        self.deposits: list[DepositCredited] = []
        self.withdrawals: list[Withdrawal] = []
        self.shares: list[Share] = []
        self.registry: list[RegistryEvent] = []
        self.windows: list[WindowClosed] = []
        self.heartbeats: list[bytes] = []
        self.storage: list[StorageNote] = []
        self.market_changes: list[MarketChanged] = []
        self.listings: list[Listing] = []
        self.moves: list[VaultMoved] = []
        self.freezes: list[VaultFrozen] = []
        self.touched: list[Balance] = []
        """Balances that changed, each once."""


class Market:
    """A spot market. Other terms than lower fees make another object of it, once it is empty.

    Price in ticks, size in lots; price * size * tick is exact quote atoms."""

    __slots__ = (
        "auction_interval_ms",
        "auction_only",
        "auction_price",
        "band_bps",
        "base",
        "batches",
        "bond_ppm",
        "book",
        "breaker_bps",
        "cause",
        "change",
        "collecting",
        "commit_fee_ppm",
        "commits",
        "expiries",
        "fees",
        "halt_ms",
        "hold_bps",
        "id",
        "is_frozen",
        "last_price",
        "log",
        "lot",
        "maker_bps",
        "name",
        "only_auctions",
        "opening_ms",
        "opens_height",
        "plans",
        "quote",
        "reopens_ms",
        "round",
        "sealed",
        "status",
        "sweep",
        "taker_bps",
        "terms",
        "tick",
        "tiers",
        "traded",
        "tree",
        "triggered",
        "triggers",
        "uncrossing",
        "uniform",
        "volume_denominator",
        "volume_numerator",
        "votes",
        "watches_prices",
        "window",
        "window_ms",
    )

    def __init__(
        self,
        market_id: int,
        config: MarketConfig,
        window_ms: int,
        log: BlockLog,
        fees: list[int],
        volume: VolumeTerms,
    ) -> None:
        self.id: Final[int] = market_id
        self.terms: MarketConfig = config
        self.name: Final[str] = config.name
        self.base: Final[int] = config.base
        self.quote: Final[int] = config.quote
        self.tick: Final[int] = config.tick
        self.lot: Final[int] = config.lot
        self.maker_bps: int = config.maker_bps
        self.taker_bps: int = config.taker_bps
        self.hold_bps: int = config.taker_bps
        """The fee that buys hold: the taker fee from when the book was empty, or it fell since."""
        self.tiers: Final[tuple[FeeTier, ...]] = volume.tiers
        weight = compute_weight(volume, config)
        self.volume_numerator: int = weight[0]
        """Counting units per quote atom, above the denominator; 0 if nothing counts here."""
        self.volume_denominator: int = weight[1]
        self.sealed: Final[bool] = config.mode == "sealed"
        self.uniform: Final[bool] = config.matching == "uniform"
        self.bond_ppm: Final[int] = compute_bond_ppm(config.bond_ppm, config.sigma_ppm, window_ms)
        self.commit_fee_ppm: Final[int] = config.commit_fee_ppm
        self.window_ms: Final[int] = config.price_window_ms
        self.guard(config)
        self.only_auctions: Final[bool] = config.mode == "auction"
        self.log: Final[BlockLog] = log
        self.fees: Final[list[int]] = fees
        """Cumulative fees per asset, shared by all markets."""
        self.book: Final[Book] = Book()
        self.tree: Final[BookTree] = BookTree()
        """Commitment to the resting orders, brought up to date when the rest word is."""
        self.last_price: int = config.reference_price
        self.window: Final[PriceWindow] = PriceWindow(self.window_ms, config.reference_price)
        """Recent prices; kept where a band or a breaker needs them."""
        self.batches: list[Batch] = []
        """Batches that wait to clear, oldest first; the last one may be the current block's."""
        self.commits: dict[tuple[int, bytes], Commitment] = {}
        """Live commits by account number and hash."""
        if config.opening_ms:
            self.enter(AUCTION, BY_OPENING, 0)
        else:
            self.enter(OPEN, BY_COMMITTEE, 0)
        self.auction_only: Final[dict[int, Order]] = {}
        """Resting orders that end with the auction, by id."""
        self.is_frozen: bool = False  # by the vault of one of its assets: it takes no orders
        self.round: int = 0
        """Changes of status so far; validators vote on one round at a time."""
        self.opens_height: int = 0
        """First height at which a new market opens by itself; 0 for none."""
        self.change: TermsChange = TermsChange()
        """What is wanted and decided about other terms."""
        self.sweep: list[int] = []
        """Orders that are still to end when all must, the next one last; made when needed."""
        self.votes: dict[bytes, int] = {}
        """The status each validator wants, by hot key, in this round."""
        self.triggers: Final[TriggerIndex] = TriggerIndex()
        self.triggered: Final[list[Triggered]] = []
        """Orders whose price was reached and that wait for the next block's batch."""
        self.expiries: Final[Timetable] = Timetable()
        """Orders that end at a time, by id."""
        self.plans: Final[PlanIndex] = PlanIndex()
        self.traded: int = 0
        """Lots traded while there were plans."""

    def guard(self, config: MarketConfig) -> None:
        """Take over the terms that keep a market safe; they may change while it has orders."""
        self.band_bps: int = config.band_bps
        self.breaker_bps: int = config.breaker_bps
        self.watches_prices: bool = config.band_bps > 0 or config.breaker_bps > 0
        self.halt_ms: int = config.halt_ms
        self.opening_ms: int = config.opening_ms
        self.auction_interval_ms: int = config.auction_interval_ms

    def enter(self, status: int, cause: int, reopens_ms: int) -> None:
        """Begin a phase; what waits in the market is not looked at."""
        self.status: int = status
        self.cause: int = cause
        self.reopens_ms: int = reopens_ms
        """Block time of the auction for which orders are collected, 0 if it is not known yet."""
        self.collecting: bool = status == AUCTION or self.only_auctions
        """Orders rest without a trade until the auction; follows from mode and status."""
        self.uncrossing: bool = False
        """The auction has begun: its price is fixed, and nothing enters or leaves the book."""
        self.auction_price: int = 0
        """The price of the auction under way, 0 if it trades nothing."""


def compute_bond_ppm(floor_ppm: int, sigma_ppm: int, delay_ms: int) -> int:
    """Price the option not to open: max(floor, 6 * sigma * sqrt(delay)), in millionths of the
    tier.
    """
    root = _integer_sqrt(delay_ms * 1_000)  # thousandths of the square root of a second
    return min(max(floor_ppm, 6 * sigma_ppm * root // 1_000), limits.PPM)


def _integer_sqrt(n: int) -> int:
    if n < 2:
        return n
    x = 1 << ((n.bit_length() + 1) >> 1)
    while True:
        y = (x + n // x) >> 1
        if y >= x:
            return x
        x = y
