"""The obvious exchange: one list of resting orders, sorted anew for every event.

Rule: written from the spec, shares no code with `exchange/`; one market, continuous matching.
Spec: docs/spec/exchange.md#continuous-matching, #money
Deviations: none.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

GTC, IOC, FOK, POST_ONLY = range(4)
NEWEST, OLDEST, BOTH, DECREMENT = range(4)


class Resting:
    def __init__(self, number: int, owner: str, side: int, price: int, size: int) -> None:
        self.id = number
        self.owner = owner
        self.side = side
        self.price = price
        self.size = size
        self.post_only = False
        self.seq = 0


class BruteForce:
    """Balances count free funds only; what is held is computed from the orders."""

    def __init__(self, tick: int, lot: int, maker_bps: int, taker_bps: int) -> None:
        self.tick = tick
        self.lot = lot
        self.maker = Fraction(maker_bps, 10_000)
        self.taker = Fraction(taker_bps, 10_000)
        self.quote: dict[str, int] = {}
        self.base: dict[str, int] = {}
        self.orders: list[Resting] = []
        self.fills: list[tuple[int, int, int, int, int, int]] = []
        self.fees = 0
        self.seq = 0

    def fund(self, owner: str, quote: int, base: int) -> None:
        self.quote[owner] = quote
        self.base[owner] = base

    def need(self, side: int, price: int, size: int) -> int:
        if side:
            return size * self.lot
        cost = price * size * self.tick
        return cost + ceil(cost * self.taker)

    def held(self, owner: str, side: int) -> int:
        mine = [o for o in self.orders if o.owner == owner and o.side == side]
        return sum(self.need(side, o.price, o.size) for o in mine)

    def find(self, number: int) -> Resting | None:
        return next((o for o in self.orders if o.id == number), None)

    def place(
        self, number: int, owner: str, side: int, price: int, size: int, tif: int, stp: int
    ) -> bool:
        """Returns whether the order was admitted (its funds sufficed)."""
        free = self.base if side else self.quote
        need = self.need(side, price, size)
        if free[owner] < need:
            return False
        free[owner] -= need
        order = Resting(number, owner, side, price, size)
        order.post_only = tif == POST_ONLY
        self.run(order, tif, stp)
        return True

    def cancel(self, number: int, owner: str) -> None:
        order = self.find(number)
        if order is not None and order.owner == owner:
            self.remove(order)

    def replace(self, number: int, owner: str, price: int, size: int, stp: int) -> None:
        order = self.find(number)
        if order is None or order.owner != owner:
            return
        free = self.base if order.side else self.quote
        more = self.need(order.side, price, size) - self.need(order.side, order.price, order.size)
        if more > free[owner]:
            return
        keeps = price == order.price and size <= order.size
        if not keeps and order.post_only and self.crossing(order.side, price):
            return
        free[owner] -= more
        order.price = price
        order.size = size
        if not keeps:
            self.orders.remove(order)
            self.run(order, POST_ONLY if order.post_only else GTC, stp)

    def crossing(self, side: int, price: int) -> list[Resting]:
        """Resting orders of the other side within the limit, in price-time priority."""
        found = [
            o
            for o in self.orders
            if o.side != side and (o.price >= price if side else o.price <= price)
        ]
        return sorted(found, key=lambda o: (-o.price if side else o.price, o.seq))

    def run(self, order: Resting, tif: int, stp: int) -> None:
        """Match an order whose funds are taken; rest or drop what is left."""
        against = self.crossing(order.side, order.price)
        if tif == POST_ONLY and against:
            self.release(order)
            return
        if tif == FOK and not self.fillable(order, against, stp):
            self.release(order)
            return
        for maker in against:
            if order.size == 0:
                return
            if maker.owner != order.owner:
                self.trade(order, maker)
                continue
            if stp == NEWEST:
                self.release(order)
                return
            if stp in (OLDEST, BOTH):
                self.remove(maker)
                if stp == BOTH:
                    self.release(order)
                    return
                continue
            size = min(order.size, maker.size)
            self.shrink(maker, size)
            if size == order.size:
                self.release(order)
                return
            self.shrink(order, size)
        if order.size == 0:
            return
        if tif in (IOC, FOK):
            self.release(order)
            return
        self.seq += 1
        order.seq = self.seq
        self.orders.append(order)

    def fillable(self, order: Resting, against: list[Resting], stp: int) -> bool:
        own = sum(o.size for o in self.orders if o.owner == order.owner and o.side != order.side)
        if own and stp != OLDEST:
            return False
        return sum(o.size for o in against) >= order.size + own

    def trade(self, taker: Resting, maker: Resting) -> None:
        size = min(taker.size, maker.size)
        price = maker.price
        cost = price * size * self.tick
        buyer, seller = (maker, taker) if taker.side else (taker, maker)
        buyer_rate = self.maker if buyer is maker else self.taker
        seller_rate = self.maker if seller is maker else self.taker
        freed = self.need(0, buyer.price, buyer.size) - self.need(0, buyer.price, buyer.size - size)
        buyer_fee = min(ceil(cost * buyer_rate), freed - cost)
        seller_fee = ceil(cost * seller_rate)
        self.quote[buyer.owner] += freed - cost - buyer_fee
        self.base[buyer.owner] += size * self.lot
        self.quote[seller.owner] += cost - seller_fee
        self.fees += buyer_fee + seller_fee
        maker_fee, taker_fee = (
            (buyer_fee, seller_fee) if buyer is maker else (seller_fee, buyer_fee)
        )
        self.fills.append((maker.id, taker.id, price, size, maker_fee, taker_fee))
        taker.size -= size
        maker.size -= size
        if maker.size == 0:
            self.orders.remove(maker)

    def shrink(self, order: Resting, size: int) -> None:
        free = self.base if order.side else self.quote
        free[order.owner] += self.need(order.side, order.price, order.size) - self.need(
            order.side, order.price, order.size - size
        )
        order.size -= size
        if order.size == 0 and order in self.orders:
            self.orders.remove(order)

    def release(self, order: Resting) -> None:
        free = self.base if order.side else self.quote
        free[order.owner] += self.need(order.side, order.price, order.size)

    def remove(self, order: Resting) -> None:
        self.release(order)
        self.orders.remove(order)
