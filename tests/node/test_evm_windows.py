"""Facts about what a validator reads on the EVM chain and attests to the ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exchange.limits import REGISTRY_EVENTS_MAX
from exchange.vaults import compute_window_hash
from node.network_file import Chain
from node.settlement.evm_windows import Cursor, Window, WindowReader, make_attestation
from primitives.address import to_checksum
from primitives.errors import TransientError, WrongNetwork
from tests.contracts.harness import CHAIN_ID, World, embedded_evm

SIZE = 4
START = Cursor(content=bytes(32), window=0, credited=0, changes=0)


@pytest.fixture(scope="module")
def world() -> World:
    world = World(embedded_evm())
    for amount in (5, 6):
        world.deposit(world.usdx, amount)
    world.evm.rpc.call("evm_mine", "0x10")
    return world


def make_chain(world: World) -> Chain:
    return Chain(
        chain_id=CHAIN_ID,
        vault=to_checksum(world.vault),
        registry=to_checksum(world.deployment.registry),
        distributor=to_checksum(world.vault),
        confirmations=1,
        window_blocks=SIZE,
    )


def read_all(world: World, *, registry: bool = True) -> list[tuple[Window, Cursor, Cursor]]:
    """Follow the chain as the ledger would; return windows with the cursors around them."""
    chain = make_chain(world)
    reader = WindowReader(chain, world.client, has_registry=registry)
    cursor, steps = START, []
    while (window := reader.find_next(cursor)) is not None:
        op = make_attestation(chain, window, cursor)
        assert op is not None
        after = Cursor(
            content=compute_window_hash(op),
            window=op.window,
            credited=cursor.credited + len(op.deposits),
            changes=cursor.changes + len(op.events),
        )
        steps.append((window, cursor, after))
        cursor = after
    return steps


def test_deposits_and_registry_changes_are_attested_once_in_order(world: World):
    steps = read_all(world)
    last = steps[-1][2]
    assert last.credited == 2
    assert last.changes == 2 * len(world.plan.validators)
    windows = [after.window for _, _, after in steps]
    assert windows == sorted(windows)


def test_a_chain_whose_registry_does_not_count_attests_deposits_only(world: World):
    steps = read_all(world, registry=False)
    assert steps[-1][2].changes == 0
    assert steps[-1][2].credited == 2


def test_a_window_applied_by_others_is_attested_late_with_equal_bytes(world: World):
    chain = make_chain(world)
    reader = WindowReader(chain, world.client, has_registry=True)
    for _, before, after in read_all(world):
        window = reader.read(after.window, before)
        assert window is not None
        late = make_attestation(chain, window, before)
        assert late is not None
        assert compute_window_hash(late) == after.content
        assert make_attestation(chain, window, after) is None or after.window == before.window


def test_values_that_no_registry_has_are_not_attested(world: World):
    chain = make_chain(world)
    for spoilt in ({"stake": 1 << 128}, {"services": 1 << 64}, {"number": 1 << 64}):

        class Lying:
            def validator_changes(self, first: int, last: int, numbers: range, spoilt=spoilt):
                found = world.client.validator_changes(first, last, numbers)
                return tuple(replace(one, **spoilt) for one in found)

            def __getattr__(self, name: str):
                return getattr(world.client, name)

        reader = WindowReader(chain, Lying(), has_registry=True)  # type: ignore[arg-type]
        with pytest.raises(TransientError, match="cannot be"):
            reader.find_next(START)


def test_more_deposits_than_one_answer_holds_keep_nobody_from_attesting(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """Deposits of one atom cost next to nothing; thousands of them stopped all others' for ever."""
    monkeypatch.setattr("contracts.settlement_client.DEPOSITS_PER_WINDOW_MAX", 3)
    monkeypatch.setattr("node.settlement.evm_windows.DEPOSITS_PER_ATTESTATION_MAX", 3)
    flooded = World(embedded_evm())
    for amount in range(1, 9):
        flooded.deposit(flooded.usdx, amount)
    flooded.evm.rpc.call("evm_mine", "0x8")
    last = read_all(flooded)[-1][2]
    assert last.credited == 8


class Detour:
    """A client whose RPC answers for another, longer chain while `is_away`."""

    def __init__(self, world: World) -> None:
        self.world, self.is_away = world, False

    def head(self) -> tuple[int, bytes]:
        return (10**6, b"f" * 32) if self.is_away else self.world.client.head()

    def block_hash(self, number: int) -> bytes | None:
        return b"f" * 32 if self.is_away else self.world.client.block_hash(number)

    def deposits_in(self, *arguments: Any) -> Any:
        return () if self.is_away else self.world.client.deposits_in(*arguments)

    def validator_changes(self, *arguments: Any) -> Any:
        return () if self.is_away else self.world.client.validator_changes(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world.client, name)


def test_what_was_searched_on_another_chain_is_searched_again(world: World):
    detour = Detour(world)
    reader = WindowReader(make_chain(world), detour, has_registry=True)  # type: ignore[arg-type]
    detour.is_away = True
    assert reader.find_next(START) is None
    detour.is_away = False
    assert reader.find_next(START) is not None


def test_a_window_read_from_another_chain_is_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """Vaults of several chains may have one address."""

    def refuse() -> None:
        raise WrongNetwork("the EVM RPC serves chain 7")

    reader = WindowReader(make_chain(world), world.client, has_registry=True)
    monkeypatch.setattr(world.client, "verify_chain", refuse)
    with pytest.raises(WrongNetwork):
        reader.find_next(START)


def test_more_changes_than_one_attestation_holds_come_in_several(world: World):
    chain = make_chain(world)
    window = next(w for w, _, _ in read_all(world) if w.changes)
    first = window.changes[0]
    many = tuple(replace(first, number=number) for number in range(REGISTRY_EVENTS_MAX + 3))
    op = make_attestation(chain, replace(window, changes=many), START)
    assert op is not None
    assert len(op.events) == REGISTRY_EVENTS_MAX
    rest = replace(START, changes=REGISTRY_EVENTS_MAX, credited=2)
    op = make_attestation(chain, replace(window, changes=many), rest)
    assert op is not None
    assert [event.number for event in op.events] == [64, 65, 66]
