"""Hostile tokens harm nobody but those who hold them."""

from __future__ import annotations

import pytest

from contracts.settlement_calls import encode_withdraw
from contracts.settlement_types import Submission
from primitives.address import to_checksum
from tests.contracts.harness import STRANGER, TRADER, Evm, World

BEHAVE, REVERT, BURN_GAS, REENTER, RETURN_FALSE, MOVE_NOTHING = range(6)


@pytest.fixture
def fee_world(evm: Evm) -> World:
    """A vault that lists a token which can take a fee on transfer."""
    return World(evm, extra_tokens=("FeeOnTransferToken",))


@pytest.fixture
def evil_world(evm: Evm) -> World:
    """A vault that lists a token which can do anything, with a million atoms deposited."""
    world = World(evm, extra_tokens=("HostileToken",))
    world.deposit(world.extra[0], 1_000_000)
    world.deposit(world.usdx, 1_000_000)
    return world


def set_fee(world: World, percent: int, *, sender_pays: bool) -> None:
    payload = world.encode("FeeOnTransferToken", "setFee", percent, sender_pays)
    assert world.send(TRADER, world.extra[0], payload)["status"] == 1


def set_mode(world: World, mode: int, target: bytes = bytes(20), payload: bytes = b"") -> None:
    call = world.encode("HostileToken", "setMode", mode, to_checksum(target), payload)
    assert world.send(TRADER, world.extra[0], call)["status"] == 1


def deposit_payload(world: World, token: bytes, amount: int) -> bytes:
    world.fund(token, amount)
    approve = world.encode("TestToken", "approve", to_checksum(world.vault), amount)
    assert world.send(TRADER, token, approve)["status"] == 1
    return world.encode("Settlement", "deposit", to_checksum(token), amount)


def test_what_arrives_of_a_token_with_a_transfer_fee_is_credited(fee_world: World) -> None:
    token = fee_world.extra[0]
    set_fee(fee_world, 1, sender_pays=False)
    payload = deposit_payload(fee_world, token, 1_000)
    assert fee_world.send(TRADER, fee_world.vault, payload)["status"] == 1
    (deposit,) = fee_world.client.deposits_in(0, fee_world.client.head()[0])
    status = fee_world.client.token_status(token)
    assert deposit.amount == status.deposited == status.balance == 990


def test_deposit_of_which_nothing_arrives_is_refused(fee_world: World) -> None:
    set_fee(fee_world, 100, sender_pays=False)
    payload = deposit_payload(fee_world, fee_world.extra[0], 1_000)
    assert fee_world.refusal(payload, key=TRADER).reason == "WrongTransfer"


def test_fee_switched_on_later_never_takes_others_money(fee_world: World) -> None:
    token = fee_world.extra[0]
    fee_world.deposit(token, 1_000)
    index = fee_world.ledger.withdraw(token, 400, STRANGER.address)
    words = fee_world.checkpoint()
    set_fee(fee_world, 10, sender_pays=True)
    claim = fee_world.ledger.claim(index, words)
    assert fee_world.refused_withdrawal(claim) == "WrongTransfer"
    set_fee(fee_world, 10, sender_pays=False)
    assert fee_world.client.withdraw(claim) is Submission.DONE
    assert fee_world.balance(token, STRANGER.address) == 360
    fee_world.assert_solvent()


def test_fee_on_transfer_defers_the_treasuries_share(fee_world: World) -> None:
    token = fee_world.extra[0]
    fee_world.deposit(token, 1_000)
    set_fee(fee_world, 10, sender_pays=False)
    fee_world.fees[token] = 100
    fee_world.checkpoint()
    status = fee_world.client.token_status(token)
    assert (status.fees_certified, status.fees_settled, status.balance) == (100, 0, 1_000)
    set_fee(fee_world, 0, sender_pays=False)
    assert fee_world.client.settle_fees(token) is Submission.DONE


def test_token_without_return_values_works(evm: Evm) -> None:
    world = World(evm, extra_tokens=("NonReturningToken",))
    token = world.extra[0]
    world.deposit(token, 1_000)
    world.fees[token] = 100
    index = world.ledger.withdraw(token, 500, STRANGER.address)
    words = world.checkpoint()
    world.client.withdraw(world.ledger.claim(index, words))
    assert world.balance(token, STRANGER.address) == 500
    assert world.balance(token, world.distributor) == 30
    world.assert_solvent()


