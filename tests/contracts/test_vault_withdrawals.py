"""Withdrawals: paid by proof, once, to whom they name, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.settlement_calls import encode_state_words
from contracts.settlement_types import Submission, WithdrawalClaim
from contracts.transaction import created_address
from primitives.abi import encode_words
from primitives.address import to_checksum
from primitives.keccak import keccak256
from primitives.merkle import EMPTY_ROOTS, leaf_hash, root_from_proof
from tests.contracts import harness
from tests.contracts.harness import CHAIN_ID, STRANGER, TRADER, World


@pytest.fixture
def rich(world: World) -> World:
    """A world whose vault holds a million atoms of USDX."""
    world.deposit(world.usdx, 1_000_000)
    return world


def test_proven_withdrawal_is_paid_to_the_named_address(rich: World) -> None:
    index = rich.ledger.withdraw(rich.usdx, 400_000, STRANGER.address)
    words = rich.checkpoint()
    assert rich.client.withdraw(rich.ledger.claim(index, words)) is Submission.DONE
    assert rich.balance(rich.usdx, STRANGER.address) == 400_000
    status = rich.client.token_status(rich.usdx)
    assert (status.balance, status.liabilities, status.withdrawn) == (600_000, 600_000, 400_000)
    assert rich.client.is_paid(index)


def test_second_withdrawal_of_the_same_leaf_is_refused(rich: World) -> None:
    index = rich.ledger.withdraw(rich.usdx, 400_000, STRANGER.address)
    claim = rich.ledger.claim(index, rich.checkpoint())
    rich.client.withdraw(claim)
    assert rich.refused_withdrawal(claim) == "AlreadyPaid"
    assert rich.client.withdraw(claim) is Submission.ALREADY_DONE
    later = rich.ledger.claim(index, rich.checkpoint())
    assert rich.refused_withdrawal(later) == "AlreadyPaid"
    assert rich.balance(rich.usdx, STRANGER.address) == 400_000


def test_any_later_checkpoint_proves_an_earlier_withdrawal(rich: World) -> None:
    first = rich.ledger.withdraw(rich.usdx, 10, TRADER.address)
    rich.checkpoint()
    for _ in range(300):
        rich.ledger.withdraw(rich.usdx, 1, STRANGER.address)
    words = rich.checkpoint()
    assert rich.client.withdraw(rich.ledger.claim(first, words)) is Submission.DONE


def test_proof_against_an_older_checkpoint_stays_good(rich: World) -> None:
    index = rich.ledger.withdraw(rich.usdx, 10, TRADER.address)
    words = rich.checkpoint()
    claim = rich.ledger.claim(index, words)
    rich.ledger.withdraw(rich.usdx, 20, TRADER.address)
    rich.checkpoint()
    assert rich.client.withdraw(claim) is Submission.DONE


def test_many_withdrawals_are_each_paid_once(rich: World) -> None:
    indices = [rich.ledger.withdraw(rich.usdx, 100 + i, STRANGER.address) for i in range(260)]
    words = rich.checkpoint()
    chosen = [indices[0], indices[1], indices[255], indices[256], indices[259]]
    for index in chosen:
        rich.client.withdraw(rich.ledger.claim(index, words))
    expected = sum(100 + index for index in chosen)
    assert rich.balance(rich.usdx, STRANGER.address) == expected
    paid = [index for index in (*indices[:3], *indices[254:]) if rich.client.is_paid(index)]
    assert paid == chosen
    for index in chosen:
        assert rich.refused_withdrawal(rich.ledger.claim(index, words)) == "AlreadyPaid"
    rich.assert_solvent()


def test_state_that_was_never_checkpointed_is_refused(rich: World) -> None:
    index = rich.ledger.withdraw(rich.usdx, 10, TRADER.address)
    words = rich.checkpoint()
    for spoilt in (
        replace(words, height=words.height + 1),
        replace(words, withdrawals=bytes(32)),
        replace(words, rest=bytes(32)),
        rich.ledger.words(5),
    ):
        assert rich.refused_withdrawal(rich.ledger.claim(index, spoilt)) == "UnknownState"


def test_state_before_any_checkpoint_is_refused(rich: World) -> None:
    index = rich.ledger.withdraw(rich.usdx, 10, TRADER.address)
    claim = rich.ledger.claim(index, rich.ledger.words(10))
    assert rich.refused_withdrawal(claim) == "UnknownState"


def test_altered_claims_are_refused(rich: World) -> None:
    index = rich.ledger.withdraw(rich.usdx, 10, TRADER.address)
    rich.ledger.withdraw(rich.usdx, 11, TRADER.address)
    claim = rich.ledger.claim(index, rich.checkpoint())
    flipped = (bytes(32), *claim.siblings[1:])
    for spoilt in (
        replace(claim, amount=11),
        replace(claim, to=STRANGER.address),
        replace(claim, token=rich.tokens["WETH"]),
        replace(claim, index=1),
        replace(claim, siblings=flipped),
        replace(claim, siblings=claim.siblings[::-1]),
    ):
        assert rich.refused_withdrawal(spoilt) == "BadProof"


def test_withdrawals_of_other_vaults_and_chains_are_refused(rich: World) -> None:
    other = rich.ledger.withdraw(rich.usdx, 10, TRADER.address, vault=STRANGER.address)
    foreign = rich.ledger.withdraw(rich.usdx, 10, TRADER.address, chain_id=1)
    words = rich.checkpoint()
    assert rich.refused_withdrawal(rich.ledger.claim(other, words)) == "BadProof"
    assert rich.refused_withdrawal(rich.ledger.claim(foreign, words)) == "BadProof"


def test_vault_on_another_chain_pays_leaves_of_that_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "CHAIN_ID", 2632500)
    world = World(harness.embedded_evm())
    world.deposit(world.usdx, 100)
    own = world.ledger.withdraw(world.usdx, 10, TRADER.address)
    other = world.ledger.withdraw(world.usdx, 10, TRADER.address, chain_id=31337)
    world.fees[world.usdx] = 100
    words = world.checkpoint()
    assert world.client.withdraw(world.ledger.claim(own, words)) is Submission.DONE
    assert world.refused_withdrawal(world.ledger.claim(other, words)) == "BadProof"
    assert world.client.token_status(world.usdx).fees_settled == 100


def test_vault_never_pays_more_of_a_token_than_it_owes(rich: World) -> None:
    rich.fund(rich.usdx, 500)
    rich.wallet.transfer(rich.usdx, rich.vault, 500)  # a gift does not raise what is owed
    index = rich.ledger.withdraw(rich.usdx, 1_000_001, TRADER.address)
    words = rich.checkpoint()
    assert rich.refused_withdrawal(rich.ledger.claim(index, words)) == "InsufficientVault"
    rich.assert_solvent()


def test_unlisted_token_cannot_be_withdrawn(rich: World) -> None:
    index = rich.ledger.withdraw(STRANGER.address, 1, TRADER.address)
    words = rich.checkpoint()
    assert rich.refused_withdrawal(rich.ledger.claim(index, words)) == "InsufficientVault"


def test_withdrawal_to_the_vault_itself_is_refused(rich: World) -> None:
    index = rich.ledger.withdraw(rich.usdx, 10, rich.vault)
    words = rich.checkpoint()
    assert rich.refused_withdrawal(rich.ledger.claim(index, words)) == "WrongTransfer"


def test_last_position_of_the_tree_is_reachable(rich: World) -> None:
    """Index 2^32 - 1 sits under right children only."""
    index = 2**32 - 1
    leaf = leaf_hash(encode_words(index, CHAIN_ID, rich.vault, rich.usdx, 7, TRADER.address))
    siblings = tuple(EMPTY_ROOTS[height] for height in range(32))
    words = replace(rich.ledger.words(10), withdrawals=root_from_proof(leaf, index, siblings))
    root = keccak256(encode_state_words(words))
    rich.client.submit_checkpoint(rich.submission(rich.header(executed_height=10, state_root=root)))
    claim = WithdrawalClaim(
        words=words, index=index, token=rich.usdx, amount=7, to=TRADER.address, siblings=siblings
    )
    assert rich.client.withdraw(claim) is Submission.DONE
    assert rich.client.is_paid(index)


def test_distributor_address_is_predicted(rich: World) -> None:
    assert rich.view("Settlement", rich.vault, "distributor") == to_checksum(
        created_address(rich.vault, 1)
    )
