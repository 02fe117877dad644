"""Admit orders that wait for a price or end at a time, and carry out what time and price bring.

Rule: a waiting order is a live order like any other: it has an id, holds its funds from the start
and is cancelled like the rest. What falls due acts through the batch of the block, as if asked for.
Spec: docs/spec/orders.md
Deviations: triggers act in the next batch, not in the one whose price reached them (ADR 0100).
"""

from __future__ import annotations

from functools import partial

from exchange import limits
from exchange.accounts import Trader
from exchange.admission import (
    ALL_ORDERS,
    Context,
    admit_place,
    can_pay,
    check_market,
    check_scope,
    check_status,
    open_trader,
    spend_budget,
)
from exchange.allowance import may_add_order
from exchange.batch import Batch, CancelRequest
from exchange.key_budget import compute_notional
from exchange.market import OPEN, Market
from exchange.matching import note_order
from exchange.operations import (
    FOK,
    IOC,
    POST_ONLY,
    CancelAfter,
    Place,
    PlaceTrailing,
    PlaceTrigger,
    PlaceUntil,
    ReplaceTrigger,
)
from exchange.order_book import SELL, Order, make_order
from exchange.outcome import REACHED, WAITING
from exchange.reasons import REJECTED, Reason
from exchange.settlement import compute_hold, delist, enlist, hold_funds, release_funds, shrink_hold
from exchange.slicing import make_due_parts
from exchange.state import State
from exchange.triggers import Trail, Trigger, Triggered

OK = int(Reason.OK)
EXPIRED = int(Reason.EXPIRED)
EXIT_REACHED = int(Reason.EXIT_REACHED)
SWITCHED_OFF = int(Reason.SWITCHED_OFF)
INSUFFICIENT_FUNDS = int(Reason.INSUFFICIENT_FUNDS)
DUPLICATE_CLIENT_ID = int(Reason.DUPLICATE_CLIENT_ID)
TOO_MANY_ORDERS = int(Reason.TOO_MANY_ORDERS)
BAD_TRIGGER = int(Reason.BAD_TRIGGER)
TRIGGER_REACHED = int(Reason.TRIGGER_REACHED)
TOO_MANY_TRIGGERS = int(Reason.TOO_MANY_TRIGGERS)
KEY_LACKS_MARKET = int(Reason.KEY_LACKS_MARKET)
UNKNOWN_ORDER = int(Reason.UNKNOWN_ORDER)
BAD_TIME = int(Reason.BAD_TIME)


def admit_trigger(context: Context, op: PlaceTrigger, index: int) -> int:
    """Hold the funds of an order that waits for a price."""
    reason = check_market(context, op.market) or _check_legs(op)
    if reason:
        return reason
    market = context.state.markets[op.market]
    if op.tif == POST_ONLY:
        return BAD_TRIGGER
    price = max(op.above_price, op.below_price)
    reason = _check_waiting(context, market, op.side, price, op.size, op.tif, op.expiry_ms)
    if reason:
        return reason
    if _is_reached(market, op):
        return TRIGGER_REACHED
    trader = _get_trader(context, market, op.side, price, op.size)
    if isinstance(trader, int):
        return trader
    order = _make_order(context, trader, op, price)
    trigger = Trigger(
        order, context.action.id, op.above, op.above_price, op.below, op.below_price, None
    )
    return _add_trigger(context, market, trigger, op.expiry_ms, index)


def admit_trailing(context: Context, op: PlaceTrailing, index: int) -> int:
    """Hold the funds of a stop that follows the price."""
    reason = check_market(context, op.market)
    if reason:
        return reason
    market = context.state.markets[op.market]
    if op.tif == POST_ONLY or (op.in_bps and op.distance >= limits.BPS):
        return BAD_TRIGGER
    reason = _check_waiting(context, market, op.side, op.price, op.size, op.tif, op.expiry_ms)
    if reason:
        return reason
    if len(market.triggers.trailing) >= limits.TRAILING_PER_MARKET_MAX:
        return TOO_MANY_TRIGGERS
    trader = _get_trader(context, market, op.side, op.price, op.size)
    if isinstance(trader, int):
        return trader
    last = market.last_price
    waits = op.activation and (last < op.activation if op.side == SELL else last > op.activation)
    trail = Trail(
        op.side, op.distance, op.in_bps, op.activation if waits else 0, 0 if waits else last
    )
    order = _make_order(context, trader, op, op.price)
    trigger = Trigger(order, context.action.id, 0, 0, 0, 0, trail)
    return _add_trigger(context, market, trigger, op.expiry_ms, index)


