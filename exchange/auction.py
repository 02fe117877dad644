"""Clear a sealed batch at one uniform price, together with the resting book.

Rule: whoever trades, trades at the one price. Priority by limit; at equal limits resting orders by
time, then sealed ones pro rata, odd lots by rank. Fill-or-kill orders that would not fill and
meetings of one account with itself are taken out, and the price is sought anew.

Spec: docs/spec/exchange.md#uniform-price
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from exchange.batch import Ticket
from exchange.limits import AUCTION_ROUNDS_MAX
from exchange.market import Market
from exchange.matching import end_order, reduce_order, rest_order
from exchange.order_book import Order, Side
from exchange.outcome import Fill
from exchange.reasons import Reason
from exchange.settlement import delist, settle, shrink_hold
from exchange.uniform_price import collect_levels, find_price, share_pro_rata

BUY: Final = 0
SELL: Final = 1
GTC: Final = 0
FOK: Final = 2
STP_NEWEST: Final = 0
STP_OLDEST: Final = 1
STP_BOTH: Final = 2

OK = int(Reason.OK)
FILLED = int(Reason.FILLED)
PARTLY_FILLED = int(Reason.PARTLY_FILLED)
IOC_UNFILLED = int(Reason.IOC_UNFILLED)
FOK_UNFILLABLE = int(Reason.FOK_UNFILLABLE)
SELF_TRADE = int(Reason.SELF_TRADE)


class SealedOrder:
    """An opened order in its batch. `rank` orders the batch; `status` is what became of it."""

    __slots__ = ("action_id", "order", "place", "rank", "status", "ticket")

    def __init__(self, order: Order, rank: bytes, action_id: bytes, ticket: Ticket | None) -> None:
        self.order: Order = order
        self.rank: bytes = rank
        self.action_id: bytes = action_id
        self.ticket: Ticket | None = ticket
        self.place: int = 0
        """Position by rank in the batch."""
        self.status: int = OK


class Part:
    """How much of an order trades in the auction."""

    __slots__ = ("order", "sealed", "size")

    def __init__(self, order: Order, sealed: SealedOrder | None, size: int) -> None:
        self.order: Order = order
        self.sealed: SealedOrder | None = sealed
        self.size: int = size


def clear_uniform(market: Market, sealed: Sequence[SealedOrder], height: int) -> int:
    """Clear sealed orders, sorted by rank, against each other and the book. Returns the price or
    0.
    """
    for place, item in enumerate(sealed):
        item.place = place
    price, buys, sells = _hold_auction(market, sealed)
    for _ in range(AUCTION_ROUNDS_MAX):
        if not (
            _drop_unfillable(market, sealed, buys, sells) or _drop_self_trades(market, buys, sells)
        ):
            break
        price, buys, sells = _hold_auction(market, sealed)
    else:
        _drop_all_doubtful(market, sealed)
        price, buys, sells = _hold_auction(market, sealed)
    traded = {part.sealed.place for part in (*buys, *sells) if part.sealed is not None}
    _trade(market, buys, sells, price, height)
    for item in sealed:
        _finish(market, item, item.place in traded)
    return price


def _hold_auction(
    market: Market, sealed: Sequence[SealedOrder]
) -> tuple[int, list[Part], list[Part]]:
    """Find the price and who trades how much at it; changes nothing."""
    book = market.book
    buying = [item for item in sealed if item.order.size and not item.order.side]
    selling = [item for item in sealed if item.order.size and item.order.side]
    bids = [(item.order.price, item.order.size) for item in buying]
    asks = [(item.order.price, item.order.size) for item in selling]
    if bids:
        asks += collect_levels(book.asks, -max(bids)[0], sum(size for _, size in bids))
    if selling:
        lowest = min(item.order.price for item in selling)
        bids += collect_levels(book.bids, lowest, sum(item.order.size for item in selling))
    price, size = find_price(bids, asks, market.last_price)
    if size == 0:
        return 0, [], []
    buys = _allot(book.bids, price, [i for i in buying if i.order.price >= price], size)
    sells = _allot(book.asks, -price, [i for i in selling if i.order.price <= price], size)
    return price, buys, sells


def _get_priority(item: SealedOrder) -> tuple[int, int]:
    order = item.order
    return (order.price if order.side else -order.price), item.place


def _allot(side: Side, limit: int, sealed: list[SealedOrder], size: int) -> list[Part]:
    """Allot lots of one side: better limits first, at each limit resting orders, then sealed
    ones.
    """
    parts: list[Part] = []
    keys = side.keys
    i = len(keys) - 1
    sealed.sort(key=_get_priority)
    for key, group in groupby(sealed, key=_get_key):
        while size and i >= 0 and keys[i] >= key:
            size = _allot_level(parts, side, keys[i], size)
            i -= 1
        items = list(group)
        wanted = [item.order.size for item in items]
        shares = share_pro_rata(wanted, min(size, sum(wanted)))
        for item, share in zip(items, shares, strict=True):
            if share:
                parts.append(Part(item.order, item, share))
        size -= sum(shares)
    while size and i >= 0 and keys[i] >= limit:
        size = _allot_level(parts, side, keys[i], size)
        i -= 1
    assert size == 0, "the volume of an auction is on both sides"
    return parts


def _get_key(item: SealedOrder) -> int:
    order = item.order
    return -order.price if order.side else order.price


def _allot_level(parts: list[Part], side: Side, key: int, size: int) -> int:
    """Allot lots to a level's orders by time; returns what is left."""
    order = side.levels[key].head
    while size and order is not None:
        part = min(size, order.size)
        parts.append(Part(order, None, part))
        size -= part
        order = order.next
    return size


