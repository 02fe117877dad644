"""What happens on the ledger, out of the contracts' sight until a checkpoint comes.

Rule: a deed takes the world and its dice; what cannot be done now is left.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from contracts.settlement_types import CommitteeMember
from tests.contracts.stateful.proofs import Members
from tests.contracts.stateful.registry import Registry
from tests.contracts.stateful.scene import HOT_KEYS, THIEF, USERS
from tests.contracts.stateful.world import World

SUBS = 2


def credit(world: World) -> None:
    """Credit some of the deposits that have come in."""
    vault = world.main
    for _ in range(1 + world.dice.randrange(4)):
        number = world.book.credited[vault.address]
        if number >= vault.get("deposits"):
            return
        record = vault.deposit_record(number)
        if record is None:  # refunded: this vault has closed
            return
        world.book.credit(record, world.dice.randrange(SUBS))


def _entry(world: World) -> list[int] | None:
    """Any entry with something free."""
    full = [e for entries in world.book.entries.values() for e in entries if e[2]]
    return world.dice.choice(full) if full else None


def part(world: World, whole: int) -> int:
    """All of an amount, or a part of it."""
    return whole if world.chance(0.3) else 1 + world.dice.randrange(whole)


def withdraw(world: World) -> None:
    """Take something off the ledger, for whomever."""
    entry = _entry(world)
    if entry is None:
        return
    people = (*(user.address for user in USERS), THIEF)
    if world.chance(0.05):
        people = (world.scene.registry, world.main.address)
    world.book.withdraw(entry, part(world, entry[2]), world.dice.choice(people))


def withdraw_elsewhere(world: World) -> None:
    """A withdrawal that another chain's vault has to pay."""
    world.book.withdraw_elsewhere(world.token(), 1 + world.dice.randrange(1000), world.user())


def charge(world: World) -> None:
    """Charge fees."""
    entry = _entry(world)
    if entry is not None:
        world.book.charge(entry, part(world, entry[2]))


def hold(world: World) -> None:
    """Put some of a balance into an order, or take it back."""
    entry = _entry(world)
    if entry is None:
        return
    amount = part(world, entry[2])
    entry[2], entry[3] = entry[2] - amount, entry[3] + amount
    if world.chance(0.4):
        entry[2], entry[3] = entry[2] + entry[3], 0


def end_epoch(world: World) -> None:
    """Choose another committee: its hot keys are those of registered validators, mostly."""
    root, _ = world.book.end_epoch(_committee(world))
    world.model.roots[root.height] = root


def _committee(world: World) -> Members:
    """Four of the first twelve keys, with any weights."""
    registry: Registry = world.model.registry
    seats = [k for k in range(12) if registry.owner_of(k) is not None]
    return tuple(
        CommitteeMember(address=HOT_KEYS[seat].address, weight=1 + world.dice.randrange(5))
        for seat in world.dice.sample(seats, 4)
    )
