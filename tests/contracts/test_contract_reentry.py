"""While a token moves, the vault takes no other call: every guarded entry is tried from within."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from contracts.decisions import DecisionKind
from contracts.settlement_calls import encode_boundary, encode_checkpoint
from contracts.settlement_types import Submission
from primitives.address import to_checksum
from tests.contracts.harness import RELAYER, STRANGER, TRADER, Evm, World
from tests.contracts.test_vault_decisions import make as make_decision
from tests.contracts.test_vault_decisions import signed as signed_decision
from tests.contracts.test_vault_escape import USDX, Silent
from tests.contracts.test_vault_hand_over import both_follow, pass_notice

REENTER = 3
EVIL = 4
"""Asset id of the hostile token: it comes after the four usual ones."""


@dataclass
class Attack:
    """A vault with a token that calls it back."""

    world: World

    @property
    def token(self) -> bytes:
        return self.world.extra[0]

    def arm(self, payload: bytes) -> None:
        """Let the token call the vault whenever it moves."""
        vault = to_checksum(self.world.vault)
        call = self.world.encode("HostileToken", "setMode", REENTER, vault, payload)
        assert self.world.send(TRADER, self.token, call)["status"] == 1

    def assert_refused_then_taken(self, payload: bytes) -> None:
        """The call from within failed; by itself it is a good one."""
        assert self.world.view("HostileToken", self.token, "reentered") is False
        assert self.world.send(RELAYER, self.world.vault, payload)["status"] == 1


@pytest.fixture
def attack(evm: Evm) -> Attack:
    world = World(evm, extra_tokens=("HostileToken",))
    world.deposit(world.extra[0], 1_000)
    world.deposit(world.usdx, 1_000)
    return Attack(world)


def test_ledger_and_committee_do_not_go_on_during_a_payment(attack: Attack) -> None:
    world = attack.world
    indices = [world.ledger.withdraw(attack.token, 10, STRANGER.address) for _ in range(3)]
    words = world.checkpoint()
    members = world.members()
    boundary = world.submission(world.header(next_committee_hash=world.committee.hash))
    payloads = (
        encode_checkpoint(world.submission()),
        signed_decision(world, make_decision(world, DecisionKind.PAUSE, value=1)),
        encode_boundary(boundary, members),
    )
    for index, payload in zip(indices, payloads, strict=True):
        attack.arm(payload)
        claim = world.ledger.claim(index, words)
        assert world.client.withdraw(claim) is Submission.DONE
        attack.assert_refused_then_taken(payload)


def test_no_funds_are_handed_over_during_a_payment(attack: Attack) -> None:
    world = attack.world
    following = world.deploy_contract("Settlement", world.vault_config(), [to_checksum(world.usdx)])
    index = world.ledger.withdraw(attack.token, 10, STRANGER.address)
    pass_notice(world, following)
    world.move(following, {world.usdx: 1_000})
    words = both_follow(world, following)
    payload = world.encode("Settlement", "handOver", to_checksum(world.usdx), world.height)
    attack.arm(payload)
    assert world.client.withdraw(world.ledger.claim(index, words)) is Submission.DONE
    attack.assert_refused_then_taken(payload)


def test_nothing_else_escapes_during_an_escape_or_a_refund(attack: Attack) -> None:
    world = attack.world
    world.deposit(attack.token, 55)
    world.deposit(world.usdx, 66)
    world.ledger.credited = 2
    world.ledger.accounts = {TRADER.address: [(0, USDX, 600, 0), (0, EVIL, 700, 0)]}
    silent = Silent(world, world.checkpoint())
    silent.close()
    refund = silent.refund(3, 66)
    attack.arm(refund)
    assert silent.send(silent.escape(TRADER.address, 1)) == 1
    attack.assert_refused_then_taken(refund)
    escape = silent.escape(TRADER.address, 0)
    attack.arm(escape)
    assert silent.send(silent.refund(2, 55, token=attack.token)) == 1
    attack.assert_refused_then_taken(escape)
