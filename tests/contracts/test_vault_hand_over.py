"""The move to a successor: what a checkpoint says that it owes goes there once, nothing else."""

from __future__ import annotations

import pytest

from contracts.decisions import DecisionKind
from contracts.deposit_orders import NATIVE
from contracts.settlement_calls import encode_checkpoint
from contracts.settlement_types import StateWords, Submission
from contracts.successor_deployment import HandedOver, hand_over_funds
from contracts.vault_leaving import VaultLeaving
from contracts.web3_sender import Web3Sender
from primitives.address import to_checksum
from tests.contracts.harness import CHAIN_ID, NOBODY, RELAYER, STRANGER, TRADER, Evm, World
from tests.contracts.test_contract_events import published
from tests.contracts.test_vault_decisions import decide, deposit_refusal
from tests.contracts.test_vault_escape import Silent

DAY = 24 * 3600


def sender_on(world: World) -> Web3Sender:
    return Web3Sender(world.evm.web3, STRANGER, chain_id=CHAIN_ID)


@pytest.fixture
def next_vault(world: World) -> bytes:
    """A vault that takes over from the world's."""
    tokens = [to_checksum(token) for token in world.tokens.values()]
    return world.deploy_contract("Settlement", world.vault_config(), tokens)


def both_follow(world: World, other: bytes) -> StateWords:
    """Bring the ledger's next checkpoint to the world's vault and to another one."""
    header = world.header()
    submission = world.submission(header)
    world.client.submit_checkpoint(submission)
    payload = encode_checkpoint(submission)
    assert world.send(RELAYER, other, payload)["status"] == 1
    return world.ledger.words(header.executed_height)


def pass_notice(world: World, other: bytes) -> None:
    """Announce a vault and let a fortnight pass."""
    decide(world, DecisionKind.ANNOUNCE, other)
    for _ in range(2):
        world.increase_time(7 * DAY + 60)
        both_follow(world, other)


def refusal(world: World, token: bytes, height: int | None = None) -> str:
    """Why funds are not handed over by the last root, or another one."""
    height = world.height if height is None else height
    return world.refusal(world.encode("Settlement", "handOver", to_checksum(token), height)).reason


def test_vault_moves_to_its_successor_after_a_fortnight(world: World, next_vault: bytes) -> None:
    world.deposit(world.usdx, 1_000)
    index = world.ledger.withdraw(world.usdx, 300, STRANGER.address)
    assert refusal(world, world.usdx) == "NotMoved"
    decide(world, DecisionKind.ANNOUNCE, next_vault)
    assert deposit_refusal(world, world.usdx) == "DepositsClosed"
    world.increase_time(7 * DAY - 60)
    both_follow(world, next_vault)
    assert refusal(world, world.usdx) == "NotMoved"
    world.move(next_vault, {world.usdx: 700})
    world.increase_time(6 * DAY)
    world.checkpoint()
    assert refusal(world, world.usdx) == "SuccessorTooEarly"
    world.increase_time(DAY + 60)
    assert refusal(world, world.usdx) == "SuccessorBehind"
    common = world.height - 10
    assert refusal(world, world.usdx, common) == "SuccessorBehind", "it is before the move"
    assert refusal(world, world.usdx, 0) == "SuccessorBehind"
    words = both_follow(world, next_vault)
    assert refusal(world, world.usdx, world.height + 1) == "SuccessorBehind"
    assert VaultLeaving(world.client).count_owed(world.usdx) == 700
    assert VaultLeaving(world.client).hand_over(world.usdx, world.height) is Submission.DONE
    assert VaultLeaving(world.client).hand_over(world.usdx, world.height) is Submission.ALREADY_DONE
    assert world.balance(world.usdx, next_vault) == 700
    owed = world.view("Settlement", next_vault, "liabilities", to_checksum(world.usdx))
    assert owed == 700
    claim = world.ledger.claim(index, words)
    assert world.client.withdraw(claim) is Submission.DONE
    status = world.client.token_status(world.usdx)
    assert (status.released, status.liabilities, status.balance) == (700, 0, 0)


@pytest.mark.parametrize("owed", [1, 400])
def test_what_was_handed_over_is_not_handed_over_again(
    world: World, next_vault: bytes, owed: int
) -> None:
    world.deposit(world.usdx, 1_000)
    pass_notice(world, next_vault)
    world.move(next_vault, {world.usdx: owed})
    both_follow(world, next_vault)
    assert VaultLeaving(world.client).hand_over(world.usdx, world.height) is Submission.DONE
    both_follow(world, next_vault)
    assert refusal(world, world.usdx) == "NothingToHandOver"
    assert world.balance(world.usdx, next_vault) == owed
    names = {"token": to_checksum(world.usdx), "successor": to_checksum(next_vault)}
    assert published(world, "Settlement", "HandedOver") == [{**names, "amount": owed}]


