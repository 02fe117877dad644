"""What the ledger holds for an account, and what became of its actions, as the API shows it.

Rule: amounts are atoms; prices are ticks and sizes lots of the market that is named.
Spec: docs/reference/api.md (Answers). Deviations: none.
"""

from __future__ import annotations

from typing import Literal

from node.api.views import Address, Amount, Hex, Side, View


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
    grants: tuple[GrantView, ...]  # the newest 256, oldest first
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


class Orders(View, frozen=True, kw_only=True):
    """Resting orders, oldest first."""

    orders: tuple[Order, ...]


class SubmitResults(View, frozen=True, kw_only=True):
    """One result per action, in the order they were sent."""

    results: tuple[SubmitResult, ...]
