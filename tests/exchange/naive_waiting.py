"""Triggers, trailing stops, orders in parts and brackets of the naive exchange.

Rule: each order that waits is looked at in every block.
Spec: docs/spec/orders.md
Deviations: none of the numbers of orders at which more are refused.
"""

from __future__ import annotations

from exchange.reasons import Reason
from tests.exchange.naive_matching import Matching
from tests.exchange.naive_orders import (
    BUY,
    GTC,
    IOC,
    OPEN,
    REACHED,
    WAITS,
    WHOLE,
    Live,
    Request,
    Waiting,
)


class WaitingOrders(Matching):
    """What waits off the book."""

    reached: list[Live]
    """Goes into the next batch once the market is open."""
    switches: dict[tuple[str, int], int]

    def open_batch(self) -> Waiting:
        raise NotImplementedError

    def new(self, order: Live) -> Live:
        """Give it the next number and let it live."""
        order.id = self.next_id
        self.next_id += 1
        self.live[order.id] = order
        return order

    # what falls due at the start of a block

    def fall_due(self) -> None:
        for (owner, sub), time in sorted(self.switches.items()):
            if time <= self.now:
                del self.switches[owner, sub]
                if any((o.owner, o.sub) == (owner, sub) for o in self.live.values()):
                    request = Request(0, owner, sub, self.next_id, int(Reason.SWITCHED_OFF))
                    self.open_batch().cancels.append(request)
        for order in list(self.live.values()):
            if order.expiry and order.expiry <= self.now:
                order.expiry = 0
                request = Request(order.id, order.owner, order.sub, 0, int(Reason.EXPIRED))
                self.open_batch().cancels.append(request)
        due = [o for o in self.live.values() if o.where == WHOLE and o.interval]
        for whole in sorted(due, key=lambda o: (o.due, o.id)):
            if whole.due <= self.now:
                self.make_slot(whole)
        if self.reached and self.phase == OPEN:
            batch = self.open_batch()
            batch.reached += self.reached
            for order in self.reached:
                entry = order.entry
                if entry is not None and entry.size:
                    reason = int(Reason.EXIT_REACHED)
                    batch.cancels.append(Request(entry.id, entry.owner, entry.sub, 0, reason))
            self.reached = []

    def make_slot(self, whole: Live) -> None:
        size = 0
        if whole.part is None and self.phase == OPEN:
            size = -(-whole.size // whole.slots)
            if whole.share:
                size = min(whole.others * whole.share // 10_000, whole.size)
        whole.slots -= 1
        whole.others = 0
        whole.due = self.now + whole.interval
        if size:
            self.reached.append(self.make_part(whole, size, IOC))
        if whole.size and not whole.slots:
            whole.part = None
            self.end(whole, Reason.EXPIRED)

    def make_part(self, whole: Live, size: int, tif: int) -> Live:
        if whole.cushion:
            whole.cushion -= 1
        part = Live(
            0, whole.owner, whole.sub, whole.side, whole.price, size, tif, whole.stp,
            action=whole.action, where=REACHED,
        )  # fmt: skip
        if size == whole.size:
            part.client, part.expiry = whole.client, whole.expiry
            self.ended.append((whole.id, 0, int(Reason.LAST_PART)))
            self.leave(whole, 0)
        else:
            whole.size -= size
            whole.part = part
        return self.new(part)

    # after each batch

    def follow_parts(self) -> None:
        """Act on the ends of parts, and of wholes."""
        while self.parts_ended or self.orphans:
            for part in self.orphans:
                if part.size:
                    self.end(part, Reason.CANCELLED)
            self.orphans = []
            ended, self.parts_ended = self.parts_ended, []
            for whole in ended:
                if whole.size:
                    self.follow_part(whole)

    def follow_part(self, whole: Live) -> None:
        returned, whole.returned = whole.returned, 0
        if whole.visible:
            if returned:
                self.end(whole, Reason.CANCELLED)
            else:
                size = min(whole.visible, whole.size)
                self.reached.append(self.make_part(whole, size, GTC))
        elif returned:
            more = self.need(whole.side, whole.price, whole.size + returned)
            more -= self.need(whole.side, whole.price, whole.size)
            if more <= self.free(whole.owner, whole.sub, whole.side):
                whole.size += returned

    def arm(self) -> None:
        """Cover with exits what the fills since the last time brought to entries."""
        filled, self.filled = self.filled, {}
        for entry, lots in filled.items():
            above, above_price, below, below_price = entry.exits or (0, 0, 0, 0)
            limit = max(above_price, below_price)
            side = 1 - entry.side
            free = self.free(entry.owner, entry.sub, side)
            known = entry.exit
            if known is not None and known.size and known.where == WAITS and known.price == limit:
                more = self.need(side, limit, known.size + lots)
                if more - self.need(side, limit, known.size) <= free:
                    known.size += lots
                    continue
            if self.need(side, limit, lots) > free:
                self.ended.append((self.next_id, lots, int(Reason.INSUFFICIENT_FUNDS)))
                self.next_id += 1
                continue
            order = Live(
                0, entry.owner, entry.sub, side, limit, lots, entry.exit_tif, entry.stp,
                action=entry.action, where=WAITS, legs=(above, above_price, below, below_price),
            )  # fmt: skip
            entry.exit = self.new(order)

    def collect(self) -> None:
        """The last trade of the block reaches what waits for its price."""
        price = self.last
        for order in list(self.live.values()):
            if order.where != WAITS:
                continue
            above, above_price, below, below_price = order.legs
            limit = 0
            if above and price >= above:
                limit = above_price
            elif below and price <= below:
                limit = below_price
            elif order.trail is not None and self.trails(order, price):
                limit = order.price
            if limit:
                order.price = limit
                order.where = REACHED
                self.reached.append(order)
                for entry in self.live.values():
                    if entry.exit is order:
                        order.entry = entry

    def trails(self, order: Live, price: int) -> bool:
        """Judge a trailing stop by all prices since it follows."""
        assert order.trail is not None
        distance, in_bps, _ = order.trail
        if not order.prices:
            self.follow(order, price)
            return False
        order.prices.append(price)
        best = min(order.prices) if order.side == BUY else max(order.prices)
        if in_bps:
            distance = max(best * distance // 10_000, 1)
        return price >= best + distance if order.side == BUY else price <= best - distance

    def follow(self, order: Live, price: int) -> None:
        """Begin to follow if the price is there."""
        assert order.trail is not None
        start = order.trail[2]
        if not start or (price <= start if order.side == BUY else price >= start):
            order.prices.append(price)
