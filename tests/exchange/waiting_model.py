"""A second, naive engine of everything that waits, fed with a block's outcome alone.

Rule: it keeps plain lists, looks at each order in every block, and shares no code with the engine:
what it says is reached, and with how many lots, must be what the engine's events say.
Spec: docs/spec/orders.md
Deviations: one market, traded by fills that the outcome reports; phases are left to examples.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from exchange.actions import (
    BUY,
    AnyOp,
    PlaceIceberg,
    PlaceSchedule,
    PlaceTrailing,
    PlaceTrigger,
    ReplaceTrigger,
)
from exchange.outcome import CLOSED, REACHED, Outcome
from exchange.reasons import REJECTED


@dataclass
class Waiting:
    """A trigger or a trailing stop."""

    op: PlaceTrigger | PlaceTrailing
    legs: tuple[int, int, int, int]
    prices: list[int] = field(default_factory=list)
    """Last trades since it follows; empty while it does not."""


@dataclass
class Whole:
    """An iceberg or a schedule."""

    op: PlaceIceberg | PlaceSchedule
    left: int
    part: int = 0
    part_left: int = 0
    slots: int = 0
    due: int = 0
    others: int = 0
    """Lots of others since the last slot."""


class WaitingModel:
    """What should wait, and what each block should reach."""

    def __init__(self, last_price: int) -> None:
        self.last = last_price
        self.waiting: dict[int, Waiting] = {}
        self.wholes: dict[int, Whole] = {}

    def check(self, outcome: Outcome, ops: list[tuple[AnyOp, int, int]]) -> None:
        """Follow a block; `ops` are its operations with status and order. Raises AssertionError."""
        expected = self._make_slots(outcome.time_ms)
        for op, status, order in ops:
            if status < REJECTED or isinstance(op, PlaceIceberg):
                expected += self._admit(op, order, outcome.time_ms)
        self._drop_ended(outcome)
        expected += self._trade(outcome)
        told = [(e.order_id, e.price, e.size) for e in outcome.orders if e.kind == REACHED]
        mine = sorted((price, size) for price, size in expected)
        assert sorted((price, size) for _, price, size in told) == mine
        self._link(outcome, first=False)

    def _admit(self, op: AnyOp, order: int, now: int) -> list[tuple[int, int]]:
        if isinstance(op, PlaceTrigger):
            self.waiting[order] = Waiting(op, (op.above, op.above_price, op.below, op.below_price))
        elif isinstance(op, ReplaceTrigger):
            old = self.waiting[op.order_id]
            self.waiting[op.order_id] = Waiting(
                PlaceTrigger(
                    0, old.op.side, op.size, op.above, op.above_price, op.below, op.below_price
                ),
                (op.above, op.above_price, op.below, op.below_price),
            )
        elif isinstance(op, PlaceTrailing):
            self.waiting[order] = Waiting(op, (0, 0, 0, 0))
            if _is_active(op, self.last):
                self.waiting[order].prices.append(self.last)
        elif isinstance(op, PlaceIceberg) and order:
            self.wholes[order] = Whole(op, op.size - op.visible, order + 1, op.visible)
            return [(op.price, op.visible)]
        elif isinstance(op, PlaceSchedule):
            whole = Whole(op, op.size, slots=op.slots, due=now + op.interval_ms)
            self.wholes[order] = whole
        return []

    def _make_slots(self, now: int) -> list[tuple[int, int]]:
        made = []
        for number in sorted(self.wholes):
            whole = self.wholes[number]
            op = whole.op
            if not isinstance(op, PlaceSchedule) or now < whole.due:
                continue
            size = 0
            if not whole.part:
                size = -(-whole.left // whole.slots)
                if op.participation_bps:
                    size = min(whole.others * op.participation_bps // 10_000, whole.left)
            whole.slots -= 1
            whole.others = 0
            whole.due = now + op.interval_ms
            whole.left -= size
            if size:
                whole.part, whole.part_left = -1, size
                made.append((op.price, size))
        return made

    def _drop_ended(self, outcome: Outcome) -> None:
        """A whole whose lots are all in parts, or that was cancelled, is no whole any more."""
        for event in outcome.orders:
            if event.kind == CLOSED:
                self.waiting.pop(event.order_id, None)

    def _trade(self, outcome: Outcome) -> list[tuple[int, int]]:
        self._link(outcome, first=True)
        parts = {whole.part: number for number, whole in self.wholes.items() if whole.part}
        for fill in outcome.fills:
            for order, left in (
                (fill.maker_order, fill.maker_left),
                (fill.taker_order, fill.taker_left),
            ):
                if order in parts:
                    self.wholes[parts[order]].part_left = left
            for whole in self.wholes.values():
                if whole.part not in (fill.maker_order, fill.taker_order):
                    whole.others += fill.size
        made = []
        gone = {e.order_id: e.size for e in outcome.orders if e.kind == CLOSED}
        for number, whole in list(self.wholes.items()):
            made += self._end_part(number, whole, gone)
        return made + self._reach(outcome)

    def _end_part(self, number: int, whole: Whole, gone: dict[int, int]) -> list[tuple[int, int]]:
        if gone.get(number, 0):
            del self.wholes[number]
            return []
        ended = whole.part and (whole.part in gone or whole.part_left == 0)
        if isinstance(whole.op, PlaceSchedule):
            if ended:
                whole.left += gone.get(whole.part, 0) if whole.slots and whole.left else 0
                whole.part = 0
            if number in gone:
                del self.wholes[number]
            return []
        if not ended:
            return []
        size = min(whole.op.visible, whole.left)
        whole.left -= size
        whole.part, whole.part_left = -1, size
        if not whole.left:
            del self.wholes[number]
        return [(whole.op.price, size)]

    def _reach(self, outcome: Outcome) -> list[tuple[int, int]]:
        if not outcome.fills:
            return []
        self.last = price = outcome.fills[-1].price
        reached = []
        for number, one in list(self.waiting.items()):
            above, above_price, below, below_price = one.legs
            limit = 0
            if above and price >= above:
                limit = above_price
            elif below and price <= below:
                limit = below_price
            elif isinstance(one.op, PlaceTrailing):
                limit = one.op.price if _follow(one, price) else 0
            if limit:
                reached.append((limit, one.op.size))
                del self.waiting[number]
        return reached

    def _link(self, outcome: Outcome, *, first: bool) -> None:
        """Learn the numbers of new parts: each is told directly after its whole."""
        pairs = list(zip(outcome.orders, outcome.orders[1:], strict=False))
        for before, event in pairs if first else pairs[::-1]:
            whole = self.wholes.get(before.order_id)
            if whole is not None and event.kind == REACHED and whole.part == -1:
                whole.part = event.order_id


def _is_active(op: PlaceTrailing, price: int) -> bool:
    if not op.activation:
        return True
    return price <= op.activation if op.side == BUY else price >= op.activation


def _follow(one: Waiting, price: int) -> bool:
    """Judge a trailing stop by the whole list of prices since it follows."""
    op = one.op
    assert isinstance(op, PlaceTrailing)
    if not one.prices:
        if _is_active(op, price):
            one.prices.append(price)
        return False
    one.prices.append(price)
    best = min(one.prices) if op.side == BUY else max(one.prices)
    distance = max(best * op.distance // 10_000, 1) if op.in_bps else op.distance
    return price >= best + distance if op.side == BUY else price <= best - distance
