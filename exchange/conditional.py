"""Admit orders that wait for a price or end at a time, and carry out what time and price bring.

Rule: a waiting order is a live order like any other: it has an id, holds its funds from the start
and is cancelled like the rest. What falls due acts through the batch of the block, as if asked for.
Spec: docs/spec/orders.md
Deviations: triggers act in the next batch, not in the one whose price reached them (ADR 0100).
"""

from __future__ import annotations

from functools import partial

from exchange import limits
from exchange.admission import (
    ALL_ORDERS,
    Context,
    admit_place,
    check_market,
    check_scope,
    check_status,
    open_trader,
    spend_budget,
)
from exchange.batch import Batch, CancelRequest
from exchange.market import OPEN, Market
from exchange.operations import IOC, POST_ONLY, CancelAfter, Place, PlaceTrigger, PlaceUntil
from exchange.order_book import Order
from exchange.reasons import REJECTED, Reason
from exchange.settlement import delist, enlist, hold_funds, release_funds, shrink_hold
from exchange.state import State
from exchange.triggers import Trigger, Triggered

OK = int(Reason.OK)
EXPIRED = int(Reason.EXPIRED)
SWITCHED_OFF = int(Reason.SWITCHED_OFF)
INSUFFICIENT_FUNDS = int(Reason.INSUFFICIENT_FUNDS)
DUPLICATE_CLIENT_ID = int(Reason.DUPLICATE_CLIENT_ID)
TOO_MANY_ORDERS = int(Reason.TOO_MANY_ORDERS)
BAD_TRIGGER = int(Reason.BAD_TRIGGER)
TRIGGER_REACHED = int(Reason.TRIGGER_REACHED)
TOO_MANY_TRIGGERS = int(Reason.TOO_MANY_TRIGGERS)
KEY_LACKS_MARKET = int(Reason.KEY_LACKS_MARKET)
BAD_TIME = int(Reason.BAD_TIME)


def admit_trigger(context: Context, op: PlaceTrigger, index: int) -> int:
    """Hold the funds of an order that waits for a price."""
    reason = check_market(context, op.market) or _check_legs(op)
    if reason:
        return reason
    state = context.state
    market = state.markets[op.market]
    if op.expiry_ms and op.expiry_ms <= state.time_ms:
        return BAD_TIME
    price = max(op.above_price, op.below_price)
    if context.key is not None:
        reason = check_scope(context.key, market, price, op.size)
        if reason:
            return reason
    if market.status:
        return check_status(market, IOC)  # it may take liquidity
    last = market.last_price
    if (op.above and last >= op.above) or (op.below and last <= op.below):
        return TRIGGER_REACHED
    account = context.account
    if account.get_balance(context.sub, market.base if op.side else market.quote) is None:
        return INSUFFICIENT_FUNDS
    trader = open_trader(context, market)
    if len(trader.orders) >= state.genesis.orders_per_account_market:
        return TOO_MANY_ORDERS
    triggers = market.triggers
    waiting = triggers.counts.get((trader.number, trader.sub), 0)
    if (
        waiting >= limits.TRIGGERS_PER_TRADER_MAX
        or len(triggers.by_id) >= limits.TRIGGERS_PER_MARKET_MAX
    ):
        return TOO_MANY_TRIGGERS
    order = Order(
        state.next_order,
        trader,
        op.side,
        price,
        op.size,
        op.tif,
        op.stp,
        op.client_id,
        context.grant,
    )
    if order.client_key and order.client_key in account.clients:
        return DUPLICATE_CLIENT_ID
    if not hold_funds(market, order):
        return INSUFFICIENT_FUNDS
    state.next_order += 1
    spend_budget(context, price * op.size * market.tick, 1)
    enlist(market, order)
    triggers.add(
        Trigger(order, context.action.id, op.above, op.above_price, op.below, op.below_price)
    )
    if op.expiry_ms:
        market.expiries.put(order.id, op.expiry_ms)
    context.receipt.orders[index] = order.id
    if context.undo is not None:
        context.undo.append(partial(_undo_trigger, market, order))
    return OK


