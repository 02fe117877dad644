"""Private tokens at the borders of 64 bits, at every scale, and receipts in strange hands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from contracts.artifact import load_artifact
from contracts.confidential_cipher import decrypt_amount
from contracts.errors import RpcRefused
from contracts.private_inputs import UNWRAP
from contracts.rpc_values import data, quantity
from contracts.settlement_calls import revert_reason
from contracts.settlement_types import Submission
from primitives.address import to_checksum
from primitives.secp256k1 import PrivateKey
from tests.contracts import harness
from tests.contracts.confidential_world import ConfidentialWorld
from tests.contracts.harness import DEPLOYER, NOBODY, RELAYER, STRANGER, TRADER
from tests.contracts.lying_world import DOOR, OWNED, LyingWorld
from tests.contracts.test_confidential_vault import (
    TRANSFER,
    TRANSFER_FROM,
    assert_backed,
    send_encrypted,
)

COIN = "ConfidentialCoin"
MOST = 2**64 - 1
SCALE = 10**12
REENTER, RETURN_FALSE, MOVE_NOTHING = 3, 4, 5
UNLIMITED_RECEIPTS = 2**256 - 1


@pytest.fixture
def world() -> ConfidentialWorld:
    """A vault with a private token."""
    return ConfidentialWorld()


def open_coin(world: ConfidentialWorld, underlying: bytes, scale: int = 1) -> bytes:
    """A private face of a token, of which the trader has and has approved plenty."""
    terms = ("Private", "P", 3, to_checksum(underlying), scale)
    coin = world.deploy_contract(COIN, *terms)
    world.wallet.mint(underlying, TRADER.address, 2**128)
    approve = world.encode("TestToken", "approve", to_checksum(coin), 2**128)
    assert world.send(TRADER, underlying, approve)["status"] == 1
    return coin


def wrap(world: ConfidentialWorld, coin: bytes, amount: int) -> dict[str, Any]:
    """Wrap without looking at anything before."""
    return world.send(TRADER, coin, world.encode(COIN, "wrap", amount))


def wrap_refusal(world: ConfidentialWorld, coin: bytes, amount: int) -> tuple[str, Any]:
    """Why the trader may not wrap."""
    payload = world.encode(COIN, "wrap", amount)
    refusal = world.refusal(payload, key=TRADER, to=coin, contract=COIN)
    return refusal.reason, refusal.arguments


def unwrap_refusal(world: ConfidentialWorld, coin: bytes, amount: int) -> tuple[str, Any]:
    """Why the trader may not unwrap."""
    terms = world.confidential(TRADER).encrypt(coin, UNWRAP, world.aes_key(TRADER), amount)
    payload = world.encode(COIN, UNWRAP, terms)
    refusal = world.refusal(payload, key=TRADER, to=coin, contract=COIN)
    return refusal.reason, refusal.arguments


def private_of(world: ConfidentialWorld, coin: bytes, key: PrivateKey = TRADER) -> int:
    """An account's own balance of a coin."""
    return world.confidential(key).private_balance(coin, world.aes_key(key))


def events(world: ConfidentialWorld, name: str, receipt: dict[str, Any], at: bytes) -> list[Any]:
    """(event, arguments) that a contract emitted in a transaction, as far as its ABI knows."""
    contract = world.evm.web3.eth.contract(
        address=to_checksum(at), abi=list(load_artifact(name).abi)
    )
    found = []
    known = {event.topic: event for event in contract.events if hasattr(event, "topic")}
    for log in receipt["logs"]:
        event = known.get(log["topics"][0].to_0x_hex())
        if event is not None and log["address"] == contract.address:
            told = event().process_log(log)["args"]
            found.append((event.event_name, *told.values()))
    return found


# --- amounts ---------------------------------------------------------------------------------


