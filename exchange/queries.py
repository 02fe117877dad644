"""Read the state for people and bots: depth, open orders, balances, session keys.

Rule: nothing here changes anything; lists are bounded by the caller's `limit` and in a fixed order.
Spec: docs/spec/exchange.md#queries
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from exchange.accounts import Account, Trader
from exchange.allowance import HOUR_MS, get_operations_used, grow
from exchange.batch import Commitment
from exchange.limits import BPS, SUB_ACCOUNT_MAX
from exchange.market import DELISTED, OPEN, Market
from exchange.order_book import SELL, Order, Side
from exchange.state import State
from exchange.volume import DAY_MS, compute_past, find_tier


class OpenOrder(NamedTuple):
    """A live order; `resting` is False while it waits for its batch."""

    order_id: int
    market: int
    account: int
    sub: int
    side: int
    price: int
    size: int
    total: int
    tif: int
    client_id: int
    resting: bool
    above: int
    """Price at or above which it is reached, 0 for none; so `below`."""
    below: int
    expiry_ms: int
    """Block time at which it ends, 0 for none."""
    waits: bool
    """True while it waits off the book: for a price, or with what its parts have not yet."""
    visible: int
    """Lots of each part of an iceberg, 0 for another order."""
    slots: int
    """Parts of a schedule that are still to come, 0 for another order."""
    next_slot_ms: int
    """Block time from which the next of them is made, 0 for none."""
    part: int
    """Order id of the part that is live now, 0 for none."""


class TriggerView(NamedTuple):
    """What a live order waits for; 0 where it has no such leg."""

    order_id: int
    market: int
    above: int
    above_price: int
    below: int
    below_price: int
    stop: int
    """Price that reaches a trailing stop now, 0 while it does not follow the price yet."""
    activation: int
    """Price from which a trailing stop follows, 0 once it does."""


class BalanceView(NamedTuple):
    """Free and held atoms of one asset in one sub-account."""

    sub: int
    asset: int
    free: int
    held: int


class KeyView(NamedTuple):
    """A session key of an account."""

    key: bytes
    expiry_ms: int
    actions: int
    markets: tuple[int, ...]
    notional_cap: int
    cancel_on_revoke: bool
    revoked: bool
    total_cap: int
    notional_used: int
    orders_cap: int
    orders_used: int


class CommitView(NamedTuple):
    """A live sealed commit: state 0 waits for its opening, 1 is shown, 2 is void."""

    market: int
    batch: int
    commit_hash: bytes
    state: int


class MarketFees(NamedTuple):
    """What an account pays in a market, in hundred-millionths of the notional."""

    market: int
    maker: int
    taker: int


class FeesView(NamedTuple):
    """The fee tier of an account on one day of block time (UTC), and what it follows from."""

    day: int
    """Days since the Unix epoch."""
    past: int
    """Counting units traded in the thirty days before."""
    today: int
    """Counting units traded on the day so far; they count from the next day on."""
    tier: int
    """From 1; 0 for none."""
    maker_share_bps: int
    taker_share_bps: int
    markets: tuple[MarketFees, ...]


class AllowanceView(NamedTuple):
    """What an account may send and leave standing."""

    past: int
    """Counting units traded in the thirty days before."""
    actions_per_block: int
    orders_per_market: int
    """Live orders of one sub-account in one market."""
    operations_per_hour: int
    """0 for no bound; twice as many where all are cancels or openings."""
    operations_used: int
    hour_ends_ms: int


def get_depth(state: State, market: int, limit: int) -> tuple[list[tuple[int, int]], ...]:
    """Return (bids, asks) as (price, lots) from the best level, at most `limit` levels each."""
    book = state.markets[market].book
    return _list_levels(book.bids, limit), _list_levels(book.asks, limit)


def _list_levels(side: Side, limit: int) -> list[tuple[int, int]]:
    keys = side.keys
    best = keys[: -limit - 1 : -1] if limit > 0 else []
    return [(abs(key), side.levels[key].size) for key in best]


def get_best(state: State, market: int) -> tuple[int, int]:
    """Return (best bid, best ask) in ticks, 0 where there is none."""
    book = state.markets[market].book
    return book.get_best(0), book.get_best(1)


def count_orders(state: State, market: int) -> int:
    """Return the number of live orders in a market."""
    return len(state.markets[market].book.orders)


def get_order(state: State, market: int, order_id: int) -> OpenOrder | None:
    """Return a live order by id."""
    order = state.markets[market].book.orders.get(order_id)
    return None if order is None else _view_order(state, order)


def get_open_orders(state: State, owner: bytes, limit: int = 10_000) -> list[OpenOrder]:
    """Return an account's live orders over all sub-accounts and markets, oldest first."""
    account = state.by_address.get(owner)
    if account is None:
        return []
    orders = [o for trader in account.traders.values() for o in trader.orders.values()]
    orders.sort(key=lambda order: order.id)
    return [_view_order(state, order) for order in orders[:limit]]


def get_trigger(state: State, market: int, order_id: int) -> TriggerView | None:
    """Return what an order waits for, or None if it waits for no price."""
    trigger = state.markets[market].triggers.by_id.get(order_id)
    if trigger is None:
        return None
    trail = trigger.trail
    return TriggerView(
        order_id,
        market,
        trigger.above,
        trigger.above_price,
        trigger.below,
        trigger.below_price,
        0 if trail is None else max(trail.get_stop(), 0),
        0 if trail is None else trail.activation,
    )


