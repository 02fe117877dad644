"""Brackets: an entry order whose fills arm a stop and a take-profit that cancel each other.

Rule: what a batch filled of an entry is covered by an exit before anything else happens; an exit is
a trigger like any other, and the entry's rest ends when it is reached.
Spec: docs/spec/orders.md#brackets
Deviations: none.
"""

from __future__ import annotations

from functools import partial

from exchange import limits
from exchange.accounts import SessionKey
from exchange.admission import Context, admit_place, check_scope, spend_budget
from exchange.key_budget import check_budget, compute_notional
from exchange.market import Market
from exchange.matching import note_order
from exchange.operations import POST_ONLY, Place, PlaceBracket
from exchange.order_book import make_order
from exchange.outcome import CLOSED, WAITING
from exchange.plans import Bracket
from exchange.reasons import REJECTED, Reason
from exchange.settlement import compute_hold, enlist, hold_funds, release_funds
from exchange.state import State
from exchange.triggers import Trigger

OK = int(Reason.OK)
BAD_TRIGGER = int(Reason.BAD_TRIGGER)
TOO_MANY_PLANS = int(Reason.TOO_MANY_PLANS)
INSUFFICIENT_FUNDS = int(Reason.INSUFFICIENT_FUNDS)


def admit_bracket(context: Context, op: PlaceBracket, index: int) -> int:
    """Place the entry and remember the exits that its fills will arm."""
    reason = _check_exits(op)
    if reason:
        return reason
    state = context.state
    if op.market < len(state.markets):
        reason = _check_room(context, state.markets[op.market])
        if reason:
            return reason
    exit_price = max(op.above_price, op.below_price)
    if context.key is not None and op.market < len(state.markets):
        reason = _check_key(context.key, state.markets[op.market], op, exit_price)
        if reason:
            return reason
    place = Place(op.market, op.side, op.price, op.size, op.tif, op.stp, op.client_id)
    status = admit_place(context, place, index)
    if status >= REJECTED:
        return status
    market = state.markets[op.market]
    spend_budget(context, compute_notional(market, 1 - op.side, exit_price, op.size), 1)
    entry = market.book.orders[context.receipt.orders[index]]
    bracket = Bracket(
        entry,
        context.action.id,
        op.above,
        op.above_price,
        op.below,
        op.below_price,
        op.exit_tif,
    )
    market.plans.add_bracket(bracket)
    if context.undo is not None:
        context.undo.append(partial(_undo, market, entry.id))
    return status


def _undo(market: Market, entry_id: int) -> None:
    market.plans.drop_bracket(entry_id)


def _check_exits(op: PlaceBracket) -> int:
    if op.exit_tif == POST_ONLY or not (op.above or op.below):
        return BAD_TRIGGER
    if bool(op.above) != bool(op.above_price) or bool(op.below) != bool(op.below_price):
        return BAD_TRIGGER
    return BAD_TRIGGER if op.above and op.below >= op.above else OK


def _check_key(key: SessionKey, market: Market, op: PlaceBracket, exit_price: int) -> int:
    """Check that a key's scope has room for the exit, and its budget for both orders together."""
    reason = check_scope(key, market, 1 - op.side, exit_price, op.size)
    if reason:
        return reason
    entry = compute_notional(market, op.side, op.price, op.size)
    return check_budget(key, entry + compute_notional(market, 1 - op.side, exit_price, op.size), 2)


def _check_room(context: Context, market: Market) -> int:
    owner = (context.account.number, context.sub)
    plans = market.plans
    own = plans.counts.get(owner, 0)
    waiting = market.triggers.counts.get(owner, 0)
    if (
        own >= limits.PLANS_PER_TRADER_MAX
        or own + waiting >= limits.TRIGGERS_PER_TRADER_MAX
        or plans.live >= limits.PLANS_PER_MARKET_MAX
    ):
        return TOO_MANY_PLANS
    return OK


def arm_exits(state: State, market: Market, first_fill: int) -> None:
    """Cover with exits what the fills from `first_fill` on have brought to entries."""
    plans = market.plans
    filled: dict[int, int] = {}
    for fill in market.log.fills[first_fill:]:
        if fill.market == market.id:
            for order_id in (fill.maker_order, fill.taker_order):
                if order_id in plans.brackets or order_id in plans.closing:
                    filled[order_id] = filled.get(order_id, 0) + fill.size
    for order_id, lots in filled.items():
        bracket = plans.brackets.get(order_id)
        _arm(state, market, plans.closing[order_id] if bracket is None else bracket, lots)
    plans.closing.clear()


def _arm(state: State, market: Market, bracket: Bracket, lots: int) -> None:
    """Let a bracket's exit wait for so many lots more."""
    price = max(bracket.above_price, bracket.below_price)
    entry = bracket.entry
    trader = entry.trader
    side = 1 - entry.side
    balance = trader.base if side else trader.quote
    known = market.triggers.by_id.get(bracket.exit_id)
    if known is not None and known.order.price == price:
        order = known.order
        if compute_hold(market, order, price, order.size + lots) - order.held <= balance.free:
            order.size += lots
            order.total += lots
            release_funds(market, order)
            is_covered = hold_funds(market, order)
            assert is_covered
            note_order(market, order, WAITING, OK)
            return
    order = make_order(
        state.next_order, trader, side, price, lots, bracket.tif, entry.stp, 0, entry.grant
    )
    order.builder = entry.builder
    order.builder_ppm = entry.builder_ppm
    state.next_order += 1
    if not hold_funds(market, order):
        note_order(market, order, CLOSED, INSUFFICIENT_FUNDS)
        return
    enlist(market, order)
    market.triggers.add(
        Trigger(
            order,
            bracket.action_id,
            bracket.above,
            bracket.above_price,
            bracket.below,
            bracket.below_price,
            None,
        )
    )
    if entry.id in market.plans.brackets:
        market.plans.link_exit(bracket, order.id)
    note_order(market, order, WAITING, OK)
