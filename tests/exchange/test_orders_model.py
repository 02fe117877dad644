"""Random sequences of every order that waits, against a naive second engine."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from exchange import plans, slicing, triggers
from exchange.actions import (
    FOK,
    GTC,
    IOC,
    AnyOp,
    Cancel,
    Place,
    PlaceIceberg,
    PlaceSchedule,
    PlaceTrailing,
    PlaceTrigger,
    ReplaceTrigger,
)
from exchange.order_book import Order
from exchange.restore import restore
from exchange.snapshot import snapshot
from tests.conftest import soak_factor
from tests.exchange.waiting_model import WaitingModel
from tests.exchange.world import World, make_genesis

SEQUENCES = 1_000 * soak_factor()
TRADERS = ("a", "b", "c")
PRICE = 1_000


def make_op(rng: random.Random, orders: int) -> AnyOp:
    """One operation, sensible more often than not; each trader keeps to a side of its own."""
    side, price = rng.randrange(2), PRICE + rng.randrange(-5, 6)
    size = rng.choice((1, 3, 8, 20))
    kind = rng.randrange(12)
    if kind < 5:
        return Place(0, side, price, size, rng.choice((GTC, GTC, IOC, FOK)), rng.randrange(4))
    if kind == 5:
        return Cancel(0, rng.randrange(1, orders + 2))
    above = rng.choice((0, PRICE + rng.randrange(1, 5)))
    below = rng.choice((0, PRICE - rng.randrange(1, 5)))
    legs = (above, above and price, below, below and price)
    if kind < 8:
        return PlaceTrigger(0, side, size, *legs, rng.choice((GTC, IOC)))
    if kind == 8:
        return ReplaceTrigger(0, rng.randrange(1, orders + 2), size, *legs)
    if kind == 9:
        start = rng.choice((0, PRICE + rng.randrange(-2, 3)))
        if rng.random() < 0.5:
            return PlaceTrailing(0, side, size, price, rng.choice((5, 25)), True, start)
        return PlaceTrailing(0, side, size, price, rng.randrange(1, 4), False, start)
    if kind == 10:
        return PlaceIceberg(0, side, price, 3 * size, rng.choice((1, 2, 5)))
    return PlaceSchedule(0, side, price, 4 * size, 4, 1_000, rng.choice((0, 0, 5_000)))


def run(seed: int, blocks: int = 14) -> World:
    """Run one sequence in lockstep with the model; now and then go on from a snapshot."""
    rng = random.Random(seed)
    mode, matching = rng.choice((("fair", "uniform"), ("sealed", "uniform"), ("sealed", "shuffle")))
    world = World(make_genesis(mode=mode, matching=matching, tick=3, taker_bps=rng.choice((0, 21))))
    world.fund(*TRADERS, quote=3_000_000, base=20_000)
    model = WaitingModel(world.state.markets[0].last_price)
    orders = 1
    for _ in range(blocks):
        if rng.random() < 0.1:
            world.state = restore(world.genesis, snapshot(world.state))
        sent = [
            (rng.choice(TRADERS), make_op(rng, orders)) for _ in range(rng.choice((0, 1, 3, 6)))
        ]
        actions = [world.quick(trader, op) for trader, op in sent]
        outcome = world.block(*actions, gap_ms=rng.choice((100, 400, 1_000)))
        done = [
            (op, receipt.statuses[0], receipt.orders[0])
            for (_, op), receipt in zip(sent, outcome.receipts, strict=True)
        ]
        model.check(outcome, done)
        orders = world.state.next_order
    return world


def run_many(count: int) -> None:
    for seed in range(count):
        run(seed)


def test_all_that_waits_does_what_the_model_says() -> None:
    for seed in range(SEQUENCES):
        try:
            run(seed)
        except AssertionError as error:
            raise AssertionError(f"sequence {seed}") from error


# Deliberately wrong engines: each must be told from the right one.

right_follow = triggers.Trail.follow
right_reached = triggers.TriggerIndex.take_reached
right_end = plans.PlanIndex.note_end
right_part = slicing.make_part


def never_follows(self: triggers.Trail, price: int) -> bool:
    best = self.best
    reached = right_follow(self, price)
    self.best = best or self.best
    return reached


def is_reached_as_it_activates(self: triggers.Trail, price: int) -> bool:
    waits = self.activation
    reached = right_follow(self, price)
    return reached or (waits > 0 and not self.activation)


def ignores_the_exact_price(self, price):  # type: ignore[no-untyped-def]
    kept = [t for t in self.by_id.values() if price in (t.above, t.below)]
    for trigger in kept:
        self.forget(trigger.order.id)
    taken = right_reached(self, price)
    for trigger in kept:
        self.add(trigger)
    return taken


def counts_its_own_volume(self: plans.PlanIndex, order: Order) -> int:
    plan = self.parts.get(order.id)
    seen = 0 if plan is None else plan.seen
    cushion = right_end(self, order)
    if plan is not None:
        plan.seen = seen
    return cushion


def forgets_what_came_back(self: plans.PlanIndex, order: Order) -> int:
    plan = self.parts.get(order.id)
    cushion = right_end(self, order)
    if plan is not None and not plan.visible:
        plan.returned = 0
    return cushion


def keeps_the_cushion(self: plans.PlanIndex, order: Order) -> int:
    right_end(self, order)
    return 0


def shows_two_parts(state, market, plan, size, tif):  # type: ignore[no-untyped-def]
    return right_part(state, market, plan, min(2 * size, plan.order.size), tif)


def rounds_parts_down(market, plan):  # type: ignore[no-untyped-def]
    left = plan.order.size
    if plan.bps:
        return min((market.traded - plan.seen) * plan.bps // 10_000, left)
    return left // plan.slots


MUTANTS: dict[str, tuple[object, str, Callable[..., object]]] = {
    "trailing_never_follows": (triggers.Trail, "follow", never_follows),
    "trailing_reached_as_it_activates": (triggers.Trail, "follow", is_reached_as_it_activates),
    "trigger_ignores_its_own_price": (
        triggers.TriggerIndex, "take_reached", ignores_the_exact_price,
    ),
    "vwap_counts_itself": (plans.PlanIndex, "note_end", counts_its_own_volume),
    "schedule_loses_lots": (plans.PlanIndex, "note_end", forgets_what_came_back),
    "cushion_stays_held": (plans.PlanIndex, "note_end", keeps_the_cushion),
    "iceberg_shows_two_parts": (slicing, "make_part", shows_two_parts),
    "slots_round_down": (slicing, "_compute_size", rounds_parts_down),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_wrong_engine_of_waiting_orders_is_caught(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, attribute, wrong = MUTANTS[name]
    monkeypatch.setattr(owner, attribute, wrong)
    with pytest.raises(AssertionError):
        run_many(300)
