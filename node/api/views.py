"""Name everything the API shows, as typed values the daemon fills in.

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
    """Root of everything the API shows."""


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
    evm: bool  # the EVM endpoint answers
    protocol: Protocol


class Peer(View, frozen=True, kw_only=True):
    """One connected or known peer."""

    peer_id: str
    address: Address | None  # proven validator key
    multiaddr: str
    direction: Literal["in", "out", "none"]
    connected: bool
    banned: bool
    latency_ms: int | None
    queue: int  # frames waiting for it


# -- Markets -----------------------------------------------------------------------


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


# -- Accounts and orders -----------------------------------------------------------------------


class Balance(View, frozen=True, kw_only=True):
    """Free and held atoms of one asset in one sub-account."""

    sub: int
    asset: int
    symbol: str
    free: Amount
    held: Amount


class GrantView(View, frozen=True, kw_only=True):
    """A session key that may act for the account."""

    key: Address
    expiry_ms: int
    actions: int  # bitmask
    markets: tuple[int, ...]  # empty = all
    notional_cap: Amount  # of one order, in quote atoms; 0 = none
    notional_used: Amount  # over the key's life
    cancel_on_revoke: bool
    revoked: bool
    notional_total: Amount = 0  # most that may be used; 0 = no cap
    orders_cap: int = 0  # most orders over the key's life; 0 = no cap
    orders_used: int = 0


class NonceWindow(View, frozen=True, kw_only=True):
    """What is left of a key's nonces: new ones lie above `floor` and are not in `used`."""

    key: Address
    floor_ms: int
    used: int


class Account(View, frozen=True, kw_only=True):
    """Everything the ledger holds for one wallet."""

    address: Address
    number: int  # dense account number
    height: int
    balances: tuple[Balance, ...]
    grants: tuple[GrantView, ...]
    nonces: tuple[NonceWindow, ...]
    open_orders: int


class Order(View, frozen=True, kw_only=True):
    """A resting order, or its last state in an account event."""

    id: int
    market: int
    sub: int
    side: Side
    price: int
    size: int  # as placed
    remaining: int
    client_id: int
    placed_height: int
    placed_ms: int
    status: str  # open | pending | waiting (off the book) | reached | filled | cancelled | rejected
    reason: str = ""  # stable code when rejected or cancelled by the engine
    above: int = 0  # price that reaches an order that waits, 0 none
    below: int = 0
    expiry_ms: int = 0  # block time at which it ends, 0 none
    visible: int = 0  # lots of each part of an iceberg that waits with the rest
    slots: int = 0  # parts of a schedule still to come
    next_slot_ms: int = 0  # block time from which the next of them is made
    part: int = 0  # id of the part that is live now


class Fill(View, frozen=True, kw_only=True):
    """One side of a trade, as its account sees it."""

    trade: int
    market: int
    order: int
    side: Side
    price: int
    size: int
    fee: Amount  # in quote atoms
    maker: bool
    height: int
    time_ms: int
    sub: int = 0
    left: int = 0  # lots of the order still open after this fill; no order event repeats it
    builder_fee: Amount = 0  # in quote atoms, beside `fee`: what the order's builder got


class OpStatus(View, frozen=True, kw_only=True):
    """The result of one operation of an action."""

    index: int
    code: str  # "ok" or the stable reason code
    order_id: int | None = None


class ActionReceipt(View, frozen=True, kw_only=True):
    """Where an action is."""

    id: Hex
    state: Literal["pending", "included", "executed"]
    height: int | None
    time_ms: int | None
    statuses: tuple[OpStatus, ...]


class AccountUpdate(View, frozen=True, kw_only=True):
    """What one block changed for one account."""

    address: Address
    height: int
    time_ms: int
    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    balances: tuple[Balance, ...]
    receipts: tuple[ActionReceipt, ...] = ()
    """Actions that this block executed, and again those whose pending operations it has ended."""


class SubmitResult(View, frozen=True, kw_only=True, omit_defaults=True):
    """Whether the node took one action; `code` and `error` say why not."""

    id: Hex  # signing digest; empty when the bytes were no action
    accepted: bool
    code: str = ""
    error: str = ""


# -- Chain -----------------------------------------------------------------------


class BlockSummary(View, frozen=True, kw_only=True):
    """One final block in a list."""

    height: int
    view: int
    epoch: int
    hash: Hex
    cid: str
    time_ms: int
    proposer: int  # seat in the committee of the block's epoch
    proposer_address: Address | None = None  # None for an epoch this node does not know
    bundles: int
    actions: int
    trades: int
    finality_ms: int  # proposal seen → final here; 0 = unknown
    signers: int
    executed_height: int


class BundleView(View, frozen=True, kw_only=True):
    """One bundle of a block."""

    cid: str
    bytes: int
    actions: int


