"""What the execution of a block did, as plain data.

Rule: these records are the only source of receipts, market data and account streams; they are the
same on every node for the same height. Amounts are atoms, prices ticks, sizes lots, accounts dense
numbers.
Spec: docs/spec/exchange.md#outcome
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from exchange.operations import RegistryEvent

RESTING: Final = 0
"""Order event: the order has come to the tail of its level with `size` lots; it is new or moved."""
CLOSED: Final = 1
"""Order event: the order ended without being filled; `size` lots were left. See its reason."""
CHANGED: Final = 2
"""Order event: a resting order has `size` lots now and has kept its place."""

WAITING: Final = 3
"""Order event: the order waits, off the book, with `size` lots; it is new or its terms changed."""
REACHED: Final = 4
"""Order event: what the order waited for has come; it joins a batch with `price` as its limit."""

COMMITTED: Final = 0
OPENED: Final = 1
CLEARED: Final = 2
FORFEITED: Final = 3
VOIDED: Final = 4
"""Commit event: the market was restricted; tier and bond went back to the owner."""


class Receipt(Struct, array_like=True, gc=False):
    """What became of one action in the block that carried it: one status per operation.

    An action may stand in several blocks; a receipt of NONCE_USED never replaces another one.
    """

    action_id: bytes
    account: int
    """Account number, -1 if the account is unknown."""
    statuses: list[int]
    """Reason codes; those PENDING are completed by a later `Resolution`."""
    orders: list[int]
    """Per operation the id of the order it made (the first one for an opening) or concerned, else
    0.
    """


class Resolution(Struct, array_like=True, gc=False, frozen=True):
    """The end of an operation that was PENDING when its block was executed."""

    action_id: bytes
    op: int
    """Index of the operation in its action."""
    status: int


class Fill(Struct, array_like=True, gc=False, frozen=True):
    """One trade. An order whose `left` is zero is filled and gone."""

    market: int
    price: int
    size: int
    taker_side: int
    maker_order: int
    maker_account: int
    maker_sub: int
    maker_fee: int
    maker_left: int
    taker_order: int
    taker_account: int
    taker_sub: int
    taker_fee: int
    taker_left: int
    action_id: bytes
    """The action that brought the taker: a placement or an opening."""
    batch: int
    """Height of the block whose batch cleared here."""


class OrderEvent(Struct, array_like=True, gc=False, frozen=True):
    """An order came to rest or to wait, changed, was reached or ended; fills are not repeated."""

    kind: int
    market: int
    order_id: int
    account: int
    sub: int
    side: int
    price: int
    size: int
    reason: int
    client_id: int
    fills_before: int
    """Fills of the block that came before this event: it merges both lists into one order."""


class CommitEvent(Struct, array_like=True, gc=False, frozen=True):
    """A sealed commit was made, opened, cleared or forfeited."""

    kind: int
    market: int
    batch: int
    account: int
    commit_hash: bytes
    reason: int


class BatchCleared(Struct, array_like=True, gc=False, frozen=True):
    """A sealed batch cleared. `price` is the uniform price, 0 for none."""

    market: int
    batch: int
    price: int
    size: int


class AuctionHeld(Struct, array_like=True, gc=False, frozen=True):
    """A call auction found its price, 0 for none; the trades follow in this block and the next."""

    market: int
    height: int
    price: int
    size: int
    surplus: int
    """Lots demanded at the price beyond those offered; negative if more was offered."""


class LevelChange(Struct, array_like=True, gc=False, frozen=True):
    """The total of one price level after the block; size 0 means that the level is gone."""

    side: int
    price: int
    size: int


class BalanceChange(Struct, array_like=True, gc=False, frozen=True):
    """A balance after the block."""

    account: int
    owner: bytes
    sub: int
    asset: int
    free: int
    held: int


class DepositCredited(Struct, array_like=True, gc=False, frozen=True):
    """A vault's deposit became ledger credit. Asset -1: a token the genesis does not know, not
    credited.
    """

    chain_id: int
    vault: bytes
    id: int
    account: int
    asset: int
    amount: int


class Withdrawal(Struct, array_like=True, gc=False, frozen=True):
    """A withdrawal entered the tree; a later checkpoint opens it on chain."""

    index: int
    account: int
    sub: int
    asset: int
    amount: int
    to: bytes
    action_id: bytes


FROM_FEES: Final = 0
FROM_REWARDS: Final = 1
FROM_ORDERS: Final = 2


class Share(Struct, array_like=True, gc=False, frozen=True):
    """An account earned something: a validator's payout account its part of fees or block rewards
    at a checkpoint height, a builder its fee on a trade.
    """

    account: int
    asset: int
    amount: int
    source: int
    """FROM_FEES, FROM_REWARDS or FROM_ORDERS."""
    order: int = 0
    """Whose fill paid a builder, 0 for other sources."""
    fill: int = -1
    """Which of the block's fills that was."""


