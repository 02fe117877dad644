"""What a re-organisation undoes is not shown as settled any longer.

Rule: a vault's logs and status from memory; the real thing is in tests/devnet.
Spec: docs/spec/settlement.md §10. Deviations: none.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio

from contracts.rpc_pool import Endpoint, RpcPool
from contracts.settlement_types import AcceptedCheckpoint, FeeSplit, VaultStatus
from node.problems import Problems
from node.settlement.vault_monitor import VaultMonitor
from primitives.errors import TransientError
from primitives.keccak import keccak256

TOKEN = b"t" * 20


class Vault:
    """A chain that a test re-organises; block n holds the checkpoint of height 10 · n if listed."""

    def __init__(self) -> None:
        self.fork, self.top = 0, 10
        self.forked_at = 0
        self.checkpoints: set[int] = set()
        self.on_logs: list[Any] = []

    def hash_of(self, number: int) -> bytes:
        fork = self.fork if number >= self.forked_at else 0
        return keccak256(f"{fork}/{number}".encode())

    def reorganise(self, at: int) -> None:
        self.fork += 1
        self.forked_at = at
        self.checkpoints = {one for one in self.checkpoints if one < at}

    def head(self) -> tuple[int, bytes]:
        return self.top, self.hash_of(self.top)

    def block_hash(self, number: int) -> bytes | None:
        return self.hash_of(number) if number <= self.top else None

    def fee_splits(self, first: int, last: int) -> tuple[FeeSplit, ...]:
        if self.on_logs:
            self.on_logs.pop(0)()
        found = [one for one in sorted(self.checkpoints) if first <= one <= last]
        split: Any = SimpleNamespace(token=TOKEN, total=10, validators=7, company=2, development=1)
        return tuple(split for _ in found)

    def checkpoints_in(self, first: int, last: int) -> tuple[AcceptedCheckpoint, ...]:
        found: Any = [
            SimpleNamespace(executed_height=10 * one)
            for one in sorted(self.checkpoints)
            if first <= one <= last
        ]
        return tuple(found)

    def status(self) -> VaultStatus:
        status: Any = SimpleNamespace(
            evm_block=self.top, executed_height=10 * max(self.checkpoints, default=0)
        )
        return status  # type: ignore[no-any-return]

    def succession(self) -> tuple[bytes, int]:
        return bytes(20), 0


def watch(vault: Vault, confirmations: int = 3) -> VaultMonitor:
    chain: Any = SimpleNamespace(chain_id=5, confirmations=confirmations, first_block=1)
    client: Any = vault
    rpc = RpcPool([Endpoint(name="a", rpc=client)], chain_id=5)
    monitor = VaultMonitor(chain, client, trio.CapacityLimiter(1), 500, rpc, Problems())
    monitor._seen_block = 0
    return monitor


def height(monitor: VaultMonitor) -> int:
    assert monitor.status is not None
    return monitor.status.executed_height


async def test_a_status_of_an_undone_block_is_read_anew() -> None:
    vault = Vault()
    monitor = watch(vault)
    vault.checkpoints = {8, 10}  # the second one is not confirmed, and comes with the first
    await monitor._look()
    assert (height(monitor), monitor.accepted_height()) == (100, 80)
    vault.reorganise(at=9)
    vault.top = 11
    await monitor._look()
    assert (height(monitor), monitor.accepted_height()) == (80, 80)


async def test_what_was_confirmed_and_undone_all_the_same_is_forgotten() -> None:
    vault = Vault()
    monitor = watch(vault)
    vault.checkpoints = {4, 8}
    await monitor._look()
    assert monitor.fees[TOKEN].total == 20
    vault.reorganise(at=7)
    vault.top = 12
    await monitor._look()
    assert (height(monitor), monitor.accepted_height()) == (40, 40)
    assert monitor.fees[TOKEN].total == 10


async def test_nothing_counts_twice_when_the_chain_changes_while_it_is_read() -> None:
    vault = Vault()
    monitor = watch(vault)
    vault.checkpoints = {4}
    vault.on_logs = [lambda: vault.reorganise(at=3)]
    with pytest.raises(TransientError, match="while it was read"):
        await monitor._look()
    vault.checkpoints = {5}
    await monitor._look()
    assert monitor.accepted_height() == 50
    assert monitor.fees[TOKEN].total == 10


async def test_a_chain_that_is_shorter_for_a_moment_proves_nothing() -> None:
    vault = Vault()
    monitor = watch(vault)
    vault.checkpoints = {4}
    await monitor._look()
    vault.top = 6
    with pytest.raises(TransientError, match="is gone"):
        await monitor._look()
    vault.top = 11
    await monitor._look()
    assert (height(monitor), monitor.accepted_height()) == (40, 40)


class Away:
    """An endpoint that does not answer."""

    def call(self, method: str, *parameters: Any) -> Any:
        raise TransientError("nobody listens")


def test_where_nobody_else_serves_the_chain_nobody_is_said_to() -> None:
    away, stranger = Endpoint(name="a", rpc=Away()), Endpoint(name="b", rpc=Away(), chain_id=6)
    monitor = watch(Vault())
    monitor.rpc = RpcPool([away, stranger], chain_id=5)
    with pytest.raises(TransientError, match="1 of 1 EVM RPC endpoints have to agree on chain 5"):
        monitor.rpc.call("eth_blockNumber")
    monitor._report_endpoints()
    (problem,) = monitor.problems.conditions()
    assert "no other one serves this chain" in problem.fix
