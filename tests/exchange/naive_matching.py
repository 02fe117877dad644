"""Money, the resting orders and continuous matching of the naive exchange.

Rule: totals change by trades and fees alone; what is held is summed anew from what lives.
Spec: docs/spec/exchange.md#money, #continuous-matching, #uniform-price
Deviations: one market; no builders, no fee tiers.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from exchange.genesis import MarketConfig
from exchange.limits import FOK_LEVELS_MAX
from exchange.reasons import Reason
from tests.exchange.naive_orders import (
    BOTH,
    BUY,
    DECREMENT,
    FOK,
    GTC,
    IOC,
    NEWEST,
    OLDEST,
    ON_BOOK,
    OPEN,
    POST_ONLY,
    Change,
    Live,
    Waiting,
)

Given = list[tuple[Live, int]]
"""Orders with the lots that they trade, in their priority."""


class Matching:
    """What everything else stands on."""

    def __init__(self, terms: MarketConfig) -> None:
        self.terms = terms
        self.maker = Fraction(terms.maker_bps, 10_000)
        self.taker = Fraction(terms.taker_bps, 10_000)
        self.totals: dict[tuple[str, int, int], int] = {}
        """By (owner, sub, side): side 0 is quote, 1 base; free and held together."""
        self.insurance = [0, 0]
        self.fees = [0, 0]
        self.live: dict[int, Live] = {}
        self.batches: list[Waiting] = []
        self.fills: list[tuple[int, int, int, int, int, int, int, int]] = []
        self.ended: list[tuple[int, int, int]] = []
        """(order, lots it did not trade, reason) of this block."""
        self.parts_ended: list[Live] = []
        """Wholes whose part ended."""
        self.orphans: list[Live] = []
        self.filled: dict[Live, int] = {}
        """Lots that entries of brackets got in the batch that clears."""
        self.next_id = 1
        self.next_place = 0
        self.last = terms.reference_price
        self.phase = OPEN
        self.now = 0
        self.height = 0

    # money

    def need(self, side: int, price: int, size: int) -> int:
        if side:
            return size * self.terms.lot
        cost = price * size * self.terms.tick
        return cost + ceil(cost * self.taker)

    def held(self, owner: str, sub: int, side: int) -> int:
        total = 0
        for order in self.live.values():
            if (order.owner, order.sub, order.side) == (owner, sub, side):
                total += self.need(side, order.price, order.size) + order.cushion
        for batch in self.batches:
            for commit in batch.commits:
                if (commit.owner, commit.sub) == (owner, sub):
                    total += commit.tier[side] + commit.bond[side]
            for _, entries in batch.groups:
                for entry in entries:
                    if isinstance(entry, Change):
                        one = entry.order
                        if (one.owner, one.sub, one.side) == (owner, sub, side):
                            total += entry.extra
        return total

    def free(self, owner: str, sub: int, side: int) -> int:
        return self.totals.get((owner, sub, side), 0) - self.held(owner, sub, side)

    def pay(self, owner: str, sub: int, side: int, amount: int) -> None:
        key = owner, sub, side
        self.totals[key] = self.totals.get(key, 0) + amount

    # the life of an order

    def end(self, order: Live, reason: Reason) -> None:
        """It goes with lots that it has not traded."""
        assert order.size > 0
        self.ended.append((order.id, order.size, int(reason)))
        self.leave(order, order.size)

    def leave(self, order: Live, returned: int) -> None:
        del self.live[order.id]
        order.size = 0
        for whole in list(self.live.values()):
            if whole.part is order:
                whole.part = None
                whole.returned = returned
                self.parts_ended.append(whole)
        if order.part is not None:
            self.orphans.append(order.part)
            order.part = None

    def shrink(self, order: Live, lots: int) -> None:
        """A self-trade takes lots off."""
        if lots == order.size:
            self.end(order, Reason.SELF_TRADE)
        else:
            order.size -= lots

    def rest(self, order: Live) -> None:
        self.next_place += 1
        order.place = self.next_place
        order.where = ON_BOOK

    def queue(self, side: int) -> list[Live]:
        """One side of the book, in the order of priority."""
        found = [o for o in self.live.values() if o.where == ON_BOOK and o.side == side]
        return sorted(found, key=lambda o: (o.price if side else -o.price, o.place))

    def crossing(self, side: int, price: int) -> list[Live]:
        """Resting orders of the other side within a limit."""
        return [o for o in self.queue(1 - side) if (o.price >= price if side else o.price <= price)]

    # trades

    def trade(
        self,
        maker: Live,
        taker: Live,
        price: int,
        size: int,
        *,
        both_take: bool = False,
        first: Live | None = None,
    ) -> None:
        """Settle; `first` is who ends first, else the maker."""
        cost = price * size * self.terms.tick
        buyer, seller = (maker, taker) if taker.side else (taker, maker)
        assert buyer.side == BUY
        assert seller.side
        assert buyer.owner != seller.owner
        assert buyer.price >= price >= seller.price, "nobody trades beyond a limit"
        buyer_rate = self.maker if buyer is maker and not both_take else self.taker
        seller_rate = self.maker if seller is maker and not both_take else self.taker
        before = self.need(BUY, buyer.price, buyer.size)
        freed = before - self.need(BUY, buyer.price, buyer.size - size)
        buyer_fee = min(ceil(cost * buyer_rate), freed - cost)
        seller_fee = ceil(cost * seller_rate)
        base = size * self.terms.lot
        self.pay(buyer.owner, buyer.sub, 0, -cost - buyer_fee)
        self.pay(buyer.owner, buyer.sub, 1, base)
        self.pay(seller.owner, seller.sub, 0, cost - seller_fee)
        self.pay(seller.owner, seller.sub, 1, -base)
        self.fees[0] += buyer_fee + seller_fee
        own = {buyer.id: buyer_fee, seller.id: seller_fee}
        for order in (maker, taker):
            order.size -= size
            order.traded += size
            if order.exits is not None:
                self.filled[order] = self.filled.get(order, 0) + size
        self.fills.append(
            (maker.id, taker.id, price, size, own[maker.id], own[taker.id], maker.size, taker.size)
        )
        for whole in self.live.values():
            if whole.interval and whole.part not in (maker, taker):
                whole.others += size
        self.last = price
        for order in (maker, taker) if first in (maker, None) else (taker, maker):
            if order.size == 0:
                self.leave(order, 0)

    def match(self, order: Live) -> None:
        """Match an order; rest or end what is left."""
        against = self.crossing(order.side, order.price)
        if order.tif == POST_ONLY and against:
            return self.end(order, Reason.POST_ONLY_CROSSES)
        if order.tif == FOK:
            own = sum(o.size for o in self.queue(1 - order.side) if o.owner == order.owner)
            if own and order.stp != OLDEST:
                return self.end(order, Reason.SELF_TRADE)
            near = set(list(dict.fromkeys(o.price for o in against))[:FOK_LEVELS_MAX])
            if sum(o.size for o in against if o.price in near) < order.size + own:
                return self.end(order, Reason.FOK_UNFILLABLE)
        before = order.size
        for maker in against:
            if maker.owner != order.owner:
                self.trade(maker, order, maker.price, min(maker.size, order.size))
            elif order.stp == NEWEST:
                self.end(order, Reason.SELF_TRADE)
            elif order.stp == OLDEST:
                self.end(maker, Reason.SELF_TRADE)
            elif order.stp == BOTH:
                self.end(maker, Reason.SELF_TRADE)
                self.end(order, Reason.SELF_TRADE)
            else:
                lots = min(maker.size, order.size)
                self.shrink(maker, lots)
                before -= lots
                self.shrink(order, lots)
            if order.size == 0:
                return None
        if order.tif in (IOC, FOK):
            full = order.size == before
            return self.end(order, Reason.IOC_UNFILLED if full else Reason.PARTLY_FILLED)
        return self.rest(order)

    # the uniform price

    def seek(self, bids: list[Live], asks: list[Live]) -> tuple[int, int]:
        """The best of all prices there are, one after the other; (0, 0) if nothing trades."""
        best: tuple[int, int, int, int] | None = None
        limits = [o.price for o in (*bids, *asks)]
        if not limits:
            return 0, 0
        prices = {self.last, *range(max(min(limits) - 1, 1), max(limits) + 2)}
        for price in prices:
            demand = sum(o.size for o in bids if o.price >= price)
            supply = sum(o.size for o in asks if o.price <= price)
            volume = min(demand, supply)
            rank = volume, -abs(demand - supply), -abs(price - self.last), -price
            if volume and (best is None or rank > best):
                best = rank
        return (0, 0) if best is None else (-best[3], best[0])

    def clear_uniform(self, sealed: list[Live]) -> None:
        """Opened orders, sorted by rank, trade with each other and the book at one price."""
        for order in sealed:
            order.stp = DECREMENT
        traded: set[Live] = set()
        for _ in range(8):
            buys, sells, price = self.propose(sealed)
            if not (self.unfill(sealed, buys + sells) or self.net(buys, sells)):
                break
        else:
            self.settle_doubts(sealed)
            buys, sells, price = self.propose(sealed)
        while buys:
            (buyer, wanted), (seller, offered) = buys[0], sells[0]
            size = min(wanted, offered)
            taker, maker = (buyer, seller) if buyer in sealed else (seller, buyer)
            traded |= {buyer, seller}
            self.trade(maker, taker, price, size, both_take=maker in sealed, first=buyer)
            buys[0], sells[0] = (buyer, wanted - size), (seller, offered - size)
            buys = buys if wanted > size else buys[1:]
            sells = sells if offered > size else sells[1:]
        assert not sells
        for order in sealed:
            if order.size and order.tif == GTC:
                self.rest(order)
            elif order.size:
                done = order in traded
                self.end(order, Reason.PARTLY_FILLED if done else Reason.IOC_UNFILLED)

    def propose(self, sealed: list[Live]) -> tuple[Given, Given, int]:
        """Who would trade how much, and at which price."""
        bids, asks = self.queue(BUY), self.queue(1)
        buying = [o for o in sealed if o.size and not o.side]
        selling = [o for o in sealed if o.size and o.side]
        price, volume = self.seek(bids + buying, asks + selling)
        buys = self.allot(bids, buying, price, volume)
        return buys, self.allot(asks, selling, price, volume), price

    def allot(self, book: list[Live], sealed: list[Live], price: int, volume: int) -> Given:
        """Who trades how much: better limits first, at equal ones the book, then pro rata."""
        given: Given = []
        side = (*book, *sealed)[0].side if book or sealed else 0
        for limit in sorted({o.price for o in (*book, *sealed)}, reverse=not side):
            if not volume or (limit > price if side else limit < price):
                break
            for order in book:
                if order.price == limit and volume:
                    given.append((order, min(order.size, volume)))
                    volume -= given[-1][1]
            here = [o for o in sealed if o.price == limit]
            wanted = sum(o.size for o in here)
            some = min(volume, wanted)
            lots = {o: some * o.size // wanted for o in here}
            odd = some - sum(lots.values())
            for order in here:
                if odd and lots[order] < order.size:
                    lots[order] += 1
                    odd -= 1
            given += [(o, lots[o]) for o in here if lots[o]]
            volume -= some
        assert volume == 0
        return given

    def unfill(self, sealed: list[Live], given: Given) -> bool:
        """End what wanted all or nothing and does not get all."""
        full = {order for order, lots in given if lots == order.size}
        wrong = [o for o in sealed if o.size and o.tif == FOK and o not in full]
        for order in wrong:
            self.end(order, Reason.FOK_UNFILLABLE)
        return bool(wrong)

    def net(self, buys: Given, sells: Given) -> bool:
        """Take off what an account would trade with itself, the last in priority first."""
        found = False
        for owner in sorted({order.owner for order, _ in buys}):
            bought = [(o, lots) for o, lots in reversed(buys) if o.owner == owner]
            sold = [(o, lots) for o, lots in reversed(sells) if o.owner == owner]
            size = min(sum(lots for _, lots in bought), sum(lots for _, lots in sold))
            for parts in (bought, sold):
                left = size
                for order, lots in parts:
                    if left:
                        found = True
                        cut = min(lots, left)
                        left -= cut
                        self.cut(order, cut)
        return found

    def cut(self, order: Live, lots: int) -> None:
        """All or nothing cannot be less: it ends."""
        is_sealed = order.where != ON_BOOK
        self.shrink(order, order.size if is_sealed and order.tif == FOK else lots)

    def settle_doubts(self, sealed: list[Live]) -> None:
        for order in sealed:
            if order.size and order.tif == FOK:
                self.end(order, Reason.FOK_UNFILLABLE)
        for owner in sorted({o.owner for o in sealed}):
            own = [
                o
                for o in self.live.values()
                if o.owner == owner and (o.where == ON_BOOK or o in sealed)
            ]
            while True:
                bids = [o for o in own if o.size and not o.side]
                asks = [o for o in own if o.size and o.side]
                if not bids or not asks:
                    break
                bid = max(bids, key=lambda o: (o.price, -o.id))
                ask = min(asks, key=lambda o: (o.price, o.id))
                if bid.price < ask.price:
                    break
                lots = min(bid.size, ask.size)
                self.shrink(bid, lots)
                self.shrink(ask, lots)
