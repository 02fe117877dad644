"""Make a state with many resting orders, and blocks that trade around and among them.

Rule: deterministic. The flow is that of `bench.pipeline`; a tenth as many cancels hit resting
orders at random, so that old orders change too.
Spec: docs/reference/benchmarks.md
Deviations: the resting orders are put on the books without blocks.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

from bench.pipeline import DOMAIN, MID, START_MS, Flow, make_genesis
from bench.recorded_flows import FUNDS, make_block
from bench.recording import Funds, start
from exchange.actions import Action, Cancel, VerifiedAction, verify
from exchange.execute import BlockInput
from exchange.genesis import ExchangeGenesis
from exchange.operations import GTC
from exchange.order_book import make_order
from exchange.roots import update_accounts
from exchange.settlement import enlist, hold_funds
from exchange.state import State
from primitives.keccak import keccak256

CHECKPOINT_INTERVAL: Final = 16
ORDERS_PER_ACTION: Final = 5
NEAREST: Final = 2_100
"""Ticks from the middle to the nearest of the many; takers go as far as 2,000."""
LEVELS: Final = 20_000
CANCELS_PER_ACTION: Final = 50


class Crowd:
    """A state with resting orders, and its flow."""

    def __init__(self, resting: int, markets: int, seed: int = 7) -> None:
        self.random = random.Random(seed)
        self.flow = Flow(seed, ORDERS_PER_ACTION, markets)
        self.genesis: ExchangeGenesis = make_genesis(
            checkpoint_interval=CHECKPOINT_INTERVAL, markets=markets, orders_each=1_000_000
        )
        owners = [key.address for key in self.flow.keys]
        self.state: State = start(
            self.genesis,
            tuple(Funds(o, asset, FUNDS) for o in owners for asset in range(markets + 1)),
        )
        self.orders: list[tuple[bytes, Cancel]] = []
        """Owner and cancel of every order of the crowd that still rests."""
        for i in range(resting):
            self._rest(owners[i % len(owners)], i // len(owners) % markets)
        self._settle()
        self.nonce = START_MS + 50_000_000

    def _rest(self, owner: bytes, number: int) -> None:
        state, rng = self.state, self.random
        market = state.markets[number]
        account = state.by_address[owner]
        trader = account.get_trader(0, number)
        if trader is None:
            quote = account.open_balance(0, market.quote)
            trader = account.add_trader(0, number, quote, account.open_balance(0, market.base))
        side = rng.randrange(2)
        away = NEAREST + rng.randrange(LEVELS)
        price = MID + away if side else MID - away
        order = make_order(
            state.next_order, trader, side, price, rng.randrange(1, 100), GTC, 0, 0, 0
        )
        state.next_order += 1
        if not hold_funds(market, order):
            raise AssertionError("the crowd has funds")
        enlist(market, order)
        market.book.rest(order)
        self.orders.append((owner, Cancel(number, order.id)))

    def _settle(self) -> None:
        """Bring the roots up to date, as the blocks would have that placed the orders."""
        update_accounts(self.state)
        self.state.log.clear()
        for market in self.state.markets:
            market.book.bids.take_touched()
            market.book.asks.take_touched()
            market.tree.update(market.book)

    def make_block(self, height: int, orders: int) -> BlockInput:
        """Make a block of about `orders` orders, verified."""
        actions = [verify(action, DOMAIN) for action in self.flow.make_block(height, orders)]
        return make_block(height, (*actions, *self._cancel_some(orders // 10)))

    def _cancel_some(self, count: int) -> list[VerifiedAction]:
        chosen: dict[bytes, list[Cancel]] = {}
        for _ in range(min(count, len(self.orders) // 20)):
            i = self.random.randrange(len(self.orders))
            self.orders[i], self.orders[-1] = self.orders[-1], self.orders[i]
            owner, cancel = self.orders.pop()
            chosen.setdefault(owner, []).append(cancel)
        actions = []
        for owner, ops in chosen.items():
            for i in range(0, len(ops), CANCELS_PER_ACTION):
                self.nonce += 1
                part = tuple(ops[i : i + CANCELS_PER_ACTION])
                deadline = self.nonce + 80_000_000
                action = Action(DOMAIN, owner, 0, self.nonce, deadline, False, part)
                digest = keccak256(self.nonce.to_bytes(8, "big"))
                actions.append(VerifiedAction(digest, 0, action, owner))
        return actions


def get_memory_mb() -> int:
    """Return the most memory this process ever had, 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:")]
    return found[0] if found else 0