def test_a_successor_that_is_ahead_or_behind_gets_the_funds_by_what_both_know(
    world: World, next_vault: bytes
) -> None:
    """Whoever brings a checkpoint to one of them only cannot keep the funds apart for ever."""
    world.deposit(world.usdx, 1_000)
    pass_notice(world, next_vault)
    world.move(next_vault, {world.usdx: 400})
    both_follow(world, next_vault)
    common = world.height
    world.checkpoint()
    assert refusal(world, world.usdx) == "SuccessorBehind"
    payload = encode_checkpoint(world.submission())
    assert world.send(RELAYER, next_vault, payload)["status"] == 1
    assert refusal(world, world.usdx) == "SuccessorBehind"
    assert VaultLeaving(world.client).hand_over(world.usdx, common) is Submission.DONE


def test_funds_go_the_way_of_a_ledger_that_has_gone_on_already(
    world: World, next_vault: bytes
) -> None:
    """No checkpoint came in between: the next vault's row says that the token has left it again."""
    world.deposit(world.usdx, 1_000)
    pass_notice(world, next_vault)
    world.move(next_vault, {world.usdx: 400})
    world.move(STRANGER.address, {world.usdx: 400})
    both_follow(world, next_vault)
    assert VaultLeaving(world.client).hand_over(world.usdx, world.height) is Submission.DONE
    assert world.balance(world.usdx, next_vault) == 400


def test_a_token_that_the_ledger_owes_nothing_of_stays(world: World, next_vault: bytes) -> None:
    world.deposit(world.usdx, 1_000)
    pass_notice(world, next_vault)
    world.move(next_vault, {})
    both_follow(world, next_vault)
    assert refusal(world, world.usdx) == "NothingToHandOver"
    assert VaultLeaving(world.client).count_owed(world.usdx) == 0


def test_funds_go_to_no_other_vault_than_the_ledgers(world: World, next_vault: bytes) -> None:
    world.deposit(world.usdx, 1_000)
    other = world.deploy_contract("Settlement", world.vault_config(), [to_checksum(world.usdx)])
    pass_notice(world, other)
    world.move(next_vault, {world.usdx: 400})
    both_follow(world, other)
    assert refusal(world, world.usdx) == "NotMoved"
    decide(world, DecisionKind.ANNOUNCE, next_vault)
    assert refusal(world, world.usdx) == "NotMoved"
    assert VaultLeaving(world.client).count_owed(world.usdx) == 0


@pytest.mark.parametrize("later", ["nobody", "another"])
def test_funds_follow_the_ledger_whatever_is_announced_later(
    world: World, next_vault: bytes, later: str
) -> None:
    """Otherwise a decision after the move could keep them here for ever."""
    world.deposit(world.usdx, 1_000)
    pass_notice(world, next_vault)
    world.move(next_vault, {world.usdx: 400})
    both_follow(world, next_vault)
    common = world.height
    other = world.deploy_contract("Settlement", world.vault_config(), [to_checksum(world.usdx)])
    decide(world, DecisionKind.ANNOUNCE, other if later == "another" else bytes(20))
    world.checkpoint()
    assert refusal(world, world.usdx) == "SuccessorBehind"
    assert refusal(world, world.usdx, common - 10) == "SuccessorBehind"
    done = hand_over_funds(world.evm.web3, world.vault, sender_on(world))
    assert done == [HandedOver(vault=world.vault, token=world.usdx, atoms=400)]
    assert world.balance(world.usdx, next_vault) == 400


@pytest.mark.parametrize("instead", ["nobody", "another"])
def test_funds_follow_the_ledger_though_its_vault_was_called_off_meanwhile(
    world: World, next_vault: bytes, instead: str
) -> None:
    """A decision may be brought after the move and before the first root that tells of it."""
    world.deposit(world.usdx, 1_000)
    pass_notice(world, next_vault)
    other = world.deploy_contract("Settlement", world.vault_config(), [to_checksum(world.usdx)])
    world.move(next_vault, {world.usdx: 400})
    decide(world, DecisionKind.ANNOUNCE, other if instead == "another" else bytes(20))
    both_follow(world, next_vault)
    world.increase_time(7 * DAY + 60)
    world.client.open_escape()
    world.increase_time(2 * DAY + 60)
    assert world.client.is_closed(), "no decision counts any more"
    done = hand_over_funds(world.evm.web3, world.vault, sender_on(world))
    assert done == [HandedOver(vault=world.vault, token=world.usdx, atoms=400)]
    assert world.balance(world.usdx, next_vault) == 400