def test_a_coin_wraps_all_that_64_bits_hold_and_not_one_more(world: ConfidentialWorld) -> None:
    underlying = world.tokens["WETH"]
    coin = open_coin(world, underlying, SCALE)
    views = [world.view(COIN, coin, name) for name in ("underlying", "scale", "decimals")]
    assert views == [to_checksum(underlying), SCALE, 3]
    own = to_checksum(TRADER.address)
    assert wrap_refusal(world, coin, 0) == ("BadAmount", (0,))
    first = wrap(world, coin, MOST - 1)
    assert ("Wrapped", own, MOST - 1) in events(world, COIN, first, coin)
    assert wrap_refusal(world, coin, 2) == ("BadAmount", (2,))
    assert wrap_refusal(world, coin, MOST) == ("BadAmount", (MOST,))
    assert wrap(world, coin, 1)["status"] == 1
    assert wrap_refusal(world, coin, 1) == ("BadAmount", (1,))
    assert world.balance(underlying, coin) == MOST * SCALE
    assert private_of(world, coin) == world.view(COIN, coin, "totalSupply") == MOST
    assert unwrap_refusal(world, coin, 0) == ("BadAmount", (0,))
    other = to_checksum(RELAYER.address)
    assert send_encrypted(world, COIN, coin, TRANSFER, MOST, other)["status"] == 1
    assert unwrap_refusal(world, coin, 1)[0] == "BalanceTooSmall"
    done = send_encrypted(world, COIN, coin, UNWRAP, MOST, key=RELAYER)
    assert ("Unwrapped", other, MOST) in events(world, COIN, done, coin)
    assert world.balance(underlying, RELAYER.address) == MOST * SCALE
    assert world.balance(underlying, coin) == world.view(COIN, coin, "wrapped") == 0
    assert wrap(world, coin, MOST)["status"] == 1


def test_the_door_takes_and_pays_all_that_64_bits_hold(world: ConfidentialWorld) -> None:
    coin, door = world.parts.coin, world.parts.door
    world.aes_key(DEPLOYER)
    own = to_checksum(TRADER.address)
    world.wrap(MOST - 1)
    assert send_encrypted(world, COIN, coin, TRANSFER, 1, own, key=DEPLOYER)["status"] == 1
    assert world.private_balance(TRADER) == MOST
    wallet, key = world.confidential(TRADER), world.aes_key(TRADER)
    assert wallet.deposit_private(door, key, MOST) == 0
    assert world.private_balance(TRADER) == 0
    assert world.view(DOOR, door, "totalSupply") == MOST
    for amount in (MOST - 1, 1):
        index = world.ledger.withdraw(door, amount, STRANGER.address)
        claim = world.ledger.claim(index, world.checkpoint())
        assert world.client.withdraw(claim) is Submission.DONE
        assert_backed(world)
    assert world.private_balance(STRANGER) == MOST
    assert world.view(DOOR, door, "totalSupply") == 0


def test_only_the_largest_allowance_is_never_used_up(world: ConfidentialWorld) -> None:
    coin = world.parts.coin
    world.wrap(10)
    names = (to_checksum(TRADER.address), to_checksum(STRANGER.address))
    wallet, key = world.confidential(TRADER), world.aes_key(TRADER)
    for allowed, left in ((MOST, MOST), (MOST - 1, MOST - 4)):
        wallet.allow_private(coin, STRANGER.address, key, allowed)
        take = send_encrypted(world, COIN, coin, TRANSFER_FROM, 3, *names, key=STRANGER)
        assert take["status"] == 1
        (_, seen, _) = (
            world.evm.web3.eth.contract(
                address=to_checksum(coin), abi=list(load_artifact(COIN).abi)
            )
            .get_function_by_signature("allowance(address,address)")(*names)
            .call()
        )
        assert decrypt_amount(key, seen) == left
    assert world.private_balance(TRADER) == 4


def test_a_token_says_why_it_does_not_move(world: ConfidentialWorld) -> None:
    coin = world.parts.coin
    world.wrap(10)
    own, other = to_checksum(TRADER.address), to_checksum(STRANGER.address)

    def refused(function: str, amount: int, *names: str, key: PrivateKey = TRADER) -> Any:
        terms = world.confidential(key).encrypt(coin, function, world.aes_key(key), amount)
        payload = world.encode(COIN, function, *names, terms)
        found = world.refusal(payload, key=key, to=coin, contract=COIN)
        return found.reason, tuple(to_checksum(one.to_bytes(20, "big")) for one in found.arguments)

    assert refused(TRANSFER, 11, other) == ("BalanceTooSmall", (own,))
    assert refused(TRANSFER, 10, own) == ("SelfTransfer", (own,))
    without = refused(TRANSFER_FROM, 1, own, other, key=STRANGER)
    assert without == ("AllowanceTooSmall", (own, other))


# --- what lies under a coin ------------------------------------------------------------------


