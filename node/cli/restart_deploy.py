"""Deploy the new network's contracts on one chain and write their addresses into the plan.

Rule: the plan is what the operators agree on, so what was deployed is named there and nowhere else.
The deployer's nonces are nobody else's meanwhile, and are noted beside the plan before anything is
sent: who began anew with others would deploy, and stake, twice.
Spec: docs/spec/restart.md (Contracts). Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from contracts.deployment import deploy
from contracts.deployment_plan import Deployment, GenesisValidator
from contracts.evm_web3 import Web3Rpc, connect, translated_errors
from contracts.redeployment import OldContracts, plan_redeployment
from node.cli.wallet_options import hold_account
from node.datadir import write_atomic
from node.network_file import Chain
from node.restart.check import LastState
from node.restart.plan import Plan, compute_network_id, load_plan
from p2p.identity import decode_peer_id
from primitives.address import parse_address, to_checksum
from primitives.errors import ConfigError, NodeError, OperatorError
from primitives.secp256k1 import PrivateKey

if TYPE_CHECKING:
    from node.cli.context import Context

NETWORK_KEY_BYTES = 32


class Begun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a deployment began."""

    account: str
    nonce: int  # of its first transaction
    first_block: int  # from which on the registry's records are looked for


def deploy_contracts(
    context: Context,
    state: LastState,
    file: Path,
    chain: Chain,
    url: str,
    key: PrivateKey,
) -> dict[str, Any]:
    """Deploy on a chain of the old network, or go on where that broke off.

    Raises OperatorError, TransientError.
    """
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
    contracts = plan_redeployment(web3, old, compute_network_id(state, plan), _validators(plan))
    note = file.with_name(f"{file.name}.{chain.chain_id}.begun")
    with hold_account(context, Web3Rpc(web3), chain.chain_id, key), translated_errors():
        begun = _begin(note, web3, key.address)
        try:
            deployed = deploy(web3, contracts, key, chain_id=chain.chain_id, nonce=begun.nonce)
        except NodeError as error:
            raise OperatorError(
                f"the deployment broke off: {error}",
                code="RST005",
                risk="what was deployed and staked so far stays, and is used when it goes on",
                fix=f"see to it, then repeat the command with the same key; {note} says where it "
                "goes on",
            ) from error
    _name(file, plan, chain, deployed, begun.first_block)
    note.unlink()
    return {
        "chain": chain.chain_id,
        "vault": to_checksum(deployed.vault),
        "registry": to_checksum(deployed.registry),
        "distributor": to_checksum(deployed.distributor),
        "plan": str(file),
    }


def _begin(note: Path, web3: Any, account: bytes) -> Begun:
    """Return where the deployment began. Raises ConfigError for another account than then."""
    name = to_checksum(account)
    if note.exists():
        try:
            begun = msgspec.json.decode(note.read_bytes(), type=Begun)
        except msgspec.DecodeError as error:
            raise ConfigError(
                f"{note} is damaged: {error}",
                code="RST003",
                fix="write the nonce of the account's first deployment, and its block, into it",
            ) from error
        if begun.account != name:
            raise ConfigError(
                f"the deployment was begun with {begun.account}",
                code="RST003",
                fix=f"go on with that key, or delete {note} to deploy and stake anew",
            )
        return begun
    begun = Begun(
        account=name,
        nonce=int(web3.eth.get_transaction_count(name, "latest")),
        first_block=int(web3.eth.block_number),
    )
    write_atomic(note, msgspec.json.encode(begun) + b"\n")
    return begun


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
