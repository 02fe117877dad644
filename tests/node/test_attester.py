"""Facts about when a validator attests, again, and late."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import trio

from exchange.actions import SignedAction, verify
from exchange.operations import Attest
from exchange.vaults import Vault, compute_window_hash
from node.attester import Attester
from node.limits import ATTEST_RESEND_MS
from primitives.secp256k1 import PrivateKey
from tests.contracts.harness import World, embedded_evm
from tests.exchange.world import DOMAIN
from tests.node.test_evm_windows import make_chain


class Desk:
    """An attester on a real EVM chain whose ledger is moved by the test."""

    def __init__(self, world: World) -> None:
        chain = make_chain(world)
        self.vault, self.now_ms, self.sent = Vault(), 1_000_000, list[SignedAction]()
        vaults = {(chain.chain_id, chain.vault_bytes): self.vault}
        self.attester = Attester(
            chain,
            world.client,
            trio.CapacityLimiter(1),
            ledger=SimpleNamespace(state=SimpleNamespace(vaults=vaults)),  # type: ignore[arg-type]
            key=PrivateKey(bytes([7]) * 32),
            domain=DOMAIN,
            clock=SimpleNamespace(now_ms=lambda: self.now_ms),  # type: ignore[arg-type]
            submit=self.sent.append,
            problems=SimpleNamespace(),  # type: ignore[arg-type]
            poll_ms=1_000,
            has_registry=True,
        )

    async def round(self) -> list[Attest]:
        """Let the attester look once and return what it attested."""
        self.sent.clear()
        await self.attester._round()
        ops = [op for action in self.sent for op in verify(action, DOMAIN).ops]
        return [op for op in ops if isinstance(op, Attest)]

    def apply(self, op: Attest) -> None:
        """Move the ledger as if more than two thirds had attested."""
        self.vault.last_hash = compute_window_hash(op)
        self.vault.window = op.window
        self.vault.credited += len(op.deposits)
        self.vault.registry_changes += len(op.events)


@pytest.fixture(scope="module")
def world() -> World:
    world = World(embedded_evm())
    for amount in (5, 6):
        world.deposit(world.usdx, amount)
        world.evm.rpc.call("evm_mine", "0x8")
    return world


async def test_a_window_is_attested_once_and_again_when_it_did_not_take_effect(world: World):
    desk = Desk(world)
    (first,) = await desk.round()
    assert first.previous == bytes(32)
    assert await desk.round() == []
    desk.now_ms += ATTEST_RESEND_MS
    assert await desk.round() == [first]


async def test_everything_that_happened_is_attested_in_a_chain(world: World):
    desk = Desk(world)
    while ops := await desk.round():
        desk.apply(ops[0])
    assert desk.vault.credited == 2
    assert desk.vault.registry_changes == 2 * len(world.plan.validators)


async def test_a_window_that_others_applied_first_is_attested_late(world: World):
    others, desk = Desk(world), Desk(world)
    (first,) = await others.round()
    desk.attester._seen = None
    desk.attester._sent = (b"elsewhere", 1)
    await desk.round()
    desk.attester._sent = (b"elsewhere", 1)  # as if it had not come to attest in time
    desk.apply(first)
    late, *then = await desk.round()
    assert late == first
    assert [op.previous for op in then] == [compute_window_hash(first)]


async def test_content_that_this_node_does_not_see_is_not_attested_late(world: World):
    others, desk = Desk(world), Desk(world)
    (first,) = await others.round()
    await desk.round()
    desk.attester._sent = (b"elsewhere", 1)
    desk.apply(first)
    desk.vault.last_hash = bytes([9]) * 32  # two thirds agreed on something else
    assert all(op.previous == desk.vault.last_hash for op in await desk.round())
