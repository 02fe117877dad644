"""Where interleavings start: a scene with a past, so that no step is lost on making one.

Rule: the past is the same for all, made once, by deeds that every interleaving can do itself.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from random import Random

from contracts.artifact import selectors
from primitives.abi import encode_words
from tests.contracts.stateful import deeds_claims, deeds_ledger, deeds_vault
from tests.contracts.stateful.coins import NATIVE
from tests.contracts.stateful.model import Model
from tests.contracts.stateful.scene import USERS, Scene, build_embedded
from tests.contracts.stateful.vault import DAY
from tests.contracts.stateful.world import World

CREDITED = 1_000_003
"""Atoms of each first deposit."""


@dataclass(frozen=True)
class Stage:
    """A scene, kept as its ground keeps it, and the model of that moment."""

    scene: Scene
    model: Model

    def world(self) -> World:
        """The start of an interleaving."""
        self.scene.ground.restore()
        model = Model(self.scene)
        model.cells.load(self.model.cells.image())
        model.book = deepcopy(self.model.book)
        model.roots = dict(self.model.roots)
        model.records = list(self.model.records)
        return World(self.scene, model)


def prepare(scene: Scene) -> Stage:
    """Deposit, credit, charge, withdraw, follow and pay a little."""
    scene.ground.restore()
    world = World(scene, Model(scene))
    world.dice = Random(0)
    for number, symbol in enumerate(("USDX", "XOM", "EVIL", "FEE", "COIN")):
        user = USERS[number % len(USERS)].address
        _deposit(world, user, scene.tokens[symbol], CREDITED)
    while world.book.credited[world.main.address] < world.main.get("deposits"):
        deeds_ledger.credit(world)
    for _ in range(3):
        deeds_ledger.hold(world)
        deeds_ledger.charge(world)
    for _ in range(6):
        deeds_ledger.withdraw(world)
    scene.ground.now += DAY
    known = deeds_vault.new_checkpoint(world)
    for vault in world.model.vaults:
        assert deeds_vault.bring_checkpoint(world, vault, known)
    for index in (0, 1):
        assert deeds_claims.bring_claim(world, world.main, known.root, index)
    world.check_all()
    scene.ground.keep()
    return Stage(scene, world.model)


def _deposit(world: World, payer: bytes, token: bytes, amount: int) -> None:
    """A deposit that is taken."""
    vault = world.main
    if token == NATIVE:
        data = selectors("Settlement")["depositNative"] + encode_words(payer)
        act = lambda: vault.deposit_coins(payer, amount, payer)  # noqa: E731
        assert world.play(payer, vault.address, data, act, value=amount)
        return
    data = selectors("Settlement")["deposit"] + encode_words(token, amount)
    assert world.play(
        payer, vault.address, data, lambda: vault.deposit(payer, token, amount, payer)
    )


def embedded_stage() -> Stage:
    """The stage on a chain in this process; raises Broken's cause if the past fails already."""
    return prepare(build_embedded())
