"""Every period of the vault, at its last second and at the next: on a chain whose clock stands."""

from __future__ import annotations

from dataclasses import replace

import pytest
from web3 import Web3

from contracts import limits
from contracts.chain.accounts import BALANCE_WEI
from contracts.chain.evm import EvmChain
from contracts.chain.methods import RpcMethods
from contracts.chain.store import ChainStore
from contracts.decisions import DecisionKind
from contracts.deployment_plan import STAKE_MIN_ATOMS
from contracts.errors import RpcRefused
from contracts.evm_web3 import verify_chain
from contracts.rpc_values import data
from contracts.settlement_calls import encode_checkpoint, revert_reason
from contracts.transaction import created_address
from primitives.address import to_checksum
from primitives.secp256k1 import PrivateKey
from tests.contracts.harness import (
    ACCOUNTS,
    CHAIN_ID,
    DEPLOYER,
    RELAYER,
    STRANGER,
    TRADER,
    Evm,
    MethodsProvider,
    MethodsRpc,
    World,
)
from tests.contracts.test_validator_penalties import convict
from tests.contracts.test_validator_registry import call as registry_call
from tests.contracts.test_validator_registry import hand_over, join
from tests.contracts.test_validator_registry import read as registry_view
from tests.contracts.test_vault_decisions import make as make_decision
from tests.contracts.test_vault_decisions import signed as signed_decision
from tests.contracts.test_vault_orders import approve
from tests.contracts.test_vault_orders import make as make_order
from tests.contracts.test_vault_orders import signed as signed_order

HOUR = 3_600
DAY = 24 * HOUR
START = 1_800_000_000


class StillWorld(World):
    """The usual world; the next block comes at the second that is asked for."""

    def __init__(self) -> None:
        self.now_s = START
        store = ChainStore(None)
        chain = EvmChain(
            chain_id=CHAIN_ID,
            store=store,
            balances=[(key.address, BALANCE_WEI) for key in ACCOUNTS],
            now_s=lambda: self.now_s,
        )
        methods = RpcMethods(chain, [], automine=True)
        rpc = MethodsRpc(methods)
        rpc.call("evm_mine")  # so that it is not replaced by an image of another chain
        web3 = verify_chain(Web3(MethodsProvider(methods)), CHAIN_ID)
        super().__init__(Evm(rpc=rpc, web3=web3, store=store))

    def number(self, function: str, *arguments: object) -> int:
        """A number that the vault tells."""
        return int(self.view("Settlement", self.vault, function, *arguments))

    def wait_for(self, second: int) -> None:
        """Let calls and the next block be at a second: calls are a second after the last block."""
        head = self.evm.web3.eth.get_block("latest")["timestamp"]
        assert second > head, "the chain is there already"
        if second > head + 1:
            self.now_s = second - 1
            self.evm.rpc.call("evm_mine")
        self.now_s = second

    def reason_at(
        self,
        second: int,
        payload: bytes,
        key: PrivateKey = RELAYER,
        at: tuple[str, bytes] | None = None,
    ) -> str | None:
        """Why a call at a second is refused by the vault or another contract; None if it is not."""
        contract, address = at or ("Settlement", self.vault)
        self.wait_for(second)
        message = {"from": data(key.address), "to": data(address), "data": data(payload)}
        try:
            self.evm.rpc.call("eth_call", message, "latest")
        except RpcRefused as problem:
            refusal = revert_reason(problem, contract)
            assert refusal is not None
            return refusal.reason
        return None

    def send_at(self, second: int, payload: bytes, key: PrivateKey = RELAYER) -> None:
        """Send a call that succeeds, in a block of a second."""
        assert self.reason_at(second, payload, key) is None
        receipt = self.send(key, self.vault, payload)
        assert receipt["status"] == 1
        block = self.evm.web3.eth.get_block(receipt["blockNumber"])
        assert block["timestamp"] == second


