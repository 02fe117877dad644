"""The operations of the exchange and the action that carries them, in their wire form.

Rule: these classes say everything about shape and range of what a trader or validator may send;
they hold no behaviour but the encoding of amounts.
Spec: docs/spec/actions.md
Deviations: none.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from exchange import limits
from exchange.genesis import AssetConfig, MarketConfig
from primitives.errors import LimitExceeded

BUY: Final = 0
SELL: Final = 1

GTC: Final = 0
IOC: Final = 1
FOK: Final = 2
POST_ONLY: Final = 3

STP_NEWEST: Final = 0
STP_OLDEST: Final = 1
STP_BOTH: Final = 2
STP_DECREMENT: Final = 3

HOLD_QUOTE: Final = 0
HOLD_BASE: Final = 1
HOLD_BOTH: Final = 2

Address = Annotated[bytes, Meta(min_length=20, max_length=20)]
Hash32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Amount = Annotated[bytes, Meta(min_length=limits.AMOUNT_BYTES, max_length=limits.AMOUNT_BYTES)]
"""Atoms as 16 big-endian bytes: MessagePack integers end at 2**64."""
MarketId = Annotated[int, Meta(ge=0, lt=limits.MARKETS_MAX)]
AssetId = Annotated[int, Meta(ge=0, lt=limits.ASSETS_MAX)]
SubAccount = Annotated[int, Meta(ge=0, le=limits.SUB_ACCOUNT_MAX)]
Price = Annotated[int, Meta(ge=1, le=limits.PRICE_TICKS_MAX)]
PriceOrNone = Annotated[int, Meta(ge=0, le=limits.PRICE_TICKS_MAX)]
Size = Annotated[int, Meta(ge=1, le=limits.SIZE_LOTS_MAX)]
U64 = Annotated[int, Meta(ge=0)]
TimeMs = Annotated[int, Meta(ge=0, le=limits.TIME_MS_MAX)]


def encode_amount(atoms: int) -> bytes:
    """Encode an amount of atoms for the wire. Raises LimitExceeded beyond 128 bits."""
    if not 0 <= atoms <= limits.AMOUNT_ATOMS_MAX:
        raise LimitExceeded(f"amount {atoms} does not fit 128 bits")
    return atoms.to_bytes(limits.AMOUNT_BYTES, "big")


def decode_amount(data: bytes) -> int:
    """Read an amount of atoms from its wire form."""
    return int.from_bytes(data, "big")


class Op(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of all operations; on the wire an array led by the tag."""


class Place(Op, frozen=True, tag=1):
    """A new order. A market order is IOC with its bound as price."""

    market: MarketId
    side: Annotated[int, Meta(ge=0, le=1)]
    price: Price
    size: Size
    tif: Annotated[int, Meta(ge=0, le=3)] = GTC
    stp: Annotated[int, Meta(ge=0, le=3)] = STP_NEWEST
    client_id: U64 = 0


class Cancel(Op, frozen=True, tag=2):
    """Cancel one order by id."""

    market: MarketId
    order_id: U64


class CancelClient(Op, frozen=True, tag=3):
    """Cancel one live order by the client's own id."""

    market: MarketId
    client_id: U64


class CancelAll(Op, frozen=True, tag=4):
    """Cancel every order of the sub-account that was admitted to the market before this
    operation.
    """

    market: MarketId


class Replace(Op, frozen=True, tag=5):
    """Give an order a new price and remaining size; priority stays if only the size falls."""

    market: MarketId
    order_id: U64
    price: Price
    size: Size


class Commit(Op, frozen=True, tag=6):
    """Commit to hidden orders: holds the tier and a bond."""

    market: MarketId
    hold: Annotated[int, Meta(ge=0, le=2)]
    tier: Annotated[int, Meta(ge=0, lt=(limits.QUOTE_TIER_MAX + 1) * limits.BASE_TIERS)]
    commit_hash: Hash32


class Open(Op, frozen=True, tag=7):
    """Show the orders of a commit."""

    market: MarketId
    commit_hash: Hash32
    orders: Annotated[
        tuple[Place, ...], Meta(min_length=1, max_length=limits.ORDERS_PER_OPENING_MAX)
    ]
    salt: Hash32


