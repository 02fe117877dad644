"""Orders of one market that wait for a price, indexed by it.

Rule: this file knows legs, prices and order ids, and nothing of money. A trigger has one or two
legs (above, below), or a distance at which it follows the price; reaching one leg takes both out.
A leg that has not been reached is never looked at; what follows the price is looked at with each.
Spec: docs/spec/orders.md#triggers
Deviations: none.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final

from exchange.limits import BPS
from exchange.order_book import SELL, Order


class Trail:
    """How a trailing stop follows the price."""

    __slots__ = ("activation", "best", "distance", "in_bps", "side")

    def __init__(self, side: int, distance: int, in_bps: bool, activation: int, best: int) -> None:
        self.side: int = side
        self.distance: int = distance
        """Ticks, or basis points of the best price."""
        self.in_bps: bool = in_bps
        self.activation: int = activation
        """Price from which it follows; 0 once it does."""
        self.best: int = best
        """Highest price seen since (a sell), lowest (a buy); 0 while it does not follow."""

    def get_stop(self) -> int:
        """Return the price that reaches it now in ticks; 0 and less for none."""
        if self.best == 0:
            return 0
        distance = self.distance
        if self.in_bps:
            distance = max(self.best * distance // BPS, 1)
        return self.best - distance if self.side == SELL else self.best + distance

    def follow(self, price: int) -> bool:
        """Take in the price of a trade; returns whether the stop is reached."""
        is_sell = self.side == SELL
        if self.activation:
            if price < self.activation if is_sell else price > self.activation:
                return False
            self.activation = 0
            self.best = price
            return False
        if price > self.best if is_sell else price < self.best:
            self.best = price
            return False
        stop = self.get_stop()
        return price <= stop if is_sell else price >= stop


class Trigger:
    """An order with its funds held that waits for a price."""

    __slots__ = ("above", "above_price", "action_id", "below", "below_price", "order", "trail")

    def __init__(
        self,
        order: Order,
        action_id: bytes,
        above: int,
        above_price: int,
        below: int,
        below_price: int,
        trail: Trail | None,
    ) -> None:
        self.order: Order = order
        self.action_id: bytes = action_id
        """The action that placed it: it ranks the order once it is reached."""
        self.above: int = above
        """Reached by a price at or above this one; 0 for no such leg."""
        self.above_price: int = above_price
        """The order's limit if the leg above is reached."""
        self.below: int = below
        self.below_price: int = below_price
        self.trail: Trail | None = trail
        """Set for a trailing stop, which has no legs."""


class Triggered:
    """An order whose price was reached: it takes part in the next batch."""

    __slots__ = ("action_id", "entry", "order")

    def __init__(self, order: Order, action_id: bytes, entry: int = 0) -> None:
        self.order: Order = order
        self.action_id: bytes = action_id
        self.entry: int = entry
        """Order id of the live entry whose exit it is, 0 for none: its rest is cancelled."""


class TriggerIndex:
    """All waiting triggers of a market."""

    __slots__ = ("above", "below", "by_id", "counts", "trailing")

    def __init__(self) -> None:
        self.by_id: Final[dict[int, Trigger]] = {}
        """By order id."""
        self.above: Final[list[tuple[int, int]]] = []
        """(-price, -order id), ascending: what is reached first is last."""
        self.below: Final[list[tuple[int, int]]] = []
        """(price, -order id), ascending: what is reached first is last."""
        self.counts: Final[dict[tuple[int, int], int]] = {}
        """Triggers by (account number, sub-account)."""
        self.trailing: Final[dict[int, Trigger]] = {}
        """Those that follow the price, by order id, oldest first."""

    def add(self, trigger: Trigger) -> None:
        """Let a trigger wait."""
        order = trigger.order
        order.watched = True
        self.by_id[order.id] = trigger
        if trigger.above:
            insort(self.above, (-trigger.above, -order.id))
        if trigger.below:
            insort(self.below, (trigger.below, -order.id))
        if trigger.trail is not None:
            self.trailing[order.id] = trigger
        owner = (order.trader.number, order.trader.sub)
        self.counts[owner] = self.counts.get(owner, 0) + 1

    def forget(self, order_id: int) -> None:
        """Take a trigger out if it is there."""
        trigger = self.by_id.pop(order_id, None)
        if trigger is None:
            return
        if trigger.above:
            del self.above[bisect_left(self.above, (-trigger.above, -order_id))]
        if trigger.below:
            del self.below[bisect_left(self.below, (trigger.below, -order_id))]
        self.trailing.pop(order_id, None)
        order = trigger.order
        owner = (order.trader.number, order.trader.sub)
        left = self.counts[owner] - 1
        if left:
            self.counts[owner] = left
        else:
            del self.counts[owner]

    def take_reached(self, price: int) -> list[tuple[Trigger, int]]:
        """Take out the triggers a price reaches, as (trigger, limit): the nearest price first,
        then the oldest; trailing stops follow it, and come last, the oldest first.
        """
        taken: list[tuple[Trigger, int]] = []
        while self.above and -self.above[-1][0] <= price:
            trigger = self.by_id[-self.above[-1][1]]
            taken.append((trigger, trigger.above_price))
            self.forget(trigger.order.id)
        while self.below and self.below[-1][0] >= price:
            trigger = self.by_id[-self.below[-1][1]]
            taken.append((trigger, trigger.below_price))
            self.forget(trigger.order.id)
        for trigger in list(self.trailing.values()):
            trail = trigger.trail
            assert trail is not None
            if trail.follow(price):
                taken.append((trigger, trigger.order.price))
                self.forget(trigger.order.id)
        return taken