@pytest.fixture
def still() -> StillWorld:
    return StillWorld()


def test_signed_order_counts_to_its_last_second(still: StillWorld) -> None:
    approve(still, 1_000)
    last = START + DAY
    payload = signed_order(still, make_order(still.usdx, 1_000, deadline_s=last))
    assert still.reason_at(last, payload) is None
    assert still.reason_at(last + 1, payload) == "OrderExpired"


def test_deposits_are_taken_for_a_week_of_silence(still: StillWorld) -> None:
    still.fund(still.usdx, 10)
    allowance = still.encode("TestToken", "approve", to_checksum(still.vault), 10)
    assert still.send(TRADER, still.usdx, allowance)["status"] == 1
    week = still.number("lastAcceptedAt") + 7 * DAY
    deposit = still.encode("Settlement", "deposit", to_checksum(still.usdx), 10)
    assert still.reason_at(week - 1, deposit, TRADER) is None
    assert still.reason_at(week, deposit, TRADER) == "DepositsClosed"


def test_notice_of_the_escape_can_be_given_after_a_week(still: StillWorld) -> None:
    week = still.number("lastAcceptedAt") + 7 * DAY
    notice = still.encode("Settlement", "openEscape")
    assert still.reason_at(week - 1, notice) == "EscapeTooEarly"
    still.send_at(week, notice)
    assert still.number("noticeAt") == week
    assert still.number("closedAt") == week + 48 * HOUR


def test_a_checkpoint_in_the_last_second_of_the_notice_makes_it_void(still: StillWorld) -> None:
    """The vault was silent for nine days less a second then: certificates still count."""
    still.send_at(
        still.number("lastAcceptedAt") + 7 * DAY, still.encode("Settlement", "openEscape")
    )
    closes = still.number("closedAt")
    payload = encode_checkpoint(still.submission())
    still.send_at(closes - 1, payload)
    assert (still.number("noticeAt"), still.number("closedAt")) == (0, 0)
    still.wait_for(closes + DAY)
    assert not still.number("isClosed")
    assert still.number("lastAcceptedAt") == closes - 1


def test_the_vault_is_closed_from_the_end_of_its_notice_on(still: StillWorld) -> None:
    still.send_at(
        still.number("lastAcceptedAt") + 8 * DAY, still.encode("Settlement", "openEscape")
    )
    closes = still.number("closedAt")
    payload = encode_checkpoint(still.submission())
    still.wait_for(closes - 1)
    assert not still.number("isClosed")
    assert still.reason_at(closes, payload) == "VaultClosed"
    assert still.number("isClosed")


def test_certificates_count_for_nine_days(still: StillWorld) -> None:
    payload = encode_checkpoint(still.submission())
    end = still.number("lastAcceptedAt") + 9 * DAY
    assert still.reason_at(end, payload) is None
    assert still.reason_at(end + 1, payload) == "CertificateExpired"


def test_decision_counts_to_its_last_second(still: StillWorld) -> None:
    last = START + DAY
    decision = replace(make_decision(still, DecisionKind.PAUSE, value=1), valid_until_s=last)
    payload = signed_decision(still, decision)
    assert still.reason_at(last, payload) is None
    assert still.reason_at(last + 1, payload) == "DecisionExpired"


def test_hand_over_is_possible_a_fortnight_after_the_announcement(still: StillWorld) -> None:
    tokens = [to_checksum(token) for token in still.tokens.values()]
    other = still.deploy_contract("Settlement", still.vault_config(), tokens)
    announced = START + DAY
    announce = make_decision(still, DecisionKind.ANNOUNCE, other)
    still.send_at(announced, signed_decision(still, announce))
    assert still.number("successorAt") == announced + 14 * DAY
    still.move(other, {still.usdx: 5})
    still.send_at(announced + 8 * DAY, encode_checkpoint(still.submission()))
    hand_over = still.encode("Settlement", "handOver", to_checksum(still.usdx), still.height)
    assert still.reason_at(announced + 14 * DAY - 1, hand_over) == "SuccessorTooEarly"
    assert still.reason_at(announced + 14 * DAY, hand_over) == "SuccessorBehind"


