"""Turn order flow into recordings: a venue's recorded orders, and a seeded mix with sealed batches.

Rule: deterministic; the venue's orders become signed-off actions of 64 accounts in one `fair`
market, 64 events to a block. Here only the input counts, not the venue's own fills.
Spec: docs/how-to/compile-the-exchange.md
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.orderflow_data import Event, read_events
from bench.pipeline import DOMAIN, MARKETS, START_MS, Flow, make_genesis
from bench.recording import Funds, RecordedBlock, Recording, record_block, start
from exchange.actions import Action, AnyOp, Cancel, Place, Replace, VerifiedAction, verify
from exchange.execute import BlockInput, Member, execute
from exchange.genesis import ExchangeGenesis, MarketConfig
from exchange.operations import GTC, IOC, STP_OLDEST
from exchange.outcome import Outcome
from exchange.state import State
from primitives.keccak import keccak256

ACCOUNTS: Final = 64
EVENTS_PER_BLOCK: Final = 64
FUNDS: Final = (1 << 100).to_bytes(16, "big")
COMMITTEE: Final[tuple[Member, ...]] = tuple(
    (bytes([i] * 20), 1, bytes([i] * 20)) for i in range(1, 5)
)
OWNERS: Final = tuple(keccak256(b"owner %d" % i)[:20] for i in range(ACCOUNTS))


def make_block(height: int, actions: tuple[VerifiedAction, ...]) -> BlockInput:
    """Make a block at its usual time."""
    return BlockInput(
        height=height,
        time_ms=START_MS + height * 100,
        block_hash=keccak256(height.to_bytes(8, "big")),
        proposer=height % len(COMMITTEE),
        executed_height=max(0, height - 2),
        is_seal=False,
        committee=COMMITTEE,
        actions=actions,
    )


def record_mix(blocks: int, orders: int, seed: int = 7) -> Recording:
    """Record the pipeline's mix: post-only orders, cancels, commits and openings, signed."""
    genesis = make_genesis(checkpoint_interval=16)
    flow = Flow(seed, 5)
    funds = tuple(
        Funds(key.address, asset, FUNDS) for key in flow.keys for asset in range(MARKETS + 1)
    )
    recorded = []
    for height in range(1, blocks + 1):
        signed = flow.make_block(height, orders)
        actions = tuple([verify(action, DOMAIN) for action in signed])
        recorded.append(record_block(make_block(height, actions)))
    return Recording(genesis, funds, tuple(recorded))


def record_venue(directory: Path, events_max: int) -> Recording:
    """Record a venue's orders. Raises BadDataSet."""
    return record_events(read_events(directory)[:events_max])


def record_events(events: Sequence[Event]) -> Recording:
    """Record orders as actions; they are executed on the way, to learn the ids of orders."""
    flow = VenueFlow()
    blocks = [
        flow.make_block(events[i : i + EVENTS_PER_BLOCK])
        for i in range(0, len(events), EVENTS_PER_BLOCK)
    ]
    return Recording(flow.genesis, flow.funds, tuple(blocks))


class VenueFlow:
    """What the venue's order ids are called on our ledger."""

    def __init__(self) -> None:
        base = make_genesis(checkpoint_interval=16)
        market = MarketConfig(name="VENUE", base=1, quote=0, tick=1, lot=1, mode="fair")
        self.genesis = ExchangeGenesis(
            assets=base.assets[:2], markets=(market,), checkpoint_interval=16, freeze_after_ms=0
        )
        self.funds = tuple(Funds(owner, asset, FUNDS) for owner in OWNERS for asset in (0, 1))
        self.state: State = start(self.genesis, self.funds)
        self.ids: dict[int, int] = {}
        self.nonce = START_MS

    def make_block(self, events: Sequence[Event]) -> RecordedBlock:
        """Make the block of some events and execute it."""
        by_account: dict[int, list[tuple[int, AnyOp]]] = {}
        for event in events:
            op = self._make_op(event)
            if op is not None:
                account = event.order_id % ACCOUNTS
                by_account.setdefault(account, []).append((event.order_id, op))
        actions = tuple([self._act(account, ops) for account, ops in by_account.items()])
        block = make_block(self.state.height + 1, actions)
        self._note_ids(execute(self.state, block), list(by_account.values()))
        return record_block(block)

    def _act(self, account: int, ops: list[tuple[int, AnyOp]]) -> VerifiedAction:
        self.nonce += 1
        owner = OWNERS[account]
        deadline = self.nonce + 80_000_000
        action = Action(DOMAIN, owner, 0, self.nonce, deadline, False, tuple([op for _, op in ops]))
        return VerifiedAction(keccak256(self.nonce.to_bytes(8, "big")), 0, action, owner)

    def _make_op(self, event: Event) -> AnyOp | None:
        if event.op in ("SEED", "LIMIT"):
            return Place(0, event.side, event.price, event.size, GTC, STP_OLDEST)
        if event.op == "IOC":
            return Place(0, event.side, event.price, event.size, IOC, STP_OLDEST)
        number = self.ids.get(event.order_id)
        order = None if number is None else self.state.markets[0].book.orders.get(number)
        if order is None or event.op == "HIDDEN":
            return None
        if event.op == "AMEND":
            return Replace(0, order.id, event.price, event.size)
        if event.op == "CANCEL" or event.size >= order.size:
            return Cancel(0, order.id)
        return Replace(0, order.id, order.price, order.size - event.size)

    def _note_ids(self, outcome: Outcome, ops: list[list[tuple[int, AnyOp]]]) -> None:
        for receipt, given in zip(outcome.receipts, ops, strict=True):
            for number, (order_id, op) in zip(receipt.orders, given, strict=True):
                if isinstance(op, Place) and number:
                    self.ids[order_id] = number
