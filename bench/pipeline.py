"""Measure what one order costs: decode, verify, execute, by orders per signed action.

python -m bench.pipeline [--blocks N] [--orders N] [--profile K]

Rule: the same actions go through `verify` and `execute` as in a node; times are CPU seconds of this
process, its memory collected as in a node. Mix: 60 % post-only, 30 % cancels, 10 % sealed takers (a
commit and its opening are one order), 100 accounts, 4 markets.

Spec: docs/spec/exchange.md
Deviations: none.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
import random
import time
from typing import Final, NamedTuple

from exchange.actions import (
    Action,
    AnyOp,
    CancelClient,
    Commit,
    Open,
    Place,
    SignedAction,
    compute_commit_hash,
    sign,
    verify,
)
from exchange.execute import BlockInput, execute
from exchange.genesis import AssetConfig, ExchangeGenesis, MarketConfig
from exchange.ledger import credit
from exchange.operations import HOLD_BASE, HOLD_QUOTE, IOC, POST_ONLY
from exchange.reasons import is_accepted
from exchange.roots import update_accounts
from exchange.state import State
from node.limits import GC_THRESHOLDS
from primitives.eip712 import network_domain
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

ACCOUNTS: Final = 100
MARKETS: Final = 4
DOMAIN: Final = network_domain(bytes(32))
START_MS: Final = 1_700_000_000_000
MID: Final = 100_000
SALT: Final = bytes(32)


class Timing(NamedTuple):
    """CPU microseconds per accepted order."""

    orders_per_action: int
    orders: int
    fills: int
    decode_verify_us: float
    execute_us: float
    orders_per_second: int


class Flow:
    """A seeded flow of actions in which every trader knows its own orders."""

    def __init__(self, seed: int, per_action: int, markets: int = MARKETS) -> None:
        self.random = random.Random(seed)
        self.markets = markets
        self.per_action = per_action
        self.keys = [PrivateKey(keccak256(b"bench" + bytes([i]))) for i in range(ACCOUNTS)]
        self.live: list[list[tuple[int, int]]] = [[] for _ in range(ACCOUNTS)]
        self.openings: list[tuple[int, int, Open]] = []
        self.nonce = START_MS
        self.client_id = 0

    def make_block(self, height: int, orders: int) -> list[SignedAction]:
        """Sign one block's actions: new orders, and openings of the commits two blocks before."""
        actions = []
        due = [o for o in self.openings if o[0] <= height]
        self.openings = [o for o in self.openings if o[0] > height]
        for start in range(0, len(due), self.per_action):
            by_trader: dict[int, list[AnyOp]] = {}
            for _, trader, opening in due[start : start + self.per_action]:
                by_trader.setdefault(trader, []).append(opening)
            actions += [self._sign(trader, ops) for trader, ops in by_trader.items()]
        for _ in range(0, orders, self.per_action):
            actions.append(self._make_action(height))
        return actions

    def _sign(self, trader: int, ops: list[AnyOp], nonce: int = 0) -> SignedAction:
        if not nonce:
            self.nonce += 1
            nonce = self.nonce
        key = self.keys[trader]
        action = Action(DOMAIN, key.address, 0, nonce, nonce + 80_000_000, False, tuple(ops))
        return sign(action, key)

    def _make_action(self, height: int) -> SignedAction:
        trader = self.random.randrange(ACCOUNTS)
        self.nonce += 1
        nonce = self.nonce
        ops = [self._make_op(trader, nonce, height) for _ in range(self.per_action)]
        return self._sign(trader, ops, nonce)

    def _make_op(self, trader: int, nonce: int, height: int) -> AnyOp:
        rng = self.random
        draw = rng.random()
        market = rng.randrange(self.markets)
        live = self.live[trader]
        if draw < 0.3 and live:
            i = rng.randrange(len(live))
            live[i], live[-1] = live[-1], live[i]
            where, client_id = live.pop()
            return CancelClient(where, client_id)
        side = rng.randrange(2)
        if draw < 0.9:
            self.client_id += 1
            live.append((market, self.client_id))
            away = 1 + int(rng.expovariate(0.02))
            price = MID + away if side else MID - away
            return Place(market, side, price, rng.randrange(1, 100), POST_ONLY, 0, self.client_id)
        price = MID - 2_000 if side else MID + 2_000
        orders = (Place(market, side, price, rng.randrange(1, 100), IOC, 1),)
        salt = rng.randbytes(32)
        owner = self.keys[trader].address
        sealed = compute_commit_hash(DOMAIN, owner, market, nonce, orders, salt)
        self.openings.append((height + 2, trader, Open(market, sealed, orders, salt)))
        return Commit(market, HOLD_BASE if side else HOLD_QUOTE, 2 if side else 8, sealed)


