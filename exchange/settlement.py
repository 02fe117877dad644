"""Move money for orders: hold, release, settle a trade.

Rule: the only file that changes balances because of orders. Quote atoms of a trade are exact; fees
are in quote and round up against the payer, a builder's fee rounds down; a hold is always exactly
what the rest of the order may cost.

A buyer holds its notional, the taker fee (`hold_bps`) on it, rounded up once for the whole order,
and the fee of its builder, rounded down once. On each fill the hold is computed anew for the rest,
and the fees can take no more than what that sets free: so the fees of an order add up to its total
rounded up, and the hold can never run short.

Spec: docs/spec/exchange.md#money
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from exchange.accounts import Balance
from exchange.limits import BPS, PPM
from exchange.market import Market
from exchange.order_book import Order
from exchange.outcome import FROM_ORDERS, Share
from exchange.volume import Volume, roll

SHARES: Final = BPS * BPS
"""A fee in basis points, times a share of it in ten-thousandths, per whole."""


def compute_hold(market: Market, order: Order, price: int, size: int) -> int:
    """Compute the atoms that an order must hold with such a price and size."""
    return compute_need(market, order.side, price, size, order.builder_ppm)


def compute_need(market: Market, side: int, price: int, size: int, builder_ppm: int) -> int:
    """Compute the atoms that such an order must hold: quote with the fees for a buy, else base."""
    if side:
        return size * market.lot
    cost = price * size * market.tick
    hold = cost - -cost * market.hold_bps // BPS
    if builder_ppm:
        hold += cost * builder_ppm // PPM
    return hold


def hold_funds(market: Market, order: Order) -> bool:
    """Hold what the order needs out of free funds; False (and nothing changed) if they do not
    suffice.
    """
    trader = order.trader
    if order.side:
        need = order.size * market.lot
        balance = trader.base
    else:
        need = compute_hold(market, order, order.price, order.size)
        balance = trader.quote
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
    need = compute_hold(market, order, order.price, order.size)
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
    left = buyer.price * (buyer.size - size) * tick
    rest = left - -left * market.hold_bps // BPS
    over = 0  # what the hold sets free of the builder's fee
    if buyer.builder_ppm:
        kept = left * buyer.builder_ppm // PPM
        over = buyer.price * buyer.size * tick * buyer.builder_ppm // PPM - kept
        rest += kept
    freed = buyer.held - rest
    buyer_bps = market.taker_bps if buyer_takes else market.maker_bps
    seller_bps = market.taker_bps if seller_takes else market.maker_bps
    if market.volume_numerator or market.tiers:
        buyer_fee = -(-cost * buyer_bps * _count_volume(market, buyer, cost, buyer_takes) // SHARES)
        seller_share = _count_volume(market, seller, cost, seller_takes)
        seller_fee = -(-cost * seller_bps * seller_share // SHARES)
    else:
        buyer_fee = -(-cost * buyer_bps // BPS)
        seller_fee = -(-cost * seller_bps // BPS)
    if buyer_fee > freed - cost - over:
        buyer_fee = freed - cost - over
    assert buyer_fee >= 0
    buyer_extra = 0 if buyer.builder is None else _pay_builder(market, buyer, cost)
    assert buyer_extra <= over
    seller_extra = 0 if seller.builder is None else _pay_builder(market, seller, cost)
    assert seller_fee + seller_extra <= cost

    buyer.held = rest
    side = buyer.trader
    paying = side.quote
    paying.held -= freed
    paying.free += freed - cost - buyer_fee - buyer_extra
    getting = side.base
    getting.free += base_atoms
    seller.held -= base_atoms
    side = seller.trader
    giving = side.base
    giving.held -= base_atoms
    earning = side.quote
    earning.free += cost - seller_fee - seller_extra
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
        touch(market, earning)
    return buyer_fee, seller_fee


def _pay_builder(market: Market, order: Order, cost: int) -> int:
    """Credit an order's builder with its fee on a trade, as far as it is approved now."""
    builder = order.builder
    assert builder is not None
    ppm = order.trader.account.builders.get(builder.number, 0)
    if ppm > order.builder_ppm:
        ppm = order.builder_ppm
    amount = cost * ppm // PPM
    if amount:
        balance = builder.open_balance(0, market.quote)
        balance.free += amount
        touch(market, balance)
        log = market.log
        share = Share(builder.number, market.quote, amount, FROM_ORDERS, order.id, len(log.fills))
        log.shares.append(share)
    return amount


def _count_volume(market: Market, order: Order, cost: int, takes: bool) -> int:
    """Add a trade to its account's volume of the day; returns the share of the fee it pays."""
    account = order.trader.account
    day = market.log.day
    volume = account.volume
    if volume is None:
        volume = account.volume = Volume(day)
    elif volume.day != day:
        roll(volume, day, market.tiers)
    volume.today += cost * market.volume_numerator // market.volume_denominator
    return volume.taker_share if takes else volume.maker_share


def enlist(market: Market, order: Order) -> None:
    """Make an order known by its ids."""
    trader = order.trader
    market.book.orders[order.id] = order
    trader.add(order)
    if order.client_id:
        trader.account.clients[trader.make_client_key(order.client_id)] = order


def delist(market: Market, order: Order) -> None:
    """Forget an order that ended."""
    trader = order.trader
    del market.book.orders[order.id]
    trader.remove(order)
    if order.client_id:
        del trader.account.clients[trader.make_client_key(order.client_id)]
    if order.watched:
        market.triggers.forget(order.id)
        market.expiries.forget(order.id)
        market.auction_only.pop(order.id, None)
        cushion = market.plans.note_end(order)
        if cushion:
            release(market, trader.quote, cushion)