def _drop_unfillable(
    market: Market, sealed: Sequence[SealedOrder], buys: list[Part], sells: list[Part]
) -> bool:
    """End fill-or-kill orders that the auction would not fill."""
    filled = {
        part.sealed.place
        for part in (*buys, *sells)
        if part.sealed is not None and part.size == part.order.size
    }
    dropped = False
    for item in sealed:
        if item.order.size and item.order.tif == FOK and item.place not in filled:
            _drop(market, item, FOK_UNFILLABLE)
            dropped = True
    return dropped


def _drop_self_trades(market: Market, buys: list[Part], sells: list[Part]) -> bool:
    """Apply self-trade prevention once to each account that would trade with itself."""
    buyers = {part.order.account for part in buys}
    both: dict[int, list[Part]] = {
        part.order.account: [] for part in sells if part.order.account in buyers
    }
    for part in (*buys, *sells):
        if part.order.account in both:
            both[part.order.account].append(part)
    dropped = False
    for parts in both.values():
        newest = max(
            (part for part in parts if part.sealed is not None),
            key=lambda part: -1 if part.sealed is None else part.sealed.place,
        )
        others = [part for part in parts if part.order.side != newest.order.side]
        _prevent(market, newest, others)
        dropped = True
    return dropped


def _prevent(market: Market, newest: Part, others: list[Part]) -> None:
    """Apply the newest order's self-trade mode against its account's orders on the other side."""
    item = newest.sealed
    assert item is not None
    mode = item.order.stp
    if mode in (STP_OLDEST, STP_BOTH):
        for part in others:
            _end(market, part)
    if mode in (STP_NEWEST, STP_BOTH):
        _drop(market, item, SELF_TRADE)
    if mode > STP_BOTH:
        for part in others:
            _decrement(market, item, part)


def _decrement(market: Market, item: SealedOrder, part: Part) -> None:
    """Take the smaller size off both; a fill-or-kill cannot shrink, so it ends."""
    order = item.order
    size = min(order.size, part.order.size)
    if size == 0:
        return
    if order.tif == FOK:
        _drop(market, item, SELF_TRADE)
        return
    if size == part.order.size or part.order.tif == FOK:
        _end(market, part)
    elif part.sealed is None:
        reduce_order(market, part.order, size)
    else:
        part.order.size -= size
        part.order.total -= size
        shrink_hold(market, part.order)
    if size == order.size:
        _drop(market, item, SELF_TRADE)
    else:
        order.size -= size
        order.total -= size
        shrink_hold(market, order)


