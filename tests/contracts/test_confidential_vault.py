"""Private tokens through the vault: in, credited, out, and nothing for whoever tries to cheat."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.artifact import load_artifact, signature
from contracts.chain.mpc_values import user_key
from contracts.confidential_cipher import decrypt_block
from contracts.confidential_deployment import deploy_confidential
from contracts.confidential_plan import CoinPlan
from contracts.decisions import DecisionKind
from contracts.deployment_plan import DeployedToken
from contracts.errors import ContractRefused, RpcRefused
from contracts.escape import RefundClaim, encode_refund
from contracts.limits import ESCAPE_GAS
from contracts.private_inputs import APPROVE, DEPOSIT, UNWRAP
from contracts.rpc_values import data, quantity
from contracts.settlement_calls import encode_withdraw, revert_reason
from contracts.settlement_types import Submission
from contracts.transaction import created_address
from contracts.vault_leaving import VaultLeaving
from exchange.actions import Attest, Deposit, Withdraw, encode_amount
from exchange.genesis import AssetConfig, ExchangeGenesis
from primitives.address import to_checksum
from primitives.errors import TransientError
from tests.contracts.confidential_world import ConfidentialWorld
from tests.contracts.harness import (
    CHAIN_ID,
    COMPANY,
    DEPLOYER,
    RELAYER,
    STRANGER,
    TRADER,
)
from tests.contracts.test_exchange_settles_on_chain import claim, settle
from tests.contracts.test_vault_decisions import decide
from tests.exchange.world import World as Exchange

DAY = 24 * 3600
TRANSFER_FROM = "transferFrom(address,address,(uint256,bytes))"
TRANSFER = "transfer(address,(uint256,bytes))"


@pytest.fixture
def world() -> ConfidentialWorld:
    """A vault with a private token, whose deployer has its key."""
    made = ConfidentialWorld()
    made.aes_key(DEPLOYER)
    return made


def send_encrypted(
    world: ConfidentialWorld, contract: str, to: bytes, function: str, amount: int,
    *before: Any, after: tuple[Any, ...] = (), key: Any = TRADER,
) -> dict[str, Any]:  # fmt: skip
    """Call a function that takes an encrypted amount."""
    terms = world.confidential(key).encrypt(to, function, world.aes_key(key), amount)
    payload = world.encode(contract, function, *before, terms, *after)
    return world.send(key, to, payload)


def total_held(world: ConfidentialWorld) -> int:
    """What the door holds in private tokens: only the emulation's keys can tell."""
    web3 = world.evm.web3
    coin = web3.eth.contract(
        address=to_checksum(world.parts.coin), abi=world_abi("ConfidentialCoin")
    )
    reader = coin.get_function_by_signature("balanceOf(address)")
    ciphertext = reader(to_checksum(world.parts.door)).call()
    return decrypt_block(user_key(world.parts.door), ciphertext)


def world_abi(name: str) -> list[dict[str, Any]]:
    """ABI of an artifact."""
    return list(load_artifact(name).abi)


def assert_backed(world: ConfidentialWorld) -> None:
    """Every receipt has a private token, the vault owes no more than it has receipts."""
    door = world.parts.door
    supply = world.view("ConfidentialVault", door, "totalSupply")
    assert total_held(world) >= supply
    assert world.view("ConfidentialVault", door, "balanceOf", to_checksum(door)) == 0
    world.assert_solvent()


def test_onboarding_gives_the_same_key_every_time_and_only_to_its_owner(
    world: ConfidentialWorld,
) -> None:
    wallet = world.confidential(TRADER)
    first, second = (wallet.onboard() for _ in range(2))
    assert first == second == user_key(TRADER.address)
    assert first != world.confidential(STRANGER).onboard()


def test_a_balance_is_seen_by_its_owner_only(world: ConfidentialWorld) -> None:
    world.wrap(5_000)
    assert world.private_balance(TRADER) == 5_000
    reader = world.confidential(TRADER)
    with pytest.raises(ValueError, match="not encrypted under"):
        reader.private_balance(world.parts.coin, world.aes_key(STRANGER))


