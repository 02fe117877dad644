"""Deposits at their borders: the largest, the guard of each entry, and what the events say."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.artifact import load_artifact, topics
from contracts.decisions import DecisionKind
from contracts.deposit_orders import NATIVE, encode_deposit_order
from primitives.address import to_checksum
from tests.contracts.harness import NOBODY, RELAYER, STRANGER, TRADER, Evm, World
from tests.contracts.test_vault_decisions import decide
from tests.contracts.test_vault_orders import approve, deposits, make, signed

DEPOSIT_MAX = 2**128 - 1
REENTER = 3


def events(world: World, receipt: dict[str, Any], name: str) -> list[Any]:
    """Arguments of the vault's events of one name in a receipt."""
    vault = world.evm.web3.eth.contract(
        address=to_checksum(world.vault), abi=load_artifact("Settlement").abi
    )
    topic = topics("Settlement")[name]
    logs = [log for log in receipt["logs"] if bytes(log["topics"][0]) == topic]
    return [dict(vault.events[name]().process_log(log)["args"]) for log in logs]


@pytest.fixture
def evil_world(evm: Evm) -> World:
    """A world whose vault lists a token that calls whatever it is told to when it moves."""
    world = World(evm, extra_tokens=("HostileToken",))
    world.fund(world.extra[0], 100)
    payload = world.encode("HostileToken", "approve", to_checksum(world.vault), 100)
    assert world.send(TRADER, world.extra[0], payload)["status"] == 1
    return world


def calls_back(world: World, target: bytes, payload: bytes) -> bool:
    """Whether a call that the hostile token makes during its own deposit succeeds."""
    evil = world.extra[0]
    attack = world.encode("HostileToken", "setMode", REENTER, to_checksum(target), payload)
    assert world.send(STRANGER, evil, attack)["status"] == 1
    deposit = world.encode("Settlement", "deposit", to_checksum(evil), 1)
    assert world.send(TRADER, world.vault, deposit)["status"] == 1
    return bool(world.view("HostileToken", evil, "reentered"))


def test_largest_deposit_is_taken(world: World) -> None:
    assert world.deposit(world.usdx, DEPOSIT_MAX) == 0
    approve(world, DEPOSIT_MAX)
    payload = world.encode("Settlement", "fund", to_checksum(world.usdx), DEPOSIT_MAX + 1)
    assert world.refusal(payload, key=TRADER).reason == "BadAmount"
    payload = world.encode("Settlement", "fund", to_checksum(world.usdx), DEPOSIT_MAX)
    assert world.send(TRADER, world.vault, payload)["status"] == 1


def test_order_is_not_brought_during_another_deposit(evil_world: World) -> None:
    approve(evil_world, 1_000)
    assert not calls_back(
        evil_world, evil_world.vault, signed(evil_world, make(evil_world.usdx, 500))
    )
    assert len(deposits(evil_world)) == 1


@pytest.mark.parametrize("function", ["fund", "deposit", "depositFor"])
def test_token_with_money_does_not_deposit_during_another_deposit(
    evil_world: World, function: str
) -> None:
    world = evil_world
    vault = to_checksum(world.vault)
    world.wallet.mint(world.usdx, world.extra[0], 50)
    assert calls_back(world, world.usdx, world.encode("TestToken", "approve", vault, 50))
    others = [NOBODY[:-1] + "1"] if function == "depositFor" else []
    payload = world.encode("Settlement", function, to_checksum(world.usdx), 50, *others)
    assert not calls_back(world, world.vault, payload)
    assert world.balance(world.usdx, world.extra[0]) == 50


def test_fees_are_not_settled_during_a_deposit(evil_world: World) -> None:
    payload = evil_world.encode("Settlement", "settleFees", to_checksum(evil_world.usdx))
    assert not calls_back(evil_world, evil_world.vault, payload)


def test_the_fee_of_an_order_is_told(world: World) -> None:
    approve(world, 1_000)
    receipt = world.send(RELAYER, world.vault, signed(world, make(world.usdx, 600, fee=7)))
    relayer = to_checksum(RELAYER.address)
    assert events(world, receipt, "DepositFeePaid") == [{"id": 0, "relayer": relayer, "fee": 7}]
    receipt = world.send(RELAYER, world.vault, signed(world, make(world.usdx, 400, nonce=2)))
    assert receipt["status"] == 1
    assert events(world, receipt, "DepositFeePaid") == []


def test_funds_are_told(world: World) -> None:
    approve(world, 50)
    payload = world.encode("Settlement", "fund", to_checksum(world.usdx), 50)
    receipt = world.send(TRADER, world.vault, payload)
    assert events(world, receipt, "Funded") == [
        {"token": to_checksum(world.usdx), "from": to_checksum(TRADER.address), "amount": 50}
    ]


def test_ids_follow_each_other_whatever_the_way_in(world: World) -> None:
    tokens = [to_checksum(world.usdx), to_checksum(NATIVE)]
    world.vault = world.deploy_contract("Settlement", world.vault_config(), tokens)
    world.client = world.make_client(RELAYER)
    world.deposit(world.usdx, 10)
    payload = world.encode("Settlement", "depositNative", to_checksum(STRANGER.address))
    assert world.send(TRADER, world.vault, payload, value=5)["status"] == 1
    approve(world, 20)
    assert world.send(RELAYER, world.vault, signed(world, make(world.usdx, 20)))["status"] == 1
    assert [(one.id, one.amount) for one in deposits(world)] == [(0, 10), (1, 5), (2, 20)]


def test_signed_order_is_bound_by_what_binds_every_deposit(world: World) -> None:
    token = world.deploy_contract("TestToken", "New", "NEW", 0)
    world.wallet.mint(token, TRADER.address, 1_000)
    payload = world.encode("TestToken", "approve", to_checksum(world.vault), 1_000)
    assert world.send(TRADER, token, payload)["status"] == 1
    approve(world, 1_000)
    assert world.refusal(signed(world, make(token, 1_000))).reason == "UnlistedToken"
    nobody = make(world.usdx, 1_000, beneficiary=bytes(20))
    assert world.refusal(signed(world, nobody)).reason == "ZeroAddress"
    decide(world, DecisionKind.PAUSE, value=1)
    assert world.refusal(signed(world, make(world.usdx, 1_000))).reason == "DepositsClosed"


def test_nobody_cannot_sign_an_order(world: World) -> None:
    """A signature that is none recovers to the zero address, which an order may name."""
    order = make(world.usdx, 1_000, depositor=bytes(20))
    assert world.refusal(encode_deposit_order(order, bytes(65))).reason == "OrderNotSigned"