class BlockDetail(View, frozen=True, kw_only=True):
    """A block with its header words, bundles and certificate."""

    summary: BlockSummary
    parent_hash: Hex
    parent_view: int
    parent_cid: str
    bundles_root: Hex
    state_root: Hex  # after `executed_height`
    fees_root: Hex
    attendance_root: Hex
    evidence_root: Hex
    committee_hash: Hex
    next_committee_hash: Hex
    checkpoint_digest: Hex
    bundles: tuple[BundleView, ...]
    certificate_view: int
    certificate_signers: tuple[int, ...]  # committee indices


# -- Settlement -----------------------------------------------------------------------


class FeeSplit(View, frozen=True, kw_only=True):
    """Cumulative fees of one asset; the three shares add up to the total, exactly."""

    asset: int
    symbol: str
    total: Amount
    validators: Amount  # 70 %
    company: Amount  # 20 %
    development: Amount  # 10 %


class Checkpoint(View, frozen=True, kw_only=True):
    """One checkpoint, accepted on chain or still on its way."""

    height: int
    state_root: Hex
    cid: str  # of its snapshot manifest; "" when unknown
    state: Literal["waiting", "submitted", "accepted"]
    tx: Hex  # EVM transaction; empty when another node's was not seen
    gas: int
    time_ms: int


class WithdrawalProof(View, frozen=True, kw_only=True):
    """Everything `Settlement.withdraw` wants."""

    index: int
    chain_id: int
    vault: Address
    token: Address
    amount: Amount
    to: Address
    height: int  # checkpoint the proof is made for
    count: int  # leaves under that root
    proof: tuple[Hex, ...]
    roots: tuple[Hex, ...]  # the words of the state root


class Withdrawal(View, frozen=True, kw_only=True):
    """One leaf of the withdrawals tree; `/v1/settlement/withdrawals/{index}/proof` claims it."""

    index: int
    chain_id: int
    vault: Address
    token: Address
    amount: Amount
    to: Address
    height: int  # of the block that made it


class Withdrawals(View, frozen=True, kw_only=True):
    """Newest first; pass the lowest index as `before` to get older ones."""

    withdrawals: tuple[Withdrawal, ...]


class ChatRoom(View, frozen=True, kw_only=True):
    """A public room."""

    name: str
    title: str
    messages: int
    last_ms: int


class ChatMessage(View, frozen=True, kw_only=True):
    """One signed message of a room."""

    id: Hex
    room: str
    author: Address
    time_ms: int
    lamport: int
    text: str
    payload: Hex  # the signed bytes
    signature: Hex


class ChatPage(View, frozen=True, kw_only=True):
    """Oldest first within the page; `cursor` leads to older ones."""

    messages: tuple[ChatMessage, ...]
    cursor: str | None


class DirectMessage(View, frozen=True, kw_only=True):
    """A sealed message the node relays and cannot read."""

    id: Hex
    sender: Address
    to: Address
    time_ms: int
    payload: Hex
    signature: Hex


class Prekey(View, frozen=True, kw_only=True):
    """A signed X25519 key under which its owner can be written to."""

    owner: Address
    payload: Hex
    signature: Hex


class ChatReceipt(View, frozen=True, kw_only=True):
    """The node has stored the message and passes it on."""

    id: Hex
    stored: bool


# -- Lists, wrapped so that fields can be added later ----------------------------------------------


class Markets(View, frozen=True, kw_only=True):
    """All markets in id order."""

    markets: tuple[Market, ...]


class Candles(View, frozen=True, kw_only=True):
    """Oldest first; intervals without a trade are left out."""

    market: int
    interval_ms: int
    candles: tuple[Candle, ...]
    cursor: int | None = None  # pass it as `before` to get older ones


class Orders(View, frozen=True, kw_only=True):
    """Resting orders, oldest first."""

    orders: tuple[Order, ...]


class Blocks(View, frozen=True, kw_only=True):
    """Newest first."""

    blocks: tuple[BlockSummary, ...]


class Peers(View, frozen=True, kw_only=True):
    """Connected and known peers."""

    peers: tuple[Peer, ...]


class SubmitResults(View, frozen=True, kw_only=True):
    """One result per action, in the order they were sent."""

    results: tuple[SubmitResult, ...]


class ChatRooms(View, frozen=True, kw_only=True):
    """Public rooms."""

    rooms: tuple[ChatRoom, ...]


class DirectMessages(View, frozen=True, kw_only=True):
    """Sealed messages, oldest first."""

    messages: tuple[DirectMessage, ...]


class Prekeys(View, frozen=True, kw_only=True):
    """Published keys of one owner."""

    prekeys: tuple[Prekey, ...]


class Done(View, frozen=True, kw_only=True):
    """The node has done it."""

    done: bool = True


class Ready(View, frozen=True, kw_only=True):
    """Whether the node can do its duties, and if not, why."""

    ready: bool
    problems: tuple[Problem, ...]
