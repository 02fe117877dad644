"""Plan the contracts of a network that takes over from one whose committee is lost.

Rule: new vault, registry and distributor for the same tokens; treasuries and insurance fund are
those of the old contracts, read from them. Nothing of the old vault moves: it pays by escape.
Spec: docs/spec/restart.md (Contracts)
Deviations: none
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from web3 import Web3

from contracts.artifact import load_artifact
from contracts.deployment_plan import DeploymentPlan, GenesisValidator
from contracts.evm_web3 import translated_errors
from primitives.address import parse_address, to_checksum

COMPANY, DEVELOPMENT = range(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class OldContracts:
    """Where the contracts of the network that ended are."""

    chain_id: int
    registry: bytes
    distributor: bytes
    tokens: tuple[bytes, ...]  # of the assets on this chain


def plan_redeployment(
    web3: Web3, old: OldContracts, network_id: bytes, validators: tuple[GenesisValidator, ...]
) -> DeploymentPlan:
    """Return what to deploy. Raises TransientError, ContractRefused."""
    with translated_errors():
        registry = _contract(web3, "ValidatorRegistry", old.registry)
        distributor = _contract(web3, "FeeDistributor", old.distributor)
        return DeploymentPlan(
            network_id=network_id,
            validators=validators,
            tokens=(),
            company=parse_address(distributor.treasury(COMPANY).call()),
            development=parse_address(distributor.treasury(DEVELOPMENT).call()),
            insurance=parse_address(registry.insurance().call()),
            xom_supply=0,
            listed=old.tokens,
            coin=parse_address(registry.token().call()),
        )


def _contract(web3: Web3, name: str, address: bytes) -> Any:
    abi = list(load_artifact(name).abi)
    return web3.eth.contract(address=to_checksum(address), abi=abi).functions