def admit_until(context: Context, op: PlaceUntil, index: int) -> int:
    """Place an order that rests until a time of the block clock."""
    if op.expiry_ms <= context.state.time_ms:
        return BAD_TIME
    tif = POST_ONLY if op.post_only else 0
    place = Place(op.market, op.side, op.price, op.size, tif, op.stp, op.client_id)
    status = admit_place(context, place, index)
    if status < REJECTED:
        market = context.state.markets[op.market]
        market.expiries.put(context.receipt.orders[index], op.expiry_ms)
    return status


def admit_cancel_after(context: Context, op: CancelAfter, index: int) -> int:
    """Set, move or take back the time at which all orders of the sub-account are cancelled."""
    state = context.state
    if context.key is not None and context.key.markets:
        return KEY_LACKS_MARKET
    key = context.account.number * (limits.SUB_ACCOUNT_MAX + 1) + context.sub
    before = state.switches.due.get(key, 0)
    if op.time_ms:
        if not 0 < op.time_ms - state.time_ms <= limits.CANCEL_AFTER_MS_MAX:
            return BAD_TIME
        state.switches.put(key, op.time_ms)
    else:
        state.switches.forget(key)
    if context.undo is not None:
        context.undo.append(partial(_set_switch, state, key, before))
    return OK


def begin_block(state: State, block_hash: bytes) -> None:
    """Bring what time and prices made due into the batches of this block."""
    for key in state.switches.take(state.time_ms, limits.SWITCHES_PER_BLOCK_MAX):
        number, sub = divmod(key, limits.SUB_ACCOUNT_MAX + 1)
        traders = state.accounts[number].traders
        for place in sorted(traders):
            trader = traders[place]
            if trader.sub == sub and trader.orders:
                request = CancelRequest(trader, 0, state.next_order, ALL_ORDERS, SWITCHED_OFF, None)
                market = state.markets[trader.market]
                _open_batch(state, market, block_hash).cancels.append(request)
    for market in state.markets:
        if market.expiries.queue:
            due = market.expiries.take(state.time_ms, limits.EXPIRIES_PER_BLOCK_MAX)
            for order_id in due:
                trader = market.book.orders[order_id].trader
                request = CancelRequest(trader, order_id, 0, ALL_ORDERS, EXPIRED, None)
                _open_batch(state, market, block_hash).cancels.append(request)
        if market.triggered and market.status == OPEN:
            _activate(state, market, block_hash)


def collect_reached(market: Market) -> None:
    """Take out the triggers that the price of the last trade reaches."""
    for trigger, limit in market.triggers.take_reached(market.last_price):
        order = trigger.order
        order.price = limit
        shrink_hold(market, order)
        market.triggered.append(Triggered(order, trigger.action_id))


def _check_legs(op: PlaceTrigger) -> int:
    """Check that there is a leg, each leg has a limit, and the legs do not overlap."""
    if not (op.above or op.below) or op.tif == POST_ONLY:
        return BAD_TRIGGER
    if bool(op.above) != bool(op.above_price) or bool(op.below) != bool(op.below_price):
        return BAD_TRIGGER
    if op.above and op.below >= op.above:
        return BAD_TRIGGER
    return OK


def _activate(state: State, market: Market, block_hash: bytes) -> None:
    """Move reached orders that were not cancelled since into the batch of this block."""
    alive = [item for item in market.triggered if item.order.size]
    if alive:
        batch = _open_batch(state, market, block_hash)
        batch.triggered += alive[: limits.ACTIVATIONS_PER_BLOCK_MAX]
    market.triggered[:] = alive[limits.ACTIVATIONS_PER_BLOCK_MAX :]


def _open_batch(state: State, market: Market, block_hash: bytes) -> Batch:
    batches = market.batches
    if not batches or batches[-1].height != state.height:
        batches.append(Batch(state.height, block_hash))
    return batches[-1]


def _undo_trigger(market: Market, order: Order) -> None:
    release_funds(market, order)
    delist(market, order)
    order.size = 0


def _set_switch(state: State, key: int, time_ms: int) -> None:
    if time_ms:
        state.switches.put(key, time_ms)
    else:
        state.switches.forget(key)