def _end(market: Market, part: Part) -> None:
    if part.sealed is not None:
        _drop(market, part.sealed, SELF_TRADE)
    elif part.order.size:
        end_order(market, part.order, SELF_TRADE)


def _drop(market: Market, item: SealedOrder, reason: int) -> None:
    if item.order.size:
        end_order(market, item.order, reason)
        item.status = reason


def _drop_all_doubtful(market: Market, sealed: Sequence[SealedOrder]) -> None:
    """End what could still keep the auction from settling: fill-or-kill orders and own
    crossings.
    """
    for item in sealed:
        if item.order.size and item.order.tif == FOK:
            _drop(market, item, FOK_UNFILLABLE)
    best: dict[tuple[int, int], int] = {}
    for item in sealed:
        if item.order.size:
            for trader in item.order.trader.account.get_market_traders(market.id):
                for order in trader.orders.values():
                    _keep_best(best, order)
    for item in sealed:
        order = item.order
        if order.size == 0:
            continue
        other = best.get((order.account, 1 - order.side))
        if other is not None and other + _get_key(item) >= 0:
            _drop(market, item, SELF_TRADE)


def _keep_best(best: dict[tuple[int, int], int], order: Order) -> None:
    key = -order.price if order.side else order.price
    at = (order.account, order.side)
    if at not in best or key > best[at]:
        best[at] = key


def _trade(market: Market, buys: list[Part], sells: list[Part], price: int, height: int) -> None:
    """Pair both sides in their order of priority and settle at the one price."""
    b = s = 0
    while b < len(buys) and s < len(sells):
        buy = buys[b]
        sell = sells[s]
        size = min(buy.size, sell.size)
        _settle_pair(market, buy, sell, price, size, height)
        buy.size -= size
        sell.size -= size
        if buy.size == 0:
            b += 1
        if sell.size == 0:
            s += 1
    if price:
        market.last_price = price


def _settle_pair(market: Market, buy: Part, sell: Part, price: int, size: int, height: int) -> None:
    buyer = buy.order
    seller = sell.order
    assert buyer.account != seller.account
    buyer_bps = market.maker_bps if buy.sealed is None else market.taker_bps
    seller_bps = market.maker_bps if sell.sealed is None else market.taker_bps
    fees = settle(market, buyer, seller, price, size, buyer_bps, seller_bps)
    _take_off(market, buy, size)
    _take_off(market, sell, size)
    taker = sell if buy.sealed is None else buy
    maker = buy if buy.sealed is None else sell
    assert taker.sealed is not None, "two resting orders never meet"
    side = taker.order.side
    market.log.fills.append(
        Fill(
            market.id,
            price,
            size,
            side,
            maker.order.id,
            maker.order.account,
            maker.order.trader.sub,
            fees[0] if side else fees[1],
            maker.order.size,
            taker.order.id,
            taker.order.account,
            taker.order.trader.sub,
            fees[1] if side else fees[0],
            taker.order.size,
            taker.sealed.action_id,
            height,
        )
    )


def _take_off(market: Market, part: Part, size: int) -> None:
    order = part.order
    if part.sealed is None:
        market.book.reduce(order, size)
    else:
        order.size -= size
    if order.size == 0:
        assert order.held == 0
        delist(market, order)


def _finish(market: Market, item: SealedOrder, traded: bool) -> None:
    """Rest or expire what an opened order has left."""
    order = item.order
    if item.status != OK:
        return
    if order.size == 0:
        item.status = FILLED
    elif order.tif == GTC:
        rest_order(market, order)
    else:
        item.status = PARTLY_FILLED if traded else IOC_UNFILLED
        end_order(market, order, item.status)
