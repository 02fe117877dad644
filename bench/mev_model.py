"""Let makers, victims, and one attacker meet on a venue, and count who pays whom.

Rule: a run is a function of its seed. A fill is marked at the true price of the moment: the price
is a martingale, so what is held afterwards is worth nothing on average, but closing it costs half a
spread a lot, which the attacker is charged. Victims are measured against the true price at which
they decided.
Spec: docs/explanation/mev.md (the model). Deviations: none.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from bench.mev_venue import OPENING_DELAY, Venue
from exchange.actions import BUY, GTC, IOC, POST_ONLY, SELL, CancelAll, Place
from exchange.outcome import Fill

PRICE: Final = 1_000_000  # ticks; 100 ticks are one basis point
BP: Final = PRICE // 10_000
SIGMA: Final = 35  # ticks per block: 110 ppm over a second
HALF_SPREAD: Final = 2 * BP
STEP: Final = 1 * BP
DEEP, THIN = 10, 3  # levels of the makers' book; behind a thin one there is nothing
MAKERS: Final = 4  # one of them renews its quotes each block, all of them at a jump
LEVEL_LOTS: Final = 3  # of one maker at its first level; level i holds (i + 1) times as much
VICTIM_EVERY: Final = 8  # blocks
VICTIM_LOTS: Final = (5, 60)
SLIPPAGE_BP: Final = (10, 50)  # what a victim accepts beyond the true price
JUMP_EVERY: Final = 25  # blocks
JUMP: Final = 10 * BP
WARM_UP: Final = 5

VICTIM, ATTACKER = b"\x02" * 20, b"\x03" * 20
MAKER_KEYS: Final = [bytes([0x10 + i]) * 20 for i in range(MAKERS)]
ACCOUNTS: Final = [VICTIM, ATTACKER, *MAKER_KEYS]
TIER_LOTS: Final = 10  # a sealed commit shows whether it is for more than this


@dataclass(frozen=True)
class Plan:
    """What the attacker does around a victim: sweep up to `levels` levels of the book, and offer
    the same again a tick below the level that lies `steps` higher."""

    levels: int
    steps: int
    covers: bool = False  # sweep at least what the victim wants, instead of at most
    sweeps: bool = True  # False: only the offer, which anybody may make who was there before


@dataclass
class Result:
    """Money in ticks times lots, by the end of a run."""

    victims: int = 0
    victim_lots: int = 0
    victim_filled: int = 0  # lots
    victim_cost: int = 0  # of what was filled, against the true price when they decided
    attacker: int = 0  # after closing what is left
    maker: int = 0
    maker_lots: int = 0
    jumps: int = 0


@dataclass
class Run:
    """One market for some blocks."""

    venue: Venue
    dice: random.Random
    plan: Plan | None  # None: nobody sandwiches
    snipes: bool = False
    levels: int = DEEP
    maker_lag: int = 0  # blocks until makers react
    true_price: int = PRICE
    history: list[int] = field(default_factory=lambda: [PRICE])
    result: Result = field(default_factory=Result)
    decided: dict[int, int] = field(default_factory=dict)  # height → true price
    held: int = 0  # lots, by the attacker since its last attack

    def run(self, blocks: int) -> Result:
        """Play some blocks and let what is sealed clear."""
        for number in range(WARM_UP + blocks):
            self._move(number)
            self._act(number)
            self._settle()
        for _ in range(OPENING_DELAY + 1):
            self._settle()
        self._close_position()
        return self.result

    # The world

    def _move(self, number: int) -> None:
        self.true_price += round(self.dice.gauss(0, SIGMA))
        if self.snipes and number >= WARM_UP and self.dice.randrange(JUMP_EVERY) == 0:
            self.true_price += self.dice.choice((-JUMP, JUMP))
            self.result.jumps += 1
        self.history.append(self.true_price)

    def _act(self, number: int) -> None:
        """Queue a block's actions in the order that suits a proposer who is the attacker."""
        lag = min(self.maker_lag, len(self.history) - 2)
        seen, before = self.history[-1 - lag], self.history[-2 - lag]
        self.venue.send(ATTACKER, CancelAll(0))
        if self.snipes:
            self._snipe()
        has_jumped = abs(seen - before) > JUMP // 2
        self._quote(number, seen, all_of_them=has_jumped or number == 0)
        victim = self._decide(number)
        if victim is None:
            return
        if self.plan is not None:
            self._sandwich(victim, seen)
        self.decided[self.venue.take(VICTIM, victim)] = self.true_price

    def _quote(self, number: int, price: int, *, all_of_them: bool) -> None:
        orders = [
            Place(0, side, price + sign * (HALF_SPREAD + i * STEP), LEVEL_LOTS * (i + 1), POST_ONLY)
            for side, sign in ((BUY, -1), (SELL, 1))
            for i in range(self.levels)
        ]
        for index, maker in enumerate(MAKER_KEYS):
            if all_of_them or number % MAKERS == index:
                self.venue.send(maker, CancelAll(0), *orders)

    def _decide(self, number: int) -> Place | None:
        if number < WARM_UP or self.dice.randrange(VICTIM_EVERY):
            return None
        side, lots = self.dice.choice((BUY, SELL)), self.dice.randint(*VICTIM_LOTS)
        bound = self.dice.randint(*SLIPPAGE_BP) * BP
        price = self.true_price + (bound if side == BUY else -bound)
        self.result.victims += 1
        self.result.victim_lots += lots
        return Place(0, side, price, lots, IOC)

    # The attacker

    def _sandwich(self, victim: Place, mid: int) -> None:
        """Buy what the victim would buy, and offer it again dearer."""
        assert self.plan is not None
        levels = self._choose_levels(victim)
        if not levels:
            return
        self._close_position()
        sign = 1 if victim.side == BUY else -1
        lots = lots_of(levels)
        sweep = mid + sign * (HALF_SPREAD + (levels - 1) * STEP)
        offer = sweep + sign * (self.plan.steps * STEP - 1)
        if self._is_plain:  # the victim's bound is in plain sight
            offer = min(offer, victim.price) if sign > 0 else max(offer, victim.price)
        front = Place(0, victim.side, sweep, lots, IOC)
        again = Place(0, 1 - victim.side, offer, lots, GTC if self._is_plain else POST_ONLY)
        if not self.plan.sweeps:
            self.venue.send(ATTACKER, again)
        elif self._is_plain:
            self.venue.send(ATTACKER, front, again)
        else:
            self.venue.take(ATTACKER, front)
            self.venue.send(ATTACKER, again)

    def _choose_levels(self, victim: Place) -> int:
        """Say how many levels to sweep: by the victim's size where it is in plain sight."""
        assert self.plan is not None
        if not self._is_plain:
            return min(self.plan.levels, self.levels) if victim.size > TIER_LOTS else 0
        levels = range(1, min(self.plan.levels, self.levels) + 1)
        if self.plan.covers:
            return next((n for n in levels if lots_of(n) >= victim.size), levels[-1])
        return max((n for n in levels if lots_of(n) <= victim.size), default=0)

    def _snipe(self) -> None:
        """Take quotes that the makers have not moved yet."""
        before, now = self.history[-2], self.history[-1]
        move = now - before
        if abs(move) < HALF_SPREAD * 2:
            return
        self._close_position()
        side = BUY if move > 0 else SELL
        bound = now - HALF_SPREAD if move > 0 else now + HALF_SPREAD
        self.venue.take(ATTACKER, Place(0, side, bound, lots_of(self.levels), IOC))

    # Counting

    @property
    def _is_plain(self) -> bool:
        return not self.venue.is_sealed

    def _settle(self) -> None:
        """Execute the block and book its fills."""
        for maker, taker, fill in self.venue.step():
            sign = 1 if fill.taker_side == BUY else -1
            gain = sign * (self.true_price - fill.price) * fill.size  # of the taker
            self._book(taker, gain, sign * fill.size)
            self._book(maker, -gain, -sign * fill.size)
            if taker == VICTIM:
                self._book_victim(sign, fill)

    def _book(self, account: bytes, gain: int, lots: int) -> None:
        if account == ATTACKER:
            self.result.attacker += gain
            self.held += lots
        elif account in MAKER_KEYS:
            self.result.maker += gain
            self.result.maker_lots += abs(lots)

    def _book_victim(self, sign: int, fill: Fill) -> None:
        then = self.decided[fill.batch]
        self.result.victim_filled += fill.size
        self.result.victim_cost += sign * (fill.price - then) * fill.size

    def _close_position(self) -> None:
        """Charge what it costs to get rid of what the last attack left."""
        self.result.attacker -= abs(self.held) * HALF_SPREAD
        self.held = 0


def lots_of(levels: int) -> int:
    """Return what all makers together offer on the first levels of a side."""
    return MAKERS * LEVEL_LOTS * levels * (levels + 1) // 2