def test_what_was_received_before_onboarding_is_readable_after(world: ConfidentialWorld) -> None:
    world.wrap(5_000)
    done = send_encrypted(
        world, "ConfidentialCoin", world.parts.coin, TRANSFER, 1_200, to_checksum(RELAYER.address)
    )
    assert done["status"] == 1
    assert world.private_balance(RELAYER) == 1_200
    assert world.private_balance(TRADER) == 3_800
    amount = (1_200).to_bytes(8, "big").hex()
    assert amount not in done["logs"][0]["data"].hex()


def test_deposit_is_credited_and_withdrawn_by_the_paths_of_every_token(
    world: ConfidentialWorld,
) -> None:
    door = world.parts.door
    assert world.deposit_private(10_000, to=STRANGER.address) == 0
    (found,) = world.client.deposits_in(0, world.client.head()[0])
    assert (found.token, found.beneficiary, found.amount) == (door, STRANGER.address, 10_000)
    assert found.depositor == door
    assert_backed(world)

    config = AssetConfig(
        name="pUSDX", decimals=6, chain_id=CHAIN_ID, vault=to_checksum(world.vault),
        token=to_checksum(door),
    )  # fmt: skip
    exchange = Exchange(ExchangeGenesis(assets=(config,), markets=(), checkpoint_interval=4))
    credit = (Deposit(found.id, found.beneficiary, door, encode_amount(found.amount)),)
    op = Attest(CHAIN_ID, world.vault, 1, world.client.head()[1], bytes(32), credit, ())
    exchange.block(*(exchange.act(key, op) for key in exchange.validators[:3]))
    out = Withdraw(0, encode_amount(4_000), RELAYER.address)
    exchange.block(exchange.act(STRANGER, out))
    world.fees = {door: 0}
    world.deployment = replace_tokens(world)
    settle(world, exchange.outcomes[-1])
    proven = claim(world, exchange, exchange.outcomes[-1], 0)
    assert world.client.withdraw(proven) is Submission.DONE
    assert world.refused_withdrawal(proven) == "AlreadyPaid"
    assert world.private_balance(RELAYER) == 4_000
    assert world.view("ConfidentialVault", door, "totalSupply") == 6_000
    assert_backed(world)


def replace_tokens(world: ConfidentialWorld) -> Any:
    """The deployment as the test's exchange has it: one asset, the door."""
    token = DeployedToken(symbol="pUSDX", name="Private", decimals=6, address=world.parts.door)
    return replace(world.deployment, tokens=(token,))


def test_wrapping_and_unwrapping_are_one_for_one(world: ConfidentialWorld) -> None:
    coin = world.parts.coin
    world.wrap(900)
    wallet = world.confidential(TRADER)
    before = world.balance(world.usdx, TRADER.address)
    wallet.unwrap(coin, world.aes_key(TRADER), 400)
    assert world.balance(world.usdx, TRADER.address) == before + 400
    assert world.private_balance(TRADER) == 500
    with pytest.raises(ContractRefused):
        wallet.unwrap(coin, world.aes_key(TRADER), 501)
    with pytest.raises(ContractRefused):
        wallet.unwrap(coin, world.aes_key(TRADER), 0)
    supply = world.view("ConfidentialCoin", coin, "totalSupply")
    assert supply == 501 == world.balance(world.usdx, coin)  # the deployer has the first atom


# --- cheating --------------------------------------------------------------------------------


def test_nobody_moves_tokens_without_an_allowance(world: ConfidentialWorld) -> None:
    """On the published token the same call takes the victim's tokens."""
    world.wrap(900)
    names = (to_checksum(TRADER.address), to_checksum(STRANGER.address))
    published = world.deploy_contract("PublishedPrivateToken")
    mint = world.encode("PublishedPrivateToken", "mint", names[0], 900)
    assert world.send(TRADER, published, mint)["status"] == 1
    for contract, token in (("PublishedPrivateToken", published),
                            ("ConfidentialCoin", world.parts.coin)):  # fmt: skip
        done = send_encrypted(world, contract, token, TRANSFER_FROM, 900, *names, key=STRANGER)
        assert done["status"] == (1 if token == published else 0)
        taken = world.confidential(STRANGER).private_balance(token, world.aes_key(STRANGER))
        assert taken == (900 if token == published else 0)
    assert world.private_balance(TRADER) == 900