def admit_replace_trigger(context: Context, op: ReplaceTrigger, index: int) -> int:
    """Give an order that still waits for a price another size and other legs, at once."""
    reason = check_market(context, op.market)
    if reason:
        return reason
    market = context.state.markets[op.market]
    trigger = market.triggers.by_id.get(op.order_id)
    if trigger is None:
        return UNKNOWN_ORDER
    order = trigger.order
    trader = order.trader
    if trader.account is not context.account or trader.sub != context.sub:
        return UNKNOWN_ORDER
    if trigger.trail is not None:
        return BAD_TRIGGER
    price = max(op.above_price, op.below_price)
    reason = _check_legs(op) or _check_waiting(
        context, market, order.side, price, op.size, order.tif, 0
    )
    if reason:
        return reason
    if _is_reached(market, op):
        return TRIGGER_REACHED
    balance = trader.base if order.side else trader.quote
    need = compute_hold(market, order, price, op.size)
    if need - order.held > balance.free:
        return INSUFFICIENT_FUNDS
    before = (order.size, order.price, trigger.above, trigger.above_price)
    below = (trigger.below, trigger.below_price)
    _set_terms(market, trigger, op.size, price, op.above, op.above_price, op.below, op.below_price)
    note_order(market, order, WAITING, OK)
    spend_budget(context, compute_notional(market, order.side, price, op.size), 1)
    context.receipt.orders[index] = order.id
    if context.undo is not None:
        context.undo.append(partial(_undo_replace, market, trigger, *before, *below))
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
        order = market.book.orders[context.receipt.orders[index]]
        order.watched = True
        market.expiries.put(order.id, op.expiry_ms)
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
        account = state.accounts[number]
        for market in state.markets:  # the sides of other sub-accounts may be a hundred times more
            trader = account.get_trader(sub, market.id)
            if trader is not None and trader.orders:
                request = CancelRequest(trader, 0, state.next_order, ALL_ORDERS, SWITCHED_OFF, None)
                _open_batch(state, market, block_hash).cancels.append(request)
    for market in state.markets:
        if market.expiries.queue:
            due = market.expiries.take(state.time_ms, limits.EXPIRIES_PER_BLOCK_MAX)
            for order_id in due:
                trader = market.book.orders[order_id].trader
                request = CancelRequest(trader, order_id, 0, ALL_ORDERS, EXPIRED, None)
                _open_batch(state, market, block_hash).cancels.append(request)
        if market.plans.due.queue:
            make_due_parts(state, market)
        if market.triggered and market.status == OPEN and not market.is_frozen:
            _activate(state, market, block_hash)


def collect_reached(market: Market) -> None:
    """Take out the triggers that the price of the last trade reaches."""
    for trigger, limit in market.triggers.take_reached(market.last_price):
        order = trigger.order
        order.price = limit
        shrink_hold(market, order)
        entry = market.plans.exits.pop(order.id, 0)
        market.triggered.append(Triggered(order, trigger.action_id, entry))
        note_order(market, order, REACHED, OK)


def _check_legs(op: PlaceTrigger | ReplaceTrigger) -> int:
    """Check that there is a leg, each leg has a limit, and the legs do not overlap."""
    if not (op.above or op.below):
        return BAD_TRIGGER
    if bool(op.above) != bool(op.above_price) or bool(op.below) != bool(op.below_price):
        return BAD_TRIGGER
    if op.above and op.below >= op.above:
        return BAD_TRIGGER
    return OK


def _is_reached(market: Market, op: PlaceTrigger | ReplaceTrigger) -> bool:
    last = market.last_price
    return (op.above > 0 and last >= op.above) or (op.below > 0 and last <= op.below)


def _check_waiting(
    context: Context, market: Market, side: int, price: int, size: int, tif: int, expiry_ms: int
) -> int:
    """Check what every order that waits for a price must pass. Returns a reason code."""
    if expiry_ms and expiry_ms <= context.state.time_ms:
        return BAD_TIME
    if context.key is not None:
        reason = check_scope(context.key, market, side, price, size)
        if reason:
            return reason
    if market.status or market.collecting or market.is_frozen:
        return check_status(market, FOK if tif == FOK else IOC)  # it may take liquidity
    return OK


