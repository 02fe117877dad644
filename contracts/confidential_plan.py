"""Say what a private token with its door will be, and where.

Rule: addresses follow from the deployer's address and nonce, so a vault can list the door, and a
network file name it, before it is there.

Spec: docs/spec/confidential.md §4
Deviations: none
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.transaction import created_address

COIN_STEP, DOOR_STEP = 0, 5
"""Nonces after the first one: between coin and door lie approving, wrapping an atom, asking for the
key and approving the atom for the door."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinPlan:
    """A private face of a public token, and its receipts."""

    name: str
    symbol: str
    decimals: int
    underlying: bytes
    scale: int  # atoms of the public token per atom


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidential:
    """Where a private token and what belongs to it are."""

    coin: bytes
    door: bytes


def predict_confidential(deployer: bytes, nonce: int) -> Confidential:
    """Return the addresses that `deploy_confidential` uses from the deployer's next nonce on."""
    return Confidential(
        coin=created_address(deployer, nonce + COIN_STEP),
        door=created_address(deployer, nonce + DOOR_STEP),
    )
