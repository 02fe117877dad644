"""Random order flow fed to the exchange and to the brute-force book, and what must be equal.

Rule: one operation per block in a `fair` market, so that rank plays no part.
Spec: docs/spec/exchange.md#continuous-matching
Deviations: none.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from exchange.actions import Cancel, Place, Replace
from exchange.queries import get_open_orders
from tests.exchange.brute_force import BruteForce
from tests.exchange.world import BASE, QUOTE, World, make_genesis

TRADERS = ("a", "b", "c", "d")
RICH = 10**9
TICK, LOT = 3, 10


class Step(NamedTuple):
    """kind 0..5 place, 6..7 cancel, 8..9 replace; `pick` chooses among orders."""

    kind: int
    trader: int
    side: int
    price: int
    size: int
    tif: int
    stp: int
    pick: int


class Pair:
    """The exchange and its oracle, side by side."""

    def __init__(self, funds: int = RICH, maker_bps: int = 10, taker_bps: int = 20) -> None:
        genesis = make_genesis(
            mode="fair", tick=TICK, lot=LOT, maker_bps=maker_bps, taker_bps=taker_bps
        )
        self.world = World(genesis)
        self.world.check = False
        self.world.fund(*TRADERS, quote=funds, base=funds)
        self.oracle = BruteForce(TICK, LOT, maker_bps, taker_bps)
        for trader in TRADERS:
            self.oracle.fund(trader, funds, funds)
        self.owner: dict[int, tuple[str, int]] = {}
        self.ours: list[tuple[int, int, int, int, int, int]] = []

    def apply(self, step: Step) -> None:
        trader = TRADERS[step.trader]
        world = self.world
        if step.kind <= 5 or not self.owner:
            number = world.state.next_order
            op = Place(0, step.side, step.price, step.size, step.tif, step.stp)
            self.run(trader, op)
            admitted = world.state.next_order > number
            taken = self.oracle.place(
                number, trader, step.side, step.price, step.size, step.tif, step.stp
            )
            assert admitted == taken
            if taken:
                self.owner[number] = (trader, step.stp)
            return
        number = self.choose(step.pick)
        owner, stp = self.owner[number]
        actor = owner if step.kind % 2 else trader
        if step.kind <= 7:
            self.run(actor, Cancel(0, number))
            self.oracle.cancel(number, actor)
        else:
            resting = self.oracle.find(number)
            same = step.tif >= 2 and resting is not None
            price = resting.price if same and resting is not None else step.price
            self.run(actor, Replace(0, number, price, step.size))
            self.oracle.replace(number, actor, price, step.size, stp)

    def choose(self, pick: int) -> int:
        """Mostly a resting order, now and then any order that ever was."""
        live = sorted(order.id for order in self.oracle.orders)
        numbers = live if pick % 4 and live else sorted(self.owner)
        return numbers[pick // 4 % len(numbers)]

    def run(self, trader: str, op: Cancel | Place | Replace) -> None:
        outcome = self.world.block(self.world.quick(trader, op))
        for f in outcome.fills:
            self.ours.append(
                (f.maker_order, f.taker_order, f.price, f.size, f.maker_fee, f.taker_fee)
            )

    def compare(self) -> None:
        world, oracle = self.world, self.oracle
        assert self.ours == oracle.fills
        assert world.state.fees[QUOTE] == oracle.fees
        ours = []
        for trader in TRADERS:
            ours += [
                (order.order_id, trader, order.side, order.price, order.size)
                for order in get_open_orders(world.state, world.addresses[trader])
            ]
        assert sorted(ours) == sorted(
            (o.id, o.owner, o.side, o.price, o.size) for o in oracle.orders
        )
        for trader in TRADERS:
            quote = (oracle.quote[trader], oracle.held(trader, 0))
            base = (oracle.base[trader], oracle.held(trader, 1))
            assert world.balance(trader, QUOTE) == quote
            assert world.balance(trader, BASE) == base


def make_steps(seed: int, count: int) -> list[Step]:
    """A reproducible sequence that keeps the book busy around one price."""
    rng = random.Random(seed)
    spread = rng.choice((2, 5, 20))
    return [
        Step(
            rng.randrange(10),
            rng.randrange(4),
            rng.randrange(2),
            100 + rng.randrange(-spread, spread + 1),
            rng.choice((1, 2, 3, 7, 20, 100)),
            rng.choice((0, 0, 0, 1, 2, 3)),
            rng.randrange(4),
            rng.randrange(1_000),
        )
        for _ in range(count)
    ]


def replay(seed: int, count: int = 40, funds: int = RICH) -> None:
    """Run one sequence through both and compare everything."""
    pair = Pair(funds=funds)
    for name in TRADERS:
        pair.world.quick(name, Cancel(0, 1))  # remembers the address
    for step in make_steps(seed, count):
        pair.apply(step)
    pair.compare()