def make_genesis(
    *, checkpoint_interval: int = 1_000, markets: int = MARKETS, orders_each: int = 100_000
) -> ExchangeGenesis:
    """Describe sealed, uniform markets that share one quote asset."""
    assets = tuple(
        AssetConfig(
            name=f"A{i}", decimals=6, chain_id=1, vault="0x" + "11" * 20, token=f"0x{i:040x}"
        )
        for i in range(markets + 1)
    )
    configs = tuple(
        MarketConfig(name=f"M{i}", base=i + 1, quote=0, tick=1, lot=1, reference_price=MID)
        for i in range(markets)
    )
    return ExchangeGenesis(
        assets=assets,
        markets=configs,
        checkpoint_interval=checkpoint_interval,
        orders_per_account_market=orders_each,
    )


def measure(per_action: int, blocks: int, orders: int, profile: bool) -> Timing:
    """Run the flow and time its parts."""
    state = State(make_genesis())
    flow = Flow(7, per_action)
    for key in flow.keys:
        for asset in range(MARKETS + 1):
            credit(state, key.address, 0, asset, 1 << 70)
            state.deposited[asset] += 1 << 70
    update_accounts(state)
    committee = tuple((bytes([i] * 20), 1, bytes([i] * 20)) for i in range(4))
    profiler = cProfile.Profile()
    accepted = fills = 0
    verify_seconds = execute_seconds = 0.0
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    for height in range(1, blocks + 1):
        signed = flow.make_block(height, orders)
        started = time.process_time()
        actions = tuple([verify(action, DOMAIN) for action in signed])
        verified = time.process_time()
        block = BlockInput(
            height=height,
            time_ms=START_MS + height * 100,
            block_hash=keccak256(height.to_bytes(8, "big")),
            proposer=height % 4,
            executed_height=max(0, height - 2),
            is_seal=False,
            committee=committee,
            actions=actions,
        )
        if profile:
            profiler.enable()
        outcome = execute(state, block)
        profiler.disable()
        execute_seconds += time.process_time() - verified
        verify_seconds += verified - started
        fills += len(outcome.fills)
        for receipt, action in zip(outcome.receipts, actions, strict=True):
            for status, op in zip(receipt.statuses, action.ops, strict=True):
                accepted += is_accepted(status) and not isinstance(op, Commit)
    gc.unfreeze()
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(28)
    total = verify_seconds + execute_seconds
    return Timing(
        per_action,
        accepted,
        fills,
        round(verify_seconds / accepted * 1e6, 2),
        round(execute_seconds / accepted * 1e6, 2),
        round(accepted / total),
    )


def main() -> None:
    """Print one JSON line per number of orders per action."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--orders", type=int, default=1_000, help="new orders per block")
    parser.add_argument("--profile", type=int, default=0, help="profile this many per action")
    options = parser.parse_args()
    for per_action in (options.profile,) if options.profile else (1, 5, 20):
        timing = measure(per_action, options.blocks, options.orders, options.profile > 0)
        print(json.dumps(timing._asdict()))


if __name__ == "__main__":
    main()
