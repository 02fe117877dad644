"""Deposits by signature, by permit and in the chain's own coin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account

from contracts.deposit_orders import NATIVE, encode_deposit_order, encode_deposit_with_permit
from contracts.evm_web3 import account_of, fee_fields
from primitives.address import to_checksum
from primitives.secp256k1 import PrivateKey
from primitives.vault_orders import DepositOrder, Permit, compute_deposit_digest
from tests.contracts.harness import CHAIN_ID, NETWORK_ID, RELAYER, STRANGER, TRADER, Evm, World

NEVER = 2**40


def make(token: bytes, amount: int, **other: Any) -> DepositOrder:
    """An order of the trader for itself."""
    values = {"fee": 0, "nonce": 1, "deadline_s": NEVER, "beneficiary": TRADER.address, **other}
    return DepositOrder(**{"depositor": TRADER.address, "token": token, "amount": amount, **values})


def digest(world: World, order: DepositOrder, **other: Any) -> bytes:
    """What the depositor signs."""
    place = {"network_id": NETWORK_ID, "chain_id": CHAIN_ID, "vault": world.vault, **other}
    return compute_deposit_digest(order, **place)


def signed(world: World, order: DepositOrder, key: PrivateKey = TRADER) -> bytes:
    """Calldata of an order signed by a key."""
    return encode_deposit_order(order, key.sign(digest(world, order)))


def sign_permit(world: World, value: int, *, nonce: int = 0) -> Permit:
    """The trader's permit of USDX for the vault."""
    fields = ("owner:address", "spender:address", "value:uint256", "nonce:uint256")
    names = [field.split(":") for field in (*fields, "deadline:uint256")]
    types = {"Permit": [{"name": name, "type": kind} for name, kind in names]}
    domain = {
        "name": "Dollar X",
        "version": "1",
        "chainId": CHAIN_ID,
        "verifyingContract": to_checksum(world.usdx),
    }
    owner, spender = to_checksum(TRADER.address), to_checksum(world.vault)
    values = (owner, spender, value, nonce, NEVER)
    message = {name: item for (name, _), item in zip(names, values, strict=True)}
    made = Account.sign_typed_data(TRADER.secret, domain, types, message)
    r, s = made.r.to_bytes(32, "big"), made.s.to_bytes(32, "big")
    return Permit(value=value, deadline_s=NEVER, v=made.v, r=r, s=s)


def approve(world: World, amount: int) -> None:
    """Give the trader USDX, approved for the vault."""
    world.fund(world.usdx, amount)
    payload = world.encode("TestToken", "approve", to_checksum(world.vault), amount)
    assert world.send(TRADER, world.usdx, payload)["status"] == 1


def deposits(world: World) -> Any:
    """All deposits so far."""
    return world.client.deposits_in(0, world.client.head()[0])


def test_relayer_brings_an_order_and_gets_the_signed_fee(world: World) -> None:
    approve(world, 1_000)
    order = make(world.usdx, 1_000, fee=30, beneficiary=STRANGER.address)
    assert world.send(RELAYER, world.vault, signed(world, order))["status"] == 1
    (made,) = deposits(world)
    assert (made.depositor, made.beneficiary, made.amount) == (
        TRADER.address,
        STRANGER.address,
        970,
    )
    assert world.balance(world.usdx, RELAYER.address) == 30
    assert world.client.token_status(world.usdx).liabilities == 970
    world.assert_solvent()


def test_order_with_permit_needs_no_approval(world: World) -> None:
    world.fund(world.usdx, 1_000)
    order = make(world.usdx, 1_000, fee=1)
    signature = TRADER.sign(digest(world, order))
    payload = encode_deposit_order(order, signature, sign_permit(world, 1_000))
    assert world.send(RELAYER, world.vault, payload)["status"] == 1
    assert deposits(world)[0].amount == 999


def test_permit_that_somebody_used_first_does_not_stop_the_order(world: World) -> None:
    world.fund(world.usdx, 1_000)
    permit = sign_permit(world, 1_000)
    owner, spender = to_checksum(TRADER.address), to_checksum(world.vault)
    first = world.encode(
        "TestToken", "permit", owner, spender, permit.value, NEVER, permit.v, permit.r, permit.s
    )
    assert world.send(STRANGER, world.usdx, first)["status"] == 1
    order = make(world.usdx, 1_000)
    signature = TRADER.sign(digest(world, order))
    payload = encode_deposit_order(order, signature, permit)
    assert world.send(RELAYER, world.vault, payload)["status"] == 1