def test_a_coin_needs_a_scale(world: ConfidentialWorld) -> None:
    artifact = load_artifact(COIN)
    factory = world.evm.web3.eth.contract(abi=list(artifact.abi), bytecode=artifact.bytecode)
    payload = factory.constructor("P", "P", 6, to_checksum(world.usdx), 0).data_in_transaction
    message = {"from": data(DEPLOYER.address), "data": payload, "gas": quantity(8_000_000)}
    with pytest.raises(RpcRefused) as caught:
        world.evm.rpc.call("eth_call", message, "latest")
    refusal = revert_reason(caught.value, COIN)
    assert refusal is not None
    assert (refusal.reason, refusal.arguments) == ("BadAmount", (0,))


def test_a_coin_moves_exactly_what_it_says_or_nothing(world: ConfidentialWorld) -> None:
    underlying = world.deploy_contract("FeeOnTransferToken")
    coin = open_coin(world, underlying, 10)

    def set_fee(percent: int, sender_pays: bool) -> None:
        payload = world.encode("FeeOnTransferToken", "setFee", percent, sender_pays)
        assert world.send(TRADER, underlying, payload)["status"] == 1

    set_fee(10, sender_pays=False)
    assert wrap_refusal(world, coin, 100) == ("WrongTransfer", (900, 1_000))
    set_fee(10, sender_pays=True)
    assert wrap(world, coin, 100)["status"] == 1  # the fee is the trader's own
    assert unwrap_refusal(world, coin, 40) == ("WrongTransfer", (440, 400))
    set_fee(0, sender_pays=False)
    assert send_encrypted(world, COIN, coin, UNWRAP, 40)["status"] == 1
    assert world.balance(underlying, coin) == 600 == 10 * world.view(COIN, coin, "wrapped")


def test_a_coin_is_not_entered_twice_and_believes_no_words(world: ConfidentialWorld) -> None:
    underlying = world.deploy_contract("HostileToken")
    coin = open_coin(world, underlying)

    def behave(mode: int, payload: bytes = b"") -> None:
        call = world.encode("HostileToken", "setMode", mode, to_checksum(coin), payload)
        assert world.send(TRADER, underlying, call)["status"] == 1

    behave(REENTER, world.encode(COIN, "wrap", 5))
    world.wallet.mint(underlying, underlying, 100)
    assert wrap(world, coin, 100)["status"] == 1
    assert not world.view("HostileToken", underlying, "reentered")
    assert send_encrypted(world, COIN, coin, UNWRAP, 30)["status"] == 1
    assert not world.view("HostileToken", underlying, "reentered")
    behave(MOVE_NOTHING)
    assert wrap_refusal(world, coin, 10) == ("WrongTransfer", (0, 10))
    assert unwrap_refusal(world, coin, 10) == ("WrongTransfer", (0, 10))
    behave(RETURN_FALSE)
    assert wrap_refusal(world, coin, 10)[0] == "SafeERC20FailedOperation"
    assert unwrap_refusal(world, coin, 10)[0] == "SafeERC20FailedOperation"
    assert private_of(world, coin) == world.view(COIN, coin, "wrapped") == 70


# --- receipts --------------------------------------------------------------------------------


@pytest.fixture
def loose() -> tuple[LyingWorld, bytes, bytes]:
    """A vault that hands its receipts to the stranger, 100 of them, and the door."""
    world = LyingWorld()
    vault = world.deploy_contract("LooseVault", to_checksum(STRANGER.address))
    door = world.open_door(vault)
    done = world.send(TRADER, door, world.deposit_call(100, door=door))
    own = to_checksum(TRADER.address)
    spent = to_checksum(door), to_checksum(vault), 100
    assert events(world, DOOR, done, door) == [
        ("Transfer", NOBODY, to_checksum(door), 100),
        ("Approval", *spent),
        ("Transfer", to_checksum(door), to_checksum(STRANGER.address), 100),
        ("Entered", own, 0, 100),
    ]
    return world, vault, door


