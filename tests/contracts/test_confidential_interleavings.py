"""Whatever happens in whatever order, the door holds what it owes and nobody gets more than is his.

Rule: the model is a dictionary of plain numbers; the contracts are the product.
Spec: docs/spec/confidential.md §3. Deviations: none.
"""

from __future__ import annotations

import os
import random

import pytest

from contracts.private_inputs import DEPOSIT, UNWRAP
from contracts.settlement_calls import encode_withdraw
from primitives.address import to_checksum
from primitives.secp256k1 import PrivateKey
from tests.contracts.confidential_world import ConfidentialWorld
from tests.contracts.harness import RELAYER, STRANGER, TRADER
from tests.contracts.test_confidential_vault import (
    TRANSFER,
    TRANSFER_FROM,
    assert_backed,
    send_encrypted,
    total_held,
)

PEOPLE = (TRADER, STRANGER, RELAYER)
RUNS = 2 * int(os.environ.get("OMNIBAZAAR_SOAK", "1"))
STEPS = 25


class Model:
    """Plain numbers beside the encrypted ones."""

    def __init__(self, world: ConfidentialWorld, r: random.Random) -> None:
        self.world, self.r = world, r
        self.private = dict.fromkeys((key.address for key in PEOPLE), 0)
        self.owed = 0  # in the vault
        self.inputs: list[tuple[PrivateKey, bytes]] = []  # deposits that were taken
        self.claims: list[tuple[int, int, bytes]] = []  # index, amount, to
        self.wrapped = 1  # the deployer's atom

    def step(self) -> None:
        """Do something at random and check what came of it."""
        actions = (
            self.wrap, self.wrap, self.unwrap, self.transfer, self.deposit, self.deposit,
            self.withdraw, self.claim, self.steal, self.replay,
        )  # fmt: skip
        self.r.choice(actions)()
        held = total_held(self.world)
        assert held == self.world.view("ConfidentialVault", self.world.parts.door, "totalSupply")
        assert held == self.owed

    def amount(self, most: int) -> int:
        """An amount that is often at an edge."""
        return max(1, self.r.choice((1, most, most + 1, 2**64 - 1, self.r.randrange(1, most + 2))))

    def wrap(self) -> None:
        key, amount = self.r.choice(PEOPLE), self.r.randrange(1, 10_000)
        self.world.wrap(amount, key)
        self.private[key.address] += amount
        self.wrapped += amount

    def unwrap(self) -> None:
        key = self.r.choice(PEOPLE)
        amount = self.amount(self.private[key.address])
        coin = self.world.parts.coin
        done = send_encrypted(self.world, "ConfidentialCoin", coin, UNWRAP, amount, key=key)
        assert done["status"] == (amount <= self.private[key.address])
        if done["status"]:
            self.private[key.address] -= amount
            self.wrapped -= amount

    def transfer(self) -> None:
        key, other = self.r.choice(PEOPLE), self.r.choice(PEOPLE)
        amount, to = self.amount(self.private[key.address]), to_checksum(other.address)
        coin = self.world.parts.coin
        done = send_encrypted(self.world, "ConfidentialCoin", coin, TRANSFER, amount, to, key=key)
        fits = key is not other and amount <= self.private[key.address]
        assert done["status"] == fits
        if fits:
            self.private[key.address] -= amount
            self.private[other.address] += amount

    def deposit(self) -> None:
        key = self.r.choice(PEOPLE)
        amount, door = self.amount(self.private[key.address]), self.world.parts.door
        allowed = self.r.choice((amount, amount, max(0, amount - 1)))
        wallet, aes_key = self.world.confidential(key), self.world.aes_key(key)
        wallet.allow_private(self.world.parts.coin, door, aes_key, allowed)
        terms = wallet.encrypt(door, DEPOSIT, aes_key, amount)
        payload = self.world.encode(
            "ConfidentialVault", DEPOSIT, terms, to_checksum(STRANGER.address)
        )
        done = self.world.send(key, door, payload)
        fits = amount <= self.private[key.address] and allowed >= amount
        assert done["status"] == fits
        if fits:
            self.private[key.address] -= amount
            self.owed += amount
            self.inputs.append((key, payload))

    def withdraw(self) -> None:
        reserved = sum(amount for _, amount, _ in self.claims)
        if self.owed - reserved < 1:
            return
        amount = self.r.randrange(1, self.owed - reserved + 1)
        to = self.r.choice(PEOPLE).address
        index = self.world.ledger.withdraw(self.world.parts.door, amount, to)
        self.claims.append((index, amount, to))

    def claim(self) -> None:
        if not self.claims:
            return
        index, amount, to = self.claims.pop(self.r.randrange(len(self.claims)))
        words = self.world.checkpoint()
        proven = self.world.ledger.claim(index, words)
        self.world.client.withdraw(proven)
        assert self.world.send(STRANGER, self.world.vault, encode_withdraw(proven))["status"] == 0
        self.private[to] += amount
        self.owed -= amount

    def steal(self) -> None:
        """With no allowance, from the door or from somebody."""
        key = self.r.choice(PEOPLE)
        victims = [self.world.parts.door, *(p.address for p in PEOPLE if p is not key)]
        names = to_checksum(self.r.choice(victims)), to_checksum(key.address)
        coin = self.world.parts.coin
        done = send_encrypted(
            self.world, "ConfidentialCoin", coin, TRANSFER_FROM, 1, *names, key=key
        )
        assert done["status"] == 0

    def replay(self) -> None:
        if not self.inputs:
            return
        key, payload = self.r.choice(self.inputs)
        assert self.world.send(key, self.world.parts.door, payload)["status"] == 0


@pytest.mark.parametrize("seed", range(RUNS))
def test_every_atom_is_somebodys_and_nobody_gets_anothers(seed: int) -> None:
    world = ConfidentialWorld()
    for key in PEOPLE:
        world.aes_key(key)
    model = Model(world, random.Random(seed))
    for _ in range(STEPS):
        model.step()
    for key in PEOPLE:
        assert world.private_balance(key) == model.private[key.address]
    supply = world.view("ConfidentialCoin", world.parts.coin, "totalSupply")
    assert supply == model.wrapped == sum(model.private.values()) + model.owed + 1
    assert world.balance(world.usdx, world.parts.coin) == supply
    assert_backed(world)
