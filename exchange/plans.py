"""Orders of one market that trade in parts: icebergs by what has traded, schedules by time.

Rule: this file knows which part belongs to which plan, and nothing of money. A plan has at most one
live part. What ends is only noted here, for `slicing.py` to act on when the batch is through.
Spec: docs/spec/orders.md#orders-in-parts
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from exchange.order_book import Order
from exchange.timetable import Timetable


class Plan:
    """An order that waits off the book and gives off parts; its size is what no part has yet."""

    __slots__ = (
        "action_id",
        "bps",
        "cushion",
        "interval_ms",
        "next_ms",
        "order",
        "part",
        "returned",
        "seen",
        "slots",
        "visible",
    )

    def __init__(
        self, order: Order, action_id: bytes, visible: int, slots: int, interval_ms: int, bps: int
    ) -> None:
        self.order: Order = order
        self.action_id: bytes = action_id
        """The action that placed it: it ranks the parts."""
        self.visible: int = visible
        """Lots of an iceberg's part; 0 for a schedule."""
        self.slots: int = slots
        """Times of a schedule still to come."""
        self.interval_ms: int = interval_ms
        self.bps: int = bps
        """Largest share of the market's volume that a schedule trades; 0 for equal parts."""
        self.next_ms: int = 0
        """Block time of the next slot."""
        self.seen: int = 0
        """Lots the market had traded at the last slot, own ones since added."""
        self.cushion: int = 0
        """Quote atoms a buy holds beyond its hold: the fee of each part is rounded up by itself."""
        self.part: Order | None = None
        self.returned: int = 0
        """Lots that the part which ended has not traded."""


class Bracket:
    """An entry order and the legs of the exit that its fills arm; 0 for no such leg."""

    __slots__ = (
        "above",
        "above_price",
        "action_id",
        "below",
        "below_price",
        "entry",
        "exit_id",
        "tif",
    )

    def __init__(
        self,
        entry: Order,
        action_id: bytes,
        above: int,
        above_price: int,
        below: int,
        below_price: int,
        tif: int,
    ) -> None:
        self.entry: Order = entry
        self.action_id: bytes = action_id
        self.above: int = above
        self.above_price: int = above_price
        self.below: int = below
        self.below_price: int = below_price
        self.tif: int = tif
        """Of the exit."""
        self.exit_id: int = 0
        """Order id of the exit armed last, 0 for none."""


class PlanIndex:
    """All plans and brackets of a market."""

    __slots__ = (
        "brackets",
        "by_id",
        "closing",
        "counts",
        "due",
        "ended",
        "exits",
        "live",
        "orphans",
        "parts",
    )

    def __init__(self) -> None:
        self.by_id: Final[dict[int, Plan]] = {}
        """By order id."""
        self.parts: Final[dict[int, Plan]] = {}
        """By the order id of the live part."""
        self.counts: Final[dict[tuple[int, int], int]] = {}
        """Plans and brackets by (account number, sub-account)."""
        self.live: int = 0
        """Plans and brackets in all."""
        self.brackets: Final[dict[int, Bracket]] = {}
        """By the order id of the entry, while that lives."""
        self.closing: Final[dict[int, Bracket]] = {}
        """Those whose entry ended in the batch that clears now."""
        self.exits: Final[dict[int, int]] = {}
        """Live entries by the order id of their exit."""
        self.due: Final[Timetable] = Timetable()
        """Next slots of schedules by order id."""
        self.ended: Final[list[Plan]] = []
        """Plans whose part has ended, in that order; empty between blocks."""
        self.orphans: Final[list[Order]] = []
        """Live parts whose plan has ended; empty between blocks."""

    def add(self, plan: Plan) -> None:
        """Let a plan wait."""
        order = plan.order
        order.watched = True
        self.by_id[order.id] = plan
        self._count(order)
        if plan.slots:
            self.due.put(order.id, plan.next_ms)

    def link(self, plan: Plan, part: Order) -> None:
        """Make an order the live part of a plan."""
        assert plan.part is None
        plan.part = part
        part.watched = True
        self.parts[part.id] = plan

    def unlink(self, plan: Plan) -> None:
        """Let the live part, if there is one, become an order of its own."""
        if plan.part is not None:
            del self.parts[plan.part.id]
            plan.part = None

    def note_end(self, order: Order) -> int:
        """Take in that an order ended, if it is a plan or a part; returns the cushion to release.

        Its size is still what it has not traded.
        """
        plan = self.parts.pop(order.id, None)
        if plan is not None:
            plan.part = None
            plan.returned = order.size
            plan.seen += order.total - order.size
            self.ended.append(plan)
        bracket = self.drop_bracket(order.id)
        if bracket is not None:
            self.closing[order.id] = bracket
        if plan is not None:
            return 0
        plan = self.by_id.pop(order.id, None)
        if plan is None:
            return 0
        if plan.part is not None:
            self.orphans.append(plan.part)
            self.unlink(plan)
        self.due.forget(order.id)
        self._discount(order)
        cushion = plan.cushion
        plan.cushion = 0
        return cushion

    def add_bracket(self, bracket: Bracket) -> None:
        """Remember an entry's exits."""
        bracket.entry.watched = True
        self.brackets[bracket.entry.id] = bracket
        self._count(bracket.entry)

    def drop_bracket(self, entry_id: int) -> Bracket | None:
        """Forget a bracket if there is one; an exit that waits goes on by itself."""
        bracket = self.brackets.pop(entry_id, None)
        if bracket is not None:
            self.exits.pop(bracket.exit_id, None)
            self._discount(bracket.entry)
        return bracket

    def link_exit(self, bracket: Bracket, exit_id: int) -> None:
        """Make an order the exit of a live entry."""
        self.exits.pop(bracket.exit_id, None)
        bracket.exit_id = exit_id
        self.exits[exit_id] = bracket.entry.id

    def _count(self, order: Order) -> None:
        owner = (order.trader.number, order.trader.sub)
        self.counts[owner] = self.counts.get(owner, 0) + 1
        self.live += 1

    def _discount(self, order: Order) -> None:
        owner = (order.trader.number, order.trader.sub)
        left = self.counts[owner] - 1
        self.live -= 1
        if left:
            self.counts[owner] = left
        else:
            del self.counts[owner]
