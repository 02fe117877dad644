"""Deploy the new network's contracts on one chain and write their addresses into the plan.

Rule: the plan is what the operators agree on, so what was deployed is named there and nowhere else.
Spec: docs/spec/restart.md (Contracts). Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from contracts.deployment_plan import Deployment, GenesisValidator
from contracts.evm_web3 import connect
from contracts.redeployment import OldContracts, plan_redeployment, redeploy
from node.datadir import write_atomic
from node.network_file import Chain
from node.restart.check import LastState
from node.restart.plan import Plan, compute_network_id, load_plan
from p2p.identity import decode_peer_id
from primitives.address import parse_address, to_checksum
from primitives.errors import ConfigError
from primitives.secp256k1 import PrivateKey

NETWORK_KEY_BYTES = 32


def deploy_contracts(
    state: LastState, file: Path, chain: Chain, url: str, key: PrivateKey, nonce: int | None
) -> dict[str, Any]:
    """Deploy on a chain of the old network. Raises OperatorError, TransientError."""
    plan = load_plan(file)
    if any(one.chain_id == chain.chain_id for one in plan.chains):
        raise ConfigError(
            f"{file} names contracts on chain {chain.chain_id} already",
            code="RST003",
            fix="take them out of the plan if they shall be deployed again",
        )
    web3 = connect(url, chain.chain_id)
    old = OldContracts(
        chain_id=chain.chain_id,
        registry=parse_address(chain.registry),
        distributor=parse_address(chain.distributor),
        tokens=tuple(
            asset.token for asset in state.ledger.state.assets if asset.chain_id == chain.chain_id
        ),
    )
    first_block = int(web3.eth.block_number)
    contracts = plan_redeployment(web3, old, compute_network_id(state, plan), _validators(plan))
    deployed = redeploy(web3, contracts, key, chain_id=chain.chain_id, nonce=nonce)
    _name(file, plan, chain, deployed, first_block)
    return {
        "chain": chain.chain_id,
        "vault": to_checksum(deployed.vault),
        "registry": to_checksum(deployed.registry),
        "distributor": to_checksum(deployed.distributor),
        "plan": str(file),
    }


def _validators(plan: Plan) -> tuple[GenesisValidator, ...]:
    peers = {peer.address.lower(): peer.peer_id for peer in plan.bootstrap}
    found = []
    for seat in plan.committee:
        peer_id = peers.get(seat.address.lower())
        if peer_id is None:
            raise ConfigError(
                f"the plan's bootstrap lacks {seat.name}",
                code="RST003",
                fix="name every member's peer id: it goes into the registry",
            )
        found.append(
            GenesisValidator(
                owner=seat.owner_bytes,
                hot_key=seat.address_bytes,
                weight=seat.weight,
                network_key=decode_peer_id(peer_id)[-NETWORK_KEY_BYTES:],
                services=seat.services,
            )
        )
    return tuple(found)


def _name(file: Path, plan: Plan, chain: Chain, deployed: Deployment, first_block: int) -> None:
    added = msgspec.structs.replace(
        chain,
        vault=to_checksum(deployed.vault),
        registry=to_checksum(deployed.registry),
        distributor=to_checksum(deployed.distributor),
        first_block=first_block,
    )
    changed = msgspec.structs.replace(plan, chains=(*plan.chains, added))
    write_atomic(file, msgspec.json.format(msgspec.json.encode(changed), indent=2) + b"\n")
