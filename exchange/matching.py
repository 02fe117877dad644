"""Continuous matching: a taker against the book, best price first, oldest first.

Rule: price-time priority and self-trade prevention live here and nowhere else. The trade is at the
maker's price. The replay of recorded order flow (`bench/orderflow.py`) runs through these very
functions.

Spec: docs/spec/exchange.md#continuous-matching
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from exchange.market import Market
from exchange.order_book import Order, Side
from exchange.outcome import CHANGED, CLOSED, RESTING, Fill, OrderEvent
from exchange.reasons import Reason
from exchange.settlement import (
    compute_hold,
    delist,
    release_funds,
    settle,
    shrink_hold,
    touch,
)

IOC: Final = 1
FOK: Final = 2
POST_ONLY: Final = 3
STP_NEWEST: Final = 0
STP_OLDEST: Final = 1
STP_BOTH: Final = 2

OK = int(Reason.OK)
FILLED = int(Reason.FILLED)
PARTLY_FILLED = int(Reason.PARTLY_FILLED)
SELF_TRADE = int(Reason.SELF_TRADE)
POST_ONLY_CROSSES = int(Reason.POST_ONLY_CROSSES)
FOK_UNFILLABLE = int(Reason.FOK_UNFILLABLE)
IOC_UNFILLED = int(Reason.IOC_UNFILLED)
INSUFFICIENT_FUNDS = int(Reason.INSUFFICIENT_FUNDS)


def process_order(market: Market, order: Order, action_id: bytes, batch: int) -> int:
    """Match an enlisted order whose funds are held, and rest, expire or kill what is left.

    Returns its status.
    """
    book = market.book
    tif = order.tif
    if market.collecting:
        return collect_order(market, order)
    if tif == POST_ONLY:
        keys = book.bids.keys if order.side else book.asks.keys
        if keys and keys[-1] >= (order.price if order.side else -order.price):
            end_order(market, order, POST_ONLY_CROSSES)
            return POST_ONLY_CROSSES
        book.rest(order)
        note_order(market, order, RESTING, OK)
        return OK
    if tif == FOK:
        reason = _check_fill_or_kill(market, order)
        if reason:
            end_order(market, order, reason)
            return reason
    stopped = match(market, order, action_id, batch)
    if order.size == 0:
        return FILLED
    if stopped:
        end_order(market, order, SELF_TRADE)
        return SELF_TRADE
    if tif == IOC:
        status = IOC_UNFILLED if order.size == order.total else PARTLY_FILLED
        end_order(market, order, status)
        return status
    assert tif != FOK, "a fill-or-kill that was found fillable has filled"
    rest_order(market, order)
    return OK


def match(market: Market, taker: Order, action_id: bytes, batch: int) -> bool:
    """Trade a taker against the book. Returns True if self-trade prevention stopped it."""
    book = market.book
    side = taker.side
    opposite: Side = book.bids if side else book.asks
    limit = taker.price if side else -taker.price
    keys = opposite.keys
    levels = opposite.levels
    account = taker.trader.number
    fills = market.log.fills
    while keys:
        key = keys[-1]
        if key < limit:
            break
        maker = levels[key].head
        making = maker.trader
        if making.number == account:
            if _prevent_self_trade(market, taker, maker):
                return True
            continue
        have = maker.size
        left = taker.size
        size = have if have < left else left
        price = maker.price
        if side:
            fees = settle(market, maker, taker, price, size, False, True)
            maker_fee = fees[0]
            taker_fee = fees[1]
        else:
            fees = settle(market, taker, maker, price, size, True, False)
            taker_fee = fees[0]
            maker_fee = fees[1]
        have -= size
        if have:
            book.reduce(maker, size)
        else:
            book.remove(maker)
        left -= size
        taker.size = left
        fills.append(
            Fill(
                market.id,
                price,
                size,
                side,
                maker.id,
                making.number,
                making.sub,
                maker_fee,
                have,
                taker.id,
                account,
                taker.trader.sub,
                taker_fee,
                left,
                action_id,
                batch,
            )
        )
        market.last_price = price
        if not have:
            assert maker.held == 0
            delist(market, maker)
        if left == 0:
            assert taker.held == 0
            delist(market, taker)
            break
    return False


def collect_order(market: Market, order: Order) -> int:
    """Put an order on the book without a trade, for the auction to come. Returns its status."""
    if order.tif == FOK:
        end_order(market, order, FOK_UNFILLABLE)
        return FOK_UNFILLABLE
    if order.tif == IOC:
        order.watched = True
        market.auction_only[order.id] = order
    market.book.rest(order)
    note_order(market, order, RESTING, OK)
    return OK


def rest_order(market: Market, order: Order) -> None:
    """Put an enlisted order on the book."""
    if order.tif == IOC or order.tif == FOK:
        raise AssertionError("an immediate order never rests")
    market.book.rest(order)
    note_order(market, order, RESTING, OK)


def note_order(market: Market, order: Order, kind: int, reason: int) -> None:
    """Add an order event to the block's log."""
    trader = order.trader
    log = market.log
    log.orders.append(
        OrderEvent(
            kind,
            market.id,
            order.id,
            trader.number,
            trader.sub,
            order.side,
            order.price,
            order.size,
            reason,
            order.client_id,
            len(log.fills),
        )
    )


