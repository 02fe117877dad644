"""Random trading on real ledgers: the same blocks for each, one of them begun from a snapshot.

Rule: actions are as if verified; everything behind `Ledger.execute` is the product.
Spec: docs/spec/market-data.md. Deviations: none.
"""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import msgspec

from exchange.actions import (
    BUY,
    FOK,
    GTC,
    IOC,
    POST_ONLY,
    SELL,
    Cancel,
    CancelAll,
    Place,
    Replace,
    Transfer,
    encode_amount,
)
from exchange.actions import verify as verify_action
from exchange.genesis import AllowanceTerms
from exchange.outcome import Outcome
from node.blocks.records import make_executed_record
from node.replica.ledger import Ledger
from primitives.keccak import keccak256
from storage.chain_store import ChainStore
from storage.records import ExecutedRecord
from tests.exchange.chaos import NAMES, Chaos
from tests.exchange.world import DOMAIN, START_MS, World, make_genesis, make_key

NETWORK = b"n" * 32
TRADERS = ("alice", "bob", "carol", "dave")


class Flow:
    """A seeded stream of blocks: (block, actions) as a ledger takes them."""

    def __init__(self, seed: int, *, markets: int = 2, mode: str = "fair") -> None:
        self.r = random.Random(seed)
        self.world = World(make_genesis(markets=markets, mode=mode, checkpoint_interval=5))
        self.height, self.time_ms = 0, START_MS
        self.blocks: list[tuple[SimpleNamespace, tuple]] = []

    def ledger(self) -> Ledger:
        return Ledger(self.world.genesis, self.world.committee)

    def make(self, ledger: Ledger) -> tuple[SimpleNamespace, tuple]:
        """Make the next block, with a look at the ledger it will be executed on."""
        self.height += 1
        self.time_ms += self.r.choice((50, 700, 20_000, 400_000))
        header = SimpleNamespace(
            height=self.height,
            time_ms=self.time_ms,
            proposer=self.height % 4,
            executed_height=max(0, self.height - 2),
        )
        block = make_block(header, keccak256(self.height.to_bytes(8, "big")))
        made = (block, tuple(self._actions(ledger)))
        self.blocks.append(made)
        return made

    def _actions(self, ledger: Ledger):
        if self.height == 1:
            owners = [make_key(name).address for name in TRADERS]
            deposits = [(o, asset, 10**9) for o in owners for asset in (0, 1)]
            return [verify_action(a, DOMAIN) for a in self.world.attest(*deposits)]
        return [self._action(ledger) for _ in range(self.r.randrange(12))]

    def _action(self, ledger: Ledger):
        r, name = self.r, self.r.choice(TRADERS)
        market = r.randrange(len(ledger.state.markets))
        orders = sorted(ledger.state.markets[market].book.orders)
        kind = r.random()
        if kind < 0.12 and orders:
            op = Cancel(market, r.choice(orders))
        elif kind < 0.3 and orders:
            op = Replace(market, r.choice(orders), r.randrange(990, 1_011), r.randrange(1, 40))
        elif kind < 0.32:
            op = CancelAll(market)
        elif kind < 0.36:
            to = make_key(r.choice(TRADERS)).address
            op = Transfer(r.randrange(2), encode_amount(r.randrange(1, 10_000)), to, 0)
        else:
            tif = r.choice((GTC, GTC, GTC, IOC, FOK, POST_ONLY))
            side = r.choice((BUY, SELL))
            op = Place(
                market, side, r.randrange(990, 1_011), r.randrange(1, 40), tif, r.randrange(4)
            )
        return self.world.quick(name, op)


class ChaosFlow:
    """The exchange's own stream of everything, commits and openings included."""

    def __init__(self, seed: int, **safety: int | str) -> None:
        self.chaos = Chaos(seed, **safety)
        genesis = self.chaos.world.genesis
        genesis = msgspec.structs.replace(genesis, allowance=AllowanceTerms())  # a long hour
        self.world = self.chaos.world = World(genesis)

    def ledger(self) -> Ledger:
        return Ledger(self.world.genesis, self.world.committee)

    def make(self, ledger: Ledger) -> tuple[SimpleNamespace, tuple]:
        """Make the next block."""
        if ledger.height == 0:
            deposits = [
                (make_key(name).address, asset, amount)
                for name in NAMES
                for asset, amount in ((0, 5_000_000), (1, 500_000))
            ]
            actions = tuple(verify_action(a, DOMAIN) for a in self.world.attest(*deposits))
            header = SimpleNamespace(height=1, time_ms=START_MS, proposer=0, executed_height=0)
            return make_block(header, keccak256(b"first")), actions
        block = self.chaos.make_block()
        return make_block(block, block.block_hash), block.actions


def make_block(header: Any, block_hash: bytes) -> SimpleNamespace:
    """Return what a ledger reads of a block, with the hash in place of the header's words."""
    body = SimpleNamespace(bundles=(), header=block_hash)
    return SimpleNamespace(header=header, hash=block_hash, height=header.height, body=body)


def record(ledger: Ledger, outcome: Outcome) -> ExecutedRecord:
    return make_executed_record(outcome, ledger.state, ledger.tape.block)


def adopt(store: ChainStore, ledger: Ledger) -> None:
    """Begin a store where a restored ledger is."""
    store.adopt_snapshot(
        height=ledger.height,
        time_ms=ledger.state.time_ms,
        state_root=ledger.roots.state,
        fees_root=ledger.roots.fees,
        last_fill=ledger.tape.fills,
        candles=ledger.tape.candles.values(),
    )
