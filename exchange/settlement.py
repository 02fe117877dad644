"""Move money for orders: hold, release, settle a trade.

Rule: the only file that changes balances because of orders. Quote atoms of a trade are exact; fees
are in quote and round up against the payer; a hold is always exactly what the rest of the order may
cost.

A buyer holds its notional and the taker fee (`hold_bps`) on it, rounded up once for the whole
order. On each fill the hold is computed anew for the rest, and the fee can take no more than what
that sets free: so the fees of an order add up to its total rounded up, and the hold can never run
short.

Spec: docs/spec/exchange.md#money
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from exchange.accounts import Balance
from exchange.limits import BPS
from exchange.market import Market
from exchange.order_book import Order
from exchange.volume import Volume, roll

SHARES: Final = BPS * BPS
"""A fee in basis points, times a share of it in ten-thousandths, per whole."""


def compute_hold(market: Market, side: int, price: int, size: int) -> int:
    """Compute the atoms an order must hold: quote with the taker fee for a buy, base for a sell."""
    if side:
        return size * market.lot
    cost = price * size * market.tick
    return cost - -cost * market.hold_bps // BPS


def hold_funds(market: Market, order: Order) -> bool:
    """Hold what the order needs out of free funds; False (and nothing changed) if they do not
    suffice.
    """
    need = compute_hold(market, order.side, order.price, order.size)
    trader = order.trader
    balance = trader.base if order.side else trader.quote
    if balance.free < need:
        return False
    balance.free -= need
    balance.held += need
    order.held = need
    if not balance.touched:
        touch(market, balance)
    return True


def release_funds(market: Market, order: Order) -> None:
    """Give back all that an order holds."""
    trader = order.trader
    balance = trader.base if order.side else trader.quote
    release(market, balance, order.held)
    order.held = 0


def release(market: Market, balance: Balance, amount: int) -> None:
    """Move atoms from held to free."""
    assert 0 <= amount <= balance.held
    balance.held -= amount
    balance.free += amount
    if not balance.touched:
        touch(market, balance)


def touch(market: Market, balance: Balance) -> None:
    """Note that a balance changed in this block. Hot callers look at the flag first."""
    if not balance.touched:
        balance.touched = True
        market.log.touched.append(balance)


def shrink_hold(market: Market, order: Order) -> None:
    """Release what an order no longer needs after its size or price fell."""
    need = compute_hold(market, order.side, order.price, order.size)
    assert need <= order.held
    trader = order.trader
    balance = trader.base if order.side else trader.quote
    release(market, balance, order.held - need)
    order.held = need


def settle(
    market: Market,
    buyer: Order,
    seller: Order,
    price: int,
    size: int,
    buyer_takes: bool,
    seller_takes: bool,
) -> tuple[int, int]:
    """Exchange `size` lots at `price`, both orders still having their size from before the trade.

    Who takes pays the taker fee. Returns the fees of buyer and seller in quote atoms. Sizes are
    taken off by the caller.
    """
    tick = market.tick
    cost = price * size * tick
    base_atoms = size * market.lot
    rest = buyer.price * (buyer.size - size) * tick
    rest -= -rest * market.hold_bps // BPS
    freed = buyer.held - rest
    buyer_bps = market.taker_bps if buyer_takes else market.maker_bps
    seller_bps = market.taker_bps if seller_takes else market.maker_bps
    if market.volume_numerator or market.tiers:
        units = cost * market.volume_numerator // market.volume_denominator
        buyer_share = _count_volume(market, buyer, units, buyer_takes)
        seller_share = _count_volume(market, seller, units, seller_takes)
        buyer_fee = -(-cost * buyer_bps * buyer_share // SHARES)
        seller_fee = -(-cost * seller_bps * seller_share // SHARES)
    else:
        buyer_fee = -(-cost * buyer_bps // BPS)
        seller_fee = -(-cost * seller_bps // BPS)
    if buyer_fee > freed - cost:
        buyer_fee = freed - cost
    assert buyer_fee >= 0
    assert seller_fee <= cost

    buyer.held = rest
    side = buyer.trader
    paying = side.quote
    paying.held -= freed
    paying.free += freed - cost - buyer_fee
    getting = side.base
    getting.free += base_atoms
    seller.held -= base_atoms
    side = seller.trader
    giving = side.base
    giving.held -= base_atoms
    earning = side.quote
    earning.free += cost - seller_fee
    market.fees[market.quote] += buyer_fee + seller_fee

    touched = market.log.touched
    if not paying.touched:
        paying.touched = True
        touched.append(paying)
    if not getting.touched:
        getting.touched = True
        touched.append(getting)
    if not giving.touched:
        giving.touched = True
        touched.append(giving)
    if not earning.touched:
        earning.touched = True
        touched.append(earning)
    return buyer_fee, seller_fee


def _count_volume(market: Market, order: Order, units: int, takes: bool) -> int:
    """Add a trade to its account's volume of the day; returns the share of the fee it pays."""
    account = order.trader.account
    day = market.log.day
    volume = account.volume
    if volume is None:
        volume = account.volume = Volume(day)
    elif volume.day != day:
        roll(volume, day, market.tiers)
    volume.today += units
    return volume.taker_share if takes else volume.maker_share


def enlist(market: Market, order: Order) -> None:
    """Make an order known by its ids."""
    trader = order.trader
    market.book.orders[order.id] = order
    trader.orders[order.id] = order
    if order.client_key:
        trader.account.clients[order.client_key] = order


def delist(market: Market, order: Order) -> None:
    """Forget an order that ended."""
    trader = order.trader
    del market.book.orders[order.id]
    del trader.orders[order.id]
    if order.client_key:
        del trader.account.clients[order.client_key]
    if order.watched:
        market.triggers.forget(order.id)
        market.expiries.forget(order.id)
        market.auction_only.pop(order.id, None)
        cushion = market.plans.note_end(order)
        if cushion:
            release(market, trader.quote, cushion)