def test_registry_and_coin_follow_from_the_announced_second_on(still: StillWorld) -> None:
    tokens = [to_checksum(token) for token in still.tokens.values()]
    other = still.deploy_contract("Settlement", still.vault_config(), tokens)
    announced = START + DAY
    announce = make_decision(still, DecisionKind.ANNOUNCE, other)
    still.send_at(announced, signed_decision(still, announce))
    registry = ("ValidatorRegistry", still.deployment.registry)
    coin = ("OmniCoin", still.tokens["XOM"])
    for second, reason in ((-1, "NoSuccessor"), (0, None)):
        for contract, function in ((registry, "followSettlement"), (coin, "followMinter")):
            payload = still.encode(contract[0], function)
            at = announced + 14 * DAY + second
            assert still.reason_at(at, payload, STRANGER, contract) == reason


def test_stake_is_free_a_fortnight_after_the_committee(still: StillWorld) -> None:
    join(still)
    assert registry_call(still, TRADER, "requestExit") == 1
    hand_over(still)
    registry = ("ValidatorRegistry", still.deployment.registry)
    free = still.view(*registry, "exitAt", to_checksum(TRADER.address))
    payload = still.encode("ValidatorRegistry", "withdrawStake")
    assert still.reason_at(free - 1, payload, TRADER, registry) == "StillBonded"
    assert still.reason_at(free, payload, TRADER, registry) is None


def test_rewards_come_once_a_day_to_the_second(still: StillWorld) -> None:
    first = still.number("rewardedAt")
    still.send_at(first + DAY - 1, encode_checkpoint(still.submission()))
    assert still.number("rewardedAt") == first
    still.send_at(first + DAY, encode_checkpoint(still.submission()))
    assert still.number("rewardedAt") == first + DAY
    assert still.number("depositCount") == 1


def test_the_largest_reward_is_the_largest_deposit(still: StillWorld) -> None:
    most, days = limits.DEPOSIT_MAX_ATOMS, 2
    supply = -(-most * 100 * 365 // (2 * days))
    nonce = still.evm.web3.eth.get_transaction_count(to_checksum(DEPLOYER.address))
    vault = created_address(DEPLOYER.address, nonce + 1)
    minter = to_checksum(vault)
    coin = still.deploy_contract("OmniCoin", minter, supply, minter)
    config = still.vault_config(reward_token=to_checksum(coin))
    assert still.deploy_contract("Settlement", config, [to_checksum(coin)]) == vault
    still.vault = still.ledger.vault = vault
    full = still.view("OmniCoin", coin, "startedAt") + days * DAY
    still.send_at(full, encode_checkpoint(still.submission()))
    assert still.view("OmniCoin", coin, "minted") == most
    assert still.number("depositCount") == 1


def test_convictions_count_for_the_week_of_their_second(still: StillWorld) -> None:
    week = START // (7 * DAY) + 1
    for second, key in zip((week * 7 * DAY - 1, week * 7 * DAY), still.keys, strict=False):
        still.wait_for(second)
        convict(still, key)
    convicted = [registry_view(still, "convictedStake", one) for one in (week - 1, week)]
    assert convicted == [STAKE_MIN_ATOMS] * 2


def test_two_percent_of_the_first_supply_come_in_a_year(still: StillWorld) -> None:
    xom = still.tokens["XOM"]
    started = still.view("OmniCoin", xom, "startedAt")
    yearly = still.plan.xom_supply * 2 // 100
    still.wait_for(started + DAY)
    assert still.view("OmniCoin", xom, "mintable") == yearly // 365
    still.wait_for(started + 365 * DAY)
    assert still.view("OmniCoin", xom, "mintable") == yearly
