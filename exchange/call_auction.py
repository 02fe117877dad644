"""Carry out a call auction over the whole resting book, in bounded steps.

Rule: all trade at one price, fixed before the first trade. Pairing best with best at that price is
the whole rule of priority: better limits first, at one limit the older order. What an account would
trade with itself is taken off both its orders before the price is sought. A step does at most
`AUCTION_STEPS_PER_BLOCK` trades; until the last one nothing enters or leaves the book.

Spec: docs/spec/markets.md#call-auctions
Deviations: none.
"""

from __future__ import annotations

from exchange.call_price import NONE, CallPrice, find_call_price
from exchange.limits import AUCTION_STEPS_PER_BLOCK, INDICATION_LEVELS_MAX
from exchange.market import Market
from exchange.matching import end_order, reduce_order
from exchange.order_book import Order
from exchange.outcome import AuctionHeld, Fill
from exchange.reasons import Reason
from exchange.settlement import delist, settle

IOC_UNFILLED = int(Reason.IOC_UNFILLED)
PARTLY_FILLED = int(Reason.PARTLY_FILLED)
NO_ACTION = bytes(32)
"""Two resting orders met: no action of the block brought the trade."""


def get_indication(market: Market) -> CallPrice | None:
    """Return what the auction would give now; None where none is to come, or in too deep a book.

    What accounts would trade with themselves counts here, for it is taken off only at the auction.
    """
    if not market.collecting:
        return None
    return find_call_price(market.book, market.last_price, INDICATION_LEVELS_MAX)


def begin_auction(market: Market, height: int) -> None:
    """Net self-trades and fix the price; the trades follow step by step."""
    _net_self_trades(market)
    found = find_call_price(market.book, market.last_price) or NONE
    market.uncrossing = True
    market.auction_price = found.price
    market.log.auctions.append(
        AuctionHeld(market.id, height, found.price, found.size, found.surplus)
    )


def advance_auction(market: Market, height: int) -> bool:
    """Do the next trades, then end what was for this auction only. Returns whether it is over."""
    steps = AUCTION_STEPS_PER_BLOCK
    price = market.auction_price
    bids, asks = market.book.bids, market.book.asks
    while price and bids.keys and asks.keys and bids.keys[-1] >= price >= -asks.keys[-1]:
        if steps == 0:
            return False
        steps -= 1
        buyer = bids.levels[bids.keys[-1]].head
        seller = asks.levels[asks.keys[-1]].head
        _trade(market, buyer, seller, price, height)
    for order_id in sorted(market.auction_only)[:steps]:
        order = market.auction_only[order_id]
        traded = order.size < order.total
        end_order(market, order, PARTLY_FILLED if traded else IOC_UNFILLED)
    if market.auction_only:
        return False
    market.uncrossing = False
    market.auction_price = 0
    return True


def _net_self_trades(market: Market) -> None:
    """Take off both sides what would trade with the same account, where they would meet.

    It walks orders in their priority without a call for any of them: all that trade in the auction
    are walked in the block that finds the price.
    """
    bids, asks = market.book.bids, market.book.asks
    met: list[tuple[Order, Order, int]] = []
    b, a = len(bids.keys) - 1, len(asks.keys) - 1
    buyer: Order | None = None
    seller: Order | None = None
    buying = selling = 0
    while True:
        if buying == 0:
            buyer = None if buyer is None else buyer.next
            if buyer is None:
                if b < 0:
                    break
                buyer = bids.levels[bids.keys[b]].head
                b -= 1
            buying = buyer.size
        if selling == 0:
            seller = None if seller is None else seller.next
            if seller is None:
                if a < 0:
                    break
                seller = asks.levels[asks.keys[a]].head
                a -= 1
            selling = seller.size
        assert buyer is not None
        assert seller is not None
        if buyer.price < seller.price:
            break
        size = buying if buying < selling else selling
        if buyer.trader.number == seller.trader.number:
            met.append((buyer, seller, size))
        buying -= size
        selling -= size
    for buyer, seller, size in met:
        reduce_order(market, buyer, size)
        reduce_order(market, seller, size)


def _trade(market: Market, buyer: Order, seller: Order, price: int, height: int) -> None:
    """Settle what two orders trade; who came to the book later is the taker."""
    assert buyer.trader.number != seller.trader.number, "self-trades were netted"
    size = min(buyer.size, seller.size)
    buyer_takes = buyer.place > seller.place
    fees = settle(market, buyer, seller, price, size, buyer_takes, not buyer_takes)
    for order in (buyer, seller):
        market.book.reduce(order, size)
        if order.size == 0:
            assert order.held == 0
            delist(market, order)
    market.last_price = price
    taker, maker = (buyer, seller) if buyer_takes else (seller, buyer)
    market.log.fills.append(
        Fill(
            market.id,
            price,
            size,
            taker.side,
            maker.id,
            maker.trader.number,
            maker.trader.sub,
            fees[1] if buyer_takes else fees[0],
            maker.size,
            taker.id,
            taker.trader.number,
            taker.trader.sub,
            fees[0] if buyer_takes else fees[1],
            taker.size,
            NO_ACTION,
            height,
        )
    )