class Grant(Op, frozen=True, tag=10):
    """Let a session key act for the account."""

    key: Address
    expiry_ms: TimeMs
    actions: Annotated[int, Meta(ge=0, lt=1 << 32)]
    """Bit `1 << tag` per allowed operation; see `TRADING_TAGS`."""
    markets: Annotated[tuple[MarketId, ...], Meta(max_length=limits.MARKETS_PER_GRANT_MAX)]
    """Allowed markets; empty means all."""
    notional_cap: Amount
    """Largest notional of one order in quote atoms; zero means none."""
    cancel_on_revoke: bool
    notional_total: Amount = bytes(limits.AMOUNT_BYTES)
    """Largest sum of notionals over the key's whole life in quote atoms; zero means none."""
    orders_cap: Annotated[int, Meta(ge=0, lt=1 << 32)] = 0
    """Most orders over the key's whole life; zero means no cap."""


class Revoke(Op, frozen=True, tag=11):
    """End a session key at once."""

    key: Address


class Withdraw(Op, frozen=True, tag=12):
    """Leave the ledger: the vault of the asset's chain pays `to` after the next checkpoint."""

    asset: AssetId
    amount: Amount
    to: Address


class Transfer(Op, frozen=True, tag=13):
    """Move free funds to another account or sub-account."""

    asset: AssetId
    amount: Amount
    to: Address
    to_sub: SubAccount


class ApproveBuilder(Op, frozen=True, tag=58):
    """Let a builder charge the account's orders up to a fee; zero takes it back."""

    builder: Address
    max_fee_ppm: Annotated[int, Meta(ge=0, le=limits.BUILDER_FEE_PPM_MAX)]
    """Millionths of the notional: 100 are one basis point."""


class UseBuilder(Op, frozen=True, tag=59):
    """The orders that follow in the action are a builder's, and pay it this fee."""

    builder: Address
    fee_ppm: Annotated[int, Meta(ge=0, le=limits.BUILDER_FEE_PPM_MAX)]


class PlaceTrigger(Op, frozen=True, tag=30):
    """An order that waits until a trade is at or above, or at or below a price. Two legs make one
    order that cancels the other.
    """

    market: MarketId
    side: Annotated[int, Meta(ge=0, le=1)]
    size: Size
    above: PriceOrNone
    """Reached by a trade at this price or higher; 0 for no such leg."""
    above_price: PriceOrNone
    """The order's limit when the leg above is reached."""
    below: PriceOrNone
    below_price: PriceOrNone
    tif: Annotated[int, Meta(ge=0, le=3)] = IOC
    stp: Annotated[int, Meta(ge=0, le=3)] = STP_NEWEST
    client_id: U64 = 0
    expiry_ms: TimeMs = 0
    """Block time from which the order is cancelled; 0 for never."""


class PlaceUntil(Op, frozen=True, tag=31):
    """An order that rests until a block time."""

    market: MarketId
    side: Annotated[int, Meta(ge=0, le=1)]
    price: Price
    size: Size
    post_only: bool
    stp: Annotated[int, Meta(ge=0, le=3)]
    client_id: U64
    expiry_ms: TimeMs


class CancelAfter(Op, frozen=True, tag=32):
    """Cancel every order of the sub-account at a block time unless it is moved; 0 takes it back."""

    time_ms: TimeMs


class PlaceTrailing(Op, frozen=True, tag=33):
    """A stop that follows the price at a distance and is reached when the price turns by it."""

    market: MarketId
    side: Annotated[int, Meta(ge=0, le=1)]
    size: Size
    price: Price
    """The order's limit once it is reached."""
    distance: Annotated[int, Meta(ge=1, le=limits.PRICE_TICKS_MAX)]
    """Ticks, or basis points of the best price since it follows."""
    in_bps: bool
    activation: PriceOrNone = 0
    """It follows from the first trade that is as good as this; 0 for at once."""
    tif: Annotated[int, Meta(ge=0, le=3)] = IOC
    stp: Annotated[int, Meta(ge=0, le=3)] = STP_NEWEST
    client_id: U64 = 0
    expiry_ms: TimeMs = 0


class ReplaceTrigger(Op, frozen=True, tag=34):
    """Give an order that waits for a price another size and other legs."""

    market: MarketId
    order_id: U64
    size: Size
    above: PriceOrNone
    above_price: PriceOrNone
    below: PriceOrNone
    below_price: PriceOrNone


