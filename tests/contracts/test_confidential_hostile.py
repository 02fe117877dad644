"""A private token that lies, fails or calls back harms nobody but those who hold it."""

from __future__ import annotations

import pytest

from contracts.artifact import selectors
from contracts.decisions import DecisionKind
from contracts.settlement_calls import encode_withdraw
from contracts.settlement_types import Submission, WithdrawalClaim
from contracts.transaction import created_address
from primitives.address import to_checksum
from tests.contracts.harness import (
    COMPANY,
    DEPLOYER,
    RELAYER,
    STRANGER,
    TRADER,
)
from tests.contracts.lying_world import (
    DENIES,
    DOOR,
    FAILS,
    HONEST,
    KEEPS,
    LIAR,
    MOVES_BACKWARDS,
    MOVES_LESS,
    MOVES_MORE,
    MOVES_NOTHING,
    OWNED,
    REVERTS,
    LyingWorld,
)
from tests.contracts.test_confidential_vault import assert_backed, open_door
from tests.contracts.test_vault_decisions import decide

GUARDED = "ReentrancyGuardReentrantCall"


@pytest.fixture
def world() -> LyingWorld:
    """Everybody has tokens that may lie; the stranger has deposited some."""
    return LyingWorld()


def claim_of(world: LyingWorld, *amounts: int) -> list[WithdrawalClaim]:
    """Proven withdrawals of the liar's token to the stranger."""
    door, to = world.liars_door, STRANGER.address
    numbers = [world.ledger.withdraw(door, amount, to) for amount in amounts]
    words = world.checkpoint()
    return [world.ledger.claim(number, words) for number in numbers]


# --- lies ------------------------------------------------------------------------------------


def test_a_deposit_counts_only_if_exactly_the_amount_has_arrived(world: LyingWorld) -> None:
    payload = world.deposit_call(100)
    for mode, moved in (
        (MOVES_NOTHING, 0), (MOVES_LESS, 99), (MOVES_MORE, 101), (MOVES_BACKWARDS, 0),
        (DENIES, 100), (FAILS, 0),
    ):  # fmt: skip
        world.tell("behave", mode)
        refusal = world.refusal(payload, key=TRADER, to=world.liars_door, contract=DOOR)
        assert (refusal.reason, refusal.arguments) == ("WrongTransfer", (moved, 100)), mode
    world.tell("behave", REVERTS)
    refusal = world.refusal(payload, key=TRADER, to=world.liars_door, contract=LIAR)
    assert refusal.reason == "Unwilling"
    assert (world.lies(TRADER), world.receipts()) == (OWNED, 500)
    world.tell("behave", HONEST)
    assert world.send(TRADER, world.liars_door, payload)["status"] == 1  # the input is not used up
    assert (world.lies(TRADER), world.receipts()) == (OWNED - 100, 600)
    assert_backed(world)


def test_a_payment_counts_only_if_exactly_the_amount_has_left(world: LyingWorld) -> None:
    claim, smallest = claim_of(world, 60, 1)
    for mode in (MOVES_NOTHING, MOVES_LESS, MOVES_MORE, MOVES_BACKWARDS, DENIES, FAILS):
        world.tell("behave", mode)
        if mode == MOVES_BACKWARDS:
            assert world.refused_withdrawal(smallest) == "WrongTransfer"
        assert world.refused_withdrawal(claim) == "WrongTransfer", mode
    world.tell("behave", REVERTS)
    assert world.send(RELAYER, world.vault, encode_withdraw(claim))["status"] == 0
    assert (world.lies(STRANGER), world.receipts()) == (OWNED - 500, 500)
    world.tell("behave", HONEST)
    assert world.client.withdraw(claim) is Submission.DONE
    assert (world.lies(STRANGER), world.receipts()) == (OWNED - 440, 440)
    assert_backed(world)


def test_a_token_that_keeps_what_it_takes_gets_no_door(world: LyingWorld) -> None:
    aes_key = world.aes_key(DEPLOYER)
    nonce = world.evm.web3.eth.get_transaction_count(to_checksum(DEPLOYER.address))
    door = created_address(DEPLOYER.address, nonce + 2)
    world.confidential(DEPLOYER).allow_private(world.liar, door, aes_key, 1)
    world.tell("behave", KEEPS)
    assert open_door(world, world.liar) == "NothingMoved"


# --- calling back ----------------------------------------------------------------------------


def test_no_deposit_within_a_deposit(world: LyingWorld) -> None:
    first, second = world.deposit_call(100), world.deposit_call(100)
    world.reenter(world.liars_door, second)
    assert world.send(TRADER, world.liars_door, first)["status"] == 1
    assert world.answered() == GUARDED
    assert (world.lies(TRADER), world.receipts()) == (OWNED - 100, 600)
    assert_backed(world)


def test_no_deposit_within_a_payment_by_anybody_but_a_wallet(world: LyingWorld) -> None:
    """The relayer pays for a claim of the stranger's, and the token holds an input of his."""
    (claim,) = claim_of(world, 60)
    world.reenter(world.liars_door, world.deposit_call(100, RELAYER))
    assert world.send(RELAYER, world.vault, encode_withdraw(claim))["status"] == 1
    assert world.answered() == "OnlyWallets"
    assert (world.lies(RELAYER), world.receipts()) == (OWNED, 440)
    assert_backed(world)


