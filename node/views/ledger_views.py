"""Show the ledger as the API wants to see it: markets, books, accounts, orders, what a block
changed.

Rule: pure reading of the state and of outcomes; bytes and integers in, views out.
Spec: docs/reference/api.md (Markets, Accounts). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from exchange.limits import NONCES_KEPT
from exchange.order_book import Level, Order
from exchange.outcome import CHANGED, CLOSED, REACHED, RESTING, WAITING, Fill, OrderEvent, Outcome
from exchange.queries import (
    OpenOrder,
    count_orders,
    get_balances,
    get_best,
    get_keys,
    get_open_orders,
)
from exchange.reasons import reason_name
from exchange.state import State
from node.api import account_views, views
from node.limits import LEVEL_ORDERS_COUNTED_MAX
from node.replica.account_events import list_builder_fees
from node.replica.market_stats import MarketStats
from node.views.phase_views import describe_safety

PPM_PER_BP = 100
GRANTS_SHOWN_MAX = 256
"""A key stays known for ever, and granting one costs nothing."""
SIDES: tuple[Literal["buy"], Literal["sell"]] = ("buy", "sell")


def make_asset(state: State, asset: int) -> views.Asset:
    """Show one asset."""
    live = state.assets[asset]
    config = live.terms
    return views.Asset(
        id=asset,
        symbol=config.name,
        decimals=config.decimals,
        chain_id=live.chain_id,
        vault=live.vault,
        token=live.token,
        transfer_minimum=config.transfer_minimum,
        withdrawal_minimum=config.withdrawal_minimum,
    )


def make_market(state: State, market: int, stats: MarketStats) -> views.Market:
    """Show one market with its figures as of the newest block."""
    live = state.markets[market]
    bid, ask = get_best(state, market)
    day = stats.day(state.time_ms)
    safety = describe_safety(live, state.time_ms)
    return views.Market(
        id=market,
        name=live.name,
        base=make_asset(state, live.base),
        quote=make_asset(state, live.quote),
        tick=live.tick,
        lot=live.lot,
        mode=live.terms.mode,
        phase=safety.phase,
        phase_round=live.round,
        phase_cause=safety.cause,
        auction_ms=safety.auction_ms,
        auction_price=safety.auction_price,
        auction_size=safety.auction_size,
        auction_surplus=safety.auction_surplus,
        band_low=safety.band_low,
        band_high=safety.band_high,
        maker_fee_ppm=live.maker_bps * PPM_PER_BP,
        taker_fee_ppm=live.taker_bps * PPM_PER_BP,
        hold_fee_ppm=live.hold_bps * PPM_PER_BP,
        orders=count_orders(state, market),
        trades=stats.trades,
        best_bid=bid or None,
        best_ask=ask or None,
        last_price=stats.last_price,
        last_trade_ms=stats.last_trade_ms,
        open_24h=day.open if day else None,
        high_24h=day.high if day else None,
        low_24h=day.low if day else None,
        volume_24h=day.volume if day else 0,
        sealed_pending=len(live.commits),
    )


def make_book(state: State, market: int, depth: int) -> views.Book:
    """Show the best levels of a market with the number of their orders."""
    book = state.markets[market].book
    sides = []
    for side in (book.bids, book.asks):
        levels = []
        for key in side.keys[: -depth - 1 : -1]:
            level = side.levels[key]
            count = _count_orders(level)
            levels.append(views.Level(price=abs(key), size=level.size, orders=count))
        sides.append(tuple(levels))
    return views.Book(
        market=market, height=state.height, time_ms=state.time_ms, bids=sides[0], asks=sides[1]
    )


def _count_orders(level: Level) -> int:
    """Count the orders of a level, up to LEVEL_ORDERS_COUNTED_MAX."""
    count = 0
    order: Order | None = level.head
    while order is not None and count < LEVEL_ORDERS_COUNTED_MAX:
        count, order = count + 1, order.next
    return count


def make_order(order: OpenOrder) -> account_views.Order:
    """Show a live order."""
    return account_views.Order(
        id=order.order_id,
        market=order.market,
        sub=order.sub,
        side=SIDES[order.side],
        price=order.price,
        size=order.total,
        remaining=order.size,
        client_id=order.client_id,
        placed_height=0,
        placed_ms=0,
        status=_order_status(order),
        above=order.above,
        below=order.below,
        expiry_ms=order.expiry_ms,
        visible=order.visible,
        slots=order.slots,
        next_slot_ms=order.next_slot_ms,
        part=order.part,
    )


def _order_status(order: OpenOrder) -> str:
    if order.resting:
        return "open"
    return "waiting" if order.waits else "pending"


def make_orders(state: State, owner: bytes) -> tuple[account_views.Order, ...]:
    """Show an account's live orders, oldest first."""
    return tuple(make_order(order) for order in get_open_orders(state, owner))