def end_order(market: Market, order: Order, reason: int) -> None:
    """Take a live order off the market, wherever it stands, and give back what it holds."""
    assert order.size > 0
    note_order(market, order, CLOSED, reason)
    release_funds(market, order)
    delist(market, order)
    if order.level is None:
        order.size = 0
    else:
        market.book.remove(order)


def reduce_order(market: Market, order: Order, size: int) -> None:
    """Take lots off a resting order, which keeps its place; ends it at zero."""
    if size >= order.size:
        end_order(market, order, SELF_TRADE)
        return
    market.book.reduce(order, size)
    order.total -= size
    shrink_hold(market, order)
    note_order(market, order, CHANGED, OK)


def replace_order(
    market: Market, order: Order, price: int, size: int, action_id: bytes, batch: int
) -> int:
    """Give a resting order a new price and remaining size.

    It keeps its place if the price stays and the size does not grow; else it is matched anew.
    Returns its status; a refused replacement leaves the order as it was.
    """
    book = market.book
    keeps_place = price == order.price and size <= order.size
    only_rests = (market.sealed or order.tif == POST_ONLY) and not market.collecting
    if not keeps_place and only_rests and book.is_crossing(order.side, price):
        return POST_ONLY_CROSSES
    trader = order.trader
    balance = trader.base if order.side else trader.quote
    more = compute_hold(market, order, price, size) - order.held
    if more > balance.free:
        return INSUFFICIENT_FUNDS
    balance.held += more
    balance.free -= more
    touch(market, balance)
    order.held += more
    order.total += size - order.size
    if keeps_place:
        if size < order.size:
            book.reduce(order, order.size - size)
        note_order(market, order, CHANGED, OK)
        return OK
    book.remove(order)
    order.price = price
    order.size = size
    return process_order(market, order, action_id, batch)


def _prevent_self_trade(market: Market, taker: Order, maker: Order) -> bool:
    """Apply the taker's mode to its meeting with an own order. Returns True if the taker must
    stop.
    """
    mode = taker.stp
    if mode == STP_OLDEST:
        end_order(market, maker, SELF_TRADE)
        return False
    if mode == STP_NEWEST:
        return True
    if mode == STP_BOTH:
        end_order(market, maker, SELF_TRADE)
        return True
    size = maker.size if maker.size < taker.size else taker.size
    reduce_order(market, maker, size)
    if size == taker.size:
        return True
    taker.size -= size
    taker.total -= size
    shrink_hold(market, taker)
    return False


def _check_fill_or_kill(market: Market, order: Order) -> int:
    """Tell why a fill-or-kill cannot fill, or 0. Looks at level totals, never at orders."""
    own = 0
    for trader in order.trader.account.get_market_traders(market.id):
        own += trader.buying if order.side else trader.selling
    if own and order.stp != STP_OLDEST:
        return SELF_TRADE
    opposite = market.book.get_opposite(order.side)
    limit = order.price if order.side else -order.price
    if not opposite.is_fillable(limit, order.size + own):
        return FOK_UNFILLABLE
    return 0
