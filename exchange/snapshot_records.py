"""The shape of a snapshot's parts.

Rule: shape only; `snapshot.py` fills these records and reads them back. Amounts are 32 big-endian
bytes.
Spec: docs/spec/exchange.md#snapshots
Deviations: none.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from exchange.genesis import AssetConfig, MarketConfig
from exchange.limits import BUILDER_FEE_PPM_MAX
from exchange.operations import (
    Address,
    Hash32,
    ListAsset,
    ListMarket,
    Place,
    SetTerms,
)
from exchange.outcome import Notes

Atoms = Annotated[bytes, Meta(min_length=32, max_length=32)]
VERSION = 19


class Record(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of all snapshot records."""


class EntryRecord(Record, frozen=True):
    """One balance."""

    sub: int
    asset: int
    free: Atoms
    held: Atoms


class AccountRecord(Record, frozen=True):
    """One account; its number is its place."""

    owner: Address
    entries: tuple[EntryRecord, ...]


class KeyRecord(Record, frozen=True):
    """One session key that is known."""

    number: int
    key: Address
    account: int
    expiry_ms: int
    actions: int
    markets: tuple[int, ...]
    notional_cap: Atoms
    cancel_on_revoke: bool
    revoked: bool
    total_cap: Atoms
    orders_cap: int
    notional_used: Atoms
    orders_used: int


class VolumeRecord(Record, frozen=True):
    """What an account traded: on the day of its last trade, and on days before, oldest first."""

    account: int
    day: Annotated[int, Meta(ge=0)]
    today: Atoms
    days: tuple[tuple[Annotated[int, Meta(ge=0)], Atoms], ...]


class OpenWindowRecord(Record, frozen=True):
    """An applied window that may still be attested, in order of application."""

    content: Hash32
    window: int
    height: int
    attesters: tuple[Address, ...]


class AppliedRecord(Record, frozen=True):
    """What was applied last of a vault, and where the vault was before."""

    previous: Hash32
    credited: Annotated[int, Meta(ge=0)]
    changes: Annotated[int, Meta(ge=0)]
    end_hash: Hash32


class VaultRecord(Record, frozen=True):
    """A vault's cursor, the votes for its next window, and its move."""

    chain_id: int
    address: Address
    credited: int
    window: int
    last_hash: Hash32
    votes: tuple[tuple[Address, Hash32], ...]
    registry_changes: int
    open_windows: tuple[OpenWindowRecord, ...]
    before: AppliedRecord | None
    doubts: tuple[Address, ...]
    """Ascending, as the words on settled heights."""
    settled_height: Annotated[int, Meta(ge=0)]
    settled_ms: Annotated[int, Meta(ge=0)]
    settled_votes: tuple[tuple[Address, int], ...]
    frozen: Annotated[int, Meta(ge=0, le=3)]
    next_vault: Address
    move_at_ms: Annotated[int, Meta(ge=0)]
    moved_to: Address
    move_round: Annotated[int, Meta(ge=0)]
    move_votes: tuple[tuple[Address, Address, int], ...]
    """(hot key, vault, time), ascending."""


class RetiredRecord(Record, frozen=True):
    """The closed account of an asset with a vault that it has left."""

    asset: Annotated[int, Meta(ge=0)]
    chain_id: int
    vault: Address
    token: Address
    height: int
    fees: Atoms
    owed: Atoms


class OrderRecord(Record, frozen=True):
    """One live order; what it holds follows from price and size."""

    id: int
    account: int
    sub: int
    side: int
    price: int
    size: int
    total: int
    tif: int
    stp: int
    client_id: int
    grant: int
    builder: int
    """Account number, 0 for none; an order of the insurance account's does not exist."""
    builder_ppm: Annotated[int, Meta(ge=0, le=BUILDER_FEE_PPM_MAX)]
    place: int
    """Its place in the queue of its book; of no meaning for an order that only waits."""


class TicketRecord(Record, frozen=True):
    """Where a pending status belongs."""

    action_id: Hash32
    op: int