def make_account(state: State, owner: bytes) -> account_views.Account | None:
    """Show an account, None when the ledger does not know it."""
    account = state.by_address.get(owner)
    if account is None:
        return None
    keys = get_keys(state, owner, GRANTS_SHOWN_MAX)
    return account_views.Account(
        address=owner,
        number=account.number,
        height=state.height,
        balances=make_balances(state, owner),
        grants=tuple(
            account_views.GrantView(
                key=key.key,
                expiry_ms=key.expiry_ms,
                actions=key.actions,
                markets=key.markets,
                notional_cap=key.notional_cap,
                notional_used=key.notional_used,
                notional_total=key.total_cap,
                orders_cap=key.orders_cap,
                orders_used=key.orders_used,
                cancel_on_revoke=key.cancel_on_revoke,
                revoked=key.revoked,
            )
            for key in keys
        ),
        nonces=tuple(_nonces(state, address) for address in (owner, *(key.key for key in keys))),
        open_orders=sum(len(trader.orders) for trader in account.traders.values()),
    )


def make_balances(state: State, owner: bytes) -> tuple[account_views.Balance, ...]:
    """Show all balances of an account, none for an address without one."""
    return tuple(
        account_views.Balance(
            sub=b.sub,
            asset=b.asset,
            symbol=state.assets[b.asset].name,
            free=b.free,
            held=b.held,
        )
        for b in get_balances(state, owner)
    )


def _nonces(state: State, key: bytes) -> account_views.NonceWindow:
    window = state.nonces.get(key, [])
    floor = window[0] if len(window) >= NONCES_KEPT else 0
    return account_views.NonceWindow(key=key, floor_ms=floor, used=len(window))


def make_account_updates(
    state: State, outcome: Outcome, first_trade: int, wanted: set[bytes]
) -> dict[bytes, account_views.AccountUpdate]:
    """Show what a block changed for the accounts somebody listens to."""
    numbers = {
        account.number: owner
        for owner in wanted
        if (account := state.by_address.get(owner)) is not None
    }
    orders: dict[int, list[account_views.Order]] = {number: [] for number in numbers}
    fills: dict[int, list[account_views.Fill]] = {number: [] for number in numbers}
    balances: dict[int, list[account_views.Balance]] = {number: [] for number in numbers}
    for event in outcome.orders:
        if event.account in orders:
            orders[event.account].append(_order_event(event, outcome))
    charges = list_builder_fees(outcome)
    for offset, fill in enumerate(outcome.fills):
        for is_maker in (True, False):
            number = fill.maker_account if is_maker else fill.taker_account
            if number in fills:
                order = fill.maker_order if is_maker else fill.taker_order
                charge = charges.get((offset, order), 0)
                shown = _fill(fill, first_trade + offset, is_maker, outcome, charge)
                fills[number].append(shown)
    for change in outcome.balances:
        if change.account in balances:
            balances[change.account].append(
                account_views.Balance(
                    sub=change.sub,
                    asset=change.asset,
                    symbol=state.assets[change.asset].name,
                    free=change.free,
                    held=change.held,
                )
            )
    return {
        owner: account_views.AccountUpdate(
            address=owner,
            height=outcome.height,
            time_ms=outcome.time_ms,
            orders=tuple(orders[number]),
            fills=tuple(fills[number]),
            balances=tuple(balances[number]),
        )
        for number, owner in numbers.items()
        if orders[number] or fills[number] or balances[number]
    }


EVENT_STATUS = {
    RESTING: "open",
    CHANGED: "open",
    CLOSED: "cancelled",
    WAITING: "waiting",
    REACHED: "reached",
}
"""What an order is after an event, by the event's kind."""


def _order_event(event: OrderEvent, outcome: Outcome) -> account_views.Order:
    return account_views.Order(
        id=event.order_id,
        market=event.market,
        sub=event.sub,
        side=SIDES[event.side],
        price=event.price,
        size=event.size,
        remaining=event.size,
        client_id=event.client_id,
        placed_height=outcome.height,
        placed_ms=outcome.time_ms,
        status=EVENT_STATUS[event.kind],
        reason=reason_name(event.reason) if event.kind == CLOSED else "",
    )


def _fill(
    fill: Fill, trade: int, is_maker: bool, outcome: Outcome, charge: int
) -> account_views.Fill:
    taker_side = SIDES[fill.taker_side]
    side = taker_side if not is_maker else SIDES[1 - fill.taker_side]
    return account_views.Fill(
        trade=trade,
        market=fill.market,
        order=fill.maker_order if is_maker else fill.taker_order,
        sub=fill.maker_sub if is_maker else fill.taker_sub,
        side=side,
        price=fill.price,
        size=fill.size,
        fee=fill.maker_fee if is_maker else fill.taker_fee,
        maker=is_maker,
        height=outcome.height,
        time_ms=outcome.time_ms,
        left=fill.maker_left if is_maker else fill.taker_left,
        builder_fee=charge,
    )


def make_trades(fills: Sequence[Fill], first_trade: int, outcome: Outcome) -> list[views.Trade]:
    """Show fills as public trades, numbered from `first_trade`."""
    return [
        views.Trade(
            id=first_trade + offset,
            market=fill.market,
            height=outcome.height,
            time_ms=outcome.time_ms,
            price=fill.price,
            size=fill.size,
            taker_side=SIDES[fill.taker_side] if fill.taker_side in (0, 1) else "none",
            sealed=fill.batch != outcome.height,
            maker_order=fill.maker_order,
            taker_order=fill.taker_order,
        )
        for offset, fill in enumerate(fills)
    ]
