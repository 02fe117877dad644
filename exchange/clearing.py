"""Clear a market's waiting batches, strictly in block order.

Rule: within a batch the order is cancels, then replacements and visible orders by rank, then the
opened sealed orders; nothing of a later block touches an earlier batch.

Spec: docs/spec/exchange.md#clearing
Deviations: none.
"""

from __future__ import annotations

from exchange.auction import SealedOrder, clear_uniform
from exchange.batch import (
    VOID,
    WAITING,
    Batch,
    CancelRequest,
    Commitment,
    Entry,
    Replacement,
    Ticket,
)
from exchange.brackets import arm_exits
from exchange.commits import note_forfeit
from exchange.market import Market
from exchange.matching import end_order, process_order, replace_order
from exchange.order_book import make_order
from exchange.outcome import CLEARED, FORFEITED, BatchCleared, CommitEvent, Resolution
from exchange.price_band import clip_to_band, note_prices
from exchange.reasons import Reason
from exchange.settlement import (
    enlist,
    hold_funds,
    release,
    touch,
)
from exchange.slicing import advance_plans
from exchange.state import INSURANCE, State
from exchange.triggers import Triggered
from primitives.keccak import keccak256

ALL_ORDERS = -1
STP_DECREMENT = 3
OK = int(Reason.OK)
CANCELLED = int(Reason.CANCELLED)
UNKNOWN_ORDER = int(Reason.UNKNOWN_ORDER)


def clear_market(state: State, market: Market) -> bool:
    """Clear every batch that is ready, oldest first, until the breaker trips. Returns whether it
    did.
    """
    window = state.genesis.open_window_ms
    batches = market.batches
    done = 0
    tripped = False
    for batch in batches:
        if not batch.is_ready(state.time_ms, window):
            break
        fills = len(market.log.fills)
        clear_batch(state, market, batch)
        if market.watches_prices and len(market.log.fills) > fills:
            tripped = note_prices(market, state.time_ms, market.log.fills[fills:])
        if market.plans.brackets or market.plans.closing:
            arm_exits(state, market, fills)
        if market.plans.ended or market.plans.orphans:
            advance_plans(state, market)
        done += 1
        if tripped:
            break
    del batches[:done]
    return tripped


def clear_batch(state: State, market: Market, batch: Batch) -> None:
    """Clear one batch."""
    for request in batch.cancels:
        process_cancel(market, request)
    if market.plans.orphans:
        advance_plans(state, market)  # before anything could trade with what was cancelled
    rank_hash = batch.get_rank_hash()
    groups = batch.groups
    if len(groups) > 1:
        ranked = [(group.get_rank(rank_hash), group) for group in groups]
        ranked.sort(key=_get_rank)
        groups = [pair[1] for pair in ranked]
    for group in groups:
        for entry in group.entries:
            _process_entry(market, entry, group.action_id, batch.height)
    triggered = [item for item in batch.triggered if item.order.size]  # else it was cancelled
    if batch.commits or triggered:
        _clear_sealed(state, market, batch, triggered, rank_hash)


def resolve(market: Market, ticket: Ticket, status: int) -> None:
    """Complete a pending status: in its receipt if this is the same block, else as a resolution."""
    receipt, height, op = ticket
    log = market.log
    if height == log.height:
        receipt.statuses[op] = status
    else:
        log.resolutions.append(Resolution(receipt.action_id, op, status))


def _get_rank(pair: tuple[bytes, object]) -> bytes:
    return pair[0]


def process_cancel(market: Market, request: CancelRequest) -> None:
    """Carry out a waiting cancel."""
    status = OK
    orders = market.book.orders
    if request.order_id:
        order = orders.get(request.order_id)
        if order is None:
            status = UNKNOWN_ORDER
        else:
            end_order(market, order, request.reason)
    else:
        for order_id in _list_cancelled(request):
            end_order(market, orders[order_id], request.reason)
    if request.ticket is not None:
        resolve(market, request.ticket, status)


def _list_cancelled(request: CancelRequest) -> list[int]:
    """List what a request without an id cancels, ascending."""
    trader = request.trader
    if request.grant == ALL_ORDERS:
        return trader.list_below(request.before)
    placed = trader.granted.get(request.grant, ())
    return sorted([order_id for order_id in placed if order_id < request.before])


def _process_entry(market: Market, entry: Entry, action_id: bytes, height: int) -> None:
    if isinstance(entry, Replacement):
        status = _replace(market, entry, action_id, height)
    elif entry.order.size == 0:
        status = CANCELLED
    else:
        status = process_order(market, entry.order, action_id, height)
    resolve(market, entry.ticket, status)