class CancelRecord(Record, frozen=True):
    """One waiting cancel."""

    account: int
    sub: int
    order_id: int
    before: int
    grant: int
    reason: int
    ticket: TicketRecord | None


class ReplaceRecord(Record, frozen=True):
    """A waiting replacement; the order may be gone by now."""

    order_id: int
    account: int
    sub: int
    side: int
    price: int
    size: int
    filled: int
    extra: Atoms


class WaitingRecord(Record, frozen=True):
    """One entry of a group: exactly one of the two is set."""

    op: int
    order: OrderRecord | None
    replace: ReplaceRecord | None


class GroupRecord(Record, frozen=True):
    """The entries of one action."""

    action_id: Hash32
    entries: tuple[WaitingRecord, ...]


class CommitRecord(Record, frozen=True):
    """One sealed commit."""

    account: int
    sub: int
    commit_hash: Hash32
    nonce_ms: int
    ticket: TicketRecord
    quote_tier: Atoms
    base_tier: Atoms
    quote_bond: Atoms
    base_bond: Atoms
    state: int
    reason: int
    orders: tuple[Place, ...]
    first_order: int
    salt: bytes
    grant: int
    builder: int
    builder_ppm: Annotated[int, Meta(ge=0, le=BUILDER_FEE_PPM_MAX)]
    open_ticket: TicketRecord | None


class TriggeredRecord(Record, frozen=True):
    """An order whose price was reached; `entry` is that of its bracket, 0 for none."""

    action_id: Hash32
    order: OrderRecord
    entry: int


class BracketRecord(Record, frozen=True):
    """The exits of a live entry; `exit` is the order id of the one armed last, 0 for none."""

    action_id: Hash32
    entry: int
    above: Annotated[int, Meta(ge=0)]
    above_price: Annotated[int, Meta(ge=0)]
    below: Annotated[int, Meta(ge=0)]
    below_price: Annotated[int, Meta(ge=0)]
    tif: Annotated[int, Meta(ge=0, le=3)]
    exit: int


class TrailRecord(Record, frozen=True):
    """How a trailing stop follows the price; `activation` is 0 once it does, `best` before."""

    distance: Annotated[int, Meta(ge=1)]
    in_bps: bool
    activation: Annotated[int, Meta(ge=0)]
    best: Annotated[int, Meta(ge=0)]


class TriggerRecord(Record, frozen=True):
    """An order that waits for a price; 0 where it has no such leg."""

    action_id: Hash32
    order: OrderRecord
    above: int
    above_price: int
    below: int
    below_price: int
    trail: TrailRecord | None


class PlanRecord(Record, frozen=True):
    """An iceberg or a schedule; `part` is the order id of its live part, 0 for none."""

    action_id: Hash32
    order: OrderRecord
    visible: Annotated[int, Meta(ge=0)]
    slots: Annotated[int, Meta(ge=0)]
    interval_ms: Annotated[int, Meta(ge=0)]
    bps: Annotated[int, Meta(ge=0)]
    next_ms: Annotated[int, Meta(ge=0)]
    seen: Annotated[int, Meta(ge=0)]
    cushion: Annotated[int, Meta(ge=0)]
    part: int


class BatchRecord(Record, frozen=True):
    """One waiting batch."""

    height: int
    block_hash: Hash32
    next_hash: bytes
    open_blocks: int
    first_open_ms: int
    first_opener: int
    two_openers: bool
    cancels: tuple[CancelRecord, ...]
    groups: tuple[GroupRecord, ...]
    commits: tuple[CommitRecord, ...]
    triggered: tuple[TriggeredRecord, ...]


class WindowRecord(Record, frozen=True):
    """Recent prices of a market."""

    before: Annotated[int, Meta(ge=1)]
    last_ms: Annotated[int, Meta(ge=0)]
    slots: tuple[tuple[int, int, int, int], ...]
    """(number, low, high, close), ascending."""