def test_the_doors_own_tokens_cannot_be_taken(world: ConfidentialWorld) -> None:
    world.deposit_private(10_000)
    names = (to_checksum(world.parts.door), to_checksum(STRANGER.address))
    coin = world.parts.coin
    done = send_encrypted(world, "ConfidentialCoin", coin, TRANSFER_FROM, 1, *names, key=STRANGER)
    assert done["status"] == 0
    assert_backed(world)


def test_an_allowance_is_used_up(world: ConfidentialWorld) -> None:
    coin = world.parts.coin
    world.wrap(900)
    world.confidential(TRADER).allow_private(coin, STRANGER.address, world.aes_key(TRADER), 500)
    names = (to_checksum(TRADER.address), to_checksum(STRANGER.address))
    for amount, status in ((501, 0), (300, 1), (201, 0), (200, 1), (1, 0)):
        done = send_encrypted(
            world, "ConfidentialCoin", coin, TRANSFER_FROM, amount, *names, key=STRANGER
        )
        assert done["status"] == status, amount
    assert world.private_balance(TRADER) == 400


@pytest.mark.parametrize("amount", [901, 2**64 - 1])
def test_more_than_the_balance_moves_nothing(world: ConfidentialWorld, amount: int) -> None:
    world.wrap(900)
    to = to_checksum(STRANGER.address)
    done = send_encrypted(world, "ConfidentialCoin", world.parts.coin, TRANSFER, amount, to)
    assert done["status"] == 0
    with pytest.raises(ContractRefused):
        world.confidential(TRADER).deposit_private(world.parts.door, world.aes_key(TRADER), amount)
    assert world.private_balance(TRADER) == 900
    assert_backed(world)


def test_a_transfer_to_oneself_makes_nothing(world: ConfidentialWorld) -> None:
    """On the published token it doubles the balance."""
    world.wrap(900)
    own = to_checksum(TRADER.address)
    done = send_encrypted(world, "ConfidentialCoin", world.parts.coin, TRANSFER, 900, own)
    assert done["status"] == 0
    assert world.private_balance(TRADER) == 900
    published = world.deploy_contract("PublishedPrivateToken")
    world.send(TRADER, published, world.encode("PublishedPrivateToken", "mint", own, 900))
    send_encrypted(world, "PublishedPrivateToken", published, TRANSFER, 900, own)
    key = world.aes_key(TRADER)
    assert world.confidential(TRADER).private_balance(published, key) == 1_800


def test_an_input_is_taken_once_from_its_signer_for_its_function(
    world: ConfidentialWorld,
) -> None:
    door, coin = world.parts.door, world.parts.coin
    world.wrap(10_000)
    wallet, key = world.confidential(TRADER), world.aes_key(TRADER)
    wallet.allow_private(coin, door, key, 10_000)
    terms = wallet.encrypt(door, DEPOSIT, key, 1_000)
    own = to_checksum(TRADER.address)
    payload = world.encode("ConfidentialVault", DEPOSIT, terms, own)

    def refused(payload: bytes, signer: Any = TRADER, to: bytes = door) -> str:
        return world.refusal(payload, key=signer, to=to, contract="ConfidentialVault").reason

    replayer = world.deploy_contract("InputReplayer")
    play = world.encode("InputReplayer", "play", to_checksum(door), terms)
    assert refused(play, to=replayer) == "OnlyWallets"
    assert world.send(STRANGER, door, payload)["status"] == 0  # not the signer's transaction
    other = wallet.encrypt(door, UNWRAP, key, 1_000)
    wrong = world.encode("ConfidentialVault", DEPOSIT, other, own)
    assert world.send(TRADER, door, wrong)["status"] == 0  # signed for another function
    changed = (terms[0] ^ 1 << 130, terms[1])
    wrong = world.encode("ConfidentialVault", DEPOSIT, changed, own)
    assert world.send(TRADER, door, wrong)["status"] == 0  # another amount
    assert world.send(TRADER, door, payload)["status"] == 1
    assert refused(payload) == "InputUsed"
    nothing = wallet.encrypt(door, DEPOSIT, key, 0)
    assert refused(world.encode("ConfidentialVault", DEPOSIT, nothing, own)) == "NothingMoved"
    assert world.private_balance(TRADER) == 9_000
    assert_backed(world)


