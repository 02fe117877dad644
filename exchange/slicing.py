"""Give off the parts of icebergs and schedules, and take back what they did not trade.

Rule: a part is an order of its own that joins a batch like a reached trigger. Its hold comes out of
its plan's, never out of free funds, so a part can always be made.
Spec: docs/spec/orders.md#orders-in-parts
Deviations: none.
"""

from __future__ import annotations

from exchange.limits import BPS, SLICES_PER_BLOCK_MAX
from exchange.market import OPEN, Market
from exchange.matching import end_order, note_order
from exchange.operations import GTC, IOC
from exchange.order_book import Order, make_order
from exchange.outcome import CLOSED, REACHED, WAITING
from exchange.plans import Plan
from exchange.reasons import Reason
from exchange.settlement import (
    compute_hold,
    delist,
    enlist,
    hold_funds,
    release,
    release_funds,
    shrink_hold,
)
from exchange.state import State
from exchange.triggers import Triggered

OK = int(Reason.OK)
CANCELLED = int(Reason.CANCELLED)
EXPIRED = int(Reason.EXPIRED)
LAST_PART = int(Reason.LAST_PART)


def make_part(state: State, market: Market, plan: Plan, size: int, tif: int) -> Order:
    """Turn lots of a plan into an order; the plan ends when these are its last ones."""
    whole = plan.order
    assert 0 < size <= whole.size
    trader = whole.trader
    client_id = expiry_ms = 0
    if plan.cushion:
        plan.cushion -= 1
        release(market, trader.quote, 1)
    if size == whole.size:
        client_id = whole.client_id
        expiry_ms = market.expiries.due.get(whole.id, 0)
        whole.size = 0
        note_order(market, whole, CLOSED, LAST_PART)
        market.plans.unlink(plan)
        release_funds(market, whole)
        delist(market, whole)
    else:
        whole.size -= size
        whole.total -= size
        shrink_hold(market, whole)
        note_order(market, whole, WAITING, OK)
    part = make_order(
        state.next_order,
        trader,
        whole.side,
        whole.price,
        size,
        tif,
        whole.stp,
        client_id,
        whole.grant,
    )
    part.builder = whole.builder
    part.builder_ppm = whole.builder_ppm
    state.next_order += 1
    is_covered = hold_funds(market, part)
    assert is_covered, "a part is covered by what its plan set free"
    enlist(market, part)
    if expiry_ms:
        part.watched = True
        market.expiries.put(part.id, expiry_ms)
    if whole.size:
        market.plans.link(plan, part)
    note_order(market, part, REACHED, OK)
    return part


def make_due_parts(state: State, market: Market) -> None:
    """Make the parts of schedules whose time has come; they join the batch of this block."""
    plans = market.plans
    for order_id in plans.due.take(state.time_ms, SLICES_PER_BLOCK_MAX):
        plan = plans.by_id[order_id]
        size = 0
        if plan.part is None and market.status == OPEN and not market.is_frozen:
            size = _compute_size(market, plan)
        plan.slots -= 1
        plan.seen = market.traded
        if size:
            part = make_part(state, market, plan, size, IOC)
            market.triggered.append(Triggered(part, plan.action_id))
        if plan.order.size == 0:
            continue
        if plan.slots:
            plan.next_ms = state.time_ms + plan.interval_ms
            plans.due.put(order_id, plan.next_ms)
        else:
            plans.unlink(plan)  # the last part goes on by itself
            end_order(market, plan.order, EXPIRED)


def _compute_size(market: Market, plan: Plan) -> int:
    left = plan.order.size
    if plan.bps:
        return min((market.traded - plan.seen) * plan.bps // BPS, left)
    return -(-left // plan.slots)


def advance_plans(state: State, market: Market) -> None:
    """Act on the ends of parts and of plans since the last time."""
    plans = market.plans
    while plans.ended or plans.orphans:
        orphans = plans.orphans[:]
        plans.orphans.clear()
        for part in orphans:
            if part.size:
                end_order(market, part, CANCELLED)
        ended = plans.ended[:]
        plans.ended.clear()
        for plan in ended:
            if plan.order.size:
                _follow_end(state, market, plan)


def _follow_end(state: State, market: Market, plan: Plan) -> None:
    """Show an iceberg's next part once one has traded; give a schedule back what it has not."""
    returned = plan.returned
    plan.returned = 0
    whole = plan.order
    if plan.visible:
        if returned:
            end_order(market, whole, CANCELLED)
            return
        part = make_part(state, market, plan, min(plan.visible, whole.size), GTC)
        market.triggered.append(Triggered(part, plan.action_id))
        return
    if returned:
        trader = whole.trader
        balance = trader.base if whole.side else trader.quote
        more = compute_hold(market, whole, whole.price, whole.size + returned) - whole.held
        if balance.free < more:
            return  # its owner used the funds in the block that voided the part
        whole.size += returned
        whole.total += returned
        release_funds(market, whole)
        is_covered = hold_funds(market, whole)
        assert is_covered
        note_order(market, whole, WAITING, OK)
