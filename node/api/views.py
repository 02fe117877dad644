"""Name what the API shows of node and markets, as typed values; the other views stand beside it.

Rule: inside are bytes and integers; how a field looks in JSON is written in its type here and
nowhere else (`Amount`: decimal string of atoms, `Address`: EIP-55, `Hex`: 0x-prefixed lower-case).
Spec: docs/reference/api.md (Answers). Deviations: none.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Amount = Annotated[int, msgspec.Meta(extra={"json": "amount"})]
"""Atoms of one asset; may exceed 2^53, therefore a decimal string in JSON."""

Address = Annotated[bytes, msgspec.Meta(extra={"json": "address"})]
"""20 bytes; EIP-55 checksummed in JSON."""

Hex = Annotated[bytes, msgspec.Meta(extra={"json": "hex"})]
"""Any bytes; 0x-prefixed lower-case hex in JSON."""

Side = Literal["buy", "sell"]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Root of everything the API shows. Lists are wrapped, so that fields can be added later."""


class Problem(View, frozen=True, kw_only=True):
    """Why the node is not ready, or what needs the operator."""

    code: str  # stable, documented in docs/reference/errors.md
    message: str
    fix: str = ""


class ValidatorSelf(View, frozen=True, kw_only=True):
    """This node's own seat."""

    address: Address
    index: int | None  # committee index; None without a seat
    weight: int
    last_signed_view: int  # from the signing guard; 0 before the first vote
    last_signed_ms: int  # Unix milliseconds; 0 before the first vote
    votes_sent: int
    proposals: int


class Protocol(View, frozen=True, kw_only=True):
    """The version of the rules and what the committee decided about the next one."""

    version: int  # in force
    newest: int  # that this program knows
    round: int  # decisions so far; a validator's word names it
    next_version: int  # 0 = nothing was decided
    next_height: int  # the first height under it


class Status(View, frozen=True, kw_only=True):
    """One screenful: is it alive, is it ready, where is it."""

    version: str
    network: str
    network_id: Hex
    genesis: Hex
    pid: int
    started_ms: int
    now_ms: int
    ready: bool
    problems: tuple[Problem, ...]
    epoch: int
    view: int
    height: int  # highest notarized
    final: int  # highest finalized
    executed: int  # highest executed, ≤ final
    state_root: Hex  # after `executed`
    block_hash: Hex  # of the block at `final`
    block_cid: str  # its CID; "" at genesis
    block_time_ms: int
    finality_ms: int  # median proposal → final of the newest blocks; 0 = none yet
    peers: int
    peers_in: int
    peers_out: int
    validator: ValidatorSelf | None
    mempool_actions: int
    actions: int  # executed since genesis
    trades: int  # fills since genesis
    verified_signatures: int  # by this process since it started
    chat_messages: int
    checkpoints: int  # accepted by the contract, as far as this node has seen
    decisions_waiting: int  # about vaults: this node could sign them and has not approved them
    evm: bool  # the EVM endpoint answers
    protocol: Protocol
    waits_for: str = ""  # what it lacks until it is ready


class Peer(View, frozen=True, kw_only=True):
    """One validator as this node's network sees it."""

    peer_id: str
    name: str
    address: Address  # its key
    multiaddrs: tuple[str, ...]  # where it is dialled
    direction: Literal["both", "in", "out", "none"]  # lanes that are open
    connected: bool
    banned: bool
    queue: int  # frames waiting for it
    dropped: int  # frames it was too slow for, since the start
    connects: int  # times that both our lanes to it opened, since the start
    bytes_in: int
    bytes_out: int
    last_error: str  # why our lanes to it are not open


class Asset(View, frozen=True, kw_only=True):
    """One claim on one vault; never merged with a namesake on another chain."""

    id: int
    symbol: str
    decimals: int
    chain_id: int
    vault: Address
    token: Address
    transfer_minimum: Amount = 0  # atoms, to another owner; 0 = none
    withdrawal_minimum: Amount = 0  # atoms; 0 = none


class Market(View, frozen=True, kw_only=True):
    """A pair with its units and its last figures; price = ticks, size = lots."""

    id: int
    name: str  # "WETH-USDX"
    base: Asset
    quote: Asset
    tick: int  # quote atoms per base lot
    lot: int  # base atoms
    mode: str  # sealed | fair | auction
    phase: str  # OPEN | POST_ONLY | CANCEL_ONLY | FROZEN | DELISTING | DELISTED | AUCTION
    maker_fee_ppm: int
    taker_fee_ppm: int
    orders: int  # resting
    trades: int  # since genesis
    best_bid: int | None
    best_ask: int | None
    last_price: int | None
    last_trade_ms: int  # 0 = none yet
    open_24h: int | None  # price 24 hours ago, or the first one
    high_24h: int | None
    low_24h: int | None
    volume_24h: int  # lots
    sealed_pending: int  # commits not yet cleared
    phase_round: int = 0  # changes of phase and terms so far; validators vote on one round
    hold_fee_ppm: int = 0  # what buys hold for their fee: the taker fee, or what it was before
    band_low: int | None = None  # lowest limit of a new sell; None = no band now
    band_high: int | None = None  # highest limit of a new buy
    phase_cause: str = "committee"  # committee | breaker | auction | opening
    auction_ms: int = 0  # block time of the next auction; 0 = none, or not known yet
    auction_price: int | None = None  # what the auction would give now; None = no trade
    auction_size: int = 0  # lots that would trade
    auction_surplus: int = 0  # lots demanded there beyond those offered; negative: more offered


class Level(View, frozen=True, kw_only=True, array_like=True):
    """[price, size, orders]"""

    price: int
    size: int
    orders: int


class Book(View, frozen=True, kw_only=True):
    """Levels from the best one outwards."""

    market: int
    height: int
    time_ms: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class Trade(View, frozen=True, kw_only=True):
    """One fill."""

    id: int  # dense since genesis over all markets, the same on every node; the cursor
    market: int
    height: int
    time_ms: int
    price: int
    size: int
    taker_side: Side | Literal["none"]  # none: both were matched in one batch
    sealed: bool
    maker_order: int
    taker_order: int


class TradePage(View, frozen=True, kw_only=True):
    """Newest first; pass `cursor` to get older ones; None at the end."""

    trades: tuple[Trade, ...]
    cursor: int | None
    oldest_height: int = 1  # the oldest height this node has the trades of


class Candle(View, frozen=True, kw_only=True, array_like=True):
    """[start_ms, open, high, low, close, volume, trades, quote_volume]"""

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int  # lots
    trades: int
    quote_volume: Amount = 0  # quote atoms


class Markets(View, frozen=True, kw_only=True):
    """All markets in id order."""

    markets: tuple[Market, ...]


class Candles(View, frozen=True, kw_only=True):
    """Oldest first; intervals without a trade are left out."""

    market: int
    interval_ms: int
    candles: tuple[Candle, ...]
    cursor: int | None = None  # pass it as `before` to get older ones


class Peers(View, frozen=True, kw_only=True):
    """Connected and known peers."""

    peers: tuple[Peer, ...]


class Done(View, frozen=True, kw_only=True):
    """The node has done it."""

    done: bool = True


class Ready(View, frozen=True, kw_only=True):
    """Whether the node can do its duties, and if not, why."""

    ready: bool
    problems: tuple[Problem, ...]
    waits_for: str = ""