def test_receipts_move_between_holders_and_end_with_others(
    loose: tuple[LyingWorld, bytes, bytes],
) -> None:
    world, vault, door = loose
    stranger, relayer = to_checksum(STRANGER.address), to_checksum(RELAYER.address)

    def act(key: PrivateKey, function: str, *arguments: Any) -> list[Any]:
        done = world.send(key, door, world.encode(DOOR, function, *arguments))
        assert done["status"] == 1
        return events(world, DOOR, done, door)

    def owned(account: str) -> int:
        return int(world.view(DOOR, door, "balanceOf", account))

    def allowed() -> int:
        return int(world.view(DOOR, door, "allowance", stranger, relayer))

    moved = act(STRANGER, "transfer", to_checksum(vault), 30)
    assert moved == [("Transfer", stranger, to_checksum(vault), 30)]
    assert (owned(stranger), owned(to_checksum(vault)), world.receipts(door)) == (70, 30, 100)
    assert act(STRANGER, "approve", relayer, 50) == [("Approval", stranger, relayer, 50)]
    left = act(RELAYER, "transferFrom", stranger, relayer, 20)
    assert left == [("Transfer", stranger, NOBODY, 20), ("Left", relayer, 20)]
    assert (owned(stranger), owned(relayer), allowed(), world.receipts(door)) == (50, 0, 30, 80)
    assert world.lies(RELAYER) == OWNED + 20
    payload = world.encode(DOOR, "transferFrom", stranger, relayer, 31)
    refusal = world.refusal(payload, key=RELAYER, to=door, contract=DOOR)
    assert (refusal.reason, refusal.arguments[1:]) == ("NotAllowed", (30, 31))
    act(STRANGER, "approve", relayer, UNLIMITED_RECEIPTS)
    act(RELAYER, "transferFrom", stranger, to_checksum(vault), 10)
    assert (allowed(), owned(to_checksum(vault))) == (UNLIMITED_RECEIPTS, 40)
    assert act(STRANGER, "transfer", relayer, 0)[-1] == ("Left", relayer, 0)
    for amount in (41, 2**64 + 1):
        payload = world.encode(DOOR, "transfer", relayer, amount)
        refusal = world.refusal(payload, key=STRANGER, to=door, contract=DOOR)
        assert (refusal.reason, refusal.arguments[1:]) == ("TooFewReceipts", (40, amount))
    assert act(STRANGER, "transfer", relayer, 40)[-1] == ("Left", relayer, 40)
    assert (world.lies(RELAYER), owned(stranger), world.receipts(door)) == (OWNED + 60, 0, 40)


def test_a_door_follows_from_the_successors_second_on(
    loose: tuple[LyingWorld, bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, vault, door = loose
    after = world.deploy_contract("LooseVault", to_checksum(RELAYER.address))
    now = int(world.evm.web3.eth.get_block("latest")["timestamp"])
    follow = world.encode(DOOR, "followVault")
    announce = world.encode("LooseVault", "announce", to_checksum(after), now + 1_000)
    assert world.send(DEPLOYER, vault, announce)["status"] == 1
    monkeypatch.setattr(harness, "time", SimpleNamespace(time=lambda: now + 999))
    refusal = world.refusal(follow, key=RELAYER, to=door, contract=DOOR)
    assert refusal.reason == "NoSuccessor"
    monkeypatch.setattr(harness, "time", SimpleNamespace(time=lambda: now + 1_000))
    done = world.send(RELAYER, door, follow)
    assert world.evm.web3.eth.get_block(done["blockNumber"])["timestamp"] == now + 1_000
    assert events(world, DOOR, done, door) == [("VaultFollowed", to_checksum(after))]
    for holder in (vault, STRANGER.address, after, RELAYER.address):
        assert world.view(DOOR, door, "isHolder", to_checksum(holder))
    assert world.view(DOOR, door, "vault") == to_checksum(after)
    refusal = world.refusal(follow, key=RELAYER, to=door, contract=DOOR)
    assert refusal.reason == "NoSuccessor"


def test_a_new_door_says_what_it_is_and_holds_nothing(world: ConfidentialWorld) -> None:
    door, parts = world.parts.door, world.parts
    names = [world.view(DOOR, door, name) for name in ("name", "symbol", "decimals", "token")]
    assert names == ["Private USDX in the vault", "pUSDX", 6, to_checksum(parts.coin)]
    assert world.view(DOOR, door, "totalSupply") == 0
    for holder in (world.vault, world.distributor):
        assert world.view(DOOR, door, "isHolder", to_checksum(holder))
    assert not world.view(DOOR, door, "isHolder", to_checksum(DEPLOYER.address))
    assert private_of(world, parts.coin, DEPLOYER) == 1  # the atom came back