def get_expiry(state: State, market: int, order_id: int) -> int:
    """Return the block time in milliseconds at which a live order ends, 0 for none."""
    return state.markets[market].expiries.due.get(order_id, 0)


def get_cancel_after(state: State, owner: bytes, sub: int) -> int:
    """Return the cancel-after time of a sub-account in milliseconds, 0 for none."""
    account = state.by_address.get(owner)
    if account is None:
        return 0
    return state.switches.due.get(account.number * (SUB_ACCOUNT_MAX + 1) + sub, 0)


def _view_order(state: State, order: Order) -> OpenOrder:
    trader: Trader = order.trader
    market = state.markets[trader.market]
    trigger = market.triggers.by_id.get(order.id)
    trail = None if trigger is None else trigger.trail
    stop = 0 if trail is None else max(trail.get_stop(), 0)
    is_sell = order.side == SELL
    plan = market.plans.by_id.get(order.id)
    return OpenOrder(
        order.id,
        trader.market,
        trader.number,
        trader.sub,
        order.side,
        order.price,
        order.size,
        order.total,
        order.tif,
        order.client_id,
        order.level is not None,
        (0 if is_sell else stop) if trigger is None or trail is not None else trigger.above,
        (stop if is_sell else 0) if trigger is None or trail is not None else trigger.below,
        market.expiries.due.get(order.id, 0),
        trigger is not None or plan is not None,
        0 if plan is None else plan.visible,
        0 if plan is None else plan.slots,
        0 if plan is None else plan.next_ms,
        0 if plan is None or plan.part is None else plan.part.id,
    )


def get_balances(state: State, owner: bytes) -> list[BalanceView]:
    """Return an account's balances in order of their first credit; empty if it is unknown."""
    account = state.by_address.get(owner)
    if account is None:
        return []
    return [BalanceView(b.sub, b.asset, b.free, b.held) for b in account.entries]


def get_account(state: State, owner: bytes) -> Account | None:
    """Return an account by address."""
    return state.by_address.get(owner)


def get_keys(state: State, owner: bytes, most: int) -> list[KeyView]:
    """Return the newest session keys an account granted, at most so many, oldest first."""
    account = state.by_address.get(owner)
    if account is None:
        return []
    return [_view_key(state, address) for address in account.granted[-most:]]


def _view_key(state: State, address: bytes) -> KeyView:
    key = state.keys[address]
    return KeyView(
        address,
        key.expiry_ms,
        key.actions,
        key.markets,
        key.notional_cap,
        key.cancel_on_revoke,
        key.revoked,
        key.total_cap,
        key.notional_used,
        key.orders_cap,
        key.orders_used,
    )


def get_fees(state: State, owner: bytes) -> FeesView | None:
    """Return what an account pays in each market on the day of the last block; None if unknown."""
    account = state.by_address.get(owner)
    if account is None:
        return None
    day = state.time_ms // DAY_MS
    volume = account.volume
    past = compute_past(volume, day)
    tiers = state.genesis.volume.tiers
    tier = find_tier(past, tiers)
    maker = BPS if tier == 0 else tiers[tier - 1].maker_share_bps
    taker = BPS if tier == 0 else tiers[tier - 1].taker_share_bps
    today = volume.today if volume is not None and volume.day == day else 0
    rates = [
        MarketFees(m.id, m.maker_bps * maker, m.taker_bps * taker)
        for m in state.markets
        if m.status != DELISTED
    ]
    return FeesView(day, past, today, tier, maker, taker, tuple(rates))


def get_allowance(state: State, owner: bytes) -> AllowanceView | None:
    """Return what an account may send and leave standing; None if it is unknown."""
    account = state.by_address.get(owner)
    if account is None:
        return None
    genesis = state.genesis
    past = compute_past(account.volume, state.time_ms // DAY_MS)
    terms = genesis.allowance
    return AllowanceView(
        past,
        grow(terms, genesis.actions_per_account_block, past),
        grow(terms, genesis.orders_per_account_market, past),
        grow(terms, terms.operations_per_hour, past),
        get_operations_used(state, account),
        (state.time_ms // HOUR_MS + 1) * HOUR_MS,
    )


def get_builders(state: State, owner: bytes) -> list[tuple[bytes, int]]:
    """List (builder, most it may charge in ppm) that an account has approved, by account number."""
    account = state.by_address.get(owner)
    if account is None:
        return []
    return [(state.accounts[n].owner, ppm) for n, ppm in sorted(account.builders.items())]


def has_waiting_batches(state: State) -> bool:
    """Tell whether blocks must go on: some market waits for openings, or is in an auction."""
    return any(
        market.batches
        or market.uncrossing
        or (market.triggered and market.status == OPEN and not market.is_frozen)
        for market in state.markets
    )


def get_commits(state: State, owner: bytes) -> list[CommitView]:
    """Return an account's live commits by market and batch."""
    account = state.by_address.get(owner)
    if account is None:
        return []
    found = [
        CommitView(market.id, commit.batch, commit.commit_hash, commit.state)
        for market, commit in _iterate_commits(state)
        if commit.account is account
    ]
    found.sort()
    return found


def _iterate_commits(state: State) -> Iterator[tuple[Market, Commitment]]:
    for market in state.markets:
        for commit in market.commits.values():
            yield market, commit
