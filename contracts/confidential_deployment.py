"""Deploy a private token with its door to a vault.

Rule: what gets deployed lies where the plan said; what is there already stays.

Spec: docs/spec/confidential.md §4
Deviations: none
"""

from __future__ import annotations

from typing import Any

from web3 import Web3

from contracts.artifact import load_artifact
from contracts.confidential_plan import CoinPlan, Confidential, predict_confidential
from contracts.confidential_wallet import ConfidentialWallet
from contracts.evm_web3 import translated_errors
from primitives.address import to_checksum
from primitives.errors import TransientError
from primitives.secp256k1 import PrivateKey


def deploy_confidential(
    web3: Web3,
    plan: CoinPlan,
    vault: bytes,
    key: PrivateKey,
    *,
    chain_id: int,
    nonce: int,
    mine_at_once: bool = False,
) -> Confidential:
    """Deploy coin and door; the deployer owns `plan.scale` atoms of the public token.

    What is there already stays. Raises TransientError, ContractRefused; a door refuses a token
    that ignores allowances.
    """
    found = predict_confidential(key.address, nonce)
    with translated_errors():
        if web3.eth.get_code(to_checksum(found.door)):
            return found
        next_nonce = web3.eth.get_transaction_count(to_checksum(key.address), "latest")
    if next_nonce != nonce:
        raise TransientError(
            f"the deployer's next nonce is {next_nonce}, not {nonce}: a deployment was cut short"
        )
    wallet = ConfidentialWallet(web3, key, chain_id=chain_id, mine_at_once=mine_at_once)
    terms = (plan.name, plan.symbol, plan.decimals, to_checksum(plan.underlying), plan.scale)
    wallet.create(_creation(web3, "ConfidentialCoin", *terms))
    wallet.wrap(found.coin, 1)
    aes_key = wallet.onboard()
    wallet.allow_private(found.coin, found.door, aes_key, 1)
    receipts = (f"{plan.name} in the vault", plan.symbol, plan.decimals)
    door = wallet.create(
        _creation(web3, "ConfidentialVault", to_checksum(found.coin), to_checksum(vault), *receipts)
    )
    assert door == found.door, "the door lies where it was predicted"
    return found


def _creation(web3: Web3, name: str, *arguments: Any) -> str:
    """Data of a transaction that creates a contract."""
    artifact = load_artifact(name)
    factory = web3.eth.contract(abi=list(artifact.abi), bytecode=artifact.bytecode)
    payload: str = factory.constructor(*arguments).data_in_transaction
    return payload