def _replace(market: Market, entry: Replacement, action_id: bytes, height: int) -> int:
    """Carry out a replacement; lots traded since its admission count against the new size."""
    order = entry.order
    trader = order.trader
    release(market, trader.base if order.side else trader.quote, entry.extra)
    if order.level is None:
        return UNKNOWN_ORDER
    traded = order.total - order.size - entry.filled
    if entry.size <= traded:
        end_order(market, order, CANCELLED)
        return OK
    return replace_order(market, order, entry.price, entry.size - traded, action_id, height)


def _clear_sealed(
    state: State, market: Market, batch: Batch, triggered: list[Triggered], rank_hash: bytes
) -> None:
    """Void what was not opened, set the funds of the rest free for their orders, and match them
    with the triggered orders.
    """
    sealed: list[SealedOrder] = []
    for commitment in batch.commits:
        account = commitment.account
        del market.commits[(account.number, commitment.commit_hash)]
        account.commits -= 1
        if commitment.state in (WAITING, VOID):
            _forfeit(state, market, commitment)
        else:
            _list_orders(market, commitment, rank_hash, sealed)
    for reached in triggered:
        rank = keccak256(reached.action_id + rank_hash)
        sealed.append(SealedOrder(reached.order, rank, reached.action_id, None))
    sealed.sort(key=_get_sealed_rank)
    if market.band_bps:
        for item in sealed:
            clip_to_band(market, item.order, state.time_ms)
    before = len(market.log.fills)
    price = 0
    if market.uniform and market.sealed:
        price = clear_uniform(market, sealed, batch.height)
    else:
        for item in sealed:
            item.status = process_order(market, item.order, item.action_id, batch.height)
    size = sum(fill.size for fill in market.log.fills[before:])
    if market.sealed:
        market.log.batches.append(BatchCleared(market.id, batch.height, price, size))
    for item in sealed:
        if item.ticket is not None:
            resolve(market, item.ticket, item.status)


def _get_sealed_rank(item: SealedOrder) -> tuple[bytes, int]:
    return item.rank, item.order.id


def _forfeit(state: State, market: Market, commitment: Commitment) -> None:
    """Release the tier of a void commit and give its bond to the insurance account."""
    trader = commitment.trader
    insurance = state.accounts[INSURANCE]
    for balance, tier, bond in (
        (trader.quote, commitment.quote_tier, commitment.quote_bond),
        (trader.base, commitment.base_tier, commitment.base_bond),
    ):
        release(market, balance, tier)
        balance.held -= bond
        assert balance.held >= 0
        fund = insurance.open_balance(0, balance.asset)
        fund.free += bond
        touch(market, fund)
    note_forfeit(commitment.account, state.time_ms)
    _note(market, FORFEITED, commitment, commitment.reason)
    resolve(market, commitment.ticket, commitment.reason)


def _list_orders(
    market: Market, commitment: Commitment, rank_hash: bytes, sealed: list[SealedOrder]
) -> None:
    """Turn an opened commit into orders that hold exactly what they need."""
    trader = commitment.trader
    release(market, trader.quote, commitment.quote_tier + commitment.quote_bond)
    release(market, trader.base, commitment.base_tier + commitment.base_bond)
    opening = commitment.open_ticket
    assert opening is not None
    rank = keccak256(commitment.salt + rank_hash)
    for offset, place in enumerate(commitment.orders):
        # A taken client id must not become a way out of the commit.
        client_id = 0 if trader.has_client_id(place.client_id) else place.client_id
        order = make_order(
            commitment.first_order + offset,
            trader,
            place.side,
            place.price,
            place.size,
            place.tif,
            STP_DECREMENT,  # any other mode would be a way out of the commit (ADR 0024)
            client_id,
            commitment.grant,
        )
        order.builder = commitment.builder
        order.builder_ppm = commitment.builder_ppm
        covered = hold_funds(market, order)
        assert covered, "an opened order is covered by its commit's tier"
        enlist(market, order)
        ticket = opening if offset == 0 else None
        sealed.append(SealedOrder(order, rank, opening[0].action_id, ticket))
    _note(market, CLEARED, commitment, OK)
    resolve(market, commitment.ticket, OK)


def _note(market: Market, kind: int, commitment: Commitment, reason: int) -> None:
    number = commitment.account.number
    market.log.commits.append(
        CommitEvent(kind, market.id, commitment.batch, number, commitment.commit_hash, reason)
    )
