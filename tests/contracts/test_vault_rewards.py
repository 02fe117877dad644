"""XOM: a plain token whose supply grows by a rule, through checkpoints only."""

from __future__ import annotations

import pytest
from eth_account import Account

from contracts.decisions import DecisionKind
from contracts.transaction import created_address
from primitives.address import to_checksum
from primitives.keccak import keccak256
from tests.contracts.harness import CHAIN_ID, DEPLOYER, RELAYER, STRANGER, TRADER, World
from tests.contracts.test_vault_decisions import decide

DAY = 24 * 3600
FORTNIGHT = 14 * DAY


def test_xom_grows_by_two_percent_a_year_through_checkpoints_only(world: World) -> None:
    xom = world.tokens["XOM"]
    supply = world.plan.xom_supply
    mint = world.encode("OmniCoin", "mint", 1)
    assert world.refusal(mint, to=xom, contract="OmniCoin").reason == "OnlyMinter"
    world.checkpoint()
    assert world.view("OmniCoin", xom, "minted") == 0  # not within the first day
    world.increase_time(5 * DAY)
    world.checkpoint()
    minted = world.view("OmniCoin", xom, "minted")
    now_s = world.evm.web3.eth.get_block("latest")["timestamp"]
    elapsed = now_s - world.view("OmniCoin", xom, "startedAt")
    assert minted == supply * 2 * elapsed // (100 * 365 * DAY)
    assert elapsed >= 5 * DAY
    world.checkpoint()
    assert world.view("OmniCoin", xom, "minted") == minted  # at most once a day
    (reward,) = world.client.deposits_in(0, world.client.head()[0])
    rewards = bytes.fromhex(world.view("Settlement", world.vault, "REWARDS")[2:])
    assert (reward.token, reward.amount, reward.depositor) == (xom, minted, world.vault)
    assert reward.beneficiary == rewards == keccak256(b"OmniBazaar rewards")[12:]
    assert world.balance(xom, world.vault) == minted
    assert world.view("OmniCoin", xom, "totalSupply") == supply + minted
    world.assert_solvent()


def follow(world: World, vault: bytes) -> None:
    """Let the ledger's next checkpoint come to a vault after two days."""
    world.vault = world.ledger.vault = vault
    world.client = world.make_client(RELAYER)
    world.increase_time(2 * DAY)
    world.checkpoint()


@pytest.mark.parametrize("is_listed", [True, False])
def test_vault_that_is_not_the_minter_or_takes_no_xom_mints_nothing(
    world: World, is_listed: bool
) -> None:
    xom = world.tokens["XOM"]
    config = world.vault_config(reward_token=to_checksum(xom))
    tokens = [to_checksum(xom)] if is_listed else []
    follow(world, world.deploy_contract("Settlement", config, tokens))
    assert world.view("OmniCoin", xom, "minted") == 0
    assert world.client.status().deposits == 0


@pytest.mark.parametrize(("supply", "is_listed"), [(0, True), (10**45, True), (10**24, False)])
def test_rewards_of_nothing_beyond_a_deposit_or_not_taken_are_not_minted(
    world: World, supply: int, is_listed: bool
) -> None:
    nonce = world.evm.web3.eth.get_transaction_count(to_checksum(DEPLOYER.address))
    minter = to_checksum(created_address(DEPLOYER.address, nonce + 1))
    coin = to_checksum(world.deploy_contract("OmniCoin", minter, supply, minter))
    config = world.vault_config(reward_token=coin)
    vault = world.deploy_contract("Settlement", config, [coin] if is_listed else [])
    assert to_checksum(vault) == minter
    follow(world, vault)
    assert world.client.status().deposits == 0


def test_no_vault_mints_more_than_the_rule(world: World) -> None:
    minter = to_checksum(TRADER.address)
    coin = world.deploy_contract("OmniCoin", minter, 10**24, minter)
    world.increase_time(365 * DAY)
    allowed = world.view("OmniCoin", coin, "mintable")
    assert 2 * 10**22 <= allowed < 2 * 10**22 + 10**17
    much = world.encode("OmniCoin", "mint", allowed + 10**18)
    assert world.refusal(much, key=TRADER, to=coin, contract="OmniCoin").reason == "TooMuch"
    exact = world.encode("OmniCoin", "mint", 2 * 10**22)
    assert world.send(TRADER, coin, exact)["status"] == 1
    assert world.view("OmniCoin", coin, "minted") == 2 * 10**22
    assert world.view("OmniCoin", coin, "mintable") < 10**18


def test_minting_passes_to_the_announced_successor(world: World) -> None:
    xom = world.tokens["XOM"]
    follow = world.encode("OmniCoin", "followMinter")
    assert world.refusal(follow, to=xom, contract="OmniCoin").reason == "NoSuccessor"
    tokens = [to_checksum(token) for token in world.tokens.values()]
    config = world.vault_config(reward_token=to_checksum(xom))
    successor = world.deploy_contract("Settlement", config, tokens)
    decide(world, DecisionKind.ANNOUNCE, successor)
    assert world.refusal(follow, to=xom, contract="OmniCoin").reason == "NoSuccessor"
    world.increase_time(FORTNIGHT)
    assert world.send(STRANGER, xom, follow)["status"] == 1
    assert world.view("OmniCoin", xom, "minter") == to_checksum(successor)


def test_xom_is_a_plain_token_with_permit(world: World) -> None:
    xom = world.tokens["XOM"]
    assert world.view("OmniCoin", xom, "symbol") == "XOM"
    assert world.view("OmniCoin", xom, "decimals") == 18
    assert world.view("OmniCoin", xom, "totalSupply") == world.plan.xom_supply
    deadline = 2**40
    message = {
        "owner": to_checksum(DEPLOYER.address),
        "spender": to_checksum(STRANGER.address),
        "value": 123,
        "nonce": 0,
        "deadline": deadline,
    }
    domain = {
        "name": "OmniCoin",
        "version": "1",
        "chainId": CHAIN_ID,
        "verifyingContract": to_checksum(xom),
    }
    fields = ["owner:address", "spender:address", "value:uint256", "nonce:uint256"]
    types = {
        "Permit": [
            dict(zip(("name", "type"), field.split(":"), strict=True))
            for field in [*fields, "deadline:uint256"]
        ]
    }
    signed = Account.sign_typed_data(DEPLOYER.secret, domain, types, message)
    permit = world.encode(
        "OmniCoin",
        "permit",
        message["owner"],
        message["spender"],
        123,
        deadline,
        signed.v,
        signed.r.to_bytes(32, "big"),
        signed.s.to_bytes(32, "big"),
    )
    assert world.send(STRANGER, xom, permit)["status"] == 1
    allowance = world.view("OmniCoin", xom, "allowance", message["owner"], message["spender"])
    assert allowance == 123
