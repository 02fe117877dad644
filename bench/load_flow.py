"""Sign a whole load in advance: who sends which action when.

Rule: nothing here touches a network or reads a clock; the same seed and start give the same orders
(the salts of commits differ). Mix: of every ten orders six are post-only, three are cancels and one
is a sealed taker, whose commit and opening are one order.
Spec: docs/reference/benchmarks.md (End to end).
Deviations: none.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from client.actions import ActionBuilder, MarketTerms, Signed
from client.keys import Credentials
from exchange.actions import BUY, IOC, POST_ONLY, SELL, AnyOp, CancelClient, Open, Place
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

NEAR_TICKS: Final = 10  # orders within this of the middle are there to be taken
REACH_TICKS: Final = 20  # how far beyond the middle a taker goes
FAR_TICKS: Final = (25, 120)  # orders there are never reached, so their cancels succeed
SIZE_LOTS_MAX: Final = 4
NEAR_SHARE: Final = 1 / 3  # of the post-only orders
WARM_ORDERS: Final = 42  # per maker and market, resting before the clock starts
WARM_OPS: Final = 21  # per action of the warm-up
WARM_NEAR: Final = 6  # of WARM_ORDERS
LIFETIME_MS: Final = 12 * 3_600_000
TAKER_SHARE: Final = 0.4  # of the accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One action to be sent."""

    due_s: float  # after the start
    account: int
    signed: Signed
    orders: int  # it stands for; 0 for a commit, whose opening counts
    opening: Signed | None = None  # to be sent when this commit is final


@dataclass(slots=True)
class _Maker:
    """What a maker may cancel: client ids of its far orders per market, oldest first."""

    next_id: int = 1
    far: list[deque[int]] = field(default_factory=list)


class LoadFlow:
    """A seeded load of many accounts over some markets."""

    def __init__(
        self,
        *,
        domain: bytes,
        markets: Sequence[MarketTerms],
        middles: Sequence[int],
        accounts: int,
        seed: int,
        now_ms: int,
    ) -> None:
        """`middles` are the prices (ticks) around which everything happens."""
        self._rng = random.Random(seed)
        self._markets = tuple(markets)
        self._middles = tuple(middles)
        self.keys = tuple(make_key(seed, index) for index in range(accounts))
        self._nonce_ms = now_ms
        self._turn = 0
        self._builders = tuple(
            ActionBuilder(
                domain=domain,
                credentials=Credentials.of_wallet(key),
                clock=lambda: self._nonce_ms,
                deadline_ms=LIFETIME_MS,
            )
            for key in self.keys
        )
        takers = max(1, int(accounts * TAKER_SHARE))
        self.takers = tuple(range(takers))
        self.makers = tuple(range(takers, accounts))
        self._state = {index: self._new_maker() for index in self.makers}

    def _new_maker(self) -> _Maker:
        return _Maker(far=[deque() for _ in self._markets])

    def warm_up(self) -> list[Send]:
        """Sign the orders that rest before the clock starts."""
        sends = []
        for index in self.makers:
            for market in range(len(self._markets)):
                for first in range(0, WARM_ORDERS, WARM_OPS):
                    ops = [
                        self._place(index, market, is_near=first + n < WARM_NEAR)
                        for n in range(WARM_OPS)
                    ]
                    sends.append(self._send(0.0, index, ops))
        return sends

    def make(self, *, orders_per_second: float, seconds: float, per_action: int) -> list[Send]:
        """Sign everything to be sent, in the order of sending."""
        actions = max(1, round(orders_per_second * seconds / per_action))
        gap_s = seconds / actions
        makers, takers = _cycle(self._rng, self.makers), _cycle(self._rng, self.takers)
        sends = []
        for number in range(actions):
            due_s = number * gap_s
            if number % 10 == 9:
                sends.append(self._take(due_s, next(takers), per_action))
            else:
                sends.append(self._make(due_s, next(makers), per_action))
        return sends

    def _make(self, due_s: float, index: int, per_action: int) -> Send:
        """Two post-only orders to one cancel."""
        market = self._rng.randrange(len(self._markets))
        ops: list[AnyOp] = []
        for _ in range(per_action):
            far = self._state[index].far[market]
            self._turn += 1
            if self._turn % 3 == 0 and far:
                ops.append(CancelClient(market, far.popleft()))
            else:
                ops.append(self._place(index, market, is_near=self._rng.random() < NEAR_SHARE))
        return self._send(due_s, index, ops)

    def _place(self, index: int, market: int, *, is_near: bool) -> Place:
        rng, state = self._rng, self._state[index]
        side = rng.choice((BUY, SELL))
        away = rng.randint(1, NEAR_TICKS) if is_near else rng.randint(*FAR_TICKS)
        price = self._middles[market] + (away if side == SELL else -away)
        size = rng.randint(1, SIZE_LOTS_MAX)
        if is_near:
            return Place(market, side, price, size, POST_ONLY)
        client_id, state.next_id = state.next_id, state.next_id + 1
        state.far[market].append(client_id)
        return Place(market, side, price, size, POST_ONLY, client_id=client_id)

    def _take(self, due_s: float, index: int, per_action: int) -> Send:
        """One action of commits, and the one that opens them all."""
        market = self._rng.randrange(len(self._markets))
        side = BUY if index // 4 % 2 else SELL  # one side each, or it would trade with itself
        orders = []
        for _ in range(per_action):
            reach = REACH_TICKS if side == BUY else -REACH_TICKS
            size = self._rng.randint(1, SIZE_LOTS_MAX)
            orders.append((Place(market, side, self._middles[market] + reach, size, IOC),))
        builder = self._builders[index]
        self._nonce_ms += 1
        commit, openings = builder.seal_many(self._markets[market], orders)
        self._nonce_ms += 1
        ops: tuple[Open, ...] = openings
        opening = builder.sign(*ops)
        return Send(due_s=due_s, account=index, signed=commit, orders=per_action, opening=opening)

    def _send(self, due_s: float, index: int, ops: Sequence[AnyOp]) -> Send:
        self._nonce_ms += 1
        signed = self._builders[index].sign(*ops)
        return Send(due_s=due_s, account=index, signed=signed, orders=len(ops))


def make_key(seed: int, index: int) -> PrivateKey:
    """Return the wallet of one account of the load; public and worth nothing."""
    return PrivateKey(keccak256(f"omnibazaar load {seed} {index}".encode()))


def _cycle(rng: random.Random, indices: Sequence[int]) -> _Cycle:
    return _Cycle(rng, indices)


class _Cycle:
    """Go round all accounts, each round in another order."""

    def __init__(self, rng: random.Random, indices: Sequence[int]) -> None:
        self._rng = rng
        self._all = list(indices)
        self._left: list[int] = []

    def __next__(self) -> int:
        if not self._left:
            self._left = self._rng.sample(self._all, len(self._all))
        return self._left.pop()