def test_the_notice_of_what_is_announced_again_begins_anew(world: World, next_vault: bytes) -> None:
    world.deposit(world.usdx, 1_000)
    pass_notice(world, next_vault)
    world.move(next_vault, {world.usdx: 400})
    decide(world, DecisionKind.ANNOUNCE, next_vault)
    assert world.view("Settlement", world.vault, "noticeOf", to_checksum(next_vault)) == (
        world.view("Settlement", world.vault, "successorAt")
    )
    both_follow(world, next_vault)
    assert refusal(world, world.usdx) == "SuccessorTooEarly"


def test_a_vault_that_the_ledger_left_before_is_not_where_it_went(
    world: World, next_vault: bytes
) -> None:
    """Whatever the committee of the second vault announces, the first one gets nothing back."""
    world.deposit(world.usdx, 1_000)
    pass_notice(world, next_vault)
    world.move(next_vault, {world.usdx: 400})
    both_follow(world, next_vault)
    decide(world, DecisionKind.ANNOUNCE, world.vault, vault=next_vault)
    both_follow(world, next_vault)
    account = world.view("Settlement", next_vault, "tokenAccount", to_checksum(world.usdx))
    assert account[2] == NOBODY


def test_a_token_that_the_successor_takes_no_more_is_handed_over_all_the_same(
    world: World, next_vault: bytes
) -> None:
    world.deposit(world.usdx, 1_000)
    pass_notice(world, next_vault)
    world.move(next_vault, {world.usdx: 400})
    both_follow(world, next_vault)
    decide(world, DecisionKind.LIST, world.usdx, 0, vault=next_vault)
    done = hand_over_funds(world.evm.web3, world.vault, sender_on(world))
    assert done == [HandedOver(vault=world.vault, token=world.usdx, atoms=400)]


def test_more_than_a_vault_takes_at_once_goes_in_parts(world: World) -> None:
    most = 2**128 - 1
    tokens = [to_checksum(world.tokens["WETH"])]
    following = world.deploy_contract("Settlement", world.vault_config(), tokens)
    for amount in (most, 700):
        world.deposit(world.tokens["WETH"], amount)
    pass_notice(world, following)
    world.move(following, {world.tokens["WETH"]: most + 700})
    both_follow(world, following)
    leaving = VaultLeaving(world.client)
    assert leaving.count_owed(world.tokens["WETH"]) == most + 700
    done = hand_over_funds(world.evm.web3, world.vault, sender_on(world))
    assert [one.atoms for one in done] == [most, 700]
    assert world.balance(world.tokens["WETH"], following) == most + 700
    assert leaving.count_owed(world.tokens["WETH"]) == 0


def test_no_more_than_is_owed_is_handed_over(world: World, next_vault: bytes) -> None:
    world.deposit(world.usdx, 1_000)
    give(world, world.usdx, 1)
    pass_notice(world, next_vault)
    world.move(next_vault, {world.usdx: 1_001})
    both_follow(world, next_vault)
    assert refusal(world, world.usdx) == "InsufficientVault"


def test_nothing_is_handed_over_before_the_first_root(world: World, next_vault: bytes) -> None:
    decide(world, DecisionKind.ANNOUNCE, next_vault)
    world.increase_time(8 * DAY)
    assert refusal(world, world.usdx) == "NotMoved"


def test_balances_escape_from_the_vault_that_the_ledger_names(
    world: World, next_vault: bytes
) -> None:
    """Nobody is there any more to decide anything, and still the next vault can pay."""
    world.deposit(world.usdx, 1_000)
    world.ledger.accounts = {TRADER.address: [(0, 0, 900, 100)]}
    pass_notice(world, next_vault)
    world.move(next_vault, {world.usdx: 1_000})
    silent = Silent(world, both_follow(world, next_vault))
    silent.close()
    assert world.refusal(silent.escape(TRADER.address, 0)).reason == "ForeignAsset"
    old, world.vault = world.vault, next_vault
    notice = world.encode("Settlement", "openEscape")
    assert world.send(STRANGER, next_vault, notice)["status"] == 1
    world.increase_time(2 * DAY)
    payload = silent.escape(TRADER.address, 0)
    assert world.refusal(payload, to=next_vault).reason == "InsufficientVault"
    done = hand_over_funds(world.evm.web3, old, sender_on(world))
    assert done == [HandedOver(vault=old, token=world.usdx, atoms=1_000)]
    assert hand_over_funds(world.evm.web3, old, sender_on(world)) == []
    before = world.balance(world.usdx, TRADER.address)
    assert world.send(STRANGER, next_vault, payload)["status"] == 1
    assert world.balance(world.usdx, TRADER.address) == before + 1_000