def _get_trader(context: Context, market: Market, side: int, price: int, size: int) -> Trader | int:
    """Return the sub-account's side in the market, or why it may have no more that waits."""
    account = context.account
    if account.get_balance(context.sub, market.base if side else market.quote) is None:
        return INSUFFICIENT_FUNDS
    trader = account.get_trader(context.sub, market.id)
    live = 0 if trader is None else len(trader.orders)
    if not may_add_order(context.state, account, live):
        return TOO_MANY_ORDERS
    triggers = market.triggers
    waiting = triggers.counts.get((account.number, context.sub), 0)
    if (
        waiting >= limits.TRIGGERS_PER_TRADER_MAX
        or len(triggers.by_id) >= limits.TRIGGERS_PER_MARKET_MAX
    ):
        return TOO_MANY_TRIGGERS
    if trader is None and not can_pay(context, market, side, price, size):
        return INSUFFICIENT_FUNDS
    return open_trader(context, market)


def _make_order(
    context: Context, trader: Trader, op: PlaceTrigger | PlaceTrailing, price: int
) -> Order:
    order = make_order(
        context.state.next_order,
        trader,
        op.side,
        price,
        op.size,
        op.tif,
        op.stp,
        op.client_id,
        context.grant,
    )
    order.builder = context.builder
    order.builder_ppm = context.builder_ppm
    return order


def _add_trigger(
    context: Context, market: Market, trigger: Trigger, expiry_ms: int, index: int
) -> int:
    """Hold the funds of a new order and let it wait. Returns a reason code."""
    order = trigger.order
    if order.trader.has_client_id(order.client_id):
        return DUPLICATE_CLIENT_ID
    if not hold_funds(market, order):
        return INSUFFICIENT_FUNDS
    context.state.next_order += 1
    spend_budget(context, compute_notional(market, order.side, order.price, order.size), 1)
    enlist(market, order)
    market.triggers.add(trigger)
    if expiry_ms:
        market.expiries.put(order.id, expiry_ms)
    note_order(market, order, WAITING, OK)
    context.receipt.orders[index] = order.id
    if context.undo is not None:
        context.undo.append(partial(_undo_trigger, market, order))
    return OK


def _set_terms(
    market: Market,
    trigger: Trigger,
    size: int,
    price: int,
    above: int,
    above_price: int,
    below: int,
    below_price: int,
) -> None:
    """Give a waiting order other terms; its funds are known to suffice."""
    order = trigger.order
    triggers = market.triggers
    triggers.forget(order.id)
    release_funds(market, order)
    order.total += size - order.size
    order.size = size
    order.price = price
    is_covered = hold_funds(market, order)
    assert is_covered
    trigger.above = above
    trigger.above_price = above_price
    trigger.below = below
    trigger.below_price = below_price
    triggers.add(trigger)


def _activate(state: State, market: Market, block_hash: bytes) -> None:
    """Move reached orders that were not cancelled since into the batch of this block."""
    alive = [item for item in market.triggered if item.order.size]
    if alive:
        batch = _open_batch(state, market, block_hash)
        joining = alive[: limits.ACTIVATIONS_PER_BLOCK_MAX]
        batch.triggered += joining
        for item in joining:
            if item.entry in market.book.orders:
                request = CancelRequest(
                    item.order.trader, item.entry, 0, ALL_ORDERS, EXIT_REACHED, None
                )
                batch.cancels.append(request)
    market.triggered[:] = alive[limits.ACTIVATIONS_PER_BLOCK_MAX :]


def _open_batch(state: State, market: Market, block_hash: bytes) -> Batch:
    batches = market.batches
    if not batches or batches[-1].height != state.height:
        batches.append(Batch(state.height, block_hash))
    return batches[-1]


def _undo_trigger(market: Market, order: Order) -> None:
    market.log.orders.pop()
    release_funds(market, order)
    delist(market, order)
    order.size = 0


def _undo_replace(
    market: Market,
    trigger: Trigger,
    size: int,
    price: int,
    above: int,
    above_price: int,
    below: int,
    below_price: int,
) -> None:
    market.log.orders.pop()
    _set_terms(market, trigger, size, price, above, above_price, below, below_price)


def _set_switch(state: State, key: int, time_ms: int) -> None:
    if time_ms:
        state.switches.put(key, time_ms)
    else:
        state.switches.forget(key)