class PlaceIceberg(Op, frozen=True, tag=35):
    """A resting order of which only a part at a time stands in the book."""

    market: MarketId
    side: Annotated[int, Meta(ge=0, le=1)]
    price: Price
    size: Size
    visible: Size
    """Lots of each part; smaller than the size."""
    stp: Annotated[int, Meta(ge=0, le=3)] = STP_NEWEST
    client_id: U64 = 0
    expiry_ms: TimeMs = 0


class PlaceSchedule(Op, frozen=True, tag=36):
    """An order that takes liquidity in parts, at fixed intervals of the block clock."""

    market: MarketId
    side: Annotated[int, Meta(ge=0, le=1)]
    price: Price
    """The worst price of every part."""
    size: Size
    slots: Annotated[int, Meta(ge=2, le=limits.SLOTS_MAX)]
    interval_ms: Annotated[int, Meta(ge=limits.SLOT_MS_MIN, le=limits.SLOT_MS_MAX)]
    participation_bps: Annotated[int, Meta(ge=0, le=limits.BPS)] = 0
    """A part is at most this share of what others traded since the last slot; 0: equal parts."""
    stp: Annotated[int, Meta(ge=0, le=3)] = STP_NEWEST
    client_id: U64 = 0


class PlaceBracket(Op, frozen=True, tag=37):
    """An order whose fills arm a stop and a take-profit, one of which cancels the other."""

    market: MarketId
    side: Annotated[int, Meta(ge=0, le=1)]
    price: Price
    size: Size
    tif: Annotated[int, Meta(ge=0, le=3)]
    stp: Annotated[int, Meta(ge=0, le=3)]
    client_id: U64
    above: PriceOrNone
    """The exit, on the other side, is reached by a trade at this price or higher; 0 for none."""
    above_price: PriceOrNone
    below: PriceOrNone
    below_price: PriceOrNone
    exit_tif: Annotated[int, Meta(ge=0, le=3)] = IOC


