"""Clear a sealed batch at one uniform price, together with the resting book.

Rule: whoever trades, trades at the one price. Priority by limit; at equal limits resting orders by
time, then sealed ones pro rata, odd lots by rank. Fill-or-kill orders that would not fill end, and
what an account would trade with itself is taken off both sides; then the price is sought anew.

Spec: docs/spec/exchange.md#uniform-price
Deviations: self-trades of sealed orders are always decremented (ADR 0024).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange.accounts import Account
from exchange.batch import Ticket
from exchange.limits import AUCTION_ROUNDS_MAX
from exchange.market import Market
from exchange.matching import end_order, reduce_order, rest_order
from exchange.order_book import Order, Side
from exchange.outcome import Fill
from exchange.reasons import Reason
from exchange.settlement import delist, settle, shrink_hold
from exchange.uniform_price import Quote, collect_levels, find_price, share_pro_rata

GTC: Final = 0
FOK: Final = 2

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
            _drop_unfillable(market, sealed, buys, sells) or _net_self_trades(market, buys, sells)
        ):
            break
        price, buys, sells = _hold_auction(market, sealed)
    else:
        _settle_doubts(market, sealed)
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
    buying: list[SealedOrder] = []
    selling: list[SealedOrder] = []
    bids: list[Quote] = []
    asks: list[Quote] = []
    wanted = offered = highest = lowest = 0
    for item in sealed:
        order = item.order
        if order.side and order.size:
            selling.append(item)
            asks.append((order.price, order.size))
            offered += order.size
            lowest = min(lowest or order.price, order.price)
        elif order.size:
            buying.append(item)
            bids.append((order.price, order.size))
            wanted += order.size
            highest = max(highest, order.price)
    if buying:
        asks += collect_levels(book.asks, -highest, wanted)
    if selling:
        bids += collect_levels(book.bids, lowest, offered)
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
    if len(sealed) > 1:
        sealed.sort(key=_get_priority)
    first = 0
    while first < len(sealed):
        item = sealed[first]
        key = _get_key(item)
        while size and i >= 0 and keys[i] >= key:
            size = _allot_level(parts, side, keys[i], size)
            i -= 1
        end = first + 1
        while end < len(sealed) and _get_key(sealed[end]) == key:
            end += 1
        if end == first + 1:
            share = min(size, item.order.size)
            if share:
                parts.append(Part(item.order, item, share))
            size -= share
        else:
            size -= _share(parts, sealed[first:end], size)
        first = end
    while size and i >= 0 and keys[i] >= limit:
        size = _allot_level(parts, side, keys[i], size)
        i -= 1
    assert size == 0, "the volume of an auction is on both sides"
    return parts


def _share(parts: list[Part], items: list[SealedOrder], size: int) -> int:
    """Allot lots to orders of one limit, pro rata; returns how many they get."""
    wanted = [item.order.size for item in items]
    shares = share_pro_rata(wanted, min(size, sum(wanted)))
    for item, share in zip(items, shares, strict=True):
        if share:
            parts.append(Part(item.order, item, share))
    return sum(shares)


def _get_key(item: SealedOrder) -> int:
    order = item.order
    return -order.price if order.side else order.price


def _allot_level(parts: list[Part], side: Side, key: int, size: int) -> int:
    """Allot lots to a level's orders by time; returns what is left."""
    order: Order | None = side.levels[key].head
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
    doubtful = [item for item in sealed if item.order.tif == FOK and item.order.size]
    if not doubtful:
        return False
    filled = {
        part.sealed.place
        for part in (*buys, *sells)
        if part.sealed is not None and part.size == part.order.size
    }
    dropped = False
    for item in doubtful:
        if item.place not in filled:
            _drop(market, item, FOK_UNFILLABLE)
            dropped = True
    return dropped


def _net_self_trades(market: Market, buys: list[Part], sells: list[Part]) -> bool:
    """Take off both sides what each account would trade with itself, the last in priority first."""
    both = {part.order.trader.number for part in buys} & {
        part.order.trader.number for part in sells
    }
    if not both:
        return False
    bought: dict[int, list[Part]] = {}
    sold: dict[int, list[Part]] = {}
    for found, parts in ((bought, buys), (sold, sells)):
        for part in reversed(parts):
            if part.order.trader.number in both:
                found.setdefault(part.order.trader.number, []).append(part)
    for account in sorted(both):
        size = min(
            sum(part.size for part in bought[account]), sum(part.size for part in sold[account])
        )
        _cut_parts(market, bought[account], size)
        _cut_parts(market, sold[account], size)
    return True


def _cut_parts(market: Market, parts: list[Part], size: int) -> None:
    for part in parts:
        if size == 0:
            return
        cut = min(size, part.size)
        _cut(market, part.order, part.sealed, cut)
        size -= cut


def _cut(market: Market, order: Order, item: SealedOrder | None, size: int) -> None:
    """Take lots off an order because of a self-trade; a fill-or-kill cannot shrink, so it ends."""
    if item is None:
        reduce_order(market, order, size)
    elif size == order.size or order.tif == FOK:
        _drop(market, item, SELF_TRADE)
    else:
        order.size -= size
        order.total -= size
        shrink_hold(market, order)


def _drop(market: Market, item: SealedOrder, reason: int) -> None:
    end_order(market, item.order, reason)
    item.status = reason


def _settle_doubts(market: Market, sealed: Sequence[SealedOrder]) -> None:
    """Remove what could keep the auction from settling: fill-or-kills and all own crossings."""
    items: dict[int, SealedOrder] = {}
    accounts: dict[int, Account] = {}
    for item in sealed:
        order = item.order
        if order.size and order.tif == FOK:
            _drop(market, item, FOK_UNFILLABLE)
        elif order.size:
            items[order.id] = item
            accounts[order.trader.number] = order.trader.account
    for number in sorted(accounts):
        own = [
            order
            for trader in accounts[number].get_market_traders(market.id)
            for order in trader.orders.values()
            if order.level is not None or order.id in items
        ]
        _net_account(market, own, items)


def _net_account(market: Market, own: list[Order], items: dict[int, SealedOrder]) -> None:
    """Take off an account's crossing orders what they would trade with each other."""
    bids = sorted((o for o in own if not o.side), key=lambda o: (o.price, -o.id))
    asks = sorted((o for o in own if o.side), key=lambda o: (-o.price, -o.id))
    while bids and asks and bids[-1].price >= asks[-1].price:
        size = min(bids[-1].size, asks[-1].size)
        for queue in (bids, asks):
            order = queue[-1]
            _cut(market, order, items.get(order.id), size)
            if order.size == 0:
                queue.pop()


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
    assert buyer.trader.number != seller.trader.number
    fees = settle(
        market, buyer, seller, price, size, buy.sealed is not None, sell.sealed is not None
    )
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
            maker.order.trader.number,
            maker.order.trader.sub,
            fees[0] if side else fees[1],
            maker.order.size,
            taker.order.id,
            taker.order.trader.number,
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