def test_order_is_carried_out_once(world: World) -> None:
    approve(world, 2_000)
    payload = signed(world, make(world.usdx, 1_000))
    assert world.send(RELAYER, world.vault, payload)["status"] == 1
    assert world.refusal(payload).reason == "OrderDone"
    again = signed(world, make(world.usdx, 1_000, nonce=2))
    assert world.send(RELAYER, world.vault, again)["status"] == 1


def test_nothing_of_an_order_can_be_altered(world: World) -> None:
    approve(world, 2_000)
    order = make(world.usdx, 1_000, fee=10)
    signature = TRADER.sign(digest(world, order))
    for spoilt in (
        replace(order, depositor=STRANGER.address),
        replace(order, token=world.tokens["WETH"]),
        replace(order, amount=1_001),
        replace(order, fee=11),
        replace(order, beneficiary=RELAYER.address),
        replace(order, nonce=2),
        replace(order, deadline_s=NEVER + 1),
    ):
        assert world.refusal(encode_deposit_order(spoilt, signature)).reason == "OrderNotSigned"
    assert world.refusal(signed(world, order, STRANGER)).reason == "OrderNotSigned"
    assert world.refusal(encode_deposit_order(order, bytes(65))).reason == "OrderNotSigned"


def test_order_of_another_vault_does_not_count(world: World) -> None:
    approve(world, 1_000)
    order = make(world.usdx, 1_000)
    for other in ({"chain_id": 1}, {"vault": STRANGER.address}, {"network_id": bytes(32)}):
        payload = encode_deposit_order(order, TRADER.sign(digest(world, order, **other)))
        assert world.refusal(payload).reason == "OrderNotSigned"


def test_expired_order_and_order_eaten_by_its_fee_are_refused(world: World) -> None:
    approve(world, 1_000)
    late = signed(world, make(world.usdx, 1_000, deadline_s=1))
    assert world.refusal(late).reason == "OrderExpired"
    for fee in (1_000, 1_001):
        eaten = signed(world, make(world.usdx, 1_000, fee=fee))
        assert world.refusal(eaten).reason == "BadAmount"


def test_caller_deposits_with_a_permit(world: World) -> None:
    world.fund(world.usdx, 1_000)
    permit = sign_permit(world, 1_000)
    payload = encode_deposit_with_permit(world.usdx, 1_000, STRANGER.address, permit)
    assert world.send(TRADER, world.vault, payload)["status"] == 1
    assert deposits(world)[0].beneficiary == STRANGER.address


@pytest.fixture
def coin_world(evm: Evm) -> World:
    """A world with a vault that takes the chain's own coin."""
    world = World(evm)
    tokens = [to_checksum(world.usdx), to_checksum(NATIVE)]
    world.vault = world.deploy_contract("Settlement", world.vault_config(), tokens)
    world.ledger.vault = world.vault
    world.client = world.make_client(RELAYER)
    world.fees = {world.usdx: 0, NATIVE: 0}
    return world


def coin(world: World, owner: bytes) -> int:
    """Wei of an account."""
    return int(world.evm.web3.eth.get_balance(to_checksum(owner)))


def test_coin_is_deposited_charged_and_withdrawn(coin_world: World) -> None:
    world = coin_world
    payload = world.encode("Settlement", "depositNative", to_checksum(STRANGER.address))
    assert world.send(TRADER, world.vault, payload, value=10**18)["status"] == 1
    assert deposits(world)[0].token == NATIVE
    receiver = b"\x31" * 20
    index = world.ledger.withdraw(NATIVE, 10**17, receiver)
    world.fees[NATIVE] = 10**10
    words = world.checkpoint()
    world.client.withdraw(world.ledger.claim(index, words))
    distributor = bytes.fromhex(world.view("Settlement", world.vault, "distributor")[2:])
    assert coin(world, receiver) == 10**17
    assert coin(world, distributor) == 3 * 10**9
    assert coin(world, world.vault) == 10**18 - 10**17 - 3 * 10**9
    before = coin(world, world.plan.company)
    claim = world.encode("FeeDistributor", "claim", 0, to_checksum(NATIVE))
    assert world.send(STRANGER, distributor, claim)["status"] == 1
    assert coin(world, world.plan.company) == before + 2 * 10**9