@pytest.mark.parametrize(
    ("mode", "reason"), [(0, ""), (1, "InflatesOnSelfTransfer"), (2, "InflatesOnSelfTransfer")]
)
def test_a_token_that_lies_or_mints_to_itself_gets_no_door(
    world: ConfidentialWorld, mode: int, reason: str
) -> None:
    token = world.deploy_contract("LyingPrivateToken")
    own = to_checksum(DEPLOYER.address)
    world.send(DEPLOYER, token, world.encode("LyingPrivateToken", "mint", own, 5))
    nonce = world.evm.web3.eth.get_transaction_count(own)
    door = created_address(DEPLOYER.address, nonce + 2)
    world.confidential(DEPLOYER).allow_private(token, door, world.aes_key(DEPLOYER), 1)
    world.send(DEPLOYER, token, world.encode("LyingPrivateToken", "behave", mode))
    assert open_door(world, token) == reason


def open_door(world: ConfidentialWorld, token: bytes) -> str:
    """Let the deployer's next transaction open a door; why it was refused, empty if it was not."""
    artifact = load_artifact("ConfidentialVault")
    web3 = world.evm.web3
    factory = web3.eth.contract(abi=list(artifact.abi), bytecode=artifact.bytecode)
    names = (to_checksum(token), to_checksum(world.vault), "Receipts", "R", 6)
    payload = factory.constructor(*names).data_in_transaction
    message = {"from": data(DEPLOYER.address), "data": payload, "gas": quantity(8_000_000)}
    try:
        world.evm.rpc.call("eth_call", message, "latest")
    except RpcRefused as problem:
        reason = revert_reason(problem, "ConfidentialVault")
        assert reason is not None
        return reason.reason
    world.confidential(DEPLOYER).create(payload)
    return ""


def test_the_published_token_gets_no_door(world: ConfidentialWorld) -> None:
    token = world.deploy_contract("PublishedPrivateToken")
    own = to_checksum(DEPLOYER.address)
    world.send(DEPLOYER, token, world.encode("PublishedPrivateToken", "mint", own, 5))
    nonce = world.evm.web3.eth.get_transaction_count(own)
    door = created_address(DEPLOYER.address, nonce + 1)
    world.confidential(DEPLOYER).allow_private(token, door, world.aes_key(DEPLOYER), 1)
    assert open_door(world, token) == "InflatesOnSelfTransfer"


def test_a_token_that_only_ignores_allowances_gets_no_door(world: ConfidentialWorld) -> None:
    token = world.deploy_contract("LyingPrivateToken")
    own = to_checksum(DEPLOYER.address)
    world.send(DEPLOYER, token, world.encode("LyingPrivateToken", "mint", own, 5))
    nonce = world.evm.web3.eth.get_transaction_count(own)
    door = created_address(DEPLOYER.address, nonce + 2)
    world.confidential(DEPLOYER).allow_private(token, door, world.aes_key(DEPLOYER), 1)
    world.send(DEPLOYER, token, world.encode("LyingPrivateToken", "behave", 3))
    assert open_door(world, token) == "IgnoresAllowances"


def test_a_token_that_was_not_approved_gets_no_door(world: ConfidentialWorld) -> None:
    assert open_door(world, world.parts.coin) == "NothingMoved"
    assert open_door(world, bytes(20)) == "ZeroAddress"