@pytest.mark.parametrize("mode", [REVERT, BURN_GAS, RETURN_FALSE, MOVE_NOTHING])
def test_broken_token_does_not_stop_checkpoints(evil_world: World, mode: int) -> None:
    world = evil_world
    evil = world.extra[0]
    world.fees[evil] = 1_000
    world.fees[world.usdx] = 1_000
    set_mode(world, mode)
    world.checkpoint()
    assert world.client.status().checkpoints == 1
    status = world.client.token_status(evil)
    assert (status.fees_certified, status.fees_settled) == (1_000, 0)
    assert world.client.token_status(world.usdx).fees_settled == 1_000
    set_mode(world, BEHAVE)
    assert world.client.settle_fees(evil) is Submission.DONE
    assert world.balance(evil, world.distributor) == 300
    world.assert_solvent()


def test_fees_of_which_treasuries_get_nothing_move_nothing(evil_world: World) -> None:
    """A single atom is the validators': the token is not asked, whatever it would do."""
    evil = evil_world.extra[0]
    set_mode(evil_world, REVERT)
    evil_world.fees[evil] = 1
    evil_world.checkpoint()
    assert evil_world.client.token_status(evil).fees_settled == 1


@pytest.mark.parametrize("mode", [REVERT, RETURN_FALSE, MOVE_NOTHING])
def test_broken_token_blocks_only_its_own_withdrawals(evil_world: World, mode: int) -> None:
    world = evil_world
    bad = world.ledger.withdraw(world.extra[0], 10, STRANGER.address)
    good = world.ledger.withdraw(world.usdx, 10, STRANGER.address)
    words = world.checkpoint()
    set_mode(world, mode)
    world.refused_withdrawal(world.ledger.claim(bad, words))
    assert world.client.withdraw(world.ledger.claim(good, words)) is Submission.DONE
    set_mode(world, BEHAVE)
    assert world.client.withdraw(world.ledger.claim(bad, words)) is Submission.DONE
    world.assert_solvent()


@pytest.mark.parametrize("mode", [REVERT, RETURN_FALSE, MOVE_NOTHING])
def test_broken_token_cannot_be_deposited(evil_world: World, mode: int) -> None:
    payload = deposit_payload(evil_world, evil_world.extra[0], 1_000)
    set_mode(evil_world, mode)
    evil_world.refusal(payload, key=TRADER)
    assert evil_world.client.status().deposits == 2


def test_token_that_moves_more_than_it_is_asked_for_cannot_be_deposited(evil_world: World) -> None:
    world = evil_world
    evil = world.extra[0]
    payload = deposit_payload(world, evil, 1_000)
    gift = world.encode("TestToken", "mint", to_checksum(world.vault), 1)
    set_mode(world, REENTER, evil, gift)
    refusal = world.refusal(payload, key=TRADER)
    assert (refusal.reason, refusal.arguments) == ("WrongTransfer", (1_001, 1_000))


def test_reentering_token_gains_nothing(evil_world: World) -> None:
    world = evil_world
    evil = world.extra[0]
    bad = world.ledger.withdraw(evil, 10, STRANGER.address)
    good = world.ledger.withdraw(world.usdx, 500, STRANGER.address)
    words = world.checkpoint()
    attack = encode_withdraw(world.ledger.claim(good, words))
    set_mode(world, REENTER, world.vault, attack)
    assert world.client.withdraw(world.ledger.claim(bad, words)) is Submission.DONE
    assert world.view("HostileToken", evil, "reentered") is False
    assert not world.client.is_paid(good)
    world.assert_solvent()


def test_reentering_during_a_checkpoint_gains_nothing(evil_world: World) -> None:
    world = evil_world
    evil = world.extra[0]
    settle = world.encode("Settlement", "settleFees", to_checksum(evil))
    set_mode(world, REENTER, world.vault, settle)
    world.fees[evil] = 1_000
    world.checkpoint()
    assert world.view("HostileToken", evil, "reentered") is False
    assert world.balance(evil, world.distributor) == 300
    assert len(world.client.fee_splits(0, world.client.head()[0])) == 1
    world.assert_solvent()


def test_reentering_deposit_gains_nothing(evil_world: World) -> None:
    world = evil_world
    payload = deposit_payload(world, world.extra[0], 1_000)
    again = world.encode("Settlement", "deposit", to_checksum(world.extra[0]), 1)
    set_mode(world, REENTER, world.vault, again)
    assert world.send(TRADER, world.vault, payload)["status"] == 1
    assert world.view("HostileToken", world.extra[0], "reentered") is False
    assert world.client.status().deposits == 3


def test_treasury_claim_cannot_be_reentered(evil_world: World) -> None:
    world = evil_world
    evil = world.extra[0]
    world.fees[evil] = 1_000
    world.checkpoint()
    claim = world.encode("FeeDistributor", "claim", 1, to_checksum(evil))
    set_mode(world, REENTER, world.distributor, claim)
    first = world.encode("FeeDistributor", "claim", 0, to_checksum(evil))
    assert world.send(STRANGER, world.distributor, first)["status"] == 1
    assert world.view("HostileToken", evil, "reentered") is False
    assert world.balance(evil, world.distributor) == 100
