"""Read a node's answers as typed values.

Rule: fields a newer node adds are ignored; a field that is missing or of another type is a refusal.
Spec: docs/reference/api.md (Answers). Deviations: fields the SDK does not use are left out.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from client.errors import RequestRefused

T = TypeVar("T")


class Atoms(int):
    """An amount of atoms; on the wire an integer, or a decimal string beyond 64 bits."""


class View(Struct, frozen=True, kw_only=True):
    """Root of everything a node shows."""


class Status(View, frozen=True, kw_only=True):
    """Where the node is."""

    network: str
    network_id: bytes
    now_ms: int
    ready: bool
    height: int  # highest notarized
    final: int
    executed: int
    state_root: bytes
    finality_ms: int
    trades: int
    actions: int
    verified_signatures: int
    chat_messages: int
    mempool_actions: int


class Asset(View, frozen=True, kw_only=True):
    """One claim on one vault."""

    id: int
    symbol: str
    decimals: int
    chain_id: int
    vault: bytes
    token: bytes
    transfer_minimum: int = 0
    withdrawal_minimum: int = 0


class Market(View, frozen=True, kw_only=True):
    """A pair with its units; price = ticks, size = lots."""

    id: int
    name: str
    base: Asset
    quote: Asset
    tick: int  # quote atoms per base lot
    lot: int  # base atoms
    mode: str  # sealed | fair | auction
    phase: str
    maker_fee_ppm: int
    taker_fee_ppm: int
    orders: int
    trades: int
    best_bid: int | None
    best_ask: int | None
    last_price: int | None
    phase_round: int = 0
    hold_fee_ppm: int = 0
    band_low: int | None = None  # lowest limit of a new sell; None = no band now
    band_high: int | None = None  # highest limit of a new buy
    phase_cause: str = "committee"  # committee | breaker | auction | opening
    auction_ms: int = 0  # block time of the next auction; 0 = none, or not known yet
    auction_price: int | None = None  # what the auction would give now; None = no trade
    auction_size: int = 0  # lots that would trade
    auction_surplus: int = 0  # lots demanded there beyond those offered; negative: more offered


class MarketTerms(View, frozen=True, kw_only=True):
    """All terms of one market, named as in the network file."""

    market: int
    round: int
    terms: dict[str, Any]


class ListingProposal(View, frozen=True, kw_only=True):
    """What at least one validator wants listed or changed."""

    id: bytes  # keccak of the operation
    kind: Literal["asset", "market", "terms"]
    market: int | None
    round: int
    height: int
    opening_blocks: int
    terms: dict[str, Any]
    voters: tuple[bytes, ...]
    weight: int


class ListingDecided(View, frozen=True, kw_only=True):
    """What begins at a height."""

    kind: Literal["asset", "market", "terms"]
    market: int | None
    height: int
    terms: dict[str, Any]


class Listings(View, frozen=True, kw_only=True):
    """What is wanted and what is decided."""

    height: int
    round: int
    weight: int
    proposals: tuple[ListingProposal, ...]
    decided: tuple[ListingDecided, ...]


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
    """One fill as everybody sees it."""

    id: int
    market: int
    height: int
    time_ms: int
    price: int
    size: int
    taker_side: str
    sealed: bool


class TradePage(View, frozen=True, kw_only=True):
    """Newest first."""

    trades: tuple[Trade, ...]
    cursor: int | None
    oldest_height: int = 1


class Balance(View, frozen=True, kw_only=True):
    """Free and held atoms of one asset in one sub-account."""

    sub: int
    asset: int
    symbol: str
    free: Atoms
    held: Atoms


class GrantView(View, frozen=True, kw_only=True):
    """A session key that may act for the account."""

    key: bytes
    expiry_ms: int
    revoked: bool


class Account(View, frozen=True, kw_only=True):
    """Everything the ledger holds for one wallet."""

    address: bytes
    height: int
    balances: tuple[Balance, ...]
    grants: tuple[GrantView, ...]
    open_orders: int


class Order(View, frozen=True, kw_only=True):
    """A resting order, or its last state in an account event."""

    id: int
    market: int
    sub: int
    side: str
    price: int
    size: int
    remaining: int
    client_id: int
    status: str  # open | pending | waiting | reached | filled | cancelled | rejected
    reason: str = ""
    above: int = 0
    below: int = 0
    expiry_ms: int = 0
    visible: int = 0  # lots of each part of an iceberg that waits with the rest
    slots: int = 0  # parts of a schedule still to come
    next_slot_ms: int = 0  # block time from which the next of them is made
    part: int = 0  # id of the part that is live now


class Fill(View, frozen=True, kw_only=True):
    """One side of a trade, as its account sees it."""

    trade: int
    market: int
    order: int
    side: str
    price: int
    size: int
    fee: Atoms  # in quote atoms
    maker: bool
    height: int
    time_ms: int
    sub: int = 0
    left: int = 0  # lots of the order still open after this fill
    builder_fee: Atoms = Atoms(0)  # in quote atoms, beside `fee`: what the order's builder got


class OpStatus(View, frozen=True, kw_only=True):
    """The result of one operation of an action."""

    index: int
    code: str
    order_id: int | None = None


class ActionReceipt(View, frozen=True, kw_only=True):
    """Where an action is."""

    id: bytes
    state: str  # pending | included | executed
    height: int | None
    time_ms: int | None
    statuses: tuple[OpStatus, ...]


class AccountUpdate(View, frozen=True, kw_only=True):
    """What one block changed for one account; the snapshot has all balances and resting orders."""

    address: bytes
    height: int
    time_ms: int
    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    balances: tuple[Balance, ...]
    receipts: tuple[ActionReceipt, ...] = ()


class SubmitResult(View, frozen=True, kw_only=True):
    """Whether the node took one action; `code` and `error` say why not."""

    id: bytes
    accepted: bool
    code: str = ""
    error: str = ""


class BlockSummary(View, frozen=True, kw_only=True):
    """One final block."""

    height: int
    hash: bytes
    time_ms: int
    proposer: int
    actions: int
    trades: int
    finality_ms: int
    executed_height: int


class FeeSplit(View, frozen=True, kw_only=True):
    """Cumulative fees of one asset."""

    asset: int
    symbol: str
    total: Atoms
    validators: Atoms
    company: Atoms
    development: Atoms


class CommitteeSeat(View, frozen=True, kw_only=True):
    """One seat of a committee."""

    address: bytes
    weight: int


class ProvenBalance(View, frozen=True, kw_only=True):
    """A balance with everything that `client.light` needs to believe it."""

    owner: bytes
    account: int
    sub: int
    asset: int
    entry: int
    free: Atoms
    held: Atoms
    entry_siblings: tuple[bytes, ...]
    account_siblings: tuple[bytes, ...]
    roots: tuple[bytes, ...]
    headers: tuple[bytes, ...]
    certificate: bytes
    members: tuple[CommitteeSeat, ...]


class Recipient(View, frozen=True, kw_only=True):
    """What is known of an address that a withdrawal would go to."""

    chain_id: int
    address: bytes
    contract: bool | None  # None: the node cannot tell now
    warning: str  # empty: nothing speaks against it


class WithdrawalProof(View, frozen=True, kw_only=True):
    """Everything the vault contract wants."""

    index: int
    chain_id: int
    vault: bytes
    token: bytes
    amount: Atoms
    to: bytes
    height: int
    count: int
    proof: tuple[bytes, ...]
    roots: tuple[bytes, ...]


class ChatMessage(View, frozen=True, kw_only=True):
    """One signed message of a room."""

    id: bytes
    room: str
    author: bytes
    time_ms: int
    lamport: int
    text: str
    payload: bytes
    signature: bytes


class ChatPage(View, frozen=True, kw_only=True):
    """Oldest first within the page; `cursor` leads to older ones."""

    messages: tuple[ChatMessage, ...]
    cursor: str | None


class DirectMessage(View, frozen=True, kw_only=True):
    """A sealed message."""

    id: bytes
    sender: bytes
    to: bytes
    time_ms: int
    payload: bytes
    signature: bytes


class Prekey(View, frozen=True, kw_only=True):
    """A signed prekey bundle."""

    owner: bytes
    payload: bytes
    signature: bytes


class ChatReceipt(View, frozen=True, kw_only=True):
    """The node has stored a message."""

    id: bytes
    stored: bool


_decoders: Final[dict[Any, msgspec.msgpack.Decoder[Any]]] = {}


def decode_view(data: bytes, view: type[T]) -> T:
    """Decode an answer. Raises RequestRefused when the node speaks another language."""
    decoder = _decoders.get(view)
    if decoder is None:
        decoder = _decoders[view] = msgspec.msgpack.Decoder(view, dec_hook=_decode_hook)
    try:
        answer: T = decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise RequestRefused("bad_answer", f"the node's answer cannot be read: {error}") from None
    return answer


def convert_view(plain: Any, view: type[T]) -> T:
    """Read a view from plain values. Raises RequestRefused."""
    try:
        return msgspec.convert(plain, view, dec_hook=_decode_hook, builtin_types=(bytes,))
    except (msgspec.ValidationError, ValueError) as error:
        raise RequestRefused("bad_answer", f"the node's event cannot be read: {error}") from None


def _decode_hook(kind: type, value: Any) -> Any:
    if kind is Atoms and isinstance(value, int | str):
        return Atoms(value)
    raise TypeError(f"no {kind.__name__} in an answer")