def test_coin_that_the_receiver_refuses_waits(coin_world: World) -> None:
    world = coin_world
    payload = world.encode("Settlement", "depositNative", to_checksum(STRANGER.address))
    assert world.send(TRADER, world.vault, payload, value=100)["status"] == 1
    index = world.ledger.withdraw(NATIVE, 10, world.usdx)  # a token takes no coin
    words = world.checkpoint()
    claim = world.ledger.claim(index, words)
    assert world.refused_withdrawal(claim) == "NativeRefused"
    assert not world.client.is_paid(index)


def test_receiver_of_coin_gets_a_hundred_thousand_gas(coin_world: World) -> None:
    """And the 2,300 that come with any value: it writes down what it has after its first two."""
    world = coin_world
    web3 = world.evm.web3
    fields = {
        "chainId": CHAIN_ID,
        "nonce": web3.eth.get_transaction_count(to_checksum(TRADER.address)),
        "data": "0x645a600055006000526005601bf3",  # returns GAS, PUSH1 0, SSTORE, STOP
        "value": 0,
        "gas": 100_000,
        **fee_fields(web3),
    }
    deployment = account_of(TRADER).sign_transaction(fields)
    sent = web3.eth.send_raw_transaction(deployment.raw_transaction)
    receiver = web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.05)["contractAddress"]
    payload = world.encode("Settlement", "depositNative", to_checksum(STRANGER.address))
    assert world.send(TRADER, world.vault, payload, value=100)["status"] == 1
    index = world.ledger.withdraw(NATIVE, 10, bytes.fromhex(receiver[2:]))
    world.client.withdraw(world.ledger.claim(index, world.checkpoint()))
    assert int.from_bytes(web3.eth.get_storage_at(receiver, 0), "big") == 100_000 + 2_300 - 2


def test_coin_is_refused_where_it_is_not_listed(world: World) -> None:
    payload = world.encode("Settlement", "depositNative", to_checksum(STRANGER.address))
    assert world.refusal(payload, key=TRADER, value=5).reason == "UnlistedToken"


def test_empty_coin_deposit_and_plain_transfers_are_refused(coin_world: World) -> None:
    world = coin_world
    payload = world.encode("Settlement", "depositNative", to_checksum(STRANGER.address))
    assert world.refusal(payload, key=TRADER).reason == "BadAmount"
    assert world.send(TRADER, world.vault, b"", value=5)["status"] == 0
    distributor = bytes.fromhex(world.view("Settlement", world.vault, "distributor")[2:])
    refusal = world.refusal(b"", key=TRADER, to=distributor, contract="FeeDistributor", value=5)
    assert refusal.reason == "OnlySettlement"


def test_coin_cannot_be_taken_by_an_erc20_deposit(coin_world: World) -> None:
    world = coin_world
    payload = world.encode("Settlement", "deposit", to_checksum(NATIVE), 5)
    assert world.refusal(payload, key=TRADER).reason == "SafeERC20FailedOperation"
    no_permit = Permit(value=0, deadline_s=0, v=0, r=bytes(32), s=bytes(32))
    payload = encode_deposit_with_permit(NATIVE, 5, TRADER.address, no_permit)
    assert world.refusal(payload, key=TRADER).reason == "SafeERC20FailedOperation"


def test_funds_without_a_depositor_raise_what_is_owed(coin_world: World) -> None:
    world = coin_world
    approve(world, 50)
    payload = world.encode("Settlement", "fund", to_checksum(world.usdx), 50)
    assert world.send(TRADER, world.vault, payload)["status"] == 1
    payload = world.encode("Settlement", "fund", to_checksum(NATIVE), 7)
    assert world.send(TRADER, world.vault, payload, value=7)["status"] == 1
    assert world.client.token_status(world.usdx).liabilities == 50
    assert world.view("Settlement", world.vault, "liabilities", to_checksum(NATIVE)) == 7
    assert deposits(world) == ()
    for value, amount, token in ((6, 7, NATIVE), (1, 50, world.usdx), (0, 0, world.usdx)):
        payload = world.encode("Settlement", "fund", to_checksum(token), amount)
        assert world.refusal(payload, key=TRADER, value=value).reason == "BadAmount"
    payload = world.encode("Settlement", "fund", to_checksum(STRANGER.address), 1)
    assert world.refusal(payload, key=TRADER).reason == "UnlistedToken"