class ChangeRecord(Record, frozen=True):
    """What is wanted and decided about other terms of a market; words by ascending hot key."""

    words: tuple[tuple[Address, SetTerms], ...]
    terms: MarketConfig | None
    height: Annotated[int, Meta(ge=0)]
    is_sweeping: bool
    reopen: Annotated[int, Meta(ge=0, le=4)]


class ListingsRecord(Record, frozen=True):
    """What is wanted and decided about new assets and markets; words by ascending hot key."""

    round: Annotated[int, Meta(ge=0)]
    words: tuple[tuple[Address, ListAsset | ListMarket], ...]
    decided: tuple[tuple[int, ListAsset | ListMarket], ...]
    """(first height, what begins there), in order of decision."""


class MarketRecord(Record, frozen=True):
    """One market. Its resting orders follow in chunks of their own; their root stands here."""

    terms: MarketConfig
    hold_bps: Annotated[int, Meta(ge=0)]
    opens_height: Annotated[int, Meta(ge=0)]
    change: ChangeRecord
    last_price: int
    next_place: int
    book_root: Hash32
    batches: tuple[BatchRecord, ...]
    status: Annotated[int, Meta(ge=0, le=4)]
    round: int
    votes: tuple[tuple[Address, Annotated[int, Meta(ge=0, le=4)]], ...]
    """The status each validator wants, by ascending hot key."""
    triggers: tuple[TriggerRecord, ...]
    """By order id."""
    triggered: tuple[TriggeredRecord, ...]
    """In the order in which they were reached."""
    expiries: tuple[tuple[int, int], ...]
    """(order id, time) by id."""
    plans: tuple[PlanRecord, ...]
    """By order id."""
    brackets: tuple[BracketRecord, ...]
    """By the order id of the entry."""
    traded: int
    window: WindowRecord
    cause: Annotated[int, Meta(ge=0, le=3)]
    reopens_ms: Annotated[int, Meta(ge=0)]
    uncrossing: bool
    auction_price: Annotated[int, Meta(ge=0)]


class ProtocolRecord(Record, frozen=True):
    """The version of the rules, what was decided, and the words in the open round."""

    version: Annotated[int, Meta(ge=1)]
    next_version: Annotated[int, Meta(ge=0)]
    next_height: Annotated[int, Meta(ge=0)]
    round: Annotated[int, Meta(ge=0)]
    votes: tuple[tuple[Address, int, int], ...]


class RestRecord(Record, frozen=True):
    """Everything that is in no tree; the rest word is the keccak of its encoding."""

    version: int
    height: int
    time_ms: int
    next_order: int
    assets: tuple[AssetConfig, ...]
    """By id."""
    fees: tuple[Atoms, ...]
    fees_shared: tuple[Atoms, ...]
    deposited: tuple[Atoms, ...]
    withdrawn: tuple[Atoms, ...]
    vaults: tuple[VaultRecord, ...]
    retired: tuple[RetiredRecord, ...]
    notes: Notes
    participation: Hash32
    protocol: ProtocolRecord
    listings: ListingsRecord
    next_key: int
    keys: tuple[KeyRecord, ...]
    """By number, ascending."""
    nonces: tuple[tuple[Address, tuple[int, ...]], ...]
    forfeits: tuple[tuple[int, int, int], ...]
    """(account number, forfeit count, time of the last one) where the count is not zero."""
    volumes: tuple[VolumeRecord, ...]
    """By account number."""
    approvals: tuple[tuple[int, int, int], ...]
    """(account number, builder's account number, ppm) ascending by account and builder."""
    operations: tuple[tuple[int, int], ...]
    """(account number, operations in the present hour) where there are any."""
    switches: tuple[tuple[int, int], ...]
    """(account number * 128 + sub-account, cancel-after time), ascending."""
    markets: tuple[MarketRecord, ...]


class HeadRecord(Record, frozen=True):
    """The first chunk: what the other chunks add up to."""

    version: int
    height: int
    accounts: int
    withdrawals: int
    rest_bytes: int
    fills_word: Hash32
    effects_word: Hash32
    rest_word: Hash32
