"""A withdrawal is proven against what its vault has accepted for good.

Spec: docs/reference/api.md (Settlement). Deviations: none.
"""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

from exchange.actions import Withdraw, encode_amount
from node.blocks.records import make_executed_record
from node.replica.tape import Tape
from node.settlement.vault_monitor import VaultMonitor
from node.views.withdrawal_views import prove_withdrawal
from storage.chain_store import ChainStore
from tests.exchange.world import NETWORK_ID, QUOTE, VAULT, World, make_key


class Store:
    """A ledger with one withdrawal, on record."""

    def __init__(self) -> None:
        self.world = World()
        self.store = ChainStore(":memory:", NETWORK_ID)
        self.tape = Tape()
        self._record(*self.world.attest((make_key("ann").address, QUOTE, 10**12)))
        op = Withdraw(QUOTE, encode_amount(10**6), make_key("ann").address)
        self._record(self.world.act("ann", op))
        for _ in range(4):
            self._record()

    def _record(self, *actions: Any) -> None:
        outcome, state = self.world.block(*actions), self.world.state
        self.tape.apply(outcome, state.accounts, state.markets)
        self.store.write_executed(make_executed_record(outcome, state, self.tape.block))

    async def run(self, query: Any, *arguments: Any) -> Any:
        return query(self.store.read, *arguments)


async def prove(store: Store, *confirmed: int, head: int) -> Any:
    monitor: Any = SimpleNamespace(
        place=(31337, VAULT),
        accepted=deque(SimpleNamespace(executed_height=height) for height in confirmed),
        status=SimpleNamespace(executed_height=head),
    )
    monitor.accepted_height = lambda: VaultMonitor.accepted_height(monitor)
    ledger: Any = SimpleNamespace(state=store.world.state)
    readers: Any = store
    return await prove_withdrawal(0, readers=readers, monitors=(monitor,), ledger=ledger)


async def test_a_checkpoint_that_may_still_be_taken_back_proves_nothing() -> None:
    store = Store()
    assert await prove(store, head=5) is None
    assert await prove(store, 1, head=5) is None, "the confirmed one does not cover it"
    proof = await prove(store, 1, 3, head=5)
    assert proof.height == 3
    assert proof.count == 1