@pytest.mark.parametrize("extra", [0, 60])
def test_a_payment_within_a_deposit_is_no_part_of_it(world: LyingWorld, extra: int) -> None:
    """Whoever is paid, the deposit's own amount has to arrive beside it."""
    (claim,) = claim_of(world, 60)
    payload = world.deposit_call(100)
    world.reenter(world.vault, encode_withdraw(claim), extra)
    if not extra:
        refusal = world.refusal(payload, key=TRADER, to=world.liars_door, contract=DOOR)
        assert (refusal.reason, refusal.arguments) == ("WrongTransfer", (40, 100))
        assert (world.lies(TRADER), world.receipts()) == (OWNED, 500)
        return
    assert world.send(TRADER, world.liars_door, payload)["status"] == 1
    assert world.answered() == ""
    assert (world.lies(TRADER), world.lies(STRANGER)) == (OWNED - 100, OWNED - 440)
    assert world.receipts() == 500 - 60 + 100
    assert world.refused_withdrawal(claim) == "AlreadyPaid"
    assert_backed(world)


def test_no_payment_within_a_payment(world: LyingWorld) -> None:
    first, second, other = claim_of(world, 60, 70, 80)
    for outer, inner in ((first, first), (second, other)):
        world.reenter(world.vault, encode_withdraw(inner))
        assert world.send(RELAYER, world.vault, encode_withdraw(outer))["status"] == 1
        assert world.answered() == GUARDED
    assert (world.lies(STRANGER), world.receipts()) == (OWNED - 370, 370)
    assert_backed(world)


def test_no_share_of_a_treasury_within_a_payment(world: LyingWorld) -> None:
    """Two payments at once would leave more than either of them may: both are undone."""
    world.fees[world.liars_door] = 100
    (claim,) = claim_of(world, 60)
    share = world.encode("FeeDistributor", "claim", 0, to_checksum(world.liars_door))
    world.reenter(world.distributor, share)
    assert world.refused_withdrawal(claim) == "WrongTransfer"
    world.tell("behave", HONEST)
    assert world.client.withdraw(claim) is Submission.DONE
    assert world.send(STRANGER, world.distributor, share)["status"] == 1
    company = world.view(DOOR, world.liars_door, "balanceOf", to_checksum(COMPANY))
    assert (company, world.receipts()) == (0, 500 - 60 - 20)
    assert_backed(world)


def test_the_token_itself_has_no_receipts_to_move(world: LyingWorld) -> None:
    door, vault, own = world.liars_door, to_checksum(world.vault), to_checksum(world.liar)
    calls = {
        "TooFewReceipts": world.encode(DOOR, "transfer", own, 1),
        "NotAllowed": world.encode(DOOR, "transferFrom", vault, own, 1),
        "NoSuccessor": selectors(DOOR)["followVault"],
    }
    for error, payload in calls.items():
        (claim,) = claim_of(world, 10)
        world.reenter(door, payload)
        assert world.send(RELAYER, world.vault, encode_withdraw(claim))["status"] == 1
        assert world.answered() == error
    assert world.receipts() == 470
    assert_backed(world)


def test_a_deposit_goes_to_the_vault_that_is_followed_when_it_has_arrived(
    world: LyingWorld,
) -> None:
    """A token that makes the door follow in the middle does not tear a deposit apart."""
    old, new = (world.deploy_contract("LooseVault", to_checksum(STRANGER.address)) for _ in "ab")
    door = world.open_door(old)
    announce = world.encode("LooseVault", "announce", to_checksum(new), 0)
    assert world.send(DEPLOYER, old, announce)["status"] == 1
    payload = world.deposit_call(100, door=door)
    world.reenter(door, selectors(DOOR)["followVault"])
    assert world.send(TRADER, door, payload)["status"] == 1
    assert world.answered() == ""
    owners = [world.view(DOOR, door, "depositorOf", to_checksum(at), 0) for at in (old, new)]
    assert owners == ["0x" + "00" * 20, to_checksum(TRADER.address)]
    assert world.view(DOOR, door, "allowance", to_checksum(door), to_checksum(old)) == 0
    assert world.view(DOOR, door, "balanceOf", to_checksum(STRANGER.address)) == 100


def test_other_tokens_are_paid_while_one_is_out_of_its_mind(world: LyingWorld) -> None:
    world.deposit_private(1_000)
    (claim,) = claim_of(world, 60)
    index = world.ledger.withdraw(world.parts.door, 400, RELAYER.address)
    sound = world.ledger.claim(index, world.checkpoint())
    world.tell("behave", FAILS)
    assert world.refused_withdrawal(claim) == "WrongTransfer"
    assert world.client.withdraw(sound) is Submission.DONE
    assert world.private_balance(RELAYER) == 400
    decide(world, DecisionKind.LIST, world.liars_door, 0)
    world.assert_solvent()
