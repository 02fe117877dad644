"""Facts about when a validator attests, again, and late."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest
import trio

from exchange.actions import SignedAction, verify
from exchange.operations import AnyOp, Attest, Doubt, Settled
from exchange.vaults import STALE, Applied, Vault, compute_window_hash
from node.limits import ATTEST_RESEND_MS, WITNESS_LOOK_MS, WITNESS_RESEND_MS
from node.settlement.attester import Attester
from primitives.secp256k1 import PrivateKey
from tests.contracts.harness import World, embedded_evm
from tests.exchange.world import DOMAIN
from tests.node.test_evm_windows import make_chain


class Desk:
    """An attester on a real EVM chain whose ledger is moved by the test."""

    def __init__(self, world: World) -> None:
        chain = make_chain(world)
        self.vault, self.now_ms, self.sent = Vault(), 1_000_000, list[SignedAction]()
        self.accepted, self.problems = 0, list[str]()
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
            problems=SimpleNamespace(  # type: ignore[arg-type]
                clear=lambda code: None,
                set=lambda code, text, fix="": self.problems.append(text),
            ),
            poll_ms=1_000,
            has_registry=True,
            accepted_height=lambda: self.accepted,
        )

    async def round(self) -> list[Attest]:
        """Let the attester look once and return what it attested."""
        self.sent.clear()
        await self.attester._round()
        return [op for op in self.words() if isinstance(op, Attest)]

    def words(self) -> list[AnyOp]:
        """All that the last round said."""
        return [op for action in self.sent for op in verify(action, DOMAIN).ops]

    def apply(self, op: Attest) -> None:
        """Move the ledger as if more than two thirds had attested."""
        self.vault.before = Applied(
            op.previous, self.vault.credited, self.vault.registry_changes, op.end_hash
        )
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


async def test_a_ledger_that_moved_twice_between_two_looks_is_caught_up_with(world: World):
    others, desk = Desk(world), Desk(world)
    await desk.round()
    desk.attester._sent = (b"elsewhere", 1)  # as if it had not come to attest in time
    applied = []
    while ops := await others.round():
        applied += ops
        others.apply(ops[0])
        desk.apply(ops[0])
    assert len(applied) > 2
    assert await desk.round() == applied[-1:]


async def test_content_that_this_node_does_not_see_is_not_attested_late(world: World):
    others, desk = Desk(world), Desk(world)
    (first,) = await others.round()
    await desk.round()
    desk.attester._sent = (b"elsewhere", 1)
    desk.apply(first)
    desk.vault.last_hash = bytes([9]) * 32  # two thirds agreed on something else
    assert all(op.previous == desk.vault.last_hash for op in await desk.round())


async def test_an_accepted_checkpoint_is_told_until_the_ledger_knows_it(world: World):
    desk = Desk(world)
    desk.accepted = 9
    await desk.round()
    place = (make_chain(world).chain_id, make_chain(world).vault_bytes)
    assert Settled(*place, 9) in desk.words()
    await desk.round()
    assert not desk.words()
    desk.now_ms += WITNESS_RESEND_MS
    await desk.round()
    assert Settled(*place, 9) in desk.words()
    desk.now_ms += WITNESS_RESEND_MS
    desk.vault.settled_votes[PrivateKey(bytes([7]) * 32).address] = 9
    await desk.round()
    assert not any(isinstance(op, Settled) for op in desk.words())
    desk.vault.settled_height, desk.accepted = 12, 11
    await desk.round()
    assert not any(isinstance(op, Settled) for op in desk.words())


async def test_what_is_no_longer_on_the_chain_is_doubted_and_believed_again(world: World):
    desk = Desk(world)
    (first,) = await desk.round()
    desk.apply(first)
    content = desk.vault.last_hash
    await desk.round()
    assert not any(isinstance(op, Doubt) for op in desk.words())  # it is there
    desk.now_ms += WITNESS_LOOK_MS
    desk.vault.last_hash = bytes([9]) * 32  # two thirds saw other deposits
    await desk.round()
    place = (make_chain(world).chain_id, make_chain(world).vault_bytes)
    assert Doubt(*place, desk.vault.last_hash, True) in desk.words()
    desk.vault.last_hash = content
    desk.vault.doubts.add(PrivateKey(bytes([7]) * 32).address)
    desk.now_ms += WITNESS_LOOK_MS
    await desk.round()
    assert Doubt(*place, content, False) in desk.words()


async def test_other_blocks_with_the_same_deposits_are_no_reason_to_doubt(world: World):
    desk = Desk(world)
    (first,) = await desk.round()
    desk.apply(msgspec.structs.replace(first, end_hash=bytes([5]) * 32))
    desk.now_ms += WITNESS_LOOK_MS
    await desk.round()
    assert not any(isinstance(op, Doubt) for op in desk.words())


async def test_a_freeze_is_told_to_the_operator(world: World):
    desk = Desk(world)
    desk.vault.frozen = STALE
    await desk.round()
    assert ["frozen" in text for text in desk.problems] == [True]
