"""Admit trading operations: check, hold funds, and queue them for their market's batch.

Rule: admission happens in block order and never matches; after it an operation is refused (and has
changed nothing) or its funds are held. A handler returns a reason code and notes in `context.undo`
how to take itself back, so that an atomic action is all or nothing.

Spec: docs/spec/exchange.md#admission
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from exchange.accounts import Account, SessionKey, Trader, make_client_key
from exchange.actions import VerifiedAction
from exchange.allowance import may_add_order
from exchange.batch import Batch, CancelRequest, Entry, Group, Replacement
from exchange.key_budget import check_budget, compute_notional, refund, spend
from exchange.market import AUCTION, CANCEL_ONLY, DELISTED, Market
from exchange.market import POST_ONLY as POST_ONLY_PHASE
from exchange.operations import Cancel, CancelAll, CancelClient, Place, Replace
from exchange.order_book import Order, make_order
from exchange.outcome import Receipt
from exchange.price_band import is_outside
from exchange.reasons import Reason
from exchange.settlement import (
    compute_hold,
    compute_need,
    delist,
    enlist,
    hold_funds,
    release,
    release_funds,
    touch,
)
from exchange.state import State

GTC: Final = 0
IOC: Final = 1
FOK: Final = 2
POST_ONLY: Final = 3
ALL_ORDERS: Final = -1

OK = int(Reason.OK)
PENDING = int(Reason.PENDING)
CANCELLED = int(Reason.CANCELLED)
UNKNOWN_MARKET = int(Reason.UNKNOWN_MARKET)
VAULT_FROZEN = int(Reason.VAULT_FROZEN)
UNKNOWN_ORDER = int(Reason.UNKNOWN_ORDER)
INSUFFICIENT_FUNDS = int(Reason.INSUFFICIENT_FUNDS)
NEEDS_COMMIT = int(Reason.NEEDS_COMMIT)
DUPLICATE_CLIENT_ID = int(Reason.DUPLICATE_CLIENT_ID)
TOO_MANY_ORDERS = int(Reason.TOO_MANY_ORDERS)
KEY_LACKS_MARKET = int(Reason.KEY_LACKS_MARKET)
MARKET_POST_ONLY = int(Reason.MARKET_POST_ONLY)
MARKET_CANCEL_ONLY = int(Reason.MARKET_CANCEL_ONLY)
MARKET_AUCTION = int(Reason.MARKET_AUCTION)
MARKET_DELISTED = int(Reason.MARKET_DELISTED)
OVER_KEY_NOTIONAL = int(Reason.OVER_KEY_NOTIONAL)
OUTSIDE_BAND = int(Reason.OUTSIDE_BAND)


class Context:
    """One action on its way through admission."""

    __slots__ = (
        "account",
        "action",
        "block_hash",
        "builder",
        "builder_ppm",
        "builder_reason",
        "grant",
        "group",
        "group_market",
        "key",
        "receipt",
        "state",
        "sub",
        "undo",
    )

    def __init__(
        self,
        state: State,
        block_hash: bytes,
        action: VerifiedAction,
        account: Account,
        key: SessionKey | None,
        receipt: Receipt,
    ) -> None:
        self.state: State = state
        self.block_hash: bytes = block_hash
        self.action: VerifiedAction = action
        self.account: Account = account
        self.sub: int = action.sub
        self.key: SessionKey | None = key
        self.grant: int = 0 if key is None else key.number
        self.receipt: Receipt = receipt
        self.builder: Account | None = None
        """Of the orders that follow in the action."""
        self.builder_ppm: int = 0
        self.builder_reason: int = OK
        """Why they are refused, if their builder was."""
        self.group: Group | None = None
        self.group_market: int = -1
        self.undo: list[Callable[[], None]] | None = [] if action.atomic else None


def check_market(context: Context, market_id: int) -> int:
    """Check that a market exists and the key may act in it. Returns a reason code."""
    if market_id >= len(context.state.markets):
        return UNKNOWN_MARKET
    key = context.key
    if key is not None and key.markets and market_id not in key.markets:
        return KEY_LACKS_MARKET
    return OK


def get_current_batch(context: Context, market: Market) -> Batch:
    """Return the market's batch of the block in execution, opened if need be."""
    batches = market.batches
    height = context.state.height
    if batches and batches[-1].height == height:
        return batches[-1]
    batch = Batch(height, context.block_hash)
    batches.append(batch)
    return batch