def test_an_unlimited_approval_gets_no_door(world: ConfidentialWorld) -> None:
    world.wrap(5, DEPLOYER)
    nonce = world.evm.web3.eth.get_transaction_count(to_checksum(DEPLOYER.address))
    door = created_address(DEPLOYER.address, nonce + 1)
    key = world.aes_key(DEPLOYER)
    world.confidential(DEPLOYER).allow_private(world.parts.coin, door, key, 2**64 - 1)
    assert open_door(world, world.parts.coin) == "IgnoresAllowances"


# --- receipts --------------------------------------------------------------------------------


def test_receipts_belong_to_vaults_only(world: ConfidentialWorld) -> None:
    door = world.parts.door
    world.deposit_private(10_000)
    own = to_checksum(STRANGER.address)

    def refused(function: str, *arguments: Any) -> str:
        payload = world.encode("ConfidentialVault", function, *arguments)
        return world.refusal(payload, key=STRANGER, to=door, contract="ConfidentialVault").reason

    vault = to_checksum(world.vault)
    assert refused("transfer", own, 1) == "TooFewReceipts"
    assert refused("transferFrom", vault, own, 1) == "NotAllowed"
    assert refused("transfer", to_checksum(door), 0) == "PaidToItself"
    assert refused("transfer", "0x" + "00" * 20, 0) == "ZeroAddress"
    assert refused("followVault") == "NoSuccessor"
    approve = world.encode("ConfidentialVault", "approve", own, 5)
    assert world.send(STRANGER, door, approve)["status"] == 1
    assert refused("transferFrom", own, vault, 5) == "TooFewReceipts"
    assert_backed(world)


def test_shares_of_fees_reach_treasuries_as_private_tokens(world: ConfidentialWorld) -> None:
    door = world.parts.door
    world.deposit_private(10_000)
    world.fees[door] = 1_000
    world.checkpoint()
    receipts = world.view("ConfidentialVault", door, "balanceOf", to_checksum(world.distributor))
    assert receipts == 300
    payload = world.encode("FeeDistributor", "claim", 0, to_checksum(door))
    assert world.send(STRANGER, world.distributor, payload)["status"] == 1
    assert world.view("ConfidentialVault", door, "totalSupply") == 10_000 - 200
    web3 = world.evm.web3
    coin = web3.eth.contract(
        address=to_checksum(world.parts.coin), abi=world_abi("ConfidentialCoin")
    )
    ciphertext = coin.get_function_by_signature("balanceOf(address)")(to_checksum(COMPANY)).call()
    assert decrypt_block(user_key(COMPANY), ciphertext) == 200
    assert_backed(world)


def test_uncredited_deposits_are_given_back_to_whoever_made_them(
    world: ConfidentialWorld,
) -> None:
    door = world.parts.door
    number = world.deposit_private(10_000, to=STRANGER.address)
    world.increase_time(7 * DAY + 60)
    assert world.client.open_escape() is Submission.DONE
    world.increase_time(2 * DAY + 60)
    words = world.ledger.words(0)
    record = RefundClaim(
        words=words, cursors=(), id=number, token=door, depositor=door,
        beneficiary=STRANGER.address, amount=10_000,
    )  # fmt: skip
    # To the door itself the vault cannot pay: the receipts would be lost there.
    assert world.send(STRANGER, world.vault, encode_refund(record, door))["status"] == 0
    names = (number, to_checksum(door), to_checksum(door), to_checksum(STRANGER.address), 10_000)
    state = (0, *[getattr(words, name) for name in (
        "accounts", "withdrawals", "deposits", "fills", "effects", "rest")])  # fmt: skip
    vault = to_checksum(world.vault)
    payload = world.encode("ConfidentialVault", "refund", vault, state, [], names)
    other = world.encode("ConfidentialVault", "refund", vault, state, [], (number + 1, *names[1:]))
    refusal = world.refusal(other, to=door, contract="ConfidentialVault")
    assert refusal.reason == "UnknownDeposit"
    assert world.send(RELAYER, door, payload)["status"] == 1
    assert world.private_balance(TRADER) == 10_000
    assert world.send(RELAYER, door, payload)["status"] == 0
    assert world.view("ConfidentialVault", door, "totalSupply") == 0


