"""Published constants of the contracts are those of the specification and of the daemon."""

from __future__ import annotations

import pytest

from contracts import limits
from contracts.decisions import DecisionKind
from contracts.deployment_plan import STAKE_MIN_ATOMS
from tests.contracts.harness import World

DAY = 24 * 3_600
VAULT = {
    "FEE_PAYMENT_GAS": 300_000,
    "SNAPSHOT_LAG": 32,
    "ESCAPE_AFTER": limits.ESCAPE_SILENCE_SECONDS,
    "ESCAPE_NOTICE": limits.ESCAPE_NOTICE_SECONDS,
    "CERTIFICATES_EXPIRE_AFTER": 9 * DAY,
    "DEPOSIT_MAX": limits.DEPOSIT_MAX_ATOMS,
    "MIGRATION_NOTICE": 14 * DAY,
    "PAUSE": DecisionKind.PAUSE,
    "LIST": DecisionKind.LIST,
    "ANNOUNCE": DecisionKind.ANNOUNCE,
    "REWARD_INTERVAL": DAY,
}
REGISTRY = {
    "STAKE_MIN": STAKE_MIN_ATOMS,
    "STAKE_ADDED_MIN": 10**18,
    "UNBONDING_SECONDS": 14 * DAY,
    "SERVICES": 7,
    "SLASH_PERCENT": 5,
    "REPORTER_PERCENT": 10,
    "CORRELATION": 3,
}
XOM = {"REWARD_PERCENT": 2, "YEAR": 365 * DAY}


def test_constants_are_those_of_the_specification(world: World) -> None:
    for contract, address, constants in (
        ("Settlement", world.vault, VAULT),
        ("ValidatorRegistry", world.deployment.registry, REGISTRY),
        ("OmniCoin", world.tokens["XOM"], XOM),
    ):
        told = {name: world.view(contract, address, name) for name in constants}
        assert told == constants


def test_registry_of_a_vault_is_a_contract(world: World) -> None:
    """One that is none would stop the first change of committees."""
    config = world.vault_config(registry="0x" + "11" * 20)
    with pytest.raises(AssertionError):
        world.deploy_contract("Settlement", config, [])