class WindowClosed(Struct, array_like=True, gc=False, frozen=True):
    """An applied window for which attestations no longer count, and who gave one in time."""

    chain_id: int
    vault: bytes
    window: int
    attesters: tuple[bytes, ...]
    """Hot keys, ascending."""


class MarketChanged(Struct, array_like=True, gc=False, frozen=True):
    """A market came to another status, by the committee or by its own rules."""

    market: int
    status: int
    """0 open, 1 post only, 2 cancel only, 3 delisted, 4 auction."""
    round: int
    """The round that begins now."""
    cause: int = 0
    """0 the committee, 1 the breaker, 2 an auction that ended."""
    reopens_ms: int = 0
    """Block time of the auction that ends it, 0 for none."""


ASSET_LISTED: Final = 0
MARKET_LISTED: Final = 1
TERMS_SET: Final = 2


class Listing(Struct, array_like=True, gc=False, frozen=True):
    """An asset or a market exists, or a market has other terms, from this block on."""

    kind: int
    """ASSET_LISTED, MARKET_LISTED or TERMS_SET."""
    id: int
    """Of the asset or the market."""
    new_units: bool = False
    """Prices and sizes of the market are in another tick or lot from the next block on."""


class VaultMoved(Struct, array_like=True, gc=False, frozen=True):
    """The assets of a vault are in another one from this block on."""

    chain_id: int
    vault: bytes
    successor: bytes


class VaultFrozen(Struct, array_like=True, gc=False, frozen=True):
    """A vault froze, thawed, or is frozen for another reason from this block on."""

    chain_id: int
    vault: bytes
    frozen: int
    """1 stale, 2 doubted, 3 both, 0 thawed."""


class FeeRow(Struct, array_like=True, gc=False, frozen=True):
    """Cumulative fees of a token in a vault, atoms: one row of the fees root."""

    chain_id: int
    vault: bytes
    token: bytes
    total: int
    owed: int
    """What backed the token's balances when it left this vault, atoms; 0 while it is there."""


class StorageNote(Struct, array_like=True, gc=False, frozen=True):
    """The words about storage in a heartbeat."""

    hot_key: bytes
    part: int
    commitment: bytes
    answer: bytes


class Notes(Struct, array_like=True, gc=False, frozen=True):
    """What the block tells about validators; participation takes it up with the next block."""

    registry: tuple[RegistryEvent, ...] = ()
    """In the order of the contract's events."""
    windows: tuple[WindowClosed, ...] = ()
    heartbeats: tuple[bytes, ...] = ()
    """Hot keys in block order."""
    storage: tuple[StorageNote, ...] = ()
    """What those heartbeats say about storage, where they say anything, in the same order."""


class StateRoots(Struct, array_like=True, gc=False, frozen=True):
    """The seven words of a state root."""

    height: int
    accounts: bytes
    withdrawals: bytes
    deposits: bytes
    fills: bytes
    effects: bytes
    rest: bytes


class Outcome(Struct, frozen=True, kw_only=True):
    """Everything that the execution of one block did."""

    height: int
    time_ms: int
    state_root: bytes
    fees_root: bytes
    roots: StateRoots
    receipts: tuple[Receipt, ...]
    """One per action, in block order."""
    resolutions: tuple[Resolution, ...]
    fills: tuple[Fill, ...]
    orders: tuple[OrderEvent, ...]
    commits: tuple[CommitEvent, ...]
    batches: tuple[BatchCleared, ...]
    levels: dict[int, tuple[LevelChange, ...]]
    """Touched levels per market: bids from the best, then asks from the best."""
    balances: tuple[BalanceChange, ...]
    deposits: tuple[DepositCredited, ...]
    withdrawals: tuple[Withdrawal, ...]
    shares: tuple[Share, ...]
    notes: Notes
    withdrawal_count: int
    """Withdrawals in the tree after this block: the count for proofs against this state root."""
    fee_totals: tuple[int, ...]
    """Cumulative fees per asset, since it came to its vault."""
    is_checkpoint: bool
    market_changes: tuple[MarketChanged, ...] = ()
    listings: tuple[Listing, ...] = ()
    fee_rows: tuple[FeeRow, ...] = ()
    """What the fees root is made of."""
    moves: tuple[VaultMoved, ...] = ()
    auctions: tuple[AuctionHeld, ...] = ()
    freezes: tuple[VaultFrozen, ...] = ()
