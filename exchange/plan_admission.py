"""Admit icebergs and schedules: check, hold the funds of the whole, queue the first part.

Rule: a plan holds everything from the start; after admission nothing of it can fail for want of
funds.
Spec: docs/spec/orders.md#orders-in-parts
Deviations: none.
"""

from __future__ import annotations

from functools import partial

from exchange import limits
from exchange.accounts import Trader
from exchange.admission import (
    Context,
    can_pay,
    check_market,
    check_scope,
    check_status,
    drop_entry,
    open_trader,
    queue_entry,
    spend_budget,
)
from exchange.allowance import may_add_order
from exchange.batch import Entry
from exchange.key_budget import compute_notional
from exchange.market import Market
from exchange.matching import note_order
from exchange.operations import BUY, GTC, IOC, POST_ONLY, PlaceIceberg, PlaceSchedule
from exchange.order_book import Order, make_order
from exchange.outcome import WAITING
from exchange.plans import Plan
from exchange.price_band import is_outside
from exchange.reasons import Reason
from exchange.settlement import delist, enlist, hold_funds, release_funds, touch
from exchange.slicing import make_part

OK = int(Reason.OK)
PENDING = int(Reason.PENDING)
INSUFFICIENT_FUNDS = int(Reason.INSUFFICIENT_FUNDS)
DUPLICATE_CLIENT_ID = int(Reason.DUPLICATE_CLIENT_ID)
TOO_MANY_ORDERS = int(Reason.TOO_MANY_ORDERS)
BAD_PLAN = int(Reason.BAD_PLAN)
TOO_MANY_PLANS = int(Reason.TOO_MANY_PLANS)
BAD_TIME = int(Reason.BAD_TIME)
OUTSIDE_BAND = int(Reason.OUTSIDE_BAND)


def admit_iceberg(context: Context, op: PlaceIceberg, index: int) -> int:
    """Hold the funds of an iceberg and queue its first part, which only rests."""
    parts = -(-op.size // op.visible)
    if op.visible >= op.size or parts > limits.ICEBERG_PARTS_MAX:
        return BAD_PLAN
    state = context.state
    if op.expiry_ms and op.expiry_ms <= state.time_ms:
        return BAD_TIME
    reason = _check(context, op, POST_ONLY)
    if reason:
        return reason
    market = state.markets[op.market]
    if market.band_bps and is_outside(market, op.side, op.price, state.time_ms):
        return OUTSIDE_BAND
    if not _has_funds(context, market, op, parts):
        return INSUFFICIENT_FUNDS
    plan = Plan(_make_whole(context, op), context.action.id, op.visible, 0, 0, 0)
    reason = _add_plan(context, market, plan, parts)
    if reason:
        return reason
    if op.expiry_ms:
        market.expiries.put(plan.order.id, op.expiry_ms)
    context.receipt.orders[index] = plan.order.id
    part = make_part(state, market, plan, op.visible, POST_ONLY)
    queue_entry(context, market, Entry(part, (context.receipt, state.height, index)))
    if context.undo is not None:
        context.undo.append(partial(_undo, context, market, plan, part))
    return PENDING


def admit_schedule(context: Context, op: PlaceSchedule, index: int) -> int:
    """Hold the funds of an order that trades a part at each slot of its schedule."""
    if op.size < op.slots:
        return BAD_PLAN
    state = context.state
    reason = _check(context, op, IOC)
    if reason:
        return reason
    market = state.markets[op.market]
    if not _has_funds(context, market, op, op.slots):
        return INSUFFICIENT_FUNDS
    order = _make_whole(context, op)
    plan = Plan(order, context.action.id, 0, op.slots, op.interval_ms, op.participation_bps)
    plan.next_ms = state.time_ms + op.interval_ms
    plan.seen = market.traded
    reason = _add_plan(context, market, plan, op.slots)
    if reason:
        return reason
    context.receipt.orders[index] = order.id
    if context.undo is not None:
        context.undo.append(partial(_undo, context, market, plan, None))
    return OK


def _check(context: Context, op: PlaceIceberg | PlaceSchedule, tif: int) -> int:
    """Check market, key, phase and numbers. Returns a reason code."""
    reason = check_market(context, op.market)
    if reason:
        return reason
    market = context.state.markets[op.market]
    if context.key is not None:
        reason = check_scope(context.key, market, op.side, op.price, op.size)
        if reason:
            return reason
    if market.status or market.collecting or market.is_frozen:
        reason = check_status(market, tif)
        if reason:
            return reason
    account = context.account
    if account.get_balance(context.sub, market.base if op.side else market.quote) is None:
        return INSUFFICIENT_FUNDS
    trader = account.get_trader(context.sub, market.id)
    live = 0 if trader is None else len(trader.orders)
    if not may_add_order(context.state, account, live + 1):
        return TOO_MANY_ORDERS
    plans = market.plans
    own = plans.counts.get((account.number, context.sub), 0)
    if own >= limits.PLANS_PER_TRADER_MAX or plans.live >= limits.PLANS_PER_MARKET_MAX:
        return TOO_MANY_PLANS
    return OK


def _has_funds(
    context: Context, market: Market, op: PlaceIceberg | PlaceSchedule, parts: int
) -> bool:
    """Check the funds of a whole for which a side in the market would have to be opened."""
    if context.account.get_trader(context.sub, market.id) is not None:
        return True
    cushion = 0 if op.side else parts
    return can_pay(context, market, op.side, op.price, op.size, cushion)


def _make_whole(context: Context, op: PlaceIceberg | PlaceSchedule) -> Order:
    trader: Trader = open_trader(context, context.state.markets[op.market])
    order = make_order(
        context.state.next_order,
        trader,
        op.side,
        op.price,
        op.size,
        GTC,
        op.stp,
        op.client_id,
        context.grant,
    )
    order.builder = context.builder
    order.builder_ppm = context.builder_ppm
    return order


def _add_plan(context: Context, market: Market, plan: Plan, parts: int) -> int:
    """Hold the funds of a new plan and let it wait. Returns a reason code."""
    order = plan.order
    trader = order.trader
    if trader.has_client_id(order.client_id):
        return DUPLICATE_CLIENT_ID
    if not hold_funds(market, order):
        return INSUFFICIENT_FUNDS
    if order.side == BUY:
        if trader.quote.free < parts:
            release_funds(market, order)
            return INSUFFICIENT_FUNDS
        trader.quote.free -= parts
        trader.quote.held += parts
        touch(market, trader.quote)
        plan.cushion = parts
    context.state.next_order += 1
    spend_budget(context, compute_notional(market, order.side, order.price, order.size), 1)
    enlist(market, order)
    market.plans.add(plan)
    note_order(market, order, WAITING, OK)
    return OK


def _undo(context: Context, market: Market, plan: Plan, part: Order | None) -> None:
    if part is not None:
        del market.log.orders[-2:]  # what waits was told again, and the part
        drop_entry(context, market)
        market.plans.unlink(plan)
        release_funds(market, part)
        delist(market, part)
        part.size = 0
    market.log.orders.pop()
    release_funds(market, plan.order)
    delist(market, plan.order)
    plan.order.size = 0