def test_successor_that_takes_less_than_it_is_given_gets_nothing(world: World) -> None:
    world.deposit(world.usdx, 1_000)
    hostile = world.deploy_contract("HostileVault")
    decide(world, DecisionKind.ANNOUNCE, hostile)
    world.move(hostile, {world.usdx: 700})
    for _ in range(2):
        world.increase_time(8 * DAY)
        world.checkpoint()
    root = world.client.status().state_root
    payload = world.encode("HostileVault", "setRoot", root)
    assert world.send(STRANGER, hostile, payload)["status"] == 1
    assert refusal(world, world.usdx) == "WrongTransfer"
    assert world.balance(world.usdx, hostile) == 0


def test_what_a_token_has_taken_away_does_not_hold_up_the_rest(evm: Evm) -> None:
    world = World(evm, extra_tokens=("HostileToken",))
    evil = world.extra[0]
    tokens = [to_checksum(token) for token in (*world.tokens.values(), evil)]
    following = world.deploy_contract("Settlement", world.vault_config(), tokens)
    world.deposit(evil, 1_000)
    pass_notice(world, following)
    world.move(following, {evil: 1_000})
    both_follow(world, following)
    seize = world.encode("HostileToken", "seize", to_checksum(world.vault), 250)
    assert world.send(STRANGER, evil, seize)["status"] == 1
    assert VaultLeaving(world.client).hand_over(evil, world.height) is Submission.DONE
    assert world.balance(evil, following) == 750
    assert refusal(world, evil) == "NothingToHandOver"
    give(world, evil, 100)
    assert VaultLeaving(world.client).hand_over(evil, world.height) is Submission.DONE
    assert world.balance(evil, following) == 850


def give(world: World, token: bytes, atoms: int) -> None:
    """Send tokens to the vault without telling it."""
    world.fund(token, atoms)
    transfer = world.encode("TestToken", "transfer", to_checksum(world.vault), atoms)
    assert world.send(TRADER, token, transfer)["status"] == 1


def test_coin_is_handed_over_as_well(world: World) -> None:
    tokens = [to_checksum(NATIVE)]
    vaults = [world.deploy_contract("Settlement", world.vault_config(), tokens) for _ in "ab"]
    world.vault = world.ledger.vault = vaults[0]
    world.fees = {NATIVE: 0}
    world.client = world.make_client(RELAYER)
    payload = world.encode("Settlement", "depositNative", to_checksum(TRADER.address))
    assert world.send(TRADER, world.vault, payload, value=1_000)["status"] == 1
    pass_notice(world, vaults[1])
    world.move(vaults[1], {NATIVE: 600})
    both_follow(world, vaults[1])
    assert VaultLeaving(world.client).count_owed(NATIVE) == 600
    done = hand_over_funds(world.evm.web3, vaults[0], sender_on(world))
    assert done == [HandedOver(vault=vaults[0], token=NATIVE, atoms=600)]
    assert world.evm.web3.eth.get_balance(to_checksum(vaults[1])) == 600
    assert world.view("Settlement", vaults[1], "liabilities", to_checksum(NATIVE)) == 600
    assert world.view("Settlement", vaults[0], "liabilities", to_checksum(NATIVE)) == 400


def test_hand_over_to_a_vault_that_is_none_is_refused(world: World) -> None:
    """A successor that is no vault at all cannot swallow anything by accident."""
    world.deposit(world.usdx, 1_000)
    decide(world, DecisionKind.ANNOUNCE, world.usdx)
    world.move(world.usdx, {world.usdx: 10})
    for _ in range(2):
        world.increase_time(8 * DAY)
        world.checkpoint()
    payload = world.encode("Settlement", "handOver", to_checksum(world.usdx), world.height)
    assert world.send(RELAYER, world.vault, payload)["status"] == 0
    assert world.balance(world.usdx, world.vault) == 1_000


def test_registry_and_reward_token_follow_with_the_funds(world: World, next_vault: bytes) -> None:
    world.deposit(world.usdx, 1_000)
    leaving = VaultLeaving(world.client)
    tokens = list(world.tokens.values())
    assert leaving.list_steps(tokens, 0) == []
    pass_notice(world, next_vault)
    world.move(next_vault, {world.usdx: 1_000})
    both_follow(world, next_vault)
    steps = leaving.list_steps(tokens, world.height)
    assert [step.about for step in steps] == [
        f"funds in 0x{world.usdx.hex()}",
        "ValidatorRegistry",
        "OmniCoin",
    ]
    assert [step.take() for step in steps] == [Submission.DONE] * 3
    assert [step.take() for step in steps] == [Submission.ALREADY_DONE] * 3
    assert leaving.list_steps(tokens, world.height) == []