def open_trader(context: Context, market: Market) -> Trader:
    """Return the sub-account's side in the market, made if need be.

    Asked only once the funds were found, so that no refused order opens balances, which are kept
    for ever. A side without orders is in no snapshot: whether it exists must decide nothing.
    """
    account = context.account
    trader = account.get_trader(context.sub, market.id)
    if trader is None:
        known = len(account.entries)
        quote = account.open_balance(context.sub, market.quote)
        base = account.open_balance(context.sub, market.base)
        for balance in account.entries[known:]:
            touch(market, balance)
        trader = account.add_trader(context.sub, market.id, quote, base)
    return trader


def can_pay(
    context: Context, market: Market, side: int, price: int, size: int, cushion: int = 0
) -> bool:
    """Tell whether the sub-account has free what such an order holds, and a cushion."""
    balance = context.account.get_balance(context.sub, market.base if side else market.quote)
    if balance is None:
        return False
    need = compute_need(market, side, price, size, context.builder_ppm)
    return balance.free >= need + cushion


def admit_place(context: Context, op: Place, index: int) -> int:
    """Hold a new order's funds and queue it."""
    state = context.state
    if op.market >= len(state.markets):
        return UNKNOWN_MARKET
    market = state.markets[op.market]
    if context.key is not None:
        reason = check_scope(context.key, market, op.side, op.price, op.size)
        if reason:
            return reason
    tif = op.tif
    if market.status or market.collecting or market.is_frozen:
        reason = check_status(market, tif)
        if reason:
            return reason
        if market.status == POST_ONLY_PHASE:
            tif = POST_ONLY
    if market.sealed and not (market.collecting and tif == IOC):
        if tif in (IOC, FOK):
            return NEEDS_COMMIT
        tif = POST_ONLY
    if market.band_bps and is_outside(market, op.side, op.price, state.time_ms):
        return OUTSIDE_BAND
    account = context.account
    trader = account.get_trader(context.sub, op.market)
    if trader is None:
        if not can_pay(context, market, op.side, op.price, op.size):
            return INSUFFICIENT_FUNDS
        trader = open_trader(context, market)
    elif not may_add_order(state, account, len(trader.orders)):
        return TOO_MANY_ORDERS
    order = make_order(
        state.next_order,
        trader,
        op.side,
        op.price,
        op.size,
        tif,
        op.stp,
        op.client_id,
        context.grant,
    )
    order.builder = context.builder
    order.builder_ppm = context.builder_ppm
    if trader.has_client_id(op.client_id):
        return DUPLICATE_CLIENT_ID
    if not hold_funds(market, order):
        return INSUFFICIENT_FUNDS
    state.next_order += 1
    if context.key is not None:
        spend_budget(context, compute_notional(market, op.side, op.price, op.size), 1)
    enlist(market, order)
    context.receipt.orders[index] = order.id
    queue_entry(context, market, Entry(order, (context.receipt, state.height, index)))
    if context.undo is not None:
        context.undo.append(partial(_undo_place, context, market, order))
    return PENDING


def admit_cancel(context: Context, op: Cancel, index: int) -> int:
    """Queue the cancel of one own order."""
    reason = check_market(context, op.market)
    if reason:
        return reason
    market = context.state.markets[op.market]
    order = market.book.orders.get(op.order_id)
    return _queue_cancel(context, market, order, index)


def admit_cancel_client(context: Context, op: CancelClient, index: int) -> int:
    """Queue the cancel of the live order that has a client id."""
    reason = check_market(context, op.market)
    if reason:
        return reason
    market = context.state.markets[op.market]
    key = make_client_key(context.sub, op.market, op.client_id)
    return _queue_cancel(context, market, context.account.clients.get(key), index)


def admit_cancel_all(context: Context, op: CancelAll, index: int) -> int:
    """Queue the cancel of all orders of the sub-account admitted so far."""
    reason = check_market(context, op.market)
    if reason:
        return reason
    trader = context.account.get_trader(context.sub, op.market)
    if trader is None or not trader.orders:
        return OK
    market = context.state.markets[op.market]
    ticket = (context.receipt, context.state.height, index)
    queue_cancel_request(
        context,
        market,
        CancelRequest(trader, 0, context.state.next_order, ALL_ORDERS, CANCELLED, ticket),
    )
    return PENDING


