"""Deployment: predicted addresses, the same again, and what is where."""

from __future__ import annotations

from typing import Any

import pytest
from requests.exceptions import ConnectionError as RequestsConnectionError

from contracts.deployment import deploy
from contracts.deployment_plan import DeploymentPlan, predict
from contracts.errors import ContractRefused, GasAccountEmpty
from contracts.settlement_calls import encode_members
from contracts.transaction import created_address
from contracts.wallet import Wallet
from primitives.address import to_checksum
from primitives.errors import TransientError, WrongNetwork
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey
from tests.contracts.harness import (
    CHAIN_ID,
    COMPANY,
    DEPLOYER,
    DEVELOPMENT,
    NETWORK_ID,
    STRANGER,
    TOKENS,
    Evm,
    World,
    embedded_evm,
)


def test_prediction_is_what_gets_deployed(world: World) -> None:
    deployment = world.deployment
    nonce = 0
    while created_address(DEPLOYER.address, nonce) != deployment.tokens[0].address:
        nonce += 1
    predicted = predict(world.plan, chain_id=CHAIN_ID, deployer=DEPLOYER.address, nonce=nonce)
    assert predicted == deployment
    assert [token.symbol for token in deployment.tokens] == [token.symbol for token in TOKENS]
    for address in (deployment.registry, deployment.vault, deployment.distributor):
        assert len(world.evm.web3.eth.get_code(to_checksum(address))) > 100


def test_vault_starts_with_the_genesis_committee(world: World) -> None:
    status = world.client.status()
    assert status.epoch == 1
    assert status.committee_hash == keccak256(encode_members(world.members()))
    assert (status.executed_height, status.checkpoints, status.deposits) == (0, 0, 0)
    assert world.view("Settlement", world.vault, "networkId") == NETWORK_ID
    for seat, owner in enumerate((COMPANY, DEVELOPMENT)):
        treasury = world.view("FeeDistributor", world.distributor, "treasury", seat)
        assert treasury == to_checksum(owner)


def test_deploying_again_changes_nothing() -> None:
    world = World(embedded_evm())
    evm = world.evm
    height = evm.web3.eth.block_number
    assert deploy(evm.web3, world.plan, DEPLOYER, chain_id=CHAIN_ID) == world.deployment
    assert evm.web3.eth.block_number == height


def test_interrupted_deployment_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    evm = embedded_evm()
    plan = World(embedded_evm()).plan
    provider = evm.web3.provider
    ask, sent = provider.make_request, []

    def send_five(method: str, parameters: Any) -> Any:
        if method == "eth_sendRawTransaction":
            if len(sent) == 5:
                raise RequestsConnectionError("gone")
            sent.append(parameters)
        return ask(method, parameters)

    with monkeypatch.context() as patch:
        patch.setattr(provider, "make_request", send_five)
        with pytest.raises(TransientError, match="gone"):
            deploy(evm.web3, plan, DEPLOYER, chain_id=CHAIN_ID)
    deployment = deploy(evm.web3, plan, DEPLOYER, chain_id=CHAIN_ID)
    assert deployment == predict(plan, chain_id=CHAIN_ID, deployer=DEPLOYER.address)
    assert len(evm.web3.eth.get_code(to_checksum(deployment.vault))) > 100


@pytest.mark.parametrize(
    "refusal", ["already known", "replacement transaction underpriced", "nonce too low"]
)
def test_what_an_earlier_deployment_left_waiting_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    evm = embedded_evm()
    plan = World(embedded_evm()).plan
    provider = evm.web3.provider
    ask = provider.make_request

    def refuse(method: str, parameters: Any) -> Any:
        answer = ask(method, parameters)
        is_sending = method == "eth_sendRawTransaction"
        return {"error": {"code": -32000, "message": refusal}} if is_sending else answer

    monkeypatch.setattr(provider, "make_request", refuse)
    deployment = deploy(evm.web3, plan, DEPLOYER, chain_id=CHAIN_ID)
    assert len(evm.web3.eth.get_code(to_checksum(deployment.vault))) > 100


def test_grants_pay_for_the_validators_gas(evm: Evm) -> None:
    world = World(evm)
    evm = world.evm
    fields = {name: getattr(world.plan, name) for name in DeploymentPlan.__slots__}
    fresh = keccak256(b"fresh account" + evm.rpc.call("eth_blockNumber").encode())[:20]
    plan = DeploymentPlan(**{**fields, "gas_grants": ((fresh, 10**17),)})
    nonce = evm.web3.eth.get_transaction_count(to_checksum(DEPLOYER.address))
    deploy(evm.web3, plan, DEPLOYER, chain_id=CHAIN_ID, nonce=nonce)
    assert evm.web3.eth.get_balance(to_checksum(fresh)) == 10**17


@pytest.mark.parametrize("tokens", [[bytes(20)], [b"\1" * 20, b"\1" * 20]])
def test_vault_refuses_zero_and_repeated_tokens(world: World, tokens: list[bytes]) -> None:
    with pytest.raises(AssertionError):
        world.deploy_contract(
            "Settlement", world.vault_config(), [to_checksum(token) for token in tokens]
        )


def test_vault_refuses_a_registry_that_is_no_contract(world: World) -> None:
    config = world.vault_config(registry=to_checksum(STRANGER.address))
    with pytest.raises(AssertionError):
        world.deploy_contract("Settlement", config, [])


def test_account_that_was_used_before_is_refused() -> None:
    evm = embedded_evm()
    plan = World(embedded_evm()).plan
    wallet = Wallet(evm.web3, DEPLOYER, chain_id=CHAIN_ID)
    for _ in range(20):
        wallet.send_native(STRANGER.address, 1)
    with pytest.raises(WrongNetwork, match="is not at"):
        deploy(evm.web3, plan, DEPLOYER, chain_id=CHAIN_ID)


def test_wallet_errors_are_ours(world: World) -> None:
    poor = Wallet(world.evm.web3, PrivateKey(keccak256(b"poor")), chain_id=CHAIN_ID)
    with pytest.raises(GasAccountEmpty):
        poor.send_native(STRANGER.address, 1)
    with pytest.raises(ContractRefused):
        world.wallet.deposit(world.vault, world.usdx, 1)  # nothing to deposit
    with pytest.raises(ContractRefused):
        world.wallet.mint(world.tokens["XOM"], STRANGER.address, 1)