def test_an_escape_pays_private_tokens(world: ConfidentialWorld) -> None:
    door, owner = world.parts.door, STRANGER.address
    world.deposit_private(1_000)
    asset = list(world.fees).index(door)
    world.ledger.accounts = {owner: [(0, asset, 600, 100)]}
    words = world.checkpoint()
    world.increase_time(7 * DAY + 60)
    assert world.client.open_escape() is Submission.DONE
    world.increase_time(2 * DAY + 60)
    account, entry = world.ledger.balance_proof(owner, 0)
    fees = [
        (fee.chain_id, to_checksum(fee.vault), to_checksum(fee.token), fee.total, fee.owed)
        for fee in world.fee_totals()
    ]
    names = ("accounts", "withdrawals", "deposits", "fills", "effects", "rest")
    state = (words.height, *(getattr(words, name) for name in names))
    payload = world.encode("Settlement", "escape", state, account, entry, fees, to_checksum(owner))
    assert world.send(RELAYER, world.vault, payload, gas=ESCAPE_GAS)["status"] == 1
    assert world.private_balance(STRANGER) == 700
    assert world.view("ConfidentialVault", door, "totalSupply") == 300
    assert_backed(world)


def test_the_door_follows_the_vault_to_its_successor(world: ConfidentialWorld) -> None:
    door = world.parts.door
    world.deposit_private(10_000)
    tokens = [to_checksum(token) for token in (*world.tokens.values(), door)]
    successor = world.deploy_contract("Settlement", world.vault_config(), tokens)
    decide(world, DecisionKind.ANNOUNCE, successor)
    follow = world.encode("ConfidentialVault", "followVault")
    refusal = world.refusal(follow, to=door, contract="ConfidentialVault")
    assert refusal.reason == "NoSuccessor"
    old = world.vault
    for is_last in (False, True):
        world.increase_time(7 * DAY + 60)
        world.vault = old
        if is_last:
            world.move(successor, {door: 10_000})
        submission = world.submission()
        for vault in (old, successor):
            world.vault = vault
            world.make_client(RELAYER).submit_checkpoint(submission)
    world.vault = old
    early = world.encode("Settlement", "handOver", to_checksum(door), world.height)
    assert world.refusal(early).reason == "WrongTransfer"  # receipts would end there
    assert world.send(STRANGER, door, follow)["status"] == 1
    assert VaultLeaving(world.client).hand_over(door, world.height) is Submission.DONE
    held = world.view("ConfidentialVault", door, "balanceOf", to_checksum(successor))
    assert held == 10_000
    world.vault = successor
    assert world.deposit_private(500) == 0
    held = world.view("ConfidentialVault", door, "balanceOf", to_checksum(successor))
    assert held == 10_500 == total_held(world)


def test_a_theft_inside_the_token_stops_deposits(world: ConfidentialWorld) -> None:
    token = world.deploy_contract("LyingPrivateToken")
    own = to_checksum(DEPLOYER.address)
    for owner in (own, to_checksum(TRADER.address)):
        world.send(DEPLOYER, token, world.encode("LyingPrivateToken", "mint", owner, 500))
    nonce = world.evm.web3.eth.get_transaction_count(own)
    door = created_address(DEPLOYER.address, nonce + 1)
    world.confidential(DEPLOYER).allow_private(token, door, world.aes_key(DEPLOYER), 1)
    assert open_door(world, token) == ""
    decide(world, DecisionKind.LIST, door, 1)
    wallet, key = world.confidential(TRADER), world.aes_key(TRADER)
    assert wallet.deposit_private(door, key, 100) == 0
    wallet.allow_private(token, door, key, 100)
    mode = world.encode("LyingPrivateToken", "behave", 1)
    world.send(DEPLOYER, token, mode)
    terms = wallet.encrypt(door, DEPOSIT, key, 100)
    payload = world.encode("ConfidentialVault", DEPOSIT, terms, own)
    refusal = world.refusal(payload, key=TRADER, to=door, contract="ConfidentialVault")
    assert refusal.reason == "WrongTransfer"  # it says that it has moved them
    world.send(DEPLOYER, token, world.encode("LyingPrivateToken", "behave", 0))
    steal = world.encode("LyingPrivateToken", "steal", to_checksum(door), 1)
    assert world.send(STRANGER, token, steal)["status"] == 1
    wallet.allow_private(token, door, key, 100)
    terms = wallet.encrypt(door, DEPOSIT, key, 100)
    payload = world.encode("ConfidentialVault", DEPOSIT, terms, own)
    refusal = world.refusal(payload, key=TRADER, to=door, contract="ConfidentialVault")
    assert refusal.reason == "Shortfall"