class Deposit(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One deposit as the vault's event says it."""

    id: U64
    beneficiary: Address
    token: Address
    amount: Amount


class RegistryEvent(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One change in the validator registry, with all that the contract says of the validator."""

    number: U64
    """Changes before it; they are consecutive."""
    change: Annotated[int, Meta(ge=1, le=7)]
    """1 registered, 2 stake added, 3 hot key, 4 services, network key or payout, 5 exit requested,
    6 stake withdrawn (hot key and stake are zero), 7 slashed.
    """
    owner: Address
    hot_key: Address
    payout: Address
    network_key: Hash32
    services: U64
    stake: Amount
    exiting: bool


class Attest(Op, frozen=True, tag=20):
    """A validator's word on one non-empty window of the events on a vault's chain."""

    chain_id: U64
    vault: Address
    window: U64
    end_hash: Hash32
    """Hash of the window's last EVM block."""
    previous: Hash32
    """`compute_window_hash` of the last applied attestation of this vault; zero for the first."""
    deposits: Annotated[tuple[Deposit, ...], Meta(max_length=limits.DEPOSITS_PER_ATTESTATION_MAX)]
    events: Annotated[tuple[RegistryEvent, ...], Meta(max_length=limits.REGISTRY_EVENTS_MAX)] = ()
    """Changes in the validator registry on that chain, in order of their numbers."""


NO_WORD: Final = bytes(32)


class Heartbeat(Op, frozen=True, tag=21):
    """A validator's sign of life, by its hot key: observers earn a seat by it, jail ends by it.

    It also carries the words by which the service storage is measured; the ledger hands them on.
    """

    part: U64 = 0
    """Number of the part of the scoring period in which the words below are meant to count."""
    commitment: Hash32 = NO_WORD
    """To the answer of this part; zero for none."""
    answer: Hash32 = NO_WORD
    """Of the part before; zero for none."""


class SetMarket(Op, frozen=True, tag=50):
    """A validator's word on the status of a market, by its hot key."""

    market: MarketId
    round: U64
    """Changes of the market's status so far: a word counts for one decision only."""
    status: Annotated[int, Meta(ge=0, le=4)]
    """0 open, 1 post only, 2 cancel only, 3 delisted, 4 auction."""


class SetProtocol(Op, frozen=True, tag=51):
    """A validator's word on when the rules of another version begin, by its hot key."""

    round: U64
    """Decisions on the protocol so far: a word counts for one decision only."""
    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    """The next version, or the present one to call off what was decided."""
    height: U64
    """The first height under it; 0 to call off."""


class ListAsset(Op, frozen=True, tag=52):
    """A validator's word on a new asset, by its hot key."""

    round: U64
    """Decisions on listings so far: a word counts for one decision only."""
    height: U64
    """The first height at which it exists; a later one if that is too near when it is decided."""
    terms: AssetConfig


class ListMarket(Op, frozen=True, tag=53):
    """A validator's word on a new market, by its hot key. It begins as post-only."""

    round: U64
    height: U64
    """The first height at which it takes orders; a later one as with an asset."""
    opening_blocks: Annotated[int, Meta(ge=0, le=limits.OPENING_BLOCKS_MAX)]
    """Blocks after which it opens; 0: it opens when the committee says so."""
    terms: MarketConfig


class SetTerms(Op, frozen=True, tag=54):
    """A validator's word on other terms of a market, by its hot key."""

    market: MarketId
    round: U64
    """Changes of the market's status and terms so far."""
    height: U64
    """The first height of the change; a later one as with an asset."""
    terms: MarketConfig
    """The present ones to call off what was decided."""


class Settled(Op, frozen=True, tag=61):
    """A validator's word that a vault has accepted a checkpoint, by its hot key."""

    chain_id: U64
    vault: Address
    height: U64
    """Executed height of the newest one that is confirmed."""


class Doubt(Op, frozen=True, tag=62):
    """A validator's word on whether it sees on the chain what was applied last of a vault."""

    chain_id: U64
    vault: Address
    content: Hash32
    """`compute_window_hash` of the last applied attestation."""
    doubts: bool
    """False takes it back."""


class MoveVault(Op, frozen=True, tag=60):
    """A validator's word on where a vault's assets move and when, by its hot key."""

    chain_id: U64
    vault: Address
    round: U64
    """Decisions about a move of this vault so far: a word counts for one decision only."""
    successor: Address
    """The next vault; zero to call off what was decided."""
    at_ms: TimeMs
    """They move at the first checkpoint height at or after this block time; 0 to call off."""


AnyOp = (
    Place
    | Cancel
    | CancelClient
    | CancelAll
    | Replace
    | Commit
    | Open
    | Grant
    | Revoke
    | Withdraw
    | Transfer
    | Attest
    | Heartbeat
    | SetMarket
    | SetProtocol
    | ListAsset
    | ListMarket
    | SetTerms
    | MoveVault
    | Settled
    | Doubt
    | PlaceTrigger
    | PlaceUntil
    | CancelAfter
    | PlaceTrailing
    | ReplaceTrigger
    | PlaceIceberg
    | PlaceSchedule
    | PlaceBracket
    | ApproveBuilder
    | UseBuilder
)
TRADING_TAGS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
"""Bits of a session key: the tags of operations 1 to 7, then 8 PlaceTrigger, 9 PlaceUntil,
10 CancelAfter, 11 PlaceTrailing, 12 ReplaceTrigger, 13 PlaceIceberg, 14 PlaceSchedule,
15 PlaceBracket, 16 UseBuilder.
"""
TRADING_MASK: Final = sum(1 << tag for tag in TRADING_TAGS)
WALLET_OPS: Final = (Grant, Revoke, Withdraw, Transfer, ApproveBuilder)
VOTES: Final = (SetMarket, SetProtocol, ListAsset, ListMarket, SetTerms, MoveVault, Settled, Doubt)
"""Words of committee members: each stands alone in its action."""
VALIDATOR_OPS: Final = (Attest, Heartbeat, *VOTES)


class Action(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What is signed: operations of one account under one nonce."""

    domain: Hash32
    account: Address
    sub: SubAccount
    nonce_ms: TimeMs
    deadline_ms: TimeMs
    atomic: bool
    ops: Annotated[tuple[AnyOp, ...], Meta(min_length=1, max_length=limits.OPS_PER_ACTION_MAX)]
