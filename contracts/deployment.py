"""Deploy the contracts of a network on one EVM chain.

Rule: what gets deployed lies where the plan said; deploying the same plan twice changes nothing.

Spec: docs/spec/settlement.md §11
Deviations: none
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from hexbytes import HexBytes
from web3 import Web3

from contracts.artifact import load_artifact
from contracts.deployment_plan import XOM_SYMBOL, Deployment, DeploymentPlan, predict
from contracts.errors import GasAccountEmpty, RpcRefused
from contracts.evm_web3 import Web3Rpc, account_of, fee_fields, mine_now, translated_errors
from contracts.limits import DEPLOYMENT_SECONDS_MAX, WALLET_POLL_SECONDS
from contracts.refusals import Refusal, meaning_of
from contracts.rpc_values import data
from contracts.settlement_calls import encode_members
from contracts.settlement_types import CommitteeMember
from primitives.address import to_checksum
from primitives.errors import TransientError, WrongNetwork
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

VALUE_TRANSFER_GAS = 21_000
FIRST_EPOCH = 1
CALL_GAS = 200_000
DEPLOY_GAS = 9_000_000
REGISTRATION_GAS = 200_000
TOKEN_LISTING_GAS = 100_000


def deploy(
    web3: Web3, plan: DeploymentPlan, key: PrivateKey, *, chain_id: int, nonce: int = 0
) -> Deployment:
    """Deploy what is not there yet and return the addresses.

    All transactions are sent at once, with consecutive nonces from `nonce` on. Raises
    TransientError if the chain does not take them in time or one fails, GasAccountEmpty, and
    WrongNetwork if the account's nonces were used for something else.
    """
    deployment = predict(plan, chain_id=chain_id, deployer=key.address, nonce=nonce)
    with translated_errors():
        _send_missing(web3, plan, deployment, key, nonce)
        _verify_vault(web3, plan, deployment)
    return deployment


def _send_missing(
    web3: Web3, plan: DeploymentPlan, deployment: Deployment, key: PrivateKey, nonce: int
) -> None:
    """Send the transactions that were not mined yet, and wait for them."""
    account = account_of(key)
    done = int(web3.eth.get_transaction_count(to_checksum(key.address), "latest"))
    fees = fee_fields(web3)
    hashes = []
    last = nonce - 1
    for last, fields in enumerate(_transactions(web3, plan, deployment, key.address), nonce):
        if last < done:
            continue
        common = {"chainId": deployment.chain_id, "nonce": last, "value": 0, **fees}
        signed = account.sign_transaction({**common, **fields})
        if _is_taken(web3, bytes(signed.raw_transaction)):
            hashes.append(signed.hash)
    if hashes:
        mine_now(web3)
    _await_nonce(web3, key.address, last + 1)
    _verify_all(web3, hashes)


def _is_taken(web3: Web3, raw: bytes) -> bool:
    """Send a transaction; False if an earlier run's has its nonce, which does the same.

    Raises GasAccountEmpty, TransientError.
    """
    try:
        Web3Rpc(web3).call("eth_sendRawTransaction", data(raw))
    except RpcRefused as problem:
        refusal = meaning_of(problem)
        if refusal is Refusal.NO_FUNDS:
            raise GasAccountEmpty(
                f"the account cannot pay for the deployment: {problem}",
                fix="send native coins of the EVM chain to it",
            ) from problem
        if refusal is Refusal.KNOWN:
            return True
        if refusal in (Refusal.NONCE_WAITS, Refusal.NONCE_USED):
            return False
        raise TransientError(f"the EVM node refuses the deployment: {problem}") from problem
    return True


def _await_nonce(web3: Web3, address: bytes, nonce: int) -> None:
    """Wait until an account has sent so many transactions; raises TransientError."""
    deadline = time.monotonic() + DEPLOYMENT_SECONDS_MAX
    while web3.eth.get_transaction_count(to_checksum(address), "latest") < nonce:
        if time.monotonic() > deadline:
            raise TransientError("the chain does not take the deployment in time")
        time.sleep(WALLET_POLL_SECONDS)


def _verify_vault(web3: Web3, plan: DeploymentPlan, deployment: Deployment) -> None:
    """The account may have spent these nonces on something else: then raise WrongNetwork."""
    address = to_checksum(deployment.vault)
    found = b""
    if web3.eth.get_code(address):
        abi = list(load_artifact("Settlement").abi)
        found = web3.eth.contract(address=address, abi=abi).functions.networkId().call()
    if found != plan.network_id:
        raise WrongNetwork(
            f"the vault of this network is not at {address}",
            fix="deploy with an account, and a nonce, that were not used for anything else",
        )


def _transactions(
    web3: Web3, plan: DeploymentPlan, deployment: Deployment, deployer: bytes
) -> Iterator[dict[str, Any]]:
    """Fields of each transaction, in nonce order."""
    for token in plan.tokens:
        if token.symbol == XOM_SYMBOL:
            vault = to_checksum(deployment.vault)
            yield _creation(web3, "OmniCoin", to_checksum(deployer), plan.xom_supply, vault)
        else:
            yield _creation(web3, "TestToken", token.name, token.symbol, token.decimals)
    yield _registry_creation(web3, plan, deployment)
    yield _vault_creation(web3, plan, deployment)
    total = plan.stake * len(plan.validators)
    registry = to_checksum(deployment.registry)
    yield _call(web3, "OmniCoin", deployment.xom, "approve", registry, total)
    for validator in plan.validators:
        owner = to_checksum(validator.owner)
        yield _call(web3, "ValidatorRegistry", deployment.registry, "addStake", owner, plan.stake)
    for address, wei in plan.gas_grants:
        yield {"to": to_checksum(address), "value": wei, "gas": VALUE_TRANSFER_GAS}


def _registry_creation(web3: Web3, plan: DeploymentPlan, deployment: Deployment) -> dict[str, Any]:
    """The registry with the genesis set."""
    genesis = [
        (to_checksum(one.owner), to_checksum(one.hot_key), one.services, one.network_key)
        for one in plan.validators
    ]
    fields = _creation(
        web3,
        "ValidatorRegistry",
        to_checksum(deployment.xom),
        plan.network_id,
        to_checksum(plan.insurance),
        to_checksum(deployment.vault),
        genesis,
    )
    fields["gas"] += REGISTRATION_GAS * len(genesis)
    return fields


def _vault_creation(web3: Web3, plan: DeploymentPlan, deployment: Deployment) -> dict[str, Any]:
    """The vault, which creates its fee distributor."""
    members = [CommitteeMember(address=one.hot_key, weight=one.weight) for one in plan.validators]
    config = (
        plan.network_id,
        FIRST_EPOCH,
        keccak256(encode_members(members)),
        to_checksum(deployment.registry),
        to_checksum(plan.company),
        to_checksum(plan.development),
        to_checksum(deployment.xom),
    )
    tokens = [*(token.address for token in deployment.tokens), *plan.listed]
    fields = _creation(web3, "Settlement", config, [to_checksum(token) for token in tokens])
    fields["gas"] += TOKEN_LISTING_GAS * len(tokens)
    return fields


def _creation(web3: Web3, name: str, *arguments: Any) -> dict[str, Any]:
    """Fields of a transaction that creates a contract."""
    artifact = load_artifact(name)
    factory = web3.eth.contract(abi=list(artifact.abi), bytecode=artifact.bytecode)
    return {"data": factory.constructor(*arguments).data_in_transaction, "gas": DEPLOY_GAS}


def _call(web3: Web3, name: str, address: bytes, function: str, *arguments: Any) -> dict[str, Any]:
    """Fields of a transaction that calls a contract."""
    contract = web3.eth.contract(address=to_checksum(address), abi=list(load_artifact(name).abi))
    payload = contract.encode_abi(function, args=list(arguments))
    return {"to": to_checksum(address), "data": payload, "gas": CALL_GAS}


def _verify_all(web3: Web3, hashes: list[HexBytes]) -> None:
    """See that what was sent succeeded; raises TransientError."""
    for transaction_hash in hashes:
        receipt = web3.eth.wait_for_transaction_receipt(
            transaction_hash, timeout=DEPLOYMENT_SECONDS_MAX, poll_latency=0.1
        )
        if receipt["status"] != 1:
            raise TransientError(f"deployment failed in {transaction_hash.to_0x_hex()}")