def test_a_payment_that_does_not_arrive_is_none(world: ConfidentialWorld) -> None:
    token = world.deploy_contract("LyingPrivateToken")
    for owner in (DEPLOYER, TRADER):
        mint = world.encode("LyingPrivateToken", "mint", to_checksum(owner.address), 500)
        world.send(DEPLOYER, token, mint)
    nonce = world.evm.web3.eth.get_transaction_count(to_checksum(DEPLOYER.address))
    door = created_address(DEPLOYER.address, nonce + 1)
    world.confidential(DEPLOYER).allow_private(token, door, world.aes_key(DEPLOYER), 1)
    assert open_door(world, token) == ""
    decide(world, DecisionKind.LIST, door, 1)
    world.confidential(TRADER).deposit_private(door, world.aes_key(TRADER), 100)
    index = world.ledger.withdraw(door, 60, STRANGER.address)
    proven = world.ledger.claim(index, world.checkpoint())
    world.send(DEPLOYER, token, world.encode("LyingPrivateToken", "behave", 1))
    assert world.send(RELAYER, world.vault, encode_withdraw(proven))["status"] == 0
    world.send(DEPLOYER, token, world.encode("LyingPrivateToken", "behave", 0))
    assert world.client.withdraw(proven) is Submission.DONE
    reader = world.confidential(STRANGER)
    assert reader.private_balance(token, world.aes_key(STRANGER)) == 60


def test_a_private_token_itself_is_no_token_for_the_vault(world: ConfidentialWorld) -> None:
    decide(world, DecisionKind.LIST, world.parts.coin, 1)
    world.wrap(900)
    world.confidential(TRADER).allow_private(
        world.parts.coin, world.vault, world.aes_key(TRADER), 900
    )
    payload = world.encode("Settlement", "deposit", to_checksum(world.parts.coin), 900)
    assert world.send(TRADER, world.vault, payload)["status"] == 0


def test_deploying_again_changes_nothing_and_a_cut_is_noticed(world: ConfidentialWorld) -> None:
    web3 = world.evm.web3
    plan = CoinPlan(name="p", symbol="p", decimals=6, underlying=world.usdx, scale=1)
    nonce = web3.eth.get_transaction_count(to_checksum(DEPLOYER.address))
    world.wallet.mint(world.usdx, DEPLOYER.address, 1)
    terms = (web3, plan, world.vault, DEPLOYER)
    first = deploy_confidential(*terms, chain_id=CHAIN_ID, nonce=nonce)
    assert deploy_confidential(*terms, chain_id=CHAIN_ID, nonce=nonce) == first
    with pytest.raises(TransientError, match="cut short"):
        deploy_confidential(*terms, chain_id=CHAIN_ID, nonce=nonce + 1)


def test_signatures_name_what_the_abi_has() -> None:
    for contract, function in (
        ("ConfidentialCoin", APPROVE), ("ConfidentialVault", DEPOSIT), ("ConfidentialCoin", UNWRAP)
    ):  # fmt: skip
        entries = [e for e in load_artifact(contract).abi if e["type"] == "function"]
        assert function in [signature(entry) for entry in entries]
