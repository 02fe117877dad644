"""Measure what market data adds to an order: numbering, records, store, and books for listeners.

    python -m bench.market_data [--blocks 20] [--orders 1000] [--ops 20]

Rule: the flow is that of `bench.pipeline`; times are CPU seconds of this process, per accepted
operation; the store is a fresh file.
Spec: docs/spec/market-data.md
Deviations: none.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bench.pipeline import DOMAIN, MARKETS, START_MS, Flow, make_genesis
from exchange.actions import verify
from exchange.execute import BlockInput, execute
from exchange.ledger import credit
from exchange.outcome import Outcome
from exchange.roots import update_accounts
from exchange.state import State
from node.api.render import encode_msgpack
from node.blocks.records import make_executed_record
from node.replica.tape import Tape
from node.replica.tape_snapshot import wrap_chunks
from node.views.book_views import make_l2, make_l2_update, make_l3, make_l3_update
from primitives.keccak import keccak256
from storage.chain_store import ChainStore

T = TypeVar("T")
PARTS = ("execute", "tape", "record", "store", "l2", "l3")


class Measurement:
    """One run; `seconds` per part."""

    def __init__(self, folder: Path, per_action: int) -> None:
        self.flow = Flow(7, per_action)
        self.state, self.tape = State(make_genesis()), Tape()
        for key in self.flow.keys:
            for asset in range(MARKETS + 1):
                credit(self.state, key.address, 0, asset, 1 << 70)
                self.state.deposited[asset] += 1 << 70
        update_accounts(self.state)
        self.store = ChainStore(folder / "chain.sqlite", bytes(32))
        self.committee = tuple((bytes([i] * 20), 1, bytes([i] * 20)) for i in range(4))
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.operations = self.fills = self.events = 0

    def take(self, part: str, work: Callable[[], T]) -> T:
        """Add a call's CPU time to a part."""
        started = time.process_time()
        result = work()
        self.seconds[part] += time.process_time() - started
        return result

    def run_block(self, height: int, orders: int) -> None:
        """Execute one block and serve it to a listener of every market."""
        actions = tuple(verify(a, DOMAIN) for a in self.flow.make_block(height, orders))
        block = BlockInput(
            height=height,
            time_ms=START_MS + height * 100,
            block_hash=keccak256(height.to_bytes(8, "big")),
            proposer=height % 4,
            executed_height=max(0, height - 2),
            is_seal=False,
            committee=self.committee,
            actions=actions,
        )
        outcome = self.take("execute", lambda: execute(self.state, block))
        tape = self.take(
            "tape", lambda: self.tape.apply(outcome, self.state.accounts, self.state.markets)
        )
        record = self.take("record", lambda: make_executed_record(outcome, self.state, tape))
        self.take("store", lambda: self.store.write_executed(record))
        self.take("l2", lambda: self._push(make_l2_update, outcome))
        self.take("l3", lambda: self._push(make_l3_update, outcome))
        self.operations += sum(len(action.ops) for action in actions)
        self.fills += len(outcome.fills)
        self.events += sum(len(batch.events) for batch in tape.accounts)

    def _push(self, make: Callable[[State, Tape, Outcome, int], object], outcome: Outcome) -> None:
        for market in self.tape.block.updates:
            encode_msgpack(make(self.state, self.tape, outcome, market))

    def report(self) -> dict[str, float]:
        """Return microseconds per operation and milliseconds per snapshot."""
        found: dict[str, float] = {
            "operations": self.operations,
            "fills": self.fills,
            "account_events": self.events,
        }
        for part, seconds in self.seconds.items():
            found[f"{part}_us_per_operation"] = round(seconds / self.operations * 1e6, 2)
        for name, work in (
            ("l2_snapshot", lambda: encode_msgpack(make_l2(self.state, self.tape, 0))),
            ("l3_snapshot", lambda: encode_msgpack(make_l3(self.state, self.tape, 0))),
            ("tape_snapshot", lambda: wrap_chunks((), self.tape, b"")),
        ):
            started = time.process_time()
            work()
            found[f"{name}_ms"] = round((time.process_time() - started) * 1e3, 2)
        found["resting_orders_of_market_0"] = len(self.state.markets[0].book.orders)
        return found


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--orders", type=int, default=1_000, help="new orders per block")
    parser.add_argument("--ops", type=int, default=20, help="operations per action")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measurement = Measurement(Path(name), options.ops)
        gc.collect()
        gc.freeze()
        for height in range(1, options.blocks + 1):
            measurement.run_block(height, options.orders)
        print(json.dumps(measurement.report()))
        measurement.store.close()


if __name__ == "__main__":
    main()