def admit_replace(context: Context, op: Replace, index: int) -> int:
    """Hold what the replacement needs beyond its order, and queue it."""
    reason = check_market(context, op.market)
    if reason:
        return reason
    market = context.state.markets[op.market]
    order = market.book.orders.get(op.order_id)
    if order is None or not _is_own(context, order):
        return UNKNOWN_ORDER
    if market.status or market.collecting or market.is_frozen:
        reason = check_status(market, IOC if order.tif != POST_ONLY else POST_ONLY)
        if reason:
            return reason
    if context.key is not None:
        reason = check_scope(context.key, market, order.side, op.price, op.size)
        if reason:
            return reason
    if (
        market.band_bps
        and op.price != order.price
        and is_outside(market, order.side, op.price, context.state.time_ms)
    ):
        return OUTSIDE_BAND
    extra = compute_hold(market, order, op.price, op.size) - order.held
    trader = order.trader
    balance = trader.base if order.side else trader.quote
    if extra > 0:
        if balance.free < extra:
            return INSUFFICIENT_FUNDS
        balance.free -= extra
        balance.held += extra
        touch(market, balance)
    else:
        extra = 0
    ticket = (context.receipt, context.state.height, index)
    entry = Replacement(order, ticket, op.price, op.size, extra)
    spend_budget(context, compute_notional(market, order.side, op.price, op.size), 1)
    context.receipt.orders[index] = order.id
    queue_entry(context, market, entry)
    if context.undo is not None:
        context.undo.append(partial(_undo_replace, context, market, entry))
    return PENDING


def queue_cancel_request(context: Context, market: Market, request: CancelRequest) -> None:
    """Add a cancel to the market's batch of this block."""
    batch = get_current_batch(context, market)
    batch.cancels.append(request)
    if context.undo is not None:
        context.undo.append(partial(_undo_cancel, batch))


def check_scope(key: SessionKey, market: Market, side: int, price: int, size: int) -> int:
    """Check that a session key may place such an order in the market. Returns a reason code."""
    if key.markets and market.id not in key.markets:
        return KEY_LACKS_MARKET
    notional = compute_notional(market, side, price, size)
    if key.notional_cap and notional > key.notional_cap:
        return OVER_KEY_NOTIONAL
    return check_budget(key, notional, 1)


def spend_budget(context: Context, atoms: int, orders: int) -> None:
    """Take an admitted operation out of the budget of the key that signed it, if one did."""
    key = context.key
    if key is not None:
        spend(key, atoms, orders)
        if context.undo is not None:
            context.undo.append(partial(refund, key, atoms, orders))


def check_status(market: Market, tif: int) -> int:
    """Check that a market which does not match at once takes an order. Returns a reason code."""
    if market.status == DELISTED:
        return MARKET_DELISTED
    if market.is_frozen:
        return VAULT_FROZEN
    if market.status == CANCEL_ONLY:
        return MARKET_CANCEL_ONLY
    if market.collecting and market.status != POST_ONLY_PHASE:
        is_closed = market.status == AUCTION and market.uncrossing
        return MARKET_AUCTION if tif == FOK or is_closed else OK
    return MARKET_POST_ONLY if tif in (IOC, FOK) else OK


def _is_own(context: Context, order: Order) -> bool:
    trader = order.trader
    return trader.account is context.account and trader.sub == context.sub


def _queue_cancel(context: Context, market: Market, order: Order | None, index: int) -> int:
    if order is None or not _is_own(context, order):
        return UNKNOWN_ORDER
    ticket = (context.receipt, context.state.height, index)
    context.receipt.orders[index] = order.id
    queue_cancel_request(
        context, market, CancelRequest(order.trader, order.id, 0, ALL_ORDERS, CANCELLED, ticket)
    )
    return PENDING


def queue_entry(context: Context, market: Market, entry: Entry) -> None:
    """Add an entry to the group of its action in the market's batch."""
    group = context.group
    if group is None or context.group_market != market.id:
        groups = get_current_batch(context, market).groups
        if groups and groups[-1].action_id == context.action.id:
            group = groups[-1]  # the action came back to an earlier market
        else:
            group = Group(context.action.id, None if group is None else group.first or group)
            groups.append(group)
        context.group = group
        context.group_market = market.id
    group.entries.append(entry)


def _undo_place(context: Context, market: Market, order: Order) -> None:
    release_funds(market, order)
    delist(market, order)
    order.size = 0
    drop_entry(context, market)


def _undo_replace(context: Context, market: Market, entry: Replacement) -> None:
    trader = entry.order.trader
    release(market, trader.base if entry.order.side else trader.quote, entry.extra)
    drop_entry(context, market)


def _undo_cancel(batch: Batch) -> None:
    batch.cancels.pop()


def drop_entry(context: Context, market: Market) -> None:
    """Take back the last entry of the action; undoing goes backwards, so it is the last one
    queued.
    """
    group = market.batches[-1].groups[-1]
    assert group.action_id == context.action.id
    group.entries.pop()
